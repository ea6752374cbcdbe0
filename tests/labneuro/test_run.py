"""A run ends with its bench safe and its steps on the disk, however it ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from labneuro import bench, registry
from labneuro import run as module
from labneuro.bench import BenchError
from labneuro.interrupt import Interrupt
from labneuro.limits import LimitError
from labneuro.parameters import ParameterError
from labneuro.progress import Pace, ProgressDisplay, duration, number
from labneuro.provenance import provenance, source_commit
from labneuro.resume import resume
from labneuro.run import RunResult, execute, numbered
from labneuro.store import RunFile, StoreError

ANNEX = Path(__file__).parents[1] / "annex"
LEAVING = ["0 A", "safe", "close"]  # the limits ramp a source down before it is made safe
HANDLED = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a bench of one source that keeps a diary; signals are handled as before when it is left."""
    monkeypatch.syspath_prepend(ANNEX)
    monkeypatch.chdir(tmp_path)
    write_bench()
    before = [signal.getsignal(s) for s in HANDLED]
    yield
    assert [signal.getsignal(s) for s in HANDLED] == before


def write_bench(settings: str = "") -> None:
    Path("desk.toml").write_text(
        f'name = "desk"\n[parts.source]\ndriver = "diary"\n[parts.source.settings]\ndiary = "diary.txt"\n{settings}\n'
        '[parts.source.limits]\nmax_current = "8 mA"\nmax_compliance = "2 V"\n'
    )


def diary() -> list[str]:
    return Path("diary.txt").read_text().splitlines()


def perform(name: str, out: str | None = "a.h5", **parameters: object) -> RunResult:
    path = None if out is None else Path(out)
    desk = bench.load("desk.toml")
    return execute(registry.load_protocol(name), desk, parameters, path, progress=False)


def test_a_run_records_every_step_and_what_made_it() -> None:
    result = perform("ramp", top="4 mA", steps=4)
    assert (result.state, result.interrupt, result.aborted, result.steps) == ("finished", None, False, 4)
    run = RunFile("a.h5")
    assert (run.protocol, run.state, run.note, run.steps.count) == ("ramp", "finished", "", 4)
    np.testing.assert_allclose(run.steps["current"], [1e-3, 2e-3, 3e-3, 4e-3], rtol=1e-15)
    assert run.records["first_look"]["current"] == [0.0]
    assert run.parameters == {
        "steps": 4, "top": 4e-3, "power": 1e-3, "offset": 0.0, "shape": "line", "loud": False,
    }  # fmt: skip
    assert (run.units["parameters/top"], run.units["steps/part"]) == ("A", "1")
    assert (run.bench, run.bench_name) == (Path("desk.toml").read_text(), "desk")
    assert run.parts == {"source": "annex,diary,1,0"}
    assert run.provenance["numpy_version"] == np.__version__
    assert run.doc.startswith("Ramp a current")
    assert diary() == ["open", "2 V", "0.001 A", "0.002 A", "0.003 A", "0.004 A", *LEAVING]


def test_bad_parameters_and_benches_touch_nothing() -> None:
    with pytest.raises(ParameterError, match="steps"):
        perform("ramp", steps=0)
    with pytest.raises(ParameterError, match=r"stepz.*did you mean steps"):
        perform("ramp", stepz=1)
    with pytest.raises(BenchError, match="needs a part 'source'"):
        execute(registry.load_protocol("ramp"), bench.load("emulated"), {}, Path("a.h5"))
    assert [path.name for path in Path().iterdir()] == ["desk.toml"]


def test_an_existing_file_stops_the_run_before_the_bench_is_touched() -> None:
    Path("a.h5").write_text("precious")
    with pytest.raises(StoreError, match="never overwritten"):
        perform("ramp")
    assert Path("a.h5").read_text() == "precious"
    assert not Path("diary.txt").exists()


def test_a_bench_that_does_not_open_leaves_no_file() -> None:
    Path("no").write_text("")
    write_bench()
    Path("desk.toml").write_text(Path("desk.toml").read_text().replace("diary.txt", "no/diary.txt"))
    with pytest.raises(BenchError, match="Not a directory"):
        perform("ramp", out=None)
    assert sorted(path.name for path in Path().iterdir()) == ["desk.toml", "no"]


