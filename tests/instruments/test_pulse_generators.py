import math
from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.pulse_generators import Keysight33500B, Keysight33600A, Keysight81160A, rounded
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError
from labneuro.signals import Pulses

IDENTITIES = {
    Keysight33600A: "Agilent Technologies,33622A,MY10000000,A.02.01",
    Keysight33500B: "Agilent Technologies,33522B,MY10000000,2.09",
    Keysight81160A: "Agilent Technologies,81160A,MY10000000,1.0.3.0",
}
ALL = list(IDENTITIES)


@pytest.fixture
def generator_of(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that connects a driver to a mock and returns both."""

    def connect(driver: Any, **settings: Any) -> tuple[Any, Any]:
        mock = mock_of(IDENTITIES[driver])
        return connected(driver, mock, **settings), mock

    return connect


@pytest.mark.parametrize("driver", ALL)
def test_everything_is_set_with_the_output_off_and_one_trigger_comes_last(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver, channel=2)
    generator.set_amplitude_limit(2.0)
    mock.sent.clear()
    generator.fire(Pulses(1.2345, 2e-6, 5))
    assert (mock.sent[0], mock.sent[-2:]) == (":OUTP2 0", [":OUTP2 1", "*TRG"])
    assert not {":OUTP2 1", "*TRG"} & set(mock.sent[:-2])
    assert not [unit for unit in mock.sent if "1" in unit.split()[0]]  # nothing is done to the other channel
    held = {header.removeprefix(":SOUR2"): value for header, value in mock.held.items()}
    volts = ":VOLT" if f"{driver.VOLTAGE}".startswith(":SOUR") else ":VOLT2"
    assert float(held[f"{volts}:HIGH"]) == pytest.approx(1.234, abs=1.1e-3)
    assert (held[f"{volts}:LOW"], held[":OUTP2:POL"], held[f"{volts}:LIM:STAT"]) == ("0", "NORM", "1")
    assert mock.held[driver.COUNT.replace("{n}", "2")] == "5"


@pytest.mark.parametrize("driver", ALL)
def test_negative_pulses_are_inverted_ones_so_that_the_output_rests_at_zero(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.fire(Pulses(-0.5, 1e-6))
    volts = driver.VOLTAGE.replace("{n}", "1")
    assert float(mock.held[f"{volts}:LOW"]) == pytest.approx(-0.5, rel=1e-3)
    assert (mock.held[f"{volts}:HIGH"], mock.held[":OUTP1:POL"]) == ("0", "INV")


@pytest.mark.parametrize("driver", ALL)
def test_more_pulses_of_the_same_sign_leave_the_output_on_those_of_the_other_do_not(
    generator_of: Any, driver: Any
) -> None:
    generator, mock = generator_of(driver)
    generator.fire(Pulses(0.5, 1e-6))
    mock.sent.clear()
    generator.fire(Pulses(0.75, 3e-6, 2))
    headers = [driver.WIDTH, driver.PERIOD, driver.WIDTH, f"{driver.VOLTAGE}:HIGH", driver.COUNT, "*TRG"]
    assert [unit.split()[0] for unit in mock.sent] == [header.replace("{n}", "1") for header in headers]
    mock.sent.clear()
    generator.fire(Pulses(-0.75, 3e-6, 2))
    assert mock.sent[0] == ":OUTP1 0"
    assert mock.sent.index(":OUTP1:POL INV") < mock.sent.index(":OUTP1 1") < mock.sent.index("*TRG")


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize(
    "pulses",
    [
        Pulses(math.nan, 1e-6),
        Pulses(math.inf, 1e-6),
        Pulses(0.0, 1e-6),
        Pulses(1e-3, 1e-6),
        Pulses(10.1, 1e-6),
        Pulses(-10.1, 1e-6),
        Pulses(1.0, math.nan),
        Pulses(1.0, 0.0),
        Pulses(1.0, 15.9e-9),  # with the edges of 10 ns that it has if not told otherwise
        Pulses(1.0, 1.1e5),
        Pulses(1.0, 1e-6, 0),
        Pulses(1.0, 1e-6, 2**31),
        Pulses(1.0, 1e-6, 1.5),  # type: ignore[arg-type]
    ],
)
def test_what_a_generator_does_not_have_is_refused_before_anything_is_sent(
    generator_of: Any, driver: Any, pulses: Pulses
) -> None:
    generator, mock = generator_of(driver)
    messages: list[str] = []
    mock.hook = messages.append
    with pytest.raises(LimitError, match=rf"{driver.__name__} asked for .* pulses of .*: it has"):
        generator.fire(pulses)
    assert not messages


@pytest.mark.parametrize(
    ("driver", "edge", "narrowest"),
    [(Keysight33600A, 3.3e-9, 5.3e-9), (Keysight33500B, 8.4e-9, 16e-9), (Keysight81160A, 1e-9, 1.6e-9)],
)
def test_faster_edges_give_shorter_pulses(generator_of: Any, driver: Any, edge: float, narrowest: float) -> None:
    generator, mock = generator_of(driver, edge=edge)
    generator.fire(Pulses(1.0, narrowest))
    assert float(mock.held[driver.WIDTH.replace("{n}", "1")]) == pytest.approx(narrowest)
    with pytest.raises(LimitError, match="with edges of"):
        generator.fire(Pulses(1.0, narrowest - 0.1e-9))
    with pytest.raises(LimitError, match="asked for edges of 100 ps"):
        generator_of(driver, edge=1e-10)


STUCK = {  # what an instrument may hold instead of what it was told
    "{F}": "SIN",
    "{V}:HIGH": "1.1",
    "{V}:LOW": "-0.1",
    "{V}:UNIT": "VRMS",
    "{V}:LIM:HIGH": "5.0",
    "{V}:LIM:LOW": "-5.0",
    "{V}:LIM:STAT": "0",
    "{W}": "1.1E-6",
    "{P}": "1.9E-6",
    "{N}": "10001",
    "{E}": "2E-8",
    "{H}": "DCYC",
    ":OUTP1:LOAD": "50",
    ":OUTP1:POL": "INV",
    ":OUTP1": "0",
}


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("turning", [True, False])
@pytest.mark.parametrize("name", [*STUCK, "waiting"])
def test_no_pulse_is_released_unless_all_reads_back_as_it_was_set(
    generator_of: Any, driver: Any, turning: bool, name: str
) -> None:
    generator, mock = generator_of(driver)
    generator.set_amplitude_limit(2.0)
    if not turning:
        generator.fire(Pulses(0.9, 1e-6, 9))
    header, held = (next(iter(driver.WAITING)), "IMM") if name == "waiting" else (name, STUCK[name])
    for short, full in zip(
        "FVWPNEH",
        (driver.FUNCTION, driver.VOLTAGE, driver.WIDTH, driver.PERIOD, driver.COUNT, driver.EDGE, driver.HOLD),
        strict=True,
    ):
        header = header.replace(f"{{{short}}}", full)
    header = header.replace("{n}", "1")
    mock.stuck.add(header)
    mock.held[header] = held
    mock.sent.clear()
    with pytest.raises(InstrumentError, match=r"reads back .*: make it safe first"):
        generator.fire(Pulses(1.0, 1e-6, 10_000))
    assert "*TRG" not in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_a_request_takes_as_long_as_its_pulses_whatever_the_instrument_says(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    mock.answers["*OPC?"] = "1"
    generator.fire(Pulses(1.0, 1e-3))
    started = generator._clock.now()
    generator.fire(Pulses(1.0, 1e-3, 1000))
    assert generator._clock.now() - started == pytest.approx(2.0)


@pytest.mark.parametrize("driver", ALL)
def test_a_setting_that_is_refused_releases_nothing(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    mock.refused[f"{driver.VOLTAGE}:HIGH".replace("{n}", "1")] = '-221,"Settings conflict"'
    with pytest.raises(InstrumentError, match="-221"):
        generator.fire(Pulses(1.0, 1e-6))
    assert "*TRG" not in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_a_trigger_whose_answer_is_lost_is_not_sent_again_and_the_error_says_so(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.fire(Pulses(1.0, 1e-6))
    mock.sent.clear()

    def lose_answer(message: str) -> None:
        if message.startswith("*TRG"):
            mock.read_error = TimeoutError()

    mock.hook = lose_answer
    with pytest.raises(InstrumentError, match=r"none to 7 of the pulses were sent, and none is sent again: read"):
        generator.fire(Pulses(1.0, 1e-6, 7))
    assert mock.sent.count("*TRG") == 1
    mock.hook = lambda message: None
    mock.sent.clear()
    generator.fire(Pulses(1.0, 1e-6))
    assert mock.sent[0] == ":OUTP1 0"  # which ends what is left of the burst
    assert f"{driver.BURST}:STAT 0".replace("{n}", "1") in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_a_trigger_that_is_ignored_and_an_output_that_trips_are_said(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    mock.refused["*TRG"] = '-211,"Trigger ignored"'
    with pytest.raises(InstrumentError, match=r"says to '\*TRG': -211.*none to 3 of the pulses were sent"):
        generator.fire(Pulses(1.0, 1e-6, 3))
    mock.refused.clear()

    def trip(message: str) -> None:
        if message.startswith("*TRG"):
            mock.held[":OUTP1"] = "0"

    mock.hook = trip
    with pytest.raises(InstrumentError, match="has switched its output off"):
        generator.fire(Pulses(1.0, 1e-6, 3))


@pytest.mark.parametrize("driver", ALL)
def test_a_generator_that_was_switched_off_and_on_sends_nothing_again(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.fire(Pulses(1.0, 1e-6))
    mock.held = {"*ESR": "128"}
    mock.sent.clear()
    for _ in range(2):
        with pytest.raises(InstrumentError, match="was switched off and on and has lost its settings: open the bench"):
            generator.fire(Pulses(1.0, 1e-6))
    assert not {"*TRG", ":OUTP1 1"} & set(mock.sent)
    generator.make_safe()


@pytest.mark.parametrize("driver", ALL)
def test_the_limit_of_the_instrument_is_that_into_an_open_circuit(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    assert generator.amplitude_limit == math.inf
    generator.set_amplitude_limit(1.5)
    assert 1.4985 <= generator.amplitude_limit <= 1.5
    assert mock.held[":OUTP1"] == "0"
    mock.held[":OUTP1:LOAD"] = "50"  # someone tells it of another
    assert generator.amplitude_limit == pytest.approx(3.0, rel=1e-3)
    for limit in (math.nan, math.inf, 0.0, -1.0):
        with pytest.raises(LimitError, match="give a finite one from"):
            generator.set_amplitude_limit(limit)
    generator.set_amplitude_limit(100.0)
    assert generator.amplitude_limit == pytest.approx(10.0, rel=1e-3)


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_stays_on_is_said(generator_of: Any, driver: Any) -> None:
    generator, mock = generator_of(driver)
    generator.fire(Pulses(1.0, 1e-6))
    mock.stuck.add(":OUTP1")
    with pytest.raises(InstrumentError, match="reads back on: switch it off by hand"):
        generator.make_safe()


def test_rounding_never_passes_a_limit_and_costs_less_than_a_part_in_a_thousand() -> None:
    for thousandths in range(1, 20_000, 7):
        value = thousandths * 1.00037e-3
        assert value * (1 - 1e-3) - 1e-4 < rounded(value, 1e-4) <= value * (1 + 1e-9)
        assert rounded(-value, 1e-4) == -rounded(value, 1e-4)
    assert rounded(1.2e-8, 1e-10) == pytest.approx(1.2e-8, rel=1e-12)
