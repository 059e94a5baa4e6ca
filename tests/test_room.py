"""A full disk: recognised whoever says so, waited for, and harmful to nothing that is on it."""

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess

import pytest

from hpsearch.study import atomic, room
from hpsearch.study.atomic import append_text, write_json, write_text
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.live import Live, write_live
from hpsearch.study.requests import enqueue, request_stop
from hpsearch.study.room import disk_full, free_bytes, has_room, wait_for_room
from hpsearch.study.trial import Trial

INFO = StudyInfo("mine", "max val_accuracy", "mine.py", "", "", "", "", ["a", "b"], 2, 1, None, 0, None, 1.5)
LONG = "x" * 10_000
"""More than fits into the last page of a file that is there."""


def no_room():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SmallDisk:
    """A disk of one megabyte."""

    def __init__(self, path):
        self.path = path

    def fill(self):
        """Write until nothing more can be written."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self):
        (self.path / "filler").unlink(missing_ok=True)

    def texts(self):
        """Every file but the filler with its content."""
        return {path: path.read_bytes() for path in self.path.rglob("*") if path.is_file() and path.name != "filler"}


@pytest.fixture
def disk(tmp_path):
    """A disk of its own; only who may mount one can make it."""
    mount, path = shutil.which("mount"), tmp_path / "disk"
    path.mkdir()
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a disk of its own cannot be mounted here")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", path], check=True)  # SQLite's connections are closed when nobody needs them


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
        before = disk.texts()
        with pytest.raises(OSError, match="No space left") as caught:
            WRITERS[writer](study, LONG)
        assert disk_full(caught.value)
        assert disk.texts() == before
        disk.free()
        WRITERS[writer](study, LONG)
        assert disk.texts() != before or writer == "request"

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
        before = SmallDisk(tmp_path).texts()
        with monkeypatch.context() as full:
            if moment == "write":
                full.setattr(atomic, "open", torn, raising=False)
            else:
                full.setattr(atomic.os, moment, refuse)
            with pytest.raises(OSError, match="No space left"):
                WRITERS[writer](study, LONG)
        assert SmallDisk(tmp_path).texts() == before
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
        assert not disk.texts()

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

    def test_waiting_ends_with_room(self, disk):
        waited = []

        def wait(seconds):
            waited.append(seconds)
            if len(waited) == 3:
                disk.free()

        disk.fill()
        assert wait_for_room(disk.path / "x", 1000, lambda: False, wait)
        assert len(waited) == 3
        assert wait_for_room(disk.path / "x", 1000, lambda: True, wait)
        assert len(waited) == 3

    def test_waiting_ends_when_it_is_told_to(self, disk):
        disk.fill()
        said = iter([False, False, True])
        waited = []
        assert not wait_for_room(disk.path, 1, lambda: next(said), waited.append)
        assert len(waited) == 2
