"""One writer at a time: a lock on an open file that ends with its process, however that ends."""

import os
import time
from pathlib import Path

from labneuro.clock import WallClock

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    _BEYOND = 2**40  # a byte that nobody writes: Windows forbids everybody else to read what is locked

    def _lock(descriptor: int, *, shared: bool) -> None:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)
else:

    def _lock(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class FileInUseError(OSError):
    """Another process holds the lock."""


def lock(descriptor: int, patience: float = 0.0, *, shared: bool = False) -> None:
    """Lock an open file against other writers until it is closed.

    patience: how long to try, s: who only looks whether it is locked holds the lock for a moment. shared: with others
    who only look. Raises FileInUseError, or another OSError where files can't be locked.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return _lock(descriptor, shared=shared)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() >= end:
                raise FileInUseError(error.errno, "another process is writing it") from None
            WallClock().sleep(0.02)


def is_locked(path: Path) -> bool:
    """Return whether a living process is writing a file; False if it can't be told."""
    try:
        with path.open("rb") as file:
            lock(file.fileno(), shared=True)
    except FileInUseError:
        return True
    except OSError:
        return False
    return False
