"""What direct sources have in common: a level, a limit, what stands at the terminals, and the spike of a new range."""

import math
from collections.abc import Callable

from labneuro.clock import Clock
from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.table import Setting

Terminals = tuple[float, float, bool]
"""Voltage, V, and current, A, at the terminals, and whether the limit holds the output back."""


class Source(Instrument):
    """A source of direct voltage or current.

    Ports: `voltage`, V, and `current`, A, at the terminals, 0 while the output is off; `limited`: whether the limit
    holds it back; `resistance` of what it drives, ohm; `surge`, called with the peak, A, of a short spike through that.
    """

    output: Setting[bool]

    glitch = 0.0
    """Spike when the source range changes while the output is on, as a part of that change."""

    settling = 0.0
    """Time constant with which the terminals follow, s: from one look at them to the next, so look before a change."""

    def __init__(self, clock: Clock) -> None:
        self.resistance: Callable[[], float] = lambda: 50.0
        self.surge: Callable[[float], None] = lambda peak: None
        self._seen = (clock.now(), 0.0, 0.0)
        super().__init__(clock)

    def settled(self) -> Terminals:
        """Return what the terminals come to while the output is on."""
        raise NotImplementedError

    def terminals(self) -> Terminals:
        """Return what stands at the terminals now."""
        voltage, current, limited = self.settled() if self.output else (0.0, 0.0, False)
        now = self.clock.now()
        if self.output and self.settling:
            seen, old_voltage, old_current = self._seen
            left = math.exp((seen - now) / self.settling)
            voltage += (old_voltage - voltage) * left
            current += (old_current - current) * left
        self._seen = now, voltage, current
        return voltage, current, limited

    @property
    def voltage(self) -> float:
        """Voltage at the terminals, V."""
        return self.terminals()[0]

    @property
    def current(self) -> float:
        """Current through the terminals, A."""
        return self.terminals()[1]

    @property
    def limited(self) -> bool:
        """Whether the limit holds the output back."""
        return self.terminals()[2]

    def spike(self, old: float, new: float, *, by_voltage: bool) -> None:
        """Let the spike of a change from one range, V or A, to another out."""
        if self.output and self.glitch and new != old:
            peak = self.glitch * abs(new - old)
            if by_voltage:
                resistance = self.resistance()
                peak = peak / resistance if resistance else math.inf
            self.surge(peak)


def driven(level: float, limit: float, resistance: float, *, by_voltage: bool) -> Terminals:
    """Return the terminals of a source at `level`, V or A, that holds the other quantity within ±`limit`."""
    if by_voltage:
        if abs(level) > limit * resistance:
            current = math.copysign(limit, level)
            return current * resistance, current, True
        return level, level / resistance if resistance else 0.0, False
    if abs(level * resistance) > limit:
        voltage = math.copysign(limit, level)
        return voltage, voltage / resistance, True
    return level * resistance, level, False
