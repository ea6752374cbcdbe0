"""The comparison: a multilayer perceptron with about as many trained numbers as the oscillators have."""
# scikit-learn declares no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

_RESTARTS = 5
_ITERATIONS = 300
_WEIGHT_DECAY = 1e-2


class Perceptron(NamedTuple):
    """What a perceptron reached: fractions of the training and held-out points, and its trained numbers."""

    train: float
    held_out: float
    parameters: int


def hidden_neurons(parameters: int, features: int, classes: int) -> int:
    """Return how many hidden neurons bring a perceptron nearest to so many trained numbers, one at least.

    One layer of h neurons between `features` inputs and `classes` outputs has h (features + classes + 1) +
    classes.
    """
    return max(1, round((parameters - classes) / (features + classes + 1)))


def perceptron_baseline(
    train_x: FloatArray,
    train_y: NDArray[np.integer],
    test_x: FloatArray,
    test_y: NDArray[np.integer],
    parameters: int,
    seed: int,
) -> Perceptron:
    """Train a perceptron with one hidden layer of tanh neurons and return its rates.

    The hidden layer has the size whose number of trained numbers is nearest to `parameters`. Features,
    (points, features), are standardised by the training points, which is not counted. Of five random starts
    (L-BFGS, 300 iterations, weight decay 0.01) the one with the highest rate on the training points is taken,
    of equals the one with the lowest loss: the held-out points are looked at once, at the end.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - slow to import, rarely needed
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - as above
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - as above

    features, classes = train_x.shape[1], len(np.unique(train_y))
    hidden = hidden_neurons(parameters, features, classes)
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    train_x, test_x = (train_x - mean) / deviation, (test_x - mean) / deviation
    starts: list[int] = np.random.default_rng(seed).integers(2**31, size=_RESTARTS).tolist()
    networks: list[tuple[float, float, Any]] = []
    with warnings.catch_warnings(), threadpool_limits(1):  # matrices this small only lose by threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is the rule
        for start in starts:
            network: Any = MLPClassifier(
                (hidden,),
                activation="tanh",
                solver="lbfgs",
                alpha=_WEIGHT_DECAY,
                max_iter=_ITERATIONS,
                random_state=start,
            )
            network.fit(train_x, train_y)
            networks.append((float(network.score(train_x, train_y)), -float(network.loss_), network))
        train, _, best = max(networks, key=lambda candidate: candidate[:2])
        held_out = float(best.score(test_x, test_y))
    return Perceptron(train, held_out, hidden * (features + classes + 1) + classes)
