"""VXI-11 (TCP/IP Instrument Protocol 1.0) over ONC RPC (RFC 5531): all instruments on one port, the device is the name.

There is no port mapper: the client has to be given the port, as pyvisa-py takes it, `TCPIP::host,port::name::INSTR`.
Locks, service requests and device_docmd are refused; going remote or local does nothing.
"""

import itertools
import struct
from enum import IntEnum

from labneuro.simulators.rack.instrument import LineLostError
from labneuro.simulators.rack.wire import LONGEST, Channel, Line, Served

_CORE, _ASYNC = 0x0607AF, 0x0607B0
_LARGEST_WRITE = 2**20
_END, _TERMINATED = 8, 128
_ABORT = 1


class _Core(IntEnum):
    """Procedures of the core channel."""

    CREATE_LINK = 10
    WRITE = 11
    READ = 12
    READ_STATUS = 13
    TRIGGER = 14
    CLEAR = 15
    REMOTE = 16
    LOCAL = 17
    LOCK = 18
    UNLOCK = 19
    ENABLE_SRQ = 20
    DO_COMMAND = 22
    DESTROY_LINK = 23
    CREATE_INTERRUPT_CHANNEL = 25
    DESTROY_INTERRUPT_CHANNEL = 26


_PROCEDURES = frozenset(_Core)


class _Error(IntEnum):
    """Codes of the standard."""

    NONE = 0
    NOT_ACCESSIBLE = 3
    INVALID_LINK = 4
    NOT_SUPPORTED = 8
    OUT_OF_RESOURCES = 9
    TIMEOUT = 15
    ABORTED = 23


_NOTHING = {_Core.CREATE_LINK: 12, _Core.WRITE: 4, _Core.READ: 8, _Core.READ_STATUS: 4, _Core.DO_COMMAND: 4}
"""Bytes that follow the error code when there is nothing to tell."""


class _RefusedError(Exception):
    """Carries the code of the standard that is returned."""


class _NoProcedureError(Exception):
    """There is no such procedure."""


class _Link:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.message = bytearray()


class Vxi11:
    """Serves the clients of one port, `port`; it is called with each of their connections."""

    port = 0

    def __init__(self, served: Served) -> None:
        self._served = served
        self._links: dict[int, _Link] = {}
        self._numbers = itertools.count(1)

    def __call__(self, channel: Channel) -> None:
        """Serve one connection until it ends."""
        own: set[int] = set()
        try:
            while True:
                reply = self._reply(_record(channel), own, channel)
                channel.send(struct.pack(">I", 1 << 31 | len(reply)) + reply)
        finally:
            for number in own:
                self._links.pop(number).line.close()

    def _reply(self, call: bytes, own: set[int], channel: Channel) -> bytes:
        """Return the reply to a call of RPC; raises ConnectionError where it is none."""
        try:
            number, direction, rpc, program, version, procedure = struct.unpack_from(">6I", call)
            _, position = _opaque(call, 28)
            _, position = _opaque(call, position + 4)
        except struct.error:
            raise ConnectionAbortedError("that is no call") from None
        if direction != 0 or rpc != 2:
            raise ConnectionAbortedError("that is no call of RPC 2")
        arguments = call[position:]
        accepted = struct.pack(">5I", number, 1, 0, 0, 0)
        if program not in {_CORE, _ASYNC}:
            return accepted + struct.pack(">I", 1)
        if version != 1:
            return accepted + struct.pack(">3I", 2, 1, 1)
        try:
            if procedure == 0:
                result = b""
            elif program == _ASYNC:
                result = self._abort(procedure, arguments)
            else:
                result = self._do(procedure, arguments, own, channel)
        except _NoProcedureError:
            return accepted + struct.pack(">I", 3)
        except struct.error:
            return accepted + struct.pack(">I", 4)
        return accepted + struct.pack(">I", 0) + result

    def _abort(self, procedure: int, arguments: bytes) -> bytes:
        """End the read that a link waits for, on another connection."""
        if procedure != _ABORT:
            raise _NoProcedureError
        link = self._links.get(*struct.unpack_from(">I", arguments))
        if link:
            link.line.halt()
        return struct.pack(">I", _Error.NONE if link else _Error.INVALID_LINK)

    def _do(self, procedure: int, arguments: bytes, own: set[int], channel: Channel) -> bytes:
        """Return the result of a procedure of the core channel."""
        if procedure not in _PROCEDURES:
            raise _NoProcedureError
        try:
            result = self._result(procedure, arguments, own, channel)
        except _RefusedError as refusal:
            return struct.pack(">I", refusal.args[0]) + bytes(_NOTHING.get(_Core(procedure), 0))
        return struct.pack(">I", _Error.NONE) + result

    def _result(self, procedure: int, arguments: bytes, own: set[int], channel: Channel) -> bytes:
        """Return what follows the error code."""
        if procedure == _Core.CREATE_LINK:
            return self._create_link(arguments, own, channel)
        if procedure in {_Core.CREATE_INTERRUPT_CHANNEL, _Core.DESTROY_INTERRUPT_CHANNEL}:
            raise _RefusedError(_Error.NOT_SUPPORTED)
        (number,) = struct.unpack_from(">I", arguments)
        if number not in own:
            raise _RefusedError(_Error.INVALID_LINK)
        if procedure == _Core.DESTROY_LINK:
            own.remove(number)
            self._links.pop(number).line.close()
            return b""
        return _act(self._links[number], procedure, arguments)

    def _create_link(self, arguments: bytes, own: set[int], channel: Channel) -> bytes:
        _, lock, _ = struct.unpack_from(">3I", arguments)
        name, _ = _opaque(arguments, 12)
        instrument = self._served.instruments.get(name.decode("latin-1"))
        if instrument is None:
            raise _RefusedError(_Error.NOT_ACCESSIBLE)
        if lock:
            raise _RefusedError(_Error.NOT_SUPPORTED)
        try:
            link = _Link(Line(self._served, instrument, channel))
        except LineLostError:
            raise _RefusedError(_Error.NOT_ACCESSIBLE) from None
        number = next(self._numbers)
        self._links[number] = link
        own.add(number)
        return struct.pack(">3I", number, self.port, _LARGEST_WRITE)


