"""Tells other terminals how a run is doing, through ``run.json`` in the folder of the study."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from hpsearch.coordinator.clock import Clock
from hpsearch.coordinator.conversation import Conversation
from hpsearch.executors.base import Executor
from hpsearch.limits import Limits
from hpsearch.study.folder import StudyFolder
from hpsearch.study.live import Live, LiveSlot, RunState, write_live
from hpsearch.study.lock import boot_id

__all__ = ["News"]


class News:
    """Writes what a run does.

    Args:
        folder: The study.
        clock: Its clock.
        executor: Where trials run.
        limits: How far to go.
    """

    def __init__(self, folder: StudyFolder, clock: Clock, executor: Executor, limits: Limits) -> None:
        self.folder = folder
        self.clock = clock
        self.executor = executor
        self.limits = limits
        self.state: RunState = "running"
        self.paused = ""
        """What everything waits for; empty while it goes on."""
        self._taken_up: dict[int, tuple[int, float]] = {}

    def write(self, conversations: Mapping[int, Conversation]) -> None:
        """Say what is going on.

        Args:
            conversations: What is trained, by slot.
        """
        slots = [self._slot(slot.number, conversations.get(slot.number)) for slot in self.executor.slots]
        self._write("paused" if self.paused else self.state, self.paused, slots)

    def ended(self, why: str) -> None:
        """Say that the run has ended.

        Args:
            why: In a few words.
        """
        self._write("ended", why, [], sync=True)

    def _write(self, state: RunState, note: str, slots: list[LiveSlot], *, sync: bool = False) -> None:
        if self.folder.lost:
            return
        live = Live(
            pid=os.getpid(),
            host=socket.gethostname(),
            boot=boot_id(),
            started=self.clock.started,
            updated=time.time(),
            seconds=self.clock.seconds,
            state=state,
            note=note,
            slots=slots,
            most_seconds=self.limits.seconds,
            most_trials=self.limits.trials,
        )
        with contextlib.suppress(OSError):  # news only: a run does not end because there is no room for them
            write_live(self.folder, live, sync=sync)

    def _slot(self, number: int, conversation: Conversation | None) -> LiveSlot:
        device, pid = self.executor.slots[number].device, self.executor.health(number).pid
        if conversation is None:
            return LiveSlot(device, pid)
        trial, beat = conversation.trial, conversation.beat
        known, since = self._taken_up.get(number, (-1, 0.0))
        if known != trial.number:
            since = time.time()
            self._taken_up[number] = (trial.number, since)
        return LiveSlot(
            device=device,
            pid=pid,
            trial=trial.number,
            name=trial.name,
            epoch=max(beat.epoch if beat else 0, trial.epochs),
            epochs=trial.epochs_budget,
            step=beat.step if beat else None,
            steps=beat.steps if beat else None,
            started=since,
            score=trial.score,
        )
