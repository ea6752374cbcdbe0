"""A panel that is brought up to date looks as if it had been drawn anew."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from labneuro.views.canvas import Canvas
from labneuro.views.drawing import Picture
from labneuro.views.panels import (
    Curve,
    CurvePanel,
    Level,
    Mark,
    Panel,
    PointSet,
    SpectrumPanel,
    StateMapPanel,
    TablePanel,
    ValueMapPanel,
)
from labneuro.views.qt import QtCore, QtWidgets, pg

X = np.arange(1.0, 31.0)
AXIS = np.linspace(320e6, 380e6, 31)


def curves(seed: int) -> CurvePanel:
    y = np.random.default_rng(seed).uniform(0.1, 0.9, (3, 30))
    return CurvePanel(
        f"Recognition after {seed}", "Step", "", "Rate", "",
        [Curve(X, y[0], "held out", band=(y[0] - 0.05, y[0] + 0.05)), Curve(X, y[1], "training", marker=True)],
        y_range=(0.0, 1.0), levels=[Level(0.3 * seed, "a level")],
    )  # fmt: skip


def spectrum(seed: int) -> SpectrumPanel:
    rng = np.random.default_rng(seed)
    density = np.clip(rng.gamma(10.0, 1e-17, (2, 31)), 1e-18, 1e-15)
    density[:, :2] = 1e-18, 1e-15
    lines = [Mark(350e6 - 1e6 * seed, "A"), Mark(379e6 - 50e6 * (seed - 1), "B")]
    return SpectrumPanel("Emission", AXIS, density[0], lines, [Mark(340e6 + 1e6 * seed, "1")], density[1])


def states(seed: int) -> StateMapPanel:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 3, (31, 31, 2)).astype(np.int8)
    vowels = [PointSet("heed", rng.uniform(330e6, 370e6, (5, 2)), state=(1, 0))]
    return StateMapPanel("Response", AXIS, AXIS, cells, vowels, names=False)


def values(seed: int) -> ValueMapPanel:
    conductances = np.random.default_rng(seed).uniform(0.0, 1e-4, (20, 30))
    conductances[3, seed] = np.nan
    return ValueMapPanel("Array", conductances, "Conductance", "S", limits=(0.0, 1e-4))


def table(seed: int) -> TablePanel:
    return TablePanel("Summary", [("held out", f"{seed}")] * seed)


def shown(qtbot: QtBot, *panels: Panel) -> Canvas:
    """Return a canvas that has shown these panels one after the other."""
    window, canvas = QtWidgets.QMainWindow(), Canvas()
    window.setCentralWidget(canvas)
    canvas.owner = window  # it lives as long as its canvas
    qtbot.addWidget(window)
    window.resize(600, 420)
    with qtbot.waitExposed(window):
        window.show()
    for panel in panels:
        canvas.show_panels([panel])
        canvas.grab()
    return canvas


@pytest.mark.parametrize("make", [curves, spectrum, states, values, table])
def test_a_panel_brought_up_to_date_is_the_one_drawn_anew(qtbot: QtBot, make: Callable[[int], Panel]) -> None:
    before, now = make(1), make(2)
    assert Picture(before).fits(now)
    updated, anew, old = shown(qtbot, before, now), shown(qtbot, now), shown(qtbot, before)
    qtbot.waitUntil(lambda: updated.grab().toImage() == anew.grab().toImage())
    assert updated.grab().toImage() != old.grab().toImage()


@pytest.mark.parametrize(
    "other",
    [
        replace(curves(1), log_y=True, y_range=None),
        replace(curves(1), curves=curves(1).curves[:1]),
        replace(curves(1), y_unit="A"),
        spectrum(1),
    ],
)
def test_a_panel_of_another_form_is_drawn_anew(qtbot: QtBot, other: Panel) -> None:
    assert not Picture(curves(1)).fits(other)
    changed, anew = shown(qtbot, curves(1), other), shown(qtbot, other)
    qtbot.waitUntil(lambda: changed.grab().toImage() == anew.grab().toImage())


@pytest.mark.parametrize("size", [(520, 260), (900, 600)])
def test_a_legend_hides_no_curve_whatever_the_size_of_the_window(qtbot: QtBot, size: tuple[int, int]) -> None:
    lines = [Curve(X, 4e-3 + 1e-3 * k - 1e-5 * X, f"oscillator {k}") for k in range(1, 5)]
    canvas = shown(qtbot, CurvePanel("Currents", "Step", "", "Current", "A", lines))
    canvas.setMinimumSize(0, 0)
    canvas.owner.resize(*size)
    qtbot.waitUntil(lambda: canvas.size().toTuple() == size)
    canvas.grab()

    def clear() -> bool:
        (legend,) = [item for item in canvas.scene().items() if isinstance(item, pg.LegendItem)]
        box, plot = legend.mapRectToScene(legend.boundingRect()), legend.parentItem()
        points = [QtCore.QPointF(*point) for line in lines for point in zip(line.x, line.y, strict=True)]
        return not any(box.contains(plot.mapViewToScene(point)) for point in points)

    qtbot.waitUntil(clear)
