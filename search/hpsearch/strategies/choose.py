"""From the names of a strategy and a pruner to a strategy that proposes, or to one sentence why not."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

from hpsearch.describe import SpaceSummary
from hpsearch.errors import InputError, did_you_mean
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.names import PRUNERS, STRATEGIES

__all__ = ["open_strategy"]

_NEEDS = {"gp": ("scipy", "torch"), "cmaes": ("cmaes",)}
"""What some strategies need beyond what hpsearch brings; an extra of the same name installs it."""
_STOP_THEMSELVES = ("adaptive", "kt-hyperband")


def open_strategy(
    database: Path,
    study: str,
    *,
    maximize: bool,
    seed: int,
    summary: SpaceSummary,
    epochs: int | None,
    strategy: str,
    pruner: str = "none",
) -> Strategy:
    """Open the record of a study with somebody who proposes.

    Args:
        database: The SQLite file of the study; made when it is missing.
        study: The name of the study in it.
        maximize: Whether more is better.
        seed: Where the random numbers start.
        summary: The space.
        epochs: The most epochs of a trial where that is set for all; None leaves it to the space.
        strategy: One of `hpsearch.strategies.names.STRATEGIES`.
        pruner: One of `hpsearch.strategies.names.PRUNERS`.

    Raises:
        InputError: The strategy does not exist, cannot search this space, or wants a package that is not installed.
        StudyError: The file is not a database of Optuna.
    """
    most = epochs if epochs is not None else summary.most_epochs
    _check(strategy, pruner, summary, most)
    from hpsearch.strategies.optuna import Record
    from hpsearch.strategies.pruners import make_pruner

    record = Record(database, study, maximize=maximize)
    stopper = make_pruner(pruner, most)
    if strategy == "adaptive":
        from hpsearch.strategies.adaptive import Adaptive

        return Adaptive(record, seed, most)
    if strategy == "grid":
        from hpsearch.strategies.grid import Grid

        return Grid(record, stopper)
    if strategy.startswith("kt-"):
        from hpsearch.strategies.keras_tuner import KerasTuner

        return KerasTuner(record, stopper, strategy.removeprefix("kt-"), seed, most)
    from hpsearch.strategies.sampled import Sampled

    return Sampled(record, stopper, strategy, seed)


def _check(strategy: str, pruner: str, summary: SpaceSummary, epochs: int) -> None:
    for kind, name, known in (("strategy", strategy, STRATEGIES), ("pruner", pruner, PRUNERS)):
        if name not in known:
            raise InputError(
                f"There is no {kind} called {name}; there are {', '.join(known)}.{did_you_mean(name, known)}"
            )
    missing = [package for package in _NEEDS.get(strategy, ()) if find_spec(package) is None]
    if missing:
        raise InputError(
            f"The strategy {strategy} needs {' and '.join(missing)}; install with pip install 'hpsearch[{strategy}]'."
        )
    if strategy == "grid" and summary.continuous:
        from hpsearch.strategies.grid import continuous_refused

        raise continuous_refused(summary.continuous)
    if strategy in _STOP_THEMSELVES and pruner != "none":
        raise InputError(f"The strategy {strategy} stops trials itself; leave --pruner {pruner} out.")
    if strategy == "kt-hyperband":
        _check_hyperband(summary, epochs)


def _check_hyperband(summary: SpaceSummary, epochs: int) -> None:
    needed = _first_bracket(epochs)
    if not summary.open_ended and summary.size < needed:
        raise InputError(
            f"The strategy kt-hyperband compares {needed} different recipes at first, and the space has only "
            f"{summary.size:.0f}; take --strategy grid, or fewer epochs."
        )


def _first_bracket(epochs: int) -> int:
    """How many trials Keras Tuner's Hyperband starts with, for a factor of 3."""
    deepest = 0
    while epochs / 3 ** (deepest + 1) >= 1:
        deepest += 1
    return math.ceil(math.ceil(1 + math.log(epochs, 3)) / (deepest + 1) * float(3**deepest))
