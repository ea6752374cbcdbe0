"""Reading command lines: complaints in one line, negative values, near matches."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn


class UsageError(ValueError):
    """The command line can't be understood."""


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
        found, unknown = self.parse_known_args(joined(arguments, self._takes_value()))
        for word in unknown:
            option = word.partition("=")[0]
            if option.startswith("-"):
                from labneuro.parameters import suggestion  # noqa: PLC0415 - rarely needed, slow to import

                known = [name for name in self._option_string_actions if name.startswith("--")]
                raise UsageError(f"unknown option {option}; {suggestion(option, known)}")
            raise UsageError(f"{word!r} is one word too many; '{self.prog} --help' shows how")
        return vars(found)

    def _takes_value(self) -> set[str]:
        return {name for name, action in self._option_string_actions.items() if action.nargs != 0}


def joined(arguments: Sequence[str], options: set[str]) -> list[str]:
    """Join an option and its negative value, which would look like another option: --power -3dBm."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] in options and re.match(r"-\.?\d|-inf|-nan", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def flag(name: str) -> str:
    """Return the option of a parameter."""
    return f"--{name.replace('_', '-')}"


def counted(count: int, what: str) -> str:
    """Return a number of things in words: 1 step, 2 steps."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
