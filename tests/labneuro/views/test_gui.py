"""The laboratory in a window, used as a person would; the runs are real and processes of their own."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from labneuro import bench, registry
from labneuro.store import RunFile
from labneuro.views.choices import Choices
from labneuro.views.gui import Laboratory
from labneuro.views.jobs import Job
from labneuro.views.qt import QtCore, QtWidgets
from labneuro.views.stock import Stock
from labneuro.views.window import RunWindow

ANNEX = Path(__file__).parents[2] / "annex"
LONG = 60_000  # ms that a run may take to start on a busy machine
KEYS, LEFT = QtCore.Qt.Key, QtCore.Qt.MouseButton.LeftButton

DESK = """
guardian = false
description = "A source that keeps a diary"
[parts.source]
driver = "diary"
[parts.source.settings]
diary = "diary.txt"
[parts.source.limits]
max_current = "8 mA"
max_compliance = "2 V"
"""

TINY = '''
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from labneuro.clock import WallClock
from labneuro.roles import CurrentSource
from labneuro.units import Current, Duration

@dataclass(frozen=True)
class Step:
    current: Current

def tiny(
    source: CurrentSource, *, steps: Annotated[int, Ge(1)] = 3, top: Current = 1e-3, pause: Duration = 0.0
) -> Iterator[Step]:
    """Raise a current."""
    for k in range(steps):
        source.set_current(top * (k + 1) / steps)
        WallClock().sleep(pause)
        yield Step(source.current)
'''


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a small protocol and, in the current folder, the bench for it; no bench comes with labneuro."""
    installed = tmp_path / "site" / "tiny_lab-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-lab\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[labneuro.protocols]\ntiny = tiny_lab:tiny\n")
    (installed.parent / "tiny_lab.py").write_text(TINY)
    for folder in (ANNEX, installed.parent):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ANNEX, installed.parent))))
    monkeypatch.setattr(bench, "shipped", dict[str, Path])
    known = {name: entry for name, entry in registry.protocols().items() if name in {"tiny", "ramp", "gone"}}
    monkeypatch.setattr(registry, "protocols", lambda: known)  # the others bring their compilers
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("desk.toml").write_text(DESK)


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Laboratory]:
    window = Laboratory()
    qtbot.addWidget(window, before_close_func=lambda window: end(window.queue.jobs))
    with qtbot.waitActive(window):  # shortcuts reach no other
        window.show()
        window.activateWindow()
    qtbot.waitUntil(lambda: {"desk.toml", "tiny"} <= {*names(window.start.benches), *names(window.start.protocols)})
    click(qtbot, window.start.protocols, "tiny")
    click(qtbot, window.start.benches, "desk.toml")
    yield window
    end(window.queue.jobs)


def end(jobs: list[Job]) -> None:
    """Let no run outlive its test, nor start behind it."""
    for job in jobs:
        if job.alive and job.process is not None:
            job.process.kill()
            job.process.wait()
            job.look()
    jobs.clear()


def names(choices: Choices) -> list[str]:
    return [choices.item(row).text() for row in range(choices.count())]


def click(qtbot: QtBot, choices: Choices, name: str) -> None:
    item = choices.item(names(choices).index(name))
    choices.scrollToItem(item)
    qtbot.mouseClick(choices.viewport(), LEFT, pos=choices.visualItemRect(item).center())


