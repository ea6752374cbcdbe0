"""A chip made of instruments: the order in which they are asked, what failures leave behind, and the same physics."""

from dataclasses import astuple
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labneuro.clock import VirtualClock
from labneuro.instruments.oscillator_rig import OscillatorRig, safest_order
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitedOscillatorChip, LimitError, OscillatorLimits, Place
from labneuro.protocols.vowels import VowelStep, vowels
from labneuro.roles import CurrentSource, OscillatorChip, RFSource, SpectrumAnalyzer
from labneuro.signals import Spectrum, Tones, device_currents, source_currents
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip
from labneuro.units import FloatArray
from labneuro.values import settled

SPAN = {"start": 310e6, "stop": 390e6, "rbw": 200e3}
SETTLING = 10e-3
TONES = Tones.at(np.array([[338e6, 362e6], [340e6, 355e6], [328e6, 371e6]]), [1e-3, 5e-4])
FULL = 8e-3
ROUNDING = 1e-15  # A: sums of currents of some mA are good to that


class Table:
    """Instruments that note what they are asked, with the time, and fail where they are told to.

    chip: what the instruments are wired to; without one the analyzer shows the power of generator A. currents: of the
    direct-current sources; flowed: those through the devices after each change. asked: who was asked for what, times:
    when. fails: by who, "bias 2", or by who and what, "bias 2 make_safe".
    """

    def __init__(self, chip: EmulatedOscillatorChip | None = None, wiring: str = "separate", count: int = 4) -> None:
        self.clock = VirtualClock()
        self.chip, self.wiring = chip, wiring
        self.currents = np.zeros(count)
        self.frequencies, self.powers = np.zeros(2), np.zeros(2)
        self.asked: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.flowed: list[FloatArray] = []
        self.fails: set[str] = set()

    def note(self, who: str, what: str) -> None:
        self.asked.append((who, what))
        self.times.append(self.clock.now())
        if {who, f"{who} {what}"} & self.fails:
            raise OSError(f"{who}: the line is dead")

    def rig(self, **settings: Any) -> OscillatorRig:
        parts = [Bias(self, k) for k in range(len(self.currents))], [Generator(self, k) for k in range(2)]
        given = {"averages": 4, "settling": SETTLING, "lowest_current": 4.5e-3, "highest_current": FULL, **SPAN}
        return OscillatorRig(self.clock, *parts, Analyzer(self), wiring=self.wiring, **(given | settings))

    def when(self, what: str) -> list[float]:
        return [time for time, (_, asked) in zip(self.times, self.asked, strict=True) if asked == what]

    def flowing(self) -> FloatArray:
        return device_currents(self.currents) if self.wiring == "series" else self.currents.copy()

    def sweep(self) -> Spectrum:
        if self.chip is None:
            return Spectrum(np.linspace(SPAN["start"], SPAN["stop"], 5), np.full(5, self.powers[0]), SPAN["rbw"], 4)
        self.chip.set_currents(self.flowing())
        self.chip.apply(Tones.at(self.frequencies, self.powers))
        return self.chip.spectrum()


class Bias(CurrentSource):
    compliance = 1.0
    identity = ""

    def __init__(self, table: Table, k: int) -> None:
        self.table, self.k, self.identity = table, k, f"bias {k + 1}"

    def set_compliance(self, voltage: float) -> None:
        raise NotImplementedError

    @property
    def current(self) -> float:
        return float(self.table.currents[self.k])

    def set_current(self, current: float) -> None:
        self.table.note(self.identity, "set_current")
        self.table.currents[self.k] = current
        self.table.flowed.append(self.table.flowing())

    def make_safe(self) -> None:
        self.table.note(self.identity, "make_safe")
        self.table.currents[self.k] = 0.0


class Generator(RFSource):
    identity = ""

    def __init__(self, table: Table, k: int) -> None:
        self.table, self.k, self.identity = table, k, f"generator {'AB'[k]}"

    @property
    def frequency(self) -> float:
        return float(self.table.frequencies[self.k])

    @property
    def power(self) -> float:
        return float(self.table.powers[self.k])

    def set_tone(self, frequency: float, power: float) -> None:
        self.table.note(self.identity, "set_tone" if power else "off")
        self.table.frequencies[self.k], self.table.powers[self.k] = frequency, power

    def make_safe(self) -> None:
        self.table.note(self.identity, "make_safe")
        self.table.powers[self.k] = 0.0


