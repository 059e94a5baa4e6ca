"""The cache: what takes long to make of data and can be made again, kept on the disk up to a limit.

It lies in ``HPSEARCH_CACHE``, or in ``hpsearch`` in the user's cache folder (``XDG_CACHE_HOME``, ``~/.cache``). Each
entry is a folder, made under a temporary name and renamed when it is whole; a lock lets one process make it while
others that want the same wait. What was used longest ago is deleted when all together take more than
``HPSEARCH_CACHE_LIMIT`` (20 GB unless said). An entry may be deleted while somebody reads it: open files stay readable.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from hpsearch.data.sizes import said_size, size_of
from hpsearch.errors import DataError

__all__ = ["CACHE_VARIABLE", "LIMIT_VARIABLE", "cache_folder", "cached", "discard", "usage"]

CACHE_VARIABLE = "HPSEARCH_CACHE"
LIMIT_VARIABLE = "HPSEARCH_CACHE_LIMIT"
USUAL_LIMIT = 20_000_000_000

_DONE = "done"
_LOOK_SECONDS = 0.1


def cache_folder() -> Path:
    """Where the cache lies; it need not exist."""
    said = os.environ.get(CACHE_VARIABLE)
    if said:
        return Path(said).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache")).expanduser() / "hpsearch"


def usage() -> int:
    """How many bytes the cache holds."""
    return sum(size for _, _, size in _entries())


def cached(
    kind: str, key: str, size: int, make: Callable[[Path], None], tick: Callable[[], None] | None = None
) -> Path:
    """The folder of an entry, which is made when it is not there.

    Args:
        kind: What it is, such as ``photos``.
        key: What it is made of; letters and digits.
        size: How many bytes it will take.
        make: Fills the folder that it is given; when it raises, nothing is kept.
        tick: Called again and again while another process makes the entry; what it raises ends the wait.

    Raises:
        DataError: There is no room for it, or the cache cannot be written.
    """
    root = cache_folder()
    entry = root / f"{kind}-{key}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{entry.name}.lock", tick):
            if not (entry / _DONE).exists():
                _make(entry, size, make)
            os.utime(entry / _DONE)
    except OSError as error:
        raise DataError(
            f"The cache in {root} cannot be written: {error.strerror}; name another folder with {CACHE_VARIABLE}."
        ) from error
    return entry


def discard(entry: Path) -> None:
    """Delete an entry that turned out to be damaged, so that it is made again.

    Args:
        entry: Its folder.
    """
    shutil.rmtree(entry, ignore_errors=True)


def _make(entry: Path, size: int, make: Callable[[Path], None]) -> None:
    for left in entry.parent.glob(f".{entry.name}.*.new"):  # by a process that was killed: nobody else holds the lock
        shutil.rmtree(left, ignore_errors=True)
    _make_room(entry.parent, size)
    building = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", suffix=".new", dir=entry.parent))
    try:
        make(building)
        (building / _DONE).touch()
        shutil.rmtree(entry, ignore_errors=True)
        building.rename(entry)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _make_room(root: Path, size: int) -> None:
    """Delete what was used longest ago until the new entry fits."""
    limit = size_of(LIMIT_VARIABLE, USUAL_LIMIT)
    if size > limit:
        raise DataError(
            f"The cache would need {said_size(size)}, and its limit is {said_size(limit)}; raise it with "
            f"{LIMIT_VARIABLE}."
        )
    entries = sorted(_entries(), key=lambda entry: entry[1])
    held = sum(size for _, _, size in entries)
    for path, _, taken in entries:
        if held + size <= limit and size <= shutil.disk_usage(root).free:
            break
        shutil.rmtree(path, ignore_errors=True)
        held -= taken
    free = shutil.disk_usage(root).free
    if size > free:
        raise DataError(
            f"The cache in {root} needs {said_size(size)}, and the disk has {said_size(free)} left; make room, or name "
            f"a folder on another disk with {CACHE_VARIABLE}."
        )


def _entries() -> Iterator[tuple[Path, float, int]]:
    """Folder, time of last use and bytes of each entry."""
    root = cache_folder()
    for entry in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(OSError):  # somebody else may delete it now
            if (entry / _DONE).exists() and not entry.name.startswith("."):
                size = sum(file.stat().st_size for file in entry.iterdir())
                yield entry, (entry / _DONE).stat().st_mtime, size


@contextlib.contextmanager
def _locked(path: Path, tick: Callable[[], None] | None) -> Iterator[None]:
    """Held by one process at a time, and let go by the system when it dies."""
    with open(path, "w", encoding="utf-8") as file:
        while tick is not None and not _free(file):
            tick()
            time.sleep(_LOOK_SECONDS)
        if tick is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _free(file: IO[str]) -> bool:
    """Take a lock if nobody holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
