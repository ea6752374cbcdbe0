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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import labneuro

if TYPE_CHECKING:
    from labneuro.parameters import Parameter
    from labneuro.run import Protocol

# Errors that the input is to blame for, by module: an error whose module isn't loaded can't have been raised.
_BAD_INPUT = {
    "labneuro.bench": "BenchError",
    "labneuro.datasets.fetch": "DatasetError",
    "labneuro.limits": "LimitError",
    "labneuro.parameters": "ParameterError",
    "labneuro.registry": "RegistryError",
    "labneuro.store": "StoreError",
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
