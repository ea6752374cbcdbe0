"""Phase oscillators: Adler's beat, locked pairs, the transition of Kuramoto, noise, reproducibility."""

import math

import numba
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labneuro.simulators import phases
from labneuro.simulators import slavin_tiberkevich as st


@pytest.mark.parametrize("tone_rate", [0.0, 5.0])
def test_an_unlocked_oscillator_beats_at_adlers_rate(tone_rate):
    force = 1.0
    detuning = np.array([-3.0, -1.05, 1.05, 1.5, 5.0])
    beat = np.sqrt(detuning**2 - force**2)
    for k in range(len(detuning)):
        # in one period of the beat, from wherever, the phase slips by exactly one turn
        steps = 4000
        path = phases.trajectories(
            np.linspace(0, 6, 7)[None],
            tone_rate + detuning[k],
            0.0,
            dt=math.tau / beat[k] / steps,
            steps=steps,
            every=steps,
            tone_rate=[[tone_rate]],
            tone_force=np.full((1, 1, 1), force),
        )
        slip = path[-1] - path[0] - tone_rate * math.tau / beat[k]
        np.testing.assert_allclose(slip, math.copysign(math.tau, detuning[k]), atol=1e-6)


def test_a_locked_oscillator_leads_its_tone_by_the_arcsine():
    detuning = np.array([-0.99, -0.5, 0.0, 0.9])
    lag = 0.4
    path = phases.trajectories(
        np.zeros((1, 4)),
        detuning,
        0.0,
        dt=0.05,
        steps=4000,
        every=2000,
        tone_rate=[[0.0]],
        tone_force=np.full((1, 1, 1), np.exp(1j * lag)),
    )
    np.testing.assert_allclose(path[-1, 0], lag + np.arcsin(detuning), atol=1e-9)


def test_pairs_lock_within_twice_the_coupling():
    coupling = 1e6  # Hz
    difference = np.array([0.99, 1.01, -0.99, -1.01]) * 2 * coupling
    rate = math.tau * np.stack([0.5 * difference, -0.5 * difference])
    path = phases.trajectories(np.zeros((2, 4)), rate, math.tau * coupling, dt=1e-8, steps=4000, every=1000)
    slips = np.abs(path[-1, 0] - path[-1, 1]) > math.tau
    np.testing.assert_array_equal(slips, [False, True, False, True])


@pytest.mark.parametrize(("nu", "beta"), [(0, 0), (2, math.pi / 2), (4, -math.atan(4)), (3, 2.0), (-2, 0.3)])
def test_reduced_pairs_lock_over_the_mutual_range(nu, beta):
    omega = 1.0
    edge = float(st.mutual_half_range(omega, nu, beta))
    difference = np.array([0.99, 1.01]) * edge
    path = phases.trajectories(
        np.zeros((2, 2)),
        np.stack([difference, np.zeros(2)]),
        omega * np.exp(1j * beta) * (1 + 1j * nu),
        dt=0.02 / edge,
        steps=5000,
        every=5000,
    )
    slips = np.abs(path[-1, 0] - path[-1, 1]) > math.tau
    np.testing.assert_array_equal(slips, [False, True])


def test_order_parameter_of_kuramotos_model():
    """r = sqrt(1 - 2 gamma / K) for a Lorentzian of half width gamma; no order below K = 2 gamma.

    The frequencies are the quantiles of the Lorentzian and the phases a golden-ratio sequence: nothing is drawn,
    so the sample has no fluctuation of its own, and r starts at 1e-4: the order seen has grown by itself.
    """
    n = 2000
    coupling = np.array([1.0, 1.5, 2.5, 3.0, 4.0, 6.0])
    rate = np.tan(math.pi * ((np.arange(n) + 0.5) / n - 0.5))
    start = np.repeat(math.tau * np.arange(n)[:, None] * (math.sqrt(5) - 1) / 2, coupling.size, axis=1)
    path = phases.trajectories(start, rate[:, None], coupling / n, dt=0.02, steps=4000, every=50)
    order = phases.order_parameter(path)
    assert order.shape == (81, 6)
    assert np.all(order[0] < 1e-3)
    settled = order[60:].mean(axis=0)
    np.testing.assert_allclose(settled[2:], np.sqrt(1 - 2 / coupling[2:]), atol=0.02)
    assert np.all(settled[:2] < 0.02)


