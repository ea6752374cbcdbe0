"""What an emulated analyzer makes of a signal: the filter it should have, at the points it should show."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from labneuro.simulators.receiver import NARROWEST, Sampling, Sweep, sampling

REFERENCE = 350e6
LONGEST = 4e-9
GAUSSIAN = math.sqrt(math.pi / math.log(2)) / 2
"""Noise bandwidth of a Gaussian filter over its -3 dB bandwidth."""


def tone(seen: Sampling, frequency: float) -> np.ndarray:
    """A line of 1 W, (samples, 1)."""
    return np.exp(2j * math.pi * (frequency - REFERENCE) * seen.interval * np.arange(seen.samples))[:, None]


def test_a_line_is_as_wide_as_the_filter_and_has_its_power():
    sweep, line = Sweep(340e6, 360e6, 401, 1e6, 1), 351.23e6
    seen = sampling(sweep, REFERENCE, LONGEST)
    (density,) = seen.density(tone(seen, line))
    off = sweep.frequency - line
    # The window is cut where a Gaussian has 0.2 % of its height: that raises skirts by as much, and no more.
    near = np.abs(off) < sweep.rbw
    assert density[near] == pytest.approx(2.0 ** -((2 * off[near] / sweep.rbw) ** 2) / (GAUSSIAN * sweep.rbw), rel=0.01)
    assert density[~near].max() < density.max() / 15
    assert np.sum(density) * 50e3 == pytest.approx(1.0, rel=1e-6)


def test_white_noise_shows_its_density():
    seen = sampling(Sweep(340e6, 360e6, 401, 1e6, 1), REFERENCE, LONGEST)
    assert np.sum(np.abs(seen.window) ** 2) / seen.interval == pytest.approx(1.0, rel=1e-12)
    # Noise of density N has samples of power N / interval. The mean is that of 1000 traces and some 19 filters beside
    # each other, within 5 sigma.
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=math.sqrt(0.5 / seen.interval), size=(seen.samples, 1000, 2)) @ [1, 1j]
    density = seen.density(noise).mean(axis=0)
    assert density.mean() == pytest.approx(1.0, abs=5 * 19000**-0.5)
    assert np.all(np.abs(density - 1) < 5 * 1000**-0.5)


@given(
    st.floats(-60e6, 60e6),
    st.floats(0, 400e6),
    st.integers(1, 3001),
    st.floats(math.log(NARROWEST), math.log(8e6)),
    st.floats(0, 1),
)
@example(0.0, 0.0, 1001, math.log(1e6), 0.5)  # zero span
@example(3e6, 30e6, 1, math.log(1e6), 0.0)  # one point
@example(0.0, 1.0, 1, 9.0, 0.0)  # one point, where the transform would be too long
@example(-40e6, 80e6, 2, math.log(1e5), 1.0)
@example(1e6, 10.0, 40_001, math.log(1e6), 0.3)  # points closer than any transform of a length that can be had
@settings(max_examples=40, deadline=None)
def test_whatever_the_sweep_each_point_shows_its_own_frequency(
    start: float, span: float, points: int, log_rbw: float, place: float
):
    sweep = Sweep(REFERENCE + start, REFERENCE + start + span, points, math.exp(log_rbw), 1)
    seen = sampling(sweep, REFERENCE, LONGEST)
    assert 0 < seen.interval <= LONGEST
    shown = sweep.frequency[seen.shown]
    assume(shown.size)
    point = min(int(place * shown.size), shown.size - 1)
    (density,) = seen.density(tone(seen, shown[point]))
    assert density.shape == shown.shape
    # On its frequency all samples add up; beside it some would cancel.
    assert density[point] == pytest.approx(np.sum(np.abs(seen.window)) ** 2, rel=1e-6)


def test_over_a_span_wider_than_their_band_the_samples_show_what_lies_in_it():
    sweep = Sweep(0.0, 3e9, 3001, 1e6, 1)
    shown = sweep.frequency[sampling(sweep, REFERENCE, LONGEST).shown]
    assert shown[[0, -1]].tolist() == [238e6, 462e6]  # every MHz within 350 MHz +- 0.45 / 4 ns


def test_a_filter_too_narrow_is_refused():
    with pytest.raises(ValueError, match=r"^rbw: 4000 Hz is less than the 5000 Hz that are emulated: widen it$"):
        sampling(Sweep(340e6, 360e6, 101, 4e3, 1), REFERENCE, LONGEST)
