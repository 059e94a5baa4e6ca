"""Optuna's study as the record of what was proposed: one trial for each proposal, whoever proposes it.

``optuna.load_study`` and optuna-dashboard open the file as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.strategies.database import open_database
from hpsearch.strategies.distributions import answer, distribution_of, internal_name, internal_value, offered
from hpsearch.strategies.drafts import Draft

__all__ = ["Record", "is_infeasible"]

optuna.logging.set_verbosity(optuna.logging.ERROR)

_FEASIBLE = "feasible"


def is_infeasible(trial: FrozenTrial) -> bool:
    """Whether a trial could not work.

    Args:
        trial: An ended trial of a record.
    """
    return trial.constraints.get(_FEASIBLE, 0.0) > 0


class Record:
    """The trials of a study.

    What was told is on disk when a method returns, but for the choices of a draft, which are written together. A method
    that raised `StorageError` may be called again with the same arguments, whether or not the first call has written.

    Args:
        database: The SQLite file of the study; made when it is missing. None keeps it in memory, for simulations.
        name: The name of the study in it.
        maximize: Whether more is better.

    Raises:
        StudyError: The file is not a database of Optuna.
    """

    def __init__(self, database: Path | None, name: str, *, maximize: bool) -> None:
        self.maximize = maximize
        self._open: dict[int, optuna.Trial] = {}
        self._drafts: dict[int, Draft] = {}
        self._reported: dict[int, set[int]] = {}
        self.study = optuna.create_study(
            study_name=name,
            storage=None if database is None else open_database(database),
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
        before = self.trials()
        self._last_written = len(before) - 1
        self._unsure = False  # whether opening a trial failed, perhaps only after it was written
        self._known: dict[str, BaseDistribution] = {}
        for trial in before:
            for parameter, distribution in trial.distributions.items():
                self._known.setdefault(parameter, distribution)

    def trials(self) -> list[FrozenTrial]:
        """All trials by number, drafts included; not to be changed."""
        return self.study.get_trials(deepcopy=False) + [draft.frozen for draft in self._drafts.values()]

    @property
    def last_number(self) -> int:
        """The highest number of a trial so far; -1 where there is none."""
        return max(self._drafts, default=self._last_written)

    def draft(self, attributes: Mapping[str, Any]) -> FrozenTrial:
        """Open a trial whose choices are to be made; it is written by `write`, or before whatever else is written.

        Args:
            attributes: What is to be remembered of it, as JSON knows it.

        Returns:
            The trial.
        """
        number = self.last_number + 1
        self._drafts[number] = Draft(self.study, number, attributes)
        return self._drafts[number].frozen

    def write(self, number: int) -> None:
        """Write a draft as far as it is made, and those before it, which have lower numbers; nothing if it is none.

        Args:
            number: The trial.
        """
        for each in sorted(self._drafts):
            if each <= number:
                draft = self._drafts[each].frozen
                self._take(self._inserted(draft.user_attrs, draft.params, draft.distributions, draft.system_attrs))
                del self._drafts[each]

    def open(self, attributes: Mapping[str, Any], choices: Sequence[tuple[Parameter, Scalar]] = ()) -> FrozenTrial:
        """Open a trial; it is written with all that is given, or not at all.

        Args:
            attributes: What is to be remembered of it, as JSON knows it.
            choices: Choices made already, in order.

        Returns:
            The trial.
        """
        params, distributions = {}, {}
        for parameter, value in choices:
            name, distribution = self.named(parameter)
            params[name], distributions[name] = internal_value(parameter.domain, value), distribution
        self.write(self.last_number)  # numbers are given in the order of writing
        found = self._inserted(attributes, params, distributions)
        self._take(found)
        return found

    def _inserted(
        self,
        attributes: Mapping[str, Any],
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        noted: Mapping[str, Any] | None = None,
    ) -> FrozenTrial:
        """A trial that is in the storage now, or has been since an earlier call that failed."""
        found = self._written(attributes, params)
        if found is None:
            self._unsure = True
            self.study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=dict(params),
                    distributions=dict(distributions),
                    user_attrs=dict(attributes),
                    system_attrs=dict(noted or {}),
                )
            )
            found = self._written(attributes, params)
            assert found is not None  # this process is the only writer
        return found

    def _written(self, attributes: Mapping[str, Any], params: Mapping[str, Any]) -> FrozenTrial | None:
        """A trial of which nobody was told that it is in the storage."""
        new = self.study.get_trials(deepcopy=False)[self._last_written + 1 :] if self._unsure else []
        running = (trial for trial in new if trial.state == TrialState.RUNNING)
        return next((t for t in running if t.user_attrs == attributes and t.params == params), None)

    def _take(self, trial: FrozenTrial) -> None:
        """Open a trial that is in the storage."""
        self._open[trial.number] = optuna.Trial(self.study, trial._trial_id)  # noqa: SLF001  # Optuna has no other way
        self._reported[trial.number] = set(trial.intermediate_values)
        if trial.number > self._last_written:
            self._last_written, self._unsure = trial.number, False

    def _making(self, number: int) -> optuna.Trial:
        """An open trial, be it written or not."""
        return self._drafts.get(number) or self._open[number]

    def named(self, parameter: Parameter) -> tuple[str, BaseDistribution]:
        """The name of a choice in the record, and what may be drawn for it.

        A ``build(hp)`` may offer other values in another trial; for Optuna that is another parameter.

        Args:
            parameter: The choice.
        """
        distribution = distribution_of(parameter.domain)
        name = internal_name(parameter)
        known = self._known.setdefault(name, distribution)
        try:
            check_distribution_compatibility(known, distribution)
        except ValueError:
            name = f"{name} {offered(distribution)}"
            self._known.setdefault(name, distribution)
        return name, distribution

    def beside(self, number: int) -> list[int]:
        """The trials that are open beside one.

        Args:
            number: The trial.
        """
        return sorted({*self._open, *self._drafts} - {number})

    def chosen(self, number: int, name: str) -> bool:
        """Whether a choice of an open trial is made.

        Args:
            number: The trial.
            name: The name of the choice in the record.
        """
        return name in self._making(number).params

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        """Make one choice of an open trial by the sampler of the study; the same again where it was made before.

        Args:
            number: The trial.
            parameter: The choice.
        """
        return answer(parameter.domain, _suggested(self._making(number), *self.named(parameter)))

    def note(self, number: int, key: str, value: Any) -> None:
        """Remember something of an open trial.

        Args:
            number: The trial.
            key: What.
            value: As JSON knows it.
        """
        self._making(number).set_user_attr(key, value)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell an intermediate score; the first one told for an epoch counts.

        Args:
            number: The trial.
            epoch: From 1.
            value: The objective after that epoch.
        """
        self.write(number)
        if epoch not in self._reported[number]:
            self._open[number].report(value, epoch)
            self._reported[number].add(epoch)

    def attributes(self, number: int) -> dict[str, Any]:
        """What is remembered of an open trial.

        Args:
            number: The trial.
        """
        return self._making(number).user_attrs

    def end(self, number: int, state: TrialState, score: float | None = None, *, feasible: bool | None = None) -> None:
        """End a trial.

        Args:
            number: The trial.
            state: COMPLETE, PRUNED or FAIL.
            score: Its score where it is COMPLETE.
            feasible: Whether it could work; None says nothing about that.
        """
        self.write(number)
        trial = self._open[number]
        if feasible is not None and _FEASIBLE not in trial.constraints:
            trial.set_constraint(_FEASIBLE, 0.0 if feasible else 1.0)
        self.study.tell(trial, score, state=state, skip_if_finished=True)
        del self._open[number], self._reported[number]

    def reopen(self) -> list[FrozenTrial]:
        """Take over all trials that are open.

        Returns:
            Them, by number.
        """
        left = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        for trial in left:
            if trial.number not in self._open:
                self._take(trial)
        return left


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)  # distribution_of makes no other kind
    return trial.suggest_categorical(name, distribution.choices)
