"""Numbers as instruments write them: one format a make, and traces fast."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray

Format = Callable[[float], str]


def scientific(digits: int, *, signed: bool = True) -> Format:
    """Return the format +1.234E-03 with so many digits after the point; infinities and NaN as SCPI-99 has them."""
    template = f"%{'+' if signed else ''}.{digits}E"

    def write(value: float) -> str:
        return template % (value if math.isfinite(value) else special(value))

    return write


def engineering(value: float) -> str:
    """Write five digits with an exponent that is a multiple of three: 10.000E-03, 1.0000E+00."""
    value = special(value)
    exponent = 3 * math.floor(math.log10(abs(value)) / 3 + 1e-12) if value else 0
    mantissa = value / 10.0**exponent
    return f"{mantissa:.{5 - len(str(int(abs(mantissa))))}f}E{exponent:+03d}"


def plain(value: float) -> str:
    """Write a number the shortest way, whole ones without point: 1000000000, 0.001."""
    value = special(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def special(value: float) -> float:
    """Return `value`, or what stands for infinity and NaN on the wire."""
    if math.isfinite(value):
        return float(value)
    return 9.91e37 if math.isnan(value) else math.copysign(9.9e37, value)


def _table(texts: Iterable[bytes]) -> NDArray[np.uint32]:
    """Return texts of four characters as integers, which NumPy looks up faster."""
    return np.array(list(texts)).view(np.uint32)


_FIRST = _table(b"%c%d.%d" % (sign, n // 10, n % 10) for sign in b"+-" for n in range(100))
_MIDDLE = _table(b"%04d" % n for n in range(10_000))
_LAST = _table(b"%03dE" % n for n in range(1000))
_EXPONENTS = _table(b"%+03d," % n for n in range(-99, 100))
_TO_NINE_DIGITS = 10.0 ** (8 - np.arange(-99.0, 100.0))


def values(trace: FloatArray) -> str:
    """Write a trace as -1.23456789E+01 with commas between, faster than one number after the other.

    Exponents have two digits: what is smaller than 1e-99 is 0.
    """
    size = np.abs(trace)
    if not size.max() < 9.9e37:
        trace = np.nan_to_num(trace, nan=9.91e37, posinf=9.9e37, neginf=-9.9e37)
        size = np.abs(trace)
    small = size <= 1e-99
    place = np.floor(np.log10(np.where(small, 1.0, size))).astype(np.intp) + 99
    digits = np.rint(np.where(small, 0.0, size) * _TO_NINE_DIGITS.take(place)).astype(np.uint32)
    carried = digits >= 1_000_000_000
    if carried.any():
        digits[carried] //= 10
        place[carried] += 1
    upper = digits // 1000
    first = upper // 10_000
    text = np.empty((trace.size, 4), dtype=np.uint32)
    text[:, 0] = _FIRST.take(first + 100 * (trace < 0))
    text[:, 1] = _MIDDLE.take(upper - first * 10_000)
    text[:, 2] = _LAST.take(digits - upper * 1000)
    text[:, 3] = _EXPONENTS.take(place)
    return text.tobytes()[:-1].decode("ascii")


def block(data: bytes) -> str:
    """Return `data` as a definite-length block, each byte as one character."""
    length = str(len(data))
    return f"#{len(length)}{length}{data.decode('latin-1')}"
