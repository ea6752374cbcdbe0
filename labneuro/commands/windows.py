"""The command that shows a run in a window."""

# ruff: noqa: PLC0415 - Qt is loaded by the commands that need it

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from labneuro.commands.parsing import Parser, UsageError

_POLITE = 10  # the run goes first where both want the same processor
_SETTLING = 600  # ms in which all has found its place, and has been told


def view(arguments: list[str]) -> int:
    """Show a run in a window."""
    parser = Parser("labneuro view", "Show a run in a window: as it goes on, or when it is over, at any of its steps.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    parser.add_argument("--step", metavar="N", type=int, help="show the run as it was after this step")
    words = "save a picture of the window and open none; no screen is needed"
    parser.add_argument("--snapshot", metavar="FILE.png", type=Path, help=words)
    # Whoever starts the window takes control words from its standard output.
    parser.add_argument("--control", action="store_true", help=argparse.SUPPRESS)
    given = parser.read(arguments)

    from labneuro.control import NO_SCREEN, has_screen
    from labneuro.following import Following

    out: Path | None = given["snapshot"]
    if out is None and not has_screen():
        raise UsageError(
            f"{NO_SCREEN}: labneuro watch {given['run']} needs none, and --snapshot FILE.png draws without"
        )
    if out is not None and (out.suffix.lower() != ".png" or out.exists() or not out.parent.is_dir()):
        raise UsageError(f"{out} can't be made: give a new file in a folder that exists, ending in .png")
    with suppress(AttributeError, OSError):  # Windows has other ways
        os.nice(_POLITE)
    following = Following(given["run"])

    from labneuro.views.qt import QtCore, QtWidgets, application
    from labneuro.views.window import RunWindow

    program = application() if out is not None else QtWidgets.QApplication(["labneuro"])
    window = RunWindow(following, _say if given["control"] else None)
    window.show()
    if given["step"] is not None or out is not None:
        while following.look():
            pass
        window.look()
    if given["step"] is not None:
        window.show_step(given["step"])
    if out is None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Qt waits, Python hears nothing
        return program.exec()
    settling = QtCore.QDeadlineTimer(_SETTLING)
    while not settling.hasExpired():
        program.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
    if not window.grab().save(str(out)):
        raise OSError(f"{out} can't be written")
    sys.stdout.write(f"{out}\n")
    return 0


def _say(word: str) -> None:
    """Tell whoever has started this window a control word, if anybody listens."""
    with suppress(OSError):
        os.write(1, f"{word}\n".encode())
