"""Learning rates that follow the steps of an optimizer: a checkpoint holds those, so they go on where they were."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hpsearch.schedules import Cosine, OneCycle, Schedule, Triangular

__all__ = ["Annealed", "rate_of"]


class Annealed(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # keras has no types
    """Rises from a share of the peak to the peak, then falls to another share, each in a line or along half a cosine.

    Args:
        peak: The largest learning rate.
        steps: All steps.
        warmup: Steps in which it rises.
        start: Share of the peak at the first step, where it rises.
        final: Share of the peak after the last.
        rises: In a ``"line"`` or along a ``"cosine"``.
        falls: Likewise.
    """

    numbers = ("peak", "steps", "warmup", "start", "final")
    """Its attributes that may be any number in a program that is compiled once."""

    def __init__(
        self, *, peak: float, steps: int, warmup: int, start: float, final: float, rises: str, falls: str
    ) -> None:
        self.peak = peak
        self.steps = steps
        self.warmup = warmup
        self.start = start
        self.final = final
        self.rises = rises
        self.falls = falls

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        up = ops.clip(step / _at_least_one(self.warmup), 0.0, 1.0)
        down = ops.clip((step - self.warmup) / _at_least_one(self.steps - self.warmup), 0.0, 1.0)
        rising = up if self.rises == "line" else (1 - ops.cos(math.pi * up)) / 2
        falling = 1 - down if self.falls == "line" else (1 + ops.cos(math.pi * down)) / 2
        before = self.start + (1 - self.start) * rising
        after = self.final + (1 - self.final) * falling
        return self.peak * ops.where(step < self.warmup, before, after)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


def _at_least_one(steps: Any) -> Any:
    """A number of steps to divide by, which only a compiled program may know."""
    return ops.maximum(ops.cast(steps, "float32"), 1.0)


def rate_of(schedule: Schedule | None, peak: float, steps: int | None) -> Annealed | None:
    """The learning rate of every step; None where it stays, or is cut by a callback.

    Args:
        schedule: As declared.
        peak: The learning rate of the optimizer.
        steps: All steps of the phase; None where they are not known.
    """
    if steps is None or not isinstance(schedule, Cosine | OneCycle | Triangular):
        return None
    return Annealed(
        peak=peak,
        steps=steps,
        warmup=round(schedule.warmup * steps),
        start=0.0 if isinstance(schedule, Cosine) else schedule.start,
        final=schedule.final,
        rises="cosine" if isinstance(schedule, OneCycle) else "line",
        falls="line" if isinstance(schedule, Triangular) else "cosine",
    )
