"""The emulated array: what it answers, whom its pulses reach, and that asking again is repeatable."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from labneuro.clock import VirtualClock
from labneuro.limits import LimitedSynapseArray, LimitError, Place, SynapseLimits
from labneuro.parameters import ParameterError, validated
from labneuro.roles import SynapseArray
from labneuro.signals import Pulses, Scheme, coincidences, exposures, train_exposures
from labneuro.simulators import filamentary_memory
from labneuro.simulators.presets import PRESETS
from labneuro.simulators.synapse_array import FAMILIES, GATE_SLOPE, EmulatedSynapseArray
from labneuro.values import settled

READ = 0.1
STEP = Pulses(1.5, 1e-6)


def array_of(device: str = "EcRam", rows: int = 4, columns: int = 5, **settings: Any) -> EmulatedSynapseArray:
    return EmulatedSynapseArray(VirtualClock(), device=device, rows=rows, columns=columns, **settings)


def only(array: SynapseArray, row: int, column: int) -> NDArray[np.bool_]:
    which = np.zeros(array.shape, np.bool_)
    which[row, column] = True
    return which


def random_trains(seed: int, vectors: int, lines: int) -> NDArray[np.uint32]:
    """Return trains of six slots, half full, of either sign."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 64, (vectors, lines)) | rng.integers(0, 2, (vectors, lines)) << 31).astype(np.uint32)


# --- Reading and multiplying


@pytest.mark.parametrize("device", [*FAMILIES, *PRESETS])
def test_pulses_of_any_device_raise_its_conductance(device: str) -> None:
    array = array_of(device, 10, 10)
    before = array.conductances(READ)
    array.pulse(np.ones(array.shape, np.bool_), Pulses(1.5, 1e-7, 50))
    assert array.conductances(READ).mean() > before.mean()
    assert (array.spent.pulses == 50).all()


def test_only_the_devices_in_the_mask_are_read() -> None:
    array = array_of()
    which = only(array, 1, 2)
    assert np.array_equal(np.isnan(array.conductances(READ, which)), ~which)


def test_conductances_of_a_pulse_law_lie_in_their_range() -> None:
    array = array_of("Capacitor", 50, 50, g_min=2e-6, g_max=20e-6)
    for volts in (1.5, -1.5):
        array.pulse(np.ones(array.shape, np.bool_), Pulses(volts, 1e-6, 1000))
        found = array.conductances(READ)
        assert 2e-6 < np.percentile(found, 0.5) < np.percentile(found, 99.5) < 20e-6
        assert found.mean() > 17e-6 if volts > 0 else found.mean() < 5e-6


def test_products_are_those_of_the_conductances() -> None:
    array = array_of("ReRamES", 30, 20)
    g = array.conductances(READ)
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(-0.2, 0.2, (7, 30)), rng.uniform(-0.2, 0.2, (7, 20))
    assert array.multiply(rows) == pytest.approx(rows @ g, rel=1e-12)
    assert array.multiply_transposed(columns) == pytest.approx(columns @ g.T, rel=1e-12)


