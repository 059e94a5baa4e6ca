"""How far a run is: what both its live screen and its plain lines keep of the events they hear."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hpsearch.cli.output import one_line
from hpsearch.events import Budget
from hpsearch.study import Epoch, Trial
from hpsearch.study.trial import STATES

__all__ = ["Clock", "Progress", "Running", "fraction", "tally", "time_left", "title"]

Clock = Callable[[], float]


@dataclass
class Running:
    """A trial in training, as far as it was heard of."""

    trial: Trial
    since: float
    epoch: int = 0
    values: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How much of its epochs is done."""
        return min(self.epoch / self.trial.epochs_budget, 1.0) if self.trial.epochs_budget else 0.0


class Progress:
    """What both watchers keep of a run.

    Args:
        metric: The metric of the objective.
        maximize: Whether more of it is better.
        best: The best trial so far, where the study goes on from earlier.
        clock: Seconds that only go forward.
    """

    def __init__(self, metric: str, maximize: bool, best: Trial | None, clock: Clock) -> None:
        self.metric = metric
        self.maximize = maximize
        self.best = best
        self.clock = clock
        self.begun = clock()
        self.budget = Budget(0, None, 0.0, None)
        self.budget_at = self.begun
        self.running: dict[int, Running] = {}
        self.recent: deque[Trial] = deque(maxlen=20)

    def started(self, trial: Trial, budget: Budget) -> None:
        self._heard(budget)
        self.running[trial.number] = Running(trial, self.clock())

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> Running:
        self._heard(budget)
        running = self.running.setdefault(trial.number, Running(trial, self.clock()))
        running.trial = trial
        running.epoch = epoch.epoch
        running.values.append(epoch.metrics.get(self.metric, math.nan))
        return running

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        self._heard(budget)
        self.running.pop(trial.number, None)
        self.best = best or self.best
        if trial.failure != "duplicate":
            self.recent.appendleft(trial)

    def _heard(self, budget: Budget) -> None:
        self.budget = budget
        self.budget_at = self.clock()

    @property
    def seconds_done(self) -> float:
        """The seconds that the study has used, counted on between events while something trains."""
        since = self.clock() - self.budget_at if self.running else 0.0
        return self.budget.seconds_done + since

    @property
    def under_way(self) -> float:
        """The running trials, as parts of a whole one."""
        return sum(running.share for running in self.running.values())

    @property
    def time_left(self) -> float | None:
        """The seconds until the first budget is used up, as far as one can tell."""
        return time_left(self.budget, self.seconds_done, self.under_way)

    def best_of(self, values: list[float]) -> float | None:
        """The best of some values of the metric."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        return max(finite) if self.maximize else min(finite)


def time_left(budget: Budget, seconds_done: float, under_way: float = 0.0) -> float | None:
    """Seconds until the first of the budgets is used up; None while nothing can be said.

    Args:
        budget: The budgets of the study.
        seconds_done: What the study has used of its time.
        under_way: The running trials, as parts of a whole one; they tell the pace before the first one ends.
    """
    left: list[float] = []
    if budget.seconds is not None:
        left.append(max(budget.seconds - seconds_done, 0.0))
    done = budget.trials_done + under_way
    if budget.trials is not None and done > 0:
        left.append(max(budget.trials - done, 0.0) * seconds_done / done)
    return min(left, default=None)


def tally(budget: Budget) -> Iterator[tuple[str, int]]:
    """Ended trials by state; failures by their kind where the kind is known."""
    words = [word for word in budget.counts if word not in STATES]
    words.sort(key=lambda word: (word == "duplicate", word))
    states = ["COMPLETE", "PRUNED"] if words else ["COMPLETE", "PRUNED", "FAIL"]
    for word in [*states, *words]:
        if budget.counts.get(word):
            yield word, budget.counts[word]


def title(trial: Trial) -> str:
    """What a line calls a trial: its number, and its name where it is a baseline."""
    return f"trial {trial.number} ({one_line(trial.baseline)})" if trial.baseline else f"trial {trial.number}"


def fraction(done: int, total: int | None) -> str:
    """``7/30``, or ``7`` where there is no total."""
    return f"{done:,}/{total:,}" if total else f"{done:,}"
