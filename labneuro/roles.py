"""What an instrument or a chip can be asked to do: the interface behind which its make disappears.

A role is a small abstract class: verbs and properties, SI units. A protocol names roles in its signature and never
learns whether a driver, an emulation or a recording answers. Each verb says what becomes of it when a run goes on
after a break: a reading may be asked again, the last of a setting is put back, an action is never repeated.
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import FunctionType
from typing import Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import Pulses, Scheme, Spectrum, Spent, StateArray, Tones, TrainArray, coincidences
from labneuro.units import FloatArray

Wiring = Literal["separate", "series"]
"""How direct currents reach oscillators: one source each, or in series, where device k carries sources 1 to k."""

Kind = Literal["reading", "setting", "action"]

_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Verb:
    """What a role can be asked.

    kind: a "reading" leaves all as it was, a "setting" leaves behind what was asked last, an "action" changes a
    device for good. signature: without self; None for a property. clears: the settings that end with it.
    """

    name: str
    kind: Kind
    signature: inspect.Signature | None
    clears: tuple[str, ...]


@dataclass(frozen=True)
class _Mark:
    kind: Kind
    clears: tuple[str, ...] = ()
    kept: bool = False


_MARKS: dict[object, _Mark] = {}
_NO_VERBS = frozenset({"close", "snapshot", "restore", "calibrate_through"})


def _mark(mark: _Mark, verb: _Function) -> _Function:
    _MARKS[verb] = mark
    return verb


def reading(*, clears: tuple[str, ...]) -> Callable[[_Function], _Function]:
    """Mark a verb that may be asked again, and after which the settings in `clears` are off."""
    return partial(_mark, _Mark("reading", clears))


@overload
def setting(verb: _Function, /) -> _Function: ...
@overload
def setting(*, clears: tuple[str, ...] = (), kept: bool = False) -> Callable[[_Function], _Function]: ...
def setting(
    verb: _Function | None = None, /, *, clears: tuple[str, ...] = (), kept: bool = False
) -> _Function | Callable[[_Function], _Function]:
    """Mark a verb that leaves something behind; settings are put back in the order in which their role declares them.

    clears: the settings that end with it. kept: whether it outlives `make_safe`, as a compliance does.
    """
    mark = _Mark("setting", clears, kept)
    return partial(_mark, mark) if verb is None else _mark(mark, verb)


def action(verb: _Function) -> _Function:
    """Mark a verb that changes a device for good: it is never repeated of its own accord."""
    return _mark(_Mark("action"), verb)


class Role(ABC):
    """Anything a bench can hold."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Maker, model, serial number and firmware, as `*IDN?` gives them, or what emulates them."""

    @setting
    @abstractmethod
    def make_safe(self) -> None:
        """Bring every output to where it can't harm: RF and pulses off, direct currents to zero, at any time."""

    def snapshot(self) -> object:
        """Return all that an emulated device remembers: numbers, text, arrays, and lists and dicts of them.

        None: the device is made of atoms and can't be put back.
        """
        return None

    def restore(self, snapshot: object) -> None:
        """Put an emulated device back to where it was at `snapshot`."""
        raise NotImplementedError(f"{type(self).__name__} can't be put back")

    def close(self) -> None:
        """Release the connection; the part can't be used afterwards."""
        return


class CurrentSource(Role):
    """A direct-current source."""

    @property
    @abstractmethod
    def compliance(self) -> float:
        """Voltage above which the source stops regulating, V, as read back."""

    @setting(kept=True)
    @abstractmethod
    def set_compliance(self, voltage: float) -> None:
        """Limit the output to ±`voltage`, V."""

    @property
    @abstractmethod
    def current(self) -> float:
        """Current at the output, A, as read back from the instrument; 0 while the output is off."""

    @setting(clears=("short_output",))
    @abstractmethod
    def set_current(self, current: float) -> None:
        """Source `current`, A, and switch the output on."""

    @setting(clears=("set_current",), kept=True)
    def short_output(self) -> None:
        """Bring the current to zero and short the output; it stays shorted, made safe or not, until `set_current`."""
        raise NotImplementedError(f"{type(self).__name__} can't short its output")


