"""Which epochs of a validated run a retraining goes through again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpsearch.study.trial import Epoch

__all__ = ["replayed"]


def replayed(history: Sequence[Epoch], objective: str, best_epoch: int | None) -> list[Epoch]:
    """The epochs that led to the weights of the best one.

    Each phase begins from the best weights of those before it; what an earlier phase trained beyond them was dropped.

    Args:
        history: All epochs of the run, in order.
        objective: Such as ``max val_accuracy``.
        best_epoch: The epoch of the best score, from 1; None is the last one.
    """
    direction, metric = objective.split()
    current: list[Epoch] = []
    best, led_there, phase = math.nan, current, 1.0
    for epoch in history[:best_epoch]:
        if epoch.metrics.get("phase", 1.0) != phase:
            phase, current = epoch.metrics["phase"], list(led_there)
        current = [*current, epoch]
        score = epoch.metrics.get(metric, math.nan)
        better = score > best if direction == "max" else score < best
        if better or (math.isnan(best) and math.isfinite(score)):
            best, led_there = score, current
        elif math.isnan(best):
            led_there = current
    return current
