"""Which class goes into which interval of each source's frequency, when nobody says so beforehand.

An *axis* says for every class in which interval one source shall lie, (classes,); an assignment is an axis
for source A and one for source B. Classes must differ in their state: the pair of oscillators that lock to A
and B. One oscillator can't be locked to both.
"""

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

Axes = NDArray[np.int8]
"""Axes, one a row: (axes, classes), the interval of each class."""


def shortlist(
    form: FloatArray, position: FloatArray, locks: NDArray[np.intp], *, keep: int, beam: int
) -> Axes:
    """Return the `keep` axes of lowest t·form·t, best first, where t are the positions of their intervals.

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
    for known in range(1, classes + 1):
        axes = np.column_stack([np.repeat(axes, len(levels), axis=0), np.tile(levels, len(axes))])
        sharing = same[axes[:, -1:], axes].sum(axis=1)
        axes = axes[sharing <= capacity[axes[:, -1]]]
        t = position[axes]
        bound = ((t @ _free_rest(form, known)) * t).sum(axis=1)
        axes = axes[np.argsort(bound, kind="stable")[: beam if known < classes else keep]]
    return axes


def _free_rest(form: FloatArray, known: int) -> FloatArray:
    """Return the form of the first `known` variables where the others minimise it (the Schur complement)."""
    inside, across, rest = form[:known, :known], form[:known, known:], form[known:, known:]
    return inside - across @ np.linalg.solve(rest, across.T)


def best_pair(axes: Axes, cost: FloatArray, locks: NDArray[np.intp]) -> tuple[int, int] | None:
    """Return the two axes of lowest total cost that give every class a state of its own, or None.

    cost: (axes,). locks: (intervals,), which oscillator locks in an interval, negative for none. Costs are
    equal if they are to a millionth; the first axes in the order of their numbers are then taken, so that
    mirror images, which cost the same, aren't told apart by rounding.
    """
    cost = np.round(cost, 6)
    order = np.lexsort((*axes.T[::-1], cost))
    cost, locked = cost[order], locks[axes[order]]
    kinds = int(locks.max()) + 2
    best: tuple[int, int] | None = None
    lowest = float("inf")
    for i in range(len(order)):
        end = int(np.searchsorted(cost, lowest - float(cost[i])))
        if end <= i:
            break
        states = np.sort(locked[i] * kinds + locked[i:end], axis=1)
        distinct = (np.diff(states, axis=1) > 0).all(axis=1)
        twice = ((locked[i:end] == locked[i]) & (locked[i] >= 0)).any(axis=1)
        fitting = np.flatnonzero(distinct & ~twice)
        if len(fitting):
            j = i + int(fitting[0])
            best, lowest = (int(order[i]), int(order[j])), float(cost[i] + cost[j])
    return best
