"""Regions of a state map: their borders, and names that stay inside them and off the vowels."""

import numpy as np
import pytest

from labneuro.views.regions import Regions, place_names

NOWHERE = np.empty((0, 2))


def checkerboard(cells: int) -> Regions:
    """Return a map of four quarters, `cells` wide each: none, 1A, 1B and a state of two oscillators."""
    states = np.zeros((2 * cells, 2 * cells, 2), dtype=np.int8)
    states[cells:, :cells, 0] = 1
    states[:cells, cells:, 0] = 2
    states[cells:, cells:] = (1, 2)
    return Regions.of(states)


def letters(text: str) -> tuple[float, float]:
    return 6.0 * len(text), 10.0


def test_every_cell_keeps_its_state() -> None:
    states = np.random.default_rng(0).integers(0, 3, (13, 7, 4)).astype(np.int8)
    regions = Regions.of(states)
    np.testing.assert_array_equal(np.array(regions.states)[regions.index], states)
    assert len(set(regions.states)) == len(regions.states)


def test_borders_go_round_every_region_once() -> None:
    x, y = checkerboard(5).borders()
    pieces = {tuple(sorted(zip(x[k : k + 2], y[k : k + 2], strict=True))) for k in range(0, len(x), 2)}
    assert len(pieces) == len(x) // 2 == 6 * 10  # four outer sides and the two lines of a cross
    lengths = np.hypot(np.diff(x)[::2], np.diff(y)[::2])
    np.testing.assert_array_equal(lengths, 1.0)
    middle = [piece for piece in pieces if piece[0][0] == piece[1][0] == 5]
    assert sorted(low for (_, low), _ in middle) == list(range(10))


def test_each_name_lies_within_its_region() -> None:
    regions, cell = checkerboard(20), (4.0, 3.0)
    names = place_names(regions, cell, NOWHERE, 4.0, letters)
    assert [name.text for name in names] == ["none", "1A", "1A,2B", "1B"]
    for name in names:
        width, height = letters(name.text)
        for x in (name.x - width / 2 / cell[0], name.x + width / 2 / cell[0]):
            for y in (name.y - height / 2 / cell[1], name.y + height / 2 / cell[1]):
                assert regions.states[regions.index[int(x), int(y)]] == name.state


def test_a_name_stands_in_the_middle_where_nothing_is_in_its_way() -> None:
    for name in place_names(checkerboard(21), (4.0, 4.0), NOWHERE, 4.0, letters):
        assert (name.x % 21, name.y % 21) == pytest.approx((10.5, 10.5), abs=1.0)


def test_a_name_gives_way_to_points() -> None:
    regions, cell, radius = checkerboard(20), (4.0, 4.0), 4.0
    points = np.random.default_rng(1).uniform((0, 0), (20, 12), (60, 2))
    free = next(name for name in place_names(regions, cell, points, radius, letters) if name.text == "none")
    across, up = np.abs((points - (free.x, free.y)) * cell).T
    width, height = letters("none")
    assert not np.any((across < width / 2 + radius) & (up < height / 2 + radius))
    assert place_names(regions, cell, NOWHERE, radius, letters)[0].y < 12


def test_a_region_too_small_for_its_name_has_none() -> None:
    names = place_names(checkerboard(20), (1.0, 1.0), NOWHERE, 4.0, letters)
    assert [name.text for name in names] == ["1A", "1B"]  # 12 wide in 20; "none" and "1A,2B" need more


def test_points_beyond_the_map_are_no_obstacle() -> None:
    beyond = np.array([[-5.0, 3.0], [400.0, 3.0], [3.0, 40.0]])
    regions = checkerboard(20)
    assert place_names(regions, (4.0, 4.0), beyond, 4.0, letters) == place_names(
        regions, (4.0, 4.0), NOWHERE, 4.0, letters
    )
