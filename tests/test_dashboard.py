"""optuna-dashboard on a study: what it is given is a copy, and a run is not disturbed."""

import contextlib
import sqlite3
import subprocess
import sys
import threading

import pytest

from hpsearch.errors import StudyError
from hpsearch.study.snapshot import Snapshot


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "study.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE numbers (value INTEGER)")
        connection.execute("INSERT INTO numbers VALUES (0)")
        connection.commit()
    return path


def values(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM numbers ORDER BY value")]


def test_a_copy_follows_its_database_while_somebody_reads_it(database, tmp_path):
    snapshot = Snapshot(database, tmp_path / "copy.db")
    assert snapshot.refresh()
    with contextlib.closing(sqlite3.connect(snapshot.copy)) as reader:
        assert reader.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
        with contextlib.closing(sqlite3.connect(database)) as writer:
            writer.execute("INSERT INTO numbers VALUES (1)")
            writer.commit()
        assert snapshot.refresh()
        assert reader.execute("SELECT count(*) FROM numbers").fetchone() == (2,)
    assert not snapshot.refresh(), "nothing has changed"


def test_what_happens_to_the_copy_does_not_happen_to_the_database(database, tmp_path):
    before = database.read_bytes()
    snapshot = Snapshot(database, tmp_path / "copy.db")
    snapshot.refresh()
    with contextlib.closing(sqlite3.connect(snapshot.copy)) as connection:
        connection.execute("DROP TABLE numbers")
        connection.commit()
    assert database.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"study.db", "copy.db"}


def test_a_writer_that_commits_all_the_time_never_fails(database, tmp_path):
    snapshot, failures = Snapshot(database, tmp_path / "copy.db"), []
    done = threading.Event()

    def write():
        try:
            with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
                for number in range(1, 201):
                    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
                    connection.commit()
        except sqlite3.Error as error:
            failures.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        snapshot.refresh()
        found = values(snapshot.copy)
        assert found == list(range(len(found))), "a copy is of one moment"
    writer.join()
    snapshot.refresh()
    assert failures == []
    assert values(snapshot.copy) == list(range(201))


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE numbers SET value = 99")
for number in range(5000):
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
os._exit(1)
"""


def test_what_a_killed_run_left_half_written_is_not_copied_nor_touched(database, tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False)
    journal = database.with_name("study.db-journal")
    assert journal.exists(), "it was killed in the middle of a write"
    before = database.read_bytes(), journal.read_bytes()
    (tmp_path / "place").mkdir()
    snapshot = Snapshot(database, tmp_path / "place" / "copy.db")
    snapshot.refresh()
    assert values(snapshot.copy) == [0]
    assert (database.read_bytes(), journal.read_bytes()) == before


def test_a_file_that_is_no_database_is_one_sentence(tmp_path):
    (tmp_path / "study.db").write_text("no database at all, but text that is long enough to be looked at" * 20)
    with pytest.raises(StudyError, match=r"study\.db cannot be read"):
        Snapshot(tmp_path / "study.db", tmp_path / "copy.db").refresh()


def test_without_optuna_dashboard_one_sentence_says_how_to_get_it(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli("dashboard", "--results", tmp_path).sentence.endswith("with: pip install 'hpsearch[dashboard]'")
