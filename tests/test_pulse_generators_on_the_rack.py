"""The drivers of pulse generators, unmodified, over emulated ones: what was asked for, and no more, is at the port."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from labneuro.clock import VirtualClock
from labneuro.instruments.pulse_generators import Keysight33500B, Keysight33600A, Keysight81160A
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError, Place, PulseLimits
from labneuro.limits.pulses import LimitedPulseGenerator
from labneuro.signals import Pulses
from labneuro.simulators.rack import pulse_generators as models
from labneuro.simulators.rack.faults import Faults, Faulty
from labneuro.simulators.rack.visa import visa_library

RESOURCE = "GPIB0::12::INSTR"
PAIRS = [
    (Keysight33600A, models.Keysight33622A),
    (Keysight33500B, models.Keysight33522B),
    (Keysight81160A, models.Keysight81160A),
]
LIMITS = PulseLimits(max_amplitude=2.0, max_width=1e-3, max_count=1000)
ALL = pytest.mark.parametrize(("driver", "model"), PAIRS, ids=[model.__name__ for _, model in PAIRS])


class InterruptedClock(VirtualClock):
    """A clock that is interrupted once, early in a long wait."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = math.inf

    def _wait(self, seconds: float) -> None:
        if seconds > self.longest:
            super()._wait(self.longest / 2)
            self.longest = math.inf
            raise KeyboardInterrupt
        super()._wait(seconds)


@dataclass
class Rig:
    """An emulated generator, its driver, that behind its limits, and all that was seen at the port of channel 1."""

    driver: Any
    model: Any
    faults: Faults | None = None
    fired: list[tuple[float, float, float]] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = InterruptedClock()
        self.instrument = self.model(self.clock)
        self.instrument.fire = lambda channel, *pulses: self.fired.append(pulses) if channel == 1 else None
        self.instrument.changed = lambda: self.levels.append(self.instrument.level(1))
        reached = self.instrument if self.faults is None else Faulty(self.instrument, self.faults)
        library = visa_library({RESOURCE: reached})
        self.bare = self.driver(clock=self.clock, resource=RESOURCE, visa_library=library)
        self.part = LimitedPulseGenerator(self.bare, LIMITS, Place("rack", "pulser"), self.clock)


@ALL
def test_pulses_of_either_sign_arrive_in_number_height_and_width_and_the_output_rests_at_zero(driver, model):
    rig = Rig(driver, model)
    rig.part.protect()
    asked = [(1.2345, 1e-6, 3), (0.5, 1e-4, 1), (-0.7, 20e-9, 1000), (-2.0, 1e-3, 2), (2.0, 50e-9, 10)]
    for amplitude, width, count in asked:
        started = rig.clock.now()
        rig.part.fire(Pulses(amplitude, width, count))
        assert rig.clock.now() - started >= count * width
        voltage, seconds, number = rig.fired[-1]
        assert -1e-9 < 1 - voltage / amplitude < 1e-3  # never more than was asked for
        assert -1e-9 < 1 - seconds / width < 1e-3
        assert number == count
    assert len(rig.fired) == len(asked)
    assert set(rig.levels) == {0.0}
    assert rig.instrument.has("output", 1)
    rig.part.make_safe()
    assert not rig.instrument.has("output", 1)


@ALL
def test_the_limits_of_the_bench_hold_at_the_port_in_the_guard_and_in_the_instrument(driver, model):
    rig = Rig(driver, model)
    rig.part.protect()
    assert rig.part.amplitude_limit == pytest.approx(2.0, rel=1e-3)
    with pytest.raises(LimitError, match="limit 2 V"):
        rig.part.fire(Pulses(2.1, 1e-6))
    for amplitude in (2.1, -2.1):
        with pytest.raises(InstrumentError, match="-221"):
            rig.bare.fire(Pulses(amplitude, 1e-6))
    assert not rig.fired
    assert set(rig.levels) == {0.0}