def test_lines_with_resistance_take_their_part_of_reads_and_of_products_both_ways() -> None:
    ideal, array = (array_of("ReRamES", 30, 20, line_resistance=ohm) for ohm in (0.0, 50.0))
    g, measured = ideal.conductances(READ), array.conductances(READ)
    left = measured / g
    assert left.max() < 1
    assert left[:3, -3:].max() < left[-3:, :3].min()  # where both lines are longest, and where they are shortest
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(0, 0.2, (7, 30)), rng.uniform(0, 0.2, (7, 20))
    assert array.multiply(rows) == pytest.approx(rows @ measured, rel=1e-5)
    assert array.multiply_transposed(columns) == pytest.approx(columns @ measured.T, rel=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
def test_each_device_has_noise_of_its_own_in_each_vector(transposed: bool) -> None:
    array = array_of("Idealized", 30, 20, read_noise=0.05)
    quiet = array_of("Idealized", 30, 20)
    multiply, g = (
        (array.multiply_transposed, quiet.conductances(READ).T)
        if transposed
        else (array.multiply, quiet.conductances(READ))
    )
    voltages = np.random.default_rng(0).uniform(-0.2, 0.2, len(g))
    noise = multiply(np.tile(voltages, (4000, 1))) - voltages @ g
    wanted = 0.05 * np.sqrt(voltages**2 @ g**2)
    assert noise.std(axis=0) == pytest.approx(wanted, rel=5 / np.sqrt(2 * 4000))
    assert (np.abs(noise.mean(axis=0)) < 5 * wanted / np.sqrt(4000)).all()
    correlation = np.corrcoef(noise.T) - np.eye(g.shape[1])
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_reads_of_a_device_scatter_as_its_read_noise_says() -> None:
    array = array_of("Idealized", 30, 20, read_noise=0.05)
    read = np.array([array.conductances(READ) for _ in range(20)])
    relative = read / array_of("Idealized", 30, 20).conductances(READ) - 1
    assert relative.std() == pytest.approx(0.05, rel=5 / np.sqrt(2 * relative.size))


def test_converters_have_the_levels_of_their_bits() -> None:
    array = array_of("Idealized", 1, 1, dac_bits=3, dac_range=0.3, adc_bits=3, adc_range=3e-6)
    ideal = array_of("Idealized", 1, 1)
    voltages = np.linspace(-0.29, 0.29, 200)[:, None]
    levels = np.rint(voltages / 0.1) * 0.1
    currents = np.clip(np.rint(ideal.multiply(levels) / 1e-6), -3, 3) * 1e-6
    assert array.multiply(voltages) == pytest.approx(currents, abs=1e-15)
    with pytest.raises(ValueError, match=r"voltages of up to 0.4 V: dac_range ends at 0.3 V"):
        array.multiply(np.full((1, 1), -0.4))


def test_phase_change_memory_drifts_on_the_clock_of_the_bench() -> None:
    clock = VirtualClock()
    array = EmulatedSynapseArray(clock, device="phase-change", rows=30, columns=30)
    array.pulse(np.ones(array.shape, np.bool_), Pulses(1.5, 1e-7, 20))
    voltages = np.full((400, 30), READ)
    currents = []
    for _ in range(2):
        clock.sleep(38.6)
        currents.append(array.multiply(voltages).mean())
    assert currents[1] / currents[0] == pytest.approx(2**-0.04, rel=1e-3)


# --- Whom pulses reach


@pytest.mark.parametrize(
    ("scheme", "volts", "reached"),
    [
        ("V/2", 1.9, ["100", "000", "000"]),
        ("V/2", 2.1, ["111", "100", "100"]),
        ("V/3", 2.9, ["100", "000", "000"]),
        ("V/3", 3.1, ["111", "111", "111"]),
        ("grounded", 1.1, ["111", "000", "000"]),
        ("1T1R", 5.0, ["100", "000", "000"]),
        ("V/2", 0.9, ["000", "000", "000"]),
    ],
)
def test_neighbours_move_where_what_they_see_is_beyond_the_threshold(
    scheme: Scheme, volts: float, reached: list[str]
) -> None:
    array = array_of("EcRam", 3, 3, scheme=scheme)
    before = array.conductances(READ)
    array.pulse(only(array, 0, 0), Pulses(volts, 1e-6, 3))
    moved = array.conductances(READ) != before
    assert ["".join("01"[int(device)] for device in row) for row in moved] == reached


def test_devices_of_a_family_are_disturbed_through_their_own_law() -> None:
    disturbed = {}
    for scheme in ("V/2", "V/3", "1T1R"):
        array = array_of("ferroelectric", 3, 3, scheme=scheme)
        before = array.multiply(np.eye(3) * READ)
        array.pulse(only(array, 0, 0), Pulses(2.0, 100e-9, 20))
        disturbed[scheme] = (array.multiply(np.eye(3) * READ) / before > 1.5).sum()
    assert disturbed == {"V/2": 5, "V/3": 1, "1T1R": 1}  # 1 V switches junctions, 0.67 V none


def test_unselected_devices_see_pulses_of_the_other_sign_with_thirds() -> None:
    array = array_of("EcRam", 3, 3, scheme="V/3")
    before = array.conductances(READ)
    array.pulse(only(array, 0, 0), Pulses(3.1, 1e-6, 20))
    change = np.sign(array.conductances(READ) - before)
    assert np.array_equal(change, [[1, 1, 1], [1, -1, -1], [1, -1, -1]])


@pytest.mark.parametrize("scheme", ["V/2", "V/3", "grounded", "1T1R"])
def test_pulses_half_selections_and_energy_are_counted(scheme: Scheme) -> None:
    array = array_of("Idealized", scheme=scheme)
    counts = np.random.default_rng(0).integers(0, 4, array.shape)
    array.pulse(counts, Pulses(-0.9, 1e-6, 2))  # which moves no device
    (_, own), *others = exposures(counts * 2, scheme)
    spent = array.spent
    assert np.array_equal(spent.pulses, own)
    assert np.array_equal(spent.half_selected, sum(seen for _, seen in others) + np.zeros(array.shape))
    g = array.conductances(READ)
    energy = sum((part * 0.9) ** 2 * (seen * g).sum() * 1e-6 for part, seen in [(1.0, own), *others])
    assert spent.energy == pytest.approx(energy, rel=1e-6)


# --- Updates by coincidence


@pytest.mark.parametrize("scheme", ["V/2", "1T1R"])
@pytest.mark.parametrize("volts", [0.9, 1.5, -1.5, 2.5])
def test_an_update_is_what_lines_give_each_device(scheme: Scheme, volts: float) -> None:
    array = array_of("Idealized", scheme=scheme)
    rows, columns = random_trains(0, 8, 4), random_trains(1, 8, 5)
    before = array.conductances(READ)
    array.update(rows, columns, Pulses(volts, 1e-6, 2))
    spent = array.spent
    (_, both), *alone = train_exposures(np.repeat(rows, 2, axis=0), np.repeat(columns, 2, axis=0), scheme)
    assert np.array_equal(spent.pulses, both)
    assert np.array_equal(spent.half_selected, sum(seen for _, seen in alone) + np.zeros(array.shape))
    g = array.conductances(READ)  # of which an update moves less than 1 %
    energy = sum((part * volts) ** 2 * (seen * g).sum() * 1e-6 for part, seen in [(1.0, both), *alone])
    assert spent.energy == pytest.approx(energy, rel=0.01)
    assert (g != before).any() == (abs(volts) > 1)


def test_an_update_moves_devices_by_the_net_number_of_their_coincidences() -> None:
    signed, array = np.zeros((20, 20)), array_of("Idealized", 20, 20)
    rows, columns = random_trains(0, 50, 20), random_trains(1, 50, 20)
    for r, c in zip(rows, columns, strict=True):
        signed += coincidences(r[None], c[None]) * np.where((r >> 31)[:, None] == c >> 31, 1, -1)
    before = array.conductances(READ)
    array.update(rows, columns, Pulses(-1.5, 1e-6))
    change = array.conductances(READ) - before
    step = (40e-6 - 1e-6) / (2 * (1 + 3 * 0.3)) * 0.0002
    # Steps of 400 devices spread by 0.3, which leaves 1.5 % to their mean.
    assert -(change * signed).sum() / (signed**2).sum() == pytest.approx(step, rel=0.05)


@pytest.mark.parametrize("device", ["EcRam", "phase-change"])
def test_devices_get_the_same_pulses_at_once_as_one_by_one(device: str) -> None:
    at_once, one_by_one = array_of(device), array_of(device)
    rows, columns = random_trains(0, 8, 4), random_trains(1, 8, 5)
    at_once.update(rows, columns, STEP)
    SynapseArray.update(one_by_one, rows, columns, STEP)
    assert np.array_equal(at_once.spent.pulses, one_by_one.spent.pulses)
    assert np.array_equal(at_once.spent.pulses, coincidences(rows, columns))


@pytest.mark.parametrize("scheme", ["V/2", "1T1R"])
@pytest.mark.parametrize("device", [*FAMILIES])
def test_vectors_reach_devices_of_a_family_in_order(device: str, scheme: Scheme) -> None:
    at_once, one_by_one = (array_of(device, scheme=scheme, stuck=0.2) for _ in range(2))
    rows, columns = random_trains(0, 8, 4), random_trains(1, 8, 5)
    pulses = Pulses(2.4, 1e-7)  # half of it moves some as well
    at_once.update(rows, columns, pulses)
    for r, c in zip(rows[:, None], columns[:, None], strict=True):
        one_by_one.update(r, c, pulses)
    together, apart = at_once.snapshot(), one_by_one.snapshot()
    for name, values in together["devices"].items():
        if not name.endswith("_at"):  # the clock has gone on between the requests
            assert np.array_equal(values, apart["devices"][name]), name
    assert np.array_equal(together["spent"].half_selected, apart["spent"].half_selected)


def test_lines_beyond_twice_the_threshold_move_devices_alone() -> None:
    array = array_of("EcRam", 3, 3)
    before = array.conductances(READ)
    array.update(np.array([[1, 0, 0]], np.uint32), np.zeros((1, 3), np.uint32), Pulses(1.9, 1e-6))
    assert np.array_equal(array.conductances(READ), before)
    array.update(np.array([[1, 0, 0]], np.uint32), np.zeros((1, 3), np.uint32), Pulses(2.1, 1e-6))
    assert (array.conductances(READ) != before).any(axis=1).tolist() == [True, False, False]


def test_requests_that_do_not_fit_the_array_move_nothing() -> None:
    array = array_of()
    before = array.snapshot()
    with pytest.raises(ValueError, match=r"pulses for an array of \(5, 4\): give shape \(4, 5\)"):
        array.pulse(np.ones((5, 4), np.bool_), STEP)
    with pytest.raises(ValueError, match=r"trains of \(8, 5\) and \(8, 4\) don't fit an array of \(4, 5\)"):
        array.update(random_trains(0, 8, 5), random_trains(1, 8, 4), STEP)
    assert settled(array.snapshot()["devices"]["hidden"]).tobytes() == before["devices"]["hidden"].tobytes()


# --- Transistors


def test_a_shut_transistor_lets_no_pulse_through() -> None:
    array = array_of("filamentary", scheme="1T1R")
    before = array.multiply(np.eye(4) * READ)
    array.pulse(np.ones(array.shape, np.bool_), Pulses(2.0, 1e-7, 10), gate=0.6)
    assert array.spent.energy == 0
    array.pulse(np.ones(array.shape, np.bool_), Pulses(2.0, 1e-7, 10), gate=2.0)
    assert (array.multiply(np.eye(4) * READ) > 2 * before).mean() > 0.9


def test_the_gate_sets_the_conductance_of_filamentary_memory() -> None:
    means = []
    for gate in (2.0, 3.0):
        array = array_of("filamentary", 40, 40, scheme="1T1R")
        array.pulse(np.ones(array.shape, np.bool_), Pulses(1.5, 1e-7, 20), gate=gate)
        means.append(np.median(array.conductances(READ)))
    assert pytest.approx(36.7e-6, rel=1e-3) == GATE_SLOPE
    assert means[1] - means[0] == pytest.approx(111.5e-6, rel=0.05)


# --- Devices that are stuck or die


@pytest.mark.parametrize("device", ["EcRam", "ferroelectric"])
def test_stuck_devices_do_not_move(device: str) -> None:
    array = array_of(device, 40, 40, stuck=0.3)
    before = array.conductances(READ)
    array.pulse(np.ones(array.shape, np.bool_), Pulses(1.9, 1e-7, 100))
    moved = np.abs(array.conductances(READ) / before - 1) > 0.05  # the read noise is below that
    assert (~moved).mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 1600))


