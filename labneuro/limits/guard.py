"""What every guard does: it plays the role of the part behind it, and knows where on the bench that part stands."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Le

from labneuro.attempts import in_words, raise_all, try_all
from labneuro.clock import Clock
from labneuro.parameters import ParameterError
from labneuro.roles import Role
from labneuro.units import Decibels, FloatArray, Frequency, Power, Voltage, format_quantity

ROUNDING = 1e-12
"""How far, relatively, a request may pass a limit: "8 mA" reached as a sum of steps is still 8 mA."""

OWN_LIMIT_ERROR = 0.01
"""How far, relatively, an instrument's own limit may read beyond what was asked: one kept to 0.01 dB is 0.2 % off."""

MOST_LOSS = 100.0
"""Largest loss or gain of a line that is believed, dB: more is a slip of the pen, and would lift every limit."""

MaxVoltage = Annotated[Voltage, Gt(0)]
MaxPower = Annotated[Power, Gt(0)]
BandEdge = Annotated[Frequency, Gt(0)]
Loss = Annotated[Decibels, Ge(-MOST_LOSS), Le(MOST_LOSS)]


Quantity = tuple[float, str]
"""A value and its unit."""


class LimitError(ValueError):
    """A request leaves the safe envelope; nothing was sent."""


class UnsafeError(RuntimeError):
    """A part can't be shown to be safe."""


@dataclass(frozen=True)
class OwnLimit:
    """What an instrument limits its output to: `held`, as read back, where a bench allows `allowed`, both in `unit`."""

    name: str
    held: float
    allowed: float
    unit: str


@dataclass(frozen=True)
class Place:
    """Where a part stands, for messages: its bench, its name, and file:line of each limit given."""

    bench: str
    part: str
    lines: Mapping[str, str] = field(default_factory=dict[str, str])

    def says(self, what: str, limit: str = "") -> str:
        """Return a message about the part, with the line where its limit stands."""
        line = f" ({self.lines[limit]})" if limit in self.lines else ""
        return f"bench {self.bench!r}: {self.part}: {what}{line}"

    def error(self, what: str, limit: str = "") -> LimitError:
        """Return the error that says `what` is wrong and where its limit stands."""
        return LimitError(self.says(what, limit))


class Limits:
    """Limits that hold however they were made: compared with NaN, nothing would be beyond a limit."""

    def __post_init__(self) -> None:
        limits: dict[str, float | None] = vars(self)
        for name, limit in limits.items():
            if name in {"loss", "rf_loss"}:
                if limit is None or not abs(limit) <= MOST_LOSS:
                    raise ParameterError(name, f"{limit} is not allowed: give a loss within ±{MOST_LOSS:g} dB")
            elif limit is not None and not 0 < limit < math.inf:
                raise ParameterError(name, f"{limit} is not allowed: give a finite limit above 0")
        low, high = limits.get("min_frequency"), limits.get("max_frequency")
        if low is not None and high is not None and not low < high:
            texts = format_quantity(low, "Hz"), format_quantity(high, "Hz")
            raise ParameterError("min_frequency", f"{texts[0]} is not below max_frequency, {texts[1]}")


R = TypeVar("R", bound=Role)
L = TypeVar("L", bound=Limits)


