"""The driver of ArC TWO on an emulated board: an array of synapses like any other, through the verbs of pyarc2."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labneuro.clock import VirtualClock
from labneuro.instruments.arc_two import BITS, WORDS, ArcTwo
from labneuro.instruments.visa import InstrumentError
from labneuro.limits import LimitError
from labneuro.signals import Pulses
from labneuro.simulators.arc_two import ArC2Error, EmulatedArcTwo
from labneuro.simulators.synapse_array import EmulatedSynapseArray

WIDTH = 1e-6
WORDS_USED, BITS_USED = (3, 40, 1), (60, 17)


def rig(monkeypatch: pytest.MonkeyPatch, device: str = "EcRam", **settings: Any) -> SimpleNamespace:
    """Return a driver, its board, the array on that, and the same array on its own."""
    clock = VirtualClock()
    arrays = [EmulatedSynapseArray(clock, rows=3, columns=2, device=device, threshold=1.0) for _ in range(2)]
    board = EmulatedArcTwo(clock, arrays[0], WORDS_USED, BITS_USED)
    monkeypatch.setitem(sys.modules, "pyarc2", board.library())
    driver = ArcTwo(clock, firmware=Path("fw.bin"), words=WORDS_USED, bits=BITS_USED, **settings)
    return SimpleNamespace(driver=driver, board=board, array=arrays[0], alone=arrays[1], clock=clock)


def test_conductances_are_those_of_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    it = rig(monkeypatch)
    expected = it.alone.conductances(0.2)
    assert it.driver.conductances(0.2) == pytest.approx(expected, rel=1e-5)
    which = np.array([[True, False], [False, False], [True, True]])
    read = it.driver.conductances(0.2, which)
    assert (np.isnan(read) == ~which).all()
    assert read[which] == pytest.approx(expected[which], rel=1e-5)


def test_products_have_the_sign_and_the_order_of_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    it = rig(monkeypatch)
    g = it.alone.conductances(0.2)
    rows, columns = np.array([[0.1, -0.2, 0.0], [0.0, 0.05, 0.1]]), np.array([[0.2, -0.1]])
    assert it.driver.multiply(rows) == pytest.approx(rows @ g, rel=1e-5)
    assert it.driver.multiply_transposed(columns) == pytest.approx(columns @ g.T, rel=1e-5)


@pytest.mark.parametrize("amplitude", [1.5, -1.5])
def test_pulses_move_the_chosen_devices_as_without_the_board_and_no_other(
    monkeypatch: pytest.MonkeyPatch, amplitude: float
) -> None:
    it = rig(monkeypatch)
    counts = np.array([[0, 20], [3, 0], [0, 0]])
    it.driver.pulse(counts, Pulses(amplitude, WIDTH))
    for row, column in np.argwhere(counts).tolist():
        assert it.array.spent.pulses[row, column] >= counts[row, column]
    before, after = it.alone.conductances(0.2), it.driver.conductances(0.2)
    moved = ~np.isclose(after, before, rtol=1e-4)
    assert (moved == (counts > 0)).all()
    assert (np.sign(after - before)[moved] == np.sign(amplitude)).all()
    assert (it.driver.spent.pulses == counts).all()


@pytest.mark.parametrize(("scheme", "part"), [("V/2", 0.5), ("V/3", 1 / 3)])
def test_neighbours_see_what_the_scheme_leaves_on_them(
    monkeypatch: pytest.MonkeyPatch, scheme: Any, part: float
) -> None:
    it = rig(monkeypatch)
    seen: list[tuple[float, Any]] = []
    it.array.pulse = lambda which, pulses, scheme: seen.append((pulses.amplitude, which.tolist()))
    which = np.zeros((3, 2), np.bool_)
    which[1, 0] = True
    it.driver.pulse(which, Pulses(1.2, WIDTH), scheme)
    found = {round(amplitude / 1.2, 6): np.array(devices) for amplitude, devices in seen}
    neighbours = np.array([[True, False], [False, True], [True, False]])
    assert (found[1.0] == which).all()
    assert (found[round(part, 6)] == neighbours).all()
    rest = {-round(1 / 3, 6)} if scheme == "V/3" else set()
    assert set(found) == {1.0, round(part, 6)} | rest
    assert (it.driver.spent.half_selected == (neighbours if scheme == "V/2" else ~which)).all()


def test_nothing_happens_before_execute(monkeypatch: pytest.MonkeyPatch) -> None:
    it = rig(monkeypatch)
    timings = [1000] * 8
    it.board.connect_to_gnd([]).pulse_slice_fast_open([(3, 0.75, 0.0), (60, -0.75, 0.0)], timings, True)
    assert not it.array.spent.pulses.any()
    it.board.execute()
    assert it.array.spent.pulses[0, 0] == 1


def test_between_requests_no_line_is_at_a_voltage(monkeypatch: pytest.MonkeyPatch) -> None:
    it = rig(monkeypatch)
    it.driver.multiply(np.full((1, 3), 0.1))
    assert not it.board._volts.any()
    it.driver.pulse(np.ones((3, 2), np.bool_), Pulses(1.2, WIDTH))
    assert not it.board._volts.any()
    it.driver.make_safe()
    assert it.board._grounded.all()


@pytest.mark.parametrize(
    ("pulses", "wrong"),
    [
        (Pulses(1.0, 10e-9), "asked for pulses of 10 ns: give whole nanoseconds from 40 ns to 500 ms"),
        (Pulses(1.0, 100.5e-9), "asked for pulses of 100.5 ns"),
        (Pulses(1.0, 0.6), "asked for pulses of 600 ms"),
        (Pulses(20.1, WIDTH), "asked for pulses of 20.1 V: its channels end at 10 V"),
    ],
)
def test_what_the_board_can_not_send_is_refused_before_anything_is(
    monkeypatch: pytest.MonkeyPatch, pulses: Pulses, wrong: str
) -> None:
    it = rig(monkeypatch)
    with pytest.raises(LimitError, match=wrong):
        it.driver.pulse(np.ones((3, 2), np.bool_), pulses)
    assert not it.array.spent.pulses.any()
    assert not it.driver.spent.pulses.any()


def test_an_error_of_the_board_names_the_device_and_how_far_the_request_was(monkeypatch: pytest.MonkeyPatch) -> None:
    it = rig(monkeypatch)
    fired: list[int] = []

    def break_off(*_: Any) -> Any:
        fired.append(1)
        if len(fired) == 3:
            raise ArC2Error("USB transfer failed")
        return it.board

    monkeypatch.setattr(it.board, "pulse_slice_fast_open", break_off)
    with pytest.raises(
        InstrumentError, match=r"device \[1, 0\], 2 of 6 had their pulses before: .*USB transfer failed"
    ):
        it.driver.pulse(np.ones((3, 2), np.bool_), Pulses(1.2, WIDTH))
    assert it.driver.spent.pulses.sum() == 3


@pytest.mark.parametrize(
    ("words", "bits"), [((0, 1), (2, 3)), ((0, 0), (16,)), ((0, 64), (16,)), ((), (16,)), ((0, 16), (17,))]
)
def test_lines_need_channels_of_their_own_and_sides_of_their_own(
    monkeypatch: pytest.MonkeyPatch, words: tuple[int, ...], bits: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="words, bits: channels"):
        ArcTwo(VirtualClock(), firmware=Path("fw.bin"), words=words, bits=bits)


def test_without_the_library_of_its_makers_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarc2", None)
    with pytest.raises(InstrumentError, match="pip install pyarc2"):
        ArcTwo(VirtualClock(), firmware=Path("fw.bin"))


def test_the_verbs_that_are_emulated_are_those_of_the_library() -> None:
    pyarc2 = pytest.importorskip("pyarc2", reason="pyarc2 is not installed")
    public = [name for name in vars(EmulatedArcTwo) if not name.startswith("_") and name != "library"]
    assert [name for name in public if not hasattr(pyarc2.Instrument, name)] == []
    assert [mode.value for mode in pyarc2.IdleMode] == [1, 2, 3]


def test_the_channels_of_the_makers_daughterboard_are_all_used() -> None:
    assert sorted((*WORDS, *BITS)) == list(range(64))
