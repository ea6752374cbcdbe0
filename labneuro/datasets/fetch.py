"""Files of data that don't ship with the package: where they are sought, and how they are known to be whole.

A file is taken from the folder that the environment variable LABNEURO_DATA names, or else from a cache, into
which it is downloaded once. In both cases its SHA-256 must be that of the published file, so that a result
belongs to it.
"""

import hashlib
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FOLDER_VARIABLE = "LABNEURO_DATA"


class DatasetError(ValueError):
    """A data set is absent, damaged or not what it claims to be; the message says what to do, in one line."""


@dataclass(frozen=True)
class PublishedFile:
    """A file on the web that never changes.

    path: where it lies in a folder of data sets. url: where it is downloaded from. sha256: of its bytes.
    otherwise: the way out where it can't be had, as the end of a sentence.
    """

    path: str
    url: str
    sha256: str
    otherwise: str


def fetch(file: PublishedFile) -> Path:
    """Return where `file` lies, downloading it if LABNEURO_DATA is not set and the cache doesn't hold it.

    A copy in the LABNEURO_DATA folder is not checked here: read it first, so that damage is reported by its
    line, then call `check`. Raises DatasetError.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return _download(file)
    path = Path(folder).expanduser() / file.path
    if not path.is_file():
        raise DatasetError(
            f"{FOLDER_VARIABLE} is {folder}, but there is no file {path}: put it there, unset "
            f"{FOLDER_VARIABLE} to download it, or {file.otherwise}"
        )
    return path


def check(file: PublishedFile, path: Path, content: bytes) -> None:
    """Raise DatasetError unless `content`, read from `path`, is byte for byte the published file."""
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DatasetError(
            f"{path} differs from the published file (SHA-256 {found[:12]}…, expected {file.sha256[:12]}…): "
            f"replace it by {file.url}"
        )


def _download(file: PublishedFile) -> Path:
    import pooch  # noqa: PLC0415 - only who downloads waits for it  # pyright: ignore[reportMissingTypeStubs]

    cache = Path(pooch.os_cache("labneuro"))
    host = urlsplit(file.url).hostname
    away = f"set {FOLDER_VARIABLE} to a folder that holds {file.path}, or {file.otherwise}"
    try:
        with _quiet(pooch.get_logger()):
            path = pooch.retrieve(  # pyright: ignore[reportUnknownMemberType]
                file.url,
                known_hash=f"sha256:{file.sha256}",
                fname=Path(file.path).name,
                path=cache / Path(file.path).parent,
            )
    except OSError as error:  # no network, no such page, or no place to write
        raise DatasetError(
            f"{file.path} can't be downloaded from {host} into {cache} ({type(error).__name__}): {away}"
        ) from error
    except ValueError as error:  # pooch: the checksum doesn't match
        raise DatasetError(
            f"{file.path} from {host} is not the published file (its SHA-256 differs): {away}"
        ) from error
    return Path(path)


@contextmanager
def _quiet(logger: logging.Logger) -> Generator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
