"""Ranges of axes have room for what grows, and stay for a while."""

import numpy as np
import pytest

from labneuro.views.axes import Range, roomy, span


def ranges(ends: list[Range], margin: float) -> list[Range]:
    """Return the ranges that one after the other is shown for data between these ends."""
    seen: list[Range] = []
    for low, high in ends:
        seen.append(roomy(span([np.array([low, high])], margin), seen[-1] if seen else None, margin))
        assert seen[-1][0] <= low
        assert seen[-1][1] >= high
    return seen


@pytest.mark.parametrize("margin", [0.0, 0.02, 0.06])
def test_the_axis_of_a_run_that_grows_seldom_changes(margin: float) -> None:
    seen = ranges([(1.0, float(last)) for last in range(50, 1000)], margin)
    assert len(set(seen)) < 20
    assert all(low >= 1.0 - margin * (high - low) for low, high in seen)


def test_both_ends_get_room_where_both_are_outgrown() -> None:
    first, second = ranges([(0.0, 1.0), (-1.0, 2.0)], 0.0)
    assert first == (0.0, 1.0)
    assert second == (-1.75, 2.75)


def test_room_that_is_no_longer_wanted_is_given_up() -> None:
    assert ranges([(0.0, 100.0), (40.0, 50.0)], 0.0)[-1] == (40.0, 50.0)


def test_an_axis_that_wanders_off_does_not_keep_where_it_came_from() -> None:
    assert ranges([(0.0, 15.0), (10.0, 20.0)], 0.0)[-1] == (7.5, 22.5)
