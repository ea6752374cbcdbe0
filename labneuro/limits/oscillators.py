"""The safe envelope of an oscillator chip: currents through devices and sources, and the tones that drive them."""

# ruff: noqa: D102 - a method without a docstring means what its role says

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labneuro.limits.currents import MaxCurrent, MaxRamp, check_currents, currents_at_zero, walk
from labneuro.limits.guard import BandEdge, Guard, Limits, Loss, MaxPower, real
from labneuro.limits.tones import check_tones
from labneuro.roles import OscillatorChip, Wiring
from labneuro.signals import Spectrum, StateArray, Tones, source_currents
from labneuro.units import FloatArray


@dataclass(frozen=True, kw_only=True)
class OscillatorLimits(Limits):
    """The safe envelope of an oscillator chip.

    Args:
        max_current: largest direct current through any device, in either direction
        max_rf_power: largest power of each RF source at the device
        rf_loss: between each RF source's output and the device; below 0 for an amplifier
        max_source_current: largest current of any direct-current source, of use in series wiring
        ramp: fastest change of the current through any device
        min_frequency: lowest frequency of an RF source that is on
        max_frequency: highest frequency of an RF source that is on

    """

    max_current: MaxCurrent
    max_rf_power: MaxPower
    rf_loss: Loss = 0.0
    max_source_current: MaxCurrent | None = None
    ramp: MaxRamp | None = None
    min_frequency: BandEdge | None = None
    max_frequency: BandEdge | None = None


class LimitedOscillatorChip(Guard[OscillatorChip, OscillatorLimits], OscillatorChip):
    """An oscillator chip behind its limits."""

    def _protect(self) -> None:
        self._inner.calibrate_through(self)

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

    def check(self, currents: FloatArray | None = None, tones: Tones | None = None) -> None:
        """Raise LimitError if these would be refused; nothing is sent."""
        if currents is not None:
            self._checked_currents(currents)
        if tones is not None:
            self._checked_tones(tones)

    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the sources. Raises LimitError before anything is sent."""
        checked = None if tones is None else self._checked_tones(tones)
        if checked is not None and len(checked) != 1:
            raise self._place.error(f"apply takes one operating point, not {len(checked)}: use spectra for many")
        self._inner.apply(checked)

    def spectrum(self) -> Spectrum:
        return self._inner.spectrum()

    def spectra(self, tones: Tones) -> Spectrum:
        """Return the spectrum at each point; all are checked first. Raises LimitError."""
        return self._inner.spectra(self._checked_tones(tones))

    def synchronisation(self, tones: Tones) -> StateArray:
        """Return the state at each point; all are checked first. Raises LimitError."""
        return self._inner.synchronisation(self._checked_tones(tones))

    def _gentle_steps(self) -> Sequence[Callable[[], None]]:
        return [lambda: self._inner.apply(None), self._walk_down]

    def _read_back(self) -> tuple[str, bool]:
        return currents_at_zero("currents", self.currents, (self.oscillators,), self._limits.max_current)

    def _walk_down(self) -> None:
        """Walk to zero; sources that are at zero, and may be off, are not switched on for it."""
        if not np.array_equal(self.currents, np.zeros(self.oscillators)):
            self._walk(np.zeros(self.oscillators))

    def _walk(self, target: FloatArray) -> None:
        limits, inner = self._limits, self._inner
        walk(
            self._place,
            self._clock,
            target,
            lambda: inner.currents,
            inner.set_currents,
            limits.max_current,
            limits.ramp,
        )

    def _checked_currents(self, currents: FloatArray) -> FloatArray:
        limits = self._limits
        wanted = real(self._place, "currents", currents, (self.oscillators,))
        check_currents(self._place, "oscillator", wanted, "max_current", limits.max_current)
        if limits.max_source_current is not None:
            feeds = source_currents(wanted) if self.wiring == "series" else wanted
            source = "direct-current source"
            check_currents(self._place, source, feeds, "max_source_current", limits.max_source_current)
        return wanted

    def _checked_tones(self, tones: Tones) -> Tones:
        shape = (len(tones), self.sources)
        frequency = real(self._place, "frequencies", tones.frequency, shape)
        power = real(self._place, "powers", tones.power, shape)

        def who(point: int, source: int) -> str:
            row = f"operating point {point + 1} of {len(tones)}: " if len(tones) > 1 else ""
            return f"{row}source {chr(ord('A') + source)} "

        limits = self._limits
        band = (limits.min_frequency, limits.max_frequency)
        check_tones(self._place, who, frequency, power, ("max_rf_power", limits.max_rf_power, limits.rf_loss), band)
        return Tones(frequency, power)
