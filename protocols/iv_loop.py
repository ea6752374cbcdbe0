"""I-V loops: where one memristor switches when a source meter sweeps its voltage there and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from labneuro.roles import SourceMeter
from labneuro.store import RunFile
from labneuro.units import Current, FloatArray, Voltage, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel

_LEAST = 1e-15
"""Conductance below which a meter sees only its own noise, S."""


@dataclass(frozen=True)
class IVPoint:
    """One point of a loop, whose halves count from 0: an even one is at voltages above 0.

    voltage: asked for. current: that through the device; if `limited`, the limit, and the voltage is less.
    """

    half: int
    voltage: Voltage
    current: Current
    limited: bool


class Switching(NamedTuple):
    """What half a loop does to a device.

    voltage: where its conductance changed most, V; NaN where it was at the current limit before that could be seen.
    before, after: conductances on the way there and back, S: at least these, where the current was at its limit.
    """

    voltage: float
    before: float
    after: float


def iv_loop(
    meter: SourceMeter,
    *,
    highest: Annotated[Voltage, Gt(0)] = 1.0,
    lowest: Annotated[Voltage, Lt(0)] = -1.0,
    limit_above: Annotated[Current, Gt(0)] = 100e-6,
    limit_below: Annotated[Current, Gt(0)] = 5e-3,
    step: Annotated[Voltage, Gt(0)] = 20e-3,
    cycles: Annotated[int, Ge(1)] = 3,
    read_voltage: Annotated[Voltage, Gt(0)] = 0.1,
) -> Iterator[IVPoint]:
    """Sweep the voltage of one device from 0 up, back, down and back, and measure the current at each step.

    A step takes as long as the meter measures and as the ramp of its limits demands: a slower sweep switches at lower
    voltages. The limit of the current is what stops a device that is set; the output is off while it is changed.

    Args:
        highest: Upper end of the loop.
        lowest: Lower end.
        limit_above: Limit of the current at voltages above 0.
        limit_below: Limit at voltages below 0: a device that is reset needs more than it was set with.
        step: From one voltage to the next, rounded so that it fits.
        cycles: How many loops.
        read_voltage: Where the conductances before and after switching are compared, of either sign.
    """
    for half in range(2 * cycles):
        end, limit = (highest, limit_above) if half % 2 == 0 else (lowest, limit_below)
        meter.make_safe()
        meter.set_current_limit(limit)
        held = meter.current_limit
        there = np.linspace(0.0, end, max(round(abs(end) / step), 4) + 1).tolist()
        for voltage in (*there, *there[-2::-1]):
            meter.set_voltage(voltage)
            current = meter.current_or_limit
            yield IVPoint(half, voltage, current, abs(current) >= held)


def switching(voltage: FloatArray, current: FloatArray, limited: NDArray[np.bool_], read_voltage: float) -> Switching:
    """Return what half a loop, (points,) from 0 to its end and back, does to the device.

    It switches at the step of the greatest relative change of the conductance, up if it comes back higher, else down.
    Of points at the current limit only that is known that the conductance is higher.
    """
    end = len(voltage) // 2
    read = max(int(np.argmin(np.abs(np.abs(voltage[: end + 1]) - read_voltage))), 1)
    before, after = (float(current[k] / voltage[k]) for k in (read, len(voltage) - 1 - read))
    log = np.log(np.maximum(current[1 : end + 1] / voltage[1 : end + 1], _LEAST))
    change = np.diff(log) * np.sign(after - before)
    seen = ~limited[1:end] & ((after > before) | ~limited[2 : end + 1])
    step = int(np.argmax(np.where(seen, change, -np.inf)))
    return Switching(float(voltage[step + 2]) if seen.any() else float("nan"), before, after)


def panels(run: RunFile) -> list[Panel]:
    """Show the loops of the first cycles."""
    steps = run.steps
    cycle = steps["half"] // 2
    curves = [
        Curve(steps["voltage"][cycle == k], np.abs(steps["current"][cycle == k]), f"cycle {k + 1}")
        for k in np.unique(cycle)[:6]
    ]
    return [CurvePanel("I-V loop", "Voltage", "V", "Size of the current", "A", curves, log_y=True)]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say at which voltages the device is set and reset, and from which conductances."""
    halves = [half for half in (_half(run, number) for number in np.unique(run.steps["half"])) if half is not None]
    rows: list[tuple[str, str]] = []
    started: list[float] = []
    for name, sign in (("set", 1), ("reset", -1)):
        some = np.array([half for half in halves if sign * (half.after - half.before) > 0])
        if len(some):
            voltage, before = _about(some[:, 0], "V"), _about(some[:, 1], "S")
            rows.append((name, f"at {voltage}, from {before}, mean of {len(some)}"))
            started.append(float(np.median(some[:, 1])))
    if len(started) == 2:
        rows.append(("on/off ratio", f"{started[1] / max(started[0], _LEAST):.3g}"))
    return rows


def _half(run: RunFile, number: int) -> Switching | None:
    """Return what a half of the loops does, None if it is not complete."""
    mine = run.steps["half"] == number
    voltage, current, limited = (run.steps[name][mine] for name in ("voltage", "current", "limited"))
    complete = len(voltage) > 1 and voltage[-1] == 0
    return switching(voltage, current, limited, run.parameters["read_voltage"]) if complete else None


def _about(values: FloatArray, unit: str) -> str:
    """Return the mean and, where it shows, the standard deviation of the values that are known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "a voltage that the current limit hides"
    mean, spread = known.mean(), known.std()
    words = format_quantity(float(f"{mean:.3g}"), unit)
    return words if spread < 1e-3 * abs(mean) else f"{words} ± {format_quantity(float(f'{spread:.2g}'), unit)}"
