# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
"""Qt and pyqtgraph, loaded in one order and one way by everything that draws.

PySide6 goes first: pyqtgraph binds to the Qt that is already there, and on a machine that also has PyQt6 it
would choose that. Importing this module raises FigureError where Qt can't be loaded.
"""

import sys

from labneuro.views import FigureError

try:
    from PySide6 import QtCore, QtGui, QtSvg, QtWidgets
    from PySide6 import __version_info__ as _version
except ImportError as error:
    raise FigureError(
        f"figures need Qt, which can't be loaded: {error}. On Debian and Ubuntu: "
        "apt install libegl1 libgl1 libglib2.0-0 libxkbcommon0 libfontconfig1 libdbus-1-3"
    ) from error
if _version[:3] == (6, 12, 0) and sys.version_info < (3, 12):
    # Its methods that return nothing hand out None without counting the reference; a few figures use None up.
    raise FigureError(
        "PySide6 6.12.0 aborts Python 3.11 and older: pip install 'PySide6-Essentials<6.12', or use Python 3.12"
    )
import pyqtgraph as pg

__all__ = ["QtCore", "QtGui", "QtSvg", "QtWidgets", "application", "pg"]

_application: QtWidgets.QApplication | None = None


def application() -> QtWidgets.QApplication:
    """Return the application of this process; if there is none, start one that needs no screen.

    On Linux that is Qt's "offscreen" platform, screen or not: where DISPLAY names a screen that is gone, as
    after an ssh connection, Qt would abort the process. A program with windows starts its own application
    first. Raises FigureError where Qt runs without graphics or in another thread.
    """
    global _application  # noqa: PLW0603  Qt allows one application a process and must not lose it
    running = QtCore.QCoreApplication.instance()
    if running is None:
        platform = ["-platform", "offscreen"] if sys.platform == "linux" else []
        running = _application = QtWidgets.QApplication(["labneuro", *platform])
    if not isinstance(running, QtWidgets.QApplication):
        raise FigureError("figures need a QApplication, this process runs a QCoreApplication: start the former")
    if running.thread() is not QtCore.QThread.currentThread():
        raise FigureError("figures are drawn in the thread of the Qt application: call from there")
    return running
