"""A form made from a function's signature: an editor for each parameter, checked as the command line checks it.

What a form gives are the words of the command line: texts such as "4.5 mA", of those parameters that are not left
at their defaults. So there is one reader of values, and one message for each mistake.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from labneuro.parameters import Parameter, ParameterError, checked, parameters
from labneuro.units import format_quantity, parse_quantity
from labneuro.views.qt import QtCore, QtGui, QtWidgets
from labneuro.views.wording import Words, human

_EDITOR_WIDTH = 230
_DIGITS = 1e-14  # relative: "10 µs" is read as 9.999999999999999e-06 s


def text_of(value: Any, unit: str) -> str:
    """Return a value as the command line takes it, "4.5 mA" where that is exact to 14 digits; "" for None."""
    value = value.tolist() if hasattr(value, "tolist") else value
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() | int() if unit in {"", "1"}:
            short = f"{value:g}"
            return short if float(short) == value else repr(value)
        case float() | int():
            short = format_quantity(value, unit)
            same = math.isclose(parse_quantity(short, unit), value, rel_tol=_DIGITS)
            return short if same else f"{value!r} {unit}"
        case list() | tuple():
            return ", ".join(text_of(item, unit) for item in cast("Sequence[Any]", value))
        case _:
            return str(value)


@dataclass(frozen=True)
class Editor:
    """What a person writes a value into, whatever it looks like. changed: emitted with every change."""

    widget: QtWidgets.QWidget
    text: Callable[[], str]
    set_text: Callable[[str], None]
    changed: QtCore.SignalInstance


def editor_of(parameter: Parameter) -> Editor:
    """Return the editor that suits the type of a parameter."""
    if parameter.choices is not None:
        box = _Choice()
        box.addItems([str(choice) for choice in parameter.choices])
        return Editor(box, box.currentText, box.setCurrentText, box.currentTextChanged)
    if parameter.types == (bool,):
        check = QtWidgets.QCheckBox()
        return Editor(
            check,
            lambda: text_of(check.isChecked(), ""),
            lambda text: check.setChecked(text == "true"),
            check.toggled,
        )
    if parameter.types == (int,):
        spin = _Integer()
        return Editor(spin, spin.text, spin.lineEdit().setText, spin.lineEdit().textChanged)
    line = QtWidgets.QLineEdit()
    if parameter.types == (Path,):
        icon = line.style().standardIcon(QtWidgets.QStyle.StandardPixmap.SP_DirOpenIcon)
        browse = line.addAction(icon, QtWidgets.QLineEdit.ActionPosition.TrailingPosition)
        browse.setToolTip("Choose a file")
        browse.triggered.connect(partial(_choose_file, line))
    return Editor(line, line.text, line.setText, line.textChanged)


def _choose_file(line: QtWidgets.QLineEdit) -> None:
    path, _ = QtWidgets.QFileDialog.getOpenFileName(line, "Choose a file", line.text())
    if path:
        line.setText(path)


class _Choice(QtWidgets.QComboBox):
    """A combo box that a wheel, turned to scroll past it, does not change."""

    def wheelEvent(self, e: QtGui.QWheelEvent) -> None:  # noqa: N802 - Qt's name
        e.ignore()


class _Integer(QtWidgets.QAbstractSpinBox):
    """An integer of any size with arrows. Any text can be typed: what is wrong with it is said, nothing is clipped."""

    def validate(self, input: str, pos: int) -> tuple[QtGui.QValidator.State, str, int]:  # noqa: A002 - Qt's name
        return QtGui.QValidator.State.Acceptable, input, pos

    def stepEnabled(self) -> QtWidgets.QAbstractSpinBox.StepEnabledFlag:  # noqa: N802
        flags = QtWidgets.QAbstractSpinBox.StepEnabledFlag
        return flags.StepUpEnabled | flags.StepDownEnabled if _is_integer(self.text()) else flags.StepNone

    def stepBy(self, steps: int) -> None:  # noqa: N802
        if _is_integer(self.text()):
            self.lineEdit().setText(str(int(self.text()) + steps))

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:  # noqa: N802
        event.ignore()


def _is_integer(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()


class Field(QtCore.QObject):
    """One parameter: its editor, what was understood, and below them its help or what is wrong."""

    changed = QtCore.Signal()

    def __init__(self, parameter: Parameter, grid: QtWidgets.QGridLayout) -> None:
        super().__init__(grid)
        self.parameter = parameter
        self.editor = editor_of(parameter)
        self.fault = ""
        self._untouched = "" if parameter.required else text_of(parameter.default, parameter.unit)
        widget, name = self.editor.widget, human(parameter.name)
        widget.setObjectName(parameter.name)
        widget.setAccessibleName(name)
        widget.setFixedSize(_EDITOR_WIDTH, widget.sizeHint().height())
        widget.setToolTip(_tip(parameter))
        for line in [widget, *widget.findChildren(QtWidgets.QLineEdit)]:
            if isinstance(line, QtWidgets.QLineEdit):
                line.setPlaceholderText("required" if parameter.required else self._untouched or "none")
        self._label = QtWidgets.QLabel(f"{name} *" if parameter.required else name)
        self._label.setBuddy(widget)
        self._label.setToolTip(_tip(parameter))
        self._understood = Words()
        self._help = Words(_help(parameter))
        self._alarm = Words(alarm=True)
        row = grid.rowCount()
        right = QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter
        grid.addWidget(self._label, row, 0, right)
        grid.addWidget(widget, row, 1)
        grid.addWidget(self._understood, row, 2)
        grid.addWidget(self._help, row + 1, 1, 1, 2)
        grid.addWidget(self._alarm, row + 2, 1, 1, 2)
        grid.setRowMinimumHeight(row + 3, 8)
        self.editor.set_text(self._untouched)
        self._check()
        self.editor.changed.connect(self._check)

    @property
    def given(self) -> dict[str, str]:
        """The text by the name of the parameter; empty if it is the default's, or there is none."""
        text = self.editor.text()
        meant = text.strip() or str in self.parameter.types
        return {self.parameter.name: text} if meant and text != self._untouched else {}

    def fill(self, value: object) -> None:
        """Show a value; that of the default as if nobody had touched it."""
        parameter = self.parameter
        text = self._untouched if value == parameter.default else text_of(value, parameter.unit)
        self.editor.set_text(text)

    def reset(self) -> None:
        """Show the default."""
        self.editor.set_text(self._untouched)

    def _check(self) -> None:
        parameter, given = self.parameter, self.given
        understood = ""
        try:
            value = checked(parameter, given)
            self.fault = ""
            if given and parameter.dimensional:
                understood = text_of(value, parameter.unit)
        except ParameterError as error:
            self.fault = error.reason
        self._understood.say(f"= {understood}" if understood not in {"", self.editor.text().strip()} else "")
        self._alarm.say(self.fault)
        font = self._label.font()
        font.setBold(bool(given))
        self._label.setFont(font)
        self.changed.emit()


