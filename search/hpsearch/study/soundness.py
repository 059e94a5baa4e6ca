"""Whether a folder is sound enough to hold a study: shares may lack locks, or have some that keep nobody out."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hpsearch.errors import StudyError
from hpsearch.executors.scratch import clear_stale, scratch_folder
from hpsearch.study.attempts import DONE, TAKEN, locked, replace_file, sync_file, transaction
from hpsearch.study.mounts import FileSystem, file_system_of
from hpsearch.study.room import LITTLE, existing_folder, has_room
from hpsearch.study.second import Ended, Hung, Refused, Second

__all__ = ["CHECKS", "Failure", "Soundness", "try_folder"]


@dataclass(frozen=True)
class Failure:
    """What a folder does not hold to.

    Args:
        check: One of `CHECKS`, or ``process`` where there was no second process to try it with.
        reason: Why, as a part of a sentence, such as "two processes got the same lock at a time".
    """

    check: str
    reason: str


@dataclass(frozen=True)
class Soundness:
    """What was found when a folder was tried.

    Args:
        folder: The folder, as the user calls it.
        file_system: What it lies on.
        failures: What fails. After a check that was not answered in time no other is made.
    """

    folder: Path
    file_system: FileSystem
    failures: tuple[Failure, ...] = ()

    @property
    def sentence(self) -> str:
        """What fails, what that would lead to, and the way out; empty where the folder is sound."""
        if not self.failures:
            return ""
        first = self.failures[0]
        reasons = _listed([failure.reason for failure in self.failures])
        if first.check == "process":
            return (
                f"Whether {self.folder} can hold a study cannot be tried, because {reasons}; a search needs several "
                "processes, so make that possible first."
            )
        # The network that is saved is renamed, too.
        renames = all(failure.check != "rename" for failure in self.failures)
        over = "copy a network over at the end with hpsearch save" if renames else "copy over at the end what you need"
        return (
            f"{self.folder} lies on {self.file_system}, where {reasons}, so that {_risk(first.check)}; choose a folder "
            f"on a local disk with --results, and {over}."
        )


class _Check(NamedTuple):
    """Something that is tried.

    Args:
        name: In a word.
        thing: What is asked of the file system, as the subject of a sentence.
        risk: What could happen to a study without it.
        attempt: Tries it with a second process, and raises what is wrong. The second process always goes first, since a
            call that hangs could not be ended in this one.
    """

    name: str
    thing: str
    risk: str
    attempt: Callable[[Path, Second], None]


def try_folder(folder: Path) -> Soundness:
    """Try whether a study can lie in a folder: locks and SQLite between two processes, rename, fsync.

    Everything is tried in a hidden folder that is gone afterwards.

    Args:
        folder: The folder; where it does not exist yet, the nearest around it that does is tried.

    Raises:
        StudyError: It cannot be written at all, or the disk is full.
    """
    place = existing_folder(folder)
    try:
        with _hidden(place) as hidden:
            failures = tuple(_failures(hidden))
        if failures and _full(place):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise StudyError(
            f"The study cannot be written to {folder}: {error.strerror or error}. Choose another folder with --results."
        ) from error
    return Soundness(folder, file_system_of(place), failures)


@contextlib.contextmanager
def _hidden(place: Path) -> Iterator[Path]:
    """A folder of its own in another, for as long as it is needed; what a kill left of others goes first."""
    clear_stale(place)
    hidden = scratch_folder(place)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _failures(folder: Path) -> Iterator[Failure]:
    try:
        with Second(folder) as second:
            for check in _CHECKS:
                try:
                    reason = _reason(check, folder, second)
                except Hung as error:
                    yield Failure(check.name, f"{check.thing} takes {error}")
                    return  # what comes next may hang as well, and in this process
                if reason:
                    yield Failure(check.name, reason)
    except Ended as error:
        yield Failure("process", f"there is no second process ({error})")


def _reason(check: _Check, folder: Path, second: Second) -> str:
    """What is wrong according to a check; empty where nothing is.

    Raises:
        Hung: It took too long.
        Ended: There is no second process any more.
    """
    try:
        check.attempt(folder, second)
    except _Wrong as error:
        return str(error)
    except OSError as error:
        return f"{check.thing} fails ({error.strerror or error})"
    except (sqlite3.Error, Refused) as error:
        return f"{check.thing} fails ({error})"
    return ""


class _Wrong(Exception):
    """An attempt went otherwise than it must; the text says how."""


def _try_lock(folder: Path, second: Second) -> None:
    stays = "a lock stays taken that nobody holds"
    _require(second.ask("lock") == DONE, stays)
    with locked(folder) as held:
        _require(held, stays)
        _require(second.ask("lock") == TAKEN, "two processes got the same lock at a time")
    _require(second.ask("lock") == DONE, stays)


def _try_database(folder: Path, second: Second) -> None:
    stays = "an SQLite database is locked that nobody uses"
    lost = "a process does not find what another wrote to an SQLite database"
    _require(second.ask("row") != TAKEN, stays)
    with transaction(folder) as rows:
        _require(rows is not None, stays)
        _require(rows == 2, lost)
        # Where both write, this one must not commit any more, which would fail and hide why.
        _require(second.ask("row") == TAKEN, "two processes wrote to one SQLite database at a time")
    _require(second.ask("rows") == "2", lost)


def _try_rename(folder: Path, second: Second) -> None:
    for came in (second.ask("rename"), replace_file(folder)):
        _require(came == DONE, came)


def _try_fsync(folder: Path, second: Second) -> None:
    second.ask("fsync")
    sync_file(folder)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Wrong(otherwise)


_CHECKS = (
    _Check("lock", "taking a lock", "nothing would keep two runs from writing to one study", _try_lock),
    _Check("sqlite", "writing to an SQLite database", "the database of the study could be damaged", _try_database),
    _Check("rename", "renaming a file over another", "the record of the study could be damaged", _try_rename),
    _Check("fsync", "forcing a file to the disk", "what was found could be lost with the power", _try_fsync),
)

CHECKS = tuple(check.name for check in _CHECKS)
"""What is tried, in this order: ``lock``, ``sqlite``, ``rename``, ``fsync``."""


def _risk(name: str) -> str:
    return next(check.risk for check in _CHECKS if check.name == name)


def _listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _full(place: Path) -> bool:
    """Whether the disk is full, which explains whatever else fails."""
    try:
        return not has_room(place, LITTLE)
    except OSError:
        return False
