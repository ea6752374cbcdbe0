"""The guardian: a process of its own that leaves the bench safe when the process of a run dies without a word.

A run starts it before it opens the bench, and ends it when it has left the bench. If the pipe between them breaks, or
the guardian gets another parent, the run is dead. docs/safety.md says what happens then.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from labneuro.attempts import in_words
from labneuro.bench import Bench, BenchError, BenchFile, Told, parse
from labneuro.clock import WallClock
from labneuro.entries import Left, Noted
from labneuro.journal import Journal
from labneuro.roles import Role

READY = 30.0
"""Longest time that a guardian may take to import the drivers and check the bench, s."""

HELD = 0.5
"""How long the guardian waits for a part that doesn't answer before it makes the others safe without it, s."""

PATIENCE = 5.0
"""How long the guardian tries again to reach a part, or the journal, that the dying run still holds, s."""

_LOOK = 0.1  # s between two looks at the run; one that tries again waits as long
_READY = "ready"

T = TypeVar("T")


def _say(words: str) -> None:
    """Tell the user, if anybody still reads the standard error."""
    with suppress(OSError):
        os.write(2, f"labneuro: guardian: {words}\n".encode())


@contextmanager
def guarding(bench: BenchFile, journal: Path, noted: Callable[[str], None] = _say) -> Generator[None, None, None]:
    """Keep a guardian at hand, if `bench` wants one: enter before the bench is opened, leave when it has been left.

    journal: of the run, where the guardian leaves its notes. noted: called on leaving if the guardian has died
    meanwhile. Raises BenchError if it does not get ready.
    """
    if not bench.guarded:
        yield
        return
    task = {
        "path": sys.path,
        "bench": bench.text,
        "file": str(bench.path),
        "called": bench.called,
        "journal": str(journal.absolute()),
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "labneuro.guardian"],  # -P: nothing is imported from the folder we are in
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # neither Ctrl-C nor a closed terminal reaches it
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    ) as process:
        try:
            answer = _instructed(process, task)
            if answer != _READY:
                way_out = "try labneuro doctor, or write guardian = false at the top of the file to run without"
                raise BenchError(f"{bench.called}: the guardian is not ready: {answer}; {way_out}")
            try:
                yield
            finally:
                if process.poll() is not None:
                    noted(f"the guardian ended before the run did, with status {process.returncode}")
        finally:
            process.kill()  # before its pipe is closed, which would mean that the run is dead


def _instructed(process: subprocess.Popen[bytes], task: dict[str, Any]) -> str:
    """Send a new guardian its task; return what it answers."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    too_late = threading.Timer(READY, process.kill)
    too_late.start()
    try:
        with suppress(BrokenPipeError), os.fdopen(process.stdin.fileno(), "wb", closefd=False) as pipe:
            pipe.write(json.dumps(task).encode() + b"\n")
        return json.loads(process.stdout.readline() or f'"it gave no answer within {READY:g} s, or died"')
    finally:
        too_late.cancel()


def main() -> None:
    """Be the guardian of the process that started this one: it sends the task, and lives."""
    _ignore("SIGINT", "SIGHUP")
    answers = os.dup(1)
    with suppress(OSError):
        os.dup2(2, 1)  # whatever a driver prints is no answer
    parent = os.getppid()

    def answer(words: str) -> None:
        try:
            os.write(answers, json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            sys.exit()  # the run died before it had opened anything

    try:
        task = json.loads(sys.stdin.readline())
        sys.path[:] = task["path"]
        bench = parse(task["bench"], Path(task["file"]), task["called"])
    except Exception as error:  # noqa: BLE001 - another package's code
        return answer(in_words(error))
    answer(_READY)
    _wait_for_death(parent)
    _ignore("SIGTERM")
    sys.setswitchinterval(1e-4)  # s: reading the journal must not hold up the steps of a ramp
    _act(bench, Path(task["journal"]))


def _ignore(*names: str) -> None:
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _wait_for_death(parent: int) -> None:
    """Return when the run is dead: its pipe has ended, or, if a forked child keeps that open, it is gone itself."""
    ended = threading.Event()

    def read() -> None:
        os.read(0, 1)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    while not ended.wait(_LOOK) and os.getppid() == parent:
        pass


def _act(bench: BenchFile, path: Path) -> None:
    """Make the bench safe, then say so on the standard error and in the journal."""
    opening = _insisting(partial(Journal.resume, path))  # from now on nobody resumes the run
    left: list[Left] = []
    make_safe(bench, lambda part, words, confirmed: left.append(Left(part, words, confirmed)))
    parts = [f"{part.part}: {part.words}" for part in left] or ["no output outlives it"]
    words = f"the process of the run died; {'; '.join(parts)}"
    _say(words)
    try:
        with opening.result(PATIENCE) as journal:
            for entry in (*left, Noted("guardian", words)):
                journal.write(entry)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the journal, the bench has been left
        _say(f"this is not in the journal: {in_words(error)}")


def make_safe(bench: BenchFile, told: Told) -> None:
    """Connect to all real parts at once and make them safe in the order of the bench, those that answer late last.

    `told` is called as by `BenchFile.open`. The own protection of an instrument is left as it is.
    """
    clock = WallClock()
    plans = {name: bench.parts[name] for name in bench.safe_order if bench.parts[name].real}
    rigs = {name: plan for name, plan in plans.items() if plan.made_of}
    links = {name: _insisting(partial(plan.connect, clock, {})) for name, plan in plans.items() if name not in rigs}
    wait(links.values(), HELD)
    while links:
        answered = [name for name, link in links.items() if link.done()]
        if not answered:
            done = wait(links.values(), PATIENCE, FIRST_COMPLETED).done
            answered = [name for name, link in links.items() if link in done] or list(links)
        parts: dict[str, Role] = {}
        for name in answered:
            try:
                parts[name] = plans[name].guarded(links.pop(name).result(0), clock)
            except BaseException as error:  # noqa: BLE001 - the others still have to be made safe
                told(name, f"not made safe: no connection: {in_words(error)}: switch it off by hand", False)
        for name, plan in rigs.items():
            if parts.keys() >= set(plan.members):  # else each of its parts is made safe by itself
                with suppress(BenchError):
                    parts[name] = plan.guarded(plan.connect(clock, parts), clock)
        Bench(bench, clock, parts).leave(told)


def _insisting(action: Callable[[], T]) -> Future[T]:
    """Try `action` in a thread of its own until it succeeds, or patience ends."""
    future: Future[T] = Future()
    clock = WallClock()
    end = clock.now() + PATIENCE

    def insist() -> None:
        while True:
            try:
                return future.set_result(action())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                if clock.now() >= end:
                    return future.set_exception(error)
            clock.sleep(_LOOK)

    threading.Thread(target=insist, daemon=True).start()
    return future


if __name__ == "__main__":
    main()
