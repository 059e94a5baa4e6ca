"""A worker process: loads a space and its data once, then trains one trial after the other.

It never touches the record of the study: everything it finds goes over the pipe to the coordinator, which asks it to go
on, to drop a trial or to halt.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import platform
import signal
import threading
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from hpsearch.errors import HpsearchError, SpaceError, WeightsError
from hpsearch.messages import (
    Drop,
    EpochDone,
    Failed,
    Go,
    Inspect,
    Inspected,
    Measured,
    Ready,
    Refit,
    Refitted,
    Refused,
    Resolved,
    Score,
    Scored,
    Setup,
    Suggest,
    Train,
    Trained,
)
from hpsearch.printing import printing_to

__all__ = ["main"]


def main(connection: Connection) -> None:
    """Serve a coordinator until it closes the pipe.

    Args:
        connection: The worker's end of the pipe.
    """
    # Ctrl-C and a closed terminal reach the whole process group; the coordinator decides what they mean.
    for kind in (signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)
    _leave_with_parent()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        _exit()


def _leave_with_parent() -> None:
    """End when the coordinator is killed, in the middle of an epoch too."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker is always started by a coordinator

    def wait() -> None:
        parent.join()
        _exit()

    threading.Thread(target=wait, daemon=True).start()


def _exit() -> NoReturn:
    """The coordinator is gone: there is nobody left to tell, and no cleaning up that could matter."""
    os._exit(1)


def _serve(connection: Connection) -> None:
    first = connection.recv()
    if first.data_dir is not None:
        # Where a space file itself looks; the fork server may be older than what the command line said.
        os.environ["HPSEARCH_DATA_DIR"] = str(first.data_dir)
    try:
        with printing_to(Path(os.devnull)):
            if not isinstance(first, Setup):
                connection.send(_answer(first))
                return
            trainer = _Trainer(first)
            ready = trainer.ready()
    except HpsearchError as error:
        connection.send(Refused(str(error), error.exit_code))
        return
    except Exception as error:  # noqa: BLE001  # whatever it is, the coordinator is told
        connection.send(Refused(f"{type(error).__name__}: {error}\n{traceback.format_exc()}", 1))
        return
    connection.send(ready)
    gc.freeze()  # what is loaded now stays; to look through it at the start of every trial took longer than a proposal
    while True:
        task = connection.recv()
        with printing_to(task.log):
            connection.send(trainer.perform(task, connection))


def _answer(request: Inspect | Score) -> Inspected | Scored:
    """Requests that need no space loaded for training."""
    if isinstance(request, Inspect):
        from hpsearch.training.inspection import inspect_space

        return inspect_space(request)
    from hpsearch.training.scoring import score_exports

    return score_exports(request)


class _Dropped(Exception):
    """The coordinator does not want this trial trained."""


