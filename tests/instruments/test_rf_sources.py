import math
from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.rf_sources import (
    KeysightE8257D,
    KeysightN5183B,
    RohdeSchwarzSGS100A,
    RohdeSchwarzSMB100A,
    to_dbm,
    to_watts,
)
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError

IDENTITIES = {
    KeysightE8257D: "Agilent Technologies, E8257D, MY10000000, C.06.26",
    KeysightN5183B: "Agilent Technologies, N5183B, MY10000000, B.01.80",
    RohdeSchwarzSMB100A: "Rohde&Schwarz,SMB100A,1406.6000k03/100000,3.1.19.15",
    RohdeSchwarzSGS100A: "Rohde&Schwarz,SGS100A,1416.0505k02/100000,3.1.19.0",
}
ALL = list(IDENTITIES)


@pytest.fixture
def generator_of(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that connects a driver to a mock of 1 MHz to 20 GHz and -20 to 15 dBm, and returns both."""

    def connect(driver: Any) -> tuple[Any, Any]:
        mock = mock_of(IDENTITIES[driver])
        mock.answers |= {":FREQ? MIN": "1E6", ":FREQ? MAX": "2.0E+010", ":POW? MIN": "-20", ":POW? MAX": "+15"}
        return connected(driver, mock), mock

    return connect


def displayed(driver: Any) -> list[str]:
    """What makes a generator put out what it shows, sent with each tone: someone may have changed it by hand."""
    return [unit for unit in driver.PREPARATION if unit.endswith((":MULT 1", ":OFFS 0"))]


@pytest.mark.parametrize("driver", ALL)
def test_an_output_goes_on_last_without_modulation_sweep_or_offset(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(6.1234567e9, 1e-3)
    tone = [*displayed(driver), ":FREQ 6123456700.000", ":POW 0.00"]
    assert mock.sent == [":OUTP 0", *driver.PREPARATION, *tone, *tone, ":OUTP 1"]
    assert any("POW:OFFS 0" in unit for unit in driver.PREPARATION)
    assert generator.frequency == 6.1234567e9
    assert generator.power == pytest.approx(1e-3, rel=1e-12)


@pytest.mark.parametrize(("options", "modulates"), [("SGS-B106", False), ("SGS-B106V,SGS-K22", True)])
def test_only_a_vector_generator_is_told_to_modulate_nothing(generator_of: Any, options: str, modulates: bool) -> None:
    generator, mock = generator_of(RohdeSchwarzSGS100A)
    mock.answers["*OPT?"] = options
    generator.set_tone(1e9, 1e-3)
    assert (":SOUR:IQ:STAT 0" in mock.sent) == modulates


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_others_left_on_goes_off_before_it_is_set(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    mock.held[":OUTP"] = "1"
    generator.set_tone(1e9, 1e-3)
    assert mock.sent[0] == ":OUTP 0"
    mock.sent.clear()
    generator.set_tone(2e9, 1e-4)
    assert mock.sent == [*displayed(driver), ":FREQ 2000000000.000", ":POW -10.00"]


@pytest.mark.parametrize("driver", ALL)
def test_a_tone_that_is_refused_is_not_switched_on(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    mock.refused[":POW"] = '-222,"Data out of range"'
    with pytest.raises(InstrumentError, match=r"says to '.*:FREQ .*;:POW 0.00': -222"):
        generator.set_tone(1e9, 1e-3)
    assert ":OUTP 1" not in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_a_tone_goes_out_as_asked_even_if_it_is_lost_just_before(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)

    def lose(message: str) -> None:
        if ":OUTP 1" in message:
            mock.held |= {":FREQ": "20E9", ":POW": "-135"}

    mock.hook = lose
    generator.set_tone(1e9, 1e-3)
    assert mock.held[":OUTP"] == "1"
    assert (generator.frequency, generator.power) == (1e9, pytest.approx(1e-3))


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_was_switched_off_and_on_is_noticed_and_set_up_anew(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(1e9, 1e-3)
    mock.held[":OUTP"] = "0"
    with pytest.raises(InstrumentError, match=r"reads back .* output off: make it safe"):
        generator.set_tone(2e9, 1e-3)
    mock.sent.clear()
    generator.set_tone(2e9, 1e-3)
    tone = [*displayed(driver), ":FREQ 2000000000.000", ":POW 0.00"]
    assert mock.sent == [":OUTP 0", *driver.PREPARATION, *tone, *tone, ":OUTP 1"]


@pytest.mark.parametrize("driver", ALL)
def test_no_power_is_off(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(1e9, 1e-3)
    generator.set_tone(0.0, 0.0)
    assert mock.sent[-1] == ":OUTP 0"
    assert generator.power == 0


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_stays_on_is_said(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(1e9, 1e-3)
    mock.stuck.add(":OUTP")
    with pytest.raises(InstrumentError, match="reads back on: switch it off by hand"):
        generator.make_safe()
    for power in (0.0, 1e-3):  # with which it would be set up anew
        with pytest.raises(InstrumentError, match="reads back on: switch it off by hand"):
            generator.set_tone(1e9, power)


@pytest.mark.parametrize("driver", ALL)
def test_a_tone_of_an_output_that_is_on_is_set_and_read_back_in_one_message(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(1e9, 1e-3)
    messages: list[str] = []
    mock.hook = messages.append
    generator.set_tone(2e9, 1e-4)
    assert len(messages) == 1
    mock.refused[":POW"] = '-222,"Data out of range"'
    with pytest.raises(InstrumentError, match=r"says to '.*:FREQ 3000000000.000;:POW 0.00': -222"):
        generator.set_tone(3e9, 1e-3)


@pytest.mark.parametrize("driver", ALL)
def test_a_generator_that_was_switched_off_and_on_puts_nothing_out_again(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_tone(1e9, 1e-3)
    mock.held = {"*ESR": "128"}
    mock.sent.clear()
    for _ in range(2):
        with pytest.raises(InstrumentError, match="was switched off and on and has lost its settings: open the bench"):
            generator.set_tone(1e9, 1e-3)
    assert ":OUTP 1" not in mock.sent
    generator.make_safe()


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize(
    ("frequency", "power"),
    [
        (1e9, math.nan),
        (1e9, math.inf),
        (1e9, -1e-3),
        (math.nan, 1e-3),
        (math.inf, 1e-3),
        (-1e9, 1e-3),
        (0.0, 1e-3),
        (20.1e9, 1e-3),
        (1e9, 32e-3),
        (1e9, 1e-6),
    ],
)
def test_what_a_generator_does_not_have_is_refused(
    generator_of: Any, driver: Any, frequency: float, power: float
) -> None:
    generator, mock = generator_of(driver)
    with pytest.raises(LimitError, match=f"{driver.__name__} asked for"):
        generator.set_tone(frequency, power)
    assert not {unit.split()[0] for unit in mock.sent} & {":FREQ", ":POW"}
    assert ":OUTP 1" not in mock.sent


@pytest.mark.parametrize("stuck", [":FREQ", ":POW"])
def test_a_tone_that_reads_back_otherwise_is_an_error(generator_of: Any, stuck: str) -> None:
    generator, mock = generator_of(KeysightE8257D)
    generator.set_tone(1e9, 1e-3)
    mock.stuck.add(stuck)
    with pytest.raises(InstrumentError, match=r"was set to 2000000000.000 Hz at -10.00 dBm and reads back"):
        generator.set_tone(2e9, 1e-4)


@pytest.mark.parametrize("driver", [RohdeSchwarzSMB100A, RohdeSchwarzSGS100A])
def test_a_generator_with_a_limit_of_its_own_is_given_it(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.set_power_limit(2e-3)
    assert mock.sent == [":SOUR:POW:LIM:AMPL 3.01"]
    assert generator.power_limit == to_watts(3.01)
    with pytest.raises(LimitError, match="asked for a limit of nan W"):
        generator.set_power_limit(math.nan)


@pytest.mark.parametrize("driver", [KeysightE8257D, KeysightN5183B])
def test_a_generator_without_a_limit_of_its_own_says_so(generator_of: Any, driver: Any) -> None:
    generator, _ = generator_of(driver)
    assert generator.power_limit == math.inf


def test_rounding_to_a_step_of_level_never_passes_a_limit() -> None:
    for millidecibels in range(-20_000, 15_000, 3):
        exact = 1e-3 * 10 ** (millidecibels / 10_000)
        assert exact * 10 ** (-0.01 / 10) < to_watts(to_dbm(exact)) <= exact * (1 + 1e-6)
    for step in range(-2000, 1500):
        assert to_dbm(1e-3 * 10 ** (step / 1000)) == pytest.approx(step / 100, abs=1e-9)
