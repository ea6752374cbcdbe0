"""The rack on the network: the same is said on each transport as in process, whoever else calls meanwhile."""

import contextlib
import os
import random
import socket
import struct
import threading
import time
import warnings
from types import SimpleNamespace

import pytest
import pyvisa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyvisa.constants import ResourceAttribute
from pyvisa.errors import VisaIOError

from labneuro.clock import VirtualClock, WallClock
from labneuro.instruments import current_sources
from labneuro.instruments.spectrum_analyzers import KeysightXSeries
from labneuro.instruments.visa import InstrumentError
from labneuro.simulators.rack import hislip, serving, sockets, vxi11
from labneuro.simulators.rack.faults import Faults, Faulty
from labneuro.simulators.rack.instrument import LineLostError
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import N9030B
from labneuro.simulators.rack.serving import serve
from labneuro.simulators.rack.sockets import Framer
from labneuro.simulators.rack.visa import visa_library

TRANSPORTS = ("hislip", "vxi11", "socket")
FREE_PORTS = {"hislip_port": 0, "vxi11_port": 0, "socket_port": 0}
SWEEP_FOR_TEN_MINUTES = "INIT:CONT OFF;:SWE:TIME 600;:INIT;*OPC?"

on_each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
with_device_clear = pytest.mark.parametrize("transport", ["hislip", "vxi11"])


@pytest.fixture
def lab():
    """Serve a source and an analyzer on a clock; `open` takes one of them and a transport, or a resource."""
    with contextlib.ExitStack() as stack:

        def begin(clock, **models):
            made = {
                name: model(clock) for name, model in (models or {"source": Keithley6221, "analyzer": N9030B}).items()
            }
            reached = stack.enter_context(serve(made, clock, **FREE_PORTS))
            manager = pyvisa.ResourceManager("@py")

            def open_resource(name, transport, **settings):
                usual = {"read_termination": "\n", "write_termination": "\n", "timeout": 10_000}
                opened = manager.open_resource(getattr(reached[name], transport), **usual | settings)
                stack.callback(opened.close)
                return opened

            return SimpleNamespace(open=open_resource, reached=reached, **made)

        yield begin
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rack")]


