"""The power of an oscillator under a stepwise current: exact steps, fixed point, relaxation, noise floor."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from labneuro.simulators import power

DAMPING = math.tau * 1e6
CHIP = {"damping": DAMPING, "q": 1.0, "threshold": 4e-3}


def test_the_power_settles_where_torque_balances_damping():
    zeta = np.array([1.1, 1.5, 2.0, 4.0])
    settled = power.respond(4e-3 * zeta[None], 1e-6, hold=1e-4, **CHIP)
    np.testing.assert_allclose(settled[0], (zeta - 1) / (zeta + 1), rtol=1e-12)


@pytest.mark.parametrize("offset", [-0.02, 0.02])
def test_small_deviations_relax_at_twice_gamma_p(offset):
    # Gamma_p = Gamma_G (zeta - 1) = pi 1e6 / s: 159 ns
    response = power.respond(np.full((40, 1), 6e-3), 0.2 * (1 + offset), hold=10e-9, **CHIP)[:, 0]
    slope, _ = np.polyfit(np.arange(40) * 10e-9, np.log(np.abs(response - 0.2)), 1)
    assert -slope == pytest.approx(2 * math.pi * 1e6, rel=0.03)


def test_below_threshold_the_power_dies_and_at_threshold_it_fades_slowly():
    holds = np.array([0.9, 1.0]) * 4e-3
    response = power.respond(np.tile(holds, (1000, 1)), 0.2, hold=20e-9, **CHIP)
    assert response[-1, 0] < 0.2 * math.exp(-2 * 0.1 * DAMPING * 20e-6)
    # dp/dt = -2 (Gamma_G Q + sigma I) p^2 = -4 Gamma_G p^2
    times = 20e-9 * np.arange(1, 1001)
    np.testing.assert_allclose(response[:, 1], 1 / (1 / 0.2 + 4 * DAMPING * times), rtol=1e-12)


def test_threshold_is_approached_smoothly():
    at = power.step(0.2, 0.0, 2 * DAMPING, 0.0, 1e-6)
    for gain in (1e-9, -1e-9, 1e-3, -1e-3):
        assert power.step(0.2, gain, 2 * DAMPING, 0.0, 1e-6) == pytest.approx(at, rel=4e-6 * abs(gain) + 1e-14)
    assert power.step(0.2, 0.0, 2 * DAMPING, 1e-9, 1e-6) == pytest.approx(at, rel=1e-12)


@pytest.mark.parametrize("noise", [0.0, 3e4])
def test_a_random_waveform_agrees_with_plain_integration(noise):
    hold = 100e-9
    current = np.random.default_rng(5).uniform(0.0, 9e-3, 60)
    response = power.respond(current[:, None], 0.1, hold=hold, noise=noise, **CHIP)[:, 0]
    p = 0.1
    for k, held in enumerate(current):

        def rate(_, p, drive=DAMPING / 4e-3 * held):
            return 2 * p * (-DAMPING * (1 + p) + drive * (1 - p)) + 2 * noise

        p = solve_ivp(rate, (0, hold), [p], method="DOP853", rtol=1e-11, atol=1e-15, max_step=hold / 20).y[0, -1]
        assert response[k] == pytest.approx(p, rel=1e-8)


@settings(deadline=None)  # the first call compiles
@given(
    p=st.floats(0.0, 1.0),
    gain=st.floats(-1e8, 1e8),
    saturation=st.floats(1e3, 1e8),
    noise=st.sampled_from([0.0, 1.0, 1e5]),
    time=st.floats(1e-10, 1e-5),
)
def test_two_half_steps_are_one_step(p, gain, saturation, noise, time):
    half = power.step(power.step(p, gain, saturation, noise, 0.5 * time), gain, saturation, noise, 0.5 * time)
    assert half == pytest.approx(power.step(p, gain, saturation, noise, time), rel=1e-12, abs=1e-300)


def test_noise_keeps_a_floor_below_threshold_and_lifts_the_power_above():
    noise = 1e4
    floor, above = power.respond([[2e-3, 6e-3]], 0.0, hold=1e-4, noise=noise, **CHIP)[0]
    # far below threshold the floor is D_n over the linear decay rate
    assert floor == pytest.approx(noise / (0.5 * DAMPING), rel=0.01)
    # above, 2 D_n is balanced by 2 p0 (Gamma_G Q + sigma I) times the lift, to first order
    assert above - 0.2 == pytest.approx(noise / (0.2 * 2.5 * DAMPING), rel=0.02)
    assert power.respond([[6e-3]], 0.0, hold=1e-4, **CHIP)[0, 0] == 0


def test_one_current_serves_a_batch_of_devices():
    current = np.random.default_rng(6).uniform(3e-3, 8e-3, (50, 1))
    thresholds = np.array([3e-3, 4e-3, 5e-3])
    together = power.respond(current, 0.1, hold=1e-7, damping=DAMPING, q=1.0, threshold=thresholds)
    for k, threshold in enumerate(thresholds):
        alone = power.respond(current, 0.1, hold=1e-7, damping=DAMPING, q=1.0, threshold=threshold)
        np.testing.assert_array_equal(together[:, [k]], alone)


def test_results_do_not_depend_on_threads_or_batches():
    rng = np.random.default_rng(7)
    current = rng.uniform(0, 9e-3, (300, 21))
    own = {
        "damping": DAMPING * rng.uniform(0.5, 2, 21),
        "q": rng.uniform(0, 2, 21),
        "noise": rng.uniform(0, 1e4, 21),
    }

    def run(lanes):
        cut = {name: values[lanes] for name, values in own.items()}
        return power.respond(current[:, lanes], 0.1, hold=1e-7, threshold=4e-3, **cut)

    whole = run(slice(None))
    pieces = [run(slice(*cut)) for cut in ((0, 1), (1, 12), (12, 21))]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(run(slice(None)), whole)
    finally:
        numba.set_num_threads(threads)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match=r"give \(steps, batch\)"):
        power.respond([1e-3], 0.1, hold=1e-7, **CHIP)
    with pytest.raises(ValueError, match="threshold is 0 A: it must be positive"):
        power.respond([[1e-3]], 0.1, hold=1e-7, damping=DAMPING, q=1.0, threshold=0.0)
    with pytest.raises(ValueError, match="hold is -1 s: it must be positive"):
        power.respond([[1e-3]], 0.1, hold=-1, **CHIP)
    with pytest.raises(ValueError, match="broadcast"):
        power.respond([[1e-3, 1e-3]], [0.1, 0.1, 0.1], hold=1e-7, **CHIP)
