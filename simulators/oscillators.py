"""Coupled nonlinear auto-oscillators in complex amplitudes: the kernel under every emulated oscillator chip.

Slavin and Tiberkevich, IEEE Trans. Magn. 45, 1875 (2009), with the sign of time that turns c counter-clockwise, in a
frame that rotates at a common reference frequency (i: oscillator, s: source):

    dc_i/dt = [a_i - b_i p_i + i (w_i + n_i p_i)] c_i + k sum_{j != i} c_j + e_i sum_s F_s exp(i d_s t) + f_i(t)

    p_i = |c_i|^2                      power, dimensionless
    a_i = sigma_i I_i - Gamma_i        linear growth: spin torque less natural damping, rad/s
    b_i = sigma_i I_i + Q_i Gamma_i    its saturation with power, rad/s
    w_i, n_i                           frequency off the reference and its shift with power, rad/s
    k = Omega exp(i beta)              mutual coupling with the phase of the line between the oscillators, rad/s
    e_i F_s, d_s                       drive felt from source s, and its frequency off the reference, rad/s
    <f_i(t) f_i*(t')> = 2 D_i delta(t - t'), independent in i: thermal noise, D_i in 1/s

Integration is by Heun's method, second order in the step; with the additive noise here Ito and Stratonovich agree.
Its largest error, a turn by z = w dt is taken as z + z^3/6, would move lines by hundreds of kHz at the steps that are
otherwise fine. It costs nothing to be rid of it: `_matched` chooses the rates so that the discrete map, not the
equation it approximates, has the wanted free oscillation, relaxation and shift of frequency.

Every parameter may differ between the operating points of a batch. Points are advanced in blocks of `noise.LANES`, or
of `FEW`, with the point running fastest; a block always runs whole, so a point's answer is the same to the last bit in
any batch and on any number of threads.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators.noise import FASTMATH, LANES, draw_pairs, normal_pairs, start_stream
from labneuro.units import FloatArray

FEW = 16
"""Lanes of the only block of a batch that is not larger, and is listened to: a trace of an analyzer."""

MAX_TURN = 0.5
"""Largest turn of a free oscillator in one step, rad."""


@dataclass(frozen=True, eq=False)
class Oscillators:
    """Parameters of the equation above; each array (oscillators,) or (oscillators, points), rad/s, D in 1/s."""

    growth: FloatArray
    saturation: FloatArray
    detuning: FloatArray
    shift: FloatArray
    diffusion: FloatArray
    response: FloatArray
    coupling: complex = 0.0

    @property
    def count(self) -> int:
        """Number of oscillators."""
        return self.growth.shape[0]

    def free_power(self) -> FloatArray:
        """Power of each oscillator alone and without noise: a/b above threshold, 0 below."""
        return np.maximum(self.growth / self.saturation, 0.0)


@dataclass(frozen=True, eq=False)
class Emission:
    """What leaves the chip: sum_i weight_i c_i + sum_s leak_s F_s exp(i d_s t) + white noise.

    weight: (oscillators,), sqrt(W). leak: sqrt(W) s/rad, multiplies the F_s. floor: power density of the receiver's
    noise, W/Hz.
    """

    weight: FloatArray
    leak: float
    floor: float


@dataclass(frozen=True, eq=False)
class Motion:
    """The answer of `integrate`.

    amplitude: (oscillators, points), complex, at the end. advance: (oscillators, points), phase gained while observed,
    rad. power: (oscillators, points), mean of p while observed. signal: (samples, points), complex, sqrt(W), what was
    emitted while observed, or no samples.
    """

    amplitude: NDArray[np.complex128]
    advance: FloatArray
    power: FloatArray
    signal: NDArray[np.complex128]


@lru_cache
def _kernel(n: int, m: int, lanes: int) -> Any:
    """Compile the integration of `n` oscillators under `m` sources in blocks of `lanes`.

    With all known, loops are unrolled.
    """
    # Offsets of the rows of a block's workspace: constants tell the compiler that the rows are apart.
    x_, y_, x1_, y1_, a_, b_, w_, s_, e_, q_, yold_, turns_, power_ = (k * n * lanes for k in range(13))
    u_, v_, ru_, rv_ = (13 * n * lanes + k * m * lanes for k in range(4))
    gx_, gy_, fx_, fy_ = (13 * n * lanes + 4 * m * lanes + k * lanes for k in range(4))
    size = 13 * n * lanes + 4 * m * lanes + 4 * lanes

    @njit(fastmath=FASTMATH, cache=True, parallel=lanes > FEW)
    def kernel(rates, kr, ki, drive, start, seed, first, settle, observe, every, emission, motion, signal):
        points = start.shape[2]
        for block in prange((points + lanes - 1) // lanes):
            z = np.zeros(size)
            streams = np.empty((4, lanes), np.uint32)
            for l in range(lanes):
                point = min(block * lanes + l, points - 1)
                start_stream(seed, first + block * lanes + l, streams[:, l])
                for i in range(n):
                    o = i * lanes + l
                    z[x_ + o] = start[0, i, point]
                    z[y_ + o] = start[1, i, point]
                    z[a_ + o] = rates[0, i, point]
                    z[b_ + o] = rates[1, i, point]
                    z[w_ + o] = rates[2, i, point]
                    z[s_ + o] = rates[3, i, point]
                    z[e_ + o] = rates[4, i, point]
                    z[q_ + o] = rates[5, i, point]
                for s in range(m):
                    o = s * lanes + l
                    z[u_ + o] = drive[0, point, s]
                    z[ru_ + o] = np.cos(drive[1, point, s])
                    z[rv_ + o] = np.sin(drive[1, point, s])
            draws = every * n + 1
            words = np.empty((2, draws, lanes), np.uint32)
            reals = np.empty((3, draws, lanes), np.float32)
            hx, hy = reals[1], reals[2]
            for look in range(settle + observe):
                draw_pairs(streams, words[0], words[1], reals[0], hx, hy)
                for k in range(every):
                    for l in range(lanes):
                        tx, ty = 0.0, 0.0
                        for i in range(n):
                            tx += z[x_ + i * lanes + l]
                            ty += z[y_ + i * lanes + l]
                        z[gx_ + l], z[gy_ + l] = kr * tx - ki * ty, kr * ty + ki * tx
                        if m > 0:
                            fx, fy = 0.0, 0.0
                            for s in range(m):
                                fx += z[u_ + s * lanes + l]
                                fy += z[v_ + s * lanes + l]
                            z[fx_ + l], z[fy_ + l] = fx, fy
                    for i in range(n):
                        for l in range(lanes):
                            o = i * lanes + l
                            x, y = z[x_ + o], z[y_ + o]
                            p = x * x + y * y
                            g = z[a_ + o] - z[b_ + o] * p
                            w = z[w_ + o] + z[s_ + o] * p
                            # With h = x + noise, the slope k at h + k gives the step as (h + (h + k) + k') / 2.
                            half_x = x + z[q_ + o] * hx[k * n + i, l]
                            half_y = y + z[q_ + o] * hy[k * n + i, l]
                            ex, ey = z[gx_ + l], z[gy_ + l]
                            if m > 0:
                                ex += z[e_ + o] * z[fx_ + l]
                                ey += z[e_ + o] * z[fy_ + l]
                            x1 = half_x + (g * x - w * y + ex)
                            y1 = half_y + (g * y + w * x + ey)
                            z[x_ + o], z[y_ + o] = half_x + x1, half_y + y1
                            z[x1_ + o], z[y1_ + o] = x1, y1
                    for l in range(lanes):
                        tx, ty = 0.0, 0.0
                        for i in range(n):
                            tx += z[x1_ + i * lanes + l]
                            ty += z[y1_ + i * lanes + l]
                        z[gx_ + l], z[gy_ + l] = kr * tx - ki * ty, kr * ty + ki * tx
                        if m > 0:
                            fx, fy = 0.0, 0.0
                            for s in range(m):
                                o = s * lanes + l
                                u, v = z[u_ + o], z[v_ + o]
                                u1, v1 = u * z[ru_ + o] - v * z[rv_ + o], u * z[rv_ + o] + v * z[ru_ + o]
                                z[u_ + o], z[v_ + o] = u1, v1
                                fx += u1
                                fy += v1
                            z[fx_ + l], z[fy_ + l] = fx, fy
                    for i in range(n):
                        for l in range(lanes):
                            o = i * lanes + l
                            x, y = z[x1_ + o], z[y1_ + o]
                            p = x * x + y * y
                            g = z[a_ + o] - z[b_ + o] * p
                            w = z[w_ + o] + z[s_ + o] * p
                            ex, ey = z[gx_ + l], z[gy_ + l]
                            if m > 0:
                                ex += z[e_ + o] * z[fx_ + l]
                                ey += z[e_ + o] * z[fy_ + l]
                            z[x_ + o] = 0.5 * (z[x_ + o] + (g * x - w * y + ex))
                            z[y_ + o] = 0.5 * (z[y_ + o] + (g * y + w * x + ey))
                if look == settle - 1:
                    for o in range(n * lanes):
                        z[yold_ + o] = z[y_ + o]
                        z[turns_ + o] = -np.arctan2(z[y_ + o], z[x_ + o]) / (2 * np.pi)
                if look >= settle:
                    for o in range(n * lanes):
                        x, y = z[x_ + o], z[y_ + o]
                        # A turn is a passage through the negative real axis; looks are less than a quarter turn apart.
                        turn = (1.0 if z[yold_ + o] < 0.0 else 0.0) - (1.0 if y < 0.0 else 0.0)
                        z[turns_ + o] -= turn if x < 0.0 else 0.0
                        z[yold_ + o] = y
                        z[power_ + o] += x * x + y * y
                    if signal.shape[0] > 0:
                        for l in range(min(lanes, points - block * lanes)):
                            re = emission[n + 1] * hx[every * n, l]
                            im = emission[n + 1] * hy[every * n, l]
                            for i in range(n):
                                re += emission[i] * z[x_ + i * lanes + l]
                                im += emission[i] * z[y_ + i * lanes + l]
                            for s in range(m):
                                re += emission[n] * z[u_ + s * lanes + l]
                                im += emission[n] * z[v_ + s * lanes + l]
                            signal[look - settle, block * lanes + l] = complex(re, im)
            for l in range(min(lanes, points - block * lanes)):
                for i in range(n):
                    o = i * lanes + l
                    x, y = z[x_ + o], z[y_ + o]
                    motion[0, i, block * lanes + l] = x
                    motion[1, i, block * lanes + l] = y
                    motion[2, i, block * lanes + l] = 2 * np.pi * z[turns_ + o] + np.arctan2(y, x)
                    motion[3, i, block * lanes + l] = z[power_ + o] / observe

    return kernel


def _matched(
    growth: FloatArray, saturation: FloatArray, detuning: FloatArray, shift: FloatArray
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return rates (alpha, kappa) whose Heun step moves a free oscillator as the equation does.

    All per step. The map is c -> M(p) c, M = 1 + [l(p) + l(p') (1 + l(p))]/2, l(p) = alpha + kappa p, p' = |1 + l|^2 p.
    At the free power p0 = max(a/b, 0) it is given the exact turn and growth, M = exp(a - b p0 + i (w + n p0)), and the
    exact relaxation with its phase, d ln M/dp = (i n - b) (1 - exp(-2 b p0)) / (2 b p0), by fixed-point iteration.
    """
    p = np.maximum(growth, 0.0) / saturation
    turn = growth - saturation * p + 1j * (detuning + shift * p)
    decay = 2 * saturation * p
    slope = (1j * shift - saturation) * np.where(decay > 0, -np.expm1(-decay) / np.where(decay > 0, decay, 1.0), 1.0)
    alpha, kappa = turn - slope * p, slope.copy()
    for _ in range(200):
        rate = alpha + kappa * p
        inflated = np.abs(1 + rate) ** 2
        second = alpha + kappa * p * inflated
        factor = 1 + 0.5 * (rate + second * (1 + rate))
        inflation = inflated + 2 * p * np.real(np.conj(1 + rate) * kappa)
        change = 0.5 * kappa * (1 + inflation * (1 + rate) + second) / factor
        missing = turn - np.log(factor)
        alpha = alpha + missing - (slope - change) * p
        kappa = kappa + slope - change
        if np.all(np.abs(missing) < 1e-15) and np.all(np.abs(slope - change) < 1e-14 * np.abs(slope)):
            break
    return alpha, kappa


