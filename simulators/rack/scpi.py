"""SCPI-99 over IEEE 488.2 as an instrument reads it: a message becomes commands with their parameters, still text.

Nothing here knows the state of an instrument, so one compiled message serves for ever.
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

ERRORS = {
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -111: "Header separator error",
    -112: "Program mnemonic too long",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -121: "Invalid character in number",
    -123: "Exponent too large",
    -124: "Too many digits",
    -128: "Numeric data not allowed",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -141: "Invalid character data",
    -148: "Character data not allowed",
    -151: "Invalid string data",
    -158: "String data not allowed",
    -161: "Invalid block data",
    -168: "Block data not allowed",
    -171: "Invalid expression",
    -178: "Expression data not allowed",
    -200: "Execution error",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -310: "System error",
    -350: "Queue overflow",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -440: "Query UNTERMINATED after indefinite response",
}


class ScpiError(Exception):
    """An entry for the error queue: a code of SCPI-99, or one of the maker's with its own text."""

    def __init__(self, code: int, detail: str = "", *, text: str = "") -> None:
        self.code = code
        self.text = text or ERRORS[code]
        self.detail = detail
        super().__init__(f'{code},"{self.text}"' + (f" at {detail!r}" if detail else ""))


class Handler(Protocol):
    """What a header stands for: given the instrument, the header's suffixes and the parameters, the reply if any."""

    def __call__(self, instrument: Any, suffixes: tuple[int, ...], parameters: tuple[str, ...], /) -> str | None:
        """Execute the command."""
        ...


@dataclass(frozen=True, slots=True)
class _Meaning:
    handler: Handler
    numbered: tuple[bool, ...]  # of the pattern's numbered words, which this spelling contains
    indefinite: bool


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict[str, "_Node"])
    suffixes: range | None = None
    command: _Meaning | None = None
    query: _Meaning | None = None


@dataclass(frozen=True, slots=True)
class _Word:
    short: str
    full: str
    suffixes: range | None
    optional: bool


Call = tuple[Handler, tuple[int, ...], tuple[str, ...]]
Program = tuple[tuple[Call, ...], ScpiError | None]
"""A compiled message: what to call in turn, and the error at which reading it stopped."""


_WORD = re.compile(r"(\[)?:?([*A-Za-z][A-Za-z0-9_]*)(?:<(\d+)-(\d+)>)?(\])?")
_CACHED = 4096
_WHOLE = re.compile(rb"[\"'#]|\*IDN|\*OPT|;:\*", re.IGNORECASE)
"""What keeps a message from being read part by part: strings, blocks, what nothing may follow, `:*`."""
_SET_POINT = string.ascii_letters + string.digits + "+-.% "
_PLAIN = re.compile(r"[^;\"'#()]*")
_HEADER = re.compile(r"[\s:*]*[A-Za-z*][A-Za-z0-9_:*]*(?:\s*\?)?")
_ELEMENT = re.compile(
    r"""\s*(?P<data>"(?:[^"]|"")*"|'(?:[^']|'')*'|\([^()]*\)|\#[HQBhqb][0-9A-Fa-f]+|[^,;"'#()]*?)\s*(?P<end>[,;]|$)"""
)
_BLOCK = re.compile(r"\s*#(\d)")
_END = re.compile(r"\s*(?P<end>[,;]|$)")
_FINISHED = re.compile(r"""("[^"]*"|'[^']*'|\([^()]*\)|#\d)""")
_UNFINISHED = {'"': -151, "'": -151, "(": -171, "#": -161}


