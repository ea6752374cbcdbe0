"""Which class goes into which interval of each source's frequency, when nobody says so beforehand.

An *axis* says for every class in which interval one source shall lie, (classes,); an assignment is an axis
for source A and one for source B. Classes must differ in their state: the pair of oscillators that lock to A
and B. One oscillator can't be locked to both.
"""

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

_BLOCK = 500  # axes whose partners are sought at a time: bounds the memory

Axes = NDArray[np.int8]
"""Axes, one a row: (axes, classes), the interval of each class."""


def cheapest_axes(
    form: FloatArray, position: FloatArray, locks: NDArray[np.intp], *, keep: int, beam: int
) -> tuple[Axes, FloatArray]:
    """Return the `keep` axes of lowest t·form·t, best first, and these costs; t are the intervals' positions.

    form: (classes, classes), positive semidefinite, such as the residual of a least-squares fit to targets
    that are equal within a class. position: (intervals,). locks: (intervals,), which oscillator locks in an
    interval, negative for none: no more classes share it than states of the other source can tell apart.

    Axes are extended class by class; of the extensions those `beam` survive whose cost is lowest when the
    classes to come may lie anywhere, which is a lower bound on the cost.
    """
    classes = len(form)
    levels = np.arange(len(position), dtype=np.int8)
    capacity = np.unique(locks).size - (locks >= 0)
    same = locks[:, np.newaxis] == locks
    axes: Axes = np.zeros((1, 0), dtype=np.int8)
    bound = np.zeros(1)
    for known in range(1, classes + 1):
        axes = np.column_stack([np.repeat(axes, len(levels), axis=0), np.tile(levels, len(axes))])
        sharing = same[axes[:, -1:], axes].sum(axis=1)
        axes = axes[sharing <= capacity[axes[:, -1]]]
        t = position[axes]
        bound = ((t @ _free_rest(form, known)) * t).sum(axis=1)
        best = np.argsort(bound, kind="stable")[: beam if known < classes else keep]
        axes, bound = axes[best], bound[best]
    return axes, bound


def _free_rest(form: FloatArray, known: int) -> FloatArray:
    """Return the form of the first `known` variables where the others minimise it (the Schur complement)."""
    inside, across, rest = form[:known, :known], form[:known, known:], form[known:, known:]
    return inside - across @ np.linalg.solve(rest, across.T)


def partners(
    axes: Axes, cost: FloatArray, locks: NDArray[np.intp], *, silent: bool = True
) -> tuple[NDArray[np.intp], FloatArray]:
    """Return for each axis the cheapest one that gives all classes distinct states with it, and its cost.

    cost: (axes,). locks: (intervals,), which oscillator locks in an interval, negative for none. silent: whether a
    class may have the state in which no oscillator locks. The cost is infinite where there is no partner.
    """
    occupied = _occupied(locks[axes], silent=silent)
    partner = np.zeros(len(axes), dtype=np.intp)
    partner_cost = np.full(len(axes), np.inf)
    for start in range(0, len(axes), _BLOCK):
        block = slice(start, start + _BLOCK)
        fitting = np.where(occupied[block] @ occupied.T == 0, cost, np.inf)
        partner[block] = fitting.argmin(axis=1)
        partner_cost[block] = fitting.min(axis=1)
    return partner, partner_cost


def _occupied(locked: NDArray[np.intp], *, silent: bool) -> NDArray[np.float32]:
    """Return what an axis takes up, (axes, things), 1 or 0; two axes fit together where they share nothing.

    locked: (axes, classes), which oscillator locks. One axis at most may give two classes the same
    oscillator, or none, and one axis at most may lock a given oscillator for a given class, or, unless a class may
    be silent, leave it without a lock.
    """
    first, second = np.triu_indices(locked.shape[1], 1)
    undistinguished = locked[:, first] == locked[:, second]
    taken = [locked == oscillator for oscillator in range(0 if silent else -1, int(locked.max()) + 1)]
    return np.column_stack([undistinguished, *taken]).astype(np.float32)


def best_pair(axes: Axes, cost: FloatArray, locks: NDArray[np.intp], *, silent: bool = True) -> tuple[int, int] | None:
    """Return the two axes of lowest total cost that give every class a state of its own, or None.

    cost: (axes,). locks: (intervals,), which oscillator locks in an interval, negative for none. silent: as for
    `partners`. Costs that
    are equal to a millionth are equal; the axes that come first in the order of their numbers are then taken,
    so that mirror images aren't told apart by rounding.
    """
    order = np.lexsort(axes.T[::-1])
    cost = np.round(cost[order], 6)
    partner, partner_cost = partners(axes[order], cost, locks, silent=silent)
    first = int(np.argmin(cost + partner_cost))
    if np.isinf(partner_cost[first]):
        return None
    return int(order[first]), int(order[partner[first]])
