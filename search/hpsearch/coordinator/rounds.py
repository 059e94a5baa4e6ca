"""What is trained next in the finals: every finalist with the first seed, then every finalist with the second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpsearch.coordinator.agenda import Agenda, Over, Repeat, Task, Wait
from hpsearch.strategies.base import Asked
from hpsearch.study.trial import Trial

__all__ = ["Rounds", "repeated", "unfinished"]

_AGAIN = ("interrupted", "bad_data")
"""Failures that say nothing about the network: it is tried again by another run."""


def repeated(trial: Trial) -> tuple[int | None, int]:
    """Which finalist a final is of, and its seed.

    Args:
        trial: A trial of the finals.
    """
    return trial.parent, trial.seed


def unfinished(repeats: Sequence[Repeat], trials: Sequence[Trial]) -> list[Repeat]:
    """The finals that did not end; none of finalists that failed with another seed.

    Args:
        repeats: All of them.
        trials: The trials of the finals.
    """
    ended = [trial for trial in trials if trial.state != "RUNNING" and trial.failure not in _AGAIN]
    done = {repeated(trial) for trial in ended}
    out = {trial.parent for trial in ended if trial.state in ("FAIL", "PRUNED")}
    return [
        each for each in repeats if (each.finalist.number, each.seed) not in done and each.finalist.number not in out
    ]


class Rounds(Agenda):
    """Hands out finals, seed by seed, so that finalists can be compared wherever it is cut off.

    Args:
        repeats: The finals, in their order.
        options: As an `Agenda` takes.
    """

    def __init__(self, repeats: Sequence[Repeat], *options: Any) -> None:
        super().__init__(*options)
        self.repeats = repeats
        self._handed: set[str] = set()  # in this run

    def next(self) -> Task | Wait | Over:
        if reason := self._ended():
            return Over(reason)
        if self.again:
            return self.again.pop(0)
        for repeat in self._left():
            task = self._task(repeat, Asked(self.strategy.adopt((), repeat.label)))
            self._handed.add(repeat.label)
            return task
        return Wait() if self.ledger.open else Over("every finalist was trained with every seed")

    def done(self) -> tuple[int, int | None]:
        ended = len([trial for trial in self.ledger.ended if trial.failure not in _AGAIN])
        return ended, ended + len(self.ledger.open) + len(self._left())

    def expected(self) -> float:
        return 0 if self._ended() else len(self.again) + len(self._left())

    def waiting(self) -> list[str]:
        return []

    def recovered(self, asked: Asked, label: str | None, trial: Trial | None) -> Task | None:
        repeat = next((each for each in self.repeats if each.label == label), None)
        if repeat is None:
            return None
        self._handed.add(repeat.label)
        return self._task(repeat, asked, trial)

    def _left(self) -> list[Repeat]:
        """The finals that were not begun; none of finalists that failed."""
        left = unfinished(self.repeats, list(self.ledger.trials.values()))
        return [each for each in left if each.label not in self._handed]

    def _task(self, repeat: Repeat, asked: Asked, trial: Trial | None = None) -> Task:
        baseline = self.baselines[repeat.finalist.baseline] if repeat.finalist.baseline else None
        return Task(asked, trial, baseline, repeat=repeat)
