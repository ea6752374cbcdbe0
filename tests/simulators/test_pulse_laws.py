"""Pulse-update laws: pulse counts and symmetry points of the presets, the statistics of trains, spread and noise."""

import itertools
from dataclasses import replace

import numba
import numpy as np
import pytest
from scipy import stats

from labneuro.simulators import pulse_kernels as kernels
from labneuro.simulators.presets import PRESETS
from labneuro.simulators.pulse_laws import (
    CycleNoise,
    Power,
    PulseLaw,
    Spread,
    draw_devices,
    leak,
    outer_update,
    pulse,
    reset,
    settle,
    soft_bounds,
    symmetry_points,
    trains,
)


def mean_of(law: PulseLaw) -> PulseLaw:
    """The law's mean device: no spread, no noise."""
    curve = law.curve if not hasattr(law.curve, "spread") else replace(law.curve, spread=0.0)
    return replace(law, curve=curve, spread=Spread(), cycle=CycleNoise(), write_noise=0.0)


def path(law: PulseLaw, start: float, sign: int, pulses: int) -> np.ndarray:
    """Weights of the mean device after 0, 1, ... pulses: device k of an array has k of them."""
    devices = draw_devices(mean_of(law), 1, pulses + 1)
    state = settle(devices, start)
    pulse(devices, state, sign * np.arange(pulses + 1)[None])
    return state.hidden[0].astype(float)


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        ("ReRamES", 1179, 911),
        ("ReRamSB", 1871, 1122),
        ("Capacitor", 380, 380),
        ("EcRam", 965, 924),
        ("EcRamMO", 7351, 6997),
        ("Idealized", 9501, 9501),
        ("GokmenVlasov", 1188, 1188),
        ("PCM", 64, None),
        ("ReRamArrayOM", 31, 31),
        ("ReRamArrayHfO2", 5, 5),
    ],
)
def test_a_mean_device_crosses_95_percent_of_its_range_in_so_many_pulses(name, up, down):
    law = PRESETS[name]
    reach = 0.95 * (law.w_max - law.w_min)
    assert abs(np.argmax(path(law, law.w_min, 1, up + 2) >= law.w_min + reach) - up) <= 1
    if down is not None:
        assert abs(np.argmax(path(law, law.w_max, -1, down + 2) <= law.w_max - reach) - down) <= 1


def test_the_steps_of_the_exponential_law_are_those_of_the_equation():
    law = PRESETS["ReRamES"]
    for start, up, down in ((-1.0, 0.00295, None), (0.0, 0.00148, 0.00199), (1.0, None, 0.01308)):
        for sign, expected in ((1, up), (-1, down)):
            if expected is not None:
                step = path(law, start, sign, 1)
                assert abs(step[1] - step[0]) == pytest.approx(expected, abs=6e-6)
    assert path(PRESETS["PCM"], 0.0, 1, 1)[1] == pytest.approx(0.28235, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "point"),
    [("ReRamES", -0.217), ("ReRamSB", 0.0), ("Capacitor", 0.0), ("EcRam", 0.0), ("ReRamArrayOM", 0.0)],
)
def test_alternating_pulses_end_within_a_step_of_the_symmetry_point(name, point):
    law = mean_of(PRESETS[name])
    devices = draw_devices(law, 1, 3)
    state = settle(devices, [[-0.7, 0.05, 0.9]])
    alternating = np.resize([1.0, -1.0], (30_000, 1))
    outer_update(devices, state, alternating, np.ones((30_000, 3)), law.step)  # one slot, in which all fire
    assert np.abs(state.hidden - point).max() < law.step + 5e-4  # the point itself is known to 5e-4


def test_symmetry_points_are_where_steps_up_and_down_are_equal():
    law = replace(PRESETS["ReRamArrayOM"], step=0.002, write_noise=0.0, cycle=CycleNoise(), up_down=0.2)
    devices = draw_devices(law, 20, 20, seed=1)
    points = symmetry_points(devices)
    moved = []
    for sign in (1, -1):
        state = settle(devices, points)
        pulse(devices, state, np.full((20, 20), sign))
        moved.append(state.hidden - points)
    inside = (points > devices.w_min) & (points < devices.w_max)
    assert inside.mean() > 0.9
    assert np.allclose(moved[0][inside], -moved[1][inside], atol=1e-6)


def test_the_power_law_steps_with_the_room_that_is_left():
    law = PulseLaw(step=0.01, curve=Power(2.0, 0.5))
    assert np.diff(path(law, 0.5, 1, 1))[0] == pytest.approx(0.01 * 0.25**2, rel=1e-4)
    assert np.diff(path(law, 0.5, -1, 1))[0] == pytest.approx(-0.01 * 0.75**0.5, rel=1e-4)
    assert path(law, 1.0, 1, 3)[3] == 1.0


