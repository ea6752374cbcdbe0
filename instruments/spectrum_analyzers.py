"""Spectrum analyzers: dBm in a resolution filter on the wire, W/Hz at the role."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labneuro.instruments.scpi import NO_READING, SCPIInstrument, number
from labneuro.limits import LimitError
from labneuro.roles import SpectrumAnalyzer
from labneuro.signals import Spectrum
from labneuro.units import FloatArray, format_quantity

GAUSSIAN = math.sqrt(math.pi / math.log(2)) / 2
"""Equivalent noise bandwidth over -3 dB bandwidth of a Gaussian filter, 1.064: digital filters are that to 1 %."""

FOUR_POLES = 1.128
"""The same of four synchronously tuned poles (Agilent Application Note 1303)."""

BINS_PER_RBW = 2
RBW_ERROR = 0.1
"""How far the resolution bandwidth may be from what was asked, relatively: analyzers have them in steps."""

SHOWN = (":SENS:FREQ:STAR?", ":SENS:FREQ:STOP?", ":SENS:BAND:RES?", ":SENS:SWE:POIN?")
"""Questions for the fields of a Sweep."""

FEWEST_POINTS = 101
MILLIWATT = 1e-3


@dataclass(frozen=True)
class Sweep:
    """What an analyzer sweeps, as read back: start and stop, Hz, resolution bandwidth, Hz, and points."""

    start: float
    stop: float
    rbw: float
    points: float


class Analyzer(SCPIInstrument, SpectrumAnalyzer):
    """An analyzer that takes single sweeps, averaged in power: by itself if it can, else here.

    All that decides what its numbers mean is read back after each trace: what was measured is what was set.
    """

    NOISE_BANDWIDTH: ClassVar[float]
    MOST_POINTS: ClassVar[int]
    SELECTION: ClassVar[str] = ""
    """What chooses the analyzer in an instrument that is several; sent on its own, as another then reads the line."""
    PREPARATION: ClassVar[tuple[str, ...]]
    """What sets up single sweeps and the format of traces."""
    MODE: ClassVar[tuple[str, ...]]
    """What sets up a detector of power, averages of power, and traces in dBm."""
    COUNT: ClassVar[str] = ""
    """Header of the number of sweeps that it averages by itself, if it can average power."""
    TRACE: ClassVar[str] = ""
    """Header of what it makes of its sweeps, with COUNT: AVER or WRIT."""

    _sweep: Sweep | None = None
    _averages = 1
    _duration = 0.0
    _settings: dict[str, str]
    """All questions about a trace, with the answers to them when it was configured."""

    def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None:
        """Show `start` to `stop`, Hz, at least two points to each `rbw`, Hz. Raises LimitError for what it can't show.

        The resolution bandwidth that it has nearest may differ by 10 %; `trace` says what it is.
        """
        if not (0 <= start < stop < math.inf and 0 < rbw < math.inf and averages >= 1):
            asked = f"{start} Hz to {stop} Hz at {rbw} Hz, {averages} averages"
            raise LimitError(f"{type(self).__name__} asked for {asked}: give finite numbers, start below stop")
        points = max(FEWEST_POINTS, math.ceil(BINS_PER_RBW * (stop - start) / rbw) + 1)
        if points > self.MOST_POINTS:
            asked = f"{format_quantity(stop - start, 'Hz')} at {format_quantity(rbw, 'Hz')}"
            most = f"{points} points, it has {self.MOST_POINTS}"
            raise LimitError(f"{type(self).__name__} asked for {asked}: that takes {most}; raise rbw or show less")
        self._sweep = None
        own = (f"{self.COUNT} {averages}", f"{self.TRACE} {'AVER' if averages > 1 else 'WRIT'}") if self.COUNT else ()
        mode = (*own, *self.MODE)
        questions = [*SHOWN, *(f"{setting.split()[0]}?" for setting in mode), ":SENS:BAND:VID?"]
        if self.SELECTION:
            self.send(self.SELECTION)
        settings = (
            *self.PREPARATION,
            *mode,
            f":SENS:FREQ:STAR {start:.3f}",
            f":SENS:FREQ:STOP {stop:.3f}",
            f":SENS:BAND:RES {rbw:.3f}",
            ":SENS:BAND:VID MAX",  # a narrow one averages before the power is taken
            f":SENS:SWE:POIN {points}",
        )
        *answers, duration = self.ask_all(*questions, ":SENS:SWE:TIME?", first=";".join(settings))
        held = Sweep(*self.numbers(answers[: len(SHOWN)]))
        near = max(abs(held.start - start), abs(held.stop - stop)) <= (stop - start) / points
        if not (near and held.points == points and abs(held.rbw / rbw - 1) <= RBW_ERROR):
            asked = Sweep(start, stop, rbw, points)
            raise self.error(f"was set to {asked} and reads back {held}: ask for what it has")
        for setting, answer in zip(mode, answers[len(SHOWN) :], strict=False):
            if not _is(answer, setting.split()[1]):
                raise self.error(f"was set to {setting!r} and reads back {answer}: ask for what it has")
        self._settings = dict(zip(questions, answers, strict=True))
        self._sweep, self._averages, self._duration = held, averages, self.numbers([duration])[0]

    def trace(self) -> Spectrum:
        """Take the sweeps and return their mean in power. Raises InstrumentError if anyone has changed the settings."""
        sweep = self._sweep
        if sweep is None:
            raise self.error("has nothing to show: use configure first")
        sweeps = 1 if self.COUNT else self._averages
        with self.adapter.patience(2 * self._duration * self._averages / sweeps):
            levels = [self._levels() for _ in range(sweeps)]
        now = dict(zip(self._settings, self.ask_all(*self._settings), strict=True))
        for question, was in self._settings.items():
            if now[question] != was:
                raise self.error(f"answered {question!r} with {was} and now with {now[question]}: use configure again")
        for one in levels:
            if not (one.shape == (sweep.points,) and (np.abs(one) < NO_READING).all()):
                raise self.error(f"gave {len(one)} values, not {sweep.points:.0f} finite ones: sweep again")
        power = MILLIWATT * np.mean([10 ** (one / 10) for one in levels], axis=0)
        frequency = np.linspace(sweep.start, sweep.stop, len(power))
        return Spectrum(frequency, power / (self.NOISE_BANDWIDTH * sweep.rbw), sweep.rbw, self._averages)

    def make_safe(self) -> None:
        """Do nothing: it puts nothing out."""

    @abstractmethod
    def _levels(self) -> FloatArray:
        """Sweep, as often as it averages by itself, and return the trace, (points,), dBm."""


def _is(answer: str, setting: str) -> bool:
    """Return whether an answer, a word or a number, is what was set."""
    try:
        return number(answer) == number(setting)
    except ValueError:
        return answer == setting


class KeysightXSeries(Analyzer):
    """Keysight N9030B, N9020B and N9010B."""

    MODEL = r"N90[123]0[AB]"
    NOISE_BANDWIDTH = GAUSSIAN
    MOST_POINTS = 20001
    SELECTION = ":INST:SEL SA"
    PREPARATION = (":CONF:SAN", ":INIT:CONT 0", ":FORM REAL,64", ":FORM:BORD SWAP")
    MODE = (":SENS:DET:TRAC AVER", ":SENS:AVER:TYPE RMS", ":UNIT:POW DBM")
    COUNT = ":SENS:AVER:COUN"
    TRACE = ":TRAC1:TYPE"

    def _levels(self) -> FloatArray:
        content = self.ask_block(":READ:SAN1?")  # of pairs
        if len(content) % 16:
            raise self.error(f"gave {len(content)} bytes, no pairs of numbers: check its data format")
        return np.frombuffer(content, "<f8")[1::2].astype(np.float64)


class _AsciiAnalyzer(Analyzer):
    def _levels(self) -> FloatArray:
        reply = self.ask(":INIT:IMM;*WAI;:TRAC:DATA? TRACE1")
        try:
            return np.array(reply.split(","), dtype=np.float64)
        except ValueError as error:
            raise self.error(f"gave a trace that is none: {error}") from None


class AgilentE4408B(_AsciiAnalyzer):
    """Agilent E4408B (ESA-L), whose filters from 1 kHz on have four poles; its own averages are of the logarithm."""

    MODEL = r"E4408B"
    NOISE_BANDWIDTH = FOUR_POLES
    MOST_POINTS = 8192
    PREPARATION = (":INIT:CONT 0", ":FORM:TRAC:DATA ASC")
    MODE = (":SENS:DET SAMP", ":SENS:AVER:STAT 0", ":UNIT:POW DBM")


class RohdeSchwarzFSW(_AsciiAnalyzer):
    """Rohde & Schwarz FSW and FSV."""

    MODEL = r"\bFS[WV]"
    NOISE_BANDWIDTH = GAUSSIAN
    MOST_POINTS = 32001
    PREPARATION = (":INIT:CONT 0", ":FORM:DATA ASC")
    MODE = (":SENS:DET RMS", ":SENS:AVER:TYPE POW", ":CALC:UNIT:POW DBM")
    COUNT = ":SENS:SWE:COUN"
    TRACE = ":DISP:TRAC:MODE"
