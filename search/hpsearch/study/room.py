"""A full disk: recognised whoever says so, and waited for."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = ["LITTLE", "disk_full", "existing_folder", "free_bytes", "has_room", "written"]

T = TypeVar("T")

LITTLE = 1_000_000
"""Bytes that a log or a history may want at a time."""
IN_VAIN = 10
"""A write that fails so often although there is room fails for another reason."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
# What SQLite says; Optuna wraps it in an error of its own, SQLAlchemy's between the two.
_SAID_BY_SQLITE = ("database or disk is full", "disk i/o error")


def disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it came of, says that there is no room on the disk.

    Args:
        error: What was caught.
    """
    return any(_says_full(each) for each in _chain(error))


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(words in str(error).lower() for words in _SAID_BY_SQLITE)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came of, each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [each.__cause__, each.__context__]


def free_bytes(path: Path) -> int:
    """How many bytes may still be written where a file lies or is to lie.

    Args:
        path: A file or folder; it need not exist yet.

    Raises:
        OSError: The disk does not answer.
    """
    room = os.statvfs(existing_folder(path))
    return room.f_bavail * room.f_frsize


def has_room(path: Path, wanted: int) -> bool:
    """Whether so many bytes can be written where a file lies or is to lie; they are set aside for a moment to find out.

    Args:
        path: A file or folder; it need not exist yet.
        wanted: Bytes.
    """
    folder = existing_folder(path)
    probe = folder / f".room.{os.getpid()}.tmp"
    try:
        if free_bytes(folder) < wanted:
            return False
        # A quota does not show in what the disk says to be free.
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _set_aside(descriptor, max(wanted, 1))
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def _set_aside(descriptor: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):  # macOS
        os.write(descriptor, b"\0" * min(size, 1 << 20))
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise  # not a file system that cannot set aside


def written(path: Path, write: Callable[[], T], on_full: Callable[[Exception], None]) -> T:
    """Do something that writes to disk, and do it again as long as the disk is full.

    Args:
        path: Where it writes; it need not exist yet.
        write: It; doing it twice must be the same as doing it once.
        on_full: Called with the error each time the disk is full: waits, or raises to give up.
    """
    in_vain = 0
    while True:
        try:
            return write()
        except Exception as error:
            if not disk_full(error):
                raise
            # SQLite says of a broken disk what it also says of a full one.
            in_vain += has_room(path, LITTLE)
            if in_vain >= IN_VAIN:
                raise
            on_full(error)


def existing_folder(path: Path) -> Path:
    """The folder that a path lies in or is, as far up as it exists.

    Args:
        path: A file or folder.
    """
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path
