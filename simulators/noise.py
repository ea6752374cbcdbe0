"""Gaussian noise for kernels: one stream a lane, so that a result depends neither on threads nor on batches.

A lane is one operating point of a batch. Its stream is started by hashing (seed, number of the lane), so noise is
addressed by two integers and there is no state to lose: point 17 of seed 3 hears the same noise alone, in a batch of
a million, and after a crash. The generator is SFC32 (Doty-Humphrey's small fast chaotic generator with a counter,
PractRand 0.94; 128 bits of state, period at least 2^32); pairs of normal variates come from its words by the
transform of Box and Muller, Ann. Math. Stat. 29, 610 (1958), in single precision, which keeps eight lanes in one
AVX2 register. A normal reaches 6.66 standard deviations, the largest radius that 31 random bits can address.

Buffers are contiguous with lanes last, so that every loop here vectorises; each loop keeps few enough constants to
hold them in registers.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FASTMATH = {"contract", "nsz"}
"""Fused multiply-add and unsigned zeros only: nothing that lets a result depend on how a loop was cut."""

LANES = 32
"""Lanes that a kernel advances together: a whole number of vector registers, few enough to stay in the first cache."""

_f = np.float32
_u = np.uint32
_i = np.int32

# Least-squares polynomials at Chebyshev points: ln(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1], relative error 1.2e-6;
# sin(pi v) / v and cos(pi v) in w = v^2 on |v| <= 1/2, absolute errors 1.2e-6 and 5e-8.
_L0, _L1, _L2, _L3 = _f(1.00000095), _f(-0.50001144), _f(0.33314675), _f(-0.24908289)
_L4, _L5, _L6 = _f(0.20491759), _f(-0.18680751), _f(0.11931054)
_S0, _S1, _S2, _S3 = _f(3.14159036), _f(-5.16740656), _f(2.54401040), _f(-0.55946243)
_C0, _C1, _C2, _C3, _C4 = _f(0.99999994), _f(-4.93479300), _f(4.05841112), _f(-1.33187652), _f(0.21968961)
_LN2 = _f(math.log(2.0))
SQRT_HALF = _i(0x3F3504F3)  # the bits of sqrt(1/2) in single precision
MANTISSA = _i(0x007FFFFF)


@njit(cache=True)
def splitmix(counter: np.uint64) -> np.uint64:
    """Hash 64 bits (Steele, Lea and Flood, OOPSLA 2014; constants of Stafford's variant 13)."""
    z = np.uint64(counter)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def start_stream(seed: int, lane: int, words: NDArray[np.uint32]) -> None:
    """Write the four starting words of stream `lane` of `seed` to `words`, (4,): 96 hashed bits and a counter of 1."""
    key = splitmix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    first = splitmix(key ^ splitmix(np.uint64(2 * lane + 1)))
    second = splitmix(first + np.uint64(0x9E3779B97F4A7C15))
    words[0] = _u(first & np.uint64(0xFFFFFFFF))
    words[1] = _u(first >> np.uint64(32))
    words[2] = _u(second & np.uint64(0xFFFFFFFF))
    words[3] = _u(1)


@njit(fastmath=FASTMATH, cache=True)
def _draw_words(a, b, c, d, first, second):
    """Advance the streams; fill `first` and `second`, (draws, lanes), with a random word each."""
    for k in range(first.shape[0]):
        for l in range(a.size):
            a0, b0, c0, d0 = a[l], b[l], c[l], d[l]
            w0 = _u(_u(a0 + b0) + d0)
            a1 = _u(b0 ^ _u(b0 >> _u(9)))
            b1 = _u(c0 + _u(c0 << _u(3)))
            c1 = _u(_u(_u(c0 << _u(21)) | _u(c0 >> _u(11))) + w0)
            w1 = _u(_u(a1 + b1) + _u(d0 + _u(1)))
            a[l] = _u(b1 ^ _u(b1 >> _u(9)))
            b[l] = _u(c1 + _u(c1 << _u(3)))
            c[l] = _u(_u(_u(c1 << _u(21)) | _u(c1 >> _u(11))) + w1)
            d[l] = _u(d0 + _u(2))
            first[k, l] = w0
            second[k, l] = w1


@njit(fastmath=FASTMATH, cache=True)
def radii(words, radius):
    """Fill `radius` with ±sqrt(-2 ln u): u from the upper 31 bits and a half, sign from the last."""
    for k in range(words.size):
        u = _f((_f(_i(words[k] >> _u(1))) + _f(0.5)) * _f(2.0**-31))
        bits = _i(_f(u).view(_i) - SQRT_HALF)
        exponent = _f(bits >> _i(23))
        f = _i((bits & MANTISSA) + SQRT_HALF).view(_f) - _f(1.0)
        series = ((((((_L6 * f + _L5) * f + _L4) * f + _L3) * f + _L2) * f + _L1) * f + _L0) * f
        # Rounding may lift u to exactly 1, where the series gives a few -1e-7: the absolute value keeps the root real.
        r = _f(math.sqrt(abs(_f(2.0) * (exponent * _LN2 + series))))
        radius[k] = _u(_f(r).view(_u) | _u(words[k] << _u(31))).view(_f)


@njit(fastmath=FASTMATH, cache=True)
def turn(words, radius, x, y):
    """Fill `x` and `y` with the radii turned by an angle uniform in ±pi/2; their sign makes the circle full."""
    for k in range(words.size):
        v = _f(_i(words[k])) * _f(2.0**-32)
        w = v * v
        sine = ((_S3 * w + _S2) * w + _S1) * w + _S0
        cosine = (((_C4 * w + _C3) * w + _C2) * w + _C1) * w + _C0
        x[k] = radius[k] * cosine
        y[k] = radius[k] * (sine * v)


@njit(fastmath=FASTMATH, cache=True)
def draw_pairs(streams, first, second, radius, x, y):
    """Draw pairs of independent standard normals and advance the streams.

    streams: (4, lanes), uint32. first, second, radius: scratch, (draws, lanes), uint32 and float32. x, y: the normals,
    (draws, lanes), float32.
    """
    _draw_words(streams[0], streams[1], streams[2], streams[3], first, second)
    radii(first.ravel(), radius.ravel())
    turn(second.ravel(), radius.ravel(), x.ravel(), y.ravel())


@njit(cache=True)
def _fill(seed, first_lane, pairs):
    draws, lanes = pairs.shape[1:]
    streams = np.empty((4, LANES), np.uint32)
    words = np.empty((2, draws, LANES), np.uint32)
    reals = np.empty((3, draws, LANES), np.float32)
    for block in range(0, lanes, LANES):
        width = min(LANES, lanes - block)
        for l in range(LANES):
            start_stream(seed, first_lane + block + l, streams[:, l])
        draw_pairs(streams, words[0], words[1], reals[0], reals[1], reals[2])
        pairs[:, :, block : block + width] = reals[1:, :, :width]


def normal_pairs(seed: int, lanes: int, draws: int, *, first_lane: int = 0) -> NDArray[np.float32]:
    """Return (2, draws, lanes) standard normals: the first `draws` pairs of streams `first_lane`, ... of `seed`."""
    pairs = np.empty((2, draws, lanes), np.float32)
    _fill(seed, first_lane, pairs)
    return pairs
