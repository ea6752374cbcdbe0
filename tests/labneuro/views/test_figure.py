"""Saved figures: the size asked for, the colours and the words where they belong, all or nothing on disk."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

pytest.importorskip("PySide6.QtGui", reason="Qt can't be loaded here", exc_type=ImportError)

from labneuro.views import FigureError
from labneuro.views.colours import CLASSES, INK, SERIES, WHITE, state_colours
from labneuro.views.composition import arrange, compose, natural_size
from labneuro.views.figure import save_figure
from labneuro.views.panels import (
    Curve,
    CurvePanel,
    Level,
    Mark,
    PointSet,
    SpectrumPanel,
    StateMapPanel,
    TablePanel,
)
from labneuro.views.qt import QtCore, QtGui, application, pg

CENTRES = np.array([332e6, 344e6, 356e6, 368e6])
AXIS = np.linspace(320e6, 380e6, 61)
STEP = np.arange(1.0, 101.0)


def response(centres: np.ndarray, half_width: float = 5.5e6) -> np.ndarray:
    """Return the states of oscillators that follow the nearer of two sources within `half_width`."""
    distance = [np.abs(mesh[..., np.newaxis] - centres) for mesh in np.meshgrid(AXIS, AXIS, indexing="ij")]
    held = [(d < half_width) & (d == d.min(axis=-1, keepdims=True)) for d in distance]
    both = held[0] & held[1]
    states = np.where(held[0], 1, np.where(held[1], 2, 0))
    return np.where(both, np.where(distance[0] <= distance[1], 1, 2), states).astype(np.int8)


HEED, HOD = (2, 0, 0, 1), (0, 1, 0, 2)
VOWELS = [
    PointSet("heed", CENTRES[[3, 0]] + np.array([[0.0, 0.0], [2e6, 1e6]]), state=HEED),
    PointSet("hod", CENTRES[[1, 3]] + np.array([[0.0, 0.0], [1e6, -2e6]]), state=HOD),
]
MAP = StateMapPanel("After learning", AXIS, AXIS, response(CENTRES), VOWELS)
RATES = CurvePanel(
    "Recognition <all>",
    "Step",
    "",
    "Vowels recognised",
    "",
    [
        Curve(STEP, 0.9 - 0.6 * np.exp(-STEP / 20), "training"),
        Curve(STEP, 0.85 - 0.6 * np.exp(-STEP / 20), "held out"),
    ],
    y_range=(0.0, 1.0),
    levels=[Level(0.68, "perceptron, 27 parameters: 0.68")],
)
SPECTRUM = SpectrumPanel(
    "Emission",
    np.linspace(320e6, 380e6, 1001),
    1e-16 + sum(1e-12 / (1 + ((np.linspace(320e6, 380e6, 1001) - f) / 1e5) ** 2) for f in CENTRES),
    sources=[Mark(350e6, "A"), Mark(368.4e6, "B")],
    peaks=[Mark(f, str(k)) for k, f in enumerate(CENTRES, start=1)],
)


def pixel(picture: QtGui.QImage, x: float, y: float) -> tuple[int, int, int]:
    colour = picture.pixelColor(int(x), int(y))
    return colour.red(), colour.green(), colour.blue()


def colours_of(picture: QtGui.QImage) -> set[tuple[int, int, int]]:
    packed = np.unique(np.frombuffer(picture.constBits(), dtype=np.uint32)).tolist()
    return {(colour >> 16 & 255, colour >> 8 & 255, colour & 255) for colour in packed}


def place(panels: list, size: tuple[int, int]) -> Callable[[float, float], tuple[float, float]]:
    """Return where the first map of a figure shows frequencies (A, B), in pixels of the PNG."""
    view = compose(arrange(panels, ""), size)
    image = next(item for item in view.scene().items() if isinstance(item, pg.ImageItem))
    box = image.getViewBox()
    corners = {(x, y): box.mapViewToScene(QtCore.QPointF(x, y)) for x in (0.0, 1e9) for y in (0.0, 1e9)}
    origin, far = corners[0.0, 0.0], corners[1e9, 1e9]
    scale = (far.x() - origin.x()) / 1e9, (far.y() - origin.y()) / 1e9
    view.close()
    return lambda x, y: (2 * (origin.x() + scale[0] * x), 2 * (origin.y() + scale[1] * y))


def words(path: Path) -> list[str]:
    root = Xml.fromstring(path.read_bytes())  # noqa: S314  written by the test
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_png_has_twice_the_pixels_and_says_how_large_they_are(tmp_path: Path) -> None:
    path = save_figure([MAP, RATES], tmp_path / "figure.png", title="Vowels", size=(700, 500))
    picture = QtGui.QImage(str(path))
    assert (picture.width(), picture.height()) == (1400, 1000)
    assert picture.dotsPerMeterX() == pytest.approx(192 / 0.0254, rel=1e-3)


def test_by_default_a_figure_is_as_large_as_its_panels_need(tmp_path: Path) -> None:
    path = save_figure([RATES], tmp_path / "figure.png", title="Vowels")
    width, height = natural_size(arrange([RATES], "Vowels"))
    picture = QtGui.QImage(str(path))
    assert (picture.width(), picture.height()) == (2 * width, 2 * height)
    taller = natural_size(arrange([MAP, MAP, RATES, SPECTRUM, TablePanel("Summary", [("a", "b")])], "Vowels"))
    assert taller[0] > width
    assert taller[1] > 2 * height


def test_each_state_has_its_colour_at_its_frequencies(tmp_path: Path) -> None:
    bare = StateMapPanel("Response map", AXIS, AXIS, response(CENTRES), names=False)
    picture = QtGui.QImage(str(save_figure([bare], tmp_path / "map.png", title="", size=(600, 600))))
    at = place([bare], (600, 600))
    colours = state_colours([tuple(int(s) for s in state) for state in bare.states.reshape(-1, 4)])
    seen = set()
    for i, a in enumerate(AXIS[1:-1], start=1):
        for j, b in enumerate(AXIS[1:-1], start=1):
            block = bare.states[i - 1 : i + 2, j - 1 : j + 2]
            if np.all(block == bare.states[i, j]):  # away from borders, whose lines are drawn over the edges
                state = tuple(int(s) for s in bare.states[i, j])
                seen.add(state)
                assert pixel(picture, *at(a, b)) == colours[state], f"{state} at {a:g}, {b:g} Hz"
    assert len(seen) == 21


def test_vowels_lie_on_the_map_in_the_colour_of_their_region(tmp_path: Path) -> None:
    picture = QtGui.QImage(str(save_figure([MAP], tmp_path / "map.png", title="", size=(600, 600))))
    at = place([MAP], (600, 600))
    regions = state_colours([HEED, HOD], {HEED: CLASSES[0], HOD: CLASSES[1]})
    for vowel, colour in zip(VOWELS, CLASSES, strict=False):
        for frequencies in vowel.xy:
            assert pixel(picture, *at(*frequencies)) == colour, vowel.label
        beside = CENTRES[[vowel.state.index(1), vowel.state.index(2)]] + (-4.5e6, 4.5e6)
        assert pixel(picture, *at(*beside)) == regions[vowel.state]


def test_points_beyond_the_map_are_shown_too(tmp_path: Path) -> None:
    far = PointSet("far", np.array([[400e6, 310e6]]))
    panel = StateMapPanel("Map", AXIS, AXIS, response(CENTRES), [far])
    picture = QtGui.QImage(str(save_figure([panel], tmp_path / "map.png", title="", size=(600, 600))))
    assert pixel(picture, *place([panel], (600, 600))(400e6, 310e6)) == CLASSES[0]


def test_a_figure_carries_its_words(tmp_path: Path) -> None:
    table = TablePanel("Summary", [("held-out speakers", "0.88")])
    path = save_figure([MAP, MAP, RATES, SPECTRUM, table], tmp_path / "figure.svg", title="Four < five & six")
    found = words(path)
    for expected in (
        "Four < five & six",
        "Frequency of source A (MHz)",
        "Frequency of source B (MHz)",
        "Power density (µW/MHz)",
        "Vowels recognised",
        "Recognition <all>",
        "perceptron, 27 parameters: 0.68",
        "heed (1B,4A)",
        "hod (2A,4B)",
        "1A,2B",
        "none",
        "training",
        "held-out speakers",
        "0.88",
    ):
        assert any(expected in text for text in found), f"{expected!r} is not in {found}"
    lines, parts, ticks = {"A", "B", "1", "2", "3", "4"}, {"a", "b", "c", "d", "e"}, {"340", "0.2"}
    assert lines | parts | ticks <= {text.strip() for text in found}


def test_letters_are_drawn_not_boxes_or_blanks(tmp_path: Path) -> None:
    def ink(title: str) -> np.ndarray:
        picture = QtGui.QImage(str(save_figure([RATES], tmp_path / "figure.png", title=title, size=(600, 400))))
        data = np.frombuffer(picture.constBits(), dtype=np.uint8).reshape(picture.height(), -1, 4)
        return data[:100, :, 0] < 128

    wide, narrow = ink("mmmm"), ink("iiii")
    assert narrow.sum() > 100
    columns = [np.flatnonzero(dark.any(axis=0)) for dark in (wide, narrow)]
    assert np.ptp(columns[0]) > 1.5 * np.ptp(columns[1])  # a box for a missing letter has one width for all


def test_curves_are_drawn_in_their_colours(tmp_path: Path) -> None:
    found = colours_of(QtGui.QImage(str(save_figure([RATES], tmp_path / "figure.png", title="Vowels"))))
    assert {SERIES[0], SERIES[1], INK, WHITE} <= found


@pytest.mark.parametrize("labels", [1, 2, 4, 7])
def test_a_legend_makes_room_for_itself(labels: int) -> None:
    x = np.linspace(0.0, 1.0, 40)
    curves = [Curve(x, (1 if k % 2 else -1) * x + 0.1 * k, f"oscillator {k + 1}") for k in range(labels)]
    rows = arrange([CurvePanel("Currents", "Step", "", "Current", "A", curves)], "Vowels")
    view = compose(rows, natural_size(rows))
    (legend,) = [item for item in view.scene().items() if isinstance(item, pg.LegendItem)]
    box = legend.mapRectToScene(legend.boundingRect())
    frame = legend.parentItem()
    assert frame.sceneBoundingRect().contains(box)
    for curve in curves:
        for point in zip(curve.x, curve.y, strict=True):
            assert not box.contains(frame.mapViewToScene(QtCore.QPointF(*point)))
    view.close()


def test_panels_without_anything_to_show_are_empty_frames(tmp_path: Path) -> None:
    nothing = np.full(3, np.nan)
    panels = [
        CurvePanel("a", "Current", "A", "Linewidth", "Hz", []),
        CurvePanel("b", "Current", "A", "Linewidth", "Hz", [Curve(np.empty(0), np.empty(0), "none")]),
        CurvePanel("c", "Current", "A", "Linewidth", "Hz", [Curve(np.arange(3.0), nothing, "gap")]),
        CurvePanel("d", "Current", "A", "Linewidth", "Hz", [Curve(np.arange(3.0), -np.ones(3), "below")], log_y=True),
        CurvePanel("e", "Current", "A", "Linewidth", "Hz", [Curve(np.ones(3), np.ones(3), "one place", marker=True)]),
    ]
    assert "Linewidth (Hz)" in words(save_figure(panels, tmp_path / "figure.svg", title=""))


def test_units_of_powers_are_written_as_such(tmp_path: Path) -> None:
    panel = CurvePanel("Tongue", "Root of power", "W^1/2", "Width", "Hz", [Curve(STEP, 1e6 * STEP)])
    joined = "".join(words(save_figure([panel], tmp_path / "figure.svg", title="")))
    assert "Root of power (W1/2)" in joined
    assert "Width (MHz)" in joined


def test_svg_lines_are_plain_and_stay_in_their_frame(tmp_path: Path) -> None:
    cut = CurvePanel("Cut", "Step", "", "Rate", "", [Curve(STEP, 100.0 * STEP)], y_range=(0.0, 1.0))
    path = save_figure([cut], tmp_path / "figure.svg", title="", size=(600, 400))
    text = path.read_text(encoding="utf-8")
    assert "non-scaling-stroke" not in text  # converters that ignore it draw lines as wide as the plot
    root = Xml.fromstring(text.encode())  # noqa: S314  written by the test
    frame = root.find("{*}clipPath/{*}rect")
    x, y, width, height = (float(frame.get(key)) for key in ("x", "y", "width", "height"))
    assert 0 < x < x + width < 600
    assert 0 < y < y + height < 400
    inside = root.find("{*}g[@clip-path]")
    colour = "#{:02x}{:02x}{:02x}".format(*SERIES[0])
    (curve,) = [group for group in inside.iter() if group.get("stroke") == colour and len(group)]
    drawn = [float(number) for number in re.findall(r"[\d.]+(?=,)", curve[0].get("d") or curve[0].get("points"))]
    assert x <= min(drawn)
    assert max(drawn) <= x + width
    assert not any(
        group.get("stroke") == colour and len(group) for group in root.findall("{*}g") if group is not inside
    )


def test_pdf_pages_have_the_size_of_the_figure(tmp_path: Path) -> None:
    data = save_figure([MAP], tmp_path / "figure.pdf", title="Vowels", size=(640, 480)).read_bytes()
    assert data.startswith(b"%PDF-")
    box = re.search(rb"/MediaBox \[([\d. ]+)\]", data)
    assert box is not None
    assert [float(number) for number in box[1].split()] == pytest.approx([0, 0, 480, 360], abs=1)
    assert b"DCTDecode" not in data  # JPEG would blur the edges of regions


def test_the_same_panels_give_the_same_picture(tmp_path: Path) -> None:
    one, two = (save_figure([MAP, RATES], tmp_path / name, title="Vowels").read_bytes() for name in ("1.png", "2.png"))
    assert one == two


@pytest.mark.parametrize("name", ["figure.jpeg", "figure", "figure.png.txt"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: can't save .*: use \.png, \.svg or \.pdf"):
        save_figure([RATES], tmp_path / name, title="Vowels")
    assert list(tmp_path.iterdir()) == []


def test_endings_may_be_written_in_capitals(tmp_path: Path) -> None:
    assert save_figure([RATES], tmp_path / "FIGURE.PNG", title="Vowels").read_bytes().startswith(b"\x89PNG")


def test_no_panels_and_no_room_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="figure 'Vowels': there is nothing to draw"):
        save_figure([], tmp_path / "figure.png", title="Vowels")
    with pytest.raises(ValueError, match="10 × 500 pixels is too small: give at least 200 × 150"):
        save_figure([RATES], tmp_path / "figure.png", title="Vowels", size=(10, 500))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("a precious figure")
    with pytest.raises(FileExistsError, match=r"figure\.png exists: choose another name"):
        save_figure([RATES], path, title="Vowels", overwrite=False)
    assert path.read_text() == "a precious figure"
    save_figure([RATES], path, title="Vowels")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_figure([RATES], tmp_path / "missing" / "figure.png", title="Vowels")


def test_a_failed_write_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_figure([RATES], tmp_path / "figure.png", title="Old")
    old = path.read_bytes()

    def disk_full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_figure([RATES], path, title="New")
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


DRAW = """
import sys
import numpy as np
from labneuro.views import FigureError
from labneuro.views.panels import Curve, CurvePanel
panel = CurvePanel("Rate", "Step", "", "Rate", "", [Curve(np.arange(3.0), np.arange(3.0), "rate")])
try:
    from labneuro.views.figure import save_figure
    save_figure([panel], sys.argv[1], title="Vowels")
