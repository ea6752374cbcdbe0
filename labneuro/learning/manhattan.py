"""The Manhattan rule: every pair of devices gets one pulse of fixed size, in the direction that the batch asks for.

Prezioso et al., Nature 521, 61 (2015). With inputs V_n, the differential current I of an output, and its target t,

    f = tanh(β I),   δ_n = (t_n - f_n) df/dI,   Δ = Σ_n V_n δ_n over the whole batch,   change of the pair = sign Δ.
"""

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray


def manhattan_signs(inputs: FloatArray, currents: FloatArray, targets: FloatArray, gain: float) -> NDArray[np.int8]:
    """Return which way each pair's weight shall go, (..., rows, outputs): 1 is up, -1 is down, 0 stays.

    inputs: (..., patterns, rows), V. currents: (..., patterns, outputs), A, of plus columns less minus columns.
    targets: (..., patterns, outputs), within ±1. gain: β, 1/A.
    Raises ValueError for a current that is not finite.
    """
    if not np.isfinite(currents).all():
        raise ValueError("a current is not finite: read the array again before it is pulsed")
    f = np.tanh(gain * currents)
    delta = (targets - f) * gain * (1 - f**2)
    return np.sign(np.swapaxes(inputs, -1, -2) @ delta).astype(np.int8)


def pair_pulses(signs: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the devices that get a SET pulse and those that get a RESET pulse, both (..., rows, outputs, 2).

    The last axis is plus, minus: flattened with the outputs, it is an array with the columns of a pair side by side.
    Both devices of a pair move, in opposite directions.
    """
    rising, falling = signs > 0, signs < 0
    return np.stack([rising, falling], axis=-1), np.stack([falling, rising], axis=-1)
