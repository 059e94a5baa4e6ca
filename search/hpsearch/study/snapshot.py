"""A copy of a study's database for programs that nobody vouches for: whatever they do, the run's own is not touched."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import quote

from hpsearch.errors import StudyError

__all__ = ["Snapshot"]

PATIENCE = 30.0
"""Seconds to wait for a writer, which commits within milliseconds."""


class Snapshot:
    """A copy of an SQLite database that is brought up to date in place, while others have it open.

    The database is opened for reading only, for the milliseconds that copying takes; a writer that commits just then
    waits for them. The copy is made by SQLite's own backup, in one transaction on either side.

    Args:
        database: The database; it may be written to at any time.
        copy: The copy.
    """

    def __init__(self, database: Path, copy: Path) -> None:
        self.database = database
        self.copy = copy
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """Bring the copy up to date, if the database has changed.

        Returns:
            Whether it had.

        Raises:
            StudyError: It cannot be read.
        """
        try:
            now = self.database.stat()
            if (now.st_mtime_ns, now.st_size) == self._seen:
                return False
            self._copied()
        except (OSError, sqlite3.Error) as error:
            raise StudyError(f"{self.database} cannot be read: {error}.") from error
        self._seen = now.st_mtime_ns, now.st_size
        return True

    def _copied(self) -> None:
        try:
            self._backed_up(self.database, "ro")
        except sqlite3.OperationalError:
            journal = Path(f"{self.database}-journal")
            if not journal.exists():
                raise
            # A run was killed while it wrote. Taking that back is writing: it is done on files of our own.
            aside = self.copy.with_name("killed.db")
            shutil.copyfile(journal, f"{aside}-journal")
            shutil.copyfile(self.database, aside)
            self._backed_up(aside, "rw")

    def _backed_up(self, source: Path, mode: str) -> None:
        uri = f"file:{quote(str(source.resolve()))}?mode={mode}"
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as read,
            contextlib.closing(sqlite3.connect(self.copy, timeout=PATIENCE)) as written,
        ):
            read.backup(written)
