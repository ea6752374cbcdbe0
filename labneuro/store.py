"""Reading runs: the run file, or the journal of a run that goes on or was killed; to the reader they are one.

`/entry/steps/<field>` of a run file holds what the protocol yielded, first axis the step; docs/runs.md shows the
layout. As long as a journal lies beside it, the journal is the truth, and a run file made from it is read.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import math
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from labneuro.filelock import is_locked
from labneuro.journal import LATEST, JournalError, Reader, StoreError
from labneuro.mirror import JOURNAL, ORDER, rebuild
from labneuro.records import NUMBER, RESERVED, STEPS

State = Literal["running", "finished", "stopped", "interrupted", "failed"]
"""How a run stands, or ended: "interrupted" if its process died without saying."""

_LARGE = 2**16  # bytes that may be read whatever the file holds
_DENSEST = 1100  # bytes that one stored byte can stand for: gzip reaches 1032


def journal_of(path: Path) -> Path:
    """Return where the journal of a run lies while it goes on, and after it was killed."""
    return path.parent / f"{path.stem}.journal"


def run_file_of(path: Path) -> Path:
    """Return the path of a run file, given that or the path of its journal."""
    return path.with_suffix(".h5") if path.suffix == ".journal" else path


class Event(NamedTuple):
    """Something that happened on the way: time, s since 1970; what kind of thing; its words."""

    time: float
    what: str
    words: str


class RunFile:
    """A run: finished, killed, or still growing. path: of its file or of its journal.

    protocol, doc: name of the protocol and what it does. state, note: how the run stands or ended, and why.
    start_time, end_time: ISO 8601, "" if the run never ended. parameters: values by name. bench, bench_name: text and
    name of the bench file. parts: identity of each part of the bench. provenance: what ran where. steps: arrays by
    field, first axis the step. records: the same for every other type of record, by its name. units: "group/field" ->
    unit, "" for a plain number. events: what happened on the way. journal: the journal beside the file, if there is
    one. damage: where that is damaged; what lies behind is missing here.

    Of a run that goes on this is how it stood when it was opened. Arrays are read when they are asked for. Raises
    StoreError, now or then, if the file is missing, cut short or no run. Nothing outside the file is ever read,
    whatever it links to.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = run_file_of(Path(path))
        self.journal: Path | None = journal_of(self.path) if journal_of(self.path).is_file() else None
        self.damage = ""
        running = self.journal is not None and is_locked(self.journal)
        self._source = source = self._made_from(self.journal) if self.journal is not None else _Source(self.path)
        with source.reading() as entry:
            protocol, bench = _group(entry, "protocol"), _group(entry, "bench")
            self.protocol, self.doc = _text(protocol, "name"), _text(protocol, "doc")
            self.bench, self.bench_name = _text(bench, "text"), _text(bench, "name")
            self.state: State = "running" if running and self.journal is not None else _state(_text(entry, "state"))
            self.note, self.title, self.start_time, self.end_time = (
                _text(entry, name) for name in ("note", "title", "start_time", "end_time")
            )
            self.steps = Fields(source, "steps", _group(entry, "steps"))

    @cached_property
    def parts(self) -> dict[str, str]:  # noqa: D102 - the class says what its attributes are
        with self._source.reading() as entry:
            parts = _values(_group(_group(entry, "bench"), "parts"))
            return {name: str(value) for name, value in parts.items()}

    @cached_property
    def parameters(self) -> dict[str, Any]:  # noqa: D102
        with self._source.reading() as entry:
            return _values(_group(entry, "parameters"))

    @cached_property
    def provenance(self) -> dict[str, Any]:  # noqa: D102
        with self._source.reading() as entry:
            return _values(_group(entry, "provenance"))

    @cached_property
    def events(self) -> list[Event]:  # noqa: D102
        with self._source.reading() as entry:
            events = _values(_group(entry, "events"))
            columns = [events.get(name, ()) for name in Event._fields]
            return [_event(*event) for event in zip(*columns, strict=True)]

    @property
    def units(self) -> Mapping[str, str]:  # noqa: D102
        return self._units

    @cached_property
    def _units(self) -> dict[str, str]:
        with self._source.reading() as entry:
            return {
                f"{group}/{name}": _as_text(dataset.attrs["units"])
                for group in entry
                for name, dataset in _datasets(_group(entry, group)).items()
                if "units" in dataset.attrs
            }

    @cached_property
    def records(self) -> Mapping[str, "Fields"]:  # noqa: D102
        with self._source.reading() as entry:
            groups = {name: _group(entry, name) for name in entry if name not in RESERVED}
            return {name: Fields(self._source, name, group) for name, group in groups.items() if group is not None}

    def last(self) -> dict[str, Any]:
        """Return the values of the last step; empty if there is none."""
        return self.steps.last()

    @contextmanager
    def reader(self) -> Generator[Reader, None, None]:
        """Open the journal of this run, wherever it lies, up to its damage. Raises StoreError if there is none."""
        if self.journal is not None:
            with Reader(self.journal, until_damage=True) as reader:
                yield reader
            return
        yield Reader(self.enclosed(), str(self.path))

    def extract_journal(self, out: Path) -> None:
        """Put the journal that the run file holds into a file of its own: all of it, or nothing. Raises StoreError."""
        part = out.with_name(f"{out.name}.part")
        try:
            with part.open("wb") as file:
                shutil.copyfileobj(self.enclosed(), file, 2**20)
                file.flush()
                os.fsync(file.fileno())
            part.replace(out)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{out} can't be made: {_reason(error)}; make room for it") from error
        finally:
            part.unlink(missing_ok=True)

    def enclosed(self) -> BinaryIO:
        """Return the journal that the run file holds, as a stream. Raises StoreError if there is none."""
        with self._source.reading() as entry:
            dataset = _datasets(entry).get(JOURNAL)
            if dataset is None or dataset.dtype != np.uint8 or dataset.ndim != 1:
                raise StoreError(f"{self.path} holds no journal: it was made by an older labneuro, or by others")
            if dataset.size > max(_LARGE, dataset.id.get_storage_size()):  # out of each byte a deflated array may come
                raise StoreError(
                    f"{self.path} holds a journal that others have compressed; undo that: h5repack -f NONE IN OUT"
                )
            _check_size(dataset)
        return cast("BinaryIO", _Enclosed(self._source))

    def _made_from(self, journal: Path) -> "_Source":
        """Return a run file made from a journal; one that can't be read leaves what lies beside it."""
        descriptor, name = tempfile.mkstemp(".h5", "labneuro-")
        os.close(descriptor)
        source = _Source(Path(name), shown=self.path, temporary=True)
        try:
            damage = rebuild(journal, source.path, enclose=False)
        except JournalError as error:
            if not self.path.is_file():
                raise
            if journal.is_file():
                self.damage = str(error)
            else:  # the run has ended just now
                self.journal = None
            return _Source(self.path)
        except OSError as error:
            raise StoreError(f"{journal} can't be read: {_reason(error)}; make room in {source.path.parent}") from error
        self.damage = str(damage or "")
        return source


