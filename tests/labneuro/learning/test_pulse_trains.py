"""Coincidences of random trains: their mean and spread, the management of the trains, and no chance hidden."""

import numpy as np
import pytest

from labneuro.learning.pulse_trains import (
    draw_trains,
    stochastic_trains,
    train_lengths,
    train_probabilities,
)

RATE, STEP, X, D = 0.01, 0.001, 0.6, 0.3
SLOTS = np.uint32(0x7FFFFFFF)
TRIALS = 200_000  # the mean of 10 slots scatters by 0.15 %


def steps(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return how often each device moves, (vectors, rows, columns); down where the signs of its lines differ."""
    row, column = rows[:, :, np.newaxis], columns[:, np.newaxis, :]
    return np.where(row >> 31 == column >> 31, 1, -1) * np.bitwise_count(row & column & SLOTS)


def changes(length: int, *, balance: bool) -> np.ndarray:
    x, d = np.full((TRIALS, 1), X), np.full((TRIALS, 1), D)
    slots = np.full(TRIALS, length)
    rng = np.random.default_rng(5)
    p, q = train_probabilities(x, d, RATE, STEP, slots, balance=balance)
    return STEP * steps(draw_trains(x, p, slots, rng), draw_trains(d, q, slots, rng))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("length", "sd"), [(10, 0.00121), (31, 0.00130)])
def test_the_mean_is_the_product_and_the_spread_that_of_coin_tosses(length: int, sd: float, balance: bool) -> None:
    moved = changes(length, balance=balance)
    assert moved.mean() == pytest.approx(RATE * X * D, rel=0.01)
    assert moved.std() == pytest.approx(sd, rel=0.01)


def test_a_train_too_short_is_cut_at_certainty() -> None:
    assert changes(1, balance=False).mean() == pytest.approx(0.00095, rel=0.01)


def test_trains_are_as_long_as_the_largest_product_needs() -> None:
    x, d = np.array([[0.1, -0.6], [0.6, 0.0], [0.0, 0.0]]), np.array([[0.3], [50.0], [1.0]])
    assert train_lengths(x, d, RATE, STEP).tolist() == [2, 31, 0]
    assert train_lengths(x, d, RATE, STEP, longest=20).tolist() == [2, 20, 0]


def test_a_managed_train_needs_no_probability_above_1_and_balances_both_sides() -> None:
    rng = np.random.default_rng(0)
    x, d = rng.standard_normal((500, 20)), rng.standard_normal((500, 30)) * 1e-2
    slots = train_lengths(x, d, RATE, STEP)
    p, q = train_probabilities(x, d, RATE, STEP, slots)
    assert slots.max() < 31
    gain = RATE / (STEP * slots)[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(p[:, :, np.newaxis] * q[:, np.newaxis], gain * np.abs(x[:, :, np.newaxis] * d[:, None]))
    np.testing.assert_allclose(p.max(axis=1), q.max(axis=1))


def test_the_steps_of_a_batch_add_up_to_the_outer_product_with_its_signs() -> None:
    rng = np.random.default_rng(1)
    x, d = rng.uniform(-1, 1, 6), rng.uniform(-1, 1, 4)
    trials = 20_000
    rows, columns = stochastic_trains(np.tile(x, (trials, 1)), np.tile(d, (trials, 1)), RATE, STEP, rng)
    mean = STEP * steps(rows, columns).mean(axis=0)
    wanted = RATE * np.outer(x, d)
    np.testing.assert_allclose(mean, wanted, atol=5 * STEP * np.sqrt(10 * 0.25 / trials))


def test_trains_repeat_with_the_seed_and_lines_at_zero_are_silent() -> None:
    x, d = np.array([0.5, 0.0, -0.5]), np.array([1.0, 0.0])
    first, again = (stochastic_trains(x, d, 0.1, STEP, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a, b)
    rows, columns = first
    assert rows[1] == columns[1] == 0
    assert (rows >> 31).tolist() == [0, 0, 1]
    assert np.all(rows[[0, 2]] & SLOTS)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_sends_no_pulse(wrong: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        stochastic_trains(np.array([wrong]), np.array([1.0]), RATE, STEP, np.random.default_rng(0))


@pytest.mark.parametrize("longest", [0, 32])
def test_a_train_that_has_no_room_is_refused(longest: int) -> None:
    with pytest.raises(ValueError, match=f"longest is {longest}: a train has 1 to 31 slots"):
        stochastic_trains(np.ones(1), np.ones(1), RATE, STEP, np.random.default_rng(0), longest=longest)
