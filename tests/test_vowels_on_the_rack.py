"""The main job through drivers, instruments and wires: the same lesson as on the emulated chip alone."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro import registry
from labneuro.bench import load, parse
from labneuro.entries import Answered, Asked, Entry, Left, Remembered
from labneuro.journal import MAGIC, Reader
from labneuro.learning.perceptron import perceptron_baseline
from labneuro.replay import replay
from labneuro.resume import resume
from labneuro.roles import CurrentSource, RFSource, SpectrumAnalyzer
from labneuro.run import execute
from labneuro.script import Exchange, Script
from labneuro.store import RunFile, journal_of
from labneuro.units import Current, FloatArray
from labneuro.values import pack

SHIPPED = load("rack").text
QUICKER = SHIPPED.replace("0.1 mA/ms", "1 mA/ms").replace("averages = 16", "averages = 4")
WITHOUT_LOSS = re.sub(r', (rf_)?loss = "1 dB"|loss = "[\d.]+ dB"|, cutoff = "10 MHz"', "", QUICKER)
CHIP = """\
clock = "virtual"
[parts.chip]
driver = "oscillators"
settings = { detection = "spectra", span = "80 MHz", rbw = "1 MHz", averages = 4 }
limits = { max_current = "8 mA", max_rf_power = "5 dBm", ramp = "1 mA/ms" }
"""
LAST_DIGIT = 100e-9
"""What the coarsest of the sources rounds currents to, A: the GS200 on its range of 10 mA."""

Lesson = Callable[..., RunFile]


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lesson]:
    """A function that teaches the vowels of three women for two steps, on a bench given by its text."""
    vowels = importlib.import_module("labneuro.protocols.vowels")
    said = vowels.spoken.load("peterson-barney")
    few = np.isin(said.speakers, np.unique(said.speakers)[:3])
    said = replace(said, features=said.features[few], labels=said.labels[few], speakers=said.speakers[few])

    @cache
    def software(numbers: int) -> Any:
        training, testing = vowels.spoken.split_by_speaker(said, 0.2, 0)
        data = (said.features[training], said.labels[training], said.features[testing], said.labels[testing])
        return perceptron_baseline(*data, numbers, 0)

    def teach(text: str, **parameters: Any) -> RunFile:
        out = tmp_path_factory.mktemp("lesson") / "a.h5"
        bench = parse(text, out.with_name("bench.toml"))
        execute(vowels.vowels, bench, {"steps": 2, "map_points": 0, **parameters}, out, progress=False)
        return RunFile(out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vowels.spoken, "load", lambda source: said)
        patch.setattr(vowels, "perceptron_baseline", lambda *given: software(given[4]))
        patch.setattr("labneuro.crossing.REMEMBER", 0.1)
        yield teach


@pytest.fixture(scope="module")
def on_the_chip(lesson: Lesson) -> RunFile:
    return lesson(CHIP)


@pytest.fixture(scope="module")
def on_the_rack(lesson: Lesson) -> RunFile:
    return lesson(WITHOUT_LOSS)


def exchanges(run: RunFile) -> list[Exchange]:
    return [event for event in Script(run.reader, resuming=True).met() if isinstance(event, Exchange)]


def states(run: RunFile) -> list[list[list[int]]]:
    """What the chip answered when it was asked for its synchronisation states."""
    asked = [exchange for exchange in exchanges(run) if exchange.asked.verb == "synchronisation"]
    assert len(asked) == run.steps.count == 2
    return [exchange.outcome.value.tolist() for exchange in asked if isinstance(exchange.outcome, Answered)]


def content(run: RunFile) -> bytes:
    """All that was asked and answered, and all that was recorded, bit for bit."""
    said = [[e.asked.part, e.asked.verb, e.asked.arguments, list((e.outcome or [])[1:])] for e in exchanges(run)]
    tables = [
        [name, [[field, values if values.dtype != object else values.tolist()] for field, values in fields.items()]]
        for name, fields in {"steps": run.steps, **run.records}.items()
    ]
    return pack([said, tables])


def same_lesson(one: RunFile, other: RunFile) -> None:
    assert states(one) == states(other)
    assert len(np.unique(np.concatenate(states(one)), axis=0)) > 4
    for rate in ("train", "held_out"):
        assert one.steps[rate].tolist() == other.steps[rate].tolist()
    assert one.records["vowel_set"]["wanted"].tolist() == other.records["vowel_set"]["wanted"].tolist()
    assert np.max(np.abs(one.steps["currents"] - other.steps["currents"])) < LAST_DIGIT


def test_vowels_through_the_rack_are_the_lesson_of_the_chip_with_its_noise(on_the_chip: RunFile, on_the_rack: RunFile):
    same_lesson(on_the_chip, on_the_rack)


def test_with_the_losses_of_the_wires_it_is_the_lesson_at_the_power_that_is_left(lesson: Lesson):
    same_lesson(lesson(CHIP, power="-1 dBm"), lesson(QUICKER, power="0 dBm"))


def test_a_rack_in_another_process_gives_the_same_lesson(lesson: Lesson, on_the_rack: RunFile, tmp_path: Path):
    (tmp_path / "rack.toml").write_text(WITHOUT_LOSS)
    code = "from labneuro.cli import main; raise SystemExit(main())"
    ports = ("--hislip", "0", "--vxi11", "0", "--socket", "0")
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", code, "bench", "serve", str(tmp_path / "rack.toml"), *ports],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    ) as server:
        try:
            assert server.stdout is not None
            text = WITHOUT_LOSS.partition("# What the rack holds")[0].replace('clock = "virtual"', "guardian = false")
            for line in server.stdout:
                if found := re.search(r"TCPIP::127\.0\.0\.1::hislip_(\w+),\d+::INSTR", line):
                    here = rf'(\[parts\.{found[1]}\]\n.*\nsettings = {{ resource = )"[^"]*"'
                    text, replaced = re.subn(here, rf'\1"{found[0]}", visa_library = "@py"', text)
                    assert replaced == 1
                if "serving" in line:
                    break
            run = lesson(text)
        finally:
            server.terminate()
            server.communicate()
    assert server.returncode == 0
    same_lesson(run, on_the_rack)
    for table in ("currents", "frequency"):
        assert run.steps[table].tolist() == on_the_rack.steps[table].tolist()


def test_the_lesson_is_replayed_without_rack_and_drivers(on_the_rack: RunFile, monkeypatch: pytest.MonkeyPatch):
    for group in ("drivers", "models"):
        monkeypatch.setattr(registry, group, dict)
    monkeypatch.setattr(registry, "load_rack", lambda: pytest.fail("nobody needs a rack"))
    found = replay(on_the_rack)
    assert found.difference == ""
    assert found.questions == len(exchanges(on_the_rack))


def entries(run: RunFile) -> list[Entry]:
    with run.reader() as reader:
        return [record.entry for record in reader]


def killed(run: RunFile, out: Path, count: int) -> RunFile:
    """A run like `run` whose process was killed after `count` entries of its journal."""
    journal = journal_of(out)
    run.extract_journal(journal)
    with Reader(journal) as reader:
        ends = [len(MAGIC), *(record.end for record in reader)]
    with journal.open("r+b") as file:
        file.truncate(ends[count])
    return RunFile(out)


@pytest.mark.parametrize(
    "when",
    [
        "before the first snapshot",
        pytest.param("in the calibration", marks=pytest.mark.nightly),
        "in the last step",
    ],
)
def test_a_lesson_that_was_killed_comes_to_the_same_end(on_the_rack: RunFile, tmp_path: Path, when: str):
    written = entries(on_the_rack)
    snapshots = [k for k, entry in enumerate(written) if isinstance(entry, Remembered)]
    asked = [k for k, entry in enumerate(written) if isinstance(entry, Asked) and entry.verb == "synchronisation"]
    assert len(snapshots) > 5
    count = {
        "before the first snapshot": snapshots[0] - 1,
        "in the calibration": (snapshots[2] + snapshots[3]) // 2,
        "in the last step": asked[1] + 1,
    }[when]
    run = killed(on_the_rack, tmp_path / "a.h5", count)
    assert resume(run, progress=False).state == "finished"
    assert content(RunFile(run.path)) == content(on_the_rack)


# Parts of the rack that a protocol uses by themselves

SMALL = """\
clock = "virtual"
[parts.bias]
driver = "yokogawa-gs200"
settings = { resource = "GPIB0::1::INSTR", source_range = "10 mA" }
limits = { max_current = "8 mA", max_compliance = "1 V", ramp = "1 mA/ms" }
[parts.rf]
driver = "rohde-schwarz-smb100a"
settings = { resource = "GPIB0::2::INSTR" }
limits = { max_power = "5 dBm" }
[parts.analyzer]
driver = "rohde-schwarz-fsw"
settings = { resource = "GPIB0::3::INSTR" }
[rack.devices.chip]
driver = "oscillators"
settings = { oscillators = 2 }
[rack.instruments]
bias = { model = "yokogawa-gs200", resource = "GPIB0::1::INSTR", faults = { settling = "2 ms" } }
rf = { model = "rohde-schwarz-smb100a", resource = "GPIB0::2::INSTR" }
analyzer = { model = "rohde-schwarz-fsw", resource = "GPIB0::3::INSTR" }
[rack.wires]
"bias -> chip.current1" = { resistance = "1 ohm" }
"rf -> chip.A" = { loss = "1 dB" }
"chip.emission -> analyzer" = {}
"""


@dataclass(frozen=True)
class Look:
    """What the analyzer showed at a current."""

    current: Current
    density: FloatArray


def look(bias: CurrentSource, rf: RFSource, analyzer: SpectrumAnalyzer, *, steps: int = 3) -> Iterator[Look]:
    """Look at the emission of an oscillator, beside a tone."""
    bias.set_compliance(1.0)
    analyzer.configure(340e6, 360e6, rbw=1e6, averages=2)
    for k in range(steps):
        bias.set_current(5e-3 + k * 0.5e-3)
        rf.set_tone(348e6, 1e-3 if k % 2 else 0.0)
        yield Look(bias.current, analyzer.trace().density)


@pytest.mark.parametrize("remember", [0.0, 1e6], ids=["always remembered", "never remembered"])
def test_wherever_a_run_on_single_instruments_is_killed_it_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remember: float
):
    monkeypatch.setattr("labneuro.crossing.REMEMBER", remember)
    monkeypatch.setattr("labneuro.crossing._SHARE", 0)
    monkeypatch.setattr(registry, "load_protocol", lambda name: look)
    whole = tmp_path / "whole.h5"
    execute(look, parse(SMALL, tmp_path / "small.toml"), {}, whole, progress=False)
    run = RunFile(whole)
    written = entries(run)
    assert any(isinstance(entry, Remembered) for entry in written) is (remember == 0.0)
    last = next(k for k, entry in enumerate(written) if isinstance(entry, Left))
    for count in sorted({*range(1, last, 6), last - 1, last, last + 1}):
        again = killed(run, tmp_path / f"{count}.h5", count)
        assert resume(again, progress=False).state == "finished"
        assert content(RunFile(again.path)) == content(run)
