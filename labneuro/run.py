"""One execution of a protocol: from a bench and parameters to a run file, the bench left safe in any case.

What crosses between protocol and bench is in `labneuro.crossing`, what is recorded in `labneuro.recording`, what
happens on Ctrl-C in `labneuro.interrupt`, going on after a break in `labneuro.resume`.
"""

import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from labneuro.attempts import in_words
from labneuro.bench import Bench, BenchFile, Told
from labneuro.clock import WallClock
from labneuro.control import Steering, unsteered
from labneuro.crossing import Crossing, yielded_at
from labneuro.entries import Left, Noted, Resumed
from labneuro.experiment import Experiment, Protocol, clean_up
from labneuro.guardian import guarding
from labneuro.interrupt import Interrupt
from labneuro.keyboard import listening_to_keys
from labneuro.progress import ProgressDisplay, expected_steps
from labneuro.provenance import provenance
from labneuro.recording import RunWriter
from labneuro.script import Deviation, Exchange, Script
from labneuro.store import State, StoreError, journal_of

_FOLDER = Path("runs")
_END = object()


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    path: its file. state: "finished" or "stopped". interrupt: the signal that stopped it. aborted: whether
    its last step was broken off. steps: how many are recorded. seconds: how long it took. left: each part with
    what was read back when the bench was left.
    """

    path: Path
    state: State
    interrupt: signal.Signals | None
    aborted: bool
    steps: int
    seconds: float
    left: tuple[Left, ...]


def execute(
    protocol: Protocol,
    bench: BenchFile,
    parameters: Mapping[str, object],
    out: Path | None = None,
    *,
    name: str | None = None,
    progress: bool = True,
    console: Console | None = None,
    steered: Steering = unsteered,
) -> RunResult:
    """Run `protocol` on `bench` and record what it asks, what it is answered and what it yields.

    parameters: values of its keyword parameters, checked and completed here. out: the new run file (default:
    runs/<name>-<time>.h5). name: of the protocol (default: the function's). console: for the progress
    (default: the standard error). steered: entered while the run goes on: lets others steer it. The protocol's own
    clean-up runs first, then the bench is made safe, then the file says how the run ended.

    Raises ParameterError or BenchError before anything is touched, StoreError if the file can't be made. Whatever the
    protocol or the bench raises is raised again, and the file says "failed". It is removed if it holds no record, or
    no step and the error is a ValueError: the input was bad; unless a part could not be made safe. KeyboardInterrupt is
    raised only while the bench is being opened; later, a run that is interrupted is "stopped".
    """
    experiment = Experiment.of(protocol, parameters, name)
    head = _head(experiment, bench)
    writer = _new_file(out, experiment.name, lambda path: RunWriter(path, head, experiment.step_type()))
    try:
        return conduct(experiment, bench, writer, console if progress else None, quiet=not progress, steered=steered)
    finally:
        if out is None:
            with suppress(OSError):
                _FOLDER.rmdir()  # it may have been made for nothing


def conduct(
    experiment: Experiment,
    bench: BenchFile,
    writer: RunWriter,
    console: Console | None = None,
    *,
    quiet: bool = False,
    script: Script | None = None,
    put_back: Callable[[Bench], Exchange | None] | None = None,
    steered: Steering = unsteered,
) -> RunResult:
    """Let a protocol play on a bench, recorded by `writer`. As `execute`, which see.

    quiet: show no progress. script: what is known of the run; the bench is opened when it ends. put_back: brings the
    bench to where it was then, and returns the next question with its answer, if its part is not to be asked.
    steered: as in `execute`.
    """
    console = console or Console(stderr=True)
    interrupt = Interrupt(aloud=quiet or not console.is_terminal)
    left: list[Left] = []
    began = time.monotonic()

    def told(part: str, words: str, confirmed: bool) -> None:
        left.append(Left(part, words, confirmed))
        writer.write(left[-1])

    with interrupt.listening():
        try:
            with ExitStack() as stack:
                display = None
                stack.enter_context(steered(interrupt, writer.path))
                if not quiet:
                    steps = expected_steps(experiment.values)
                    display = ProgressDisplay(console, experiment.name, steps, interrupt)
                    stack.enter_context(display)
                    stack.enter_context(listening_to_keys(interrupt))

                def opening() -> Bench:
                    if script is not None:
                        writer.write(Resumed(_head(experiment, bench)))
                    return stack.enter_context(_opened(bench, writer, told))

                def live() -> None:
                    opened = opening()
                    instead = put_back(opened) if put_back is not None else None
                    crossing.connect(opened, 0 if script is None else script.asked, instead)

                crossing = Crossing(writer.write, interrupt, script, live)
                if script is None:
                    with interrupt.abortable():
                        live()
                records = experiment.begin(crossing, bench.parts_for(experiment.protocol))
                state = _record(records, crossing, writer, interrupt, display)
                if crossing.script is not None:  # nothing is left to ask, but the bench may never have been left
                    opening()
        except BaseException as error:
            _fail(writer, error, empty=script is None and all(part.confirmed for part in left))
            raise
        writer.finish(state, _note(interrupt) if state == "stopped" else "")
    seconds = time.monotonic() - began
    stopped_by = interrupt.requested if state == "stopped" else None
    return RunResult(writer.path, state, stopped_by, interrupt.aborted, writer.steps, seconds, tuple(left))


def _head(experiment: Experiment, bench: BenchFile) -> dict[str, Any]:
    """Return what a journal begins with. Raises BenchError if the bench lacks a part."""
    return {
        **experiment.head(),
        "bench": bench.text,
        "bench_name": bench.name,
        "bench_path": str(bench.path.absolute()),
        "bench_called": bench.called,
        "parts": bench.parts_for(experiment.protocol),
        "provenance": provenance(),
    }


@contextmanager
def _opened(bench: BenchFile, writer: RunWriter, told: Told) -> Generator[Bench, None, None]:
    """Open a bench under the eyes of its guardian."""

    def noted(words: str) -> None:
        writer.write(Noted("guardian", words))

    with guarding(bench, journal_of(writer.path), noted), bench.open(told) as opened:
        writer.identify({part: role.identity for part, role in opened.parts.items()})
        yield opened


def _record(
    records: Iterator[Any],
    crossing: Crossing,
    writer: RunWriter,
    interrupt: Interrupt,
    display: ProgressDisplay | None,
) -> State:
    """Write what a protocol yields until it ends or is interrupted, and let it clean up behind itself."""
    try:
        while interrupt.requested is None:
            interrupt.may_abort = True
            record = next(records, _END)
            interrupt.may_abort = False
            if record is _END:
                return "finished"
            before = writer.steps
            entries = writer.taken_apart(record)
            while entries and crossing.script is not None and crossing.script.next is not None:
                crossing.script.confirm(entries[0], lambda: yielded_at(records))
                writer.count(entries.pop(0))
            writer.write(*entries)
            if display is not None and writer.steps > before:
                display.advance(record)
            if interrupt.paused:
                _wait(writer, interrupt)
    except KeyboardInterrupt:
        if not interrupt.aborted:
            raise
    finally:
        interrupt.may_abort = False
        clean_up(records)
    return "stopped"


def _wait(writer: RunWriter, interrupt: Interrupt) -> None:
    writer.write(Noted("paused", "all outputs stay as they are"))
    while interrupt.paused and interrupt.requested is None:
        WallClock().sleep(0.05)
    writer.write(Noted("continued", ""))


def _note(interrupt: Interrupt) -> str:
    return f"{'aborted' if interrupt.aborted else 'stopped'} by {interrupt.by}"


def _fail(writer: RunWriter, error: BaseException, *, empty: bool) -> None:
    """Let the file say that the run failed; if it may be `empty`, remove it without records or after bad input."""
    if isinstance(error, Deviation):
        writer.close()  # nothing has happened: the run stays as it was
        return
    if empty and (not writer.records or (not writer.steps and isinstance(error, ValueError))):
        writer.discard()
        return
    try:
        writer.finish("failed", "; ".join([in_words(error), *getattr(error, "__notes__", [])]))
    except StoreError as trouble:
        error.add_note(str(trouble))
    finally:
        writer.close()
    before = {0: "what was recorded before it is", 1: "the step before it is"}
    kept = before.get(writer.steps, f"the {writer.steps} steps before it are")
    error.add_note(f"{kept} kept; to go on: labneuro resume {writer.path}")


def numbered(path: Path) -> Iterator[Path]:
    """Yield `path`, and then the same name with -2, -3 and so on."""
    yield path
    for k in count(2):
        yield path.with_stem(f"{path.stem}-{k}")


def _new_file(out: Path | None, name: str, new: Callable[[Path], RunWriter]) -> RunWriter:
    if out is not None:
        return new(out)
    try:
        _FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"folder {_FOLDER} can't be made: {error.strerror}; choose another --out") from None
    for path in numbered(_FOLDER / f"{name}-{datetime.now():%Y%m%d-%H%M%S}.h5"):
        try:
            return new(path)
        except StoreError:
            if not path.exists() and not journal_of(path).exists():
                raise
    raise AssertionError("there is always another number")
