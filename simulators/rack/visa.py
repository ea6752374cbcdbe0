"""The rack as a VISA library in process: `pyvisa.ResourceManager(visa_library(rack))` opens its instruments by name.

Any resource string will do. Waiting goes through the rack's clock: on a virtual one a time-out is raised at once.
"""

import contextlib
import itertools
import math
import threading
from collections.abc import Mapping
from typing import Any, cast

from pyvisa import attributes, constants, errors, highlevel, rname
from pyvisa.constants import EventAttribute, ResourceAttribute, StatusCode
from pyvisa.typing import VISARMSession, VISASession

from labneuro.simulators.rack.instrument import Instrument, Session
from labneuro.simulators.rack.scpi import ScpiError

_MANAGER = VISARMSession(1)
_SUCCESS = StatusCode.success
_MORE = StatusCode.success_max_count_read
_STOPPED = StatusCode.success_termination_character_read
_NO_WARNINGS = contextlib.nullcontext()
_numbers = itertools.count(1)


class _Connection(Session):
    __slots__ = ("attributes", "instrument", "stop", "timeout")

    def __init__(self, name: str, instrument: Instrument) -> None:
        super().__init__()
        parsed = rname.parse_resource_name(name)
        self.instrument = instrument
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
    """A VISA library that finds the instruments of one rack; make it with `visa_library`."""

    def _init(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self._connections: dict[int, _Connection] = {}
        self._lock = threading.RLock()
        self._handles = itertools.count(2)

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
        """Connect to the instrument of that name. Raises VisaIOError if the rack has none."""
        name = _canonical(resource_name)
        if name not in self.instruments:
            raise errors.VisaIOError(StatusCode.error_resource_not_found)
        handle = VISASession(next(self._handles))
        self._connections[handle] = _Connection(name, self.instruments[name])
        return handle, self.handle_return_value(handle, StatusCode.success)

    def close(self, session: VISASession) -> StatusCode:
        """End a session; what it asked for and hasn't read is dropped."""
        with self._lock:
            connection = self._connections.pop(session, None)
            if connection:
                connection.instrument.clear(connection)
        return StatusCode.success

    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Hand a message to the instrument."""
        try:
            connection = self._connections[session]
        except KeyError:
            raise errors.InvalidSession from None
        with self._lock:
            connection.instrument.handle(connection, data)
        return len(data), _SUCCESS

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Return up to `count` bytes of the response. Raises VisaIOError if there is none in time."""
        try:
            connection = self._connections[session]
        except KeyError:
            raise errors.InvalidSession from None
        if not connection.output:
            self._wait(connection)
        output = connection.output
        stop = connection.stop
        end = min(count, len(output)) if stop is None else output.find(stop, 0, count) + 1 or min(count, len(output))
        connection.output = output[end:]
        status = _SUCCESS if end == len(output) else _MORE
        return output[:end], status if stop is None or output[end - 1] != stop[0] else _STOPPED

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Return the status byte."""
        connection = self._connection(session)
        with self._lock:
            connection.instrument.proceed()
            return connection.instrument.status_byte(connection), StatusCode.success

    def clear(self, session: VISASession) -> StatusCode:
        """Clear the instrument's buffers for this session."""
        connection = self._connection(session)
        with self._lock:
            connection.instrument.clear(connection)
        return StatusCode.success

    def assert_trigger(self, session: VISASession, protocol: constants.TriggerProtocol) -> StatusCode:
        """Trigger the instrument, as `*TRG` does."""
        connection = self._connection(session)
        with self._lock:
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
            milliseconds = int(attribute_state)
            connection.timeout = math.inf if milliseconds == constants.VI_TMO_INFINITE else milliseconds / 1e3
        stops = known[ResourceAttribute.termchar_enabled]
        connection.stop = bytes([known[ResourceAttribute.termchar]]) if stops else None
        return StatusCode.success

    def disable_event(
        self, session: VISASession, event_type: constants.EventType, mechanism: constants.EventMechanism
    ) -> StatusCode:
        """Do nothing: there are no events."""
        return StatusCode.success

    def discard_events(
        self, session: VISASession, event_type: constants.EventType, mechanism: constants.EventMechanism
    ) -> StatusCode:
        """Do nothing: there are no events."""
        return StatusCode.success

    def lock(
        self, session: VISASession, lock_type: constants.Lock, timeout: int, requested_key: str | None = None
    ) -> tuple[str, StatusCode]:
        """Grant the lock: all sessions belong to one process."""
        return requested_key or "", StatusCode.success

    def unlock(self, session: VISASession) -> StatusCode:
        """Release the lock."""
        return StatusCode.success

    def _connection(self, session: VISASession) -> _Connection:
        try:
            return self._connections[session]
        except KeyError:
            raise errors.InvalidSession from None

    def _wait(self, connection: _Connection) -> None:
        """Wait for output. Raises VisaIOError if the time-out passes first, or if nothing was asked."""
        instrument = connection.instrument
        deadline = instrument.clock.now() + connection.timeout
        while True:
            with self._lock:
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
    library = cast(RackLibrary, RackLibrary(f"rack {next(_numbers)}"))
    for name, instrument in instruments.items():
        canonical = _canonical(name)
        if canonical in library.instruments:
            raise ValueError(f"two instruments of the rack are at {canonical}")
        library.instruments[canonical] = instrument
    return library


def _canonical(name: str) -> str:
    """Return the full form of a VISA resource string: GPIB::12 is GPIB0::12::INSTR."""
    return rname.to_canonical_name(name)
