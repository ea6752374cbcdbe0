"""Keithley 6221: direct and alternating current source, with the delta mode of a 2182A."""

import math

from labneuro.clock import Clock
from labneuro.simulators.rack.keithley import Buffered
from labneuro.simulators.rack.parameters import Number, Omissible, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sources import Source, Terminals, driven
from labneuro.simulators.rack.table import Setting, command, query, switches

_OUTPUT_LINE = Number(1, 1, 6, whole=True)


class Keithley6221(Buffered, Source):
    """A direct and alternating current source; in a wave, its peak is at the terminals.

    Ports: those of each source; `voltmeter`: the reading of a 2182A on its serial port, V, or None without one.
    """

    identity = "KEITHLEY INSTRUMENTS INC.,MODEL 6221,1212121,D03  /700x"
    _RANGES = (2e-9, 20e-9, 200e-9, 2e-6, 20e-6, 200e-6, 2e-3, 20e-3, 100e-3)

    def __init__(self, clock: Clock) -> None:
        self.voltmeter = lambda: None
        super().__init__(clock)

    def reset(self) -> None:
        """Return to 0 A on a fixed 100 mA range, compliance 10 V, output off."""
        self._armed = ""
        self._range = 0.1
        super().reset()

    def settled(self) -> Terminals:
        """Return what the terminals come to."""
        level = self.wave_amplitude + abs(self.wave_offset) if self._armed == "WAVE" else self.level
        return driven(level, self.compliance, self.resistance(), by_voltage=False)

    def terminals(self) -> Terminals:
        """Return what stands at the terminals now; compliance is a condition of the measurement register."""
        terminals = super().terminals()
        self.status.registers["MEASurement"].switch(1 << 3, on=terminals[2])
        return terminals

    def _put_out(self) -> None:
        self.terminals()
        self.changed()

    def _switch(self, on: bool) -> None:
        self.output = on
        self._put_out()

    def _set_level(self, level: float) -> None:
        if self._armed:
            raise ScpiError(-221, self._armed)
        if self.autorange:
            self._change_range(next(r for r in self._RANGES if abs(level) <= 1.05 * r))
        elif abs(level) > 1.05 * self._range:
            raise ScpiError(-222, str(level))
        self.level = level
        self._put_out()

    def _set_range(self, value: float) -> None:
        if abs(self.level) > 1.05 * value:
            raise ScpiError(-221, f"level {self.level}")
        self._change_range(value)
        self.autorange = False
        self._put_out()

    def _change_range(self, full: float) -> None:
        old, self._range = self._range, full
        self.spike(old, full, by_voltage=False)

    def _set_compliance(self, volts: float) -> None:
        self.compliance = volts
        self._put_out()

    def _set_high(self, amperes: float) -> None:
        self.delta_high, self.delta_low = amperes, -amperes

    output = Setting(":OUTPut[:STATe]", kind=Switch(), set=_switch)
    level = Setting(
        "[:SOURce]:CURRent[:LEVel][:IMMediate][:AMPLitude]", kind=Number(0.0, -0.105, 0.105, "A"), set=_set_level
    )
    compliance = Setting("[:SOURce]:CURRent:COMPliance", kind=Number(10.0, 0.1, 105, "V"), set=_set_compliance)
    autorange = Setting("[:SOURce]:CURRent:RANGe:AUTO", kind=Switch())
    range = Setting(
        "[:SOURce]:CURRent:RANGe",
        kind=Number(0.1, -0.105, 0.105, "A", steps=(*_RANGES[:-1], 0.105)),
        get=lambda self: self._range,
        set=lambda self, value: self._set_range(min(value, 0.1)),
    )
    delta_high = Setting("[:SOURce]:DELTa:HIGH", kind=Number(1e-6, 0, 0.105, "A"), set=_set_high)
    delta_low = Setting("[:SOURce]:DELTa:LOW", kind=Number(-1e-6, -0.105, 0, "A"))
    delta_delay = Setting("[:SOURce]:DELTa:DELay", kind=Number(2e-3, 0, 9999.999, "S", infinite=True))
    delta_count = Setting("[:SOURce]:DELTa:COUNt", kind=Number(math.inf, 1, 65_536, whole=True, infinite=True))
    wave = Setting(
        "[:SOURce]:WAVE:FUNCtion", kind=Word("SINusoid", "SQUare", "RAMP", "ARB0", "ARB1", "ARB2", "ARB3", "ARB4")
    )
    wave_amplitude = Setting("[:SOURce]:WAVE:AMPLitude", kind=Number(1e-3, 2e-12, 0.105, "A"))
    wave_offset = Setting("[:SOURce]:WAVE:OFFSet", kind=Number(0.0, -0.105, 0.105, "A"))

    settings = (
        Setting(":OUTPut:ISHield", kind=Word("OLOW", "GUARd")),
        *switches(":OUTPut:LTEarth", "[:SOURce]:DELTa:CABort", "[:SOURce]:DELTa:CSWitch"),
        Setting(":OUTPut:RESPonse", kind=Word("FAST", "SLOW")),
        Setting("[:SOURce]:DELay", kind=Number(1e-3, 1e-3, 999_999.999, "S")),
        Setting("[:SOURce]:SWEep:COUNt", kind=Number(1, 1, 9999, whole=True, infinite=True)),
        Setting(":UNIT:VOLTage[:DC]", kind=Word("V", "OHMS", "W", "SIEMens")),
        Setting("[:SOURce]:WAVE:FREQuency", kind=Number(1e3, 1e-3, 1e5, "HZ")),
        Setting("[:SOURce]:WAVE:DCYCle", kind=Number(50, 0, 100, "PCT")),
        Setting("[:SOURce]:WAVE:DURation:TIME", kind=Number(math.inf, 1e-7, 999_999.999, "S", infinite=True)),
        Setting("[:SOURce]:WAVE:DURation:CYCLes", kind=Number(math.inf, 1e-3, 99_999_999_900, infinite=True)),
        Setting("[:SOURce]:WAVE:RANGing", kind=Word("BEST", "FIXed")),
        Setting("[:SOURce]:WAVE:PMARk:STATe", kind=Switch()),
        Setting("[:SOURce]:WAVE:PMARk[:LEVel]", kind=Number(180, 0, 360)),
        Setting("[:SOURce]:WAVE:PMARk:OLINe", kind=_OUTPUT_LINE),
        Setting(":ARM:SOURce", kind=Word("IMMediate", "TIMer", "BUS", "TLINk", "BSTest", "MANual")),
        Setting(":ARM:TIMer", kind=Number(0.1, 0, 99_999.99, "S")),
        Setting(":ARM:ILINe", kind=_OUTPUT_LINE),
        Setting(":TRIGger:SOURce", kind=Word("IMMediate", "TLINk")),
        Setting(":TRIGger:ILINe", kind=_OUTPUT_LINE),
        Setting(":TRIGger:OLINe", kind=_OUTPUT_LINE),
        Setting(":TRIGger:OUTPut", kind=Word("NONE", "SOURce", "DELay")),
    )
    buffer_size = Setting(":TRACe:POINts", kind=Number(100, 1, 1_000_000, whole=True))

    @command("[:SOURce]:CLEar[:IMMediate]")
    def clear_source(self) -> None:
        """Switch the output off and the level to zero."""
        self._armed = ""
        self.level = 0.0
        self._switch(False)

    @command("[:SOURce]:DELTa:ARM")
    def arm_delta(self) -> None:
        """Get ready for delta readings."""
        if self.voltmeter() is None:
            raise ScpiError(413, text="Not allowed with mode")
        self._armed = "DELTA"
        self._switch(True)

    @query("[:SOURce]:DELTa:ARM")
    def delta_armed(self) -> bool:
        """Whether delta readings are armed."""
        return self._armed == "DELTA"

    @query("[:SOURce]:DELTa:NVPResent")
    def voltmeter_present(self) -> bool:
        """Whether a 2182A answers on the serial port."""
        return self.voltmeter() is not None

    @query(":SENSe:DATA[:LATest]", ":SENSe:DATA:FRESh")
    def delta_reading(self) -> str:
        """Take one delta reading: half the voltage's difference between high and low, and when."""
        if self._armed != "DELTA":
            raise ScpiError(-221, "delta isn't armed")
        kept = self.level
        readings = list[float]()
        for level in (self.delta_high, self.delta_low):
            self.level = level
            self._put_out()
            readings.append(float(self.voltmeter() or 0.0))
        self.level = kept
        self._put_out()
        reading = [(readings[0] - readings[1]) / 2, self.clock.now()]
        self.store(reading)
        return ",".join(map(type(self).number, reading))

    @command(":INITiate[:IMMediate]")
    def initiate(self) -> None:
        """Take the delta readings that are armed, or as many as the buffer holds."""
        if self._armed != "DELTA":
            raise ScpiError(-213)
        self._feeds = True
        for _ in range(int(min(self.delta_count, self.buffer_size))):
            self.delta_reading()

    @command("[:SOURce]:SWEep:ABORt", ":ABORt", "[:SOURce]:WAVE:ABORt")
    def disarm(self) -> None:
        """Leave delta or wave; the output goes off with them."""
        if self._armed:
            self._armed = ""
            self._switch(False)

    @command("[:SOURce]:WAVE:ARM")
    def arm_wave(self) -> None:
        """Load the wave."""
        self._armed = "WAVE READY"

    @command("[:SOURce]:WAVE:INITiate")
    def start_wave(self) -> None:
        """Put the wave out."""
        if self._armed != "WAVE READY":
            raise ScpiError(-213)
        self._armed = "WAVE"
        self._switch(True)

    @command("[:SOURce]:WAVE:ARBitrary:DATA", takes=[Omissible(Number(0, -1, 1))] * 100)
    def load_wave(self, *points: float) -> None:
        """Take up to a hundred points from -1 to 1 for an arbitrary wave."""
        if not points:
            raise ScpiError(-109)
        self._points = points

    @command("[:SOURce]:WAVE:ARBitrary:COPY", takes=[Number(1, 1, 4, whole=True)])
    def copy_wave(self, slot: float) -> None:
        """Keep the arbitrary wave."""
        return

    @command("*TRG")
    def trigger(self) -> None:
        """Pass the trigger on to whatever waits for it."""
        return
