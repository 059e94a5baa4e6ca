"""The default strategy: begins with what is usual, goes on near what was good, and spends epochs where they pay.

Three ideas, which ``benchmarks/simulate.py`` can compare on recorded learning curves:

- The first trials are a portfolio of recipes that are usual in the field, see `hpsearch.strategies.starts`.
- Later ones change a few choices of one of the best so far, as in Real et al., "Regularized evolution for image
  classifier architecture search", AAAI 2019, or are drawn by a model of the good ones (TPE), or at random.
- Every trial is judged at a few rungs, and only the best part goes on; Li et al., "A system for massively parallel
  hyperparameter tuning", MLSys 2020. One that was stopped keeps its checkpoint while it may still be wanted, and goes
  on from there once it is among the best after all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.strategies.distributions import internal_value
from hpsearch.strategies.neighbours import neighbour
from hpsearch.strategies.optuna import Record, is_infeasible
from hpsearch.strategies.recorded import LABEL, PARENT, RANDOM, OneByOne, Recorded
from hpsearch.strategies.seeds import seed_for
from hpsearch.strategies.starts import STARTS

__all__ = ["Adaptive", "Settings"]

EARLIEST = 2.0
"""No trial is stopped after fewer epochs: the first one says little of the last."""

START = "start"
SAME = "same starts"
"""Which later starts made the same choices so far."""
LIKE = "like"
MODEL = "model"
CHANGES = "changes"
STOPPED = "stopped"
"""At which rung; a trial that was stopped by a user, or for its time, has none and does not go on."""


@dataclass(frozen=True)
class Settings:
    """What the strategy does how much.

    Args:
        starts: How many trials begin the search from the portfolio.
        first_rung: The first rung as a share of the epochs.
        spacing: How many times as high the next rung is.
        keep: The share of the trials at a rung that goes on.
        trend: How much of what a trial gained since half the rung is expected of it once more.
        enough: So many trials must have reached a rung before one is stopped there.
        known: So many recipes must have a score before others are made like the best of them.
        like: The share of later proposals that change one of the best.
        model: The share of later proposals that a model of good choices makes, choice by choice.
        best: How many of the best are changed.
        changes: How many of its choices are changed on average.
        paused: How many stopped trials keep their checkpoint.
        resume: Whether a stopped trial may go on.
    """

    starts: int = 8
    first_rung: float = 0.2
    spacing: float = 3.0
    keep: float = 1 / 3
    trend: float = 0.0
    enough: int = 3
    known: int = 5
    like: float = 0.8
    model: float = 0.0
    best: int = 5
    changes: float = 2.0
    paused: int = 8
    resume: bool = True


class Adaptive(Recorded):
    """Proposes with a portfolio, then near the best; stops and resumes trials at rungs.

    Args:
        record: The trials of the study.
        seed: Where the random numbers start.
        epochs: The most epochs of a trial.
        settings: How much of what.
    """

    def __init__(self, record: Record, seed: int, epochs: int, settings: Settings | None = None) -> None:
        super().__init__(record, None)
        self._seed = seed
        self._settings = settings or Settings()
        self._rungs = _rungs(epochs, self._settings)
        self._paused: set[int] | None = None  # who may go on; None where that is to be found out anew
        # What `_up_to` and `_standing` said of trials that ended, by epoch; nothing of that changes any more.
        self._best: defaultdict[float, dict[int, float | None]] = defaultdict(dict)
        self._standings: defaultdict[int, dict[int, float | None]] = defaultdict(dict)
        record.study.sampler = _Proposed(seed)

    # ---- who is next

    @property
    def begins_cheaply(self) -> bool:
        return self._settings.starts > 0

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        if at_random:
            return {RANDOM: True}
        trials = self.record.trials()
        if (stopped := self._to_resume(trials)) is not None:
            return {PARENT: stopped.number}
        if (start := self._next_start(trials)) is not None:
            return {START: start, SAME: list(range(start + 1, len(STARTS)))}
        rng = Random(seed_for(self._seed, len(trials), "plan"))
        scored = self._scored(trials)
        best = scored[: self._settings.best] if len(scored) >= self._settings.known else []
        way = rng.random()
        if best and self._settings.like <= way < self._settings.like + self._settings.model:
            return {MODEL: True}
        if not best or way >= self._settings.like:
            return {RANDOM: True}
        # The better, the more often.
        chosen = best[min(int(len(best) * rng.random() ** 2), len(best) - 1)]
        return {LIKE: chosen.number, CHANGES: self._settings.changes / max(len(chosen.params), 1)}

    def _next_start(self, trials: Sequence[FrozenTrial]) -> int | None:
        """The first start that was not tried, nor would choose what one that was tried chose."""
        known = {start for trial in trials for start in (trial.user_attrs.get(START), *trial.user_attrs.get(SAME, ()))}
        return next((start for start in range(min(self._settings.starts, len(STARTS))) if start not in known), None)

    def _scored(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """All with a score, the best first; a trial that went on from another stands for it."""
        continued = _continued(trials)
        scored = [
            (score, -trial.number, trial)
            for trial in trials
            if trial.params and trial.number not in continued and (score := self._score(trial)) is not None
        ]
        scored.sort(key=lambda each: each[:2], reverse=True)
        return [trial for _, _, trial in scored]

    def _score(self, trial: FrozenTrial) -> float | None:
        """The best value so far; more is better."""
        return None if trial.state == TrialState.FAIL else self._up_to(trial, math.inf)

    def _up_to(self, trial: FrozenTrial, rung: float) -> float | None:
        """The best value up to an epoch; more is better. None where there is none, or the trial could not work."""
        if not trial.state.is_finished():
            return self._looked_up(trial, rung)
        known = self._best[rung]
        if trial.number not in known:
            known[trial.number] = self._looked_up(trial, rung)
        return known[trial.number]

    def _looked_up(self, trial: FrozenTrial, rung: float) -> float | None:
        if is_infeasible(trial):
            return None
        sign = 1.0 if self.record.maximize else -1.0
        values = [sign * value for epoch, value in trial.intermediate_values.items() if epoch <= rung]
        return max(values, default=None)

    # ---- rungs

    def should_stop(self, number: int) -> bool:
        trials = self.record.trials()
        trial = trials[number]
        if LABEL in trial.user_attrs:
            return False
        reached = max(trial.intermediate_values, default=0)
        if reached not in self._rungs or not self._stops(trial, trials, reached):
            return False
        self.record.note(number, STOPPED, reached)
        return True

    def _stops(self, trial: FrozenTrial, trials: Sequence[FrozenTrial], rung: int) -> bool:
        mine = self._promise(trial, rung)
        others = self._at(trials, rung, without=trial)
        better = sum(mine is None or value > mine for value in others)
        present = len(others) + 1
        return present >= self._settings.enough and better >= max(1, int(present * self._settings.keep))

    def _promise(self, trial: FrozenTrial, rung: int) -> float | None:
        """What is expected of a trial, judged by its scores up to a rung."""
        now = self._up_to(trial, rung)
        before = self._up_to(trial, rung / 2)
        return now if now is None or before is None else now + self._settings.trend * (now - before)

    def _at(self, trials: Sequence[FrozenTrial], rung: int, without: FrozenTrial) -> list[float]:
        """The scores at a rung of all recipes that reached it, or were trained to an earlier end of their own."""
        left_out = {without.number, without.user_attrs.get(PARENT), *_continued(trials)}
        return [
            value
            for trial in trials
            if trial.number not in left_out and (value := self._standing(trial, rung)) is not None
        ]

    def _standing(self, trial: FrozenTrial, rung: int) -> float | None:
        """What a trial has at a rung; None where it did not reach it."""
        known = self._standings[rung]
        if trial.number in known:
            return known[trial.number]
        reached = max(trial.intermediate_values, default=0) >= rung or trial.state == TrialState.COMPLETE
        standing = self._promise(trial, rung) if reached else None
        if trial.state.is_finished():
            known[trial.number] = standing
        return standing

    def _to_resume(self, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
        """A stopped trial that is among the best of its rung by now; the highest rung first."""
        if not self._settings.resume:
            return None
        for rung in reversed(self._rungs):
            for trial in self._stopped(trials, rung):
                if not self._stops(trial, trials, rung):
                    return trial
                break  # the others are no better
        return None

    def _stopped(self, trials: Sequence[FrozenTrial], rung: int) -> list[FrozenTrial]:
        """The trials that were stopped at a rung and did not go on, the best first."""
        continued = _continued(trials, failed=True)  # what failed once is not tried again
        found = [
            (value, -trial.number, trial)
            for trial in trials
            if trial.state == TrialState.PRUNED
            and trial.number not in continued
            and trial.user_attrs.get(STOPPED) == rung
            and (value := self._standing(trial, rung)) is not None
        ]
        found.sort(key=lambda each: each[:2], reverse=True)
        return [trial for _, _, trial in found]

    def may_continue(self, number: int) -> bool:
        if self._paused is None:
            trials = self.record.trials()
            best = [self._stopped(trials, rung)[: self._settings.paused] for rung in self._rungs]
            self._paused = {trial.number for each in best for trial in each} if self._settings.resume else set()
        return number in self._paused

    def _begin(self, trial: FrozenTrial) -> None:
        self._paused = None

    def complete(self, number: int, score: float) -> None:
        super().complete(number, score)
        self._paused = None

    def stop(self, number: int, score: float | None) -> None:
        super().stop(number, score)
        self._paused = None

    # ---- choices

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        name, _ = self.record.named(parameter)
        attributes = self.record.attributes(number)
        start = attributes.get(START)
        sampler = self.record.study.sampler
        if start is not None and isinstance(sampler, _Proposed):
            choice = STARTS[start].choice(parameter)
            sampler.wanted[name] = internal_value(parameter.domain, choice)
            same = [other for other in attributes[SAME] if STARTS[other].choice(parameter) == choice]
            if same != attributes[SAME]:
                self.record.note(number, SAME, same)
        return super().suggest(number, parameter)


def _continued(trials: Sequence[FrozenTrial], *, failed: bool = False) -> set[int]:
    """The trials that others went on from; those whose continuation failed only if wanted."""
    return {
        trial.user_attrs[PARENT]
        for trial in trials
        if PARENT in trial.user_attrs and (failed or trial.state != TrialState.FAIL)
    }


def _rungs(epochs: int, settings: Settings) -> list[int]:
    found: list[int] = []
    rung = max(EARLIEST, settings.first_rung * epochs)
    while round(rung) < epochs:
        found.append(round(rung))
        rung *= settings.spacing
    return found


class _Proposed(OneByOne):
    """Makes the choices of a proposal: those of a start, of the trial that goes on, or near those of another."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._origin: tuple[int | None, Mapping[str, Any]] = (None, {})
        self.wanted: dict[str, Any] = {}
        """What the start of the trial that is asked for wants, by the name of the choice."""

    def _choices_of(self, study: optuna.Study, number: int | None) -> Mapping[str, Any]:
        """What an ended trial chose; to look it up takes longer the more trials there are."""
        if self._origin[0] != number:
            self._origin = number, study.get_trials(deepcopy=False)[number].params if number is not None else {}
        return self._origin[1]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        attributes = trial.user_attrs
        if START in attributes:
            return self.wanted[param_name]
        known = self._choices_of(study, attributes.get(PARENT, attributes.get(LIKE)))
        seed = seed_for(self._seed, trial.number, param_name)
        if MODEL in attributes:
            tpe = TPESampler(n_startup_trials=1, seed=seed)
            return tpe.sample_independent(study, trial, param_name, param_distribution)
        if param_name in known and PARENT in attributes:
            return known[param_name]
        if param_name in known:
            rng = Random(seed)
            if rng.random() >= attributes[CHANGES]:
                return known[param_name]
            return neighbour(param_distribution, known[param_name], rng)
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)
