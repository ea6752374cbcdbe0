"""One emulated memristor behind an ideal source meter: what quasi-static loops are measured on.

The voltage across the device is the one asked for, or the one at which the current is at its limit. The device moves
while the clock of the bench goes on: while a current is measured, and while the voltage walks to its next value.
It has no noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from scipy.optimize import brentq

from labneuro.clock import Clock
from labneuro.roles import SourceMeter
from labneuro.simulators.terminals import LoadTerminal, Terminal
from labneuro.simulators.threshold_memristors import (
    YAKOPCIC,
    StanfordPku,
    Vteam,
    stanford_pku_current,
    stanford_pku_states,
    vteam_current,
    vteam_states,
    yakopcic_current,
    yakopcic_states,
)
from labneuro.units import Duration, FloatArray

Name = Literal["vteam", "stanford-pku", "Oblea", "Miao", "Jo"]

_CHANGE = 1e-3  # of the voltage across the device in a step, relative; a constant voltage takes one step
_SMALL = 1e-3  # V, at which a device without a voltage has its resistance
_REMEMBERED = ("_state", "_at", "_voltage", "_limit", "_on")


@dataclass(frozen=True)
class _Model:
    """A device: how its state moves, what flows, and the state of high resistance in which it is made."""

    states: Callable[..., FloatArray]
    current: Callable[..., FloatArray]
    parameters: tuple[float, ...]
    pristine: float


_MODELS: dict[Name, _Model] = {
    "vteam": _Model(vteam_states, vteam_current, Vteam(), Vteam().d),
    "stanford-pku": _Model(stanford_pku_states, stanford_pku_current, StanfordPku(), StanfordPku().g_max),
    "Oblea": _Model(yakopcic_states, yakopcic_current, YAKOPCIC["Oblea"], 0.11),
    "Miao": _Model(yakopcic_states, yakopcic_current, YAKOPCIC["Miao"], 0.1),
    "Jo": _Model(yakopcic_states, yakopcic_current, YAKOPCIC["Jo"], 0.05),
}


class EmulatedMemristor(SourceMeter):
    """A memristor and the source meter that it is connected to."""

    def __init__(
        self, clock: Clock, *, model: Name = "stanford-pku", measuring: Annotated[Duration, Gt(0)] = 20e-3
    ) -> None:
        """Make a device of high resistance.

        Args:
            clock: Time of the bench.
            model: Equations of the device; Oblea, Miao and Jo are Yakopcic's with fits to their devices. A positive
                voltage raises the conductance of all but vteam.
            measuring: Time over which a current is measured.
        """
        self._clock, self._measuring = clock, measuring
        self._name, self._model = model, _MODELS[model]
        self._state, self._at = self._model.pristine, clock.now()
        self._voltage, self._limit, self._on = 0.0, 1e-3, False

    @property
    def identity(self) -> str:
        """What is emulated."""
        return f"labneuro,emulated memristor {self._name},,"

    @property
    def terminals(self) -> dict[str, Terminal]:
        """Where a source meter of a rack is connected, in place of the ideal one: top."""

        def drive(voltage: float, limit: float) -> None:
            self.set_current_limit(limit)
            self.set_voltage(voltage)

        def resistance() -> float:
            self._pass_time()
            volts = self._voltage or _SMALL
            return volts / self._current(self._state, volts)

        return {"top": LoadTerminal(drive, resistance)}

    @property
    def current_limit(self) -> float:
        """Current above which the voltage gives way, A."""
        return self._limit

    def set_current_limit(self, current: float) -> None:
        """Limit the current to ±`current`, A."""
        self._pass_time()
        self._limit = current

    @property
    def voltage(self) -> float:
        """Voltage asked for, V; 0 while the output is off."""
        return self._voltage

    def set_voltage(self, voltage: float) -> None:
        """Put `voltage`, V, on the device."""
        self._pass_time()
        self._voltage, self._on = voltage, True

    @property
    def measured_current(self) -> float:
        """Current after a measurement, A. Raises RuntimeError while the output is off, and at the current limit."""
        current = self.current_or_limit
        if abs(current) >= self._limit:
            raise RuntimeError(f"the memristor is at its current limit of {self._limit:g} A: lower the voltage")
        return current

    @property
    def current_or_limit(self) -> float:
        """Current after a measurement, A, or ± its limit. Raises RuntimeError while the output is off."""
        if not self._on:
            raise RuntimeError("the output of the memristor is off and nothing is measured: use set_voltage first")
        self._clock.sleep(self._measuring)
        self._pass_time()
        current = self._current(self._state, self._voltage)
        return math.copysign(min(abs(current), self._limit), current)

    def make_safe(self) -> None:
        """Bring the voltage to zero and switch the output off."""
        self._pass_time()
        self._voltage, self._on = 0.0, False

    def snapshot(self) -> dict[str, Any]:
        """Return where the device was when, and the settings."""
        return {name: getattr(self, name) for name in _REMEMBERED}

    def restore(self, snapshot: Any) -> None:
        """Put device and settings back to where they were at `snapshot`."""
        for name in _REMEMBERED:
            setattr(self, name, snapshot[name])

    def _current(self, state: float, voltage: float) -> float:
        return float(self._model.current(state, voltage, self._model.parameters))

    def _across(self, state: float) -> float:
        """Return the voltage across the device in `state`, V."""
        limit = math.copysign(self._limit, self._voltage)
        if abs(self._current(state, self._voltage)) <= self._limit:
            return self._voltage
        return float(brentq(lambda volts: self._current(state, volts) - limit, 0.0, self._voltage))

    def _pass_time(self) -> None:
        """Move the device through the time since the last look, in steps of nearly constant voltage."""
        now = self._clock.now()
        left = step = now - self._at
        self._at = now
        volts = self._across(self._state)
        while left > 0:
            step = min(step, left)
            args = np.array([self._state]), np.array([[volts]]), step, self._model.parameters
            state = float(self._model.states(*args)[0, 0])
            then = self._across(state)
            if abs(then - volts) > _CHANGE * abs(volts):
                step /= 2
                continue
            self._state, volts, left, step = state, then, left - step, 2 * step
