"""Tune the direct currents of oscillators until they lock to the tones they should.

Romera et al., Nature 563, 230 (2018) shift the currents in real time so that oscillators which should have locked come
closer to the applied frequency; their exact formula could not be found. This is our reconstruction: for a tone of
frequency f that oscillator i, running at f_i, should follow,

    I_i <- I_i + rate (f - f_i) / (df_i/dI).

"on-error" does so only where the measured state was wrong (a perceptron's rule), "always" at every presentation, which
makes f_i a running mean of the tones that oscillator i should follow.

Where states with a source left free stand for classes, too, an oscillator may follow a tone that it should not. It is
moved away from it, by the same part of the distance that is missing to the end of its locking range, r wide in all:

    I_i <- I_i - rate sign(f - f_i) (r/2 - |f - f_i|) / (df_i/dI).
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import StateArray
from labneuro.units import FloatArray

Presentations = Literal["on-error", "always"]


class CurrentTuning:
    """The rule and what it has learned so far, the currents.

    currents: (oscillators,), A, to start from. low, high: (oscillators,), A, the safe range; a step that would leave it
    stops at its end, and `held` tells where. locking_range: r, Hz. rate: part of the distance that one presentation
    covers, above 0 and at most 1. halving: steps after which the rate is half of what it was at first and the steps
    begin to average over presentations, rate / (1 + step/halving); infinite for a constant rate.

    Raises ValueError for a start outside the safe range and a rate outside its bounds.
    """

    def __init__(
        self,
        currents: FloatArray,
        *,
        low: FloatArray,
        high: FloatArray,
        locking_range: float,
        rate: float = 0.3,
        halving: float = math.inf,
        update: Presentations = "on-error",
    ) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"rate is {rate:g}: give a part of the distance above 0 and at most 1")
        outside = ~((low <= currents) & (currents <= high))
        if np.any(outside):
            i = int(np.argmax(outside))
            raise ValueError(
                f"oscillator {i + 1} would start at {currents[i] * 1e3:.4g} mA, outside the safe range of "
                f"{low[i] * 1e3:.4g} to {high[i] * 1e3:.4g} mA: start inside it"
            )
        self.currents = currents.copy()
        self.held: NDArray[np.bool_] = np.zeros(currents.shape, np.bool_)
        self._low, self._high = low, high
        self._reach = locking_range / 2
        self._rate, self._halving, self._steps = rate, halving, 0
        self._update: Presentations = update

    def learn(
        self,
        tones: FloatArray,
        wanted: StateArray,
        states: StateArray,
        frequencies: FloatArray,
        slopes: FloatArray,
    ) -> None:
        """Learn from a few presentations, one after the other.

        tones: (points, sources), Hz, as presented. wanted, states: (points, oscillators), the synchronisation states
        they should have led to, and did. frequencies: (oscillators,), Hz, free-running at the present currents. slopes:
        (oscillators,), df/dI, Hz/A.
        """
        frequencies = frequencies.copy()
        self.held = np.zeros(self.currents.shape, np.bool_)
        rate = self._rate / (1 + self._steps / self._halving)
        self._steps += 1
        for tone, want, state in zip(tones, wanted, states, strict=True):
            drawn = (want > 0) & ((state != want) | (self._update == "always"))
            pushed = (want == 0) & (state > 0)
            distance = tone[np.where(drawn, want, state) - 1] - frequencies
            missing = np.sign(distance) * np.maximum(self._reach - np.abs(distance), 0.0)
            change = rate * (np.where(drawn, distance, 0.0) - np.where(pushed, missing, 0.0)) / slopes
            target = self.currents + change
            reached = np.minimum(np.maximum(target, self._low), self._high)
            self.held |= reached != target
            frequencies += slopes * (reached - self.currents)
            self.currents = reached
