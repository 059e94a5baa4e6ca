"""The two Keras callbacks between which all others stand, and what makes a user's own ``fit`` keep to that order."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import keras

from hpsearch.training.course import Course
from hpsearch.training.saving import Saving

__all__ = ["Beats", "First", "Last", "intercepted"]

# Only what comes before a step is overridden. After a step, Keras would have to wait for its result on the device to
# tell of it; before the next one it just goes on.


class First(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Hears everything before any other callback does."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course

    def on_train_begin(self, logs: Any = None) -> None:
        self.at_once = int(self.model.steps_per_execution or 1)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.course.epoch_begins(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.course.step_begins(batch, self.at_once)

    def on_test_begin(self, logs: Any = None) -> None:
        self.course.validation_begins()

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.course.validation_step_begins()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.course.epoch_measured(epoch, dict(logs or {}))


class Last(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Hears everything when all other callbacks have."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course

    def on_train_begin(self, logs: Any = None) -> None:
        self.course.restore()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.course.epoch_is_prepared()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.course.epoch_ends()


class Beats(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Gives signs of life while a network is scored after its training."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.course.scoring_step_begins()


@contextmanager
def intercepted(course: Course, saving: Saving | None) -> Iterator[None]:
    """While a user's own ``fit`` runs, what it makes of ``model.fit`` goes on from checkpoints and writes them.

    The user's code is called as ever, so that it need not know of checkpoints. Whether it can go on at all is known
    only when it calls ``model.fit``: a loop of its own begins anew. Where it trains a second time, with numbers of
    epochs that begin again, no checkpoint could say where it stood, and the trial begins anew as well.

    Args:
        course: The course of the training.
        saving: Where checkpoints are written.
    """
    trainer = course.trainer
    original = trainer.fit
    signature = inspect.signature(keras.Model.fit)
    called = False

    def fit(*args: Any, **options: Any) -> Any:
        nonlocal called
        try:
            given = dict(signature.bind_partial(trainer, *args, **options).arguments)
        except TypeError:  # a model of a class with a fit of its own, which takes something else
            return original(*args, **options)
        del given["self"]
        first, others, last = _sorted(given.get("callbacks"))
        again, called = called, True
        if again:
            course.give_up_saving()
        elif first is not None and last is not None:
            course.callbacks, course.epochs = others, int(given.get("epochs", 1))
            course.resume(saving, None)
            if course.progress.epochs:
                given["initial_epoch"] = max(course.progress.epochs, int(given.get("initial_epoch", 0)))
        given["callbacks"] = [callback for callback in (first, *others, last) if callback is not None]
        return _told(course) if course.over and not again else original(**given)

    trainer.fit = fit
    try:
        yield
    finally:
        with suppress(AttributeError):
            del trainer.fit


def _told(course: Course) -> Any:
    """What ``fit`` would return had it trained the epochs now that a checkpoint holds."""
    history = keras.callbacks.History()
    history.on_train_begin()
    for epoch in course.progress.history:
        history.epoch.append(epoch.epoch - 1)
        for name, value in epoch.metrics.items():
            history.history.setdefault(name, []).append(value)
    return history


def _sorted(callbacks: Any) -> tuple[First | None, list[Any], Last | None]:
    """Ours, if they were handed on, and between them those of the user."""
    every = callbacks if isinstance(callbacks, list | tuple) else [callbacks] if callbacks is not None else []
    first = next((callback for callback in every if isinstance(callback, First)), None)
    last = next((callback for callback in every if isinstance(callback, Last)), None)
    return first, [callback for callback in every if not isinstance(callback, First | Last)], last
