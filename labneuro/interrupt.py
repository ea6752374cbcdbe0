"""Ctrl-C and its like while a chip is under current: one stops the run after its step, two abort it.

Nothing interrupts what leaves the bench safe, nor the writing of a record.
"""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SIGNALS: list[signal.Signals] = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupt:
    """What the user, or the system, has asked of a run so far.

    requested: the signal that asked the run to stop after its step: Ctrl-C (SIGINT), SIGTERM, or SIGHUP (the
    terminal was closed); None as long as there was none. may_abort: whether a second Ctrl-C may break off what goes
    on, by KeyboardInterrupt. aborted: whether it did. message: what to tell the user now. aloud: whether to write
    messages to the standard error at once.
    """

    def __init__(self, *, aloud: bool = False) -> None:
        self.requested: signal.Signals | None = None
        self.aborted = False
        self.message = ""
        self.may_abort = False
        self._held = False
        self._pending = False
        self._paused = threading.Event()
        self._aloud = aloud

    @contextmanager
    def listening(self) -> Generator[None, None, None]:
        """Listen, and restore who listened before. Off the main thread no signal can be heard."""
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            # Whoever started us under nohup wants SIGHUP ignored; SIGINT is ignored in every background job.
            heard = [s for s in _SIGNALS if s == signal.SIGINT or signal.getsignal(s) is not signal.SIG_IGN]
            before = {s: signal.signal(s, self._hear) for s in heard}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def abortable(self) -> Generator[None, None, None]:
        """Let a second Ctrl-C raise KeyboardInterrupt in here."""
        self.may_abort = True
        try:
            yield
        finally:
            self.may_abort = False

    def hold(self) -> None:
        """Hold back a KeyboardInterrupt until `release`: what happens in between is not to be torn."""
        self._held = True

    def release(self) -> None:
        """Raise the KeyboardInterrupt that was held back, if there was one."""
        self._held = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    @property
    def paused(self) -> bool:
        """Whether the run is to wait after its step."""
        return self._paused.is_set()

    def pause(self) -> None:
        """Let the run wait after its step, all outputs as they are."""
        self._paused.set()
        self._say("pausing after this step; p goes on, Ctrl-C stops")

    def go_on(self) -> None:
        """Let a run that is paused go on."""
        self._paused.clear()
        self.message = ""

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.requested is None:
            self.requested = signal.Signals(number)
            self._say("stopping after this step; Ctrl-C again aborts it")
        elif number == signal.SIGINT and self.may_abort:
            self.may_abort = False
            self.aborted = True
            self._say("aborting; leaving the bench safe")
            if self._held:
                self._pending = True
                return
            raise KeyboardInterrupt
        else:
            self._say("leaving the bench safe, please wait")

    def _say(self, message: str) -> None:
        self.message = message
        if self._aloud:  # not through a stream, which the signal may have caught in the middle of a write
            with suppress(OSError):
                os.write(2, f"{message}\n".encode())
