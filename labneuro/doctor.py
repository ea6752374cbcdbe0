"""Whether this machine can run experiments: what is there, what is missing, and what to do about it."""

import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from platformdirs import user_cache_path
from rich.table import Table
from rich.text import Text

from labneuro import bench, registry
from labneuro.attempts import in_words
from labneuro.datasets.fetch import FOLDER_VARIABLE
from labneuro.guardian import guarding
from labneuro.provenance import installed

Verdict = Literal["ok", "warn", "fail"]

_NEEDED = {"numpy": "numpy", "numba": "numba", "scipy": "scipy", "h5py": "h5py", "scikit-learn": "sklearn"}
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_LITTLE = 2 * 10**9  # bytes of room below which a long run may not fit


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    verdict: "fail" if no run on an emulated chip can work, "warn" if something else can't. what: that was
    found. remedy: what to do, "" if all is well.
    """

    subject: str
    verdict: Verdict
    what: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything a run needs, in the order in which it needs it."""
    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("labneuro", "ok", installed("labneuro"))
    for package, module in _NEEDED.items():
        yield package_finding(package, module)
    yield cores()
    yield kernel_cache()
    yield emulated_bench()
    yield guardian()
    yield from entry_points()
    yield folder(Path.cwd())
    yield data_sets()
    yield qt()
    yield screen()
    yield visa()


def prescription(findings: Sequence[Finding]) -> Table:
    """Return findings as a table, each remedy below what it cures."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=max(map(len, _COLOURS)))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.verdict]
        table.add_row(Text(finding.verdict, style=f"bold {colour}"), Text(finding.subject), Text(finding.what))
        if finding.remedy:
            table.add_row("", "", Text(f"→ {finding.remedy}", style=colour))
    return table


def package_finding(package: str, module: str) -> Finding:
    """Import a package that every run needs."""
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken build raises anything
        remedy = f"python -m pip install --force-reinstall {package}"
        return Finding(package, "fail", f"can't be imported: {in_words(error)}", remedy)
    return Finding(package, "ok", installed(package))


def cores() -> Finding:
    """Count the cores of the machine, those we may use, and the threads that kernels take."""
    from numba import config  # noqa: PLC0415 - a compiler takes a while  # pyright: ignore[reportMissingTypeStubs]

    threads = int(getattr(config, "NUMBA_NUM_THREADS", 1))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    what = f"{os.cpu_count()} in the machine, {usable} of them ours; kernels take {threads} threads"
    if threads > usable:
        return Finding("cores", "warn", what, f"set NUMBA_NUM_THREADS={usable}: more threads than cores are slower")
    return Finding("cores", "ok", what)


def kernel_cache() -> Finding:
    """Look for a folder in which numba can keep compiled kernels: it looks in the same places."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    specs = [find_spec(entry.module) for entry in registry.drivers().values()]
    beside = {Path(spec.origin).parent / "__pycache__" for spec in specs if spec is not None and spec.origin}
    places = [Path(own)] if own else [*beside, user_cache_path("numba", appauthor=False)]
    for place in places:
        if not _trouble(place):
            return Finding("kernel cache", "ok", str(place))
    what = f"none of these can be written: {', '.join(map(str, places))}"
    return Finding("kernel cache", "fail", what, "set NUMBA_CACHE_DIR to a folder that can be written")


def emulated_bench() -> Finding:
    """Open the bench of the emulated chip and leave it."""
    try:
        with bench.load("emulated").open() as opened:
            chips = ", ".join(part.identity for part in opened.parts.values())
    except Exception as error:  # noqa: BLE001 - whatever stops it would stop a run
        remedy = "reinstall labneuro: python -m pip install --force-reinstall --no-deps labneuro"
        return Finding("emulated bench", "fail", in_words(error), remedy)
    return Finding("emulated bench", "ok", chips)


def guardian() -> Finding:
    """Start a guardian, as a run on real instruments does, and end it."""
    began = time.monotonic()
    try:
        with guarding(replace(bench.load("emulated"), guarded=True), Path(os.devnull)):
            seconds = time.monotonic() - began
    except Exception as error:  # noqa: BLE001 - whatever stops it would stop a run on real instruments
        remedy = "emulated chips need none; without one, real instruments need guardian = false in their bench file"
        return Finding("guardian", "warn", in_words(error), remedy)
    return Finding("guardian", "ok", f"ready after {seconds:.1f} s")


