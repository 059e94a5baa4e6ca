"""What is said with a worker about one trial: its choices, its size, its epochs, its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hpsearch.coordinator.agenda import Agenda, Task
from hpsearch.coordinator.ledger import Ledger
from hpsearch.describe import SpaceSummary
from hpsearch.events import Budget, Watcher
from hpsearch.limits import Limits
from hpsearch.messages import (
    Beat,
    Chosen,
    Continued,
    Drop,
    EpochDone,
    Failed,
    Go,
    Halt,
    Leave,
    Left,
    Measured,
    NoRoom,
    Resolved,
    Suggest,
    Train,
    Trained,
)
from hpsearch.strategies.base import Strategy
from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import Epoch, FailureKind, Trial, TrialFolder, finite

__all__ = ["Context", "Conversation"]

T = TypeVar("T")


@dataclass
class Context:
    """What all conversations of a run share.

    Args:
        folder: The study.
        summary: The space.
        strategy: Who proposes.
        ledger: The trials.
        agenda: What comes next.
        limits: How far to go.
        watcher: Who is told.
        kept: Does something that writes to disk, and again once there is room where the disk was full.
        budget: How far the study is.
        seconds_left: How much of the time budget is left.
        checkpoint_every: Seconds between checkpoints of a trial; 0 writes one after every epoch.
        stopping: What stops the run; empty while nothing does.
    """

    folder: StudyFolder
    summary: SpaceSummary
    strategy: Strategy
    ledger: Ledger
    agenda: Agenda
    limits: Limits
    watcher: Watcher
    kept: Callable[[Callable[[], Any]], Any]
    budget: Callable[[], Budget]
    seconds_left: Callable[[], float]
    checkpoint_every: float
    stopping: str = ""


class Conversation:
    """One trial with the worker that trains it.

    Args:
        task: What is trained.
        trial: Its record, open.
        context: What it shares with the others.
    """

    def __init__(self, task: Task, trial: Trial, context: Context) -> None:
        self.task = task
        self.trial = trial
        self.context = context
        self.ended: Drop | Trained | Failed | Left | None = None
        """The worker's last word."""
        self.leaving = ""
        """Why the worker was asked to leave the trial, where that is to end it; empty otherwise."""
        self.proposing = True
        """Whether its choices are still being made."""
        self.no_room: NoRoom | None = None
        """A checkpoint that waits for room on the disk."""
        self.beat: Beat | None = None
        """Its last sign of life."""
        self.progressed = False
        """Whether it gained an epoch."""
        self._unwritten = False
        self._began = time.monotonic()
        self._before = trial.seconds
        self._shown = False

    @property
    def _folder(self) -> TrialFolder:
        return self.context.folder.trial(self.trial.number)

    def opening(self) -> Train:
        """What the worker is told first."""
        asked, parent = self.task.asked, self.task.asked.parent
        enqueued = self.trial.recipe if self.trial.enqueued else None
        return Train(
            seed=self.trial.seed,
            folder=self._folder.path.resolve(),
            baseline=self.trial.baseline,
            recipe=enqueued,
            epochs=asked.epochs or self.context.limits.epochs,
            parent=self.context.folder.trial(parent).path.resolve() if parent is not None else None,
            checkpoint_every=self.context.checkpoint_every,
            answers=self.context.folder.path.resolve() if self.task.repeat is not None else None,
        )

    def count_seconds(self) -> None:
        """Bring the trial's seconds up to date."""
        self.trial.seconds = self._before + time.monotonic() - self._began

    def heard(self, message: Any) -> Any | None:
        """Act on what the worker said.

        Args:
            message: One of ``hpsearch.messages``.

        Returns:
            The answer, or None where none is due; `ended` is set where it was the worker's last word. Once it is sent,
            `write` is to be called.
        """
        self.count_seconds()
        match message:
            case Suggest():
                return self._on_suggest(message)
            case Resolved():
                return self._on_resolved(message)
            case Measured():
                return self._on_measured(message)
            case Continued():
                return self._on_continued(message)
            case EpochDone():
                return self._on_epoch(message.epoch)
            case Beat():
                self.beat = message
            case NoRoom():
                self.no_room = message
            case Drop() | Trained() | Failed() | Left():
                self.proposing = False
                self.ended = message
        return None

    def _on_suggest(self, message: Suggest) -> Chosen:
        number, parameter = self.trial.number, message.parameter
        value = self._kept(lambda: self.context.strategy.suggest(number, parameter))
        self.trial.answers[parameter.name] = value
        return Chosen(value)

    def _on_resolved(self, message: Resolved) -> Go | Drop:
        trial, context = self.trial, self.context
        self.proposing = False
        trial.recipe, trial.hash, trial.epochs_budget = message.recipe, message.hash, message.epochs
        wanted_anyway = trial.baseline is not None or trial.parent is not None
        if message.unique and not wanted_anyway and context.ledger.trained_before(trial):
            self.fail("duplicate", "proposes a recipe that was trained before")
            return Drop()
        self._unwritten = True
        return Go()

    def write(self) -> None:
        """Write what the worker need not wait for: its choices, while it builds the network.

        Killed before that, the next run begins the trial anew: a proposal is made again, a hand-made network is known.
        """
        if self._unwritten:
            trial = self.trial
            self._kept(lambda: self.context.strategy.resolved(trial.number))
            self._kept(lambda: self._folder.write(trial))
            self._unwritten = False

    def _on_measured(self, message: Measured) -> Go | Drop:
        trial = self.trial
        trial.parameters, trial.flops, trial.memory = message.parameters, message.flops, message.memory
        if (excess := self._excess()) and not trial.baseline:
            self.fail("invalid_model", excess)
            return Drop()
        if not trial.epochs and self.task.asked.parent is None:
            self._show()
        return Go()

    def _excess(self) -> str:
        """Which limit the network breaks; empty where it keeps them all."""
        summary, trial = self.context.summary, self.trial
        for what, has, most in (
            ("parameters", trial.parameters, summary.most_parameters),
            ("floating-point operations an image", trial.flops, summary.most_flops),
            ("bytes of memory in training, by estimate", trial.memory, summary.most_memory),
        ):
            if most is not None and has is not None and has > most:
                return f"has {has:,} {what}; at most {most:,} are allowed"
        return ""

    def _on_continued(self, message: Continued) -> Go:
        if not self._folder.history() and self.task.asked.parent is not None:
            parent = self.context.folder.trial(self.task.asked.parent)
            self._kept(lambda: self._folder.write_history(parent.history()))
        self._rewind(message.epochs)
        self._show()
        return Go()

    def _rewind(self, epochs: int) -> None:
        """Forget the epochs after the checkpoint; they are trained again."""
        trial, objective = self.trial, self.context.ledger.objective
        history = self._kept(lambda: self._folder.cut_history(epochs))
        trial.epochs, trial.score, trial.best_epoch = len(history), None, None
        continued = self.task.asked.parent is not None
        for epoch in history:
            self._score(epoch)
            if continued and (value := finite(epoch.metrics.get(objective.metric))) is not None:
                self._report(epoch.epoch, value)

    def _on_epoch(self, epoch: Epoch) -> Go | Halt | Leave:
        trial = self.trial
        if trial.epochs != epoch.epoch - 1:  # it began again although it had got further: no checkpoint was whole
            self._rewind(epoch.epoch - 1)
            self._show()
        self._kept(lambda: self._folder.append(epoch))
        trial.epochs = epoch.epoch
        self.progressed = True
        self._score(epoch)
        if (value := finite(epoch.metrics.get(self.context.ledger.objective.metric))) is not None:
            self._report(epoch.epoch, value)
        if epoch.epoch > 1 and trial.flops:
            # The first epoch also compiles; the later ones say how fast this machine is.
            self.context.agenda.turns.rate = epoch.seconds / trial.flops
        self._show()
        self.context.watcher.epoch(trial, epoch, self.context.budget())
        return self._answer(epoch)

    def _answer(self, epoch: Epoch) -> Go | Halt | Leave:
        context, trial = self.context, self.trial
        target = context.limits.until
        if target is not None and target.reached(epoch.metrics):
            context.agenda.reached = f"trial {trial.name} reached {target}"
            trial.message = f"reached {target}"
            return Halt()
        if context.stopping or context.agenda.reached or self.leaving or context.seconds_left() <= 0:
            return Leave()
        trial.message = self._not_worth_more(epoch)
        return Halt() if trial.message else Go()

    def _not_worth_more(self, epoch: Epoch) -> str:
        """Why the trial ends before its last epoch; empty while it goes on."""
        context, trial = self.context, self.trial
        if epoch.epoch >= trial.epochs_budget:
            return ""
        most = context.limits.per_trial
        if most is not None and trial.seconds >= most:
            return f"stopped after {trial.seconds:.0f} s; --per-trial allows {most:.0f} s"
        if trial.baseline or self.task.repeat is not None:
            return ""
        if too_slow := context.limits.too_slow(epoch, trial.epochs_budget):
            return too_slow
        if self._kept(lambda: context.strategy.should_stop(trial.number)):
            return f"given up after epoch {epoch.epoch}: others were ahead by then"
        return ""

    def _score(self, epoch: Epoch) -> None:
        trial, objective = self.trial, self.context.ledger.objective
        value = finite(epoch.metrics.get(objective.metric))
        if value is not None and (trial.score is None or objective.better(value, trial.score)):
            trial.score, trial.best_epoch = value, epoch.epoch

    def _report(self, epoch: int, value: float) -> None:
        self._kept(lambda: self.context.strategy.report(self.trial.number, epoch, value))

    def _show(self) -> None:
        if not self._shown:
            self._shown = True
            self.context.watcher.started(self.trial, self.context.budget())

    def fail(self, kind: FailureKind, message: str) -> None:
        """End the trial as failed."""
        self.trial.state, self.trial.failure, self.trial.message = "FAIL", kind, message

    def conclude(self, trained: Trained) -> None:
        """End the trial as trained: to its end, or until it was halted."""
        trial = self.trial
        trial.score, trial.best_epoch = finite(trained.score), trained.best_epoch
        trial.train_score, trial.engine = finite(trained.train_score), trained.engine
        halted = bool(trial.message) and trial.epochs < trial.epochs_budget
        # A network that reached what was wanted is not one that was given up.
        reached = self.context.agenda.reached and trial.message.startswith("reached ")
        trial.state = "PRUNED" if halted and not reached else "COMPLETE"
        if not halted and not reached:
            trial.message = ""

    def _kept(self, write: Callable[[], T]) -> T:
        kept: T = self.context.kept(write)
        return kept
