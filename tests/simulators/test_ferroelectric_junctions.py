"""Ferroelectric tunnel junctions: nucleation-limited switching."""

import math

import numpy as np
import pytest

from labneuro.simulators import ferroelectric_junctions as ftj


def made(size=1, **figures):
    devices = ftj.draw_devices(4, size, **{"spread": 0.0} | figures)
    return devices, ftj.pristine(devices)


def half_time(devices, volts):
    return ftj.mean_time(volts, devices.activation[0], devices.imprint)


@pytest.mark.parametrize("volts", [1.0, 1.5, 2.0, 2.5])
def test_half_of_the_area_switches_in_the_mean_time(volts):
    devices, state = made()
    ftj.pulse(devices, state, [0], volts, half_time(devices, volts), 1, 0.0)
    assert state.reversed[0] == 0.5


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("volts", [1.0, 2.0, 3.0])
def test_two_pulses_are_one_of_twice_the_width(volts, sign):
    for width in (3e-9, 100e-9, 1e-5):
        devices, state = made(2)
        ftj.pulse(devices, state, [0, 1], -2.0 * sign, 30e-9, 1, 0.0)
        ftj.pulse(devices, state, [0], sign * volts, width, 1, 0.0)
        ftj.pulse(devices, state, [0], sign * volts, width, 1, 0.0)
        ftj.pulse(devices, state, [1], sign * volts, 2 * width, 1, 0.0)
        assert state.reversed[0] == pytest.approx(state.reversed[1], rel=1e-12)


def test_the_slope_at_the_mean_time_is_that_of_the_lorentzian():
    volts, ratio = 1.7, 1e-4
    devices, state = made(2)
    middle = half_time(devices, volts)
    ftj.pulse(devices, state, [0, 1], volts, middle * 10 ** np.array([-ratio, ratio]), 1, 0.0)
    slope = np.diff(state.reversed)[0] / (2 * ratio)
    assert slope == pytest.approx(1 / (math.pi * ftj.log_time_width(volts)), rel=1e-7)


def test_the_mean_time_follows_merz_and_the_stated_pulse_halves():
    devices, _ = made()
    activation = float(devices.activation[0])
    ratio = half_time(devices, 1.0) / half_time(devices, 2.0)
    assert math.log(ratio) == pytest.approx(activation * (1 - 0.5), rel=1e-12)
    assert half_time(devices, 2.0) == pytest.approx(100e-9, rel=1e-6)


def test_both_polarities_switch_alike():
    devices, up = made()
    ftj.pulse(devices, up, [0], 1.8, 40e-9, 3, 0.0)
    down = ftj.pristine(devices)
    down.reversed[:] = 1.0
    ftj.pulse(devices, down, [0], -1.8, 40e-9, 3, 0.0)
    assert down.reversed[0] == pytest.approx(1 - up.reversed[0], rel=1e-12)


def test_imprint_makes_one_polarity_the_easier():
    devices, up = made(imprint=0.3)
    ftj.pulse(devices, up, [0], 1.8, 40e-9, 1, 0.0)
    down = ftj.pristine(devices)
    down.reversed[:] = 1.0
    ftj.pulse(devices, down, [0], -1.8, 40e-9, 1, 0.0)
    assert 1 - down.reversed[0] > 1.5 * up.reversed[0]


def test_nothing_moves_below_the_threshold_or_by_waiting():
    devices, state = made()
    ftj.pulse(devices, state, [0], 2.0, 50e-9, 1, 0.0)
    before = state.reversed.copy()
    for volts in (0.1, 0.79, -0.79):
        ftj.pulse(devices, state, [0], volts, 1.0, 1000, 0.0)
    np.testing.assert_array_equal(state.reversed, before)
    assert ftj.conductance(devices, state, [0], 0.0) == ftj.conductance(devices, state, [0], 1e9)


def test_half_of_the_voltage_moves_a_neighbour_by_a_twelfth_and_a_third_by_nothing():
    devices, state = made(2)
    ftj.pulse(devices, state, [0, 1], [1.0, 2 / 3], 100e-9, 1, 0.0)
    assert state.reversed[0] == pytest.approx(0.5 - math.atan(2 / ftj.log_time_width(1.0)) / math.pi, rel=1e-6)
    assert state.reversed[1] == 0.0


def test_a_long_pulse_switches_nearly_all_of_the_area_and_its_opposite_brings_it_back():
    devices, state = made()
    ftj.pulse(devices, state, [0], 2.5, 1e-3, 1, 0.0)
    decades = math.log10(1e-3 / half_time(devices, 2.5))
    s = 0.5 + math.atan(decades / ftj.log_time_width(2.5)) / math.pi
    assert state.reversed[0] == pytest.approx(s, rel=1e-12)
    assert s > 0.95
    mean, _ = ftj.conductance(devices, state, [0], 0.0)
    assert mean[0] == pytest.approx(s * 10e-6 + (1 - s) * 0.1e-6, rel=1e-6)
    ftj.pulse(devices, state, [0], -2.5, 1e-3, 1, 0.0)
    assert state.reversed[0] < 0.05


@pytest.mark.parametrize("fraction", [0.0, 1e-300, 0.5, 1 - 2**-53, 1.0])
@pytest.mark.parametrize("times", [0.0, 1e-300, 1.0, 1e300, np.inf])
def test_switching_stays_within_bounds_at_every_extreme(fraction, times):
    after = ftj.switched(fraction, times, 0.5)
    assert 0 <= after <= 1
    assert after >= fraction


def test_waveforms_move_a_synapse_only_where_they_overlap():
    """A square and a ramp, each below threshold alone, add up to a voltage that depends on the delay."""
    times = np.arange(-900e-9, 900e-9, 10e-9)

    def waveform(t):
        high = np.where((t >= 0) & (t < 200e-9), 0.75, 0.0)
        return high + np.where((t >= 200e-9) & (t < 600e-9), -0.75 * (600e-9 - t) / 400e-9, 0.0)

    def change(pre, post):
        devices, state = made()
        state.reversed[:] = 0.5
        for volts in pre - post:
            ftj.pulse(devices, state, [0], volts, 10e-9, 1, 0.0)
        return state.reversed[0] - 0.5

    assert change(waveform(times), 0.0) == 0
    assert change(0.0, waveform(times)) == 0
    late, early = (change(waveform(times), waveform(times - delay)) for delay in (250e-9, -250e-9))
    assert late < 0 < early
    assert late == pytest.approx(-early, rel=1e-9)
    assert change(waveform(times), waveform(times - 800e-9)) == 0
