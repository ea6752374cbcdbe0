"""The safe envelope of an array of devices that pulses change: each pulse, each device, each request and each run."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, get_args

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from labneuro.limits.guard import ROUNDING, Guard, Limits, MaxVoltage, check_level, compared, real
from labneuro.limits.pulses import MOST_PULSES
from labneuro.parameters import ParameterError
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses, Scheme, Spent, TrainArray, coincidences, exposures, pulses_of, train_exposures
from labneuro.units import Duration, Energy, FloatArray, Resistance, VoltageTime, format_quantity

_INDEX = re.compile(r"(\d+) *, *(\d+)")


@dataclass(frozen=True, kw_only=True)
class SynapseLimits(Limits):
    """The safe envelope of an array of devices.

    Args:
        max_amplitude: largest voltage of a pulse across a device, of either sign
        max_width: largest width of a pulse
        max_read_voltage: largest voltage at which devices are read or multiply, of either sign
        max_gate: largest gate voltage of the transistors; without it no gate voltage may be given
        max_count: most pulses of one request for any device
        max_dose: largest voltage times width times number of all that any device sees in one request
        max_pulses: most pulses of one run for any device, with those of the full amplitude meant for others
        max_energy: largest energy that one run can leave in all devices together
        resistance: lowest that a device can have, for max_energy
        dead: devices that are not to be pulsed, each as its row and column from 0, such as ["3,5"]

    """

    max_amplitude: MaxVoltage
    max_width: Annotated[Duration, Gt(0)]
    max_read_voltage: MaxVoltage
    max_gate: MaxVoltage | None = None
    max_count: Annotated[int, Ge(1)] | None = None
    max_dose: Annotated[VoltageTime, Gt(0)] | None = None
    max_pulses: Annotated[int, Ge(1)] | None = None
    max_energy: Annotated[Energy, Gt(0)] | None = None
    resistance: Annotated[Resistance, Gt(0)] | None = None
    dead: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if name != "dead" and limit is not None and not 0 < limit < math.inf:
                raise ParameterError(name, f"{limit} is not allowed: give a finite limit above 0")
        if (self.max_energy is None) != (self.resistance is None):
            raise ParameterError("max_energy", "goes with resistance, the lowest of a device: give both or none")
        for device in self.dead:
            if not _INDEX.fullmatch(device):
                raise ParameterError("dead", f"{device!r} is no device: give its row and column from 0, such as '3,5'")

    def is_dead(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which devices are not to be pulsed, (rows, columns). Raises ParameterError for one beyond `shape`."""
        dead = np.zeros(shape, np.bool_)
        for device in self.dead:
            row, column = map(int, device.split(","))
            if row >= shape[0] or column >= shape[1]:
                raise ParameterError("dead", f"there is no device [{device}] in an array of {shape[0]} x {shape[1]}")
            dead[row, column] = True
        return dead


@dataclass(frozen=True, eq=False)
class _Request:
    """What a request does at most.

    asked: pulses it gives each device, (rows, columns). full: those and others of the full amplitude that the device
    sees. dose: V s, (rows, columns), 0 if there is no limit to it. energy: J.
    """

    asked: NDArray[np.int64]
    full: NDArray[np.int64]
    dose: FloatArray
    energy: float