def wait_for(condition):
    """Wait until another thread has made it so."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(1e-3)


def port_of(resource):
    """Return the TCP port in a resource."""
    return int(next(word for word in resource.replace("::", ",").split(",") if word.isdecimal()))


def dial(resource):
    """Return a bare TCP connection to where a resource is."""
    return socket.create_connection(("127.0.0.1", port_of(resource)), timeout=10)


def frame(kind, control=0, parameter=0, payload=b"", prologue=b"HS", length=None):
    return (
        struct.pack("!2sBBIQ", prologue, kind, control, parameter, len(payload) if length is None else length) + payload
    )


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def next_frame(connection):
    """Return type, control code, parameter and payload of the next message of HiSLIP."""
    _, kind, control, parameter, length = struct.unpack("!2sBBIQ", exactly(connection, 16))
    return kind, control, parameter, exactly(connection, length)


@contextlib.contextmanager
def bare_hislip(resource, name):
    """Give the two connections of a client of HiSLIP."""
    with dial(resource) as synchronous, dial(resource) as asynchronous:
        synchronous.sendall(frame(0, 0, 0x0100 << 16, b"hislip_" + name))
        kind, control, parameter, payload = next_frame(synchronous)
        assert (kind, control, parameter >> 16, payload) == (1, 0, 0x0100, b"")
        asynchronous.sendall(frame(17, 0, parameter & 0xFFFF))
        assert next_frame(asynchronous)[:2] == (18, 0)
        yield synchronous, asynchronous


def call(connection, procedure, *numbers, program=0x0607AF, tail=b""):
    """Call a procedure of VXI-11; return the numbers of the result."""
    body = struct.pack(f">10I{len(numbers)}I", 7, 0, 2, program, 1, procedure, 0, 0, 0, 0, *numbers) + tail
    connection.sendall(struct.pack(">I", 1 << 31 | len(body)) + body)
    (length,) = struct.unpack(">I", exactly(connection, 4))
    reply = exactly(connection, length & 0x7FFF_FFFF)
    assert struct.unpack_from(">6I", reply) == (7, 1, 0, 0, 0, 0)
    return struct.unpack_from(f">{(len(reply) - 24) // 4}I", reply, 24)


def link(connection, name=b"analyzer"):
    return call(connection, 10, 1, 0, 0, len(name), tail=name + bytes(-len(name) % 4))


TRANSCRIPT = [
    "*IDN?",
    "SOUR:CURR 1e-3",
    "SOUR:CURR?",
    "*OPC?;SOUR:CURR?;CURR:COMP?;:OUTP?",
    "SOUR:CURR 1;:FOO",
    'DISP:TEXT "a;b"',
    "SYST:ERR:CODE:ALL?",
    "*ESR?;*STB?",
    "SOUR:DEL 5;:SOUR:CURR 2e-3;CURR?",
    "",
    "*RST;*CLS",
    "SYST:ERR?",
    "SOUR:CURR?",
]


def transcript(resource):
    return [resource.query(said) if "?" in said else resource.write(said) and None for said in TRANSCRIPT]


@on_each_transport
def test_the_same_is_said_on_each_transport_as_in_process(lab, transport):
    library = visa_library({"GPIB0::1::INSTR": Keithley6221(VirtualClock())})
    in_process = pyvisa.ResourceManager(library).open_resource("GPIB0::1::INSTR", read_termination="\n")
    expected = transcript(in_process)
    assert expected[:3] == [Keithley6221.identity, None, "+1.000000E-03"]
    assert expected[6] == "-222,-113,-113"
    assert transcript(lab(VirtualClock()).open("source", transport)) == expected


@on_each_transport
def test_a_long_binary_trace_arrives_whole(lab, transport):
    served = lab(VirtualClock())
    served.analyzer.points = 100_001
    analyzer = served.open("analyzer", transport)
    analyzer.write("INIT:CONT OFF;:INIT;:FORM REAL,64;:FORM:BORD SWAP")
    trace = analyzer.query_binary_values("TRAC:DATA? TRACE1", datatype="d")
    assert len(trace) == 100_001
    assert set(trace) == {trace[0]}
    assert analyzer.query("SYST:ERR?") == '+0,"No error"'


def test_a_client_gets_and_sends_pieces_as_short_as_it_asked_for(lab):
    served = lab(VirtualClock())
    analyzer = served.open("analyzer", "hislip")
    analyzer.set_visa_attribute(ResourceAttribute.tcpip_hislip_max_message_kb, 1)
    assert len(analyzer.query("TRAC:DATA? TRACE1").split(",")) == 1001
    analyzer.write("SWE:POIN 11" + " " * 5000)
    assert analyzer.query("SWE:POIN?") == "11"
    with bare_hislip(served.reached["analyzer"].hislip, b"analyzer") as (synchronous, asynchronous):
        asynchronous.sendall(frame(15, payload=struct.pack("!Q", 300)))
        assert next_frame(asynchronous)[0] == 16
        synchronous.sendall(frame(6, 0, 2, b"*I") + frame(7, 0, 4, b"DN?"))
        assert next_frame(synchronous) == (7, 0, 4, N9030B.identity.encode() + b"\n")
        synchronous.sendall(frame(7, 1, 6, b"TRAC:DATA? TRACE1"))
        kind = 6
        while kind == 6:
            kind, _, number, payload = next_frame(synchronous)
            assert number == 6
            assert len(payload) <= 284


@on_each_transport
def test_two_clients_share_the_instrument_and_not_the_answers(lab, transport):
    served = lab(VirtualClock())
    one, two = served.open("source", transport), served.open("source", "hislip")
    one.write("SOUR:CURR 1e-3;CURR?")
    assert two.query("SOUR:CURR:COMP?") == "+1.000000E+01"
    assert one.read() == "+1.000000E-03"
    assert two.query("SOUR:CURR?;:SYST:ERR:COUN?") == "+1.000000E-03;0"


def test_many_clients_at_once_get_each_their_own_answers(lab):
    served = lab(WallClock())
    wrong = []

    def ask(resource, question, answer):
        wrong.extend(got for _ in range(60) if (got := resource.query(question)) != answer)

    pairs = [("*OPC?", "1"), ("SOUR:CURR:COMP?", "+1.000000E+01"), ("*TST?;*OPC?", "0;1")]
    threads = [
        threading.Thread(target=ask, args=(served.open("source", transport), *pair))
        for transport in TRANSPORTS
        for pair in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@with_device_clear
def test_a_device_clear_ends_a_long_wait_and_forgets_it(lab, transport):
    analyzer = lab(WallClock()).open("analyzer", transport)
    analyzer.write(SWEEP_FOR_TEN_MINUTES)
    analyzer.clear()
    assert analyzer.query("SWE:POIN?") == "1001"
    assert analyzer.query("SYST:ERR?") == '+0,"No error"'


@with_device_clear
def test_a_serial_poll_gets_through_while_a_message_waits(lab, transport):
    served = lab(WallClock())
    analyzer, other = (served.open("analyzer", transport) for _ in range(2))
    analyzer.write("*CLS;*SRE 32;*ESE 32;:FOO")
    assert analyzer.read_stb() == 100
    assert analyzer.read_stb() == 36
    analyzer.write("*CLS")
    analyzer.write(SWEEP_FOR_TEN_MINUTES)
    assert analyzer.read_stb() == 0
    assert other.read_stb() == 0
    analyzer.clear()
    analyzer.write("*IDN?")
    assert (analyzer.read_stb(), other.read_stb()) == (16, 0)
    analyzer.read()
    assert analyzer.read_stb() == 0


@with_device_clear
def test_asking_over_an_answer_interrupts(lab, transport):
    source = lab(VirtualClock()).open("source", transport)
    source.write("*IDN?")
    assert source.query("SOUR:CURR?") == "+0.000000E+00"
    assert source.query("SYST:ERR:CODE:ALL?") == "-410"
    assert source.query("SYST:ERR:CODE:ALL?") == "0"


def test_reading_unasked_is_an_error_where_the_instrument_hears_of_it(lab):
    source = lab(VirtualClock()).open("source", "vxi11")
    with pytest.raises(VisaIOError, match="TMO"):
        source.read()
    assert source.query("SYST:ERR:CODE:ALL?") == "-420"


@with_device_clear
def test_a_trigger_starts_a_sweep(lab, transport):
    served = lab(WallClock())
    analyzer = served.open("analyzer", transport)
    analyzer.write("INIT:CONT OFF;:SWE:TIME 600")
    if transport == "vxi11":
        analyzer.assert_trigger()
    else:  # pyvisa-py has none there
        analyzer.visalib.sessions[analyzer.session].interface.trigger()
    assert analyzer.query("*IDN?") == N9030B.identity
    assert served.analyzer.busy


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(lab):
    analyzer = lab(WallClock()).open("analyzer", "hislip", timeout=100)
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.query("INIT:CONT OFF;:SWE:TIME 0.4;:INIT;*OPC?")
    analyzer.timeout = 10_000
    assert analyzer.query("SWE:POIN?") == "1001"
    assert analyzer.query("SYST:ERR:CODE:ALL?") == "-410"


def test_a_read_that_timed_out_gets_its_answer_later(lab):
    analyzer = lab(WallClock()).open("analyzer", "vxi11", timeout=50)
    with pytest.raises(VisaIOError, match="TMO"):
        analyzer.query("INIT:CONT OFF;:SWE:TIME 0.3;:INIT;*OPC?")
    analyzer.timeout = 10_000
    assert analyzer.read() == "1"
    assert analyzer.query("SYST:ERR:CODE:ALL?") == "0"


def test_a_read_is_aborted_from_another_connection(lab):
    served = lab(WallClock())
    address = served.reached["analyzer"].vxi11
    with dial(address) as one, dial(address) as two:
        error, number, port, _ = link(one)
        assert (error, port) == (0, port_of(address))
        message = SWEEP_FOR_TEN_MINUTES.encode()
        padded = message + bytes(-len(message) % 4)
        assert call(one, 11, number, 1000, 0, 8, len(message), tail=padded) == (0, len(message))
        answers = []
        reader = threading.Thread(target=lambda: answers.append(call(one, 12, number, 100, 600_000, 0, 0, 0)))
        reader.start()
        while reader.is_alive():  # an abort before the read has begun is for nothing
            assert call(two, 1, number, program=0x0607B0) == (0,)
            reader.join(0.05)
        assert answers == [(23, 0, 0)]
        assert call(two, 1, 99, program=0x0607B0) == (4,)


def test_what_vxi11_has_and_the_rack_has_not_is_refused_in_its_words(lab):
    served = lab(WallClock())
    with dial(served.reached["analyzer"].vxi11) as connection:
        assert link(connection, b"nobody")[0] == 3
        number = link(connection)[1]
        assert call(connection, 18, number, 0, 0) == (8,)
        assert call(connection, 25, 0, 0, 0, 0, 0) == (8,)
        assert call(connection, 13, number + 1, 0, 0, 0) == (4, 0)
        assert call(connection, 23, number) == (0,)
        assert call(connection, 13, number, 0, 0, 0) == (4, 0)
        assert call(connection, 0) == ()
        connection.sendall(struct.pack(">11I", 1 << 31 | 40, 7, 0, 2, 0x0607AF, 1, 10, 0, 0, 0, 0))
        assert exactly(connection, 28)[-4:] == struct.pack(">I", 4)


def test_what_hislip_has_and_the_rack_has_not_is_refused_in_its_words(lab):
    served = lab(WallClock())
    with bare_hislip(served.reached["source"].hislip, b"source") as (synchronous, asynchronous):
        for asked, answered in (
            ((4, 1), (5, 3)),
            ((24,), (25, 0)),
            ((10, 1), (11, 0)),
            ((26,), (3, 1)),
            ((21,), (22, 0)),
        ):
            asynchronous.sendall(frame(*asked))
            assert next_frame(asynchronous)[:2] == answered
        synchronous.sendall(frame(99, payload=b"?"))
        assert next_frame(synchronous)[:2] == (3, 1)
        synchronous.sendall(frame(7, 0, 2, b"*OPC?"))
        assert next_frame(synchronous) == (7, 0, 2, b"1\n")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(0, payload=b"hislip_nobody"), 3),
        (frame(17, parameter=9), 3),
        (frame(7, payload=b"*IDN?"), 3),
        (frame(0, prologue=b"HX"), 1),
        (frame(0, length=2**63), 0),
        (b"GET / HTTP/1.1\r\n\r\n", 1),
    ],
    ids=["wrong name", "no such client", "no greeting", "wrong prologue", "endless", "browser"],
)
def test_a_hislip_client_that_begins_wrongly_is_told_and_left(lab, sent, code):
    with dial(lab(WallClock()).reached["source"].hislip) as connection:
        connection.sendall(sent)
        kind, control, _, text = next_frame(connection)
        assert (kind, control) == (2, code)
        assert b"\n" not in text
        assert connection.recv(1) == b""


def test_messages_before_the_second_connection_are_refused(lab):
    with dial(lab(WallClock()).reached["source"].hislip) as connection:
        connection.sendall(frame(0, payload=b"hislip_source") + frame(7, payload=b"*IDN?"))
        assert next_frame(connection)[0] == 1
        assert next_frame(connection)[:2] == (2, 2)


def test_garbage_and_half_messages_hurt_nobody_else(lab):
    served = lab(WallClock())
    others = [served.open("source", transport) for transport in TRANSPORTS]
    chance = random.Random(4)  # noqa: S311
    beginnings = {
        "hislip": frame(0, payload=b"hislip_source"),
        "vxi11": struct.pack(">11I", 1 << 31 | 60, 7, 0, 2, 0x0607AF, 1, 10, 0, 0, 0, 0),
        "socket": b"SOUR:CURR #9",
    }
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            for transport in TRANSPORTS:
                connection = dial(getattr(served.reached["source"], transport))
                start = beginnings[transport][: chance.randrange(70)] if chance.random() < 0.7 else b""
                with contextlib.suppress(ConnectionError):
                    connection.sendall(start + chance.randbytes(chance.randrange(100)))
                if chance.random() < 0.5:
                    connection.close()
                stack.callback(connection.close)
        for other in others:
            assert other.query("*OPC?") == "1"
        assert served.open("analyzer", "hislip").query("*OPC?") == "1"


def test_a_message_that_never_ends_is_refused_and_the_instrument_says_so(lab, monkeypatch):
    for module in (hislip, sockets, vxi11):
        monkeypatch.setattr(module, "LONGEST", 3000)
    served = lab(VirtualClock())
    address = served.reached["source"]
    half = b"x" * 2000
    with (
        dial(address.socket) as raw,
        dial(address.vxi11) as remote,
        bare_hislip(address.hislip, b"source") as (synchronous, _),
    ):
        raw.sendall(half + half)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""
        number = link(remote, b"source")[1]
        assert [call(remote, 11, number, 1000, 0, 0, 2000, tail=half)[0] for _ in range(2)] == [0, 9]
        synchronous.sendall(2 * frame(6, 0, 2, half))
        assert next_frame(synchronous)[:2] == (2, 0)
    assert served.open("source", "hislip").query("SYST:ERR:CODE:ALL?") == "-223,-223,-223"


def test_a_client_that_goes_while_it_waits_leaves_the_instrument_to_others(lab):
    served = lab(WallClock())
    analyzer = served.open("analyzer", "hislip")
    for transport in ("socket", "hislip"):
        gone = pyvisa.ResourceManager("@py").open_resource(getattr(served.reached["analyzer"], transport))
        gone.write(SWEEP_FOR_TEN_MINUTES)
        wait_for(lambda: served.analyzer.busy)
        gone.close()
        assert analyzer.query("ABOR;:SWE:POIN?") == "1001"


class Fragile(Keithley6221):
    """Loses the line with each message while `lost`, and can't be reached then."""

    lost = False

    def connect(self, session):
        if self.lost:
            raise LineLostError

    def handle(self, session, message):
        self.connect(session)
        super().handle(session, message)


