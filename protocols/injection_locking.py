"""Injection locking: the Arnold tongue of one oscillator."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from labneuro.calibration import locked_range
from labneuro.lines import find_lines
from labneuro.roles import OscillatorChip
from labneuro.signals import Tones
from labneuro.store import RunFile
from labneuro.units import Current, Frequency, Power, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel

THERMAL = 1e6
"""A line broader than this, Hz, is thermal agitation below threshold."""


@dataclass(frozen=True)
class LockingStep:
    """One power of the source: where the oscillator follows it. NaN where it never does."""

    power: Power
    lower: Frequency
    upper: Frequency
    width: Frequency
    free: Frequency


def injection_locking(
    chip: OscillatorChip,
    *,
    oscillator: Annotated[int, Ge(1)] = 1,
    current: Annotated[Current, Gt(0)] = 6e-3,
    first_power: Annotated[Power, Gt(0)] = 1e-5,
    last_power: Annotated[Power, Gt(0)] = 2e-3,
    points: Annotated[int, Ge(2)] = 12,
    span: Annotated[Frequency, Gt(0)] = 24e6,
    resolution: Annotated[Frequency, Gt(0)] = 0.1e6,
) -> Iterator[LockingStep]:
    """Measure the range of frequencies over which one oscillator locks to source A, against the source's power.

    The other oscillators have no current. While the oscillator is much wider in its relaxation than its locking range,
    the range grows with the root of the power.

    Args:
        oscillator: Number of the oscillator, from 1.
        current: Its direct current.
        first_power: Lowest power of the source.
        last_power: Highest power of the source.
        points: Number of powers, evenly spaced in dB.
        span: Range of frequencies swept about the free-running one.
        resolution: Step of the sweep.
    """
    if oscillator > chip.oscillators:
        raise ValueError(f"oscillator: there is no oscillator {oscillator}; the chip has {chip.oscillators}")
    currents = np.zeros(chip.oscillators)
    currents[oscillator - 1] = current
    chip.set_currents(currents)
    chip.apply(None)
    lines = find_lines(chip.spectrum(), 1)
    if not len(lines) or lines.linewidth[0] > THERMAL:
        raise ValueError(
            f"current: oscillator {oscillator} shows no line narrower than {THERMAL / 1e6:g} MHz at "
            f"{format_quantity(current, 'A')}; it needs more current"
        )
    free = float(lines.frequency[0])
    offsets = np.arange(-span / 2, span / 2 + resolution / 2, resolution)
    frequency = np.full((offsets.size, chip.sources), free)
    frequency[:, 0] += offsets
    powers = np.zeros(chip.sources)
    powers[0] = last_power
    chip.check(tones=Tones.at(frequency, powers))
    for power in np.geomspace(first_power, last_power, points):
        powers[0] = power
        states = chip.synchronisation(Tones.at(frequency, powers))
        lower, upper = locked_range(frequency[:, 0], states[:, oscillator - 1] == 1, free)
        yield LockingStep(float(power), lower, upper, upper - lower, free)


def panels(run: RunFile) -> list[Panel]:
    """Show the tongue, and its width against power beside the root law."""
    steps = run.steps
    power, width = steps["power"], steps["width"]
    root = np.sqrt(power)
    measured = np.isfinite(width)
    weak = measured & (np.cumsum(measured) <= max(2, int(measured.sum()) // 3))
    law = (
        root * (np.sum(root[weak] * width[weak]) / np.sum(root[weak] ** 2))
        if np.any(weak)
        else np.full_like(root, np.nan)
    )
    return [
        CurvePanel(
            title="Arnold tongue",
            x_label="Root of the source's power",
            x_unit="W^1/2",
            y_label="Frequency of the source",
            y_unit="Hz",
            curves=[
                Curve(root, steps["upper"], "upper edge", marker=True),
                Curve(root, steps["lower"], "lower edge", marker=True),
                Curve(root, steps["free"], "free-running", line="dashed"),
            ],
        ),
        CurvePanel(
            title="Locking range",
            x_label="Root of the source's power",
            x_unit="W^1/2",
            y_label="Locking range",
            y_unit="Hz",
            curves=[
                Curve(root, width, "measured", marker=True),
                Curve(root, law, "root of the power, from the weakest third", line="dashed"),
            ],
        ),
    ]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say how wide the tongue is at both ends."""
    power, width = run.steps["power"], run.steps["width"]
    seen = np.flatnonzero(np.isfinite(width))
    if not seen.size:
        return [("locking range", "never locked: raise last_power")]
    return [
        (f"locking range at {format_quantity(float(power[k]), 'W')}", f"{width[k] / 1e6:.2f} MHz")
        for k in dict.fromkeys((seen[0], seen[-1]))
    ]
