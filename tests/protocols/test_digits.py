"""Digits in situ: scikit-learn's 8 x 8 digits stand for the images here, so that arrays are small."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from labneuro.clock import VirtualClock
from labneuro.datasets import digits as handwritten
from labneuro.learning.pulse_trains import stochastic_trains
from labneuro.protocols.digits import Conductances, DigitStep, FloatStep, _packed, digits
from labneuro.signals import coincidences
from labneuro.simulators.synapse_array import EmulatedSynapseArray

HIDDEN = 20


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    images, labels = load_digits(return_X_y=True)

    def load(source, *, seed):
        order = np.random.default_rng(seed).permutation(len(labels))
        held_out, train = order[:300], order[300:1100]
        return handwritten.Digits(images[train] / 16, labels[train], images[held_out] / 16, labels[held_out])

    monkeypatch.setattr(handwritten, "load", load)


def arrays(devices=2, **settings):
    clock = VirtualClock()
    settings = {"device": "phase-change", "scheme": "1T1R", **settings}
    return (
        EmulatedSynapseArray(clock, seed=0, rows=65, columns=HIDDEN * devices, **settings),
        EmulatedSynapseArray(clock, seed=1, rows=HIDDEN + 1, columns=10 * devices, **settings),
    )


def learn(rule, devices=2, **options):
    return list(digits(*arrays(devices), rule=rule, **options))


def held_out(records, kind=DigitStep):
    return [r.held_out for r in records if isinstance(r, kind)][-1]


def test_mixed_precision_comes_near_double_precision_and_rounding_does_not():
    mixed, direct = learn("mixed-precision", epochs=4), learn("direct", epochs=4)
    assert held_out(mixed, FloatStep) > 0.85
    assert held_out(mixed) > held_out(mixed, FloatStep) - 0.05
    assert held_out(direct) < held_out(mixed) - 0.05


@pytest.mark.parametrize(("rule", "devices"), [("stochastic", 2), ("multi-memristive", 4), ("significant-pairs", 4)])
def test_every_rule_learns(rule, devices):
    # By chance 0.1 of 300 images are recognised, with a standard error of 0.017.
    assert held_out(learn(rule, devices, epochs=2, upkeep=40)) > 0.2


def test_a_run_records_maps_pulses_and_energy():
    records = learn("mixed-precision", epochs=2)
    kinds = [type(r) for r in records]
    assert kinds == [Conductances, DigitStep, FloatStep, DigitStep, FloatStep, Conductances]
    before, after = records[0], records[-1]
    assert before.first.shape == (65, 2 * HIDDEN)
    assert not np.allclose(before.second, after.second)
    assert 0 < records[1].pulses < records[3].pulses
    assert 0 < records[1].energy < records[3].energy


def test_the_same_seed_learns_the_same():
    first, second = (learn("multi-memristive", 4, epochs=1) for _ in range(2))
    assert [r for r in first if isinstance(r, DigitStep)] == [r for r in second if isinstance(r, DigitStep)]


def test_arrays_that_do_not_fit_are_refused_and_nothing_is_pulsed():
    first, second = arrays()
    with pytest.raises(ValueError, match=r"20 hidden neurons with 2 devices a weight need \(65, 40\) and \(21, 20\)"):
        next(digits(arrays(4)[0], second))
    with pytest.raises(ValueError, match="rule: multi-memristive can't be had with 2 devices a weight"):
        next(digits(first, second, rule="multi-memristive"))
    assert first.spent.pulses.sum() == second.spent.pulses.sum() == 0


@pytest.mark.parametrize("rate", [0.03, 2.0])
def test_trains_of_a_batch_are_packed_without_losing_a_coincidence(rate):
    rng = np.random.default_rng(0)
    trains = stochastic_trains(rng.random((10, 50)), rng.random((10, 20)), rate, 0.077, rng)
    packed = _packed(*trains)
    assert len(packed[0]) < 10
    assert np.array_equal(coincidences(*packed), coincidences(*trains))


def test_trains_without_a_coincidence_are_packed_into_none():
    silent = np.zeros((3, 4), np.uint32)
    assert [len(trains) for trains in _packed(silent, silent)] == [0, 0]
