"""Workers as processes of this machine, started from a fork server that has Keras loaded."""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from hpsearch.executors.base import Died, Health, Heard, Slot, WorkerDied
from hpsearch.executors.memory import OutOfMemoryKills
from hpsearch.executors.pipe import Pipe
from hpsearch.executors.process import Serve, run
from hpsearch.executors.scratch import clear_stale, scratch_folder
from hpsearch.executors.server import fork_server

__all__ = ["XLA_VARIABLE", "LocalExecutor", "LocalWorker", "WorkerDied"]

GRACE = 2.0
"""Seconds that workers whose pipe was closed have to end by themselves."""
_PATIENCE = 5.0
"""Seconds to wait for what the system does at once unless it is in trouble: ending a process, saying how it ended."""
_LONGEST_WAIT = 3600.0
_ATTEMPTS = 3
SHARED_VARIABLE = "HPSEARCH_SHARED"  # as `hpsearch.data.shared` reads it
XLA_VARIABLE = "HPSEARCH_XLA"  # as `hpsearch.training.devices` reads it; the fork server may be older than its value
_SERVER_GONE = 255  # what multiprocessing says where the fork server did not live to say how the process ended
_KILLS = OutOfMemoryKills()
_living: set[LocalWorker] = set()


class LocalWorker:
    """One worker process and the pipe to it.

    Args:
        environment: Variables that the worker sets before it looks for devices.
        serve: What it does; None trains trials.

    Raises:
        WorkerDied: No process could be started.
    """

    def __init__(self, environment: Iterable[tuple[str, str]] = (), serve: Serve | None = None) -> None:
        self._scratch = scratch_folder()
        try:
            xla = {XLA_VARIABLE: os.environ.get(XLA_VARIABLE, "auto")}
            self.pipe, self.process = _started({**xla, **dict(environment), "TMPDIR": str(self._scratch)}, serve)
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self.owner = os.getpid()
        self._begun = _KILLS.begin(self.pid)
        self._heard: deque[Any] = deque()
        self._death: Died | None = None
        _living.add(self)

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process.pid is not None  # it was started
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.is_alive()

    def send(self, message: Any) -> None:
        """Say something to the worker.

        Raises:
            WorkerDied: It is gone.
        """
        if not self.alive:
            raise WorkerDied(self.epitaph())
        self.pipe.send(message)

    def receive(self) -> Any:
        """Wait for the worker's next message.

        Raises:
            WorkerDied: It is gone.
        """
        while not self._heard:
            if self._death is not None or self.pipe.closed:
                raise WorkerDied(self.epitaph())
            _wait([self], [], None)
            self._heard.extend(message for message in self.listen() if not isinstance(message, Died))
        return self._heard.popleft()

    def listen(self) -> list[Any]:
        """What the worker has said by now, and `Died` as the last where it is dead; nothing once that was said."""
        if self._death is not None:
            return []
        self.pipe.flush()
        ended = not self.alive  # looked at first, so that what it said before it ended is there to be read
        heard = self.pipe.receive(everything=ended)
        if ended or self.pipe.ended:
            heard.append(self.death())
        return heard

    def death(self) -> Died:
        """How the process ended; waits for the end of one that is just ending, and ends one that does not."""
        if self._death is None:
            if not self.pipe.garbled:
                self.process.join(timeout=_PATIENCE)
            lingers = self.process.is_alive()
            self.kill()
            self._death = self._cause(lingers)
        return self._death

    def epitaph(self) -> str:
        """How the process ended, in a sentence."""
        return self.death().sentence

    def kill(self) -> None:
        """End the process at once, whatever it does, and those that it started; nothing more is heard of it."""
        family = _children(self.pid) if self.alive else []
        self.pipe.close()
        self.process.kill()
        if self.process.exitcode == _SERVER_GONE:
            _end(self.pid)  # the system ends it with the fork server, but not every system does
        for child in family:
            with contextlib.suppress(psutil.Error):
                child.kill()
        self.process.join(timeout=_PATIENCE)
        shutil.rmtree(self._scratch, ignore_errors=True)
        _living.discard(self)

    def close(self) -> None:
        """End the worker; one that does not end at once is killed."""
        _close([self])

    def _cause(self, lingers: bool) -> Died:
        code = self.process.exitcode
        if self.pipe.garbled:
            said = f"the worker process said what cannot be understood ({self.pipe.garbled}) and was ended."
            return Died(said)
        if lingers:
            return Died("the worker process closed its pipe without ending, and was ended.")
        if code == _SERVER_GONE:
            return Died("the worker process ended with the process that starts workers, which was ended from outside.")
        if code is None or code >= 0:
            return Died(f"the worker process ended with exit code {code}.")
        if -code != signal.SIGKILL:
            return Died(f"the worker process was ended by signal {-code}.", -code)
        if _KILLS.explain(self._begun):
            return Died("the worker process was ended by signal 9: memory ran out.", -code, out_of_memory=True)
        return Died("the worker process was ended by signal 9 (the system does that when memory runs out).", -code)


