"""Folders for temporary files of processes that may be killed, and then clean nothing up themselves.

Workers mostly are, and TensorFlow writes a file for every function that it turns into a graph; a night of trials would
leave thousands behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import psutil

__all__ = ["clear_stale", "scratch_folder", "stale"]

_PREFIX = "hpsearch-worker-"


def scratch_folder(within: Path | None = None) -> Path:
    """A new folder that is known to belong to this process.

    Args:
        within: The folder of the user's that it is to be hidden in; None is where temporary files go.

    Raises:
        OSError: It cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f"{_prefix(within)}{os.getpid()}-", dir=within))


def clear_stale(within: Path | None = None) -> None:
    """Delete the folders of processes that were killed before they could.

    Args:
        within: As for `scratch_folder`.
    """
    for path in stale(within):
        shutil.rmtree(path, ignore_errors=True)


def stale(within: Path | None = None) -> list[Path]:
    """The folders of this user's processes that were killed before they could delete them.

    Args:
        within: As for `scratch_folder`.
    """
    named = re.compile(rf"{re.escape(_prefix(within))}(\d+)-\w+", re.ASCII)
    found = []
    with contextlib.suppress(OSError):
        for path in sorted((within or Path(tempfile.gettempdir())).iterdir()):
            owner = named.fullmatch(path.name)
            if owner and not psutil.pid_exists(int(owner[1])):
                with contextlib.suppress(OSError):  # its own end may have come now
                    status = path.lstat()
                    found += [path] if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() else []
    return found


def _prefix(within: Path | None) -> str:
    """Of a folder that other machines may see, too, their processes are not taken for dead."""
    return _PREFIX if within is None else f".hpsearch-{os.uname().nodename}-"
