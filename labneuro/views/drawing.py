# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Panels as pyqtgraph items, drawn once and then updated in place; the same code serves saved figures and windows."""

import re
from collections.abc import Callable
from html import escape
from typing import Any

from labneuro.views.curves import CurvePicture
from labneuro.views.lettering import LABEL, TICK, TITLE, Pencil, css, family, font, markup
from labneuro.views.panels import CurvePanel, Panel, SpectrumPanel, StateMapPanel, TablePanel, ValueMapPanel
from labneuro.views.qt import pg
from labneuro.views.spectrum import SpectrumPicture
from labneuro.views.state_map import StateMapPicture
from labneuro.views.value_map import ValueMapPicture

PREFIXED = frozenset({"A", "F", "H", "Hz", "J", "K", "Pa", "S", "T", "V", "W", "m", "s", "Ω"})
"""Units that take a prefix (MHz, mA) on an axis."""

_AXIS_WIDTH = 66  # left of every plot, so that the frames in a column of a figure align
_Content = CurvePicture | StateMapPicture | ValueMapPicture | SpectrumPicture
_CONTENTS: dict[type[Panel], Callable[[pg.PlotItem, Any, Pencil], _Content]] = {
    CurvePanel: CurvePicture,
    StateMapPanel: StateMapPicture,
    ValueMapPanel: ValueMapPicture,
    SpectrumPanel: SpectrumPicture,
}


class Picture:
    """A panel as an item of a pyqtgraph layout: a plot, or a label for a table. `show` brings it up to date.

    heading, such as the letter of a figure's part, goes before the title. content: what is in the frame of a plot.
    """

    def __init__(self, panel: Panel, heading: str = "", pencil: Pencil | None = None) -> None:
        self.panel = panel
        self._heading = heading
        self._pencil = pencil or Pencil()
        self._title = None
        self._form = _form(panel)
        self.content: _Content | None = None
        if isinstance(panel, TablePanel):
            self.item: Any = pg.LabelItem(justify="left")
            self._tell(panel)
            return
        self.item = pg.PlotItem(enableMenu=False)
        self.item.hideButtons()
        self._entitle(panel.title)
        _frame(self.item, panel, self._pencil)
        self.content = _CONTENTS[type(panel)](self.item, panel, self._pencil)

    def fits(self, panel: Panel) -> bool:
        """Return whether `panel` can be shown in place of the present one."""
        return _form(panel) == self._form

    def show(self, panel: Panel) -> None:
        """Show a panel that fits."""
        before, self.panel = self.panel, panel
        if isinstance(panel, TablePanel):
            if panel != before:
                self._tell(panel)
            return
        if panel.title != before.title:
            self._entitle(panel.title)
        if self.content is not None:
            self.content.show(panel)  # pyright: ignore[reportArgumentType] - of the same kind, as it fits

    def _entitle(self, title: str) -> None:
        if self._heading or title:
            self.item.setTitle(self._headed(title), justify="left")
            self.item.titleLabel.setMinimumWidth(0)
        else:
            self.item.setTitle(None)

    def _headed(self, title: str) -> str:
        ink = self._pencil.paper.ink
        lead = markup(self._heading, TITLE, ink, bold=True) + "&nbsp;&nbsp;" if self._heading else ""
        return lead + markup(title, TITLE, ink)

    def _tell(self, panel: TablePanel) -> None:
        rows = "".join(
            f"<tr><td style='padding-right:18px'>{escape(label)}</td><td>{escape(text)}</td></tr>"
            for label, text in panel.rows
        )
        style = f"font-family:'{family()}'; font-size:{LABEL}px; color:{css(self._pencil.paper.ink)}"
        self.item.setText(
            f'<div style="margin-left:{_AXIS_WIDTH}px">{self._headed(panel.title)}</div>'
            f'<table cellspacing="5" style="margin-left:{_AXIS_WIDTH}px; {style}">{rows}</table>'
        )


def _form(panel: Panel) -> tuple[object, ...]:
    """Return what of a panel is drawn once: panels of one form can be shown one after the other in one picture."""
    kind = type(panel)
    match panel:
        case CurvePanel():
            curves = [(c.label, c.marker, c.line, c.band is None, c.colour) for c in panel.curves]
            return kind, *_axes(panel), *curves, *(level.label for level in panel.levels)
        case StateMapPanel():
            points = [(p.label, p.state, p.colour) for p in panel.points]
            return kind, *_axes(panel), panel.names, *points
        case ValueMapPanel():
            labels = panel.label, panel.unit, *panel.rows, *panel.columns
            return kind, *_axes(panel), panel.values.shape, *labels
        case SpectrumPanel():
            marks = [mark.label for mark in (*panel.sources, *panel.peaks)]
            return kind, panel.reference is None, len(panel.sources), *marks
        case TablePanel():
            return (kind,)


def _axes(panel: Panel) -> tuple[tuple[str, str], tuple[str, str], bool, bool]:
    """Return labels and units of the axes, x before y, and whether they are logarithmic."""
    match panel:
        case CurvePanel():
            return (panel.x_label, panel.x_unit), (panel.y_label, panel.y_unit), panel.log_x, panel.log_y
        case StateMapPanel():
            return (panel.x_label, panel.x_unit), (panel.y_label, panel.y_unit), False, False
        case ValueMapPanel():
            return (panel.column_label, ""), (panel.row_label, ""), False, False
        case _:
            return ("Frequency", "Hz"), ("Power density", "µW/MHz"), False, True


def _frame(plot: pg.PlotItem, panel: Panel, pencil: Pencil) -> None:
    """Frame `plot` with ticks on all four sides."""
    x, y, log_x, log_y = _axes(panel)
    labels, ink = {"bottom": x, "left": y}, pencil.paper.ink
    for side in ("bottom", "left", "top", "right"):
        plot.showAxis(side)
        axis = plot.getAxis(side)
        axis.setPen(pencil.pen(ink, 1.0))
        axis.setTextPen(pg.mkPen(ink))
        axis.setTickFont(font(TICK))
        axis.setStyle(tickLength=-6, tickTextOffset=6, showValues=side in labels, hideOverlappingLabels=False)
        axis.setZValue(10)
        if side == "left":
            axis.setWidth(_AXIS_WIDTH)
        axis.setLogMode(log_x, log_y)
        if log_x and side in {"bottom", "top"}:
            axis.setTickSpacing(1, 1)
            axis.setStyle(maxTextLevel=0)  # powers of ten only: numbers between them run into each other
        text, unit = labels.get(side, ("", ""))
        axis.enableAutoSIPrefix(unit in PREFIXED and not axis.logMode)
        if text:
            axis.label.setFont(font(LABEL))
            axis.setLabel(escape(text), units=None if unit in {"", "1"} else _raised(unit), color=css(ink))


def _raised(unit: str) -> str:
    """Return `unit` as HTML, with what follows a ^ as an exponent."""
    return re.sub(r"\^(-?[\d/.]+)", r"<sup>\1</sup>", escape(unit))
