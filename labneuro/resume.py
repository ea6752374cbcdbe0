"""Going on with a run that was stopped, failed or killed, where it was.

The protocol runs again from its beginning, the journal answers, and so its learning rule and its random numbers come
back as they were. Where the journal ends, the bench is opened: emulated parts are put back to what they remembered,
instruments get their last settings again, ramped within their limits. Then the run goes on live, into the same file.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich.console import Console

from labneuro.bench import Bench, BenchError, BenchFile, PartPlan, load, parse
from labneuro.control import Steering, unsteered
from labneuro.crossing import LostAnswerError, error_name
from labneuro.entries import Answered, Noted, Raised, Remembered
from labneuro.experiment import Experiment
from labneuro.journal import Reader
from labneuro.limits import Guard
from labneuro.recording import RunWriter, completed
from labneuro.roles import Verb, verbs
from labneuro.run import RunResult, conduct
from labneuro.script import REFUSED, Deviation, Exchange, Script, head_of, shown
from labneuro.store import RunFile, journal_of
from labneuro.values import pack

Policy = Literal["stop", "ask", "reread"]
"""What becomes of an action, such as a pulse, that was sent before the run broke off and whose answer was lost.

stop: the run is not resumed. ask: the user says whether it happened. reread: LostAnswerError is raised where it was
asked, and the protocol reads the device again.
"""

_P = TypeVar("_P", bound=Callable[..., Any])


class ResumeError(ValueError):
    """A run can't go on; the message says why and what to do."""


def if_lost(policy: Policy) -> Callable[[_P], _P]:
    """Declare what a protocol wants if the answer to an action was lost; without it, "stop"."""

    def declare(protocol: _P) -> _P:
        vars(protocol)["if_lost"] = policy
        return protocol

    return declare


def resume(
    run: RunFile,
    *,
    bench: BenchFile | None = None,
    cut: bool = False,
    ask: Callable[[str], bool | None] = lambda question: None,
    progress: bool = True,
    console: Console | None = None,
    steered: Steering = unsteered,
) -> RunResult:
    """Go on with `run` in its own file. As `labneuro.run.execute`, which see.

    bench: to go on with, if the file of the recorded one has changed since. cut: go on before the damage of a journal.
    ask: put a question to the user and return yes, no, or None for no answer.

    Raises ResumeError if the run has finished or goes on, a deed is in doubt and its protocol says "stop", or the
    protocol, or an emulated chip, no longer does what is recorded.
    """
    if run.state == "running":
        raise ResumeError(f"{run.path} is being written by a run that goes on: wait for it, or stop it")
    if run.state == "finished":
        way_out = f"labneuro rebuild {run.path} completes its file" if run.journal else "there is nothing to resume"
        raise ResumeError(f"{run.path} has finished: {way_out}")
    if run.damage and not cut:
        raise ResumeError(f"{run.damage}; labneuro resume {run.path} --cut goes on from before it")
    head = head_of(run.reader)
    experiment = Experiment.recorded(head)
    bench = bench or _unchanged(parse(str(head["bench"]), Path(str(head["bench_path"])), str(head["bench_called"])))
    instead = _in_doubt(experiment, bench, Script(run.reader, resuming=True), ask)
    writer = RunWriter.resume(run, experiment.step_type(), cut=cut)
    script = Script(lambda: Reader(journal_of(run.path)), resuming=True)

    def put_back(opened: Bench) -> Exchange | None:
        _put_back(opened, run, script, writer)
        return instead

    try:
        return conduct(
            experiment,
            bench,
            writer,
            console,
            quiet=not progress,
            script=script,
            put_back=put_back,
            steered=steered,
        )
    except Deviation as deviation:
        if run.journal is None:
            completed(RunFile(run.path))  # it was complete before
        raise ResumeError(f"{run.path}: the protocol is not what it was: {deviation}") from None


def _unchanged(bench: BenchFile) -> BenchFile:
    """Return `bench`. Raises ResumeError if its file has changed since: its limits may have been lowered."""
    with suppress(BenchError):
        if load(bench.path).text != bench.text:
            what = "has changed since the run began: its limits may be others"
            way_out = f"add --bench {bench.called} to go on with it as it is now"
            raise ResumeError(f"bench file {bench.called} {what}; {way_out}")
    return bench


def _in_doubt(
    experiment: Experiment, bench: BenchFile, script: Script, ask: Callable[[str], bool | None]
) -> Exchange | None:
    """Return the action whose answer was lost with what answers it instead, as the protocol declares.

    None if there is none, or it didn't happen. Raises ResumeError if that can't be decided.
    """
    lost = next((e for e in script.lost if _real(bench, e) and _verb(bench, e).kind == "action"), None)
    if lost is None:
        return None
    policy: Policy = getattr(experiment.protocol, "if_lost", "stop")
    words = f"question {lost.asked.number}, {shown(lost)}, was sent, and its answer was lost"
    if policy == "reread" and not lost.asked.unwinding:  # what a clean-up asked is not asked again
        return replace(lost, outcome=Raised(0, error_name(LostAnswerError()), words))
    happened = ask(f"{words}. Did it happen?") if policy == "ask" else None
    if happened is None:
        way_out = "answer at a terminal" if policy == "ask" else "start anew"
        raise ResumeError(f"{words}: it is not repeated; look at the device and {way_out}")
    return replace(lost, outcome=Answered(0, None)) if happened and not lost.asked.unwinding else None


