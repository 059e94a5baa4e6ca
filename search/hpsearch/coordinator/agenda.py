"""What is trained next: what was interrupted, what users enqueued, hand-made networks, then the search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.coordinator.ledger import Ledger
from hpsearch.describe import BaselineSummary, SpaceSummary
from hpsearch.errors import RunError
from hpsearch.limits import Limits
from hpsearch.strategies.base import Asked, Strategy
from hpsearch.strategies.turns import Turns
from hpsearch.study.folder import StudyFolder
from hpsearch.study.requests import Enqueued, queued
from hpsearch.study.trial import Trial

__all__ = ["Agenda", "Over", "Repeat", "Task", "Wait"]

QUEUED = "queued: "
"""What the label of a trial begins with that a user enqueued; the name of its file follows."""
DOUBLES_UNTIL_RANDOM = 20
"""After so many proposals in a row that were trained before, the next ones are drawn at random."""
MOST_WITHOUT_WEIGHTS = 1000
"""After so many proposals whose pretrained weights are not to be had, none trained between them, the search ends."""
MOST_UNTRAINED = 200
"""After so many proposals in a row that could not be trained, the search ends."""


@dataclass(frozen=True)
class Repeat:
    """A recipe that is to be trained again, with a seed of its own.

    Args:
        finalist: The trial of the study that it is the recipe of.
        seed: Of weights, shuffles and dropout.
        place: Which of the seeds this is, from 1.
    """

    finalist: Trial
    seed: int
    place: int

    @property
    def label(self) -> str:
        """What it is in the record, for a run that takes it up again."""
        return f"{self.finalist.number} with seed {self.seed}"

    @property
    def called(self) -> str:
        """What people call it."""
        return f"{self.finalist.name} (seed {self.place})"


@dataclass(frozen=True)
class Task:
    """A trial to train.

    Args:
        asked: The trial as the strategy knows it.
        trial: Its record, where it was begun before.
        baseline: The hand-made network that it is, or None.
        enqueued: What a user added, or None.
        repeat: What is trained again in the finals, or None.
    """

    asked: Asked
    trial: Trial | None = None
    baseline: BaselineSummary | None = None
    enqueued: Enqueued | None = None
    repeat: Repeat | None = None


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a trial that is being trained has ended."""


@dataclass(frozen=True)
class Over:
    """The study is over, for this reason."""

    reason: str


