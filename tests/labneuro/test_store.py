"""A run is read as it was recorded: its records in shape and with units, and what was known about it."""

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labneuro.entries import Left, Noted
from labneuro.journal import StoreError
from labneuro.recording import RunWriter
from labneuro.store import RunFile
from labneuro.units import Current, Currents, Fraction, Unit


@dataclass(frozen=True)
class LessonStep:
    """A step with one field of every kind."""

    currents: Currents
    train: Fraction
    held_out: Fraction
    bias: Current
    errors: int
    settled: bool
    word: str
    gain: float


@dataclass(frozen=True)
class StateMap:
    """Another type of record."""

    states: NDArray[np.int8]
    labels: NDArray[np.str_]


@dataclass(frozen=True)
class Anything:
    """A record whose field takes what it is given."""

    value: Any


def lesson(k: int) -> LessonStep:
    return LessonStep(np.arange(4.0) * 1e-3 + k, 0.1 * k, 0.05 * k, 1e-3 * k, k, k % 2 == 0, f"é{k}", 1)


HEAD: dict[str, Any] = {
    "protocol": "lesson",
    "doc": "Teach.",
    "parameters": {},
    "units": {},
    "bench": 'name = "desk"\n',
    "bench_name": "desk",
    "provenance": {},
}


def written(path: Path, *records: object, step_type: type | None = LessonStep, **changes: Any) -> RunFile:
    with RunWriter(path, HEAD | changes, step_type) as run:
        for record in records:
            run.append(record)
        run.finish("finished")
    return RunFile(path)


def test_records_come_back_as_they_were_yielded(tmp_path: Path) -> None:
    steps = [lesson(k) for k in range(5)]
    maps = [StateMap(np.full((3, 2), k, np.int8), np.array(["æ", "b"])) for k in range(2)]
    run = written(tmp_path / "a.h5", steps[0], maps[0], *steps[1:], maps[1])

    assert run.steps.count == 5
    assert list(run.steps) == ["currents", "train", "held_out", "bias", "errors", "settled", "word", "gain"]
    for name in run.steps:
        np.testing.assert_array_equal(run.steps[name], np.array([getattr(step, name) for step in steps]))
    np.testing.assert_array_equal(run.steps["step"], [1, 2, 3, 4, 5])
    assert "".join(run.steps[name].dtype.kind for name in run.steps) == "ffffibOf"
    assert list(run.records) == ["state_map"]
    np.testing.assert_array_equal(run.records["state_map"]["states"], np.stack([m.states for m in maps]))
    np.testing.assert_array_equal(run.records["state_map"]["labels"], [["æ", "b"]] * 2)
    assert run.last()["word"] == "é4"


def test_units_stand_beside_the_numbers(tmp_path: Path) -> None:
    run = written(tmp_path / "a.h5", lesson(0), parameters={"rate": 1e-3, "seed": 0}, units={"rate": "A"})
    with h5py.File(run.path) as file:
        found = {name: dataset.attrs.get("units") for name, dataset in file["entry/steps"].items()}
    assert found == {
        "currents": "A", "train": "1", "held_out": "1", "bias": "A", "errors": "", "gain": "",
        "settled": None, "word": None, "step": None,
    }  # fmt: skip
    assert run.units["steps/currents"] == "A"
    assert run.units["parameters/rate"] == "A"
    assert "parameters/seed" not in run.units


