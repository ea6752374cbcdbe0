"""What crosses the bench comes back from its bytes bit by bit, and bytes of others are refused."""

import enum
import pickle  # noqa: TID251 - to show that it stays bytes
import struct
import tracemalloc
import zlib
from collections import OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from labneuro import values as module
from labneuro.signals import Pulses, Spectrum, Tones
from labneuro.values import MalformedError, Packer, UnrecordableError, pack, settled, unpack

DTYPES = [
    *(np.dtype(order + kind) for order in "<>" for kind in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16", "U3")),
    *(np.dtype(order + kind) for order in "<>" for kind in ("M8[ns]", "m8[25s]", "m8")),
    *map(np.dtype, ("?", "i1", "u1", "S2", "longdouble", "clongdouble")),
]  # fmt: skip


def from_bits(bits: int) -> float:
    """Return any double: infinities, -0.0 and every NaN among them."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


shapes = hnp.array_shapes(min_dims=0, min_side=0, max_dims=4) | st.sampled_from([(2, 3), (3, 1, 2), (2, 2, 2)])


@st.composite
def arrays(draw: st.DrawFn) -> NDArray[Any]:
    """Any bits, shape and layout."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(shapes)
    size = int(np.prod(shape))
    if dtype.kind == "U":
        texts = draw(st.lists(st.text(st.characters(), max_size=3), min_size=size, max_size=size))
        array = np.array(texts, dtype)
    else:
        array = np.frombuffer(draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize)), dtype)
    array = array.reshape(shape, order=draw(st.sampled_from("CF")))
    if draw(st.booleans()):
        return array
    array = array.transpose(draw(st.permutations(range(len(shape)))))
    return array[tuple(slice(None, None, draw(st.sampled_from([1, 1, 2, -1]))) for _ in shape)]


floats = st.integers(0, 2**64 - 1).map(from_bits)
texts = st.text(st.characters())
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**9000), 2**9000), floats, texts, st.binary(),
    st.builds(complex, floats, floats), arrays().filter(lambda a: a.size > 0).map(lambda a: a.ravel()[0]),
    texts.map(np.str_), st.binary().map(np.bytes_),
)  # fmt: skip
doubles = hnp.arrays("f8", (2, 3), elements=floats)
signals = st.one_of(
    st.builds(Tones, doubles, doubles),
    st.builds(Spectrum, doubles, arrays(), floats, st.integers()),
    st.builds(Pulses, floats, floats, st.integers()),
)
keys = st.one_of(texts, st.integers(), st.binary(), st.tuples(st.integers(), texts))
values = st.recursive(
    scalars | arrays() | signals,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=6,
)


def same(a: Any, b: Any) -> bool:
    """Return whether two values are one: types, bits, and how they lie in memory."""
    if type(a) is not type(b):
        return False
    match a:
        case float() | complex():
            return np.array(a).tobytes() == np.array(b).tobytes()
        case np.ndarray():
            assert b.flags.writeable
            fortran = a.flags.f_contiguous and not a.flags.c_contiguous
            assert b.flags.f_contiguous if fortran else b.flags.c_contiguous
            return a.dtype.str == b.dtype.str and a.shape == b.shape and a.tobytes("A") == b.tobytes("A")
        case np.str_() | np.bytes_():
            return a[:] == b[:]
        case np.generic():
            return a.dtype.str == b.dtype.str and a.tobytes() == b.tobytes()
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case dict():
            return same(list(a), list(b)) and same(list(a.values()), list(b.values()))
        case Tones() | Spectrum() | Pulses():
            return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
        case _:
            return a == b


@given(values)
@settings(max_examples=150, deadline=None)
def test_every_value_comes_back_bit_by_bit(value: object) -> None:
    data = pack(value)
    back = unpack(data)
    assert same(value, back)
    assert pack(back) == data


@given(arrays())
def test_what_is_settled_is_what_will_be_read(array: NDArray[Any]) -> None:
    live = settled(array)
    replayed = unpack(pack(live))
    assert same(live, replayed)
    assert live.strides == replayed.strides
    assert not np.shares_memory(live, array)


