"""The closed relations of the nonlinear auto-oscillator, held against its equation."""

import math

import numpy as np
import pytest
from numba import njit

from labneuro.simulators import slavin_tiberkevich as st

DAMPING = math.tau * 1e6
ZETA, Q = 1.5, 1.0
P0 = 0.2
RELAXATION = math.pi * 1e6


def power_rate(p):
    """dp/dt of the free oscillator, from the definitions of its two dampings."""
    return 2 * p * (-DAMPING * (1 + Q * p) + ZETA * DAMPING * (1 - p))


@njit
def _slope(c, shift, detuning, force):
    p = c.real**2 + c.imag**2
    return (ZETA * DAMPING * (1 - p) - DAMPING * (1 + Q * p) + 1j * (shift * (p - P0) - detuning)) * c + force


@njit
def _integrate(start, shift, detunings, force, dt, steps, states):
    """Take Runge-Kutta steps and record the last ones; the detuning goes linearly between its two rows."""
    for j in range(start.size):
        c = start[j]
        for k in range(steps):
            detuning = detunings[0, j] + (detunings[1, j] - detunings[0, j]) * k / steps
            k1 = _slope(c, shift, detuning, force)
            k2 = _slope(c + 0.5 * dt * k1, shift, detuning, force)
            k3 = _slope(c + 0.5 * dt * k2, shift, detuning, force)
            k4 = _slope(c + dt * k3, shift, detuning, force)
            c += dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if k >= steps - len(states):
                states[k - steps + len(states), j] = c


def driven(start, detunings, force, nu, *, time, since=0.9, ramped=False):
    """Drive oscillators, (lanes,); return their states, turning with the drive, after `since` of `time`."""
    shift = float(st.shift_for_nonlinearity(nu, DAMPING, ZETA, Q))
    final = np.broadcast_to(np.asarray(detunings, dtype=float), np.shape(start))
    dt = 0.02 / (RELAXATION * (1 + abs(nu)) + abs(force) / math.sqrt(P0))
    steps = math.ceil(time / dt)
    states = np.empty((steps - int(since * steps), final.size), complex)
    _integrate(start.astype(complex), shift, np.array([(1 - ramped) * final, final]), force, dt, steps, states)
    return states


def power_ripple(states):
    """Return the peak-to-peak of the power over the free power: 0 in a fixed point."""
    return np.ptp(np.abs(states) ** 2, axis=0) / P0


def slips(states):
    """Return how many turns the oscillators gained on the drive."""
    phase = np.unwrap(np.angle(states), axis=0)
    return np.abs(phase[-1] - phase[0]) / math.tau


def pulled(detunings, force, nu):
    """Return the states that oscillators, caught at zero detuning, have when the drive is slowly detuned."""
    free = np.full(len(detunings), math.sqrt(P0))
    caught = driven(free, 0.0, force, nu, time=20 / RELAXATION + 10 * math.sqrt(P0) / force)[-1]
    return driven(caught, detunings, force, nu, time=300e-6, ramped=True)[-1]


def test_the_free_power_is_where_damping_and_torque_balance():
    assert st.power(ZETA, Q) == pytest.approx(P0, rel=1e-15)
    assert power_rate(P0) == pytest.approx(0, abs=1e-9 * DAMPING)
    np.testing.assert_array_equal(st.power([0.5, 1.0], Q), 0.0)


def test_small_power_deviations_fade_at_twice_the_relaxation_rate():
    h = 1e-6
    slope = (power_rate(P0 + h) - power_rate(P0 - h)) / (2 * h)
    assert -slope == pytest.approx(2 * st.power_relaxation_rate(DAMPING, ZETA), rel=1e-6)


def test_nonlinearity_is_the_shift_over_the_relaxation():
    shift = st.shift_for_nonlinearity(3.0, DAMPING, ZETA, Q)
    assert shift * P0 / RELAXATION == pytest.approx(3.0, rel=1e-14)
    assert st.nonlinearity(shift, DAMPING, ZETA, Q) == pytest.approx(3.0, rel=1e-14)
    assert st.frequency(350e6, shift, P0) == pytest.approx(350e6 + 1.5e6, rel=1e-14)


def test_linewidth_of_the_default_vortex_oscillator():
    # Gamma_G = 2 pi 3 MHz and kT/E0 = 4.2e-3 make a linear line Gamma_G kT / (2 pi E0) = 12.6 kHz wide.
    noise = 3 * DAMPING * 4.2e-3 * P0
    assert st.linewidth(P0, 0.0, noise) == pytest.approx(12.6e3, rel=1e-12)
    assert st.linewidth(P0, 3.0, noise) == pytest.approx(126e3, rel=1e-12)
    assert st.noise_for_linewidth(126e3, P0, 3.0) == pytest.approx(noise, rel=1e-12)


@pytest.mark.parametrize("nu", [-3.0, 0.0, 4.0])
def test_a_weak_drive_locks_as_adler_says(nu):
    force = 1e-3 * RELAXATION * math.sqrt(P0)
    adler = st.adler_half_width(force, P0, nu)
    lower, upper = st.locking_range(force, P0, nu, RELAXATION)
    # the first correction is of the order of nu f / 2
    assert upper == pytest.approx(adler, rel=3e-3)
    assert -lower == pytest.approx(adler, rel=3e-3)


