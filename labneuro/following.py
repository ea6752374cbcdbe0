"""Following a run from another process, live or when it is over: as it stands now, and as it stood after any step.

All of it comes from the journal, read as it is written. What is kept is small however long the run is: tables of every
2^k-th record, and bookmarks at every 2^k-th step, from where the journal is read again to see an earlier moment.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from labneuro.decimation import Columns, Table
from labneuro.entries import Answered, Asked, Begun, Declared, Ended, Identified, Raised, Resumed, Yielded
from labneuro.journal import Record, StoreError
from labneuro.overview import Standing, alarms, overview
from labneuro.records import STEPS
from labneuro.store import Fields, RunFile, State, run_file_of
from labneuro.tail import Place, Tail

MARKS = 2048
"""Most bookmarks kept."""

_LOOK = 0.25  # s between two looks at where the journal lies and who writes it


class Asking(NamedTuple):
    """The last time that a part was asked something.

    time: of the question, s since 1970. answered: whether there was an answer, or an error. value: the answer. error:
    "" if it was none.
    """

    arguments: Mapping[str, Any]
    time: float
    answered: bool = False
    value: Any = None
    error: str = ""

    def answered_by(self, entry: Answered | Raised) -> "Asking":
        """Return what was asked together with what came of it."""
        if isinstance(entry, Answered):
            return Asking(self.arguments, self.time, True, entry.value)
        return Asking(self.arguments, self.time, True, None, f"{entry.type}: {entry.text}")


Verb = tuple[str, str]
"""A part of the bench and what it can be asked."""


class RunSoFar:
    """A run as it stands, or stood after some step; for whoever draws it, it is like a `RunFile`.

    standing: its pace, its alarms, what it waits for. players: part of the bench, or several, by parameter of the
    protocol. exchanges: the last time that each part was asked each thing, the latest last. steps, records: tables of
    every 2^k-th record and the last. The other attributes are those of `RunFile`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.standing = Standing()
        self.protocol = self.doc = self.title = self.start_time = self.bench = self.bench_name = self.note = ""
        self.state: State = "running"
        self.parameters: dict[str, Any] = {}
        self.units: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        self.players: dict[str, str | list[str]] = {}
        self.steps: Columns | Fields = Table(Declared(STEPS, "", []), {}).columns()
        self.records: Mapping[str, Columns | Fields] = {}
        self.exchanges: Mapping[Verb, Asking] = {}

    @property
    def at(self) -> int:
        """The number of steps of which this is the picture."""
        return self.standing.pace.steps

    def latest(self, player: str, verb: str) -> Asking | None:
        """Return the last time that a part was asked `verb`, None if it never was.

        player: the part, or the parameter of the protocol that it plays.
        """
        part = self.players.get(player, player)
        return self.exchanges.get((part if isinstance(part, str) else player, verb))

    def last(self) -> Mapping[str, Any]:
        """Return the values of the last step; empty if there is none."""
        return self.steps.last()


class _Mark(NamedTuple):
    """A place in the journal behind a step, and all that is to be known of what lies before."""

    place: Place
    standing: Standing
    asked: dict[Verb, Place]
    yielded: dict[str, tuple[int, Place]]


