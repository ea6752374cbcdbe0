# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""An emitted spectrum on a logarithmic scale, the lines of the sources and the peaks of the oscillators."""

from collections.abc import Sequence

import numpy as np

from labneuro.progress import number
from labneuro.units import FloatArray
from labneuro.views.axes import Axes, Range, roomy, shown, span
from labneuro.views.lettering import LABEL, Pencil, text_item
from labneuro.views.panels import SpectrumPanel
from labneuro.views.qt import pg

_MICROWATT_PER_MEGAHERTZ = 1e12  # in 1 W/Hz
_MARGIN = 0.03  # of the range of the data, left free below and above

_LABEL = 0.15  # of the width of a plot: what the label of a source takes


class SpectrumPicture:
    """A spectrum in `plot`, whose axes are there already."""

    def __init__(self, plot: pg.PlotItem, panel: SpectrumPanel, pencil: Pencil) -> None:
        self.axes = Axes(plot)
        self.panel = panel
        self._y: Range | None = None
        paper = pencil.paper
        self._lines: list[tuple[pg.InfiniteLine, pg.TextItem]] = []
        for place, mark in enumerate(panel.sources):
            colour = paper.series_colour(place)
            line = pg.InfiniteLine(angle=90, pen=pencil.pen(colour, 1.4, "dashed"))
            label = text_item(mark.label, colour, LABEL, anchor=(-0.1, 0.0), bold=True)
            plot.addItem(line)
            plot.addItem(label, ignoreBounds=True)
            self._lines.append((line, label))
        self._colours = [paper.ink] if panel.reference is None else [paper.faint, paper.ink]
        self._pencil = pencil
        self._curves = [pencil.curve(colour, 1.2) for colour in self._colours]
        self._peaks = [text_item(m.label, paper.ink, LABEL, anchor=(0.5, 1.0), bold=True) for m in panel.peaks]
        for item in self._curves:
            plot.addItem(item)
        for item in self._peaks:
            plot.addItem(item, ignoreBounds=True)
        self.show(panel)

    def show(self, panel: SpectrumPanel) -> None:
        """Show another panel of the same form."""
        self.panel = panel
        traces = [panel.density] if panel.reference is None else [panel.reference, panel.density]
        curves = [shown(_MICROWATT_PER_MEGAHERTZ * trace, log=True) for trace in traces]
        low, high = self._y = roomy(span(curves, _MARGIN), self._y, _MARGIN)
        high += 0.12 * (high - low)
        left, end = span([panel.frequency], 0.0)
        right = end - _LABEL * (end - left)
        self.axes.show((left, end), (low, high))
        for (line, label), mark in zip(self._lines, panel.sources, strict=True):
            line.setPos(mark.frequency)
            label.setAnchor((1.1 if mark.frequency > right else -0.1, 0.0))
            label.setPos(mark.frequency, high)
        for item, curve, colour in zip(self._curves, curves, self._colours, strict=True):
            item.setData(panel.frequency, curve, pen=self._pencil.pen(colour, 1.2, points=len(curve)))
        self._place_peaks(panel, curves)

    def read(self, x: float, _y: float, _reach: tuple[float, float]) -> str:
        """Return in words the bin at frequency x."""
        panel = self.panel
        if not len(panel.frequency):
            return ""
        nearest = int(np.argmin(np.abs(panel.frequency - x)))
        density = _MICROWATT_PER_MEGAHERTZ * panel.density[nearest]
        return f"Frequency {number(panel.frequency[nearest], 'Hz')}: {density:.4g} µW/MHz"

    def _place_peaks(self, panel: SpectrumPanel, curves: Sequence[FloatArray]) -> None:
        """Write the names of the peaks above them, beside a source's line that is close."""
        close = 0.02 * float(np.ptp(panel.frequency)) if len(panel.frequency) else 0.0
        for label, mark in zip(self._peaks, panel.peaks, strict=True):
            nearest = int(np.argmin(np.abs(panel.frequency - mark.frequency)))
            lines = [line.frequency - mark.frequency for line in panel.sources]
            beside = next((1.2 if line >= 0 else -0.2 for line in lines if abs(line) < close), 0.5)
            label.setAnchor((beside, 1.0))
            label.setPos(mark.frequency, max(float(y[nearest]) for y in curves))
