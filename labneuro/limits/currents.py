"""The safe envelope of a direct current: its size, its compliance, the power it can give, and how fast it walks."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

from labneuro.clock import Clock
from labneuro.limits.guard import (
    ROUNDING,
    Guard,
    Limits,
    MaxPower,
    MaxVoltage,
    OwnLimit,
    Place,
    check_level,
    check_power,
    check_protection,
    real,
)
from labneuro.roles import CurrentSource
from labneuro.units import Current, CurrentRamp, FloatArray, format_quantity

TICK = 1e-3
"""Time between two steps of a ramp, s."""

READ_ERROR = 0.05
"""How far, relatively, a level may read beyond its limit; a ramp that starts further out is refused."""

ZERO_ERROR = 0.01
"""How much of its limit a current may read and be called off: a meter is good to 0.1 % of a range of ten times that."""

MaxCurrent = Annotated[Current, Gt(0)]
MaxRamp = Annotated[CurrentRamp, Gt(0)]


@dataclass(frozen=True, kw_only=True)
class CurrentSourceLimits(Limits):
    """The safe envelope of whatever a current source feeds.

    Args:
        max_current: largest current, in either direction
        max_compliance: largest compliance voltage at which a current may be sourced
        max_power: largest power that the device can be given, current times compliance
        ramp: fastest change of the current

    """

    max_current: MaxCurrent
    max_compliance: MaxVoltage
    max_power: MaxPower | None = None
    ramp: MaxRamp | None = None


class LimitedCurrentSource(Guard[CurrentSource, CurrentSourceLimits], CurrentSource):
    """A current source behind its limits."""

    def _protect(self) -> None:
        self.set_compliance(self._limits.max_compliance)
        asked = format_quantity(self._limits.max_compliance, "V")
        self._check_compliance(self.compliance, f"a compliance of {asked} was set and reads back as")

    def own_limit(self) -> OwnLimit | None:
        return OwnLimit("compliance", self.compliance, self._limits.max_compliance, "V")

    @property
    def compliance(self) -> float:
        return self._inner.compliance

    def set_compliance(self, voltage: float) -> None:
        """Limit the output to ±`voltage`, V. Raises LimitError before anything is sent."""
        wanted = float(real(self._place, "compliance", voltage, ()))
        if not 0 < wanted < math.inf:
            raise self._place.error(f"asked for a compliance of {wanted:g} V: give a finite one above 0 V")
        self._check_compliance(wanted, "asked for a compliance of")
        if self._limits.max_power is not None:
            self._check_power(self.current, wanted, "bring the current down first")
        self._inner.set_compliance(wanted)

    @property
    def current(self) -> float:
        return self._inner.current

    def set_current(self, current: float) -> None:
        """Ramp to `current`, A. Raises LimitError first, also if the compliance reads back too high."""
        wanted = real(self._place, "current", current, ())
        check_level(self._place, "", float(wanted), "max_current", self._limits.max_current, "A")
        compliance = self.compliance
        self._check_compliance(compliance, "compliance reads back as", ": use set_compliance first")
        self._check_power(float(wanted), compliance, "use set_compliance first")
        self._walk(wanted)

    def short_output(self) -> None:
        """Ramp to zero and short the output."""
        self._walk_down()
        self._inner.short_output()

    def _gentle_steps(self) -> Sequence[Callable[[], None]]:
        return [self._walk_down, self._inner.short_output] if self._shorted else [self._walk_down]

    def _read_back(self) -> tuple[str, bool]:
        words, safe = currents_at_zero("current", np.atleast_1d(self.current), (1,), self._limits.max_current)
        return f"{words}, output shorted" if self._shorted else words, safe

    def _check_compliance(self, voltage: float, what: str, way_out: str = "") -> None:
        check_protection(self._place, what, voltage, "max_compliance", self._limits.max_compliance, "V", way_out)

    def _check_power(self, current: float, compliance: float, way_out: str) -> None:
        level, protection = (current, "A"), (compliance, "V")
        check_power(self._place, level, protection, "compliance", self._limits.max_power, way_out)

    def _walk_down(self) -> None:
        """Walk to zero; a source that is at zero, and may be off, is not switched on for it."""
        if self.current != 0:
            self._walk(np.zeros(()))

    def _walk(self, target: FloatArray) -> None:
        def send(point: FloatArray) -> None:
            self._inner.set_current(float(point))

        limits = self._limits
        walk(self._place, self._clock, target, lambda: self.current, send, limits.max_current, limits.ramp)


def check_currents(place: Place, name: str, currents: FloatArray, limit_name: str, limit: float) -> None:
    """Raise LimitError for the first of `currents`, (n,), A, beyond ±`limit`; `name` is what each flows through."""
    bad = ~(np.abs(currents) <= limit * (1 + ROUNDING))
    for index in np.flatnonzero(bad)[:1]:
        check_level(place, f"{name} {index + 1} ", float(currents[index]), limit_name, limit, "A")


def currents_at_zero(name: str, currents: FloatArray, shape: tuple[int, ...], limit: float) -> tuple[str, bool]:
    """Return currents as read back, in words, and whether all are there and can be called zero."""
    words = f"{name} {', '.join(format_quantity(float(current) + 0.0, 'A') for current in currents)}"
    return words, currents.shape == shape and bool((np.abs(currents) <= limit * ZERO_ERROR).all())


def walk(
    place: Place,
    clock: Clock,
    target: FloatArray,
    read: Callable[[], FloatArray | float],
    send: Callable[[FloatArray], None],
    limit: float,
    ramp: float | None,
    *,
    limit_name: str = "max_current",
    unit: str = "A",
) -> None:
    """Send `target` at once without a `ramp`; else walk to it from the level read back, within ±`limit`.

    unit: of all of them; that of `ramp` is this per second.
    """
    if ramp is None:
        send(target)
        return
    level = np.array(read(), dtype=np.float64)
    if level.shape != target.shape or not (np.abs(level) <= limit * (1 + READ_ERROR)).all():
        within = f"no level within {format_quantity(limit, unit)}: make it safe and check its connection"
        raise place.error(f"reads back {level.tolist()} {unit}, {within}", limit_name)
    for point in ramp_points(np.clip(level, -limit, limit), target, ramp * TICK):
        clock.sleep(TICK)
        send(point)


def ramp_points(level: FloatArray, target: FloatArray, step: float) -> Iterator[FloatArray]:
    """Yield points on the straight line from `level` (left out) to exactly `target`, at most `step` apart.

    All components arrive together, so the way between two safe points is safe whatever the wiring.
    """
    count = max(1, math.ceil(np.max(np.abs(target - level), initial=0.0) / step))
    for k in range(1, count):
        yield level + (target - level) * (k / count)
    yield target