def test_a_failure_is_recorded_and_raised_and_the_bench_is_safe() -> None:
    with pytest.raises(ArithmeticError, match="don't add up") as caught:
        perform("breaks", after=2)
    assert caught.value.__notes__ == ["the 2 steps before it are kept; to go on: labneuro resume a.h5"]
    run = RunFile("a.h5")
    assert (run.state, run.steps.count) == ("failed", 2)
    assert run.note == "ArithmeticError: the sums don't add up"
    assert diary()[-2:] == ["safe", "close"]


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("how", ["ArithmeticError", "ValueError"])
def test_a_run_that_fails_before_its_first_step(how: str, look: bool) -> None:
    """It leaves nothing, unless it recorded something and wasn't simply asked for the impossible."""
    with pytest.raises((ArithmeticError, ValueError), match="don't add up"):
        perform("breaks", after=0, look=look, how=how)
    assert Path("a.h5").exists() == (look and how == "ArithmeticError")
    assert diary()[-2:] == ["safe", "close"]


def test_a_current_beyond_the_limit_leaves_no_file_and_no_folder() -> None:
    with pytest.raises(LimitError, match="asked for 9 mA, limit 8 mA"):
        perform("ramp", out=None, top="9 mA", steps=1)
    assert diary() == ["open", "2 V", "safe", "close"]
    assert not Path("runs").exists()


def test_a_bench_that_can_not_be_made_safe_is_no_success() -> None:
    write_bench("stuck = true")
    with pytest.raises(ExceptionGroup, match=r"on leaving bench 'desk'.*the relay is stuck"):
        perform("ramp")
    run = RunFile("a.h5")
    assert (run.state, run.steps.count) == ("failed", 3)
    assert "the relay is stuck" in run.note
    assert diary()[-1] == "close"


def test_a_protocol_that_forgets_to_yield_is_named() -> None:
    with pytest.raises(TypeError, match="protocol forgetful returned None"):
        perform("forgetful")
    assert not Path("a.h5").exists()


def test_default_names_carry_the_time_and_never_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "datetime", StoppedClock)
    paths = [perform("ramp", out=None).path for _ in range(3)]
    assert [path.as_posix() for path in paths] == [
        "runs/ramp-20180207-093000.h5",
        "runs/ramp-20180207-093000-2.h5",
        "runs/ramp-20180207-093000-3.h5",
    ]
    assert all(RunFile(path).state == "finished" for path in paths)


class StoppedClock:
    @staticmethod
    def now() -> Any:
        from datetime import datetime  # noqa: PLC0415 - the real one

        return datetime(2018, 2, 7, 9, 30, 0)  # local, as in the name


def test_numbers_go_on() -> None:
    names = numbered(Path("x/a.png"))
    assert [next(names).name for _ in range(3)] == ["a.png", "a-2.png", "a-3.png"]


def test_a_folder_that_can_not_be_made_is_named() -> None:
    Path("runs").write_text("in the way")
    with pytest.raises(StoreError, match="folder runs can't be made"):
        perform("ramp", out=None)


def test_a_run_off_the_main_thread_works() -> None:
    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(perform("ramp")))
    thread.start()
    thread.join()
    assert results[0].steps == 3


# Interrupts


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start `labneuro run` as a terminal would: with Ctrl-C not ignored."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from labneuro.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", code, "run", "slow", "--bench", "desk.toml", "--out", "a.h5", "--no-figure", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ANNEX)},
    )


