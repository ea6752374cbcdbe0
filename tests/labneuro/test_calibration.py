"""Tuning curves and locked ranges."""

import math

import numpy as np
import pytest

from labneuro.calibration import Calibration, FreeRunning, locked_range

CURRENTS = np.linspace(4e-3, 8e-3, 9)


def rows(missing: int = 0) -> list[FreeRunning]:
    """Two oscillators, 340 and 352 MHz at 6 mA, 6 and 7 MHz/mA; the second has no line at its `missing` lowest."""
    result: list[FreeRunning] = []
    for k, current in enumerate(CURRENTS):
        frequency = np.array([340e6, 352e6]) + np.array([6e9, 7e9]) * (current - 6e-3)
        power = np.array([2e-6, 2.5e-6])
        if k < missing:
            frequency[1] = power[1] = np.nan
        result.append(FreeRunning(np.full(2, current), frequency, power, np.full(2, 1e5), np.full(2, 1e3)))
    return result


def test_a_calibration_gives_back_what_was_measured_and_its_inverse():
    calibration = Calibration.fit(rows())
    currents = np.array([5.3e-3, 7.1e-3])
    frequency = calibration.frequency(currents)
    assert frequency == pytest.approx([335.8e6, 359.7e6], rel=1e-9)
    assert calibration.slope(currents) == pytest.approx([6e9, 7e9], rel=1e-6)
    assert calibration.current(frequency) == pytest.approx(currents, rel=1e-9)
    assert calibration.power(currents) == pytest.approx([2e-6, 2.5e-6], rel=1e-9)


def test_a_frequency_out_of_reach_has_no_current():
    assert np.isnan(Calibration.fit(rows()).current(np.array([340e6, 400e6]))).tolist() == [False, True]


def test_nothing_is_known_of_currents_at_which_an_oscillator_was_not_seen():
    calibration = Calibration.fit(rows(missing=3))
    assert calibration.low == pytest.approx([4e-3, 5.5e-3])
    with pytest.raises(ValueError, match=r"oscillator 2 was not calibrated at 5 mA, only from 5\.5 to 8 mA"):
        calibration.frequency(np.array([5e-3, 5e-3]))


def test_an_oscillator_seen_too_rarely_is_named():
    with pytest.raises(ValueError, match="oscillator 2 showed a line at only 3 of 9 currents"):
        Calibration.fit(rows(missing=6))


def test_a_locked_range_ends_half_way_between_points():
    frequency = np.arange(10.0)
    locked = np.isin(frequency, [3, 4, 5, 8])
    assert locked_range(frequency, locked, 4.4) == (2.5, 5.5)
    assert locked_range(frequency, locked, 9.0) == (7.5, 8.5)
    assert locked_range(frequency, np.ones(10, np.bool_), 4.0) == (0.0, 9.0)
    assert all(math.isnan(end) for end in locked_range(frequency, np.zeros(10, np.bool_), 4.0))
