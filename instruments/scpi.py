"""An instrument that speaks SCPI, believed only where it can be: PyMeasure's Instrument, made strict.

PyMeasure logs what an instrument complains of, and returns an answer that is no number as text; here both raise. An
answer that comes too late would be taken for that of the next question, and so on for ever: after anything unusual the
line is cleared, and used again only once the instrument has repeated a number that it was just told, and its name.
"""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from annotated_types import Gt
from pymeasure.instruments import Instrument

from labneuro.instruments.visa import InstrumentError, VisaLine
from labneuro.units import Duration

MOST_ERRORS = 32
"""Most entries of an error queue that are read."""

MOST_LATE = 64
"""Most late answers that are passed over."""

REPEATS = 2
"""How often what makes safe is sent again if it is not answered."""

NO_READING = 9.9e37
"""SCPI writes infinity as 9.9E37 and not-a-number as 9.91E37."""

POWER_ON = 128
"""Bit of the event register (`*ESR?`) that is set when an instrument is switched on."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_ERROR = re.compile(r"([-+]?\d+)\s*,.*", re.DOTALL)
_ANSWERS = re.compile(r"(.*);\s*([-+]?\d+\s*,\s*\".*\")\s*", re.DOTALL)

T = TypeVar("T")


def number(text: str) -> float:
    """Return the finite number that `text` is. Raises ValueError if it is none, or SCPI's infinity or not-a-number."""
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("that is no number")
    value = float(text)
    if abs(value) >= NO_READING or not math.isfinite(value):
        raise ValueError("that says that it has no reading: an overflow, or nothing measured")
    return value


