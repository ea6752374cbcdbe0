"""A journal keeps every entry that was written, whatever happens to its process, its disk and its bytes."""

import os
import re
import shutil
import subprocess
import sys
import threading
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest

from labneuro import filelock
from labneuro import journal as module
from labneuro.entries import (
    Answered,
    Asked,
    Begun,
    Declared,
    Ended,
    Entry,
    Identified,
    Left,
    Noted,
    Raised,
    Remembered,
    Resumed,
    Yielded,
)
from labneuro.filelock import is_locked, lock
from labneuro.journal import MAGIC, DamageError, Journal, JournalError, Reader, Record, StoreError
from labneuro.signals import Pulses, Spectrum, Tones
from labneuro.values import UnrecordableError, pack

EVERYTHING: list[Entry] = [
    Begun({"protocol": "lesson", "parameters": {"rate": 1e-3, "band": (1.0, 2.0), "word": "é", "seed": 2**70}}),
    Identified({"chip": "emulated, 4 oscillators", "source": "mock"}),
    Declared("steps", "LessonStep", [["current", "A", "float"], ["states", None, ""]]),
    Asked(1, "source", "set_current", {"current": -0.0}, False),
    Answered(1, None),
    Asked(2, "source", "fire", {"pulses": Pulses(0.4, 1e-6, 3)}, False),
    Raised(2, "labneuro.LimitError", "source asked for 0.4 V, limit 0.3 V"),
    Asked(3, "chip", "spectra", {"tones": Tones.at([[1e8, 2e8]], 1e-6)}, False),
    Answered(3, Spectrum(np.linspace(1e8, 2e8, 3), np.full((3, 2), np.nan, order="F"), 1e5, 10)),
    Yielded("steps", {"current": 1e-3, "states": np.array([[0, 1]], ">i2")}),
    Remembered(3, 1.5, {"chip": {"asked": np.int64(7), "phase": 1 + 2j, b"raw": [True, np.str_("a\0")]}}),
    Noted("paused", "all outputs stay as they are"),
    Resumed({"provenance": {"host": "lab"}}),
    Left("source", "0 A, output off", True),
    Ended("finished", ""),
]
FEW = [Begun({}), Asked(1, "chip", "run", {"x": np.arange(3.0)}, False), Answered(1, 0.5), Ended("stopped", "Ctrl-C")]
DEFLATED: list[Entry] = [
    Asked(4, "array", "pulse", {"counts": np.arange(2000).reshape(40, 50) // 900}, False),
    Answered(4, np.asfortranarray(np.eye(100, dtype=np.bool_))),
    Remembered(4, 2.5, {"array": [{"states": np.tile([0.1, -0.0, np.nan], 1000)}]}),
]
"""Entries whose arrays are large and shrink."""

DATA = Path(__file__).parent / "data"
FORMAT_1, FORMAT_2 = DATA / "format-1.journal", DATA / "format-2.journal"


def written(path: Path, entries: list[Entry]) -> bytes:
    with Journal(path) as journal:
        for entry in entries:
            journal.write(entry)
    return path.read_bytes()


def read(data: bytes) -> tuple[list[Record], JournalError | None]:
    """Return the records in `data`, and the error that ended them if there was one."""
    records: list[Record] = []
    try:
        for record in Reader(BytesIO(data), "a.journal"):
            records.append(record)
    except JournalError as error:
        return records, error
    return records, None


def contents(entries: list[Record] | list[Entry]) -> list[bytes]:
    """Return entries such that equal ones are bitwise equal."""
    whole = [entry.entry if isinstance(entry, Record) else entry for entry in entries]
    return [pack([type(entry).__name__, *entry]) for entry in whole]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("few") / "few.journal", FEW)


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    times = []
    with Journal(tmp_path / "a.journal") as journal:
        for entry in EVERYTHING:
            times.append(journal.write(entry))
            assert (tmp_path / "a.journal").stat().st_size == journal.size
    with Reader(tmp_path / "a.journal") as reader:
        records = list(reader)
    assert contents(records) == contents(EVERYTHING)
    assert [record.time for record in records] == times
    assert (reader.count, reader.end) == (len(EVERYTHING), journal.size)


@pytest.mark.parametrize(("golden", "entries"), [(FORMAT_1, EVERYTHING), (FORMAT_2, [*EVERYTHING, *DEFLATED])])
def test_a_journal_of_each_format_is_read_for_ever(golden: Path, entries: list[Entry]) -> None:
    records, error = read(golden.read_bytes())
    assert error is None
    assert contents(records) == contents(entries)
    assert {record.time for record in records} == {1234567890.25}


def test_what_is_written_is_format_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 1234567890.25))
    golden = FORMAT_2.read_bytes()
    end = read(golden)[0][len(EVERYTHING) - 1].end  # what zlib makes of the others is its own affair
    assert written(tmp_path / "a.journal", EVERYTHING) == golden[:end]
    deflated = written(tmp_path / "b.journal", DEFLATED)
    assert len(deflated) < 10_000
    assert contents(read(deflated)[0]) == contents(DEFLATED)


