"""Switch matrices: relays that open before others close, and that are looked at after each move.

What reads back is what the electronics drive: they don't feel whether a contact has welded.
"""

# ruff: noqa: D102 - a method without a docstring means what its role says

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from labneuro.clock import Clock
from labneuro.instruments.scpi import SCPIInstrument
from labneuro.roles import SwitchMatrix
from labneuro.units import Duration


class RelayMatrix(SCPIInstrument, SwitchMatrix):
    """Matrix cards of a mainframe whose rows are joined; the columns of the first card come first."""

    RELAY: ClassVar[str]
    """Name of a relay."""
    OPEN_ALL: ClassVar[str]

    def __init__(
        self,
        clock: Clock,
        *,
        resource: str,
        rows: Annotated[int, Ge(1), Le(8)],
        columns: Annotated[int, Ge(1), Le(99)],
        slots: tuple[Annotated[int, Ge(1), Le(10)], ...] = (1,),
        settling: Annotated[Duration, Ge(0)] = 10e-3,
        visa_library: str = "",
        timeout: Annotated[Duration, Gt(0)] = 2.0,
    ) -> None:
        """Connect; no relay moves.

        Args:
            resource: VISA resource, such as "TCPIP::192.168.0.7::inst0::INSTR"
            rows: rows of a card
            columns: columns of a card
            slots: where the cards are, in the order of their columns
            settling: time that relays take to move and to come to rest
            visa_library: VISA library as PyVISA takes it, such as "@py"; default: what PyVISA finds
            timeout: longest time that an answer takes
        """
        if not slots or len(set(slots)) < len(slots):
            raise ValueError(f"slots: {slots} is not allowed: name each slot that has a card once")
        self._clock, self._settling = clock, settling
        places = [(slot, column) for slot in slots for column in range(1, columns + 1)]
        self._names = np.array(
            [[self.RELAY.format(slot=s, row=r, column=c) for s, c in places] for r in range(1, rows + 1)]
        )
        ends = zip(self._names[:, ::columns].flat, self._names[:, columns - 1 :: columns].flat, strict=True)
        self._question = f":ROUT:CLOS? (@{','.join(f'{first}:{last}' for first, last in ends)})"
        super().__init__(resource=resource, visa_library=visa_library, timeout=timeout)

    @property
    def closed(self) -> NDArray[np.bool_]:
        return self._told(self.ask_all(self._question))

    def set_closed(self, which: NDArray[np.bool_]) -> None:
        """Close the relays in `which`, (rows, columns), after all others have opened; those that stay don't move.

        Raises ValueError for a mask that doesn't fit, InstrumentError for a relay that reads back otherwise.
        """
        if which.shape != self._names.shape:
            raise ValueError(f"relays of shape {which.shape}: give shape {self._names.shape}")
        closed = self.closed
        self._move(":ROUT:OPEN", closed & ~which, closed & which)
        self._move(":ROUT:CLOS", which & ~closed, which)

    def make_safe(self) -> None:
        """Open all relays."""
        self._check(self._told(self.ask_all(self._question, first=self.OPEN_ALL, anyway=True)), np.False_)

    def _move(self, command: str, relays: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> None:
        if relays.any():
            named = ",".join(self._names[relays])
            self._check(self._told(self.ask_all(self._question, first=f"{command} (@{named})")), wanted)
            self._clock.sleep(self._settling)

    def _told(self, answers: list[str]) -> NDArray[np.bool_]:
        """Return which relays are closed, from the answer to the question for all."""
        states = [state.strip() for state in answers[0].split(",")]
        if len(states) != self._names.size or not {*states} <= {"0", "1"}:
            what = f"answered {answers[0][:60]!r} for {self._names.size} relays"
            raise self.error(f"{what}: check rows, columns and slots")
        return np.array(states).reshape(self._names.shape) == "1"

    def _check(self, closed: NDArray[np.bool_], wanted: NDArray[np.bool_] | np.bool_) -> None:
        wrong = closed != wanted
        if wrong.any():
            state = "closed" if closed[wrong][0] else "open"
            raise self.error(f"has moved its relays, and {self._names[wrong][0]} reads back {state}: look at its card")


class Keysight34980A(RelayMatrix):
    """Keysight (Agilent) 34980A with cards whose channels are row and column: 34931A to 34933A, 34934A as 8 x 64."""

    MODEL = r"34980A"
    RELAY = "{slot}{row}{column:02}"
    OPEN_ALL = ":ROUT:OPEN:ALL"


class Keithley7001(RelayMatrix):
    """Keithley 7001 or 7002 with matrix cards, such as the 7012 of 4 x 10."""

    MODEL = r"MODEL 700[12]\b"
    RELAY = "{slot}!{row}!{column}"
    OPEN_ALL = ":ROUT:OPEN ALL"
