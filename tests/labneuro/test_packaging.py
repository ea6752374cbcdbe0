import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from labneuro.bench import load, shipped

ROOT = Path(__file__).parents[2]
FOLDERS = ("labneuro", "instruments", "protocols", "simulators")
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def installed_folders() -> set[str]:
    """Return the folders that pyproject.toml installs as packages, relative to the root."""
    mapped: dict[str, str] = SETUPTOOLS["package-dir"]
    folders: set[str] = set()
    for package in SETUPTOOLS["packages"]:
        prefix = max((p for p in mapped if package == p or package.startswith(f"{p}.")), key=len)
        rest = package.removeprefix(prefix).replace(".", "/")
        folders.add(f"{mapped[prefix]}{rest}")
    return folders


def test_every_folder_with_modules_is_installed() -> None:
    with_modules = {path.parent.relative_to(ROOT).as_posix() for path in sources()}
    assert with_modules >= set(FOLDERS)
    assert with_modules == installed_folders()


def test_data_files_are_installed_with_their_package() -> None:
    """Whatever stands beside the modules, and is no module, is named in package-data."""
    data: dict[str, list[str]] = SETUPTOOLS["package-data"]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_dir() or path.suffix in {".py", ".pyc", ".nbi", ".nbc"}:
                continue
            relative = path.parent.relative_to(ROOT).as_posix()
            package = relative if folder == "labneuro" else f"labneuro/{relative}"
            patterns = data.get(package.replace("/", "."), [])
            assert any(PurePosixPath(path.name).match(pattern) for pattern in patterns), path


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_benches_open_with_the_drivers_they_name_and_are_left_safe(name: str) -> None:
    with load(name).open() as bench:
        assert bench.parts
    assert bench.safety_report == [(part, "safe") for part in load(name).safe_order]


SLOW = ["PySide6", "pyqtgraph", "h5py", "numba", "pint", "sklearn", "scipy", "pyvisa"]


@pytest.mark.parametrize(
    "module",
    ["labneuro", "labneuro.roles", "labneuro.signals", "labneuro.units", "labneuro.limits", "labneuro.bench"],
)
def test_importing_the_core_loads_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules.keys() & set({SLOW}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert answer.stdout.split() == []


def sleeps(source: str) -> list[int]:
    """Return the lines on which a module gets hold of `time.sleep`, under whatever name."""
    tree = ast.parse(source)
    clocks = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "time"
    }
    taken = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and any(alias.name in {"sleep", "*"} for alias in node.names)
    ]
    used = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id in clocks
    ]
    return sorted(taken + used)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nwait = t.sleep",
        "from time import sleep as s",
        "from time import *",
    ],
)
def test_the_search_for_sleeps_finds_them(source: str) -> None:
    assert sleeps(source) == [source.count("\n") + 1]


def test_only_the_clock_sleeps() -> None:
    sleepers = {p.relative_to(ROOT).as_posix() for p in sources() if sleeps(p.read_text(encoding="utf-8"))}
    assert sleepers == {"labneuro/clock.py"}
