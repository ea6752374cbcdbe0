"""Two runs are compared bit by bit, and what differs is shown with both sides."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labneuro.cli import main
from labneuro.diff import differences
from labneuro.recording import RunWriter
from labneuro.store import RunFile
from labneuro.units import Currents, Unit

HEAD: dict[str, Any] = {
    "protocol": "scan", "doc": "", "parameters": {"rate": 1e-3, "speakers": ("women", "men"), "seed": None},
    "units": {"rate": "A"}, "bench": 'name = "desk"\n[parts.source]\n', "bench_name": "desk",
    "provenance": {"labneuro_version": "1", "commit": "abc", "dirty": False, "host": "lab"},
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step."""

    train: float
    word: str
    currents: Currents
    picture: NDArray[np.float64]


@dataclass(frozen=True)
class Anything:
    """A step whose field takes what it is given."""

    value: Any


@dataclass(frozen=True)
class Volts:
    """The same in another unit."""

    value: Annotated[Any, Unit("V")]


@dataclass(frozen=True)
class Remark:
    """What is no step."""

    text: str


def step(k: int, **changes: Any) -> Step:
    values = {"train": 0.1 * k, "word": f"w{k}", "currents": np.full(2, 1e-3 * k), "picture": np.full((5, 4), 1.0 * k)}
    return Step(**{**values, **changes})


Record = Callable[..., RunFile]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    def recorded(
        *records: object, state: str = "finished", parts: dict[str, str] | None = None, **head: Any
    ) -> RunFile:
        name = f"{len(list(tmp_path.iterdir()))}.h5"
        with RunWriter(tmp_path / name, {**HEAD, **head}) as run:
            run.identify(parts or {"source": "mock, 1"})
            for item in records:
                run.append(item)
            run.finish(state)  # type: ignore[arg-type]
        return RunFile(run.path)

    return recorded


def different(first: RunFile, second: RunFile) -> dict[str, dict[str, str]]:
    return {title: dict(lines) for title, lines in differences(first, second).items() if lines}


def test_a_run_and_its_like_are_identical(record: Record) -> None:
    steps = [step(k, train=float("nan")) for k in range(3)]
    assert different(record(*steps, Remark("good")), record(*steps, Remark("good"))) == {}


def test_parameters_that_differ_are_shown_with_both_values(record: Record) -> None:
    parameters = {"rate": 2e-3, "speakers": ("women", "girls"), "steps": 3}
    assert different(record(), record(parameters=parameters, protocol="ramp")) == {
        "Parameters": {
            "protocol": "scan → ramp",
            "rate": "1 mA → 2 mA",
            "speakers": "women, men → women, girls",
            "seed": "None → none",
            "steps": "none → 3",
        }
    }


def test_benches_are_compared_line_by_line_and_part_by_part(record: Record) -> None:
    bench = 'name = "desk"\n[parts.source]\ndriver = "mock"\n'
    found = differences(record(), record(bench=bench, parts={"source": "mock, 2"}))
    assert [line for _, line in found["Bench"]] == [
        "@@ -1,2 +1,3 @@", ' name = "desk"', " [parts.source]", '+driver = "mock"',
    ]  # fmt: skip
    assert found["Parts"] == [("source", "mock, 1 → mock, 2")]


def test_code_is_versions_and_commit(record: Record) -> None:
    provenance = {"labneuro_version": "2", "commit": "def", "dirty": True, "host": "home"}
    assert different(record(), record(provenance=provenance)) == {
        "Code": {"labneuro_version": "1 → 2", "commit": "abc → def", "dirty": "no → yes"}
    }


def test_the_first_step_and_field_that_differ_are_named(record: Record) -> None:
    steps = [step(k) for k in range(6)]
    changed = [*steps[:2], step(2, word="other"), step(3, train=0.5), *steps[4:]]
    assert different(record(*steps), record(*changed)) == {"Results": {"first difference": "step 3: word w2 → other"}}


def test_the_last_steps_stand_side_by_side(record: Record) -> None:
    assert different(record(step(1)), record(step(1, train=0.25, currents=np.array([1e-3, 2e-3])))) == {
        "Results": {"first difference": "step 1: train 0.1 → 0.25"},
        "Last step": {"train": "0.1 → 0.25", "currents": "1 mA, 1 mA → 1 mA, 2 mA"},
    }


def test_of_a_large_array_the_first_value_that_differs_is_shown(record: Record) -> None:
    picture = np.ones((5, 4))
    picture[2, 3] = picture[4, 0] = 7
    found = different(record(step(1)), record(step(1, picture=picture)))
    assert found["Results"]["first difference"] == "step 1: picture [2, 3] 1 → 7 (2 of 20 values differ)"


def test_a_run_that_is_the_beginning_of_another_differs_in_its_length(record: Record) -> None:
    steps = [step(1)] * 3
    assert different(record(*steps), record(*steps[:2], state="stopped")) == {
        "Results": {"state": "finished → stopped", "steps": "3 → 2", "": "the first 2 are identical"}
    }


def test_other_records_are_results_as_well(record: Record) -> None:
    assert different(record(step(1), Remark("good")), record(step(1), Remark("bad"))) == {
        "Results": {"first difference": "remark 1: text good → bad"}
    }
    assert different(record(step(1), Remark("good")), record(step(1))) == {"Results": {"remark": "1 → none"}}


NAN = np.frombuffer(bytes.fromhex("010000000000f87f"), np.float64)[0]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (0.0, -0.0, "0 → -0"),
        (np.nan, NAN, "float64 000000000000f87f → float64 010000000000f87f"),
        (0.1, 0.1 + 2**-56, "0.1 → 0.10000000000000002"),
        (1, 1.0, "1 → 1.0"),
        (np.float32(0.5), np.float64(0.5), "float32 0000003f → float64 000000000000e03f"),
        (np.arange(2), np.arange(3), "0, 1 → 0, 1, 2"),
        (np.arange(20), np.arange(20.0), "20 int64 → 20 float64"),
        (np.zeros(0), np.zeros(1), " → 0"),
        ("a", "b", "a → b"),
        (1j, 2j, "1j → 2j"),
    ],
)
def test_values_differ_in_their_bits_and_the_words_show_it(
    record: Record, one: object, other: object, words: str
) -> None:
    runs = record(Anything(one)), record(Anything(other))
    assert different(*runs) == {
        "Results": {"first difference": f"step 1: value {words}"},
        "Last step": {"value": words},
    }
    assert different(runs[0], runs[0]) == {}


def test_units_and_fields_belong_to_the_results(record: Record) -> None:
    assert different(record(Anything(1.0)), record(Volts(1.0)))["Last step"] == {"value": "1 → 1 V"}
    assert different(record(Anything(1.0)), record(Remark("good")))["Results"] == {
        "steps": "only one has the field value"
    }


def test_the_status_says_whether_the_runs_are_the_same(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    first = record(step(1))
    newer = record(step(1), provenance={"labneuro_version": "2", "commit": "abc", "dirty": False})
    other = record(step(2, word="\x1b[2J"), bench="\x1b[2J")
    assert main(["diff", str(first.path), str(newer.path)]) == 0
    assert capsys.readouterr().out.count("identical") == 5
    assert main(["diff", str(first.path), str(other.path)]) == 1
    assert "\x1b" not in capsys.readouterr().out
    assert main(["diff", str(first.path), "gone.h5"]) == 2
    assert main(["diff", str(first.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2
