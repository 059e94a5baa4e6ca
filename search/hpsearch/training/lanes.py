"""Several workers in one process: lanes, each with its own end of the one pipe, and a thread that trains.

They share space, data and device; see `hpsearch.training.turns`. What would be the business of a process is that of a
thread here: Keras remembers what it remembers for each thread, and every trial has a thread of its own.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import keras

from hpsearch.errors import InputError
from hpsearch.messages import InLane, Ready, Setup
from hpsearch.training.logs import log_of
from hpsearch.training.pipe import TERMINATED, Channel, Pipe, refusal
from hpsearch.training.trainer import Trainer

__all__ = ["Lanes"]


class Lanes:
    """The workers of this process.

    Args:
        connection: The process's end of the pipe.
    """

    def __init__(self, connection: Channel) -> None:
        self._connection = connection
        self._saying = threading.Lock()
        self._lanes: dict[int, _Lane] = {}
        self._pipes: list[Pipe] = []
        self._loading = threading.Lock()
        self._loaded: tuple[Trainer, Ready] | None = None
        self._prints = _Prints()

    def serve(self, first: InLane) -> NoReturn:
        """Serve a coordinator until it closes the pipe, which ends the process.

        Args:
            first: What it said first.
        """
        signal.signal(signal.SIGTERM, self._terminate)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # for what prints past Python
            for descriptor in (1, 2):
                os.dup2(nowhere.fileno(), descriptor)
        sys.stdout = sys.stderr = self._prints
        message = first
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._lane(message.lane).put(message.message)
                message = self._connection.recv()
        os._exit(1)

    def _lane(self, number: int) -> _Lane:
        if number not in self._lanes:
            lane = self._lanes[number] = _Lane(number, self._say)
            threading.Thread(target=self._work, args=(lane,), daemon=True, name=f"lane {number}").start()
        return self._lanes[number]

    def _say(self, message: InLane) -> None:
        with self._saying:
            self._connection.send(message)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """Handles SIGTERM: trials are left in good order; where there is none, the process ends."""
        if not any(pipe.busy for pipe in self._pipes):
            os._exit(TERMINATED)
        for pipe in self._pipes:
            pipe.leaving = True

    # ---- in the threads

    def _work(self, lane: _Lane) -> None:
        """Be the worker of a lane."""
        pipe = Pipe(lane)
        self._pipes.append(pipe)
        with contextlib.suppress(OSError):  # the coordinator is gone, and the process is about to end
            setup = lane.recv()
            try:
                trainer, ready = self._ready(setup)
            except Exception as error:  # noqa: BLE001  # whatever it is, the coordinator is told
                pipe.send(refusal(error))
                return
            pipe.send(ready)
            while True:
                task = pipe.task()
                with ThreadPoolExecutor(1, "trial") as thread:
                    answer = thread.submit(self._performed, trainer, task, pipe).result()
                pipe.send(answer)
                pipe.done()

    def _performed(self, trainer: Trainer, task: Any, pipe: Pipe) -> Any:
        with self._prints.into(log_of(task)):
            return trainer.perform(task, pipe)

    def _ready(self, setup: Setup) -> tuple[Trainer, Ready]:
        """Space and data, loaded once for all."""
        if setup.engine == "fit":
            raise InputError("--lanes trains with the device engine; leave --engine fit out, or take --per-device.")
        if keras.config.backend() != "jax":
            raise InputError(
                f"--lanes above 1 needs Keras on JAX, and Keras is on {keras.config.backend()} here; set "
                "KERAS_BACKEND=jax (pip install 'hpsearch[jax]'), or take --per-device instead."
            )
        with self._loading:
            if self._loaded is None:
                trainer = Trainer(replace(setup, engine="device"), fresh=True)
                self._loaded = trainer, trainer.ready()
                gc.freeze()  # what is loaded now stays
            return self._loaded


class _Lane:
    """A lane of the pipe, used as a `multiprocessing.connection.Connection` is."""

    def __init__(self, number: int, say: Callable[[InLane], None]) -> None:
        self._number = number
        self._say = say
        self._heard: deque[Any] = deque()
        self._changed = threading.Condition()

    def put(self, message: Any) -> None:
        """Say something to the worker."""
        with self._changed:
            self._heard.append(message)
            self._changed.notify()

    def send(self, message: Any) -> None:
        """Say something to the coordinator."""
        self._say(InLane(self._number, message))

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether something was said; waits for it."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._heard), timeout)

    def recv(self) -> Any:
        """What was said next; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._heard))
            return self._heard.popleft()


class _Prints(io.TextIOBase):
    """Standard output and errors of a process in which each thread has its own log; what others print is lost."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def into(self, path: Path) -> Iterator[None]:
        """Send what this thread prints to the end of a log; where that cannot be written, it is lost."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._of_thread.file = stack.enter_context(open(path, "a", encoding="utf-8"))
            try:
                yield
            finally:
                self._of_thread.file = None

    def write(self, text: str) -> int:
        """Write to the log of this thread."""
        file = getattr(self._of_thread, "file", None)
        if file is not None:
            with contextlib.suppress(OSError):
                file.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is still in Python's hands."""
        file = getattr(self._of_thread, "file", None)
        if file is not None:
            with contextlib.suppress(OSError):
                file.flush()
