"""A run in a window: what its protocol shows, at any of its steps; how it stands; its instruments; its controls."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from labneuro import registry
from labneuro.attempts import in_words
from labneuro.commands.parsing import counted
from labneuro.following import Following, RunSoFar
from labneuro.journal import StoreError
from labneuro.overview import time_of_day
from labneuro.progress import duration, single
from labneuro.report import beside
from labneuro.views.canvas import FILES, Canvas
from labneuro.views.ground import set_dark
from labneuro.views.instruments import Instruments
from labneuro.views.panels import Panel
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.steps import default_panels
from labneuro.views.wording import Words

FRAME = 33
"""Time between two looks at the run, ms."""

PLAYING = 20.0
"""Longest time that playing a whole run takes, s."""

_TURN = 0.02  # s that one look may take
_CALM = 0.25  # s between two renewals of words and lights


class RunWindow(QtWidgets.QMainWindow):
    """A window on a run.

    control: takes the words that steer the run, see `labneuro.control`; without it there are no buttons for them.
    Closing the window does nothing to the run.
    """

    def __init__(self, following: Following, control: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._following, self._control = following, control
        self._drawn: object = None
        self._told = -_CALM
        self.canvas, self.instruments = Canvas(), Instruments()
        self.title, self.state, self.values = QtWidgets.QLabel(), QtWidgets.QLabel(), Words()
        self.trouble = Words(alarm=True)
        self.nothing = QtWidgets.QLabel()
        self.play, self.live = QtWidgets.QPushButton("▶"), QtWidgets.QPushButton("&Live")
        self.slider, self.step = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal), QtWidgets.QSpinBox()
        self.pause = QtWidgets.QPushButton("&Pause")
        self.stop = QtWidgets.QPushButton("&Stop safely")
        self.abort = QtWidgets.QPushButton("&Abort…")
        self._arrange()
        self._add_menus()
        self._clock, self._player = QtCore.QTimer(self), QtCore.QTimer(self)
        self._clock.timeout.connect(self.look)
        self._player.timeout.connect(self._play_on)
        self._clock.start(FRAME)
        self.look()

    @property
    def is_live(self) -> bool:
        """Whether the window shows the run as it stands now."""
        return self.live.isChecked()

    def look(self) -> None:
        """Take what is new of the run, and show it."""
        self._following.look(_TURN)
        run = self._following.now
        if self.is_live:
            self._show(run)
        elif self.slider.maximum() != run.at:
            self.slider.setMaximum(run.at)
            self.step.setMaximum(run.at)
        if time.monotonic() - self._told >= _CALM:
            self._told = time.monotonic()
            self._tell(run)

    def show_step(self, step: int) -> None:
        """Show the run as it was right after `step`."""
        self.live.setChecked(False)
        try:
            past = self._following.at(step)
        except StoreError as error:
            self.trouble.say(str(error))
            return
        self._show(past)

    def show_now(self) -> None:
        """Show the run as it stands, and go on with it."""
        self._stop_playing()
        self.live.setChecked(True)
        self._show(self._following.now)

    def save(self, path: Path) -> None:
        """Save what is shown as a picture or as values; what goes wrong is said in the window."""
        try:
            self.canvas.export(path, self._following.now.title)
        except (OSError, ValueError) as error:
            self.trouble.say(f"not saved: {error}")
        else:
            self.statusBar().showMessage(f"saved {path}", 5000)

    def _show(self, run: RunSoFar) -> None:
        for control in (self.slider, self.step):
            with QtCore.QSignalBlocker(control):
                control.setMaximum(self._following.steps)
                control.setValue(run.at)
        what = run, run.at, run.standing.time, run.state
        if what == self._drawn:
            return
        self._drawn = what
        panels, trouble = panels_so_far(run)
        self.canvas.show_panels(panels)
        self.canvas.setVisible(bool(panels))
        self.nothing.setVisible(not panels)
        self.nothing.setText("Nothing to draw yet" if run.state == "running" else "There is nothing to draw")
        self.values.say(single(run.standing.last, run.standing.units))
        self._trouble_of_panels = trouble

    def _tell(self, run: RunSoFar) -> None:
        """Say how the run stands now, whatever step is shown."""
        standing = run.standing
        self.setWindowTitle(f"{run.protocol} on {run.bench_name}")
        self.title.setText(f"<b>{run.protocol}</b> on {run.bench_name}")
        self.state.setText(_state(run))
        told = [f"{time_of_day(moment)}  {words}" for moment, words in standing.alarms]
        if standing.problem:
            told.append(standing.problem)
        if run.state in {"failed", "interrupted"} and run.note:
            told.append(f"{run.state}: {run.note}")
        if self._trouble_of_panels:
            told.append(f"the panels of this protocol can't be drawn: {self._trouble_of_panels}")
        self.trouble.say("\n".join(dict.fromkeys(told)))
        self.instruments.show_lights(run, time.time())
        goes_on = run.state == "running" and self._control is not None
        for button in (self.pause, self.stop, self.abort):
            button.setVisible(self._control is not None)
            button.setEnabled(goes_on)
        self.pause.setText("&Continue" if standing.paused else "&Pause")

    def _steer(self, word: str) -> None:
        if self._control is not None:
            self._control(word)

    def _pause(self) -> None:
        self._steer("continue" if self._following.now.standing.paused else "pause")

    def _abort(self) -> None:
        box = QtWidgets.QMessageBox(self)
        box.setIcon(box.Icon.Warning)
        box.setWindowTitle("Abort the run?")
        box.setText("Abort the run in the middle of its step?")
        box.setInformativeText("The bench is left safe, but what this step measures is lost. Stop safely waits for it.")
        abort = box.addButton("Abort", box.ButtonRole.DestructiveRole)
        box.addButton(box.StandardButton.Cancel)
        box.setDefaultButton(box.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is abort:
            self._steer("stop")
            self._steer("abort")

    def _ask_where(self) -> None:
        path = self._following.path.with_suffix(".png").name
        chosen, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save what is shown", path, FILES)
        if chosen:
            self.save(Path(chosen))

    def _toggle_play(self) -> None:
        if self._player.isActive():
            self._stop_playing()
            return
        if self.slider.value() >= self.slider.maximum():
            self.show_step(min(1, self.slider.maximum()))
        self._player.start(FRAME * 2)
        self.play.setText("⏸")

    def _stop_playing(self) -> None:
        self._player.stop()
        self.play.setText("▶")

    def _play_on(self) -> None:
        """Go on by a step, or by as many as let the whole run pass in time."""
        last = self.slider.maximum()
        stride = max(1, round(last * FRAME * 2e-3 / PLAYING))
        step = min(self.slider.value() + stride, last)
        self.show_step(step)
        if step == last:
            self._stop_playing()

    def _arrange(self) -> None:
        self._trouble_of_panels = ""
        self.resize(1280, 860)
        font = self.title.font()
        font.setPointSizeF(font.pointSizeF() * 1.25)
        self.title.setFont(font)
        self.nothing.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.live.setCheckable(True)
        self.live.setChecked(True)
        self.step.setAccessibleName("Step")
        self.step.setMinimumWidth(90)
        self.slider.setAccessibleName("Steps of the run")
        self.slider.valueChanged.connect(self.show_step)
        self.step.valueChanged.connect(self.show_step)
        self.play.clicked.connect(self._toggle_play)
        self.live.clicked.connect(self.show_now)
        self.pause.clicked.connect(self._pause)
        self.stop.clicked.connect(lambda: self._steer("stop"))
        self.abort.clicked.connect(self._abort)
        self.canvas.said.connect(self.statusBar().showMessage)
        for widget, words in (
            (self.play, "Play the run from here (Space)"),
            (self.live, "Back to the run as it stands (End)"),
            (self.pause, "Wait after this step, all outputs as they are (P)"),
            (self.stop, "End after this step and leave the bench safe"),
            (self.abort, "Break off this step and leave the bench safe"),
        ):
            widget.setToolTip(words)
        for button in (self.play, self.live):
            button.setMaximumWidth(64)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setWidget(self.canvas)
        head = _row(self.title, 12, self.state, None, self.pause, self.stop, self.abort)
        scrubber = _row(self.play, self.slider, self.step, self.live)
        middle = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(middle)
        layout.setContentsMargins(10, 8, 10, 4)
        for widget in (head, self.values, self.trouble):
            layout.addWidget(widget)
        layout.addWidget(self.nothing, 1)
        layout.addWidget(scroll, 1)
        layout.addWidget(scrubber)
        self.setCentralWidget(middle)
        self.dock = QtWidgets.QDockWidget("Instruments", self)
        self.dock.setObjectName("instruments")
        self.dock.setWidget(self.instruments)
        self.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        self.resizeDocks([self.dock], [330], QtCore.Qt.Orientation.Horizontal)

    def _add_menus(self) -> None:
        file, view, run = (self.menuBar().addMenu(name) for name in ("&File", "&View", "&Run"))
        _add(file, "&Save what is shown…", "Ctrl+S", self._ask_where)
        _add(file, "&Close", "Ctrl+W", self.close)
        _add(view, "&Logarithmic y axis", "L", self.canvas.turn_logarithmic)
        _add(view, "Show &all", "A", self.canvas.show_all)
        view.addSeparator()
        ground = QtGui.QActionGroup(self)
        for words, dark in (("As the &system", None), ("&Light", False), ("&Dark", True)):
            action = _add(view, words, "", lambda dark=dark: set_dark(dark))
            action.setCheckable(True)
            action.setChecked(dark is None)
            ground.addAction(action)
        view.addSeparator()
        view.addAction(self.dock.toggleViewAction())
        _add(run, "Pla&y", "Space", self._toggle_play)
        _add(run, "One step &back", "Left", lambda: self.show_step(self.slider.value() - 1))
        _add(run, "One step &on", "Right", lambda: self.show_step(self.slider.value() + 1))
        _add(run, "To the &beginning", "Home", lambda: self.show_step(1))
        _add(run, "&Live", "End", self.show_now)
        if self._control is not None:
            run.addSeparator()
            _add(run, "&Pause or continue", "P", self._pause)
            _add(run, "&Stop safely", "", lambda: self._steer("stop"))
            _add(run, "&Abort…", "", self._abort)


def panels_so_far(run: RunSoFar) -> tuple[Sequence[Panel], str]:
    """Return what to show of a run while it goes on, and what went wrong with what its protocol says, "" if nothing.

    That is what the function `live` beside the protocol returns, or `panels`, or its step fields: a young run may lack
    what they want.
    """
    trouble = ""
    try:
        protocol = registry.load_protocol(run.protocol)
        live, panels = (beside(protocol, name) for name in ("live", "panels"))
        if live is not None:
            return live(run), ""
        if panels is not None and run.at:
            return panels(run), ""
    except registry.RegistryError:
        pass  # it is not installed here: its step fields are shown
    except Exception as error:  # noqa: BLE001 - the panels are the protocol's code
        trouble = in_words(error)
    return default_panels(run), trouble


def _state(run: RunSoFar) -> str:
    """Return in words how a run stands."""
    standing = run.standing
    if standing.unread:
        return f"{standing.unread / 1e6:.3g} MB of its journal still to be read"
    if run.state != "running":
        return f"{run.state}   {counted(standing.pace.steps, 'step')}"
    words = ["paused" if standing.paused else "running", str(standing.pace)]
    if standing.asked is not None:
        waited = time.time() - standing.time
        if waited > 1.0:
            words.append(f"waiting for {standing.asked.part}.{standing.asked.verb} for {duration(waited)}")
    return "   ".join(words)


def _row(*what: QtWidgets.QWidget | int | None) -> QtWidgets.QWidget:
    """Return widgets side by side; a number is a gap of so many pixels, None one that grows."""
    row = QtWidgets.QWidget()
    layout = QtWidgets.QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in what:
        if part is None:
            layout.addStretch(1)
        elif isinstance(part, int):
            layout.addSpacing(part)
        else:
            layout.addWidget(part)
    return row


def _add(menu: QtWidgets.QMenu, words: str, keys: str, action: Callable[[], object]) -> QtGui.QAction:
    entry = QtGui.QAction(words, menu)
    if keys:
        entry.setShortcut(QtGui.QKeySequence(keys))
    entry.triggered.connect(lambda _checked=False: action())
    menu.addAction(entry)
    return entry
