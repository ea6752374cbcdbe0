import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labneuro.clock import VirtualClock
from labneuro.limits import (
    TICK,
    CurrentSourceLimits,
    LimitedCurrentSource,
    LimitedOscillatorChip,
    LimitedRFSource,
    LimitError,
    OscillatorLimits,
    Place,
    RFLimits,
    envelope,
    ramp_points,
)
from labneuro.parameters import ParameterError
from labneuro.roles import CurrentSource, OscillatorChip, RFSource, Role, SpectrumAnalyzer, Wiring
from labneuro.signals import Spectrum, StateArray, Tones
from labneuro.units import FloatArray

MAX_CURRENT = 8e-3
MAX_POWER = 10**0.5 * 1e-3
BAND = (300e6, 400e6)
RAMP = 0.1  # A/s
MARGIN = 1e-9  # beyond rounding, and finer than any source resolves
LINES = {
    "max_current": "emulated.toml:14",
    "max_rf_power": "emulated.toml:16",
    "max_frequency": "emulated.toml:18",
}


class RecordingChip(OscillatorChip):
    """A chip that notes all it is asked, with the time, and fails where it is told to."""

    def __init__(self, clock: VirtualClock, wiring: Wiring = "separate", fails: str = "") -> None:
        self.clock = clock
        self.fails = fails
        self._wiring: Wiring = wiring
        self._currents: FloatArray = np.zeros(4)
        self.asked: list[tuple[str, Any]] = []
        self.times: list[float] = []

    def _note(self, verb: str, content: Any) -> None:
        self.asked.append((verb, content))
        self.times.append(self.clock.now())
        if verb == self.fails:
            raise OSError(f"{verb}: the line is dead")

    @property
    def identity(self) -> str:
        return "recording chip"

    @property
    def oscillators(self) -> int:
        return 4

    @property
    def sources(self) -> int:
        return 2

    @property
    def wiring(self) -> Wiring:
        return self._wiring

    @property
    def currents(self) -> FloatArray:
        return self._currents

    def set_currents(self, currents: FloatArray) -> None:
        self._note("set_currents", currents)
        self._currents = currents

    def apply(self, tones: Tones | None) -> None:
        self._note("apply", tones)

    def spectrum(self) -> Spectrum:
        raise NotImplementedError

    def spectra(self, tones: Tones) -> Spectrum:
        self._note("spectra", tones)
        return Spectrum(np.zeros(1), np.zeros((len(tones), 1)), 1.0, 1)

    def synchronisation(self, tones: Tones) -> StateArray:
        self._note("synchronisation", tones)
        return np.zeros((len(tones), 4), dtype=np.int8)

    def make_safe(self) -> None:
        self._note("make_safe", None)


def chip_behind(
    *, wiring: Wiring = "separate", fails: str = "", **more: float
) -> tuple[LimitedOscillatorChip, RecordingChip]:
    clock = VirtualClock()
    inner = RecordingChip(clock, wiring, fails)
    limits = OscillatorLimits(**{"max_current": MAX_CURRENT, "max_rf_power": MAX_POWER, **more})
    return LimitedOscillatorChip(inner, limits, Place("emulated", "chip", LINES), clock), inner


def in_band() -> tuple[LimitedOscillatorChip, RecordingChip]:
    return chip_behind(min_frequency=BAND[0], max_frequency=BAND[1])


safe_currents = hnp.arrays(np.float64, 4, elements=st.floats(-MAX_CURRENT, MAX_CURRENT))
unsafe_current = st.one_of(
    st.floats(min_value=MAX_CURRENT * (1 + MARGIN)),
    st.floats(max_value=-MAX_CURRENT * (1 + MARGIN)),
    st.just(math.nan),
)
safe_tones = st.integers(0, 5).flatmap(
    lambda points: st.builds(
        Tones,
        hnp.arrays(np.float64, (points, 2), elements=st.floats(*BAND)),
        hnp.arrays(np.float64, (points, 2), elements=st.floats(0, MAX_POWER)),
    )
)
unsafe_power = st.one_of(st.floats(min_value=MAX_POWER * (1 + MARGIN)), st.floats(max_value=-5e-324), st.just(math.nan))
unsafe_frequency = st.one_of(
    st.floats(min_value=BAND[1] * (1 + MARGIN)),
    st.floats(max_value=BAND[0] * (1 - MARGIN)),
    st.just(math.nan),
)


# --- Requests within the limits


@given(safe_currents)
def test_safe_currents_arrive_unchanged(currents: FloatArray) -> None:
    chip, inner = chip_behind()
    chip.set_currents(currents)
    ((verb, arrived),) = inner.asked
    assert verb == "set_currents"
    assert np.array_equal(arrived, currents)


