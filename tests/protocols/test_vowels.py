"""The main job: four emulated oscillators learn vowels (check V2)."""

import os
from pathlib import Path

import numpy as np
import pytest

from labneuro.calibration import Calibration, FreeRunning
from labneuro.clock import VirtualClock
from labneuro.protocols.vowels import Perceptron, ResponseMap, VowelSet, VowelStep, detuned, evenly_spaced, vowels
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip

HILLENBRAND = Path(os.environ.get("LABNEURO_DATA", "-")) / "hillenbrand1995" / "vowdata.dat"


def learn(**options: object) -> dict[type, list]:
    records: dict[type, list] = {}
    for record in vowels(EmulatedOscillatorChip(VirtualClock(), seed=0), **options):
        records.setdefault(type(record), []).append(record)
    return records


@pytest.mark.parametrize(
    "data",
    [
        "peterson-barney",
        pytest.param(
            "hillenbrand",
            marks=pytest.mark.skipif(
                not HILLENBRAND.is_file(), reason="LABNEURO_DATA names no folder with hillenbrand1995/vowdata.dat"
            ),
        ),
    ],
)
def test_v2_the_chip_learns_vowels_as_well_as_the_experiment_did(data):
    runs = [[(s.train, s.held_out) for s in learn(data=data, seed=seed, map_points=0)[VowelStep]] for seed in range(5)]
    rates = np.array(runs)
    assert rates.shape == (5, 100, 2)
    assert np.all(rates[:, 0].mean(axis=0) <= 0.5)
    assert np.all(rates[:, -1].mean(axis=0) >= 0.85)


def test_a_run_records_what_a_person_would_plot():
    records = learn(steps=3, map_points=11)
    assert len(records[VowelStep]) == 3
    assert len(records[FreeRunning]) == 7
    (vowel_set,) = records[VowelSet]
    assert vowel_set.parameters == 2 * (4 + 1) + 4
    assert vowel_set.wanted.shape == (7, 4)
    assert len({tuple(state) for state in vowel_set.wanted.tolist()}) == 7
    assert [m.states.shape for m in records[ResponseMap]] == [(11, 11, 4)] * 2
    assert [p.parameters for p in records[Perceptron]] == [19, 31]


def test_in_series_the_sources_deliver_differences():
    chip = EmulatedOscillatorChip(VirtualClock(), wiring="series")
    step = next(r for r in vowels(chip, steps=1, map_points=0) if isinstance(r, VowelStep))
    assert np.cumsum(step.source_currents) == pytest.approx(step.currents)
    assert step.source_currents[0] == step.currents[0]


def test_the_same_seed_learns_the_same():
    first, second = (learn(steps=4, map_points=0)[VowelStep] for _ in range(2))
    assert all(
        np.array_equal(a.currents, b.currents) and a.train == b.train for a, b in zip(first, second, strict=True)
    )


def straight(slopes: np.ndarray, frequencies: np.ndarray) -> Calibration:
    """Oscillators with straight tuning curves through `frequencies` at 6 mA, known from 4 to 8 mA."""
    currents = np.linspace(4e-3, 8e-3, 9)
    rows = [
        FreeRunning(
            np.full(4, i), frequencies + slopes * (i - 6e-3), np.full(4, 2e-6), np.full(4, 1e5), np.full(4, 1e3)
        )
        for i in currents
    ]
    return Calibration.fit(rows)


def test_goals_are_evenly_spaced_and_keep_the_order_of_the_oscillators():
    calibration = straight(np.full(4, 6e9), np.array([344e6, 330e6, 357e6, 371e6]))
    goal = evenly_spaced(calibration, 12e6)
    assert np.diff(np.sort(goal)) == pytest.approx([12e6] * 3)
    assert np.argsort(goal).tolist() == [1, 0, 2, 3]
    # The strain is shared: the largest departures from 6 mA upwards and downwards are equal.
    departure = calibration.current(goal) - 6e-3
    assert departure.max() == pytest.approx(-departure.min(), abs=0.05e6 / 6e9)


def test_a_spacing_out_of_reach_is_refused():
    with pytest.raises(ValueError, match="spacing: no currents between"):
        evenly_spaced(straight(np.full(4, 6e9), np.array([330e6, 344e6, 357e6, 371e6])), 60e6)


def test_every_oscillator_starts_four_to_eight_mhz_off():
    calibration = straight(np.full(4, 6e9), np.array([332e6, 344e6, 356e6, 368e6]))
    goal = evenly_spaced(calibration, 12e6)
    for seed in range(20):
        off = np.abs(calibration.frequency(detuned(calibration, goal, np.random.default_rng(seed))) - goal)
        assert np.all((off > 3.99e6) & (off < 8.01e6))
