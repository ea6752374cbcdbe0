"""One counter for a whole array: who is pulsed, that all are, and what N devices make of one device's step."""

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labneuro.learning.multi_memristive import SelectionCounter


def test_the_counter_walks_through_the_devices_of_synapses_that_are_updated() -> None:
    counter = SelectionCounter(4, increment=3)
    chosen = counter.arbitrate(np.array([[1, 0], [-2, 5]]))
    assert chosen.tolist() == [[[1, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, -2], [0, 0, 5, 0]]]
    assert counter.device == 1
    assert counter.arbitrate(np.zeros((2, 2), np.int64)).sum() == 0
    assert counter.device == 1


@settings(max_examples=50)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40))
def test_every_device_is_reached_whatever_the_number_of_updates_a_round(
    devices: int, increment: int, synapses: int
) -> None:
    if gcd(devices, increment) > 1:
        with pytest.raises(ValueError, match="never points to"):
            SelectionCounter(devices, increment=increment)
        return
    counter = SelectionCounter(devices, increment=increment)
    pulses = sum(counter.arbitrate(np.ones(synapses, np.int64)) for _ in range(devices))
    assert np.all(pulses == 1)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=6, max_size=6), min_size=1, max_size=8))
def test_no_pulse_is_lost_and_one_device_gets_them_all(rounds: list[list[int]]) -> None:
    counter = SelectionCounter(3, increment=2)
    for wanted in rounds:
        chosen = counter.arbitrate(np.array(wanted).reshape(2, 3))
        assert chosen.sum(axis=-1).ravel().tolist() == wanted
        assert (np.count_nonzero(chosen, axis=-1) <= 1).all()


def test_every_third_depression_is_carried_out() -> None:
    counter = SelectionCounter(1, depressions=3)
    rounds = [counter.arbitrate(np.array([-1, 1, -1, -1]))[:, 0].tolist() for _ in range(2)]
    rounds.append(counter.arbitrate(np.array([-1, -2]))[:, 0].tolist())
    assert rounds == [[0, 1, 0, -1], [0, 1, 0, -1], [0, 0]]
    assert counter.arbitrate(np.array([-7]))[:, 0].tolist() == [-7]


@pytest.mark.parametrize("devices", [1, 4, 16])
def test_a_step_is_one_nth_of_the_range_and_its_spread_averages_out(devices: int) -> None:
    """Phase-change devices from reset, each pulsed once (J. Appl. Phys. 124, 152135 (2018)), µS, unclipped."""
    synapses, rng = 20_000, np.random.default_rng(devices)
    memory = np.exp(-1 / 2.6)
    mean, sd = -0.0084 + 0.880 + 1.40 * memory, 0.0091 + 0.260 + 2.15 * memory
    counter = SelectionCounter(devices)
    total = np.zeros(synapses)
    reached = np.zeros((synapses, devices), np.int64)
    for _ in range(devices):
        pulses = counter.arbitrate(np.ones(synapses, np.int64))
        step = (pulses * (mean + sd * rng.standard_normal(pulses.shape))).sum(axis=1)
        assert step.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(synapses))
        reached += pulses
        total += step
    assert np.all(reached == 1)
    assert total.mean() / devices == pytest.approx(mean, abs=4 * sd / np.sqrt(synapses * devices))
    assert total.std() == pytest.approx(sd * np.sqrt(devices), rel=0.02)


def test_numbers_count_from_1() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        SelectionCounter(0)
