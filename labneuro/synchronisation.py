"""Which oscillator is locked to which source, read from spectra alone, as in the laboratory.

With the sources off every oscillator shows a line. As a source comes near, the line is pulled a little and fades, for
the source suppresses the free oscillation, and where the oscillator follows the source altogether the line is gone: its
power is in the source's. So: mask the source lines and their mixing products, look near every free line for what is
left of it, and take an oscillator whose line has lost most of its power for locked, to the stronger source line within
reach.

How much is lost when the mean phase starts to follow the source depends on the side. A driven Slavin-Tiberkevich
oscillator (nu = 3, locking range 11 MHz, more than ten times its relaxation rate) has then 3 to 5 % of its free power
left where the source is above it, for its frequency grows with its power and meets the source half-way, and 12 to 20 %
where the source is below.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.signal import find_peaks

from labneuro.calibration import Calibration, FreeRunning, sweep
from labneuro.lines import find_lines, smoothed
from labneuro.roles import OscillatorChip
from labneuro.signals import Spectrum, StateArray, Tones
from labneuro.units import FloatArray

CAPTURE = 7e6
"""Farthest that a source can be which locks an oscillator, Hz: somewhat above half a locking range."""

PULL = 3e6
"""Farthest that the line of an unlocked oscillator is looked for from where it is with the sources off, Hz."""

KEPT_ABOVE = 0.06
KEPT_BELOW = 0.14
"""Part of its free power that an unlocked oscillator keeps, with the nearest source above and below it."""

DRIVEN = 4.0
"""Power that a locked oscillator emits in its source's line over its free power, at most about."""

NEARER = 4.0
"""How much a source at the edge of CAPTURE has to explain better, in logarithms of power, than one on the spot."""

WINDOW = 1e6
"""Width over which the power of a line is summed, Hz."""


class SpectralDetector:
    """Reads synchronisation states of one chip, from a calibration that it takes when it first needs one.

    currents: those at which the calibration is taken, (k,), A.
    """

    def __init__(self, chip: OscillatorChip, currents: FloatArray) -> None:
        self._chip = chip
        self._currents = currents
        self._calibration: Calibration | None = None
        self._rows: list[FreeRunning] = []

    def snapshot(self) -> list[dict[str, FloatArray]]:
        """Return the rows of the calibration; none if it has not been taken yet."""
        return [dict(vars(row)) for row in self._rows]

    def restore(self, snapshot: list[dict[str, FloatArray]]) -> None:
        """Put the calibration back that `snapshot` returned."""
        self._rows = [FreeRunning(**row) for row in snapshot]
        self._calibration = Calibration.fit(self._rows) if self._rows else None

    def free_lines(self) -> tuple[FloatArray, FloatArray]:
        """Return frequency, Hz, and power, W, of every oscillator at the present currents with the sources off.

        Each measured line goes to the oscillator whose calibrated frequency it fits; an oscillator whose line is hidden
        under another's keeps its calibrated values.
        """
        chip = self._chip
        currents = chip.currents
        if self._calibration is None:
            self._rows = list(sweep(chip, self._currents))
            self._calibration = Calibration.fit(self._rows)
            chip.set_currents(currents)
        chip.apply(None)
        lines = find_lines(chip.spectrum(), chip.oscillators)
        frequency = self._calibration.frequency(currents)
        power = self._calibration.power(currents)
        oscillator, line = linear_sum_assignment(np.abs(frequency[:, None] - lines.frequency))
        near = np.abs(frequency[oscillator] - lines.frequency[line]) < WINDOW
        frequency[oscillator[near]] = lines.frequency[line[near]]
        power[oscillator[near]] = lines.power[line[near]]
        return frequency, power

    def states(self, tones: Tones) -> StateArray:
        """Return the synchronisation states at `tones`, (points, oscillators); the sources are off afterwards."""
        frequency, power = self.free_lines()
        return detect(self._chip.spectra(tones), tones, frequency, power)


