"""Where the printing of a trial goes, on a disk that may be full."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hpsearch.errands import Refit, Save
from hpsearch.messages import Train
from hpsearch.printing import printing_to
from hpsearch.study.trial import TrialFolder

__all__ = ["log_of", "logged"]


def log_of(task: Train | Refit | Save) -> Path:
    """Where what a task prints goes; the log of a trial that is only read stays as it is.

    Args:
        task: The task.
    """
    if isinstance(task, Save):
        return Path(os.devnull)
    return task.log if isinstance(task, Refit) else TrialFolder(task.folder).log


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Send whatever is printed to the end of a log; where that cannot be written, it is lost and nothing else is.

    Args:
        path: The log.
    """
    with printing_to(path if _can_be_written(path) else Path(os.devnull)):
        try:
            yield
        finally:
            _flush()


def _can_be_written(path: Path) -> bool:
    try:
        with open(path, "a", encoding="utf-8"):
            return True
    except OSError:
        return False


def _flush() -> None:
    """Write what is still in Python's hands, or throw it away: kept, it would fail again and again."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), descriptor)
            stream.flush()
