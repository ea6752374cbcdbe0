"""What a figure or a window shows, said without saying how: curves, maps, spectra and tables.

A protocol describes its result with these and knows nothing of the library that draws them. Values are in SI
units; whoever draws chooses the prefix (MHz, mA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labneuro.signals import StateArray
from labneuro.units import FloatArray

Line = Literal["solid", "dashed", "dotted", "none"]


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity against another: `x` and `y` are (points,); a NaN in `y` is a gap.

    marker: a dot at each point. line: how points are joined. band: (lower, upper), each (points,), shaded.
    colour: place in the sequence of colours, to give curves of several panels one colour; by default that in
    the panel.
    """

    x: FloatArray
    y: FloatArray
    label: str = ""
    marker: bool = False
    line: Line = "solid"
    band: tuple[FloatArray, FloatArray] | None = None
    colour: int | None = None

    def __post_init__(self) -> None:
        shapes = [np.shape(self.x), np.shape(self.y), *(np.shape(edge) for edge in self.band or ())]
        if np.ndim(self.x) != 1 or len(set(shapes)) != 1:
            raise ValueError(
                f"curve {self.label!r}: x, y and the edges of its band have shapes {_listed(shapes)}: "
                "give one-dimensional arrays of one length"
            )
        if self.line == "none" and not self.marker:
            raise ValueError(f"curve {self.label!r} has neither line nor marker: set marker=True or another line")


@dataclass(frozen=True)
class Level:
    """A horizontal reference line, such as what another method reaches."""

    value: float
    label: str


