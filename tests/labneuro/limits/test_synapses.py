import math
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from labneuro.clock import VirtualClock
from labneuro.limits import LimitedSynapseArray, LimitError, Place, SynapseLimits
from labneuro.parameters import ParameterError
from labneuro.roles import SynapseArray
from labneuro.signals import Exposure, Pulses, Scheme, Spent, TrainArray, coincidences, exposures, train_exposures

SHAPE = (2, 3)
MARGIN = 1e-9  # beyond rounding
LINES = {field.name: f"b.toml:{line}" for line, field in enumerate(fields(SynapseLimits), start=1)}
SCHEMES: list[Scheme] = ["V/2", "V/3", "grounded", "1T1R"]
NEGATIVE = 1 << 31


class RecordingArray(SynapseArray):
    """An array that notes what it is asked, pulses devices one after the other, and fails if told to."""

    def __init__(self, scheme: Scheme = "V/2", *, dead: bool = False) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._scheme: Scheme = scheme
        self._dead = dead

    identity = "recording array"
    shape = SHAPE
    spent = Spent(np.zeros(SHAPE, np.int64), np.zeros(SHAPE, np.int64), 0.0)

    @property
    def scheme(self) -> Scheme:
        return self._scheme

    def conductances(self, voltage: float, which: Any = None) -> Any:
        self.asked.append(("conductances", voltage, which))
        return np.ones(SHAPE)

    def wait(self, duration: float) -> None:
        self.asked.append(("wait", duration))

    def multiply(self, voltages: Any) -> Any:
        self.asked.append(("multiply", voltages))

    def multiply_transposed(self, voltages: Any) -> Any:
        self.asked.append(("multiply_transposed", voltages))

    def pulse(self, which: Any, pulses: Pulses, scheme: Any = None, gate: Any = None) -> None:
        self.asked.append(("pulse", which, pulses, scheme, gate))
        if self._dead:
            raise OSError("the line is dead")

    def make_safe(self) -> None: ...


def limits_of(**more: Any) -> SynapseLimits:
    return SynapseLimits(**{"max_amplitude": 2.0, "max_width": 1e-3, "max_read_voltage": 0.3, **more})


def array_behind(
    limits: SynapseLimits, scheme: Scheme = "V/2", *, dead: bool = False
) -> tuple[LimitedSynapseArray, RecordingArray]:
    inner = RecordingArray(scheme, dead=dead)
    return LimitedSynapseArray(inner, limits, Place("b", "chip", LINES), VirtualClock()), inner


def only(row: int, column: int, count: int = 1) -> NDArray[np.int64]:
    counts = np.zeros(SHAPE, np.int64)
    counts[row, column] = count
    return counts


# --- What devices see, from the voltages of the lines

counted = st.lists(st.integers(0, 3), min_size=6, max_size=6).map(lambda c: np.array(c, np.int64).reshape(SHAPE))
words = st.builds(
    lambda bits, slot, sign: bits << slot | sign << 31, st.integers(0, 7), st.integers(0, 28), st.integers(0, 1)
)
trains = st.integers(0, 3).flatmap(
    lambda vectors: st.tuples(
        *(
            st.lists(words, min_size=n * vectors, max_size=n * vectors).map(
                lambda words, n=n: np.array(words, np.uint32).reshape(-1, n)
            )
            for n in SHAPE
        )
    )
)


def seen_one_by_one(counts: NDArray[np.int64], scheme: Scheme) -> list[NDArray[np.float64]]:
    """Return the parts of the amplitude across all devices, pulse after pulse."""
    idle = {"V/2": (1 / 2, 1 / 2), "V/3": (1 / 3, 2 / 3), "grounded": (0.0, 0.0), "1T1R": (0.0, 0.0)}[scheme]
    seen = []
    for row, column in zip(*np.nonzero(counts), strict=True):
        rows, columns = np.full(SHAPE[0], idle[0]), np.full(SHAPE[1], idle[1])
        rows[row], columns[column] = 1.0, 0.0
        across = rows[:, None] - columns
        if scheme == "1T1R":
            across *= only(row, column)
        seen += [across] * counts[row, column]
    return seen


def seen_at_once(rows: TrainArray, columns: TrainArray) -> list[NDArray[np.float64]]:
    """Return the same for trains in four phases, times the sign with which each device is to be driven."""
    seen = []
    for r, c in zip(rows, columns, strict=True):
        down, across = (r & NEGATIVE) > 0, (c & NEGATIVE) > 0
        wanted = np.where(down[:, None] == across, 1, -1)
        for phase in ((False, False), (False, True), (True, False), (True, True)):
            drive = 1 if phase[0] == phase[1] else -1
            own = np.where(down == phase[0], r, 0), np.where(across == phase[1], c, 0)
            for slot in range(31):
                row, column = ((lines >> slot & 1).astype(float) for lines in own)
                if row.any() or column.any():
                    seen.append(drive * (row[:, None] + column) / 2 * wanted)
    return seen


