"""The emulated 2636B takes messages as its Test Script Processor does: Lua that reaches the instrument and no more."""

import math
from typing import Any

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2636b import Keithley2636B


class Client:
    """One who sends messages, waits for as long as they take, and reads what is printed."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.instrument = Keithley2636B(self.clock)
        self.session = Session()

    def send(self, message: str) -> bytes:
        self.instrument.handle(self.session, message.encode())
        while (until := self.instrument.proceed()) < math.inf:
            self.clock.sleep(until - self.clock.now())
        printed, self.session.output = self.session.output, b""
        return printed

    def error(self) -> str:
        return self.send("print(errorqueue.next())").decode().split("\t")[1]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("print(localnode.model)", "2636B"),
        ("print(smua.source.leveli)", "0.00000e+00"),
        ("print(nil, true, 'a')", "nil\ttrue\ta"),
        ("print(errorqueue.next())", "0.00000e+00\tQueue Is Empty\t0.00000e+00\t0.00000e+00"),
        ("format.asciiprecision = 10 print(1/3)", "3.333333333e-01"),
        ("for k = 1, 2 do print(k) end", "1.00000e+00\n2.00000e+00"),
        ("print(type(smua.source), type(smua.reset), smua.OUTPUT_DCAMPS)", "table\tfunction\t0.00000e+00"),
        ("print(smua.source.nothing)", "nil"),
        (
            "loadandrunscript twice\nlocal function twice(x)\nreturn 2 * x\nend\nprint(twice(21))\nendscript",
            "4.20000e+01",
        ),
    ],
)
def test_what_a_script_prints_is_written_as_the_instrument_writes_it(
    client: Client, message: str, printed: str
) -> None:
    assert client.send(message).decode() == f"{printed}\n"


def test_a_variable_outlives_its_message_and_not_the_power(client: Client) -> None:
    client.send("level = 0.25")
    assert client.send("smua.source.levelv = level print(smua.source.levelv)") == b"2.50000e-01\n"
    client.instrument.power_on()
    assert client.send("print(level)") == b"nil\n"


def test_a_level_drives_what_is_connected_and_its_measurement_takes_its_time(client: Client) -> None:
    client.instrument.resistance = lambda: 1e3
    client.send("smua.source.levelv = 0.3 smua.source.output = smua.OUTPUT_ON smua.measure.nplc = 10")
    assert client.send("print(smua.measure.iv())") == b"3.00000e-04\t3.00000e-01\n"
    assert client.clock.now() == pytest.approx(10 / 50)
    client.send("smua.source.limiti = 1e-4")
    assert client.send("print(smua.source.compliance, status.measurement.instrument.smua.condition)") == (
        b"true\t2.00000e+00\n"
    )
    assert client.instrument.current == pytest.approx(1e-4)


def test_a_delay_lies_between_what_is_before_and_behind_it(client: Client) -> None:
    changes: list[tuple[float, float]] = []
    client.instrument.resistance = lambda: 1e3
    client.instrument.changed = lambda: changes.append((client.clock.now(), client.instrument.voltage))
    client.send("smua.source.output = 1 smua.source.levelv = 0.1 delay(2) smua.source.levelv = 0.2")
    assert changes[-2:] == [(0.0, pytest.approx(0.1)), (2.0, pytest.approx(0.2))]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("x = = 3", "TSP Syntax error"),
        ("error('so')", "TSP Runtime error: TSP:1: so"),
        ("smua.source.levelv = 300 smua.source.output = 1", "Parameter too big"),
        ("smua.source.limiti = 0 smua.source.output = 1", "Parameter too small"),
        ("smua.source.levelv = 'much'", "Data type error"),
        ("smua.source.func = 3", "Illegal parameter value"),
        ("smua.source.nothing = 1", "attribute smua.source.nothing can't be set"),
        ("smua.source.rangev = 2 smua.source.levelv = 3 smua.source.output = 1", "Parameter too big"),
        ("smua.source.rangev = 200 smua.source.limiti = 1 smua.source.output = 1", "Settings conflict"),
        ("smua.source.levelv = 0 / 0 smua.source.output = 1", "Parameter too big"),
        ("while true do end", "script ran too long"),
        ("t = {} for k = 1, 1e6 do t[k] = ('x'):rep(1e6) .. k end", "not enough memory"),
    ],
)
def test_what_is_wrong_ends_its_script_and_is_in_the_error_queue(client: Client, message: str, error: str) -> None:
    assert client.send(message) == b""
    assert error in client.error()
    assert not client.instrument.output
    assert client.send("print(1)") == b"1.00000e+00\n"


@pytest.mark.parametrize("name", ["os", "io", "require", "python", "debug", "load", "dofile", "package", "rawset"])
def test_a_script_reaches_nothing_but_the_instrument(client: Client, name: str) -> None:
    assert client.send(f"print({name}, _G.{name})") == b"nil\tnil\n"


@pytest.mark.parametrize(("data", "kind"), [("REAL32", "<f4"), ("REAL64", "<f8")])
def test_a_buffer_is_printed_as_text_and_as_bytes(client: Client, data: str, kind: str) -> None:
    client.instrument.resistance = lambda: 1e3
    client.send("smua.source.output = 1 smua.nvbuffer1.appendmode = 1")
    client.send("for k = 1, 3 do smua.source.levelv = k smua.measure.i(smua.nvbuffer1) end")
    assert client.send("printbuffer(1, smua.nvbuffer1.n, smua.nvbuffer1.readings)") == (
        b"1.00000e-03, 2.00000e-03, 3.00000e-03\n"
    )
    client.send(f"format.data = format.{data} format.byteorder = format.LITTLEENDIAN")
    printed = client.send("printbuffer(1, 3, smua.nvbuffer1.readings)")
    assert (printed[:2], printed[-1:]) == (b"#0", b"\n")
    assert np.frombuffer(printed[2:-1], kind) == pytest.approx([1e-3, 2e-3, 3e-3])
    client.send("printbuffer(1, 4, smua.nvbuffer1.readings)")
    assert client.error() == "Data out of range"


@pytest.mark.filterwarnings("ignore:It is not known:FutureWarning")
def test_the_driver_of_pymeasure_sources_and_measures() -> None:
    keithley: Any = pytest.importorskip("pymeasure.instruments.keithley")
    from labneuro.simulators.rack.visa import visa_library  # noqa: PLC0415

    instrument = Keithley2636B(VirtualClock())
    instrument.resistance = lambda: 1e3
    theirs = keithley.Keithley2600("GPIB::7", visa_library=visa_library({"GPIB::7": instrument}), read_termination="\n")
    theirs.ChA.apply_voltage(voltage_range=2, compliance_current=1e-3)
    theirs.ChA.source_voltage = 0.5
    theirs.ChA.source_output = "ON"
    assert (theirs.ChA.voltage, theirs.ChA.current) == (0.5, 5e-4)
    assert theirs.next_error == (0, "Queue Is Empty")
    theirs.ChA.source_voltage = 1.5
    assert (theirs.ChA.voltage, theirs.ChA.compliance_current) == (1.0, 1e-3)
