"""What source-measure units of Keithley have in common: a source, a limit, what stands at the terminals."""

import math

from labneuro.clock import Clock
from labneuro.simulators.rack.keithley import Keithley
from labneuro.simulators.rack.parameters import Number, Switch, Word
from labneuro.simulators.rack.scpi import ScpiError
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


class SourceMeter(Keithley):
    """What both have: a source of voltage or current, a limit on the other.

    Ports: `voltage`, V, and `current`, A, at the terminals, 0 while the output is off; `resistance` there, ohm.
    """

    output: Setting[bool]
    function: Setting[str]
    voltage_level: Setting[float]
    current_level: Setting[float]
    voltage_limit: Setting[float]
    current_limit: Setting[float]

    def __init__(self, clock: Clock) -> None:
        self.resistance = lambda: 50.0
        super().__init__(clock)

    def reset(self) -> None:
        """Return to 0 V, output off."""
        super().reset()
        self.changed()

    @property
    def voltage(self) -> float:
        """Voltage at the terminals, V."""
        return self.terminals()[0]

    @property
    def current(self) -> float:
        """Current through the terminals, A."""
        return self.terminals()[1]

    @property
    def limited(self) -> bool:
        """Whether the limit holds the output back."""
        return self.terminals()[2]

    def terminals(self) -> tuple[float, float, bool]:
        """Return voltage, V, and current, A, at the terminals, and whether the limit holds."""
        if not self.output:
            return 0.0, 0.0, False
        resistance = self.resistance()
        if self.function == "VOLT":
            wanted = self.voltage_level / resistance if resistance else math.copysign(math.inf, self.voltage_level)
            limited = abs(wanted) > self.current_limit
            current = math.copysign(self.current_limit, wanted) if limited else wanted
            return (current * resistance if limited else self.voltage_level), current, limited
        wanted = self.current_level * resistance
        limited = abs(wanted) > self.voltage_limit
        voltage = math.copysign(self.voltage_limit, wanted) if limited else wanted
        return voltage, (voltage / resistance if limited else self.current_level), limited

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
            self.values[f"{quantity}_range", ()] = next(r for r in ranges if abs(level) <= _OVER * r)
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
        self.values[f"{quantity}_range", ()] = full
        self.values[f"{quantity}_autorange", ()] = False
        self.changed()

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
