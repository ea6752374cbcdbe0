"""A transfer leaves the weight as it was, and inverting the polarity cancels what a fine device does wrong."""

import numpy as np
import pytest

from labneuro.learning.significant_pairs import SignificantPairs


@pytest.mark.parametrize("miss", [0.0, 0.3e-6])
def test_a_transfer_leaves_the_weights_as_they_were(miss: float) -> None:
    rng = np.random.default_rng(0)
    rule, coarse, fine = SignificantPairs(3.0), rng.normal(0, 5e-6, (4, 3)), rng.normal(0, 5e-6, (4, 3))
    for _ in range(3):
        weights = rule.weights(coarse, fine)
        coarse = rule.coarse_target(weights) + miss * rng.standard_normal((4, 3))  # as it was written
        fine = rule.invert(weights, coarse)
        np.testing.assert_allclose(rule.weights(coarse, fine), weights, rtol=1e-12)
        assert np.abs(fine).max() <= 3 * 4 * miss + 1e-18  # nothing is left for it but what writing missed


def test_a_change_of_the_weight_is_a_change_of_the_fine_pair_with_the_polarity() -> None:
    rule, coarse, fine = SignificantPairs(2.0), np.array([4e-6]), np.array([1e-6])
    for _ in range(2):
        before = rule.weights(coarse, fine)
        fine = fine + rule.fine_change(np.array([0.5e-6]))
        np.testing.assert_allclose(rule.weights(coarse, fine) - before, 0.5e-6)
        fine = rule.invert(rule.weights(coarse, fine), coarse)


@pytest.mark.parametrize("inverted", [True, False])
def test_inversion_cancels_the_asymmetry_of_the_fine_devices(inverted: bool) -> None:
    """As many steps up as down: the weight should stay. Capacitors go up by 1 + a, down by 1 - a, a fixed for each."""
    rng = np.random.default_rng(1)
    asymmetry = rng.normal(0, 0.1, 1000)
    rule, coarse = SignificantPairs(3.0), np.zeros(1000)
    for _ in range(10):
        fine = np.zeros(1000)
        for _ in range(50):
            for wanted in (1.0, -1.0):
                change = rule.fine_change(np.full(1000, wanted))
                fine += change * (1 + asymmetry * np.sign(change))
        weights = rule.weights(coarse, fine)
        coarse = rule.coarse_target(weights)
        if inverted:
            rule.invert(weights, coarse)
    drift = rule.weights(coarse, np.zeros(1000))
    np.testing.assert_allclose(drift, 0.0 if inverted else 10 * 2 * 50 * asymmetry, atol=1e-9)


def test_a_factor_must_be_positive() -> None:
    with pytest.raises(ValueError, match="factor is -3"):
        SignificantPairs(-3.0)
