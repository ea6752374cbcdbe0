"""What is installed: protocols and drivers by name, found through entry points and nothing else.

A laboratory adds its own from its own package, with the groups `labneuro.protocols`, `labneuro.drivers`,
`labneuro.simulators` and `labneuro.models` in that package's pyproject.toml; the core imports none of them by name.
"""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from labneuro.parameters import suggestion
from labneuro.racks import RackPlan
from labneuro.roles import Role


class RegistryError(ValueError):
    """What stands behind a name can't be used; the message says why and what to do."""


class UnknownNameError(RegistryError):
    """No installed package offers a protocol or driver of this name."""


def protocols() -> dict[str, EntryPoint]:
    """Return the installed protocols by name, in alphabetical order."""
    return _offered("protocol", ["labneuro.protocols"])


def drivers() -> dict[str, EntryPoint]:
    """Return the installed drivers, those of simulators included, by name, in alphabetical order."""
    return _offered("driver", ["labneuro.drivers", "labneuro.simulators"])


def load_protocol(name: str) -> Callable[..., Any]:
    """Return the protocol's function. Raises RegistryError if there is none or it can't be imported."""
    function = _load("protocol", name, protocols())
    if not callable(function):
        raise RegistryError(f"protocol '{name}' is {function!r}, not a function: correct its entry point")
    return function


def load_driver(name: str) -> type[Role]:
    """Return the driver's class. Raises RegistryError if there is none or it can't be imported."""
    driver = _load("driver", name, drivers())
    if not (isinstance(driver, type) and issubclass(driver, Role)):
        raise RegistryError(f"driver '{name}' is {driver!r}, not a subclass of a role: correct its entry point")
    return driver


def models() -> dict[str, EntryPoint]:
    """Return the instruments that a rack can emulate by name, in alphabetical order."""
    return _offered("model", ["labneuro.models"])


def load_model(name: str) -> object:
    """Return the class of an emulated instrument. Raises RegistryError."""
    return _load("model", name, models())


def load_rack() -> type[RackPlan]:
    """Return what reads the table `[rack]` of a bench file. Raises RegistryError."""
    plan = _load("rack", "virtual", _offered("rack", ["labneuro.racks"]))
    if not (isinstance(plan, type) and issubclass(plan, RackPlan)):
        raise RegistryError(f"rack 'virtual' is {plan!r}, not a RackPlan: correct its entry point")
    return plan


def load_scanner() -> Callable[..., Any]:
    """Return what looks for instruments on the table. Raises RegistryError."""
    scan = _load("scanner", "visa", _offered("scanner", ["labneuro.scanners"]))
    if not callable(scan):
        raise RegistryError(f"scanner 'visa' is {scan!r}, not a function: correct its entry point")
    return scan


def _offered(kind: str, groups: Iterable[str]) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in (entry for group in groups for entry in _installed(group, tuple(sys.path))):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise RegistryError(
                f"two packages offer a {kind} '{entry.name}' ({other.value} and {entry.value}): uninstall one"
            )
    return dict(sorted(found.items()))


@cache
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Return what `sys.path`, given as `path`, offered in a group at the first look: looking takes some ms."""
    return entry_points(group=group)


def _load(kind: str, name: str, offered: dict[str, EntryPoint]) -> object:
    if name not in offered:
        raise UnknownNameError(f"no {kind} {name!r} is installed; {suggestion(name, offered)}")
    entry = offered[name]
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{kind} '{name}' ({entry.value}) can't be imported: {error}") from error
