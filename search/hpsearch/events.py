"""What a run tells whoever watches it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hpsearch.errors import OutputError
from hpsearch.study.trial import Epoch, Trial

__all__ = ["Budget", "Patient", "Silent", "Watcher"]


@dataclass(frozen=True)
class Budget:
    """How far a study is and how far it may go; counts and seconds are totals of the study.

    Args:
        trials_done: Trials that ended and count.
        trials: The most trials, or None.
        seconds_done: Seconds of the clock that the study ran so far, over all its runs.
        seconds: The most seconds, or None.
        counts: Ended trials by state, failures by kind.
        until: What ends the study when it is reached, such as ``val_accuracy>=0.95``; empty for nothing.
        patience: After how many trials without an improvement beyond noise the study ends, or None.
        without_improvement: How many there were in a row.
        slots: How many trials are trained at a time.
    """

    trials_done: int
    trials: int | None
    seconds_done: float
    seconds: float | None
    counts: Mapping[str, int] = field(default_factory=dict)
    until: str = ""
    patience: int | None = None
    without_improvement: int = 0
    slots: int = 1


class Watcher(Protocol):
    """Somebody who watches a run: a live screen, plain lines, a test. Called from the coordinator, must return soon.

    Several trials may run at once; ``trial.number`` tells them apart.
    """

    def note(self, sentence: str) -> None:
        """Something worth a line: resumed, skipped, stopped."""
        ...

    def started(self, trial: Trial, budget: Budget) -> None:
        """A trial begins to train, or goes on where ``trial.epochs`` is not 0; its recipe is known."""
        ...

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """An epoch ended."""
        ...

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """A trial ended, in whatever state; ``best`` is the best of the study so far."""
        ...

    def left(self, trial: Trial, why: str) -> None:
        """A trial stopped training without an end, and goes on from its last checkpoint.

        Args:
            trial: The trial.
            why: Such as ``the worker process was ended by signal 9``.
        """
        ...

    def dropped(self, trial: Trial) -> None:
        """A trial is taken out of the record, because another says all there is to say; it need not have started."""
        ...

    def paused(self, reason: str) -> None:
        """Nothing goes on for this reason, such as a full disk; empty once it does again."""
        ...


class Patient:
    """A watcher in front of another that may be gone, as a closed terminal is: a run ends in good order without it.

    Args:
        watcher: The other one.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.alone = False
        """Whether the other one is known to be gone."""

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        try:
            with contextlib.suppress(OSError) if self.alone else contextlib.nullcontext():
                yield
        except OutputError:  # a log on a full disk; what is found is kept elsewhere, perhaps
            self.alone = True

    def note(self, sentence: str) -> None:
        with self._unless_gone():
            self.watcher.note(sentence)

    def started(self, trial: Trial, budget: Budget) -> None:
        with self._unless_gone():
            self.watcher.started(trial, budget)

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        with self._unless_gone():
            self.watcher.epoch(trial, epoch, budget)

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        with self._unless_gone():
            self.watcher.ended(trial, best, budget)

    def left(self, trial: Trial, why: str) -> None:
        with self._unless_gone():
            self.watcher.left(trial, why)

    def dropped(self, trial: Trial) -> None:
        with self._unless_gone():
            self.watcher.dropped(trial)

    def paused(self, reason: str) -> None:
        with self._unless_gone():
            self.watcher.paused(reason)


class Silent:
    """A watcher that shows nothing."""

    def note(self, sentence: str) -> None:
        """Pass it over."""

    def started(self, trial: Trial, budget: Budget) -> None:
        """Pass it over."""

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """Pass it over."""

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """Pass it over."""

    def left(self, trial: Trial, why: str) -> None:
        """Pass it over."""

    def dropped(self, trial: Trial) -> None:
        """Pass it over."""

    def paused(self, reason: str) -> None:
        """Pass it over."""
