"""How an emulated spectrum analyzer sees a signal in a rotating frame: sampled, filtered, at the points of its sweep.

A Gaussian window in time is a Gaussian resolution filter. The samples are spaced such that the bins of their Fourier
transform, shifted by less than one, fall on the points of the sweep, so that nothing is interpolated. Points too close
for that are reached by a chirp transform.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, next_fast_len
from scipy.signal import ZoomFFT

from labneuro.units import FloatArray

NARROWEST = 5e3
"""Smallest resolution bandwidth that is emulated, Hz: the time to be integrated goes with its inverse."""

CUT = 3.5
"""Half the length of the window, in its standard deviations: -53 dB."""

THREADED = 2**17
"""Samples from which a transform is worth a second thread."""

LONGEST_TRANSFORM = 2**17
"""Longest transform whose bins fall on the points: one of points as close as one likes would fill any memory."""

BAND = 0.45
"""Half the band that the samples show, over their rate."""


@dataclass(frozen=True)
class Sweep:
    """What an analyzer is set to: `points` from `start` to `stop`, Hz, through the filter `rbw`, Hz.

    averages: traces averaged in power.
    """

    start: float
    stop: float
    points: int
    rbw: float
    averages: int

    @property
    def frequency(self) -> FloatArray:
        """The points' frequencies, (points,), Hz."""
        return np.linspace(self.start, self.stop, self.points)


@dataclass(frozen=True, eq=False)
class Sampling:
    """How a signal is sampled for a sweep.

    interval: between samples, s. window: (samples,), complex, with unit noise bandwidth. length: of the transform.
    shown: (points,), which points lie in the band that the samples show. bins: theirs in the transform. zoom: takes the
    place of the transform and its bins.
    """

    interval: float
    window: NDArray[np.complex128]
    length: int
    shown: NDArray[np.bool_]
    bins: NDArray[np.intp]
    zoom: ZoomFFT | None = None

    @property
    def samples(self) -> int:
        """Number of samples of one trace."""
        return self.window.size

    def density(self, signal: NDArray[np.complex128]) -> FloatArray:
        """Return the power density at the points shown, (traces, shown points), W/Hz.

        signal: (samples, traces), sqrt(W).
        """
        if self.zoom is not None:
            return np.abs(self.zoom(signal.T * self.window, axis=1)) ** 2
        workers = -1 if signal.size > THREADED else 1
        transform = fft(signal.T * self.window, self.length, axis=1, workers=workers, overwrite_x=True)
        return np.abs(transform[:, self.bins]) ** 2


@lru_cache
def sampling(sweep: Sweep, reference: float, longest: float) -> Sampling:
    """Return how a signal about `reference`, Hz, is sampled for `sweep`, at most `longest`, s, between samples.

    Raises ValueError for a filter too narrow to be emulated.
    """
    if sweep.rbw < NARROWEST:
        raise ValueError(f"rbw: {sweep.rbw:g} Hz is less than the {NARROWEST:g} Hz that are emulated: widen it")
    deviation = math.sqrt(math.log(2)) / (math.pi * sweep.rbw)
    window_length = 2 * CUT * deviation
    step = (sweep.stop - sweep.start) / max(1, sweep.points - 1) or sweep.rbw
    part = math.ceil(step * window_length)  # of the distance between points: that between bins
    least = part / (step * longest)
    zooms = least > LONGEST_TRANSFORM
    length = LONGEST_TRANSFORM if zooms else next_fast_len(math.ceil(least))
    interval = longest if zooms else part / (step * length)
    samples = min(length, 2 * math.ceil(window_length / 2 / interval))
    time = (np.arange(samples) - (samples - 1) / 2) * interval
    window = np.exp(-0.5 * (time / deviation) ** 2)
    window *= math.sqrt(interval / np.sum(window**2))
    offset = sweep.frequency - reference
    shown = np.abs(offset) * interval <= BAND
    if zooms and shown.any():
        several = int(shown.sum())
        zoom = ZoomFFT(samples, offset[shown][[0, -1]], several, fs=1 / interval, endpoint=several > 1)
        return Sampling(interval, window.astype(np.complex128), length, shown, np.flatnonzero(shown), zoom)
    bin_width = step / part
    first = round((sweep.start - reference) / bin_width)
    beside = sweep.start - reference - first * bin_width
    bins = (first + np.flatnonzero(shown) * part * (sweep.stop > sweep.start)) % length
    return Sampling(interval, window * np.exp(-2j * math.pi * beside * time), length, shown, bins)
