"""How far a study may go, and when one trial would take too much of it."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.errors import InputError
from hpsearch.metrics import RECORDED
from hpsearch.study.trial import Epoch

__all__ = ["TIMED_EPOCHS", "TRIAL_SHARE", "Limits", "Target"]

TRIAL_SHARE = 2.0
"""So many times the time budget a trial may be about to take. Not less: in a short search all networks may be slow, and
one that is trained for half of its epochs is better than many that were hardly begun; ``docs/design/strategies.md``."""
TIMED_EPOCHS = 2
"""How many epochs are timed before a trial is found too slow."""
COMPILING = 10.0
"""So many seconds of the first epoch may go into compiling the network."""

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_TARGET = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")
_VALIDATION = tuple(name for name in RECORDED if name.startswith("val_"))
_FIRST = ("val_accuracy", "val_loss")  # what most ask for
_METRICS = tuple(dict.fromkeys((*_FIRST, *_VALIDATION, *RECORDED)))


@dataclass(frozen=True)
class Target:
    """What ends a study once an epoch reaches it.

    Args:
        metric: The name of a metric in the history of a trial.
        comparison: ``>=``, ``>``, ``<=`` or ``<``.
        value: What it is compared with.
    """

    metric: str
    comparison: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``val_accuracy>=0.95``.

        Raises:
            InputError: It says something else.
        """
        found = _TARGET.fullmatch(text)
        try:
            if found is None or found[1] not in _METRICS:
                raise ValueError
            return cls(found[1], found[2], float(found[3]))
        except ValueError:
            raise InputError(
                f'--until got "{text}"; allowed: one of {", ".join(_METRICS)}, then >=, >, <= or <, then a number, '
                'such as "val_accuracy>=0.95".'
            ) from None

    def check(self, metric: str, maximize: bool) -> None:
        """Refuse a target that the objective of a study makes true at once.

        Args:
            metric: Of the objective.
            maximize: Whether more of it is better.

        Raises:
            InputError: It is one, with the sign that was meant.
        """
        if self.metric == metric and maximize == self.comparison.startswith("<"):
            meant = self.comparison.translate(str.maketrans("<>", "><"))
            raise InputError(
                f'--until got "{self}", which the first epoch reaches, for the study makes {metric} '
                f'{"large" if maximize else "small"}; say "{self.metric}{meant}{self.value:g}".'
            )

    def reached(self, metrics: Mapping[str, float]) -> bool:
        """Whether an epoch reaches it.

        Args:
            metrics: What the epoch gave, by name.
        """
        value = metrics.get(self.metric)
        return value is not None and bool(_COMPARISONS[self.comparison](value, self.value))

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.value:g}"


@dataclass(frozen=True)
class Limits:
    """How far a study may go; totals over all its runs.

    Args:
        trials: The most trials that the search proposes, baselines not counted; None is no limit.
        seconds: The most seconds on the clock while it runs; None is no limit.
        epochs: The most epochs of a trial; None leaves it to the recipe.
        baselines: Whether the hand-made networks are trained too.
        until: What ends the study once an epoch reaches it, or None.
        patience: After how many trials in a row without an improvement the study ends, or None; it must be larger than
            the noise of the score where that is known.
        per_trial: The most seconds of one trial, or None.
    """

    trials: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    baselines: bool = True
    until: Target | None = None
    patience: int | None = None
    per_trial: float | None = None

    def too_slow(self, epoch: Epoch, epochs: int) -> str:
        """Why a trial is too slow for the time budget; empty when it is not, or when that was decided before.

        Args:
            epoch: The epoch that ended.
            epochs: How many the trial may take.
        """
        # The first epoch decides only where compiling cannot be to blame.
        sure = epoch.seconds - COMPILING if epoch.epoch == 1 else epoch.seconds
        if epoch.epoch > TIMED_EPOCHS or sure * epochs <= TRIAL_SHARE * (self.seconds or float("inf")):
            return ""
        return f"too slow: {epochs} epochs of {epoch.seconds:.0f} s are over twice the time budget"
