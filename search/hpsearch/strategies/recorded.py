"""What all strategies share: Optuna's study is the record, and a strategy is a sampler on top of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.strategies.ahead import BESIDE, Ahead
from hpsearch.strategies.base import Asked, Reopened
from hpsearch.strategies.optuna import Record

__all__ = ["EPOCHS", "LABEL", "PARENT", "RANDOM", "RESOLVED", "OneByOne", "Recorded"]

# What is remembered of a trial as Optuna's user attributes.
LABEL = "label"
RESOLVED = "resolved"
EPOCHS = "epochs"
PARENT = "parent"
RANDOM = "random"


class OneByOne(BaseSampler):
    """A sampler that makes every choice by itself, when it is asked for; what it chooses is left to the class below."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


class Recorded(ABC):
    """A strategy without its proposals; see `hpsearch.strategies.base.Strategy` for the methods.

    Args:
        record: The trials of the study; its study already has the sampler that makes the choices.
        pruner: Who stops trials early, or None.
        ahead: From so many trials on the next one is proposed while the last one is trained; None never.
    """

    def __init__(self, record: Record, pruner: BasePruner | None, ahead: int | None = None) -> None:
        self.record = record
        self.pruner = pruner
        self._ahead_from = ahead

    def ask(self, *, at_random: bool = False) -> Asked | None:
        attributes = self._proposal(at_random=at_random)
        if attributes is None:
            return None
        trial = self.record.draft(attributes)
        self._begin(trial)
        return _asked(trial)

    @abstractmethod
    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        """What is to be remembered of the next trial, as JSON knows it; None where there is none. Nothing changes."""

    def _begin(self, trial: FrozenTrial) -> None:  # noqa: B027  # most need nothing
        """A trial that was proposed is open."""

    def adopt(self, choices: Sequence[tuple[Parameter, Scalar]], label: str) -> int:
        return self.record.open({LABEL: label}, choices).number

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        return self.record.suggest(number, parameter)

    def resolved(self, number: int) -> None:
        if self._goes_ahead and BESIDE not in self.record.attributes(number):
            self.record.note(number, BESIDE, self.record.beside(number))
        self.record.note(number, RESOLVED, True)
        self.record.write(number)
        if self._goes_ahead:
            self._foresee(self.last_number + 1)

    def prepared(self, tell: Callable[[], None]) -> bool:
        return not self._goes_ahead or self._foresee(self.last_number + 1).ready(tell)

    @property
    def _goes_ahead(self) -> bool:
        return self._ahead_from is not None and self.last_number + 1 >= self._ahead_from

    def _foresee(self, number: int) -> Ahead[Any]:
        """Begin to make the proposal of the trial that follows, unless that is begun; only asked of who goes ahead."""
        raise NotImplementedError

    def report(self, number: int, epoch: int, value: float) -> None:
        self.record.report(number, epoch, value)

    def should_stop(self, number: int) -> bool:
        if self.pruner is None:
            return False
        trial = self.record.trials()[number]
        return LABEL not in trial.user_attrs and self.pruner.prune(self.record.study, trial)

    def complete(self, number: int, score: float) -> None:
        self.record.end(number, TrialState.COMPLETE, score, feasible=True)

    def stop(self, number: int, score: float | None) -> None:
        self.record.end(number, TrialState.PRUNED, feasible=True)

    def infeasible(self, number: int) -> None:
        self.record.end(number, TrialState.PRUNED, feasible=False)

    def forget(self, number: int) -> None:
        self.record.end(number, TrialState.FAIL)

    def reopen(self) -> list[Reopened]:
        return [
            Reopened(_asked(trial), trial.user_attrs.get(LABEL), bool(trial.user_attrs.get(RESOLVED, False)))
            for trial in self.record.reopen()
        ]

    def may_continue(self, number: int) -> bool:
        return False

    def close(self) -> None:  # noqa: B027  # most hold nothing
        pass

    @property
    def begins_cheaply(self) -> bool:
        return False

    @property
    def last_number(self) -> int:
        return self.record.last_number


def _asked(trial: FrozenTrial) -> Asked:
    return Asked(trial.number, trial.user_attrs.get(EPOCHS), trial.user_attrs.get(PARENT))
