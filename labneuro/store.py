"""The run file: one HDF5 file a run, laid out as NeXus, readable while it grows and after a crash.

`/entry/steps/<field>` holds what the protocol yielded, first axis the step; docs/runs.md shows the layout. It
is written with the oldest HDF5 structures and committed after every record, so that a killed process and a
full disk leave a file that opens and holds every step before.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import os
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from labneuro.commit import CommittedFile
from labneuro.records import ORDER, TEXT, RecordError, Table, new_group, table_name

State = Literal["finished", "stopped", "interrupted", "failed"]
"""How a run ended; written as "interrupted" at its start, so that a run that is killed says so."""

_RESERVED = frozenset({"steps", "protocol", "parameters", "bench", "provenance"})


class StoreError(OSError):
    """A run file can't be made, written or read; the message says which, why and what to do."""


def now() -> str:
    """Return the time with its zone, as ISO 8601 writes it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


class RunWriter:
    """A run file that is being written; the path must be free.

    protocol, doc: name of the protocol and what it does. parameters, units: their values and units by name.
    bench, bench_name: text and name of the bench file. provenance: what runs where. step_type: the dataclass
    whose records are the steps (None: the first that comes). `steps` and `records` count what has been
    written.

    Raises StoreError if the file exists or can't be made. Leaving the writer as a context closes the file;
    without `finish` it says that the run was interrupted.
    """

    def __init__(
        self,
        path: Path,
        *,
        protocol: str,
        doc: str = "",
        parameters: Mapping[str, object],
        units: Mapping[str, str],
        bench: str,
        bench_name: str,
        provenance: Mapping[str, object],
        step_type: type | None = None,
    ) -> None:
        self.path = path
        self.steps = 0
        self.records = 0
        self._step_type = step_type
        self._tables: dict[str, Table] = {}
        self._disk = _create(path)
        try:
            self._file: Any = h5py.File(self._disk, "w", libver="earliest")
            start = now()
            self._file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "labneuro"})
            self._entry: Any = new_group(self._file, "entry", "NXentry")
            head = {"title": f"{protocol} {start}", "start_time": start, "end_time": ""}
            for name, text in {**head, "state": "interrupted", "note": ""}.items():
                _write(self._entry, name, text)
            _write_group(self._entry, "protocol", "NXcollection", {"name": protocol, "doc": doc})
            _write_group(self._entry, "parameters", "NXparameters", parameters, units)
            _write_group(self._entry, "bench", "NXcollection", {"name": bench_name, "text": bench})
            _write_group(self._entry, "provenance", "NXcollection", provenance)
            self._file.flush()
            self._disk.commit()
        except OSError as error:
            self.discard()
            raise StoreError(f"{path} can't be made: {_reason(error)}; choose a place with room") from error
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def identify(self, parts: Mapping[str, str]) -> None:
        """Write down what stands on the bench: the identity of each part."""
        _write_group(self._entry["bench"], "parts", "NXcollection", parts)
        self._commit()

    def append(self, record: object) -> None:
        """Write one record, a dataclass of numbers, text and arrays, and commit it.

        Raises RecordError if a field can't be stored or differs in shape or type from the first record's, and
        StoreError if the file can't be written (the disk is full, say); it keeps the records before.
        """
        if not is_dataclass(record) or isinstance(record, type):
            raise RecordError(f"a protocol yielded {record!r:.60}: wrap what it records in a dataclass")
        kind = type(record)
        self._step_type = self._step_type or kind
        name = "steps" if kind is self._step_type else table_name(kind)
        if name not in self._tables:
            self._tables[name] = self._new_table(name, record)
        self._tables[name].append(record)
        self._commit()
        self.records += 1
        self.steps += name == "steps"

    def finish(self, state: State, note: str = "") -> None:
        """Say how the run ended and why, and close the file. Raises StoreError if that can't be written."""
        try:
            for name, text in {"end_time": now(), "note": _clean(note), "state": state}.items():
                self._entry[name][()] = text
            self._commit()
        finally:
            self._close()

    def discard(self) -> None:
        """Close the file and remove it: the run never started."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _commit(self) -> None:
        try:
            self._file.flush()
            self._disk.commit()
        except OSError as error:
            self._reopen()
            raise StoreError(f"can't write to {self.path}: {_reason(error)}; make room and run again") from error

    def _close(self) -> None:
        """Close the file as it was last committed."""
        self._file.close()
        self._disk.close()

    def _reopen(self) -> None:
        """Drop what HDF5 wrongly believes to be on the disk and go on from what is there."""
        self._close()
        self._disk = CommittedFile(self.path, "r+")
        self._file = h5py.File(self._disk, "r+", libver="earliest")
        self._entry = self._file["entry"]
        self._tables.clear()

    def _new_table(self, name: str, record: object) -> Table:
        if type(record) is not self._step_type and (name in _RESERVED or name in self._entry):
            raise RecordError(f"/entry/{name} is taken: rename {type(record).__name__}, whose records would lie there")
        table = Table(self._entry, name, record, numbered=name == "steps")
        if table.signal is not None and (name == "steps" or "default" not in self._entry.attrs):
            self._entry.attrs["default"] = name
        return table


class RunFile:
    """A run file: finished, killed, or still growing.

    protocol, doc: name of the protocol and what it does. state, note: how the run ended and why. start_time,
    end_time: ISO 8601, "" if the run never ended. parameters: values by name. bench, bench_name: text and
    name of the bench file. parts: identity of each part of the bench. provenance: what ran where. steps:
    arrays by field, first axis the step. records: the same for every other type of record, by its name.
    units: "group/field" -> unit, "" for a plain number.

    Arrays are read when they are asked for. Raises StoreError, now or then, if the file is missing, cut short
    or no run. Nothing outside the file is ever read, whatever it links to.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with _reading(self.path) as entry:
            head, protocol, bench = _values(entry), _group(entry, "protocol"), _group(entry, "bench")
            self.protocol = str(_values(protocol)["name"])
            self.doc = str(_values(protocol).get("doc", ""))
            self.state = _state(head.get("state"))
            self.note, self.title, self.start_time, self.end_time = (
                str(head.get(name, "")) for name in ("note", "title", "start_time", "end_time")
            )
            self.bench, self.bench_name = (str(_values(bench).get(name, "")) for name in ("text", "name"))
            self.parts = {name: str(value) for name, value in _values(_group(bench, "parts")).items()}
            self.parameters = _values(_group(entry, "parameters"))
            self.provenance = _values(_group(entry, "provenance"))
            groups = [name for name in entry if _group(entry, name) is not None]
            self.units = {
                f"{group}/{name}": _as_text(dataset.attrs["units"])
                for group in groups
                for name, dataset in _datasets(_group(entry, group)).items()
                if "units" in dataset.attrs
            }
            self.steps = Fields(self.path, "steps", _group(entry, "steps"))
            self.records: Mapping[str, Fields] = {
                name: Fields(self.path, name, _group(entry, name)) for name in groups if name not in _RESERVED
            }

    def last(self) -> dict[str, Any]:
        """Return the values of the last step; empty if there is none."""
        return {name: self.steps[name][-1] for name in self.steps} if self.steps.count else {}


