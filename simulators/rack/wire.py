"""What the protocols of a served rack share: a client's connection, and its line to an instrument among many."""

import math
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from labneuro.clock import Clock, VirtualClock
from labneuro.simulators.rack.instrument import Instrument, LineLostError, Session
from labneuro.simulators.rack.scpi import ScpiError

LONGEST = 2**26
"""Longest message that is taken from a client, bytes."""

_LOOK = 0.1  # s of waiting from one look at whether the client is still there to the next
_AT_ONCE = 2**16
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


@dataclass
class Served:
    """Instruments by name, and the turn to talk to one: one for all of them, as they share a chip."""

    instruments: Mapping[str, Instrument]
    clock: Clock
    turn: threading.Condition = field(default_factory=lambda: threading.Condition(threading.Lock()))
    stopped: bool = False

    def stop(self) -> None:
        """End all waiting."""
        with self.turn:
            self.stopped = True
            self.turn.notify_all()


class Channel:
    """A client's TCP connection; all that waits on it raises OSError when it ends.

    What comes is acknowledged at once: a client that holds a question back until its setting is acknowledged (Nagle's
    algorithm; pyvisa-py's raw sockets and VXI-11) would lose 40 ms each time.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)

    def some(self) -> bytes:
        """Return what has come, at least a byte."""
        if _QUICKACK is not None:  # the system forgets it with each packet that is sent
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        data = self._socket.recv(_AT_ONCE)
        if not data:
            raise ConnectionAbortedError("the client hung up")
        return data

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        while len(self._received) < count:
            self._received += self.some()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def send(self, data: bytes) -> None:
        """Send it all."""
        self._socket.sendall(data)

    def check(self) -> None:
        """Raise ConnectionError if the client has hung up; only for the thread that receives."""
        self._socket.setblocking(False)
        try:
            if not self._socket.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError("the client hung up")
        except BlockingIOError:
            pass
        finally:
            self._socket.setblocking(True)

    def hang_up(self) -> None:
        """End the connection for all threads that wait on it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Line:
    """A client's line to an instrument: what a protocol asks of it, in its turn.

    halted: to be set with `halt`, ends the waiting for an answer until it is unset. Everything raises LineLostError
    when the instrument drops the line, and waiting OSError when the client or the rack goes.
    """

    def __init__(self, served: Served, instrument: Instrument, channel: Channel) -> None:
        self._session = Session()
        self.halted = False
        self.number = 0
        self._served = served
        self._instrument = instrument
        self._channel = channel
        with served.turn:
            instrument.connect(self._session)

    def write(self, message: bytes, number: int = 0) -> None:
        """Hand a message to the instrument; `number` is the protocol's own."""
        with self._served.turn:
            self._instrument.handle(self._session, message)
            self.number = number
            self._served.turn.notify_all()

    def answer(self) -> tuple[bytes, bool]:
        """Return the answer to what was written, nothing if there is none, and whether that is all of it.

        An answer that comes in parts is to be taken from the line, `keep()`, part by part.
        """
        with self._served.turn:
            self._wait(math.inf)
            return self._session.output, not self._instrument.waits(self._session)

    def read(self, patience: float) -> tuple[bytes, bool]:
        """Return the same, nothing if none comes within `patience`, s; one that wasn't asked for is an error there."""
        clock = self._served.clock
        with self._served.turn:
            deadline = clock.now() + patience
            self._wait(deadline)
            asked = self._instrument.waits(self._session)
            if not (self._session.output or self.halted or asked):
                self._instrument.status.report(ScpiError(-420))
                while not self.halted and (left := deadline - clock.now()) > 0:
                    self._pass(left)
            return self._session.output, not asked

    def keep(self, rest: bytes = b"") -> None:
        """Let the client have received the answer but for `rest`."""
        with self._served.turn:
            self._session.output = rest

    def refuse(self) -> None:
        """Tell the instrument that a message was longer than is taken."""
        with self._served.turn:
            self._instrument.status.report(ScpiError(-223))

    def status_byte(self, after: Collection[int] = ()) -> int:
        """Return the status byte.

        after: numbers of messages; a moment is waited for one of them to be the last, unless one waits on the clock.
        """
        with self._served.turn:
            if after:
                self._served.turn.wait_for(
                    lambda: self.number in after or self._instrument.waits(self._session), timeout=_LOOK
                )
            self._instrument.proceed()
            return self._instrument.status_byte(self._session)

    def clear(self) -> None:
        """Forget the client's messages and answers (a device clear)."""
        with self._served.turn:
            self._instrument.clear(self._session)
            self._served.turn.notify_all()

    def halt(self) -> None:
        """Let whoever waits for an answer go without."""
        with self._served.turn:
            self.halted = True
            self._served.turn.notify_all()

    def close(self) -> None:
        """Drop the line, and what was to be done for it."""
        with suppress(LineLostError):
            self.clear()

    def _wait(self, deadline: float) -> None:
        """Give up the turn until there is an answer, none is to come, or it is `deadline` on the clock."""
        while not self.halted:
            ready = self._instrument.proceed()
            now = self._served.clock.now()
            if self._session.output or not self._instrument.waits(self._session) or now >= deadline:
                return
            self._pass(min(ready, deadline) - now)

    def _pass(self, seconds: float) -> None:
        """Give up the turn for so long at most: a virtual clock is put forward, others go by themselves."""
        if isinstance(self._served.clock, VirtualClock):
            self._served.clock.sleep(seconds)
            return
        self._served.turn.wait(min(seconds, _LOOK))
        if self._served.stopped:
            raise ConnectionAbortedError("the rack is no longer served")
        self._channel.check()
