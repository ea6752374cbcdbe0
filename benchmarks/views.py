"""Live windows: frames a second beside PyMeasure's plotter, what a window costs the run it shows, a run of many steps.

Frames: a spectrum of 1001 points, a response map of 101 x 101, a conductance map of 128 x 128 and the recognition so
far, all new in every frame, in a canvas of the size of a window, drawn on no screen. PyMeasure's widgets are shown the
same: the spectrum as a curve, the maps as images; writing the files that they read isn't counted. The target is 30
frames/s; new data come at 20 Hz, and what has not changed costs nothing.

Slowing: the same short run of `vowels`, alone and with a window on it in another process, by turns. The time is that of
the process of the run, by the wall and on the processor, where the target is 2 % more at most.

Many steps: how fast a window reads what was written before it was opened, how long it takes to show an earlier step,
and what memory it needs beside that after a tenth of the steps; with --long there are a million.

Needs `pip install 'labneuro[bench]'` for the peer; Linux only.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from harness.report import Measure, best_of, command_line, report

from labneuro.clock import WallClock
from labneuro.entries import Answered, Asked, Begun, Declared, Yielded
from labneuro.following import Following
from labneuro.journal import Journal
from labneuro.store import journal_of
from labneuro.views.panels import (
    Curve,
    CurvePanel,
    Level,
    Mark,
    Panel,
    PointSet,
    SpectrumPanel,
    StateMapPanel,
    ValueMapPanel,
)

SIZE = 1280, 860
FRAMES, PEER_FRAMES, TURNS = 40, 3, 4
STEPS, LONG = 100_000, 1_000_000
BINS, CELLS, DEVICES = 1001, 101, 128
RUN = ["run", "vowels", "--bench", "emulated", "--map-points", "0", "--steps", "30"]


def main() -> None:
    """Measure and report."""
    parser = command_line(__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="follow a run of a million steps")
    given = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as folder:
        measures = frames(Path(folder)) | slowing(Path(folder))
        measures |= many_steps(LONG if given.long else STEPS, Path(folder))
    report("Live windows", measures, given)


def spectrum(frame: int, rng: np.random.Generator) -> SpectrumPanel:
    """Return four peaks that wander, in the noise of ten averages."""
    frequency, peaks = np.linspace(300e6, 400e6, BINS), (322e6, 340e6, 358e6, 376e6)
    wander = 1e6 * np.sin(frame / 5)
    density = 1e-18 + sum(1e-15 / (1 + ((frequency - peak - wander) / 1e6) ** 2) for peak in peaks)
    sources = [Mark(331e6 + wander, "A"), Mark(365e6 - wander, "B")]
    marks = [Mark(peak + wander, str(number)) for number, peak in enumerate(peaks, 1)]
    return SpectrumPanel("Spectrum", frequency, density * rng.gamma(10, 0.1, BINS), sources, marks)


def response_map(frame: int, rng: np.random.Generator) -> StateMapPanel:
    """Return bands in which four oscillators are locked, which move, with points of seven classes on them."""
    axis, cell = np.linspace(300e6, 400e6, CELLS), np.arange(CELLS)
    states = np.zeros((CELLS, CELLS, 4), np.int8)
    for oscillator in range(4):
        states[np.abs(cell - 20 * oscillator - 15 - frame % 7) < 5, :, oscillator] = 1
        states[:, np.abs(cell - 20 * oscillator - 15 + frame % 5) < 5, oscillator] = 2
    points = [PointSet(f"vowel {k}", rng.uniform(310e6 + 8e6 * k, 330e6 + 8e6 * k, (12, 2))) for k in range(7)]
    return StateMapPanel("Response map", axis, axis, states, points)


def conductances(_frame: int, rng: np.random.Generator) -> ValueMapPanel:
    """Return an array of devices."""
    return ValueMapPanel("Conductance", rng.uniform(1e-6, 50e-6, (DEVICES, DEVICES)), "Conductance", "S")


def recognition(frame: int, rng: np.random.Generator) -> CurvePanel:
    """Return two curves that grow by a point each frame."""
    step = np.arange(100.0 + frame)
    learned = [
        Curve(step, np.tanh(step / 40) * rng.uniform(0.9, 1.0, len(step)), label) for label in ("learned", "held out")
    ]
    levels = [Level(0.6, "linear")]
    return CurvePanel("Recognition", "Step", "", "Recognised", "", learned, y_range=(0.0, 1.05), levels=levels)


PANELS: dict[str, Callable[[int, np.random.Generator], Panel]] = {
    "the spectrum": spectrum,
    "the response map": response_map,
    "the conductances": conductances,
    "the recognition": recognition,
}


def frames(folder: Path) -> dict[str, Measure]:
    """Return how many frames there are in a second, and in one in which a single panel is new."""
    from labneuro.views.canvas import Canvas
    from labneuro.views.qt import application

    running, rng = application(), np.random.default_rng(0)
    stream = [[panel(frame, rng) for panel in PANELS.values()] for frame in range(FRAMES)]
    canvas = Canvas()
    canvas.resize(*SIZE)
    canvas.show()

    def rate(shown: Sequence[Sequence[Panel]]) -> float:
        def play() -> None:
            for panels in shown:
                canvas.show_panels(panels)
                running.processEvents()  # paints what has changed

        return FRAMES / best_of(play, 3)

    ours = rate(stream)
    peer = plotter_frames(stream, folder) if importlib.util.find_spec("pymeasure") else None
    measures = {
        "frames, all panels new": Measure(ours, 30.0, "target", "/s", higher_is_better=True),
        "frames beside PyMeasure": Measure(ours, peer, "PyMeasure's plotter", "/s", higher_is_better=True),
    }
    for place, name in enumerate(PANELS):
        still = [[*stream[0][:place], panels[place], *stream[0][place + 1 :]] for panels in stream]
        measures[f"frame in which {name} is new"] = Measure(1e3 / rate(still), None, "", "ms")
    return measures


def plotter_frames(stream: Sequence[Sequence[Any]], folder: Path) -> float:
    """Return how many frames there are in a second where PyMeasure shows the spectrum and the maps."""
    from pymeasure.display.widgets import ImageWidget, PlotWidget
    from pymeasure.experiment import FloatParameter, Procedure, Results

    from labneuro.views.qt import QtWidgets, application

    columns = ["x", "y", "z"]

    class Stream(Procedure):
        DATA_COLUMNS = columns
        x_start, x_end, x_step = (FloatParameter("x", default=value) for value in (0, 1, 1))
        y_start, y_end, y_step = (FloatParameter("y", default=value) for value in (0, 1, 1))

    window = QtWidgets.QWidget()
    layout = QtWidgets.QGridLayout(window)
    window.resize(*SIZE)
    parts: list[tuple[Path, str, Any]] = []
    never = 1e6  # s: it is asked to look for what is new, as its timer would
    for place, cells in enumerate((0, CELLS, DEVICES)):
        path = folder / f"{place}.csv"
        results = Results(Stream(x_end=cells - 1, y_end=cells - 1), str(path))
        head = path.read_text()
        path.write_text(head + rows(stream[0][place]))
        results.reload()
        if cells:
            widget = ImageWidget("map", columns, "x", "y", "z", refresh_time=never, check_status=False)
        else:
            widget = PlotWidget("curve", columns, "x", "y", refresh_time=never, check_status=False)
        widget.load(widget.new_curve(results, force_reload=True))
        layout.addWidget(widget, place // 2, place % 2)
        parts.append((path, head, widget.image_frame if cells else widget.plot_frame))
    window.show()
    taken = 0.0
    for panels in stream[: 1 + PEER_FRAMES]:
        for (path, head, _), panel in zip(parts, panels, strict=False):
            path.write_text(head + rows(panel))
        begun = time.perf_counter()
        for _, _, frame in parts:
            frame.update_curves()
        application().processEvents()
        taken += (time.perf_counter() - begun) * (panels is not stream[0])  # that one warms up
    return PEER_FRAMES / taken


def rows(panel: SpectrumPanel | StateMapPanel | ValueMapPanel) -> str:
    """Return what a panel shows as lines of x, y, z: of a spectrum its logarithm, of a state a number."""
    if isinstance(panel, SpectrumPanel):
        table = np.column_stack([panel.frequency, np.log10(panel.density), np.zeros(BINS)])
    else:
        cells = panel.states @ [27, 9, 3, 1] if isinstance(panel, StateMapPanel) else panel.values
        table = np.column_stack([*(place.ravel() for place in np.indices(cells.shape)), cells.ravel()])
    return "".join(f"{x:g},{y:g},{z:g}\n" for x, y, z in table)


class Spent(NamedTuple):
    """What a process took: by the wall and on the processor, s."""

    wall: float
    processor: float


def slowing(folder: Path) -> dict[str, Measure]:
    """Return how long a run takes with a window and without."""
    watched, alone = [], []
    for turn in range(TURNS):
        alone.append(run(folder / f"alone{turn}.h5", watched=False))
        watched.append(run(folder / f"watched{turn}.h5", watched=True))
    return {
        f"run with a window, {kind}": Measure(
            median(getattr(spent, name) for spent in watched),
            median(getattr(spent, name) for spent in alone),
            "the run alone",
            "s",
        )
        for name, kind in (("processor", "on the processor"), ("wall", "by the wall"))
    }


def run(out: Path, *, watched: bool) -> Spent:
    """Run the protocol into `out` and return what that took, without what the window takes."""
    begun = time.perf_counter()
    command, silent = [sys.executable, "-m", "labneuro"], subprocess.DEVNULL
    process = subprocess.Popen([*command, *RUN, "--out", str(out)], stdout=silent, stderr=silent)
    while watched and not journal_of(out).exists():
        WallClock().sleep(0.05)
    window = subprocess.Popen([*command, "view", str(out)], stderr=silent) if watched else None
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begun
    if window is not None:
        if window.poll() is not None:
            raise RuntimeError("the window has not stayed open")
        window.terminate()
        window.wait()
    if status:
        raise RuntimeError(f"the run ended with status {status}")
    return Spent(taken, usage.ru_utime + usage.ru_stime)


def many_steps(steps: int, folder: Path) -> dict[str, Measure]:
    """Write a journal of so many steps and return what it takes to follow it."""
    with Journal(folder / "long.journal") as journal:
        head = {"protocol": "scan", "doc": "", "start_time": "", "parameters": {"steps": steps}, "units": {}}
        journal.write(Begun(head), Declared("steps", "Step", [["current", "A", "float"], ["voltage", "V", "float"]]))
        for step in range(steps):
            current, voltage = 1e-3 * (step % 8), 1e-2 * (step % 5)
            asked = Asked(step, "source", "set_current", {"current": current}, False)
            values = {"current": current, "voltage": voltage}
            journal.write(asked, Answered(step, None), Yielded("steps", values))
    with get_context("spawn").Pool(1) as pool:  # a process of its own: its memory is nobody else's
        rate, early, late, back = pool.apply(follow, (folder / "long.h5",))
    return {
        f"reading {steps} steps": Measure(rate, None, "", "steps/s", higher_is_better=True),
        f"memory after {steps} steps": Measure(late, early, "after a tenth of them", "MB"),
        "showing an earlier step": Measure(1e3 * back, None, "", "ms"),
    }


def follow(path: Path) -> tuple[float, float, float, float]:
    """Return steps/s of following a run to its end, memory, MB, after a tenth of it and then, and s to go back."""
    begun, early = time.perf_counter(), 0.0
    followed = Following(path)
    while followed.look():
        total = followed.now.standing.total
        if not early and total and followed.steps >= total / 10:
            early = memory()
    taken, late = time.perf_counter() - begun, memory()
    back = []
    for step in np.random.default_rng(0).integers(1, followed.steps, 20).tolist():
        begun = time.perf_counter()
        if followed.at(step).steps["current"][-1] != 1e-3 * ((step - 1) % 8):
            raise AssertionError(f"step {step} is another one")
        back.append(time.perf_counter() - begun)
    return followed.steps / taken, early, late, median(back)


def memory() -> float:
    """Return the memory of this process that is in use, MB."""
    return 1e-6 * os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])


if __name__ == "__main__":
    main()
