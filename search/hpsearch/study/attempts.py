"""What is attempted in a folder to find out whether a study can lie there.

This process imports it; a second one runs it as a program, which imports little so that it starts at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["DONE", "TAKEN", "answer", "locked", "replace_file", "sync_file", "transaction"]

DONE = "done"
TAKEN = "taken"
"""Somebody else has the lock, or writes to the database."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a lock, as `hpsearch.study.lock` does; False where somebody else has it, who is not waited for.

    Args:
        folder: Where the lock file lies; it is made when it is missing.

    Raises:
        OSError: It can be neither taken nor let go.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        held = _take(descriptor)
        try:
            yield held
        finally:
            if held:  # closing would not be enough where another thread has forked meanwhile
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


@contextlib.contextmanager
def transaction(folder: Path) -> Iterator[int | None]:
    """Write a row to a database, as Optuna's storage does, with a journal that is deleted after each transaction.

    Args:
        folder: Where the database lies; it is made when it is missing.

    Returns:
        How many rows there are; None where somebody else writes, who is not waited for. It is committed in the end.

    Raises:
        OSError: The database cannot be written, in a form that is not SQLite's.
        sqlite3.Error: SQLite cannot write it.
    """
    with _connected(folder) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error):
                raise
            yield None
            return
        connection.execute("CREATE TABLE IF NOT EXISTS rows (writer INTEGER)")
        connection.execute("INSERT INTO rows VALUES (?)", (os.getpid(),))
        yield _count(connection)
        connection.execute("COMMIT")


def _connected(folder: Path) -> contextlib.closing[sqlite3.Connection]:
    """The database; it is closed in the end, and nobody is waited for."""
    return contextlib.closing(sqlite3.connect(folder / "study.db", timeout=0, isolation_level=None))


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM rows").fetchone()[0])


def replace_file(folder: Path) -> str:
    """Rename a file over another, as `hpsearch.study.atomic` does.

    Args:
        folder: Where both lie.

    Returns:
        What came of it: `DONE`, or what is wrong, in words.

    Raises:
        OSError: It is refused.
    """
    path, temporary = folder / "study.json", folder / ".study.json.tmp"
    path.write_text("old", encoding="ascii")
    temporary.write_text("new", encoding="ascii")
    before = {*folder.iterdir()}
    os.replace(temporary, path)
    if path.read_text(encoding="ascii") != "new":
        return "a file kept its old content when another was renamed over it"
    if {*folder.iterdir()} != before - {temporary}:
        return "renaming a file over another left more than one"
    return DONE


def sync_file(folder: Path) -> str:
    """Force a file to the disk, as `hpsearch.study.atomic` does; it relies on nothing of the kind for folders.

    Args:
        folder: Where it lies.

    Raises:
        OSError: It is refused.
    """
    with open(folder / "trial.json", "w", encoding="ascii") as file:
        file.write("{}")
        file.flush()
        os.fsync(file.fileno())
    return DONE


def answer(attempt: str, folder: Path) -> str:
    """What came of an attempt, as the second process says it in a line.

    Args:
        attempt: Its name.
        folder: Where it is made.

    Returns:
        `DONE`, `TAKEN`, a number of rows or what is wrong; after ``error``, what the system or SQLite says.
    """
    try:
        return _ATTEMPTS[attempt](folder)
    except OSError as error:
        return f"error {error.strerror or error}"
    except sqlite3.Error as error:
        return f"error {error}"


def _lock(folder: Path) -> str:
    with locked(folder) as held:
        return DONE if held else TAKEN


def _add_row(folder: Path) -> str:
    with transaction(folder) as rows:
        return TAKEN if rows is None else str(rows)


def _count_rows(folder: Path) -> str:
    with _connected(folder) as connection:
        return str(_count(connection))


_ATTEMPTS = {"lock": _lock, "row": _add_row, "rows": _count_rows, "rename": replace_file, "fsync": sync_file}


def _serve(folder: Path) -> None:
    """Attempt what each line asks for, until there are no more."""
    print(DONE, flush=True)  # noqa: T201  # it has started
    for line in sys.stdin:
        print(answer(line.strip(), folder), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
