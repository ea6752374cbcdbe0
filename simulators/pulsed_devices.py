"""What devices that learn by pulses share: the pulses asked of them, a noise of their own, and wear.

A device numbers the pulses that reach it, reads among them, and (seed, device, number) addresses the noise of each.
So a train of twenty pulses is twenty trains of one (but see `magnetic_memory`), no device hears which others were
pulsed with it, and the noise has no state but the counters.

Wear is counted in full programming pulses. One of amplitude V and width w adds (w / w_0) exp((|V| - V_0) / V_w), the
exponential law of dielectric breakdown (McPherson's E-model, Microelectron. Reliab. 52, 1753 (2012); reference from
memory): a weak pulse hardly ages a device, and one that is far too strong kills it at once.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators.noise import start_stream
from labneuro.units import FloatArray

Devices = NDArray[np.int64] | slice
"""Which devices: their numbers, or a slice of them all."""

READ_NOISE = 0.01 / math.sqrt(3)
"""Relative read noise where a family has no law of its own: that of VirtualArC, uniform in ±1 %."""

LIFETIME_SPREAD = 0.5
"""Standard deviation between devices of ln(endurance); a stand-in."""


def pulse_trains(
    devices: int, which: ArrayLike, amplitude: ArrayLike, width: ArrayLike, count: ArrayLike
) -> tuple[NDArray[np.int64], FloatArray, FloatArray, NDArray[np.int64]]:
    """Return device numbers, amplitudes, widths and counts as arrays of one shape, (trains,).

    Raises ValueError, naming the device, for one that does not exist and for a train that is no train.
    """
    numbers = np.asarray(which)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise ValueError(f"which: {numbers.dtype} of shape {numbers.shape}: give numbers of devices, (trains,)")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < devices):
        wrong = numbers[(numbers < 0) | (numbers >= devices)][0]
        raise ValueError(f"device {wrong} does not exist: there are {devices}, counted from 0")
    shape = numbers.shape
    volts, seconds = (np.broadcast_to(np.asarray(v, np.float64), shape) for v in (amplitude, width))
    times = np.broadcast_to(np.asarray(count), shape)
    possible = np.isfinite(volts) & (seconds >= 0) & np.isfinite(seconds) & (times >= 0) & (times == np.rint(times))
    if not possible.all():
        k = int(np.argmin(possible))
        raise ValueError(
            f"device {numbers[k]}: no train of {times[k]} pulses of {volts[k]:g} V, {seconds[k]:g} s: give a finite "
            f"amplitude, a width and a whole number of pulses that are not negative"
        )
    return numbers.astype(np.int64), volts.copy(), seconds.copy(), times.astype(np.int64)


@njit(cache=True)
def variates(seed, device, number, words):
    """Return two standard normals and a uniform in (0, 1) of pulse `number` < 2^30 of `device`; words: scratch, (4,).

    The pair is that of Box and Muller, Ann. Math. Stat. 29, 610 (1958).
    """
    start_stream(seed, ((number + 1) << 32) | device, words)
    radius = math.sqrt(-2 * math.log((words[0] + 0.5) * 2.0**-32))
    angle = 2 * math.pi * words[1] * 2.0**-32
    return radius * math.cos(angle), radius * math.sin(angle), (words[2] + 0.5) * 2.0**-32


@njit(cache=True)
def wear_of_pulse(amplitude, width, full_amplitude, full_width, scale):
    """Return the wear of one pulse in full ones; amplitudes and scale in V, widths in s."""
    return width / full_width * math.exp((abs(amplitude) - full_amplitude) / scale)


def read_noise(seed: int, which: ArrayLike, pulses: NDArray[np.int64]) -> FloatArray:
    """Return a standard normal for each device read: the second of its latest pulse, which was the read."""
    return _second_normals(seed, np.array(which, np.int64), pulses)


@njit(cache=True)
def _second_normals(seed, which, pulses):
    noise = np.empty(which.size)
    words = np.empty(4, np.uint32)
    for j in range(which.size):
        noise[j] = variates(seed, which[j], pulses[which[j]] - 1, words)[1]
    return noise
