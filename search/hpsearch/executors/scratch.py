"""Folders for the temporary files of workers, which are mostly killed and then clean nothing up themselves.

TensorFlow writes one for every function that it turns into a graph; a night of trials would leave thousands behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import psutil

__all__ = ["clear_stale", "scratch_folder"]

_PREFIX = "hpsearch-worker-"


def scratch_folder() -> Path:
    """A new folder that is known to belong to this process."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def clear_stale() -> None:
    """Delete the folders of processes that were killed before they could."""
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
            owner = path.name.removeprefix(_PREFIX).split("-")[0]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                shutil.rmtree(path, ignore_errors=True)  # nor can those of other users be deleted