@dataclass(frozen=True, eq=False)
class CurvePanel:
    """Curves over common axes. Units are SI symbols ("Hz", "A"); "" or "1" for pure numbers.

    x_range and y_range: (low, high), by default those of the data. levels: horizontal reference lines. log_x and
    log_y: logarithmic axes, on which values of 0 and below are gaps.
    """

    title: str
    x_label: str
    x_unit: str
    y_label: str
    y_unit: str
    curves: Sequence[Curve]
    y_range: tuple[float, float] | None = None
    levels: Sequence[Level] = ()
    log_y: bool = False
    x_range: tuple[float, float] | None = None
    log_x: bool = False

    def __post_init__(self) -> None:
        for axis, limits, log in (("x_range", self.x_range, self.log_x), ("y_range", self.y_range, self.log_y)):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"panel {self.title!r}: {axis} is {limits}: give (low, high) with low < high")
            if log and limits is not None and limits[0] <= 0:
                raise ValueError(
                    f"panel {self.title!r}: {axis} starts at {limits[0]:g}, where a logarithmic axis has "
                    "nothing: start it above 0"
                )


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points of one class laid on a state map, such as one vowel of all speakers: `xy` is (points, 2).

    state: the synchronisation state, (oscillators,), that stands for this class; its region takes a lighter
    shade of the points' colour. colour: place in the sequence of colours and symbols; by default that in the
    panel.
    """

    label: str
    xy: FloatArray
    state: tuple[int, ...] | None = None
    colour: int | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.xy) != 2 or np.shape(self.xy)[1] != 2:
            raise ValueError(f"points {self.label!r}: xy has shape {np.shape(self.xy)}: give (points, 2)")
        if not np.all(np.isfinite(self.xy)):
            raise ValueError(f"points {self.label!r}: xy has values that are not finite: leave those points out")


@dataclass(frozen=True, eq=False)
class StateMapPanel:
    """A response map: which oscillators are locked to which source at each pair of source frequencies.

    x: (nx,), Hz, and y: (ny,), Hz, the frequencies of sources A and B, ascending and evenly spaced. states:
    (nx, ny, oscillators). points: classes laid over the map. names: whether regions with room for it are
    named. Romera et al., Nature 563, 230 (2018) show their measurements so.
    """

    title: str
    x: FloatArray
    y: FloatArray
    states: StateArray
    points: Sequence[PointSet] = ()
    x_label: str = "Frequency of source A"
    y_label: str = "Frequency of source B"
    x_unit: str = "Hz"
    y_unit: str = "Hz"
    names: bool = True

    def __post_init__(self) -> None:
        for axis, values in (("x", self.x), ("y", self.y)):
            if not _is_even(values):
                raise ValueError(
                    f"state map {self.title!r}: {axis} is no axis: give two or more values, ascending and evenly spaced"
                )
        grid = (len(self.x), len(self.y))
        if np.ndim(self.states) != 3 or np.shape(self.states)[:2] != grid:
            raise ValueError(
                f"state map {self.title!r}: states have shape {np.shape(self.states)} over {grid[0]} values "
                f"of x and {grid[1]} of y: give (x, y, oscillators)"
            )
        oscillators = np.shape(self.states)[2]
        for points in self.points:
            if points.state is not None and len(points.state) != oscillators:
                raise ValueError(
                    f"state map {self.title!r}: points {points.label!r} want a state of {len(points.state)} "
                    f"oscillators, the map has {oscillators}"
                )


@dataclass(frozen=True, eq=False)
class ValueMapPanel:
    """A quantity on a grid, such as the conductances of an array: values (rows, columns), NaN where it is not known.

    label, unit: of the values, as of an axis. limits: (low, high) of the colours, by default those of the values,
    and evenly about 0 where these have both signs. rows, columns: names for all of them, by default numbers.
    """

    title: str
    values: FloatArray
    label: str
    unit: str
    limits: tuple[float, float] | None = None
    row_label: str = "Row"
    column_label: str = "Column"
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if np.ndim(self.values) != 2 or not np.size(self.values):
            raise ValueError(f"map {self.title!r}: values have shape {np.shape(self.values)}: give (rows, columns)")
        for name, names, cells in zip(("rows", "columns"), (self.rows, self.columns), self.values.shape, strict=True):
            if names and len(names) != cells:
                raise ValueError(f"map {self.title!r}: {len(names)} names for {cells} {name}: give one for each")
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"map {self.title!r}: limits is {self.limits}: give (low, high) with low < high")

    @property
    def range(self) -> tuple[float, float]:
        """The values at the ends of the scale of colours."""
        if self.limits is not None:
            return self.limits
        known = self.values[np.isfinite(self.values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if low < 0 < high:
            return -max(-low, high), max(-low, high)
        return (low, high) if low < high else (low, low + (abs(low) or 1.0))


@dataclass(frozen=True)
class Mark:
    """A labelled frequency in a spectrum, Hz: a source's line, an oscillator's peak."""

    frequency: float
    label: str


@dataclass(frozen=True, eq=False)
class SpectrumPanel:
    """An emitted spectrum on a logarithmic scale: frequency (bins,), Hz, density (bins,), W/Hz.

    sources: the lines of RF sources, marked over the whole height. peaks: the oscillators' peaks, marked
    above the spectrum. reference: density of another state of the chip, (bins,), W/Hz, drawn faintly behind,
    such as with the sources off.
    """

    title: str
    frequency: FloatArray
    density: FloatArray
    sources: Sequence[Mark] = ()
    peaks: Sequence[Mark] = ()
    reference: FloatArray | None = None

    def __post_init__(self) -> None:
        shapes = [np.shape(self.frequency), np.shape(self.density)]
        if self.reference is not None:
            shapes.append(np.shape(self.reference))
        if np.ndim(self.frequency) != 1 or len(set(shapes)) != 1:
            raise ValueError(
                f"spectrum {self.title!r}: frequency, density and reference have shapes {_listed(shapes)}: "
                "give one trace, all (bins,)"
            )


@dataclass(frozen=True)
class TablePanel:
    """A few labelled values, such as a protocol's summary."""

    title: str
    rows: Sequence[tuple[str, str]]


Panel: TypeAlias = CurvePanel | StateMapPanel | ValueMapPanel | SpectrumPanel | TablePanel


def _is_even(values: NDArray[np.float64]) -> bool:
    """Tell whether `values` ascend in equal steps, up to rounding and to a percent of a step."""
    if np.ndim(values) != 1 or len(values) < 2:
        return False
    steps = np.diff(values)
    return bool(np.all(np.isfinite(steps)) and steps.min() > 0 and np.ptp(steps) <= 0.01 * steps.mean())


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(shape) for shape in shapes)
