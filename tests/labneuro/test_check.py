"""A bench is checked by asking, and by nothing else."""

from pathlib import Path
from typing import Any

import pytest
import pyvisa

from labneuro.bench import BenchFile, load, parse
from labneuro.check import Checked, check
from labneuro.clock import VirtualClock
from labneuro.values import pack

GPIB = {"bias1": "GPIB0::1::INSTR", "bias3": "GPIB0::12::INSTR", "bias4": "GPIB0::24::INSTR"}
RF_A = "TCPIP0::192.168.0.11::hislip0::INSTR"


class Laboratory:
    """A laboratory whose instruments stay on while benches come and go."""

    def __init__(self) -> None:
        shipped = load("rack")
        assert shipped.rack is not None
        self.rack: Any = shipped.rack.build(VirtualClock())
        text = shipped.text.partition("# What the rack holds")[0]
        text = text.replace('clock = "virtual"', "").replace('::INSTR"', f'::INSTR", visa_library = "{self.library}"')
        self.bench: BenchFile = parse(text, Path("lab.toml"))

    @property
    def library(self) -> str:
        return self.rack.visa_library

    def say(self, resource: str, message: str) -> None:
        pyvisa.ResourceManager(self.library).open_resource(resource).write(message)

    def check(self) -> dict[str, Checked]:
        found = list(check(self.bench))
        assert [checked.part for checked in found] == [*list(self.bench.parts)[1:], "chip"]
        return {checked.part: checked for checked in found}

    @property
    def state(self) -> bytes:
        return pack(self.rack.snapshot())


@pytest.fixture
def lab() -> Laboratory:
    return Laboratory()


def test_each_part_says_who_it_is_what_it_puts_out_and_what_protects_the_device(lab: Laboratory):
    found = lab.check()
    assert not any(checked.trouble or checked.errors for checked in found.values())
    bias, rf, analyzer, chip = (found[name] for name in ("bias1", "rf_b", "analyzer", "chip"))
    assert (bias.driver, bias.identity, bias.output) == (
        "yokogawa-gs200",
        "YOKOGAWA,GS210,91T926460,2.02",
        "current 0 A",
    )
    assert bias.own_limit == "compliance 30 V, limit 1 V: set to that when a run opens the bench"
    assert rf.own_limit.startswith("power limit 30 dBm, limit 6 dBm: set")
    assert found["rf_a"].own_limit == "no power limit of its own"
    assert (analyzer.output, analyzer.own_limit) == ("has none", "")
    assert chip.identity == "a rig of bias1, bias2, bias3, bias4, rf_a, rf_b, analyzer"
    assert chip.output == "currents 0 A, 0 A, 0 A, 0 A"


def test_an_own_limit_that_holds_is_not_said_to_be_set(lab: Laboratory):
    lab.say(GPIB["bias1"], ":SOUR:PROT:VOLT 1")
    assert lab.check()["bias1"].own_limit == "compliance 1 V, limit 1 V"


def test_checking_changes_no_instrument_even_in_the_middle_of_an_experiment(lab: Laboratory):
    lab.say(GPIB["bias1"], ":SOUR:FUNC CURR;:SOUR:RANG 10E-3;:SOUR:PROT:VOLT 20;:OUTP 1;:SOUR:LEV 2E-3")
    lab.say(GPIB["bias3"], ":SOUR:CURR 1E-3")
    lab.say(GPIB["bias4"], ":SOUR:FUNC VOLT;:SOUR:VOLT 0.1;:OUTP 1")
    lab.say(RF_A, ":FREQ 350 MHZ;:POW 3;:OUTP 1;:AM:STAT 1")
    before = lab.state
    currents = lab.rack.devices["stno"].currents.tolist()
    assert currents[0] == 2e-3
    assert currents[3] > 0
    found = lab.check()
    assert lab.state == before
    assert lab.rack.devices["stno"].currents.tolist() == currents
    assert found["bias1"].trouble == "bench 'rack': bias1: not confirmed safe: current 2 mA: switch it off by hand"
    assert found["bias3"].output == "current 0 A"  # its output is off
    assert "FUNC" in found["bias4"].trouble
    assert "power 3 dBm: switch it off by hand" in found["rf_a"].trouble
    assert "switch it off by hand" in found["chip"].trouble


def test_what_stood_in_an_error_queue_is_told(lab: Laboratory):
    lab.say(GPIB["bias3"], ":FOO 1")
    lab.say(GPIB["bias3"], ":SOUR:CURR 9E9")
    found = lab.check()
    assert [error.split(",")[0] for error in found["bias3"].errors] == ["-113", "-222"]
    assert found["bias3"].trouble == ""
    assert lab.check()["bias3"].errors == ()


def test_an_instrument_that_is_missing_or_another_keeps_no_other_from_being_checked(lab: Laboratory):
    instruments = lab.rack.library.instruments
    instruments[GPIB["bias4"]] = instruments.pop(GPIB["bias3"])
    found = lab.check()
    assert found["bias3"].trouble.startswith("InstrumentError: GPIB0::12::INSTR: the connection: the line was lost")
    assert "is 'KEITHLEY INSTRUMENTS INC.,MODEL 6221" in found["bias4"].trouble
    assert found["bias4"].trouble.endswith("check the address, and which instrument has it")
    assert found["chip"].trouble == "not without bias3, bias4"
    assert [name for name, checked in found.items() if checked.trouble] == ["bias3", "bias4", "chip"]


def test_the_rack_of_a_bench_is_switched_on_for_the_check_and_off_again():
    shipped = load("rack")
    found = list(check(shipped))
    assert len(found) == 8
    assert not any(checked.trouble for checked in found)
