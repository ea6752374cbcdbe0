"""An experiment: a protocol with a value for each of its parameters, ready to be played on any bench."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from labneuro import registry
from labneuro.crossing import Crossing
from labneuro.parameters import members, parameters, validated
from labneuro.roles import Role

Protocol = Callable[..., Iterator[Any]]


@dataclass(frozen=True)
class Experiment:
    """A protocol by name, and the values of all its keyword parameters."""

    name: str
    protocol: Protocol
    values: Mapping[str, Any]

    @classmethod
    def of(cls, protocol: Protocol, given: Mapping[str, object], name: str | None = None) -> "Experiment":
        """Return the experiment with the values `given`, checked and completed. Raises ParameterError."""
        return cls(name or protocol.__name__, protocol, validated(protocol, given))

    @classmethod
    def recorded(cls, head: Mapping[str, Any]) -> "Experiment":
        """Return the experiment that a journal with this head records. Raises RegistryError, ParameterError."""
        name = str(head["protocol"])
        return cls.of(registry.load_protocol(name), dict(head["parameters"]), name)

    def head(self) -> dict[str, Any]:
        """Return what a journal says about it."""
        return {
            "protocol": self.name,
            "doc": inspect.getdoc(self.protocol) or "",
            "parameters": {name: str(v) if isinstance(v, Path) else v for name, v in self.values.items()},
            "units": {p.name: p.unit for p in parameters(self.protocol)},
        }

    def step_type(self) -> type | None:
        """Return the first dataclass in what the protocol is annotated to yield."""
        yielded: Any = next(iter(get_args(get_type_hints(self.protocol).get("return"))), None)
        kinds: tuple[Any, ...] = (yielded, *get_args(yielded))
        return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)

    def begin(self, crossing: Crossing, parts: Mapping[str, str | Sequence[str]]) -> Iterator[Any]:
        """Start the protocol with its parts behind `crossing`; parts: by parameter. Raises TypeError if it is none."""

        def served(named: str | Sequence[str], role: type[Role]) -> Role | tuple[Role, ...]:
            return (
                crossing.role(named, role) if isinstance(named, str) else tuple(crossing.role(p, role) for p in named)
            )

        asked = {name: served(parts[name], member.role) for name, member in members(self.protocol).items()}
        records: Any = self.protocol(**asked, **self.values)
        if not isinstance(records, Iterator):
            what = "a protocol yields its records, it returns nothing"
            raise TypeError(f"protocol {self.name} returned {records!r:.60}: {what}")
        return cast("Iterator[Any]", records)


def clean_up(records: Iterator[Any]) -> None:
    """Let a protocol that is not to go on clean up behind itself."""
    close = getattr(records, "close", None)
    if close is not None:
        close()
