"""What a protocol yields is in the journal at once and in the run file soon, whatever ends the run."""

import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from labneuro import mirror, recording
from labneuro.commit import CommittedFile
from labneuro.entries import Answered, Asked, Ended, Left, Noted, Raised, Remembered, Resumed
from labneuro.journal import DamageError, Journal, JournalError, Reader, StoreError
from labneuro.mirror import rebuild
from labneuro.recording import RunWriter, completed
from labneuro.records import RecordError
from labneuro.store import RunFile
from labneuro.units import Current, Currents
from labneuro.values import UnrecordableError, pack

HEAD: dict[str, Any] = {
    "protocol": "lesson",
    "doc": "Teach.",
    "parameters": {
        "rate": 1e-3,
        "band": (1.0, 2.0),
        "rows": ((1,), (1, 2)),
        "word": "é\0",
        "seed": 2**70,
        "none": None,
    },
    "units": {"rate": "A"},
    "bench": 'name = "desk"\n',
    "bench_name": "desk",
    "provenance": {"host": "lab", "dirty": False},
}


@dataclass(frozen=True)
class Lesson:
    """A step with fields of several kinds."""

    currents: Currents
    bias: Current
    errors: int
    word: str


@dataclass(frozen=True)
class Curve:
    values: NDArray[np.float32]
    names: NDArray[np.str_]


def lesson(k: int) -> Lesson:
    return Lesson(np.arange(4.0) + k, 1e-3 * k, k, f"é{k}")


def writer(path: Path) -> RunWriter:
    return RunWriter(path, HEAD, Lesson)


def recorded(path: Path, steps: int = 3) -> RunWriter:
    """Return a run that has gone on for some steps."""
    run = writer(path)
    run.identify({"chip": "emulated"})
    for k in range(steps):
        run.write(Asked(k + 1, "chip", "states", {"point": k}, False))
        run.write(Answered(k + 1, np.full((2, 3), k, order="F")))
        run.append(lesson(k))
    return run


def check_steps(path: Path, count: int) -> None:
    """Check that a run has so many steps, whatever way it is read."""
    run = RunFile(path)
    assert run.steps.count == count
    np.testing.assert_array_equal(run.steps["errors"], np.arange(count))
    np.testing.assert_array_equal(run.steps["currents"][:, 0], np.arange(count))
    assert list(run.steps["word"]) == [f"é{k}" for k in range(count)]


def in_file(path: Path) -> dict[str, Any]:
    """Return all that is in an HDF5 file, bit by bit: datasets with their types, and attributes."""
    found: dict[str, Any] = {}

    def visit(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            value = None if member.shape is None else member[()]
            raw = np.asarray(value).tolist() if member.dtype == object else np.asarray(value).tobytes()
            found[name] = (member.dtype.str, member.shape, member.chunks, raw)
        for key, value in member.attrs.items():
            found[f"{name}@{key}"] = value.tolist() if isinstance(value, np.ndarray) else value

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)
    return found


def entries(path: Path) -> list[bytes]:
    with RunFile(path).reader() as reader:
        return [pack([type(record.entry).__name__, record.time, *record.entry]) for record in reader]


def test_a_run_file_made_live_equals_one_made_from_the_journal(tmp_path: Path) -> None:
    live, later = tmp_path / "live.h5", tmp_path / "later.h5"
    with recorded(live) as run:
        run.append(Curve(np.ones((2, 0), np.float32), np.array(["a", "é\0"])))
        run.write(Raised(3, "ValueError", "too much"))
        run.write(Remembered(3, 0.5, {"chip": [1, 2]}))
        run.write(Noted("paused", "outputs stay"))
        run.write(Left("chip", "0 A", True))
        run.write(Left("source", "no answer", False))
        run.append(lesson(3))
        run.finish("failed", "too much")
        assert (run.steps, run.records) == (4, 5)
    RunFile(live).extract_journal(later.with_suffix(".journal"))
    assert completed(RunFile(later)) == ""
    assert in_file(later) == in_file(live)
    assert in_file(live)["entry/events@NX_class"] == "NXcollection"
    run_file = RunFile(later)
    assert [event.what for event in run_file.events] == ["error", "paused", "made safe", "NOT made safe"]
    assert (run_file.state, run_file.note, run_file.end_time) == ("failed", "too much", RunFile(live).end_time)


