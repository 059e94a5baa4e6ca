"""The lock of a study's one writer: held by the kernel, so that it ends with its holder, however that dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hpsearch.errors import StudyError

__all__ = ["Holder", "Taken", "boot_id", "holder_of", "locked"]

PATIENCE = 1.0
"""Seconds to try before the lock counts as taken: somebody who only looks has it for less than a millisecond."""
_PAUSE = 0.02
_CLOCKS_DIFFER = 5.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as far as it is known.

    Args:
        pid: The process, or None where nobody knows.
        host: The machine.
        boot: The boot of that machine, as `boot_id` gives it.
        since: When it took the lock, in seconds since 1970.
    """

    pid: int | None = None
    host: str = ""
    boot: str = ""
    since: float | None = None

    @classmethod
    def here(cls) -> Holder:
        """This process, from now on."""
        return cls(os.getpid(), os.uname().nodename, boot_id(), time.time())

    def __str__(self) -> str:
        if self.pid is None or self.since is None:
            return "another process"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {when}"


class Taken(Exception):
    """Somebody else holds the lock.

    Args:
        holder: Who.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


_held: set[int] = set()


def _let_go() -> None:
    """A forked child shares its parent's lock and would keep it beyond the parent's death."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)  # not unlocked, which would take it from the parent too
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock file; its text names the holder, the lock itself is the kernel's.

    Args:
        path: The file; made when it is missing, and left behind.

    Returns:
        Its descriptor, which tells the file from another one that takes its place.

    Raises:
        Taken: Another process holds it.
        StudyError: The file system knows no locks.
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _held.add(descriptor)
    try:
        limit = time.monotonic() + PATIENCE
        while not _lock(path, descriptor, shared=False):
            if time.monotonic() > limit:
                raise Taken(_named(path))
            time.sleep(_PAUSE)
        text = json.dumps(asdict(Holder.here())).encode()
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a text
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))
        yield descriptor
    finally:
        _close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Who holds a lock file now; None where nobody does, whatever its text says.

    Nothing is changed by looking: the lock is shared for a moment, and whoever wants it tries again for longer.

    Args:
        path: The file; it may be missing.

    Raises:
        StudyError: The file system knows no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StudyError(f"Whether a run holds the study cannot be read from {path}: {error.strerror}.") from error
    _held.add(descriptor)
    try:
        return None if _lock(path, descriptor, shared=True) else _named(path)
    finally:
        _close(descriptor)


def _close(descriptor: int) -> None:
    if descriptor in _held:  # a forked child has let go of it already
        _held.discard(descriptor)
        os.close(descriptor)


def _lock(path: Path, descriptor: int, *, shared: bool) -> bool:
    """Take the lock; False where somebody else has it."""
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise StudyError(
                f"The file system of {path.parent} knows no locks ({error.strerror}), so nothing would keep two runs "
                "from writing to one study; choose a folder on another disk with --results."
            ) from error
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            raise StudyError(
                f"The lock {path} can be neither taken nor looked at: {error.strerror}; choose a folder on another "
                "disk with --results."
            ) from error
        return False
    return True


def _named(path: Path) -> Holder:
    """Who says to hold the lock; nobody known where that is the word of an earlier holder."""
    try:
        said = Holder(**json.loads(path.read_text(encoding="utf-8")))
        return said if _may_hold(said) else Holder()
    except (OSError, ValueError, TypeError):
        return Holder()


def _may_hold(said: Holder) -> bool:
    """Whether the process can be the one that wrote the text: not dead, not of an earlier boot, not younger."""
    if not isinstance(said.pid, int) or not isinstance(said.since, int | float):
        return False
    if said.host != os.uname().nodename:
        return True  # another machine's processes cannot be seen from here
    if said.boot != boot_id():
        return False
    import psutil

    try:
        return bool(psutil.Process(said.pid).create_time() <= said.since + _CLOCKS_DIFFER)
    except psutil.Error:
        return False


def boot_id() -> str:
    """What tells one start of this machine from another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return str(round(psutil.boot_time()))
