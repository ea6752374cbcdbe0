"""What recording costs: an empty scan through the journal and the run file, beside what other laboratories run.

Ours sets a current behind its limits and yields it; every question, answer and step is journalled, and the time is
that of the whole call, from the checks before to the closed run file. The peers do less: they record the same numbers,
ask no instrument and check no limit, and what they prepare once (a database, a run engine) isn't counted. A second scan
reads the current back as well; beside it QCoDeS sets a parameter behind its validator and gets it.
QCoDeS has its default settings and writes every 5 s; bluesky's documents and PyMeasure's rows are handed to the system
one by one, as the entries of our journal are, which is forced to the disk every second besides.

All write below one temporary folder; TMPDIR says on which disk. The targets: 20 000 steps/s, twice QCoDeS and 20 times
bluesky; 2 000 traces/s. With --long a scan of a million steps follows: neither the memory nor the cost of a step grows.

Needs `pip install 'labneuro[bench]'` for the peers; without them the table says which are missing.
"""

# ruff: noqa: D102 - a method of a mock does what its role says

import importlib.util
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from harness.report import Measure, best_of, command_line, report

from labneuro import bench
from labneuro.bench import BenchFile
from labneuro.roles import CurrentSource, SpectrumAnalyzer
from labneuro.run import execute
from labneuro.signals import Spectrum
from labneuro.units import Current, FloatArray

STEPS, TRACES, POINTS, ROUNDS = 10_000, 2_000, 1001, 5
LONG, MARK = 1_000_000, 10_000

BENCH = """
name = "mocks"
guardian = false

[parts.source]
driver = "mock-source"

[parts.source.limits]
max_current = "8 mA"
max_compliance = "2 V"

[parts.analyzer]
driver = "mock-analyzer"
"""
DRIVERS = f"""
[labneuro.drivers]
mock-source = {__name__}:MockSource
mock-analyzer = {__name__}:MockAnalyzer
"""


class MockSource(CurrentSource):
    """A current source that answers at once."""

    identity = "labneuro,mock source,0,0"
    compliance = 1.0
    current = 0.0

    def set_current(self, current: float) -> None:
        self.current = current

    def set_compliance(self, voltage: float) -> None:
        self.compliance = voltage

    def make_safe(self) -> None:
        self.current = 0.0


class MockAnalyzer(SpectrumAnalyzer):
    """A spectrum analyzer that answers with noise."""

    identity = "labneuro,mock analyzer,0,0"

    def __init__(self) -> None:
        self._frequency = np.linspace(300e6, 400e6, POINTS)
        self._rng = np.random.default_rng(0)

    def configure(self, start: float, stop: float, *, rbw: float, averages: int) -> None:
        pass

    def trace(self) -> Spectrum:
        return Spectrum(self._frequency, self._rng.random(POINTS), 1e5, 1)

    def make_safe(self) -> None:
        pass


@dataclass(frozen=True)
class Reading:
    """One number."""

    current: Current


@dataclass(frozen=True)
class Trace:
    """One array."""

    density: FloatArray


def level(step: int) -> float:
    """Return what the source is set to, A."""
    return 1e-3 * (step % 8)


def scan(source: CurrentSource, *, steps: int = STEPS) -> Iterator[Reading]:
    """Set a current."""
    for k in range(steps):
        source.set_current(level(k))
        yield Reading(level(k))


def scan_back(source: CurrentSource, *, steps: int = STEPS) -> Iterator[Reading]:
    """Set a current and read it back."""
    for k in range(steps):
        source.set_current(level(k))
        yield Reading(source.current)


marks: list[tuple[float, float]] = []
"""CPU time, s, and resident memory, MB, at every MARK-th step of a marked scan."""


def marked_scan(source: CurrentSource, *, steps: int = LONG + 1) -> Iterator[Reading]:
    """Scan, and note the time and the memory on the way."""
    for k, reading in enumerate(scan_back(source, steps=steps)):
        if k % MARK == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            marks.append((time.process_time(), pages * resource.getpagesize() / 1e6))
        yield reading


def traces(analyzer: SpectrumAnalyzer, *, steps: int = TRACES) -> Iterator[Trace]:
    """Take spectra."""
    for _ in range(steps):
        yield Trace(analyzer.trace().density)


def mocks(folder: Path) -> BenchFile:
    """Return the bench of the mocks, whose drivers are found as those of a laboratory's own package are."""
    package = folder / "mocks-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mocks\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(DRIVERS)
    sys.path.append(str(folder))
    (folder / "mocks.toml").write_text(BENCH)
    return bench.load(folder / "mocks.toml")


