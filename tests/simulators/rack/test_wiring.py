"""What passes between the port of an instrument and the terminal of a chip, in numbers."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip
from labneuro.simulators.rack.faults import Faults, Faulty
from labneuro.simulators.rack.generators import E8257D
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.wiring import Pulls, Wire, connect
from labneuro.simulators.rack.yokogawa import GS200
from labneuro.simulators.terminals import DirectTerminal, EmissionTerminal, RFTerminal, Terminal

DEVICE = 40.0  # ohm
DENSITY = 3e-16  # W/Hz
CURRENT = ":SOUR:FUNC CURR;:SOUR:RANG 10E-3;:OUTP 1"


class Device:
    """Terminals that note what reaches them."""

    def __init__(self) -> None:
        self.fed: list[tuple[float, bool]] = []
        self.surges: list[float] = []
        self.driven: list[tuple[float, float]] = []
        direct = DirectTerminal(
            feed=lambda current, jumps: self.fed.append((current, jumps)),
            surge=self.surges.append,
            resistance=lambda: DEVICE,
            voltage=lambda: DEVICE * self.fed[-1][0],
        )
        swept = EmissionTerminal(lambda sweep: np.full(sweep.points, DENSITY))
        rf = RFTerminal(lambda frequency, power: self.driven.append((frequency, power)))
        self.terminals: dict[str, Terminal] = {"direct": direct, "rf": rf, "emission": swept}


def wired(terminal: str, model: Any, wire: Wire, device: Device | None = None, pulls: Pulls | None = None) -> Any:
    """An instrument on a wire to a device; `say` sends it messages and returns the last reply."""
    made = model if not isinstance(model, type) else model(VirtualClock())
    device = device or Device()
    connect(made, device.terminals[terminal], wire, [] if pulls is None else pulls)

    def say(*messages: str) -> str:
        session = Session()
        for message in messages:
            made.handle(session, message.encode())
            made.clock.sleep(1.0)
            made.proceed()
        return session.output.decode()

    return SimpleNamespace(instrument=made, device=device, say=say)


# Direct currents


def test_a_current_reaches_the_device_at_once_and_as_a_jump():
    rig = wired("direct", GS200, Wire())
    rig.say(CURRENT, ":SOUR:LEV 5E-3", ":OUTP 0")
    assert [fed for k, fed in enumerate(rig.device.fed) if fed not in rig.device.fed[:k]] == [(0.0, True), (5e-3, True)]
    assert rig.device.fed[-1] == (0.0, True)


@pytest.mark.parametrize(
    ("model", "prepared", "level"),
    [
        (GS200, CURRENT + ";:SOUR:PROT:VOLT 1", ":SOUR:LEV"),
        (Keithley6221, ":SOUR:CURR:COMP 1;:OUTP 1", ":SOUR:CURR"),
        (Keithley2400, ":SOUR:FUNC CURR;:SENS:VOLT:PROT 1;:SOUR:CURR:RANG 10E-3;:OUTP 1", ":SOUR:CURR"),
    ],
)
def test_the_resistance_of_the_cable_counts_in_the_compliance(model: Any, prepared: str, level: str):
    rig = wired("direct", model, Wire(resistance=160.0))
    rig.say(prepared, f"{level} 4.9E-3")
    assert rig.device.fed[-1][0] == pytest.approx(4.9e-3)
    assert not rig.instrument.limited
    rig.say(f"{level} 6E-3")
    assert rig.device.fed[-1][0] == pytest.approx(1.0 / 200.0)  # 1 V over cable and device
    assert rig.instrument.limited


def test_a_source_of_voltage_drives_what_ohms_law_says():
    rig = wired("direct", GS200, Wire(resistance=10.0))
    rig.say(":SOUR:FUNC VOLT;:SOUR:RANG 1;:OUTP 1;:SOUR:LEV 0.25")
    assert rig.device.fed[-1] == (pytest.approx(0.25 / 50.0), True)
    rig.say(":SOUR:PROT:CURR 2E-3", ":SOUR:LEV 0.3")
    assert rig.device.fed[-1][0] == pytest.approx(2e-3)


def test_a_voltmeter_reads_what_stands_across_the_device_not_across_the_cable():
    device, pulls = Device(), Pulls()
    source = wired("direct", GS200, Wire(resistance=10.0), device, pulls)
    meter = wired("direct", Keithley2182A, Wire(resistance=10.0), device, pulls)
    source.say(CURRENT, ":SOUR:LEV 3E-3")
    assert float(meter.say(":READ?")) == pytest.approx(DEVICE * 3e-3, rel=1e-7)


@pytest.mark.parametrize("wiring", ["separate", "series"])
def test_a_voltmeter_at_a_chip_reads_current_times_resistance(wiring: Any):
    clock = VirtualClock()
    chip = EmulatedOscillatorChip(clock, oscillators=3, wiring=wiring)
    resistance = chip.devices.resistance
    source, meter = GS200(clock), Keithley2182A(clock)
    connect(source, chip.terminals["current2"], Wire(), [])
    connect(meter, chip.terminals["current2"], Wire(), [])
    source.handle(Session(), f"{CURRENT};:SOUR:LEV 2E-3".encode())
    through = [0.0, 2e-3, 2e-3 if wiring == "series" else 0.0]
    assert chip.currents.tolist() == through
    assert meter.input(1) == pytest.approx(float(resistance @ through))
    assert source.resistance() == pytest.approx(np.sum(resistance[1:]) if wiring == "series" else resistance[1])


def test_a_source_that_ramps_by_itself_is_followed_whenever_someone_looks():
    device, pulls = Device(), Pulls()
    source = wired("direct", GS200, Wire(), device, pulls)
    meter = wired("direct", Keithley2182A, Wire(), device, pulls).instrument
    source.say(CURRENT, ":PROG:INT 100;:PROG:SLOP 100;:PROG:EDIT:STAR;:SOUR:LEV 8E-3;:PROG:EDIT:END")
    source.instrument.handle(Session(), b":PROG:RUN")
    for elapsed in (25.0, 50.0, 100.0):
        source.instrument.clock.sleep(25.0 if elapsed < 100 else 50.0)
        assert meter.input(1) == pytest.approx(DEVICE * 8e-3 * elapsed / 100)
        assert device.fed[-1] == (pytest.approx(8e-3 * elapsed / 100), False)


def test_a_source_that_settles_slowly_is_followed_whenever_someone_looks():
    device, pulls = Device(), Pulls()
    source = Faulty(GS200(VirtualClock()), Faults(settling=2e-3))
    wired("direct", source, Wire(), device, pulls)
    meter = wired("direct", Keithley2182A, Wire(), device, pulls).instrument
    source.handle(Session(), f"{CURRENT};:SOUR:LEV 5E-3".encode())
    assert device.fed[-1] == (0.0, True)  # nothing has jumped
    for constants in (1, 2, 3):
        source.clock.sleep(2e-3)
        assert meter.input(1) == pytest.approx(DEVICE * 5e-3 * (1 - math.exp(-constants)))
        assert not device.fed[-1][1]


def test_the_spike_of_a_range_change_goes_through_the_device():
    source = Faulty(GS200(VirtualClock()), Faults(glitch=0.05))
    rig = wired("direct", source, Wire())
    rig.say(CURRENT, ":SOUR:LEV 1E-3", ":SOUR:RANG 100E-3")
    assert rig.device.surges == [pytest.approx(0.05 * 90e-3)]


# Microwaves


@pytest.mark.parametrize(
    ("wire", "gain"),
    [
        (Wire(), 1.0),
        (Wire(loss=3.0), 10**-0.3),
        (Wire(cutoff=350e6), 0.5),
        (Wire(loss=1.0, cutoff=700e6), 10**-0.1 / (1 + 4)),
    ],
)
def test_a_tone_and_an_emission_lose_what_their_wires_take(wire: Wire, gain: float):
    generator = wired("rf", E8257D, wire)
    generator.say(":FREQ 350 MHZ;:POW -3 DBM;:OUTP 1")
    assert generator.device.driven[-1] == (350e6, pytest.approx(1e-3 * 10**-0.3 * gain))
    generator.say(":OUTP 0")
    assert generator.device.driven[-1][1] == 0.0
    for model, noise_bandwidth in ((N9030B, 1.0645), (E4408B, 1.128)):
        analyzer = wired("emission", model, wire)
        settings = ":FREQ:CENT 350 MHZ;:FREQ:SPAN 10 HZ;:BAND 100 KHZ;:INIT:CONT 0;:FORM ASC;:SWE:POIN 101"
        levels = analyzer.say(settings, ":INIT", ":TRAC? TRACE1").split(",")
        power = DENSITY * gain * noise_bandwidth * 100e3
        assert [float(level) for level in levels] == pytest.approx([10 * math.log10(power / 1e-3)] * 101, abs=1e-3)


def test_a_bias_tee_passes_no_microwave_far_below_its_cutoff():
    wire = Wire(loss=2.0, cutoff=10e6)
    gain = wire.gain(np.array([0.0, 1e3, 10e6, 10e9])) / 10**-0.2
    assert gain == pytest.approx([0.0, 1e-8, 0.5, 1.0], rel=1e-5, abs=1e-30)


# What does not fit


@pytest.mark.parametrize(
    ("terminal", "model"),
    [
        ("direct", E8257D),
        ("direct", N9030B),
        ("rf", GS200),
        ("rf", N9030B),
        ("emission", GS200),
        ("emission", E8257D),
        ("emission", Keithley2182A),
    ],
)
def test_an_instrument_is_not_connected_where_it_does_not_fit(terminal: str, model: Any):
    for instrument in (model(VirtualClock()), Faulty(model(VirtualClock()), Faults())):
        with pytest.raises(TypeError, match="no port for this terminal: connect another"):
            wired(terminal, instrument, Wire())
