# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Draw curves, their bands, reference lines and legend into a plot."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from labneuro.units import FloatArray
from labneuro.views.colours import RGB, series_colour
from labneuro.views.lettering import NAME, Pencil, add_entry, legend_item, text_item
from labneuro.views.panels import Curve, CurvePanel
from labneuro.views.placement import Box, Crowd
from labneuro.views.qt import pg

GREY: RGB = (110, 110, 110)
Range = tuple[float, float]

# A plot of usual size, in pixels: places of labels are chosen for it, once, and hold for others.
_WIDTH, _HEIGHT = 450.0, 220.0


def shown(values: FloatArray, *, log: bool) -> FloatArray:
    """Return `values` as the axis takes them: on a logarithmic one log10, NaN where there is none."""
    if not log:
        return np.asarray(values, dtype=np.float64)
    return np.log10(np.where(np.asarray(values) > 0, values, np.nan))


def span(values: Sequence[FloatArray], margin: float) -> Range:
    """Return the range of all finite `values`, widened by the fraction `margin` of it at both ends."""
    everything = np.concatenate([np.ravel(v) for v in values]) if values else np.empty(0)
    finite = everything[np.isfinite(everything)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        margin, high, low = 0.1, low + 0.5 * (abs(low) or 1.0), low - 0.5 * (abs(low) or 1.0)
    return low - margin * (high - low), high + margin * (high - low)


def draw_curves(plot: pg.PlotItem, panel: CurvePanel, pencil: Pencil) -> None:
    """Draw `panel` into `plot`, whose axes are there already."""
    x_range = panel.x_range or span([curve.x for curve in panel.curves], 0.02)
    y_range = _y_range(panel)
    labels = [curve.label for curve in panel.curves if curve.label]
    crowd = _crowd(panel, x_range, y_range)
    columns = 1 if len(labels) < 5 else 2
    corner = _legend_box(labels, columns, crowd)
    if labels and panel.y_range is None and crowd.hidden(corner):
        columns = max(int(0.9 / _legend_size(labels, 1)[0]), 1)
        y_range = (
            y_range[0],
            y_range[0] + (y_range[1] - y_range[0]) / (1.0 - _legend_size(labels, columns)[1]),
        )
        crowd = _crowd(panel, x_range, y_range)
        corner = _legend_box(labels, columns, crowd)
    plot.getViewBox().setRange(xRange=x_range, yRange=y_range, padding=0)
    legend = _legend(plot, corner, columns) if labels else None
    for place, curve in enumerate(panel.curves):
        item = _draw_curve(plot, curve, series_colour(place if curve.colour is None else curve.colour), panel, pencil)
        if legend is not None and curve.label:
            add_entry(legend, item, curve.label)
    if labels:
        crowd.add_box(corner)
    _draw_levels(plot, panel, crowd, x_range, y_range, pencil)


def _y_range(panel: CurvePanel) -> Range:
    if panel.y_range is not None:
        low, high = shown(np.array(panel.y_range), log=panel.log_y)
        return float(low), float(high)
    values = [curve.y for curve in panel.curves]
    values += [edge for curve in panel.curves for edge in curve.band or ()]
    values.append(np.array([level.value for level in panel.levels]))
    return span([shown(v, log=panel.log_y) for v in values], 0.06)


def _draw_curve(plot: pg.PlotItem, curve: Curve, colour: RGB, panel: CurvePanel, pencil: Pencil) -> pg.PlotDataItem:
    if curve.band is not None:
        edges = [pg.PlotCurveItem(curve.x, shown(edge, log=panel.log_y), connect="finite") for edge in curve.band]
        plot.addItem(pg.FillBetweenItem(*edges, brush=pg.mkBrush(*colour, 50)))
    item = pg.PlotDataItem(
        curve.x,
        shown(curve.y, log=panel.log_y),
        pen=pencil.pen(colour, line=curve.line),
        connect="finite",
        symbol="o" if curve.marker else None,
        symbolSize=6,
        symbolBrush=pg.mkBrush(colour),
        symbolPen=None,
        useCache=False,  # drawn as curves in SVG and PDF, not as pictures
        antialias=True,
    )
    plot.addItem(item)
    return item


def _in_unit_square(values: FloatArray, limits: Range) -> FloatArray:
    return (np.asarray(values, dtype=np.float64) - limits[0]) / (limits[1] - limits[0])


def _crowd(panel: CurvePanel, x_range: Range, y_range: Range) -> Crowd:
    crowd = Crowd()
    for curve in panel.curves:
        for edge in (curve.y, *(curve.band or ())):
            y = _in_unit_square(shown(edge, log=panel.log_y), y_range)
            crowd.add_curve(_in_unit_square(curve.x, x_range), y)
    for level in panel.levels:
        y = _in_unit_square(shown(np.array([level.value]), log=panel.log_y), y_range)
        crowd.add_curve(np.array([0.0, 1.0]), np.repeat(y, 2))
    return crowd


def _legend_size(labels: Sequence[str], columns: int) -> tuple[float, float]:
    """Return width and height of a legend as fractions of the plot's."""
    rows = ceil(len(labels) / columns)
    return columns * (44.0 + 7.0 * max(map(len, labels))) / _WIDTH, (12.0 + 23.0 * rows) / _HEIGHT


def _legend_box(labels: Sequence[str], columns: int, crowd: Crowd) -> Box:
    """Return the corner of the plot where a legend hides the least."""
    if not labels:
        return (0.0, 0.0, 0.0, 0.0)
    width, height = _legend_size(labels, columns)
    left, bottom, right, top = 0.0, 0.0, max(1.0 - width, 0.0), max(1.0 - height, 0.0)
    boxes = [
        (x, y, min(x + width, 1.0), min(y + height, 1.0))
        for x, y in ((right, top), (right, bottom), (left, top), (left, bottom))
    ]
    return boxes[crowd.freest(boxes)]


def _legend(plot: pg.PlotItem, corner: Box, columns: int) -> pg.LegendItem:
    legend = legend_item(columns, framed=True)
    legend.setParentItem(plot.getViewBox())
    legend.setOffset((-8 if corner[0] > 0 else 8, -6 if corner[1] == 0 else 6))
    return legend


def _draw_levels(
    plot: pg.PlotItem, panel: CurvePanel, crowd: Crowd, x_range: Range, y_range: Range, pencil: Pencil
) -> None:
    """Draw the reference lines, each with its label at that end and side where it hides the least."""
    for level in panel.levels:
        y = float(shown(np.array([level.value]), log=panel.log_y)[0])
        plot.addItem(pg.InfiniteLine(y, angle=0, pen=pencil.pen(GREY, 1.2, "dashed")))
        height = float(_in_unit_square(np.array([y]), y_range)[0])
        width, above, below = (8.0 + 6.4 * len(level.label)) / _WIDTH, 15.0 / _HEIGHT, 18.0 / _HEIGHT
        places = [
            (1.0, 0.85, (1.0 - width, height + 0.005, 1.0, height + above)),
            (0.0, 0.85, (0.0, height + 0.005, width, height + above)),
            (1.0, 0.1, (1.0 - width, height - below, 1.0, height - 0.005)),
            (0.0, 0.1, (0.0, height - below, width, height - 0.005)),
        ]
        side, anchor, box = places[crowd.freest([place[2] for place in places])]
        crowd.add_box(box)
        label = text_item(level.label, GREY, NAME, anchor=(side, anchor))
        inset = 0.01 * (x_range[1] - x_range[0])
        label.setPos(x_range[0] + inset if side == 0.0 else x_range[1] - inset, y)
        plot.addItem(label, ignoreBounds=True)
