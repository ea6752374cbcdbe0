"""The rack as instruments on the network: HiSLIP, VXI-11 and raw sockets, for any client in any language."""

import logging
import re
import selectors
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from labneuro.clock import Clock
from labneuro.simulators.rack.hislip import PREFIX, Hislip
from labneuro.simulators.rack.instrument import Instrument, LineLostError
from labneuro.simulators.rack.sockets import converse
from labneuro.simulators.rack.vxi11 import Vxi11
from labneuro.simulators.rack.wire import Channel, Served

MOST_CONNECTIONS = 256
"""Connections at a time; a HiSLIP client has two."""

_log = logging.getLogger(__name__)


class Addresses(NamedTuple):
    """The VISA resources of one instrument; the one of VXI-11 is pyvisa-py's spelling."""

    hislip: str
    vxi11: str
    socket: str


@contextmanager
def serve(
    instruments: Mapping[str, Instrument],
    clock: Clock,
    *,
    host: str = "127.0.0.1",
    hislip_port: int = 4880,
    vxi11_port: int = 4881,
    socket_port: int = 5025,
) -> Generator[dict[str, Addresses], None, None]:
    """Serve instruments by name; what is entered tells where each is reached. Leaving it hangs up on all clients.

    The instruments are used by threads, one at a time; nobody else may use them meanwhile.

    Args:
        instruments: By name, of letters, digits, `_`, `-` and `.`.
        clock: The instruments' own. On a virtual one nobody waits, and no client times out because of an instrument.
        host: Where to listen: an IPv4 address of this machine, or 0.0.0.0 for all; none asks for a password.
        hislip_port: For all instruments; 0, as of the others, is any that is free.
        vxi11_port: For all instruments.
        socket_port: Of the first instrument; each that follows has the next.

    Raises:
        ValueError: An instrument can't have that name.
        OSError: A port is taken, or there is no such host.
    """
    for name in instruments:
        if not re.fullmatch(r"(?!(?i:hislip))[\w.-]+", name, re.ASCII):
            raise ValueError(f"instrument {name!r}: take letters, digits, _, - and . that don't begin with hislip")
    served = Served(instruments, clock)
    doors = _Doors(served, host)
    try:
        vxi11 = Vxi11(served)
        hislip_port = doors.listen(hislip_port, "hislip_port", Hislip(served))
        vxi11.port = doors.listen(vxi11_port, "vxi11_port", vxi11)
        shown = socket.gethostname() if host == "0.0.0.0" else host  # noqa: S104  asked for by whoever gave it
        reached: dict[str, Addresses] = {}
        for number, (name, instrument) in enumerate(instruments.items()):
            wanted = socket_port and socket_port + number
            port = doors.listen(wanted, "socket_port", partial(converse, served, instrument))
            reached[name] = Addresses(
                f"TCPIP::{shown}::{PREFIX}{name},{hislip_port}::INSTR",
                f"TCPIP::{shown},{vxi11.port}::{name}::INSTR",
                f"TCPIP::{shown}::{port}::SOCKET",
            )
        doors.open()
        yield reached
    finally:
        doors.close()


class _Doors:
    """Ports to listen on, and a thread for each client that comes in by one."""

    def __init__(self, served: Served, host: str) -> None:
        self._served = served
        self._host = host
        self._selector = selectors.DefaultSelector()
        self._doors: list[socket.socket] = []
        self._bell, self._bell_pull = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._porter = threading.Thread(target=self._attend_doors, name="rack", daemon=True)

    def listen(self, port: int, option: str, answer: Callable[[Channel], None]) -> int:
        """Listen on `port`, or a free one for 0; return which. Raises OSError if it can't be had."""
        try:
            door = socket.create_server((self._host, port), backlog=MOST_CONNECTIONS)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"can't listen on port {port} of {self._host}: {reason}: give another {option}") from error
        door.setblocking(False)
        self._doors.append(door)
        self._selector.register(door, selectors.EVENT_READ, partial(self._admit, door, answer))
        return door.getsockname()[1]

    def open(self) -> None:
        """Let clients in."""
        self._porter.start()

    def close(self) -> None:
        """Close all, hang up on all clients, and wait until their threads have ended."""
        self._served.stop()
        self._bell_pull.close()
        if self._porter.is_alive():
            self._porter.join()
        self._selector.close()
        for closed in (self._bell, *self._doors):
            closed.close()
        clients = list(self._clients.items())
        for connection, _ in clients:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in clients:
            thread.join()

    def _attend_doors(self) -> None:
        while not self._served.stopped:
            for key, _ in self._selector.select():
                if key.data:
                    key.data()

    def _admit(self, door: socket.socket, answer: Callable[[Channel], None]) -> None:
        """Let a client in, or turn it away if there are too many."""
        try:
            connection, _ = door.accept()
        except OSError:  # it has gone again, or there are no file descriptors left
            with self._served.turn:
                self._served.turn.wait(0.1)
            return
        if len(self._clients) >= MOST_CONNECTIONS:
            _log.warning("a client was turned away: there are %d connections", MOST_CONNECTIONS)
            connection.close()
            return
        thread = threading.Thread(target=self._attend, args=(connection, answer), name="rack client", daemon=True)
        self._clients[connection] = thread
        thread.start()

    def _attend(self, connection: socket.socket, answer: Callable[[Channel], None]) -> None:
        """Serve one connection; whatever goes wrong there ends it, and no other."""
        try:
            answer(Channel(connection))
        except (OSError, LineLostError):
            pass
        except Exception:  # noqa: BLE001  a client must not be able to stop the server
            _log.exception("a client's connection was closed")
        finally:
            connection.close()
            del self._clients[connection]
