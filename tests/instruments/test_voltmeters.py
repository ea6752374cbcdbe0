from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.visa import InstrumentError
from labneuro.instruments.voltmeters import Keithley2182A


@pytest.fixture
def voltmeter(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> tuple[Any, Any]:
    """A voltmeter and the mock that it talks to."""
    mock = mock_of("KEITHLEY INSTRUMENTS INC.,MODEL 2182A,1000000,C02")
    return connected(Keithley2182A, mock, channel=2, nplc=1.0), mock


def test_a_voltage_is_one_reading_of_the_channel(voltmeter: tuple[Any, Any]) -> None:
    meter, mock = voltmeter
    mock.answers[":READ?"] = "-1.23456789E-06"
    assert meter.voltage == -1.23456789e-6
    assert (mock.held[":SENS:CHAN"], mock.held[":SENS:VOLT:CHAN2:RANG:AUTO"], mock.held[":INIT:CONT"]) == (
        "2",
        "1",
        "0",
    )


def test_what_went_wrong_while_measuring_is_no_voltage(voltmeter: tuple[Any, Any]) -> None:
    meter, mock = voltmeter
    mock.answers[":READ?"] = "-1.23456789E-06"
    mock.errors.append('+500,"Saved calibration constants corrupted"')
    with pytest.raises(InstrumentError, match=r"says to ':READ\?': \+500"):
        _ = meter.voltage
    assert meter.voltage == -1.23456789e-6
    mock.held["*ESR"] = "128"
    with pytest.raises(InstrumentError, match="was switched off and on"):
        _ = meter.voltage


def test_an_overflow_is_no_voltage(voltmeter: tuple[Any, Any]) -> None:
    meter, mock = voltmeter
    mock.answers[":READ?"] = "+9.9E37"
    with pytest.raises(InstrumentError, match="no reading"):
        _ = meter.voltage


def test_a_setting_that_someone_has_changed_is_noticed(voltmeter: tuple[Any, Any]) -> None:
    meter, mock = voltmeter
    mock.answers[":READ?"] = "-1.23456789E-06"
    mock.held |= {":SENS:CHAN": "1", ":SENS:VOLT:NPLC": "5"}
    with pytest.raises(InstrumentError, match=r"was set to channel and periods \[2.0, 1.0\] and is at \[1.0, 5.0\]"):
        _ = meter.voltage
