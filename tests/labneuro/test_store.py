"""A run file keeps every record that was yielded, in shape, with units, whatever happens to the process."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labneuro.commit import CommittedFile
from labneuro.records import RecordError
from labneuro.store import RunFile, RunWriter, StoreError
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


def writer(path: Path, **changes: Any) -> RunWriter:
    settings: dict[str, Any] = {
        "protocol": "lesson",
        "doc": "Teach.",
        "parameters": {},
        "units": {},
        "bench": 'name = "desk"\n',
        "bench_name": "desk",
        "provenance": {},
        "step_type": LessonStep,
    }
    return RunWriter(path, **{**settings, **changes})


def written(path: Path, *records: object, **changes: Any) -> RunFile:
    with writer(path, **changes) as run:
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
        "names": ("a", "b"), "path": Path("x/y"),
    }  # fmt: skip
    with writer(tmp_path / "a.h5", parameters=parameters, provenance={"host": "lab", "dirty": False}) as new:
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
    assert {k: v for k, v in run.parameters.items() if k not in {"band", "names"}} == {
        "data": "peterson-barney", "steps": 60, "rate": 1.5, "fast": True, "note": None, "path": "x/y",
    }  # fmt: skip
    np.testing.assert_array_equal(run.parameters["band"], [1.0, 2.0])
    np.testing.assert_array_equal(run.parameters["names"], ["a", "b"])


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


def test_a_field_that_changes_shape_is_refused_by_name(tmp_path: Path) -> None:
    with writer(tmp_path / "a.h5") as run:
        run.append(StateMap(np.zeros((3, 2), np.int8), np.array(["a"])))
        with pytest.raises(RecordError, match=r"'states' of StateMap was int8 of shape \(3, 2\).*\(2, 3\)"):
            run.append(StateMap(np.zeros((2, 3), np.int8), np.array(["a"])))
        with pytest.raises(RecordError, match=r"'states' of StateMap was int8.*is float64"):
            run.append(StateMap(np.zeros((3, 2)), np.array(["a"])))  # type: ignore[arg-type]
        run.finish("failed")
    assert RunFile(run.path).records["state_map"]["states"].shape == (1, 3, 2)


@pytest.mark.parametrize("value", [{"a": 1}, None, [[1], [1, 2]], object(), b"raw"])
def test_what_a_file_cannot_hold_is_refused_by_name(tmp_path: Path, value: object) -> None:
    with (
        writer(tmp_path / "a.h5", step_type=Anything) as run,
        pytest.raises(RecordError, match="'value' of Anything"),
    ):
        run.append(Anything(value))


@pytest.mark.parametrize("record", [3, Anything, {"value": 1}])
def test_only_dataclasses_are_records(tmp_path: Path, record: object) -> None:
    with writer(tmp_path / "a.h5") as run, pytest.raises(RecordError, match="dataclass"):
        run.append(record)


@pytest.mark.parametrize("name", ["Steps", "Bench", "Provenance", "Title"])
def test_a_record_cannot_hide_what_the_file_says_about_itself(tmp_path: Path, name: str) -> None:
    impostor = dataclass(frozen=True)(type(name, (), {"__annotations__": {"x": int}}))
    with writer(tmp_path / "a.h5") as run, pytest.raises(RecordError, match=f"rename {name}"):
        run.append(impostor(1))


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("precious")
    with pytest.raises(StoreError, match=r"a\.h5 can't be made: it exists.*choose"):
        writer(path)
    assert path.read_text() == "precious"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory; choose"):
        writer(tmp_path / "file" / "a.h5")
    with pytest.raises(StoreError, match=f"no folder {tmp_path / 'gone'}; make it"):
        writer(tmp_path / "gone" / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unfinished_run_says_interrupted(tmp_path: Path) -> None:
    with writer(tmp_path / "a.h5") as run:
        run.append(lesson(0))
        growing = RunFile(run.path)
        assert (growing.state, growing.steps.count, growing.steps["errors"][0]) == ("interrupted", 1, 0)
    assert RunFile(run.path).state == "interrupted"


def test_a_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    writer(tmp_path / "a.h5").discard()
    assert list(tmp_path.iterdir()) == []


GROW = """
import os, sys
from pathlib import Path
from tests_store import lesson, writer
with writer(Path(sys.argv[1])) as run:
    for k in range(10**6):
        run.append(lesson(k))
        os.write(1, b"%d\\n" % k)
