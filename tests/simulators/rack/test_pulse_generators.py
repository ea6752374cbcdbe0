"""The pulse generators: bursts, levels and times as the front panel would show them, and what other drivers expect."""

import math
import warnings

import numpy as np
import pytest
from pyvisa.errors import VisaIOError

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.pulse_channels import OfChannel
from labneuro.simulators.rack.pulse_generators import Keysight33522B, Keysight33622A, Keysight81160A
from labneuro.simulators.rack.table import Setting
from labneuro.simulators.rack.visa import visa_library

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pymeasure.instruments import agilent, keysight

MODELS = [Keysight33622A, Keysight33522B, Keysight81160A]
TRIGGERED = {
    Keysight33622A: "FUNC PULS;:BURS:MODE TRIG;:BURS:NCYC 5;:BURS:STAT 1;:TRIG:SOUR BUS;:OUTP 1",
    Keysight81160A: ":FUNC1 PULS;:BURS1:MODE TRIG;:TRIG1:COUN 5;:ARM:SOUR1 MAN;:OUTP1 1;:FREQ1 1E3",
}
TRIGGERED[Keysight33522B] = TRIGGERED[Keysight33622A]


def ask(instrument, message: str) -> str:
    session = Session()
    instrument.handle(session, message.encode("latin-1"))
    while instrument.waits(session):
        instrument.clock.sleep(instrument.proceed() - instrument.clock.now())
        instrument.proceed()
    return session.output.decode("latin-1").removesuffix("\n")


def errors(instrument) -> list[int]:
    codes = [code for code, _ in instrument.status.errors]
    instrument.status.clear()
    return codes


def built(model):
    instrument = model(VirtualClock())
    instrument.fired = []
    instrument.fire = lambda *pulses: instrument.fired.append(pulses)
    return instrument


def headers(model) -> list[str]:
    """Return the settings of a model by every path of short words that leads to them."""
    found = []

    def walk(node, path):
        if node.command and getattr(node.command.handler, "__func__", None) in {Setting.change, OfChannel.change}:
            found.append(":".join(path))
        for word, child in {id(child): (word, child) for word, child in reversed(node.children.items())}.values():
            walk(child, [*path, word])

    walk(model.commands._root, [])
    return found


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_answers_after_reset_and_takes_its_answer_back(model):
    instrument = model(VirtualClock())
    assert len(headers(model)) > 60
    for header in headers(model):
        answer = ask(instrument, header + "?")
        assert not errors(instrument), header
        ask(instrument, f"{header} {answer}")
        assert not errors(instrument), (header, answer)
        assert ask(instrument, header + "?") == answer, header


@pytest.mark.parametrize("model", MODELS)
def test_a_trigger_releases_one_burst_and_operation_is_complete_when_it_is_over(model):
    instrument = built(model)
    ask(instrument, TRIGGERED[model] + (";:VOLT1:HIGH 1;:VOLT1:LOW 0" if model is Keysight81160A else ""))
    assert not errors(instrument)
    assert instrument.fired == []
    started = instrument.clock.now()
    ask(instrument, "*TRG")
    ask(instrument, "*TRG")  # while it runs
    assert errors(instrument) == [-211]
    assert ask(instrument, "*OPC?") == "1"
    assert instrument.clock.now() - started == pytest.approx(5e-3)
    assert [count for *_, count in instrument.fired] == [5]
    ask(instrument, "TRIG1")
    assert [count for *_, count in instrument.fired] == [5, 5]


@pytest.mark.parametrize("model", MODELS)
def test_pulses_that_wait_for_no_trigger_go_on_for_ever(model):
    instrument = built(model)
    ask(instrument, "APPL1:PULS 1E3,1,0.5" if model is Keysight81160A else "SOUR1:APPL:PULS 1E3,1,0.5")
    assert not errors(instrument)
    assert instrument.fired[-1][0] == 1
    assert instrument.fired[-1][1] == pytest.approx(2.0)  # twice of what a load of 50 ohm would have
    assert instrument.fired[-1][3] == math.inf
    ask(instrument, "*TRG")
    assert errors(instrument) == [-211]


@pytest.mark.parametrize("model", MODELS)
def test_nothing_comes_out_of_an_output_that_is_off_and_the_rest_of_a_burst_when_it_goes_on(model):
    instrument = built(model)
    ask(instrument, TRIGGERED[model] + ";:OUTP1 0;*TRG")
    assert (instrument.fired, instrument.level(1)) == ([], 0.0)
    instrument.clock.sleep(2.5e-3)
    ask(instrument, ":OUTP1 1")
    assert [count for *_, count in instrument.fired] == [3]


@pytest.mark.parametrize("model", MODELS)
def test_inverted_pulses_go_from_the_high_level_to_the_low_one(model):
    instrument = built(model)
    volts = ":VOLT1" if model is Keysight81160A else ":SOUR1:VOLT"
    ask(instrument, TRIGGERED[model] + f";{volts}:HIGH 0.5;{volts}:LOW -0.75")
    assert instrument.level(1) == pytest.approx(-1.5)
    ask(instrument, "OUTP1:POL INV;*TRG")
    assert instrument.level(1) == pytest.approx(1.0)
    assert instrument.fired[-1][1] == pytest.approx(-1.5)


