"""Faults of emulated instruments: what a client sees of each, and what our drivers make of it."""

import math
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvisa
from pyvisa.errors import VisaIOError

from labneuro.clock import VirtualClock
from labneuro.instruments import current_sources, rf_sources, source_meters, spectrum_analyzers, voltmeters
from labneuro.instruments.visa import InstrumentError
from labneuro.parameters import ParameterError, validated
from labneuro.simulators.rack.faults import KINDS, OPEN, STRANGER, Faults, Faulty
from labneuro.simulators.rack.generators import E8257D, SMB100A
from labneuro.simulators.rack.instrument import LineLostError, Session
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keithley_2636b import Keithley2636B
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

RESOURCE = "GPIB0::12::INSTR"


def rig(model=Keithley6221, **faults):
    """Return an instrument with faults at the messages given as `_5="late_reply"`, and a client's resource for it."""
    at = {int(name[1:]): faults.pop(name) for name in list(faults) if name.startswith("_")}
    faulty = Faulty(model(VirtualClock()), Faults(at=at, **faults))
    return faulty, pyvisa.ResourceManager(visa_library({RESOURCE: faulty})).open_resource(RESOURCE)


def codes(resource) -> list[int]:
    return [int(code) for code in resource.query("SYST:ERR:CODE:ALL?").split(",")]


def test_faults_are_read_from_a_table_and_what_is_none_is_refused():
    table = {"seed": 3, "late_reply": 0.01, "lasting": "3 s", "settling": "2 ms", "at": {"120": "power_cycle"}}
    assert Faults(**validated(Faults, table)) == Faults(
        seed=3, late_reply=0.01, lasting=3.0, settling=2e-3, at={120: "power_cycle"}
    )
    assert Faults(**validated(Faults, {})) == Faults()
    for wrong, said in (
        ({"busy": 1.5}, "busy: 1.5 is not allowed"),
        ({"bussy": 0.1}, "did you mean busy"),
        ({"lasting": "0 s"}, "lasting"),
        ({"at": {"1": "power_cut"}}, "did you mean power_cycle"),
        ({"at": {"0": "busy"}}, "no message 0"),
        ({"busy": 0.6, "error": 0.6}, "add up to 1.2"),
        ({"by_hand": []}, "by_hand"),
    ):
        with pytest.raises(ParameterError, match=said):
            Faults(**validated(Faults, wrong))


def session_with(instrument, seed: int) -> list[object]:
    """Return all that a client hears over 400 messages, and what is left at the end."""
    dice, session = np.random.default_rng(seed), Session()
    heard: list[object] = []
    messages = [
        b"SOUR:CURR 1e-3;:OUTP 1",
        b"SOUR:CURR?;:OUTP?",
        b"*IDN?",
        b"SYST:ERR?",
        b"*OPC?;*ESR?",
        b"FOO",
        b"*RST",
    ]
    for _ in range(400):
        try:
            instrument.handle(session, messages[dice.integers(len(messages))])
            instrument.clock.sleep(float(dice.random()))
            instrument.proceed()
            heard.append((session.output, instrument.current, instrument.status_byte(session)))
        except LineLostError as error:
            heard.append(str(error))
        session.output = b""
    return [*heard, list(instrument.status.errors)]


def test_without_faults_a_transcript_is_that_of_the_bare_instrument():
    assert session_with(Faulty(Keithley6221(VirtualClock()), Faults(seed=5)), 1) == session_with(
        Keithley6221(VirtualClock()), 1
    )


def test_the_seed_makes_the_faults_and_another_seed_others():
    def transcript(seed: int) -> list[object]:
        faults = Faults(seed=seed, **dict.fromkeys(KINDS, 0.02), lasting=3.0)
        return session_with(Faulty(Keithley6221(VirtualClock()), faults), 1)

    assert transcript(7) == transcript(7) != transcript(8)


