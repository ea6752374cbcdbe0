import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labneuro.instruments.spectrum_analyzers import (
    FOUR_POLES,
    GAUSSIAN,
    AgilentE4408B,
    KeysightXSeries,
    RohdeSchwarzFSW,
)
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError

IDENTITIES = {
    KeysightXSeries: "Keysight Technologies,N9030B,MY10000000,A.30.05",
    AgilentE4408B: "Hewlett-Packard, E4408B, US10000000, A.08.06",
    RohdeSchwarzFSW: "Rohde&Schwarz,FSW-26,1331.5003K26/100000,4.71",
}
ALL = list(IDENTITIES)
START, STOP, RBW, POINTS = 300e6, 310e6, 200e3, 101
LEVELS = -60 + np.sin(np.arange(POINTS))


def answer_with(mock: Any, levels: Any) -> None:
    """Let a mock answer with a trace, in the form of each make."""
    frequencies = np.linspace(START, STOP, len(levels))
    content = np.column_stack([frequencies, levels]).astype("<f8").tobytes()
    mock.answers |= {
        ":READ:SAN1?": b"#%d%d" % (len(str(len(content))), len(content)) + content + b"\n",
        ":INIT:IMM;*WAI;:TRAC:DATA? TRACE1": ",".join(f"{level:.9E}" for level in levels),
    }


