# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Curves, their bands, reference lines and legend in a plot."""

from collections.abc import Sequence
from functools import partial
from math import ceil

import numpy as np

from labneuro.progress import number
from labneuro.units import FloatArray
from labneuro.views.axes import Axes, Range, roomy, shown, span
from labneuro.views.colours import RGB
from labneuro.views.lettering import NAME, Pencil, add_entry, legend_item, text_item
from labneuro.views.panels import Curve, CurvePanel, Level
from labneuro.views.placement import Box, Crowd
from labneuro.views.qt import pg

_Size = tuple[float, float]
_USUAL: _Size = (450.0, 220.0)
"""Width and height of a plot in a figure, in pixels: places of labels are chosen for it and hold for others."""
_X_MARGIN, _Y_MARGIN = 0.02, 0.06  # of the range of the data, left free at each end


class CurvePicture:
    """A panel of curves in `plot`, whose axes are there already."""

    def __init__(self, plot: pg.PlotItem, panel: CurvePanel, pencil: Pencil) -> None:
        self.axes = Axes(plot)
        self._x: Range | None = None
        self._y: Range | None = None
        self._arranged: object = None
        self._box, self._size = plot.getViewBox(), _USUAL
        self.panel = panel
        series = pencil.paper.series_colour
        self._curves = [
            _CurveItems(plot, curve, series(place if curve.colour is None else curve.colour), panel, pencil)
            for place, curve in enumerate(panel.curves)
        ]
        self._labels = [curve.label for curve in panel.curves if curve.label]
        self._legend: pg.LegendItem | None = None
        self._new_legend = partial(_legend, plot, self._curves, panel, pencil)
        self._levels = [_LevelItems(plot, level.label, pencil) for level in panel.levels]
        self.show(panel)
        if not pencil.lasting:
            self._box.sigResized.connect(self._fit)

    def show(self, panel: CurvePanel) -> None:
        """Show another panel of the same form."""
        self.panel = panel
        for items, curve in zip(self._curves, panel.curves, strict=True):
            items.show(curve, panel)
        self._x, self._y = _x_range(panel, self._x), _y_range(panel, self._y)
        arranged = self._x, self._y, tuple(level.value for level in panel.levels)
        if arranged != self._arranged:
            self._arranged = arranged
            self._arrange(self._x, self._y)

    def _fit(self) -> None:
        """Put legend and labels where there is room for them now."""
        size = self._box.width(), self._box.height()
        if min(size) > 1 and self._x is not None and self._y is not None:
            self._size = size
            self._arrange(self._x, self._y)

    def read(self, x: float, y: float, reach: tuple[float, float]) -> str:
        """Return in words the point nearest to (x, y), in the scales of the axes; reach: what counts as far in each."""
        panel, nearest, words = self.panel, np.inf, ""
        for curve in panel.curves:
            across = (shown(curve.x, log=panel.log_x) - x) / reach[0]
            distance = np.hypot(across, (shown(curve.y, log=panel.log_y) - y) / reach[1])
            if np.isfinite(distance).any() and np.nanmin(distance) < nearest:
                point = int(np.nanargmin(distance))
                nearest = float(distance[point])
                label = f"{curve.label}: " if curve.label else ""
                words = f"{label}{_said(panel.x_label, curve.x[point], panel.x_unit)}, " + _said(
                    panel.y_label, curve.y[point], panel.y_unit
                )
        return words

    def _arrange(self, x: Range, y: Range) -> None:
        """Set the ranges of the axes and put legend and labels where they hide the least."""
        panel = self.panel
        crowd = _crowd(panel, x, y)
        columns = 1 if len(self._labels) < 5 else 2
        corner = _legend_box(self._labels, columns, crowd, self._size)
        if self._labels and panel.y_range is None and crowd.hidden(corner):
            columns = max(int(0.9 / _legend_size(self._labels, 1, self._size)[0]), 1)
            height = min(_legend_size(self._labels, columns, self._size)[1], 0.5)
            y = y[0], y[0] + (y[1] - y[0]) / (1.0 - height)
            crowd = _crowd(panel, x, y)
            corner = _legend_box(self._labels, columns, crowd, self._size)
        self.axes.show(x, y)
        if self._labels:
            if self._legend is None or self._legend.columnCount != columns:
                if self._legend is not None:  # with other columns its layout would keep the rows that it had
                    self._legend.scene().removeItem(self._legend)
                self._legend = self._new_legend(columns)
            self._legend.setOffset((-8 if corner[0] > 0 else 8, -6 if corner[1] == 0 else 6))
            crowd.add_box(corner)
        for items, level in zip(self._levels, panel.levels, strict=True):
            items.show(level, panel, crowd, (x, y), self._size)


class _CurveItems:
    """A curve and its band."""

    def __init__(self, plot: pg.PlotItem, curve: Curve, colour: RGB, panel: CurvePanel, pencil: Pencil) -> None:
        x = shown(curve.x, log=panel.log_x)
        self._edges: list[pg.PlotCurveItem] = []
        if curve.band is not None:
            self._edges = [pg.PlotCurveItem(x, shown(e, log=panel.log_y), connect="finite") for e in curve.band]
            plot.addItem(pg.FillBetweenItem(*self._edges, brush=pg.mkBrush(*colour, 50)))
        self._pen = partial(pencil.pen, colour, line=curve.line)
        self.line = pencil.curve(
            colour,
            line=curve.line,
            symbol="o" if curve.marker else None,
            symbolSize=6,
            symbolBrush=pg.mkBrush(colour),
            symbolPen=None,
            useCache=not pencil.lasting,  # what lasts is drawn as curves in SVG and PDF, not as pictures
        )
        self.line.setData(x, shown(curve.y, log=panel.log_y), pen=self._pen(points=len(x)))
        plot.addItem(self.line)
        self._curve = curve

    def show(self, curve: Curve, panel: CurvePanel) -> None:
        if curve is self._curve or _same(curve, self._curve):
            return
        self._curve = curve
        x = shown(curve.x, log=panel.log_x)
        for item, edge in zip(self._edges, curve.band or (), strict=True):
            item.setData(x, shown(edge, log=panel.log_y), connect="finite")
        self.line.setData(x, shown(curve.y, log=panel.log_y), pen=self._pen(points=len(x)))