class Guard(Role, Generic[R, L]):
    """A part behind its limits.

    shorted: whether being safe means a shorted output, for a role that knows of one.
    """

    def __init__(self, inner: R, limits: L, place: Place, clock: Clock, *, shorted: bool = False) -> None:
        self._inner = inner
        self._limits = limits
        self._place = place
        self._clock = clock
        self._shorted = shorted

    @property
    def identity(self) -> str:
        return self._inner.identity

    def protect(self) -> None:
        """Give the instrument's own protection the same limits. Raises LimitError if it reads back higher."""
        try:
            self._protect()
        except LimitError:
            raise
        except Exception as error:
            raise UnsafeError(self._place.says(f"its own limits can't be set: {in_words(error)}")) from error

    def make_safe(self) -> None:
        """Take the gentle steps, whatever becomes of them, then let the part make itself safe."""
        raise_all(f"{self._place.part} was not made safe", try_all([*self._gentle_steps(), self._inner.make_safe]))

    def confirm(self) -> str:
        """Return in words what the outputs read back. Raises UnsafeError unless that is known and harmless."""
        try:
            words, safe = self._read_back()
        except Exception as error:  # noqa: BLE001 - no answer, whatever the reason, is no confirmation
            words, safe = in_words(error), False
        if not safe:
            raise UnsafeError(self._place.says(f"not confirmed safe: {words}: switch it off by hand"))
        return words

    def own_limit(self) -> "OwnLimit | None":
        """Return what the instrument itself limits its output to, as it stands; None if it can't."""
        return None

    def account(self, verb: str, arguments: Mapping[str, object]) -> None:
        """Count an action of an earlier part of the run in what the run may do in all; nothing is sent."""

    def snapshot(self) -> object:
        return self._inner.snapshot()

    def restore(self, snapshot: object) -> None:
        self._inner.restore(snapshot)

    def close(self) -> None:
        self._inner.close()

    def _protect(self) -> None:
        return

    def _gentle_steps(self) -> Sequence[Callable[[], None]]:
        return ()

    @abstractmethod
    def _read_back(self) -> tuple[str, bool]:
        """Return what the outputs read back, in words, and whether that is harmless."""

    def _check_own_limit(self, held: float, asked: float, unit: str, limit_name: str) -> None:
        """Compare the instrument's own limit, as read back, with what was asked; infinite where it has none."""
        if held != math.inf and not held <= asked * (1 + OWN_LIMIT_ERROR):
            texts = compared(asked, held, unit)
            what = f"its own limit was set to {texts[0]} and reads back {texts[1]}: set it by hand"
            raise self._place.error(what, limit_name)


def real(place: Place, what: str, given: object, shape: tuple[int, ...]) -> FloatArray:
    """Return a copy of `given`, which nobody can change between the check and the sending."""
    try:
        values = np.array(given)
    except ValueError:
        raise place.error(f"{what} are ragged: give an array of shape {shape}") from None
    if values.dtype.kind not in "iuf":
        raise place.error(f"{what} {given!r} not real: give SI values as floats")
    if values.shape != shape:
        raise place.error(f"{what} of shape {values.shape}: give shape {shape}")
    return values.astype(np.float64)


def compared(one: float, other: float, unit: str) -> tuple[str, str]:
    """Return both values as text, with all digits where fewer would make them look equal."""
    texts = format_quantity(one, unit), format_quantity(other, unit)
    return texts if texts[0] != texts[1] else (f"{one!r} {unit}", f"{other!r} {unit}")


def against(limit: float, asked: float, unit: str, at_device: float | None = None) -> str:
    """Return what was asked, what of it reaches the device if that differs, and the limit there, in words."""
    reached, allowed = compared(asked if at_device is None else at_device, limit, unit)
    if at_device in {None, asked}:
        return f"{reached}, limit {allowed}"
    return f"{format_quantity(asked, unit)}, {reached} at the device, limit {allowed}"


def check_level(place: Place, who: str, level: float, limit_name: str, limit: float, unit: str) -> None:
    """Raise LimitError unless `level` is finite and within ±`limit`, both in `unit`, A or V."""
    if not math.isfinite(level):
        raise place.error(f"{who}asked for {level} {unit}: give a finite {'current' if unit == 'A' else 'voltage'}")
    if abs(level) > limit * (1 + ROUNDING):
        raise place.error(f"{who}asked for {against(limit, level, unit)}", limit_name)


def check_protection(
    place: Place, what: str, held: float, limit_name: str, limit: float, unit: str, way_out: str = ""
) -> None:
    """Raise LimitError if what protects a device, its compliance or current limit, is `held` beyond ±`limit`."""
    if not abs(held) <= limit * (1 + ROUNDING):
        asked, allowed = compared(held, limit, unit)
        raise place.error(f"{what} {asked}, limit {allowed}{way_out}", limit_name)


def check_power(
    place: Place, level: Quantity, protection: Quantity, what: str, limit: float | None, way_out: str
) -> None:
    """Raise LimitError if `level` times `protection`, called `what`, can give the device more than `limit`, W."""
    power = abs(level[0] * protection[0])
    if limit is not None and not power <= limit * (1 + ROUNDING):
        can = against(limit * 1e3, power * 1e3, "mW")
        said = f"{format_quantity(*level)} at a {what} of {format_quantity(*protection)}"
        raise place.error(f"{said} can give the device {can}: {way_out}", "max_power")
