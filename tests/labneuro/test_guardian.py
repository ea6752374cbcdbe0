"""If the process of a run dies without a word, its guardian leaves the bench safe and says so."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro import bench, guardian
from labneuro.bench import BenchError, BenchFile
from labneuro.clock import WallClock
from labneuro.entries import Entry, Left, Noted
from labneuro.filelock import lock
from labneuro.guardian import guarding
from labneuro.journal import Reader
from labneuro.store import RunFile

ANNEX = Path(__file__).parents[1] / "annex"
JOURNAL = Path("a.journal")
UP = [1e-3, 2e-3, 3e-3, 4e-3, 5e-3]
DOWN = [4e-3, 3e-3, 2e-3, 1e-3, 0.0]
SAFE = [0.0]  # what the driver itself sends

RUN = """
import os, resource, signal, subprocess, sys, time
from pathlib import Path
from labneuro import bench
from labneuro.guardian import guarding
from labneuro.recording import RunWriter

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        global guardian
        guardian = self

subprocess.Popen = Popen
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
desk = bench.load("desk.toml")
head = {{"protocol": "none", "doc": "", "parameters": {{}}, "units": {{}}, "bench": desk.text, "bench_name": desk.name,
         "bench_path": "desk.toml", "provenance": {{}}, "parts": {{}}}}
with RunWriter(Path("a.h5"), head) as writer, guarding(desk, Path("a.journal")), desk.open() as opened:
    for part in opened.parts.values():
        part.set_current(5e-3)
    {ending}
    print("on", flush=True)
    time.sleep(600)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals and groups of POSIX")


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a bench of one source whose output outlives every process."""
    monkeypatch.syspath_prepend(ANNEX)
    monkeypatch.chdir(tmp_path)
    write_bench("source")


@pytest.fixture
def guardians(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The guardians that this process starts."""
    started: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(guardian.subprocess, "Popen", Popen)
    return started


def write_bench(*parts: str) -> None:
    for part in parts:
        Path(part).write_text("0.0\n")
    Path("desk.toml").write_text(
        "".join(
            f'[parts.{part}]\ndriver = "lasting"\nsettings = {{ levels = "{part}" }}\n[parts.{part}.limits]\n'
            'max_current = "8 mA"\nmax_compliance = "2 V"\nramp = "1 mA/ms"\n'
            for part in parts
        )
    )


def levels(part: str) -> list[float]:
    return [float(level) for level in Path(part).read_text().split()]


