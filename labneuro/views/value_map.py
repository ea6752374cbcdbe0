# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false, reportReturnType=false
"""A quantity on a grid, such as the conductances of an array, as colours beside their scale."""

import numpy as np
from numpy.typing import NDArray

from labneuro.progress import number
from labneuro.views.axes import Axes, Range, roomy
from labneuro.views.colours import RGB, SERIES, WHITE
from labneuro.views.lettering import LABEL, TICK, Pencil, css, font
from labneuro.views.panels import ValueMapPanel
from labneuro.views.qt import QtCore, pg

VIRIDIS: tuple[RGB, ...] = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140),
    (40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Colours of values of one sign: nine of viridis, S. van der Walt and N. Smith (2015), which lightens evenly."""
MISSING: RGB = (225, 225, 225)
_FEW = 12  # cells along an axis that all get their number
_COLOURS = 4096  # along a scale: more than 8 bits can tell apart


class ValueMapPicture:
    """A map of values in `plot`, whose axes are there already: row 0 on top, what is not known in grey."""

    def __init__(self, plot: pg.PlotItem, panel: ValueMapPanel, pencil: Pencil) -> None:
        self.axes = Axes(plot)
        self._pencil = pencil
        rows, columns = panel.values.shape
        self._image = pg.ImageItem(axisOrder="row-major")
        plot.addItem(self._image)
        plot.getViewBox().invertY(True)
        self.axes.show((-0.5, columns - 0.5), (-0.5, rows - 0.5))
        for sides, cells, names in ((("bottom", "top"), columns, panel.columns), (("left", "right"), rows, panel.rows)):
            ticks = list(enumerate(names)) or ([(k, str(k)) for k in range(cells)] if cells <= _FEW else None)
            for side in sides:
                axis = plot.getAxis(side)
                axis.setTicks(None if ticks is None else [ticks])
                axis.setStyle(tickLength=0)
        self._limits: Range = panel.range
        scale = _scale(*self._limits)
        self._table = _table(scale)
        self._bar = _bar(plot, panel, self._limits, scale, pencil)
        self._draw(panel)
        self._image.setRect(QtCore.QRectF(-0.5, -0.5, columns, rows))

    def show(self, panel: ValueMapPanel) -> None:
        """Show another panel of the same form."""
        if panel.limits == self.panel.limits and np.array_equal(panel.values, self.panel.values, equal_nan=True):
            self.panel = panel
            return
        limits = panel.range if panel.limits is not None else _kept(panel.range, self._limits)
        if limits != self._limits:
            scale = _scale(*limits)
            self._limits, self._table = limits, _table(scale)
            self._bar.setColorMap(scale)
            self._bar.setLevels(limits)
        self._draw(panel)

    def read(self, x: float, y: float, _reach: tuple[float, float]) -> str:
        """Return in words the cell at (x, y)."""
        panel, row, column = self.panel, round(y), round(x)
        rows, columns = panel.values.shape
        if not (0 <= row < rows and 0 <= column < columns):
            return ""
        names = [n[k] if n else str(k) for n, k in ((panel.rows, row), (panel.columns, column))]
        value = panel.values[row, column]
        said = number(value, panel.unit) if np.isfinite(value) else "not known"
        return f"{panel.row_label} {names[0]}, {panel.column_label} {names[1]}: {panel.label} {said}"

    def _draw(self, panel: ValueMapPanel) -> None:
        self.panel = panel
        low, high = self._limits
        known = np.isfinite(panel.values)
        part = np.clip((np.where(known, panel.values, low) - low) / (high - low), 0.0, 1.0)
        pixels = self._table[np.where(known, np.rint(_COLOURS * part), _COLOURS + 1).astype(np.intp)]
        fine = self._pencil.fine(max(panel.values.shape))
        pixels = pixels.repeat(fine, axis=0).repeat(fine, axis=1)
        self._image.setImage(pixels, autoLevels=False, levels=(0, 255))


def _kept(wanted: Range, before: Range) -> Range:
    """Return the ends of a scale that seldom change; about 0 they stay even."""
    if wanted[0] < 0 < wanted[1]:
        high = roomy((0.0, wanted[1]), (0.0, before[1]) if before[0] < 0 < before[1] else None)[1]
        return -high, high
    low, high = roomy(wanted, None if before[0] < 0 < before[1] else before)
    return (max(low, 0.0), high) if wanted[0] >= 0 else (low, min(high, 0.0))


def _scale(low: float, high: float) -> pg.ColorMap:
    """Return the colours of a range: with white at zero if that is inside, else of evenly rising lightness."""
    if low < 0 < high:
        return pg.ColorMap([0.0, -low / (high - low), 1.0], [SERIES[0], WHITE, SERIES[1]])
    return pg.ColorMap(np.linspace(0.0, 1.0, len(VIRIDIS)), VIRIDIS)


def _table(scale: pg.ColorMap) -> NDArray[np.uint8]:
    """Return the colours of a scale, (_COLOURS + 1, 3), and in one more row that of what is missing."""
    colours = np.asarray(scale.mapToByte(np.linspace(0.0, 1.0, _COLOURS + 1)))[:, :3]
    return np.vstack([colours, MISSING]).astype(np.uint8)


def _bar(plot: pg.PlotItem, panel: ValueMapPanel, limits: Range, scale: pg.ColorMap, pencil: Pencil) -> pg.ColorBarItem:
    ink = pencil.paper.ink
    bar = pg.ColorBarItem(values=limits, colorMap=scale, width=14, interactive=False)
    bar.setImageItem([], insert_in=plot)
    axis = bar.axis
    for side in ("left", "top", "bottom", "right"):
        bar.getAxis(side).setPen(pencil.pen(ink, 1.0))
    axis.setTextPen(pg.mkPen(ink))
    axis.setTickFont(font(TICK))
    axis.label.setFont(font(LABEL))
    axis.enableAutoSIPrefix(bool(panel.unit))
    axis.setLabel(panel.label, units=panel.unit or None, color=css(ink))
    return bar
