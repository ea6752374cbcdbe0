import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from pyvisa import attributes, constants, errors
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.highlevel import VisaLibraryBase

from labneuro.clock import VirtualClock

RESOURCE = "GPIB0::12::INSTR"
_numbers = itertools.count(1)


class Mock:
    """An instrument that gives back what each header was set to.

    answers: to whole questions, before anything that was set. stuck: headers that keep their value. refused: errors
    queued by a header. sent: the settings that came, without those by which a driver finds its place. hook: called
    with each message, it may answer, or raise, in its place.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.held: dict[str, str] = {}
        self.answers: dict[str, str | bytes] = {}
        self.stuck: set[str] = set()
        self.refused: dict[str, str] = {}
        self.errors: deque[str] = deque()
        self.sent: list[str] = []
        self.output: deque[bytes] = deque()
        self.cleared = 0
        self.read_error: BaseException | None = None
        self.hook: Callable[[str], bytes | None] = lambda message: None

    def take(self, message: str) -> None:
        if (answer := self.hook(message)) is not None:
            self.output.append(answer)
            return
        if message in self.answers:
            answer = self.answers[message]
            self.output.append(answer if isinstance(answer, bytes) else answer.encode() + b"\n")
            return
        replies = [reply for unit in message.split(";") if (reply := self.unit(unit)) is not None]
        if replies:
            self.output.append(";".join(replies).encode() + b"\n")

    def unit(self, unit: str) -> str | None:
        header, _, argument = unit.partition(" ")
        if unit == "*IDN?":
            return self.identity
        if unit == ":SYST:ERR?":
            return self.errors.popleft() if self.errors else '0,"No error"'
        if unit in self.answers:
            return str(self.answers[unit])
        if header.endswith("?"):
            return self.held.get(header[:-1], "0")
        if header not in {"*CLS", "*ESE"}:
            self.sent.append(unit)
        if header in self.refused:
            self.errors.append(self.refused[header])
        elif header not in self.stuck:
            self.held[header] = argument
        return None


class MockLibrary(VisaLibraryBase):
    """A VISA library with one mock behind every name; a time-out is at once."""

    mock: Mock

    def _init(self) -> None: ...

    def open_default_resource_manager(self) -> Any:
        return 1, self.handle_return_value(1, StatusCode.success)

    def open(self, session: int, resource_name: str, *more: Any, **most: Any) -> Any:
        return 2, self.handle_return_value(2, StatusCode.success)

    def close(self, session: Any) -> StatusCode:
        return StatusCode.success

    def clear(self, session: Any) -> StatusCode:
        self.mock.output.clear()
        self.mock.cleared += 1
        return StatusCode.success

    def write(self, session: Any, data: bytes) -> Any:
        self.mock.take(data.decode().removesuffix("\n"))
        return len(data), StatusCode.success

    def read(self, session: Any, count: int) -> Any:
        if self.mock.read_error is not None:
            error, self.mock.read_error = self.mock.read_error, None
            raise error
        if not self.mock.output:
            raise errors.VisaIOError(StatusCode.error_timeout)
        answer = self.mock.output.popleft()
        if len(answer) > count:
            self.mock.output.appendleft(answer[count:])
            return answer[:count], StatusCode.success_max_count_read
        return answer, StatusCode.success

    def get_attribute(self, session: Any, attribute: ResourceAttribute) -> Any:
        known = {ResourceAttribute.interface_type: constants.InterfaceType.gpib}
        return known.get(attribute, attributes.AttributesByID[attribute].default), StatusCode.success

    def set_attribute(self, session: Any, attribute: ResourceAttribute, attribute_state: Any) -> StatusCode:
        return StatusCode.success

    def disable_event(self, *event: Any) -> StatusCode:
        return StatusCode.success

    def discard_events(self, *event: Any) -> StatusCode:
        return StatusCode.success


def library_of(mock: Mock) -> Any:
    """Return a VISA library of its own with this mock in it."""
    library = MockLibrary(f"mock {next(_numbers)}")
    library.mock = mock
    return library


def connect(driver: Any, mock: Mock, **settings: Any) -> Any:
    """Return a driver that talks to this mock."""
    if "clock" in driver.__init__.__annotations__:
        settings["clock"] = VirtualClock()
    return driver(resource=RESOURCE, visa_library=library_of(mock), **settings)


@pytest.fixture
def mock_of() -> Callable[..., Mock]:
    """A function that makes a mock from its identity."""
    return Mock


@pytest.fixture
def connected() -> Callable[..., Any]:
    """A function that connects a driver to a mock."""
    return connect
