"""Arrays made of instruments, which know of their devices only what was sent to them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labneuro.roles import SynapseArray
from labneuro.signals import Scheme, Spent, exposures


class CountedArray(SynapseArray):
    """An array that counts the pulses it sends."""

    _pulses: NDArray[np.int64]
    _half_selected: NDArray[np.int64]

    @property
    def spent(self) -> Spent:
        """What was sent, also where it isn't known whether it arrived; the energy is NaN."""
        return Spent(self._pulses.copy(), self._half_selected.copy(), float("nan"))

    def snapshot(self) -> object:
        """Return what was counted, so that a resumed run counts on."""
        return {"pulses": self._pulses.copy(), "half_selected": self._half_selected.copy()}

    def restore(self, snapshot: Any) -> None:
        """Count on from `snapshot`; nothing is sent."""
        self._pulses, self._half_selected = snapshot["pulses"].copy(), snapshot["half_selected"].copy()

    def _count_from_zero(self, shape: tuple[int, int]) -> None:
        self._pulses, self._half_selected = np.zeros((2, *shape), np.int64)

    def _count(self, given: NDArray[np.int64], scheme: Scheme) -> None:
        """Count pulses, (rows, columns), and what their neighbours see of them."""
        (_, seen), *neighbours = exposures(given, scheme)
        self._pulses += seen
        self._half_selected += sum(part for _, part in neighbours)
