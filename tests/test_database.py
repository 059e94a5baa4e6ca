"""Optuna's storage, as a run that was killed leaves it."""

import signal
import subprocess
import sys

import pytest

from hpsearch.errors import StudyError
from hpsearch.strategies.optuna import Record, check_database

HALF_WRITTEN = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 1")  # so that what is not committed is written all the same
connection.execute("BEGIN")
connection.execute("DELETE FROM trials")
connection.execute("CREATE TABLE filler (text TEXT)")
connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 1000,)] * 1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def database(tmp_path):
    """With one trial in it."""
    path = tmp_path / "study.db"
    Record(path, "mine", maximize=True).study.ask()
    return path


def test_what_was_killed_in_the_middle_of_a_write_is_taken_back(database):
    killed = subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(database)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (database.parent / "study.db-journal").stat().st_size > 0
    check_database(database)
    assert len(Record(database, "mine", maximize=True).trials()) == 1


def test_a_database_that_is_missing_is_not_made_by_the_check(tmp_path):
    check_database(tmp_path / "study.db")
    assert list(tmp_path.iterdir()) == []


def test_another_database_is_refused(tmp_path):
    import sqlite3

    other = tmp_path / "study.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    with pytest.raises(StudyError, match="is an SQLite database, but not one of Optuna"):
        check_database(other)