def histogram(seen: list[NDArray[np.float64]]) -> dict[float, NDArray[np.int64]]:
    found: dict[float, NDArray[np.int64]] = {}
    for across in seen:
        for part in np.unique(np.round(across[across != 0], 9)):
            counts = found.setdefault(float(part), np.zeros(SHAPE, np.int64))
            counts += np.isclose(across, part)
    return found


def merged(found: list[Exposure]) -> dict[float, NDArray[np.int64]]:
    sums: dict[float, NDArray[np.int64]] = {}
    for part, counts in found:
        sums[round(part, 9)] = sums.get(round(part, 9), 0) + counts
    return {part: counts for part, counts in sums.items() if counts.any()}


def same(one: dict[float, NDArray[np.int64]], other: dict[float, NDArray[np.int64]]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[part], other[part]) for part in one)


@given(counted, st.sampled_from(SCHEMES))
def test_devices_see_what_is_between_their_lines(counts: NDArray[np.int64], scheme: Scheme) -> None:
    assert same(merged(exposures(counts, scheme)), histogram(seen_one_by_one(counts, scheme)))


@given(trains)
def test_lines_that_fire_at_once_bring_half_a_pulse_each(fired: tuple[TrainArray, TrainArray]) -> None:
    assert same(merged(train_exposures(*fired, "V/2")), histogram(seen_at_once(*fired)))
    assert same(merged(train_exposures(*fired, "1T1R")), merged([(1.0, coincidences(*fired))]))


@given(trains, st.integers(1, 3))
def test_an_array_without_coincidence_gives_the_same_pulses_one_by_one(
    fired: tuple[TrainArray, TrainArray], count: int
) -> None:
    inner = RecordingArray()
    inner.update(*fired, Pulses(-1.5, 1e-6, count))
    rows, columns = fired
    for r, c in zip(rows, columns, strict=True):
        signs = np.where((r & NEGATIVE)[:, None] == c & NEGATIVE, 1, -1)
        both = coincidences(r[None], c[None]) * count
        for sign in (1, -1):
            if (both * (signs == sign)).any():
                _, which, pulses, *_ = inner.asked.pop(0)
                assert np.array_equal(which, both * (signs == sign))
                assert pulses == Pulses(-1.5 * sign, 1e-6)
    assert inner.asked == []


# --- Any limits, any requests


