"""HiSLIP (IVI-6.1, protocol version 1.0): all instruments on one port, told apart by the sub-address `hislip_NAME`.

A client has two connections: messages go over the synchronous one, status queries and device clear over the other.

Only the synchronized mode is offered. Locks are refused, there are no service requests, no TLS or SASL, and going local
does nothing. An interrupted answer is an error in the instrument's queue; but the messages Interrupted and
AsyncInterrupted aren't sent, for pyvisa-py's device clear and status query fail after them: clients know by the
MessageID that an answer isn't to their last question.
"""

import itertools
import struct
from contextlib import closing
from enum import IntEnum

from labneuro.simulators.rack.wire import LONGEST, Channel, Line, Served

PREFIX = "hislip_"
"""What stands before the name of an instrument in its sub-address."""

_HEADER = struct.Struct("!2sBBIQ")
_FIRST = 0xFFFF_FF00
_VERSION = 0x0100
_VENDOR = int.from_bytes(b"LN")
_CHUNK = 2**18
_SHORTEST = 256


class Kind(IntEnum):
    """Types of messages, as many as are known here."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    ASYNC_MAX_MESSAGE_SIZE = 15
    ASYNC_MAX_MESSAGE_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


class _Client:
    """The two connections of one client, and its line to the instrument."""

    def __init__(self, synchronous: Channel, line: Line) -> None:
        self.synchronous = synchronous
        self.asynchronous: Channel | None = None
        self.line = line
        self.chunk = _CHUNK


class Hislip:
    """Serves the clients of one port; it is called with each of their connections."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._clients: dict[int, _Client] = {}

    def __call__(self, channel: Channel) -> None:
        """Serve one connection until it ends."""
        kind, _, parameter, payload = _receive(channel)
        if kind == Kind.INITIALIZE:
            self._serve_synchronous(channel, payload)
        elif kind == Kind.ASYNC_INITIALIZE:
            self._serve_asynchronous(channel, parameter)
        else:
            raise _failure(channel, 3, "a connection begins with Initialize or AsyncInitialize")

    def _serve_synchronous(self, channel: Channel, payload: bytes) -> None:
        address = payload.decode("latin-1")
        instrument = self._served.instruments.get(address.removeprefix(PREFIX))
        if instrument is None:
            there = ", ".join(PREFIX + name for name in self._served.instruments)
            raise _failure(channel, 3, f"there is no {address!r} here, but {there}")
        with closing(Line(self._served, instrument, channel)) as line:
            line.number = _FIRST - 2
            client = _Client(channel, line)
            with self._served.turn:
                number = next(n for n in itertools.count(1) if n not in self._clients)
                self._clients[number] = client
            try:
                _send(channel, Kind.INITIALIZE_RESPONSE, 0, _VERSION << 16 | number)
                _converse(client)
            finally:
                del self._clients[number]
                if client.asynchronous:
                    client.asynchronous.hang_up()

    def _serve_asynchronous(self, channel: Channel, number: int) -> None:
        with self._served.turn:
            client = self._clients.get(number)
            if client and client.asynchronous:
                client = None
            if client:
                client.asynchronous = channel
        if client is None:
            raise _failure(channel, 3, f"no client waits for a second connection with number {number}")
        try:
            _send(channel, Kind.ASYNC_INITIALIZE_RESPONSE, 0, _VENDOR)
            while True:
                _answer(client, channel, *_receive(channel))
        finally:
            client.synchronous.hang_up()


