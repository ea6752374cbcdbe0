"""Microwave generators: Keysight E8257D and N5183B, Rohde & Schwarz SMB100A and SGS100A.

Port of each: `tone`, frequency in Hz and power in dBm at the output, None while it is off.
"""

from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.replies import plain
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import Setting, command, query, switches


def keysight(value: float) -> str:
    """Write a number as the PSG does: +1.0000000000000E+009, an exponent of three digits."""
    mantissa, exponent = f"{value:+.13E}".split("E")
    return f"{mantissa}E{exponent[0]}{exponent[1:]:0>3}"


class Generator(Instrument):
    """What every generator here has: a carrier that is on or off.

    `frequency` and `power` are what it displays and is told: those at the output, multiplied and offset. A new
    multiplier or offset changes the display alone.
    """

    frequency: Setting[float]
    power: Setting[float]
    multiplier = 1.0

    def reset(self) -> None:
        """Return to the defaults, output off."""
        super().reset()
        self.changed()

    @property
    def tone(self) -> tuple[float, float] | None:
        """Frequency, Hz, and power into 50 ohm, dBm, or None while the output is off."""
        if not self.output:
            return None
        return (self.frequency - self.frequency_offset) / self.multiplier, self.power - self.power_offset

    def displayed(self, hertz: float) -> float:
        """Return the frequency that stands on the display for that at the output, Hz."""
        return hertz * self.multiplier + self.frequency_offset

    def _switch(self, on: bool) -> None:
        self.output = on
        self.changed()

    def tune(self, hertz: float) -> None:
        """Set the carrier, Hz."""
        self.frequency = hertz
        self.changed()

    def set_power(self, dbm: float) -> None:
        """Set the power, dBm."""
        self.power = dbm
        self.changed()

    def multiply(self, factor: float) -> None:
        """Display a multiple of the frequency at the output."""
        hertz = (self.frequency - self.frequency_offset) / self.multiplier
        self.multiplier = factor
        self.frequency = self.displayed(hertz)

    def _offset_frequency(self, hertz: float) -> None:
        self.frequency += hertz - self.frequency_offset
        self.frequency_offset = hertz

    def _offset_power(self, decibels: float) -> None:
        self.power += decibels - self.power_offset
        self.power_offset = decibels

    output = Setting(":OUTPut[:STATe]", kind=Switch(), set=_switch)
    frequency_offset = Setting("[:SOURce]:FREQuency:OFFSet", kind=Number(0, -200e9, 200e9, "HZ"), set=_offset_frequency)
    power_offset = Setting(
        "[:SOURce]:POWer[:LEVel][:IMMediate]:OFFSet", kind=Number(0, -100, 100, "DB"), set=_offset_power
    )


_MULTIPLIER = Setting("[:SOURce]:FREQuency:MULTiplier", kind=Number(1, 1e-3, 1e3), set=Generator.multiply)


def carrier(default: float, lowest: float, highest: float) -> Setting[float]:
    """Return the setting of a carrier; the bounds, Hz, are those at the output."""
    kind = Number(default, lambda s: s.displayed(lowest), lambda s: s.displayed(highest), "HZ", resolution=1e-3)
    return Setting("[:SOURce]:FREQuency[:CW]", "[:SOURce]:FREQuency:FIXed", kind=kind, set=Generator.tune)


def level(default: float, lowest: float, highest: float) -> Setting[float]:
    """Return the setting of a power; the bounds, dBm, are those at the output."""
    kind = Number(
        default, lambda s: lowest + s.power_offset, lambda s: highest + s.power_offset, "DBM", resolution=0.01
    )
    return Setting("[:SOURce]:POWer[:LEVel][:IMMediate][:AMPLitude]", kind=kind, set=Generator.set_power)