class Analyzer(SpectrumAnalyzer):
    identity = "analyzer"

    def __init__(self, table: Table) -> None:
        self.table = table

    def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None:
        assert (start, stop, rbw, averages) == (*SPAN.values(), 4)
        self.table.note("analyzer", "configure")

    def trace(self) -> Spectrum:
        self.table.note("analyzer", "trace")
        return self.table.sweep()

    def make_safe(self) -> None: ...


@pytest.mark.parametrize("wiring", ["separate", "series"])
def test_currents_are_those_through_the_devices_whatever_the_wiring(wiring: str):
    table = Table(wiring=wiring)
    rig = table.rig()
    asked = np.array([5e-3, 7e-3, 6e-3, 4e-3])
    rig.set_currents(asked)
    assert table.currents == pytest.approx([5e-3, 2e-3, -1e-3, -2e-3] if wiring == "series" else asked)
    assert rig.currents == pytest.approx(asked)
    table.currents[0] += 1e-3  # at the front panel
    assert rig.currents == pytest.approx(asked + (1e-3 if wiring == "series" else [1e-3, 0, 0, 0]))


def test_a_source_that_has_its_current_is_left_alone():
    table = Table()
    rig = table.rig()
    rig.set_currents(np.array([0.0, 6e-3, 0.0, 6e-3]))
    rig.set_currents(np.array([0.0, 6e-3, 6e-3, 0.0]))
    assert [who for who, _ in table.asked] == ["bias 2", "bias 4", "bias 3", "bias 4"]


def test_a_ramp_of_many_steps_settles_once_and_before_anything_is_looked_at():
    table = Table()
    rig = table.rig()
    for step in range(1, 51):
        table.clock.sleep(1e-3)
        rig.set_currents(np.full(4, step * 1e-4))
    assert table.clock.now() == pytest.approx(50e-3)
    table.clock.sleep(4e-3)  # whatever passes meanwhile counts
    rig.spectrum()
    rig.spectrum()
    assert table.when("trace") == pytest.approx([60e-3, 60e-3])


def test_each_operating_point_settles_and_the_sources_are_off_at_the_end():
    table = Table()
    spectra = table.rig().spectra(TONES)
    point = ["set_tone", "set_tone", "trace"]
    assert [what for _, what in table.asked] == ["configure", *point * 3, "off", "off"]
    assert table.when("trace") == pytest.approx([SETTLING, 2 * SETTLING, 3 * SETTLING])
    assert spectra.density.tolist() == np.repeat(TONES.power[:, :1], 5, axis=1).tolist()


def test_the_analyzer_is_set_up_anew_for_each_question():
    table = Table()
    rig = table.rig()
    rig.spectrum()
    rig.spectra(TONES)
    rig.spectrum()
    assert len(table.when("configure")) == 3


def test_spectra_of_nothing_are_refused():
    with pytest.raises(ValueError, match="spectra of no operating points: give at least one"):
        Table().rig().spectra(TONES[:0])


def test_one_operating_point_at_a_time_can_be_left_on():
    table = Table()
    rig = table.rig()
    rig.apply(TONES[1:2])
    assert table.frequencies.tolist() == [340e6, 355e6]
    assert table.powers.tolist() == [1e-3, 5e-4]
    with pytest.raises(ValueError, match="too many values"):
        rig.apply(TONES)
    rig.apply(None)
    assert table.powers.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("verb", ["spectra", "synchronisation"])
def test_a_failure_of_the_analyzer_leaves_the_sources_off(verb: str):
    table = Table()
    rig = table.rig()
    rig.apply(TONES[:1])
    table.fails = {"analyzer"}
    with pytest.raises(OSError, match="analyzer: the line is dead"):
        getattr(rig, verb)(TONES)
    assert table.powers.tolist() == [0.0, 0.0]


def test_a_source_that_can_t_be_switched_off_is_told_beside_what_went_wrong_before():
    table = Table()
    table.fails = {"analyzer trace", "generator A off"}
    with pytest.raises(OSError, match="analyzer: the line is dead") as raised:
        table.rig().spectra(TONES)
    assert raised.value.__notes__ == ["not all RF sources were switched off: OSError: generator A: the line is dead"]
    assert table.powers.tolist() == [1e-3, 0.0]


