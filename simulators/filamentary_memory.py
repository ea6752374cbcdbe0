"""Filamentary memory: HfO2 devices that SET and RESET at random between two conductance states.

Statistics of CEA-Leti's OxRAM as fitted in N2D2 (`Synapse_RRAM`). Devices differ log-normally in the medians of their
low- and high-resistance conductances and normally in the probability that a pulse succeeds; a pulse that does
redraws the conductance log-normally about the median, with

    sigma_ln = exp(o + s ln G),    G the median, S;    LRS: o = -17.1691, s = -1.7575;  HRS: o = -1.7081, s = -0.0791

0.053 at 304 µS and 0.444 at 11.9 µS. The compliance current sets the median of the low-resistance state, G = I_c / V_c
with V_c near 0.33 V (from memory: 0.3 to 0.5 V), and the RESET voltage that of the high one (from memory that it does;
the slope is a stand-in). Far below 100 µA the fit for LRS grows past that for HRS, which then takes its place.

N2D2 knows one pulse. Other amplitudes and widths succeed with P = 1 - (1 - P_full)^h, h = (w / w_0) e^((V - V_0)/v),
the exponential voltage-time law of filaments (from memory; 100 ns, 1.2 V and 40 mV are stand-ins), by which half of
V_0 still disturbs, rarely.

After a pulse the conductance relaxes at random. Its spread is that of the fit by `aihwkit` to W. Wan et al., Nature
608, 504 (2022), analog devices of up to 40 µS, taken as variance that grows with log t between its tables at 1 s and
at 1 day.
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
    variates,
    wear_of_pulse,
)
from labneuro.units import FloatArray

FULL_VOLTAGE, FULL_WIDTH = 1.2, 100e-9
"""Pulse that N2D2's probabilities are taken to belong to, V and s; stand-ins."""
FULL_COMPLIANCE = 100e-6
"""Compliance current that N2D2's low-resistance state is taken to belong to, A: V_c is then 0.33 V."""
SHORT = 1e-3
"""Conductance of a broken device, S; a stand-in."""

_SWITCHING = 0.04  # V for e times the rate; a stand-in
_DEEPENING = 0.3  # V of RESET for a high-resistance conductance e times smaller; a stand-in
_WEAR = 0.1  # V, a stand-in


@dataclass(frozen=True)
class FilamentaryDevices:
    """What devices are; arrays are (devices,)."""

    seed: int
    low_resistance: NDArray[np.float32]
    """Median conductance after SET at `FULL_COMPLIANCE`, S."""
    high_resistance: NDArray[np.float32]
    """Median conductance after RESET at `FULL_VOLTAGE`, S."""
    set_probability: NDArray[np.float32]
    """Probability that a full SET pulse succeeds."""
    reset_probability: NDArray[np.float32]
    """Probability that a full RESET pulse succeeds."""
    endurance: NDArray[np.float32]
    """Full pulses that a device survives."""


@dataclass(frozen=True)
class FilamentaryState:
    """Where devices are; arrays are (devices,) and change in place."""

    conductance: FloatArray
    """Conductance just after the last pulse that switched, S."""
    relaxation: FloatArray
    """How the conductance will relax, in standard deviations."""
    programmed_at: FloatArray
    """When that pulse came, s."""
    pulses: NDArray[np.int64]
    """Pulses that have reached the device."""
    wear: FloatArray
    """Wear in full pulses."""


def draw_devices(seed: int, devices: int, *, spread: float = 1.0, endurance: float = 1e7) -> FilamentaryDevices:
    """Draw devices.

    Args:
        seed: Draws the devices and all their noise.
        devices: How many.
        spread: Spread between devices, 1 for N2D2's, 0 for none.
        endurance: Median number of full pulses that a device survives; T. Dalgaty et al., Nat. Electron. 4, 151 (2021)
            worked with such devices up to ten million cycles.
    """
    (low, high, lifetime), (set_success, reset_success, _) = normal_pairs(seed, devices, 3)
    return FilamentaryDevices(
        seed=seed,
        low_resistance=_log_normal(3.04e-4, 3.86e-5 * spread, low),
        high_resistance=_log_normal(1.19e-5, 1.67e-5 * spread, high),
        set_probability=_probability(0.843, 0.197 * spread, set_success),
        reset_probability=_probability(0.992, 0.0075 * spread, reset_success),
        endurance=np.float32(endurance) * np.exp(np.float32(LIFETIME_SPREAD) * lifetime),
    )


def _log_normal(mean: float, sd: float, normal: NDArray[np.float32]) -> NDArray[np.float32]:
    variance = math.log1p((sd / mean) ** 2)
    return np.float32(mean) * np.exp(np.float32(math.sqrt(variance)) * normal - np.float32(variance / 2))


