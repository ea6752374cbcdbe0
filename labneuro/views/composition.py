# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Compose panels into one figure: a title, rows of panels with letters, a legend of the points on maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, lcm
from string import ascii_lowercase

from labneuro.views.drawing import Picture
from labneuro.views.lettering import HEADLINE, Pencil, add_entry, legend_item, markup
from labneuro.views.panels import Panel, StateMapPanel, TablePanel
from labneuro.views.qt import QtCore, QtWidgets, application, pg
from labneuro.views.state_map import PointKind, markers, point_kinds

Size = tuple[int, int]
"""Width and height in pixels of 1/96 inch."""

_COLUMN_WIDTH, _SINGLE_WIDTH = 540, 720
_MAP_HEIGHT, _PLOT_HEIGHT, _LEGEND_HEIGHT, _TITLE_HEIGHT = 530, 300, 30, 40
_TABLE_HEIGHT, _TABLE_ROW_HEIGHT = 40, 28
_MARGIN, _SPACING = 14, 8
_SYMBOL_WIDTH, _LETTER_WIDTH = 40, 8  # in a legend


@dataclass(frozen=True)
class Row:
    """One row of a figure: its title, or panels side by side, or the legend of the points on its maps.

    height: in pixels, where there is room.
    """

    height: int
    title: str = ""
    panels: Sequence[Panel] = ()
    kinds: Sequence[PointKind] = ()

    @property
    def abreast(self) -> int:
        """How many parts share the width of the figure."""
        return max(len(self.panels), 1)


def arrange(panels: Sequence[Panel], title: str) -> list[Row]:
    """Return the rows of a figure: maps, the legend of their points, then the other panels.

    Two or three stand side by side; if they don't come out even, the first are wider. A single map takes the
    first of the others beside it. Raises ValueError for no panels.
    """
    if not panels:
        raise ValueError(f"figure {title!r}: there is nothing to draw: give at least one panel")
    maps = [panel for panel in panels if isinstance(panel, StateMapPanel)]
    others = [panel for panel in panels if not isinstance(panel, StateMapPanel)]
    kinds = dict.fromkeys(kind for panel in maps for kind in point_kinds(panel))
    beside = [others.pop(0)] if len(maps) == 1 and others else []
    above = [Row(_MAP_HEIGHT, panels=row) for row in _side_by_side([*maps, *beside], 2 if len(maps) < 3 else 3)]
    below = [Row(_height(row), panels=row) for row in _side_by_side(others, 2 if len(others) < 7 else 3)]
    if title:
        above.insert(0, Row(_TITLE_HEIGHT, title=title))
    if kinds:
        lines = ceil(len(kinds) / _legend_columns(list(kinds), natural_size([*above, *below])[0]))
        above.append(Row(_LEGEND_HEIGHT * lines, kinds=tuple(kinds)))
    return [*above, *below]


def _side_by_side(panels: Sequence[Panel], abreast: int) -> list[Sequence[Panel]]:
    odd = len(panels) % abreast
    rows = [panels[i : i + abreast] for i in range(odd, len(panels), abreast)]
    return [panels[:odd], *rows] if odd else rows


def _height(row: Sequence[Panel]) -> int:
    tables = [panel for panel in row if isinstance(panel, TablePanel)]
    if len(tables) < len(row):
        return _PLOT_HEIGHT
    return _TABLE_HEIGHT + _TABLE_ROW_HEIGHT * max(len(table.rows) for table in tables)


def natural_size(rows: Sequence[Row]) -> Size:
    """Return the size at which a figure of `rows` needs no squeezing."""
    abreast = max(row.abreast for row in rows)
    width = _SINGLE_WIDTH if abreast == 1 else _COLUMN_WIDTH * abreast
    return width, sum(row.height for row in rows) + (len(rows) - 1) * _SPACING + 2 * _MARGIN


class Page:
    """Rows of a figure on `widget`, an item of a scene; `fit` lays them out. pictures: of the panels, row after row.

    Several panels get letters if they are `lettered`.
    """

    def __init__(self, rows: Sequence[Row], pencil: Pencil, *, lettered: bool = True) -> None:
        self.widget = pg.GraphicsWidget()
        self.pictures: list[Picture] = []
        self._rows = rows
        self._columns = lcm(*(row.abreast for row in rows))
        self._grid = grid = QtWidgets.QGraphicsGridLayout()
        self.widget.setLayout(grid)
        grid.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        grid.setSpacing(_SPACING)
        letters = iter(ascii_lowercase if lettered and sum(len(row.panels) for row in rows) > 1 else "")
        for number, row in enumerate(rows):
            if row.title:
                title = pg.LabelItem(markup(row.title, HEADLINE, pencil.paper.ink, bold=True))
                grid.addItem(title, number, 0, 1, self._columns)
            if row.kinds:
                legend = _legend(row.kinds, natural_size(rows)[0], pencil)
                grid.addItem(legend, number, 0, 1, self._columns, QtCore.Qt.AlignmentFlag.AlignCenter)
            for place, panel in enumerate(row.panels):
                self.pictures.append(Picture(panel, next(letters, ""), pencil))
                self._put(self.pictures[-1], number, place)

    def fit(self, size: Size) -> None:
        """Lay the rows out on `size` pixels."""
        rows, columns = self._rows, self._columns
        for column in range(columns):
            self._grid.setColumnFixedWidth(column, (size[0] - 2 * _MARGIN - (columns - 1) * _SPACING) / columns)
        fixed = sum(row.height for row in rows if not row.panels)
        scale = (size[1] - 2 * _MARGIN - (len(rows) - 1) * _SPACING - fixed) / (sum(row.height for row in rows) - fixed)
        for number, row in enumerate(rows):
            self._grid.setRowFixedHeight(number, scale * row.height if row.panels else row.height)

    def replace(self, number: int, picture: Picture) -> None:
        """Put `picture` in the place of picture `number`."""
        places = [(row, place) for row, what in enumerate(self._rows) for place in range(what.abreast) if what.panels]
        old, self.pictures[number] = self.pictures[number], picture
        self._grid.removeItem(old.item)
        old.item.scene().removeItem(old.item)
        self._put(picture, *places[number])

    def _put(self, picture: Picture, row: int, place: int) -> None:
        span = self._columns // self._rows[row].abreast
        self._grid.addItem(picture.item, row, place * span, 1, span)


def compose(rows: Sequence[Row], size: Size, ratio: float = 1.0) -> pg.GraphicsView:
    """Return a figure of `rows`, laid out at `size` but on no screen; several panels get letters.

    ratio: device pixels to a pixel of the figure.
    """
    application()
    view = pg.GraphicsView(background="w")
    page = Page(rows, Pencil(ratio))
    view.page = page  # pyright: ignore[reportAttributeAccessIssue] - they live as long as each other
    page.fit(size)
    view.setCentralItem(page.widget)
    view.resize(*size)
    view.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen)
    view.show()  # Qt lays nothing out before that
    return view


def _legend(kinds: Sequence[PointKind], width: int, pencil: Pencil) -> pg.LegendItem:
    legend = legend_item(_legend_columns(kinds, width), pencil.paper, framed=False)
    for kind in kinds:
        add_entry(legend, markers(pencil, symbol=kind.symbol, brush=pg.mkBrush(kind.colour)), kind.meaning)
    return legend


def _legend_columns(kinds: Sequence[PointKind], width: int) -> int:
    """Return how many entries of a legend fit into one line of `width` pixels."""
    widest = _SYMBOL_WIDTH + _LETTER_WIDTH * max(len(kind.meaning) for kind in kinds)
    return max(min(width // widest, len(kinds)), 1)
