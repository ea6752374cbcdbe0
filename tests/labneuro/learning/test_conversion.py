"""Three ways from a wanted conductance to pulses, on devices that are only laws in this file."""

import numpy as np
import pytest

from labneuro.learning.conversion import NO_PULSE, Ramp, WriteVerify, best_pulses, gate_steps

UP, DOWN = 1.0, -1.0  # V


class Resistive:
    """Soft-bound resistive devices with the spread of the ReRamSB preset of aihwkit, in units of the weight."""

    def __init__(self, devices: int, seed: int) -> None:
        self._rng = rng = np.random.default_rng(seed)
        high = 1.25 * (1 + 0.24 * rng.standard_normal(devices))
        low = -0.75 * (1 + 0.40 * rng.standard_normal(devices))
        wanted = rng.uniform(-0.3, 0.5, devices)
        reach = (low < np.minimum(wanted - 0.02, 0)) & (high > np.maximum(wanted + 0.02, 0))
        self.high, self.low, self.wanted = high[reach], low[reach], wanted[reach]
        devices = int(reach.sum())
        gain, asymmetry = 1 + 0.3 * rng.standard_normal(devices), 0.01 * rng.standard_normal(devices)
        self._up, self._down = 0.002 * np.abs(gain + asymmetry), 0.002 * np.abs(gain - asymmetry)
        self.w = np.zeros(devices)

    def pulse(self, amplitude: np.ndarray, count: np.ndarray) -> None:
        for k in range(count.max(initial=0)):
            n = np.flatnonzero(count > k)
            w, noise = self.w[n], 3.75 * self._rng.standard_normal(len(n))
            change = np.where(
                amplitude[n] > 0,
                self._up[n] * (1 - w / self.high[n] + noise),
                -self._down[n] * (1 - w / self.low[n] + noise),
            )
            self.w[n] = np.minimum(np.maximum(w + change, self.low[n]), self.high[n])

    def read(self, noise: float) -> np.ndarray:
        return self.w + noise * self._rng.standard_normal(self.w.shape)


def write(devices: Resistive, noise: float = 0.0, last: int = 64, **options: int) -> WriteVerify:
    up, down = Ramp((UP, UP), (1e-6, 1e-6), (1, last)), Ramp((DOWN, DOWN), (1e-6, 1e-6), (1, last))
    loop = WriteVerify(devices.wanted, 0.02, up=up, down=down, **options)
    while loop.pending.any():
        train = loop.decide(devices.read(noise))
        devices.pulse(train.amplitude, train.count)
    return loop


