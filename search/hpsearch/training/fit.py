"""Training one recipe with Keras's ``fit``: compile, train, keep the best epoch, score."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from hpsearch.data.loading import Part
from hpsearch.errors import HpsearchError
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.training.build import Built, Inputs, UserCodeError, augmented
from hpsearch.training.callbacks import Beats, First, Last, intercepted
from hpsearch.training.course import Course, Halted, NotFiniteError, named
from hpsearch.training.failures import gist
from hpsearch.training.feeding import Feed
from hpsearch.training.saving import Saving
from hpsearch.training.watch import Leaving, Watch

__all__ = ["NotFiniteError", "Outcome", "Saving", "compiled", "encoded", "evaluate", "fit", "refit"]

TRAIN_SCORE_IMAGES = 10_000
"""The train score is measured on at most this many images: enough for three digits, and quick."""

_Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What training found.

    Args:
        score: The objective at the best epoch.
        best_epoch: That epoch, from 1.
        train_score: The same metric on training images, in inference mode, with the weights of that epoch.
    """

    score: float
    best_epoch: int
    train_score: float


def fit(
    built: Built,
    train: Part,
    validation: Part,
    inputs: Inputs,
    *,
    metric: str,
    maximize: bool,
    seed: int,
    watch: Watch,
    saving: Saving | None = None,
) -> Outcome:
    """Train a network, or go on training it, and leave it with the weights of its best epoch.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        validation: The images the score is measured on.
        inputs: What the network was built for.
        metric: The name of the objective, such as ``val_accuracy``.
        maximize: Whether more is better.
        seed: Where shuffling and augmentation start.
        watch: Who is told how it goes, and may end it.
        saving: Where checkpoints are written, and read to begin with; None writes none.

    Raises:
        NotFiniteError: The loss is not finite any more.
        Leaving: Training was stopped, to go on later.
    """
    trainer = compiled(built, inputs, seed)
    epochs = built.recipe.training.epochs
    course = Course(trainer, built.network, epochs, watch, metric=metric, maximize=maximize)
    data = encoded(built.recipe, train, inputs), encoded(built.recipe, validation, inputs)
    _train(built, course, *data, seed=seed, callbacks=_callbacks(built.recipe), saving=saving)
    if course.progress.best is None:
        raise NotFiniteError(f"the {metric} was never finite.")
    built.network.set_weights(course.weights)
    beats = Beats(course)
    train_score = evaluate(built, _sample(train), inputs, callbacks=[beats])[metric.removeprefix("val_")]
    return Outcome(course.progress.best, course.progress.best_epoch, train_score)


def refit(
    built: Built,
    train: Part,
    inputs: Inputs,
    *,
    learning_rates: Sequence[float],
    seed: int,
    watch: Watch,
) -> None:
    """Train without validation data, replaying a validated run: as many epochs, each at the learning rate it had.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
        learning_rates: The learning rate of each epoch.
        seed: Where shuffling and augmentation start.
        watch: Who is told how it goes, and may end it.

    Raises:
        NotFiniteError: The loss is not finite any more.
        Leaving: Training was stopped.
    """
    recipe = replace(
        built.recipe,
        training=replace(built.recipe.training, epochs=len(learning_rates), early_stopping=None, schedule=None),
    )
    built = replace(built, recipe=recipe)
    trainer = compiled(built, inputs, seed)
    callbacks: list[Any] = []
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if not isinstance(getattr(trainer.optimizer, "_learning_rate", None), schedule):  # one of build(hp) replays itself
        callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: float(learning_rates[epoch])))
    course = Course(trainer, built.network, len(learning_rates), watch)
    _train(built, course, encoded(recipe, train, inputs), None, seed=seed, callbacks=callbacks, saving=None)


def evaluate(built: Built, part: Part, inputs: Inputs, callbacks: Sequence[Any] = ()) -> dict[str, float]:
    """Loss and accuracy of a network in inference mode.

    Args:
        built: The network and its recipe; it is compiled if it was not.
        part: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
        callbacks: Keras callbacks that are told of the steps.
    """
    if not built.network.compiled:
        compiled(built, inputs, 0)
    x, y = encoded(built.recipe, part, inputs)
    found = built.network.evaluate(x, y, batch_size=256, callbacks=list(callbacks), verbose=0, return_dict=True)
    return named(found)


def compiled(built: Built, inputs: Inputs, seed: int) -> Any:
    """The model to train: the network, behind its augmentation, with loss, optimizer and accuracy."""
    recipe, network = built.recipe, built.network
    augment = recipe.training.augment
    trainer = augmented(network, augment, inputs, seed)
    if isinstance(recipe.model, HyperModel) and network.compiled:
        if trainer is not network:
            trainer.compile(optimizer=network.optimizer, loss=network.loss, metrics=["accuracy"])
        return trainer
    for model in {id(trainer): trainer, id(network): network}.values():
        model.compile(
            optimizer=recipe.training.optimizer.build(), loss=_loss(recipe, network), metrics=_metrics(recipe, network)
        )
    return trainer


