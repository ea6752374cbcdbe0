"""Four coupled oscillators learn to recognise spoken vowels (Romera et al., Nature 563, 230, 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from labneuro.calibration import Calibration, FreeRunning, sweep
from labneuro.datasets import vowels as spoken
from labneuro.following import RunSoFar
from labneuro.learning.current_tuning import CurrentTuning, Presentations
from labneuro.learning.perceptron import perceptron_baseline
from labneuro.learning.tone_map import learn_tone_map
from labneuro.roles import OscillatorChip
from labneuro.signals import StateArray, Tones, source_currents
from labneuro.store import RunFile
from labneuro.units import Current, Currents, FloatArray, Fraction, Frequencies, Frequency, Power, Unit
from labneuro.views.panels import (
    Curve,
    CurvePanel,
    Level,
    Mark,
    Panel,
    PointSet,
    SpectrumPanel,
    StateMapPanel,
)

PUBLISHED = {"train": 0.89, "held_out": 0.88}
"""What the experiment reached."""


@dataclass(frozen=True)
class VowelStep:
    """Currents before a step of learning, and how well the chip does with them.

    source_currents: what the sources deliver, which in series is less than what flows. frequency: free-running, as
    calibrated. train, held_out: fractions of the vowels in their synchronisation state, of the speakers that were
    learned from and of those that never were. held: oscillators that the safe range kept from their goal.
    """

    currents: Currents
    source_currents: Currents
    frequency: Frequencies
    train: Fraction
    held_out: Fraction
    held: NDArray[np.bool_]


@dataclass(frozen=True)
class VowelSet:
    """The vowels as the chip hears them.

    words: joined by commas. tones: (tokens, 2), Hz. labels: (tokens,). held_out: (tokens,), whether the speaker is
    held out. wanted: (words, oscillators), the synchronisation state that stands for each word. parameters: numbers
    that are trained, the weights of the tones and the currents.
    """

    words: str
    tones: Frequencies
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    wanted: StateArray
    parameters: int


@dataclass(frozen=True)
class ResponseMap:
    """The synchronisation states over the frequencies of both sources, (points, points, oscillators)."""

    frequency_a: Frequencies
    frequency_b: Frequencies
    states: StateArray


@dataclass(frozen=True)
class Emission:
    """What the chip emits while it hears one vowel of a training speaker.

    tones: of the sources, (2,), Hz. bins: (bins,), Hz, and density: (bins,), W/Hz, of the spectrum.
    """

    word: str
    tones: Frequencies
    bins: Frequencies
    density: Annotated[FloatArray, Unit("W/Hz")]


@dataclass(frozen=True)
class Perceptron:
    """A multilayer perceptron trained on the formants of the same speakers: what software makes of as many numbers."""

    parameters: int
    train: Fraction
    held_out: Fraction


def vowels(
    chip: OscillatorChip,
    *,
    data: spoken.Source = "peterson-barney",
    steps: Annotated[int, Ge(1)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    rate: Annotated[float, Gt(0), Le(1)] = 0.3,
    halving: Annotated[float, Gt(0)] = 20.0,
    update: Presentations = "on-error",
    held_out: Annotated[float, Gt(0), Lt(1)] = 0.2,
    spacing: Annotated[Frequency, Gt(0)] = 12e6,
    locking_range: Annotated[Frequency, Gt(0)] = 11e6,
    fewest_locks: Annotated[int, Ge(0), Le(2)] = 0,
    power: Annotated[Power, Gt(0)] = 1e-3,
    lowest_current: Annotated[Current, Gt(0)] = 4.6e-3,
    highest_current: Annotated[Current, Gt(0)] = 8e-3,
    map_points: Annotated[int, Ge(0)] = 81,
) -> Iterator[VowelStep | FreeRunning | VowelSet | ResponseMap | Emission | Perceptron]:
    """Teach coupled oscillators seven vowels by tuning their currents (Romera et al., Nature 563, 230, 2018).

    The formants of a vowel become the frequencies of two microwave sources by a linear map, learned on the training
    speakers for oscillators that run evenly spaced. Each vowel stands for one synchronisation state. The oscillators
    start 4 to 8 MHz off; each step presents every vowel once, said by some training speaker, and moves the currents of
    oscillators that should have locked and did not.

    Args:
        data: The vowels of Peterson & Barney 1952, which ship with labneuro, or Hillenbrand et al. 1995, as published.
        steps: Steps of learning.
        seed: Draws the held-out speakers, the first currents, and who speaks.
        rate: Part of the distance to the tone that one presentation covers.
        halving: Steps of learning after which the rate is half of what it was at first.
        update: Learn only from errors, or from every presentation.
        held_out: Fraction of the speakers never learned from.
        spacing: Distance of the oscillators' frequencies for which the tones are made.
        locking_range: Full range of frequencies over which a source locks an oscillator.
        fewest_locks: How many oscillators lock at least in the state of a vowel; 0 allows all states, 2 only pairs.
        power: Power of each source.
        lowest_current: Lower end of the range of currents used.
        highest_current: Upper end of the range of currents used.
        map_points: Frequencies of each source in the response maps before and after; 0 for no maps.
    """
    said = spoken.load(data)
    training, testing = spoken.split_by_speaker(said, held_out, seed)
    rng = np.random.default_rng(seed)

    rows: list[FreeRunning] = []
    for row in sweep(chip, np.linspace(lowest_current, highest_current, 7)):
        rows.append(row)
        yield row
    calibration = Calibration.fit(rows)
    goal = evenly_spaced(calibration, spacing)

    tone_map = learn_tone_map(
        said.features[training], said.labels[training], goal, width=locking_range, fewest_locks=fewest_locks
    )
    tones = tone_map.tones(said.features)
    chip.check(tones=Tones.at(tones, power))
    wanted = tone_map.states(said.labels)
    words = np.arange(len(said.vowels))
    numbers = tone_map.parameters + chip.oscillators
    yield VowelSet(", ".join(said.vowels), tones, said.labels, testing, tone_map.states(words), numbers)

    rule = CurrentTuning(
        detuned(calibration, goal, rng),
        low=calibration.low,
        high=calibration.high,
        locking_range=locking_range,
        rate=rate,
        halving=halving,
        update=update,
    )
    axis = np.linspace(min(tones.min(), goal.min() - spacing), max(tones.max(), goal.max() + spacing), map_points)
    for step in range(steps):
        chip.set_currents(rule.currents)
        if step == 0 and map_points > 1:
            yield response_map(chip, axis, power)
        states = chip.synchronisation(Tones.at(tones, power))
        right = np.all(states == wanted, axis=1)
        frequency = calibration.frequency(rule.currents)
        sources = source_currents(rule.currents) if chip.wiring == "series" else rule.currents.copy()
        yield VowelStep(
            rule.currents.copy(),
            sources,
            frequency,
            float(right[training].mean()),
            float(right[testing].mean()),
            rule.held,
        )
        heard = np.flatnonzero(training & (said.labels == step % len(words)))
        yield emission(chip, said.vowels[step % len(words)], tones[heard[step // len(words) % len(heard)]], power)
        if step < steps - 1:
            shown = np.array(
                [rng.choice(np.flatnonzero(training & (said.labels == word))) for word in rng.permutation(words)]
            )
            rule.learn(tones[shown], wanted[shown], states[shown], frequency, calibration.slope(rule.currents))
    if map_points > 1:
        yield response_map(chip, axis, power)

    # Software with about as many numbers, and with one hidden neuron more.
    neuron = len(said.feature_names) + len(said.vowels) + 1
    for about in (numbers, numbers + neuron):
        rates = perceptron_baseline(
            said.features[training], said.labels[training], said.features[testing], said.labels[testing], about, seed
        )
        yield Perceptron(rates.parameters, rates.train, rates.held_out)


def emission(chip: OscillatorChip, word: str, tones: FloatArray, power: float) -> Emission:
    """Take the spectrum with one vowel on the sources, `tones`, (2,), Hz, which are off afterwards."""
    chip.apply(Tones.at(tones, power))
    spectrum = chip.spectrum()
    chip.apply(None)
    return Emission(word, tones, spectrum.frequency, spectrum.density)


def response_map(chip: OscillatorChip, axis: FloatArray, power: float) -> ResponseMap:
    """Measure the synchronisation states over all pairs of source frequencies from `axis`, (points,), Hz."""
    states = chip.synchronisation(Tones.grid([axis, axis], power))
    return ResponseMap(axis, axis, states.reshape(axis.size, axis.size, -1))


def evenly_spaced(calibration: Calibration, spacing: float) -> FloatArray:
    """Return frequencies, (oscillators,), Hz, `spacing` apart, that need currents nearest to the middle of their range.

    Oscillators keep the order that they have at equal currents. Raises ValueError if the chip can't run so.
    """
    middle = (calibration.low + calibration.high) / 2
    rank = np.argsort(np.argsort(calibration.frequency(middle)))
    offsets = (rank - (rank.size - 1) / 2) * spacing
    best, best_strain = None, np.inf
    for center in np.mean(calibration.frequency(middle)) + np.arange(-10e6, 10e6, 0.1e6):
        strain = np.max(np.abs(calibration.current(center + offsets) - middle))
        if strain < best_strain:  # never where a frequency is out of reach: the strain is NaN
            best, best_strain = center + offsets, strain
    if best is None:
        raise ValueError(
            f"spacing: no currents between {calibration.low.max() * 1e3:.3g} and {calibration.high.min() * 1e3:.3g} mA "
            f"space these oscillators by {spacing / 1e6:g} MHz; take another spacing or a wider range of currents"
        )
    return best


def detuned(calibration: Calibration, goal: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw currents, (oscillators,), A, at which every oscillator runs 4 to 8 MHz above or below its `goal`, Hz."""
    for _ in range(1000):
        offset = rng.uniform(4e6, 8e6, goal.size) * rng.choice([-1, 1], goal.size)
        currents = calibration.current(goal + offset)
        if np.all(np.isfinite(currents)):
            return currents
    raise ValueError(
        "highest_current: the oscillators can't be detuned by 4 MHz within their range of currents; widen the range"
    )


