"""What runs first in a worker process: it takes its device, and sees to it that it does not outlive the coordinator.

Linux kills the fork server when the coordinator ends, and the workers when the fork server ends, whatever they do: also
those that are stopped, starting, or stuck in C code. Elsewhere a thread of each worker waits for the end of the
coordinator, and the fork server ends by itself when no process is left that could ask it for workers.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any, NoReturn

__all__ = ["Serve", "end_with", "name_server", "run"]

Serve = Callable[[Connection], None]
"""Serves a coordinator over the worker's end of the pipe, until that is closed."""

_SERVER = "HPSEARCH_FORK_SERVER"
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_TAKEN_FIRST = "500"
"""Of 1000: how much sooner than others the system takes a worker when memory runs out; the coordinator is to live."""


def run(connection: Connection, environment: Mapping[str, str], serve: Serve | None) -> None:
    """Be a worker.

    Args:
        connection: The worker's end of the pipe.
        environment: Variables that make it see its device and no other. No runtime has been started yet, so that the
            backend heeds them although it is imported already.
        serve: What it does; None trains trials.
    """
    end_with(int(os.environ.pop(_SERVER, "0")))
    _let_go_of_server()
    _leave_with_coordinator()
    os.environ.update(environment)
    tempfile.tempdir = None  # the fork server may have looked it up; the worker's own folder is in its environment
    _tell_backend(environment)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_TAKEN_FIRST)
    if serve is None:
        from hpsearch.training.worker import main

        serve = main
    serve(connection)


def name_server() -> None:
    """Leave word, in the fork server, of which process its workers are the children."""
    os.environ[_SERVER] = str(os.getpid())


def end_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, where the system can do that.

    Args:
        parent: The process that started this one; 0 where that is not known, and then nothing is asked of the system.
    """
    if not parent or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        leave()  # it ended before the system was asked


def leave() -> NoReturn:
    """The coordinator is gone: there is nobody left to tell, and no cleaning up that could matter."""
    os._exit(1)


def _let_go_of_server() -> None:
    """Close what would keep the fork server alive as long as this worker, which may be stopped or stuck for ever."""
    server: Any = forkserver._forkserver  # noqa: SLF001  # there is no public way
    if server._forkserver_alive_fd is not None:  # noqa: SLF001
        os.close(server._forkserver_alive_fd)  # noqa: SLF001
        server._forkserver_alive_fd = None  # noqa: SLF001


def _leave_with_coordinator() -> None:
    """End when the coordinator is killed, in the middle of an epoch too."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker is always started by a coordinator

    def wait() -> None:
        parent.join()
        leave()

    threading.Thread(target=wait, daemon=True, name="hpsearch-leaves-with-coordinator").start()


def _tell_backend(environment: Mapping[str, str]) -> None:
    """Say again what some libraries read only when they are loaded, which they were in the fork server.

    TensorFlow reads everything when its runtime starts. JAX reads its platforms when it is imported, and OpenMP, which
    PyTorch uses, its number of threads.
    """
    jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
    if jax is not None and "JAX_PLATFORMS" in environment:
        jax.config.update("jax_platforms", environment["JAX_PLATFORMS"])
    if torch is not None and "OMP_NUM_THREADS" in environment:
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
