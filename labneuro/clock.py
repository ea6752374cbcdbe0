"""Time as a part of the bench: everything that waits asks a clock, so that a simulated hour takes no hour."""

import math
import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """A clock that never runs backwards; its zero is arbitrary."""

    @abstractmethod
    def now(self) -> float:
        """Return the time, s."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`. Raises ValueError unless they are finite and not negative."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"can't wait {seconds} s: give a finite time of at least 0 s")
        self._wait(seconds)

    @abstractmethod
    def _wait(self, seconds: float) -> None:
        """Let `seconds` pass."""


class WallClock(Clock):
    """The time on the wall, for instruments made of atoms."""

    def now(self) -> float:
        """Return the time, s, from a zero that the operating system chooses."""
        return time.monotonic()

    def _wait(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock(Clock):
    """Time that passes only when somebody waits, and then at once; it starts at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the time waited so far, s."""
        return self._now

    def _wait(self, seconds: float) -> None:
        self._now += seconds
