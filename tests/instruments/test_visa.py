import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from labneuro.instruments.scpi import SCPIInstrument
from labneuro.instruments.visa import InstrumentError, VisaLine

RESOURCE = "GPIB0::12::INSTR"


class Meter(SCPIInstrument):
    MODEL = "MODEL 1"


class Server:
    """An instrument on a raw socket, which repeats *ESE, knows its name and answers the rest as `behave` does."""

    def __init__(self, behave: Callable[["Server", socket.socket, str], None]) -> None:
        self.behave = behave
        self.free = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.resource = f"TCPIP0::127.0.0.1::{self._listening.getsockname()[1]}::SOCKET"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listening.accept()
                with connection, connection.makefile("r", encoding="ascii") as messages:
                    for message in messages:
                        if not self._take(connection, message.strip()):
                            break

    def _take(self, connection: socket.socket, message: str) -> bool:
        if message.startswith("*ESE") and message.endswith("*ESE?"):
            connection.sendall(message.split(";", maxsplit=1)[0].removeprefix("*ESE ").encode() + b"\n")
        elif message.endswith("*IDN?"):
            connection.sendall(b"MAKER,MODEL 1,0,0\n")
        elif message == ":SYST:ERR?":
            connection.sendall(b'0,"No error"\n')
        elif message == ":HANG:UP?":
            connection.sendall(b"1.2")
            return False
        elif message != "*CLS":
            self.behave(self, connection, message)
        return True

    def close(self) -> None:
        self.free.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """A function that starts an instrument on a raw socket."""
    pytest.importorskip("pyvisa_py")
    servers: list[Server] = []

    def start(behave: Callable[[Server, socket.socket, str], None] = lambda *_: None) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def meter(serve: Callable[..., Server]) -> Iterator[Callable[..., Meter]]:
    """A function that connects a meter to an instrument on a raw socket."""
    meters: list[Meter] = []

    def connect(behave: Any = lambda *_: None, timeout: float = 30.0) -> Meter:
        meters.append(Meter(resource=serve(behave).resource, visa_library="@py", timeout=timeout))
        return meters[-1]

    yield connect
    for each in meters:
        each.close()


# --- Raw sockets


def test_a_setting_and_a_question_on_a_socket_do_not_wait_for_each_other(meter: Callable[..., Meter]) -> None:
    raw = meter().adapter.connection._socket
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_answers_on_a_socket_need_no_terminator_to_be_given(meter: Callable[..., Meter]) -> None:
    assert meter().identity == "MAKER,MODEL 1,0,0"


@pytest.mark.parametrize(("at_once", "later"), [(b"", b"5\n"), (b"1.", b"5\n"), (b"", b"5")])
def test_a_late_answer_does_not_become_that_to_the_next_question(
    meter: Callable[..., Meter], at_once: bytes, later: bytes
) -> None:
    """The instrument is busy for longer than the time-out, and then answers in its order."""

    def behave(server: Server, connection: socket.socket, message: str) -> None:
        if message == ":SLOW?":
            connection.sendall(at_once)
            server.free.wait(0.3)
            connection.sendall(later)
        else:
            connection.sendall(b"2.5\n")

    slow = meter(behave, timeout=0.2)
    with pytest.raises(InstrumentError, match=r"':SLOW\?'.*time-out: check its power and cable"):
        slow.ask(":SLOW?")
    assert slow.values(":FAST?", count=1) == [2.5]


def test_an_instrument_that_hangs_up_is_lost_at_once_and_not_after_the_time_out(meter: Callable[..., Meter]) -> None:
    with pytest.raises(InstrumentError, match=r"the line was lost .*the instrument hung up"):
        meter(timeout=600.0).ask(":HANG:UP?")


def test_an_instrument_that_comes_back_is_connected_again(meter: Callable[..., Meter]) -> None:
    lost = meter()
    with pytest.raises(InstrumentError, match="hung up"):
        lost.ask(":HANG:UP?")
    assert lost.identity == "MAKER,MODEL 1,0,0"


def test_an_address_where_nothing_listens_is_said_on_connecting() -> None:
    pytest.importorskip("pyvisa_py")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(InstrumentError, match=r"the line was lost .*ConnectionRefusedError.*check its power, cable"):
        Meter(resource=f"TCPIP0::127.0.0.1::{port}::SOCKET", visa_library="@py")


