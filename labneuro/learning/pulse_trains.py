"""Outer products by coincidence: rows and columns send random pulses, a device moves where two meet.

Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016); update management as in IBM's aihwkit. To change weights by
ΔW = η x d with a device that moves by w_0 a coincidence, row i fires in each of L slots with probability A |x_i| and
column j with B |d_j|, at most 1:

    A = √(η/(w_0 L)) √m,   B = √(η/(w_0 L)) / √m,   m = max|d|/max|x|,   L = ⌈η max|x| max|d| / w_0⌉.

Then L w_0 A|x_i| B|d_j| = η |x_i d_j| is the mean, and with p = A|x_i| B|d_j| the variance is w_0² L p (1 - p). m makes
the busiest row and column fire equally often; L is the least for which no probability exceeds 1. L may be capped; the
largest products are then cut.
"""

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import TrainArray
from labneuro.units import FloatArray

LONGEST = 31
"""Slots of a train."""

_NEGATIVE = np.uint32(1 << 31)


def train_lengths(
    x: FloatArray, d: FloatArray, rate: float, step: float, *, longest: int = LONGEST
) -> NDArray[np.int64]:
    """Return L for each update, (...), at most `longest`; 0 where nothing is to be done.

    x: (..., rows). d: (..., columns). rate: η. step: w_0, the mean step of a device.
    """
    return np.minimum(np.ceil(rate / step * _peak(x) * _peak(d)), longest).astype(np.int64)


def train_probabilities(
    x: FloatArray, d: FloatArray, rate: float, step: float, slots: NDArray[np.int64], *, balance: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return how likely rows and columns fire in a slot, (..., rows) and (..., columns), at most 1.

    slots: (...), L. balance: whether m is as above, or 1.
    """
    gain = np.sqrt(rate / (step * np.maximum(slots, 1)))
    live = (_peak(x) > 0) & (_peak(d) > 0) & balance
    root = np.sqrt(np.where(live, _peak(d), 1.0) / np.where(live, _peak(x), 1.0))
    return (
        np.minimum((gain * root)[..., np.newaxis] * np.abs(x), 1.0),
        np.minimum((gain / root)[..., np.newaxis] * np.abs(d), 1.0),
    )


def draw_trains(
    values: FloatArray, probabilities: FloatArray, slots: NDArray[np.int64], rng: np.random.Generator
) -> TrainArray:
    """Return trains, (..., lines), with independent pulses in the first `slots` (...) slots and the values' signs."""
    trains = np.where(values < 0, _NEGATIVE, np.uint32(0))
    for t in range(int(slots.max(initial=0))):
        fires = (rng.random(values.shape) < probabilities) & (t < slots)[..., np.newaxis]
        trains |= fires.astype(np.uint32) << np.uint32(t)
    return trains


def stochastic_trains(
    x: FloatArray,
    d: FloatArray,
    rate: float,
    step: float,
    rng: np.random.Generator,
    *,
    longest: int = LONGEST,
    balance: bool = True,
) -> tuple[TrainArray, TrainArray]:
    """Return trains for rows and columns whose coincidences change the weights by η x d on average.

    x: (..., rows). d: (..., columns). rate: η. step: w_0. longest: cap of L. balance: as in `train_probabilities`.
    Raises ValueError for x or d that are not finite, and for trains that are too long.
    """
    if not (np.isfinite(x).all() and np.isfinite(d).all()):
        raise ValueError("x or d is not finite: no pulse stands for it; look at what was read from the array")
    if not 1 <= longest <= LONGEST:
        raise ValueError(f"longest is {longest}: a train has 1 to {LONGEST} slots")
    slots = train_lengths(x, d, rate, step, longest=longest)
    p, q = train_probabilities(x, d, rate, step, slots, balance=balance)
    return draw_trains(x, p, slots, rng), draw_trains(d, q, slots, rng)


def _peak(values: FloatArray) -> FloatArray:
    return np.abs(values).max(axis=-1)
