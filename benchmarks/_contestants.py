"""Strategies and pruners that `simulate.py` compares, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpsearch.strategies.adaptive import Adaptive, Settings
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.pruners import make_pruner
from hpsearch.strategies.recorded import Recorded
from hpsearch.strategies.sampled import Sampled
from hpsearch.strategies.starts import STARTS

__all__ = ["CONTESTANTS", "opened"]

Maker = Callable[[Record, int, int], Recorded]
"""Gets the record, the seed and the most epochs of a trial."""


def _sampled(name: str, pruner: str = "none") -> Maker:
    return lambda record, seed, epochs: Sampled(record, make_pruner(pruner, epochs), name, seed)


def _adaptive(**options: float) -> Maker:
    settings = Settings(**options)  # type: ignore[arg-type]  # whole numbers and flags are floats here
    return lambda record, seed, epochs: Adaptive(record, seed, epochs, settings)


class DearFirst(Adaptive):
    """Begins with the starts in the opposite order."""

    def _next_start(self, trials: Sequence[FrozenTrial]) -> int | None:
        known = {trial.user_attrs.get("start") for trial in trials}
        return next((start for start in reversed(range(len(STARTS))) if start not in known), None)


class Extrapolating(Adaptive):
    """Judges a trial at a rung by the score that those which were trained to the end let expect of it.

    A line through the scores of the complete trials: last score by score and gain at the rung; as Baker et al.,
    "Accelerating neural architecture search using performance prediction", 2017, with fewer features.
    """

    def _promise(self, trial: FrozenTrial, rung: float) -> float | None:
        now = self._up_to(trial, rung)
        if now is None:
            return None
        known = [each for each in self.record.trials() if each.state == TrialState.COMPLETE]
        pairs = [(each, self._up_to(each, float("inf"))) for each in known]
        rows = [(self._features(each, rung), last) for each, last in pairs if last is not None]
        if len(rows) < ENOUGH_TO_FIT:
            return now
        table = np.array([features for features, _ in rows])
        lasts = np.array([last for _, last in rows])
        penalty = 1e-3 * np.eye(table.shape[1])
        weights = np.linalg.solve(table.T @ table + penalty, table.T @ lasts)
        return float(self._features(trial, rung) @ weights)

    def _features(self, trial: FrozenTrial, rung: float) -> np.ndarray:
        now, before = self._up_to(trial, rung), self._up_to(trial, max(rung / 2, 1))
        return np.array([1.0, now or 0.0, (now or 0.0) - (before or 0.0)])


class NoiseAware(Adaptive):
    """Stops a trial only where enough others are better by more than the noise of a score."""

    def _stops(self, trial: FrozenTrial, trials: Sequence[FrozenTrial], rung: int) -> bool:
        mine = self._promise(trial, rung)
        others = self._at(trials, rung, without=trial)
        better = sum(mine is None or value > mine + NOISE for value in others)
        present = len(others) + 1
        return present >= self._settings.enough and better >= max(1, int(present * self._settings.keep))


ENOUGH_TO_FIT = 5
NOISE = 0.02
"""About twice the standard error of an accuracy on a few hundred to a few thousand images."""


def _other(kind: type[Adaptive], **options: float) -> Maker:
    settings = Settings(**options)  # type: ignore[arg-type]  # as above
    return lambda record, seed, epochs: kind(record, seed, epochs, settings)


_BARE = {"starts": 0, "like": 0.0}
"""Random proposals, so that only what stops trials differs."""

CONTESTANTS: dict[str, Maker] = {
    "random": _sampled("random"),
    "random + median": _sampled("random", "median"),
    "random + asha": _sampled("random", "asha"),
    "random + hyperband": _sampled("random", "hyperband"),
    "tpe": _sampled("tpe"),
    "tpe + median": _sampled("tpe", "median"),
    "tpe + asha": _sampled("tpe", "asha"),
    **{
        f"rungs {first:g} x{spacing:g} keep {keep:.2g}{'' if resume else ' no resume'}": _adaptive(
            first_rung=first, spacing=spacing, keep=keep, resume=resume, **_BARE
        )
        for first in (0.05, 0.1, 0.2, 0.34, 0.5)
        for spacing, keep in ((2.0, 0.5), (3.0, 1 / 3), (3.0, 0.2), (100.0, 1 / 3), (100.0, 0.2), (100.0, 0.1))
        for resume in (True, False)
    },
    **{f"rungs trend {trend:g}": _adaptive(trend=trend, **_BARE) for trend in (0.25, 0.5, 1.0)},
    "starts": _adaptive(like=0.0, first_rung=1.0),
    "starts + like": _adaptive(first_rung=1.0),
    "like": _adaptive(starts=0, first_rung=1.0),
    "model": _adaptive(starts=0, like=0.0, model=0.8, first_rung=1.0),
    "starts + model": _adaptive(like=0.0, model=0.8, first_rung=1.0),
    "starts + like + model": _adaptive(like=0.45, model=0.45, first_rung=1.0),
    **{f"adaptive like {like:g}": _adaptive(like=like) for like in (0.4, 0.6, 0.95)},
    **{
        f"adaptive like {like:g} model {0.9 - like:g}": _adaptive(like=like, model=0.9 - like)
        for like in (0.0, 0.3, 0.6)
    },
    **{f"adaptive known {known}": _adaptive(known=known) for known in (1, 10)},
    **{f"adaptive starts 0 known {known}": _adaptive(starts=0, known=known) for known in (1, 10)},
    **{f"adaptive best {best}": _adaptive(best=best) for best in (1, 3, 10)},
    **{f"adaptive changes {changes:g}": _adaptive(changes=changes) for changes in (1.0, 3.0, 5.0)},
    **{f"adaptive starts {starts}": _adaptive(starts=starts) for starts in (0, 1, 2, 3, 4)},
    "adaptive, dear first": _other(DearFirst),
    "adaptive, extrapolating": _other(Extrapolating),
    "adaptive, noise-aware": _other(NoiseAware),
    "rungs, extrapolating": _other(Extrapolating, **_BARE),
    "rungs, noise-aware": _other(NoiseAware, **_BARE),
    "adaptive": _adaptive(),
}


def opened(name: str, maximize: bool, seed: int, epochs: int) -> Recorded:
    """A strategy with an empty record in memory.

    Args:
        name: One of `CONTESTANTS`.
        maximize: Whether more is better.
        seed: Where the random numbers start.
        epochs: The most epochs of a trial.
    """
    return CONTESTANTS[name](Record(None, "simulated", maximize=maximize), seed, epochs)
