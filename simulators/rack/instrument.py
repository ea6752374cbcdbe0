"""An emulated instrument: a table of settings and commands over a small state machine, and the rules of IEEE 488.2.

A model is a class: its settings are `Setting`s in the class body, what it does are methods marked `query` and
`command`. Time is the bench's clock: nothing sleeps here, what takes time leaves the rest of a message waiting.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from labneuro.clock import Clock
from labneuro.simulators.rack.parameters import Number
from labneuro.simulators.rack.replies import Format, scientific
from labneuro.simulators.rack.scpi import Commands, Handler, Program, ScpiError
from labneuro.simulators.rack.status import OPERATION_COMPLETE, REQUEST, Register, Status
from labneuro.simulators.rack.table import Setting, command, declare, query

_log = logging.getLogger(__name__)


class LineLostError(Exception):
    """The line to an instrument broke with a message under way: a transport ends the connection."""


class Session:
    """One client's connection: `output` is the response it hasn't read yet.

    reasons: the enabled bits of the status byte at the last look. requests_service: one has come up since the poll.
    """

    __slots__ = ("output", "reasons", "requests_service")

    def __init__(self) -> None:
        self.output = b""
        self.reasons = 0
        self.requests_service = False


class Instrument:
    """What all models have in common; a subclass is a model."""

    identity: ClassVar[str] = ""
    options: ClassVar[str] = "0"
    error_depth: ClassVar[int] = 10
    error_format: ClassVar[str] = '%d,"%s"'
    strict_path: ClassVar[bool] = False
    summaries: ClassVar[dict[str, int]] = {"OPERation": 7, "QUEStionable": 3}
    settings: ClassVar[tuple[Setting[Any], ...]] = ()
    """Settings that nothing in the model reads: kept, checked and answered."""

    number: ClassVar[Format] = staticmethod(scientific(6))
    """How this make writes a real number."""

    commands: ClassVar[Commands]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.commands = Commands(strict_path=cls.strict_path)
        declare(cls.commands, cls)
        for name in cls.summaries:
            _declare_register(cls.commands, name)

    def __init__(self, clock: Clock) -> None:
        """Switch the instrument on."""
        self.clock = clock
        self.changed: Callable[[], None] = _nobody_listens
        """Called after whatever this instrument puts out has changed."""
        self.power_on()

    def power_on(self) -> None:
        """Start as after a power failure: everything is lost, and the status says so."""
        self.status = Status(self.error_depth, self.summaries)
        self._busy_until = -math.inf
        self._completion_asked = False
        self._resume_at: float | None = None
        self._waiting: deque[tuple[Session, Program, list[str]]] = deque()
        self.values: dict[tuple[str, tuple[int, ...]], Any] = {}
        self.reset()

    def reset(self) -> None:
        """Do as `*RST` says; a model with more than its settings adds to it."""
        self.values.clear()
        self._busy_until = -math.inf
        self._completion_asked = False

    def connect(self, session: Session) -> None:
        """Take up a new client's connection. Raises LineLostError if the instrument can't be reached."""
        return

    def handle(self, session: Session, message: bytes) -> None:
        """Execute a message; what it replies is in `session.output`, at once or after `proceed`. Never raises."""
        if session.output:
            session.output = b""
            self.status.report(ScpiError(-410))
        program = self.commands.programs.get(message) or self.commands.compile(message)
        if self._waiting:
            self._waiting.append((session, program, []))
            self.proceed()
        else:
            self._execute(session, program, [])

    def proceed(self) -> float:
        """Carry on with messages that had to wait; return the time on the clock from which more can be done.

        Infinity: nothing waits, and no `*OPC` is to be reported.
        """
        while self._waiting:
            if self._resume_at is not None:
                if self.clock.now() < self._resume_at:
                    return self._resume_at
                self._resume_at = None
            self._execute(*self._waiting.popleft())
        self._complete()
        return self._busy_until if self._completion_asked else math.inf

    def waits(self, session: Session) -> bool:
        """Whether a message of this session is still being executed."""
        return any(waiting[0] is session for waiting in self._waiting)

    def clear(self, session: Session) -> None:
        """Clear the session's buffers (a device clear), settings and status stay."""
        session.output = b""
        if self._waiting and self._waiting[0][0] is session:
            self._resume_at = None
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] is not session)

    def status_byte(self, session: Session) -> int:
        """Return the status byte as a serial poll gives it: bit 6 is this session's service request, which ends."""
        byte = self.look(session)
        requested, session.requests_service = session.requests_service, False
        return byte | REQUEST if requested else byte & ~REQUEST

    def look(self, session: Session) -> int:
        """Return the status byte, its summary in bit 6; an enabled bit that has come up requests service.

        A request lasts until the poll, or until no reason for it is left.
        """
        self._complete()
        byte = self.status.byte(message_available=bool(session.output))
        reasons = byte & self.status.request_enable
        new = reasons & ~session.reasons
        session.requests_service = bool(new or (reasons and session.requests_service))
        session.reasons = reasons
        return byte

    def _execute(self, session: Session, program: Program, replies: list[str]) -> None:
        calls, failure = program
        status = self.status
        remaining = iter(calls)
        for handler, suffixes, parameters in remaining:
            try:
                reply = handler(self, suffixes, parameters)
                if reply is not None:
                    replies.append(reply)
            except ScpiError as error:
                status.report(error)
                if -200 < error.code < 0:  # a command error discards the rest of its message
                    failure = None
                    break
            except Exception:  # noqa: BLE001  whatever stands behind the ports, the wire has its own way to say it
                _log.exception("%s failed", self.identity)
                status.report(ScpiError(-310))
            if status.request_enable:
                self.look(session)
            if self._resume_at is not None:
                self._waiting.appendleft((session, (tuple(remaining), failure), replies))
                return
        if failure:
            status.report(failure)
        if replies:
            text = replies[0] if len(replies) == 1 else ";".join(replies)
            session.output = (text + "\n").encode("latin-1")
        if status.request_enable:
            self.look(session)

    def wait(self, seconds: float) -> None:
        """Let the message that is being executed, and all after it, wait: for a command that takes time."""
        if seconds > 0:
            self._resume_at = self.clock.now() + seconds

    def overlap(self, seconds: float) -> None:
        """Be busy for so long while commands go on; `*WAI`, `*OPC` and `*OPC?` wait for it."""
        self._busy_until = max(self._busy_until, self.clock.now() + seconds)

    def wait_until_idle(self) -> None:
        """Let all after this command wait until overlapped operations have ended."""
        self.wait(self._busy_until - self.clock.now())

    @property
    def busy(self) -> bool:
        """Whether an overlapped operation goes on."""
        return self.clock.now() < self._busy_until

    def abort(self) -> None:
        """End overlapped operations."""
        self._busy_until = -math.inf

    def reply(self, value: object) -> str | None:
        """Write what a query returns in the make's format."""
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool | int):
            return self.whole(value)
        if isinstance(value, float):
            return type(self).number(value)
        raise TypeError(f"{self.identity}: a query returned {type(value).__name__}")

    def whole(self, value: float) -> str:
        """Write an integer."""
        return str(int(value)) if abs(value) < 9e37 else type(self).number(value)

    def error_reply(self, error: tuple[int, str]) -> str:
        """Write an entry of the error queue."""
        return self.error_format % error

    def _complete(self) -> None:
        if self._completion_asked and not self.busy:
            self._completion_asked = False
            self.status.events |= OPERATION_COMPLETE

    @query("*IDN", indefinite=True)
    def identify(self) -> str:
        """Return maker, model, serial number, firmware."""
        return self.identity

    @query("*OPT", indefinite=True)
    def list_options(self) -> str:
        """Return the options installed."""
        return self.options

    @query("*TST")
    def test(self) -> int:
        """Pass the self test."""
        return 0

    @command("*RST")
    def _reset(self) -> None:
        self.reset()

    @command("*CLS")
    def _clear_status(self) -> None:
        self._completion_asked = False
        self.status.clear()

    @command("*TRG")
    def trigger(self) -> None:
        """Do as the trigger model says; without one there is nothing to trigger."""
        raise ScpiError(-211)

    @command("*OPC")
    def _tell_completion(self) -> None:
        self._completion_asked = True
        self._complete()

    @query("*OPC")
    def _await_completion(self) -> int:
        self.wait_until_idle()
        return 1

    @command("*WAI")
    def _await(self) -> None:
        self.wait_until_idle()

    @query("*ESR")
    def _events(self) -> int:
        self._complete()
        return self.status.take_events()

    @query("*STB")
    def _status(self) -> int:
        self._complete()
        return self.status.byte(message_available=False)

    @query("*ESE")
    def _event_enable(self) -> int:
        return self.status.event_enable

    @command("*ESE", takes=[Number(0, 0, 255, whole=True)])
    def _enable_events(self, bits: float) -> None:
        self.status.event_enable = int(bits)

    @query("*SRE")
    def _request_enable(self) -> int:
        return self.status.request_enable

    @command("*SRE", takes=[Number(0, 0, 255, whole=True)])
    def _enable_request(self, bits: float) -> None:
        self.status.request_enable = int(bits) & ~64

    @query(":SYSTem:ERRor[:NEXT]")
    def _error(self) -> str:
        return self.error_reply(self.status.next_error())

    @query(":SYSTem:ERRor:COUNt")
    def _error_count(self) -> int:
        return len(self.status.errors)

    @query(":SYSTem:ERRor:ALL")
    def _all_errors(self) -> str:
        errors = [self.status.next_error() for _ in range(max(1, len(self.status.errors)))]
        return ",".join(map(self.error_reply, errors))

    @query(":SYSTem:ERRor:CODE[:NEXT]")
    def _error_code(self) -> int:
        return self.status.next_error()[0]

    @query(":SYSTem:ERRor:CODE:ALL")
    def _all_error_codes(self) -> str:
        return ",".join(str(self.status.next_error()[0]) for _ in range(max(1, len(self.status.errors))))

    @query(":SYSTem:VERSion")
    def _version(self) -> str:
        return "1999.0"

    @command(":STATus:PRESet")
    def _preset(self) -> None:
        for register in self.status.registers.values():
            register.preset()


def _nobody_listens() -> None:
    return


def _declare_register(commands: Commands, name: str) -> None:
    """Add the commands of one SCPI register."""
    bits = Number(0, 0, 0xFFFF, whole=True)

    def reading(take: Callable[[Register], int]) -> Handler:
        def handle(instrument: Instrument, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> str:
            if parameters:
                raise ScpiError(-108)
            return str(take(instrument.status.registers[name]))

        return handle

    def writing(attribute: str) -> Handler:
        def handle(instrument: Instrument, suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> None:
            if len(parameters) != 1:
                raise ScpiError(-108 if parameters else -109)
            mask = int(bits.read(parameters[0], instrument)) & 0x7FFF
            setattr(instrument.status.registers[name], attribute, mask)

        return handle

    commands.add(f":STATus:{name}[:EVENt]?", reading(Register.take))
    commands.add(f":STATus:{name}:CONDition?", reading(lambda register: register.condition))
    for header, attribute in (("ENABle", "enable"), ("PTRansition", "rising"), ("NTRansition", "falling")):
        commands.add(f":STATus:{name}:{header}?", reading(lambda register, a=attribute: getattr(register, a)))
        commands.add(f":STATus:{name}:{header}", writing(attribute))
