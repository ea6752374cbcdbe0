"""What stands across the devices of an array whose lines end at relays."""

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.array_terminals import CONTACT, GROUND, HALF, METER, PULSER, SOURCE, WiredSynapseArray
from labneuro.simulators.rack.switch_matrices import Keithley7001
from labneuro.simulators.rack.wiring import Wire, connect

ROWS, COLUMNS = 3, 2
UP = 1.3


class Bench:
    """An array, what its devices have been given, and its relays: a bus, or -1, for each line."""

    def __init__(self, conductance: float = 20e-6, **settings) -> None:
        self.clock = VirtualClock()
        self.array = WiredSynapseArray(self.clock, rows=ROWS, columns=COLUMNS, **settings)
        self.given: list[tuple[np.ndarray, np.ndarray, float]] = []
        self.array._devices.give = lambda counts, volts, width, gate, now: self.given.append((counts, volts, width))
        self.array._conductances = lambda: (np.full((ROWS, COLUMNS), conductance), None)
        self.terminals = self.array.terminals

    def connect(self, *buses: int) -> None:
        closed = np.zeros((4, ROWS + COLUMNS), bool)
        for line, bus in enumerate(buses):
            closed[bus, line] = bus >= 0
        self.terminals["relays"].move(closed)

    def put(self, volts: float) -> float:
        """Let a meter put out a voltage, and return its current."""
        current = volts / self.terminals["meter"].resistance()
        self.terminals["meter"].feed(current, True)
        return volts / self.terminals["meter"].resistance()


def test_half_of_a_pulse_reaches_the_row_and_the_column_of_a_device_and_nothing_the_rest():
    bench = Bench()
    bench.connect(HALF, PULSER, HALF, GROUND, HALF)
    bench.terminals["pulser"].fire(2 * UP, 1e-6, 7)
    ((counts, volts, width),) = bench.given
    assert volts == pytest.approx(UP * np.array([[0.5, 0], [1, 0.5], [0.5, 0]]), rel=2e-3, abs=1e-3)
    assert counts.tolist() == [[7, 0], [7, 7], [7, 0]]
    assert width == 1e-6


def test_grounded_lines_let_the_whole_row_see_the_pulse_less_what_it_draws_through_25_ohm():
    bench = Bench(conductance=1e-3)
    bench.connect(GROUND, PULSER, GROUND, GROUND, GROUND)
    bench.terminals["pulser"].fire(2 * UP, 1e-6, 1)
    ((counts, volts, _),) = bench.given
    assert counts.tolist() == [[0, 0], [1, 1], [0, 0]]
    # ground is behind a relay for each column, which are driven alike
    behind = 1 / (2 * 1e-3) + CONTACT / 2
    at_row = UP * behind / (behind + CONTACT + SOURCE / 2)
    assert volts[1] == pytest.approx(at_row * (1 - CONTACT / 2 / behind), rel=1e-6)


def test_a_pulse_between_open_relays_reaches_no_device():
    bench = Bench()
    for buses in ((-1,) * 5, (-1, PULSER, -1, -1, -1), (GROUND,) * 5):
        bench.connect(*buses)
        bench.terminals["pulser"].fire(2 * UP, 1e-6, 1)
    assert [counts.sum() for counts, _, _ in bench.given] == [0, 0, 0]


def test_pulses_without_end_are_refused():
    bench = Bench()
    with pytest.raises(ValueError, match="without end"):
        bench.terminals["pulser"].fire(1.0, 1e-6, np.inf)


def test_a_meter_sees_all_devices_between_its_lines_and_ground_and_the_sneak_paths_of_floating_ones():
    bench, g = Bench(), 20e-6
    bench.connect(GROUND, METER, GROUND, METER, GROUND)
    assert bench.put(0.1) == pytest.approx(0.1 * 3 * g, rel=1e-4)  # one in its row, two in its column
    bench.put(0.0)
    bench.connect(-1, METER, -1, GROUND, -1)
    sneak = 1 / (1 / g + 1 / (2 * g) + 1 / (2 * g))
    assert bench.put(0.1) == pytest.approx(0.1 * (g + sneak), rel=1e-4)


def test_a_read_is_a_pulse_to_the_devices_for_as_long_as_it_lasts():
    bench = Bench()
    bench.connect(GROUND, METER, GROUND, METER, GROUND)
    bench.put(0.1)
    bench.clock.sleep(0.03)
    bench.put(0.0)
    ((counts, volts, width),) = bench.given
    assert counts.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert volts == pytest.approx(np.array([[-0.1, 0], [0, 0.1], [-0.1, 0]]), rel=1e-3, abs=1e-5)
    assert width == pytest.approx(0.03)


def test_each_change_of_the_level_has_a_noise_of_its_own_which_a_snapshot_brings_back():
    def currents(array: WiredSynapseArray) -> list[float]:
        bench.array, bench.terminals = array, array.terminals
        return [bench.put(volts) for volts in (0.1, 0.0, 0.1)]

    bench = Bench()
    bench.array = array = WiredSynapseArray(bench.clock, rows=ROWS, columns=COLUMNS, read_noise=0.05)
    bench.terminals = array.terminals
    bench.connect(GROUND, METER, GROUND, GROUND, GROUND)
    currents(array)
    bench.put(0.0)
    before = array.snapshot()
    first, _, second = currents(array)
    assert 1e-4 < abs(first / second - 1) < 0.3
    other = WiredSynapseArray(bench.clock, rows=ROWS, columns=COLUMNS, read_noise=0.05)
    other.restore(before)
    assert currents(other) == [first, 0.0, second]


def test_a_matrix_with_fewer_columns_than_the_array_has_lines_is_not_connected():
    array = WiredSynapseArray(VirtualClock(), rows=16, columns=8)
    with pytest.raises(TypeError, match="4 x 20 relays, and there are 4 x 24"):
        connect(Keithley7001(VirtualClock()), array.terminals["relays"], Wire(), [])
