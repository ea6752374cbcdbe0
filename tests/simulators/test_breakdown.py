"""A junction breaks down once, says so, and stays so."""

import logging

import numpy as np
import pytest

from labneuro.simulators.breakdown import BROKEN, OVERSHOOT, Junctions

RESISTANCE = np.array([40.0, 50.0])
BREAKDOWN = 0.5  # V: 12.5 mA through the first, 10 mA through the second


@pytest.fixture
def junctions() -> Junctions:
    return Junctions("chip", RESISTANCE, BREAKDOWN)


def test_a_junction_bears_a_voltage_below_its_breakdown_in_either_direction(junctions: Junctions):
    for current in (9.9e-3, -9.9e-3):
        junctions.carry(np.full(2, current), "flow through it")
    assert junctions.deaths == []
    assert junctions.resistance.tolist() == RESISTANCE.tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_junction_dies_at_its_breakdown_says_so_once_and_stays_dead(
    junctions: Junctions, caplog: pytest.LogCaptureFixture, sign: int
):
    with caplog.at_level(logging.ERROR):
        junctions.carry(sign * np.array([1e-3, 10e-3]), "flow through it")
    current = "10 mA" if sign > 0 else "-10 mA"
    says = f"chip: oscillator 2 is destroyed: {current}, 500 mV flow through it, it bears 500 mV"
    assert junctions.deaths == caplog.messages == [says]
    assert junctions.resistance.tolist() == [40.0, BROKEN]
    junctions.carry(np.zeros(2), "flow through it")
    junctions.carry(np.array([0.0, 1.0]), "flow through it")
    assert junctions.deaths == [says]
    assert junctions.broken.tolist() == [False, True]


def test_a_jump_passes_its_new_level_and_a_drift_does_not(junctions: Junctions):
    start, highest = np.array([2e-3, 0.0]), 12.4e-3
    junctions.change(start, np.array([highest, 0.0]), jumps=False)
    assert junctions.deaths == []
    peak = highest + OVERSHOOT * (highest - 2e-3)
    assert peak == pytest.approx(15e-3)
    junctions.change(start, np.array([highest, 0.0]), jumps=True)
    (says,) = junctions.deaths
    assert says == "chip: oscillator 1 is destroyed: 15 mA, 600 mV after a jump by 10.4 mA, it bears 500 mV"


def test_a_jump_down_passes_its_new_level_downwards(junctions: Junctions):
    junctions.change(np.array([12e-3, 9e-3]), np.zeros(2), jumps=True)  # to -3 mA
    assert junctions.deaths == []
    junctions.change(np.array([12e-3, 9e-3]), np.array([0.0, -9e-3]), jumps=True)  # to -13.5 mA
    assert [death.split(" is ")[0] for death in junctions.deaths] == ["chip: oscillator 2"]