class Commands:
    """The tree of an instrument's headers, and the messages it has understood so far."""

    def __init__(self, *, strict_path: bool = False) -> None:
        """Most instruments look from the root for what they don't find below the path; `strict_path`: this doesn't."""
        self._root = _Node()
        self._strict = strict_path
        self.programs: dict[bytes, Program] = {}
        self._meanings: dict[str, tuple[_Meaning, tuple[int, ...]]] = {}

    def add(self, pattern: str, handler: Handler, *, indefinite: bool = False) -> None:
        """Let a header as manuals write it, "[:SENSe]:VOLTage:CHANnel<1-2>:RANGe?", stand for `handler`.

        Numbered words hand their suffixes, 1 where none is written, to the handler. indefinite: nothing may follow
        its reply, as for `*IDN?`. Raises ValueError if the header is already taken.
        """
        header = pattern.removesuffix("?")
        words: list[_Word] = []
        position = 0
        while position < len(header):
            match = _WORD.match(header, position)
            if not match:
                raise ValueError(f"header {pattern!r} can't be read from character {position} on")
            opened, name, low, high, _ = match.groups()
            numbers = range(int(low), int(high) + 1) if low else None
            words.append(_Word(short_form(name), name.upper(), numbers, bool(opened)))
            position = match.end()
        self._insert(self._root, pattern, words, (), handler, indefinite)

    def _insert(
        self,
        node: _Node,
        pattern: str,
        words: list[_Word],
        numbered: tuple[bool, ...],
        handler: Handler,
        indefinite: bool,
    ) -> None:
        for place, word in enumerate(words):
            child = node.children.get(word.full) or _Node(suffixes=word.suffixes)
            if child.suffixes != word.suffixes or node.children.setdefault(word.short, child) is not child:
                raise ValueError(f"header {pattern!r}: {word.full} clashes with another header")
            node.children[word.full] = child
            here = (*numbered, True) if word.suffixes else numbered
            self._insert(child, pattern, words[place + 1 :], here, handler, indefinite)
            if not word.optional:
                return
            numbered = (*numbered, False) if word.suffixes else numbered
        meaning = _Meaning(handler, numbered, indefinite)
        if node is self._root:
            return
        if (node.query if pattern.endswith("?") else node.command) is not None:
            raise ValueError(f"header {pattern!r} is already taken")
        if pattern.endswith("?"):
            node.query = meaning
        else:
            node.command = meaning

    def compile(self, message: bytes) -> Program:
        """Return what `message` asks for; of one with an error, all that stands before it. Never raises.

        What may come again is kept in `programs`.
        """
        if b";:" in message and not _WHOLE.search(message):
            return self._joined(message)
        text = message.decode("latin-1")
        header, _, data = text.strip().partition(" ")
        if data and not data.strip(_SET_POINT):  # nothing but these characters; unlikely to come again
            known = self._meanings.get(header.removeprefix(":"))
            if known:
                return ((known[0].handler, known[1], (data.lstrip(),)),), None
        program = self._compile(text)
        if len(message) < 100:
            if len(self.programs) >= _CACHED:
                self.programs.clear()
            self.programs[message] = program
        return program

    def _joined(self, message: bytes) -> Program:
        """Compile the parts of a message that start at the root, of which most have come before."""
        calls: tuple[Call, ...] = ()
        for place, part in enumerate(message.split(b";:")):
            at_root = b":" + part if place else part
            more, failure = self.programs.get(at_root) or self.compile(at_root)
            calls += more
            if failure:
                return calls, failure
        return calls, None

    def _compile(self, text: str) -> Program:
        calls: list[Call] = []
        path = ""
        closed = False
        try:
            for header, parameters in _units(text):
                if header[0] == "*" or header.startswith(":*"):
                    meaning, suffixes = self._meaning(header.removeprefix(":"))
                else:
                    full = header[1:] if header[0] == ":" else path + header
                    try:
                        meaning, suffixes = self._meaning(full)
                    except ScpiError:
                        if self._strict or full == header:
                            raise
                        full = header.removeprefix(":")
                        meaning, suffixes = self._meaning(full)
                    path = full[: full.rfind(":") + 1]
                if closed and header[-1] == "?":
                    return tuple(calls), ScpiError(-440, header)
                closed = closed or meaning.indefinite
                calls.append((meaning.handler, suffixes, parameters))
        except ScpiError as error:
            return tuple(calls), error
        return tuple(calls), None

    def _meaning(self, header: str) -> tuple[_Meaning, tuple[int, ...]]:
        known = self._meanings.get(header)
        if known is None:
            known = self._look_up(header)
            if len(self._meanings) >= _CACHED:
                self._meanings.clear()
            self._meanings[header] = known
        return known

    def _look_up(self, header: str) -> tuple[_Meaning, tuple[int, ...]]:
        node = self._root
        given: list[int] = []
        for word in header.removesuffix("?").rstrip().upper().split(":"):
            child = node.children.get(word)
            digits = ""
            if child is None:
                stem = word.rstrip("0123456789")
                digits = word[len(stem) :]
                child = node.children.get(stem)
            if child is None or not word:
                raise ScpiError(-112 if len(word) > 12 else -113, header)
            if digits and (len(digits) > 4 or int(digits) not in (child.suffixes or (1,))):
                raise ScpiError(-114, header)
            if child.suffixes:
                given.append(int(digits or 1))
            node = child
        meaning = node.query if header.endswith("?") else node.command
        if meaning is None:
            raise ScpiError(-113, header)
        spelled = iter(given)
        return meaning, tuple(next(spelled) if there else 1 for there in meaning.numbered)


