"""The script of a run: the questions, answers and records of its journal in the order in which a protocol meets them.

A journal may hold several attempts at one run. Where the run was resumed, the attempt before counts up to its last
question that was answered or record that was yielded: what the protocol asked while it was being ended (its clean-up),
and a question whose answer was lost or was the error that ended it, are not met again.
"""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, is_dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labneuro.entries import Answered, Asked, Begun, Declared, Raised, Remembered, Resumed, Yielded
from labneuro.journal import Reader, StoreError
from labneuro.values import pack

REFUSED = "labneuro.LimitError"
"""The error that says that a question never reached its part."""


Where = Callable[[], str]
"""Says where in a protocol something arose."""


@dataclass(frozen=True)
class Exchange:
    """A question and what came of it; None if the answer was lost."""

    asked: Asked
    outcome: Answered | Raised | None

    def compare(self, number: int, part: str, verb: str, arguments: dict[str, Any], where: Where) -> None:
        """Raise Deviation unless this very question is asked. number: of it, for the message."""
        asked = self.asked
        if pack([asked.part, asked.verb, asked.arguments]) != pack([part, verb, arguments]):
            now = _question(part, verb, arguments) + _first(asked.arguments, arguments)
            raise _deviation(f"question {number}", where, self, now)


Reading = Callable[[], AbstractContextManager[Reader]]
"""Opens a journal, at its beginning."""

Event = Exchange | Declared | Yielded | Remembered


class Deviation(BaseException):
    """What a protocol asks or yields is not what is recorded; the message shows both sides."""


class RecordingEnds(BaseException):
    """The recording has no answer to this question."""


class Script:
    """The events of a run, one after the other.

    reading: opens the journal. resuming: end where the run can go on from; else the last attempt is met to its end.

    `questions` and `records` count what has been confirmed. `lost`: questions at the end which may have reached their
    part and whose outcome is not known. `asked`: the number of the last question. Raises StoreError if the journal
    can't be read.
    """

    def __init__(self, reading: Reading, *, resuming: bool = False) -> None:
        self._ends, self.lost, self.asked = _survey(reading)
        if not resuming:
            self._ends[-1] = sys.maxsize
        self._reading = reading
        self._met = self.met()
        self._deviation: Deviation | None = None
        self.questions = self.records = 0
        self.next: Exchange | Declared | Yielded | None = None
        self._advance()

    @property
    def unwinding(self) -> bool:
        """Whether the run was being ended here: nothing follows, or only what its clean-up asked."""
        return self.next is None or (isinstance(self.next, Exchange) and self.next.asked.unwinding)

    def met(self) -> Iterator[Event]:
        """Yield all events from the beginning, and what emulated parts remembered on the way."""
        with self._reading() as reader:
            for attempt, number, event in _attempts(reader):
                if event is not None and number <= self._ends[attempt]:
                    yield event

    def answer(self, part: str, verb: str, arguments: dict[str, Any], where: Where) -> Answered | Raised:
        """Return the recorded answer to a question. Raises Deviation if another was asked, RecordingEnds."""
        with self._sticking():
            return self._answer(part, verb, arguments, where)

    def _answer(self, part: str, verb: str, arguments: dict[str, Any], where: Where) -> Answered | Raised:
        event, number = self.next, self.questions + 1
        if event is None:
            raise RecordingEnds(f"question {number}, {where()}: {_question(part, verb, arguments)} was never asked")
        if not isinstance(event, Exchange):
            raise _deviation(f"question {number}", where, event, _question(part, verb, arguments))
        event.compare(number, part, verb, arguments, where)
        self._advance()
        if event.outcome is None:
            raise RecordingEnds(f"question {number}, {where()}: the answer to {shown(event)} was lost")
        self.questions = number
        return event.outcome

    def confirm(self, entry: Declared | Yielded, where: Where) -> None:
        """Compare what was yielded with the recording. Raises Deviation, or RecordingEnds."""
        with self._sticking():
            self._confirm(entry, where)

    def _confirm(self, entry: Declared | Yielded, where: Where) -> None:
        event, record = self.next, f"record {self.records + 1}"
        if event is None:
            raise RecordingEnds(f"{record}, {where()}: it was never written")
        if isinstance(event, Exchange) or type(event) is not type(entry) or pack([*event]) != pack([*entry]):
            now = shown(entry)
            if isinstance(event, Yielded) and isinstance(entry, Yielded) and event.table == entry.table:
                now += _first(event.values, entry.values)
            raise _deviation(record, where, event, now)
        self.records += isinstance(entry, Yielded)
        self._advance()

    @contextmanager
    def _sticking(self) -> Generator[None, None, None]:
        """Raise the first Deviation again and again: a protocol that is ended by it still cleans up behind itself."""
        if self._deviation is not None:
            raise self._deviation
        try:
            yield
        except Deviation as deviation:
            self._deviation = deviation
            raise

    def _advance(self) -> None:
        self.next = next((event for event in self._met if not isinstance(event, Remembered)), None)


