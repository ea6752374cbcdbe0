"""How each part of a bench stands, as lights in a table."""

from labneuro.following import RunSoFar
from labneuro.lights import Colour, Light, lights
from labneuro.views.qt import QtCore, QtGui, QtWidgets

COLOURS: dict[Colour, tuple[int, int, int]] = {
    "green": (40, 160, 90),
    "yellow": (230, 170, 20),
    "red": (205, 50, 50),
    "grey": (150, 150, 150),
}
"""Of the lights. They differ in shape as well, for those who see no red or no green."""

_SHAPES: dict[Colour, str] = {"green": "●", "yellow": "▲", "red": "■", "grey": "○"}


class Instruments(QtWidgets.QTreeWidget):
    """The parts of a bench, each with its light and why; below each its settings, its limits and its identity."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Part", "How it stands"])
        self.setAccessibleName("Instruments")
        self.setWordWrap(True)
        self.setColumnWidth(0, 150)
        self.setIndentation(14)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self._shown: dict[str, Light] = {}

    def show_lights(self, run: RunSoFar, now: float) -> None:
        """Bring the table up to date; what a person has opened stays open. now: s since 1970."""
        found = {light.part: light for light in lights(run, now)}
        if found == self._shown:
            return
        if list(found) != list(self._shown):
            self.clear()
            self.addTopLevelItems([QtWidgets.QTreeWidgetItem([part]) for part in found])
        for row, (part, light) in enumerate(found.items()):
            if light != self._shown.get(part):
                _show(self.topLevelItem(row), light)
        self._shown = found


def _show(item: QtWidgets.QTreeWidgetItem | None, light: Light) -> None:
    if item is None:
        return
    item.setText(0, f"{_SHAPES[light.colour]}  {light.part}")
    item.setForeground(0, QtGui.QColor(*COLOURS[light.colour]))
    item.setText(1, light.words)
    item.setToolTip(1, light.words)
    item.setData(0, QtCore.Qt.ItemDataRole.AccessibleTextRole, f"{light.part}: {light.colour}")
    identity = [("identity", light.identity)] if light.identity else []
    item.takeChildren()
    for name, words in (*light.settings, *light.limits, ("driver", light.driver), *identity):
        child = QtWidgets.QTreeWidgetItem([name, words])
        child.setToolTip(1, words)
        item.addChild(child)
