"""The virtual rack served by another process to pyvisa-py: queries, pairs of set and query, a binary trace."""

import functools
import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import pyvisa
from harness.report import Measure, best_of, report

from labneuro.clock import WallClock
from labneuro.simulators.rack.keithley_6221 import Keithley6221
from labneuro.simulators.rack.keysight_analyzers import N9030B
from labneuro.simulators.rack.serving import Addresses, serve

COUNT = 2000
POINTS = 100_001
FREE_PORTS = {"hislip_port": 0, "vxi11_port": 0, "socket_port": 0}


def main() -> None:
    """Measure and report."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_until_told, args=(theirs,))
    server.start()
    try:
        report("The virtual rack served to another process", measure(ours.recv()))
    finally:
        ours.send("enough")
        server.join()


def serve_until_told(told: Connection) -> None:
    clock = WallClock()
    analyzer = N9030B(clock)
    analyzer.points = POINTS  # more than it can be told over the line
    with serve({"source": Keithley6221(clock), "analyzer": analyzer}, clock, **FREE_PORTS) as reached:
        told.send(reached)
        told.recv()


def measure(reached: dict[str, Addresses]) -> dict[str, Measure]:
    manager = pyvisa.ResourceManager("@py")
    source, analyzer = reached["source"], reached["analyzer"]

    def resource(name: str) -> Any:
        return manager.open_resource(name, read_termination="\n", write_termination="\n", timeout=10_000)

    def rate(name: str, work: Any, target: float | None) -> Measure:
        opened = resource(name)
        best = best_of(functools.partial(repeat, functools.partial(work, opened)), 3)
        return Measure(COUNT / best, target, "target" if target else "", "/s", higher_is_better=True)

    def trace() -> None:
        if len(opened.query_binary_values("TRAC:DATA? TRACE1", "d")) != POINTS:
            raise AssertionError("points are missing")

    measures = {
        "HiSLIP queries": rate(source.hislip, query, 3000),
        "HiSLIP pairs of set and query": rate(source.hislip, pair, None),
        "VXI-11 queries": rate(source.vxi11, query, None),
        "VXI-11 pairs": rate(source.vxi11, pair, None),
        "SOCKET queries": rate(source.socket, query, None),
        "SOCKET pairs": rate(source.socket, pair, 2000),
    }
    for transport, target in (("hislip", 100), ("vxi11", None)):
        opened = resource(getattr(analyzer, transport))
        opened.write("INIT:CONT OFF;:INIT;:FORM REAL,64;:FORM:BORD NORM")
        opened.chunk_size = 2**20
        measures[f"binary trace of {POINTS} points, {transport}"] = Measure(
            1e3 * best_of(trace), target, "target" if target else "", "ms"
        )
    return measures


def query(source: Any) -> None:
    if source.query("*OPC?") != "1":
        raise AssertionError("a wrong answer")


def pair(source: Any) -> None:
    source.write("SOUR:CURR 1e-3")
    if source.query("SOUR:CURR?") != "+1.000000E-03":
        raise AssertionError("a wrong answer")


def repeat(work: Any) -> None:
    for _ in range(COUNT):
        work()


if __name__ == "__main__":
    main()
