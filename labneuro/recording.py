"""Recording a run: everything goes into its journal first, and from there into the run file that mirrors it."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labneuro.entries import CROSSING, Begun, Declared, Ended, Entry, Identified, Yielded
from labneuro.journal import Journal, StoreError
from labneuro.mirror import Mirror, iso, mirrored, rebuild
from labneuro.records import STEPS, Records
from labneuro.store import RunFile, State, journal_of


class RunWriter:
    """A run that is being recorded, in a journal and a run file beside each other; both paths must be free.

    path: of the run file. head: what is known about the run (see `labneuro.entries.Begun`). step_type: the dataclass
    whose records are the steps (None: the first that comes). `steps` and `records` count what has been yielded.

    Raises StoreError if a file exists or can't be made. Leaving the writer as a context closes the files; without
    `finish` they say that the run was interrupted.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], step_type: type | None = None) -> None:
        self.path = path
        self._start(step_type)
        self._journal = _created(path)
        try:
            begun = Begun({**head, "start_time": iso(time.time())})
            moment = self._journal.write(begun)
            self._mirror = Mirror(path)
            self._made = True
            self._mirror.take(begun, moment)
        except OSError as error:
            self.discard()
            raise StoreError(f"{path} can't be made: {_why(error)}; choose a place with room") from error
        except BaseException:
            self.discard()
            raise

    @classmethod
    def resume(cls, run: RunFile, step_type: type | None = None, *, cut: bool = False) -> Self:
        """Go on recording `run` behind its last entry.

        cut: go on before damage. Raises StoreError if it is being written, is damaged, or can't be written.
        """
        self = cls.__new__(cls)
        self.path = run.path
        self._start(step_type)
        journal = journal_of(run.path)
        if run.journal is None:
            run.extract_journal(journal)
        self._journal = Journal.resume(journal, cut=cut)
        try:
            run.path.unlink(missing_ok=True)
            self._mirror, *_ = mirrored(journal, run.path)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise StoreError(f"{self.path} can't be continued: {_why(error)}; make room") from error
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def identify(self, parts: Mapping[str, str]) -> None:
        """Write down what stands on the bench: the identity of each part."""
        self.write(Identified(dict(parts)))

    def append(self, record: object) -> None:
        """Write one record, a dataclass of numbers, text and arrays.

        Raises RecordError if it can't be stored or isn't like the first of its type, StoreError if the disk is full;
        everything recorded before stays.
        """
        self.write(*self.taken_apart(record))

    def taken_apart(self, record: object) -> list[Declared | Yielded]:
        """Return the entries that record `record`, without writing them. Raises RecordError."""
        return self._kinds.taken_apart(record)

    def write(self, *entries: Entry, later: bool = False) -> int:
        """Write entries, at once, or with those that come next, and return the size of the journal, bytes.

        Raises StoreError; what was recorded before stays.
        """
        if later:
            self._waiting += entries
            return self._journal.size
        if self._waiting:
            entries = (*self._waiting, *entries)
        moment = self._journal.write(*entries)
        self._waiting = ()
        try:
            for entry in entries:
                if type(entry) not in CROSSING:
                    self.count(entry)
                    if self._mirror is not None:
                        self._mirror.take(entry, moment)
        except OSError as error:
            self._drop_mirror()
            raise StoreError(
                f"can't write to {self.path}: {_why(error)}; make room, then: labneuro resume {self.path}"
            ) from error
        return self._journal.size

    def count(self, entry: Entry) -> None:
        """Count a record, written now or found in the journal."""
        if type(entry) is Yielded:
            self.records += 1
            self.steps += entry.table == STEPS

    def finish(self, state: State, note: str = "") -> None:
        """Say how the run ended and why, complete the run file and remove the journal, which is in it then.

        Raises StoreError if that can't be written; the journal stays then and has everything.
        """
        self.write(Ended(state, note))
        self._journal.sync()
        try:
            if self._mirror is None:
                rebuild(self._journal.path, self.path, enclose=True)
            else:
                self._mirror.finish(self._journal.path, self._journal.size)
        except OSError as error:
            self._drop_mirror()
            self.close()
            raise StoreError(
                f"{self.path} can't be completed: {_why(error)}; everything is in {self._journal.path}: "
                f"make room, then: labneuro rebuild {self.path}"
            ) from error
        self._mirror = None
        self._journal.close()
        self._journal.path.unlink()

    def discard(self) -> None:
        """Close the files and remove them: the run never started."""
        self.close()
        self._journal.path.unlink(missing_ok=True)
        if self._made:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files as they are."""
        if self._mirror is not None:
            self._mirror.close()
        self._journal.close()

    def _start(self, step_type: type | None) -> None:
        self.steps = 0
        self.records = 0
        self._kinds = Records(step_type)
        self._mirror: Mirror | None = None
        self._waiting: tuple[Entry, ...] = ()
        self._made = False

    def _drop_mirror(self) -> None:
        """Leave the run file as it was last committed; the journal goes on."""
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None


def completed(run: RunFile) -> str:
    """Make the run file of a run whose process is dead, journal included, and remove the journal; return what was lost.

    A damaged journal stays: the run file has what lies before the damage. Raises StoreError if there is no journal to
    make it from, or the run still goes on.
    """
    if run.state == "running":
        raise StoreError(f"{run.path} is being written: wait until the run has ended, or stop it")
    if run.journal is None:
        raise StoreError(f"{run.path} is complete: there is no journal beside it to make it from")
    try:
        damage = rebuild(run.journal, run.path, enclose=True)
    except OSError as error:
        raise StoreError(f"{run.path} can't be completed: {_why(error)}; make room") from error
    if damage is None:
        run.journal.unlink()
    return str(damage or "")


def _why(error: OSError) -> str:
    """Return what went wrong, without the way out."""
    cause = error.__cause__ if isinstance(error, StoreError) else error
    return getattr(cause, "strerror", None) or str(error)


def _created(path: Path) -> Journal:
    journal = journal_of(path)
    taken = "it exists and is never overwritten; choose another name, or move it away"
    try:
        if journal != path and not path.exists():
            return Journal(journal)
        what = taken if path.exists() else "a name in .journal is that of a journal; end it in .h5"
    except FileExistsError:
        what = taken
    except FileNotFoundError:
        what = f"there is no folder {path.parent}; make it first"
    except OSError as error:
        what = f"{error.strerror}; choose a place that can be written"
    raise StoreError(f"{path} can't be made: {what}")
