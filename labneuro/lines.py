"""Emission lines in a spectrum: find them and fit them, as at the analyzer.

A line is a Lorentzian seen through the analyzer's Gaussian resolution filter, a Voigt profile whose Gaussian width is
known, so the fit returns the width of the line itself, also where it is narrower than the filter.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import find_peaks
from scipy.special import wofz

from labneuro.signals import Spectrum
from labneuro.units import FloatArray

PROMINENCE = 10.0
"""How far, in dB, a peak stands above its surroundings to be taken for a line."""

CORE = 1.25
"""Half the width fitted around each peak, in resolution bandwidths. The wings are left out: beyond the relaxation rate
of its amplitude an auto-oscillator's line falls faster than a Lorentzian, by 1 + nu^2 in the end."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Fitted lines in ascending frequency; every array (lines,).

    frequency: Hz. power: W under the line. linewidth: full width at half maximum, Hz. frequency_error,
    linewidth_error: standard deviations, Hz, from the scatter that the number of averages leaves.
    """

    frequency: FloatArray
    power: FloatArray
    linewidth: FloatArray
    frequency_error: FloatArray
    linewidth_error: FloatArray

    def __len__(self) -> int:
        return self.frequency.size


def smoothed(density: FloatArray, spacing: float, width: float) -> FloatArray:
    """Return `density`, (..., bins), averaged over about `width`, both it and the bins' `spacing` in Hz."""
    bins = max(1, 2 * round(width / spacing / 2) + 1)
    if bins == 1:
        return density
    edges = np.concatenate(
        [
            np.repeat(density[..., :1], bins // 2 + 1, -1),
            density,
            np.repeat(density[..., -1:], bins // 2, -1),
        ],
        -1,
    )
    total = np.cumsum(edges, axis=-1)
    return (total[..., bins:] - total[..., :-bins]) / bins


def find_lines(spectrum: Spectrum, count: int | None = None) -> Lines:
    """Return the lines of one trace, the `count` strongest or all that stand 10 dB above their surroundings.

    Fewer than `count` are returned where fewer are there. Raises ValueError for a batch of traces.
    """
    if spectrum.density.ndim != 1:
        raise ValueError(f"find_lines takes one trace, not {spectrum.density.shape[0]}: index the batch")
    frequency = spectrum.frequency
    spacing = float(frequency[1] - frequency[0])
    level = 10 * np.log10(np.maximum(smoothed(spectrum.density, spacing, spectrum.rbw), 1e-30))
    found = find_peaks(level, prominence=PROMINENCE, distance=max(1, round(2 * spectrum.rbw / spacing)))
    peaks = cast("Any", found[0])
    strongest = peaks[np.argsort(level[peaks])[::-1]]
    chosen = np.sort(strongest[:count] if count is not None else strongest)
    return _fit(spectrum, chosen, float(10 ** (np.percentile(level, 5) / 10)))


def _voigt(
    frequency: FloatArray, center: FloatArray, half_width: FloatArray, rbw: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return unit-area Voigt profiles, (lines, bins), and their derivatives by center and by half width, 1/Hz."""
    sigma = rbw / (2 * math.sqrt(2 * math.log(2)))
    z = (frequency - center[:, None] + 1j * half_width[:, None]) / (sigma * math.sqrt(2))
    w = cast("Any", wofz(z))
    scale = 1 / (sigma * math.sqrt(2 * math.pi))
    slope = (-2 * z * w + 2j / math.sqrt(math.pi)) * scale / (sigma * math.sqrt(2))
    return w.real * scale, -slope.real, -slope.imag


def _fit(spectrum: Spectrum, peaks: Any, floor: float) -> Lines:
    """Fit the logarithm of the trace, whose scatter is the same everywhere, by lines on a known floor.

    The logarithm of a mean of k exponential variates lies 1/2k below that of their expectation.
    """
    n = len(peaks)
    if n == 0:
        empty = np.empty(0)
        return Lines(empty, empty, empty, empty, empty)
    rbw, spacing = spectrum.rbw, float(spectrum.frequency[1] - spectrum.frequency[0])
    core = np.any(np.abs(spectrum.frequency - spectrum.frequency[peaks][:, None]) <= CORE * rbw, axis=0)
    frequency = spectrum.frequency[core]
    measured = np.log(np.maximum(spectrum.density[core], 1e-30)) + 1 / (2 * spectrum.averages)
    width = np.full(n, 0.25 * rbw)
    start = np.concatenate(
        [
            (spectrum.frequency[peaks] - frequency[0]) / rbw,
            np.log(spectrum.density[peaks] / _voigt(frequency[:1], frequency[:1].repeat(n), width, rbw)[0][:, 0]),
            np.log(width),
        ]
    )

    def model(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        center, power, half = x[:n] * rbw + frequency[0], np.exp(x[n : 2 * n]), np.exp(x[2 * n : 3 * n])
        profile, by_center, by_half = _voigt(frequency, center, half, rbw)
        total = power @ profile + floor
        rows = np.concatenate(
            [
                by_center * (power * rbw)[:, None],
                profile * power[:, None],
                by_half * (power * half)[:, None],
            ]
        )
        return np.log(total), (rows / total).T

    near = np.concatenate([np.full(n, 5.0), np.full(2 * n, 7.0)])

    def residual(x: FloatArray) -> FloatArray:
        return model(x)[0] - measured

    def jacobian(x: FloatArray) -> FloatArray:
        return model(x)[1]

    fit = cast(
        "Any",
        least_squares(
            residual, start, jac=cast("Any", jacobian), bounds=(start - near, start + near), xtol=1e-6, ftol=1e-6
        ),
    )
    x = fit.x
    # Neighbouring bins share the resolution filter: only one in rbw/spacing is new.
    repeats = max(1.0, 1.06 * rbw / spacing)
    slopes: FloatArray = fit.jac
    covariance: FloatArray = np.linalg.pinv(slopes.T @ slopes) * repeats / spectrum.averages
    error = np.sqrt(np.diag(covariance))
    order = np.argsort(x[:n])
    linewidth = 2 * np.exp(x[2 * n : 3 * n])
    return Lines(
        (x[:n] * rbw + frequency[0])[order],
        np.exp(x[n : 2 * n])[order],
        linewidth[order],
        (error[:n] * rbw)[order],
        (error[2 * n : 3 * n] * linewidth)[order],
    )