def _put_back(opened: Bench, run: RunFile, script: Script, writer: RunWriter) -> None:
    """Bring the parts of a bench to where they were at the end of the script. Raises ResumeError."""
    for name, part in opened.parts.items():
        if name in run.parts and part.identity != run.parts[name]:
            raise ResumeError(f"{name} is {part.identity} now and was {run.parts[name]}: connect that, or start anew")
    _put_back_emulated(opened, script)
    _put_back_instruments(opened, script, writer)


def _put_back_emulated(opened: Bench, script: Script) -> None:
    """Put emulated parts back to what they remembered last, and let them answer again what they were asked since."""
    last = Remembered(0, 0.0, {})
    for event in script.met():
        last = event if isinstance(event, Remembered) else last
    able = opened.memories
    for name in last.parts:
        if name not in able:
            raise ResumeError(f"{name} can't be put back on this bench: go on with the one of the run, or start anew")
    # What the driver of an emulated instrument knew is gone: it is told its settings again. That takes time and leaves
    # its traces in the rack, which are gone with what is put back then.
    before = _settings(opened, script, lambda e: _plan(opened.file, e).racked and e.asked.number <= last.number)
    _assert(opened, before, lambda exchange: None)
    opened.clock.sleep(max(0.0, last.clock - opened.clock.now()))
    for name, memory in last.parts.items():
        able[name].restore(memory)
    for event in script.met():
        if isinstance(event, Exchange) and not _real(opened.file, event):
            if event.asked.number > last.number:
                _ask_again(opened, event)
            else:
                _account(opened, event)


def _put_back_instruments(opened: Bench, script: Script, writer: RunWriter) -> None:
    """Give instruments their last settings again, ramped within their limits."""
    for event in (*script.met(), *script.lost):
        if isinstance(event, Exchange) and _real(opened.file, event):
            _account(opened, event)
    settings = _settings(opened, script, lambda exchange: _real(opened.file, exchange))
    _assert(opened, settings, lambda exchange: writer.write(Noted("put back", shown(exchange))))


_Settings = dict[tuple[str, str], Exchange]
"""The last of each setting, by part and verb."""


def _settings(opened: Bench, script: Script, of: Callable[[Exchange], bool]) -> _Settings:
    settings: _Settings = {}
    for event in script.met():
        if isinstance(event, Exchange) and of(event) and isinstance(event.outcome, Answered):
            verb = _verb(opened.file, event)
            for cleared in verb.clears:
                settings.pop((event.asked.part, cleared), None)
            if verb.kind == "setting":
                settings[event.asked.part, verb.name] = event
    return settings


def _assert(opened: Bench, settings: _Settings, told: Callable[[Exchange], object]) -> None:
    """Ask for settings again: the part that is made safe first is the last, its settings as its role declares them."""
    for name in reversed(opened.file.safe_order):
        for verb in verbs(opened.file.parts[name].role):
            if exchange := settings.get((name, verb)):
                told(exchange)
                getattr(opened.parts[name], verb)(**exchange.asked.arguments)


def _plan(bench: BenchFile, exchange: Exchange) -> PartPlan:
    return bench.parts[exchange.asked.part]


def _real(bench: BenchFile, exchange: Exchange) -> bool:
    return _plan(bench, exchange).real


def _verb(bench: BenchFile, exchange: Exchange) -> Verb:
    return verbs(_plan(bench, exchange).role)[exchange.asked.verb]


def _account(opened: Bench, exchange: Exchange) -> None:
    """Count what was done before in what the run may do in all."""
    part = opened.parts[exchange.asked.part]
    refused = isinstance(exchange.outcome, Raised) and exchange.outcome.type == REFUSED
    if isinstance(part, Guard) and _verb(opened.file, exchange).kind == "action" and not refused:
        part.account(exchange.asked.verb, exchange.asked.arguments)


def _ask_again(opened: Bench, exchange: Exchange) -> None:
    """Let an emulated part do again what it did, and compare its answer with the recorded one. Raises ResumeError."""
    asked, recorded, verb = exchange.asked, exchange.outcome, _verb(opened.file, exchange)
    try:
        value: Any = getattr(opened.parts[asked.part], verb.name)
        answer: Answered | Raised = Answered(0, value if verb.signature is None else value(**asked.arguments))
    except Exception as error:  # noqa: BLE001 - it may be the recorded answer
        answer = Raised(0, error_name(error), str(error))
    if recorded is None or type(answer) is not type(recorded) or pack([*answer[1:]]) != pack([*recorded[1:]]):
        raise ResumeError(
            f"{asked.part} is emulated and answers question {asked.number}, {shown(exchange)}, not as it did: go on "
            "with the labneuro that made this run (labneuro show names its commit), or start anew"
        )
