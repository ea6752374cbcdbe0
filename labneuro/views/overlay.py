"""Two runs in one picture: the same curves of both over common axes, all else side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from labneuro.views.colours import SERIES
from labneuro.views.panels import Curve, CurvePanel, Level, Line, Panel

_GREY = len(SERIES) - 1  # of the two entries in a legend that say which line is which run
_Key = tuple[str, int]
_Range = tuple[float, float] | None


def overlaid(first: Sequence[Panel], second: Sequence[Panel], names: tuple[str, str]) -> list[Panel]:
    """Return the panels of two runs as those of one figure, in the order of the first.

    Curves of panels with the same title, axes and units are drawn together: those of the first run solid, those of the
    second dashed, equal labels in equal colours. Everything else stands side by side. names: what the runs are called.
    """
    left = list(second)
    shown: list[Panel] = []
    for panel in first:
        other = next((candidate for candidate in left if _alike(panel, candidate)), None)
        if other is not None:
            left.remove(other)
        if isinstance(panel, CurvePanel) and isinstance(other, CurvePanel):
            shown.append(_together(panel, other, names))
        else:
            shown += [_called(panel, names[0])] + ([] if other is None else [_called(other, names[1])])
    return shown + [_called(panel, names[1]) for panel in left]


def _alike(one: Panel, other: Panel) -> bool:
    if isinstance(one, CurvePanel) and isinstance(other, CurvePanel):
        return _axes(one) == _axes(other)
    return type(one) is type(other) and one.title == other.title


def _axes(panel: CurvePanel) -> tuple[object, ...]:
    axes = panel.x_label, panel.x_unit, panel.log_x, panel.y_label, panel.y_unit, panel.log_y
    return panel.title, *axes


def _called(panel: Panel, name: str) -> Panel:
    return replace(panel, title=f"{panel.title}: {name}")


def _together(first: CurvePanel, second: CurvePanel, names: tuple[str, str]) -> CurvePanel:
    ours, theirs = _keyed(first.curves), _keyed(second.curves)
    colours = _colours({**ours, **{key: curve for key, curve in theirs.items() if key not in ours}})
    curves = [replace(curve, line=_line(curve, "solid"), colour=colours[key]) for key, curve in ours.items()]
    for key, curve in theirs.items():
        label = "" if key in ours else curve.label
        curves.append(replace(curve, line=_line(curve, "dashed"), colour=colours[key], label=label))
    nothing = np.full(1, np.nan)
    lines: tuple[Line, Line] = ("solid", "dashed")
    curves += [Curve(nothing, nothing, name, line=line, colour=_GREY) for name, line in zip(names, lines, strict=True)]
    return replace(
        first,
        curves=curves,
        levels=_levels(first.levels, second.levels, names),
        x_range=_widened(first.x_range, second.x_range),
        y_range=_widened(first.y_range, second.y_range),
    )


def _keyed(curves: Sequence[Curve]) -> dict[_Key, Curve]:
    """Return curves by their labels and numbers; those of one label are numbered."""
    labels = [curve.label for curve in curves]
    return {(curve.label, labels[:k].count(curve.label)): curve for k, curve in enumerate(curves)}


def _colours(curves: Mapping[_Key, Curve]) -> dict[_Key, int]:
    """Return places in the sequence of colours: those that curves want, and the next for the others."""
    wanted = {key: curve.colour for key, curve in curves.items()}
    free = (place for place in count() if place not in wanted.values())
    return {key: next(free) if colour is None else colour for key, colour in wanted.items()}


def _line(curve: Curve, line: Line) -> Line:
    """Return how points are joined; those that nothing joins stay so in the first run and are dotted in the second."""
    if curve.line != "none":
        return line
    return "none" if line == "solid" else "dotted"


def _levels(first: Sequence[Level], second: Sequence[Level], names: tuple[str, str]) -> list[Level]:
    """Return the reference lines of both runs; those that differ say of which run they are."""
    common = [level for level in first if level in second]
    own = [
        Level(level.value, f"{level.label}, {name}")
        for levels, name in zip((first, second), names, strict=True)
        for level in levels
        if level not in common
    ]
    return common + own


def _widened(one: _Range, other: _Range) -> _Range:
    """Return the range that has room for both; None, that of the data, if one of them is."""
    return None if one is None or other is None else (min(one[0], other[0]), max(one[1], other[1]))
