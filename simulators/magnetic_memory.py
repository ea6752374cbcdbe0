"""Spin-transfer-torque memory: magnetic tunnel junctions that switch at random between two resistances.

In units of the critical current, i = I / I_c0, with the thermal stability Delta = E_b / kT and the time
tau = t / t_D, t_D = (1 + alpha^2) / (alpha gamma mu_0 H_k), a pulse fails to switch with the probability (WER)

    i < 1, thermal activation (Neel and Brown):  exp(-(t / tau_0) exp(-Delta (1 - i))),    tau_0 = 1 ns
    i > 1, macrospin (W. H. Butler et al., IEEE Trans. Magn. 48, 4684 (2012)):
                                                 1 - exp(-(pi^2/4) Delta (i - 1) / (i e^(2 (i - 1) tau) - 1))

`write_error` takes the smaller of the two, with the barrier of the first never below 3 kT, where activation loses its
meaning (a stand-in): so it joins them without a step. Without a current it is retention, tau_0 e^Delta. Butler's form
is for large i: `fokker_planck_write_error` solves what it approximates.

The cell is that of ARM's `mram_simulation_framework` (alpha 0.01, polarisation 0.3, 6 kohm, hence TMR 0.2; Delta 60)
with I_c0 = (4 e / hbar) (alpha / P) E_b, textbook and from memory. Spread, read noise and wear are stand-ins.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.constants import Boltzmann, e, hbar, physical_constants
from scipy.linalg import solve_banded

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

ATTEMPT = 1e-9
"""tau_0, s."""
SHORT = 1e-3
"""Conductance of a broken junction, S; a stand-in."""

_LEAST_BARRIER = 3.0
_FULL_VOLTAGE, _FULL_WIDTH, _WEAR = 0.8, 10e-9, 0.04  # V, s, V


def relaxation_time(damping: float, anisotropy_field: float) -> float:
    """Return t_D, s; damping: alpha; anisotropy_field: mu_0 H_k, T."""
    gamma = physical_constants["electron gyromag. ratio"][0]
    return (1 + damping**2) / (damping * gamma * anisotropy_field)


@dataclass(frozen=True)
class MagneticDevices:
    """What junctions are; arrays are (devices,)."""

    seed: int
    parallel: NDArray[np.float32]
    """Conductance with parallel layers, S."""
    antiparallel: NDArray[np.float32]
    """Conductance with antiparallel layers, S."""
    stability: NDArray[np.float32]
    """Delta."""
    critical_current: NDArray[np.float32]
    """I_c0, A."""
    relaxation_time: float
    """t_D, s."""
    endurance: NDArray[np.float32]
    """Full pulses that a junction survives."""


@dataclass(frozen=True)
class MagneticState:
    """Where junctions are; arrays are (devices,) and change in place."""

    parallel: NDArray[np.bool_]
    """Whether the layers are parallel."""
    settled_at: FloatArray
    """Up to when thermal flips have been followed, s."""
    pulses: NDArray[np.int64]
    """Pulse trains that have reached the junction: each is one event."""
    wear: FloatArray
    """Wear in full pulses."""


def draw_devices(
    seed: int,
    devices: int,
    *,
    stability: float = 60.0,
    damping: float = 0.01,
    anisotropy_field: float = 0.3,
    polarisation: float = 0.3,
    resistance: float = 6e3,
    temperature: float = 300.0,
    spread: float = 0.05,
    endurance: float = 1e12,
) -> MagneticDevices:
    """Draw junctions.

    Args:
        seed: Draws the junctions and all their noise.
        devices: How many.
        stability: Mean Delta at `temperature`.
        damping: alpha.
        anisotropy_field: mu_0 H_k, T.
        polarisation: Spin polarisation P of both layers; TMR = 2 P^2 / (1 - P^2).
        resistance: Resistance with parallel layers, ohm.
        temperature: K.
        spread: Relative standard deviation between junctions of Delta and of the resistance; a stand-in.
        endurance: Median number of full pulses that a junction survives; from memory.
    """
    (area, barrier), (lifetime, _) = normal_pairs(seed, devices, 2)
    parallel = np.exp(np.float32(spread) * area) / np.float32(resistance)
    delta = np.float32(stability) * (1 + np.float32(spread) * barrier)
    return MagneticDevices(
        seed=seed,
        parallel=parallel,
        antiparallel=parallel / np.float32(1 + 2 * polarisation**2 / (1 - polarisation**2)),
        stability=delta,
        critical_current=delta * np.float32(4 * e / hbar * damping / polarisation * Boltzmann * temperature),
        relaxation_time=relaxation_time(damping, anisotropy_field),
        endurance=np.float32(endurance) * np.exp(np.float32(LIFETIME_SPREAD) * lifetime),
    )


def pristine(devices: MagneticDevices, now: float = 0.0) -> MagneticState:
    """Return the junctions, all antiparallel, at time `now`, s."""
    size = devices.endurance.size
    return MagneticState(
        parallel=np.zeros(size, np.bool_),
        settled_at=np.full(size, now),
        pulses=np.zeros(size, np.int64),
        wear=np.zeros(size),
    )


def pulse(
    devices: MagneticDevices,
    state: MagneticState,
    which: ArrayLike,
    amplitude: ArrayLike,
    width: ArrayLike,
    count: ArrayLike,
    now: float,
) -> None:
    """Send trains of pulses through the junctions `which`, (trains,), at time `now`, s.

    amplitude: V, towards parallel above zero; width: s; count: pulses; each of one value or (trains,). A train is drawn
    at once, so that 10^12 reads cost as little as one; before it come the thermal flips since the last. Raises
    ValueError for a train that is none.
    """
    trains = pulse_trains(state.pulses.size, which, amplitude, width, count)
    d, s = devices, state
    own = (d.parallel, d.antiparallel, d.stability, d.critical_current, d.relaxation_time, d.endurance)
    _pulse(d.seed, *trains, now, *own, s.parallel, s.settled_at, s.pulses, s.wear)


def conductance(
    devices: MagneticDevices, state: MagneticState, which: Devices, now: float
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of what a read of the junctions `which` gives, S.

    As of the last pulse, a read among them: thermal flips are drawn with the next.
    """
    mean = np.where(state.parallel[which], devices.parallel[which], devices.antiparallel[which]).astype(np.float64)
    mean = np.where(dead(devices, state, which), SHORT, mean)
    return mean, READ_NOISE * mean


