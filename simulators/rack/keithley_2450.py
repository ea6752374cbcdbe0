"""Keithley 2450: source-measure unit in its native SCPI."""

import math
from dataclasses import dataclass, field

from labneuro.clock import Clock
from labneuro.simulators.rack.keithley import statistic
from labneuro.simulators.rack.parameters import Number, Omissible, Switch, Text, Word
from labneuro.simulators.rack.replies import scientific
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sourcemeter import CURRENTS, FUNCTION, RESISTANCES, VOLTAGES, SourceMeter, measure_range
from labneuro.simulators.rack.table import Setting, command, query


@dataclass
class _Readings:
    size: int
    taken: list[dict[str, float]] = field(default_factory=list[dict[str, float]])


_BUFFER = Text("defbuffer1")
_ELEMENT = Word(
    "READing",
    "RELative",
    "SEConds",
    "FRACtional",
    "SOURce",
    "SOURSTATus",
    "SOURUNIT",
    "SOURFORMatted",
    "FORMatted",
    "STATus",
    "DATE",
    "TIME",
    "TSTamp",
    "UNIT",
)
_FUNCTIONS = ("VOLTage[:DC]", "CURRent[:DC]", "RESistance")
_STYLE = Word("STANdard", "COMPact", "FULL", "WRITable", aliases={"": "STAN"})


