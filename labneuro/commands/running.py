"""Commands that let a protocol play: run, resume and replay it, and complete its file."""

# ruff: noqa: PLC0415 - compilers and screens are loaded by the commands that need them

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from labneuro.commands.parsing import Parser, UsageError, counted, flag

if TYPE_CHECKING:
    from labneuro.control import Steering
    from labneuro.experiment import Protocol
    from labneuro.parameters import Parameter


def run(arguments: list[str]) -> int:
    """Run a protocol."""
    from rich.console import Console

    from labneuro import bench, registry
    from labneuro.parameters import parameters

    name, rest = _protocol_name(arguments)
    if not name:
        known = ", ".join(registry.protocols()) or "none is installed"
        if {"-h", "--help"} & set(rest):
            parser = _run_parser("NAME", f"Run a protocol and record it. Protocols: {known}.")
            parser.epilog = "The protocol has more options: labneuro run NAME --help"
            parser.print_help()
            return 0
        raise UsageError(f"which protocol? labneuro run NAME, where NAME is one of {known}")
    protocol = registry.load_protocol(name)
    parser = _run_parser(name, _description(protocol))
    options = parameters(protocol)
    _add_options(parser, options)
    given = parser.read(rest)
    values = {option.name: given[option.name] for option in options if option.name in given}
    bench_file = bench.load(given["--bench"])

    from labneuro.report import report
    from labneuro.run import execute

    result = execute(protocol, bench_file, values, given["--out"], name=name, steered=_steering(given))
    report(result, protocol, Console(), figure=not (given["--no-figure"] or result.aborted))
    return 0 if result.interrupt is None else 128 + result.interrupt


