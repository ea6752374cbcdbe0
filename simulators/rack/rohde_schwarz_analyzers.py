"""Rohde & Schwarz FSW and FSV: spectrum analyzers."""

import numpy as np

from labneuro.simulators.rack.analyzer import TRACE, Analyzer
from labneuro.simulators.rack.parameters import Number, Switch, Text, Word
from labneuro.simulators.rack.replies import block, plain, values
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import Setting, command, query, switches


class FSW(Analyzer):
    """The FSW26; its channels besides the spectrum analyzer are names only."""

    identity = "Rohde&Schwarz,FSW-26,1312.8000K26/101234,5.30"
    options = "B4,B8,B25,K40"
    error_depth = 30
    number = staticmethod(plain)
    highest = 26.5e9
    lowest = 0.0

    points = Setting("[:SENSe]:SWEep[:WINDow]:POINts", kind=Number(1001, 101, 100_001, whole=True))
    averages = Setting("[:SENSe]:AVERage:COUNt", "[:SENSe]:SWEep:COUNt", kind=Number(0, 0, 200_000, whole=True))
    average_type = Setting("[:SENSe]:AVERage:TYPE", kind=Word("VIDeo", "LINear", "POWer"))
    trace_mode = Setting(
        ":DISPlay[:WINDow<1-6>]:TRACe<1-6>:MODE",
        kind=Word("WRITe", "MAXHold", "MINHold", "AVERage", "VIEW", "BLANk"),
    )
    averaging = Setting(
        "[:SENSe]:AVERage[:STATe]",
        kind=Switch(),
        get=lambda self: FSW.trace_mode.of(self, 1, 1) == "AVER",
        set=lambda self, on: self.values.update({("trace_mode", (1, 1)): "AVER" if on else "WRIT"}),
    )
    format = Setting(":FORMat[:DATA]", kind=Word("ASCii", "REAL", default="ASC"))
    peak_excursion = Setting(":CALCulate<1-6>:MARKer<1-16>:PEXCursion", kind=Number(6, 0, 80, "DB"))
    settings = (
        Setting(":INPut:ATTenuation", kind=Number(10, 0, 79, "DB")),
        Setting(":INPut:ATTenuation:AUTO", kind=Switch(default=True)),
        Setting("[:SENSe]:POWer:RLEVel", kind=Number(0, -130, 30, "DBM")),
        Setting(":DISPlay[:WINDow<1-6>]:TRACe<1-6>:Y[:SCALe]:RLEVel", kind=Number(0, -130, 30, "DBM")),
        Setting(":DISPlay:FORMat", kind=Word("SINGle", "SPLit")),
        Setting(
            "[:SENSe]:DETector<1-6>[:FUNCtion]",
            kind=Word("APEak", "NEGative", "POSitive", "SAMPle", "RMS", "AVERage"),
        ),
        Setting(":CALCulate<1-6>:MARKer<1-16>:TRACe", kind=Number(1, 1, 6, whole=True)),
        *switches(":SYSTem:DISPlay:UPDate"),
    )

    def reset(self) -> None:
        """Return to one spectrum over the full span."""
        super().reset()
        self.channels = {"Spectrum": "SANALYZER"}
        self.channel = "Spectrum"

    def shown(self, trace: int) -> tuple[str, int]:
        """The mode of the trace decides; one that is averaged has the average type, by default of the logarithm."""
        kind = FSW.trace_mode.of(self, 1, trace)
        if kind == "AVER":
            kind = {"VID": "LOG", "LIN": "VOLT", "POW": "POW"}[self.average_type]
        return kind, max(1, int(self.averages))

    def _marker(self, window: int, number: int) -> float:
        return self.markers.get(number, self._center())

    def _place(self, window: int, number: int, hertz: float) -> None:
        self.markers[number] = hertz

    def _shown(self, window: int, number: int) -> bool:
        return number in self.markers

    def _show(self, window: int, number: int, on: bool) -> None:
        if on:
            self.markers.setdefault(number, self.peak())
        else:
            self.markers.pop(number, None)

    def _unit(self, window: int = 1) -> str:
        return self.values.get(("unit", ()), "DBM")

    def _set_unit(self, window: int, unit: str) -> None:
        self.unit = unit

    unit = Setting(
        ":CALCulate<1-6>:UNIT:POWer",
        kind=Word("DBM", "DBMV", "DBUV", "V", "W", aliases={"VOLT": "V", "WATT": "W"}),
        get=_unit,
        set=_set_unit,
    )
    marker_on = Setting(":CALCulate<1-6>:MARKer<1-16>[:STATe]", kind=Switch(), get=_shown, set=_show)
    marker_x = Setting(
        ":CALCulate<1-6>:MARKer<1-16>:X",
        kind=Number(0, lambda s: s.span_from, lambda s: s.span_to, "HZ"),
        get=_marker,
        set=_place,
    )

    @query(":CALCulate<1-6>:MARKer<1-16>:Y")
    def marker_level(self, window: int, number: int) -> float:
        """Return the trace at the marker."""
        return float(self.in_unit(np.array(self.level_at(self._marker(window, number)))))

    @command(":CALCulate<1-6>:MARKer<1-16>:MAXimum[:PEAK]")
    def to_peak(self, window: int, number: int) -> None:
        """Put the marker on the highest peak."""
        self.markers[number] = self.peak()

    @command(":CALCulate<1-6>:MARKer<1-16>:MAXimum:NEXT")
    def to_next_peak(self, window: int, number: int) -> None:
        """Put the marker on the next lower peak."""
        here = self.level_at(self._marker(window, number))
        self._go(number, [peak for peak in self._peaks() if peak[1] < here])

    @command(":CALCulate<1-6>:MARKer<1-16>:MAXimum:RIGHt")
    def to_right_peak(self, window: int, number: int) -> None:
        """Put the marker on the highest peak to its right."""
        here = self._marker(window, number)
        self._go(number, [peak for peak in self._peaks() if peak[0] > here])

    @command(":CALCulate<1-6>:MARKer<1-16>:MAXimum:LEFT")
    def to_left_peak(self, window: int, number: int) -> None:
        """Put the marker on the highest peak to its left."""
        here = self._marker(window, number)
        self._go(number, [peak for peak in self._peaks() if peak[0] < here])

    def _peaks(self) -> list[tuple[float, float]]:
        shown = self.trace()
        inner = np.flatnonzero((shown[1:-1] > shown[:-2]) & (shown[1:-1] >= shown[2:])) + 1
        frequency = np.linspace(self.span_from, self.span_to, shown.size)
        return [(float(frequency[i]), float(shown[i])) for i in inner]

    def _go(self, number: int, peaks: list[tuple[float, float]]) -> None:
        if not peaks:
            raise ScpiError(-200, "no peak")
        self.markers[number] = max(peaks, key=lambda peak: peak[1])[0]

    @command(":CALCulate<1-6>:MARKer<1-16>:FUNCtion:ZOOM", takes=[Number(10, 1, 26.5e9, "HZ")])
    def zoom(self, window: int, number: int, span: float) -> None:
        """Zoom in on the marker: to a span, or below 10 by a factor."""
        center = self._marker(window, number)
        self._set_span(self._span() / span if span <= 10 else span)
        self._set_center(center)
        self.sweep()

    @command(":CALCulate<1-6>:MARKer<1-16>:FUNCtion:CENTer")
    def center_on(self, window: int, number: int) -> None:
        """Put the marker's frequency in the middle."""
        self._set_center(self._marker(window, number))

    @query(":TRACe<1-6>[:DATA]", takes=[TRACE])
    def trace_data(self, window: int, name: str) -> str:
        """Return a trace."""
        shown = self.in_unit(self.trace(int(name[-1])))
        return values(shown) if self.format == "ASC" else block(shown.astype("<f4").tobytes())

    @command(":INITiate:CONMeas")
    def sweep_on(self) -> None:
        """Sweep again without starting the average anew."""
        self.sweep()

    @command("[:SENSe]:ADJust:ALL", "[:SENSe]:ADJust:LEVel")
    def adjust(self) -> None:
        """Adjust the level."""
        return

    @command("[:SENSe]:ADJust:FREQuency")
    def adjust_frequency(self) -> None:
        """Put the highest peak in the middle."""
        self._set_center(self.peak())

    @query(":INSTrument:LIST")
    def list_channels(self) -> str:
        """Return types and names of the channels."""
        return ",".join(f"'{kind}','{name}'" for name, kind in self.channels.items())

    @query(":INSTrument[:SELect]")
    def selected(self) -> str:
        """Return the channel's type, short."""
        return {"SANALYZER": "SAN", "PNOISE": "PNO"}[self.channels[self.channel]]

    @command(":INSTrument[:SELect]", takes=[Text()])
    def select(self, name: str) -> None:
        """Choose a channel."""
        if name not in self.channels:
            raise ScpiError(-224, name)
        self.channel = name

    @command(":INSTrument:CREate[:NEW]", takes=[Word("SANALYZER", "PNOISE"), Text()])
    def create(self, kind: str, name: str) -> None:
        """Open a channel and choose it."""
        if name in self.channels:
            raise ScpiError(-221, name)
        self.channels[name] = kind
        self.channel = name

    @command(":INSTrument:REName", takes=[Text(), Text()])
    def rename(self, name: str, new: str) -> None:
        """Rename a channel."""
        if name not in self.channels or new in self.channels:
            raise ScpiError(-224, name)
        self.channels = {new if n == name else n: kind for n, kind in self.channels.items()}
        self.channel = new if self.channel == name else self.channel

    @command(":INSTrument:DELete", takes=[Text()])
    def delete(self, name: str) -> None:
        """Close a channel, but the last."""
        if name not in self.channels or len(self.channels) == 1:
            raise ScpiError(-224, name)
        del self.channels[name]
        self.channel = next(iter(self.channels))


class FSV(FSW):
    """The FSV30."""

    identity = "Rohde&Schwarz,FSV-30,1307.9002K30/101234,2.30 SP3"
    options = "B4,B9,B22"
    highest = 30e9
    default_span = (0.0, 30e9)
