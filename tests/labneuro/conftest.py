import os
from collections.abc import Callable
from pathlib import Path

import pytest

from labneuro.datasets.vowels import HILLENBRAND_FILE, Vowels, load
from labneuro.entries import Entry
from labneuro.journal import MAGIC, Journal, Reader
from labneuro.store import RunFile, journal_of

ANNEX = Path(__file__).parents[1] / "annex"


@pytest.fixture
def annex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, on a machine where another laboratory's package is installed."""
    monkeypatch.syspath_prepend(ANNEX)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def entries() -> Callable[[str], list[Entry]]:
    """A function that returns all entries of the journal of a run."""

    def read(path: str) -> list[Entry]:
        with RunFile(path).reader() as reader:
            return [record.entry for record in reader]

    return read


@pytest.fixture
def rewritten() -> Callable[[list[Entry], str], RunFile]:
    """A function that makes a run whose journal has certain entries."""

    def write(entries: list[Entry], out: str) -> RunFile:
        with Journal(journal_of(Path(out))) as journal:
            for entry in entries:
                journal.write(entry)
        return RunFile(out)

    return write


@pytest.fixture
def broken_off() -> Callable[..., RunFile]:
    """A function that makes a run like another one whose process was killed after `count` entries.

    torn: bytes that the next entry had got by then.
    """

    def cut(path: str, out: str, count: int, torn: int = 0) -> RunFile:
        journal = journal_of(Path(out))
        RunFile(path).extract_journal(journal)
        with Reader(journal) as reader:
            ends = [len(MAGIC), *(record.end for record in reader)]
        with journal.open("r+b") as file:
            file.truncate(ends[count] + torn)
        return RunFile(out)

    return cut


@pytest.fixture(scope="session")
def hillenbrand() -> Vowels:
    """The data of the vowel experiment, which do not ship; they are never downloaded for a test."""
    folder = os.environ.get("LABNEURO_DATA")
    if not folder or not (Path(folder) / HILLENBRAND_FILE.path).is_file():
        pytest.skip(f"LABNEURO_DATA names no folder with {HILLENBRAND_FILE.path}")
    return load("hillenbrand")


@pytest.fixture(scope="session")
def peterson_barney() -> Vowels:
    return load("peterson-barney")
