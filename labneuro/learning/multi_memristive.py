"""A synapse of several devices: its weight is their sum, and one counter for the whole array says whose turn it is.

Boybat et al., Nat. Commun. 9, 2514 (2018). Each update of a synapse goes to one of its N devices, the one that the
counter points to; then the counter advances, so that a step is 1/N of the range. The schedule of updates must not keep
time with the counter, or devices are never reached: the increment shares no divisor with N, and after a round of
updates the counter goes on until the number of its advances shares none either (the latter is ours).
"""

import math

import numpy as np
from numpy.typing import NDArray


class SelectionCounter:
    """The counter.

    devices: N. increment: by how much it advances. potentiations, depressions: of the updates upward (downward) every
    how-many-th is carried out, to balance devices that go up and down by unequal steps.

    Raises ValueError for numbers below 1, and for an increment that would leave out devices.
    """

    def __init__(self, devices: int, *, increment: int = 1, potentiations: int = 1, depressions: int = 1) -> None:
        if min(devices, increment, potentiations, depressions) < 1:
            raise ValueError("devices, increment, potentiations and depressions count from 1")
        if math.gcd(devices, increment) > 1:
            raise ValueError(
                f"increment {increment} never points to some of {devices} devices: choose one without a common divisor"
            )
        self.device = 0
        self._devices, self._increment = devices, increment
        self._periods = {1: potentiations, -1: depressions}
        self._seen = {1: 0, -1: 0}

    def arbitrate(self, pulses: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pulses of each device, (..., N), for the pulses of each synapse, (...), negative for down.

        Synapses are updated in the order of their indices. Where potentiation and depression have devices of their own
        (a differential synapse), positive pulses go to the plus device of that number, negative ones to the minus.
        """
        wanted = pulses.ravel()
        updates = np.flatnonzero(self._carried_out(wanted))
        turn = (self.device + self._increment * np.arange(len(updates))) % self._devices
        chosen = np.zeros((wanted.size, self._devices), np.int64)
        chosen[updates, turn] = wanted[updates]
        advances = len(updates)
        while advances and math.gcd(advances, self._devices) > 1:
            advances += 1
        self.device = (self.device + self._increment * advances) % self._devices
        return chosen.reshape(*pulses.shape, self._devices)

    def _carried_out(self, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the updates that are the last of a period of their direction."""
        carried_out = np.zeros(wanted.shape, np.bool_)
        for sign, period in self._periods.items():
            updates = np.flatnonzero(np.sign(wanted) == sign)
            carried_out[updates] = (self._seen[sign] + np.arange(1, len(updates) + 1)) % period == 0
            self._seen[sign] = (self._seen[sign] + len(updates)) % period
        return carried_out
