from collections.abc import Callable
from typing import Any

import pytest

from labneuro.instruments.source_meters import Keithley2400Meter, Keithley2450Meter
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError

IDENTITIES = {
    Keithley2400Meter: "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1000000,C30",
    Keithley2450Meter: "KEITHLEY INSTRUMENTS,MODEL 2450,04000000,1.6.4d",
}
BOTH = list(IDENTITIES)


@pytest.fixture
def meter_of(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that connects a driver to a mock of its instrument, and returns both."""

    def connect(driver: Any) -> tuple[Any, Any]:
        mock = mock_of(IDENTITIES[driver])
        return connected(driver, mock, source_range=2.0), mock

    return connect


@pytest.mark.parametrize("driver", BOTH)
def test_a_voltage_is_put_out_with_the_current_measured_on_the_range_of_its_limit(meter_of: Any, driver: Any) -> None:
    meter, mock = meter_of(driver)
    meter.set_current_limit(1e-7)
    meter.set_voltage(0.1)
    assert float(mock.held[meter.PROTECTION_COMMAND]) == meter.current_limit == 1e-7
    assert float(mock.held[":SENS:CURR:RANG"]) == 1e-7
    assert mock.sent[-2:] == [":OUTP 1", ":SOUR:VOLT 1.000000000E-01"]
    assert mock.sent.index(":SENS:FUNC 'CURR'") < mock.sent.index(":OUTP 1")
    mock.answers[":READ?"] = "+1.234567E-08"
    assert (meter.voltage, meter.measured_current) == (0.1, 1.234567e-8)


@pytest.mark.parametrize("driver", BOTH)
def test_nothing_is_measured_while_the_output_is_off(meter_of: Any, driver: Any) -> None:
    meter, mock = meter_of(driver)
    mock.answers[":READ?"] = "+1.234567E-08"
    with pytest.raises(InstrumentError, match="is off and measures nothing: use set_voltage first"):
        _ = meter.measured_current


@pytest.mark.parametrize("driver", BOTH)
def test_the_current_limit_is_no_current_of_the_device(meter_of: Any, driver: Any) -> None:
    meter, mock = meter_of(driver)
    meter.set_current_limit(1e-6)
    meter.set_voltage(0.1)
    mock.answers[":READ?"] = "+1.000000E-06"
    mock.held[meter.LIMITED[0]] = "1"
    with pytest.raises(InstrumentError, match="is at its current limit of 1 µA: lower the voltage of 100 mV, or raise"):
        _ = meter.measured_current
    assert meter.current_or_limit == 1e-6
    meter.set_voltage(0.2)  # which is no error: a device may be switched up to a current
    mock.held[meter.LIMITED[0]] = "0"
    mock.answers[":READ?"] = "+9.000000E-07"
    assert meter.measured_current == meter.current_or_limit == 9e-7


@pytest.mark.parametrize("driver", BOTH)
def test_a_meter_that_is_off_or_was_off_measures_nothing(meter_of: Any, driver: Any) -> None:
    meter, mock = meter_of(driver)
    mock.answers[":READ?"] = "+1.000000E-08"
    meter.set_current_limit(1e-6)
    meter.set_voltage(0.1)
    mock.held[":OUTP"] = "0"
    with pytest.raises(InstrumentError, match="reads back off"):
        _ = meter.measured_current
    meter.set_voltage(0.1)
    mock.held = {"*ESR": "128"}
    with pytest.raises(InstrumentError, match="was switched off and on and has lost its settings"):
        _ = meter.measured_current


@pytest.mark.parametrize("driver", BOTH)
@pytest.mark.parametrize("answer", ["+9.910000E+37", "+9.9E37", "OVERFLOW", "+1.0E-3,+2.0E-3"])
def test_an_overflow_is_no_current(meter_of: Any, driver: Any, answer: str) -> None:
    meter, mock = meter_of(driver)
    meter.set_current_limit(1e-3)
    meter.set_voltage(0.1)
    mock.answers[":READ?"] = answer
    with pytest.raises(InstrumentError, match=r"no number|no reading|2 values, not 1"):
        _ = meter.measured_current


@pytest.mark.parametrize("driver", BOTH)
@pytest.mark.parametrize("voltage", [2.1, -2.1, float("nan"), float("inf")])
def test_a_voltage_beyond_the_range_is_refused_before_anything_is_sent(
    meter_of: Any, driver: Any, voltage: float
) -> None:
    meter, mock = meter_of(driver)
    mock.hook = lambda message: pytest.fail(f"sent {message}")
    with pytest.raises(LimitError, match="range 2 V: give a larger source_range"):
        meter.set_voltage(voltage)


@pytest.mark.parametrize("driver", BOTH)
def test_a_meter_is_safe_at_zero_volt_and_open(meter_of: Any, driver: Any) -> None:
    meter, mock = meter_of(driver)
    meter.set_current_limit(1e-3)
    meter.set_voltage(0.1)
    meter.make_safe()
    assert mock.sent[-3:] == [":SOUR:VOLT 0", f"{meter.OFF_STATE} HIMP", ":OUTP 0"]
    assert meter.voltage == 0
