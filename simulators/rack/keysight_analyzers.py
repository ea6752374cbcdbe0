"""Keysight N9030B and Agilent E4408B: spectrum analyzers."""

import numpy as np

from labneuro.simulators.rack.analyzer import TRACE, Analyzer
from labneuro.simulators.rack.parameters import Number, Omissible, Switch, Word
from labneuro.simulators.rack.replies import block, scientific, values
from labneuro.simulators.rack.table import Setting, command, query, switches
from labneuro.units import FloatArray


class _Keysight(Analyzer):
    error_depth = 30
    error_format = '%+d,"%s"'
    number = staticmethod(scientific(14))

    points = Setting("[:SENSe]:SWEep:POINts", kind=Number(1001, 1, 40_001, whole=True))
    order = Setting(":FORMat:BORDer", kind=Word("NORMal", "SWAPped", default="NORM", aliases={"SWAP": "SWAP"}))
    unit = Setting(":UNIT:POWer", kind=Word("DBM", "DBMV", "DBUV", "V", "W"))
    settings = (
        Setting("[:SENSe]:POWer[:RF]:ATTenuation", kind=Number(10, 0, 70, "DB", whole=True)),
        Setting("[:SENSe]:POWer[:RF]:ATTenuation:AUTO", kind=Switch(default=True)),
        Setting("[:SENSe]:DETector:TRACe", kind=Word("NORMal", "AVERage", "POSitive", "SAMPle", "NEGative")),
        Setting("[:SENSe]:FREQuency:CENTer:STEP[:INCRement]", kind=Number(1e6, 1, 26.5e9, "HZ")),
        Setting(":DISPlay:WINDow:TRACe:Y[:SCALe]:RLEVel", kind=Number(0, -170, 30, "DBM")),
    )

    def write_trace(self, data: FloatArray) -> str:
        """Return numbers as FORMat says."""
        if self.format == "ASC":
            return values(data)
        width = "f8" if self.real_bits == 64 else "f4"
        return block(data.astype(("<" if self.order == "SWAP" else ">") + width).tobytes())

    def reset(self) -> None:
        """Return to the defaults, numbers as text."""
        super().reset()
        self.format, self.real_bits = "ASC", 32

    @command(":FORMat[:TRACe][:DATA]", takes=[Word("ASCii", "REAL"), Omissible(Number(32, 8, 64, whole=True))])
    def choose_format(self, form: str, bits: float = 32) -> None:
        """Choose how traces are sent."""
        self.format, self.real_bits = form, int(bits)

    @query(":FORMat[:TRACe][:DATA]")
    def chosen_format(self) -> str:
        """Return how traces are sent."""
        return "ASC,8" if self.format == "ASC" else f"REAL,{self.real_bits}"

    @query(":TRACe<1-6>[:DATA]", takes=[TRACE])
    def trace_data(self, window: int, name: str) -> str:
        """Return a trace."""
        return self.write_trace(self.in_unit(self.trace(int(name[-1]))))


