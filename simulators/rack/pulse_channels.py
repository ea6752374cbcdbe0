"""The two channels of a pulse generator: levels, times, bursts, and what of them stands at the ports.

Only pulses are fired, and a burst as a whole as it begins: to stop one before its end takes no pulse back. Pulses that
go on without end are fired as infinitely many. Of other waves the port shows the level that is farther from 0 V.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from labneuro.clock import Clock
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.parameters import Kind, Number, Switch, Text, Word
from labneuro.simulators.rack.replies import scientific
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import Setting, command

CHANNELS: tuple[int, ...] = (1, 2)

OWN_RESISTANCE = 50.0
"""Resistance of an output, ohm: levels are displayed as they are across the load in series with it."""

STEP = 1e-4
"""Resolution of a level as displayed, V."""

_NEARLY = 1e-9
_RMS = {"SIN": math.sqrt(1 / 8), "RAMP": math.sqrt(1 / 12), "TRI": math.sqrt(1 / 12)}
"""Effective voltage of one peak to peak; of the others 1/2."""

T = TypeVar("T")


class OfChannel(Setting[T]):
    """A setting of a channel: its bounds may depend on the others of that channel, what is put out depends on it."""

    def change(self, instrument: Any, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> None:
        """Execute the command form."""
        instrument.at = suffixes[0]
        try:
            super().change(instrument, suffixes, parameters)
        finally:
            instrument.put_out(suffixes[0])

    def answer(self, instrument: Any, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> str:
        """Execute the query form."""
        instrument.at = suffixes[0]
        return super().answer(instrument, suffixes, parameters)


class PulseGenerator(Instrument):
    """What they have in common.

    Ports: `level(channel)`, V into an open circuit while no pulse is sent; `fire`, called as each burst begins with
    channel, V of the pulses into an open circuit, width, s, and count.
    """

    error_depth = 20
    error_format = '%+d,"%s"'
    number = staticmethod(scientific(14))
    settings = (Setting(":DISPlay[:STATe]", kind=Switch(default=True)), Setting(":DISPlay:TEXT", kind=Text()))

    headers: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Headers of what is the same in all models, by name."""

    weakest: ClassVar[float]
    """Smallest difference of levels, V into an open circuit."""
    highest: ClassVar[float] = 10.0
    """Highest level, V into an open circuit."""
    narrowest: ClassVar[float]
    edges: ClassVar[tuple[float, float]]
    """Fastest and slowest edge, s."""
    frequencies: ClassVar[tuple[float, float]]
    """Highest frequency of pulses and of sines, Hz."""
    edge_share: ClassVar[float]
    """Width that an edge takes, and takes from the period."""
    timing: ClassVar[tuple[float, float, float]]
    """Frequency, Hz, width and edge, s, after a reset."""
    soft: ClassVar[str]
    """Trigger source that is a command."""

    function: Setting[str]
    source: Setting[str]
    output: Setting[bool]
    load: Setting[float]
    polarity: Setting[str]
    unit: Setting[str]
    hold: Setting[str]
    limited: Setting[bool]
    limit_high: Setting[float]
    limit_low: Setting[float]
    bursting: Setting[bool]
    gating: Setting[str]
    cycles: Setting[float]

    def __init_subclass__(cls) -> None:
        for name, headers in cls.headers.items():
            kind, get, change = _SHARED[name]
            setting = OfChannel[Any](*headers, kind=kind, get=get, set=change)
            setting.name = name
            setattr(cls, name, setting)
        super().__init_subclass__()

    def __init__(self, clock: Clock) -> None:
        self.fire: Callable[[int, float, float, float], None] = lambda channel, voltage, width, count: None
        super().__init__(clock)

    def reset(self) -> None:
        """Return to the defaults, outputs off, without waveforms."""
        super().reset()
        self.at = 1
        self.levels = dict.fromkeys(CHANNELS, (-0.1, 0.1))  # V into an open circuit
        self.times = dict.fromkeys(CHANNELS, self.timing)
        self.ends = dict.fromkeys(CHANNELS, -math.inf)
        self.waveforms: dict[str, list[float]] = {}
        for channel in CHANNELS:
            self.put_out(channel)

    def has(self, name: str, channel: int) -> Any:
        """Return the value of a setting of a channel."""
        return getattr(type(self), name).of(self, channel)

    def level(self, channel: int) -> float:
        """Return the voltage between pulses, V into an open circuit; 0 while the output is off."""
        low, high = self.levels[channel]
        if not self.has("output", channel):
            return 0.0
        match self.has("function", channel):
            case "PULS":
                return high if self.has("polarity", channel) == "INV" else low
            case "DC":
                return (low + high) / 2
            case _:
                return max(low, high, key=abs)

    def put_out(self, channel: int) -> None:
        """Let out what the settings of a channel have come to."""
        if self.goes_on(channel):
            self._fire(channel, math.inf)
        self.changed()

    def _fire(self, channel: int, count: float) -> None:
        if self.has("output", channel) and self.has("function", channel) == "PULS":
            low, high = self.levels[channel]
            voltage = low if self.has("polarity", channel) == "INV" else high
            self.fire(channel, voltage, self.times[channel][1], count)

    # Bursts

    def goes_on(self, channel: int) -> bool:
        """Whether pulses come without a trigger."""
        raise NotImplementedError

    def burst(self, channel: int) -> float:
        """Return how many pulses a trigger releases; 0 if the channel waits for none."""
        raise NotImplementedError

    @command("*TRG")
    def trigger(self) -> None:
        """Release a burst of each channel that waits for this."""
        self._release([channel for channel in CHANNELS if self.has("source", channel) == self.soft])

    @command(":TRIGger<1-2>[:IMMediate]")
    def force(self, channel: int) -> None:
        """Release a burst of one channel, whatever it waits for."""
        self._release([channel])

    def _release(self, channels: list[int]) -> None:
        now = self.clock.now()
        ready = [channel for channel in channels if self.burst(channel) and now >= self.ends[channel]]
        if not ready:
            raise ScpiError(-211)
        for channel in ready:
            count = self.burst(channel)
            self.ends[channel] = now + count / self.times[channel][0]
            self.overlap(self.ends[channel] - now)
            self._fire(channel, count)

    def stop(self, channel: int) -> None:
        """End the burst of a channel."""
        self.ends[channel] = -math.inf
        self._busy_until = max(self.ends.values())

    def switch(self, channel: int, on: bool) -> None:
        """Switch an output; what is left of a burst that runs comes out."""
        self.values["output", (channel,)] = on
        left = (self.ends[channel] - self.clock.now()) * self.times[channel][0]
        if on and left > _NEARLY:
            self._fire(channel, left if math.isinf(left) else math.ceil(left - _NEARLY))

    def choose(self, channel: int, function: str) -> None:
        """Choose the function; its times are made to fit."""
        self.stop(channel)
        self.values["function", (channel,)] = function
        self.set_times(channel)

    def choose_source(self, channel: int, source: str) -> None:
        """Choose what triggers."""
        self.stop(channel)
        self.values["source", (channel,)] = source

    def set_bursting(self, channel: int, on: bool) -> None:
        """Put out bursts, or not."""
        self.stop(channel)
        self.values["bursting", (channel,)] = on

    def apply(self, channel: int, function: str, parameters: tuple[str, ...]) -> None:
        """Put out a function without end; of frequency, amplitude and offset, those left out or DEF stay."""
        if len(parameters) > 3:
            raise ScpiError(-108)
        self.set_bursting(channel, on=False)
        self.choose_source(channel, "IMM")
        self.choose(channel, function)
        for text, name in zip(parameters, ("frequency", "amplitude", "offset"), strict=False):
            if text.upper() not in {"DEF", "DEFAULT"}:
                getattr(type(self), name).change(self, (channel,), (text,))
        self.switch(channel, on=True)

    # Levels

    def displayed(self, channel: int) -> float:
        """Return the part of the open-circuit voltage that stands across the load."""
        load = self.has("load", channel)
        return 1.0 if math.isinf(load) else load / (load + OWN_RESISTANCE)

    def set_load(self, channel: int, ohms: float) -> None:
        """Display the levels as they are across another load; they stay what they are."""
        if self.has("limited", channel):
            raise ScpiError(-221, "voltage limits")
        self.values["load", (channel,)] = ohms
        if math.isinf(ohms) and self.has("unit", channel) == "DBM":
            self.values["unit", (channel,)] = "VPP"

    def set_unit(self, channel: int, unit: str) -> None:
        """Choose the unit of the amplitude."""
        if unit == "DBM" and math.isinf(self.has("load", channel)):
            raise ScpiError(-221, "dBm into an open circuit")
        self.values["unit", (channel,)] = unit

    def in_unit(self, volts: float, channel: int) -> float:
        """Return an open-circuit voltage, peak to peak, in the unit of the amplitude."""
        volts *= self.displayed(channel)
        effective = volts * _RMS.get(self.has("function", channel), 0.5)
        match self.has("unit", channel):
            case "VRMS":
                return effective
            case "DBM":
                return 10 * math.log10(effective**2 / self.has("load", channel) / 1e-3)
            case _:
                return volts

    def set_amplitude(self, channel: int, value: float) -> None:
        """Set the difference of the levels, in the unit chosen, about the same offset."""
        one = self.in_unit(1.0, channel)
        half = (10 ** ((value - one) / 20) if self.has("unit", channel) == "DBM" else value / one) / 2
        offset = sum(self.levels[channel]) / 2
        self.set_levels(channel, offset - half, offset + half)

    def set_offset(self, channel: int, volts: float) -> None:
        """Move both levels."""
        low, high = self.levels[channel]
        shift = volts / self.displayed(channel) - (low + high) / 2
        self.set_levels(channel, low + shift, high + shift)

    def set_high(self, channel: int, volts: float) -> None:
        """Set the high level; a low one that it meets moves out of its way, with an error."""
        high, low = volts / self.displayed(channel), self.levels[channel][0]
        met = high - low < self.weakest * (1 - _NEARLY)
        self.set_levels(channel, high - self.weakest if met else low, high)
        if met:
            raise ScpiError(-221, "low level")

    def set_low(self, channel: int, volts: float) -> None:
        """Set the low level; a high one that it meets moves out of its way, with an error."""
        low, high = volts / self.displayed(channel), self.levels[channel][1]
        met = high - low < self.weakest * (1 - _NEARLY)
        self.set_levels(channel, low, low + self.weakest if met else high)
        if met:
            raise ScpiError(-221, "high level")

    def bounds(self, channel: int) -> tuple[float, float]:
        """Return the lowest and highest level that may be set, V into an open circuit."""
        if not self.has("limited", channel):
            return -self.highest, self.highest
        low, high = (self.has(name, channel) / self.displayed(channel) for name in ("limit_low", "limit_high"))
        return max(-self.highest, low), min(self.highest, high)

    def set_levels(self, channel: int, low: float, high: float) -> None:
        """Set the levels, V into an open circuit; if one is beyond its bound both stay."""
        lowest, highest = self.bounds(channel)
        slack = 0.51 * STEP / self.displayed(channel)
        if low < lowest - slack or high > highest + slack or high - low < self.weakest - slack:
            raise ScpiError(-221, f"{low} V to {high} V")
        self.levels[channel] = low, high

    def set_limits(self, channel: int, name: str, value: float) -> None:
        """Set a limit, or let both hold; a level beyond them is in the way."""
        new = {"on": self.has("limited", channel), "low": self.has("limit_low", channel)}
        new |= {"high": self.has("limit_high", channel), name: value}
        low, high = (level * self.displayed(channel) for level in self.levels[channel])
        if new["on"] and not new["low"] - STEP <= low <= high <= new["high"] + STEP:
            raise ScpiError(-221, "present levels")
        for key, kept in (("limited", "on"), ("limit_low", "low"), ("limit_high", "high")):
            self.values[key, (channel,)] = new[kept]

    # Times

    def set_times(
        self, channel: int, frequency: float = 0.0, *, width: float = 0.0, edge: float = 0.0, duty: float = 0.0
    ) -> None:
        """Set those given; where pulses would not fit, edge and width give way to the period, with an error."""
        old_frequency, old_width, old_edge = self.times[channel]
        frequency, edge = frequency or old_frequency, edge or old_edge
        if self.has("hold", channel) == "DCYC":
            old_width *= old_frequency / frequency
        asked = frequency, width or duty / frequency or old_width, edge
        frequency, width, edge = asked
        if self.has("function", channel) == "PULS":
            fastest = self.edges[0]
            frequency = min(frequency, self.frequencies[0])
            edge = max(fastest, min(edge, width / self.edge_share, (1 / frequency - width) / self.edge_share))
            width = max(self.narrowest, min(width, 1 / frequency - self.edge_share * edge))
        self.times[channel] = frequency, width, edge
        if not all(math.isclose(*pair, rel_tol=_NEARLY) for pair in zip(asked, self.times[channel], strict=True)):
            raise ScpiError(-221, "pulses adjusted")

    # Waveforms

    def store(self, name: str, points: list[float]) -> None:
        """Keep the points of a waveform, from -1 to 1."""
        self.waveforms[name] = points

    @command(":SYSTem:BEEPer[:IMMediate]", ":DISPlay:TEXT:CLEar")
    def attract_attention(self) -> None:
        """Beep, or show no text any more."""
        return


