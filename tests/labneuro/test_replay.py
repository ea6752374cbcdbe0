"""A run that is replayed asks and yields what is recorded, or the first difference is shown; no answer is made up."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro import bench, registry
from labneuro.bench import Bench, load, new_clock
from labneuro.cli import main
from labneuro.crossing import Crossing, RecordedError
from labneuro.entries import Answered, Asked, Entry, Left, Raised, Yielded
from labneuro.limits import LimitError
from labneuro.replay import replay, replayed
from labneuro.roles import CurrentSource, OscillatorChip
from labneuro.run import execute
from labneuro.script import RecordingEnds
from labneuro.store import RunFile
from labneuro.values import pack

Entries = Callable[[str], list[Entry]]
BreakOff = Callable[..., RunFile]
Rewrite = Callable[[list[Entry], str], RunFile]

SOURCE = """guardian = false
[parts.source]
driver = "lasting"
settings = { levels = "levels.txt" }
limits = { max_current = "8 mA", max_compliance = "2 V" }
"""


@pytest.fixture(autouse=True)
def laboratory(annex: Path) -> None:
    Path("levels.txt").write_text("0.0\n")
    Path("desk.toml").write_text(SOURCE)


def perform(name: str, out: str, on: str = "desk.toml", **parameters: object) -> None:
    execute(registry.load_protocol(name), bench.load(on), parameters, Path(out), progress=False)


def protocols() -> Any:
    return importlib.import_module("annex_lab")


def without_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all drivers away, and whatever they would connect to."""
    monkeypatch.setattr(registry, "drivers", dict)
    Path("levels.txt").unlink()
    Path("desk.toml").unlink()


def test_a_run_is_identical_without_any_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    perform("tidy", "a.h5", steps=5)
    without_drivers(monkeypatch)
    found = replay(RunFile("a.h5"))
    assert (found.questions, found.records, found.difference) == (13, 5, "")


def test_a_run_on_an_emulated_chip_is_identical(monkeypatch: pytest.MonkeyPatch) -> None:
    perform("response_map", "a.h5", "emulated", points=4)
    without_drivers(monkeypatch)
    found = replay(RunFile("a.h5"))
    assert (found.records, found.difference) == (4, "")


@pytest.mark.parametrize("torn", [0, 3])
def test_a_run_that_was_killed_is_identical_up_to_there(entries: Entries, broken_off: BreakOff, torn: int) -> None:
    perform("tidy", "whole.h5", steps=3)
    for count in range(1, len(entries("whole.h5"))):
        found = replay(broken_off("whole.h5", f"{count}.h5", count, torn))
        assert found.difference == ""
        written = entries(f"{count}.h5")
        assert found.questions == sum(isinstance(entry, Answered) for entry in written)
        assert found.records == sum(isinstance(entry, Yielded) for entry in written)


def test_a_run_that_was_stopped_is_identical_with_its_clean_up(entries: Entries) -> None:
    perform("tidy", "a.h5", steps=4, stop=True)
    assert RunFile("a.h5").state == "stopped"
    found = replay(RunFile("a.h5"))
    assert (found.questions, found.records, found.difference) == (1 + 2 * 2 + 2, 2, "")


@pytest.mark.parametrize("how", ["ArithmeticError", "ValueError"])
def test_a_run_that_failed_fails_again_by_the_same_error(how: str) -> None:
    with pytest.raises(Exception, match="the sums don't add up"):
        perform("breaks", "a.h5", how=how)
    assert replay(RunFile("a.h5")).difference == ""


def test_a_run_that_a_limit_ended_meets_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitError):
        perform("ramp", "a.h5", top="9 mA")
    without_drivers(monkeypatch)
    found = replay(RunFile("a.h5"))
    assert (found.records, found.difference) == (3, "")


def test_a_question_that_differs_is_shown_with_both_sides_and_its_place(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=4)
    changed = [
        entry._replace(arguments={"current": float(np.nextafter(3e-3, 1))})
        if isinstance(entry, Asked) and entry.arguments == {"current": 3e-3}
        else entry
        for entry in entries("a.h5")
    ]
    difference = replay(rewritten(changed, "b.h5")).difference
    assert difference.startswith("question 6, at annex_lab.py:")
    assert "in tidy: source.set_current(1e-3 * k)" in difference
    assert "recorded: source.set_current(current=0.0030000000000000005)" in difference
    assert "now:      source.set_current(current=0.003)" in difference
    assert "first difference: current was 0.0030000000000000005, is 0.003" in difference


def test_a_record_that_differs_is_shown_with_its_field(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=3)
    written = entries("a.h5")
    k = [number for number, entry in enumerate(written) if isinstance(entry, Yielded)][1]
    record = written[k]
    assert isinstance(record, Yielded)
    levels = record.values["levels"].copy()
    levels[1] = np.nextafter(levels[1], 9)
    written[k] = Yielded("steps", {**record.values, "levels": levels})
    found = replay(rewritten(written, "b.h5"))
    assert (found.questions, found.records) == (5, 1)
    assert "record 2, at annex_lab.py:" in found.difference
    assert "first difference: levels[1] was np.float64(2.0000000000000004), is np.float64(2.0)" in found.difference


def test_a_changed_answer_changes_what_is_yielded(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=3)
    changed = [
        entry._replace(value=1.5e-3) if isinstance(entry, Answered) and entry.value == 1e-3 else entry
        for entry in entries("a.h5")
    ]
    assert "current was 0.001, is 0.0015" in replay(rewritten(changed, "b.h5")).difference


