"""Dark or light windows: as the system has it, or as a person wants them."""

from labneuro.views.colours import DARK, WHITE
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.wording import is_dark

_FACE = {True: (44, 46, 52), False: (239, 239, 239)}  # of windows and buttons


def set_dark(dark: bool | None) -> None:
    """Make all windows of this program dark or light; None: as the system has it."""
    QtWidgets.QApplication.setPalette(QtGui.QPalette())
    hints, schemes = QtGui.QGuiApplication.styleHints(), QtCore.Qt.ColorScheme
    if hasattr(hints, "setColorScheme"):  # from Qt 6.8 on
        hints.setColorScheme({None: schemes.Unknown, False: schemes.Light, True: schemes.Dark}[dark])
    if dark is not None and is_dark(QtWidgets.QApplication.palette()) != dark:  # the system doesn't do it
        QtWidgets.QApplication.setStyle("Fusion")  # the systems' own styles have colours of their own
        face = QtGui.QColor(*_FACE[dark])
        palette = QtGui.QPalette(face, face)
        palette.setColor(palette.ColorRole.Base, QtGui.QColor(*(DARK.ground if dark else WHITE)))
        QtWidgets.QApplication.setPalette(palette)
