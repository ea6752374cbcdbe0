# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false, reportReturnType=false
"""Draw a quantity on a grid, such as the conductances of an array, as colours beside their scale."""

from math import ceil

import numpy as np

from labneuro.views.colours import INK, RGB, SERIES, WHITE
from labneuro.views.lettering import LABEL, TICK, Pencil, css, font
from labneuro.views.panels import ValueMapPanel
from labneuro.views.qt import QtCore, pg

_SHARP = 1000  # pixels of a map at least, so that programs that smooth images in SVG and PDF keep its edges
VIRIDIS: tuple[RGB, ...] = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140),
    (40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Colours of values of one sign: nine of viridis, S. van der Walt and N. Smith (2015), which lightens evenly."""
MISSING: RGB = (225, 225, 225)
_FEW = 12  # cells along an axis that all get their number


def draw_value_map(plot: pg.PlotItem, panel: ValueMapPanel, pencil: Pencil) -> None:
    """Draw `panel` into `plot`, whose axes are there already: row 0 on top, what is not known in grey."""
    rows, columns = panel.values.shape
    low, high = panel.range
    scale = _scale(low, high)
    known = np.isfinite(panel.values)
    part = np.clip((np.where(known, panel.values, low) - low) / (high - low), 0.0, 1.0)
    colours = np.asarray(scale.mapToByte(part.ravel())).reshape(rows, columns, -1)
    pixels = np.where(known[..., None], colours[..., :3], MISSING)
    fine = ceil(_SHARP / max(rows, columns))
    pixels = pixels.astype(np.uint8).repeat(fine, axis=0).repeat(fine, axis=1)
    image = pg.ImageItem(pixels, axisOrder="row-major", levels=(0, 255))
    image.setRect(QtCore.QRectF(-0.5, -0.5, columns, rows))
    plot.addItem(image)
    plot.getViewBox().invertY(True)
    plot.getViewBox().setRange(xRange=(-0.5, columns - 0.5), yRange=(-0.5, rows - 0.5), padding=0)
    for sides, cells, names in ((("bottom", "top"), columns, panel.columns), (("left", "right"), rows, panel.rows)):
        ticks = list(enumerate(names)) or ([(k, str(k)) for k in range(cells)] if cells <= _FEW else None)
        for side in sides:
            axis = plot.getAxis(side)
            axis.setTicks(None if ticks is None else [ticks])
            axis.setStyle(tickLength=0)
    _draw_bar(plot, panel, scale, pencil)


def _scale(low: float, high: float) -> pg.ColorMap:
    """Return the colours of a range: with white at zero if that is inside, else of evenly rising lightness."""
    if low < 0 < high:
        return pg.ColorMap([0.0, -low / (high - low), 1.0], [SERIES[0], WHITE, SERIES[1]])
    return pg.ColorMap(np.linspace(0.0, 1.0, len(VIRIDIS)), VIRIDIS)


def _draw_bar(plot: pg.PlotItem, panel: ValueMapPanel, scale: pg.ColorMap, pencil: Pencil) -> None:
    bar = pg.ColorBarItem(values=panel.range, colorMap=scale, width=14, interactive=False)
    bar.setImageItem([], insert_in=plot)
    axis = bar.axis
    for side in ("left", "top", "bottom", "right"):
        bar.getAxis(side).setPen(pencil.pen(INK, 1.0))
    axis.setTextPen(pg.mkPen(INK))
    axis.setTickFont(font(TICK))
    axis.label.setFont(font(LABEL))
    axis.enableAutoSIPrefix(bool(panel.unit))
    axis.setLabel(panel.label, units=panel.unit or None, color=css(INK))
