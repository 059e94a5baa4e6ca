"""The engine that works everywhere: Keras's ``fit``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.training.course import Course
from hpsearch.training.engine import Work
from hpsearch.training.feeding import Feed, served, validating

__all__ = ["Fit"]


class Fit:
    """Trains with ``fit`` of the model."""

    name = "fit"

    def train(self, work: Work) -> None:
        """Train to the end of the phase.

        Args:
            work: What and how.
        """
        course, callbacks = work.course, work.callbacks()
        course.progress.engine = self.name
        at_once = int(course.trainer.steps_per_execution or 1)
        feed = Feed(work.x, work.labels, work.batch_size, work.seed, at_once, like=work.like)
        course.on_epoch = feed.begin
        if course.progress.step == course.steps and work.validation is not None:
            _finish_epoch(course, callbacks, work)
        if course.phase_over:
            return
        options = feed.options(course.progress.epochs, course.progress.step, course.epochs)
        course.ends_partial = feed.endless
        with warnings.catch_warnings():
            if course.progress.step:  # that is how an epoch ends that began in an earlier run
                warnings.filterwarnings("ignore", message="Your input ran out of data")
            course.trainer.fit(
                **options,
                initial_epoch=course.progress.epochs,
                epochs=course.epochs,
                callbacks=callbacks,
                class_weight=work.class_weight,
                **validating(work.validation, work.batch_size),
                verbose=0,
            )

    def score(self, places: NDArray[np.int64]) -> dict[str, float] | None:
        """Keras's ``evaluate`` does it as well.

        Args:
            places: Of the rows.
        """
        return None


def _finish_epoch(course: Course, callbacks: list[Any], work: Work) -> None:
    """The rest of an epoch that was left when all its steps were done: validation, and what callbacks make of it."""
    trainer, epoch = course.trainer, course.progress.epochs
    for callback in callbacks:
        callback.set_model(trainer)
        callback.set_params({"epochs": course.epochs, "steps": course.steps, "verbose": 0})
        callback.on_train_begin()
    trainer.stop_training = False
    for callback in callbacks:
        callback.on_epoch_begin(epoch)
    logs = {name: float(value) for name, value in trainer.get_metrics_result().items()}
    assert work.validation is not None  # else nothing was left to do
    data = served(*work.validation, work.batch_size)
    found = trainer.evaluate(**data, callbacks=[callbacks[0]], verbose=0, return_dict=True)
    logs.update({f"val_{name}": value for name, value in found.items()})
    for callback in callbacks:
        callback.on_epoch_end(epoch, logs)
    course.remember()
