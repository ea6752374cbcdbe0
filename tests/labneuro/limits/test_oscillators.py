import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labneuro.clock import VirtualClock
from labneuro.limits import TICK, LimitedOscillatorChip, LimitError, OscillatorLimits, Place, UnsafeError
from labneuro.roles import OscillatorChip, Wiring
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


power_of_a_source = st.one_of(st.floats(), st.floats(0, 2))  # the latter times the most that may leave the source


@given(
    st.floats(1e-6, 1.0),
    st.floats(-40, 40),
    st.lists(st.tuples(power_of_a_source, power_of_a_source), min_size=1, max_size=4),
    st.sampled_from(["apply", "spectra", "synchronisation"]),
)
def test_the_limit_of_rf_power_holds_at_the_device(
    limit: float, loss: float, wanted: list[tuple[float, float]], verb: str
) -> None:
    chip, inner = chip_behind(max_rf_power=limit, rf_loss=loss)
    weakening = math.exp(loss / 10 * math.log(10))
    power = np.array(wanted[:1] if verb == "apply" else wanted)
    power[(power >= 0) & (power <= 2)] *= limit * weakening
    with np.errstate(over="ignore"):
        at_device = power / weakening
    with suppress(LimitError):
        getattr(chip, verb)(Tones.at(np.full_like(power, 350e6), power))
    if inner.asked:
        assert ((at_device >= 0) & (at_device <= limit * (1 + MARGIN))).all()
    else:
        assert not ((at_device >= 0) & (at_device <= limit * (1 - MARGIN))).all()


def test_a_refusal_tells_what_would_reach_the_device() -> None:
    chip, _ = chip_behind(rf_loss=3.0)
    chip.apply(Tones.at([350e6, 350e6], 10**0.8 * 1e-3))
    with pytest.raises(LimitError) as caught:
        chip.apply(Tones.at([350e6, 350e6], [1e-3, 10e-3]))
    assert str(caught.value) == (
        "bench 'emulated': chip: source B asked for 10 dBm, 7 dBm at the device, limit 5 dBm (emulated.toml:16)"
    )


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
    with pytest.raises(ExceptionGroup, match=r"not made safe: LimitError: .* reads back"):
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
    with pytest.raises(ExceptionGroup, match=f"chip was not made safe: OSError: {fails}: the line is dead"):
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


def test_a_chip_at_zero_is_not_switched_on_to_be_made_safe() -> None:
    chip, inner = chip_behind(ramp=RAMP)
    chip.make_safe()
    assert inner.asked == [("apply", None), ("make_safe", None)]


def test_a_safe_chip_says_what_it_reads_back() -> None:
    chip, inner = chip_behind()
    inner._currents = np.array([0.0, -0.0, 70e-6, -70e-6])  # a meter is never quite at zero
    assert chip.confirm() == "currents 0 A, 0 A, 70 µA, -70 µA"


@pytest.mark.parametrize(
    ("level", "says"),
    [
        ([0.0, 0.0, -90e-6, 0.0], "currents 0 A, 0 A, -90 µA, 0 A"),
        ([0.0, math.nan, 0.0, 0.0], "currents 0 A, nan A, 0 A, 0 A"),
        ([0.0], "currents 0 A"),
        ([], "currents "),
        ([[0.0] * 4], "TypeError"),
    ],
)
def test_a_chip_that_does_not_read_back_as_off_is_not_called_safe(level: Any, says: str) -> None:
    chip, inner = chip_behind()
    inner._currents = np.array(level)
    with pytest.raises(
        UnsafeError, match=f"bench 'emulated': chip: not confirmed safe: {says}.*: switch it off by hand"
    ):
        chip.confirm()


# --- Other questions


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


def test_a_chip_behind_its_limits_remembers_what_the_chip_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    chip, inner = chip_behind()
    restored: list[object] = []
    monkeypatch.setattr(inner, "snapshot", lambda: {"phase": 0.5})
    monkeypatch.setattr(inner, "restore", restored.append)
    chip.restore(chip.snapshot())
    assert restored == [{"phase": 0.5}]
