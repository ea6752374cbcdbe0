import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labneuro.clock import VirtualClock
from labneuro.limits import (
    TICK,
    CurrentSourceLimits,
    LimitedCurrentSource,
    LimitError,
    Place,
    UnsafeError,
    ramp_points,
)
from labneuro.roles import CurrentSource
from labneuro.units import FloatArray

MAX_CURRENT = 8e-3
MAX_COMPLIANCE = 2.0
RAMP = 0.1  # A/s
MARGIN = 1e-9  # beyond rounding, and finer than any source resolves
LINES = {"max_current": "b.toml:3", "max_compliance": "b.toml:4", "max_power": "b.toml:5"}


class RecordingSource(CurrentSource):
    """A source that notes what it is asked; a `stuck` one keeps its compliance."""

    def __init__(self, compliance: float = 1.0, *, stuck: bool = False) -> None:
        self.level = 0.0
        self.voltage = compliance
        self.stuck = stuck
        self.asked: list[tuple[str, float]] = []

    @property
    def identity(self) -> str:
        return "recording source"

    @property
    def compliance(self) -> float:
        return self.voltage

    def set_compliance(self, voltage: float) -> None:
        self.asked.append(("compliance", voltage))
        if not self.stuck:
            self.voltage = voltage

    @property
    def current(self) -> float:
        return self.level

    def set_current(self, current: float) -> None:
        self.asked.append(("current", current))
        self.level = current

    def short_output(self) -> None:
        self.asked.append(("short", 0.0))

    def make_safe(self) -> None:
        self.asked.append(("safe", 0.0))


def source_behind(
    compliance: float = 1.0, *, stuck: bool = False, shorted: bool = False, **more: float
) -> tuple[LimitedCurrentSource, RecordingSource]:
    inner = RecordingSource(compliance, stuck=stuck)
    limits = CurrentSourceLimits(**{"max_current": MAX_CURRENT, "max_compliance": MAX_COMPLIANCE, **more})
    return LimitedCurrentSource(inner, limits, Place("b", "bias", LINES), VirtualClock(), shorted=shorted), inner


unsafe_current = st.one_of(
    st.floats(min_value=MAX_CURRENT * (1 + MARGIN)),
    st.floats(max_value=-MAX_CURRENT * (1 + MARGIN)),
    st.just(math.nan),
)

# --- Currents and compliances


@given(st.floats(-MAX_CURRENT, MAX_CURRENT))
def test_a_safe_current_arrives_unchanged(current: float) -> None:
    source, inner = source_behind()
    source.set_current(current)
    assert inner.asked == [("current", current)]


@given(unsafe_current)
def test_no_unsafe_current_ever_reaches_a_source(current: float) -> None:
    source, inner = source_behind()
    with pytest.raises(LimitError, match="bench 'b': bias: asked for"):
        source.set_current(current)
    assert inner.asked == []


@given(st.one_of(st.floats(min_value=MAX_COMPLIANCE * (1 + MARGIN)), st.floats(max_value=0.0), st.just(math.nan)))
def test_no_unsafe_compliance_ever_reaches_a_source(voltage: float) -> None:
    source, inner = source_behind()
    with pytest.raises(LimitError, match="asked for a compliance of"):
        source.set_compliance(voltage)
    assert inner.asked == []


@pytest.mark.parametrize("left", [21.0, -21.0, math.nan])
def test_no_current_flows_while_the_compliance_left_by_others_is_too_high(left: float) -> None:
    source, inner = source_behind(compliance=left)
    with pytest.raises(LimitError, match=f"compliance reads back as {left:g} V, limit 2 V: use set_compliance first"):
        source.set_current(1e-3)
    assert inner.asked == []
    source.set_compliance(1.5)
    source.set_current(1e-3)
    assert inner.asked == [("compliance", 1.5), ("current", 1e-3)]


# --- Power


@given(
    st.floats(1e-6, 16e-3),
    st.lists(
        st.one_of(
            st.tuples(st.just("current"), st.floats(-MAX_CURRENT, MAX_CURRENT)),
            st.tuples(st.just("compliance"), st.floats(1e-3, MAX_COMPLIANCE)),
        ),
        max_size=8,
    ),
)
def test_a_device_is_never_given_more_than_its_power_in_whatever_order_it_is_asked_for(
    limit: float, requests: list[tuple[str, float]]
) -> None:
    source, inner = source_behind(max_power=limit)
    for what, value in requests:
        others = {"current": inner.voltage, "compliance": inner.level}
        power = abs(value) * abs(others[what])
        sent = len(inner.asked)
        with suppress(LimitError):
            getattr(source, f"set_{what}")(value)
        assert abs(inner.level) * inner.voltage <= limit * (1 + MARGIN)
        if power <= limit * (1 - MARGIN):
            assert inner.asked[sent:] == [(what, value)]


