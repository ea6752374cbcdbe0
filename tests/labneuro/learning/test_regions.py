import numpy as np
import pytest

from labneuro.learning.regions import FREE, Regions
from labneuro.signals import state_name

CHIP = np.array([332e6, 344e6, 356e6, 368e6])


def test_an_oscillator_locks_to_a_source_within_half_the_width() -> None:
    tones = np.array([[332e6 + 5.4e6, 300e6], [332e6 + 5.6e6, 300e6], [300e6, 362.6e6], [337.4e6, 350.6e6]])
    names = [state_name(state) for state in Regions(CHIP, 11e6).states(tones)]
    assert names == ["1A", "none", "4B", "1A,3B"]


def test_of_two_sources_in_its_range_an_oscillator_takes_the_nearer() -> None:
    tones = np.array([[343e6, 345.5e6], [342e6, 345.5e6]])
    assert [state_name(state) for state in Regions(CHIP, 11e6).states(tones)] == ["2A", "2B"]


def test_two_sources_make_21_states_of_four_oscillators() -> None:
    axis = np.arange(315e6, 385e6, 0.5e6)
    tones = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert len(np.unique(Regions(CHIP, 11e6).states(tones), axis=0)) == 21


@pytest.mark.parametrize("width", [8e6, 11e6, 14e6])
def test_a_tone_within_an_interval_locks_what_the_interval_says(width: float) -> None:
    chip = CHIP[[2, 0, 3, 1]]
    regions = Regions(chip, width)
    intervals = regions.intervals(beyond=24e6)
    inside = np.linspace(intervals.low, intervals.high, 21)[1:-1]
    for tones, locks in zip(inside.T, intervals.locks, strict=True):
        states = regions.states(np.column_stack([tones, np.full(len(tones), 500e6)]))
        assert locks == FREE or (states[:, locks] == 1).all()
        assert locks != FREE or not states.any()


def test_intervals_reach_beyond_the_outermost_oscillators() -> None:
    intervals = Regions(CHIP, 11e6).intervals(beyond=24e6)
    assert intervals.low[0] == 308e6
    assert intervals.high[-1] == 392e6
    assert (intervals.low < intervals.high).all()
    assert (intervals.low[1:] >= intervals.high[:-1]).all()
    assert intervals.locks.tolist() == [FREE, 0, 1, 2, 3, FREE]
    assert Regions(CHIP, 11e6).intervals(beyond=None).locks.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("frequencies", "width", "message"),
    [
        ([350e6], 11e6, "two oscillators or more"),
        ([350e6, 350e6], 11e6, "finite frequencies that differ"),
        ([350e6, float("nan")], 11e6, "finite frequencies that differ"),
        ([340e6, 350e6], 0.0, "must be positive"),
    ],
)
def test_what_is_no_chip_is_refused(frequencies: list[float], width: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regions(np.array(frequencies), width)