class E8257D(Generator):
    """The PSG with options 520 (250 kHz to 20 GHz) and 1E1 (step attenuator)."""

    identity = "Agilent Technologies, E8257D, MY51110245, C.06.26"
    options = "1E1,520,UNT,UNW"
    error_depth = 30
    error_format = '%+d,"%s"'
    number = staticmethod(keysight)

    multiplier = _MULTIPLIER
    frequency = carrier(20e9, 100e3, 20e9)
    power = level(-135, -135, 30)

    def _center(self) -> float:
        return (self.start + self.stop) / 2

    def _set_center(self, hertz: float) -> None:
        half = min((self.stop - self.start) / 2, hertz - 100e3, 20e9 - hertz)
        self.start, self.stop = hertz - half, hertz + half

    start = Setting("[:SOURce]:FREQuency:STARt", kind=Number(100e3, 100e3, 20e9, "HZ"))
    stop = Setting("[:SOURce]:FREQuency:STOP", kind=Number(20e9, 100e3, 20e9, "HZ"))
    center = Setting("[:SOURce]:FREQuency:CENTer", kind=Number(10e9, 100e3, 20e9, "HZ"), get=_center, set=_set_center)
    dwell = Setting("[:SOURce]:SWEep:DWELl", kind=Number(2e-3, 1e-3, 60, "S"))
    points = Setting("[:SOURce]:SWEep:POINts", kind=Number(2, 2, 65_535, whole=True))
    settings = (
        Setting("[:SOURce]:PHASe[:ADJust]", kind=Number(0, -3.142, 3.142, "RAD", resolution=1e-8)),
        Setting("[:SOURce]:POWer:STARt", kind=Number(-135, -135, 30, "DBM")),
        Setting("[:SOURce]:POWer:STOP", kind=Number(-135, -135, 30, "DBM")),
        Setting("[:SOURce]:FREQuency:MODE", kind=Word("CW", "FIXed", "SWEep", "LIST")),
        Setting("[:SOURce]:POWer:MODE", kind=Word("FIXed", "SWEep", "LIST")),
        Setting("[:SOURce]:SWEep:GENeration", kind=Word("ANALog", "STEPped", default="STEP")),
        Setting("[:SOURce]:SWEep:MODE", kind=Word("AUTO", "MANual")),
        Setting("[:SOURce]:LIST:RETRace", kind=Switch(default=True)),
        Setting(":OUTPut:MODulation[:STATe]", kind=Switch(default=True)),
        *switches(
            "[:SOURce]:AM:STATe",
            "[:SOURce]:PULM:STATe",
            "[:SOURce]:LFOutput:STATe",
            "[:SOURce]:SWEep:CONTinuous[:STATe]",
        ),
        Setting("[:SOURce]:AM[:DEPTh][:LINear]", kind=Number(0.1, 0, 100, "PCT")),
        Setting("[:SOURce]:AM:SOURce", kind=Word("INT", "INT1", "INT2", "EXT", "EXT1", "EXT2")),
        Setting("[:SOURce]:AM:INTernal:FREQuency", kind=Number(400, 0.5, 1e6, "HZ")),
        Setting(
            "[:SOURce]:AM:INTernal:FUNCtion:SHAPe",
            kind=Word("SINE", "TRIangle", "SQUare", "RAMP", "NOISe", "DUALsine", "SWEPtsine"),
        ),
        Setting("[:SOURce]:PULM:SOURce", kind=Word("INTernal", "EXTernal", "SCALar")),
        Setting("[:SOURce]:PULM:SOURce:INTernal", kind=Word("FRUN", "SQUare", "TRIGgered", "DOUBlet", "GATEd")),
        Setting("[:SOURce]:PULM:INTernal:FREQuency", kind=Number(400, 0.1, 10e6, "HZ")),
        Setting("[:SOURce]:LFOutput:AMPLitude", kind=Number(0, 0, 3.5, "VP")),
        Setting("[:SOURce]:LFOutput:SOURce", kind=Word("INT", "INT1", "INT2", "FUNC", "FUNC1", "FUNC2")),
    )

    @query(":DIAGnostic[:CPU]:INFOrmation:OPTions[:DETail]")
    def option_details(self) -> str:
        """Return the options in words."""
        return '"' + ",".join(f"{option}: installed" for option in self.options.split(",")) + '"'

    @command("[:SOURce]:TSWeep")
    def sweep(self) -> None:
        """Take one sweep: busy for as long as all its points dwell."""
        self.overlap(self.points * self.dwell)


class N5183B(E8257D):
    """The MXG with option 520, without step attenuator."""

    identity = "Keysight Technologies, N5183B, MY53270123, B.01.86"
    options = "520,1EA"

    power = level(-20, -20, 30)
    settings = (
        Setting("[:SOURce]:ROSCillator:SOURce:AUTO", kind=Switch(default=True)),
        Setting("[:SOURce]:ROSCillator:SOURce", kind=Word("INTernal", "EXTernal"), settable=False),
    )


class _RohdeSchwarz(Generator):
    error_depth = 30
    number = staticmethod(plain)

    @property
    def tone(self) -> tuple[float, float] | None:
        """Frequency, Hz, and power, dBm, held to the limit, of which the display says nothing."""
        tone = super().tone
        return tone and (tone[0], min(tone[1], self.power_limit))

    def _limit_power(self, dbm: float) -> None:
        self.power_limit = dbm
        self.changed()

    power_limit = Setting(
        "[:SOURce]:POWer:LIMit[:AMPLitude]", kind=Number(30, -300, 30, "DBM", resolution=0.01), set=_limit_power
    )
    pulsed = Setting("[:SOURce]:PULM:STATe", kind=Switch())
    settings = (
        Setting("[:SOURce]:PHASe", kind=Number(0, -720, 720, "DEG", resolution=0.01)),
        Setting("[:SOURce]:PULM:SOURce", kind=Word("INTernal", "EXTernal")),
        Setting("[:SOURce]:PULM:MODE", kind=Word("SINGle", "DOUBle")),
        Setting("[:SOURce]:PULM:POLarity", kind=Word("NORMal", "INVerted")),
        Setting("[:SOURce]:PULM:PERiod", kind=Number(10e-6, 100e-9, 100, "S", resolution=10e-9)),
        Setting("[:SOURce]:PULM:WIDTh", kind=Number(2e-6, 20e-9, 100, "S", resolution=10e-9)),
        Setting("[:SOURce]:PULM:DELay", kind=Number(0, 0, 100, "S", resolution=10e-9)),
        Setting("[:SOURce]:PULM:DOUBle:DELay", kind=Number(4e-6, 40e-9, 100, "S", resolution=10e-9)),
        Setting("[:SOURce]:PULM:DOUBle:WIDTh", kind=Number(2e-6, 20e-9, 100, "S", resolution=10e-9)),
        Setting("[:SOURce]:PULM:TRIGger:EXTernal:IMPedance", kind=Word("G50", "G10K")),
        Setting("[:SOURce]:PULM:TRIGger:EXTernal:SLOPe", kind=Word("POSitive", "NEGative")),
        Setting("[:SOURce]:PULM:TRIGger:EXTernal:GATE:POLarity", kind=Word("NORMal", "INVerted")),
        Setting("[:SOURce]:PULM:TRIGger:MODE", kind=Word("AUTO", "SVALue", "EXTernal", "EGATe", "ESINgle")),
        Setting("[:SOURce]:ROSCillator:SOURce", kind=Word("INTernal", "EXTernal")),
    )

    @command(":SYSTem:PRESet")
    def preset(self) -> None:
        """Do as `*RST`."""
        self.reset()


