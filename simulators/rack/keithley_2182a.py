"""Keithley 2182A: nanovoltmeter."""

import math

from labneuro.clock import Clock
from labneuro.simulators.rack.keithley import Buffered, statistic
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import Setting, command, query, switches


class Keithley2182A(Buffered):
    """A nanovoltmeter. Port: `input`, the voltage at channel 1 or 2, V."""

    identity = "KEITHLEY INSTRUMENTS INC.,MODEL 2182A,1234567,C02  /A02"
    number = staticmethod(lambda value: f"{value if math.isfinite(value) else 9.9e37:+.8E}")
    _RANGES = {1: (0.01, 0.1, 1.0, 10.0, 100.0), 2: (0.1, 1.0, 10.0)}  # noqa: RUF012

    def __init__(self, clock: Clock) -> None:
        self.input = lambda channel: 0.0
        super().__init__(clock)

    def reset(self) -> None:
        """Return to volts on channel 1, autorange."""
        self._latest = math.inf
        self._taken: list[float] = []
        super().reset()

    def _set_range(self, channel: int, volts: float) -> None:
        ranges = self._RANGES[channel]
        if volts > 1.2 * ranges[-1]:
            raise ScpiError(-222, str(volts))
        self.values["range", (channel,)] = next((r for r in ranges if volts <= 1.2 * r), ranges[-1])
        self.values["autorange", (channel,)] = False

    channel = Setting(":SENSe:CHANnel", kind=Number(1, 0, 2, whole=True))
    function = Setting(
        "[:SENSe]:FUNCtion",
        kind=Word("VOLT:DC", "TEMP", quoted=True, aliases={"VOLT": "VOLT:DC", "VOLTAGE": "VOLT:DC"}),
    )
    range = Setting("[:SENSe]:VOLTage[:DC]:CHANnel<1-2>:RANGe[:UPPer]", kind=Number(100, 0, 120, "V"), set=_set_range)
    autorange = Setting("[:SENSe]:VOLTage[:DC]:CHANnel<1-2>:RANGe:AUTO", kind=Switch(default=True))
    offset = Setting("[:SENSe]:VOLTage[:DC]:CHANnel<1-2>:REFerence", kind=Number(0, -120, 120, "V"))
    offset_on = Setting("[:SENSe]:VOLTage[:DC]:CHANnel<1-2>:REFerence:STATe", kind=Switch())
    nplc = Setting("[:SENSe]:VOLTage[:DC]:NPLCycles", kind=Number(5, 0.01, 60))
    statistic = Setting(":CALCulate2:FORMat", kind=Word("MEAN", "MAXimum", "MINimum", "SDEViation", "NONE"))
    count = Setting(":TRIGger:COUNt", kind=Number(1, 1, 9999, whole=True, infinite=True))
    delay = Setting(":TRIGger:DELay", kind=Number(0, 0, 999_999.999, "S"))
    settings = (
        Setting("[:SENSe]:VOLTage[:DC]:RANGe:AUTO", kind=Switch(default=True)),
        Setting("[:SENSe]:TEMPerature:CHANnel<1-2>:REFerence", kind=Number(0, -273, 1800)),
        Setting("[:SENSe]:TEMPerature:CHANnel<1-2>:REFerence:STATe", kind=Switch()),
        Setting("[:SENSe]:TEMPerature:NPLCycles", kind=Number(5, 0.01, 60)),
        Setting("[:SENSe]:TEMPerature:TCouple", kind=Word("J", "B", "E", "K", "N", "R", "S", "T")),
        Setting("[:SENSe]:TEMPerature:RJUNction:RSELect", kind=Word("INTernal", "SIMulated")),
        Setting("[:SENSe]:TEMPerature:RJUNction:SIMulated", kind=Number(23, 0, 60)),
        Setting(":UNIT:TEMPerature", kind=Word("C", "F", "K")),
        Setting(":TRIGger:SOURce", kind=Word("IMMediate", "TIMer", "MANual", "BUS", "EXTernal")),
        *switches(
            ":SYSTem:AZERo[:STATe]",
            ":SYSTem:FAZero[:STATe]",
            "[:SENSe]:VOLTage[:DC]:LPASs[:STATe]",
            "[:SENSe]:VOLTage[:DC]:DFILter[:STATe]",
            ":CALCulate2:STATe",
            ":INITiate:CONTinuous",
        ),
    )

    def _voltage(self, channel: int) -> float:
        volts = self.input(channel)
        full = self.range_of(channel)
        if abs(volts) > 1.2 * full:
            self.status.registers["MEASurement"].event |= 1
            return math.inf
        return volts - (Keithley2182A.offset.of(self, channel) if Keithley2182A.offset_on.of(self, channel) else 0.0)

    def range_of(self, channel: int) -> float:
        """Return the range in use, V."""
        ranges = self._RANGES[channel]
        return ranges[-1] if Keithley2182A.autorange.of(self, channel) else Keithley2182A.range.of(self, channel)

    @query(":READ", ":MEASure[:VOLTage][:DC]", "[:SENSe]:DATA:FRESh")
    def read(self) -> str:
        """Take as many readings as the trigger counts, each as long as its integration."""
        if not self.channel:
            raise ScpiError(-221, "no channel")
        self._taken = []
        for _ in range(int(min(self.count, 1024))):
            temperature = self.function == "TEMP"
            self._latest = 23.0 if temperature else self._voltage(int(self.channel))
            self._taken.append(self._latest)
            self.store([self._latest])
        self.wait(len(self._taken) * (self.delay + self.nplc / 50))
        return ",".join(map(type(self).number, self._taken))

    @query(":FETCh", "[:SENSe]:DATA[:LATest]")
    def fetch(self) -> float:
        """Return the latest reading."""
        return self._latest

    @command(":INITiate[:IMMediate]")
    def initiate(self) -> None:
        """Take readings for the buffer."""
        self.read()

    @command(":ABORt")
    def stop(self) -> None:
        """Go back to idle."""
        self.abort()

    @command("[:SENSe]:VOLTage[:DC]:CHANnel<1-2>:REFerence:ACQuire")
    def acquire_offset(self, channel: int) -> None:
        """Take the present voltage as the zero."""
        self.values["offset", (channel,)] = self.input(channel)

    @command("[:SENSe]:TEMPerature:CHANnel<1-2>:REFerence:ACQuire")
    def acquire_temperature(self, channel: int) -> None:
        """Take the present temperature as the zero."""
        return

    @query("[:SENSe]:TEMPerature:RTEMperature")
    def internal_temperature(self) -> float:
        """Return the temperature inside, degrees Celsius."""
        return 23.0

    @query(":CALCulate2:IMMediate", ":CALCulate2:DATA")
    def statistics(self) -> float:
        """Return the chosen statistic of the buffer, or of the last readings."""
        return statistic(self.statistic, self._buffer or self._taken)

    @command("*TRG")
    def trigger(self) -> None:
        """Take a reading for the buffer."""
        self.read()
