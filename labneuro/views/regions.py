"""The regions of a state map: which there are, where they border each other, where their names fit."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import StateArray, state_name
from labneuro.units import FloatArray
from labneuro.views.colours import State

IndexArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Regions:
    """A state map as indices: `states[index[i, j]]` is the state of cell (i, j).

    The cell spans i to i + 1 along x and j to j + 1 along y.
    """

    states: tuple[State, ...]
    index: IndexArray

    @classmethod
    def of(cls, states: StateArray) -> "Regions":
        """Sort the cells of a map, (x, y, oscillators), by their state."""
        cells = np.ascontiguousarray(states, dtype=np.int8).reshape(-1, states.shape[2])
        rows = cells.view(f"S{states.shape[2]}").ravel()  # sorted seven times as fast as rows of numbers
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        return cls(
            tuple(tuple(int(source) for source in cells[cell]) for cell in first),
            inverse.reshape(states.shape[:2]).astype(np.intp),
        )

    def borders(self) -> tuple[FloatArray, FloatArray]:
        """Return the borders of regions and map as lines: x and y, in cells, of their ends by turns."""
        index = np.pad(self.index, 1, constant_values=-1)
        across = np.argwhere(index[1:, 1:-1] != index[:-1, 1:-1])
        along = np.argwhere(index[1:-1, 1:] != index[1:-1, :-1])
        x = np.concatenate([np.repeat(across[:, 0], 2), (along[:, :1] + [0, 1]).ravel()])
        y = np.concatenate([(across[:, 1:] + [0, 1]).ravel(), np.repeat(along[:, 1], 2)])
        return x.astype(np.float64), y.astype(np.float64)


@dataclass(frozen=True)
class RegionName:
    """Where the name of a region is written: its centre, in cells."""

    state: State
    text: str
    x: float
    y: float


def place_names(
    regions: Regions,
    cell: tuple[float, float],
    points: FloatArray,
    radius: float,
    extent: Callable[[str], tuple[float, float]],
) -> list[RegionName]:
    """Return one name for each state that has room for it, on few points and far from the region's border.

    cell: width and height of a cell as drawn. points: (points, 2), in cells. radius: of a point as drawn, in
    the units of `cell`. extent: width and height of a text, likewise.
    """
    marks = np.zeros(regions.index.shape, dtype=np.intp)
    inside = np.all((points >= 0) & (points < marks.shape), axis=1)
    np.add.at(marks, tuple(points[inside].astype(np.intp).T), 1)
    names: list[RegionName] = []
    for number, state in enumerate(regions.states):
        text = state_name(state)
        width, height = extent(text)
        region = (regions.index == number).astype(np.intp)
        box = _cells(width, height, cell)
        room = _box_sums(region, box) == box[0] * box[1]
        hidden = _box_sums(marks, _cells(width + 2 * radius, height + 2 * radius, cell))
        if room.any():
            i, j = _innermost(room & (hidden == hidden[room].min()))
            names.append(RegionName(state, text, i + 0.5, j + 0.5))
    return names


def _cells(width: float, height: float, cell: tuple[float, float]) -> tuple[int, int]:
    """Return the size of a box in whole cells, odd numbers of them so that one is at its centre."""
    return ceil(width / cell[0]) | 1, ceil(height / cell[1]) | 1


def _box_sums(cells: IndexArray, box: tuple[int, int]) -> IndexArray:
    """Return the sum of `cells` in a box about each cell; there is nothing beyond the edge of the map."""
    (across, up), (nx, ny) = box, cells.shape
    padded = np.pad(cells, ((across // 2 + 1, across // 2), (up // 2 + 1, up // 2)))
    total = padded.cumsum(axis=0).cumsum(axis=1)
    sums = total[across:, up:] - total[:nx, up:] - total[across:, :ny] + total[:nx, :ny]
    return sums.astype(np.intp)


def _innermost(mask: BoolArray) -> tuple[int, int]:
    """Return the cell of `mask` that is left last when its border is peeled off again and again."""
    left = np.pad(mask, 1)
    while True:
        peeled = np.zeros_like(left)
        core = left[1:-1, 1:-1]
        peeled[1:-1, 1:-1] = core & left[2:, 1:-1] & left[:-2, 1:-1] & left[1:-1, 2:] & left[1:-1, :-2]
        if not peeled.any():
            cells = np.argwhere(left) - 1
            i, j = cells[len(cells) // 2]
            return int(i), int(j)
        left = peeled
