"""Where labels and legends hide the least, in the unit square of a plot (0, 0 at its lower left)."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from labneuro.units import FloatArray

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top."""

_ALONG = 400  # points along a curve: about one a pixel of a plot


class Crowd:
    """What is drawn already: curves, as points along them, and boxes of text."""

    def __init__(self) -> None:
        self._points = np.empty((0, 2))

    def add_curve(self, x: FloatArray, y: FloatArray) -> None:
        """Add a curve through points of the unit square; NaN are gaps."""
        if len(x) > 1:
            places, ends = np.linspace(0, len(x) - 1, max(_ALONG, len(x))), np.arange(len(x))
            x, y = np.interp(places, ends, x), np.interp(places, ends, y)
        self._points = np.vstack([self._points, np.column_stack([x, y])])

    def add_box(self, box: Box) -> None:
        """Add a box of text."""
        left, bottom, right, top = box
        x, y = np.meshgrid(np.linspace(left, right, 40), np.linspace(bottom, top, 10))
        self._points = np.vstack([self._points, np.column_stack([x.ravel(), y.ravel()])])

    def hidden(self, box: Box) -> int:
        """Return how many points `box` would hide; a box that leaves the plot hides everything."""
        left, bottom, right, top = box
        if left < 0 or bottom < 0 or right > 1 or top > 1:
            return len(self._points) + 1
        x, y = self._points.T
        return int(np.count_nonzero((left <= x) & (x <= right) & (bottom <= y) & (y <= top)))

    def freest(self, boxes: Sequence[Box]) -> int:
        """Return the number of the box that hides the least, the first of equals."""
        return int(np.argmin([self.hidden(box) for box in boxes]))
