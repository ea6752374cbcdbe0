"""The noise under every emulated chip: normal, independent, and addressed by seed and lane."""

import numpy as np
from scipy import stats

from labneuro.simulators.noise import normal_pairs


def test_a_lane_hears_the_same_noise_in_any_batch():
    whole = normal_pairs(3, lanes=100, draws=50)
    for lane in (0, 31, 32, 99):
        alone = normal_pairs(3, lanes=1, draws=50, first_lane=lane)
        assert np.array_equal(alone[:, :, 0], whole[:, :, lane])


def test_seeds_and_lanes_are_independent():
    a, b = normal_pairs(0, 64, 4000), normal_pairs(1, 64, 4000)
    n = a.size
    streams = a.reshape(2, 4000, 64).transpose(2, 0, 1).reshape(64, -1)
    correlations = np.corrcoef(streams)[np.triu_indices(64, 1)] * np.sqrt(streams.shape[1])
    assert abs(np.mean(a * b)) * np.sqrt(n) < 4.5
    assert stats.kstest(correlations, "norm").pvalue > 1e-4
    assert abs(np.mean(a[:, :-1] * a[:, 1:])) * np.sqrt(n) < 4.5  # from one draw to the next
    assert abs(np.mean(a[0] * a[1])) * np.sqrt(n / 2) < 4.5  # within a pair


def test_the_noise_is_normal_to_four_standard_deviations():
    z = normal_pairs(7, lanes=1024, draws=5000).astype(np.float64).ravel()
    n = z.size  # 10 million
    assert abs(z.mean()) * np.sqrt(n) < 4.5
    assert abs(z.var() - 1) * np.sqrt(n / 2) < 4.5
    assert abs(np.mean(z**3)) / np.sqrt(15 / n) < 4.5
    assert abs(np.mean(z**4) - 3) / np.sqrt(96 / n) < 4.5
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for edge in (2.0, 3.0, 4.0):
        expected = n * 2 * stats.norm.sf(edge)
        assert abs(np.sum(np.abs(z) > edge) - expected) < 4.5 * np.sqrt(expected)


def test_pairs_point_in_every_direction_alike():
    x, y = normal_pairs(11, lanes=1024, draws=1000).astype(np.float64).reshape(2, -1)
    angle = np.arctan2(y, x)
    assert stats.kstest(angle, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-4
    radius_squared = x**2 + y**2
    assert stats.kstest(radius_squared, "expon", args=(0, 2)).pvalue > 1e-4
