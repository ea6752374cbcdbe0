"""ArC TWO: a board of 64 channels, each a source and a current meter, as an array of synapses.

The board is reached through pyarc2, its makers' library, which keeps commands until `execute`: what is queued here
belongs to one pulse or one read and is executed at once, so that an interrupt leaves nothing behind that fires later.

Pulses come from the fast drivers of all channels concerned at the same time, as voltages that the scheme puts on lines;
eight channels in a row share one timing and one direction, so rows and columns are on different sides. Reads bias a
column at minus the voltage and take the currents of its rows, which are held at 0 V; a product biases one side and
takes the currents of the other.
Current is taken as positive where it flows out of a channel into a device, as for a read of positive voltage. Nobody
has tried this with a board.
"""

# ruff: noqa: D102 - a method without a docstring means what its role says

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from labneuro.attempts import in_words
from labneuro.clock import Clock
from labneuro.instruments.counted_pulses import CountedArray
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError
from labneuro.signals import Pulses, Scheme
from labneuro.units import FloatArray, format_quantity

CHANNELS, CLUSTER = 64, 8
"""Channels of the board, and how many of them share the timing of a pulse."""

WORDS = (*range(16), *range(32, 48))
BITS = (*range(16, 32), *range(48, 64))
"""Channels of the rows and columns of an array of 32 x 32 on the makers' daughterboard."""

LARGEST = 10.0
"""Largest voltage of a channel in its standard range, V."""

SHORTEST, LONGEST = 40e-9, 0.5
"""Widths of the pulses of the fast drivers, s."""

AT_ONCE = 1000
"""Most pulses in one execution."""


