"""The command `labneuro`: run a protocol, list what there is, look into run files, check the machine.

Exit status: 0 fine; 1 a run or a figure failed; 2 bad input; 130 stopped by Ctrl-C, 143 by SIGTERM, 129
because the terminal was closed.
"""

# ruff: noqa: PLC0415 - compilers and screens are loaded by the commands that need them

import argparse
import json
import math
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import labneuro

if TYPE_CHECKING:
    from labneuro.experiment import Protocol
    from labneuro.parameters import Parameter

# Errors that the input is to blame for, by module: an error whose module isn't loaded can't have been raised.
_BAD_INPUT = {
    "labneuro.bench": "BenchError",
    "labneuro.datasets.fetch": "DatasetError",
    "labneuro.limits": "LimitError",
    "labneuro.parameters": "ParameterError",
    "labneuro.registry": "RegistryError",
    "labneuro.resume": "ResumeError",
    "labneuro.journal": "StoreError",
}


class UsageError(ValueError):
    """The command line can't be understood."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process) and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    try:
        return _dispatch([a for a in arguments if a != "--debug"])
    except SystemExit as leaving:  # argparse has shown help or the version
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:  # whoever read our output has left, and Python would flush the rest on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _complain("interrupted")
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - one clear line, whatever went wrong
        if debug:
            traceback.print_exception(error)
        return _explain(error)


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line, and takes options by their full names only."""

    def __init__(self, prog: str, description: str, **settings: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, formatter_class=formatter, allow_abbrev=False, **settings)
        self.add_argument("--debug", action="store_true", help="show the whole traceback of an error")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; '{self.prog} --help' shows how")

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the values of `arguments` by destination. Raises UsageError, with a near match if there is one."""
        found, unknown = self.parse_known_args(_joined(arguments, self._takes_value()))
        for word in unknown:
            option = word.partition("=")[0]
            if option.startswith("-"):
                from labneuro.parameters import suggestion

                known = [name for name in self._option_string_actions if name.startswith("--")]
                raise UsageError(f"unknown option {option}; {suggestion(option, known)}")
            raise UsageError(f"{word!r} is one word too many; '{self.prog} --help' shows how")
        return vars(found)

    def _takes_value(self) -> set[str]:
        return {name for name, action in self._option_string_actions.items() if action.nargs != 0}


def _joined(arguments: Sequence[str], options: set[str]) -> list[str]:
    """Join an option and its negative value, which would look like another option: --power -3dBm."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] in options and re.match(r"-\.?\d|-inf|-nan", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


# labneuro run


def _run(arguments: list[str]) -> int:
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

    result = execute(protocol, bench_file, values, given["--out"], name=name)
    report(result, protocol, Console(), figure=not (given["--no-figure"] or result.aborted))
    return 0 if result.interrupt is None else 128 + result.interrupt


