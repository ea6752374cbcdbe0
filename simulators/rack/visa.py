"""The rack as a VISA library in process: `pyvisa.ResourceManager(visa_library(rack))` opens its instruments by name.

Any resource string will do. Waiting goes through the rack's clock: on a virtual one a time-out is raised at once.
PyVISA takes it by a string as well, also from the variable PYVISA_LIBRARY: "bench.toml@labneuro" is the rack of that
bench file, one for the whole process, and `f"{library.library_path}@labneuro"` a library that is still in use.
"""

import contextlib
import functools
import itertools
import math
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from pyvisa import attributes, constants, errors, highlevel, rname
from pyvisa.constants import EventAttribute, EventMechanism, EventType, ResourceAttribute, StatusCode
from pyvisa.typing import VISAEventContext, VISARMSession, VISASession

from labneuro.clock import WallClock
from labneuro.simulators.rack.instrument import Instrument, LineLostError, Session
from labneuro.simulators.rack.scpi import ScpiError

_MANAGER = VISARMSession(1)
_SUCCESS = StatusCode.success
_MORE = StatusCode.success_max_count_read
_STOPPED = StatusCode.success_termination_character_read
_NO_WARNINGS = contextlib.nullcontext()
_LOOK_EVERY = 0.05
"""Longest wait, s, between two looks for a service request, which another thread may cause, or for a lost line."""

_lock = threading.RLock()  # one for all, as an instrument may be in two racks
_numbers = itertools.count(1)
_offered: dict[str, Mapping[str, Instrument]] = {}


class _Connection(Session):
    __slots__ = ("attributes", "instrument", "listens", "stop", "timeout")

    def __init__(self, name: str, instrument: Instrument) -> None:
        super().__init__()
        parsed = rname.parse_resource_name(name)
        self.instrument = instrument
        self.listens = False
        self.timeout = 2.0
        self.stop: bytes | None = None
        self.attributes: dict[ResourceAttribute | EventAttribute, Any] = {
            ResourceAttribute.resource_name: name,
            ResourceAttribute.resource_class: parsed.resource_class,
            ResourceAttribute.interface_type: parsed.interface_type_const,
            ResourceAttribute.termchar: 10,
            ResourceAttribute.termchar_enabled: False,
            ResourceAttribute.timeout_value: 2000,
        }


