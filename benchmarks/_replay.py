"""A search on recorded learning curves: strategies as they are, epochs that only a counted clock takes."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from statistics import median

import numpy as np
from _curves import Curves, Nearest

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar
from hpsearch.limits import TIMED_EPOCHS, TRIAL_SHARE
from hpsearch.resolve import resolve
from hpsearch.strategies.base import Asked
from hpsearch.strategies.distributions import internal_value
from hpsearch.strategies.recorded import Recorded

__all__ = ["Replay"]


@dataclass
class _Running:
    number: int
    curve: int
    epochs: int
    most: int


class Replay:
    """One search.

    In place of each proposal the nearest recorded recipe that was not used yet is trained, and the strategy is told the
    choices of that recipe, so that what it learns is true.

    Args:
        curves: What was recorded.
        nearest: Finds recorded recipes.
        strategy: Who proposes; its record is in memory.
        budget: Seconds.
        workers: How many trials are trained at a time.
        share: So many times the budget a trial may be about to take; one that would take more is stopped, as by
            `hpsearch run --for`.
    """

    def __init__(
        self,
        curves: Curves,
        nearest: Nearest,
        strategy: Recorded,
        budget: float,
        workers: int = 1,
        share: float = TRIAL_SHARE,
    ) -> None:
        self.curves = curves
        self.nearest = nearest
        self.strategy = strategy
        self.budget = budget
        self.workers = workers
        self.most = share * budget
        self.best: list[tuple[float, float]] = []
        """When the best score so far rose, in seconds, and to what."""
        self.recipes = 0
        self.epochs = 0
        self._used = np.zeros(len(curves.curves), dtype=bool)
        self._curve_of: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._events: list[tuple[float, int, _Running]] = []
        self._count = 0

    def run(self) -> None:
        """Search until the budget is used up, or nothing is left to try."""
        idle = self._hand_out(0.0, self.workers)
        while self._events:
            now, _, running = heapq.heappop(self._events)
            if now > self.budget:
                return
            if self._goes_on(running, now):
                self._push(now + self.curves.curves[running.curve].seconds[running.epochs], running)
            else:
                idle = self._hand_out(now, idle + 1)

    def at(self, seconds: float) -> float:
        """The best score at a moment; NaN before the first."""
        return next((score for when, score in reversed(self.best) if when <= seconds), math.nan)

    def _hand_out(self, now: float, idle: int) -> int:
        """Give idle workers something to do; how many are idle still."""
        while idle and not self._used.all():
            asked = self.strategy.ask()
            if asked is None:
                break
            self._begin(asked, now)
            idle -= 1
        return idle

    def _begin(self, asked: Asked, now: float) -> None:
        if asked.parent is not None:
            place, done = self._curve_of[asked.parent], self._reached[asked.parent]
        else:
            place, done = self._proposed(asked.number), 0
            self.recipes += 1
        self._curve_of[asked.number], self._reached[asked.number] = place, done
        curve = self.curves.curves[place]
        # Who goes on builds and compiles again, which the first epoch contains.
        compiling = max(curve.seconds[0] - median(curve.seconds), 0.0) if done else 0.0
        if asked.parent is not None:
            self._resolve_again(asked)
            for epoch in range(done):
                self.strategy.report(asked.number, epoch + 1, curve.scores[epoch])
        self.strategy.resolved(asked.number)
        most = min(asked.epochs or self.curves.epochs, len(curve.scores))
        self._push(now + curve.overhead + compiling + curve.seconds[done], _Running(asked.number, place, done, most))

    def _push(self, when: float, running: _Running) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, running))

    def _goes_on(self, running: _Running, now: float) -> bool:
        curve, number, strategy = self.curves.curves[running.curve], running.number, self.strategy
        running.epochs += 1
        self.epochs += 1
        self._reached[number] = running.epochs
        score = curve.scores[running.epochs - 1]
        if math.isfinite(score):
            strategy.report(number, running.epochs, score)
            self._note(score, now)
        best = (max if self.curves.maximize else min)(curve.scores[: running.epochs])
        if running.epochs >= running.most:
            strategy.complete(number, best)
            return False
        too_slow = running.epochs == TIMED_EPOCHS and curve.seconds[running.epochs - 1] * self.curves.epochs > self.most
        if too_slow or strategy.should_stop(number):
            strategy.stop(number, best)
            return False
        return True

    def _note(self, score: float, now: float) -> None:
        last = self.best[-1][1] if self.best else None
        if last is None or (score > last if self.curves.maximize else score < last):
            self.best.append((now, score))

    def _proposed(self, number: int) -> int:
        """The place of the recipe that is trained for a proposal; the strategy has its choices afterwards."""
        choices: list[tuple[Parameter, Scalar]] = []

        def suggest(parameter: Parameter) -> Scalar:
            value = self.strategy.suggest(number, parameter)
            choices.append((parameter, value))
            return value

        resolve(self.curves.tree, suggest)
        place = self.nearest(choices, self._used)
        self._used[place] = True
        named = [
            (*self.strategy.record.named(parameter), internal_value(parameter.domain, value))
            for parameter, value in self.curves.curves[place].choices
        ]
        trial = self.strategy.record.trials()[number]  # in memory this is the trial itself, not a copy
        trial.params = {name: value for name, _, value in named}
        trial.distributions = {name: distribution for name, distribution, _ in named}
        return place

    def _resolve_again(self, asked: Asked) -> None:
        for parameter, _ in self.curves.curves[self._curve_of[asked.number]].choices:
            self.strategy.suggest(asked.number, parameter)