class SMB100A(_RohdeSchwarz):
    """The SMB100A with option B120 (100 kHz to 20 GHz)."""

    identity = "Rohde&Schwarz,SMB100A,1406.6000k03/181234,3.1.19.15-3.20.390.24"
    options = "SMB-B120,SMB-K23"

    def _modulate(self, on: bool) -> None:
        self.pulsed = on

    modulated = Setting(
        "[:SOURce]:MODulation[:ALL][:STATe]", kind=Switch(), get=lambda self: self.pulsed, set=_modulate
    )
    multiplier = _MULTIPLIER
    frequency = carrier(1e9, 9e3, 20e9)
    power = level(-30, -145, 30)
    settings = (
        Setting("[:SOURce]:FREQuency:STARt", kind=Number(100e6, 9e3, 20e9, "HZ")),
        Setting("[:SOURce]:FREQuency:STOP", kind=Number(500e6, 9e3, 20e9, "HZ")),
        Setting("[:SOURce]:FREQuency:MODE", kind=Word("CW", "FIXed", "SWEep", "LIST")),
        Setting("[:SOURce]:POWer:MODE", kind=Word("CW", "FIXed", "SWEep")),
        Setting("[:SOURce]:SWEep[:FREQuency]:POINts", kind=Number(401, 2, 1e6, whole=True)),
        Setting("[:SOURce]:SWEep[:FREQuency]:DWELl", kind=Number(15e-3, 5e-3, 100, "S")),
        Setting("[:SOURce]:SWEep[:FREQuency]:MODE", kind=Word("AUTO", "MANual", "STEP")),
        Setting(":TRIGger:FSWeep:SOURce", kind=Word("AUTO", "SINGle", "EXTernal", "EAUTo")),
        Setting(":OUTPut:IMPedance", kind=Word("G50", "G1K"), settable=False),
    )

    @command("[:SOURce]:SWEep[:FREQuency]:EXECute")
    def sweep(self) -> None:
        """Take one sweep; a single one must have been chosen."""
        raise ScpiError(-221, "sweep mode")


class SGS100A(_RohdeSchwarz):
    """The SGMA with option B112V (1 MHz to 20 GHz with a pulse modulator)."""

    identity = "Rohde&Schwarz,SGS100A,1416.0505k02/112345,3.1.19.26-3.50.124.73"
    options = "SGS-B112V,SGS-K22"

    frequency = carrier(1e9, 1e6, 20e9)
    power = level(-30, -120, 25)
    settings = (
        *switches("[:SOURce]:IQ:STATe", "[:SOURce]:IQ:IMPairment[:STATe]"),
        Setting("[:SOURce]:IQ:IMPairment:LEAKage:I", kind=Number(0, -10, 10, "PCT")),
        Setting("[:SOURce]:IQ:IMPairment:LEAKage:Q", kind=Number(0, -10, 10, "PCT")),
        Setting("[:SOURce]:IQ:IMPairment:IQRatio", kind=Number(0, -1, 1, "DB")),
        Setting("[:SOURce]:IQ:IMPairment:QUADrature", kind=Number(0, -8, 8, "DEG")),
        Setting("[:SOURce]:LOSCillator:SOURce", kind=Word("INTernal", "EXTernal")),
        Setting("[:SOURce]:ROSCillator:OUTPut:FREQuency", kind=Word("10MHZ", "100MHZ", "1000MHZ")),
        Setting("[:SOURce]:ROSCillator:EXTernal:FREQuency", kind=Word("10MHZ", "100MHZ", "1000MHZ")),
        Setting("[:SOURce]:OPMode", kind=Word("NORMal", "BBBYpass")),
        Setting(":CONNector:REFLo:OUTPut", kind=Word("REF", "LO", "OFF")),
        Setting(
            ":CONNector:TRIGger:OMODe",
            kind=Word("SVALid", "SNValid", "PVOut", "PETRigger", "PEMSource"),
        ),
    )