@given(safe_tones, st.sampled_from(["spectra", "synchronisation"]))
def test_safe_tones_arrive_unchanged(tones: Tones, verb: str) -> None:
    chip, inner = in_band()
    getattr(chip, verb)(tones)
    ((asked, arrived),) = inner.asked
    assert asked == verb
    assert np.array_equal(arrived.frequency, tones.frequency)
    assert np.array_equal(arrived.power, tones.power)


def test_a_limit_reached_but_for_rounding_is_still_within() -> None:
    chip, inner = chip_behind()
    summed = sum([1e-4] * 80)
    assert summed > MAX_CURRENT
    chip.set_currents(np.full(4, summed))
    assert len(inner.asked) == 1


def test_a_source_that_is_off_may_stand_at_any_frequency() -> None:
    chip, inner = in_band()
    chip.apply(Tones.at([350e6, 0.0], [1e-3, 0.0]))
    chip.apply(None)
    assert [verb for verb, _ in inner.asked] == ["apply", "apply"]


def test_what_was_checked_is_what_is_sent() -> None:
    # The caller's array may change while a chip still works on it.
    chip, inner = chip_behind()
    currents, tones = np.full(4, 1e-3), Tones.at([350e6, 350e6], 1e-3)
    chip.set_currents(currents)
    chip.apply(tones)
    currents[:] = tones.power[:] = 1.0
    assert inner.asked[0][1].tolist() == [1e-3] * 4
    assert inner.asked[1][1].power.tolist() == [[1e-3, 1e-3]]


# --- Requests beyond them


@given(safe_currents, st.integers(0, 3), unsafe_current, st.sampled_from([{}, {"ramp": RAMP}]))
def test_no_unsafe_current_ever_reaches_the_chip(
    currents: FloatArray, device: int, unsafe: float, more: dict[str, float]
) -> None:
    chip, inner = chip_behind(**more)
    currents[device] = unsafe
    with pytest.raises(LimitError, match=rf"chip: oscillator {device + 1} asked for"):
        chip.set_currents(currents)
    assert inner.asked == []


@given(safe_tones, st.data(), st.sampled_from(["spectra", "synchronisation"]))
def test_no_unsafe_tone_ever_reaches_the_chip(tones: Tones, data: st.DataObject, verb: str) -> None:
    assume(len(tones) > 0)
    chip, inner = in_band()
    point, source = data.draw(st.integers(0, len(tones) - 1)), data.draw(st.integers(0, 1))
    if data.draw(st.booleans()):
        tones.power[point, source] = data.draw(unsafe_power)
    else:
        tones.power[point, source] = 1e-3
        tones.frequency[point, source] = data.draw(unsafe_frequency)
    with pytest.raises(LimitError, match=f"source {'AB'[source]} asked for"):
        getattr(chip, verb)(tones)
    with pytest.raises(LimitError):
        chip.apply(tones)
    assert inner.asked == []


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=6), elements=st.just(1e-3)))
def test_no_array_of_another_shape_ever_reaches_the_chip(currents: FloatArray) -> None:
    assume(currents.shape != (4,))
    chip, inner = chip_behind()
    with pytest.raises(LimitError, match=r"of shape .*: give shape"):
        chip.set_currents(currents)
    assert inner.asked == []


@pytest.mark.parametrize(
    "currents",
    [["1 mA"] * 4, [1e-3j] * 4, [None] * 4, [True] * 4, [[1e-3], [1e-3, 1e-3]], "1 mA", None],
)
def test_nothing_but_real_numbers_reaches_the_chip(currents: Any) -> None:
    chip, inner = chip_behind()
    with pytest.raises(LimitError):
        chip.set_currents(currents)
    assert inner.asked == []


def test_tones_must_fit_the_sources() -> None:
    chip, inner = chip_behind()
    for verb in (chip.apply, chip.spectra, chip.synchronisation):
        with pytest.raises(LimitError, match=r"frequencies of shape \(1, 3\): give shape \(1, 2\)"):
            verb(Tones.at([350e6] * 3, 1e-3))
    with pytest.raises(LimitError, match="apply takes one operating point, not 2"):
        chip.apply(Tones.at([[350e6] * 2] * 2, 1e-3))
    assert inner.asked == []


