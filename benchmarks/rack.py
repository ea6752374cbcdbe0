"""The virtual rack in process: raw queries, pairs of set and query through PyMeasure, traces; beside pyvisa-sim."""

import functools
import importlib.util
import itertools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyvisa
from harness.report import Measure, best_of, report
from pymeasure.adapters import Adapter
from pyvisa.constants import StatusCode

from labneuro.clock import VirtualClock
from labneuro.simulators.rack.instrument import Session
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import E4408B
from labneuro.simulators.rack.visa import visa_library

COUNT = 200
POINTS = 1001
PEER = """
spec: "1.1"
devices:
  source:
    eom: {{GPIB INSTR: {{q: "\\r\\n", r: "\\n"}}}}
    error: ERROR
    dialogues:
      - {{q: "*IDN?", r: "{identity}"}}
      - {{q: ":TRACE:DATA? TRACE1", r: "{trace}"}}
    properties:
      current:
        default: 0.0
        getter: {{q: ":SOUR:CURR?", r: "{{:e}}"}}
        setter: {{q: ":SOUR:CURR {{:g}}"}}
        specs: {{min: -0.105, max: 0.105, type: float}}
resources:
  GPIB0::1::INSTR: {{device: source}}
"""


def main() -> None:
    """Measure and report."""
    analyzer = E4408B(VirtualClock())
    analyzer.handle(Session(), b":SENS:SWE:POIN 1001;:INIT:CONT OFF;:INIT")
    rack = {"GPIB0::1::INSTR": Keithley6221(analyzer.clock), "GPIB0::2::INSTR": analyzer}
    library = visa_library(rack)
    manager = pyvisa.ResourceManager(library)
    idle = visa_library(rack)
    idle.write = lambda session, data: (len(data), StatusCode.success)
    idle.read = lambda session, count: (b"+1.000000E-03\n", StatusCode.success)
    raw, pairs = rate_queries(manager), rate_pairs(library)
    traces = rate_traces(manager.open_resource("GPIB0::2::INSTR"))
    ceilings = {
        "raw queries beside a backend that does nothing": (raw, rate_queries(pyvisa.ResourceManager(idle))),
        "pairs beside a backend that does nothing": (pairs, rate_pairs(idle, check=False)),
        "pairs beside PyMeasure alone": (pairs, rate_pairs(None, check=False)),
        "traces beside NumPy's reading of them": (traces, rate_reading(analyzer)),
    }
    measures = {
        "raw queries": Measure(raw, 200e3, "target", "/s", higher_is_better=True),
        "pairs of set and query, PyMeasure": Measure(pairs, 50e3, "target", "/s", higher_is_better=True),
        "ASCII traces of 1001 points": Measure(traces, 5e3, "target", "/s", higher_is_better=True),
        "queries without PyVISA": Measure(rate_engine(), None, "", "/s", higher_is_better=True),
    }
    for name, (ours, other) in ceilings.items():
        measures[name] = Measure(ours, other, "ceiling", "/s", higher_is_better=True)
    if importlib.util.find_spec("pyvisa_sim"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "peer.yaml"
            path.write_text(PEER.format(identity=Keithley6221.identity, trace=",".join(["-8.09691001E+01"] * POINTS)))
            peer = pyvisa.ResourceManager(f"{path}@sim")
            theirs = {
                "raw queries beside pyvisa-sim": (raw, rate_queries(peer)),
                "pairs beside pyvisa-sim": (pairs, rate_pairs(f"{path}@sim")),
                "traces beside pyvisa-sim": (traces, rate_traces(peer.open_resource("GPIB0::1::INSTR"), 5)),
            }
            for name, (ours, other) in theirs.items():
                measures[name] = Measure(ours, other, "pyvisa-sim", "/s", higher_is_better=True)
    report("The virtual rack in process", measures)


def rate_queries(manager: pyvisa.ResourceManager) -> float:
    resource: Any = manager.open_resource("GPIB0::1::INSTR", read_termination="\n")
    return per_second(lambda: resource.query("*IDN?"), COUNT)


class Silence(Adapter):
    """An adapter of PyMeasure with nothing behind it."""

    def _write(self, command: str, **kwargs: Any) -> None:
        return

    def _read(self, **kwargs: Any) -> str:
        return "+1.000000E-03"


def rate_pairs(library: Any, *, check: bool = True) -> float:
    """Return the rate of set and query over a VISA library, None for no VISA at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymeasure.instruments.keithley import Keithley6221 as Driver

        if library is None:
            driver = Driver(Silence())
        else:
            driver = Driver("GPIB0::1::INSTR", visa_library=library, read_termination="\n")
    currents = itertools.cycle(np.linspace(-1e-3, 1e-3, 10 * COUNT).tolist())

    def pair() -> None:
        current = next(currents)
        driver.source_current = current
        if abs(driver.source_current - current) > 1e-8 and check:
            raise AssertionError(f"{current} A was set, {driver.source_current} A read")

    return per_second(pair, COUNT)


def rate_traces(resource: Any, count: int = 100) -> float:
    """Return the rate at which the text of a trace arrives."""
    resource.read_termination = "\n"

    def trace() -> None:
        if resource.query(":TRACE:DATA? TRACE1").count(",") != POINTS - 1:
            raise AssertionError("points are missing")

    return per_second(trace, count)


def rate_reading(analyzer: E4408B) -> float:
    """Return the rate at which a client makes numbers of the text of a trace."""
    text = analyzer.write_trace(analyzer.trace())
    return per_second(lambda: np.fromstring(text, sep=","), 100)


def rate_engine() -> float:
    source, session = Keithley6221(VirtualClock()), Session()

    def ask() -> None:
        source.handle(session, b":SOUR:CURR?\n")
        session.output = b""

    return per_second(ask, COUNT)


def per_second(work: Any, count: int) -> float:
    """Return how often `work` is done in a second."""
    return count / best_of(functools.partial(repeat, work, count), 200)


def repeat(work: Any, count: int) -> None:
    for _ in range(count):
        work()


if __name__ == "__main__":
    main()
