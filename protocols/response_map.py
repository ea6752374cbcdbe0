"""The response map: which oscillators follow which source, for every pair of source frequencies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from labneuro.roles import OscillatorChip
from labneuro.signals import StateArray, Tones, state_name
from labneuro.store import RunFile
from labneuro.units import Current, Frequencies, Frequency, Power
from labneuro.views.panels import Panel, StateMapPanel


@dataclass(frozen=True)
class MapRow:
    """All frequencies of source B, (points,), at one of source A; states: (points, oscillators)."""

    frequency_a: Frequency
    frequency_b: Frequencies
    states: StateArray


def response_map(
    chip: OscillatorChip,
    *,
    current: Annotated[Current, Gt(0)] = 6e-3,
    start: Annotated[Frequency, Gt(0)] = 325e6,
    stop: Annotated[Frequency, Gt(0)] = 375e6,
    points: Annotated[int, Ge(2)] = 101,
    power: Annotated[Power, Gt(0)] = 1e-3,
) -> Iterator[MapRow]:
    """Map the synchronisation state over the frequencies of sources A and B (Romera et al., Nature 563, 230, 2018).

    Args:
        current: Direct current through every oscillator.
        start: Lowest frequency of both sources.
        stop: Highest frequency of both sources.
        points: Number of frequencies of each source.
        power: Power of each source.
    """
    axis = np.linspace(start, stop, points)
    chip.check(tones=Tones.grid([axis, axis], power))
    chip.set_currents(np.full(chip.oscillators, current))
    for frequency in axis:
        states = chip.synchronisation(Tones.grid([[frequency], axis], power))
        yield MapRow(float(frequency), axis, states)


def panels(run: RunFile) -> list[Panel]:
    """Show the map as far as it goes."""
    steps = run.steps
    if len(steps["frequency_a"]) < 2:
        return []
    return [StateMapPanel("Synchronisation states", steps["frequency_a"], steps["frequency_b"][0], steps["states"])]


def summary(run: RunFile) -> list[tuple[str, str]]:
    """Say which part of the map each state takes."""
    states = run.steps["states"]
    flat = states.reshape(-1, states.shape[-1])
    counts = Counter(state_name(s) for s in flat)
    return [(name, f"{100 * count / len(flat):.2f} %") for name, count in counts.most_common()]
