"""Oscillators reduced to their phases: all-to-all Kuramoto-Sakaguchi coupling, external tones, phase noise.

    dphi_i/dt = omega_i + noise_i
        + Im[e^{-i phi_i} (kappa_i sum_{j != i} e^{i phi_j} + sum_m h_mi e^{i omega_m t})]

With kappa = K e^{i alpha} each pair gives K sin(phi_j - phi_i + alpha), as in Sakaguchi and Kuramoto, Prog.
Theor. Phys. 76, 576 (1986); Kuramoto's own model has kappa = K/N. One oscillator under one tone obeys Adler's
equation, Proc. IRE 34, 351 (1946): it locks for |omega - omega_m| < |h| and else beats at the rate
sqrt((omega - omega_m)^2 - |h|^2).

Slavin-Tiberkevich oscillators reduce to this where all forces are weak against Gamma_p, because the power
then follows the phase: kappa = Omega e^{i beta} (1 + i nu), h = F (1 + i nu) / sqrt(p0), and the phase
diffuses with D = (1 + nu^2) D_n / (2 p0).

The sum over pairs is taken through the mean field: a step costs O(N).
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators import noise
from labneuro.simulators.noise import FASTMATH, draw_pairs, start_stream
from labneuro.units import FloatArray

_LANES = 8
"""Operating points advanced together; the last block is filled up, so that all lanes run the same code."""
_STREAMS = noise.LANES // _LANES
"""Noise streams of a lane."""

_TO_TURNS = 1 / math.tau
_ROUNDING = 1.5 * 2.0**52  # adding it and taking it away rounds to the nearest whole number
_PI_HIGH, _PI_MIDDLE, _PI_LOW = 3.141592651605606, 1.9841871583270443e-09, 1.034036596358821e-18

# Polynomials in t^2 through the Chebyshev points of |t| <= pi/2: sin(t)/t to 2e-19 and cos(t) to 4e-18.
_S1, _S2, _S3 = -0.16666666666666666, 0.008333333333333186, -0.00019841269841208638
_S4, _S5, _S6 = 2.7557319211223257e-06, -2.505210688997513e-08, 1.6058940847832492e-10
_S7, _S8 = -7.643025738964345e-13, 2.7215660921125597e-15
_C1, _C2, _C3 = -0.4999999999999997, 0.04166666666666388, -0.001388888888877292
_C4, _C5, _C6 = 2.4801587277402905e-05, -2.7557316389900044e-07, 2.0876561781878517e-09
_C7, _C8 = -1.1462900350687044e-11, 4.6089602423243444e-14


def trajectories(
    start: ArrayLike,
    rate: ArrayLike,
    coupling: ArrayLike,
    *,
    dt: float,
    steps: int,
    every: int = 1,
    tone_rate: ArrayLike | None = None,
    tone_force: ArrayLike | None = None,
    diffusion: ArrayLike = 0.0,
    seed: int = 0,
    first_lane: int = 0,
) -> FloatArray:
    """Return the unwrapped phases, (steps // every + 1, oscillators, batch), rad, the first being `start`.

    Integrates by Runge-Kutta of fourth order in steps of `dt`, s; the noise is constant through a step.
    Phases and rates refer to one rotating frame; the step must resolve the forces and the fastest beat.

    start: phases at t = 0, (oscillators, batch), rad.
    rate: omega, rad/s, broadcast to (oscillators, batch).
    coupling: kappa, complex, rad/s, broadcast to (oscillators, batch).
    tone_rate: omega_m, rad/s, broadcast to (tones, batch).
    tone_force: h, complex, rad/s, broadcast to (tones, oscillators, batch); its first axis must be the tones.
    diffusion: D, rad^2/s, in <noise noise> = 2 D delta, broadcast to (oscillators, batch). Alone it gives a
    Lorentzian line of full width D / pi, Hz.
    seed, first_lane: lane k of the batch hears the noise of lane first_lane + k of `seed` in any batch.

    Raises ValueError where the shapes or the numbers of steps do not fit.
    """
    phase = np.array(start, dtype=np.float64, order="C")
    if phase.ndim != 2:
        raise ValueError(f"start has shape {phase.shape}: give phases of shape (oscillators, batch)")
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"steps = {steps}, every = {every}: every must divide steps, and both be positive")
    if (tone_rate is None) != (tone_force is None):
        raise ValueError("tone_rate and tone_force belong together: give both or neither")
    force = np.zeros((0, 1, 1)) if tone_force is None else np.asarray(tone_force)
    tones = force.shape[0] if force.ndim else 1
    path = np.empty((steps // every + 1, *phase.shape))
    _trajectories(
        phase,
        _filled(rate, phase.shape),
        _filled(coupling, phase.shape, np.complex128),
        _filled(0.0 if tone_rate is None else tone_rate, (tones, phase.shape[1])),
        _filled(force, (tones, *phase.shape), np.complex128),
        _filled(diffusion, phase.shape),
        float(dt),
        every,
        seed,
        first_lane,
        path,
    )
    return path


def order_parameter(phases: FloatArray, axis: int = -2) -> FloatArray:
    """Return Kuramoto's r = |mean of e^{i phi}| over the oscillators along `axis`; 1 is full synchrony."""
    return np.hypot(np.cos(phases).mean(axis), np.sin(phases).mean(axis))


def mean_rates(phases: FloatArray, interval: float) -> FloatArray:
    """Return the mean rates, rad/s, over all `phases`, sampled along axis 0 every `interval`, s."""
    return (phases[-1] - phases[0]) / (interval * (len(phases) - 1))


def _filled(values: ArrayLike, shape: tuple[int, ...], dtype: type = np.float64) -> NDArray[np.generic]:
    filled = np.empty(shape, dtype)
    filled[...] = values
    return filled


@njit(parallel=True, cache=True, fastmath=FASTMATH)
def _trajectories(start, rate, coupling, tone_rate, tone_force, diffusion, dt, every, seed, first_lane, path):
    """Run all blocks of lanes; the arguments are those of `trajectories`, broadcast and contiguous."""
    for block in prange((start.shape[1] + _LANES - 1) // _LANES):
        own = np.empty((5, start.shape[0] * _LANES))
        force = np.empty((2, tone_rate.shape[0], own.shape[1]))
        carrier = np.empty((4, tone_rate.shape[0], _LANES))
        streams = np.empty((4, noise.LANES), np.uint32)
        first = block * _LANES
        _load(first, start, rate, coupling, diffusion, dt, own)
        _load_tones(first, tone_rate, tone_force, dt, force, carrier)
        for k in range(noise.LANES):
            start_stream(seed, (first_lane + first + k % _LANES) * _STREAMS + k // _LANES, streams[:, k])
        _run(first, own, force, carrier, streams, dt, every, path)


@njit(cache=True)
def _load(first, start, rate, coupling, diffusion, dt, own):
    """Copy phase, omega, Re kappa, Im kappa and noise of the block; the batch's last lane fills it up."""
    for k in range(own.shape[1]):
        i, lane = k // _LANES, min(first + k % _LANES, start.shape[1] - 1)
        own[0, k] = start[i, lane]
        own[1, k] = rate[i, lane]
        own[2, k] = coupling[i, lane].real
        own[3, k] = coupling[i, lane].imag
        own[4, k] = math.sqrt(2 * diffusion[i, lane] / dt)


@njit(cache=True)
def _load_tones(first, rate, tone_force, dt, force, carrier):
    """Copy Re h and Im h; set the carriers to 1 and find their turn in half a step."""
    batch = rate.shape[1]
    for m in range(rate.shape[0]):
        for k in range(force.shape[2]):
            h = tone_force[m, k // _LANES, min(first + k % _LANES, batch - 1)]
            force[0, m, k], force[1, m, k] = h.real, h.imag
        for k in range(_LANES):
            half_turn = 0.5 * dt * rate[m, min(first + k, batch - 1)]
            carrier[0, m, k], carrier[1, m, k] = 1.0, 0.0
            carrier[2, m, k], carrier[3, m, k] = math.cos(half_turn), math.sin(half_turn)


@njit(cache=True, fastmath=FASTMATH)
def _run(first, own, force, carrier, streams, dt, every, path):
    """Advance one block and record it."""
    size = own.shape[1]
    phase, omega, kappa_re, kappa_im, kick = own[0], own[1], own[2], own[3], own[4]
    work = np.empty((5, size))
    stage, slope, total, sine, cosine = work[0], work[1], work[2], work[3], work[4]
    mean = np.empty(2 * _LANES)
    push = omega.copy()
    draws = (size + 2 * noise.LANES - 1) // (2 * noise.LANES)
    words = np.empty((2, draws, noise.LANES), np.uint32)
    radius = np.empty((draws, noise.LANES), np.float32)
    pairs = np.empty((2, draws, noise.LANES), np.float32)
    normal = pairs.reshape(-1)
    noisy = np.any(kick > 0)
    for sample in range(path.shape[0]):
        for _ in range(every if sample > 0 else 0):
            if noisy:
                draw_pairs(streams, words[0], words[1], radius, pairs[0], pairs[1])
                for k in range(size):
                    push[k] = omega[k] + kick[k] * normal[k]
            for k in range(size):
                stage[k] = phase[k]
                total[k] = 0.0
            for part in range(4):
                if part % 2 == 1:
                    _turn(carrier)
                _sine_cosine(stage, sine, cosine)
                _slopes(sine, cosine, push, kappa_re, kappa_im, mean, slope)
                _add_tones(sine, cosine, force, carrier, slope)
                ahead = dt if part == 2 else 0.5 * dt
                weight = 1.0 if part % 3 == 0 else 2.0
                for k in range(size):
                    total[k] += weight * slope[k]
                    stage[k] = phase[k] + ahead * slope[k]
            for k in range(size):
                phase[k] += dt / 6 * total[k]
        for k in range(size):
            if first + k % _LANES < path.shape[2]:
                path[sample, k // _LANES, first + k % _LANES] = phase[k]


@njit(cache=True, fastmath=FASTMATH)
def _slopes(sine, cosine, push, kappa_re, kappa_im, mean, slope):
    """Write push + Im[kappa (Z e^{-i phi} - 1)] to `slope`; Z, the sum of all e^{i phi}, stays in `mean`."""
    for j in range(2 * _LANES):
        mean[j] = 0.0
    for first in range(0, slope.size, _LANES):
        for j in range(_LANES):
            mean[j] += cosine[first + j]
            mean[_LANES + j] += sine[first + j]
    for first in range(0, slope.size, _LANES):
        for j in range(_LANES):
            k = first + j
            along = mean[j] * cosine[k] + mean[_LANES + j] * sine[k] - 1.0
            across = mean[_LANES + j] * cosine[k] - mean[j] * sine[k]
            slope[k] = push[k] + kappa_re[k] * across + kappa_im[k] * along


@njit(cache=True, fastmath=FASTMATH)
def _add_tones(sine, cosine, force, carrier, slope):
    """Add Im[h e^{i omega_m t} e^{-i phi}] of all tones to `slope`."""
    for m in range(force.shape[1]):
        for first in range(0, slope.size, _LANES):
            for j in range(_LANES):
                k = first + j
                along = carrier[0, m, j] * cosine[k] + carrier[1, m, j] * sine[k]
                across = carrier[1, m, j] * cosine[k] - carrier[0, m, j] * sine[k]
                slope[k] += force[0, m, k] * across + force[1, m, k] * along


@njit(cache=True, fastmath=FASTMATH)
def _turn(carrier):
    """Turn the carriers of the tones by half a step."""
    for m in range(carrier.shape[1]):
        for j in range(_LANES):
            re, im = carrier[0, m, j], carrier[1, m, j]
            carrier[0, m, j] = re * carrier[2, m, j] - im * carrier[3, m, j]
            carrier[1, m, j] = re * carrier[3, m, j] + im * carrier[2, m, j]


@njit(cache=True, fastmath=FASTMATH)
def _sine_cosine(phase, sine, cosine):
    """Write sine and cosine of `phase`, to 1e-15 for |phase| < 1e6, by way of half the angle."""
    for k in range(phase.size):
        turns = (phase[k] * _TO_TURNS + _ROUNDING) - _ROUNDING
        t = ((0.5 * phase[k] - turns * _PI_HIGH) - turns * _PI_MIDDLE) - turns * _PI_LOW
        w = t * t
        s = (((((((_S8 * w + _S7) * w + _S6) * w + _S5) * w + _S4) * w + _S3) * w + _S2) * w + _S1) * w
        s = s * t + t
        c = (((((((_C8 * w + _C7) * w + _C6) * w + _C5) * w + _C4) * w + _C3) * w + _C2) * w + _C1) * w + 1.0
        sine[k] = 2 * s * c
        cosine[k] = 1 - 2 * s * s