class RackLibrary(highlevel.VisaLibraryBase):
    """A VISA library that finds the instruments of one rack; make it with `visa_library`, or by a string."""

    def _init(self) -> None:
        name = str(self.library_path)
        self.instruments: dict[str, Instrument] = {}
        for resource, instrument in (_offered[name] if name in _offered else _rack_of(name)).items():
            canonical = _canonical(resource)
            if canonical in self.instruments:
                raise ValueError(f"two instruments of the rack are at {canonical}")
            self.instruments[canonical] = instrument
        self._connections: dict[int, _Connection] = {}
        self._lost: set[int] = set()
        self._handles = itertools.count(2)

    @staticmethod
    def get_library_paths() -> NoReturn:
        """Refuse "@labneuro" alone: there is no rack that it could mean."""
        raise FileNotFoundError('"@labneuro" needs a bench file in front: "bench.toml@labneuro"')

    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Return the session of the manager, of which a rack has one."""
        return _MANAGER, self.handle_return_value(_MANAGER, StatusCode.success)

    def ignore_warning(
        self, session: VISASession, *warnings_constants: StatusCode
    ) -> contextlib.AbstractContextManager[None]:
        """Do nothing: this library never warns."""
        return _NO_WARNINGS

    def list_resources(self, session: VISARMSession, query: str = "?*::INSTR") -> tuple[str, ...]:
        """Return the names in the rack that `query` matches."""
        return rname.filter(self.instruments, query)

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[VISASession, StatusCode]:
        """Connect to the instrument of that name.

        Raises VisaIOError if the rack has none, or if its line is lost for longer than `open_timeout`, ms.
        """
        name = _canonical(resource_name)
        if name not in self.instruments:
            raise errors.VisaIOError(StatusCode.error_resource_not_found)
        connection = _Connection(name, self.instruments[name])
        clock = connection.instrument.clock
        deadline = clock.now() + _seconds(open_timeout)
        while not self._reaches(connection):
            left = deadline - clock.now()
            if left <= 0:
                raise errors.VisaIOError(StatusCode.error_resource_not_found)
            clock.sleep(min(left, _LOOK_EVERY))
        handle = VISASession(next(self._handles))
        self._connections[handle] = connection
        return handle, self.handle_return_value(handle, StatusCode.success)

    def close(self, session: VISASession) -> StatusCode:
        """End a session; what it asked for and hasn't read is dropped."""
        self._lost.discard(session)
        with _lock, contextlib.suppress(LineLostError):
            connection = self._connections.pop(session, None)
            if connection:
                connection.instrument.clear(connection)
        return StatusCode.success

    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Hand a message to the instrument."""
        connection = self._connections.get(session) or self._connection(session)
        try:
            with _lock:
                connection.instrument.handle(connection, data)
        except LineLostError:
            self._lose(session)
        return len(data), _SUCCESS

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Return up to `count` bytes of the response, which goes on until a newline is its last byte.

        Raises VisaIOError if there is none in time.
        """
        connection = self._connections.get(session) or self._connection(session)
        if not connection.output:
            self._wait(session, connection)
        output, stop = connection.output, connection.stop
        end = count if stop is None else output.find(stop, 0, count) + 1 or count
        connection.output = output[end:]
        data = output[:end]
        if stop is not None and data.endswith(stop):
            return data, _STOPPED
        return data, _SUCCESS if data.endswith(b"\n") and not connection.output else _MORE

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Return the status byte, and end the service request that it shows."""
        with self._line(session) as connection:
            connection.instrument.proceed()
            return connection.instrument.status_byte(connection), StatusCode.success

    def clear(self, session: VISASession) -> StatusCode:
        """Clear the instrument's buffers for this session."""
        with self._line(session) as connection:
            connection.instrument.clear(connection)
        return StatusCode.success

    def assert_trigger(self, session: VISASession, protocol: constants.TriggerProtocol) -> StatusCode:
        """Trigger the instrument, as `*TRG` does."""
        with self._line(session) as connection:
            unread, connection.output = connection.output, b""
            connection.instrument.handle(connection, b"*TRG")
            connection.output = unread
        return StatusCode.success

    def flush(self, session: VISASession, mask: constants.BufferOperation) -> StatusCode:
        """Discard what wasn't read, if `mask` asks for that."""
        discards = constants.BufferOperation.discard_read_buffer | constants.BufferOperation.discard_receive_buffer
        if mask & discards:
            self._connection(session).output = b""
        return StatusCode.success

    def get_attribute(
        self, session: VISASession, attribute: ResourceAttribute | EventAttribute
    ) -> tuple[Any, StatusCode]:
        """Return an attribute, its default if it wasn't set."""
        if session == _MANAGER:
            return 0, StatusCode.success
        known = self._connection(session).attributes
        return known.get(attribute, attributes.AttributesByID[attribute].default), StatusCode.success

    def set_attribute(self, session: VISASession, attribute: ResourceAttribute, attribute_state: Any) -> StatusCode:
        """Keep an attribute; the time-out and the termination character have an effect."""
        connection = self._connection(session)
        known = connection.attributes
        known[attribute] = attribute_state
        if attribute == ResourceAttribute.timeout_value:
            connection.timeout = _seconds(int(attribute_state))
        stops = known[ResourceAttribute.termchar_enabled]
        connection.stop = bytes([known[ResourceAttribute.termchar]]) if stops else None
        return StatusCode.success

    def enable_event(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism, context: None = None
    ) -> StatusCode:
        """Let service requests be waited for; VisaIOError is raised for other events, and for callbacks."""
        connection = self._connection(session)
        if event_type != EventType.service_request:
            raise errors.VisaIOError(StatusCode.error_invalid_event)
        if mechanism != EventMechanism.queue:
            raise errors.VisaIOError(StatusCode.error_nonsupported_mechanism)
        connection.listens = True
        return StatusCode.success

    def disable_event(self, session: VISASession, event_type: EventType, mechanism: EventMechanism) -> StatusCode:
        """Let service requests be waited for no more."""
        if session in self._connections:
            self._connections[session].listens = False
        return StatusCode.success

    def discard_events(self, session: VISASession, event_type: EventType, mechanism: EventMechanism) -> StatusCode:
        """Do nothing: there is no queue but the request itself, which a serial poll ends."""
        return StatusCode.success

    def wait_on_event(
        self, session: VISASession, in_event_type: EventType, timeout: int
    ) -> tuple[EventType, VISAEventContext, StatusCode]:
        """Wait until the instrument requests service. Raises VisaIOError if it doesn't within `timeout`, ms.

        A wait without time-out is given up where nothing that goes on can end it.
        """
        clock = self._connection(session).instrument.clock
        deadline = clock.now() + _seconds(timeout)
        while True:
            with self._line(session) as connection:
                if not connection.listens:
                    raise errors.VisaIOError(StatusCode.error_not_enabled)
                ready = connection.instrument.proceed()
                connection.instrument.look(connection)
                if connection.requests_service:
                    return EventType.service_request, cast(VISAEventContext, None), StatusCode.success
                now = clock.now()
                if now >= deadline or math.isinf(min(ready, deadline)):
                    raise errors.VisaIOError(StatusCode.error_timeout)
            clock.sleep(min(ready, deadline, now + _LOOK_EVERY) - now)

    def lock(
        self, session: VISASession, lock_type: constants.Lock, timeout: int, requested_key: str | None = None
    ) -> tuple[str, StatusCode]:
        """Grant the lock: all sessions belong to one process."""
        return requested_key or "", StatusCode.success

    def unlock(self, session: VISASession) -> StatusCode:
        """Release the lock."""
        return StatusCode.success

    def _reaches(self, connection: _Connection) -> bool:
        try:
            with _lock:
                connection.instrument.connect(connection)
        except LineLostError:
            return False
        return True

    def _connection(self, session: VISASession) -> _Connection:
        if session in self._lost:
            raise errors.VisaIOError(StatusCode.error_connection_lost)
        try:
            return self._connections[session]
        except KeyError:
            raise errors.InvalidSession from None

    @contextlib.contextmanager
    def _line(self, session: VISASession) -> Iterator[_Connection]:
        """Have the instrument for oneself. Raises VisaIOError if its line is lost, and from then on."""
        connection = self._connection(session)
        try:
            with _lock:
                yield connection
        except LineLostError:
            self._lose(session)

    def _lose(self, session: VISASession) -> NoReturn:
        self._connections.pop(session, None)
        self._lost.add(session)
        raise errors.VisaIOError(StatusCode.error_connection_lost) from None

    def _wait(self, session: VISASession, connection: _Connection) -> None:
        """Wait for output. Raises VisaIOError if the time-out passes first, or if nothing was asked."""
        instrument = connection.instrument
        deadline = instrument.clock.now() + connection.timeout
        while True:
            with self._line(session):
                ready = instrument.proceed()
                if connection.output:
                    return
                asked = instrument.waits(connection)
                now = instrument.clock.now()
                if not asked or now >= deadline:
                    if not asked:
                        instrument.status.report(ScpiError(-420))
                    break
            instrument.clock.sleep(min(ready, deadline) - now)
        if deadline > now and math.isfinite(deadline):
            instrument.clock.sleep(deadline - now)
        raise errors.VisaIOError(StatusCode.error_timeout)


