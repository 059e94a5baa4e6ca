"""The cache: what takes long to make of data and can be made again, kept on the disk up to a limit.

It lies in ``hpsearch-cache-2`` in ``HPSEARCH_CACHE``, or in ``hpsearch`` in the user's cache folder
(``XDG_CACHE_HOME``, ``~/.cache``), and nothing beside that is ever touched. Each entry is a folder, made under a
temporary name and renamed when it is whole; a lock lets one process make it while others that want the same wait. What
was used longest ago is deleted when all together take more than ``HPSEARCH_CACHE_LIMIT`` (20 GB unless said). An entry
may be deleted while somebody reads it: open files stay readable.

An earlier version wrote without a folder of its own. What it left is deleted by who empties the cache, and only what
is certain to be of it.

A process that took anything from the cache shares a lock on all of it for the rest of its life. Who empties the cache
wants that lock alone, so nothing is emptied while a run uses it; the system lets go of it when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hpsearch.data.sizes import said_size, size_of
from hpsearch.errors import DataError

__all__ = [
    "CACHE_VARIABLE",
    "LIMIT_VARIABLE",
    "Entry",
    "InUseError",
    "cache_folder",
    "cached",
    "discard",
    "empty_cache",
    "entries",
    "entries_of_earlier",
    "fits",
    "usage",
]

CACHE_VARIABLE = "HPSEARCH_CACHE"
LIMIT_VARIABLE = "HPSEARCH_CACHE_LIMIT"
USUAL_LIMIT = 20_000_000_000

_OWN = "hpsearch-cache-2"
_DONE = "done"
_USERS = ".users.lock"
_NAME = r"[a-z]+-\w[\w.+]*"
_HALF_MADE = r"\.%s\.\w+\.new"
_EARLIER = r"(?:(?:photos|features|copies|compiler)-[0-9a-f]{16,32}|programs-jax\d[\w.+]*)"
"""The names that an earlier version gave to entries: what they are made of is hashed, or a version."""
_LOOK_SECONDS = 0.1

_shared: dict[Path, IO[str]] = {}
"""The locks that this process shares, by their file; open as long as it lives."""
_sharing = threading.Lock()


class InUseError(DataError):
    """A run uses the cache."""


@dataclass(frozen=True)
class Entry:
    """Something in the cache.

    Args:
        path: Its folder.
        used: When it was used last, in seconds since 1970.
        bytes: How much room it takes.
    """

    path: Path
    used: float
    bytes: int

    @property
    def kind(self) -> str:
        """What it is, such as ``photos`` or ``features``; ``rest`` is what a kill left half made."""
        kind = "rest" if self.path.name.startswith(".") else self.path.name.partition("-")[0]
        return kind if self.path.parent.name == _OWN else f"{kind} of an earlier version"


def cache_folder() -> Path:
    """Where the cache lies; it need not exist."""
    return _around() / _OWN


def _around() -> Path:
    """The folder that the cache lies in, which may hold whatever else."""
    said = os.environ.get(CACHE_VARIABLE)
    if said:
        return Path(said).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache")).expanduser() / "hpsearch"


def usage() -> int:
    """How many bytes the cache holds."""
    return sum(entry.bytes for entry in entries())


def fits(size: int) -> bool:
    """Whether something is not larger than the whole cache may be.

    Args:
        size: Its bytes.

    Raises:
        DataError: ``HPSEARCH_CACHE_LIMIT`` says something else than a size.
    """
    return size <= size_of(LIMIT_VARIABLE, USUAL_LIMIT)


def empty_cache() -> int:
    """Delete all that is in the cache, what a kill left half made and what an earlier version left included.

    Returns:
        How many bytes that freed.

    Raises:
        InUseError: A run uses it; nothing was deleted.
        DataError: It cannot be locked or written.
    """
    root, around = cache_folder(), _around()
    freed = 0
    try:
        with _unused(root, make=root.is_dir()), _unused(around, make=False):
            for entry in [*entries(), *_found(root, _HALF_MADE % _NAME), *entries_of_earlier()]:
                shutil.rmtree(entry.path, ignore_errors=True)
                freed += 0 if entry.path.exists() else entry.bytes
            for folder, name in ((root, _NAME), (around, _EARLIER)):
                for lock in folder.glob(".*.lock"):
                    if re.fullmatch(rf"\.{name}\.lock", lock.name) and not lock.is_symlink() and lock.is_file():
                        lock.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"The cache in {root} cannot be emptied: {error.strerror}.") from error
    return freed


@contextlib.contextmanager
def _unused(folder: Path, *, make: bool) -> Iterator[None]:
    """Held alone, so that no run begins to use it.

    Raises:
        InUseError: A run uses it.
    """
    lock = folder / _USERS
    if not make and not lock.is_file():
        yield
        return
    with open(lock, "a", encoding="utf-8") as file:
        if not _free(file):
            raise InUseError(f"The cache in {folder} is used by a run; empty it when that has ended.")
        yield


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
        _share(root, tick)
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
    found = sorted(entries(), key=lambda entry: entry.used)
    held = sum(entry.bytes for entry in found)
    for entry in found:
        if held + size <= limit and size <= shutil.disk_usage(root).free:
            break
        shutil.rmtree(entry.path, ignore_errors=True)
        held -= entry.bytes
    free = shutil.disk_usage(root).free
    if size > free:
        raise DataError(
            f"The cache in {root} needs {said_size(size)}, and the disk has {said_size(free)} left; make room, or name "
            f"a folder on another disk with {CACHE_VARIABLE}."
        )


def entries() -> list[Entry]:
    """What is in the cache, as far as it is whole."""
    return _found(cache_folder(), _NAME, whole=True)


def entries_of_earlier() -> list[Entry]:
    """What an earlier version left beside the cache, whole or half made, and nothing that may be of somebody else."""
    return [*_found(_around(), _EARLIER, whole=True), *_found(_around(), _HALF_MADE % _EARLIER)]


def _found(folder: Path, name: str, *, whole: bool = False) -> list[Entry]:
    """The folders of such a name, links not followed; those that are ``whole`` hold a mark, the others none."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # somebody else may delete it now
            if re.fullmatch(name, path.name) and path.is_dir() and not path.is_symlink():
                mark = path / _DONE if whole else path
                if mark.is_file() or not whole:
                    found.append(Entry(path, mark.stat().st_mtime, _size(path)))
    return found


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.iterdir())


def _share(root: Path, tick: Callable[[], None] | None) -> None:
    """Say, until this process ends, that it uses the cache; wait while somebody empties it."""
    users = root / _USERS
    with _sharing:
        held = _shared.get(users)
        if held is not None:
            if users.exists() and os.path.samestat(os.fstat(held.fileno()), users.stat()):
                return
            _shared.pop(users).close()  # somebody deleted it by hand
        file = open(users, "a", encoding="utf-8")  # noqa: SIM115  # it stays open
        try:
            while not _free(file, fcntl.LOCK_SH):
                if tick is not None:
                    tick()
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            file.close()
            raise
        _shared[users] = file


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


def _free(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Take a lock if nobody holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