@st.composite
def envelopes(draw: st.DrawFn) -> SynapseLimits:
    """Draw limits, any of which can be the one that a few requests reach."""
    strongest = 2.0**2 * 1e-3 / 1e3  # the energy of one pulse of the largest amplitude and width
    optional: dict[str, dict[str, Any]] = {
        "max_count": {"max_count": draw(st.integers(1, 6))},
        "max_dose": {"max_dose": draw(st.floats(0.1, 10)) * 2e-3},
        "max_pulses": {"max_pulses": draw(st.integers(1, 20))},
        "max_energy": {"max_energy": draw(st.floats(1, 100)) * strongest, "resistance": 1e3},
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    return limits_of(**{k: v for name in chosen for k, v in optional[name].items()})


pulses_near_the_limits = st.builds(Pulses, st.floats(-2.2, 2.2), st.floats(1e-5, 1.1e-3), st.integers(1, 3))
requests = st.lists(st.tuples(pulses_near_the_limits, counted | trains), max_size=5)
Asked = tuple[Pulses, Any]


def ask(array: LimitedSynapseArray, asked: Asked) -> None:
    pulses, what = asked
    array.update(*what, pulses) if isinstance(what, tuple) else array.pulse(what, pulses)


def ways(asked: Asked, scheme: Scheme) -> list[list[NDArray[np.float64]]]:
    """Return the parts of the amplitude that devices see in each of the ways in which an array can do a request."""
    pulses, what = asked
    if not isinstance(what, tuple):
        done = [seen_one_by_one(what * pulses.count, scheme)]
    else:
        one_by_one = seen_one_by_one(coincidences(*what) * pulses.count, scheme)
        done = [one_by_one, one_by_one if scheme == "1T1R" else seen_at_once(*what) * pulses.count]
    return [seen or [np.zeros(SHAPE)] for seen in done]


def within(limits: SynapseLimits, asked: Asked, before: list[Asked], scheme: Scheme, margin: float) -> bool:
    """Return whether a request is allowed after others, by the definition of the limits."""
    pulses, what = asked
    own = what if not isinstance(what, tuple) else coincidences(*what)
    full, energy = np.zeros(SHAPE), 0.0
    for request in [*before, asked]:
        done = ways(request, scheme)
        full += np.max([np.sum(np.isclose(np.abs(seen), 1), axis=0) for seen in done], axis=0)
        energy += max(np.sum(np.square(seen)) for seen in done) * request[0].amplitude ** 2 * request[0].width / 1e3
    dose = np.max([np.sum(np.abs(seen), axis=0) for seen in ways(asked, scheme)]) * abs(pulses.amplitude) * pulses.width
    reached = {
        "max_amplitude": abs(pulses.amplitude),
        "max_width": pulses.width,
        "max_count": (own * pulses.count).max(),
        "max_dose": dose,
        "max_pulses": full.max(),
        "max_energy": energy,
    }
    allowed = {name: np.inf if getattr(limits, name) is None else getattr(limits, name) for name in reached}
    return all(reached[name] <= allowed[name] * (1 + margin) for name in reached)


@given(envelopes(), requests, st.sampled_from(SCHEMES))
def test_just_what_is_within_all_limits_reaches_the_devices(
    limits: SynapseLimits, asked: list[Asked], scheme: Scheme
) -> None:
    array, inner = array_behind(limits, scheme)
    before: list[Asked] = []
    for request in asked:
        inner.asked.clear()
        try:
            ask(array, request)
        except LimitError:
            assert inner.asked == []
            assert not within(limits, request, before, scheme, -MARGIN)
        else:
            assert within(limits, request, before, scheme, MARGIN)
            before.append(request)


@given(envelopes(), requests, st.integers(0, 5))
def test_what_was_given_before_a_break_counts_after_it(limits: SynapseLimits, asked: list[Asked], broken: int) -> None:
    def admitted(array: LimitedSynapseArray, request: Asked) -> bool:
        with suppress(LimitError):
            ask(array, request)
            return True
        return False

    undisturbed, resumed = array_behind(limits)[0], array_behind(limits)[0]
    for number, request in enumerate(asked):
        passes = admitted(undisturbed, request)
        pulses, what = request
        if number >= broken:
            assert admitted(resumed, request) == passes
        elif passes and isinstance(what, tuple):
            resumed.account("update", {"rows": what[0], "columns": what[1], "pulses": pulses, "gate": None})
        elif passes:
            resumed.account("pulse", {"which": what, "pulses": pulses, "scheme": None, "gate": None})


# --- Single rules


@pytest.mark.parametrize(
    ("more", "which", "pulses", "says"),
    [
        ({}, only(1, 2), Pulses(-3.0, 1e-6), "chip: asked for -3 V, limit 2 V (b.toml:1)"),
        ({}, only(1, 2), Pulses(1.0, 2e-3), "chip: asked for pulses of 2 ms, limit 1 ms (b.toml:2)"),
        (
            {"max_count": 10},
            only(1, 2, 6),
            Pulses(1.0, 1e-6, 2),
            "pulses of 1 V, 1 µs for device [1, 2]: one request would have 12 pulses, limit 10 pulses (b.toml:5)",
        ),
        (
            {"max_dose": 2e-6},
            only(0, 1, 3),
            Pulses(1.0, 1e-6),
            "device [0, 1]: it would see 3 µV*s, limit 2 µV*s (b.toml:6)",
        ),
        (
            {"max_pulses": 10},
            only(0, 1, 9),
            Pulses(1.0, 1e-6),
            "device [0, 1]: this run would have 11 pulses, limit 10 pulses (b.toml:7)",
        ),
        (
            {"max_energy": 1e-6, "resistance": 1.0},
            only(0, 1),
            Pulses(1.0, 1e-6),
            "most for device [0, 1]: this run would have given 5.25 µJ, limit 1 µJ (b.toml:8)",
        ),
        ({"dead": ("0,2",)}, only(0, 2), Pulses(1.0, 1e-6), "for device [0, 2], which is declared dead (b.toml:10)"),
    ],
)
def test_a_refusal_names_the_device_what_it_would_have_and_the_line(
    more: dict[str, Any], which: NDArray[np.int64], pulses: Pulses, says: str
) -> None:
    array, inner = array_behind(limits_of(**more))
    array.account("pulse", {"which": only(0, 1), "pulses": Pulses(1.0, 1e-6, 2), "scheme": None, "gate": None})
    with pytest.raises(LimitError) as caught:
        array.pulse(which, pulses)
    assert str(caught.value).endswith(says)
    assert str(caught.value).startswith("bench 'b': chip: asked for ")
    assert inner.asked == []


@pytest.mark.parametrize(
    ("which", "says"),
    [
        (np.ones((3, 2), np.bool_), r"a mask of shape \(3, 2\): give shape \(2, 3\)"),
        (np.full(SHAPE, np.nan), "float64 numbers of pulses: give a mask or whole numbers"),
        (np.ones(SHAPE), "float64 numbers of pulses"),
        (only(1, 0, -4), r"asked for -4 pulses for device \[1, 0\]: give 0 to"),
        (only(1, 0, 2 * 10**9), r"asked for 2000000000 pulses for device \[1, 0\]"),
        (only(1, 0, 10**9), "more than 1000000000 pulses for one device"),
    ],
)
def test_nothing_but_a_mask_or_whole_numbers_that_fit_is_pulsed(which: Any, says: str) -> None:
    array, inner = array_behind(limits_of())
    with pytest.raises(LimitError, match=says):
        array.pulse(which, Pulses(1.0, 1e-6, 2))
    assert inner.asked == []


@pytest.mark.parametrize(
    "pulses",
    [
        Pulses(np.nan, 1e-6),
        Pulses(1.0, np.nan),
        Pulses(1.0, 0.0),
        Pulses(1.0, 1e-6, 0),
        Pulses(1.0, 1e-6, 1.5),
        Pulses("1 V", 1e-6),
    ],  # type: ignore[arg-type]
)
def test_pulses_that_are_none_are_refused(pulses: Pulses) -> None:
    array, inner = array_behind(limits_of())
    for request in (only(0, 0), (np.ones((1, 2), np.uint32), np.ones((1, 3), np.uint32))):
        with pytest.raises(LimitError):
            ask(array, (pulses, request))
    assert inner.asked == []


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (np.ones((1, 2), np.uint32), np.ones((1, 2), np.uint32)),
        (np.ones((2, 2), np.uint32), np.ones((1, 3), np.uint32)),
        (np.ones((1, 2)), np.ones((1, 3))),
        (np.ones(2, np.uint32), np.ones(3, np.uint32)),
    ],
)
def test_trains_that_do_not_fit_are_refused(rows: Any, columns: Any) -> None:
    array, inner = array_behind(limits_of())
    with pytest.raises(LimitError, match=r"trains of .*: give uint32 of shape"):
        array.update(rows, columns, Pulses(1.0, 1e-6))
    assert inner.asked == []