except FigureError as error:
    sys.exit(f"FigureError: {error}")
"""


def draw(path: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Save a figure in another process, whose environment has no screen unless it is given."""
    kept = {
        key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    }
    return subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-W", "error", "-c", before + DRAW, str(path)],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("screen", [{}, {"DISPLAY": ":4711"}, {"DISPLAY": ":4711", "QT_QPA_PLATFORM": "xcb"}], ids=str)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own platform draws")
def test_no_screen_is_needed_even_where_one_is_announced(tmp_path: Path, screen: dict[str, str]) -> None:
    process = draw(tmp_path / "figure.png", **screen)
    assert (process.returncode, process.stderr) == (0, "")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform != "linux", reason="fontconfig is Linux's")
def test_a_machine_without_fonts_says_so_instead_of_leaving_the_words_out(tmp_path: Path) -> None:
    config = tmp_path / "fonts.conf"
    config.write_text(
        f'<?xml version="1.0"?><fontconfig><dir>{tmp_path}</dir><cachedir>{tmp_path}</cachedir></fontconfig>'
    )
    process = draw(tmp_path / "figure.png", FONTCONFIG_FILE=str(config))
    assert process.returncode == 1
    assert "FigureError: figures need a font and this machine has none" in process.stderr
    assert "fonts-dejavu-core" in process.stderr
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_the_pyside_that_uses_up_none_is_refused(tmp_path: Path) -> None:
    process = draw(tmp_path / "figure.png", before="import PySide6; PySide6.__version_info__ = (6, 12, 0, '', '')\n")
    assert process.returncode == 1
    assert "FigureError: PySide6 6.12.0 aborts Python 3.11" in process.stderr


def test_a_process_with_a_qt_that_cannot_draw_is_told_so(tmp_path: Path) -> None:
    begin = "from PySide6.QtCore import QCoreApplication; application = QCoreApplication([])\n"
    process = draw(tmp_path / "figure.png", before=begin)
    assert process.returncode == 1
    assert "FigureError: figures need a QApplication" in process.stderr


def test_another_thread_is_told_to_leave_drawing_to_the_first(tmp_path: Path) -> None:
    application()
    with ThreadPoolExecutor(1) as pool:
        failure = pool.submit(save_figure, [RATES], tmp_path / "figure.png", title="Vowels").exception()
    assert isinstance(failure, FigureError)
    assert "in the thread of the Qt application" in str(failure)


def test_a_machine_where_qt_cannot_be_loaded_says_what_to_install(tmp_path: Path) -> None:
    process = draw(tmp_path / "figure.png", before="import sys; sys.modules['PySide6.QtGui'] = None\n")
    assert process.returncode == 1
    assert "FigureError: figures need Qt, which can't be loaded" in process.stderr
    assert "apt install libegl1" in process.stderr
