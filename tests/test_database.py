"""Optuna's storage: as a run that was killed leaves it, and what is known of it without a look."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hpsearch.addresses import Parameter
from hpsearch.domains import Between
from hpsearch.errors import StudyError
from hpsearch.strategies.database import StorageError, check_database
from hpsearch.strategies.optuna import Record

X = Parameter("x", Between(0.0, 1.0))
WIDTH = Parameter("width", Between(2, 64))

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


@pytest.fixture
def reads(monkeypatch):
    """A list that grows with every time that trials are read from the file."""
    found, real = [], RDBStorage._get_trials

    def counted(*arguments, **named):
        found.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(RDBStorage, "_get_trials", counted)
    return found


class TestReading:
    def test_nothing_that_was_written_here(self, tmp_path, reads):
        record = Record(tmp_path / "study.db", "mine", maximize=True)
        number = record.open({}).number
        reads.clear()
        for epoch in (1, 2):
            record.report(number, epoch, 0.5)
            record.note(number, "like", epoch)
            record.trials()
        assert reads == []
        record.end(number, TrialState.COMPLETE, 0.5, feasible=True)
        assert record.trials()[number].value == 0.5
        assert reads == []
        (there,) = Record(tmp_path / "study.db", "mine", maximize=True).trials()
        assert record.trials() == [there], "with the time at which it ended"

    def test_what_holds_an_open_trial_changes_nothing_that_was_read(self, tmp_path):
        record = Record(tmp_path / "study.db", "mine", maximize=True)
        number = record.open({}).number
        read = record.trials()[number]
        twin = record.study._storage.get_trial(read._trial_id)
        twin.params["x"], twin.user_attrs["like"], twin.intermediate_values[1] = 0.5, 3, 0.5
        record.report(number, 1, 0.7)
        assert (read.params, read.user_attrs, read.intermediate_values) == ({}, {}, {})
        assert record.trials()[number].intermediate_values == {1: 0.7}


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["draft", "choose", "note", "report", "complete", "prune", "fail"]),
        st.sampled_from(["well", "fails", "fails after all"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=10, deadline=None)
@given(writes=WRITES)
def test_what_is_known_is_what_is_written(writes):
    """Whatever is written, and fails to be written, a second look at the file finds what the first one knows."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "study.db"
        record = Record(path, "mine", maximize=True)
        numbers = [record.open({"like": [1, None]}, [(X, 0.25)]).number]
        for what, how, which in writes:
            number = numbers[which % len(numbers)]
            with patch.context() as broken:
                if how != "well":
                    break_next_write(broken, after=how == "fails after all")
                with contextlib.suppress(StorageError, UpdateFinishedTrialError, KeyError):  # some have ended
                    if what == "draft":
                        numbers.append(record.open({"like": which}, [(X, which / 4), (WIDTH, 8)]).number)
                    else:
                        write(record, number, what, which)
            record.trials()
        known = {trial.number: trial for trial in record.trials()}
        assert known == {trial.number: trial for trial in Record(path, "mine", maximize=True).trials()}


def write(record, number, what, which):
    """One write of a kind to an open trial."""
    if what == "choose":
        record.suggest(number, WIDTH)
    elif what == "note":
        record.note(number, "like", (which, "a"))
    elif what == "report":
        record.report(number, which + 1, which / 3)
    else:
        state = {"complete": TrialState.COMPLETE, "prune": TrialState.PRUNED, "fail": TrialState.FAIL}[what]
        score = 0.5 if what == "complete" else None
        record.end(number, state, score, feasible=None if what == "fail" else which > 0)


def break_next_write(patch, *, after):
    """Let the next write to the database fail, before it is made or after."""
    for name in ("_create_new_trial", "_set_trial_param", *WRITERS):
        real = getattr(RDBStorage, name)

        def broken(*arguments, real=real, **named):
            if after:
                real(*arguments, **named)
            raise StorageError("full")

        patch.setattr(RDBStorage, name, broken)


WRITERS = (
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
)