def test_a_coincidence_at_a_dead_device_is_refused() -> None:
    array, inner = array_behind(limits_of(dead=("1,2",)))
    rows, columns = np.array([[0, 5]], np.uint32), np.array([[1, 2, 4]], np.uint32)
    with pytest.raises(LimitError, match=r"device \[1, 2\], which is declared dead"):
        array.update(rows, columns, Pulses(1.0, 1e-6))
    assert inner.asked == []
    array.update(rows, columns & np.uint32(3), Pulses(1.0, 1e-6))
    assert len(inner.asked) == 1


def test_a_dead_device_beyond_the_array_is_found_when_the_bench_opens() -> None:
    array, _ = array_behind(limits_of(dead=("2,0",)))
    with pytest.raises(Exception, match=r"no device \[2,0\] in an array of 2 x 3"):
        array.protect()


@pytest.mark.parametrize(
    ("wired", "scheme", "gate", "more", "says"),
    [
        ("V/2", "1T1R", None, {}, "asked for scheme 1T1R, and the array is wired for V/2"),
        ("1T1R", "V/3", None, {}, "asked for scheme V/3, and the array is wired for 1T1R"),
        ("V/2", "V/4", None, {}, "asked for scheme 'V/4': give one of V/2, V/3, grounded, 1T1R"),
        ("V/2", None, 1.0, {"max_gate": 2.0}, "asked for a gate voltage of 1 V with scheme V/2: leave it out"),
        ("1T1R", None, 1.0, {}, "asked for a gate voltage: give max_gate in its limits"),
        ("1T1R", None, 2.1, {"max_gate": 2.0}, r"gate asked for 2.1 V, limit 2 V \(b.toml:4\)"),
        ("1T1R", None, np.nan, {"max_gate": 2.0}, "gate asked for nan V: give a finite voltage"),
    ],
)
def test_a_scheme_fits_the_wiring_and_a_gate_its_limit(
    wired: Scheme, scheme: Any, gate: float | None, more: dict[str, float], says: str
) -> None:
    array, inner = array_behind(limits_of(**more), wired)
    with pytest.raises(LimitError, match=says):
        array.pulse(only(0, 0), Pulses(1.0, 1e-6), scheme, gate)
    assert inner.asked == []


