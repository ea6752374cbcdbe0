# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""A response map: regions of synchronisation, their borders and names, and the points laid over them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labneuro.progress import number
from labneuro.signals import state_name
from labneuro.units import FloatArray
from labneuro.views.axes import Axes
from labneuro.views.colours import INK, RGB, State, class_colour, ink_on, state_colours
from labneuro.views.lettering import NAME, Pencil, font, text_item
from labneuro.views.panels import StateMapPanel
from labneuro.views.qt import QtCore, QtGui, pg
from labneuro.views.regions import RegionName, Regions, place_names

SYMBOLS = ("o", "s", "t1", "d", "p", "t", "star", "h", "t2", "t3")
SYMBOL_SIZE = 8
BORDER: RGB = (130, 130, 130)
NAMING = 1.0
"""Time between two placements of names on a map that changes, s."""

_BELOW_POINTS = 1


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


def markers(pencil: Pencil, **look: Any) -> pg.ScatterPlotItem:
    """Return an item for points: symbols with a dark outline. look: their symbol and brush, where all have the same."""
    return pg.ScatterPlotItem(
        size=SYMBOL_SIZE,
        pen=pencil.pen(INK, 0.8),
        useCache=not pencil.lasting,  # what lasts is drawn as curves in SVG and PDF, not as pictures
        antialias=True,
        **look,
    )


def _set_points(item: pg.ScatterPlotItem, kinds: Sequence[PointKind], xy: Sequence[FloatArray]) -> None:
    """Put points of each kind at its `xy`; all in one item, which takes a fraction of the time of one for each."""
    brushes = [pg.mkBrush(kind.colour) for kind in kinds]
    looks = [(kind.symbol, brush) for kind, brush, at in zip(kinds, brushes, xy, strict=True) for _ in at]
    if looks:
        item.setData(pos=np.concatenate(xy), symbol=[look[0] for look in looks], brush=[look[1] for look in looks])
    else:
        item.setData(pos=np.empty((0, 2)))


class StateMapPicture:
    """A response map in `plot`, whose axes are there already."""

    def __init__(self, plot: pg.PlotItem, panel: StateMapPanel, pencil: Pencil) -> None:
        self.axes = Axes(plot)
        self.panel = panel
        self._pencil = pencil
        self._kinds = point_kinds(panel)
        self._wanted = {kind.state: kind.colour for kind in self._kinds if kind.state is not None}
        self._image = pg.ImageItem(axisOrder="col-major")
        self._borders = pg.PlotCurveItem(pen=pencil.pen(BORDER, 0.8))
        self._points = markers(pencil)
        _set_points(self._points, self._kinds, [points.xy for points in panel.points])
        self._points.setZValue(_BELOW_POINTS + 1)
        for item in (self._image, self._borders, self._points):
            plot.addItem(item)
        self._place = QtCore.QRectF()
        self._names = _Names(plot) if panel.names else None
        self._draw(panel)

    def show(self, panel: StateMapPanel) -> None:
        """Show another panel of the same form."""
        before, self.panel = self.panel, panel
        pairs = [(before.x, panel.x), (before.y, panel.y), (before.states, panel.states)]
        moved = not all(_same(one.xy, other.xy) for one, other in zip(before.points, panel.points, strict=True))
        if moved:
            _set_points(self._points, self._kinds, [points.xy for points in panel.points])
        if moved or not all(_same(*pair) for pair in pairs):
            self._draw(panel)

    def read(self, x: float, y: float, _reach: tuple[float, float]) -> str:
        """Return in words the cell at (x, y)."""
        panel = self.panel
        i, j = np.floor((np.array([x, y]) - _corner(panel)) / _steps(panel)).astype(int)
        if not (0 <= i < len(panel.x) and 0 <= j < len(panel.y)):
            return ""
        state = state_name(tuple(int(source) for source in panel.states[i, j]))
        a, b = number(panel.x[i], panel.x_unit), number(panel.y[j], panel.y_unit)
        return f"{panel.x_label} {a}, {panel.y_label} {b}: {state}"

    def _draw(self, panel: StateMapPanel) -> None:
        regions = Regions.of(panel.states)
        colours = state_colours(regions.states, self._wanted)
        palette = np.array([colours[state] for state in regions.states], dtype=np.uint8)
        step, corner = _steps(panel), _corner(panel)
        extent = step * regions.index.shape
        fine = self._pencil.fine(max(regions.index.shape))
        pixels = palette[regions.index].repeat(fine, axis=0).repeat(fine, axis=1)
        self._image.setImage(pixels, autoLevels=False, levels=(0, 255))
        if (place := QtCore.QRectF(*corner, *extent)) != self._place:
            self._place = place
            self._image.setRect(place)
        x, y = regions.borders()
        self._borders.setData(corner[0] + step[0] * x, corner[1] + step[1] * y, connect="pairs", skipFiniteCheck=True)
        self._show_all(panel, corner, extent)
        if self._names is not None:
            self._names.say(regions, colours, panel)

    def _show_all(self, panel: StateMapPanel, corner: FloatArray, extent: FloatArray) -> None:
        """Set the ranges such that points beyond the map are shown, too."""
        room = 0.02 * extent
        seen = [corner, corner + extent]
        for points in panel.points:
            outside = points.xy[np.any((points.xy < corner) | (points.xy > corner + extent), axis=1)]
            seen += [outside - room, outside + room]
        low, high = np.vstack(seen).min(axis=0).tolist(), np.vstack(seen).max(axis=0).tolist()
        self.axes.show((low[0], high[0]), (low[1], high[1]))


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one is other or np.array_equal(one, other)


