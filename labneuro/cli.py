"""The command `labneuro`: run a protocol, list what there is, look into run files, check the machine.

Exit status: 0 fine; 1 a run or a figure failed; 2 bad input; 130 stopped by Ctrl-C, 143 by SIGTERM, 129
because the terminal was closed.
"""

# ruff: noqa: PLC0415 - what isn't needed isn't loaded

import os
import signal
import sys
import traceback
from collections.abc import Callable

import labneuro
from labneuro.commands import bench, gui, looking, running, windows
from labneuro.commands.parsing import Parser, UsageError, flag

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


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": running.run,
    "resume": running.resume,
    "replay": running.replay,
    "rebuild": running.rebuild,
    "watch": looking.watch,
    "view": windows.view,
    "gui": gui.gui,
    "runs": looking.runs,
    "diff": looking.diff,
    "bench": bench.bench,
    "list": looking.list_installed,
    "show": looking.show,
    "plot": looking.plot,
    "doctor": looking.doctor,
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
        text = f"{flag(parameter)}: {getattr(error, 'reason', '')}" if parameter else str(error)
        _complain("; ".join([text, *notes]))
        return 2
    from labneuro.attempts import in_words

    _complain("; ".join([in_words(error), *notes, "--debug shows where"]))
    return 1


def _complain(text: str) -> None:
    sys.stderr.write(f"labneuro: {' '.join(text.split())}\n")
