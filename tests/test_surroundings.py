"""Faults of what is around a command: closed and full streams, long names, locks that fail, folders too deep."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpsearch.cli.main import main
from hpsearch.cli.output import say
from hpsearch.errors import InputError, OutputError, RunError, StudyError
from hpsearch.events import Patient, Silent
from hpsearch.executors import local, server
from hpsearch.executors.base import WorkerDied
from hpsearch.limits import Target
from hpsearch.running import writing_record
from hpsearch.strategies.database import StorageError, check_database
from hpsearch.study.folder import StudyFolder, checked_name
from hpsearch.training.pipe import refusal
from studies import begin

SOURCE = Path(__file__).resolve().parents[1] / "search"
START = [sys.executable, "-c", "from hpsearch.cli.main import main; main(prog_name='hpsearch')"]
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


def command(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run([*START, *arguments], env=environment, text=True, check=False, **options)


class TestStreams:
    @full
    @pytest.mark.parametrize("arguments", [("studies", "--results", "nowhere", "--json"), ("--help",)])
    def test_a_full_one_is_told_in_a_sentence(self, arguments):
        with open("/dev/full", "w") as out:
            done = command(*arguments, stdout=out, stderr=subprocess.PIPE)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "tandard output cannot be" in line
        assert line.endswith("No space left on device.")

    def test_closed_ones_are_no_matter(self):
        """A file that is opened later must not take their place."""
        held = "import os, sys; from hpsearch.cli.main import _open_streams; [os.close(n) for n in range(3)]; "
        held += "sys.stdin = sys.stdout = sys.stderr = None; _open_streams(); print('x'); "
        held += "os._exit(0 if os.open(os.devnull, os.O_RDONLY) > 2 else 1)"
        done = subprocess.run([sys.executable, "-c", held], env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False)
        assert done.returncode == 0

    @full
    def test_a_run_goes_on_without_one_that_fills_up(self, monkeypatch):
        class Printing(Silent):
            def note(self, sentence):
                say(sentence)

        watcher = Patient(Printing())
        with contextlib.suppress(OSError), open("/dev/full", "w") as out:  # what is left to write fails once more
            monkeypatch.setattr(sys, "stdout", out)
            with pytest.raises(OutputError):
                say("to whoever reads")
            watcher.note("a trial ended")
        monkeypatch.undo()
        assert watcher.alone

    def test_any_other_file_is_named(self, monkeypatch, capsys):
        def broken(*_, **__):
            raise OSError(errno.EIO, os.strerror(errno.EIO), "/mnt/share/study.json")

        monkeypatch.setattr("hpsearch.study.folder.studies_in", broken)
        monkeypatch.setattr("hpsearch.cli.reading.studies_in", broken)
        with pytest.raises(SystemExit) as ended:
            main.main(["studies"], prog_name="hpsearch")
        assert ended.value.code == 1
        assert capsys.readouterr().err == "Error: /mnt/share/study.json cannot be used: Input/output error.\n"


def test_a_name_that_no_folder_can_have():
    assert checked_name("n" * 200)
    with pytest.raises(StudyError, match=r"^--study got a name of 300 characters; allowed: at most 200 letters"):
        checked_name("n" * 300)


def test_a_results_folder_whose_name_is_too_long(cli):
    said = cli("run", "spaces/digits.py", "--results", "r" * 300)
    assert said.sentence == f"The study cannot be written to {'r' * 300}/digits: File name too long."


def test_a_lock_that_can_be_neither_taken_nor_looked_at(tmp_path, monkeypatch):
    study = StudyFolder(tmp_path / "ants")
    with study.writing():
        pass

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    sentence = (
        r"^The lock .*/ants/lock can be neither taken nor looked at: Input/output error; choose a folder on another"
    )
    with pytest.raises(StudyError, match=sentence), study.writing():
        pass
    with pytest.raises(StudyError, match=sentence):
        study.holder()


class TestStart:
    def test_a_long_folder_for_temporary_files_is_no_place_for_sockets(self, tmp_path, monkeypatch):
        deep = tmp_path / ("x" * 100)
        deep.mkdir()
        made = []
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        monkeypatch.setattr("multiprocessing.util.get_temp_dir", lambda: made.append(tempfile.gettempdir()))
        server._have_room_for_sockets()
        assert made
        assert len(made[0]) <= 60
        assert tempfile.tempdir == str(deep), "for everything else it stays"

    def test_where_no_short_one_can_be_written_tmpdir_is_named(self, tmp_path, monkeypatch):
        deep = str(tmp_path / ("x" * 100))
        monkeypatch.setattr(tempfile, "tempdir", deep)
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(
            WorkerDied, match=f"TMPDIR is {deep}, too long a path for sockets; set it to a folder of at"
        ):
            server._have_room_for_sockets()

    def test_a_process_that_cannot_be_started_says_why(self, monkeypatch):
        def none_left(*_):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr(local, "_forked", none_left)
        with pytest.raises(
            WorkerDied, match=r"^no worker process could be started: Resource temporarily unavailable\.$"
        ):
            local.LocalWorker()

    def test_one_that_ends_at_once_says_why(self, monkeypatch, tmp_path):
        def gone(*_):
            raise EOFError

        tmp_path.joinpath("keras.py").write_text("raise SystemExit('libfoo.so: cannot open')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(local, "_forked", gone)
        with pytest.raises(WorkerDied, match=r"ends at once, with exit code 1: libfoo.so: cannot open\.$"):
            local.LocalWorker()

    def test_a_broken_installation_is_told_without_a_traceback(self):
        said = refusal(ImportError("libfoo.so: cannot open"))
        assert (said.exit_code, said.sentence) == (
            1,
            "What trains cannot be loaded here (libfoo.so: cannot open); install it anew, or say another --backend.",
        )


def test_a_file_that_keeps_a_worker_from_getting_ready_is_named():
    error = OSError(errno.ELOOP, os.strerror(errno.ELOOP), "photos/a/p2.png")
    assert refusal(error).sentence == "photos/a/p2.png cannot be used: Too many levels of symbolic links."


def test_a_disk_that_fails_is_not_told_of_as_another_database(tmp_path, monkeypatch):
    import sqlite3

    file = tmp_path / "study.db"
    file.write_bytes(b"SQLite format 3\0" + bytes(10))

    def connect(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StudyError, match="is not an SQLite database"):
        check_database(file)
    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(StudyError, match=r"study.db cannot be read or written \(disk I/O error\); is the disk full"):
        check_database(file)


class TestUntil:
    @pytest.mark.parametrize(
        ("text", "metric", "maximize", "meant"),
        [
            ("val_accuracy<=0.9", "val_accuracy", True, "val_accuracy>=0.9"),
            ("val_accuracy<0.9", "val_accuracy", True, "val_accuracy>0.9"),
            ("val_loss>=0.1", "val_loss", False, "val_loss<=0.1"),
        ],
    )
    def test_what_the_first_epoch_reaches_is_refused_with_the_other_sign(self, text, metric, maximize, meant):
        with pytest.raises(InputError) as caught:
            Target.parse(text).check(metric, maximize)
        assert str(caught.value).endswith(f'say "{meant}".')

    @pytest.mark.parametrize("text", ["val_accuracy>=0.9", "val_loss>=0.1", "val_loss<=0.1"])
    def test_others_are_let_through(self, text):
        Target.parse(text).check("val_accuracy", True)

    def test_the_command_refuses_it_before_anything_is_loaded(self, cli, tmp_path):
        said = cli("run", "spaces/digits.py", "--until", "val_accuracy<=0.9", "--results", tmp_path)
        assert 'say "val_accuracy>=0.9"' in said.sentence
        assert not any(tmp_path.iterdir())


class TestLostStudy:
    """A run whose lock or folder is taken away notices before its next write, and writes nothing more."""

    @pytest.fixture
    def study(self, tmp_path):
        return begin(tmp_path, "ants")

    def test_a_lock_that_was_removed(self, study):
        with study.writing():
            study.check_held()
            (study.path / "lock").unlink()
            with pytest.raises(RunError, match=r"ants/lock was removed, or the folder was moved, while this run wrote"):
                study.check_held()
            with StudyFolder(study.path).writing():  # another run
                assert study.lost
        assert not study.lost

    def test_a_folder_that_was_moved(self, study, tmp_path):
        with study.writing():
            study.path.rename(tmp_path / "bees")
            assert study.lost

    def test_a_database_that_was_removed_is_named(self, study):
        study.trial(0).path.mkdir(parents=True)
        sentence = r"ants/study\.db was removed or moved while this run wrote to it; put it back"
        with pytest.raises(RunError, match=sentence), writing_record(study):
            raise StorageError("An exception is raised during the commit.")

    def test_what_lies_below_is_said(self, study):
        error = StorageError("An exception is raised during the commit.")
        error.__cause__ = OSError("file is not a database")
        sentence = r"cannot be written: file is not a database\. The same command goes on"
        with pytest.raises(RunError, match=sentence), writing_record(study):
            raise error
