import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.clock import Clock, VirtualClock, WallClock


def test_a_virtual_hour_takes_no_hour() -> None:
    clock = VirtualClock()
    started = time.monotonic()
    clock.sleep(3600)
    assert clock.now() == 3600
    assert time.monotonic() - started < 10


def test_the_wall_clock_waits_for_real() -> None:
    clock = WallClock()
    started, on_clock = time.monotonic(), clock.now()
    clock.sleep(0.02)
    assert clock.now() - on_clock >= 0.02
    assert time.monotonic() - started >= 0.02


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_a_virtual_clock_adds_what_was_waited(waits: list[float]) -> None:
    clock = VirtualClock()
    for wait in waits:
        before = clock.now()
        clock.sleep(wait)
        assert clock.now() >= before
    assert clock.now() == pytest.approx(math.fsum(waits), rel=1e-12)


@pytest.mark.parametrize("clock", [VirtualClock(), WallClock()])
@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_no_clock_waits_a_time_that_makes_no_sense(clock: Clock, seconds: float) -> None:
    with pytest.raises(ValueError, match="can't wait"):
        clock.sleep(seconds)