def panels(run: RunFile | RunSoFar) -> list[Panel]:
    """Show the vowels on the maps before and after, and recognition, currents and frequencies against the step."""
    return [
        *_maps(run),
        _recognition(run),
        _against_step(run, "currents", "Direct current", "A"),
        _against_step(run, "frequency", "Free-running frequency", "Hz"),
    ]


def live(run: RunSoFar) -> list[Panel]:
    """Show the spectrum with a vowel on the sources, the latest map, recognition and currents."""
    if not run.at:
        return []
    shown: list[Panel] = []
    if "emission" in run.records:
        emitted = {name: values[-1] for name, values in run.records["emission"].items()}
        sources = [Mark(float(f), f"source {name}") for f, name in zip(emitted["tones"], "AB", strict=True)]
        peaks = [Mark(float(f), f"{i}") for i, f in enumerate(run.steps["frequency"][-1], start=1)]
        title = f"Emitted while it hears {emitted['word']}"
        shown.append(SpectrumPanel(title, emitted["bins"], emitted["density"], sources, peaks))
    return [*shown, *_maps(run)[-1:], _recognition(run), _against_step(run, "currents", "Direct current", "A")]


def _maps(run: RunFile | RunSoFar) -> list[Panel]:
    if "vowel_set" not in run.records or "response_map" not in run.records:
        return []
    vowel_set, maps = run.records["vowel_set"], run.records["response_map"]
    words, tones, labels, wanted = (vowel_set[name][0] for name in ("words", "tones", "labels", "wanted"))
    points = [
        PointSet(word, tones[labels == k], tuple(int(s) for s in wanted[k])) for k, word in enumerate(words.split(", "))
    ]
    titles = ("Before learning", "After learning")
    return [
        StateMapPanel(title, maps["frequency_a"][k], maps["frequency_b"][k], maps["states"][k], points)
        for k, title in enumerate(titles[: len(maps["states"])])
    ]