def test_a_lost_line_ends_the_connection_until_it_is_back(lab):
    served = lab(WallClock(), source=Fragile)
    with (
        dial(served.reached["source"].socket) as raw,
        bare_hislip(served.reached["source"].hislip, b"source") as (synchronous, asynchronous),
        dial(served.reached["source"].vxi11) as remote,
    ):
        number = link(remote, b"source")[1]
        served.source.lost = True
        raw.sendall(b"*IDN?\n")
        assert raw.recv(1) == b""
        synchronous.sendall(frame(7, 0, 2, b"*IDN?"))
        assert synchronous.recv(1) == b""
        assert asynchronous.recv(1) == b""
        with dial(served.reached["source"].vxi11) as other:
            assert link(other, b"source")[0] == 3
        with pytest.raises((EOFError, ConnectionError)):
            call(remote, 11, number, 1000, 0, 8, 4, tail=b"*CLS")
        with dial(served.reached["source"].hislip) as other:
            other.sendall(frame(0, payload=b"hislip_source"))
            assert other.recv(1) == b""
    served.source.lost = False
    assert [served.open("source", transport).query("*OPC?") for transport in TRANSPORTS] == ["1"] * 3


@on_each_transport
def test_a_reply_that_comes_in_two_parts_arrives_whole(lab, transport):
    faults = Faults(at={2: "split_reply"}, lasting=0.1)
    source = lab(WallClock(), source=lambda clock: Faulty(Keithley6221(clock), faults)).open("source", transport)
    assert [source.query("*IDN?") for _ in range(3)] == 3 * [Keithley6221.identity]
    assert source.query("SYST:ERR:CODE:ALL?") == "0"