@given(arrays(), st.integers(1, 300), st.sampled_from("CF"))
@settings(max_examples=150, deadline=None)
def test_a_deflated_array_comes_back_bit_by_bit_and_is_never_longer(
    array: NDArray[Any], times: int, layout: Any
) -> None:
    large = np.require(np.tile(array, times), requirements=layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LARGE", 0)
        data = Packer(deflating=True).pack((large, {"a": [large]}))
    back = unpack(data)
    assert same(settled(large), back[0])
    assert same(settled(large), back[1]["a"][0])
    assert len(data) <= len(pack((large, {"a": [large]})))


def test_masks_counts_and_images_shrink_and_noise_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    pack_small = Packer(deflating=True).pack
    mask = np.zeros((785, 200), np.bool_)
    mask[rng.integers(785, size=50), rng.integers(200, size=50)] = True
    for array, least in (
        (mask, 100),
        (rng.poisson(0.1, (500, 500)), 10),
        (np.where(rng.random((64, 785)) < 0.2, rng.integers(1, 256, (64, 785)) / 255, 0.0), 2.5),
        (np.linspace(3e8, 4e8, 10_001), 2),
    ):
        data = pack_small(array)
        assert len(data) < array.nbytes / least
        assert same(array, unpack(data))
    for noise in (rng.random(10_001), rng.standard_normal((100, 100)) * 1e-6, np.frombuffer(rng.bytes(10_000), "u1")):
        assert pack_small(noise) == pack(noise)
    assert pack_small(np.zeros(1023)) == pack(np.zeros(1023))  # small


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    a: int


class Text(str):
    __slots__ = ()


@dataclass(frozen=True)
class Private:
    x: float


def nested(depth: int) -> object:
    value: object = 1.0
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, None]), np.zeros(2, [("a", "f8")]), np.void(b"ab"), np.zeros(2, "V4"), np.zeros(2, "V0"),
        np.zeros(2, "M8"), np.frombuffer(b"\xff" * 4, "<U1"), np.zeros(2).view(np.recarray),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        {1, 2}, object(), Private, Private(1.0), Path("a"), len, Colour.RED, Pair(1), Text("a"), OrderedDict(a=1),
        nested(11), range(3),
    ],
)  # fmt: skip
def test_what_is_no_number_text_array_or_signal_is_refused(value: object) -> None:
    for whole in (value, [1, {"a": value}], (value,)):
        with pytest.raises(UnrecordableError, match="can't be recorded"):
            pack(whole)


def test_what_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(UnrecordableError, match="can't be recorded"):
        pack(value)


def test_a_packer_goes_on_behind_a_value_that_it_refused() -> None:
    good = pack([1.0, (2,)])
    with pytest.raises(UnrecordableError):
        pack([1.0, (2,), object()])
    assert pack([1.0, (2,)]) == good


# Bytes of others


def extension(code: int, content: object) -> bytes:
    return msgpack.packb(msgpack.ExtType(code, pack(content)))


@pytest.mark.parametrize(
    "data",
    [
        *(extension(1, [dtype, [1], "C", b"\0" * 8]) for dtype in ("|O", "|O8", "O8", "object", "|V8", "f8,f8", "<f0")),
        extension(1, [[["a", "<f8"]], [1], "C", b"\0" * 8]),
        extension(1, ["<f8", [10**12], "C", b"\0" * 8]),
        extension(1, ["<f8", [-1], "C", b"\0" * 8]),
        extension(1, ["<f8", [2**70, 0], "C", b""]),
        extension(1, ["<f8", ["a"], "C", b""]),
        extension(1, ["<f8", [1] * 100, "C", b"\0" * 8]),
        extension(1, ["<U1000000000", [1], "C", b""]),
        extension(1, ["<U1", [1], "C", b"\xff" * 4]),
        extension(1, ["<f8", [1], "A", b"\0" * 8]),
        extension(2, ["|O8", b"\0" * 8]),
        extension(2, ["<f8", b"\0" * 16]),
        extension(4, [1, 2]),
        *(extension(6, [name, {}]) for name in ("Path", "np", "FloatArray", "dataclass", "__builtins__")),
        extension(6, ["Tones", {"frequency": 1.0, "power": 1.0}]),
        extension(6, ["Pulses", {"amplitude": 1.0, "\x1b[31m": 1.0}]),
        extension(6, ["Pulses", {1: 1.0}]),
        extension(7, []),
        extension(7, ["<f8", [1], "C", False, b"\0" * 8]),
        extension(7, ["<f8", [1], "C", False, zlib.compress(bytes(7))]),
        extension(7, ["<f8", [1], "C", False, zlib.compress(bytes(9))]),
        extension(7, ["<f8", [1], "C", False, zlib.compress(bytes(8))[:-1]]),
        extension(7, ["<f8", [1], "C", False, zlib.compress(bytes(8))[:-1] + b"\0"]),
        extension(7, ["<f8", [1], "C", False, zlib.compress(bytes(8)) + b"\0"]),
        extension(7, ["<f8", [1], "C", 0, zlib.compress(bytes(8))]),
        extension(7, ["<f8", [-1, -1], "C", True, zlib.compress(bytes(8))]),
        extension(7, ["<f8", [2**70], "C", False, zlib.compress(bytes(8))]),
        extension(7, ["<f8", [0, 2**70], "C", True, zlib.compress(b"")]),
        extension(7, ["|O8", [1], "C", False, zlib.compress(bytes(8))]),
        extension(7, ["<U1", [1], "C", True, zlib.compress(b"\xff" * 4)]),
        extension(8, []),
        msgpack.packb({"a": 1}) + b"\0",
        b"\x81\x90\x01",  # a list as a key
        b"\xc1",
        b"",
    ],
)
def test_bytes_that_are_no_value_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        unpack(data)
    assert str(caught.value).isprintable()


