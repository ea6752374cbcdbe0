"""In what two runs differ: parameters, bench, parts, code and results, values bit by bit."""

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labneuro.progress import quantity
from labneuro.records import STEPS
from labneuro.store import RunFile

CODE = "Code"
"""The section that may differ between runs that are the same."""

_LONG = 12  # values in an array that is shown whole


class _Value(NamedTuple):
    value: Any
    unit: str = ""


def differences(first: RunFile, second: RunFile) -> dict[str, list[tuple[str, str]]]:
    """Return in what two runs differ, as labelled lines by section; a section without lines is identical.

    Values are identical if their types, shapes, bits and units are: 0 and -0 differ, NaN is like itself. Raises
    StoreError if a run can't be read.
    """
    runs = (first, second)
    bench = unified_diff(first.bench.splitlines(), second.bench.splitlines(), lineterm="")
    parameters = ({"protocol": _Value(run.protocol), **_values(run, "parameters", run.parameters)} for run in runs)
    return {
        "Parameters": _changes(*parameters),
        "Bench": [("", line) for line in bench][2:],
        "Parts": _changes(*({name: _Value(identity) for name, identity in run.parts.items()} for run in runs)),
        CODE: _changes(*({name: _Value(value) for name, value in _code(run).items()} for run in runs)),
        "Results": _results(first, second),
        "Last step": _changes(*(_values(run, STEPS, run.last()) for run in runs)),
    }


def _values(run: RunFile, group: str, values: Mapping[str, Any]) -> dict[str, _Value]:
    return {name: _Value(value, run.units.get(f"{group}/{name}", "")) for name, value in values.items()}


def _code(run: RunFile) -> dict[str, Any]:
    known = {"commit", "dirty"}
    return {name: value for name, value in run.provenance.items() if name in known or name.endswith("_version")}


def _results(first: RunFile, second: RunFile) -> list[tuple[str, str]]:
    """Return state and numbers of records where they differ, and of each table the first record and field that do."""
    tables = [{STEPS: run.steps, **run.records} for run in (first, second)]
    counts = ({name: _Value(fields.count) for name, fields in table.items()} for table in tables)
    lines = _changes({"state": _Value(first.state)}, {"state": _Value(second.state)}) + _changes(*counts)
    for table in (name for name in tables[0] if name in tables[1]):
        before, after = tables[0][table], tables[1][table]
        lines += [(table, f"only one has the field {name}") for name in sorted(set(before) ^ set(after))]
        found = {name: _first(before[name], after[name]) for name in before if name in after}
        places = {name: place for name, place in found.items() if place is not None}
        if places:
            name = min(places, key=lambda field: places[field])
            place = places[name]
            one = _values(first, table, {name: before[name][place]})[name]
            other = _values(second, table, {name: after[name][place]})[name]
            record = "step" if table == STEPS else table
            lines.append(("first difference", f"{record} {place + 1}: {name} {_both(one, other)}"))
        elif before.count != after.count:
            lines.append(("", f"the first {min(before.count, after.count)} are identical"))
    return lines


def _first(before: NDArray[Any], after: NDArray[Any]) -> int | None:
    """Return the first record, from 0, in which a field differs; None if there is none among those that both have."""
    count = min(len(before), len(after))
    unequal = _unequal(before[:count], after[:count])
    if not count or unequal is None:
        return 0 if count else None
    records = unequal.reshape(count, -1).any(axis=1)
    return int(records.argmax()) if records.any() else None


def _changes(first: Mapping[str, _Value], second: Mapping[str, _Value]) -> list[tuple[str, str]]:
    """Return the names of the values that differ, with both values."""
    lines: list[tuple[str, str]] = []
    for name in dict.fromkeys([*first, *second]):
        if name not in first or name not in second:
            one, other = (quantity(*side[name]) if name in side else "none" for side in (first, second))
            lines.append((name, f"{one} → {other}"))
            continue
        before, after = first[name], second[name]
        unequal = _unequal(before.value, after.value)
        if unequal is None or unequal.any() or before.unit != after.unit:
            lines.append((name, _both(before, after)))
    return lines


def _unequal(before: object, after: object) -> NDArray[np.bool_] | None:
    """Return which values of two arrays differ in their bits; None if their types or shapes do."""
    one, other = np.asarray(before), np.asarray(after)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return None
    if one.dtype.kind == "O":
        return np.asarray(one != other)
    one, other = (np.asarray(array, order="C")[..., None].view(np.uint8) for array in (one, other))
    return (one != other).any(axis=-1)


def _both(before: _Value, after: _Value) -> str:
    """Return two values that differ, in words that differ as well; of a long array the first value that does."""
    unequal = _unequal(before.value, after.value)
    if unequal is not None and (unequal.ndim > 1 or unequal.size > _LONG):
        place = tuple(map(int, np.unravel_index(unequal.argmax(), unequal.shape)))
        one, other = (_Value(np.asarray(side.value)[place], side.unit) for side in (before, after))
        return f"{list(place)} {_both(one, other)} ({unequal.sum()} of {unequal.size} values differ)"
    said = ((in_words(*before), in_words(*after)) for in_words in (quantity, _exactly, _bits))
    one, other = next((one, other) for one, other in said if one != other)
    return f"{one} → {other}"


def _exactly(value: object, unit: str) -> str:
    return f"{np.asarray(value).tolist()!r} {unit}".rstrip()


def _bits(value: object, unit: str) -> str:
    array = np.asarray(value)
    return f"{array.dtype} {array.tobytes().hex()} {unit}".rstrip()