class LimitedSynapseArray(Guard[SynapseArray, SynapseLimits], SynapseArray):
    """An array behind its limits, and the account of what this run has given each device."""

    _energy = 0.0

    @cached_property
    def _given(self) -> NDArray[np.int64]:
        return np.zeros(self.shape, np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        return self._inner.shape

    @property
    def scheme(self) -> Scheme:
        return self._inner.scheme

    @property
    def spent(self) -> Spent:
        return self._inner.spent

    def conductances(self, voltage: float, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances, (rows, columns), S. Raises LimitError before anything is read."""
        volts = real(self._place, "read voltage", voltage, ())
        self._check_read(volts)
        if volts == 0:
            raise self._place.error("asked for conductances at 0 V: give a voltage at which a current flows")
        if which is not None and np.asarray(which).dtype != np.bool_:
            raise self._place.error(f"asked for conductances of {which!r:.60}: give a mask, True where to read")
        return self._inner.conductances(float(volts), None if which is None else self._mask(which))

    def wait(self, duration: float) -> None:
        """Wait `duration`, s. Raises LimitError for one that is no time."""
        seconds = float(real(self._place, "duration", duration, ()))
        if not 0 <= seconds < math.inf:
            raise self._place.error(f"asked to wait {seconds:g} s: give a finite time of at least 0 s")
        self._inner.wait(seconds)

    def multiply(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the columns, (batch, columns), A. Raises LimitError before anything is applied."""
        return self._inner.multiply(self._checked_voltages(voltages, self.shape[0]))

    def multiply_transposed(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the rows, (batch, rows), A. Raises LimitError before anything is applied."""
        return self._inner.multiply_transposed(self._checked_voltages(voltages, self.shape[1]))

    def pulse(
        self,
        which: NDArray[np.bool_] | NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme | None = None,
        gate: float | None = None,
    ) -> None:
        """Give devices `pulses`, which count from then on. Raises LimitError before anything is sent."""
        checked = self._checked_pulses(pulses)
        counts = self._mask(which).astype(np.int64)
        selected = self._checked_scheme(scheme, gate)
        if counts.max(initial=0) * checked.count > MOST_PULSES:
            raise self._place.error(f"asked for more than {MOST_PULSES} pulses for one device: ask for fewer")
        self._admit(self._request(counts * checked.count, checked, selected), checked)
        self._inner.pulse(counts, checked, selected, gate)

    def update(self, rows: TrainArray, columns: TrainArray, pulses: Pulses, gate: float | None = None) -> None:
        """Pulse where trains coincide, which counts from then on. Raises LimitError before anything is sent."""
        checked = self._checked_pulses(pulses)
        scheme = self._checked_scheme(None, gate)
        trains = np.array(rows), np.array(columns)
        for what, given, lines in zip(("rows", "columns"), trains, self.shape, strict=True):
            wanted = (*trains[0].shape[:1], lines)
            if given.dtype != np.uint32 or given.shape != wanted:
                words = f"trains of {what} are {given.dtype} of shape {given.shape}"
                raise self._place.error(f"{words}: give uint32 of shape {wanted}")
        asked = coincidences(*trains) * checked.count
        self._admit(self._request(asked, checked, scheme, trains), checked)
        self._inner.update(*trains, checked, gate)

    def account(self, verb: str, arguments: Mapping[str, Any]) -> None:
        if verb not in {"pulse", "update"}:
            return
        pulses = arguments["pulses"]
        if verb == "pulse":
            counts = np.asarray(arguments["which"]).astype(np.int64) * pulses.count
            self._count(self._request(counts, pulses, arguments["scheme"] or self.scheme))
        else:
            trains = arguments["rows"], arguments["columns"]
            self._count(self._request(coincidences(*trains) * pulses.count, pulses, self.scheme, trains))

    def _protect(self) -> None:
        self._limits.is_dead(self.shape)

    def _read_back(self) -> tuple[str, bool]:
        return "made safe; it has no level to read back", True

    def _request(
        self,
        asked: NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme,
        trains: tuple[TrainArray, TrainArray] | None = None,
    ) -> _Request:
        """Return the most that `asked` pulses can do: given to one device after the other, or by `trains` at once."""
        full = asked if scheme != "grounded" else np.broadcast_to(asked.sum(axis=1, keepdims=True), asked.shape)
        rows, columns = self.shape
        volts, total, dose = abs(pulses.amplitude), float(asked.sum()), np.zeros(())
        # Squares of the parts of the amplitude that devices see, summed over all, as `exposures` has them.
        all_see = {"V/2": 1 + (rows + columns - 2) / 4, "V/3": 1 + (rows * columns - 1) / 9, "grounded": columns}
        squares = total * all_see.get(scheme, 1)
        if trains is not None and scheme != "1T1R":
            alone = pulses.count * (columns * pulses_of(trains[0]).sum() + rows * pulses_of(trains[1]).sum())
            squares = max(squares, (total + alone) / 2)
        if self._limits.max_dose is not None:
            ways = [exposures(asked, scheme)]
            if trains is not None:
                ways.append([(part, counts * pulses.count) for part, counts in train_exposures(*trains, scheme)])
            parts = np.max([np.sum([abs(part) * counts for part, counts in way], axis=0) for way in ways], axis=0)
            dose = parts * volts * pulses.width
        energy = squares * volts**2 / (self._limits.resistance or math.inf) * pulses.width
        return _Request(asked, full, dose, energy)

    def _admit(self, request: _Request, pulses: Pulses) -> None:
        """Count a request. Raises LimitError, which names the device, if it may not be."""
        limits = self._limits
        words = f"asked for pulses of {format_quantity(pulses.amplitude, 'V')}, {format_quantity(pulses.width, 's')}"
        if limits.dead and (hit := (request.full > 0) & limits.is_dead(self.shape)).any():
            raise self._place.error(f"{words} for device {_first(hit)}, which is declared dead", "dead")
        given = self._given + request.full
        each: tuple[tuple[str, str, NDArray[Any], float | None, str], ...] = (
            ("max_count", "one request would have", request.asked, limits.max_count, "pulses"),
            ("max_dose", "it would see", request.dose, limits.max_dose, "V*s"),
            ("max_pulses", "this run would have", given, limits.max_pulses, "pulses"),
        )
        for name, what, values, limit, unit in each:
            if limit is not None and (beyond := values > limit * (1 + ROUNDING)).any():
                reached, allowed = compared(values[beyond][0].item(), limit, unit)
                raise self._place.error(f"{words} for device {_first(beyond)}: {what} {reached}, limit {allowed}", name)
        energy = self._energy + request.energy
        if limits.max_energy is not None and not energy <= limits.max_energy * (1 + ROUNDING):
            reached, allowed = compared(energy, limits.max_energy, "J")
            most = f"most for device {_first(request.asked == request.asked.max())}"
            raise self._place.error(
                f"{words}, {most}: this run would have given {reached}, limit {allowed}", "max_energy"
            )
        self._count(request)

    def _count(self, request: _Request) -> None:
        self._given += request.full
        self._energy += request.energy

    def _mask(self, which: object) -> NDArray[Any]:
        """Return a copy of a mask or of numbers of pulses. Raises LimitError unless it fits the array."""
        given = np.array(which)
        if given.dtype.kind not in "biu":
            raise self._place.error(f"asked for {given.dtype} numbers of pulses: give a mask or whole numbers")
        if given.shape != self.shape:
            raise self._place.error(f"a mask of shape {given.shape}: give shape {self.shape}")
        if given.dtype.kind != "b" and (wrong := (given < 0) | (given > MOST_PULSES)).any():
            asked = f"asked for {given[wrong][0]} pulses for device {_first(wrong)}"
            raise self._place.error(f"{asked}: give 0 to {MOST_PULSES}; a sign is that of the amplitude")
        return given

    def _checked_pulses(self, pulses: Pulses) -> Pulses:
        amplitude = float(real(self._place, "amplitude", pulses.amplitude, ()))
        width = float(real(self._place, "width", pulses.width, ()))
        try:
            count = operator.index(pulses.count)
        except TypeError:
            count = 0
        if not 1 <= count <= MOST_PULSES:
            raise self._place.error(f"asked for {pulses.count!r} pulses: give an integer from 1 to {MOST_PULSES}")
        if not 0 < width < math.inf:
            raise self._place.error(f"asked for pulses of {width:g} s: give a finite width above 0 s")
        check_level(self._place, "", amplitude, "max_amplitude", self._limits.max_amplitude, "V")
        if not width <= self._limits.max_width * (1 + ROUNDING):
            asked, allowed = compared(width, self._limits.max_width, "s")
            raise self._place.error(f"asked for pulses of {asked}, limit {allowed}", "max_width")
        return Pulses(amplitude, width, count)

    def _checked_scheme(self, scheme: Scheme | None, gate: float | None) -> Scheme:
        wired = self.scheme
        selected = wired if scheme is None else scheme
        if selected not in get_args(Scheme):
            raise self._place.error(f"asked for scheme {scheme!r}: give one of {', '.join(get_args(Scheme))}")
        if selected != wired and "1T1R" in {selected, wired}:
            raise self._place.error(f"asked for scheme {selected}, and the array is wired for {wired}")
        if gate is not None:
            volts = float(real(self._place, "gate voltage", gate, ()))
            if selected != "1T1R":
                raise self._place.error(f"asked for a gate voltage of {volts:g} V with scheme {selected}: leave it out")
            if self._limits.max_gate is None:
                raise self._place.error("asked for a gate voltage: give max_gate in its limits")
            check_level(self._place, "gate ", volts, "max_gate", self._limits.max_gate, "V")
        return selected

    def _checked_voltages(self, voltages: FloatArray, lines: int) -> FloatArray:
        rows = len(voltages) if np.ndim(voltages) else 0
        checked = real(self._place, "voltages", voltages, (rows, lines))
        self._check_read(checked)
        return checked

    def _check_read(self, voltages: FloatArray) -> None:
        limit = self._limits.max_read_voltage
        if (wrong := ~(np.abs(voltages) <= limit * (1 + ROUNDING))).any():
            check_level(self._place, "to read, ", float(voltages[wrong][0]), "max_read_voltage", limit, "V")


def _first(where: NDArray[np.bool_]) -> str:
    """Return the first device in a mask, as messages name it."""
    return str(np.argwhere(where)[0].tolist())
