"""What direct-current and direct-voltage sources have in common: one range, and an order that does no harm.

A source glitches when its range changes, so it has one: it is set while the output is off, and a level beyond it is
refused. Before the output is switched on the level is zero; whatever protects the device is read back and compared.

A level is set and read back in one message: where the output was switched off meanwhile, by hand or with the power, the
level reaches no device, and the answer tells. Nothing switches an output on that does not look at it first.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from labneuro.attempts import raise_all, try_all
from labneuro.clock import Clock
from labneuro.instruments.scpi import SCPIInstrument
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
    """What a source says of itself.

    protection: compliance or current limit. limited: whether it holds the output back. mode: answers to that of `MODE`.
    """

    on: bool
    level: float
    range: float
    protection: float
    limited: bool
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
    LIMITED: ClassVar[tuple[str, int]]
    """Question whose answer has any of these bits while the output is held back by compliance or current limit."""
    MODE: ClassVar[tuple[str, ...]]
    """Settings that are made before the range is, and that must read back at any time."""
    PREPARATION: ClassVar[tuple[str, ...]] = ()
    """More of them, which are not read back."""
    OUTPUT_COMMAND: ClassVar[str] = ":OUTP"
    OFF_STATE: ClassVar[str] = ""
    """Command for what the output is while it is off, if one can be chosen."""
    OPEN, SHORTED = "HIMP", "ZERO"
    """What it is then."""

    _range: float
    _clock: Clock
    _held: float | None = None
    """Level as last read back; None while this driver does not know the output to be on."""
    _left = False
    """Whether this driver has switched the output off since it last switched it on."""
    _limit: float | None = None
    """Compliance or current limit as this driver last set it, if it has."""

    def _set_up(self, clock: Clock, source_range: float) -> None:
        """Keep the settings. Raises LimitError if the make has no such range."""
        held = [own for own in self.RANGES if math.isclose(own, source_range, rel_tol=1e-9)]
        if not held:
            known = ", ".join(format_quantity(own, self.UNIT) for own in self.RANGES)
            what = f"{type(self).__name__} has no range of {format_quantity(source_range, self.UNIT)}"
            raise LimitError(f"{what}: give one of {known}")
        self._clock, self._range = clock, held[0]

    @cached_property
    def _questions(self) -> list[str]:
        mode = (setting.split()[0] for setting in self.MODE)
        asked = (
            self.OUTPUT_COMMAND,
            self.LEVEL_COMMAND,
            self.RANGE_COMMAND,
            self.PROTECTION_COMMAND,
            self.LIMITED[0],
            *mode,
        )
        return [f"{header}?" for header in asked]

    def _output(self, setting: str = "", *, anyway: bool = False) -> Output:
        """Send `setting`, if any, and return what the source says. Raises InstrumentError as `ask_all` does."""
        return self._told(self.ask_all(*self._questions, first=setting, anyway=anyway))

    def _told(self, answers: list[str]) -> Output:
        on, level, own_range, protection, limited = self.numbers(answers[:5])
        return Output(on != 0, level, own_range, protection, bool(int(limited) & self.LIMITED[1]), tuple(answers[5:]))

    def _level(self) -> float:
        """Return the level at the output as read back, 0 while that is off. Raises in another mode: it misleads."""
        output = self._output(anyway=True)
        if not output.on:
            return 0.0
        if self._left:  # whoever did that may put out more than the level says: a wave, a sweep
            raise self.error("was switched off and reads back on: switch it off by hand")
        self._check_mode(output)
        return output.level

    def _set_level(self, level: float) -> Output:
        """Bring the output to `level`, switched on; return what it says. Raises LimitError before anything is sent."""
        if not abs(level) <= self._range:
            asked, limit = format_quantity(level, self.UNIT), format_quantity(self._range, self.UNIT)
            raise LimitError(f"{type(self).__name__} asked for {asked}, range {limit}: give a larger source_range")
        if self._held is None:
            self._switch_on()
        self._held = None
        output = self._output(f"{self.LEVEL_COMMAND} {level:.9E}")
        self._check_on(output)
        self._check_level(output, level)
        self._held = output.level
        return output

    def _switch_on(self) -> None:
        """Switch the output on, at zero and on its range, unless it is on as it should be."""
        found = self._output()
        if found.on:
            self._check_on(found)
            return
        off, zero = f"{self.OUTPUT_COMMAND} 0", f"{self.LEVEL_COMMAND} 0"
        own_range = f"{self.RANGE_COMMAND} {self._range:.9E}"
        # Off once more: whoever has switched it on since must not get the spike of a new range.
        prepared = self._output(";".join([off, zero, *self._preparation(), own_range, zero]))
        self._check_mode(prepared)
        self._check_protection(prepared)
        self._check_level(prepared, 0.0)
        self._left = False
        self._check_on(self._output(f"{zero};{self.OUTPUT_COMMAND} 1"))
        self._clock.sleep(RELAY)

    def _preparation(self) -> tuple[str, ...]:
        """Return what is sent, with the output off, before the range."""
        return (*self.MODE, *self.PREPARATION)

    def _check_level(self, output: Output, level: float) -> None:
        if not abs(output.level - level) <= RESOLUTION * self._range:
            values = (format_quantity(value, self.UNIT) for value in (level, output.level))
            raise self.error("was set to {} and reads back {}: make it safe".format(*values))

    def _check_on(self, output: Output) -> None:
        if not output.on:
            self._held = None
            way_out = "look for an interlock, a trip, or who pressed its button"
            raise self.error(f"was switched on and reads back off: {way_out}")
        self._check_mode(output)
        self._check_protection(output)

    def _check_mode(self, output: Output) -> None:
        for setting, held in zip(self.MODE, output.mode, strict=True):
            if held != setting.split()[1]:
                raise self.error(f"was set to {setting!r} and reads back {held}: make it safe first")
        if not abs(output.range / self._range - 1) <= RANGE_ERROR:
            ranges = (format_quantity(value, self.UNIT) for value in (output.range, self._range))
            raise self.error("is on range {}, not {}: make it safe first".format(*ranges))

    def _check_protection(self, output: Output) -> None:
        limit, held = self._limit, output.protection
        if limit is not None and not math.isclose(held, limit, rel_tol=PROTECTION_ERROR):
            values = (format_quantity(value, self.PROTECTED_UNIT) for value in (limit, held))
            raise self.error("was limited to {} and reads back {}: set a limit that it has".format(*values))

    def _protection(self) -> float:
        """Return compliance or current limit. Raises InstrumentError if the output is not as this driver left it.

        A guard asks before each new level, so that what was changed by hand is seen before and not only after it.
        """
        output = self._output()
        if self._held is not None:
            self._check_on(output)
        return output.protection

    def _set_protection(self, limit: float) -> None:
        """Set compliance or current limit. Raises LimitError before anything is sent."""
        unit = self.PROTECTED_UNIT
        low, high = self.PROTECTION
        if not low <= limit <= high:
            ends = f"{format_quantity(low, unit)} to {format_quantity(high, unit)}"
            raise LimitError(f"{type(self).__name__} asked to limit to {format_quantity(limit, unit)}: it has {ends}")
        self._limit = limit
        self._check_protection(self._output(f"{self.PROTECTION_COMMAND} {limit:.9E}"))

    def make_safe(self) -> None:
        """Bring the level to zero and switch the output off, open where the make can."""
        self._leave(self.OPEN)

    def _leave(self, off_state: str) -> None:
        """Bring the level to zero and switch off; an output that is off stays what it is unless it is to be shorted."""

        def set_to_zero() -> None:
            kept = (setting for setting in self.MODE if "AUTO" in setting.upper())  # a lower range comes with a spike
            self.ask_all(first=";".join([*kept, f"{self.LEVEL_COMMAND} 0"]), anyway=True)

        def choose_off_state() -> None:
            if self.OFF_STATE and (off_state == self.SHORTED or self._output(anyway=True).on):
                self.ask_all(first=f"{self.OFF_STATE} {off_state}", anyway=True)

        def switch_off() -> None:
            if self._output(f"{self.OUTPUT_COMMAND} 0", anyway=True).on:
                raise self.error("was switched off and reads back on: switch it off by hand")
            self._left = True

        self._held = None
        try:
            raise_all("was not switched off", try_all((set_to_zero, choose_off_state, switch_off)))
        except ExceptionGroup as group:
            raise self.error(group.message) from group
