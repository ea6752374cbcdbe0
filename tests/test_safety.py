"""Whatever is asked and whatever goes wrong: no device dies, no limit is passed at it, and the bench is left safe.

A story is a bench of emulated instruments with faults and a user who asks for what is legal and what is not. All of it
follows from one number, its seed. It is watched at the device and inside the instruments, whatever the drivers say.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labneuro.bench import BenchError, BenchFile, parse
from labneuro.clock import Clock
from labneuro.instruments.current_sources import YokogawaGS200
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import (
    Guard,
    LimitedCurrentSource,
    LimitedOscillatorChip,
    LimitedRFSource,
    LimitedSourceMeter,
    LimitError,
    UnsafeError,
    currents,
)
from labneuro.limits.currents import ZERO_ERROR
from labneuro.signals import Tones
from labneuro.simulators import slavin_tiberkevich
from labneuro.simulators.rack.faults import KINDS, Faults
from labneuro.simulators.rack.rack import VirtualRack
from labneuro.simulators.slavin_tiberkevich import force_for_locking_width
from labneuro.units import FloatArray

MAX_CURRENT = 8e-3
MAX_SOURCE_CURRENT = 2e-3
"""In series, where the loss of one source must not let too much of the others through a device."""

MAX_VOLTAGE = 0.32
MAX_POWER = 2e-3
MAX_OUTPUT = MAX_POWER * 10**0.1
"""Power of a generator that is MAX_POWER at the device, behind 1 dB."""

MAX_LEVEL = 10 * math.log10(MAX_OUTPUT / 1e-3)
BAND = (300e6, 400e6)
GLITCH = 1.5
"""Spike at a change of range, as part of that: from 1 mA to 10 mA, it is enough to kill."""

ROUNDING = 1e-9
ALLOWED = (InstrumentError, LimitError, UnsafeError, BenchError)
"""What a user may meet when instruments fail."""


# Devices of 40 ohm that break down at 11 mA bear 8 mA, and a contact that comes back at 8 mA: that overshoots to 10 mA.
# They do not bear 12 mA, and a jump from -8 mA to 8 mA. They see the whole of the source, but for 1 ohm of cable.
BENCH = """
name = "safety"
clock = "virtual"

[parts.chip]
driver = "oscillator-rig"
made_of = {{ currents = [{currents}], tones = ["rf_a", "rf_b"], analyzer = "analyzer" }}
limits = {{ max_current = "8 mA", max_rf_power = "2 mW", rf_loss = "1 dB", ramp = "4 mA/ms", \
min_frequency = "300 MHz", max_frequency = "400 MHz", max_source_current = "{most}" }}
[parts.chip.settings]
wiring = "{wiring}"
start = "310 MHz"
stop = "390 MHz"
rbw = "1 MHz"
averages = 2
lowest_current = "4.5 mA"
highest_current = "8 mA"

{parts}

[rack.devices.stno]
driver = "oscillators"
settings = {{ oscillators = {oscillators}, spread = 0, breakdown = "0.44 V", wiring = "{wiring}" }}

[rack.instruments]
{instruments}