def test_devices_have_the_spread_of_the_law_and_stay_between_their_own_bounds():
    law = replace(PRESETS["ReRamSB"], stuck=0.1)
    devices = draw_devices(law, 300, 300, seed=4)
    n = 90_000
    moving = ~devices.stuck
    assert abs(devices.stuck.mean() - 0.1) < 4 * np.sqrt(0.09 / n)
    assert devices.w_max[moving].std() == pytest.approx(0.3, rel=0.02)
    step = devices.parameters[:, 2:4].mean(axis=1)[moving]
    assert step.std() / step.mean() == pytest.approx(0.3, rel=0.02)
    state = settle(devices)
    before = state.visible[devices.stuck].copy()
    for number in range(3):
        pulse(devices, state, np.full((300, 300), 50), number=number)
    assert (state.hidden <= devices.w_max).all()
    assert (state.hidden >= devices.w_min).all()
    assert np.array_equal(state.visible[devices.stuck], before)
    assert (state.pulses == 150).all()


@pytest.mark.parametrize("name", ["ReRamES", "ReRamSB", "GokmenVlasov", "PCM"])
def test_the_noise_of_a_step_and_of_writing_is_that_of_the_law(name):
    law = PRESETS[name]
    quiet = replace(law, spread=Spread(), curve=law.curve)
    start = 0.5
    devices = draw_devices(quiet, 500, 400)
    state = settle(devices, start)
    pulse(devices, state, np.ones((500, 400), int), seed=3)
    mean = path(law, start, 1, 1)[1] - start
    base = law.step if law.cycle.additive else mean
    std = law.cycle.std * (base + law.cycle.floor + law.cycle.slope * start)
    z = (state.hidden.astype(float).ravel() - start - mean) / std
    assert stats.kstest(z, "norm").pvalue > 1e-4
    if law.write_noise:
        y = (state.visible - state.hidden).astype(float).ravel() / (law.write_noise * law.step)
        assert stats.kstest(y, "norm").pvalue > 1e-4
        assert abs(np.mean(y * z)) * np.sqrt(y.size) < 4.5
    rows = z.reshape(500, 400)
    assert abs(np.mean(rows[1:] * rows[:-1])) * np.sqrt(z.size) < 4.5
    assert abs(np.mean(rows[:, 1:] * rows[:, :-1])) * np.sqrt(z.size) < 4.5


def test_the_noise_of_many_pulses_adds_up_as_independent_steps():
    law = PulseLaw(step=0.001, w_max=10.0, w_min=-10.0, cycle=CycleNoise(2.0))
    devices = draw_devices(law, 200, 200)
    state = settle(devices)
    pulse(devices, state, np.full((200, 200), 25), seed=1)
    n = state.hidden.size
    assert state.hidden.mean() == pytest.approx(0.025, abs=4 * 0.01 / np.sqrt(n))
    assert state.hidden.std() == pytest.approx(0.01, rel=4 / np.sqrt(2 * n))


@pytest.mark.parametrize(("slots", "mean", "std"), [(10, 0.0018, 0.00121), (31, 0.0018, 0.00130), (1, 0.00095, None)])
def test_trains_meet_as_often_as_gokmen_and_vlasov_say(slots, mean, std):
    rate, step, x, d, n = 0.01, 0.001, 0.6, 0.3, 1_000_000
    gain = np.sqrt(rate / (step * slots))
    met = [
        kernels.fire(np.full((1, n), gain * value), np.array([slots]), 5, purpose, 0)[0]
        for purpose, value in enumerate((x, d))
    ]
    change = step * np.bitwise_count(met[0] & met[1])
    assert change.mean() == pytest.approx(mean, rel=0.01)
    if std is not None:
        assert change.std() == pytest.approx(std, rel=0.01)


