"""Synapses that move by pulses: update laws of resistive devices with their spread and noise, and arrays of them.

A device has a weight w between bounds of its own. A pulse moves it by d = scale y(w), up or down, in one of three laws
(Gong et al., Nat. Commun. 9, 2102 (2018); Fusi and Abbott, Nat. Neurosci. 10, 485 (2007); conventions of aihwkit,
Rasch et al., arXiv:2104.02184):

    linear        y = 1 - g w / w_ref               g = 0: constant steps; g = 1: soft bounds
    exponential   y = max(1 - A exp(±G z), 0)       z = 2 a w / (w_max - w_min) + b, + up and - down
    power         y = (room / (w_max - w_min))^g    room up to the bound ahead

with normal noise from cycle to cycle, and is held at the bounds. Devices differ: the bounds, the size of the step and
its asymmetry are drawn once for each; a stuck device has both bounds in one place, one that is worn out stays where its
last step left it. What is read is w with write noise, redrawn by each pulse. Weights are in the law's own unit, in
which a preset spans about -1 to 1.

Noise is addressed by the seed, the number of the request or vector, the row and the count of the step there; write
noise by the device and its number of pulses. A result does not depend on the number of threads; a batch of vectors
that is cut hears other noise of the same law.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators import pulse_kernels as kernels
from labneuro.simulators.noise import normal_pairs
from labneuro.simulators.pulse_kernels import LONGEST
from labneuro.simulators.pulsed_devices import LIFETIME_SPREAD

Float32Array = NDArray[np.float32]

_BLOCK = 2**20
"""Values whose trains are laid out at a time, 8 bytes each."""

_FEW = 2**13
"""Devices, times vectors, that one thread has moved before a second has started."""


@dataclass(frozen=True)
class Linear:
    """g of steps up and down, and its spread. `own_bound`: w_ref is the device's own bound ahead, else the mean one."""

    up: float = 0.0
    down: float = 0.0
    spread: float = 0.0
    own_bound: bool = False


@dataclass(frozen=True)
class Exponential:
    """The constants of the exponential law: a, b, G and A."""

    a: float
    b: float
    gamma_up: float
    gamma_down: float
    amplitude_up: float
    amplitude_down: float

    def __post_init__(self) -> None:
        if 2 * abs(self.a) * max(abs(self.gamma_up), abs(self.gamma_down)) > 80:
            raise ValueError(f"2 a G = {2 * self.a * self.gamma_up:g} or {2 * self.a * self.gamma_down:g}: at most 80")


@dataclass(frozen=True)
class Power:
    """g of steps up and down, and its spread."""

    up: float
    down: float
    spread: float = 0.0


@dataclass(frozen=True)
class Spread:
    """Standard deviations from device to device: relative, but for up_down and reset, and of ln(endurance).

    log_normal: whether that of the step is of its logarithm.
    """

    step: float = 0.0
    up_down: float = 0.0
    w_max: float = 0.0
    w_min: float = 0.0
    reset: float = 0.0
    lifetime: float = 0.0
    endurance: float = LIFETIME_SPREAD
    log_normal: bool = False


@dataclass(frozen=True)
class CycleNoise:
    """Noise of each step, std (d + floor + slope |w|), or with `additive` std (scale + floor + slope |w|)."""

    std: float = 0.0
    additive: bool = False
    floor: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PulseLaw:
    """What one kind of device does on average, and how its devices differ.

    step: mean size of a step. up_down: above 0, steps down are smaller by this part; below 0, steps up. write_noise:
    standard deviation of what is read about w, in steps. stuck: part of the devices that is stuck, at weights uniform
    in ±stuck_range. reset: where a reset leaves the weight. lifetime: of the weight's decay to there, in whatever
    `leak` counts; inf if it stays. endurance: median number of steps after which a device stays as it is; inf if none
    wears out. source: where the numbers come from.
    """

    step: float
    w_max: float = 1.0
    w_min: float = -1.0
    up_down: float = 0.0
    curve: Linear | Exponential | Power = field(default_factory=Linear)
    spread: Spread = field(default_factory=Spread)
    cycle: CycleNoise = field(default_factory=CycleNoise)
    write_noise: float = 0.0
    stuck: float = 0.0
    stuck_range: float = 1.0
    reset: float = 0.0
    lifetime: float = math.inf
    endurance: float = math.inf
    source: str = ""


