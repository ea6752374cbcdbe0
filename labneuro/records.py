"""Records: what a protocol yields, checked against the first of its type and taken apart into values.

A record is a frozen dataclass of numbers, text and arrays; each of its fields becomes a dataset of the run file,
whose first axis is the record.
"""

import re
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from labneuro.entries import Declared, Yielded
from labneuro.units import Unit

STEPS = "steps"
"""The table of the steps; records of any other type lie in a table named after it."""

NUMBER = "step"
"""What numbers the steps, from 1, unless a field of theirs has this name."""

_SCALARS: dict[Any, type[Any]] = {float: float, int: int, bool: bool}


class RecordError(ValueError):
    """A protocol yielded something that a run file can't hold."""


def table_name(kind: type) -> str:
    """Return the name of the table for records of a type: StateMap lies in state_map."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


class Records:
    """The types of records that a protocol yields.

    step_type: the dataclass whose records are the steps (None: the first that comes).
    """

    def __init__(self, step_type: type | None = None) -> None:
        self._step_type = step_type
        self._schemas: dict[str, _Schema] = {}

    def taken_apart(self, record: object) -> list[Declared | Yielded]:
        """Return the entries that record `record`: its values and, before the first of a type, that type.

        Raises RecordError if it is no dataclass, can't be stored, or isn't like the first of its type.
        """
        if not is_dataclass(record) or isinstance(record, type):
            raise RecordError(f"a protocol yielded {record!r:.60}: wrap what it records in a dataclass")
        kind = type(record)
        self._step_type = self._step_type or kind
        table = STEPS if kind is self._step_type else table_name(kind)
        if table in RESERVED and kind is not self._step_type:
            raise RecordError(f"/entry/{table} is taken: rename {kind.__name__}, whose records would lie there")
        schema = self._schemas.get(table)
        if schema is not None:
            return [Yielded(table, schema.values(record))]
        schema = _Schema(kind)
        entries = [Declared(table, kind.__name__, schema.fields), Yielded(table, schema.values(record))]
        self._schemas[table] = schema
        return entries


RESERVED = frozenset({STEPS, "protocol", "parameters", "bench", "provenance", "events", "journal"}) | {
    "title", "start_time", "end_time", "state", "note"
}  # fmt: skip
"""Members of /entry that are no records."""


class _Schema:
    """Names, types and shapes of the records of one type."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        hints = get_type_hints(kind, include_extras=True)
        self._scalars = {field.name: _SCALARS.get(_split(hints[field.name])[0]) for field in fields(kind)}
        self.fields: list[list[Any]] = [
            [name, unit_of(hints[name]), "" if scalar is None else scalar.__name__]
            for name, scalar in self._scalars.items()
        ]
        self._first: dict[str, NDArray[Any]] = {}
        self._floats: set[str] = set()  # fields that are one float

    def values(self, record: object) -> dict[str, Any]:
        """Return the values of `record` by field: numbers, text and arrays. Raises RecordError."""
        if type(record) is not self._kind:
            raise RecordError(f"two types of record are called {self._kind.__name__}: rename one")
        found: dict[str, Any] = {}
        for name, scalar in self._scalars.items():
            value = getattr(record, name)
            known = type(value) is float and name in self._floats
            found[name] = value if known else self._settled(name, scalar, value)
        return found

    def _settled(self, name: str, scalar: type[Any] | None, value: object) -> Any:
        array = self._array(name, value)
        if scalar is not None and np.can_cast(array.dtype, scalar, "safe"):
            array = array.astype(scalar)
        first = self._first.setdefault(name, array)
        text = array.dtype.kind == first.dtype.kind == "U"
        if array.shape != first.shape or not (text or np.can_cast(array.dtype, first.dtype, "safe")):
            raise RecordError(
                f"{self._where(name)} was {_kind(first)} of shape {first.shape} at first and is "
                f"{_kind(array)} of shape {array.shape} now: a field keeps its type and shape"
            )
        if array.ndim:
            return array
        if scalar is float and first.dtype == np.float64:
            self._floats.add(name)
        if type(value) is str:
            return value
        return array.item() if text or scalar is not None else array[()]

    def _array(self, name: str, value: object) -> NDArray[Any]:
        try:
            array: NDArray[Any] = np.asarray(value)
        except ValueError:  # rows of different lengths
            array = np.empty((), object)
        if array.dtype.kind not in "biufcU" or np.ma.isMaskedArray(value):
            raise RecordError(f"{self._where(name)} is a {type(value).__name__}: yield numbers, text or arrays of them")
        return array

    def _where(self, name: str) -> str:
        return f"field {name!r} of {self._kind.__name__}"


def unit_of(hint: Any) -> str | None:
    """Return the unit of an annotation, None where it names none."""
    return next((item.symbol for item in _split(hint)[1] if isinstance(item, Unit)), None)


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type and the metadata of an annotation."""
    return (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())


def _kind(array: NDArray[Any]) -> str:
    return "text" if array.dtype.kind == "U" else str(cast("Any", array.dtype))
