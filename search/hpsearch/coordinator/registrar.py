"""Writes how trials begin, break off and end, in the order in which no kill loses a score."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from hpsearch.coordinator.agenda import Agenda, Task
from hpsearch.coordinator.clock import Clock
from hpsearch.coordinator.ledger import Ledger
from hpsearch.coordinator.policies import POLICIES, failed_alike, same_lack
from hpsearch.errors import RunError
from hpsearch.events import Budget, Watcher
from hpsearch.strategies.base import Strategy
from hpsearch.study.folder import StudyFolder
from hpsearch.study.keeping import tidy, wanted
from hpsearch.study.room import LITTLE, has_room, written
from hpsearch.study.trial import Trial

__all__ = ["Registrar"]

T = TypeVar("T")

LOOK_AGAIN = 1.0
"""Seconds between two attempts to write on a full disk."""
TAKEN_UP = 20
"""A trial that was begun so often and never finished an epoch is given up: it may be what brings the machine down."""


class Registrar:
    """Keeps the record of a run.

    Args:
        folder: The study, held for writing.
        strategy: Who proposes.
        ledger: The trials.
        agenda: What comes next.
        clock: The time of the study.
        keep: Of how many of the best trials the checkpoints stay.
        watcher: Who is told.
        budget: How far the study is.
        stopping: Whether somebody stops the run.
        on_pause: Told whenever the run starts or ends to wait, why it does; empty when it goes on.
    """

    def __init__(
        self,
        folder: StudyFolder,
        strategy: Strategy,
        ledger: Ledger,
        agenda: Agenda,
        clock: Clock,
        keep: int,
        watcher: Watcher,
        budget: Callable[[], Budget],
        stopping: Callable[[], bool],
        on_pause: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.strategy = strategy
        self.ledger = ledger
        self.agenda = agenda
        self.clock = clock
        self.keep = keep
        self.watcher = watcher
        self.budget = budget
        self.stopping = stopping
        self.on_pause = on_pause
        self.paused = ""
        """What everything waits for; empty while it goes on."""
        self._ended_here: list[Trial] = []
        self._awaited = {name for one in agenda.summary.left_out for name in one.trials if name}
        self._bare: set[int] = set()  # trials that ended and whose checkpoints are gone

    # ---- writing, with patience

    def kept(self, write: Callable[[], T]) -> T:
        """Do something that writes to disk; where the disk is full, wait for room and do it again.

        Args:
            write: It; doing it twice must be the same as doing it once.

        Raises:
            RunError: Somebody stopped the run while it waited, or the study is not held any more.
        """
        self.folder.check_held()
        waited = False

        def wait(error: Exception) -> None:
            nonlocal waited
            waited = True
            self.say_paused(self._full)
            if self.stopping():
                raise RunError(
                    f"Stopped while the disk that holds {self.folder.path} is full; "
                    "make room, then the same command goes on from here."
                ) from error
            self.clock.pause(LOOK_AGAIN)

        result = written(self.folder.path, write, wait)
        if waited:
            self.say_paused("")
        return result

    @property
    def _full(self) -> str:
        return f"the disk that holds {self.folder.path} is full; make room, and the search goes on"

    def await_room(self) -> None:
        """Wait until a little can be written, or until somebody stops the run."""
        while not has_room(self.folder.path, LITTLE) and not self.stopping():
            self.say_paused(self._full)
            self.clock.pause(LOOK_AGAIN)
        self.say_paused("")

    def room_for(self, wanted: int) -> bool:
        """Whether so many bytes can be written now; where not, that is said."""
        room = has_room(self.folder.path, wanted)
        self.say_paused("" if room else self._full)
        return room

    def say_paused(self, reason: str) -> None:
        """Say that the run waits, or that it goes on, once."""
        if reason != self.paused:
            self.paused = reason
            self.watcher.paused(reason)
            self.on_pause(reason)

    # ---- the life of a trial

    def begun(self, task: Task, device: str, seed: int) -> Trial:
        """Open or reopen the record of a trial.

        Args:
            task: What is to be trained.
            device: On what.
            seed: Of a new trial.
        """
        number = task.asked.number
        trial = task.trial or Trial(
            number=number,
            baseline=task.baseline.name if task.baseline else None,
            enqueued=task.enqueued is not None,
            recipe=task.enqueued.recipe if task.enqueued else "",
            parent=task.asked.parent,
            seed=seed,
            started=time.time(),
        )
        if task.repeat is not None:
            trial.parent, trial.seed, trial.called = task.repeat.finalist.number, task.repeat.seed, task.repeat.called
        choices = task.baseline.choices if task.baseline else task.enqueued.choices if task.enqueued else ()
        trial.answers.update({parameter.name: value for parameter, value in choices})
        trial.state, trial.failure, trial.message = "RUNNING", None, ""
        trial.attempts += 1
        trial.device = device
        self.ledger.add(trial)
        self.write(trial)
        if task.enqueued:
            task.enqueued.path.unlink(missing_ok=True)  # from here on the record holds it
        return trial

    def write(self, trial: Trial) -> None:
        """Write the record of a trial."""
        self.kept(lambda: self.folder.trial(trial.number).write(trial))

    def again(self, trial: Trial, task: Task, why: str) -> None:
        """Take a trial up again from its last checkpoint, before anything else."""
        self.watcher.left(trial, why)
        self.write(trial)
        self.agenda.again.insert(0, replace(task, trial=trial))

    def interrupt(self, trial: Trial) -> None:
        """Leave a trial open, to go on in another run."""
        epochs = f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'}"
        trial.failure, trial.message = "interrupted", f"interrupted after {epochs}; the same command goes on"
        self.write(trial)
        self.watcher.left(trial, "the run stops")

    def settle(self, trial: Trial) -> None:
        """A trial has ended: write it, then tell the strategy and the watcher.

        Args:
            trial: The trial, with the state it ended in.

        Raises:
            RunError: The first trials all failed alike.
        """
        trial.finished = time.time()
        agenda, folder = self.agenda, self.folder.trial(trial.number)
        others = [other for other in self.ledger.ended if other is not trial]
        if trial.baseline and trial.failure == "bad_data":
            agenda.skipped.add(trial.baseline)  # for this run; the next one looks again
        if trial.failure == "duplicate" or same_lack(trial, others):
            self.ledger.drop(trial)
            folder.delete()
            self.tell(trial)
            self.watcher.dropped(trial)
            agenda.doubles += trial.failure == "duplicate"
            agenda.weightless += trial.failure == "bad_data"
            if trial.baseline or trial.enqueued:
                what = f"baseline {trial.baseline}" if trial.baseline else "what was enqueued"
                self.watcher.note(f"Skipped again, {what}: {trial.message}")
            return
        self.write(trial)
        self.tell(trial)
        agenda.doubles = 0
        agenda.weightless = 0 if trial.epochs else agenda.weightless
        agenda.untrained = 0 if trial.epochs else agenda.untrained + 1
        self.tidy()
        self.watcher.ended(trial, self.ledger.best(), self.budget())
        self._stop_if_hopeless(trial)

    def _stop_if_hopeless(self, trial: Trial) -> None:
        rejected = trial.failure == "invalid_model" and trial.parameters is not None
        if not rejected and trial.failure != "bad_data":
            self._ended_here.append(trial)
        if trial.state == "FAIL" and failed_alike(self._ended_here):
            log = self.folder.trial(trial.number).log
            raise RunError(
                f"The first {len(self._ended_here)} trials all failed alike ({trial.failure}): "
                f"{trial.message.rstrip('.')}. More is in {log}; mend it, then the same command goes on."
            )

    def tell(self, trial: Trial) -> None:
        """Tell the strategy how a trial ended."""
        number, strategy = trial.number, self.strategy
        baseline = self.agenda.baselines.get(trial.baseline or "")
        if baseline is not None and baseline.beside:
            self.kept(lambda: strategy.forget(number))
        elif trial.state == "COMPLETE" and trial.score is not None:
            score = trial.score
            self.kept(lambda: strategy.complete(number, score))
        elif trial.state == "PRUNED":
            self.kept(lambda: strategy.stop(number, trial.score))
        elif trial.failure is None or POLICIES[trial.failure].avoid:
            self.kept(lambda: strategy.infeasible(number))
        else:
            self.kept(lambda: strategy.forget(number))

    def tidy(self) -> None:
        """Delete the checkpoints that cannot matter any more."""
        trials, maximize = self.ledger.trials.values(), self.ledger.objective.maximize
        stay = wanted(trials, self.keep, maximize, self.strategy.may_continue)
        stay |= {trial.number for trial in trials if trial.baseline in self._awaited}
        # Of a trial that lost its checkpoints there is nothing left to look at, however many there are.
        ended = {trial.number for trial in self.ledger.ended} - self._bare
        tidy(self.folder, stay, sorted(ended), ended)
        self._bare |= ended - stay

    # ---- what an earlier run left

    def recover(self) -> None:
        """Take over what an earlier run left: what ended is told, what did not is taken up again."""
        for unmade in self.ledger.open:
            if unmade.number > self.strategy.last_number:  # its choices were not all made; it will be proposed again
                self.ledger.drop(unmade)
                self.folder.trial(unmade.number).delete()
        for left in self.kept(self.strategy.reopen):
            trial = self.ledger.trials.get(left.asked.number)
            if trial is not None and trial.state != "RUNNING":
                self.tell(trial)
                continue
            if trial is not None:
                # Only its history says how far a trial got that was killed.
                trial.epochs = len(self.folder.trial(trial.number).history())
            task = self.agenda.recovered(left.asked, left.label, trial)
            if task is None:
                self._forget(left.asked.number)
            elif trial is not None and trial.attempts >= TAKEN_UP and not trial.epochs:
                trial.state, trial.failure = "FAIL", "crashed"
                trial.message = f"was begun {trial.attempts} times and never finished an epoch"
                self.settle(trial)
            else:
                self.agenda.again.append(task)
        taken_up = {task.asked.number for task in self.agenda.again}
        for trial in self.ledger.open:
            if trial.number not in taken_up:  # the database is not the one it was begun with
                trial.state, trial.failure = "FAIL", "interrupted"
                self.write(trial)
        self.agenda.doubles = max(0, self.strategy.last_number - max([-1, *self.ledger.trials, *taken_up]))
        self.tidy()
        if self.ledger.trials:
            again = f"; {len(taken_up)} interrupted, to be taken up again" if taken_up else ""
            self.watcher.note(f"Resuming study {self.folder.name}: {len(self.ledger.trials)} trials so far{again}.")

    def _forget(self, number: int) -> None:
        self.kept(lambda: self.strategy.forget(number))
