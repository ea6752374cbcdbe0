"""The journal: an append-only file of checksummed records, the truth about a run while it goes on.

Every question that a protocol asks of the bench, every answer, every record that it yields is an entry here,
written before anything else happens: a killed process loses none. A power cut loses at most SYNC seconds. The
checksums are chained, so that a byte that changed, a record that was lost or moved is detected where it
happened; a record that was never completely written is recognised and cut. docs/journal.md is the format.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self
from zlib import crc32

from labneuro.entries import ENTRIES, NAMES, Entry
from labneuro.filelock import FileInUseError, lock
from labneuro.values import MalformedError, Packer, unpack

MAGIC = b"labneuro journal 2\n"
"""How a journal begins; the number is the version of the format."""

MAGIC_1 = b"labneuro journal 1\n"
"""How a journal of format 1 begins, which is read and gone on with as well: its arrays are never deflated."""

SYNC = 1.0
"""Longest time that an entry waits before it is forced to the disk, s."""

LATEST = 2.0**34
"""Times are before this, s since 1970: what is later is no time."""

_HEAD = Struct("<II")  # length of the payload; checksum of the length
_TAIL = Struct("<I")  # checksum of the payload
_CHUNK = 2**20


class StoreError(OSError):
    """A run can't be recorded or read; the message says which, why and what to do."""


class JournalError(StoreError):
    """A journal can't be written or read; the message says which, why and what to do."""


class DamageError(JournalError):
    """Bytes of a journal have changed. entry: the first one damaged, from 1. offset: where it begins, bytes."""

    def __init__(self, name: str, entry: int, offset: int, what: str) -> None:
        super().__init__(f"{name} is damaged at entry {entry}, byte {offset}: {what}; all before it is intact")
        self.entry = entry
        self.offset = offset


class Record(NamedTuple):
    """An entry as it lies in the file. time: s since 1970, when it was written. end: byte behind it."""

    entry: Entry
    time: float
    end: int


class Journal:
    """A journal that is being written, by this process only. size: of what has been written, bytes.

    Raises FileExistsError or another OSError if the file can't be made, JournalError later: then nothing of the
    entry is in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        self._start(descriptor, 0, crc32(MAGIC))
        try:
            lock(descriptor, patience=0.5)
            self._put(MAGIC)
        except BaseException:
            self.close()
            path.unlink()
            raise

    @classmethod
    def resume(cls, path: Path, *, cut: bool = False) -> Self:
        """Open a journal whose process is dead, behind its last entry; a torn entry is cut off.

        cut: cut off what lies behind damage, too; the damaged journal is kept beside it. Raises JournalError if it
        is being written, DamageError.
        """
        self = cls.__new__(cls)
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDWR | _BINARY)
        except OSError as error:
            raise JournalError(f"{path} can't be continued: {error.strerror}") from error
        self._start(descriptor, 0, 0)
        try:
            lock(descriptor, patience=0.5)
            with Reader(path) as reader:
                try:
                    for _ in reader:
                        pass
                except DamageError:
                    if not cut:
                        raise
                    shutil.copyfile(path, path.with_name(f"{path.name}.damaged"))
                if not reader.count:
                    raise JournalError(  # noqa: TRY301
                        f"{path} has no complete entry: the run never began; remove it"
                    )
                self.size, self._chain = reader.end, reader.chain
                self._packer = Packer(deflating=reader.magic == MAGIC)
            os.ftruncate(descriptor, self.size)
            os.lseek(descriptor, self.size, os.SEEK_SET)
        except FileInUseError:
            self.close()
            raise JournalError(f"{path} is being written by another process: wait for it, or stop it") from None
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise JournalError(f"{path} can't be continued: {error.strerror}") from error
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, *entries: Entry) -> float:
        """Write `entries` behind the others, at once, and return the time that they bear, s since 1970.

        Raises UnrecordableError or JournalError; nothing is written then.
        """
        moment, chain = time.time(), self._chain
        data: list[bytes] = []
        for entry in entries:
            payload = self._packer.pack([NAMES[type(entry)], moment, *entry])
            length = len(payload)
            head = _HEAD.pack(length, crc32(length.to_bytes(4, "little"), chain))
            chain = crc32(payload, crc32(head, chain))
            data += (head, payload, chain.to_bytes(4, "little"))
        self._put(b"".join(data))
        self._chain = chain
        if not self._waiting.is_set():
            self._waiting.set()
        return moment

    def sync(self) -> None:
        """Force everything to the disk. Raises JournalError."""
        self._waiting.clear()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(f"{self.path} can't be forced to the disk: {error.strerror}") from error

    def close(self) -> None:
        """Close the file, with all it has on the disk."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._waiting.set()
        if self._syncing.is_alive():
            self._syncing.join()
        with suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _start(self, descriptor: int, size: int, chain: int) -> None:
        self._descriptor = descriptor
        self.size = size
        self._chain = chain
        self._packer = Packer(deflating=True)
        self._trouble: OSError | None = None
        self._waiting = threading.Event()
        self._closed = threading.Event()
        self._syncing = threading.Thread(target=self._sync_in_time, name="journal", daemon=True)
        self._syncing.start()

    def _sync_in_time(self) -> None:
        while self._waiting.wait() and not self._closed.wait(SYNC):
            self._waiting.clear()
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self._trouble = error

    def _put(self, data: bytes) -> None:
        """Write all of `data`, or nothing."""
        try:
            if self._trouble is not None:
                raise self._trouble
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            try:
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, self.size, os.SEEK_SET)
            except OSError as trouble:
                self._trouble = trouble
            raise JournalError(
                f"can't write to {self.path}: {error.strerror}; make room, then: labneuro resume {self.path}"
            ) from error
        self.size += len(data)