def test_a_journal_of_format_1_is_gone_on_with_in_format_1(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    shutil.copyfile(FORMAT_1, path)
    with Journal.resume(path) as journal:
        journal.write(*DEFLATED)
    data = path.read_bytes()
    assert data.startswith(FORMAT_1.read_bytes())
    assert all(pack(entry)[-100:] in data for entry in (DEFLATED[0][3]["counts"], DEFLATED[1][1]))
    assert contents(read(data)[0]) == contents([*EVERYTHING, *DEFLATED])


@pytest.mark.parametrize("golden", [FORMAT_1, FORMAT_2])
def test_the_reader_in_the_documentation_reads_a_journal(golden: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert code.count("\n") <= 25
    said = subprocess.check_output([sys.executable, "-c", code, str(golden)], text=True).splitlines()  # noqa: S603
    written = EVERYTHING if golden == FORMAT_1 else [*EVERYTHING, *DEFLATED]
    assert [line.split()[1] for line in said] == [type(entry).__name__.lower() for entry in written]
    assert said[3].endswith("[1, 'source', 'set_current', {'current': -0.0}, False]")


def test_what_cannot_be_recorded_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with Journal(path) as journal:
        journal.write(FEW[0])
        with pytest.raises(UnrecordableError):
            journal.write(Answered(1, [1.0, object()]))
        journal.write(FEW[1])
    assert contents(read(path.read_bytes())[0]) == contents(FEW[:2])


# What a crash leaves


def test_a_journal_cut_anywhere_has_every_entry_before(few: bytes) -> None:
    whole, _ = read(few)
    for length in range(len(few)):
        records, error = read(few[:length])
        assert error is None
        assert contents(records) == contents([record for record in whole if record.end <= length])


@pytest.mark.parametrize("zeros", [1, 7, 8, 9, 12, 40, 4096, 2**21 + 1])
def test_zeros_that_a_power_cut_left_are_no_entry(few: bytes, zeros: int) -> None:
    records, error = read(few + bytes(zeros))
    assert (contents(records), error) == (contents(FEW), None)
    assert isinstance(read(few + bytes(zeros) + few[-60:])[1], DamageError)


@pytest.mark.parametrize("missing", [4, 5, 12, 30])
def test_an_entry_whose_end_is_zeros_is_torn(few: bytes, missing: int) -> None:
    for behind in (0, 4096):
        records, error = read(few[:-missing] + bytes(missing + behind))
        assert (contents(records), error) == (contents(FEW[:-1]), None)


def test_a_resumed_journal_goes_on_behind_its_last_entry(tmp_path: Path, few: bytes) -> None:
    path, more = tmp_path / "a.journal", [Resumed({}), Noted("a", "b")]
    end = read(few)[0][2].end
    for torn in (b"", few[end:-1], few[end : end + 3], bytes(100), few[end:-9] + bytes(100)):
        path.write_bytes(few[:end] + torn)
        with Journal.resume(path) as journal:
            assert path.read_bytes() == few[:end]
            for entry in more:
                journal.write(entry)
        assert contents(read(path.read_bytes())[0]) == contents([*FEW[:3], *more])


def test_a_journal_that_never_began_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    for content in (b"", MAGIC[:5], MAGIC, MAGIC + bytes(20)):
        path.write_bytes(content)
        with pytest.raises(JournalError, match=r"a\.journal has no complete entry.*remove it"):
            Journal.resume(path)
        assert path.read_bytes() == content
    with pytest.raises(JournalError, match="No such file"):
        Journal.resume(tmp_path / "b.journal")
    with pytest.raises(JournalError, match="Is a directory"):
        Journal.resume(tmp_path)


# Bytes that change


def check_damaged(few: bytes, damaged: bytes, at: int) -> None:
    """Check that damage is found: what comes back are the entries before byte `at`, and the error says where."""
    whole, _ = read(few)
    records, error = read(damaged)
    intact = [record for record in whole if record.end <= at]
    assert contents(records) == contents(intact)
    assert error is not None
    if at < len(MAGIC):
        assert "journal" in str(error)
        return
    assert isinstance(error, DamageError)
    where = intact[-1].end if intact else len(MAGIC)
    assert (error.entry, error.offset) == (len(intact) + 1, where)
    assert f"a.journal is damaged at entry {error.entry}, byte {where}" in str(error)


def test_every_flipped_bit_is_found_where_it_is(few: bytes) -> None:
    for bit in range(8 * len(few)):
        damaged = bytearray(few)
        damaged[bit // 8] ^= 1 << bit % 8
        check_damaged(few, bytes(damaged), bit // 8)


def test_10_000_random_changes_are_found_where_they_begin(few: bytes) -> None:
    random = Random(0)  # noqa: S311 - bytes, not secrets
    for _ in range(10_000):
        damaged = bytearray(few)
        for _ in range(random.choice([1, 1, 2, 5])):
            place = random.randrange(len(few))
            length = random.choice([1, 1, 4, 30])
            damaged[place : place + length] = random.randbytes(len(damaged[place : place + length]))
        first = next((k for k, (a, b) in enumerate(zip(few, damaged, strict=True)) if a != b), None)
        if first is not None and any(damaged[first:]):
            check_damaged(few, bytes(damaged), first)


def test_an_entry_that_was_lost_doubled_or_moved_is_found(few: bytes) -> None:
    ends = [len(MAGIC), *(record.end for record in read(few)[0])]
    parts = [few[a:b] for a, b in pairwise(ends)]
    for k in range(len(parts) - 1):
        without = parts[:k] + parts[k + 1 :]
        moved = [*parts[:k], parts[k + 1], parts[k], *parts[k + 2 :]]
        for changed in (without, moved):
            check_damaged(few, MAGIC + b"".join(changed), ends[k])
    for k in range(len(parts)):
        check_damaged(few, MAGIC + b"".join([*parts[: k + 1], *parts[k:]]), ends[k + 1])
    other = parts[0].replace(b"begun", b"ended")
    check_damaged(few, MAGIC + other + b"".join(parts[1:]), len(MAGIC))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (MAGIC.replace(b"2", b"3"), "another format: update labneuro"),
        (b"hello", "no journal"),
        (bytes(40), "no journal"),
    ],
)
def test_a_file_of_another_kind_says_so(content: bytes, words: str) -> None:
    records, error = read(content)
    assert records == []
    assert words in str(error)


def test_a_damaged_journal_goes_on_only_if_told_to(tmp_path: Path, few: bytes) -> None:
    path = tmp_path / "a.journal"
    whole, _ = read(few)
    damaged = bytearray(few)
    damaged[whole[1].end + 20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamageError, match=f"entry 3, byte {whole[1].end}.*all before it is intact"):
        Journal.resume(path)
    assert path.read_bytes() == damaged
    with Journal.resume(path, cut=True) as journal:
        journal.write(Noted("a", "b"))
    assert (tmp_path / "a.journal.damaged").read_bytes() == damaged
    assert contents(read(path.read_bytes())[0]) == contents([*FEW[:2], Noted("a", "b")])


def forged(*payloads: bytes) -> bytes:
    """Return a journal whose checksums are right: they keep no secret."""
    data, chain = MAGIC, crc32(MAGIC)
    for payload in payloads:
        length = len(payload).to_bytes(4, "little")
        head = length + crc32(length, chain).to_bytes(4, "little")
        chain = crc32(payload, crc32(head, chain))
        data += head + payload + chain.to_bytes(4, "little")
    return data


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\xc1", pack(None), pack([]), pack("begun"), pack({"begun": 1}), pack(["begun"]), pack(["begun", 0.0]),
        pack(["begun", 0.0, {}, 1]), pack(["begun", 0.0, []]), pack(["begun", "now", {}]), pack([["begun"], 0.0, {}]),
        pack(["Record", 0.0, {}]), pack(["\x1b[2J", 0.0]), pack(["answered", 0.0, "1", None]),
        pack(["yielded", 0.0, 3, {}]), pack(["yielded", 0.0, "steps", [1]]), pack(["left", 0.0, "a", "b", 1]),
        pack(["asked", 0.0, 1, "chip", "run", None, False]), pack(["remembered", 0.0, 1, "0", {}]),
        pack(["begun", 0.0, {}])[:-1],
    ],
)  # fmt: skip
def test_an_entry_that_is_none_is_damage_however_right_its_checksum(payload: bytes) -> None:
    good = pack(["noted", 0.0, "a", "b"])
    records, error = read(forged(good, payload, good))
    assert contents(records) == contents([Noted("a", "b")])
    assert isinstance(error, DamageError)
    assert error.entry == 2
    assert str(error).isprintable()


