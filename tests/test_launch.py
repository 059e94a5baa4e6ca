"""What happens around a run: signals, and a disk that is full when the storage is opened."""

import os
import signal
import sqlite3

import pytest

from hpsearch import running
from hpsearch.errors import RunError
from hpsearch.strategies.database import StorageError
from hpsearch.study.folder import StudyFolder


class Stopped:
    """Notes what stops it, as a coordinator; and whether the terminal is gone, as a watcher."""

    def __init__(self):
        self.reasons = []
        self.alone = False

    def stop(self, why):
        self.reasons.append(why)


@pytest.fixture
def hangup(request):
    """What becomes of SIGHUP before a run begins."""
    before = signal.signal(signal.SIGHUP, request.param)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("hangup", [signal.SIG_DFL], indirect=True)
def test_a_lost_terminal_stops_a_run(hangup):
    seen = Stopped()
    with running.heeding_signals(seen, seen):
        os.kill(os.getpid(), signal.SIGHUP)
    assert (seen.reasons, seen.alone) == (["by SIGHUP"], True)


@pytest.mark.parametrize("hangup", [signal.SIG_IGN], indirect=True)
def test_under_nohup_it_does_not(hangup):
    seen = Stopped()
    with running.heeding_signals(seen, seen):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
    assert seen.reasons == ["by SIGTERM"]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def full():
    """As Optuna says it, which was told by SQLAlchemy, which was told by SQLite."""
    try:
        raise sqlite3.OperationalError("database or disk is full")
    except sqlite3.OperationalError as error:
        raise StorageError("An exception is raised during the commit.") from error


def test_a_disk_that_was_full_for_a_moment_does_not_keep_the_storage_closed(tmp_path):
    attempts = []

    def open_():
        attempts.append(1)
        return full() if len(attempts) < 3 else "opened"

    assert running.opened(StudyFolder(tmp_path), open_) == "opened"


def test_one_that_stays_full_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "has_room", lambda path, wanted: False)
    with pytest.raises(RunError, match=f"^The disk that holds {tmp_path} is full; make room, then the same command"):
        running.opened(StudyFolder(tmp_path), full)


def test_what_is_wrong_for_another_reason_is_not_tried_again(tmp_path):
    attempts = []

    def open_():
        attempts.append(1)
        raise StorageError("no such table")

    with pytest.raises(StorageError, match="no such table"):
        running.opened(StudyFolder(tmp_path), open_)
    assert len(attempts) == 1
