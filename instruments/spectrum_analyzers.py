"""Spectrum analyzers: dBm in a resolution filter on the wire, W/Hz at the role."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labneuro.instruments.scpi import NO_READING, SCPIInstrument
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
    """An analyzer that takes single sweeps; traces are averaged here, in power, whatever the make calls averaging."""

    NOISE_BANDWIDTH: ClassVar[float]
    MOST_POINTS: ClassVar[int]
    PREPARATION: ClassVar[tuple[str, ...]]
    """What sets up a detector of power, traces in dBm that are overwritten, and their format."""

    _sweep: Sweep | None = None
    _averages = 1

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
        self.send(
            ":INIT:CONT 0",
            *self.PREPARATION,
            f":SENS:FREQ:STAR {start:.3f}",
            f":SENS:FREQ:STOP {stop:.3f}",
            f":SENS:BAND:RES {rbw:.3f}",
            ":SENS:BAND:VID MAX",  # a narrow one averages before the power is taken
            f":SENS:SWE:POIN {points}",
        )
        held, _ = self._read_back()
        near = max(abs(held.start - start), abs(held.stop - stop)) <= (stop - start) / points
        if not (near and held.points == points and abs(held.rbw / rbw - 1) <= RBW_ERROR):
            asked = Sweep(start, stop, rbw, points)
            raise self.error(f"was set to {asked} and reads back {held}: ask for what it has")
        self._sweep, self._averages = held, averages

    def trace(self) -> Spectrum:
        """Take the sweeps and return their mean in power. Raises InstrumentError if anyone has changed the settings."""
        sweep = self._sweep
        if sweep is None:
            raise self.error("has nothing to show: use configure first")
        now, duration = self._read_back()
        if now != sweep:
            raise self.error(f"was set to {sweep} and is now at {now}: use configure again")
        density = np.zeros(int(sweep.points))
        for _ in range(self._averages):
            with self.adapter.patience(2 * duration):
                levels = self._levels()
            if not (levels.shape == density.shape and (np.abs(levels) < NO_READING).all()):
                raise self.error(f"gave {len(levels)} values, not {len(density)} finite ones: sweep again")
            density += 10 ** (levels / 10)
        self.check_errors()
        density *= MILLIWATT / (self._averages * self.NOISE_BANDWIDTH * sweep.rbw)
        return Spectrum(np.linspace(sweep.start, sweep.stop, len(density)), density, sweep.rbw, self._averages)

    def make_safe(self) -> None:
        """Do nothing: it puts nothing out."""

    @abstractmethod
    def _levels(self) -> FloatArray:
        """Take one sweep and return it, (points,), dBm."""

    def _read_back(self) -> tuple[Sweep, float]:
        """Return what it sweeps, and how long that takes, s."""
        parts = ("FREQ:STAR", "FREQ:STOP", "BAND:RES", "SWE:POIN", "SWE:TIME")
        *sweep, duration = self.values(";".join(f":SENS:{part}?" for part in parts), separator=";", count=len(parts))
        return Sweep(*sweep), duration


class KeysightXSeries(Analyzer):
    """Keysight N9030B, N9020B and N9010B."""

    MODEL = r"N90[123]0[AB]"
    NOISE_BANDWIDTH = GAUSSIAN
    MOST_POINTS = 20001
    PREPARATION = (
        ":INST:SEL SA",
        ":CONF:SAN",
        ":INIT:CONT 0",
        ":SENS:DET:TRAC AVER",
        ":SENS:AVER:TYPE RMS",
        ":TRAC1:TYPE WRIT",
        ":UNIT:POW DBM",
        ":FORM REAL,64",
        ":FORM:BORD SWAP",
    )

    def _levels(self) -> FloatArray:
        content = self.ask_block(":READ:SAN1?")  # of pairs
        if len(content) % 16:
            raise self.error(f"gave {len(content)} bytes, no pairs of numbers: check its data format")
        return np.frombuffer(content, "<f8")[1::2].astype(np.float64)


class _AsciiAnalyzer(Analyzer):
    def _levels(self) -> FloatArray:
        self.ask(":INIT:IMM;*OPC?")
        reply = self.ask(":TRAC:DATA? TRACE1")
        try:
            return np.array(reply.split(","), dtype=np.float64)
        except ValueError as error:
            raise self.error(f"gave a trace that is none: {error}") from None


class AgilentE4408B(_AsciiAnalyzer):
    """Agilent E4408B (ESA-L), whose filters from 1 kHz on have four poles."""

    MODEL = r"E4408B"
    NOISE_BANDWIDTH = FOUR_POLES
    MOST_POINTS = 8192
    PREPARATION = (":SENS:DET SAMP", ":SENS:AVER:STAT 0", ":UNIT:POW DBM", ":FORM:TRAC:DATA ASC")


class RohdeSchwarzFSW(_AsciiAnalyzer):
    """Rohde & Schwarz FSW and FSV."""

    MODEL = r"\bFS[WV]"
    NOISE_BANDWIDTH = GAUSSIAN
    MOST_POINTS = 32001
    PREPARATION = (":SENS:DET RMS", ":SENS:SWE:COUN 1", ":DISP:TRAC:MODE WRIT", ":CALC:UNIT:POW DBM", ":FORM:DATA ASC")
