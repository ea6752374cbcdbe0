"""Two runs in one picture."""

import numpy as np

from labneuro.views.overlay import overlaid
from labneuro.views.panels import Curve, CurvePanel, Level, TablePanel, ValueMapPanel

NAMES = ("today", "yesterday")
X = np.arange(3.0)


def power(*curves: Curve, unit: str = "W", **settings: object) -> CurvePanel:
    return CurvePanel("Power", "Current", "A", "Power", unit, curves, **settings)  # type: ignore[arg-type]


def test_the_same_curves_have_the_same_colour_solid_and_dashed() -> None:
    first = power(Curve(X, X, "one"), Curve(X, 2 * X, "two"))
    second = power(Curve(X, 3 * X, "two"), Curve(X, 4 * X, "one"), Curve(X, 5 * X, "three"))
    (panel,) = overlaid([first], [second], NAMES)
    assert isinstance(panel, CurvePanel)
    drawn = {(curve.y[1], curve.line): curve for curve in panel.curves if np.isfinite(curve.y).all()}
    assert set(drawn) == {(1, "solid"), (2, "solid"), (3, "dashed"), (4, "dashed"), (5, "dashed")}
    assert drawn[1, "solid"].colour == drawn[4, "dashed"].colour
    assert drawn[2, "solid"].colour == drawn[3, "dashed"].colour
    assert len({curve.colour for curve in drawn.values()}) == 3


def test_the_legend_names_each_curve_once_and_says_which_line_is_which_run() -> None:
    (panel,) = overlaid([power(Curve(X, X, "one"))], [power(Curve(X, X, "one"), Curve(X, X, "two"))], NAMES)
    assert isinstance(panel, CurvePanel)
    assert [curve.label for curve in panel.curves] == ["one", "", "two", "today", "yesterday"]
    assert [curve.line for curve in panel.curves[-2:]] == ["solid", "dashed"]


def test_curves_without_labels_are_matched_by_their_order() -> None:
    curves = Curve(X, X), Curve(X, 2 * X)
    (panel,) = overlaid([power(*curves)], [power(*curves)], NAMES)
    assert isinstance(panel, CurvePanel)
    first, second, again, and_again = panel.curves[:4]
    assert first.colour == again.colour != second.colour == and_again.colour


def test_a_colour_that_a_protocol_wants_is_kept() -> None:
    (panel,) = overlaid([power(Curve(X, X, "one"), Curve(X, X, "two", colour=0))], [power()], NAMES)
    assert isinstance(panel, CurvePanel)
    assert [curve.colour for curve in panel.curves[:2]] == [1, 0]


def test_points_that_nothing_joins_differ_too() -> None:
    points = Curve(X, X, "one", marker=True, line="none")
    (panel,) = overlaid([power(points)], [power(points)], NAMES)
    assert isinstance(panel, CurvePanel)
    assert [curve.line for curve in panel.curves[:2]] == ["none", "dotted"]


def test_curves_in_other_units_stand_side_by_side() -> None:
    first, second = overlaid([power(Curve(X, X))], [power(Curve(X, X), unit="V")], NAMES)
    assert (first.title, second.title) == ("Power: today", "Power: yesterday")


def test_maps_stand_side_by_side_and_what_one_run_lacks_comes_last() -> None:
    array = ValueMapPanel("Array", np.eye(2), "Conductance", "S")
    shown = overlaid([array, TablePanel("Rates", [])], [power(Curve(X, X)), array], NAMES)
    assert [panel.title for panel in shown] == ["Array: today", "Array: yesterday", "Rates: today", "Power: yesterday"]


def test_reference_lines_that_differ_say_of_which_run_they_are() -> None:
    first = power(levels=[Level(0.5, "chance"), Level(0.9, "best")])
    second = power(levels=[Level(0.5, "chance"), Level(0.8, "best")])
    (panel,) = overlaid([first], [second], NAMES)
    assert isinstance(panel, CurvePanel)
    assert [(level.value, level.label) for level in panel.levels] == [
        (0.5, "chance"),
        (0.9, "best, today"),
        (0.8, "best, yesterday"),
    ]


def test_the_axes_have_room_for_both_runs() -> None:
    (panel,) = overlaid([power(x_range=(0, 2), y_range=(0, 1))], [power(x_range=(1, 3))], NAMES)
    assert isinstance(panel, CurvePanel)
    assert (panel.x_range, panel.y_range) == ((0, 3), None)
