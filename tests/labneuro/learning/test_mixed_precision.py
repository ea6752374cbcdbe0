"""Changes are kept until a step is whole: the books balance, and a small network learns as in double precision."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from labneuro.learning.backpropagation import Backpropagation
from labneuro.learning.mixed_precision import MixedPrecision, drawn_pulses, refresh, rounded_pulses

STEP = 0.77  # µS
SCALE = 10.0  # µS per unit of weight


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_pulses_and_what_is_left_are_all_that_was_asked_for(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    rule, total, given_out = MixedPrecision((3, 2), STEP), np.zeros((3, 2)), np.zeros((3, 2))
    for _ in range(30):
        change = size * rng.standard_normal((3, 2))
        total += change
        given_out += rule.pulses(change)
        assert np.all(np.abs(rule.chi) <= STEP * (1 + 1e-9))
    np.testing.assert_allclose(given_out * STEP + rule.chi, total, atol=1e-9 * size * STEP)


def test_nothing_is_pulsed_before_a_step_is_whole() -> None:
    rule = MixedPrecision((1,), STEP)
    assert [int(rule.pulses(np.array([0.4 * STEP]))[0]) for _ in range(5)] == [0, 0, 1, 0, 1]
    assert rule.pulses(np.array([-3.5 * STEP])) == -3


def test_drawn_pulses_are_right_on_average_and_rounded_ones_are_not() -> None:
    change = np.full(100_000, -0.3 * STEP)
    assert drawn_pulses(change, STEP, np.random.default_rng(0)).mean() == pytest.approx(-0.3, abs=0.006)
    several = drawn_pulses(change - 2 * STEP, STEP, np.random.default_rng(0))
    assert several.mean() == pytest.approx(-2.3, abs=0.006)
    assert set(several.tolist()) == {-3, -2}
    assert not rounded_pulses(change, STEP).any()


def test_saturated_pairs_are_written_anew_with_the_same_difference() -> None:
    plus, minus = np.array([9.0, 9.0, 2.0, 6.0]), np.array([7.0, 1.0, 8.5, 5.0])
    anew = refresh(plus, minus, saturated=8.0, difference=7.0)
    assert anew.pairs.tolist() == [True, False, True, False]
    assert anew.plus.tolist() == [2.0, 9.0, 0.0, 6.0]
    assert anew.minus.tolist() == [0.0, 1.0, 6.5, 5.0]


@pytest.mark.parametrize("change", [np.array([0.0, np.nan]), np.zeros(3)])
def test_a_wrong_change_is_refused_and_leaves_nothing_behind(change: np.ndarray) -> None:
    rule = MixedPrecision((2,), STEP)
    with pytest.raises(ValueError, match=r"synapse \(1,\)|don't fit"):
        rule.pulses(change)
    assert not rule.chi.any()


def test_a_step_must_be_positive() -> None:
    with pytest.raises(ValueError, match="step is 0"):
        MixedPrecision((1,), 0.0)


class Pairs:
    """Pairs of phase-change devices, µS, without drift (Nandakumar et al., J. Appl. Phys. 124, 152135 (2018))."""

    def __init__(self, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._rng = rng
        self._g = np.full((2, *weights.shape), 0.1)
        self._memory = np.ones_like(self._g)
        self.spent = 0
        self._write(SCALE * weights, np.ones(weights.shape, bool))

    def pulse(self, counts: np.ndarray) -> None:
        """Apply counts, (2, rows, columns)."""
        self.spent += int(counts.sum())
        for k in range(counts.max(initial=0)):
            now = counts > k
            g, memory = self._g[now], self._memory[now] * np.exp(-1 / 2.6)
            mean, sd = -0.084 * g + 0.880 + 1.40 * memory, 0.091 * g + 0.260 + 2.15 * memory
            self._memory[now] = memory
            self._g[now] = np.clip(g + mean + sd * self._rng.standard_normal(g.shape), 0.1, 20.0)

    def read(self) -> np.ndarray:
        return self._g + (0.03 * self._g + 0.13) * self._rng.standard_normal(self._g.shape)

    def weights(self) -> np.ndarray:
        plus, minus = self.read()
        return (plus - minus) / SCALE

    def learn(self, pulses: np.ndarray) -> None:
        self.pulse(np.stack([np.maximum(pulses, 0), np.maximum(-pulses, 0)]))

    def refresh(self) -> None:
        anew = refresh(*self.read(), saturated=8.0, difference=4.0)
        self._write(anew.plus - anew.minus, anew.pairs)

    def _write(self, difference: np.ndarray, pairs: np.ndarray) -> None:
        self._g[:, pairs], self._memory[:, pairs] = 0.1, 1.0
        g = np.where(pairs, np.abs(difference), 0.0)
        counts = np.rint(0.027 * g**3 - 0.15 * g**2 + 0.81 * g).astype(int)
        self.pulse(np.stack([np.where(difference > 0, counts, 0), np.where(difference < 0, counts, 0)]))


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:1400]] / 16, np.eye(10)[labels[order[:1400]]], images[order[1400:]] / 16, labels[order[1400:]]


def train(rule: Callable[[tuple[int, ...]], Callable[[np.ndarray], np.ndarray]] | None) -> tuple[float, int]:
    """Return the accuracy of a 64-30-10 network on unseen digits and the pulses spent; without a rule, in float64."""
    rng = np.random.default_rng(1)
    x, targets, test_x, test_labels = digits()
    start = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in ((65, 30), (31, 10))]
    pairs = [Pairs(w, rng) for w in start]
    written = sum(p.spent for p in pairs)
    rules = [rule(w.shape) for w in start] if rule else []
    network = Backpropagation(2)

    def weights(k: int) -> np.ndarray:
        return pairs[k].weights() if rule else start[k]

    rate, batches = 0.3, 0
    for _ in range(6):
        for batch in rng.permutation(1400).reshape(-1, 10):
            activations = network.forward(x[batch], lambda k, v: v @ weights(k))
            factors = network.backward(activations, targets[batch], lambda k, d: d @ weights(k).T)
            batches += 1
            for k, (entering, d) in enumerate(factors):
                change = rate / len(batch) * entering.T @ d
                if rule:
                    pairs[k].learn(rules[k](SCALE * change))
                    if batches % 100 == 0:
                        pairs[k].refresh()
                else:
                    start[k] += change
        rate *= 0.9
    output = network.forward(test_x, lambda k, v: v @ weights(k))[-1]
    return float((output.argmax(axis=1) == test_labels).mean()), sum(p.spent for p in pairs) - written


def test_sums_of_changes_learn_digits_where_single_changes_drown() -> None:
    rng = np.random.default_rng(2)
    exact, _ = train(None)
    mixed, pulses = train(lambda shape: MixedPrecision(shape, STEP).pulses)
    drawn, many = train(lambda _: lambda change: drawn_pulses(change, STEP, rng))
    rounded, _ = train(lambda _: lambda change: rounded_pulses(change, STEP))
    assert exact > 0.95
    assert abs(mixed - exact) <= 0.02
    assert drawn < mixed - 0.1
    assert rounded < drawn - 0.1
    assert many > 5 * pulses