def test_a_batch_is_refused_as_a_whole_and_its_first_bad_point_named() -> None:
    chip, inner = in_band()
    tones = Tones.at(np.full((100, 2), 350e6), 1e-3)
    tones.frequency[41, 1] = 450e6
    with pytest.raises(LimitError) as caught:
        chip.spectra(tones)
    assert str(caught.value) == (
        "bench 'emulated': chip: operating point 42 of 100: source B asked for 450 MHz, limit 400 MHz "
        "(emulated.toml:18)"
    )
    assert inner.asked == []


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda chip: chip.set_currents(np.array([0, 12e-3, 0, 0])),
            "bench 'emulated': chip: oscillator 2 asked for 12 mA, limit 8 mA (emulated.toml:14)",
        ),
        (
            lambda chip: chip.set_currents(np.array([0, 0, 8.00000001e-3, 0])),
            "oscillator 3 asked for 0.00800000001 A, limit 0.008 A (emulated.toml:14)",
        ),
        (
            lambda chip: chip.set_currents(np.array([math.nan, 0, 0, 0])),
            "bench 'emulated': chip: oscillator 1 asked for nan A: give a finite current",
        ),
        (
            lambda chip: chip.apply(Tones.at([350e6, 350e6], [1e-3, 10e-3])),
            "bench 'emulated': chip: source B asked for 10 dBm, limit 5 dBm (emulated.toml:16)",
        ),
        (
            lambda chip: chip.apply(Tones.at([200e6, 350e6], 1e-3)),
            "bench 'emulated': chip: source A asked for 200 MHz, lower limit 300 MHz",
        ),
        (
            lambda chip: chip.apply(Tones.at([350e6, 350e6], [-1e-3, 0])),
            "source A asked for 3.5e+08 Hz at -0.001 W: give a finite frequency above 0 Hz and a finite",
        ),
    ],
)
def test_a_refusal_names_part_value_limit_and_line(ask: Callable[[OscillatorChip], None], says: str) -> None:
    chip, _ = in_band()
    with pytest.raises(LimitError) as caught:
        ask(chip)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("wiring", "currents", "refused"),
    [
        ("series", [2e-3, 4e-3, 6e-3, 8e-3], None),  # each source adds 2 mA
        ("separate", [2e-3, 4e-3, 6e-3, 8e-3], "direct-current source 2 asked for 4 mA, limit 3 mA"),
        ("series", [2e-3, 2e-3, 7e-3, 7e-3], "direct-current source 3 asked for 5 mA, limit 3 mA"),
        ("series", [2e-3, 4e-3, 0.0, 0.0], "direct-current source 3 asked for -4 mA, limit 3 mA"),
    ],
)
def test_in_series_a_source_feeds_the_difference_of_two_devices(
    wiring: Wiring, currents: list[float], refused: str | None
) -> None:
    chip, inner = chip_behind(wiring=wiring, max_source_current=3e-3)
    if refused is None:
        chip.set_currents(np.array(currents))
        assert len(inner.asked) == 1
    else:
        with pytest.raises(LimitError, match=refused):
            chip.set_currents(np.array(currents))
        assert inner.asked == []


# --- Ramps


@given(safe_currents, safe_currents, st.sampled_from(["separate", "series"]), st.sampled_from([RAMP, 1.0, 1e3]))
def test_currents_walk_from_the_level_read_back_no_faster_than_the_ramp(
    level: FloatArray, target: FloatArray, wiring: Wiring, ramp: float
) -> None:
    chip, inner = chip_behind(wiring=wiring, ramp=ramp)
    inner._currents = level
    chip.set_currents(target)
    path = np.array([level, *(currents for _, currents in inner.asked)])
    times = np.array([0.0, *inner.times])
    assert np.array_equal(path[-1], target)
    # Steps are computed in floats: at 8 mA they may exceed the ramp by a few rounding errors.
    assert np.abs(np.diff(path, axis=0)).max() <= ramp * TICK + 4 * np.spacing(MAX_CURRENT)
    assert np.diff(times).min() >= TICK * (1 - 1e-9)
    assert np.abs(path).max() <= MAX_CURRENT * (1 + MARGIN)


def test_a_ramp_takes_the_time_it_should() -> None:
    chip, inner = chip_behind(ramp=RAMP)
    chip.set_currents(np.array([8e-3, 4e-3, 0, -8e-3]))
    # 8 mA at 0.1 mA/ms is 80 ms; rounding may add one tick.
    assert inner.clock.now() == pytest.approx(80e-3, abs=1.01 * TICK)


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


