"""What an instrument or a chip can be asked to do: the interface behind which its make disappears.

A role is a small abstract class: verbs and properties, SI units. A protocol names roles in its signature and never
learns whether a driver, an emulation or a recording answers.
"""

from abc import ABC, abstractmethod
from typing import Literal

from labneuro.signals import Spectrum, StateArray, Tones
from labneuro.units import FloatArray

Wiring = Literal["separate", "series"]
"""How direct currents reach oscillators: one source each, or in series, where device k carries sources 1 to k."""


class Role(ABC):
    """Anything a bench can hold."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Maker, model, serial number and firmware, as `*IDN?` gives them, or what emulates them."""

    @abstractmethod
    def make_safe(self) -> None:
        """Bring every output to where it can't harm: RF off, direct currents to zero. Safe to call at any time."""

    def close(self) -> None:
        """Release the connection; the part can't be used afterwards."""
        return


class CurrentSource(Role):
    """A direct-current source."""

    @property
    @abstractmethod
    def current(self) -> float:
        """Current at the output, A, as read back from the instrument; 0 while the output is off."""

    @abstractmethod
    def set_current(self, current: float) -> None:
        """Source `current`, A, and switch the output on."""

    @property
    @abstractmethod
    def compliance(self) -> float:
        """Voltage above which the source stops regulating, V, as read back."""

    @abstractmethod
    def set_compliance(self, voltage: float) -> None:
        """Limit the output to ±`voltage`, V."""


class RFSource(Role):
    """A microwave generator with one continuous-wave output."""

    @property
    @abstractmethod
    def frequency(self) -> float:
        """Frequency of the carrier, Hz, as read back."""

    @property
    @abstractmethod
    def power(self) -> float:
        """Power into a matched load, W, as read back; 0 while the output is off."""

    @abstractmethod
    def set_tone(self, frequency: float, power: float) -> None:
        """Put out `power`, W, at `frequency`, Hz; a power of 0 switches the output off."""


class SpectrumAnalyzer(Role):
    """A swept or FFT spectrum analyzer."""

    @abstractmethod
    def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None:
        """Show `start` to `stop`, Hz, at resolution bandwidth `rbw`, Hz, averaging so many traces in power."""

    @abstractmethod
    def trace(self) -> Spectrum:
        """Take one sweep (as many as it averages) and return it."""


class OscillatorChip(Role):
    """Oscillators with a direct current each, driven by common RF sources, read as one spectrum.

    Oscillators are numbered from 1 in words and from 0 in arrays; sources are A, B, ... Currents are those through
    the devices, whatever the wiring.
    """

    @property
    @abstractmethod
    def oscillators(self) -> int:
        """Number of oscillators."""

    @property
    @abstractmethod
    def sources(self) -> int:
        """Number of RF sources."""

    @property
    @abstractmethod
    def wiring(self) -> Wiring:
        """How the direct-current sources are wired to the devices."""

    @property
    @abstractmethod
    def currents(self) -> FloatArray:
        """Direct currents through the devices, (oscillators,), A, as read back."""

    @abstractmethod
    def set_currents(self, currents: FloatArray) -> None:
        """Send `currents`, (oscillators,), A, through the devices and wait until they have settled."""

    @abstractmethod
    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the sources and leave it there; None switches all sources off."""

    @abstractmethod
    def spectrum(self) -> Spectrum:
        """Return the emitted spectrum, with the sources as they stand."""

    @abstractmethod
    def spectra(self, tones: Tones) -> Spectrum:
        """Return the emitted spectrum at each operating point, (points, bins); the sources are off afterwards."""

    @abstractmethod
    def synchronisation(self, tones: Tones) -> StateArray:
        """Return which oscillator is locked to which source at each operating point; sources are off afterwards."""

    def check(self, currents: FloatArray | None = None, tones: Tones | None = None) -> None:
        """Raise LimitError if these would be refused; nothing is sent. So a sweep learns of its last point first.

        A chip without limits refuses nothing.
        """
        return
