import math
from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.current_sources import (
    DirectCurrentSource,
    Keithley2400,
    Keithley2450,
    Keithley6221,
    YokogawaGS200,
)
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError

IDENTITIES = {
    YokogawaGS200: "YOKOGAWA,GS210,91A000000,2.02",
    Keithley6221: "KEITHLEY INSTRUMENTS INC.,MODEL 6221,1000000,D03",
    Keithley2400: "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1000000,C30",
    Keithley2450: "KEITHLEY INSTRUMENTS,MODEL 2450,04000000,1.6.4d",
}
ALL = list(IDENTITIES)
RANGE = 10e-3
RANGES = {Keithley6221: 20e-3}


@pytest.fixture
def source_of(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that connects a driver to a mock of its instrument, and returns both."""

    def connect(driver: type[DirectCurrentSource], **settings: Any) -> tuple[Any, Any]:
        mock = mock_of(IDENTITIES[driver])
        settings.setdefault("source_range", RANGES.get(driver, RANGE))
        return connected(driver, mock, **settings), mock

    return connect


def on(source: Any, mock: Any, level: float = 1e-3) -> None:
    """Switch a source on and forget what was sent for it."""
    source.set_current(level)
    mock.sent.clear()


# --- What is sent


@pytest.mark.parametrize("driver", ALL)
def test_connecting_changes_nothing(source_of: Any, driver: Any) -> None:
    _, mock = source_of(driver)
    assert mock.sent == []


PREPARATIONS = {
    YokogawaGS200: [":SOUR:FUNC CURR", ":SOUR:RANG 1.000000000E-02"],
    Keithley6221: [":SOUR:CURR:RANG:AUTO 0", ":SOUR:CURR:RANG 2.000000000E-02"],
    Keithley2400: [
        ":SOUR:FUNC CURR",
        ":SOUR:CURR:RANG:AUTO 0",
        ":SOUR:CURR:MODE FIX",
        ":SOUR:CLE:AUTO 0",
        ":SOUR:CURR:RANG 1.000000000E-02",
    ],
    Keithley2450: [":SOUR:FUNC CURR", ":SOUR:CURR:RANG:AUTO 0", ":SOUR:CURR:RANG 1.000000000E-02"],
}


@pytest.mark.parametrize("driver", ALL)
def test_an_output_is_switched_on_at_zero_and_on_its_range(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    source.set_current(1e-3)
    level = ":SOUR:LEV" if driver is YokogawaGS200 else ":SOUR:CURR"
    zero = f"{level} 0"
    off = [":OUTP 0", zero, *PREPARATIONS[driver], zero]
    assert mock.sent == [*off, zero, ":OUTP 1", f"{level} 1.000000000E-03"]
    assert source.current == 1e-3


@pytest.mark.parametrize("driver", ALL)
def test_no_range_changes_while_the_output_is_on(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    for level in (10e-3, -1e-9, 0.0, -10e-3):
        source.set_current(level)
    assert [unit.split()[0] for unit in mock.sent] == [source.LEVEL_COMMAND] * 4


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("level", [123.456789e-9, -1.23456789e-12, 1e-15])
def test_a_small_current_is_sent_with_all_its_digits(source_of: Any, driver: Any, level: float) -> None:
    source, mock = source_of(driver, source_range=200e-6 if driver is Keithley6221 else 1e-3)
    on(source, mock, 0.0)
    source.set_current(level)
    assert float(mock.sent[-1].split()[1]) == pytest.approx(level, rel=1e-9)


# --- What is refused


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("level", [0.0201, -0.0201, math.nan, math.inf, -math.inf])
def test_a_current_beyond_the_range_is_refused_before_anything_is_sent(
    source_of: Any, driver: Any, level: float
) -> None:
    source, mock = source_of(driver)
    mock.hook = lambda message: pytest.fail(f"sent {message}")
    with pytest.raises(LimitError, match=f"{driver.__name__} asked for .*, range [12]0 mA: give a larger source_range"):
        source.set_current(level)


def test_a_range_that_a_source_does_not_have_is_refused_before_it_is_connected(source_of: Any) -> None:
    with pytest.raises(LimitError, match="YokogawaGS200 has no range of 5 mA: give one of 1 mA, 10 mA, 100 mA, 200 mA"):
        source_of(YokogawaGS200, source_range=5e-3)


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("voltage", [0.0, -1.0, 1e-6, 211.0, math.nan, math.inf])
def test_a_compliance_that_a_source_does_not_have_is_refused_before_anything_is_sent(
    source_of: Any, driver: Any, voltage: float
) -> None:
    source, mock = source_of(driver)
    mock.hook = lambda message: pytest.fail(f"sent {message}")
    with pytest.raises(LimitError, match=f"{driver.__name__} asked to limit to"):
        source.set_compliance(voltage)


# --- What is read back


@pytest.mark.parametrize("driver", ALL)
def test_a_compliance_is_read_back_and_compared(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    source.set_compliance(2.0)
    assert mock.sent == [f"{source.PROTECTION_COMMAND} 2.000000000E+00"]
    assert source.compliance == 2.0
    mock.answers[f"{source.PROTECTION_COMMAND}?"] = "21"
    with pytest.raises(InstrumentError, match="was limited to 2 V and reads back 21 V"):
        source.set_compliance(2.0)


@pytest.mark.parametrize("driver", ALL)
def test_a_compliance_that_someone_has_changed_is_said_before_a_current_that_is_asked_for(
    source_of: Any, driver: Any
) -> None:
    source, mock = source_of(driver)
    source.set_compliance(2.0)
    mock.held[source.PROTECTION_COMMAND] = "21"
    said = "was limited to 2 V and reads back 21 V"
    with pytest.raises(InstrumentError, match=said):
        source.set_current(1e-3)
    assert ":OUTP 1" not in mock.sent
    source.set_compliance(2.0)
    on(source, mock)
    mock.held[source.PROTECTION_COMMAND] = "21"
    with pytest.raises(InstrumentError, match=said):
        _ = source.compliance  # for which a bench asks before each current
    for _ in range(2):
        with pytest.raises(InstrumentError, match=said):
            source.set_current(2e-3)
    assert len(mock.sent) == 1  # without a bench the first goes out, the second not
    source.set_compliance(2.0)
    source.set_current(2e-3)


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize(("setting", "value"), [("RANGE_COMMAND", "1"), ("PROTECTION_COMMAND", "21")])
def test_settings_that_are_lost_as_the_output_goes_on_are_seen_before_the_current_is_set(
    source_of: Any, driver: Any, setting: str, value: str
) -> None:
    source, mock = source_of(driver)
    source.set_compliance(2.0)

    def lose(message: str) -> None:
        if ":OUTP 1" in message:
            mock.held[getattr(source, setting)] = value

    mock.hook = lose
    with pytest.raises(InstrumentError, match=r"is on range|was limited to"):
        source.set_current(1e-3)
    assert mock.sent[-1] == ":OUTP 1"


@pytest.mark.parametrize("driver", ALL)
def test_no_output_is_switched_on_on_another_range(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    mock.held[source.RANGE_COMMAND] = "0.1"
    mock.stuck.add(source.RANGE_COMMAND)
    with pytest.raises(InstrumentError, match=r"is on range 100 mA, not [12]0 mA: make it safe first"):
        source.set_current(1e-3)
    assert ":OUTP 1" not in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_no_output_is_switched_on_with_a_level_that_is_not_zero(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    mock.held[source.LEVEL_COMMAND] = "5e-3"
    mock.stuck.add(source.LEVEL_COMMAND)
    with pytest.raises(InstrumentError, match="was set to 0 A and reads back 5 mA"):
        source.set_current(1e-3)
    assert ":OUTP 1" not in mock.sent


@pytest.mark.parametrize("driver", ALL)
def test_a_range_that_someone_has_changed_is_said_with_the_compliance_and_with_the_next_current(
    source_of: Any, driver: Any
) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    mock.held[source.RANGE_COMMAND] = "0.1"
    with pytest.raises(InstrumentError, match="is on range 100 mA"):
        _ = source.compliance  # for which a bench asks before each current
    assert mock.sent == []
    with pytest.raises(InstrumentError, match="is on range 100 mA"):
        source.set_current(2e-3)
    mock.sent.clear()
    with pytest.raises(InstrumentError, match="is on range 100 mA"):
        source.set_current(2e-3)
    assert mock.sent == []


@pytest.mark.parametrize("driver", [YokogawaGS200, Keithley2400, Keithley2450])
def test_an_output_that_is_on_as_a_voltage_source_is_given_no_level(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    mock.held |= {":OUTP": "1", ":SOUR:FUNC": "VOLT"}
    with pytest.raises(InstrumentError, match="was set to ':SOUR:FUNC CURR' and reads back VOLT"):
        source.set_current(2e-3)
    assert mock.sent == []
    with pytest.raises(InstrumentError, match="reads back VOLT"):
        _ = source.current
    source.make_safe()
    assert source.current == 0


@pytest.mark.parametrize("driver", ALL)
def test_a_level_that_reads_back_otherwise_is_an_error(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    mock.stuck.add(source.LEVEL_COMMAND)
    with pytest.raises(InstrumentError, match="was set to 2 mA and reads back 1 mA: make it safe"):
        source.set_current(2e-3)


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_does_not_go_on_is_an_error(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    mock.stuck.add(":OUTP")
    with pytest.raises(InstrumentError, match="was switched on and reads back off"):
        source.set_current(1e-3)
    assert source.current == 0


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_someone_has_switched_off_is_not_switched_on_without_a_word(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    mock.held[":OUTP"] = "0"
    with pytest.raises(InstrumentError, match="was switched on and reads back off: look for an interlock"):
        source.set_current(2e-3)
    assert ":OUTP 1" not in mock.sent
    source.set_current(2e-3)
    assert mock.sent[-2:] == [":OUTP 1", f"{source.LEVEL_COMMAND} 2.000000000E-03"]


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_source_that_was_switched_off_and_on_is_given_no_current_again(
    source_of: Any, driver: Any, asks_first: bool
) -> None:
    source, mock = source_of(driver)
    source.set_compliance(2.0)
    on(source, mock)
    mock.held = {"*ESR": "128", source.PROTECTION_COMMAND: "21"}
    if asks_first:
        assert source.current == 0
        mock.held["*ESR"] = "0"  # it is told once
    for _ in range(2):
        with pytest.raises(InstrumentError, match="was switched off and on and has lost its settings: open the bench"):
            source.set_current(2e-3)
    assert ":OUTP 1" not in mock.sent
    for verb in (lambda: source.compliance, lambda: source.set_compliance(2.0)):
        with pytest.raises(InstrumentError, match="was switched off and on"):
            verb()
    source.make_safe()


IN_COMPLIANCE = {
    YokogawaGS200: ("1024", "2048"),
    Keithley6221: ("8",),
    Keithley2400: ("1",),
    Keithley2450: ("1",),
}


@pytest.mark.parametrize(("driver", "answer"), [(d, answer) for d in ALL for answer in IN_COMPLIANCE[d]])
def test_a_current_that_does_not_flow_is_an_error_unless_it_is_on_its_way_down(
    source_of: Any, driver: Any, answer: str
) -> None:
    source, mock = source_of(driver)
    source.set_compliance(2.0)
    on(source, mock)
    mock.held[source.LIMITED[0]] = answer
    for level in (3e-3, 3e-3, -3e-3):
        with pytest.raises(InstrumentError, match=r"was set to -?3 mA and is in compliance at 2 V: bring the current"):
            source.set_current(level)
    source.set_current(-2e-3)
    mock.held[source.LIMITED[0]] = "0"
    source.set_current(3e-3)


@pytest.mark.parametrize("driver", ALL)
def test_a_current_is_set_and_read_back_in_one_message(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    messages: list[str] = []
    mock.hook = messages.append
    source.set_current(2e-3)
    assert len(messages) == 1
    mock.refused[source.LEVEL_COMMAND] = '-222,"Data out of range;too big"'
    with pytest.raises(InstrumentError, match=r"says to ':SOUR:.* 3.0+E-03': -222,\"Data out of range;too big\"$"):
        source.set_current(3e-3)


# --- Being safe


@pytest.mark.parametrize("driver", ALL)
def test_being_safe_is_zero_and_off(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    source.make_safe()
    fixed = [setting for setting in source.MODE if setting.endswith("AUTO 0")]
    assert mock.sent[: len(fixed) + 1] == [*fixed, f"{source.LEVEL_COMMAND} 0"]
    assert mock.sent[-1] == ":OUTP 0"
    assert source.current == 0


@pytest.mark.parametrize("driver", ALL)
def test_an_output_is_switched_off_even_if_its_level_can_not_be_set(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    mock.refused[source.LEVEL_COMMAND] = '-221,"Settings conflict"'
    with pytest.raises(InstrumentError, match=f"{driver.__name__} at .*: was not switched off: .*-221"):
        source.make_safe()
    assert mock.held[":OUTP"] == "0"


@pytest.mark.parametrize("driver", ALL)
def test_an_output_that_stays_on_is_said(source_of: Any, driver: Any) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    mock.stuck.add(":OUTP")
    with pytest.raises(InstrumentError, match="was switched off and reads back on: switch it off by hand"):
        source.make_safe()


@pytest.mark.parametrize(("driver", "off_state"), [(Keithley2400, ":OUTP:SMOD"), (Keithley2450, ":OUTP:CURR:SMOD")])
def test_a_shorted_output_stays_shorted_until_a_current_is_set(source_of: Any, driver: Any, off_state: str) -> None:
    source, mock = source_of(driver)
    on(source, mock)
    source.short_output()
    source.make_safe()
    assert (mock.held[":OUTP"], mock.held[off_state]) == ("0", "ZERO")
    source.set_current(1e-3)
    source.make_safe()
    assert (mock.held[":OUTP"], mock.held[off_state]) == ("0", "HIMP")


@pytest.mark.parametrize("driver", [YokogawaGS200, Keithley6221])
def test_a_source_that_can_not_short_its_output_says_so(source_of: Any, driver: Any) -> None:
    source, _ = source_of(driver)
    with pytest.raises(NotImplementedError, match="can't short its output"):
        source.short_output()