class _Source:
    """An HDF5 file to read from. shown: its name in messages. temporary: remove it with the last who reads it."""

    def __init__(self, path: Path, *, shown: Path | None = None, temporary: bool = False) -> None:
        self.path = path
        self.shown = shown or path
        if temporary:
            weakref.finalize(self, path.unlink, missing_ok=True)

    @contextmanager
    def reading(self) -> Generator[Any, None, None]:
        """Open the file and give its entry; whatever goes wrong inside is a StoreError in one line."""
        if not self.path.is_file():
            raise StoreError(f"{self.shown}: there is no such file; `labneuro run` ends by saying where its file is")
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                entry = _group(file, "entry")
                if "name" not in _datasets(_group(entry, "protocol")):
                    raise StoreError(  # noqa: TRY301
                        f"{self.shown} is an HDF5 file, but no run of labneuro: it has no /entry/protocol/name"
                    )
                yield entry
        except StoreError:
            raise
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
            raise StoreError(
                f"{self.shown} can't be read as a run: {_reason(error)}; take an intact copy, or try again if it grows"
            ) from error


class _Enclosed:
    """The bytes of the journal in a run file as a stream."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._position = 0

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            with self._source.reading() as entry:
                position += entry[JOURNAL].size
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        with self._source.reading() as entry:
            part: NDArray[np.uint8] = entry[JOURNAL][self._position : self._position + size]
        self._position += len(part)
        return part.tobytes()


class Fields(Mapping[str, NDArray[Any]]):
    """The fields of one type of record, arrays whose first axis is the record; read on demand, then kept.

    `count` is the number of records: the length of the shortest field, in case a crash tore the last record. `units`
    are those of the fields, "" where there is none. Steps can be asked for their number, from 1, as "step".
    """

    def __init__(self, source: _Source, name: str, group: Any) -> None:
        columns = {name: dataset for name, dataset in _datasets(group).items() if dataset.shape}
        self.count: int = min((len(dataset) for dataset in columns.values()), default=0)
        units = {name: dataset.attrs.get("units", "") for name, dataset in columns.items()}
        self.units = {name: _as_text(unit) for name, unit in units.items()}
        self._source = source
        self._name = name
        self._arrays: dict[str, NDArray[Any] | None] = dict.fromkeys(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name == NUMBER and self._name == STEPS and name not in self._arrays:
            return np.arange(1, self.count + 1)
        array = self._arrays[name]
        if array is None:
            with self._source.reading() as entry:
                array = self._arrays[name] = _read(_dataset(_group(entry, self._name), name), slice(self.count))
        return array

    def last(self) -> dict[str, Any]:
        """Return the values of the last record; empty if there is none."""
        if not self.count:
            return {}
        with self._source.reading() as entry:
            datasets = _datasets(_group(entry, self._name))
            return {name: _read(datasets[name], slice(self.count - 1, self.count))[-1] for name in self}

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words: the system's, or those in the brackets of HDF5's message."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    if "signature not found" in text:
        return "it is not HDF5"
    if "truncated" in text:
        return "it is cut short"
    inner = re.search(r" \((.+)\)$", text)
    return "".join(c if c.isprintable() else "?" for c in (inner.group(1) if inner else text))


def _own(group: Any, name: str) -> Any:
    """Return a member that lies in this very file; None for links to elsewhere, and names that steer a terminal."""
    return group[name] if name.isprintable() and isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _group(parent: Any, name: str) -> Any:
    """Return a group, or one without members where there is none."""
    member = None if parent is None else _own(parent, name)
    return member if isinstance(member, h5py.Group) else None


def _datasets(group: Any) -> dict[str, Any]:
    """Return the numbers and texts of a group that lie in the file, in their declared order if one is known."""
    if group is None:
        return {}
    order, own = [_as_text(name) for name in group.attrs.get(ORDER, ())], set(group)
    # A name out of the attribute must be one of the group's own: a path in it could cross a link.
    names = [name for name in order if name in own] or list(group)
    members = {name: _dataset(group, name) for name in names}
    return {name: member for name, member in members.items() if member is not None}


def _dataset(group: Any, name: str) -> Any:
    """Return a dataset of numbers or text that lies in the file; None if it is none."""
    member = _own(group, name)
    plain = isinstance(member, h5py.Dataset) and not member.is_virtual and member.external is None
    return member if plain and (member.dtype.kind in "biufc" or h5py.check_string_dtype(member.dtype)) else None


def _text(group: Any, name: str) -> str:
    dataset = None if group is None else _dataset(group, name)
    return "" if dataset is None else str(_read(dataset))


def _values(group: Any) -> dict[str, Any]:
    return {name: _read(dataset) for name, dataset in _datasets(group).items()}


def _read(dataset: Any, selection: Any = ()) -> Any:
    """Return a dataset as a Python value, or as an array if it has axes; None if it is empty."""
    if dataset.shape is None:
        return None
    _check_size(dataset)
    text = h5py.check_string_dtype(dataset.dtype) is not None
    value: Any = dataset.asstr(errors="replace")[selection] if text else dataset[selection]
    return cast("Any", value.item() if isinstance(value, np.generic) else value)


def _check_size(dataset: Any) -> None:
    """Raise ValueError if reading a dataset, or a chunk of it, would fill more memory than is stored."""
    claimed = max(dataset.size, math.prod(dataset.chunks or ())) * dataset.dtype.itemsize
    if claimed > max(_LARGE, _DENSEST * dataset.id.get_storage_size()):
        raise ValueError(f"{dataset.name!r} claims {claimed:.3g} bytes that are not there")


def _event(moment: Any, what: Any, words: Any) -> Event:
    if not (0 <= moment < LATEST and str(what).isprintable()):
        raise ValueError(f"it says that {what!r} happened at {moment!r}")
    return Event(float(moment), str(what), str(words))


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _state(value: object) -> State:
    return cast("State", value) if value in get_args(State) and value != "running" else "interrupted"
