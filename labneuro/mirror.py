"""The run file as it is made from the journal: one HDF5 file a run, laid out as NeXus (docs/runs.md).

While the run goes on, entries are mirrored into it in blocks, so that any HDF5 viewer can look; at its end it is
completed, journal included. It is written with the oldest HDF5 structures and committed as a whole, so that a killed
process leaves a file that opens.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import math
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from labneuro.commit import CommittedFile
from labneuro.entries import Begun, Declared, Ended, Entry, Identified, Left, Noted, Raised, Resumed, Yielded
from labneuro.journal import DamageError, JournalError, Reader, StoreError
from labneuro.records import NUMBER, STEPS

TEXT = cast("Any", h5py.string_dtype("utf-8"))
"""The type of text in a run file."""

ORDER = "order"
"""The attribute of a group that lists its values in the order of their declaration."""

JOURNAL = "journal"
"""The dataset of /entry that holds the bytes of the journal."""

EVERY = 2.0
"""Longest time that records wait for the next one before their block is written, s."""

_EVENTS = 10_000  # kept at most, the last ones; the journal has all
_ROWS = 4096  # in a block, at most
_BLOCK = 2**22  # bytes in a block, at most
_CHUNK = 2**16  # bytes: a chunk holds as many records as fit, 1024 at most
_LARGEST = 2**20  # bytes: a larger record is cut up


class Mirror:
    """A run file that is being made; the path must be free. Raises OSError if it can't be written."""

    def __init__(self, path: Path) -> None:
        self._disk = CommittedFile(path, "x")
        self._file: Any = None
        try:
            self._file = h5py.File(self._disk, "w", libver="earliest", rdcc_nbytes=_CHUNK)  # blocks need no cache
            self._file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "labneuro"})
            self._entry: Any = _new_group(self._file, "entry", "NXentry")
        except BaseException:
            self.close()
            path.unlink()
            raise
        self._tables: dict[str, Table] = {}
        self._declared: dict[str, Declared] = {}
        self._events: deque[tuple[float, str, str]] = deque(maxlen=_EVENTS)
        self._end = ("", "interrupted", "")
        self._flushed = time.monotonic()

    def take(self, entry: Entry, moment: float) -> None:
        """Take an entry of the journal that was written at `moment`, s since 1970."""
        match entry:
            case Yielded():
                self._append(entry)
            case Declared():
                self._declared[entry.table] = entry
            case Begun():
                self._describe(entry.head)
            case Resumed():
                self._end = ("", "interrupted", "")
                self._events.append((moment, "resumed", str(entry.head.get("provenance", {}).get("command", ""))))
            case Identified():
                if "parts" not in self._entry["bench"]:
                    _write_group(self._entry["bench"], "parts", "NXcollection", entry.parts)
                    self.commit()
            case Raised():
                self._events.append((moment, "error", f"{entry.type}: {entry.text}"))
            case Left():
                what = "made safe" if entry.confirmed else "NOT made safe"
                self._events.append((moment, what, f"{entry.part}: {entry.words}"))
            case Noted():
                self._events.append((moment, entry.what, entry.words))
            case Ended():
                self._end = (iso(moment), entry.state, entry.note)
            case _:
                pass

    def commit(self) -> None:
        """Bring all that was taken to the disk."""
        for table in self._tables.values():
            table.flush()
        self._file.flush()
        self._disk.commit()
        self._flushed = time.monotonic()

    def finish(self, journal: Path | None = None, size: int = 0) -> None:
        """Complete the file: the end of the run, what happened on the way, the first `size` bytes of its journal."""
        if self._events:
            times, whats, words = zip(*self._events, strict=True)
            events = {"time": np.array(times), "what": np.array(whats, object), "words": np.array(words, object)}
            _write_group(self._entry, "events", "NXcollection", events, {"time": "s"})
        if journal is not None:
            self._enclose(journal, size)
        for name, text in zip(("end_time", "state", "note"), self._end, strict=True):
            self._entry[name][()] = _clean(text)
        self.commit()
        self._disk.sync()
        self.close()

    def close(self) -> None:
        """Close the file as it was last committed."""
        if self._file is not None:
            self._file.close()
        self._disk.close()

    def _describe(self, head: Mapping[str, Any]) -> None:
        entry, start = self._entry, str(head["start_time"])
        title = {"title": f"{head['protocol']} {start}", "start_time": start, "end_time": ""}
        for name, text in {**title, "state": "interrupted", "note": ""}.items():
            _write(entry, name, text)
        _write_group(entry, "protocol", "NXcollection", {"name": head["protocol"], "doc": head["doc"]})
        _write_group(entry, "parameters", "NXparameters", head["parameters"], head["units"])
        _write_group(entry, "bench", "NXcollection", {"name": head["bench_name"], "text": head["bench"]})
        _write_group(entry, "provenance", "NXcollection", head["provenance"])
        self.commit()

    def _append(self, record: Yielded) -> None:
        table = self._tables.get(record.table)
        if table is None:
            table = Table(self._entry, self._declared[record.table], record.values)
            self._tables[record.table] = table
            if table.signal is not None and (record.table == STEPS or "default" not in self._entry.attrs):
                self._entry.attrs["default"] = record.table
        if table.append(record.values) or time.monotonic() - self._flushed >= EVERY:
            self.commit()

    def _enclose(self, journal: Path, size: int) -> None:
        chunks = (min(size, 2**20),)
        dataset = self._entry.create_dataset(JOURNAL, shape=(size,), dtype=np.uint8, chunks=chunks)
        with journal.open("rb") as file:
            for start in range(0, size, _BLOCK):
                part = file.read(min(_BLOCK, size - start))
                dataset[start : start + len(part)] = np.frombuffer(part, np.uint8)
                self._file.flush()
                self._disk.commit()


