"""Keithley 2636B: two source-measure units under one Test Script Processor."""

import math
from typing import Any, ClassVar

from labneuro.clock import Clock
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sources import Source, Terminals, driven
from labneuro.simulators.rack.tsp import Attribute, TspInstrument

VOLTAGES = (0.2, 2.0, 20.0, 200.0)
CURRENTS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 1.5)
OVER = 1.01
"""How far a level may go beyond its range."""

HIGH_RANGE = 20.0
"""Voltage range above which no more than 0.1 A flows, V."""

_SWITCH = (0.0, 1.0)

_CHANNEL = {
    "source.func": Attribute(1, choices=_SWITCH),
    "source.output": Attribute(0, choices=(0, 1, 2)),
    "source.levelv": Attribute(0, -200 * OVER, 200 * OVER),
    "source.leveli": Attribute(0, -1.5 * OVER, 1.5 * OVER),
    "source.limitv": Attribute(20, 20e-3, 200),
    "source.limiti": Attribute(0.1, 1e-10, 1.5),
    "source.limitp": Attribute(0, 0, 30),
    "source.rangev": Attribute(0.2, -200, 200),
    "source.rangei": Attribute(1e-7, -1.5, 1.5),
    "source.autorangev": Attribute(1, choices=_SWITCH),
    "source.autorangei": Attribute(1, choices=_SWITCH),
    "source.lowrangev": Attribute(0.2, 0.2, 200),
    "source.lowrangei": Attribute(1e-9, 1e-9, 1.5),
    "source.offmode": Attribute(0, choices=(0, 1, 2)),
    "source.offfunc": Attribute(1, choices=_SWITCH),
    "source.offlimiti": Attribute(1e-3, 1e-10, 1.5),
    "source.offlimitv": Attribute(40, 20e-3, 200),
    "source.delay": Attribute(0, -1, 1e4),
    "source.settling": Attribute(0, choices=(0, 1, 2, 3, 128)),
    "source.highc": Attribute(0, choices=_SWITCH),
    "source.sink": Attribute(0, choices=_SWITCH),
    "measure.nplc": Attribute(1, 1e-3, 25),
    "measure.rangev": Attribute(0.2, -200, 200),
    "measure.rangei": Attribute(1e-7, -1.5, 1.5),
    "measure.autorangev": Attribute(1, choices=_SWITCH),
    "measure.autorangei": Attribute(1, choices=_SWITCH),
    "measure.lowrangev": Attribute(0.2, 0.2, 200),
    "measure.lowrangei": Attribute(1e-10, 1e-10, 1.5),
    "measure.autozero": Attribute(2, choices=(0, 1, 2)),
    "measure.count": Attribute(1, 1, 60_000),
    "measure.interval": Attribute(0, 0, 1),
    "measure.delay": Attribute(0, -1, 1e4),
    "measure.delayfactor": Attribute(1, 0, 100),
    "measure.filter.enable": Attribute(0, choices=_SWITCH),
    "measure.filter.count": Attribute(1, 1, 100),
    "measure.filter.type": Attribute(1, choices=(0, 1, 2)),
    "nvbuffer1.appendmode": Attribute(0, choices=_SWITCH),
    "nvbuffer2.appendmode": Attribute(0, choices=_SWITCH),
    "sense": Attribute(0, choices=(0, 1, 3)),
}
_FUNCTIONS = {
    "reset": "_reset_channel",
    "abort": "_abort",
    "nvbuffer1.clear": "_clear_buffer",
    "nvbuffer2.clear": "_clear_buffer",
    **{f"measure.{quantity}": "_measure" for quantity in ("i", "v", "r", "p", "iv")},
}
_COMPUTED = {
    "source.compliance": "_compliance",
    "nvbuffer1.n": "_length",
    "nvbuffer2.n": "_length",
    "nvbuffer1.readings": "_readings",
    "nvbuffer2.readings": "_readings",
}
_CONSTANTS = {
    "OUTPUT_DCAMPS": 0.0, "OUTPUT_DCVOLTS": 1.0, "OUTPUT_OFF": 0.0, "OUTPUT_ON": 1.0, "OUTPUT_HIGH_Z": 2.0,
    "OUTPUT_NORMAL": 0.0, "OUTPUT_ZERO": 1.0, "AUTORANGE_OFF": 0.0, "AUTORANGE_ON": 1.0, "SENSE_LOCAL": 0.0,
    "SENSE_REMOTE": 1.0, "AUTOZERO_OFF": 0.0, "AUTOZERO_ONCE": 1.0, "AUTOZERO_AUTO": 2.0,
}  # fmt: skip
CHANNELS = ("smua", "smub")


