"""How far a run is: steps, rate, time left, last values; live on a terminal, as plain lines elsewhere."""

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import fields
from types import TracebackType
from typing import Any, Self, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from labneuro.interrupt import Interrupt
from labneuro.records import unit_of
from labneuro.units import format_quantity

QUIET = 5.0
"""Least time between two plain lines, s."""


class Pace:
    """How many steps are done, how fast they come and how long the rest will take.

    The first step is not timed: it waits for compilers and instruments. total: expected number, None if
    unknown.
    """

    def __init__(self, total: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self.steps = 0
        self._total = total
        self._now = now
        self._first = self._last = 0.0

    def step(self) -> None:
        """Count one more step, done now."""
        self.steps += 1
        self._last = self._now()
        if self.steps == 1:
            self._first = self._last

    def __str__(self) -> str:
        words = [f"{self.steps}/{self._total}" if self._total else f"{self.steps} steps"]
        elapsed = self._last - self._first
        if self.steps > 1 and elapsed > 0:
            rate = (self.steps - 1) / elapsed
            words.append(f"{rate:.3g} steps/s" if rate >= 1 else f"{duration(1 / rate)} a step")
            if self._total and self._total > self.steps:
                words.append(f"{duration((self._total - self.steps) / rate)} left")
        return "  ".join(words)


def expected_steps(parameters: Mapping[str, object]) -> int | None:
    """Return how many steps a run will have, as far as its parameters tell."""
    total = parameters.get("steps", parameters.get("points"))
    return total if isinstance(total, int) and total > 0 else None


class ProgressDisplay:
    """The progress of a run on a console.

    title: name of the protocol. total: expected number of steps, None if unknown. interrupt: whose message is
    shown. A console that fails, such as a terminal that was closed, falls silent and never reaches the run.
    """

    def __init__(self, console: Console, title: str, total: int | None, interrupt: Interrupt) -> None:
        self._console = console
        self._title = title
        self._pace = Pace(total)
        self._values = ""
        self._printed = -QUIET
        self._waiting = False
        self._live = _Live(console, title, total, interrupt) if console.is_terminal else None

    def __enter__(self) -> Self:
        with self._forgiving():
            if self._live is not None:
                self._live.start()
            else:
                self._print()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._forgiving():
            if self._live is not None:
                self._live.stop()
            if self._waiting:
                self._print()

    def advance(self, record: object) -> None:
        """Show that one more step is done, and the numbers in its record."""
        self._pace.step()
        self._values = scalars(record)
        with self._forgiving():
            if self._live is not None:
                self._live.show(self._pace, self._values)
            elif time.monotonic() - self._printed >= QUIET:
                self._print()
            else:
                self._waiting = True

    def _print(self) -> None:
        self._printed = time.monotonic()
        self._waiting = False
        self._console.print(
            f"{self._title} {self._pace}  {self._values}".rstrip(),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    @contextmanager
    def _forgiving(self) -> Generator[None, None, None]:
        try:
            yield
        except (OSError, SystemExit):  # rich exits the process when a pipe breaks
            self._console.quiet = True
            self._live = None


class _Live(Progress):
    """A bar, and below it the last values and what an interrupt has to say."""

    def __init__(self, console: Console, title: str, total: int | None, interrupt: Interrupt) -> None:
        columns = (TextColumn(title), BarColumn(), TextColumn("{task.fields[pace]}"), TimeElapsedColumn())
        self._interrupt = interrupt  # first, because Progress draws itself while it is made
        self._values = ""
        super().__init__(*columns, console=console, transient=True)
        self._task = self.add_task(title, total=total, pace=str(Pace(total)))

    def show(self, pace: Pace, values: str) -> None:
        self._values = values
        self.update(self._task, completed=pace.steps, pace=str(pace))

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield Text(self._values, no_wrap=True, overflow="ellipsis")
        if self._interrupt.message:
            yield Text(self._interrupt.message, style="bold yellow")


def scalars(record: object) -> str:
    """Return the single numbers and words in a record, with units: "train 0.714  bias 4.5 mA"."""
    hints = get_type_hints(type(record), include_extras=True)
    values = {field.name: getattr(record, field.name) for field in fields(cast("Any", record))}
    units = {name: unit_of(hints[name]) or "" for name in values}
    return single({name: value for name, value in values.items() if np.ndim(value) == 0}, units)


def single(values: Mapping[str, object], units: Mapping[str, str]) -> str:
    """Return single numbers and words by name, with their units: "train 0.714  bias 4.5 mA"."""
    return "  ".join(f"{name} {number(value, units.get(name, ''))}" for name, value in values.items())


def quantity(value: object, unit: str) -> str:
    """Return a value of any shape as a person reads it; a long array by its shape."""
    array: NDArray[Any] = np.asarray(value)
    if array.ndim == 0:
        return number(value, unit)
    if array.ndim == 1 and array.size <= 12:
        return ", ".join(number(item, unit) for item in array)
    return f"{' × '.join(map(str, array.shape))} {array.dtype} {unit}".rstrip()


def number(value: object, unit: str) -> str:
    """Return one value as a person reads it: four digits where there is no unit."""
    plain: object = np.asarray(value).item()
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:.4g}" if unit in {"", "1"} else format_quantity(plain, unit)
    return f"{value} {unit}".strip() if unit != "1" else str(value)


def duration(seconds: float) -> str:
    """Return a time span in its two largest units: "16 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