def await_line(stream: Any, text: str) -> None:
    """Read lines until one has `text` in it."""
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"the process ended without saying {text!r}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("sent", "name"), [("SIGINT", "Ctrl-C"), ("SIGTERM", "SIGTERM"), ("SIGHUP", "SIGHUP")])
def test_one_signal_stops_after_the_step(sent: str, name: str) -> None:
    number = getattr(signal, sent)
    with start("--pause", "300 ms") as process:
        await_line(process.stdout, "step 3")
        process.send_signal(number)
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "step 4" not in said
    assert f"stopped by {name}, 3 steps" in said
    assert "stopping after this step; Ctrl-C again aborts it" in complaints
    run = RunFile("a.h5")
    assert (run.state, run.note, run.steps.count) == ("stopped", f"stopped by {name}", 3)
    assert run.end_time
    # the protocol's own clean-up may use the source; then the bench is made safe
    assert diary()[-4:] == ["0.0005 A", *LEAVING]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_two_aborts_the_step_and_a_third_does_not_keep_the_bench_from_being_made_safe() -> None:
    write_bench('farewell = "500 ms"')
    with start("--pause", "1000 s", "--tail", "500 ms") as process:
        await_line(process.stdout, "step 1")
        for message in ("stopping after this step", "aborting", "leaving the bench safe, please wait"):
            process.send_signal(signal.SIGINT)
            await_line(process.stderr, message)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "aborted by Ctrl-C, 0 steps" in said
    run = RunFile("a.h5")
    assert (run.state, run.note, run.steps.count) == ("stopped", "aborted by Ctrl-C", 0)
    assert diary() == ["open", "2 V", "0.001 A", "0.0005 A", *LEAVING]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_killed_run_says_interrupted_and_has_its_steps() -> None:
    with start("--pause", "20 ms") as process:
        await_line(process.stdout, "step 6")
        process.kill()
    run = RunFile("a.h5")
    assert (run.state, run.end_time) == ("interrupted", "")
    assert run.steps.count >= 5  # the sixth was asked for when the fifth had been recorded
    np.testing.assert_array_equal(run.steps["counts"], np.arange(1, run.steps.count + 1))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_p_pauses_a_run_after_its_step_and_lets_it_go_on() -> None:
    import pty  # noqa: PLC0415 - not on Windows
    import termios  # noqa: PLC0415

    keyboard, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    code = "import os; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    code += "import sys; from labneuro.cli import main; sys.exit(main(sys.argv[1:]))"
    slow = ["run", "slow", "--bench", "desk.toml", "--out", "a.h5", "--no-figure", "--steps", "8", "--pause", "100 ms"]
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, *slow],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ANNEX)},
    ) as process:
        await_line(process.stdout, "step 2")
        os.write(keyboard, b"p")
        await_line(process.stderr, "pausing after this step; p goes on, Ctrl-C stops")
        journal = Path("a.journal")
        while b"paused" not in journal.read_bytes():
            threading.Event().wait(0.02)
        size = journal.stat().st_size
        threading.Event().wait(0.5)
        assert journal.stat().st_size == size  # nothing is asked meanwhile
        os.write(keyboard, b"p")
        process.communicate(timeout=60)
    assert process.returncode == 0
    run = RunFile("a.h5")
    assert (run.state, run.steps.count) == ("finished", 8)
    assert [event.what for event in run.events[:2]] == ["paused", "continued"]
    assert termios.tcgetattr(terminal) == settings
    os.close(keyboard)
    os.close(terminal)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_ends_a_run_with_a_safe_bench_and_no_step_lost() -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "from labneuro.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    slow = ["run", "slow", "--bench", "desk.toml", "--out", "a.h5", "--steps", "1000", "--pause", "0 s"]
    write_bench()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *slow],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ANNEX)},
    )
    assert done.returncode == 2
    assert "can't write to a." in done.stderr
    assert "File too large" in done.stderr
    assert "make room, then: labneuro resume a." in done.stderr
    assert diary()[-3:] == LEAVING
    announced = done.stdout.count("step ")
    run = RunFile("a.h5")
    assert run.state in {"interrupted", "failed"}
    assert run.damage == ""
    assert announced - 1 <= run.steps.count <= announced < 1000
    assert resume(run, progress=False).steps == 1000  # there is room now
    np.testing.assert_array_equal(RunFile("a.h5").steps["counts"], np.arange(1, 1001))


def test_what_could_not_be_made_safe_is_said_and_written_down() -> None:
    write_bench("stuck = true")
    with pytest.raises(ArithmeticError) as caught:
        perform("breaks")
    assert any("source was not made safe: RuntimeError: the relay is stuck" in note for note in caught.value.__notes__)
    left = [event for event in RunFile("a.h5").events if "made safe" in event.what]
    assert [event.what for event in left] == ["NOT made safe"]
    assert "the relay is stuck" in left[0].words
    assert "the relay is stuck" in RunFile("a.h5").note