_G = PulseGenerator
_LEVEL = Number(
    0.0, lambda s: -s.highest * s.displayed(s.at), lambda s: s.highest * s.displayed(s.at), "V", resolution=STEP
)
_AMPLITUDE = Number(
    0.1,
    lambda s: s.in_unit(s.weakest, s.at),
    lambda s: s.in_unit(2 * s.highest, s.at),
    lambda s: s.has("unit", s.at),
    resolution=STEP,
)
_FREQUENCY = Number(1e3, 1e-6, lambda s: s.frequencies[s.has("function", s.at) == "SIN"], "HZ", resolution=1e-6)
_PERIOD = Number(1e-3, lambda s: 1 / s.frequencies[0], 1e6, "S", resolution=1e-11)
_WIDTH = Number(1e-4, lambda s: s.narrowest, 1e6, "S", resolution=1e-11)
_EDGE = Number(1e-8, lambda s: s.edges[0], lambda s: s.edges[1], "S", resolution=1e-11)
_DUTY = Number(50, 0, 100, "PCT", resolution=1e-4)

_SHARED: dict[str, tuple[Kind[Any], Callable[..., Any] | None, Callable[..., None] | None]] = {
    "amplitude": (_AMPLITUDE, lambda s, n: s.in_unit(s.levels[n][1] - s.levels[n][0], n), _G.set_amplitude),
    "unit": (Word("VPP", "VRMS", "DBM"), None, _G.set_unit),
    "offset": (_LEVEL, lambda s, n: sum(s.levels[n]) / 2 * s.displayed(n), _G.set_offset),
    "high": (_LEVEL, lambda s, n: s.levels[n][1] * s.displayed(n), _G.set_high),
    "low": (_LEVEL, lambda s, n: s.levels[n][0] * s.displayed(n), _G.set_low),
    "limited": (Switch(), None, lambda s, n, on: s.set_limits(n, "on", on)),
    "limit_high": (Number(5, -9.99, 10, "V", resolution=STEP), None, lambda s, n, v: s.set_limits(n, "high", v)),
    "limit_low": (Number(-5, -10, 9.99, "V", resolution=STEP), None, lambda s, n, v: s.set_limits(n, "low", v)),
    "frequency": (_FREQUENCY, lambda s, n: s.times[n][0], _G.set_times),
    "period": (_PERIOD, lambda s, n: 1 / s.times[n][0], lambda s, n, v: s.set_times(n, 1 / v)),
    "width": (_WIDTH, lambda s, n: s.times[n][1], lambda s, n, v: s.set_times(n, width=v)),
    "duty": (_DUTY, lambda s, n: 100 * s.times[n][0] * s.times[n][1], lambda s, n, v: s.set_times(n, duty=v / 100)),
    "edge": (_EDGE, lambda s, n: s.times[n][2], lambda s, n, v: s.set_times(n, edge=v)),
    "hold": (Word("WIDTh", "DCYCle"), None, None),
    "bursting": (Switch(), None, _G.set_bursting),
    "gating": (Word("TRIGgered", "GATed"), None, None),
    "output": (Switch(), None, _G.switch),
    "polarity": (Word("NORMal", "INVerted"), None, None),
}
