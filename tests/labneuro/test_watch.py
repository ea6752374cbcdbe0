"""A watch shows how a run stands, and how it ends, and the run never notices."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from labneuro import watch as watching
from labneuro.cli import main
from labneuro.entries import Answered, Asked, Begun, Declared, Ended, Entry, Left, Noted, Raised, Resumed, Yielded
from labneuro.journal import Record
from labneuro.overview import Standing
from labneuro.recording import RunWriter, completed
from labneuro.store import RunFile, StoreError
from labneuro.units import Current, Currents
from labneuro.watch import follow, watch

HEAD = {
    "protocol": "scan", "doc": "", "parameters": {"steps": 8}, "units": {}, "bench": "", "bench_name": "desk",
    "provenance": {},
}  # fmt: skip
QUESTION = Asked(1, "source", "current", {}, False)


@dataclass(frozen=True)
class Step:
    """A number, a word and an array."""

    bias: Current
    word: str
    currents: Currents


def step(k: int) -> Step:
    return Step(1e-3 * k, "ab\x1b[2J", np.zeros(3))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    with RunWriter(tmp_path / "a.h5", HEAD) as writer:
        yield writer


@pytest.fixture
def happen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let things happen between the looks of a watch, one after each, instead of waiting."""

    def plan(*events: Callable[[], object]) -> None:
        left = iter(events)
        monkeypatch.setattr(watching.WallClock, "sleep", lambda *_: next(left, lambda: None)())

    return plan


def watched(path: Path, *, terminal: bool = False) -> tuple[int, str]:
    said = StringIO()
    status = watch(path, Console(file=said, width=100, force_terminal=terminal, color_system=None))
    return status, said.getvalue()


def die(run: RunWriter) -> None:
    """Let go of the files, as a process does that is killed."""
    run.close()


def test_what_is_written_is_seen_at_the_next_look(run: RunWriter) -> None:
    standing = Standing()
    looks = follow(run.path, standing)
    next(looks)
    assert (standing.protocol, standing.bench, standing.total, standing.pace.steps) == ("scan", "desk", 8, 0)
    run.append(step(1))
    run.append(step(2))
    next(looks)
    assert standing.pace.steps == 2
    assert standing.last == {"bias": 2e-3, "word": "ab\x1b[2J"}
    assert standing.units["bias"] == "A"


def test_watches_that_come_and_go_do_not_disturb_the_run(run: RunWriter) -> None:
    watches = [follow(run.path.with_suffix(".journal"), Standing()) for _ in range(3)]
    for k, looks in enumerate(watches):
        next(looks)
        run.append(step(k))
    watches[0].close()
    run.finish("finished")
    assert not run.path.with_suffix(".journal").exists()
    assert RunFile(run.path).steps.count == 3
    assert [list(looks) for looks in watches[1:]] == [[], []]


def test_a_watch_ends_with_its_run(run: RunWriter, happen: Callable[..., None]) -> None:
    happen(lambda: run.append(step(1)), lambda: run.finish("stopped", "stopped by Ctrl-C"))
    status, said = watched(run.path)
    assert status == 0
    labels = {line[:10].strip(): line[11:] for line in said.splitlines()[-5:]}
    assert labels.pop("steps").startswith("1 in ")
    assert labels == {
        "run": "scan on desk",
        "state": "stopped: stopped by Ctrl-C",
        "last step": "bias 1 mA  word ab [2J",
        "file": str(run.path),
    }


def test_a_run_that_failed_is_status_1(run: RunWriter, happen: Callable[..., None]) -> None:
    happen(lambda: run.finish("failed", "RuntimeError: the relay is stuck"))
    status, said = watched(run.path)
    assert status == 1
    assert "failed: RuntimeError: the relay is stuck" in said


@pytest.mark.parametrize(("steps", "words"), [(2, "after step 2"), (0, "before the first step")])
def test_a_process_that_dies_is_said_and_where(
    run: RunWriter, happen: Callable[..., None], steps: int, words: str
) -> None:
    for k in range(steps):
        run.append(step(k))
    happen(lambda: die(run))
    status, said = watched(run.path)
    assert status == 1
    assert f"interrupted: its process died {words}" in said
    assert f"labneuro resume {run.path}" in said


