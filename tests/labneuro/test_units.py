import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from labneuro.units import Current, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("8 mA", "A", 8e-3),
        ("8mA", "A", 8e-3),
        (" -4.5e0  µA ", "A", -4.5e-6),
        ("0.1 mA/ms", "A/s", 0.1),
        ("0 dBm", "W", 1e-3),
        ("-30 dBm", "W", 1e-6),
        ("350 MHz", "Hz", 350e6),
        ("50 %", "1", 0.5),
        ("0.5", "1", 0.5),
        ("-3 dB", "dB", -3.0),
    ],
)
def test_reads_a_number_and_a_unit(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("8", "A", 'has no unit: write a number and a unit, such as "1 A"'),
        ("8 mV", "A", "can't be converted to A"),
        ("3 dBm", "dB", "can't be converted to dB"),
        ("50 %", "dB", "can't be converted to dB"),  # as a ratio it is -3 dB, as a loss 3 dB
        ("8 flurb", "A", "'flurb' is not a known unit"),
        ("nan A", "A", "is not a quantity"),
        ("inf A", "A", "is not a quantity"),
        ("mA", "A", "is not a quantity"),
        ("", "A", "is not a quantity"),
        ("1e400", "1", "is not finite"),
        ("1e400 A", "A", "is not finite"),
        ("1e308 kA", "A", "is not finite"),
        ("1 __import__('os')", "A", "is not a known unit"),
    ],
)
def test_refuses_what_is_no_quantity_and_says_what_to_write(text: str, unit: str, says: str) -> None:
    with pytest.raises(ValueError, match="write a") as caught:
        parse_quantity(text, unit)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.one_of(
        st.text(max_size=20),
        st.from_regex(r"[-+]?[0-9]{1,3}(\.[0-9]{1,3})? ?[A-Za-zµΩ*/^0-9 ]{0,8}", fullmatch=True),
    ),
    st.sampled_from(["A", "W", "Hz", "A/s", "1"]),
)
def test_any_text_is_a_finite_value_or_one_clear_error(text: str, unit: str) -> None:
    try:
        value = parse_quantity(text, unit)
    except ValueError as error:
        value, says = 0.0, str(error)
    else:
        says = "write a"
    assert math.isfinite(value)
    assert "write a" in says


quantities = st.floats(1e-14, 1e14) | st.floats(-1e14, -1e-14) | st.just(0.0)


@given(quantities, st.sampled_from(["A", "V", "Hz", "A/s", "s", "s^-1", "Hz^2", "1"]))
def test_what_is_written_reads_back_to_the_digits_written(value: float, unit: str) -> None:
    # Six digits are written, so the error is at most half a unit of the sixth: 5e-6 relative.
    assert parse_quantity(format_quantity(value, unit), unit) == pytest.approx(value, rel=5.1e-6, abs=0)


@given(st.floats(1e-18, 1e6))
def test_powers_are_written_in_dbm_and_read_back(watts: float) -> None:
    # Four digits of at most 150 dBm leave 0.05 dB: 10**(0.005) - 1 = 1.2 %.
    text = format_quantity(watts, "W")
    assert text.endswith(" dBm")
    assert parse_quantity(text, "W") == pytest.approx(watts, rel=0.012)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.5e-3, "A", "4.5 mA"),
        (350e6, "Hz", "350 MHz"),
        (1e-3, "W", "0 dBm"),
        (0.0, "A", "0 A"),
        (-8e-3, "A", "-8 mA"),
        (0.9999999, "A", "1 A"),  # not "1000 mA"
        (1000.0, "s^-1", "1000 s^-1"),  # ms^-1 would be (ms)^-1
        (1e6, "Hz^2", "1e+06 Hz^2"),  # MHz^2 would be (MHz)^2
        (0.25, "1", "0.25"),
        (math.nan, "A", "nan A"),
    ],
)
def test_writes_as_a_person_does(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


def test_a_unit_in_a_type_reads_strings_and_leaves_numbers_alone() -> None:
    adapter = TypeAdapter(Current)
    assert adapter.validate_python("4.5 mA") == pytest.approx(4.5e-3, rel=1e-14)
    assert adapter.validate_python(4.5e-3) == 4.5e-3
    with pytest.raises(ValidationError, match="can't be converted to A"):
        adapter.validate_python("4.5 mV")
