"""Pulse generators: Keysight 33622A, 33522B and 81160A, of two channels each."""

import math
from typing import Any

from labneuro.simulators.rack.parameters import Anything, Number, Switch, Word
from labneuro.simulators.rack.pulse_channels import CHANNELS, STEP, OfChannel, PulseGenerator
from labneuro.simulators.rack.replies import scientific
from labneuro.simulators.rack.scpi import Commands, ScpiError
from labneuro.simulators.rack.table import Setting, command, query

_BUILT_IN = "INT:\\BUILTIN\\EXP_RISE.ARB"
_VOLATILE = "VOLATILE"
_KEPT = 4

_PHASE = Number(0, -360, 360, "DEG", resolution=1e-3)
_POLARITY = Word("NORMal", "INVerted")
_SLOPE = Word("POSitive", "NEGative")


class Applied(Setting[str]):
    """A command that starts a function with frequency, amplitude and offset, at once and without end."""

    def change(self, instrument: Any, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> None:
        """Execute the command."""
        try:
            instrument.apply(suffixes[0], self.kind.default, parameters)
        finally:
            instrument.put_out(suffixes[0])

    def declare(self, commands: Commands) -> None:
        """Add the headers, which can't be asked."""
        for header in self.headers:
            commands.add(header, self.change)


class Uploaded(Applied):
    """A command that stores the points of a waveform: its name, then numbers or one block of 16-bit integers."""

    def change(self, instrument: Any, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> None:
        """Execute the command."""
        if len(parameters) < 2:
            raise ScpiError(-109)
        name, first, *_ = parameters
        largest = float(self.kind.default)
        if first.startswith("#0"):
            data = first[2:].encode("latin-1")
            points = [float(int.from_bytes(data[k : k + 2], "big", signed=True)) for k in range(0, len(data), 2)]
        else:
            points = [Number(0, -largest, largest).read(point, instrument) for point in parameters[1:]]
        if any(abs(point) > largest for point in points):
            raise ScpiError(-222, name)
        instrument.store(name.strip("\"'").upper(), [point / largest for point in points])


def _applied(header: str, *functions: str) -> tuple[Applied, ...]:
    return tuple(Applied(f"{header}:{function}", kind=Word(function)) for function in functions)


class Keysight33622A(PulseGenerator):
    """The 33622A: 120 MHz, pulses of 5 ns; a level beyond a limit becomes the limit, with an error."""

    identity = "Agilent Technologies,33622A,MY53800123,A.02.01-2.25-03-64-02"
    weakest = 2e-3
    narrowest = 5e-9
    edges = (2.9e-9, 1e-6)
    frequencies = (100e6, 120e6)
    edge_share = 1.25
    timing = (1e3, 100e-6, 10e-9)
    soft = "BUS"
    _FUNCTIONS = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARB", "DC")

    def goes_on(self, channel: int) -> bool:
        """Whether there are no bursts, or they follow each other by themselves."""
        by_itself = self.burst(channel) and self.has("source", channel) in {"IMM", "TIM"}
        return bool(by_itself or not self.has("bursting", channel))

    def burst(self, channel: int) -> float:
        """Return how many pulses a trigger releases."""
        waits = self.has("bursting", channel) and self.has("gating", channel) == "TRIG"
        return self.has("cycles", channel) if waits else 0

    def set_levels(self, channel: int, low: float, high: float) -> None:
        """Set the levels, V into an open circuit, within their bounds."""
        lowest, highest = self.bounds(channel)
        within = max(low, lowest), min(high, highest)
        super().set_levels(channel, *within)
        if not all(math.isclose(*pair, abs_tol=STEP) for pair in zip(within, (low, high), strict=True)):
            raise ScpiError(-221, "voltage limits")

    @command(":ABORt")
    def abort_bursts(self) -> None:
        """End all bursts."""
        for channel in CHANNELS:
            self.stop(channel)
            self.put_out(channel)

    @command("[:SOURce<1-2>]:PHASe:SYNChronize")
    def synchronise(self, channel: int) -> None:
        """Start both channels anew together."""
        return

    @command("[:SOURce<1-2>]:DATA:VOLatile:CLEar")
    def forget(self, channel: int) -> None:
        """Forget the waveforms."""
        self.waveforms.clear()

    @query("[:SOURce<1-2>]:DATA:VOLatile:CATalog")
    def catalogue(self, channel: int) -> str:
        """Return the names of the waveforms, the built-in one first."""
        return ",".join(f'"{name}"' for name in (_BUILT_IN, *self.waveforms))

    def store(self, name: str, points: list[float]) -> None:
        """Keep the points of a waveform, from -1 to 1, under a name that is new."""
        if name in self.waveforms:
            raise ScpiError(786, text="Specified arb waveform already exists")
        if len(points) < 8:
            raise ScpiError(-222, name)
        super().store(name, points)

    def select(self, channel: int, name: str) -> None:
        """Select a waveform."""
        name = name.strip("\"'").upper()
        if name not in {_BUILT_IN, *self.waveforms}:
            raise ScpiError(787, text="Specified arb waveform does not exist")
        self.values["waveform", (channel,)] = f'"{name}"'

    headers = {  # noqa: RUF012
        "frequency": ("[:SOURce<1-2>]:FREQuency[:CW]", "[:SOURce<1-2>]:FREQuency:FIXed"),
        "amplitude": ("[:SOURce<1-2>]:VOLTage[:LEVel][:IMMediate][:AMPLitude]",),
        "unit": ("[:SOURce<1-2>]:VOLTage:UNIT",),
        "offset": ("[:SOURce<1-2>]:VOLTage[:LEVel][:IMMediate]:OFFSet",),
        "high": ("[:SOURce<1-2>]:VOLTage[:LEVel][:IMMediate]:HIGH",),
        "low": ("[:SOURce<1-2>]:VOLTage[:LEVel][:IMMediate]:LOW",),
        "limited": ("[:SOURce<1-2>]:VOLTage:LIMit:STATe",),
        "limit_high": ("[:SOURce<1-2>]:VOLTage:LIMit:HIGH",),
        "limit_low": ("[:SOURce<1-2>]:VOLTage:LIMit:LOW",),
        "period": ("[:SOURce<1-2>]:FUNCtion:PULSe:PERiod",),
        "width": ("[:SOURce<1-2>]:FUNCtion:PULSe:WIDTh",),
        "duty": ("[:SOURce<1-2>]:FUNCtion:PULSe:DCYCle",),
        "edge": (
            "[:SOURce<1-2>]:FUNCtion:PULSe:TRANsition[:BOTH]",
            "[:SOURce<1-2>]:FUNCtion:PULSe:TRANsition:LEADing",
            "[:SOURce<1-2>]:FUNCtion:PULSe:TRANsition:TRAiling",
        ),
        "hold": ("[:SOURce<1-2>]:FUNCtion:PULSe:HOLD",),
        "bursting": ("[:SOURce<1-2>]:BURSt:STATe",),
        "gating": ("[:SOURce<1-2>]:BURSt:MODE",),
        "output": (":OUTPut<1-2>[:STATe]",),
        "polarity": (":OUTPut<1-2>:POLarity",),
    }
    function = OfChannel("[:SOURce<1-2>]:FUNCtion", kind=Word(*_FUNCTIONS), set=PulseGenerator.choose)
    cycles = OfChannel(
        "[:SOURce<1-2>]:BURSt:NCYCles", kind=Number(1, 1, 1e8, whole=True, infinite=True, reply=scientific(14))
    )
    source = OfChannel(
        ":TRIGger<1-2>:SOURce", kind=Word("IMMediate", "EXTernal", "TIMer", "BUS"), set=PulseGenerator.choose_source
    )
    load = OfChannel(":OUTPut<1-2>:LOAD", kind=Number(50, 1, 10e3, "OHM", infinite=True), set=PulseGenerator.set_load)
    waveform = OfChannel("[:SOURce<1-2>]:FUNCtion:ARBitrary", kind=Anything(f'"{_BUILT_IN}"'), set=select)
    settings = (
        *_applied("[:SOURce<1-2>]:APPLy", *_FUNCTIONS),
        Uploaded("[:SOURce<1-2>]:DATA:ARBitrary[:FLOat]", kind=Anything("1")),
        Uploaded("[:SOURce<1-2>]:DATA:ARBitrary:DAC", kind=Anything("32767")),
        Setting("[:SOURce<1-2>]:FREQuency:MODE", kind=Word("CW", "LIST", "SWEep", "FIXed")),
        Setting("[:SOURce<1-2>]:PHASe[:ADJust]", kind=_PHASE),
        Setting("[:SOURce<1-2>]:VOLTage:RANGe:AUTO", kind=Switch(default=True)),
        Setting("[:SOURce<1-2>]:FUNCtion:SQUare:DCYCle", kind=Number(50, 0.01, 99.99, "PCT")),
        Setting("[:SOURce<1-2>]:FUNCtion:RAMP:SYMMetry", kind=Number(100, 0, 100, "PCT")),
        Setting("[:SOURce<1-2>]:FUNCtion:ARBitrary:ADVance", kind=Word("SRATe", "TRIGger")),
        Setting("[:SOURce<1-2>]:FUNCtion:ARBitrary:FILTer", kind=Word("STEP", "NORMal", "OFF")),
        Setting("[:SOURce<1-2>]:FUNCtion:ARBitrary:SRATe", kind=Number(40e3, 1e-6, 1e9)),
        Setting("[:SOURce<1-2>]:BURSt:PHASe", kind=_PHASE),
        Setting("[:SOURce<1-2>]:BURSt:GATE:POLarity", kind=_POLARITY),
        Setting("[:SOURce<1-2>]:BURSt:INTernal:PERiod", kind=Number(10e-3, 1e-6, 8000, "S")),
        Setting("[:SOURce<1-2>]:ROSCillator:SOURce:AUTO", kind=Switch(default=True)),
        Setting(":TRIGger<1-2>:SLOPe", kind=_SLOPE),
        Setting(":TRIGger<1-2>:COUNt", kind=Number(1, 1, 1e6, whole=True)),
        Setting(":TRIGger<1-2>:DELay", kind=Number(0, 0, 1000, "S")),
        Setting(":TRIGger<1-2>:TIMer", kind=Number(1, 1e-6, 8000, "S")),
        Setting(":OUTPut<1-2>:SYNC[:STATe]", kind=Switch(default=True)),
        Setting(":OUTPut<1-2>:SYNC:SOURce", kind=Word("CH1", "CH2")),
        Setting(":OUTPut<1-2>:TRIGger[:STATe]", kind=Switch()),
        Setting(":OUTPut<1-2>:TRIGger:SOURce", kind=Word("CH1", "CH2")),
        Setting(":OUTPut<1-2>:TRIGger:SLOPe", kind=_SLOPE),
    )


class Keysight33522B(Keysight33622A):
    """The 33522B: 30 MHz, pulses of 16 ns."""

    identity = "Agilent Technologies,33522B,MY52800123,2.09-1.19-2.00-52-00"
    headers = {}  # noqa: RUF012  those of the 33622A are inherited
    narrowest = 16e-9
    edges = (8.4e-9, 1e-6)
    frequencies = (30e6, 30e6)


class Keysight81160A(PulseGenerator):
    """The 81160A: 330 MHz, pulses of 1.5 ns; levels beyond a limit are refused."""

    identity = "Agilent Technologies,81160A,MY51400123,1.0.3.0-2.6"
    number = staticmethod(scientific(9))
    weakest = 0.1
    narrowest = 1.5e-9
    edges = (1e-9, 1e3)
    frequencies = (330e6, 500e6)
    edge_share = 1.6
    timing = (1e6, 100e-9, 2.5e-9)
    soft = "MAN"
    _FUNCTIONS = ("SINusoid", "SQUare", "RAMP", "PULSe", "NOISe", "DC", "USER")

    def goes_on(self, channel: int) -> bool:
        """Whether pulses or bursts follow each other by themselves."""
        return self.has("source", channel) in {"IMM", "INT2"}

    def burst(self, channel: int) -> float:
        """Return how many pulses a trigger releases: one without bursts."""
        gated = self.has("gating", channel) == "GAT" or self.has("sense", channel) == "LEV"
        return 0 if gated or self.goes_on(channel) else self._count(channel)

    def _count(self, channel: int) -> float:
        return self.has("cycles", channel) if self.has("bursting", channel) else 1.0

    def _set_count(self, channel: int, count: float) -> None:
        self.set_bursting(channel, count > 1)
        if count > 1:
            self.values["cycles", (channel,)] = count

    @command(":DATA<1-2>:COPY", takes=[Anything(), Anything()])
    def keep(self, channel: int, name: str, origin: str) -> None:
        """Keep a waveform under another name."""
        if origin.upper() not in self.waveforms:
            raise ScpiError(-224, origin)
        if name.upper() not in self.kept and len(self.kept) >= _KEPT:
            raise ScpiError(-223, name)
        self.store(name.upper(), self.waveforms[origin.upper()])

    @command(":DATA<1-2>:DELete[:NAME]", takes=[Anything()])
    def delete(self, channel: int, name: str) -> None:
        """Delete a waveform."""
        if self.waveforms.pop(name.upper(), None) is None:
            raise ScpiError(-224, name)

    @property
    def kept(self) -> list[str]:
        """Names of the waveforms that are kept."""
        return [name for name in self.waveforms if name != _VOLATILE]

    @query(":DATA<1-2>:NVOLatile:CATalog")
    def catalogue(self, channel: int) -> str:
        """Return the names of the waveforms that are kept."""
        return ",".join(f'"{name}"' for name in self.kept) or '""'

    @query(":DATA<1-2>:NVOLatile:FREE")
    def free(self, channel: int) -> int:
        """Return how many more waveforms can be kept."""
        return _KEPT - len(self.kept)

    def select(self, channel: int, name: str) -> None:
        """Select a waveform."""
        if name.upper() not in {_VOLATILE, *self.waveforms}:
            raise ScpiError(-224, name)
        self.values["waveform", (channel,)] = name.upper()

    headers = {  # noqa: RUF012
        "frequency": ("[:SOURce]:FREQuency<1-2>[:CW]", "[:SOURce]:PULSe:FREQuency<1-2>"),
        "amplitude": ("[:SOURce]:VOLTage<1-2>[:LEVel][:IMMediate][:AMPLitude]",),
        "unit": ("[:SOURce]:VOLTage<1-2>:UNIT",),
        "offset": ("[:SOURce]:VOLTage<1-2>[:LEVel][:IMMediate]:OFFSet",),
        "high": ("[:SOURce]:VOLTage<1-2>[:LEVel][:IMMediate]:HIGH",),
        "low": ("[:SOURce]:VOLTage<1-2>[:LEVel][:IMMediate]:LOW",),
        "limited": ("[:SOURce]:VOLTage<1-2>:LIMit:STATe",),
        "limit_high": ("[:SOURce]:VOLTage<1-2>:LIMit[:HIGH]",),
        "limit_low": ("[:SOURce]:VOLTage<1-2>:LIMit:LOW",),
        "period": ("[:SOURce]:PULSe:PERiod<1-2>", "[:SOURce]:FUNCtion<1-2>:PULSe:PERiod"),
        "width": ("[:SOURce]:PULSe:WIDTh<1-2>", "[:SOURce]:FUNCtion<1-2>:PULSe:WIDTh"),
        "duty": ("[:SOURce]:PULSe:DCYCle<1-2>", "[:SOURce]:FUNCtion<1-2>:PULSe:DCYCle"),
        "edge": (
            "[:SOURce]:PULSe:TRANsition<1-2>[:LEADing]",
            "[:SOURce]:PULSe:TRANsition<1-2>:TRAiling",
            "[:SOURce]:FUNCtion<1-2>:PULSe:TRANsition[:LEADing]",
            "[:SOURce]:FUNCtion<1-2>:PULSe:TRANsition:TRAiling",
        ),
        "hold": ("[:SOURce]:PULSe:HOLD<1-2>", "[:SOURce]:FUNCtion<1-2>:PULSe:HOLD"),
        "bursting": ("[:SOURce]:BURSt<1-2>:STATe",),
        "gating": ("[:SOURce]:BURSt<1-2>:MODE",),
        "output": (":OUTPut<1-2>[:STATe]",),
        "polarity": (":OUTPut<1-2>:POLarity",),
    }
    function = OfChannel("[:SOURce]:FUNCtion<1-2>[:SHAPe]", kind=Word(*_FUNCTIONS), set=PulseGenerator.choose)
    cycles = OfChannel("[:SOURce]:BURSt<1-2>:NCYCles", kind=Number(2, 2, 2**31 - 1, whole=True))
    count = OfChannel(":TRIGger<1-2>:COUNt", kind=Number(1, 1, 2**31 - 1, whole=True), get=_count, set=_set_count)
    source = OfChannel(
        ":ARM:SOURce<1-2>", kind=Word("IMMediate", "INT2", "EXTernal", "MANual"), set=PulseGenerator.choose_source
    )
    sense = OfChannel(":ARM:SENSe<1-2>", kind=Word("EDGE", "LEVel"))
    load = OfChannel(
        ":OUTPut<1-2>:LOAD",
        ":OUTPut<1-2>:IMPedance:EXTernal",
        kind=Number(50, 0.3, 1e6, "OHM"),
        set=PulseGenerator.set_load,
    )
    waveform = OfChannel("[:SOURce]:FUNCtion<1-2>:USER", kind=Anything(_VOLATILE), set=select)
    settings = (
        *_applied(":APPLy<1-2>", *_FUNCTIONS),
        Uploaded(":DATA<1-2>:DAC", kind=Anything("8191")),
        Uploaded(":DATA<1-2>", kind=Anything("1")),
        Setting("[:SOURce]:PHASe<1-2>[:ADJust]", kind=_PHASE),
        Setting("[:SOURce]:FUNCtion<1-2>:SQUare:DCYCle", kind=Number(50, 1.515e-4, 99.9998485, "PCT")),
        Setting("[:SOURce]:FUNCtion<1-2>:RAMP:SYMMetry", kind=Number(50, 0, 100, "PCT")),
        Setting("[:SOURce]:PULSe:DELay<1-2>", kind=Number(0, 0, 1e6, "S")),
        Setting("[:SOURce]:BURSt<1-2>:PHASe", kind=_PHASE),
        Setting("[:SOURce]:BURSt<1-2>:INTernal:PERiod", kind=Number(1e-6, 3.03e-9, 1e6, "S")),
        Setting("[:SOURce]:ROSCillator:SOURce", kind=Word("INTernal", "EXTernal")),
        Setting(":ARM:SLOPe", kind=Word("POSitive", "NEGative", "EITHer")),
        Setting(":ARM:LEVel", kind=Number(1.0, -10, 10, "V")),
        Setting(":FORMat:BORDer", kind=Word("NORMal", "SWAPped")),
        Setting(":OUTPut<1-2>:IMPedance[:INTernal]", kind=Number(50, 50, 50, "OHM")),
        Setting(":OUTPut<1-2>:ROUTe", kind=Word("HIVoltage", "HIBandwidth")),
        Setting(":OUTPut<1-2>:COMPlement", kind=Switch()),
        Setting(":TRACk:CHANnel<1-2>", kind=Switch()),
    )