def values(vectors, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((vectors, rows)), rng.standard_normal((vectors, columns))


def test_an_update_steps_every_device_once_for_each_slot_in_which_its_row_and_column_fire():
    law = PulseLaw(step=0.001, w_max=100.0, w_min=-100.0)
    devices = draw_devices(law, 30, 50)
    state = settle(devices)
    rows, columns = values(200, 30, 50)
    outer_update(devices, state, rows, columns, -0.01, seed=3, number=7)
    row, column = trains(rows, columns, -0.01 / 0.001, seed=3, number=7)
    fired = (row & 0x7FFFFFFF)[:, :, None] & (column & 0x7FFFFFFF)[:, None, :]
    sign = np.where((row >> 31)[:, :, None] == (column >> 31)[:, None, :], 1, -1)
    met = np.bitwise_count(fired).astype(int)
    assert np.allclose(state.hidden, 0.001 * (sign * met).sum(axis=0), atol=1e-5)
    assert np.array_equal(state.pulses, met.sum(axis=0))


def test_updates_add_the_outer_product_on_average():
    law = PulseLaw(step=0.002, w_max=1e3, w_min=-1e3, cycle=CycleNoise(1.0))
    devices = draw_devices(law, 20, 20)
    state = settle(devices)
    rows, columns = values(1, 20, 20)
    n, rate = 20_000, 0.01
    outer_update(devices, state, np.repeat(rows, n, axis=0), np.repeat(columns, n, axis=0), rate)
    wanted = rate * rows.T @ columns
    error = np.sqrt(2 * 0.002 * np.abs(wanted) / n)  # Poisson counts at most, each step with noise of its own size
    z = (state.hidden / n - wanted) / error
    assert np.abs(z).max() < 5.0
    assert wanted.std() > 10 * error.max()


@pytest.mark.parametrize("name", ["ReRamES", "ReRamSB", "GokmenVlasov"])
def test_results_do_not_depend_on_the_number_of_threads(name):
    devices = draw_devices(PRESETS[name], 40, 700, seed=2)
    rows, columns = values(300, 40, 700)
    before = numba.get_num_threads()
    results = []
    for threads in (before, 1):
        numba.set_num_threads(threads)
        state = settle(devices, seed=1)
        outer_update(devices, state, rows, columns, 0.01, seed=9)
        results.append(np.concatenate([state.hidden, state.visible]))
    numba.set_num_threads(before)
    assert np.array_equal(*results)
    assert np.ptp(results[0]) > 1


@pytest.mark.parametrize("name", ["ReRamES", "ReRamSB", "GokmenVlasov"])
def test_a_batch_that_is_cut_hears_other_noise_of_the_same_law(name):
    devices = draw_devices(replace(PRESETS[name], spread=Spread()), 200, 200)
    rows, columns = (np.repeat(v[:, :1], 200, axis=1) for v in values(40, 1, 1))
    cut = []
    for cuts in ([0, 40], [0, 1, 13, 40]):
        state = settle(devices, 0.1)
        for first, last in itertools.pairwise(cuts):
            outer_update(devices, state, rows[first:last], columns[first:last], 0.01, number=first)
        cut.append(state)
    assert (cut[0].hidden != cut[1].hidden).any()
    assert np.array_equal(cut[0].pulses, cut[1].pulses)
    for read in ("hidden", "visible"):
        one, other = (getattr(state, read).ravel().astype(float) for state in cut)
        assert abs(one.mean() - other.mean()) < 4.5 * np.hypot(one.std(), other.std()) / np.sqrt(one.size)
        assert one.std() == pytest.approx(other.std(), rel=0.1)


def test_an_update_and_single_pulses_move_devices_alike():
    law = replace(PRESETS["ReRamES"], spread=Spread())
    devices = draw_devices(law, 300, 300)
    ones, trial = np.ones((8, 300)), []
    for update in (True, False):
        state = settle(devices, -0.9)
        if update:
            outer_update(devices, state, ones, ones, law.step)  # one slot, in which all fire
        else:
            pulse(devices, state, np.full((300, 300), 8))
        trial.append(state.hidden.ravel())
    assert stats.ks_2samp(*trial).pvalue > 1e-4


def test_a_reset_and_a_leak_bring_devices_to_their_own_reset_weight():
    devices = draw_devices(PRESETS["PCM"], 50, 50)
    state = settle(devices, 1.0)
    chosen = np.arange(50) % 2 == 0
    reset(devices, state, chosen)
    assert np.array_equal(state.hidden[:, chosen], devices.reset[:, chosen])
    assert (state.hidden[:, ~chosen] == 1.0).all()
    capacitor = draw_devices(replace(PRESETS["Capacitor"], lifetime=1000.0, spread=Spread()), 2, 2)
    state = settle(capacitor, 0.8)
    leak(capacitor, state, 500)
    assert np.allclose(state.hidden, 0.8 * 0.999**500, rtol=1e-5)


def test_a_device_stays_where_its_last_step_left_it_when_it_is_worn_out():
    law = replace(PRESETS["GokmenVlasov"], step=1e-6, spread=Spread(endurance=0.5), endurance=40.0, cycle=CycleNoise())
    devices = draw_devices(law, 100, 100, seed=2)
    n = devices.endurance.size
    assert np.log(devices.endurance / 40.0).std() == pytest.approx(0.5, rel=0.05)
    assert np.median(devices.endurance) == pytest.approx(40.0, rel=5 * 0.5 * np.sqrt(np.pi / 2 / n) + 0.5 / 40)
    at_once, in_two = settle(devices), settle(devices)
    outer_update(devices, at_once, np.ones((60, 100)), np.ones((60, 100)), 1e-6)  # one slot, in which all fire
    for first in (0, 37):
        ones = np.ones((23 + 14 * (first == 0), 100))
        outer_update(devices, in_two, ones, ones, 1e-6, number=first)
    assert np.allclose(at_once.hidden, 1e-6 * np.minimum(devices.endurance, 60), rtol=1e-4)
    assert (at_once.pulses == 60).all()
    assert np.array_equal(at_once.hidden, in_two.hidden)
    before = at_once.visible.copy()
    pulse(devices, at_once, np.full((100, 100), 100))
    assert np.array_equal(at_once.visible == before, devices.endurance <= 60)


def test_worn_devices_have_the_same_write_noise_however_a_batch_is_cut():
    devices = draw_devices(replace(PRESETS["ReRamES"], endurance=30.0, cycle=CycleNoise()), 40, 70, seed=2)
    rows, columns = values(60, 40, 70)
    at_once, in_two = settle(devices), settle(devices)
    outer_update(devices, at_once, rows, columns, 0.01)
    for first, last in ((0, 7), (7, 60)):
        outer_update(devices, in_two, rows[first:last], columns[first:last], 0.01, number=first)
    assert (at_once.pulses > devices.endurance).mean() > 0.5
    assert np.array_equal(at_once.visible, in_two.visible)


def test_few_columns_that_fire_step_like_many():
    law = replace(PRESETS["ReRamES"], spread=Spread())
    devices = draw_devices(law, 400, 200)
    ones, trial = np.ones((8, 400)), []
    for part in (0.25, 1.0):  # of the columns fire: then they are gathered, or all are looked at
        state = settle(devices, -0.9)
        fires = np.tile(np.arange(200) < part * 200, (8, 1)).astype(float)
        outer_update(devices, state, ones, fires, law.step)
        assert np.array_equal(state.pulses, np.tile(8 * fires[0], (400, 1)))
        trial.append(state.hidden[:, :50].ravel())
        assert (state.hidden[:, fires[0] == 0] == np.float32(-0.9)).all()
    assert stats.ks_2samp(*trial).pvalue > 1e-4


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.4, 0.8)])
def test_soft_bounds_take_the_pulses_that_they_are_given(low, high):
    law = soft_bounds(200, 0.01, low, high)
    p = np.arange(201)
    b = (high - low) / (1 - np.exp(-0.01 * 200))
    assert np.allclose(path(law, low, 1, 200), low + b * (1 - np.exp(-0.01 * p)), atol=1e-5)
    assert np.allclose(path(law, high, -1, 200), low + (high - low) * np.exp(-0.01 * p), atol=1e-5)
    with pytest.raises(ValueError, match="give a range with 0 inside"):
        soft_bounds(200, 0.01, 0.1, 1.0)


