"""The doctor finds what is missing, and says what to do about it."""

import sys
from importlib.metadata import EntryPoint
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from labneuro import doctor
from labneuro.cli import main
from labneuro.doctor import Finding


@pytest.fixture
def occupied(tmp_path: Path) -> Path:
    """A folder in which nothing can be written, by nobody: the one above it is a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def test_a_healthy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one runs the tests, so a run on the emulated chip works on it; all else has a remedy."""
    monkeypatch.chdir(tmp_path)
    findings = {finding.subject: finding for finding in doctor.examine()}
    assert not [finding for finding in findings.values() if finding.verdict == "fail"]
    assert all(bool(finding.remedy) == (finding.verdict != "ok") for finding in findings.values())
    assert {"python", "numba", "h5py", "cores", "kernel cache", "emulated bench", "guardian", "protocols", "drivers",
            "this folder", "data sets", "figures", "screen", "VISA"} <= set(findings)  # fmt: skip
    assert "oscillators" in findings["drivers"].what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("verdict", "status"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_only_a_failure_is_a_failure(
    verdict: Any, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("python", "ok", "3.11"), Finding("moon", verdict, "is down", "" if verdict == "ok" else "wait")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    assert main(["doctor"]) == status
    assert f"{verdict:<4}  moon    is down" in capsys.readouterr().out


def test_the_remedy_stands_below() -> None:
    file = StringIO()
    Console(file=file, width=80).print(doctor.prescription([Finding("VISA", "warn", "none", "install it")]))
    lines = [line.strip() for line in file.getvalue().splitlines()]
    assert lines == ["warn  VISA  none", "→ install it"]


def test_a_package_that_can_not_be_imported() -> None:
    finding = doctor.package_finding("no-such", "a_package_that_nobody_has")
    assert finding.verdict == "fail"
    assert "a_package_that_nobody_has" in finding.what
    assert "pip install" in finding.remedy


def test_a_folder_that_can_not_be_written(occupied: Path) -> None:
    finding = doctor.folder(occupied)
    assert (finding.verdict, finding.what) == ("fail", f"{occupied}: Not a directory")
    assert finding.remedy


def test_a_folder_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LITTLE", 10**18)
    assert doctor.folder(tmp_path).verdict == "warn"


def test_kernels_that_can_not_be_kept(occupied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(occupied))
    finding = doctor.kernel_cache()
    assert finding.verdict == "fail"
    assert "NUMBA_CACHE_DIR" in finding.remedy
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new" / "folder"))
    assert doctor.kernel_cache() == Finding("kernel cache", "ok", str(tmp_path / "new" / "folder"))


def test_data_sets_that_are_not_where_they_are_said_to_be(
    tmp_path: Path, occupied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABNEURO_DATA", str(occupied))
    finding = doctor.data_sets()
    assert finding.verdict == "warn"
    assert "LABNEURO_DATA" in finding.remedy
    monkeypatch.setenv("LABNEURO_DATA", str(tmp_path))
    assert doctor.data_sets().verdict == "ok"
    monkeypatch.delenv("LABNEURO_DATA")
    monkeypatch.setattr("pooch.os_cache", lambda _: occupied)
    assert doctor.data_sets().verdict == "warn"


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 10_000)
    finding = doctor.cores()
    assert finding.verdict == "warn"
    assert "NUMBA_NUM_THREADS=" in finding.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system has the screen")
def test_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert doctor.screen().verdict == "warn"
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.setenv(name, ":7")
        assert doctor.screen() == Finding("screen", "ok", f"{name} is :7")


@pytest.mark.parametrize(
    ("makers", "own", "verdict"), [((), False, "warn"), (("libvisa.so",), False, "ok"), ((), True, "ok")]
)
def test_visa_libraries(makers: tuple[str, ...], own: bool, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyvisa.ctwrapper.highlevel.IVIVisaLibrary.get_library_paths", lambda: makers)
    monkeypatch.setattr(doctor, "find_spec", lambda name: object() if own and name == "pyvisa_py" else None)
    finding = doctor.visa()
    assert finding.verdict == verdict
    assert ("pyvisa-py" in finding.remedy) == (verdict == "warn")
    assert all(maker in finding.what for maker in makers)


def test_no_qt_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "labneuro.views.qt", None)
    finding = doctor.qt()
    assert finding.verdict == "warn"
    assert "--no-figure" in finding.remedy


def test_an_emulated_bench_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("cannot cache function")

    monkeypatch.setattr(doctor.bench, "load", broken)
    finding = doctor.emulated_bench()
    assert (finding.verdict, finding.what) == ("fail", "RuntimeError: cannot cache function")


def test_a_guardian_that_does_not_get_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labneuro.guardian.READY", 0.0)
    finding = doctor.guardian()
    assert finding.verdict == "warn"
    assert "the guardian is not ready" in finding.what
    assert finding.remedy


def test_entry_points_that_can_not_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("gone", "annex_gone:protocol", "labneuro.protocols")
    monkeypatch.setattr(doctor.registry, "protocols", lambda: {"gone": broken})
    monkeypatch.setattr(doctor.registry, "drivers", dict)
    found = {finding.subject: finding for finding in doctor.entry_points()}
    assert {subject: finding.verdict for subject, finding in found.items()} == {
        "protocol gone": "warn", "protocols": "fail", "drivers": "fail",
    }  # fmt: skip
    assert "annex_gone" in found["protocol gone"].what
    assert all(finding.remedy for finding in found.values())
