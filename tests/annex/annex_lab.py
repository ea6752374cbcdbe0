"""A laboratory's own package, found through its entry points: a source that keeps a diary, and protocols for it."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from labneuro.clock import WallClock
from labneuro.crossing import LostAnswerError
from labneuro.filelock import is_locked
from labneuro.roles import CurrentSource, PulseGenerator
from labneuro.signals import Pulses
from labneuro.store import RunFile
from labneuro.units import Current, Currents, Duration, Fraction, Power


class DiarySource(CurrentSource):
    """A current source that writes down what it is asked."""

    def __init__(self, *, diary: str, stuck: bool = False, farewell: Duration = 0.0) -> None:
        """Open a new source.

        Args:
            diary: path of the diary
            stuck: whether it refuses to be made safe
            farewell: time that making it safe takes
        """
        self._diary = Path(diary)
        self._stuck = stuck
        self._farewell = farewell
        self._current = 0.0
        self._write("open")

    def _write(self, entry: str) -> None:
        with self._diary.open("a", encoding="utf-8") as diary:
            diary.write(f"{entry}\n")

    @property
    def identity(self) -> str:
        return "annex,diary,1,0"

    @property
    def current(self) -> float:
        return self._current

    def set_current(self, current: float) -> None:
        self._current = current
        self._write(f"{current:g} A")

    @property
    def compliance(self) -> float:
        return 1.0

    def set_compliance(self, voltage: float) -> None:
        self._write(f"{voltage:g} V")

    def make_safe(self) -> None:
        WallClock().sleep(self._farewell)
        if self._stuck:
            raise RuntimeError("the relay is stuck")
        self._current = 0.0
        self._write("safe")

    def close(self) -> None:
        self._write("close")


class LastingSource(CurrentSource):
    """A current source whose output outlives the process: its levels stand in a file, one a line, A."""

    def __init__(self, *, levels: str) -> None:
        """Connect to it.

        Args:
            levels: path of the file; whoever locks it is another session
        """
        self._levels = Path(levels)
        if is_locked(self._levels):
            raise ConnectionError("another session holds it")
        _ = self.current  # raises if it is gone

    @property
    def identity(self) -> str:
        return "annex,lasting,1,0"

    @property
    def current(self) -> float:
        return float(self._levels.read_text().split()[-1])

    def set_current(self, current: float) -> None:
        with self._levels.open("a") as levels:
            levels.write(f"{current!r}\n")

    @property
    def compliance(self) -> float:
        return 1.0

    def set_compliance(self, voltage: float) -> None:
        pass

    def make_safe(self) -> None:
        self.set_current(0.0)


class LastingPulser(PulseGenerator):
    """A pulse generator whose device remembers: every pulse it has had stands in a file, one a line, V."""

    def __init__(self, *, pulses: str, deaf_after: int = 0) -> None:
        """Connect to it.

        Args:
            pulses: path of the file
            deaf_after: number of pulses after which it sends them and never says so; 0 for never
        """
        self._pulses = Path(pulses)
        self._deaf_after = deaf_after
        self._pulses.touch()

    @property
    def identity(self) -> str:
        return "annex,pulser,1,0"

    def fire(self, pulses: Pulses) -> None:
        with self._pulses.open("a") as file:
            file.write(f"{pulses.amplitude}\n" * pulses.count)
        if self._deaf_after and len(self._pulses.read_text().split()) > self._deaf_after:
            raise TimeoutError("no answer")

    def make_safe(self) -> None:
        pass


@dataclass(frozen=True)
class Step:
    """A current and what came of it."""

    current: Current
    part: Fraction
    counts: int
    levels: Currents


@dataclass(frozen=True)
class FirstLook:
    """What was seen before the first step."""

    current: Current


def ramp(
    source: CurrentSource,
    *,
    steps: Annotated[int, Ge(1)] = 3,
    top: Annotated[Current, Gt(0)] = 3e-3,
    power: Power = 1e-3,
    offset: float = 0.0,
    shape: Literal["line", "square"] = "line",
    loud: bool = False,
) -> Iterator[Step | FirstLook]:
    """Ramp a current up to 100 % of its top.

    Nothing else happens.

    Args:
        steps: Number of steps.
        top: The last current.
        power: Never used.
        offset: Added to each count.
        shape: How the current grows.
        loud: Say so.
    """
    yield FirstLook(source.current)
    for k in range(1, steps + 1):
        part = k / steps if shape == "line" else (k / steps) ** 2
        source.set_current(top * part)
        if loud:
            os.write(1, b"step\n")
        yield Step(source.current, part, k + int(offset), np.array([top * part, power]))


def slow(source: CurrentSource, *, steps: int = 100, pause: Duration = 0.2, tail: Duration = 0.0) -> Iterator[Step]:
    """Announce every step on the standard output, then take `pause` for it; clean up at the end.

    Args:
        steps: number of steps
        pause: time a step takes
        tail: time the clean-up takes
    """
    clock = WallClock()
    try:
        for k in range(1, steps + 1):
            source.set_current(1e-3)
            os.write(1, b"step %d\n" % k)
            clock.sleep(pause)
            yield Step(source.current, k / steps, k, np.zeros(2))
    finally:
        clock.sleep(tail)
        source.set_current(0.5e-3)


def breaks(
    source: CurrentSource, *, after: int = 2, look: bool = False, how: str = "ArithmeticError"
) -> Iterator[Step]:
    """Fail after a few steps."""
    if look:
        yield FirstLook(source.current)  # type: ignore[misc]
    for k in range(after):
        source.set_current(1e-3)
        yield Step(source.current, 0.5, k, np.zeros(2))
    raise {"ArithmeticError": ArithmeticError, "ValueError": ValueError}[how]("the sums don't add up")


@dataclass(frozen=True)
class Fired:
    """A pulse was fired; known: whether its answer came."""

    amplitude: float
    known: bool


def pulse_train(generator: PulseGenerator, *, steps: int = 4) -> Iterator[Fired]:
    """Fire one pulse a step, each higher than the one before."""
    for k in range(1, steps + 1):
        known = True
        try:
            generator.fire(Pulses(0.1 * k, 1e-6))
        except LostAnswerError:
            known = False
        yield Fired(0.1 * k, known)


def tidy(source: CurrentSource, *, steps: int = 3, stop: bool = False) -> Iterator[Step]:
    """Set a compliance and some currents, and clean up at the end; after two steps, `stop` asks the run to."""
    try:
        source.set_compliance(1.5)
        for k in range(1, steps + 1):
            source.set_current(1e-3 * k)
            if stop and k == 2 and not Path("asked to stop").exists():
                Path("asked to stop").touch()
                signal.raise_signal(signal.SIGINT)
            yield Step(source.current, k / steps, k, np.arange(2.0) * k)
    finally:
        source.set_current(0.5e-3)
        source.set_compliance(1.0)


def forgetful(source: CurrentSource) -> None:
    """Forget to yield."""
    source.set_current(1e-3)


def greedy(source: CurrentSource, *, top: Current = 1e-3, out: str = "") -> Iterator[Step]:
    """Take a parameter that the command line needs for itself."""
    source.set_current(top)
    yield Step(top, 1.0, len(out), np.zeros(2))


def summary(run: RunFile) -> list[tuple[str, str]]:
    return [("highest current", f"{run.steps['current'].max() * 1e3:g} mA")]


def panels(run: RunFile) -> list[str]:
    return [f"panel of {run.protocol}"]