# Rungs from 1 to 64 pulses in ratios of 1.1, 1.2 and 1.5; a fall by 8 is half of them. Figures measured independently.
@pytest.mark.parametrize(("rungs", "mean", "most"), [(44, 24, 40), (23, 16.7, 27), (10, 11.1, 20)])
def test_a_ramp_writes_every_device_in_the_expected_number_of_trains(rungs: int, mean: float, most: int) -> None:
    devices = Resistive(2000, seed=rungs)
    loop = write(devices, rungs=rungs, setback=rungs // 2, confirmations=1)
    assert loop.confirmed.mean() >= 0.999
    assert loop.trains.mean() == pytest.approx(mean, rel=0.05)
    assert np.percentile(loop.trains, 95) == pytest.approx(most, abs=1)
    assert np.abs(devices.w - devices.wanted)[loop.confirmed].max() <= 0.02


def test_without_a_ramp_a_fifth_is_given_up() -> None:
    loop = write(Resistive(2000, seed=1), last=1, confirmations=1)
    assert loop.confirmed.mean() == pytest.approx(0.794, abs=0.03)
    assert np.all(loop.trains[loop.abandoned] == 200)


def test_a_lucky_read_passes_once_but_not_twice() -> None:
    """The trap: with reads that scatter by 0.112, a device passes that was never there."""
    once, twice = Resistive(2000, seed=2), Resistive(2000, seed=2)
    lucky = write(once, 0.112, last=1, confirmations=1)
    checked = write(twice, 0.112, last=1, confirmations=2)
    error_once = (once.w - once.wanted)[lucky.confirmed].std()
    error_twice = (twice.w - twice.wanted)[checked.confirmed].std()
    assert lucky.confirmed.mean() == pytest.approx(0.974, abs=0.01)
    assert error_once == pytest.approx(0.16, abs=0.01)
    assert error_twice < error_once / np.sqrt(2)


def test_pulses_climb_while_the_error_keeps_its_sign_and_fall_back_when_it_changes() -> None:
    up, down = Ramp((1.0, 4.0), (1e-6, 1e-6)), Ramp((-2.0, -2.0), (1e-6, 16e-6), (1, 4))
    loop = WriteVerify(np.array([10e-6]), 1e-6, up=up, down=down, rungs=2, setback=1)
    trains = [loop.decide(np.array([g])) for g in (5e-6, 6e-6, 7e-6, 8e-6, 14e-6, 13e-6, 10e-6, 9.5e-6)]
    assert [float(t.amplitude[0]) for t in trains] == [1, 2, 4, 4, -2, -2, 0, 0]
    np.testing.assert_allclose([t.width[0] for t in trains], [1e-6] * 4 + [4e-6, 16e-6, 0, 0])
    assert [int(t.count[0]) for t in trains] == [1, 1, 1, 1, 2, 4, 0, 0]
    assert loop.confirmed.all()
    assert loop.trains == 6


def test_devices_with_equal_pulses_are_pulsed_together() -> None:
    up, down = Ramp((1.0, 2.0), (1e-6, 1e-6)), Ramp((-1.0, -1.0), (1e-6, 1e-6), (2, 8))
    loop = WriteVerify(np.full((2, 2), 5.0), 0.5, up=up, down=down, rungs=1)
    loop.decide(np.array([[1.0, 5.0], [9.0, 9.0]]))
    groups = list(loop.decide(np.array([[1.0, 4.0], [9.0, 1.0]])).groups())
    assert [(counts.tolist(), pulses.amplitude, pulses.width) for counts, pulses, gate in groups if gate is None] == [
        ([[0, 0], [8, 0]], -1.0, 1e-6),
        ([[0, 1], [0, 1]], 1.0, 1e-6),
        ([[1, 0], [0, 0]], 2.0, 1e-6),
    ]
    loop.decide(np.full((2, 2), 5.0))
    assert list(loop.decide(np.full((2, 2), 5.0)).groups()) == []


def test_a_gate_opens_while_a_conductance_is_too_low_and_is_wide_open_to_lower_it() -> None:
    up = Ramp((1.0, 1.0), (1e-6, 1e-6), gate=(1.0, 4.0))
    down = Ramp((-1.0, -1.0), (1e-6, 1e-6), gate=(4.0, 4.0))
    loop = WriteVerify(np.array([10e-6]), 1e-6, up=up, down=down, rungs=2)
    trains = [loop.decide(np.array([g])) for g in (5e-6, 6e-6, 7e-6, 14e-6, 5e-6)]
    assert [[gate for *_, gate in train.groups()] for train in trains] == [[1.0], [2.0], [4.0], [4.0], [1.0]]


def test_one_read_in_the_band_is_not_enough_nor_are_two_that_are_not_in_a_row() -> None:
    loop = WriteVerify(np.array([10.0]), 1.0, up=Ramp((1, 1), (1, 1)), down=Ramp((-1, -1), (1, 1)))
    for g, pending in ((10.0, True), (12.0, True), (10.0, True), (10.0, False)):
        loop.decide(np.array([g]))
        assert loop.pending.tolist() == [pending]


def test_a_device_that_does_not_move_is_abandoned_and_not_looked_at_again() -> None:
    wanted = np.array([[5.0, 5.0]])
    loop = WriteVerify(wanted, 0.1, up=Ramp((1, 2), (1, 1)), down=Ramp((-1, -2), (1, 1)), attempts=3)
    for _ in range(4):
        loop.decide(np.array([[5.0, 0.0]]))
    assert loop.abandoned.tolist() == [[False, True]]
    assert loop.trains.tolist() == [[0, 3]]
    assert loop.decide(np.array([[np.nan, np.nan]])).count.tolist() == [[0, 0]]


def test_a_pending_device_without_a_reading_stops_the_loop_before_a_pulse() -> None:
    loop = WriteVerify(np.zeros((2, 2)), 0.1, up=Ramp((1, 1), (1, 1)), down=Ramp((-1, -1), (1, 1)))
    with pytest.raises(ValueError, match=r"device \(1, 0\) reads nan S"):
        loop.decide(np.array([[0.0, 0.0], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match=r"reads of shape \(2,\) don't fit devices of \(2, 2\)"):
        loop.decide(np.zeros(2))
    assert not loop.trains.any()


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        ({"amplitude": (0.0, 1.0), "width": (1.0, 1.0)}, "amplitude can't grow from 0 to 1"),
        ({"amplitude": (-1.0, 1.0), "width": (1.0, 1.0)}, "amplitude can't grow from -1 to 1"),
        ({"amplitude": (1.0, float("nan")), "width": (1.0, 1.0)}, "amplitude can't grow"),
        ({"amplitude": (1.0, 1.0), "width": (-1e-6, -1e-6)}, "width can't grow"),
        ({"amplitude": (1.0, 1.0), "width": (1.0, 1.0), "gate": (0.0, 1.0)}, "gate can't grow"),
    ],
)
def test_what_is_no_ramp_is_refused(ramp: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ramp(**ramp)


@pytest.mark.parametrize(("wanted", "options"), [(np.nan, {}), (1.0, {"confirmations": 0}), (1.0, {"rungs": 0})])
def test_what_no_pulse_leads_to_is_refused(wanted: float, options: dict) -> None:
    with pytest.raises(ValueError, match=r"not finite|count from 1"):
        WriteVerify(np.array([wanted]), 0.1, up=Ramp((1, 1), (1, 1)), down=Ramp((-1, -1), (1, 1)), **options)


def test_a_model_chooses_the_pulse_that_leads_nearest_and_five_are_enough() -> None:
    """Devices that go half of the way to an end set by the pulse's amplitude; the list has ends 1, 2 ... 20 apart."""
    ends = np.linspace(0.0, 100.0, 41)
    rng = np.random.default_rng(0)
    g, wanted = rng.uniform(20, 80, 500), rng.uniform(20, 80, 500)
    for _ in range(5):
        predicted = g + (ends[:, np.newaxis] - g) / 2
        pulse = best_pulses(predicted, g, wanted, 0.01 * 50)
        g = np.where(pulse == NO_PULSE, g, np.take_along_axis(predicted, pulse[np.newaxis], axis=0)[0])
    # The last pulse ends within half a rung of 2.5/2.
    assert np.abs(g - wanted).max() <= 0.625 + 1e-9


def test_a_model_leaves_alone_what_is_right_or_what_no_pulse_would_improve() -> None:
    predicted = np.array([[5.0, 9.0, np.nan], [7.0, 4.0, np.nan]])
    assert best_pulses(predicted, np.array([1.0, 6.1, 1.0]), np.array([6.5, 6.0, 6.0]), 0.2).tolist() == [1, -1, -1]
    assert best_pulses(predicted[:, :2], np.array([1.0, 6.4]), np.array([6.5, 6.5]), 0.05).tolist() == [1, -1]


def test_a_gate_raises_by_a_set_and_lowers_by_a_reset_first() -> None:
    gate, change = np.array([1.0, 1.0, 1.0, 1.5, 0.6]), np.array([20e-6, -20e-6, 0.0, 20e-6, -20e-6])
    steps = gate_steps(gate, change, 100e-6, lowest=0.6, highest=1.6)
    assert steps.reset.tolist() == [False, True, False, False, False]
    assert steps.set.tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(steps.gate, [1.2, 0.8, 1.0, 1.6, 0.6])
    assert steps.held.tolist() == [False, False, False, True, True]


def test_a_gate_writes_cells_without_reading_them() -> None:
    """A SET brings a cell to slope (gate - threshold), never down; a RESET brings it to the floor."""
    rng = np.random.default_rng(4)
    slope, threshold = 98e-6, 0.5
    gate = np.full(200, 1.1)
    cells = slope * (gate - threshold)
    for _ in range(5):
        change = rng.normal(0, 5e-6, 200)
        wanted = cells + change
        steps = gate_steps(gate, change, slope, lowest=0.6, highest=1.8)
        cells = np.where(steps.reset, 1e-6, cells)
        cells = np.where(steps.set, np.maximum(cells, slope * (steps.gate - threshold)), cells)
        gate = steps.gate
        np.testing.assert_allclose(cells, wanted)


def test_no_gate_voltage_stands_for_a_change_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="not finite"):
        gate_steps(np.ones(1), np.array([np.nan]), 1e-4, lowest=0.6, highest=1.8)
