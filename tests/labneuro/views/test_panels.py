"""Panels are data: they say what is wrong with it before anything is drawn, and need no Qt to say it."""

import subprocess
import sys

import numpy as np
import pytest

from labneuro.views.panels import Curve, CurvePanel, PointSet, SpectrumPanel, StateMapPanel

AXIS = np.linspace(320e6, 380e6, 7)
STATES = np.zeros((7, 7, 4), dtype=np.int8)
LINE = np.arange(5.0)


def test_describing_a_figure_loads_neither_qt_nor_numba() -> None:
    program = (
        "import sys, labneuro.views.panels, labneuro.views.steps, labneuro.views.colours\n"
        "loaded = {'PySide6', 'pyqtgraph', 'numba', 'h5py', 'pint'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603  our own words


@pytest.mark.parametrize(
    ("x", "y", "band"),
    [
        (LINE, LINE[1:], None),
        (LINE, LINE[:, np.newaxis], None),
        (LINE[:, np.newaxis], LINE[:, np.newaxis], None),
        (LINE, LINE, (LINE, LINE[1:])),
    ],
)
def test_a_curve_needs_arrays_of_one_length(x, y, band) -> None:
    with pytest.raises(ValueError, match=r"curve 'rate'.*give one-dimensional arrays of one length"):
        Curve(x, y, "rate", band=band)


def test_a_curve_must_be_visible() -> None:
    with pytest.raises(ValueError, match="curve 'rate' has neither line nor marker"):
        Curve(LINE, LINE, "rate", line="none")
    Curve(LINE, LINE, "rate", line="none", marker=True)


@pytest.mark.parametrize("limits", [(1.0, 0.0), (1.0, 1.0), (float("nan"), 1.0)])
@pytest.mark.parametrize("axis", ["x_range", "y_range"])
def test_the_range_of_an_axis_must_ascend(axis: str, limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=rf"panel 'Rates': {axis} is .*give \(low, high\)"):
        CurvePanel("Rates", "Step", "", "Rate", "", [], **{axis: limits})


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_logarithmic_axis_has_no_zero(axis: str) -> None:
    with pytest.raises(ValueError, match=rf"panel 'Linewidth': {axis}_range starts at 0.*start it above 0"):
        CurvePanel(
            "Linewidth", "Current", "A", "Linewidth", "Hz", [], **{f"{axis}_range": (0.0, 1e6), f"log_{axis}": True}
        )


@pytest.mark.parametrize(
    "axis",
    [
        AXIS[::-1],
        AXIS[:1],
        np.array([320e6, 330e6, 350e6]),
        np.array([320e6, np.nan, 340e6]),
        AXIS.reshape(1, -1),
    ],
)
def test_the_axes_of_a_map_are_even(axis) -> None:
    with pytest.raises(ValueError, match=r"state map 'Before': y is no axis: .*ascending and evenly spaced"):
        StateMapPanel("Before", AXIS, axis, np.zeros((7, np.size(axis), 4), dtype=np.int8))


def test_an_axis_may_carry_the_rounding_of_floating_point() -> None:
    StateMapPanel("Before", AXIS, 320e6 + 0.1e6 * np.arange(7), STATES)


@pytest.mark.parametrize("states", [STATES[:, :, 0], STATES[:, :6], STATES[:6], STATES.reshape(-1, 4)])
def test_a_map_has_one_state_for_each_pair_of_frequencies(states) -> None:
    with pytest.raises(ValueError, match=r"state map 'Before': states have shape .*over 7 values of x and 7 of y"):
        StateMapPanel("Before", AXIS, AXIS, states)


def test_points_are_pairs_of_frequencies() -> None:
    with pytest.raises(ValueError, match=r"points 'heed': xy has shape \(2, 5\): give \(points, 2\)"):
        PointSet("heed", np.full((2, 5), 350e6))
    with pytest.raises(ValueError, match="points 'heed': xy has values that are not finite"):
        PointSet("heed", np.array([[350e6, np.nan]]))


def test_a_wanted_state_names_every_oscillator_of_the_map() -> None:
    vowel = PointSet("heed", np.full((5, 2), 350e6), state=(1, 0, 2))
    with pytest.raises(ValueError, match="points 'heed' want a state of 3 oscillators, the map has 4"):
        StateMapPanel("Before", AXIS, AXIS, STATES, [vowel])


def test_a_spectrum_is_one_trace() -> None:
    frequency = np.linspace(320e6, 380e6, 101)
    with pytest.raises(ValueError, match=r"spectrum 'Emission'.*give one trace, all \(bins,\)"):
        SpectrumPanel("Emission", frequency, np.ones((3, 101)))
    with pytest.raises(ValueError, match=r"spectrum 'Emission'.*give one trace, all \(bins,\)"):
        SpectrumPanel("Emission", frequency, np.ones(101), reference=np.ones(100))