def new_folder(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def qcodes(folder: Path, *, back: bool = False) -> Callable[[], None]:
    """Return a run of QCoDeS' Measurement into sqlite; back: a parameter with a validator is set and got."""
    from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
    from qcodes.parameters import Parameter
    from qcodes.validators import Numbers

    initialise_or_create_database_at(folder / "qcodes.db")
    load_or_create_experiment("journal", "mock")
    output = [0.0]
    set_output = partial(output.__setitem__, 0)
    current = Parameter("current", unit="A", set_cmd=set_output, get_cmd=lambda: output[0], vals=Numbers(-8e-3, 8e-3))
    measurement = Measurement()
    measurement.register_parameter(current)

    def run() -> None:
        with measurement.run() as saver:
            for k in range(STEPS):
                if back:
                    current(level(k))
                saver.add_result((current, current() if back else level(k)))

    return run


def bluesky(folder: Path) -> Callable[[], None]:
    """Return a run of bluesky's count, a JSON line for each document."""
    from bluesky import RunEngine
    from bluesky.plans import count

    class Detector:
        name, parent = "current", None
        reads = 0

        def describe(self) -> dict[str, object]:
            return {"current": {"source": "mock", "dtype": "number", "shape": []}}

        def read(self) -> dict[str, object]:
            self.reads += 1
            return {"current": {"value": level(self.reads), "timestamp": time.time()}}

        def describe_configuration(self) -> dict[str, object]:
            return {}

        def read_configuration(self) -> dict[str, object]:
            return {}

    engine, detector = RunEngine(), Detector()

    def run() -> None:
        with (new_folder(folder) / "run.jsonl").open("w") as file:

            def write(name: str, document: dict[str, object]) -> None:
                file.write(json.dumps({"name": name, "doc": document}) + "\n")
                file.flush()

            engine(count([detector], num=STEPS), write)

    return run


def pymeasure(folder: Path) -> Callable[[], None]:
    """Return a run of PyMeasure's Worker into CSV."""
    from pymeasure.experiment import Procedure, Results, Worker

    class Scan(Procedure):
        DATA_COLUMNS = ("Current (A)",)

        def execute(self) -> None:
            for k in range(STEPS):
                self.emit("results", {"Current (A)": level(k)})

    def run() -> None:
        worker = Worker(Results(Scan(), str(new_folder(folder) / "run.csv")))
        worker.start()
        worker.join(timeout=60)

    return run


PEERS = (("QCoDeS", qcodes, ROUNDS), ("bluesky", bluesky, 2), ("PyMeasure", pymeasure, ROUNDS))
"""What it is called, what prepares it, and how many rounds it has: one of bluesky takes 10 to 20 s."""


def measure_short(desk: BenchFile, folder: Path) -> dict[str, Measure]:
    """Return the rates of steps and traces."""

    def rate(protocol: Callable[..., Iterator[object]], steps: int) -> float:
        return steps / best_of(
            lambda: execute(protocol, desk, {}, new_folder(folder) / "run.h5", progress=False), ROUNDS
        )

    ours = rate(scan, STEPS)
    measures = {
        "traces of 1001 points": Measure(rate(traces, TRACES), 2_000.0, "target", "traces/s", higher_is_better=True),
        "empty scan": Measure(ours, 20_000.0, "target", "steps/s", higher_is_better=True),
    }
    if importlib.util.find_spec("qcodes"):
        peer = STEPS / best_of(qcodes(folder, back=True), ROUNDS)
        back = rate(scan_back, STEPS)
        said = "set and read back, vs QCoDeS"
        measures[said] = Measure(back, peer, "qcodes", "steps/s", higher_is_better=True)
    for name, prepare, rounds in PEERS:
        there = importlib.util.find_spec(prepare.__name__)
        peer = STEPS / best_of(prepare(folder), rounds) if there else None
        said = name if there else f"{name} (not installed)"
        measures[f"empty scan, vs {name}"] = Measure(ours, peer, said, "steps/s", higher_is_better=True)
    return measures


def measure_long(desk: BenchFile, folder: Path) -> dict[str, Measure]:
    """Return how the cost of a step and the memory grow over a million steps."""
    execute(marked_scan, desk, {}, folder / "long.h5", progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    times, memory = zip(*marks, strict=True)
    tenth = len(times) // 10
    scale = 1e6 / (tenth * MARK)
    first, last = (times[tenth] - times[0]) * scale, (times[-1] - times[-1 - tenth]) * scale
    return {
        "CPU a step, last 10^5 of 10^6": Measure(last, first, "the first 10^5", "µs"),
        "memory grown, step 10^4 to 10^6": Measure(memory[-1] - memory[1], None, "", "MB"),
        "memory grown, to the closed file": Measure(peak - memory[1], None, "", "MB"),
    }


def main() -> None:
    """Measure and report."""
    title = "An empty scan, journal and run file on the disk"
    parser = command_line(title)
    parser.add_argument("--long", action="store_true", help="scan a million steps as well (Linux only)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, redirect_stdout(sys.stderr):  # QCoDeS prints the number of each run
        folder = Path(name)
        desk = mocks(folder)
        long = measure_long(desk, folder) if given.long else {}  # first: what is measured later would be in the peak
        measures = measure_short(desk, folder) | long
    report(title, measures, given)


if __name__ == "__main__":
    main()