def test_stopping_ends_waiting_clients_and_frees_the_ports_at_once():
    clock = WallClock()
    analyzer = N9030B(clock)
    with contextlib.ExitStack() as clients:
        with serve({"analyzer": analyzer}, clock, **FREE_PORTS) as reached:
            address = reached["analyzer"]
            raw, idle, remote = (
                clients.enter_context(dial(each)) for each in (address.socket, address.hislip, address.vxi11)
            )
            synchronous, _ = clients.enter_context(bare_hislip(address.hislip, b"analyzer"))
            raw.sendall(SWEEP_FOR_TEN_MINUTES.encode() + b"\n")
            synchronous.sendall(frame(7, 0, 2, SWEEP_FOR_TEN_MINUTES.encode()))
            number = link(remote)[1]
            body = struct.pack(">16I", 7, 0, 2, 0x0607AF, 1, 12, 0, 0, 0, 0, number, 10, 600_000, 0, 0, 0)
            remote.sendall(struct.pack(">I", 1 << 31 | len(body)) + body)
            wait_for(lambda: analyzer.busy)
        for connection in (raw, synchronous, idle, remote):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rack")]
        ports = {f"{name}_port": port_of(getattr(address, name)) for name in TRANSPORTS}
        with serve({"analyzer": analyzer}, clock, **ports) as again:
            assert again["analyzer"] == address


