"""An array that multiplies inexactly solves a system of linear equations exactly (Le Gallo et al., 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from labneuro.learning.solver import refine
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses
from labneuro.store import RunFile
from labneuro.units import Duration, Energy, FloatArray, Fraction, Unit, Voltage, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel

_TRIAL = 20  # pulses from which the step of the devices is measured


@dataclass(frozen=True)
class SolveStep:
    """The solution so far: its residual ‖b - A x‖/‖b‖, its error ‖x - x₀‖/‖x₀‖, and products of the array up to now."""

    residual: Fraction
    error: Fraction
    products: int


@dataclass(frozen=True)
class WrittenMatrix:
    """The matrix in the array.

    matrix: A, (n, n). written: what the conductances make of it. error: ‖written - matrix‖/‖matrix‖, with the noise of
    the read. pulses, energy: spent on writing.
    """

    matrix: FloatArray
    written: FloatArray
    error: Fraction
    pulses: int
    energy: Energy


def solve(
    chip: SynapseArray,
    *,
    condition: Annotated[float, Ge(1)] = 10.0,
    tolerance: Annotated[float, Gt(0)] = 1e-12,
    inner: Annotated[int, Ge(1)] = 6,
    steps: Annotated[int, Ge(1)] = 60,
    seed: Annotated[int, Ge(0)] = 0,
    reach: Annotated[float, Unit("S"), Gt(0)] = 25e-6,
    up: Voltage = 1.5,
    down: Voltage = -1.5,
    downs: Annotated[int, Ge(1)] = 1000,
    width: Annotated[Duration, Gt(0)] = 1e-6,
    read: Annotated[Voltage, Gt(0)] = 0.2,
    rounds: Annotated[int, Ge(1)] = 6,
) -> Iterator[SolveStep | WrittenMatrix]:
    """Solve n equations with an array of n x 2n devices (Le Gallo et al., Nat. Electron. 1, 246, 2018).

    A symmetric positive definite matrix is drawn and written as differences of neighbouring devices. Each step computes
    the residual in double precision, and a correction from noisy products of the array.

    Args:
        condition: Largest over smallest eigenvalue of the matrix.
        tolerance: Residual at which to stop.
        inner: Products of the array a step.
        steps: Most steps.
        seed: Draws matrix and right side.
        reach: Conductance, above that of reset, of the largest element.
        up: Amplitude that raises a conductance.
        down: Amplitude that lowers it.
        downs: How many pulses of it reset a device.
        width: Width of the pulses.
        read: Amplitude of reads and products.
        rounds: How often all devices are read and corrected.
    """
    n = chip.shape[0]
    if chip.shape != (n, 2 * n):
        raise ValueError(f"chip: an array of {chip.shape} holds no square matrix in pairs: take one of {(n, 2 * n)}")
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((n, n)))[0]
    matrix = (axes * np.geomspace(1, condition, n)) @ axes.T
    solution = rng.standard_normal(n)
    unit = reach / np.abs(matrix).max()

    pairs = np.stack([np.maximum(matrix.T, 0), np.maximum(-matrix.T, 0)], axis=-1).reshape(chip.shape)
    reached = write(chip, pairs * unit, Pulses(up, width), Pulses(down, width), downs, read, rounds)
    written = (reached[:, ::2] - reached[:, 1::2]).T / unit
    spent = chip.spent
    error = float(np.linalg.norm(written - matrix) / np.linalg.norm(matrix))
    yield WrittenMatrix(matrix, written, error, int(spent.pulses.sum()), spent.energy)

    products = 0

    def multiply(v: FloatArray) -> FloatArray:
        nonlocal products
        products += 1
        scale = read / np.abs(v).max()
        currents = chip.multiply(v[None] * scale)[0]
        return (currents[::2] - currents[1::2]) / (scale * unit)

    for x, residual in refine(matrix, matrix @ solution, multiply, tolerance=tolerance, inner=inner, steps=steps):
        off = float(np.linalg.norm(x - solution) / np.linalg.norm(solution))
        yield SolveStep(residual, off, products)


def write(
    chip: SynapseArray, wanted: FloatArray, up: Pulses, down: Pulses, downs: int, read: float, rounds: int
) -> FloatArray:
    """Write conductances, (rows, columns), S above the higher one of their pair after reset; return what they read.

    The step of a pulse is measured on all devices; then each is read and given what it lacks, `rounds` times. Raises
    ValueError if pulses don't raise conductances.
    """
    everywhere = np.ones(chip.shape, np.int64)
    chip.pulse(everywhere * downs, down)
    floor = chip.conductances(read)
    base = np.repeat(np.maximum(floor[:, ::2], floor[:, 1::2]), 2, axis=1)
    chip.pulse(everywhere * _TRIAL, up)
    step = float((chip.conductances(read) - floor).mean()) / _TRIAL
    if not step > 0:
        volts = format_quantity(up.amplitude, "V")
        raise ValueError(f"up: pulses of {volts} raise no conductance; take stronger ones")
    for _ in range(rounds):
        lacking: NDArray[np.int64] = np.rint((base + wanted - chip.conductances(read)) / step).astype(np.int64)
        for counts, pulses in ((np.maximum(lacking, 0), up), (np.maximum(-lacking, 0), down)):
            if counts.any():
                chip.pulse(counts, pulses)
    return chip.conductances(read)


def panels(run: RunFile) -> list[Panel]:
    """Show how the residual and the error of the solution fall."""
    steps = run.steps
    number = np.arange(1, len(steps["residual"]) + 1, dtype=np.float64)
    curves = [Curve(number, steps["residual"], "residual"), Curve(number, steps["error"], "error of the solution")]
    return [CurvePanel("Solution", "Step", "", "Relative to its length", "", curves, log_y=True)]