def test_which_message_a_fault_meets_depends_on_its_number_alone():
    def lost(gap: float, clients: int, at: dict[int, str]) -> list[int]:
        faulty = Faulty(GS200(VirtualClock()), Faults(seed=2, lost_message=0.1, at=at, lasting=10.0))
        sessions = [Session() for _ in range(clients)]
        missed = []
        for number in range(1, 2500):
            session = sessions[number % clients]
            session.output = b""
            faulty.clock.sleep(gap)
            with suppress(LineLostError):
                faulty.handle(session, b"*OPC?" if number % 3 else b"*IDN?")
            if not session.output:
                missed.append(number)
        return missed

    alone = lost(0.0, 1, {})
    assert 180 < len(alone) < 320
    assert lost(1.0, 2, {1020: "disconnect"}) == sorted({*alone, *range(1020, 1030)})


def test_a_lost_message_is_not_executed_and_a_lost_reply_is():
    faulty, client = rig(_1="lost_message", _2="lost_reply")
    for message, level in (("SOUR:CURR 1e-3;CURR?", 0.0), ("SOUR:CURR 2e-3;CURR?", 2e-3)):
        with pytest.raises(VisaIOError, match="TMO"):
            client.query(message)
        assert faulty.level == level
    assert client.query("SOUR:CURR?") == "+2.000000E-03\n"


def test_a_late_reply_comes_after_the_timeout_is_dropped_by_a_clear_and_interrupted_by_a_message():
    faulty, client = rig(lasting=3.0, _1="late_reply", _2="late_reply", _4="late_reply")
    with pytest.raises(VisaIOError, match="TMO"):
        client.query("SOUR:CURR?")
    assert client.read() == "+0.000000E+00\n"
    assert faulty.clock.now() == pytest.approx(3.0)
    for recover in (client.clear, lambda: None):
        with pytest.raises(VisaIOError, match="TMO"):
            client.query("SOUR:CURR?")
        recover()
        assert client.query("*OPC?") == "1\n"
    assert codes(client) == [-410]
    faulty.clock.sleep(10)
    assert client.query("*OPC?") == "1\n"


def test_a_client_never_takes_the_beginning_of_a_reply_for_all_of_it():
    _, client = rig(lasting=3.0, _1="cut_reply", _2="split_reply")
    with pytest.raises(VisaIOError, match="TMO"):
        client.query("SOUR:CURR?")
    client.timeout = 5000
    assert client.query("SOUR:CURR?") == "+0.000000E+00\n"


@pytest.mark.parametrize("kind", ["split_reply", "cut_reply"])
def test_the_first_bytes_of_a_reply_come_at_once_and_the_rest_late_or_never(kind):
    faulty = Faulty(Keithley6221(VirtualClock()), Faults(lasting=3.0, at={1: kind}))
    session = Session()
    faulty.handle(session, b"SOUR:CURR?")
    first, whole = session.output, b"+0.000000E+00\n"
    assert whole.startswith(first)
    assert 0 < len(first) < len(whole)
    assert faulty.waits(session) == (kind == "split_reply")
    faulty.clock.sleep(3.0)
    faulty.proceed()
    assert session.output == (whole if kind == "split_reply" else first)
    assert not faulty.waits(session)


def test_a_line_is_lost_with_its_message_and_comes_back_with_the_settings():
    faulty = Faulty(Keithley6221(VirtualClock()), Faults(lasting=3.0, at={2: "disconnect"}))
    manager = pyvisa.ResourceManager(visa_library({RESOURCE: faulty}))
    client = manager.open_resource(RESOURCE)
    client.write("SOUR:CURR 1e-3;:OUTP 1;*IDN?")
    with pytest.raises(VisaIOError, match="CONN_LOST"):
        client.write("SOUR:CURR 2e-3")
    with pytest.raises(VisaIOError, match="NFOUND"):
        manager.open_resource(RESOURCE)
    assert faulty.current == 1e-3
    faulty.clock.sleep(3.0)
    again = manager.open_resource(RESOURCE)
    assert again.query("SOUR:CURR?;:OUTP?") == "+1.000000E-03;1\n"


def test_a_power_cycle_loses_settings_status_and_waiting_messages_and_says_so():
    faulty, client = rig(_3="power_cycle", _2="busy")
    heard = []
    faulty.changed = lambda: heard.append(faulty.current)
    client.write("*CLS;:SOUR:CURR 1e-3;:OUTP 1;*ESE 7;FOO")
    client.write("SOUR:CURR 2e-3")
    client.write("*CLS")
    assert heard[-1] == faulty.current == 0
    faulty, client = rig(_2="power_cycle")
    client.write("*CLS;:SOUR:CURR 1e-3;:OUTP 1;*ESE 7;FOO")
    assert client.query("*ESR?;*ESE?;:OUTP?;:SOUR:CURR?;:SYST:ERR?") == '128;0;0;+0.000000E+00;0,"No error"\n'


