"""What an instrument says about itself: the error queue and the status registers of IEEE 488.2 and SCPI-99."""

from collections import deque
from dataclasses import dataclass

from labneuro.simulators.rack.scpi import ERRORS, ScpiError

OPERATION_COMPLETE = 1
QUERY_ERROR = 4
DEVICE_ERROR = 8
EXECUTION_ERROR = 16
COMMAND_ERROR = 32
POWER_ON = 128

ERROR_AVAILABLE = 4
MESSAGE_AVAILABLE = 16
EVENT_SUMMARY = 32
REQUEST = 64


@dataclass
class Register:
    """A SCPI register set: a condition, the transitions that make events of it, and which events are summed up."""

    condition: int = 0
    rising: int = 0x7FFF
    falling: int = 0
    event: int = 0
    enable: int = 0

    def become(self, condition: int) -> None:
        """Let the condition change."""
        changed = condition ^ self.condition
        self.event |= changed & (condition & self.rising | self.condition & self.falling)
        self.condition = condition

    def switch(self, bits: int, on: bool) -> None:
        """Set or clear `bits` of the condition."""
        self.become(self.condition | bits if on else self.condition & ~bits)

    def take(self) -> int:
        """Return the events and forget them."""
        event, self.event = self.event, 0
        return event

    def preset(self) -> None:
        """Do as STATus:PRESet says: rising transitions only, nothing enabled."""
        self.rising, self.falling, self.enable = 0x7FFF, 0, 0


class Status:
    """The registers of one instrument and its error queue of `depth` entries."""

    def __init__(self, depth: int, summaries: dict[str, int]) -> None:
        """summaries: the SCPI registers by name, with the bit of the status byte in which each is summed up."""
        self.events = POWER_ON
        self.event_enable = 0
        self.request_enable = 0
        self.registers = {name: Register() for name in summaries}
        self._summaries = summaries
        self._depth = depth
        self.errors: deque[tuple[int, str]] = deque()

    def report(self, error: ScpiError) -> None:
        """Queue an error; when the queue is full the newest entry becomes -350. Sets the bit of its class."""
        if len(self.errors) < self._depth:
            self.errors.append((error.code, error.text))
        else:
            self.errors[-1] = (-350, ERRORS[-350])
        if error.code <= -400:
            self.events |= QUERY_ERROR
        elif error.code <= -300 or error.code > 0:
            self.events |= DEVICE_ERROR
        else:
            self.events |= EXECUTION_ERROR if error.code <= -200 else COMMAND_ERROR

    def next_error(self) -> tuple[int, str]:
        """Return the oldest error and forget it; (0, "No error") if there is none."""
        return self.errors.popleft() if self.errors else (0, "No error")

    def take_events(self) -> int:
        """Return the standard event register and clear it."""
        events, self.events = self.events, 0
        return events

    def byte(self, *, message_available: bool) -> int:
        """Return the status byte with its summary in bit 6."""
        byte = sum(
            1 << bit
            for name, bit in self._summaries.items()
            if self.registers[name].event & self.registers[name].enable
        )
        byte |= ERROR_AVAILABLE if self.errors else 0
        byte |= MESSAGE_AVAILABLE if message_available else 0
        byte |= EVENT_SUMMARY if self.events & self.event_enable else 0
        return byte | REQUEST if byte & self.request_enable & ~REQUEST else byte

    def clear(self) -> None:
        """Do as `*CLS` says: events and errors are gone, what is enabled stays."""
        self.events = 0
        self.errors.clear()
        for register in self.registers.values():
            register.event = 0