def _probability(mean: float, sd: float, normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw probabilities, clipped: one of exactly 1 would leave a pulse no voltage at which it fails."""
    return np.clip(np.float32(mean) + np.float32(sd) * normal, 0, 1 - 1e-6, dtype=np.float32)


def pristine(devices: FilamentaryDevices, now: float = 0.0) -> FilamentaryState:
    """Return the devices as they are after forming and a RESET, each at the median, at time `now`, s."""
    size = devices.endurance.size
    return FilamentaryState(
        conductance=devices.high_resistance.astype(np.float64),
        relaxation=np.zeros(size),
        programmed_at=np.full(size, now),
        pulses=np.zeros(size, np.int64),
        wear=np.zeros(size),
    )


def pulse(
    devices: FilamentaryDevices,
    state: FilamentaryState,
    which: ArrayLike,
    amplitude: ArrayLike,
    width: ArrayLike,
    count: ArrayLike,
    now: float,
    *,
    compliance: ArrayLike = FULL_COMPLIANCE,
) -> None:
    """Send trains of pulses through the devices `which`, (trains,), at time `now`, s.

    amplitude: V, SET above zero and RESET below; width: s; count: pulses; compliance: A, the limit of SET; each of one
    value or (trains,). Raises ValueError for a train that is none and for a compliance that is not positive.
    """
    numbers, volts, seconds, counts = pulse_trains(state.pulses.size, which, amplitude, width, count)
    limit = np.array(np.broadcast_to(compliance, numbers.shape), np.float64)
    if not (limit > 0).all():
        raise ValueError(f"compliance: {limit.min():g} A: give a positive current")
    d, s = devices, state
    own = (d.low_resistance, d.high_resistance, d.set_probability, d.reset_probability, d.endurance)
    moving = (s.conductance, s.relaxation, s.programmed_at, s.pulses, s.wear)
    _pulse(d.seed, numbers, volts, seconds, counts, limit, now, *own, *moving)


def conductance(
    devices: FilamentaryDevices, state: FilamentaryState, which: Devices, now: float
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of what a read of the devices `which` gives at time `now`, S."""
    g = state.conductance[which]
    relaxed = g + relaxation_sigma(g, now - state.programmed_at[which]) * state.relaxation[which]
    alive = ~dead(devices, state, which)
    mean = np.where(alive, np.maximum(relaxed, 0.0), SHORT)
    return mean, READ_NOISE * mean


def read(
    devices: FilamentaryDevices,
    state: FilamentaryState,
    which: ArrayLike,
    voltage: ArrayLike,
    width: ArrayLike,
    now: float,
) -> FloatArray:
    """Read the devices `which`, S: a pulse of `voltage`, V, and `width`, s, with all that it does to them."""
    pulse(devices, state, which, voltage, width, 1, now)
    mean, sigma = conductance(devices, state, which, now)
    return mean + sigma * read_noise(devices.seed, which, state.pulses)


def dead(devices: FilamentaryDevices, state: FilamentaryState, which: Devices = slice(None)) -> NDArray[np.bool_]:
    """Return which devices are worn out: shorted, for no RESET opens them any more."""
    return state.wear[which] >= devices.endurance[which]


def relaxation_sigma(conductance: ArrayLike, elapsed: ArrayLike) -> FloatArray:
    """Return by how much conductances of devices alike spread, S, `elapsed` s after the pulse that wrote them."""
    x = np.minimum(np.asarray(conductance) / 40e-6, 1.0)
    second = np.polynomial.polynomial.polyval(x, [0.348, 16.030, -43.853, 45.393, -16.815])
    day = np.polynomial.polynomial.polyval(x, [0.701, 22.086, -50.773, 47.095, -16.458])
    part = np.log(np.maximum(elapsed, 1.0)) / math.log(86400)
    return np.sqrt((day**2 - second**2) * part) * 1e-6


@njit(cache=True)
def low_resistance_sigma(conductance):
    """Return the cycle-to-cycle sigma of ln G in the low-resistance state of median `conductance`, S."""
    return min(math.exp(-17.1691 - 1.7575 * math.log(conductance)), high_resistance_sigma(conductance))


@njit(cache=True)
def high_resistance_sigma(conductance):
    """Return the cycle-to-cycle sigma of ln G in the high-resistance state of median `conductance`, S."""
    return math.exp(-1.7081 - 0.0791 * math.log(conductance))


@njit(cache=True)
def _pulse(
    seed,
    which,
    amplitude,
    width,
    count,
    compliance,
    now,
    low_resistance,
    high_resistance,
    set_probability,
    reset_probability,
    endurance,
    conductance,
    relaxation,
    programmed_at,
    pulses,
    wear,
):
    words = np.empty(4, np.uint32)
    for j in range(which.size):
        i, volts = which[j], abs(amplitude[j])
        first = pulses[i]
        pulses[i] += count[j]
        if amplitude[j] > 0:
            certainty = set_probability[i]
            median = low_resistance[i] * compliance[j] / FULL_COMPLIANCE
            sigma = low_resistance_sigma(median)
        else:
            certainty = reset_probability[i]
            median = high_resistance[i] * math.exp((FULL_VOLTAGE - volts) / _DEEPENING)
            median = min(median, low_resistance[i])
            sigma = high_resistance_sigma(median)
        rate = width[j] / FULL_WIDTH * math.exp((volts - FULL_VOLTAGE) / _SWITCHING)
        success = -math.expm1(math.log1p(-certainty) * rate)
        each = wear_of_pulse(volts, width[j], FULL_VOLTAGE, FULL_WIDTH, _WEAR)
        for k in range(count[j]):
            if wear[i] >= endurance[i]:
                break
            wear[i] += each
            xi, relaxing, u = variates(seed, i, first + k, words)
            if u < success:
                conductance[i] = median * math.exp(sigma * xi)
                relaxation[i] = relaxing
                programmed_at[i] = now
