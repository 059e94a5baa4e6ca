"""What training makes small: cross-entropy of classes, smoothed or mixed if wanted, or the distance of amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hpsearch.training.mixing import Mixing

__all__ = ["AmountLoss", "Mixed", "Smoothed", "class_weights", "taught"]


class AmountLoss(keras.losses.Loss):  # type: ignore[misc]  # keras has no types
    """A loss of amounts in standard deviations, so that amounts of any unit train alike.

    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 1964, for ``huber``, which
    grows with the square up to one standard deviation and in a line beyond.

    Args:
        kind: ``mean_squared_error``, ``mean_absolute_error`` or ``huber``.
        scale: The standard deviation of the amounts on the training part.
        offset: Their mean there.
    """

    def __init__(self, kind: str, scale: float, offset: float) -> None:
        super().__init__(name=kind)
        self.measure = keras.losses.get(kind)
        self.amounts = scale, offset

    def call(self, y_true: Any, y_pred: Any) -> Any:
        scale, offset = self.amounts
        small = [(ops.reshape(ops.cast(y, "float32"), (-1, 1)) - offset) / scale for y in (y_true, y_pred)]
        return self.measure(*small)


class Smoothed(keras.Model):  # type: ignore[misc]  # keras has no types
    """A model whose answers are smoothed while it is trained and taken as they are when it is validated.

    With a share s spread over all classes, cross-entropy becomes (1 - s) times that of the answer plus s times the mean
    over the classes; what is added to the plain loss is s times the difference of the two.
    """

    smooths = False
    """Whether it smooths any."""
    share = 0.0
    """Of each answer, spread over all classes; a program that is compiled once may take any number for it."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not training or not self.smooths:
            return loss
        added = self.share * _difference(y, y_pred)
        if sample_weight is not None:
            added = added * ops.cast(ops.reshape(sample_weight, (-1,)), added.dtype)
        return loss + ops.cast(ops.mean(added), loss.dtype)


def _difference(y: Any, y_pred: Any) -> Any:
    """The mean cross-entropy over all classes minus that of the answer, for each image (n,)."""
    epsilon = keras.config.epsilon()
    if y_pred.shape[-1] == 1:
        second = ops.reshape(ops.clip(ops.cast(y_pred, "float32"), epsilon, 1 - epsilon), (-1,))
        told = ops.reshape(ops.cast(y, "float32"), (-1,))
        gain = ops.log(second) - ops.log(1 - second)
        return (told - 0.5) * gain
    logs = ops.log(ops.clip(ops.cast(y_pred, "float32"), epsilon, 1 - epsilon))
    told = ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), y_pred.shape[-1], dtype="float32")
    return ops.sum(told * logs, axis=-1) - ops.mean(logs, axis=-1)


class Mixed(Smoothed):
    """A model whose images are mixed while it is trained: the loss of each answer counts as much as its image does."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not training:
            return loss
        # A weight of a class goes with the answer of that class.
        others = [each if each is None else ops.roll(each, 1, axis=0) for each in (y, sample_weight)]
        other = super().compute_loss(x, others[0], y_pred, others[1], training=training)
        share = ops.cast(_mixing(self).share, loss.dtype)
        return share * loss + (1 - share) * other


def _mixing(trainer: Any) -> Any:
    """The layer that mixes the images of a model; None where none does."""
    return next((layer for layer in getattr(trainer, "layers", ()) if isinstance(layer, Mixing)), None)


def taught(trainer: Any, share: float) -> Any:
    """The same layers as a model whose loss is of smoothed answers, and of mixed ones where it mixes images.

    Args:
        trainer: A model; a functional one where anything is to be done.
        share: Of each answer, spread over all classes; 0 smooths none.
    """
    kind = Smoothed if _mixing(trainer) is None else Mixed
    if kind is Smoothed and not share:
        return trainer
    model = kind(trainer.input, trainer.output)
    model.smooths, model.share = bool(share), share
    return model


def class_weights(said: str | Sequence[float] | None, labels: NDArray[Any], classes: int) -> Mapping[int, float] | None:
    """How much an image of each class counts; None where all count the same.

    Args:
        said: ``"balanced"``, one number a class, or None.
        labels: Of the images that are trained on, whole numbers (n,).
        classes: How many classes there are.
    """
    if said is None:
        return None
    if not isinstance(said, str):
        return {place: float(weight) for place, weight in enumerate(said)}
    counts = np.bincount(labels, minlength=classes)
    there = int((counts > 0).sum())
    return {place: len(labels) / (there * int(n)) if n else 1.0 for place, n in enumerate(counts)}
