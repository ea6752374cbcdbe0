"""PyMeasure's own drivers, unmodified, on the rack: all that they expose is read and set, no header undefined."""

import warnings

import numpy as np
import pytest
from pyvisa.errors import VisaIOError

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.generators import E8257D, N5183B
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_2182a import Keithley2182A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B
from labneuro.simulators.rack.rohde_schwarz_analyzers import FSV, FSW
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

pytest.importorskip("pymeasure")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pymeasure.instruments import agilent, keithley, yokogawa
    from pymeasure.instruments.rohdeschwarz import fsseries

DRIVEN = [
    (yokogawa.YokogawaGS200, GS200),
    (keithley.Keithley6221, Keithley6221),
    (keithley.Keithley2400, Keithley2400),
    (keithley.Keithley2450, Keithley2450),
    (keithley.Keithley2182, Keithley2182A),
    (agilent.Agilent8257D, E8257D),
    (agilent.Agilent8257D, N5183B),
    (agilent.AgilentE4408B, E4408B),
    (fsseries.FSW, FSW),
    (fsseries.FSW, FSV),
]

THEIRS = {
    (Keithley6221, "standard_event_enabled"): "sends ESE? without its star",
    (Keithley6221, "delta_sense"): "needs delta to be armed",
    (Keithley6221, "delta_values"): "needs readings",
    (Keithley6221, "buffer_data"): "needs readings",
    (Keithley2400, "buffer_data"): "needs readings",
    (Keithley2182A, "buffer_data"): "needs readings",
    (Keithley2450, "buffer_data"): "asks in the SCPI of the 2400, which the native one has no parameters for",
    **{
        (Keithley2450, f"{statistic}_{quantity}"): "expects voltage, current and resistance of the 2400"
        for statistic in ("mean", "max", "min", "std")
        for quantity in ("voltage", "current", "resistance")
    },
}


def connect(driver, model):
    instrument = model(VirtualClock())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return driver("GPIB::7", visa_library=visa_library({"GPIB::7": instrument}), read_termination="\n"), instrument


def properties(driver) -> dict[str, property]:
    return {
        name: member
        for cls in driver.__mro__
        if cls.__module__.startswith("pymeasure.instruments") and cls.__name__ not in {"Instrument", "CommonBase"}
        for name, member in vars(cls).items()
        if isinstance(member, property) and not name.startswith("_")
    }


@pytest.mark.parametrize(("driver", "model"), DRIVEN)
@pytest.mark.filterwarnings("ignore")
def test_all_that_the_driver_exposes_is_read_and_set(driver, model):
    connected, instrument = connect(driver, model)
    instrument.handle(Session(), b":OUTP ON")
    instrument.status.clear()
    read = 0
    for name in properties(driver):
        if (model, name) in THEIRS:
            continue
        try:
            value = getattr(connected, name)
        except (LookupError, AttributeError):  # write only
            continue
        read += 1
        assert not instrument.status.errors, name
        try:
            setattr(connected, name, value)
        except (LookupError, AttributeError, ValueError, TypeError):  # read only, or what was read is no argument
            continue
        codes = {code for code, _ in instrument.status.errors}
        instrument.status.clear()
        assert codes <= {-222}, name  # PyMeasure rounds to six digits, beyond the end of some ranges
    assert read >= 4


def test_a_property_that_is_called_theirs_does_fail():
    for model, name in THEIRS:
        driver = next(driver for driver, driven in DRIVEN if driven is model)
        connected, _ = connect(driver, model)
        with pytest.raises((TypeError, VisaIOError), match=r"TMO|subscriptable"):
            getattr(connected, name)


def test_the_6221_sources_what_the_driver_asks():
    driver, instrument = connect(keithley.Keithley6221, Keithley6221)
    driver.reset()
    driver.source_auto_range = False
    driver.source_range = 10e-3
    driver.source_compliance = 2.5
    driver.source_current = 6.5e-3
    driver.enable_source()
    assert instrument.current == pytest.approx(6.5e-3)
    driver.shutdown()
    assert instrument.current == 0
    assert not driver.check_errors()


def test_the_2400_measures_its_device():
    driver, instrument = connect(keithley.Keithley2400, Keithley2400)
    instrument.resistance = lambda: 200.0
    driver.source_mode = "current"
    driver.compliance_voltage = 5
    driver.source_current = 5e-3
    driver.enable_source()
    assert driver.voltage == pytest.approx(1.0)
    assert not driver.check_errors()


def test_the_2400_fills_its_buffer_until_the_status_byte_says_so():
    driver, _ = connect(keithley.Keithley2400, Keithley2400)
    driver.enable_source()
    driver.config_buffer(points=20)
    driver.trigger_count = 20
    driver.start_buffer()
    assert driver.is_buffer_full()
    assert driver.buffer_data.size == 20
    assert not driver.check_errors()


def test_the_gs200_ramps_by_its_program():
    driver, instrument = connect(yokogawa.YokogawaGS200, GS200)
    driver.source_mode = "current"
    driver.source_range = 10e-3
    driver.source_enabled = True
    driver.trigger_ramp_to_level(8e-3, 0.5)
    instrument.clock.sleep(0.25)
    assert instrument.current == pytest.approx(4e-3)
    instrument.clock.sleep(0.25)
    assert driver.source_level == pytest.approx(8e-3)


def test_the_analyzers_show_the_line_at_their_input():
    def line(sweep):
        return -90 + 50 * np.exp(-(((sweep.frequency - 350e6) / 2e6) ** 2))

    for driver, model in ((agilent.AgilentE4408B, E4408B), (fsseries.FSW, FSW)):
        connected, instrument = connect(driver, model)
        instrument.input = line
        if model is E4408B:
            connected.start_frequency, connected.stop_frequency, connected.frequency_points = 300e6, 400e6, 1001
            frequency, trace = connected.frequencies, connected.trace(1)
        else:
            connected.freq_start, connected.freq_stop = 300e6, 400e6
            connected.single_sweep()
            frequency, trace = connected.read_trace(1)
        assert frequency[trace.argmax()] == pytest.approx(350e6)
        assert trace.max() == pytest.approx(-40)
        assert not instrument.status.errors


def test_the_generator_gives_the_tone_that_the_driver_asks():
    driver, instrument = connect(agilent.Agilent8257D, E8257D)
    driver.frequency = 5.5e9
    driver.power = -12.5
    driver.enable()
    driver.enable_modulation()
    assert instrument.tone == pytest.approx((5.5e9, -12.5))
    driver.shutdown()
    assert instrument.tone is None
    assert not instrument.status.errors
