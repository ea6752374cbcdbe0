"""A window on a run, used as a person would: watched, scrubbed, played, saved, steered, closed, and its run killed."""

import csv
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from labneuro import following, registry
from labneuro.entries import Answered, Asked, Noted
from labneuro.following import Following
from labneuro.recording import RunWriter
from labneuro.store import RunFile, journal_of
from labneuro.units import Current
from labneuro.views.ground import set_dark
from labneuro.views.panels import CurvePanel
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.window import RunWindow

HEAD = {
    "protocol": "scan", "doc": "Scans.", "parameters": {"steps": 30}, "units": {}, "bench_name": "desk",
    "bench": '[parts.bias]\ndriver = "keithley-6221"\nlimits = { max_current = "8 mA" }', "provenance": {},
    "parts": {"source": "bias"},
}  # fmt: skip
KEYS, LEFT = QtCore.Qt.Key, QtCore.Qt.MouseButton.LeftButton


@dataclass(frozen=True)
class Step:
    """Two numbers of different units."""

    bias: Current
    rate: float


@pytest.fixture(autouse=True)
def _thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    with RunWriter(tmp_path / "a.h5", HEAD, Step) as writer:
        writer.identify({"bias": "maker,model"})
        yield writer


def go_on(run: RunWriter, steps: int) -> None:
    for number in range(run.steps + 1, run.steps + steps + 1):
        run.write(Asked(number, "bias", "set_current", {"current": 1e-3}, False), Answered(number, None))
        run.append(Step(1e-3 * number, 0.1 * number))


@pytest.fixture
def opened(qtbot: QtBot) -> Callable[..., RunWindow]:
    def show(run: RunWriter, control: Callable[[str], None] | None = None) -> RunWindow:
        window = RunWindow(Following(run.path), control)
        qtbot.addWidget(window)
        with qtbot.waitExposed(window):
            window.show()
        qtbot.waitUntil(lambda: window.slider.value() == run.steps)
        return window

    return show


def drawn(window: RunWindow) -> Any:
    """Return the step of the last point of the first curve."""
    panel = window.canvas.panels[0]
    assert isinstance(panel, CurvePanel)
    return panel.curves[0].x[-1]


def test_a_run_is_shown_as_it_grows(qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]) -> None:
    window = opened(run)
    assert window.nothing.isVisible()
    assert window.nothing.text() == "Nothing to draw yet"
    go_on(run, 3)
    qtbot.waitUntil(lambda: bool(window.canvas.panels) and drawn(window) == 3)
    assert [panel.title for panel in window.canvas.panels] == ["Bias", "Rate"]
    pictures = list(window.canvas._page.pictures)
    go_on(run, 4)
    qtbot.waitUntil(lambda: drawn(window) == 7)
    assert window.canvas._page.pictures == pictures  # brought up to date, not drawn anew
    qtbot.waitUntil(lambda: "7/30" in window.state.text() and "running" in window.state.text())
    assert "bias 7 mA" in window.values.text()
    (light,) = [window.instruments.topLevelItem(0)]
    assert "bias" in light.text(0)
    assert {light.child(k).text(0): light.child(k).text(1) for k in range(light.childCount())} == {
        "set_current": "1 mA", "max_current": "8 mA", "driver": "keithley-6221", "identity": "maker,model",
    }  # fmt: skip


def test_the_scrubber_goes_to_any_step_and_back_while_the_run_goes_on(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]
) -> None:
    go_on(run, 20)
    window = opened(run)
    window.slider.setValue(5)
    assert (drawn(window), window.step.value(), window.is_live) == (5, 5, False)
    assert "bias 5 mA" in window.values.text()
    qtbot.keyClick(window.slider, KEYS.Key_Left)
    assert drawn(window) == 4
    go_on(run, 2)
    qtbot.waitUntil(lambda: window.slider.maximum() == 22)
    assert drawn(window) == 4
    window.step.setValue(12)
    assert drawn(window) == window.slider.value() == 12
    qtbot.mouseClick(window.live, LEFT)
    assert drawn(window) == 22
    go_on(run, 1)
    qtbot.waitUntil(lambda: drawn(window) == 23)


