import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Lt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from pydantic.types import AllowInfNan

from labneuro.clock import Clock
from labneuro.limits import OscillatorLimits
from labneuro.parameters import Member, ParameterError, members, parameters, takes_clock, validated
from labneuro.roles import CurrentSource, OscillatorChip
from labneuro.units import Current, Fraction, Frequency, Power


def lesson(
    chip: OscillatorChip,
    bias: CurrentSource,
    *,
    speakers: Literal["women", "men", "children"] = "women",
    steps: Annotated[int, Ge(1)] = 60,
    rate: Annotated[Fraction, Interval(gt=0, le=1)] = 0.1,
    current: Annotated[Current, Gt(0), Lt(8e-3)] = 4.5e-3,
    power: Power = 1e-3,
    centre: Frequency | None = None,
    offsets: tuple[Current, ...] = (),
    seed: Annotated[int, Field(ge=0, le=9)] = 0,
    verbose: bool = False,
    gap: Annotated[float, AllowInfNan(True)] = 0.0,
) -> Iterator[int]:
    """Teach something.

    Args:
        chip: the pupil
        speakers: who speaks, in a line
            that goes on
        steps: lessons
    """
    yield 0


def test_a_signature_says_everything_about_its_parameters() -> None:
    found = {p.name: p for p in parameters(lesson)}
    assert list(found) == [
        "speakers",
        "steps",
        "rate",
        "current",
        "power",
        "centre",
        "offsets",
        "seed",
        "verbose",
        "gap",
    ]
    assert found["speakers"].choices == ("women", "men", "children")
    assert found["speakers"].help == "who speaks, in a line that goes on"
    assert found["steps"].help == "lessons"
    assert found["seed"].help == ""
    assert {name: p.unit for name, p in found.items() if p.unit} == {
        "rate": "1",
        "current": "A",
        "power": "W",
        "centre": "Hz",
        "offsets": "A",
    }
    assert {name: p.bounds for name, p in found.items() if p.bounds} == {
        "steps": "at least 1",
        "rate": "above 0 and at most 1",
        "current": "above 0 A and below 8 mA",
        "seed": "from 0 to 9",
    }
    assert found["current"].default == 4.5e-3
    assert not any(p.required for p in found.values())


def test_members_are_the_positional_parameters_typed_by_a_role_or_a_sequence_of_it() -> None:
    def protocol(chip: OscillatorChip, sources: Sequence[CurrentSource], *, steps: int = 1) -> None: ...

    assert members(lesson) == {"chip": Member(OscillatorChip, False), "bias": Member(CurrentSource, False)}
    assert members(protocol) == {"chip": Member(OscillatorChip, False), "sources": Member(CurrentSource, True)}


def test_what_is_not_given_has_its_default() -> None:
    values = validated(lesson, {})
    assert values == {p.name: p.default for p in parameters(lesson)}