LEFT = {
    models.Keysight33622A: (
        "OUTP1:LOAD 50;:SOUR1:APPL:SIN 100E6,4,-0.5",
        "OUTP1:LOAD INF;:SOUR1:APPL:PULS 1E3,5,-2;:SOUR1:FUNC:PULS:HOLD DCYC;:OUTP1:POL INV",
        "SOUR1:FUNC PULS;:SOUR1:FREQ 1E-3;:SOUR1:FUNC:PULS:WIDT 400;:SOUR1:FUNC:PULS:TRAN 1E-6;:OUTP1 1",
        "SOUR1:BURS:MODE GAT;:SOUR1:BURS:STAT 1;:TRIG1:DEL 5;:SOUR1:VOLT:UNIT DBM;:OUTP1 1",
    ),
    models.Keysight81160A: (
        "OUTP1:LOAD 50;:APPL1:SIN 400E6,4,-0.5",
        "OUTP1:LOAD 1000;:APPL1:PULS 1E3,5,-2;:PULS:HOLD1 DCYC;:OUTP1:POL INV",
        "FUNC1 PULS;:PULS:PER1 1E3;:PULS:WIDT1 400;:FUNC1:PULS:TRAN 100;:OUTP1 1",
        "BURS1:MODE GAT;:BURS1:STAT 1;:ARM:SENS1 LEV;:VOLT1:UNIT DBM;:OUTP1 1",
    ),
}
LEFT[models.Keysight33522B] = tuple(setting.replace("100E6", "30E6") for setting in LEFT[models.Keysight33622A])


@ALL
@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_however_a_generator_was_left_it_sends_what_is_asked_for_and_nothing_else(driver, model, way, sign):
    rig = Rig(driver, model)
    rig.bare.send(LEFT[model][way])
    rig.bare.make_safe()
    rig.fired.clear(), rig.levels.clear()
    rig.part.protect()
    rig.part.fire(Pulses(sign * 1.0, 1e-6, 4))
    assert rig.fired == [(pytest.approx(sign * 1.0, rel=1e-3), pytest.approx(1e-6), 4)]
    assert set(rig.levels) == {0.0}


def test_the_slowest_edges_of_an_81160a_make_long_pulses():
    clock = VirtualClock()
    instrument = models.Keysight81160A(clock)
    fired = []
    instrument.fire = lambda *pulses: fired.append(pulses)
    Keysight81160A(clock=clock, resource=RESOURCE, visa_library=visa_library({RESOURCE: instrument}), edge=100.0).fire(
        Pulses(1.0, 200.0)
    )
    assert fired == [(1, pytest.approx(1.0, rel=1e-3), pytest.approx(200.0), 1)]


@ALL
def test_what_is_left_of_an_interrupted_burst_does_not_come_out_later(driver, model):
    rig = Rig(driver, model)
    rig.clock.longest = 1.0
    with pytest.raises(KeyboardInterrupt):
        rig.bare.fire(Pulses(1.0, 1e-2, 1000))
    rig.fired.clear()
    rig.bare.fire(Pulses(1.0, 1e-3, 2))
    assert rig.fired == [(pytest.approx(1.0, rel=1e-3), pytest.approx(1e-3), 2)]


KINDS = ("lost_message", "lost_reply", "late_reply", "split_reply", "cut_reply", "disconnect", "power_cycle", "error")


@ALL
@pytest.mark.parametrize("kind", [*KINDS, "busy", "panel"])
def test_whatever_goes_wrong_at_whichever_message_no_pulse_is_sent_twice_or_unsaid(driver, model, kind):
    """The first 4 messages connect; the first request takes 5 from then on, the second 3, the third 5."""
    troubles = 0
    for place in range(5, 18):
        rig = Rig(driver, model, Faults(at={place: kind}))
        for asked in (Pulses(1.0, 1e-6, 4), Pulses(1.5, 1e-6, 3), Pulses(-1.0, 1e-6, 2)):
            rig.fired.clear()
            all_of_them = [(pytest.approx(asked.amplitude, rel=1e-3), pytest.approx(1e-6), asked.count)]
            try:
                rig.bare.fire(asked)
                said = ""
            except InstrumentError as error:
                said = str(error)
            if not said:
                assert rig.fired == all_of_them
                continue
            troubles += 1
            assert not rig.fired or (rig.fired == all_of_them and "none is sent again" in said)
            rig.clock.sleep(20.0)
            rig.bare.make_safe()
            assert not rig.instrument.has("output", 1)
        assert set(rig.levels) <= {0.0}
    assert troubles or kind == "busy"
