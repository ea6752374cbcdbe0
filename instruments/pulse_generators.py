"""Pulse generators: counted bursts of pulses, released by a trigger that is never sent twice.

The output is held at 0 V between requests, by electronics: a relay that opens and closes for each would wear, and leave
the device floating. What could move that level (function, polarity, load, limits, trigger) is set with the output off;
it goes on at 0 V, and for pulses of the same sign only period, width, height and count are set from then on. At rest an
output stands at its low level, with inverted polarity at the high one: so negative pulses are inverted, from a high
level of 0 V. The instrument is told that it drives an open circuit: its levels are then those of `Pulses`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt

from labneuro.clock import Clock
from labneuro.instruments.scpi import NO_READING, SCPIInstrument
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError
from labneuro.roles import PulseGenerator
from labneuro.signals import Pulses
from labneuro.units import Duration, format_quantity

RELAY = 20e-3
"""Time for the relay of an output to settle, s."""

EDGES = 1.6
"""Width of a pulse, and space between two, that edges take at least, in edges."""

FINEST_LEVEL = 1e-4
"""Step of a level, V."""

READ_BACK = 1e-3
"""How far a number may read from what was set, relatively; a level, relatively to the pulses."""

LEVEL_ERROR = 2e-4
"""How far a level may read from what was set besides, V: what is rounded may be the mean of the two."""

OWN_RESISTANCE = 50.0
"""Resistance of the output, ohm."""

OUTPUT = ":OUTP{n}"


@dataclass(frozen=True)
class Reach:
    """What a model has, each from the least to the most: V into an open circuit, s. finest: step of a width, s."""

    amplitude: tuple[float, float]
    width: tuple[float, float]
    edge: tuple[float, float]
    finest: float
    shortest_period: float
    most: int


def rounded(value: float, finest: float) -> float:
    """Return `value` to four digits and in steps of `finest`, rounded towards 0 so that it passes no limit."""
    step = max(finest, 10.0 ** (math.floor(math.log10(abs(value))) - 3))
    return math.copysign(math.floor(abs(value) / step + 1e-6) * step, value)


def displayed(load: float) -> float:
    """Return what a generator that is told of a `load`, ohm, displays of its voltage into an open circuit."""
    return 1 / (1 + OWN_RESISTANCE / load)


class KeysightPulseGenerator(SCPIInstrument, PulseGenerator):
    """One channel, {n} in the headers, of a generator of bursts."""

    REACH: ClassVar[Reach]
    VOLTAGE: ClassVar[str]
    FUNCTION: ClassVar[str]
    BURST: ClassVar[str]
    PERIOD: ClassVar[str]
    WIDTH: ClassVar[str]
    HOLD: ClassVar[str]
    EDGE: ClassVar[str]
    COUNT: ClassVar[str]
    WAITING: ClassVar[Mapping[str, str]]
    """Settings with which a trigger, and nothing else, releases pulses."""
    OPEN: ClassVar[float] = math.inf
    """Load that stands for an open circuit, ohm."""

    _limit = math.inf
    _ready_for = 0.0
    """Sign of the pulses for which the output is on and set; 0 while this driver knows of none."""

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        channel: Literal[1, 2] = 1,
        edge: Annotated[Duration, Gt(0)] = 10e-9,
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no output changes. Raises LimitError if the model has no such edges.

        Args:
            resource: VISA resource, such as "USB0::0x0957::0x5707::MY53800123::INSTR"
            channel: output; a trigger is for all channels that wait for one, so leave the other alone
            edge: time in which a pulse rises and falls; none is shorter than 1.6 times this
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        fastest, slowest = self.REACH.edge
        if not fastest <= edge <= slowest:
            has = f"{format_quantity(fastest, 's')} to {format_quantity(slowest, 's')}"
            raise LimitError(f"{type(self).__name__} asked for edges of {format_quantity(edge, 's')}: it has {has}")
        self._clock, self._channel, self._edge = clock, channel, edge
        finest = self.REACH.finest
        self._narrowest = max(self.REACH.width[0], math.ceil(EDGES * edge / finest - 1e-6) * finest)
        super().__init__(resource=resource, visa_library=visa_library, timeout=timeout)

    @property
    def amplitude_limit(self) -> float:
        """Largest amplitude that the instrument lets out, V into an open circuit, whatever load it was told of."""
        limit = f"{self.VOLTAGE}:LIM"
        questions = f"{limit}:STAT?", f"{limit}:HIGH?", f"{limit}:LOW?", f"{OUTPUT}:LOAD?"
        *answers, load = self.ask_all(*map(self._named, questions))
        on, high, low = self.numbers(answers)
        if not on:
            return math.inf
        ohms = math.inf if _agrees(load, "INF") else self.numbers([load])[0]
        return max(abs(high), abs(low)) / displayed(ohms)

    def set_amplitude_limit(self, voltage: float) -> None:
        """Let the instrument refuse more than ±`voltage`, V; its output goes off. Raises LimitError before that."""
        weakest, strongest = self.REACH.amplitude
        if not weakest <= voltage < math.inf:
            least = format_quantity(weakest, "V")
            raise LimitError(f"{type(self).__name__} asked for a limit of {voltage} V: give a finite one from {least}")
        self._limit = min(voltage, strongest)
        self.make_safe()
        self._set(self._preparation(1.0), self._modes(1.0) | {OUTPUT: "0"})

    def fire(self, pulses: Pulses) -> None:
        """Send `pulses` and return after the last. Raises LimitError, before anything is sent, for what can't be done.

        An error that comes after the trigger says so: nothing tells how many pulses were sent, and none is repeated.
        """
        amplitude, width, count = self._checked(pulses)
        sign = math.copysign(1.0, amplitude)
        period = max(2 * width, self.REACH.shortest_period)
        rest, peak = (f"{self.VOLTAGE}:{level}" for level in (("LOW", "HIGH") if sign > 0 else ("HIGH", "LOW")))
        shape = {self.PERIOD: f"{period:.6E}", self.WIDTH: f"{width:.6E}"}
        shape |= {peak: self._level(amplitude), self.COUNT: str(count)}
        settings = [(self.WIDTH, f"{self._narrowest:.6E}"), *shape.items()]  # a width that fits any period
        wanted = self._modes(sign) | {rest: "0", OUTPUT: "1"} | shape
        error = READ_BACK * abs(amplitude) + LEVEL_ERROR
        on, self._ready_for = self._ready_for == sign, 0.0  # unless all goes well
        if on:
            self._set(settings, wanted, error)
        else:
            self.make_safe()
            settings = [*self._preparation(sign), *settings]
            self._set(settings, wanted | {OUTPUT: "0"}, error)
            self._set([*settings, (OUTPUT, "1")], wanted, error)  # again, should its power have failed since
            self._clock.sleep(RELAY)
        self._release(count, count * period)
        self._ready_for = sign

    def make_safe(self) -> None:
        """Switch the output off."""
        self._ready_for = 0.0
        output = self._named(OUTPUT)
        (answer,) = self.ask_all(f"{output}?", first=f"{output} 0", anyway=True)
        if not _agrees(answer, "0"):
            raise self.error("was switched off and reads back on: switch it off by hand")

    def _checked(self, pulses: Pulses) -> tuple[float, float, int]:
        """Return amplitude, width and count as they will be set. Raises LimitError for what the model can't do."""
        (weakest, strongest), widest, most = self.REACH.amplitude, self.REACH.width[1], self.REACH.most
        fits = weakest <= abs(pulses.amplitude) <= strongest and self._narrowest <= pulses.width <= widest
        if not (fits and 1 <= pulses.count <= most and pulses.count % 1 == 0):
            asked = f"{pulses.count} pulses of {pulses.amplitude:g} V, {pulses.width:g} s"
            volts = f"{format_quantity(weakest, 'V')} to {format_quantity(strongest, 'V')} of either sign"
            times = f"{format_quantity(self._narrowest, 's')} to {format_quantity(widest, 's')}"
            has = f"{volts}, {times} with edges of {format_quantity(self._edge, 's')}, 1 to {most} at once"
            raise LimitError(f"{type(self).__name__} asked for {asked}: it has {has}")
        width = max(self._narrowest, rounded(pulses.width, self.REACH.finest))
        return pulses.amplitude, width, int(pulses.count)

    def _modes(self, sign: float) -> dict[str, str]:
        """Return what stays the same for pulses of one sign."""
        return {
            f"{OUTPUT}:LOAD": "INF" if math.isinf(self.OPEN) else f"{self.OPEN:.6E}",
            f"{OUTPUT}:POL": "NORM" if sign > 0 else "INV",
            f"{self.VOLTAGE}:UNIT": "VPP",
            self.FUNCTION: "PULS",
            self.HOLD: "WIDT",
            self.EDGE: f"{self._edge:.6E}",
            **self.WAITING,
            **self._limits(),
        }

    def _limits(self) -> dict[str, str]:
        if math.isinf(self._limit):
            return {}
        limit = f"{self.VOLTAGE}:LIM"
        ends = {f"{limit}:LOW": self._level(-self._limit), f"{limit}:HIGH": self._level(self._limit)}
        return ends | {f"{limit}:STAT": "1"}

    def _level(self, volts: float) -> str:
        """Return a level, V into an open circuit, as the instrument displays it."""
        return f"{rounded(volts * displayed(self.OPEN), FINEST_LEVEL):.6E}"

    def _preparation(self, sign: float) -> list[tuple[str, str]]:
        """Return what ends any burst and sets what pulses of one sign have in common, for an output that is off.

        However it was left, no step conflicts with those before. The limits are off while the load changes, and on
        before the levels are more than the least that there is.
        """
        modes, limits, volts = self._modes(sign), self._limits(), self.VOLTAGE
        weakest = self.REACH.amplitude[0]
        period = max(1e-3, 2 * self._narrowest)
        settings = [(f"{self.BURST}:STAT", "0"), (self.EDGE, "MIN"), (self.WIDTH, "MIN")]
        settings += [
            (self.PERIOD, f"{period:.6E}"),
            (self.WIDTH, f"{self._narrowest:.6E}"),
            *([(f"{volts}:LIM:STAT", "0")] if limits else []),
        ]
        settings += [(header, value) for header, value in modes.items() if header not in limits]
        settings += [(volts, "MIN"), (f"{volts}:OFFS", "0")]
        settings += [(f"{volts}:LIM:HIGH", "MAX"), *limits.items()] if limits else []
        if sign > 0:
            return [*settings, (f"{volts}:HIGH", self._level(weakest)), (f"{volts}:LOW", "0")]
        return [*settings, (f"{volts}:LOW", self._level(-weakest)), (f"{volts}:HIGH", "0")]

    def _set(self, settings: Iterable[tuple[str, str]], wanted: Mapping[str, str], level_error: float = 0.0) -> None:
        """Send settings in one message and compare what is `wanted`. Raises InstrumentError if it reads otherwise."""
        first = ";".join(f"{header} {value}" for header, value in settings)
        answers = self.ask_all(*(self._named(f"{header}?") for header in wanted), first=self._named(first))
        for (header, value), answer in zip(wanted.items(), answers, strict=True):
            slack = level_error if header.endswith((":HIGH", ":LOW")) and ":LIM" not in header else 0.0
            if not _agrees(answer, value, slack):
                what = f"should have {self._named(header)} at {value} and reads back {answer}"
                raise self.error(f"{what}: make it safe first")

    def _release(self, count: int, duration: float) -> None:
        """Send the trigger and wait until the burst is over."""
        try:
            self.ask_all(first="*TRG")
            self._clock.sleep(duration)
            _, on = self.ask_all("*OPC?", self._named(f"{OUTPUT}?"))
            if not _agrees(on, "1"):
                raise self.error("has switched its output off: look for an overload, or who pressed its button")
        except InstrumentError as error:
            what = f"none to {count} of the pulses were sent, and none is sent again: read the device"
            raise InstrumentError(f"{error}; this was after the trigger: {what}") from error

    def _named(self, text: str) -> str:
        return text.replace("{n}", str(self._channel))


