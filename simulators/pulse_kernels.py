"""Kernels of `pulse_laws`: pulse trains, their coincidences, and the steps of the devices that they meet.

Steps are put off: vector after vector, a row appends those of each device to the device's own sequence of at most 32
directions, and then its devices step together, those with a k-th step to come, for k = 1, 2, ... While these are many,
the loops run over all columns, which vectorises; few are gathered first. In one vector a device steps in one direction,
so that the order of its slots does not matter. What is read of a device depends on its latest pulse alone, and is drawn
once, at the end of the batch.

A train holds a slot in each of its lower 31 bits, and a sign in bit 31.
"""

import math

import numpy as np
from numba import njit, prange

from labneuro.simulators.noise import FASTMATH, LANES, MANTISSA, SQRT_HALF, radii, splitmix, turn

LONGEST = 31
"""Slots of the longest pulse train; with a sign, a train fits into 32 bits."""

ROWS = 16
"""Rows that a thread takes at a time."""

FEW = 16
"""Devices of a row are few below one in so many."""

LINEAR, EXPONENTIAL, POWER = range(3)
"""Laws."""

ROW_TRAIN, COLUMN_TRAIN, UPDATE, PULSE, WRITE = range(5)
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
def _normals(number, key, words, radius, normals):
    """Fill `normals` with standard normals, those of `number` under the key; scratch has half its length."""
    low, high = _u(key & _q(0xFFFFFFFF)), _u(key >> _q(32))
    for i in range(words.size):
        words[i] = _hash(_u(number * words.size + i), low, high)
    radii(words, radius)
    for i in range(words.size):
        words[i] = _hash(words[i], high, low)
    turn(words, radius, normals[: words.size], normals[words.size :])


@njit(parallel=True, cache=True, fastmath=FASTMATH)
def fire(chance, slots, seed, purpose, number):
    """Return the trains, (vectors, lines), that fire in each of their slots with the chance |chance|, float32."""
    bits = np.zeros(chance.shape, np.uint32)
    base = _address(seed, purpose)
    for u in prange(chance.shape[0]):
        key = splitmix(base ^ _q(number + u))
        low, high = _u(key & _q(0xFFFFFFFF)), _u(key >> _q(32))
        for slot in range(slots[u]):
            for i in range(chance.shape[1]):
                # The half is lost in rounding but near 0: then nothing fires, and at a chance of 1 all do.
                threshold = abs(chance[u, i]) * _f(2.0**32) - _f(0.5)
                fires = _u(1) if _f(_hash(_u(i * 32 + slot), low, high)) <= threshold else _u(0)
                bits[u, i] = _u(bits[u, i] | _u(fires << _u(slot)))
        for i in range(chance.shape[1]):
            bits[u, i] = _u(bits[u, i] | (SIGN if chance[u, i] < 0 and bits[u, i] else _u(0)))
    return bits