def short_form(word: str) -> str:
    """Return the short form of a word as manuals write it: VOLT of VOLTage, CALC2 of CALCulate2, ARB1 of ARB1."""
    parts = re.fullmatch(r"([*A-Z0-9_:]+)[a-z]*([0-9]*)", word)
    if not parts:
        raise ValueError(f"{word!r} has no capitals in front to tell its short form")
    return parts[1] + parts[2]


def _units(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield header and parameters of each unit; raises ScpiError where a unit can't be read."""
    position = 0
    while True:
        while text[position : position + 1].isspace() or text[position : position + 1] == ";":
            position += 1
        if position == len(text):
            return
        match = _HEADER.match(text, position)
        if not match:
            raise ScpiError(-102 if text[position].isascii() and text[position].isprintable() else -101, text[position])
        header = "".join(match[0].split())
        position = match.end()
        rest = _PLAIN.match(text, position)
        if rest and rest.end() == len(text):
            data = rest[0]
            if data and not data[0].isspace():
                raise ScpiError(-111, header + data)
            data = data.strip()
            yield header, tuple(map(str.strip, data.split(","))) if data else ()
            return
        if text[position : position + 1] not in {"", ";"} and not text[position].isspace():
            raise ScpiError(-111, header + text[position])
        parameters, position = _parameters(text, position)
        yield header, parameters


def _parameters(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """Return the parameters from `position` to the end of the unit, and where the next unit begins."""
    parameters: list[str] = []
    while True:
        block = _BLOCK.match(text, position)
        if block:
            data, position = _block(text, block)
            parameters.append(data)
            end = _END.match(text, position)
        else:
            end = _ELEMENT.match(text, position)
            if end:
                parameters.append(end["data"])
        if not end:
            rest = text[position:].lstrip()
            raise ScpiError(-103 if _FINISHED.match(rest) else _UNFINISHED.get(rest[:1], -103), rest[:12])
        position = end.end()
        if end["end"] != ",":
            break
    return ((), position) if parameters == [""] else (tuple(parameters), position)


def _block(text: str, start: re.Match[str]) -> tuple[str, int]:
    """Return an arbitrary block in its indefinite form, `#0` and its bytes, and where it ends."""
    digits = int(start[1])
    if digits == 0:
        return "#0" + text[start.end() :].removesuffix("\n"), len(text)
    length = text[start.end() : start.end() + digits]
    if len(length) < digits or not (length.isascii() and length.isdigit()):
        raise ScpiError(-161, start[0])
    first = start.end() + digits
    if first + int(length) > len(text):
        raise ScpiError(-161, start[0] + length)
    return "#0" + text[first : first + int(length)], first + int(length)
