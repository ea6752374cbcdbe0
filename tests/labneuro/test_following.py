"""A run is followed from another process, forwards as it grows and backwards to any of its steps."""

import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from labneuro import bench, decimation, following, registry
from labneuro.entries import Answered, Asked, Entry, Identified, Noted, Raised, Resumed, Yielded
from labneuro.following import Following, RunSoFar
from labneuro.journal import Journal
from labneuro.recording import RunWriter
from labneuro.run import execute
from labneuro.store import RunFile, StoreError
from labneuro.units import Current, Currents

HEAD = {
    "protocol": "scan", "doc": "Scans.", "parameters": {"steps": 8, "names": ["a", "b"], "sizes": (1.0, 2.0)},
    "units": {"sizes": "A", "steps": ""}, "bench": "[parts.bias]", "bench_name": "desk", "provenance": {},
    "parts": {"source": "bias"},
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A number, a word and an array."""

    bias: Current
    word: str
    currents: Currents


@dataclass(frozen=True)
class Look:
    """Another record."""

    number: int


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs fill tables and bookmarks, and each look is a thorough one."""
    monkeypatch.setattr(decimation, "ROWS", 8)
    monkeypatch.setattr(following, "MARKS", 4)
    monkeypatch.setattr(following, "_LOOK", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    with RunWriter(tmp_path / "a.h5", HEAD, Step) as writer:
        writer.identify({"bias": "maker,model"})
        yield writer


def step(run: RunWriter, number: int) -> None:
    """Let a run do a step: ask, be answered, now and then with an error, look at something, yield."""
    level = 1e-3 * number
    run.write(Asked(number, "bias", "set_current", {"current": level}, False))
    failed = Raised(number, "TimeoutError", f"no answer {number}")
    run.write(failed if number % 5 == 0 else Answered(number, f"done {number}"))
    if number % 3 == 0:
        run.append(Look(number))
    run.append(Step(level, f"w{number}", np.full(2, level)))


def caught_up(path: Path) -> Following:
    followed = Following(path)
    while followed.look():
        pass
    return followed


def check(past: RunSoFar, number: int) -> None:
    """Check all there is to know of a run after so many steps."""
    assert past.at == past.steps.count == number
    assert past.steps["step"][-1] == number
    assert past.steps["bias"][-1] == past.standing.last["bias"] == 1e-3 * number
    assert past.steps["word"][-1] == past.last()["word"] == f"w{number}"
    assert ("look" in past.records) == (number >= 3)
    if number >= 3:
        assert past.records["look"].count == number // 3
        assert past.records["look"]["number"][-1] == number // 3 * 3
    asked = past.latest("source", "set_current")
    assert asked is not None
    assert asked == past.latest("bias", "set_current")
    assert asked.arguments == {"current": 1e-3 * number}
    failed = number % 5 == 0
    assert (asked.answered, asked.value) == (True, None if failed else f"done {number}")
    assert asked.error == (f"TimeoutError: no answer {number}" if failed else "")
    assert len(past.standing.alarms) == min(number // 5, 5)


def open_files() -> list[str]:
    files = []
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the folder itself
            files.append(str(file.readlink()))
    return files


def test_all_steps_can_be_seen_again_while_the_run_goes_on_and_when_it_is_over(run: RunWriter) -> None:
    followed = Following(run.path)
    for number in range(1, 51):
        step(run, number)
        assert not followed.look(10.0)
        check(followed.now, number)
    run.finish("finished")
    for again in (followed, caught_up(run.path)):
        again.look()
        assert (again.now.state, again.steps) == ("finished", 50)
        for number in (50, 1, 49, 2, *range(3, 48)):
            past = again.at(number)
            check(past, number)
            assert past.state == "running"
            assert (past.steps["step"] <= number).all()
        check(again.now, 50)


def test_looks_that_take_one_entry_each_arrive_at_the_same(run: RunWriter) -> None:
    def arrive() -> RunSoFar:
        followed = Following(run.path)
        while followed.look(0.0):
            pass
        return followed.now

    for number in range(1, 8):
        step(run, number)
    check(arrive(), 7)
    run.finish("finished")
    check(arrive(), 7)


def test_what_is_kept_does_not_grow(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.journal") as journal:

        def grow(count: int) -> None:
            for number in range(count):
                journal.write(
                    Asked(number, "bias", "set_current", {"current": 1.0 * number}, False),
                    Answered(number, None),
                    Yielded("steps", {"bias": 1.0 * number}),
                )

        journal.write(following.Begun({**HEAD, "start_time": ""}), following.Declared("steps", "Step", []))
        grow(500)
        followed = caught_up(tmp_path / "a.h5")
        tracemalloc.start()
        try:
            held = []
            for _ in range(4):
                grow(500)
                while followed.look():
                    pass
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert followed.steps == 2500
    assert len(followed.now.steps["bias"]) <= 9
    assert max(held[1:]) - held[0] < 20_000  # bytes; 1500 steps of three entries would be 500 kB


def test_before_the_first_step_there_is_the_beginning(run: RunWriter) -> None:
    step(run, 1)
    start = caught_up(run.path).at(0)
    assert (start.at, start.steps.count, dict(start.records), dict(start.exchanges)) == (0, 0, {}, {})
    assert start.standing.protocol == "scan"


def test_what_is_drawn_from_is_that_of_the_run_file(annex: Path) -> None:
    Path("levels.txt").write_text("0.0\n")
    Path("desk.toml").write_text(
        'guardian = false\n[parts.source]\ndriver = "lasting"\nsettings = { levels = "levels.txt" }\n'
        'limits = { max_current = "8 mA", max_compliance = "2 V" }\n'
    )
    execute(registry.load_protocol("ramp"), bench.load("desk.toml"), {"steps": 3}, Path("a.h5"), progress=False)
    now, run = caught_up(Path("a.h5")).now, RunFile("a.h5")
    for name in ("path", "protocol", "doc", "title", "start_time", "bench", "bench_name", "parameters", "parts"):
        assert getattr(now, name) == getattr(run, name), name
    assert (now.state, now.note) == (run.state, run.note) == ("finished", "")
    for mine, others in ((now.steps, run.steps), (now.records["first_look"], run.records["first_look"])):
        assert mine.count == others.count
        assert {name: mine[name].tolist() for name in others} == {name: others[name].tolist() for name in others}
        assert {name: mine[name].dtype for name in others} == {name: others[name].dtype for name in others}
    units = {name: unit for name, unit in run.units.items() if not name.startswith("events")}
    assert {name: now.units[name] for name in units} == units
    assert now.latest("source", "set_current").arguments == {"current": 3e-3}
    assert now.standing.left["source"].confirmed


def test_lists_among_the_parameters_are_arrays_as_in_the_run_file(run: RunWriter) -> None:
    mine = caught_up(run.path).now.parameters
    run.finish("finished")
    others = RunFile(run.path).parameters
    assert mine.keys() == others.keys()
    assert all(type(mine[name]) is type(others[name]) for name in mine)
    assert all(np.array_equal(mine[name], others[name]) for name in mine)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_journal_is_let_go_of_when_it_lies_in_the_run_file(run: RunWriter) -> None:
    step(run, 1)
    followed = caught_up(run.path)
    assert [name for name in open_files() if "a.journal" in name]
    run.finish("stopped", "stopped by Ctrl-C")
    followed.look()
    assert not [name for name in open_files() if "a.journal" in name]
    assert (followed.now.state, followed.now.note) == ("stopped", "stopped by Ctrl-C")
    check(followed.at(1), 1)


def test_a_run_that_dies_is_interrupted_and_goes_on_when_it_is_resumed(run: RunWriter) -> None:
    step(run, 1)
    followed = caught_up(run.path)
    assert followed.now.state == "running"
    run.close()
    followed.look()
    assert (followed.now.state, followed.now.note) == ("interrupted", "its process died after step 1")
    assert followed.now.standing.dead
    with RunWriter.resume(RunFile(run.path), Step) as again:
        again.write(Resumed({**HEAD, "parts": {"source": "other"}}))
        again.write(Noted("put back", "bias.set_current(current=0.001)"))
        followed.look()
        assert (followed.now.state, followed.now.standing.dead) == ("running", False)
        assert followed.now.players == {"source": "other"}
        assert followed.now.standing.put_back == {"bias": "bias.set_current(current=0.001)"}


def test_a_run_that_ended_and_is_resumed_is_followed_on(run: RunWriter) -> None:
    step(run, 1)
    followed = caught_up(run.path)
    run.finish("stopped")
    followed.look()
    assert followed.now.state == "stopped"
    with RunWriter.resume(RunFile(run.path), Step) as again:
        again.write(Resumed(HEAD))
        step(again, 2)
        while followed.look():
            pass
        assert followed.now.state == "running"
        check(followed.now, 2)
        check(followed.at(1), 1)
        again.finish("finished")
    followed.look()
    assert followed.now.state == "finished"


def test_damage_is_said_until_it_is_cut_off(run: RunWriter) -> None:
    step(run, 1)
    step(run, 2)
    run.close()
    with run.path.with_suffix(".journal").open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"damage")
    followed = caught_up(run.path)
    assert "damaged at entry" in followed.now.standing.problem
    check(followed.at(1), 1)
    with RunWriter.resume(RunFile(run.path), Step, cut=True) as again:
        again.write(Resumed(HEAD))
        again.append(Step(2e-3, "w2", np.zeros(2)))
        followed.look()
        assert (followed.now.standing.problem, followed.now.state) == ("", "running")
        check(followed.now, 2)


def test_a_run_that_leaves_nothing_is_said_to(run: RunWriter) -> None:
    followed = caught_up(run.path)
    run.discard()
    followed.look()
    assert (followed.now.state, followed.now.note) == (
        "failed",
        "it ended before it had recorded anything: no file is kept",
    )
    assert not followed.look(10.0)


def test_of_a_run_file_without_journal_there_is_the_end(run: RunWriter) -> None:
    step(run, 5)
    run.finish("stopped", "stopped by Ctrl-C")
    with h5py.File(run.path, "a") as file:
        del file["entry/journal"]
    followed = caught_up(run.path)
    now = followed.now
    assert (now.protocol, now.state, now.note, followed.steps) == ("scan", "stopped", "stopped by Ctrl-C", 1)
    assert now.steps["bias"] == [5e-3]
    assert now.units["steps/bias"] == "A"
    assert [words for _, words in now.standing.alarms] == ["error: TimeoutError: no answer 5"]
    assert followed.at(0) is now


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        Following(tmp_path / "a.h5")


@pytest.mark.parametrize(
    "entry", [Yielded("steps", {"bias": 1.0}), Resumed({"parts": 3}), following.Begun({"protocol": "scan"})]
)
def test_entries_that_make_no_run_are_said_to(tmp_path: Path, entry: Entry) -> None:
    with Journal(tmp_path / "a.journal") as journal:
        journal.write(Identified({"bias": "x"}), entry)
    followed = caught_up(tmp_path / "a.journal")
    assert "no journal of a run" in followed.now.standing.problem
    assert not followed.look(10.0)


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.journal").write_bytes(b"labneuro")
    followed = caught_up(tmp_path / "a.h5")
    assert not followed.now.standing.begun
    assert followed.steps == 0
    assert followed.at(3) is followed.now


def test_a_picture_of_the_past_outlives_the_looks_that_follow(run: RunWriter) -> None:
    for number in range(1, 20):
        step(run, number)
    followed = caught_up(run.path)
    past = {number: followed.at(number) for number in (3, 7, 18)}
    for number in range(20, 60):
        step(run, number)
    followed.look()
    for number, picture in past.items():
        check(picture, number)
