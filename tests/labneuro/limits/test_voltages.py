import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.clock import VirtualClock
from labneuro.limits import TICK, LimitedSourceMeter, LimitError, Place, SourceMeterLimits, UnsafeError
from labneuro.roles import SourceMeter

MAX_VOLTAGE = 0.5
MAX_CURRENT = 1e-3
RAMP = 10.0  # V/s
MARGIN = 1e-9  # beyond rounding, and finer than any source resolves
LINES = {"max_voltage": "b.toml:3", "max_current": "b.toml:4", "max_power": "b.toml:5"}


class RecordingMeter(SourceMeter):
    """A source meter on 1 kohm that notes what it is asked; a `stuck` one keeps its current limit."""

    def __init__(self, current_limit: float = 1e-4, *, stuck: bool = False) -> None:
        self.level = 0.0
        self.amperes = current_limit
        self.stuck = stuck
        self.asked: list[tuple[str, float]] = []

    @property
    def identity(self) -> str:
        return "recording meter"

    @property
    def current_limit(self) -> float:
        return self.amperes

    def set_current_limit(self, current: float) -> None:
        self.asked.append(("limit", current))
        if not self.stuck:
            self.amperes = current

    @property
    def voltage(self) -> float:
        return self.level

    def set_voltage(self, voltage: float) -> None:
        self.asked.append(("voltage", voltage))
        self.level = voltage

    @property
    def measured_current(self) -> float:
        return self.level / 1e3

    def make_safe(self) -> None:
        self.asked.append(("safe", 0.0))


def meter_behind(
    current_limit: float = 1e-4, *, stuck: bool = False, **more: float
) -> tuple[LimitedSourceMeter, RecordingMeter]:
    inner = RecordingMeter(current_limit, stuck=stuck)
    limits = SourceMeterLimits(**{"max_voltage": MAX_VOLTAGE, "max_current": MAX_CURRENT, **more})
    return LimitedSourceMeter(inner, limits, Place("b", "smu", LINES), VirtualClock()), inner


@given(st.floats(-MAX_VOLTAGE, MAX_VOLTAGE))
def test_a_safe_voltage_arrives_unchanged(voltage: float) -> None:
    meter, inner = meter_behind()
    meter.set_voltage(voltage)
    assert inner.asked == [("voltage", voltage)]
    assert meter.measured_current == voltage / 1e3


@given(
    st.one_of(
        st.floats(min_value=MAX_VOLTAGE * (1 + MARGIN)),
        st.floats(max_value=-MAX_VOLTAGE * (1 + MARGIN)),
        st.just(math.nan),
    )
)
def test_no_unsafe_voltage_ever_reaches_a_meter(voltage: float) -> None:
    meter, inner = meter_behind()
    with pytest.raises(LimitError, match="bench 'b': smu: asked for"):
        meter.set_voltage(voltage)
    assert inner.asked == []


@given(st.one_of(st.floats(min_value=MAX_CURRENT * (1 + MARGIN)), st.floats(max_value=0.0), st.just(math.nan)))
def test_no_unsafe_current_limit_ever_reaches_a_meter(current: float) -> None:
    meter, inner = meter_behind()
    with pytest.raises(LimitError, match="asked for a current limit of"):
        meter.set_current_limit(current)
    assert inner.asked == []


@pytest.mark.parametrize("left", [1.05, -1.05, math.nan])
def test_no_voltage_is_put_out_while_the_current_limit_left_by_others_is_too_high(left: float) -> None:
    meter, inner = meter_behind(left)
    with pytest.raises(LimitError, match=r"current limit reads back as .*: use set_current_limit first \(b.toml:4\)"):
        meter.set_voltage(0.1)
    assert inner.asked == []
    meter.set_current_limit(1e-3)
    meter.set_voltage(0.1)
    assert inner.asked == [("limit", 1e-3), ("voltage", 0.1)]


@given(
    st.floats(1e-8, 5e-4),
    st.lists(
        st.one_of(
            st.tuples(st.just("voltage"), st.floats(-MAX_VOLTAGE, MAX_VOLTAGE)),
            st.tuples(st.just("current_limit"), st.floats(1e-6, MAX_CURRENT)),
        ),
        max_size=8,
    ),
)
def test_a_device_is_never_given_more_than_its_power_in_whatever_order_it_is_asked_for(
    limit: float, requests: list[tuple[str, float]]
) -> None:
    meter, inner = meter_behind(max_power=limit)
    for what, value in requests:
        others = {"voltage": inner.amperes, "current_limit": inner.level}
        sent = len(inner.asked)
        power = abs(value * others[what])
        with suppress(LimitError):
            getattr(meter, f"set_{what}")(value)
        assert abs(inner.level) * inner.amperes <= limit * (1 + MARGIN)
        if power <= limit * (1 - MARGIN):
            assert len(inner.asked) == sent + 1


def test_the_meter_itself_is_given_the_current_limit_of_the_bench() -> None:
    meter, inner = meter_behind(1.05)
    meter.protect()
    assert inner.asked == [("limit", MAX_CURRENT)]


@pytest.mark.parametrize("left", [1.05, math.nan])
def test_a_meter_that_keeps_another_current_limit_is_refused(left: float) -> None:
    meter, _ = meter_behind(left, stuck=True)
    with pytest.raises(LimitError, match=r"a current limit of 1 mA was set and reads back as .*limit 1 mA"):
        meter.protect()


def test_a_voltage_ramps_up_and_is_ramped_down_to_be_safe() -> None:
    meter, inner = meter_behind(ramp=RAMP)
    meter.set_voltage(0.4)
    meter.make_safe()
    levels = np.array([0.0, *(value for verb, value in inner.asked if verb == "voltage")])
    assert levels.max() == 0.4
    assert levels[-1] == 0
    assert np.abs(np.diff(levels)).max() <= RAMP * TICK * (1 + 1e-9)
    assert inner.asked[-1] == ("safe", 0.0)
    assert meter.confirm() == "voltage 0 V"


@pytest.mark.parametrize("level", [0.6, math.nan])
def test_no_ramp_starts_from_where_it_should_not_be(level: float) -> None:
    meter, inner = meter_behind(ramp=RAMP)
    inner.level = level
    with pytest.raises(LimitError, match=r"reads back .* V, no level within 500 mV: make it safe .*\(b.toml:3\)"):
        meter.set_voltage(0.1)


def test_a_voltage_that_is_not_zero_is_not_safe() -> None:
    meter, inner = meter_behind()
    inner.level = 0.1
    with pytest.raises(UnsafeError, match="not confirmed safe: voltage 100 mV: switch it off by hand"):
        meter.confirm()
