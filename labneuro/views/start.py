"""Starting a run: choose a protocol and a bench, fill in the form, see the command line."""

from collections.abc import Iterator
from inspect import getdoc

from labneuro.bench import BenchError
from labneuro.commands.parsing import flag
from labneuro.store import RunFile
from labneuro.views.choices import Choices
from labneuro.views.forms import Form
from labneuro.views.jobs import Job, command_line, options
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.stock import Stock
from labneuro.views.wording import Words


class Start(QtWidgets.QWidget):
    """Protocols, benches, and the form of what is chosen. wanted: emitted with the run that is to be started."""

    wanted = QtCore.Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.form: Form | None = None
        self._stock = Stock()
        self._loading: Iterator[None] = iter(())
        self._loader = QtCore.QTimer(self)
        self._loader.timeout.connect(self._load)
        self.protocols, self.benches = Choices("Protocols"), Choices("Benches")
        self.command, self.trouble = QtWidgets.QLineEdit(), Words(alarm=True)
        self.copy = QtWidgets.QPushButton("&Copy")
        self.defaults = QtWidgets.QPushButton("&Defaults")
        self.start = QtWidgets.QPushButton("&Start")
        self.another = QtWidgets.QPushButton("Other bench &file…")
        self._title, self._doc, self._scroll = QtWidgets.QLabel(), Words(), QtWidgets.QScrollArea()
        self._arrange()
        self.protocols.itemSelectionChanged.connect(self._show_form)
        self.benches.itemSelectionChanged.connect(self._check)
        self.another.clicked.connect(self._ask_for_bench)
        self.copy.clicked.connect(lambda: QtGui.QGuiApplication.clipboard().setText(self.command.text()))
        self.defaults.clicked.connect(lambda: self.form and self.form.reset())
        self.start.clicked.connect(self._start)
        self._show_form()
        self.refresh()

    def refresh(self) -> None:
        """Look at all protocols and benches again, one after the other: the window never stands still for long."""
        self._loading = self._stock.load()
        self._loader.start(0)

    def fill(self, run: RunFile) -> None:
        """Choose what an earlier run was made with, as far as it is still there."""
        self.protocols.choose(run.protocol)
        if self.form is not None and self.protocols.choice == run.protocol:
            self.form.reset()
            self.form.fill(run.parameters)
            self.benches.choose(self._stock.named(run.bench_name))

    def _arrange(self) -> None:
        self.command.setReadOnly(True)
        self.command.setAccessibleName("Command line")
        self.command.setToolTip("What to type into a terminal for the same run")
        self.command.setFont(QtGui.QFontDatabase.systemFont(QtGui.QFontDatabase.SystemFont.FixedFont))
        self.start.setToolTip("Start the run, or let it wait for those before it (Ctrl+Return)")
        self.start.setShortcut("Ctrl+Return")
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        row = QtWidgets.QWidget()
        layout = QtWidgets.QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.command, self.copy, self.defaults, self.start):
            layout.addWidget(widget)
        columns = QtWidgets.QSplitter()
        for share, widgets in (
            (2, [QtWidgets.QLabel("<b>Protocols</b>"), self.protocols]),
            (2, [QtWidgets.QLabel("<b>Benches</b>"), self.benches, self.another]),
            (5, [self._title, self._doc, self._scroll, self.trouble, row]),
        ):
            column = QtWidgets.QWidget()
            layout = QtWidgets.QVBoxLayout(column)
            for widget in widgets:
                layout.addWidget(widget)
            columns.addWidget(column)
            columns.setStretchFactor(columns.count() - 1, share)
        columns.setSizes([270, 270, 700])
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(columns)

    def _load(self) -> None:
        if next(self._loading, self) is self:
            self._loader.stop()
            if not self.benches.choice:
                self._suggest_bench()
        self._show_lists()

    def _show_lists(self) -> None:
        self.protocols.show_choices(self._stock.protocols())
        self.benches.show_choices(self._stock.benches(self._stock.protocol(self.protocols.choice)))
        self._check()

    def _show_form(self) -> None:
        function = self._stock.protocol(self.protocols.choice)
        self.form = None if function is None else Form(function)
        what = "Choose a protocol" if function is None else self.protocols.choice
        self._title.setText(f"<b>{what}</b>")
        self._doc.say((getdoc(function) or "").partition("\nArgs:")[0].strip() if function is not None else "")
        if self.form is not None:
            self.form.changed.connect(self._check)
        self._scroll.setWidget(self.form or QtWidgets.QWidget())
        self._suggest_bench()
        self._show_lists()

    def _suggest_bench(self) -> None:
        function = self._stock.protocol(self.protocols.choice)
        if function is not None:
            self.benches.choose(self._stock.suggested(self.protocols.choice, function, self.benches.choice))

    def _check(self) -> None:
        """Say what is wrong, if anything is, and what to type into a terminal if nothing is."""
        trouble = self._trouble()
        self.trouble.say(trouble)
        job = None if trouble else self._job()
        self.command.setText("" if job is None else command_line(job.protocol, job.options))
        self.command.setCursorPosition(0)
        for button in (self.start, self.copy):
            button.setEnabled(job is not None)
        self.defaults.setEnabled(self.form is not None and bool(self.form.given))

    def _trouble(self) -> str:
        function = self._stock.protocol(self.protocols.choice)
        if function is None or self.form is None:
            return "choose a protocol"
        for name, reason in self.form.faults.items():
            return f"{flag(name)}: {reason}"
        if not self.benches.choice:
            return "choose a bench"
        try:
            self._stock.bench(self.benches.choice, function)
        except BenchError as error:
            return str(error)
        return ""

    def _job(self) -> Job:
        given = {} if self.form is None else self.form.given
        return Job(self.protocols.choice, options(self.benches.choice, given))

    def _start(self) -> None:
        self._check()  # a bench file may have changed
        if self.start.isEnabled():
            self.wanted.emit(self._job())

    def _ask_for_bench(self) -> None:
        path, _ = QtWidgets.QFileDialog.getOpenFileName(self, "Choose a bench file", "", "Bench files (*.toml)")
        if path:
            self._stock.files.append(path)
            self.refresh()
