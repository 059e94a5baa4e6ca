"""Keras Tuner's own oracles as strategies, driven by our loop."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.strategies.ahead import Ahead, known_to
from hpsearch.strategies.optuna import Record, is_infeasible
from hpsearch.strategies.oracle_process import Oracle
from hpsearch.strategies.oracle_questions import Bracket, Past, Proposal, Question
from hpsearch.strategies.recorded import EPOCHS, PARENT, OneByOne, Recorded
from hpsearch.strategies.seeds import seed_for
from hpsearch.strategies.tuner_space import TunerSpace

__all__ = ["KerasTuner"]

AHEAD = {"bayesian": 20}
"""From so many trials on a proposal takes longer than a device should stand still for it."""
_PROPOSAL = "proposal"
_BRACKET = "bracket"


class KerasTuner(Recorded):
    """Proposes with an oracle of Keras Tuner.

    The oracle learns of a choice when a trial is first asked for it, in declared spaces and in a ``build(hp)`` alike;
    that trial draws it at random. What it proposes is written with the trial, and what was chosen with each choice.

    Args:
        record: The trials of the study.
        pruner: Who stops trials early, or None.
        kind: ``random``, ``bayesian`` or ``hyperband``.
        seed: Where the random numbers start.
        epochs: The most epochs of a trial.
    """

    def __init__(self, record: Record, pruner: BasePruner | None, kind: str, seed: int, epochs: int) -> None:
        super().__init__(record, pruner, AHEAD.get(kind))
        self._kind = kind
        self._seed = seed
        self._epochs = epochs
        self._over: set[int] = set()  # trials whose checkpoint nobody will want any more
        self._met = _Met()
        self._space = TunerSpace({})
        self._ended: dict[int, Past] = {}  # what the oracle is told of trials that ended, in the terms of that space
        self._oracle = Oracle()
        self._oracle.start()
        self._ahead: Ahead[tuple[TunerSpace, Proposal | None]] = Ahead()
        record.study.sampler = _Proposed(seed)

    def _proposal(self, *, at_random: bool) -> dict[str, Any] | None:
        if at_random and self._kind != "hyperband":
            return {_PROPOSAL: {}}
        space, proposal = self._foresee(self.last_number + 1).take()
        if proposal is None:
            return None
        parent = proposal.parent
        values = space.proposed(proposal.values) if parent is None else self.record.trials()[parent].params
        attributes: dict[str, Any] = {_PROPOSAL: values}
        if proposal.epochs is not None:
            attributes[EPOCHS] = proposal.epochs
        if parent is not None:
            attributes[PARENT] = parent
        if (place := proposal.bracket) is not None:
            attributes[_BRACKET] = [place.index, place.round, place.wanted]
        return attributes

    def _foresee(self, number: int) -> Ahead[tuple[TunerSpace, Proposal | None]]:
        if self._ahead.has(number):
            return self._ahead
        trials = known_to(number, self.record.trials())
        space = self._space_of(trials)
        question = Question(
            kind=self._kind,
            seed=seed_for(self._seed, number, "oracle"),
            maximize=self.record.maximize,
            epochs=self._epochs,
            number=number,
            dimensions=space.dimensions(),
            trials=tuple(self._past(trial) for trial in trials if trial.state != TrialState.WAITING),
        )
        self._ahead.begin(number, lambda: (space, self._oracle.propose(question)))
        return self._ahead

    def may_continue(self, number: int) -> bool:
        if self._kind != "hyperband" or number in self._over or number > self.last_number:
            return False
        trials = self.record.trials()
        wanted = not trials[number].state.is_finished() or self._may_be_promoted(trials[number], trials)
        if not wanted:
            self._over.add(number)
        return wanted

    def _may_be_promoted(self, trial: FrozenTrial, trials: list[FrozenTrial]) -> bool:
        """Whether an ended trial may get into the next round; once it may not, it never may again."""
        place = _bracket(trial)
        if place is None or place.wanted == 0 or not _worked(trial):
            return False
        following = [t for t in trials if _follows(t, place)]
        mine = [t for t in following if t.user_attrs[PARENT] == trial.number]
        if mine:
            return any(t.state == TrialState.RUNNING for t in mine)  # it may have to start from the beginning again
        score = self._score(trial)
        mates = [self._score(t) for t in trials if t.number != trial.number and _worked(t) and _bracket(t) == place]
        better = sum(score is None or self._better(other, score) for other in mates if other is not None)
        return len(following) < place.wanted and better < place.wanted

    def _score(self, trial: FrozenTrial) -> float | None:
        """The score of an ended trial: of one that was stopped early, the best so far."""
        if trial.state == TrialState.COMPLETE:
            return trial.value
        scores = trial.intermediate_values.values()
        return (max if self.record.maximize else min)(scores, default=None)

    def _better(self, left: float, right: float) -> bool:
        return left > right if self.record.maximize else left < right

    def _space_of(self, trials: list[FrozenTrial]) -> TunerSpace:
        """The choices that trials were asked for."""
        met = self._met.by(trials)
        if list(met.items()) != list(self._space.distributions.items()):
            self._space = TunerSpace(met)
            self._ended.clear()
        return self._space

    def _past(self, trial: FrozenTrial) -> Past:
        """A trial as an oracle is told of it; of one that ended always the same object."""
        ended = trial.state.is_finished()
        if ended and trial.number in self._ended:
            return self._ended[trial.number]
        parent = trial.user_attrs.get(PARENT)
        past = Past(
            number=trial.number,
            values=self._space.told(trial.params),
            score=self._score(trial) if ended else None,
            ended=ended,
            worked=_worked(trial) or not ended,
            # A promotion that was forgotten keeps its place in its round; it would be made again and again.
            counts=trial.state != TrialState.FAIL or parent is not None,
            proposal=self._space.told(trial.user_attrs.get(_PROPOSAL, {})) if parent is None else {},
            bracket=_bracket(trial),
            parent=parent,
        )
        if ended:
            self._ended[trial.number] = past
        return past

    def close(self) -> None:
        self._ahead.close()
        self._oracle.close()


class _Met:
    """The choices that trials were asked for, as wide as they were ever offered, in the order of the trials."""

    def __init__(self) -> None:
        self._count = 0  # so many trials at the beginning have all ended and are looked at once
        self._known: dict[str, BaseDistribution] = {}

    def by(self, trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
        """What these were asked for; those asked about before are among them."""
        while self._count < len(trials) and trials[self._count].state.is_finished():
            _widen(self._known, trials[self._count])
            self._count += 1
        met = dict(self._known)
        for trial in trials[self._count :]:
            _widen(met, trial)
        return met


def _widen(met: dict[str, BaseDistribution], trial: FrozenTrial) -> None:
    for name, distribution in trial.distributions.items():
        met[name] = _wider(met.get(name, distribution), distribution)


def _wider(left: BaseDistribution, right: BaseDistribution) -> BaseDistribution:
    if isinstance(left, IntDistribution) and isinstance(right, IntDistribution):
        even = left.step == right.step and left.low == right.low
        low, high = min(left.low, right.low), max(left.high, right.high)
        return IntDistribution(low, high, log=left.log, step=left.step if even else 1)
    if isinstance(left, FloatDistribution) and isinstance(right, FloatDistribution):
        even = left.step == right.step and left.low == right.low
        lowest, highest = min(left.low, right.low), max(left.high, right.high)
        return FloatDistribution(lowest, highest, log=left.log, step=left.step if even else None)
    return left


def _worked(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and not is_infeasible(trial)


def _bracket(trial: FrozenTrial) -> Bracket | None:
    place = trial.user_attrs.get(_BRACKET)
    return None if place is None else Bracket(*place)


def _follows(trial: FrozenTrial, place: Bracket) -> bool:
    """Whether a trial is in the round after a place."""
    own = _bracket(trial)
    return own is not None and (own.index, own.round) == (place.index, place.round + 1)


class _Proposed(OneByOne):
    """Makes the choices that were proposed, and at random those of which nobody knew when the trial was proposed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        proposal = trial.user_attrs.get(_PROPOSAL, {})
        if param_name in proposal and _holds(param_distribution, proposal[param_name]):
            return proposal[param_name]
        sampler = RandomSampler(seed=seed_for(self._seed, trial.number, param_name))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution, which may be narrower than what was offered before, has a value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))  # noqa: SLF001  # Optuna asks so too
    except ValueError:
        return False
