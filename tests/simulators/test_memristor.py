"""A memristor behind a source meter moves with the clock, and no further than its current limit lets it."""

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.simulators.memristor import EmulatedMemristor
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.wiring import Wire, connect
from labneuro.simulators.threshold_memristors import (
    StanfordPku,
    Vteam,
    stanford_pku_current,
    stanford_pku_states,
)


def test_a_voltage_moves_the_device_while_its_current_is_measured():
    memristor = EmulatedMemristor(VirtualClock(), measuring=1e-3)
    memristor.set_current_limit(1.0)
    memristor.set_voltage(0.5)
    p, moved = StanfordPku(), np.array([StanfordPku().g_max])
    for _ in range(3):
        moved = stanford_pku_states(moved, np.array([[0.5]]), 1e-3, p)[0]
        assert memristor.measured_current == pytest.approx(stanford_pku_current(moved[0], 0.5, p), rel=1e-12)
    assert moved[0] < 0.9 * p.g_max


def test_a_voltage_that_no_time_goes_by_with_moves_nothing():
    memristor = EmulatedMemristor(VirtualClock(), model="vteam")
    memristor.set_voltage(-1.0)
    memristor.make_safe()
    memristor.set_voltage(0.01)
    assert memristor.measured_current == pytest.approx(0.01 / Vteam().r_off, rel=1e-12)


@pytest.mark.parametrize("limit", [0.5e-3, 1e-3, 2e-3])
def test_the_current_limit_stops_a_set_where_the_voltage_across_the_device_falls_to_its_threshold(limit):
    memristor = EmulatedMemristor(VirtualClock(), model="vteam")
    memristor.set_current_limit(limit)
    memristor.set_voltage(-1.0)
    assert memristor.current_or_limit == -limit
    with pytest.raises(RuntimeError, match=r"is at its current limit of .*: lower the voltage"):
        _ = memristor.measured_current
    memristor.set_voltage(0.01)
    # The steps of the integration change the voltage by a thousandth.
    assert memristor.measured_current == pytest.approx(0.01 * limit / -Vteam().v_on, rel=2e-3)


def test_nothing_is_measured_while_the_output_is_off():
    memristor = EmulatedMemristor(VirtualClock())
    with pytest.raises(RuntimeError, match="off and nothing is measured: use set_voltage first"):
        _ = memristor.measured_current
    memristor.set_voltage(0.1)
    memristor.make_safe()
    assert memristor.voltage == 0
    with pytest.raises(RuntimeError, match="off and nothing is measured"):
        _ = memristor.current_or_limit


def test_a_source_meter_of_a_rack_moves_the_device_only_while_it_is_on():
    clock = VirtualClock()
    meter, memristor = Keithley2400(clock), EmulatedMemristor(clock, model="vteam")
    connect(meter, memristor.terminals["top"], Wire(), [])
    meter.handle(Session(), b":SENS:CURR:PROT 1E-3;:SOUR:VOLT -1")
    clock.sleep(1.0)
    assert meter.resistance() == pytest.approx(Vteam().r_off)
    meter.handle(Session(), b":OUTP 1")
    clock.sleep(1.0)
    assert meter.limited
    assert (meter.current, meter.resistance()) == (-1e-3, pytest.approx(Vteam().v_on / -1e-3, rel=2e-3))
    with pytest.raises(TypeError, match="takes no resistance in its wire: leave it out"):
        connect(meter, memristor.terminals["top"], Wire(resistance=10.0), [])


def test_a_device_that_is_put_back_goes_on_as_before():
    clock = VirtualClock()
    memristor = EmulatedMemristor(clock, model="Miao", measuring=0.1)
    memristor.set_current_limit(0.1)
    memristor.set_voltage(0.3)
    _ = memristor.measured_current
    then, snapshot = clock.now(), memristor.snapshot()
    once = [memristor.measured_current for _ in range(3)]
    later = VirtualClock()
    later.sleep(then)
    another = EmulatedMemristor(later, model="Miao", measuring=0.1)
    another.restore(snapshot)
    assert [another.measured_current for _ in range(3)] == once
    assert np.all(np.diff(once) > 0)
