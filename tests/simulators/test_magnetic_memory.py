"""Spin-transfer-torque memory: when junctions switch, on purpose and by being read."""

import math

import numpy as np
import pytest

from labneuro.simulators import magnetic_memory as mram

TABLE = {  # write errors of the Fokker-Planck equation at Delta = 60, by i and tau
    1.5: {3.41: 0.5, 4: 0.303, 6: 0.0416, 8: 5.2e-3, 10: 6.5e-4, 14: 9.9e-6},
    2.0: {2.128: 0.5, 4: 1.53e-2, 6: 2.73e-4, 8: 4.8e-6, 10: 8.6e-8},
    3.0: {1.224: 0.5, 2: 0.0304, 4: 1.04e-5, 6: 3.5e-9},
}


@pytest.fixture(scope="module")
def solved():
    return {i: mram.fokker_planck_write_error(i, 60.0, list(row)) for i, row in TABLE.items()}


@pytest.mark.parametrize("i", TABLE)
def test_the_fokker_planck_equation_gives_the_tabulated_write_errors(solved, i):
    np.testing.assert_allclose(solved[i], list(TABLE[i].values()), rtol=0.012)  # half of the table's last digit


@pytest.mark.parametrize(("i", "apart"), [(3.0, (1.0, 1.08)), (2.0, (1.25, 1.8)), (1.5, (1.4, 4.2))])
def test_the_closed_form_is_as_far_from_it_as_known(solved, i, apart):
    unit = mram.relaxation_time(0.01, 0.3)
    closed = [math.exp(mram.log_write_error(i, tau * unit, 60.0, unit)) for tau in TABLE[i]]
    ratio = closed / solved[i]
    assert np.all((ratio > apart[0]) & (ratio < apart[1]))


@pytest.mark.parametrize("i", [1.5, 2.0, 3.0])
def test_closed_form_write_errors_fall_at_their_asymptotic_rate(i):
    unit = mram.relaxation_time(0.01, 0.3)
    late = [mram.log_write_error(i, tau * unit, 60.0, unit) for tau in (14.0, 15.0)]
    assert late[1] - late[0] == pytest.approx(-2 * (i - 1), rel=1e-4)


@pytest.mark.parametrize(("damping", "time"), [(0.01, 1.89e-9), (0.02, 0.947e-9)])
def test_the_unit_of_time_is_that_of_precession_and_damping(damping, time):
    assert mram.relaxation_time(damping, 0.3) == pytest.approx(time, rel=2e-3)


@pytest.mark.parametrize(("i", "disturbed"), [(0.5, 9.4e-12), (0.6, 3.8e-9), (0.7, 1.5e-6), (0.8, 6.1e-4), (0.9, 0.22)])
def test_reads_disturb_as_neel_and_brown_say(i, disturbed):
    probability = -math.expm1(mram.log_write_error(i, 100e-9, 60.0, 1.89e-9))
    assert probability == pytest.approx(-math.expm1(-100 * math.exp(-60 * (1 - i))), rel=1e-9)
    assert probability == pytest.approx(disturbed, rel=0.02)


def test_switching_grows_with_the_current_without_a_step():
    currents = np.linspace(0.5, 3, 10_001)
    for time in (3e-9, 10e-9, 100e-9):
        error = np.array([mram.log_write_error(i, time, 60.0, 1.89e-9) for i in currents])
        assert np.all(np.isfinite(error))
        assert np.all(np.diff(error) <= 1e-12)
        coarse, fine = (np.diff(np.exp(error[::every])).min() for every in (2, 1))
        assert fine == pytest.approx(coarse / 2, rel=0.05)  # a step would not shrink with the grid


def made(size, **figures):
    devices = mram.draw_devices(6, size, **{"spread": 0.0} | figures)
    return devices, mram.pristine(devices)


@pytest.mark.parametrize("over", [1.5, 2.0])
def test_junctions_switch_as_often_as_the_closed_form_says(over):
    size, width = 20_000, 8e-9
    devices, state = made(size)
    voltage = over * devices.critical_current[0] / devices.antiparallel[0]
    mram.pulse(devices, state, np.arange(size), voltage, width, 1, 0.0)
    p = -math.expm1(mram.log_write_error(over, width, float(devices.stability[0]), devices.relaxation_time))
    assert state.parallel.mean() == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / size))


def test_a_pulse_moves_only_what_it_opposes():
    size = 500
    devices, state = made(size)
    which = np.arange(size)
    mram.pulse(devices, state, which, -0.9, 50e-9, 1, 0.0)
    assert not state.parallel.any()
    mram.pulse(devices, state, which, 0.9, 50e-9, 1, 0.0)
    assert state.parallel.all()
    mram.pulse(devices, state, which, 0.9, 50e-9, 1, 0.0)
    assert state.parallel.all()
    mram.pulse(devices, state, which, -0.9, 50e-9, 1, 0.0)
    assert not state.parallel.any()


def test_a_train_of_reads_disturbs_as_its_reads_do_one_by_one():
    size, reads = 20_000, 1_000_000
    devices, state = made(size)
    voltage = 0.7 * devices.critical_current[0] / devices.antiparallel[0]
    mram.pulse(devices, state, np.arange(size), voltage, 100e-9, reads, 0.0)
    p = -math.expm1(-reads * 100 * math.exp(-60 * 0.3))
    assert state.parallel.mean() == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / size))


def test_a_weak_junction_forgets_while_nobody_looks():
    size = 20_000
    devices, state = made(size, stability=25.0)
    which = np.arange(size)
    lifetime = mram.ATTEMPT * math.exp(25)
    for elapsed in (0.1 * lifetime, 100 * lifetime):
        state = mram.pristine(devices)
        mram.read(devices, state, which, 1e-3, 1e-9, elapsed)
        p = 0.5 * -math.expm1(-2 * elapsed / lifetime)
        assert state.parallel.mean() == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / size))


def test_at_the_usual_stability_ten_years_flip_nothing():
    devices, state = made(20_000)
    mram.read(devices, state, np.arange(20_000), 0.05, 10e-9, 3.2e8)
    assert not state.parallel.any()


def test_the_cell_has_the_resistances_and_current_of_its_source():
    devices, _ = made(1)
    assert 1 / devices.parallel[0] == pytest.approx(6e3, rel=1e-6)
    assert devices.parallel[0] / devices.antiparallel[0] - 1 == pytest.approx(2 * 0.09 / 0.91, rel=1e-5)
    assert devices.critical_current[0] == pytest.approx(50.3e-6, rel=1e-2)