class ArcTwo(CountedArray):
    """Devices of a passive array on an ArC TWO. Their pulses are counted here; their energy is not known."""

    def __init__(
        self,
        clock: Clock,
        *,
        firmware: Path,
        port: Annotated[int, Ge(-1)] = -1,
        words: tuple[int, ...] = WORDS,
        bits: tuple[int, ...] = BITS,
        scheme: Literal["V/2", "V/3"] = "V/2",
    ) -> None:
        """Connect and load the firmware, which grounds all channels.

        Args:
            clock: Time of the bench.
            firmware: File with the firmware of the board, as its makers give it out.
            port: Number of the board, as `pyarc2.find_ids()` lists them; -1: the only one there is.
            words: Channel of each row.
            bits: Channel of each column.
            scheme: How a device is selected.
        """
        _check_channels(words, bits)
        self._clock, self._scheme = clock, scheme
        self._rows, self._columns = np.array(words, np.uint64), np.array(bits, np.uint64)
        self._count_from_zero(self.shape)
        try:
            self._library: Any = importlib.import_module("pyarc2")
        except ImportError as error:
            raise InstrumentError(f"ArC TWO: {in_words(error)}: pip install pyarc2") from error
        self._port = self._only_port() if port == -1 else port
        with self._blaming("was not connected"):
            self._board: Any = self._library.Instrument(self._port, str(firmware))
        self.make_safe()

    @property
    def identity(self) -> str:
        """The board; it has no name of its own."""
        return f"ArC Instruments,ArC TWO,{self._port},{len(self._rows)} x {len(self._columns)}"

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), len(self._columns)

    @property
    def scheme(self) -> Scheme:
        return self._scheme

    def conductances(self, voltage: float, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances, (rows, columns), S, column by column; NaN outside the mask."""
        mask = np.ones(self.shape, np.bool_) if which is None else which
        read = np.full(self.shape, np.nan)
        with self._blaming("was not read"):
            for column in np.flatnonzero(mask.any(axis=0)):
                rows = np.flatnonzero(mask[:, column])
                channels = self._rows[rows]
                currents = self._board.read_slice_masked(int(self._columns[column]), channels, voltage)
                read[rows, column] = _of(channels, currents) / voltage
            self._board.finalise_operation(self._library.IdleMode.SoftGnd)
        return read

    def wait(self, duration: float) -> None:
        self._clock.sleep(duration)

    def multiply(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the columns, (batch, columns), A, the columns at 0 V."""
        return self._products(voltages, self._rows, self._columns)

    def multiply_transposed(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the rows, (batch, rows), A, the rows at 0 V."""
        return self._products(voltages, self._columns, self._rows)

    def pulse(
        self,
        which: NDArray[np.bool_] | NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme | None = None,
        gate: float | None = None,
    ) -> None:
        """Pulse devices, (rows, columns), one after the other.

        Raises ValueError or LimitError before anything is sent, InstrumentError with the device at which it failed.
        """
        counts = which.astype(np.int64) * pulses.count
        if counts.shape != self.shape:
            raise ValueError(f"pulses for an array of {counts.shape}: give shape {self.shape}")
        selected = scheme or self._scheme
        if selected not in ("V/2", "V/3") or gate is not None:
            raise ValueError(f"scheme {selected}, gate {gate}: this board is wired for V/2 and V/3, without gates")
        nanoseconds = round(pulses.width * 1e9)
        if not SHORTEST <= nanoseconds * 1e-9 <= LONGEST or abs(nanoseconds - pulses.width * 1e9) > 1e-6:
            asked = format_quantity(pulses.width, "s")
            raise LimitError(f"ArC TWO asked for pulses of {asked}: give whole nanoseconds from 40 ns to 500 ms")
        if abs(pulses.amplitude) * (0.5 if selected == "V/2" else 1.0) > LARGEST:
            asked = format_quantity(pulses.amplitude, "V")
            raise LimitError(f"ArC TWO asked for pulses of {asked}: its channels end at {LARGEST:g} V ({selected})")
        chosen = np.argwhere(counts).tolist()
        for done, (row, column) in enumerate(chosen):
            own = np.zeros_like(counts)
            own[row, column] = counts[row, column]
            self._count(own, selected)
            with self._blaming(f"device [{row}, {column}], {done} of {len(chosen)} had their pulses before"):
                self._fire(self._on_lines(row, column, pulses.amplitude, selected), nanoseconds, int(own[row, column]))

    def make_safe(self) -> None:
        """Ground all channels, disconnected from what drives them."""
        with self._blaming("was not made safe"):
            self._board.finalise_operation(self._library.IdleMode.HardGnd)
            self._board.wait()

    def _on_lines(self, row: int, column: int, amplitude: float, scheme: str) -> list[tuple[int, float, float]]:
        """Return channel, voltage during the pulse and after it, of each line that leaves 0 V."""
        if scheme == "V/2":
            rows, columns = np.zeros(self.shape[0]), np.zeros(self.shape[1])
            rows[row], columns[column] = amplitude / 2, -amplitude / 2
        else:
            rows, columns = np.full(self.shape[0], amplitude / 3), np.full(self.shape[1], 2 * amplitude / 3)
            rows[row], columns[column] = amplitude, 0.0
        lines = zip((*self._rows, *self._columns), (*rows, *columns), strict=True)
        return [(int(channel), float(volts), 0.0) for channel, volts in lines if volts]

    def _fire(self, channels: list[tuple[int, float, float]], nanoseconds: int, count: int) -> None:
        used = {channel // CLUSTER for channel, *_ in channels}
        timings = [nanoseconds if cluster in used else None for cluster in range(CHANNELS // CLUSTER)]
        for first in range(0, count, AT_ONCE):
            self._board.connect_to_gnd([]).ground_all_fast()
            for number in range(first, min(first + AT_ONCE, count)):
                self._board.pulse_slice_fast_open(channels, timings, number == first)
            self._board.execute()
            self._board.wait()
        self._board.finalise_operation(self._library.IdleMode.SoftGnd)

    def _products(self, voltages: FloatArray, driven: NDArray[np.uint64], sensed: NDArray[np.uint64]) -> FloatArray:
        currents = np.empty((len(voltages), len(sensed)))
        with self._blaming("was not read"):
            for vector, found in zip(voltages, currents, strict=True):
                on = list(zip(driven.tolist(), vector.tolist(), strict=True))
                self._board.connect_to_gnd([]).config_channels([*on, *((int(c), 0.0) for c in sensed)], None).execute()
                found[:] = -_of(sensed, self._board.read_slice_open(sensed, False))
            self._board.finalise_operation(self._library.IdleMode.SoftGnd)
        return currents

    def _only_port(self) -> int:
        found: list[int] = list(self._library.find_ids())
        if len(found) != 1:
            raise InstrumentError(f"ArC TWO: {len(found)} boards are connected, {found}: give the port of one")
        return found[0]

    @contextmanager
    def _blaming(self, what: str) -> Generator[None, None, None]:
        """Name the board in errors of its library, and ground its channels after them."""
        try:
            yield
        except self._library.ArC2Error as error:
            raise InstrumentError(f"ArC TWO {self._port}: {what}: {in_words(error)}: look at its cable") from error


def _check_channels(words: tuple[int, ...], bits: tuple[int, ...]) -> None:
    """Raise ValueError unless each line has a channel of its own, the rows' on one side of the board."""
    sides = [set(WORDS), set(BITS)]
    apart = any(set(words) <= one and set(bits) <= other for one, other in (sides, sides[::-1]))
    if not (words and bits and apart) or len({*words, *bits}) < len(words) + len(bits):
        given = f"words, bits: channels {[*words]} and {[*bits]}"
        raise ValueError(
            f"{given}: give each line one of its own, of 0-15 and 32-47 for one side, the rest for the other"
        )


def _of(channels: NDArray[np.uint64], currents: object) -> FloatArray:
    """Return the currents of `channels` among those that the board gives: of all, of one side, or of those asked for.

    Each of them is in ascending order.
    """
    given = np.asarray(currents, np.float64)
    side = WORDS if int(channels[0]) in WORDS else BITS
    orders = {CHANNELS: range(CHANNELS), len(side): side, len(channels): np.sort(channels).tolist()}
    if given.ndim != 1 or len(given) not in orders:
        raise InstrumentError(
            f"ArC TWO: {given.shape} currents for {len(channels)} channels: update labneuro, or pyarc2"
        )
    return given[np.searchsorted(orders[len(given)], channels)]
