"""An array of synapses through drivers, instruments and relays: the devices get the pulses of the emulated array."""

from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro.attempts import try_all
from labneuro.bench import Bench, load, parse
from labneuro.clock import VirtualClock
from labneuro.entries import Asked
from labneuro.instruments.switch_matrices import Keithley7001
from labneuro.instruments.visa import InstrumentError
from labneuro.journal import MAGIC, Reader
from labneuro.limits import UnsafeError
from labneuro.protocols.characterise_device import characterise_device
from labneuro.protocols.letters import letters
from labneuro.resume import resume
from labneuro.roles import SynapseArray
from labneuro.run import execute
from labneuro.signals import Pulses
from labneuro.simulators.rack import switch_matrices
from labneuro.simulators.rack.faults import Faults
from labneuro.simulators.rack.visa import visa_library
from labneuro.simulators.synapse_array import EmulatedSynapseArray
from labneuro.store import RunFile, journal_of

SHIPPED = load("synapse-rack").text
SMALL = (
    SHIPPED.replace("rows = 10, columns = 6", "rows = 3, columns = 2")
    .replace('driver = "keysight-34980a"', 'driver = "keithley-7001"')
    .replace("rows = 4, columns = 16", "rows = 4, columns = 10")
    .replace('model = "keysight-34980a"', 'model = "keithley-7001"')
)
ARRAY = {"seed": 0, "device": "Prezioso", "threshold": 1.0, "g_min": 10e-6, "g_max": 100e-6}
UP = Pulses(1.3, 1e-4, 5)
EYE = np.eye(3, 2, dtype=bool)
CONTACTS = 5e-4
"""What relays of 0.1 ohm and the digits of a reading leave of the conductance of a device."""


def opened(text: str) -> Any:
    return parse(text, Path("bench.toml")).open()


def array(bench: Bench) -> Any:
    return bench.rack.devices["array"]  # type: ignore[union-attr]


def instruments(bench: Bench) -> Any:
    return bench.rack.bare  # type: ignore[union-attr]


def off_and_open(bench: Bench) -> bool:
    bare = instruments(bench)
    return not (bare["pulser"].has("output", 1) or bare["meter"].output or bare["switch"].closed.any())


@pytest.mark.parametrize("scheme", ["V/2", "grounded"])
def test_pulses_and_reads_are_those_of_the_emulated_array_pulsed_device_by_device(scheme):
    twin = EmulatedSynapseArray(VirtualClock(), rows=3, columns=2, scheme=scheme, **ARRAY)
    counts = np.array([[1, 0], [2, 3], [0, 1]])
    with opened(SMALL.replace('"V/2"', f'"{scheme}"')) as bench:
        chip = bench.parts["chip"]
        for pulses in (UP, Pulses(-1.2, 1e-5, 2)):
            chip.pulse(counts, pulses)
            for row, column in np.argwhere(counts):
                one = np.zeros_like(counts)
                one[row, column] = counts[row, column]
                twin.pulse(one, pulses)
        assert array(bench)._devices.state.pulses.tolist() == twin._devices.state.pulses.tolist()
        expected = array(bench)._conductances()[0]
        if scheme == "V/2":  # with grounded lines the neighbours hear other noise, as they step at the same time
            assert expected.tolist() == twin._conductances()[0].tolist()
        assert chip.conductances(0.1) == pytest.approx(expected, rel=CONTACTS)
        mask = counts == 3
        assert np.array_equal(np.isfinite(chip.conductances(-0.1, mask)), mask)
        voltages = np.array([[0.1, -0.1, 0.05], [0.1, 0.1, 0.0]])
        assert chip.multiply(voltages) == pytest.approx(voltages @ expected, rel=CONTACTS, abs=1e-8)
        across = np.array([[0.1, -0.05]])
        assert chip.multiply_transposed(across) == pytest.approx(across @ expected.T, rel=CONTACTS, abs=1e-8)
        spent = chip.spent
    assert spent.pulses.tolist() == twin.spent.pulses.tolist()
    assert spent.half_selected.tolist() == twin.spent.half_selected.tolist()
    assert np.isnan(spent.energy)


def test_relays_move_only_while_nothing_is_on_them_and_ground_all_lines_in_the_end():
    with opened(SMALL) as bench:
        chip, bare, seen = bench.parts["chip"], instruments(bench), []
        move = bare["switch"].changed

        def watched() -> None:
            seen.append((bare["meter"].voltage, bare["pulser"].level(1), bare["pulser"].busy))
            move()

        bare["switch"].changed = watched
        chip.pulse(np.ones((3, 2), bool), UP)
        chip.conductances(0.1)
        bench.parts["meter"].set_voltage(0.1)  # by someone who knows nothing of the rig
        chip.pulse(np.ones((3, 2), bool), Pulses(-1.3, 1e-4))
        assert len(seen) > 40
        assert set(seen) == {(0.0, 0.0, False)}
        assert bare["switch"].closed[3, :5].all()
        assert bare["switch"].closed.sum() == 5
        assert not bare["pulser"].has("output", 1)
        chip.make_safe()
        assert off_and_open(bench)


def use(chip: SynapseArray) -> None:
    chip.pulse(EYE, UP)
    chip.conductances(0.1, EYE)