"""


def python(code: str, *args: str) -> "subprocess.Popen[bytes]":
    loader = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('tests_store', {__file__!r})\n"
        "module = sys.modules['tests_store'] = u.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
    )
    return subprocess.Popen([sys.executable, "-c", loader + code, *args], stdout=subprocess.PIPE)  # noqa: S603


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("acknowledged", [1, 40, 230])
def test_a_killed_process_loses_no_step(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "a.h5"
    with python(GROW, str(path)) as process:
        assert process.stdout is not None
        for _ in range(acknowledged):
            process.stdout.readline()
        process.kill()
        process.stdout.read()
    run = RunFile(path)
    assert run.state == "interrupted"
    assert run.steps.count >= acknowledged
    np.testing.assert_array_equal(run.steps["errors"], np.arange(run.steps.count))
    np.testing.assert_array_equal(run.steps["currents"][:, 0], np.arange(run.steps.count))
    assert run.last()["word"] == f"é{run.steps.count - 1}"


FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from tests_store import Anything, RunFile, StoreError, writer
path = Path(sys.argv[1])
with writer(path, step_type=Anything) as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for k in range(100):
            run.append(Anything(np.full(1000, float(k))))
    except StoreError as error:
        print(error)
    run.finish("failed", "no room")
print(run.steps, RunFile(path).steps.count)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="file sizes can't be limited here")
def test_a_full_disk_costs_no_earlier_step(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with python(FILL, str(path)) as process:
        assert process.stdout is not None
        said = process.stdout.read().decode().splitlines()
    assert process.returncode == 0
    assert "File too large" in said[0]
    run = RunFile(path)
    assert (run.state, run.note) == ("failed", "no room")
    assert said[1] == f"{run.steps.count} {run.steps.count}"
    assert run.steps.count > 10
    np.testing.assert_array_equal(run.steps["value"][:, 0], np.arange(run.steps.count))


def test_a_commit_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    file = CommittedFile(path, "x")
    file.write(b"0123456789")
    assert path.read_bytes() == b""
    file.commit()
    file.seek(8)
    file.write(b"abcd")
    file.seek(0)
    assert file.read() == b"01234567abcd"
    with monkeypatch.context() as patch:
        patch.setattr(file, "_put", full_disk)
        with pytest.raises(OSError, match="No space"):
            file.commit()
    assert path.read_bytes() == b"0123456789"
    file.seek(2)
    file.write(b"XY")
    file.truncate(6)
    file.commit()
    file.close()
    assert path.read_bytes() == b"01XY45"


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


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


@given(kept=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, kept: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    content = written(folder / "a.h5", *map(lesson, range(3))).path.read_bytes()
    (folder / "b.h5").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(StoreError, match=r"b\.h5 can't be read as a run") as caught:
        RunFile(folder / "b.h5")
    assert "\n" not in str(caught.value)


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret.h5", lesson(7), parameters={"key": "secret"}).path
    (tmp_path / "raw").write_bytes(b"\1" * 8)
    path = written(tmp_path / "a.h5", lesson(0)).path
    with h5py.File(path, "r+") as file:
        for place in ("parameters", "steps"):
            group = file["entry"][place]
            group["outside"] = h5py.ExternalLink(str(secret), f"/entry/{place}")
            group["soft"] = h5py.SoftLink("outside/key")
            group.create_dataset("raw", (8,), "u1", external=[(str(tmp_path / "raw"), 0, 8)])
            layout = h5py.VirtualLayout((1,), "i8")
            layout[:] = h5py.VirtualSource(str(secret), "/entry/steps/errors", (1,))
            group.create_virtual_dataset("virtual", layout)
            names = ["outside", "soft", "raw", "virtual", "outside/key", "outside/errors", "./outside/key"]
            group.attrs["order"] = np.array(names, dtype=h5py.string_dtype())
        file["entry/elsewhere"] = h5py.ExternalLink(str(secret), "/entry/steps")
    run = RunFile(path)
    assert (run.parameters, list(run.steps), list(run.records)) == ({}, [], [])


def test_an_unknown_state_is_no_claim_of_success(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", lesson(0)).path
    with h5py.File(path, "r+") as file:
        file["entry/state"][()] = "triumphant"
    state: Literal["interrupted"] | str = RunFile(path).state
    assert state == "interrupted"