CONTENT = bytes(range(256)) * 40 + b"\n" * 1000


def test_a_block_on_a_socket_may_hold_newlines(meter: Callable[..., Meter]) -> None:
    block = b"#5%d" % len(CONTENT) + CONTENT + b"\n"
    reader = meter(lambda _, connection, message: connection.sendall(block if message == ":BLOCK?" else b"3\n"))
    assert reader.ask_block(":BLOCK?") == CONTENT
    assert reader.ask(":NEXT?") == "3"


def test_a_block_on_a_socket_that_is_cut_short_is_no_block(meter: Callable[..., Meter]) -> None:
    def behave(_server: Server, connection: socket.socket, message: str) -> None:
        connection.sendall(b"#49999" + b"\n" * 5000 if message == ":BLOCK?" else b"3\n")

    reader = meter(behave, timeout=0.2)
    with pytest.raises(InstrumentError, match=r"':BLOCK\?'.*time-out"):
        reader.ask_block(":BLOCK?")
    assert reader.ask(":NEXT?") == "3"


# --- Messages


def test_a_block_in_a_message_is_complete_or_none(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> None:
    mock = mock_of("MODEL 1")
    reader = connected(Meter, mock)
    mock.answers[":B?"] = b"#15a\nb;c\n"
    assert reader.ask_block(":B?") == b"a\nb;c"
    for bad in (b"#15a\nb", b"x15a\nb;c\n", b"#0abc\n", b"#9", b"abc\n", b"#2x1a\n", b"\n"):
        mock.answers[":B?"] = bad
        with pytest.raises(InstrumentError, match="block"):
            reader.ask_block(":B?")


def test_an_answer_that_breaks_off_is_none(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> None:
    mock = mock_of("MODEL 1")
    reader = connected(Meter, mock)
    mock.answers |= {":A?": b"1.4e-1", ":B?": "2.5"}
    with pytest.raises(InstrumentError, match=r"':A\?': an answer broke off at b'1.4e-1': ask again"):
        reader.ask(":A?")
    assert reader.values(":B?", count=1) == [2.5]


class Bare(deque[bytes]):
    """Answers without the newlines that they came with."""

    def append(self, answer: bytes) -> None:
        super().append(answer.rstrip())


def test_an_instrument_that_ends_no_answer_in_a_newline_is_understood(
    mock_of: Callable[..., Any], connected: Callable[..., Any]
) -> None:
    mock = mock_of("MODEL 1")
    mock.output = Bare()
    mock.answers[":A?"] = "2.5"
    assert connected(Meter, mock).values(":A?", count=1) == [2.5]


def test_the_socket_of_a_lost_line_is_shut_before_it_is_closed(
    mock_of: Callable[..., Any], connected: Callable[..., Any]
) -> None:
    mock = mock_of("MODEL 1")
    reader = connected(Meter, mock)
    done: list[str] = []
    shut = SimpleNamespace(shutdown=lambda how: done.append("shut"))
    library = reader.adapter._library
    library.sessions = {2: SimpleNamespace(interface=SimpleNamespace(sock=shut))}
    library.close = lambda session: done.append("closed")
    mock.read_error = RuntimeError("Connection was dropped by server.")
    with pytest.raises(InstrumentError, match="the line was lost"):
        reader.ask(":A?")
    assert done == ["shut", "closed"]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Connection was dropped by server."), BrokenPipeError("gone"), Exception("error creating link")],
)
def test_whatever_a_library_raises_is_one_error_with_the_way_out(
    mock_of: Callable[..., Any], connected: Callable[..., Any], error: Exception
) -> None:
    mock = mock_of("MODEL 1")
    reader = connected(Meter, mock)
    mock.read_error = error
    with pytest.raises(InstrumentError, match=rf"{RESOURCE}.*the line was lost .*{error}.*check its power, cable and"):
        reader.ask(":A?")


def test_two_instruments_of_one_library_are_closed_apart(mock_of: Callable[..., Any], connected: Any) -> None:
    mock = mock_of("MODEL 1")
    one = connected(Meter, mock)
    library = one.adapter._library
    other = VisaLine("GPIB0::13::INSTR", library)
    other.close()
    assert one.identity == "MODEL 1"
