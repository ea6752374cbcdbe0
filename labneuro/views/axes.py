# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The ranges of a plot's axes: those of the data, with room to grow in windows, unless a person has zoomed in."""

from collections.abc import Sequence

import numpy as np

from labneuro.units import FloatArray
from labneuro.views.qt import pg

Range = tuple[float, float]

_GROWTH = 0.25  # of the range: room that is left where the data have outgrown it
_TOO_WIDE = 0.6  # the part of a range that data must fill for it to be kept


def shown(values: FloatArray, *, log: bool) -> FloatArray:
    """Return `values` as the axis takes them: on a logarithmic one log10, NaN where there is none."""
    if not log:
        return np.asarray(values, dtype=np.float64)
    return np.log10(np.where(np.asarray(values) > 0, values, np.nan))


def span(values: Sequence[FloatArray], margin: float) -> Range:
    """Return the range of all finite `values`, widened by the fraction `margin` of it at both ends."""
    everything = np.concatenate([np.ravel(v) for v in values]) if values else np.empty(0)
    finite = everything[np.isfinite(everything)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        margin, high, low = 0.1, low + 0.5 * (abs(low) or 1.0), low - 0.5 * (abs(low) or 1.0)
    return low - margin * (high - low), high + margin * (high - low)


def roomy(wanted: Range, before: Range | None, margin: float = 0.0) -> Range:
    """Return a range with room for `wanted` that seldom changes: `before`, with room to grow where it was outgrown.

    It is `wanted` the first time, and where `before` is far too wide. margin: the part of the data's range that
    `wanted` has beyond them at each end, see `span`; it may be used up.
    """
    if before is None:
        return wanted
    (low, high), (bottom, top) = wanted, before
    growth, edge = _GROWTH * (high - low), margin / (1.0 + 2.0 * margin) * (high - low)
    under, over = low + edge < bottom, high - edge > top
    bottom, top = low - growth if under else bottom, high + growth if over else top
    if high - low > _TOO_WIDE * (top - bottom):
        return bottom, top
    return (low - growth, high + growth) if under or over else wanted


class Axes:
    """The ranges of the axes of `plot`, as `show` sets them. held: whether a person has zoomed or panned instead."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._box = plot.getViewBox()
        self._wanted: tuple[Range, Range] | None = None
        self.held = False
        self._box.sigRangeChangedManually.connect(self._hold)

    def show(self, x: Range, y: Range) -> bool:
        """Show these ranges, unless a person wants others; return whether they have changed."""
        changed, self._wanted = self._wanted != (x, y), (x, y)
        if changed and not self.held:
            self._box.setRange(xRange=x, yRange=y, padding=0)
        return changed

    def release(self) -> None:
        """Show what is to be seen again."""
        self.held = False
        if self._wanted is not None:
            self._box.setRange(xRange=self._wanted[0], yRange=self._wanted[1], padding=0)

    def take_over(self, other: "Axes") -> None:
        """Show what a person wants to see in the plot of `other`."""
        if other.held:
            x, y = other._box.viewRange()  # noqa: SLF001 - of the same class
            self.held = True
            self._box.setRange(xRange=x, yRange=y, padding=0)

    def _hold(self) -> None:
        self.held = True
