"""The safe envelope of pulses: each of them, all of one request, and all of a run."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from annotated_types import Ge, Gt

from labneuro.limits.guard import ROUNDING, Guard, Limits, Loss, MaxVoltage, OwnLimit, against, compared, real
from labneuro.parameters import ParameterError
from labneuro.roles import PulseGenerator
from labneuro.signals import Pulses
from labneuro.units import Duration, Energy, Resistance, VoltageTime, format_quantity

MOST_PULSES = 10**9
"""More pulses than anyone means to ask for at once."""


@dataclass(frozen=True, kw_only=True)
class PulseLimits(Limits):
    """The safe envelope of whatever is pulsed.

    Args:
        max_amplitude: largest voltage of a pulse at the device, of either sign
        max_width: largest width of a pulse
        max_count: most pulses of one request
        max_dose: largest voltage at the device times width times number of the pulses of one request
        max_pulses: most pulses of one run
        max_energy: largest energy that the pulses of one run can leave in the device
        resistance: lowest that the device can have, for max_energy
        loss: between the generator and the device; below 0 for an amplifier

    """

    max_amplitude: MaxVoltage
    max_width: Annotated[Duration, Gt(0)]
    max_count: Annotated[int, Ge(1)] | None = None
    max_dose: Annotated[VoltageTime, Gt(0)] | None = None
    max_pulses: Annotated[int, Ge(1)] | None = None
    max_energy: Annotated[Energy, Gt(0)] | None = None
    resistance: Annotated[Resistance, Gt(0)] | None = None
    loss: Loss = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.max_energy is None) != (self.resistance is None):
            raise ParameterError("max_energy", "goes with resistance, the lowest of the device: give both or none")


class LimitedPulseGenerator(Guard[PulseGenerator, PulseLimits], PulseGenerator):
    """A pulse generator behind its limits, and the account of what this run has fired."""

    _fired = 0
    _energy = 0.0

    @property
    def _gain(self) -> float:
        """Voltage at the device over that of the generator."""
        return 10 ** (-self._limits.loss / 20)

    def _protect(self) -> None:
        most = self._limits.max_amplitude / self._gain
        self._inner.set_amplitude_limit(most)
        self._check_own_limit(self.amplitude_limit, most, "V", "max_amplitude")

    def own_limit(self) -> OwnLimit | None:
        return OwnLimit("amplitude limit", self.amplitude_limit, self._limits.max_amplitude / self._gain, "V")

    @property
    def amplitude_limit(self) -> float:
        return self._inner.amplitude_limit

    def set_amplitude_limit(self, voltage: float) -> None:
        """Let the instrument itself refuse more than ±`voltage`, V. Raises LimitError if that is more than may be."""
        volts = float(real(self._place, "amplitude limit", voltage, ()))
        if not 0 <= volts * self._gain <= self._limits.max_amplitude * (1 + ROUNDING):
            what = against(self._limits.max_amplitude, volts, "V", volts * self._gain)
            raise self._place.error(f"asked for an amplitude limit of {what}", "max_amplitude")
        self._inner.set_amplitude_limit(volts)

    def fire(self, pulses: Pulses) -> None:
        """Send `pulses`, which count as fired from then on. Raises LimitError before anything is sent."""
        checked = self._checked(pulses)
        self._count(checked)
        self._inner.fire(checked)

    def account(self, verb: str, arguments: Mapping[str, object]) -> None:
        if verb == "fire":
            self._count(cast("Pulses", arguments["pulses"]))

    def _read_back(self) -> tuple[str, bool]:
        return "made safe; it has no level to read back", True

    def _checked(self, pulses: Pulses) -> Pulses:
        amplitude = float(real(self._place, "amplitude", pulses.amplitude, ()))
        width = float(real(self._place, "width", pulses.width, ()))
        try:
            count = operator.index(pulses.count)
        except TypeError:
            count = 0
        if not 1 <= count <= MOST_PULSES:
            raise self._place.error(f"asked for {pulses.count!r} pulses: give an integer from 1 to {MOST_PULSES}")
        if not (math.isfinite(amplitude) and 0 < width < math.inf):
            way_out = "give a finite amplitude and a finite width above 0 s"
            raise self._place.error(f"asked for pulses of {amplitude:g} V, {width:g} s: {way_out}")
        checked = Pulses(amplitude, width, count)
        voltage = abs(amplitude) * self._gain
        dose = voltage * width * count
        fired, energy = self._fired + count, self._energy + self._energy_of(checked)
        limits = self._limits
        for name, what, value, limit, unit in (
            ("max_amplitude", "the device would see", voltage, limits.max_amplitude, "V"),
            ("max_width", "each would last", width, limits.max_width, "s"),
            ("max_count", "one request would have", count, limits.max_count, "pulses"),
            ("max_dose", "the device would see", dose, limits.max_dose, "V*s"),
            ("max_pulses", "this run would have", fired, limits.max_pulses, "pulses"),
            ("max_energy", "this run would have given", energy, limits.max_energy, "J"),
        ):
            if limit is not None and not value <= limit * (1 + ROUNDING):
                asked = f"{count} pulses of {format_quantity(amplitude, 'V')}, {format_quantity(width, 's')}"
                reached, allowed = compared(value, limit, unit)
                raise self._place.error(f"asked for {asked}: {what} {reached}, limit {allowed}", name)
        return checked

    def _count(self, pulses: Pulses) -> None:
        self._fired += pulses.count
        self._energy += self._energy_of(pulses)

    def _energy_of(self, pulses: Pulses) -> float:
        """Return the energy that pulses leave in a device of the lowest resistance, J; 0 if none is given."""
        if self._limits.resistance is None:
            return 0.0
        voltage = pulses.amplitude * self._gain
        return pulses.count * pulses.width * voltage * voltage / self._limits.resistance