def test_an_entry_that_claims_to_be_long_takes_no_memory() -> None:
    length = (2**32 - 1).to_bytes(4, "little")
    data = MAGIC + length + crc32(length, crc32(MAGIC)).to_bytes(4, "little") + b"\xc0" * 100

    class Counting(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size <= 2**20
            return super().read(size)

    assert list(Reader(Counting(data))) == []


# Who writes, and who looks


def test_a_reader_sees_what_is_written_since(tmp_path: Path, few: bytes) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(b"")
    seen: list[Record] = []
    with Reader(path) as reader, path.open("ab") as file:
        for start in range(0, len(few), 7):
            file.write(few[start : start + 7])
            file.flush()
            seen.extend(reader)
            assert reader.end <= start + 7
    assert contents(seen) == contents(FEW)


def test_a_reader_forgets_a_torn_entry_that_was_cut_off(tmp_path: Path, few: bytes) -> None:
    path = tmp_path / "a.journal"
    whole, _ = read(few)
    path.write_bytes(few[:-3])
    with Reader(path) as reader:
        assert contents(list(reader)) == contents(FEW[:-1])
        with Journal.resume(path) as journal:
            journal.write(Noted("another", "entry, and a longer one"))
            assert contents(list(reader)) == contents([Noted("another", "entry, and a longer one")])
    assert whole[-2].end < reader.end


def test_a_reader_goes_on_where_another_one_was(few: bytes) -> None:
    whole, _ = read(few)
    reader = Reader(BytesIO(few))
    for k in range(len(FEW) + 1):
        after = Reader.at(BytesIO(few), reader.end, reader.chain, reader.count)
        assert contents(list(after)) == contents(whole[k:])
        assert (after.end, after.count) == (len(few), len(FEW))
        if k == 1:
            changed = Reader.at(BytesIO(few), reader.end, reader.chain ^ 1, reader.count, "a.journal")
            with pytest.raises(DamageError, match=f"a.journal is damaged at entry 2, byte {reader.end}"):
                next(changed)
        next(reader, None)


def python(code: str, *args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


WRITE = """
import sys
from pathlib import Path
from labneuro.entries import Begun
from labneuro.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.write(Begun({}))
print("written", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_writes_a_journal_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with python(WRITE, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        content = path.read_bytes()
        assert is_locked(path)
        with pytest.raises(JournalError, match=r"a\.journal is being written by another process: wait for it"):
            Journal.resume(path)
        with pytest.raises(FileExistsError):
            Journal(path)
        assert path.read_bytes() == content
        process.kill()
    assert not is_locked(path)
    Journal.resume(path).close()


def test_who_only_looks_is_not_taken_for_a_writer_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.journal"
    written(path, FEW)
    with path.open("rb") as file:
        lock(file.fileno(), shared=True)
        assert not is_locked(path)
        monkeypatch.setattr(filelock.WallClock, "sleep", lambda clock, seconds: file.close())
        Journal.resume(path).close()
        assert file.closed


def test_a_file_that_cannot_be_locked_is_not_taken_for_written(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "gone")
    assert not is_locked(tmp_path)


# What the disk does


def test_an_entry_is_forced_to_the_disk_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    again = threading.Event()

    def fsync(descriptor: int) -> None:
        forced.append(os.fstat(descriptor).st_size)
        again.set()

    monkeypatch.setattr(module, "SYNC", 0.01)
    monkeypatch.setattr(os, "fsync", fsync)
    with Journal(tmp_path / "a.journal") as journal:
        for entry in FEW:
            again.clear()
            journal.write(entry)
            assert again.wait(60)
            assert forced[-1] == journal.size


def test_a_disk_that_lost_what_was_written_is_no_place_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fsync(descriptor: int) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "SYNC", 0.01)
    monkeypatch.setattr(os, "fsync", fsync)
    with Journal(tmp_path / "a.journal") as journal:
        journal.write(FEW[0])
        assert failed.wait(60)
        with pytest.raises(JournalError, match=r"can't write to .*a\.journal: Input/output error"):  # noqa: PT012
            for _ in range(10**6):  # until the thread that has failed has said so
                journal.write(FEW[1])
        with pytest.raises(JournalError, match="forced"):
            journal.sync()


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from labneuro.entries import Answered
from labneuro.journal import Journal, JournalError, Reader
folder, disk = Path(sys.argv[1]), sys.argv[2]
path, ballast = folder / "a.journal", folder / "ballast"
if disk == "small":
    ballast.write_bytes(bytes(100_000))
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
with Journal(path) as journal:
    def fill(count):
        for k in range(count):
            try:
                journal.write(Answered(k, np.full(100 + k, float(k))))
            except JournalError as error:
                return str(error)
    said = fill(300)
    assert journal.size == path.stat().st_size
    with Reader(path) as reader:
        before = list(reader)
        assert reader.end == journal.size
    assert len(before) > 20 and [r.entry.value[-1] for r in before] == list(range(len(before)))
    assert fill(300)
    if disk == "small":
        ballast.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert fill(10) is None
with Reader(path) as reader:
    last = [record.entry.number for record in list(reader)[-10:]]
assert last == list(range(10))
print(said)
"""


def small_disk(folder: Path) -> list[str]:
    """Return what to put before a command so that it finds a disk of 200 kB at `folder`; skip the test if it can't."""
    mount = 'mount -t tmpfs -o size=200k none "$0" && exec "$@"'
    command = [shutil.which("unshare") or "", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
    if not command[0] or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this process may not mount a small disk")
    return command


@pytest.mark.skipif(not hasattr(os, "fork"), reason="file sizes can't be limited here")
@pytest.mark.parametrize(("disk", "reason"), [("small", "No space left on device"), ("limited", "File too large")])
def test_a_full_disk_costs_no_earlier_entry_and_is_gone_on_with(tmp_path: Path, disk: str, reason: str) -> None:
    before = small_disk(tmp_path) if disk == "small" else []
    command = [*before, sys.executable, "-c", FULL, str(tmp_path), disk]
    said = subprocess.check_output(command, text=True)  # noqa: S603
    path = tmp_path / "a.journal"
    assert said == f"can't write to {path}: {reason}; make room, then: labneuro resume {path}\n"


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "gone" / "a.journal")
    with pytest.raises(StoreError, match=r"gone.*No such file"):
        Reader(tmp_path / "gone" / "a.journal")


def test_a_journal_that_was_closed_writes_into_no_other_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    journal.close()
    with (tmp_path / "other").open("wb") as other:
        with pytest.raises(JournalError, match="Bad file descriptor"):
            journal.write(FEW[0])
        other.flush()
    assert (tmp_path / "other").read_bytes() == b""
    journal.close()
