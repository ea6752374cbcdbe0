"""The rule that tunes currents: it moves what should have locked, by the part of the distance that was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.learning.current_tuning import CurrentTuning
from labneuro.signals import device_currents, source_currents

FREQUENCIES = np.array([332e6, 344e6, 356e6, 368e6])
SLOPES = np.array([5e9, 6e9, 7e9, 8e9])
START = np.full(4, 6e-3)
LOW, HIGH = np.full(4, 4e-3), np.full(4, 8e-3)


def rule(**options: object) -> CurrentTuning:
    defaults: dict[str, object] = {"low": LOW, "high": HIGH, "locking_range": 11e6, "rate": 0.25}
    return CurrentTuning(START, **(defaults | options))  # type: ignore[arg-type]


def present(tuned: CurrentTuning, tone: list[float], wanted: list[int], state: list[int]) -> np.ndarray:
    """Return by how much each frequency moves when one vowel is presented."""
    before = tuned.currents.copy()
    tuned.learn(np.array([tone]), np.array([wanted], np.int8), np.array([state], np.int8), FREQUENCIES, SLOPES)
    return (tuned.currents - before) * SLOPES


def test_an_oscillator_that_missed_its_tone_moves_a_part_of_the_way():
    moved = present(rule(), [336e6, 360e6], wanted=[1, 0, 2, 0], state=[0, 0, 0, 0])
    assert moved == pytest.approx([1e6, 0, 1e6, 0])


def test_on_error_leaves_alone_what_is_right_and_always_does_not():
    wanted = state = [1, 0, 2, 0]
    assert present(rule(), [336e6, 360e6], wanted, state) == pytest.approx(np.zeros(4))
    assert present(rule(update="always"), [336e6, 360e6], wanted, state) == pytest.approx([1e6, 0, 1e6, 0])


def test_an_oscillator_locked_to_the_wrong_source_moves_to_the_right_one():
    moved = present(rule(), [340e6, 352e6], wanted=[0, 2, 0, 0], state=[0, 1, 0, 0])
    assert moved == pytest.approx([0, 2e6, 0, 0])


def test_an_oscillator_that_should_run_free_is_pushed_out_of_the_tones_range():
    # 3 MHz above its frequency, the tone lies 2.5 MHz inside its range of +-5.5 MHz.
    moved = present(rule(), [335e6, 400e6], wanted=[0, 0, 0, 0], state=[1, 0, 0, 0])
    assert moved == pytest.approx([-0.625e6, 0, 0, 0])


def test_presentations_count_one_after_the_other():
    tuned = rule()
    tones = np.array([[336e6, 0.0], [336e6, 0.0]])
    tuned.learn(tones, np.array([[1, 0, 0, 0]] * 2, np.int8), np.zeros((2, 4), np.int8), FREQUENCIES, SLOPES)
    assert (tuned.currents[0] - START[0]) * SLOPES[0] == pytest.approx(4e6 * (1 - 0.75**2))


def test_the_rate_halves_after_as_many_steps_as_asked():
    tuned = rule(halving=1.0)
    moves = [present(tuned, [336e6, 0.0], [1, 0, 0, 0], [0, 0, 0, 0])[0] for _ in range(3)]
    assert moves == pytest.approx([1e6, 0.5e6, 1e6 / 3])


def test_the_safe_range_stops_a_step_and_says_so():
    tuned = rule(rate=1.0)
    present(tuned, [392e6, 0.0], wanted=[1, 0, 0, 0], state=[0, 0, 0, 0])
    assert tuned.currents[0] == HIGH[0]
    assert tuned.held.tolist() == [True, False, False, False]
    present(tuned, [332e6, 0.0], wanted=[1, 0, 0, 0], state=[1, 0, 0, 0])
    assert not tuned.held.any()


@given(st.lists(st.floats(250e6, 450e6), min_size=2, max_size=2), st.integers(0, 10**6), st.floats(0.01, 1.0))
def test_currents_never_leave_the_safe_range(tone, draw, rate):
    rng = np.random.default_rng(draw)
    tuned = rule(rate=rate, update="always")
    for _ in range(5):
        wanted, state = rng.integers(0, 3, (2, 1, 4)).astype(np.int8)
        tuned.learn(np.array([tone]), wanted, state, FREQUENCIES, SLOPES)
        assert np.all((tuned.currents >= LOW) & (tuned.currents <= HIGH))


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_part_of_the_distance_is_refused(rate):
    with pytest.raises(ValueError, match="rate is"):
        rule(rate=rate)


def test_a_start_outside_the_safe_range_is_refused():
    with pytest.raises(ValueError, match="oscillator 1 would start at 6 mA, outside the safe range of 7 to 8 mA"):
        rule(low=np.full(4, 7e-3))


def test_in_series_a_device_carries_the_sum_of_the_sources_before_it():
    sources = np.array([5e-3, 0.5e-3, -0.2e-3, 0.1e-3])
    assert device_currents(sources) == pytest.approx([5e-3, 5.5e-3, 5.3e-3, 5.4e-3])
    assert source_currents(device_currents(sources)) == pytest.approx(sources)


def test_in_series_moving_one_device_moves_two_sources():
    moved = START.copy()
    moved[1] += 0.1e-3
    assert source_currents(moved) - source_currents(START) == pytest.approx([0, 0.1e-3, -0.1e-3, 0])
