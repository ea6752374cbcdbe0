"""The command line does what it says, and what it can't do it says in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

import labneuro
from labneuro import catalogue
from labneuro.cli import main
from labneuro.datasets.fetch import DatasetError
from labneuro.recording import RunWriter
from labneuro.store import RunFile

ANNEX = Path(__file__).parents[1] / "annex"

DESK = """
name = "desk"
description = "A source that keeps a diary"
[parts.source]
driver = "diary"
[parts.source.settings]
diary = "diary.txt"
[parts.source.limits]
max_current = "8 mA"
max_compliance = "2 V"
"""


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ANNEX)
    monkeypatch.chdir(tmp_path)
    Path("desk.toml").write_text(DESK)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line; return its exit status, what it says and what it complains about."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.name != "desk.toml")


RAMP = ("run", "ramp", "--bench", "desk.toml", "--no-figure")


def test_run_records_and_reports(say: Any) -> None:
    status, said, _ = say(*RAMP, "--out", "a.h5", "--steps", "4", "--top", "4 mA")
    assert status == 0
    lines = dict(line.split("  ", 1) for line in said.splitlines())
    assert {name: text.strip() for name, text in lines.items() if name.strip() != "run"} == {
        "highest current": "4 mA",
        "bench left": "source current 0 A",
        "file": "a.h5",
    }
    assert "finished, 4 steps in" in lines["run"]
    assert RunFile("a.h5").steps.count == 4


def test_run_goes_into_runs_by_default(say: Any) -> None:
    status, said, _ = say(*RAMP)
    assert status == 0
    (path,) = Path("runs").iterdir()
    assert str(path) in said


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        (["--power", "-3 dBm"], "power", 10**-0.3 * 1e-3),
        (["--power", "-3dBm"], "power", 10**-0.3 * 1e-3),
        (["--power=-3dBm"], "power", 10**-0.3 * 1e-3),
        (["--offset", "-2"], "offset", -2.0),
        (["--offset", "-.5e1"], "offset", -5.0),
        (["--shape", "square"], "shape", "square"),
        (["--loud"], "loud", True),
        (["--loud", "false"], "loud", False),
        (["--no-loud"], "loud", False),
        (["--steps", "2", "--steps", "5"], "steps", 5),
    ],
)
def test_values_of_options(say: Any, option: list[str], name: str, value: object) -> None:
    assert say(*RAMP, "--out", "a.h5", *option)[0] == 0
    found = RunFile("a.h5").parameters[name]
    assert found == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


def test_the_name_may_stand_behind_the_options_of_the_command(say: Any) -> None:
    assert say("run", "--bench", "desk.toml", "--out=a.h5", "--no-figure", "ramp", "--steps", "2")[0] == 0
    assert RunFile("a.h5").steps.count == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["runn"], "no command 'runn'; did you mean run?"),
        (["--verbose"], "unknown option --verbose"),
        (["run"], "which protocol? labneuro run NAME, where NAME is one of"),
        (["run", "--steps", "3", "ramp"], "write the protocol's name before --steps"),
        (["run", "rampp"], "no protocol 'rampp' is installed; did you mean ramp?"),
        (["run", "gone"], "protocol 'gone' (annex_gone:protocol) can't be imported"),
        (["run", "greedy"], "parameter out of this protocol hides --out: rename it"),
        ([*RAMP, "more"], "'more' is one word too many"),
        ([*RAMP, "--stepz", "3"], "unknown option --stepz; did you mean --steps?"),
        ([*RAMP, "--step", "3"], "unknown option --step; did you mean --steps?"),
        ([*RAMP, "--steps"], "argument --steps: expected one argument"),
        ([*RAMP, "--steps", "many"], "--steps: 'many' is not allowed: give an integer of at least 1"),
        ([*RAMP, "--steps", "0"], "--steps: '0' is not allowed"),
        ([*RAMP, "--shape", "lin"], "--shape: 'lin' is not allowed: give one of line, square; did you mean line?"),
        ([*RAMP, "--top", "3"], "--top: '3' has no unit"),
        ([*RAMP, "--top", "3 mV"], "--top: '3 mV' can't be converted to A"),
        ([*RAMP, "--top", "3 mX"], "--top: '3 mX'"),
        ([*RAMP, "--top", "9 mA", "--steps", "1"], "bench 'desk': source: asked for 9 mA, limit 8 mA (desk.toml:9)"),
        ([*RAMP, "--out", "taken"], "taken can't be made: it exists and is never overwritten"),
        ([*RAMP, "--out", "taken/a.h5"], "taken/a.h5 can't be made: Not a directory"),
        ([*RAMP, "--out", "gone/a.h5"], "gone/a.h5 can't be made: there is no folder gone; make it first"),
        (
            ["run", "ramp", "--bench", "emulatd"],
            "no bench 'emulatd' (one of your own is given by its path); did you mean emulated?",
        ),
        (["run", "ramp", "--bench", "gone.toml"], "gone.toml: no such file"),
        (["run", "ramp", "--bench", "emulated"], "ramp needs a part 'source' (CurrentSource)"),
        (["show"], "the following arguments are required: RUN"),
        (["show", "gone.h5"], "gone.h5: there is no such file"),
        (["show", "taken"], "taken can't be read as a run: it is not HDF5"),
        (["plot", "taken"], "taken can't be read as a run: it is not HDF5"),
        (["list", "all"], "'all' is one word too many"),
        (["doctor", "--fix"], "unknown option --fix"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(say: Any, arguments: list[str], complaint: str) -> None:
    Path("taken").write_text("precious")
    status, said, complaints = say(*arguments)
    last = complaints.splitlines()[-1]
    assert (status, said) == (2, "")
    assert last.startswith("labneuro: ")
    assert complaint in last
    assert all(line.startswith("ramp 0/1") for line in complaints.splitlines()[:-1])  # progress, if any
    assert Path("taken").read_text() == "precious"
    assert set(files()) <= {"taken", "diary.txt"}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "max_current",
            "max_curent",
            r"desk.toml:9: parts.source.limits.max_curent: unknown key; did you mean max_current",
        ),
        ("8 mA", "8 mQ", "desk.toml:9: parts.source.limits.max_current"),
        ('"8 mA"', "8.0", "desk.toml:9: parts.source.limits.max_current: 8.0 has no unit"),
        ("diary.txt", "taken/diary.txt", "desk.toml:5: parts.source: 'diary' did not start"),
        (
            '"diary"',
            '"diarist"',
            "desk.toml:5: parts.source.driver: no driver 'diarist' is installed; did you mean diary",
        ),
        ("[parts.source]", "[parts.source", "desk.toml:4: not TOML"),
    ],
)
def test_bad_benches_are_one_line_and_leave_nothing(say: Any, old: str, new: str, complaint: str) -> None:
    Path("taken").write_text("precious")
    Path("desk.toml").write_text(DESK.replace(old, new))
    status, _, complaints = say(*RAMP)
    assert status == 2
    assert complaint in complaints.splitlines()[-1]
    assert files() == ["taken"]


def test_bad_data_are_bad_input(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DatasetError("vowdata.dat:7: 3 columns, 16 are needed: replace the file")

    import annex_lab  # noqa: PLC0415 - on the path now

    monkeypatch.setattr(annex_lab, "FirstLook", refuse)
    status, _, complaints = say(*RAMP)
    assert status == 2
    assert complaints.splitlines()[-1] == "labneuro: vowdata.dat:7: 3 columns, 16 are needed: replace the file"
    assert files() == ["diary.txt"]


def test_a_failure_is_one_line_unless_debugged(say: Any) -> None:
    breaks = ("run", "breaks", "--bench", "desk.toml", "--no-figure")
    status, _, complaints = say(*breaks, "--out", "a.h5")
    assert status == 1
    assert complaints.splitlines()[-1] == (
        "labneuro: ArithmeticError: the sums don't add up; the 2 steps before it are kept; to go on: "
        "labneuro resume a.h5; --debug shows where"
    )
    assert "Traceback" not in complaints
    status, _, complaints = say(*breaks, "--out", "b.h5", "--debug")
    assert status == 1
    assert "annex_lab.py" in complaints


def test_ctrl_c_outside_a_run_is_no_traceback(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "protocols", interrupted)
    assert say("list") == (130, "", "labneuro: interrupted\n")


# Help and lists


def test_help_shows_the_parameters_of_a_protocol(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, said, _ = say("run", "ramp", "--help")
    assert status == 0
    assert "Ramp a current up to 100 % of its top." in said
    assert "Args:" not in said
    options = {line.split()[0]: line for line in said.splitlines() if line.startswith("  --")}
    assert list(options) == [
        "--debug", "--bench", "--out", "--no-figure", "--view",
        "--steps", "--top", "--power", "--offset", "--shape", "--loud",
    ]  # fmt: skip
    assert "Number of steps: an integer of at least 1 (default: 3)" in options["--steps"]
    assert 'The last current: a value above 0 A, such as "3 mA" (default: 3 mA)' in options["--top"]
    assert "one of line, square (default: line)" in options["--shape"]
    assert "(default: false)" in options["--loud"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"], ["show", "--help"], ["doctor", "-h"]])
def test_help_is_no_error(say: Any, arguments: list[str]) -> None:
    status, said, complaints = say(*arguments)
    assert (status, complaints) == (0, "")
    assert said.startswith("usage: labneuro")


def test_version(say: Any) -> None:
    assert say("--version") == (0, f"labneuro {labneuro.__version__}\n", "")


def test_list_goes_on_past_what_is_broken(say: Any) -> None:
    status, said, complaints = say("list")
    assert (status, complaints) == (0, "")
    lines = {line.split()[0]: line for line in said.splitlines() if line}
    assert lines["ramp"].endswith("  Ramp a current up to 100 % of its top.")
    assert lines["emulated"].split(maxsplit=1)[1]
    assert {"diary,", "lasting,", "keithley-2400,"} < set(lines["CurrentSource"].split())
    assert lines["OscillatorChip"].split()[1:] == ["oscillator-rig,", "oscillators"]
    assert "there is no module annex_gone" in lines["gone"]
    assert "it needs a_package_that_nobody_has, which is not installed" in lines["needy"]


def test_what_source_does_not_tell_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point may name something that its module imports from elsewhere, or that inherits from a driver."""
    Path("again.py").write_text(
        "from annex_lab import DiarySource, ramp as rise\nclass Second(DiarySource):\n    '''Another diary.'''\n"
    )
    monkeypatch.syspath_prepend(Path.cwd())
    from importlib.metadata import EntryPoint  # noqa: PLC0415

    entries = {name: EntryPoint(name, f"again:{name}", "any") for name in ("rise", "Second", "Third")}
    monkeypatch.setattr(catalogue.registry, "drivers", lambda: entries)
    rise, second, third = catalogue.drivers()
    assert (rise.line, rise.roles) == ("Ramp a current up to 100 % of its top.", ())
    assert (second.line, second.roles) == ("Another diary.", ("CurrentSource",))
    assert "again:Third can't be imported" in third.problem


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["--version"], ["run", "--help"]])
def test_quick_commands_load_nothing_slow(arguments: list[str]) -> None:
    code = (
        "import sys; from labneuro.cli import main; main(sys.argv[1:])\n"
        "slow = {'numba', 'PySide6', 'pyqtgraph', 'h5py', 'sklearn', 'scipy', 'pint', 'pyvisa'}\n"
        "sys.exit(', '.join(slow & set(sys.modules)) or 0)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    assert done.stderr == ""


# resume, rebuild


def test_a_run_that_was_broken_off_is_gone_on_with(say: Any, broken_off: Any) -> None:
    say(*RAMP, "--out", "whole.h5", "--steps", "5")
    broken_off("whole.h5", "a.h5", 12)
    assert "interrupted" in say("show", "a.h5")[1]
    status, said, _ = say("resume", "a.h5", "--no-figure")
    assert status == 0
    assert "finished, 5 steps in" in said
    assert "highest current  3 mA" in " ".join(said.split("\n")).replace("   ", "  ")
    np.testing.assert_array_equal(RunFile("a.h5").steps["current"], RunFile("whole.h5").steps["current"])
    status, _, complaints = say("resume", "a.h5")
    assert status == 2
    assert "a.h5 has finished: there is nothing to resume" in complaints


def test_a_run_file_is_rebuilt_from_its_journal(say: Any, broken_off: Any) -> None:
    say(*RAMP, "--out", "whole.h5", "--steps", "5")
    count = broken_off("whole.h5", "a.h5", 17).steps.count
    assert count > 1
    assert not Path("a.h5").exists()
    assert say("rebuild", "a.journal")[:2] == (0, f"a.h5: interrupted, {count} steps\n")
    assert not Path("a.journal").exists()
    assert RunFile("a.h5").steps.count == count
    status, _, complaints = say("rebuild", "a.h5")
    assert status == 2
    assert "a.h5 is complete: there is no journal beside it" in complaints


def test_what_lies_behind_damage_is_said_to_be_lost(say: Any, broken_off: Any) -> None:
    say(*RAMP, "--out", "whole.h5", "--steps", "5")
    broken_off("whole.h5", "a.h5", 16)
    data = bytearray(Path("a.journal").read_bytes())
    data[-20] ^= 1
    Path("a.journal").write_bytes(data)
    status, said, _ = say("rebuild", "a.h5")
    assert status == 1
    assert "a.journal is damaged at entry 16, byte" in said
    assert "a.journal is kept" in said
    assert Path("a.journal").read_bytes() == data
    assert "damage" in say("show", "a.h5")[1]
    assert say("replay", "a.h5")[0] == 1


# show


def head(**known: Any) -> dict[str, Any]:
    """What a journal says about a run of which nothing else is known."""
    nothing: dict[str, Any] = {
        "doc": "",
        "bench": "",
        "bench_name": "",
        "parameters": {},
        "units": {},
        "provenance": {},
    }
    return {"protocol": "p", **nothing, **known}


def test_show_json_is_one_object(say: Any) -> None:
    say(*RAMP, "--out", "a.h5", "--steps", "2", "--top", "2 mA")
    status, said, _ = say("show", "a.h5", "--json")
    assert status == 0
    shown = json.loads(said)
    assert list(shown) == ["protocol", "state", "steps", "parameters", "last"]
    assert shown == {
        "protocol": "ramp", "state": "finished", "steps": 2,
        "parameters": {"steps": 2, "top": 2e-3, "power": 1e-3, "offset": 0, "shape": "line", "loud": False},
        "last": {"current": 2e-3, "part": 1, "counts": 2, "levels": [2e-3, 1e-3]},
    }  # fmt: skip


def test_show_json_is_json_whatever_is_in_the_file(say: Any) -> None:
    import annex_lab  # noqa: PLC0415 - on the path now

    odd = annex_lab.Step(np.nan, 0.5, 1, np.array([1 + 2j, np.inf]))
    with RunWriter(Path("a.h5"), head(protocol="é", parameters={"x": None, "y": -np.inf, "z": ("a", "b")})) as new:
        new.append(odd)
    status, said, _ = say("show", "a.h5", "--json")
    assert status == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    shown = json.loads(said, parse_constant=refuse)
    assert (shown["protocol"], shown["state"]) == ("é", "interrupted")
    assert shown["parameters"] == {"x": None, "y": None, "z": ["a", "b"]}
    assert shown["last"] == {"current": None, "part": 0.5, "counts": 1, "levels": [[1, 2], [None, 0]]}


def test_show_json_of_a_run_without_steps(say: Any) -> None:
    RunWriter(Path("a.h5"), head()).finish("stopped")
    shown = json.loads(say("show", "--json", "a.h5")[1])
    assert (shown["steps"], shown["last"]) == (0, {})


def test_show_tells_what_is_in_a_run(say: Any) -> None:
    say(*RAMP, "--out", "a.h5")
    status, said, _ = say("show", "a.h5")
    assert status == 0
    lines = {" ".join(line.split()) for line in said.splitlines()}
    assert {
        "protocol ramp: Ramp a current up to 100 % of its top.", "state finished", "steps 3", "bench desk",
        "source annex,diary,1,0", "top 3 mA", "power 0 dBm", "current 3 mA", "part 1", "levels 3 mA, 1 mA",
        "first_look 1, each with current",
    } <= lines  # fmt: skip


def test_show_does_not_let_a_file_steer_the_terminal(say: Any) -> None:
    say(*RAMP, "--out", "a.h5")
    with h5py.File("a.h5", "r+") as file:
        file["entry/note"][()] = "\x1b[2J\x07gone [red]"
    said = say("show", "a.h5")[1]
    assert "gone [red]" in said
    assert "\x1b" not in said
    assert "\x07" not in said


# Figures


@pytest.fixture
def easel(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str, str]]:
    """A stand-in for the module that draws: it notes what it is asked to draw, and leaves a file."""
    drawn: list[tuple[Any, str, str]] = []

    def save_figure(panels: Any, path: Path, *, title: str) -> None:
        if panels == ["panel of breaks"]:
            raise RuntimeError("no pencil")
        drawn.append((panels, str(path), title))
        path.write_text("figure")

    figure = ModuleType("labneuro.views.figure")
    vars(figure).update(save_figure=save_figure, default_panels=lambda run: [f"default of {run.protocol}"])
    monkeypatch.setitem(sys.modules, "labneuro.views.figure", figure)
    return drawn