def _agrees(answer: str, value: str, slack: float = 0.0) -> bool:
    """Return whether an answer says that a setting has this value: a word or an integer exactly, others nearly."""
    try:
        number = float(answer)
        if value == "INF":
            return number >= NO_READING
        return math.isclose(number, float(value), rel_tol=0.0 if value.isdigit() else READ_BACK, abs_tol=slack)
    except ValueError:
        return answer == value


class Keysight33600A(KeysightPulseGenerator):
    """Keysight 33600A series."""

    MODEL = r"336\d\dA"
    REACH = Reach((2e-3, 10.0), (5e-9, 1e5), (3.3e-9, 1e-6), 1e-10, 12.5e-9, 100_000_000)
    VOLTAGE = ":SOUR{n}:VOLT"
    FUNCTION = ":SOUR{n}:FUNC"
    BURST = ":SOUR{n}:BURS"
    PERIOD = ":SOUR{n}:FUNC:PULS:PER"
    WIDTH = ":SOUR{n}:FUNC:PULS:WIDT"
    HOLD = ":SOUR{n}:FUNC:PULS:HOLD"
    EDGE = ":SOUR{n}:FUNC:PULS:TRAN"
    COUNT = ":SOUR{n}:BURS:NCYC"
    WAITING = {  # noqa: RUF012
        ":TRIG{n}:SOUR": "BUS",
        ":TRIG{n}:DEL": "0",
        ":SOUR{n}:BURS:MODE": "TRIG",
        ":SOUR{n}:BURS:STAT": "1",
    }


class Keysight33500B(Keysight33600A):
    """Keysight (Agilent) 33500A and 33500B series."""

    MODEL = r"335\d\d[AB]"
    REACH = Reach((2e-3, 10.0), (16e-9, 1e5), (8.4e-9, 1e-6), 1e-10, 50e-9, 100_000_000)


class Keysight81160A(KeysightPulseGenerator):
    """Keysight (Agilent) 81160A, whose load can't be infinite."""

    MODEL = r"81160A"
    REACH = Reach((0.101, 10.0), (1.5e-9, 1e5), (1e-9, 1e3), 1e-11, 3.1e-9, 2**31 - 1)
    VOLTAGE = ":VOLT{n}"
    FUNCTION = ":FUNC{n}"
    BURST = ":BURS{n}"
    PERIOD = ":PULS:PER{n}"
    WIDTH = ":PULS:WIDT{n}"
    HOLD = ":PULS:HOLD{n}"
    EDGE = ":FUNC{n}:PULS:TRAN"
    COUNT = ":TRIG{n}:COUN"
    WAITING = {":ARM:SOUR{n}": "MAN", ":ARM:SENS{n}": "EDGE", ":BURS{n}:MODE": "TRIG"}  # noqa: RUF012
    OPEN = 1e6
