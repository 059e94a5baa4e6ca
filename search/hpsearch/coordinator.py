"""The loop of a search: ask the strategy, hand a trial to the worker, listen, tell; within budgets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hpsearch.describe import BaselineSummary
from hpsearch.errors import RunError
from hpsearch.events import Budget, Watcher
from hpsearch.executors.local import LocalWorker, WorkerDied
from hpsearch.limits import Limits
from hpsearch.messages import (
    Chosen,
    Drop,
    EpochDone,
    Failed,
    Go,
    Halt,
    Measured,
    Ready,
    Resolved,
    Suggest,
    Train,
    Trained,
)
from hpsearch.space import Objective
from hpsearch.strategies.optuna import OptunaStrategy
from hpsearch.strategies.turns import Turns
from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import FailureKind, Trial, finite

__all__ = ["Coordinator"]

DOUBLES_UNTIL_RANDOM = 20
"""After so many proposals in a row that were trained before, the next ones are drawn at random."""
TRIALS_A_WORKER = 40
"""After so many trials a worker is replaced: TensorFlow keeps some memory of every model."""
MOST_WITHOUT_WEIGHTS = 1000
"""After so many proposals whose pretrained weights are not to be had, none trained between them, the search ends."""
MOST_UNTRAINED = 200
"""After so many proposals in a row that could not be trained, the search ends."""

_SAYS_NOTHING: tuple[FailureKind, ...] = ("interrupted", "duplicate")
"""Failures that do not speak against the region of a proposal."""
_NOT_COUNTED: tuple[FailureKind, ...] = ("interrupted", "invalid_model", "bad_data")


@dataclass
class _Task:
    """A trial about to be trained."""

    number: int
    baseline: BaselineSummary | None = None


class Coordinator:
    """Runs a study until its budget is used up or somebody stops it.

    Args:
        folder: The study, held for writing.
        ready: What the worker found in the space and the data.
        strategy: Who proposes.
        worker: A worker that is ready.
        new_worker: Makes another one when that dies.
        limits: How far to go.
        seed: Where the seeds of the trials start.
    """

    def __init__(
        self,
        folder: StudyFolder,
        ready: Ready,
        strategy: OptunaStrategy,
        worker: LocalWorker,
        new_worker: Callable[[], LocalWorker],
        limits: Limits,
        seed: int,
    ) -> None:
        self.folder = folder
        self.ready = ready
        self.strategy = strategy
        self.worker = worker
        self.new_worker = new_worker
        self.limits = limits
        self.seed = seed
        self.objective = Objective.parse(ready.summary.objective)
        self.trials: dict[int, Trial] = {trial.number: trial for trial in folder.trials()}
        self.stopping = ""  # by what, once somebody asked it to stop after the epoch
        self.watcher: Watcher
        self._doubles = 0
        self._untrained = 0
        self._weightless = 0
        self._again: list[int] = []
        self._skipped: set[str] = set()
        self._baselines = {baseline.name: baseline for baseline in ready.summary.baselines}
        self._turns = Turns({b.name: self._cost(b) for b in self._baselines.values()}, limits.seconds)
        self._multiply_adds = 0
        self._trained_here = 0  # by the worker that runs now

    def run(self, watcher: Watcher) -> None:
        """Train until the budget is used up.

        Args:
            watcher: Who is told.

        Raises:
            RunError: The search cannot go on; what was found is in the record.
        """
        self.watcher = watcher
        self._recover()
        try:
            while not self.stopping and (task := self._next()) is not None:
                self._renew_worker()
                self._train(task)
        finally:
            self.worker.close()
        if self.stopping:
            self.watcher.note(f"Stopped {self.stopping}; the same command goes on from here.")

    def _renew_worker(self) -> None:
        """Replace a worker that died, or that has trained so many trials that its memory has grown."""
        if self.worker.alive and self._trained_here < TRIALS_A_WORKER:
            return
        self.worker.close()
        self.worker = self.new_worker()
        self._trained_here = 0

    def _recover(self) -> None:
        """Close what an earlier run left open: finished trials are told, the others will be trained again."""
        for number in self.strategy.reopen():
            trial = self.trials.get(number)
            if trial is None:
                self.strategy.forget(number)
                continue
            if trial.state == "RUNNING":
                self._fail(trial, "interrupted", "the run ended before the trial did")
                history = self.folder.trial(number).history()
                trial.epochs, trial.seconds = len(history), sum(epoch.seconds for epoch in history)
                self.folder.trial(number).write(trial)
            self._tell(trial)
        settled = {t.hash for t in self.trials.values() if t.failure != "interrupted"}
        for trial in self.trials.values():
            if trial.failure == "interrupted" and not trial.baseline and trial.hash not in settled:
                settled.add(trial.hash)
                self._again.append(trial.number)
        if self.trials:
            again = f"; {len(self._again)} interrupted, trained again" if self._again else ""
            self.watcher.note(f"Resuming study {self.folder.name}: {len(self.trials)} trials so far{again}.")

    def _next(self) -> _Task | None:
        if self._time_left() <= 0:
            self._explain_end(f"the time of {self.limits.seconds:.0f} s is used up; extend it with a longer --for")
            return None
        if self._untrained >= MOST_UNTRAINED:
            last = max(self.trials.values(), key=lambda trial: trial.number)
            raise RunError(f"{MOST_UNTRAINED} proposals in a row could not be trained; the last: {last.message}")
        waiting = self._waiting()
        spent = sum(trial.seconds for trial in self.trials.values() if trial.baseline)
        due = self._turns.due(waiting, self._time_left())
        baseline = self._turns.late(waiting) if due else self._turns.early(waiting, spent)
        if baseline is not None:
            return self._baseline(baseline)
        if self._again:
            return _Task(self.strategy.ask_again(self._again.pop(0)))
        if self.limits.trials is not None and self._counted() >= self.limits.trials:
            return self._last(f"the budget of {self.limits.trials} trials is used up; extend it with a higher --trials")
        if self._exhausted():
            return self._last("every recipe of the space was tried")
        if self._weightless >= MOST_WITHOUT_WEIGHTS:
            return self._last("what is proposed now wants pretrained weights that are not to be had")
        return _Task(self.strategy.ask(at_random=max(self._doubles, self._weightless) >= DOUBLES_UNTIL_RANDOM))

    def _last(self, reason: str) -> _Task | None:
        """What is trained when the search is over: hand-made networks that were left for the end."""
        late = self._turns.late(self._waiting())
        if late is None:
            self._explain_end(reason)
            return None
        return self._baseline(late)

    def _explain_end(self, reason: str) -> None:
        if waiting := self._waiting():
            self.watcher.note(f"Not trained, too long for this budget: baseline {', '.join(waiting)}.")
        self.watcher.note(f"Done: {reason}.")

    def _exhausted(self) -> bool:
        summary = self.ready.summary
        if summary.open_ended:
            return self._doubles >= MOST_UNTRAINED
        tried = {trial.hash for trial in self.trials.values() if trial.hash and trial.failure != "interrupted"}
        return len(tried) >= summary.size or self._doubles >= MOST_UNTRAINED

    def _waiting(self) -> list[str]:
        """The hand-made networks that are still to be trained."""
        if not self.limits.baselines:
            return []
        done = {
            t.baseline for t in self.trials.values() if t.failure not in ("interrupted", "bad_data")
        } | self._skipped
        return [name for name in self._baselines if name not in done]

    def _baseline(self, name: str) -> _Task:
        baseline = self._baselines[name]
        return _Task(self.strategy.ask(baseline.choices), baseline)

    def _cost(self, baseline: BaselineSummary) -> float:
        """Multiply-adds of its whole training, counted for one training image."""
        return self.ready.baseline_costs.get(baseline.name, 0) * float(self.limits.epochs or baseline.epochs)

    def _train(self, task: _Task) -> None:
        trial = Trial(
            number=task.number,
            baseline=task.baseline.name if task.baseline else None,
            answers={p.name: value for p, value in task.baseline.choices} if task.baseline else {},
            seed=(self.seed * 1_000_003 + task.number) % 2**31,
            started=time.time(),
        )
        clock = time.monotonic()
        folder = self.folder.trial(task.number)
        folder.path.mkdir(parents=True, exist_ok=True)
        try:
            self.worker.send(Train(trial.seed, folder.log.resolve(), trial.baseline, self.limits.epochs))
            while not self._heard(trial, self.worker.receive(), clock):
                pass
        except WorkerDied as death:
            # What stops the run may have been sent to the whole process group, and have reached the worker first.
            if self.stopping:
                self._fail(trial, "interrupted", f"stopped {self.stopping}")
            else:
                self._fail(trial, "crashed", str(death))
        except KeyboardInterrupt:
            self.stopping = "at once"
            self._fail(trial, "interrupted", "stopped by hand")
        trial.seconds = time.monotonic() - clock
        self._settle(trial)

    def _heard(self, trial: Trial, message: Any, clock: float) -> bool:
        """Act on what the worker said; whether the trial has ended."""
        trial.seconds = time.monotonic() - clock
        if isinstance(message, Suggest):
            value = self.strategy.suggest(trial.number, message.parameter)
            trial.answers[message.parameter.name] = value
            self.worker.send(Chosen(value))
        elif isinstance(message, Resolved):
            self.worker.send(self._on_resolved(trial, message))
        elif isinstance(message, Measured):
            self.worker.send(self._on_measured(trial, message))
        elif isinstance(message, EpochDone):
            self.worker.send(self._on_epoch(trial, message))
        elif isinstance(message, Trained):
            trial.score, trial.best_epoch = finite(message.score), message.best_epoch
            trial.train_score = finite(message.train_score)
            self._conclude(trial)
            return True
        elif isinstance(message, Failed):
            # A build(hp) that raises never says its recipe; then the choices tell whether it was tried before.
            again = not trial.hash and any(not t.hash and t.answers == trial.answers for t in self.trials.values())
            self._fail(trial, "duplicate" if again else message.kind, message.message)
            return True
        elif isinstance(message, Drop):
            return True
        return False

    def _on_resolved(self, trial: Trial, message: Resolved) -> Go | Drop:
        trial.recipe, trial.hash, trial.epochs_budget = message.recipe, message.hash, message.epochs
        double = message.unique and any(
            other.hash == trial.hash and other.failure not in ("interrupted", "bad_data")
            for other in self.trials.values()
        )
        if double and not trial.baseline:
            self._fail(trial, "duplicate", "proposes a recipe that was trained before")
            return Drop()
        self.folder.trial(trial.number).write(trial)
        return Go()

    def _on_measured(self, trial: Trial, message: Measured) -> Go | Drop:
        trial.parameters = message.parameters
        most = self.ready.summary.most_parameters
        if most is not None and message.parameters > most and not trial.baseline:
            self._fail(trial, "invalid_model", f"has {message.parameters:,} parameters; at most {most:,} are allowed")
            return Drop()
        self._multiply_adds = message.multiply_adds
        self.watcher.started(trial, self.budget())
        return Go()

    def _on_epoch(self, trial: Trial, message: EpochDone) -> Go | Halt:
        epoch = message.epoch
        trial.epochs = epoch.epoch
        self.folder.trial(trial.number).append(epoch)
        value = finite(epoch.metrics.get(self.objective.metric))
        if value is not None:
            self.strategy.report(trial.number, epoch.epoch, value)
            if trial.score is None or self.objective.better(value, trial.score):
                trial.score, trial.best_epoch = value, epoch.epoch
        if epoch.epoch > 1 and self._multiply_adds:
            # The first epoch also compiles; the later ones say how fast this machine is.
            self._turns.rate = epoch.seconds / self._multiply_adds
        self.watcher.epoch(trial, epoch, self.budget(trial))
        if self._time_left(trial) <= 0:
            trial.message = "stopped when the time budget was used up"
        elif not trial.baseline:
            trial.message = self.limits.too_slow(epoch, trial.epochs_budget)
        return Halt() if self.stopping or trial.message else Go()

    def _conclude(self, trial: Trial) -> None:
        """A trial that was trained: to its end, or until it was halted."""
        halted = trial.epochs < trial.epochs_budget
        if self.stopping and halted:
            message = f"stopped {self.stopping} after {trial.epochs} epochs; to be trained again"
            self._fail(trial, "interrupted", message)
        elif trial.message and halted:
            trial.state = "PRUNED"
        else:
            trial.state, trial.message = "COMPLETE", ""

    def _fail(self, trial: Trial, kind: FailureKind, message: str) -> None:
        trial.state, trial.failure, trial.message = "FAIL", kind, message

    def _settle(self, trial: Trial) -> None:
        """Write the end of a trial, then tell the strategy and the watcher: in this order no kill loses a score."""
        trial.finished = time.time()
        folder = self.folder.trial(trial.number)
        if trial.baseline and trial.failure == "bad_data":
            self._skipped.add(trial.baseline)  # for this run; the next one looks again
        if trial.failure == "duplicate" or self._lacks_the_same(trial):
            folder.delete()
            self._doubles += trial.failure == "duplicate"
            self._weightless += trial.failure == "bad_data"
            if trial.baseline:
                self.watcher.note(f"Skipped again, baseline {trial.baseline}: {trial.message}")
            self._tell(trial)
            return
        folder.write(trial)
        self._tell(trial)
        self.trials[trial.number] = trial
        self._doubles = 0
        self._trained_here += 1
        self._weightless = 0 if trial.epochs else self._weightless
        self._untrained = 0 if trial.epochs or trial.failure == "interrupted" else self._untrained + 1
        self.watcher.ended(trial, self.best(), self.budget())

    def _lacks_the_same(self, trial: Trial) -> bool:
        """Whether it failed for want of a file that an earlier trial wanted: one trial in the record says it."""
        return trial.failure == "bad_data" and any(
            other.failure == "bad_data" and other.message == trial.message for other in self.trials.values()
        )

    def _tell(self, trial: Trial) -> None:
        if trial.state == "COMPLETE" and trial.score is not None:
            self.strategy.complete(trial.number, trial.score)
        elif trial.state == "PRUNED":
            self.strategy.stop(trial.number)
        elif trial.failure in _SAYS_NOTHING:
            self.strategy.forget(trial.number)
        else:
            self.strategy.infeasible(trial.number)

    def best(self) -> Trial | None:
        """The trial with the best score so far."""
        scored = [trial for trial in self.trials.values() if trial.score is not None]
        if not scored:
            return None
        return (max if self.objective.maximize else min)(scored, key=lambda trial: trial.score or 0.0)

    def budget(self, running: Trial | None = None) -> Budget:
        """How far the study is.

        Args:
            running: The trial that is being trained, whose seconds count already.
        """
        counts = Counter(f"failed: {t.failure}" if t.state == "FAIL" else t.state.lower() for t in self.trials.values())
        return Budget(self._counted(), self.limits.trials, self._seconds(running), self.limits.seconds, dict(counts))

    def _counted(self) -> int:
        return sum(t.baseline is None and t.failure not in _NOT_COUNTED for t in self.trials.values())

    def _seconds(self, running: Trial | None = None) -> float:
        return sum(t.seconds for t in self.trials.values()) + (running.seconds if running else 0.0)

    def _time_left(self, running: Trial | None = None) -> float:
        return float("inf") if self.limits.seconds is None else self.limits.seconds - self._seconds(running)
