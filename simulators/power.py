"""An oscillator read by its power alone, as in reservoir computing: the exact answer to a stepwise current.

    dp/dt = 2 p [-Gamma_G (1 + Q p) + sigma I(t) (1 - p)] + 2 D_n

is the equation of the power p = |c|^2 in the model of `slavin_tiberkevich`. J. Torrejon et al., Nature 547,
428 (2017), read the amplitude sqrt(p) of such an oscillator at every virtual node of a time-multiplexed
reservoir. The last term, 0 by default, is the power that thermal noise brings in on average; it keeps p from
vanishing below threshold.

While the current holds still, with b = sigma I - Gamma_G and a = Gamma_G Q + sigma I, this is the logistic
(Riccati) equation dp/dt = 2 b p - 2 a p^2 + 2 D_n, whose solution is a quotient of exponentials. The kernel
takes one such step for each value of the current: no step is too long, and halving it changes nothing.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike

from labneuro.simulators.noise import FASTMATH
from labneuro.units import FloatArray

_LANES = 8
_TILE = 128
"""A lane takes so many values of the current before its neighbours take theirs: they share cache lines."""


def respond(
    current: ArrayLike,
    start: ArrayLike,
    *,
    hold: float,
    damping: ArrayLike,
    q: ArrayLike,
    threshold: ArrayLike,
    noise: ArrayLike = 0.0,
) -> FloatArray:
    """Return the powers at the end of each value of the current, (steps, batch), dimensionless.

    current: I, A, (steps, batch), or (steps, 1) shared by all lanes. Each value is held for `hold`, s, the
    time of a virtual node.
    start: p at the beginning, (batch,) or one number, as all that follow.
    damping: Gamma_G, rad/s. q: Q. threshold: I_th = Gamma_G / sigma, A. noise: D_n, 1/s.

    Raises ValueError where shapes do not fit, or where `hold`, a damping or a threshold is not positive.
    """
    given = np.asarray(current, dtype=np.float64)
    if given.ndim != 2:
        raise ValueError(f"current has shape {given.shape}: give (steps, batch), or (steps, 1) for all lanes")
    own = (start, damping, q, threshold, noise)
    batch = max(given.shape[1], *(np.size(values) for values in own))
    lanes = np.empty((len(own), batch))
    for row, values in zip(lanes, own, strict=True):
        row[:] = values
    for name, unit, least in (
        ("hold", "s", hold),
        ("damping", "rad/s", lanes[1].min()),
        ("threshold", "A", lanes[3].min()),
    ):
        if not least > 0:
            raise ValueError(f"{name} is {least:g} {unit}: it must be positive")
    powers = np.empty((given.shape[0], batch))
    powers[:] = given
    _respond(lanes, float(hold), powers)
    return powers


@njit(cache=True, fastmath=FASTMATH, error_model="numpy")
def step(p: float, gain: float, saturation: float, noise: float, time: float) -> float:
    """Return p after `time`, s, of dp/dt = 2 p (gain - saturation p) + 2 noise, with rates in rad/s or 1/s.

    With s^2 = gain^2 + 4 saturation noise, up = (s + gain)/2s, down = (s - gain)/2s, decay = e^{-2 s time}
    and rise = (1 - decay)/s, the solution is

        [p (up + decay down) + noise rise] / [down + decay up + saturation p rise]

    and at threshold, without noise, its limit p / (1 + 2 saturation p time). Nothing in it overflows, and
    nothing cancels unless the saturation is negative.
    """
    s = math.sqrt(gain * gain + 4 * saturation * noise)
    if s == 0.0:
        return p / (1 + 2 * saturation * p * time)
    decay = math.exp(-2 * s * time)
    rise = -math.expm1(-2 * s * time) / s
    larger = 0.5 * (s + abs(gain)) / s
    smaller = 2 * saturation * noise / (s * (s + abs(gain)))
    up, down = (larger, smaller) if gain > 0 else (smaller, larger)
    return (p * (up + decay * down) + noise * rise) / (down + decay * up + saturation * p * rise)


@njit(parallel=True, cache=True, fastmath=FASTMATH, error_model="numpy")
def _respond(lanes, hold, powers):
    """Replace the currents in `powers` by the powers; `lanes` has the rows p, Gamma_G, Q, I_th, D_n."""
    steps, batch = powers.shape
    for block in prange((batch + _LANES - 1) // _LANES):
        for tile in range(0, steps, _TILE):
            for lane in range(block * _LANES, min(block * _LANES + _LANES, batch)):
                p, damping, q = lanes[0, lane], lanes[1, lane], lanes[2, lane]
                sigma, noise = damping / lanes[3, lane], lanes[4, lane]
                for k in range(tile, min(tile + _TILE, steps)):
                    drive = sigma * powers[k, lane]
                    p = step(p, drive - damping, damping * q + drive, noise, hold)
                    powers[k, lane] = p
                lanes[0, lane] = p
