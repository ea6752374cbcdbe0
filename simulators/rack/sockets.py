"""An instrument on a raw TCP port: a message ends in a newline, answers are sent when they are there."""

import re
from collections.abc import Iterator
from contextlib import closing

from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.wire import LONGEST, Channel, Line, Served

_MARK = {b"": re.compile(rb"[\n\"'#]"), b'"': re.compile(b'"'), b"'": re.compile(b"'")}  # what counts within a quote


class Framer:
    """Cuts a stream of bytes into messages, at each newline that is in no string and no block of known length."""

    def __init__(self) -> None:
        self._stream = bytearray()
        self._place: int = 0
        self._quote = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that end with `data`. Raises OverflowError when one is longer than is taken."""
        self._stream += data
        while mark := _MARK[self._quote].search(self._stream, self._place):
            self._place = mark.end()
            match mark[0]:
                case b"\n":
                    message = bytes(self._stream[: self._place])
                    del self._stream[: self._place]
                    self._place = 0
                    yield message
                case b"#":
                    if not self._skip_block(mark.start()):
                        break
                case quote:
                    self._quote = b"" if self._quote else bytes(quote)
        else:
            self._place = max(self._place, len(self._stream))
        if self._place > LONGEST:
            raise OverflowError

    def _skip_block(self, start: int) -> bool:
        """Go to the end of the block at `start`, if it is one; False if its length is still to come."""
        head = bytes(self._stream[start + 1 : start + 11])
        digits = int(head[:1]) if head[:1].isdigit() else 0
        length = head[1 : 1 + digits]
        if head and (digits == 0 or (length and not length.isdigit())):
            return True
        complete = bool(head) and len(length) == digits
        self._place = start + 2 + digits + int(length) if complete else start
        return complete


def converse(served: Served, instrument: Instrument, channel: Channel) -> None:
    """Serve one client until it hangs up.

    There is no device clear, no status byte and no sign that an answer was read here, hence neither -410 nor -420. A
    string that is never closed swallows all that follows: the client has to connect anew.
    """
    framer = Framer()
    with closing(Line(served, instrument, channel)) as line:
        while True:
            data = channel.some()
            try:
                for message in framer.feed(data):
                    line.write(message)
                    complete = False
                    while not complete:
                        answer, complete = line.answer()
                        line.keep()
                        channel.send(answer)
            except OverflowError:
                line.refuse()
                return
