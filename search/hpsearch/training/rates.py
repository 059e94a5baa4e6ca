"""Learning rates that follow the steps of an optimizer: a checkpoint holds those, so they go on where they were."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hpsearch.schedules import Cosine, OneCycle, Plateau

__all__ = ["Annealed", "rate_of"]


class Annealed(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # keras has no types
    """Rises from a share of the peak to the peak, then falls along half a cosine to another share.

    Args:
        peak: The largest learning rate.
        steps: All steps.
        warmup: Steps in which it rises.
        start: Share of the peak at the first step, where it rises.
        final: Share of the peak after the last.
        straight: Whether it rises in a line, and not along half a cosine.
    """

    numbers = ("peak", "steps", "warmup", "start", "final")
    """Its attributes that may be any number in a program that is compiled once."""

    def __init__(self, *, peak: float, steps: int, warmup: int, start: float, final: float, straight: bool) -> None:
        self.peak = peak
        self.steps = steps
        self.warmup = warmup
        self.start = start
        self.final = final
        self.straight = straight

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        up = ops.clip(step / _at_least_one(self.warmup), 0.0, 1.0)
        down = ops.clip((step - self.warmup) / _at_least_one(self.steps - self.warmup), 0.0, 1.0)
        rising = up if self.straight else (1 - ops.cos(math.pi * up)) / 2
        falling = (1 + ops.cos(math.pi * down)) / 2
        before = self.start + (1 - self.start) * rising
        after = self.final + (1 - self.final) * falling
        return self.peak * ops.where(step < self.warmup, before, after)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


def _at_least_one(steps: Any) -> Any:
    """A number of steps to divide by, which only a compiled program may know."""
    return ops.maximum(ops.cast(steps, "float32"), 1.0)


def rate_of(schedule: Plateau | Cosine | OneCycle | None, peak: float, steps: int | None) -> Annealed | None:
    """The learning rate of every step; None where it stays, or is cut by a callback.

    Args:
        schedule: As declared.
        peak: The learning rate of the optimizer.
        steps: All steps of the phase; None where they are not known.
    """
    if steps is None or not isinstance(schedule, Cosine | OneCycle):
        return None
    straight = isinstance(schedule, Cosine)
    start = 0.0 if isinstance(schedule, Cosine) else schedule.start
    warmup = round(schedule.warmup * steps)
    return Annealed(peak=peak, steps=steps, warmup=warmup, start=start, final=schedule.final, straight=straight)
