"""Optuna's samplers as strategies: a fresh one for every draw, seeded by the trial and the name of the choice."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.strategies.ahead import Ahead, known_to
from hpsearch.strategies.drafts import Draft
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
AHEAD = {"tpe": 200, "gp": 20, "cmaes": 20}
"""From so many trials on a proposal takes longer than a device should stand still for it."""


class Sampled(Recorded):
    """Proposes with one of Optuna's samplers.

    Args:
        record: The trials of the study.
        pruner: Who stops trials early, or None.
        name: One of `SAMPLERS`.
        seed: Where the random numbers start.
    """

    def __init__(self, record: Record, pruner: BasePruner | None, name: str, seed: int) -> None:
        super().__init__(record, pruner, AHEAD.get(name))
        self._sampler = _Seeded(SAMPLERS[name], seed, judged=name in _KNOW_ONLY_COMPLETE)
        record.study.sampler = self._sampler

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        return {RANDOM: True} if at_random else {}

    def _foresee(self, number: int) -> Ahead[_Drawn]:
        return self._sampler.foresee(self.record.study, number)

    def close(self) -> None:
        self._sampler.close()


@dataclass(frozen=True)
class _Drawn:
    """Choices that were drawn together.

    Args:
        space: What they were drawn from.
        choices: The choices.
        notes: What the sampler wants to find with the trial.
    """

    space: dict[str, BaseDistribution] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class _Seeded(BaseSampler):
    """Asks a fresh sampler for every draw.

    Optuna's samplers learn from the trials in the storage only, so that a fresh one proposes what one that was kept
    would; TPE decomposes the space anew for every trial whether it is kept or not.

    Args:
        make: Who makes a sampler from a seed.
        seed: Where the random numbers start.
        judged: Whether that sampler learns from complete trials only.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int, *, judged: bool) -> None:
        self._make = make
        self._seed = seed
        self._judged = judged
        self._ahead: Ahead[_Drawn] = Ahead()
        self._drawn = _Drawn()

    def foresee(self, study: optuna.Study, number: int) -> Ahead[_Drawn]:
        """Begin to draw what is drawn together for a trial, unless that is begun.

        Args:
            study: The trials.
            number: The trial.

        Returns:
            What holds it.
        """
        if not self._ahead.has(number):
            sampler, draft = self._make(seed_for(self._seed, number, _RELATIVE)), Draft(study, number, {})
            trials = self._known(study, number)
            kinds = _of_each_kind(trials) if isinstance(sampler, TPESampler) else trials
            views = _Seen(draft.study, kinds), _Seen(draft.study, trials)
            self._ahead.begin(number, lambda: _drawn(sampler, *views, draft.frozen))
        return self._ahead

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._drawn = _Drawn()
        if not trial.user_attrs.get(RANDOM):
            self._drawn = self.foresee(study, trial.number).take()
        for key, value in self._drawn.notes.items():
            study._storage.set_trial_system_attr(trial._trial_id, key, value)  # noqa: SLF001  # as samplers do
        return self._drawn.space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._drawn.choices  # what was found with the space, which is asked for just before

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        seed = seed_for(self._seed, trial.number, param_name)
        if self._judged or trial.user_attrs.get(RANDOM):  # gp and cmaes draw at random what they do not draw together
            return _random(seed).sample_independent(study, trial, param_name, param_distribution)
        seen = _Seen(study, self._known(study, trial.number))
        return self._make(seed).sample_independent(seen, trial, param_name, param_distribution)

    def _known(self, study: optuna.Study, number: int) -> list[FrozenTrial]:
        trials = known_to(number, study.get_trials(deepcopy=False))
        if not self._judged:
            return trials
        return _all_complete(trials, maximize=study.direction == optuna.study.StudyDirection.MAXIMIZE)

    def close(self) -> None:
        """Draw nothing ahead any more."""
        self._ahead.close()


def _drawn(sampler: BaseSampler, kinds: _Seen, seen: _Seen, trial: FrozenTrial) -> _Drawn:
    space = sampler.infer_relative_search_space(kinds, trial)
    choices = sampler.sample_relative(seen, trial, space)
    return _Drawn(space, choices, trial.system_attrs)


class _Seen(optuna.Study):
    """The study as a sampler sees it: with trials that stay what they are while it draws.

    Args:
        study: The study.
        trials: These.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        vars(self).update(vars(study))  # what the class above would ask the database for, with every choice
        self._trials = trials

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]


def _of_each_kind(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """One trial for each set of choices that a trial made.

    From more of them the choices that occur together are found to be the same, after as many steps as there are trials.
    """
    first: dict[frozenset[str], FrozenTrial] = {}
    for trial in trials:
        first.setdefault(frozenset(trial.distributions), trial)
    return list(first.values())


def _all_complete(trials: Sequence[FrozenTrial], *, maximize: bool) -> list[FrozenTrial]:
    """Trials for samplers that know complete ones only.

    One that was stopped early counts with its last score, one that could not work with the worst score so far; such
    samplers would otherwise propose its neighbours for ever.
    """
    scores = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    worst = (min if maximize else max)(scores, default=0.0)
    return [_complete(trial, worst) for trial in trials]


def _complete(trial: FrozenTrial, worst: float) -> FrozenTrial:
    if trial.state != TrialState.PRUNED:
        return trial
    score = worst if is_infeasible(trial) or trial.value is None else trial.value
    trial = copy.copy(trial)
    trial.state, trial.value = TrialState.COMPLETE, score
    return trial