def test_a_protocol_that_asks_more_or_less_than_is_recorded_differs(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=3)
    written = entries("a.h5")
    last = max(k for k, entry in enumerate(written) if isinstance(entry, Asked))
    less = [entry for k, entry in enumerate(written) if k not in {last, last + 1}]
    assert "question 9" in (difference := replay(rewritten(less, "b.h5")).difference)
    assert "source.set_compliance(voltage=1.0) was never asked" in difference
    more = [*written[: last + 2], Asked(99, "source", "current", {}, False), Answered(99, 0.0), *written[last + 2 :]]
    assert "come to its end\n  recorded: source.current\n" in replay(rewritten(more, "c.h5")).difference


def hasty(source: CurrentSource, *, steps: int = 3, stop: bool = False) -> Iterator[object]:
    """Skip what `tidy` does first."""
    source.set_current(1e-3 * (steps + stop))
    yield protocols().Step(source.current, 1.0, 1, np.zeros(2))


def test_a_verb_that_differs_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    perform("tidy", "a.h5")
    monkeypatch.setattr(protocols(), "tidy", hasty)
    difference = replay(RunFile("a.h5")).difference
    assert difference.startswith("question 1, at test_replay.py:")
    assert "recorded: source.set_compliance(voltage=1.5)\n  now:      source.set_current(current=0.003)" in difference


def test_errors_come_back_as_what_they_were() -> None:
    outcomes = {
        Raised(1, "labneuro.LimitError", "too much"): LimitError,
        Raised(1, "TimeoutError", "no answer"): TimeoutError,
        Raised(1, "pyvisa.VisaIOError", "VI_ERROR_TMO"): RecordedError,
        Raised(1, "SystemExit", "0"): RecordedError,
        Raised(1, "UnicodeDecodeError", "bad"): RecordedError,
        Raised(1, "__import__", "os"): RecordedError,
    }
    for recorded, kind in outcomes.items():
        script: Any = type("Script", (), {"next": 1, "answer": lambda self, *_, given=recorded: given})()
        source = Crossing(lambda *_, **__: None, script=script).role("source", CurrentSource)
        with pytest.raises(kind, match=recorded.text):
            _ = source.current  # type: ignore[attr-defined]


def test_what_a_protocol_is_handed_is_its_own() -> None:
    answer = np.arange(6.0).reshape(2, 3).T

    class Chip:
        def snapshot(self) -> None:
            return None

        currents = answer

        def set_currents(self, currents: Any) -> None:
            self.got = currents

        def spectrum(self) -> object:
            return object()

    written: list[Any] = []

    def write(*entries: Any, later: bool = False) -> None:
        for entry in entries:
            pack(list(entry))
            written.append(entry)

    crossing = Crossing(write)
    bench = load("emulated")
    crossing.connect(Bench(bench, new_clock(bench), {"chip": Chip()}))  # type: ignore[dict-item]
    chip: Any = crossing.role("chip", OscillatorChip)
    assert isinstance(chip, OscillatorChip)
    got = chip.currents
    assert got is not answer
    assert got.flags.f_contiguous
    assert not got.flags.c_contiguous
    np.testing.assert_array_equal(got, answer)
    chip.set_currents(currents=got)
    assert [(entry.part, entry.verb) for entry in written if isinstance(entry, Asked)] == [
        ("chip", "currents"),
        ("chip", "set_currents"),
    ]
    with pytest.raises(TypeError):
        chip.set_currents()
    with pytest.raises(TypeError, match="object can't be recorded"):
        chip.apply(object())  # nothing is sent that can't be written down
    with pytest.raises(TypeError, match="object can't be recorded"):
        chip.spectrum()
    assert isinstance(written[-1], Raised)


def test_a_replay_never_makes_up_an_answer(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=3)
    silent = [entry for entry in entries("a.h5") if not isinstance(entry, Answered | Left)]
    found = replay(rewritten(silent[:-1], "b.h5"))
    assert (found.questions, found.records) == (0, 0)
    with pytest.raises(RecordingEnds):
        raise RecordingEnds
    assert not issubclass(RecordingEnds, Exception)  # no protocol can take it for an error of its part


# On the command line, and in a laboratory's own tests


def test_the_command_counts_and_shows(capsys: pytest.CaptureFixture[str], entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "a.h5", steps=5)
    assert main(["replay", "a.h5", "--code-changed"]) == 0
    said = capsys.readouterr().out
    assert "13 questions, 5 records" in said
    assert said.count("labneuro 0.") == 2
    changed = [
        entry._replace(arguments={"current": 2.5e-3})
        if isinstance(entry, Asked) and entry.arguments == {"current": 2e-3}
        else entry
        for entry in entries("a.h5")
    ]
    rewritten(changed, "b.h5")
    assert main(["replay", "b.journal"]) == 1
    said = capsys.readouterr().out
    assert "3 questions, 1 record" in said
    assert "DIFFERENT: question 4, at annex_lab.py" in said
    assert "recorded: source.set_current(current=0.0025)" in said
    assert "now:      source.set_current(current=0.002)" in said


def test_a_protocol_that_is_not_installed_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    perform("tidy", "a.h5")
    monkeypatch.setattr(registry, "protocols", dict)
    assert main(["replay", "a.h5"]) == 2
    assert "no protocol 'tidy' is installed" in capsys.readouterr().err


def test_one_line_makes_a_run_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    perform("tidy", "a.h5")
    test_sample = replayed("a.h5")
    test_sample()
    monkeypatch.setattr(protocols(), "tidy", hasty)
    with pytest.raises(AssertionError, match=r"a.h5 is not what the protocol does now"):
        test_sample()


def test_a_missing_run_is_a_failing_test() -> None:
    with pytest.raises(OSError, match="no such file"):
        replayed("nowhere.h5")()