def test_a_finished_run_has_its_journal_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with recorded(path) as run:
        run.write(Ended("stopped", "not yet"))
        before = entries(path)
        run.finish("finished")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    after = entries(path)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
    RunFile(path).extract_journal(tmp_path / "b.journal")
    assert entries(tmp_path / "b.journal") == after
    assert RunFile(path).journal is None


def test_a_journal_longer_than_one_chunk_is_enclosed_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    noise = np.random.default_rng(0).random(700_000)
    with recorded(path) as run:
        run.write(Answered(9, noise))
        run.write(Answered(10, noise[::-1]))
        run.finish("finished")
    with RunFile(path).reader() as reader:
        found = {record.entry.number: record.entry.value for record in reader if isinstance(record.entry, Answered)}
    np.testing.assert_array_equal(found[9], noise)
    np.testing.assert_array_equal(found[10], noise[::-1])


def test_records_that_are_large_take_no_more_room_than_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    shapes = (785, 200), (3, 2**17 + 1), (2, 2, 50_000), (100, 100)
    with recorded(path) as run:
        for shape in shapes:
            made = make_dataclass(f"Map{shape[0]}", [("values", NDArray[np.float64])])
            run.append(made(np.full(shape, 0.5)))
            run.append(made(np.ones(shape)))
        run.finish("finished")
    with h5py.File(path, "r") as file:
        for shape in shapes:
            dataset: Any = file[f"entry/map{shape[0]}/values"]
            assert dataset.id.get_storage_size() < 1.01 * dataset.nbytes
            assert dataset[0].tobytes() == np.full(shape, 0.5).tobytes()


def test_what_is_yielded_may_be_used_again(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    currents = np.zeros(4)
    with writer(path) as run:
        for k in range(3):
            currents[:] = k
            run.append(Lesson(currents, 0.0, k, "a"))
            currents[:] = np.nan
        np.testing.assert_array_equal(RunFile(path).steps["currents"], [[k] * 4 for k in range(3)])
        run.finish("finished")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/steps/currents"], [[k] * 4 for k in range(3)])


def test_steps_are_in_the_run_file_as_soon_as_their_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "EVERY", 0.0)
    path = tmp_path / "a.h5"
    with writer(path) as run:
        for k in range(5):
            run.append(lesson(k))
            with h5py.File(path, "r") as file:
                assert list(file["entry/steps/errors"]) == list(range(k + 1))
                assert file["entry/state"].asstr()[()] == "interrupted"


BLOCK = 4096
GROW = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_recording import lesson, writer
run = writer(Path(sys.argv[2]))
for k in range(int(sys.argv[3])):
    run.append(lesson(k))
