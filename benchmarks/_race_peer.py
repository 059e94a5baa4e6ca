"""One peer of the race, in a process of its own: `python _race_peer.py JOB.json`. It searches until it is ended.

Each is used as its own documentation shows it: Keras Tuner by `tuner.search`, Optuna by a loop written by hand. Where
the job names no space file, its networks are written by hand, too, and trained by `model.fit`. A line of JSON is
written when a network is built, with its choices, and one after every epoch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
from _race_ways import ByHand, Log, Way

ENDLESS = 1_000_000
"""Trials; the race ends by the clock."""


def main() -> None:
    """Read the job and search."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    keras.utils.set_random_seed(job["seed"])
    log = Log(job["log"])
    search = _keras_tuner if job["who"].startswith("kt-") else _optuna
    search(job, _way(job, log))


def _way(job: dict[str, Any], log: Log) -> Way:
    if "space" not in job:
        return ByHand(job, log)
    from _race_space import BySpace  # a peer by hand would not wait for hpsearch

    return BySpace(job, log)


def _keras_tuner(job: dict[str, Any], way: Way) -> None:
    import keras_tuner

    common = {
        "objective": keras_tuner.Objective("val_accuracy", "max"),
        "seed": job["seed"],
        "directory": job["folder"],
        "project_name": "tuner",
        "overwrite": True,
        "max_consecutive_failed_trials": ENDLESS,
    }
    made = way.hypermodel()
    match job["who"]:
        case "kt-random":
            tuner = keras_tuner.RandomSearch(made, max_trials=ENDLESS, **common)
        case "kt-bayesian":
            tuner = keras_tuner.BayesianOptimization(made, max_trials=ENDLESS, **common)
        case _:
            tuner = keras_tuner.Hyperband(made, max_epochs=way.epochs, hyperband_iterations=ENDLESS, **common)
    epochs = {} if job["who"] == "kt-hyperband" else {"epochs": way.epochs}
    tuner.search(**way.arguments, **epochs)


def _optuna(job: dict[str, Any], way: Way) -> None:
    import optuna

    def objective(trial: Any) -> float:
        keras.backend.clear_session()
        scores: list[float] = []

        def told(epoch: int, score: float) -> bool:
            scores.append(score)
            trial.report(score, epoch)
            return bool(trial.should_prune())

        if not way.trained(trial, told):
            raise optuna.TrialPruned
        return max(scores)

    pruner = (
        optuna.pruners.MedianPruner() if job["who"] == "optuna-median" else optuna.pruners.SuccessiveHalvingPruner()
    )
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=job["seed"]), pruner=pruner
    )
    study.optimize(objective, n_trials=ENDLESS)


if __name__ == "__main__":
    main()
