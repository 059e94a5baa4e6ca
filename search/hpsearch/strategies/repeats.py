"""Trials whose choices were all made before: the finals, in which nothing is proposed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.resolve import from_answers
from hpsearch.strategies.distributions import internal_value
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.recorded import LABEL, OneByOne, Recorded

__all__ = ["Repeats"]


class Repeats(Recorded):
    """Makes the choices of each trial as they were made for the recipe that it repeats.

    Args:
        database: The SQLite file of the finals; made when it is missing.
        maximize: Whether more is better.
        answers: The choices of each recipe, by name, by the label that it is adopted under.

    Raises:
        StudyError: The file is not a database of Optuna.
    """

    def __init__(self, database: Path, *, maximize: bool, answers: Mapping[str, Mapping[str, Scalar]]) -> None:
        super().__init__(Record(database, "finals", maximize=maximize), None)
        self.answers = answers
        self._said = _Said()
        self.record.study.sampler = self._said

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        return None

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        known = self.answers[self.record.attributes(number)[LABEL]]
        self._said.value = internal_value(parameter.domain, from_answers(known)(parameter))
        return self.record.suggest(number, parameter)


class _Said(OneByOne):
    """Chooses what it was told to."""

    value: Scalar = 0

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.value
