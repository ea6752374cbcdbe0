"""Free-running characterisation: what every later experiment with oscillators starts from."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from labneuro.calibration import FreeRunning, sweep
from labneuro.roles import OscillatorChip
from labneuro.store import RunFile
from labneuro.units import Current, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel


def free_running(
    chip: OscillatorChip,
    *,
    start: Annotated[Current, Gt(0)] = 3.5e-3,
    stop: Annotated[Current, Gt(0)] = 8e-3,
    points: Annotated[int, Ge(2)] = 19,
) -> Iterator[FreeRunning]:
    """Measure frequency, power and linewidth of every oscillator against its current, one oscillator at a time.

    The sources are off. Below threshold the line is thermal, broad and weak; where there is none the values are NaN.

    Args:
        start: First current.
        stop: Last current.
        points: Number of currents.
    """
    yield from sweep(chip, np.linspace(start, stop, points))


def panels(run: RunFile) -> list[Panel]:
    """Show each quantity against the current."""
    steps = run.steps
    shown = (
        ("frequency", "Frequency", "Hz"),
        ("power", "Emitted power", "W"),
        ("linewidth", "Linewidth", "Hz"),
    )
    return [
        CurvePanel(
            title=label,
            x_label="Direct current",
            x_unit="A",
            y_label=label,
            y_unit=unit,
            curves=[
                Curve(steps["current"][:, i], steps[field][:, i], f"oscillator {i + 1}", marker=True)
                for i in range(steps[field].shape[1])
            ],
        )
        for field, label, unit in shown
    ]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say for each oscillator where it starts and what it does at the highest current."""
    steps = run.steps
    rows: list[tuple[str, str]] = []
    for i in range(steps["frequency"].shape[1]):
        seen = np.flatnonzero(np.isfinite(steps["frequency"][:, i]))
        if not seen.size:
            rows.append((f"oscillator {i + 1}", "no line at any current: sweep higher currents"))
            continue
        first, last = seen[0], seen[-1]
        rows.append(
            (
                f"oscillator {i + 1}",
                f"seen from {format_quantity(steps['current'][first, i], 'A')}; at "
                f"{format_quantity(steps['current'][last, i], 'A')}: {steps['frequency'][last, i] / 1e6:.2f} MHz, "
                f"{steps['linewidth'][last, i] / 1e3:.0f} kHz wide, {steps['power'][last, i] * 1e6:.2f} µW",
            )
        )
    return rows
