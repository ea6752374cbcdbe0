"""The models: what stands at their ports for what they were told, and how their makers write it."""

import math

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.generators import E8257D, N5183B, SGS100A, SMB100A
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B, N9030B
from labneuro.simulators.rack.replies import engineering, plain, values
from labneuro.simulators.rack.rohde_schwarz_analyzers import FSV, FSW
from labneuro.simulators.rack.table import Setting
from labneuro.simulators.rack.yokogawa import GS200

MODELS = [GS200, Keithley6221, Keithley2400, Keithley2450, Keithley2182A]
MODELS += [E8257D, N5183B, SMB100A, SGS100A, N9030B, E4408B, FSW, FSV]


def ask(instrument, message: str) -> str:
    session = Session()
    instrument.handle(session, message.encode())
    while instrument.waits(session):
        instrument.clock.sleep(instrument.proceed() - instrument.clock.now())
        instrument.proceed()
    return session.output.decode("latin-1").removesuffix("\n")


def error(instrument) -> int:
    return instrument.status.next_error()[0]


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_answers_after_reset_and_takes_its_answer_back(model):
    instrument = model(VirtualClock())
    headers = setting_headers(model)
    assert len(headers) > 10
    for header in headers:
        answer = ask(instrument, header + "?")
        assert error(instrument) == 0, header
        ask(instrument, f"{header} {answer}")
        assert error(instrument) == 0, (header, answer)
        assert ask(instrument, header + "?") == answer, header


def setting_headers(model) -> list[str]:
    """Return the settings of a model by every path of short words that leads to them."""
    found = []

    def walk(node, path):
        if node.command and getattr(node.command.handler, "__func__", None) is Setting.change:
            found.append(":".join(path))
        for child in {id(child): (word, child) for word, child in reversed(node.children.items())}.values():
            walk(child[1], [*path, child[0]])

    walk(model.commands._root, [])
    return found


@pytest.mark.parametrize("model", MODELS)
def test_reset_brings_back_the_defaults_and_leaves_the_status_alone(model):
    instrument = model(VirtualClock())
    before = {header: ask(instrument, header + "?") for header in setting_headers(model)}
    for header in before:
        ask(instrument, f"{header} 1")
    instrument.status.clear()
    ask(instrument, "*ESE 7;FOO")
    ask(instrument, "*RST")
    assert ask(instrument, "*ESE?") == "7"
    assert error(instrument) == -113
    after = {header: ask(instrument, header + "?") for header in before}
    assert after == before


def test_the_gs200_puts_out_what_was_asked_only_while_it_is_on():
    source = GS200(VirtualClock())
    ask(source, "SOUR:FUNC CURR;RANG 0.008;LEV 5.12345678e-3")
    assert ask(source, "SOUR:RANG?;LEV?") == "10.000E-03;+5.12350E-03"
    assert source.current == 0
    ask(source, "OUTP ON")
    assert source.current == pytest.approx(5.1235e-3)
    ask(source, "SOUR:LEV 13 mA")
    assert error(source) == -222
    ask(source, "SOUR:FUNC VOLT")
    assert error(source) == -221
    assert source.current == pytest.approx(5.1235e-3)


def test_the_gs200_ramps_its_program_on_the_clock():
    clock = VirtualClock()
    source = GS200(clock)
    ask(source, "SOUR:FUNC CURR;RANG 10E-3;LEV 1E-3;:OUTP 1")
    ask(source, "*CLS;:PROG:REP 0;:PROG:SLOP 2.0;:PROG:INT 2.0;:PROG:EDIT:STAR;:SOUR:LEV 5E-3;:PROG:EDIT:END;:PROG:RUN")
    clock.sleep(0.5)
    assert source.current == pytest.approx(2e-3)
    assert ask(source, "STAT:EVEN?") == "0"
    clock.sleep(1.5)
    assert ask(source, "STAT:EVEN?;:SOUR:LEV?") == "128;+5.00000E-03"


def test_a_current_source_in_compliance_gives_less_and_says_so():
    source = Keithley6221(VirtualClock())
    source.resistance = lambda: 1e3
    ask(source, "SOUR:CURR 50e-3;CURR:COMP 10;:OUTP ON")
    assert source.current == pytest.approx(10e-3)
    assert int(ask(source, "STAT:MEAS:COND?")) & 8
    ask(source, "SOUR:CURR 5e-3")
    assert source.current == pytest.approx(5e-3)
    assert not int(ask(source, "STAT:MEAS:COND?"))


