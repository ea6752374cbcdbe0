"""A magnetic vortex that gyrates in a nanodisc: the Thiele equation of the vortex spin-torque oscillator.

The core at Z = X + iY, in units of the disc's radius R, balances gyroforce, damping, restoring force, spin
torque and radio-frequency force (A. A. Thiele, Phys. Rev. Lett. 30, 230 (1973); with nonlinear damping and
stiffness A. Dussaux et al., Phys. Rev. B 86, 014402 (2012)). Over G R, for a core that points up and so turns
counter-clockwise,

    [i + d (1 + xi s^2)] dZ/dt = -omega_0 [(1 + zeta_k s^2) - i a] Z + omega_0 h cos(omega_e t),    s = |Z|

    omega_0 = k/G        gyration rate at small radius, rad/s (k: stiffness)
    d = D/G              damping
    xi, zeta_k           growth of damping and of stiffness with the radius
    a = a_J/k            spin torque of a perpendicular polariser over stiffness, proportional to the current
    h                    force along X over k R: the displacement it would cause at rest

For a <= d the core settles at the centre. Above, it runs on the circle d (1 + xi s^2)(1 + zeta_k s^2) = a, at
exactly omega_0 (1 + zeta_k s^2). The equation knows no edge: it describes the disc while s < 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from labneuro.simulators.noise import FASTMATH
from labneuro.units import FloatArray

_LANES = 16
"""Vortices advanced together; the last block is filled up, so that all lanes run the same code."""
_X, _Y, _OMEGA0, _D, _XI, _ZETA_K, _A, _FORCE, _SIDE, _COS, _SIN = (k * _LANES for k in range(11))
"""Rows of a block's workspace: one array with fixed offsets tells the compiler that rows don't overlap."""


class SlavinTiberkevich(NamedTuple):
    """What a vortex is as a Slavin-Tiberkevich oscillator; see `slavin_tiberkevich_parameters`."""

    damping: FloatArray
    zeta: FloatArray
    q: FloatArray
    shift: FloatArray
    p0: FloatArray
    nu: FloatArray


def slavin_tiberkevich_parameters(
    omega0: ArrayLike, damping: ArrayLike, xi: ArrayLike, zeta_k: ArrayLike, torque: ArrayLike
) -> SlavinTiberkevich:
    """Return the vortex's parameters in the model of `slavin_tiberkevich`, with the power p = s^2.

    To first order in p and d: `damping` Gamma_G = d omega_0 (rad/s), `zeta` = a/d, `shift` N = omega_0 zeta_k
    (rad/s), `nu` = zeta_k / [d (xi + zeta_k)], `p0` = (zeta - 1)/(xi + zeta_k). The torque of a perpendicular
    polariser does not saturate: Gamma_- = a omega_0 against Gamma_+ = Gamma_G [1 + (xi + zeta_k) p]. As that
    model writes Gamma_- = zeta Gamma_G (1 - p), its `q` is xi + zeta_k - zeta and changes with the current.
    A force h acts as F = omega_0 h / 2: half of it turns with the core.
    """
    d, stiffening, a = np.asarray(damping, dtype=np.float64), np.asarray(zeta_k), np.asarray(torque)
    growth = np.asarray(xi) + stiffening
    zeta = a / d
    return SlavinTiberkevich(
        damping=d * np.asarray(omega0),
        zeta=zeta,
        q=growth - zeta,
        shift=np.asarray(omega0, dtype=np.float64) * stiffening,
        p0=np.maximum(zeta - 1, 0.0) / growth,
        nu=stiffening / (d * growth),
    )


def steady_power(damping: ArrayLike, xi: ArrayLike, zeta_k: ArrayLike, torque: ArrayLike) -> FloatArray:
    """Return p = s^2 of free gyration, the root of d (1 + xi p)(1 + zeta_k p) = a, or 0 below threshold."""
    xi, zeta_k = np.asarray(xi, dtype=np.float64), np.asarray(zeta_k)
    excess = np.maximum(np.asarray(torque) / np.asarray(damping) - 1, 0.0)
    growth = xi + zeta_k
    return 2 * excess / (growth + np.sqrt(growth**2 + 4 * xi * zeta_k * excess))


def trajectories(
    start: ArrayLike,
    omega0: ArrayLike,
    damping: ArrayLike,
    xi: ArrayLike,
    zeta_k: ArrayLike,
    torque: ArrayLike,
    *,
    dt: float,
    steps: int,
    every: int = 1,
    drive_rate: ArrayLike = 0.0,
    drive_force: ArrayLike = 0.0,
) -> NDArray[np.complex128]:
    """Return the positions Z of the cores in radii, (steps // every + 1, batch); the first are `start`.

    Integrates by Runge-Kutta of fourth order in steps of `dt`, s. The method damps at a rate of
    (omega_0 dt)^6 / (144 dt): with fifty steps a turn and d = 0.01 that is 2e-5 of d omega_0.

    start: Z at t = 0, complex, (batch,); all that follow are broadcast to that shape.
    omega0: rad/s. damping, xi, zeta_k, torque: d, xi, zeta_k, a.
    drive_rate: omega_e, rad/s. drive_force: h.

    Raises ValueError where the shape of `start` or the numbers of steps do not fit.
    """
    begin = np.array(start, dtype=np.complex128)
    if begin.ndim != 1:
        raise ValueError(f"start has shape {begin.shape}: give positions of shape (batch,)")
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"steps = {steps}, every = {every}: every must divide steps, and both be positive")
    given = (omega0, damping, xi, zeta_k, torque, drive_rate, drive_force)
    parameters = np.empty((len(given), begin.size))
    for row, values in zip(parameters, given, strict=True):
        row[:] = values
    path = np.empty((steps // every + 1, begin.size), dtype=np.complex128)
    _trajectories(begin, parameters, float(dt), every, path)
    return path


@njit(parallel=True, cache=True, fastmath=FASTMATH)
def _trajectories(start, parameters, dt, every, path):
    """Run all blocks of lanes; `parameters` has the rows omega_0, d, xi, zeta_k, a, omega_e, h."""
    for block in prange((start.size + _LANES - 1) // _LANES):
        _block(block * _LANES, start, parameters, dt, every, path)


@njit(cache=True, fastmath=FASTMATH)
def _block(first, start, parameters, dt, every, path):
    """Advance the lanes from `first` on and record them; the last lane of the batch fills up the block."""
    cell = np.empty(11 * _LANES)
    for j in range(_LANES):
        lane = min(first + j, start.size - 1)
        half_turn = 0.5 * dt * parameters[5, lane]
        cell[_X + j], cell[_Y + j] = start[lane].real, start[lane].imag
        cell[_OMEGA0 + j] = parameters[0, lane]
        cell[_D + j] = parameters[1, lane]
        cell[_XI + j] = parameters[2, lane]
        cell[_ZETA_K + j] = parameters[3, lane]
        cell[_A + j] = parameters[4, lane]
        cell[_FORCE + j], cell[_SIDE + j] = parameters[6, lane], 0.0
        cell[_COS + j], cell[_SIN + j] = math.cos(half_turn), math.sin(half_turn)
    for sample in range(path.shape[0]):
        for _ in range(every if sample > 0 else 0):
            _step(cell, dt)
        for j in range(min(_LANES, start.size - first)):
            path[sample, first + j] = complex(cell[_X + j], cell[_Y + j])


@njit(cache=True, fastmath=FASTMATH)
def _step(cell, dt):
    """Advance the cores by one Runge-Kutta step and the drive, turning by half steps, with them."""
    for j in range(_LANES):
        x, y = cell[_X + j], cell[_Y + j]
        omega0, d, xi, zeta_k, a = (
            cell[_OMEGA0 + j],
            cell[_D + j],
            cell[_XI + j],
            cell[_ZETA_K + j],
            cell[_A + j],
        )
        now, side, cosine, sine = cell[_FORCE + j], cell[_SIDE + j], cell[_COS + j], cell[_SIN + j]
        middle, side = now * cosine - side * sine, now * sine + side * cosine
        then, side = middle * cosine - side * sine, middle * sine + side * cosine
        x1, y1 = _velocity(x, y, omega0, d, xi, zeta_k, a, now)
        x2, y2 = _velocity(x + 0.5 * dt * x1, y + 0.5 * dt * y1, omega0, d, xi, zeta_k, a, middle)
        x3, y3 = _velocity(x + 0.5 * dt * x2, y + 0.5 * dt * y2, omega0, d, xi, zeta_k, a, middle)
        x4, y4 = _velocity(x + dt * x3, y + dt * y3, omega0, d, xi, zeta_k, a, then)
        cell[_X + j] = x + dt / 6 * (x1 + 2 * x2 + 2 * x3 + x4)
        cell[_Y + j] = y + dt / 6 * (y1 + 2 * y2 + 2 * y3 + y4)
        cell[_FORCE + j], cell[_SIDE + j] = then, side


@njit(cache=True, fastmath=FASTMATH, error_model="numpy")
def _velocity(x, y, omega0, d, xi, zeta_k, a, force):
    """Return dX/dt and dY/dt: the balance of forces divided by i + d (1 + xi s^2)."""
    s2 = x * x + y * y
    drag = d * (1 + xi * s2)
    stiffness = 1 + zeta_k * s2
    push_x = force - stiffness * x - a * y
    push_y = a * x - stiffness * y
    scale = omega0 / (1 + drag * drag)
    return scale * (drag * push_x + push_y), scale * (drag * push_y - push_x)
