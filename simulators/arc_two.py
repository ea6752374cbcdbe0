"""An emulated ArC TWO with an emulated array on it, which answers to the verbs of pyarc2.

As with the board, nothing happens before `execute`: what is queued is kept in the order in which it came, and a read
that answers at once executes what is queued before it. Channels that are neither grounded nor at a voltage float: their
devices see nothing. Currents are positive where they flow out of a channel into a device. What several devices see of
one pulse, the array gets one after the other.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from labneuro.clock import Clock
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses
from labneuro.units import FloatArray

CHANNELS, CLUSTER = 64, 8
SIDES = (frozenset((*range(16), *range(32, 48))), frozenset((*range(16, 32), *range(48, 64))))
SETTLING = 120e-6
"""Time that a channel takes to another voltage, other than in pulses of the fast drivers, s."""


class ArC2Error(Exception):
    """What the board refuses."""


class IdleMode(Enum):
    """What channels are left at."""

    Float = 1
    SoftGnd = 2
    HardGnd = 3


class EmulatedArcTwo:
    """A board whose channels `words` and `bits` are the rows and columns of an array."""

    def __init__(self, clock: Clock, array: SynapseArray, words: Sequence[int], bits: Sequence[int]) -> None:
        """Switch the board on, with all channels at ground."""
        if (len(words), len(bits)) != array.shape:
            raise ValueError(f"{len(words)} words and {len(bits)} bits for an array of {array.shape}: give one a line")
        self._clock, self._array = clock, array
        self._words, self._bits = list(words), list(bits)
        self._queued: list[Callable[[], None]] = []
        self._volts = np.zeros(CHANNELS)  # NaN: floating
        self._grounded = np.ones(CHANNELS, np.bool_)

    def library(self) -> SimpleNamespace:
        """Return what plays the module pyarc2, with this board on port 0."""
        return SimpleNamespace(
            ArC2Error=ArC2Error, IdleMode=IdleMode, find_ids=lambda: [0], Instrument=lambda port, firmware: self
        )

    # --- What is queued

    def connect_to_gnd(self, chans: Iterable[int]) -> Self:
        """Ground these channels hard, and no others."""
        return self._queue(partial(self._ground_hard, list(chans)))

    def ground_all(self) -> Self:
        """Bring all channels to 0 V."""
        return self._queue(partial(self._set, dict.fromkeys(range(CHANNELS), 0.0), None, SETTLING))

    def ground_all_fast(self) -> Self:
        """Bring all channels to 0 V, in the mode in which they are."""
        return self._queue(partial(self._set, dict.fromkeys(range(CHANNELS), 0.0), None, 0.0))

    def float_all(self) -> Self:
        """Disconnect all channels."""
        return self._queue(partial(self._set, dict.fromkeys(range(CHANNELS), np.nan), None, 0.0))

    def config_channels(self, input: Iterable[tuple[int, float]], base: float | None = None) -> Self:  # noqa: A002 - as pyarc2 calls it
        """Bring channels to voltages, and all others to `base`, or leave them."""
        return self._queue(partial(self._set, dict(input), base, SETTLING))

    def delay(self, nanos: int) -> Self:
        """Let so many nanoseconds pass."""
        return self._queue(partial(self._clock.sleep, nanos * 1e-9))

    def pulse_one(self, low: int, high: int, voltage: float, nanos: int) -> Self:
        """Pulse the device between two channels, all others floating."""
        return self._queue(partial(self._pulse, {low: 0.0, high: voltage}, nanos * 1e-9, others=np.nan))

    def pulse_slice_fast_open(
        self, chans: Sequence[tuple[int, float, float]], cl_nanos: Sequence[int | None], preset_state: bool
    ) -> Self:
        """Pulse channels, each from its normal voltage to that of its pulse and back."""
        if len(cl_nanos) != CHANNELS // CLUSTER:
            raise ValueError(f"{len(cl_nanos)} timings: give one for each of {CHANNELS // CLUSTER} clusters")
        widths: set[int] = set()
        rises: dict[int, set[bool]] = {}
        for channel, pulse, normal in chans:
            width = cl_nanos[channel // CLUSTER]
            if width is None:
                raise ArC2Error(f"channel {channel} is pulsed and its cluster is not")
            widths.add(width)
            rises.setdefault(channel // CLUSTER, set()).add(pulse > normal)
        if len(widths) > 1 or any(len(directions) > 1 for directions in rises.values()):
            raise ArC2Error("channels of a cluster go different ways, or pulses differ in width (not emulated)")
        if not all(40 <= width <= 500_000_000 for width in widths):
            raise ArC2Error(f"pulses of {widths} ns: the fast drivers do 40 ns to 500 ms")
        return self._queue(partial(self._pulse, {c: v for c, v, _ in chans}, min(widths, default=0) * 1e-9))

    # --- What is done

    def execute(self) -> Self:
        """Do what is queued."""
        queued, self._queued = self._queued, []
        for command in queued:
            command()
        return self

    def busy(self) -> bool:
        """Return whether commands wait."""
        return False

    def wait(self) -> None:
        """Wait until what was executed is done: here it is."""

    def finalise_operation(self, mode: IdleMode | None = None, control: object = None) -> None:
        """Leave all channels floating, at 0 V, or at ground."""
        if mode is IdleMode.Float:
            self.connect_to_gnd([]).ground_all_fast().float_all().execute()
        elif mode is IdleMode.SoftGnd:
            self.connect_to_gnd([]).ground_all().execute()
        elif mode is IdleMode.HardGnd:
            self.ground_all_fast().float_all().connect_to_gnd(range(CHANNELS)).execute()

    def read_one(self, low: int, high: int, vread: float) -> float:
        """Return the current from one channel to another, A, which is at -vread."""
        return float(self.read_slice_masked(low, [high], vread)[sorted(self._side(high)).index(high)])

    def read_slice(self, chan: int, vread: float) -> NDArray[np.float32]:
        """Return the currents of all channels across a line, A, which is at -vread."""
        return self.read_slice_masked(chan, sorted(set(range(CHANNELS)) - self._side(chan)), vread)

    def read_slice_masked(self, chan: int, mask: Iterable[int], vread: float) -> NDArray[np.float32]:
        """Return the currents of some of the channels across a line, (32,), A, in ascending order; NaN for others."""
        wanted = [int(channel) for channel in mask]
        self.connect_to_gnd([]).config_channels([(int(chan), -vread)], 0.0).execute()
        currents = np.full(CHANNELS, np.nan, np.float32)
        currents[wanted] = self._currents()[wanted]
        self.ground_all().execute()
        return currents[sorted(set(range(CHANNELS)) - self._side(int(chan)))]

    def read_slice_open(self, highs: Iterable[int], ground_after: bool) -> NDArray[np.float32]:
        """Return the currents of channels as all of them stand, (64,), A; NaN for others."""
        self.execute()
        wanted = [int(channel) for channel in highs]
        currents = np.full(CHANNELS, np.nan, np.float32)
        currents[wanted] = self._currents()[wanted]
        if ground_after:
            self.ground_all().execute()
        return currents

    def _queue(self, command: Callable[[], None]) -> Self:
        self._queued.append(command)
        return self

    def _side(self, channel: int) -> frozenset[int]:
        return SIDES[0] if channel in SIDES[0] else SIDES[1]

    def _ground_hard(self, channels: list[int]) -> None:
        self._grounded[:] = False
        self._grounded[[int(c) for c in channels]] = True

    def _set(self, volts: dict[int, float], base: float | None, seconds: float) -> None:
        if base is not None:
            self._volts[:] = base
        self._volts[list(volts)] = list(volts.values())
        self._clock.sleep(seconds)

    def _across(self, volts: FloatArray) -> FloatArray:
        """Return the voltages across the devices, (rows, columns), 0 where a line floats."""
        lines = np.where(self._grounded, 0.0, volts)
        return np.nan_to_num(lines[self._words][:, None] - lines[self._bits])

    def _pulse(self, volts: dict[int, float], seconds: float, others: float | None = None) -> None:
        lines = self._volts.copy() if others is None else np.full(CHANNELS, others)
        lines[list(volts)] = list(volts.values())
        across = np.round(self._across(lines), 6)  # µV: thirds of a voltage differ in their last digit
        for amplitude in np.unique(across[across != 0]).tolist():
            self._array.pulse(across == amplitude, Pulses(amplitude, seconds), "1T1R")

    def _currents(self) -> FloatArray:
        """Return the current out of each channel, A, from one read of every device that is under voltage."""
        across = self._across(self._volts)
        currents = np.zeros(CHANNELS)
        if across.any():
            through = np.nan_to_num(self._array.conductances(float(np.abs(across).max()), across != 0)) * across
            currents[self._words], currents[self._bits] = through.sum(axis=1), -through.sum(axis=0)
        return currents
