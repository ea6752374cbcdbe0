"""The bench: a TOML file says what stands on the table, and whoever opens it always leaves it safe.

`load` reads and checks a file and touches no instrument. `BenchFile.open` connects the parts, puts their
limits in front of them, and on leaving, by whatever way, makes every part safe before it closes any.
"""

import re
import tomllib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from labneuro import registry
from labneuro.attempts import in_words, raise_all, try_all
from labneuro.clock import Clock, VirtualClock, WallClock
from labneuro.limits import ENVELOPES, Envelope, Guard, LimitError, Place, UnsafeError, envelope
from labneuro.parameters import ParameterError, members, parameters, suggestion, takes_clock, validated
from labneuro.racks import Rack, RackPlan
from labneuro.roles import CurrentSource, Role
from labneuro.toml_lines import Key, key_lines

_SHIPPED = Path(__file__).parent / "benches"
_SIMULATORS = "labneuro.simulators"
_LIBRARY = "visa_library"
_RACK = "[rack]"
_CLOCKS: dict[str, type[Clock]] = {"wall": WallClock, "virtual": VirtualClock}

Told = Callable[[str, str, bool], None]
"""Called with a part, words and whether they confirm that it is safe."""


class BenchError(ValueError):
    """A bench file or a part can't be used; the message is one line with file, line, key and way out."""


@dataclass(frozen=True, kw_only=True)
class _File:
    """The keys at the top of a bench file."""

    parts: dict[str, object]
    name: str = ""
    description: str = ""
    clock: Literal["wall", "virtual"] = "wall"
    safe_order: tuple[str, ...] = ()
    guardian: bool | None = None
    rack: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The keys of the table of a part."""

    driver: str
    when_safe: Literal["off", "shorted"] = "off"
    made_of: dict[str, object] | None = None
    settings: dict[str, object] | None = None
    limits: dict[str, object] | None = None


@dataclass(frozen=True)
class PartPlan:
    """A part as its file describes it, checked but not connected.

    driver: name of the entry point; cls: what it loads. role: the role played. settings: keyword arguments of
    `cls`. made_of: the parts of which a rig makes this one, by parameter of `cls`. limits: for the guard of the role,
    None if it can do no harm. real: whether its outputs outlive the process, as those of an emulated part don't.
    racked: whether it drives emulated instruments. shorted: whether its output is shorted when it is safe. place, line:
    where in the file.
    """

    name: str
    driver: str
    cls: type[Role]
    role: type[Role]
    settings: Mapping[str, Any]
    made_of: Mapping[str, str | tuple[str, ...]]
    limits: object | None
    real: bool
    racked: bool
    shorted: bool
    place: Place
    line: str

    @property
    def members(self) -> tuple[str, ...]:
        """The names of all parts that this one is made of."""
        return tuple(name for names in self.made_of.values() for name in ([names] if isinstance(names, str) else names))

    def connect(self, clock: Clock, parts: Mapping[str, Role], rack: Rack | None = None) -> Role:
        """Construct the driver; `parts` has those it is made of. Raises BenchError with the driver's own words."""
        given: dict[str, Any] = {**self.settings}
        for parameter, names in self.made_of.items():
            given[parameter] = parts[names] if isinstance(names, str) else [parts[name] for name in names]
        if takes_clock(self.cls):
            given["clock"] = clock
        if self.racked and rack is not None and not self.made_of:
            given[_LIBRARY] = rack.visa_library
        try:
            return self.cls(**given)
        except Exception as error:
            what = f"parts.{self.name}: '{self.driver}' did not start"
            raise BenchError(f"{self.line}: {what}: {in_words(error)}") from error

    def guarded(self, part: Role, clock: Clock) -> Role:
        """Return `part` behind its limits."""
        guard = envelope(self.cls).guard
        return part if guard is None else guard(part, self.limits, self.place, clock, shorted=self.shorted)


