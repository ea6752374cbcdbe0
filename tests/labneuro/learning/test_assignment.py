from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labneuro.learning.assignment import best_pair, cheapest_axes, partners

POSITION = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
LOCKS = np.array([-1, 0, 1, 2, 3, -1])
SQUARES = LOCKS[1:-1]


def random_form(classes: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(classes + 2, classes))
    return root.T @ root


def allowed(axis_a: np.ndarray, axis_b: np.ndarray, locks: np.ndarray) -> bool:
    states = list(zip(locks[axis_a].tolist(), locks[axis_b].tolist(), strict=True))
    return len(set(states)) == len(states) and not any(a == b >= 0 for a, b in states)


@given(seed=st.integers(0, 1000), free=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_cheapest_axes_are_found(seed: int, free: bool) -> None:
    """Against all 6^5 or 4^5; those that put more classes in one place than can be told apart are left out."""
    position, locks = (POSITION, LOCKS) if free else (POSITION[1:-1], SQUARES)
    form = random_form(5, seed)
    axes = np.array(list(product(range(len(position)), repeat=5)))
    room = {lock: len(set(locks.tolist())) - (lock >= 0) for lock in locks.tolist()}
    fits = [all((locks[axis] == lock).sum() <= most for lock, most in room.items()) for axis in axes]
    t = position[axes[fits]]
    lowest = np.sort(np.einsum("ak,kl,al->a", t, form, t))[:40]
    found, cost = cheapest_axes(form, position, locks, keep=40, beam=10_000)
    assert cost == pytest.approx(lowest)
    assert np.einsum("ak,kl,al->a", position[found], form, position[found]) == pytest.approx(lowest)


@given(seed=st.integers(0, 1000), free=st.booleans())
@settings(max_examples=20, deadline=None)
def test_partners_are_the_cheapest_that_keep_states_distinct(seed: int, free: bool) -> None:
    rng = np.random.default_rng(seed)
    locks = LOCKS if free else SQUARES
    axes = rng.integers(0, len(locks), (60, 4)).astype(np.int8)
    cost = rng.uniform(0, 1, 60)
    partner, partner_cost = partners(axes, cost, locks)
    for i in range(60):
        fitting = [j for j in range(60) if allowed(axes[i], axes[j], locks)]
        assert partner_cost[i] == min((cost[j] for j in fitting), default=np.inf)
        assert not fitting or partner[i] == min(fitting, key=lambda j: cost[j])


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
        assert cost[list(pair)].sum() == pytest.approx(min(pairs)[0], abs=2e-6)
        assert allowed(*axes[list(pair)], locks)


def test_without_distinct_states_there_is_no_pair() -> None:
    axes = np.array([[0, 1, 1], [1, 0, 0]], dtype=np.int8)
    assert best_pair(axes, np.zeros(2), np.array([0, 1])) is None


def test_mirror_images_are_not_told_apart_by_rounding() -> None:
    axes = np.array([[0, 1], [1, 0]], dtype=np.int8)
    pairs = [best_pair(axes, cost, np.array([0, 1])) for cost in (np.array([1, 1 + 1e-12]), np.array([1 + 1e-12, 1]))]
    assert pairs == [(0, 1), (0, 1)]