def test_a_refusal_tells_the_power_that_the_device_could_be_given() -> None:
    source, inner = source_behind(compliance=2.0, max_power=8e-3)
    with pytest.raises(LimitError) as caught:
        source.set_current(-5e-3)
    assert str(caught.value) == (
        "bench 'b': bias: -5 mA at a compliance of 2 V can give the device 10 mW, limit 8 mW: "
        "use set_compliance first (b.toml:5)"
    )
    inner.level, inner.voltage = math.nan, 1.0
    with pytest.raises(LimitError, match="nan A at a compliance of 2 V can give the device nan mW, limit 8 mW: bring"):
        source.set_compliance(2.0)
    assert inner.asked == []


# --- The source's own protection


def test_the_source_itself_is_given_the_compliance_of_the_bench() -> None:
    source, inner = source_behind(compliance=21.0)
    source.protect()
    assert inner.asked == [("compliance", MAX_COMPLIANCE)]


@pytest.mark.parametrize("left", [21.0, math.nan, 2.0001])
def test_a_source_that_keeps_another_compliance_is_refused(left: float) -> None:
    source, _ = source_behind(compliance=left, stuck=True)
    says = rf"a compliance of 2 V was set and reads back as {left:g} V, limit 2 V \(b.toml:4\)"
    with pytest.raises(LimitError, match=says):
        source.protect()


def test_a_source_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    source, inner = source_behind()

    def dead(voltage: float) -> None:
        raise OSError("the line is dead")

    monkeypatch.setattr(inner, "set_compliance", dead)
    with pytest.raises(UnsafeError, match="bench 'b': bias: its own limits can't be set: OSError: the line is dead"):
        source.protect()


# --- Making safe


def test_a_source_ramps_up_and_is_ramped_down_to_be_safe() -> None:
    source, inner = source_behind(ramp=RAMP)
    source.set_current(1e-3)
    source.make_safe()
    levels = np.array([0.0, *(value for verb, value in inner.asked if verb == "current")])
    assert levels.max() == 1e-3
    assert levels[-1] == 0
    assert np.abs(np.diff(levels)).max() <= RAMP * TICK * (1 + 1e-9)
    assert inner.asked[-1] == ("safe", 0.0)


def test_a_source_at_zero_is_not_switched_on_to_be_made_safe() -> None:
    source, inner = source_behind(ramp=RAMP)
    source.make_safe()
    assert inner.asked == [("safe", 0.0)]


def test_an_output_is_shorted_at_zero_current_where_the_bench_says_so() -> None:
    source, inner = source_behind(shorted=True)
    source.set_current(1e-3)
    source.make_safe()
    assert inner.asked[1:] == [("current", 0.0), ("short", 0.0), ("safe", 0.0)]
    assert source.confirm() == "current 0 A, output shorted"


def test_a_protocol_that_shorts_the_output_ramps_down_first() -> None:
    source, inner = source_behind(ramp=RAMP)
    source.set_current(1e-3)
    source.short_output()
    assert inner.level == 0
    assert inner.asked[-2:] == [("current", 0.0), ("short", 0.0)]


# A hundredth of the limit can be the offset of a meter; more is a current.
@pytest.mark.parametrize(("level", "says"), [(0.0, "0 A"), (-0.0, "0 A"), (79e-6, "79 µA"), (-79e-6, "-79 µA")])
def test_a_safe_source_says_what_it_reads_back(level: float, says: str) -> None:
    source, inner = source_behind()
    inner.level = level
    assert source.confirm() == f"current {says}"


@pytest.mark.parametrize("level", [81e-6, -81e-6, 9.9e37, math.nan])
def test_a_source_that_does_not_read_back_as_off_is_not_called_safe(level: float) -> None:
    source, inner = source_behind()
    inner.level = level
    with pytest.raises(UnsafeError, match=r"bench 'b': bias: not confirmed safe: current .*A: switch it off by hand"):
        source.confirm()


# --- Ramps


@given(
    hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)),
    hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)),
    st.floats(1e-3, 10),
)
def test_ramp_points_end_exactly_at_the_target(level: FloatArray, target: FloatArray, step: float) -> None:
    path = np.array([level, *ramp_points(level, target, step)])
    assert np.array_equal(path[-1], target)
    assert np.abs(np.diff(path, axis=0)).max() <= step + 4 * np.spacing(1.0)
    assert len(path) - 1 <= max(1, math.ceil(np.abs(target - level).max() / step))
