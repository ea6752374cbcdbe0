"""Keys that steer a run on a terminal: p pauses it after its step, and lets it go on again."""

import os
import select
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from labneuro.interrupt import Interrupt

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = tty = None

_LOOK = 0.1  # s between two looks at whether the run is over


@contextmanager
def listening_to_keys(interrupt: Interrupt) -> Generator[None, None, None]:
    """Listen to the keyboard, if there is one and the run is in the foreground; the terminal is left as it was."""
    if termios is None or tty is None or not _ours():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    over = threading.Event()

    def listen() -> None:
        with suppress(OSError, ValueError):  # the terminal was closed
            while not over.is_set():
                if select.select([keyboard], [], [], _LOOK)[0] and os.read(keyboard, 1) in {b"p", b"P"}:
                    (interrupt.go_on if interrupt.paused else interrupt.pause)()

    listener = threading.Thread(target=listen, name="keyboard", daemon=True)
    tty.setcbreak(keyboard, termios.TCSANOW)  # Ctrl-C stays a signal
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()
        with suppress(OSError, termios.error):
            termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _ours() -> bool:
    """Return whether the standard input is a terminal, and ours to read."""
    try:
        return sys.stdin.isatty() and os.getpgrp() == os.tcgetpgrp(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return False
