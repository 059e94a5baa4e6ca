"""The loop of a search: hand trials out, listen to the workers, take up again what was cut off, tell the strategy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpsearch.coordinator.agenda import Agenda, Over, Task, Wait
from hpsearch.coordinator.clock import Clock
from hpsearch.coordinator.conversation import Context, Conversation
from hpsearch.coordinator.crew import Crew
from hpsearch.coordinator.ledger import Ledger
from hpsearch.coordinator.news import News
from hpsearch.coordinator.options import Options
from hpsearch.coordinator.policies import retries
from hpsearch.coordinator.registrar import Registrar
from hpsearch.errors import RunError
from hpsearch.events import Budget, Watcher
from hpsearch.executors.base import Died, Executor
from hpsearch.limits import Limits
from hpsearch.messages import Drop, Failed, Go, Leave, Left, Ready, Refused, Trained
from hpsearch.space import Objective
from hpsearch.strategies.base import Strategy
from hpsearch.study.folder import StudyFolder
from hpsearch.study.requests import StopRequest, answer, clear, stops
from hpsearch.study.trial import FailureKind, Trial

__all__ = ["Coordinator"]

TICK = 1.0
"""Seconds between looks at the health of the workers, at requests and at the clock."""
GRACE = 20.0
"""Seconds that workers have to end a step and to write a checkpoint when the run is stopped."""
STARTS = 3
"""A slot whose workers die before they are ready, so often in a row, ends the run."""


class Coordinator:
    """Runs a study until its budget is used up or somebody stops it.

    Args:
        folder: The study, held for writing.
        ready: What the first worker found in the space and the data.
        strategy: Who proposes.
        executor: Where trials run; the worker of slot 0 is ready, the others are not started.
        limits: How far to go.
        options: How to treat trials.
        plan: Makes what decides which trial comes next, from what an `Agenda` is made of.
    """

    def __init__(
        self,
        folder: StudyFolder,
        ready: Ready,
        strategy: Strategy,
        executor: Executor,
        limits: Limits,
        options: Options,
        plan: Callable[..., Agenda] = Agenda,
    ) -> None:
        self.folder = folder
        self.ready = ready
        self.strategy = strategy
        self.executor = executor
        self.limits = limits
        self.options = options
        self.ledger = Ledger(folder.trials(), Objective.parse(ready.summary.objective), ready.validation_classes)
        self.clock = Clock(folder, list(self.ledger.trials.values()))
        known = folder, ready.summary, ready.baseline_costs, strategy, self.ledger, limits
        self.agenda = plan(*known, self._seconds_left)
        self.crew = Crew(executor, options.hang_timeout, ready=(0,))
        self.news = News(folder, self.clock, executor, limits)
        self.conversations: dict[int, Conversation] = {}
        self.watcher: Watcher
        self.registrar: Registrar
        self.context: Context
        self._stopping = ""
        self._now = False
        self._deadline = 0.0
        self._over = ""
        self._ticked = 0.0
        self._lapses: dict[int, int] = {}  # how often each trial was cut off without an epoch gained in between
        self._starts: dict[int, int] = {}
        self._stop_requests: list[StopRequest] = []
        self._noted: set[Path] = set()

    def stop(self, why: str) -> None:
        """End the run in good order; asked again, at once. May be called from a signal handler."""
        self._now = bool(self._stopping)
        self._stopping = self._stopping or why
        self.executor.wake()

    @property
    def stopping(self) -> str:
        """What stops the run; empty while nothing does."""
        return self._stopping

    def run(self, watcher: Watcher) -> None:
        """Train until the budget is used up.

        Args:
            watcher: Who is told.

        Raises:
            RunError: The search cannot go on; what was found is in the record.
        """
        self._open(watcher)
        try:
            clear(self.folder)
            self.news.write({})
            self.registrar.recover()
            while self._goes_on():
                self._tick()
                for heard in self.crew.listen(TICK):
                    self._on_message(heard.slot, heard.message)
        finally:
            self.executor.close()
            self.strategy.close()
            try:
                self._leave_open()
            finally:  # where the disk is full, the record cannot say it
                self.news.ended(self._over or (f"stopped {self._stopping}" if self._stopping else "broke off"))
                for request in self._stop_requests:
                    answer(request)
        if self._stopping:
            self.watcher.note(f"Stopped {self._stopping}; the same command goes on from here.")

    def _open(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.registrar = Registrar(
            self.folder,
            self.strategy,
            self.ledger,
            self.agenda,
            self.clock,
            self.options.keep,
            watcher,
            self.budget,
            lambda: bool(self._stopping),
            self._on_pause,
        )
        self.context = Context(
            self.folder,
            self.ready.summary,
            self.strategy,
            self.ledger,
            self.agenda,
            self.limits,
            watcher,
            self.registrar.kept,
            self.budget,
            self._seconds_left,
            self.options.checkpoint_every,
        )

    def _on_pause(self, reason: str) -> None:
        self.news.paused = reason
        self.news.write(self.conversations)

    # ---- the loop

    def _goes_on(self) -> bool:
        """Hand out what can be; whether anything is left to wait for."""
        if self._stopping:
            return self._winding_up()
        self._hand_out()
        return not self._over

    def _winding_up(self) -> bool:
        """Ask every worker to leave its trial; whether one still has to answer."""
        if not self._deadline:
            self._deadline = time.monotonic() + GRACE
            self.context.stopping = self._stopping
            self.watcher.note(f"Stopping {self._stopping}; trials write their checkpoints. Once more stops at once.")
            self.news.state = "stopping"
            for slot in self.conversations:
                self.executor.send(slot, Leave())
        return bool(self.conversations) and not self._now and time.monotonic() < self._deadline

    def _hand_out(self) -> None:
        """Give an idle worker something to do, and start workers while there is more to do than they can take."""
        if any(conversation.proposing for conversation in self.conversations.values()):
            return  # one proposal at a time, so that each knows all before it
        idle, starting = self.crew.with_state("idle"), self.crew.with_state("starting")
        nobody_works = not self.conversations and not starting
        if (idle and self._prepared()) or (nobody_works and not self.agenda.expected()):
            self._take(self.registrar.kept(self.agenda.next), idle[0].slot if idle else None)
        free = len(self.crew.with_state("idle")) + len(starting)
        for place in self.crew.with_state("off"):
            if not self._over and free < self.agenda.expected():
                self.crew.start(place.slot)
                free += 1

    def _prepared(self) -> bool:
        """Whether the next trial is known at once; while others train, they are listened to until it is."""
        return not self.conversations or self.registrar.kept(lambda: self.strategy.prepared(self.executor.wake))

    def _take(self, task: Task | Wait | Over, slot: int | None) -> None:
        if isinstance(task, Task):
            if slot is None:
                self.agenda.again.append(task)
            else:
                self._begin(slot, task)
        elif not self.conversations:
            reason = task.reason if isinstance(task, Over) else "nothing is left that could go on"
            if waiting := self.agenda.waiting():
                self.watcher.note(f"Not trained, too long for this budget: baseline {', '.join(waiting)}.")
            self.watcher.note(f"Done: {reason}.")
            self._over = reason

    def _begin(self, slot: int, task: Task) -> None:
        """Open or reopen the record of a trial and hand it to a worker."""
        seed = (self.options.seed * 1_000_003 + task.asked.number) % 2**31  # a final has its own
        trial = self.registrar.begun(task, self.executor.slots[slot].device, seed)
        conversation = self.conversations[slot] = Conversation(task, trial, self.context)
        self.crew.took(slot)
        self.executor.send(slot, conversation.opening())

    def _on_message(self, slot: int, message: Any) -> None:
        conversation = self.conversations.get(slot)
        if isinstance(message, Died):
            self._on_death(slot, message)
        elif isinstance(message, Ready | Refused):
            self._on_start(slot, message)
        elif conversation is not None:
            if (reply := conversation.heard(message)) is not None:
                self.executor.send(slot, reply)
            conversation.write()
            if conversation.progressed:
                self._lapses.pop(conversation.trial.number, None)
            if conversation.ended is not None:
                self._on_end(slot, conversation, conversation.ended)

    def _on_start(self, slot: int, message: Ready | Refused) -> None:
        if isinstance(message, Refused):
            self.folder.check_held()  # which would explain it
            raise RunError(f"A worker could not start: {message.sentence}")
        if message.data_fingerprint != self.ready.data_fingerprint:
            raise RunError("The data changed while the search was running; put it back and give the same command.")
        self._starts[slot] = 0
        self.crew.became_ready(slot)

    def _on_death(self, slot: int, death: Died) -> None:
        conversation = self.conversations.pop(slot, None)
        self.crew.lost(slot)
        if conversation is None:
            self._starts[slot] = self._starts.get(slot, 0) + 1
            if self._starts[slot] >= STARTS:
                raise RunError(f"The worker on {self.executor.slots[slot].device} does not start: {death.sentence}")
            return
        kind: FailureKind = "out_of_memory" if death.out_of_memory else "crashed"
        outside = kind == "crashed" and death.signal in (9, 15)
        self._cut_off(conversation, kind, death.sentence, retries(kind, self.executor.slots[slot], outside=outside))

    def _on_end(self, slot: int, conversation: Conversation, last: Drop | Trained | Failed | Left) -> None:
        """The worker said its last word about a trial."""
        del self.conversations[slot]
        self.crew.gave_back(slot)
        if isinstance(last, Trained):
            conversation.conclude(last)
        elif isinstance(last, Left):
            self._on_left(slot, conversation)
            return
        elif isinstance(last, Failed):
            if last.kind == "interrupted":
                self.registrar.await_room()
                self.registrar.again(conversation.trial, conversation.task, last.message)
                return
            if last.kind in ("crashed", "out_of_memory"):
                self.crew.let_go(slot)  # what it holds of the device may be in disorder
                # What a living worker says of itself mostly comes again; a process that died may have been unlucky.
                most = min(retries(last.kind, self.executor.slots[slot]), 1)
                self._cut_off(conversation, last.kind, last.message, most)
                return
            self._fail(conversation, last.kind, last.message)
            return
        self.registrar.settle(conversation.trial)

    def _on_left(self, slot: int, conversation: Conversation) -> None:
        """A worker left a trial in good order: the trial ends here, or goes on now, or in another run."""
        trial = conversation.trial
        if conversation.leaving == "timed_out" and trial.score is None:
            conversation.fail("timed_out", f"took over {self.limits.per_trial:.0f} s without finishing an epoch")
            self.registrar.settle(trial)
        elif conversation.leaving:
            allows = f"--per-trial allows {self.limits.per_trial:.0f} s" if conversation.leaving == "timed_out" else ""
            trial.state, trial.message = "PRUNED", allows or "stopped by hand"
            self.registrar.settle(trial)
        elif self._stopping or self.agenda.reached or self._seconds_left() <= 0:
            self.registrar.interrupt(trial)
        else:
            self.crew.let_go(slot)
            self.registrar.again(trial, conversation.task, "its worker was told to end")

    def _cut_off(self, conversation: Conversation, kind: FailureKind, message: str, most: int) -> None:
        """A trial whose training broke off: taken up again from its checkpoint, so often at the most, or failed."""
        number = conversation.trial.number
        conversation.count_seconds()
        self._lapses[number] = self._lapses.get(number, 0) + 1
        # What stops the run may have been sent to the whole process group, and have reached the worker first.
        if self._stopping:
            self.registrar.interrupt(conversation.trial)
        elif self._lapses[number] <= most:
            self.registrar.again(conversation.trial, conversation.task, message)
        else:
            self._fail(conversation, kind, message)

    def _fail(self, conversation: Conversation, kind: FailureKind, message: str) -> None:
        # A build(hp) that raises never says its recipe; then the choices tell whether it was tried before.
        again = not conversation.trial.hash and self.ledger.tried_before(conversation.trial)
        conversation.fail("duplicate" if again else kind, message)
        self.registrar.settle(conversation.trial)

    def _leave_open(self) -> None:
        """The workers are gone; what they were training stays open."""
        for conversation in self.conversations.values():
            conversation.count_seconds()
            if conversation.trial.state == "RUNNING":
                self.registrar.interrupt(conversation.trial)
        self.conversations.clear()

    # ---- what else has to be looked after

    def _tick(self) -> None:
        """Look at the health of the workers, at requests and at the clock, once a second."""
        now = time.monotonic()
        if now - self._ticked < TICK:
            return
        self._ticked = now
        for lapse in self.crew.lapses():
            self._on_lapse(lapse.slot, lapse.reason)
        for slot, conversation in list(self.conversations.items()):
            self._look_at(slot, conversation)
        self._heed_requests()
        self.news.write(self.conversations)

    def _on_lapse(self, slot: int, reason: str) -> None:
        self.executor.kill(slot)
        conversation = self.conversations.pop(slot, None)
        if conversation is None:
            self._on_death(slot, Died(f"the worker did not get ready: {reason}."))
            return
        self.crew.lost(slot)
        most = retries("timed_out", self.executor.slots[slot])
        self._cut_off(conversation, "timed_out", f"its worker was ended: {reason}", most)

    def _look_at(self, slot: int, conversation: Conversation) -> None:
        conversation.count_seconds()
        if conversation.no_room is not None:
            self.crew.excuse(slot)
            if self.registrar.room_for(conversation.no_room.wanted):
                conversation.no_room = None
                self.executor.send(slot, Go())
        most, trial = self.limits.per_trial, conversation.trial
        if most is None or conversation.leaving:
            return
        # With an epoch behind it a trial may end the one it is in, which has taken no longer than all before it.
        if trial.seconds >= most * (2 if trial.epochs else 1):
            conversation.leaving = "timed_out"
            self.executor.send(slot, Leave())

    def _heed_requests(self) -> None:
        for request in stops(self.folder):
            if request in self._stop_requests:
                continue
            if request.trial is None:
                self._stop_requests.append(request)  # answered at the end
                self.stop("by hpsearch stop")
                continue
            for slot, conversation in self.conversations.items():
                if conversation.trial.number == request.trial and not conversation.leaving:
                    conversation.leaving = "by hand"
                    self.executor.send(slot, Leave())
            if all(c.trial.number != request.trial for c in self.conversations.values()):
                answer(request)
        for path in self.agenda.unreadable.keys() - self._noted:
            self._noted.add(path)
            self.watcher.note(self.agenda.unreadable[path])

    def budget(self) -> Budget:
        """How far the study is."""
        return Budget(
            *self.agenda.done(),
            seconds_done=self.clock.seconds,
            seconds=self.limits.seconds,
            counts=self.ledger.counts(),
            until=str(self.limits.until or ""),
            patience=self.limits.patience,
            without_improvement=self.ledger.without_improvement() if self.limits.patience else 0,
            slots=len(self.executor.slots),
        )

    def best(self) -> Trial | None:
        """The trial with the best score so far."""
        return self.ledger.best()

    def _seconds_left(self) -> float:
        return float("inf") if self.limits.seconds is None else self.limits.seconds - self.clock.seconds
