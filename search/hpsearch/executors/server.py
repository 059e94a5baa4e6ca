"""The process with Keras loaded from which workers are forked: a start takes a fraction of what importing it takes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from pathlib import Path

from hpsearch.executors.base import WorkerDied

__all__ = ["fork_server"]

_LONGEST = 60
"""Bytes of a folder with room for the names that multiprocessing makes in it."""
_HELD_BACK = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_COORDINATOR = "HPSEARCH_COORDINATOR"


def fork_server() -> ForkServerContext:
    """What makes processes that have Keras loaded already; starts the fork server where none runs, without waiting."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hpsearch.executors.preload"])
    _have_room_for_sockets()
    with _signals_held_back(), _named_as_parent():
        # The tracker comes first: when it is started it lets through some of the signals that are held back.
        resource_tracker.ensure_running()
        with _signals_held_back():
            forkserver.ensure_running()
    return context


def _have_room_for_sockets() -> None:
    """Have multiprocessing put its sockets into a short folder of our own where that for temporary files is long.

    The path of a socket may have no more than about a hundred bytes, and job systems make long folders.
    """
    if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST:
        return
    said = tempfile.tempdir
    for folder in filter(None, ("/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"), str(Path.home()))):
        if len(os.fsencode(folder)) <= _LONGEST and os.access(folder, os.W_OK | os.X_OK):
            tempfile.tempdir = folder
            try:
                multiprocessing.util.get_temp_dir()  # makes it, once and for all
            finally:
                tempfile.tempdir = said
            return
    raise WorkerDied(
        f"no worker process can be started: TMPDIR is {tempfile.gettempdir()}, too long a path for sockets; set it to "
        f"a folder of at most {_LONGEST} characters."
    )


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let signals to the process group wait, here and in what is started, which is not ready for them at first.

    The fork server forgets them once it ignores them; here they are delivered afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _named_as_parent() -> Iterator[None]:
    """Tell a fork server that is started now whom it is to end with.

    The system means the thread that started it, so that only one which lasts as long as this process may be named.
    """
    if threading.current_thread() is threading.main_thread():
        os.environ[_COORDINATOR] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(_COORDINATOR, None)
