"""QCoDeS's own drivers, unmodified, on the rack: all that they expose is read and set without an undefined header."""

import warnings

import numpy as np
import pytest

from labneuro.clock import VirtualClock, WallClock
from labneuro.simulators.rack.generators import E8257D, N5183B, SGS100A
from labneuro.simulators.rack.keithley_2400 import Keithley2400
from labneuro.simulators.rack.keithley_2450 import Keithley2450
from labneuro.simulators.rack.keysight_analyzers import N9030B
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.rack.yokogawa import GS200

pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("qcodes")
    from qcodes.instrument_drivers import Keithley, Keysight, agilent, rohde_schwarz, yokogawa

DRIVEN = [
    (yokogawa.YokogawaGS200, GS200),
    (agilent.AgilentE8257D, E8257D),
    (Keysight.KeysightN5183B, N5183B),
    (rohde_schwarz.RohdeSchwarzSGS100A, SGS100A),
    (Keysight.KeysightN9030B, N9030B),
    (Keithley.Keithley2400, Keithley2400),
    (Keithley.Keithley2450, Keithley2450),
]


@pytest.fixture
def connect():
    opened = []

    def connected(driver, model, clock=None):
        instrument = model(clock or VirtualClock())
        library = visa_library({"GPIB::7": instrument})
        opened.append(driver("rack", "GPIB::7", visalib=library))
        return opened[-1], instrument

    yield connected
    for driver in opened:
        driver.close()


def parameters(driver):
    yield from driver.parameters.values()
    for part in driver.submodules.values():
        yield from parameters(part)


@pytest.mark.parametrize(("driver", "model"), DRIVEN)
def test_all_that_the_driver_exposes_is_read_and_set(connect, driver, model):
    connected, instrument = connect(driver, model)
    assert not instrument.status.errors
    for parameter in parameters(connected):
        if parameter.name == "user_delay":  # asks for USERNone as long as no number was chosen
            continue
        try:
            value = parameter.get() if parameter.gettable else None
            if value is not None and parameter.settable:
                parameter.set(value)
        except (ValueError, TypeError, ZeroDivisionError, RuntimeError, yokogawa.YokogawaGS200Exception):
            pass  # the driver itself says no: another mode, or a value that it doesn't take back
        except Exception as unforeseen:
            raise AssertionError(parameter.full_name) from unforeseen
        assert {code for code, _ in instrument.status.errors} <= {-103}, parameter.full_name  # quotes in quotes
        instrument.status.clear()


def test_the_gs200_ramps_by_its_program_and_reports_the_end(connect):
    driver, instrument = connect(yokogawa.YokogawaGS200, GS200, WallClock())
    driver.source_mode("CURR")
    driver.current_range(10e-3)
    driver.on()
    driver.ramp_rate(20e-3)
    driver.ramp_current(2e-3, step=1e-4, delay=5e-3, ramp_mode="HARDWARE")
    assert instrument.current == pytest.approx(2e-3)


def test_the_2450_sweeps_its_device(connect):
    driver, instrument = connect(Keithley.Keithley2450, Keithley2450)
    instrument.resistance = lambda: 500.0
    driver.source.function("voltage")
    driver.sense.function("current")
    driver.source.limit(0.1)
    driver.source.sweep_setup(0, 1, 11)
    assert driver.sense.sweep() == pytest.approx(np.linspace(0, 1, 11) / 500)
    assert not instrument.status.errors


def test_the_n9030b_shows_the_line_at_its_input(connect):
    driver, instrument = connect(Keysight.KeysightN9030B, N9030B)
    instrument.input = lambda sweep: -90 + 50 * np.exp(-(((sweep.frequency - 350e6) / 2e6) ** 2))
    driver.sa.setup_swept_sa_sweep(300e6, 400e6, 1001)
    trace = driver.sa.trace()
    assert driver.sa.freq_axis()[trace.argmax()] == pytest.approx(350e6)
    assert trace.max() == pytest.approx(-40)
    assert not instrument.status.errors


def test_the_generators_give_the_tone_that_the_driver_asks(connect):
    driver, instrument = connect(rohde_schwarz.RohdeSchwarzSGS100A, SGS100A)
    driver.frequency(6.5e9)
    driver.power(-3)
    driver.on()
    assert instrument.tone == pytest.approx((6.5e9, -3))