class N9030B(_Keysight):
    """The PXA with option 526: X-series commands, which N9020B and N9010B share."""

    identity = "Keysight Technologies,N9030B,MY57141234,A.24.55"
    options = '"526,P26,B40,EA3"'
    lowest = -80e6
    highest = 27e9
    default_span = (10e6, 26.5e9)

    def _averages(self) -> bool:
        return N9030B.trace_type.of(self, 1) == "AVER"

    def _average(self, on: bool) -> None:
        self.values["trace_type", (1,)] = "AVER" if on else "WRIT"

    mode = Setting(":INSTrument[:SELect]", kind=Word("SA", "PNOISE"))
    average_type = Setting("[:SENSe]:AVERage:TYPE", kind=Word("LOG", "RMS", "SCALar"))
    trace_type = Setting(":TRACe<1-6>:TYPE", kind=Word("WRITe", "AVERage", "MAXHold", "MINHold"))
    averaging = Setting("[:SENSe]:AVERage[:STATe]", kind=Switch(), get=_averages, set=_average)
    settings = (
        Setting("[:SENSe]:POWer[:RF]:GAIN:BAND", kind=Word("LOW", "FULL")),
        Setting("[:SENSe]:POWer[:RF]:GAIN[:STATe]", kind=Switch()),
        Setting("[:SENSe]:BANDwidth:TYPE", kind=Word("DB3", "DB6", "IMPulse", "NOISE")),
        Setting("[:SENSe]:SWEep:TYPE", kind=Word("SWEep", "FFT")),
        Setting("[:SENSe]:SWEep:TYPE:AUTO", kind=Switch(default=True)),
        Setting("[:SENSe]:LPLot:SWEep:POINts", kind=Number(601, 601, 20_001, whole=True)),
        Setting("[:SENSe]:LPLot:FREQuency:OFFSet:STARt", kind=Number(100, 1, 26.99e9, "HZ")),
        Setting("[:SENSe]:LPLot:FREQuency:OFFSet:STOP", kind=Number(1e6, 100, 27e9, "HZ")),
        *switches("[:SENSe]:FREQuency:CARRier:TRACk"),
    )

    def reset(self) -> None:
        """Return to swept analysis over the full span."""
        super().reset()
        self.measurement = "SAN"

    def shown(self, trace: int) -> tuple[str, int]:
        """The type of the trace decides; one that is averaged has the average type, by default of the logarithm."""
        kind = N9030B.trace_type.of(self, trace)
        if kind == "AVER":
            kind = {"LOG": "LOG", "RMS": "POW", "SCAL": "VOLT"}[self.average_type]
        return kind, 1 if kind == "WRIT" else int(self.averages)

    @query(":INSTrument:CATalog")
    def modes(self) -> str:
        """Return the modes with their numbers."""
        return '"SA 1, PNOISE 14"'

    @query(":CONFigure:CATalog")
    def measurements(self) -> str:
        """Return the measurements of this mode."""
        return '"SAN, LPL"'

    @query(":CONFigure")
    def configuration(self) -> str:
        """Return the measurement."""
        return self.measurement

    @command(":CONFigure:SANalyzer")
    def configure_sweep(self) -> None:
        """Choose swept analysis."""
        self.measurement = "SAN"

    @command(":CONFigure:LPLot")
    def configure_log_plot(self) -> None:
        """Choose the log plot of phase noise."""
        self.measurement = "LPL"

    @command("[:SENSe]:FREQuency:TUNE:IMMediate")
    def tune(self) -> None:
        """Put the highest peak in the middle of a span of 10 MHz."""
        center = self.peak()
        self._set_span(10e6)
        self._set_center(center)

    @command("[:SENSe]:FREQuency:CARRier:SEARch")
    def search_carrier(self) -> None:
        """Put the highest peak in the middle."""
        self._set_center(self.peak())

    def _pairs(self, shown: FloatArray) -> str:
        pairs = np.column_stack([np.linspace(self.span_from, self.span_to, shown.size), self.in_unit(shown)])
        return self.write_trace(pairs.ravel())

    @query(":READ:SANalyzer<1-6>")
    def read(self, number: int) -> str:
        """Sweep, then return frequency and level of each point."""
        self.sweep(number)
        self.wait_until_idle()
        return self._pairs(self.traces[number])

    @query(":FETCh:SANalyzer<1-6>")
    def fetch(self, number: int) -> str:
        """Return frequency and level of each point of the last sweep."""
        return self._pairs(self.trace(number))


class E4408B(_Keysight):
    """The ESA-L: 9 kHz to 26.5 GHz."""

    identity = "Hewlett-Packard, E4408B, US39440123, A.14.06"
    options = "A4H,1AX"
    widest_filter = 5e6
    noise_bandwidth = 1.128  # four synchronously tuned poles (Agilent Application Note 1303)
    averaging = Setting("[:SENSe]:AVERage[:STATe]", kind=Switch())
    points = Setting("[:SENSe]:SWEep:POINts", kind=Number(401, 101, 8192, whole=True))
    rbw = Setting(
        "[:SENSe]:BANDwidth[:RESolution]",
        "[:SENSe]:BWIDth[:RESolution]",
        kind=Number(3e6, 1e3, 5e6, "HZ", steps=(1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 5e6)),
        get=Analyzer.rbw_now,
        set=Analyzer.set_rbw,
    )
    settings = (Setting("[:SENSe]:DETector[:FUNCtion]", kind=Word("POSitive", "SAMPle", "NEGative", "AVERage")),)

    def shown(self, trace: int) -> tuple[str, int]:
        """One switch decides; what is averaged is the logarithm."""
        return ("LOG", int(self.averages)) if self.averaging else ("WRIT", 1)