def _help(parameter: Parameter) -> str:
    """Return what stands under a field: what it is, its bounds, and the default."""
    bounds = parameter.bounds[:1].upper() + parameter.bounds[1:]
    default = "" if parameter.required else text_of(parameter.default, parameter.unit)
    says = [parameter.help, bounds, f"Default {default}" if default else ""]
    return " ".join(f"{sentence.rstrip('.')}." for sentence in says if sentence)


def _tip(parameter: Parameter) -> str:
    return f"{parameter.help.rstrip('.')}: {parameter.wanted}".removeprefix(": ")


class Form(QtWidgets.QWidget):
    """The parameters of a function as fields below each other. changed: emitted after every change."""

    changed = QtCore.Signal()

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        grid = QtWidgets.QGridLayout(self)
        grid.setVerticalSpacing(1)
        grid.setHorizontalSpacing(10)
        grid.setColumnStretch(2, 1)
        self.fields = {parameter.name: Field(parameter, grid) for parameter in parameters(function)}
        grid.setRowStretch(grid.rowCount(), 1)
        for field in self.fields.values():
            field.changed.connect(self.changed)

    @property
    def given(self) -> dict[str, str]:
        """The texts of all parameters that are not left at their defaults."""
        return {name: text for field in self.fields.values() for name, text in field.given.items()}

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by parameter."""
        return {name: field.fault for name, field in self.fields.items() if field.fault}

    def fill(self, values: Mapping[str, object]) -> None:
        """Show values, such as those of an earlier run; names that are unknown are passed over."""
        for name, field in self.fields.items():
            if name in values:
                field.fill(values[name])

    def reset(self) -> None:
        """Show the defaults."""
        for field in self.fields.values():
            field.reset()
