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


@pytest.mark.parametrize(
    ("device", "ramp", "growth", "options"),
    [
        # A pulse of -0.9 V opens a filament once in thousands, and no deeper than the voltage says.
        ("filamentary", "amplitude", 1.8, {"set_voltage": 1.2, "reset_voltage": -0.9, "width": 100e-9}),
        ("phase-change", "amplitude", 1.35, {"set_voltage": 0.8, "reset_voltage": -2.0, "width": 60e-9}),
        # Pulses shorter than 50 ns do nothing.
        ("phase-change", "width", 8.0, {"set_voltage": 1.2, "reset_voltage": -2.6, "width": 20e-9}),
    ],
)
def test_devices_that_the_first_pulses_hardly_move_are_written_by_a_ramp(device, ramp, growth, options):
    def confirmed(growth: float) -> float:
        chip = array(device=device, scheme="1T1R", seed=1)
        values = {"lowest": 4e-6, "highest": 12e-6, "tolerance": 2e-6, "ramp": ramp, "rungs": 12, **options}
        *_, last, _ = program(chip, growth=growth, **values)
        assert np.all(last.confirmed | last.abandoned)
        return last.confirmed.mean()

    assert confirmed(1.0) < 0.35
    assert confirmed(growth) > 0.8


def test_conductances_far_apart_need_the_gate_voltage_of_each():
    def confirmed(gate: float, growth: float) -> float:
        volts = {"set_voltage": 1.2, "reset_voltage": -1.2, "width": 100e-9, "tolerance": 20e-6}
        chip = array(device="filamentary", scheme="1T1R", seed=1)
        *_, last, _ = program(
            chip, lowest=40e-6, highest=240e-6, ramp="gate", gate=gate, growth=growth, rungs=10, **volts
        )
        return last.confirmed.mean()

    # 111.5 µS/V above a threshold of 0.7 V: 33 µS and 279 µS.
    assert confirmed(1.0, 1.0) < 0.5
    assert confirmed(3.2, 1.0) < 0.5
    assert confirmed(1.0, 3.2) > 0.95


def test_a_ramp_of_gate_voltages_needs_its_first():
    with pytest.raises(ValueError, match="gate: a ramp of gate voltages needs its first; give one above 0 V"):
        next(program(array(), ramp="gate"))
