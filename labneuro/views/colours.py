"""Colours that survive colour-blindness and grey print, for curves, vowels and synchronisation states.

Everything here is arithmetic on (red, green, blue) triples of 0 to 255; nothing is drawn.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

RGB: TypeAlias = tuple[int, int, int]
State: TypeAlias = tuple[int, ...]
"""One synchronisation state as a hashable row: 0 runs free, k is locked to source k."""

WHITE: RGB = (255, 255, 255)
INK: RGB = (34, 34, 34)
"""Text, axes and outlines."""

SERIES: tuple[RGB, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (90, 90, 90),
)
"""Colours of curves: M. Okabe and K. Ito, "Color universal design" (2008), without yellow and black."""

CLASSES: tuple[RGB, ...] = (
    (213, 94, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (230, 159, 0),
    (204, 121, 167),
    (136, 34, 85),
    (120, 94, 60),
    (17, 60, 60),
)
"""Colours of classes of points (vowels, digits): the seven of Okabe and Ito, then three darker ones."""


@dataclass(frozen=True)
class Paper:
    """What is drawn on: its colour, and the colours that can be read on it.

    ink: of text, axes and outlines. grey: of reference lines. faint: of what stands back. series: of curves.
    """

    ground: RGB
    ink: RGB
    grey: RGB
    faint: RGB
    series: tuple[RGB, ...]

    def series_colour(self, index: int) -> RGB:
        """Return the colour of curve `index`; the sequence repeats."""
        return self.series[index % len(self.series)]


LIGHT = Paper(WHITE, INK, (110, 110, 110), (185, 185, 185), SERIES)
DARK = Paper(
    (27, 28, 32),
    (224, 224, 224),
    (158, 158, 158),
    (100, 100, 100),
    (
        (47, 123, 245),
        (245, 122, 47),
        (20, 190, 140),
        (202, 141, 223),
        (239, 192, 60),
        (140, 217, 245),
        (128, 128, 128),
    ),
)
"""For windows at night: about the hues of SERIES, lighter, and found by search to be as far apart for every eye."""


def series_colour(index: int) -> RGB:
    """Return the colour of curve `index`; the sequence repeats."""
    return SERIES[index % len(SERIES)]


def class_colour(index: int) -> RGB:
    """Return the colour of class `index`; the sequence repeats."""
    return CLASSES[index % len(CLASSES)]


def tint(colour: RGB, strength: float) -> RGB:
    """Return `colour` diluted with white: 1 is the colour itself, 0 is white."""
    red, green, blue = (round(255 - strength * (255 - channel)) for channel in colour)
    return red, green, blue


def ink_on(ground: RGB) -> RGB:
    """Return the colour of letters on `ground`: dark or white, whichever contrasts more."""
    red, green, blue = ground
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else WHITE


def oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """Return the sRGB colour of a perceived `lightness` (0 to 1), `chroma` (0 to about 0.3), `hue` (degrees).

    The space is that of B. Ottosson, "A perceptual color space for image processing" (2020). Channels outside
    sRGB are clipped.
    """
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long, medium, short = (
        (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3,
        (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3,
        (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3,
    )
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * _gamma(min(max(channel, 0.0), 1.0))) for channel in linear)
    return red, green, blue


def _gamma(linear: float) -> float:
    """Encode a linear channel, 0 to 1, as sRGB (IEC 61966-2-1)."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


# Colour-blind eyes lose differences between hues. These numbers, found by search, keep the 21 states of four
# oscillators and two sources apart for protanopes, deuteranopes and tritanopes; a test checks them.
_FIRST_HUE = 50.4
_WARMTH = 0.062  # by how much warm hues are darker than cold ones
_ONE_LOCKED_A = (0.932, 0.05)  # lightness, chroma
_ONE_LOCKED_B = (0.898, 0.172)  # lightness with the first oscillator, loss of it up to the last
_TWO_LOCKED = (0.804, 0.276, 0.137)  # the same, and chroma


def state_colours(states: Iterable[State], wanted: Mapping[State, RGB] | None = None) -> dict[State, RGB]:
    """Return the colour of each synchronisation state on a response map.

    `wanted` has the colours of the states that stand for something, such as a vowel: those states take a
    lighter shade of them, all others a grey, darker with the number of locked oscillators. Without it every
    state has its own colour: the hue says which oscillator follows source A, the shade which one follows
    source B; states with one locked oscillator are pale.
    """
    if wanted:
        return {state: tint(wanted[state], 0.5) if state in wanted else _neutral(state) for state in states}
    return {state: _woven(state) for state in states}


def _neutral(state: State) -> RGB:
    locked = int(np.count_nonzero(state))
    level = (255, 242, 224, 202)[min(locked, 3)]
    return level, level, level


def _woven(state: State) -> RGB:
    """Colour a state by who follows A (hue) and who follows B (shade); further locks darken it."""
    oscillators = len(state)
    locked = [oscillator for oscillator, source in enumerate(state) if source > 0]
    if not locked:
        return WHITE
    follows_a = [oscillator for oscillator in locked if state[oscillator] == 1]
    others = [oscillator for oscillator in locked if state[oscillator] != 1]
    further = max(len(follows_a) - 1, 0) + max(len(others) - 1, 0)
    depth = others[0] / max(oscillators - 1, 1) if others else 0.0
    if not follows_a:
        lightness, loss = _ONE_LOCKED_B
        return oklch(lightness - loss * depth - 0.06 * further, 0.0, 0.0)
    hue = _FIRST_HUE + 360.0 * follows_a[0] / oscillators
    shadow = 0.06 * further + (_WARMTH if math.cos(math.radians(hue)) > 0.0 else 0.0)
    if not others:
        lightness, chroma = _ONE_LOCKED_A
        return oklch(lightness - shadow, chroma, hue)
    lightness, loss, chroma = _TWO_LOCKED
    return oklch(lightness - loss * depth - shadow, chroma, hue)