def entry_points() -> Iterator[Finding]:
    """Import every installed protocol and driver."""
    loaders = {"protocol": registry.load_protocol, "driver": registry.load_driver}
    offered = {"protocol": registry.protocols(), "driver": registry.drivers()}
    for kind, entries in offered.items():
        fine: list[str] = []
        for name, entry in entries.items():
            try:
                loaders[kind](name)
                fine.append(name)
            except Exception as error:  # noqa: BLE001 - another package's code
                owner = entry.dist.name if entry.dist is not None else entry.module
                yield Finding(f"{kind} {name}", "warn", in_words(error), f"repair or uninstall {owner}")
        if fine:
            yield Finding(f"{kind}s", "ok", ", ".join(fine))
        else:
            yield Finding(f"{kind}s", "fail", "none", "reinstall labneuro: its entry points are missing")


def folder(path: Path) -> Finding:
    """Try to write in the folder in which runs are stored by default."""
    if trouble := _trouble(path):
        return Finding("this folder", "fail", f"{path}: {trouble}", "change to a folder that can be written")
    free = shutil.disk_usage(path).free
    what = f"{path}, {free / 1e9:.3g} GB free"
    if free < _LITTLE:
        return Finding("this folder", "warn", what, "make room before a long run")
    return Finding("this folder", "ok", what)


def data_sets() -> Finding:
    """Look for the folder of data sets, or the cache they are downloaded into."""
    import pooch  # noqa: PLC0415 - only who downloads waits for it  # pyright: ignore[reportMissingTypeStubs]

    if own := os.environ.get(FOLDER_VARIABLE):
        if Path(own).expanduser().is_dir():
            return Finding("data sets", "ok", f"in {own} ({FOLDER_VARIABLE})")
        remedy = f"unset {FOLDER_VARIABLE}, or name a folder that holds data sets"
        return Finding("data sets", "warn", f"{FOLDER_VARIABLE} is {own}: no such folder", remedy)
    cache = Path(pooch.os_cache("labneuro"))
    if trouble := _trouble(cache):
        remedy = f"set {FOLDER_VARIABLE} to a folder that holds data sets; those that ship need none"
        return Finding("data sets", "warn", f"{cache}: {trouble}", remedy)
    return Finding("data sets", "ok", f"downloaded into {cache} when needed")


def qt() -> Finding:
    """Load what draws the figures."""
    try:
        importlib.import_module("labneuro.views.qt")
    except Exception as error:  # noqa: BLE001 - a missing system library raises anything
        return Finding("figures", "warn", str(error), "or run without: labneuro run NAME --no-figure")
    return Finding("figures", "ok", f"pyqtgraph {installed('pyqtgraph')}, Qt {installed('PySide6-Essentials')}")


def screen() -> Finding:
    """Say where windows would appear."""
    chosen = os.environ.get("QT_QPA_PLATFORM")
    if chosen:
        return Finding("screen", "ok", f"QT_QPA_PLATFORM is {chosen}")
    if sys.platform != "linux":
        return Finding("screen", "ok", "the system's")
    for variable in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(variable):
            return Finding("screen", "ok", f"{variable} is {os.environ[variable]}")
    remedy = "figures are saved all the same; for windows log in at the screen, or with ssh -X"
    return Finding("screen", "warn", "none (no DISPLAY, no WAYLAND_DISPLAY)", remedy)


def visa() -> Finding:
    """Look for a library that talks to instruments."""
    remedy = "python -m pip install pyvisa-py, or the VISA of a maker of instruments; emulated chips need none"
    try:
        from pyvisa.ctwrapper.highlevel import IVIVisaLibrary  # noqa: PLC0415 - only instruments need it
    except ImportError as error:
        return Finding("VISA", "warn", in_words(error), f"python -m pip install pyvisa; {remedy}")
    found = [str(path) for path in IVIVisaLibrary.get_library_paths()]
    if find_spec("pyvisa_py") is not None:
        found.append(f"pyvisa-py {installed('pyvisa-py')}")
    if not found:
        return Finding("VISA", "warn", f"pyvisa {installed('pyvisa')}, but no VISA library", remedy)
    return Finding("VISA", "ok", f"pyvisa {installed('pyvisa')} with {', '.join(found)}")


def _trouble(path: Path) -> str:
    """Return why a folder, or the nearest one above it that exists, can't be written; "" if it can."""
    existing = next((place for place in (path, *path.parents) if place.exists()), path)
    try:
        with TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return error.strerror or str(error)
