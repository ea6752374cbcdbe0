"""Kernels of `pulse_laws`: pulse trains, their coincidences, and the steps of the devices that they meet.

The work goes with the coincidences, not with the devices: each row gathers the columns that fire with it, slot after
slot, draws the noise of all of them in one vectorised sweep, and then moves its devices one after the other in the
order of time, each from where the last pulse left it. A row takes all vectors of a batch while it is in cache.

Lists hold columns in 32 bits, of which bit 31 is a sign; trains hold a slot in each bit, and the sign there as well.
"""

import math

import numpy as np
from numba import njit, prange

from labneuro.simulators.noise import FASTMATH, LANES, MANTISSA, SQRT_HALF, radii, splitmix, turn

LONGEST = 31
"""Slots of the longest pulse train; with a sign, a train fits into 32 bits."""

LINEAR, EXPONENTIAL, POWER = range(3)
"""Laws."""

ROW_TRAIN, COLUMN_TRAIN, UPDATE, PULSE = range(4)
"""What the noise is for."""

_f = np.float32
_u = np.uint32
_i = np.int32
_q = np.uint64

SIGN = _u(0x80000000)

# Least-squares polynomial of 2^f at Chebyshev points on |f| <= 1/2, relative error 1e-7.
_E1, _E2, _E3, _E4, _E5 = _f(0.69314686), _f(0.24022238), _f(0.05550893), _f(0.0096717), _f(0.00132187)


@njit(cache=True)
def _address(seed, purpose):
    """Return the 64 bits from which all noise of a purpose follows."""
    return splitmix(splitmix(_q(seed)) ^ _q(purpose))


@njit(cache=True)
def _hash(counter, low, high):
    """Return 32 bits for a counter under the key (low, high): rounds of Wellons's bijection lowbias32 about the key."""
    x = _u(counter + low)
    x = _u(_u(x ^ _u(x >> _u(16))) * _u(0x7FEB352D))
    x = _u(_u(x ^ _u(x >> _u(15))) * _u(0x846CA68B))
    x = _u(_u(x ^ _u(x >> _u(16))) ^ high)
    x = _u(_u(x ^ _u(x >> _u(16))) * _u(0x7FEB352D))
    return _u(x ^ _u(x >> _u(15)))


@njit(cache=True, fastmath=FASTMATH)
def _normals(first, key, words, radius, x, y):
    """Fill x and y with independent standard normals, pair `first`, ... under the key; words and radius are scratch."""
    low, high = _u(key & _q(0xFFFFFFFF)), _u(key >> _q(32))
    for i in range(words.size):
        words[i] = _hash(_u(first + i), low, high)
    radii(words, radius)
    for i in range(words.size):
        words[i] = _hash(words[i], high, low)
    turn(words, radius, x, y)


@njit(parallel=True, cache=True)
def fire(chance, slots, seed, purpose, number):
    """Return the trains, (vectors, lines), that fire in each of their slots with the chance |chance|."""
    bits = np.zeros(chance.shape, np.uint32)
    base = _address(seed, purpose)
    for u in prange(chance.shape[0]):
        key = splitmix(base ^ _q(number + u))
        low, high = _u(key & _q(0xFFFFFFFF)), _u(key >> _q(32))
        for i in range(chance.shape[1]):
            threshold = min(abs(chance[u, i]), 1.0) * 4294967296.0
            train = _u(0)
            for slot in range(slots[u] if threshold > 0 else 0):
                train |= _u(_u(_hash(_u(i * 32 + slot), low, high) < threshold) << _u(slot))
            bits[u, i] = train | _u(_u(chance[u, i] < 0.0) << _u(31))
    return bits


@njit(parallel=True, cache=True)
def by_slot(bits, most):
    """Return the columns, with their signs in bit 31, that fire in slot k of vector u.

    They are members[u, starts[u, k] : starts[u, k + 1]].
    """
    vectors, lines = bits.shape
    starts = np.zeros((vectors, LONGEST + 1), np.int32)
    members = np.empty((vectors, most), np.uint32)
    for u in prange(vectors):
        total = 0
        for slot in range(LONGEST):
            if total < most:
                for i in range(lines):
                    if (bits[u, i] >> _u(slot)) & _u(1):
                        members[u, total] = _u(i) | (bits[u, i] & SIGN)
                        total += 1
            starts[u, slot + 1] = total
    return starts, members


@njit(parallel=True, cache=True)
def outer(row_bits, starts, members, seed, number, hidden, visible, pulses, parameters, kind, constants):
    """Step every device in each slot in which its row and column fire; row after row, so that a row stays in cache."""
    columns = hidden.shape[1]
    base = _address(seed, UPDATE)
    for r in prange(hidden.shape[0]):
        size = _whole(2 * columns)
        chosen, words = np.empty(size, np.uint32), np.empty(size, np.uint32)
        radii, normals = np.empty(size, np.float32), np.empty(2 * size, np.float32)
        for u in range(row_bits.shape[0]):
            bits = row_bits[u, r]
            if bits & ~SIGN:
                key = splitmix(splitmix(base ^ _q(number + u)) ^ _q(r))
                first, count = 0, 0
                for slot in range(LONGEST):
                    if (bits >> _u(slot)) & _u(1):
                        for i in range(starts[u, slot], starts[u, slot + 1]):
                            chosen[count] = members[u, i] ^ (bits & SIGN)
                            count += 1
                    if count > columns or slot == LONGEST - 1:
                        _move(
                            chosen[:count],
                            first,
                            key,
                            words,
                            radii,
                            normals,
                            hidden[r],
                            visible[r],
                            pulses[r],
                            parameters[r],
                            kind,
                            constants,
                        )
                        first += count
                        count = 0