def test_the_mean_field_is_the_sum_over_pairs():
    """Differing couplings, two tones with their own force on each oscillator, against the plain double sum."""
    rng = np.random.default_rng(3)
    n, tones = 5, 2
    start, rate = rng.uniform(-3, 3, n), rng.normal(size=n)
    coupling = rng.normal(size=n) + 1j * rng.normal(size=n)
    tone_rate = rng.normal(size=tones)
    force = rng.normal(size=(tones, n)) + 1j * rng.normal(size=(tones, n))

    def slope(t, phi):
        pull = np.array(rate)
        for i in range(n):
            for j in range(n):
                if j != i:
                    pull[i] += abs(coupling[i]) * np.sin(phi[j] - phi[i] + np.angle(coupling[i]))
            for m in range(tones):
                pull[i] += abs(force[m, i]) * np.sin(tone_rate[m] * t + np.angle(force[m, i]) - phi[i])
        return pull

    exact = solve_ivp(slope, (0, 4), start, method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    path = phases.trajectories(
        start[:, None],
        rate[:, None],
        coupling[:, None],
        dt=1e-3,
        steps=4000,
        every=4000,
        tone_rate=tone_rate[:, None],
        tone_force=force[:, :, None],
    )
    np.testing.assert_allclose(path[-1, :, 0], exact, atol=1e-8)


def test_free_phases_diffuse():
    n, batch, steps = 3, 20_000, 40
    dt, diffusion = 0.1, np.array([[0.5], [0.0], [2.0]])
    path = phases.trajectories(np.ones((n, batch)), 0.3, 0.0, dt=dt, steps=steps, diffusion=diffusion, seed=4)
    walk = path[-1] - 1 - 0.3 * steps * dt
    # the relative standard error of a variance from 20000 walks is 1 %
    np.testing.assert_allclose(walk.var(axis=1), 2 * diffusion[:, 0] * steps * dt, rtol=0.05)
    assert np.all(np.abs(walk.mean(axis=1)) < 1e-12 + 4 * np.sqrt(2 * diffusion[:, 0] * steps * dt / batch))
    kicks = np.diff(path, axis=0)
    strangers = [(kicks[0, 0], kicks[0, 2]), (kicks[0, 0], kicks[1, 0]), (kicks[0, 0, :-1], kicks[0, 0, 1:])]
    for one, other in strangers:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(batch)


def test_all_oscillators_of_a_lane_hear_their_own_noise():
    path = phases.trajectories(np.zeros((41, 1)), 0.0, 0.0, dt=1.0, steps=2000, diffusion=0.5, seed=1)
    kicks = np.diff(path[:, :, 0], axis=0)
    correlation = np.corrcoef(kicks.T) - np.eye(41)
    assert np.abs(correlation).max() < 5.5 / math.sqrt(2000)
    np.testing.assert_allclose(kicks.var(axis=0), 1.0, atol=5 * math.sqrt(2 / 2000))


def test_noise_widens_a_line_by_its_diffusion():
    # <e^{i (phi(t + T) - phi(t))}> = e^{-D T}, the transform of a Lorentzian of full width D / pi
    path = phases.trajectories(np.zeros((1, 4096)), 0.0, 0.0, dt=0.05, steps=40, every=40, diffusion=0.5, seed=11)
    coherence = np.abs(np.mean(np.exp(1j * (path[-1] - path[0]))))
    assert coherence == pytest.approx(math.exp(-0.5 * 2.0), abs=4 / math.sqrt(4096))


def test_results_do_not_depend_on_threads_or_batches():
    rng = np.random.default_rng(2)
    n, batch = 4, 21
    own = [
        rng.uniform(-3, 3, (n, batch)),
        rng.normal(size=(n, batch)),
        rng.normal(size=(n, batch)) + 1j * rng.normal(size=(n, batch)),
    ]
    tone_rate = rng.normal(size=(2, batch))
    force = rng.normal(size=(2, n, batch)) * (1 + 0.3j)

    def run(first, last):
        return phases.trajectories(
            *(x[:, first:last] for x in own),
            dt=0.01,
            steps=300,
            every=100,
            tone_rate=tone_rate[:, first:last],
            tone_force=force[:, :, first:last],
            diffusion=0.2,
            seed=9,
            first_lane=100 + first,
        )

    whole = run(0, batch)
    pieces = [run(*cut) for cut in ((0, 1), (1, 12), (12, 21))]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=2), whole)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(run(0, batch), whole)
    finally:
        numba.set_num_threads(threads)


def test_sine_and_cosine_are_those_of_the_library():
    for span in (10.0, 1e6):
        angle = np.random.default_rng(0).uniform(-span, span, 100_000)
        sine, cosine = np.empty((2, angle.size))
        phases._sine_cosine(angle, sine, cosine)
        np.testing.assert_allclose(sine, np.sin(angle), atol=1.2e-15, rtol=0)
        np.testing.assert_allclose(cosine, np.cos(angle), atol=1.2e-15, rtol=0)


def test_mean_rates_are_turns_over_time():
    path = phases.trajectories(np.zeros((2, 1)), [[3.0], [-7.0]], 0.0, dt=0.1, steps=100, every=10)
    np.testing.assert_allclose(phases.mean_rates(path, 1.0)[:, 0], [3.0, -7.0], rtol=1e-12)


def test_arguments_that_do_not_fit_are_refused():
    start = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"phases of shape \(oscillators, batch\)"):
        phases.trajectories(np.zeros(3), 0.0, 0.0, dt=0.1, steps=1)
    with pytest.raises(ValueError, match="every must divide steps"):
        phases.trajectories(start, 0.0, 0.0, dt=0.1, steps=10, every=4)
    with pytest.raises(ValueError, match="belong together"):
        phases.trajectories(start, 0.0, 0.0, dt=0.1, steps=1, tone_rate=[1.0])
    with pytest.raises(ValueError, match="broadcast"):
        phases.trajectories(start, np.zeros((3, 2)), 0.0, dt=0.1, steps=1)
