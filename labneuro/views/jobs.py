"""Runs that a window starts: each a process of its own, which lives on when the window is closed, crashes or is killed.

It is the command line that runs. What it says on its standard error goes into a file without a name, so that nothing
of it depends on who reads it; words such as "pause" reach it through its standard input.
"""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from signal import Signals
from typing import IO

from labneuro.commands.parsing import counted, flag
from labneuro.filelock import is_locked
from labneuro.following import Following
from labneuro.journal import StoreError
from labneuro.overview import overview
from labneuro.progress import duration, single
from labneuro.run import numbered
from labneuro.store import journal_of

RUNS = Path("runs")
"""The folder for runs, as of the command line."""


def options(bench: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options of `labneuro run` by their flags. given: texts of parameters by name."""
    return {"--bench": bench} | {flag(name): text for name, text in given.items()}


def command_line(protocol: str, chosen: Mapping[str, str]) -> str:
    """Return what to type into a terminal for the same run."""
    return " ".join(["labneuro run", protocol, *(f"{name}={shlex.quote(text)}" for name, text in chosen.items())])


class Job:
    """A run that waits, goes on or is over. options: of `labneuro run`, by their flags.

    state: "waiting", "starting", "running", "paused", that of the run when it is over, or "refused" if it left no file.
    words: how far it is, or why it ended so. path: of the run file, None before the start. following: the run, None as
    long as it has recorded nothing.
    """

    def __init__(self, protocol: str, options: Mapping[str, str]) -> None:
        self.protocol = protocol
        self.options = dict(options)
        self.state = "waiting"
        self.words = ""
        self.path: Path | None = None
        self.following: Following | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether its process was started and has not ended, as of the last look."""
        return self.state in {"starting", "running", "paused"}

    @property
    def part_done(self) -> float | None:
        """How much of its steps is done, from 0 to 1; None if that is unknown."""
        if self.state == "finished":
            return 1.0
        standing = None if self.following is None else self.following.now.standing
        return None if standing is None or not standing.total else min(standing.pace.steps / standing.total, 1.0)

    def start(self) -> None:
        """Start the process. Raises OSError if that can't be done."""
        RUNS.mkdir(exist_ok=True)
        named = RUNS / f"{self.protocol}-{datetime.now():%Y%m%d-%H%M%S}.h5"
        path = next(path for path in numbered(named) if not path.exists() and not journal_of(path).exists())
        words = ["run", self.protocol, *(f"{name}={text}" for name, text in self.options.items())]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        self.process = subprocess.Popen(  # noqa: S603 - it is this program
            [sys.executable, "-P", "-m", "labneuro", *words, f"--out={path}", "--controlled"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # what ends the terminal of the window does not end the run
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.path, self.state, self.words = path, "starting", ""

    def say(self, word: str) -> None:
        """Ask the run to "pause", "continue", "stop" or "abort"; one that is over hears nothing."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.write(f"{word}\n".encode())
                self.process.stdin.flush()

    def look(self) -> None:
        """Bring `state` and `words` up to date."""
        if not self.alive or self.process is None or self.path is None:
            return
        ended = self.process.poll()
        if self.following is None:
            with suppress(StoreError):
                self.following = Following(self.path)
        if ended is not None:
            self._end(self.process, self.path)
        elif self.following is not None:
            self.following.look()
            standing = self.following.now.standing
            self.state = "paused" if standing.paused else "running"
            self.words = str(standing.pace)

    def _end(self, process: subprocess.Popen[bytes], path: Path) -> None:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        code, last = process.returncode, self._last_line()
        try:
            run = overview(path)
            took = "" if run.duration is None else f" in {duration(run.duration)}"
            self.state = run.state
            self.words = run.note or f"{counted(run.steps, 'step')}{took}  {single(run.last, run.units)}".rstrip()
        except StoreError:
            self.state, self.words = "refused", "it ended before it had recorded anything"
        if code < 0:
            self.words = f"killed by {Signals(-code).name}; {self.words}"
        if code != 0 and last:
            self.words = last if self.state in {"failed", "refused"} else f"{self.words}; {last}"

    def _last_line(self) -> str:
        """Return the last that the process has said on its standard error, and close that."""
        if self._said is None:
            return ""
        with self._said as said:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("labneuro: ")


def going_on() -> str:
    """Return the name of a run in the folder of runs that goes on, whoever started it; "" if there is none."""
    return next((journal.stem for journal in sorted(RUNS.glob("*.journal")) if is_locked(journal)), "")
