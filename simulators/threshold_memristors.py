"""Memristors that move above a threshold voltage: VTEAM, Yakopcic, Stanford-PKU and the data-driven model of ArC.

Each family is a tuple of parameters, a kernel `..._states` that drives devices with voltages, held for `duration` each,
and, where the state is not the resistance, `..._current`, what they let through. Arrays have the device last: state
(devices,), voltages (samples, devices), answer (samples, devices), the state at the end of each sample. SI units. A
pulse is one sample, an I-V loop many. None has noise; parameter sets say where they come from.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from labneuro.units import FloatArray


class Vteam(NamedTuple):
    """VTEAM (Kvatinsky et al., IEEE Trans. Circuits Syst. II 62, 786 (2015)): a boundary x between 0 (on) and d (off).

        dx/dt = k_off (V/v_off - 1)^a_off   V > v_off,      k_on (V/v_on - 1)^a_on   V < v_on,      else 0
        R = r_on + (r_off - r_on) x/d

    Defaults are those of MemTorch (Lammie et al., arXiv:2004.10971).
    """

    r_on: float = 50.0
    r_off: float = 1e3
    d: float = 3e-9
    k_on: float = -10.0
    k_off: float = 5e-4
    a_on: float = 3.0
    a_off: float = 1.0
    v_on: float = -0.2
    v_off: float = 0.02


class Yakopcic(NamedTuple):
    """The generalised model of Yakopcic et al., IEEE Electron Device Lett. 32, 1436 (2011): a state x in [0, 1].

    I = a1 x sinh(b V)   V >= 0,      a2 x sinh(b V)   V < 0
    dx/dt = eta g(V) f(x)
    g = a_p (exp(V) - exp(v_p))   V > v_p,      -a_n (exp(-V) - exp(v_n))   V < -v_n,      else 0
    f, up:   exp(-alpha_p (x - x_p)) [(x_p - x)/(1 - x_p) + 1]   x >= x_p,      else 1
    f, down: exp(alpha_n (x + x_n - 1)) x/(1 - x_n)   x <= 1 - x_n,      else 1
    """

    a1: float
    a2: float
    b: float
    a_p: float
    a_n: float
    v_p: float
    v_n: float
    alpha_p: float
    alpha_n: float
    x_p: float
    x_n: float
    eta: float = 1.0


YAKOPCIC = {
    "Oblea": Yakopcic(0.17, 0.17, 0.05, 4000.0, 4000.0, 0.16, 0.15, 1.0, 5.0, 0.3, 0.5),
    "Oblea, pulsed": Yakopcic(0.097, 0.097, 0.05, 4000.0, 4000.0, 0.16, 0.15, 1.0, 5.0, 0.3, 0.5),
    "Miao": Yakopcic(0.11, 0.11, 0.5, 7.5, 2.0, 0.09, 0.75, 1.0, 5.0, 0.3, 0.5),
    "Jo": Yakopcic(3.7e-7, 4.35e-7, 0.7, 0.005, 0.08, 1.5, 0.5, 1.2, 3.0, 0.2, 0.5),
}
"""Fits to published devices, from the code of T. Tiotto's Memristor-Models."""


class StanfordPku(NamedTuple):
    """Stanford-PKU filament (Jiang et al., SISPAD 2014): a gap g between filament and electrode.

        I = i0 exp(-g/g0) sinh(V/v0)
        T = t0 + |V I| r_th
        dg/dt = -velocity exp(-q E_a/kT) sinh(gamma a0 q V/(t_ox k T)),      gamma = gamma0 - beta (g/1 nm)^3

    Defaults are those of MemTorch; the bounds of the gap are from memory of the model's Verilog-A.
    """

    i0: float = 1e-3
    g0: float = 0.25e-9
    v0: float = 0.25
    t0: float = 298.0
    r_th: float = 2.1e3
    velocity: float = 10.0
    e_a: float = 0.6
    a0: float = 0.25e-9
    t_ox: float = 12e-9
    gamma0: float = 16.0
    beta: float = 0.8
    g_min: float = 0.2e-9
    g_max: float = 1.7e-9


class DataDriven(NamedTuple):
    """The data-driven memristor (Messaris et al., IEEE Trans. CAD 37, 3151 (2018)): its resistance R is the state.

        dR/dt = s(V) (r(V) - R)^2   while V > 0 and R < r, or V < 0 and R > r
        s = a_p (exp(V/t_p) - 1)   V > 0,      a_n (exp(-V/t_n) - 1)   V < 0
        r = a0_p + a1_p V   V > 0,      a0_n + a1_n V   V < 0

    With V constant, R(t) = r - (r - R0)/(1 + s (r - R0) t). Defaults are those of ArC ONE's virtual devices.
    """

    a_p: float = 11.483
    a_n: float = -11.483
    t_p: float = 1.731
    t_n: float = 1.731
    a0_p: float = 9000.0
    a0_n: float = 5000.0
    a1_p: float = 500.0
    a1_n: float = 500.0


ALTERNATIVE_FIT = DataDriven(11.483, -0.17658, 1.731, 1.298, 5055.0, 7586.0, -139.0, 4027.0)
"""The second fit in ArC ONE's code."""

_CHARGE_OVER_K = 1.602176634e-19 / 1.380649e-23


