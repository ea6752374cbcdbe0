"""An array of synapses made of instruments: a source meter and a pulse generator behind a switch matrix.

The columns of the matrix are connected to the lines of the array, its rows first; the rows of the matrix are `METER`,
`PULSER`, `HALF` (where half of the pulse is, between two equal resistors in which the generator ends) and `GROUND`.

One meter can't feel the current through a single device of a passive array, as its neighbours share the lines. So all
lines are at V or at 0 V, none floats, and the current between two groups of lines is the sum over all devices that
join them. Of lines A and a line b across them, I(A) + I(b) - I(A and b) is twice the current from A to b.

Relays move while the meter and the generator are at 0 V. Between requests all lines are grounded and the generator is
off; after an error both instruments are off and all relays open.
"""

# ruff: noqa: D102 - a method without a docstring means what its role says

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from labneuro.attempts import in_words, raise_all, try_all
from labneuro.clock import Clock
from labneuro.instruments.counted_pulses import CountedArray
from labneuro.instruments.visa import InstrumentError
from labneuro.roles import PulseGenerator, SourceMeter, SwitchMatrix
from labneuro.signals import Pulses, Scheme
from labneuro.units import Decibels, Duration, FloatArray

METER, PULSER, HALF, GROUND = range(4)
"""The rows of the switch matrix."""

WiredScheme = Literal["V/2", "grounded"]
"""What this wiring can do: others need a third voltage, or transistors with a voltage of their own."""

_Between = Callable[[Sequence[int], int, float], float]
"""Returns the current from lines at a voltage, V, to a line across them, A."""


