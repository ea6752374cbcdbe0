"""What there is to say about a run when it is over: its summary, its file and its figure."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from labneuro.attempts import in_words
from labneuro.experiment import Protocol
from labneuro.layout import printable, show_lines
from labneuro.overview import time_of_day
from labneuro.progress import duration, quantity
from labneuro.run import RunResult, numbered
from labneuro.store import RunFile

if TYPE_CHECKING:
    from labneuro.views.panels import Panel

_EVENTS = 20  # shown at most, the last ones


def report(result: RunResult, protocol: Protocol, console: Console, *, figure: bool = True) -> None:
    """Print how a run ended, what its protocol has to say about it, and where the file and the figure are.

    The run is safe in its file by now: what goes wrong here is said in a line and no more.
    """
    run = RunFile(result.path)
    steps = "1 step" if result.steps == 1 else f"{result.steps} steps"
    lines = [("run", f"{run.note or run.state}, {steps} in {duration(result.seconds)}")]
    try:
        summary = beside(protocol, "summary")
        lines += summary(run) if summary is not None and result.steps else []
    except Exception as error:  # noqa: BLE001 - the summary is the protocol's code
        lines.append(("summary", f"failed: {in_words(error)}"))
    lines.append(("bench left", "; ".join(f"{part.part} {part.words}" for part in result.left)))
    lines.append(("file", str(result.path)))
    if result.state == "stopped":
        lines.append(("to go on", f"labneuro resume {result.path}"))
    if figure and result.steps:
        try:
            lines.append(("figure", str(draw(run, protocol))))
        except Exception as error:  # noqa: BLE001 - as above, and the screen's
            lines.append(("figure", f"failed: {in_words(error)}"))
    show_lines(lines, console)


def draw(run: RunFile, protocol: Protocol | None, path: Path | None = None) -> Path:
    """Draw a run as its protocol says and return where: `path`, or a free name beside the run file."""
    from labneuro.views.figure import save_figure  # noqa: PLC0415 - Qt takes a while

    path = path or next(place for place in numbered(run.path.with_suffix(".png")) if not place.exists())
    save_figure(panels_of(run, protocol), path, title=run.title)
    return path


def panels_of(run: RunFile, protocol: Protocol | None) -> "list[Panel]":
    """Return what to show of a run: what its protocol says, else its step fields. Raises what the protocol does."""
    from labneuro.views.figure import default_panels  # noqa: PLC0415 - as above

    return (beside(protocol, "panels") or default_panels)(run)


def beside(protocol: Protocol | None, name: str) -> Callable[..., Any] | None:
    """Return the function `name` that stands beside a protocol, if there is one."""
    return None if protocol is None else getattr(sys.modules.get(protocol.__module__), name, None)


def contents(run: RunFile) -> dict[str, list[tuple[str, str]]]:
    """Return what is in a run file, as labelled lines under headings."""
    steps, provenance = run.steps, run.provenance
    head = {
        "protocol": f"{run.protocol}: {run.doc.partition(chr(10))[0]}",
        "state": f"{run.state}: {run.note}".removesuffix(": "),
        "began": run.start_time,
        "ended": run.end_time,
        "damage": run.damage,
        "steps": str(steps.count),
        "bench": run.bench_name,
        **run.parts,
        "code": code_of(provenance),
        "host": str(provenance.get("host", "")),
        "command": str(provenance.get("command", "")),
    }
    tables = {
        "Run": [(name, text) for name, text in head.items() if text],
        "Parameters": [
            (name, quantity(v, run.units.get(f"parameters/{name}", ""))) for name, v in run.parameters.items()
        ],
        "Last step": [(name, quantity(v, run.units.get(f"steps/{name}", ""))) for name, v in run.last().items()],
        "On the way": [(f"{time_of_day(e.time)} {e.what}", e.words) for e in run.events[-_EVENTS:]],
        "Other records": [
            (name, f"{fields.count}, each with {', '.join(fields)}") for name, fields in run.records.items()
        ],
    }
    return {
        title: [(printable(name), printable(text)) for name, text in lines] for title, lines in tables.items() if lines
    }


def code_of(provenance: Mapping[str, Any]) -> str:
    """Return in words what code ran: version, commit, and whether the tree had changes since."""
    changed = " with changes" if provenance.get("dirty") else ""
    commit = str(provenance.get("commit", ""))
    return f"labneuro {provenance.get('labneuro_version', '')}" + (f", commit {commit}{changed}" if commit else "")