def vteam_current(x: ArrayLike, voltage: ArrayLike, p: Vteam) -> FloatArray:
    """Return the current at boundary x, m, and voltage."""
    return np.asarray(voltage) / (p.r_on + (p.r_off - p.r_on) * np.asarray(x) / p.d)


@njit(cache=True)
def vteam_states(x, voltages, duration, p):
    """Return the boundaries, m, after each sample: exact, as a constant voltage moves them at a constant speed."""
    states = np.empty(voltages.shape)
    for k in range(x.size):
        now = x[k]
        for i in range(voltages.shape[0]):
            v = voltages[i, k]
            if v > p.v_off:
                now = min(now + duration * p.k_off * (v / p.v_off - 1) ** p.a_off, p.d)
            elif v < p.v_on:
                now = max(now + duration * p.k_on * (v / p.v_on - 1) ** p.a_on, 0.0)
            states[i, k] = now
    return states


def yakopcic_current(x: ArrayLike, voltage: ArrayLike, p: Yakopcic) -> FloatArray:
    """Return the current at state x and voltage."""
    return np.where(np.asarray(voltage) >= 0, p.a1, p.a2) * x * np.sinh(p.b * np.asarray(voltage))


@njit(cache=True)
def _yakopcic_speed(x, up, rate, p):
    if up:
        window = math.exp(-p.alpha_p * (x - p.x_p)) * ((p.x_p - x) / (1 - p.x_p) + 1) if x >= p.x_p else 1.0
    else:
        window = math.exp(p.alpha_n * (x + p.x_n - 1)) * x / (1 - p.x_n) if x <= 1 - p.x_n else 1.0
    return rate * window


@njit(cache=True)
def yakopcic_states(x, voltages, duration, p):
    """Return the states after each sample, by Runge-Kutta of fourth order in steps that move x by at most 0.01."""
    states = np.empty(voltages.shape)
    for k in range(x.size):
        now = x[k]
        for i in range(voltages.shape[0]):
            v = voltages[i, k]
            rate = 0.0
            if v > p.v_p:
                rate = p.eta * p.a_p * (math.exp(v) - math.exp(p.v_p))
            elif v < -p.v_n:
                rate = -p.eta * p.a_n * (math.exp(-v) - math.exp(p.v_n))
            up = p.eta * v >= 0
            left = duration if rate != 0 else 0.0
            while left > 0:
                h = min(left, 0.01 / abs(rate))
                s1 = _yakopcic_speed(now, up, rate, p)
                s2 = _yakopcic_speed(now + h / 2 * s1, up, rate, p)
                s3 = _yakopcic_speed(now + h / 2 * s2, up, rate, p)
                s4 = _yakopcic_speed(now + h * s3, up, rate, p)
                step = h / 6 * (s1 + 2 * s2 + 2 * s3 + s4)
                now = min(max(now + step, 0.0), 1.0)
                left = left - h if abs(step) > 1e-15 else 0.0
            states[i, k] = now
    return states


def stanford_pku_current(gap: ArrayLike, voltage: ArrayLike, p: StanfordPku) -> FloatArray:
    """Return the current at a gap, m, and voltage."""
    return p.i0 * np.exp(-np.asarray(gap) / p.g0) * np.sinh(np.asarray(voltage) / p.v0)


@njit(cache=True)
def _gap_speed(gap, v, p):
    temperature = p.t0 + abs(v * p.i0 * math.exp(-gap / p.g0) * math.sinh(v / p.v0)) * p.r_th
    gamma = p.gamma0 - p.beta * (gap / 1e-9) ** 3
    beta = _CHARGE_OVER_K / temperature
    return -p.velocity * math.exp(-p.e_a * beta) * math.sinh(gamma * p.a0 * v * beta / p.t_ox)


@njit(cache=True)
def stanford_pku_states(gap, voltages, duration, p):
    """Return the gaps, m, after each sample, by the midpoint rule in steps that move a gap by at most g0/100."""
    states = np.empty(voltages.shape)
    for k in range(gap.size):
        now = gap[k]
        for i in range(voltages.shape[0]):
            v, left = voltages[i, k], duration
            while left > 0:
                speed = _gap_speed(now, v, p)
                h = left if abs(speed) * left < 0.01 * p.g0 else 0.01 * p.g0 / abs(speed)
                middle = min(max(now + h / 2 * speed, p.g_min), p.g_max)
                before = now
                now = min(max(now + h * _gap_speed(middle, v, p), p.g_min), p.g_max)
                left = left - h if now != before else 0.0
            states[i, k] = now
    return states


@njit(cache=True)
def data_driven_states(resistance, voltages, duration, p):
    """Return the resistances, ohm, after each sample: exact, by the closed form."""
    states = np.empty(voltages.shape)
    for k in range(resistance.size):
        now = resistance[k]
        for i in range(voltages.shape[0]):
            v = voltages[i, k]
            if v > 0:
                distance, rate = p.a0_p + p.a1_p * v - now, p.a_p * (math.exp(v / p.t_p) - 1)
            else:
                distance, rate = p.a0_n + p.a1_n * v - now, p.a_n * (math.exp(-v / p.t_n) - 1)
            if v != 0 and distance * v > 0:
                now += distance - distance / (1 + rate * distance * duration)
            states[i, k] = now
    return states
