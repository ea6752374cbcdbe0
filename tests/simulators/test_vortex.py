"""The Thiele equation of the vortex: gyration, its Slavin-Tiberkevich form, locking."""

import math

import numba
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labneuro.simulators import slavin_tiberkevich as st
from labneuro.simulators import vortex

OMEGA0 = math.tau * 300e6
DAMPING, XI, ZETA_K = 0.01, 0.6, 0.25


def gyration(zeta, *, turns=2000, per_turn=100):
    """Let the free vortex settle at supercriticalities `zeta`; return its power and frequency, Hz."""
    dt = 1 / 300e6 / per_turn
    every = per_turn // 10
    start = np.full(len(zeta), 0.3 + 0j)
    path = vortex.trajectories(
        start,
        OMEGA0,
        DAMPING,
        XI,
        ZETA_K,
        DAMPING * np.asarray(zeta),
        dt=dt,
        steps=turns * per_turn,
        every=every,
    )
    angle = np.unwrap(np.angle(path[-2000:]), axis=0)
    return np.abs(path[-1]) ** 2, (angle[-1] - angle[0]) / (math.tau * 1999 * every * dt)


def test_free_gyration_against_the_slavin_tiberkevich_map():
    zeta = np.array([1.1, 1.2, 1.4])
    power, frequency = gyration(zeta)
    expected = vortex.slavin_tiberkevich_parameters(OMEGA0, DAMPING, XI, ZETA_K, DAMPING * zeta)
    np.testing.assert_allclose(expected.p0, [0.1176, 0.2353, 0.4706], rtol=1e-3)
    # the map drops xi zeta_k p^2, which matters more the larger the orbit
    for k, tolerance in enumerate((0.02, 0.04, 0.08)):
        assert power[k] == pytest.approx(expected.p0[k], rel=tolerance)
        assert frequency[k] == pytest.approx(300e6 + expected.shift * expected.p0[k] / math.tau, rel=tolerance)
    assert frequency[0] == pytest.approx(308.8e6, rel=1e-3)


def test_free_gyration_runs_on_the_exact_orbit():
    zeta = np.array([1.1, 1.4])
    power, frequency = gyration(zeta, per_turn=200)
    np.testing.assert_allclose(power, vortex.steady_power(DAMPING, XI, ZETA_K, DAMPING * zeta), rtol=1e-6)
    np.testing.assert_allclose(frequency, 300e6 * (1 + ZETA_K * power), rtol=1e-7)


def test_below_threshold_the_core_spirals_into_the_centre():
    power, _ = gyration([0.5, 0.9, 1.0])
    assert vortex.steady_power(DAMPING, XI, ZETA_K, 0.9 * DAMPING) == 0
    # s^2 falls at twice d omega_0 (1 - zeta), or faster
    assert np.all(power[:2] < 0.09 * np.exp(-2 * DAMPING * OMEGA0 * np.array([0.5, 0.1]) * 2000 / 300e6))
    # at threshold ds^2/dt = -2 d omega_0 (xi + zeta_k) s^4: an algebraic fall
    expected = 1 / (1 / 0.09 + 2 * DAMPING * OMEGA0 * (XI + ZETA_K) * 2000 / 300e6)
    assert power[2] == pytest.approx(expected, rel=0.05)


def test_the_map_is_that_of_the_oscillator_model():
    zeta = np.array([0.8, 1.1, 2.0])
    mapped = vortex.slavin_tiberkevich_parameters(OMEGA0, DAMPING, XI, ZETA_K, DAMPING * zeta)
    np.testing.assert_allclose(mapped.zeta, zeta, rtol=1e-15)
    np.testing.assert_allclose(st.power(mapped.zeta, mapped.q), mapped.p0, rtol=1e-12)
    np.testing.assert_allclose(
        st.nonlinearity(mapped.shift, mapped.damping, mapped.zeta, mapped.q), mapped.nu, rtol=1e-12
    )
    assert mapped.nu == pytest.approx(0.25 / (0.01 * 0.85), rel=1e-12)


def test_a_static_force_displaces_the_core():
    path = vortex.trajectories(
        [0j, 0j], OMEGA0, 0.1, 0.0, [0.0, 0.5], 0.0, dt=1e-11, steps=20_000, every=20_000, drive_force=0.1
    )
    np.testing.assert_allclose(path[-1, 0], 0.1, atol=1e-12)
    s = path[-1, 1].real
    assert s * (1 + 0.5 * s**2) == pytest.approx(0.1, rel=1e-12)