@pytest.mark.parametrize(
    ("name", "value", "becomes"),
    [
        ("current", "4.5 mA", 4.5e-3),
        ("current", 4.5e-3, 4.5e-3),
        ("power", "0 dBm", 1e-3),
        ("centre", "350 MHz", 350e6),
        ("centre", None, None),
        ("rate", "50 %", 0.5),
        ("steps", "60", 60),
        ("offsets", "1 mA, -2 mA", (1e-3, -2e-3)),
        ("offsets", "", ()),
        ("offsets", [1e-3], (1e-3,)),
        ("verbose", "true", True),
        ("verbose", False, False),
        ("speakers", "men", "men"),
    ],
)
def test_values_are_read_as_a_command_line_gives_them(name: str, value: object, becomes: object) -> None:
    read = validated(lesson, {name: value})[name]
    assert read == (pytest.approx(becomes, rel=1e-14) if isinstance(becomes, float | tuple) else becomes)
    assert type(read) is type(becomes)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("steps", 0, "steps: 0 is not allowed: give an integer of at least 1"),
        ("steps", "many", "steps: 'many' is not allowed: give an integer of at least 1"),
        ("steps", True, "steps: True is not allowed: give an integer of at least 1"),
        ("steps", 2.5, "steps: 2.5 is not allowed: give an integer of at least 1"),
        ("seed", 10, "seed: 10 is not allowed: give an integer from 0 to 9"),
        ("rate", 0, "rate: 0 is not allowed: give a number above 0 and at most 1"),
        (
            "current",
            "9 mA",
            "current: '9 mA' is not allowed: give a value above 0 A and below 8 mA, such as \"4.5 mA\"",
        ),
        (
            "current",
            "9 mV",
            "current: '9 mV' can't be converted to A: write a number and a unit, such as \"1 A\"",
        ),
        ("centre", "350 kg", "centre: '350 kg' can't be converted to Hz: write a number and a unit, such as"),
        (
            "speakers",
            "woman",
            "speakers: 'woman' is not allowed: give one of women, men, children; did you mean women?",
        ),
        ("step", 5, "step: unknown parameter; did you mean steps?"),
        ("chip", 5, "chip: unknown parameter; known: speakers, steps"),
        ("verbose", "perhaps", "verbose: 'perhaps' is not allowed: give true or false"),
    ],
)
def test_an_error_is_one_line_with_name_value_and_way_out(name: str, value: object, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        validated(lesson, {name: value})
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
    assert caught.value.parameter == name


def test_an_error_about_a_long_value_stays_short() -> None:
    with pytest.raises(ParameterError) as caught:
        validated(lesson, {"steps": "x\n" * 10_000})
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"])
@pytest.mark.parametrize("name", ["rate", "current", "power", "centre", "offsets"])
def test_no_float_is_nan_or_infinite(name: str, value: object) -> None:
    given_value = [value] if name == "offsets" else value
    with pytest.raises(ParameterError):
        validated(lesson, {name: given_value})


def test_unless_its_type_says_so() -> None:
    assert math.isinf(validated(lesson, {"gap": math.inf})["gap"])


@given(st.integers())
def test_an_integer_is_accepted_exactly_within_its_bounds(seed: int) -> None:
    if 0 <= seed <= 9:
        assert validated(lesson, {"seed": seed})["seed"] == seed
    else:
        with pytest.raises(ParameterError, match="give an integer from 0 to 9"):
            validated(lesson, {"seed": seed})


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(ParameterError, match="max_rf_power: missing key: give a value above 0 W, such as"):
        validated(OscillatorLimits, {"max_current": "8 mA"}, noun="key")


class Driver:
    """A driver.

    Args:
        seed: what it draws
    """

    def __init__(self, *, seed: int = 0, clock: Clock | None = None) -> None:
        self.seed = seed
        self.clock = clock


class DriverOfStrings:
    def __init__(self, clock: "Clock", *, address: "str") -> None:
        """Connect.

        Args:
            clock: time of the bench
            address: where it is
        """


def no_clock(*, clock: int = 0) -> None: ...


def test_a_class_has_the_parameters_of_its_constructor_and_the_help_of_either_docstring() -> None:
    (seed,) = parameters(Driver)
    assert (seed.name, seed.help) == ("seed", "what it draws")
    (address,) = parameters(DriverOfStrings)
    assert (address.annotation, address.required, address.help) == (str, True, "where it is")


@pytest.mark.parametrize(("function", "takes"), [(Driver, True), (DriverOfStrings, True), (no_clock, False)])
def test_the_bench_provides_the_clock_where_it_is_typed_so(function: Callable[..., Any], takes: bool) -> None:
    assert takes_clock(function) is takes


def test_nobody_sets_the_clock_of_a_driver() -> None:
    with pytest.raises(ParameterError, match="clock: unknown parameter; known: seed"):
        validated(Driver, {"clock": 1})
