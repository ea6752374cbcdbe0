"""Microwave generators: watts at the role, dBm on the wire."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
import re
from typing import ClassVar

from labneuro.instruments.scpi import SCPIInstrument
from labneuro.limits import LimitError
from labneuro.roles import RFSource
from labneuro.units import format_quantity

LEVEL_STEP = 0.01
"""Step of a generator's level, dB."""

FREQUENCY_ERROR = 0.5
"""How far a frequency may read from what was asked, Hz: far less than any line is wide."""

MILLIWATT = 1e-3


def to_dbm(power: float) -> float:
    """Return the step of level at or below `power`, W above 0, in dBm: rounding must not pass a limit."""
    return math.floor(10 * math.log10(power / MILLIWATT) / LEVEL_STEP + 1e-6) * LEVEL_STEP


def to_watts(level: float) -> float:
    """Return the power of `level`, dBm, in W."""
    return MILLIWATT * 10 ** (level / 10)


class Generator(SCPIInstrument, RFSource):
    """A generator whose output is unmodulated, unswept and without display offsets whenever it is on."""

    PREPARATION: ClassVar[tuple[str, ...]]
    """What makes it so, with the output off."""

    LEVELS: ClassVar[tuple[str, ...]] = (":POW?",)
    """Questions for levels, dBm, of which the lowest is put out."""

    _on = False  # by this driver
    _ends: list[float]
    """Lowest and highest frequency, Hz, and level, dBm, of this generator with its options."""

    @property
    def frequency(self) -> float:
        return self.values(":FREQ?", count=1)[0]

    @property
    def power(self) -> float:
        _, level, on = self._output(anyway=True)
        return to_watts(level) if on else 0.0

    def set_tone(self, frequency: float, power: float) -> None:
        """Put out `power`, W, at `frequency`, Hz. Raises LimitError for what it does not have before that is set."""
        if power == 0:
            self._switch_off()
            return
        if not (0 < power < math.inf and 0 < frequency < math.inf):
            way_out = "give a finite frequency above 0 Hz and a finite power of at least 0 W"
            raise LimitError(f"{type(self).__name__} asked for {frequency} Hz at {power} W: {way_out}")
        level = to_dbm(power)
        shown = (setting for setting in self.PREPARATION if setting.endswith((":MULT 1", ":OFFS 0")))
        tone = ";".join([*shown, f":FREQ {frequency:.3f}", f":POW {level:.2f}"])  # with others it reads back the same
        if self._on:
            self._check_ends(frequency, level)
            self._on = False
            held = self._output(tone)
        else:
            self._switch_off()
            ends = (":FREQ? MIN", ":FREQ? MAX", ":POW? MIN", ":POW? MAX")  # not shifted by offsets any more
            self._ends = self.numbers(self.ask_all(*ends, first=";".join(self._preparation())))
            self._check_ends(frequency, level)
            self.ask_all(first=tone)  # on its own, as one that is refused would not keep the output off
            held = self._output(f"{tone};:OUTP 1")
        held_frequency, held_level, self._on = held
        near = abs(held_frequency - frequency) <= FREQUENCY_ERROR and abs(held_level - level) <= LEVEL_STEP
        if not (near and self._on):
            asked = f"{frequency:.3f} Hz at {level:.2f} dBm"
            back = f"{held_frequency:.3f} Hz at {held_level:.2f} dBm, output {'on' if self._on else 'off'}"
            raise self.error(f"was set to {asked} and reads back {back}: make it safe")

    def _check_ends(self, frequency: float, level: float) -> None:
        lowest, highest, weakest, strongest = self._ends
        if not (lowest <= frequency <= highest and weakest <= level <= strongest):
            band = f"{format_quantity(lowest, 'Hz')} to {format_quantity(highest, 'Hz')}"
            asked = f"{format_quantity(frequency, 'Hz')} at {level:.2f} dBm"
            has = f"it has {band} at {weakest:g} to {strongest:g} dBm"
            raise LimitError(f"{type(self).__name__} asked for {asked}: {has}")

    def _preparation(self) -> tuple[str, ...]:
        return self.PREPARATION

    def make_safe(self) -> None:
        """Switch the output off."""
        self._switch_off()

    def _switch_off(self) -> None:
        self._on = False
        if self._output(":OUTP 0", anyway=True)[2]:
            raise self.error("was switched off and reads back on: switch it off by hand")

    def _output(self, setting: str = "", *, anyway: bool = False) -> tuple[float, float, bool]:
        """Send `setting`, if any; return frequency, Hz, level, dBm, and whether the output is on."""
        answers = self.ask_all(":FREQ?", ":OUTP?", *self.LEVELS, first=setting, anyway=anyway)
        frequency, on, *levels = self.numbers(answers)
        return frequency, min(levels), on != 0


class _KeysightGenerator(Generator):
    PREPARATION = (":FREQ:MODE CW", ":POW:MODE FIX", ":OUTP:MOD 0", ":FREQ:MULT 1", ":FREQ:OFFS 0", ":POW:OFFS 0")


class KeysightE8257D(_KeysightGenerator):
    """Keysight (Agilent) E8257D."""

    MODEL = r"E8257D"


class KeysightN5183B(_KeysightGenerator):
    """Keysight N5183B."""

    MODEL = r"N5183B"


class _RohdeSchwarzGenerator(Generator):
    """A generator that puts out no more than its own power limit, whatever level it says that it is set to."""

    LEVELS = (":POW?", ":SOUR:POW:LIM:AMPL?")

    @property
    def power_limit(self) -> float:
        return to_watts(self.values(":SOUR:POW:LIM:AMPL?", count=1)[0])

    def set_power_limit(self, power: float) -> None:
        """Let the generator itself put out no more than `power`, W. Raises LimitError before anything is sent."""
        if not 0 < power < math.inf:
            raise LimitError(f"{type(self).__name__} asked for a limit of {power} W: give a finite one above 0 W")
        self.send(f":SOUR:POW:LIM:AMPL {to_dbm(power):.2f}")


class RohdeSchwarzSMB100A(_RohdeSchwarzGenerator):
    """Rohde & Schwarz SMB100A."""

    MODEL = r"SMB100A"
    PREPARATION = (
        ":SOUR:FREQ:MODE CW",
        ":SOUR:POW:MODE CW",
        ":SOUR:MOD:ALL:STAT 0",
        ":SOUR:FREQ:MULT 1",
        ":SOUR:FREQ:OFFS 0",
        ":SOUR:POW:OFFS 0",
    )


class RohdeSchwarzSGS100A(_RohdeSchwarzGenerator):
    """Rohde & Schwarz SGS100A."""

    MODEL = r"SGS100A"
    PREPARATION = (":SOUR:PULM:STAT 0", ":SOUR:FREQ:OFFS 0", ":SOUR:POW:OFFS 0")

    def _preparation(self) -> tuple[str, ...]:
        modulates = re.search(r"B1\d\dV", self.ask("*OPT?"))
        return (*self.PREPARATION, ":SOUR:IQ:STAT 0") if modulates else self.PREPARATION
