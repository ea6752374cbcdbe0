"""A function's signature as its user's parameters: names, units, bounds and help, read from the code itself.

The keyword-only parameters are what a user may set; they become the command line, the keys of a bench file
and the metadata of a run. The positional parameters typed by a role are what the bench provides.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types as at
import docstring_parser
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from labneuro.clock import Clock
from labneuro.roles import Role
from labneuro.units import Unit, format_quantity

_EXAMPLES = {"A": "1 mA", "V": "100 mV", "W": "0 dBm", "Hz": "350 MHz", "s": "1 ms", "A/s": "1 mA/ms"}
_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text", Path: "a path"}


class ParameterError(ValueError):
    """A parameter is unknown, missing or has a value that is not allowed; the message is one line.

    parameter: its name. reason: the rest of the message, with the way out.
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(parameter, reason)
        self.parameter = parameter
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}"


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter of a function.

    annotation: its type as written, with metadata. unit: symbol of its SI unit, "" if none is declared.
    default: `inspect.Parameter.empty` if there is none. choices: values of a Literal type, else None.
    bounds: in words, such as "at least 1", "" if none. help: its line in the docstring's `Args:`.
    """

    name: str
    annotation: Any
    unit: str
    default: Any
    choices: tuple[Any, ...] | None
    bounds: str
    help: str

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def types(self) -> tuple[Any, ...]:
        """The types its annotation is a union of, without metadata and without None."""
        return tuple(leaf for leaf in _leaves(self.annotation) if leaf is not NoneType)

    @property
    def dimensional(self) -> bool:
        """Whether a value in text needs a unit."""
        return self.unit not in {"", "1"}

    @property
    def wanted(self) -> str:
        """What to give, in words: "an integer of at least 1", "a value above 0 A, such as "8 mA""."""
        if self.choices is not None:
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        kinds = dict.fromkeys(_kind(leaf) for leaf in self.types)
        text = "a value" if self.dimensional else " or ".join(kinds)
        if self.bounds:
            text += f" of {self.bounds}" if self.bounds.startswith("at ") else f" {self.bounds}"
        if self.dimensional:
            number = isinstance(self.default, int | float) and self.default != 0
            example = format_quantity(self.default, self.unit) if number else _EXAMPLES.get(self.unit)
            text += f', such as "{example or f"1 {self.unit}"}"'
        return text


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: a near match, or all that is known."""
    names = list(known)
    if near := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the keyword-only parameters of a function, or of a class's constructor, in their order.

    A parameter typed by `Clock` is left out: the bench provides it.
    """
    hints = _hints(function)
    helps = _helps(function)
    return tuple(
        _parameter(p, hints.get(p.name, Any), helps.get(p.name, ""))
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and not _typed_by_clock(hints.get(p.name))
    )


@dataclass(frozen=True)
class Member:
    """What a protocol needs from a bench or a rig is made of: parts that play `role`, one or `many`."""

    role: type[Role]
    many: bool


def members(function: Callable[..., Any]) -> dict[str, Member]:
    """Return the parts that a protocol or a rig takes: positional parameters typed by a role or a sequence of it."""
    hints = _hints(function)
    found: dict[str, Member] = {}
    for p in inspect.signature(function).parameters.values():
        hint = hints.get(p.name)
        many = get_origin(hint) is Sequence
        role = get_args(hint)[0] if many else hint
        positional = p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
        if positional and isinstance(role, type) and issubclass(role, Role):
            found[p.name] = Member(role, many)
    return found


def takes_clock(function: Callable[..., Any]) -> bool:
    """Return whether a function has a parameter named `clock`, typed by `Clock`: the bench provides it."""
    return _typed_by_clock(_hints(function).get("clock"))


def validated(function: Callable[..., Any], given: Mapping[str, object], *, noun: str = "parameter") -> dict[str, Any]:
    """Return values for all keyword-only parameters: those given, checked and converted, and defaults.

    Strings are read: "4.5 mA" where there is a unit, "60" for an integer, "1 mA, 2 mA" for a tuple. NaN and
    infinity are refused, unless the type says pydantic's `AllowInfNan(True)` in front of its `Unit`.
    `noun` is what an error calls a parameter. Raises ParameterError at the first one that is wrong.
    """
    known = {p.name: p for p in parameters(function)}
    for name in given:
        if name not in known:
            raise ParameterError(name, f"unknown {noun}; {suggestion(name, known)}")
    return {name: checked(parameter, given, noun=noun) for name, parameter in known.items()}


def checked(parameter: Parameter, given: Mapping[str, object], *, noun: str = "parameter") -> Any:
    """Return the value of one parameter as `validated` does, whatever the others are. Raises ParameterError."""
    if parameter.name in given:
        return _checked(parameter, given[parameter.name])
    if parameter.required:
        raise ParameterError(parameter.name, f"missing {noun}: give {parameter.wanted}")
    return parameter.default


def _checked(parameter: Parameter, given: object) -> object:
    leaves = set(_leaves(parameter.annotation))
    refusal = f"{_shown(given)} is not allowed: give {parameter.wanted}"
    if parameter.choices and isinstance(given, str):
        near = difflib.get_close_matches(given, [str(choice) for choice in parameter.choices], n=1)
        refusal += f"; did you mean {near[0]}?" if near else ""
    if isinstance(given, bool) and leaves <= {int, float, NoneType}:
        raise ParameterError(parameter.name, refusal)
    value = given
    if isinstance(given, str) and any(get_origin(leaf) in {tuple, list} for leaf in leaves):
        value = [item.strip() for item in given.split(",")] if given.strip() else []
    adapter: TypeAdapter[Any] = TypeAdapter(parameter.annotation, config=ConfigDict(allow_inf_nan=False))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        own_words = faults[0].get("ctx", {}).get("error") if len(faults) == 1 else None
        raise ParameterError(parameter.name, str(own_words) if own_words else refusal) from None


def _parameter(p: inspect.Parameter, annotation: Any, help_text: str) -> Parameter:
    metadata = list(_metadata(annotation))
    unit = next((m.symbol for m in metadata if isinstance(m, Unit)), "")
    literals = [leaf for leaf in _leaves(annotation) if leaf is not NoneType]
    all_literal = bool(literals) and all(get_origin(leaf) is Literal for leaf in literals)
    choices = tuple(value for leaf in literals for value in get_args(leaf)) if all_literal else None
    return Parameter(p.name, annotation, unit, p.default, choices, _bounds(metadata, unit), help_text)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    constructor = function.__init__ if isinstance(function, type) else function
    return get_type_hints(constructor, include_extras=True)


def _helps(function: Callable[..., Any]) -> dict[str, str]:
    """Return the lines of `Args:`; a class has them in its own docstring or in that of its constructor."""
    style = docstring_parser.DocstringStyle.GOOGLE
    documented = [function.__init__, function] if isinstance(function, type) else [function]
    return {
        entry.arg_name: " ".join((entry.description or "").split())
        for text in map(inspect.getdoc, documented)
        for entry in docstring_parser.parse(text or "", style=style).params
    }


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types an annotation is a union of, without metadata."""
    if get_origin(annotation) is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _leaves(member)
    else:
        yield annotation


