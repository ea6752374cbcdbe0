"""An image is written into an emulated array, and what is written is what is read."""

import numba
import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.protocols.program import Outcome, Target, WriteStep, program
from labneuro.signals import Pulses
from labneuro.simulators.synapse_array import EmulatedSynapseArray

TOLERANCE = 0.4e-6


@pytest.fixture(autouse=True)
def one_thread():
    """A hundred devices are pulsed faster by one thread than several are started; the result is the same."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def written(chip: EmulatedSynapseArray, **options: object) -> tuple[np.ndarray, list[WriteStep], Outcome]:
    target, *steps, outcome = program(chip, tolerance=TOLERANCE, **options)
    assert isinstance(target, Target)
    assert isinstance(outcome, Outcome)
    return target.conductances, steps, outcome


def array(**settings: object) -> EmulatedSynapseArray:
    return EmulatedSynapseArray(VirtualClock(), rows=12, columns=10, **settings)


@pytest.mark.parametrize("image", ["rings", "ramp", "checkerboard"])
def test_an_image_is_within_the_band_wherever_it_is_confirmed(image):
    target, steps, outcome = written(array(), image=image)
    confirmed = steps[-1].confirmed
    assert confirmed.mean() > 0.95
    assert np.all(confirmed | steps[-1].abandoned)
    # Half of a pulse moves no device of this kind, so that what was confirmed stays.
    assert np.all(np.abs(outcome.conductances - target)[confirmed] <= TOLERANCE)
    assert target.min() >= 15e-6
    assert target.max() <= 23e-6
    assert np.ptp(target) > 7e-6


def test_the_rounds_add_up_to_what_the_array_says_was_spent():
    chip = array()
    chip.pulse(np.ones(chip.shape, np.bool_), Pulses(1.3, 10e-6))  # of an earlier run
    _, steps, outcome = written(chip)
    assert np.array_equal(sum(step.pulses for step in steps), outcome.pulses)
    assert outcome.half_selected.sum() == outcome.pulses.sum() * (12 + 10 - 2)
    assert outcome.energy > 0


def test_no_device_is_confirmed_by_one_read():
    target, steps, _ = written(array(read_noise=0.05))
    inside = [np.abs(step.conductances - target) <= TOLERANCE for step in steps]
    for k in range(1, len(steps)):
        fresh = steps[k].confirmed & ~steps[k - 1].confirmed
        assert np.all((inside[k] & inside[k - 1])[fresh])
    assert not steps[0].confirmed.any()


def test_a_stuck_device_is_given_up_and_the_others_are_written():
    _, steps, _ = written(array(stuck=0.1), attempts=40)
    assert 0.02 < steps[-1].abandoned.mean() < 0.2
    assert np.all(steps[-1].confirmed | steps[-1].abandoned)
    assert all(step.pulses.max() <= 64 for step in steps)


def test_an_image_without_contrast_is_refused():
    with pytest.raises(ValueError, match="lowest: 15 µS is not below highest"):
        next(program(array(), lowest=15e-6, highest=15e-6))
