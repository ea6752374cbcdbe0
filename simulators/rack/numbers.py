"""Numbers as instruments write them: one format a make, and traces fast."""

import math
from collections.abc import Callable

import numpy as np

from labneuro.units import FloatArray

Format = Callable[[float], str]


def scientific(digits: int, *, signed: bool = True) -> Format:
    """Return the format +1.234E-03 with so many digits after the point; infinities and NaN as SCPI-99 has them."""
    template = f"%{'+' if signed else ''}.{digits}E"

    def write(value: float) -> str:
        return template % special(value)

    return write


def plain(value: float) -> str:
    """Write a number the shortest way, whole ones without point: 1000000000, 0.001."""
    value = special(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def special(value: float) -> float:
    """Return `value`, or what stands for infinity and NaN on the wire."""
    if math.isfinite(value):
        return float(value)
    return 9.91e37 if math.isnan(value) else math.copysign(9.9e37, value)


_FOUR_DIGITS = np.array([list(b"%04d" % i) for i in range(10_000)], dtype=np.uint8)


def values(trace: FloatArray) -> str:
    """Write a trace as -1.23456789E+01 with commas between; a hundred times faster than one number after the other.

    Exponents have two digits: smaller than 1e-99 is 0.
    """
    finite = np.nan_to_num(trace, nan=9.91e37, posinf=9.9e37, neginf=-9.9e37)
    size = np.abs(finite)
    size[size < 1e-99] = 0
    exponent = np.floor(np.log10(size, out=np.zeros_like(size), where=size > 0)).astype(np.int64)
    digits = np.rint(size * 10.0 ** (8 - exponent)).astype(np.int64)
    carried = digits >= 1_000_000_000
    digits[carried] //= 10
    exponent[carried] += 1
    text = np.empty((trace.size, 16), dtype=np.uint8)
    text[:, 0] = np.where(finite < 0, ord("-"), ord("+"))
    text[:, 1] = ord("0") + digits // 100_000_000
    text[:, 2] = ord(".")
    text[:, 3:7] = _FOUR_DIGITS[digits // 10_000 % 10_000]
    text[:, 7:11] = _FOUR_DIGITS[digits % 10_000]
    text[:, 11] = ord("E")
    text[:, 12] = np.where(exponent < 0, ord("-"), ord("+"))
    text[:, 13:15] = _FOUR_DIGITS[np.abs(exponent)][:, 2:]
    text[:, 15] = ord(",")
    return text.tobytes()[:-1].decode("ascii")


def block(data: bytes) -> str:
    """Return `data` as a definite-length block, each byte as one character."""
    length = str(len(data))
    return f"#{len(length)}{length}{data.decode('latin-1')}"
