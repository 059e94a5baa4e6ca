"""A worker's side of the pipe: what it says while it trains, and how it hears that it should stop."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from hpsearch.errands import Refit, Save
from hpsearch.errors import HpsearchError
from hpsearch.messages import Beat, Continued, EpochDone, Go, Halt, Leave, NoRoom, Refused, Train
from hpsearch.study.trial import Epoch, TrialFolder
from hpsearch.training.checkpoint import NoRoomError
from hpsearch.training.watch import Verdict, Watch

__all__ = ["Dropped", "LeaveAsked", "Pipe", "PipeWatch", "RefitWatch", "refusal"]

LOOK_SECONDS = 0.05
"""How often a worker that trains looks whether something was said, which takes some ten microseconds."""

BEAT_SECONDS = 1.0
"""How often it gives a sign of life."""

TERMINATED = 143
"""How a process that was ended by SIGTERM is known to end."""


class Dropped(Exception):
    """The coordinator does not want this trial trained."""


class LeaveAsked(Exception):
    """The coordinator, or whoever sent SIGTERM, wants this worker to stop before it trains."""


class Pipe:
    """The worker's end of the pipe.

    The coordinator may say ``Leave`` at any time, so one can come in place of an answer, with the answer after it, or
    when the trial has just ended. A worker that hears it ends its trial; whatever still comes for that trial is passed
    over when the next task is waited for, and nothing of it can be left when the next task begins.

    Args:
        connection: The end of the pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.leaving = False
        self.busy = False
        self._look = self._beat = 0.0

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Handles SIGTERM: a worker that trains leaves in good order, one that waits ends."""
        if not self.busy:
            os._exit(TERMINATED)
        self.leaving = True

    def task(self) -> Train | Refit | Save:
        """Wait for the next task."""
        while not isinstance(message := self.connection.recv(), Train | Refit | Save):
            pass  # a Leave, or an answer, that came too late
        self.busy, self.leaving = True, False
        self._look = self._beat = 0.0
        return message

    def done(self) -> None:
        """The task has ended, and how was said."""
        self.busy = False

    def send(self, message: Any) -> None:
        """Say something that is not answered."""
        self.connection.send(message)

    def ask(self, message: Any) -> Any:
        """Say something and wait for the answer; ``Leave`` where the worker is to leave, whoever says so."""
        if self.leaving and not isinstance(message, NoRoom):
            return Leave()
        self.connection.send(message)
        while not self.connection.poll(LOOK_SECONDS * 4):
            if self.leaving and not isinstance(message, NoRoom):
                return Leave()  # SIGTERM
        reply = self.connection.recv()
        self.leaving = self.leaving or isinstance(reply, Leave)
        return reply

    def answer(self, message: Any) -> Any:
        """Say something and wait for the answer.

        Raises:
            LeaveAsked: The worker is to leave.
        """
        reply = self.ask(message)
        if isinstance(reply, Leave):
            raise LeaveAsked
        return reply

    def confirm(self, message: Any) -> None:
        """Say something, and go on only if the coordinator wants it.

        Raises:
            Dropped: It does not.
            LeaveAsked: The worker is to leave.
        """
        if not isinstance(self.answer(message), Go):
            raise Dropped

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        """Between two steps: give a sign of life where one is due, and look whether something was said.

        Returns:
            Whether the worker is to leave.
        """
        now = time.monotonic()
        if now < self._look:
            return self.leaving
        self._look = now + LOOK_SECONDS
        if now >= self._beat:
            self._beat = now + BEAT_SECONDS
            self.connection.send(Beat(epoch, step, steps))
        while self.connection.poll():
            self.leaving = isinstance(self.connection.recv(), Leave) or self.leaving
        return self.leaving


class PipeWatch(Watch):
    """Tells the coordinator how a trial goes, and does what it says.

    Args:
        pipe: The pipe to it.
        folder: The folder of the trial.
    """

    def __init__(self, pipe: Pipe, folder: Path) -> None:
        self.pipe = pipe
        self.folder = folder

    def continued(self, history: Sequence[Epoch], own: bool) -> Verdict:
        # Where everything was killed between the checkpoint of an epoch and its line in the record, the record lacks
        # the epoch, and it is told again. The epochs of a parent are in the parent's record.
        known = min(len(TrialFolder(self.folder).history()), len(history)) if own else len(history)
        verdict = _verdict(self.pipe.ask(Continued(known)))
        for epoch in history[known:]:
            if verdict != "go":
                break
            verdict = self.epoch(epoch, own)
        return verdict

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        return _verdict(self.pipe.ask(EpochDone(epoch, checkpoint)))

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        return self.pipe.step(epoch, step, steps)

    def no_room(self, error: NoRoomError) -> bool:
        return not isinstance(self.pipe.ask(NoRoom(error.path, error.wanted)), Leave)


class RefitWatch(Watch):
    """Tells of the epochs of a retraining, which goes on to its end unless somebody ends the process.

    Args:
        pipe: The pipe to the coordinator.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        return _verdict(self.pipe.ask(EpochDone(epoch)))

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        return self.pipe.leaving


def refusal(error: Exception) -> Refused:
    """What the coordinator is told of whatever kept a worker from getting ready.

    Args:
        error: It.
    """
    if isinstance(error, HpsearchError):
        return Refused(str(error), error.exit_code)
    if isinstance(error, OSError) and error.filename is not None:
        return Refused(f"{os.fsdecode(error.filename)} cannot be used: {error.strerror or error}.", 1)
    if isinstance(error, ImportError):  # a user's own are told with the line of the space file
        what = " ".join(str(error).split())
        return Refused(f"What trains cannot be loaded here ({what}); install it anew, or say another --backend.", 1)
    return Refused(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}", 1)


def _verdict(reply: Any) -> Verdict:
    return "leave" if isinstance(reply, Leave) else "halt" if isinstance(reply, Halt) else "go"
