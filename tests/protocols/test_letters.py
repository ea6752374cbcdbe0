"""The letters z, v and n on an emulated array: it learns them as the experiment did."""

import numpy as np
import pytest

from labneuro import bench
from labneuro.clock import VirtualClock
from labneuro.datasets import letters as drawn
from labneuro.limits import LimitError
from labneuro.protocols.letters import Epoch, letters
from labneuro.simulators.synapse_array import EmulatedSynapseArray


def learn(seed: int, **options: object) -> list[Epoch]:
    chip = EmulatedSynapseArray(
        VirtualClock(), seed=seed, rows=10, columns=6, device="Prezioso", g_min=10e-6, g_max=100e-6
    )
    return [record for record in letters(chip, seed=seed, **options) if isinstance(record, Epoch)]


@pytest.mark.parametrize("seeds", [10, pytest.param(200, marks=pytest.mark.nightly)])
def test_every_array_learns_the_letters_in_about_as_many_epochs_as_the_experiment(seeds):
    runs = [learn(seed) for seed in range(seeds)]
    assert all(run[-1].errors == 0 for run in runs)
    assert 10 <= np.mean([len(run) - 1 for run in runs]) <= 35
    assert np.mean([run[0].errors for run in runs]) > 15  # of 30: as good as drawn


def test_an_epoch_is_one_pulse_to_each_device_of_a_pair_in_opposite_directions():
    first, second = learn(0, epochs=1)
    assert second.pulses - first.pulses == 60
    change = second.conductances - first.conductances
    assert np.all(change[:, 0::2] * change[:, 1::2] < 0)


def test_an_array_starts_where_it_is_asked_to():
    conductances = np.concatenate([learn(seed, epochs=1)[0].conductances.ravel() for seed in range(4)])
    assert conductances.mean() == pytest.approx(35e-6, rel=0.03)  # 240 devices: 4 standard errors and the band
    assert conductances.std() == pytest.approx(3.5e-6, rel=0.2)


def test_the_patterns_are_three_letters_and_all_their_flips_of_one_pixel():
    data = drawn.load()
    assert data.names == ("z", "v", "n")
    assert len({tuple(pixels) for pixels in data.pixels}) == 30
    for label in range(3):
        ideal, *flipped = data.pixels[data.labels == label]
        assert [np.sum(pixels != ideal) for pixels in flipped] == [1] * 9
    assert data.pixels[0].reshape(3, 3).tolist() == [[1, 1, -1], [-1, 1, -1], [-1, 1, 1]]


def test_the_same_run_comes_from_a_larger_array_whose_other_lines_are_left_alone():
    chip = EmulatedSynapseArray(VirtualClock(), rows=12, columns=8, device="Prezioso", g_min=10e-6, g_max=100e-6)
    before = chip.conductances(0.1)
    *_, last = letters(chip)
    assert last.errors == 0
    changed = chip.conductances(0.1) != before
    assert changed[:10, :6].all()
    assert not changed[10:].any()
    assert not changed[:, 6:].any()


def test_an_array_that_is_too_small_is_refused():
    chip = EmulatedSynapseArray(VirtualClock(), rows=9, columns=6)
    with pytest.raises(ValueError, match="chip: 9 x 6 devices; the letters need 10 x 6"):
        next(letters(chip))


def test_the_shipped_bench_learns_and_refuses_pulses_beyond_its_limits():
    with bench.load("letters").open() as table:
        *_, last = letters(table.parts["chip"])
        assert last.errors == 0
        with pytest.raises(LimitError, match=r"asked for 1\.6 V, limit 1\.5 V"):
            list(letters(table.parts["chip"], set_voltage=1.6))
