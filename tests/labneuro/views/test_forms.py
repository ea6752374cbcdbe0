"""Forms read what is typed as the command line reads it, and complain in its words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from labneuro.parameters import ParameterError, parameters, validated
from labneuro.registry import load_protocol, protocols
from labneuro.units import Current, Power, parse_quantity
from labneuro.views.forms import Form, text_of
from labneuro.views.qt import QtCore, QtWidgets

KEYS = QtCore.Qt.Key


def measure(
    *,
    current: Annotated[Current, Gt(0)] = 3e-3,
    powers: tuple[Power, ...] = (1e-3,),
    steps: Annotated[int, Ge(1)] = 10,
    rate: float = 0.3,
    shape: Literal["line", "square"] = "line",
    loud: bool = False,
    data: Path | None = None,
    sample: str,
) -> Iterator[None]:
    """Measure.

    Args:
        current: Of the oscillator.
        sample: Name of the sample.
    """
    yield


@pytest.fixture
def form(qtbot: QtBot) -> Form:
    form = Form(measure)
    qtbot.addWidget(form)
    form.show()
    form.fields["sample"].editor.set_text("A7")
    return form


def editor(form: Form, name: str) -> Any:
    return form.fields[name].editor.widget


def retype(qtbot: QtBot, widget: QtWidgets.QWidget, text: str) -> None:
    qtbot.keyClick(widget, KEYS.Key_A, QtCore.Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(widget, KEYS.Key_Delete)
    qtbot.keyClicks(widget, text)


def words(form: Form) -> list[str]:
    return [label.text() for label in form.findChildren(QtWidgets.QLabel) if label.isVisible()]


def test_what_nobody_touches_is_not_given(form: Form) -> None:
    assert form.given == {"sample": "A7"}
    assert form.faults == {}


def test_a_quantity_is_typed_with_its_unit_and_what_was_understood_is_shown(qtbot: QtBot, form: Form) -> None:
    retype(qtbot, editor(form, "current"), "4500 uA")
    assert form.given["current"] == "4500 uA"
    assert "= 4.5 mA" in words(form)
    retype(qtbot, editor(form, "current"), "4.5 mA")
    assert not any(text.startswith("=") for text in words(form))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("current", "4.5"),
        ("current", "-1 mA"),
        ("current", "4 V"),
        ("steps", "0"),
        ("rate", "fast"),
        ("powers", "1"),
    ],
)
def test_a_mistake_is_said_in_the_words_of_the_command_line(qtbot: QtBot, form: Form, name: str, text: str) -> None:
    retype(qtbot, editor(form, name), text)
    with pytest.raises(ParameterError) as complaint:
        validated(measure, form.given)
    assert form.faults == {name: complaint.value.reason}
    assert complaint.value.reason in words(form)
    form.reset()
    form.fields["sample"].editor.set_text("A7")
    assert complaint.value.reason not in words(form)


def test_a_value_that_is_required_is_marked_and_missed(form: Form) -> None:
    assert "Sample *" in words(form)
    form.fields["sample"].editor.set_text("")
    assert form.faults == {"sample": "missing parameter: give text"}


def test_help_bounds_and_default_stand_under_a_field(form: Form) -> None:
    assert "Of the oscillator. Above 0 A. Default 3 mA." in words(form)


def test_each_type_has_its_editor(qtbot: QtBot, form: Form) -> None:
    editor(form, "loud").click()
    qtbot.keyClick(editor(form, "shape"), KEYS.Key_Down)
    qtbot.keyClick(editor(form, "steps"), KEYS.Key_Up)
    retype(qtbot, editor(form, "powers"), "0 dBm, -3 dBm")
    retype(qtbot, editor(form, "data"), "a/b.csv")
    values = validated(measure, form.given)
    assert (values["loud"], values["shape"], values["steps"], values["data"]) == (True, "square", 11, Path("a/b.csv"))
    assert values["powers"] == pytest.approx((1e-3, 10**-3.3))


def test_integers_are_of_any_size_and_never_clipped(qtbot: QtBot, form: Form) -> None:
    retype(qtbot, editor(form, "steps"), str(2**40))
    qtbot.keyClick(editor(form, "steps"), KEYS.Key_Up)
    assert validated(measure, form.given)["steps"] == 2**40 + 1
    retype(qtbot, editor(form, "steps"), "1e3")
    qtbot.keyClick(editor(form, "steps"), KEYS.Key_Up)
    assert form.given["steps"] == "1e3"


def test_the_values_of_an_earlier_run_come_back(form: Form) -> None:
    values = {**validated(measure, {"sample": "B2", "current": "4.123456789 mA", "loud": "true"}), "gone": 1}
    form.fill(values)
    assert validated(measure, form.given) == {name: value for name, value in values.items() if name != "gone"}
    assert set(form.given) == {"sample", "current", "loud"}


@given(st.floats(-1e30, 1e30), st.sampled_from(["A", "W", "Hz", "1/A", "A/s", "1"]))
def test_a_value_as_text_is_that_value(value: float, unit: str) -> None:
    assert parse_quantity(text_of(value, unit), unit) == pytest.approx(value, rel=1e-14, abs=1e-320)


@pytest.mark.parametrize("name", protocols())
def test_every_installed_protocol_has_a_form_that_fits_its_defaults(qtbot: QtBot, name: str) -> None:
    protocol = load_protocol(name)
    form = Form(protocol)
    qtbot.addWidget(form)
    assert (form.given, form.faults) == ({}, {})
    assert len(form.fields) == len(parameters(protocol))
