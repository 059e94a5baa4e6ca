"""Training one recipe with Keras's ``fit``: compile, train, keep the best epoch, score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from hpsearch.data.loading import Part
from hpsearch.errors import HpsearchError
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.study.trial import Epoch
from hpsearch.training.build import Built, Inputs, UserCodeError, augmented

__all__ = ["Halted", "NotFiniteError", "Outcome", "compiled", "encoded", "evaluate", "fit", "refit"]

TRAIN_SCORE_IMAGES = 10_000
"""The train score is measured on at most this many images: enough for three digits, and quick."""


class NotFiniteError(HpsearchError):
    """The loss became infinite or not a number."""


class Halted(Exception):
    """Whoever watches asked to stop after this epoch; what was found so far counts."""


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
    on_epoch: Callable[[Epoch], bool],
) -> Outcome:
    """Train a network and leave it with the weights of its best epoch.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        validation: The images the score is measured on.
        inputs: What the network was built for.
        metric: The name of the objective, such as ``val_accuracy``.
        maximize: Whether more is better.
        seed: Where shuffling and augmentation start.
        on_epoch: Told of every epoch; answers whether to go on.

    Raises:
        NotFiniteError: The loss is not finite any more.
    """
    recipe = built.recipe
    trainer = compiled(built, inputs, seed)
    keeper = _BestEpoch(built.network, metric, maximize, on_epoch)
    stops = [keeper, *_callbacks(recipe)]
    validation_data = encoded(recipe, validation, inputs)
    _call_fit(built, trainer, encoded(recipe, train, inputs), stops, validation_data=validation_data)
    if keeper.best is None:
        raise NotFiniteError(f"the {metric} was never finite.")
    built.network.set_weights(keeper.weights)
    train_score = evaluate(built, _sample(train), inputs)[metric.removeprefix("val_")]
    return Outcome(keeper.best, keeper.best_epoch, train_score)


def refit(
    built: Built,
    train: Part,
    inputs: Inputs,
    *,
    learning_rates: Sequence[float],
    seed: int,
    on_epoch: Callable[[Epoch], bool],
) -> None:
    """Train without validation data, replaying a validated run: as many epochs, each at the learning rate it had.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
        learning_rates: The learning rate of each epoch.
        seed: Where shuffling and augmentation start.
        on_epoch: Told of every epoch.

    Raises:
        NotFiniteError: The loss is not finite any more.
    """
    recipe = replace(
        built.recipe,
        training=replace(built.recipe.training, epochs=len(learning_rates), early_stopping=None, schedule=None),
    )
    built = replace(built, recipe=recipe)
    trainer = compiled(built, inputs, seed)
    callbacks: list[Any] = [_Reporter(on_epoch)]
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if not isinstance(getattr(trainer.optimizer, "_learning_rate", None), schedule):  # one of build(hp) replays itself
        callbacks.insert(0, keras.callbacks.LearningRateScheduler(lambda epoch: float(learning_rates[epoch])))
    _call_fit(built, trainer, encoded(recipe, train, inputs), callbacks)


def evaluate(built: Built, part: Part, inputs: Inputs) -> dict[str, float]:
    """Loss and accuracy of a network in inference mode.

    Args:
        built: The network and its recipe; it is compiled if it was not.
        part: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
    """
    compiled(built, inputs, 0)
    x, y = encoded(built.recipe, part, inputs)
    return _named(built.network.evaluate(x, y, batch_size=256, verbose=0, return_dict=True))


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


def _call_fit(
    built: Built, trainer: Any, data: tuple[np.ndarray, np.ndarray], callbacks: list[Any], **options: Any
) -> None:
    training = built.recipe.training
    options = {
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "callbacks": callbacks,
        "verbose": 0,
        **options,
    }
    builder = built.recipe.model.build if isinstance(built.recipe.model, HyperModel) else None
    try:
        if builder is None:
            trainer.fit(*data, **options)
        elif hasattr(builder, "build") and hasattr(builder, "fit"):
            builder.fit(built.hyperparameters, trainer, *data, **options)
        else:
            trainer.fit(*data, **options)
    except Halted:
        pass
    except HpsearchError:
        raise
    except Exception as error:
        if builder is None:
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserCodeError(f"training what build(hp) made raised {type(error).__name__}: {reason}") from error


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


def _named(logs: dict[str, Any]) -> dict[str, float]:
    """Metrics as plain floats; any accuracy goes by the name ``accuracy``."""
    named: dict[str, float] = {}
    for name, value in logs.items():
        prefix = "val_" if name.startswith("val_") else ""
        bare = name.removeprefix("val_")
        short = (
            "accuracy"
            if bare in ("acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
            else bare
        )
        named[prefix + short] = float(value)
    return named


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Tells of every epoch, and stops where the loss is lost or somebody asks to."""

    def __init__(self, on_epoch: Callable[[Epoch], bool]) -> None:
        super().__init__()
        self.on_epoch = on_epoch
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = _named(dict(logs or {}))
        metrics = {name: metrics[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in metrics}
        if not math.isfinite(metrics["loss"]):
            raise NotFiniteError(f"the loss became {metrics['loss']} in epoch {epoch + 1}.")
        self.keep(epoch + 1, metrics)
        report = Epoch(epoch + 1, time.monotonic() - self.started, {**metrics, "learning_rate": self.learning_rate})
        if not self.on_epoch(report):
            raise Halted

    def keep(self, epoch: int, metrics: dict[str, float]) -> None:
        """Nothing to keep without validation."""


_NO_METRIC = "compile with metrics=['accuracy'], and hand the validation data on to model.fit."


class _BestEpoch(_Reporter):
    """Remembers the best epoch and its weights."""

    def __init__(self, network: Any, metric: str, maximize: bool, on_epoch: Callable[[Epoch], bool]) -> None:
        super().__init__(on_epoch)
        self.network = network
        self.metric = metric
        self.maximize = maximize
        self.best: float | None = None
        self.best_epoch = 0
        self.weights: list[np.ndarray] = []

    def keep(self, epoch: int, metrics: dict[str, float]) -> None:
        if self.metric not in metrics:
            raise UserCodeError(f"the training gives no {self.metric}, which is the objective; {_NO_METRIC}")
        score = metrics[self.metric]
        if not math.isfinite(score):
            return
        if self.best is None or (score > self.best if self.maximize else score < self.best):
            self.best, self.best_epoch = score, epoch
            self.weights = self.network.get_weights()
