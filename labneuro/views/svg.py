# pyqtgraph has no type stubs: its members are unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Draw a scene of plots as SVG that looks alike in every program that reads SVG.

Two habits of Qt's generator are mended here. It marks lines of constant width in scaled groups
`vector-effect="non-scaling-stroke"`, which several converters ignore, so that lines come out as wide as the
plot: the scale goes into the coordinates instead. And it either clips nothing or forgets to end a clip: each
plot is drawn on its own and clipped to its frame, then all that lies outside the frames.
"""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from xml.etree import ElementTree as Xml

from labneuro.views.qt import QtCore, QtGui, QtSvg, QtWidgets, pg

_SVG = "{http://www.w3.org/2000/svg}"
_FALLBACK = "Helvetica, Arial, sans-serif"
_PAIR = re.compile(r"(-?[\d.]+(?:e[-+]?\d+)?),(-?[\d.]+(?:e[-+]?\d+)?)")
_Matrix = tuple[float, float, float, float, float, float]


def scene_as_svg(scene: QtWidgets.QGraphicsScene, size: tuple[int, int], title: str) -> bytes:
    """Return the part of `scene` from (0, 0) to `size`, in pixels, as an SVG document."""
    Xml.register_namespace("", _SVG[1:-1])
    Xml.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = Xml.Element(f"{_SVG}svg", width=f"{size[0]}", height=f"{size[1]}", version="1.1")
    root.set("viewBox", f"0 0 {size[0]} {size[1]}")
    Xml.SubElement(root, f"{_SVG}title").text = title
    Xml.SubElement(root, f"{_SVG}rect", width="100%", height="100%", fill="white")
    plots = [item for item in scene.items() if isinstance(item, pg.ViewBox)]
    for number, plot in enumerate(plots):
        frame = Xml.SubElement(Xml.SubElement(root, f"{_SVG}clipPath", id=f"plot{number}"), f"{_SVG}rect")
        area = plot.sceneBoundingRect()
        for name, value in (
            ("x", area.x()),
            ("y", area.y()),
            ("width", area.width()),
            ("height", area.height()),
        ):
            frame.set(name, f"{value:.6g}")
        inside = Xml.SubElement(root, f"{_SVG}g")
        inside.set("clip-path", f"url(#plot{number})")
        with _transparent(_apart_from(scene, plot.childGroup)):
            inside.extend(_drawn(scene, size))
    with _transparent([plot.childGroup for plot in plots]):
        root.extend(_drawn(scene, size))
    return Xml.tostring(root, encoding="UTF-8", xml_declaration=True)


def _apart_from(scene: QtWidgets.QGraphicsScene, kept: QtWidgets.QGraphicsItem) -> list[QtWidgets.QGraphicsItem]:
    """Return the items of `scene` that neither contain `kept` nor are in it."""
    return [
        item
        for item in scene.items()
        if item is not kept and not item.isAncestorOf(kept) and not kept.isAncestorOf(item)
    ]


@contextmanager
def _transparent(items: Sequence[QtWidgets.QGraphicsItem]) -> Generator[None]:
    """Make `items` and what is in them invisible without moving anything, as hiding them would."""
    before = [(item, item.opacity()) for item in items]
    for item in items:
        item.setOpacity(0.0)
    try:
        yield
    finally:
        for item, opacity in before:
            item.setOpacity(opacity)


def _drawn(scene: QtWidgets.QGraphicsScene, size: tuple[int, int]) -> list[Xml.Element]:
    """Return the visible part of `scene` as SVG elements with plain strokes."""
    buffer = QtCore.QBuffer()
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    device = QtSvg.QSvgGenerator()
    device.setOutputDevice(buffer)
    device.setSize(QtCore.QSize(*size))
    device.setResolution(96)  # the scene's own, for what it replays from pictures, such as ticks
    device.setViewBox(QtCore.QRect(0, 0, *size))
    painter = QtGui.QPainter(device)
    area = QtCore.QRectF(0, 0, *size)
    scene.render(painter, area, area)
    painter.end()
    document = Xml.fromstring(bytes(buffer.data().data()))  # noqa: S314  this process wrote it
    for group in document.iter(f"{_SVG}g"):
        _flatten(group)
    for element in document.iter():
        if family := element.get("font-family"):
            element.set("font-family", f"{family}, {_FALLBACK}")
    return [element for element in document if element.tag == f"{_SVG}g"]


def _flatten(group: Xml.Element) -> None:
    """Move the transform of a group with constant-width strokes into its children."""
    transform = group.get("transform")
    if transform is None or all(child.get("vector-effect") != "non-scaling-stroke" for child in group):
        return
    matrix = _matrix(transform)
    del group.attrib["transform"]
    for child in group:
        if child.attrib.pop("vector-effect", None) != "non-scaling-stroke":
            child.set("transform", " ".join(filter(None, [transform, child.get("transform")])))
            continue
        if child.tag == f"{_SVG}rect":
            _as_polygon(child)
        for shape in ("d", "points"):
            if shape in child.attrib:
                child.set(shape, _PAIR.sub(lambda pair: _moved(pair, matrix), child.attrib[shape]))


def _matrix(transform: str) -> _Matrix:
    a, b, c, d, e, f = (float(number) for number in transform.removeprefix("matrix(").rstrip(") ").split(","))
    return a, b, c, d, e, f


def _moved(pair: re.Match[str], matrix: _Matrix) -> str:
    x, y = float(pair[1]), float(pair[2])
    a, b, c, d, e, f = matrix
    return f"{a * x + c * y + e:.6g},{b * x + d * y + f:.6g}"


def _as_polygon(rectangle: Xml.Element) -> None:
    """Turn a rectangle into a polygon, whose corners can be moved one by one."""
    x, y, width, height = (float(rectangle.attrib.pop(key)) for key in ("x", "y", "width", "height"))
    rectangle.tag = f"{_SVG}polygon"
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    rectangle.set("points", " ".join(f"{cx},{cy}" for cx, cy in corners))
