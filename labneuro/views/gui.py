"""The laboratory in one window: start runs, see them wait and go on, look at those of the past."""

import signal
from collections.abc import Callable
from pathlib import Path

from labneuro.commands.parsing import counted
from labneuro.following import Following
from labneuro.journal import StoreError
from labneuro.store import RunFile
from labneuro.views.jobs import RUNS, Job
from labneuro.views.past_runs import PastRuns
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.queue import Queue
from labneuro.views.start import Start
from labneuro.views.window import RunWindow


class Laboratory(QtWidgets.QMainWindow):
    """Starting runs, their queue, and the runs of the past. folder: of the past runs at first."""

    def __init__(self, folder: Path = RUNS) -> None:
        super().__init__()
        self.setWindowTitle("labneuro")
        self.resize(1320, 860)
        self.setStyleSheet("QTreeView::item { padding: 3px 2px }")
        self.start, self.queue, self.past = Start(), Queue(), PastRuns(folder)
        self.windows: list[RunWindow] = []
        self.tabs = QtWidgets.QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.start, "Start a run")
        self.tabs.addTab(self.past, "Past runs")
        halves = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        halves.addWidget(self.tabs)
        halves.addWidget(self.queue)
        halves.setSizes([660, 200])
        halves.setStretchFactor(0, 1)
        self.setCentralWidget(halves)
        self.start.wanted.connect(self.queue.add)
        self.queue.opened.connect(self._show_job)
        self.queue.ended.connect(self.past.refresh)
        self.past.opened.connect(self._show_run)
        self.past.reused.connect(self._set_up_again)
        for keys, widget, tab in (
            ("Ctrl+1", self.start.protocols, self.start),
            ("Ctrl+2", self.queue.table, None),
            ("Ctrl+3", self.past.table, self.past),
            ("Ctrl+F", self.past.filter, self.past),
        ):
            self._shortcut(keys, lambda widget=widget, tab=tab: self._go_to(widget, tab))
        self._shortcut("F5", self._refresh)
        self._shortcut("Ctrl+Q", self.close)
        self.start.protocols.setFocus()

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Ask first if a run goes on, which it will, or if some wait, which then never start."""
        going_on, waiting = self.queue.going_on, len(self.queue.waiting)
        says: list[str] = []
        if going_on is not None:
            says.append(f"{going_on.protocol} goes on without it. To watch it: labneuro view {going_on.path}")
        if waiting:
            says.append(f"{counted(waiting, 'run')} in the queue will not start.")
        if says:
            box = QtWidgets.QMessageBox(self)
            box.setIcon(box.Icon.Question)
            box.setWindowTitle("Close the window?")
            box.setText("Close the window?")
            box.setInformativeText("\n".join(says))
            box.setStandardButtons(box.StandardButton.Close | box.StandardButton.Cancel)
            box.setDefaultButton(box.StandardButton.Cancel)
            if box.exec() != box.StandardButton.Close:
                event.ignore()
                return
        for window in list(self.windows):
            window.close()
        self.queue.close_down()
        event.accept()

    def changeEvent(self, event: QtCore.QEvent) -> None:  # noqa: N802
        """Look again when the user comes back: files may have changed."""
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.ActivationChange and self.isActiveWindow():
            self._refresh()

    def _refresh(self) -> None:
        self.start.refresh()
        self.past.refresh()

    def _go_to(self, widget: QtWidgets.QWidget, tab: QtWidgets.QWidget | None) -> None:
        if tab is not None:
            self.tabs.setCurrentWidget(tab)
        widget.setFocus(QtCore.Qt.FocusReason.ShortcutFocusReason)

    def _shortcut(self, keys: str, action: Callable[[], object]) -> None:
        QtGui.QShortcut(QtGui.QKeySequence(keys), self).activated.connect(action)

    def _set_up_again(self, path: Path) -> None:
        try:
            self.start.fill(RunFile(path))
        except StoreError as error:
            self.statusBar().showMessage(str(error))
        self._go_to(self.start.protocols, self.start)

    def _show_job(self, job: Job) -> None:
        if job.path is not None:
            self._show_run(job.path, job.say if job.alive else None)

    def _show_run(self, path: Path, control: Callable[[str], None] | None = None) -> None:
        try:
            window = RunWindow(Following(path), control)
        except StoreError as error:
            self.statusBar().showMessage(str(error))
            return
        window.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self.windows.append(window)
        window.destroyed.connect(lambda: self.windows.remove(window))
        window.show()


def show() -> int:
    """Show the laboratory until it is closed; return the exit status. Ctrl-C closes it, and no run."""
    application = QtWidgets.QApplication(["labneuro"])
    application.setApplicationDisplayName("labneuro")
    window = Laboratory()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Qt waits, Python hears nothing
    window.show()
    return application.exec()