class Following:
    """A run that is followed. path: of its file or its journal. Raises StoreError if there is no run.

    now: how it stands, brought up to date by `look`. steps: how many there are.
    """

    def __init__(self, path: Path) -> None:
        self.path = run_file_of(path)
        self._begin()

    @property
    def steps(self) -> int:  # noqa: D102 - the class says what its attributes are
        return self.now.at

    def look(self, seconds: float = 0.02) -> bool:
        """Take what is new, for at most `seconds`; return whether there is more to take at once."""
        if self._tail is None:
            return False
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            self._tail.look()
            if self._tail.replaced:
                self._begin()
                return True
        tail = self._tail
        try:
            for place, record in tail.records(seconds):
                self._take(tail, place, record)
        except Exception as error:  # noqa: BLE001 - intact entries that are no run: a stranger may have written them
            tail.problem, self._tail = f"{self.path}: this is no journal of a run: {error!r:.100}", None
        self._sum_up(tail)
        return tail.unread > 0

    def at(self, step: int) -> RunSoFar:
        """Return the run as it was right after it had yielded `step`. Raises StoreError if that can't be read again.

        Of a run file that holds no journal there is only the end.
        """
        tail, step = self._tail, min(max(step, 0), self.steps)
        if tail is None or not self._marks:
            return self.now
        mark = self._marks[step // self._stride]
        past = copy(self.now)
        past.standing, past.state, past.note = deepcopy(mark.standing), "running", ""
        asked, yielded = dict(mark.asked), dict(mark.yielded)
        reader = tail.reader(mark.place)
        while past.at < step:
            place = Place(reader.end, reader.chain, reader.count)
            record = next(reader)
            past.standing.take(record)
            match record.entry:
                case Asked(_, part, verb):
                    asked[part, verb] = place
                case Yielded(table):
                    yielded[table] = yielded[table][0] + 1 if table in yielded else 1, place
                case _:
                    pass
        tables = {
            name: Columns(self._tables[name], count, cast("Yielded", next(tail.reader(place)).entry).values)
            for name, (count, place) in yielded.items()
        }
        past.steps = tables.pop(STEPS, _NOTHING)
        past.records = tables
        past.exchanges = _Recalled(asked, partial(_recalled, tail))
        return past

    def _begin(self) -> None:
        """Follow the journal from its beginning, wherever it lies; show a run file that holds none."""
        self.now = RunSoFar(self.path)
        self._tables: dict[str, Table] = {}
        self._declared: dict[str, Declared] = {}
        self._asked: dict[Verb, Place] = {}
        self._yielded: dict[str, tuple[int, Place]] = {}
        self._exchanges: dict[Verb, Asking] = {}
        self._marks: list[_Mark] = []
        self._stride = 1
        self._looked = time.monotonic()
        self._tail: Tail | None = None
        try:
            self._tail = Tail(self.path)
        except StoreError:
            self.now = _of_file(RunFile(self.path))

    def _take(self, tail: Tail, place: Place, record: Record) -> None:
        """Take a record that lies behind `place`."""
        entry, now, asked = record.entry, self.now, self.now.standing.asked
        now.standing.take(record)
        match entry:
            case Asked(_, part, verb, arguments):
                self._asked[part, verb] = place
                self._exchanges.pop((part, verb), None)
                self._exchanges[part, verb] = Asking(arguments, record.time)
            case Answered() | Raised() if asked is not None and asked.number == entry.number:
                key = asked.part, asked.verb
                self._exchanges[key] = self._exchanges[key].answered_by(entry)
            case Yielded(name, values):
                table = self._tables.get(name)
                if table is None:
                    table = self._tables[name] = Table(self._declared[name], values)
                    now.units |= {f"{name}/{field}": unit for field, unit in table.units.items()}
                table.take(values)
                self._yielded[name] = table.count, place
                if name == STEPS and self._marks:
                    self._mark(tail.place)
            case Declared():
                self._declared[entry.table] = entry
            case Begun():
                _introduce(now, entry.head)
                self._mark(tail.place)
            case Resumed():
                _connect(now, entry.head)
            case Identified():
                now.parts = {str(name): str(identity) for name, identity in entry.parts.items()}
            case _:
                pass

    def _mark(self, place: Place) -> None:
        """Put a bookmark at `place`, if there is one to be at this step."""
        steps = self.steps
        if len(self._marks) == MARKS and steps % self._stride == 0:
            del self._marks[1::2]
            self._stride *= 2
        if steps % self._stride == 0:
            standing = deepcopy(self.now.standing)
            self._marks.append(_Mark(place, standing, dict(self._asked), dict(self._yielded)))

    def _sum_up(self, tail: Tail) -> None:
        """Bring what is not summed up record by record up to date."""
        now, standing = self.now, self.now.standing
        tables = {name: table.columns() for name, table in self._tables.items()}
        now.steps = tables.pop(STEPS, _NOTHING)
        now.records = tables
        now.exchanges = self._exchanges
        standing.problem, standing.unread = tail.problem, tail.unread
        if tail.unread:
            return
        standing.dead = not tail.written and standing.ended is None
        how = standing.overview(self.path, alive=tail.written)
        now.state, now.note = cast("State", how.state), how.note
        if standing.dead and not tail.beside and not self.path.is_file():
            now.state, now.note = "failed", "it ended before it had recorded anything: no file is kept"


_NOTHING = Table(Declared(STEPS, "", []), {}).columns()


class _Recalled(Mapping[Verb, Asking]):
    """What was asked last at an earlier moment, each read when it is wanted. places: of the questions."""

    def __init__(self, places: Mapping[Verb, Place], read: Callable[[Place], Asking]) -> None:
        self._places = dict(sorted(places.items(), key=lambda item: item[1]))
        self._read = read
        self._known: dict[Verb, Asking] = {}

    def __getitem__(self, verb: Verb) -> Asking:
        if verb not in self._known:
            self._known[verb] = self._read(self._places[verb])
        return self._known[verb]

    def __iter__(self) -> Iterator[Verb]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _recalled(tail: Tail, place: Place) -> Asking:
    """Return the question behind `place` and what came of it."""
    reader = tail.reader(place)
    question = next(reader)
    asked = cast("Asked", question.entry)
    for record in reader:
        match record.entry:
            case Answered() | Raised() if record.entry.number == asked.number:
                return Asking(asked.arguments, question.time).answered_by(record.entry)
            case Asked() | Resumed():
                break
            case _:
                pass
    return Asking(asked.arguments, question.time)


def _introduce(run: RunSoFar, head: Mapping[str, Any]) -> None:
    """Take what the journal says of a run when it begins."""
    run.protocol, run.doc, run.start_time = (str(head[name]) for name in ("protocol", "doc", "start_time"))
    run.title = f"{run.protocol} {run.start_time}"
    run.parameters = {name: _as_read(value) for name, value in head["parameters"].items()}
    run.units |= {f"parameters/{name}": unit for name, unit in head["units"].items() if unit}
    _connect(run, head)


def _connect(run: RunSoFar, head: Mapping[str, Any]) -> None:
    """Take on which bench a run begins, or goes on."""
    run.bench, run.bench_name = str(head.get("bench", run.bench)), str(head.get("bench_name", run.bench_name))
    run.players = dict(head.get("parts", run.players))


def _as_read(value: object) -> Any:
    """Return a parameter as it is read out of a run file."""
    try:
        array: NDArray[Any] = np.asarray(value)
    except ValueError:  # rows of different lengths
        return str(value)
    if value is None or array.ndim == 0:
        return value if value is None or array.dtype.kind in "biufcU" else str(value)
    return array.astype(object) if array.dtype.kind in "UO" else array


def _of_file(run: RunFile) -> RunSoFar:
    """Return what there is of a run whose file holds no journal."""
    whole, how = RunSoFar(run.path), overview(run.path)
    for name in vars(whole).keys() & dir(run):
        setattr(whole, name, getattr(run, name))
    standing = whole.standing
    standing.begun, standing.protocol, standing.bench = True, how.protocol, how.bench
    standing.pace.steps, standing.last, standing.units = how.steps, dict(how.last), dict(how.units)
    standing.alarms.extend(alarms(run.events))
    standing.ended, standing.problem = Ended(how.state, how.note), how.problem
    standing.began = how.began or 0.0
    standing.time = standing.began + (how.duration or 0.0)
    return whole