def _metadata(annotation: Any) -> Iterator[object]:
    """Yield what `Annotated` says anywhere in an annotation, that of elements of a tuple or list included."""
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        yield from _metadata(inner)
        for extra in extras:
            if isinstance(extra, FieldInfo):
                yield from extra.metadata
            elif isinstance(extra, at.GroupedMetadata):
                yield from extra
            else:
                yield extra
    elif get_origin(annotation) is not Literal:
        for member in get_args(annotation):
            yield from _metadata(member)


def _typed_by_clock(annotation: Any) -> bool:
    return any(isinstance(leaf, type) and issubclass(leaf, Clock) for leaf in _leaves(annotation))


def _bounds(metadata: Iterable[object], unit: str) -> str:
    def text(value: Any) -> str:
        return format_quantity(value, unit) if unit else str(value)

    low = high = ""
    closed = 0
    for m in metadata:
        match m:
            case at.Ge(ge=value):
                low, closed = f"at least {text(value)}", closed | 1
            case at.Gt(gt=value):
                low = f"above {text(value)}"
            case at.Le(le=value):
                high, closed = f"at most {text(value)}", closed | 2
            case at.Lt(lt=value):
                high = f"below {text(value)}"
            case _:
                pass
    if closed == 3:
        return f"from {low.removeprefix('at least ')} to {high.removeprefix('at most ')}"
    return " and ".join(bound for bound in (low, high) if bound)


def _kind(leaf: Any) -> str:
    if get_origin(leaf) is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(leaf))}"
    if get_origin(leaf) in {tuple, list}:
        return "a list"
    if (get_origin(leaf) or leaf) in {dict, Mapping}:
        return "a table"
    return _KINDS.get(leaf) or getattr(leaf, "__name__", str(leaf))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
