"""Calibration of an oscillator chip with its sources off: what every later experiment starts from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.lines import find_lines
from labneuro.roles import OscillatorChip
from labneuro.units import Currents, FloatArray, Frequencies, Powers


@dataclass(frozen=True, eq=False)
class FreeRunning:
    """One current through one oscillator after the other, each alone: (oscillators,); NaN where nothing oscillates."""

    current: Currents
    frequency: Frequencies
    power: Powers
    linewidth: Frequencies
    frequency_error: Frequencies


def sweep(chip: OscillatorChip, currents: FloatArray) -> Iterator[FreeRunning]:
    """Yield the free-running oscillation at each of `currents`, A, one oscillator on at a time.

    An oscillator alone has the only line in the spectrum, so there is no doubt whose it is. Raises LimitError before
    the first measurement if any of the currents is beyond the limits.
    """
    for current in currents:
        for alone in np.eye(chip.oscillators) * current:
            chip.check(alone)
    chip.apply(None)
    for current in currents:
        values = np.full((4, chip.oscillators), np.nan)
        for i in range(chip.oscillators):
            chip.set_currents(np.eye(chip.oscillators)[i] * current)
            lines = find_lines(chip.spectrum(), 1)
            if len(lines):
                values[:, i] = (
                    lines.frequency[0],
                    lines.power[0],
                    lines.linewidth[0],
                    lines.frequency_error[0],
                )
        yield FreeRunning(np.full(chip.oscillators, float(current)), *values)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Tuning curves of a chip: polynomials of frequency, Hz, and power, W, against current, A.

    low, high: (oscillators,), A, the currents between which each oscillator was seen to run. Outside, nothing is known
    and ValueError is raised.
    """

    low: FloatArray
    high: FloatArray
    frequency_curves: tuple[np.polynomial.Polynomial, ...]
    power_curves: tuple[np.polynomial.Polynomial, ...]

    @classmethod
    def fit(cls, rows: list[FreeRunning], degree: int = 3) -> "Calibration":
        """Return the calibration from the rows of `sweep`. Raises ValueError for an oscillator seen too rarely."""
        current = np.array([row.current for row in rows])
        frequency = np.array([row.frequency for row in rows])
        power = np.array([row.power for row in rows])
        seen = np.isfinite(frequency)
        count = seen.sum(axis=0)
        if np.any(count <= degree):
            i = int(np.argmin(count))
            raise ValueError(
                f"oscillator {i + 1} showed a line at only {count[i]} of {len(rows)} currents, not {degree + 1}: "
                "sweep more currents above its threshold, or widen the analyzer's span"
            )
        curves = [
            tuple(
                np.polynomial.Polynomial.fit(current[seen[:, i], i], values[seen[:, i], i], degree)
                for i in range(current.shape[1])
            )
            for values in (frequency, power)
        ]
        low = np.where(seen, current, np.inf).min(axis=0)
        high = np.where(seen, current, -np.inf).max(axis=0)
        return cls(low, high, *curves)

    def _checked(self, currents: FloatArray) -> FloatArray:
        outside = (currents < self.low - 1e-12) | (currents > self.high + 1e-12)
        if np.any(outside):
            i = int(np.argmax(outside))
            raise ValueError(
                f"oscillator {i + 1} was not calibrated at {currents[i] * 1e3:.4g} mA, only from "
                f"{self.low[i] * 1e3:.4g} to {self.high[i] * 1e3:.4g} mA: sweep that current, too"
            )
        return currents

    def frequency(self, currents: FloatArray) -> FloatArray:
        """Return the free-running frequencies, (oscillators,), Hz, at `currents`, (oscillators,), A."""
        return np.array([c(i) for c, i in zip(self.frequency_curves, self._checked(currents), strict=True)])

    def power(self, currents: FloatArray) -> FloatArray:
        """Return the emitted powers, (oscillators,), W, at `currents`, (oscillators,), A."""
        return np.array([c(i) for c, i in zip(self.power_curves, self._checked(currents), strict=True)])

    def slope(self, currents: FloatArray) -> FloatArray:
        """Return df/dI, (oscillators,), Hz/A, at `currents`, (oscillators,), A."""
        return np.array([c.deriv()(i) for c, i in zip(self.frequency_curves, self._checked(currents), strict=True)])

    def current(self, frequencies: FloatArray) -> FloatArray:
        """Return the currents, (oscillators,), A, at which the oscillators run at `frequencies`, Hz.

        Frequencies out of reach give NaN.
        """
        currents = np.full(frequencies.shape, np.nan)
        for i, wanted in enumerate(frequencies):
            grid: FloatArray = np.linspace(float(self.low[i]), float(self.high[i]), 1001)
            gap: FloatArray = self.frequency_curves[i](grid) - wanted
            crossings = np.flatnonzero(np.signbit(gap[:-1]) != np.signbit(gap[1:]))
            if crossings.size:
                k = crossings[0]
                currents[i] = grid[k] + (grid[k + 1] - grid[k]) * gap[k] / (gap[k] - gap[k + 1])
        return currents


def locked_range(frequency: FloatArray, locked: NDArray[np.bool_], near: float) -> tuple[float, float]:
    """Return the ends of the stretch of `frequency`, (points,), ascending, Hz, that is `locked` nearest to `near`.

    An end lies half-way between the last locked and the first free point. (NaN, NaN) if nothing is locked; an end at
    the edge of the sweep is the edge.
    """
    where = np.flatnonzero(locked)
    if not where.size:
        return math.nan, math.nan
    k = int(where[np.argmin(np.abs(frequency[where] - near))])
    free = np.flatnonzero(~locked)
    below, above = free[free < k], free[free > k]
    lower = frequency[0] if not below.size else (frequency[below[-1]] + frequency[below[-1] + 1]) / 2
    upper = frequency[-1] if not above.size else (frequency[above[0]] + frequency[above[0] - 1]) / 2
    return float(lower), float(upper)
