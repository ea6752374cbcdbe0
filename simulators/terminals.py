"""The terminals of an emulated chip: where instruments are connected to it, and nothing else is known of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labneuro.simulators.receiver import Sweep
from labneuro.units import FloatArray


@dataclass(frozen=True)
class DirectTerminal:
    """Where a direct-current source is connected.

    feed: sources a current, A, which jumps there (True) or has drifted there (False). surge: lets a spike through,
    A at its peak. resistance: what the source sees, ohm. voltage: across the terminal, V.
    """

    feed: Callable[[float, bool], None]
    surge: Callable[[float], None]
    resistance: Callable[[], float]
    voltage: Callable[[], float]


@dataclass(frozen=True)
class LoadTerminal:
    """Where a source meter is connected to a device that moves with its voltage.

    drive: puts a voltage on, V, which gives way at a current, A. resistance: at that voltage, ohm.
    """

    drive: Callable[[float, float], None]
    resistance: Callable[[], float]


@dataclass(frozen=True)
class RFTerminal:
    """Where a microwave source is connected. drive: puts a tone in, Hz and W, of which 0 is none."""

    drive: Callable[[float, float], None]


@dataclass(frozen=True)
class PulseTerminal:
    """Where a pulse generator is connected. fire: lets a burst in, V into an open circuit, s, and how many."""

    fire: Callable[[float, float, float], None]


@dataclass(frozen=True)
class RelayTerminal:
    """Where the columns of a switch matrix are connected. move: takes which relays are closed, (`rows`, `columns`)."""

    rows: int
    columns: int
    move: Callable[[NDArray[np.bool_]], None]


@dataclass(frozen=True)
class EmissionTerminal:
    """Where a spectrum analyzer is connected. swept: (points,), W/Hz, what a sweep shows."""

    swept: Callable[[Sweep], FloatArray]


Terminal = DirectTerminal | LoadTerminal | RFTerminal | PulseTerminal | RelayTerminal | EmissionTerminal
