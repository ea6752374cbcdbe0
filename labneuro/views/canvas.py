# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Panels in a window: laid out once, brought up to date in place, read under the cursor, and saved."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labneuro.views.colours import DARK, LIGHT, Paper
from labneuro.views.composition import Page, arrange, natural_size
from labneuro.views.drawing import Picture
from labneuro.views.figure import save_figure
from labneuro.views.lettering import Pencil
from labneuro.views.panels import CurvePanel, Panel
from labneuro.views.plain_text import as_csv
from labneuro.views.qt import QtCore, QtGui, pg
from labneuro.views.wording import is_dark

FILES = "Pictures (*.png *.svg *.pdf);;Values (*.csv)"
"""What a canvas can be saved as, in the words of a file dialog."""

_SQUEEZED = 0.6  # of the size at which panels need no squeezing: less is not shown
_NEAR = 24  # pixels from the cursor within which a point is read


class Canvas(pg.GraphicsView):
    """Panels that change. said: emitted with what lies under the cursor, in words.

    panels: those that are shown, as they were given.
    """

    said = QtCore.Signal(str)

    def __init__(self) -> None:
        self.panels: Sequence[Panel] = ()  # before all others: Qt resizes what it makes
        self._page: Page | None = None
        self._on: Paper | None = None
        self._layout: object = None
        self._turned: set[str] = set()
        super().__init__(background=LIGHT.ground)  # pyright: ignore[reportArgumentType] - any colour does
        self._paint_ground()
        self.setMouseTracking(True)

    def show_panels(self, panels: Sequence[Panel]) -> None:
        """Show panels; where they are of the form of those before, only what has changed is drawn."""
        self.panels = panels
        if not panels:
            self._page = self._layout = None
            self.setCentralItem(pg.GraphicsWidget())
            return
        rows = arrange([self._as_turned(panel) for panel in panels], "")
        layout = [(row.height, row.abreast, tuple(row.kinds)) for row in rows]
        shown = [panel for row in rows for panel in row.panels]
        if self._page is None or layout != self._layout:
            self._page, self._layout = Page(rows, self._pencil, lettered=False), layout
            self.setCentralItem(self._page.widget)
            self.setMinimumSize(*(round(_SQUEEZED * length) for length in natural_size(rows)))
            self._fit()
            return
        for number, (picture, panel) in enumerate(zip(self._page.pictures, shown, strict=True)):
            if picture.fits(panel):
                picture.show(panel)
            else:
                anew = Picture(panel, pencil=self._pencil)
                if picture.content is not None and anew.content is not None and type(panel) is type(picture.panel):
                    anew.content.axes.take_over(picture.content.axes)
                self._page.replace(number, anew)

    def export(self, path: Path, title: str) -> None:
        """Save what is shown: as a figure (.png, .svg, .pdf), or its values (.csv). Raises ValueError, OSError."""
        if path.suffix.lower() == ".csv":
            path.write_text(as_csv(self.panels), encoding="utf-8")
        else:
            save_figure([self._as_turned(panel) for panel in self.panels], path, title=title)

    def turn_logarithmic(self) -> None:
        """Make the y axis under the cursor logarithmic, or linear again; without a cursor those of all curves."""
        under = self._under(self.mapFromGlobal(QtGui.QCursor.pos()))
        titles = {p.title for p in self.panels if isinstance(p, CurvePanel) and under in {None, p.title}}
        self._turned ^= titles
        self.show_panels(self.panels)

    def show_all(self) -> None:
        """Undo all zooming and panning."""
        for picture in self._page.pictures if self._page is not None else ():
            if picture.content is not None:
                picture.content.axes.release()

    def resizeEvent(self, ev: QtGui.QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lay the panels out on the new size."""
        super().resizeEvent(ev)
        self._fit()

    def changeEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802
        """Take the colours of the new palette."""
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.PaletteChange and self._on not in {None, self._paper}:
            self._paint_ground()

    def mouseMoveEvent(self, ev: QtGui.QMouseEvent) -> None:  # noqa: N802
        """Say what is under the cursor."""
        super().mouseMoveEvent(ev)
        self.said.emit(self.read(ev.position().toPoint()))

    def leaveEvent(self, ev: QtCore.QEvent) -> None:  # noqa: N802
        """Say nothing any more."""
        super().leaveEvent(ev)
        self.said.emit("")

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:  # noqa: N802
        """Undo all zooming and panning."""
        super().mouseDoubleClickEvent(event)
        self.show_all()

    def read(self, place: QtCore.QPoint) -> str:
        """Return in words the point or cell at a place of the widget, "" where there is none."""
        found = self._plot_at(place)
        if found is None or found.content is None:
            return ""
        box = found.item.getViewBox()
        at = box.mapSceneToView(QtCore.QPointF(self.mapToScene(place)))
        width, height = box.viewPixelSize()
        words = found.content.read(at.x(), at.y(), (_NEAR * width, _NEAR * height))
        return f"{found.panel.title}: {words}" if words and found.panel.title else words

    @property
    def _pencil(self) -> Pencil:
        return Pencil(self.devicePixelRatioF(), self._paper, lasting=False)

    @property
    def _paper(self) -> Paper:
        return DARK if is_dark(self.palette()) else LIGHT

    def _paint_ground(self) -> None:
        self._on = self._paper
        self.setBackground(self._on.ground)
        self._layout = None
        self.show_panels(self.panels)

    def _as_turned(self, panel: Panel) -> Panel:
        """Return a panel with its y axis turned if a person wants that."""
        if not (isinstance(panel, CurvePanel) and panel.title in self._turned):
            return panel
        y_range = panel.y_range if panel.log_y or panel.y_range is None or panel.y_range[0] > 0 else None
        return replace(panel, log_y=not panel.log_y, y_range=y_range)

    def _fit(self) -> None:
        if self._page is not None:
            size = self.viewport().width(), self.viewport().height()
            self._page.fit(size)
            self._page.widget.setGeometry(0, 0, *size)  # which had the sizes before for a limit

    def _under(self, place: QtCore.QPoint) -> str | None:
        found = self._plot_at(place)
        return None if found is None else found.panel.title

    def _plot_at(self, place: QtCore.QPoint) -> Picture | None:
        at = self.mapToScene(place)
        for picture in self._page.pictures if self._page is not None else ():
            if picture.content is not None and picture.item.getViewBox().sceneBoundingRect().contains(at):
                return picture
        return None