def test_driven_motion_is_that_of_the_thiele_equation():
    """Each term as written in the module's equation, integrated by SciPy with ten digits."""
    d, xi, zeta_k, a, omega_e, h = 0.05, 0.7, -0.2, 0.06, 1.1 * OMEGA0, 0.02

    def velocity(t, z):
        s2 = np.abs(z) ** 2
        push = -OMEGA0 * ((1 + zeta_k * s2) - 1j * a) * z + OMEGA0 * h * np.cos(omega_e * t)
        return push / (1j + d * (1 + xi * s2))

    time = 30 / 300e6
    exact = solve_ivp(velocity, (0, time), [0.3 - 0.2j], method="DOP853", rtol=1e-10, atol=1e-12).y[0, -1]
    steps = 30 * 400
    path = vortex.trajectories(
        [0.3 - 0.2j],
        OMEGA0,
        d,
        xi,
        zeta_k,
        a,
        dt=time / steps,
        steps=steps,
        every=steps,
        drive_rate=omega_e,
        drive_force=h,
    )
    assert path[-1, 0] == pytest.approx(exact, abs=1e-7)


def test_a_drive_locks_the_vortex_over_the_range_of_its_oscillator_model():
    d, xi, zeta_k, h = 0.02, 0.6, 0.05, 2e-4
    a = 1.1 * d
    mapped = vortex.slavin_tiberkevich_parameters(OMEGA0, d, xi, zeta_k, a)
    p0 = float(vortex.steady_power(d, xi, zeta_k, a))
    relaxation = float(st.power_relaxation_rate(mapped.damping, mapped.zeta))
    lower, upper = st.locking_range(0.5 * OMEGA0 * h, p0, float(mapped.nu), relaxation)
    free = OMEGA0 * (1 + zeta_k * p0)
    drive = free + np.array([1.1 * lower, 0.9 * lower, 0.0, 0.9 * upper, 1.1 * upper])
    steps, every = 400_000, 1000
    dt = math.tau / (60 * OMEGA0)
    path = vortex.trajectories(
        np.full(5, math.sqrt(p0) + 0j),
        OMEGA0,
        d,
        xi,
        zeta_k,
        a,
        dt=dt,
        steps=steps,
        every=every,
        drive_rate=drive,
        drive_force=h,
    )
    times = np.arange(len(path))[:, None] * every * dt
    phase = np.unwrap(np.angle(path * np.exp(-1j * drive * times)), axis=0)[len(path) // 2 :]
    np.testing.assert_array_equal(np.ptp(phase, axis=0) < 0.01, [False, True, True, True, False])


def test_results_do_not_depend_on_threads_or_batches():
    rng = np.random.default_rng(1)
    batch = 37
    start = rng.normal(scale=0.3, size=batch) + 1j * rng.normal(scale=0.3, size=batch)
    own = [OMEGA0 * rng.uniform(0.9, 1.1, batch), *rng.uniform(0.01, 0.5, (4, batch))]
    drive = {"drive_rate": OMEGA0 * rng.uniform(0.9, 1.1, batch), "drive_force": rng.uniform(0, 0.1, batch)}

    def run(lanes):
        cut = {name: values[lanes] for name, values in drive.items()}
        return vortex.trajectories(start[lanes], *(x[lanes] for x in own), dt=3e-11, steps=500, every=100, **cut)

    whole = run(slice(None))
    pieces = [run(slice(*cut)) for cut in ((0, 1), (1, 20), (20, 37))]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(run(slice(None)), whole)
    finally:
        numba.set_num_threads(threads)


def test_shapes_and_steps_that_do_not_fit_are_refused():
    own = (OMEGA0, DAMPING, XI, ZETA_K, DAMPING)
    with pytest.raises(ValueError, match=r"positions of shape \(batch,\)"):
        vortex.trajectories(0.1, *own, dt=1e-11, steps=10)
    with pytest.raises(ValueError, match="every must divide steps"):
        vortex.trajectories([0.1], *own, dt=1e-11, steps=10, every=3)
    with pytest.raises(ValueError, match="broadcast"):
        vortex.trajectories([0.1, 0.1], [1.0, 2.0, 3.0], *own[1:], dt=1e-11, steps=10)
