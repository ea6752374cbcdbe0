"""Keithley 2400: source-measure unit in its SCPI of 1996."""

import math

from labneuro.simulators.rack.keithley import Buffered, statistic
from labneuro.simulators.rack.parameters import Number, Omissible, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sourcemeter import CURRENTS, FUNCTION, RESISTANCES, VOLTAGES, SourceMeter, measure_range
from labneuro.simulators.rack.table import Setting, command, query, switches

_COMPLIANCE = 1 << 3
_AUTOZERO = Word("1", "0", aliases={"ON": "1", "OFF": "0", "ONCE": "0"})
_LINE = Number(1, 1, 4, whole=True)


class Keithley2400(Buffered, SourceMeter):
    """The 2400 in its SCPI of 1996."""

    identity = "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32   Mar  4 2011 09:32:39/A02  /K/J"
    _ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT")

    def reset(self) -> None:
        """Return to 0 V, 105 uA compliance, current measured, output off."""
        self.measured = {"CURR:DC"}
        self.elements = set(self._ELEMENTS)
        self._latest: dict[str, float] = {}
        super().reset()

    voltage_limit = Setting(
        "[:SENSe]:VOLTage[:DC]:PROTection[:LEVel]",
        kind=Number(21, 2e-4, 210, "V"),
        set=SourceMeter.limit_voltage,
    )
    current_limit = Setting(
        "[:SENSe]:CURRent[:DC]:PROTection[:LEVel]",
        kind=Number(1.05e-4, 1e-9, 1.05, "A"),
        set=SourceMeter.limit_current,
    )
    statistic = Setting(":CALCulate3:FORMat", kind=Word("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"))
    buffer_size = Setting(":TRACe:POINts", kind=Number(100, 1, 2500, whole=True))

    def _set_count(self, layer: str, count: float) -> None:
        other = self.values.get(("armed" if layer == "triggered" else "triggered", ()), 1.0)
        if count * other > 2500:
            raise ScpiError(-221, "more than 2500 readings")
        self.values[layer, ()] = count

    armed = Setting(
        ":ARM:COUNt",
        kind=Number(1, 1, 2500, whole=True, infinite=True),
        set=lambda self, count: self._set_count("armed", count),
    )
    triggered = Setting(
        ":TRIGger:COUNt",
        kind=Number(1, 1, 2500, whole=True),
        set=lambda self, count: self._set_count("triggered", count),
    )
    clears_itself = Setting(":SOURce:CLEar:AUTO", kind=Switch())
    settings = (
        measure_range("VOLTage[:DC]", 21, 210, "V", tuple(1.05 * v for v in VOLTAGES)),
        measure_range("CURRent[:DC]", 1.05e-4, 1.05, "A", tuple(1.05 * i for i in CURRENTS)),
        measure_range("RESistance", 2.1e5, 2.1e8, "OHM", tuple(1.05 * r for r in RESISTANCES)),
        *(Setting(f"[:SENSe]:{f}:RANGe:AUTO", kind=Switch(default=True)) for f in ("VOLTage[:DC]", "CURRent[:DC]")),
        Setting("[:SENSe]:RESistance:RANGe:AUTO", kind=Switch(default=True)),
        *(
            Setting(f"[:SENSe]:{f}:NPLCycles", kind=Number(1, 0.01, 10))
            for f in ("VOLTage[:DC]", "CURRent[:DC]", "RESistance")
        ),
        Setting("[:SENSe]:RESistance:MODE", kind=Word("AUTO", "MANual")),
        Setting("[:SENSe]:FUNCtion:CONCurrent", kind=Switch(default=True)),
        Setting("[:SENSe]:AVERage[:STATe]", kind=Switch()),
        Setting("[:SENSe]:AVERage:TCONtrol", kind=Word("REPeat", "MOVing")),
        Setting("[:SENSe]:AVERage:COUNt", kind=Number(10, 1, 100, whole=True)),
        Setting(":SOURce:DELay", kind=Number(1e-3, 0, 9999.999, "S")),
        Setting(":SOURce:DELay:AUTO", kind=Switch(default=True)),
        Setting(":SOURce:VOLTage:MODE", kind=Word("FIXed", "SWEep", "LIST")),
        Setting(":SOURce:CURRent:MODE", kind=Word("FIXed", "SWEep", "LIST")),
        Setting(":SOURce:VOLTage:PROTection[:LEVel]", kind=Number(210, 20, 210, "V")),
        Setting(":OUTPut:SMODe", kind=Word("NORMal", "HIMPedance", "ZERO", "GUARd")),
        Setting(":SYSTem:AZERo[:STATe]", kind=_AUTOZERO),
        *switches(":SYSTem:RSENse", ":SYSTem:LFRequency:AUTO"),
        Setting(":SYSTem:LFRequency", kind=Number(50, 50, 60, whole=True)),
        Setting(":ROUTe:TERMinals", kind=Word("FRONt", "REAR")),
        Setting(":TRIGger:DELay", kind=Number(0, 0, 999.9999, "S")),
        Setting(":TRIGger:SOURce", kind=Word("IMMediate", "TLINk")),
        Setting(":TRIGger:OUTPut", kind=Word("NONE", "SOURce", "DELay", "SENSe")),
        Setting(":TRIGger:ILINe", kind=_LINE),
        Setting(":TRIGger:OLINe", kind=Number(2, 1, 4, whole=True)),
        Setting(":ARM:TIMer", kind=Number(0.1, 1e-3, 99_999.99, "S")),
        Setting(
            ":ARM:SOURce",
            kind=Word("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest"),
        ),
        Setting(":ARM:OUTPut", kind=Word("NONE", "TENTer", "TEXit")),
        Setting(":ARM:ILINe", kind=_LINE),
        Setting(":ARM:OLINe", kind=Number(2, 1, 4, whole=True)),
    )
    line_frequency = None

    @query("[:SENSe]:VOLTage[:DC]:PROTection:TRIPped", "[:SENSe]:CURRent[:DC]:PROTection:TRIPped")
    def tripped(self) -> bool:
        """Whether the output is in compliance."""
        return self.limited

    @command("[:SENSe]:FUNCtion[:ON]", takes=[FUNCTION, Omissible(FUNCTION), Omissible(FUNCTION)])
    def measure_functions(self, *functions: str) -> None:
        """Measure these as well."""
        self.measured |= set(functions)

    @command("[:SENSe]:FUNCtion:OFF", takes=[FUNCTION, Omissible(FUNCTION), Omissible(FUNCTION)])
    def drop_functions(self, *functions: str) -> None:
        """Measure these no longer."""
        self.measured -= set(functions)

    @command("[:SENSe]:FUNCtion[:ON]:ALL")
    def measure_all(self) -> None:
        """Measure voltage, current and resistance."""
        self.measured = {"VOLT:DC", "CURR:DC", "RES"}

    @command("[:SENSe]:FUNCtion:OFF:ALL")
    def measure_nothing(self) -> None:
        """Measure nothing."""
        self.measured = set()

    @query("[:SENSe]:FUNCtion[:ON]")
    def measured_functions(self) -> str:
        """Return what is measured."""
        return ",".join(f'"{f}"' for f in ("VOLT:DC", "CURR:DC", "RES") if f in self.measured)

    @command(
        ":FORMat:ELEMents[:SENSe]",
        takes=[Omissible(Word("VOLTage", "CURRent", "RESistance", "TIME", "STATus"))] * 5,
    )
    def choose_elements(self, *elements: str) -> None:
        """Choose what a reading consists of; its order is fixed."""
        self.elements = set(elements)

    @query(":FORMat:ELEMents[:SENSe]")
    def chosen_elements(self) -> str:
        """Return what a reading consists of."""
        return ",".join(e for e in self._ELEMENTS if e in self.elements)

    @query(":READ")
    def read(self) -> str:
        """Source, measure, and return the readings; with the output off, error 803."""
        if not self.output and not self.clears_itself:
            raise ScpiError(803, text="Not permitted with OUTPUT off")
        was_on = self.output
        self._switch(True)
        replies: list[str] = []
        for _ in range(int(min(self.armed, 2500) * self.triggered)):
            self._take()
            replies.append(self._written())
        if not was_on or self.clears_itself:
            self._switch(False)
        return ",".join(replies)

    def _take(self) -> None:
        voltage, current, limited = self.terminals()
        self.status.registers["MEASurement"].switch(1 << 14, limited)
        by_voltage = self.function == "VOLT"
        resistance = voltage / current if current else math.inf
        self._latest = {
            "VOLT": voltage if "VOLT:DC" in self.measured else self.voltage_level if by_voltage else math.nan,
            "CURR": current if "CURR:DC" in self.measured else math.nan if by_voltage else self.current_level,
            "RES": resistance if "RES" in self.measured else math.nan,
            "TIME": self.clock.now(),
            "STAT": float(_COMPLIANCE if limited else 0),
        }
        self.store([self._latest[e] for e in self._ELEMENTS if e in self.elements])

    def _written(self) -> str:
        return ",".join(type(self).number(self._latest[e]) for e in self._ELEMENTS if e in self.elements)

    @query(":FETCh", ":SENSe:DATA[:LATest]")
    def fetch(self) -> str:
        """Return the latest reading."""
        if not self._latest:
            raise ScpiError(-230)
        return self._written()

    @query(":MEASure:VOLTage[:DC]")
    def measure_voltage(self) -> str:
        """Measure voltage only."""
        return self._measure("VOLT:DC")

    @query(":MEASure:CURRent[:DC]")
    def measure_current(self) -> str:
        """Measure current only."""
        return self._measure("CURR:DC")

    @query(":MEASure:RESistance")
    def measure_resistance(self) -> str:
        """Measure resistance only."""
        return self._measure("RES")

    def _measure(self, function: str) -> str:
        self.measured = {function}
        return self.read()

    @command(":INITiate[:IMMediate]")
    def initiate(self) -> None:
        """Take the readings that the trigger layers count."""
        self.read()

    @command(":ABORt", ":TRIGger:CLEar")
    def stop(self) -> None:
        """Go back to idle."""
        self.abort()

    @command("*TRG")
    def trigger(self) -> None:
        """Pass the bus event to the arm layer."""
        return

    @command(":SOURce:CLEar[:IMMediate]")
    def clear_source(self) -> None:
        """Switch the output off."""
        self._switch(False)

    @query(":CALCulate3:DATA")
    def statistics(self) -> str:
        """Return the chosen statistic of the buffer for voltage, current and resistance, as far as it has them."""
        elements = [e for e in self._ELEMENTS if e in self.elements]
        return ",".join(
            type(self).number(statistic(self.statistic, self._buffer[elements.index(e) :: len(elements)]))
            for e in self._ELEMENTS[:3]
            if e in elements
        )