@pytest.mark.parametrize("model", MODELS)
def test_another_load_changes_what_is_displayed_not_what_is_put_out(model):
    instrument = built(model)
    volts = ":VOLT1" if model is Keysight81160A else ":SOUR1:VOLT"
    ask(instrument, f"{volts}:HIGH 1;{volts}:LOW 0;:OUTP1:LOAD 150")
    assert float(ask(instrument, f"{volts}:HIGH?")) == pytest.approx(1.5)
    assert instrument.levels[1] == pytest.approx((0.0, 2.0))
    ask(instrument, f"{volts}:LIM:STAT 1;:OUTP1:LOAD 50")  # which would mean another limit
    assert errors(instrument) == [-221]
    assert float(ask(instrument, "OUTP1:LOAD?")) == 150


@pytest.mark.parametrize("model", MODELS)
def test_no_level_passes_a_limit(model):
    instrument = built(model)
    volts = ":VOLT1" if model is Keysight81160A else ":SOUR1:VOLT"
    ask(instrument, f"{volts}:LIM:HIGH 1;{volts}:LIM:LOW -0.5;{volts}:LIM:STAT 1;{volts}:HIGH 0.75")
    assert not errors(instrument)
    ask(instrument, f"{volts}:HIGH 1.1")
    assert errors(instrument) == [-221]
    clipped = 0.75 if model is Keysight81160A else 1.0
    assert float(ask(instrument, f"{volts}:HIGH?")) == pytest.approx(clipped)
    for setting in (f"{volts}:OFFS 0.9", f"{volts} 9", f"{volts}:LOW -2", f"{volts}:LIM:HIGH 0.1"):
        ask(instrument, setting)
        assert errors(instrument), setting
        low, high = (float(ask(instrument, f"{volts}:{level}?")) for level in ("LOW", "HIGH"))
        assert -0.5 - 1e-9 <= low <= high <= 1 + 1e-9, setting


@pytest.mark.parametrize("model", MODELS)
def test_a_level_that_meets_the_other_moves_it_with_an_error(model):
    instrument = built(model)
    volts = ":VOLT1" if model is Keysight81160A else ":SOUR1:VOLT"
    ask(instrument, f"{volts}:HIGH 1;{volts}:LOW 0.5;{volts}:HIGH 0.25")
    assert errors(instrument) == [-221]
    low, high = instrument.levels[1]
    assert high == pytest.approx(0.5)
    assert high - low == pytest.approx(instrument.weakest)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("unit", "value"), [("VPP", 1.0), ("VRMS", 0.35355), ("DBM", 3.9794)])
