"""What is known of a study's trials while it runs: the best, the counts, and whether the search still gets anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hpsearch.coordinator.policies import POLICIES
from hpsearch.noise import standard_error
from hpsearch.space import Objective
from hpsearch.study.trial import Trial

__all__ = ["Ledger"]


class Ledger:
    """The trials of a study by number, ended and open.

    Args:
        trials: Those of the record.
        objective: What is made large or small.
        validation_classes: How many rows of each class scores are measured on; none where amounts are told.
    """

    def __init__(self, trials: Iterable[Trial], objective: Objective, validation_classes: Sequence[int]) -> None:
        self.trials: dict[int, Trial] = {trial.number: trial for trial in trials}
        self.objective = objective
        self.validation_classes = validation_classes

    def add(self, trial: Trial) -> None:
        """Take a trial in."""
        self.trials[trial.number] = trial

    def drop(self, trial: Trial) -> None:
        """Leave a trial out that turned out to say nothing new."""
        self.trials.pop(trial.number, None)

    @property
    def ended(self) -> list[Trial]:
        """The trials that ended."""
        return [trial for trial in self.trials.values() if trial.state != "RUNNING"]

    @property
    def open(self) -> list[Trial]:
        """The trials that did not end: those that are trained now, and those that were interrupted."""
        return [trial for trial in self.trials.values() if trial.state == "RUNNING"]

    def best(self) -> Trial | None:
        """The trial with the best score so far."""
        scored = [trial for trial in self.trials.values() if trial.score is not None]
        if not scored:
            return None
        return (max if self.objective.maximize else min)(scored, key=lambda trial: trial.score or 0.0)

    def counted(self) -> int:
        """How many ended trials count for the budget of trials."""
        return sum(_counts(trial) for trial in self.ended)

    def claimed(self) -> int:
        """How many trials count or will: ended and open ones of the search."""
        return self.counted() + sum(trial.baseline is None and not trial.goes_on for trial in self.open)

    def counts(self) -> dict[str, int]:
        """Ended trials by state, failures by kind."""
        return dict(Counter(trial.failure or trial.state for trial in self.ended))

    def trained_before(self, trial: Trial) -> bool:
        """Whether the recipe of a trial is that of another."""
        return any(
            other.hash == trial.hash
            and other.number != trial.number
            and other.failure not in ("interrupted", "bad_data")
            for other in self.trials.values()
        )

    def tried_before(self, trial: Trial) -> bool:
        """Whether the choices of a trial that never said its recipe were made before."""
        return any(
            not other.hash and other.number != trial.number and other.answers == trial.answers
            for other in self.trials.values()
        )

    def recipes(self) -> int:
        """How many recipes were tried or are being trained."""
        return len({trial.hash for trial in self.trials.values() if trial.hash and trial.failure != "interrupted"})

    def without_improvement(self) -> int:
        """How many trials in a row ended since one was better than all before it by more than noise.

        Noise is one standard error of the best score so far, where `hpsearch.noise` knows it: of an accuracy, and of
        two classes of the area under the ROC curve and of the recall. Two networks that differ by less cannot be told
        apart. Of any other metric it is not known before several seeds were trained, so there any improvement counts.
        """
        ended = [trial for trial in self.ended if _counts(trial) or trial.goes_on]
        ended.sort(key=lambda trial: (trial.finished or 0.0, trial.number))
        reference: float | None = None
        in_a_row = 0
        for trial in ended:
            if trial.score is not None and (reference is None or self._better(trial.score, reference)):
                reference, in_a_row = trial.score, 0
            else:
                in_a_row += _counts(trial)
        return in_a_row

    @property
    def knows_noise(self) -> bool:
        """Whether an improvement must be larger than noise to count."""
        return standard_error(self.objective.metric, 0.5, self.validation_classes) is not None

    def _better(self, score: float, reference: float) -> bool:
        noise = standard_error(self.objective.metric, reference, self.validation_classes) or 0.0
        gain = score - reference if self.objective.maximize else reference - score
        return gain > noise


def _counts(trial: Trial) -> bool:
    # Who goes on from another trial has been counted.
    return trial.baseline is None and not trial.goes_on and (trial.failure is None or POLICIES[trial.failure].counts)
