"""An emulated chip of coupled vortex spin-torque nano-oscillators, driven by common RF sources, seen by an analyzer."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from labneuro.clock import Clock
from labneuro.roles import OscillatorChip, Wiring
from labneuro.signals import Spectrum, StateArray, Tones
from labneuro.simulators import slavin_tiberkevich as theory
from labneuro.simulators.breakdown import Junctions
from labneuro.simulators.oscillators import Emission, Motion, Oscillators, integrate
from labneuro.simulators.receiver import BAND, Sampling, Sweep, sampling
from labneuro.simulators.terminals import DirectTerminal, EmissionTerminal, RFTerminal, Terminal
from labneuro.synchronisation import SpectralDetector
from labneuro.units import FloatArray, Frequency, PowerDensity, Voltage

REFERENCE = 350e6
"""Frequency of the rotating frame and middle of the analyzer's span, Hz."""

OPERATING_CURRENT = 6e-3
"""Current at which a device is specified, A."""

SPACING = 12e6
"""Distance between the nominal frequencies of neighbours, Hz."""

MILLIWATT = 1e-3
SOURCE_SETTLING = 10e-3
"""Time that a current or RF source takes to settle, s."""

SETTLING = 1.5e-6
"""Time passed over before anything is observed, s: some ten relaxation times."""

OBSERVATION = 1.5e-6
"""Time over which a mean frequency is taken, s."""

LOCKED = 0.5e6
"""Largest distance of an oscillator's mean frequency from that of a source it is locked to, Hz."""

EVERY = 3
"""Steps of the integration from one look at the oscillators to the next."""

POINTS_PER_RBW = 2
"""Points of the analyzer's trace in one resolution bandwidth."""

SAMPLES_AT_ONCE = 2**22
"""Samples of emitted signals held in memory at a time."""


@dataclass(frozen=True, eq=False)
class Devices:
    """What fabrication made of each oscillator: arrays (oscillators,), at OPERATING_CURRENT.

    threshold: A. frequency: Hz. slope: df/dI, Hz/A. damping: Gamma_G, rad/s. saturation: Q. nonlinearity: nu.
    linewidth: Hz. locking_width: full locking range to one source of 1 mW, Hz. power: emitted, W. resistance: ohm.
    """

    threshold: FloatArray
    frequency: FloatArray
    slope: FloatArray
    damping: FloatArray
    saturation: FloatArray
    nonlinearity: FloatArray
    linewidth: FloatArray
    locking_width: FloatArray
    power: FloatArray
    resistance: FloatArray


def draw_devices(seed: int, count: int, *, linewidth: float, spread: float = 1.0) -> Devices:
    """Draw `count` devices about the nominal vortex oscillator, uniformly within the usual tolerances times `spread`.

    Tolerances: frequency 2 %, slope, nonlinearity and power 20 %, linewidth 30 %, damping, locking width and resistance
    10 %, threshold 5 %. A `spread` of 0 gives nominal devices.
    """
    rng = np.random.default_rng([seed, 0])

    def within(nominal: float | FloatArray, tolerance: float) -> FloatArray:
        return nominal * (1 + spread * tolerance * rng.uniform(-1, 1, count))

    return Devices(
        frequency=within(REFERENCE + SPACING * (np.arange(count) - (count - 1) / 2), 0.02),
        slope=within(6.5e9, 0.2),
        threshold=within(4e-3, 0.05),
        damping=within(2 * math.pi * 1e6, 0.1),
        saturation=np.ones(count),
        nonlinearity=within(3.0, 0.2),
        linewidth=within(linewidth, 0.3),
        locking_width=within(11e6, 0.1),
        power=within(2e-6, 0.2),
        resistance=within(40.0, 0.1),
    )