def start(ending: str = "") -> subprocess.Popen[str]:
    """Start a run that brings all parts to 5 mA, does `ending`, says so, and waits."""
    run = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-P", "-c", RUN.format(ending=ending)],
        env={**os.environ, "PYTHONPATH": str(ANNEX)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    run.stdout.readline()
    return run


def complaints(run: subprocess.Popen[str]) -> str:
    """Wait for the end of the run and of all it has started; return what they wrote on the standard error."""
    return run.communicate(timeout=60)[1]


def until(condition: Callable[[], bool]) -> None:
    clock = WallClock()
    end = clock.now() + 60
    while not condition():
        assert clock.now() < end, "it never came"
        clock.sleep(0.01)


def journalled() -> list[Entry]:
    """Return what stands in the journal behind its head."""
    with Reader(JOURNAL) as reader:
        return [record.entry for record in reader][1:]


# --- A run that dies


@posix
@pytest.mark.parametrize(
    "ending",
    ["", "os.abort()", "for s in (signal.SIGINT, signal.SIGHUP): os.kill(guardian.pid, s)"],
    ids=["killed", "aborted", "guardian interrupted before"],
)
def test_a_run_that_dies_leaves_its_instrument_safe_and_a_note(ending: str) -> None:
    run = start(ending)
    os.killpg(run.pid, signal.SIGKILL)  # all that a terminal or a queue would kill
    said = complaints(run)
    np.testing.assert_allclose(levels("source"), [0.0, *UP, *DOWN, *SAFE], rtol=0, atol=1e-15)  # rounding
    words = "the process of the run died; source: current 0 A"
    assert f"labneuro: guardian: {words}\n" in said
    assert journalled() == [Left("source", "current 0 A", True), Noted("guardian", words)]
    stored = RunFile("a.h5")
    assert (stored.state, stored.damage) == ("interrupted", "")


@posix
def test_a_forked_child_that_outlives_the_run_does_not_hide_its_death() -> None:
    run = start("child = os.fork()\n    if not child: time.sleep(600)\n    Path('child').write_text(str(child))")
    run.kill()
    until(lambda: levels("source")[-1] == 0)
    os.kill(int(Path("child").read_text()), signal.SIGKILL)  # which has the journal open as well
    complaints(run)
    assert [type(entry) for entry in journalled()] == [Left, Noted]


@posix
def test_a_part_that_is_still_held_keeps_no_other_from_being_safe() -> None:
    write_bench("first", "second")
    run = start()
    with Path("first").open() as session:
        lock(session.fileno())
        run.kill()
        until(lambda: levels("second")[-1] == 0)
        assert levels("first")[-1] == 5e-3
    complaints(run)
    assert levels("first")[-1] == 0
    assert journalled()[:2] == [Left("second", "current 0 A", True), Left("first", "current 0 A", True)]


@posix
def test_what_the_guardian_could_not_do_it_says() -> None:
    write_bench("first", "second")
    run = start()
    Path("first").unlink()
    JOURNAL.unlink()
    run.kill()
    said = complaints(run)
    assert levels("second")[-1] == 0
    assert "second: current 0 A" in said
    assert "first: not made safe: no connection: BenchError: desk.toml:2: parts.first: 'lasting' did not start" in said
    assert "switch it off by hand" in said
    assert "this is not in the journal: JournalError: " in said


# --- A run that doesn't


def test_a_run_that_ends_by_itself_leaves_no_guardian_behind(guardians: list[subprocess.Popen[bytes]]) -> None:
    Path("json.py").write_text("raise SystemExit")  # what lies in the folder is not imported
    desk = bench.load("desk.toml")
    with guarding(desk, JOURNAL), desk.open() as opened:
        opened.parts["source"].set_current(5e-3)  # type: ignore[attr-defined]
    assert [process.returncode is None for process in guardians] == [False]
    np.testing.assert_allclose(levels("source"), [0.0, *UP, *DOWN, *SAFE], rtol=0, atol=1e-15)


def test_a_run_that_fails_leaves_no_guardian_behind(guardians: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(ArithmeticError), guarding(bench.load("desk.toml"), JOURNAL):
        raise ArithmeticError
    assert [process.returncode is None for process in guardians] == [False]
    assert levels("source") == [0.0]


def test_what_a_driver_prints_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    info = Path("chatty-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chatty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[labneuro.drivers]\nchatty = chatty:LastingSource\n")
    Path("chatty.py").write_text("import os\nfrom annex_lab import LastingSource\nos.write(1, b'hello\\n')\n")
    monkeypatch.syspath_prepend(Path.cwd())
    Path("desk.toml").write_text(Path("desk.toml").read_text().replace("lasting", "chatty"))
    with guarding(bench.load("desk.toml"), JOURNAL):
        pass


def test_a_bench_that_wants_no_guardian_gets_none(guardians: list[subprocess.Popen[bytes]]) -> None:
    Path("desk.toml").write_text(f"guardian = false\n{Path('desk.toml').read_text()}")
    with guarding(bench.load("desk.toml"), JOURNAL):
        pass
    assert guardians == []


def test_a_guardian_that_is_ended_touches_nothing_and_is_missed(guardians: list[subprocess.Popen[bytes]]) -> None:
    said: list[str] = []
    with guarding(bench.load("desk.toml"), JOURNAL, said.append):
        guardians[0].terminate()
        guardians[0].wait()
    assert said == [f"the guardian ended before the run did, with status {guardians[0].returncode}"]
    assert levels("source") == [0.0]


def unknown_to_it(desk: BenchFile) -> BenchFile:
    return replace(desk, text=desk.text.replace("lasting", "everlasting"))


@pytest.mark.parametrize(
    ("change", "patience", "reason"),
    [
        (unknown_to_it, guardian.READY, "BenchError: desk.toml:2: parts.source.driver: no driver 'everlasting'"),
        (lambda desk: desk, 0.0, "it gave no answer within 0 s, or died"),
    ],
    ids=["a driver that can't be imported", "no answer in time"],
)
def test_no_bench_is_opened_before_its_guardian_is_ready(
    change: Callable[[BenchFile], BenchFile], patience: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "READY", patience)
    with (
        pytest.raises(BenchError, match=f"^desk.toml: the guardian is not ready: {reason}.*guardian = false"),
        guarding(change(bench.load("desk.toml")), JOURNAL),
    ):
        pytest.fail("it was opened")