class Fields(Mapping[str, NDArray[Any]]):
    """The fields of one type of record, arrays whose first axis is the record; read on demand, then kept.

    `count` is the number of records: the length of the shortest field, in case a crash tore the last record.
    """

    def __init__(self, path: Path, group: str, source: Any) -> None:
        columns = {name: dataset for name, dataset in _datasets(source).items() if dataset.shape}
        self.count: int = min((len(dataset) for dataset in columns.values()), default=0)
        self._path = path
        self._group = group
        self._arrays: dict[str, NDArray[Any] | None] = dict.fromkeys(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        array = self._arrays[name]
        if array is None:
            with _reading(self._path) as entry:
                array = self._arrays[name] = _read(_datasets(_group(entry, self._group))[name], slice(self.count))
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


# Writing


def _create(path: Path) -> CommittedFile:
    try:
        return CommittedFile(path, "x")
    except FileExistsError:
        what = "it exists and is never overwritten; choose another name, or move it away"
    except FileNotFoundError:
        what = f"there is no folder {path.parent}; make it first"
    except OSError as error:
        what = f"{_reason(error)}; choose a place that can be written"
    raise StoreError(f"{path} can't be made: {what}")


def _write_group(
    parent: Any,
    name: str,
    nx_class: str,
    values: Mapping[str, object],
    units: Mapping[str, str] | None = None,
) -> None:
    group = new_group(parent, name, nx_class)
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
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind in "biufc":
        group.create_dataset(name, data=array)
    elif array.dtype.kind == "U" and array.ndim:
        group.create_dataset(name, data=array.astype(object), dtype=TEXT)
    else:
        group.create_dataset(name, data=_clean(str(value)), dtype=TEXT)


def _clean(text: str) -> str:
    """Return `text` as HDF5 can hold it: valid UTF-8 without NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


# Reading


@contextmanager
def _reading(path: Path) -> Generator[Any, None, None]:
    """Open a run file and give its entry; whatever goes wrong inside is a StoreError in one line."""
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file; `labneuro run` ends by saying where its file is")
    try:
        with h5py.File(path, "r", locking=False) as file:
            entry = _group(file, "entry")
            if "name" not in _datasets(_group(entry, "protocol")):
                raise StoreError(  # noqa: TRY301
                    f"{path} is an HDF5 file, but no run of labneuro: it has no /entry/protocol/name"
                )
            yield entry
    except StoreError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise StoreError(
            f"{path} can't be read as a run: {_reason(error)}; take an intact copy, or try again if it grows"
        ) from error


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words: the system's, or those in the brackets of HDF5's message."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    if "signature not found" in text:
        return "it is not HDF5"
    if "truncated" in text:
        return "it is cut short"
    inner = re.search(r"\((.*)\)", text)
    return inner.group(1) if inner else text


def _own(group: Any, name: str) -> Any:
    """Return a member that lies in this very file; None for links to elsewhere and what isn't there."""
    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _group(parent: Any, name: str) -> Any:
    """Return a group, or one without members where there is none."""
    member = None if parent is None else _own(parent, name)
    return member if isinstance(member, h5py.Group) else None


def _datasets(group: Any) -> dict[str, Any]:
    """Return the datasets of a group whose data lie in the file, in their declared order if one is known."""
    if group is None:
        return {}
    order = [_as_text(name) for name in group.attrs.get(ORDER, ())]
    # A name out of the attribute must be one of the group's own: a path in it could cross a link.
    names = [name for name in order if name in set(group)] or list(group)
    members = {name: _own(group, name) for name in names}
    return {
        name: member
        for name, member in members.items()
        if isinstance(member, h5py.Dataset) and not member.is_virtual and member.external is None
    }


def _values(group: Any) -> dict[str, Any]:
    return {name: _read(dataset) for name, dataset in _datasets(group).items()}


def _read(dataset: Any, selection: Any = ()) -> Any:
    """Return a dataset as a Python value, or as an array if it has axes; None if it is empty."""
    if dataset.shape is None:
        return None
    text = h5py.check_string_dtype(dataset.dtype) is not None
    value: Any = dataset.asstr(errors="replace")[selection] if text else dataset[selection]
    return cast("Any", value.item() if isinstance(value, np.generic) else value)


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _state(value: object) -> State:
    return cast("State", value) if value in get_args(State) else "interrupted"
