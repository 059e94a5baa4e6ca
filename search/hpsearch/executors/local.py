"""Workers as processes of this machine, started from a fork server that has Keras loaded."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from hpsearch.errors import RunError

__all__ = ["LocalWorker", "WorkerDied"]


class WorkerDied(RunError):
    """A worker ended without a word."""


def _serve(connection: Connection) -> None:
    """Runs in the worker."""
    from hpsearch.training.worker import main

    main(connection)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # A worker forked from a process that has Keras loaded starts in a fraction of the seconds that importing it takes.
    context.set_forkserver_preload(["hpsearch.executors.preload"])
    return context


class LocalWorker:
    """One worker process and the pipe to it."""

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        context = _context()
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs,), name="hpsearch-worker", daemon=True)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.is_alive()

    def send(self, message: Any) -> None:
        """Say something to the worker.

        Raises:
            WorkerDied: It is gone.
        """
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerDied(self.epitaph()) from error

    def receive(self) -> Any:
        """Wait for the worker's next message.

        Raises:
            WorkerDied: It is gone.
        """
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise WorkerDied(self.epitaph()) from error

    def epitaph(self) -> str:
        """How the process ended, in a sentence."""
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code is not None and code < 0:
            killed = " (the system does that when memory runs out)" if code == -9 else ""
            return f"the worker process was ended by signal {-code}{killed}."
        return f"the worker process ended with exit code {code}."

    def close(self) -> None:
        """End the worker; one that does not end at once is killed."""
        self.connection.close()
        self.process.join(timeout=2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
