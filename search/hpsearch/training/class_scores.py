"""What answers are worth as classes go: precision, recall, F1, and the area under the ROC curve.

They mean what `hpsearch.training.metrics` means by these names: with two classes the value of the second one, else the
mean over the classes. The area is exact here, over all thresholds; while training it is taken at 200.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_scores"]


def class_scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Score answers.

    Args:
        probabilities: Of each class (n, classes).
        labels: The classes (n,), whole numbers.

    Returns:
        ``precision``, ``recall``, ``f1`` and ``auc``; of two classes also how many rows are of the second one,
        ``told``, how many answers name it, ``answered``, and how many of these are right, ``right``.
    """
    classes = probabilities.shape[1]
    answers = probabilities.argmax(axis=1)
    told, answered = (np.bincount(each, minlength=classes) for each in (labels, answers))
    right = np.bincount(labels[answers == labels], minlength=classes)
    found = {
        "precision": _mean(_shares(right, answered), told + answered > 0),
        "recall": _mean(_shares(right, told), told + answered > 0),
        "f1": _mean(_shares(2 * right, told + answered), told + answered > 0),
        "auc": _auc(probabilities, labels, told),
    }
    if classes == 2:
        found |= {"told": int(told[1]), "answered": int(answered[1]), "right": int(right[1])}
    return found


def _shares(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    """0 where there is nothing to divide by."""
    return np.asarray(parts / np.maximum(wholes, 1))


def _mean(values: NDArray[np.float64], there: NDArray[np.bool_]) -> float:
    if len(values) == 2:
        return float(values[1])
    return float(values[there].mean()) if there.any() else 0.0


def _auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64], told: NDArray[np.int64]) -> float:
    classes = range(1, 2) if len(told) == 2 else range(len(told))
    areas = [_area(probabilities[:, each], labels == each) for each in classes if 0 < told[each] < len(labels)]
    return float(np.mean(areas)) if areas else 0.0


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a positive row is scored higher than a negative one, ties being half a time.

    Mann & Whitney, "On a test of whether one of two random variables is stochastically larger than the other", Annals
    of Mathematical Statistics 1947.
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)]
    ours, others = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - ours * (ours + 1) / 2) / (ours * others))
