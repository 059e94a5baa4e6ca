"""The SQLite file of a study as Optuna's storage, for the one process that writes to it."""

from __future__ import annotations

import contextlib
import copy
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage  # what Optuna puts around every RDBStorage itself
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import StudyError

__all__ = ["Database", "StorageError", "check_database", "open_database"]

StorageError = optuna.exceptions.StorageInternalError
"""The database cannot be read or written: a full disk, a lock held for long."""

_WAY_OUT = "move it away or give another --study."


class Database(_CachedStorage):
    """A storage that nobody else writes to: what is known of it stays true, and what is written is known.

    Optuna's own asks the database before every answer, because other processes may have written to it. With a proposal
    that looks at all trials a dozen times, that would be most of what it takes.

    Args:
        backend: The database.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._outdated = True  # whether all that changed is to be read: at first, and once a write may have failed

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if self._outdated:
            super()._read_trials_from_remote_storage(study_id)
            self._outdated = False

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._trial_id_to_study_id_and_number:
            return super().get_trial(trial_id)
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        self._read_trials_from_remote_storage(study_id)
        trial = self._studies[study_id].trials[number]
        return trial if trial.state.is_finished() else _copied(trial)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        outdated, self._outdated = self._outdated, True
        trial_id = super().create_new_trial(study_id, template_trial)  # which keeps the trial
        self._outdated = outdated
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._outdated = True
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if not state.is_finished():
            self._outdated = True  # the database notes the time, too
            return super().set_trial_state_values(trial_id, state, values)
        with self._noting(trial_id) as trial:
            if not super().set_trial_state_values(trial_id, state, values):
                return False
            trial.state, trial.datetime_complete = state, self._ended(trial_id)
            if values is not None:
                trial.values = [float(value) for value in values]
        return True

    def _ended(self, trial_id: int) -> datetime:
        """When a trial ended, as the database has noted it."""
        ended = "SELECT datetime_complete FROM trials WHERE trial_id = ?"
        with self._backend.engine.connect() as connection:
            return datetime.fromisoformat(connection.exec_driver_sql(ended, (trial_id,)).scalar_one())

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        with self._noting(trial_id) as trial:
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)
            trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._noting(trial_id) as trial:
            super().set_trial_user_attr(trial_id, key, value)
            trial.user_attrs[key] = json.loads(json.dumps(value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._noting(trial_id) as trial:
            super().set_trial_system_attr(trial_id, key, value)
            trial.system_attrs[key] = json.loads(json.dumps(value))

    @contextlib.contextmanager
    def _noting(self, trial_id: int) -> Iterator[FrozenTrial]:
        """Write; the trial is there to note in it what was written. After an error nobody knows whether it was."""
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        trials = self._studies[study_id].trials
        trial = _copied(trials[number])  # others may hold what was known until now
        outdated, self._outdated = self._outdated, True
        yield trial
        trials[number], self._outdated = trial, outdated


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """A trial that may be changed: whoever holds an open one notes there what it wrote."""
    twin = copy.copy(trial)
    twin.params, twin.distributions = dict(trial.params), dict(trial.distributions)
    twin.user_attrs, twin.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    twin.intermediate_values = dict(trial.intermediate_values)
    return twin


def open_database(path: Path) -> Database:
    """The storage in a file.

    Args:
        path: The SQLite file of a study; made when it is missing.

    Raises:
        StorageError: The disk is full.
        StudyError: The file is not a database of Optuna.
    """
    check_database(path)
    try:
        return Database(RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}))
    except Exception as error:  # SQLAlchemy's, alembic's or Optuna's own, as the file is damaged in one way or another
        if _says_full(error):
            raise StorageError("the disk is full.") from error
        raise StudyError(f"{path} is not a database of Optuna ({type(error).__name__}); {_WAY_OUT}") from error


def _says_full(error: BaseException | None) -> bool:
    """Whether SQLite says so, be it to SQLAlchemy and that to Optuna."""
    if error is None or "database or disk is full" in str(error):
        return error is not None
    return _says_full(error.__cause__ or error.__context__)


def check_database(path: Path) -> None:
    """Refuse a file that is not a database of Optuna; one that is missing is made later.

    Args:
        path: The SQLite file of a study.

    Raises:
        StudyError: It is something else.
    """
    if not path.exists():
        return
    try:
        # Not read-only: what was killed in the middle of a write has to be taken back first. It is not created either.
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and path.is_file():  # the disk, and not what is in the file
            raise StudyError(f"{path} cannot be read or written ({error}); is the disk full or read-only?") from error
        raise StudyError(f"{path} is not an SQLite database ({error}); {_WAY_OUT}") from error
    if tables and "studies" not in tables:
        raise StudyError(f"{path} is an SQLite database, but not one of Optuna; {_WAY_OUT}")