@lru_cache(maxsize=8)
def _rates(oscillators: Oscillators, step: float) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    o = oscillators
    return _matched(o.growth * step, o.saturation * step, o.detuning * step, o.shift * step)


def integrate(
    oscillators: Oscillators,
    *,
    points: int = 1,
    drive: ArrayLike = 0.0,
    detuning: ArrayLike = (),
    start: ArrayLike | None = None,
    seed: int = 0,
    first_lane: int = 0,
    step: float,
    settle: int,
    observe: int,
    every: int = 4,
    emission: Emission | None = None,
) -> Motion:
    """Advance a batch of operating points in time and say how the oscillators moved.

    drive: F_s, rad/s, and detuning: d_s, rad/s, both broadcast to (points, sources); no detuning is no source. start:
    complex amplitudes (oscillators, points); by default the free ones at a phase drawn from each point's stream. seed,
    first_lane: point k hears noise stream first_lane + k of the seed. step: s. settle, observe: looks at the motion,
    `every` steps apart, that are passed over and then counted. With `emission`, a sample is kept at every look.

    Raises ValueError where the step is too long: an oscillator would turn by more than MAX_TURN in a step or by a
    quarter turn between two looks.
    """
    n = oscillators.count
    detunings = np.atleast_1d(np.asarray(detuning, np.float64))
    m = detunings.shape[-1]
    tones = np.empty((2, points, m))
    tones[0] = drive if m else 0.0
    tones[1] = detunings * step
    alpha, kappa = _rates(oscillators, step)
    free = oscillators.free_power()
    turn = float(np.max(np.abs(oscillators.detuning + oscillators.shift * free) * (free > 0), initial=0.0)) * step
    if turn > MAX_TURN or turn * every > np.pi / 2:
        raise ValueError(
            f"a step of {step:g} s turns an amplitude by {turn:.2g} rad, {every} steps by {turn * every:.2g}: at most "
            f"{MAX_TURN} and 1.57 are accurate; take a shorter step or a nearer reference frequency"
        )
    coupling = complex(oscillators.coupling) * step
    rates = np.empty((6, n, points))
    for row, values in enumerate(
        (
            alpha.real - coupling.real,
            -kappa.real,
            alpha.imag - coupling.imag,
            kappa.imag,
            oscillators.response * step,
            np.sqrt(oscillators.diffusion * step),
        )
    ):
        rates[row] = values.reshape(n, -1)
    if start is None:
        x, y = normal_pairs(~seed, points, n, first_lane=first_lane).astype(np.float64)
        start = (x + 1j * y) / np.hypot(x, y) * np.sqrt(free.reshape(n, -1))
    begin = np.empty((2, n, points))
    begin[0], begin[1] = np.real(start), np.imag(start)
    received = np.zeros(n + 2)
    if emission is not None:
        received[:n], received[n] = emission.weight, emission.leak
        received[n + 1] = np.sqrt(emission.floor / (2 * every * step))
    motion = np.empty((4, n, points))
    signal = np.empty((observe if emission is not None else 0, points), np.complex128)
    kernel = _kernel(n, m, FEW if points <= FEW and emission is not None else LANES)
    kernel(
        rates,
        coupling.real,
        coupling.imag,
        tones,
        begin,
        seed,
        first_lane,
        settle,
        observe,
        every,
        received,
        motion,
        signal,
    )
    return Motion(motion[0] + 1j * motion[1], motion[2], motion[3], signal)
