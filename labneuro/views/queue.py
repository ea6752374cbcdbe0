"""The queue of runs: one goes on, the others wait for it, and all say how they stand."""

from collections.abc import Callable

from labneuro.views.jobs import Job, going_on
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.wording import alarm_colour

_LOOK = 200  # ms between two looks at the run
_COLUMNS = {"Protocol": 150, "Bench": 130, "Options": 250, "State": 90, "Done": 100, "How it stands": 0}
_STATE, _DONE = 3, 4
_PART = QtCore.Qt.ItemDataRole.UserRole
_BAD = {"failed", "refused", "interrupted"}


class _Bar(QtWidgets.QStyledItemDelegate):
    """Draws the part of the steps that is done as a bar."""

    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionViewItem,
        index: QtCore.QModelIndex | QtCore.QPersistentModelIndex,
    ) -> None:
        super().paint(painter, option, index)
        part = index.data(_PART)
        if part is None:
            return
        rect = option.rect
        bar = QtCore.QRectF(rect.x() + 6, rect.center().y() - 3, rect.width() - 12, 6)
        roles, palette = QtGui.QPalette.ColorRole, QtWidgets.QApplication.palette()
        selected = option.state & QtWidgets.QStyle.StateFlag.State_Selected
        done = roles.HighlightedText if selected else roles.Highlight
        painter.save()
        painter.setRenderHint(painter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        for width, colour in ((1.0, roles.Mid), (part, done)):
            painter.setBrush(palette.color(colour))
            painter.drawRoundedRect(QtCore.QRectF(bar.topLeft(), QtCore.QSizeF(width * bar.width(), 6)), 3, 3)
        painter.restore()


class Queue(QtWidgets.QWidget):
    """Runs that wait for each other, and for one in the same folder that somebody else has started.

    opened: emitted with the run that is to be shown in a window of its own. ended: when one is over.
    """

    opened = QtCore.Signal(object)
    ended = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self._rows: list[QtWidgets.QTreeWidgetItem] = []
        self.table = QtWidgets.QTreeWidget()
        self.table.setAccessibleName("Queue")
        self.table.setHeaderLabels(list(_COLUMNS))
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setItemDelegateForColumn(_DONE, _Bar(self.table))
        for column, width in enumerate(_COLUMNS.values()):
            self.table.setColumnWidth(column, width)
        self.table.itemActivated.connect(self._open)
        self.table.itemSelectionChanged.connect(self._offer)
        bar = QtWidgets.QHBoxLayout()
        bar.addWidget(QtWidgets.QLabel("<b>Queue</b>"))
        bar.addStretch()
        self.open = self._button(bar, "&Open", "Return", "Show the run in a window, with its controls", self._open)
        self.stop = self._button(bar, "S&top", "", "Let the step end, then leave the bench safe", self._stop)
        self.earlier = self._button(bar, "&Earlier", "Alt+Up", "Let it start earlier", lambda: self._move(-1))
        self.later = self._button(bar, "&Later", "Alt+Down", "Let it start later", lambda: self._move(1))
        self.remove = self._button(bar, "&Remove", "Del", "Take it off this list; files stay", self._remove)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(bar)
        layout.addWidget(self.table)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(_LOOK)
        self._offer()

    def _button(
        self, bar: QtWidgets.QHBoxLayout, text: str, keys: str, tip: str, action: Callable[[], None]
    ) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.setToolTip(f"{tip} ({keys})" if keys else tip)
        button.clicked.connect(action)
        if keys not in {"", "Return"}:  # which activates an item as it is
            shortcut = QtGui.QShortcut(QtGui.QKeySequence(keys), self.table)
            shortcut.setContext(QtCore.Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(button.click)
        bar.addWidget(button)
        return button

    @property
    def going_on(self) -> Job | None:
        """The run that goes on, if one of these does."""
        return next((job for job in self.jobs if job.alive), None)

    @property
    def waiting(self) -> list[Job]:
        """The runs that wait, in the order in which they will start."""
        return [job for job in self.jobs if job.state == "waiting"]

    @property
    def selected(self) -> Job | None:
        """The run in the selected row."""
        selected = self.table.selectedItems()
        return next((job for job, row in zip(self.jobs, self._rows, strict=False) if row in selected), None)

    def add(self, job: Job) -> None:
        """Let a run wait for those before it, and start it if there is none."""
        self.jobs.append(job)
        self.look()
        self._select(job)

    def close_down(self) -> None:
        """Start no more runs; the one that goes on goes on."""
        self._timer.stop()

    def look(self) -> None:
        """See how the run stands, start the next if it is over, and show all."""
        job = self.going_on
        if job is not None:
            job.look()
        if self.going_on is None and self.waiting:
            self._start(self.waiting[0])
        self._show()
        if job is not None and not job.alive:
            self.ended.emit()

    def _start(self, job: Job) -> None:
        if other := going_on():
            job.words = f"until {other} has ended, which was not started here"
            return
        try:
            job.start()
        except OSError as error:
            job.state, job.words = "refused", f"it can't be started: {error.strerror}"

    def _show(self) -> None:
        while len(self._rows) < len(self.jobs):
            self._rows.append(QtWidgets.QTreeWidgetItem(self.table))
        while len(self._rows) > len(self.jobs):
            self.table.takeTopLevelItem(len(self.jobs))
            self._rows.pop()
        palette = self.palette()
        for job, item in zip(self.jobs, self._rows, strict=True):
            options = "  ".join(f"{name} {text}" for name, text in job.options.items() if name != "--bench")
            cells = [job.protocol, job.options["--bench"], options, job.state, "", job.words]
            for column, text in enumerate(cells):
                item.setText(column, text)
                item.setToolTip(column, text)
            item.setData(_DONE, _PART, job.part_done)
            ink = alarm_colour(palette) if job.state in _BAD else palette.color(palette.ColorRole.Text)
            item.setForeground(_STATE, ink)
        self._offer()

    def _offer(self) -> None:
        """Let only what makes sense for the selected run be pressed."""
        job, waiting = self.selected, self.waiting
        self.open.setEnabled(job is not None and job.following is not None)
        self.stop.setEnabled(job is not None and job.alive)
        self.earlier.setEnabled(job in waiting[1:])
        self.later.setEnabled(job in waiting[:-1])
        self.remove.setEnabled(job is not None and not job.alive)

    def _select(self, job: Job) -> None:
        self.table.setCurrentItem(self._rows[self.jobs.index(job)])

    def _open(self) -> None:
        if (job := self.selected) is not None and job.following is not None:
            self.opened.emit(job)

    def _stop(self) -> None:
        if (job := self.selected) is not None:
            job.say("stop")

    def _move(self, by: int) -> None:
        """Let the selected run change places with the one that waits before or behind it."""
        if (job := self.selected) is None:
            return
        waiting = self.waiting
        one, other = self.jobs.index(job), self.jobs.index(waiting[waiting.index(job) + by])
        self.jobs[one], self.jobs[other] = self.jobs[other], self.jobs[one]
        self._show()
        self._select(job)

    def _remove(self) -> None:
        if (job := self.selected) is not None:
            self.jobs.remove(job)
            self._show()
            self.table.clearSelection()
