"""Optuna as the strategy: its study is the record of what was proposed, one trial for each proposal.

Parameters carry the names of the choices; one whose values are ascending numbers (64, 128, 256) is proposed by
position, under the name ``<choice>#position``, because Optuna knows no uneven scale.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import TrialState

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar
from hpsearch.errors import StudyError

__all__ = ["OptunaStrategy", "StorageError", "check_database"]

StorageError = optuna.exceptions.StorageInternalError
"""The database cannot be read or written: a full disk, a lock held for long."""

optuna.logging.set_verbosity(optuna.logging.ERROR)

STARTUP_TRIALS = 20
_POSITION = "#position"
_FEASIBLE = "feasible"


class OptunaStrategy:
    """Proposes with Optuna's tree-structured Parzen estimator.

    Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011; grouped, so that choices which exist
    only for some networks are modelled where they exist.

    Args:
        database: The SQLite file of the study; made when it is missing.
        name: The name of the study in it.
        maximize: Whether more is better.
        seed: Where the random numbers start.

    Raises:
        StudyError: The file is not a database of Optuna.
    """

    def __init__(self, database: Path, name: str, *, maximize: bool, seed: int) -> None:
        self._open: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(
            study_name=name,
            storage=_storage(database),
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
        before = self._study.get_trials(deepcopy=False)
        self._known: dict[str, BaseDistribution] = {}
        for trial in before:
            self._known.update(trial.distributions)
        # A resumed run must not repeat the random draws of the first one.
        seed = seed + 7919 * len(before)
        self._random = optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._tpe = optuna.samplers.TPESampler(
                multivariate=True, group=True, n_startup_trials=STARTUP_TRIALS, seed=seed
            )

    def ask(self, choices: tuple[tuple[Parameter, Scalar], ...] = (), *, at_random: bool = False) -> int:
        """Open a trial.

        Args:
            choices: Choices made already, as for a baseline; the others are proposed when they are asked for.
            at_random: Whether to propose without a model, to get away from proposals that repeat.

        Returns:
            The number of the trial.
        """
        self._study.sampler = self._random if at_random else self._tpe
        if choices:
            number = self._ask_fixed(
                {_internal_name(parameter): _internal_value(parameter, value) for parameter, value in choices}
            )
            for parameter, _ in choices:  # Optuna records a choice when it is asked for
                self.suggest(number, parameter)
            return number
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number

    def ask_again(self, number: int) -> int:
        """Open a trial with the choices of an earlier one that was interrupted.

        Args:
            number: The earlier trial.
        """
        return self._ask_fixed(self._study.get_trials(deepcopy=False)[number].params)

    def _ask_fixed(self, params: Mapping[str, Any]) -> int:
        self._study.enqueue_trial(dict(params))
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        """Make one choice of an open trial.

        Args:
            number: The trial.
            parameter: The choice.
        """
        domain = parameter.domain
        distribution = _distribution(domain)
        name = self._qualified(_internal_name(parameter), distribution)
        answer = _suggested(self._open[number], name, distribution)
        if isinstance(domain, Between):
            return domain.snapped(answer)
        chosen: Scalar = domain.labels[answer] if domain.ordinal else answer
        return chosen

    def _qualified(self, name: str, distribution: BaseDistribution) -> str:
        """A ``build(hp)`` may offer other values in another trial; for Optuna that is another parameter."""
        known = self._known.setdefault(name, distribution)
        try:
            check_distribution_compatibility(known, distribution)
        except ValueError:
            name = f"{name} {_offered(distribution)}"
            self._known.setdefault(name, distribution)
        return name

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell an intermediate score.

        Args:
            number: The trial.
            epoch: From 1.
            value: The objective after that epoch.
        """
        self._open[number].report(value, epoch)

    def complete(self, number: int, score: float) -> None:
        """End a trial that was trained to its end."""
        self._open[number].set_constraint(_FEASIBLE, 0.0)
        self._study.tell(self._open.pop(number), score)

    def stop(self, number: int) -> None:
        """End a trial that was stopped early but has scores."""
        self._open[number].set_constraint(_FEASIBLE, 0.0)
        self._study.tell(self._open.pop(number), state=TrialState.PRUNED)

    def infeasible(self, number: int) -> None:
        """End a trial that cannot work (out of memory, not finite, too large), so that its region is avoided."""
        self._open[number].set_constraint(_FEASIBLE, 1.0)
        self._study.tell(self._open.pop(number), state=TrialState.PRUNED)

    def forget(self, number: int) -> None:
        """End a trial that says nothing about its region: interrupted, or the double of another."""
        self._study.tell(self._open.pop(number), state=TrialState.FAIL)

    def reopen(self) -> list[int]:
        """Take over the trials that an earlier run left open; each must be ended.

        Returns:
            Their numbers.
        """
        for _ in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self._study.ask()  # killed between the two calls of _ask_fixed; the next ask would get its choices
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self._open.update({t.number: optuna.Trial(self._study, t._trial_id) for t in left})  # noqa: SLF001  # Optuna has no other way
        return [trial.number for trial in left]


def _distribution(domain: Choices | Between) -> BaseDistribution:
    if isinstance(domain, Choices):
        if domain.ordinal:
            return IntDistribution(0, len(domain.labels) - 1)
        return CategoricalDistribution(domain.labels)
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)  # _distribution makes no other kind
    return trial.suggest_categorical(name, distribution.choices)


def _internal_name(parameter: Parameter) -> str:
    ordinal = isinstance(parameter.domain, Choices) and parameter.domain.ordinal
    return parameter.name + _POSITION if ordinal else parameter.name


def _internal_value(parameter: Parameter, value: Scalar) -> Scalar:
    domain = parameter.domain
    return domain.labels.index(value) if isinstance(domain, Choices) and domain.ordinal else value


def _offered(distribution: BaseDistribution) -> str:
    """What a distribution offers, in few words."""
    if isinstance(distribution, CategoricalDistribution):
        return f"{list(distribution.choices)}"
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # _distribution makes no other kind
    return f"[{distribution.low} to {distribution.high}{', log' if distribution.log else ''}]"


def _storage(database: Path) -> optuna.storages.RDBStorage:
    check_database(database)
    try:
        return optuna.storages.RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}})
    except Exception as error:  # SQLAlchemy's, alembic's or Optuna's own, as the file is damaged in one way or another
        raise StudyError(f"{database} is not a database of Optuna ({type(error).__name__}); {_WAY_OUT}") from error


_WAY_OUT = "move it away or give another --study."


def check_database(database: Path) -> None:
    """Refuse a file that is not a database of Optuna; one that is missing is made later.

    Args:
        database: The SQLite file of a study.

    Raises:
        StudyError: It is something else.
    """
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    except sqlite3.Error as error:
        raise StudyError(f"{database} is not an SQLite database ({error}); {_WAY_OUT}") from error
    if tables and "studies" not in tables:
        raise StudyError(f"{database} is an SQLite database, but not one of Optuna; {_WAY_OUT}")
