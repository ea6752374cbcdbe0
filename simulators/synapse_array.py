"""An emulated array of devices that learn by pulses: read, multiplied with, and pulsed, neighbours and all.

A pulse reaches the selected device undiminished, and what the scheme leaves on other devices goes through the same
device model: first the pulses of a request, then what their neighbours see of them. A read of conductances is a pulse
of `READ_WIDTH` to the device; products are taken at voltages at which no model moves, and disturb nothing. Energy is
V^2 G t, with the conductances that the request leaves.

Devices of a pulse law know no voltage. Here, by assumption, a pulse of at least the threshold is one step, up if the
row is above the column, whatever its width, and a weaker one does nothing; they wear and leak only as asked for.
Conductance is linear in the weight: g_min and g_max belong to the bounds that lie `REACH` standard deviations of their
spread beyond the mean ones.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from pydantic import AfterValidator

from labneuro.clock import Clock
from labneuro.parameters import suggestion
from labneuro.roles import SynapseArray
from labneuro.signals import (
    Exposure,
    Pulses,
    Scheme,
    Spent,
    TrainArray,
    coincidences,
    exposures,
    pulses_of,
    train_exposures,
)
from labneuro.simulators import (
    crossbar,
    ferroelectric_junctions,
    filamentary_memory,
    magnetic_memory,
    phase_change_memory,
    pulse_kernels,
    pulse_laws,
)
from labneuro.simulators.line_resistance import Lines, effective_conductances
from labneuro.simulators.noise import normal_pairs
from labneuro.simulators.presets import PRESETS
from labneuro.units import Current, Duration, FloatArray, Fraction, Resistance, Unit, Voltage

READ_WIDTH = 250e-9
"""Duration of a read, s: that of aihwkit's model of phase-change memory."""
OPEN = 1e-12
"""Least conductance of a device in a product, S: that of one that has opened."""
REACH = 3.0
"""Standard deviations of the bounds of a pulse law that lie within g_min and g_max."""
GATE_THRESHOLD = 0.7
"""Gate voltage above which a transistor lets a current through, V; a stand-in."""
GATE_SLOPE = 111.5e-6 * filamentary_memory.FULL_COMPLIANCE / 304e-6
"""Current that a transistor lets through over its gate voltage, A/V: filamentary memory is then SET by 111.5 µS/V.

The middle of 98 to 125 µS/V in the code to C. Li et al., Nat. Commun. 9, 2385 (2018).
"""

FAMILIES: dict[str, ModuleType] = {
    "ferroelectric": ferroelectric_junctions,
    "filamentary": filamentary_memory,
    "magnetic": magnetic_memory,
    "phase-change": phase_change_memory,
}
"""Device models whose pulses have any amplitude and width, by name."""

_BLOCK = 2**20  # pulses of an update, devices times vectors, that are laid out at a time
_TICKS = 1e6  # steps in which a weight leaks during its lifetime


def _known(device: str) -> str:
    if device not in FAMILIES and device not in PRESETS:
        raise ValueError(f"no device {device!r}; {suggestion(device, [*FAMILIES, *PRESETS])}")
    return device


def _bits(bits: int) -> int:
    if bits == 1:
        raise ValueError("1 bit has no level but zero: give 0 for none, or 2 to 24")
    return bits


Conductance = Annotated[float, Unit("S"), Gt(0)]
Bits = Annotated[int, Ge(0), Le(24), AfterValidator(_bits)]


