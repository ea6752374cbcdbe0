"""Direct-current sources."""

# ruff: noqa: D102 - a method without a docstring means what its role says

from typing import Annotated

from annotated_types import Gt

from labneuro.clock import Clock
from labneuro.instruments.direct_sources import DirectSource
from labneuro.instruments.tsp import Channel, ScriptedInstrument
from labneuro.roles import CurrentSource
from labneuro.units import Current, Duration, format_quantity


class DirectCurrentSource(DirectSource, CurrentSource):
    """A direct-current source on one range, with a compliance of its own."""

    UNIT = "A"
    PROTECTED_UNIT = "V"
    LEVEL_COMMAND = ":SOUR:CURR"
    RANGE_COMMAND = ":SOUR:CURR:RANG"

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        source_range: Annotated[Current, Gt(0)],
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no output changes.

        Args:
            resource: VISA resource, such as "GPIB0::12::INSTR" or "TCPIP::192.168.0.5::hislip0::INSTR"
            source_range: range for all currents, one that the source has
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self._set_up(clock, source_range)
        super().__init__(resource=resource, visa_library=visa_library, timeout=timeout)

    @property
    def compliance(self) -> float:
        return self._protection()

    def set_compliance(self, voltage: float) -> None:
        self._set_protection(voltage)

    @property
    def current(self) -> float:
        return self._level()

    def set_current(self, current: float) -> None:
        """Source `current`, A. Raises InstrumentError if it reads back in compliance, unless it was lowered."""
        before = self._held or 0.0
        output = self._set_level(current)
        if output.limited and abs(current) >= abs(before):
            asked, limit = format_quantity(current, "A"), format_quantity(output.protection, "V")
            way_out = "bring the current down, and look for an open line or a device that has changed"
            raise self.error(f"was set to {asked} and is in compliance at {limit}: {way_out}")


class YokogawaGS200(DirectCurrentSource):
    """Yokogawa GS200 (and GS210, GS211), whose output is open while it is off."""

    MODEL = r"GS2\d\d\b"
    RANGES = (1e-3, 10e-3, 100e-3, 200e-3)
    PROTECTION = (1.0, 30.0)
    LEVEL_COMMAND = ":SOUR:LEV"
    RANGE_COMMAND = ":SOUR:RANG"
    PROTECTION_COMMAND = ":SOUR:PROT:VOLT"
    LIMITED = (":STAT:COND", 0b11 << 10)  # at its lower, at its upper limit
    MODE = (":SOUR:FUNC CURR",)


class Keithley6221(DirectCurrentSource):
    """Keithley 6220 or 6221 as a direct-current source."""

    MODEL = r"MODEL 622[01]\b"
    RANGES = (2e-9, 20e-9, 200e-9, 2e-6, 20e-6, 200e-6, 2e-3, 20e-3, 100e-3)
    PROTECTION = (0.1, 105.0)
    PROTECTION_COMMAND = ":SOUR:CURR:COMP"
    LIMITED = (":STAT:MEAS:COND", 1 << 3)
    MODE = (":SOUR:CURR:RANG:AUTO 0",)


class _ShortingSource(DirectCurrentSource):
    """A source that holds its output at 0 V when it is told to, and opens it otherwise."""

    MODE = (":SOUR:FUNC CURR", ":SOUR:CURR:RANG:AUTO 0")
    PROTECTION = (1e-3, 210.0)

    def short_output(self) -> None:
        """Bring the current to zero and hold the output at 0 V, off, until `set_current`."""
        self._leave(self.SHORTED)


class Keithley2400(_ShortingSource):
    """Keithley 2400 or 2401 as a current source."""

    MODEL = r"MODEL 240[01]\b"
    RANGES = (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
    PROTECTION_COMMAND = ":SENS:VOLT:PROT"
    LIMITED = (":SENS:VOLT:PROT:TRIP", 1)
    PREPARATION = (":SOUR:CURR:MODE FIX", ":SOUR:CLE:AUTO 0")
    OFF_STATE = ":OUTP:SMOD"


class Keithley2450(_ShortingSource):
    """Keithley 2450 as a current source, in its language SCPI."""

    MODEL = r"MODEL 2450\b"
    RANGES = (10e-9, 100e-9, 1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
    PROTECTION_COMMAND = ":SOUR:CURR:VLIM"
    LIMITED = (":SOUR:CURR:VLIM:TRIP", 1)
    OFF_STATE = ":OUTP:CURR:SMOD"


class Keithley2636B(ScriptedInstrument, _ShortingSource):
    """One channel of a Keithley 2635B or 2636B as a current source; the other is left alone."""

    MODEL = r"Model 263[56]B\b"
    RANGES = (1e-9, 10e-9, 100e-9, 1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0, 1.5)
    PROTECTION = (20e-3, 200.0)
    LEVEL_COMMAND = "smux.source.leveli"
    RANGE_COMMAND = "smux.source.rangei"
    OUTPUT_COMMAND = "smux.source.output"
    PROTECTION_COMMAND = "smux.source.limitv"
    LIMITED = ("(smux.source.compliance and 1 or 0)", 1)
    MODE = ("smux.source.func 0", "smux.source.autorangei 0")
    OFF_STATE = "smux.source.offmode"
    OPEN, SHORTED = "2", "1"

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        source_range: Annotated[Current, Gt(0)],
        channel: Channel = "a",
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no output changes.

        Args:
            resource: VISA resource, such as "GPIB0::26::INSTR"
            source_range: range for all currents, one that the source has
            channel: which of its sources
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self.channel = channel
        super().__init__(
            clock, resource=resource, source_range=source_range, visa_library=visa_library, timeout=timeout
        )