def test_an_error_comes_out_of_the_blue_and_the_message_is_executed_all_the_same():
    faulty, client = rig(_1="error")
    client.write("SOUR:CURR 1e-3")
    assert faulty.level == 1e-3
    assert codes(client)[0] < 0


def test_a_source_without_contact_runs_into_its_limit_until_the_contact_is_back():
    faulty, client = rig(lasting=3.0, _2="contact")
    heard = []
    faulty.resistance = lambda: 100.0
    faulty.changed = lambda: heard.append(faulty.current)
    client.write("SOUR:CURR 1e-3;CURR:COMP 2;:OUTP 1")
    assert client.query("STAT:MEAS:COND?") == "8\n"
    assert heard[-1] == faulty.current == 2 / OPEN
    faulty.clock.sleep(3.0)
    assert faulty.current == 1e-3
    assert client.query("STAT:MEAS:COND?") == "0\n"
    assert heard[-1] == 1e-3


def test_an_overloaded_meter_has_no_reading():
    faulty, client = rig(Keithley2182A, _1="overload")
    faulty.input = lambda channel: 1e-3
    assert client.query("READ?") == "+9.90000000E+37\n"
    faulty.clock.sleep(5.0)
    assert client.query("READ?") == "+1.00000000E-03\n"
    faulty, client = rig(N9030B, _1="overload")
    assert set(client.query("TRAC? TRACE1").strip().split(",")) == {"+9.90000000E+37"}
    faulty.clock.sleep(5.0)
    assert float(client.query("TRAC? TRACE1").split(",")[0]) < 0


def test_a_busy_instrument_keeps_its_messages_waiting_in_order():
    faulty, client = rig(lasting=3.0, _1="busy")
    client.write("SOUR:CURR 1e-3")
    client.write("SOUR:CURR 2e-3")
    assert faulty.level == 0
    with pytest.raises(VisaIOError, match="TMO"):
        client.query("SOUR:CURR?")
    assert client.read() == "+2.000000E-03\n"
    assert faulty.clock.now() == pytest.approx(3.0)


def test_another_instrument_answers_for_a_time():
    faulty, client = rig(_2="identity")
    own = client.query("*IDN?")
    assert client.query("*IDN?") == STRANGER + "\n"
    faulty.clock.sleep(5.0)
    assert client.query("*IDN?") == own


def test_a_hand_at_the_front_panel_changes_what_it_is_told():
    _, client = rig(by_hand=("SOUR:CURR:COMP 50",), _2="panel")
    client.write("SOUR:CURR 1e-3;CURR:COMP 2;:OUTP 1")
    assert client.query("SOUR:CURR:COMP?;:SOUR:CURR?") == "+5.000000E+01;+1.000000E-03\n"


@pytest.mark.parametrize("model", [GS200, Keithley6221, Keithley2400, Keithley2450])
def test_a_slow_source_follows_with_its_time_constant(model):
    faulty, client = rig(model, settling=2.0)
    client.write("*RST" if model is Keithley6221 else "SOUR:FUNC CURR")
    client.write("SOUR:RANG 1e-3" if model is GS200 else "SOUR:CURR:RANG 1e-3")
    header = "SOUR:LEV" if model is GS200 else "SOUR:CURR"
    client.write(f"{header} 1e-3;:OUTP 1")
    assert faulty.current == 0
    faulty.clock.sleep(1.0)
    reached = 1e-3 * -math.expm1(-0.5)
    assert faulty.current == pytest.approx(reached, rel=1e-12)
    faulty.clock.sleep(1.0)
    client.write(f"{header} 0")
    faulty.clock.sleep(2.0)
    assert faulty.current == pytest.approx(1e-3 * -math.expm1(-1.0) * math.exp(-1.0), rel=1e-12)
    client.write(":OUTP 0")
    assert faulty.current == 0


