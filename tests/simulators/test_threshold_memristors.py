"""Threshold memristors: closed forms, pinched loops, and no motion below the thresholds."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labneuro.simulators.threshold_memristors import (
    YAKOPCIC,
    DataDriven,
    StanfordPku,
    Vteam,
    data_driven_states,
    stanford_pku_current,
    stanford_pku_states,
    vteam_current,
    vteam_states,
    yakopcic_current,
    yakopcic_states,
)


def drive(states, start, voltages, duration, p):
    """State of one device after each voltage."""
    return states(np.array([start]), np.asarray(voltages, float)[:, None], duration, p)[:, 0]


def test_vteam_crosses_in_the_time_of_the_closed_form():
    p = Vteam()
    crossing = p.d / (p.k_off * (1 / p.v_off - 1))
    assert crossing == pytest.approx(122.4e-9, rel=1e-3)
    half = drive(vteam_states, 0.0, [1.0], crossing / 2, p)[0]
    assert half == pytest.approx(p.d / 2, rel=1e-9)
    assert drive(vteam_states, 0.0, [1.0], crossing * (1 + 1e-9), p)[0] == p.d
    assert drive(vteam_states, p.d, [-1.0], 2e-12, p)[0] == pytest.approx(p.d - 640 * 2e-12, rel=1e-9)
    assert drive(vteam_states, p.d, [-1.0], 4.7e-12, p)[0] == 0.0
    assert vteam_current(p.d / 2, 0.1, p) == pytest.approx(0.1 / 525)


def test_many_short_pulses_move_vteam_as_one_long_pulse():
    p = Vteam()
    assert drive(vteam_states, 0.0, np.ones(100), 1e-9, p)[-1] == pytest.approx(
        drive(vteam_states, 0.0, [1.0], 1e-7, p)[0], rel=1e-12
    )


@pytest.mark.parametrize(
    ("states", "start", "inside", "p"),
    [
        (vteam_states, 1.234567e-9, (-0.2, -0.1, 0.0, 0.02), Vteam()),
        (yakopcic_states, 0.1234567, (-0.15, 0.0, 0.16), YAKOPCIC["Oblea"]),
        (data_driven_states, 6543.21, (0.0,), DataDriven()),
        (stanford_pku_states, 1.234567e-9, (0.0,), StanfordPku()),
    ],
)
def test_below_the_thresholds_the_state_is_the_same_to_the_last_bit(states, start, inside, p):
    assert (drive(states, start, inside, 1.0, p) == start).all()


@pytest.mark.parametrize(
    ("name", "start", "high", "low", "period"),
    [("Oblea", 0.11, 0.45, -0.45, 0.01), ("Miao", 0.1, 0.75, -1.25, 20.0), ("Jo", 0.05, 4.0, -2.0, 5.0)],
)
def test_yakopcic_loops_are_pinched_and_monotone_in_each_half_cycle(name, start, high, low, period):
    p, n = YAKOPCIC[name], 500
    phase = np.sin(2 * np.pi * np.arange(2 * n + 1) / (2 * n))
    phase[[0, n, 2 * n]] = 0.0
    voltage = np.where(phase > 0, high, -low) * phase
    x = drive(yakopcic_states, start, voltage, period / (2 * n), p)
    current = yakopcic_current(x, voltage, p)
    assert (current[[0, n, 2 * n]] == 0).all()
    assert (np.diff(x[: n + 1]) >= 0).all()
    assert (np.diff(x[n:]) <= 0).all()
    assert x[n] - x[0] > 0.005
    assert ((x >= 0) & (x <= 1)).all()
    quarter = n // 4
    assert current[n - quarter] > 1.01 * current[quarter]  # the way back is higher: the loop is open


def test_yakopcic_moves_at_constant_speed_before_the_window_and_as_the_equation_in_it():
    p = YAKOPCIC["Oblea"]
    speed = p.a_p * (math.exp(0.3) - math.exp(p.v_p))
    assert drive(yakopcic_states, 0.1, [0.3], 0.1 / speed, p)[0] == pytest.approx(0.2, rel=1e-12)

    def window(_, x):
        return speed * np.exp(-p.alpha_p * (x - p.x_p)) * ((p.x_p - x) / (1 - p.x_p) + 1)

    exact = solve_ivp(window, (0, 1 / speed), [p.x_p], rtol=1e-10, atol=1e-12).y[0, -1]
    assert drive(yakopcic_states, p.x_p, [0.3], 1 / speed, p)[0] == pytest.approx(exact, rel=1e-8)
    assert drive(yakopcic_states, 0.5, [0.45], 1e6, p)[0] == pytest.approx(1.0, abs=1e-9)


def test_stanford_pku_gap_follows_its_equation():
    p = StanfordPku()

    def speed(_, gap):
        current = p.i0 * math.exp(-gap[0] / p.g0) * math.sinh(1.2 / p.v0)
        thermal = 1.380649e-23 * (p.t0 + 1.2 * current * p.r_th) / 1.602176634e-19
        gamma = p.gamma0 - p.beta * (gap[0] / 1e-9) ** 3
        return [-p.velocity * math.exp(-p.e_a / thermal) * math.sinh(gamma * p.a0 * 1.2 / (p.t_ox * thermal))]

    start, rate = 1.2e-9, abs(speed(0, [1.2e-9])[0])
    time = 0.1e-9 / rate  # long enough for a substantial part of the gap at the first speed
    exact = solve_ivp(speed, (0, time), [start], rtol=1e-9, atol=1e-16, method="LSODA").y[0, -1]
    assert start - exact > 0.05e-9
    assert drive(stanford_pku_states, start, [1.2], time, p)[0] == pytest.approx(max(exact, p.g_min), rel=1e-4)
    assert drive(stanford_pku_states, 0.5e-9, [-1.2], 1e3, p)[0] == p.g_max
    assert drive(stanford_pku_states, 0.5e-9, [1.2], 1e3, p)[0] == p.g_min
    assert stanford_pku_current(0.5e-9, 0.0, p) == 0.0


def test_the_data_driven_resistance_has_the_closed_form_in_one_pulse_or_a_hundred():
    p = DataDriven()
    rate, target = p.a_p * (math.exp(1 / p.t_p) - 1), 9500.0
    time = ((target - 6500) / (target - 8000) - 1) / (rate * (target - 6500))
    assert time == pytest.approx(37.12e-6, rel=1e-3)
    assert drive(data_driven_states, 6500.0, [1.0], time, p)[0] == pytest.approx(8000.0, rel=1e-9)
    assert drive(data_driven_states, 6500.0, np.ones(100), time / 100, p)[-1] == pytest.approx(8000.0, rel=1e-6)
    exact = solve_ivp(
        lambda _, r: p.a_n * (math.exp(2 / p.t_n) - 1) * (p.a0_n - 2 * p.a1_n - r) ** 2,
        (0, 1e-5),
        [8000.0],
        rtol=1e-9,
    ).y[0, -1]
    assert exact < 7500
    assert drive(data_driven_states, 8000.0, [-2.0], 1e-5, p)[0] == pytest.approx(exact, rel=1e-6)


def test_the_data_driven_resistance_never_passes_where_its_voltage_pulls_it():
    p = DataDriven()
    assert drive(data_driven_states, 6000.0, [1.0], 1.0, p)[0] == pytest.approx(9500.0, abs=1.0)
    assert drive(data_driven_states, 9600.0, [1.0], 1.0, p)[0] == 9600.0
    assert drive(data_driven_states, 4000.0, [-1.0], 1.0, p)[0] == 4000.0