def _steps(panel: StateMapPanel) -> FloatArray:
    return np.array([(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (panel.x, panel.y)])


def _corner(panel: StateMapPanel) -> FloatArray:
    return np.array([panel.x[0], panel.y[0]]) - _steps(panel) / 2


class _Names:
    """The names of the regions of a map in `plot`: placed anew when it changes its size, soon after the map does."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._plot = plot
        self._items: dict[State, pg.TextItem] = {}
        self._placed = 0.0
        self._later = QtCore.QTimer(plot, singleShot=True)
        self._later.timeout.connect(self._place)
        plot.getViewBox().sigResized.connect(self._place)

    def say(self, regions: Regions, colours: Mapping[State, RGB], panel: StateMapPanel) -> None:
        """Name these regions, but not more often than a person can read."""
        self._regions, self._colours, self._panel = regions, colours, panel
        if self._placed and not self._later.isActive():
            self._later.start(round(1e3 * max(0.0, self._placed + NAMING - time.monotonic())))

    def _place(self) -> None:
        self._placed = time.monotonic()
        panel, step, corner = self._panel, _steps(self._panel), _corner(self._panel)
        xy = [(points.xy - corner) / step for points in panel.points]
        points = np.concatenate(xy) if xy else np.empty((0, 2))
        metrics = QtGui.QFontMetricsF(font(NAME))

        def extent(text: str) -> tuple[float, float]:
            return metrics.horizontalAdvance(text) + 4, metrics.height() + 2

        width, height = step / self._plot.getViewBox().viewPixelSize()
        names = place_names(self._regions, (width, height), points, SYMBOL_SIZE / 2, extent)
        for state in self._items.keys() - {name.state for name in names}:
            self._plot.removeItem(self._items.pop(state))
        for name in names:
            if name.state not in self._items:
                self._items[name.state] = self._item(name)
            self._items[name.state].setPos(*(corner + step * (name.x, name.y)))

    def _item(self, name: RegionName) -> pg.TextItem:
        item = text_item(name.text, ink_on(self._colours[name.state]), NAME, anchor=(0.5, 0.5))
        item.setZValue(_BELOW_POINTS)
        self._plot.addItem(item, ignoreBounds=True)
        return item
