"""Tables stay small and span the run at any time of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labneuro import decimation
from labneuro.decimation import Table
from labneuro.entries import Declared

DECLARED = Declared("steps", "Step", [["bias", "A", "float"], ["word", None, ""], ["map", "S", ""]])


def values(number: int) -> dict[str, object]:
    return {"bias": 1e-3 * number, "word": f"w{number}", "map": np.full((2, 3), float(number))}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimation, "ROWS", 8)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 100), rows=st.integers(2, 9))
def test_every_2_to_the_kth_record_is_there_and_the_last(count: int, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimation, "ROWS", rows)
        table = Table(DECLARED, values(1))
    pictures = []
    for number in range(1, count + 1):
        table.take(values(number))
        pictures.append(table.columns())
    for number, columns in enumerate(pictures, 1):  # some are looked at long after they were taken
        there = columns["step"]
        assert columns.count == there[-1] == number
        assert len(there) <= rows + 1
        strides = np.diff(there[:-1])
        assert not strides.size or (len(set(strides)) == 1 and strides[0] & (strides[0] - 1) == 0)
        assert there[0] == 1
        np.testing.assert_array_equal(columns["bias"], 1e-3 * there)
        assert list(columns["word"]) == [f"w{k}" for k in there]
        np.testing.assert_array_equal(columns["map"][:, 1, 2], there)


def test_what_was_shown_stays_as_it_was(small: None) -> None:
    table = Table(DECLARED, values(1))
    shown = []
    for number in range(1, 101):
        table.take(values(number))
        columns = table.columns()
        shown.append((columns["bias"], columns["bias"].copy()))
    assert all(np.array_equal(array, before) for array, before in shown)


def test_records_that_are_large_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimation, "BYTES", 10 * 48)
    table = Table(Declared("map", "Map", []), {"map": np.zeros((2, 3))})
    for number in range(1000):
        table.take({"map": np.full((2, 3), float(number))})
    assert len(table.columns()["map"]) <= 11
    assert table.columns()["map"][-1, 0, 0] == 999


def test_steps_are_numbered_unless_they_have_numbers_of_their_own() -> None:
    table = Table(Declared("steps", "Step", []), {"step": 7.0})
    table.take({"step": 7.0})
    assert dict(table.columns()) == {"step": [7.0]}
    other = Table(Declared("vowel_set", "VowelSet", [["x", "Hz", "float"]]), {"x": 1.0})
    assert list(other) == ["x"]
    assert other.columns().units == {"x": "Hz"}