def test_delta_readings_are_half_the_difference_of_both_signs():
    clock = VirtualClock()
    source = Keithley6221(clock)
    ask(source, "SOUR:DELT:ARM")
    assert error(source) == 413
    source.voltmeter = lambda: source.voltage + 3e-6
    ask(source, "SOUR:DELT:HIGH 2e-3;:SOUR:DELT:COUN 4;:TRAC:POIN 4;:SOUR:DELT:ARM;:INIT")
    readings = np.array(ask(source, "TRAC:DATA?").split(","), dtype=float)
    assert readings[::2] == pytest.approx(2e-3 * 50)


@pytest.mark.parametrize("model", [Keithley2400, Keithley2450])
def test_a_source_meter_measures_its_device_and_trips_at_its_limit(model):
    meter = model(VirtualClock())
    meter.resistance = lambda: 1e3
    old = model is Keithley2400
    limit = "SENS:CURR:PROT" if old else "SOUR:VOLT:ILIM"
    ask(meter, f"SOUR:FUNC VOLT;:SOUR:VOLT 2;:{limit} 1e-2;:SENS:FUNC 'CURR';:OUTP ON")
    assert float(ask(meter, "READ?").split(",")[1 if old else 0]) == pytest.approx(2e-3)
    assert ask(meter, f"{limit}:TRIP?") == "0"
    ask(meter, f"{limit} 1e-3")
    assert float(ask(meter, "READ?").split(",")[1 if old else 0]) == pytest.approx(1e-3)
    assert ask(meter, f"{limit}:TRIP?") == "1"
    assert meter.voltage == pytest.approx(1.0)


def test_the_2400_marks_what_it_did_not_measure_and_refuses_to_read_with_its_output_off():
    meter = Keithley2400(VirtualClock())
    assert ask(meter, "READ?") == ""
    assert meter.status.next_error() == (803, "Not permitted with OUTPUT off")
    reading = ask(meter, "OUTP ON;:SOUR:VOLT 1;:READ?")
    assert reading.startswith("+1.000000E+00,+1.050000E-04,+9.910000E+37,")


def test_a_sweep_of_the_2450_clears_its_buffer_first():
    meter = Keithley2450(VirtualClock())
    ask(meter, "OUTP ON;:READ?;:SOUR:FUNC VOLT;:SOUR:VOLT:ILIM 1")
    ask(meter, ":SOURce:SWEep:voltage:LINear 0,1,11,0,1,AUTO,ON,OFF,'defbuffer1'")
    ask(meter, ":INITiate")
    ask(meter, "*WAI")
    assert ask(meter, "TRAC:ACT?") == "11"
    currents = np.array(ask(meter, "TRAC:DATA? 1, 11, 'defbuffer1'").split(","), dtype=float)
    assert currents == pytest.approx(np.linspace(0, 1, 11) / 50)


def test_the_nanovoltmeter_overflows_on_a_fixed_range_and_takes_time_to_integrate():
    clock = VirtualClock()
    meter = Keithley2182A(clock)
    meter.input = lambda channel: 0.05 * channel
    assert ask(meter, "SENS:VOLT:NPLC 5;:READ?") == "+5.00000000E-02"
    assert clock.now() == pytest.approx(0.1)
    assert ask(meter, "SENS:VOLT:CHAN1:RANG 0.01;:READ?") == "+9.90000000E+37"
    assert ask(meter, "SENS:CHAN 2;:FETC?;:READ?") == "+9.90000000E+37;+1.00000000E-01"


@pytest.mark.parametrize("model", [E8257D, N5183B, SMB100A, SGS100A])
def test_a_generator_gives_its_tone_only_while_it_is_on(model):
    generator = model(VirtualClock())
    heard = []
    generator.changed = lambda: heard.append(generator.tone)
    ask(generator, "FREQ 6.1234567891 GHz;:POW -10 dBm")
    assert generator.tone is None
    ask(generator, "OUTP ON")
    assert generator.tone == pytest.approx((6.1234567891e9, -10))
    assert float(ask(generator, "FREQ?")) == pytest.approx(6.1234567891e9, rel=1e-13)
    ask(generator, "POW 35")
    assert error(generator) == -222
    ask(generator, "*RST")
    assert heard[-1] is None