def head_of(reading: Reading) -> dict[str, Any]:
    """Return what was known about a run when it began. Raises StoreError if its journal doesn't say."""
    with reading() as reader:
        record = next(reader, None)
    if record is None or not isinstance(record.entry, Begun):
        raise StoreError(f"{reader.name}: the journal doesn't say what was run")
    return record.entry.head


def _survey(reading: Reading) -> tuple[list[int], list[Exchange], int]:
    """Return how many events of each attempt count, the questions in doubt, and the number of the last question."""
    ends: list[int] = []
    lost: list[Exchange] = []
    asked = 0
    with reading() as reader:
        for attempt, number, event in _attempts(reader):
            asked = max(asked, event.asked.number) if isinstance(event, Exchange) else asked
            match event:
                case None:
                    ends.append(0)
                case Exchange(outcome=Answered()) if event.asked.unwinding:
                    pass
                case Exchange(outcome=Raised(type=kind)) if kind == REFUSED:
                    pass
                case Exchange(outcome=Raised() | None):
                    lost.append(event)
                case Exchange() | Declared() | Yielded():
                    ends[attempt] = number
                    lost = []
                case Remembered():
                    pass
    if not ends:
        raise StoreError(f"{reader.name}: the journal doesn't say what was run")
    return ends, lost, asked


def _attempts(reader: Reader) -> Iterator[tuple[int, int, Event | None]]:
    """Yield attempt, from 0, number in it, and event; None with number 0 where an attempt begins."""
    attempt, number = -1, 0
    pending: Asked | None = None
    for entry in (record.entry for record in reader):
        match entry:
            case Begun() | Resumed():
                if pending is not None:
                    yield attempt, number + 1, Exchange(pending, None)
                attempt, number, pending = attempt + 1, 0, None
                yield attempt, 0, None
            case Asked():
                if pending is not None:
                    number += 1
                    yield attempt, number, Exchange(pending, None)
                pending = entry
            case Answered() | Raised():
                if pending is not None and entry.number == pending.number:
                    number += 1
                    yield attempt, number, Exchange(pending, entry)
                    pending = None
            case Declared() | Yielded() | Remembered():
                number += 1
                yield attempt, number, entry
            case _:
                pass
    if pending is not None:
        yield attempt, number + 1, Exchange(pending, None)


def _deviation(what: str, where: Where, recorded: Exchange | Declared | Yielded, now: str) -> Deviation:
    return Deviation(f"{what}, {where()}\n  recorded: {shown(recorded)}\n  now:      {now}")


def shown(event: Exchange | Declared | Yielded) -> str:
    """Return an event in words."""
    match event:
        case Exchange(asked=asked):
            return _question(asked.part, asked.verb, asked.arguments)
        case Declared():
            return f"a first {event.type}"
        case Yielded():
            return f"{event.table}: {_arguments(event.values)}"


def _question(part: str, verb: str, arguments: dict[str, Any]) -> str:
    return f"{part}.{verb}({_arguments(arguments)})" if arguments else f"{part}.{verb}"


def _arguments(values: dict[str, Any]) -> str:
    with np.printoptions(threshold=8, edgeitems=3, linewidth=200):
        return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _first(recorded: Any, now: Any, name: str = "") -> str:
    """Return where two values differ first, with all digits."""
    if is_dataclass(recorded) and type(recorded) is type(now):
        return _first(vars(recorded), vars(now), name)
    if isinstance(recorded, dict) and isinstance(now, dict):
        pairs = zip(cast("dict[str, Any]", recorded).items(), cast("dict[str, Any]", now).items(), strict=False)
        found = (_first(a, b, key) for (key, a), (other, b) in pairs if key == other and pack(a) != pack(b))
        return next(found, "")
    place = ""
    if isinstance(recorded, np.ndarray) and isinstance(now, np.ndarray):
        a, b = cast("NDArray[Any]", recorded), cast("NDArray[Any]", now)
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"\n  first difference: {name} was {a.dtype} of shape {a.shape}, is {b.dtype} of shape {b.shape}"
        index = next(index for index in np.ndindex(a.shape) if pack(a[index]) != pack(b[index]))
        recorded, now, place = a[index], b[index], str(list(index))
    return f"\n  first difference: {name}{place} was {recorded!r:.200}, is {now!r:.200}"