def test_a_passive_array_takes_another_passive_scheme_and_a_gate_goes_to_its_transistors() -> None:
    passive, noted = array_behind(limits_of())
    passive.pulse(only(0, 0), Pulses(1.0, 1e-6), "V/3")
    assert noted.asked[0][3:] == ("V/3", None)
    gated, noted = array_behind(limits_of(max_gate=2.0), "1T1R")
    gated.pulse(only(0, 0), Pulses(1.0, 1e-6), gate=1.5)
    assert noted.asked[0][3:] == ("1T1R", 1.5)


@pytest.mark.parametrize("voltage", [0.31, -0.31, np.nan, np.inf, 0.0, "0.1 V"])
def test_devices_are_read_within_the_limit_for_reads(voltage: Any) -> None:
    array, inner = array_behind(limits_of())
    with pytest.raises(LimitError):
        array.conductances(voltage)
    with pytest.raises(LimitError, match="give a mask, True where to read"):
        array.conductances(0.1, np.ones(SHAPE, np.int64))
    assert inner.asked == []


@pytest.mark.parametrize("verb", ["multiply", "multiply_transposed"])
def test_products_are_taken_within_the_limit_for_reads(verb: str) -> None:
    array, inner = array_behind(limits_of())
    lines = SHAPE[verb == "multiply_transposed"]
    for voltages in (np.full((4, lines), 0.31), np.full((4, lines), np.nan), np.zeros(lines), np.zeros((4, 5)), 0.1):
        with pytest.raises(LimitError):
            getattr(array, verb)(voltages)
    assert inner.asked == []
    getattr(array, verb)(np.full((4, lines), -0.3))
    assert len(inner.asked) == 1


def test_pulses_that_were_sent_count_even_if_no_answer_came() -> None:
    array, inner = array_behind(limits_of(max_pulses=10), dead=True)
    with pytest.raises(OSError, match="the line is dead"):
        array.pulse(only(1, 1, 6), Pulses(1.0, 1e-6))
    with pytest.raises(LimitError, match=r"device \[1, 1\]: this run would have 12 pulses"):
        array.pulse(only(1, 1, 6), Pulses(1.0, 1e-6))
    assert len(inner.asked) == 1


def test_endurance_is_that_of_each_device_and_of_its_neighbours_at_full_amplitude() -> None:
    array, _ = array_behind(limits_of(max_pulses=10))
    for row, column in np.ndindex(SHAPE):
        array.pulse(only(row, column, 10), Pulses(1.0, 1e-6))
    grounded, _ = array_behind(limits_of(max_pulses=10), "grounded")
    grounded.pulse(only(0, 0, 6), Pulses(1.0, 1e-6))
    with pytest.raises(LimitError, match=r"device \[0, 0\]: this run would have 12 pulses"):
        grounded.pulse(only(0, 1, 6), Pulses(1.0, 1e-6))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_read_voltage": np.nan}, "max_read_voltage: nan is not allowed"),
        ({"max_pulses": 0}, "max_pulses: 0 is not allowed"),
        ({"resistance": 1e3}, "max_energy: goes with resistance"),
        ({"dead": ("3;5",)}, "dead: '3;5' is no device: give its row and column from 0"),
    ],
)
def test_limits_that_would_not_hold_are_no_limits(limits: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        limits_of(**limits)


def test_an_array_says_that_it_was_made_safe_and_nothing_more() -> None:
    assert array_behind(limits_of())[0].confirm() == "made safe; it has no level to read back"


def test_a_wait_is_passed_on_and_counts_as_no_pulse() -> None:
    array, inner = array_behind(limits_of(max_pulses=1))
    array.wait(3600.0)
    array.account("wait", {"duration": 3600.0})
    assert inner.asked == [("wait", 3600.0)]
    array.pulse(only(0, 0), Pulses(1.0, 1e-6))  # the one that is allowed


@pytest.mark.parametrize("duration", [-1.0, math.inf, math.nan])
def test_no_time_is_waited_that_is_none(duration: float) -> None:
    array, inner = array_behind(limits_of())
    with pytest.raises(LimitError, match=r"chip.*finite time"):
        array.wait(duration)
    assert not inner.asked
