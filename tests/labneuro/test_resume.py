"""A run that was broken off anywhere goes on as if nothing had happened, and nothing is done twice."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labneuro import bench, registry
from labneuro.entries import Answered, Asked, Ended, Entry, Identified, Left, Raised, Remembered, Resumed, Yielded
from labneuro.journal import Journal
from labneuro.limits import LimitError
from labneuro.resume import ResumeError, if_lost, resume
from labneuro.roles import PulseGenerator
from labneuro.run import RunResult, execute
from labneuro.script import Exchange, Script
from labneuro.signals import Pulses
from labneuro.store import RunFile
from labneuro.values import pack

Entries = Callable[[str], list[Entry]]
BreakOff = Callable[..., RunFile]
Rewrite = Callable[[list[Entry], str], RunFile]

CHIP = """clock = "virtual"
[parts.chip]
driver = "oscillators"
settings = {{ oscillators = 2, averages = 4, detection = "{}" }}
limits = {{ max_current = "8 mA", ramp = "1 mA/ms", max_rf_power = "5 dBm" }}
"""
SOURCE = """guardian = false
[parts.source]
driver = "lasting"
settings = { levels = "levels.txt" }
limits = { max_current = "8 mA", max_compliance = "2 V", ramp = "1 mA/ms" }
"""
PULSER = """guardian = false
[parts.generator]
driver = "pulser"
settings = {{ pulses = "pulses.txt", deaf_after = {} }}
limits = {{ max_amplitude = "1 V", max_width = "1 ms", max_pulses = {} }}
"""


@pytest.fixture(autouse=True)
def laboratory(annex: Path) -> None:
    Path("levels.txt").write_text("0.0\n")


def perform(name: str, out: str, desk: str, **parameters: object) -> RunResult:
    Path("desk.toml").write_text(desk)
    return execute(registry.load_protocol(name), bench.load("desk.toml"), parameters, Path(out), progress=False)


def resumed(run: str | RunFile, **options: Any) -> RunResult:
    return resume(run if isinstance(run, RunFile) else RunFile(run), progress=False, **options)


def content(path: str) -> list[bytes]:
    """All that a run's protocol asked, was answered and yielded, as bytes."""
    met = Script(RunFile(path).reader, resuming=True).met()
    return [
        pack([event.asked.part, event.asked.verb, event.asked.arguments, list((event.outcome or [])[1:])])
        if isinstance(event, Exchange)
        else pack(list(event))
        for event in met
        if not isinstance(event, Remembered)
    ]


def same(one: RunFile, other: RunFile) -> bool:
    tables = [{"steps": run.steps, **run.records} for run in (one, other)]
    values = [{(table, name): f[name] for table, f in fields.items() for name in f} for fields in tables]
    assert values[0].keys() == values[1].keys()
    return all(values[0][key].tobytes() == values[1][key].tobytes() for key in values[0])


# On an emulated chip: bit for bit