def rebuild(journal: Path, out: Path, *, enclose: bool) -> DamageError | None:
    """Make a run file from a journal: it appears complete, in place of what was at `out`, or not at all.

    enclose: whether it holds the journal. What lies behind damage is left out, and the damage is returned. Raises
    JournalError or OSError if the file can't be made.
    """
    part = out.with_name(f"{out.name}.part")
    part.unlink(missing_ok=True)
    mirror, size, damage = mirrored(journal, part)
    try:
        with _blaming(journal):
            mirror.finish(journal if enclose else None, size)
        part.replace(out)
    except BaseException:
        mirror.close()
        part.unlink(missing_ok=True)
        raise
    return damage


def mirrored(journal: Path, out: Path) -> tuple[Mirror, int, DamageError | None]:
    """Return a new mirror at `out` that has taken all intact entries of a journal, their bytes, and the damage behind.

    Raises JournalError or OSError if there is no entry, or the file can't be made.
    """
    mirror = Mirror(out)
    damage = None
    try:
        with Reader(journal) as reader, _blaming(journal):
            try:
                for record in reader:
                    mirror.take(record.entry, record.time)
            except DamageError as error:
                damage = error
            if not reader.count:
                damage = damage or JournalError(f"{journal} has no complete entry: the run never began; remove it")
                raise damage  # noqa: TRY301
    except BaseException:
        mirror.close()
        out.unlink(missing_ok=True)
        raise
    return mirror, reader.end, damage