def _protocol_name(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the protocol, "" if there is none, and the other arguments."""
    common = {"--bench", "--out"}
    for i, word in enumerate(arguments):
        if word.startswith("-"):
            if word.partition("=")[0] not in {*common, "--no-figure", "-h", "--help"}:
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
    parser.add_argument("--no-figure", dest="--no-figure", action="store_true", help="draw no figure at the end")
    return parser


def _add_options(parser: Parser, options: Sequence["Parameter"]) -> None:
    """Offer parameters as options; their values stay text here and are read with all the others."""
    group = parser.add_argument_group("options of this protocol")
    for option in options:
        flag = _flag(option.name)
        default = "required" if option.required else f"default: {_shown(option.default, option.unit)}"
        words = f"{option.help.rstrip('.')}: {option.wanted} ({default})".removeprefix(": ").replace("%", "%%")
        common: dict[str, Any] = {"dest": option.name, "default": argparse.SUPPRESS}
        try:
            if isinstance(option.default, bool):
                group.add_argument(flag, **common, nargs="?", const="true", metavar="true|false", help=words)
                no = _flag(f"no_{option.name}")
                group.add_argument(no, **common, action="store_const", const="false", help=argparse.SUPPRESS)
            else:
                group.add_argument(flag, **common, metavar="VALUE", help=words)
        except argparse.ArgumentError:
            raise UsageError(f"parameter {option.name} of this protocol hides {flag}: rename it") from None


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


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


# labneuro replay, resume, rebuild


def _replay(arguments: list[str]) -> int:
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
        ("identical", f"{_counted(outcome.questions, 'question')}, {_counted(outcome.records, 'record')}"),
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


def _resume(arguments: list[str]) -> int:
    """Go on with a run that was stopped, failed or killed."""
    parser = Parser("labneuro resume", "Go on with a run that was stopped, failed or killed, in its own file.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    bench_help = "go on with this bench file, if that of the run has changed since"
    parser.add_argument("--bench", dest="--bench", metavar="FILE", help=bench_help)
    parser.add_argument("--cut", action="store_true", help="go on from before the damage of a journal; a copy is kept")
    parser.add_argument("--no-figure", dest="--no-figure", action="store_true", help="draw no figure at the end")
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro import bench
    from labneuro.registry import load_protocol
    from labneuro.report import report
    from labneuro.resume import resume
    from labneuro.store import RunFile

    run = RunFile(given["run"])
    bench_file = bench.load(given["--bench"]) if given["--bench"] else None
    result = resume(run, bench=bench_file, cut=given["cut"], ask=_ask)
    report(result, load_protocol(run.protocol), Console(), figure=not (given["--no-figure"] or result.aborted))
    return 0 if result.interrupt is None else 128 + result.interrupt


def _ask(question: str) -> bool | None:
    """Put a question to whoever sits at the terminal; None if nobody does or knows."""
    if not sys.stdin.isatty():
        return None
    from rich.prompt import Prompt

    answer = Prompt.ask(question, choices=["yes", "no", "unknown"])
    return {"yes": True, "no": False}.get(answer)


def _rebuild(arguments: list[str]) -> int:
    """Make the run file of a run whose process is dead."""
    parser = Parser("labneuro rebuild", "Make the run file of a run from its journal, after its process has died.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    given = parser.read(arguments)

    from labneuro.recording import completed
    from labneuro.store import RunFile

    run = RunFile(given["run"])
    lost = completed(run)
    sys.stdout.write(f"{run.path}: {run.state}, {_counted(run.steps.count, 'step')}\n")
    if lost:
        sys.stdout.write(f"{lost}; {run.journal} is kept\n")
    return 1 if lost else 0


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# labneuro watch, runs, diff


def _watch(arguments: list[str]) -> int:
    """Watch a run that goes on."""
    words = "Watch a run that goes on, and say how it ends. Exit status 1 if it fails or its process dies."
    parser = Parser("labneuro watch", words)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run file, or the journal of a run")
    given = parser.read(arguments)

    from rich.console import Console

    from labneuro.watch import watch

    return watch(given["run"], Console())


def _runs(arguments: list[str]) -> int:
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


def _diff(arguments: list[str]) -> int:
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


# labneuro list, show, plot, doctor


def _list(arguments: list[str]) -> int:
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


def _show(arguments: list[str]) -> int:
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
        sys.stdout.write(json.dumps(_jsonable(what), ensure_ascii=False, allow_nan=False, indent=2) + "\n")
        sys.stdout.flush()
        return 0

    from rich.console import Console

    from labneuro.layout import show
    from labneuro.report import contents

    show(contents(run), Console())
    return 0


def _plot(arguments: list[str]) -> int:
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


def _doctor(arguments: list[str]) -> int:
    """Check whether this machine can run experiments, and say what to do if not."""
    Parser("labneuro doctor", "Check this machine and say what to do. Exit status 1 if no run can work.").read(
        arguments
    )
    from rich.console import Console

    from labneuro.doctor import examine, prescription

    findings = list(examine())
    Console().print(prescription(findings))
    return 1 if any(finding.verdict == "fail" for finding in findings) else 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "resume": _resume,
    "replay": _replay,
    "rebuild": _rebuild,
    "watch": _watch,
    "runs": _runs,
    "diff": _diff,
    "list": _list,
    "show": _show,
    "plot": _plot,
    "doctor": _doctor,
}


def _dispatch(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in _COMMANDS:
        return _COMMANDS[name](rest)
    if not name.startswith("-"):
        from labneuro.parameters import suggestion

        raise UsageError(f"no command {name!r}; {suggestion(name, _COMMANDS)}")
    parser = Parser("labneuro", "A laboratory that teaches neuromorphic chips: emulated, real, or recorded.")
    parser.usage = "labneuro COMMAND ..."
    lines = [f"  {command:<9}{(function.__doc__ or '').rstrip('.')}" for command, function in _COMMANDS.items()]
    parser.epilog = "\n".join(["commands:", *lines, "", "labneuro COMMAND --help says more."])
    parser.add_argument("--version", action="version", version=f"labneuro {labneuro.__version__}")
    parser.read(arguments or ["--help"])
    return 0


def _explain(error: Exception) -> int:
    """Say in one line what went wrong, and return the exit status."""
    notes = [str(note) for note in getattr(error, "__notes__", [])]
    classes = (getattr(sys.modules.get(module), name, UsageError) for module, name in _BAD_INPUT.items())
    if isinstance(error, (UsageError, *classes)):
        parameter = getattr(error, "parameter", None)
        text = f"{_flag(parameter)}: {getattr(error, 'reason', '')}" if parameter else str(error)
        _complain("; ".join([text, *notes]))
        return 2
    from labneuro.attempts import in_words

    _complain("; ".join([in_words(error), *notes, "--debug shows where"]))
    return 1


def _complain(text: str) -> None:
    sys.stderr.write(f"labneuro: {' '.join(text.split())}\n")


def _jsonable(value: Any) -> object:
    """Return a value as JSON knows it: arrays as lists, numbers that aren't finite as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in cast("list[Any]", value)]
    if isinstance(value, complex):
        return [_jsonable(value.real), _jsonable(value.imag)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
