"""Emulated parts are remembered often enough to go on with, and don't fill the journal."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from labneuro import crossing as module
from labneuro.bench import Bench, load, new_clock
from labneuro.crossing import Crossing
from labneuro.entries import Entry, Remembered
from labneuro.roles import OscillatorChip
from labneuro.values import pack

MEMORY = 50_000  # bytes


@pytest.mark.parametrize(("answer", "least", "most"), [(100_000, 0.9, 1.2), (1_000, 4.0, 5.0), (10, 59.9, 60.2)])
def test_a_snapshot_waits_a_second_then_for_as_many_bytes_as_it_takes_but_a_minute_at_most(
    monkeypatch: pytest.MonkeyPatch, answer: int, least: float, most: float
) -> None:
    now, size = 0.0, 0
    moments: list[float] = []

    class Chip:
        def snapshot(self) -> bytes:
            return bytes(MEMORY)

        @property
        def currents(self) -> bytes:
            nonlocal now
            now += 0.1
            return bytes(answer)

    def write(*entries: Entry, later: bool = False) -> int:
        nonlocal size
        del later
        size += sum(len(pack(list(entry))) for entry in entries)
        moments.extend(now for entry in entries if isinstance(entry, Remembered))
        return size

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now))
    crossing = Crossing(write)
    bench = load("emulated")
    crossing.connect(Bench(bench, new_clock(bench), {"chip": Chip()}))  # type: ignore[dict-item]
    chip: Any = crossing.role("chip", OscillatorChip)
    while now < 4 * most:
        _ = chip.currents
    assert 1.0 <= moments[0] <= 1.2
    assert all(least <= b - a <= most for a, b in pairwise(moments))
    assert len(moments) >= 3
