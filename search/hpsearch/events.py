"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hpsearch.study.trial import Epoch, Trial

__all__ = ["Budget", "Watcher"]


@dataclass(frozen=True)
class Budget:
    """How far a study is and how far it may go; counts and seconds are totals of the study.

    Args:
        trials_done: Trials that ended and count.
        trials: The most trials, or None.
        seconds_done: Seconds trained so far, over all runs of the study.
        seconds: The most seconds, or None.
        counts: Ended trials by state, failures by kind.
    """

    trials_done: int
    trials: int | None
    seconds_done: float
    seconds: float | None
    counts: Mapping[str, int] = field(default_factory=dict)


class Watcher(Protocol):
    """Somebody who watches a run: a live screen, plain lines, a test. Called from the coordinator, must return soon."""

    def note(self, sentence: str) -> None:
        """Something worth a line: resumed, skipped, stopped."""
        ...

    def started(self, trial: Trial, budget: Budget) -> None:
        """A trial begins to train; its recipe is known."""
        ...

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """An epoch ended."""
        ...

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """A trial ended, in whatever state; ``best`` is the best of the study so far."""
        ...
