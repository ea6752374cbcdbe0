"""Solving A x = b exactly with an array that multiplies inexactly: iterative refinement in mixed precision.

Le Gallo et al., Nat. Electron. 1, 246 (2018). The residual r = b - A x is computed in double precision; the array only
finds a correction z with A z ≈ r, and x <- x + z. A relative error ρ < 1 of z shrinks the residual by ρ a step,
whatever the array's noise.

They find z by conjugate gradients. Here it is the best vector in a Krylov space of the array's noisy products,
y = argmin ‖r - P y‖ with P the products of the orthonormal basis V and z = V y: as GMRES (Saad and Schultz, SIAM J.
Sci. Stat. Comput. 7, 856 (1986)), which needs no symmetry, but with the products kept, not their projections, so that
noise can't spoil the recurrence. The outer step is exact: A z is made orthogonal to those before and z scaled such that
the residual is least (GMRESR, van der Vorst and Vuik, Numer. Linear Algebra Appl. 1, 369 (1994)): it never grows.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from labneuro.units import FloatArray

Multiply = Callable[[FloatArray], FloatArray]


class Refined(NamedTuple):
    """A solution, (n,), and its relative residual ‖b - A x‖/‖b‖."""

    x: FloatArray
    residual: float


def refine(
    matrix: FloatArray,
    right: FloatArray,
    multiply: Multiply,
    *,
    tolerance: float = 1e-12,
    inner: int = 6,
    steps: int = 100,
) -> Iterator[Refined]:
    """Yield ever better solutions until the residual is at most `tolerance`, nothing is left to gain, or so many steps.

    matrix: A, (n, n), not singular. right: b, (n,). multiply: an approximate A v for v of unit length. inner: its calls
    a step, at most. Raises ValueError for arrays that don't fit, a b that is zero, and for a b or a product
    that is not finite.
    """
    if right.ndim != 1 or matrix.shape != (right.size, right.size):
        raise ValueError(f"a matrix of shape {matrix.shape} and a right side of {right.shape} are no system to solve")
    scale = float(np.linalg.norm(right))
    if not 0 < scale < np.inf:
        raise ValueError(f"the right side has length {scale:g}: give one that is finite and not zero")
    x, r = np.zeros_like(right), right
    corrections, changes = np.zeros((0, right.size)), np.zeros((0, right.size))
    for _ in range(steps):
        z = _correction(r, multiply, inner)
        change = matrix @ z
        known = changes @ change
        reach = float(np.linalg.norm(change))
        z, change = z - known @ corrections, change - known @ changes
        length = float(np.linalg.norm(change))
        if length <= 1e-14 * reach:  # nothing new: rounding is all that is left, or A is singular
            return
        corrections, changes = np.vstack([corrections, z / length]), np.vstack([changes, change / length])
        x = x + corrections[-1] * (changes[-1] @ r)
        r = right - matrix @ x
        residual = float(np.linalg.norm(r)) / scale
        yield Refined(x, residual)
        if residual <= tolerance:
            return


def _correction(r: FloatArray, multiply: Multiply, inner: int) -> FloatArray:
    """Return z with A z ≈ r from `inner` products."""
    size = float(np.linalg.norm(r))
    basis: list[FloatArray] = [r / size]
    products: list[FloatArray] = []
    while True:
        products.append(multiply(basis[-1]))
        v = products[-1]
        if not np.isfinite(v).all():
            raise ValueError("the array's product is not finite: nothing can be learned from it")
        if len(products) == inner:
            break
        for _ in range(2):  # once more removes what rounding left
            v = v - np.array(basis).T @ (np.array(basis) @ v)
        length = float(np.linalg.norm(v))
        if length <= 1e-12 * float(np.linalg.norm(products[-1])):  # the space is complete
            break
        basis.append(v / length)
    y = np.linalg.lstsq(np.array(products).T, r, rcond=None)[0]
    return np.array(basis).T @ y
