"""What networks are measured by, as Keras metrics that take labels as whole numbers and run on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

__all__ = ["amount_metrics", "class_metrics"]


def class_metrics(names: Sequence[str], classes: int) -> list[Any]:
    """Metrics of classes beyond accuracy.

    Args:
        names: Of ``auc``, ``f1``, ``precision``, ``recall``.
        classes: How many classes there are.
    """
    made = {"auc": AUC, "f1": F1, "precision": Precision, "recall": Recall}
    return [made[name](classes) for name in names]


def amount_metrics(scale: float, offset: float) -> list[Any]:
    """Metrics of amounts: mae and rmse in their unit, and r2.

    Args:
        scale: Their standard deviation on the training part.
        offset: Their mean there.
    """
    mae = keras.metrics.MeanAbsoluteError(name="mae")
    return [mae, keras.metrics.RootMeanSquaredError(name="rmse"), R2(scale, offset)]


def _told(y_true: Any) -> Any:
    """Classes as whole numbers (n,), of whole numbers (n,), of 0 and 1 (n, 1), or of vectors (n, classes)."""
    if len(y_true.shape) > 1 and y_true.shape[-1] > 1:
        return ops.cast(ops.argmax(y_true, axis=-1), "int32")
    return ops.cast(ops.round(ops.cast(ops.reshape(y_true, (-1,)), "float32")), "int32")


class _Confusion(keras.metrics.Metric):  # type: ignore[misc]  # keras has no types
    """Counts how often each class was taken for each; what is made of the counts is the mean over the classes.

    With two classes it is the value of the second one. A class that is neither in the labels nor in the answers does
    not count, and where there is nothing to divide by the value is 0.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int, name: str) -> None:
        super().__init__(name=name)
        self.classes = classes
        self.counts = self.add_variable((classes, classes), "zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.convert_to_tensor(y_pred)
        answers = ops.reshape(y_pred > 0.5, (-1,)) if y_pred.shape[-1] == 1 else ops.argmax(y_pred, axis=-1)
        told = ops.one_hot(_told(ops.convert_to_tensor(y_true)), self.classes, dtype="float32")
        answered = ops.one_hot(ops.cast(answers, "int32"), self.classes, dtype="float32")
        self.counts.assign_add(ops.matmul(ops.transpose(told), answered))

    def result(self) -> Any:
        right, told = ops.diagonal(self.counts), ops.sum(self.counts, axis=1)
        answered = ops.sum(self.counts, axis=0)
        values = self.values(right, told, answered)
        if self.classes == 2:
            return values[1]
        there = ops.cast(told + answered > 0, "float32")
        return ops.divide_no_nan(ops.sum(values * there), ops.sum(there))

    def values(self, right: Any, told: Any, answered: Any) -> Any:
        """The metric of each class.

        Args:
            right: How many of it were recognised (classes,).
            told: How many there are.
            answered: How many answers named it.
        """
        raise NotImplementedError


class Precision(_Confusion):
    """Of the answers that name a class, the share that is right."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes, "precision")

    def values(self, right: Any, told: Any, answered: Any) -> Any:
        return ops.divide_no_nan(right, answered)


class Recall(_Confusion):
    """Of the images of a class, the share that is recognised."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes, "recall")

    def values(self, right: Any, told: Any, answered: Any) -> Any:
        return ops.divide_no_nan(right, told)


class F1(_Confusion):
    """The harmonic mean of precision and recall."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes, "f1")

    def values(self, right: Any, told: Any, answered: Any) -> Any:
        return ops.divide_no_nan(2 * right, told + answered)


class AUC(keras.metrics.AUC):  # type: ignore[misc]  # keras has no types
    """The area under the ROC curve, at 200 thresholds: that of the second of two classes, or of each against the rest.

    Of more than two classes it is the mean over those that have images, and images that are not theirs.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(name="auc", multi_label=True, num_labels=1 if classes == 2 else classes)
        self.classes = classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        told = ops.one_hot(_told(ops.convert_to_tensor(y_true)), self.classes, dtype="float32")
        y_pred = ops.cast(y_pred, "float32")
        if self.classes == 2:
            told, y_pred = told[:, 1:], y_pred[:, -1:]
        super().update_state(told, y_pred)

    def result(self) -> Any:
        positives, negatives = self.true_positives + self.false_negatives, self.false_positives + self.true_negatives
        recall = ops.divide_no_nan(self.true_positives, positives)
        alarms = ops.divide_no_nan(self.false_positives, negatives)
        area = ops.sum((alarms[:-1] - alarms[1:]) * (recall[:-1] + recall[1:]) / 2, axis=0)
        there = ops.cast(ops.logical_and(positives[0] > 0, negatives[0] > 0), "float32")
        return ops.divide_no_nan(ops.sum(area * there), ops.sum(there))


class R2(keras.metrics.R2Score):  # type: ignore[misc]  # keras has no types
    """The share of the variance that is explained, of amounts made small first: sums of their squares would lose it.

    Args:
        scale: Their standard deviation on the training part.
        offset: Their mean there.
    """

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__(name="r2")
        self.scale = scale
        self.offset = offset

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        small = [(ops.reshape(ops.cast(y, "float32"), (-1, 1)) - self.offset) / self.scale for y in (y_true, y_pred)]
        super().update_state(*small)
