"""The nonlinear auto-oscillator on paper: stationary state, linewidth, locking ranges.

The model is dc/dt = [i omega(p) - Gamma_+(p) + Gamma_-(p)] c + forces, with the power p = |c|^2 and

    omega(p)   = omega_0 + N p
    Gamma_+(p) = Gamma_G (1 + Q p)
    Gamma_-(p) = sigma I (1 - p) = zeta Gamma_G (1 - p),    zeta = I / I_th

(A. Slavin and V. Tiberkevich, IEEE Trans. Magn. 45, 1875 (2009), with the phase turning as e^{+i omega t}).
Here stand its closed relations, on floats or arrays; `oscillators` integrates it. Rates (Gamma_G, Gamma_p, N,
forces, couplings, detunings) are in rad/s, frequencies and linewidths in Hz, powers p dimensionless.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from labneuro.units import FloatArray

_PHASES = 4096
"""Grid on which stable stretches of the locked states are looked for; root finding refines their ends."""


def power(zeta: ArrayLike, q: ArrayLike) -> FloatArray:
    """Return the power of free oscillation, (zeta - 1)/(zeta + q), or 0 below threshold."""
    zeta = np.asarray(zeta, dtype=np.float64)
    return np.maximum(zeta - 1, 0.0) / (zeta + np.asarray(q))


def frequency(natural_frequency: ArrayLike, shift: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return the frequency at power `p`, Hz: `natural_frequency` (Hz) + N p / 2 pi; `shift` is N, rad/s."""
    return np.asarray(natural_frequency, dtype=np.float64) + np.asarray(shift) * np.asarray(p) / math.tau


def power_relaxation_rate(damping: ArrayLike, zeta: ArrayLike) -> FloatArray:
    """Return Gamma_p = Gamma_G (zeta - 1), rad/s; `damping` is Gamma_G, rad/s.

    Small deviations of the power fade as e^{-2 Gamma_p t}, so the relaxation time is 1/(2 Gamma_p). Above
    threshold Gamma_p is (dGamma_+/dp - dGamma_-/dp) p0.
    """
    return np.asarray(damping, dtype=np.float64) * (np.asarray(zeta) - 1)


def nonlinearity(shift: ArrayLike, damping: ArrayLike, zeta: ArrayLike, q: ArrayLike) -> FloatArray:
    """Return nu = N p0 / Gamma_p = N / [Gamma_G (zeta + q)]; `shift` is N and `damping` Gamma_G, rad/s."""
    return np.asarray(shift, dtype=np.float64) / (np.asarray(damping) * (np.asarray(zeta) + np.asarray(q)))


def shift_for_nonlinearity(nu: ArrayLike, damping: ArrayLike, zeta: ArrayLike, q: ArrayLike) -> FloatArray:
    """Return the frequency shift N, rad/s, that gives the nonlinearity `nu`: `nonlinearity` inverted."""
    return np.asarray(nu, dtype=np.float64) * np.asarray(damping) * (np.asarray(zeta) + np.asarray(q))


def linewidth(p0: ArrayLike, nu: ArrayLike, noise: ArrayLike) -> FloatArray:
    """Return the full width at half maximum of the free oscillation's line, (1 + nu^2) D_n / (2 pi p0), Hz.

    `noise` is D_n, 1/s, in <f_n(t) f_n*(t')> = 2 D_n delta(t - t'). The line is this Lorentzian while it is
    much narrower than Gamma_p / pi (Kim, Tiberkevich and Slavin, Phys. Rev. Lett. 100, 017207, 2008).
    """
    return (1 + np.asarray(nu, dtype=np.float64) ** 2) * np.asarray(noise) / (math.tau * np.asarray(p0))


def noise_for_linewidth(width: ArrayLike, p0: ArrayLike, nu: ArrayLike) -> FloatArray:
    """Return the noise D_n, 1/s, that gives a line of full width `width`, Hz: the inverse of `linewidth`."""
    return math.tau * np.asarray(p0) * np.asarray(width) / (1 + np.asarray(nu, dtype=np.float64) ** 2)


def adler_half_width(force: ArrayLike, p0: ArrayLike, nu: ArrayLike) -> FloatArray:
    """Return the largest detuning at which a weak drive locks, sqrt(1 + nu^2) F / sqrt(p0), rad/s.

    The power is taken to follow the phase at once: this holds while the result is much smaller than Gamma_p.
    `locking_range` holds for any drive.
    """
    return np.hypot(1.0, nu) * np.abs(force) / np.sqrt(np.asarray(p0, dtype=np.float64))


