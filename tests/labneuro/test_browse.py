"""The runs in a folder are listed whatever else lies there."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labneuro import browse
from labneuro.browse import UNREADABLE, listing, runs_in
from labneuro.cli import main
from labneuro.overview import Overview, overview
from labneuro.recording import RunWriter
from labneuro.store import StoreError
from labneuro.units import Current, Currents

HEAD: dict[str, Any] = {
    "protocol": "scan", "doc": "", "parameters": {}, "units": {}, "bench": "", "bench_name": "desk", "provenance": {},
}  # fmt: skip
DAY = 86400.0
BEGINNING = 1.7e9  # 2023-11-14


@dataclass(frozen=True)
class Step:
    """Two numbers and an array."""

    bias: Current
    errors: int
    currents: Currents


@dataclass(frozen=True)
class Remark:
    """What is no step."""

    text: str


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Record a run that began some days after the BEGINNING and lasted 10 s; state "": its process was killed."""

    def recorded(name: str, day: float, state: str = "finished", steps: int = 2, **head: Any) -> Path:
        times = iter([BEGINNING + day * DAY, BEGINNING + day * DAY + 10])
        now = [next(times)]
        monkeypatch.setattr("time.time", lambda: now[0])
        with RunWriter(tmp_path / f"{name}.h5", {**HEAD, **head}, Step) as run:
            for k in range(steps):
                run.append(Step(4.5e-3, k, np.zeros(3)))
                run.append(Remark("good"))
            now[0] = next(times)
            if state:
                run.finish(state)  # type: ignore[arg-type]
            else:
                run.append(Remark("bad"))
        monkeypatch.undo()
        return run.path

    return recorded


def test_a_run_is_summed_up_from_its_file_or_its_journal_alike(record: Callable[..., Path]) -> None:
    finished, killed = overview(record("a", 0)), overview(record("b", 0, ""))
    assert (finished.state, finished.note) == ("finished", "")
    assert (killed.state, killed.note) == ("interrupted", "its process died after step 2")
    for run in (finished, killed):
        assert (run.protocol, run.bench, run.steps, run.duration) == ("scan", "desk", 2, 10.0)
        assert run.began == BEGINNING
        assert run.last == {"bias": 4.5e-3, "errors": 1}
        assert run.units == {"bias": "A", "errors": ""}
        assert run.problem == ""


def test_no_copy_of_a_journal_is_made_to_sum_it_up(
    record: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record("a", 0, "")
    monkeypatch.setattr("labneuro.overview.RunFile", pytest.fail)
    assert overview(path).steps == overview(path.with_suffix(".journal")).steps == 2


def test_a_run_that_goes_on_is_running(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.h5", HEAD) as run:
        run.append(Step(0.0, 0, np.zeros(1)))
        (found,) = runs_in(tmp_path)
        assert (found.state, found.steps, found.path) == ("running", 1, run.path)


def test_the_newest_run_is_the_last(record: Callable[..., Path], tmp_path: Path) -> None:
    for name, day in (("c", 2), ("a", 3), ("b", 1)):
        record(name, day)
    assert [run.path.name for run in runs_in(tmp_path)] == ["b.h5", "c.h5", "a.h5"]


def test_what_is_no_run_is_listed_with_the_reason(record: Callable[..., Path], tmp_path: Path) -> None:
    record("good", 0)
    (tmp_path / "text.h5").write_text("no run")
    (tmp_path / "text.journal").write_text("no journal")
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "nowhere.h5").symlink_to(tmp_path / "gone.h5")
    (tmp_path / "notes.txt").write_text("not listed")
    h5py.File(tmp_path / "other.h5", "w").close()
    cut = record("cut", 1)
    os.truncate(cut, cut.stat().st_size // 2)
    found = {run.path.name: run for run in runs_in(tmp_path)}
    good = found.pop("good.h5")
    assert good.problem == ""
    assert sorted(found) == ["cut.h5", "folder.h5", "nowhere.h5", "other.h5", "text.h5"]
    for run in found.values():
        assert run.state == UNREADABLE
        assert run.problem


def test_a_damaged_journal_is_listed_as_far_as_it_goes(record: Callable[..., Path], tmp_path: Path) -> None:
    with record("a", 0, "").with_suffix(".journal").open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"damage")
    (run,) = runs_in(tmp_path)
    assert run.steps == 2
    assert "damaged at entry" in run.problem
    assert "damaged at entry" in list(listing([run]))[1].plain


def test_only_the_result_is_cut_for_a_screen() -> None:
    run = Overview(Path("runs/scan-1.h5"), "scan", "desk", "finished", "", BEGINNING, 200, 60, {"word": "x" * 300})
    (wide,) = list(listing([run]))[1:]
    (narrow,) = list(listing([run], 120))[1:]
    assert len(wide) > 255
    assert len(narrow) == 120
    assert narrow.plain.startswith("2023-11-1")
    assert narrow.plain.endswith("x…  scan-1.h5")
    assert "scan      desk   finished     60  3 min 20 s  word xxx" in narrow.plain


def test_what_stands_in_a_run_does_not_steer_the_terminal(record: Callable[..., Path]) -> None:
    run = overview(record("a", 0, "", protocol="\x1b[2Jscan\n", bench_name="a\x07b"))
    assert all(line.plain.isprintable() for line in listing([run]))


@pytest.mark.parametrize("time", ["", "soon", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_is_none_is_not_shown(record: Callable[..., Path], time: str) -> None:
    path = record("a", 0)
    with h5py.File(path, "r+") as file:
        file["entry/start_time"][()] = time
    run = overview(path)
    assert (run.began, run.duration) == (None, None)
    assert list(listing([run]))[1].plain.split()[0] == "scan"


def test_a_folder_that_is_none_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match=r"nowhere can't be listed: .*; give the folder of your runs"):
        runs_in(tmp_path / "nowhere")
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    assert main(["runs", "--since", "tomorrow"]) == 2
    assert main(["runs", "--state", "lost"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "old young newer"),
        ("--reverse", "newer young old"),
        ("--protocol ramp", "young"),
        ("--bench rack", "newer"),
        ("--state interrupted", "newer"),
        ("--since 2023-11-20", "young newer"),
        ("--since 2023-11-20 --protocol scan", "newer"),
        ("--sort protocol", "young old newer"),
        ("--sort bench", "old young newer"),
        ("--sort state", "old young newer"),
        ("--sort steps", "newer old young"),
        ("--sort steps --reverse", "young old newer"),
        ("--protocol walk", ""),
    ],
)
def test_runs_are_chosen_and_sorted(
    record: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, expected: str
) -> None:
    record("old", 0, steps=2)
    record("young", 10, steps=3, protocol="ramp")
    record("newer", 20, "", steps=1, bench_name="rack")
    assert main(["runs", str(tmp_path), *options.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == browse._COLUMNS
    assert [line.split()[-1].removesuffix(".h5") for line in lines[1:]] == expected.split()


def test_json_is_a_list_of_objects(
    record: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record("a", 0, protocol="sc\udcffan")
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "path": str(path), "protocol": "sc?an", "bench": "desk", "state": "finished", "note": "",
            "began": BEGINNING, "duration": 10.0, "steps": 2, "last": {"bias": 4.5e-3, "errors": 1},
            "units": {"bias": "A", "errors": ""}, "problem": "",
        }
    ]  # fmt: skip
