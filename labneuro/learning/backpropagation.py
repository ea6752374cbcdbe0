"""Back-propagation where somebody else multiplies: an array of devices, a crossbar, or a matrix.

Layer k turns x_k, its inputs and a bias, into y_k = f(z_k) with z_k = x_k W_k (forward phase). Errors go back through
the same weights, d_(k-1) = f'(z_(k-1)) · (d_k W_kᵀ) without the bias' part (backward phase). What a rule needs to move
the weights are the factors of the outer product, ΔW_k = η x_kᵀ d_k (update phase). d is minus the gradient of the
cross-entropy for softmax, of half the squared error for tanh and sigmoid; see Rumelhart et al., Nature 323, 533 (1986).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from labneuro.units import FloatArray

Product = Callable[[int, FloatArray], FloatArray]
"""product(k, vectors): layer k's weights times a batch of vectors, forward or backward."""


class Factors(NamedTuple):
    """A layer's outer product: x, (batch, inputs with the bias), and d, (batch, outputs)."""

    x: FloatArray
    d: FloatArray


@dataclass(frozen=True)
class Backpropagation:
    """The phases for a stack of fully connected layers.

    bias: what the last input of each layer is held at; None leaves that input away.
    """

    layers: int
    hidden: Literal["sigmoid", "tanh"] = "sigmoid"
    output: Literal["sigmoid", "tanh", "softmax"] = "softmax"
    bias: float | None = 1.0

    def forward(self, inputs: FloatArray, product: Product) -> tuple[FloatArray, ...]:
        """Return what enters each layer, (batch, inputs with the bias), and at last the output, (batch, outputs).

        inputs: (batch, inputs). product(k, x) is x W_k.
        """
        entering: list[FloatArray] = []
        y = inputs
        for k in range(self.layers):
            entering.append(y if self.bias is None else np.column_stack([y, np.full(len(y), self.bias)]))
            y = _activation(product(k, entering[k]), self.output if k == self.layers - 1 else self.hidden)
        return *entering, y

    def backward(self, activations: tuple[FloatArray, ...], targets: FloatArray, product: Product) -> list[Factors]:
        """Return each layer's factors. activations: as of `forward`. product(k, d) is d W_kᵀ, asked for all k but 0.

        Raises ValueError for targets that don't have the shape of the output.
        """
        *entering, y = activations
        if targets.shape != y.shape:
            raise ValueError(f"targets of shape {targets.shape} don't fit an output of {y.shape}: give one a neuron")
        d = targets - y
        if self.output != "softmax":
            d = d * _slope(y, self.output)
        factors = [Factors(entering[-1], d)]
        for k in range(self.layers - 1, 0, -1):
            y = entering[k] if self.bias is None else entering[k][:, :-1]
            d = product(k, d)[:, : y.shape[1]] * _slope(y, self.hidden)
            factors.insert(0, Factors(entering[k - 1], d))
        return factors


def _activation(z: FloatArray, kind: str) -> FloatArray:
    if kind == "tanh":
        return np.tanh(z)
    if kind == "sigmoid":
        return 0.5 + 0.5 * np.tanh(0.5 * z)
    likelihood = np.exp(z - z.max(axis=1, keepdims=True))
    return likelihood / likelihood.sum(axis=1, keepdims=True)


def _slope(y: FloatArray, kind: str) -> FloatArray:
    """Return df/dz in terms of y = f(z)."""
    return 1 - y**2 if kind == "tanh" else y * (1 - y)
