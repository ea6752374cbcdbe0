"""Maps of values: each cell has the colour of its value, row 0 on top, and a scale beside them."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6.QtGui", reason="Qt can't be loaded here", exc_type=ImportError)

from labneuro.views.colours import RGB, SERIES
from labneuro.views.figure import save_figure
from labneuro.views.panels import ValueMapPanel
from labneuro.views.qt import QtGui
from labneuro.views.value_map import MISSING, VIRIDIS


def cells(panel: ValueMapPanel, path: Path) -> list[RGB]:
    """Return the colours of the quarters of a 2 x 2 map, row after row, as a saved figure has them."""
    image = QtGui.QImage(str(save_figure([panel], path / "map.png", title="", size=(600, 400))))
    places = [(x, y) for y in (0.3, 0.7) for x in (0.3, 0.65)]
    colours = [image.pixelColor(int(x * image.width()), int(y * image.height())) for x, y in places]
    return [(colour.red(), colour.green(), colour.blue()) for colour in colours]


def test_cells_have_the_colours_of_their_values_row_0_on_top(tmp_path):
    values = np.array([[1e-6, 5e-6], [np.nan, 3e-6]])
    found = cells(ValueMapPanel("Array", values, "Conductance", "S"), tmp_path)
    assert found == [VIRIDIS[0], VIRIDIS[-1], MISSING, VIRIDIS[len(VIRIDIS) // 2]]


def test_values_of_both_signs_are_white_at_zero_with_even_colours_about_it(tmp_path):
    values = np.array([[-2e-6, 0.0], [1e-6, 2e-6]])
    below, zero, half, above = cells(ValueMapPanel("Pairs", values, "Difference", "S"), tmp_path)
    assert (below, zero, above) == (SERIES[0], (255, 255, 255), SERIES[1])
    assert half == pytest.approx([(255 + channel) / 2 for channel in SERIES[1]], abs=1)


def test_values_beyond_the_limits_have_the_colour_of_the_nearer_end(tmp_path):
    values = np.array([[0.0, 9.0], [1.0, 3.0]])
    found = cells(ValueMapPanel("Array", values, "Value", "", limits=(1.0, 3.0)), tmp_path)
    assert found == [VIRIDIS[0], VIRIDIS[-1], VIRIDIS[0], VIRIDIS[-1]]


@pytest.mark.parametrize("values", [np.full((2, 2), 7.0), np.full((2, 2), np.nan), np.zeros((1, 1))])
def test_a_map_of_one_value_or_of_none_is_drawn(values, tmp_path):
    save_figure([ValueMapPanel("Array", values, "Value", "")], tmp_path / "map.svg", title="")


def test_a_map_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"map 'Array': values have shape \(4,\): give \(rows, columns\)"):
        ValueMapPanel("Array", np.zeros(4), "Value", "")
    with pytest.raises(ValueError, match="map 'Array': 3 names for 2 rows: give one for each"):
        ValueMapPanel("Array", np.zeros((2, 4)), "Value", "", rows="abc")
    with pytest.raises(ValueError, match=r"map 'Array': limits is \(1.0, 1.0\): give \(low, high\)"):
        ValueMapPanel("Array", np.zeros((2, 4)), "Value", "", limits=(1.0, 1.0))
