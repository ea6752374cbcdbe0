"""Phase-change memory: partial SET and RESET, drift and read noise of mushroom cells.

The statistical model of S. R. Nandakumar et al., J. Appl. Phys. 124, 152135 (2018), with the figures of the code
`srnn-pcm`. Each device has a conductance G (µS in this page's equations), as it is T0 = 38.6 s after its last pulse,
and a memory P of the partial SET pulses since its last RESET, when P = 1 and G = 0.1 (1 + 0.1 xi). A partial SET pulse
does

    P <- P exp(-1/2.6),    G <- clip(G + mu + sigma xi, 0.1, largest),
    mu = -0.084 G + 0.880 + 1.40 P,    sigma = 0.091 G + 0.260 + 2.15 P

so that G may well fall. At a time t after the pulse it is G (t / T0)^-0.04, and is read with a noise of
0.03 G + 0.13. The model belongs to one pulse, 50 ns and 90 µA (from memory): here a shorter one does nothing, a longer
one no more. The voltages that select SET and RESET, their spread, and all of wear are stand-ins.

`inference_read` is the other model in use, for a device programmed once to a target by iterations.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators.noise import FASTMATH, normal_pairs
from labneuro.simulators.pulse_kernels import exponential, logarithm
from labneuro.simulators.pulsed_devices import (
    LIFETIME_SPREAD,
    Devices,
    pulse_trains,
    read_noise,
    variates,
    wear_of_pulse,
)
from labneuro.units import FloatArray

T0 = 38.6
"""Time after a pulse at which the model gives the conductance, s."""
SMALLEST = 0.1e-6
"""Conductance after RESET, and least after SET, S."""
PULSE_WIDTH = 50e-9
"""Width of a programming pulse, s; from memory."""
EARLIEST = 1e-6
"""Drift is not followed to earlier times after a pulse, s; a stand-in, for the power law has no beginning."""

_RESET = 2.5  # V, of a full pulse as wear counts it; a stand-in
_WEAR = 0.1  # V, a stand-in


@dataclass(frozen=True)
class PhaseChangeDevices:
    """What devices are; arrays are (devices,)."""

    seed: int
    largest: float
    """Conductance at which SET ends, S."""
    drift: float
    """Exponent of the drift."""
    set_voltage: NDArray[np.float32]
    """Least amplitude that crystallises, V."""
    reset_voltage: NDArray[np.float32]
    """Least amplitude that melts, V."""
    endurance: NDArray[np.float32]
    """RESET pulses that a device survives."""


@dataclass(frozen=True)
class PhaseChangeState:
    """Where devices are; arrays are (devices,) and change in place."""

    conductance: FloatArray
    """Conductance T0 after the last pulse, S."""
    memory: FloatArray
    """P, 1 after RESET."""
    programmed_at: FloatArray
    """When the last programming pulse came, s."""
    pulses: NDArray[np.int64]
    """Pulses that have reached the device."""
    wear: FloatArray
    """Wear in full pulses."""


def draw_devices(
    seed: int, devices: int, *, largest: float = 20e-6, drift: float = 0.04, endurance: float = 1e9
) -> PhaseChangeDevices:
    """Draw devices.

    Args:
        seed: Draws the devices and all their noise.
        devices: How many.
        largest: Conductance at which SET ends, S: 20 µS for the device's figure, 12 µS for training (`srnn-pcm`).
        drift: Exponent of the drift (`srnn-pcm`).
        endurance: Median number of RESET pulses that a device survives; from memory.
    """
    (threshold, lifetime), _ = normal_pairs(seed, devices, 2)
    spread = 1 + np.float32(0.05) * threshold
    return PhaseChangeDevices(
        seed=seed,
        largest=largest,
        drift=drift,
        set_voltage=np.float32(0.9) * spread,
        reset_voltage=np.float32(2.2) * spread,
        endurance=np.float32(endurance) * np.exp(np.float32(LIFETIME_SPREAD) * lifetime),
    )


def pristine(devices: PhaseChangeDevices, now: float = 0.0) -> PhaseChangeState:
    """Return the devices as they are after their first RESET, at time `now`, s."""
    size = devices.endurance.size
    (initial,), _ = normal_pairs(devices.seed, size, 1, first_lane=1 << 31)
    return PhaseChangeState(
        conductance=SMALLEST * (1 + 0.1 * initial.astype(np.float64)),
        memory=np.ones(size),
        programmed_at=np.full(size, now),
        pulses=np.zeros(size, np.int64),
        wear=np.zeros(size),
    )


def pulse(
    devices: PhaseChangeDevices,
    state: PhaseChangeState,
    which: ArrayLike,
    amplitude: ArrayLike,
    width: ArrayLike,
    count: ArrayLike,
    now: float,
) -> None:
    """Send trains of pulses through the devices `which`, (trains,), at time `now`, s.

    amplitude: V of either sign; width: s; count: pulses; each of one value or (trains,). A pulse from `set_voltage`
    on is a partial SET, from `reset_voltage` on a RESET; a weaker one does nothing. Raises ValueError for a train that
    is none.
    """
    trains = pulse_trains(state.pulses.size, which, amplitude, width, count)
    d, s = devices, state
    thresholds = (d.set_voltage, d.reset_voltage, d.endurance)
    _pulse(d.seed, *trains, now, d.largest, *thresholds, s.conductance, s.memory, s.programmed_at, s.pulses, s.wear)


def conductance(
    devices: PhaseChangeDevices, state: PhaseChangeState, which: Devices, now: float
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of what a read of the devices `which` gives at time `now`, S."""
    mean = _drifted(state.conductance[which], state.programmed_at[which], now, devices.drift)
    return mean, 0.03 * mean + 0.13e-6


