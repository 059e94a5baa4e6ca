"""A folder is tried before a study is begun in it: what a share lacks is named, in one sentence with the way out."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from hpsearch import launch
from hpsearch.errors import StudyError
from hpsearch.hardware import HardwareOptions
from hpsearch.study import attempts, second, soundness
from hpsearch.study.mounts import FileSystem, file_system_of
from hpsearch.study.soundness import CHECKS, Failure, Soundness, try_folder
from studies import begin

pytestmark = pytest.mark.hosts

LOCKS = "so that nothing would keep two runs from writing to one study"
DATABASE = "so that the database of the study could be damaged"
RECORD = "so that the record of the study could be damaged"
POWER = "so that what was found could be lost with the power"
SAVE = "choose a folder on a local disk with --results, and copy a network over at the end with hpsearch save."
COPY = "choose a folder on a local disk with --results, and copy over at the end what you need."


@pytest.fixture
def mounted(monkeypatch):
    """Say what is mounted where: ``mounted(("/mnt/share", "nfs4"))``; the last hides what was there before."""

    def mount(*points):
        found = [SimpleNamespace(mountpoint=str(point), fstype=kind) for point, kind in points]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: found)

    return mount


@pytest.fixture
def share(tmp_path, mounted):
    """A folder on a share, where nothing may be left."""
    path = tmp_path / "share"
    path.mkdir()
    mounted(("/", "ext4"), (path, "nfs4"))
    yield path
    assert list(path.iterdir()) == []


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Let the second process run some code before it makes attempts; this process is as it was."""

    def inject(code):
        program = tmp_path / "program.py"
        program.write_text(f"{code}\nimport runpy\nrunpy.run_path({attempts.__file__!r}, run_name='__main__')\n")
        monkeypatch.setattr(second, "PROGRAM", program)

    return inject


@pytest.fixture
def both(monkeypatch, elsewhere):
    """Let both processes run some code, in which ``put(module, name, value)`` makes the fault."""

    def inject(code):
        exec(code, {"put": monkeypatch.setattr})
        elsewhere(f"put = setattr\n{code}")

    return inject


def said(share):
    """The sentence about a study on the share, without its beginning."""
    start = f"{share / 'ants'} lies on nfs4 ({share}), where "
    found = try_folder(share / "ants")
    assert found.sentence.startswith(start), found
    return found.sentence.removeprefix(start)


def fails(name, number):
    """Code after which a call fails with a number of an error."""
    module = name.partition(".")[0]
    return f"""
import os, {module}
def refused(*arguments):
    raise OSError({int(number)}, os.strerror({int(number)}))
put({module}, {name.partition(".")[2]!r}, refused)
"""


FAILS_IN_SQLITE = """
import sqlite3
connect = sqlite3.connect
class Connection(sqlite3.Connection):
    def execute(self, statement, *arguments):
        if statement == {statement!r}:
            raise sqlite3.OperationalError({words!r})
        return super().execute(statement, *arguments)
put(sqlite3, "connect", lambda *arguments, **options: connect(*arguments, factory=Connection, **options))
"""
SQLITE_WITHOUT_LOCKS = """
import sqlite3
connect = sqlite3.connect
put(sqlite3, "connect", lambda path, **options: connect(f"file:{path}?nolock=1", uri=True, **options))
"""
NO_LOCKS = "import fcntl\nput(fcntl, 'flock', lambda file, how: None)\n"
RENAMES_NOTHING = "import os\nput(os, 'replace', lambda old, new: os.unlink(old))\n"
COPIES = """
import os, shutil
put(os, "replace", shutil.copyfile)
"""


@pytest.fixture(params=["this", "second", "both"])
def fault(request, monkeypatch, elsewhere, both):
    """Make a fault in this process, in the second one or in both."""
    if request.param == "this":
        return lambda code: exec(code, {"put": monkeypatch.setattr})
    return both if request.param == "both" else lambda code: elsewhere(f"put = setattr\n{code}")


# ---- what holds


def test_a_sound_folder(share):
    found = try_folder(share / "results" / "ants")
    assert found == Soundness(share / "results" / "ants", FileSystem("nfs4", str(share)))
    assert found.sentence == ""


def test_it_takes_a_moment(tmp_path):
    def seconds():
        before = time.perf_counter()
        assert not try_folder(tmp_path).failures
        return time.perf_counter() - before

    # Of several, since other tests may run at the same time.
    assert min(seconds() for _ in range(5)) < 0.2


