"""What loops say of memristors whose thresholds are known."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from labneuro import bench
from labneuro.clock import VirtualClock
from labneuro.limits import LimitError
from labneuro.protocols.iv_loop import iv_loop, panels, summary, switching
from labneuro.roles import SourceMeter
from labneuro.run import execute
from labneuro.simulators.memristor import EmulatedMemristor
from labneuro.simulators.threshold_memristors import Vteam
from labneuro.store import RunFile

VTEAM = {"highest": 0.1, "lowest": -0.4, "limit_above": 10e-3, "limit_below": 2e-3, "cycles": 2}
RACK = """\
clock = "virtual"
[parts.meter]
driver = "{model}-meter"
settings = {{ resource = "GPIB0::18::INSTR", source_range = "2 V" }}
limits = {{ max_voltage = "1 V", max_current = "10 mA", ramp = "1 V/s" }}
[rack.devices.sample]
driver = "memristor"
settings = {{ model = "vteam" }}
[rack.instruments]
smu = {{ model = "{model}", resource = "GPIB0::18::INSTR" }}
[rack.wires]
"smu -> sample.top" = {{}}
"""


def halves(meter: SourceMeter, **options: float) -> list[tuple[np.ndarray, ...]]:
    """Return voltage, current and whether it was limited of each half of the loops."""
    points = list(iv_loop(meter, **options))
    by_half = [[p for p in points if p.half == k] for k in range(points[-1].half + 1)]
    return [
        tuple(np.array([getattr(p, n) for p in half]) for n in ("voltage", "current", "limited")) for half in by_half
    ]


def assert_vteam(loops: list[tuple[np.ndarray, ...]], step: float) -> None:
    """Assert that loops from 100 mV to -400 mV, with 2 mA below 0 V, say what a VTEAM device is."""
    p = Vteam()
    # The first half finds the device as it was made, with nothing to reset.
    for half, threshold in zip(loops[1:], (p.v_on, p.v_off, p.v_on), strict=True):
        beyond = switching(*half, 0.01).voltage / threshold - 1
        assert 0 < beyond * abs(threshold) < 1.001 * step
    off, on = 1 / p.r_off, 2e-3 / -p.v_on  # what the current limit leaves
    assert switching(*loops[1], 0.01)[1:] == pytest.approx((off, on), rel=2e-3)
    assert switching(*loops[2], 0.01)[1:] == pytest.approx((on, off), rel=2e-3)


def test_the_thresholds_of_vteam_are_found_within_a_step():
    meter = EmulatedMemristor(VirtualClock(), model="vteam")
    assert_vteam(halves(meter, step=5e-3, **VTEAM), 5e-3)


@pytest.mark.parametrize("model", ["keithley-2400", "keithley-2450"])
def test_drivers_of_source_meters_find_the_same_thresholds(model: str):
    with bench.parse(RACK.format(model=model), Path("rack.toml")).open() as table:
        assert_vteam(halves(table.parts["meter"], step=20e-3, **VTEAM), 20e-3)


def test_a_loop_is_pinched_and_holds_the_limit_of_each_half():
    for voltage, current, limited in halves(EmulatedMemristor(VirtualClock()), cycles=1):
        assert np.all(current[voltage == 0] == 0)
        assert np.all(current * voltage >= 0)
        assert abs(voltage).max() == 1
        assert np.all(np.abs(current[limited]) == 100e-6)
        assert limited.any() == (voltage.max() > 0)


def test_a_slower_sweep_switches_at_a_lower_voltage():
    fast, slow = (
        switching(*halves(EmulatedMemristor(VirtualClock(), measuring=time), cycles=1)[0], 0.1).voltage
        for time in (1e-4, 1e-2)
    )
    assert slow < fast - 0.1


def test_a_device_at_its_limit_from_the_first_step_has_no_voltage_at_which_it_switches():
    voltage = np.array([0.0, 0.1, 0.2, 0.1, 0.0])
    found = switching(voltage, np.full(5, 1e-6), np.array([False, True, True, True, False]), 0.1)
    assert math.isnan(found.voltage)


def test_the_shipped_bench_shows_where_its_device_is_set_and_reset(tmp_path: Path):
    execute(iv_loop, bench.load("memristor"), {"cycles": 2, "step": 50e-3}, tmp_path / "loop.h5", progress=False)
    run = RunFile(tmp_path / "loop.h5")
    rows = dict(summary(run))
    assert re.fullmatch(r"at \d+ mV, from .* µS, mean of 2", rows["set"])
    assert re.fullmatch(r"at -\d+ mV, from .* mS, mean of 2", rows["reset"])
    assert float(rows["on/off ratio"]) > 100
    (panel,) = panels(run)
    assert panel.log_y
    assert [len(curve.x) for curve in panel.curves] == [82, 82]


def test_a_limit_beyond_that_of_the_bench_is_refused_before_any_voltage():
    with bench.load("memristor").open() as table, pytest.raises(LimitError, match="current limit of 20 mA"):
        next(iv_loop(table.parts["meter"], limit_above=20e-3))
