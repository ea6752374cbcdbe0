"""Wires between the instruments of a rack and the terminals of a chip: cables, their losses, and bias tees."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np
from annotated_types import Ge

from labneuro.simulators.receiver import Sweep
from labneuro.simulators.terminals import (
    DirectTerminal,
    EmissionTerminal,
    LoadTerminal,
    PulseTerminal,
    RelayTerminal,
    RFTerminal,
    Terminal,
)
from labneuro.units import Decibels, FloatArray, Frequency, Resistance

Pulls = list[Callable[[], None]]
"""What brings the currents into a chip up to date, as those of sources that ramp by themselves are not."""

MILLIWATT = 1e-3

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A cable with what is in it.

    loss: dB, of a microwave. resistance: ohm, for a direct current. cutoff: of a bias tee, Hz: well below it no
    microwave passes (first order).
    """

    loss: Annotated[Decibels, Ge(0)] = 0.0
    resistance: Annotated[Resistance, Ge(0)] = 0.0
    cutoff: Annotated[Frequency, Ge(0)] = 0.0

    def gain(self, frequency: FloatArray) -> FloatArray:
        """Return the part of a microwave's power that comes through at `frequency`, Hz."""
        return 10 ** (-self.loss / 10) / (1 + (self.cutoff / np.maximum(np.abs(frequency), 1e-9)) ** 2)


def connect(instrument: Any, terminal: Terminal, wire: Wire, pulls: Pulls) -> None:
    """Connect the port of an instrument with a terminal. Raises TypeError where they don't fit."""
    match terminal:
        case DirectTerminal() if hasattr(instrument, "resistance"):
            _connect_source(instrument, terminal, wire, pulls)
        case DirectTerminal() if hasattr(instrument, "input") and not hasattr(instrument, "noise_bandwidth"):
            instrument.input = lambda channel: _up_to_date(pulls, terminal.voltage)
        case LoadTerminal() if hasattr(instrument, "voltage_level"):
            _connect_meter(instrument, terminal, wire)
        case RFTerminal() if hasattr(instrument, "tone"):
            _connect_generator(instrument, terminal, wire)
        case PulseTerminal() if hasattr(instrument, "fire"):
            instrument.fire = lambda channel, *burst: terminal.fire(*burst) if channel == 1 else None
        case RelayTerminal() if hasattr(instrument, "closed"):
            _connect_relays(instrument, terminal)
        case EmissionTerminal() if hasattr(instrument, "noise_bandwidth"):
            _connect_analyzer(instrument, terminal, wire, pulls)
        case _:
            raise TypeError("the instrument has no port for this terminal: connect another")


def _connect_source(source: Any, terminal: DirectTerminal, wire: Wire, pulls: Pulls) -> None:
    source.resistance = lambda: wire.resistance + terminal.resistance()
    source.changed = lambda: terminal.feed(source.current, True)
    source.surge = terminal.surge
    pulls.append(lambda: terminal.feed(source.current, False))


def _connect_meter(meter: Any, terminal: LoadTerminal, wire: Wire) -> None:
    if wire.resistance:
        raise TypeError("what moves with its voltage takes no resistance in its wire: leave it out")

    def drive() -> None:
        terminal.drive(meter.voltage_level if meter.output and meter.function == "VOLT" else 0.0, meter.current_limit)

    meter.resistance = terminal.resistance
    meter.changed = drive


def _connect_generator(generator: Any, terminal: RFTerminal, wire: Wire) -> None:
    def drive() -> None:
        frequency, level = generator.tone or (0.0, -math.inf)
        terminal.drive(frequency, float(MILLIWATT * 10 ** (level / 10) * wire.gain(np.array(frequency))))

    generator.changed = drive


def _connect_relays(matrix: Any, terminal: RelayTerminal) -> None:
    rows, columns = matrix.closed.shape
    if rows < terminal.rows or columns < terminal.columns:
        wanted = f"there are {terminal.rows} x {terminal.columns} relays to connect"
        raise TypeError(f"the matrix has {rows} x {columns} relays, and {wanted}: name a larger one")
    matrix.changed = lambda: terminal.move(matrix.closed[: terminal.rows, : terminal.columns])


def _connect_analyzer(analyzer: Any, terminal: EmissionTerminal, wire: Wire, pulls: Pulls) -> None:
    def levels(sweep: Sweep) -> FloatArray:
        density = _up_to_date(pulls, partial(terminal.swept, sweep)) * wire.gain(sweep.frequency)
        return 10 * np.log10(density * sweep.rbw * analyzer.noise_bandwidth / MILLIWATT)

    analyzer.input = levels


def _up_to_date(pulls: Pulls, measure: Callable[[], T]) -> T:
    for pull in pulls:
        pull()
    return measure()