# An overloaded meter answers 9.9e37; a level of 10 mA was set by somebody else.
@pytest.mark.parametrize(
    "level",
    [np.full(4, math.nan), np.zeros(3), np.array([0, 9.9e37, 0, 0]), np.array([0, 0, -10e-3, 0])],
)
def test_no_ramp_starts_from_a_level_that_can_not_be_true_or_safe(level: FloatArray) -> None:
    chip, inner = chip_behind(ramp=RAMP)
    inner._currents = level
    with pytest.raises(LimitError, match=r"reads back .* A, no level within 8 mA: make it safe"):
        chip.set_currents(np.full(4, 1e-3))
    assert inner.asked == []
    with pytest.raises(ExceptionGroup, match=r"not made safe gently: LimitError: .* reads back"):
        chip.make_safe()
    assert inner.asked == [("apply", None), ("make_safe", None)]


def test_a_level_at_the_limit_that_reads_a_little_beyond_is_ramped_from_the_limit() -> None:
    chip, inner = chip_behind(ramp=RAMP)
    inner._currents = np.full(4, MAX_CURRENT * 1.01)
    chip.set_currents(np.zeros(4))
    path = np.array([currents for _, currents in inner.asked])
    assert path.max() < MAX_CURRENT
    assert path[0] == pytest.approx(MAX_CURRENT - RAMP * TICK, rel=1e-9)


# --- Making safe


def test_a_chip_is_made_safe_gently_rf_first() -> None:
    chip, inner = chip_behind(ramp=RAMP)
    inner._currents = np.array([8e-3, -8e-3, 1e-3, 0.0])
    chip.make_safe()
    verbs = [verb for verb, _ in inner.asked]
    assert inner.asked[0] == ("apply", None)
    assert verbs[-1] == "make_safe"
    walk = [content for verb, content in inner.asked if verb == "set_currents"]
    path = np.array([[8e-3, -8e-3, 1e-3, 0.0], *walk])
    assert len(path) >= 81
    assert (np.diff(np.abs(path), axis=0) <= 0).all()
    assert not path[-1].any()


@pytest.mark.parametrize("fails", ["apply", "set_currents"])
def test_whatever_fails_on_the_gentle_way_the_chip_is_still_switched_off(fails: str) -> None:
    chip, inner = chip_behind(ramp=RAMP, fails=fails)
    inner._currents = np.full(4, 1e-3)
    with pytest.raises(ExceptionGroup, match=f"chip was not made safe gently: OSError: {fails}: the line is dead"):
        chip.make_safe()
    assert [verb for verb, _ in inner.asked][-1] == "make_safe"
    assert {"apply", "set_currents"} < {verb for verb, _ in inner.asked}


def test_an_interrupt_on_the_way_down_switches_off_at_once_and_goes_on_as_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chip, inner = chip_behind(ramp=RAMP)
    inner._currents = np.full(4, 8e-3)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inner.clock, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chip.make_safe()
    assert [verb for verb, _ in inner.asked] == ["apply", "make_safe"]


# --- Limits themselves


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize("name", ["max_current", "max_rf_power", "ramp", "min_frequency", "max_source_current"])
def test_a_limit_that_would_let_everything_pass_is_refused(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"{name}: .* give a finite limit above 0"):
        chip_behind(**{name: value})


def test_a_band_has_its_lower_edge_below_its_upper() -> None:
    with pytest.raises(ParameterError, match="min_frequency: 400 MHz is not below max_frequency, 300 MHz"):
        RFLimits(max_power=1e-3, min_frequency=400e6, max_frequency=300e6)


# --- Single instruments


class RecordingSource(CurrentSource):
    def __init__(self, compliance: float = 1.0) -> None:
        self.level = 0.0
        self.voltage = compliance
        self.asked: list[tuple[str, float]] = []

    @property
    def identity(self) -> str:
        return "recording source"

    @property
    def current(self) -> float:
        return self.level

    def set_current(self, current: float) -> None:
        self.asked.append(("current", current))
        self.level = current

    @property
    def compliance(self) -> float:
        return self.voltage

    def set_compliance(self, voltage: float) -> None:
        self.asked.append(("compliance", voltage))
        self.voltage = voltage

    def make_safe(self) -> None:
        self.asked.append(("safe", 0.0))


def source_behind(compliance: float = 1.0, ramp: float | None = None) -> tuple[CurrentSource, RecordingSource]:
    inner = RecordingSource(compliance)
    limits = CurrentSourceLimits(max_current=MAX_CURRENT, max_compliance=2.0, ramp=ramp)
    return LimitedCurrentSource(inner, limits, Place("b", "bias", {"max_current": "b.toml:3"}), VirtualClock()), inner


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