@pytest.mark.parametrize(
    ("protocol", "detection", "parameters"),
    [("free_running", "phases", {"points": 3}), ("response_map", "spectra", {"points": 3})],
)
@pytest.mark.parametrize("often", [False, True])
def test_wherever_a_run_is_killed_its_end_is_that_of_an_undisturbed_run(
    entries: Entries,
    broken_off: BreakOff,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    detection: str,
    parameters: dict[str, Any],
    often: bool,
) -> None:
    monkeypatch.setattr("labneuro.crossing.REMEMBER", 0.0 if often else 1e6)
    perform(protocol, "whole.h5", CHIP.format(detection), **parameters)
    written = entries("whole.h5")
    assert any(isinstance(entry, Remembered) for entry in written) is often
    last = next(k for k, entry in enumerate(written) if isinstance(entry, Left))
    for count in sorted({*range(1, last, max(1, last // 7)), last - 1, last, last + 1}):
        run = broken_off("whole.h5", f"{count}.h5", count, torn=5)
        assert run.state == "interrupted"
        result = resumed(run)
        assert (result.state, result.steps) == ("finished", RunFile("whole.h5").steps.count)
        assert not Path(f"{count}.journal").exists()
        assert content(f"{count}.h5") == content("whole.h5")
        assert same(RunFile(f"{count}.h5"), RunFile("whole.h5"))


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(entries: Entries, broken_off: BreakOff) -> None:
    perform("free_running", "whole.h5", CHIP.format("phases"), points=3)
    name = "whole.h5"
    for count in (9, 21, 30):
        broken_off(name, f"{count}.h5", count)
        resumed(f"{count}.h5")
        name = f"{count}.h5"
    assert sum(isinstance(entry, Resumed) for entry in entries(name)) == 3
    assert content(name) == content("whole.h5")


def test_a_run_that_is_stopped_while_it_is_resumed_has_its_chip_put_back_all_the_same(
    entries: Entries, broken_off: BreakOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform("free_running", "whole.h5", CHIP.format("phases"), points=3)
    first = next(k for k, entry in enumerate(entries("whole.h5")) if isinstance(entry, Yielded))
    answer, asked = Script.answer, iter(range(1000))

    def stopping(self: Script, *question: Any) -> Any:
        if next(asked) == 3:
            signal.raise_signal(signal.SIGINT)  # before the journal ends, in the middle of the step
        return answer(self, *question)

    monkeypatch.setattr(Script, "answer", stopping)
    result = resumed(broken_off("whole.h5", "a.h5", first - 5))
    assert (result.state, result.steps) == ("stopped", 1)
    monkeypatch.setattr(Script, "answer", answer)
    assert resumed("a.h5").state == "finished"
    assert content("a.h5") == content("whole.h5")


def test_an_emulated_chip_that_answers_otherwise_is_not_gone_on_with(entries: Entries, rewritten: Rewrite) -> None:
    perform("free_running", "whole.h5", CHIP.format("phases"), points=2)
    written = [entry for entry in entries("whole.h5") if not isinstance(entry, Remembered)]
    asked = next(k for k, entry in enumerate(written) if isinstance(entry, Asked) and entry.verb == "spectrum")
    answer = written[asked + 1]
    assert isinstance(answer, Answered)
    answer.value.density[7] *= 2
    with pytest.raises(ResumeError, match=r"chip is emulated and answers question .* not as it did: go on with the"):
        resumed(rewritten(written[: asked + 2], "odd.h5"))
    assert RunFile("odd.h5").state == "failed"


# On instruments: the last settings again, gently


def levels() -> list[float]:
    return [float(level) for level in Path("levels.txt").read_text().split()]


def test_instruments_get_their_last_settings_again_ramped_from_what_is_read_back(
    entries: Entries, broken_off: BreakOff
) -> None:
    perform("tidy", "whole.h5", SOURCE, steps=4)
    asked = [k for k, entry in enumerate(entries("whole.h5")) if isinstance(entry, Asked)]
    third = next(k for k in asked if entries("whole.h5")[k][3] == {"current": 3e-3})
    run = broken_off("whole.h5", "a.h5", third)
    Path("levels.txt").write_text("0.0005\n")  # somebody has been at the knob
    assert resumed(run).state == "finished"
    assert same(RunFile("a.h5"), RunFile("whole.h5"))
    put_back = [event.words for event in RunFile("a.h5").events if event.what == "put back"]
    assert put_back == ["source.set_compliance(voltage=1.5)", "source.set_current(current=0.002)"]
    np.testing.assert_allclose(levels()[:4], [0.5e-3, 1.25e-3, 2e-3, 3e-3], rtol=1e-12)
    assert np.max(np.abs(np.diff(levels()))) <= 1e-3 * (1 + 1e-9)
    assert levels()[-1] == 0.0


def test_what_a_clean_up_asked_is_not_done_again_on_the_way(entries: Entries) -> None:
    perform("tidy", "whole.h5", SOURCE, steps=4)
    result = perform("tidy", "a.h5", SOURCE, steps=4, stop=True)
    assert (result.state, result.interrupt, result.steps) == ("stopped", signal.SIGINT, 2)
    cleaning = [e for e in entries("a.h5") if isinstance(e, Asked) and e.unwinding]
    assert [e.verb for e in cleaning] == ["set_current", "set_compliance"]
    again = resumed("a.h5")
    assert (again.state, again.steps) == ("finished", 4)
    assert same(RunFile("a.h5"), RunFile("whole.h5"))


def test_a_question_that_ended_a_run_by_its_error_is_asked_again(entries: Entries, rewritten: Rewrite) -> None:
    perform("tidy", "whole.h5", SOURCE, steps=3)
    written = entries("whole.h5")
    second = next(k for k, e in enumerate(written) if isinstance(e, Asked) and e.arguments == {"current": 2e-3})
    number = second and written[second][0]
    failed = [*written[: second + 1], Raised(number, "TimeoutError", "no answer"), Ended("failed", "TimeoutError")]
    assert resumed(rewritten(failed, "a.h5")).state == "finished"
    assert same(RunFile("a.h5"), RunFile("whole.h5"))


def test_a_run_that_was_broken_off_after_its_last_record_leaves_the_bench_safe_without_touching_it_first(
    entries: Entries, broken_off: BreakOff
) -> None:
    perform("ramp", "whole.h5", SOURCE, steps=2)
    last = max(k for k, entry in enumerate(entries("whole.h5")) if isinstance(entry, Yielded))
    Path("levels.txt").write_text("0.003\n")  # nobody has left it safe
    assert resumed(broken_off("whole.h5", "a.h5", last + 1)).state == "finished"
    np.testing.assert_allclose(levels(), [3e-3, 2e-3, 1e-3, 0.0, 0.0], atol=1e-12)


# Pulses: never twice


def pulses() -> int:
    return len(Path("pulses.txt").read_text().split())


@pytest.fixture
def a_lost_answer(entries: Entries, broken_off: BreakOff) -> RunFile:
    """A train of four pulses, broken off when the third had been sent, and fired, and not yet answered."""
    perform("pulse_train", "whole.h5", PULSER.format(0, 4))
    third = [k for k, entry in enumerate(entries("whole.h5")) if isinstance(entry, Asked)][2]
    Path("pulses.txt").write_text("0.1\n0.2\n0.3\n")
    return broken_off("whole.h5", "a.h5", third + 1)


def train() -> Any:
    return importlib.import_module("annex_lab").pulse_train


def test_wherever_a_train_is_broken_off_each_pulse_is_fired_once(entries: Entries, broken_off: BreakOff) -> None:
    perform("pulse_train", "whole.h5", PULSER.format(0, 4))
    written = entries("whole.h5")
    for count, entry in enumerate(written):
        if count == 0 or isinstance(entry, Answered | Left | Ended):  # behind a question the answer would be lost
            continue
        fired = sum(isinstance(e, Asked) for e in written[:count])
        Path("pulses.txt").write_text("".join(f"0.{k + 1}\n" for k in range(fired)))
        assert resumed(broken_off("whole.h5", f"{count}.h5", count)).state == "finished"
        assert pulses() == 4
        assert content(f"{count}.h5") == content("whole.h5")


def test_a_pulse_in_doubt_is_never_fired_unless_somebody_decides(a_lost_answer: RunFile) -> None:
    with pytest.raises(
        ResumeError, match=r"question 3, generator.fire\(.*was sent, and its answer was lost: it is not"
    ):
        resumed(a_lost_answer, ask=lambda question: pytest.fail("nobody wants to be asked"))
    assert pulses() == 3
    assert RunFile("a.h5").state == "interrupted"


@pytest.mark.parametrize(("answer", "fired"), [(True, 4), (False, 5)])
def test_the_user_may_decide_about_a_pulse_in_doubt(
    a_lost_answer: RunFile, monkeypatch: pytest.MonkeyPatch, answer: bool, fired: int
) -> None:
    monkeypatch.setattr(train(), "if_lost", "ask", raising=False)
    Path("desk.toml").write_text(PULSER.format(0, 5))
    said: list[str] = []

    def ask(question: str) -> bool:
        said.append(question)
        return answer

    assert resumed(a_lost_answer, ask=ask, bench=bench.load("desk.toml")).state == "finished"
    assert len(said) == 1
    assert "question 3" in said[0]
    assert "Did it happen?" in said[0]
    assert pulses() == fired
    assert content("a.h5") == content("whole.h5")


def test_a_user_who_does_not_know_stops_the_run(a_lost_answer: RunFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train(), "if_lost", "ask", raising=False)
    with pytest.raises(ResumeError, match="look at the device and answer at a terminal"):
        resumed(a_lost_answer)
    assert pulses() == 3


def test_a_protocol_may_read_the_device_again_instead(a_lost_answer: RunFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train(), "if_lost", "reread", raising=False)
    assert resumed(a_lost_answer).state == "finished"
    assert pulses() == 4
    assert list(RunFile("a.h5").steps["known"]) == [True, True, False, True]


def test_only_the_question_whose_answer_was_lost_is_answered_for_its_part(
    a_lost_answer: RunFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = train()

    def other(generator: PulseGenerator, *, steps: int = 4) -> Iterator[Any]:
        yield from before(generator, steps=2)
        generator.fire(Pulses(0.1 * (steps + 5), 1e-6))

    monkeypatch.setattr(importlib.import_module("annex_lab"), "pulse_train", other)
    monkeypatch.setattr(other, "if_lost", "ask", raising=False)
    with pytest.raises(ResumeError, match=r"(?s)recorded: generator.fire\(.*amplitude=0.3.*now: .*amplitude=0.9"):
        resumed(a_lost_answer, ask=lambda question: True)
    assert pulses() == 3


def test_a_doubt_outlives_an_attempt_that_came_to_nothing(a_lost_answer: RunFile) -> None:
    with Journal.resume(Path("a.journal")) as journal:
        journal.write(Resumed({}))
        journal.write(Ended("failed", "BenchError: the cable was out"))
    with pytest.raises(ResumeError, match="its answer was lost"):
        resumed("a.h5")


def test_a_pulse_whose_error_ended_the_run_is_in_doubt_too(entries: Entries) -> None:
    with pytest.raises(TimeoutError):
        perform("pulse_train", "a.h5", PULSER.format(2, 9))
    assert pulses() == 3
    with pytest.raises(ResumeError, match="question 3"):
        resumed("a.h5")
    assert pulses() == 3


def test_pulses_fired_before_count_in_what_a_run_may_fire(broken_off: BreakOff, entries: Entries) -> None:
    perform("pulse_train", "whole.h5", PULSER.format(0, 4))
    third = [k for k, entry in enumerate(entries("whole.h5")) if isinstance(entry, Asked)][2]
    Path("pulses.txt").write_text("0.1\n0.2\n")
    Path("desk.toml").write_text(PULSER.format(0, 3))
    with pytest.raises(LimitError, match="this run would have 4 pulses, limit 3 pulses"):
        resumed(broken_off("whole.h5", "a.h5", third), bench=bench.load("desk.toml"))
    assert pulses() == 3


def test_a_policy_is_declared_beside_the_protocol() -> None:
    @if_lost("ask")
    def protocol() -> None:
        pass

    assert vars(protocol)["if_lost"] == "ask"


# What can't go on says so, and touches nothing


def test_a_run_that_has_finished_is_left_alone() -> None:
    perform("ramp", "a.h5", SOURCE)
    before = Path("a.h5").read_bytes(), levels()
    with pytest.raises(ResumeError, match="has finished: there is nothing to resume"):
        resumed("a.h5")
    assert (Path("a.h5").read_bytes(), levels()) == before


def test_a_run_that_goes_on_is_left_alone(broken_off: BreakOff) -> None:
    perform("ramp", "whole.h5", SOURCE)
    broken_off("whole.h5", "a.h5", 5)
    goes_on = pytest.raises(ResumeError, match="is being written by a run that goes on")
    with Journal.resume(Path("a.journal")), goes_on:
        resumed("a.h5")


def test_a_bench_file_that_has_changed_is_not_gone_on_with_unasked(broken_off: BreakOff) -> None:
    perform("ramp", "whole.h5", SOURCE)
    before = levels()
    Path("desk.toml").write_text(SOURCE.replace("8 mA", "2.5 mA"))
    with pytest.raises(ResumeError, match=r"desk.toml has changed since .* add --bench desk.toml"):
        resumed(broken_off("whole.h5", "a.h5", 8))
    assert levels() == before
    with pytest.raises(LimitError, match=r"asked for 3 mA, limit 2.5 mA \(desk.toml:5\)"):
        resumed("a.h5", bench=bench.load("desk.toml"))


def test_another_instrument_in_the_place_of_one_is_not_gone_on_with(entries: Entries, rewritten: Rewrite) -> None:
    perform("ramp", "whole.h5", SOURCE)
    written = [
        Identified({"source": "annex,lasting,2,0"}) if isinstance(e, Identified) else e for e in entries("whole.h5")
    ]
    with pytest.raises(ResumeError, match=r"source is annex,lasting,1,0 now and was annex,lasting,2,0: connect that"):
        resumed(rewritten(written[:8], "a.h5"))


def test_a_protocol_that_has_changed_is_not_gone_on_with_and_the_run_stays_as_it_was(
    entries: Entries, rewritten: Rewrite
) -> None:
    perform("ramp", "whole.h5", SOURCE)
    written = [e._replace(arguments={"current": 1.1e-3}) if isinstance(e, Asked) and e.arguments else e
               for e in entries("whole.h5")]  # fmt: skip
    before = levels()
    changed = r"(?s)the protocol is not what it was: .*recorded: source.set_current\(current=0.0011"
    run = rewritten(written[:9], "a.h5")
    journal = Path("a.journal").read_bytes()
    with pytest.raises(ResumeError, match=changed):
        resumed(run)
    assert levels() == before
    assert Path("a.journal").read_bytes() == journal


def test_a_damaged_journal_is_gone_on_with_only_if_told_to(broken_off: BreakOff) -> None:
    perform("tidy", "whole.h5", SOURCE, steps=4)
    broken_off("whole.h5", "a.h5", 16)
    journal = Path("a.journal")
    data = bytearray(journal.read_bytes())
    data[len(data) * 3 // 4] ^= 4
    journal.write_bytes(data)
    with pytest.raises(ResumeError, match=r"damaged at entry \d+, byte \d+.*--cut goes on from before it"):
        resumed("a.h5")
    assert journal.read_bytes() == data
    assert resumed("a.h5", cut=True).state == "finished"
    assert same(RunFile("a.h5"), RunFile("whole.h5"))
    assert Path("a.journal.damaged").read_bytes() == data


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_processes_lose_nothing() -> None:
    script = Path(__file__).parents[1] / "kills.py"
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(script), "6", "--seed", "3"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 faults in" in done.stdout
