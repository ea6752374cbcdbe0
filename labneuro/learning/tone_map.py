"""The map from features of the data to the frequencies of two sources, learned for given oscillators.

Each frequency is a linear combination of the features plus a constant, f = w·x + c, as in Romera et al.,
Nature 563, 230 (2018), whose coefficients are not published: 2 (features + 1) numbers. They are found here
together with the synchronisation state that stands for each class, such that the tones of a class fall into
the region of its state. A state is a pair: the oscillator that locks to source A and the one that locks to B,
or none.

With frequencies in units of the width of a region's soft edge, and σ(u) = 1/(1 + exp(-u)), a tone v meant for
the interval [a, b] (see `labneuro.learning.regions`) is in it with probability σ(b - v) σ(v - a). The map
maximises the likelihood of all training tones with a normal prior on the weights of standardised features,
under which the tones have the variance s² that they have when spread evenly over the span of the oscillators'
frequencies, s = span/√12. For d features, that is to minimise

    L(w, c) = Σ_points [log(1 + exp(v - b)) + log(1 + exp(a - v))] + Σw² d/(2 s²),    v = w·x + c.

L is convex and a sum over the two sources: given the intervals of the classes on one source (an axis), its
weights have one optimum, whatever the other source does. So the search for an assignment needs the optimum of
each axis once; the best assignment is the pair of axes with the lowest sum that keeps the states distinct.
Only those axes are tried that make the best pairs when judged by the residuals of least squares to the
middles of the intervals, which come from a quadratic form for all axes at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.learning.assignment import Axes, best_pair, cheapest_axes, partners
from labneuro.learning.regions import Intervals, Regions
from labneuro.signals import StateArray
from labneuro.units import FloatArray

_REACH = 2.0  # spacings: how far beyond the outermost oscillators a free source's tones are wanted
_RIDGE = 1e-3  # relative to the features' variance, in the least squares that rank the axes
_AXES = (2_000, 8_000, 30_000)  # judged by least squares; with many classes few axes fit together
_BEAM = 20_000
_TRIED = 300  # judged by L
_NEWTON_STEPS = 100
_DECREMENT = 1e-9  # of L, below which no further Newton step is taken


@dataclass(frozen=True, eq=False)
class ToneMap:
    """An affine map from features to the frequencies of sources A and B, and the states of its classes.

    weights: (2, features), Hz per unit of the feature. constants: (2,), Hz. assignment: (classes, 2), the
    number from 0 of the oscillator that is to lock to A and of that for B; FREE (-1) where the source is to
    lock none. oscillators: their number.
    """

    weights: FloatArray
    constants: FloatArray
    assignment: NDArray[np.intp]
    oscillators: int

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return self.weights.size + self.constants.size

    def tones(self, features: FloatArray) -> FloatArray:
        """Return the frequencies of sources A and B, (points, 2), Hz, for `features` (points, features)."""
        return features @ self.weights.T + self.constants

    def states(self, labels: NDArray[np.integer]) -> StateArray:
        """Return the wanted synchronisation states, (points, oscillators), of points of classes `labels`."""
        wanted = np.zeros((len(self.assignment), self.oscillators), dtype=np.int8)
        for source in (0, 1):
            locked = np.flatnonzero(self.assignment[:, source] >= 0)
            wanted[locked, self.assignment[locked, source]] = source + 1
        return wanted[labels]


def learn_tone_map(
    features: FloatArray,
    labels: NDArray[np.integer],
    frequencies: FloatArray,
    *,
    width: float = 11e6,
    edge: float = 1e6,
    fewest_locks: int = 0,
) -> ToneMap:
    """Learn the map and the assignment for oscillators that run at `frequencies`.

    features: (points, features), in any units, and labels: (points,), their classes from 0; of the training
    speakers only. frequencies: (oscillators,), Hz, in the order of the chip. width: full locking width of an
    oscillator, Hz. edge: how soft the edges of its range are, Hz; tones are kept about so far inside.
    fewest_locks: how many oscillators the state of a class locks at least. 2: one to each source. 1: a source may
    stay free, below or above all oscillators, up to two spacings away. 0: both may.

    Raises ValueError if a feature is not finite, a class has no points, or there are too many classes.
    """
    regions = Regions(np.asarray(frequencies, dtype=np.float64), width)
    _check(features, labels, regions.oscillators, fewest_locks)
    intervals = regions.intervals(beyond=_REACH * regions.spacing if fewest_locks < 2 else None)
    origin = float(regions.frequencies.mean())
    in_edges = Intervals(
        low=(intervals.low - origin) / edge,
        high=(intervals.high - origin) / edge,
        position=(intervals.position - origin) / edge,
        locks=intervals.locks,
    )
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    design: FloatArray = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    spread = float(np.ptp(regions.frequencies)) / 12**0.5 / edge
    prior = np.full(design.shape[1], features.shape[1] / spread**2)
    prior[-1] = 0.0

    axes, weights = _best_axes(design, labels, in_edges, prior, silent=fewest_locks == 0)
    slopes = weights[:, :-1] / deviation
    return ToneMap(
        weights=slopes * edge,
        constants=(weights[:, -1] - slopes @ mean) * edge + origin,
        assignment=intervals.locks[axes.T],
        oscillators=regions.oscillators,
    )


def _check(features: FloatArray, labels: NDArray[np.integer], oscillators: int, fewest_locks: int) -> None:
    if not np.isfinite(features).all():
        raise ValueError("features must be finite: fill or leave out what could not be measured")
    if fewest_locks not in {0, 1, 2}:
        raise ValueError(f"a state can't lock {fewest_locks} oscillators at least: give 0, 1 or 2")
    points = np.bincount(labels)
    if not points.all():
        raise ValueError(f"class {points.argmin()} has no points to learn from")
    states = sum((1, 2 * oscillators, oscillators * (oscillators - 1))[fewest_locks:])
    if len(points) > states:
        raise ValueError(
            f"{len(points)} classes need as many synchronisation states, but {oscillators} oscillators have "
            f"{states}: use fewer classes or more oscillators"
        )


def _best_axes(
    design: FloatArray, labels: NDArray[np.integer], intervals: Intervals, prior: FloatArray, *, silent: bool
) -> tuple[Axes, FloatArray]:
    """Return the axes of A and B, (2, classes), and their weights, (2, features + 1)."""
    low, high, position, locks = intervals.low, intervals.high, intervals.position, intervals.locks
    gram = design.T @ design + np.diag(np.where(prior > 0, _RIDGE * len(design), 0.0))
    indicator = np.eye(int(labels.max()) + 1)[labels]
    across = design.T @ indicator
    residual = indicator.T @ indicator - across.T @ _solve(gram, across)
    for length in _AXES:
        axes, cost = cheapest_axes(residual, position, locks, keep=length, beam=max(length, _BEAM))
        _, partner_cost = partners(axes, cost, locks, silent=silent)
        axes = axes[np.argsort(cost + partner_cost, kind="stable")[:_TRIED]]
        start = _solve(gram, design.T @ position[axes][:, labels].T).T
        weights, cost = _fit(design, low[axes][:, labels], high[axes][:, labels], prior, start)
        pair = best_pair(axes, cost, locks, silent=silent)
        if pair is not None:
            return axes[list(pair)], weights[list(pair)]
    raise ValueError(
        f"found no synchronisation states that differ for {len(residual)} classes: use fewer classes or more "
        f"oscillators"
    )


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def _fit(
    design: FloatArray, low: FloatArray, high: FloatArray, prior: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Minimise L for many axes at once by Newton's method, damped where a step doesn't descend.

    design: (points, features + 1). low, high: (axes, points). prior: (features + 1,), 1/variance of each
    weight. start: (axes, features + 1). Returns the weights, in the same shape, and L, (axes,).
    """
    points, parameters = design.shape
    identity = np.eye(parameters)
    products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(points, parameters**2)

    def loss(weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return L, (axes,), and the probabilities, (axes, points), of being above and below the interval."""
        tones = weights @ design.T
        above, below = np.logaddexp(0.0, tones - high), np.logaddexp(0.0, low - tones)
        value = (above + below).sum(axis=1) + weights**2 @ prior / 2
        return value, np.exp(tones - high - above), np.exp(low - tones - below)

    weights = start.copy()
    value, over, under = loss(weights)
    damping = np.full(len(weights), 1e-9)
    for _ in range(_NEWTON_STEPS):
        gradient = (over - under) @ design + weights * prior
        curvature = over * (1 - over) + under * (1 - under)
        hessian = (curvature @ products).reshape(-1, parameters, parameters) + np.diag(prior)
        scale = damping * np.trace(hessian, axis1=1, axis2=2)
        damped = hessian + scale[:, np.newaxis, np.newaxis] * identity
        step = _solve(damped, gradient[:, :, np.newaxis])[:, :, 0]
        if (gradient * step).sum(axis=1).max() < _DECREMENT:
            break
        trial, trial_over, trial_under = loss(weights - step)
        down = trial <= value
        damping = np.where(down, damping / 10, np.maximum(damping * 10, 1e-4))
        value[down], weights[down] = trial[down], (weights - step)[down]
        over[down], under[down] = trial_over[down], trial_under[down]
    return weights, value