print("written", flush=True)
sys.stdin.read()
"""


@contextmanager
def growing(path: Path, steps: int) -> Iterator["subprocess.Popen[str]"]:
    """Let another process record steps, and wait."""
    command = [sys.executable, "-c", GROW, str(Path(__file__).parent), str(path), str(steps)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


def test_a_run_can_be_read_while_it_grows_and_after_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    steps = BLOCK + 500
    with growing(path, steps) as process:
        with h5py.File(path, "r") as file:
            seen = file["entry/steps/errors"][:]
        assert RunFile(path).state == "running"
        check_steps(path, steps)
        with pytest.raises(StoreError, match="is being written"):
            completed(RunFile(path))
        with pytest.raises(StoreError, match="is being written by another process"):
            RunWriter.resume(RunFile(path), Lesson)
        process.kill()
        process.wait()
        assert len(seen) >= BLOCK
        np.testing.assert_array_equal(seen, np.arange(len(seen)))
        with h5py.File(path, "r") as file:
            np.testing.assert_array_equal(file["entry/steps/errors"], seen)
    assert RunFile(path).state == "interrupted"
    check_steps(path, steps)
    assert completed(RunFile(path)) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    assert RunFile(path).state == "interrupted"
    check_steps(path, steps)


class Killed(BaseException):
    """The process dies here."""


def die(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    "moment",
    [
        (Journal, "sync"), (mirror.Mirror, "finish"), (mirror.Mirror, "_enclose"), (CommittedFile, "commit"),
        (CommittedFile, "sync"), (mirror.Mirror, "close"), (Journal, "close"), (Path, "unlink"),
    ],
    ids=lambda moment: f"{moment[0].__name__}.{moment[1]}",
)  # fmt: skip
def test_a_kill_between_the_last_actions_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: tuple[type, str]
) -> None:
    path = tmp_path / "a.h5"
    run = recorded(path)
    with monkeypatch.context() as patch:
        patch.setattr(*moment, die)
        with pytest.raises(Killed):
            run.finish("finished")
    run.close()
    assert (RunFile(path).state, RunFile(path).journal) == ("finished", path.with_suffix(".journal"))
    check_steps(path, 3)
    before = entries(path)
    assert completed(RunFile(path)) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    assert RunFile(path).state == "finished"
    check_steps(path, 3)
    assert entries(path) == before


@pytest.mark.parametrize(
    "moment", [(mirror, "mirrored"), (mirror.Mirror, "finish"), (Path, "replace"), (recording, "rebuild")]
)
def test_a_kill_while_a_run_is_completed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: tuple[Any, str]
) -> None:
    path = tmp_path / "a.h5"
    recorded(path).close()
    interrupted = RunFile(path)
    with monkeypatch.context() as patch:
        patch.setattr(*moment, die)
        with pytest.raises(Killed):
            completed(interrupted)
    (tmp_path / "a.h5.part").write_text("what a kill left")
    check_steps(path, 3)
    assert completed(RunFile(path)) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    check_steps(path, 3)


def test_a_run_that_ends_while_it_is_opened_is_read_as_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    run = recorded(path)

    def locked(journal: Path) -> bool:
        run.finish("finished")
        return True

    monkeypatch.setattr("labneuro.store.is_locked", locked)
    found = RunFile(path)
    assert (found.state, found.damage, found.journal, found.steps.count) == ("finished", "", None, 3)


# Going on


def test_a_resumed_run_goes_on_behind_its_last_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    recorded(path).close()
    path.unlink()  # whatever became of it, the journal is the truth
    before = entries(path)
    with RunWriter.resume(RunFile(path), Lesson) as run:
        assert RunFile(path).state == "running"
        run.write(Resumed({"provenance": {"command": "labneuro resume a.h5"}}))
        for k in range(3):
            for entry in run.taken_apart(lesson(k)):
                run.count(entry)
        run.append(lesson(3))
        assert (run.steps, run.records) == (4, 4)
        run.finish("finished")
    check_steps(path, 4)
    after = entries(path)
    assert after[: len(before)] == before
    assert [event.words for event in RunFile(path).events] == ["labneuro resume a.h5"]


def test_a_run_that_was_stopped_is_resumed_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with recorded(path) as run:
        run.finish("stopped", "Ctrl-C")
    with RunWriter.resume(RunFile(path), Lesson) as run:
        run.write(Resumed({}))
        run.append(lesson(3))
    resumed = RunFile(path)
    assert (resumed.state, resumed.note, resumed.end_time) == ("interrupted", "", "")
    check_steps(path, 4)


def damage(journal: Path) -> int:
    """Flip a bit in the last step; return where its entry begins."""
    with Reader(journal) as reader:
        ends = [record.end for record in reader]
    content = bytearray(journal.read_bytes())
    content[ends[-2] + 30] ^= 4
    journal.write_bytes(content)
    return ends[-2]


def test_a_damaged_run_keeps_what_was_before_and_goes_on_only_if_told_to(tmp_path: Path) -> None:
    path, journal = tmp_path / "a.h5", tmp_path / "a.journal"
    recorded(path).close()
    place = damage(journal)
    damaged = journal.read_bytes()
    run = RunFile(path)
    assert f"byte {place}" in run.damage
    check_steps(path, 2)
    with pytest.raises(DamageError, match=f"byte {place}"):
        RunWriter.resume(run, Lesson)
    said = completed(run)
    assert f"byte {place}" in said
    assert journal.read_bytes() == damaged
    assert in_file(path)["entry/journal"][1] == (place,)
    check_steps(path, 2)
    with RunWriter.resume(RunFile(path), Lesson, cut=True) as writer:
        writer.append(lesson(2))
        writer.finish("finished")
    assert (tmp_path / "a.journal.damaged").read_bytes() == damaged
    assert RunFile(path).damage == ""
    check_steps(path, 3)


def test_there_is_nothing_to_complete_in_a_complete_run(tmp_path: Path) -> None:
    with recorded(tmp_path / "a.h5") as run:
        run.finish("finished")
    with pytest.raises(StoreError, match=r"a\.h5 is complete"):
        completed(RunFile(tmp_path / "a.h5"))


def test_a_journal_that_says_nothing_makes_no_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.journal"):
        pass
    with pytest.raises(JournalError, match=r"a\.journal has no complete entry: the run never began; remove it"):
        rebuild(tmp_path / "a.journal", tmp_path / "a.h5", enclose=True)
    with Journal(tmp_path / "b.journal") as journal:
        journal.write(Noted("a", "b"))
    with pytest.raises(JournalError, match=r"b\.journal is no journal of a run"):
        rebuild(tmp_path / "b.journal", tmp_path / "b.h5", enclose=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.journal", "b.journal"]


# What can't be written


def test_what_cannot_be_recorded_costs_no_earlier_step(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with recorded(path) as run:
        with pytest.raises(RecordError):
            run.append(Lesson(np.zeros(3), 0.0, 0, "another shape"))
        with pytest.raises(UnrecordableError):
            run.write(Answered(9, object()))
        run.append(lesson(3))
        run.finish("finished")
    check_steps(path, 4)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    for name in ("a.h5", "b.journal"):
        (tmp_path / name).write_text("precious")
    for name in ("a.h5", "b.h5"):
        with pytest.raises(StoreError, match=rf"{name} can't be made: it exists and is never overwritten; choose"):
            writer(tmp_path / name)
    with pytest.raises(StoreError, match=r"c\.journal can't be made: a name in \.journal is that of a journal"):
        writer(tmp_path / "c.journal")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(
        ["a.h5", "b.journal"], "precious"
    )


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory; choose"):
        writer(tmp_path / "file" / "a.h5")
    with pytest.raises(StoreError, match=f"no folder {tmp_path / 'gone'}; make it"):
        writer(tmp_path / "gone" / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


READ_ONLY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_recording import HEAD, Lesson, RunFile, RunWriter, StoreError, writer
folder = Path(sys.argv[2])
if not os.geteuid():
    os.setuid(65534)  # whom the rights of files concern
for start in (lambda: writer(folder / "b.h5"), lambda: RunWriter.resume(RunFile(folder / "a.h5"), Lesson)):
    try:
        start()
    except StoreError as error:
        print(error)
print(RunFile(folder / "a.h5").steps.count)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have other rights here")
def test_a_folder_that_may_only_be_read_is_named_and_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorded(folder / "a.h5").close()
        folder.chmod(0o555)
        command = [sys.executable, "-c", READ_ONLY, str(Path(__file__).parent), name]
        said = subprocess.check_output(command, text=True).splitlines()  # noqa: S603
        folder.chmod(0o755)
    assert said == [
        f"{folder / 'b.h5'} can't be made: Permission denied; choose a place that can be written",
        f"{folder / 'a.journal'} can't be continued: Permission denied",
        "3",
    ]


def test_a_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    recorded(tmp_path / "a.h5").discard()
    assert list(tmp_path.iterdir()) == []


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_run_that_finds_no_room_to_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (CommittedFile, Journal):
        with monkeypatch.context() as patch:
            patch.setattr(place, "_put" if place is CommittedFile else "write", full_disk)
            with pytest.raises(StoreError) as caught:
                writer(tmp_path / "a.h5")
        words = "can't be made: No space left on device; choose a place with room"
        assert str(caught.value) == f"{tmp_path / 'a.h5'} {words}"
        assert list(tmp_path.iterdir()) == []


def test_a_run_that_finds_no_room_before_its_first_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = writer(tmp_path / "a.h5")
    monkeypatch.setattr(CommittedFile, "_put", full_disk)
    with pytest.raises(StoreError, match="No space left"):
        run.identify({"chip": "emulated"})
    run.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_run_file_that_cannot_grow_stays_behind_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "EVERY", 0.0)
    path = tmp_path / "a.h5"
    with recorded(path) as run, monkeypatch.context() as patch:
        patch.setattr(CommittedFile, "_put", full_disk)
        with pytest.raises(StoreError, match=rf"can't write to {path}: No space left.*labneuro resume {path}"):
            run.append(lesson(3))
        run.append(lesson(4))
        with h5py.File(path, "r") as file:
            assert list(file["entry/steps/errors"]) == [0, 1, 2]
        with pytest.raises(StoreError, match=r"everything is in .*a\.journal: make room, then: labneuro rebuild"):
            run.finish("failed", "no room")
    assert RunFile(path).state == "failed"
    check_steps(path, 5)
    assert completed(RunFile(path)) == ""
    check_steps(path, 5)


def test_a_run_whose_file_fell_behind_is_completed_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "EVERY", 0.0)
    path = tmp_path / "a.h5"
    with recorded(path) as run:
        with monkeypatch.context() as patch:
            patch.setattr(CommittedFile, "_put", full_disk)
            with pytest.raises(StoreError):
                run.append(lesson(3))
        run.finish("finished")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    check_steps(path, 4)


FILL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_recording import RunFile, StoreError, completed, lesson, writer
path = Path(sys.argv[2])
with writer(path) as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
    for act in (lambda k: run.append(lesson(k)), lambda k: run.finish("failed", "no room")):
        try:
            for k in range(10_000):
                act(k)
        except StoreError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_suffix(".journal").stat().st_size, resource.RLIM_INFINITY))
print(run.steps)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="file sizes can't be limited here")
def test_a_full_disk_costs_no_earlier_step(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", FILL, str(Path(__file__).parent), str(path)]
    said = subprocess.check_output(command, text=True).splitlines()  # noqa: S603
    journal = tmp_path / "a.journal"
    words = f"can't write to {journal}: File too large; make room, then: labneuro resume {journal}"
    assert said[:2] == [words, words]
    count = int(said[2])
    assert count > 500
    run = RunFile(path)
    assert (run.state, run.damage) == ("interrupted", "")
    check_steps(path, count)
    assert completed(run) == ""
    check_steps(path, count)


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


@dataclass(frozen=True)
class Number:
    value: float


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.h5", HEAD, Number) as run:
        run.append(Number(0.0))

        def peak_of(steps: int) -> int:
            tracemalloc.reset_peak()
            for k in range(steps):
                run.append(Number(float(k)))
            return tracemalloc.get_traced_memory()[1]

        tracemalloc.start()
        first = peak_of(50_000)
        second = peak_of(50_000)
        tracemalloc.stop()
    # A block of 4096 rows is 64 kB with what is made of it to be written. 50 000 steps that stay would be 400 kB.
    assert second <= first + 64_000