@contextmanager
def _blaming(journal: Path) -> Generator[None, None, None]:
    """Raise JournalError if entries, intact as they are, make no run: a stranger may have written them."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno):
            raise
        raise JournalError(f"{journal} is no journal of a run: {error!r:.100}; take an intact copy") from error


class Table:
    """Records of one type: a group with a dataset for each field, growing along its first axis, block by block.

    parent: the group to make it in. declared: names and units. first: values of the first record, which fix shapes
    and types (they are not yet written). The steps are numbered: a dataset `step` counts them, from 1.

    `signal` is the field to plot: a real number before a count, a curve before an image; None if all is text.
    """

    def __init__(self, parent: Any, declared: Declared, first: Mapping[str, Any]) -> None:
        self._units: dict[str, str] = {name: unit for name, unit, _ in declared.fields if unit is not None}
        self._first = {name: np.asarray(value) for name, value in first.items()}
        size = sum(array.nbytes for array in self._first.values())
        self._capacity = min(_ROWS, max(1, _BLOCK // max(1, size)))
        self._count = self._rows = 0
        self.signal = _signal(self._first)
        group = _new_group(parent, declared.table, "NXcollection" if self.signal is None else "NXdata")
        group.attrs[ORDER] = np.array(list(self._first), dtype=TEXT)
        self._datasets: dict[str, Any] = {}
        self._blocks: dict[str, NDArray[Any]] = {}
        for field, value in self._first.items():
            self._datasets[field] = dataset = _growing(group, field, value)
            kind = object if value.dtype.kind == "U" else value.dtype
            self._blocks[field] = np.empty((self._capacity, *value.shape), kind)
            if value.dtype.kind in "iufc":
                dataset.attrs["units"] = self._units.get(field, "")
        if self.signal is not None:
            self._describe_plot(group, self.signal, numbered=declared.table == STEPS)

    def append(self, values: Mapping[str, Any]) -> bool:
        """Take one record; return whether it is time to flush: there is no room for another."""
        for name, block in self._blocks.items():
            block[self._rows] = values[name]
        self._rows += 1
        return self._rows == self._capacity

    def flush(self) -> None:
        """Write what waits."""
        if not self._rows:
            return
        end = self._count + self._rows
        for name, dataset in self._datasets.items():
            dataset.resize(end, axis=0)
            if name in self._blocks:
                block = self._blocks[name][: self._rows]
                dataset[self._count : end] = _cleaned(block) if block.dtype == object else block
            else:
                dataset[self._count : end] = np.arange(self._count + 1, end + 1)
        self._count, self._rows = end, 0

    def _describe_plot(self, group: Any, signal: str, *, numbered: bool) -> None:
        """Say what to plot against what: the signal, the fields like it, and the number of the record."""
        first = self._first[signal]
        axes = ["."] * (first.ndim + 1)
        if numbered and NUMBER not in self._first:
            self._datasets[NUMBER] = _growing(group, NUMBER, np.zeros((), np.int64))
            axes[0] = NUMBER
        like = [
            name
            for name, value in self._first.items()
            if name != signal
            and value.shape == first.shape == ()
            and value.dtype.kind == first.dtype.kind
            and self._units.get(name) == self._units.get(signal)
        ]
        group.attrs["signal"] = signal
        group.attrs["axes"] = np.array(axes, dtype=TEXT)
        if like:
            group.attrs["auxiliary_signals"] = np.array(like, dtype=TEXT)


def iso(moment: float) -> str:
    """Return a time, s since 1970, with its zone, as ISO 8601 writes it."""
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


def _signal(first: Mapping[str, NDArray[Any]]) -> str | None:
    kinds = "fiu"
    numbers = [name for name, value in first.items() if value.dtype.kind in kinds]
    return min(numbers, key=lambda name: (first[name].ndim > 0, kinds.index(first[name].dtype.kind)), default=None)


def _growing(group: Any, name: str, value: NDArray[Any]) -> Any:
    """Make an empty dataset for records like `value`."""
    size = max(1, value.size * value.dtype.itemsize)
    chunk = [min(max(1, _CHUNK // size), 1024), *(length or 1 for length in value.shape)]
    while math.prod(chunk) * value.dtype.itemsize > _LARGEST and max(chunk) > 1:
        longest = chunk.index(max(chunk))
        chunk[longest] = -(-chunk[longest] // 2)
    return group.create_dataset(
        name,
        shape=(0, *value.shape),
        maxshape=(None, *(length or None for length in value.shape)),
        dtype=TEXT if value.dtype.kind == "U" else value.dtype,
        chunks=tuple(chunk),
    )


def _new_group(parent: Any, name: str, nx_class: str) -> Any:
    """Make a group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _write_group(
    parent: Any,
    name: str,
    nx_class: str,
    values: Mapping[str, object],
    units: Mapping[str, str] | None = None,
) -> None:
    group = _new_group(parent, name, nx_class)
    group.attrs[ORDER] = np.array(list(values), dtype=TEXT)
    for key, value in values.items():
        _write(group, key, value)
        if unit := (units or {}).get(key):
            group[key].attrs["units"] = unit


def _write(group: Any, name: str, value: object) -> None:
    """Write one value: number, text, array, None, or whatever `str` makes of it."""
    if value is None:
        group.create_dataset(name, data=h5py.Empty("f8"))
        return
    try:
        array: NDArray[Any] = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(str(value))
    if array.dtype.kind in "biufc":
        group.create_dataset(name, data=array)
    elif array.dtype.kind in "UO" and array.ndim:
        group.create_dataset(name, data=_cleaned(array.astype(object)), dtype=TEXT)
    else:
        group.create_dataset(name, data=_clean(str(value)), dtype=TEXT)


def _cleaned(texts: NDArray[Any]) -> NDArray[Any]:
    clean = np.empty_like(texts)
    for place, text in np.ndenumerate(texts):
        clean[place] = _clean(str(text))
    return clean


def _clean(text: str) -> str:
    """Return `text` as HDF5 can hold it: valid UTF-8 without NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
