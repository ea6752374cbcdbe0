"""Keysight 34980A and Keithley 7001 and 7002: mainframes full of matrix cards."""

import re
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labneuro.simulators.rack.instrument import Instrument
from labneuro.simulators.rack.keithley import Keithley
from labneuro.simulators.rack.parameters import Anything, Number, Omissible
from labneuro.simulators.rack.scpi import ScpiError
from labneuro.simulators.rack.table import command, query

_LIST = Anything()

Relays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Slots, rows and columns, from 0."""


class SwitchMatrix(Instrument):
    """Cards of relays, their rows joined. Port: `closed`, (rows, columns of all cards)."""

    card: ClassVar[tuple[int, int, int]]
    """Slots, rows and columns."""
    relay: ClassVar[re.Pattern[str]]
    """Slot, row and column in the name of a relay."""

    def power_on(self) -> None:
        """Start with all relays open."""
        self._closed = np.zeros(self.card, np.bool_)
        super().power_on()
        self.changed()

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Which relays are closed, those of the first card first."""
        slots, rows, columns = self.card
        return self._closed.swapaxes(0, 1).reshape(rows, slots * columns)

    @classmethod
    @lru_cache(4096)
    def named(cls, text: str) -> Relays:
        """Return the relays of a list, "(@1101,1203:1205)"; a range stays in its row. Raises ScpiError."""
        if not re.fullmatch(r"\(@[^()]+\)", text):
            raise ScpiError(-171, text)
        found: list[tuple[int, int, int]] = []
        for part in text[2:-1].split(","):
            first, *ends = [cls._place(name, text) for name in part.split(":")]
            last = ends[0] if ends else first
            if len(ends) > 1 or last[:2] != first[:2] or last < first:
                raise ScpiError(-222, text)
            found += [(*first[:2], column) for column in range(first[2], last[2] + 1)]
        slots, rows, columns = np.array(found).T
        return slots, rows, columns

    @classmethod
    def _place(cls, name: str, text: str) -> tuple[int, int, int]:
        match = cls.relay.fullmatch(name.strip())
        if match is None:
            raise ScpiError(-171, text)
        slot, row, column = (int(number) - 1 for number in match.groups())
        if not all(0 <= place < there for place, there in zip((slot, row, column), cls.card, strict=True)):
            raise ScpiError(-222, text)
        return slot, row, column

    def switch(self, relays: Relays, *, closed: bool) -> None:
        """Move relays."""
        self._closed = self._closed.copy()
        self._closed[relays] = closed
        self.changed()

    def open_all(self) -> None:
        """Open all relays."""
        self._closed = np.zeros(self.card, np.bool_)
        self.changed()

    @command("[:ROUTe]:CLOSe", takes=[_LIST])
    def close(self, text: str) -> None:
        """Close relays."""
        self.switch(self.named(text), closed=True)

    @query("[:ROUTe]:CLOSe", takes=[_LIST])
    def are_closed(self, text: str) -> str:
        """Return 1 for each relay that is closed, else 0."""
        return ",".join("1" if state else "0" for state in self._closed[self.named(text)])

    @query("[:ROUTe]:OPEN", takes=[_LIST])
    def are_open(self, text: str) -> str:
        """Return 1 for each relay that is open, else 0."""
        return ",".join("0" if state else "1" for state in self._closed[self.named(text)])


class Keysight34980A(SwitchMatrix):
    """The 34980A with eight 34932A; of their two matrices of 4 x 16, the first."""

    identity = "AGILENT TECHNOLOGIES,34980A,MY44001234,2.41-2.40-1.31-1.05"
    error_depth = 20
    error_format = '%+d,"%s"'
    card = (8, 4, 16)
    relay = re.compile(r"(\d)(\d)(\d\d)")

    def reset(self) -> None:
        """Return to the defaults, relays open."""
        super().reset()
        self.open_all()

    @command("[:ROUTe]:OPEN", takes=[_LIST])
    def open(self, text: str) -> None:
        """Open relays."""
        self.switch(self.named(text), closed=False)

    @command("[:ROUTe]:OPEN:ALL", takes=[Omissible(Number(1, 1, 8, whole=True))])
    def open_slot(self, slot: float = 0) -> None:
        """Open all relays, or those in one slot."""
        if not slot:
            return self.open_all()
        rows, columns = np.nonzero(self._closed[int(slot) - 1])
        return self.switch((np.full_like(rows, int(slot) - 1), rows, columns), closed=False)

    @query(":SYSTem:CTYPe", takes=[Number(1, 1, 8, whole=True)])
    def card_type(self, slot: float) -> str:
        """Return maker, model, serial number and firmware of the card in a slot."""
        return f"Agilent Technologies,34932A,MY4400{int(slot):04d},1.00"


class Keithley7002(SwitchMatrix, Keithley):
    """The 7002 with ten 7012-S of 4 x 10; a reset moves no relay."""

    identity = "KEITHLEY INSTRUMENTS INC.,MODEL 7002,0503327,A04  /A01"
    card = (10, 4, 10)
    relay = re.compile(r" *(\d+) *! *(\d+) *! *(\d+) *")

    @command("[:ROUTe]:OPEN", takes=[_LIST])
    def open(self, text: str) -> None:
        """Open relays, or ALL."""
        if text.upper() == "ALL":
            self.open_all()
        else:
            self.switch(self.named(text), closed=False)


class Keithley7001(Keithley7002):
    """The 7001, of two slots."""

    identity = "KEITHLEY INSTRUMENTS INC.,MODEL 7001,0503327,A04  /A01"
    card = (2, 4, 10)
