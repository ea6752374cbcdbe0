"""The line to an instrument: VISA resources as laboratories write them, and one error for all that goes wrong there."""

import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import pyvisa
from pymeasure.adapters import Adapter
from pyvisa.constants import StatusCode

_SOCKET = re.compile(r"TCPIP\d*::(?P<host>.+)::(?P<port>\d+)::SOCKET", re.IGNORECASE)
_BYTE_STREAM = re.compile(r"ASRL.*|.*::SOCKET", re.IGNORECASE)
_CHUNK = 2**16
_MANAGERS = threading.Lock()


class InstrumentError(OSError):
    """An instrument does not do or answer as asked; the message is one line with its resource and the way out."""


class _Connection(ABC):
    """What bytes go through. messages: whether the end of an answer is marked, or only its length or a newline is."""

    messages: bool

    @abstractmethod
    def send(self, data: bytes) -> None: ...

    @abstractmethod
    def receive(self) -> bytes:
        """Return one message, or one line of a byte stream."""

    @abstractmethod
    def receive_bytes(self, count: int) -> bytes: ...

    @abstractmethod
    def set_timeout(self, seconds: float) -> None: ...

    @abstractmethod
    def clear(self) -> None:
        """Forget what has been received, and let the instrument forget what it has not sent, where that can be."""

    @abstractmethod
    def close(self, *, lost: bool = False) -> None:
        """Close it; if it is `lost`, without waiting for the instrument."""


class _Resource(_Connection):
    """A resource of a VISA library."""

    def __init__(self, manager: pyvisa.ResourceManager, name: str, timeout: float) -> None:
        self.messages = not _BYTE_STREAM.fullmatch(name)
        self._resource: Any = manager.open_resource(name, open_timeout=round(timeout * 1e3))
        if not self.messages:
            self._resource.read_termination = "\n"
        self.set_timeout(timeout)

    def send(self, data: bytes) -> None:
        self._resource.write_raw(data)

    def receive(self) -> bytes:
        return self._resource.read_raw()

    def receive_bytes(self, count: int) -> bytes:
        return self._resource.read_bytes(count)

    def set_timeout(self, seconds: float) -> None:
        self._resource.timeout = seconds * 1e3

    def clear(self) -> None:
        if self.messages:
            self._resource.clear()

    def close(self, *, lost: bool = False) -> None:
        if lost:  # pyvisa-py takes leave on VXI-11, and would wait 5 s for an answer
            with suppress(Exception):  # other lines and libraries have no such socket
                self._resource.visalib.sessions[self._resource.session].interface.sock.shutdown(socket.SHUT_RDWR)
        self._resource.close()


class _Socket(_Connection):
    """A raw TCP connection.

    It takes the place of pyvisa-py's, which waits 40 ms between a setting and a question (Nagle's algorithm can't be
    switched off), spins until the time-out when the instrument hangs up, and then never returns from clear().
    """

    messages = False

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive_more()
        return self._take(end + 1)

    def receive_bytes(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive_more()
        return self._take(count)

    def _receive_more(self) -> None:
        chunk = self._socket.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError("the instrument hung up")
        self._received += chunk

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def set_timeout(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def clear(self) -> None:
        self._received.clear()

    def close(self, *, lost: bool = False) -> None:
        self._socket.close()


class VisaLine(Adapter):
    """PyMeasure's adapter to a VISA resource, on which whatever goes wrong is an InstrumentError.

    resource: as VISA writes it. visa_library: "" for that of NI or Keysight, or pyvisa-py where there is none; else as
    PyVISA takes it. timeout: longest silence of the instrument, s.
    """

    connection: _Connection

    def __init__(self, resource: str, visa_library: str = "", timeout: float = 2.0) -> None:
        super().__init__()
        self.resource = resource
        self._library = visa_library
        self._timeout = timeout
        self._lost = False
        self._ends_answers = False  # in a newline, as IEEE 488.2 wants; some mark only the end of the message
        self._open()

    def recover(self) -> None:
        """Clear the line, or open it again if it was lost."""
        if self._lost:
            with suppress(Exception):
                self.connection.close(lost=True)
            self._open()
            self._lost = False
        with self._blaming("a device clear"):
            self.connection.clear()

    def read_block(self) -> bytes:
        """Return the content of a definite-length block, `#<digits><length><content>`, or raise unless all is there."""
        with self._blaming("a block of data"):
            if self.connection.messages:
                message = self.connection.receive()
                digits = self._digits(message[:2])
                length = self._length(message[2 : 2 + digits])
                content = message[2 + digits : 2 + digits + length]
            else:
                length = self._length(self.connection.receive_bytes(self._digits(self.connection.receive_bytes(2))))
                content = self.connection.receive_bytes(length)
                self.connection.receive()
        if len(content) != length:
            raise InstrumentError(f"{self.resource}: {len(content)} bytes of a block of {length} came: ask again")
        return content

    @contextmanager
    def patience(self, seconds: float) -> Generator[None, None, None]:
        """Wait `seconds` longer than usual for answers."""
        with self._blaming("a longer time-out"):
            self.connection.set_timeout(self._timeout + seconds)
        try:
            yield
        finally:
            with suppress(Exception):
                self.connection.set_timeout(self._timeout)

    def _open(self) -> None:
        with self._blaming("the connection"):
            self.connection = self._connected()

    def _connected(self) -> _Connection:
        with _MANAGERS:
            manager = pyvisa.ResourceManager(self._library)  # shared by all its users: never to be closed
        match = _SOCKET.fullmatch(self.resource)
        if match and type(manager.visalib).__module__.startswith("pyvisa_py"):
            return _Socket(match["host"], int(match["port"]), self._timeout)
        return _Resource(manager, self.resource, self._timeout)

    def _write(self, command: str, **kwargs: object) -> None:
        with self._blaming(repr(command)):
            self.connection.send(command.encode("ascii") + b"\n")

    def _read(self, **kwargs: object) -> str:
        with self._blaming("an answer"):
            answer = self.connection.receive()
            if self._ends_answers and not answer.endswith(b"\n"):
                raise InstrumentError(f"{self.resource}: an answer broke off at {answer[-20:]!r}: ask again")
            self._ends_answers = answer.endswith(b"\n")
            return answer.decode("latin-1").strip()

    def _digits(self, head: bytes) -> int:
        if not re.fullmatch(rb"#[1-9]", head):
            raise InstrumentError(f"{self.resource}: {head!r} begins no block of known length: check its data format")
        return head[1] - ord("0")

    def _length(self, digits: bytes) -> int:
        if not digits.isdigit():
            raise InstrumentError(f"{self.resource}: {digits!r} is no length of a block: check its data format")
        return int(digits)

    @contextmanager
    def _blaming(self, what: str) -> Generator[None, None, None]:
        """Raise whatever goes wrong as an InstrumentError.

        pyvisa-py raises RuntimeError, OSError, errors of RPC and plain Exception where others raise VisaIOError.
        """
        try:
            yield
        except InstrumentError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) or getattr(error, "error_code", None) == StatusCode.error_timeout:
                said = "time-out: check its power and cable, or give it a longer timeout"
            else:
                self._lost = True
                said = f"the line was lost ({type(error).__name__}: {error}): check its power, cable and address"
            raise InstrumentError(f"{self.resource}: {what}: {' '.join(said.split())}") from error
