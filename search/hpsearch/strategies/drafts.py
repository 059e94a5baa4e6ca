"""A trial whose choices are being made: one of Optuna's own, in memory, until it is written with all of them at once.

Each write to SQLite waits for the disk, and a trial has dozens of choices. Nothing is lost where a run is killed before
the write: what is proposed follows from the seed and the trials that are there, so the next run proposes the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

__all__ = ["Draft"]


class Draft(optuna.Trial):
    """A trial that is not in the storage.

    Args:
        study: Whose sampler makes the choices.
        number: What its number will be.
        attributes: What is to be remembered of it, as JSON knows it.
    """

    def __init__(self, study: optuna.Study, number: int, attributes: Mapping[str, Any]) -> None:
        self.frozen = create_trial(state=TrialState.RUNNING, user_attrs=dict(attributes))
        self.frozen.number = number
        # What the class above sets, which takes the trial from the storage.
        beside = _Beside(study._storage, self.frozen)  # noqa: SLF001  # a study has no other way to its storage
        self.storage = beside  # type: ignore[assignment]  # it stands for a storage
        self.study = copy.copy(study)
        self.study._storage = self.storage  # noqa: SLF001  # where samplers note things with a trial
        self.relative_search_space = None
        self._trial_id = self.frozen._trial_id  # noqa: SLF001  # there is no other way to its id
        self._cached_frozen_trial = self.frozen
        self._relative_params = None
        self._fixed_params: dict[str, Any] = {}
        study.sampler.before_trial(study, self.frozen)


class _Beside:
    """A storage, and beside it a trial that is not in it, which keeps what it is told itself."""

    def __init__(self, storage: Any, trial: FrozenTrial) -> None:
        self._storage = storage
        self._trial = trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self._trial.system_attrs

    def set_trial_param(self, trial_id: int, name: str, value: float, distribution: BaseDistribution) -> None:
        pass

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        pass

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._trial.system_attrs[key] = value  # unlike the others, only the storage would keep it