class Keithley2450(SourceMeter):
    """The 2450 in its native SCPI."""

    identity = "KEITHLEY INSTRUMENTS,MODEL 2450,04123456,1.7.12b"
    number = staticmethod(scientific(6, signed=False))

    def __init__(self, clock: Clock) -> None:
        self.language = "SCPI"
        super().__init__(clock)

    def reset(self) -> None:
        """Return to 0 V, 105 uA limit, current measured, two empty buffers."""
        self.buffers = {"defbuffer1": _Readings(100_000), "defbuffer2": _Readings(100_000)}
        self._sweep: tuple[list[float], float, str] | None = None
        super().reset()

    measured = Setting("[:SENSe]:FUNCtion[:ON]", kind=FUNCTION, set=lambda self, word: self._sense(word))
    voltage_limit = Setting(
        ":SOURce:CURRent:VLIMit[:LEVel]", kind=Number(21, 0.02, 210, "V"), set=SourceMeter.limit_voltage
    )
    current_limit = Setting(
        ":SOURce:VOLTage:ILIMit[:LEVel]", kind=Number(1.05e-4, 1e-9, 1.05, "A"), set=SourceMeter.limit_current
    )
    count = Setting("[:SENSe]:COUNt", kind=Number(1, 1, 300_000, whole=True))
    settings = (
        measure_range("VOLTage[:DC]", 2e-2, 210, "V", (0.02, *VOLTAGES)),
        measure_range("CURRent[:DC]", 1e-4, 1.05, "A", (1e-8, 1e-7, *CURRENTS)),
        measure_range("RESistance", 2e5, 2.1e8, "OHM", RESISTANCES),
        *(Setting(f"[:SENSe]:{f}:RANGe:AUTO", kind=Switch(default=True)) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:NPLCycles", kind=Number(1, 0.01, 10)) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:RSENse", kind=Switch()) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:AZERo[:STATe]", kind=Switch(default=True)) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:DELay:USER<1-5>", kind=Number(0, 0, 1e4, "S")) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:AVERage[:STATe]", kind=Switch()) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:AVERage:TCONtrol", kind=Word("REPeat", "MOVing")) for f in _FUNCTIONS),
        *(Setting(f"[:SENSe]:{f}:AVERage:COUNt", kind=Number(10, 1, 100, whole=True)) for f in _FUNCTIONS),
        *(Setting(f":SOURce:{f}:DELay", kind=Number(0, 0, 1e4, "S")) for f in ("VOLTage", "CURRent")),
        *(Setting(f":SOURce:{f}:DELay:AUTO", kind=Switch(default=True)) for f in ("VOLTage", "CURRent")),
        *(Setting(f":SOURce:{f}:DELay:USER<1-5>", kind=Number(0, 0, 1e4, "S")) for f in ("VOLTage", "CURRent")),
        *(Setting(f":SOURce:{f}:READ:BACK", kind=Switch(default=True)) for f in ("VOLTage", "CURRent")),
        *(
            Setting(f":OUTPut:{f}:SMODe", kind=Word("NORMal", "HIMPedance", "ZERO", "GUARd"))
            for f in ("VOLTage", "CURRent")
        ),
        Setting(":ROUTe:TERMinals", kind=Word("FRONt", "REAR")),
    )

    def _sense(self, function: str) -> None:
        self.measured = function

    @query("*LANG")
    def language_set(self) -> str:
        """Return the command language."""
        return self.language

    @command("*LANG", takes=[Word("SCPI", "TSP", "SCPI2400")])
    def set_language(self, language: str) -> None:
        """Choose the command language of the next power-up; only SCPI is emulated."""
        if language != "SCPI":
            raise ScpiError(-221, language)

    @query(":SOURce:CURRent:VLIMit[:LEVel]:TRIPped", ":SOURce:VOLTage:ILIMit[:LEVel]:TRIPped")
    def tripped(self) -> bool:
        """Whether the limit holds the output back."""
        return self.limited

    @query(":OUTPut:INTerlock:TRIPped")
    def interlock(self) -> bool:
        """Whether the interlock is asserted, so that 200 V would be let out."""
        return False

    @command("[:SENSe]:AZERo:ONCE")
    def zero_once(self) -> None:
        """Measure the reference once."""
        return

    @command(":STATus:CLEar")
    def clear_events(self) -> None:
        """Clear the event registers."""
        for register in self.status.registers.values():
            register.event = 0

    def _buffer(self, name: str) -> _Readings:
        if name not in self.buffers:
            raise ScpiError(-224, name)
        return self.buffers[name]

    def _take(self, buffer: _Readings) -> dict[str, float]:
        voltage, current, _ = self.terminals()
        match self.measured:
            case "VOLT:DC":
                reading = voltage
            case "CURR:DC":
                reading = current
            case _:
                reading = voltage / current if current else math.inf
        source = voltage if self.function == "VOLT" else current
        start = buffer.taken[0]["SEC"] if buffer.taken else self.clock.now()
        taken = {"READ": reading, "SOUR": source, "SEC": self.clock.now(), "REL": self.clock.now() - start}
        buffer.taken = [*buffer.taken[-buffer.size + 1 :], taken]
        return taken

    def _written(self, taken: dict[str, float], elements: tuple[str, ...]) -> str:
        return ",".join(
            type(self).number(taken[element]) if element in taken else self._word(element, taken)
            for element in elements or ("READ",)
        )

    def _word(self, element: str, taken: dict[str, float]) -> str:
        """Write an element that isn't a plain number."""
        unit = {"VOLT:DC": "Volt DC", "CURR:DC": "Amp DC", "RES": "Ohm"}[self.measured]
        source_unit = "Volt DC" if self.function == "VOLT" else "Amp DC"
        return {
            "FRAC": type(self).number(taken["SEC"] % 1),
            "FORM": f"{taken['READ']:.6E} {unit}",
            "SOURFORM": f"{taken['SOUR']:.6E} {source_unit}",
            "SOURSTAT": "16",
            "SOURUNIT": source_unit,
            "STAT": "8",
            "UNIT": unit,
        }.get(element, f"{taken['SEC']:.6f}")

    _ELEMENTS_TAKEN = (Omissible(_BUFFER), *[Omissible(_ELEMENT)] * 14)

    @query(":MEASure", ":READ", takes=_ELEMENTS_TAKEN)
    def read(self, name: str = "defbuffer1", *elements: str) -> str:
        """Take as many readings as are counted into a buffer and return the last."""
        buffer = self._buffer(name)
        taken: dict[str, float] = {}
        for _ in range(int(self.count)):
            taken = self._take(buffer)
        return self._written(taken, elements)

    @query(":FETCh", takes=_ELEMENTS_TAKEN)
    def fetch(self, name: str = "defbuffer1", *elements: str) -> str:
        """Return the latest reading of a buffer."""
        buffer = self._buffer(name)
        if not buffer.taken:
            raise ScpiError(-230)
        return self._written(buffer.taken[-1], elements)

    @command(":TRACe:TRIGger", takes=[Omissible(_BUFFER)])
    def fill(self, name: str = "defbuffer1") -> None:
        """Take readings into a buffer."""
        self.read(name)

    @command(":TRACe:MAKE", takes=[Text(), Number(10, 10, 6_875_000, whole=True), Omissible(_STYLE)])
    def make_buffer(self, name: str, size: float, style: str = "STAN") -> None:
        """Make a buffer."""
        if name in self.buffers:
            raise ScpiError(-221, name)
        self.buffers[name] = _Readings(int(size))

    @command(":TRACe:DELete", takes=[Text()])
    def delete_buffer(self, name: str) -> None:
        """Delete a buffer of one's own."""
        if name.startswith("defbuffer"):
            raise ScpiError(-221, name)
        self._buffer(name)
        del self.buffers[name]

    @command(":TRACe:CLEar", takes=[Omissible(_BUFFER)])
    def clear_buffer(self, name: str = "defbuffer1") -> None:
        """Empty a buffer."""
        self._buffer(name).taken = []

    @query(":TRACe:POINts", takes=[Omissible(_BUFFER)])
    def buffer_size(self, name: str = "defbuffer1") -> int:
        """Return how many readings a buffer holds."""
        return self._buffer(name).size

    @command(":TRACe:POINts", takes=[Number(10, 10, 6_875_000, whole=True), Omissible(_BUFFER)])
    def resize_buffer(self, size: float, name: str = "defbuffer1") -> None:
        """Resize a buffer, which empties it."""
        self._buffer(name).size = int(size)
        self.clear_buffer(name)

    @query(":TRACe:ACTual", takes=[Omissible(_BUFFER)])
    def buffer_count(self, name: str = "defbuffer1") -> int:
        """Return how many readings a buffer has."""
        return len(self._buffer(name).taken)

    @query(":TRACe:DATA", takes=[Number(1, 1, whole=True), Number(1, 1, whole=True), *_ELEMENTS_TAKEN])
    def buffer_data(self, first: float, last: float, name: str = "defbuffer1", *elements: str) -> str:
        """Return readings from `first` to `last`."""
        taken = self._buffer(name).taken[int(first) - 1 : int(last)]
        if not taken:
            raise ScpiError(-230)
        return ",".join(self._written(reading, elements) for reading in taken)

    def _statistic(self, word: str, name: str) -> float:
        return statistic(word, [taken["READ"] for taken in self._buffer(name).taken])

    @query(":TRACe:STATistics:AVERage", takes=[Omissible(_BUFFER)])
    def average(self, name: str = "defbuffer1") -> float:
        """Return the mean of a buffer."""
        return self._statistic("MEAN", name)

    @query(":TRACe:STATistics:MAXimum", takes=[Omissible(_BUFFER)])
    def maximum(self, name: str = "defbuffer1") -> float:
        """Return the largest reading of a buffer."""
        return self._statistic("MAX", name)

    @query(":TRACe:STATistics:MINimum", takes=[Omissible(_BUFFER)])
    def minimum(self, name: str = "defbuffer1") -> float:
        """Return the smallest reading of a buffer."""
        return self._statistic("MIN", name)

    @query(":TRACe:STATistics:STDDev", takes=[Omissible(_BUFFER)])
    def deviation(self, name: str = "defbuffer1") -> float:
        """Return the standard deviation of a buffer."""
        return self._statistic("SDEV", name)

    _SWEEP_OPTIONS = (
        Number(2, 2, 1_000_000, whole=True),
        Omissible(Number(0, -1, 1e4, "S")),
        Omissible(Number(1, 0, 268_435_455, whole=True)),
        Omissible(Word("BEST", "AUTO", "FIXed")),
        Omissible(Switch()),
        Omissible(Switch()),
        Omissible(_BUFFER),
    )

    @command(":SOURce:SWEep:VOLTage:LINear", takes=[Number(0, -210, 210), Number(0, -210, 210), *_SWEEP_OPTIONS])
    @command(":SOURce:SWEep:CURRent:LINear", takes=[Number(0, -1.05, 1.05), Number(0, -1.05, 1.05), *_SWEEP_OPTIONS])
    def prepare_sweep(
        self,
        start: float,
        stop: float,
        points: float,
        delay: float = 0,
        count: float = 1,
        ranging: str = "BEST",
        fail_abort: bool = True,
        dual: bool = False,
        name: str = "defbuffer1",
    ) -> None:
        """Prepare a sweep for INITiate."""
        self._buffer(name)
        there = [start + (stop - start) * k / (points - 1) for k in range(int(points))]
        back = there[-2::-1] if dual else []
        self._sweep = ((there + back) * int(max(count, 1)), max(delay, 0), name)

    @command(":INITiate[:IMMediate]")
    def initiate(self) -> None:
        """Run the sweep, which starts by clearing its buffer; the output stays at its end level, off."""
        if not self._sweep:
            raise ScpiError(-213)
        levels, delay, name = self._sweep
        self.clear_buffer(name)
        self._switch(True)
        for level in levels:
            self._set_voltage(level) if self.function == "VOLT" else self._set_current(level)
            self._take(self.buffers[name])
        self._switch(False)
        self.overlap(len(levels) * (delay + 0.02))

    @command(":ABORt")
    def stop(self) -> None:
        """End the sweep."""
        self.abort()

    @command("*TRG")
    def trigger(self) -> None:
        """Pass the bus event to the trigger model."""
        return
