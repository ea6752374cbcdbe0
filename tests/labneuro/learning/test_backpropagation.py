"""The factors are the gradient, whoever multiplies, and a network learns with them."""

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest

from labneuro.learning.backpropagation import Backpropagation

Activation = Literal["sigmoid", "tanh", "softmax"]


def loss(output: np.ndarray, targets: np.ndarray, kind: Activation) -> float:
    if kind == "softmax":
        return float(-(targets * np.log(output)).sum())
    return float(0.5 * ((targets - output) ** 2).sum())


@pytest.mark.parametrize("bias", [1.0, 0.5, None])
@pytest.mark.parametrize(("hidden", "output"), [("sigmoid", "softmax"), ("tanh", "tanh"), ("tanh", "sigmoid")])
def test_the_factors_are_minus_the_gradient(
    hidden: Literal["sigmoid", "tanh"], output: Activation, bias: float | None
) -> None:
    rng = np.random.default_rng(3)
    sizes = (5, 4, 6, 3)
    weights = [rng.standard_normal((n + (bias is not None), m)) for n, m in pairwise(sizes)]
    x, targets = rng.standard_normal((7, 5)), np.eye(3)[rng.integers(0, 3, 7)]
    network = Backpropagation(3, hidden=hidden, output=output, bias=bias)

    activations = network.forward(x, lambda k, v: v @ weights[k])
    factors = network.backward(activations, targets, lambda k, d: d @ weights[k].T)

    for k, (entering, d) in enumerate(factors):
        gradient = np.zeros_like(weights[k])
        for index in np.ndindex(gradient.shape):
            ends = []
            for h in (1e-6, -1e-6):
                moved = [w.copy() for w in weights]
                moved[k][index] += h
                y = network.forward(x, lambda k, v: v @ moved[k])[-1]  # noqa: B023 - used at once
                ends.append(loss(y, targets, output))
            gradient[index] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(entering.T @ d, -gradient, atol=1e-7)


def test_the_first_layer_is_never_asked_backward() -> None:
    asked = []

    def backward(k: int, d: np.ndarray) -> np.ndarray:
        asked.append(k)
        return np.zeros((len(d), 4))

    network = Backpropagation(3)
    y = network.forward(np.zeros((2, 3)), lambda k, v: np.zeros((2, 3)))
    network.backward(y, np.zeros((2, 3)), backward)
    assert asked == [2, 1]


def test_activations_survive_large_sums() -> None:
    for output in ("softmax", "sigmoid", "tanh"):
        y = Backpropagation(1, output=output, bias=None).forward(np.array([[1e4, -1e4]]), lambda k, v: v)[-1]
        assert y[0].tolist() == [1, -1 if output == "tanh" else 0]


def test_targets_of_another_shape_are_refused() -> None:
    network = Backpropagation(1, bias=None)
    y = network.forward(np.zeros((2, 3)), lambda k, v: v)
    with pytest.raises(ValueError, match=r"targets of shape \(2, 1\) don't fit an output of \(2, 3\)"):
        network.backward(y, np.zeros((2, 1)), lambda k, d: d)
