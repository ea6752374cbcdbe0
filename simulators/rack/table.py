"""The table of a model: settings, and methods that are queries or commands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from labneuro.simulators.rack.parameters import Kind, Number, Omissible, Switch
from labneuro.simulators.rack.scpi import Commands, Handler, ScpiError

if TYPE_CHECKING:
    from labneuro.simulators.rack.instrument import Instrument


T = TypeVar("T")
_Method = TypeVar("_Method", bound=Callable[..., object])


class Setting(Generic[T]):
    """One value that is set and queried under the same header; in Python an attribute of the instrument.

    get, set: what answers and what is done instead of keeping the value, each after the header's suffixes; `set`
    keeps it itself by assigning the attribute. queried: under a header of its own. settable: False for a query only.
    """

    def __init__(
        self,
        *headers: str,
        kind: Kind[T],
        get: Callable[..., T] | None = None,
        set: Callable[..., None] | None = None,  # noqa: A002  the counterpart of get
        settable: bool = True,
    ) -> None:
        self.headers = headers
        self.kind = kind
        self.name = headers[0]
        self._get = get
        self._set = set
        self._settable = settable

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instrument: None, owner: type) -> "Setting[T]": ...
    @overload
    def __get__(self, instrument: "Instrument", owner: type) -> T: ...
    def __get__(self, instrument: "Instrument | None", owner: type) -> "T | Setting[T]":
        if instrument is None:
            return self
        return self._get(instrument) if self._get else instrument.values.get((self.name, ()), self.kind.default)

    def __set__(self, instrument: "Instrument", value: T) -> None:
        instrument.values[self.name, ()] = value

    def of(self, instrument: "Instrument", *suffixes: int) -> T:
        """Return the value for the header's `suffixes`."""
        if self._get:
            return self._get(instrument, *suffixes)
        return instrument.values.get((self.name, suffixes), self.kind.default)

    def change(self, instrument: "Instrument", suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> None:
        """Execute the command form."""
        if len(parameters) != 1:
            raise ScpiError(-108 if parameters else -109, self.name)
        value = self.kind.read(parameters[0], instrument)
        if self._set:
            self._set(instrument, *suffixes, value)
        else:
            instrument.values[self.name, suffixes] = value

    def answer(self, instrument: "Instrument", suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> str:
        """Execute the query form; MINimum, MAXimum and DEFault ask for what these words would set."""
        if parameters:
            limit = self.kind.limit(parameters[0], instrument) if isinstance(self.kind, Number) else None
            if limit is None or len(parameters) > 1:
                raise ScpiError(-108, self.name)
            return Number.write(self.kind, limit, instrument)  # type: ignore[arg-type]
        if self._get:
            return self.kind.write(self._get(instrument, *suffixes), instrument)
        return self.kind.write(instrument.values.get((self.name, suffixes), self.kind.default), instrument)

    def declare(self, commands: Commands) -> None:
        """Add the headers to the instrument's tree."""
        for header in self.headers:
            commands.add(header + "?", self.answer)
            if self._settable:
                commands.add(header, self.change)


@dataclass(frozen=True)
class _Declaration:
    headers: tuple[str, ...]
    takes: Sequence[Kind[Any] | Omissible[Any]]
    indefinite: bool = False


_DECLARED: dict[object, list[_Declaration]] = {}


def query(
    *headers: str, takes: Sequence[Kind[Any] | Omissible[Any]] = (), indefinite: bool = False
) -> Callable[[_Method], _Method]:
    """Let a method answer `headers`, written without question mark; it gets their suffixes, then what it `takes`.

    It returns text, a number in the make's format, or None for no reply. indefinite: no query may follow.
    """
    return _declare(_Declaration(tuple(header + "?" for header in headers), takes, indefinite))


def command(*headers: str, takes: Sequence[Kind[Any] | Omissible[Any]] = ()) -> Callable[[_Method], _Method]:
    """Let a method execute `headers`; it gets their suffixes, then what it `takes`."""
    return _declare(_Declaration(headers, takes))


def _declare(declaration: _Declaration) -> Callable[[_Method], _Method]:
    def mark(method: _Method) -> _Method:
        _DECLARED.setdefault(method, []).append(declaration)
        return method

    return mark


def _handler(method: Callable[..., object], takes: Sequence[Kind[Any] | Omissible[Any]]) -> Handler:
    def plain(instrument: "Instrument", suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> str | None:
        if parameters:
            raise ScpiError(-108, parameters[0])
        return instrument.reply(method(instrument, *suffixes))

    def handle(instrument: "Instrument", suffixes: tuple[int, ...], parameters: tuple[str, ...]) -> str | None:
        if parameters and not parameters[-1]:
            parameters = parameters[:-1]
        if len(parameters) > len(takes):
            raise ScpiError(-108, parameters[len(takes)])
        given = list[object](suffixes)
        for place, kind in enumerate(takes):
            if place < len(parameters):
                given.append((kind.kind if isinstance(kind, Omissible) else kind).read(parameters[place], instrument))
            elif not isinstance(kind, Omissible):
                raise ScpiError(-109)
        return instrument.reply(method(instrument, *given))

    return handle if takes else plain


def switches(*headers: str) -> tuple[Setting[bool], ...]:
    """Return settings that are on or off and that nothing else depends on."""
    return tuple(Setting(header, kind=Switch()) for header in headers)


def declare(commands: Commands, model: type) -> None:
    """Add all that the class body of a model and of what it inherits from declares."""
    members: dict[str, object] = {}
    tables: list[Setting[Any]] = []
    for base in reversed(model.__mro__):
        members |= vars(base)
        tables += vars(base).get("settings", ())
    for member in [*members.values(), *tables]:
        if isinstance(member, Setting):
            member.declare(commands)
        elif callable(member):
            for declared in _DECLARED.get(member, ()):
                for header in declared.headers:
                    commands.add(header, _handler(member, declared.takes), indefinite=declared.indefinite)
