"""Emulated instruments that drivers reach through VISA in this process: what a bench asks of a virtual rack."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from labneuro.clock import Clock
from labneuro.toml_lines import Key

Values = Callable[[Callable[..., Any], Mapping[str, object], Key], dict[str, Any]]
"""Returns the validated keyword arguments of a function from a table, whose place in the rack is given."""

Refusal = Callable[[Key, str], Exception]
"""Returns the error that says what is wrong with a key of the rack."""


class Rack(ABC):
    """Instruments that are switched on, wired to devices.

    visa_library: under which PyVISA finds them.
    """

    visa_library: str

    @property
    @abstractmethod
    def deaths(self) -> Sequence[str]:
        """A line about each device that has been destroyed."""

    @abstractmethod
    def snapshot(self) -> object:
        """Return all that the devices and instruments remember: numbers, text, arrays, and lists and dicts of them."""

    @abstractmethod
    def restore(self, snapshot: Any) -> None:
        """Put devices and instruments back to where they were at `snapshot`."""

    @abstractmethod
    def serve(self, host: str, ports: Mapping[str, int]) -> AbstractContextManager[Mapping[str, Sequence[str]]]:
        """Let other processes reach the instruments; give the VISA resources of each by its name.

        ports: by protocol, "hislip", "vxi11" and "socket", of which the instruments have one each from there on.
        """

    @abstractmethod
    def close(self) -> None:
        """Switch all off."""


class RackPlan(ABC):
    """The table `[rack]` of a bench file, checked."""

    @classmethod
    @abstractmethod
    def read(cls, content: Mapping[str, object], values: Values, refusal: Refusal) -> "RackPlan":
        """Return the plan that a table describes. Raises what `values` and `refusal` make."""

    @abstractmethod
    def warm_up(self) -> None:
        """Compile what the devices need, so that no client waits for that."""

    @abstractmethod
    def build(self, clock: Clock) -> Rack:
        """Wire everything and switch it on."""