@dataclass(frozen=True, eq=False)
class PulsedDevices:
    """The devices of an array: 32 bytes each, 36 if they wear.

    parameters: (rows, 6, columns): w_min, w_max, the size of a step up and down at y = 1, and what y needs up and down:
    g / w_ref, ±2 a G / (w_max - w_min), or g. reset: (rows, columns). decay: 1 / lifetime, (rows, columns). endurance:
    steps until a device is worn out, (rows, columns), or (rows, 0) if none wears.
    """

    law: PulseLaw
    parameters: Float32Array
    reset: Float32Array
    decay: Float32Array
    endurance: NDArray[np.uint32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.reset.shape[0], self.reset.shape[1]

    @property
    def w_min(self) -> Float32Array:
        """Lower bounds, (rows, columns)."""
        return self.parameters[:, 0]

    @property
    def w_max(self) -> Float32Array:
        """Upper bounds, (rows, columns)."""
        return self.parameters[:, 1]

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Which devices don't move, (rows, columns)."""
        return self.w_max == self.w_min


@dataclass(frozen=True, eq=False)
class Weights:
    """State of an array, each (rows, columns), changed in place: 12 bytes a device.

    hidden: w. visible: what is read; the same array as `hidden` without write noise. pulses: steps taken so far.
    """

    hidden: Float32Array
    visible: Float32Array
    pulses: NDArray[np.uint32]


def draw_devices(law: PulseLaw, rows: int, columns: int, *, seed: int = 0) -> PulsedDevices:
    """Return the devices of an array, drawn from the law's spread."""
    rng = np.random.default_rng(seed)
    spread, curve = law.spread, law.curve

    def normal(std: float) -> NDArray[np.float64]:
        return std * rng.standard_normal((rows, columns))

    w_max = np.abs(law.w_max * (1 + normal(spread.w_max)))
    w_min = -np.abs(law.w_min * (1 + normal(spread.w_min)))
    gain = np.exp(normal(spread.step)) if spread.log_normal else 1 + normal(spread.step)
    asymmetry = normal(spread.up_down)
    scale = law.step * np.abs([gain + min(law.up_down, 0.0) + asymmetry, gain - max(law.up_down, 0.0) - asymmetry])
    if isinstance(curve, Exponential):
        bend = 2 * curve.a / (w_max - w_min) * np.array([curve.gamma_up, -curve.gamma_down])[:, None, None]
    else:
        bend = np.abs([curve.up + normal(curve.spread), curve.down + normal(curve.spread)])
    if isinstance(curve, Linear):
        ahead = np.array([w_max, w_min]) if curve.own_bound else np.array([law.w_max, law.w_min])[:, None, None]
        bend = np.divide(bend, ahead, out=np.zeros_like(bend), where=ahead != 0)
    stuck = rng.random((rows, columns)) < law.stuck
    place = rng.uniform(np.maximum(w_min, -law.stuck_range), np.minimum(w_max, law.stuck_range))
    parameters = np.stack([w_min, w_max, *scale, *bend], axis=1).astype(np.float32)
    parameters[:, :2] = np.where(stuck[:, None], place[:, None], parameters[:, :2])
    parameters[:, 2:4] *= ~stuck[:, None]
    lifetime = np.maximum(1 + normal(spread.lifetime), 0.0) * min(law.lifetime, 1e30)
    endurance = np.empty((rows, 0))
    home = np.clip(law.reset + normal(spread.reset), parameters[:, 0], parameters[:, 1])
    if law.endurance < math.inf:
        endurance = np.clip(law.endurance * np.exp(normal(spread.endurance)), 1, 2**31 - 1)
    return PulsedDevices(
        law,
        parameters,
        reset=home.astype(np.float32),
        decay=(1 / np.maximum(lifetime, 1.0)).astype(np.float32),
        endurance=endurance.astype(np.uint32),
    )


def soft_bounds(pulses: float, alpha: float, low: float = -1.0, high: float = 1.0, **others: Any) -> PulseLaw:
    """Return the law with soft bounds whose mean device goes from `low` < 0 to `high` in so many pulses up.

    w(p) = low + B (1 - exp(-alpha p)), B = (high - low) / (1 - exp(-alpha pulses)), the parametrisation of aihwkit's
    SoftBoundsPmaxDevice; here the steps follow it exactly. Down it decays to `low` at the same rate. others: further
    fields of the law.
    """
    w_max = low + (high - low) / -math.expm1(-alpha * pulses)
    if not low < 0 < w_max:
        raise ValueError(f"soft bounds at {low:g} and {w_max:g}: give a range with 0 inside")
    reach = max(w_max, -low)
    return PulseLaw(
        step=-math.expm1(-alpha) * reach,
        w_max=w_max,
        w_min=low,
        up_down=(w_max + low) / reach,
        curve=Linear(1.0, 1.0, own_bound=True),
        **others,
    )


def symmetry_points(devices: PulsedDevices, *, std: float = 0.0, seed: int = 0) -> Float32Array:
    """Return the weights at which a step up is as large as one down, (rows, columns), for linear laws with g > 0.

    This is what a reference device is set to, so that a synapse read against it doesn't drift under equal pulses. std:
    how far references miss it, 0.05 in aihwkit.
    """
    if not isinstance(devices.law.curve, Linear):
        raise TypeError(f"no closed form of the symmetry point of {devices.law.curve}")
    up, down, bend_up, bend_down = devices.parameters[:, 2:].astype(np.float64).swapaxes(0, 1)
    slope = up * bend_up - down * bend_down
    point = np.divide(up - down, slope, out=devices.w_max.astype(np.float64), where=slope > 0)
    point += std * np.random.default_rng(seed).standard_normal(point.shape)
    return point.astype(np.float32)


def settle(devices: PulsedDevices, weights: ArrayLike = 0.0, *, seed: int = 0) -> Weights:
    """Return the state in which every device has the weight asked for, held at its bounds, and was just written."""
    hidden = np.clip(np.broadcast_to(np.asarray(weights, np.float32), devices.shape), devices.w_min, devices.w_max)
    if not np.isfinite(hidden).all():
        raise ValueError("weights hold NaN: nothing was written")
    visible = np.empty_like(hidden) if devices.law.write_noise else hidden
    state = Weights(hidden, visible, np.zeros(devices.shape, np.uint32))
    _write(devices, state, np.ones(devices.shape, np.bool_), seed, 0)
    return state


def _write(devices: PulsedDevices, state: Weights, mask: NDArray[np.bool_], seed: int, number: int) -> None:
    """Redraw what is read of the devices in `mask`."""
    if devices.law.write_noise:
        size = devices.law.write_noise * devices.law.step
        noise = normal_pairs(seed, mask.size, 1, first_lane=number * mask.size)[0, 0].reshape(mask.shape)
        np.copyto(state.visible, state.hidden + np.float32(size) * noise * ~devices.stuck, where=mask)


def reset(devices: PulsedDevices, state: Weights, mask: ArrayLike, *, seed: int = 0, number: int = 0) -> None:
    """Bring the devices in `mask`, (rows, columns), to their reset weight."""
    chosen = np.broadcast_to(np.asarray(mask, np.bool_), devices.shape)
    np.copyto(state.hidden, devices.reset, where=chosen)
    state.pulses[chosen] += 1
    _write(devices, state, chosen, seed, number)


def leak(devices: PulsedDevices, state: Weights, times: float = 1.0) -> None:
    """Let the weights decay to their reset weight for `times`, in the unit of the law's lifetime."""
    left = (1 - devices.decay.astype(np.float64)) ** times
    loss = ((state.hidden - devices.reset) * (1 - left)).astype(np.float32)
    state.hidden[:] -= loss
    if state.visible is not state.hidden:
        state.visible[:] -= loss


def pulse(devices: PulsedDevices, state: Weights, counts: ArrayLike, *, seed: int = 0, number: int = 0) -> None:
    """Give every device its number of pulses, (rows, columns), integer: up above 0, down below 0, none at 0."""
    given = np.asarray(counts)
    if given.shape != devices.shape or given.dtype.kind not in "iu":
        raise ValueError(f"pulses of type {given.dtype} and shape {given.shape}: give integers of {devices.shape}")
    with _threads(int(np.abs(given).sum())):
        none = (np.zeros((0, size), np.uint32) for size in devices.shape)
        kernels.advance(given.astype(np.int32), *none, seed, kernels.PULSE, number, *_kernel_arrays(devices, state))


def outer_update(
    devices: PulsedDevices,
    state: Weights,
    rows: ArrayLike,
    columns: ArrayLike,
    rate: float,
    *,
    longest: int = LONGEST,
    seed: int = 0,
    number: int = 0,
) -> None:
    """Add rate rows_i columns_j to the weights on average, vector after vector, by coincident random pulse trains.

    Every row and column gets a train whose slots hold a pulse with a probability proportional to its value; a device
    steps in each slot in which both fire, in the direction of the product of signs (Gokmen and Vlasov, Front.
    Neurosci. 10, 333 (2016)). See `trains`.

    rows: (vectors, rows). columns: (vectors, columns). rate: in weights over the product of their units. number: of
    the first vector; a next call has number + vectors.
    """
    up, across = np.atleast_2d(np.asarray(rows, np.float64)), np.atleast_2d(np.asarray(columns, np.float64))
    if up.shape[0] != across.shape[0] or (up.shape[1], across.shape[1]) != devices.shape:
        raise ValueError(f"an update of shapes {up.shape} and {across.shape} does not fit an array of {devices.shape}")
    block = max(_BLOCK // max(devices.shape), 1)
    for first in range(0, up.shape[0], block):
        some = slice(first, first + block)
        at = {"seed": seed, "number": number + first}
        bits = trains(up[some], across[some], rate / devices.law.step, longest=longest, **at)
        coincide(devices, state, *bits, **at)


def coincide(
    devices: PulsedDevices,
    state: Weights,
    rows: NDArray[np.uint32],
    columns: NDArray[np.uint32],
    *,
    seed: int = 0,
    number: int = 0,
) -> None:
    """Step devices wherever the trains of their row and column, (vectors, lines), both have a pulse, as in `trains`."""
    with _threads(state.hidden.size * len(rows)):
        none = np.zeros((devices.shape[0], 0), np.int32)
        kernels.advance(none, rows, columns, seed, kernels.UPDATE, number, *_kernel_arrays(devices, state))


def trains(
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    steps: float,
    *,
    longest: int = LONGEST,
    seed: int = 0,
    number: int = 0,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the trains of rows and columns that make steps rows_i columns_j coincidences on average.

    Slot k is bit k, the sign of the value is bit 31. The trains of a vector have the fewest slots that suffice, at most
    `longest`: more coincidences than that can't be had, and what is asked for beyond is lost. The largest value of the
    rows fires as often as that of the columns (update management of Gokmen, Onen and Haensch, Front. Neurosci. 11, 538
    (2017); length of the trains as in aihwkit).

    rows: (vectors, rows). columns: (vectors, columns).
    """
    if not (np.isfinite(rows).all() and np.isfinite(columns).all() and math.isfinite(steps)):
        raise ValueError("an update holds NaN or infinity: nothing was pulsed")
    if not 1 <= longest <= LONGEST:
        raise ValueError(f"pulse trains of at most {longest} slots: give 1 to {LONGEST}")
    high, wide = np.abs(rows).max(axis=1), np.abs(columns).max(axis=1)
    most = abs(steps) * high * wide
    slots = np.clip(np.ceil(most), 1, longest).astype(np.int64)
    chance = np.sqrt(most / slots)

    def fired(values: NDArray[np.float64], largest: NDArray[np.float64], purpose: int) -> NDArray[np.uint32]:
        gain = np.divide(chance, largest, out=np.zeros_like(chance), where=largest > 0)
        each = (gain[:, None] * values).astype(np.float32)
        with _threads(each.size):
            return kernels.fire(each, slots, seed, purpose, number)

    return (
        fired(rows if steps > 0 else -rows, high, kernels.ROW_TRAIN),
        fired(columns, wide, kernels.COLUMN_TRAIN),
    )


@contextmanager
def _threads(work: int) -> Iterator[None]:
    """Take one thread for little work; the result is the same."""
    before = numba.get_num_threads()
    if work > _FEW or before == 1:
        yield
        return
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _kernel_arrays(devices: PulsedDevices, state: Weights) -> tuple[Any, ...]:
    """Return what the kernels take of the array: state, devices, law and its constants."""
    law, cycle, curve = devices.law, devices.law.cycle, devices.law.curve
    kind, up, down = kernels.LINEAR, 0.0, 0.0
    if isinstance(curve, Exponential):
        kind = kernels.EXPONENTIAL
        down = curve.amplitude_down * math.exp(-curve.gamma_down * curve.b)
        up = curve.amplitude_up * math.exp(curve.gamma_up * curve.b)
    elif isinstance(curve, Power):
        kind = kernels.POWER
    sizes = (cycle.std * (not cycle.additive), cycle.std * cycle.additive, cycle.std * cycle.floor)
    constants = np.array([*sizes, cycle.std * cycle.slope, law.write_noise * law.step, up, down], np.float32)
    return state.hidden, state.visible, state.pulses, devices.endurance, devices.parameters, kind, constants