class Reader:
    """Iterates over the records of a journal; when they end it can be asked again, for those written since.

    source: a path, or the bytes of a journal as a stream. name: of it, for messages. `count` is how many were read,
    `end` the byte behind the last of them: what follows is no complete entry, or not yet. `magic`: how it begins, once
    that was read.

    until_damage: end where bytes have changed, and raise no DamageError. Raises JournalError if it is no journal.
    """

    def __init__(self, source: Path | BinaryIO, name: str = "", *, until_damage: bool = False) -> None:
        self.name = name or str(source)
        self._until_damage = until_damage
        self.end = 0
        self.count = 0
        self.chain = 0
        self.magic = b""
        self._buffer = bytearray()
        self._position = 0
        self._ended = False
        try:
            self._stream: BinaryIO = source.open("rb", buffering=0) if isinstance(source, Path) else source
        except OSError as error:
            raise JournalError(f"{self.name} can't be read: {error.strerror}") from error

    @classmethod
    def at(cls, source: Path | BinaryIO, offset: int, chain: int, count: int, name: str = "") -> Self:
        """Return a reader of what follows byte `offset`, where a reader before had this `end`, `chain` and `count`.

        If the bytes before are others now, its first record raises DamageError.
        """
        self = cls(source, name)
        self.end, self.chain, self.count = offset, chain, count
        self._ended = True
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        """Return the next record. Raises StopIteration at the end of what is there."""
        try:
            record = self._record()
        except DamageError:
            if not self._until_damage:
                raise
            record = None
        if record is None:
            raise StopIteration
        return record

    def _record(self) -> Record | None:
        """Return the next record, None at the end of what is there."""
        if self._ended:  # what was not complete is read again: its writer may have cut it off since
            self._buffer.clear()
            self._position = 0
            self._stream.seek(self.end)
            self._ended = False
        if not self.end and not self._begin():
            return None
        if not self._have(_HEAD.size):
            return None
        head = self._take(0, _HEAD.size)
        length, checksum = _HEAD.unpack(head)
        if checksum != crc32(head[:4], self.chain):
            if not checksum and self._only_zeros(_HEAD.size):
                return None
            raise self._damage("its length is not what was written")
        whole = _HEAD.size + length + _TAIL.size
        if not self._have(whole):
            return None
        payload = self._take(_HEAD.size, length)
        chain = crc32(payload, crc32(head, self.chain))
        checksum = _TAIL.unpack(self._take(_HEAD.size + length, _TAIL.size))[0]
        if checksum != chain:
            if not checksum and self._only_zeros(whole):
                return None
            raise self._damage("its content is not what was written")
        try:
            name, moment, *values = unpack(payload)
            kind, classes = ENTRIES[name]
            if not all(map(isinstance, values, classes)) or not 0 <= moment < LATEST:
                raise TypeError(name)  # noqa: TRY301
            record = Record(kind(*values), moment, self.end + whole)
        except (MalformedError, LookupError, TypeError, ValueError) as error:
            raise self._damage(f"it is no entry ({error})") from error
        self._position += whole
        self.end += whole
        self.count += 1
        self.chain = chain
        return record

    def _begin(self) -> bool:
        """Read the first line; False as long as it isn't complete."""
        complete = self._have(len(MAGIC))
        start = bytes(self._take(0, len(MAGIC)))
        if not MAGIC.startswith(start) and not MAGIC_1.startswith(start):
            if start.startswith(MAGIC[:-2]):
                raise JournalError(f"{self.name} is a journal of another format: update labneuro to read it")
            raise JournalError(f"{self.name} is no journal of labneuro, or its first line is damaged")
        if complete:
            self._position = self.end = len(MAGIC)
            self.magic, self.chain = start, crc32(start)
        return complete

    def _have(self, count: int) -> bool:
        """Read until `count` bytes are at hand; False if the file ends before."""
        while len(self._buffer) - self._position < count:
            if self._position:
                del self._buffer[: self._position]
                self._position = 0
            more = self._read()
            if not more:
                self._ended = True
                return False
            self._buffer += more
        return True

    def _read(self) -> bytes:
        try:
            return self._stream.read(_CHUNK)
        except OSError as error:
            raise JournalError(f"{self.name} can't be read: {error.strerror or error}") from error

    def _take(self, start: int, count: int) -> bytearray:
        first = self._position + start
        return self._buffer[first : first + count]

    def _only_zeros(self, start: int) -> bool:
        """Return whether nothing but zeros follows: room that a power cut left without its data."""
        self._ended = True
        rest: bytes | bytearray = self._take(start, len(self._buffer))
        while rest == bytes(len(rest)):
            rest = self._read()
            if not rest:
                return True
        return False

    def _damage(self, what: str) -> DamageError:
        return DamageError(self.name, self.count + 1, self.end, what)


_BINARY: int = getattr(os, "O_BINARY", 0)
