"""A file whose changes land together or not at all: what HDF5 writes between two commits waits in memory.

HDF5 can't live with a failed write: on a full disk it leaves a file that nothing can open and brings the
process down. Behind this file it never sees one. A commit writes what lengthens the file first; if there is
no room for that, the file is cut back to where it was and stays as it was after the last commit.
"""

import os
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from typing import Any, Literal


class CommittedFile(RawIOBase):
    """A binary file for `h5py.File` that writes to the disk at `commit` only.

    mode "x" makes a new file and raises FileExistsError if there is one; "r+" opens one. Closing drops what
    was not committed.
    """

    def __init__(self, path: Path, mode: Literal["x", "r+"]) -> None:
        self._disk = path.open("xb+" if mode == "x" else "rb+", buffering=0)
        self._committed = self._size = self._disk.seek(0, SEEK_END)
        self._position = 0
        self._waiting: list[tuple[int, bytes]] = []

    def commit(self) -> None:
        """Write to the disk what waits. Raises OSError if there is no room: nothing has changed then.

        What waited is forgotten in that case; drop the `h5py.File`, which believes it written, and open a new
        one.
        """
        end = self._committed
        waiting, self._waiting = self._waiting, []
        try:
            for start, data in waiting:
                if start + len(data) > end:
                    skip = max(0, end - start)
                    self._put(start + skip, data[skip:])
        except OSError:
            self._disk.truncate(end)
            self._size = end
            raise
        for start, data in waiting:
            if start < end:
                self._put(start, data[: end - start])
        self._disk.truncate(self._size)
        self._committed = self._size

    def sync(self) -> None:
        """Force what was committed to the disk."""
        os.fsync(self._disk.fileno())

    def close(self) -> None:  # noqa: D102
        if not self.closed:
            self._disk.close()
        super().close()

    def readable(self) -> bool:  # noqa: D102
        return True

    def writable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:  # noqa: D102
        self._position = {SEEK_SET: 0, SEEK_CUR: self._position, SEEK_END: self._size}[whence] + offset
        return self._position

    def tell(self) -> int:  # noqa: D102
        return self._position

    def truncate(self, size: int | None = None, /) -> int:  # noqa: D102
        self._size = self._position if size is None else size
        return self._size

    def readinto(self, buffer: Any, /) -> int:
        """Read into `buffer` what the file will be after the next commit."""
        view = memoryview(buffer).cast("B")
        start = self._position
        count = max(0, min(len(view), self._size - start))
        self._disk.seek(start)
        got = self._disk.readinto(view[:count])
        view[got:count] = bytes(count - got)
        for place, data in self._waiting:
            low, high = max(place, start), min(place + len(data), start + count)
            if low < high:
                view[low - start : high - start] = data[low - place : high - place]
        self._position += count
        return count

    def write(self, data: Any, /) -> int:
        """Keep a copy of `data` for the next commit."""
        content = bytes(data)
        self._waiting.append((self._position, content))
        self._position += len(content)
        self._size = max(self._size, self._position)
        return len(content)

    def _put(self, start: int, data: bytes) -> None:
        self._disk.seek(start)
        rest = memoryview(data)
        while rest:
            rest = rest[self._disk.write(rest) :]
