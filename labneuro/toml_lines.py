"""On which line of a TOML text each key stands: the parser does not say."""

import tomllib
from collections.abc import Iterator
from typing import cast

Key = tuple[str, ...]


def key_lines(text: str) -> dict[Key, int]:
    """Return the line, from 1, on which each key of a valid TOML text first stands; tables are keys too.

    A statement starts on a line of its own and ends where the lines since then parse; keys of an inline table
    get the line of their statement.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    start, statement = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            keys = list(_keys(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = keys[-1]
        else:
            keys = [table + key for key in keys]
        for key in keys:
            found.setdefault(key, start)
        start, statement = number + 1, ""
    return found


def _keys(content: object) -> Iterator[Key]:
    """Yield the path to everything in nested tables, the outer first; those in an array are taken as one."""
    if isinstance(content, list):
        for item in cast("list[object]", content):
            yield from _keys(item)
    elif isinstance(content, dict):
        for key, value in cast("dict[str, object]", content).items():
            yield (key,)
            yield from ((key, *deeper) for deeper in _keys(value))
