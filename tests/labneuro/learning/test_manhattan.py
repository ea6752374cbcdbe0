"""Prezioso's perceptron on pairs of soft-bound devices, and what the rule itself promises."""

import numpy as np
import pytest

from labneuro.learning.manhattan import manhattan_signs, pair_pulses

LOW, HIGH, START = 10e-6, 100e-6, 35e-6  # S
VOLTAGE, GAIN, TARGET = 0.1, 2e5, 0.85  # V, 1/A
LETTERS = ("110010011", "101101010", "010101101")  # z, v, n
SEEDS = 200


def patterns() -> tuple[np.ndarray, np.ndarray]:
    """Return voltages (30, 10), with the bias last, and classes (30,): each letter and it with one pixel inverted."""
    letters = np.array([[1 if pixel == "1" else -1 for pixel in letter] for letter in LETTERS])
    flips = np.vstack([np.ones(9), 1 - 2 * np.eye(9)])
    pixels = (letters[:, np.newaxis, :] * flips).reshape(-1, 9)
    return VOLTAGE * np.column_stack([pixels, -np.ones(len(pixels))]), np.repeat(np.arange(3), 10)


def epochs_to_no_error(step: float, nonlinearity: float, seed: int = 1) -> np.ndarray:
    """Return for each of 200 arrays after how many batches all patterns are right; -1 if not after 100."""
    rng = np.random.default_rng(seed)
    inputs, classes = patterns()
    targets = np.where(classes[:, np.newaxis] == np.arange(3), TARGET, -TARGET)
    shape = (SEEDS, 10, 3, 2)
    conductance = START * (1 + 0.1 * rng.standard_normal(shape))
    scale = step * (1 + 0.3 * rng.standard_normal(shape))
    epochs = np.full(SEEDS, -1)
    for epoch in range(101):
        currents = inputs @ (conductance[..., 0] - conductance[..., 1])
        right = (currents.argmax(axis=-1) == classes).all(axis=-1)
        epochs[(epochs < 0) & right] = epoch
        if (epochs >= 0).all():
            break
        raised, lowered = pair_pulses(manhattan_signs(inputs, currents, targets, GAIN))
        size = scale * (1 + 0.3 * rng.standard_normal(shape))
        room = np.where(raised, HIGH - conductance, conductance - LOW) / (HIGH - LOW)
        change = size * room**nonlinearity * (raised.astype(int) - lowered.astype(int))
        conductance = np.clip(conductance + change, LOW, HIGH)
    return epochs


# Means measured independently. Means of 200 arrays scatter by 2 %, two of them differ by 9 % at three deviations.
@pytest.mark.parametrize(
    ("step", "nonlinearity", "mean"),
    [
        *[(0.25e-6, 0, 9.9), (0.25e-6, 1, 19.6), (0.25e-6, 2, 31.6)],
        *[(0.5e-6, 0, 5.2), (0.5e-6, 1, 10.0), (0.5e-6, 2, 16.1), (1e-6, 1, 5.4), (2e-6, 1, 2.8)],
    ],
)
def test_every_array_learns_the_letters_in_the_expected_epochs(step: float, nonlinearity: float, mean: float) -> None:
    epochs = epochs_to_no_error(step, nonlinearity)
    assert epochs.min() >= 0
    assert epochs.mean() == pytest.approx(mean, rel=0.09)


def test_the_sign_is_that_of_the_steepest_descent() -> None:
    rng = np.random.default_rng(0)
    inputs, weights = rng.uniform(-0.1, 0.1, (12, 5)), rng.uniform(-5e-5, 5e-5, (5, 3))
    targets = rng.choice([-TARGET, TARGET], (12, 3))

    def error(moved: np.ndarray) -> float:
        return float(((targets - np.tanh(GAIN * inputs @ moved)) ** 2).sum())

    signs = manhattan_signs(inputs, inputs @ weights, targets, GAIN)
    for i, j in np.ndindex(5, 3):
        probe = np.zeros((5, 3))
        probe[i, j] = 1e-10
        assert np.sign(error(weights - probe) - error(weights + probe)) == signs[i, j]


def test_both_devices_of_a_pair_move_and_in_opposite_directions() -> None:
    raised, lowered = pair_pulses(np.array([[1, -1, 0]], np.int8))
    assert raised.reshape(1, 6).tolist() == [[True, False, False, True, False, False]]
    assert lowered.reshape(1, 6).tolist() == [[False, True, True, False, False, False]]


def test_a_current_that_was_not_measured_pulses_nothing() -> None:
    with pytest.raises(ValueError, match="not finite"):
        manhattan_signs(np.ones((1, 1)), np.array([[np.nan]]), np.ones((1, 1)), GAIN)
