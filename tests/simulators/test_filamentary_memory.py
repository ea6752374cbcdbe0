"""Filamentary memory: how devices SET and RESET, and what they forget."""

import numpy as np
import pytest

from labneuro.simulators import filamentary_memory as hfo2

SIZE = 40_000
WHICH = np.arange(SIZE)
SET, RESET = (1.2, 100e-9), (-1.2, 100e-9)


def made(**figures):
    devices = hfo2.draw_devices(3, SIZE, **figures)
    return devices, hfo2.pristine(devices)


def test_devices_differ_as_fitted():
    devices, _ = made()
    for medians, mean, sd in (
        (devices.low_resistance, 3.04e-4, 3.86e-5),
        (devices.high_resistance, 1.19e-5, 1.67e-5),
    ):
        variance = np.log1p((sd / mean) ** 2)
        logs = np.log(medians.astype(np.float64))
        assert logs.mean() == pytest.approx(np.log(mean) - variance / 2, abs=4.5 * np.sqrt(variance / SIZE))
        assert logs.var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / SIZE))
    assert np.median(devices.set_probability) == pytest.approx(0.843, abs=0.006)
    assert np.median(devices.reset_probability) == pytest.approx(0.992, abs=3e-4)


def test_successful_pulses_are_as_frequent_as_fitted():
    devices, state = made(spread=0.0)
    for pulse, probability in ((SET, 0.843), (RESET, 0.992)):
        before = state.conductance.copy()
        hfo2.pulse(devices, state, WHICH, *pulse, 1, 0.0)
        moved = np.mean(state.conductance != before)
        assert moved == pytest.approx(probability, abs=4.5 * np.sqrt(probability * (1 - probability) / SIZE))


def test_cycles_spread_as_fitted():
    assert hfo2.low_resistance_sigma(304e-6) == pytest.approx(0.053, abs=5e-4)
    assert hfo2.high_resistance_sigma(11.9e-6) == pytest.approx(0.444, abs=5e-4)
    devices, state = made(spread=0.0)
    for pulse, median, sigma in ((SET, 304e-6, 0.0531), (RESET, 11.9e-6, 0.4443)):
        hfo2.pulse(devices, state, WHICH, *pulse, 10, 0.0)
        logs = np.log(state.conductance)
        assert logs.mean() == pytest.approx(np.log(median), abs=4.5 * sigma / np.sqrt(SIZE))
        assert logs.std() == pytest.approx(sigma, rel=0.02)


def test_compliance_sets_the_low_resistance_and_its_spread():
    devices, state = made(spread=0.0)
    spreads = []
    for compliance in (150e-6, 200e-6, 300e-6):
        hfo2.pulse(devices, state, WHICH, *SET, 10, 0.0, compliance=compliance)
        assert np.median(state.conductance) == pytest.approx(compliance * 3.04, rel=5e-3)
        spreads.append(np.log(state.conductance).std())
    assert spreads[0] > spreads[1] > spreads[2]


def test_a_stronger_reset_leaves_a_higher_resistance():
    devices, state = made(spread=0.0)
    medians = []
    for volts in (-1.2, -1.35, -1.5):
        hfo2.pulse(devices, state, WHICH, volts, 100e-9, 5, 0.0)
        medians.append(np.median(state.conductance))
    assert medians[0] > medians[1] > medians[2]


def test_half_the_voltage_disturbs_rarely_and_a_read_hardly_ever():
    devices, state = made()
    hfo2.pulse(devices, state, WHICH, *SET, 20, 0.0)
    before = state.conductance.copy()
    hfo2.pulse(devices, state, WHICH, 0.2, 1e-6, 20, 0.0)
    np.testing.assert_array_equal(state.conductance, before)
    hfo2.pulse(devices, state, WHICH, -0.6, 100e-9, 200, 0.0)
    hazard = -np.log1p(-devices.reset_probability.astype(np.float64)) * np.exp(-0.6 / 0.04) * 200
    disturbed = np.sum(state.conductance != before)
    expected = np.sum(-np.expm1(-hazard))
    assert expected > 10
    assert disturbed == pytest.approx(expected, abs=4.5 * np.sqrt(expected))


def test_probability_falls_with_width_as_independent_tries():
    devices, state = made(spread=0.0)
    before = state.conductance.copy()
    hfo2.pulse(devices, state, WHICH, 1.2, 25e-9, 1, 0.0)
    probability = 1 - (1 - 0.843) ** 0.25
    assert np.mean(state.conductance != before) == pytest.approx(probability, abs=4.5 * 0.5 / np.sqrt(SIZE))


def test_relaxation_agrees_with_the_fits_at_a_second_a_day_and_two():
    x = np.linspace(0, 1, 41)
    second, day, two_days = (
        np.polynomial.polynomial.polyval(x, c)
        for c in (
            [0.348, 16.030, -43.853, 45.393, -16.815],
            [0.701, 22.086, -50.773, 47.095, -16.458],
            [0.782, 20.274, -43.507, 37.062, -11.934],
        )
    )
    assert np.all(hfo2.relaxation_sigma(x * 40e-6, 1.0) == 0)
    since_a_second = hfo2.relaxation_sigma(x * 40e-6, 86400.0) * 1e6
    np.testing.assert_allclose(np.hypot(second, since_a_second), day)
    # The law of log t between the first two foretells the third.
    foretold = np.hypot(second, hfo2.relaxation_sigma(x * 40e-6, 172800.0) * 1e6)
    np.testing.assert_allclose(foretold, two_days, rtol=0, atol=0.15)  # µS; they differ by 0.13 at most


def test_a_device_relaxes_smoothly_and_a_new_pulse_starts_anew():
    devices, state = made(spread=0.0)
    hfo2.pulse(devices, state, WHICH, *RESET, 5, 100.0)
    written = state.conductance.copy()
    np.testing.assert_array_equal(hfo2.conductance(devices, state, WHICH, 101.0)[0], written)
    hour, _ = hfo2.conductance(devices, state, WHICH, 3700.0)
    day, _ = hfo2.conductance(devices, state, WHICH, 86500.0)
    moved = (day > 0) & (hour > 0)
    assert np.corrcoef((hour - written)[moved], (day - written)[moved])[0, 1] > 0.95
    assert np.all(day >= 0)
    hfo2.pulse(devices, state, WHICH, *RESET, 5, 86500.0)
    np.testing.assert_array_equal(hfo2.conductance(devices, state, WHICH, 86500.0)[0], state.conductance)


def test_a_compliance_that_is_no_current_is_refused():
    devices, state = made()
    with pytest.raises(ValueError, match="compliance: 0 A: give a positive current"):
        hfo2.pulse(devices, state, [0], *SET, 1, 0.0, compliance=0.0)
