"""What there is to choose from: protocols and benches, read once, and again when a file has changed."""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from labneuro import bench, catalogue, registry
from labneuro.attempts import in_words
from labneuro.bench import BenchError, BenchFile
from labneuro.parameters import members, parameters
from labneuro.views.choices import Choice

_DEFAULT = "emulated"  # the bench that the command line takes if it is told none


class Stock:
    """The installed protocols; the benches that come with labneuro, and those in the current folder.

    files: further bench files, as the command line would call them.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self._entries = {entry.name: Choice(entry.name, entry.line, entry.problem) for entry in catalogue.protocols()}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._benches: dict[str, tuple[float, BenchFile | BenchError]] = {}

    def load(self) -> Iterator[None]:
        """Load all that is not known yet, some of it at each step: drivers bring compilers, which takes a while."""
        for name in self._entries:
            self.protocol(name)
            yield
        for called in _bench_files(self.files):
            self._read(called)
            yield

    def protocol(self, name: str) -> Callable[..., Any] | None:
        """Return a protocol, None if it can't be loaded: its entry says why from then on."""
        if name in self._entries and name not in self._functions and not self._entries[name].problem:
            try:
                function = registry.load_protocol(name)
                parameters(function)
                members(function)
                self._functions[name] = function
            except Exception as error:  # noqa: BLE001 - whatever an installed package does, the window stays
                words = str(error) if isinstance(error, registry.RegistryError) else in_words(error)
                self._entries[name] = replace(self._entries[name], problem=words)
        return self._functions.get(name)

    def bench(self, called: str, function: Callable[..., Any]) -> BenchFile:
        """Return a bench that has all parts for a protocol. Raises BenchError in the words of the command line."""
        found = self._read(called)
        if isinstance(found, BenchError):
            raise found
        found.parts_for(function)
        return found

    def protocols(self) -> list[Choice]:
        """Return all protocols."""
        return list(self._entries.values())

    def benches(self, function: Callable[..., Any] | None) -> list[Choice]:
        """Return all benches, last those that can't be chosen: they can't be read, or lack a part for a protocol."""
        choices = [self._choice(called, function) for called in _bench_files(self.files)]
        return sorted(choices, key=lambda choice: bool(choice.problem))

    def suggested(self, protocol: str, function: Callable[..., Any], before: str) -> str:
        """Return the bench to offer for a protocol: that of its name, else the one `before`, else the first that fits.

        Of those that have not been chosen, only one without instruments is offered; "" if there is none.
        """
        fits = [called for called in self._benches if not self._choice(called, function).problem]
        emulated = [called for called in fits if not _drives_instruments(self._benches[called][1])]
        order = [protocol, before, _DEFAULT, *emulated]
        return next((called for called in order if called in emulated or called == before in fits), "")

    def named(self, name: str) -> str:
        """Return how the command line calls the bench of this name, "" if there is none."""
        known = ((called, found) for called, (_, found) in self._benches.items())
        return next((called for called, found in known if isinstance(found, BenchFile) and found.name == name), "")

    def _choice(self, called: str, function: Callable[..., Any] | None) -> Choice:
        found = self._benches.get(called, (0.0, None))[1]
        if found is None:
            return Choice(called, "is being read")
        try:
            if isinstance(found, BenchError):
                raise found
            if function is not None:
                found.parts_for(function)
        except BenchError as error:
            return Choice(called, problem=str(error))
        return Choice(called, ("Instruments. " if _drives_instruments(found) else "") + found.description)

    def _read(self, called: str) -> BenchFile | BenchError:
        path = bench.shipped().get(called, Path(called))
        changed = path.stat().st_mtime if path.exists() else 0.0
        known = self._benches.get(called)
        if known is None or known[0] != changed:
            try:
                known = changed, bench.load(called)
            except BenchError as error:
                known = changed, error
            self._benches[called] = known
        return known[1]


def _drives_instruments(found: BenchFile | BenchError) -> bool:
    return isinstance(found, BenchFile) and any(part.real for part in found.parts.values())


def _bench_files(further: list[str]) -> list[str]:
    """Return all benches as the command line calls them: the user's own, then those that come with labneuro."""
    own = [path.name for path in sorted(Path().glob("*.toml")) if _is_bench(path)]
    return list(dict.fromkeys([*own, *further, *bench.shipped()]))


def _is_bench(path: Path) -> bool:
    """Return whether a file is a bench, or could be if it were TOML."""
    try:
        return "parts" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
