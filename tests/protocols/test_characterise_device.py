"""What characterisation says of devices that are known."""

import numba
import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.protocols.characterise_device import (
    DriftPoint,
    LoopPoint,
    PulseStep,
    Reread,
    characterise_device,
    drift_exponents,
    drift_times,
)
from labneuro.simulators.synapse_array import EmulatedSynapseArray


@pytest.fixture(autouse=True)
def one_thread():
    """A hundred devices are pulsed faster by one thread than several are started; the result is the same."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def measure(chip: EmulatedSynapseArray, **options: object) -> dict[type, list]:
    records: dict[type, list] = {}
    for record in characterise_device(chip, **options):
        records.setdefault(type(record), []).append(record)
    return records


def array(**settings: object) -> EmulatedSynapseArray:
    return EmulatedSynapseArray(VirtualClock(), rows=8, columns=9, **settings)


def test_conductances_rise_by_half_a_cycle_and_fall_by_the_other():
    steps = measure(array(device="EcRam"), cycles=2, pulses=10)[PulseStep]
    assert [step.number for step in steps] == [20 * k for k in range(21)] * 2
    cycles = np.array([step.conductances for step in steps]).reshape(2, 21, 8)
    assert np.all(np.diff(cycles[:, :11], axis=1) > 0)
    assert np.all(np.diff(cycles[:, 10:], axis=1) < 0)


def test_the_loop_opens_only_beyond_the_threshold():
    points = measure(array(device="EcRam", threshold=0.8), loop_points=13)[LoopPoint]
    voltage = np.array([point.voltage for point in points])
    assert voltage.max() == pytest.approx(1.3)
    assert voltage.min() == pytest.approx(-1.3)
    change = np.diff([point.conductances for point in points], axis=0)
    acts = np.abs(voltage[1:]) > 0.8 - 1e-9
    assert np.all(change[~acts] == 0)
    assert np.all(change[acts] * voltage[1:][acts, None] > 0)


def test_repeated_reads_show_the_noise_of_reading():
    reads = [r.conductances for r in measure(array(read_noise=0.02), pulses=2, rereads=400)[Reread]]
    # 400 reads of 8 devices: the standard deviation is known to 1.3 %.
    assert (np.std(reads, axis=0) / np.mean(reads, axis=0)).mean() == pytest.approx(0.02, rel=0.06)


def test_only_the_devices_asked_for_are_pulsed():
    chip = array()
    measure(chip, devices=3, cycles=1, pulses=2, rereads=0)
    assert np.argwhere(chip.spent.pulses).tolist() == [[0, 0], [1, 1], [2, 2]]
    with pytest.raises(ValueError, match="devices: there are 8 on the diagonal; 9 were asked for"):
        next(characterise_device(chip, devices=9))


def test_the_drift_of_phase_change_memory_has_the_exponent_of_its_model():
    chip = array(device="phase-change", scheme="1T1R", seed=3)
    pulses = {"pulses": 20, "train": 1, "set_voltage": 1.2, "reset_voltage": -2.8, "width": 60e-9}
    points = measure(chip, cycles=1, rereads=0, retention=1e5, **pulses)[DriftPoint]
    for level in (1, 2):  # the lowest is below the noise of a read
        of_level = [point for point in points if point.level == level]
        time = np.array([point.time for point in of_level])
        assert time[0] == 1
        assert time[-1] == pytest.approx(1e5)
        exponents, errors = drift_exponents(time, np.array([point.conductances for point in of_level]))
        assert np.sqrt(np.mean(errors**2)) < 0.005
        # Eight devices and two levels: the largest of 16 deviations stays within 3 standard errors 19 times of 20.
        assert np.abs((exponents - 0.04) / errors).max() < 3
        assert exponents.mean() == pytest.approx(0.04, abs=2 * np.sqrt(np.mean(errors**2) / len(errors)))


def test_an_exponent_is_known_to_its_standard_error():
    rng = np.random.default_rng(0)
    time = drift_times(1e4)
    conductances = 20e-6 * time[:, None] ** -0.05 * np.exp(0.02 * rng.standard_normal((len(time), 4000)))
    exponents, errors = drift_exponents(time, conductances)
    # 4000 exponents: their standard deviation is known to 1.1 %.
    assert exponents.std() == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.04)
    assert exponents.mean() == pytest.approx(0.05, abs=3 * exponents.std() / np.sqrt(4000))


def test_no_exponent_is_given_to_a_device_that_reads_below_zero():
    conductances = 1e-6 * np.ones((11, 2))
    conductances[4, 1] = -1e-9
    assert np.isfinite(drift_exponents(drift_times(100.0), conductances)[0]).tolist() == [True, False]


def test_a_device_that_does_not_drift_keeps_its_levels_and_no_time_is_no_drift():
    records = measure(array(device="EcRam"), cycles=1, pulses=10, rereads=0, levels=2)
    low, high = (
        np.array([point.conductances for point in records[DriftPoint] if point.level == level]) for level in (0, 1)
    )
    assert np.all(low == low[0])
    assert np.all(high == high[0])
    assert np.all(high[0] > low[0])
    assert [point.time for point in records[DriftPoint]] == 2 * drift_times(100.0).tolist()
    assert DriftPoint not in measure(array(), cycles=1, pulses=2, rereads=0, retention=0.0)
