"""How far a run is: what both its live screen and its plain lines keep of the events they hear."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from statistics import fmean

from hpsearch.cli.output import duration, one_line
from hpsearch.events import Budget
from hpsearch.results.leaderboard import summary
from hpsearch.study import Epoch, Trial

__all__ = ["Clock", "Progress", "Running", "fraction", "left_open", "time_left", "title"]

Clock = Callable[[], float]

PACE_EPOCHS = 5
"""The pace of a trial is the mean of so many epochs, the last ones."""


@dataclass
class Running:
    """A trial in training, as far as it was heard of.

    Args:
        trial: The trial.
        since: When it was started or taken up again.
        before: Seconds that it had been trained before.
        best: The best value of the metric so far, that of earlier runs included.
        epoch: Epochs done.
        values: The metric, for each epoch that was heard of.
        seconds: How long these epochs took, the last ones.
        heard: When the last epoch ended.
        pace: Seconds of an epoch, or None while nobody knows.
    """

    trial: Trial
    since: float
    before: float = 0.0
    best: float | None = None
    epoch: int = 0
    values: list[float] = field(default_factory=list)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=PACE_EPOCHS))
    heard: float = 0.0
    pace: float | None = None

    @classmethod
    def begun(cls, trial: Trial, now: float) -> Running:
        """A trial that begins, or goes on."""
        pace = trial.seconds / trial.epochs if trial.epochs and trial.seconds else None
        return cls(trial, now, trial.seconds, trial.score, trial.epochs, heard=now, pace=pace)

    @property
    def share(self) -> float | None:
        """How much of its epochs is done; None where their number is open."""
        return min(self.epoch / self.trial.epochs_budget, 1.0) if self.trial.epochs_budget else None

    def left(self, now: float) -> float | None:
        """Seconds until its last epoch has ended, should it not be stopped before; None while nobody knows."""
        if self.pace is None or not self.trial.epochs_budget:
            return None
        epochs = max(self.trial.epochs_budget - self.epoch, 0)
        # The epoch in progress may take longer than the others; those after it are not done any sooner for that.
        return max(epochs * self.pace - (now - self.heard), (epochs - 1) * self.pace, 0.0)


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
        self.budget = Budget(0, None, 0.0, None)
        self.budget_at = clock()
        self.running: dict[int, Running] = {}
        self.open: set[int] = set()
        """Trials that were left without an end and not taken up again."""
        self.recent: deque[Trial] = deque(maxlen=20)
        self.paused = ""
        self._counted: list[float] = []
        self._others: list[float] = []

    def started(self, trial: Trial, budget: Budget) -> None:
        self._heard(budget)
        self.open.discard(trial.number)
        self.running[trial.number] = Running.begun(trial, self.clock())

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> Running:
        self._heard(budget)
        now = self.clock()
        running = self.running.setdefault(trial.number, Running(trial, now))
        running.trial, running.epoch, running.heard = trial, epoch.epoch, now
        value = epoch.metrics.get(self.metric, math.nan)
        running.best = self.better(running.best, value)
        running.values.append(value)
        # The first epoch also compiles: it tells the pace only while nothing else does.
        if len(running.values) == 2:
            running.seconds.clear()
        if len(running.values) > 1 or running.pace is None:
            running.seconds.append(epoch.seconds)
            running.pace = fmean(running.seconds)
        return running

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        if trial.epochs:
            (self._counted if budget.trials_done > self.budget.trials_done else self._others).append(trial.seconds)
        self._heard(budget)
        self.running.pop(trial.number, None)
        self.open.discard(trial.number)
        self.best = best or self.best
        if trial.failure != "duplicate":
            self.recent.appendleft(trial)

    def left(self, trial: Trial) -> None:
        self._hold_time()
        self.running.pop(trial.number, None)
        self.open.add(trial.number)

    def dropped(self, trial: Trial) -> None:
        self._hold_time()
        self.running.pop(trial.number, None)
        self.open.discard(trial.number)

    def stop(self) -> None:
        """Nothing runs any more, whatever was heard of it last."""
        self._hold_time()
        self.running.clear()
        self.paused = ""

    def _hold_time(self) -> None:
        """Take the seconds since the last event for used: the clock must not fall back when nothing runs any more."""
        self._heard(replace(self.budget, seconds_done=self.seconds_done))

    def _heard(self, budget: Budget) -> None:
        self.budget = budget
        self.budget_at = self.clock()

    @property
    def seconds_done(self) -> float:
        """The seconds that the study has used, counted on between events while something trains."""
        since = self.clock() - self.budget_at if self.running else 0.0
        return self.budget.seconds_done + since

    @property
    def time_left(self) -> float | None:
        """The seconds until the first budget is used up, as far as one can tell."""
        now = self.clock()
        known = [(running, running.left(now)) for running in self.running.values()]
        mean = self._mean_trial(now)
        still = [max((mean or 0.0) - (now - running.since), 0.0) if left is None else left for running, left in known]
        counting = sum(running.trial.baseline is None for running, _ in known)
        return time_left(self.budget, self.seconds_done, mean, still, counting)

    @property
    def remaining(self) -> str:
        """``about 3m 05s left``; ``at most`` where something else may end it before. Empty where nobody knows."""
        left = self.time_left
        if not left or self.paused:
            return ""
        return f"{'at most' if self.budget.until or self.budget.patience else 'about'} {duration(left)} left"

    def _mean_trial(self, now: float) -> float | None:
        """Seconds of a whole trial: the mean of those that ended and count against the budget.

        While fewer have ended than there are slots, those that run are taken in by what they are going to take, because
        the first to end are the short ones.
        """
        ended = self._counted
        if len(ended) < self.budget.slots:
            ended = ended + [
                running.before + now - running.since + left
                for running in self.running.values()
                if running.trial.baseline is None and (left := running.left(now)) is not None
            ]
        ended = ended or self._others
        return fmean(ended) if ended else None

    def better(self, one: float | None, other: float) -> float | None:
        """The better of two values of the metric; one that is not finite is none."""
        if not math.isfinite(other):
            return one
        return other if one is None else max(one, other) if self.maximize else min(one, other)

    @property
    def summary(self) -> list[tuple[str, str]]:
        """How many trials ended how, as pairs of a label and words; those that were left open come last."""
        numbers = dict(self.budget.counts)
        numbers.pop("RUNNING", None)
        numbers["interrupted"] = numbers.get("interrupted", 0) + len(self.open)
        return summary(numbers)


def time_left(
    budget: Budget,
    seconds_done: float,
    mean: float | None = None,
    running: Collection[float] = (),
    counting: int = 0,
) -> float | None:
    """Seconds until the first of the budgets is used up; None while nothing can be said.

    Args:
        budget: The budgets of the study.
        seconds_done: What the study has used of its time.
        mean: Seconds of a whole trial, or None while nobody knows.
        running: Seconds that each of the running trials still takes.
        counting: How many of the running trials count against the budget of trials.
    """
    left: list[float] = []
    if budget.seconds is not None:
        left.append(max(budget.seconds - seconds_done, 0.0))
    if budget.trials is not None and mean is not None:
        to_come = max(budget.trials - budget.trials_done - counting, 0)
        work = sum(running) + to_come * mean
        left.append(max(work / max(budget.slots, len(running), 1), *running, 0.0))
    return min(left, default=None)


def title(trial: Trial) -> str:
    """What a line calls a trial: its number, and its name where it is a baseline; a final by its finalist and seed."""
    if trial.called:
        return f"final {one_line(trial.called)}"
    return f"trial {trial.number} ({one_line(trial.baseline)})" if trial.baseline else f"trial {trial.number}"


def left_open(trial: Trial, why: str) -> str:
    """A sentence about a trial that stopped without an end, and from where it goes on."""
    if not trial.epochs:
        return f"{title(trial)} interrupted: {one_line(why)}; it begins again"
    done = f"{fraction(trial.epochs, trial.epochs_budget)} epochs"
    return f"{title(trial)} interrupted after {done}: {one_line(why)}; it goes on from there"


def fraction(done: int, total: int | None) -> str:
    """``7/30``, or ``7`` where there is no total; ``8/8 + 1 more`` where trials were enqueued beyond their budget."""
    if total and done > total:
        return f"{total:,}/{total:,} + {done - total:,} more"
    return f"{done:,}/{total:,}" if total else f"{done:,}"
