"""Keras Tuner's oracles in a process of their own, because importing them brings Keras and its backend.

A question holds all trials so far, and the answer is what an oracle proposes that has seen them. So a process that dies
is started again and asked again, and a run that is resumed is answered as it would have been. The process keeps what it
was told of trials, and nothing else; what did not change since is not sent again.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from hpsearch.errors import RunError
from hpsearch.strategies.oracle_questions import Past, Proposal, Question

__all__ = ["Oracle"]

ATTEMPTS = 3
"""So many processes may die over one question."""


class Oracle:
    """The process, started when it is first needed, and again when it dies; asked from any thread, one at a time."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._closed = False
        self._process: Any = None
        self._connection: Connection | None = None
        self._told: dict[int, Past] = {}

    @property
    def pid(self) -> int | None:
        """The process, or None where none runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process, which then imports Keras Tuner meanwhile."""
        # Not the fork server of the workers: whoever starts that first decides what it has loaded.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, os.getpid()), name="hpsearch-oracle", daemon=True)
        self._process.start()
        theirs.close()
        self._told = {}

    def propose(self, question: Question) -> Proposal | None:
        """Ask for the next trial.

        Args:
            question: What it shall be. A trial that is the same object as in a question before is not sent again.

        Returns:
            The trial; None where there is none.

        Raises:
            RunError: Keras Tuner refuses, or the process was ended meanwhile.
        """
        with self._asking:
            return self._answer(question)

    def _answer(self, question: Question) -> Proposal | None:
        for _ in range(ATTEMPTS):
            if self._closed:
                raise RunError("The process of Keras Tuner's oracle was ended.")
            if self._connection is None:
                self.start()
            assert self._connection is not None  # start has made it
            news = tuple(past for past in question.trials if self._told.get(past.number) is not past)
            try:
                self._connection.send((replace(question, trials=news), [past.number for past in question.trials]))
                answer = self._connection.recv()
            except (EOFError, OSError):
                self._end()
                continue
            self._told.update((past.number, past) for past in news)
            if isinstance(answer, str):
                raise RunError(f"Keras Tuner's {question.kind} oracle failed: {answer}")
            assert answer is None or isinstance(answer, Proposal)
            return answer
        raise RunError(
            f"The process of Keras Tuner's oracle died {ATTEMPTS} times over one proposal; is there memory left? "
            "The same command goes on from here."
        )

    def close(self) -> None:
        """End the process, even in the middle of an answer; nobody asks it any more."""
        self._closed = True
        if self._process is not None:
            self._process.kill()  # whoever waits for an answer is told by the broken pipe, and ends
        with self._asking:
            self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()  # it keeps nothing that is not told again
            self._process.join()
        self._connection = self._process = None


def _serve(connection: Connection, parent: int) -> None:
    """Runs in the process: answers until the coordinator closes the pipe or dies."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the coordinator in good order need not end this before it
    _die_with(parent)
    with contextlib.suppress(OSError):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # nothing is trained here
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from hpsearch.strategies.oracles import proposal

    told: dict[int, Past] = {}
    gc.freeze()  # what was imported stays; looking for garbage in it would take longer than most answers
    while True:
        try:
            question, numbers = connection.recv()
        except (EOFError, OSError):
            return
        told.update((past.number, past) for past in question.trials)
        question = replace(question, trials=tuple(told[number] for number in numbers))
        answer: Proposal | str | None
        try:
            answer = proposal(question)
        except Exception as error:  # noqa: BLE001  # any of Keras Tuner's; told to people by whoever asked
            answer = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            connection.send(answer)


def _die_with(parent: int) -> None:
    """Let the system end this process with its parent; where it cannot, the closed pipe does between two questions."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(0)
