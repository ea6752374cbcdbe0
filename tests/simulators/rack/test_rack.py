"""The table `[rack]` of a bench file: what is wrong with it, what it wires up, and devices that die."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvisa

from labneuro.bench import BenchError, BenchFile, load, parse
from labneuro.clock import VirtualClock
from labneuro.instruments.current_sources import Keithley2400, YokogawaGS200
from labneuro.instruments.rf_sources import KeysightE8257D
from labneuro.instruments.spectrum_analyzers import AgilentE4408B, KeysightXSeries, RohdeSchwarzFSW
from labneuro.limits import UnsafeError
from labneuro.signals import Tones
from labneuro.simulators.oscillator_chip import EmulatedOscillatorChip
from labneuro.simulators.rack.rack import VirtualRack, load_rack
from labneuro.simulators.receiver import Sweep
from labneuro.values import pack, unpack

RACK = load("rack").text
SMALL = """\
clock = "virtual"
[parts.bias]
driver = "yokogawa-gs200"
settings = { resource = "GPIB0::1::INSTR", source_range = "100 mA" }
limits = { max_current = "20 mA", max_compliance = "1 V" }

[rack.devices.chip]
driver = "oscillators"
settings = { oscillators = 2 }
[rack.instruments]
bias1 = { model = "yokogawa-gs200", resource = "GPIB0::1::INSTR" }
bias2 = { model = "keithley-2400", resource = "GPIB0::2::INSTR" }
rf = { model = "keysight-e8257d", resource = "GPIB0::3::INSTR" }
analyzer = { model = "keysight-n9030b", resource = "GPIB0::4::INSTR" }
[rack.wires]
"bias1 -> chip.current1" = {}
"bias2->chip.current2" = {}
"rf -> chip.A" = {}
"chip.emission -> analyzer" = {}
"""


def changed(text: str, old: str, new: str) -> BenchFile:
    assert text.count(old) == 1
    return parse(text.replace(old, new), Path("my.toml"))


def built(text: str = SMALL) -> VirtualRack:
    plan = parse(text, Path("my.toml")).rack
    assert plan is not None
    rack = plan.build(VirtualClock())
    assert isinstance(rack, VirtualRack)
    return rack


# What is wrong with a rack


GS200 = 'model = "yokogawa-gs200", resource = "GPIB0::1::INSTR"'
FIRST = '"bias1 -> chip.current1"'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("keysight-n9030b", "keysight-n9030", "14: rack.instruments.analyzer.model: no model 'keysight-n9030' is inst"),
        ('"oscillators"', '"oscilators"', "8: rack.devices.chip.driver: no driver 'oscilators' is installed; did you "),
        (
            '"oscillators"',
            '"keithley-6221"',
            "8: rack.devices.chip.driver: 'keithley-6221' has no terminals: name an emulated chip",
        ),
        ("oscillators = 2", "oscilators = 2", "9: rack.devices.chip.settings.oscilators: unknown key; did you mean"),
        ("oscillators = 2", "seed = -1", "9: rack.devices.chip.settings.seed: -1 is not allowed: give an integer of"),
        ("devices.chip", "device.chip", "7: rack.device: unknown key; did you mean devices?"),
        ("[rack.instruments]", "[rack.instrument]", "10: rack.instrument: unknown key; did you mean instruments?"),
        ("bias1 = {", "chip = {", "11: rack.instruments.chip: there is a device of this name: choose another"),
        ("bias1 = {", "bias1 = 3\nb = {", "11: rack.instruments.bias1: 3 is not allowed: write a table"),
        (GS200, 'model = "yokogawa-gs200"', "11: rack.instruments.bias1.resource: missing key: give text"),
        (
            GS200,
            'model = "yokogawa-gs200", resource = "bench 1"',
            "11: rack.instruments.bias1.resource: 'bench 1' is no VISA resource: give one such as \"GPIB0::12::INSTR\"",
        ),
        ("GPIB0::3::INSTR", "GPIB::1", "13: rack.instruments.rf.resource: bias1 has GPIB0::1::INSTR: give each its"),
        (GS200, GS200 + ", faults = { bussy = 1 }", "11: rack.instruments.bias1.faults.bussy: unknown key; did you me"),
        (
            GS200,
            GS200 + ", faults = { busy = 0.6, error = 0.6 }",
            "11: rack.instruments.bias1.faults.lost_message: this and the rates after it add up to 1.2: give 1 or less",
        ),
        (
            GS200,
            GS200 + ', faults = { at = { 3 = "bussy" } }',
            "11: rack.instruments.bias1.faults.at: 'bussy' is no fault; did you mean busy?",
        ),
        (GS200, GS200 + ", faults = { lasting = 5 }", "11: rack.instruments.bias1.faults.lasting: 5 has no unit: give"),
        ('wires]\n"', 'wires]\nw = {}\n"', "16: rack.wires.w: not a wire: write \"source -> chip.terminal\" or \"chip"),
        (FIRST, '"bias -> chip.current1"', "16: rack.wires.'bias -> chip.current1': no instrument 'bias' in this rack"),
        (FIRST, '"bias1 -> chp.current1"', "16: rack.wires.'bias1 -> chp.current1': no device 'chp' in this rack; did"),
        (FIRST, '"bias1.out -> chip.current1"', "16: rack.wires.'bias1.out -> chip.current1': bias1 has no terminal"),
        (FIRST, '"rf -> chip.current1"', "18: rack.wires.'rf -> chip.A': rf has a wire already: give each instrument"),
        (FIRST, '"bias1 -> chip.current2"', "17: rack.wires.'bias2->chip.current2': chip.current2 is fed by another"),
        (FIRST + " = {}", FIRST + ' = { los = "1 dB" }', "16: rack.wires.'bias1 -> chip.current1'.los: unknown key; d"),
        (FIRST + " = {}", FIRST + ' = { loss = "-1 dB" }', "16: rack.wires.'bias1 -> chip.current1'.loss: '-1 dB' is "),
        (FIRST + " = {}", FIRST + " = { resistance = 1 }", "16: rack.wires.'bias1 -> chip.current1'.resistance: 1 has"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rack_is_said_with_its_line_when_the_file_is_read(old: str, new: str, says: str):
    with pytest.raises(BenchError) as caught:
        changed(SMALL, old, new)
    assert str(caught.value).startswith(f"my.toml:{says}")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("chip.A", "chip.C", "18: rack.wires.'rf -> chip.C': chip has no terminal 'C'; known: current1, current2, A, "),
        ("chip.A", "chip", "18: rack.wires.'rf -> chip': chip has no terminal ''; known: current1, current2, A, B"),
        ("chip.emission", "chip.current1", "19: rack.wires.'chip.current1 -> analyzer': the instrument has no port fo"),
        ("oscillators = 2", 'span = "900 MHz"', "7: rack.devices.chip: span: 900 MHz is more than the 194 MHz that ar"),
    ],
)  # fmt: skip
def test_what_only_shows_when_a_rack_is_built_is_said_with_its_line(old: str, new: str, says: str):
    file = changed(SMALL, old, new)
    with pytest.raises(BenchError) as caught, file.open():
        pytest.fail("the bench opened")
    assert str(caught.value).startswith(f"my.toml:{says}")


def test_a_file_without_a_rack_has_none_to_load(tmp_path: Path):
    path = tmp_path / "my.toml"
    path.write_text(SMALL.partition("[rack.")[0])
    with pytest.raises(BenchError, match=r"my.toml: it has no table \[rack\]: add one, or name another bench file"):
        load_rack(path, VirtualClock())


def test_the_example_on_the_page_is_a_bench():
    page = (Path(__file__).parents[3] / "docs" / "rack.md").read_text(encoding="utf-8")
    with parse(page.partition("```toml\n")[2].partition("```")[0], Path("page.toml")).open() as bench:
        bench.parts["bias1"].set_current(1e-3)
        assert bench.rack.devices["stno"].currents[0] == pytest.approx(1e-3)


# What it wires up


@pytest.mark.parametrize(
    ("model", "driver", "rounding"),
    [
        ("keysight-n9030b", KeysightXSeries, 1e-14),
        ("rohde-schwarz-fsw", RohdeSchwarzFSW, 5e-8),  # text: as many digits as it writes
        ("rohde-schwarz-fsv", RohdeSchwarzFSW, 5e-8),
        ("agilent-e4408b", AgilentE4408B, 5e-8),
    ],
)
def test_a_spectrum_through_analyzer_and_driver_is_that_of_the_chip(model: str, driver: Any, rounding: float):
    rack = built(SMALL.replace("keysight-n9030b", model))
    clock, library = rack.clock, rack.visa_library
    analyzer = driver(resource="GPIB0::4::INSTR", visa_library=library)
    biases = [
        kind(clock, resource=resource, visa_library=library, source_range=10e-3)
        for kind, resource in ((YokogawaGS200, "GPIB0::1::INSTR"), (Keithley2400, "GPIB0::2::INSTR"))
    ]
    for bias, current in zip(biases, (6e-3, 6.5e-3), strict=True):
        bias.set_current(current)
    KeysightE8257D(resource="GPIB0::3::INSTR", visa_library=library).set_tone(348e6, 1e-3)
    analyzer.configure(330e6, 370e6, rbw=1e6, averages=4)

    chip, tones = EmulatedOscillatorChip(VirtualClock(), oscillators=2), Tones.at([[348e6, 350e6]], [1e-3, 0.0])
    chip.carry(np.array([6e-3, 6.5e-3]))
    at_once = 1 if driver is AgilentE4408B else 4  # which averages in the driver
    for _ in range(2):
        seen = analyzer.trace()
        sweep = Sweep(330e6, 370e6, seen.frequency.size, 1e6, at_once)
        told = np.mean([chip.swept(sweep, tones).density[0] for _ in range(4 // at_once)], axis=0)
        np.testing.assert_allclose(seen.density, told, rtol=rounding)


def test_a_filter_that_is_not_emulated_is_an_error_of_the_instrument():
    rack = built()
    analyzer = KeysightXSeries(resource="GPIB0::4::INSTR", visa_library=rack.visa_library)
    analyzer.configure(349e6, 351e6, rbw=1e3, averages=1)
    with pytest.raises(OSError, match="-310"):
        analyzer.trace()


def test_each_driver_finds_the_instrument_that_the_shipped_bench_has_wired():
    with load("rack").open() as bench:
        rack = bench.rack
        assert isinstance(rack, VirtualRack)
        chip, (stno,) = bench.parts["chip"], rack.devices.values()
        wanted = np.array([4.9e-3, 5.2e-3, 5.7e-3, 6.1e-3])
        chip.set_currents(wanted)
        assert stno.currents == pytest.approx(wanted, rel=1e-12)
        chip.apply(Tones.at([[340e6, 360e6]], [1e-3, 2e-3]))
        tones = stno._tones
        assert tones.frequency.tolist() == [[340e6, 360e6]]
        assert tones.power[0] == pytest.approx(np.array([1e-3, 2e-3]) * 10**-0.1, rel=0.0024)  # 0.01 dB
        assert chip.spectrum().density.shape == (161,)
    assert stno.currents.tolist() == [0.0] * 4
    assert stno._tones.power.tolist() == [[0.0, 0.0]]
    assert bench.rack is not None
    assert bench.rack.deaths == []


def test_a_rack_is_found_by_its_file_from_any_program_that_uses_pyvisa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(RACK)
    monkeypatch.setenv("PYVISA_LIBRARY", "bench.toml@labneuro")
    manager = pyvisa.ResourceManager()
    assert len(manager.list_resources()) == 7
    manager.open_resource("GPIB0::1::INSTR").write(":SOUR:FUNC CURR;:OUTP 1;:SOUR:LEV 1E-3")
    other = pyvisa.ResourceManager("bench.toml@labneuro").open_resource("GPIB::1")
    assert float(other.query(":SOUR:LEV?")) == 1e-3
    manager.close()


# Devices that die


def bias_of(rack: VirtualRack, **settings: Any) -> YokogawaGS200:
    given = {"resource": "GPIB0::1::INSTR", "source_range": 100e-3} | settings
    return YokogawaGS200(rack.clock, visa_library=rack.visa_library, **given)


def too_much(rack: VirtualRack) -> None:
    bias = bias_of(rack)
    for step in range(1, 30):
        bias.set_current(step * 0.5e-3)


def too_fast(rack: VirtualRack) -> None:
    bias_of(rack).set_current(11e-3)


def range_change(rack: VirtualRack) -> None:
    bias_of(rack, source_range=10e-3).set_current(6e-3)
    bias_of(rack).send(":SOUR:RANG 200E-3")


GLITCHY = SMALL.replace(GS200, GS200 + ", faults = { glitch = 0.1 }")


@pytest.mark.parametrize(
    ("text", "kill", "says"),
    [
        (SMALL, too_much, "mV after a jump by 500 µA, it bears 500 mV"),
        (SMALL, too_fast, "mV after a jump by 11 mA, it bears 500 mV"),
        (GLITCHY, range_change, "mV in a spike, it bears 500 mV"),
    ],
    ids=["over-current", "jump", "spike"],
)
def test_a_device_that_is_given_too_much_dies_says_so_and_stays_dead(
    caplog: pytest.LogCaptureFixture, text: str, kill: Callable[[VirtualRack], None], says: str
):
    rack = built(text)
    chip: Any = rack.devices["chip"]
    alive = chip.junctions.resistance.copy()
    with caplog.at_level(logging.ERROR):
        kill(rack)
    (death,) = rack.deaths
    assert death.startswith("chip: emulated chip, seed 0: oscillator 1 is destroyed: ")
    assert death.endswith(says)
    assert [death] == [f"chip: {message}" for message in caplog.messages]
    assert chip.junctions.resistance.tolist() == [5.0, alive[1]]
    bias_of(rack).make_safe()
    other = built(text)
    other.restore(unpack(pack(rack.snapshot())))
    for place in (rack, other):
        assert place.deaths == [death]
        assert place.bare["bias1"].resistance() == 5.0
        chip = place.devices["chip"]
        chip.carry(np.array([6e-3, 0.0]))
        floor = chip.swept(Sweep(330e6, 370e6, 201, 200e3, 64), Tones.at([[350e6] * 2], 0.0)).density
        assert floor.max() < 2e-16  # the noise of the analyzer, and no line
    other.devices["chip"].junctions.carry(np.array([0.0, 1.0]), "flow through it")
    assert len(other.deaths) == 2
    assert rack.deaths == [death]


def test_a_current_that_grows_slowly_may_be_higher_than_one_that_jumps():
    rack = built(SMALL.replace(GS200, GS200 + ', faults = { settling = "5 ms" }'))
    chip: Any = rack.devices["chip"]
    highest = 0.5 / chip.junctions.resistance[0]
    bias_of(rack).set_current(0.98 * highest)
    for _ in range(20):
        rack.clock.sleep(5e-3)
        rack.bare["analyzer"].input(Sweep(349e6, 351e6, 3, 1e6, 1))
    assert chip.currents[0] == pytest.approx(0.98 * highest, rel=1e-4)
    assert rack.deaths == []


def test_whoever_leaves_a_bench_on_which_a_device_was_destroyed_hears_of_it():
    told: list[tuple[str, str, bool]] = []
    says = "chip: emulated chip, seed 0: oscillator 1 is destroyed: 15 mA"
    with (
        pytest.raises(ExceptionGroup, match=f"on leaving bench 'my': UnsafeError: bench 'my': rack: {says}") as caught,
        parse(SMALL, Path("my.toml")).open(lambda *said: told.append(said)) as bench,
    ):
        bench.parts["bias"].set_current(12e-3)
    assert [type(error) for error in caught.value.exceptions] == [UnsafeError]
    assert told[0] == ("bias", "current 0 A", True)
    ((part, words, confirmed),) = told[1:]
    assert (part, confirmed) == ("[rack]", False)
    assert words.startswith(says)


# What it remembers


def test_a_rack_goes_on_from_its_snapshot_as_if_it_had_never_been_away():
    def asked(rack: VirtualRack) -> SimpleNamespace:
        session = pyvisa.ResourceManager(rack.visa_library)
        return SimpleNamespace(
            **{
                name: session.open_resource(plan)
                for name, plan in (
                    ("bias", "GPIB0::1::INSTR"),
                    ("rf", "GPIB0::3::INSTR"),
                    ("analyzer", "GPIB0::4::INSTR"),
                )
            }
        )

    faults = ", faults = { seed = 1, lost_reply = 0.3 }"
    text = SMALL.replace('GPIB0::3::INSTR"', 'GPIB0::3::INSTR"' + faults)
    one, two = built(text), built(text)
    lab = asked(one)
    lab.bias.write(":SOUR:FUNC CURR;:SOUR:RANG 10E-3;:OUTP 1;:SOUR:LEV 6E-3")
    lab.rf.write(":FREQ 348 MHZ;:POW 0;:OUTP 1")
    lab.analyzer.write(":FREQ:CENT 350 MHZ;:FREQ:SPAN 40 MHZ;:BAND 1 MHZ;:INIT:CONT 0;:SWE:POIN 101;:INIT")
    kept = unpack(pack(one.snapshot()))
    two.clock.sleep(one.clock.now())
    two.restore(kept)
    assert pack(two.snapshot()) == pack(kept)

    def answers(rack: VirtualRack) -> list[str]:
        lab = asked(rack)
        said: list[str] = []
        for resource, question in [
            (lab.analyzer, ":TRAC? TRACE1"),
            (lab.analyzer, ":INIT;:TRAC? TRACE1"),
            (lab.bias, ":OUTP?;:SOUR:LEV?;:SOUR:FUNC?"),
            *[(lab.rf, ":FREQ?;:POW?;:OUTP?")] * 10,
        ]:
            try:
                said.append(resource.query(question))
            except pyvisa.VisaIOError:
                said.append("nothing")
        return said

    before, after = answers(one), answers(two)
    assert before == after
    assert 0 < before.count("nothing") < 10
    assert before[0] != before[1]
