"""Faults of an instrument and of the line to it, by chance and on schedule: what a driver must survive.

A fault meets a message. Which one meets message n, counted from 1 over all clients of the instrument, depends on the
seed and on n alone, not on time or on other instruments. What takes time, takes it on the bench's clock.
"""

import logging
import math
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import accumulate
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from labneuro.parameters import ParameterError, suggestion
from labneuro.simulators.rack.instrument import Instrument, LineLostError, Session
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.sources import Source
from labneuro.units import Duration

STRANGER = "HEWLETT-PACKARD,34401A,0,11-5-2"
"""What `*IDN?` answers where another instrument has taken the address."""

OPEN = 1e12
"""Resistance of a contact that is gone, ohm."""

COMPLAINTS = (-113, -221, -222, -310, -350)
"""Errors of which one comes into the queue out of the blue."""

_BLOCK = 1024
_log = logging.getLogger(__name__)

Rate = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong with one instrument: how often, as the probability for each message, or `at` which.

    In a file, `at = { 120 = "power_cycle", 300 = "disconnect" }`.

    Args:
        seed: of chance; two instruments with the same one meet the same faults
        lost_message: the message never arrives
        lost_reply: it is executed, the reply never arrives
        late_reply: the reply takes `lasting`
        split_reply: the first bytes of the reply come at once, the rest takes `lasting`
        cut_reply: only the first bytes of the reply come
        disconnect: the line is lost with the message, for `lasting`; settings stay
        power_cycle: the instrument has been off just before the message: outputs are off, settings and status lost
        error: an entry comes into the error queue out of the blue
        contact: what a source drives has no contact for `lasting`: it runs into its limit
        overload: what a meter or an analyzer reads is too much for it, for `lasting`
        busy: the message and all after it wait for `lasting`, as in a self-calibration
        identity: `*IDN?` answers as another model, for `lasting`
        panel: someone has done at the front panel what a message of `by_hand` says
        lasting: time that a fault takes or lasts; longer than the client's time-out
        by_hand: what is done at the front panel, each as it would be sent
        settling: time constant with which the output of a source follows; 0 for at once
        glitch: spike into the device when a source changes range with its output on, as a part of that change
        at: faults on schedule, by the number of the message

    """

    seed: Annotated[int, Ge(0)] = 0
    lost_message: Rate = 0.0
    lost_reply: Rate = 0.0
    late_reply: Rate = 0.0
    split_reply: Rate = 0.0
    cut_reply: Rate = 0.0
    disconnect: Rate = 0.0
    power_cycle: Rate = 0.0
    error: Rate = 0.0
    contact: Rate = 0.0
    overload: Rate = 0.0
    busy: Rate = 0.0
    identity: Rate = 0.0
    panel: Rate = 0.0
    lasting: Annotated[Duration, Gt(0)] = 5.0
    by_hand: tuple[str, ...] = ("*RST",)
    settling: Annotated[Duration, Ge(0)] = 0.0
    glitch: Annotated[float, Ge(0)] = 0.0
    at: Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        """Raise ParameterError if the rates add up to more than 1, or `at` has what is no fault."""
        total = math.fsum(self.rates)
        if not total <= 1 + 1e-9:
            raise ParameterError(KINDS[0], f"this and the rates after it add up to {total:g}: give 1 or less together")
        for number, name in (self.at or {}).items():
            if name not in KINDS:
                raise ParameterError("at", f"{name!r} is no fault; {suggestion(name, KINDS)}")
            if number < 1:
                raise ParameterError("at", f"there is no message {number}: they count from 1")
        if not self.by_hand:
            raise ParameterError("by_hand", 'nothing is done: give at least one message, such as "*RST"')

    @property
    def rates(self) -> tuple[float, ...]:
        """The probability of each of `KINDS`."""
        return tuple(getattr(self, name) for name in KINDS)


KINDS = tuple(field.name for field in fields(Faults) if field.type is Rate)
"""The faults that meet a message."""

_OR_NONE = (*KINDS, "")


@lru_cache(maxsize=256)
def _chances(seed: int, block: int) -> list[list[float]]:
    """Return two random numbers from 0 to 1 for each message of a block."""
    return np.random.default_rng((seed, block)).random((_BLOCK, 2)).tolist()


class Faulty:
    """An instrument with faults. Transports and wiring take it for the instrument: its ports are that one's."""

    def __init__(self, instrument: Instrument, faults: Faults) -> None:
        self._instrument = instrument
        self._faults = faults
        self._thresholds = list(accumulate(faults.rates))
        self._count = 0
        self._own_identity = instrument.identity
        self._until: dict[str, float] = {}
        self._held: deque[tuple[Session, bytes]] = deque()
        self._spoilt: dict[Session, tuple[str, float]] = {}
        self._late: dict[Session, tuple[float, bytes]] = {}
        for port in ("resistance", "input"):
            if hasattr(instrument, port):
                setattr(self, port, getattr(instrument, port))
        self.settling, self.glitch = faults.settling, faults.glitch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instrument, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        if name == "resistance":
            value = self._contacted(value)
        elif name == "input":
            value = self._overloaded(value)
        setattr(self._instrument, name, value)

    def connect(self, session: Session) -> None:
        """Take up a new client's connection. Raises LineLostError while the line is lost."""
        self._reach(session)
        self._instrument.connect(session)

    def handle(self, session: Session, message: bytes) -> None:
        """Execute a message, unless a fault meets it. Raises LineLostError if it is lost with the line."""
        self._count += 1
        fault, extent = self._draw()
        self._reach(session)
        if self._late.pop(session, None):
            self._instrument.status.report(ScpiError(-410))
        match fault:
            case "lost_message":
                return
            case "disconnect":
                self._begin(fault)
                self._reach(session)
            case "power_cycle":
                session.output = b""
                self._held.clear()
                self._spoilt.clear()
                self._late.clear()
                with self._answering_for_failures():
                    self._instrument.power_on()
            case "error":
                self._instrument.status.report(ScpiError(COMPLAINTS[int(extent * len(COMPLAINTS))]))
            case "contact":
                self._begin(fault)
                self._look(changed=True)
            case "overload" | "busy" | "identity":
                self._begin(fault)
            case "panel":
                hands = self._faults.by_hand
                self._instrument.handle(Session(), hands[int(extent * len(hands))].encode())
            case "lost_reply" | "late_reply" | "split_reply" | "cut_reply":
                self._spoilt[session] = (fault, extent)
            case _:
                pass
        self._held.append((session, message))
        self.proceed()

    def proceed(self) -> float:
        """Carry on; return the time on the clock from which more can be done, infinity if nothing waits."""
        self._pass_time()
        if self._has("busy"):
            ready = self._until["busy"]
        else:
            self._instrument.identity = STRANGER if self._has("identity") else self._own_identity  # type: ignore[misc]
            while self._held:
                self._instrument.handle(*self._held.popleft())
            ready = self._instrument.proceed()
        self._spoil_replies()
        now = self._instrument.clock.now()
        for session, (due, rest) in list(self._late.items()):
            if due <= now:
                del self._late[session]
                session.output += rest
        return min([ready, *(due for due, _ in self._late.values())])

    def waits(self, session: Session) -> bool:
        """Whether a reply to this session, or the rest of one, may still come."""
        held = any(waiting is session for waiting, _ in self._held)
        return held or session in self._late or self._instrument.waits(session)

    def clear(self, session: Session) -> None:
        """Clear the session's buffers."""
        self._late.pop(session, None)
        self._spoilt.pop(session, None)
        self._held = deque(waiting for waiting in self._held if waiting[0] is not session)
        self._instrument.clear(session)

    def _draw(self) -> tuple[str, float]:
        """Return the fault that meets this message, "" for none, and a random number from 0 to 1 for its extent."""
        block, place = divmod(self._count - 1, _BLOCK)
        chance, extent = _chances(self._faults.seed, block)[place]
        name = (self._faults.at or {}).get(self._count)
        if name is None:
            name = _OR_NONE[bisect(self._thresholds, chance)]
        return name, extent

    def _begin(self, fault: str) -> None:
        self._until[fault] = self._instrument.clock.now() + self._faults.lasting

    def _has(self, fault: str) -> bool:
        return self._instrument.clock.now() < self._until.get(fault, -math.inf)

    def _pass_time(self) -> None:
        """Let end what has lasted long enough, and the terminals of a source follow up to now."""
        over = [fault for fault in self._until if not self._has(fault)]
        for fault in over:
            del self._until[fault]
        if "contact" in over:
            self._look(changed=True)
        if self._faults.settling:
            self._look()

    def _reach(self, session: Session) -> None:
        self._pass_time()
        if self._has("disconnect"):
            self.clear(session)
            raise LineLostError(self._own_identity)

    def _spoil_replies(self) -> None:
        for session, (fault, extent) in list(self._spoilt.items()):
            reply = session.output
            if not reply:
                if not self.waits(session):
                    del self._spoilt[session]
                continue
            del self._spoilt[session]
            kept = 1 + int(extent * (len(reply) - 1)) if fault in {"split_reply", "cut_reply"} else 0
            session.output = reply[:kept]
            if fault in {"split_reply", "late_reply"}:
                self._late[session] = self._instrument.clock.now() + self._faults.lasting, reply[kept:]

    def _contacted(self, resistance: Callable[[], float]) -> Callable[[], float]:
        return lambda: OPEN if self._has("contact") else resistance()

    def _overloaded(self, port: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the port with what is too much: for a sweep, at each of its points."""

        def read(asked: Any) -> Any:
            if not self._has("overload"):
                return port(asked)
            return np.full(asked.points, math.inf) if hasattr(asked, "points") else math.inf

        return read

    def _look(self, *, changed: bool = False) -> None:
        """Let a source see what stands at its terminals, and who listens hear if that has changed."""
        with self._answering_for_failures():
            if isinstance(self._instrument, Source):
                self._instrument.terminals()
            if changed:
                self._instrument.changed()

    @contextmanager
    def _answering_for_failures(self) -> Iterator[None]:
        """Let what fails behind the ports be a system error of the instrument, as it is within its messages."""
        try:
            yield
        except Exception:  # noqa: BLE001  whatever stands behind the ports
            _log.exception("%s failed", self._own_identity)
            self._instrument.status.report(ScpiError(-310))
