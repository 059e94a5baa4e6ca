"""Disturbs a process at a chosen write to disk: Python imports this first where the folder is on its path.

It stays quiet unless HPSEARCH_WRITE_FAULT holds a plan, as JSON:

    under    the folder whose files count
    role     coordinator, or worker: the processes that are forked from the one with Keras loaded
    mode     count: note every write in ``log``
             kill: kill the process just before the write
             torn: let half of what is written through, then kill the process; what is left is SQLite's to take back
             full: fail once, as if the disk were full
    number   which write, from 1
    log      a file for the writes that were counted
    fired    a file that is made when it happened, so that it happens once

What counts as a write: opening a file for writing, the first piece written through it, making it durable (fsync),
taking another's place (rename), truncating, deleting, making a folder; and in SQLite's databases each transaction, and
each statement about tables that is one of its own. The lock, ``run.json`` and the logs of trials do not count: when
they are written depends on the time. A kill after the n-th write finds the same on disk as one before the next.
"""

import builtins
import errno
import io
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

_UNCOUNTED = ("lock", "run.json", "log.txt")
_HERE = os.getpid()
_original = {"open": builtins.open, "lexists": os.path.lexists, "readlink": os.readlink, "os_open": os.open}


class _Faults:
    """Counts the writes of this process and acts at one of them."""

    def __init__(self, plan):
        self.plan = plan
        self.under = os.path.realpath(plan["under"]) + os.sep
        self.count = 0
        self.serves = any("forkserver" in word for word in sys.orig_argv)

    @property
    def role(self):
        return ("worker" if os.getpid() != _HERE else "server") if self.serves else "coordinator"

    def counts(self, path):
        """Whether a file is one of those that count."""
        try:
            path = os.path.realpath(os.fspath(path))
        except (TypeError, ValueError):
            return False
        name = path.rpartition(os.sep)[2]
        news = any(each in name for each in _UNCOUNTED)
        return path.startswith(self.under) and not news and self.role == self.plan["role"]

    def at(self, what, path, tear=None):
        """A write is about to happen.

        Args:
            what: In a word.
            path: To which file.
            tear: Lets half of it through.
        """
        if not self.counts(path):
            return
        self.count += 1
        mode = self.plan["mode"]
        if mode == "count":
            line = f"{what} {os.path.relpath(os.path.realpath(os.fspath(path)), self.under)}\n"
            self._note(self.plan["log"], line.replace(str(os.getpid()), "PID"))
        elif self.count == self.plan["number"] and not _original["lexists"](self.plan["fired"]):
            self._note(self.plan["fired"], what)
            self._act(mode, what, path, tear)

    @staticmethod
    def _note(path, text):
        descriptor = _original["os_open"](path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(descriptor, text.encode())
        os.close(descriptor)

    def _act(self, mode, what, path, tear):
        if mode == "full":
            if what in ("commit", "statement"):
                raise sqlite3.OperationalError("database or disk is full")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        if mode == "torn" and tear is not None:
            tear()
        os.kill(os.getpid(), signal.SIGKILL)


class _File:
    """A file that is being written; all but its first piece is the original's."""

    def __init__(self, file, path, faults):
        self._file, self._path, self._faults, self._fresh = file, path, faults, True

    def write(self, data):
        if self._fresh:
            self._fresh = False
            self._faults.at("write", self._path, lambda: self._half(data))
        return self._file.write(data)

    def _half(self, data):
        self._file.write(data[: len(data) // 2])
        self._file.flush()

    def truncate(self, *arguments):
        self._faults.at("truncate", self._path)
        return self._file.truncate(*arguments)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *arguments):
        return self._file.__exit__(*arguments)

    def __iter__(self):
        return iter(self._file)


def _wrap_open(faults):
    original = builtins.open

    def opened(file, mode="r", *arguments, **options):
        if not set("wax+") & set(mode) or not isinstance(file, str | os.PathLike) or not faults.counts(file):
            return original(file, mode, *arguments, **options)
        faults.at("open", file)
        return _File(original(file, mode, *arguments, **options), file, faults)

    builtins.open = io.open = opened


def _wrap_calls(faults):
    def wrap(name, what, place=0, matters=bool):
        original = getattr(os, name)

        def called(*arguments, **options):
            path = arguments[place] if len(arguments) > place else None
            if isinstance(path, int):
                path = _path_of(path)
            if path is not None and not options and matters(path):
                faults.at(what, path)
            return original(*arguments, **options)

        setattr(os, name, called)

    wrap("replace", "rename", 1)
    wrap("rename", "rename", 1)
    wrap("truncate", "truncate")
    wrap("unlink", "delete", matters=_original["lexists"])
    wrap("remove", "delete", matters=_original["lexists"])
    wrap("rmdir", "delete")
    wrap("mkdir", "folder", matters=lambda path: not _original["lexists"](path))
    wrap("fsync", "fsync")


def _path_of(descriptor):
    try:
        return _original["readlink"](f"/proc/self/fd/{descriptor}")
    except OSError:
        return None


def _wrap_sqlite(faults):
    class Cursor(sqlite3.Cursor):
        def execute(self, statement, *arguments):
            alone = statement.lstrip()[:6].upper() in ("CREATE", "ALTER ", "DROP T", "DROP I")
            if alone and not self.connection.in_transaction:
                faults.at("statement", self.connection.path)
            return super().execute(statement, *arguments)

    class Connection(sqlite3.Connection):
        path = Path("/")

        def spill(self):
            """Make SQLite write to the database before the transaction ends, as in the middle of a commit."""
            super().execute("PRAGMA cache_size=1")
            many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT * FROM n"
            super().execute(f"CREATE TABLE torn AS SELECT randomblob(4000) AS half FROM ({many})")

        def cursor(self, factory=Cursor):
            return super().cursor(factory)

        def commit(self):
            if self.in_transaction:
                try:
                    faults.at("commit", self.path, self.spill)
                except sqlite3.OperationalError:
                    self.rollback()  # as SQLite does where a commit fails for want of room
                    raise
            super().commit()

    original = sqlite3.connect

    def connect(database, *arguments, **options):
        connection = original(database, *arguments, **{"factory": Connection, **options})
        connection.path = Path(str(database).removeprefix("file:").partition("?")[0])
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connect


if plan := os.environ.get("HPSEARCH_WRITE_FAULT"):
    faults = _Faults(json.loads(plan))
    _wrap_open(faults)
    _wrap_calls(faults)
    _wrap_sqlite(faults)
