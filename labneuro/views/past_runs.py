"""The runs in a folder: a table to search, the figure of one, two laid over each other."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from labneuro import registry
from labneuro.attempts import in_words
from labneuro.browse import KEYS, UNREADABLE, runs_in
from labneuro.diff import differences
from labneuro.journal import StoreError
from labneuro.layout import Lines
from labneuro.overview import Overview
from labneuro.progress import single
from labneuro.report import contents, panels_of
from labneuro.store import RunFile
from labneuro.views.canvas import Canvas
from labneuro.views.overlay import overlaid
from labneuro.views.panels import Panel
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.wording import Words, alarm_colour

_COLUMNS = {"When": 150, "Protocol": 130, "State": 80, "Steps": 55, "Bench": 90, "Last values": 260, "File": 0}
_STATE = list(_COLUMNS).index("State")
_SORT, _RUN = QtCore.Qt.ItemDataRole.UserRole, QtCore.Qt.ItemDataRole.UserRole + 1
_BAD = {"failed", "interrupted", UNREADABLE}
_LONGEST = 24  # characters of a name in a legend
_Pair = tuple[str, str]


class PastRuns(QtWidgets.QWidget):
    """The runs of a folder. opened: emitted with the path of one to show in a window; reused: of one to do again."""

    opened = QtCore.Signal(object)
    reused = QtCore.Signal(object)
    _read = QtCore.Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._reading = self._stale = False
        self._shown: list[tuple[Path, str, int]] = []
        self._rows = QtGui.QStandardItemModel(0, len(_COLUMNS))
        self._rows.setHorizontalHeaderLabels(list(_COLUMNS))
        self._found = QtCore.QSortFilterProxyModel()
        self._found.setSourceModel(self._rows)
        self._found.setFilterKeyColumn(-1)
        self._found.setFilterCaseSensitivity(QtCore.Qt.CaseSensitivity.CaseInsensitive)
        self._found.setSortRole(_SORT)
        self.table, self.filter = QtWidgets.QTreeView(), QtWidgets.QLineEdit()
        self.trouble, self.legend = Words(alarm=True), Words()
        self.canvas, self.details = Canvas(), QtWidgets.QTreeWidget()
        self.folder = QtWidgets.QPushButton("&Folder…")
        self.open = QtWidgets.QPushButton("Open &window")
        self.reuse = QtWidgets.QPushButton("Set up a&gain")
        self._arrange()
        self._read.connect(self._take)
        self.filter.textChanged.connect(self._found.setFilterFixedString)
        self.table.selectionModel().selectionChanged.connect(self._show)
        self.table.activated.connect(self._open)
        self.open.clicked.connect(self._open)
        self.reuse.clicked.connect(lambda: self.reused.emit(self.selected[0].path))
        self.folder.clicked.connect(self._ask_for_folder)
        self._show()
        self.refresh()

    @property
    def selected(self) -> list[Overview]:
        """The selected runs, the oldest first."""
        runs = [index.data(_RUN) for index in self.table.selectionModel().selectedRows()]
        return sorted(runs, key=KEYS["when"])

    def refresh(self) -> None:
        """Read the folder again; elsewhere, since many runs take a while."""
        self._stale = self._reading
        if not self._reading:
            self._reading = True
            threading.Thread(target=self._look, args=[self._folder], daemon=True).start()

    def _look(self, folder: Path) -> None:
        try:
            found: list[Overview] | str = runs_in(folder) if folder.exists() else []
        except StoreError as error:
            found = str(error)
        with suppress(RuntimeError):  # the window is gone
            self._read.emit((folder, found))

    def _take(self, read: tuple[Path, list[Overview] | str]) -> None:
        self._reading = False
        folder, found = read
        if self._stale or folder != self._folder:
            self.refresh()
        paths = {run.path for run in self.selected}
        self._rows.removeRows(0, self._rows.rowCount())
        for run in found if isinstance(found, list) else []:
            self._rows.appendRow(self._row(run))
        selection = self.table.selectionModel()
        flags = selection.SelectionFlag
        for row in range(self._found.rowCount()):
            index = self._found.index(row, 0)
            if index.data(_RUN).path in paths:
                selection.select(index, flags.Select | flags.Rows)
        self.trouble.say(found if isinstance(found, str) else "")

    def _row(self, run: Overview) -> list[QtGui.QStandardItem]:
        began = "" if run.began is None else f"{datetime.fromtimestamp(run.began):%Y-%m-%d %H:%M:%S}"
        last = run.problem or run.note or single(run.last, run.units)
        items: list[QtGui.QStandardItem] = []
        cells = [began, run.protocol, run.state, str(run.steps), run.bench, last, run.path.name]
        keys = {"When": run.began or 0.0, "Steps": run.steps}
        for column, text in zip(_COLUMNS, cells, strict=True):
            item = QtGui.QStandardItem(text)
            item.setEditable(False)
            item.setToolTip(text)
            item.setData(keys.get(column, text), _SORT)
            items.append(item)
        items[0].setData(run, _RUN)
        if run.state in _BAD:
            items[_STATE].setForeground(alarm_colour(self.palette()))
        return items

    def _show(self) -> None:
        """Show the selected runs, unless they stand there already."""
        selected = self.selected
        for button in (self.open, self.reuse):
            button.setEnabled(len(selected) == 1 and selected[0].state != UNREADABLE)
        key = [(run.path, run.state, run.steps) for run in selected]
        if key == self._shown and selected:
            return
        self._shown = key
        panels: Sequence[Panel] = []
        tables: Mapping[str, Lines] = {}
        legend = trouble = ""
        try:
            runs = [RunFile(run.path) for run in selected[:2]]
            if len(selected) == 1:
                panels, tables = _panels(runs[0]), contents(runs[0])
            elif len(selected) == 2:
                tables = differences(runs[0], runs[1])
                names = _names(runs[0], runs[1], tables["Parameters"])
                panels = overlaid(_panels(runs[0]), _panels(runs[1]), names)
                legend = f"solid: {names[0]} ({runs[0].path.name}), dashed: {names[1]} ({runs[1].path.name})"
            else:
                legend = "Select one run to see its figure, or two to lay them over each other."
        except Exception as error:  # noqa: BLE001 - panels are the protocol's code
            trouble = str(error) if isinstance(error, StoreError) else in_words(error)
        self.canvas.show_panels(panels)
        self.canvas.setVisible(bool(panels))
        self.legend.say(legend)
        self.trouble.say(trouble)
        self._show_details(tables)

    def _show_details(self, tables: Mapping[str, Lines]) -> None:
        self.details.clear()
        self.details.setVisible(bool(tables))
        for title, lines in tables.items():
            section = QtWidgets.QTreeWidgetItem([title, "" if lines else "identical"])
            self.details.addTopLevelItem(section)
            for label, text in lines:
                item = QtWidgets.QTreeWidgetItem([label, text])
                item.setToolTip(1, text)
                section.addChild(item)
        self.details.expandAll()
        self.details.resizeColumnToContents(0)

    def _open(self) -> None:
        if self.open.isEnabled():
            self.opened.emit(self.selected[0].path)

    def _ask_for_folder(self) -> None:
        folder = QtWidgets.QFileDialog.getExistingDirectory(self, "Choose a folder of runs", str(self._folder))
        if folder:
            self._folder = Path(folder)
            self.refresh()

    def _arrange(self) -> None:
        self.filter.setPlaceholderText("Filter (Ctrl+F)")
        self.filter.setAccessibleName("Filter")
        self.filter.setClearButtonEnabled(True)
        self.table.setAccessibleName("Past runs")
        self.table.setModel(self._found)
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(0, QtCore.Qt.SortOrder.DescendingOrder)
        self.table.setSelectionMode(self.table.SelectionMode.ExtendedSelection)
        for column, width in enumerate(_COLUMNS.values()):
            self.table.setColumnWidth(column, width)
        self.details.setHeaderHidden(True)
        self.details.setColumnCount(2)
        self.details.setAccessibleName("Details")
        self.open.setToolTip("Show the run in a window of its own (Enter)")
        self.reuse.setToolTip("Put its protocol, parameters and bench into the form")
        bar = QtWidgets.QHBoxLayout()
        for widget in (self.filter, self.folder, self.open, self.reuse):
            bar.addWidget(widget)
        left, right = QtWidgets.QWidget(), QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        column = QtWidgets.QVBoxLayout(left)
        column.addLayout(bar)
        column.addWidget(self.table)
        column.addWidget(self.trouble)
        column.addWidget(self.legend)
        right.addWidget(self.canvas)
        right.addWidget(self.details)
        right.setStretchFactor(0, 3)
        right.setStretchFactor(1, 1)
        halves = QtWidgets.QSplitter()
        halves.addWidget(left)
        halves.addWidget(right)
        halves.setSizes([600, 720])
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(halves)


def _panels(run: RunFile) -> Sequence[Panel]:
    try:
        protocol = registry.load_protocol(run.protocol)
    except registry.RegistryError:
        protocol = None
    return panels_of(run, protocol) if run.steps.count else []


def _names(first: RunFile, second: RunFile, changed: Iterable[_Pair]) -> _Pair:
    """Return what to call two runs in a legend: by the parameter in which they differ if that is one, else by file."""
    changed = list(changed)
    if len(changed) == 1:
        label, both = changed[0]
        one, _, other = both.partition(" → ")
        names = f"{label} {one}", f"{label} {other}"
        if max(map(len, names)) <= _LONGEST:
            return names
    return first.path.stem, second.path.stem
