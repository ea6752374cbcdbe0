"""Crossbars: products, selection of devices, weights as conductances, sneak paths, converters and read noise.

Rows are word lines and columns bit lines; a device [i, j] of conductance G_ij joins row i to column j, and voltages
are those of rows over columns. What the resistance of the lines changes is in `line_resistance`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController

from labneuro.signals import Scheme
from labneuro.simulators.line_resistance import Lines, checked_conductances, checked_voltages, currents
from labneuro.simulators.noise import normal_pairs
from labneuro.units import FloatArray

_UNSELECTED: dict[Scheme, tuple[float, float]] = {
    "V/2": (1 / 2, 1 / 2),
    "V/3": (1 / 3, 2 / 3),
    "grounded": (0.0, 0.0),
    "1T1R": (0.0, 1.0),
}
"""Where the unselected rows and columns are, in parts of the voltage of the selected rows."""

_MOST_HALVINGS = 10


def multiply(
    voltages: ArrayLike, conductances: ArrayLike, lines: Lines | None = None, *, tolerance: float = 1e-6
) -> FloatArray:
    """Return the currents out of the columns, I_j = sum_i V_i G_ij, (batch, columns), A.

    Args:
        voltages: On the rows, over grounded columns, (batch, rows), V.
        conductances: (rows, columns), S.
        lines: Resistances of the lines; None for ideal ones.
        tolerance: That of `line_resistance.currents`.

    The BLAS has one thread, for the last bit of a result depends on their number, as it does on the rest of the batch.
    Raises ValueError for shapes that don't fit, NaN, and conductances that are not positive.
    """
    if lines is not None:
        return currents(voltages, conductances, lines, tolerance=tolerance)
    array = checked_conductances(conductances)
    return _products(checked_voltages(voltages, array.shape[0], "rows"), array)


def multiply_transposed(
    voltages: ArrayLike, conductances: ArrayLike, lines: Lines | None = None, *, tolerance: float = 1e-6
) -> FloatArray:
    """Return the currents out of the rows, I_i = sum_j V_j G_ij, (batch, rows), A, for `voltages` on the columns.

    The rows are grounded at their terminals; all else is as in `multiply`.
    """
    array = checked_conductances(conductances)
    volts = checked_voltages(voltages, array.shape[1], "columns")
    if lines is None:
        return _products(volts, array.T)
    # Seen from the columns' terminals, each line runs the other way.
    turned, swapped = array[::-1, ::-1].T, Lines(lines.column, lines.row)
    return currents(volts[:, ::-1], turned, swapped, tolerance=tolerance)[:, ::-1]


def _products(vectors: FloatArray, array: FloatArray) -> FloatArray:
    with _blas().limit(limits=1):
        return vectors @ array


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def selections(which: ArrayLike, along: Literal["rows", "columns"] = "rows") -> Iterator[NDArray[np.bool_]]:
    """Yield the parts of the mask `which`, (rows, columns), that can be selected at once: line after line."""
    mask = np.asarray(which, np.bool_)
    lines = mask if along == "rows" else mask.T
    for k in np.flatnonzero(lines.any(axis=1)):
        part = np.zeros_like(mask)
        (part if along == "rows" else part.T)[k] = lines[k]
        yield part


def line_voltages(which: ArrayLike, voltage: float, scheme: Scheme) -> tuple[FloatArray, FloatArray]:
    """Return what rows and columns are driven to, (rows,) and (columns,), V, to put `voltage` across devices `which`.

    Selected rows are at `voltage`, selected columns at 0; the others are at V/2 and V/2, V/3 and 2V/3, or 0 and 0
    ("grounded"). In a 1T1R array, whose gates run along the rows, the other rows are at 0, their transistors shut, and
    the other columns at `voltage`. `Network.solve` takes both where lines have resistance.

    which: mask, (rows, columns). Raises ValueError unless it is all crossings of some rows and some columns.
    """
    mask = np.asarray(which, np.bool_)
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    if (mask != np.logical_and.outer(rows, columns)).any():
        raise ValueError(f"{mask.sum()} devices that are not all crossings of some lines: take `selections` of them")
    at_rows, at_columns = _UNSELECTED[scheme]
    return np.where(rows, voltage, at_rows * voltage), np.where(columns, 0.0, at_columns * voltage)


def device_voltages(which: ArrayLike, voltage: float, scheme: Scheme) -> FloatArray:
    """Return the voltages across all devices, (rows, columns), V, while those in `which` are selected.

    Lines are ideal. Arguments are those of `line_voltages`.
    """
    rows, columns = line_voltages(which, voltage, scheme)
    across = np.subtract.outer(rows, columns)
    return across * np.asarray(which, np.bool_).any(axis=1, keepdims=True) if scheme == "1T1R" else across


def half_selected(which: ArrayLike, scheme: Scheme) -> int:
    """Return how many devices outside `which` see a voltage while those in it are selected."""
    return int(np.count_nonzero(device_voltages(which, 1.0, scheme)) - np.count_nonzero(which))


def sneak_resistance(resistance: float, rows: int, columns: int) -> float:
    """Return what lies in parallel with one device of an array whose other lines float, ohm.

    Three groups in series, R / (columns - 1) + R / ((rows - 1)(columns - 1)) + R / (rows - 1), for ideal lines and all
    other devices of `resistance` R, ohm. The potentials within a group are equal by symmetry, so that this is exact.
    """
    if rows < 2 or columns < 2 or not resistance > 0:
        raise ValueError(f"{resistance:g} ohm, {rows} x {columns}: sneak paths need 2 lines each way and R above 0")
    return resistance * (1 / (columns - 1) + 1 / ((rows - 1) * (columns - 1)) + 1 / (rows - 1))


def differential_pairs(weights: ArrayLike, scale: float, g_min: float, g_max: float) -> tuple[FloatArray, FloatArray]:
    """Return G+ and G- with `weights` = (G+ - G-) / scale, the lesser of each pair at g_min; all in S.

    Raises ValueError, naming the weight, where a conductance would be above g_max.
    """
    steps = scale * np.asarray(weights, np.float64)
    pairs = g_min + np.maximum(steps, 0), g_min + np.maximum(-steps, 0)
    for conductances in pairs:
        _check_range(conductances, g_min, g_max)
    return pairs


def beside_reference(weights: ArrayLike, scale: float, reference: ArrayLike, g_min: float, g_max: float) -> FloatArray:
    """Return G with `weights` = (G - reference) / scale, for a reference column (rows, 1) or one value; all in S.

    Raises ValueError, naming the weight, where a conductance would be outside [g_min, g_max].
    """
    conductances = np.asarray(reference, np.float64) + scale * np.asarray(weights, np.float64)
    _check_range(conductances, g_min, g_max)
    return conductances


def weights_of(conductances: ArrayLike, reference: ArrayLike, scale: float) -> FloatArray:
    """Return (G - reference) / scale, all in S; the reference: G- of pairs, a column (rows, 1), or one value."""
    return (np.asarray(conductances, np.float64) - np.asarray(reference, np.float64)) / scale


def _check_range(conductances: FloatArray, g_min: float, g_max: float) -> None:
    # Rounding alone puts no weight outside.
    within = (conductances >= g_min * (1 - 1e-12)) & (conductances <= g_max * (1 + 1e-12))
    if not within.all():
        k = tuple(int(i) for i in np.argwhere(~within)[0])
        raise ValueError(
            f"weight {list(k)} needs {conductances[k]:g} S, devices have {g_min:g} to {g_max:g} S: take a smaller scale"
        )


def read_noise(voltages: ArrayLike, spread: ArrayLike, *, seed: int = 0, number: int = 0) -> FloatArray:
    """Return the noise of a product's currents, (batch, columns), A, when conductances fluctuate from read to read.

    A sum of normal terms is normal: sigma_j^2 = sum_i (V_i sigma_ij)^2, at the cost of one product more. To be added to
    `multiply`, or with `spread.T` to `multiply_transposed`.

    voltages: (batch, rows), V. spread: standard deviations of the conductances, (rows, columns), S. number: of the
    first vector; vector k hears the noise of number + k of `seed`, whatever the batch.
    """
    sigma = np.ascontiguousarray(spread, np.float64)
    if sigma.ndim != 2 or not (sigma >= 0).all():
        raise ValueError(f"spread of shape {sigma.shape}: give standard deviations, (rows, columns), none below 0")
    volts = checked_voltages(voltages, sigma.shape[0], "rows")
    batch, columns = len(volts), sigma.shape[1]
    normals = normal_pairs(seed, batch, (columns + 1) // 2, first_lane=number).reshape(-1, batch)[:columns].T
    return np.sqrt(_products(volts**2, sigma**2)) * normals


def quantised(values: ArrayLike, bits: int, bound: float) -> FloatArray:
    """Return `values` as a converter of so many bits gives them: clipped to ±bound, in steps of 2 bound / (2^bits - 2).

    0 bits: clipped only. These are the 2^bits - 1 levels of aihwkit (Rasch et al., arXiv:2104.02184), 0 among them;
    its defaults are a DAC of 7 bits and an ADC of 9.
    """
    if not (bits == 0 or bits >= 2) or not bound > 0:
        raise ValueError(f"a converter of {bits} bits up to {bound:g}: give 0 or at least 2 bits, and a bound above 0")
    clipped = np.clip(np.asarray(values, np.float64), -bound, bound)
    if not bits:
        return clipped
    step = 2 * bound / (2**bits - 2)
    return np.rint(clipped / step) * step


def converted_product(
    product: Callable[[FloatArray], FloatArray],
    vectors: ArrayLike,
    *,
    voltage: float,
    bound: float,
    dac_bits: int = 7,
    adc_bits: int = 9,
) -> FloatArray:
    """Return `vectors` times the conductances, S times the vectors' unit, through converters, as aihwkit does it.

    Each vector is scaled so that its largest entry is at full voltage (ABS_MAX); while a current of it reaches the
    ADC's bound, it is taken again at half the voltage, ten times at most (ITERATIVE), after which the ADC clips.

    Args:
        product: Currents, (batch, lines), A, for voltages, (batch, lines), V.
        vectors: (batch, lines), in any unit.
        voltage: Full scale of the DAC, V.
        bound: Full scale of the ADC, A.
        dac_bits: Resolution of the DAC; 0 for no steps.
        adc_bits: Resolution of the ADC; 0 for no steps.
    """
    values = np.atleast_2d(np.asarray(vectors, np.float64))
    values = checked_voltages(values, values.shape[-1], "lines")
    scale = np.abs(values).max(axis=1, keepdims=True) / voltage
    scale[scale == 0] = 1.0
    out = product(quantised(values / scale, dac_bits, voltage))
    for _ in range(_MOST_HALVINGS):
        again = (np.abs(out) >= bound).any(axis=1)
        if not again.any():
            break
        scale[again] *= 2
        out[again] = product(quantised(values[again] / scale[again], dac_bits, voltage))
    return quantised(out, adc_bits, bound) * scale