@dataclass(frozen=True)
class BenchFile:
    """A checked bench file.

    path: where it is. called: how messages call it. text: what it says, for the record of a run. clock: "wall" or
    "virtual". parts: by name, in the order of the file. safe_order: their names, in the order of being made safe.
    guarded: whether a guardian makes them safe should the process die. rack: the emulated instruments that its drivers
    find, None for those of the laboratory.
    """

    path: Path
    called: str
    text: str
    name: str
    description: str
    clock: str
    parts: Mapping[str, PartPlan]
    safe_order: Sequence[str]
    guarded: bool
    rack: RackPlan | None = None

    def parts_for(self, function: Callable[..., Any]) -> dict[str, str | tuple[str, ...]]:
        """Return which part serves each positional parameter of `function` that is typed by a role.

        It is the part of the same name, else the only other part with that role; for a sequence of a role, all others
        that play it, in the order of the file. Raises BenchError.
        """
        needed = members(function)
        able = {
            name: [p.name for p in self.parts.values() if issubclass(p.role, member.role)]
            for name, member in needed.items()
        }
        chosen = {name: name for name, member in needed.items() if not member.many and name in able[name]}
        for name in (name for name, member in needed.items() if not member.many and name not in chosen):
            free = [part for part in able[name] if part not in chosen.values()]
            if len(free) != 1:
                raise self._lacks(function, name, free)
            chosen[name] = free[0]
        served: dict[str, str | tuple[str, ...]] = {}
        for name, member in needed.items():
            served[name] = tuple(p for p in able[name] if p not in chosen.values()) if member.many else chosen[name]
            if not served[name]:
                raise self._lacks(function, name, [])
        return served

    def _lacks(self, function: Callable[..., Any], name: str, free: Sequence[str]) -> BenchError:
        found = ", ".join(f"{p.name} ({p.role.__name__})" for p in self.parts.values())
        way_out = f"name one of {', '.join(free)} so" if free else f"it has {found}: add one as"
        what = f"{function.__name__} needs a part '{name}' ({members(function)[name].role.__name__})"
        return BenchError(f"bench {self.name!r}: {what}; {way_out} [parts.{name}]")

    def rigs_last(self) -> list[tuple[str, PartPlan]]:
        """Return names and plans in the order in which parts are connected: a rig after what it is made of."""
        return sorted(self.parts.items(), key=lambda item: bool(item[1].made_of))

    @contextmanager
    def open(self, told: Told = lambda part, words, confirmed: None) -> Generator["Bench", None, None]:
        """Connect all parts; on leaving make all safe, then close all, whatever fails on the way.

        `told` is called for each part when the bench is left, right after it was made safe or failed to be.
        What fails on leaving is raised; if an exception is already on its way, it is added to its notes.
        """
        bench = Bench(self, new_clock(self))
        try:
            if self.rack is not None:
                bench.rack = self.rack.build(bench.clock)
            for name, plan in self.rigs_last():
                bench.parts[name] = plan.connect(bench.clock, bench.parts, bench.rack)
                part = bench.parts[name] = plan.guarded(bench.parts[name], bench.clock)
                if isinstance(part, Guard):
                    part.protect()
            yield bench
        except BaseException as error:
            for failure in bench.leave(told):
                error.add_note(f"on leaving bench {self.name!r}: {in_words(failure)}")
            raise
        raise_all(f"on leaving bench {self.name!r}", bench.leave(told))


@dataclass
class Bench:
    """A bench in use: its parts, each behind its limits.

    safety_report: after leaving, (part, "safe" or what went wrong) in the order in which they were made safe.
    """

    file: BenchFile
    clock: Clock
    parts: dict[str, Role] = field(default_factory=dict[str, Role])
    safety_report: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    rack: Rack | None = None

    @property
    def memories(self) -> dict[str, Role | Rack]:
        """All on this bench that can be put back to where it was, by name."""
        able: dict[str, Role | Rack] = {name: part for name, part in self.parts.items() if part.snapshot() is not None}
        return able if self.rack is None else {_RACK: self.rack, **able}

    def leave(self, told: Told) -> list[BaseException]:
        """Make all parts safe in their order, then close all; return what went wrong. `open` calls it."""
        raised: list[BaseException] = []
        for name in (name for name in self.file.safe_order if name in self.parts):
            words, failures = self._make_safe(name)
            self.safety_report.append((name, words if failures else "safe"))
            raised += failures + try_all([partial(told, name, words, not failures)])
        closing = [partial(_tried, f"{name} was not closed", part.close) for name, part in self.parts.items()]
        if self.rack is not None:
            for death in self.rack.deaths:
                raised.append(UnsafeError(f"bench {self.file.name!r}: rack: {death}"))
                raised += try_all([partial(told, _RACK, death, False)])
            closing.append(partial(_tried, "the rack was not closed", self.rack.close))
        return raised + try_all(closing)

    def _make_safe(self, name: str) -> tuple[str, list[BaseException]]:
        """Make a part safe and read it back; return that in words, and what went wrong."""
        part = self.parts[name]
        make_safe = (
            part.make_safe if isinstance(part, Guard) else partial(_tried, f"{name} was not made safe", part.make_safe)
        )
        confirmed: list[str] = []
        failures = try_all([make_safe, lambda: confirmed.append(self._confirm(name))])
        return "; ".join([*confirmed, *map(in_words, failures)]), failures

    def _confirm(self, name: str) -> str:
        """Return in words what the outputs of a part read back. Raises UnsafeError."""
        part = self.parts[name]
        if isinstance(part, Guard):
            return part.confirm()
        if self.file.parts[name].limits is None:
            return "has no output"
        raise UnsafeError(f"bench {self.file.name!r}: {name}: not confirmed safe: its limits are not in place")