class _Trainer:
    """A loaded space with its data."""

    def __init__(self, setup: Setup) -> None:
        from hpsearch.data.loading import load_search_data
        from hpsearch.spacefile import load_space
        from hpsearch.training.build import Inputs

        self.setup = setup
        self.lost: dict[str, str] = {}  # weights that could not be downloaded, and why; asked for once only
        self.space = load_space(setup.space_file, module_path=setup.imports)
        self.data = load_search_data(
            self.space.declaration,
            data_dir=setup.data_dir,
            subset=setup.subset,
            skip_bad_images=setup.skip_bad_images,
        )
        declaration = self.space.declaration
        self.inputs = Inputs(declaration.input_shape, len(self.data.class_names), declaration.white)

    def ready(self) -> Ready:
        """What the coordinator needs to know to begin."""
        import keras

        from hpsearch.describe import describe
        from hpsearch.training.inspection import baseline_costs, check_buildable

        try:
            check_buildable(self.space, self.inputs)
            costs = baseline_costs(self.space, self.inputs)
        except SpaceError as error:
            raise SpaceError(f"{self.setup.space_file}: {error}") from error
        return Ready(
            summary=describe(self.space),
            data_fingerprint=self.data.fingerprint,
            class_names=self.data.class_names,
            train_images=len(self.data.train.labels),
            validation_images=len(self.data.validation.labels),
            skipped=self.data.skipped,
            baseline_costs=costs,
            versions={
                "python": platform.python_version(),
                "keras": keras.__version__,
                "backend": (backend := str(keras.config.backend())),
                backend: str(importlib.import_module(backend).__version__),
            },
        )

    def perform(self, task: Train | Refit, connection: Connection) -> Trained | Refitted | Failed | Drop:
        """Train and say how it ended; whatever is raised becomes a failure with a kind."""
        from hpsearch.training.failures import failure_kind, failure_sentence

        try:
            return self._refit(task, connection) if isinstance(task, Refit) else self._train(task, connection)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except _Dropped:
            return Drop()
        except Exception as error:  # noqa: BLE001  # a user's code and Keras may raise anything
            traceback.print_exc()
            return Failed(failure_kind(error), failure_sentence(error))

    def _train(self, task: Train, connection: Connection) -> Trained:
        import keras

        from hpsearch.space import Objective
        from hpsearch.training.build import multiply_adds
        from hpsearch.training.fit import fit

        keras.utils.clear_session()
        keras.utils.set_random_seed(task.seed)
        built = self._built(task, connection)
        _confirmed(connection, Measured(built.parameters, multiply_adds(built.network)))
        if task.epochs is not None:
            training = replace(built.recipe.training, epochs=task.epochs)
            built = replace(built, recipe=replace(built.recipe, training=training))
        objective = Objective.parse(self.space.objective)
        outcome = fit(
            built,
            self.data.train,
            self.data.validation,
            self.inputs,
            metric=objective.metric,
            maximize=objective.maximize,
            seed=task.seed,
            on_epoch=lambda epoch: isinstance(_asked(connection, EpochDone(epoch)), Go),
        )
        return Trained(outcome.score, outcome.best_epoch, outcome.train_score)

    def _refit(self, task: Refit, connection: Connection) -> Refitted:
        import keras
        import numpy as np

        from hpsearch.data.loading import Part
        from hpsearch.resolve import from_answers
        from hpsearch.training.fit import refit
        from hpsearch.training.scoring import save_export

        keras.utils.clear_session()
        keras.utils.set_random_seed(task.seed)
        answers = task.answers
        recipe = self._recipe(task.baseline, from_answers(answers))
        built = self._build(recipe, from_answers(answers))
        train, validation = self.data.train, self.data.validation
        everything = Part(
            np.concatenate([train.images, validation.images]), np.concatenate([train.labels, validation.labels])
        )
        refit(
            built,
            everything,
            self.inputs,
            learning_rates=task.learning_rates,
            seed=task.seed,
            on_epoch=lambda epoch: isinstance(_asked(connection, EpochDone(epoch)), Go),
        )
        save_export(built, self.inputs, task.model, everything.images)
        return Refitted(len(everything.labels), built.parameters)

    def _recipe(self, baseline: str | None, suggest: Any) -> Any:
        from hpsearch.resolve import resolve

        return (self.space.baselines or {})[baseline] if baseline else resolve(self.space.search, suggest)

    def _build(self, recipe: Any, suggest: Any) -> Any:
        """The network of a recipe, pretrained weights taken from this machine where they are."""
        from hpsearch.training.build import build, with_momentum
        from hpsearch.training.pretrained import impatient_downloads, to_download, with_local_weights

        folders = [folder for folder in (self.setup.data_dir, self.setup.imports) if folder is not None]
        # Retraining on train + validation takes the momentum of the validated run, like its learning rates.
        said = with_momentum(recipe, len(self.data.train.labels))
        local = with_local_weights(said, self.inputs.shape[0], folders)
        wanted = to_download(local, self.inputs.shape[0])
        for file in wanted:
            if file in self.lost:
                raise WeightsError(self.lost[file])
        try:
            with impatient_downloads():
                return build(local, self.inputs, suggest)
        except WeightsError as error:
            self.lost.update(dict.fromkeys(wanted, str(error)))
            raise

    def _built(self, task: Train, connection: Connection) -> Any:
        """The network of the trial, once the coordinator wants its recipe."""
        from hpsearch.check import check
        from hpsearch.declare import Anything, source
        from hpsearch.recipe import HyperModel, recipe_hash

        def suggest(parameter: Any) -> Any:
            return _asked(connection, Suggest(parameter)).value

        def announce(recipe: Any) -> None:
            unique = not (isinstance(recipe.model, HyperModel) and hasattr(recipe.model.build, "fit"))
            epochs = task.epochs or recipe.training.epochs
            hash_ = recipe_hash(recipe, self.inputs.shape)
            _confirmed(connection, Resolved(source(recipe), hash_, epochs, unique))

        recipe = self._recipe(task.baseline, suggest)
        open_ended = isinstance(recipe.model, HyperModel)
        if not open_ended:
            announce(recipe)
            check(recipe, Anything())
        built = self._build(recipe, suggest)
        if open_ended:
            announce(built.recipe)
        return built


def _asked(connection: Connection, message: Any) -> Any:
    connection.send(message)
    return connection.recv()


def _confirmed(connection: Connection, message: Any) -> None:
    """Tell, and go on only if the coordinator wants it."""
    if not isinstance(_asked(connection, message), Go):
        raise _Dropped