def test_a_busy_port_is_named_with_the_way_out_and_nothing_stays_behind():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("hislip_port", "vxi11_port", "socket_port"):
            with (
                pytest.raises(OSError, match=rf"port {port} of 127\.0\.0\.1.*another {option}$"),
                serve({"source": Keithley6221(WallClock())}, WallClock(), **FREE_PORTS | {option: port}),
            ):
                pass


def test_the_ports_of_sockets_count_up_from_the_one_asked_for():
    first = 21_000 + os.getpid() % 8000  # below those that the system gives out
    clock = VirtualClock()
    instruments = {name: Keithley6221(clock) for name in ("a", "b-1")}
    try:
        with serve(instruments, clock, **FREE_PORTS | {"socket_port": first}) as reached:
            assert [port_of(address.socket) for address in reached.values()] == [first, first + 1]
    except OSError:
        pytest.skip(f"another program has port {first} or {first + 1}")


@pytest.mark.parametrize("name", ["", "a b", "a::b", "a,1", "HiSLIP0", "é"])
def test_a_name_that_no_resource_can_have_is_refused(name):
    clock = VirtualClock()
    with pytest.raises(ValueError, match="take letters"), serve({name: Keithley6221(clock)}, clock, **FREE_PORTS):
        pass


def test_more_clients_than_there_is_room_for_are_turned_away(lab, monkeypatch, caplog):
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 2)
    served = lab(WallClock())
    with bare_hislip(served.reached["source"].hislip, b"source"), dial(served.reached["source"].socket) as third:
        assert third.recv(1) == b""
    assert "turned away" in caplog.text