class _LevelItems:
    """A reference line and its label."""

    def __init__(self, plot: pg.PlotItem, label: str, pencil: Pencil) -> None:
        grey = pencil.paper.grey
        self._line = pg.InfiniteLine(angle=0, pen=pencil.pen(grey, 1.2, "dashed"))
        self._label = text_item(label, grey, NAME, anchor=(0.0, 0.0))
        plot.addItem(self._line)
        plot.addItem(self._label, ignoreBounds=True)

    def show(self, level: Level, panel: CurvePanel, crowd: Crowd, ranges: tuple[Range, Range], size: _Size) -> None:
        """Write the label at that end and side of the line where it hides the least."""
        x_range, y_range = ranges
        y = float(shown(np.array([level.value]), log=panel.log_y)[0])
        self._line.setPos(y)
        height = float(_in_unit_square(np.array([y]), y_range)[0])
        width, above, below = (8.0 + 6.4 * len(level.label)) / size[0], 15.0 / size[1], 18.0 / size[1]
        places = [
            (1.0, 0.85, (1.0 - width, height + 0.005, 1.0, height + above)),
            (0.0, 0.85, (0.0, height + 0.005, width, height + above)),
            (1.0, 0.1, (1.0 - width, height - below, 1.0, height - 0.005)),
            (0.0, 0.1, (0.0, height - below, width, height - 0.005)),
        ]
        side, anchor, box = places[crowd.freest([place[2] for place in places])]
        crowd.add_box(box)
        inset = 0.01 * (x_range[1] - x_range[0])
        self._label.setAnchor((side, anchor))
        self._label.setPos(x_range[0] + inset if side == 0.0 else x_range[1] - inset, y)


def _same(one: Curve, other: Curve) -> bool:
    """Return whether two curves of one form go through the same points."""
    pairs = [(one.x, other.x), (one.y, other.y), *zip(one.band or (), other.band or (), strict=True)]
    return all(a is b or np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _said(label: str, value: float, unit: str) -> str:
    return f"{label} {number(value, unit)}"


def _x_range(panel: CurvePanel, before: Range | None) -> Range:
    if panel.x_range is not None:
        low, high = shown(np.array(panel.x_range), log=panel.log_x)
        return float(low), float(high)
    return roomy(span([shown(curve.x, log=panel.log_x) for curve in panel.curves], _X_MARGIN), before, _X_MARGIN)


def _y_range(panel: CurvePanel, before: Range | None) -> Range:
    if panel.y_range is not None:
        low, high = shown(np.array(panel.y_range), log=panel.log_y)
        return float(low), float(high)
    values = [curve.y for curve in panel.curves]
    values += [edge for curve in panel.curves for edge in curve.band or ()]
    values.append(np.array([level.value for level in panel.levels]))
    return roomy(span([shown(v, log=panel.log_y) for v in values], _Y_MARGIN), before, _Y_MARGIN)


def _in_unit_square(values: FloatArray, limits: Range) -> FloatArray:
    return (np.asarray(values, dtype=np.float64) - limits[0]) / (limits[1] - limits[0])


def _crowd(panel: CurvePanel, x_range: Range, y_range: Range) -> Crowd:
    crowd = Crowd()
    for curve in panel.curves:
        for edge in (curve.y, *(curve.band or ())):
            y = _in_unit_square(shown(edge, log=panel.log_y), y_range)
            crowd.add_curve(_in_unit_square(shown(curve.x, log=panel.log_x), x_range), y)
    for level in panel.levels:
        y = _in_unit_square(shown(np.array([level.value]), log=panel.log_y), y_range)
        crowd.add_curve(np.array([0.0, 1.0]), np.repeat(y, 2))
    return crowd


def _legend_size(labels: Sequence[str], columns: int, size: _Size) -> tuple[float, float]:
    """Return width and height of a legend as fractions of the plot's."""
    rows = ceil(len(labels) / columns)
    return columns * (44.0 + 7.0 * max(map(len, labels))) / size[0], (12.0 + 23.0 * rows) / size[1]


def _legend_box(labels: Sequence[str], columns: int, crowd: Crowd, size: _Size) -> Box:
    """Return the corner of the plot where a legend hides the least."""
    if not labels:
        return (0.0, 0.0, 0.0, 0.0)
    width, height = _legend_size(labels, columns, size)
    left, bottom, right, top = 0.0, 0.0, max(1.0 - width, 0.0), max(1.0 - height, 0.0)
    boxes = [
        (x, y, min(x + width, 1.0), min(y + height, 1.0))
        for x, y in ((right, top), (right, bottom), (left, top), (left, bottom))
    ]
    return boxes[crowd.freest(boxes)]


def _legend(
    plot: pg.PlotItem, items: Sequence[_CurveItems], panel: CurvePanel, pencil: Pencil, columns: int
) -> pg.LegendItem:
    legend = legend_item(columns, pencil.paper, framed=True)
    legend.setParentItem(plot.getViewBox())
    for item, curve in zip(items, panel.curves, strict=True):
        if curve.label:
            add_entry(legend, item.line, curve.label)
    return legend
