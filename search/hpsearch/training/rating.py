"""How fast a network of a space trains, measured while others train beside it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from hpsearch.errands import Rate, Rated
from hpsearch.errors import ModelError, SpaceError, WeightsError
from hpsearch.recipe import Recipe
from hpsearch.resolve import Suggest, from_answers, resolve
from hpsearch.space import Objective
from hpsearch.trained import missing_files
from hpsearch.training.build import Built, UserCodeError
from hpsearch.training.devices import forget_programs
from hpsearch.training.fit import fit
from hpsearch.training.inspection import DRAWS, at_random
from hpsearch.training.trainer import Trainer
from hpsearch.training.watch import Leaving, Watch

__all__ = ["rate"]

STEPS = 20
"""So many steps are done, and for so many seconds, before the time that counts."""
SECONDS = 2.0
ENDLESS = 1_000_000


def rate(request: Rate, warm: Callable[[], None]) -> Rated:
    """Train, wait until all others are ready, and count rows.

    Args:
        request: What, and how long.
        warm: Called when everything is compiled; returns when the time begins.

    Raises:
        HpsearchError: The space or the data cannot be used.
    """
    trainer = Trainer(request.setup)
    forget_programs()  # a search has other networks, which are still to be compiled
    began = time.monotonic()
    built = _typical(trainer)
    rows = built.recipe.epochs * len(trainer.data.train)
    training = replace(built.recipe.training, early_stopping=None)
    built = replace(built, recipe=replace(built.recipe, training=training))
    objective = Objective.parse(trainer.space.objective)
    watch = _Counting(request.seconds, warm, training.batch_size, len(trainer.data.train), began)
    with contextlib.suppress(Leaving):
        fit(
            built,
            trainer.data.train,
            trainer.data.validation,
            trainer.inputs,
            metric=objective.metric,
            maximize=objective.maximize,
            seed=0,
            watch=watch,
            epochs=ENDLESS,
            metrics=trainer.space.metrics,
            engine=request.setup.engine,
        )
    return Rated(watch.rows, watch.before + rows / watch.rows)


def _typical(trainer: Trainer) -> Built:
    """The first network made by hand that can be built, or else the first that is drawn."""
    for recipe, suggest in _candidates(trainer):
        try:
            return trainer.built(recipe, suggest)
        except (ModelError, UserCodeError, WeightsError) as error:
            last = error
    raise SpaceError(f"no network of this space can be built, of {DRAWS} drawn; the last: {last}")


def _candidates(trainer: Trainer) -> Iterator[tuple[Recipe, Suggest]]:
    for recipe in (trainer.space.baselines or {}).values():
        if not missing_files(recipe):
            yield recipe, from_answers({})
    draw = at_random(random.Random(0))
    for _ in range(DRAWS):
        yield resolve(trainer.space.search, draw), draw


class _Counting(Watch):
    """Counts rows for some seconds, and ends training then."""

    def __init__(self, seconds: float, warm: Callable[[], None], batch_size: int, rows: int, entered: float) -> None:
        self.rows = 0.0
        """A second."""
        self.before = 0.0
        """Seconds until all was compiled, without those of the rows that were done meanwhile."""
        self._seconds = seconds
        self._warm = warm
        self._batch_size = batch_size
        self._of_epoch = rows
        self._entered = entered
        self._stepped: float | None = None
        self._warmed = 0.0
        self._began: tuple[float, int] | None = None

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        now = time.monotonic()
        done = (epoch - 1) * self._of_epoch + min(step * self._batch_size, self._of_epoch)
        self._stepped = self._stepped or now
        if self._began is None:
            if done >= STEPS * self._batch_size and now - self._stepped >= SECONDS:
                self._warmed = now - self._entered
                self._warm()
                self._began = time.monotonic(), done
            return False
        since, first = self._began
        if now - since < self._seconds or done == first:
            return False
        self.rows = (done - first) / (now - since)
        self.before = max(self._warmed - first / self.rows, 0.0)
        return True