def _tried(what: str, action: Callable[[], None]) -> None:
    """Do `action`; what it raises is raised again with `what` in front."""
    raise_all(what, try_all([action]))


def new_clock(bench: BenchFile) -> Clock:
    """Return the clock of a bench."""
    return _CLOCKS[bench.clock]()


def shipped() -> dict[str, Path]:
    """Return the benches that come with labneuro, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def load(name_or_path: str | Path) -> BenchFile:
    """Read and check a bench: the name of a shipped one, or the path of a file. Raises BenchError."""
    known = shipped()
    path = known.get(str(name_or_path), Path(name_or_path))
    called = path.name if path in known.values() else str(name_or_path)
    try:
        if not path.exists() and path.suffix != ".toml":
            hint = suggestion(called, known)
            raise BenchError(f"no bench {called!r} (one of your own is given by its path); {hint}")
        if not path.is_file():
            what = "not a file" if path.exists() else "no such file"
            raise BenchError(f"{called}: {what}: give a bench file, or one of {', '.join(known)}")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchError(f"{called}: byte {error.start + 1} is not UTF-8: save the file as UTF-8") from None
    except OSError as error:
        raise BenchError(f"{called}: {error.strerror}: give a file that can be read") from None
    return parse(text, path, called)


def parse(text: str, path: Path, called: str | None = None) -> BenchFile:
    """Check the text of a bench file as `load` does, such as one that a run has recorded. Raises BenchError.

    called: how messages call it (default: by its path).
    """
    return _Reader(path, str(path) if called is None else called, text).file()


class _Reader:
    """Turns the text of a bench file into a checked BenchFile."""

    def __init__(self, path: Path, called: str, text: str) -> None:
        self.path = path
        self.called = called
        self.text = text
        try:
            self.content = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            where = re.search(r"\(at line (\d+), column \d+\)$", str(error))
            line = where[1] if where else text.count("\n") + 1
            reason = re.sub(r" \(at .*\)$", "", str(error))
            raise BenchError(f"{called}:{line}: not TOML: {reason}") from None
        self.lines = key_lines(text)

    def line(self, key: Key) -> str:
        """Return file:line of a key, or of the table in which it should stand."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.called}:{self.lines.get(key, 1)}"

    def error(self, key: Key, reason: str) -> BenchError:
        shown = ".".join(name if re.fullmatch(r"[\w-]+", name) else repr(name) for name in key)
        return BenchError(f"{self.line(key)}: {shown}: {reason}")

    def values(self, function: Callable[..., Any], given: Mapping[str, object], table: Key) -> dict[str, Any]:
        """Return the validated values of a table. A number whose meaning depends on its unit must have it."""
        for parameter in parameters(function):
            value = given.get(parameter.name)
            numbers = cast("list[object]", value) if isinstance(value, list) else [value]
            if parameter.dimensional and any(isinstance(x, float) or type(x) is int for x in numbers):
                raise self.error((*table, parameter.name), f"{value} has no unit: give {parameter.wanted}")
        try:
            return validated(function, given, noun="key")
        except ParameterError as error:
            raise self.error((*table, error.parameter), error.reason) from None

    def file(self) -> BenchFile:
        top = _File(**self.values(_File, self.content, ()))
        if not top.parts:
            raise self.error(("parts",), "the bench is empty: add a table such as [parts.chip]")
        bench = top.name or self.path.stem
        rack = None if top.rack is None else self.rack(top.rack)
        plans = {name: self.part(bench, name, content, rack) for name, content in top.parts.items()}
        plans = {name: self.assembled(plan, plans) for name, plan in plans.items()}
        for name in top.safe_order:
            if name not in plans:
                raise self.error(("safe_order",), f"no part {name!r}; {suggestion(name, plans)}")
        kinds = [envelope.role for envelope in ENVELOPES]
        rest = sorted(plans, key=lambda name: kinds.index(plans[name].role))
        order = tuple(dict.fromkeys([*top.safe_order, *rest]))
        guarded = any(plan.real for plan in plans.values()) if top.guardian is None else top.guardian
        return BenchFile(
            self.path, self.called, self.text, bench, top.description, top.clock, plans, order, guarded, rack
        )

    def rack(self, content: Mapping[str, object]) -> RackPlan:
        try:
            plan = registry.load_rack()
        except registry.RegistryError as error:
            raise self.error(("rack",), str(error)) from error
        return plan.read(
            content, lambda function, given, key: self.values(function, given, ("rack", *key)), self.in_rack
        )

    def in_rack(self, key: Key, reason: str) -> BenchError:
        return self.error(("rack", *key), reason)

    def part(self, bench: str, name: str, content: object, rack: RackPlan | None) -> PartPlan:
        table = ("parts", name)
        if not name.isidentifier():
            raise self.error(table, "not a name for a part: use letters, digits and _")
        if not isinstance(content, dict):
            raise self.error(table, f"{content!r} is not a part: write a table [parts.{name}]")
        keys = _Part(**self.values(_Part, cast("dict[str, object]", content), table))
        driver = (*table, "driver")
        try:
            cls = registry.load_driver(keys.driver)
            guarding = envelope(cls)
        except (registry.RegistryError, LimitError) as error:
            raise self.error(driver, str(error)) from error
        settings = self.values(cls, keys.settings or {}, (*table, "settings"))
        safe = self.limits(guarding, keys.limits, (*table, "limits"))
        lines = {limit: self.line((*table, "limits", limit)) for limit in keys.limits or {}}
        place = Place(bench, name, lines)
        entry = registry.drivers().get(keys.driver)
        emulated = entry is not None and entry.group == _SIMULATORS
        takes_library = any(p.name == _LIBRARY for p in parameters(cls)) and not settings.get(_LIBRARY)
        racked = rack is not None and takes_library
        made_of = self.made_of(cls, keys.made_of or {}, (*table, "made_of"))
        shorted = keys.when_safe == "shorted"
        if shorted and getattr(cls, "short_output", CurrentSource.short_output) is CurrentSource.short_output:
            raise self.error((*table, "when_safe"), f"'{keys.driver}' can't short its output: leave this key out")
        real, line = not (emulated or racked), self.line(driver)
        return PartPlan(
            name, keys.driver, cls, guarding.role, settings, made_of, safe, real, racked, shorted, place, line
        )

    def made_of(self, cls: type[Role], given: Mapping[str, object], table: Key) -> Mapping[str, str | tuple[str, ...]]:
        """Return which parts a rig is made of, by parameter; their names are not checked yet."""
        wanted = members(cls)
        for name in given:
            if name not in wanted:
                raise self.error((*table, name), f"unknown key; {suggestion(name, wanted)}")
        made_of: dict[str, str | tuple[str, ...]] = {}
        for name, member in wanted.items():
            names = given.get(name)
            example = '["part1", "part2"]' if member.many else '"part1"'
            if isinstance(names, str) and not member.many:
                made_of[name] = names
            elif (
                isinstance(names, list) and member.many and all(isinstance(n, str) for n in cast("list[object]", names))
            ):
                made_of[name] = tuple(cast("list[str]", names))
            else:
                what = "missing" if names is None else f"{names!r} is not allowed"
                kind = f"{'parts that are each' if member.many else 'the part that is'} a {member.role.__name__}"
                raise self.error((*table, name), f"{what}: name {kind}, such as {example}")
        return made_of

    def assembled(self, plan: PartPlan, plans: Mapping[str, PartPlan]) -> PartPlan:
        """Return the plan of a part with what it is made of checked, and real if any of that is."""
        if not plan.made_of:
            return plan
        wanted, seen = members(plan.cls), set[str]()
        for parameter, names in plan.made_of.items():
            key = ("parts", plan.name, "made_of", parameter)
            for name in [names] if isinstance(names, str) else names:
                if name not in plans:
                    raise self.error(key, f"no part {name!r}; {suggestion(name, plans)}")
                if not issubclass(plans[name].role, wanted[parameter].role) or plans[name].made_of:
                    what = "a rig" if plans[name].made_of else f"a {plans[name].role.__name__}"
                    raise self.error(key, f"{name} is {what}: name a {wanted[parameter].role.__name__}")
                if name in seen:
                    raise self.error(key, f"{name} is named twice: name each part once")
                seen.add(name)
        inner = [plans[name] for name in plan.members]
        return replace(plan, real=any(p.real for p in inner), racked=any(p.racked for p in inner))

    def limits(self, guarding: Envelope, given: Mapping[str, object] | None, table: Key) -> object | None:
        role = guarding.role.__name__
        if guarding.limits is None:
            if given is not None:
                raise self.error(table, f"{role} has no limits: remove this table")
            return None
        if given is None:
            keys = ", ".join(f"{p.name} ({p.unit})" for p in parameters(guarding.limits) if p.required)
            what = f"missing: no {role} is used without limits"
            raise self.error(table, f"{what}; add [{'.'.join(table)}] with at least {keys}")
        values = self.values(guarding.limits, given, table)
        try:
            return guarding.limits(**values)
        except ParameterError as error:
            raise self.error((*table, error.parameter), error.reason) from None
