"""Mixed precision: small changes are summed digitally, and a device is pulsed when a whole step has come together.

Nandakumar et al., Front. Neurosci. 14, 406 (2020). With ε the mean step of a device,

    χ <- χ + ΔW,   p = trunc(χ/ε),   |p| pulses to the plus (p > 0) or the minus device,   χ <- χ - p ε.

The devices of a pair only go up: a pair that nears its end is read, reset, and its difference written anew.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

PulseCounts = NDArray[np.int64]
"""Pulses of each synapse: positive ones raise its weight, negative ones lower it."""


class MixedPrecision:
    """The changes that are not yet worth a pulse, χ, all zero at first.

    shape: of the weights. step: ε, in units of the weights. Raises ValueError for a step that is not positive.
    """

    def __init__(self, shape: tuple[int, ...], step: float) -> None:
        if not step > 0:
            raise ValueError(f"step is {step:g}: give the mean change of a weight by one pulse, above 0")
        self.chi = np.zeros(shape)
        self._step = step

    def pulses(self, change: FloatArray) -> PulseCounts:
        """Add the wanted changes of the weights, of their shape; return the pulses that are due now.

        Raises ValueError, and changes nothing, for another shape or a change that is not finite.
        """
        if change.shape != self.chi.shape:
            raise ValueError(f"changes of shape {change.shape} don't fit weights of {self.chi.shape}")
        _check_finite(change)
        self.chi += change
        due = np.trunc(self.chi / self._step)
        self.chi -= due * self._step
        return due.astype(np.int64)


def rounded_pulses(change: FloatArray, step: float) -> PulseCounts:
    """Return the nearest number of pulses for each change: what becomes of it without χ. Errors as above."""
    _check_finite(change)
    return np.rint(change / step).astype(np.int64)


def drawn_pulses(change: FloatArray, step: float, rng: np.random.Generator) -> PulseCounts:
    """Return one of the two numbers of pulses next to each change, drawn so that their mean is it. Errors as above."""
    _check_finite(change)
    return (np.sign(change) * np.floor(np.abs(change) / step + rng.random(change.shape))).astype(np.int64)


class Refresh(NamedTuple):
    """Which pairs to reset, and the conductances that their two devices shall have above that of reset, S."""

    pairs: NDArray[np.bool_]
    plus: FloatArray
    minus: FloatArray


def refresh(plus: FloatArray, minus: FloatArray, *, saturated: float, difference: float) -> Refresh:
    """Decide which pairs to write anew, from the conductances of their devices, S, of any one shape.

    These are the pairs with a device above `saturated`, S, if that gains something: their difference is below
    `difference`, S.
    """
    net = plus - minus
    pairs = (np.maximum(plus, minus) > saturated) & (np.abs(net) < difference)
    return Refresh(pairs, np.where(pairs, np.maximum(net, 0), plus), np.where(pairs, np.maximum(-net, 0), minus))


def _check_finite(change: FloatArray) -> None:
    if not np.isfinite(change).all():
        synapse = tuple(int(i) for i in np.argwhere(~np.isfinite(change))[0])
        raise ValueError(f"synapse {synapse}: a change of {change[synapse]:g} is no number of pulses; look at its data")
