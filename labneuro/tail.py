"""The journal of a run as it is written, wherever it lies: beside the run file, and in it when the run has ended."""

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labneuro.filelock import is_locked
from labneuro.journal import DamageError, Reader, Record, StoreError
from labneuro.store import RunFile, journal_of, run_file_of


class Place(NamedTuple):
    """A place between two entries of a journal: bytes before it, their checksum, and entries before it."""

    end: int = 0
    chain: int = 0
    number: int = 0


class Tail:
    """The journal of a run, read on and on. path: of the run file or of the journal.

    place: up to where it was read. unread: bytes that lie behind. problem: where it is damaged. written: whether a
    process writes it. beside: whether it lies beside the run file. replaced: whether it is no longer the same, but
    another one or cut off: begin anew.

    Raises StoreError if there is no run, or it has ended and its file holds no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._journal = run_file_of(path), journal_of(path)
        self.place = Place()
        self.unread = 0
        self.problem = ""
        self.written = self.beside = self.replaced = False
        self._reader: Reader | None = None
        self._file: BinaryIO | None = None
        with suppress(FileNotFoundError):
            self._file = self._journal.open("rb", buffering=0)
            weakref.finalize(self, self._file.close)
        self._stream = self._file or RunFile(self._path).enclosed()
        self.look()

    def look(self) -> None:
        """Find out where the journal lies now, and whether it is being written."""
        self.written = self.beside = False
        with suppress(FileNotFoundError):
            there = self._journal.stat()
            self.beside = self._file is not None and os.path.samestat(there, os.fstat(self._file.fileno()))
            self.replaced = not self.beside or there.st_size < self.place.end
            self.written = is_locked(self._journal)

    def records(self, seconds: float) -> Iterator[tuple[Place, Record]]:
        """Yield the records that are there, each with the place before it, for at most `seconds`."""
        over = time.monotonic() + seconds
        reader = self._reader = self._reader or self.reader(self.place)
        self.unread, self.problem = 0, ""
        try:
            for record in reader:
                before, self.place = self.place, Place(reader.end, reader.chain, reader.count)
                yield before, record
                if time.monotonic() >= over:
                    self.unread = self._size() - reader.end
                    return
        except DamageError as error:
            self.problem, self._reader = str(error), None
        if self._file is not None and not self.beside:
            self._move(self._file)

    def reader(self, place: Place) -> Reader:
        """Return a reader of what lies behind `place`; use it before `records` is asked for more."""
        self._reader = None
        return Reader.at(self._stream, *place, name=str(self._journal if self._file is not None else self._path))

    def _move(self, file: BinaryIO) -> None:
        """Go on in the run file, if the journal lies in it by now: the one that was deleted takes room on the disk."""
        with suppress(StoreError):
            self._stream = RunFile(self._path).enclosed()
            self._file = self._reader = None
            file.close()

    def _size(self) -> int:
        here = self._stream.tell()
        size = self._stream.seek(0, os.SEEK_END)
        self._stream.seek(here)  # where the reader goes on
        return size
