"""What direct-current and direct-voltage sources have in common: one range, and an order that does no harm.

A source glitches when its range changes, so it has one: it is set while the output is off, and a level beyond it is
refused. Before the output is switched on the level is zero; whatever protects the device is read back and compared.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from labneuro.attempts import raise_all, try_all
from labneuro.clock import Clock
from labneuro.instruments.scpi import SCPIInstrument, number
from labneuro.limits import LimitError
from labneuro.units import format_quantity

RESOLUTION = 1e-4
"""How far from what was asked a level may read, relative to the range: sources of 4.5 digits and more round to it."""

RANGE_ERROR = 0.1
"""How far a range may read from its name, relatively: some count in what they have beyond it."""

PROTECTION_ERROR = 1e-3
"""How far a compliance or limit may read from what was asked, relatively."""

RELAY = 20e-3
"""Time for the relay of an output to settle, s."""


@dataclass(frozen=True)
class Output:
    """What a source says of itself: output on, level and range, and whether it is in the mode for them."""

    on: bool
    level: float
    range: float
    mode: tuple[str, ...]


class DirectSource(SCPIInstrument):
    """A source with the output states of its make declared in SCPI."""

    RANGES: ClassVar[tuple[float, ...]]
    PROTECTION: ClassVar[tuple[float, float]]
    """Lowest and highest compliance or current limit."""
    UNIT: ClassVar[str]
    PROTECTED_UNIT: ClassVar[str]
    LEVEL_COMMAND: ClassVar[str]
    RANGE_COMMAND: ClassVar[str]
    PROTECTION_COMMAND: ClassVar[str]
    MODE: ClassVar[tuple[str, ...]]
    """Settings that are made before the range is, and that must read back at any time."""
    PREPARATION: ClassVar[tuple[str, ...]] = ()
    """More of them, which are not read back."""
    OFF_STATE: ClassVar[str] = ""
    """Command for what the output is while it is off, if one can be chosen."""

    _range: float
    _clock: Clock

    def _set_up(self, clock: Clock, source_range: float) -> None:
        """Keep the settings. Raises LimitError if the make has no such range."""
        held = [own for own in self.RANGES if math.isclose(own, source_range, rel_tol=1e-9)]
        if not held:
            known = ", ".join(format_quantity(own, self.UNIT) for own in self.RANGES)
            what = f"{type(self).__name__} has no range of {format_quantity(source_range, self.UNIT)}"
            raise LimitError(f"{what}: give one of {known}")
        self._clock, self._range = clock, held[0]

    def _output(self) -> Output:
        """Return what the source says. Raises InstrumentError if it says that anything went wrong before."""
        mode = (f"{setting.split()[0]}?" for setting in self.MODE)
        answers = self.ask_all(":OUTP?", f"{self.LEVEL_COMMAND}?", f"{self.RANGE_COMMAND}?", *mode)
        try:
            on, level, own_range = map(number, answers[:3])
        except ValueError as error:
            raise self.error(f"says {answers} of its output: {error}") from None
        return Output(on != 0, level, own_range, tuple(answers[3:]))

    def _level(self) -> float:
        """Return the level at the output as read back, 0 while that is off. Raises in another mode: it misleads."""
        output = self._output()
        if not output.on:
            return 0.0
        self._check_mode(output)
        return output.level

    def _set_level(self, level: float) -> None:
        """Bring the output to `level` and switch it on. Raises LimitError before anything is sent."""
        asked, limit = format_quantity(level, self.UNIT), format_quantity(self._range, self.UNIT)
        if not abs(level) <= self._range:
            raise LimitError(f"{type(self).__name__} asked for {asked}, range {limit}: give a larger source_range")
        before = self._output()
        if not before.on:
            zero = f"{self.LEVEL_COMMAND} 0"
            self.send(zero, *self._preparation(), f"{self.RANGE_COMMAND} {self._range:.9E}", zero)
            self._check(self._output(), 0.0)
            self.send(":OUTP 1")
            self._clock.sleep(RELAY)
        else:
            self._check_mode(before)
        self.write(f"{self.LEVEL_COMMAND} {level:.9E}")
        after = self._output()
        self._check(after, level)
        if not after.on:
            raise self.error("was switched on and reads back off: look for an interlock or a trip on its display")

    def _preparation(self) -> tuple[str, ...]:
        """Return what is sent, with the output off, before the range."""
        return (*self.MODE, *self.PREPARATION)

    def _check(self, output: Output, level: float) -> None:
        self._check_mode(output)
        if not abs(output.level - level) <= RESOLUTION * self._range:
            values = (format_quantity(value, self.UNIT) for value in (level, output.level))
            raise self.error("was set to {} and reads back {}: make it safe".format(*values))

    def _check_mode(self, output: Output) -> None:
        for setting, held in zip(self.MODE, output.mode, strict=True):
            if held != setting.split()[1]:
                raise self.error(f"was set to {setting!r} and reads back {held}: make it safe first")
        if not abs(output.range / self._range - 1) <= RANGE_ERROR:
            ranges = (format_quantity(value, self.UNIT) for value in (output.range, self._range))
            raise self.error("is on range {}, not {}: make it safe first".format(*ranges))

    def _protection(self) -> float:
        return self.values(f"{self.PROTECTION_COMMAND}?", count=1)[0]

    def _set_protection(self, limit: float) -> None:
        """Set compliance or current limit. Raises LimitError before anything is sent."""
        unit = self.PROTECTED_UNIT
        low, high = self.PROTECTION
        if not low <= limit <= high:
            ends = f"{format_quantity(low, unit)} to {format_quantity(high, unit)}"
            raise LimitError(f"{type(self).__name__} asked to limit to {format_quantity(limit, unit)}: it has {ends}")
        self.send(f"{self.PROTECTION_COMMAND} {limit:.9E}")
        held = self._protection()
        if not math.isclose(held, limit, rel_tol=PROTECTION_ERROR):
            values = format_quantity(limit, unit), format_quantity(held, unit)
            raise self.error("was limited to {} and reads back {}: give a limit that it has".format(*values))

    def make_safe(self) -> None:
        """Bring the level to zero and switch the output off, open where the make can."""
        self._leave("HIMP")

    def _leave(self, off_state: str) -> None:
        """Bring the level to zero and switch off; an output that is off stays what it is unless it is to be shorted."""

        def choose_off_state() -> None:
            if self.OFF_STATE and (off_state == "ZERO" or self._output().on):
                self.send(f"{self.OFF_STATE} {off_state}")

        def confirm() -> None:
            if self._output().on:
                raise self.error("was switched off and reads back on: switch it off by hand")

        steps = (lambda: self.send(f"{self.LEVEL_COMMAND} 0"), choose_off_state, lambda: self.send(":OUTP 0"), confirm)
        raise_all(f"{type(self).__name__} was not switched off", try_all(steps))
