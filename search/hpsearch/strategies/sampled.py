"""Optuna's samplers as strategies: a fresh one for every draw, seeded by the trial and the name of the choice."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Container
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.strategies.optuna import Record, is_infeasible
from hpsearch.strategies.recorded import RANDOM, Recorded
from hpsearch.strategies.seeds import seed_for

__all__ = ["SAMPLERS", "Sampled"]

STARTUP_TRIALS = 20
"""So many trials are drawn at random before a model is made."""
_RELATIVE = "all choices at once"


def _tpe(seed: int) -> BaseSampler:
    """Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.

    Grouped, so that choices which exist only for some networks are modelled where they exist.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(multivariate=True, group=True, n_startup_trials=STARTUP_TRIALS, seed=seed)


def _random(seed: int) -> BaseSampler:
    """Every choice by itself."""
    return RandomSampler(seed=seed)


def _gp(seed: int) -> BaseSampler:
    """A Gaussian process over the choices that all trials have; the others are drawn at random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return GPSampler(
            seed=seed,
            independent_sampler=RandomSampler(seed=seed),
            n_startup_trials=STARTUP_TRIALS,
            warn_independent_sampling=False,
        )


def _cmaes(seed: int) -> BaseSampler:
    """Hansen and Ostermeier, "Completely derandomized self-adaptation in evolution strategies", 2001.

    Over the numbers that all trials have; the other choices are drawn at random.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return CmaEsSampler(
            seed=seed,
            independent_sampler=RandomSampler(seed=seed),
            # The choices that all trials have are known only after a few; a later change of them would end the search.
            n_startup_trials=STARTUP_TRIALS,
            warn_independent_sampling=False,
        )


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "random": _random, "gp": _gp, "cmaes": _cmaes}
"""Who makes a sampler from a seed."""
_KNOW_ONLY_COMPLETE = ("gp", "cmaes")


class Sampled(Recorded):
    """Proposes with one of Optuna's samplers.

    Args:
        record: The trials of the study.
        pruner: Who stops trials early, or None.
        name: One of `SAMPLERS`.
        seed: Where the random numbers start.
    """

    def __init__(self, record: Record, pruner: BasePruner | None, name: str, seed: int) -> None:
        super().__init__(record, pruner)
        seen = _Judged(record.study) if name in _KNOW_ONLY_COMPLETE else None
        record.study.sampler = _Seeded(SAMPLERS[name], seed, seen)
        self._at_once = name in _KNOW_ONLY_COMPLETE  # these note things with the trial that they propose for

    def _begin(self, trial: FrozenTrial) -> None:
        if self._at_once:
            self.record.write(trial.number)

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        return {RANDOM: True} if at_random else {}


class _Seeded(BaseSampler):
    """Asks a fresh sampler for every draw.

    Optuna's samplers learn from the trials in the storage only, so that a fresh one proposes what one that was kept
    would; TPE decomposes the space anew for every trial whether it is kept or not.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int, seen: _Judged | None) -> None:
        self._make = make
        self._seed = seed
        self._seen = seen
        self._relative: BaseSampler = RandomSampler()

    def _fresh(self, trial: FrozenTrial, name: str) -> BaseSampler:
        make = _random if trial.user_attrs.get(RANDOM) else self._make
        return make(seed_for(self._seed, trial.number, name))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # The draw itself, which follows at once, relies on what the sampler found here.
        self._relative = self._fresh(trial, _RELATIVE)
        if self._seen is not None:
            self._seen.proposing = trial.number
        grouped = isinstance(self._relative, TPESampler)
        seen = _Kinds(study) if grouped else self._seen or study
        return self._relative.infer_relative_search_space(seen, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._relative.sample_relative(self._seen or study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler = self._fresh(trial, param_name)
        return sampler.sample_independent(self._seen or study, trial, param_name, param_distribution)


class _Kinds(optuna.Study):
    """The study with one trial for each set of choices that a trial made.

    From more of them the choices that occur together are found to be the same, after as many steps as there are trials.
    """

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(study.study_name, study._storage)  # noqa: SLF001  # the one with the cache; Optuna's own views do so

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        first: dict[frozenset[str], FrozenTrial] = {}
        for trial in super()._get_trials(deepcopy=False, states=states):
            first.setdefault(frozenset(trial.distributions), trial)
        return list(first.values())


class _Judged(optuna.Study):
    """The study as samplers see it that know complete trials only.

    A trial that was stopped early counts with its last score, one that could not work with the worst score so far;
    such samplers would otherwise propose its neighbours for ever.
    """

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(study.study_name, study._storage)  # noqa: SLF001  # the one with the cache; Optuna's own views do so
        self.proposing: int | None = None
        """The trial that is proposed; one that was cut off in the middle of it has some choices, which say nothing."""

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy=False)
        scores = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
        worst = (min if self.direction == optuna.study.StudyDirection.MAXIMIZE else max)(scores, default=0.0)
        judged = [_judged(trial, worst) for trial in trials if trial.number != self.proposing]
        return [trial for trial in judged if states is None or trial.state in states]


def _judged(trial: FrozenTrial, worst: float) -> FrozenTrial:
    if trial.state != TrialState.PRUNED:
        return trial
    score = worst if is_infeasible(trial) or trial.value is None else trial.value
    trial = copy.copy(trial)
    trial.state, trial.value = TrialState.COMPLETE, score
    return trial