def test_what_is_known_about_a_run_comes_back(tmp_path: Path) -> None:
    parameters = {
        "data": "peterson-barney", "steps": 60, "rate": 1.5, "fast": True, "band": (1.0, 2.0), "note": None,
        "names": ("a", "b"), "seeds": (1, 2**70), "rows": ((1,), (1, 2)),
    }  # fmt: skip
    head = HEAD | {"parameters": parameters, "provenance": {"host": "lab", "dirty": False}}
    with RunWriter(tmp_path / "a.h5", head) as new:
        new.identify({"chip": "emulated, 4 oscillators"})
        new.finish("stopped", "Ctrl-C\0\udcff")
    run = RunFile(new.path)
    assert (run.protocol, run.doc, run.bench_name, run.bench) == (
        "lesson",
        "Teach.",
        "desk",
        'name = "desk"\n',
    )
    assert (run.state, run.note) == ("stopped", "Ctrl-C�?")
    assert run.parts == {"chip": "emulated, 4 oscillators"}
    assert run.provenance == {"host": "lab", "dirty": False}
    assert run.start_time <= run.end_time
    assert list(run.parameters) == list(parameters)
    assert {k: v for k, v in run.parameters.items() if k not in {"band", "names", "seeds"}} == {
        "data": "peterson-barney", "steps": 60, "rate": 1.5, "fast": True, "note": None, "rows": "((1,), (1, 2))",
    }  # fmt: skip
    np.testing.assert_array_equal(run.parameters["band"], [1.0, 2.0])
    np.testing.assert_array_equal(run.parameters["names"], ["a", "b"])
    np.testing.assert_array_equal(run.parameters["seeds"], ["1", str(2**70)])


