"""What a laboratory has: protocols, benches and drivers, with a line on each.

The lines are read from the source files without running them, because running them loads compilers and
screens: a list must come at once. What can't be read that way is imported after all.
"""

import ast
import importlib.util
import inspect
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from labneuro import bench, registry, roles
from labneuro.roles import Role


@dataclass(frozen=True)
class Entry:
    """Something that is installed.

    line: what it is, in a line. roles: names of the roles a driver plays. problem: why it can't be used, ""
    if nothing is known to be wrong.
    """

    name: str
    line: str
    roles: tuple[str, ...] = ()
    problem: str = ""


def role_names() -> list[str]:
    """Return the names of all roles, as labneuro.roles lists them."""
    return [name for name, cls in vars(roles).items() if _is_role(cls)]


def protocols() -> list[Entry]:
    """Return the installed protocols."""
    return [_described(entry) for entry in registry.protocols().values()]


def drivers() -> list[Entry]:
    """Return the installed drivers, simulated devices included."""
    return [_described(entry) for entry in registry.drivers().values()]


def benches() -> list[Entry]:
    """Return the benches that come with labneuro."""
    found: list[Entry] = []
    for name, path in bench.shipped().items():
        try:
            line = str(tomllib.loads(path.read_text(encoding="utf-8")).get("description", ""))
            found.append(Entry(name, line))
        except (OSError, ValueError) as error:
            found.append(Entry(name, "", problem=f"{path} can't be read: {error}"))
    return found


def _described(entry: EntryPoint) -> Entry:
    try:
        known = _from_source(entry) or _from_object(entry)
    except Exception as error:  # noqa: BLE001 - whatever an installed package does, the list goes on
        text = str(error).splitlines()
        return Entry(entry.name, "", problem=f"{entry.value} can't be imported: {text[0] if text else error!r}")
    return known


def _from_source(entry: EntryPoint) -> Entry | None:
    """Describe what an entry point names by its source; None if the source doesn't tell."""
    spec = importlib.util.find_spec(entry.module)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {entry.module}")
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    tree = ast.parse(Path(spec.origin).read_bytes(), spec.origin)
    for package in _packages(tree.body):
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"it needs {package}, which is not installed")
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry.attr:
            played: tuple[str, ...] = ()
            if isinstance(node, ast.ClassDef):
                names = _ancestors(node, tree.body)
                played = tuple(name for name in role_names() if name in names)
                if not played:
                    return None
            return Entry(entry.name, _first_line(ast.get_docstring(node)), played)
    return None


def _from_object(entry: EntryPoint) -> Entry:
    found: Any = entry.load()
    played = tuple(cls.__name__ for cls in inspect.getmro(found) if _is_role(cls)) if inspect.isclass(found) else ()
    return Entry(entry.name, _first_line(inspect.getdoc(found)), played)


def _packages(body: Iterable[ast.stmt]) -> list[str]:
    """Return the top-level packages that a module imports when it is imported."""
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _is_role(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Role) and cls is not Role and cls.__module__ == Role.__module__


def _ancestors(node: ast.ClassDef, body: Sequence[ast.stmt]) -> set[str]:
    """Return the names of all that a class inherits from, as far as sources tell. body: of its module."""
    names = {_last_name(base) for base in node.bases}
    found = set(names)
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name in names and statement is not node:
            found |= _ancestors(statement, body)
        elif isinstance(statement, ast.ImportFrom) and names & {alias.name for alias in statement.names}:
            theirs = _source(statement.module or "")
            for other in theirs:
                if isinstance(other, ast.ClassDef) and other.name in names:
                    found |= _ancestors(other, theirs)
    return found


def _source(module: str) -> Sequence[ast.stmt]:
    """Return the statements of a module of labneuro, none of others: their sources are not ours to look through."""
    spec = importlib.util.find_spec(module) if module.startswith("labneuro.") else None
    return [] if spec is None or spec.origin is None else ast.parse(Path(spec.origin).read_bytes()).body


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]
