"""Words in windows: names as people write them, remarks and alarms that can be read on light and dark grounds."""

from labneuro.views.qt import QtCore, QtGui, QtWidgets

_ALARM_ON_LIGHT, _ALARM_ON_DARK = QtGui.QColor(178, 34, 34), QtGui.QColor(255, 138, 128)


def human(name: str) -> str:
    """Return the name of a parameter as people write it."""
    return name.replace("_", " ").capitalize()


def is_dark(palette: QtGui.QPalette) -> bool:
    """Return whether a palette writes light on dark."""
    return palette.color(palette.ColorRole.Window).lightness() < 128


def alarm_colour(palette: QtGui.QPalette) -> QtGui.QColor:
    """Return the colour of what is wrong, which can be read on the ground of `palette`."""
    return _ALARM_ON_DARK if is_dark(palette) else _ALARM_ON_LIGHT


class Words(QtWidgets.QLabel):
    """Words that wrap, can be selected, stand back unless they are an alarm, and take no room if there are none."""

    def __init__(self, text: str = "", *, alarm: bool = False) -> None:
        super().__init__()
        self._alarm = alarm
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setWordWrap(True)
        self.say(text)
        self._colour()

    def say(self, text: str) -> None:
        """Show a text."""
        self.setText(text)
        if not text or self.parentWidget() is not None:  # else Qt would show it as a window
            self.setVisible(bool(text))

    def changeEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802 - Qt's name
        """Take the colours of the new palette."""
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.PaletteChange:
            self._colour()

    def _colour(self) -> None:
        palette, own = QtWidgets.QApplication.palette(), QtGui.QPalette()
        ink = alarm_colour(palette) if self._alarm else palette.color(palette.ColorRole.PlaceholderText)
        own.setColor(own.ColorRole.WindowText, ink)  # and nothing else, so that the rest follows the system
        self.setPalette(own)
