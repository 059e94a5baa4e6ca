"""Which choices mattered for the score, by Optuna's own measure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.results.leaderboard import Row

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["LEAST", "Importance", "Weight", "importance", "is_scale"]

LEAST = 10
"""With fewer trials than this nothing is said of a choice."""

WIDE = 30.0
"""A range of positive fractions whose ends differ by this factor is looked at as a scale of magnitudes."""


@dataclass(frozen=True)
class Weight:
    """How much one choice mattered.

    Args:
        name: The choice, such as ``training.optimizer.learning_rate``.
        share: Of what all choices together explain, from 0 to 1.
        trials: In how many trials it was made.
    """

    name: str
    share: float
    trials: int


@dataclass(frozen=True)
class Importance:
    """How much the choices mattered.

    Args:
        weights: The choices, the most important first.
        trials: Of how many trials this is found.
        left_out: How many trials with a score are not among them, because they were stopped early or made by hand.
        rare: Choices that too few trials made.
        constant: Choices that were always answered alike.
        why_not: A sentence where nothing can be said; empty otherwise.
    """

    weights: Sequence[Weight]
    trials: int
    left_out: int
    rare: Sequence[str] = ()
    constant: Sequence[str] = ()
    why_not: str = ""


def importance(rows: Sequence[Row], maximize: bool) -> Importance:
    """How much each choice mattered, conditional ones included.

    Watanabe, Bansal and Hutter, "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces",
    IJCAI 2023, in Optuna's extension to choices that not every trial makes: how the choices of the better trials differ
    from those of all. What may be drawn is taken from what was drawn, so that Optuna's database is left alone.

    Args:
        rows: Trials with a score.
        maximize: Whether a higher score is better.
    """
    used = [row for row in rows if row.trial.answers and row.trial.state == "COMPLETE" and not row.trial.baseline]
    used.sort(key=lambda row: row.trial.number)
    left = len(rows) - len(used)
    if len(used) < LEAST:
        why = f"{len(used)} completed {'trial' if len(used) == 1 else 'trials'} of the search; it takes {LEAST} to say."
        return Importance((), len(used), left, why_not=why)
    made = Counter(name for row in used for name in row.trial.answers)
    rare = sorted(name for name, number in made.items() if number < LEAST)
    answers = {name: _answers(used, name) for name in sorted(made) if made[name] >= LEAST}
    constant = [name for name, values in answers.items() if len(set(map(repr, values))) < 2]
    spread = {name: _distribution(values) for name, values in answers.items() if name not in constant}
    if len({row.validation for row in used}) < 2 or not spread:
        return Importance((), len(used), left, rare, constant, "All trials did equally well, or all chose alike.")
    shares = _shares(used, spread, maximize)
    weights = [Weight(name, share, made[name]) for name, share in shares.items()]
    weights.sort(key=lambda weight: (-weight.share, weight.name))
    return Importance(weights, len(used), left, rare, constant)


def is_scale(values: Sequence[Any]) -> bool:
    """Whether answers are better looked at by magnitude: positive fractions over a wide range.

    Args:
        values: Answers to one choice.
    """
    numbers = [value for value in values if isinstance(value, float)]
    return len(numbers) == len(values) > 0 and min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE


def _answers(rows: Sequence[Row], name: str) -> list[Any]:
    return [row.trial.answers[name] for row in rows if name in row.trial.answers]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    """What may have been drawn: the range, or the set, of what was."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if all(map(_is_number, values)):
        if all(isinstance(value, int) for value in values):
            return IntDistribution(min(values), max(values))
        return FloatDistribution(min(values), max(values), log=is_scale(values))
    return CategoricalDistribution(sorted({_label(value) for value in values}))


def _label(value: Any) -> str:
    """A value of a set; 1, 1.0 and True are three."""
    return repr(value)


def _shares(rows: Sequence[Row], spread: dict[str, BaseDistribution], maximize: bool) -> dict[str, float]:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    trials = []
    for row in rows:
        made = {name: row.trial.answers[name] for name in spread if name in row.trial.answers}
        params = {n: _label(v) if isinstance(spread[n], CategoricalDistribution) else v for n, v in made.items()}
        trials.append(
            create_trial(params=params, distributions={name: spread[name] for name in made}, value=row.validation)
        )
    study.add_trials(trials)
    found = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}
