"""The map from features of the data to the frequencies of two sources, learned for given oscillators.

Each frequency is a linear combination of the features plus a constant, f = w·x + c, as in Romera et al., Nature 563,
230 (2018), whose coefficients are not published: 2 (features + 1) numbers. This module finds them, together with the
synchronisation state that stands for each class, such that the tones of a class fall into the region of its state.
A state is a pair: the oscillator that locks to source A and the one that locks to B, or none.

In units of the width e of a region's soft edge, and with σ(u) = 1/(1 + exp(-u)), a tone v meant for the interval
[a, b] (see `labneuro.learning.regions`) lies in it with probability σ(b - v) σ(v - a). The map maximises the
likelihood of all training tones with a normal prior on the weights of standardised features: the variance that it
expects of the tones is s², that of tones spread evenly over the span of the oscillators' frequencies, s = span/√12.
So

    L(w, c) = Σ_points [log(1 + exp(v - b)) + log(1 + exp(a - v))] + Σw² d / (2 s²),    v = w·x + c

is to be minimised for d features. L is convex, and a sum over the two sources: given the intervals of the classes on
one source (an axis), its weights have one optimum, whatever the other does. So a search over assignments needs the
optimum of each axis once; the best assignment is the pair of axes with the lowest sum that keeps the states distinct.
Only the axes to which least squares to the intervals' middles fits best are tried.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.learning.assignment import Axes, Intervals, best_pair, shortlist
from labneuro.learning.regions import Regions
from labneuro.signals import StateArray
from labneuro.units import FloatArray

_REACH = 2.0  # spacings: how far beyond the outermost oscillators a free source's tones are wanted
_RIDGE = 1e-3  # relative to the features' variance, in the least squares that rank the axes
_SHORTLIST = 500
_BEAM = 20_000


@dataclass(frozen=True, eq=False)
class ToneMap:
    """An affine map from features to the frequencies of sources A and B, and the states its classes stand for.

    weights: (2, features), Hz per unit of the feature. constants: (2,), Hz. assignment: (classes, 2), the number
    from 0 of the oscillator that is to lock to A and of that for B; FREE (-1) where the source is to lock none.
    oscillators: their number.
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
    free: bool = True,
) -> ToneMap:
    """Learn the map and the assignment for oscillators that run at `frequencies`.

    Args:
        features: (points, features), any units; of the training speakers only.
        labels: (points,), the class of each point, numbered from 0.
        frequencies: (oscillators,), Hz, in the order of the chip.
        width: full locking width of an oscillator, Hz.
        edge: how soft the edges of the regions are, Hz: points are pushed about so far inside.
        free: whether a state may leave a source free, outside the band of the oscillators; if not, every class
            locks one oscillator to each source.

    Raises ValueError if there are more classes than states, or a class has no points.
    """
    regions = Regions(np.asarray(frequencies, dtype=np.float64), width)
    classes = int(labels.max()) + 1
    pairs = regions.oscillators * (regions.oscillators - 1)
    states = pairs + 2 * regions.oscillators + 1 if free else pairs
    if classes > states:
        raise ValueError(
            f"{classes} classes need {classes} synchronisation states, but {regions.oscillators} oscillators have "
            f"{states}: use fewer classes or more oscillators"
        )
    points = np.bincount(labels, minlength=classes)
    if not points.all():
        raise ValueError(f"class {points.argmin()} has no points to learn from")

    origin = float(regions.frequencies.mean())
    low, high, locks = regions.intervals(_REACH * regions.spacing)
    position = (low + high) / 2
    if not free:
        low, high, locks, position = low[1:-1], high[1:-1], locks[1:-1], position[1:-1]
    low, high, position = (low - origin) / edge, (high - origin) / edge, (position - origin) / edge

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    design = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    spread = float(np.ptp(regions.frequencies)) / 12**0.5 / edge
    prior = np.full(design.shape[1], features.shape[1] / spread**2)
    prior[-1] = 0.0

    axes, weights = _best_axes(design, labels, low, high, Intervals(position, locks), prior)
    slopes = weights[:, :-1] / deviation
    return ToneMap(
        weights=slopes * edge,
        constants=(weights[:, -1] - slopes @ mean) * edge + origin,
        assignment=locks[axes.T],
        oscillators=regions.oscillators,
    )