def test_references_miss_the_symmetry_points_as_they_are_told():
    devices = draw_devices(PRESETS["ReRamArrayOM"], 100, 100)
    missed = symmetry_points(devices, std=0.05, seed=1) - symmetry_points(devices)
    assert missed.std() == pytest.approx(0.05, rel=4 / np.sqrt(2e4))


def test_what_does_not_fit_is_refused_and_nothing_is_pulsed():
    devices = draw_devices(PRESETS["ReRamSB"], 4, 5)
    state = settle(devices)
    before = state.visible.copy()
    with pytest.raises(ValueError, match="does not fit an array of"):
        outer_update(devices, state, np.ones((2, 5)), np.ones((2, 4)), 0.1)
    with pytest.raises(ValueError, match="NaN"):
        outer_update(devices, state, np.full((1, 4), np.nan), np.ones((1, 5)), 0.1)
    with pytest.raises(ValueError, match="give integers of"):
        pulse(devices, state, np.ones((4, 5)))
    with pytest.raises(ValueError, match="NaN"):
        settle(devices, np.nan)
    assert np.array_equal(state.visible, before)


def test_a_device_takes_at_most_64_bytes():
    devices = draw_devices(PRESETS["ReRamES"], 10, 10)
    state = settle(devices)
    arrays = (devices.parameters, devices.reset, devices.decay, state.hidden, state.visible, state.pulses)
    assert sum(array.nbytes for array in arrays) <= 64 * 100
