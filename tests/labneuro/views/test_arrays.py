from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro.following import Asking, RunSoFar
from labneuro.signals import Pulses
from labneuro.views.arrays import histogram, last_pulses
from labneuro.views.panels import CurvePanel, ValueMapPanel


def so_far(**exchanges: Any) -> RunSoFar:
    run = RunSoFar(Path("run.h5"))
    run.players = {"chip": "array"}
    run.exchanges = {("array", verb): asking for verb, asking in exchanges.items()}
    return run


def test_a_histogram_counts_every_value_that_is_known_once() -> None:
    values = np.array([[1e-6, 2e-6, np.nan], [2e-6, 4e-6, 4e-6]])
    panel = histogram("Devices", {"now": values, "wanted": values[:1]}, "Conductance", "S")
    assert isinstance(panel, CurvePanel)
    for curve, count in zip(panel.curves, (5, 2), strict=True):
        assert curve.y[1::2].sum() == count
        assert (curve.x[0], curve.x[-1]) == (1e-6, 4e-6)
        assert curve.y[0] == curve.y[-1] == 0


def test_the_last_pulses_are_those_of_the_latest_request_with_their_sign() -> None:
    which = np.array([[True, False], [False, True]])
    trains = np.array([[0b11, 0b1]], np.uint32), np.array([[0b1, 0b10]], np.uint32)
    before = Asking({"which": which, "pulses": Pulses(1.0, 1e-6)}, time=1.0)
    fired = Asking({"rows": trains[0], "columns": trains[1], "pulses": Pulses(1.0, 1e-6)}, time=2.0)
    after = Asking({"which": which * 3, "pulses": Pulses(-1.5, 1e-6, 2)}, time=3.0)

    def shown(**exchanges: Any) -> ValueMapPanel:
        (panel,) = last_pulses(so_far(**exchanges), "chip")
        assert isinstance(panel, ValueMapPanel)
        return panel

    assert shown(pulse=before, update=fired).values == pytest.approx(np.array([[1, 1], [1, 0]]))
    latest = shown(pulse=after, update=fired)
    assert latest.values == pytest.approx(-6.0 * which)
    assert latest.title == "Last pulses: -1.5 V, 1 µs"
    assert last_pulses(so_far(), "chip") == []