def test_locking_range_of_the_reference_drive():
    force = 0.02 * DAMPING * math.sqrt(P0)
    lower, upper = st.locking_range(force, P0, 4.0, RELAXATION)
    assert upper / math.tau == pytest.approx(math.sqrt(17) * 20e3, rel=0.05)
    assert -lower / math.tau == pytest.approx(math.sqrt(17) * 20e3, rel=0.05)
    assert upper < -lower  # a blue-shifting oscillator is easier to pull down


@pytest.mark.parametrize("nu", [0.0, 1.0, 3.0, -3.0])
@pytest.mark.parametrize("strength", [0.04, 0.3, 1.0, 4.0])
def test_the_equation_settles_within_the_locking_range_and_not_beyond(nu, strength):
    force = strength * RELAXATION * math.sqrt(P0)
    limits = np.array(st.locking_range(force, P0, nu, RELAXATION))
    start = pulled(0.97 * limits, force, nu)
    time = 60 / RELAXATION + 100 * math.sqrt(P0) / force
    held = driven(1.001 * start, 0.97 * limits, force, nu, time=time)
    lost = driven(1.001 * start, 1.03 * limits, force, nu, time=time, since=0.5)
    assert np.all(power_ripple(held) < 1e-4)
    assert np.all(power_ripple(lost) > 0.02)


def test_an_oscillator_is_held_farther_out_than_it_is_caught():
    force = 4.0 * RELAXATION * math.sqrt(P0)
    _, upper = st.locking_range(force, P0, 3.0, RELAXATION)
    anywhere = math.sqrt(P0) * np.exp(1j * np.linspace(0, math.tau, 16, endpoint=False))
    caught = {at: slips(driven(anywhere, at * upper, force, 3.0, time=40e-6)) < 1 for at in (0.7, 0.95)}
    assert np.all(caught[0.7])
    assert 0 < np.count_nonzero(caught[0.95]) < 16
    held = driven(pulled([0.95 * upper], force, 3.0), 0.95 * upper, force, 3.0, time=40e-6)
    assert power_ripple(held) < 1e-4


def test_beyond_its_hopf_bifurcation_a_strong_drive_still_sets_the_mean_frequency():
    force = 4.0 * RELAXATION * math.sqrt(P0)
    lower, _ = st.locking_range(force, P0, 3.0, RELAXATION)
    free = np.full(2, math.sqrt(P0))
    states = driven(free, np.array([1.05, 1.4]) * lower, force, 3.0, time=100e-6, since=0.5)
    assert np.all(power_ripple(states) > 0.1)
    followed, lost = slips(states)
    assert followed < 1
    assert lost > 10


@pytest.mark.parametrize("nu", [0.0, 1.0, 3.0, 10.0])
def test_the_force_for_a_width_gives_that_width(nu):
    for width in math.tau * np.array([1e3, 1e5, 1e6, 6e6, 11e6, 40e6]):
        force = st.force_for_locking_width(float(width), P0, nu, RELAXATION)
        lower, upper = st.locking_range(force, P0, nu, RELAXATION)
        assert upper - lower == pytest.approx(width, rel=1e-9)


def test_the_default_chip_needs_twice_adlers_force():
    width = math.tau * 11e6
    adler = 0.5 * width / st.adler_half_width(1.0, P0, 3.0)
    assert st.force_for_locking_width(width, P0, 3.0, RELAXATION) / adler == pytest.approx(1.99, abs=0.01)


@pytest.mark.parametrize(
    ("nu", "beta", "simulated"),
    [
        (0.0, 0.0, 40.1),
        (0.0, math.pi / 4, 28.4),
        (2.0, 0.0, 40.1),
        (2.0, math.pi / 2, 80.4),
        (2.0, -math.atan(2), 89.9),
        (4.0, 0.0, 40.1),
        (4.0, math.pi / 2, 160.3),
        (4.0, -math.atan(4), 165.3),
    ],
)
def test_mutual_range_matches_simulated_pairs(nu, beta, simulated):
    # kHz, from integrations of two coupled Slavin-Tiberkevich oscillators at Omega = 2 pi 20 kHz
    assert st.mutual_half_range(math.tau * 20e3, nu, beta) / math.tau == pytest.approx(simulated * 1e3, rel=0.02)


def test_a_quarter_turn_uncouples_linear_oscillators():
    assert st.mutual_half_range(math.tau * 20e3, 0.0, math.pi / 2) == pytest.approx(0, abs=1e-9)


def test_impossible_requests_say_what_to_do():
    with pytest.raises(ValueError, match="current above threshold"):
        st.locking_range(1e5, 0.0, 3.0, -1e5)
    with pytest.raises(ValueError, match="current above threshold"):
        st.force_for_locking_width(1e5, 0.0, 3.0, 0.0)
    with pytest.raises(ValueError, match="positive, finite width"):
        st.force_for_locking_width(0.0, P0, 3.0, RELAXATION)