class LocalExecutor:
    """Runs one worker process a slot; see `hpsearch.executors.base.Executor`.

    A message to a worker that does not read is kept until there is room in its pipe. So nothing here waits for a
    worker, but for the moment in which a process starts or ends.

    Args:
        setup: What each worker is told first.
        slots: Where trials are trained.
        serve: What a worker does; None trains trials.
    """

    def __init__(self, setup: Any, slots: Sequence[Slot], serve: Serve | None = None) -> None:
        self.setup = setup
        self._slots = tuple(slots)
        self._serve = serve
        self._workers: dict[int, LocalWorker] = {}
        self._stillborn: dict[int, Died] = {}
        clear_stale()
        self._shared = scratch_folder()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The places where trials are trained."""
        return self._slots

    def start(self, slot: int) -> None:
        """Start the worker of a slot, in place of the one there; the first start waits until Keras is loaded."""
        self.kill(slot)
        try:
            environment = (*self._slots[slot].environment, (SHARED_VARIABLE, str(self._shared)))
            worker = LocalWorker(environment, self._serve)
        except WorkerDied as death:
            self._stillborn[slot] = Died(str(death))
            return
        self._workers[slot] = worker
        worker.pipe.send(self.setup)

    def send(self, slot: int, message: Any) -> None:
        """Say something to the worker of a slot; to one that is gone it is lost."""
        worker = self._workers.get(slot)
        if worker is not None:
            worker.pipe.send(message)

    def listen(self, seconds: float) -> list[Heard]:
        """Wait for messages, `seconds` at most."""
        heard = [Heard(slot, death) for slot, death in self._stillborn.items()]
        self._stillborn.clear()
        if self._wake < 0:
            return heard
        _wait(self._workers.values(), [self._wake], 0.0 if heard else min(max(seconds, 0.0), _LONGEST_WAIT))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass
        for slot, worker in list(self._workers.items()):
            heard += [Heard(slot, message) for message in worker.listen()]
            if heard and heard[-1].slot == slot and isinstance(heard[-1].message, Died):
                del self._workers[slot]
        return heard

    def health(self, slot: int) -> Health:
        """What the system says about the worker of a slot."""
        worker = self._workers.get(slot)
        if worker is None:
            return Health(None, alive=False, stopped=False, memory=0)
        try:
            process = psutil.Process(worker.pid)
            with process.oneshot():
                status, memory = process.status(), process.memory_info().rss
        except psutil.Error:
            return Health(worker.pid, alive=False, stopped=False, memory=0)
        alive = worker.alive and status not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return Health(worker.pid, alive, status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP), memory)

    def kill(self, slot: int) -> None:
        """End the worker of a slot at once, and hear nothing more of it."""
        self._stillborn.pop(slot, None)
        worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.kill()

    def wake(self) -> None:
        """Make `listen` return; does nothing but write to a pipe that never blocks."""
        if self._waker >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._waker, b"\0")

    def close(self) -> None:
        """End all workers: they are asked to, all at once, and what has not ended soon is killed."""
        _close(list(self._workers.values()))
        self._workers.clear()
        self._stillborn.clear()
        shutil.rmtree(self._shared, ignore_errors=True)
        ends, self._wake, self._waker = (self._wake, self._waker), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)


def _started(environment: dict[str, str], serve: Serve | None) -> tuple[Pipe, BaseProcess]:
    """A process from the fork server; where that was killed, from a new one."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    reason = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(0.1 * attempt)  # a fork server that was killed a moment ago does not yet count as dead
        try:
            return _forked(environment, serve)
        except (EOFError, ConnectionError):
            reason = ""
        except OSError as error:
            reason = error.strerror or str(error)
    raise WorkerDied(f"no worker process could be started: {reason or _why_it_ends()}.")


def _why_it_ends() -> str:
    """Why the process that loads Keras ends at once, as one says that does nothing else."""
    command = [sys.executable, "-c", "import hpsearch.training.fit"]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the process that loads Keras for it ends at once ({error})"
    lines = [line for line in done.stderr.splitlines() if line.strip()] if done.returncode else []
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"the process that loads Keras for it ends at once, with {how}{f': {lines[-1].strip()}' if lines else ''}"


def _forked(environment: dict[str, str], serve: Serve | None) -> tuple[Pipe, BaseProcess]:
    pipe = Pipe()
    try:
        process = fork_server().Process(
            target=run, args=(pipe.theirs, environment, serve), name="hpsearch-worker", daemon=True
        )
        process.start()
    except BaseException:
        pipe.close()
        raise
    finally:
        pipe.theirs.close()
    return pipe, process


def _wait(workers: Iterable[LocalWorker], others: Iterable[int], seconds: float | None) -> None:
    """Wait until a worker says something, ends or has room for what is kept for it, or one of others can be read."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            room = selectors.EVENT_WRITE if worker.pipe.waiting else 0
            selector.register(worker.pipe, selectors.EVENT_READ | room)
            # It may have left the pipe to a process of its own, which keeps that open after its end.
            selector.register(worker.process.sentinel, selectors.EVENT_READ)
        for other in others:
            selector.register(other, selectors.EVENT_READ)
        selector.select(seconds)


def _close(workers: Sequence[LocalWorker]) -> None:
    for worker in workers:
        worker.pipe.close()
    limit = time.monotonic() + GRACE
    for worker in workers:
        worker.process.join(timeout=max(0.0, limit - time.monotonic()))
    for worker in workers:
        worker.kill()


def _children(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(pid).children(recursive=True)
    return found


def _end(pid: int) -> None:
    """Kill a process that nobody reports on any more, and wait until it has let go of its device."""
    limit = time.monotonic() + _PATIENCE
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        process.kill()
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < limit:
            time.sleep(0.01)


@atexit.register
def _kill_what_is_left() -> None:
    """Workers ignore the SIGTERM with which multiprocessing would end them, and it would wait for them for ever."""
    for worker in list(_living):
        if worker.owner == os.getpid():  # not in a process that was forked from this one
            worker.kill()