@njit(parallel=True, cache=True)
def advance(given, row_bits, column_bits, seed, purpose, number, *array):
    """Give devices their steps `given`, then one in each slot in which row and column fire, vector after vector.

    given: (rows, columns), int32, below 0 down; or (rows, 0).
    """
    hidden, visible, pulses, endurance, parameters, kind, constants = array
    (rows, columns), vectors = hidden.shape, row_bits.shape[0]
    base = _address(seed, purpose)
    for block in prange((rows + ROWS - 1) // ROWS):
        scratch = _scratch(columns)
        counts, downs, before = scratch[0][0, :columns], scratch[1][0, :columns], np.empty(columns, np.uint32)
        for r in range(ROWS * block, min(ROWS * block + ROWS, rows)):
            device = hidden[r], pulses[r], endurance[r], parameters[r]
            before[:] = pulses[r]
            counts[:] = 0
            downs[:] = 0
            room = _i(32)
            if given.shape[1]:
                room = _i(0)
                for j in range(columns):
                    counts[j], downs[j] = abs(given[r, j]), ~_u(0) if given[r, j] < 0 else _u(0)
            for u in range(vectors + 1):
                fires = _ones(_u(row_bits[u, r] & ~SIGN)) if u < vectors else _i(0)
                if fires > room or u == vectors:
                    key = splitmix(splitmix(base ^ _q(number + u)) ^ _q(r))
                    _step(counts, downs, key, scratch, *device, kind, constants)
                    counts[:] = 0
                    downs[:] = 0
                    room = _i(32)
                if fires:
                    room = _i(_i(32) - _append(row_bits[u, r], column_bits[u], counts, downs))
            _write(before, splitmix(_address(seed, WRITE) ^ _q(r)), scratch, visible[r], *device, constants)


@njit(cache=True)
def _scratch(columns):
    """Return what the steps of a row need: integers, random words and reals."""
    size = _whole(columns)
    return np.zeros((3, size), np.int32), np.zeros((4, size), np.uint32), np.zeros((9, size), np.float32)


@njit(cache=True)
def _whole(count):
    """Return the next multiple of LANES: a vectorised loop over so many has no remainder."""
    return (count + LANES - 1) // LANES * LANES


@njit(cache=True)
def _ones(bits):
    """Return how many bits are set."""
    b = _u(bits - _u(_u(bits >> _u(1)) & _u(0x55555555)))
    b = _u(_u(b & _u(0x33333333)) + _u(_u(b >> _u(2)) & _u(0x33333333)))
    b = _u(_u(b + _u(b >> _u(4))) & _u(0x0F0F0F0F))
    return _i(_u(b * _u(0x01010101)) >> _u(24))


@njit(cache=True)
def _append(row, columns, counts, downs):
    """Append the steps of devices in a vector to those to come, and return the most of them.

    counts: steps to come. downs: which of them, the first in bit 0, go down.
    """
    for i in range(columns.size):
        met = _ones(_u(_u(row & columns[i]) & ~SIGN))
        ones = _u(_u(_u(1) << _u(met & _i(31))) - _u(1))
        down = _u(ones << _u(counts[i] & _i(31)))
        downs[i] = _u(downs[i] | (down if _i(_u(row ^ columns[i])) < 0 else _u(0)))
        counts[i] = _i(counts[i] + met)
    return _most(counts)


@njit(cache=True)
def _most(counts):
    most = _i(0)
    for i in range(counts.size):
        most = counts[i] if counts[i] > most else most
    return most


@njit(cache=True)
def _step(counts, downs, key, scratch, hidden, pulses, endurance, parameters, kind, constants):
    """Make the steps to come of a row, unless its devices are worn out."""
    integers, words, reals = scratch
    columns, number, gathered = hidden.size, 0, False
    left, size, bend, chosen = integers[1, :columns], reals[3, :columns], reals[4, :columns], words[2]
    _last(counts, pulses, endurance, left)
    w, low, high, laws = hidden, parameters[0], parameters[1], parameters[2:]
    busy = _busy(left, _i(0))
    while busy:
        if FEW * busy <= columns and not gathered:
            gathered, key, width = True, splitmix(key), _whole(busy)
            chosen, last = words[2, :busy], 0
            for j in range(columns):
                if left[j] > number:
                    chosen[last] = j
                    last += 1
            some = np.zeros((7, width), np.float32)
            _gather(chosen, hidden, some[0])
            for k in range(6):
                _gather(chosen, parameters[k], some[1 + k])
            w, low, high, laws = some[0], some[1], some[2], some[3:]
            left, downs = _gather(chosen, left, integers[2, :width]), _gather(chosen, downs, words[3, :width])
            left[busy:] = 0
            size, bend = size[:width], bend[:width]
        _round(_i(number), key, words[1], reals, left, downs, w, low, high, laws, size, bend, kind, constants)
        number += 1
        busy = _busy(left, _i(number))
    if gathered:
        for i in range(chosen.size):
            hidden[chosen[i]] = w[i]


@njit(cache=True)
def _last(counts, pulses, endurance, left):
    """Count the pulses of a row, and fill `left` with the steps that its devices make while they last."""
    for j in range(left.size):
        left[j] = counts[j]
    if endurance.size:
        for j in range(left.size):
            lasts = _i(endurance[j] - pulses[j]) if endurance[j] > pulses[j] else _i(0)
            left[j] = lasts if lasts < left[j] else left[j]
    for j in range(left.size):
        pulses[j] = _u(pulses[j] + _u(counts[j]))


@njit(cache=True)
def _busy(left, number):
    """Return how many devices have more than `number` steps to make."""
    total = _i(0)
    for j in range(left.size):
        total = _i(total + _i(left[j] > number))
    return total


@njit(cache=True)
def _gather(chosen, values, out):
    for i in range(chosen.size):
        out[i] = values[chosen[i]]
    return out


@njit(cache=True)
def _round(number, key, words, reals, left, downs, w, low, high, laws, size, bend, kind, constants):
    """Make step `number` of all devices that have so many, and leave the others where they are."""
    half = _whole((w.size + 1) // 2)
    normals, part = reals[6:8].ravel()[: 2 * half], reals[8, : w.size]
    if constants[0] > 0 or constants[1] > 0:
        _normals(number, key, words[:half], reals[5, :half], normals)
    _choose(min(number, _i(31)), downs, laws[0], laws[1], _f(-1), size)
    _choose(min(number, _i(31)), downs, laws[2], laws[3], _f(1), bend)
    if kind == LINEAR:
        _linear_part(w, bend, part)
    elif kind == EXPONENTIAL:
        _exponential_part(w, size, bend, constants[5], constants[6], part)
    else:
        _power_part(w, low, high, size, bend, part)
    _move(number, left, size, part, normals, low, high, constants, w)


@njit(cache=True)
def _choose(bit, downs, up, down, sign, out):
    """Fill `out` with `up`, or with `sign` times `down` where the bit is set."""
    mask = _u(_u(1) << _u(bit))
    for i in range(out.size):
        one, other = up[i], sign * down[i]
        out[i] = other if downs[i] & mask else one


@njit(cache=True, fastmath=FASTMATH)
def _linear_part(w, bend, part):
    for i in range(part.size):
        part[i] = _f(1) - bend[i] * w[i]


@njit(cache=True, fastmath=FASTMATH)
def _exponential_part(w, size, bend, up, down, part):
    for i in range(part.size):
        amplitude = down if size[i] < 0 else up
        y = _f(1) - amplitude * exponential(bend[i] * w[i])
        part[i] = y if y > 0 else _f(0)


@njit(cache=True, fastmath=FASTMATH)
def _power_part(w, low, high, size, bend, part):
    for i in range(part.size):
        room = w[i] - low[i] if size[i] < 0 else high[i] - w[i]
        part[i] = exponential(bend[i] * logarithm(room / (high[i] - low[i]))) if room > 0 else _f(0)


@njit(cache=True, fastmath=FASTMATH)
def _move(number, left, size, part, normals, low, high, constants, w):
    """Move by a step, with its noise, those that have more than `number` of them; sizes are below 0 to go down."""
    relative, additive, floor, slope = constants[0], constants[1], constants[2], constants[3]
    for i in range(w.size):
        lowest, highest = low[i], high[i]
        move = size[i] * part[i]
        spread = relative * abs(move) + additive * abs(size[i]) + floor + slope * abs(w[i])
        # A factor, not a condition: with one, this loop is not vectorised.
        goes = _f(1) if left[i] > number else _f(0)
        to = w[i] + goes * (move + spread * normals[i])
        to = to if to < highest else highest
        w[i] = to if to > lowest else lowest


@njit(cache=True)
def _write(before, key, scratch, visible, hidden, pulses, endurance, parameters, constants):
    """Redraw what is read of the devices of a row that stepped; the number of their last step addresses the noise."""
    if not constants[4] > 0 or (before == pulses).all():
        return
    _, words, reals = scratch
    columns = hidden.size
    was, last, first, second = words[0, :columns], words[1, :columns], words[2, :columns], words[3, :columns]
    for j in range(hidden.size):
        was[j], last[j] = before[j], pulses[j]
    if endurance.size:
        for j in range(hidden.size):
            was[j], last[j] = min(was[j], endurance[j]), min(last[j], endurance[j])
    _words(last, key, first)
    _words(first, splitmix(key), second)
    radii(first, reals[5])
    turn(second, reals[5], reals[6], reals[7])
    _apart(was, last, hidden, constants[4], reals[6], parameters[0], parameters[1], visible)


@njit(cache=True)
def _words(numbers, key, words):
    """Fill `words` with random bits for a number and its place."""
    low, high = _u(key & _q(0xFFFFFFFF)), _u(key >> _q(32))
    for j in range(numbers.size):
        words[j] = _hash(_u(numbers[j] ^ _hash(_u(j), low, high)), high, low)


@njit(cache=True, fastmath=FASTMATH)
def _apart(was, last, hidden, write, normals, lowest, highest, visible):
    for j in range(hidden.size):
        noise = write * normals[j] if lowest[j] < highest[j] else _f(0)
        now, old = hidden[j] + noise, visible[j]
        visible[j] = now if was[j] != last[j] else old


@njit(cache=True, fastmath=FASTMATH)
def exponential(value):
    """Return exp(value), value below 80, to a few 1e-7: 2^n times a polynomial of the rest."""
    z = (value if value > _f(-80) else _f(-80)) * _f(1.44269504)
    shifted = _f(z + _f(12582912.0))  # 1.5 x 2^23: the sum has no room for a fraction, and ends in the bits of n
    f = z - _f(shifted - _f(12582912.0))
    series = ((((_E5 * f + _E4) * f + _E3) * f + _E2) * f + _E1) * f + _f(1)
    return _i(_f(series).view(_i) + _i(_i(shifted.view(_i)) << _i(23))).view(_f)


@njit(cache=True, fastmath=FASTMATH)
def logarithm(value):
    """Return ln(value) to 1e-7, by the series of the inverse hyperbolic tangent about the nearest power of two."""
    bits = _i(_f(value).view(_i) - SQRT_HALF)
    f = _i((bits & MANTISSA) + SQRT_HALF).view(_f) - _f(1)
    s = f / (_f(2) + f)
    q = s * s
    series = (((_f(1 / 9) * q + _f(1 / 7)) * q + _f(1 / 5)) * q + _f(1 / 3)) * q + _f(1)
    return _f(bits >> _i(23)) * _f(math.log(2.0)) + _f(2) * s * series
