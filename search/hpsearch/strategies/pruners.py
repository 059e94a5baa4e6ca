"""Who stops trials that are not worth their epochs, judged by the scores they reported so far.

All of them judge by the reported scores alone and keep nothing of their own, so that a trial that is resumed is judged
as it would have been. Optuna's pruners for successive halving instead mark the rungs that a trial has passed, and a
trial that is killed between the mark and its end escapes the verdict; they also stop the second trial of a study for
being worse than the first.
"""

from __future__ import annotations

import math

import optuna
from optuna.pruners import BasePruner, MedianPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from hpsearch.strategies.seeds import seed_for

__all__ = ["Rungs", "make_pruner", "rungs"]

FACTOR = 3
"""At each rung the best third goes on, and the next rung is three times as high."""
DEEPEST = 9
"""The first rung is at a ninth of the epochs: earlier scores are noise, or the time that batch normalisation needs."""
MEDIAN_TRIALS = 5
"""So many complete trials must have a score at an epoch before their median says something."""


def make_pruner(name: str, epochs: int) -> BasePruner | None:
    """A pruner by its name.

    ``median`` stops a trial whose best score so far is worse than the median of the complete trials at that epoch; not
    in the first fifth of the epochs (two at least), and not before five trials are complete. ``asha`` is successive
    halving with rungs at a ninth and a third of the epochs, ``hyperband`` the same in brackets, see `Rungs`.

    Args:
        name: One of `hpsearch.strategies.names.PRUNERS`.
        epochs: The most epochs of a trial.

    Returns:
        The pruner; None for ``none``.
    """
    if name == "median":
        return MedianPruner(
            n_startup_trials=MEDIAN_TRIALS, n_warmup_steps=max(2, epochs // 5) + 1, n_min_trials=MEDIAN_TRIALS
        )
    if name == "asha":
        return Rungs(epochs, brackets=1)
    if name == "hyperband":
        return Rungs(epochs, brackets=len(rungs(epochs)) + 1)
    return None


def rungs(epochs: int) -> list[int]:
    """The epochs at which trials are compared; each leaves at least twice as much training after it.

    Args:
        epochs: The most epochs of a trial.
    """
    found = [max(1, epochs // DEEPEST)]
    while found[-1] * FACTOR <= epochs:
        found.append(found[-1] * FACTOR)
    return found[:-1]


class Rungs(BasePruner):
    """Successive halving without waiting: only the best third of the trials that come to a rung goes on.

    Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, where trials are stopped instead of
    paused; with fewer than three at a rung nobody is stopped. What counts is the best score up to the rung. With
    several brackets, Li et al., "Hyperband", JMLR 18 (2018): the trials are spread over brackets, the first of which
    uses all rungs, the next all but the lowest, the last none; trials of one bracket are compared.

    Args:
        epochs: The most epochs of a trial.
        brackets: How many brackets there are.
    """

    def __init__(self, epochs: int, brackets: int) -> None:
        self._rungs = rungs(epochs)
        # As many trials as take about the same epochs in each bracket.
        self._shares = [math.ceil(brackets * FACTOR**left / (left + 1)) for left in reversed(range(brackets))]

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        bracket = self._bracket(study, trial)
        before = sorted(trial.intermediate_values)
        for rung in self._rungs[bracket:]:
            # Judged once, at the first epoch that reaches the rung.
            if not before or before[-1] < rung or (len(before) > 1 and before[-2] >= rung):
                continue
            mine = _best(study, trial, rung)
            others = [
                _best(study, other, rung)
                for other in study.get_trials(deepcopy=False)
                if other.number != trial.number
                and max(other.intermediate_values, default=0) >= rung
                and self._bracket(study, other) == bracket
            ]
            better = sum(_better(study, other, mine) for other in others)
            present = len(others) + 1
            if present >= FACTOR and better >= present // FACTOR:
                return True
        return False

    def _bracket(self, study: optuna.Study, trial: FrozenTrial) -> int:
        at = seed_for(0, trial.number, study.study_name) % sum(self._shares)
        for bracket, share in enumerate(self._shares):
            if at < share:
                return bracket
            at -= share
        raise AssertionError("the shares add up to their sum")


def _best(study: optuna.Study, trial: FrozenTrial, rung: int) -> float:
    """The best score up to a rung, or the first one after it."""
    values = trial.intermediate_values
    up_to = [value for epoch, value in values.items() if epoch <= rung] or [values[min(values)]]
    return max(up_to) if study.direction == StudyDirection.MAXIMIZE else min(up_to)


def _better(study: optuna.Study, left: float, right: float) -> bool:
    return left > right if study.direction == StudyDirection.MAXIMIZE else left < right