def test_makers_write_numbers_their_own_way():
    psg, sgs, pxa = E8257D(VirtualClock()), SGS100A(VirtualClock()), N9030B(VirtualClock())
    assert ask(psg, "FREQ 1e9;FREQ?") == "+1.0000000000000E+009"
    assert ask(sgs, "FREQ 1.5e9;FREQ?;:POW -3.25;POW?") == "1500000000;-3.25"
    assert ask(pxa, "SENS:FREQ:CENT?;:SWE:POIN?") == "+1.32550000000000E+10;1001"
    assert ask(psg, "SYST:ERR?") == '+0,"No error"'


@pytest.mark.parametrize("model", [N9030B, E4408B, FSW, FSV])
def test_an_analyzer_shows_what_its_input_gives_over_its_span(model):
    analyzer = model(VirtualClock())
    asked = []

    def line(sweep):
        asked.append(sweep)
        return -100 + 60 * np.exp(-(((sweep.frequency - 350e6) / sweep.rbw) ** 2))

    analyzer.input = line
    ask(analyzer, "INIT:CONT OFF;:FREQ:STAR 300 MHz;STOP 400 MHz;:BAND 1 MHz;:SWE:POIN 501")
    trace = np.array(ask(analyzer, "INIT;*WAI;:TRAC? TRACE1").split(","), dtype=float)
    assert trace.size == 501
    assert trace.argmax() == 250
    assert trace.max() == pytest.approx(-40)
    assert (asked[-1].start, asked[-1].stop, asked[-1].rbw) == (300e6, 400e6, 1e6)
    assert ask(analyzer, "FREQ:CENT?;SPAN?").split(";") == [
        ask(analyzer, "FREQ:CENT 350e6;CENT?"),
        ask(analyzer, "FREQ:SPAN 1e8;SPAN?"),
    ]
    count = len(asked)
    ask(analyzer, "TRAC? TRACE1;:TRAC? TRACE1")
    assert len(asked) == count


def test_start_stop_centre_and_span_move_each_other():
    analyzer = N9030B(VirtualClock())
    ask(analyzer, "FREQ:CENT 1 GHz;SPAN 100 MHz")
    assert [float(f) for f in ask(analyzer, "FREQ:STAR?;STOP?").split(";")] == [950e6, 1050e6]
    ask(analyzer, "FREQ:STAR 2 GHz")
    assert [float(f) for f in ask(analyzer, "FREQ:STAR?;STOP?").split(";")] == [2e9, 2e9 + 10]


def test_markers_of_the_fsw_go_from_peak_to_peak():
    analyzer = FSW(VirtualClock())
    analyzer.input = lambda s: (
        -100 + sum(h * np.exp(-(((s.frequency - f) / 1e6) ** 2)) for f, h in ((320e6, 30), (350e6, 50), (380e6, 40)))
    )
    ask(analyzer, "INIT:CONT OFF;:FREQ:STAR 300e6;STOP 400e6")
    assert float(ask(analyzer, "CALC:MARK1 ON;:CALC:MARK1:X?")) == pytest.approx(350e6)
    assert float(ask(analyzer, "CALC:MARK1:MAX:NEXT;:CALC:MARK1:X?")) == pytest.approx(380e6)
    assert float(ask(analyzer, "CALC:MARK1:MAX:LEFT;:CALC:MARK1:X?")) == pytest.approx(350e6)
    assert float(ask(analyzer, "CALC:MARK1:Y?")) == pytest.approx(-50)


def test_a_trace_is_written_as_each_number_would_be():
    rng = np.random.default_rng(0)
    trace = np.concatenate(
        [rng.normal(-80, 30, 500), 10.0 ** rng.uniform(-60, 60, 500), [0.0, 1.0, -9.999999999999, 1e9]]
    )
    written = values(trace).split(",")
    assert written[-1] == "+1.00000000E+09"
    assert written[-2] == "-1.00000000E+01"
    assert np.array(written, dtype=float) == pytest.approx(trace, rel=5.1e-9)
    assert values(np.array([math.nan, math.inf, -math.inf])) == "+9.91000000E+37,+9.90000000E+37,-9.90000000E+37"


def test_engineering_and_plain_notation():
    assert [engineering(v) for v in (10e-3, 1.0, 30.0, 200e-3, 0.0)] == [
        "10.000E-03",
        "1.0000E+00",
        "30.000E+00",
        "200.00E-03",
        "0.0000E+00",
    ]
    assert [plain(v) for v in (1e9, -3.25, math.inf)] == ["1000000000", "-3.25", "9.9e+37"]
