from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labneuro.learning.assignment import best_pair, shortlist

POSITION = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
LOCKS = np.array([-1, 0, 1, 2, 3, -1])
SQUARES = LOCKS[1:-1]


def random_form(classes: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(classes + 2, classes))
    form = root.T @ root
    return form


def allowed(axis_a: np.ndarray, axis_b: np.ndarray, locks: np.ndarray) -> bool:
    states = list(zip(locks[axis_a].tolist(), locks[axis_b].tolist(), strict=True))
    return len(set(states)) == len(states) and not any(a == b >= 0 for a, b in states)


@given(seed=st.integers(0, 1000), free=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_shortlist_has_the_axes_of_lowest_cost(seed: int, free: bool) -> None:
    """Against all 6^5 or 4^5 of them; those whose interval holds more classes than can be told apart are left out."""
    position, locks = (POSITION, LOCKS) if free else (POSITION[1:-1], SQUARES)
    form = random_form(5, seed)
    axes = np.array(list(product(range(len(position)), repeat=5)))
    room = {lock: len(set(locks.tolist())) - (lock >= 0) for lock in locks.tolist()}
    fits = [all((locks[axis] == lock).sum() <= most for lock, most in room.items()) for axis in axes]
    t = position[axes[fits]]
    cost = np.sort(np.einsum("ak,kl,al->a", t, form, t))
    found = position[shortlist(form, position, locks, keep=40, beam=10_000)]
    assert np.einsum("ak,kl,al->a", found, form, found) == pytest.approx(cost[:40])


@given(seed=st.integers(0, 1000), free=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_best_pair_is_the_cheapest_that_keeps_states_distinct(seed: int, free: bool) -> None:
    rng = np.random.default_rng(seed)
    locks = LOCKS if free else SQUARES
    axes = rng.integers(0, len(locks), (60, 4)).astype(np.int8)
    cost = rng.uniform(0, 1, 60)
    pairs = [(cost[i] + cost[j], i, j) for i in range(60) for j in range(i, 60) if allowed(axes[i], axes[j], locks)]
    pair = best_pair(axes, cost, locks)
    assert (pair is None) == (not pairs)
    if pair is not None:
        assert sorted(pair) == sorted(min(pairs)[1:])


def test_without_distinct_states_there_is_no_pair() -> None:
    axes = np.array([[0, 1, 1], [1, 0, 0]], dtype=np.int8)
    assert best_pair(axes, np.zeros(2), np.array([0, 1])) is None


def test_mirror_images_are_not_told_apart_by_rounding() -> None:
    axes = np.array([[0, 1], [1, 0]], dtype=np.int8)
    pairs = [best_pair(axes, cost, np.array([0, 1])) for cost in (np.array([1, 1 + 1e-12]), np.array([1 + 1e-12, 1]))]
    assert pairs == [(0, 1), (0, 1)]
