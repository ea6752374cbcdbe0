"""What an array of synapses shows while it learns: its conductances as a map and a histogram, and its last pulses."""

from collections.abc import Mapping

import numpy as np

from labneuro.following import RunSoFar
from labneuro.signals import coincidences
from labneuro.units import FloatArray, format_quantity
from labneuro.views.panels import Curve, CurvePanel, Panel, ValueMapPanel

BINS = 40
"""Most bins of a histogram."""


def histogram(title: str, groups: Mapping[str, FloatArray], label: str, unit: str) -> CurvePanel:
    """Return how many values of each group, of any shape, lie where; NaN are left out."""
    known = {name: values[np.isfinite(values)] for name, values in groups.items()}
    together = np.concatenate(list(known.values()))
    edges = np.histogram_bin_edges(together, min(BINS, 5 + together.size // 10))
    sides = np.repeat(edges, 2)
    counts = {name: np.histogram(values, edges)[0].astype(np.float64) for name, values in known.items()}
    curves = [Curve(sides, np.pad(np.repeat(count, 2), 1), name) for name, count in counts.items()]
    most = max((float(count.max()) for count in counts.values()), default=0.0)
    return CurvePanel(title, label, unit, "Devices", "", curves, y_range=(0.0, 1.1 * max(most, 1.0)))


def last_pulses(run: RunSoFar, player: str, title: str = "Last pulses") -> list[Panel]:
    """Return a map of the pulses that the devices of a part were given last; none if there were none.

    Positive are those that raise the voltage of the row. What an update sends by coincidence has no sign here.
    """
    asked = [exchange for verb in ("pulse", "update") if (exchange := run.latest(player, verb)) is not None]
    if not asked:
        return []
    given = max(asked, key=lambda exchange: exchange.time).arguments
    pulses = given["pulses"]
    sign = np.sign(pulses.amplitude)
    if "which" in given:
        counts = np.asarray(given["which"]).astype(np.float64) * sign
    else:
        counts = coincidences(given["rows"], given["columns"]).astype(np.float64)
    words = f"{format_quantity(pulses.amplitude, 'V')}, {format_quantity(pulses.width, 's')}"
    counts *= pulses.count
    most = max(float(np.abs(counts).max()), 1.0)
    return [ValueMapPanel(f"{title}: {words}", counts, "Pulses", "", (-most, most))]