[rack.wires]
"rf_a -> stno.A" = {{ loss = "1 dB" }}
"rf_b -> stno.B" = {{ loss = "1 dB" }}
{wires}
"""

PART = """
[parts.{name}]
driver = "{driver}"
settings = {{ resource = "{resource}"{settings} }}
{more}
"""


@dataclass(frozen=True)
class Layout:
    """Who stands on a bench; an analyzer sees its own noise only, so that the chip need not be computed.

    closely: whether each instrument has the limits of the device, so that it may be used past the rig as well. If not,
    only those of the rig protect the device.
    """

    currents: tuple[str, ...]
    tones: tuple[str, str]
    analyzer: tuple[str, str]
    meter: str = ""
    series: bool = False
    closely: bool = True

    @property
    def most(self) -> float:
        """Largest current of each source that a user may ask for, A."""
        return MAX_SOURCE_CURRENT if self.series else MAX_CURRENT

    @property
    def limit(self) -> float:
        """Limit of each source on the bench, A."""
        return self.most if self.closely else 100e-3

    @property
    def drivers(self) -> dict[str, str]:
        """Driver by the name of its part."""
        direct = {f"bias{k + 1}": driver for k, driver in enumerate(self.currents)}
        rest = {"meter": self.meter} if self.meter else {}
        return {**direct, "rf_a": self.tones[0], "rf_b": self.tones[1], "analyzer": self.analyzer[0], **rest}


LAYOUTS = (
    Layout(
        ("yokogawa-gs200", "keithley-6221", "keithley-2400"),
        ("keysight-e8257d", "rohde-schwarz-smb100a"),
        ("keysight-x-series", "keysight-n9030b"),
        meter="keithley-2450-meter",
    ),
    Layout(
        ("keithley-2450", "keithley-2400", "yokogawa-gs200"),
        ("keysight-n5183b", "rohde-schwarz-sgs100a"),
        ("rohde-schwarz-fsw", "rohde-schwarz-fsw"),
        meter="keithley-2400-meter",
        closely=False,
    ),
    Layout(
        ("yokogawa-gs200", "keithley-6221", "keithley-2400", "keithley-2450"),
        ("rohde-schwarz-sgs100a", "keysight-e8257d"),
        ("agilent-e4408b", "agilent-e4408b"),
        series=True,
    ),
    Layout(
        ("keithley-2450", "yokogawa-gs200", "keithley-6221"),
        ("rohde-schwarz-smb100a", "keysight-n5183b"),
        ("keysight-x-series", "keysight-n9030b"),
        series=True,
        closely=False,
    ),
)


@cache
def bench_file(layout: Layout) -> BenchFile:
    """Return the bench file of a layout, without faults."""
    parts, instruments, wires = [], [], []
    for number, (name, driver) in enumerate(layout.drivers.items()):
        resource = f"GPIB0::{number + 1}::INSTR"
        settings = more = ""
        if name.startswith("bias"):
            settings = ', source_range = "100 mA"'
            ramp = ', ramp = "4 mA/ms"' * layout.closely
            more = f'limits = {{ max_compliance = "1 V", max_current = "{layout.limit * 1e3:g} mA"{ramp} }}'
            more += '\nwhen_safe = "shorted"' * (driver == "keithley-2450")
            wires.append(f'"{name} -> stno.current{number + 1}" = {{ resistance = "1 ohm" }}')
        elif name.startswith("rf"):
            more = f'limits = {{ loss = "1 dB", max_power = "{"2 mW" if layout.closely else "50 mW"}" }}'
        elif name == "meter":
            settings = ', source_range = "2 V"'
            more = 'limits = { max_voltage = "0.32 V", max_current = "8 mA", ramp = "80 V/s" }'
            wires.append(f'"{name} -> stno.current{len(layout.currents) + 1}" = {{ resistance = "1 ohm" }}')
        parts.append(PART.format(name=name, driver=driver, resource=resource, settings=settings, more=more))
        model = layout.analyzer[1] if name == "analyzer" else driver.removesuffix("-meter")
        instruments.append(f'{name} = {{ model = "{model}", resource = "{resource}" }}')
    text = BENCH.format(
        currents=", ".join(f'"bias{k + 1}"' for k in range(len(layout.currents))),
        most=f"{layout.most * 1e3:g} mA",
        wiring="series" if layout.series else "separate",
        oscillators=len(layout.currents) + bool(layout.meter),
        parts="\n".join(parts),
        instruments="\n".join(instruments),
        wires="\n".join(wires),
    )
    return parse(text, Path("safety.toml"))


# What someone may do at a front panel, whose own doing kills nothing: no software can keep a hand from giving more
# current, voltage or power than the device bears, nor from changing the range of an output that is on.
HANDS = {
    "yokogawa-gs200": (
        ":SOUR:LEV 0.001",
        ":SOUR:PROT:VOLT 30",
        ":SOUR:FUNC VOLT",
        ":PROG:EDIT:STAR",
        ":PROG:EDIT:STAR;:SOUR:LEV 0.002;:SOUR:LEV 0.001;:PROG:EDIT:END;:PROG:RUN",
    ),
    "keithley-6221": (":SOUR:CURR 0.001", ":SOUR:CURR:COMP 50", ":SOUR:WAVE:ARM;:SOUR:WAVE:INIT", ":SOUR:CLE"),
    "keithley-2400": (":SOUR:CURR 0.001", ":SENS:VOLT:PROT 50", ":SOUR:FUNC VOLT", ":SOUR:CLE:AUTO 1"),
    "keithley-2450": (":SOUR:CURR 0.001", ":SOUR:CURR:VLIM 50", ":SOUR:FUNC VOLT"),
    "keithley-2400-meter": (":SENS:CURR:PROT 1", ":SOUR:FUNC CURR"),
    "keithley-2450-meter": (":SOUR:VOLT:ILIM 1", ":SOUR:FUNC CURR"),
    "keysight-e8257d": (":POW -20", ":POW:OFFS 10", ":POW:OFFS -10", ":FREQ:MULT 2", ":FREQ:OFFS 10 MHZ"),
    "keysight-n5183b": (":POW -20", ":POW:OFFS 10", ":POW:OFFS -10", ":FREQ:MULT 2", ":FREQ:OFFS 10 MHZ"),
    "rohde-schwarz-smb100a": (":POW -20", ":POW:OFFS -10", ":SOUR:POW:LIM:AMPL 30", ":FREQ:MULT 2"),
    "rohde-schwarz-sgs100a": (":POW -20", ":POW:OFFS -10", ":SOUR:POW:LIM:AMPL 25", ":FREQ:OFFS 10 MHZ"),
}
ANY_HAND = ("*RST", ":OUTP 0", ":OUTP 1")


def faults(dice: Random, driver: str) -> Faults:
    """Return what befalls one instrument: nothing but spikes, or faults at chosen messages, or at random ones."""
    kinds = dice.sample(KINDS, dice.randint(1, 4))
    often = dice.choice((0.0, 0.0, 0.003, 0.01, 0.03))
    chosen = 0 if often else dice.randint(0, 3)
    return Faults(
        seed=dice.randrange(1 << 30),
        lasting=dice.choice((3.0, 30.0, 1e9)),
        by_hand=(*ANY_HAND, *HANDS.get(driver, ())),
        settling=dice.choice((0.0, 0.0, 2e-3)),
        glitch=GLITCH,
        at={dice.randint(1, 80): dice.choice(kinds) for _ in range(chosen)},
        **dict.fromkeys(kinds, often / len(kinds)),
    )


@dataclass(frozen=True)
class Request:
    """What a user asks for, in words, and whether it is legal."""

    words: str
    ask: Callable[[], object]
    legal: bool


NONSENSE = (math.nan, math.inf, -math.inf, "8 mA", None, 1j, [1e-3, 2e-3], True)


def level(dice: Random, most: float, *, legal: bool) -> Any:
    """Return a current or voltage within ±`most`, often at its ends; or one that is not, or is none."""
    if legal:
        return dice.choice((most, -most, most, -most, 0.0, dice.uniform(-most, most)))
    return dice.choice((*[dice.choice((-most, most)) * dice.choice((1 + 1e-6, 1.6, 3.0, 10.0))] * 8, *NONSENSE))


def tone(dice: Random, band: tuple[float, float], *, legal: bool) -> tuple[Any, Any]:
    """Return frequency and power of a tone within `band` that the device may get, or of one that it may not."""
    frequency, power = dice.uniform(*band), dice.choice((MAX_OUTPUT, 0.0, dice.uniform(0.1, 1) * MAX_OUTPUT))
    if legal:
        return frequency, power
    return dice.choice(
        [(frequency, factor * MAX_OUTPUT) for factor in (1.3, 3.0, 10.0, 3.0, 10.0, math.inf, math.nan, -0.1)]
        + [(wrong, MAX_OUTPUT) for wrong in (math.nan, math.inf, 0.0, -350e6)]
    )


def tones(dice: Random, *, legal: bool) -> Tones:
    """Return one or two points for both generators."""
    rows = [[tone(dice, BAND, legal=True) for _ in range(2)] for _ in range(dice.randint(1, 2))]
    if not legal:
        rows[-1][dice.randrange(2)] = dice.choice((tone(dice, BAND, legal=False), (299e6, MAX_OUTPUT), (401e6, 1e-9)))
    both = np.array(rows)
    return Tones(both[..., 0], both[..., 1])


def asked_of_chip(dice: Random, chip: Any, layout: Layout, *, legal: bool) -> list[Request]:
    """Return requests to the rig."""
    sourced = np.array([level(dice, layout.most, legal=True) for _ in layout.currents])
    currents: Any = np.cumsum(sourced) if layout.series else sourced
    asked = tones(dice, legal=legal)
    if not legal:
        off = currents + dice.choice((-1, 1)) * layout.most * dice.choice((2.1, 5.0, math.nan, math.inf))
        currents = dice.choice((off, off, off, off, currents[:-1], currents[None], currents + 1j))
    return [
        *[Request(f"set_currents({currents})", partial(chip.set_currents, currents), legal)] * 4,
        *[Request(f"apply({asked})", partial(chip.apply, asked[-1:]), legal)] * 3,
        Request(f"spectra({asked})", partial(chip.spectra, asked), legal),
        Request("currents", lambda: chip.currents, legal=True),
        Request("make_safe()", chip.make_safe, legal=True),
    ]


def asked_of_source(dice: Random, source: Any, layout: Layout, *, legal: bool) -> list[Request]:
    """Return requests to a current source, past the rig."""
    current = level(dice, layout.most, legal=legal)
    voltage = 1.0 if legal else dice.choice((1.1, 30.0, -1.0, 0.0, math.nan, math.inf))
    return [
        *[Request(f"set_current({current})", partial(source.set_current, current), legal)] * 4,
        Request(f"set_compliance({voltage})", partial(source.set_compliance, voltage), legal),
        Request("current", lambda: source.current, legal=True),
        Request("make_safe()", source.make_safe, legal=True),
    ]


def asked_of_meter(dice: Random, meter: Any, layout: Layout, *, legal: bool) -> list[Request]:
    """Return requests to a source meter."""
    voltage = level(dice, MAX_VOLTAGE, legal=legal)
    current = MAX_CURRENT if legal else dice.choice((1.1 * MAX_CURRENT, 1.0, -1e-3, 0.0, math.nan, math.inf))
    return [
        *[Request(f"set_voltage({voltage})", partial(meter.set_voltage, voltage), legal)] * 4,
        Request(f"set_current_limit({current})", partial(meter.set_current_limit, current), legal),
        Request("voltage", lambda: meter.voltage, legal=True),
        Request("make_safe()", meter.make_safe, legal=True),
    ]


def asked_of_generator(dice: Random, generator: Any, layout: Layout, *, legal: bool) -> list[Request]:
    """Return requests to a generator, past the rig, whose band then is its own."""
    frequency, power = tone(dice, (100e6, 5e9), legal=legal)
    limit = MAX_OUTPUT if legal else dice.choice((1.3 * MAX_OUTPUT, 1.0, math.nan, math.inf))
    return [
        *[Request(f"set_tone({frequency}, {power})", partial(generator.set_tone, frequency, power), legal)] * 4,
        Request(f"set_power_limit({limit})", partial(generator.set_power_limit, limit), legal),
        Request("power", lambda: generator.power, legal=True),
        Request("make_safe()", generator.make_safe, legal=True),
    ]


ASKED = {"chip": asked_of_chip, "bias": asked_of_source, "meter": asked_of_meter, "rf": asked_of_generator}


def requests(dice: Random, layout: Layout, parts: dict[str, Any]) -> Iterator[Request]:
    """Yield what a user asks for."""
    others = [name for name in layout.drivers if name.startswith(("bias", "rf_"))] if layout.closely else []
    names = ["chip", "chip", "chip", *others, *["meter"] * 2 * bool(layout.meter)]
    for _ in range(dice.randint(4, 12)):
        name, legal = dice.choice(names), dice.random() < 0.6
        asked_of = next(asked_of for kind, asked_of in ASKED.items() if name.startswith(kind))
        request = dice.choice(asked_of(dice, parts[name], layout, legal=legal))
        yield replace(request, words=f"{name}.{request.words}")


SET_POINT = re.compile(rb"(?:^|;):(SOUR:LEV|SOUR:CURR|SOUR:VOLT|POW) ([^;\n]+)")


class Watch:
    """What is seen of a rack from inside: at its device, and in what drivers send.

    wrong: in words, what must not have been. messages: how many drivers have sent. troubled: the instruments with a
    fault, from the start or, once the bench is being left, since then.
    """

    rack: Any

    def __init__(self, layout: Layout) -> None:
        self.wrong: list[str] = []
        self.messages = 0
        self.troubled: set[str] = set()
        self._most = {b"SOUR:LEV": layout.most, b"SOUR:CURR": layout.most, b"SOUR:VOLT": MAX_VOLTAGE, b"POW": MAX_LEVEL}

    def attach(self, rack: VirtualRack) -> None:
        """Watch a rack from now on."""
        self.rack, chip = rack, rack.devices["stno"]
        chip.carry = partial(self._carry, chip.carry)
        for generator in (rack.bare["rf_a"], rack.bare["rf_b"]):
            generator.changed = partial(self._drive, generator.changed, chip)
        rack.library.write = partial(self._write, rack.library.write)
        for name, instrument in rack.instruments.items():
            instrument._draw = partial(self._draw, instrument._draw, name)

    def leaving(self) -> None:
        """Forget the faults that are over."""
        lasting = ("disconnect", "busy", "identity")
        self.troubled = {name for name, one in self.rack.instruments.items() if any(map(one._has, lasting))}

    def _carry(self, carry: Callable[..., None], currents: FloatArray, *, jumps: bool = True) -> None:
        if not (np.abs(currents) <= MAX_CURRENT * (1 + ROUNDING)).all():
            self.wrong.append(f"the devices carry {currents} A")
        carry(currents, jumps=jumps)

    def _drive(self, drive: Callable[[], None], chip: Any) -> None:
        drive()
        if not (chip._tones.power <= MAX_POWER * (1 + ROUNDING)).all():
            self.wrong.append(f"the devices get {chip._tones.power} W")

    def _write(self, write: Callable[..., Any], session: int, message: bytes) -> Any:
        self.messages += 1
        for header, value in SET_POINT.findall(message):
            level = float(value) if header == b"POW" else abs(float(value))
            if not level <= self._most[header] * (1 + ROUNDING):
                self.wrong.append(f"{message!r} was sent")
        return write(session, message)

    def _draw(self, draw: Callable[[], tuple[str, float]], name: str) -> tuple[str, float]:
        fault, extent = draw()
        if fault:
            self.troubled.add(name)
        return fault, extent


def single(error: BaseException) -> list[BaseException]:
    """Return the errors of a group, or the one error."""
    return [e for one in error.exceptions for e in single(one)] if isinstance(error, BaseExceptionGroup) else [error]


def ask(request: Request, watch: Watch, *, faulty: bool) -> None:
    """Do what a user asks. Tell `watch` of what may not come of it, and raise what it raises."""
    before = watch.messages
    try:
        request.ask()
    except Exception as error:
        sent = watch.messages - before
        if not request.legal and (sent or not isinstance(error, LimitError)):
            watch.wrong.append(f"{request.words}: {sent} messages, then {error!r}")
        if request.legal and not (faulty and all(isinstance(one, ALLOWED) for one in single(error))):
            watch.wrong.append(f"{request.words}: {error!r}")
        raise
    if not request.legal:
        watch.wrong.append(f"{request.words} was let through")


def story(seed: int, *, faultless: bool = False) -> list[str]:
    """Return what went wrong, of what must not, in the story of this number."""
    dice = Random(seed)  # noqa: S311
    layout, faulty, stubborn = dice.choice(LAYOUTS), not faultless and dice.random() < 0.9, dice.random() < 0.8
    file, watch = bench_file(layout), Watch(layout)
    plan: Any = file.rack
    befallen = {
        name: replace(one, faults=faults(dice, layout.drivers[name]) if faulty else Faults(glitch=GLITCH))
        for name, one in plan.instruments.items()
    }

    def build(clock: Clock) -> VirtualRack:
        rack = replace(plan, instruments=befallen).build(clock)
        watch.attach(rack)
        return rack

    told: dict[str, bool] = {}
    said = ""
    try:
        with replace(file, rack=SimpleNamespace(build=build)).open(
            lambda part, words, confirmed: told.update({part: confirmed})
        ) as bench:
            try:
                for request in requests(dice, layout, bench.parts):
                    try:
                        ask(request, watch, faulty=faulty)
                    except Exception:
                        if not stubborn:
                            raise
            finally:
                watch.leaving()
    except Exception as error:  # noqa: BLE001 - told from those ALLOWED
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        watch.wrong += [f"left with {one!r}" for one in single(error) if not isinstance(one, ALLOWED)]
    for name, instrument in watch.rack.instruments.items():
        flows = getattr(instrument, "output", False) and getattr(instrument, "current", math.inf)
        off = abs(flows) <= layout.limit * ZERO_ERROR * (1 + ROUNDING)
        confirmed = told.get(name, False)
        owned_up = f"{name}: not confirmed safe" in said or f"parts.{name}: " in said
        if not off and (confirmed or not owned_up or name not in watch.troubled):
            watch.wrong.append(f"{name} is on; {said}")
        if not faulty and not confirmed:
            watch.wrong.append(f"{name} was not confirmed safe; {said}")
    return [*watch.wrong, *watch.rack.deaths]


@pytest.fixture(scope="module", autouse=True)
def _quickly() -> Iterator[None]:
    """Compute the same chip once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slavin_tiberkevich, "force_for_locking_width", cache(force_for_locking_width))
        yield


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_the_device_survives_whatever_is_asked_and_whatever_fails(first):
    assert {seed: wrong for seed in range(first, first + 10) if (wrong := story(seed))} == {}


