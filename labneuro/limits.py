"""The safe envelope in front of a chip or an instrument: checked before anything is sent, never clipped.

A limited part plays the same role as the part behind it. A request beyond a limit, not finite or of the wrong
shape raises LimitError, and the part behind never hears of it. A set point is approached from the level read
back, in steps no bigger than the ramp allows in one tick of the bench's clock.
"""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from annotated_types import Gt

from labneuro.attempts import raise_all, try_all
from labneuro.clock import Clock
from labneuro.parameters import ParameterError
from labneuro.roles import CurrentSource, OscillatorChip, RFSource, Role, SpectrumAnalyzer, Wiring
from labneuro.signals import Spectrum, StateArray, Tones
from labneuro.units import Current, CurrentRamp, FloatArray, Frequency, Power, Voltage, format_quantity

TICK = 1e-3
"""Time between two steps of a ramp, s."""

ROUNDING = 1e-12
"""How far, relatively, a request may pass a limit: "8 mA" reached as a sum of steps is still 8 mA."""

READ_ERROR = 0.05
"""How far, relatively, a level may read beyond its limit; a ramp that starts further out is refused."""

MaxCurrent = Annotated[Current, Gt(0)]
MaxVoltage = Annotated[Voltage, Gt(0)]
MaxPower = Annotated[Power, Gt(0)]
MaxRamp = Annotated[CurrentRamp, Gt(0)]
BandEdge = Annotated[Frequency, Gt(0)]


class LimitError(ValueError):
    """A request leaves the safe envelope; nothing was sent."""


@dataclass(frozen=True)
class Place:
    """Where a part stands, for messages: its bench, its name, and file:line of each limit given."""

    bench: str
    part: str
    lines: Mapping[str, str] = field(default_factory=dict[str, str])

    def error(self, what: str, limit: str = "") -> LimitError:
        """Return the error that says `what` is wrong and where its limit stands."""
        line = f" ({self.lines[limit]})" if limit in self.lines else ""
        return LimitError(f"bench {self.bench!r}: {self.part}: {what}{line}")


class _Limits:
    """Limits that hold however they were made: compared with NaN, nothing would be beyond a limit."""

    def __post_init__(self) -> None:
        limits: dict[str, float | None] = vars(self)
        for name, limit in limits.items():
            if limit is not None and not 0 < limit < math.inf:
                raise ParameterError(name, f"{limit} is not allowed: give a finite limit above 0")
        low, high = limits.get("min_frequency"), limits.get("max_frequency")
        if low is not None and high is not None and not low < high:
            texts = format_quantity(low, "Hz"), format_quantity(high, "Hz")
            raise ParameterError("min_frequency", f"{texts[0]} is not below max_frequency, {texts[1]}")


@dataclass(frozen=True, kw_only=True)
class OscillatorLimits(_Limits):
    """The safe envelope of an oscillator chip.

    Args:
        max_current: largest direct current through any device, in either direction
        max_rf_power: largest power of each RF source, at its output
        max_source_current: largest current of any direct-current source, of use in series wiring
        ramp: fastest change of the current through any device
        min_frequency: lowest frequency of an RF source that is on
        max_frequency: highest frequency of an RF source that is on

    """

    max_current: MaxCurrent
    max_rf_power: MaxPower
    max_source_current: MaxCurrent | None = None
    ramp: MaxRamp | None = None
    min_frequency: BandEdge | None = None
    max_frequency: BandEdge | None = None


@dataclass(frozen=True, kw_only=True)
class CurrentSourceLimits(_Limits):
    """The safe envelope of whatever a current source feeds.

    Args:
        max_current: largest current, in either direction
        max_compliance: largest compliance voltage at which a current may be sourced
        ramp: fastest change of the current

    """

    max_current: MaxCurrent
    max_compliance: MaxVoltage
    ramp: MaxRamp | None = None


