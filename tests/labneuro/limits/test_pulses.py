import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labneuro.clock import VirtualClock
from labneuro.limits import LimitedPulseGenerator, LimitError, Place, PulseLimits
from labneuro.roles import PulseGenerator
from labneuro.signals import Pulses

MARGIN = 1e-9  # beyond rounding, and finer than any generator resolves
LINES = {field.name: f"b.toml:{line}" for line, field in enumerate(fields(PulseLimits), start=1)}


class RecordingPulser(PulseGenerator):
    """A generator that notes what it is asked, fails if told to, and adds `extra`, relatively, to its own limit."""

    def __init__(self, *, dead: bool = False, extra: float = 0.0) -> None:
        self.dead = dead
        self.extra = extra
        self.limit = 10.0
        self.fired: list[Pulses] = []

    @property
    def identity(self) -> str:
        return "recording pulser"

    @property
    def amplitude_limit(self) -> float:
        return self.limit * (1 + self.extra)

    def set_amplitude_limit(self, voltage: float) -> None:
        self.limit = voltage

    def fire(self, pulses: Pulses) -> None:
        self.fired.append(pulses)
        if self.dead:
            raise OSError("the line is dead")

    def make_safe(self) -> None: ...


def pulser_behind(
    limits: PulseLimits, *, dead: bool = False, extra: float = 0.0
) -> tuple[LimitedPulseGenerator, RecordingPulser]:
    inner = RecordingPulser(dead=dead, extra=extra)
    return LimitedPulseGenerator(inner, limits, Place("b", "pulser", LINES), VirtualClock()), inner


def limits_of(**more: Any) -> PulseLimits:
    return PulseLimits(**{"max_amplitude": 2.0, "max_width": 1e-3, **more})


# --- Any limits, any requests


