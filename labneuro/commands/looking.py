"""Commands that look and change nothing: at runs, at what is installed, at this machine."""

# ruff: noqa: PLC0415 - compilers and screens are loaded by the commands that need them

import argparse
import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from labneuro.commands.parsing import Parser, UsageError


def watch(arguments: list[str]) -> int:
    """Watch a run that goes on."""
    words = "Watch a run that goes on, and say how it ends. Exit status 1 if it fails or its process dies."
    parser = Parser("labneuro watch", words)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro.watch import watch

    return watch(given["run"], Console())


def runs(arguments: list[str]) -> int:
    """List the runs in a folder."""
    from labneuro.browse import KEYS, STATES, listing, runs_in

    parser = Parser("labneuro runs", "List the runs in a folder, the newest last.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path("runs"), help="default: runs")
    parser.add_argument("--protocol", metavar="NAME", help="only runs of this protocol")
    parser.add_argument("--bench", metavar="NAME", help="only runs on this bench")
    parser.add_argument("--state", choices=STATES, help="only runs in this state")
    since_help = "only runs begun on this day or later, as 2026-11-01; or 2026-11-01T20:30"
    parser.add_argument("--since", metavar="DATE", type=_moment, default=0.0, help=since_help)
    parser.add_argument("--sort", choices=KEYS, default="when", help="default: when")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    given = parser.read(arguments)

    runs = [
        run
        for run in runs_in(given["folder"])
        if all(given[what] in {None, KEYS[what](run)} for what in ("protocol", "bench", "state"))
        and KEYS["when"](run) >= given["since"]
    ]
    runs.sort(key=KEYS[given["sort"]], reverse=given["reverse"])
    if given["json"]:
        objects = [{**vars(run), "path": str(run.path)} for run in runs]
        sys.stdout.write(json.dumps(_jsonable(objects), allow_nan=False, indent=2) + "\n")
        return 0

    from rich.console import Console

    console = Console()
    for line in listing(runs, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)
    return 0


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write it like 2026-11-01") from None


def diff(arguments: list[str]) -> int:
    """Compare two runs."""
    words = "Compare two runs. Exit status 0 if all but the code is identical, 1 if not."
    parser = Parser("labneuro diff", words)
    parser.add_argument("runs", metavar="RUN", type=Path, nargs=2, help="two run files, or journals of runs")
    given = parser.read(arguments)

    from rich.console import Console
    from rich.text import Text

    from labneuro.diff import CODE, differences
    from labneuro.layout import printable, show
    from labneuro.store import RunFile

    first, second = map(RunFile, given["runs"])
    found = differences(first, second)
    console = Console()
    console.print(Text(f"- {first.path}\n+ {second.path}\n"), soft_wrap=True)
    show(
        {
            title: [(printable(a), printable(b)) for a, b in lines] or [("identical", "")]
            for title, lines in found.items()
        },
        console,
    )
    return 1 if any(lines for title, lines in found.items() if title != CODE) else 0


def list_installed(arguments: list[str]) -> int:
    """List protocols, benches, and roles with their drivers."""
    Parser("labneuro list", "List protocols, benches, and roles with their drivers.").read(arguments)
    from rich.console import Console

    from labneuro import catalogue
    from labneuro.layout import show

    protocols, benches, drivers = catalogue.protocols(), catalogue.benches(), catalogue.drivers()
    players = {role: [driver.name for driver in drivers if role in driver.roles] for role in catalogue.role_names()}
    tables = {
        "Protocols": [(entry.name, entry.line) for entry in protocols if not entry.problem],
        "Benches": [(entry.name, entry.line) for entry in benches if not entry.problem],
        "Roles and their drivers": [(role, ", ".join(names) or "-") for role, names in players.items()],
        "Can't be used": [(entry.name, entry.problem) for entry in (*protocols, *benches, *drivers) if entry.problem],
    }
    show(tables, Console())
    return 0


def show(arguments: list[str]) -> int:
    """Show what is in a run file."""
    parser = Parser("labneuro show", "Show what is in a run file.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file")
    words = "print one object: protocol, state, steps (their number), parameters, last (values of the last step)"
    parser.add_argument("--json", action="store_true", help=words)
    given = parser.read(arguments)

    from labneuro.store import RunFile

    run = RunFile(given["run"])
    if given["json"]:
        what = {
            "protocol": run.protocol,
            "state": run.state,
            "steps": run.steps.count,
            "parameters": run.parameters,
            "last": run.last(),
        }
        sys.stdout.write(json.dumps(_jsonable(what), allow_nan=False, indent=2) + "\n")
        sys.stdout.flush()
        return 0

    from rich.console import Console

    from labneuro.layout import show
    from labneuro.report import contents

    show(contents(run), Console())
    return 0


def plot(arguments: list[str]) -> int:
    """Draw the figure of a run."""
    parser = Parser("labneuro plot", "Draw the figure of a run, as its protocol says.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file")
    words = "the new picture: .png, .svg or .pdf (default: a .png beside the run file)"
    parser.add_argument("--out", metavar="FILE", type=Path, help=words)
    given = parser.read(arguments)

    from labneuro import registry
    from labneuro.report import draw
    from labneuro.store import RunFile, StoreError

    out: Path | None = given["out"]
    run = RunFile(given["run"])
    if out is not None and out.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise UsageError(f"{out} is no picture: end its name in .png, .svg or .pdf")
    if out is not None and (out.exists() or not out.parent.is_dir()):
        why = "it exists and is never overwritten" if out.exists() else f"there is no folder {out.parent}"
        raise StoreError(f"{out} can't be made: {why}; choose another --out")
    if not run.steps.count:
        raise UsageError(f"{run.path} has no steps to draw")
    try:
        protocol = registry.load_protocol(run.protocol)
    except registry.RegistryError:
        protocol = None
    sys.stdout.write(f"{draw(run, protocol, out)}\n")
    return 0


def doctor(arguments: list[str]) -> int:
    """Check whether this machine can run experiments, and say what to do if not."""
    Parser("labneuro doctor", "Check this machine and say what to do. Exit status 1 if no run can work.").read(
        arguments
    )
    from rich.console import Console

    from labneuro.doctor import examine, prescription

    findings = list(examine())
    Console().print(prescription(findings))
    return 1 if any(finding.verdict == "fail" for finding in findings) else 0


def _jsonable(value: Any) -> object:
    """Return a value as JSON knows it: arrays as lists, numbers that aren't finite as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in cast("list[Any]", value)]
    if isinstance(value, np.generic):  # longer than any number of Python
        value = np.asarray(value, np.complex128 if isinstance(value, np.complexfloating) else np.float64).item()
    if isinstance(value, complex):
        return [_jsonable(value.real), _jsonable(value.imag)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