def test_what_the_guardian_writes_after_the_death_is_seen(run: RunWriter, happen: Callable[..., None]) -> None:
    def guardian() -> None:
        again = RunWriter.resume(RunFile(run.path))
        again.write(Left("source", "no answer", confirmed=False))
        again.write(Noted("guardian", "the process of the run died"))
        again.close()

    happen(lambda: die(run), lambda: None, guardian)
    status, said = watched(run.path)
    assert status == 1
    assert "NOT made safe: source: no answer" in said
    assert "guardian: the process of the run died" in said


def test_a_run_that_was_killed_is_reported_at_once(tmp_path: Path, happen: Callable[..., None]) -> None:
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_watch import HEAD, QUESTION, RunWriter, step
from pathlib import Path
run = RunWriter(Path("a.h5"), HEAD)
run.append(step(1))
run.write(QUESTION)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)  # noqa: S603
    assert killed.returncode == -signal.SIGKILL
    happen(pytest.fail)
    status, said = watched(tmp_path / "a.h5")
    assert status == 1
    assert "interrupted: its process died after step 1" in said


def test_a_run_that_has_ended_is_reported_from_its_file(run: RunWriter, happen: Callable[..., None]) -> None:
    run.append(step(3))
    run.write(Left("source", "no answer", confirmed=False))
    run.write(Noted("paused", "all outputs stay as they are"))
    run.finish("finished")
    happen(pytest.fail)
    status, said = watched(run.path)
    assert status == 0
    assert "bias 3 mA" in said
    assert "NOT made safe: source: no answer" in said
    assert "paused" not in said


def test_a_run_that_is_resumed_between_two_looks_is_watched_on(run: RunWriter, happen: Callable[..., None]) -> None:
    again: list[RunWriter] = []

    def resume() -> None:
        run.finish("stopped")
        again.append(RunWriter.resume(RunFile(run.path), Step))

    def go_on() -> None:
        again[0].write(Resumed({}))
        again[0].append(step(2))

    run.append(step(1))
    happen(resume, go_on, lambda: again[0].finish("finished"))
    status, said = watched(run.path)
    assert status == 0
    assert "steps      2 in" in said


def test_a_torn_entry_that_is_cut_off_is_no_damage(run: RunWriter, happen: Callable[..., None]) -> None:
    again: list[RunWriter] = []

    def tear() -> None:
        run.append(step(2))
        die(run)
        journal = run.path.with_suffix(".journal")
        os.truncate(journal, journal.stat().st_size - 20)

    def resume() -> None:
        again.append(RunWriter.resume(RunFile(run.path), Step))
        again[0].write(Resumed({}))

    run.append(step(1))
    happen(tear, resume, lambda: again[0].append(step(3)), lambda: again[0].finish("finished"))
    status, said = watched(run.path)
    assert status == 0
    assert "steps      2 in" in said
    assert "bias 3 mA" in said


def test_a_run_that_leaves_nothing_is_said_to(run: RunWriter, happen: Callable[..., None]) -> None:
    happen(run.discard)
    status, said = watched(run.path)
    assert status == 1
    assert "ended before it had recorded anything" in said


def test_damage_ends_the_watch_and_is_said(run: RunWriter) -> None:
    run.append(step(1))
    run.append(step(2))
    with run.path.with_suffix(".journal").open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"damage")
    status, said = watched(run.path)
    assert status == 1
    assert "damaged at entry" in said
    assert "steps      1 in" in said


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_the_watch_and_not_the_run(run: RunWriter, happen: Callable[..., None], terminal: bool) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    happen(interrupt)
    status, said = watched(run.path, terminal=terminal)
    assert status == 130
    assert said.endswith("the watch has ended, the run goes on\n")
    run.append(step(1))
    run.finish("finished")
    assert RunFile(run.path).state == "finished"


def test_a_rebuilt_run_says_how_it_died(run: RunWriter) -> None:
    run.append(step(1))
    die(run)
    completed(RunFile(run.path))
    assert watched(run.path)[1].count("interrupted: its process died after step 1") == 1