@st.composite
def envelopes(draw: st.DrawFn) -> PulseLimits:
    """Draw limits, any of which can be the one that a few requests reach."""
    resistance = draw(st.floats(10, 1e6))
    strongest = 2.0**2 * 1e-3 / resistance  # the energy of one pulse of the largest amplitude and width
    optional = {
        "max_count": {"max_count": draw(st.integers(1, 10))},
        "max_dose": {"max_dose": draw(st.floats(0.1, 10)) * 2e-3},
        "max_pulses": {"max_pulses": draw(st.integers(1, 40))},
        "max_energy": {"max_energy": draw(st.floats(0.1, 10)) * strongest, "resistance": resistance},
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    return limits_of(loss=draw(st.floats(-40, 40)), **{k: v for name in chosen for k, v in optional[name].items()})


def at_device(voltage: float, limits: PulseLimits) -> float:
    return abs(voltage) * math.exp(-limits.loss / 20 * math.log(10))


@st.composite
def requests(draw: st.DrawFn, limits: PulseLimits) -> Pulses:
    """Draw pulses of which most are near the limits and some are nonsense."""
    largest = limits.max_amplitude / at_device(1.0, limits)
    if draw(st.integers(0, 4)) == 0:
        return Pulses(draw(st.floats()), draw(st.floats()), draw(st.integers()))
    return Pulses(draw(st.floats(-1.1, 1.1)) * largest, draw(st.floats(0, 1.1e-3)), draw(st.integers(1, 11)))


cases = envelopes().flatmap(lambda limits: st.tuples(st.just(limits), st.lists(requests(limits), max_size=12)))


def within(limits: PulseLimits, pulses: Pulses, before: Sequence[Pulses], margin: float) -> bool:
    """Return whether pulses are allowed after others, by the definition of the limits."""
    amplitude, width, count = pulses.amplitude, pulses.width, pulses.count
    if not (math.isfinite(amplitude) and 0 < width < math.inf and 1 <= count <= 10**9):
        return False
    run = [*before, pulses]
    resistance = math.inf if limits.resistance is None else limits.resistance
    reached = {
        "max_amplitude": at_device(amplitude, limits),
        "max_width": width,
        "max_count": count,
        "max_dose": at_device(amplitude, limits) * width * count,
        "max_pulses": sum(p.count for p in run),
        "max_energy": sum(
            p.count * p.width * math.prod([at_device(p.amplitude, limits)] * 2) / resistance for p in run
        ),
    }
    allowed = {name: math.inf if getattr(limits, name) is None else getattr(limits, name) for name in reached}
    return all(reached[name] <= allowed[name] * (1 + margin) for name in reached)


@given(cases)
def test_just_what_is_within_all_limits_reaches_the_device(case: tuple[PulseLimits, list[Pulses]]) -> None:
    limits, asked = case
    pulser, inner = pulser_behind(limits)
    for pulses in asked:
        before = list(inner.fired)
        with suppress(LimitError):
            pulser.fire(pulses)
        if len(inner.fired) > len(before):
            assert inner.fired == [*before, pulses]
            assert within(limits, pulses, before, MARGIN)
        else:
            assert not within(limits, pulses, before, -MARGIN)


@given(cases, st.integers(0, 12))
def test_what_was_fired_before_a_break_counts_after_it(case: tuple[PulseLimits, list[Pulses]], broken: int) -> None:
    limits, asked = case
    undisturbed, fired_in_all = pulser_behind(limits)
    resumed, fired_later = pulser_behind(limits)
    earlier = 0
    for number, pulses in enumerate(asked):
        before = len(fired_in_all.fired)
        with suppress(LimitError):
            undisturbed.fire(pulses)
        if number >= broken:
            with suppress(LimitError):
                resumed.fire(pulses)
        elif len(fired_in_all.fired) > before:
            resumed.account("fire", {"pulses": pulses})
            earlier = len(fired_in_all.fired)
    assert fired_later.fired == fired_in_all.fired[earlier:]


# --- Single rules


@pytest.mark.parametrize("count", [0, -1, 1.0, 1.5, math.nan, math.inf, "1", None, 10**10, [1]])
def test_a_number_of_pulses_is_a_positive_integer(count: Any) -> None:
    pulser, inner = pulser_behind(limits_of())
    with pytest.raises(LimitError, match=r"bench 'b': pulser: asked for .* pulses: give an integer from 1 to"):
        pulser.fire(Pulses(1.0, 1e-6, count))
    assert inner.fired == []


@pytest.mark.parametrize("value", ["1 V", None, 1j, True, [1.0], np.ones(2)])
def test_nothing_but_real_numbers_is_fired(value: Any) -> None:
    pulser, inner = pulser_behind(limits_of())
    for pulses in (Pulses(value, 1e-6), Pulses(1.0, value)):
        with pytest.raises(LimitError):
            pulser.fire(pulses)
    assert inner.fired == []


@pytest.mark.parametrize(
    ("more", "pulses", "says"),
    [
        ({}, Pulses(-3.0, 1e-6), "asked for 1 pulses of -3 V, 1 µs: the device would see 3 V, limit 2 V (b.toml:1)"),
        ({"loss": -20.0}, Pulses(0.5, 1e-6), "the device would see 5 V, limit 2 V (b.toml:1)"),
        ({}, Pulses(1.0, 2e-3), "each would last 2 ms, limit 1 ms (b.toml:2)"),
        ({"max_count": 10}, Pulses(1.0, 1e-6, 12), "one request would have 12 pulses, limit 10 pulses (b.toml:3)"),
        ({"max_dose": 1e-6}, Pulses(-1.0, 1e-6, 2), "the device would see 2 µV*s, limit 1 µV*s (b.toml:4)"),
        ({"max_pulses": 10}, Pulses(1.0, 1e-6, 9), "this run would have 11 pulses, limit 10 pulses (b.toml:5)"),
        (
            {"max_energy": 1e-6, "resistance": 1.0},
            Pulses(1.0, 1e-6, 1),
            "this run would have given 3 µJ, limit 1 µJ (b.toml:6)",
        ),
    ],
)
def test_a_refusal_names_what_was_asked_what_it_would_do_and_the_line(
    more: dict[str, float], pulses: Pulses, says: str
) -> None:
    pulser, inner = pulser_behind(limits_of(**more))
    pulser.account("fire", {"pulses": Pulses(1.0, 1e-6, 2)})
    with pytest.raises(LimitError) as caught:
        pulser.fire(pulses)
    assert str(caught.value).endswith(says)
    assert str(caught.value).startswith("bench 'b': pulser: asked for ")
    assert inner.fired == []


def test_pulses_that_were_sent_count_even_if_no_answer_came() -> None:
    pulser, inner = pulser_behind(limits_of(max_pulses=10), dead=True)
    with pytest.raises(OSError, match="the line is dead"):
        pulser.fire(Pulses(1.0, 1e-6, 6))
    with pytest.raises(LimitError, match="this run would have 12 pulses"):
        pulser.fire(Pulses(1.0, 1e-6, 6))
    assert len(inner.fired) == 1


def test_a_refused_request_does_not_count() -> None:
    pulser, inner = pulser_behind(limits_of(max_pulses=10))
    with pytest.raises(LimitError):
        pulser.fire(Pulses(1.0, 1e-6, 11))
    pulser.fire(Pulses(1.0, 1e-6, 10))
    assert len(inner.fired) == 1


def test_the_energy_of_a_run_is_that_of_all_its_pulses() -> None:
    pulser, inner = pulser_behind(limits_of(max_energy=1e-6, resistance=1.0))
    pulser.account("fire", {"pulses": Pulses(1.0, 1e-6 / 3)})
    pulser.fire(Pulses(-1.0, 1e-6 / 3))
    pulser.fire(Pulses(1.0, 1e-6 / 3))
    with pytest.raises(LimitError, match="this run would have given"):
        pulser.fire(Pulses(1.0, 1e-9))
    assert len(inner.fired) == 2


# --- The generator's own protection, and being safe


@pytest.mark.parametrize(("loss", "most"), [(0.0, 2.0), (20.0, 20.0), (-20.0, 0.2)])
def test_the_generator_itself_is_given_the_limit_at_its_output(loss: float, most: float) -> None:
    pulser, inner = pulser_behind(limits_of(loss=loss))
    pulser.protect()
    assert inner.limit == pytest.approx(most, rel=1e-12)


@pytest.mark.parametrize("extra", [0.011, math.nan])
def test_a_generator_that_keeps_a_higher_limit_is_refused(extra: float) -> None:
    pulser, _ = pulser_behind(limits_of(), extra=extra)
    with pytest.raises(
        LimitError, match=r"its own limit was set to 2 V and reads back .* V: set it by hand \(b.toml:1\)"
    ):
        pulser.protect()


def test_a_generator_without_a_limit_of_its_own_is_used_all_the_same() -> None:
    pulser, _ = pulser_behind(limits_of(), extra=math.inf)
    pulser.protect()


@pytest.mark.parametrize("voltage", [2.1 / 10, -0.1, math.nan, math.inf])
def test_a_protocol_can_only_lower_the_generators_own_limit(voltage: float) -> None:
    pulser, inner = pulser_behind(limits_of(loss=-20.0))
    pulser.set_amplitude_limit(0.2)
    with pytest.raises(LimitError, match="asked for an amplitude limit of"):
        pulser.set_amplitude_limit(voltage)
    assert inner.limit == 0.2


def test_a_pulser_says_that_it_was_made_safe_and_nothing_more() -> None:
    pulser, _ = pulser_behind(limits_of())
    assert pulser.confirm() == "made safe; it has no level to read back"
