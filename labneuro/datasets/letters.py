"""The letters z, v and n on 3 x 3 pixels, each as it should be and with every pixel flipped: 30 patterns.

They are those of Prezioso et al., Nature 521, 61 (2015), as far as their figure could be read by others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

SIDE = 3
_PIXELS = {"z": "110 010 011", "v": "101 101 010", "n": "010 101 101"}


@dataclass(frozen=True, eq=False)
class Letters:
    """names: of the letters. pixels: (patterns, 9), 1 or -1, row after row. labels: (patterns,), index into `names`."""

    names: tuple[str, ...]
    pixels: FloatArray
    labels: NDArray[np.int64]


def load() -> Letters:
    """Return the 30 patterns; those of a letter follow each other, the first as it should be."""
    flips = np.vstack([np.ones(SIDE**2), 1.0 - 2.0 * np.eye(SIDE**2)])
    ideal = np.array([[1.0 if pixel == "1" else -1.0 for pixel in rows.replace(" ", "")] for rows in _PIXELS.values()])
    pixels = (ideal[:, None] * flips).reshape(-1, SIDE**2)
    return Letters(tuple(_PIXELS), pixels, np.repeat(np.arange(len(_PIXELS)), len(flips)))
