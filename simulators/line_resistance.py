"""Crossbars whose lines have resistance: the exact nodal solve, and a fast iteration for learning loops.

A device [i, j] of conductance G_ij joins a node of row i, a word line, at potential W_ij to a node of column j, a bit
line, at B_ij. Rows begin at the left and columns end at the bottom, at terminals that are driven or float. A segment
of resistance r in rows and c in columns joins neighbouring nodes, and a terminal to the node next to it. By
Kirchhoff's law, as in badcrossbar (Joksas and Mehonic, SoftwareX 12, 100617 (2020); reference from memory),

    (W_i,j-1 - 2 W_ij + W_i,j+1) / r =  G_ij (W_ij - B_ij)
    (B_i-1,j - 2 B_ij + B_i+1,j) / c = -G_ij (W_ij - B_ij)

less the terms of the neighbour that the last node of a row and the first of a column do not have.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from labneuro.simulators.noise import FASTMATH
from labneuro.units import FloatArray

_MOST = 1000
"""Iterations after which an input is given up."""

_ABREAST = 8
"""Rows swept together, so that none waits for its own last node."""


@dataclass(frozen=True)
class Lines:
    """Resistances of one segment of a row and of a column, ohm; 0 is an ideal line."""

    row: float
    column: float

    def __post_init__(self) -> None:
        for name, value in (("row", self.row), ("column", self.column)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} segments of {value:g} ohm: give a finite resistance, 0 for an ideal line")


@dataclass(frozen=True, eq=False)
class Solution:
    """Currents, A, and potentials, V, of a crossbar.

    rows: into the rows' terminals, (batch, rows). columns: out of the columns' terminals, (batch, columns). devices:
    from row to column, (batch, rows, columns). row_nodes, column_nodes: W and B, (batch, rows, columns).
    """

    rows: FloatArray
    columns: FloatArray
    devices: FloatArray
    row_nodes: FloatArray
    column_nodes: FloatArray


def checked_conductances(conductances: ArrayLike) -> FloatArray:
    """Return `conductances`, (rows, columns), S; raise ValueError naming the device that can't be one."""
    array = np.ascontiguousarray(conductances, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"conductances of shape {array.shape}: give (rows, columns)")
    good = (array > 0) & (array < math.inf)
    if not good.all():
        i, j = np.argwhere(~good)[0]
        raise ValueError(f"device [{i}, {j}] of {array[i, j]:g} S: give a conductance above 0, tiny for an open device")
    return array


def checked_voltages(voltages: ArrayLike, lines: int, name: str) -> FloatArray:
    """Return `voltages` as (batch, lines), V; raise ValueError for another shape, and naming the line that has NaN."""
    array = np.ascontiguousarray(np.atleast_2d(np.asarray(voltages, np.float64)))
    if array.ndim != 2 or array.shape[1] != lines:
        raise ValueError(f"voltages of shape {np.shape(voltages)} do not fit {lines} {name}: give (batch, {lines})")
    if not np.isfinite(array).all():
        k, i = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"voltages[{k}, {i}] of the {name} is {array[k, i]} V: give finite voltages")
    return array