def _recognition(run: RunFile | RunSoFar) -> CurvePanel:
    steps, levels = run.steps, list[Level]()
    if "perceptron" in run.records:
        perceptron = run.records["perceptron"]
        levels = [
            Level(float(rate), f"perceptron, {count} parameters")
            for rate, count in zip(perceptron["held_out"], perceptron["parameters"], strict=True)
        ]
    return CurvePanel(
        title="Recognition",
        x_label="Step",
        x_unit="",
        y_label="Vowels recognised",
        y_unit="",
        curves=[
            Curve(steps["step"], steps["train"], "training speakers"),
            Curve(steps["step"], steps["held_out"], "held-out speakers"),
        ],
        y_range=(0.0, 1.0),
        levels=levels,
    )


def _against_step(run: RunFile | RunSoFar, field: str, label: str, unit: str) -> CurvePanel:
    values = run.steps[field].T
    curves = [Curve(run.steps["step"], of_one, f"oscillator {i}") for i, of_one in enumerate(values, start=1)]
    return CurvePanel(label, "Step", "", label, unit, curves)


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say what was learned, beside the experiment and beside software."""
    train, held_out = run.steps["train"], run.steps["held_out"]
    rows: list[tuple[str, str]] = []
    trained = ""
    if "vowel_set" in run.records:
        vowel_set = run.records["vowel_set"]
        held = int(np.sum(vowel_set["held_out"][0]))
        rows.append((f"{len(vowel_set['labels'][0])} vowels, {held} of them held out", str(vowel_set["words"][0])))
        trained = f", {int(vowel_set['parameters'][0])} parameters"
    rows += [
        ("oscillators at the start", f"train {train[0]:.3f}, held out {held_out[0]:.3f}"),
        (f"after {len(train)} steps{trained}", f"train {train[-1]:.3f}, held out {held_out[-1]:.3f}"),
        ("published, Hillenbrand, 30 parameters", f"train {PUBLISHED['train']}, held out {PUBLISHED['held_out']}"),
    ]
    if "perceptron" in run.records:
        p = run.records["perceptron"]
        rows += [
            (f"perceptron, {n} parameters", f"train {a:.3f}, held out {b:.3f}")
            for n, a, b in zip(p["parameters"], p["train"], p["held_out"], strict=True)
        ]
    held_back = np.flatnonzero(run.steps["held"][-1])
    if held_back.size:
        rows.append(("held back by the safe range", ", ".join(f"oscillator {i + 1}" for i in held_back)))
    return rows
