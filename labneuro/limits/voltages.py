"""The safe envelope of a direct voltage: its size, the current it can drive, their product, and how fast it walks."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

from labneuro.limits.currents import ZERO_ERROR, MaxCurrent, walk
from labneuro.limits.guard import (
    Guard,
    Limits,
    MaxPower,
    MaxVoltage,
    OwnLimit,
    check_level,
    check_power,
    check_protection,
    real,
)
from labneuro.roles import SourceMeter
from labneuro.units import FloatArray, Unit, format_quantity

MaxVoltageRamp = Annotated[float, Unit("V/s"), Gt(0)]


@dataclass(frozen=True, kw_only=True)
class SourceMeterLimits(Limits):
    """The safe envelope of whatever a source meter feeds.

    Args:
        max_voltage: largest voltage, in either direction
        max_current: largest current limit at which a voltage may be put out
        max_power: largest power that the device can be given, voltage times current limit
        ramp: fastest change of the voltage

    """

    max_voltage: MaxVoltage
    max_current: MaxCurrent
    max_power: MaxPower | None = None
    ramp: MaxVoltageRamp | None = None


class LimitedSourceMeter(Guard[SourceMeter, SourceMeterLimits], SourceMeter):
    """A source meter behind its limits."""

    def _protect(self) -> None:
        self.set_current_limit(self._limits.max_current)
        asked = format_quantity(self._limits.max_current, "A")
        self._check_current_limit(self.current_limit, f"a current limit of {asked} was set and reads back as")

    def own_limit(self) -> OwnLimit | None:
        return OwnLimit("current limit", self.current_limit, self._limits.max_current, "A")

    @property
    def current_limit(self) -> float:
        return self._inner.current_limit

    def set_current_limit(self, current: float) -> None:
        """Limit the output to ±`current`, A. Raises LimitError before anything is sent."""
        wanted = float(real(self._place, "current limit", current, ()))
        if not 0 < wanted < math.inf:
            raise self._place.error(f"asked for a current limit of {wanted:g} A: give a finite one above 0 A")
        self._check_current_limit(wanted, "asked for a current limit of")
        if self._limits.max_power is not None:
            self._check_power(self.voltage, wanted, "bring the voltage down first")
        self._inner.set_current_limit(wanted)

    @property
    def voltage(self) -> float:
        return self._inner.voltage

    def set_voltage(self, voltage: float) -> None:
        """Ramp to `voltage`, V. Raises LimitError first, also if the current limit reads back too high."""
        wanted = real(self._place, "voltage", voltage, ())
        volts = float(wanted)
        check_level(self._place, "", volts, "max_voltage", self._limits.max_voltage, "V")
        current_limit = self.current_limit
        self._check_current_limit(current_limit, "current limit reads back as", ": use set_current_limit first")
        self._check_power(volts, current_limit, "use set_current_limit first")
        self._walk(wanted)

    @property
    def measured_current(self) -> float:
        return self._inner.measured_current

    @property
    def current_or_limit(self) -> float:
        return self._inner.current_or_limit

    def _gentle_steps(self) -> Sequence[Callable[[], None]]:
        return [self._walk_down]

    def _read_back(self) -> tuple[str, bool]:
        voltage = self.voltage
        return f"voltage {format_quantity(voltage + 0.0, 'V')}", abs(voltage) <= self._limits.max_voltage * ZERO_ERROR

    def _check_current_limit(self, current: float, what: str, way_out: str = "") -> None:
        check_protection(self._place, what, current, "max_current", self._limits.max_current, "A", way_out)

    def _check_power(self, voltage: float, current_limit: float, way_out: str) -> None:
        level, protection = (voltage, "V"), (current_limit, "A")
        check_power(self._place, level, protection, "current limit", self._limits.max_power, way_out)

    def _walk_down(self) -> None:
        """Walk to zero; an output that is at zero, and may be off, is not switched on for it."""
        if self.voltage != 0:
            self._walk(np.zeros(()))

    def _walk(self, target: FloatArray) -> None:
        def send(point: FloatArray) -> None:
            self._inner.set_voltage(float(point))

        limits, clock = self._limits, self._clock
        names = {"limit_name": "max_voltage", "unit": "V"}
        walk(self._place, clock, target, lambda: self.voltage, send, limits.max_voltage, limits.ramp, **names)