class Network:
    """A crossbar of fixed conductances, factorised once for any number of inputs.

    Nodal analysis: sum_e A_ea g_e (A u)_e = 0 at every node a that is not driven, A being the incidence matrix of
    devices and segments e, of conductance g_e, and u the potentials; by sparse LU (SuperLU, in its symmetric mode).

    Args:
        conductances: (rows, columns), S.
        lines: Resistances of the segments.
        floating_rows: Which rows' terminals are left open, (rows,); None for none.
        floating_columns: The same of columns.

    Raises:
        ValueError: Where a conductance is not positive, a mask does not fit, or every terminal floats.
    """

    def __init__(
        self,
        conductances: ArrayLike,
        lines: Lines,
        *,
        floating_rows: ArrayLike | None = None,
        floating_columns: ArrayLike | None = None,
    ) -> None:
        self.conductances = checked_conductances(conductances)
        shape = rows, columns = self.conductances.shape
        # Terminals come first, of rows and then of columns; all nodes of an ideal line are its terminal.
        nodes = rows + columns
        start, end = np.arange(rows)[:, None], np.arange(rows, nodes)[None]
        row_nodes, column_nodes = np.broadcast_to(start, shape), np.broadcast_to(end, shape)
        edges = []
        if lines.row:
            row_nodes = np.arange(nodes, nodes + rows * columns).reshape(shape)
            nodes += rows * columns
            edges.append((np.hstack([start, row_nodes[:, :-1]]), row_nodes, np.full(shape, 1 / lines.row)))
        if lines.column:
            column_nodes = np.arange(nodes, nodes + rows * columns).reshape(shape)
            nodes += rows * columns
            edges.append((column_nodes, np.vstack([column_nodes[1:], end]), np.full(shape, 1 / lines.column)))
        edges.append((row_nodes, column_nodes, self.conductances))
        first, second, weight = (np.concatenate([edge[k].ravel() for edge in edges]) for k in range(3))
        number, ones = np.arange(weight.size), np.ones(weight.size)
        incidence = sparse.csr_array(
            (np.concatenate([ones, -ones]), (np.concatenate([number, number]), np.concatenate([first, second]))),
            (weight.size, nodes),
        )
        self._row_nodes, self._column_nodes = row_nodes, column_nodes
        self._driven = np.zeros(nodes, np.bool_)
        self._driven[:rows] = ~_checked_mask(floating_rows, rows, "rows")
        self._driven[rows : rows + columns] = ~_checked_mask(floating_columns, columns, "columns")
        if not self._driven.any():
            raise ValueError("every row and column floats: drive one at least")
        balance = (incidence.T @ sparse.diags_array(weight) @ incidence).tocsr()[~self._driven]
        self._feed = balance[:, self._driven]
        self._factor = None
        if not self._driven.all():
            unknown = balance[:, ~self._driven].tocsc()
            options = {"SymmetricMode": True}
            self._factor = splu(unknown, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

    def solve(self, rows: ArrayLike, columns: ArrayLike | None = None) -> Solution:
        """Return all currents and potentials for voltages at the terminals.

        rows: (batch, rows), V. columns: (batch, columns) or (columns,), V; None for 0 V. What is given for a terminal
        that floats means nothing. Raises ValueError where shapes do not fit.
        """
        m, n = self.conductances.shape
        on_rows = checked_voltages(rows, m, "rows")
        on_columns = checked_voltages(np.zeros(n) if columns is None else columns, n, "columns")
        if len(on_columns) not in (1, len(on_rows)):
            raise ValueError(f"{len(on_rows)} vectors for rows, {len(on_columns)} for columns: give as many, or one")
        potentials = np.empty((self._driven.size, len(on_rows)))
        potentials[:m], potentials[m : m + n] = on_rows.T, on_columns.T
        if self._factor is not None:
            potentials[~self._driven] = self._factor.solve(-(self._feed @ potentials[self._driven]))
        row_nodes, column_nodes = (np.moveaxis(potentials[k], -1, 0) for k in (self._row_nodes, self._column_nodes))
        devices = (row_nodes - column_nodes) * self.conductances
        return Solution(devices.sum(axis=2), devices.sum(axis=1), devices, row_nodes, column_nodes)


def _checked_mask(mask: ArrayLike | None, size: int, name: str) -> NDArray[np.bool_]:
    chosen = np.zeros(size, np.bool_) if mask is None else np.asarray(mask, np.bool_)
    if chosen.shape != (size,):
        raise ValueError(f"a mask of shape {chosen.shape} does not fit {size} {name}: give ({size},)")
    return chosen


def currents(voltages: ArrayLike, conductances: ArrayLike, lines: Lines, *, tolerance: float = 1e-6) -> FloatArray:
    """Return the currents out of the columns, (batch, columns), A, for `voltages` on the rows, (batch, rows), V.

    The columns are at 0 V. With W eliminated, (M - K) B = s: M are the columns alone with all devices to ground, K what
    comes back through the rows, both made of tridiagonal systems. This is solved by conjugate gradients with M as
    preconditioner (Hestenes and Stiefel, J. Res. NBS 49, 409 (1952)). With equal devices and lines of m rows and n
    columns, 1 - M^-1 K is between 1 - q and 1, q = x / (1 + x) y / (1 + y), x = G r (2 n / pi)^2, y = G c (2 m / pi)^2,
    so that each iteration divides the error by (1 + k) / (1 - k) or more, k = sqrt(1 - q). Measured for 10 kohm and
    2.5 ohm, the largest error of a current, in parts of the exact one, after 1, 2, 3, 4 iterations: 64 x 64: 2e-4,
    6e-7, 8e-10, 6e-13; 128 x 128: 3e-2, 8e-4, 1e-5, 8e-8.

    tolerance: An input ends when the power that its error would dissipate, as M sees it, is below tolerance^2 P, P the
        mean power in a column of the ideal array. A current j is then right to tolerance sqrt(sum_i G_ij P) / k; that
        root is at least the ideal current, if P is that column's own.

    The result of an input depends neither on the rest of its batch nor on the number of threads. For more inputs than
    rows, `voltages @ effective_conductances(...)` is faster. Raises ValueError for arguments that do not fit, and
    ArithmeticError where an input does not reach the tolerance.
    """
    array = checked_conductances(conductances)
    volts = checked_voltages(voltages, array.shape[0], "rows")
    if not 1e-14 <= tolerance < 1:
        raise ValueError(f"tolerance {tolerance:g}: give a number from 1e-14 to 1")
    out, taken = iterate(volts, array, float(lines.row), float(lines.column), float(tolerance), _MOST)
    if (taken > _MOST).any():
        raise ArithmeticError(f"input {np.argmax(taken)} not solved to {tolerance:g} in {_MOST} steps: use Network")
    return out


def effective_conductances(conductances: ArrayLike, lines: Lines, *, tolerance: float = 1e-12) -> FloatArray:
    """Return what the lines make of the conductances, (rows, columns), S: currents are `voltages @ effective`.

    By reciprocity the currents out of the rows, for voltages on the columns, are `voltages @ effective.T`. Costs as
    many inputs as there are rows.
    """
    array = checked_conductances(conductances)
    return currents(np.eye(array.shape[0]), array, lines, tolerance=tolerance)


@njit(parallel=True, cache=True)
def iterate(voltages, conductances, r, c, tolerance, most):
    """Return the currents, (batch, columns), and how many iterations each input took, most + 1 if it is not done."""
    row_pivots, column_pivots = _pivots(conductances, r, c)
    currents = np.zeros((voltages.shape[0], conductances.shape[1]))
    taken = np.zeros(voltages.shape[0], np.int64)
    for k in prange(voltages.shape[0]):
        taken[k] = _solve(voltages[k], conductances, row_pivots, column_pivots, r, c, tolerance, most, currents[k])
    return currents, taken


@njit(cache=True)
def _pivots(conductances, r, c):
    """Return the inverse pivots of rows, from the left, and of columns, from the top, each (rows, columns)."""
    rows, columns = conductances.shape
    row, column = np.empty((rows, columns)), np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            before = row[i, j - 1] if j > 0 else 0.0
            above = column[i - 1, j] if i > 0 else 1.0
            row[i, j] = 1 / ((2 if j < columns - 1 else 1) + r * conductances[i, j] - before)
            column[i, j] = 1 / (2 + c * conductances[i, j] - above)
    return row, column


@njit(cache=True, fastmath=FASTMATH)
def _solve(volts, conductances, row_pivots, column_pivots, r, c, tolerance, most, currents):
    """Add the currents of one input to `currents`, from zero, and return how many iterations they took."""
    rows, columns = conductances.shape
    # With a line of zeros above and below: what M makes of the residual, and the direction.
    z, p = np.zeros((rows + 2, columns)), np.zeros((rows + 2, columns))
    residual, w, part = np.zeros((rows, columns)), np.empty((rows, columns)), np.empty(columns)
    power = 0.0
    for i in range(rows):
        power += volts[i] ** 2 * conductances[i].sum()
    limit = tolerance**2 * c * power / columns
    # The first pass, a step of 1 along no direction, is what the voltages do while the columns are at 0 V.
    _through_rows(volts, z, p, 0.0, conductances, row_pivots, r, c, w, part)
    energy = _through_columns(p, w, 1.0, conductances, column_pivots, c, residual, z, currents, part)
    none = np.zeros(rows)
    own, beta = 0.0, 0.0
    for k in range(most + 1):
        if not energy > limit:
            return k
        back = _through_rows(none, z, p, beta, conductances, row_pivots, r, c, w, part)
        own = energy + beta**2 * own  # p M p, as z is conjugate to the direction before
        before = energy
        energy = _through_columns(
            p, w, energy / (own - back), conductances, column_pivots, c, residual, z, currents, part
        )
        beta = energy / before
    return most + 1


@njit(cache=True, fastmath=FASTMATH)
def _through_rows(volts, z, p, beta, conductances, pivots, r, c, w, part):
    """Turn p to z + beta p; solve the rows for W, driven by `volts` and by p below the devices; return p K p."""
    rows, columns = conductances.shape
    for i in range(rows):
        for j in range(columns):
            p[i + 1, j] = z[i + 1, j] + beta * p[i + 1, j]
            w[i, j] = r * conductances[i, j] * p[i + 1, j]
        w[i, 0] += volts[i]
    for first in range(0, rows, _ABREAST):
        last = min(first + _ABREAST, rows)
        for i in range(first, last):
            w[i, 0] *= pivots[i, 0]
        for j in range(1, columns):
            for i in range(first, last):
                w[i, j] = (w[i, j] + w[i, j - 1]) * pivots[i, j]
        for j in range(columns - 2, -1, -1):
            for i in range(first, last):
                w[i, j] += pivots[i, j] * w[i, j + 1]
    part[:] = 0
    for i in range(rows):
        for j in range(columns):
            part[j] += c * conductances[i, j] * p[i + 1, j] * w[i, j]
    return part.sum()


@njit(cache=True, fastmath=FASTMATH)
def _through_columns(p, w, alpha, conductances, pivots, c, residual, z, currents, part):
    """Step by alpha along p: add to the currents, take from the residual, solve M z = residual; return z residual."""
    rows, columns = conductances.shape
    for i in range(rows):
        own = 2.0 if i > 0 else 1.0
        for j in range(columns):
            through = conductances[i, j] * (w[i, j] - p[i + 1, j])
            currents[j] += alpha * through
            residual[i, j] -= alpha * (own * p[i + 1, j] - p[i, j] - p[i + 2, j] - c * through)
            z[i + 1, j] = (residual[i, j] + z[i, j]) * pivots[i, j]
    part[:] = 0
    for i in range(rows - 1, -1, -1):
        for j in range(columns):
            z[i + 1, j] += pivots[i, j] * z[i + 2, j]
            part[j] += z[i + 1, j] * residual[i, j]
    return part.sum()
