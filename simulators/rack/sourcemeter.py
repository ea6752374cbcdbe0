"""What source-measure units of Keithley have in common: sources of both quantities, and their ranges."""

from labneuro.simulators.rack.keithley import Keithley
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sources import Source, Terminals, driven
from labneuro.simulators.rack.table import Setting

VOLTAGES = (0.2, 2.0, 20.0, 200.0)
CURRENTS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
RESISTANCES = (20.0, 200.0, 2e3, 2e4, 2e5, 2e6, 2e7, 2e8)
_OVER = 1.05

FUNCTION = Word(
    "CURR:DC",
    "VOLT:DC",
    "RES",
    quoted=True,
    aliases={
        "VOLT": "VOLT:DC",
        "VOLTAGE": "VOLT:DC",
        "VOLTAGE:DC": "VOLT:DC",
        "CURR": "CURR:DC",
        "CURRENT": "CURR:DC",
        "CURRENT:DC": "CURR:DC",
        "RESISTANCE": "RES",
    },
)


class SourceMeter(Keithley, Source):
    """What both have: a source of voltage or current, a limit on the other; the ports are those of each source."""

    function: Setting[str]
    voltage_level: Setting[float]
    current_level: Setting[float]
    voltage_limit: Setting[float]
    current_limit: Setting[float]

    def reset(self) -> None:
        """Return to 0 V, output off."""
        super().reset()
        self.changed()

    def settled(self) -> Terminals:
        """Return what the terminals come to."""
        if self.function == "VOLT":
            return driven(self.voltage_level, self.current_limit, self.resistance(), by_voltage=True)
        return driven(self.current_level, self.voltage_limit, self.resistance(), by_voltage=False)

    def _switch(self, on: bool) -> None:
        self.output = on
        self.changed()

    def _choose(self, function: str) -> None:
        self.function = function
        self.changed()

    def _set_voltage(self, volts: float) -> None:
        self._fit("voltage", volts, VOLTAGES)

    def _set_current(self, amperes: float) -> None:
        self._fit("current", amperes, CURRENTS)

    def _fit(self, quantity: str, level: float, ranges: tuple[float, ...]) -> None:
        """Keep a level on its range, which follows it in autorange."""
        if getattr(self, f"{quantity}_autorange"):
            self._change_range(quantity, next(r for r in ranges if abs(level) <= _OVER * r))
        elif abs(level) > _OVER * getattr(self, f"{quantity}_range"):
            raise ScpiError(-222, str(level))
        self.values[f"{quantity}_level", ()] = level
        self.changed()

    def _set_voltage_range(self, volts: float) -> None:
        self._choose_range("voltage", volts)

    def _set_current_range(self, amperes: float) -> None:
        self._choose_range("current", amperes)

    def _choose_range(self, quantity: str, full: float) -> None:
        if abs(getattr(self, f"{quantity}_level")) > _OVER * full:
            raise ScpiError(-221, f"{quantity} level")
        self._change_range(quantity, full)
        self.values[f"{quantity}_autorange", ()] = False
        self.changed()

    def _change_range(self, quantity: str, full: float) -> None:
        old, by_voltage = getattr(self, f"{quantity}_range"), self.function == "VOLT"
        self.values[f"{quantity}_range", ()] = full
        if by_voltage == (quantity == "voltage"):
            self.spike(old, full, by_voltage=by_voltage)

    def limit_voltage(self, volts: float) -> None:
        """Set the limit of a current source, V."""
        self.voltage_limit = volts
        self.changed()

    def limit_current(self, amperes: float) -> None:
        """Set the limit of a voltage source, A."""
        self.current_limit = amperes
        self.changed()

    output = Setting(":OUTPut[:STATe]", kind=Switch(), set=_switch)
    function = Setting(":SOURce:FUNCtion[:MODE]", kind=Word("VOLTage", "CURRent"), set=_choose)
    voltage_level = Setting(
        ":SOURce:VOLTage[:LEVel][:IMMediate][:AMPLitude]", kind=Number(0, -210, 210, "V"), set=_set_voltage
    )
    current_level = Setting(
        ":SOURce:CURRent[:LEVel][:IMMediate][:AMPLitude]", kind=Number(0, -1.05, 1.05, "A"), set=_set_current
    )
    voltage_range = Setting(
        ":SOURce:VOLTage:RANGe", kind=Number(20, -210, 210, "V", steps=VOLTAGES), set=_set_voltage_range
    )
    current_range = Setting(
        ":SOURce:CURRent:RANGe", kind=Number(1e-4, -1.05, 1.05, "A", steps=CURRENTS), set=_set_current_range
    )
    voltage_autorange = Setting(":SOURce:VOLTage:RANGe:AUTO", kind=Switch(default=True))
    current_autorange = Setting(":SOURce:CURRent:RANGe:AUTO", kind=Switch(default=True))


def measure_range(function: str, default: float, full: float, unit: str, steps: tuple[float, ...]) -> Setting[float]:
    """Return the measuring range of a function."""
    return Setting(f"[:SENSe]:{function}:RANGe[:UPPer]", kind=Number(default, -full, full, unit, steps=steps))