PIECES = st.lists(
    st.one_of(
        st.from_regex(rb"[A-Za-z:?; ,.0-9]+", fullmatch=True),
        st.from_regex(rb'"([^"]|"")*"', fullmatch=True),
        st.from_regex(rb"'([^']|'')*'", fullmatch=True),
        st.binary(max_size=30).map(lambda data: b"#2%02d" % len(data) + data),
        st.binary(max_size=300).map(lambda data: b"#4%04d" % len(data) + data),
        st.sampled_from([b"#HFF ", b"#b01 ", b"# ", b"#5x", b"#2a", b"\r"]),
    ),
    max_size=6,
).map(b"".join)


@settings(max_examples=50)
@given(messages=st.lists(PIECES, max_size=5), pieces=st.lists(st.integers(1, 40)))
def test_messages_are_cut_at_newlines_outside_strings_and_blocks_however_they_arrive(messages, pieces):
    messages = [message + b"\n" for message in messages]
    stream, framer, found = b"".join(messages), Framer(), []
    for size in [*pieces, len(stream)]:
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


def test_a_block_longer_than_is_taken_is_refused_before_it_comes():
    with pytest.raises(OverflowError):
        list(Framer().feed(b"DATA #9999999999"))


def test_pymeasure_drives_a_served_source(lab):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keithley = pytest.importorskip("pymeasure.instruments.keithley")
        served = lab(VirtualClock())
        driver = keithley.Keithley6221(served.reached["source"].hislip, visa_library="@py")
    driver.source_current = 1.5e-3
    driver.enable_source()
    assert driver.source_current == 1.5e-3
    assert served.source.current == 1.5e-3
    driver.adapter.close()


@on_each_transport
def test_our_drivers_work_over_the_network_also_after_an_answer_that_came_too_late(lab, transport):
    served = lab(WallClock())
    with contextlib.ExitStack() as drivers:

        def drive(driver, name, *clock, **settings):
            resource = getattr(served.reached[name], transport)
            made = driver(*clock, resource=resource, visa_library="@py", **settings)
            drivers.callback(made.close)
            return made

        source = drive(current_sources.Keithley6221, "source", WallClock(), source_range=20e-3, timeout=0.2)
        source.set_compliance(2.0)
        source.set_current(1.5e-3)
        assert (served.source.current, source.current) == (1.5e-3, 1.5e-3)
        served.source.overlap(0.3)
        with pytest.raises(InstrumentError, match="time-out"):
            source.ask("*OPC?")
        source.set_current(1e-3)
        assert (served.source.current, source.current) == (1e-3, 1e-3)
        source.make_safe()
        assert not served.source.output
        analyzer = drive(KeysightXSeries, "analyzer")
        analyzer.configure(1e9, 1.01e9, rbw=100e3, averages=1)
        trace = analyzer.trace()
        assert trace.density == pytest.approx(1e-18 / 1.0645, rel=0.01)
