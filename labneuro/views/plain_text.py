"""The values of panels as text, one value a line, for whoever wants to draw them otherwise."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

import numpy as np

from labneuro.signals import state_name
from labneuro.views.panels import CurvePanel, Panel, SpectrumPanel, StateMapPanel, ValueMapPanel

COLUMNS = ("panel", "series", "x", "x_unit", "y", "y_unit", "value", "value_unit")

_Line = tuple[object, ...]


def as_csv(panels: Sequence[Panel]) -> str:
    """Return the values of `panels`, in SI units: curves as x and y, maps as x, y and value; NaN is left out."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel in panels:
        writer.writerows((panel.title, *line) for line in _lines(panel))
    return text.getvalue()


def _lines(panel: Panel) -> Iterator[_Line]:
    match panel:
        case CurvePanel():
            return _of_curves(panel)
        case SpectrumPanel():
            return _of_spectrum(panel)
        case StateMapPanel():
            return _of_states(panel)
        case ValueMapPanel():
            return _of_values(panel)
        case _:
            return ((label, "", "", "", "", words, "") for label, words in panel.rows)


def _of_curves(panel: CurvePanel) -> Iterator[_Line]:
    for curve in panel.curves:
        low, high = curve.band or ((), ())
        for label, values in ((curve.label, curve.y), (f"{curve.label} low", low), (f"{curve.label} high", high)):
            for x, y in zip(curve.x.tolist(), values, strict=False):
                if np.isfinite(y):
                    yield label, x, panel.x_unit, float(y), panel.y_unit, "", ""
    for level in panel.levels:
        yield level.label, "", "", level.value, panel.y_unit, "", ""


def _of_spectrum(panel: SpectrumPanel) -> Iterator[_Line]:
    for label, density in (("", panel.density), ("reference", panel.reference)):
        for x, y in zip(panel.frequency.tolist(), () if density is None else density.tolist(), strict=False):
            yield label, x, "Hz", y, "W/Hz", "", ""
    for mark in (*panel.sources, *panel.peaks):
        yield mark.label, mark.frequency, "Hz", "", "", "", ""


def _of_states(panel: StateMapPanel) -> Iterator[_Line]:
    for i, x in enumerate(panel.x.tolist()):
        for j, y in enumerate(panel.y.tolist()):
            yield "", x, panel.x_unit, y, panel.y_unit, state_name(panel.states[i, j]), ""
    for points in panel.points:
        for x, y in points.xy.tolist():
            yield points.label, x, panel.x_unit, y, panel.y_unit, "", ""


def _of_values(panel: ValueMapPanel) -> Iterator[_Line]:
    for (row, column), value in np.ndenumerate(panel.values):
        if np.isfinite(value):
            x = panel.columns[column] if panel.columns else column
            y = panel.rows[row] if panel.rows else row
            yield "", x, "", y, "", float(value), panel.unit