@pytest.mark.nightly
def test_the_device_survives_ten_thousand_stories():
    assert {seed: wrong for seed in range(10_000) if (wrong := story(seed))} == {}


BROKEN = {
    "a current source has no limits": (
        "is destroyed",
        (LimitedCurrentSource, "set_current", lambda self, current: self._inner.set_current(current)),
    ),
    "a source meter has no limits": (
        "is destroyed",
        (LimitedSourceMeter, "set_voltage", lambda self, voltage: self._inner.set_voltage(voltage)),
    ),
    "a rig has no limits for currents": (
        "is destroyed",
        (LimitedOscillatorChip, "_checked_currents", lambda self, currents: np.array(currents)),
    ),
    "a rig has no limits for tones": (
        "the devices get",
        (LimitedOscillatorChip, "_checked_tones", lambda self, tones: tones),
    ),
    "a generator has no limits": (
        "the devices get",
        (LimitedRFSource, "set_tone", lambda self, frequency, power: self._inner.set_tone(frequency, power)),
    ),
    "there are no ramps": ("is destroyed", (currents, "TICK", 1.0)),
    "a source chooses its range": (
        "is destroyed",
        (YokogawaGS200, "LEVEL_COMMAND", ":SOUR:LEV:AUTO"),
        (YokogawaGS200, "_check_mode", lambda self, output: None),
    ),
    "nothing is made safe": (" is on; ", (Guard, "make_safe", lambda self: None)),
}
"""What stories end with when a guard is broken, and how it is."""


@pytest.mark.parametrize("guard", BROKEN)
def test_with_a_guard_broken_stories_end_badly(monkeypatch, guard):
    end, *broken = BROKEN[guard]
    for patch in broken:
        monkeypatch.setattr(*patch)
    assert any(end in wrong for seed in range(100) for wrong in story(seed, faultless=True))
