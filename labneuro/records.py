"""Records: what a protocol yields, as tables of a run file that grow by one row a record.

A record is a frozen dataclass of numbers, text and arrays; each of its fields becomes a dataset whose first
axis is the record. The group says, as NeXus does, which field to plot against what.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import h5py
import numpy as np
from numpy.typing import NDArray

from labneuro.units import Unit

TEXT = cast("Any", h5py.string_dtype("utf-8"))
"""The type of text in a run file."""

ORDER = "order"
"""The attribute of a group that lists its values in the order of their declaration."""

_CHUNK = 2**16  # bytes: a chunk holds as many records as fit, 1024 at most


class RecordError(ValueError):
    """A protocol yielded something that a run file can't hold."""


def table_name(kind: type) -> str:
    """Return the name of the group for records of a type: StateMap lies in state_map."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


def new_group(parent: Any, name: str, nx_class: str) -> Any:
    """Make a group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


class Table:
    """Records of one type: a group with a dataset for each field, growing along its first axis.

    parent: the group to make it in. name: of the new group. record: the first record, which fixes names,
    shapes and types (it is not yet written). numbered: whether a dataset `step` counts the records, from 1.

    `signal` is the field to plot: a real number before a count, a curve before an image; None if all is text.
    """

    def __init__(self, parent: Any, name: str, record: object, *, numbered: bool) -> None:
        self._kind = type(record)
        hints = get_type_hints(self._kind, include_extras=True)
        self._scalars = {field: _scalar_type(hint) for field, hint in hints.items()}
        self._units = {field: unit for field, hint in hints.items() if (unit := unit_of(hint)) is not None}
        self._first = self._arrays(record)
        self._count = 0
        self.signal = _signal(self._first)
        group = new_group(parent, name, "NXcollection" if self.signal is None else "NXdata")
        group.attrs[ORDER] = np.array(list(self._first), dtype=TEXT)
        self._datasets: dict[str, Any] = {}
        for field, value in self._first.items():
            self._datasets[field] = dataset = _growing(group, field, value)
            if value.dtype.kind in "iufc":
                dataset.attrs["units"] = self._units.get(field, "")
        if self.signal is not None:
            self._describe_plot(group, self.signal, numbered=numbered)

    def append(self, record: object) -> None:
        """Write `record` behind the last one. Raises RecordError if it isn't like the first."""
        if type(record) is not self._kind:
            raise RecordError(f"two types of record are called {self._kind.__name__}: rename one")
        values = self._arrays(record)
        for name, value in values.items():
            first = self._first[name]
            if value.shape != first.shape or not np.can_cast(value.dtype, first.dtype, "safe"):
                raise RecordError(
                    f"{self._where(name)} was {first.dtype} of shape {first.shape} at first and is "
                    f"{value.dtype} of shape {value.shape} now: a field keeps its type and shape"
                )
        for name, dataset in self._datasets.items():
            dataset.resize(self._count + 1, axis=0)
            dataset[self._count] = values.get(name, self._count + 1)
        self._count += 1

    def _arrays(self, record: object) -> dict[str, NDArray[Any]]:
        names = (field.name for field in fields(cast("Any", record)))
        return {name: self._array(name, getattr(record, name)) for name in names}

    def _array(self, name: str, value: object) -> NDArray[Any]:
        try:
            array: NDArray[Any] = np.asarray(value)
        except ValueError:  # rows of different lengths
            array = np.empty((), object)
        if array.dtype.kind == "U":
            return array.astype(object)
        if array.dtype.kind not in "biufc":
            raise RecordError(f"{self._where(name)} is a {type(value).__name__}: yield numbers, text or arrays of them")
        declared = self._scalars.get(name)
        return array.astype(declared) if declared and np.can_cast(array.dtype, declared, "safe") else array

    def _where(self, name: str) -> str:
        return f"field {name!r} of {self._kind.__name__}"

    def _describe_plot(self, group: Any, signal: str, *, numbered: bool) -> None:
        """Say what to plot against what: the signal, the fields like it, and the number of the record."""
        first = self._first[signal]
        axes = ["."] * (first.ndim + 1)
        if numbered and "step" not in self._first:
            self._datasets["step"] = _growing(group, "step", np.zeros((), np.int64))
            axes[0] = "step"
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


def unit_of(hint: Any) -> str | None:
    """Return the unit of an annotation, None where it names none."""
    return next((item.symbol for item in _split(hint)[1] if isinstance(item, Unit)), None)


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type and the metadata of an annotation."""
    return (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())


def _scalar_type(hint: Any) -> Any:
    """Return the NumPy type of a field declared as one number, so that a 1 in a field of floats is a 1.0."""
    return {float: np.float64, int: np.int64, bool: np.bool_}.get(_split(hint)[0])


def _signal(first: Mapping[str, NDArray[Any]]) -> str | None:
    kinds = "fiu"
    numbers = [name for name, value in first.items() if value.dtype.kind in kinds]
    return min(numbers, key=lambda name: (first[name].ndim > 0, kinds.index(first[name].dtype.kind)), default=None)


def _growing(group: Any, name: str, value: NDArray[Any]) -> Any:
    """Make an empty dataset for records like `value`."""
    size = max(1, value.size * value.dtype.itemsize)
    rows = min(max(1, _CHUNK // size), 1024)
    return group.create_dataset(
        name,
        shape=(0, *value.shape),
        maxshape=(None, *(length or None for length in value.shape)),
        dtype=TEXT if value.dtype.kind == "O" else value.dtype,
        # HDF5 takes no chunk above 4 GiB; h5py cuts up what is large.
        chunks=True if size > 16 * _CHUNK else (rows, *(length or 1 for length in value.shape)),
    )
