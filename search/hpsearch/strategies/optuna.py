"""Optuna as the strategy: its study is the record of what was proposed, one trial for each proposal.

Parameters carry the names of the choices; one whose values are ascending numbers (64, 128, 256) is proposed by position,
under the name ``<choice>#position``, because Optuna knows no uneven scale.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar
from hpsearch.errors import StudyError

__all__ = ["OptunaStrategy"]

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
        self._storage = _storage(database)
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
        # A resumed run must not repeat the random draws of the first one.
        seed = seed + 7919 * len(self._study.get_trials(deepcopy=False))
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
            fixed = dict(_internal(parameter, value) for parameter, value in choices)
            return self._ask_fixed(fixed)
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
        trial, domain = self._open[number], parameter.domain
        if isinstance(domain, Between):
            return _suggest_number(trial, parameter.name, domain)
        if domain.ordinal:
            position = trial.suggest_int(parameter.name + _POSITION, 0, len(domain.labels) - 1)
            return domain.labels[position]
        name = self._categorical_name(parameter.name, domain)
        chosen: Scalar = trial.suggest_categorical(name, domain.labels)
        return chosen

    def _categorical_name(self, name: str, domain: Choices) -> str:
        """A ``build(hp)`` may offer other values in another trial; for Optuna that is another parameter."""
        for trial in self._study.get_trials(deepcopy=False):
            known = trial.distributions.get(name)
            if isinstance(known, CategoricalDistribution):
                return name if tuple(known.choices) == domain.labels else f"{name}{list(domain.labels)}"
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
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self._open.update({t.number: optuna.Trial(self._study, t._trial_id) for t in left})
        return [trial.number for trial in left]


def _suggest_number(trial: optuna.Trial, name: str, domain: Between) -> Scalar:
    if domain.whole:
        step = int(domain.step) if domain.step is not None else 1
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)
    return domain.snapped(trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log))


def _internal(parameter: Parameter, value: Scalar) -> tuple[str, Scalar]:
    """Name and value of a choice as Optuna stores it."""
    domain = parameter.domain
    if isinstance(domain, Choices) and domain.ordinal:
        return parameter.name + _POSITION, domain.labels.index(value)
    return parameter.name, value


def _storage(database: Path) -> optuna.storages.RDBStorage:
    _check_database(database)
    try:
        return optuna.storages.RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}})
    except Exception as error:
        raise StudyError(
            f"{database} is not a database of Optuna ({type(error).__name__}); move it away or give another --study."
        ) from error


def _check_database(database: Path) -> None:
    if not database.exists():
        return
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        connection.close()
    except sqlite3.DatabaseError as error:
        raise StudyError(f"{database} is not an SQLite database ({error}); move it away or give another --study.") from error
    if tables and "studies" not in tables:
        raise StudyError(f"{database} is an SQLite database, but not one of Optuna; move it away or give another --study.")
