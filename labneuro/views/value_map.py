# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false, reportReturnType=false
"""Draw a quantity on a grid, such as the conductances of an array, as colours beside their scale."""

from math import ceil

import numpy as np

from labneuro.views.colours import INK, SERIES, WHITE
from labneuro.views.lettering import LABEL, TICK, Pencil, css, font
from labneuro.views.panels import ValueMapPanel
from labneuro.views.qt import QtCore, pg

_SHARP = 1000  # pixels of a map at least, so that programs that smooth images in SVG and PDF keep its edges
_MISSING = (225, 225, 225)
_FEW = 12  # cells along an axis that all get their number


def draw_value_map(plot: pg.PlotItem, panel: ValueMapPanel, pencil: Pencil) -> None:
    """Draw `panel` into `plot`, whose axes are there already: row 0 on top, what is not known in grey."""
    rows, columns = panel.values.shape
    low, high = panel.range
    scale = _scale(low, high)
    known = np.isfinite(panel.values)
    part = np.clip((np.where(known, panel.values, low) - low) / (high - low), 0.0, 1.0)
    pixels = np.where(known[..., None], scale.map(part.ravel()).reshape(rows, columns, -1)[..., :3], _MISSING)
    fine = ceil(_SHARP / max(rows, columns))
    pixels = pixels.astype(np.uint8).repeat(fine, axis=0).repeat(fine, axis=1)
    image = pg.ImageItem(pixels, axisOrder="row-major", levels=(0, 255))
    image.setRect(QtCore.QRectF(-0.5, -0.5, columns, rows))
    plot.addItem(image)
    plot.invertY(True)
    plot.getViewBox().setRange(xRange=(-0.5, columns - 0.5), yRange=(-0.5, rows - 0.5), padding=0)
    for sides, cells, names in ((("bottom", "top"), columns, panel.columns), (("left", "right"), rows, panel.rows)):
        ticks = list(enumerate(names)) or ([(k, str(k)) for k in range(cells)] if cells <= _FEW else None)
        for side in sides:
            axis = plot.getAxis(side)
            axis.setTicks(None if ticks is None else [ticks])
            axis.setStyle(tickLength=0)
    _draw_bar(plot, panel, scale, pencil)


def _scale(low: float, high: float) -> pg.ColorMap:
    """Return the colours of a range: with white at zero if that is inside."""
    if low < 0 < high:
        zero = -low / (high - low)
        return pg.ColorMap([0.0, zero, 1.0], [SERIES[0], WHITE, SERIES[1]])
    return pg.colormap.get("viridis")


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
