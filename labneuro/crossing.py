"""Where a protocol meets the bench: every question it asks a part passes here, and so does every answer.

Going on live, questions and answers are written to the journal; of a run that is replayed or resumed, the journal
answers as long as it can. Either way a protocol is handed what is in the journal: arrays of its own, in the layout and
type in which they come back.
"""

import builtins
import inspect
import linecache
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, cast

from labneuro.bench import Bench
from labneuro.clock import Clock
from labneuro.entries import Answered, Asked, Entry, Raised, Remembered
from labneuro.interrupt import Interrupt
from labneuro.limits import LimitError
from labneuro.racks import Rack
from labneuro.roles import Role, Verb, verbs
from labneuro.script import Exchange, Script
from labneuro.values import settled

QUICK = 1e-3
"""Time below which an answer is written down with what comes next, s: it is soon asked again, if it was no action."""

REMEMBER = 1.0
"""Least time between two snapshots of emulated parts, s."""

_SHARE = 20  # a snapshot takes no more than this part of the time
_WAIT = 60  # times REMEMBER: a snapshot waits no longer for the journal to grow by as much as the last one took


class RecordedError(Exception):
    """An error that answered a recorded question, of a class that isn't known here."""


class LostAnswerError(RuntimeError):
    """A pulse, or another action, was sent and its answer was lost: re-read the device to learn what it did."""


class Crossing:
    """Between a protocol and the parts of a bench.

    write: for entries of the journal, which are written at once; returns its size, bytes. interrupt: holds back a
    Ctrl-C meanwhile. script: answers first, and when it ends `live` is called, which must `connect`; without it,
    RecordingEnds is raised then.
    """

    def __init__(
        self,
        write: Callable[..., int],
        interrupt: Interrupt | None = None,
        script: Script | None = None,
        live: Callable[[], None] | None = None,
    ) -> None:
        self._write = write
        self._interrupt = interrupt or Interrupt()
        self.script = script
        self._live = live
        self._number = 0
        self._parts: Mapping[str, Role] = {}
        self._memories: Mapping[str, Role | Rack] = {}
        self._clock: Clock | None = None
        self._remember_at = 0.0
        self._remember_by = 0.0
        self._remember_behind = 0
        self._instead: Exchange | None = None

    def role(self, part: str, role: type[Role]) -> Role:
        """Return what a protocol gets for `part`."""
        return _proxy(role)(part, self)

    def connect(self, bench: Bench, number: int = 0, instead: Exchange | None = None) -> None:
        """Let the parts of a bench answer from now on.

        number: of the last question that was asked before. instead: the next question, which this outcome answers, and
        not its part. Raises Deviation when it is another.
        """
        self.script = None
        self._parts = bench.parts
        self._clock = bench.clock
        self._number = number
        self._instead = instead
        self._memories = bench.memories
        self._remember_at = time.monotonic() + REMEMBER

    def ask(self, part: str, verb: Verb, arguments: dict[str, Any]) -> Any:
        """Return the answer to a question, or raise the error that is the answer."""
        if self.script is not None:
            if self.script.next is not None or self._live is None:
                return _given(self.script.answer(part, verb.name, arguments, asked_at))
            self._live()
        if part not in self._parts:
            raise RuntimeError(f"{part} was asked for {verb.name} after its bench was left")
        self._number = number = self._number + 1
        question = Asked(number, part, verb.name, arguments, sys.exception() is not None)
        if self._instead is not None:
            lost, self._instead = self._instead, None
            lost.compare(number, part, verb.name, arguments, asked_at)
            self._record(question, cast("Answered | Raised", lost.outcome)._replace(number=number))
            return _given(cast("Answered | Raised", lost.outcome))
        ahead: tuple[Asked, ...] = (question,)  # a property is only read: it is written down together with its answer
        if verb.signature is not None:
            self._record(question)
            ahead = ()
        began = time.perf_counter()
        try:
            asked = getattr(self._parts[part], verb.name)
            value = settled(asked if verb.signature is None else asked(**arguments))
        except Exception as error:
            self._record(*ahead, Raised(number, error_name(error), str(error)))
            raise
        quick = time.perf_counter() - began < QUICK and verb.kind != "action"
        size = self._record(*ahead, Answered(number, value), later=quick)
        if self._memories:
            self._remember(number, size)
        return value

    def _remember(self, number: int, size: int) -> None:
        """Write down what emulated parts remember, if that is due. size: of the journal, bytes."""
        began = time.monotonic()
        if began < self._remember_at or (size < self._remember_behind and began < self._remember_by):
            return
        memories = {name: part.snapshot() for name, part in self._memories.items()}
        behind = self._record(Remembered(number, self._clock.now() if self._clock is not None else 0.0, memories))
        now = time.monotonic()
        self._remember_at = now + max(REMEMBER, _SHARE * (now - began))
        self._remember_by = now + _WAIT * REMEMBER
        self._remember_behind = behind + (behind - size)

    def _record(self, *entries: Entry, later: bool = False) -> int:
        self._interrupt.hold()
        try:
            return self._write(*entries, later=later)
        finally:
            self._interrupt.release()