class EmulatedOscillatorChip(OscillatorChip):
    """Slavin-Tiberkevich oscillators in real time, and an analyzer that looks at what they really emit.

    The frequency of a device follows its current through the power, N p0(I), and through the Oersted field of the
    current, linear in I, which makes up the rest of the measured slope. RF sources act as fields: their amplitude goes
    with the root of their power and is calibrated at 1 mW to a locking range. The signal is the current times the
    oscillating resistance, so that below threshold the thermal agitation shows as a broad, weak line, and nothing
    without current.

    Noise is addressed by seed and number of the question, counted in operating points: the same questions give the same
    answers however they are batched, and another point, asked twice, another answer, as on a bench.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: Annotated[int, Ge(0)] = 0,
        oscillators: Annotated[int, Ge(1)] = 4,
        sources: Annotated[int, Ge(1)] = 2,
        detection: Literal["phases", "spectra"] = "phases",
        wiring: Wiring = "separate",
        spread: Annotated[float, Ge(0)] = 1.0,
        linewidth: Annotated[Frequency, Gt(0)] = 100e3,
        coupling: Frequency = 50e3,
        coupling_phase: float = 0.0,
        span: Annotated[Frequency, Gt(0)] = 80e6,
        rbw: Annotated[Frequency, Gt(0)] = 200e3,
        averages: Annotated[int, Ge(1)] = 64,
        noise_floor: Annotated[PowerDensity, Gt(0)] = 1e-16,
        breakdown: Annotated[Voltage, Gt(0)] = 0.5,
    ) -> None:
        """Fabricate a chip.

        Args:
            clock: Time of the bench.
            seed: Draws the devices and the noise.
            oscillators: Number of oscillators.
            sources: Number of RF sources.
            detection: Read locking from the phases, as only an emulator can, or from spectra, as in a laboratory.
            wiring: How the current sources are wired.
            spread: Spread between devices, 1 for the usual tolerances, 0 for none.
            linewidth: Linewidth of a free oscillator, full width at half maximum.
            coupling: Strength Omega / 2 pi of the mutual coupling.
            coupling_phase: Phase beta of the coupling, rad.
            span: Span of the analyzer about 350 MHz.
            rbw: Resolution bandwidth of the analyzer.
            averages: Traces averaged by the analyzer.
            noise_floor: Displayed average noise of the analyzer.
            breakdown: Voltage across a device, of 40 ohm, that destroys it.
        """
        self._clock = clock
        self._seed = seed
        self._sources = sources
        self._wiring: Wiring = wiring
        self.devices = draw_devices(seed, oscillators, linewidth=linewidth, spread=spread)
        self._coupling = 2 * math.pi * coupling * complex(math.cos(coupling_phase), math.sin(coupling_phase))
        self._currents = np.zeros(oscillators)
        self._fed = np.zeros(oscillators)
        self._wired = np.triu(np.ones((oscillators, oscillators))) if wiring == "series" else np.eye(oscillators)
        self._tones = Tones.at(np.full(sources, REFERENCE), 0.0)
        self._points_asked = 0
        # Heun steps that turn the farthest oscillator by less than a third of a radian.
        reach = SPACING * oscillators / 2 + 10e6
        self._step = 1e-9 * min(2.0, max(0.1, 0.33 / (2 * math.pi * reach) * 1e9))
        points = math.ceil(POINTS_PER_RBW * span / rbw) + 1
        self._sweep = Sweep(REFERENCE - span / 2, REFERENCE + span / 2, points, rbw, averages)
        if not self._sampling(self._sweep).shown.all():
            most = 2 * BAND / (EVERY * self._step)
            raise ValueError(
                f"span: {span / 1e6:g} MHz is more than the {most / 1e6:.3g} MHz that are emulated: narrow it"
            )
        d = self.devices
        zeta = OPERATING_CURRENT / d.threshold
        p0 = theory.power(zeta, d.saturation)
        self._shift = theory.shift_for_nonlinearity(d.nonlinearity, d.damping, zeta, d.saturation)
        power_slope = (1 + d.saturation) / ((zeta + d.saturation) ** 2 * d.threshold)
        self._oersted = 2 * math.pi * d.slope - self._shift * power_slope
        self._natural = 2 * math.pi * (d.frequency - REFERENCE) - self._shift * p0
        self._diffusion = theory.noise_for_linewidth(d.linewidth, p0, d.nonlinearity)
        rate = theory.power_relaxation_rate(d.damping, zeta)
        self._response = np.array(
            [
                theory.force_for_locking_width(2 * math.pi * float(width), float(p), float(nu), float(r))
                for width, p, nu, r in zip(d.locking_width, p0, d.nonlinearity, rate, strict=True)
            ]
        )
        # A ten-thousandth of a source's power reaches the analyzer past the oscillators.
        self._leak = math.sqrt(MILLIWATT * 1e-4)
        self._voltage = np.sqrt(d.power / p0) / OPERATING_CURRENT
        self._noise_floor = noise_floor
        self.junctions = Junctions(f"emulated chip, seed {seed}", d.resistance, breakdown)
        self._present = self._oscillators()
        self._detector = (
            SpectralDetector(self, np.linspace(OPERATING_CURRENT * 0.75, OPERATING_CURRENT * 4 / 3, 15))
            if detection == "spectra"
            else None
        )

    @property
    def identity(self) -> str:
        """What is emulated, and its seed."""
        return f"labneuro,emulated chip of {self.oscillators} spin-torque nano-oscillators,seed {self._seed},"

    @property
    def oscillators(self) -> int:
        """Number of oscillators."""
        return self.devices.frequency.size

    @property
    def sources(self) -> int:
        """Number of RF sources."""
        return self._sources

    @property
    def wiring(self) -> Wiring:
        """How the current sources are wired."""
        return self._wiring

    @property
    def currents(self) -> FloatArray:
        """Currents through the devices, (oscillators,), A."""
        return self._currents.copy()

    def set_currents(self, currents: FloatArray) -> None:
        """Set the currents, (oscillators,), A."""
        self.carry(currents)
        self._clock.sleep(SOURCE_SETTLING)

    def carry(self, currents: FloatArray, *, jumps: bool = True) -> None:
        """Let the currents through the devices become `currents`, (oscillators,), A, which may destroy some.

        jumps: whether they do so at once.
        """
        before, self._currents = self._currents, np.array(currents, dtype=np.float64)
        if not np.array_equal(before, self._currents):
            self.junctions.change(before, self._currents, jumps=jumps)
            self._present = self._oscillators()

    def apply(self, tones: Tones | None) -> None:
        """Put one operating point on the sources, or switch them off."""
        self._tones = Tones.at(np.full(self.sources, REFERENCE), 0.0) if tones is None else tones
        self._clock.sleep(SOURCE_SETTLING)

    def spectrum(self) -> Spectrum:
        """Return the emitted spectrum with the sources as they stand."""
        return self.swept(self._sweep, self._tones)[0]

    def spectra(self, tones: Tones) -> Spectrum:
        """Return the emitted spectra, (points, bins); the sources are off afterwards."""
        spectra = self.swept(self._sweep, tones)
        self.apply(None)
        return spectra

    def synchronisation(self, tones: Tones) -> StateArray:
        """Return the synchronisation states, (points, oscillators), in the way that `detection` says."""
        states = self._detector.states(tones) if self._detector else self.locked_phases(tones)
        self.apply(None)
        return states

    def make_safe(self) -> None:
        """Switch the sources off and the currents to zero."""
        self.apply(None)
        self.set_currents(np.zeros(self.oscillators))

    @property
    def deaths(self) -> list[str]:
        """A line about each device that has been destroyed."""
        return self.junctions.deaths

    @property
    def terminals(self) -> dict[str, Terminal]:
        """Terminals by name: current1, current2, ...; A, B, ... for the RF sources; emission for an analyzer."""
        direct = {f"current{k + 1}": self._direct_terminal(k) for k in range(self.oscillators)}
        microwave = {chr(ord("A") + s): RFTerminal(partial(self._drive, s)) for s in range(self.sources)}
        emission = EmissionTerminal(lambda sweep: self.swept(sweep, self._tones).density[0])
        return {**direct, **microwave, "emission": emission}

    def _direct_terminal(self, k: int) -> DirectTerminal:
        """Return terminal k: a source there feeds device k or, in series, this one and all after it."""
        fed = self._wired[k]

        def feed(current: float, jumps: bool) -> None:
            self._fed[k] = current
            self.carry(self._wired.T @ self._fed, jumps=jumps)

        def resistance() -> float:
            return float(fed @ self.junctions.resistance)

        return DirectTerminal(
            feed,
            surge=lambda peak: self.junctions.carry(self._currents + fed * (peak - self._fed[k]), "in a spike"),
            resistance=resistance,
            voltage=lambda: float(fed @ (self.junctions.resistance * self._currents)),
        )

    def _drive(self, source: int, frequency: float, power: float) -> None:
        tones = Tones(self._tones.frequency.copy(), self._tones.power.copy())
        tones.frequency[0, source], tones.power[0, source] = frequency, power
        self._tones = tones

    def snapshot(self) -> dict[str, Any]:
        """Return the levels, the number of points asked, which addresses the noise, and the detector's calibration."""
        return {
            "currents": self._currents,
            "fed": self._fed,
            "tones": self._tones,
            "points_asked": self._points_asked,
            "broken": self.junctions.broken,
            "deaths": self.junctions.deaths,
            "detector": self._detector.snapshot() if self._detector else [],
        }

    def restore(self, snapshot: Any) -> None:
        """Put the chip back to where it was at `snapshot`."""
        self._currents = snapshot["currents"]
        self._fed = snapshot["fed"]
        self._tones = snapshot["tones"]
        self._points_asked = snapshot["points_asked"]
        self.junctions.broken = snapshot["broken"]
        self.junctions.deaths = snapshot["deaths"]
        self._present = self._oscillators()
        if self._detector:
            self._detector.restore(snapshot["detector"])

    def locked_phases(self, tones: Tones) -> StateArray:
        """Return whose mean frequency is that of which source, (points, oscillators): the emulator's truth."""
        first = self._ask(len(tones))
        look = EVERY * self._step
        observe = round(OBSERVATION / look)
        motion = self._run(tones, self._seed, first, look, observe, None)
        mean = REFERENCE + motion.advance / (2 * math.pi * observe * look)
        distance = np.abs(mean[:, :, None] - np.where(tones.power > 0, tones.frequency, np.inf))
        nearest = np.argmin(distance, axis=2)
        locked = np.take_along_axis(distance, nearest[:, :, None], axis=2)[:, :, 0] < LOCKED
        running = (self._present.growth > 0)[:, None]
        return np.where(locked & running, nearest + 1, 0).T.astype(np.int8)

    def _ask(self, points: int) -> int:
        """Number the next `points` questions and return the first number."""
        first = self._points_asked
        self._points_asked += points
        self._clock.sleep(points * SOURCE_SETTLING)
        return first

    def swept(self, sweep: Sweep, tones: Tones) -> Spectrum:
        """Return the spectra, (points, bins), that an analyzer set to `sweep` shows under `tones`.

        Each is the mean of the periodograms of independent stretches of the emitted signal. Beyond the band that is
        emulated, some 100 MHz about 350 MHz, there is the noise of the analyzer. Raises ValueError for a filter that is
        too narrow to be emulated.
        """
        seen = self._sampling(sweep)
        averages = sweep.averages
        first = self._ask(len(tones)) * averages
        emission = Emission(self._voltage * self._currents * ~self.junctions.broken, self._leak, self._noise_floor)
        density = np.full((len(tones), sweep.points), self._noise_floor)
        at_once = max(1, SAMPLES_AT_ONCE // (averages * seen.samples))
        for start in range(0, len(tones), at_once):
            part = tones[start : start + at_once]
            repeated = Tones(*(np.repeat(a, averages, axis=0) for a in (part.frequency, part.power)))
            lane = first + start * averages
            motion = self._run(repeated, self._seed + (1 << 62), lane, seen.interval, seen.samples, emission)
            power = seen.density(motion.signal).reshape(len(part), averages, -1).mean(axis=1)
            density[start : start + at_once, seen.shown] = power
        return Spectrum(sweep.frequency, density, sweep.rbw, averages)

    def _sampling(self, sweep: Sweep) -> Sampling:
        return sampling(sweep, REFERENCE, EVERY * self._step)

    def _oscillators(self) -> Oscillators:
        """Return the parameters at the present currents."""
        d = self.devices
        through = np.where(self.junctions.broken, 0.0, self._currents)
        pumping = d.damping * np.maximum(through, 0.0) / d.threshold
        return Oscillators(
            growth=pumping - d.damping,
            saturation=pumping + d.saturation * d.damping,
            detuning=self._natural + self._oersted * (through - OPERATING_CURRENT),
            shift=self._shift,
            diffusion=self._diffusion,
            response=self._response,
            coupling=self._coupling,
        )

    def _run(self, tones: Tones, seed: int, first: int, look: float, observe: int, emission: Emission | None) -> Motion:
        """Integrate one lane for each of `tones`, observed every `look`, s."""
        detuning = tones.frequency - REFERENCE
        near = np.abs(detuning) * look <= BAND  # a source beyond the band would be seen at another frequency
        return integrate(
            self._present,
            points=len(tones),
            drive=np.sqrt(tones.power / MILLIWATT) * near,
            detuning=2 * math.pi * detuning * near,
            seed=seed,
            first_lane=first,
            step=look / EVERY,
            settle=round(SETTLING / look),
            observe=observe,
            every=EVERY,
            emission=emission,
        )