def test_a_run_that_failed_at_once_is_kept_if_its_bench_is_not_safe() -> None:
    write_bench("stuck = true")
    with pytest.raises(ValueError, match="the sums don't add up"):
        perform("breaks", after=0, how="ValueError")
    assert RunFile("a.h5").state == "failed"


def test_an_abort_waits_until_an_entry_is_written() -> None:
    interrupt = Interrupt()
    with interrupt.listening(), interrupt.abortable():
        signal.raise_signal(signal.SIGINT)
        interrupt.hold()
        signal.raise_signal(signal.SIGINT)  # nothing yet
        with pytest.raises(KeyboardInterrupt):
            interrupt.release()
        interrupt.release()


def test_a_second_signal_outside_the_protocol_raises_nothing() -> None:
    interrupt = Interrupt()
    with interrupt.listening():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert (interrupt.requested, interrupt.aborted) == (signal.SIGINT, False)
        with pytest.raises(KeyboardInterrupt), interrupt.abortable():
            signal.raise_signal(signal.SIGINT)
        assert interrupt.aborted


# Progress


def shown(total: int | None = 3, *, terminal: bool = False, file: Any = None, message: str = "") -> str:
    """What a display of three steps of `ramp` prints."""
    file = file or StringIO()
    annex = sys.modules[registry.load_protocol("ramp").__module__]
    interrupt = Interrupt()
    console = Console(file=file, force_terminal=terminal, width=100)
    with ProgressDisplay(console, "ramp", total, interrupt) as display:
        for k in range(1, 4):
            interrupt.message = message
            display.advance(annex.Step(k * 1e-3, k / 3, k, np.zeros(2)))
    return str(file.getvalue()) if isinstance(file, StringIO) else ""


def test_without_a_terminal_progress_is_a_few_plain_lines() -> None:
    first, last = shown().splitlines()
    assert first == "ramp 0/3"
    assert last.startswith("ramp 3/3")
    assert last.endswith("current 3 mA  part 1  counts 3")


def test_on_a_terminal_progress_is_live() -> None:
    text = shown(terminal=True, message="stopping after this step")
    assert "3/3" in text
    assert "current 3 mA  part 1  counts 3" in text
    assert "stopping after this step" in text
    assert "3 steps" in shown(None, terminal=True)


class ClosedTerminal(StringIO):
    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")


class BrokenPipe(StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("file", [ClosedTerminal, BrokenPipe])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_that_was_closed_does_not_stop_a_run(file: type[StringIO], terminal: bool) -> None:
    shown(file=file(), terminal=terminal)


def test_pace_leaves_out_the_first_step() -> None:
    times = iter([100.0, 100.5, 101.0, 101.5, 1101.5])
    pace = Pace(10, now=lambda: next(times))
    assert str(pace) == "0/10"
    pace.step()
    assert str(pace) == "1/10"
    for _ in range(3):
        pace.step()
    assert str(pace) == "4/10  2 steps/s  3 s left"
    pace.step()
    assert str(pace) == "5/10  4 min 10 s a step  20 min 52 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (np.float64(4.5e-3), "A", "4.5 mA"), (1 / 3, "1", "0.3333"), (np.bool_(True), "", "yes"),
        (np.int8(3), "", "3"), ("heed", "", "heed"), (np.float32(0.5), "", "0.5"),
    ],
)  # fmt: skip
def test_values_in_words(value: object, unit: str, text: str) -> None:
    assert number(value, unit) == text


# Provenance


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(  # noqa: S603
        ["git", *who, "-C", str(folder), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_the_tree_that_tracks_the_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    source, stray = tree / "a.py", tree / "venv.py"
    source.write_text("1")
    stray.write_text("1")
    git(tree, "init", "-q")
    git(tree, "add", "a.py")
    git(tree, "commit", "-qm", "first")
    commit = git(tree, "rev-parse", "HEAD")
    assert source_commit(source) == (commit, False)
    source.write_text("2")
    assert source_commit(source) == (commit, True)
    assert source_commit(stray) == ("", False)
    assert source_commit(tmp_path / "outside.py") == ("", False)


def test_a_machine_without_git_or_user_still_has_a_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("getpass.getuser", nobody)
    known = provenance()
    assert (known["commit"], known["user"]) == ("", "")
    assert known["python_version"] == ".".join(map(str, sys.version_info[:3]))
