"""Watching a run from another process: its journal is read as it grows, and the run never notices.

On a terminal there is a live picture, elsewhere a plain line when something has changed. The watch ends with the run.
"""

import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labneuro.clock import WallClock
from labneuro.filelock import is_locked
from labneuro.journal import StoreError
from labneuro.layout import Lines, printable, show_lines
from labneuro.overview import Overview, Standing, alarms, overview, time_of_day
from labneuro.progress import QUIET, duration, single
from labneuro.store import RunFile, journal_of
from labneuro.tail import Tail

LOOK = 0.25
"""Time between two looks at the journal, s."""

_LAST_LOOKS = 12  # at the journal of a run that has died: its guardian has something to write
_PATIENCE = 1.0  # s that a question may wait for its answer before that is mentioned


def watch(path: Path, console: Console) -> int:
    """Show how a run goes on until it has ended, then how it ended; return the exit status.

    path: of its file or its journal. The status is 0 if it finished or was stopped, 130 if a Ctrl-C ended the watch,
    which never reaches the run, else 1. Raises StoreError if there is no run.
    """
    show = _show_live if console.is_terminal else _show_lines
    try:
        while True:
            standing = Standing()
            show(follow(path, standing), standing, console)
            how = _ending(path, standing)
            if how is None or how.state != "running" or how.problem:
                break
            WallClock().sleep(LOOK)  # it was resumed between two looks
    except KeyboardInterrupt:
        console.print("the watch has ended, the run goes on")
        return 128 + signal.SIGINT
    if how is None:
        console.print("the run ended before it had recorded anything: no file is kept")
        return 1
    told = standing.alarms if standing.begun else alarms(RunFile(path).events)
    show_lines([(label, printable(text)) for label, text in _last_words(how, told) if text], console)
    return 0 if how.state in {"finished", "stopped"} and not how.problem else 1


def follow(path: Path, standing: Standing) -> Iterator[None]:
    """Bring `standing` up to date with the journal of a run, again and again until the run has ended or has died.

    Yields after every look, and after every batch of records while it catches up. Damage ends it, too, and is said in
    `standing.problem`. If there is no journal, since it is in the run file at the end, there is nothing to follow.
    """
    if not journal_of(path).exists():
        return
    tail = Tail(path)
    looks = 0
    while True:
        tail.look()
        for _, record in tail.records(LOOK):
            standing.take(record)
        standing.problem, standing.unread = tail.problem, tail.unread
        standing.dead = not tail.written and standing.ended is None
        looks = _LAST_LOOKS if tail.written else looks - 1
        over = not tail.written and (looks <= 0 or standing.ended is not None or not tail.beside)
        if tail.problem or tail.replaced or (over and not tail.unread):
            return
        yield
        if not tail.unread:
            WallClock().sleep(LOOK)


def _ending(path: Path, standing: Standing) -> Overview | None:
    """Return how a run has ended that was followed until now, None if nothing is left of it."""
    journal = journal_of(path)
    if standing.begun and journal.exists():
        return standing.overview(path, alive=is_locked(journal))
    try:
        return overview(path)
    except StoreError:
        if standing.begun:
            return None
        raise


def _show_live(looks: Iterable[None], standing: Standing, console: Console) -> None:
    drawn = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for _ in looks:
            if time.monotonic() - drawn >= LOOK:
                drawn = time.monotonic()
                live.update(_picture(standing), refresh=True)


def _picture(standing: Standing) -> RenderableType:
    now = time.time()
    what, since = _doing(standing, now)
    took = f"running for {duration(max(0.0, now - standing.began))}" if standing.begun else ""
    pace: RenderableType = Text(str(standing.pace))
    if standing.total:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(ProgressBar(standing.total, standing.pace.steps, width=30), pace)
        pace = grid
    return Group(
        Text(printable(f"{standing.protocol} on {standing.bench}  {took}"), style="bold"),
        pace,
        Text(printable(single(standing.last, standing.units))),
        Text(printable(what if since is None else f"{what} for {duration(max(0.0, now - since))}"), style="yellow"),
        *(Text(printable(f"{time_of_day(moment)}  {words}"), style="red") for moment, words in standing.alarms),
        Text("Ctrl-C ends the watch, not the run", style="dim"),
    )


def _show_lines(looks: Iterable[None], standing: Standing, console: Console) -> None:
    printed = -QUIET
    said: list[str] = []
    for _ in looks:
        if time.monotonic() - printed < QUIET:
            continue
        what, since = _doing(standing, time.time())
        doing = what if since is None else f"{what} since {time_of_day(since)}"
        now = [
            *(f"ALARM {time_of_day(moment)}  {words}" for moment, words in standing.alarms),
            "  ".join(
                filter(None, (f"{standing.protocol} {standing.pace}", single(standing.last, standing.units), doing))
            ),
        ]
        for line in now:
            if line not in said:
                console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
                printed = time.monotonic()
        said = now


def _doing(standing: Standing, now: float) -> tuple[str, float | None]:
    """Return in words what a run is at, beyond its steps, and since when, s since 1970."""
    if not standing.begun:
        return "nothing is recorded yet", None
    if standing.unread:
        return f"{standing.unread / 1e6:.3g} MB of its journal still to be read", None
    if standing.dead:
        return "its process has died", None
    if standing.ended is not None:
        return f"{standing.ended.state}; its process is at work on the file", standing.time
    if standing.paused:
        return "paused", standing.time
    idle = now - standing.time
    if standing.asked is not None and idle > _PATIENCE:
        return f"waiting for {standing.asked.part}.{standing.asked.verb}", standing.time
    return ("silent", standing.time) if idle > QUIET else ("", None)


def _last_words(how: Overview, told: Iterable[tuple[float, str]]) -> Lines:
    took = "" if how.duration is None else f" in {duration(how.duration)}"
    return [
        ("run", f"{how.protocol} on {how.bench}"),
        ("state", f"{how.state}: {how.note}".removesuffix(": ")),
        ("damage", how.problem),
        ("steps", f"{how.steps}{took}"),
        ("last step", single(how.last, how.units)),
        *(("alarm", f"{time_of_day(moment)}  {words}") for moment, words in told),
        ("file", str(how.path)),
        ("go on", f"labneuro resume {how.path}" if how.state == "interrupted" else ""),
    ]
