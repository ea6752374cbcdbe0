"""What holds for every family of devices that learn by pulses."""

from dataclasses import asdict

import numpy as np
import pytest

from labneuro.simulators import (
    ferroelectric_junctions,
    filamentary_memory,
    magnetic_memory,
    phase_change_memory,
    pulsed_devices,
)

SEED, SIZE = 5, 60
WHICH = np.arange(SIZE)
FAMILIES = (phase_change_memory, filamentary_memory, ferroelectric_junctions, magnetic_memory)
FULL = {  # programming pulse, V and s, in the middle of what switches
    phase_change_memory: (1.2, 50e-9),
    filamentary_memory: (1.1, 100e-9),
    ferroelectric_junctions: (1.6, 50e-9),
    magnetic_memory: (0.55, 5e-9),
}
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rpartition(".")[2])


def made(family, size=SIZE, **figures):
    devices = family.draw_devices(SEED, size, **figures)
    return devices, family.pristine(devices)


def assert_same(first, second):
    for name, values in asdict(first).items():
        np.testing.assert_array_equal(values, asdict(second)[name], err_msg=name)


@families
def test_a_device_does_not_hear_which_others_are_pulsed_or_made_with_it(family):
    devices, together = made(family)
    family.pulse(devices, together, WHICH, *FULL[family], 3, 1.0)
    answers = family.read(devices, together, WHICH, 0.1, 1e-6, 2.0)

    few_devices, few = made(family, 20)
    order = np.arange(20)[::-1]
    for device in order:
        family.pulse(few_devices, few, [device], *FULL[family], 3, 1.0)
    alone = family.read(few_devices, few, order, 0.1, 1e-6, 2.0)

    np.testing.assert_array_equal(alone, answers[:20][::-1])
    for name, values in asdict(few).items():
        np.testing.assert_array_equal(values, asdict(together)[name][:20], err_msg=name)
    assert np.unique(answers).size == SIZE


@pytest.mark.parametrize("family", [phase_change_memory, filamentary_memory, ferroelectric_junctions])
def test_a_train_of_twenty_pulses_is_twenty_trains_of_one(family):
    devices, train = made(family)
    _, single = made(family)
    family.pulse(devices, train, WHICH, *FULL[family], 20, 1.0)
    for _ in range(20):
        family.pulse(devices, single, WHICH, *FULL[family], 1, 1.0)
    for name, values in asdict(train).items():
        np.testing.assert_allclose(values, asdict(single)[name], rtol=1e-12, err_msg=name)
    before, _ = family.conductance(devices, made(family)[1], slice(None), 1.0)
    assert np.mean(family.conductance(devices, train, slice(None), 1.0)[0] != before) > 0.5


@families
def test_a_read_is_noisy_by_what_conductance_says(family):
    devices, state = made(family, 20_000)
    which = np.arange(20_000)
    family.pulse(devices, state, which, *FULL[family], 3, 0.0)
    mean, sigma = family.conductance(devices, state, which, 1.0)
    first = (family.read(devices, state, which, 0.1, 1e-6, 1.0) - mean) / sigma
    second = (family.read(devices, state, which, 0.1, 1e-6, 1.0) - mean) / sigma
    for noise in (first, second):
        assert abs(noise.mean()) < 4.5 / np.sqrt(noise.size)
        assert abs(noise.var() - 1) < 4.5 * np.sqrt(2 / noise.size)
    assert abs(np.mean(first * second)) < 4.5 / np.sqrt(first.size)


@families
def test_a_far_too_strong_pulse_breaks_a_device_for_good(family):
    devices, state = made(family)
    family.pulse(devices, state, [7], 5.0, FULL[family][1], 1, 0.0)
    np.testing.assert_array_equal(np.flatnonzero(family.dead(devices, state)), [7])
    stuck = 0.0 if family is phase_change_memory else family.SHORT
    for volts in (2.0, -2.0):
        family.pulse(devices, state, [7], volts, 1e-7, 2, 1.0)
        assert family.conductance(devices, state, [7], 2.0)[0] == stuck


@families
def test_half_of_the_devices_outlive_the_median_endurance(family):
    size = 2000
    devices, state = made(family, size, endurance=100.0)
    volts, width = {
        phase_change_memory: (2.5, 50e-9),
        filamentary_memory: (1.2, 100e-9),
        ferroelectric_junctions: (2.0, 100e-9),
        magnetic_memory: (0.8, 10e-9),
    }[family]
    family.pulse(devices, state, np.arange(size), volts, width, 100, 0.0)
    assert abs(family.dead(devices, state).sum() - size / 2) < 4.5 * np.sqrt(size / 4)
    assert np.all(state.wear[~family.dead(devices, state)] == pytest.approx(100))


@families
def test_a_thousand_reads_age_no_device(family):
    devices, state = made(family)
    family.pulse(devices, state, WHICH, 0.1, 1e-6, 1000, 0.0)
    assert np.all(state.wear < 1e-6 * devices.endurance)
    assert np.all(state.pulses == (1 if family is magnetic_memory else 1000))


@families
@pytest.mark.parametrize(
    ("train", "message"),
    [
        (([0, SIZE], 1.0, 1e-7, 1), f"device {SIZE} does not exist: there are {SIZE}"),
        (([-1], 1.0, 1e-7, 1), "device -1 does not exist"),
        (([0, 3], [1.0, np.nan], 1e-7, 1), "device 3: no train of 1 pulses of nan"),
        (([4], 1.0, -1e-7, 1), "device 4: no train"),
        (([4], 1.0, 1e-7, 1.5), "device 4: no train of 1.5"),
        (([0.0], 1.0, 1e-7, 1), "give numbers of devices"),
        (([True, False], 1.0, 1e-7, 1), "give numbers of devices"),
        (([0, 1], [1.0, 1.0, 1.0], 1e-7, 1), "broadcast"),
    ],
)
def test_a_train_that_is_none_is_refused_and_nothing_pulsed(family, train, message):
    devices, state = made(family)
    with pytest.raises(ValueError, match=message):
        family.pulse(devices, state, *train, 0.0)
    assert_same(state, made(family)[1])


@families
def test_no_pulses_leave_everything_as_it_is(family):
    devices, state = made(family)
    family.pulse(devices, state, WHICH, *FULL[family], 1, 0.0)
    before = {name: values.copy() for name, values in asdict(state).items()}
    family.pulse(devices, state, WHICH, *FULL[family], 0, 5.0)
    for name, values in asdict(state).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


@families
def test_a_device_takes_no_more_than_64_bytes(family):
    devices, state = made(family)
    held = [values for part in (devices, state) for values in asdict(part).values() if isinstance(values, np.ndarray)]
    assert sum(values.nbytes for values in held) <= 64 * SIZE


def test_pulses_of_one_device_hear_independent_noise():
    n = 20_000
    words = np.empty(4, np.uint32)
    x, y, u = np.array([pulsed_devices.variates(1, 3, k, words) for k in range(n)]).T
    for a, b in ((x[1:], x[:-1]), (y[1:], y[:-1]), (x, y), (x, u), (y, u)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(n)
    assert abs(x.var() - 1) < 4.5 * np.sqrt(2 / n)
    assert abs(u.mean() - 0.5) < 4.5 / np.sqrt(12 * n)