class SCPIInstrument(Instrument):
    """An instrument whose complaints raise InstrumentError in the call that caused them, as do answers of no use."""

    MODEL: ClassVar[str]
    """Pattern of the model in the answer to `*IDN?`."""

    adapter: VisaLine

    found_errors: tuple[str, ...]
    """What stood in its error queue when it was connected, of which this driver knows nothing."""

    NEXT_ERROR: ClassVar[str] = ":SYST:ERR?"
    """Question for the oldest entry of the error queue."""

    REPEAT: ClassVar[str] = "*ESE {};*ESE?"
    """Question that the instrument answers with a number that it is told."""

    IDENTIFY: ClassVar[str] = "*ESE 0;*IDN?"
    """Question for its name, after which nothing is left of `REPEAT`."""

    # PyMeasure's look for dynamic properties, of which there are none here, and take half of the time of a message.
    __getattribute__ = object.__getattribute__
    __setattr__ = object.__setattr__

    def __init__(self, *, resource: str, visa_library: str = "", timeout: Annotated[Duration, Gt(0)] = 2.0) -> None:
        """Connect and check that it is the right model; no output changes.

        Args:
            resource: VISA resource, such as "GPIB0::12::INSTR" or "TCPIP::192.168.0.5::hislip0::INSTR"
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        self._in_step = False
        self._restarted = False
        self._given_up = False
        self._tokens = itertools.cycle(range(100, 256))
        self._latest = ""
        super().__init__(VisaLine(resource, visa_library, timeout), type(self).__name__, includeSCPI=False)
        try:
            self.found_errors = tuple(self._queued_errors(self.ask))
            self.write("*CLS")
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        """Maker, model, serial number and firmware."""
        return self.ask("*IDN?")

    def close(self) -> None:
        """Release the connection."""
        self.adapter.close()

    def write(self, command: str, **kwargs: object) -> None:
        """Send `command`."""
        self._exchange(command, lambda: None)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send `command` and return the answer."""
        return self._exchange(command, self.adapter.read)

    def ask_block(self, command: str) -> bytes:
        """Send `command` and return the content of the block that is the answer."""
        return self._exchange(command, self.adapter.read_block)

    def send(self, *commands: str) -> None:
        """Send `commands`, each on its own. Raises InstrumentError at the first that the instrument complains of."""
        for command in commands:
            self.write(command)
            self.check_errors()

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Callable[[str], Any] = float,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = -1,
        *,
        count: int | None = None,
    ) -> list[Any]:
        """Send `command` and return its answer, split and cast; numbers are finite, and there are `count` of them."""
        reply = self.ask(command)
        items = (preprocess_reply(reply) if preprocess_reply else reply).split(separator, maxsplit)
        if count not in {None, len(items)}:
            raise self.error(f"answered {command!r} with {len(items)} values, not {count}: ask again")
        try:
            return [number(item) if cast is float else cast(item) for item in items]
        except ValueError as error:
            raise self.error(f"answered {command!r} with {reply[:60]!r}: {error}") from None

    def ask_all(self, *questions: str, first: str = "", anyway: bool = False) -> list[str]:
        """Send `first`, a setting or one that measures, and `questions`, all in one message; return all answers.

        Raises InstrumentError if the instrument tells of errors, now or before, or that it was switched on since it was
        connected: then its output went off, and all that protects a device is at its default. Once that is known,
        nothing more is sent but what is to be sent `anyway`, as it makes safe or only looks: that does no harm twice,
        and is repeated if no answer comes.
        """
        if first:
            self._latest = first
        if not anyway:
            self._check_power()
        count = len(questions) + first.endswith("?")
        message = self.message(first, questions)
        *answers, events, entry = self._persistent_answers(message) if anyway else self._answers(message)
        self._restarted |= bool(int(self.numbers([events])[0]) & POWER_ON)
        if not anyway:
            self._check_power()
        if not self._is_none(entry):
            raise self._complaint([entry, *self._queued_errors(self.ask)])
        if len(answers) != count:
            raise self.error(f"gave {len(answers)} answers to {count} questions, {';'.join(answers)[:60]!r}: ask again")
        return answers

    def message(self, first: str, questions: Sequence[str]) -> str:
        """Return the message for `ask_all`; its last answers are the events and the oldest entry of the error queue."""
        return ";".join([*filter(None, [first]), *questions, "*ESR?", self.NEXT_ERROR])

    def numbers(self, answers: Sequence[str]) -> list[float]:
        """Return `answers` as finite numbers. Raises InstrumentError if one is none."""
        try:
            return [number(answer) for answer in answers]
        except ValueError as error:
            raise self.error(f"answered {';'.join(answers)[:60]!r}: {error}") from None

    def check_errors(self) -> list[str]:
        """Raise InstrumentError with all entries of the error queue, if there are any."""
        if entries := self._queued_errors(self.ask):
            raise self._complaint(entries)
        return []

    check_set_errors = check_get_errors = check_errors

    def error(self, what: str) -> InstrumentError:
        """Return the error that says `what` is wrong with this instrument."""
        return InstrumentError(f"{type(self).__name__} at {self.adapter.resource}: {what}")

    def _complaint(self, entries: list[str]) -> InstrumentError:
        return self.error(f"says to {self._latest!r}: {'; '.join(entries)}")

    def _answers(self, message: str) -> list[str]:
        """Return the answers to a message whose last question is that for errors."""
        reply = self.ask(message)
        match = _ANSWERS.fullmatch(reply)
        if match is None:
            raise self.error(f"ended its answer with no error number, {reply[-60:]!r}: ask again")
        return [*(answer.strip() for answer in match[1].split(";")), match[2]]

    def _persistent_answers(self, message: str) -> list[str]:
        """Do the same, again if it fails; an instrument that then has not answered is tried once, as others wait."""
        failures: list[InstrumentError] = []
        for _ in range(1 if self._given_up else 1 + REPEATS):
            try:
                return self._answers(message)
            except InstrumentError as error:
                failures.append(error)
        self._given_up = True
        raise failures[0]

    def _check_power(self) -> None:
        if self._restarted:
            raise self.error("was switched off and on and has lost its settings: open the bench again")

    def _exchange(self, command: str, read: Callable[[], T]) -> T:
        if self.NEXT_ERROR not in command:
            self._latest = command
        if not self._in_step:
            self._get_in_step()
        self._in_step = False  # nor is it after an interrupt
        try:
            self.adapter.write(command)
            answer = read()
        except InstrumentError as error:
            what = str(error).removeprefix(f"{self.adapter.resource}: ")
            raise self.error(f"{command!r}: {what}{self._in_its_words()}") from error
        self._in_step = True
        self._given_up = False
        return answer

    def _in_its_words(self) -> str:
        """Return what the instrument has to say after a question that it did not answer; nothing if it is dead."""

        def ask(command: str) -> str:
            self.adapter.write(command)
            return self.adapter.read()

        try:
            self._get_in_step()
            return "".join(f"; it says {entry}" for entry in self._queued_errors(ask))
        except InstrumentError:
            self._in_step = False
            return ""

    def _get_in_step(self) -> None:
        """Make sure that the next answer is that to the next question, and comes from the right instrument."""
        self.adapter.recover()
        token = str(next(self._tokens))
        self.adapter.write(self.REPEAT.format(token))
        if token not in (self.adapter.read() for _ in range(MOST_LATE)):
            raise self.error("answers, but not what it is asked: switch it off and on")
        self.adapter.write(self.IDENTIFY)
        identity = self.adapter.read()
        if not re.search(self.MODEL, identity):
            raise self.error(f"is {identity[:80]!r}: check the address, and which instrument has it")
        self._in_step = True

    def _queued_errors(self, ask: Callable[[str], str]) -> list[str]:
        entries: list[str] = []
        while len(entries) < MOST_ERRORS and not self._is_none(entry := ask(self.NEXT_ERROR)):
            entries.append(entry)
        return entries

    def _is_none(self, entry: str) -> bool:
        match = _ERROR.fullmatch(entry.strip())
        if match is None:
            raise self.error(f"answered {self.NEXT_ERROR!r} with {entry[:60]!r}: that is no error number")
        return int(match[1]) == 0
