"""Every recipe of a finite space once, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.errors import InputError
from hpsearch.strategies.distributions import count, internal_value, position, value_at
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.recorded import OneByOne, Recorded
from hpsearch.strategies.tree import Step, Tree

__all__ = ["Grid", "continuous_refused"]

_PLAN = "plan"


def continuous_refused(name: str) -> InputError:
    """Why a grid cannot walk a space.

    Args:
        name: A choice with infinitely many values.
    """
    return InputError(
        f"The strategy grid tries every value, and {name} has infinitely many; give it a step or a few values, as in "
        "one_of(1e-4, 1e-3, 1e-2), or take --strategy random."
    )


class Grid(Recorded):
    """Walks the tree of choices in order.

    ``ask`` returns None also while the only trials that may lead to something new are still making their choices; it
    may then be asked again after each choice.

    Args:
        record: The trials of the study.
        pruner: Who stops trials early, or None.
    """

    def __init__(self, record: Record, pruner: BasePruner | None) -> None:
        super().__init__(record, pruner)
        self._tree = Tree()
        record.study.sampler = _Walk(self._tree)
        trials = record.trials()
        paths = {trial.number: _path(trial) for trial in trials}
        for path in paths.values():
            self._tree.grow(path)
        for trial in trials:
            self._tree.enter(trial.number, _plan(trial))
            self._walk(trial.number, paths[trial.number])
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                self._tree.leave(trial.number)

    def _walk(self, number: int, path: list[tuple[str, int, int]]) -> None:
        for step in path:
            self._tree.take(number, *step)

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        plan = self._tree.free()
        return None if plan is None else {_PLAN: [list(step) for step in plan]}

    def _begin(self, trial: FrozenTrial) -> None:
        self._tree.enter(trial.number, _plan(trial))

    def adopt(self, choices: Sequence[tuple[Parameter, Scalar]], label: str) -> int:
        path = []
        for parameter, value in choices:
            name, distribution = self.record.named(parameter)
            at = position(distribution, internal_value(parameter.domain, value))
            path.append((name, _finite(parameter.name, distribution), at))
        number = super().adopt(choices, label)
        self._tree.enter(number, ())
        self._walk(number, path)
        return number

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        name, distribution = self.record.named(parameter)
        known = self.record.chosen(number, name)
        values = _finite(parameter.name, distribution)
        at = self._tree.choice(number, name) if not known else 0
        chosen = super().suggest(number, parameter)
        if not known:
            self._tree.take(number, name, values, at)
        return chosen

    def complete(self, number: int, score: float) -> None:
        super().complete(number, score)
        self._tree.leave(number)

    def stop(self, number: int, score: float | None) -> None:
        super().stop(number, score)
        self._tree.leave(number)

    def infeasible(self, number: int) -> None:
        super().infeasible(number)
        self._tree.leave(number)

    def forget(self, number: int) -> None:
        super().forget(number)
        self._tree.leave(number)


def _plan(trial: FrozenTrial) -> list[Step]:
    return [(name, at) for name, at in trial.user_attrs.get(_PLAN, ())]


def _path(trial: FrozenTrial) -> list[tuple[str, int, int]]:
    """Its choices in the order in which they were made: name, number of values, position of the chosen one."""
    return [
        (name, _finite(name, trial.distributions[name]), position(trial.distributions[name], value))
        for name, value in trial.params.items()
    ]


def _finite(name: str, distribution: BaseDistribution) -> int:
    values = count(distribution)
    if values == float("inf"):
        raise continuous_refused(name)
    return int(values)


class _Walk(OneByOne):
    """Makes the choices as the tree says."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return value_at(param_distribution, self._tree.choice(trial.number, param_name))