def mutual_half_range(coupling: ArrayLike, nu: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Return the largest |omega_1 - omega_2|, rad/s, at which two like oscillators lock to each other.

    Each feels Omega e^{i beta} c of the other, `coupling` being Omega, rad/s, and `beta` a phase, rad. Weak
    coupling gives 2 Omega sqrt(1 + nu^2) |cos(beta + arctan nu)|: a real coupling gains nothing from the
    nonlinearity, one with beta near a quarter turn gains all of it.
    """
    nu = np.asarray(nu, dtype=np.float64)
    return 2 * np.abs(coupling) * np.hypot(1.0, nu) * np.abs(np.cos(np.asarray(beta) + np.arctan(nu)))


def locking_range(force: float, p0: float, nu: float, relaxation_rate: float) -> tuple[float, float]:
    """Return the detunings (lower, upper) between which a drive of any strength holds the oscillator.

    Detunings are those of the drive from the free oscillation, omega_drive - omega_free, rad/s; `force` is F
    in dc/dt = ... + F e^{i omega_drive t}, rad/s; `relaxation_rate` is Gamma_p, rad/s.

    In a frame that turns with the drive, in units of sqrt(p0) and 1/Gamma_p, the model is
    du/dt = (1 - |u|^2) u + i [nu (|u|^2 - 1) - delta] u + f with f = F / (sqrt(p0) Gamma_p). Its fixed points
    u = y e^{i psi} have y^3 - y = f cos(psi) and delta = nu (y^2 - 1) - f sin(psi) / y, so that psi alone
    names them; the trace (y^2 > 1/2) and the determinant of the Jacobian tell which are stable. The range is
    the unbroken interval around zero detuning in which at least one of them is.

    It ends in a saddle-node bifurcation, beyond which the phase slips, or, for strong drives (f > 1/sqrt 8),
    in a Hopf bifurcation at p = p0/2, beyond which the power beats; the mean frequency then still follows the
    drive a little farther out. Near the ends of strong drives the oscillator may beat or be locked, by its
    past: a locked one is held through the whole range, a free one is caught for certain only in part of it
    (at worst in 0.7 of the upper half for nu = 3, in 0.5 for nu = 5).

    Raises ValueError for an oscillator below threshold (p0 or Gamma_p not positive).
    """
    if not (p0 > 0 and relaxation_rate > 0):
        raise ValueError(
            f"nothing oscillates freely with p0 = {p0:g} and Gamma_p = {relaxation_rate:g} rad/s: "
            f"take a current above threshold"
        )
    f = abs(force) / (math.sqrt(p0) * relaxation_rate)
    if f == 0:
        return 0.0, 0.0
    # The grid is centred on zero detuning, where the oscillator is always locked; at its ends it never is.
    psi = math.atan(nu) + np.linspace(-math.pi, math.pi, _PHASES + 1)
    stable = _stability(psi, f, nu) > 0
    ends = [_root(_stability, psi[k], psi[k + 1], (f, nu)) for k in np.flatnonzero(stable[:-1] != stable[1:])]
    detunings = _detuning(np.array(ends), f, nu).reshape(-1, 2)
    lower = upper = 0.0
    for _ in detunings:
        for start, stop in np.sort(detunings):
            if start <= upper and stop >= lower:
                lower, upper = min(lower, float(start)), max(upper, float(stop))
    return lower * relaxation_rate, upper * relaxation_rate


def force_for_locking_width(width: float, p0: float, nu: float, relaxation_rate: float) -> float:
    """Return the force F, rad/s, whose `locking_range` is `width` wide from end to end, rad/s.

    Raises ValueError for a width that is not positive and for an oscillator below threshold.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"a locking range can't be {width:g} rad/s wide: ask for a positive, finite width")
    if not (p0 > 0 and relaxation_rate > 0):
        locking_range(0.0, p0, nu, relaxation_rate)

    def excess(log_force: float) -> float:
        lower, upper = locking_range(math.exp(log_force), p0, nu, relaxation_rate)
        return (upper - lower) / width - 1

    low = high = math.log(0.5 * width / float(adler_half_width(1.0, p0, nu)))
    while excess(low) > 0:
        low -= 1
    while excess(high) < 0:
        high += 1
    return math.exp(_root(excess, low, high, ()))


def _fixed_point(psi: FloatArray, f: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return y^2, y^2 - 1 and f sin(psi) / y, with y the largest root of y^3 - y = f cos(psi)."""
    k = f * np.cos(psi)
    h = np.maximum(1.5 * math.sqrt(3) * k, -1.0)  # below -1 that root is gone, long after stability
    y = 2 / math.sqrt(3) * np.cosh(np.arccosh(np.maximum(h, 1.0)) / 3) * np.cos(np.arccos(np.minimum(h, 1.0)) / 3)
    return y * y, k / y, f * np.sin(psi) / y


def _stability(psi: FloatArray, f: float, nu: float) -> FloatArray:
    """Return a margin, positive where the fixed point is stable: determinant > 0 and trace < 0."""
    x, above, pull = _fixed_point(psi, f)
    return np.minimum(pull * pull + 2 * nu * x * pull + above * (3 * x - 1), x - 0.5)


def _detuning(psi: FloatArray, f: float, nu: float) -> FloatArray:
    _, above, pull = _fixed_point(psi, f)
    return nu * above - pull


def _root(function: Callable[..., Any], start: float, stop: float, arguments: tuple[float, ...]) -> float:
    return float(brentq(function, start, stop, args=arguments, xtol=1e-14))
