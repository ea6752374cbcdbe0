"""What instruments and chips are asked with and answer with: frozen dataclasses over NumPy arrays, SI units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labneuro.units import FloatArray

StateArray = NDArray[np.int8]
"""Synchronisation states: (points, oscillators); 0 runs free, k is locked to source k (1 is A, 2 is B, ...)."""

TrainArray = NDArray[np.uint32]
"""Pulse trains of lines: (vectors, lines). Bit k < 31 is a pulse in slot k; with bit 31 the train is negative."""

Scheme = Literal["V/2", "V/3", "grounded", "1T1R"]
"""What the lines of an array are at while V is across one of its devices.

V/2, V/3: the other rows and columns at V/2, or at V/3 and 2V/3. grounded: at 0. 1T1R: a transistor cuts them off.
"""

Exposure = tuple[float, NDArray[np.int64]]
"""What part of a pulse's amplitude each device of an array sees, and how often, (rows, columns)."""


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


@dataclass(frozen=True, eq=False)
class Spent:
    """What an array of devices has been given since it was made.

    pulses: full ones, (rows, columns). half_selected: pulses that were meant for others, of which the device saw a
    part, (rows, columns). energy: of all of them in all devices, J; NaN if unknown.
    """

    pulses: NDArray[np.int64]
    half_selected: NDArray[np.int64]
    energy: float


def source_currents(currents: FloatArray) -> FloatArray:
    """Return the currents of sources in series for device `currents`, (..., oscillators), A.

    In series, device k carries the sum of sources 1 to k.
    """
    return np.diff(currents, axis=-1, prepend=0.0)


def device_currents(sources: FloatArray) -> FloatArray:
    """Return the currents through devices in series for currents of their `sources`, (..., oscillators), A."""
    return np.cumsum(sources, axis=-1)


def exposures(counts: NDArray[np.int64], scheme: Scheme) -> list[Exposure]:
    """Return what an array sees while its devices get `counts` pulses, (rows, columns), one device at a time."""
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    others: list[Exposure] = []
    if scheme == "grounded":
        others = [(1.0, rows - counts)]
    elif scheme != "1T1R":
        part = 1 / 2 if scheme == "V/2" else 1 / 3
        others = [(part, rows + columns - 2 * counts)]
        if scheme == "V/3":
            others.append((-part, counts.sum() - rows - columns + counts))
    return [(1.0, counts), *others]


def coincidences(rows: TrainArray, columns: TrainArray) -> NDArray[np.int64]:
    """Return in how many slots of all vectors the trains of a row and a column both have a pulse, (rows, columns)."""
    total = np.zeros((rows.shape[1], columns.shape[1]), np.int64)
    at_once = 128  # vectors: their slots fit into the cache, their sums into single precision
    for first in range(0, len(rows), at_once):
        one, other = (_fired(trains[first : first + at_once]) for trains in (rows, columns))
        total += (one.T @ other).astype(np.int64)
    return total


def train_exposures(rows: TrainArray, columns: TrainArray, scheme: Scheme) -> list[Exposure]:
    """Return what an array sees of coincident pulse trains, the parts for devices that are driven up.

    Each line that fires brings half the amplitude. Rows of one sign meet columns of one sign in a phase of their own,
    so that in two of four phases a device sees its row or its column alone, with the other sign. 1T1R: the trains of
    the rows open transistors.
    """
    both = coincidences(rows, columns)
    if scheme == "1T1R":
        return [(1.0, both)]
    alone = pulses_of(rows)[:, None] + pulses_of(columns)
    return [(1.0, both), (1 / 2, alone - 2 * both), (-1 / 2, alone)]


def _fired(trains: TrainArray) -> NDArray[np.float32]:
    """Return 1 where there is a pulse, (slots of all vectors, lines)."""
    bits = np.unpackbits(trains.astype("<u4")[..., None].view(np.uint8), axis=-1, count=31, bitorder="little")
    return bits.swapaxes(1, 2).reshape(-1, trains.shape[1]).astype(np.float32)


def pulses_of(trains: TrainArray) -> NDArray[np.int64]:
    """Return how many pulses each line has in all vectors, (lines,)."""
    return np.bitwise_count(trains & np.uint32(0x7FFFFFFF)).sum(axis=0, dtype=np.int64)


def state_name(state: ArrayLike) -> str:
    """Name a synchronisation state as the literature does: [0, 2, 0, 1] is "2B,4A"; nothing locked is "none"."""
    locked = [f"{i}{chr(ord('A') + int(s) - 1)}" for i, s in enumerate(np.asarray(state), start=1) if s > 0]
    return ",".join(locked) or "none"
