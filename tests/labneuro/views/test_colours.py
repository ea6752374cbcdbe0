"""Colours stay apart for people who see fewer of them."""

from itertools import combinations, permutations

import numpy as np
import pytest

from labneuro.views.colours import CLASSES, DARK, INK, LIGHT, SERIES, WHITE, Paper, ink_on, oklch, state_colours, tint

# Vision without one kind of cone, on linear sRGB: G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A
# physiologically-based model for simulation of color vision deficiency" (2009), severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
NOTICEABLE = 0.02  # a just noticeable difference in Oklab is about this (Ottosson 2020)

FREE = (0, 0, 0, 0)
STATES = [FREE]
STATES += [tuple(source if k == i else 0 for k in range(4)) for source in (1, 2) for i in range(4)]
STATES += [tuple({i: 1, j: 2}.get(k, 0) for k in range(4)) for i, j in permutations(range(4), 2)]


def oklab(colour, eye) -> np.ndarray:
    """Return what an eye sees: lightness, green to red, blue to yellow (Ottosson's matrices)."""
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(eye) @ linear, 0, 1)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    axes = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(axes) @ np.cbrt(np.array(cones) @ seen)


def nearest(colours, eye) -> float:
    """Return the smallest difference between two of the colours."""
    seen = [oklab(colour, eye) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2))


@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
def test_curves_and_vowels_are_told_apart_by_every_eye(eye) -> None:
    assert nearest(SERIES, eye) > 3 * NOTICEABLE
    assert nearest(CLASSES[:7], eye) > 3 * NOTICEABLE
    assert nearest(CLASSES, eye) > 2 * NOTICEABLE


@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
def test_the_21_states_of_four_oscillators_are_told_apart_by_every_eye(eye) -> None:
    colours = state_colours(STATES)
    assert len(STATES) == len(set(colours.values())) == 21
    assert nearest(list(colours.values()), eye) > 1.5 * NOTICEABLE


@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
def test_regions_of_vowels_are_told_apart_from_each_other_and_from_the_rest(eye) -> None:
    wanted = dict(zip(STATES[9:16], CLASSES, strict=False))
    colours = state_colours(STATES, wanted)
    assert nearest({colours[state] for state in STATES}, eye) > 1.5 * NOTICEABLE


def test_a_region_is_a_lighter_relative_of_the_vowels_that_belong_there() -> None:
    wanted = {STATES[9]: CLASSES[0]}
    colours = state_colours(STATES, wanted)
    vowel, region = oklab(CLASSES[0], np.eye(3)), oklab(colours[STATES[9]], np.eye(3))
    assert region[0] > vowel[0] + 0.1
    hues = [np.degrees(np.arctan2(seen[2], seen[1])) for seen in (vowel, region)]
    assert hues[1] == pytest.approx(hues[0], abs=15)  # diluting in sRGB bends the hue a little
    for state in set(STATES) - set(wanted):
        assert len(set(colours[state])) == 1, f"{state} stands for nothing and is not grey: {colours[state]}"


def test_one_locked_oscillator_is_paler_than_two() -> None:
    lightness = {state: oklab(colour, np.eye(3))[0] for state, colour in state_colours(STATES).items()}
    for i, j in permutations(range(4), 2):
        both = tuple({i: 1, j: 2}.get(k, 0) for k in range(4))
        assert lightness[both] < min(lightness[STATES[1 + i]], lightness[STATES[5 + j]])
    assert state_colours(STATES)[FREE] == WHITE


def test_any_state_of_any_chip_has_a_colour() -> None:
    states = [(1, 1, 1, 1, 1, 1), (0, 3, 2, 1, 1, 0), (2, 2, 2, 2, 2, 2), (3, 3, 0, 0, 0, 0)]
    for colours in (state_colours(states), state_colours(states, {states[0]: CLASSES[0]})):
        assert set(colours) == set(states)
        assert all(0 <= channel <= 255 for colour in colours.values() for channel in colour)
    assert state_colours([(1,), (2,), (0,)])[(0,)] == WHITE


def test_oklch_returns_the_colour_of_that_lightness_chroma_and_hue() -> None:
    seen = oklab(oklch(0.7, 0.1, 210.0), np.eye(3))
    expected = [0.7, 0.1 * np.cos(np.radians(210)), 0.1 * np.sin(np.radians(210))]
    np.testing.assert_allclose(seen, expected, atol=0.003)  # channels are rounded to 1/255


def test_letters_are_light_on_dark_and_dark_on_light() -> None:
    assert ink_on((0, 0, 80)) == WHITE
    assert ink_on((240, 228, 66)) == INK


def test_a_tint_goes_from_white_to_the_colour() -> None:
    assert tint((10, 20, 30), 0.0) == WHITE
    assert tint((10, 20, 30), 1.0) == (10, 20, 30)


def contrast(one, other) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    linear = [
        np.where(np.array(c) <= 10, np.array(c) / 3294, ((np.array(c) / 255 + 0.055) / 1.055) ** 2.4)
        for c in (one, other)
    ]
    darker, lighter = sorted(float(channels @ [0.2126, 0.7152, 0.0722]) for channels in linear)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("paper", [LIGHT, DARK], ids=["light", "dark"])
def test_words_can_be_read_on_the_paper_they_are_on(paper: Paper) -> None:
    assert contrast(paper.ink, paper.ground) > 10
    assert contrast(paper.grey, paper.ground) > 4.5  # WCAG 2.2, 1.4.3


def test_curves_can_be_told_from_dark_ground_and_from_each_other() -> None:
    assert min(contrast(colour, DARK.ground) for colour in DARK.series) > 3  # WCAG 2.2, 1.4.11
    assert min(nearest(DARK.series, eye) for eye in EYES.values()) > 3 * NOTICEABLE
    assert len(DARK.series) == len(SERIES)
