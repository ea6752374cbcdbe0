"""Time that a device takes in a pulsed outer-product update and in forward and backward, beside aihwkit.

A 512 x 512 array takes 64 vectors by stochastic pulse trains of managed length, on the same preset, values and rate as
aihwkit's default update. Dense: values uniform in ±1, one to three coincidences a device and vector; sparse: normal
with 0.1, about one in twenty, as late in a training. Forward and backward are products without converters on both
sides. aihwkit (CPU) is left out where it is not installed; 1.1.0 runs with torch 2.10, installed with `--no-deps`.
"""

import importlib.util

import numba
import numpy as np
from harness.report import Measure, best_of, report

from labneuro.simulators.presets import PRESETS
from labneuro.simulators.pulse_laws import draw_devices, outer_update, settle

SIZE, VECTORS, RATE = 512, 64, 0.01
NAMES = ("ReRamES", "ReRamSB", "ConstantStep")


def values(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (2, VECTORS, SIZE)
    rows, columns = rng.uniform(-1, 1, shape) if kind == "dense" else 0.1 * rng.standard_normal(shape)
    return rows.astype(np.float32), columns.astype(np.float32)


def per_device(work) -> float:
    """Return ns a device and vector."""
    return 1e9 * best_of(work) / (SIZE * SIZE * VECTORS)


def ours(name: str, kind: str, threads: int) -> float:
    devices = draw_devices(PRESETS[name], SIZE, SIZE)
    state = settle(devices)
    rows, columns = values(kind)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return per_device(lambda: outer_update(devices, state, rows, columns, RATE))
    finally:
        numba.set_num_threads(before)


def our_products() -> float:
    weights = settle(draw_devices(PRESETS["ReRamES"], SIZE, SIZE)).visible
    rows, columns = values("dense")
    return per_device(lambda: (columns @ weights.T, rows @ weights))


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


def theirs(name: str, kind: str) -> float:
    import torch

    tile = their_tile(name)
    rows, columns = (torch.from_numpy(v) for v in values(kind))
    return per_device(lambda: tile.update(columns, rows))


def their_products() -> float:
    import torch

    tile = their_tile("ReRamES")
    rows, columns = (torch.from_numpy(v) for v in values("dense"))
    return per_device(lambda: (tile.forward(columns), tile.backward(rows)))


def main() -> None:
    """Measure and report."""
    installed = importlib.util.find_spec("aihwkit") is not None
    cores = numba.config.NUMBA_NUM_THREADS
    measures = {}
    for kind in ("sparse", "dense"):
        for name in NAMES:
            peer = theirs(name, kind) if installed else None
            for threads in sorted({1, cores}):
                label = f"update, {name}, {kind}, {threads} core{'s' * (threads > 1)}"
                measures[label] = Measure(ours(name, kind, threads), peer, "aihwkit", "ns")
    measures["forward and backward"] = Measure(our_products(), their_products() if installed else None, "aihwkit", "ns")
    report(f"Synapses: time a device and vector, {SIZE} x {SIZE}", measures)


if __name__ == "__main__":
    main()
