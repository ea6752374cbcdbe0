"""Letters: a perceptron of memristive pairs learns z, v and n."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from labneuro.datasets import letters as drawn
from labneuro.following import RunSoFar
from labneuro.learning.conversion import Ramp, WriteVerify
from labneuro.learning.manhattan import manhattan_signs, pair_pulses
from labneuro.protocols.program import Conductance, Conductances, WriteStep, write
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses
from labneuro.store import RunFile
from labneuro.units import Duration, Energy, FloatArray, Fraction, Unit, Voltage, format_quantity
from labneuro.views.arrays import histogram, last_pulses
from labneuro.views.panels import Curve, CurvePanel, Level, Panel, ValueMapPanel

PUBLISHED = 23
"""Epochs after which the experiment made no error any more, on average."""


@dataclass(frozen=True)
class LetterSet:
    """The patterns: letters, joined by commas, their pixels, (patterns, 9), 1 or -1, and labels, (patterns,)."""

    letters: str
    pixels: FloatArray
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Epoch:
    """The array before the pulses of an epoch.

    conductances: (rows, columns) in use, the two devices of a pair side by side. outputs: tanh(β I), (patterns,
    letters). errors: patterns whose largest output is another letter's. pulses, energy: given up to here, from the
    start of the run.
    """

    conductances: Conductances
    outputs: Annotated[FloatArray, Unit("1")]
    errors: int
    pulses: int
    energy: Energy


def letters(
    chip: SynapseArray,
    *,
    epochs: Annotated[int, Ge(1)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    start: Annotated[Conductance, Ge(0)] = 35e-6,
    spread: Annotated[Fraction, Ge(0), Lt(0.3)] = 0.1,
    set_voltage: Voltage = 1.3,
    reset_voltage: Voltage = -1.3,
    width: Annotated[Duration, Gt(0)] = 500e-6,
    read_voltage: Annotated[Voltage, Gt(0)] = 0.1,
    gain: Annotated[float, Unit("1/A"), Gt(0)] = 2e5,
    target: Annotated[float, Gt(0), Lt(1)] = 0.85,
) -> Iterator[Epoch | LetterSet | WriteStep]:
    """Teach a perceptron of differential pairs three letters by the Manhattan rule (Prezioso et al., Nature 521, 61).

    Nine rows get the pixels as voltages, a tenth a constant one; each letter has two columns, and the larger difference
    of currents is the answer. An epoch shows all 30 patterns, then gives every pair one pulse in either device, in
    opposite directions: which, the sign of the summed gradient says. It ends with the first epoch without an error.

    Args:
        epochs: Epochs after which it ends at the latest.
        seed: Draws the conductances at the start.
        start: Conductance to which all devices are brought first; 0 leaves them as they are.
        spread: Standard deviation of the conductances at the start, relative.
        set_voltage: Pulse that raises a conductance.
        reset_voltage: Pulse that lowers it.
        width: Width of both.
        read_voltage: Voltage of a bright pixel; a dark one and the constant row have its negative.
        gain: Steepness β of the outputs.
        target: Output wanted of the right letter; of the others, its negative.
    """
    data = drawn.load()
    names, (patterns, pixels) = data.names, data.pixels.shape
    used = pixels + 1, 2 * len(names)
    if chip.shape[0] < used[0] or chip.shape[1] < used[1]:
        raise ValueError(f"chip: {chip.shape[0]} x {chip.shape[1]} devices; the letters need {used[0]} x {used[1]}")
    corner = slice(used[0]), slice(used[1])
    inputs = np.zeros((patterns, chip.shape[0]))
    inputs[:, : used[0]] = -read_voltage
    inputs[:, :pixels] = read_voltage * data.pixels
    targets = np.where(data.labels[:, None] == np.arange(len(names)), target, -target)
    first = chip.spent
    yield LetterSet(", ".join(names), data.pixels, data.labels)

    if start:
        wanted = start * (1 + spread * np.random.default_rng(seed).standard_normal(used))
        up, down = (Ramp((volts, volts), (width, width), (1, 64)) for volts in (set_voltage, reset_voltage))
        yield from write(chip, wanted, WriteVerify(wanted, 0.01 * start, up=up, down=down, rungs=6), read_voltage)

    in_use = np.zeros(chip.shape, np.bool_)
    in_use[corner] = True
    for epoch in range(epochs + 1):
        currents = chip.multiply(inputs)[:, corner[1]]
        differences = currents[:, 0::2] - currents[:, 1::2]
        errors = int(np.sum(differences.argmax(axis=1) != data.labels))
        spent = chip.spent
        yield Epoch(
            chip.conductances(read_voltage, in_use)[corner],
            np.tanh(gain * differences),
            errors,
            int(spent.pulses.sum() - first.pulses.sum()),
            spent.energy - first.energy,
        )
        if not errors or epoch == epochs:
            return
        signs = manhattan_signs(inputs[:, corner[0]], differences, targets, gain)
        for volts, pairs in zip((set_voltage, reset_voltage), pair_pulses(signs), strict=True):
            which = np.zeros(chip.shape, np.bool_)
            which[corner] = pairs.reshape(used)
            chip.pulse(which, Pulses(volts, width))


def panels(run: RunFile | RunSoFar) -> list[Panel]:
    """Show the errors, how sure the answers are, what the pairs look like as pixels, and the conductances."""
    steps, data = run.steps, run.records["letter_set"]
    names = str(data["letters"][0]).split(", ")
    labels, outputs = data["labels"][0], steps["outputs"]
    epoch = np.arange(len(outputs), dtype=np.float64)
    margins = _margins(outputs, labels)
    conductances = steps["conductances"]
    pairs = conductances[:, :, 0::2] - conductances[:, :, 1::2]
    most = float(np.abs(pairs).max())
    limits = (float(conductances.min()), float(conductances.max()))
    shown: list[Panel] = [
        CurvePanel(
            title="Errors",
            x_label="Epoch",
            x_unit="",
            y_label="Patterns taken for another letter",
            y_unit="",
            curves=[Curve(epoch, steps["errors"].astype(np.float64), marker=True)],
            y_range=(0.0, 1.1 * max(float(steps["errors"].max()), 1.0)),
        ),
        CurvePanel(
            title="Lead of the right letter, worst to best pattern",
            x_label="Epoch",
            x_unit="",
            y_label="Its output less the next",
            y_unit="",
            curves=[
                Curve(epoch, lead.mean(axis=1), name, band=(lead.min(axis=1), lead.max(axis=1)))
                for k, name in enumerate(names)
                for lead in [margins[:, labels == k]]
            ],
            levels=[Level(0.0, "no decision")],
        ),
    ]
    moments = [("At the start", 0)] + ([(f"After {len(epoch) - 1} epochs", -1)] if len(epoch) > 1 else [])
    shown += [
        ValueMapPanel(
            f"{title}: what each letter looks for",
            _side_by_side(pairs[k]),
            "G+ - G-",
            "S",
            (-most, most),
            row_label="Row of pixels",
            column_label="Letter",
            rows=["1", "2", "3"],
            columns=[mark for name in names for mark in (" ", name, " ", " ")][:-1],
        )
        for title, k in moments
    ]
    signs = [f"{name}{sign}" for name in names for sign in "+-"]
    rows = [*map(str, range(1, conductances.shape[1])), "bias"]
    shown += [
        ValueMapPanel(
            f"{title}: conductances",
            conductances[k],
            "Conductance",
            "S",
            limits,
            row_label="Pixel",
            column_label="Letter",
            rows=rows,
            columns=signs,
        )
        for title, k in moments
    ]
    return shown


def live(run: RunSoFar) -> list[Panel]:
    """Show the errors so far, the array as it stands, what it was just given, and how its conductances lie."""
    epochs, writing = run.steps, run.records.get("write_step")
    now = epochs["conductances"][-1] if run.at else None if writing is None else writing["conductances"][-1]
    shown: list[Panel] = panels(run)[:2] if run.at else []
    if now is not None:
        shown.append(ValueMapPanel("Conductances", now, "Conductance", "S", row_label="Pixel", column_label="Device"))
        shown.append(histogram("Devices by conductance", {"": now}, "Conductance", "S"))
    return [*shown, *last_pulses(run, "chip")]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say after how many epochs the array knew its letters, beside the experiment, and what they cost."""
    steps = run.steps
    errors, (patterns, _) = steps["errors"], steps["outputs"].shape[1:]
    epochs = len(errors) - 1
    change = np.abs(np.diff(steps["conductances"], axis=0))
    pulses = int(steps["pulses"][-1] - steps["pulses"][0])
    rows = [
        ("errors at the start", f"{errors[0]} of {patterns}"),
        (f"after {epochs} epochs", f"{errors[-1]} of {patterns}" + ("" if errors[-1] else ": all letters known")),
        ("published", f"0 after about {PUBLISHED} epochs"),
        ("pulses", f"{steps['pulses'][0]} to the start, {pulses} to learn"),
    ]
    if np.isfinite(steps["energy"][-1]):  # instruments don't know it
        rows.append(("energy in the array", format_quantity(float(f"{steps['energy'][-1]:.3g}"), "J")))
    if epochs:
        rows.insert(3, ("step of a device, mean", format_quantity(float(f"{change[change > 0].mean():.3g}"), "S")))
    return rows


def _margins(outputs: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """Return the output of the right letter less the largest other, (epochs, patterns)."""
    right = labels[:, None] == np.arange(outputs.shape[-1])
    return outputs[:, right] - np.where(right, -np.inf, outputs).max(axis=-1)


def _side_by_side(weights: FloatArray) -> FloatArray:
    """Return weights, (rows, letters), as pixels of all letters beside each other, with gaps of NaN."""
    pixels = weights[:-1].T.reshape(-1, drawn.SIDE, drawn.SIDE)
    return np.hstack([np.pad(letter, ((0, 0), (0, 1)), constant_values=np.nan) for letter in pixels])[:, :-1]
