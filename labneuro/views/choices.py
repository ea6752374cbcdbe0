"""A list to choose from, with a line on each entry: what it is, or why it can't be chosen."""

from collections.abc import Iterable
from dataclasses import dataclass

from labneuro.views.qt import QtCore, QtGui, QtWidgets

_CHOICE = QtCore.Qt.ItemDataRole.UserRole
_ENABLED = QtCore.Qt.ItemFlag.ItemIsEnabled
_WRAPPED = int(QtCore.Qt.TextFlag.TextWordWrap)
_SIDE, _ABOVE = 10, 6  # pixels around the text of an entry
_Index = QtCore.QModelIndex | QtCore.QPersistentModelIndex


@dataclass(frozen=True)
class Choice:
    """An entry of a list. line: what it is. problem: why it can't be chosen, "" if it can."""

    name: str
    line: str = ""
    problem: str = ""


class Choices(QtWidgets.QListWidget):
    """A list of which one entry is chosen, or none. itemSelectionChanged: emitted when that changes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setItemDelegate(_TwoLines(self))
        self.setResizeMode(self.ResizeMode.Adjust)
        self.setVerticalScrollMode(self.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    @property
    def choice(self) -> str:
        """The name of what is chosen, "" if nothing is."""
        return next((item.text() for item in self.selectedItems()), "")

    def choose(self, name: str) -> None:
        """Choose an entry by its name, none if there is none that can be chosen."""
        self.clearSelection()
        for item in self._items():
            if item.text() == name and item.flags() & _ENABLED:
                self.setCurrentItem(item)

    def show_choices(self, choices: Iterable[Choice]) -> None:
        """Show these entries, and keep what is chosen if it is among them and can be."""
        choices, before = list(choices), self.choice
        if [choice.name for choice in choices] != [item.text() for item in self._items()]:
            self.clear()
            self.addItems([choice.name for choice in choices])
        for item, choice in zip(self._items(), choices, strict=True):
            item.setData(_CHOICE, choice)
            item.setToolTip(choice.problem or choice.line)
            item.setFlags(item.flags() & ~_ENABLED if choice.problem else item.flags() | _ENABLED)
        if self.choice != before:
            self.choose(before)

    def _items(self) -> list[QtWidgets.QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]


class _TwoLines(QtWidgets.QStyledItemDelegate):
    """Draws the name of an entry, and below it its line, as long as that is."""

    def __init__(self, view: Choices) -> None:
        super().__init__(view)
        self._view = view

    def paint(self, painter: QtGui.QPainter, option: QtWidgets.QStyleOptionViewItem, index: _Index) -> None:
        view, choice, palette = self._view, _choice(index), self._view.palette()
        option.widget = view
        view.style().drawPrimitive(QtWidgets.QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, view)
        roles, groups = palette.ColorRole, palette.ColorGroup
        if choice.problem:
            inks = palette.color(groups.Disabled, roles.Text), palette.color(roles.PlaceholderText)
        elif option.state & QtWidgets.QStyle.StateFlag.State_Selected:
            inks = palette.color(roles.HighlightedText), palette.color(roles.HighlightedText)
        else:
            inks = palette.color(roles.Text), palette.color(roles.PlaceholderText)
        rect = option.rect.adjusted(_SIDE, _ABOVE, -_SIDE, -_ABOVE)
        painter.save()
        painter.setFont(self._bold())
        painter.setPen(inks[0])
        painter.drawText(rect, 0, choice.name)
        painter.setFont(view.font())
        painter.setPen(inks[1])
        painter.drawText(rect.adjusted(0, self._height(), 0, 0), _WRAPPED, choice.problem or choice.line)
        painter.restore()

    def sizeHint(self, option: QtWidgets.QStyleOptionViewItem, index: _Index) -> QtCore.QSize:  # noqa: N802
        choice, width = _choice(index), self._view.viewport().width()
        line = choice.problem or choice.line
        room = QtCore.QRect(0, 0, width - 2 * _SIDE, 10_000)
        height = self._view.fontMetrics().boundingRect(room, _WRAPPED, line).height() if line else 0
        return QtCore.QSize(width, self._height() + height + 2 * _ABOVE)

    def _bold(self) -> QtGui.QFont:
        font = QtGui.QFont(self._view.font())
        font.setBold(True)
        return font

    def _height(self) -> int:
        return QtGui.QFontMetrics(self._bold()).height() + 2


def _choice(index: _Index) -> Choice:
    return index.data(_CHOICE) or Choice("")
