"""Lines are found where they are and fitted to what they are, through the analyzer's filter and its scatter."""

import numpy as np
import pytest
from scipy.special import voigt_profile

from labneuro.lines import find_lines
from labneuro.signals import Spectrum

RBW = 200e3
FREQUENCY = np.arange(320e6, 380e6, 40e3)


def spectrum(lines: list[tuple[float, float, float]], averages: int = 100, seed: int = 0) -> Spectrum:
    """Lines of (frequency, power, linewidth) on a floor, as an analyzer averages them: gamma-distributed."""
    sigma = RBW / (2 * np.sqrt(2 * np.log(2)))
    density = np.full(FREQUENCY.size, 1e-16)
    for center, power, width in lines:
        density += power * voigt_profile(FREQUENCY - center, sigma, width / 2)
    rng = np.random.default_rng(seed)
    return Spectrum(FREQUENCY, density * rng.gamma(averages, 1 / averages, FREQUENCY.size), RBW, averages)


def test_lines_come_back_with_frequency_power_and_linewidth():
    truth = [(332.0123e6, 2e-6, 100e3), (344e6, 1.5e-6, 300e3), (356.5e6, 2.5e-6, 60e3)]
    lines = find_lines(spectrum(truth, averages=10_000))
    assert lines.frequency == pytest.approx([f for f, _, _ in truth], abs=3e3)
    assert lines.power == pytest.approx([p for _, p, _ in truth], rel=0.02)
    assert lines.linewidth == pytest.approx([w for _, _, w in truth], rel=0.05)


def test_errors_say_how_far_off_the_fit_is():
    truth = (350e6, 2e-6, 100e3)
    fits = [find_lines(spectrum([truth], averages=400, seed=k)) for k in range(100)]
    for name, value in (("frequency", truth[0]), ("linewidth", truth[2])):
        scatter = np.std([getattr(fit, name)[0] - value for fit in fits])
        claimed = np.mean([getattr(fit, f"{name}_error")[0] for fit in fits])
        # Bins are independent here, while the error counts those within the filter as one.
        repeats = np.sqrt(1.06 * RBW / 40e3)
        assert scatter == pytest.approx(claimed / repeats, rel=0.25)


def test_only_the_strongest_are_returned_when_a_number_is_asked_for():
    lines = find_lines(spectrum([(330e6, 1e-6, 1e5), (340e6, 3e-6, 1e5), (350e6, 2e-6, 1e5)]), 2)
    assert lines.frequency == pytest.approx([340e6, 350e6], abs=20e3)


def test_a_floor_has_no_lines():
    assert len(find_lines(spectrum([]))) == 0


def test_a_batch_is_refused():
    one = spectrum([(350e6, 2e-6, 1e5)])
    batch = Spectrum(one.frequency, np.stack([one.density, one.density]), RBW, 100)
    with pytest.raises(ValueError, match="index the batch"):
        find_lines(batch)
    assert len(find_lines(batch[1])) == 1
