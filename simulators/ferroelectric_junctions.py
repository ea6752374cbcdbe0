"""Ferroelectric tunnel junctions: domains that nucleate, and a conductance that counts them.

Conductance G = S G_on + (1 - S) G_off, with S the fraction of area reversed. Under a constant voltage, switching is
limited by nucleation and its log-times are Lorentzian (A. Chanthbouala et al., Nat. Mater. 11, 860 (2012); S. Boyn et
al., Nat. Commun. 8, 14736 (2017); equations from memory):

    S(t) = 1/2 + (1/pi) arctan((log10 t - log10 t_mean) / Gamma)
    t_mean = t_inf exp(alpha / |V - V_off|)    (Merz's law),    Gamma = Gamma_0 + c / V^2

A pulse goes on from the time at which that law has the present S, so that two pulses of a width are one of twice the
width; voltages below zero switch 1 - S in the same way. Below a sharp threshold nothing moves, and time alone changes
nothing. The constants of the papers' fits are not known here: all of them are stand-ins, chosen so that 2 V for 100 ns
switches half of the area, and 1 V some twelfth of it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators.noise import normal_pairs
from labneuro.simulators.pulsed_devices import (
    LIFETIME_SPREAD,
    READ_NOISE,
    Devices,
    pulse_trains,
    read_noise,
    wear_of_pulse,
)
from labneuro.units import FloatArray

SHORT = 1e-3
"""Conductance of a broken junction, S; a stand-in."""

_SHORTEST = 1e-9  # t_inf, s
_ACTIVATION = 2.0 * math.log(100e-9 / _SHORTEST)  # alpha, V
_WIDTH, _WIDENING = 0.3, 0.8  # Gamma_0, decades, and c, decades V^2
_FULL_VOLTAGE, _FULL_WIDTH, _WEAR = 2.0, 100e-9, 0.15  # V, s, V


@dataclass(frozen=True)
class FerroelectricDevices:
    """What junctions are; arrays are (devices,)."""

    seed: int
    on: NDArray[np.float32]
    """Conductance with all of the area reversed, S."""
    off: NDArray[np.float32]
    """Conductance with none of it, S."""
    activation: NDArray[np.float32]
    """alpha of Merz's law, V."""
    threshold: NDArray[np.float32]
    """Least |V| that moves anything, V."""
    imprint: float
    """V_off, V."""
    endurance: NDArray[np.float32]
    """Full pulses that a junction survives."""


@dataclass(frozen=True)
class FerroelectricState:
    """Where junctions are; arrays are (devices,) and change in place."""

    reversed: FloatArray
    """Fraction S of the area."""
    pulses: NDArray[np.int64]
    """Pulses that have reached the junction."""
    wear: FloatArray
    """Wear in full pulses."""


def draw_devices(
    seed: int,
    devices: int,
    *,
    on: float = 10e-6,
    off: float = 0.1e-6,
    spread: float = 0.05,
    imprint: float = 0.0,
    endurance: float = 4e6,
) -> FerroelectricDevices:
    """Draw junctions.

    Args:
        seed: Draws the junctions and all their noise.
        devices: How many.
        on: Conductance with all of the area reversed, S; a stand-in.
        off: Conductance with none of it, S: two decades less, as in the first of the papers.
        spread: Relative standard deviation between junctions of conductances, activation and threshold; a stand-in.
        imprint: V_off, V.
        endurance: Median number of full pulses that a junction survives; from memory.
    """
    normal = normal_pairs(seed, devices, 3).reshape(6, devices)
    area, barrier, coercivity = np.exp(np.float32(spread) * normal[:3])
    return FerroelectricDevices(
        seed=seed,
        on=np.float32(on) * area,
        off=np.float32(off) * area,
        activation=np.float32(_ACTIVATION) * barrier,
        threshold=np.float32(0.8) * coercivity,
        imprint=imprint,
        endurance=np.float32(endurance) * np.exp(np.float32(LIFETIME_SPREAD) * normal[3]),
    )


