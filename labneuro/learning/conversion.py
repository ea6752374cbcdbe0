"""From a wanted conductance to pulses: by a model of the device, by writing and verifying, by a transistor's gate.

All three decide about many devices at once and pulse none: whoever calls has the array.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labneuro.signals import Pulses
from labneuro.units import FloatArray

NO_PULSE = -1
"""In place of a pulse's number: this device gets none."""


def best_pulses(
    predicted: FloatArray, conductances: FloatArray, wanted: FloatArray, tolerance: float
) -> NDArray[np.intp]:
    """Return for each device the pulse, of a list, after which a model sees it nearest to the wanted conductance.

    predicted: (pulses, devices), S. conductances, wanted: (devices,), S. tolerance: S. NO_PULSE stands for devices
    that are within it and for those that no pulse of the list brings nearer. This is NeuroPack's choice (Huang et al.,
    Front. Nanotechnol. 4, 851856 (2022)), which is repeated, with a read before, up to 5 times.
    """
    distance = np.abs(predicted - wanted)
    present = np.abs(conductances - wanted)
    helps = (present > tolerance) & (distance.min(axis=0) < present)
    return np.where(helps, distance.argmin(axis=0), NO_PULSE)


@dataclass(frozen=True)
class Ramp:
    """Pulses that grow in equal ratios: amplitude, V, width, s, count, and gate voltage of a 1T1R array, V.

    Each goes from its first to its last value. gate: None leaves it as the array has it. Raises ValueError for a value
    of zero, and for an amplitude that changes its sign.
    """

    amplitude: tuple[float, float]
    width: tuple[float, float]
    count: tuple[int, int] = (1, 1)
    gate: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, ends in vars(self).items():
            first, last = ends or (1, 1)
            if not first * last > 0 or (name != "amplitude" and first < 0):
                raise ValueError(f"{name} can't grow from {first:g} to {last:g}: zero and a change of sign are no ramp")

    def at(self, part: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return amplitudes, widths, counts and gate voltages, 0 for none, at `part` of the way up, 0 to 1."""
        amplitude, width, count, gate = (
            first * (last / first) ** part
            for first, last in (self.amplitude, self.width, self.count, self.gate or (1, 1))
        )
        return amplitude, width, np.rint(count), gate if self.gate else 0 * gate


@dataclass(frozen=True, eq=False)
class DeviceTrains:
    """Pulses for each device, arrays of one shape: amplitudes, V, widths, s, counts and gate voltages, 0 for none."""

    amplitude: FloatArray
    width: FloatArray
    count: NDArray[np.int64]
    gate: FloatArray

    def groups(self) -> Iterator[tuple[NDArray[np.int64], Pulses, float | None]]:
        """Yield the devices that get equal pulses, as a count for each device, these pulses, and the gate voltage."""
        pulsed = self.count > 0
        each = np.stack([self.amplitude, self.width, self.gate], axis=-1)
        for kind in np.unique(each[pulsed], axis=0):
            amplitude, width, gate = kind.tolist()
            yield np.where(pulsed & (each == kind).all(axis=-1), self.count, 0), Pulses(amplitude, width), gate or None


class WriteVerify:
    """Read, pulse, read, until a device is where it should be: one decision a call, for each device its own.

    Pulses climb a ramp rung by rung while the error keeps its sign, and fall back `setback` rungs when it changes. A
    device is `confirmed` after so many reads in the band in a row (one read may be luck), and `abandoned` when it
    would need another pulse after `attempts` trains.

    wanted: S, of any shape, which all arrays then have. tolerance: S, half width of the band. up, down: pulses that
    raise and lower a conductance. rungs: steps between the ends of the ramps; all the way back is the default setback.

    Raises ValueError for wanted conductances that are not finite, a negative tolerance, and numbers below 1.
    """

    def __init__(
        self,
        wanted: FloatArray,
        tolerance: ArrayLike,
        *,
        up: Ramp,
        down: Ramp,
        rungs: int = 20,
        setback: int | None = None,
        confirmations: int = 2,
        attempts: int = 200,
    ) -> None:
        if min(rungs, confirmations, attempts) < 1:
            raise ValueError("rungs, confirmations and attempts count from 1")
        if not (np.isfinite(wanted).all() and np.all(np.asarray(tolerance) >= 0)):
            raise ValueError("a wanted conductance is not finite, or a tolerance negative: no pulse leads there")
        self.confirmed = np.zeros(wanted.shape, np.bool_)
        self.abandoned = np.zeros(wanted.shape, np.bool_)
        self.trains = np.zeros(wanted.shape, np.int64)
        self._wanted, self._tolerance = wanted, tolerance
        self._up, self._down, self._rungs = up, down, rungs
        self._setback = rungs if setback is None else setback
        self._confirmations, self._attempts = confirmations, attempts
        self._inside = np.zeros(wanted.shape, np.int64)
        self._sign = np.zeros(wanted.shape)
        self._rung = np.zeros(wanted.shape, np.int64)

    @property
    def pending(self) -> NDArray[np.bool_]:
        """Which devices have yet to be read again."""
        return ~(self.confirmed | self.abandoned)

    def decide(self, conductances: FloatArray) -> DeviceTrains:
        """Return the pulses that follow from reads, S; those of devices that are not pending are not looked at.

        Raises ValueError for reads of another shape, and for a pending device without one.
        """
        if conductances.shape != self._wanted.shape:
            raise ValueError(f"reads of shape {conductances.shape} don't fit devices of {self._wanted.shape}")
        pending = self.pending
        unread = np.argwhere(pending & ~np.isfinite(conductances))
        if len(unread):
            device = tuple(int(i) for i in unread[0])
            raise ValueError(f"device {device} reads {conductances[device]:g} S: read every device that is pending")
        error = np.where(pending, self._wanted - conductances, 0.0)
        inside = np.abs(error) <= self._tolerance
        self._inside = np.where(inside, self._inside + pending, 0)
        self.confirmed |= pending & (self._inside >= self._confirmations)
        missed = pending & ~inside
        self.abandoned |= missed & (self.trains >= self._attempts)
        pulsed = missed & ~self.abandoned
        sign = np.sign(error)
        rung = np.where(sign == self._sign, self._rung + 1, self._rung - self._setback)
        self._rung = np.where(pulsed, np.clip(rung, 0, self._rungs), self._rung)
        self._sign = np.where(pulsed, sign, self._sign)
        self.trains += pulsed
        part = self._rung / self._rungs
        amplitude, width, count, gate = (
            np.where(pulsed, np.where(sign > 0, up, down), 0.0)
            for up, down in zip(self._up.at(part), self._down.at(part), strict=True)
        )
        return DeviceTrains(amplitude, width, count.astype(np.int64), gate)


class GateSteps(NamedTuple):
    """What moves cells with a transistor: first reset these, then set those at these gate voltages, V.

    held: cells whose gate stopped at the end of its range, short of the change asked for.
    """

    reset: NDArray[np.bool_]
    set: NDArray[np.bool_]
    gate: FloatArray
    held: NDArray[np.bool_]


def gate_steps(gate: FloatArray, change: FloatArray, slope: float, *, lowest: float, highest: float) -> GateSteps:
    """Return how to change the conductances of cells with a transistor (1T1R) by `change`, S, without verifying.

    The gate voltage of the last SET fixes a conductance, nearly linearly (Li et al., Nat. Commun. 9, 2385 (2018)): a
    higher one raises it, a lower one needs a RESET first. gate: V, of the last SET. slope: dG/dV, S/V; about 100 µS/V.
    Raises ValueError for a change that is not finite.
    """
    if not np.isfinite(change).all():
        raise ValueError("a change of conductance is not finite: no gate voltage stands for it")
    wanted = gate + change / slope
    reached = np.clip(wanted, lowest, highest)
    return GateSteps(reset=reached < gate, set=reached != gate, gate=reached, held=reached != wanted)