class _LawDevices:
    """Devices of a pulse law behind a threshold, V; conductances from `low` to `high`, S."""

    def __init__(
        self,
        law: pulse_laws.PulseLaw,
        shape: tuple[int, int],
        seed: int,
        threshold: float,
        low: float,
        high: float,
        now: float,
    ) -> None:
        self.threshold = threshold
        self.leaked_at = now
        self._lifetime = law.lifetime
        self.number = 0
        self._seed = seed
        ticking = replace(law, lifetime=_TICKS if law.lifetime < math.inf else math.inf)
        self._devices = pulse_laws.draw_devices(ticking, *shape, seed=seed)
        self.state = pulse_laws.settle(self._devices, self._devices.reset, seed=seed)
        least, most = (w * (1 + REACH * sd) for w, sd in ((law.w_min, law.spread.w_min), (law.w_max, law.spread.w_max)))
        self._slope = (high - low) / (most - least)
        self._offset = low - least * self._slope

    def give(
        self, counts: NDArray[np.int64], volts: float | FloatArray, width: float, gate: float | None, now: float
    ) -> None:
        self._leak(now)
        steps = counts * np.where(np.abs(volts) >= self.threshold, np.sign(volts), 0).astype(np.int64)
        if steps.any():
            pulse_laws.pulse(self._devices, self.state, steps, seed=self._seed, number=self.number)
            self.number += 1

    def fire(self, rows: TrainArray, columns: TrainArray, volts: float, now: float) -> NDArray[Any]:
        """Let devices step where trains coincide, and return how often each did, (rows, columns)."""
        if abs(volts) < self.threshold:
            return coincidences(rows, columns)
        self._leak(now)
        before = self.state.pulses.copy()
        up = rows if volts > 0 else rows ^ pulse_kernels.SIGN
        pulse_laws.coincide(self._devices, self.state, up, columns, seed=self._seed, number=self.number)
        self.number += len(rows)
        return self.state.pulses - before

    def conductance(self, now: float) -> tuple[NDArray[np.float32], None]:
        self._leak(now)
        mean = self.state.visible * np.float32(self._slope)
        mean += np.float32(self._offset)
        return np.maximum(mean, 0, out=mean), None

    def _leak(self, now: float) -> None:
        """Let the weights decay, at a thousandth of their lifetime or more at once: less would be lost in rounding."""
        if now - self.leaked_at >= self._lifetime / 1000:
            pulse_laws.leak(self._devices, self.state, (now - self.leaked_at) / self._lifetime * _TICKS)
            self.leaked_at = now

    def read(self, which: NDArray[np.bool_], voltage: float, now: float) -> FloatArray:
        self.give(which.astype(np.int64), voltage, READ_WIDTH, None, now)
        return self.conductance(now)[0][which]


