"""Panels for a protocol that has none of its own: its step fields against the number of the step."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labneuro.units import FloatArray
from labneuro.views.panels import Curve, CurvePanel, Panel

MOST_CURVES = 8
"""Array fields with more entries a step than this aren't drawn as curves."""

_MOST_MARKED = 60  # steps: more than this and markers run into each other
_QUANTITIES = {
    "A": "Current", "V": "Voltage", "Hz": "Frequency", "W": "Power", "s": "Time", "Ω": "Resistance",
    "S": "Conductance", "J": "Energy", "T": "Magnetic field", "K": "Temperature", "A/s": "Current ramp",
    "W/Hz": "Power density",
}  # fmt: skip


class Steps(Protocol):
    """What is needed of a run file."""

    @property
    def steps(self) -> Mapping[str, NDArray[np.generic]]:
        """The recorded fields by name, first axis the step."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Unit by "steps/field"."""
        ...


def default_panels(run: Steps) -> list[Panel]:
    """Return one panel for each unit among the step fields of `run`, in the order of the fields.

    Numbers and truth values are curves; an array field of up to MOST_CURVES entries is as many, numbered from
    1. Texts and larger arrays are left out, so the list may be empty. A field `step` is the number of each.
    """
    fields: dict[str, list[str]] = {}
    curves: dict[str, list[Curve]] = {}
    numbers = run.steps.get("step")
    for field, values in run.steps.items():
        if field == "step":
            continue
        unit = run.units.get(f"steps/{field}", "")
        for label, y in _columns(field.replace("_", " "), values):
            x = np.arange(1.0, len(y) + 1) if numbers is None else numbers.astype(np.float64)
            curves.setdefault(unit, []).append(Curve(x, y, label, marker=len(y) <= _MOST_MARKED))
            if field not in fields.setdefault(unit, []):
                fields[unit].append(field)
    return [_panel(unit, fields[unit], drawn) for unit, drawn in curves.items()]


def _columns(name: str, values: NDArray[np.generic]) -> list[tuple[str, FloatArray]]:
    """Return the curves of a field as (label, values)."""
    if values.dtype.kind not in "biuf" or len(values) == 0:
        return []
    numbers = values.astype(np.float64)
    if numbers.ndim == 1:
        return [(name, numbers)]
    columns = numbers.reshape(len(numbers), -1)
    if columns.shape[1] > MOST_CURVES:
        return []
    return [(f"{name} {number}", column) for number, column in enumerate(columns.T, start=1)]


def _panel(unit: str, fields: list[str], curves: list[Curve]) -> CurvePanel:
    names = [field.replace("_", " ") for field in fields]
    label = names[0].capitalize() if len(names) == 1 else _QUANTITIES.get(unit, "Value")
    return CurvePanel(", ".join(names).capitalize(), "Step", "", label, unit, curves)