@given(st.one_of(st.floats(min_value=2.0 * (1 + MARGIN)), st.floats(max_value=0.0), st.just(math.nan)))
def test_no_unsafe_compliance_ever_reaches_a_source(voltage: float) -> None:
    source, inner = source_behind()
    with pytest.raises(LimitError, match="asked for a compliance of"):
        source.set_compliance(voltage)
    assert inner.asked == []


def test_no_current_flows_while_the_compliance_left_by_others_is_too_high() -> None:
    source, inner = source_behind(compliance=21.0)
    with pytest.raises(LimitError, match="compliance reads back as 21 V, limit 2 V: use set_compliance first"):
        source.set_current(1e-3)
    assert inner.asked == []
    source.set_compliance(1.5)
    source.set_current(1e-3)
    assert inner.asked == [("compliance", 1.5), ("current", 1e-3)]


def test_a_source_ramps_up_and_is_ramped_down_to_be_safe() -> None:
    source, inner = source_behind(ramp=RAMP)
    source.set_current(1e-3)
    source.make_safe()
    levels = np.array([0.0, *(value for verb, value in inner.asked if verb == "current")])
    assert levels.max() == 1e-3
    assert levels[-1] == 0
    assert np.abs(np.diff(levels)).max() <= RAMP * TICK * (1 + 1e-9)
    assert inner.asked[-1] == ("safe", 0.0)


class RecordingGenerator(RFSource):
    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []

    @property
    def identity(self) -> str:
        return "recording generator"

    @property
    def frequency(self) -> float:
        return 0.0

    @property
    def power(self) -> float:
        return 0.0

    def set_tone(self, frequency: float, power: float) -> None:
        self.asked.append((frequency, power))

    def make_safe(self) -> None:
        self.asked.append((0.0, 0.0))


def generator_behind() -> tuple[RFSource, RecordingGenerator]:
    inner = RecordingGenerator()
    limits = RFLimits(max_power=MAX_POWER, min_frequency=BAND[0], max_frequency=BAND[1])
    return LimitedRFSource(inner, limits, Place("b", "rf", {"max_power": "b.toml:7"}), VirtualClock()), inner


@given(st.floats(*BAND), st.floats(0, MAX_POWER))
def test_a_safe_tone_arrives_unchanged(frequency: float, power: float) -> None:
    generator, inner = generator_behind()
    generator.set_tone(frequency, power)
    assert inner.asked == [(frequency, power)]


@given(st.floats(*BAND), unsafe_power)
def test_no_unsafe_power_ever_reaches_a_generator(frequency: float, power: float) -> None:
    generator, inner = generator_behind()
    with pytest.raises(LimitError, match="bench 'b': rf: asked for"):
        generator.set_tone(frequency, power)
    assert inner.asked == []


@given(unsafe_frequency, st.floats(1e-12, MAX_POWER))
def test_no_unsafe_frequency_ever_reaches_a_generator(frequency: float, power: float) -> None:
    generator, inner = generator_behind()
    with pytest.raises(LimitError, match="bench 'b': rf: asked for"):
        generator.set_tone(frequency, power)
    assert inner.asked == []


# --- Which envelope


def test_every_role_of_today_has_an_envelope() -> None:
    played = {role: envelope(role) for role in Role.__subclasses__() if role.__module__ == "labneuro.roles"}
    assert {role for role, found in played.items() if found.guard is None} == {SpectrumAnalyzer}
    assert set(played) == {CurrentSource, RFSource, SpectrumAnalyzer, OscillatorChip}


def test_a_driver_that_can_not_be_guarded_is_refused() -> None:
    class Laser(Role):
        pass

    class Both(RFSource, CurrentSource):
        pass

    with pytest.raises(LimitError, match=r"Laser can't be guarded: .* plays none"):
        envelope(Laser)
    with pytest.raises(LimitError, match=r"Both can't be guarded: .* plays CurrentSource and RFSource"):
        envelope(Both)


def test_a_check_refuses_what_a_request_would_and_sends_nothing() -> None:
    chip, inner = in_band()
    chip.check(np.full(4, MAX_CURRENT), Tones.at([[350e6, 360e6]], MAX_POWER))
    with pytest.raises(LimitError, match=r"oscillator 3 asked for 12 mA, limit 8 mA \(emulated.toml:14\)"):
        chip.check(np.array([0.0, 0.0, 12e-3, 0.0]))
    with pytest.raises(LimitError, match="410 MHz"):
        chip.check(tones=Tones.at([[350e6, 410e6]], 1e-3))
    assert inner.asked == []


def test_a_chip_without_limits_refuses_nothing() -> None:
    RecordingChip(VirtualClock()).check(np.full(4, 1e3))