@pytest.fixture
def analyzer_of(mock_of: Callable[..., Any], connected: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that connects a driver to a mock of its instrument, and returns both."""

    def connect(driver: Any) -> tuple[Any, Any]:
        mock = mock_of(IDENTITIES[driver])
        mock.held[":SENS:SWE:TIME"] = "1.0E-1"
        answer_with(mock, LEVELS)
        return connected(driver, mock), mock

    return connect


@pytest.mark.parametrize(
    ("driver", "noise_bandwidth"),
    [(KeysightXSeries, GAUSSIAN), (AgilentE4408B, FOUR_POLES), (RohdeSchwarzFSW, GAUSSIAN)],
)
def test_a_trace_is_power_over_the_noise_bandwidth_of_the_filter(
    analyzer_of: Any, driver: Any, noise_bandwidth: float
) -> None:
    analyzer, _ = analyzer_of(driver)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    spectrum = analyzer.trace()
    np.testing.assert_allclose(spectrum.density, 1e-3 * 10 ** (LEVELS / 10) / (noise_bandwidth * RBW), rtol=1e-8)
    np.testing.assert_array_equal(spectrum.frequency, np.linspace(START, STOP, POINTS))
    assert (spectrum.rbw, spectrum.averages) == (RBW, 1)


def test_the_noise_bandwidth_of_a_gaussian_is_its_area_over_its_width() -> None:
    detuning = np.linspace(-20, 20, 100_001)  # of a filter with a -3 dB bandwidth of 1
    assert np.trapezoid(np.exp(-math.log(2) * (2 * detuning) ** 2), detuning) == pytest.approx(GAUSSIAN, rel=1e-9)


@pytest.mark.parametrize("driver", [KeysightXSeries, RohdeSchwarzFSW])
def test_an_analyzer_that_can_average_power_does_so_itself(analyzer_of: Any, driver: Any) -> None:
    analyzer, mock = analyzer_of(driver)
    messages: list[str] = []
    mock.hook = messages.append
    for averages, kind in ((1000, "AVER"), (1, "WRIT")):
        analyzer.configure(START, STOP, rbw=RBW, averages=averages)
        assert (mock.held[driver.COUNT], mock.held[driver.TRACE]) == (str(averages), kind)
        assert mock.held[":SENS:AVER:TYPE"] in {"RMS", "POW"}
        messages.clear()
        assert analyzer.trace().averages == averages
        assert len(messages) == 2
    mock.stuck.add(driver.TRACE)
    with pytest.raises(InstrumentError, match=f"was set to '{driver.TRACE} AVER' and reads back WRIT"):
        analyzer.configure(START, STOP, rbw=RBW, averages=2)


def test_an_analyzer_waits_for_all_sweeps_that_it_averages(analyzer_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ALL:
        analyzer, _ = analyzer_of(driver)  # which sweeps for 0.1 s
        waited: list[float] = []
        monkeypatch.setattr(analyzer.adapter.connection, "set_timeout", waited.append)
        analyzer.configure(START, STOP, rbw=RBW, averages=100)
        analyzer.trace()
        assert max(waited) >= (0.1 if driver is AgilentE4408B else 10.0)


def test_traces_of_an_analyzer_that_averages_the_logarithm_are_averaged_here_in_power(analyzer_of: Any) -> None:
    analyzer, mock = analyzer_of(AgilentE4408B)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    once = analyzer.trace().density
    analyzer.configure(START, STOP, rbw=RBW, averages=2)
    sweeps = iter([0.0, 20.0])  # one a hundred times the other

    def next_sweep(message: str) -> None:
        if message.startswith(":INIT:IMM"):
            answer_with(mock, LEVELS + next(sweeps))

    mock.hook = next_sweep
    twice = analyzer.trace()
    np.testing.assert_allclose(twice.density, 50.5 * once, rtol=1e-8)
    assert twice.averages == 2
    assert mock.held[":SENS:AVER:STAT"] == "0"


@pytest.mark.parametrize("driver", ALL)
def test_the_video_filter_is_at_its_widest(analyzer_of: Any, driver: Any) -> None:
    analyzer, mock = analyzer_of(driver)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    assert mock.held[":SENS:BAND:VID"] == "MAX"


@pytest.mark.parametrize("driver", ALL)
def test_an_analyzer_that_shows_something_else_is_an_error(analyzer_of: Any, driver: Any) -> None:
    analyzer, mock = analyzer_of(driver)
    mock.held[":SENS:BAND:RES"] = "1E5"
    mock.stuck.add(":SENS:BAND:RES")
    with pytest.raises(InstrumentError, match=r"rbw=200000.0.* reads back .*rbw=100000.0.*: ask for what it has"):
        analyzer.configure(START, STOP, rbw=RBW, averages=1)
    with pytest.raises(InstrumentError, match="use configure first"):
        analyzer.trace()


@pytest.mark.parametrize("driver", ALL)
def test_a_setting_that_someone_has_changed_is_noticed(analyzer_of: Any, driver: Any) -> None:
    analyzer, mock = analyzer_of(driver)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    mock.held[":SENS:FREQ:STOP"] = "3.2E8"
    with pytest.raises(InstrumentError, match=r"FREQ:STOP\?'.* 310000000.000 and now with 3.2E8: use configure"):
        analyzer.trace()
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    detector = next(setting for setting in driver.MODE if ":DET" in setting).split()[0]
    mock.held[detector] = "POS"
    with pytest.raises(InstrumentError, match=f"{detector}.* and now with POS: use configure again"):
        analyzer.trace()
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    mock.held["*ESR"] = "128"
    with pytest.raises(InstrumentError, match="was switched off and on"):
        analyzer.trace()


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize("bad", ["short", "overflow"])
def test_a_trace_that_is_not_all_there_is_none(analyzer_of: Any, driver: Any, bad: str) -> None:
    analyzer, mock = analyzer_of(driver)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    answer_with(mock, LEVELS[:-1] if bad == "short" else np.append(LEVELS[:-1], 9.91e37))
    with pytest.raises(InstrumentError, match=r"gave 10[01] values, not 101 finite ones: sweep again"):
        analyzer.trace()


@pytest.mark.parametrize("driver", ALL)
def test_an_overload_during_a_sweep_is_an_error(analyzer_of: Any, driver: Any) -> None:
    analyzer, mock = analyzer_of(driver)
    analyzer.configure(START, STOP, rbw=RBW, averages=1)
    mock.errors.append('+780,"IF Overload"')
    with pytest.raises(InstrumentError, match=r"says to ':(READ|INIT).*: \+780"):
        analyzer.trace()


@pytest.mark.parametrize("driver", ALL)
@pytest.mark.parametrize(
    ("start", "stop", "rbw", "averages"),
    [
        (STOP, START, RBW, 1),
        (START, math.nan, RBW, 1),
        (START, math.inf, RBW, 1),
        (-1.0, STOP, RBW, 1),
        (START, STOP, 0.0, 1),
        (START, STOP, math.nan, 1),
        (START, STOP, RBW, 0),
        (START, STOP, 10.0, 1),
    ],
)
def test_what_can_not_be_shown_is_refused(
    analyzer_of: Any, driver: Any, start: float, stop: float, rbw: float, averages: int
) -> None:
    analyzer, mock = analyzer_of(driver)
    mock.hook = lambda message: pytest.fail(f"sent {message}")
    with pytest.raises(LimitError, match=f"{driver.__name__} asked for"):
        analyzer.configure(start, stop, rbw=rbw, averages=averages)
