"""Where in the plane of two source frequencies which oscillator locks to which source: the ideal picture.

Oscillator i locks to a source whose frequency lies within half a locking width of its own, and to the nearer one if
both do. A source is thus in one of n + 2 intervals: below all oscillators, in the locking range of one of the n, or
above all. Real regions have soft, bent edges (noise, frequency pulling, the other source); learning on the chip is
there to cope with that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import StateArray
from labneuro.units import FloatArray

FREE = -1
"""In place of an oscillator's number: a source to which no oscillator is locked."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The locking ranges of oscillators.

    frequencies: (oscillators,), Hz, in any order. width: full locking width, Hz. Raises ValueError unless there
    are two oscillators at least, with different frequencies, and a positive width.
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

    def intervals(self, reach: float) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
        """Return the intervals of a source's frequency, from below all oscillators to above all.

        Lower edges and upper edges, (oscillators + 2,), Hz, and which oscillator locks there, or FREE. The
        outermost intervals end `reach`, Hz, beyond the outermost oscillators. Where locking ranges overlap they
        end half way between the oscillators.
        """
        order = np.argsort(self.frequencies)
        ordered = self.frequencies[order]
        half = self.width / 2
        between = (ordered[1:] + ordered[:-1]) / 2
        low = np.maximum(ordered - half, np.concatenate([[-np.inf], between]))
        high = np.minimum(ordered + half, np.concatenate([between, [np.inf]]))
        return (
            np.concatenate([[ordered[0] - reach], low, high[-1:]]),
            np.concatenate([low[:1], high, [ordered[-1] + reach]]),
            np.concatenate([[FREE], order, [FREE]]),
        )

    def states(self, tones: FloatArray) -> StateArray:
        """Return which oscillator is locked to which source, (points, oscillators), at `tones` (points, 2), Hz."""
        distance = np.abs(self.frequencies - tones[:, :, np.newaxis])
        nearest = distance.argmin(axis=1)
        locked = distance.min(axis=1) < self.width / 2
        return np.where(locked, nearest + 1, 0).astype(np.int8)
