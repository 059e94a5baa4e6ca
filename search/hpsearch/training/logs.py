"""Where the printing of a trial goes, on a disk that may be full."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hpsearch.printing import printing_to

__all__ = ["logged"]


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
