"""The terminals of an emulated chip: where instruments are connected to it, and nothing else is known of it."""

from collections.abc import Callable
from dataclasses import dataclass

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
class RFTerminal:
    """Where a microwave source is connected. drive: puts a tone in, Hz and W, of which 0 is none."""

    drive: Callable[[float, float], None]


@dataclass(frozen=True)
class EmissionTerminal:
    """Where a spectrum analyzer is connected. swept: (points,), W/Hz, what a sweep shows."""

    swept: Callable[[Sweep], FloatArray]


Terminal = DirectTerminal | RFTerminal | EmissionTerminal
