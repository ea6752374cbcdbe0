"""One execution of a protocol: from a bench and parameters to a run file, the bench left safe in any case.

What is recorded is in `labneuro.store`, what happens on Ctrl-C in `labneuro.interrupt`.
"""

import inspect
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from rich.console import Console

from labneuro.attempts import in_words
from labneuro.bench import BenchFile
from labneuro.interrupt import Interrupt
from labneuro.parameters import parameters as parameters_of
from labneuro.parameters import validated
from labneuro.progress import ProgressDisplay
from labneuro.provenance import provenance
from labneuro.store import RunWriter, State, StoreError

Protocol = Callable[..., Iterator[Any]]

_FOLDER = Path("runs")
_END = object()


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    path: its file. state: "finished" or "stopped". interrupt: the signal that stopped it. aborted: whether
    its last step was broken off. steps: how many are recorded. seconds: how long it took.
    """

    path: Path
    state: State
    interrupt: signal.Signals | None
    aborted: bool
    steps: int
    seconds: float


def execute(
    protocol: Protocol,
    bench: BenchFile,
    parameters: Mapping[str, object],
    out: Path | None = None,
    *,
    name: str | None = None,
    progress: bool = True,
    console: Console | None = None,
) -> RunResult:
    """Run `protocol` on `bench` and record what it yields.

    parameters: values of its keyword parameters, checked and completed here. out: the new run file (default:
    runs/<name>-<time>.h5). name: of the protocol (default: the function's). console: for the progress
    (default: the standard error). The protocol's own clean-up runs first, then the bench is made safe, then
    the file says how the run ended.

    Raises ParameterError or BenchError before anything is touched, StoreError if the file can't be made. Whatever the
    protocol or the bench raises is raised again, and the file says "failed". It is removed if it holds no record, or
    no step and the error is a ValueError: the input was bad. KeyboardInterrupt is raised only while the bench is
    being opened; later, a run that is interrupted is "stopped".
    """
    name = name or protocol.__name__
    values = validated(protocol, parameters)
    bench.parts_for(protocol)
    console = console or Console(stderr=True)
    interrupt = Interrupt(aloud=not (progress and console.is_terminal))
    began = time.monotonic()
    describe = partial(
        RunWriter,
        protocol=name,
        doc=inspect.getdoc(protocol) or "",
        parameters=values,
        units={p.name: p.unit for p in parameters_of(protocol)},
        bench=bench.text,
        bench_name=bench.name,
        provenance=provenance(),
        step_type=_step_type(protocol),
    )
    writer = _new_file(out, name, describe)
    with interrupt.listening():
        try:
            with ExitStack() as stack:
                display = ProgressDisplay(console, name, _total(values), interrupt) if progress else None
                if display is not None:
                    stack.enter_context(display)
                with interrupt.abortable():
                    opened = stack.enter_context(bench.open())
                writer.identify({part: role.identity for part, role in opened.parts.items()})
                records: object = protocol(**opened.roles_for(protocol), **values)
                state = _record(_yielded(name, records), writer, interrupt, display)
        except BaseException as error:
            _fail(writer, error)
            if out is None:
                with suppress(OSError):
                    _FOLDER.rmdir()  # it may have been made for nothing
            raise
        writer.finish(state, _note(interrupt) if state == "stopped" else "")
    seconds = time.monotonic() - began
    stopped_by = interrupt.requested if state == "stopped" else None
    return RunResult(writer.path, state, stopped_by, interrupt.aborted, writer.steps, seconds)


def _yielded(name: str, records: object) -> Iterator[Any]:
    if not isinstance(records, Iterator):
        raise TypeError(f"protocol {name} returned {records!r:.60}: a protocol yields its records, it returns nothing")
    return cast("Iterator[Any]", records)


def _record(records: Iterator[Any], writer: RunWriter, interrupt: Interrupt, display: ProgressDisplay | None) -> State:
    """Write what a protocol yields until it ends or is interrupted, and let it clean up behind itself."""
    try:
        while interrupt.requested is None:
            with interrupt.abortable():
                record = next(records, _END)
            if record is _END:
                return "finished"
            before = writer.steps
            writer.append(record)
            if display is not None and writer.steps > before:
                display.advance(record)
    except KeyboardInterrupt:
        if not interrupt.aborted:
            raise
    finally:
        close = getattr(records, "close", None)
        if close is not None:
            close()
    return "stopped"


def _note(interrupt: Interrupt) -> str:
    if interrupt.requested is None:
        return ""
    by = "Ctrl-C" if interrupt.requested == signal.SIGINT else interrupt.requested.name
    return f"aborted by {by}" if interrupt.aborted else f"stopped by {by}"


def _fail(writer: RunWriter, error: BaseException) -> None:
    """Let the file say that the run failed; remove it if it holds nothing, or the input was bad from the start."""
    if not writer.records or (not writer.steps and isinstance(error, ValueError)):
        writer.discard()
        return
    try:
        writer.finish("failed", "; ".join([in_words(error), *getattr(error, "__notes__", [])]))
    except StoreError as trouble:
        error.add_note(str(trouble))
    before = {0: "what was recorded before it is", 1: "the step before it is"}
    kept = before.get(writer.steps, f"the {writer.steps} steps before it are")
    error.add_note(f"{kept} kept in {writer.path}")


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
            if not path.exists():
                raise
    raise AssertionError("there is always another number")


def _step_type(protocol: Protocol) -> type | None:
    """Return the first dataclass in what a protocol is annotated to yield."""
    yielded: Any = next(iter(get_args(get_type_hints(protocol).get("return"))), None)
    kinds: tuple[Any, ...] = (yielded, *get_args(yielded))
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)


def _total(values: Mapping[str, object]) -> int | None:
    """Return the expected number of steps, as far as the parameters tell."""
    total = values.get("steps", values.get("points"))
    return total if isinstance(total, int) and total > 0 else None