def visa_library(instruments: Mapping[str, Instrument]) -> RackLibrary:
    """Return a VISA library of its own for these instruments by resource name.

    Raises ValueError if a name isn't a VISA resource string, or if two name the same resource.
    """
    name = f"rack {next(_numbers)}"
    _offered[name] = instruments
    try:
        return cast(RackLibrary, RackLibrary(name))
    finally:
        del _offered[name]


def _rack_of(name: str) -> Mapping[str, Instrument]:
    """Return the rack of a bench file. Raises FileNotFoundError if there is no such file."""
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"no rack {name!r}: give the path of a bench file, or keep the VISA library while its string is in use"
        )
    return _load(Path(name).resolve())


@functools.cache
def _load(path: Path) -> Mapping[str, Instrument]:
    from labneuro.simulators.rack.rack import load_rack  # noqa: PLC0415 - which needs this module

    return load_rack(path, WallClock()).library.instruments


def _seconds(milliseconds: int) -> float:
    """Return a time-out of VISA in seconds."""
    return math.inf if milliseconds == constants.VI_TMO_INFINITE else milliseconds / 1e3


def _canonical(name: str) -> str:
    """Return the full form of a VISA resource string: GPIB::12 is GPIB0::12::INSTR."""
    return rname.to_canonical_name(name)
