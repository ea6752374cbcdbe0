"""A protocol without panels of its own is drawn from its step fields and their units."""

from types import SimpleNamespace

import numpy as np
import pytest

from labneuro.views.steps import MOST_CURVES, default_panels

COUNT = 12


def run(units: dict[str, str], **steps: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(steps=steps, units={f"steps/{field}": unit for field, unit in units.items()})


def test_fields_of_one_unit_share_a_panel() -> None:
    rates = run(
        {"train": "1", "held_out": "1", "power": "W"},
        train=np.ones(COUNT),
        held_out=np.ones(COUNT),
        power=np.ones(COUNT),
    )
    recognition, power = default_panels(rates)
    assert [curve.label for curve in recognition.curves] == ["train", "held out"]
    assert (recognition.title, recognition.y_label) == ("Train, held out", "Value")
    assert (power.title, power.y_label, power.y_unit) == ("Power", "Power", "W")
    assert (power.x_label, power.x_unit) == ("Step", "")


def test_counts_do_not_flatten_fractions() -> None:
    mixed = run({"rate": "1"}, rate=np.linspace(0, 1, COUNT), errors=np.arange(COUNT) * 100)
    assert [panel.title for panel in default_panels(mixed)] == ["Rate", "Errors"]


def test_steps_are_numbered_from_one() -> None:
    (panel,) = default_panels(run({}, errors=np.arange(COUNT)))
    np.testing.assert_array_equal(panel.curves[0].x, np.arange(1, COUNT + 1))
    np.testing.assert_array_equal(panel.curves[0].y, np.arange(COUNT))


def test_steps_that_are_numbered_stand_at_their_numbers() -> None:
    (panel,) = default_panels(run({}, step=np.array([1, 5, 9]), errors=np.arange(3)))
    np.testing.assert_array_equal(panel.curves[0].x, [1, 5, 9])


def test_a_short_array_is_one_curve_for_each_entry() -> None:
    currents = np.random.default_rng(0).normal(6e-3, 1e-4, (COUNT, 4))
    (panel,) = default_panels(run({"currents": "A"}, currents=currents))
    assert [curve.label for curve in panel.curves] == [f"currents {k}" for k in (1, 2, 3, 4)]
    np.testing.assert_array_equal([curve.y for curve in panel.curves], currents.T)


def test_truth_values_are_zeros_and_ones() -> None:
    (panel,) = default_panels(run({}, locked=np.arange(COUNT) % 2 == 0))
    assert set(panel.curves[0].y) == {0.0, 1.0}


@pytest.mark.parametrize(
    "values",
    [
        np.array(["word"] * COUNT),
        np.array(["word"] * COUNT, dtype=object),
        np.ones((COUNT, MOST_CURVES + 1)),
        np.ones((COUNT, 3, 3)),
        np.empty(0),
        np.ones(COUNT, dtype=complex),
    ],
)
def test_what_is_no_curve_is_left_out(values: np.ndarray) -> None:
    assert default_panels(run({}, field=values)) == []
