"""Characterise devices: how conductances answer to pulses, how alike devices and cycles are, and what stays."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from labneuro.protocols.program import Conductances
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses
from labneuro.store import RunFile
from labneuro.units import Duration, FloatArray, Voltage, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel


@dataclass(frozen=True)
class PulseStep:
    """Conductances, (devices,), after `number` pulses of a cycle, half of which go up and then half down."""

    cycle: int
    number: int
    conductances: Conductances


@dataclass(frozen=True)
class LoopPoint:
    """Conductances, (devices,), read after a pulse of `voltage` to each."""

    voltage: Voltage
    conductances: Conductances


@dataclass(frozen=True)
class Reread:
    """Conductances, (devices,), with no pulse since the last record."""

    conductances: Conductances


@dataclass(frozen=True)
class DriftPoint:
    """Conductances, (devices,), at `time` after the devices were brought to a level, 0 for the lowest."""

    level: int
    time: Duration
    conductances: Conductances


def characterise_device(
    chip: SynapseArray,
    *,
    devices: Annotated[int, Ge(1)] = 8,
    cycles: Annotated[int, Ge(1)] = 4,
    pulses: Annotated[int, Ge(2)] = 50,
    train: Annotated[int, Ge(1)] = 20,
    set_voltage: Voltage = 1.3,
    reset_voltage: Voltage = -1.3,
    width: Annotated[Duration, Gt(0)] = 10e-6,
    loop_points: Annotated[int, Ge(2)] = 24,
    rereads: Annotated[int, Ge(0)] = 100,
    levels: Annotated[int, Ge(2)] = 3,
    retention: Annotated[Duration, Ge(0)] = 100.0,
    read_voltage: Voltage = 0.1,
) -> Iterator[PulseStep | LoopPoint | Reread | DriftPoint]:
    """Measure devices on the diagonal of an array: loop, potentiation and depression, repeated reads, drift.

    The loop is remanent: a pulse of each voltage, up, back and to the other side, and a read at `read_voltage` after
    each. Devices on the diagonal share no line, so that the pulses of one half-select none of the others. The repeated
    reads follow each other as fast as the bench reads: what they show is the noise and the disturbance of reading.
    Drift is read from 1 s on, at times evenly spaced in their logarithm, once for each level: a depression, and then a
    part of the trains of a potentiation. Times are those waited; what the bench needs to pulse and read adds to them.

    Args:
        devices: How many devices, from row and column 0 on.
        cycles: Cycles of potentiation and depression.
        pulses: Trains up, and as many down, in a cycle; a read after each.
        train: Pulses of a train.
        set_voltage: Pulse that raises a conductance, and one end of the loop.
        reset_voltage: Pulse that lowers it, and the other end.
        width: Width of all pulses.
        loop_points: Pulses on each of the four branches of the loop.
        rereads: Reads without a pulse between them.
        levels: How many conductances, from depressed to potentiated, are left to drift.
        retention: How long each of them is left; 0 for not at all.
        read_voltage: Voltage at which conductances are read.
    """
    if devices > min(chip.shape):
        raise ValueError(f"devices: there are {min(chip.shape)} on the diagonal; {devices} were asked for")
    which = np.zeros(chip.shape, np.bool_)
    diagonal = np.arange(devices), np.arange(devices)
    which[diagonal] = True

    branches = np.linspace(0.0, 1.0, loop_points + 1)
    loop = [end * part for end in (set_voltage, reset_voltage) for part in (*branches[1:], *branches[-2:0:-1])]
    for voltage in loop:
        chip.pulse(which, Pulses(voltage, width, train))
        yield LoopPoint(voltage, chip.conductances(read_voltage, which)[diagonal])

    for cycle in range(cycles):
        yield PulseStep(cycle, 0, chip.conductances(read_voltage, which)[diagonal])
        for number in range(1, 2 * pulses + 1):
            chip.pulse(which, Pulses(set_voltage if number <= pulses else reset_voltage, width, train))
            yield PulseStep(cycle, number * train, chip.conductances(read_voltage, which)[diagonal])

    for _ in range(rereads):
        yield Reread(chip.conductances(read_voltage, which)[diagonal])

    up, down = (Pulses(voltage, width, train) for voltage in (set_voltage, reset_voltage))
    for level in range(levels if retention else 0):
        for given in [down] * pulses + [up] * round(pulses * level / (levels - 1)):
            chip.pulse(which, given)
        waited = 0.0
        for time in drift_times(retention).tolist():
            chip.wait(time - waited)
            waited = time
            yield DriftPoint(level, time, chip.conductances(read_voltage, which)[diagonal])


def drift_times(longest: float) -> FloatArray:
    """Return when drift is read, s: five times a decade, from 1 s, or a hundredth of `longest` if that is less, on."""
    first = min(1.0, longest / 100)
    return np.geomspace(first, longest, round(5 * np.log10(longest / first)) + 1)


def drift_exponents(time: FloatArray, conductances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return nu of G = G0 (t / t0)^-nu for each device, and its standard error, (devices,).

    By least squares of log G over log t. time: (reads,), at least three. conductances: (reads, devices); one that is
    never above 0 leaves NaN.
    """
    x = np.log(time) - np.log(time).mean()
    log = np.log(np.where(conductances > 0, conductances, np.nan))
    slope = x @ log / (x @ x)
    residue = log - log.mean(axis=0) - np.outer(x, slope)
    return -slope, np.sqrt((residue**2).sum(axis=0) / (len(x) - 2) / (x @ x))