def test_devices_of_a_pulse_law_wear_out_if_they_are_told_to() -> None:
    array = array_of("EcRam", 20, 20, endurance=100)
    everyone = np.ones(array.shape, np.bool_)
    array.pulse(everyone, Pulses(1.5, 1e-6, 200))
    worn = array.conductances(READ)
    array.pulse(everyone, Pulses(-1.5, 1e-6, 100))
    moved = array.conductances(READ) != worn
    survives = norm.sf(np.log(200 / 100) / 0.5)
    assert moved.mean() == pytest.approx(survives, abs=4 * np.sqrt(survives / 400))
    assert (array.spent.pulses == 300).all()


def test_devices_of_a_pulse_law_leak_on_the_clock_of_the_bench() -> None:
    clock = VirtualClock()
    array = EmulatedSynapseArray(clock, device="EcRam", lifetime=100.0, seed=1)
    start = array.conductances(READ)
    array.pulse(np.ones(array.shape, np.bool_), Pulses(1.5, 1e-6, 300))
    moved = array.conductances(READ) - start
    clock.sleep(50.0)
    left = array.conductances(READ) - start
    assert left == pytest.approx(moved * np.exp(-0.5), rel=2e-3)
    snapshot = settled(array.snapshot())
    for _ in range(1000):  # however often it is asked
        array.wait(0.05)
        array.multiply(np.full((1, 32), READ))
    often = array.conductances(READ)
    array.restore(snapshot)
    assert array.conductances(READ) == pytest.approx(often, rel=1e-3)


