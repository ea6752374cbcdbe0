"""The array's noise costs steps, not digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labneuro.learning.solver import Multiply, refine


def definite(size: int, condition: float, rng: np.random.Generator) -> np.ndarray:
    q = np.linalg.qr(rng.standard_normal((size, size)))[0]
    return q * np.geomspace(1, condition, size) @ q.T


def noisy(matrix: np.ndarray, error: float, rng: np.random.Generator) -> Multiply:
    """Return the product of an array: each element off by a fixed relative error, each product by a fresh one."""
    written = matrix * (1 + error * rng.standard_normal(matrix.shape))

    def multiply(v: np.ndarray) -> np.ndarray:
        y = written @ v
        return y + error * np.linalg.norm(y) / np.sqrt(y.size) * rng.standard_normal(y.size)

    return multiply


@pytest.mark.parametrize(("size", "steps"), [(100, 14), (500, 14)])
def test_one_percent_of_noise_leaves_no_trace_in_the_solution(size: int, steps: int) -> None:
    """Independent figures, by conjugate gradients: below 1e-5 after 5 steps, 1e-14 after 14."""
    rng = np.random.default_rng(size)
    matrix, right = definite(size, 10.0, rng), rng.standard_normal(size)
    history = list(refine(matrix, right, noisy(matrix, 0.01, rng), steps=steps))
    assert history[4].residual < 1e-5
    assert history[-1].residual < 1e-12
    np.testing.assert_allclose(matrix @ history[-1].x, right, rtol=0, atol=1e-11 * np.linalg.norm(right))


def test_a_matrix_need_not_be_symmetric() -> None:
    rng = np.random.default_rng(1)
    matrix = 3 * np.eye(100) + rng.standard_normal((100, 100)) / 10
    *_, last = refine(matrix, np.ones(100), noisy(matrix, 0.01, rng))
    assert last.residual < 1e-12


def test_an_array_that_multiplies_exactly_solves_a_small_system_at_once() -> None:
    matrix = np.array([[2.0, 1.0], [0.0, 3.0]])
    (only,) = refine(matrix, np.array([1.0, 2.0]), lambda v: matrix @ v)
    np.testing.assert_allclose(only.x, [1 / 6, 2 / 3], rtol=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 2))
def test_the_residual_never_grows_whatever_the_noise(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    matrix, right = definite(20, 100.0, rng), rng.standard_normal(20)
    residuals = [1.0, *(step.residual for step in refine(matrix, right, noisy(matrix, error, rng), steps=15))]
    assert np.all(np.diff(residuals) <= 1e-12)


def test_each_step_asks_the_array_as_often_as_agreed() -> None:
    rng = np.random.default_rng(0)
    matrix, calls = definite(30, 10.0, rng), []

    def multiply(v: np.ndarray) -> np.ndarray:
        calls.append(float(np.linalg.norm(v)))
        return matrix @ v

    steps = len(list(refine(matrix, np.ones(30), multiply, inner=4, steps=3, tolerance=0.0)))
    assert len(calls) == 4 * steps == 12
    assert calls == pytest.approx(np.ones(12))


def test_a_product_that_is_no_number_ends_it() -> None:
    with pytest.raises(ValueError, match="product is not finite"):
        next(refine(np.eye(2), np.ones(2), lambda v: v * np.nan))


def test_a_singular_matrix_ends_without_a_solution() -> None:
    assert list(refine(np.zeros((2, 2)), np.ones(2), lambda v: 0 * v)) == []


@pytest.mark.parametrize(
    ("matrix", "right"),
    [
        (np.eye(2), np.zeros(2)),
        (np.eye(2), np.array([1, np.nan])),
        (np.eye(2), np.ones(3)),
        (np.ones((2, 3)), np.ones(3)),
    ],
)
def test_what_is_no_system_is_refused(matrix: np.ndarray, right: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"right side"):
        next(refine(matrix, right, lambda v: v))