@cache
def _proxy(role: type[Role]) -> type[Any]:
    """Return a class that plays a role by asking a crossing for a part."""

    def construct(self: Any, part: str, crossing: Crossing) -> None:
        self.asked_through = (part, crossing)

    asked = {name: _property(verb) if verb.signature is None else _method(verb) for name, verb in verbs(role).items()}
    return type(role.__name__, (role,), {"__init__": construct, "__doc__": role.__doc__, **asked})


def _property(verb: Verb) -> property:
    def get(self: Any) -> Any:
        part, crossing = self.asked_through
        return crossing.ask(part, verb, {})

    return property(get)


def _method(verb: Verb) -> Callable[..., Any]:
    signature = cast("inspect.Signature", verb.signature)
    names = tuple(signature.parameters)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        part, crossing = self.asked_through
        if len(args) == len(names) and not kwargs:
            return crossing.ask(part, verb, dict(zip(names, args, strict=True)))
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return crossing.ask(part, verb, bound.arguments)

    method.__name__ = verb.name
    return method


def error_name(error: BaseException) -> str:
    """Return the name under which an error is recorded: its class, after its package unless it is built in."""
    kind = type(error)
    package = kind.__module__.partition(".")[0]
    return kind.__qualname__ if package == "builtins" else f"{package}.{kind.__qualname__}"


def _given(outcome: Answered | Raised) -> Any:
    if isinstance(outcome, Answered):
        return outcome.value
    raise _error(outcome.type, outcome.text)


def _error(name: str, text: str) -> Exception:
    """Return an error like the one recorded: of its class where that is safe to make, else a RecordedError."""
    known = {"labneuro.LimitError": LimitError, "labneuro.LostAnswerError": LostAnswerError}
    kind = known.get(name) or getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            error = kind(text)
        except TypeError:
            pass
        else:
            if str(error) == text or isinstance(error, KeyError):
                return error
    return RecordedError(f"{name}: {text}")


def asked_at() -> str:
    """Return where in a protocol the code is that is running now: file, line, function and source."""
    frame = inspect.currentframe()
    while frame is not None and _of_the_core(frame):
        frame = frame.f_back
    return _place(frame)


def yielded_at(records: object) -> str:
    """Return where in a protocol a generator stands."""
    place = inner = getattr(records, "gi_frame", None)
    while inner is not None and (records := getattr(records, "gi_yieldfrom", None)) is not None:
        inner = getattr(records, "gi_frame", None)
        place = inner if inner is not None and not _of_the_core(inner) else place
    return _place(place)


def _of_the_core(frame: FrameType) -> bool:
    package, _, rest = str(frame.f_globals.get("__name__", "")).partition(".")
    return package == "labneuro" and not rest.startswith("protocols.")


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "where the protocol had ended"
    file, code = Path(frame.f_code.co_filename), linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f"at {file.name}:{frame.f_lineno} in {frame.f_code.co_name}: {code}"