def test_a_source_that_fails_is_named_with_those_that_have_their_new_currents():
    table = Table()
    rig = table.rig()
    table.fails = {"bias 3"}
    with pytest.raises(InstrumentError) as raised:
        rig.set_currents(np.full(4, 6e-3))
    assert str(raised.value) == (
        "direct-current source 3 was not set to 6 mA: OSError: bias 3: the line is dead; "
        "at their new currents: [1, 2], still at their old ones: [4]: make the rig safe"
    )
    assert rig.currents.tolist() == [6e-3, 6e-3, 0.0, 0.0]


def test_currents_of_another_number_are_refused_before_anything_is_sent():
    table = Table()
    with pytest.raises(ValueError, match=r"currents of shape \(3,\): give one for each of 4 oscillators"):
        table.rig().set_currents(np.full(3, 6e-3))
    assert table.asked == []


@pytest.mark.parametrize("wiring", ["separate", "series"])
@pytest.mark.parametrize("broken", ["", "generator A", "bias 1", "bias 4", "bias 2 set_current"])
def test_made_safe_rf_goes_first_and_all_the_rest_follows_whatever_fails(wiring: str, broken: str):
    table = Table(wiring=wiring)
    rig = table.rig()
    rig.set_currents(np.array([5e-3, 7e-3, 6e-3, 4e-3]))
    rig.apply(TONES[:1])
    table.asked.clear()
    table.fails = {broken}
    if broken:
        with pytest.raises(ExceptionGroup, match=f"oscillator rig was not made safe: .*{broken[:6]}"):
            rig.make_safe()
    else:
        rig.make_safe()
    assert table.asked[:2] == [("generator A", "make_safe"), ("generator B", "make_safe")]
    assert table.asked[-4:] == [(f"bias {k}", "make_safe") for k in (1, 2, 3, 4)]
    left_on = [f"generator {name}" for name, power in zip("AB", table.powers, strict=True) if power]
    left_on += [f"bias {k + 1}" for k in np.flatnonzero(table.currents)]
    assert left_on == ([broken] if broken in {"generator A", "bias 1", "bias 4"} else [])


def passed(before: FloatArray, after: FloatArray, order: Any) -> float:
    """Return how far a device passes beyond the larger of its old and new current; `before`, `after`: of devices."""
    sources, new = source_currents(before), source_currents(after)
    most = 0.0
    for k in order:
        sources[k] = new[k]
        most = max(most, float(np.max(np.abs(device_currents(sources)) - np.maximum(np.abs(before), np.abs(after)))))
    return most


def devices(most: int) -> st.SearchStrategy[FloatArray]:
    """Currents before and after, (2, devices), A, in steps that let some be equal and some be zero."""
    shapes = st.integers(1, most).map(lambda n: (2, n))
    return shapes.flatmap(
        lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(-8, 8).map(lambda i: i * 1e-3))
    )


@given(devices(most=4))
def test_in_series_no_order_of_the_sources_takes_devices_less_beyond_their_old_and_new_currents(currents: FloatArray):
    before, after = currents
    order = safest_order(source_currents(before), source_currents(after))
    best = min(passed(before, after, other) for other in permutations(range(before.size)))
    assert sorted(order) == list(range(before.size))
    assert passed(before, after, order) <= best + ROUNDING


@given(devices(most=10))
def test_in_series_no_device_passes_beyond_by_more_than_the_largest_change(currents: FloatArray):
    before, after = currents
    order = safest_order(source_currents(before), source_currents(after))
    assert sorted(order) == list(range(before.size))
    assert passed(before, after, order) <= np.max(np.abs(after - before)) + ROUNDING


@given(hnp.arrays(np.float64, (2, 5), elements=st.floats(-0.1e-3, 0.1e-3)), st.sampled_from([-1, 1]))
def test_steps_of_a_ramp_at_operating_currents_pass_beyond_nothing(changes: FloatArray, sign: int):
    before, after = sign * (6e-3 + changes)
    assert passed(before, after, safest_order(source_currents(before), source_currents(after))) <= ROUNDING


