"""A record is taken apart into values that all have the type and shape of the first."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labneuro.entries import Declared, Yielded
from labneuro.records import RecordError, Records, table_name
from labneuro.units import Current, Unit
from labneuro.values import pack


@dataclass(frozen=True)
class LessonStep:
    """A step with one field of every kind."""

    current: Current
    density: Annotated[NDArray[np.float64], Unit("W/Hz")]
    errors: int
    settled: bool
    word: str
    anything: Any


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Anything:
    value: Any


@dataclass(frozen=True)
class StateMap:
    states: NDArray[np.int8]


def values(records: Records, record: object) -> dict[str, Any]:
    entry = records.taken_apart(record)[-1]
    assert isinstance(entry, Yielded)
    return entry.values


def test_a_record_becomes_its_type_and_then_its_values() -> None:
    records = Records(LessonStep)
    density = np.ones((2, 3), order="F")
    declared, yielded = records.taken_apart(LessonStep(1e-3, density, 3, np.True_, "é\0", np.int8(1)))  # type: ignore[arg-type]
    assert declared == Declared(
        "steps",
        "LessonStep",
        [
            ["current", "A", "float"], ["density", "W/Hz", ""], ["errors", None, "int"],
            ["settled", None, "bool"], ["word", None, ""], ["anything", None, ""],
        ],
    )  # fmt: skip
    expected = {
        "current": 1e-3,
        "density": density,
        "errors": 3,
        "settled": True,
        "word": "é\0",
        "anything": np.int8(1),
    }
    assert isinstance(yielded, Yielded)
    assert pack(yielded.values) == pack(expected)
    (again,) = records.taken_apart(LessonStep(np.float32(0.5), density, np.int16(4), False, np.str_("b"), np.int8(2)))  # type: ignore[arg-type]
    expected = {"current": 0.5, "density": density, "errors": 4, "settled": False, "word": "b", "anything": np.int8(2)}
    assert pack(again.values) == pack(expected)


def test_steps_are_of_the_declared_type_and_all_else_has_a_table_of_its_own() -> None:
    records = Records(Number)
    assert [entry.table for entry in records.taken_apart(StateMap(np.zeros(2, np.int8)))] == ["state_map"] * 2
    assert [entry.table for entry in records.taken_apart(Number(1.0))] == ["steps"] * 2
    assert [entry.table for entry in records.taken_apart(Number(2.0))] == ["steps"]
    assert [entry.table for entry in Records().taken_apart(StateMap(np.zeros(2, np.int8)))] == ["steps"] * 2


@pytest.mark.parametrize(("name", "table"), [("StateMap", "state_map"), ("IVCurve", "iv_curve"), ("Map2D", "map2_d")])
def test_a_table_is_called_after_its_type(name: str, table: str) -> None:
    assert table_name(type(name, (), {})) == table


CURVE = np.zeros(3)


@pytest.mark.parametrize(
    ("kind", "first", "then", "words"),
    [
        (Number, 1.0, CURVE, r"was float64 of shape \(\) at first and is float64 of shape \(3,\) now"),
        (Number, CURVE, 1.0, r"was float64 of shape \(3,\) at first and is float64 of shape \(\) now"),
        (Number, 1.0, "x", r"is text of shape \(\) now"),
        (Number, 1.0, 1j, "is complex128"),
        (Anything, 1.0, CURVE, r"is float64 of shape \(3,\)"),
        (Anything, np.zeros((3, 2), np.int8), np.zeros((2, 3), np.int8), r"was int8 of shape \(3, 2\).*\(2, 3\)"),
        (Anything, np.zeros(2, np.int8), np.zeros(2), "was int8.*is float64"),
        (Anything, "a", 1, "was text.*is int64"),
    ],
)
def test_a_field_that_changes_is_refused_by_name(kind: Any, first: object, then: object, words: str) -> None:
    records = Records()
    before = values(records, kind(first))
    with pytest.raises(RecordError, match=f"field 'value' of {kind.__name__} .*{words}"):
        records.taken_apart(kind(then))
    assert pack(values(records, kind(first))) == pack(before)


def test_a_number_that_fits_the_first_is_kept_as_it_is() -> None:
    records = Records()
    assert [values(records, Number(value))["value"] for value in (1, 2.5, np.float32(0.5))] == [1.0, 2.5, 0.5]
    records = Records()
    records.taken_apart(Anything(np.zeros(2)))
    assert values(records, Anything(np.ones(2, np.int8)))["value"].dtype == np.int8


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1}, None, [[1], [1, 2]], object(), b"raw", 2**70, np.datetime64(0, "s"),
        np.ma.masked_array([1.0, 2.0], [True, False]), np.zeros(2, [("a", "f8")]),
    ],
)  # fmt: skip
def test_what_a_file_cannot_hold_is_refused_by_name(value: object) -> None:
    with pytest.raises(RecordError, match=r"field 'value' of Anything is a .*: yield numbers, text or arrays"):
        Records().taken_apart(Anything(value))


@pytest.mark.parametrize("record", [3, Anything, {"value": 1}, None])
def test_only_dataclasses_are_records(record: object) -> None:
    with pytest.raises(RecordError, match="wrap what it records in a dataclass"):
        Records().taken_apart(record)


def test_a_type_is_declared_with_its_first_good_record() -> None:
    records = Records(Anything)
    with pytest.raises(RecordError):
        records.taken_apart(Anything(None))
    assert [type(entry) for entry in records.taken_apart(Anything(1))] == [Declared, Yielded]


@pytest.mark.parametrize("name", ["Steps", "Bench", "Provenance", "Title", "Journal", "Events"])
def test_a_record_cannot_hide_what_the_file_says_about_itself(name: str) -> None:
    impostor = dataclass(frozen=True)(type(name, (), {"__annotations__": {"x": int}}))
    for records in (Records(Number), Records(Number)):
        with pytest.raises(RecordError, match=f"is taken: rename {name}"):
            records.taken_apart(impostor(1))
        records.taken_apart(Number(1.0))


def test_two_types_of_one_name_are_refused() -> None:
    records = Records(Number)
    twin = dataclass(frozen=True)(type("StateMap", (), {"__annotations__": {"states": int}}))
    records.taken_apart(StateMap(np.zeros(2, np.int8)))
    with pytest.raises(RecordError, match="two types of record are called StateMap"):
        records.taken_apart(twin(1))
