"""The protocols on the emulated chip: the physics that they should find, step by step."""

import math

import numpy as np
import pytest

from labneuro import bench
from labneuro.clock import VirtualClock
from labneuro.limits import LimitError
from labneuro.protocols.free_running import free_running
from labneuro.protocols.injection_locking import injection_locking
from labneuro.protocols.response_map import response_map
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip


def chip(**settings: object) -> EmulatedOscillatorChip:
    return EmulatedOscillatorChip(VirtualClock(), **settings)


def test_free_running_finds_slopes_linewidths_and_the_law_of_power():
    lab = chip(averages=400)
    steps = list(free_running(lab, start=3.6e-3, stop=7.6e-3, points=21))
    current = np.array([step.current[0] for step in steps])
    frequency = np.array([step.frequency for step in steps])
    devices = lab.devices
    for i in range(4):
        near = np.abs(current - 6e-3) < 0.5e-3
        slope = np.polyfit(current[near], frequency[near, i], 1)[0]
        assert slope == pytest.approx(devices.slope[i], rel=0.05)
    at_six = np.argmin(np.abs(current - 6e-3))
    assert steps[at_six].linewidth == pytest.approx(devices.linewidth, rel=0.3)
    # The emitted power is that of the resistance, p0 = (zeta - 1)/(zeta + Q), times the current squared.
    power = np.array([step.power for step in steps])
    zeta = current[:, None] / devices.threshold
    p0 = (zeta - 1) / (zeta + 1) * current[:, None] ** 2
    above = zeta > 1.2
    ratio = np.where(above, power / np.where(above, p0, 1.0), np.nan)
    assert np.all(np.nanstd(ratio, axis=0) / np.nanmean(ratio, axis=0) < 0.1)


def test_injection_locking_widens_with_the_root_of_the_power():
    lab = chip()
    steps = list(injection_locking(lab, oscillator=2, first_power=2e-5, last_power=1e-3, points=4, resolution=0.05e6))
    power = np.array([step.power for step in steps])
    width = np.array([step.width for step in steps])
    assert np.all(np.diff(width) > 0)
    # At 1 mW the oscillator has the width it was made with; the mean phase follows the drive somewhat beyond it.
    assert width[-1] == pytest.approx(lab.devices.locking_width[1], rel=0.1)
    exponent = math.log(width[1] / width[0]) / math.log(power[1] / power[0])
    assert 0.3 < exponent < 0.7
    assert all(step.lower < step.free < step.upper for step in steps)


def test_injection_locking_says_what_is_wrong():
    with pytest.raises(ValueError, match="there is no oscillator 5; the chip has 4"):
        next(injection_locking(chip(), oscillator=5))
    with pytest.raises(ValueError, match="needs more current"):
        next(injection_locking(chip(), current=2e-3))


def test_response_map_yields_a_row_a_step():
    steps = list(response_map(chip(), points=7))
    assert [step.frequency_a for step in steps] == pytest.approx(np.linspace(325e6, 375e6, 7))
    assert all(step.states.shape == (7, 4) for step in steps)
    assert len({state for step in steps for state in map(tuple, step.states.tolist())}) > 8


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        (free_running, {"stop": 12e-3}),
        (response_map, {"stop": 450e6}),
        (injection_locking, {"last_power": 10e-3}),
    ],
)
def test_a_sweep_beyond_the_limits_is_refused_before_its_first_step(protocol, options):
    with bench.load("emulated").open() as table, pytest.raises(LimitError):
        next(protocol(table.parts["chip"], **options))
