"""Replaying a run: its protocol runs again, and its journal answers; no answer is ever made up.

Neither the drivers of the instruments nor VISA are needed, only the protocol. A laboratory's data become tests of its
code by one line in its own test suite:

    test_sample_7_still_learns = replayed("data/sample7.h5")
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labneuro.attempts import in_words
from labneuro.crossing import Crossing, RecordedError, yielded_at
from labneuro.experiment import Experiment, clean_up
from labneuro.records import Records
from labneuro.script import Deviation, RecordingEnds, Script, head_of, shown
from labneuro.store import RunFile


@dataclass(frozen=True)
class Replay:
    """How a replay went.

    questions, records: how many were identical. difference: the first that was not, with both sides and where in the
    protocol it arose; "" if there was none.
    """

    questions: int
    records: int
    difference: str


def replay(run: RunFile) -> Replay:
    """Let the protocol of `run` run again with the journal answering, up to the first difference or the end.

    Raises RegistryError if the protocol isn't installed, StoreError if the journal can't be read.
    """
    head = head_of(run.reader)
    experiment = Experiment.recorded(head)
    script = Script(run.reader)
    records = experiment.begin(Crossing(_nothing, script=script), dict(head["parts"]))
    try:
        difference = _difference(records, script, run, experiment.step_type())
    finally:
        with suppress(Exception, Deviation, RecordingEnds):  # what its clean-up asks has no answer
            clean_up(records)
    return Replay(script.questions, script.records, difference)


def replayed(path: Path | str) -> Callable[[], None]:
    """Return a test that fails if the code no longer asks and yields what is recorded at `path`."""

    def test() -> None:
        difference = replay(RunFile(path)).difference
        if difference:
            raise AssertionError(f"{path} is not what the protocol does now\n{difference}")

    return test


def _nothing(*_: object, **__: object) -> int:
    """Write nothing."""
    return 0


def _difference(records: Iterator[Any], script: Script, run: RunFile, step_type: type | None) -> str:
    kinds = Records(step_type)
    try:
        for record in records:
            for entry in kinds.taken_apart(record):
                script.confirm(entry, lambda: yielded_at(records))
            if run.state == "stopped" and script.unwinding:
                clean_up(records)
                break
    except Deviation as deviation:
        return str(deviation)
    except RecordingEnds as end:
        return str(end) if run.state == "finished" else ""
    except Exception as error:  # noqa: BLE001 - the protocol's, which may be the recorded one
        words = str(error).partition(".")[2] if isinstance(error, RecordedError) else in_words(error)
        if run.state == "failed" and run.note.startswith(" ".join(words.split())):
            return ""
        return f"the protocol has failed\n  recorded: {run.state} {run.note}\n  now:      {in_words(error)}"
    if script.next is not None:
        return f"the protocol has come to its end\n  recorded: {shown(script.next)}\n  now:      nothing more"
    return ""
