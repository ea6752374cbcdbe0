"""The drivers of real instruments, unmodified, over emulated ones: what is asked of a role stands at the port."""

import math
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import CurrentSourceLimits, LimitError, Place, RFLimits, SourceMeterLimits, envelope
from labneuro.parameters import takes_clock
from labneuro.roles import CurrentSource, RFSource, SourceMeter, SpectrumAnalyzer, Voltmeter
from labneuro.simulators.rack.generators import E8257D, N5183B, SGS100A, SMB100A
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.rohde_schwarz_analyzers import FSV, FSW
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

RESOURCE = "GPIB0::12::INSTR"
DRIVERS = {e.name: e for e in entry_points(group="labneuro.drivers") if e.module.startswith("labneuro.")}
MODELS = [
    ("agilent-e4408b", E4408B),
    ("keithley-2182a", Keithley2182A),
    ("keithley-2400", Keithley2400),
    ("keithley-2400-meter", Keithley2400),
    ("keithley-2450", Keithley2450),
    ("keithley-2450-meter", Keithley2450),
    ("keithley-6221", Keithley6221),
    ("keysight-e8257d", E8257D),
    ("keysight-n5183b", N5183B),
    ("keysight-x-series", N9030B),
    ("rohde-schwarz-fsw", FSW),
    ("rohde-schwarz-fsw", FSV),
    ("rohde-schwarz-sgs100a", SGS100A),
    ("rohde-schwarz-smb100a", SMB100A),
    ("yokogawa-gs200", GS200),
]
RANGES = {"keithley-6221": 20e-3, "keithley-2400-meter": 2.0, "keithley-2450-meter": 2.0}
LIMITS = {
    CurrentSource: CurrentSourceLimits(max_current=5e-3, max_compliance=2.0),
    SourceMeter: SourceMeterLimits(max_voltage=0.5, max_current=1e-3),
    RFSource: RFLimits(max_power=1e-3),
}
USES = {
    CurrentSource: lambda part: part.set_current(1e-3),
    SourceMeter: lambda part: part.set_voltage(0.1),
    RFSource: lambda part: part.set_tone(1e9, 1e-4),
    SpectrumAnalyzer: lambda part: (part.configure(1e9, 1.01e9, rbw=100e3, averages=1), part.trace()),
    Voltmeter: lambda part: part.voltage,
}


def connect(name: str, model: Any, **settings: Any) -> SimpleNamespace:
    """Return an emulated instrument, its driver and that behind its limits, all on one virtual clock."""
    clock = VirtualClock()
    instrument, driver = model(clock), DRIVERS[name].load()
    role = envelope(driver).role
    if takes_clock(driver):
        settings |= {"clock": clock, "source_range": RANGES.get(name, 10e-3)}
    bare = part = driver(resource=RESOURCE, visa_library=visa_library({RESOURCE: instrument}), **settings)
    if guard := envelope(driver).guard:
        part = guard(bare, LIMITS[role], Place("rack", name), clock)
        part.protect()
    return SimpleNamespace(instrument=instrument, bare=bare, part=part, role=role)


def of(*roles: type) -> pytest.MarkDecorator:
    """Let a test be for each driver of a role and each model that it drives."""
    chosen = [pair for pair in MODELS if issubclass(DRIVERS[pair[0]].load(), roles or object)]
    return pytest.mark.parametrize(("name", "model"), chosen, ids=[f"{n}, {m.__name__}" for n, m in chosen])


def test_every_driver_has_an_emulated_instrument():
    assert set(DRIVERS) == {name for name, _ in MODELS}


@of(CurrentSource)
@pytest.mark.parametrize("current", [3.21234567e-3, -3.21234567e-3])
def test_a_current_arrives_at_the_port_none_beyond_the_limit_does_and_it_ends_at_zero(name, model, current):
    rig = connect(name, model)
    rig.part.set_current(current)
    last_digit = 1e-5 * RANGES.get(name, 10e-3)
    assert abs(rig.instrument.current - current) <= last_digit / 2
    assert abs(rig.part.current - rig.instrument.current) <= last_digit / 2
    with pytest.raises(LimitError, match="limit 5 mA"):
        rig.part.set_current(math.copysign(5.1e-3, current))
    assert abs(rig.instrument.current - current) <= last_digit / 2
    rig.part.make_safe()
    assert (rig.instrument.current, rig.instrument.output) == (0.0, False)
    assert rig.part.confirm() == "current 0 A"


@of(CurrentSource)
def test_the_compliance_of_the_bench_holds_at_the_port(name, model):
    rig = connect(name, model)
    rig.instrument.resistance = lambda: 10e3
    rig.part.set_current(3e-3)
    assert rig.instrument.voltage == pytest.approx(2.0)
    with pytest.raises(LimitError, match="compliance"):
        rig.part.set_compliance(3.0)
    assert rig.part.compliance == 2.0