@dataclass(frozen=True, kw_only=True)
class RFLimits(_Limits):
    """The safe envelope of whatever a microwave generator drives.

    Args:
        max_power: largest power at the output
        min_frequency: lowest frequency while the output is on
        max_frequency: highest frequency while the output is on

    """

    max_power: MaxPower
    min_frequency: BandEdge | None = None
    max_frequency: BandEdge | None = None


R = TypeVar("R", bound=Role)
L = TypeVar("L")


class _Limited(Role, Generic[R, L]):
    """A part behind its limits."""

    def __init__(self, inner: R, limits: L, place: Place, clock: Clock) -> None:
        self._inner = inner
        self._limits = limits
        self._place = place
        self._clock = clock

    @property
    def identity(self) -> str:
        return self._inner.identity

    def make_safe(self) -> None:
        self._inner.make_safe()

    def close(self) -> None:
        self._inner.close()

    def _make_safe_by(self, *steps: Callable[[], None]) -> None:
        """Take the gentle steps, whatever becomes of them, then let the part make itself safe."""
        raise_all(f"{self._place.part} was not made safe gently", try_all([*steps, self._inner.make_safe]))

    def _approach(
        self,
        target: FloatArray,
        read: Callable[[], FloatArray | float],
        send: Callable[[FloatArray], None],
        limits: OscillatorLimits | CurrentSourceLimits,
    ) -> None:
        """Send `target`, A, or walk to it from the level read back."""
        if limits.ramp is None:
            send(target)
            return
        level = np.array(read(), dtype=np.float64)
        if level.shape != target.shape or not (np.abs(level) <= limits.max_current * (1 + READ_ERROR)).all():
            limit = format_quantity(limits.max_current, "A")
            way_out = "make it safe and check its connection"
            raise self._place.error(f"reads back {level.tolist()} A, no level within {limit}: {way_out}", "max_current")
        start = np.clip(level, -limits.max_current, limits.max_current)
        for point in ramp_points(start, target, limits.ramp * TICK):
            self._clock.sleep(TICK)
            send(point)


