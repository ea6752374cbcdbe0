"""Steering a run from another process: control words are lines on a stream, and all they reach is its Interrupt.

A stream that ends or breaks, and a window that is closed, crashes or never opens, does nothing to the run.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, cast

from labneuro.interrupt import Interrupt

Steering = Callable[[Interrupt, Path], AbstractContextManager[None]]
"""Lets others than its user steer a run as long as it is entered; the path is that of the run file."""

NO_SCREEN = "neither DISPLAY nor WAYLAND_DISPLAY names a screen"
"""Why no window can be opened."""

_BY = "the window"
_WORDS: dict[bytes, Callable[[Interrupt], None]] = {
    b"pause": Interrupt.pause,
    b"continue": Interrupt.go_on,
    b"stop": lambda interrupt: interrupt.stop(_BY),
    b"abort": lambda interrupt: interrupt.abort(_BY),
}


def unsteered(interrupt: Interrupt, path: Path) -> AbstractContextManager[None]:
    """Let nobody else steer a run."""
    return nullcontext()


def by_words_on_stdin(interrupt: Interrupt, path: Path) -> AbstractContextManager[None]:
    """Let whoever has started the process steer the run by words on its standard input."""
    return _obeying(open(0, "rb", buffering=0, closefd=False), interrupt)


@contextmanager
def by_a_window(interrupt: Interrupt, path: Path) -> Generator[None, None, None]:
    """Show the run in a window, a process of its own, and let it steer; the window stays when the run has ended."""
    if not has_screen():
        interrupt.say(f"no window: {NO_SCREEN}; the run goes on")
        yield
        return
    try:
        window = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "labneuro", "view", str(path), "--control"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # neither Ctrl-C nor a closed terminal reaches it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        interrupt.say(f"no window: {error.strerror}; the run goes on")
        yield
        return

    def ended() -> str:
        status = window.wait()
        return f"the window has crashed, status {status}; the run goes on: labneuro view {path}" if status else ""

    with _obeying(cast("BinaryIO", window.stdout), interrupt, ended):
        yield


def has_screen() -> bool:
    """Return whether a window can be opened, as far as the environment tells."""
    named = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform != "linux" or any(os.environ.get(name) for name in named)


@contextmanager
def _obeying(words: BinaryIO, interrupt: Interrupt, ended: Callable[[], str] = str) -> Generator[None, None, None]:
    """Do what the lines of an unbuffered stream say until the run is over; ended: what to tell the user behind them."""
    over = threading.Event()

    def obey() -> None:
        with suppress(OSError), words:
            while line := words.readline(80):
                word = _WORDS.get(line.strip())
                if word is not None and not over.is_set():
                    word(interrupt)
        told = ended()
        if told and not over.is_set():
            interrupt.say(told)

    threading.Thread(target=obey, name="control", daemon=True).start()
    try:
        yield
    finally:
        over.set()
