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
from labneuro.simulators.rack.keithley_2636b import Keithley2636B
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.rohde_schwarz_analyzers import FSV, FSW
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

RESOURCE = "GPIB0::12::INSTR"
ENTRIES = [e for e in entry_points(group="labneuro.drivers") if e.module.startswith("labneuro.")]
ELSEWHERE = {  # with tests of their own
    f"labneuro.instruments.{module}"
    for module in ("arc_two", "oscillator_rig", "pulse_generators", "switch_matrices", "synapse_rig")
}
DRIVERS = {e.name: e for e in ENTRIES if e.module not in ELSEWHERE}
MODELS = [
    ("agilent-e4408b", E4408B),
    ("keithley-2182a", Keithley2182A),
    ("keithley-2400", Keithley2400),
    ("keithley-2400-meter", Keithley2400),
    ("keithley-2450", Keithley2450),
    ("keithley-2450-meter", Keithley2450),
    ("keithley-2636b", Keithley2636B),
    ("keithley-2636b-meter", Keithley2636B),
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
RANGES = {"keithley-6221": 20e-3, "keithley-2400-meter": 2.0, "keithley-2450-meter": 2.0, "keithley-2636b-meter": 2.0}
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
    rig.instrument.resistance = lambda: 1e3
    rig.part.set_current(1e-3)
    rig.instrument.resistance = lambda: 10e3
    with pytest.raises(InstrumentError, match="is in compliance at 2 V"):
        rig.part.set_current(3e-3)
    assert rig.instrument.voltage == pytest.approx(2.0)
    rig.part.set_current(1e-3)
    rig.part.set_current(1e-4)
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
    assert rig.instrument.current == math.copysign(1e-3, voltage)
    with pytest.raises(InstrumentError, match="is at its current limit of 1 mA"):
        _ = rig.part.measured_current
    assert rig.part.current_or_limit == math.copysign(1e-3, voltage)
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


@of(RFSource)
def test_what_a_generator_has_does_not_depend_on_the_offset_of_its_display(name, model):
    rig = connect(name, model)
    highest = float(rig.bare.ask(":POW? MAX"))
    rig.bare.send(":POW:OFFS 10")
    with pytest.raises(LimitError, match=f"to {highest:g} dBm"):
        rig.bare.set_tone(5e9, 1e-3 * 10 ** ((highest + 5) / 10))
    assert rig.instrument.tone is None


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


@of(SpectrumAnalyzer)
def test_as_many_sweeps_are_averaged_in_power_as_were_asked_for(name, model):
    rig = connect(name, model)
    asked = []

    def port(sweep):
        asked.append(sweep.averages)
        return np.full(sweep.points, -100.0 + 20 * (len(asked) % 2))

    rig.instrument.input = port
    rig.part.configure(1e9, 1.01e9, rbw=100e3, averages=6)
    started, duration = rig.instrument.clock.now(), rig.bare._duration
    density = rig.part.trace().density
    assert rig.instrument.clock.now() - started == pytest.approx(6 * duration)
    assert asked == ([1] * 6 if model is E4408B else [6])
    rig.part.configure(1e9, 1.01e9, rbw=100e3, averages=1)
    asked.clear()
    once = rig.part.trace().density
    assert asked == [1]
    assert density == pytest.approx(once * (0.505 if model is E4408B else 1.0))


AVERAGED = {N9030B: (":AVER:TYPE", "LOG", "RMS", "SCAL"), FSW: (":AVER:TYPE", "VID", "POW", "LIN"), E4408B: ()}


@pytest.mark.parametrize("model", list(AVERAGED))
def test_averages_and_holds_of_noise_differ_as_they_do_for_noise(model):
    """Of noise, whose power is exponential, the logarithm averages 2.51 dB and the voltage 1.05 dB below the power."""
    name = next(name for name, other in MODELS if other is model)
    rig = connect(name, model)
    rng = np.random.default_rng(1)

    def noise(sweep):
        return 10 * np.log10(rng.exponential(size=(sweep.averages, sweep.points)).mean(axis=0))

    rig.instrument.input = noise
    rig.bare.send(":INIT:CONT 0", ":AVER:STAT 1", ":AVER:COUN 100", ":SWE:POIN 401")

    def shown():
        rig.bare.ask(":INIT:IMM;*OPC?")
        return np.mean([float(level) for level in rig.bare.ask(":TRAC:DATA? TRACE1").split(",")])

    below = {"LOG": -2.51, "VID": -2.51, "SCAL": -1.05, "LIN": -1.05, "RMS": 0.0, "POW": 0.0}
    if not AVERAGED[model]:
        assert shown() == pytest.approx(-2.51, abs=0.12)  # 4 sigma of 401 means of 100
        return
    header, *types = AVERAGED[model]
    for word in types:
        rig.bare.send(f"{header} {word}")
        assert shown() == pytest.approx(below[word], abs=0.12)


@of(CurrentSource, SourceMeter, RFSource)
def test_an_instrument_that_was_switched_off_and_on_puts_nothing_out_until_the_bench_is_opened_again(name, model):
    rig = connect(name, model)
    USES[rig.role](rig.part)
    rig.instrument.power_on()
    for _ in range(2):
        with pytest.raises(InstrumentError, match="was switched off and on"):
            USES[rig.role](rig.part)
        assert not rig.instrument.output
    rig.part.make_safe()
    rig.part.confirm()


@of(CurrentSource)
@pytest.mark.parametrize("place", range(5))
def test_before_whichever_message_the_power_fails_no_current_flows_at_the_compliance_of_its_reset(name, model, place):
    rig = connect(name, model)
    send = rig.bare.adapter.connection.send
    sent = []

    def send_after_failure(data):
        if len(sent) == place:
            rig.instrument.power_on()
        sent.append(data)
        send(data)

    rig.bare.adapter.connection.send = send_after_failure
    with pytest.raises(InstrumentError, match="was switched off and on"):
        rig.part.set_current(1e-3)
    assert rig.instrument.current == 0


@of(CurrentSource, SourceMeter, RFSource)
def test_a_setting_of_an_output_that_is_on_takes_one_message(name, model):
    rig = connect(name, model)
    verb = {CurrentSource: "set_current", SourceMeter: "set_voltage", RFSource: "set_tone"}[rig.role]
    rig.instrument.resistance = lambda: 1e3
    sent = []
    for level in (1e-4, 2e-4):
        sent.clear()
        getattr(rig.bare, verb)(*((1e9, level) if rig.role is RFSource else (level,)))
        send = rig.bare.adapter.connection.send
        rig.bare.adapter.connection.send = lambda data, send=send: (sent.append(data), send(data))
    assert len(sent) == 1


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
    with pytest.raises(InstrumentError, match="-285" if model is Keithley2636B else "-113"):
        rig.bare.send(":NO:SUCH 1")
    rig.part.make_safe()