def test_families_wear_and_drift_by_laws_of_their_own() -> None:
    with pytest.raises(ValueError, match="endurance and lifetime: phase-change has its own"):
        array_of("phase-change", endurance=100)


def test_limits_keep_alive_what_dies_without_them() -> None:
    free, inner = (array_of("filamentary", 3, 3) for _ in range(2))
    limits = SynapseLimits(max_amplitude=1.5, max_width=1e-6, max_read_voltage=0.3, max_pulses=10_000)
    guarded = LimitedSynapseArray(inner, limits, Place("b", "chip"), VirtualClock())
    everyone = np.ones((3, 3), np.bool_)
    guarded.pulse(everyone, Pulses(1.4, 1e-7, 6_000))
    for pulses, says in (
        (Pulses(1.4, 1e-7, 6_000), r"device \[0, 0\]: this run would have 12000 pulses, limit 10000"),
        (Pulses(3.0, 1e-7), "asked for 3 V, limit 1.5 V"),
    ):
        with pytest.raises(LimitError, match=says):
            guarded.pulse(everyone, pulses)
    free.pulse(everyone, Pulses(3.0, 1e-7))
    short = filamentary_memory.SHORT
    assert free.conductances(READ) == pytest.approx(np.full((3, 3), short), rel=0.05)
    assert (inner.conductances(READ) < 0.9 * short).all()