class SynapseRig(CountedArray):
    """A passive array at a probe station. Its pulses are counted here; their energy is not known."""

    def __init__(
        self,
        clock: Clock,
        meter: SourceMeter,
        pulser: PulseGenerator,
        switch: SwitchMatrix,
        *,
        rows: Annotated[int, Ge(1)],
        columns: Annotated[int, Ge(1)],
        scheme: WiredScheme = "V/2",
        loss: Annotated[Decibels, Ge(0)] = 0.0,
        settling: Annotated[Duration, Ge(0)] = 1e-3,
    ) -> None:
        """Put instruments together; nothing is sent.

        Args:
            clock: Time of the bench.
            meter: What devices are read with.
            pulser: What sends the pulses.
            switch: What connects both with the lines.
            rows: Rows of the array.
            columns: Columns of the array.
            scheme: How a device is selected; V/2 needs the row `HALF` of the matrix.
            loss: From the generator into an open circuit to the array; 6.02 dB if it ends in 50 ohm.
            settling: Time that lines take to settle before a current is measured.
        """
        self._clock = clock
        self._meter, self._pulser, self._switch = meter, pulser, switch
        self._shape = rows, columns
        self._scheme: WiredScheme = scheme
        self._gain = 10 ** (loss / 20)
        self._settling = settling
        self._count_from_zero(self._shape)

    @property
    def identity(self) -> str:
        """The array, and the identity of each instrument."""
        parts = "; ".join(part.identity for part in (self._meter, self._pulser, self._switch))
        return f"synapse rig, {self._shape[0]} x {self._shape[1]}, {self._scheme}: {parts}"

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def scheme(self) -> Scheme:
        return self._scheme

    def conductances(self, voltage: float, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances, (rows, columns), S, device by device; NaN outside the mask.

        For one device three currents are measured, of which those of its row and its column serve for others as well.
        """
        mask = np.ones(self._shape, np.bool_) if which is None else which
        read = np.full(self._shape, np.nan)
        with self._measuring() as between:
            for row, column in np.argwhere(mask).tolist():
                read[row, column] = between([row], self._shape[0] + column, voltage) / voltage
        return read

    def wait(self, duration: float) -> None:
        with self._lines_in_use():
            pass
        self._clock.sleep(duration)

    def multiply(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the columns, (batch, columns), A, summed over the different voltages of a vector.

        The meter has one voltage at a time: all rows that share it are driven at once, the others are grounded.
        """
        rows, columns = self._shape
        return self._products(voltages, range(rows), range(rows, rows + columns))

    def multiply_transposed(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the rows, (batch, rows), A, as `multiply` does."""
        rows, columns = self._shape
        return self._products(voltages, range(rows, rows + columns), range(rows))

    def pulse(
        self,
        which: NDArray[np.bool_] | NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme | None = None,
        gate: float | None = None,
    ) -> None:
        """Pulse devices, (rows, columns), one after the other, each with one burst.

        Raises ValueError, before any relay moves, for a mask that doesn't fit and for a scheme or gate that the wiring
        does not have; InstrumentError with the device at which it failed, and how many had their pulses before it.
        """
        counts = which.astype(np.int64) * pulses.count
        selected = scheme or self._scheme
        if counts.shape != self._shape:
            raise ValueError(f"pulses for an array of {counts.shape}: give shape {self._shape}")
        if selected not in ("V/2", "grounded") or gate is not None:
            asked = f"scheme {selected}" if gate is None else f"a gate voltage of {gate:g} V"
            raise ValueError(f"{asked}: this rig is wired for V/2 and grounded, without gates: give one of these")
        others = HALF if selected == "V/2" else GROUND
        amplitude = pulses.amplitude * self._gain
        chosen = np.argwhere(counts).tolist()
        with self._lines_in_use():
            for done, (row, column) in enumerate(chosen):
                own = np.zeros_like(counts)
                own[row, column] = counts[row, column]
                try:
                    buses = np.full(sum(self._shape), others)
                    buses[row], buses[self._shape[0] + column] = PULSER, GROUND
                    self._connect(buses)
                    self._count(own, selected)
                    self._pulser.fire(Pulses(amplitude, pulses.width, int(own[row, column])))
                except Exception as error:
                    words = f"device [{row}, {column}]: {in_words(error)}"
                    before = f"{done} of {len(chosen)} devices had their pulses before"
                    raise InstrumentError(f"{words}; {before}") from error
            self._pulser.make_safe()

    def make_safe(self) -> None:
        """Switch generator and meter off, then open all relays, whatever fails before."""
        parts = (self._pulser, self._meter, self._switch)
        raise_all("synapse rig was not made safe", try_all([part.make_safe for part in parts]))

    @cached_property
    def _relays(self) -> tuple[int, int]:
        """Rows and columns of the switch matrix. Raises InstrumentError for one that is too small."""
        rows, columns = self._switch.closed.shape
        lines = sum(self._shape)
        if rows <= GROUND or columns < lines:
            has, wanted = f"the switch matrix has {rows} x {columns} relays", f"{GROUND + 1} x {lines}"
            raise InstrumentError(f"synapse rig of {lines} lines: {has}: give one of at least {wanted}")
        return rows, columns

    def _connect(self, buses: NDArray[np.int64]) -> None:
        """Connect each line, (lines,), with one row of the matrix, after all others have let go of it."""
        which = np.zeros(self._relays, np.bool_)
        which[buses, np.arange(len(buses))] = True
        self._switch.set_closed(which)

    @contextmanager
    def _lines_in_use(self) -> Generator[None, None, None]:
        """Find the meter at 0 V; leave all lines grounded, or everything off and open if anything fails."""
        try:
            if self._meter.voltage != 0:
                self._meter.set_voltage(0.0)
            yield
            self._connect(np.full(sum(self._shape), GROUND))
        except BaseException as error:
            for failure in try_all([self.make_safe]):
                error.add_note(in_words(failure))
            raise

    @contextmanager
    def _measuring(self) -> Generator[_Between, None, None]:
        """Give what measures the current from lines to a line across them; each current is measured once."""
        measured = cache(self._current)

        def between(lines: Sequence[int], line: int, voltage: float) -> float:
            one, other, both = (*lines,), (line,), (*lines, line)
            return (measured(one, voltage) + measured(other, voltage) - measured(both, voltage)) / 2

        with self._lines_in_use():
            yield between

    def _current(self, lines: tuple[int, ...], voltage: float) -> float:
        """Return the current from `lines` at `voltage`, V, to all others, grounded, A."""
        buses = np.full(sum(self._shape), GROUND)
        buses[[*lines]] = METER
        self._connect(buses)
        self._meter.set_voltage(voltage)
        self._clock.sleep(self._settling)
        current = self._meter.measured_current
        self._meter.set_voltage(0.0)
        return current

    def _products(self, voltages: FloatArray, driven: range, sensed: range) -> FloatArray:
        currents = np.zeros((len(voltages), len(sensed)))
        with self._measuring() as between:
            for vector, sums in zip(voltages, currents, strict=True):
                for level in np.unique(vector[vector != 0]).tolist():
                    lines = [line for line, volts in zip(driven, vector, strict=True) if volts == level]
                    sums += [between(lines, line, level) for line in sensed]
        return currents