def test_a_run_ends_with_its_figure(say: Any, easel: list[tuple[Any, str, str]]) -> None:
    status, said, _ = say("run", "ramp", "--bench", "desk.toml", "--out", "a.h5")
    assert status == 0
    assert easel == [(["panel of ramp"], "a.png", RunFile("a.h5").title)]
    assert said.splitlines()[-1].split() == ["figure", "a.png"]


def test_a_figure_that_fails_costs_a_line_and_not_the_run(say: Any, easel: list[tuple[Any, str, str]]) -> None:
    import annex_lab  # noqa: PLC0415 - on the path now

    def breaks(run: Any) -> list[str]:
        raise RuntimeError(f"no pencil for {run.protocol}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annex_lab, "panels", breaks)
        patch.setattr(annex_lab, "summary", breaks)
        status, said, _ = say("run", "ramp", "--bench", "desk.toml", "--out", "a.h5")
    assert (status, easel) == (0, [])
    assert said.count("failed: RuntimeError: no pencil for ramp") == 2
    assert RunFile("a.h5").state == "finished"


def test_plot_never_overwrites(say: Any, easel: list[tuple[Any, str, str]]) -> None:
    say(*RAMP, "--out", "a.h5")
    assert say("plot", "a.h5")[:2] == (0, "a.png\n")
    assert say("plot", "a.h5")[:2] == (0, "a-2.png\n")
    assert say("plot", "a.h5", "--out", "b.svg")[:2] == (0, "b.svg\n")
    assert len(easel) == 3
    for out, why in {"b.svg": "it exists", "x.gif": "no picture", "gone/b.png": "no folder gone"}.items():
        status, _, complaints = say("plot", "a.h5", "--out", out)
        assert status == 2
        assert why in complaints
    assert len(easel) == 3


def test_plot_of_a_protocol_that_is_not_installed(say: Any, easel: list[tuple[Any, str, str]]) -> None:
    say(*RAMP, "--out", "a.h5")
    with h5py.File("a.h5", "r+") as file:
        file["entry/protocol/name"][()] = "elsewhere"
    assert say("plot", "a.h5")[0] == 0
    assert easel[0][0] == ["default of elsewhere"]


def test_plot_needs_steps(say: Any) -> None:
    RunWriter(Path("a.h5"), head()).finish("stopped")
    status, _, complaints = say("plot", "a.h5")
    assert status == 2
    assert "a.h5 has no steps to draw" in complaints


@pytest.mark.parametrize("arguments", [["list"], ["show", "--json", "a.h5"]])
def test_a_reader_that_leaves_early_sees_no_complaint(say: Any, arguments: list[str]) -> None:
    say(*RAMP, "--out", "a.h5")
    code = "import sys; from labneuro.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ANNEX)},
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
