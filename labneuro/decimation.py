"""Tables that stay small however long a run is: every 2^k-th record is kept, and always the last.

When a table is full, every second row is dropped, and from then on only half as many records are kept. So what is there
spans the run evenly, at any time of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labneuro.entries import Declared
from labneuro.records import NUMBER, STEPS

ROWS = 4096
"""Most records kept in a table."""

BYTES = 2**24
"""Most bytes of a table; of very large records, two are kept all the same."""


class Table:
    """Records of one type, taken one after the other. first: values of the first of them, which is not taken by this.

    count: how many were taken. units: of the fields, "" where there is none.
    """

    def __init__(self, declared: Declared, first: Mapping[str, Any]) -> None:
        arrays = {name: np.asarray(value) for name, value in first.items()}
        size = sum(array.nbytes for array in arrays.values())
        self._room = min(ROWS, max(2, BYTES // max(1, size)))
        self._numbers = np.empty(self._room, np.int64)
        self._rows: dict[str, NDArray[Any]] = {
            name: np.empty((self._room, *array.shape), object if array.dtype.kind == "U" else array.dtype)
            for name, array in arrays.items()
        }
        self._numbered = declared.table == STEPS and NUMBER not in arrays
        units = {str(name): str(unit or "") for name, unit, _ in declared.fields}
        self.units = {name: units.get(name, "") for name in self}
        self.count = self._kept = 0
        self._stride = 1
        self._last: Mapping[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        yield from [NUMBER] * self._numbered
        yield from self._rows

    def take(self, values: Mapping[str, Any]) -> None:
        """Take the values of the next record."""
        self.count += 1
        self._last = values
        if self._kept == self._room and (self.count - 1) % self._stride == 0:
            self._thin()
        if (self.count - 1) % self._stride == 0:
            self._numbers[self._kept] = self.count
            for name, rows in self._rows.items():
                rows[self._kept] = values[name]
            self._kept += 1

    def columns(self) -> "Columns":
        """Return the table as it is now; it stays so."""
        return Columns(self, self.count, self._last)

    def column(self, name: str, count: int, last: Mapping[str, Any]) -> NDArray[Any]:
        """Return a field of those of the first `count` records that are kept, and of the `last` of them."""
        kept = int(np.searchsorted(self._numbers[: self._kept], count, "right"))
        numbered = name == NUMBER and self._numbered
        rows = (self._numbers if numbered else self._rows[name])[:kept]
        if not kept or self._numbers[kept - 1] == count:
            rows.flags.writeable = False
            return rows
        whole = np.empty((kept + 1, *rows.shape[1:]), rows.dtype)
        whole[:kept], whole[kept] = rows, count if numbered else last[name]
        return whole

    def _thin(self) -> None:
        """Drop every second row, in new arrays: those that were given out stay as they are."""
        self._numbers, *thinned = (_thinned(rows) for rows in (self._numbers, *self._rows.values()))
        self._rows = dict(zip(self._rows, thinned, strict=True))
        self._kept = (self._kept + 1) // 2
        self._stride *= 2


class Columns(Mapping[str, NDArray[Any]]):
    """The fields of one type of record as they stood when there were `count`: arrays whose first axis is the record.

    Every 2^k-th record is there, and the last; there are at most ROWS + 1. Steps have a field "step", their number from
    1. units: of the fields, "" where there is none.
    """

    def __init__(self, table: Table, count: int, last: Mapping[str, Any]) -> None:
        self.count = count
        self.units: Mapping[str, str] = table.units
        self._table = table
        self._last = last
        self._columns: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._table.column(name, self.count, self._last)
        return column

    def last(self) -> Mapping[str, Any]:
        """Return the values of the last record; empty if there is none."""
        return self._last

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self.units)


def _thinned(rows: NDArray[Any]) -> NDArray[Any]:
    thin = np.empty_like(rows)
    thin[: (len(rows) + 1) // 2] = rows[::2]
    return thin