class LimitedOscillatorChip(_Limited[OscillatorChip, OscillatorLimits], OscillatorChip):
    """An oscillator chip behind its limits."""

    @property
    def oscillators(self) -> int:
        return self._inner.oscillators

    @property
    def sources(self) -> int:
        return self._inner.sources

    @property
    def wiring(self) -> Wiring:
        return self._inner.wiring

    @property
    def currents(self) -> FloatArray:
        return self._inner.currents

    def set_currents(self, currents: FloatArray) -> None:
        """Ramp to `currents`, (oscillators,), A. Raises LimitError before anything is sent."""
        self._walk(self._checked_currents(currents))

    def _checked_currents(self, currents: FloatArray) -> FloatArray:
        limits = self._limits
        wanted = _real(self._place, "currents", currents, (self.oscillators,))
        _check_currents(self._place, "oscillator", wanted, "max_current", limits.max_current)
        if limits.max_source_current is not None:
            feeds = np.diff(wanted, prepend=0.0) if self.wiring == "series" else wanted
            source = "direct-current source"
            _check_currents(self._place, source, feeds, "max_source_current", limits.max_source_current)
        return wanted

    def check(self, currents: FloatArray | None = None, tones: Tones | None = None) -> None:
        """Raise LimitError if these would be refused; nothing is sent."""
        if currents is not None:
            self._checked_currents(currents)
        if tones is not None:
            self._checked(tones)

    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the sources. Raises LimitError before anything is sent."""
        checked = None if tones is None else self._checked(tones)
        if checked is not None and len(checked) != 1:
            raise self._place.error(f"apply takes one operating point, not {len(checked)}: use spectra for many")
        self._inner.apply(checked)

    def spectrum(self) -> Spectrum:
        return self._inner.spectrum()

    def spectra(self, tones: Tones) -> Spectrum:
        """Return the spectrum at each point; all are checked first. Raises LimitError."""
        return self._inner.spectra(self._checked(tones))

    def synchronisation(self, tones: Tones) -> StateArray:
        """Return the state at each point; all are checked first. Raises LimitError."""
        return self._inner.synchronisation(self._checked(tones))

    def make_safe(self) -> None:
        """Switch RF off, ramp down from the level read back, then let the chip make itself safe."""
        self._make_safe_by(lambda: self._inner.apply(None), lambda: self._walk(np.zeros(self.oscillators)))

    def _walk(self, target: FloatArray) -> None:
        self._approach(target, lambda: self._inner.currents, self._inner.set_currents, self._limits)

    def _checked(self, tones: Tones) -> Tones:
        shape = (len(tones), self.sources)
        frequency = _real(self._place, "frequencies", tones.frequency, shape)
        power = _real(self._place, "powers", tones.power, shape)

        def who(point: int, source: int) -> str:
            row = f"operating point {point + 1} of {len(tones)}: " if len(tones) > 1 else ""
            return f"{row}source {chr(ord('A') + source)} "

        limit = ("max_rf_power", self._limits.max_rf_power)
        _check_tones(self._place, who, frequency, power, limit, self._limits)
        return Tones(frequency, power)


class LimitedCurrentSource(_Limited[CurrentSource, CurrentSourceLimits], CurrentSource):
    """A current source behind its limits."""

    @property
    def current(self) -> float:
        return self._inner.current

    def set_current(self, current: float) -> None:
        """Ramp to `current`, A. Raises LimitError first, also if the compliance reads back too high."""
        wanted = _real(self._place, "current", current, ())
        _check_currents(self._place, "", np.atleast_1d(wanted), "max_current", self._limits.max_current)
        self._check_compliance(self.compliance, "compliance reads back as", ": use set_compliance first")
        self._walk(wanted)

    @property
    def compliance(self) -> float:
        return self._inner.compliance

    def set_compliance(self, voltage: float) -> None:
        """Limit the output to ±`voltage`, V. Raises LimitError before anything is sent."""
        wanted = float(_real(self._place, "compliance", voltage, ()))
        if not 0 < wanted < math.inf:
            raise self._place.error(f"asked for a compliance of {wanted:g} V: give a finite one above 0 V")
        self._check_compliance(wanted, "asked for a compliance of")
        self._inner.set_compliance(wanted)

    def make_safe(self) -> None:
        """Ramp the current down from the level read back, then let the source make itself safe."""
        self._make_safe_by(lambda: self._walk(np.zeros(())))

    def _check_compliance(self, voltage: float, what: str, way_out: str = "") -> None:
        if not voltage <= self._limits.max_compliance * (1 + ROUNDING):
            asked, limit = _compared(voltage, self._limits.max_compliance, "V")
            raise self._place.error(f"{what} {asked}, limit {limit}{way_out}", "max_compliance")

    def _walk(self, target: FloatArray) -> None:
        def send(point: FloatArray) -> None:
            self._inner.set_current(float(point))

        self._approach(target, lambda: self._inner.current, send, self._limits)


class LimitedRFSource(_Limited[RFSource, RFLimits], RFSource):
    """A microwave generator behind its limits."""

    @property
    def frequency(self) -> float:
        return self._inner.frequency

    @property
    def power(self) -> float:
        return self._inner.power

    def set_tone(self, frequency: float, power: float) -> None:
        """Put out `power`, W, at `frequency`, Hz. Raises LimitError before anything is sent."""
        hertz = _real(self._place, "frequency", frequency, ()).reshape(1, 1)
        watts = _real(self._place, "power", power, ()).reshape(1, 1)

        def who(_point: int, _source: int) -> str:
            return ""

        _check_tones(self._place, who, hertz, watts, ("max_power", self._limits.max_power), self._limits)
        self._inner.set_tone(hertz.item(), watts.item())


@dataclass(frozen=True)
class Envelope:
    """How a role is guarded: `guard(part, limits, place, clock)`; None for a role that can do no harm."""

    role: type[Role]
    limits: type[Any] | None
    guard: Callable[[Any, Any, Place, Clock], Role] | None


ENVELOPES = (
    Envelope(OscillatorChip, OscillatorLimits, LimitedOscillatorChip),
    Envelope(CurrentSource, CurrentSourceLimits, LimitedCurrentSource),
    Envelope(RFSource, RFLimits, LimitedRFSource),
    Envelope(SpectrumAnalyzer, None, None),
)


def envelope(driver: type[Role]) -> Envelope:
    """Return the envelope of the role a driver plays. Raises LimitError unless it plays just one of them."""
    found = [e for e in ENVELOPES if issubclass(driver, e.role)]
    if len(found) != 1:
        played = " and ".join(e.role.__name__ for e in found) or "none"
        known = ", ".join(e.role.__name__ for e in ENVELOPES)
        raise LimitError(f"{driver.__name__} can't be guarded: it must play one of {known}, and plays {played}")
    return found[0]


def ramp_points(level: FloatArray, target: FloatArray, step: float) -> Iterator[FloatArray]:
    """Yield points on the straight line from `level` (left out) to exactly `target`, at most `step` apart.

    All components arrive together, so the way between two safe points is safe whatever the wiring.
    """
    count = max(1, math.ceil(np.max(np.abs(target - level), initial=0.0) / step))
    for k in range(1, count):
        yield level + (target - level) * (k / count)
    yield target


def _real(place: Place, what: str, given: object, shape: tuple[int, ...]) -> FloatArray:
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


def _compared(asked: float, limit: float, unit: str) -> tuple[str, str]:
    """Return both values as text, with all digits where fewer would make them look equal."""
    texts = format_quantity(asked, unit), format_quantity(limit, unit)
    return texts if texts[0] != texts[1] else (f"{asked!r} {unit}", f"{limit!r} {unit}")


def _check_currents(place: Place, name: str, currents: FloatArray, limit_name: str, limit: float) -> None:
    bad = ~(np.abs(currents) <= limit * (1 + ROUNDING))
    for index in np.flatnonzero(bad)[:1]:
        current = float(currents[index])
        who = f"{name} {index + 1} " if name else ""
        if not math.isfinite(current):
            raise place.error(f"{who}asked for {current} A: give a finite current")
        asked, allowed = _compared(current, limit, "A")
        raise place.error(f"{who}asked for {asked}, limit {allowed}", limit_name)


def _check_tones(
    place: Place,
    who: Callable[[int, int], str],
    frequency: FloatArray,
    power: FloatArray,
    max_power: tuple[str, float],
    band: OscillatorLimits | RFLimits,
) -> None:
    """Check tones, (points, sources); the band holds where a source is on: one that is off emits nothing."""
    on = power > 0
    good = np.isfinite(frequency) & np.isfinite(power) & (power >= 0) & ((frequency > 0) | ~on)
    for point, source in np.argwhere(~good)[:1]:
        asked = f"{frequency[point, source]:g} Hz at {power[point, source]:g} W"
        way_out = "give a finite frequency above 0 Hz and a finite power of at least 0 W"
        raise place.error(f"{who(point, source)}asked for {asked}: {way_out}")
    low, high = band.min_frequency, band.max_frequency
    name, highest = max_power
    checks = [(power > highest * (1 + ROUNDING), power, "W", name, "limit", highest)]
    if low is not None:
        beyond = on & (frequency < low * (1 - ROUNDING))
        checks.append((beyond, frequency, "Hz", "min_frequency", "lower limit", low))
    if high is not None:
        beyond = on & (frequency > high * (1 + ROUNDING))
        checks.append((beyond, frequency, "Hz", "max_frequency", "limit", high))
    for bad, values, unit, limit_name, kind, limit in checks:
        for point, source in np.argwhere(bad)[:1]:
            asked, allowed = _compared(float(values[point, source]), limit, unit)
            raise place.error(f"{who(point, source)}asked for {asked}, {kind} {allowed}", limit_name)
