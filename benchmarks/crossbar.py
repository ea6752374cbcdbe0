"""Time of one input through a 64 x 64 crossbar with line resistance, beside a fresh sparse solve by SciPy.

`fresh solve` is what a program without this module does for each input: the nodal equations, already assembled, given
to scipy.sparse.linalg.spsolve. With badcrossbar installed, its `compute` stands beside it. The iteration solves to
1e-6 as in a learning loop, from conductances that may just have changed; effective conductances are for those that
stay. The second table is the iteration's error against the exact solve, in parts of the exact current.
"""

import importlib.util

import numba
import numpy as np
from harness.report import Measure, best_of, command_line, report
from rich.console import Console
from rich.table import Table
from scipy import sparse
from scipy.sparse.linalg import spsolve

from labneuro.simulators.crossbar import multiply
from labneuro.simulators.line_resistance import Lines, Network, currents, effective_conductances, iterate

SIZE, INPUTS, SEGMENT = 64, 256, 2.5
RNG = np.random.default_rng(0)
ARRAY = RNG.uniform(10e-6, 100e-6, (SIZE, SIZE))
VOLTS = RNG.uniform(0.0, 0.2, (INPUTS, SIZE))
LINES = Lines(SEGMENT, SEGMENT)


def fresh_solve() -> float:
    """Return the time of one input by spsolve, s, after comparing its currents with ours."""
    size = SIZE * SIZE
    chain = sparse.diags_array([-np.ones(SIZE - 1), 2 * np.ones(SIZE), -np.ones(SIZE - 1)], offsets=[-1, 0, 1]).tolil()
    left, down = chain.copy(), chain.copy()
    left[-1, -1] = down[0, 0] = 1  # a row ends right of its last node, a column above its first
    ones, device = sparse.eye_array(SIZE), sparse.diags_array(ARRAY.ravel())
    matrix = sparse.block_array(
        [
            [sparse.kron(ones, left) / SEGMENT + device, -device],
            [-device, sparse.kron(down, ones) / SEGMENT + device],
        ]
    ).tocsc()
    source = np.zeros(2 * size)
    source[:size:SIZE] = VOLTS[0] / SEGMENT
    answer = spsolve(matrix, source)[-SIZE:] / SEGMENT
    np.testing.assert_allclose(currents(VOLTS[0], ARRAY, LINES)[0], answer, rtol=1e-6)
    return best_of(lambda: spsolve(matrix, source), repeats=5)


def badcrossbar() -> float:
    """Return the time of one input by badcrossbar's compute, s."""
    from badcrossbar import compute

    return best_of(lambda: compute(VOLTS[:1].T, 1 / ARRAY, SEGMENT), repeats=3)


def errors() -> Table:
    """Return the largest error of a current after 0, 1, ... iterations, by size, device and segment."""
    table = Table("crossbar", *map(str, range(7)), title="Error after so many iterations", title_justify="left")
    for size, device, segment in ((64, 10e3, 2.5), (64, 100e3, 2.5), (128, 10e3, 2.5), (64, 10e3, 25.0)):
        array, volts = np.full((size, size), 1 / device), RNG.uniform(0.0, 0.2, (4, size))
        exact = Network(array, Lines(segment, segment)).solve(volts).columns
        found = (iterate(volts, array, segment, segment, 1e-14, most)[0] for most in range(7))
        row = (f"{np.abs(currents / exact - 1).max():.0e}" for currents in found)
        table.add_row(f"{size} x {size}, {device / 1e3:g} kohm, {segment:g} ohm", *row)
    return table


def main() -> None:
    """Measure and report."""
    given = command_line("Crossbar with line resistance").parse_args()
    threads = numba.get_num_threads()
    peers = {"fresh solve": fresh_solve()}
    if importlib.util.find_spec("badcrossbar"):
        peers["badcrossbar"] = badcrossbar()
    network, effective = Network(ARRAY, LINES), effective_conductances(ARRAY, LINES)
    numba.set_num_threads(1)
    ours = {
        "iteration, 1 core": best_of(lambda: currents(VOLTS, ARRAY, LINES)) / INPUTS,
        "iteration, 1 core, an input at a time": best_of(lambda: currents(VOLTS[:1], ARRAY, LINES)),
    }
    numba.set_num_threads(threads)
    ours[f"iteration, {threads} cores"] = best_of(lambda: currents(VOLTS, ARRAY, LINES)) / INPUTS
    ours["kept factors"] = best_of(lambda: network.solve(VOLTS[:16]), repeats=3) / 16
    ours["effective conductances"] = best_of(lambda: multiply(VOLTS, effective)) / INPUTS
    measures = {
        f"{name}, vs {peer}": Measure(1e6 * seconds, 1e6 * theirs, peer, "us")
        for peer, theirs in peers.items()
        for name, seconds in ours.items()
    }
    once = {
        "effective conductances, once": lambda: effective_conductances(ARRAY, LINES),
        "factors, once": lambda: Network(ARRAY, LINES),
    }
    for name, work in once.items():
        measures[name] = Measure(1e6 * best_of(work, repeats=3), None, "", "us")
    report(f"One input of a {SIZE} x {SIZE} crossbar with line resistance", measures, given)
    if not given.json:
        Console().print(errors())


if __name__ == "__main__":
    main()
