"""Watching a run in a pipe or a log: plain lines."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from hpsearch.cli.brief import describe
from hpsearch.cli.output import count, duration, one_line, say, score
from hpsearch.cli.progress import Clock, Progress, fraction, title
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
        every: Seconds between two lines about the epochs of one trial.
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
        """Nothing to restore."""

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        say(f"{self._study}: {one_line(sentence)}")

    def started(self, trial: Trial, budget: Budget) -> None:
        """Print that a trial begins, and what it is."""
        self._progress.started(trial, budget)
        self._said[trial.number] = self._progress.clock()
        size = f"{count(trial.parameters)} parameters" if trial.parameters is not None else ""
        about = ", ".join(part for part in (describe(trial.recipe), size) if part)
        say(f"{title(trial)} started{': ' if about else ''}{about}")

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """Print how far the trial is, if nothing was said of it for a while."""
        running = self._progress.epoch(trial, epoch, budget)
        now = self._progress.clock()
        if now - self._said.get(trial.number, -math.inf) < self._every:
            return
        self._said[trial.number] = now
        best = self._progress.best_of(running.values)
        say(
            f"{title(trial)} epoch {fraction(epoch.epoch, trial.epochs_budget)}: "
            f"{self._progress.metric} {score(running.values[-1])}, best {score(best)}"
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

    def _state(self) -> str:
        progress = self._progress
        parts = [f"{fraction(progress.budget.trials_done, progress.budget.trials)} trials"]
        if progress.best is not None:
            parts.append(f"best {score(progress.best.score)} by {one_line(progress.best.name)}")
        left = progress.time_left
        if left:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)