def _loss(recipe: Recipe, network: Any) -> Any:
    if network.output_shape[-1] == 1:
        return keras.losses.BinaryCrossentropy()
    if isinstance(recipe.model, HyperModel) and recipe.model.labels == "one_hot":
        return keras.losses.CategoricalCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy()


def _metrics(recipe: Recipe, network: Any) -> list[Any]:
    if network.output_shape[-1] == 1:
        return [keras.metrics.BinaryAccuracy(name="accuracy")]
    if isinstance(recipe.model, HyperModel) and recipe.model.labels == "one_hot":
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def encoded(recipe: Recipe, part: Part, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels as the recipe's network wants them.

    Args:
        recipe: The recipe.
        part: Images and labels as loaded.
        inputs: What the network was built for.
    """
    images, labels = part.images, part.labels
    if isinstance(recipe.model, Model):
        return images, labels.astype("float32")[:, None] if recipe.model.head == "sigmoid" else labels
    if recipe.model.pixels == "0..1":
        images = (images / np.float32(inputs.white)).astype("float32")
    if recipe.model.labels == "one_hot":
        return images, np.eye(inputs.classes, dtype="float32")[labels]
    return images, labels


def _train(
    built: Built,
    course: Course,
    data: _Arrays,
    validation: _Arrays | None,
    *,
    seed: int,
    callbacks: list[Any],
    saving: Saving | None,
) -> None:
    """Train to the end, from wherever the checkpoints leave off."""
    builder = built.recipe.model.build if isinstance(built.recipe.model, HyperModel) else None
    course.callbacks, course.seed = callbacks, seed
    try:
        if builder is not None and hasattr(builder, "build") and hasattr(builder, "fit"):
            _train_as_the_user_does(built, builder, course, data, validation, saving)
        else:
            _train_by_epochs(course, data, validation, built.recipe.training.batch_size, seed, saving)
    except Halted:
        pass
    except (HpsearchError, Leaving):
        raise
    except Exception as error:
        if builder is None:
            raise
        raise UserCodeError(
            f"training what build(hp) made raised {type(error).__name__}: {gist(error)[:300]}"
        ) from error


def _train_by_epochs(
    course: Course, data: _Arrays, validation: _Arrays | None, batch_size: int, seed: int, saving: Saving | None
) -> None:
    trainer = course.trainer
    feed = Feed(*data, batch_size, seed, at_once=int(trainer.steps_per_execution or 1))
    course.on_epoch = feed.begin
    if feed.divisible:
        course.steps = feed.steps
    some = slice(0, batch_size)
    course.resume(saving, lambda: trainer.test_on_batch(feed.images[some], feed.labels[some]))
    callbacks = [First(course), *course.callbacks, Last(course)]
    if course.progress.step == course.steps and validation is not None:
        _finish_epoch(course, callbacks, validation, batch_size)
    if course.over:
        return
    options = feed.options(course.progress.epochs, course.progress.step, course.epochs)
    course.ends_partial = feed.endless
    with warnings.catch_warnings():
        if course.progress.step:  # that is how an epoch ends that began in an earlier run
            warnings.filterwarnings("ignore", message="Your input ran out of data")
        trainer.fit(
            **options,
            initial_epoch=course.progress.epochs,
            epochs=course.epochs,
            callbacks=callbacks,
            validation_data=validation,
            validation_batch_size=batch_size,
            verbose=0,
        )


def _finish_epoch(course: Course, callbacks: list[Any], validation: _Arrays, batch_size: int) -> None:
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
    found = trainer.evaluate(*validation, batch_size=batch_size, callbacks=[callbacks[0]], verbose=0, return_dict=True)
    logs.update({f"val_{name}": value for name, value in found.items()})
    for callback in callbacks:
        callback.on_epoch_end(epoch, logs)
    course.remember()


def _train_as_the_user_does(
    built: Built, builder: Any, course: Course, data: _Arrays, validation: _Arrays | None, saving: Saving | None
) -> None:
    """Call the ``fit`` of a ``keras_tuner.HyperModel``, which calls that of the model: once, several times or never."""
    options: dict[str, Any] = {
        "batch_size": built.recipe.training.batch_size,
        "epochs": course.epochs,
        "callbacks": [First(course), *course.callbacks, Last(course)],
        "verbose": 0,
    }
    if validation is not None:
        options["validation_data"] = validation
    with intercepted(course, saving):
        builder.fit(built.hyperparameters, course.trainer, *data, **options)


def _callbacks(recipe: Recipe) -> list[Any]:
    training = recipe.training
    made: list[Any] = []
    if training.schedule is not None:
        made.append(training.schedule.build())
    if training.early_stopping is not None:
        made.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=training.early_stopping))
    return made


def _sample(part: Part) -> Part:
    """At most `TRAIN_SCORE_IMAGES` of a part, always the same ones."""
    if len(part.labels) <= TRAIN_SCORE_IMAGES:
        return part
    chosen = np.random.default_rng(0).choice(len(part.labels), TRAIN_SCORE_IMAGES, replace=False)
    return Part(part.images[chosen], part.labels[chosen])
