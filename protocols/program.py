"""Program an image into an array of devices by writing and verifying."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from labneuro.following import RunSoFar
from labneuro.learning.conversion import Ramp, WriteVerify
from labneuro.roles import SynapseArray
from labneuro.store import RunFile
from labneuro.units import Duration, Energy, FloatArray, Unit, Voltage, format_quantity
from labneuro.views.arrays import histogram, last_pulses
from labneuro.views.panels import Curve, CurvePanel, Level, Panel, ValueMapPanel

Conductance = Annotated[float, Unit("S")]
Conductances = Annotated[FloatArray, Unit("S")]
Image = Literal["rings", "ramp", "checkerboard"]
Growing = Literal["count", "amplitude", "width", "gate"]

_IMAGES: dict[Image, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "rings": lambda y, x: (1 + np.cos(4 * np.pi * np.hypot(x - 0.5, y - 0.5))) / 2,
    "ramp": lambda y, x: x + 0 * y,
    "checkerboard": lambda y, x: (np.floor(8 * x) + np.floor(8 * y)) % 2,
}


@dataclass(frozen=True)
class Target:
    """The conductances to be written, (rows, columns)."""

    conductances: Conductances


@dataclass(frozen=True)
class WriteStep:
    """One round: the pending devices are read, and those out of the band are pulsed.

    conductances: the last read of each device, (rows, columns). error: their root-mean-square distance from the target.
    confirmed: devices that were in the band in two reads in a row. abandoned: those given up. pulses: of this round,
    (rows, columns).
    """

    conductances: Conductances
    error: Conductance
    confirmed: NDArray[np.bool_]
    abandoned: NDArray[np.bool_]
    pulses: NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """The whole array read once more, and what the run has given its devices, each (rows, columns)."""

    conductances: Conductances
    pulses: NDArray[np.int64]
    half_selected: NDArray[np.int64]
    energy: Energy


def program(
    chip: SynapseArray,
    *,
    image: Image = "rings",
    lowest: Annotated[Conductance, Gt(0)] = 15e-6,
    highest: Annotated[Conductance, Gt(0)] = 23e-6,
    tolerance: Annotated[Conductance, Gt(0)] = 0.4e-6,
    set_voltage: Voltage = 1.3,
    reset_voltage: Voltage = -1.3,
    width: Annotated[Duration, Gt(0)] = 10e-6,
    read_voltage: Voltage = 0.1,
    ramp: Growing = "count",
    rungs: Annotated[int, Ge(1)] = 6,
    most_pulses: Annotated[int, Ge(1)] = 64,
    growth: Annotated[float, Ge(1)] = 1.15,
    gate: Annotated[Voltage, Ge(0)] = 0.0,
    attempts: Annotated[int, Ge(1)] = 100,
) -> Iterator[WriteStep | Target | Outcome]:
    """Write an image into the conductances of an array, device by device, until two reads in a row confirm each.

    One read in the band may be luck. While the error of a device keeps its sign, its next pulses are one rung higher on
    a ramp: there are more of them, or they are stronger, longer, or given through a transistor that is open wider. When
    the sign changes, the ramp begins again.

    Args:
        image: What is written, over the whole array.
        lowest: Conductance of its darkest point.
        highest: Conductance of its brightest point.
        tolerance: Largest distance from the target at which a device is left alone.
        set_voltage: Pulse that raises a conductance.
        reset_voltage: Pulse that lowers it.
        width: Width of both.
        read_voltage: Voltage at which conductances are read.
        ramp: What grows. A gate voltage sets cells of a 1T1R array to conductances in proportion.
        rungs: Steps from the first to the last value, in equal ratios.
        most_pulses: Longest train, if it is the count that grows; otherwise pulses come one by one.
        growth: The last value in parts of the first, if it is not the count that grows.
        gate: Gate voltage of the first pulse that raises a conductance, 0 to leave it as the array has it; pulses that
            lower one have the last.
        attempts: Trains after which a device is given up.
    """
    if not lowest < highest:
        raise ValueError(f"lowest: {format_quantity(lowest, 'S')} is not below highest; exchange the two")
    rows, columns = ((np.arange(lines) + 0.5) / lines for lines in chip.shape)
    target = lowest + (highest - lowest) * _IMAGES[image](rows[:, None], columns)
    if ramp == "gate" and not gate:
        raise ValueError("gate: a ramp of gate voltages needs its first; give one above 0 V")

    def ends(quantity: Growing, first: float) -> tuple[float, float]:
        return first, first * growth if quantity == ramp else first

    yield Target(target)
    before = chip.spent
    widths, counts = ends("width", width), (1, most_pulses if ramp == "count" else 1)
    gates = ends("gate", gate)
    up = Ramp(ends("amplitude", set_voltage), widths, counts, gates if gate else None)
    down = Ramp(ends("amplitude", reset_voltage), widths, counts, (gates[1], gates[1]) if gate else None)
    rule = WriteVerify(target, tolerance, up=up, down=down, rungs=rungs, attempts=attempts)
    yield from write(chip, target, rule, read_voltage)
    spent = chip.spent
    yield Outcome(
        chip.conductances(read_voltage),
        spent.pulses - before.pulses,
        spent.half_selected - before.half_selected,
        spent.energy - before.energy,
    )


def write(chip: SynapseArray, target: FloatArray, rule: WriteVerify, read_voltage: float) -> Iterator[WriteStep]:
    """Bring the first rows and columns of an array to `target`, S, with the pulses that `rule` chooses."""
    corner = tuple(slice(lines) for lines in target.shape)
    conductances = np.full(target.shape, np.nan)
    while rule.pending.any():
        which = np.zeros(chip.shape, np.bool_)
        which[corner] = rule.pending
        reads = chip.conductances(read_voltage, which)[corner]
        conductances = np.where(rule.pending, reads, conductances)
        trains = rule.decide(reads)
        for counts, pulses, gate in trains.groups():
            given = np.zeros(chip.shape, np.int64)
            given[corner] = counts
            chip.pulse(given, pulses, gate=gate)
        error = float(np.sqrt(np.mean((conductances - target) ** 2)))
        yield WriteStep(conductances, error, rule.confirmed.copy(), rule.abandoned.copy(), trains.count)


def panels(run: RunFile | RunSoFar) -> list[Panel]:
    """Show the target, what is written of it, the pulses that it took, and how the error falls."""
    steps, shown = run.steps, list[Panel]()
    round_ = np.arange(1, len(steps["error"]) + 1, dtype=np.float64)
    now, when = steps["conductances"][-1], f"After {len(round_)} rounds"
    pulses = steps["pulses"].sum(axis=0).astype(np.float64)
    if "outcome" in run.records:
        now, when = run.records["outcome"]["conductances"][0], "Read once more at the end"
    target = run.records["target"]["conductances"][0]
    limits = (float(target.min()), float(target.max()))
    shown += [
        ValueMapPanel("Target", target, "Conductance", "S", limits),
        ValueMapPanel(when, now, "Conductance", "S", limits),
        ValueMapPanel("Distance from the target", now - target, "Conductance", "S"),
        ValueMapPanel("Pulses spent", np.log10(np.maximum(pulses, 1)), "log10 of the number", ""),
    ]
    shown += [
        CurvePanel(
            title="Error",
            x_label="Round",
            x_unit="",
            y_label="Distance, root mean square",
            y_unit="S",
            curves=[Curve(round_, steps["error"])],
            levels=[Level(float(run.parameters["tolerance"]), "tolerance")],
            y_range=(0.0, 1.05 * float(steps["error"].max())),
        ),
        CurvePanel(
            title="Devices",
            x_label="Round",
            x_unit="",
            y_label="Part of the devices",
            y_unit="",
            curves=[
                Curve(round_, steps[name].reshape(-1, target.size).mean(axis=1), name)
                for name in ("confirmed", "abandoned")
            ],
            y_range=(0.0, 1.0),
        ),
    ]
    return shown


def live(run: RunSoFar) -> list[Panel]:
    """Show the target, the array as it was last read, what it was just given, and where both lie."""
    if not run.at:
        return []
    target, now = run.records["target"]["conductances"][0], run.steps["conductances"][-1]
    lie = histogram("Devices by conductance", {"wanted": target, "read": now}, "Conductance", "S")
    first, second, _, _, *curves = panels(run)
    return [first, second, *last_pulses(run, "chip"), lie, *curves]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say how many devices were written, how well, and at what price."""
    steps = run.steps
    confirmed, abandoned = steps["confirmed"][-1], steps["abandoned"][-1]
    pulses = steps["pulses"].sum(axis=0)
    rows = [
        ("confirmed by two reads", f"{confirmed.sum()} of {confirmed.size} devices in {len(steps['error'])} rounds"),
        ("given up", f"{abandoned.sum()}" + _named(abandoned)),
        ("pulses a device", f"mean {pulses.mean():.1f}, most {pulses.max()}"),
    ]
    if "outcome" in run.records:
        outcome, target = run.records["outcome"], run.records["target"]["conductances"][0]
        error = outcome["conductances"][0] - target
        inside = np.abs(error) <= run.parameters["tolerance"]
        rows += [
            (
                "confirmed devices, read once more",
                f"{_rms(error[confirmed])} off, {inside[confirmed].sum()} of {confirmed.sum()} in the band",
            ),
            ("all devices, read once more", f"{_rms(error)} off"),
            ("half-selected", f"{int(outcome['half_selected'][0].sum())} times"),
        ]
        if np.isfinite(outcome["energy"][0]):  # instruments don't know it
            rows.append(("energy", format_quantity(float(outcome["energy"][0]), "J")))
    return rows


def _rms(error: FloatArray) -> str:
    return format_quantity(float(f"{np.sqrt(np.mean(error**2)):.3g}"), "S") if error.size else "none"


def _named(which: NDArray[np.bool_]) -> str:
    places = [f"[{row}, {column}]" for row, column in np.argwhere(which)[:4]]
    return f": {', '.join(places)}{' ...' if which.sum() > len(places) else ''}" if places else ""