def test_a_pickle_is_bytes_and_no_more() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("a pickle was run",)

    raw = pickle.dumps(Trap())
    assert unpack(pack(raw)) == raw
    with pytest.raises(MalformedError):
        unpack(extension(1, ["|O8", [1], "C", raw]))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    value_or_malformed(data)


@given(values.map(pack), st.data())
@settings(max_examples=200, deadline=None)
def test_changed_bytes_are_a_value_or_malformed(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, len(changed)))
        changed[place : place + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=2))
    value_or_malformed(bytes(changed))


plain = st.recursive(
    st.none() | st.integers(-5, 70) | st.floats() | st.sampled_from(["<f8", "|b1", "<U1", "C", "F", "Tones", "Pulses"])
    | st.binary(max_size=16),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["amplitude", "width", "x"]), inner),
)  # fmt: skip


@given(st.integers(0, 8), plain)
@settings(max_examples=200, deadline=None)
def test_any_content_of_an_extension_is_a_value_or_malformed(code: int, content: object) -> None:
    value_or_malformed(extension(code, content))


def value_or_malformed(data: bytes) -> None:
    try:
        value = unpack(data)
    except MalformedError:
        return
    repr(value)


def test_nothing_is_nested_so_deeply_that_reading_it_ends_the_process() -> None:
    assert unpack(pack(nested(10))) == nested(10)
    data = msgpack.packb([])
    for _ in range(2000):
        data = msgpack.packb(msgpack.ExtType(3, data))
    with pytest.raises(MalformedError, match="within each other"):
        unpack(data)
    with pytest.raises(MalformedError):
        unpack(b"\x91" * 10**6)


LIST, MAP, TEXT, BYTES, EXTENSION = (bytes([first]) + b"\xff\xff\xff\xff" for first in (0xDD, 0xDF, 0xDB, 0xC6, 0xC9))


@pytest.mark.parametrize("claim", [LIST, MAP, TEXT, BYTES, EXTENSION])
@pytest.mark.parametrize("length", [10, 10**5])
def test_what_is_not_there_is_not_allocated(claim: bytes, length: int) -> None:
    some_that_fit = b"\xdd" + (length - 5).to_bytes(4, "big")
    for data in (claim.ljust(length, b"\xc0"), claim * (length // 5), some_that_fit * (length // 5)):
        tracemalloc.start()
        with pytest.raises(MalformedError):
            unpack(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Copies of the bytes, 8 bytes for each item that is there, and below 1 kB lists in each other, 2 MB in all.
        assert peak < 2e6 + 10 * len(data)


def test_a_deflated_array_takes_no_more_memory_than_its_shape_or_its_bytes_justify() -> None:
    bomb = zlib.compress(bytes(2**24))
    for shape, most in (([1], 2**10), ([2**24 - 1], 2**24), ([2**45], 2**24)):
        data = extension(7, ["|u1", shape, "C", False, bomb])
        tracemalloc.start()
        with pytest.raises(MalformedError, match="deflated"):
            unpack(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2e5 + 3 * most  # the blocks that zlib fills, the last one in part, and their sum