def test_no_run_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="no such file"):
        watched(tmp_path / "a.h5")
    assert main(["watch", str(tmp_path / "a.h5")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def eventful(run: RunWriter, happen: Callable[..., None]) -> RunWriter:
    """A run that meets an error, pauses, goes on, asks and dies."""

    def trouble() -> None:
        run.write(QUESTION)
        run.write(Raised(1, "TimeoutError", "no\x1b[2J answer"))

    def go_on() -> None:
        run.write(Noted("continued", ""))
        run.append(step(1))
        run.append(step(2))

    paused = Noted("paused", "all outputs stay as they are")
    happen(trouble, lambda: run.write(paused), go_on, lambda: run.write(QUESTION), lambda: None, lambda: die(run))
    return run


def test_lines_elsewhere_than_on_a_terminal_are_few(eventful: RunWriter) -> None:
    said = watched(eventful.path)[1]
    assert said.splitlines()[:2] == ["scan 0/8", "run        scan on desk"]


def test_every_change_is_a_line_where_there_is_time(eventful: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "QUIET", 0.0)
    monkeypatch.setattr(watching, "_PATIENCE", 0.0)
    said = watched(eventful.path)[1]
    story = (
        r"scan 0/8\b.*\nALARM [\d:]{8}  source\.current: TimeoutError: no \[2J answer\n.*paused since [\d:]{8}\n"
        r"scan 2/8 .* bias 2 mA .*waiting for source\.current since [\d:]{8}\n.*its process has died\nrun "
    )
    assert re.search(story, said, re.DOTALL)
    assert said.count("ALARM") == said.count("waiting") == 1


def test_a_terminal_shows_it_live(eventful: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK", 0.0)
    monkeypatch.setattr(watching, "_PATIENCE", 0.0)
    said = watched(eventful.path, terminal=True)[1]
    for words in (
        "scan on desk  running for ",
        "2/8",
        "bias 2 mA  word ab [2J",
        "paused for ",
        "waiting for source.current for ",
    ):
        assert words in said
    assert re.search(r"[\d:]{8}  source\.current: TimeoutError: no \[2J answer", said)
    assert "its process has died" in said
    assert "\x1b[2J" not in said


class Past:
    """A journal whose entries were written at chosen times."""

    def __init__(self) -> None:
        self.standing = Standing()
        self.at(0.0, Begun(HEAD))

    def at(self, moment: float, entry: Entry) -> Standing:
        self.standing.take(Record(entry, 1e9 + moment, 0))
        return self.standing


def test_the_rate_is_that_of_the_times_in_the_journal() -> None:
    past = Past()
    for k in range(5):
        standing = past.at(10.0 * k, Yielded("steps", {"bias": k}))
    assert str(standing.pace) == "5/8  10 s a step  30 s left"


def test_neither_pauses_nor_death_slow_the_rate() -> None:
    past = Past()
    past.at(10, Yielded("steps", {}))
    past.at(11, Noted("paused", ""))
    assert past.standing.paused
    past.at(1011, Noted("continued", ""))
    past.at(1020, Yielded("steps", {}))
    past.at(1021, Noted("paused", ""))
    past.at(99990, Resumed({}))
    standing = past.at(99999, Yielded("steps", {}))
    assert not standing.paused
    assert str(standing.pace) == "3/8  10 s a step  50 s left"


def test_a_question_waits_until_its_answer_or_its_error() -> None:
    past = Past()
    assert past.at(1, QUESTION).asked == QUESTION
    assert past.at(2, Answered(1, 0.0)).asked is None
    past.at(3, QUESTION)
    standing = past.at(4, Raised(1, "TimeoutError", "no answer"))
    assert standing.asked is None
    assert [words for _, words in standing.alarms] == ["source.current: TimeoutError: no answer"]
    past.at(5, QUESTION)
    assert past.at(6, Resumed({})).asked is None


def test_a_resumed_run_has_not_ended() -> None:
    past = Past()
    assert past.at(1, Ended("stopped", "")).ended is not None
    assert past.at(2, Resumed({})).ended is None


def test_the_journal_of_a_stranger_may_say_anything() -> None:
    past = Past()
    past.at(0, Begun({"parameters": [], "protocol": 5, "bench_name": b"\x1b"}))
    for fields in ([["a"]], [5]):
        past.at(-1, Declared("steps", "", fields))  # type: ignore[arg-type]
        past.at(-1e9, Yielded("steps", {3: {}, "a": [], "b": 1}))  # type: ignore[dict-item]
    assert str(past.standing.pace) == "2 steps"
    assert past.standing.last == {"b": 1}
