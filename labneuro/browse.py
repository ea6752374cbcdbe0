"""The runs in a folder, one line each."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from labneuro.journal import StoreError
from labneuro.layout import printable
from labneuro.overview import Overview, overview
from labneuro.progress import duration, single
from labneuro.store import State

KEYS: dict[str, Callable[[Overview], Any]] = {
    "when": lambda run: run.began or 0.0,
    "protocol": lambda run: run.protocol,
    "bench": lambda run: run.bench,
    "state": lambda run: run.state,
    "steps": lambda run: run.steps,
    "duration": lambda run: run.duration or 0.0,
}
"""By what runs can be sorted."""

UNREADABLE = "unreadable"
"""The state of what looks like a run and can't be read."""

STATES = (*get_args(State), UNREADABLE)
"""In what state a run can be."""

_SUFFIXES = (".journal", ".nxs", ".hdf5", ".h5")  # of one stem the last counts
_COLUMNS = ["when", "protocol", "bench", "state", "steps", "duration", "result", "file"]
_RESULT = _COLUMNS.index("result")
_RIGHT = {"steps", "duration"}
_GAP = "  "
_MOST = 255  # characters of anything that are shown; no name of a file has more
_LEAST = 20  # characters of the result that are shown on a screen of any width
_STYLES = {"running": "green", "interrupted": "yellow", "failed": "red", UNREADABLE: "red"}


def runs_in(folder: Path) -> list[Overview]:
    """Return the runs in a folder, the newest last; those that can't be read as well, as old as their files.

    Raises StoreError if the folder can't be listed.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise StoreError(f"{folder} can't be listed: {error.strerror}; give the folder of your runs") from None
    files = {path.stem: path for suffix in _SUFFIXES for path in found if path.suffix == suffix}
    return sorted(map(_overview, files.values()), key=KEYS["when"])


def _overview(path: Path) -> Overview:
    try:
        return overview(path)
    except StoreError as error:
        changed = path.stat().st_mtime if path.exists() else None
        return Overview(path, state=UNREADABLE, began=changed, problem=str(error))


def listing(runs: Iterable[Overview], width: int | None = None) -> Iterator[Text]:
    """Yield runs as the lines of a table: when, protocol, bench, state, steps, duration, result and name of the file.

    The result is what is single in the last step, or why the run can't be read. width: of a screen that it is cut for.
    """
    rows = [_COLUMNS, *([printable(cell[:_MOST]) for cell in _cells(run)] for run in runs)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        others = sum(widths) - widths[_RESULT] + len(_GAP) * (len(widths) - 1)
        widths[_RESULT] = min(widths[_RESULT], max(_LEAST, width - others))
    for number, row in enumerate(rows):
        line = Text(style="" if number else "bold")
        for title, cell, size in zip(_COLUMNS, row, widths, strict=True):
            room = " " * (size - cell_len(cell))
            text = cell if cell_len(cell) <= size else f"{set_cell_size(cell, size - 1)}…"
            style = _STYLES.get(cell, "") if title == "state" else ""
            line.append(room + text if title in _RIGHT else text + room, style).append(_GAP)
        line.rstrip()
        yield line


def _cells(run: Overview) -> list[str]:
    began = "" if run.began is None else f"{datetime.fromtimestamp(run.began):%Y-%m-%d %H:%M}"
    steps = "" if run.state == UNREADABLE else str(run.steps)
    took = "" if run.duration is None else duration(run.duration)
    result = run.problem or single(run.last, run.units)
    return [began, run.protocol, run.bench, run.state, steps, took, result, run.path.name]
