"""The safe envelope of continuous waves: their power at the device and their band."""

# ruff: noqa: D102 - a method without a docstring means what its role says

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labneuro.limits.guard import (
    ROUNDING,
    BandEdge,
    Guard,
    Limits,
    Loss,
    MaxPower,
    OwnLimit,
    Place,
    against,
    compared,
    real,
)
from labneuro.roles import RFSource
from labneuro.units import FloatArray, format_quantity


@dataclass(frozen=True, kw_only=True)
class RFLimits(Limits):
    """The safe envelope of whatever a microwave generator drives.

    Args:
        max_power: largest power at the device
        loss: between the output and the device; below 0 for an amplifier
        min_frequency: lowest frequency while the output is on
        max_frequency: highest frequency while the output is on

    """

    max_power: MaxPower
    loss: Loss = 0.0
    min_frequency: BandEdge | None = None
    max_frequency: BandEdge | None = None


class LimitedRFSource(Guard[RFSource, RFLimits], RFSource):
    """A microwave generator behind its limits."""

    def _protect(self) -> None:
        most = self._limits.max_power / power_gain(self._limits.loss)
        self._inner.set_power_limit(most)
        self._check_own_limit(self.power_limit, most, "W", "max_power")

    def own_limit(self) -> OwnLimit | None:
        return OwnLimit("power limit", self.power_limit, self._limits.max_power / power_gain(self._limits.loss), "W")

    @property
    def power_limit(self) -> float:
        return self._inner.power_limit

    def set_power_limit(self, power: float) -> None:
        """Let the instrument itself refuse more than `power`, W. Raises LimitError if that is more than may be."""
        watts = float(real(self._place, "power limit", power, ()))
        there = watts * power_gain(self._limits.loss)
        if not 0 <= there <= self._limits.max_power * (1 + ROUNDING):
            what = against(self._limits.max_power, watts, "W", there)
            raise self._place.error(f"asked for a power limit of {what}", "max_power")
        self._inner.set_power_limit(watts)

    @property
    def frequency(self) -> float:
        return self._inner.frequency

    @property
    def power(self) -> float:
        return self._inner.power

    def set_tone(self, frequency: float, power: float) -> None:
        """Put out `power`, W, at `frequency`, Hz. Raises LimitError before anything is sent."""
        hertz = real(self._place, "frequency", frequency, ()).reshape(1, 1)
        watts = real(self._place, "power", power, ()).reshape(1, 1)

        def who(_point: int, _source: int) -> str:
            return ""

        limits = self._limits
        band = (limits.min_frequency, limits.max_frequency)
        check_tones(self._place, who, hertz, watts, ("max_power", limits.max_power, limits.loss), band)
        self._inner.set_tone(hertz.item(), watts.item())

    def _read_back(self) -> tuple[str, bool]:
        power = self.power
        return f"power {format_quantity(power + 0.0, 'W')}", power == 0


def power_gain(loss: float) -> float:
    """Return the power at the device over that at the output of a line of `loss`, dB."""
    return 10 ** (-loss / 10)


def check_tones(
    place: Place,
    who: Callable[[int, int], str],
    frequency: FloatArray,
    power: FloatArray,
    strength: tuple[str, float, float],
    band: tuple[float | None, float | None],
) -> None:
    """Raise LimitError for the first tone, (points, sources), Hz and W, that is too strong or out of the band.

    who: names a point and a source. strength: name of the limit, W at the device, and loss on the way there, dB. band:
    lowest and highest frequency, Hz; it holds where a source is on, for one that is off emits nothing.
    """
    on = power > 0
    good = np.isfinite(frequency) & np.isfinite(power) & (power >= 0) & ((frequency > 0) | ~on)
    for point, source in np.argwhere(~good)[:1]:
        asked = f"{frequency[point, source]:g} Hz at {power[point, source]:g} W"
        way_out = "give a finite frequency above 0 Hz and a finite power of at least 0 W"
        raise place.error(f"{who(point, source)}asked for {asked}: {way_out}")
    name, highest, loss = strength
    gain = power_gain(loss)
    for point, source in np.argwhere(power > highest / gain * (1 + ROUNDING))[:1]:
        watts = float(power[point, source])
        raise place.error(f"{who(point, source)}asked for {against(highest, watts, 'W', watts * gain)}", name)
    low, high = (-math.inf if band[0] is None else band[0]), (math.inf if band[1] is None else band[1])
    for name, kind, limit, bad in (
        ("min_frequency", "lower limit", low, on & (frequency < low * (1 - ROUNDING))),
        ("max_frequency", "limit", high, on & (frequency > high * (1 + ROUNDING))),
    ):
        for point, source in np.argwhere(bad)[:1]:
            asked, allowed = compared(float(frequency[point, source]), limit, "Hz")
            raise place.error(f"{who(point, source)}asked for {asked}, {kind} {allowed}", name)