def test_a_rig_in_series_takes_the_safest_order():
    table = Table(wiring="series")
    rig = table.rig()
    rig.set_currents(np.array([5e-3, 7e-3, 6e-3, 4e-3]))
    table.flowed.clear()
    rig.set_currents(np.array([8e-3, 3e-3, 6e-3, 2e-3]))
    assert len(table.flowed) == 4
    assert np.all(np.max(np.abs(table.flowed), axis=0) <= np.array([8e-3, 7e-3, 6e-3, 4e-3]) + ROUNDING)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 400e6}, "stop: 390 MHz is not above 400 MHz: give a wider range"),
        ({"lowest_current": FULL}, "highest_current: 8 mA is not above 8 mA: give a wider range"),
    ],
)
def test_a_range_upside_down_is_refused(settings: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        Table().rig(**settings)


def test_a_rig_without_sources_is_refused():
    with pytest.raises(ValueError, match="0 current sources and 2 RF sources: name at least one of each"):
        Table(count=0).rig()


def test_a_rig_says_what_it_is_made_of():
    assert (
        Table(count=1).rig().identity == "oscillator rig, separate wiring: bias 1; generator A; generator B; analyzer"
    )


def emulated(**settings: Any) -> EmulatedOscillatorChip:
    return EmulatedOscillatorChip(VirtualClock(), averages=4, detection="spectra", **settings)


@pytest.mark.parametrize("wiring", ["separate", "series"])
def test_a_rig_sees_the_states_that_the_chip_itself_tells(wiring: str):
    rig, chip = Table(emulated(), wiring).rig(), emulated(wiring=wiring)
    tones = Tones.at(np.random.default_rng(0).uniform(325e6, 375e6, (20, 2)), 1e-3)

    def asked(who: OscillatorChip) -> list[FloatArray]:
        answers: list[Any] = []
        for currents in ([6e-3, 6.1e-3, 5.9e-3, 6.2e-3], [5.5e-3, 6.5e-3, 6e-3, 6e-3]):
            who.set_currents(np.array(currents))
            answers += [who.spectrum().density, who.synchronisation(tones), who.spectrum().density]
        return answers

    by_rig, by_chip = asked(rig), asked(chip)
    assert len(np.unique(by_chip[1], axis=0)) > 10
    for seen, told in zip(by_rig, by_chip, strict=True):
        # In series, sums of sources' currents differ from the devices' in the last digit.
        np.testing.assert_allclose(seen, told, rtol=0 if wiring == "separate" else 1e-6)


@pytest.mark.nightly
def test_vowels_are_learned_through_a_rig_as_on_the_chip():
    def learned(chip: OscillatorChip) -> list[VowelStep]:
        return [r for r in vowels(chip, steps=3, map_points=0) if isinstance(r, VowelStep)]

    by_rig, by_chip = learned(Table(emulated()).rig()), learned(emulated())
    assert [np.concatenate(astuple(s), axis=None).tolist() for s in by_rig] == [
        np.concatenate(astuple(s), axis=None).tolist() for s in by_chip
    ]
    assert not np.array_equal(by_rig[0].currents, by_rig[2].currents)


def test_a_resumed_rig_goes_on_with_the_calibration_it_had():
    table = Table(emulated())
    rig = table.rig()
    assert settled(rig.snapshot()) == []
    rig.set_currents(np.full(4, 6e-3))
    states = rig.synchronisation(TONES)
    resumed = Table(emulated())
    memory = table.chip.snapshot()
    resumed.chip.restore(memory | {"points_asked": memory["points_asked"] - len(TONES) - 1})
    again = resumed.rig()
    again.restore(settled(rig.snapshot()))
    again.set_currents(np.full(4, 6e-3))
    assert np.array_equal(again.synchronisation(TONES), states)
    assert len(resumed.when("trace")) == 1 + len(TONES)
    assert len(table.when("trace")) == 4 * 15 + 1 + len(TONES)


def guarded(table: Table, **limits: float) -> LimitedOscillatorChip:
    rig = table.rig()
    guard = LimitedOscillatorChip(
        rig, OscillatorLimits(max_rf_power=1e-3, **limits), Place("rack", "chip"), table.clock
    )
    guard.protect()
    return guard


def test_the_calibration_walks_as_slowly_as_the_limits_say():
    table = Table(emulated())
    chip = guarded(table, max_current=FULL, ramp=1.0)
    chip.set_currents(np.full(4, 6e-3))
    chip.synchronisation(TONES[:1])
    steps = np.diff(table.flowed, axis=0, prepend=np.zeros((1, 4)))
    assert len(steps) > 15 * 4 * 4
    assert np.max(np.abs(steps)) <= 1e-3 + ROUNDING


def test_a_calibration_beyond_the_limits_is_refused_before_anything_is_sent():
    table = Table(emulated())
    with pytest.raises(LimitError, match=r"oscillator 1 asked for 7 mA, limit 6\.99 mA"):
        guarded(table, max_current=6.99e-3).synchronisation(TONES)
    assert {what for _, what in table.asked} == {"off"}