def detect(spectra: Spectrum, tones: Tones, frequency: FloatArray, power: FloatArray) -> StateArray:
    """Return the synchronisation states, (points, oscillators), that `spectra` (points, bins) show under `tones`.

    frequency, power: (oscillators,), Hz and W, of the lines with the sources off.
    """
    spacing = float(spectra.frequency[1] - spectra.frequency[0])
    on = np.where(tones.power > 0, tones.frequency, np.inf)
    density = spectra.density.copy()
    source_power = np.zeros(on.shape)
    for s in range(on.shape[1]):
        near = np.abs(spectra.frequency - on[:, s, None]) < 2 * spectra.rbw
        source_power[:, s] = np.sum(spectra.density * near, axis=1) * spacing
        density[near] = 0.0
    window_power = smoothed(density, spacing, WINDOW) * WINDOW
    faintest = KEPT_ABOVE * float(power.min())
    states = np.zeros((len(tones), frequency.size), np.int8)
    for point, sources in enumerate(on):
        peaks: NDArray[np.intp] = find_peaks(
            window_power[point], height=faintest, distance=max(1, round(WINDOW / spacing))
        )[0]
        line = _summits(density[point], peaks, spectra.frequency, round(WINDOW / spacing))
        line_power = np.where(_mixed(line, sources, spectra.rbw / 2), 0.0, window_power[point, peaks])
        states[point] = _assign(line, line_power, frequency, power, sources, source_power[point])
    return states


def _summits(density: FloatArray, peaks: NDArray[np.intp], frequency: FloatArray, width: int) -> FloatArray:
    """Return the frequency of the highest bin within `width` bins about each of `peaks`."""
    return np.array(
        [
            frequency[(first := max(0, k - width // 2)) + int(np.argmax(density[first : k + width // 2 + 1]))]
            for k in peaks
        ]
    )


def _mixed(line: FloatArray, sources: FloatArray, tolerance: float) -> NDArray[np.bool_]:
    """Return which lines are products f + k (f - f') of two sources, k = 1 to 3: a driven oscillator emits them."""
    on = sources[np.isfinite(sources)]
    pairs = [(a, b) for a in on for b in on if a != b]
    products = np.array([a + k * (a - b) for a, b in pairs for k in (1, 2, 3)])
    return np.any(np.abs(line[:, None] - products) < tolerance, axis=1)


def _assign(
    line: FloatArray,
    line_power: FloatArray,
    frequency: FloatArray,
    power: FloatArray,
    sources: FloatArray,
    source_power: FloatArray,
) -> StateArray:
    """Give lines to oscillators at least total pull; oscillators left over are locked, if a source is in reach."""
    distance = np.abs(frequency[:, None] - sources)
    reach = distance <= CAPTURE
    nearest = np.argmin(distance, axis=1)
    kept = np.where(sources[nearest] > frequency, KEPT_ABOVE, KEPT_BELOW) * power
    pull = np.abs(frequency[:, None] - line)
    pull[(pull > PULL) | (line_power < kept[:, None])] = 4 * PULL
    oscillators, lines = linear_sum_assignment(pull)
    locked = np.any(reach, axis=1)
    locked[oscillators[pull[oscillators, lines] <= PULL]] = False
    states = np.zeros(frequency.size, np.int8)
    who = np.flatnonzero(locked)
    if who.size:
        states[who] = _explain(power[who], distance[who], source_power) + 1
    return states


def _explain(power: FloatArray, distance: FloatArray, source_power: FloatArray) -> NDArray[np.intp]:
    """Return the source of each locked oscillator, (locked,), such that the powers of the source lines fit best.

    A locked oscillator puts up to DRIVEN times its free power into its source's line, an unlocked one little.
    The farther a source, the better it must explain the lines.
    """
    background = 0.2 * float(power.mean())
    best, best_misfit = np.zeros(power.size, np.intp), np.inf
    for choice in product(*(np.flatnonzero(d <= CAPTURE) for d in distance)):
        expected = np.bincount(choice, DRIVEN * power, minlength=source_power.size)
        misfit = float(np.sum(np.abs(np.log((source_power + background) / (expected + background)))))
        misfit += NEARER * float(np.sum(distance[np.arange(power.size), choice])) / CAPTURE
        if misfit < best_misfit:
            best, best_misfit = np.array(choice, np.intp), misfit
    return best
