"""The lock of a study: one holder at a time, free when that dies, named truly, and not disturbed by who looks."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hpsearch.errors import StudyError
from hpsearch.study import lock
from hpsearch.study.folder import StudyFolder
from hpsearch.study.lock import Holder, boot_id

SOURCE = Path(__file__).resolve().parents[1] / "search"

HOLD = """
import sys
from pathlib import Path
from hpsearch.errors import StudyError
from hpsearch.study.folder import StudyFolder

sys.stdin.readline()
try:
    with StudyFolder(Path(sys.argv[1])).writing():
        print("held", flush=True)
        sys.stdin.read()
except StudyError as error:
    print("refused:", error, flush=True)
"""
FORK = """
import os, subprocess, sys
from pathlib import Path
from hpsearch.study.folder import StudyFolder

with StudyFolder(Path(sys.argv[1])).writing():
    started = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdout=subprocess.DEVNULL)
    forked = os.fork()
    if forked == 0:
        os.write(1, b"forked\\n")  # only now has it let go of what it shares
        sys.stdin.read()
        os._exit(0)
    os.write(1, f"{started.pid} {forked}\\n".encode())
    sys.stdin.read()
"""


@pytest.fixture
def study(tmp_path):
    return StudyFolder(tmp_path / "mine")


@pytest.fixture
def impatient(monkeypatch):
    """The lock counts as taken at once."""
    monkeypatch.setattr(lock, "PATIENCE", 0.0)


@pytest.fixture
def process(study):
    """Start a program that gets the folder of the study; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(code):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
            started = subprocess.Popen([sys.executable, "-c", code, study.path], env=environment, **pipes)
            stack.callback(started.communicate)
            stack.callback(started.kill)
            return started

        yield start


def go(started):
    started.stdin.write("\n")
    started.stdin.flush()


def say(study, **said):
    """A lock file with a text that nobody holds."""
    study.path.mkdir(exist_ok=True)
    (study.path / "lock").write_text(json.dumps(said))


def test_one_writer_at_a_time_whose_death_frees_it(study, impatient, process):
    before = time.time()
    first = process(HOLD)
    go(first)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(StudyError) as caught, study.writing():
        pass
    assert f"is being written by process {first.pid} on {os.uname().nodename} since 2" in str(caught.value)
    assert "hpsearch stop --study mine" in str(caught.value)
    holder = study.holder()
    assert (holder.pid, holder.host, holder.boot) == (first.pid, os.uname().nodename, boot_id())
    assert before <= holder.since <= time.time()
    first.kill()
    first.wait()
    assert study.holder() is None
    with study.writing():
        assert study.holder().pid == os.getpid()
    assert not study.held


def test_of_several_that_begin_at_once_exactly_one_wins(study, process):
    runs = [process(HOLD) for _ in range(4)]
    for each in runs:
        go(each)
    said = [each.stdout.readline() for each in runs]
    assert sum(line == "held\n" for line in said) == 1, said
    winner = runs[said.index("held\n")]
    assert all(f"process {winner.pid} on " in line for line in said if line != "held\n"), said


def test_neither_forked_nor_started_children_keep_the_lock(study, process):
    """A parent that is killed leaves its children behind for a while; the lock is free all the same."""
    parent = process(FORK)
    lines = {parent.stdout.readline().strip() for _ in range(2)}
    children = [int(word) for line in lines - {"forked"} for word in line.split()]
    assert len(children) == 2
    assert study.holder().pid == parent.pid
    parent.kill()
    parent.wait()
    for child in children:
        os.kill(child, 0)  # still there
    with study.writing():
        pass


def test_a_forked_child_that_ends_leaves_the_lock_to_its_parent(study, impatient):
    with study.writing():
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert study.holder().pid == os.getpid()
        with pytest.raises(StudyError, match="is being written by process"), study.writing():
            pass


@pytest.mark.parametrize("boot", ["this", "another"])
def test_a_text_that_names_a_living_process_holds_nothing(study, boot):
    """The number of a dead holder is given to another process, or is in use again after a restart."""
    named = {"pid": os.getppid(), "host": os.uname().nodename, "boot": boot_id() if boot == "this" else "x"}
    say(study, **named, since=1.0)
    assert study.holder() is None
    with study.writing():
        assert study.holder().pid == os.getpid()


@pytest.mark.parametrize(
    "said",
    [
        {"pid": 2**22 + 1},  # more than there can be
        {"since": 1.0},  # before the process began
        {"boot": "x"},
        {"pid": "many"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_holder_is_not_named_by_the_text_of_an_earlier_one(study, impatient, said):
    with study.writing():
        (study.path / "lock").write_text(json.dumps({**vars(Holder.here()), **said}))
        assert study.holder() == Holder()
        with pytest.raises(StudyError, match="is being written by another process; wait"), study.writing():
            pass


def test_a_holder_on_another_machine_is_believed(study):
    with study.writing():
        say(study, pid=3, host="elsewhere", boot="x", since=1.76e9)
        assert str(study.holder()).startswith("process 3 on elsewhere since 2025-10-")


def test_nobody_holds_a_study_that_is_not_there(study):
    assert study.holder() is None
    assert not study.path.exists()


def test_those_who_look_never_keep_a_writer_out(study):
    done = threading.Event()

    def look():
        while not done.is_set():
            study.holder()

    with study.writing():
        pass
    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(50):
            with study.writing():
                assert study.held
    finally:
        done.set()
        for reader in readers:
            reader.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused(study, monkeypatch, number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    study.path.mkdir()
    (study.path / "lock").touch()
    monkeypatch.setattr("fcntl.flock", flock)
    for attempt in (study.holder, lambda: study.writing().__enter__()):
        with pytest.raises(StudyError, match=r"knows no locks \(.*\), so nothing would keep two runs .* --results\.$"):
            attempt()


def test_a_full_disk_keeps_nobody_from_the_lock(study, monkeypatch):
    def pwrite(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lock.os, "pwrite", pwrite)
    with study.writing():
        assert study.holder() == Holder()


def test_only_who_goes_on_makes_a_study_the_latest(study):
    with study.writing():
        pass
    os.utime(study.path / "lock", (1000, 1000))
    with study.writing(continues=False):
        assert study.holder().pid == os.getpid()
    assert (study.path / "lock").stat().st_mtime == 1000
    with study.writing():
        pass
    assert (study.path / "lock").stat().st_mtime > 1000


def test_what_is_raised_while_it_is_held_stays_what_it_is(study):
    with pytest.raises(OSError, match="mine alone"), study.writing():
        raise OSError("mine alone")
    assert not study.held


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="cannot be written"), StudyFolder(tmp_path / "file" / "mine").writing():
        pass
