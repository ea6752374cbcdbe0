# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Draw panels into pyqtgraph items; the same code serves saved figures and windows."""

import re
from html import escape

import numpy as np

from labneuro.views.colours import INK, RGB, series_colour
from labneuro.views.curves import draw_curves, shown, span
from labneuro.views.lettering import LABEL, TICK, TITLE, Pencil, css, family, font, markup, text_item
from labneuro.views.panels import CurvePanel, Mark, Panel, SpectrumPanel, StateMapPanel, TablePanel, ValueMapPanel
from labneuro.views.qt import pg
from labneuro.views.state_map import draw_state_map
from labneuro.views.value_map import draw_value_map

PREFIXED = frozenset({"A", "F", "H", "Hz", "J", "K", "Pa", "S", "T", "V", "W", "m", "s", "Ω"})
"""Units that take a prefix (MHz, mA) on an axis."""

_AXIS_WIDTH = 66  # left of every plot, so that the frames in a column of a figure align
_FAINT: RGB = (185, 185, 185)
_MICROWATT_PER_MEGAHERTZ = 1e12  # in 1 W/Hz


def panel_item(panel: Panel, heading: str = "", pencil: Pencil | None = None) -> pg.PlotItem | pg.LabelItem:
    """Return `panel` as an item of a pyqtgraph layout: a plot, or a label for a table.

    heading, such as the letter of a figure's part, goes before the title.
    """
    pencil = pencil or Pencil()
    if isinstance(panel, TablePanel):
        return _table(panel, heading)
    plot = pg.PlotItem(enableMenu=False)
    plot.hideButtons()
    if heading or panel.title:
        plot.setTitle(_title(heading, panel.title), justify="left")
        plot.titleLabel.setMinimumWidth(0)
    match panel:
        case CurvePanel():
            _frame(plot, (panel.x_label, panel.x_unit), (panel.y_label, panel.y_unit), pencil, log_y=panel.log_y)
            draw_curves(plot, panel, pencil)
        case StateMapPanel():
            _frame(plot, (panel.x_label, panel.x_unit), (panel.y_label, panel.y_unit), pencil)
            draw_state_map(plot, panel, pencil)
        case ValueMapPanel():
            _frame(plot, (panel.column_label, ""), (panel.row_label, ""), pencil)
            draw_value_map(plot, panel, pencil)
        case SpectrumPanel():
            _frame(plot, ("Frequency", "Hz"), ("Power density", "µW/MHz"), pencil, log_y=True)
            _draw_spectrum(plot, panel, pencil)
    return plot


def _title(heading: str, title: str) -> str:
    lead = markup(heading, TITLE, bold=True) + "&nbsp;&nbsp;" if heading else ""
    return lead + markup(title, TITLE)


def _table(panel: TablePanel, heading: str) -> pg.LabelItem:
    rows = "".join(
        f"<tr><td style='padding-right:18px'>{escape(label)}</td><td>{escape(text)}</td></tr>"
        for label, text in panel.rows
    )
    style = f"font-family:'{family()}'; font-size:{LABEL}px; color:{css(INK)}"
    item = pg.LabelItem(justify="left")
    item.setText(
        f'<div style="margin-left:{_AXIS_WIDTH}px">{_title(heading, panel.title)}</div>'
        f'<table cellspacing="5" style="margin-left:{_AXIS_WIDTH}px; {style}">{rows}</table>'
    )
    return item


def _frame(plot: pg.PlotItem, x: tuple[str, str], y: tuple[str, str], pencil: Pencil, *, log_y: bool = False) -> None:
    """Frame `plot` with ticks on all four sides; `x` and `y` are (label, unit)."""
    labels = {"bottom": x, "left": y}
    for side in ("bottom", "left", "top", "right"):
        plot.showAxis(side)
        axis = plot.getAxis(side)
        axis.setPen(pencil.pen(INK, 1.0))
        axis.setTextPen(pg.mkPen(INK))
        axis.setTickFont(font(TICK))
        axis.setStyle(tickLength=-6, tickTextOffset=6, showValues=side in labels, hideOverlappingLabels=False)
        axis.setZValue(10)
        if side == "left":
            axis.setWidth(_AXIS_WIDTH)
        if log_y and side in {"left", "right"}:
            axis.setLogMode(False, True)
        text, unit = labels.get(side, ("", ""))
        axis.enableAutoSIPrefix(unit in PREFIXED)
        if text:
            axis.label.setFont(font(LABEL))
            axis.setLabel(escape(text), units=None if unit in {"", "1"} else _raised(unit), color=css(INK))


def _raised(unit: str) -> str:
    """Return `unit` as HTML, with what follows a ^ as an exponent."""
    return re.sub(r"\^(-?[\d/.]+)", r"<sup>\1</sup>", escape(unit))


def _draw_spectrum(plot: pg.PlotItem, panel: SpectrumPanel, pencil: Pencil) -> None:
    traces = [panel.density] if panel.reference is None else [panel.reference, panel.density]
    curves = [shown(_MICROWATT_PER_MEGAHERTZ * trace, log=True) for trace in traces]
    low, high = span(curves, 0.03)
    high += 0.12 * (high - low)
    plot.getViewBox().setRange(xRange=span([panel.frequency], 0.0), yRange=(low, high), padding=0)
    for number, mark in enumerate(panel.sources):
        colour = series_colour(number)
        plot.addItem(pg.InfiniteLine(mark.frequency, angle=90, pen=pencil.pen(colour, 1.4, "dashed")))
        _write(plot, mark, high, colour, anchor=(-0.1, 0.0))
    for y, colour in zip(curves, [INK] if panel.reference is None else [_FAINT, INK], strict=True):
        plot.addItem(pg.PlotDataItem(panel.frequency, y, pen=pencil.pen(colour, 1.2), connect="finite", antialias=True))
    close = 0.02 * float(np.ptp(panel.frequency))
    for mark in panel.peaks:
        nearest = int(np.argmin(np.abs(panel.frequency - mark.frequency)))
        lines = [line.frequency - mark.frequency for line in panel.sources]
        beside = next((1.2 if line >= 0 else -0.2 for line in lines if abs(line) < close), 0.5)
        _write(plot, mark, max(float(y[nearest]) for y in curves), INK, anchor=(beside, 1.0))


def _write(plot: pg.PlotItem, mark: Mark, y: float, colour: RGB, *, anchor: tuple[float, float]) -> None:
    label = text_item(mark.label, colour, LABEL, anchor=anchor, bold=True)
    label.setPos(mark.frequency, y)
    plot.addItem(label, ignoreBounds=True)