def retype(qtbot: QtBot, window: Laboratory, name: str, text: str) -> None:
    assert window.start.form is not None
    editor = window.start.form.fields[name].editor.widget
    qtbot.keyClick(editor, KEYS.Key_A, QtCore.Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(editor, text)


def press(qtbot: QtBot, button: QtWidgets.QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)


def states(window: Laboratory) -> list[str]:
    return [job.state for job in window.queue.jobs]


def answering(qtbot: QtBot, answer: QtWidgets.QMessageBox.StandardButton, asked: list[str]) -> Callable[[], None]:
    """Press a button of the question that is about to be asked."""

    def press() -> None:
        box = QtWidgets.QApplication.activeModalWidget()
        assert isinstance(box, QtWidgets.QMessageBox)
        asked.append(box.informativeText())
        qtbot.mouseClick(box.button(answer), LEFT)

    return press


def test_what_cannot_be_chosen_stands_last_and_says_why() -> None:
    Path("broken.toml").write_text("parts = ")
    Path("empty.toml").write_text("[parts.generator]\ndriver = 'pulser'\nsettings = {pulses = 'p'}\n")
    Path("other.toml").write_text("[tool]\nname = 1\n")
    stock = Stock()
    for _ in stock.load():
        pass
    problems = {choice.name: choice.problem for choice in stock.protocols()}
    assert problems["tiny"] == ""
    assert "annex_gone" in problems["gone"]
    benches = stock.benches(stock.protocol("tiny"))
    assert [choice.name for choice in benches] == ["desk.toml", "broken.toml", "empty.toml"]
    assert benches[0].line == "Instruments. A source that keeps a diary"
    assert benches[1].problem.startswith("broken.toml:1: not TOML")
    assert "[parts.generator.limits]" in benches[2].problem


def test_a_bench_with_instruments_is_never_chosen_by_itself() -> None:
    stock = Stock()
    for _ in stock.load():
        pass
    tiny = stock.protocol("tiny")
    assert tiny is not None
    assert stock.suggested("tiny", tiny, before="") == ""
    assert stock.suggested("tiny", tiny, before="desk.toml") == "desk.toml"


def test_from_a_form_to_two_runs_laid_over_each_other(qtbot: QtBot, window: Laboratory) -> None:
    start, queue, past = window.start, window.queue, window.past
    retype(qtbot, window, "steps", "0")
    assert start.trouble.text() == "--steps: '0' is not allowed: give an integer of at least 1"
    assert not start.start.isEnabled()
    assert start.command.text() == ""
    retype(qtbot, window, "steps", "4")
    retype(qtbot, window, "top", "2000 uA")
    assert start.command.text() == "labneuro run tiny --bench=desk.toml --steps=4 --top='2000 uA'"
    press(qtbot, start.copy)
    assert QtWidgets.QApplication.clipboard().text() == start.command.text()
    press(qtbot, start.start)
    retype(qtbot, window, "steps", "6")
    qtbot.keyClick(window, KEYS.Key_Return, QtCore.Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: states(window) == ["starting", "waiting"])
    qtbot.waitUntil(lambda: states(window) == ["finished", "finished"], timeout=LONG)
    assert queue.jobs[0].words.startswith("4 steps in ")
    assert queue.jobs[1].words.endswith("current 2 mA")
    window.tabs.setCurrentWidget(past)
    model = past.table.model()
    qtbot.waitUntil(lambda: model.rowCount() == 2, timeout=LONG)
    row = past.table.visualRect(model.index(0, 1)).center()
    qtbot.mouseClick(past.table.viewport(), LEFT, pos=row)
    assert [run.steps for run in past.selected] == [6]
    press(qtbot, past.reuse)
    assert start.form is not None
    assert start.form.given == {"steps": "6", "top": "2 mA"}
    window.tabs.setCurrentWidget(past)
    other = past.table.visualRect(model.index(1, 1)).center()
    qtbot.mouseClick(past.table.viewport(), LEFT, QtCore.Qt.KeyboardModifier.ControlModifier, other)
    first, second = (job.path.name for job in queue.jobs if job.path is not None)
    assert past.legend.text() == f"solid: steps 4 ({first}), dashed: steps 6 ({second})"
    assert past.canvas.isVisible()
    assert past.details.topLevelItem(0).child(0).text(1) == "4 → 6"
    qtbot.keyClicks(past.filter, "nothing like it")
    assert model.rowCount() == 0


def test_runs_that_end_badly_say_why(qtbot: QtBot, window: Laboratory) -> None:
    start, queue = window.start, window.queue
    retype(qtbot, window, "steps", "1")
    retype(qtbot, window, "top", "9 mA")
    press(qtbot, start.start)
    retype(qtbot, window, "top", "1 mA")
    retype(qtbot, window, "pause", "60 s")
    press(qtbot, start.start)
    qtbot.waitUntil(lambda: states(window) == ["refused", "running"], timeout=LONG)
    assert "limit 8 mA" in queue.jobs[0].words
    assert queue.jobs[1].process is not None
    os.kill(queue.jobs[1].process.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: states(window) == ["refused", "interrupted"], timeout=LONG)
    assert queue.jobs[1].words.startswith("killed by SIGKILL; its process died before the first step")


def test_waiting_runs_change_places_and_go(qtbot: QtBot, window: Laboratory) -> None:
    queue = window.queue
    retype(qtbot, window, "pause", "60 s")
    for steps in ("1", "2", "4"):
        retype(qtbot, window, "steps", steps)
        press(qtbot, window.start.start)
    qtbot.keyClick(window, KEYS.Key_2, QtCore.Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(queue.table, KEYS.Key_Up, QtCore.Qt.KeyboardModifier.AltModifier)
    assert [job.options["--steps"] for job in queue.jobs] == ["1", "4", "2"]
    assert queue.selected is queue.jobs[1]
    assert not queue.earlier.isEnabled()
    qtbot.keyClick(queue.table, KEYS.Key_Delete)
    assert [job.options["--steps"] for job in queue.jobs] == ["1", "2"]


def test_a_run_outlives_the_window(qtbot: QtBot, window: Laboratory) -> None:
    queue = window.queue
    retype(qtbot, window, "pause", "1 s")
    press(qtbot, window.start.start)
    qtbot.waitUntil(lambda: states(window) == ["running"], timeout=LONG)
    row = queue.table.visualItemRect(queue.table.topLevelItem(0)).center()
    for click_on in (qtbot.mouseClick, qtbot.mouseDClick):
        click_on(queue.table.viewport(), LEFT, pos=row)
    assert [type(shown) for shown in window.windows] == [RunWindow]

    asked: list[str] = []
    buttons = QtWidgets.QMessageBox.StandardButton
    QtCore.QTimer.singleShot(0, answering(qtbot, buttons.Cancel, asked))
    assert not window.close()
    assert window.isVisible()
    QtCore.QTimer.singleShot(0, answering(qtbot, buttons.Close, asked))
    assert window.close()
    assert len(asked) == 2
    (job,) = queue.jobs
    assert job.path is not None
    assert f"labneuro view {job.path}" in asked[0]
    assert job.process is not None
    assert job.process.stdin is not None
    job.process.stdin.close()  # as when the process of the window ends
    path = job.path
    qtbot.waitUntil(lambda: RunFile(path).state == "finished", timeout=LONG)
    assert RunFile(path).steps.count == 3