@of(SourceMeter)
@pytest.mark.parametrize("voltage", [0.3, -0.3])
def test_a_source_meter_puts_out_its_voltage_and_measures_what_flows(name, model, voltage):
    rig = connect(name, model)
    rig.instrument.resistance = lambda: 1e3
    rig.part.set_voltage(voltage)
    assert rig.instrument.voltage == rig.part.voltage == voltage
    assert rig.part.measured_current == voltage / 1e3
    with pytest.raises(LimitError, match="limit 500 mV"):
        rig.part.set_voltage(math.copysign(0.6, voltage))
    assert rig.instrument.voltage == voltage
    rig.instrument.resistance = lambda: 10.0
    assert rig.part.measured_current == rig.instrument.current == math.copysign(1e-3, voltage)
    rig.part.make_safe()
    assert (rig.instrument.voltage, rig.instrument.output) == (0.0, False)


@of(RFSource)
def test_a_tone_has_its_frequency_and_power_at_the_port_whatever_the_display_was_left_at(name, model):
    rig = connect(name, model)
    rig.part.set_tone(5e9, 1e-4)
    rig.bare.send(":FREQ:OFFS 1 GHZ", ":POW:OFFS 10")
    assert (rig.bare.frequency, rig.instrument.power) == (6e9, 0.0)
    assert rig.instrument.tone == (5e9, -10.0)
    rig.part.make_safe()
    rig.part.set_tone(5.123456789e9, 1e-4)
    assert rig.instrument.tone == pytest.approx((5.123456789e9, -10.0), rel=1e-12)
    assert (rig.part.frequency, rig.part.power) == pytest.approx((5.123456789e9, 1e-4), rel=1e-12)
    with pytest.raises(LimitError, match="limit 0 dBm"):
        rig.part.set_tone(5e9, 1.1e-3)
    with pytest.raises(LimitError, match="it has"):
        rig.part.set_tone(40e9, 1e-4)
    assert rig.instrument.tone == pytest.approx((5.123456789e9, -10.0), rel=1e-12)
    rig.part.make_safe()
    assert rig.instrument.tone is None
    assert rig.part.power == 0


@pytest.mark.parametrize(("name", "model"), [m for m in MODELS if m[1] in {E8257D, N5183B, SMB100A}])
def test_a_tone_is_not_multiplied(name, model):
    rig = connect(name, model)
    rig.bare.send(":FREQ 4 GHZ", ":FREQ:MULT 3")
    assert rig.bare.frequency == 12e9
    rig.part.set_tone(5e9, 1e-4)
    assert rig.instrument.tone == (5e9, -10.0)


@pytest.mark.parametrize(("name", "model"), [m for m in MODELS if m[1] in {SMB100A, SGS100A}])
def test_a_generator_with_a_limit_of_its_own_holds_to_that_of_the_bench(name, model):
    rig = connect(name, model)
    rig.part.set_tone(5e9, 1e-4)
    rig.instrument.set_power(20.0)  # someone turns the knob
    assert rig.instrument.tone == (5e9, 0.0)
    assert rig.part.power == pytest.approx(1e-3)


@of(SpectrumAnalyzer)
def test_a_trace_has_the_power_of_a_tone_at_its_frequency_and_the_density_of_noise(name, model):
    tone, power, noise = 1.0043e9, 1e-9, 1e-17
    rig = connect(name, model)

    def through_the_filter(sweep):
        detuning = (2 * (sweep.frequency - tone) / sweep.rbw) ** 2
        poles = 4 if model is E4408B else math.inf
        line = 2.0**-detuning if poles == math.inf else (1 + (2 ** (1 / poles) - 1) * detuning) ** -poles
        width = (1.0645 if poles == math.inf else 1.1285) * sweep.rbw
        return 10 * np.log10((power * line + noise * width) / 1e-3)

    rig.instrument.input = through_the_filter
    rig.bare.send(":CALC:UNIT:POW W" if issubclass(model, FSW) else ":UNIT:POW W")  # someone left it at that
    assert 0 < float(rig.bare.ask(":TRAC:DATA? TRACE1").split(",")[-1]) < power
    rig.part.configure(1e9, 1.01e9, rbw=100e3, averages=2)
    spectrum = rig.part.trace()
    assert spectrum.frequency[[0, -1]] == pytest.approx([1e9, 1.01e9], rel=1e-12)
    assert abs(spectrum.frequency[np.argmax(spectrum.density)] - tone) <= spectrum.rbw / 2
    assert spectrum.density[-20:] == pytest.approx(noise, rel=0.01)
    step = spectrum.frequency[1] - spectrum.frequency[0]
    assert np.sum(spectrum.density - noise) * step == pytest.approx(power, rel=0.01)


@of(Voltmeter)
@pytest.mark.parametrize("channel", [1, 2])
def test_a_voltmeter_reads_what_stands_at_its_input(name, model, channel):
    rig = connect(name, model, channel=channel)
    rig.instrument.input = lambda channel: -1.23456789e-3 * channel
    assert rig.part.voltage == pytest.approx(-1.23456789e-3 * channel, rel=1e-8)


@of()
def test_what_goes_wrong_in_an_instrument_raises_in_the_call(name, model):
    rig = connect(name, model)
    USES[rig.role](rig.part)
    rig.instrument.changed = rig.instrument.input = lambda *_: 1 / 0
    with pytest.raises(InstrumentError, match="-310"):
        USES[rig.role](rig.part)
    rig.instrument.changed = lambda: None
    with pytest.raises(InstrumentError, match="-113"):
        rig.bare.send(":NO:SUCH 1")
    rig.part.make_safe()