class _FamilyDevices:
    """Devices of one of the `FAMILIES`, some of them stuck as they were made."""

    number = 0
    leaked_at = 0.0

    def __init__(self, family: ModuleType, shape: tuple[int, int], seed: int, stuck: float, now: float) -> None:
        self._family = family
        self._shape = shape
        self._devices = family.draw_devices(seed, shape[0] * shape[1])
        self.state = family.pristine(self._devices, now)
        self._stuck = np.random.default_rng([seed, 1]).random(shape) < stuck

    def give(
        self, counts: NDArray[np.int64], volts: float | FloatArray, width: float, gate: float | None, now: float
    ) -> None:
        which = np.flatnonzero((counts > 0) & ~self._stuck)
        amplitudes = np.broadcast_to(volts, self._shape).ravel()[which]
        self._pulse(which, amplitudes, counts.ravel()[which], width, gate, now)

    def fire(
        self,
        rows: TrainArray,
        columns: TrainArray,
        scheme: Scheme,
        volts: float,
        width: float,
        gate: float | None,
        now: float,
    ) -> None:
        """Let each device see what `train_exposures` says of one vector after the other, in one pass."""
        at_once = max(_BLOCK // self._stuck.size, 1)
        for first in range(0, len(rows), at_once):
            r, c = (trains[first : first + at_once] for trains in (rows[:, :, None], columns[:, None]))
            seen = np.bitwise_count(r & c & ~pulse_kernels.SIGN)[:, None].astype(np.int16)
            parts = np.ones(1)
            if scheme != "1T1R":
                alone = sum(np.bitwise_count(lines & ~pulse_kernels.SIGN).astype(np.int16)[:, None] for lines in (r, c))
                seen = np.concatenate([seen, alone - 2 * seen, alone], axis=1)
                parts = np.array([1, 1 / 2, -1 / 2])
            seen *= ~self._stuck
            vector, part, row, column = np.nonzero(seen)
            signs = np.where(r[vector, row, 0] >> 31 == c[vector, 0, column] >> 31, volts, -volts)
            counts = seen[vector, part, row, column].astype(np.int64)
            self._pulse(row * self._shape[1] + column, parts[part] * signs, counts, width, gate, now)

    def _pulse(
        self,
        which: NDArray[np.int64],
        amplitudes: FloatArray,
        counts: NDArray[np.int64],
        width: float,
        gate: float | None,
        now: float,
    ) -> None:
        limit = {}
        if gate is not None and self._family is filamentary_memory:
            limit["compliance"] = GATE_SLOPE * (gate - GATE_THRESHOLD)
        self._family.pulse(self._devices, self.state, which, amplitudes, width, counts, now, **limit)

    def conductance(self, now: float) -> tuple[FloatArray, FloatArray]:
        mean, sigma = self._family.conductance(self._devices, self.state, slice(None), now)
        return mean.reshape(self._shape), sigma.reshape(self._shape)

    def read(self, which: NDArray[np.bool_], voltage: float, now: float) -> FloatArray:
        return self._family.read(self._devices, self.state, np.flatnonzero(which), voltage, READ_WIDTH, now)


class EmulatedSynapseArray(SynapseArray):
    """Devices of one kind where rows and columns cross.

    Noise is addressed by the seed, the device and the number of its pulse; that of pulse laws and of products by the
    seed and the number of the request. The same requests give the same answers, and one that is repeated, another.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: Annotated[int, Ge(0)] = 0,
        rows: Annotated[int, Ge(1)] = 32,
        columns: Annotated[int, Ge(1)] = 32,
        device: Annotated[str, AfterValidator(_known)] = "ReRamSB",
        scheme: Scheme = "V/2",
        threshold: Annotated[Voltage, Gt(0)] = 1.0,
        g_min: Conductance = 1e-6,
        g_max: Conductance = 40e-6,
        stuck: Annotated[Fraction, Ge(0), Le(1)] = 0.0,
        endurance: Annotated[int, Ge(0)] = 0,
        lifetime: Annotated[Duration, Ge(0)] = 0.0,
        read_noise: Annotated[Fraction, Ge(0)] = 0.0,
        line_resistance: Annotated[Resistance, Ge(0)] = 0.0,
        dac_bits: Bits = 0,
        dac_range: Annotated[Voltage, Gt(0)] = 0.2,
        adc_bits: Bits = 0,
        adc_range: Annotated[Current, Gt(0)] = 100e-6,
    ) -> None:
        """Fabricate an array.

        Args:
            clock: Time of the bench.
            seed: Draws the devices and the noise.
            rows: Number of rows.
            columns: Number of columns.
            device: A family (ferroelectric, filamentary, magnetic, phase-change) or a pulse law, such as ReRamES.
            scheme: How devices are selected; 1T1R has a transistor at each.
            threshold: Least amplitude that moves a device of a pulse law.
            g_min: Least conductance of devices of a pulse law; 1 to 40 µS are those of W. Wan et al., Nature 608, 504
                (2022).
            g_max: Largest conductance of devices of a pulse law.
            stuck: Part of the devices that no pulse moves.
            endurance: Median number of steps after which a device of a pulse law stays where it is; 0 for any number.
            lifetime: Time constant with which a device of a pulse law goes back to its weight after a reset, 0 if it
                doesn't.
            read_noise: Relative noise of each device at each read, beside that of its family.
            line_resistance: Of a row or column from one device to the next, for reads and products; 0 for none.
            dac_bits: Resolution of the voltages of products, 0 for an ideal one.
            dac_range: Largest voltage, of either sign, with `dac_bits`.
            adc_bits: Resolution of the currents of products, 0 for an ideal one.
            adc_range: Largest current, of either sign, with `adc_bits`; it saturates there.
        """
        if not g_min < g_max:
            raise ValueError(f"g_min: {g_min:g} S is not below g_max, {g_max:g} S")
        if device in FAMILIES and (endurance or lifetime):
            raise ValueError(f"endurance and lifetime: {device} has its own; they are settings of pulse laws")
        self._clock = clock
        self._seed = seed
        self._device = device
        self._shape = rows, columns
        self._scheme: Scheme = scheme
        self._devices: _LawDevices | _FamilyDevices
        if device in FAMILIES:
            self._devices = _FamilyDevices(FAMILIES[device], self._shape, seed, stuck, clock.now())
        else:
            lasts = {"endurance": endurance or math.inf, "lifetime": lifetime or math.inf}
            law = replace(PRESETS[_known(device)], stuck=stuck, **lasts)
            self._devices = _LawDevices(law, self._shape, seed, threshold, g_min, g_max, clock.now())
        self._read_noise = read_noise
        self._lines = Lines(line_resistance, line_resistance) if line_resistance else None
        self._dac = dac_bits, dac_range
        self._adc = adc_bits, adc_range
        self._drawn = 0
        self._pulses, self._half_selected = np.zeros((2, rows, columns), np.int64)
        self._energy = 0.0

    @property
    def identity(self) -> str:
        """What is emulated, and its seed."""
        return f"labneuro,emulated array of {self._shape[0]} x {self._shape[1]} {self._device},seed {self._seed},"

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self._shape

    @property
    def scheme(self) -> Scheme:
        """How devices are selected."""
        return self._scheme

    @property
    def spent(self) -> Spent:
        """What pulses and updates have given the devices; reads are not counted."""
        return Spent(self._pulses.copy(), self._half_selected.copy(), self._energy)

    def conductances(self, voltage: float, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances, (rows, columns), S, read one after the other; NaN outside the mask."""
        mask = np.ones(self._shape, np.bool_) if which is None else which
        read = self._devices.read(mask, voltage, self._clock.now())
        if self._read_noise:
            noise = self._noise(read.size)
            normals = normal_pairs(noise["seed"], read.size, 1, first_lane=noise["number"])[0, 0]
            read = read * (1 + self._read_noise * normals)
        conductances = np.full(self._shape, np.nan)
        conductances[mask] = read
        if self._lines:
            mean, _ = self._conductances()
            conductances *= effective_conductances(mean, self._lines) / mean
        self._clock.sleep(read.size * READ_WIDTH)
        return conductances

    def wait(self, duration: float) -> None:
        """Let `duration`, s, of the clock go by."""
        self._clock.sleep(duration)

    def multiply(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the columns, (batch, columns), A, the columns at 0 V."""
        mean, sigma = self._conductances()
        return self._product(crossbar.multiply, voltages, mean, sigma)

    def multiply_transposed(self, voltages: FloatArray) -> FloatArray:
        """Return the currents out of the rows, (batch, rows), A, the rows at 0 V."""
        mean, sigma = self._conductances()
        return self._product(crossbar.multiply_transposed, voltages, mean, None if sigma is None else sigma.T)

    def pulse(
        self,
        which: NDArray[np.bool_] | NDArray[np.int64],
        pulses: Pulses,
        scheme: Scheme | None = None,
        gate: float | None = None,
    ) -> None:
        """Pulse devices, (rows, columns), one after the other. Raises ValueError for a mask that doesn't fit."""
        counts = which.astype(np.int64) * pulses.count
        if counts.shape != self._shape:
            raise ValueError(f"pulses for an array of {counts.shape}: give shape {self._shape}")
        self._give(exposures(counts, scheme or self._scheme), pulses.amplitude, pulses.width, gate)
        self._clock.sleep(float(counts.sum()) * pulses.width)

    def update(self, rows: TrainArray, columns: TrainArray, pulses: Pulses, gate: float | None = None) -> None:
        """Fire the lines of each vector at once. Raises ValueError for trains that don't fit."""
        if (rows.shape[1], columns.shape[1]) != self._shape or len(rows) != len(columns):
            raise ValueError(f"trains of {rows.shape} and {columns.shape} don't fit an array of {self._shape}")
        row, column = (np.repeat(trains, pulses.count, axis=0) for trains in (rows, columns))
        devices, volts, width, scheme = self._devices, pulses.amplitude, pulses.width, self._scheme
        if gate is None or gate > GATE_THRESHOLD:
            now = self._clock.now()
            if isinstance(devices, _FamilyDevices):
                devices.fire(row, column, scheme, volts, width, gate, now)
                self._count(train_exposures(row, column, scheme), volts, width, now)
            elif scheme == "1T1R" or abs(volts) / 2 < devices.threshold:
                self._fire(devices, row, column, volts, width, now)
            else:
                for r, c in zip(row[:, None], column[:, None], strict=True):
                    signs = np.where(c >> 31 == r.T >> 31, 1.0, -1.0)
                    self._give(train_exposures(r, c, scheme), volts * signs, width, gate)
        self._clock.sleep(4.0 * pulse_laws.LONGEST * len(row) * width)

    def make_safe(self) -> None:
        """Do nothing: between requests all lines are at 0 V."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the devices, what they have been given, and the counters that address the noise."""
        return {
            "devices": {name: values.copy() for name, values in vars(self._devices.state).items()},
            "number": self._devices.number,
            "leaked_at": self._devices.leaked_at,
            "drawn": self._drawn,
            "spent": self.spent,
        }

    def restore(self, snapshot: Any) -> None:
        """Put the array back to where it was at `snapshot`."""
        for name, values in snapshot["devices"].items():
            getattr(self._devices.state, name)[:] = values
        self._devices.number = snapshot["number"]
        self._devices.leaked_at = snapshot["leaked_at"]
        self._drawn = snapshot["drawn"]
        spent: Spent = snapshot["spent"]
        self._pulses, self._half_selected = spent.pulses.copy(), spent.half_selected.copy()
        self._energy = spent.energy

    def _give(self, seen: list[Exposure], volts: float | FloatArray, width: float, gate: float | None) -> None:
        """Let devices have what they see of pulses of `volts`, a number or (rows, columns).

        Behind a transistor that is shut they see nothing.
        """
        if gate is not None and gate <= GATE_THRESHOLD:
            return
        now = self._clock.now()
        for part, counts in seen:
            self._devices.give(counts, part * volts, width, gate, now)
        self._count(seen, float(np.max(np.abs(volts))), width, now)

    def _count(self, seen: list[Exposure], volts: float, width: float, now: float) -> None:
        """Count what devices have seen of pulses of `volts`, and its energy."""
        mean, _ = self._devices.conductance(now)
        self._energy += sum(part**2 * float(np.vdot(counts, mean)) for part, counts in seen) * volts**2 * width
        self._pulses += seen[0][1]
        for _, counts in seen[1:]:
            self._half_selected += counts

    def _fire(
        self, devices: _LawDevices, rows: TrainArray, columns: TrainArray, volts: float, width: float, now: float
    ) -> None:
        """Do `_give` of `train_exposures` where half a pulse moves nothing, in fewer passes through the array."""
        both = devices.fire(rows, columns, volts, now)
        mean, _ = devices.conductance(now)
        energy = np.vdot(both.astype(np.float32), mean)
        if self._scheme != "1T1R":
            row, column = pulses_of(rows), pulses_of(columns)
            energy = (energy + row @ mean.sum(axis=1) + mean.sum(axis=0) @ column) / 2
            self._half_selected += 2 * row[:, None]
            self._half_selected += 2 * column
            self._half_selected -= 2 * both
        self._energy += float(energy) * volts**2 * width
        self._pulses += both

    def _conductances(self) -> tuple[FloatArray, FloatArray | None]:
        """Return mean, above 0, and standard deviation of the conductances, (rows, columns), S."""
        mean, sigma = self._devices.conductance(self._clock.now())
        mean = np.maximum(mean, OPEN)
        if self._read_noise:
            own = self._read_noise * mean
            sigma = own if sigma is None else np.hypot(sigma, own)
        return mean, sigma

    def _product(
        self, multiply: Callable[..., FloatArray], voltages: FloatArray, mean: FloatArray, spread: FloatArray | None
    ) -> FloatArray:
        """Return the currents, A; each device has noise of its own, (lines driven, lines sensed), at each vector."""
        bits, reach = self._dac
        if bits and np.abs(voltages).max(initial=0.0) > reach:
            raise ValueError(f"voltages of up to {np.abs(voltages).max():g} V: dac_range ends at {reach:g} V")
        volts = crossbar.quantised(voltages, bits, reach) if bits else voltages
        currents = multiply(volts, mean, self._lines)
        if spread is not None:
            currents = currents + crossbar.read_noise(volts, spread, **self._noise(len(volts)))
        self._clock.sleep(len(volts) * READ_WIDTH)
        bits, reach = self._adc
        return crossbar.quantised(currents, bits, reach) if bits else currents

    def _noise(self, lanes: int) -> dict[str, int]:
        """Return the seed and the number of the first of so many streams of noise, which nothing else hears."""
        first, self._drawn = self._drawn, self._drawn + lanes
        return {"seed": self._seed + (1 << 62), "number": first}
