"""Tunnel junctions that break down: a voltage across one of them that is too high, if only for a moment, ends it.

A current that jumps rings in the cables and the bias tee: it passes its new level by `OVERSHOOT` of the jump.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray, format_quantity

OVERSHOOT = 0.25
"""How far a current that jumps passes its new level, as part of the jump."""

BROKEN = 5.0
"""Resistance of a junction that has broken down, ohm."""

_log = logging.getLogger(__name__)


class Junctions:
    """Junctions in a chip called `name`: what they carry may destroy them.

    resistance: (junctions,), ohm. breakdown: voltage, V, from which a junction is destroyed. broken: (junctions,),
    which have been. deaths: one line about each, in order.
    """

    def __init__(self, name: str, resistance: FloatArray, breakdown: float) -> None:
        self._name = name
        self._intact = resistance
        self._breakdown = breakdown
        self.broken: NDArray[np.bool_] = np.zeros(resistance.size, np.bool_)
        self.deaths: list[str] = []

    @property
    def resistance(self) -> FloatArray:
        """Resistance of each, (junctions,), ohm."""
        return np.where(self.broken, BROKEN, self._intact)

    def change(self, before: FloatArray, after: FloatArray, *, jumps: bool) -> None:
        """Change the currents through them, (junctions,), A; one that `jumps` overshoots."""
        change = (after - before) * jumps
        largest = format_quantity(float(np.max(np.abs(change), initial=0.0)), "A")
        self.carry(after + OVERSHOOT * change, f"after a jump by {largest}" if jumps else "flow through it")

    def carry(self, peak: FloatArray, why: str) -> None:
        """Expose them to `peak` currents, (junctions,), A."""
        voltage = np.abs(peak) * self._intact
        for k in np.flatnonzero((voltage >= self._breakdown) & ~self.broken):
            self.broken[k] = True
            peak_words = f"{format_quantity(float(peak[k]), 'A')}, {format_quantity(float(voltage[k]), 'V')}"
            limit = format_quantity(self._breakdown, "V")
            self.deaths.append(f"{self._name}: oscillator {k + 1} is destroyed: {peak_words} {why}, it bears {limit}")
            _log.error("%s", self.deaths[-1])