def panels(run: RunFile) -> list[Panel]:
    """Show the loop, the cycles of one device, all devices, the repeated reads, and the drift."""
    shown: list[Panel] = []
    if "loop_point" in run.records:
        loop = run.records["loop_point"]
        curves = [Curve(loop["voltage"], values, f"device {k}", marker=k == 0) for k, values in _few(loop)]
        shown.append(_panel("Remanent loop", "Voltage of the pulse", "V", curves))
    cycles = _cycles(run)
    if len(cycles):
        number = run.steps["number"][: cycles.shape[1]].astype(np.float64)
        first = cycles[:, :, 0]
        shown += [
            _panel(
                "Device 0, one cycle after the other",
                "Pulses",
                "",
                [Curve(number, values, f"cycle {k + 1}") for k, values in enumerate(first[:6])],
            ),
            _panel(
                "All devices, mean, and from the least to the largest",
                "Pulses",
                "",
                [
                    Curve(
                        number,
                        cycles.mean(axis=(0, 2)),
                        "mean",
                        band=(cycles.mean(axis=0).min(axis=1), cycles.mean(axis=0).max(axis=1)),
                    )
                ],
            ),
        ]
    if "reread" in run.records:
        reads = run.records["reread"]
        count = np.arange(1, len(reads["conductances"]) + 1, dtype=np.float64)
        curves = [Curve(count, values, f"device {k}") for k, values in _few(reads)]
        shown.append(_panel("Repeated reads", "Read", "", curves))
    drifts = _drifts(run)
    if drifts:
        curves = [
            Curve(time, g.mean(axis=1), f"level {k}", marker=True, band=(g.min(axis=1), g.max(axis=1)))
            for k, (time, g) in enumerate(drifts)
        ]
        title = "Drift, mean, and from the least to the largest"
        shown.append(CurvePanel(title, "Time", "s", "Conductance", "S", curves, log_x=True))
    return shown


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say how far devices reach, how their steps differ, how much repeated reads do, and what time leaves."""
    rows: list[tuple[str, str]] = []
    cycles = _cycles(run)
    if len(cycles):
        half = cycles.shape[1] // 2
        rise = cycles[:, half] - cycles[:, 0]
        fall = cycles[:, half] - cycles[:, -1]
        rows.append(("range of a cycle", f"{_quantity(cycles.min())} to {_quantity(cycles.max())}, all devices"))
        for name, change in (("potentiation", rise), ("depression", fall)):
            of_devices = change.mean(axis=0)
            words = f"mean {_quantity(change.mean())}, device to device {of_devices.std() / abs(change.mean()):.0%}"
            if len(change) > 1:
                words += f", cycle to cycle {change.std(axis=0, ddof=1).mean() / abs(change.mean()):.0%}"
            rows.append((f"{name}, {half * run.parameters['train']} pulses", words))
    if "reread" in run.records:
        reads = run.records["reread"]["conductances"]
        noise, drift = (reads.std(axis=0) / reads.mean(axis=0)).mean(), reads[-1].mean() / reads[0].mean() - 1
        rows.append((f"{len(reads)} reads", f"noise {noise:.2%}, from the first to the last {drift:+.2%}"))
    drifts = _drifts(run)
    for k, (time, conductances) in enumerate(drifts):
        exponents, errors = drift_exponents(time, conductances)
        words = "some reads are not above 0"
        if np.isfinite(exponents).all():
            error = np.sqrt((errors**2).mean() / len(errors))
            words = f"mean {exponents.mean():z.4f} ± {error:.4f}, device to device {exponents.std():.4f}"
        rows.append((f"drift exponent at {_quantity(conductances[0].mean())}, level {k}", words))
    if len(drifts) > 1:
        window = drifts[-1][1].mean(axis=1) - drifts[0][1].mean(axis=1)
        time = drifts[-1][0][-1]
        rows.append((f"window left after {format_quantity(time, 's')}", f"{window[-1] / window[0]:.1%}"))
    return rows


def _drifts(run: RunFile) -> list[tuple[FloatArray, FloatArray]]:
    """Return the times, (reads,), and conductances, (reads, devices), of the levels that are complete."""
    if "drift_point" not in run.records:
        return []
    points = run.records["drift_point"]
    of_level = [points["level"] == level for level in np.unique(points["level"])]
    return [
        (points["time"][k], points["conductances"][k])
        for k in of_level
        if points["time"][k].max() == run.parameters["retention"]
    ]


def _cycles(run: RunFile) -> FloatArray:
    """Return the conductances of the cycles that are complete, (cycles, reads, devices)."""
    length = 2 * int(run.parameters["pulses"]) + 1
    conductances: FloatArray = run.steps["conductances"]
    complete = len(conductances) // length
    return conductances[: complete * length].reshape(complete, length, -1)


def _few(table: Mapping[str, NDArray[Any]]) -> list[tuple[int, NDArray[np.float64]]]:
    """Return number and values of the first few devices of a table."""
    return list(enumerate(table["conductances"].T[:5]))


def _panel(title: str, x_label: str, x_unit: str, curves: list[Curve]) -> CurvePanel:
    return CurvePanel(title, x_label, x_unit, "Conductance", "S", curves)


def _quantity(conductance: float) -> str:
    return format_quantity(float(f"{conductance:.3g}"), "S")