class Keithley2636B(TspInstrument, Source):
    """The 2636B. Channel A is wired; channel B has nothing at its terminals."""

    identity = "Keithley Instruments Inc., Model 2636B, 4012345, 3.3.5"
    attributes: ClassVar[dict[str, Attribute]] = {
        **TspInstrument.attributes,
        **{f"{channel}.{path}": attribute for channel in CHANNELS for path, attribute in _CHANNEL.items()},
        **{f"display.{channel}.measure.func": Attribute(1, choices=(0, 1, 2, 3)) for channel in CHANNELS},
        "display.screen": Attribute(2, choices=(0, 1, 2, 3)),
        "beeper.enable": Attribute(1, choices=_SWITCH),
        "localnode.linefreq": Attribute(50, choices=(50, 60)),
        "localnode.prompts": Attribute(0, choices=_SWITCH),
        "localnode.showerrors": Attribute(0, choices=_SWITCH),
    }
    functions: ClassVar[dict[str, str]] = {
        **TspInstrument.functions,
        **{f"{channel}.{path}": name for channel in CHANNELS for path, name in _FUNCTIONS.items()},
        "display.clear": "_show_nothing",
        "display.settext": "_show_nothing",
        "display.setcursor": "_show_nothing",
        "beeper.beep": "_show_nothing",
    }
    computed: ClassVar[dict[str, str]] = {
        **TspInstrument.computed,
        **{f"{channel}.{path}": name for channel in CHANNELS for path, name in _COMPUTED.items()},
        **{f"status.measurement.instrument.{channel}.condition": "_condition" for channel in CHANNELS},
        **{f"localnode.{what}": "_describe" for what in ("model", "serialno", "version")},
    }
    constants: ClassVar[dict[str, float]] = {
        **TspInstrument.constants,
        **{f"{channel}.{name}": value for channel in CHANNELS for name, value in _CONSTANTS.items()},
    }

    def __init__(self, clock: Clock) -> None:
        self._buffers: dict[str, list[float]] = {}
        super().__init__(clock)

    def reset(self) -> None:
        """Return to 0 V, output off."""
        super().reset()
        self._buffers.clear()
        self.changed()

    @property
    def output(self) -> bool:  # type: ignore[override]
        """Whether channel A is on."""
        return self._of("smua", "source.output") == 1

    @property
    def voltage_level(self) -> float:
        """Level of channel A as a voltage source, V."""
        return self._of("smua", "source.levelv")

    @property
    def voltage_limit(self) -> float:
        """Limit of channel A as a current source, V."""
        return self._of("smua", "source.limitv")

    @property
    def current_limit(self) -> float:
        """Limit of channel A as a voltage source, A."""
        return self._of("smua", "source.limiti")

    def settled(self) -> Terminals:
        """Return what the terminals of channel A come to."""
        return self._settled("smua", self.resistance())

    def set(self, path: str, value: object) -> tuple[Any, ...]:
        """Set an attribute; a level must be within its range, which follows it in autorange."""
        channel, _, name = path.partition(".")
        before = dict(self.values)
        super().set(path, value)
        if channel in CHANNELS:
            try:
                self._settle_ranges(channel, name)
            except ScpiError:
                self.values = before
                raise
            self.changed()
        return ()

    def _settle_ranges(self, channel: str, name: str) -> None:
        group, _, quantity = name.rpartition(".")
        kind = quantity[-1:]
        ranges = VOLTAGES if kind == "v" else CURRENTS
        if quantity in {"rangev", "rangei"}:
            wanted = abs(self._of(channel, name))
            self.values[f"{channel}.{name}", ()] = next(full for full in ranges if wanted <= full)
            self.values[f"{channel}.{group}.autorange{kind}", ()] = 0.0
        if group != "source":
            return
        for kind, ranges in (("v", VOLTAGES), ("i", CURRENTS)):
            level = abs(self._of(channel, f"source.level{kind}"))
            if self._of(channel, f"source.autorange{kind}"):
                full = next(full for full in ranges if level <= OVER * full)
                self.values[f"{channel}.source.range{kind}", ()] = full
            elif level > OVER * self._of(channel, f"source.range{kind}"):
                raise ScpiError(1102, name, text="Parameter too big")
        by_voltage = self._of(channel, "source.func") == 1
        volts = self._of(channel, "source.rangev" if by_voltage else "source.limitv")
        amperes = self._of(channel, "source.limiti" if by_voltage else "source.leveli")
        if volts > HIGH_RANGE and abs(amperes) > 0.1 * OVER:
            raise ScpiError(-221, name)

    def _of(self, channel: str, name: str) -> float:
        return float(self.get(f"{channel}.{name}")[0])

    def _settled(self, channel: str, resistance: float) -> Terminals:
        by_voltage = self._of(channel, "source.func") == 1
        level, limit = ("levelv", "limiti") if by_voltage else ("leveli", "limitv")
        given = (self._of(channel, f"source.{name}") for name in (level, limit))
        return driven(*given, resistance, by_voltage=by_voltage)

    def _stands(self, channel: str) -> Terminals:
        if channel == "smua":
            return self.terminals()
        on = self._of(channel, "source.output") == 1
        return self._settled(channel, math.inf) if on else (0.0, 0.0, False)

    def _call(self, path: str, *given: Any) -> tuple[Any, ...]:
        method = getattr(self, self.functions[path])
        return method(path, *given) if path.startswith(CHANNELS) else method(*given)

    def _measure(self, path: str, *buffers: str) -> tuple[Any, ...]:
        channel, quantity = path.split(".", maxsplit=1)[0], path.rsplit(".", 1)[1]
        count, interval = int(self._of(channel, "measure.count")), self._of(channel, "measure.interval")
        each = max(interval, self._of(channel, "measure.nplc") / float(self.get("localnode.linefreq")[0]))
        volts, amperes, _ = self._stands(channel)
        ohms = volts / amperes if amperes else math.copysign(9.91e37, volts or 1.0)
        read = {"v": (volts,), "i": (amperes,), "r": (ohms,), "p": (volts * amperes,), "iv": (amperes, volts)}[quantity]
        for buffer, value in zip(buffers, read, strict=False):
            if not self.get(f"{buffer}.appendmode")[0]:
                self._buffers[buffer] = []
            self._buffers.setdefault(buffer, []).extend([value] * count)
        return count * each, *read

    def _reset_channel(self, path: str) -> tuple[Any, ...]:
        channel = path.partition(".")[0]
        self.values = {key: value for key, value in self.values.items() if not key[0].startswith(f"{channel}.")}
        self.changed()
        return (0.0,)

    def _abort(self, path: str) -> tuple[Any, ...]:
        return (0.0,)

    def _clear_buffer(self, path: str) -> tuple[Any, ...]:
        self._buffers.pop(path.rpartition(".")[0], None)
        return (0.0,)

    def _show_nothing(self, *_: Any) -> tuple[Any, ...]:
        return (0.0,)

    def _compliance(self, path: str) -> bool:
        return self._stands(path.partition(".")[0])[2]

    def _length(self, path: str) -> float:
        return float(len(self._buffers.get(path.rpartition(".")[0], ())))

    def _readings(self, path: str) -> Any:
        return self._table_from(self._buffers.get(path.rpartition(".")[0], []))

    def _condition(self, path: str) -> float:
        """Return bit 0 in voltage compliance, bit 1 in current compliance."""
        channel = path.split(".")[-2]
        if not self._stands(channel)[2]:
            return 0.0
        return 2.0 if self._of(channel, "source.func") == 1 else 1.0

    def _describe(self, path: str) -> str:
        _, model, serial, version = self.identity.split(", ")
        return {"model": model.removeprefix("Model "), "serialno": serial, "version": version}[path.rsplit(".", 1)[1]]
