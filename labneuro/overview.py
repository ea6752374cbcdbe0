"""How a run stands, in a few words and numbers: out of its run file, or out of its journal as that grows."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from labneuro.entries import Answered, Asked, Begun, Declared, Ended, Left, Noted, Raised, Resumed, Yielded
from labneuro.filelock import is_locked
from labneuro.journal import LATEST, JournalError, Reader, Record
from labneuro.progress import Pace, expected_steps
from labneuro.records import STEPS
from labneuro.store import Event, RunFile, journal_of, run_file_of

ALARMS = 5
"""How many alarms are kept: the last ones."""

_CALM = frozenset({"resumed", "made safe", "paused", "continued", "put back"})
_SINGLE: tuple[type, ...] = (bool, int, float, complex, str, np.number, np.bool_)


@dataclass(frozen=True)
class Overview:
    """How a run stands, or ended.

    path: of its file. protocol, bench: their names. state, note: how it stands or ended, and why. began: s since 1970,
    None if unknown. duration: s, None if unknown; up to now if it goes on. steps: their number. last, units: the single
    values of the last step, and their units. problem: what of it can't be read, and why.
    """

    path: Path
    protocol: str = ""
    bench: str = ""
    state: str = ""
    note: str = ""
    began: float | None = None
    duration: float | None = None
    steps: int = 0
    last: Mapping[str, object] = field(default_factory=dict[str, object])
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""


def overview(path: Path) -> Overview:
    """Return how a run stands. path: of its file or its journal. Raises StoreError if it is no run."""
    journal = journal_of(path)
    if journal.is_file():
        alive, standing = is_locked(journal), Standing()
        try:
            with Reader(journal) as reader:
                for record in reader:
                    standing.take(record)
        except JournalError as error:
            standing.problem = str(error)
        if standing.begun:
            return standing.overview(path, alive=alive)
    run = RunFile(path)
    began, ended = _moment(run.start_time), _moment(run.end_time)
    last = _single(run.last())
    return Overview(
        run.path,
        run.protocol,
        run.bench_name,
        run.state,
        run.note or (_death(run.steps.count) if run.state == "interrupted" else ""),
        began,
        None if began is None or ended is None else ended - began,
        run.steps.count,
        last,
        {name: run.steps.units[name] for name in last},
        run.damage,
    )


def alarms(events: Iterable[Event]) -> list[tuple[float, str]]:
    """Return the last alarms in a run file: when, s since 1970, and what."""
    return [(event.time, f"{event.what}: {event.words}") for event in events if event.what not in _CALM][-ALARMS:]


def time_of_day(moment: float) -> str:
    """Return the time of the day at `moment`, s since 1970."""
    return f"{datetime.fromtimestamp(moment):%H:%M:%S}"


class Standing:
    """How a run stands as far as its journal has been read: `take` its records one after the other.

    begun: whether the journal has said what is run. total: expected number of steps, None if unknown. pace: steps, and
    their rate by the times in the journal, without those in which the run was paused or dead. asked: the question that
    waits for its answer. paused: whether the run is. alarms: when, s since 1970, and what: the last errors that
    answered a question, parts that were not made safe, and notes. left: how each part was left. put_back: what a part
    that has not answered since was given again when the run was resumed. ended: how it ended. time: of the last record,
    s since 1970. The other attributes are those of `Overview`.

    Whoever reads the journal may say, too: unread, bytes that are still to be taken; dead, whether its process has died
    without a word.
    """

    def __init__(self) -> None:
        self.begun = self.paused = self.dead = False
        self.protocol = self.bench = self.problem = ""
        self.total: int | None = None
        self.pace = Pace(None)
        self.last: dict[str, object] = {}
        self.units: dict[str, str] = {}
        self.alarms: deque[tuple[float, str]] = deque(maxlen=ALARMS)
        self.asked: Asked | None = None
        self.left: dict[str, Left] = {}
        self.put_back: dict[str, str] = {}
        self.ended: Ended | None = None
        self.began = self.time = self._idle = 0.0
        self.unread = 0

    def take(self, record: Record) -> None:
        """Take the next record of the journal."""
        entry, before, self.time = record.entry, self.time, record.time
        if self.paused or isinstance(entry, Resumed):
            self._idle += self.time - before
        match entry:
            case Asked():
                self.asked = entry
            case Answered():
                if self.asked is not None:
                    self.put_back.pop(self.asked.part, None)
                self.asked = None
            case Yielded() if entry.table == STEPS:
                self.pace.step()
                self.last = _single(entry.values)
            case Raised() | Left() | Noted():
                self._happened(entry)
            case Declared() if entry.table == STEPS:
                with suppress(TypeError, ValueError):  # a stranger may declare anything
                    self.units = {str(name): str(unit or "") for name, unit, _ in entry.fields}
            case Begun():
                self._begin(entry.head)
            case Resumed():
                self.paused, self.asked, self.ended = False, None, None
                self.left, self.put_back = {}, {}
            case Ended():
                self.asked, self.ended = None, entry
            case _:
                pass

    def overview(self, path: Path, *, alive: bool) -> Overview:
        """Return how the run stands. alive: whether its process lives."""
        steps = self.pace.steps
        if alive:
            state, note = "running", ""
        elif self.ended is None:
            state, note = "interrupted", _death(steps)
        else:
            state, note = self.ended.state, self.ended.note
        return Overview(
            run_file_of(path),
            self.protocol,
            self.bench,
            state,
            note,
            self.began,
            (time.time() if alive else self.time) - self.began,
            steps,
            self.last,
            {name: self.units.get(name, "") for name in self.last},
            self.problem,
        )

    def _begin(self, head: Mapping[str, Any]) -> None:
        self.begun = True
        self.protocol, self.bench = str(head.get("protocol", "")), str(head.get("bench_name", ""))
        parameters = head.get("parameters")
        self.total = expected_steps(cast("dict[str, Any]", parameters)) if isinstance(parameters, dict) else None
        self.pace = Pace(self.total, self._busy)
        self.began = self.time

    def _busy(self) -> float:
        return self.time - self._idle

    def _happened(self, entry: Raised | Left | Noted) -> None:
        match entry:
            case Raised():
                question = "" if self.asked is None else f"{self.asked.part}.{self.asked.verb}: "
                alarm = f"{question}{entry.type}: {entry.text}"
                self.asked = None
            case Left():
                alarm = "" if entry.confirmed else f"NOT made safe: {entry.part}: {entry.words}"
                self.left[entry.part] = entry
            case Noted():
                alarm = "" if entry.what in _CALM else f"{entry.what}: {entry.words}"
                self.paused = entry.what == "paused"
                if entry.what == "put back":
                    self.put_back[entry.words.partition(".")[0]] = entry.words
        if alarm:
            self.alarms.append((self.time, alarm))


def _death(steps: int) -> str:
    return f"its process died after step {steps}" if steps else "its process died before the first step"


def _moment(iso: str) -> float | None:
    """Return a time of a run file in s since 1970, None if it says none."""
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromisoformat(iso).timestamp()
        return moment if 0 <= moment < LATEST else None
    return None


def _single(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that are one number or text each."""
    return {str(name): value for name, value in values.items() if isinstance(value, _SINGLE)}