@pytest.mark.parametrize("part", ["meter", "pulser", "switch"])
@pytest.mark.parametrize("kind", ["disconnect", "power_cycle", "lost_reply"])
def test_whatever_fails_the_rest_is_off_and_no_device_has_more_pulses_than_are_counted(part, kind):
    text = SMALL.replace(f"{part} = {{ model", f"{part} = {{ faults = {{ seed = 0 }}, model")
    troubles = 0
    for place in (2, 5, 7):
        with suppress(InstrumentError, UnsafeError, ExceptionGroup), opened(text) as bench:  # the line may stay lost
            chip, faulty, bare = bench.parts["chip"], bench.rack.instruments[part], instruments(bench)
            faulty._faults = Faults(at={faulty._count + place: kind})
            for error in try_all([partial(use, chip)]):
                troubles += 1
                assert isinstance(error, InstrumentError)
                left_on = {"meter": bare["meter"].output, "pulser": bare["pulser"].has("output", 1)}
                left_on |= {"switch": bare["switch"].closed.any()}
                assert not any(on for name, on in left_on.items() if name != part or kind == "power_cycle")
            assert (array(bench)._devices.state.pulses <= chip.spent.pulses).all()
    assert troubles


def test_a_generator_that_dies_in_a_burst_leaves_a_message_with_its_device_and_everything_off():
    with suppress(UnsafeError, ExceptionGroup), opened(SMALL) as bench:
        chip, pulser, bursts = bench.parts["chip"], instruments(bench)["pulser"], []
        fire = pulser.fire

        def dies(*burst: float) -> None:
            bursts.append(burst)
            if len(bursts) == 3:
                pulser.power_on()
            fire(*burst)

        pulser.fire = dies
        with pytest.raises(InstrumentError, match=r"device \[1, 0\].*2 of 6 devices had their pulses before"):
            chip.pulse(np.ones((3, 2), bool), UP)
        assert off_and_open(bench)
        assert chip.spent.pulses.tolist() == [[5, 5], [5, 0], [0, 0]]


class StickyMatrix(switch_matrices.Keithley7001):
    """A matrix one of whose relays no longer opens."""

    def switch(self, relays: Any, *, closed: bool) -> None:
        super().switch(relays, closed=closed)
        self._closed[0, 1, 2] |= True


def test_a_relay_that_does_not_open_is_named():
    clock = VirtualClock()
    library = visa_library({"GPIB0::7::INSTR": StickyMatrix(clock)})
    matrix = Keithley7001(clock, resource="GPIB0::7::INSTR", rows=4, columns=10, visa_library=library)
    with pytest.raises(InstrumentError, match="1!2!3 reads back closed"):
        matrix.set_closed(np.eye(4, 10, dtype=bool))


def test_what_the_wiring_can_not_do_is_refused_before_any_relay_moves():
    with opened(SMALL) as bench:
        chip, bare = bench.parts["chip"], instruments(bench)
        bare["switch"].changed = lambda: pytest.fail("a relay has moved")
        which = np.ones((3, 2), bool)
        with pytest.raises(ValueError, match="scheme V/3: this rig is wired for V/2 and grounded"):
            chip.pulse(which, UP, "V/3")
        with pytest.raises(ValueError, match="gate voltage of 1 V"):
            chip._inner.pulse(which, UP, gate=1.0)
        with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
            chip._inner.pulse(which.T, UP)
        bare["switch"].changed = lambda: None
    way_out = pytest.raises(InstrumentError, match="4 x 4 relays: give one of at least 4 x 5")
    with opened(SMALL.replace("columns = 10", "columns = 4")) as bench, way_out:
        bench.parts["chip"].pulse(which, UP)


def test_the_letters_are_seen_on_the_rack_as_on_the_emulated_array():
    def first_epoch(text: str) -> Any:
        with opened(text) as bench:
            _, epoch = islice(letters(bench.parts["chip"], start=0.0), 2)
        return epoch

    on_rack, alone = first_epoch(SHIPPED), first_epoch(load("letters").text)
    assert on_rack.errors == alone.errors > 0
    assert on_rack.outputs == pytest.approx(alone.outputs, abs=2e-3)
    assert on_rack.conductances == pytest.approx(alone.conductances, rel=CONTACTS)


def test_a_run_on_devices_that_drift_was_killed_and_comes_to_the_same_end(tmp_path, monkeypatch):
    monkeypatch.setattr("labneuro.crossing.REMEMBER", 0.05)
    text = SMALL.replace('device = "Prezioso"', 'device = "filamentary"')
    few = {"devices": 1, "cycles": 1, "pulses": 2, "train": 2, "loop_points": 2, "rereads": 2, "retention": 10.0}
    execute(characterise_device, parse(text, tmp_path / "a.toml"), few, tmp_path / "whole.h5", progress=False)
    whole = RunFile(tmp_path / "whole.h5")
    out = tmp_path / "killed.h5"
    whole.extract_journal(journal_of(out))
    with Reader(journal_of(out)) as reader:
        records = list(reader)
    asked = [k for k, record in enumerate(records) if isinstance(record.entry, Asked)]
    with journal_of(out).open("r+b") as file:
        file.truncate(([len(MAGIC), *(record.end for record in records)])[asked[len(asked) * 2 // 3] + 2])
    assert resume(RunFile(out), progress=False).state == "finished"
    for name in ("steps", "records"):
        one, other = getattr(whole, name), getattr(RunFile(out), name)
        tables = [(one, other)] if name == "steps" else [(one[key], other[key]) for key in one]
        for first, second in tables:
            assert all(np.array_equal(first[field], second[field]) for field in first)
