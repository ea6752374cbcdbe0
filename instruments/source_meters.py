"""Source meters: a direct voltage put out, the current measured."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le

from labneuro.clock import Clock
from labneuro.instruments.direct_sources import DirectSource, Output
from labneuro.instruments.tsp import Channel, ScriptedInstrument
from labneuro.roles import SourceMeter
from labneuro.units import Duration, Voltage, format_quantity

LINE_PERIOD = 1 / 50
"""Longest period of the power line, s."""


class DirectSourceMeter(DirectSource, SourceMeter):
    """A source meter on one voltage range, which measures on that of its current limit."""

    UNIT = "V"
    PROTECTED_UNIT = "A"
    LEVEL_COMMAND = ":SOUR:VOLT"
    RANGE_COMMAND = ":SOUR:VOLT:RANG"
    PROTECTION = (1e-9, 1.05)
    MODE = (":SOUR:FUNC VOLT", ":SOUR:VOLT:RANG:AUTO 0")
    NPLC_COMMAND = ":SENS:CURR:NPLC"
    MEASURED_RANGE_COMMAND = ":SENS:CURR:RANG"
    READ = ":READ?"

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        source_range: Annotated[Voltage, Gt(0)],
        nplc: Annotated[float, Ge(0.01), Le(10)] = 1.0,
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no output changes.

        Args:
            resource: VISA resource, such as "GPIB0::24::INSTR" or "TCPIP::192.168.0.5::hislip0::INSTR"
            source_range: range for all voltages, one that the source has
            nplc: time over which a current is measured, in periods of the power line
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self._set_up(clock, source_range)
        self._nplc = nplc
        super().__init__(resource=resource, visa_library=visa_library, timeout=timeout)

    @property
    def current_limit(self) -> float:
        return self._protection()

    def set_current_limit(self, current: float) -> None:
        self._set_protection(current)

    @property
    def voltage(self) -> float:
        return self._level()

    def set_voltage(self, voltage: float) -> None:
        self._set_level(voltage)

    @property
    def measured_current(self) -> float:
        """Current now, A. Raises InstrumentError at the current limit, where the voltage is not what was asked for."""
        current, output = self._measured()
        if output.limited:
            asked, limit = format_quantity(output.level, "V"), format_quantity(output.protection, "A")
            raise self.error(f"is at its current limit of {limit}: lower the voltage of {asked}, or raise the limit")
        return current

    @property
    def current_or_limit(self) -> float:
        current, output = self._measured()
        return math.copysign(output.protection, output.level) if output.limited else current

    def _measured(self) -> tuple[float, Output]:
        """Return the current now, A, and what the source says after that."""
        if self._held is None:
            raise self.error("is off and measures nothing: use set_voltage first")
        with self.adapter.patience(4 * self._nplc * LINE_PERIOD):  # it also measures its zero and its reference
            reading, *answers = self.ask_all(*self._questions, first=self.READ)
        output = self._told(answers)
        self._check_on(output)
        return self.numbers([reading])[0], output

    def _preparation(self) -> tuple[str, ...]:
        """Return what is sent, with the output off, before the range; the measuring range, too, would glitch later."""
        measuring = (
            f"{self.NPLC_COMMAND} {self._nplc:g}",
            f"{self.MEASURED_RANGE_COMMAND} {self._protection():.9E}",
        )
        return (*super()._preparation(), *measuring)


class Keithley2400Meter(DirectSourceMeter):
    """Keithley 2400 or 2401 as a source meter."""

    MODEL = r"MODEL 240[01]\b"
    RANGES = (0.2, 2.0, 20.0, 200.0)
    PROTECTION_COMMAND = ":SENS:CURR:PROT"
    LIMITED = (":SENS:CURR:PROT:TRIP", 1)
    PREPARATION = (
        ":SOUR:VOLT:MODE FIX",
        ":SOUR:CLE:AUTO 0",
        ":SENS:FUNC 'CURR'",
        ":FORM:ELEM CURR",
        ":ARM:COUN 1",
        ":TRIG:COUN 1",
    )
    OFF_STATE = ":OUTP:SMOD"


class Keithley2450Meter(DirectSourceMeter):
    """Keithley 2450 as a source meter, in its language SCPI."""

    MODEL = r"MODEL 2450\b"
    RANGES = (0.02, 0.2, 2.0, 20.0, 200.0)
    PROTECTION_COMMAND = ":SOUR:VOLT:ILIM"
    LIMITED = (":SOUR:VOLT:ILIM:TRIP", 1)
    PREPARATION = (":SENS:FUNC 'CURR'", ":SENS:COUN 1")
    OFF_STATE = ":OUTP:VOLT:SMOD"


class Keithley2636BMeter(ScriptedInstrument, DirectSourceMeter):
    """One channel of a Keithley 2635B or 2636B as a source meter; the other is left alone."""

    MODEL = r"Model 263[56]B\b"
    RANGES = (0.2, 2.0, 20.0, 200.0)
    PROTECTION = (1e-10, 1.5)
    LEVEL_COMMAND = "smux.source.levelv"
    RANGE_COMMAND = "smux.source.rangev"
    OUTPUT_COMMAND = "smux.source.output"
    PROTECTION_COMMAND = "smux.source.limiti"
    LIMITED = ("(smux.source.compliance and 1 or 0)", 1)
    MODE = ("smux.source.func 1", "smux.source.autorangev 0")
    NPLC_COMMAND = "smux.measure.nplc"
    MEASURED_RANGE_COMMAND = "smux.measure.rangei"
    READ = "smux.measure.i()?"
    PREPARATION = ("smux.measure.count 1",)
    OFF_STATE = "smux.source.offmode"
    OPEN, SHORTED = "2", "1"

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        source_range: Annotated[Voltage, Gt(0)],
        channel: Channel = "a",
        nplc: Annotated[float, Ge(0.001), Le(25)] = 1.0,
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no output changes.

        Args:
            resource: VISA resource, such as "GPIB0::26::INSTR"
            source_range: range for all voltages, one that the source has
            channel: which of its sources
            nplc: time over which a current is measured, in periods of the power line
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self.channel = channel
        super().__init__(
            clock, resource=resource, source_range=source_range, nplc=nplc, visa_library=visa_library, timeout=timeout
        )
