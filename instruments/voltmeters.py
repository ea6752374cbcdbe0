"""Voltmeters."""

# ruff: noqa: D102 - a method without a docstring means what its role says

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from labneuro.instruments.scpi import SCPIInstrument
from labneuro.roles import Voltmeter
from labneuro.units import Duration

LINE_PERIOD = 1 / 50
"""Longest period of the power line, s."""


class Keithley2182A(SCPIInstrument, Voltmeter):
    """Keithley 2182 or 2182A."""

    MODEL = r"MODEL 2182"

    def __init__(
        self,
        *,
        resource: str,
        channel: Literal[1, 2] = 1,
        nplc: Annotated[float, Ge(0.01), Le(50)] = 5.0,
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect and set up.

        Args:
            resource: VISA resource, such as "GPIB0::7::INSTR"
            channel: input
            nplc: time over which a voltage is measured, in periods of the power line
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self._set = [float(channel), nplc]
        self._waiting = 4 * nplc * LINE_PERIOD  # it also measures its zero and its reference
        super().__init__(resource=resource, visa_library=visa_library, timeout=timeout)
        self.send(
            ":INIT:CONT 0",
            f":SENS:CHAN {channel}",
            ":SENS:FUNC 'VOLT'",
            f":SENS:VOLT:NPLC {nplc:g}",
            f":SENS:VOLT:CHAN{channel}:RANG:AUTO 1",
            ":TRIG:SOUR IMM",
            ":TRIG:COUN 1",
        )

    @property
    def voltage(self) -> float:
        with self.adapter.patience(self._waiting):
            answers = self.ask_all(":SENS:CHAN?", ":SENS:VOLT:NPLC?", first=":READ?")
        reading, *held = self.numbers(answers)
        if held != self._set:
            raise self.error(f"was set to channel and periods {self._set} and is at {held}: open the bench again")
        return reading

    def make_safe(self) -> None:
        """Do nothing: it puts nothing out."""
