"""What a journal says about a run: its entries, in the order in which things happen (docs/journal.md)."""

from typing import Any, NamedTuple, get_origin, get_type_hints


class Begun(NamedTuple):
    """A run begins. head: what is known about it (docs/journal.md lists the keys)."""

    head: dict[str, Any]


class Resumed(NamedTuple):
    """The run goes on in another process. head: as in Begun, what differs now."""

    head: dict[str, Any]


class Identified(NamedTuple):
    """What stands on the bench: the identity of each part."""

    parts: dict[str, str]


class Asked(NamedTuple):
    """A question, before it reaches the part. unwinding: asked while an exception was being handled."""

    number: int
    part: str
    verb: str
    arguments: dict[str, Any]
    unwinding: bool


class Answered(NamedTuple):
    """The answer to a question."""

    number: int
    value: Any


class Raised(NamedTuple):
    """The error that answered a question. type: name of its class, with the module unless it is built in."""

    number: int
    type: str
    text: str


class Declared(NamedTuple):
    """A type of record, before the first one. table: its group in the run file. fields: (name, unit, scalar) of each.

    unit: None where none is declared. scalar: "float", "int", "bool", or "" if it isn't declared as one number.
    """

    table: str
    type: str
    fields: list[list[Any]]


class Yielded(NamedTuple):
    """A record that the protocol has yielded: values by field."""

    table: str
    values: dict[str, Any]


class Remembered(NamedTuple):
    """What emulated parts remembered after question `number`, and the virtual clock, s."""

    number: int
    clock: float
    parts: dict[str, Any]


class Left(NamedTuple):
    """A part was made safe, or could not be. words: what was read back, or what went wrong."""

    part: str
    words: str
    confirmed: bool


class Noted(NamedTuple):
    """Something else that happened: what ("paused", "guardian", ...) and its words."""

    what: str
    words: str


class Ended(NamedTuple):
    """How the run ended, and why."""

    state: str
    note: str


Entry = (
    Begun | Resumed | Identified | Asked | Answered | Raised | Declared | Yielded | Remembered | Left | Noted | Ended
)
CROSSING = frozenset({Asked, Answered, Remembered})
"""Entries that only replaying and resuming need."""

NAMES: dict[type[Any], str] = {
    Begun: "begun",
    Resumed: "resumed",
    Identified: "identified",
    Asked: "asked",
    Answered: "answered",
    Raised: "raised",
    Declared: "declared",
    Yielded: "yielded",
    Remembered: "remembered",
    Left: "left",
    Noted: "noted",
    Ended: "ended",
}
"""What entries are called in the file."""


def _classes(kind: type) -> tuple[Any, ...]:
    """Return what the fields of an entry are instances of."""
    plain: dict[Any, Any] = {Any: object, float: (float, int)}
    return tuple(plain.get(hint) or get_origin(hint) or hint for hint in get_type_hints(kind).values())


ENTRIES: dict[str, tuple[Any, tuple[Any, ...]]] = {name: (kind, _classes(kind)) for kind, name in NAMES.items()}
"""Entries by these names, and what their fields are instances of."""
