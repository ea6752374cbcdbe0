# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""Letters and lines of figures: fonts with sizes in pixels (points differ between platforms), texts, pens."""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from math import ceil
from typing import Any

from labneuro.views import FigureError
from labneuro.views.colours import INK, LIGHT, RGB, Paper
from labneuro.views.panels import Line
from labneuro.views.qt import QtCore, QtGui, QtWidgets, pg

FAMILIES = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans")
HEADLINE, TITLE, LABEL, TICK, NAME = 17, 14, 13, 12, 11

_SHARP = 1000  # pixels of a map at least, so that programs that smooth images in SVG and PDF keep its edges
_LONG = 500  # points of a line
_DASHES = {
    "solid": QtCore.Qt.PenStyle.SolidLine,
    "dashed": QtCore.Qt.PenStyle.DashLine,
    "dotted": QtCore.Qt.PenStyle.DotLine,
}


@lru_cache(maxsize=1)
def family() -> str:
    """Return the font family of figures; raises FigureError on a machine without any, where text is blank."""
    known = QtGui.QFontDatabase.families()
    for candidate in (*(name for name in FAMILIES if name in known), *known):
        if QtGui.QFontInfo(QtGui.QFont(candidate)).family():  # "" where there is nothing behind the name
            return candidate
    raise FigureError(
        "figures need a font and this machine has none. On Debian and Ubuntu: apt install fonts-dejavu-core"
    )


def font(size: int, *, bold: bool = False) -> QtGui.QFont:
    """Return the font of figures at `size` pixels."""
    chosen = QtGui.QFont(family())
    chosen.setPixelSize(size)
    chosen.setBold(bold)
    return chosen


def markup(text: str, size: int, ink: RGB = INK, *, bold: bool = False) -> str:
    """Return `text` as HTML in the font of figures."""
    weight = "bold" if bold else "normal"
    style = f"font-family:'{family()}'; font-size:{size}px; font-weight:{weight}; color:{css(ink)}"
    return f'<span style="{style}">{escape(text)}</span>'


def css(colour: RGB) -> str:
    """Return `colour` as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def text_item(text: str, colour: RGB, size: int, *, anchor: tuple[float, float], bold: bool = False) -> pg.TextItem:
    """Return `text` for a plot; `anchor` is the part of it at its position, (0, 0) the upper left corner."""
    item = pg.TextItem(text, color=colour, anchor=anchor)
    item.setFont(font(size, bold=bold))
    return item


def legend_item(columns: int, paper: Paper = LIGHT, *, framed: bool) -> pg.LegendItem:
    """Return an empty legend with so many columns, on the colour of the paper if `framed`; `add_entry` fills it."""
    legend = pg.LegendItem(
        colCount=columns,
        verSpacing=-4,
        brush=pg.mkBrush(*paper.ground, 200) if framed else None,
        labelTextSize=f"{TICK}px",
        labelTextColor=pg.mkColor(paper.ink),
    )
    QtWidgets.QGraphicsWidget.layout(legend).setContentsMargins(6, 3, 6, 3)  # an attribute of pyqtgraph hides it
    return legend


def add_entry(legend: pg.LegendItem, item: pg.GraphicsObject, text: str) -> None:
    """Add `item`, a curve or markers, to `legend` as `text`."""
    legend.addItem(item, escape(text))
    _, label = legend.items[-1]
    label.item.setFont(font(TICK))
    label.setText(label.text)  # measures it anew
    legend.updateSize()


@dataclass(frozen=True)
class Pencil:
    """What panels are drawn with. ratio: how many of the device's pixels, which Qt counts, a logical pixel takes.

    paper: what is drawn on. lasting: whether the picture goes into a file, where other programs may smooth images.
    """

    ratio: float = 1.0
    paper: Paper = LIGHT
    lasting: bool = True

    def pen(self, colour: RGB, width: float = 1.8, line: Line = "solid", points: int = 0) -> QtGui.QPen:
        """Return a pen for lines in plots, whatever the scales of the axes and the device; None for no line.

        width: in logical pixels. points: of the line. A long one in a window is one pixel of the device wide: Qt takes
        40 times as long for wider ones.
        """
        if line == "none":
            return QtGui.QPen(QtCore.Qt.PenStyle.NoPen)
        hair = points > _LONG and not self.lasting
        pen = pg.mkPen(colour, width=1.0 if hair else width * self.ratio, style=_DASHES[line])
        pen.setJoinStyle(QtCore.Qt.PenJoinStyle.RoundJoin)
        return pen

    def curve(self, colour: RGB, width: float = 1.8, line: Line = "solid", **options: Any) -> pg.PlotDataItem:
        """Return a curve without points. width: in logical pixels. options: of pyqtgraph."""
        curve = pg.PlotDataItem(pen=self.pen(colour, width, line), connect="finite", antialias=True, **options)
        if not self.lasting and line == "solid":  # piece by piece: Qt is slow where a line crosses itself
            curve.curve.setSegmentedLineMode("on")
        return curve

    def fine(self, cells: int) -> int:
        """Return how many pixels of an image each of so many `cells` along it gets, so that its edges stay sharp."""
        return ceil(_SHARP / cells) if self.lasting else 1