def _converse(client: _Client) -> None:
    """Serve the synchronous connection."""
    channel, line = client.synchronous, client.line
    message = bytearray()
    while True:
        kind, control, number, payload = _receive(channel)
        if not client.asynchronous:
            raise _failure(channel, 2, "the asynchronous connection is missing")
        if kind == Kind.DEVICE_CLEAR_COMPLETE:
            message.clear()
            line.clear()
            line.number = _FIRST - 2
            line.halted = False
            _send(channel, Kind.DEVICE_CLEAR_ACKNOWLEDGE)
        elif kind in {Kind.DATA, Kind.DATA_END, Kind.TRIGGER}:
            if line.halted:
                continue
            if control & 1:
                line.keep()
            message += payload
            if len(message) > LONGEST:
                line.refuse()
                raise _failure(channel, 0, f"a message is longer than {LONGEST} bytes")
            if kind != Kind.DATA:
                line.write(b"*TRG" if kind == Kind.TRIGGER else bytes(message), number)
                message.clear()
                _send_answer(client, number)
        elif kind == Kind.FATAL_ERROR:
            return
        elif kind != Kind.ERROR:
            _send(channel, Kind.ERROR, 1, payload=b"unrecognized message type")


def _send_answer(client: _Client, number: int) -> None:
    """Send the answer; the line keeps its end until the client says that it has read it, or asks something else."""
    complete = False
    while not complete:
        answer, complete = client.line.answer()
        for start in range(0, len(answer), client.chunk):
            if client.line.halted:
                return
            end = start + client.chunk
            kind = Kind.DATA_END if complete and end >= len(answer) else Kind.DATA
            _send(client.synchronous, kind, 0, number, answer[start:end])
        if not complete:
            client.line.keep()


def _answer(client: _Client, channel: Channel, kind: int, control: int, parameter: int, payload: bytes) -> None:
    """Answer a message on the asynchronous connection."""
    line = client.line
    match kind:
        case Kind.ASYNC_STATUS_QUERY:
            if control & 1:
                line.keep()
            # pyvisa-py sends the number of the message that comes next, others that of the last
            status = line.status_byte({parameter, (parameter - 2) & 0xFFFF_FFFF})
            _send(channel, Kind.ASYNC_STATUS_RESPONSE, status)
        case Kind.ASYNC_DEVICE_CLEAR:
            line.halt()
            line.clear()
            _send(channel, Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)
        case Kind.ASYNC_MAX_MESSAGE_SIZE if len(payload) == 8:
            client.chunk = min(_CHUNK, max(_SHORTEST, int.from_bytes(payload)) - _HEADER.size)
            _send(channel, Kind.ASYNC_MAX_MESSAGE_SIZE_RESPONSE, payload=LONGEST.to_bytes(8))
        case Kind.ASYNC_LOCK:
            _send(channel, Kind.ASYNC_LOCK_RESPONSE, 3)
        case Kind.ASYNC_LOCK_INFO:
            _send(channel, Kind.ASYNC_LOCK_INFO_RESPONSE)
        case Kind.ASYNC_REMOTE_LOCAL_CONTROL:
            _send(channel, Kind.ASYNC_REMOTE_LOCAL_RESPONSE)
        case Kind.FATAL_ERROR:
            raise ConnectionAbortedError("the client gave up")
        case Kind.ERROR:
            pass
        case _:
            _send(channel, Kind.ERROR, 1, payload=b"unrecognized message type")


def _receive(channel: Channel) -> tuple[int, int, int, bytes]:
    """Return type, control code, parameter and payload of a message."""
    prologue, kind, control, parameter, length = _HEADER.unpack(channel.exactly(_HEADER.size))
    if prologue != b"HS":
        raise _failure(channel, 1, "a message begins with HS")
    if length > LONGEST:
        raise _failure(channel, 0, f"a message is longer than {LONGEST} bytes")
    return kind, control, parameter, channel.exactly(length)


def _send(channel: Channel, kind: Kind, control: int = 0, parameter: int = 0, payload: bytes = b"") -> None:
    channel.send(_HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload)


def _failure(channel: Channel, code: int, text: str) -> ConnectionError:
    """Tell the client what is wrong, with a code of the standard; return what ends the connection."""
    _send(channel, Kind.FATAL_ERROR, code, payload=text.encode())
    return ConnectionAbortedError(text)