def read(
    devices: PhaseChangeDevices,
    state: PhaseChangeState,
    which: ArrayLike,
    voltage: ArrayLike,
    width: ArrayLike,
    now: float,
) -> FloatArray:
    """Read the devices `which`, S: a pulse of `voltage`, V, and `width`, s, with all that it does to them."""
    pulse(devices, state, which, voltage, width, 1, now)
    mean, sigma = conductance(devices, state, which, now)
    return mean + sigma * read_noise(devices.seed, which, state.pulses)


def dead(devices: PhaseChangeDevices, state: PhaseChangeState, which: Devices = slice(None)) -> NDArray[np.bool_]:
    """Return which devices are worn out: a void has opened them for good."""
    return state.wear[which] >= devices.endurance[which]


@njit(cache=True, fastmath=FASTMATH)
def _drifted(conductance, programmed_at, now, drift):
    """Return the conductances at time `now`; the power law to a few 1e-7."""
    out = np.empty(conductance.size)
    for i in range(out.size):
        elapsed = max(now - programmed_at[i], EARLIEST) / T0
        out[i] = conductance[i] * exponential(np.float32(-drift) * logarithm(np.float32(elapsed)))
    return out


@njit(cache=True)
def partial_set(conductance, memory):
    """Return mean and standard deviation of the step, S, of a partial SET pulse that leaves the memory at `memory`."""
    return (
        -0.084 * conductance + (0.880 + 1.40 * memory) * 1e-6,
        0.091 * conductance + (0.260 + 2.15 * memory) * 1e-6,
    )


@njit(cache=True)
def _pulse(
    seed,
    which,
    amplitude,
    width,
    count,
    now,
    largest,
    set_voltage,
    reset_voltage,
    endurance,
    conductance,
    memory,
    programmed_at,
    pulses,
    wear,
):
    words = np.empty(4, np.uint32)
    for j in range(which.size):
        i, volts = which[j], abs(amplitude[j])
        first = pulses[i]
        pulses[i] += count[j]
        if wear[i] >= endurance[i]:
            continue
        each = wear_of_pulse(volts, width[j], _RESET, PULSE_WIDTH, _WEAR)
        if volts < set_voltage[i] or width[j] < PULSE_WIDTH:
            wear[i] += count[j] * each
        else:
            for k in range(count[j]):
                wear[i] += each
                if wear[i] >= endurance[i]:
                    break
                xi, _, _ = variates(seed, i, first + k, words)
                if volts >= reset_voltage[i]:
                    memory[i] = 1.0
                    conductance[i] = SMALLEST * (1 + 0.1 * xi)
                else:
                    memory[i] *= math.exp(-1 / 2.6)
                    mean, sigma = partial_set(conductance[i], memory[i])
                    conductance[i] = min(max(conductance[i] + mean + sigma * xi, SMALLEST), largest)
                programmed_at[i] = now
        if wear[i] >= endurance[i]:
            conductance[i] = 0.0


INFERENCE_LARGEST = 25e-6
"""Largest conductance of the devices that the inference model was fitted to, S."""
_INFERENCE_T0, _INFERENCE_READ = 20.0, 250e-9  # s: first look after programming, and duration of a read


def programming_sigma(target: ArrayLike) -> FloatArray:
    """Return the standard deviation of the conductance programmed for `target`, S; both at t = 0."""
    x = np.asarray(target, np.float64) / INFERENCE_LARGEST
    return (0.26348 + 1.9650 * x - 1.1731 * x**2) * 1e-6


def drift_exponents(target: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation between devices of the drift's exponent at `target`, S."""
    log = np.log(np.maximum(np.asarray(target, np.float64) / INFERENCE_LARGEST, 1e-7))
    return np.clip(-0.0155 * log + 0.0244, 0.049, 0.1), np.clip(-0.0125 * log - 0.0059, 0.008, 0.045)


def relative_read_sigma(target: ArrayLike, elapsed: float) -> FloatArray:
    """Return the relative read noise, `elapsed` s after programming to `target`, S: 1/f noise, growing with time."""
    x = np.maximum(np.asarray(target, np.float64) / INFERENCE_LARGEST, 1e-7)
    q = np.minimum(0.0088 / x**0.65, 0.2)
    return q * np.sqrt(np.log((elapsed + _INFERENCE_READ) / (2 * _INFERENCE_READ)))


def inference_read(target: ArrayLike, elapsed: float, *, seed: int, number: int = 0) -> FloatArray:
    """Return what devices programmed once to `target`, (devices,), S, read `elapsed` s later.

    The model of `aihwkit` for devices of 25 µS, fitted to S. R. Nandakumar et al., ICECS 2019: noise of programming,
    drift g (1 + elapsed / 20 s)^-nu with an exponent that differs between devices, and read noise. `seed` draws
    programming and exponents, so that the same devices come back at any time; `number` is that of the read.

    Raises ValueError for a target beyond 0 to 25 µS.
    """
    g = np.asarray(target, np.float64)
    if not ((g >= 0) & (g <= INFERENCE_LARGEST)).all():
        raise ValueError(f"target: conductances from {g.min():g} to {g.max():g} S: the model reaches from 0 to 25e-6 S")
    (programming,), (exponent,) = normal_pairs(seed, g.size, 1)
    (reading,), _ = normal_pairs(seed, g.size, 1, first_lane=(number + 1) << 32)
    mean, spread = drift_exponents(g)
    programmed = np.maximum(g + programming_sigma(g) * programming, 0.0)
    drifted = programmed * (1 + elapsed / _INFERENCE_T0) ** -np.abs(mean + spread * exponent)
    return drifted * (1 + relative_read_sigma(g, elapsed) * reading)