def _protocol_name(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the protocol, "" if there is none, and the other arguments."""
    common = {"--bench", "--out"}
    for i, word in enumerate(arguments):
        if word.startswith("-"):
            if word.partition("=")[0] not in {*common, "--no-figure", "--view", "--controlled", "-h", "--help"}:
                raise UsageError(f"write the protocol's name before {word}: labneuro run NAME {word} ...")
        elif i == 0 or arguments[i - 1] not in common:
            return word, [*arguments[:i], *arguments[i + 1 :]]
    return "", list(arguments)


def _run_parser(name: str, description: str) -> Parser:
    parser = Parser(f"labneuro run {name}", description)
    bench = "name or path of a bench file (default: emulated)"
    out = "the new run file (default: runs/NAME-TIME.h5)"
    parser.add_argument("--bench", dest="--bench", metavar="FILE", default="emulated", help=bench)
    parser.add_argument("--out", dest="--out", metavar="FILE", type=Path, help=out)
    _add_common(parser)
    return parser


def _add_common(parser: Parser) -> None:
    """Offer what runs have in common, new or resumed."""
    parser.add_argument("--no-figure", dest="--no-figure", action="store_true", help="draw no figure at the end")
    parser.add_argument(
        "--view", dest="--view", action="store_true", help="open a window that shows and steers the run"
    )
    # What starts runs on behalf of its user steers them through their standard input.
    parser.add_argument("--controlled", dest="--controlled", action="store_true", help=argparse.SUPPRESS)


def _steering(given: Mapping[str, Any]) -> "Steering":
    from labneuro import control

    if given["--view"]:
        return control.by_a_window
    return control.by_words_on_stdin if given["--controlled"] else control.unsteered


def _add_options(parser: Parser, options: Sequence["Parameter"]) -> None:
    """Offer parameters as options; their values stay text here and are read with all the others."""
    group = parser.add_argument_group("options of this protocol")
    for option in options:
        name = flag(option.name)
        default = "required" if option.required else f"default: {_shown(option.default, option.unit)}"
        words = f"{option.help.rstrip('.')}: {option.wanted} ({default})".removeprefix(": ").replace("%", "%%")
        common: dict[str, Any] = {"dest": option.name, "default": argparse.SUPPRESS}
        try:
            if isinstance(option.default, bool):
                group.add_argument(name, **common, nargs="?", const="true", metavar="true|false", help=words)
                no = flag(f"no_{option.name}")
                group.add_argument(no, **common, action="store_const", const="false", help=argparse.SUPPRESS)
            else:
                group.add_argument(name, **common, metavar="VALUE", help=words)
        except argparse.ArgumentError:
            raise UsageError(f"parameter {option.name} of this protocol hides {name}: rename it") from None


def _shown(value: object, unit: str) -> str:
    from labneuro.units import format_quantity

    if isinstance(value, float | int) and not isinstance(value, bool):
        return format_quantity(value, unit)
    if isinstance(value, tuple | list):
        return ", ".join(_shown(item, unit) for item in cast("Sequence[object]", value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _description(protocol: "Protocol") -> str:
    import inspect

    return (inspect.getdoc(protocol) or "").partition("\nArgs:")[0]


def replay(arguments: list[str]) -> int:
    """Run the protocol of a run again with its file answering."""
    words = "Run the protocol of a run again with its file answering. Exit status 1 at the first difference."
    parser = Parser("labneuro replay", words)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    parser.add_argument("--code-changed", action="store_true", help="show what code made the run, and what runs now")
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro.layout import printable, show_lines
    from labneuro.provenance import provenance
    from labneuro.replay import replay
    from labneuro.report import code_of
    from labneuro.store import RunFile

    run = RunFile(given["run"])
    outcome = replay(run)
    lines = [
        ("identical", f"{counted(outcome.questions, 'question')}, {counted(outcome.records, 'record')}"),
        ("recording", f"{run.state}: {run.note}".removesuffix(": ")),
    ]
    if run.damage:
        lines.append(("damage", run.damage))
    if given["code_changed"]:
        lines += [("made by", code_of(run.provenance)), ("now", code_of(provenance()))]
    show_lines(lines, Console())
    if outcome.difference:
        sys.stdout.write(f"DIFFERENT: {printable(outcome.difference, keep=chr(10))}\n")
    return 1 if outcome.difference or run.damage else 0


def resume(arguments: list[str]) -> int:
    """Go on with a run that was stopped, failed or killed."""
    parser = Parser("labneuro resume", "Go on with a run that was stopped, failed or killed, in its own file.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    bench_help = "go on with this bench file, if that of the run has changed since"
    parser.add_argument("--bench", dest="--bench", metavar="FILE", help=bench_help)
    parser.add_argument("--cut", action="store_true", help="go on from before the damage of a journal; a copy is kept")
    _add_common(parser)
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro import bench
    from labneuro.registry import load_protocol
    from labneuro.report import report
    from labneuro.resume import resume
    from labneuro.store import RunFile

    run = RunFile(given["run"])
    bench_file = bench.load(given["--bench"]) if given["--bench"] else None
    result = resume(run, bench=bench_file, cut=given["cut"], ask=_ask, steered=_steering(given))
    report(result, load_protocol(run.protocol), Console(), figure=not (given["--no-figure"] or result.aborted))
    return 0 if result.interrupt is None else 128 + result.interrupt


def _ask(question: str) -> bool | None:
    """Put a question to whoever sits at the terminal; None if nobody does or knows."""
    if not sys.stdin.isatty():
        return None
    from rich.prompt import Prompt

    answer = Prompt.ask(question, choices=["yes", "no", "unknown"])
    return {"yes": True, "no": False}.get(answer)


def rebuild(arguments: list[str]) -> int:
    """Make the run file of a run whose process is dead."""
    parser = Parser("labneuro rebuild", "Make the run file of a run from its journal, after its process has died.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    given = parser.read(arguments)

    from labneuro.recording import completed
    from labneuro.store import RunFile

    run = RunFile(given["run"])
    lost = completed(run)
    sys.stdout.write(f"{run.path}: {run.state}, {counted(run.steps.count, 'step')}\n")
    if lost:
        sys.stdout.write(f"{lost}; {run.journal} is kept\n")
    return 1 if lost else 0