def read(
    devices: MagneticDevices,
    state: MagneticState,
    which: ArrayLike,
    voltage: ArrayLike,
    width: ArrayLike,
    now: float,
) -> FloatArray:
    """Read the junctions `which`, S: a pulse of `voltage`, V, and `width`, s, with all that it does to them."""
    pulse(devices, state, which, voltage, width, 1, now)
    mean, sigma = conductance(devices, state, which, now)
    return mean + sigma * read_noise(devices.seed, which, state.pulses)


def dead(devices: MagneticDevices, state: MagneticState, which: Devices = slice(None)) -> NDArray[np.bool_]:
    """Return whose barriers have broken down: they are shorts."""
    return state.wear[which] >= devices.endurance[which]


@njit(cache=True, error_model="numpy")
def log_write_error(i, time, stability, relaxation_time):
    """Return ln of the probability that a pulse of `time`, s, at i = I / I_c0 >= 0 does not switch."""
    activated = -time / ATTEMPT * math.exp(-max(stability * (1 - i), _LEAST_BARRIER))
    growth = 2 * time / relaxation_time  # expm1((i - 1) growth) / (i - 1), which is growth at i = 1
    if abs(i - 1) > 1e-9:
        growth = math.expm1((i - 1) * growth) / (i - 1)
    ballistic = math.log(-math.expm1(-(math.pi**2) / 4 * stability / (1 + i * growth)))
    return min(activated, ballistic)


@njit(cache=True)
def _pulse(
    seed,
    which,
    amplitude,
    width,
    count,
    now,
    parallel,
    antiparallel,
    stability,
    critical_current,
    relaxation_time,
    endurance,
    is_parallel,
    settled_at,
    pulses,
    wear,
):
    words = np.empty(4, np.uint32)
    for j in range(which.size):
        i, volts = which[j], amplitude[j]
        if count[j] == 0:
            continue
        wear[i] += count[j] * wear_of_pulse(volts, width[j], _FULL_VOLTAGE, _FULL_WIDTH, _WEAR)
        lifetime = ATTEMPT * math.exp(stability[i])
        flip = -0.5 * math.expm1(-2 * max(now - settled_at[i], 0.0) / lifetime)
        if is_parallel[i]:
            to_parallel, to_antiparallel = 1 - flip, flip
        else:
            to_parallel, to_antiparallel = flip, 1 - flip
        # Only the state that the current opposes can switch; its probability shrinks and the other's grows.
        if volts > 0:
            over = volts * antiparallel[i] / critical_current[i]
            stay = math.exp(count[j] * log_write_error(over, width[j], stability[i], relaxation_time))
            to_parallel += to_antiparallel * (1 - stay)
        elif volts < 0:
            over = -volts * parallel[i] / critical_current[i]
            to_parallel *= math.exp(count[j] * log_write_error(over, width[j], stability[i], relaxation_time))
        _, _, u = variates(seed, i, pulses[i], words)
        is_parallel[i] = u < to_parallel
        settled_at[i] = now
        pulses[i] += 1


def fokker_planck_write_error(i: float, stability: float, times: ArrayLike) -> FloatArray:
    """Return the probability that the magnetisation has not switched after `times`, rising, in units of t_D.

    Solves, for z = cos(theta), from the thermal distribution about z = 1 and with the field along the axis zero,

        d rho/d tau = -d/dz [-(i - z)(1 - z^2) rho - (1 - z^2)/(2 Delta) d rho/dz]

    (Brown, Phys. Rev. 130, 1677 (1963)) by finite volumes and Crank and Nicolson's steps. i: I / I_c0; stability:
    Delta. On a grid twice as fine, a result of 1e-9 changes by 0.1 %.
    """
    cells, step = 2000, 4e-3
    edge = np.linspace(-1.0, 1.0, cells + 1)
    z, dz = (edge[1:] + edge[:-1]) / 2, 2.0 / cells
    # Flux through an edge, which both ends of the axis do not let pass: ahead rho_right + behind rho_left.
    drift, diffusion = -(i - edge) * (1 - edge**2) / 2, (1 - edge**2) / (2 * stability * dz)
    ahead, behind = drift - diffusion, drift + diffusion
    rate = np.zeros((3, cells))
    rate[0, 1:] = -ahead[1:-1] / dz
    rate[1] = (ahead[:-1] - behind[1:]) / dz
    rate[2, :-1] = behind[1:-1] / dz
    rho = np.where(z > 0, np.exp(-stability * (1 - z**2)), 0.0)
    rho /= rho.sum()
    errors, now = [], 0.0
    for until in np.atleast_1d(times):
        steps = max(1, math.ceil((until - now) / step))
        half = (until - now) / steps / 2 * rate
        implicit = -half
        implicit[1] += 1
        for _ in range(steps):
            after = rho + half[1] * rho
            after[:-1] += half[0, 1:] * rho[1:]
            after[1:] += half[2, :-1] * rho[:-1]
            rho = solve_banded((1, 1), implicit, after, overwrite_b=True, check_finite=False)
        errors.append(rho[z > 0].sum())
        now = until
    return np.array(errors)
