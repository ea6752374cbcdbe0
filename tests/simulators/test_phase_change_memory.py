"""Phase-change memory: the statistics of pulses, drift and reads."""

import numpy as np
import pytest

from labneuro.simulators import phase_change_memory as pcm

SET = (1.2, 50e-9)


def test_pulses_raise_the_conductance_as_tabulated():
    size = 100_000
    which = np.arange(size)
    devices = pcm.draw_devices(1, size)
    state = pcm.pristine(devices)
    seen = {}
    for n in range(1, 21):
        pcm.pulse(devices, state, which, *SET, 1, n * pcm.T0)
        answers = pcm.read(devices, state, which, 0.1, 1e-6, (n + 1) * pcm.T0) * 1e6
        seen[n] = answers.mean(), answers.std()
    # Means and standard deviations in µS, of four million devices by the same equations in plain NumPy.
    table = {1: (2.055, 1.532), 2: (3.431, 1.986), 3: (4.467, 2.214), 5: (5.914, 2.398)}
    table |= {10: (7.829, 2.493), 15: (8.811, 2.585), 20: (9.403, 2.699)}
    for n, row in table.items():
        assert seen[n] == pytest.approx(row, abs=0.03), n


def test_without_its_noise_a_device_creeps_to_10_48_microsiemens():
    g, path = 0.1e-6, [0.1e-6]
    for n in range(1, 2001):
        g += pcm.partial_set(g, np.exp(-n / 2.6))[0]
        path.append(g)
    expected = {1: 1.92, 2: 3.29, 3: 4.34, 5: 5.80, 10: 7.76, 15: 8.77, 20: 9.38}
    for n, value in expected.items():
        assert path[n] * 1e6 == pytest.approx(value, abs=0.005)
    assert path[-1] == pytest.approx(0.880e-6 / 0.084, rel=1e-12)


def test_conductance_drifts_by_its_power_law_from_the_last_pulse():
    devices = pcm.draw_devices(1, 3)
    state = pcm.pristine(devices)
    pcm.pulse(devices, state, [0, 1, 2], *SET, 5, 1e4)
    pcm.read(devices, state, np.array([0, 1, 2]), 0.1, 1e-6, 2e4)
    for elapsed, part in ((pcm.T0, 1.0), (100, 0.963), (1e3, 0.878), (1e4, 0.801), (86400, 0.735)):
        mean, sigma = pcm.conductance(devices, state, slice(None), 1e4 + elapsed)
        assert mean / state.conductance == pytest.approx(part, abs=5e-4)
        np.testing.assert_allclose(sigma, 0.03 * mean + 0.13e-6)
    at_once, _ = pcm.conductance(devices, state, slice(None), 1e4)
    assert np.all(np.isfinite(at_once))


def test_reset_wipes_conductance_and_memory():
    size = 10_000
    which = np.arange(size)
    devices = pcm.draw_devices(2, size)
    state = pcm.pristine(devices)
    pcm.pulse(devices, state, which, *SET, 10, 0.0)
    pcm.pulse(devices, state, which, 3.2, 50e-9, 1, 0.0)
    assert np.all(state.memory == 1)
    assert state.conductance.mean() == pytest.approx(0.1e-6, abs=4.5 * 0.01e-6 / 100)
    assert state.conductance.std() == pytest.approx(0.01e-6, rel=4.5 / np.sqrt(2 * size))


@pytest.mark.parametrize("weak", [(0.6, 50e-9), (-1.2 / 2, 1e-3), (1.2, 40e-9)])
def test_half_the_voltage_or_too_short_a_pulse_does_nothing(weak):
    devices = pcm.draw_devices(2, 1000)
    state = pcm.pristine(devices)
    before = state.conductance.copy()
    pcm.pulse(devices, state, np.arange(1000), *weak, 1000, 0.0)
    np.testing.assert_array_equal(state.conductance, before)


def test_conductance_ends_at_the_largest():
    devices = pcm.draw_devices(2, 1000, largest=12e-6)
    state = pcm.pristine(devices)
    pcm.pulse(devices, state, np.arange(1000), *SET, 200, 0.0)
    assert state.conductance.max() == 12e-6


def test_the_inference_model_has_its_published_figures():
    x = np.array([1, 0.5, 0.25, 0.1, 0.01])
    g = x * pcm.INFERENCE_LARGEST
    np.testing.assert_allclose(pcm.programming_sigma(g) * 1e6, [1.055, 0.953, 0.681, 0.448, 0.283], atol=6e-4)
    assert pcm.relative_read_sigma(g[[0, 2]], 86400.0) == pytest.approx([0.0448, 0.110], abs=5e-4)


def test_programmed_devices_drift_and_keep_their_own_exponents():
    size = 40_000
    target = np.full(size, pcm.INFERENCE_LARGEST)
    for elapsed, part in ((1.0, 0.9976), (3600.0, 0.775), (86400.0, 0.6635), (3.1536e7, 0.497)):
        answers = pcm.inference_read(target, elapsed, seed=1) / pcm.INFERENCE_LARGEST
        # The mean over exponents of standard deviation 0.008 lies above the drift of the mean exponent.
        spread = np.exp((0.008 * np.log1p(elapsed / 20)) ** 2 / 2)
        assert answers.mean() == pytest.approx(part * spread, abs=5e-4 + 4.5 * answers.std() / np.sqrt(size))
    first, second = (pcm.inference_read(target, 86400.0, seed=1, number=k) for k in (0, 1))
    difference = (first - second).std() / np.sqrt(2)
    assert difference / first.mean() == pytest.approx(0.0448, rel=0.03)  # programming and drift cancel


def test_a_target_beyond_the_inference_model_is_refused():
    with pytest.raises(ValueError, match="the model reaches from 0 to 25e-6 S"):
        pcm.inference_read([30e-6], 1.0, seed=0)
