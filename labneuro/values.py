"""What crosses the bench as bytes: numbers, text, arrays and signals, exactly as they were, in MessagePack.

Arrays are raw bytes with their type, shape and layout, deflated where asked for and worth it; the other things that
MessagePack doesn't know are extensions, too (docs/journal.md has the table). Equal bytes mean equal values, NaN and
-0.0 included. Reading never runs code that a file brings along: the only classes are the signals of labneuro.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import math
import re
import sys
import zlib
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from labneuro import signals

_ARRAY, _SCALAR, _TUPLE, _COMPLEX, _INTEGER, _SIGNAL, _DEFLATED = range(1, 8)
_DTYPE = re.compile(r"[<>|][biufcSU][1-9][0-9]*|[<>](m8|[mM]8\[\d*[a-zA-Z]+\])")  # no date without unit has a repr
_SIGNALS: dict[str, type[Any]] = {
    name: kind for name, kind in vars(signals).items() if isinstance(kind, type) and is_dataclass(kind)
}
_STRICT: dict[str, Any] = {"strict_types": True, "unicode_errors": "surrogatepass", "buf_size": 1024}
_READING: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}
_PLAIN = frozenset({float, int, bool, str, bytes, type(None)})
_DEEPEST = 10  # extensions within extensions: reading one takes 50 kB of the stack
_SMALL = 2**10  # bytes
_LARGE = 2**13  # bytes: an array of fewer is not worth the time to deflate it
_PIECES, _PIECE = 8, 2**7  # bytes: so much of an array is tried first
_WORTH = 0.75  # an array that keeps a larger part of its bytes stays as it is


class UnrecordableError(TypeError):
    """A value is none that can be recorded."""


class MalformedError(ValueError):
    """Bytes are no value."""


class Packer:
    """Turns values into bytes, again and again. deflating: large arrays that shrink are stored so."""

    def __init__(self, *, deflating: bool = False) -> None:
        self._packer: Any = _packer(0, deflating)

    def pack(self, value: object) -> bytes:
        """Return `value` as bytes. Raises UnrecordableError if something in it is no number, text, array or signal."""
        try:
            return cast("bytes", self._packer.pack(value))
        except UnrecordableError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UnrecordableError(f"a {type(value).__name__} can't be recorded: {error}") from error


def pack(value: object) -> bytes:
    """Return `value` as bytes. Raises UnrecordableError."""
    return Packer().pack(value)


def unpack(data: bytes | bytearray) -> Any:
    """Return the value in `data`; its arrays are new. Raises MalformedError."""
    try:
        return _unpack(data, 0)
    except Exception as error:
        raise MalformedError(repr(error)) from error


def settled(value: object) -> Any:
    """Return `value` as it comes back from the record: what is recorded and what is used are then the same."""
    return value if type(value) in _PLAIN else unpack(pack(value))


def _packer(depth: int, deflating: bool) -> Any:
    if depth > _DEEPEST:
        raise UnrecordableError(f"tuples, arrays or signals within each other, more than {_DEEPEST}, can't be recorded")
    return msgpack.Packer(default=partial(_extended, depth + 1, deflating), **_STRICT)


def _extended(depth: int, deflating: bool, value: Any) -> msgpack.ExtType:
    """Return what MessagePack doesn't know as one of our extensions; subclasses count as unknown."""
    if type(value) is int:
        return msgpack.ExtType(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    pack = _packer(depth, deflating).pack
    if type(value) is np.ndarray:
        *kind, raw = _array(value)
        if deflating and len(raw) >= _LARGE and (deflated := _deflated(raw, value.itemsize)):
            return msgpack.ExtType(_DEFLATED, pack([*kind, *deflated]))
        return msgpack.ExtType(_ARRAY, pack([*kind, raw]))
    if type(value) is np.str_ or type(value) is np.bytes_:  # an array would cut off the zeros at its end
        return msgpack.ExtType(_SCALAR, pack([value.dtype.char, value[:]]))
    if isinstance(value, np.generic):
        return msgpack.ExtType(_SCALAR, pack([_dtype(cast("np.dtype[Any]", value.dtype)), value.tobytes()]))
    if type(value) is tuple:
        return msgpack.ExtType(_TUPLE, pack(list(cast("tuple[object, ...]", value))))
    if type(value) is complex:
        return msgpack.ExtType(_COMPLEX, pack([value.real, value.imag]))
    name = type(value).__name__
    if _SIGNALS.get(name) is type(value):
        content = {field.name: getattr(value, field.name) for field in fields(value)}
        return msgpack.ExtType(_SIGNAL, pack([name, content]))
    raise UnrecordableError(f"a {name} can't be recorded: use numbers, text, arrays and signals of labneuro.signals")


def _array(array: NDArray[Any]) -> list[Any]:
    layout = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    dtype, raw = _dtype(array.dtype), array.tobytes(layout)
    if not _readable(dtype, raw):
        raise UnrecordableError("an array of text that was never filled can't be recorded")
    return [dtype, list(array.shape), layout, raw]


def _deflated(raw: bytes, size: int) -> tuple[bool, bytes] | None:
    """Return whether the bytes of items of `size` bytes are shuffled, and those deflated; None if it is not worth it.

    Pieces from all over the array are tried first, so that noise costs next to nothing.
    """
    count = len(raw) // size // _PIECES
    items = np.frombuffer(raw, np.uint8)[: _PIECES * count * size].reshape(_PIECES, count, size)
    pieces = items[:, : _PIECE // size].tobytes()
    plain, shuffled = (len(zlib.compress(tried, 1)) for tried in (pieces, _shuffled(pieces, size)))
    if min(plain, shuffled) > _WORTH * len(pieces):
        return None
    deflated = zlib.compress(_shuffled(raw, size) if shuffled < plain else raw, 1)
    return (shuffled < plain, deflated) if len(deflated) <= _WORTH * len(raw) else None


def _inflated(deflated: bytes, size: int) -> bytes:
    """Return what was deflated, all of `size` bytes; no more are made than these, and 1032 out of each one at most."""
    inflate = zlib.decompressobj()
    raw = inflate.decompress(deflated, size + 1)
    if len(raw) != size or not inflate.eof or inflate.unused_data:
        raise ValueError(f"{len(deflated)} bytes are no {size} bytes, deflated")
    return raw


def _shuffled(raw: bytes, size: int) -> bytes:
    """Return the first bytes of all items of `size` bytes, then their second ones, and so on."""
    return np.frombuffer(raw, np.uint8).reshape(-1, size).T.tobytes()


def _dtype(dtype: np.dtype[Any]) -> str:
    if not _DTYPE.fullmatch(dtype.str):
        raise UnrecordableError(f"an array of type {dtype} can't be recorded: use numbers or text")
    return dtype.str


def _readable(dtype: str, raw: bytes) -> bool:
    """Return whether bytes of text are characters: of others, NumPy makes no str."""
    return dtype[1] != "U" or not raw or np.frombuffer(raw, f"{dtype[0]}u4").max() <= sys.maxunicode


def _unpack(data: bytes | bytearray, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} extensions within each other")
    if len(data) > _SMALL:
        # A list is made as long as it claims to be, and so is each list in it: look first whether all is there.
        scan: Any = msgpack.Unpacker(max_buffer_size=len(data), read_size=len(data), **_READING)
        scan.feed(data)
        scan.skip()
    return cast("Any", msgpack.unpackb(data, ext_hook=_HOOKS[depth], **_READING))


def _restored(depth: int, code: int, data: bytes) -> Any:
    if code == _INTEGER:
        return int.from_bytes(data, "big", signed=True)
    content = _unpack(data, depth)
    match code, content:
        case (1, [str() as dtype, list() as shape, "C" | "F" as layout, bytes() as raw]):
            return _from_bytes(dtype, cast("list[int]", shape), layout, raw)
        case (7, [str() as dtype, list() as shape, "C" | "F" as layout, bool() as shuffled, bytes() as deflated]):
            return _from_bytes(dtype, cast("list[int]", shape), layout, deflated, shuffled)
        case (2, ["U", str() as text]):
            return np.str_(text)
        case (2, ["S", bytes() as text]):
            return np.bytes_(text)
        case (2, [str() as dtype, bytes() as raw]):
            return _from_bytes(dtype, [], "C", raw)[()]
        case (3, list()):
            return tuple(cast("list[object]", content))
        case (4, [float() as real, float() as imaginary]):
            return complex(real, imaginary)
        case (6, [str() as name, dict() as values]):
            return _SIGNALS[name](**cast("dict[str, Any]", values))
        case _:
            raise ValueError(f"no extension {code} of labneuro")


_HOOKS = [partial(_restored, depth + 1) for depth in range(_DEEPEST + 1)]


def _from_bytes(dtype: str, shape: list[int], layout: Any, raw: bytes, shuffled: bool | None = None) -> NDArray[Any]:
    """Return an array. shuffled: of bytes that are deflated, whether they were shuffled before."""
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f"no array of text or numbers: {dtype!r:.20}")
    kind, count = np.dtype(dtype), math.prod(shape)
    if min(shape, default=0) < 0:
        raise ValueError(f"no array is of shape {shape}")
    if shuffled is not None:
        raw = _inflated(raw, kind.itemsize * count)
        raw = _shuffled(raw, count) if shuffled else raw
    if len(raw) != kind.itemsize * count or not _readable(dtype, raw):
        raise ValueError(f"{len(raw)} bytes are no {dtype} of shape {shape}")
    return np.frombuffer(raw, kind).reshape(shape, order=layout).copy(order="K")