def test_a_viewer_finds_the_default_plot(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", lesson(0), lesson(1)).path
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        group = entry[entry.attrs["default"]]
        assert (entry.attrs["NX_class"], group.attrs["NX_class"]) == ("NXentry", "NXdata")
        assert group.name == "/entry/steps"
        assert group.attrs["signal"] == "train"
        assert list(group.attrs["axes"]) == ["step"]
        assert list(group.attrs["auxiliary_signals"]) == ["held_out"]  # the bias is a current
        np.testing.assert_array_equal(group["step"], [1, 2])


@dataclass(frozen=True)
class MapStep:
    """A step that is all arrays."""

    name: str
    states: NDArray[np.int8]
    density: Annotated[NDArray[np.float64], Unit("W/Hz")]


def test_a_step_without_scalars_is_drawn_as_an_array(tmp_path: Path) -> None:
    step = MapStep("a", np.zeros((2, 3), np.int8), np.ones((4, 5)))
    with h5py.File(written(tmp_path / "a.h5", step, step_type=MapStep).path) as file:
        group = file["entry/steps"]
        assert group.attrs["signal"] == "density"
        assert list(group.attrs["axes"]) == ["step", ".", "."]
        assert group["density"].shape == (1, 4, 5)


def test_a_step_of_text_is_not_announced_as_a_plot(tmp_path: Path) -> None:
    with h5py.File(written(tmp_path / "a.h5", Anything("x"), step_type=Anything).path) as file:
        assert file["entry/steps"].attrs["NX_class"] == "NXcollection"
        assert "default" not in file["entry"].attrs


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (700, 700)])
def test_any_shape_can_grow(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = [np.full(shape, k, np.float64) for k in range(3)]
    run = written(tmp_path / "a.h5", *map(Anything, values), step_type=None)
    np.testing.assert_array_equal(run.steps["value"], np.stack(values))


@given(
    st.lists(
        st.tuples(
            st.floats(),
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, deadline=None)
def test_every_number_and_text_survives(rows: list[tuple[float, int, str]]) -> None:
    @dataclass(frozen=True)
    class Row:
        real: float
        whole: int
        text: str

    with tempfile.TemporaryDirectory() as folder:
        run = written(Path(folder) / "a.h5", *(Row(*row) for row in rows), step_type=Row)
        np.testing.assert_array_equal(run.steps["real"], [row[0] for row in rows])
        assert list(zip(run.steps["whole"], run.steps["text"], strict=True)) == [row[1:] for row in rows]


# What isn't an intact run of ours


def test_files_that_are_no_runs_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.h5", *map(lesson, range(3))).path.read_bytes()
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["entry/data"] = [1, 2]
    contents = {"empty": b"", "text": b"hello", "half": whole[: len(whole) // 2], "head": whole[:60]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = {
        "empty": "not HDF5", "text": "not HDF5", "half": "cut short", "head": "can't be read",
        "foreign.h5": "no run of labneuro", "gone": "no such file", ".": "no such file",
    }  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(StoreError, match=reason) as caught:
            RunFile(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)


def test_a_file_cut_anywhere_is_refused_in_one_line(tmp_path: Path) -> None:
    content = written(tmp_path / "a.h5", *map(lesson, range(3))).path.read_bytes()
    path = tmp_path / "b.h5"
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError, match=r"b\.h5 can't be read as a run") as caught:
            RunFile(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", ["triumphant", "running", ""])
def test_an_unknown_state_is_no_claim_of_success(tmp_path: Path, state: str) -> None:
    path = written(tmp_path / "a.h5", lesson(0)).path
    with h5py.File(path, "r+") as file:
        file["entry/state"][()] = state
    assert RunFile(path).state == "interrupted"


def test_a_growing_run_is_read_as_it_stands(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.h5", HEAD, LessonStep) as run:
        for k in range(3):
            run.append(lesson(k))
            for path in (tmp_path / "a.h5", tmp_path / "a.journal"):
                growing = RunFile(path)
                assert (growing.path, growing.state, growing.end_time) == (tmp_path / "a.h5", "running", "")
                assert growing.last()["errors"] == k
    assert RunFile(tmp_path / "a.h5").state == "interrupted"


def test_what_is_made_to_read_a_journal_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunWriter(tmp_path / "a.h5", HEAD).close()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    run = RunFile(tmp_path / "a.h5")
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del run
    (tmp_path / "b.journal").write_bytes(b"hello")
    with pytest.raises(StoreError, match=r"b\.journal is no journal"):
        RunFile(tmp_path / "b.h5")
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_journal_that_cannot_be_read_leaves_the_run_file_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", lesson(0)).path
    (tmp_path / "a.journal").write_bytes(b"hello")
    run = RunFile(path)
    assert (run.steps.count, run.state) == (1, "finished")
    assert "a.journal is no journal" in run.damage


def test_what_happened_on_the_way_is_told(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.h5", HEAD) as run:
        run.write(Noted("paused", "outputs stay"))
        run.write(Left("source", "0 A", True))
        run.finish("failed", "broken")
    events = RunFile(tmp_path / "a.h5").events
    assert [(event.what, event.words) for event in events] == [("paused", "outputs stay"), ("made safe", "source: 0 A")]
    assert events[0].time <= events[1].time


def test_a_file_without_a_journal_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", lesson(0)).path
    with h5py.File(path, "r+") as file:
        del file["entry/journal"]
    with pytest.raises(StoreError, match=r"a\.h5 holds no journal"), RunFile(path).reader():
        pass
    with pytest.raises(StoreError, match=r"a\.h5 holds no journal"):
        RunFile(path).extract_journal(tmp_path / "b.journal")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_journal_that_others_have_compressed_is_not_inflated_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", lesson(0)).path
    with h5py.File(path, "r+") as file:
        del file["entry/journal"]
        file.create_dataset("entry/journal", data=np.zeros(10**6, np.uint8), compression="gzip")
    with pytest.raises(StoreError, match=r"a\.h5 holds a journal that others have compressed; undo that: h5repack"):
        RunFile(path).extract_journal(tmp_path / "a.journal")
    assert not (tmp_path / "a.journal").exists()


def test_a_journal_that_finds_no_room_is_not_left_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path / "a.h5", lesson(0))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full_disk)
    with pytest.raises(StoreError, match=r"b\.journal can't be made: No space left on device; make room for it"):
        run.extract_journal(tmp_path / "b.journal")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_an_error_of_who_reads_the_journal_is_his_own(tmp_path: Path) -> None:
    run = written(tmp_path / "a.h5", lesson(0))
    with pytest.raises(ValueError, match="mine"), run.reader():
        raise ValueError("mine")