def test_a_run_is_played_to_its_end(qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]) -> None:
    go_on(run, 6)
    window = opened(run)
    seen: list[int] = []
    window.canvas.show_panels = lambda panels: seen.append(int(panels[0].curves[0].x[-1]))
    qtbot.mouseClick(window.play, LEFT)
    qtbot.waitUntil(lambda: bool(seen) and seen[-1] == 6)
    assert seen == [1, 2, 3, 4, 5, 6]
    qtbot.waitUntil(lambda: window.play.text() == "▶")


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "csv"])
def test_what_is_shown_is_saved(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow], tmp_path: Path, monkeypatch: Any, ending: str
) -> None:
    go_on(run, 9)
    window = opened(run)
    window.show_step(4)
    path = tmp_path / f"saved.{ending}"
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    window.activateWindow()
    (save,) = [a for a in window.findChildren(QtGui.QAction) if "Save" in a.text()]
    save.trigger()
    if ending == "csv":
        lines = list(csv.DictReader(path.read_text().splitlines()))
        assert [(line["panel"], line["x"], line["y"], line["y_unit"]) for line in lines[:4]] == [
            ("Bias", f"{k}.0", str(1e-3 * k), "A") for k in (1, 2, 3, 4)
        ]
        assert len(lines) == 8
    else:
        beginning = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
        assert path.read_bytes().startswith(beginning)
    path.unlink()
    path.mkdir()
    save.trigger()
    assert "not saved" in window.trouble.text()


def test_buttons_say_words_to_the_run_and_to_nobody_else(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow], monkeypatch: Any
) -> None:
    said: list[str] = []
    go_on(run, 1)
    window = opened(run, said.append)
    qtbot.waitUntil(window.pause.isEnabled)
    qtbot.mouseClick(window.pause, LEFT)
    run.write(Noted("paused", "all outputs stay as they are"))
    qtbot.waitUntil(lambda: window.pause.text() == "&Continue")
    assert "paused" in window.state.text()
    qtbot.mouseClick(window.pause, LEFT)
    run.write(Noted("continued", ""))
    qtbot.waitUntil(lambda: window.pause.text() == "&Pause")
    qtbot.mouseClick(window.stop, LEFT)
    assert said == ["pause", "continue", "stop"]

    def answer(role: Any) -> Callable[[Any], int]:
        def click(box: QtWidgets.QMessageBox) -> int:
            (button,) = [b for b in box.buttons() if box.buttonRole(b) == role]
            button.click()
            return 0

        return click

    roles = QtWidgets.QMessageBox.ButtonRole
    for role, words in ((roles.RejectRole, []), (roles.DestructiveRole, ["stop", "abort"])):
        said.clear()
        monkeypatch.setattr(QtWidgets.QMessageBox, "exec", answer(role))
        qtbot.mouseClick(window.abort, LEFT)
        assert said == words
    run.finish("stopped")
    qtbot.waitUntil(lambda: not window.stop.isEnabled())


def test_a_window_that_came_without_its_run_only_watches(run: RunWriter, opened: Callable[..., RunWindow]) -> None:
    window = opened(run)
    window._told = -1.0
    window.look()
    assert not any(button.isVisible() for button in (window.pause, window.stop, window.abort))


def test_the_end_of_a_run_is_said_and_all_of_it_stays(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]
) -> None:
    go_on(run, 8)
    window = opened(run)
    run.finish("finished")
    run.close()
    assert not journal_of(run.path).exists()
    qtbot.waitUntil(lambda: "finished" in window.state.text())
    window.slider.setValue(3)
    assert drawn(window) == 3