class SourceMeter(Role):
    """A direct-voltage source that measures the current it gives."""

    @property
    @abstractmethod
    def current_limit(self) -> float:
        """Current above which the source gives way, A, as read back."""

    @setting(kept=True)
    @abstractmethod
    def set_current_limit(self, current: float) -> None:
        """Limit the output to ±`current`, A."""

    @property
    @abstractmethod
    def voltage(self) -> float:
        """Voltage at the output, V, as read back from the instrument; 0 while the output is off."""

    @setting
    @abstractmethod
    def set_voltage(self, voltage: float) -> None:
        """Put out `voltage`, V, and switch the output on."""

    @property
    @abstractmethod
    def measured_current(self) -> float:
        """Current through the device, A, measured now; the output must be on, and not at its current limit."""

    @property
    def current_or_limit(self) -> float:
        """Current through the device, A, measured now: ± the current limit where that holds the voltage back."""
        raise NotImplementedError(f"{type(self).__name__} can't tell a current from its limit")


class Voltmeter(Role):
    """A direct-voltage meter."""

    @property
    @abstractmethod
    def voltage(self) -> float:
        """Voltage at the input, V, measured now."""


class RFSource(Role):
    """A microwave generator with one continuous-wave output."""

    @property
    def power_limit(self) -> float:
        """Largest power that the instrument itself lets out, W, as read back; infinite if it has no such limit."""
        return math.inf

    @setting(kept=True)
    def set_power_limit(self, power: float) -> None:
        """Let the instrument itself refuse more than `power`, W, if it can."""
        return

    @property
    @abstractmethod
    def frequency(self) -> float:
        """Frequency of the carrier, Hz, as read back."""

    @property
    @abstractmethod
    def power(self) -> float:
        """Power into a matched load, W, as read back; 0 while the output is off."""

    @setting
    @abstractmethod
    def set_tone(self, frequency: float, power: float) -> None:
        """Put out `power`, W, at `frequency`, Hz; a power of 0 switches the output off."""


class PulseGenerator(Role):
    """A generator of rectangular voltage pulses, which puts out 0 V between them."""

    @property
    def amplitude_limit(self) -> float:
        """Largest amplitude that the instrument itself lets out, V as in `Pulses`, as read back; infinite for none."""
        return math.inf

    @setting(kept=True)
    def set_amplitude_limit(self, voltage: float) -> None:
        """Let the instrument itself refuse more than ±`voltage`, V as in `Pulses`, if it can."""
        return

    @action
    @abstractmethod
    def fire(self, pulses: Pulses) -> None:
        """Send `pulses`; return when the last has been sent."""


