"""Watching a run in a pipe or a log: plain lines."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from hpsearch.brief import describe
from hpsearch.cli.output import count, duration, one_line, say, score
from hpsearch.cli.progress import Clock, Progress, fraction, left_open, title
from hpsearch.events import Budget
from hpsearch.results.leaderboard import outcome
from hpsearch.study import Epoch, Trial

__all__ = ["PlainLines"]


class PlainLines:
    """One line for each trial that starts or ends, and an epoch now and then; for pipes and logs.

    Args:
        metric: The metric of the objective, such as ``val_accuracy``.
        maximize: Whether more of it is better.
        study: The name of the study.
        best: The best trial so far, where the study goes on from earlier.
        every: Seconds between two lines about epochs; where several trials run, they share them.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        metric: str,
        maximize: bool,
        study: str,
        *,
        best: Trial | None = None,
        every: float = 30.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._progress = Progress(metric, maximize, best, clock)
        self._study = study
        self._every = every
        self._said: dict[int, float] = {}

    def __enter__(self) -> Self:
        """Nothing to prepare; it is a context manager so that it stands where a `LiveScreen` would."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print how many trials ended how, and the best: the line that is looked for in the morning."""
        said = [words for _, words in self._progress.summary]
        best = self._progress.best
        if said and best is not None:
            word = "max" if self._progress.maximize else "min"
            said.append(f"{word} {self._progress.metric} {score(best.score)} by {one_line(best.name)}")
        if said:
            say(f"{self._study}: {'; '.join(said)}; {self._used()}")

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        say(f"{self._study}: {one_line(sentence)}")

    def started(self, trial: Trial, budget: Budget) -> None:
        """Print that a trial begins or goes on, and what it is."""
        self._progress.started(trial, budget)
        self._said[trial.number] = self._progress.clock()
        size = f"{count(trial.parameters)} parameters" if trial.parameters is not None else ""
        device = trial.device if budget.slots > 1 else ""
        about = ", ".join(part for part in (describe(trial.recipe), size, one_line(device)) if part)
        say(f"{title(trial)} {_beginning(trial)}{': ' if about else ''}{about}")

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """Print how far the trial is, if nothing was said of it for a while."""
        running = self._progress.epoch(trial, epoch, budget)
        now = self._progress.clock()
        # A log of sixteen slots is no longer than that of one.
        if now - self._said.get(trial.number, -math.inf) < self._every * len(self._progress.running):
            return
        self._said[trial.number] = now
        left = running.left(now)
        soon = f", about {duration(left)} left" if left else ""
        say(
            f"{title(trial)} epoch {fraction(epoch.epoch, trial.epochs_budget)}: "
            f"{self._progress.metric} {score(running.values[-1])}, best {score(running.best)}{soon}"
        )

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """Print how the trial ended and how far the study is."""
        self._progress.ended(trial, best, budget)
        self._said.pop(trial.number, None)
        done = [f"{title(trial)} {outcome(trial)}"]
        if trial.score is not None:
            done.append(f"{self._progress.metric} {score(trial.score)}")
        if trial.epochs:
            done.append(f"{fraction(trial.epochs, trial.epochs_budget)} epochs")
        done.append(duration(trial.seconds))
        reason = f" ({one_line(trial.message)})" if trial.message else ""
        say(f"{', '.join(done)}{reason}; {self._state()}")

    def left(self, trial: Trial, why: str) -> None:
        """Print that the trial stopped without an end, and from where it goes on."""
        self._progress.left(trial)
        self._said.pop(trial.number, None)
        say(left_open(trial, why))

    def dropped(self, trial: Trial) -> None:
        """Print that nothing comes of a trial that had begun, and why; of what the user named, a note says it."""
        self._progress.dropped(trial)
        begun = self._said.pop(trial.number, None) is not None
        if begun and not (trial.baseline or trial.enqueued):
            say(f"{title(trial)} left out: {one_line(trial.message)}")

    def paused(self, reason: str) -> None:
        """Print that nothing goes on and why, or that it does again."""
        before, self._progress.paused = self._progress.paused, one_line(reason)
        if self._progress.paused and self._progress.paused != before:
            say(f"{self._study}: paused: {self._progress.paused}")
        elif before and not self._progress.paused:
            say(f"{self._study}: goes on")

    def _state(self) -> str:
        progress = self._progress
        parts = [f"{fraction(progress.budget.trials_done, progress.budget.trials)} trials"]
        if progress.best is not None:
            parts.append(f"best {score(progress.best.score)} by {one_line(progress.best.name)}")
        if progress.budget.patience:
            parts.append(f"{progress.budget.without_improvement} of {progress.budget.patience} without improvement")
        if progress.remaining:
            parts.append(progress.remaining)
        return ", ".join(parts)

    def _used(self) -> str:
        """``2h 13m of 8h 00m``."""
        limit = self._progress.budget.seconds
        used = duration(self._progress.seconds_done)
        return f"{used} of {duration(limit)} used" if limit else f"{used} used"


def _beginning(trial: Trial) -> str:
    """``started``, ``goes on at epoch 4 of 30``."""
    if not trial.epochs:
        return "started again" if trial.attempts > 1 else "started"
    before = f" from trial {trial.parent}" if trial.parent is not None and trial.attempts <= 1 else ""
    if trial.epochs_budget and trial.epochs >= trial.epochs_budget:
        return f"goes on after its last epoch{before}"
    total = f" of {trial.epochs_budget:,}" if trial.epochs_budget else ""
    return f"goes on at epoch {trial.epochs + 1:,}{total}{before}"