def _act(link: _Link, procedure: int, arguments: bytes) -> bytes:
    """Do something on a link; return what follows the error code."""
    line = link.line
    match procedure:
        case _Core.WRITE:
            return _write(link, arguments)
        case _Core.READ:
            return _read(line, arguments)
        case _Core.READ_STATUS:
            return struct.pack(">I", line.status_byte())
        case _Core.TRIGGER:
            line.write(b"*TRG")
        case _Core.CLEAR:
            link.message.clear()
            line.clear()
        case _Core.REMOTE | _Core.LOCAL:
            pass
        case _:
            raise _RefusedError(_Error.NOT_SUPPORTED)
    return b""


def _write(link: _Link, arguments: bytes) -> bytes:
    _, _, _, flags = struct.unpack_from(">4I", arguments)
    data, _ = _opaque(arguments, 16)
    link.message += data
    if len(link.message) > LONGEST:
        link.message.clear()
        link.line.refuse()
        raise _RefusedError(_Error.OUT_OF_RESOURCES)
    if flags & _END:
        link.line.write(bytes(link.message))
        link.message.clear()
    return struct.pack(">I", len(data))


def _read(line: Line, arguments: bytes) -> bytes:
    _, size, timeout, _, flags, terminator = struct.unpack_from(">6I", arguments)
    line.halted = False
    answer, complete = line.read(timeout / 1e3)
    if not answer:
        raise _RefusedError(_Error.ABORTED if line.halted else _Error.TIMEOUT)
    end = min(size, len(answer))
    terminated = 0
    if flags & _TERMINATED:
        terminated = answer.find(terminator & 0xFF, 0, end) + 1
        end = terminated or end
    line.keep(answer[end:])
    reason = (end == size) | bool(terminated) << 1 | (complete and end == len(answer)) << 2
    return struct.pack(">2I", reason, end) + answer[:end] + bytes(-end % 4)


def _record(channel: Channel) -> bytes:
    """Return a record, put together from its fragments."""
    record = bytearray()
    last = 0
    while not last:
        (mark,) = struct.unpack(">I", channel.exactly(4))
        last, length = mark >> 31, mark & 0x7FFF_FFFF
        if len(record) + length > LONGEST:
            raise ConnectionAbortedError(f"a record is longer than {LONGEST} bytes")
        record += channel.exactly(length)
    return bytes(record)


def _opaque(data: bytes, position: int) -> tuple[bytes, int]:
    """Return bytes of variable length from `position`, and where what follows them begins."""
    (length,) = struct.unpack_from(">I", data, position)
    (content,) = struct.unpack_from(f"{length}s", data, position + 4)
    return content, position + 4 + length + -length % 4
