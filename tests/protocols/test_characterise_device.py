"""What characterisation says of devices that are known."""

import numba
import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.protocols.characterise_device import LoopPoint, PulseStep, Reread, characterise_device
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
