"""What spectrum analyzers have in common: a span, a filter, sweeps.

Port of each: `input`, a function of the settings of a sweep that returns the trace; by default noise at -150 dBm/Hz.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from labneuro.clock import Clock
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.table import Setting, command
from labneuro.simulators.receiver import Sweep
from labneuro.units import FloatArray


def quiet(sweep: Sweep) -> FloatArray:
    """Return the displayed noise of an analyzer with nothing at its input, dBm."""
    return np.full(sweep.points, -150 + 10 * math.log10(sweep.rbw))


UNITS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "DBM": lambda dbm: dbm,
    "DBMV": lambda dbm: dbm + 10 * math.log10(50e3),
    "DBUV": lambda dbm: dbm + 10 * math.log10(50e9),
    "V": lambda dbm: np.sqrt(50e-3 * 10 ** (dbm / 10)),
    "W": lambda dbm: 1e-3 * 10 ** (dbm / 10),
}
"""Levels in other units, from dBm into 50 ohm."""

SHOWN: dict[str, Callable[[FloatArray], FloatArray]] = {
    "LOG": lambda dbm: dbm.mean(axis=0),
    "VOLT": lambda dbm: 20 * np.log10((10 ** (dbm / 20)).mean(axis=0)),
    "MAXH": lambda dbm: dbm.max(axis=0),
    "MINH": lambda dbm: dbm.min(axis=0),
}
"""What is shown of single sweeps, (sweeps, points), dBm: what an analyzer makes of them point by point."""

TRACE = Word(*(f"TRACE{number}" for number in range(1, 7)))


class Analyzer(Instrument):
    """What every analyzer here has: a span, a filter, sweeps."""

    noise_bandwidth = math.sqrt(math.pi / math.log(2)) / 2
    """Equivalent noise bandwidth of its filters over their resolution bandwidth: that of Gaussian ones."""

    lowest = 0.0
    highest = 26.5e9
    default_span = (0.0, 26.5e9)
    widest_filter = 8e6

    points: Setting[float]
    unit: Setting[str]

    def __init__(self, clock: Clock) -> None:
        self.input: Callable[[Sweep], FloatArray] = quiet
        super().__init__(clock)

    def reset(self) -> None:
        """Return to full span, sweeping continuously."""
        super().reset()
        self.span_from, self.span_to = self.default_span
        self.traces: dict[int, FloatArray] = {}
        self.markers: dict[int, float] = {}

    def _set_start(self, hertz: float) -> None:
        self.span_from = min(hertz, self.highest - 10)
        self.span_to = max(self.span_to, self.span_from + 10)

    def _set_stop(self, hertz: float) -> None:
        self.span_to = max(hertz, self.lowest + 10)
        self.span_from = min(self.span_from, self.span_to - 10)

    def _center(self) -> float:
        return (self.span_from + self.span_to) / 2

    def _set_center(self, hertz: float) -> None:
        half = min(self._span() / 2, hertz - self.lowest, self.highest - hertz)
        self.span_from, self.span_to = hertz - half, hertz + half

    def _span(self) -> float:
        return self.span_to - self.span_from

    def _set_span(self, hertz: float) -> None:
        center = min(max(self._center(), self.lowest + hertz / 2), self.highest - hertz / 2)
        self.span_from, self.span_to = center - hertz / 2, center + hertz / 2

    def rbw_now(self) -> float:
        """Return the resolution bandwidth in use, Hz."""
        if not self.rbw_auto:
            return self.chosen_rbw
        wanted = max(self._span() / 106, 1.0)
        decade = 10 ** math.floor(math.log10(wanted))
        return min(self.widest_filter, next(decade * step for step in (1, 3, 10) if decade * step >= wanted))

    def set_rbw(self, hertz: float) -> None:
        """Choose the resolution bandwidth, Hz."""
        self.chosen_rbw, self.rbw_auto = hertz, False

    def _vbw(self) -> float:
        return self.rbw_now() if self.vbw_auto else self.chosen_vbw

    def _set_vbw(self, hertz: float) -> None:
        self.chosen_vbw, self.vbw_auto = hertz, False

    def _sweep_time(self) -> float:
        if not self.sweep_time_auto:
            return self.chosen_sweep_time
        return max(1e-3, 2.5 * self._span() / (self.rbw_now() * min(self.rbw_now(), self._vbw())))

    def _set_sweep_time(self, seconds: float) -> None:
        self.chosen_sweep_time, self.sweep_time_auto = seconds, False

    chosen_rbw = 1e6
    chosen_vbw = 1e6
    chosen_sweep_time = 0.1

    start = Setting(
        "[:SENSe]:FREQuency:STARt",
        kind=Number(0, lambda s: s.lowest, lambda s: s.highest, "HZ"),
        get=lambda self: self.span_from,
        set=_set_start,
    )
    stop = Setting(
        "[:SENSe]:FREQuency:STOP",
        kind=Number(26.5e9, lambda s: s.lowest, lambda s: s.highest, "HZ"),
        get=lambda self: self.span_to,
        set=_set_stop,
    )
    center = Setting(
        "[:SENSe]:FREQuency[:RF]:CENTer",
        kind=Number(13.25e9, lambda s: s.lowest, lambda s: s.highest, "HZ"),
        get=_center,
        set=_set_center,
    )
    span = Setting(
        "[:SENSe]:FREQuency:SPAN",
        kind=Number(26.5e9, 10, lambda s: s.highest - s.lowest, "HZ"),
        get=_span,
        set=_set_span,
    )
    rbw = Setting(
        "[:SENSe]:BANDwidth[:RESolution]",
        "[:SENSe]:BWIDth[:RESolution]",
        kind=Number(3e6, 1, 8e6, "HZ"),
        get=rbw_now,
        set=set_rbw,
    )
    rbw_auto = Setting("[:SENSe]:BANDwidth[:RESolution]:AUTO", kind=Switch(default=True))
    vbw = Setting(
        "[:SENSe]:BANDwidth:VIDeo", "[:SENSe]:BWIDth:VIDeo", kind=Number(3e6, 1, 50e6, "HZ"), get=_vbw, set=_set_vbw
    )
    vbw_auto = Setting("[:SENSe]:BANDwidth:VIDeo:AUTO", kind=Switch(default=True))
    sweep_time = Setting(
        "[:SENSe]:SWEep:TIME", kind=Number(0.1, 1e-6, 16_000, "S"), get=_sweep_time, set=_set_sweep_time
    )
    sweep_time_auto = Setting("[:SENSe]:SWEep:TIME:AUTO", kind=Switch(default=True))
    averages = Setting("[:SENSe]:AVERage:COUNt", kind=Number(100, 1, 10_000, whole=True))
    continuous = Setting(":INITiate:CONTinuous", kind=Switch(default=True))

    @abstractmethod
    def shown(self, trace: int) -> tuple[str, int]:
        """Return what a trace shows of how many sweeps: WRIT (the last), POW (their mean power), or one of `SHOWN`."""

    def sweep(self, trace: int = 1) -> None:
        """Sweep, as often as the trace needs, and keep it; the instrument is busy for that long."""
        shown, count = self.shown(trace)
        averages = count if shown == "POW" else 1
        asked = Sweep(self.span_from, self.span_to, int(self.points), self.rbw_now(), averages)
        sweeps = [np.asarray(self.input(asked), dtype=np.float64) for _ in range(count if shown in SHOWN else 1)]
        self.traces[trace] = SHOWN[shown](np.stack(sweeps)) if shown in SHOWN else sweeps[0]
        self.overlap(count * self._sweep_time())

    def in_unit(self, dbm: FloatArray) -> FloatArray:
        """Return levels in the unit that is chosen for them."""
        return UNITS[self.unit](dbm)

    def trace(self, number: int = 1) -> FloatArray:
        """Return a trace, dBm; one of these settings, if it sweeps continuously."""
        held = self.traces.get(number)
        if held is None or held.size != self.points or self.continuous:
            self.sweep(number)
            self.abort()
        return self.traces[number]

    @command(":INITiate[:IMMediate]", ":INITiate:RESTart")
    def initiate(self) -> None:
        """Start a sweep; commands go on meanwhile."""
        self.sweep()

    @command(":ABORt")
    def stop_sweep(self) -> None:
        """End the sweep."""
        self.abort()

    @command("*TRG")
    def trigger(self) -> None:
        """Start a sweep."""
        self.sweep()

    def peak(self, trace: int = 1) -> float:
        """Return where the trace is highest, Hz."""
        shown = self.trace(trace)
        return float(np.linspace(self.span_from, self.span_to, shown.size)[int(np.argmax(shown))])

    def level_at(self, hertz: float, trace: int = 1) -> float:
        """Return the trace at a frequency, dBm."""
        shown = self.trace(trace)
        place = round((hertz - self.span_from) / self._span() * (shown.size - 1))
        return float(shown[min(max(place, 0), shown.size - 1)])