def test_a_run_that_was_killed_is_said_to_be_and_shown_to_its_last_step(
    qtbot: QtBot, opened: Callable[..., RunWindow], tmp_path: Path
) -> None:
    code = (
        "import sys, time\n"
        "sys.path[:0] = [sys.argv[2]]\n"
        "from pathlib import Path\n"
        "from test_window import HEAD, RunWriter, Step, go_on\n"
        "run = RunWriter(Path(sys.argv[1]), HEAD, Step)\n"
        "go_on(run, 5)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    path = tmp_path / "b.h5"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        window = RunWindow(Following(path))
        qtbot.addWidget(window)
        window.show()
        qtbot.waitUntil(lambda: bool(window.canvas.panels) and drawn(window) == 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
    qtbot.waitUntil(lambda: "interrupted: its process died after step 5" in window.trouble.text())
    assert drawn(window) == 5


def test_a_window_that_is_closed_or_breaks_leaves_the_run_alone(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]
) -> None:
    said: list[str] = []
    go_on(run, 2)
    window = opened(run, said.append)
    window.close()
    go_on(run, 2)
    run.finish("finished")
    assert said == []
    assert RunFile(run.path).steps.count == 4


def test_panels_that_can_not_be_drawn_are_replaced_and_said(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow], monkeypatch: Any
) -> None:
    module = ModuleType("of_a_laboratory")
    module.panels = lambda run: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "of_a_laboratory", module)

    def scan() -> None: ...

    scan.__module__ = "of_a_laboratory"
    monkeypatch.setattr(registry, "load_protocol", lambda name: scan)
    go_on(run, 3)
    window = opened(run)
    assert [panel.title for panel in window.canvas.panels] == ["Bias", "Rate"]
    qtbot.waitUntil(lambda: "the panels of this protocol can't be drawn: ZeroDivisionError" in window.trouble.text())


def test_what_lies_under_the_cursor_is_said_with_its_units(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]
) -> None:
    go_on(run, 10)
    window = opened(run)
    picture = window.canvas._page.pictures[0]
    place = picture.item.getViewBox().mapViewToScene(QtCore.QPointF(4, 4e-3))
    at = window.canvas.mapFromScene(place)
    assert "Step 4, Bias 4 mA" in window.canvas.read(at)
    assert window.canvas.read(QtCore.QPoint(1, 1)) == ""


def test_axes_are_turned_logarithmic_and_back_and_zoom_is_kept(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow]
) -> None:
    go_on(run, 10)
    window = opened(run)
    window.canvas.turn_logarithmic()
    assert all(p.panel.log_y for p in window.canvas._page.pictures)
    window.canvas.turn_logarithmic()
    assert not any(p.panel.log_y for p in window.canvas._page.pictures)
    box = window.canvas._page.pictures[0].item.getViewBox()
    box.scaleBy((0.5, 0.5))
    box.sigRangeChangedManually.emit([True, True])
    zoomed = box.viewRange()
    go_on(run, 5)
    qtbot.waitUntil(lambda: drawn(window) == 15)
    assert box.viewRange() == zoomed
    window.canvas.show_all()
    assert box.viewRange()[0][1] >= 15


@pytest.mark.parametrize("dark", [True, False])
def test_dark_and_light_grounds_are_readable(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow], dark: bool
) -> None:
    go_on(run, 5)
    window = opened(run)
    run.write(Noted("overload", "of the bias"))
    qtbot.waitUntil(window.trouble.isVisible)
    (action,) = [a for a in window.findChildren(QtGui.QAction) if a.text() == ("&Dark" if dark else "&Light")]
    action.trigger()
    for widget in (window.canvas, window):  # the panels, and all around them
        qtbot.waitUntil(lambda widget=widget: readable(widget.grab().toImage(), dark))
    colours = window.trouble.palette()
    assert abs(colours.windowText().color().lightness() - colours.window().color().lightness()) > 80
    set_dark(None)


def readable(image: QtGui.QImage, dark: bool) -> bool:
    """Return whether light is written on dark, or dark on light."""
    pixels = np.array([[image.pixelColor(x, y).lightness() for x in range(0, 600, 3)] for y in range(0, 400, 3)])
    ground, ink = float(np.median(pixels)), float(pixels.max() if dark else pixels.min())
    return (ground < 60) == dark and abs(ground - ink) > 150


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (900, 700)])
def test_panels_fill_the_window_at_any_size(
    qtbot: QtBot, run: RunWriter, opened: Callable[..., RunWindow], size: tuple[int, int]
) -> None:
    go_on(run, 5)
    window = opened(run)
    window.resize(*size)

    def filled() -> bool:
        places = [picture.item.sceneBoundingRect() for picture in window.canvas._page.pictures]
        union = places[0].united(places[-1])
        width, height = window.canvas.viewport().width(), window.canvas.viewport().height()
        return 0.9 * width < union.width() <= width and 0.8 * height < union.height() <= height

    qtbot.waitUntil(filled)