@njit(parallel=True, cache=True)
def step(counts, seed, number, hidden, visible, pulses, parameters, kind, constants):
    """Step the devices of each row together: all that have a k-th pulse to come, for k = 1, 2, ..."""
    columns = hidden.shape[1]
    base = splitmix(_address(seed, PULSE) ^ _q(number))
    for r in prange(hidden.shape[0]):
        size = _whole(columns)
        chosen, words = np.empty(size, np.uint32), np.empty(size, np.uint32)
        radii, normals = np.empty(size, np.float32), np.empty(2 * size, np.float32)
        key = splitmix(base ^ _q(r))
        left, first = 0, 0
        for j in range(columns):
            if counts[r, j] != 0:
                chosen[left] = _u(j) | (SIGN if counts[r, j] < 0 else _u(0))
                left += 1
        given = 1
        while left > 0:
            _move(
                chosen[:left],
                first,
                key,
                words,
                radii,
                normals,
                hidden[r],
                visible[r],
                pulses[r],
                parameters[r],
                kind,
                constants,
            )
            first += left
            kept = 0
            for i in range(left):
                if abs(counts[r, chosen[i] & ~SIGN]) > given:
                    chosen[kept] = chosen[i]
                    kept += 1
            left = kept
            given += 1


@njit(cache=True)
def _whole(count):
    """Return the next multiple of LANES: a vectorised loop over so many has no remainder."""
    return (count + LANES - 1) // LANES * LANES


@njit(cache=True, fastmath=FASTMATH)
def _move(chosen, first, key, words, radii, normals, hidden, visible, pulses, parameters, kind, constants):
    """Move devices of one row by a pulse each, in the order given: down where bit 31 of `chosen` is set."""
    relative, additive, floor, slope, write = constants[0], constants[1], constants[2], constants[3], constants[4]
    count = chosen.size
    # The normals of the steps, then those of the writing; without the latter both halves of the pairs are for steps.
    pairs = _whole(count if write > 0 else (count + 1) // 2)
    if relative > 0 or additive > 0 or write > 0:
        _normals(first, key, words[:pairs], radii[:pairs], normals[:pairs], normals[pairs : 2 * pairs])
    else:
        normals[:count] = 0
    for i in range(count):
        j = chosen[i] & ~SIGN
        down = chosen[i] >> _u(31)
        sense = _f(1) - _f(2) * _f(down)
        w, low, high = hidden[j], parameters[j, 0], parameters[j, 1]
        size, bend = parameters[j, 2 + down], parameters[j, 4 + down]
        if kind == LINEAR:
            part = _f(1) - bend * w
        elif kind == EXPONENTIAL:
            part = max(_f(1) - constants[5 + down] * _exponential(bend * w), _f(0))
        else:
            room = w - low if down else high - w
            part = _exponential(bend * _logarithm(room / (high - low))) if room > 0 else _f(0)
        move = size * part
        spread = relative * abs(move) + additive * size + floor + slope * abs(w)
        w += sense * (move + spread * normals[i])
        w = w if w < high else high
        w = w if w > low else low
        hidden[j] = w
        pulses[j] += _u(1)
        if write > 0:
            visible[j] = w + (write * normals[pairs + i] if size > 0 else _f(0))


@njit(cache=True, fastmath=FASTMATH)
def _exponential(value):
    """Return exp(value), value below 80, to a few 1e-7: 2^n times a polynomial of the rest."""
    z = (value if value > _f(-80) else _f(-80)) * _f(1.44269504)
    n = _f(_f(z + _f(12582912.0)) - _f(12582912.0))  # 1.5 x 2^23: the sum has no room for a fraction
    f = z - n
    series = ((((_E5 * f + _E4) * f + _E3) * f + _E2) * f + _E1) * f + _f(1)
    return _f(series * _i((_i(n) + _i(127)) << _i(23)).view(_f))


@njit(cache=True, fastmath=FASTMATH)
def _logarithm(value):
    """Return ln(value) to 1e-7, by the series of the inverse hyperbolic tangent about the nearest power of two."""
    bits = _i(_f(value).view(_i) - SQRT_HALF)
    f = _i((bits & MANTISSA) + SQRT_HALF).view(_f) - _f(1)
    s = f / (_f(2) + f)
    q = s * s
    series = (((_f(1 / 9) * q + _f(1 / 7)) * q + _f(1 / 5)) * q + _f(1 / 3)) * q + _f(1)
    return _f(bits >> _i(23)) * _f(math.log(2.0)) + _f(2) * s * series
