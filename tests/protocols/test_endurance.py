"""Whatever a rule asks for: no device gets more than its bench allows, and the one that would have is named."""

import re
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from labneuro import bench
from labneuro.clock import VirtualClock
from labneuro.datasets import digits as handwritten
from labneuro.limits import LimitedSynapseArray, LimitError, Place, SynapseLimits
from labneuro.protocols.digits import digits
from labneuro.protocols.letters import letters
from labneuro.protocols.program import program
from labneuro.signals import exposures
from labneuro.simulators.synapse_array import EmulatedSynapseArray

MOST = 40
RULES = {"direct": 2, "stochastic": 2, "mixed-precision": 2, "multi-memristive": 4, "significant-pairs": 4}


def limited(name: str, **settings: Any) -> tuple[LimitedSynapseArray, EmulatedSynapseArray]:
    """Return an array behind limits that a rule soon meets, and the array itself."""
    clock = VirtualClock()
    array = EmulatedSynapseArray(clock, **settings)
    limits = SynapseLimits(max_amplitude=3.0, max_width=1e-3, max_read_voltage=0.3, max_pulses=MOST)
    return LimitedSynapseArray(array, limits, Place("b", name), clock), array


@pytest.mark.parametrize("rule", RULES)
def test_digits_stop_at_the_endurance_of_a_device(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = load_digits(return_X_y=True)
    few = handwritten.Digits(images[:600] / 16, labels[:600], images[600:700] / 16, labels[600:700])
    monkeypatch.setattr(handwritten, "load", lambda source, *, seed, size: few)
    devices, pcm = RULES[rule], {"device": "phase-change", "scheme": "1T1R"}
    first, bare = limited("first", rows=65, columns=10 * devices, **pcm)
    second, other = limited("second", seed=1, rows=11, columns=10 * devices, **pcm)
    with pytest.raises(
        LimitError, match=r"(first|second): .*device \[\d+, \d+\].*this run would have \d+ pulses, limit 40"
    ):
        for _ in digits((first, second), rule=rule, epochs=30, upkeep=5, rate=1.0):
            pass
    assert max(bare.spent.pulses.max(), other.spent.pulses.max()) <= MOST
    assert max(bare.spent.pulses.max(), other.spent.pulses.max()) > 0


@pytest.mark.parametrize("protocol", [letters, program])
def test_writing_stops_at_the_endurance_of_a_device(protocol: Any) -> None:
    array, bare = limited("chip", rows=10, columns=6, device="EcRam", g_min=1e-6, g_max=290e-6)
    with pytest.raises(LimitError) as caught:
        for _ in protocol(array):
            pass
    named = re.search(r"device \[(\d+), (\d+)\]: this run would have", str(caught.value))
    assert named is not None
    assert bare.spent.pulses[int(named[1]), int(named[2])] <= MOST
    assert 0 < bare.spent.pulses.max() <= MOST


def test_half_selected_neighbours_are_counted_and_counted_as_the_scheme_has_them() -> None:
    with bench.load("letters").open() as table:
        array = table.parts["chip"]
        for epoch, _ in zip(range(40), letters(array), strict=False):
            assert epoch >= 0
        spent = array.spent
    (_, given), (_, half) = exposures(spent.pulses, "V/2")
    assert (given == spent.pulses).all()
    assert (spent.half_selected == half).all()
    assert np.all(half > 0)