def pristine(devices: FerroelectricDevices, now: float = 0.0) -> FerroelectricState:
    """Return the junctions as poled, with none of the area reversed; `now`, s, is the same to them all."""
    size = devices.endurance.size
    return FerroelectricState(reversed=np.zeros(size), pulses=np.zeros(size, np.int64), wear=np.zeros(size))


def pulse(
    devices: FerroelectricDevices,
    state: FerroelectricState,
    which: ArrayLike,
    amplitude: ArrayLike,
    width: ArrayLike,
    count: ArrayLike,
    now: float,
) -> None:
    """Send trains of pulses through the junctions `which`, (trains,).

    amplitude: V, towards `on` above zero; width: s; count: pulses; each of one value or (trains,). Raises ValueError
    for a train that is none.
    """
    trains = pulse_trains(state.pulses.size, which, amplitude, width, count)
    d, s = devices, state
    _pulse(*trains, d.activation, d.threshold, d.imprint, d.endurance, s.reversed, s.pulses, s.wear)


def conductance(
    devices: FerroelectricDevices, state: FerroelectricState, which: Devices, now: float
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of what a read of the junctions `which` gives, S."""
    s = state.reversed[which]
    mean = s * devices.on[which] + (1 - s) * devices.off[which]
    mean = np.where(dead(devices, state, which), SHORT, mean)
    return mean, READ_NOISE * mean


def read(
    devices: FerroelectricDevices,
    state: FerroelectricState,
    which: ArrayLike,
    voltage: ArrayLike,
    width: ArrayLike,
    now: float,
) -> FloatArray:
    """Read the junctions `which`, S: a pulse of `voltage`, V, and `width`, s, with all that it does to them."""
    pulse(devices, state, which, voltage, width, 1, now)
    mean, sigma = conductance(devices, state, which, now)
    return mean + sigma * read_noise(devices.seed, which, state.pulses)


def dead(devices: FerroelectricDevices, state: FerroelectricState, which: Devices = slice(None)) -> NDArray[np.bool_]:
    """Return which junctions have broken down: they are shorts."""
    return state.wear[which] >= devices.endurance[which]


@njit(cache=True, error_model="numpy")
def mean_time(amplitude, activation, imprint):
    """Return t_mean, s, at `amplitude`, V: in it a fresh junction switches half of its area."""
    return _SHORTEST * math.exp(activation / abs(amplitude - imprint))


@njit(cache=True)
def log_time_width(amplitude):
    """Return Gamma, decades of time, at `amplitude`, V."""
    return _WIDTH + _WIDENING / amplitude**2


@njit(cache=True, error_model="numpy")
def switched(fraction, times, width):
    """Return the fraction switched after `times` more, in units of t_mean, from `fraction` on; width: Gamma, decades.

    1/2 + arctan(x)/pi is written as the angle of (-x, 1) over pi, and x as -cot(pi fraction), so that small fractions
    keep their digits; the smallest have taken less time than a double can say.
    """
    gone = 10.0 ** (-width / math.tan(math.pi * fraction))
    return max(fraction, math.atan2(1.0, -math.log10(gone + times) / width) / math.pi)


@njit(cache=True, error_model="numpy")
def _pulse(which, amplitude, width, count, activation, threshold, imprint, endurance, reversed_, pulses, wear):
    for j in range(which.size):
        i, volts = which[j], amplitude[j]
        pulses[i] += count[j]
        wear[i] += count[j] * wear_of_pulse(volts, width[j], _FULL_VOLTAGE, _FULL_WIDTH, _WEAR)
        if abs(volts) < threshold[i] or wear[i] >= endurance[i] or count[j] == 0:
            continue
        times = count[j] * width[j] / mean_time(volts, activation[i], imprint)
        gamma = log_time_width(volts)
        if volts > 0:
            reversed_[i] = switched(reversed_[i], times, gamma)
        else:
            reversed_[i] = 1 - switched(1 - reversed_[i], times, gamma)