def test_an_amplitude_is_the_same_in_each_unit(model, unit, value):
    instrument = built(model)
    volts = ":VOLT1" if model is Keysight81160A else ":SOUR1:VOLT"
    ask(instrument, f"{volts} 1;{volts}:UNIT {unit}")  # of a sine
    assert float(ask(instrument, f"{volts}?")) == pytest.approx(value, rel=1e-4)
    ask(instrument, f"{volts} {value}")
    assert instrument.levels[1] == pytest.approx((-1.0, 1.0), abs=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_a_width_gives_way_to_the_period_with_an_error_and_follows_it_when_the_duty_cycle_is_held(model):
    instrument = built(model)
    pulse = ":FUNC1:PULS" if model is Keysight81160A else ":SOUR1:FUNC:PULS"
    ask(instrument, f"{'FUNC1' if model is Keysight81160A else 'SOUR1:FUNC'} PULS;{pulse}:PER 1E-3;{pulse}:WIDT 2E-4")
    errors(instrument)
    ask(instrument, f"{pulse}:PER 1E-4")
    assert errors(instrument) == [-221]
    assert 0.9e-4 < float(ask(instrument, f"{pulse}:WIDT?")) < 1e-4
    ask(instrument, f"{pulse}:WIDT 2E-5;{pulse}:HOLD DCYC;{pulse}:PER 1E-3")
    assert float(ask(instrument, f"{pulse}:WIDT?")) == pytest.approx(2e-4)
    assert float(ask(instrument, f"{pulse}:DCYC?")) == pytest.approx(20)
    assert not errors(instrument)
    ask(instrument, f"{pulse}:WIDT 1E-9")
    assert errors(instrument) == [-222]


def test_waveforms_are_kept_by_name():
    instrument = built(Keysight33622A)
    points = ",".join(str(k / 10) for k in range(-5, 5))
    ask(instrument, f"SOUR1:DATA:ARB ramp, {points};:SOUR1:DATA:ARB:DAC other, {','.join(['32767'] * 8)}")
    ask(instrument, "SOUR1:FUNC:ARB RAMP")
    assert not errors(instrument)
    assert instrument.waveforms["RAMP"] == pytest.approx(np.arange(-5, 5) / 10)
    assert ask(instrument, "DATA:VOL:CAT?").endswith(',"RAMP","OTHER"')
    ask(instrument, f"DATA:ARB ramp, {points}")
    ask(instrument, "DATA:ARB:DAC big, 32768,0,0,0,0,0,0,0")
    ask(instrument, "FUNC:ARB nothing")
    assert errors(instrument) == [786, -222, 787]

    instrument = built(Keysight81160A)
    ask(instrument, ":DATA1:DAC VOLATILE,#18" + bytes([0, 0, 31, 255, 0, 0, 224, 1]).decode("latin-1"))
    ask(instrument, ":DATA1:COPY SHAPE, VOLATILE;:FUNC1:USER SHAPE")
    assert not errors(instrument)
    assert instrument.waveforms["SHAPE"] == [0.0, 1.0, 0.0, -1.0]
    assert ask(instrument, ":DATA1:NVOL:CAT?;FREE?") == '"SHAPE";3'
    ask(instrument, ":DATA1:DEL SHAPE")
    assert ask(instrument, ":DATA1:NVOL:FREE?") == "4"


INHERITED = {"arb_advance", "arb_filter", "arb_srate", "arb_file", "phase", "trigger_source", "ext_trig_out"}
"""What PyMeasure's driver of the 81160A asks in the words of the 33500."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("theirs", "model"),
    [
        (agilent.Agilent33500, Keysight33622A),
        (agilent.Agilent33500, Keysight33522B),
        (keysight.Keysight81160A, Keysight81160A),
    ],
)
def test_all_that_pymeasures_driver_exposes_is_read_and_set(theirs, model):
    instrument = model(VirtualClock())
    driver = theirs("GPIB::7", visa_library=visa_library({"GPIB::7": instrument}))
    read = 0
    for part in (driver, driver.ch_1, driver.ch_2):
        members = {n: m for cls in type(part).__mro__ for n, m in vars(cls).items() if isinstance(m, property)}
        for member in members:
            if member.startswith("_") or (model is Keysight81160A and member in INHERITED):
                continue
            try:
                value = getattr(part, member)
            except (LookupError, AttributeError):  # write only
                continue
            read += 1
            assert not errors(instrument), member
            try:
                setattr(part, member, value)
            except (LookupError, AttributeError, ValueError, TypeError):  # read only, or what was read is no argument
                continue
            assert not errors(instrument), member
    assert read > 60


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("member", sorted(INHERITED))
def test_what_is_called_inherited_does_fail(member):
    driver = keysight.Keysight81160A("GPIB::7", visa_library=visa_library({"GPIB::7": Keysight81160A(VirtualClock())}))
    part = driver.ch_2 if hasattr(type(driver.ch_2), member) else driver
    with pytest.raises(VisaIOError, match="TMO"):
        getattr(part, member)


@pytest.mark.filterwarnings("ignore")
def test_pymeasures_driver_of_the_81160a_sends_what_it_is_told():
    instrument = built(Keysight81160A)
    driver = keysight.Keysight81160A("GPIB::7", visa_library=visa_library({"GPIB::7": instrument}))
    channel = driver.ch_1
    channel.shape = "PULS"
    channel.trigger_mode = "MAN"
    channel.trigger_count = 3
    channel.pulse_width = 50e-9
    channel.voltage_high, channel.voltage_low = 1.0, 0.0
    channel.output = True
    driver.trigger()
    channel.save_waveform(np.linspace(-1, 1, 16), "test")
    assert channel.waveforms == "TEST"
    assert instrument.fired == [(1, pytest.approx(2.0), pytest.approx(50e-9), 3)]
    assert not errors(instrument)


@pytest.mark.filterwarnings("ignore")
def test_all_that_qcodess_driver_exposes_is_read_and_set():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        qcodes = pytest.importorskip("qcodes.instrument_drivers.Keysight")
    instrument = built(Keysight33622A)
    driver = qcodes.Keysight33622A("rack", "GPIB::7", visalib=visa_library({"GPIB::7": instrument}))
    try:
        parts = [driver, *driver.submodules.values()]
        for parameter in [parameter for part in parts for parameter in part.parameters.values()]:
            value = parameter.get() if parameter.gettable else None
            if value is not None and parameter.settable:
                parameter.set(value)
            assert not errors(instrument), parameter.full_name
        driver.ch1.function_type("PULS")
        driver.ch1.pulse_width(1e-6)
        driver.ch1.burst_ncycles(7)
        driver.ch1.trigger_source("BUS")
        driver.ch1.burst_state("ON")
        driver.ch1.output("ON")
        instrument.fired.clear()
        driver.force_trigger()
        assert instrument.fired == [(1, pytest.approx(0.1), pytest.approx(1e-6), 7)]
        assert driver.error() == (0, "No error")
    finally:
        driver.close()
