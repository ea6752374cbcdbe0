"""Labels go where they hide the least."""

import numpy as np

from labneuro.views.placement import Crowd

UPPER_LEFT, UPPER_RIGHT = (0.0, 0.7, 0.3, 1.0), (0.7, 0.7, 1.0, 1.0)
LOWER_LEFT, LOWER_RIGHT = (0.0, 0.0, 0.3, 0.3), (0.7, 0.0, 1.0, 0.3)
CORNERS = (UPPER_LEFT, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT)


def test_a_learning_curve_leaves_the_lower_right_corner_to_the_legend() -> None:
    crowd = Crowd()
    step = np.linspace(0, 1, 100)
    crowd.add_curve(step, 0.2 + 0.7 * (1 - np.exp(-5 * step)))
    crowd.add_box(UPPER_LEFT)
    assert CORNERS[crowd.freest(CORNERS)] == LOWER_RIGHT
    assert crowd.hidden(LOWER_RIGHT) == 0


def test_a_curve_counts_between_its_points_too() -> None:
    crowd = Crowd()
    crowd.add_curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert crowd.hidden((0.4, 0.4, 0.6, 0.6)) > 0
    assert crowd.hidden((0.4, 0.7, 0.6, 0.9)) == 0


def test_gaps_hide_nothing() -> None:
    crowd = Crowd()
    crowd.add_curve(np.array([0.0, 0.5, 1.0]), np.array([np.nan, np.nan, np.nan]))
    assert crowd.hidden((0.0, 0.0, 1.0, 1.0)) == 0


def test_a_label_beyond_the_plot_is_the_last_choice() -> None:
    crowd = Crowd()
    crowd.add_box((0.0, 0.0, 1.0, 1.0))
    boxes = [(0.8, 0.9, 1.2, 1.0), (0.0, 0.0, 1.0, 1.0)]
    assert crowd.freest(boxes) == 1


def test_of_equally_free_places_the_first_is_taken() -> None:
    assert Crowd().freest(CORNERS) == 0
