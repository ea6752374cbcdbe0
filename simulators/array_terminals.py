"""An emulated array whose lines end at relays: what instruments put on them reaches the devices through the network.

Each line, rows first, can be connected to four buses. Ground is where all instruments have their low side. The pulse
generator, of 50 ohm, ends in 50 ohm, so that pulses are not reflected; these are two resistors of 25 ohm each, and
what stands between them, half of the pulse, is a bus of its own. The voltages are those of Kirchhoff's laws for all
lines, buses and devices, with the conductances as they are before; lines that no relay connects float.

What stands across a device from one change of the level or the relays to the next is one pulse to it, if it is more
than `SMALLEST` of what its bus has. Read noise is drawn anew with each such change. The generator is taken to be at 0 V
between pulses, and the meter to be open while they come.
"""

import math
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from labneuro.clock import Clock
from labneuro.simulators.noise import normal_pairs
from labneuro.simulators.synapse_array import Conductance, EmulatedSynapseArray
from labneuro.simulators.terminals import DirectTerminal, PulseTerminal, RelayTerminal, Terminal
from labneuro.units import FloatArray, Fraction, Voltage

METER, PULSER, HALF, GROUND = range(4)
"""The buses, which are the rows of the switch matrix."""

CONTACT = 0.1
"""Resistance of a closed relay, ohm."""

SOURCE = 50.0
"""Resistance of the generator, and of what it ends in, ohm."""

LEAK = 1e-12
"""Conductance from each line and bus to ground, S."""

SMALLEST = 0.01
"""Part of the voltage of a bus below which what stands across a device, from the drop at relays, is passed over."""

SPIKE = 1e-6
"""Duration of a spike of a source that changes range, s."""


class WiredSynapseArray(EmulatedSynapseArray):
    """An array of synapses for a rack: its terminals are `relays`, `meter` and `pulser`."""

    def __init__(
        self,
        clock: Clock,
        *,
        seed: Annotated[int, Ge(0)] = 0,
        rows: Annotated[int, Ge(1)] = 10,
        columns: Annotated[int, Ge(1)] = 6,
        device: str = "ReRamSB",
        threshold: Annotated[Voltage, Gt(0)] = 1.0,
        g_min: Conductance = 1e-6,
        g_max: Conductance = 40e-6,
        stuck: Annotated[Fraction, Ge(0), Le(1)] = 0.0,
        read_noise: Annotated[Fraction, Ge(0)] = 0.0,
    ) -> None:
        """Fabricate an array, all relays open.

        Args:
            clock: Time of the bench.
            seed: Draws the devices and the noise.
            rows: Number of rows.
            columns: Number of columns.
            device: As in the emulated array: a family, such as filamentary, or a pulse law, such as ReRamES.
            threshold: Least amplitude that moves a device of a pulse law.
            g_min: Least conductance of devices of a pulse law.
            g_max: Largest conductance of devices of a pulse law.
            stuck: Part of the devices that no pulse moves.
            read_noise: Relative noise of each device at each read, beside that of its family.
        """
        made = {"device": device, "threshold": threshold, "g_min": g_min, "g_max": g_max}
        super().__init__(clock, seed=seed, rows=rows, columns=columns, stuck=stuck, read_noise=read_noise, **made)
        self._closed = np.zeros((GROUND + 1, rows + columns), np.bool_)
        self._level, self._since = 0.0, clock.now()
        self._across, self._seen = np.zeros((2, rows, columns))
        self._ohms: float | None = None

    @property
    def terminals(self) -> dict[str, Terminal]:
        """Where a switch matrix, a source meter and channel 1 of a pulse generator are connected."""
        meter = DirectTerminal(
            lambda current, jumps: self._feed(current),
            surge=lambda peak: self._let_through(METER, peak, SPIKE, 1),
            resistance=self._resistance,
            voltage=lambda: self._level,
        )
        pulser = PulseTerminal(lambda volts, width, count: self._let_through(PULSER, volts / SOURCE, width, count))
        return {"relays": RelayTerminal(*self._closed.shape, self._move), "meter": meter, "pulser": pulser}

    def snapshot(self) -> dict[str, Any]:
        """Return that of the array, where its relays are, and what the meter puts across it."""
        lines = {name: getattr(self, f"_{name}") for name in ("closed", "level", "since", "across", "seen")}
        return super().snapshot() | {"lines": lines}

    def restore(self, snapshot: Any) -> None:
        """Put the array and its lines back to where they were at `snapshot`."""
        super().restore(snapshot)
        for name, value in snapshot["lines"].items():
            setattr(self, f"_{name}", value)
        self._ohms = None

    def _feed(self, current: float) -> None:
        level = current * self._resistance()
        if not math.isclose(level, self._level, rel_tol=1e-9):
            self._change(level, self._closed)

    def _move(self, closed: NDArray[np.bool_]) -> None:
        self._change(self._level, closed.copy())

    def _change(self, level: float, closed: NDArray[np.bool_]) -> None:
        """Let the meter put `level`, V, on its bus, and relays be `closed`, from now on."""
        now = self._clock.now()
        if self._level and now > self._since:
            self._expose(self._across, self._level, now - self._since, 1)
        self._level, self._closed, self._since, self._ohms = level, closed, now, None
        if level:
            mean, sigma = self._conductances()
            self._seen = mean
            if sigma is not None:
                noise = self._noise(mean.size)
                normals = normal_pairs(noise["seed"], mean.size, 1, first_lane=noise["number"])[0, 0]
                self._seen = np.maximum(mean + sigma * normals.reshape(mean.shape), 0.0)
            self._across = self._voltages(self._seen, METER, level / self._resistance())[0]

    def _resistance(self) -> float:
        """Return what the meter sees, ohm."""
        if self._ohms is None:
            seen = self._seen if self._level else self._conductances()[0]
            self._ohms = self._voltages(seen, METER, 1.0)[1]
        return self._ohms

    def _let_through(self, bus: int, current: float, width: float, count: float) -> None:
        """Let pulses come from a source of `current`, A, and its own resistance, at a bus."""
        if not math.isfinite(count):
            raise ValueError("pulses without end: give a count")
        self._expose(*self._voltages(self._conductances()[0], bus, current), width, int(count))

    def _expose(self, across: FloatArray, on_bus: float, width: float, count: int) -> None:
        """Give the devices what pulses of `on_bus`, V, leave `across` them."""
        counts = np.where(np.abs(across) > SMALLEST * abs(on_bus), count, 0)
        self._devices.give(counts, across, width, None, self._clock.now())

    def _voltages(self, conductances: FloatArray, bus: int, current: float) -> tuple[FloatArray, float]:
        """Return the voltages across the devices, (rows, columns), and of a bus, for a current into that, A."""
        rows, lines = self.shape[0], sum(self.shape)
        joined = np.zeros((lines + GROUND + 1,) * 2)
        joined[:rows, rows:lines] = conductances
        joined[:lines, lines:] = self._closed.T / CONTACT
        joined[lines + PULSER, lines + HALF] = joined[lines + HALF, lines + GROUND] = 2 / SOURCE
        joined[lines + PULSER, lines + GROUND] = 1 / SOURCE
        joined += joined.T
        nodal = np.diag(joined.sum(axis=1) + LEAK) - joined
        driven = np.zeros(lines + GROUND)
        driven[lines + bus] = current
        volts = np.linalg.solve(nodal[:-1, :-1], driven)  # all over ground, the last
        return volts[:rows, None] - volts[rows:lines], float(volts[lines + bus])