def test_what_was_left_by_a_kill_is_deleted(share):
    ended = subprocess.run(
        [sys.executable, "-S", "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    (share / f".hpsearch-{os.uname().nodename}-{int(ended.stdout)}-abc").mkdir()
    assert not try_folder(share).failures


def test_neither_modules_beside_it_nor_the_environment_matter(share, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(share))
    monkeypatch.chdir(share)
    (share / "fcntl.py").write_text("raise SystemExit")
    (share / "sqlite3.py").write_text("raise SystemExit")
    try:
        assert not try_folder(share).failures
    finally:
        (share / "fcntl.py").unlink()
        (share / "sqlite3.py").unlink()


# ---- locks


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_locks_that_are_refused(share, fault, number):
    fault(fails("fcntl.flock", number))
    assert said(share) == f"taking a lock fails ({os.strerror(number)}), {LOCKS}; {SAVE}"


def test_locks_that_keep_nobody_out(share, fault):
    fault(NO_LOCKS)
    assert said(share) == f"two processes got the same lock at a time, {LOCKS}; {SAVE}"


def test_a_lock_that_stays(share, fault):
    """Of a holder that is not there, as after the crash of another client."""
    fault(fails("fcntl.flock", errno.EWOULDBLOCK))
    assert said(share) == f"a lock stays taken that nobody holds, {LOCKS}; {SAVE}"


def test_a_lock_that_is_not_let_go(share, monkeypatch):
    import fcntl

    flock = fcntl.flock
    kept = []

    def keeps(file, how):
        kept.append(os.dup(file))  # whoever holds this, holds the lock
        if how != fcntl.LOCK_UN:
            flock(file, how)

    monkeypatch.setattr(fcntl, "flock", keeps)
    try:
        assert said(share) == f"a lock stays taken that nobody holds, {LOCKS}; {SAVE}"
    finally:
        for each in kept:
            os.close(each)


def test_a_lock_that_is_waited_for_in_vain(share, elsewhere, monkeypatch):
    """Nothing else is tried then: it could hang as well, and not in a process that can be killed."""
    monkeypatch.setattr(second, "LIMIT", 0.2)
    monkeypatch.setattr(soundness, "sync_file", lambda folder: pytest.fail("goes on"))
    elsewhere("import fcntl, time\nfcntl.flock = lambda file, how: time.sleep(60)")
    before = time.monotonic()
    assert said(share) == f"taking a lock takes more than 0.2 seconds, {LOCKS}; {SAVE}"
    assert time.monotonic() - before < 1.5


# ---- SQLite


@pytest.mark.parametrize(
    ("statement", "words"),
    [("BEGIN IMMEDIATE", "locking protocol"), ("BEGIN IMMEDIATE", "disk I/O error"), ("COMMIT", "disk I/O error")],
)
def test_a_database_that_cannot_be_written(share, fault, statement, words):
    fault(FAILS_IN_SQLITE.format(statement=statement, words=words))
    assert said(share) == f"writing to an SQLite database fails ({words}), {DATABASE}; {SAVE}"


def test_a_database_that_two_write_to(share, both):
    both(SQLITE_WITHOUT_LOCKS)
    assert said(share) == f"two processes wrote to one SQLite database at a time, {DATABASE}; {SAVE}"


def test_a_database_that_the_second_process_writes_to_all_the_same(share, elsewhere):
    elsewhere(f"put = setattr\n{SQLITE_WITHOUT_LOCKS}")
    assert said(share) == f"two processes wrote to one SQLite database at a time, {DATABASE}; {SAVE}"


def test_a_database_that_stays_locked(share, fault):
    fault(FAILS_IN_SQLITE.format(statement="BEGIN IMMEDIATE", words="database is locked"))
    assert said(share) == f"an SQLite database is locked that nobody uses, {DATABASE}; {SAVE}"


def test_a_database_in_which_others_find_nothing(share, monkeypatch):
    """As where each machine has a cache of its own."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(":memory:", **options))
    lost = "a process does not find what another wrote to an SQLite database"
    assert said(share) == f"{lost}, {DATABASE}; {SAVE}"


# ---- rename and fsync


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EPERM])
def test_a_rename_that_is_refused(share, fault, number):
    fault(fails("os.replace", number))
    assert said(share) == f"renaming a file over another fails ({os.strerror(number)}), {RECORD}; {COPY}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (RENAMES_NOTHING, "a file kept its old content when another was renamed over it"),
        (COPIES, "renaming a file over another left more than one"),
    ],
    ids=["old", "two"],
)
def test_a_rename_that_does_something_else(share, fault, code, reason):
    fault(code)
    assert said(share) == f"{reason}, {RECORD}; {COPY}"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_an_fsync_that_is_refused(share, fault, number):
    fault(fails("os.fsync", number))
    assert said(share) == f"forcing a file to the disk fails ({os.strerror(number)}), {POWER}; {SAVE}"


# ---- all in one sentence, and what is nobody's fault


def test_all_that_fails_is_named(share, both):
    code = NO_LOCKS + FAILS_IN_SQLITE.format(statement="BEGIN IMMEDIATE", words="locking protocol")
    both(code + fails("os.replace", errno.EPERM) + fails("os.fsync", errno.EINVAL))
    found = try_folder(share / "ants")
    assert tuple(failure.check for failure in found.failures) == CHECKS
    assert said(share) == (
        "two processes got the same lock at a time, writing to an SQLite database fails (locking protocol), renaming a "
        "file over another fails (Operation not permitted) and forcing a file to the disk fails (Invalid argument), "
        f"{LOCKS}; {COPY}"
    )


@pytest.mark.parametrize("start", ["raise ValueError('no such thing.')", "import os; os._exit(3)"], ids=str)
def test_a_second_process_that_ends_at_once(share, elsewhere, start):
    elsewhere(start)
    why = "ValueError: no such thing" if "raise" in start else "exit code 3"
    assert try_folder(share / "ants").sentence == (
        f"Whether {share / 'ants'} can hold a study cannot be tried, because there is no second process ({why}); a "
        "search needs several processes, so make that possible first."
    )


def test_one_that_ends_on_the_way(share, elsewhere):
    elsewhere("import os\nos.fsync = lambda file: os._exit(3)")
    assert try_folder(share).failures == (Failure("process", "there is no second process (exit code 3)"),)


def test_one_that_cannot_be_started(share, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(share / "python"))
    reason = "there is no second process (No such file or directory)"
    assert try_folder(share).failures == (Failure("process", reason),)


def test_one_that_takes_too_long_to_start(share, elsewhere, monkeypatch):
    monkeypatch.setattr(second, "START", 0.1)
    elsewhere("import time; time.sleep(60)")
    reason = "there is no second process (it took more than 0.1 seconds)"
    assert try_folder(share).failures == (Failure("process", reason),)


def test_a_folder_that_cannot_be_written_keeps_its_sentence(share, monkeypatch):
    def refused(within):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(soundness, "scratch_folder", refused)
    with pytest.raises(StudyError) as caught:
        try_folder(share / "ants")
    assert str(caught.value) == (
        f"The study cannot be written to {share / 'ants'}: Read-only file system. Choose another folder with --results."
    )


@pytest.mark.parametrize("room", [True, False])
def test_a_full_disk_is_no_fault_of_the_file_system(share, fault, monkeypatch, room):
    fault(FAILS_IN_SQLITE.format(statement="COMMIT", words="database or disk is full"))
    monkeypatch.setattr(soundness, "has_room", lambda path, wanted: room)
    if room:
        assert said(share).startswith("writing to an SQLite database fails (database or disk is full), ")
    else:
        with pytest.raises(StudyError, match=r"^The study cannot be written to .*: No space left on device\. Choose "):
            try_folder(share / "ants")


# ---- when a study is begun


@pytest.fixture
def space(tmp_path, four_recipes, write_space):
    return write_space(tmp_path / "mine.py", four_recipes)


def test_a_study_is_not_begun_where_two_get_one_lock(cli, share, space, elsewhere, monkeypatch):
    elsewhere(f"put = setattr\n{NO_LOCKS}")
    monkeypatch.setattr(launch, "LocalExecutor", lambda *arguments: pytest.fail("loads Keras"))
    before = time.monotonic()
    sentence = cli("run", space, "--study", "ants", "--results", share / "results").sentence
    assert time.monotonic() - before < 1.5
    assert sentence == (
        f"{share / 'results' / 'ants'} lies on nfs4 ({share}), where two processes got the same lock at a time, so "
        "that nothing would keep two runs from writing to one study; choose a folder on a local disk with --results, "
        "and copy a network over at the end with hpsearch save."
    )


class Begins(Exception):
    """All that can be checked at once was in order."""


@pytest.mark.parametrize("begun", [False, True])
def test_a_study_that_goes_on_is_not_tried_again(tmp_path, space, monkeypatch, begun):
    tried = []

    def note(path):
        tried.append(path)
        return Soundness(path, FileSystem())

    def begins():
        raise Begins

    monkeypatch.setattr(launch, "try_folder", note)
    study = tmp_path / "results" / space.stem
    if begun:
        begin(tmp_path / "results", space.stem)
    with pytest.raises(Begins):
        launch.run_search(launch.Request(space, tmp_path / "results", hardware=HardwareOptions("cpu")), None, begins)
    assert tried == ([] if begun else [study])


# ---- file systems


def test_the_file_system_of_a_folder(tmp_path, mounted):
    drive = tmp_path / "My Drive"
    mounted(("/", "ext4"), (tmp_path, "tmpfs"), (drive, "autofs"), (drive, "fuse.drive"), (tmp_path / "My", "cifs"))
    assert file_system_of(drive / "results" / "ants") == FileSystem("fuse.drive", str(drive))
    assert file_system_of(tmp_path / "My Drives") == FileSystem("tmpfs", str(tmp_path))
    assert file_system_of(tmp_path / "My") == FileSystem("cifs", str(tmp_path / "My"))
    (tmp_path / "link").symlink_to(drive)
    assert file_system_of(tmp_path / "link") == FileSystem("fuse.drive", str(drive))


def test_a_file_system_that_nobody_knows(tmp_path, mounted, monkeypatch):
    mounted(("/nowhere", "ext4"))
    assert file_system_of(tmp_path) == FileSystem("unknown", "")
    assert str(file_system_of(tmp_path)) == "an unknown file system"

    def refused(**_):
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_partitions", refused)
    assert file_system_of(tmp_path) == FileSystem()


def test_the_file_system_of_this_folder_has_a_name(tmp_path):
    kind, point = file_system_of(tmp_path)
    assert kind != "unknown"
    assert tmp_path.resolve().is_relative_to(point)
