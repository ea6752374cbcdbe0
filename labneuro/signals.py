"""What instruments and chips are asked with and answer with: frozen dataclasses over NumPy arrays, SI units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labneuro.units import FloatArray

StateArray = NDArray[np.int8]
"""Synchronisation states: (points, oscillators); 0 runs free, k is locked to source k (1 is A, 2 is B, ...)."""


@dataclass(frozen=True, eq=False)
class Tones:
    """Continuous waves on the RF sources of a chip, one operating point a row.

    frequency: (points, sources), Hz. power: (points, sources), W at the sources' outputs; 0 is off.
    """

    frequency: FloatArray
    power: FloatArray

    def __post_init__(self) -> None:
        if self.frequency.ndim != 2 or self.frequency.shape != self.power.shape:
            raise ValueError(
                f"tones need frequency and power of one shape (points, sources), not {self.frequency.shape} and "
                f"{self.power.shape}: use Tones.at, which broadcasts"
            )

    @classmethod
    def at(cls, frequency: ArrayLike, power: ArrayLike) -> "Tones":
        """Return tones with `frequency` (points, sources) or (sources,) in Hz and `power`, broadcast to it, in W."""
        frequencies = np.atleast_2d(np.asarray(frequency, dtype=np.float64))
        powers = np.array(np.broadcast_to(np.asarray(power, dtype=np.float64), frequencies.shape))
        return cls(frequencies, powers)

    @classmethod
    def grid(cls, axes: Sequence[ArrayLike], power: ArrayLike) -> "Tones":
        """Return tones at all points of a grid, the last axis fastest; `axes[k]`: the frequencies of source k, Hz."""
        mesh = np.meshgrid(*(np.asarray(axis, dtype=np.float64) for axis in axes), indexing="ij")
        return cls.at(np.stack([m.ravel() for m in mesh], axis=1), power)

    def __len__(self) -> int:
        return self.frequency.shape[0]

    def __getitem__(self, points: slice | NDArray[np.intp] | NDArray[np.bool_]) -> "Tones":
        return Tones(self.frequency[points], self.power[points])


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What a spectrum analyzer shows: one trace, or one for each of a batch of points.

    frequency: (bins,), Hz, ascending. density: (bins,) or (points, bins), W/Hz: power in the resolution filter over
    its equivalent noise bandwidth. rbw: the filter's -3 dB resolution bandwidth, Hz. averages: traces averaged, in
    power; the relative standard deviation of noise is 1/sqrt(averages).
    """

    frequency: FloatArray
    density: FloatArray
    rbw: float
    averages: int

    def __getitem__(self, point: int) -> "Spectrum":
        return Spectrum(self.frequency, self.density[point], self.rbw, self.averages)


@dataclass(frozen=True)
class Pulses:
    """Equal rectangular voltage pulses, one after the other.

    amplitude: V into an open circuit, of either sign. width: of each pulse, s. count: how many.
    """

    amplitude: float
    width: float
    count: int = 1


def source_currents(currents: FloatArray) -> FloatArray:
    """Return the currents of sources in series for device `currents`, (..., oscillators), A.

    In series, device k carries the sum of sources 1 to k.
    """
    return np.diff(currents, axis=-1, prepend=0.0)


def device_currents(sources: FloatArray) -> FloatArray:
    """Return the currents through devices in series for currents of their `sources`, (..., oscillators), A."""
    return np.cumsum(sources, axis=-1)


def state_name(state: ArrayLike) -> str:
    """Name a synchronisation state as the literature does: [0, 2, 0, 1] is "2B,4A"; nothing locked is "none"."""
    locked = [f"{i}{chr(ord('A') + int(s) - 1)}" for i, s in enumerate(np.asarray(state), start=1) if s > 0]
    return ",".join(locked) or "none"