@pytest.mark.parametrize(
    ("model", "change", "peak"),
    [
        (GS200, "SOUR:RANG 100e-3", 0.1 * 90e-3),
        (Keithley6221, "SOUR:CURR:RANG 100e-3", 0.1 * 80e-3),
        (Keithley2400, "SOUR:CURR:RANG 100e-3", 0.1 * 90e-3),
        (Keithley2450, "SOUR:CURR:RANG 100e-3", 0.1 * 90e-3),
    ],
)
def test_a_new_range_sends_a_spike_through_the_device_unless_the_output_is_off(model, change, peak):
    faulty, client = rig(model, glitch=0.1)
    spikes = []
    faulty.surge = spikes.append
    client.write("*RST" if model is Keithley6221 else "SOUR:FUNC CURR")
    client.write("SOUR:RANG 10e-3" if model is GS200 else "SOUR:CURR:RANG 10e-3")
    assert not spikes
    client.write(":OUTP 1")
    client.write(change)
    client.write(change)
    assert spikes == pytest.approx([peak])
    assert codes(client) == [0]


def test_the_spike_of_a_voltage_range_and_that_of_autorange_go_through_what_is_driven():
    faulty, client = rig(Keithley2400, glitch=0.01)
    spikes = []
    faulty.surge = spikes.append
    faulty.resistance = lambda: 1e3
    client.write("SOUR:FUNC VOLT;:SOUR:VOLT 0.1;:OUTP 1;:SOUR:CURR:RANG 1")
    client.write("SOUR:VOLT 1")
    assert spikes == pytest.approx([0.01 * 1.8 / 1e3])


def test_what_fails_behind_a_port_is_a_system_error_for_faults_too(caplog):
    faulty, client = rig(_2="contact", _3="power_cycle")
    client.write("*CLS")
    faulty.changed = lambda: 1 / 0
    client.write("*CLS;*WAI")
    assert client.query("SYST:ERR?").startswith("-310")
    assert "ZeroDivisionError" in caplog.text


# What our drivers make of each fault at each of their messages.

CURRENTS = (1e-3, 2e-3)
VOLTAGES = (0.1, 0.2)
TONES = ((5e9, 1e-4), (6e9, 2e-4))
LEVELS = tuple(10 * math.log10(power / 1e-3) for _, power in TONES)


def source_currents(driver, source):
    driver.set_compliance(2.0)
    for current in CURRENTS:
        driver.set_current(current)
        assert level_of(source) == pytest.approx(current)
    assert driver.current == pytest.approx(level_of(source) if source.output else 0.0)


def level_of(source) -> float:
    return source.level if hasattr(source, "level") else source.current_level


def measure_currents(driver, meter):
    driver.set_current_limit(1e-3)
    for voltage in VOLTAGES:
        driver.set_voltage(voltage)
        assert meter.voltage_level == pytest.approx(voltage)
        assert driver.measured_current == pytest.approx(meter.current, rel=1e-5)


def put_out_tones(driver, generator):
    for (frequency, power), level in zip(TONES, LEVELS, strict=True):
        driver.set_tone(frequency, power)
        assert generator.tone == pytest.approx((frequency, level), abs=0.011)
    assert driver.power == pytest.approx(TONES[-1][1] if generator.tone else 0.0, rel=0.003)


def take_spectrum(driver, analyzer):
    driver.configure(1e9, 1.01e9, rbw=1e6, averages=2)
    assert driver.trace().density == pytest.approx(1e-11 / driver.NOISE_BANDWIDTH / 1e6, rel=1e-6)


def read_voltages(driver, meter):
    assert [driver.voltage, driver.voltage] == pytest.approx([1e-3, 1e-3])


def asked_for(use, instrument) -> bool:
    """Return whether what is put out, if anything is, was once asked for, under the limit that was set first."""
    if use is put_out_tones:
        tone = instrument.tone
        return tone is None or (tone[0] in dict(TONES) and min(abs(tone[1] - level) for level in LEVELS) < 0.011)
    voltage, current, limited = instrument.terminals()
    if use is source_currents:
        level, levels, limit = (
            current,
            CURRENTS,
            (getattr(instrument, "compliance", None) or instrument.voltage_limit) / 2.0,
        )
    else:
        level, levels, limit = voltage, VOLTAGES, instrument.current_limit / 1e-3
    asked = limited or min(abs(level - one) for one in levels) < 1e-12
    return level == 0 or (asked and limit == 1.0)


