"""Where a number comes from: the versions, the commit, the machine and the command that made a run."""

import getpass
import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import labneuro

PACKAGES = ("labneuro", "numpy", "numba", "scipy", "h5py")
"""The packages whose versions can change the numbers of a run."""


def provenance() -> dict[str, object]:
    """Return what is to be known about this process, by name: texts, but for `dirty` and `cores`."""
    commit, dirty = source_commit(Path(labneuro.__file__))
    return {
        **{f"{package}_version": installed(package) for package in PACKAGES},
        "python_version": platform.python_version(),
        "commit": commit,
        "dirty": dirty,
        "host": platform.node(),
        "user": _user(),
        "platform": platform.platform(),
        "cores": os.cpu_count() or 0,
        "start_time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "folder": str(Path.cwd()),
    }


def installed(package: str) -> str:
    """Return the version of a package, "" if it isn't installed; it isn't imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def source_commit(file: Path) -> tuple[str, bool]:
    """Return the commit of the git tree that tracks `file`, or "", and whether the tree has changes since."""
    git = shutil.which("git")
    if git is None or not _git(git, file.parent, "ls-files", "--error-unmatch", file.name):
        return "", False
    commit = _git(git, file.parent, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    return commit.removesuffix("-dirty"), commit.endswith("-dirty")


def _git(git: str, folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [git, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return ""
