# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Save panels as one figure, as PNG, SVG or PDF, with or without a screen."""

from collections.abc import Callable, Sequence
from pathlib import Path

from labneuro.views.composition import Size, arrange, compose, natural_size
from labneuro.views.panels import Panel
from labneuro.views.qt import QtCore, QtGui, pg
from labneuro.views.steps import default_panels
from labneuro.views.svg import scene_as_svg

__all__ = ["default_panels", "save_figure"]

_PNG_RATIO = 2  # pixels of the picture to a pixel of the figure: 192 dots an inch
_DOTS_PER_INCH = 96
_SMALLEST = (200, 150)


def save_figure(
    panels: Sequence[Panel],
    path: str | Path,
    *,
    title: str,
    size: Size | None = None,
    overwrite: bool = True,
) -> Path:
    """Draw `panels` into one figure and save it at `path`, whose ending says how: .png, .svg or .pdf.

    size: (width, height) in pixels of 1/96 inch, by default such that the panels fit; a PNG has twice as
    many. The file appears complete or not at all. Raises ValueError for another ending or no panels,
    FileExistsError for an existing file unless `overwrite`, OSError where the file can't be written,
    FigureError where Qt can't draw.
    """
    path = Path(path)
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise ValueError(
            f"figure {path}: can't save {path.suffix or 'a name without ending'!r}: use .png, .svg or .pdf"
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"figure {path} exists: choose another name or remove it first")
    rows = arrange(panels, title)
    size = size or natural_size(rows)
    if size[0] < _SMALLEST[0] or size[1] < _SMALLEST[1]:
        raise ValueError(
            f"figure {path}: {size[0]} × {size[1]} pixels is too small: give at least {_SMALLEST[0]} × {_SMALLEST[1]}"
        )
    view = compose(rows, size, ratio=_PNG_RATIO if encode is _png else 1)
    try:
        data = encode(view, size, title)
    finally:
        view.close()
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _paint(view: pg.GraphicsView, device: QtGui.QPaintDevice, size: Size) -> None:
    painter = QtGui.QPainter(device)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QtGui.QPainter.RenderHint.LosslessImageRendering)  # no JPEG in a PDF
    area = QtCore.QRectF(0, 0, *size)
    view.scene().render(painter, area, area)
    painter.end()


def _buffer() -> QtCore.QBuffer:
    buffer = QtCore.QBuffer()
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    return buffer


def _png(view: pg.GraphicsView, size: Size, title: str) -> bytes:
    image = QtGui.QImage(_PNG_RATIO * size[0], _PNG_RATIO * size[1], QtGui.QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(_PNG_RATIO)
    image.fill(QtCore.Qt.GlobalColor.white)
    image.setText("Title", title)
    _paint(view, image, size)
    image.setDotsPerMeterX(round(_PNG_RATIO * _DOTS_PER_INCH / 0.0254))
    image.setDotsPerMeterY(round(_PNG_RATIO * _DOTS_PER_INCH / 0.0254))
    buffer = _buffer()
    QtGui.QImageWriter(buffer, b"png").write(image)
    return bytes(buffer.data().data())


def _svg(view: pg.GraphicsView, size: Size, title: str) -> bytes:
    return scene_as_svg(view.scene(), size, title)


def _pdf(view: pg.GraphicsView, size: Size, title: str) -> bytes:
    buffer = _buffer()
    page = QtGui.QPdfWriter(buffer)
    page.setResolution(_DOTS_PER_INCH)
    points = QtCore.QSizeF(size[0] * 72 / _DOTS_PER_INCH, size[1] * 72 / _DOTS_PER_INCH)
    page.setPageSize(
        QtGui.QPageSize(points, QtGui.QPageSize.Unit.Point, title, QtGui.QPageSize.SizeMatchPolicy.ExactMatch)
    )
    page.setPageMargins(QtCore.QMarginsF(0, 0, 0, 0))
    page.setTitle(title)
    _paint(view, page, size)
    return bytes(buffer.data().data())


_ENCODERS: dict[str, Callable[[pg.GraphicsView, Size, str], bytes]] = {
    ".png": _png,
    ".svg": _svg,
    ".pdf": _pdf,
}
