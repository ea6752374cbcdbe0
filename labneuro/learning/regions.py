"""Where in the plane of two source frequencies which oscillator locks to which source: the ideal picture.

Oscillator i locks to a source whose frequency lies within half a locking width of its own, and to the nearer
one if both do. A source is thus in one of n + 2 intervals: below all oscillators, in the locking range of one
of the n, or above all. Real regions have soft, bent edges (noise, frequency pulling, the other source);
learning on the chip is there to cope with that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import StateArray
from labneuro.units import FloatArray

FREE = -1
"""In place of an oscillator's number: a source to which no oscillator is locked."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of one source's frequency, from low to high.

    low, high: (intervals,), Hz, their edges. position: (intervals,), Hz, where their tones typically lie.
    locks: (intervals,), the oscillator that locks there, or FREE.
    """

    low: FloatArray
    high: FloatArray
    position: FloatArray
    locks: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Regions:
    """The locking ranges of oscillators.

    frequencies: (oscillators,), Hz, in any order. width: full locking width, Hz. Raises ValueError unless
    there are two oscillators at least, with different frequencies, and a positive width.
    """

    frequencies: FloatArray
    width: float

    def __post_init__(self) -> None:
        if self.frequencies.ndim != 1 or len(self.frequencies) < 2:
            raise ValueError(f"regions need two oscillators or more, got frequencies {self.frequencies}")
        if not (np.isfinite(self.frequencies).all() and np.unique(self.frequencies).size == self.oscillators):
            raise ValueError(f"oscillators need finite frequencies that differ, got {self.frequencies} Hz")
        if not (np.isfinite(self.width) and self.width > 0):
            raise ValueError(f"locking width {self.width:g} Hz must be positive")

    @property
    def oscillators(self) -> int:
        """Number of oscillators."""
        return len(self.frequencies)

    @property
    def spacing(self) -> float:
        """Mean distance of neighbouring frequencies, Hz."""
        return float(np.ptp(self.frequencies)) / (self.oscillators - 1)

    def intervals(self, *, beyond: float | None) -> Intervals:
        """Return every oscillator's locking range and, unless `beyond` is None, what lies outside them all.

        Where locking ranges overlap, they end half way between the oscillators. The two intervals outside end
        `beyond`, Hz, from the outermost oscillators; their tones are taken to lie one spacing from them.
        """
        order = np.argsort(self.frequencies)
        position = self.frequencies[order]
        between = (position[1:] + position[:-1]) / 2
        low = np.maximum(position - self.width / 2, np.concatenate([[-np.inf], between]))
        high = np.minimum(position + self.width / 2, np.concatenate([between, [np.inf]]))
        if beyond is None:
            return Intervals(low, high, position, order)
        first, last = position[0], position[-1]
        return Intervals(
            low=np.concatenate([[first - beyond], low, high[-1:]]),
            high=np.concatenate([low[:1], high, [last + beyond]]),
            position=np.concatenate([[first - self.spacing], position, [last + self.spacing]]),
            locks=np.concatenate([[FREE], order, [FREE]]),
        )

    def states(self, tones: FloatArray) -> StateArray:
        """Return the synchronisation states, (points, oscillators), at `tones` (points, 2), Hz."""
        distance = np.abs(self.frequencies - tones[:, :, np.newaxis])
        nearest = distance.argmin(axis=1)
        locked = distance.min(axis=1) < self.width / 2
        return np.where(locked, nearest + 1, 0).astype(np.int8)
