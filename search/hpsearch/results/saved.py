"""Saving the network of one trial as it was trained in the search: no validation data, and no look at the test part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errands import Save, Saved
from hpsearch.errors import InputError, RunError, StudyError
from hpsearch.executors.base import WorkerDied
from hpsearch.executors.devices import slots_for
from hpsearch.executors.scratch import clear_stale, scratch_folder
from hpsearch.hardware import HardwareOptions, choose_backend
from hpsearch.launch import prepared_worker
from hpsearch.messages import Failed
from hpsearch.results.setup import setup_of
from hpsearch.study.checkpoints import checkpoint_files
from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import Trial

__all__ = ["SAME", "SavedTrial", "save_trial"]

SAME = 1e-3
"""What is measured now may differ by this share from what training measured, on another kind of processor, say."""


@dataclass(frozen=True)
class SavedTrial:
    """What was written.

    Args:
        path: The file.
        study: The name of the study.
        trial: The trial.
        metric: The name of the objective, such as ``val_accuracy``.
        train_images: How many images it was trained on.
        found: What the worker found.
    """

    path: Path
    study: str
    trial: Trial
    metric: str
    train_images: int
    found: Saved

    @property
    def same(self) -> bool:
        """Whether the score measured now is the one that training measured."""
        return abs(self.found.score - self.found.recorded) <= SAME * max(abs(self.found.recorded), 1.0)


def save_trial(
    study: StudyFolder, name: str, path: Path, *, data_dir: Path | None = None, overwrite: bool = False
) -> SavedTrial:
    """Save the network of a trial with the weights of its best epoch; a run under way is not disturbed.

    Args:
        study: The study.
        name: The trial: a number, or the name of a hand-made network.
        path: The ``.keras`` file to write.
        data_dir: Where to look for data first; None is where the search found it.
        overwrite: Whether the file may be there already.

    Raises:
        InputError: There is no such trial, nothing to save of it, or the file cannot be written as asked.
        RunError: The network cannot be built again, or gives something else when it is loaded.
    """
    _check_file(path, overwrite)
    info = study.info()
    trial = study.find(name)
    _check_trained(study, trial)
    try:
        goal = Path(os.path.realpath(path))  # a link stays one
        with _beside(goal) as folder:
            model = folder.resolve() / "model.keras"
            found = _saved(study, trial, model, data_dir)
            if not found.difference <= SAME:
                raise RunError(f"The file gives other answers when it is loaded, by {found.difference:.2g}; not kept.")
            model.replace(goal)
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror or error}.") from error
    metric = info.objective.split()[-1]
    return SavedTrial(path, study.name, trial, metric, info.train_images, found)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder beside a file for as long as it is made; what a kill left there of another goes first."""
    clear_stale(path.parent)
    folder = scratch_folder(path.parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_file(path: Path, overwrite: bool) -> None:
    if path.suffix != ".keras":
        raise InputError(f"FILE got {path}; allowed: a name that ends in .keras, such as {path.stem or 'photo'}.keras.")
    if not path.parent.is_dir():
        raise InputError(f"FILE got {path}, but there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise InputError(f"FILE got {path}, which is a folder; name a file.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; name another file, or say --force to write over it.")


def _check_trained(study: StudyFolder, trial: Trial) -> None:
    """Refuse a trial that has no checkpoint, and say why it has none.

    Raises:
        StudyError: So it is.
    """
    if checkpoint_files(study.trial(trial.number).path):
        return
    who = f"Trial {trial.name} of study {study.name}"
    if trial.state == "RUNNING":
        raise StudyError(f"{who} has no checkpoint yet; wait for its first epoch.")
    if not trial.epochs:
        why = f": {trial.message.rstrip('.')}" if trial.message else ""
        raise StudyError(f"{who} was not trained{why}; there is nothing to save.")
    raise StudyError(
        f"{who} has no checkpoint any more: those of the best trials are kept (--keep of hpsearch run and clean, 5 if "
        "not given), and trials that failed keep none; train its recipe in a study of its own to have it again."
    )


def _saved(study: StudyFolder, trial: Trial, model: Path, data_dir: Path | None) -> Saved:
    info = study.info()
    choose_backend(HardwareOptions(), info)
    (slot,) = slots_for("cpu")  # the GPUs belong to the run that may be under way
    worker, ready = prepared_worker(setup_of(study, info, data_dir), slot.environment)
    try:
        if ready.data_fingerprint != info.data_fingerprint:
            raise StudyError("The data is not what the study searched on; give the same --data-dir as then.")
        worker.send(
            Save(
                study=study.name,
                trial=trial.name,
                folder=study.trial(trial.number).path.resolve(),
                seed=trial.seed,
                answers=dict(trial.answers),
                baseline=trial.baseline,
                recipe=trial.recipe,
                enqueued=trial.enqueued,
                hash=trial.hash,
                epochs=trial.epochs_budget or None,
                model=model,
            )
        )
        answer = worker.receive()
    except WorkerDied as death:
        raise RunError(f"Trial {trial.name} cannot be saved: {death}") from death
    finally:
        worker.close()
    if isinstance(answer, Failed):
        raise RunError(f"Trial {trial.name} cannot be saved: {answer.message}")
    assert isinstance(answer, Saved)  # nothing else is said while a trial is saved
    return answer
