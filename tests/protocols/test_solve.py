import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.protocols.solve import SolveStep, WrittenMatrix, solve
from labneuro.simulators.synapse_array import EmulatedSynapseArray


def array(n=40, columns=80, read_noise=0.01):
    return EmulatedSynapseArray(VirtualClock(), rows=n, columns=columns, device="EcRam", read_noise=read_noise)


def test_an_array_with_one_percent_noise_solves_to_twelve_digits():
    written, *steps = solve(array())
    assert isinstance(written, WrittenMatrix)
    assert 0.005 < written.error < 0.15
    assert all(isinstance(step, SolveStep) for step in steps)
    assert steps[0].residual > 1e-4  # one correction is as inexact as the array
    assert steps[-1].residual <= 1e-12
    # The error of a solution exceeds the residual by the condition number, 10, at most.
    assert steps[-1].error <= 10 * 1e-12 + 1e-14
    assert steps[-1].products == 6 * len(steps)


def test_the_matrix_has_the_condition_asked_for():
    written = next(solve(array(), condition=4.0))
    assert isinstance(written, WrittenMatrix)
    values = np.linalg.eigvalsh(written.matrix)
    assert (values[0], values[-1]) == pytest.approx((1.0, 4.0))


def test_a_better_array_needs_fewer_products():
    noisy, quiet = (list(solve(array(read_noise=noise)))[-1] for noise in (0.03, 0.0))
    assert isinstance(noisy, SolveStep)
    assert isinstance(quiet, SolveStep)
    assert quiet.products < noisy.products


def test_what_can_not_hold_the_matrix_is_refused_and_nothing_is_pulsed():
    chip = array(columns=40)
    with pytest.raises(ValueError, match=r"take one of \(40, 80\)"):
        next(solve(chip))
    assert chip.spent.pulses.sum() == 0


def test_pulses_that_raise_nothing_are_named():
    with pytest.raises(ValueError, match="up: pulses of 500 mV"):
        next(solve(array(read_noise=0.0), up=0.5))