DRIVERS = {
    "2182A": (voltmeters.Keithley2182A, Keithley2182A, read_voltages, {}),
    "2400": (current_sources.Keithley2400, Keithley2400, source_currents, {"source_range": 10e-3}),
    "2450 meter": (source_meters.Keithley2450Meter, Keithley2450, measure_currents, {"source_range": 2.0}),
    "2636B meter": (source_meters.Keithley2636BMeter, Keithley2636B, measure_currents, {"source_range": 2.0}),
    "6221": (current_sources.Keithley6221, Keithley6221, source_currents, {"source_range": 20e-3}),
    "E4408B": (spectrum_analyzers.AgilentE4408B, E4408B, take_spectrum, {}),
    "E8257D": (rf_sources.KeysightE8257D, E8257D, put_out_tones, {}),
    "GS200": (current_sources.YokogawaGS200, GS200, source_currents, {"source_range": 10e-3}),
    "N9030B": (spectrum_analyzers.KeysightXSeries, N9030B, take_spectrum, {}),
    "SMB100A": (rf_sources.RohdeSchwarzSMB100A, SMB100A, put_out_tones, {}),
}


def raises(action) -> bool:
    """Do it; return whether it raised InstrumentError, and nothing else."""
    failed = False
    try:
        action()
    except* InstrumentError:
        failed = True
    return failed


def use_with(at: dict[int, str], driver_class, model, use, settings) -> SimpleNamespace:
    """Use a driver with a fault, leave it safe and use it once more; return what happened.

    messages: how many the first use took. raised: whether it raised. strange: what else than asked for was put out.
    """
    clock = VirtualClock()
    faulty = Faulty(model(clock), Faults(seed=sum(at), lasting=3.0, glitch=0.1, at=at))
    strange: list[object] = []
    faulty.resistance = lambda: 1e3
    faulty.input = lambda asked: -80.0 * np.ones(asked.points) if use is take_spectrum else 1e-3
    faulty.surge = lambda peak: strange.append(f"a spike of {peak} A")
    faulty.changed = lambda: (
        asked_for(use, faulty) or strange.append(getattr(faulty, "tone", None) or faulty.terminals())
    )
    settings = {"visa_library": visa_library({RESOURCE: faulty}), **settings}
    if "source_range" in settings:
        settings["clock"] = clock
    drivers: list[Any] = []

    def go() -> None:
        drivers.append(driver_class(resource=RESOURCE, **settings))
        use(drivers[-1], faulty)

    raised, messages = raises(go), faulty._count
    clock.sleep(5.0)
    for driver in drivers:
        raises(driver.make_safe)
        assert not raises(driver.make_safe)
        assert not getattr(faulty, "output", False)
    assert not raises(go)
    return SimpleNamespace(raised=raised, messages=messages, strange=strange)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_raises_or_recovers_and_puts_out_nothing_that_was_not_asked(name, kind):
    clean = use_with({}, *DRIVERS[name])
    assert (clean.raised, clean.strange) == (False, [])
    runs = {number: use_with({number: kind}, *DRIVERS[name]) for number in range(1, clean.messages + 1)}
    assert {number: run.strange for number, run in runs.items() if run.strange} == {}


ON_THE_WIRE = ("lost_message", "lost_reply", "late_reply", "split_reply", "cut_reply", "disconnect", "busy")


@pytest.mark.parametrize("kind", ON_THE_WIRE)
@pytest.mark.parametrize("name", ["2400", "2450 meter", "6221", "E8257D", "GS200", "SMB100A"])
def test_a_driver_leaves_safe_whatever_happens_on_the_wire_once(name, kind):
    driver_class, model, use, settings = DRIVERS[name]
    for number in range(1, 5):
        clock, at = VirtualClock(), {}
        faulty = Faulty(model(clock), Faults(seed=number, lasting=3.0, at=at))
        faulty.resistance = lambda: 1e3
        timed = {"clock": clock} if "source_range" in settings else {}
        driver = driver_class(resource=RESOURCE, visa_library=visa_library({RESOURCE: faulty}), **settings, **timed)
        use(driver, faulty)
        assert faulty.output
        at[faulty._count + number] = kind
        driver.make_safe()
        assert not faulty.output
