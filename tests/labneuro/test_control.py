"""Others steer a run by words, and whatever becomes of them, the run goes on."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from labneuro import bench, control, registry
from labneuro.cli import main
from labneuro.clock import WallClock
from labneuro.entries import Entry, Noted, Yielded
from labneuro.interrupt import Interrupt
from labneuro.run import RunResult, execute
from labneuro.store import RunFile

Say = Callable[[str], object]
SOURCE = """guardian = false
[parts.source]
driver = "lasting"
settings = { levels = "levels.txt" }
limits = { max_current = "8 mA", max_compliance = "2 V" }
"""


@pytest.fixture(autouse=True)
def laboratory(annex: Path) -> None:
    Path("levels.txt").write_text("0.0\n")
    Path("desk.toml").write_text(SOURCE)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts a program of one's own in the place of the window."""

    def put(code: str) -> None:
        Path("window").write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        Path("window").chmod(0o755)
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(sys, "executable", str(Path("window").absolute()))

    return put


def perform(protocol: str, steered: control.Steering, **parameters: object) -> RunResult:
    desk = bench.load("desk.toml")
    return execute(registry.load_protocol(protocol), desk, parameters, Path("a.h5"), progress=False, steered=steered)


def saying(words: Callable[[Say], None]) -> control.Steering:
    """Return what steers a run by the words that a thread writes into a pipe."""

    def steered(interrupt: Interrupt, path: Path) -> AbstractContextManager[None]:
        reading, writing = os.pipe()

        def write() -> None:
            words(lambda word: os.write(writing, f"{word}\n".encode()))
            os.close(writing)

        threading.Thread(target=write, daemon=True).start()
        return control._obeying(os.fdopen(reading, "rb", buffering=0), interrupt)

    return steered


def until(happened: Callable[[], bool]) -> None:
    while not happened():
        WallClock().sleep(0.01)


def noted(words: str) -> Callable[[], bool]:
    """Return what tells whether `words` stand in the journal by now."""
    return lambda: words.encode() in Path("a.journal").read_bytes()


def test_a_run_is_paused_goes_on_and_is_stopped(entries: Callable[[str], list[Entry]]) -> None:
    def words(say: Say) -> None:
        say("pause")
        until(noted("outputs stay as they are"))
        say("nonsense \xff")
        say("continue")
        until(noted("continued"))
        say("stop")

    result = perform("slow", saying(words), pause=0.01, steps=300)
    assert (result.state, result.interrupt, result.aborted) == ("stopped", signal.SIGINT, False)
    assert RunFile("a.h5").note == "stopped by the window"
    pauses = [entry.what for entry in entries("a.h5") if isinstance(entry, Noted)]
    assert pauses == ["paused", "continued"]


def test_a_step_is_aborted_in_its_middle_and_the_clean_up_is_not(entries: Callable[[str], list[Entry]]) -> None:
    def words(say: Say) -> None:
        until(noted("set_current"))
        say("abort")
        say("abort")

    result = perform("slow", saying(words), pause=1000.0, tail=0.2)
    assert (result.state, result.aborted, result.steps) == ("stopped", True, 0)
    assert RunFile("a.h5").note == "aborted by the window"
    assert Path("levels.txt").read_text().split()[-3:] == ["0.0005", "0.0", "0.0"]
    assert not [entry for entry in entries("a.h5") if isinstance(entry, Yielded)]


def test_words_that_end_do_nothing() -> None:
    assert perform("ramp", saying(lambda say: None)).state == "finished"


def test_words_after_the_end_reach_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    ended, said = threading.Event(), threading.Event()

    def words(say: Say) -> None:
        ended.wait()
        say("abort")
        said.set()

    result = perform("ramp", saying(words))
    ended.set()
    said.wait()
    WallClock().sleep(0.05)
    assert (result.state, capfd.readouterr().err) == ("finished", "")


def test_whoever_starts_a_run_steers_it_through_its_standard_input(annex: Path) -> None:
    words = ["run", "slow", "--bench", "desk.toml", "--out", "a.h5", "--no-figure", "--pause", "1000 s", "--controlled"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "annex")}
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "labneuro", *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"step 1\n"
        process.communicate(b"abort\n", timeout=60)
    assert process.returncode == 130
    assert RunFile("a.h5").note == "aborted by the window"


def test_a_window_steers_the_run_that_has_opened_it(window: Callable[[str], None]) -> None:
    window("open('asked', 'w').write(' '.join(sys.argv)); open('session', 'w').write(str(os.getsid(0) == os.getpid()));"
           "os.write(1, b'stop\\n')")  # fmt: skip
    result = perform("slow", control.by_a_window, pause=0.01, steps=300)
    assert (result.state, RunFile("a.h5").note) == ("stopped", "stopped by the window")
    assert Path("asked").read_text().endswith("-P -m labneuro view a.h5 --control")
    assert Path("session").read_text() == "True"  # a Ctrl-C at the terminal is not for it


@pytest.mark.parametrize(("code", "said"), [("sys.exit(3)", "the window has crashed, status 3"), ("", "")])
def test_a_window_that_ends_leaves_the_run_as_it_is(
    window: Callable[[str], None], capfd: pytest.CaptureFixture[str], code: str, said: str
) -> None:
    window(f"open('number', 'w').write(str(os.getpid()))\n{code}")
    result = perform("slow", control.by_a_window, pause=0.02, steps=25)
    assert result.state == "finished"
    assert said in capfd.readouterr().err
    with pytest.raises(ProcessLookupError):  # nor is it a zombie
        os.kill(int(Path("number").read_text()), 0)


def test_a_window_outlives_its_run(window: Callable[[str], None]) -> None:
    window("open('number', 'w').write(str(os.getpid()))\ntime.sleep(1000)")
    try:
        perform("slow", control.by_a_window, pause=0.02, steps=25)
    finally:
        os.kill(int(Path("number").read_text()), signal.SIGKILL)


def test_a_window_that_cannot_be_started_leaves_the_run_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert perform("ramp", control.by_a_window).state == "finished"
    assert capfd.readouterr().err.count("no window") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_without_a_screen_a_line_says_so(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main(["run", "ramp", "--bench", "desk.toml", "--out", "a.h5", "--no-figure", "--view"]) == 0
    said = capfd.readouterr()
    assert [line for line in said.err.splitlines() if "no window" in line] == [
        "no window: neither DISPLAY nor WAYLAND_DISPLAY names a screen; the run goes on"
    ]
    assert main(["view", "a.h5"]) == 2
    assert "labneuro watch a.h5 needs none" in capfd.readouterr().err
