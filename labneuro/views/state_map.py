# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Draw a response map: regions of synchronisation, their borders and names, and the points laid over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from labneuro.signals import state_name
from labneuro.units import FloatArray
from labneuro.views.colours import INK, RGB, State, class_colour, ink_on, state_colours
from labneuro.views.lettering import NAME, Pencil, font, text_item
from labneuro.views.panels import StateMapPanel
from labneuro.views.qt import QtCore, QtGui, pg
from labneuro.views.regions import Regions, place_names

SYMBOLS = ("o", "s", "t1", "d", "p", "t", "star", "h", "t2", "t3")
SYMBOL_SIZE = 8
BORDER: RGB = (130, 130, 130)

_BELOW_POINTS = 1
_SHARP = 1000  # pixels of a map at least, so that programs that smooth images in SVG and PDF keep its edges


@dataclass(frozen=True)
class PointKind:
    """What one kind of point means and how it looks."""

    label: str
    state: State | None
    colour: RGB
    symbol: str

    @property
    def meaning(self) -> str:
        """The label, and the name of the state that stands for it."""
        return self.label if self.state is None else f"{self.label} ({state_name(self.state)})"


def point_kinds(panel: StateMapPanel) -> list[PointKind]:
    """Return the kinds of points on a map, one for each of `panel.points`."""
    places = [number if points.colour is None else points.colour for number, points in enumerate(panel.points)]
    return [
        PointKind(points.label, points.state, class_colour(place), SYMBOLS[place % len(SYMBOLS)])
        for place, points in zip(places, panel.points, strict=True)
    ]


def markers(kind: PointKind, xy: FloatArray, pencil: Pencil) -> pg.ScatterPlotItem:
    """Return points at `xy`, (points, 2), as symbols with a dark outline."""
    return pg.ScatterPlotItem(
        pos=xy,
        symbol=kind.symbol,
        size=SYMBOL_SIZE,
        brush=pg.mkBrush(kind.colour),
        pen=pencil.pen(INK, 0.8),
        useCache=False,  # drawn as curves in SVG and PDF, not as pictures
        antialias=True,
    )


def draw_state_map(plot: pg.PlotItem, panel: StateMapPanel, pencil: Pencil) -> None:
    """Draw `panel` into `plot`, whose axes are there already."""
    regions = Regions.of(panel.states)
    kinds = point_kinds(panel)
    wanted = {kind.state: kind.colour for kind in kinds if kind.state is not None}
    colours = state_colours(regions.states, wanted)
    palette = np.array([colours[state] for state in regions.states], dtype=np.uint8)
    step = _steps(panel)
    corner = np.array([panel.x[0], panel.y[0]]) - step / 2
    extent = step * regions.index.shape
    fine = ceil(_SHARP / max(regions.index.shape))
    pixels = palette[regions.index].repeat(fine, axis=0).repeat(fine, axis=1)
    image = pg.ImageItem(pixels, axisOrder="col-major", levels=(0, 255))
    image.setRect(QtCore.QRectF(*corner, *extent))
    plot.addItem(image)
    x, y = regions.borders()
    plot.addItem(
        pg.PlotCurveItem(corner[0] + step[0] * x, corner[1] + step[1] * y, connect="pairs", pen=pencil.pen(BORDER, 0.8))
    )
    for kind, points in zip(kinds, panel.points, strict=True):
        item = markers(kind, points.xy, pencil)
        item.setZValue(_BELOW_POINTS + 1)
        plot.addItem(item)
    room = 0.02 * extent  # around points that lie beyond the map
    shown = [corner, corner + extent]
    for points in panel.points:
        outside = points.xy[np.any((points.xy < corner) | (points.xy > corner + extent), axis=1)]
        shown += [outside - room, outside + room]
    low, high = np.vstack(shown).min(axis=0), np.vstack(shown).max(axis=0)
    plot.getViewBox().setRange(xRange=(low[0], high[0]), yRange=(low[1], high[1]), padding=0)
    if panel.names:
        _keep_names_placed(plot, panel, regions, colours)


def _steps(panel: StateMapPanel) -> FloatArray:
    return np.array([(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (panel.x, panel.y)])


def _keep_names_placed(plot: pg.PlotItem, panel: StateMapPanel, regions: Regions, colours: Mapping[State, RGB]) -> None:
    """Write the names of the regions, and write them anew whenever the plot changes its size."""
    step = _steps(panel)
    corner = np.array([panel.x[0], panel.y[0]]) - step / 2
    xy = [(points.xy - corner) / step for points in panel.points]
    points = np.concatenate(xy) if xy else np.empty((0, 2))
    metrics = QtGui.QFontMetricsF(font(NAME))
    items: list[pg.TextItem] = []

    def extent(text: str) -> tuple[float, float]:
        return metrics.horizontalAdvance(text) + 4, metrics.height() + 2

    def place() -> None:
        while items:
            plot.removeItem(items.pop())
        width, height = step / plot.getViewBox().viewPixelSize()
        for name in place_names(regions, (width, height), points, SYMBOL_SIZE / 2, extent):
            item = text_item(name.text, ink_on(colours[name.state]), NAME, anchor=(0.5, 0.5))
            item.setZValue(_BELOW_POINTS)
            item.setPos(*(corner + step * (name.x, name.y)))
            plot.addItem(item, ignoreBounds=True)
            items.append(item)

    plot.getViewBox().sigResized.connect(place)
