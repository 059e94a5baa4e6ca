"""A full disk: recognised whoever says so, waited for, and harmful to nothing that is on it."""

import contextlib
import errno
import os
import sqlite3

import pytest

from hpsearch.study import atomic, room
from hpsearch.study.atomic import append_text, write_json, write_text
from hpsearch.study.folder import StudyFolder
from hpsearch.study.live import Live, write_live
from hpsearch.study.requests import enqueue, request_stop
from hpsearch.study.room import disk_full, free_bytes, has_room, written
from hpsearch.study.trial import Trial
from studies import info_of

INFO = info_of("mine")
LONG = "x" * 10_000
"""More than fits into the last page of a file that is there."""


def no_room():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(small_disk):
    return small_disk("1m")


def texts(folder):
    """Every file but the filler with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "filler"}


def live(seconds, note=""):
    return Live(1, "here", "x", 1.0, 1.0, seconds, "running", note)


WRITERS = {
    "text": lambda study, text: write_text(study.path / "text", text),
    "unsynced text": lambda study, text: write_text(study.path / "text", text, sync=False),
    "json": lambda study, text: write_json(study.path / "text", [text]),
    "line": lambda study, text: append_text(study.path / "text", text + "\n"),
    "study": lambda study, text: study.write_info(INFO.__class__(**{**vars(INFO), "space_text": text})),
    "trial": lambda study, text: study.trial(3).write(Trial(number=3, recipe="Recipe()", message=text)),
    "recipe of a trial": lambda study, text: study.trial(3).write(Trial(number=3, recipe=text or "Recipe()")),
    "run": lambda study, text: write_live(study, live(1.0, text)),
    "queue": lambda study, text: enqueue(study, "mine", text, (), "abc"),
    "request": lambda study, text: request_stop(study),
}


MOMENTS = {
    "line": ("write",),
    **dict.fromkeys(("unsynced text", "run"), ("write", "replace")),
}
"""The steps of a write that the system may refuse; all three of them where nothing is said."""


class TestWriters:
    @pytest.mark.parametrize("writer", WRITERS)
    def test_a_full_disk_harms_nothing_and_room_mends_it(self, disk, writer):
        study = StudyFolder(disk.path / "mine")
        study.create(INFO, "space = 1\n")
        WRITERS[writer](study, "")
        disk.fill()
        before = texts(disk.path)
        with pytest.raises(OSError, match="No space left") as caught:
            WRITERS[writer](study, LONG)
        assert disk_full(caught.value)
        assert texts(disk.path) == before
        disk.free()
        WRITERS[writer](study, LONG)
        assert texts(disk.path) != before or writer == "request"

    @pytest.mark.parametrize(
        ("writer", "moment"),
        [(writer, moment) for writer in WRITERS for moment in MOMENTS.get(writer, ("write", "fsync", "replace"))],
    )
    def test_an_error_at_each_moment_leaves_the_old_files(self, tmp_path, monkeypatch, writer, moment):
        """The same where no disk can be mounted: the system refuses at each step of a write."""

        def refuse(*_):
            raise no_room()

        def torn(path, mode, **options):
            """A file that takes the first half of what is written."""
            file = open(path, mode, **options)  # noqa: SIM115  # closed by whoever uses it

            class Torn:
                __enter__ = lambda self: self  # noqa: E731
                __exit__ = lambda self, *_: file.close()  # noqa: E731
                __getattr__ = lambda self, name: getattr(file, name)  # noqa: E731

                def write(self, data):
                    file.write(data[: len(data) // 2])
                    raise no_room()

            return Torn()

        study = StudyFolder(tmp_path / "mine")
        study.create(INFO, "space = 1\n")
        WRITERS[writer](study, "")
        before = texts(tmp_path)
        with monkeypatch.context() as full:
            if moment == "write":
                full.setattr(atomic, "open", torn, raising=False)
            else:
                full.setattr(atomic.os, moment, refuse)
            with pytest.raises(OSError, match="No space left"):
                WRITERS[writer](study, LONG)
        assert texts(tmp_path) == before
        WRITERS[writer](study, LONG)


class TestRecognised:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_what_the_system_says(self, number):
        assert disk_full(OSError(number, os.strerror(number)))

    @pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), ValueError("full of errors"), KeyboardInterrupt()])
    def test_anything_else(self, error):
        assert not disk_full(error)

    def test_what_it_came_of(self):
        for link in ("__cause__", "__context__"):
            outer = RuntimeError("wrapped")
            setattr(outer, link, sqlite3.OperationalError("database or disk is full"))
            assert disk_full(outer)

    def test_a_chain_that_bites_its_tail_ends(self):
        first, second = ValueError("a"), ValueError("b")
        first.__context__, second.__context__ = second, first
        assert not disk_full(first)

    def test_what_optuna_makes_of_it(self, disk):
        """Nothing is lost or half written, and the same call goes through when there is room."""
        import optuna

        database = disk.path / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
        study = optuna.create_study(study_name="mine", storage=storage)
        trial = study.ask()
        calls = {
            "ask": study.ask,
            "suggest": lambda: trial.suggest_float("x", 0, 1),
            "report": lambda: trial.report(0.5, 1),
            "tell": lambda: study.tell(trial, 0.5),
        }
        for name, call in calls.items():
            disk.fill()
            before = len(study.get_trials(deepcopy=False))
            with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
                call()
            assert disk_full(caught.value), name
            assert len(study.get_trials(deepcopy=False)) == before
            disk.free()
            call()
        with contextlib.closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = optuna.load_study(study_name="mine", storage=f"sqlite:///{database}").trials
        assert [each.state.name for each in stored] == ["COMPLETE", "RUNNING"]
        assert stored[0].intermediate_values == {1: 0.5}

    def test_a_database_that_cannot_be_begun(self, disk):
        import optuna

        def begin():
            storage = optuna.storages.RDBStorage(f"sqlite:///{disk.path / 'study.db'}")
            return optuna.create_study(study_name="mine", storage=storage, load_if_exists=True)

        disk.fill()
        with pytest.raises(Exception, match="disk is full") as caught:
            begin()
        assert disk_full(caught.value)
        disk.free()
        assert begin().ask().number == 0


class TestRoom:
    def test_what_is_free_is_what_can_be_written(self, disk):
        free = free_bytes(disk.path / "not" / "there")
        assert 0 < free <= 1 << 20
        assert has_room(disk.path / "not" / "there.npz", free)
        assert not has_room(disk.path, free + 4096)
        disk.fill()
        assert free_bytes(disk.path) == 0
        assert not has_room(disk.path, 1)
        assert not texts(disk.path)

    def test_a_quota_that_the_disk_does_not_tell_of(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

        monkeypatch.setattr(room.os, "posix_fallocate", refuse)
        assert not has_room(tmp_path, 1)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_system_that_cannot_set_room_aside(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(room.os, "posix_fallocate", refuse)
        assert has_room(tmp_path, 1)
        assert list(tmp_path.iterdir()) == []

    def test_a_write_is_done_again_until_there_is_room(self, disk):
        heard = []

        def wait(error):
            heard.append(error.errno)
            if len(heard) == 3:
                disk.free()

        disk.fill()
        file = disk.path / "text"
        written(file, lambda: write_text(file, LONG), wait)
        assert heard == [errno.ENOSPC] * 3
        assert file.read_text() == LONG

    def test_whoever_waits_may_give_up(self, disk):
        disk.fill()

        def give_up(error):
            raise KeyboardInterrupt from error

        with pytest.raises(KeyboardInterrupt):
            written(disk.path, lambda: write_text(disk.path / "text", LONG), give_up)

    @pytest.mark.parametrize(("error", "times"), [(no_room(), 10), (PermissionError("no"), 1)])
    def test_what_fails_although_there_is_room_is_not_tried_for_ever(self, tmp_path, error, times):
        tried = []

        def write():
            tried.append(1)
            raise error

        with pytest.raises(OSError, match=str(error).split()[-1]):
            written(tmp_path, write, lambda _: None)
        assert len(tried) == times
