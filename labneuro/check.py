"""Talk to every part of a bench, and change nothing: is it the right one, what does it put out, what protects it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from labneuro.attempts import in_words, try_all
from labneuro.bench import BenchFile, PartPlan
from labneuro.clock import WallClock
from labneuro.limits import Guard, UnsafeError
from labneuro.roles import Role
from labneuro.units import format_quantity

NOT_HELD = 1.01
"""How far, relatively, an instrument's own limit may be above that of the bench and count as the same."""


@dataclass(frozen=True)
class Checked:
    """What a part said.

    identity: its `*IDN?`. output: what its outputs read back. own_limit: what protects the device at the instrument,
    beside the limit of the bench. errors: entries of its error queue. trouble: why it can't be used, or that its output
    is on, "" if neither.
    """

    part: str
    driver: str
    identity: str = ""
    output: str = ""
    own_limit: str = ""
    errors: tuple[str, ...] = ()
    trouble: str = ""


def check(bench: BenchFile) -> Iterator[Checked]:
    """Yield what each part says, rigs last, one after the other. No output and no limit is changed.

    What stood in the error queue of an instrument stands there no more.
    """
    clock = WallClock()
    rack = None if bench.rack is None else bench.rack.build(clock)
    parts: dict[str, Role] = {}
    try:
        for name, plan in bench.rigs_last():
            missing = [member for member in plan.members if member not in parts]
            if missing:
                yield Checked(name, plan.driver, trouble=f"not without {', '.join(missing)}")
                continue
            try:
                driver = plan.connect(clock, parts, rack)
                parts[name] = plan.guarded(driver, clock)
                errors = tuple(getattr(driver, "found_errors", ()))
                yield replace(_questioned(plan, parts[name]), errors=errors)
            except Exception as error:  # noqa: BLE001 - the others are to be checked all the same
                yield Checked(name, plan.driver, trouble=in_words(error.__cause__ or error))
    finally:
        try_all([part.close for part in parts.values()])
        if rack is not None:
            rack.close()


def _questioned(plan: PartPlan, part: Role) -> Checked:
    identity = "a rig of " + ", ".join(plan.members) if plan.made_of else part.identity
    if plan.limits is None:
        return Checked(plan.name, plan.driver, identity, "has none")
    guard = cast("Guard[Any, Any]", part)
    output = trouble = ""
    try:
        output = guard.confirm()
    except UnsafeError as error:
        trouble = str(error)
    return Checked(plan.name, plan.driver, identity, output, _own_limit(guard), trouble=trouble)


def _own_limit(part: Guard[Any, Any]) -> str:
    own = part.own_limit()
    if own is None or own.held == math.inf:
        return "" if own is None else f"no {own.name} of its own"
    held, allowed = format_quantity(own.held, own.unit), format_quantity(own.allowed, own.unit)
    if own.held <= own.allowed * NOT_HELD:
        return f"{own.name} {held}, limit {allowed}"
    return f"{own.name} {held}, limit {allowed}: set to that when a run opens the bench"
