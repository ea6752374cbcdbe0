"""What the instruments of Keithley have in common."""

import math
from statistics import fmean, stdev

from labneuro.clock import Clock
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import Setting, command, query

_DATA_FORMAT = Word("ASCii", "REAL", "SREal")


class Keithley(Instrument):
    """A Keithley: an error queue of ten, a measurement register summed up in bit 0 of the status byte."""

    summaries = {"OPERation": 7, "QUEStionable": 3, "MEASurement": 0}  # noqa: RUF012
    settings = (Setting(":DISPlay:ENABle", kind=Switch(default=True)), Setting(":FORMat[:DATA]", kind=_DATA_FORMAT))

    @command(":STATus:QUEue:CLEar", ":SYSTem:CLEar")
    def clear_errors(self) -> None:
        """Empty the error queue."""
        self.status.errors.clear()

    @query(":STATus:QUEue[:NEXT]")
    def next_error(self) -> str:
        """Return the oldest error."""
        return self.error_reply(self.status.next_error())

    @command(":SYSTem:BEEPer[:IMMediate]", takes=[Number(0, 65, 2e6), Number(0, 0, 7.9)])
    def beep(self, frequency: float, seconds: float) -> None:
        """Beep, unheard."""
        return

    @query(":SYSTem:LFRequency")
    def line_frequency(self) -> int:
        """Return the mains frequency, Hz."""
        return 50


class Buffered(Keithley):
    """One with the reading buffer of the 2000s: TRACe:FEED and TRACe:DATA."""

    def __init__(self, clock: Clock) -> None:
        self._buffer: list[float] = []
        self._feeds = False
        super().__init__(clock)

    def reset(self) -> None:
        """Return to the defaults of this model."""
        super().reset()
        self.clear_buffer()
        self._feeds = False
        self.changed()

    buffer_size = Setting(":TRACe:POINts", kind=Number(100, 1, 65_536, whole=True))
    feed = Setting(":TRACe:FEED", kind=Word("SENSe", "CALCulate", "NONE"))

    def _feed(self, word: str) -> None:
        self._feeds = word != "NEV"
        self.feed_control = word

    feed_control = Setting(":TRACe:FEED:CONTrol", kind=Word("NEVer", "NEXT", "ALWays"), set=_feed)

    @command(":TRACe:CLEar")
    def clear_buffer(self) -> None:
        """Empty the buffer."""
        self._buffer = []

    @query(":TRACe:POINts:ACTual")
    def buffer_count(self) -> int:
        """Return the number of readings in the buffer."""
        return len(self._buffer)

    @query(":TRACe:DATA")
    def buffer_data(self) -> str:
        """Return the buffer."""
        if not self._buffer:
            raise ScpiError(-230)
        return ",".join(map(type(self).number, self._buffer))

    def store(self, reading: list[float]) -> None:
        """Let a reading into the buffer, if it is being fed; a full one sets bit 9 of the measurement register."""
        if self._feeds and len(self._buffer) < self.buffer_size:
            self._buffer += reading
            if len(self._buffer) >= self.buffer_size:
                self._feeds = self.feed_control == "ALW"
                self.status.registers["MEASurement"].event |= 1 << 9


def statistic(name: str, readings: list[float]) -> float:
    """Return MEAN, MAX, MIN or SDEV of readings, infinity of none."""
    if not readings:
        return math.inf
    match name:
        case "MAX":
            return max(readings)
        case "MIN":
            return min(readings)
        case "SDEV":
            return stdev(readings) if len(readings) > 1 else 0.0
        case _:
            return fmean(readings)
