"""One peer of the race, in a process of its own: `python _race_peer.py JOB.json`. It searches until it is ended.

Each is used as its own documentation shows it: Keras Tuner by `tuner.search`, Optuna by a loop written by hand with
`model.fit` in it. A line of JSON is written when a network is built, with its choices, and one after every epoch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from _race_network import BATCH, EPOCHS, network, settled

ENDLESS = 1_000_000
"""Trials; the race ends by the clock."""


class Log:
    """Lines of JSON, each written at once.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, **said: Any) -> None:
        """Add a line.

        Args:
            said: What it says beside the time.
        """
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **said}) + "\n")


class Epochs(keras.callbacks.Callback):
    """Writes a line after every epoch.

    Args:
        log: Where.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write it."""
        self.log.write(epoch=epoch + 1, score=float((logs or {})["val_accuracy"]))


class Suggested:
    """An Optuna trial asked in the words of Keras Tuner.

    Args:
        trial: The trial.
    """

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def Choice(self, name: str, values: Sequence[Any]) -> Any:  # noqa: N802  # Keras Tuner's name
        """One of some values."""
        return self.trial.suggest_categorical(name, list(values))

    def Int(self, name: str, low: int, high: int, step: int = 1) -> int:  # noqa: N802  # see above
        """A whole number."""
        return int(self.trial.suggest_int(name, low, high, step=step))

    def Float(self, name: str, low: float, high: float, sampling: str = "linear") -> float:  # noqa: N802  # see above
        """A number."""
        return float(self.trial.suggest_float(name, low, high, log=sampling == "log"))


def main() -> None:
    """Read the job and search."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with np.load(job["data"]) as arrays:
        parts = {name: arrays[name] for name in ("x_train", "y_train", "x_validation", "y_validation")}
    x, seen = (parts[name].astype("float32") / job["white"] for name in ("x_train", "x_validation"))
    data = x, parts["y_train"], (seen, parts["y_validation"])
    keras.utils.set_random_seed(job["seed"])
    log = Log(job["log"])
    search = _keras_tuner if job["who"].startswith("kt-") else _optuna
    search(job, data, log)


def _callbacks(job: dict[str, Any], x: Any, log: Log) -> list[Any]:
    return [settled(x), Epochs(log)] if job["blocks"] == "hpsearch" else [Epochs(log)]


def _keras_tuner(job: dict[str, Any], data: tuple[Any, ...], log: Log) -> None:
    import keras_tuner

    def build(hp: Any) -> Any:
        model = network(hp, job["shape"], job["classes"])
        log.write(values=dict(hp.values))
        return model

    common = {
        "objective": "val_accuracy",
        "seed": job["seed"],
        "directory": job["folder"],
        "project_name": "tuner",
        "overwrite": True,
    }
    match job["who"]:
        case "kt-random":
            tuner = keras_tuner.RandomSearch(build, max_trials=ENDLESS, **common)
        case "kt-bayesian":
            tuner = keras_tuner.BayesianOptimization(build, max_trials=ENDLESS, **common)
        case _:
            tuner = keras_tuner.Hyperband(build, max_epochs=EPOCHS, hyperband_iterations=ENDLESS, **common)
    x, y, validation = data
    epochs = {} if job["who"] == "kt-hyperband" else {"epochs": EPOCHS}
    callbacks = _callbacks(job, x, log)
    tuner.search(x, y, validation_data=validation, batch_size=BATCH, callbacks=callbacks, verbose=0, **epochs)


def _optuna(job: dict[str, Any], data: tuple[Any, ...], log: Log) -> None:
    import optuna

    class Pruning(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def __init__(self, trial: Any) -> None:
            super().__init__()
            self.trial = trial

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.trial.report(float((logs or {})["val_accuracy"]), epoch + 1)
            if self.trial.should_prune():
                self.model.stop_training = True

    x, y, validation = data

    def objective(trial: Any) -> float:
        keras.backend.clear_session()
        model = network(Suggested(trial), job["shape"], job["classes"])
        log.write(values=dict(trial.params))
        told = model.fit(
            x,
            y,
            validation_data=validation,
            epochs=EPOCHS,
            batch_size=BATCH,
            verbose=0,
            callbacks=[*_callbacks(job, x, log), Pruning(trial)],
        )
        scores = told.history["val_accuracy"]
        if len(scores) < EPOCHS:
            raise optuna.TrialPruned
        return float(max(scores))

    pruner = (
        optuna.pruners.MedianPruner() if job["who"] == "optuna-median" else optuna.pruners.SuccessiveHalvingPruner()
    )
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=job["seed"]), pruner=pruner
    )
    study.optimize(objective, n_trials=ENDLESS)


if __name__ == "__main__":
    main()
