"""Yokogawa GS200: a quiet source of direct voltage or current, with a program that ramps by itself."""

from labneuro.simulators.rack.parameters import Number, Switch, Text, Word
from labneuro.simulators.rack.replies import engineering, scientific
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sources import Source, Terminals, driven
from labneuro.simulators.rack.table import Setting, command, query

_RANGES = {"VOLT": (10e-3, 100e-3, 1.0, 10.0, 30.0), "CURR": (1e-3, 10e-3, 100e-3, 200e-3)}
_FULL_SCALE = {30.0: 32.0, 200e-3: 200e-3}
_RESOLUTION = {30.0: 1e-3, 200e-3: 1e-6}
_END_OF_PROGRAM = 1 << 7
_LIMITING = 1 << 11


def _largest_on(full: float) -> float:
    return _FULL_SCALE.get(full, 1.2 * full)


def _largest(function: str) -> float:
    return _FULL_SCALE[_RANGES[function][-1]]


class GS200(Source):
    """The GS210 with its monitor; the ports are those of each source."""

    identity = "YOKOGAWA,GS210,91T926460,2.02"
    options = "/MON"
    number = staticmethod(scientific(5))
    summaries = {"EXTended": 1}  # noqa: RUF012

    def reset(self) -> None:
        """Return to 0 V on the 1 V range, output off."""
        super().reset()
        self._point = 0.0
        self._range = 1.0
        self._program: list[float] = []
        self._editing = False
        self._run: tuple[float, float, list[float], float, float] | None = None
        self.changed()

    def level_now(self) -> float:
        """Return the level, V or A, as the program has brought it about so far."""
        if self._run:
            start, first, points, interval, slope = self._run
            elapsed = self.clock.now() - start
            if elapsed >= interval * len(points):
                self._run, self._point = None, points[-1]
                self.status.registers["EXTended"].event |= _END_OF_PROGRAM
                return self._point
            step = int(elapsed // interval)
            since = points[step - 1] if step else first
            done = min(1.0, (elapsed - step * interval) / slope) if slope else 1.0
            return since + done * (points[step] - since)
        return self._point

    def settled(self) -> Terminals:
        """Return what the terminals come to."""
        by_voltage = self.function == "VOLT"
        limit = self.current_limit if by_voltage else self.voltage_limit
        return driven(self.level_now(), limit, self.resistance(), by_voltage=by_voltage)

    def _select(self, function: str) -> None:
        if function == self.function:
            return
        if self.output:
            raise ScpiError(-221, function)
        self.function = function
        self._point, self._range = 0.0, _RANGES[function][-2]

    def _set_range(self, value: float) -> None:
        if abs(self._point) > _largest_on(value):
            raise ScpiError(-221, f"level {self._point}")
        self._change_range(value)
        self.changed()

    def _change_range(self, full: float) -> None:
        old, self._range = self._range, full
        self.spike(old, full, by_voltage=self.function == "VOLT")

    def _set_level(self, level: float) -> None:
        if self._editing:
            self._program.append(level)
            return
        self._run = None
        self._point = level
        self.changed()

    def _set_level_and_range(self, level: float) -> None:
        if self._editing:
            raise ScpiError(-221, "editing a program")
        self._change_range(next(r for r in _RANGES[self.function] if abs(level) <= _largest_on(r)))
        self._set_level(level)

    def _unit(self) -> str:
        return "V" if self.function == "VOLT" else "A"

    def full_scale(self) -> float:
        """Return the largest level of the range."""
        return _largest_on(self._range)

    def _resolution(self) -> float:
        return _RESOLUTION.get(self._range, self._range * 1e-5)

    def _switch(self, on: bool) -> None:
        self.output = on
        self._run = None
        self.changed()

    output = Setting(":OUTPut[:STATe]", kind=Switch(), set=_switch)
    function = Setting("[:SOURce]:FUNCtion", kind=Word("VOLTage", "CURRent"), set=_select)
    range = Setting(
        "[:SOURce]:RANGe",
        kind=Number(
            1.0, 0, lambda s: _RANGES[s.function][-1], _unit, steps=lambda s: _RANGES[s.function], reply=engineering
        ),
        get=lambda self: self._range,
        set=_set_range,
    )
    level = Setting(
        "[:SOURce]:LEVel[:FIXed]",
        kind=Number(0.0, lambda s: -s.full_scale(), full_scale, _unit, resolution=_resolution),
        get=level_now,
        set=_set_level,
    )
    level_on_any_range = Setting(
        "[:SOURce]:LEVel:AUTO",
        kind=Number(0.0, lambda s: -_largest(s.function), lambda s: _largest(s.function), _unit),
        get=level_now,
        set=_set_level_and_range,
    )
    voltage_limit = Setting("[:SOURce]:PROTection:VOLTage", kind=Number(30.0, 1, 30, "V", resolution=1.0))
    current_limit = Setting("[:SOURce]:PROTection:CURRent", kind=Number(0.2, 1e-3, 0.2, "A", resolution=1e-3))

    interval = Setting(":PROGram:INTerval", kind=Number(1.0, 0.1, 3600, "S", resolution=0.1))
    slope = Setting(":PROGram:SLOPe", kind=Number(0.0, 0, 3600, "S", resolution=0.1))

    settings = (
        Setting(":PROGram:REPeat", kind=Switch()),
        Setting(":PROGram:COUNt", kind=Number(1, 1, 10_000, whole=True)),
        Setting(":PROGram:TRIGger", kind=Word("NORMal", "MEND")),
        Setting(":PROGram:SAVE", kind=Text()),
        Setting(":PROGram:LOAD", kind=Text()),
        Setting(":SENSe[:STATe]", kind=Switch()),
        Setting(":SENSe:NPLC", kind=Number(1, 1, 25, whole=True)),
        Setting(":SENSe:DELay", kind=Number(0, 0, 999_999, "MS", whole=True)),
        Setting(":SENSe:TRIGger", kind=Word("READy", "TIMer", "COMMunicate", "IMMediate")),
        Setting(":SENSe:INTerval", kind=Number(0.1, 0.1, 3600, "S", resolution=0.1)),
        Setting(":SENSe:REMote", kind=Switch()),
        Setting(":SENSe:GUARd", kind=Switch()),
        Setting(":SENSe:ZERo:AUTO", kind=Switch(default=True)),
        Setting(":ROUTe:BNCO", kind=Word("TRIGger", "OUTPut", "READy")),
        Setting(":ROUTe:BNCI", kind=Word("TRIGger", "OUTPut")),
    )

    @query(":MEASure", ":FETCh", ":READ")
    def measure(self) -> float:
        """Return what is measured of the other quantity; it takes an output that is on."""
        if not self.output:
            raise ScpiError(-221, "output off")
        voltage, current, _ = self.terminals()
        return current if self.function == "VOLT" else voltage

    @query(":SYSTem:LFRequency")
    def line_frequency(self) -> int:
        """Return the mains frequency, Hz."""
        return 50

    @command(":PROGram:EDIT:STARt")
    def start_editing(self) -> None:
        """Take levels as points of a program from now on."""
        self._program, self._editing = [], True

    @command(":PROGram:EDIT:END")
    def end_editing(self) -> None:
        """Take levels as levels again."""
        self._editing = False

    @command(":PROGram:RUN")
    def run_program(self) -> None:
        """Go through the program from the present level; the end sets a bit in the event register."""
        if not self.output or not self._program or self._editing:
            raise ScpiError(-221, "program can't run")
        self._run = (self.clock.now(), self.level_now(), self._program, self.interval, self.slope)
        self.overlap(self.interval * len(self._program))

    @command(":PROGram:HOLD", ":PROGram:PAUSe")
    def hold_program(self) -> None:
        """Stop where the program is."""
        self._point, self._run = self.level_now(), None
        self.abort()

    @query(":STATus:CONDition")
    def condition(self) -> int:
        """Return the condition register; bit 11 says that the output limits."""
        return _LIMITING if self.limited else 0

    @query(":STATus:EVENt")
    def take_events(self) -> int:
        """Return the extended event register and clear it."""
        self.level_now()
        return self.status.registers["EXTended"].take()

    @query(":STATus:ENABle")
    def enabled_events(self) -> int:
        """Return which extended events are summed up in the status byte."""
        return self.status.registers["EXTended"].enable

    @command(":STATus:ENABle", takes=[Number(0, 0, 65535, whole=True)])
    def enable_events(self, bits: float) -> None:
        """Choose which extended events are summed up in the status byte."""
        self.status.registers["EXTended"].enable = int(bits)
