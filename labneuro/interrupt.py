"""Ctrl-C and its like while a chip is under current: one stops the run after its step, two abort it.

Nothing interrupts what leaves the bench safe, nor the writing of a record.
"""

import _thread
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, cast

_SIGNALS: list[signal.Signals] = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupt:
    """What the user, or the system, has asked of a run so far.

    requested: the signal that asked the run to stop after its step: Ctrl-C (SIGINT), SIGTERM, or SIGHUP (the
    terminal was closed); None as long as there was none. by: who asked, in words. may_abort: whether a second Ctrl-C
    may break off what goes on, by KeyboardInterrupt. aborted: whether it did. message: what to tell the user now.
    aloud: whether to write messages to the standard error at once.

    `pause`, `go_on`, `stop` and `abort` may be called by any thread.
    """

    def __init__(self, *, aloud: bool = False) -> None:
        self.requested: signal.Signals | None = None
        self.by = ""
        self.aborted = False
        self.message = ""
        self.may_abort = False
        self._held = False
        self._pending = False
        self._listening = False
        self._lock = threading.Lock()  # held while `_listening` changes, or is relied on
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
            self._listening = True
        try:
            yield
        finally:
            with self._lock:
                self._listening = False
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
        self.say("pausing after this step; p goes on, Ctrl-C stops")

    def go_on(self) -> None:
        """Let a run that is paused go on."""
        self._paused.clear()
        self.message = ""

    def stop(self, by: str) -> None:
        """Let the run stop after its step, like one Ctrl-C. by: who wants it, in words."""
        if self.requested is None:
            self._stop(signal.SIGINT, by)

    def abort(self, by: str) -> None:
        """Break off what goes on, like the second Ctrl-C."""
        self.stop(by)
        with self._lock:
            if self._listening:
                _interrupt_main_thread()

    def say(self, message: str) -> None:
        """Tell the user `message`, until there is another one."""
        self.message = message
        if self._aloud:  # not through a stream, which a signal may have caught in the middle of a write
            with suppress(OSError):
                os.write(2, f"{message}\n".encode())

    def _stop(self, number: int, by: str) -> None:
        self.requested, self.by = signal.Signals(number), by
        self.say("stopping after this step; Ctrl-C again aborts it")

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.requested is None:
            self._stop(number, "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
        elif number == signal.SIGINT and self.may_abort:
            self.may_abort = False
            self.aborted = True
            self.say("aborting; leaving the bench safe")
            if self._held:
                self._pending = True
                return
            raise KeyboardInterrupt
        else:
            self.say("leaving the bench safe, please wait")


def _interrupt_main_thread() -> None:
    """Let the main thread hear a Ctrl-C, whatever it waits for."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(cast("int", threading.main_thread().ident), signal.SIGINT)
    else:  # Windows
        _thread.interrupt_main()