def _best_axes(
    design: FloatArray,
    labels: NDArray[np.integer],
    low: FloatArray,
    high: FloatArray,
    intervals: Intervals,
    prior: FloatArray,
) -> tuple[Axes, FloatArray]:
    """Return the axes of A and B, (2, classes), and their weights, (2, features + 1), in units of the edge."""
    form = _residual_form(design, labels)
    keep = _SHORTLIST
    while True:
        axes = shortlist(form, intervals, keep, max(_BEAM, keep))
        start = _least_squares(design, intervals.position[axes][:, labels])
        weights, cost = _fit(design, low[axes][:, labels], high[axes][:, labels], prior, start)
        pair = best_pair(axes, cost, intervals.locks)
        if pair is not None:
            return axes[list(pair)], weights[list(pair)]
        keep *= 4  # many classes for few states: good axes that fit together are rare


def _gram(design: FloatArray) -> FloatArray:
    gram = design.T @ design
    ridge = np.full(len(gram), _RIDGE * len(design))
    ridge[-1] = 0.0
    return gram + np.diag(ridge)


def _least_squares(design: FloatArray, targets: FloatArray) -> FloatArray:
    """Return the ridge solutions, (axes, features + 1), for `targets` (axes, points)."""
    return np.linalg.solve(_gram(design), design.T @ targets.T).T


def _residual_form(design: FloatArray, labels: NDArray[np.integer]) -> FloatArray:
    """Return the form, (classes, classes), of ridge least squares to targets that are equal within a class."""
    indicator = np.eye(int(labels.max()) + 1)[labels]
    across = design.T @ indicator
    return indicator.T @ indicator - across.T @ np.linalg.solve(_gram(design), across)


def _fit(
    design: FloatArray, low: FloatArray, high: FloatArray, prior: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Minimise L (see the module) for many axes at once by Newton's method, damped where a step doesn't descend.

    design: (points, features + 1). low, high: (axes, points). prior: (features + 1,), 1/variance of each weight.
    start: (axes, features + 1). Returns the weights, in the same shape, and L, (axes,).
    """
    identity = np.eye(design.shape[1])
    products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), -1)

    def loss(weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        tones = weights @ design.T
        above, below = np.logaddexp(0.0, tones - high), np.logaddexp(0.0, low - tones)
        value = (above + below).sum(axis=1) + (weights**2 @ prior) / 2
        return value, np.exp(tones - high - above), np.exp(low - tones - below)

    weights = start
    value, over, under = loss(weights)
    damping = np.full(len(weights), 1e-9)
    for _ in range(100):
        gradient = (over - under) @ design + weights * prior
        curvature = over * (1 - over) + under * (1 - under)
        hessian = (curvature @ products).reshape(-1, *identity.shape) + np.diag(prior)
        scale = damping * np.trace(hessian, axis1=1, axis2=2)
        step = np.linalg.solve(hessian + scale[:, np.newaxis, np.newaxis] * identity, gradient[:, :, np.newaxis])[..., 0]
        if float((gradient * step).sum(axis=1).max()) < 1e-9:
            break
        trial, over_trial, under_trial = loss(weights - step)
        down = trial <= value
        damping = np.where(down, damping / 10, np.maximum(damping * 10, 1e-4))
        down_axes = down[:, np.newaxis]
        weights = np.where(down_axes, weights - step, weights)
        over, under = np.where(down_axes, over_trial, over), np.where(down_axes, under_trial, under)
        value = np.where(down, trial, value)
    return weights, value
