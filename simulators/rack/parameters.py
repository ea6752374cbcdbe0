"""What a command takes: numbers with units, switches, words, strings; refused with the errors of SCPI-99."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from labneuro.simulators.rack.replies import Format
from labneuro.simulators.rack.scpi import ScpiError, short_form

T = TypeVar("T")

Bound = float | Callable[[Any], float]
"""A number, or a function that gives it from the state of the instrument."""


class Kind(Protocol[T]):
    """How one parameter is read and written."""

    @property
    def default(self) -> T:
        """Its value after `*RST`."""
        ...

    def read(self, text: str, instrument: Any) -> T:
        """Return what `text` says. Raises ScpiError."""
        ...

    def write(self, value: T, instrument: Any) -> str:
        """Return `value` as a reply."""
        ...


_NUMERALS = "0123456789+-.eE"
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[eE]\s*[+-]?\d+)?)\s*([A-Za-z%/]*)", re.ASCII)
_BASES = {"H": 16, "Q": 8, "B": 2}
_PREFIXES = {
    "EX": 1e18,
    "PE": 1e15,
    "T": 1e12,
    "G": 1e9,
    "MA": 1e6,
    "K": 1e3,
    "": 1.0,
    "M": 1e-3,
    "U": 1e-6,
    "N": 1e-9,
    "P": 1e-12,
    "F": 1e-15,
    "A": 1e-18,
}
_CONVERTED: dict[tuple[str, str], Callable[[float], float]] = {
    ("DBM", "W"): lambda watts: 10 * math.log10(watts / 1e-3) if watts > 0 else -math.inf,
    ("RAD", "DEG"): math.radians,
    ("DEG", "RAD"): math.degrees,
    ("VP", "V"): lambda volts: volts,
}


@dataclass(frozen=True)
class Number:
    """A real number in `unit`, from `low` to `high`, else -222.

    steps: rounded up to the next of these (a range), or refused with -222 above the last. resolution: rounded to a
    multiple. whole: rounded to an integer. infinite: INFinity is a value. reply: how it is written, where that isn't
    the instrument's way.
    """

    default: float
    low: Bound = -math.inf
    high: Bound = math.inf
    unit: str | Callable[[Any], str] = ""
    steps: tuple[float, ...] | Callable[[Any], tuple[float, ...]] = ()
    resolution: Bound = 0.0
    whole: bool = False
    infinite: bool = False
    reply: Format | None = None

    def read(self, text: str, instrument: Any) -> float:
        """Return the number that `text` means, coerced as the instrument would."""
        try:
            value = float(text) if len(text) < 40 and not text.strip(_NUMERALS) else math.inf
        except ValueError:
            value = math.inf
        if math.isinf(value):
            value = self._spelled(text, instrument)
        if self.infinite and abs(value) >= 9.9e37:
            return math.copysign(math.inf, value)
        if self.whole and math.isfinite(value):
            value = float(math.floor(value + 0.5))
        low = self.low(instrument) if callable(self.low) else self.low
        high = self.high(instrument) if callable(self.high) else self.high
        if not low <= value <= high or math.isinf(value):
            raise ScpiError(-222, text)
        if self.resolution:
            resolution = self.resolution(instrument) if callable(self.resolution) else self.resolution
            value = round(value / resolution) * resolution
        return self._step(value, instrument) if self.steps else value

    def write(self, value: float, instrument: Any) -> str:
        """Return `value` as this parameter or this make writes it."""
        if self.reply:
            return self.reply(value)
        return instrument.whole(value) if self.whole else instrument.number(value)

    def limit(self, word: str, instrument: Any) -> float | None:
        """Return what MINimum, MAXimum or DEFault stand for, None for any other word."""
        word = word.upper()
        if word in {"DEF", "DEFAULT"}:
            return self.default
        bound = {"MIN": self.low, "MINIMUM": self.low, "MAX": self.high, "MAXIMUM": self.high}.get(word)
        return bound(instrument) if callable(bound) else bound

    def _spelled(self, text: str, instrument: Any) -> float:
        match = _NUMBER.fullmatch(text)
        if match:
            unit = self.unit(instrument) if callable(self.unit) else self.unit
            return _in_unit(_to_float(match[1]), match[2].upper(), unit)
        word = text.upper()
        limit = self.limit(word, instrument)
        if limit is not None:
            return limit
        if self.infinite and word in {"INF", "INFINITY", "NINF", "NINFINITY"}:
            return -math.inf if word[0] == "N" else math.inf
        if text[:1] == "#":
            if text[1:2].upper() not in _BASES:
                raise ScpiError(-168, text[:12])
            try:
                return float(int(text[2:], _BASES[text[1].upper()]))
            except (ValueError, OverflowError):
                raise ScpiError(-121, text) from None
        raise ScpiError(_not_a_number(text), text)

    def _step(self, value: float, instrument: Any) -> float:
        steps = self.steps(instrument) if callable(self.steps) else self.steps
        for step in steps:
            if abs(value) <= step * (1 + 1e-9):
                return step
        raise ScpiError(-222, str(value))


def _to_float(digits: str) -> float:
    if len(digits) > 255:
        raise ScpiError(-124, digits[:12])
    value = float("".join(digits.split()))
    if math.isinf(value):
        raise ScpiError(-123, digits)
    return value


def _in_unit(value: float, suffix: str, unit: str) -> float:
    if not suffix:
        return value
    if not unit:
        raise ScpiError(-138, suffix)
    factor = _factor(suffix, unit)
    if factor is not None:
        return value * factor
    for (to, since), convert in _CONVERTED.items():
        factor = _factor(suffix, since) if to == unit.upper() else None
        if factor is not None:
            return convert(value * factor)
    raise ScpiError(-131, suffix)


@cache
def _factor(suffix: str, unit: str) -> float | None:
    unit = unit.upper()
    if not suffix.endswith(unit):
        return None
    prefix = suffix.removesuffix(unit)
    if prefix == "M" and unit in {"HZ", "OHM"}:
        return 1e6
    return _PREFIXES.get(prefix)


def _not_a_number(text: str) -> int:
    if not text:
        return -109
    return {'"': -158, "'": -158, "(": -178}.get(text[0], -121 if text[0] in "+-.0123456789" else -148)


@dataclass(frozen=True)
class Switch:
    """ON, OFF or a number, which is on unless it rounds to 0; replies 1 or 0."""

    default: bool = False

    def read(self, text: str, instrument: Any) -> bool:
        """Return whether `text` means on."""
        match text.upper():
            case "1" | "ON":
                return True
            case "0" | "OFF":
                return False
            case _:
                number = _NUMBER.fullmatch(text)
                if number and not number[2]:
                    return abs(_to_float(number[1])) >= 0.5
                raise ScpiError(-138 if number else -141 if text[:1].isalpha() else _not_a_number(text), text)

    def write(self, value: bool, instrument: Any) -> str:
        """Return 1 or 0."""
        return "1" if value else "0"


class Word:
    """One of some words, each in its short or its long form; replies the short form.

    default: the short form of the first, if not given. quoted: sent and replied as a string. aliases: other
    spellings, with the short form of the word that they mean.
    """

    def __init__(
        self, *words: str, default: str = "", quoted: bool = False, aliases: dict[str, str] | None = None
    ) -> None:
        self.quoted = quoted
        self._short = {form: short_form(word) for word in words for form in (short_form(word), word.upper())}
        self._short |= aliases or {}
        self.default = default or short_form(words[0])

    def read(self, text: str, instrument: Any) -> str:
        """Return the short form of what `text` names."""
        word = unquote(text) if self.quoted or (text[:1] in "\"'" and text) else text
        known = self._short.get(word.upper())
        if known is None:
            raise ScpiError(-109 if not text else -141 if text[0].isalpha() else -224 if self.quoted else -128, text)
        return known

    def write(self, value: str, instrument: Any) -> str:
        """Return the short form, in quotes if it is a string."""
        return f'"{value}"' if self.quoted else value


@dataclass(frozen=True)
class Text:
    """A string; replies it in double quotes."""

    default: str = ""

    def read(self, text: str, instrument: Any) -> str:
        """Return the string without quotes."""
        return unquote(text)

    def write(self, value: str, instrument: Any) -> str:
        """Return the string in quotes."""
        return '"' + value.replace('"', '""') + '"'


@dataclass(frozen=True)
class Bytes:
    """An arbitrary block."""

    default: bytes = b""

    def read(self, text: str, instrument: Any) -> bytes:
        """Return the block's bytes."""
        if not text.startswith("#0"):
            raise ScpiError(-109 if not text else -161, text[:12])
        return text[2:].encode("latin-1")

    def write(self, value: bytes, instrument: Any) -> str:
        """Return a definite-length block."""
        length = str(len(value))
        return f"#{len(length)}{length}{value.decode('latin-1')}"


@dataclass(frozen=True)
class Anything:
    """Any parameter, as it was sent."""

    default: str = ""

    def read(self, text: str, instrument: Any) -> str:
        """Return `text`."""
        return text

    def write(self, value: str, instrument: Any) -> str:
        """Return `value`."""
        return value


@dataclass(frozen=True)
class Omissible(Generic[T]):
    """A parameter that may be left out."""

    kind: Kind[T]


def channels(text: str) -> list[int]:
    """Return the numbers in a channel list, "(@1,3:5)" is [1, 3, 4, 5]. Raises ScpiError."""
    if not re.fullmatch(r"\(@\s*(\d{1,4}(\s*:\s*\d{1,4})?\s*(,\s*|(?=\))))+\)", text):
        raise ScpiError(-171, text)
    found: list[int] = []
    for part in text[2:-1].split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1) if part.strip() else ()
    return found


def unquote(text: str) -> str:
    """Return a string without its quotes, doubled ones single. Raises ScpiError."""
    if len(text) < 2 or text[0] not in "\"'":
        raise ScpiError(-109 if not text else -151, text)
    return text[1:-1].replace(text[0] * 2, text[0])