# --- Coming back


def history(array: EmulatedSynapseArray, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(3):
        array.pulse(rng.random(array.shape) < 0.5, Pulses(rng.choice([-1.4, 1.4]), 1e-7, 3))
        array.update(random_trains(seed, 4, 4), random_trains(seed + 1, 4, 5), Pulses(1.5, 1e-7))
        answers += [array.conductances(READ), array.multiply(rng.uniform(-0.1, 0.1, (3, 4))), array.spent.energy]
    return answers


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("device", [*FAMILIES, "ReRamES", "EcRam"])
def test_an_array_comes_back_bit_by_bit(device: str) -> None:
    clocks = [VirtualClock(), VirtualClock()]
    first, second = (EmulatedSynapseArray(clock, device=device, rows=4, columns=5, read_noise=0.01) for clock in clocks)
    history(first, 0)
    snapshot = settled(first.snapshot())
    clocks[1].sleep(clocks[0].now())
    expected = history(first, 1)
    second.restore(snapshot)
    assert same(history(second, 1), expected)
    clocks[0].sleep(1.0)
    first.restore(settled(snapshot))
    assert np.array_equal(first.spent.pulses, snapshot["spent"].pulses)


def test_the_same_requests_have_the_same_answers_and_another_seed_others() -> None:
    assert same(history(array_of("ReRamES"), 0), history(array_of("ReRamES"), 0))
    assert not same(history(array_of("ReRamES"), 0), history(array_of("ReRamES", seed=1), 0))


def test_a_read_that_is_repeated_has_another_noise() -> None:
    for array in (array_of("phase-change"), array_of("EcRam", read_noise=0.01)):
        assert (array.conductances(READ) != array.conductances(READ)).all()


@pytest.mark.parametrize("device", ["ReRamES", "EcRam"])
def test_a_device_of_a_pulse_law_takes_at_most_64_bytes(device: str) -> None:
    array_of(device).pulse(np.ones((4, 5), np.bool_), STEP)  # compiles
    tracemalloc.start()
    try:
        array = array_of(device, 256, 256)
        array.pulse(np.ones(array.shape, np.bool_), STEP)
        array.update(random_trains(0, 4, 256), random_trains(1, 4, 256), STEP)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 256**2 <= 64


# --- Settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"device": "ReRamXS"}, "device: no device 'ReRamXS'; did you mean ReRam"),
        ({"adc_bits": 1}, "adc_bits: 1 bit has no level but zero: give 0 for none, or 2 to 24"),
        ({"scheme": "V/4"}, "scheme: 'V/4' is not allowed: give one of V/2, V/3, grounded, 1T1R"),
    ],
)
def test_a_setting_that_makes_no_array_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        validated(EmulatedSynapseArray, settings)


def test_a_range_of_conductances_has_two_ends() -> None:
    with pytest.raises(ValueError, match="g_min: 5e-05 S is not below g_max, 4e-05 S"):
        array_of(g_min=50e-6)