class SpectrumAnalyzer(Role):
    """A swept or FFT spectrum analyzer."""

    @setting(kept=True)
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

    @setting
    @abstractmethod
    def set_currents(self, currents: FloatArray) -> None:
        """Send `currents`, (oscillators,), A, through the devices and wait until they have settled."""

    @setting
    @abstractmethod
    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the sources and leave it there; None switches all sources off."""

    @abstractmethod
    def spectrum(self) -> Spectrum:
        """Return the emitted spectrum, with the sources as they stand."""

    @reading(clears=("apply",))
    @abstractmethod
    def spectra(self, tones: Tones) -> Spectrum:
        """Return the emitted spectrum at each operating point, (points, bins); the sources are off afterwards."""

    @reading(clears=("apply",))
    @abstractmethod
    def synchronisation(self, tones: Tones) -> StateArray:
        """Return which oscillator is locked to which source at each operating point; sources are off afterwards."""

    def check(self, currents: FloatArray | None = None, tones: Tones | None = None) -> None:
        """Raise LimitError if these would be refused; nothing is sent. So a sweep learns of its last point first.

        A chip without limits refuses nothing.
        """
        return

    def calibrate_through(self, chip: "OscillatorChip") -> None:
        """Take whatever calibration it needs through `chip`: itself behind its limits. The guard calls it."""
        return


class SynapseArray(Role):
    """Devices where rows and columns cross, whose conductances pulses change.

    Voltages are those of rows over columns, across the devices; devices are numbered [row, column] from 0.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""

    @property
    @abstractmethod
    def scheme(self) -> Scheme:
        """How devices are selected unless a request says otherwise."""

    @property
    @abstractmethod
    def spent(self) -> Spent:
        """What the devices have been given, as counted by whatever pulses them."""

    @abstractmethod
    def conductances(self, voltage: float, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances, (rows, columns), S, NaN outside the mask `which`.

        voltage: V, so small that it leaves the devices as they are: a read may be asked again.
        """

    @action
    @abstractmethod
    def wait(self, duration: float) -> None:
        """Leave the devices alone for `duration`, s, all lines at 0 V: they drift and relax meanwhile."""

    @abstractmethod
    def multiply(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the columns, (batch, columns), A, for `voltages` on rows, (batch, rows), V."""

    @abstractmethod
    def multiply_transposed(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the rows, (batch, rows), A, for `voltages` on columns, (batch, columns), V."""

    @action
    @abstractmethod
    def pulse(
        self,
        which: NDArray[np.bool_] | NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme | None = None,
        gate: float | None = None,
    ) -> None:
        """Give devices `pulses`, one after the other.

        which: a mask, or how many times each device gets them, (rows, columns). gate: voltage of the transistors in a
        1T1R array, V, which limits the current; None: as the array has it.
        """

    @action
    def update(self, rows: TrainArray, columns: TrainArray, pulses: Pulses, gate: float | None = None) -> None:
        """Give devices a pulse like `pulses` in each slot in which their row and column both fire.

        Its sign is that of `pulses` times those of the two trains. rows: (vectors, rows). columns: (vectors, columns).
        An array that can't fire its lines at once gets the pulses of each vector one device after the other.
        """
        for row, column in zip(rows[:, None], columns[:, None], strict=True):
            counts = coincidences(row, column) * pulses.count
            negative = (column >> 31 != row.T >> 31) & (counts > 0)
            for which, sign in ((counts * ~negative, 1), (counts * negative, -1)):
                if which.any():
                    self.pulse(which, Pulses(sign * pulses.amplitude, pulses.width), gate=gate)


class SwitchMatrix(Role):
    """Relays that connect the rows of a matrix to its columns."""

    @property
    @abstractmethod
    def closed(self) -> NDArray[np.bool_]:
        """Which relays are closed, (rows, columns), as read back."""

    @setting
    @abstractmethod
    def set_closed(self, which: NDArray[np.bool_]) -> None:
        """Close the relays in `which`, (rows, columns), after all others have opened."""


@cache
def verbs(role: type[Role]) -> Mapping[str, Verb]:
    """Return the public verbs and properties of a role by name, those of `Role` first, in the order of declaration.

    What a driver says of a verb that its role declares changes nothing.
    """
    declared: dict[str, FunctionType | property] = {}
    for cls in reversed(role.__mro__):
        for name, member in vars(cls).items() if issubclass(cls, Role) else ():
            if isinstance(member, FunctionType | property) and not name.startswith("_") and name not in _NO_VERBS:
                declared.setdefault(name, member)
    marks = {name: _MARKS.get(member, _Mark("reading")) for name, member in declared.items()}
    ends = tuple(name for name, mark in marks.items() if mark.kind == "setting" and not mark.kept)
    return {
        name: Verb(
            name,
            marks[name].kind,
            None if isinstance(member, property) else _without_self(inspect.signature(member)),
            tuple(other for other in ends if other != name) if name == "make_safe" else marks[name].clears,
        )
        for name, member in declared.items()
    }


def _without_self(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])
