"""Time that a device takes in a pulsed outer-product update and in forward and backward, beside aihwkit.

A 512 x 512 array takes 64 vectors by stochastic pulse trains of managed length, on the same preset, values and rate as
aihwkit's default update. Dense: values uniform in ±1, one to three coincidences a device and vector; middle and
sparse: normal with 0.2 and 0.1, about one in four and one in twenty. Forward and backward are products without
converters on both sides, ours in double precision. Both take turns in one process, on as many threads. aihwkit (CPU)
is left out where it is not installed; 1.1.0 runs with torch 2.10, installed with `--no-deps`.
"""

import importlib.util
import time
from collections.abc import Callable

import numba
import numpy as np
from harness.report import Measure, report

from labneuro.simulators.crossbar import multiply, multiply_transposed
from labneuro.simulators.presets import PRESETS
from labneuro.simulators.pulse_laws import draw_devices, outer_update, settle

SIZE, VECTORS, RATE, ROUNDS = 512, 64, 0.01, 10
NAMES = ("ReRamES", "ReRamSB", "ConstantStep")
NORMAL = {"sparse": 0.1, "middle": 0.2}


def values(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (2, VECTORS, SIZE)
    rows, columns = rng.uniform(-1, 1, shape) if kind == "dense" else NORMAL[kind] * rng.standard_normal(shape)
    return rows.astype(np.float32), columns.astype(np.float32)


def in_turns(*works: Callable[[], object]) -> list[float]:
    """Return the shortest time of each, ns a device and vector."""
    times = np.empty((ROUNDS + 1, len(works)))
    for turn in range(ROUNDS + 1):
        for k, work in enumerate(works):
            start = time.perf_counter()
            work()
            times[turn, k] = time.perf_counter() - start
    return list(1e9 * times[1:].min(axis=0) / (SIZE * SIZE * VECTORS))


def update(name: str, kind: str) -> Callable[[], object]:
    devices = draw_devices(PRESETS[name], SIZE, SIZE)
    state = settle(devices)
    rows, columns = values(kind)
    return lambda: outer_update(devices, state, rows, columns, RATE)


def their_tile(name: str):
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.presets import devices
    from aihwkit.simulator.tiles import AnalogTile

    device = getattr(devices, name + ("Device" if name == "ConstantStep" else "PresetDevice"))()
    config = SingleRPUConfig(device=device)
    config.forward.is_perfect = config.backward.is_perfect = True
    tile = AnalogTile(SIZE, SIZE, config)
    tile.set_learning_rate(RATE)
    return tile


def their_update(name: str, kind: str) -> Callable[[], object]:
    import torch

    tile = their_tile(name)
    rows, columns = (torch.from_numpy(v) for v in values(kind))
    return lambda: tile.update(columns, rows)


def products() -> tuple[Callable[[], object], Callable[[], object]]:
    conductances = np.random.default_rng(0).uniform(1e-6, 40e-6, (SIZE, SIZE))
    rows, columns = (v.astype(np.float64) for v in values("dense"))
    return lambda: multiply(rows, conductances), lambda: multiply_transposed(columns, conductances)


def their_products() -> tuple[Callable[[], object], Callable[[], object]]:
    import torch

    tile = their_tile("ReRamES")
    rows, columns = (torch.from_numpy(v) for v in values("dense"))
    return lambda: tile.forward(columns), lambda: tile.backward(rows)


def main() -> None:
    """Measure and report."""
    installed = importlib.util.find_spec("aihwkit") is not None
    measures = {}

    def beside(label: str, ours: Callable[[], object], theirs: Callable[[], object] | None) -> None:
        mine, *peer = in_turns(ours, theirs) if theirs else in_turns(ours)
        measures[label] = Measure(mine, peer[0] if peer else None, "aihwkit", "ns")

    for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
        numba.set_num_threads(threads)
        if installed:
            import torch

            torch.set_num_threads(threads)
        cores = f"{threads} core{'s' * (threads > 1)}"
        for kind in ("sparse", "middle", "dense"):
            for name in NAMES:
                theirs = their_update(name, kind) if installed else None
                beside(f"update, {name}, {kind}, {cores}", update(name, kind), theirs)
        peers = their_products() if installed else (None, None)
        for label, ours, theirs in zip(("forward", "backward"), products(), peers, strict=True):
            beside(f"{label}, {cores}", ours, theirs)
    report(f"Synapses: time a device and vector, {SIZE} x {SIZE}", measures)


if __name__ == "__main__":
    main()