class Agenda:
    """Decides what is trained next.

    Args:
        folder: The study.
        summary: The space.
        baseline_costs: Floating-point operations of one image through each baseline, by name.
        strategy: Who proposes.
        ledger: The trials so far.
        limits: How far to go.
        seconds_left: How much of the time budget is left.
    """

    def __init__(
        self,
        folder: StudyFolder,
        summary: SpaceSummary,
        baseline_costs: dict[str, int],
        strategy: Strategy,
        ledger: Ledger,
        limits: Limits,
        seconds_left: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.summary = summary
        self.strategy = strategy
        self.ledger = ledger
        self.limits = limits
        self.seconds_left = seconds_left
        self.again: list[Task] = []
        """Trials to take up again, first of all."""
        self.doubles = 0
        """Proposals in a row that were trained before."""
        self.weightless = 0
        """Proposals in a row whose pretrained weights are not to be had."""
        self.untrained = 0
        """Trials in a row that could not be trained."""
        self.reached = ""
        """What ended the study, once an epoch reached it."""
        self.skipped: set[str] = set()
        """Hand-made networks that cannot be trained in this run."""
        self.unreadable: dict[Path, str] = {}
        """What is wrong with files in the queue, by file."""
        self.baselines = {baseline.name: baseline for baseline in summary.baselines}
        self._taken: set[Path] = set()
        costs = {b.name: baseline_costs.get(b.name, 0) * float(limits.epochs or b.epochs) for b in summary.baselines}
        self.turns = Turns(costs, limits.seconds)

    def next(self) -> Task | Wait | Over:
        """What is trained next; a task that is handed out is open until it is told how it ended.

        Raises:
            RunError: The search gets nowhere.
        """
        if reason := self._ended():
            return Over(reason)
        if self.untrained >= MOST_UNTRAINED:
            last = max(self.ledger.ended, key=lambda trial: trial.number)
            raise RunError(f"{MOST_UNTRAINED} proposals in a row could not be trained; the last: {last.message}")
        if self.again:
            return self.again.pop(0)
        for enqueued in self._queued():
            if enqueued.path not in self._taken:
                asked = Asked(self.strategy.adopt(enqueued.choices, QUEUED + enqueued.path.name))
                self._taken.add(enqueued.path)
                return Task(asked, enqueued=enqueued)
        if not self._search_is_first() and (name := self._baseline_in_turn()) is not None:
            return self._baseline(name)
        if reason := self._search_ended():
            return self._last(reason)
        if self.limits.trials is not None and self.ledger.claimed() >= self.limits.trials:
            return Wait()
        return self._proposal()

    def _queued(self) -> list[Enqueued]:
        return queued(self.folder, self.unreadable.__setitem__)

    def done(self) -> tuple[int, int | None]:
        """How many trials ended and count, and how many there may be at the most; None where there is no limit."""
        return self.ledger.counted(), self.limits.trials

    def expected(self) -> float:
        """How many trials may still be handed out, at the most."""
        if self._ended():
            return 0
        sure = len(self.again) + len(self.waiting()) + sum(e.path not in self._taken for e in self._queued())
        if self._search_ended():
            return sure
        most = float("inf") if self.limits.trials is None else self.limits.trials
        return sure + max(most - self.ledger.claimed(), 0)

    def _ended(self) -> str:
        """Why nothing more is trained at all; empty while something is."""
        if self.reached:
            return self.reached
        if self.seconds_left() <= 0:
            return f"the time of {self.limits.seconds:.0f} s is used up; extend it with a longer --for"
        return ""

    def _search_ended(self) -> str:
        """Why the strategy is not asked any more; empty while it is."""
        most, patience = self.limits.trials, self.limits.patience
        if most == 0:
            return "nothing but the hand-made networks was asked for; search with a higher --trials"
        if most is not None and self.ledger.counted() >= most:
            return f"the budget of {most} trials is used up; extend it with a higher --trials"
        if patience is not None and self.ledger.without_improvement() >= patience:
            beyond = " beyond noise" if self.ledger.knows_noise else ""
            return f"{patience} trials in a row were no improvement{beyond}; go on with a higher --patience"
        if self._exhausted():
            return "every recipe of the space was tried"
        if self.weightless >= MOST_WITHOUT_WEIGHTS:
            return "what is proposed now wants pretrained weights that are not to be had"
        return ""

    def _exhausted(self) -> bool:
        known = not self.summary.open_ended and self.ledger.recipes() >= self.summary.size
        return known or self.doubles >= MOST_UNTRAINED

    def _proposal(self) -> Task | Wait | Over:
        asked = self.strategy.ask(at_random=max(self.doubles, self.weightless) >= DOUBLES_UNTIL_RANDOM)
        if asked is not None:
            return Task(asked)
        return Wait() if self.ledger.open else self._last("the strategy has nothing more to propose")

    def _last(self, reason: str) -> Task | Wait | Over:
        """What is trained when the search is over: hand-made networks that were left for the end."""
        late = self.turns.late(self.waiting())
        return Over(reason) if late is None else self._baseline(late)

    def waiting(self) -> list[str]:
        """The hand-made networks that are still to be trained."""
        if not self.limits.baselines:
            return []
        trials = self.ledger.trials.values()
        done = {t.baseline for t in trials if t.failure not in ("interrupted", "bad_data")} | self.skipped
        done |= {t.baseline for t in trials if t.state == "RUNNING"}
        return [name for name in self.baselines if name not in done]

    def _search_is_first(self) -> bool:
        """Whether one cheap proposal comes before the hand-made networks, so that there is something good soon."""
        if self.limits.seconds is None or not self.strategy.begins_cheaply or self._search_ended():
            return False
        return all(trial.baseline is not None for trial in self.ledger.trials.values())

    def _baseline_in_turn(self) -> str | None:
        waiting = self.waiting()
        if self.turns.due(waiting, self.seconds_left()):
            return self.turns.late(waiting)
        spent = sum(trial.seconds for trial in self.ledger.trials.values() if trial.baseline)
        return self.turns.early(waiting, spent)

    def recovered(self, asked: Asked, label: str | None, trial: Trial | None) -> Task | None:
        """The task of a trial that an earlier run left open; None where nobody knows any more what it was.

        Args:
            asked: The trial as the strategy knows it.
            label: What it was adopted under.
            trial: Its record, or None where the run was killed before it was written.
        """
        if label is None:
            return Task(asked, trial)
        if label.startswith(QUEUED):
            for enqueued in self._queued():
                if QUEUED + enqueued.path.name == label:
                    self._taken.add(enqueued.path)
                    return Task(asked, trial, enqueued=enqueued)
            return Task(asked, trial) if trial is not None and trial.recipe else None
        baseline = self.baselines.get(label)
        return Task(asked, trial, baseline) if baseline is not None else None

    def _baseline(self, name: str) -> Task:
        baseline = self.baselines[name]
        return Task(Asked(self.strategy.adopt(baseline.choices, name)), baseline=baseline)
