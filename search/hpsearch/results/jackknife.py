"""How much each validation example has to do with a score: what turns one number into something that has a spread.

Quenouille, "Notes on bias in estimation", Biometrika 1956; Tukey, "Bias and confidence in not-quite large samples",
Annals of Mathematical Statistics 1958. The pseudovalue of an example is n M - (n - 1) M without it, for a metric M on n
examples. Of a metric that is a mean, such as accuracy, it is what the example contributes; of any other, such as the
area under a curve, the pseudovalues can be treated as if they were that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["chance", "contributions", "measurable", "measured", "pseudovalues"]

_TINY = 1e-7
"""Keras takes no probability for smaller."""


def measurable(metric: str, *, amounts: bool) -> str:
    """Why a metric cannot be had from stored predictions; empty where it can.

    Args:
        metric: Without ``val_``, such as ``accuracy``.
        amounts: Whether amounts are told, and not classes.
    """
    known = _AMOUNTS if amounts else {"accuracy", "loss", "auc", *_CONFUSED}
    if metric in known:
        return ""
    if metric == "loss":
        return "the loss of amounts is in units of each training; take an objective such as min val_mae"
    return f"{metric} cannot be had from stored predictions"


def measured(metric: str, outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """A metric on all examples.

    Args:
        metric: Without ``val_``, one that is `measurable`.
        outputs: Probabilities (n, classes) or amounts (n, 1), float.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.
    """
    return _both(metric, outputs, labels)[0]


def pseudovalues(metric: str, outputs: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """What each example has to do with a metric.

    Args:
        metric: Without ``val_``, one that is `measurable`.
        outputs: Probabilities (n, classes) or amounts (n, 1), float.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.

    Returns:
        Pseudovalues (n,), float64, in the unit of the metric.
    """
    whole, without = _both(metric, outputs, labels)
    n = len(labels)
    return n * whole - (n - 1) * without


def contributions(metric: str, outputs: NDArray[Any], labels: NDArray[Any], score: float | None = None) -> NDArray[Any]:
    """The pseudovalues, moved so that their mean is the score.

    Keras measures in its own way, a loss with what is added for large weights, an area at 200 thresholds.

    Args:
        metric: Without ``val_``, one that is `measurable`.
        outputs: Probabilities (n, classes) or amounts (n, 1), float.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.
        score: What was measured; None for the metric itself.

    Returns:
        (n,), float64, in the unit of the metric.
    """
    values = pseudovalues(metric, outputs, labels)
    values += (measured(metric, outputs, labels) if score is None else score) - values.mean()
    return values


def chance(metric: str, labels: NDArray[Any], classes: int) -> NDArray[Any] | None:
    """The contributions to the best that can be answered without looking: the same for every example.

    For classes that is the largest one (its share, for the loss the shares of all); for amounts the median, for squares
    of errors the mean.

    Args:
        metric: Without ``val_``, one that is `measurable`.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.
        classes: How many classes there are; 0 where amounts are told.

    Returns:
        (n,), float64; None where answering always the same would be rewarded, as by recall.
    """
    import numpy as np

    n = len(labels)
    if not classes:
        constant = np.median(labels) if metric == "mae" else labels.mean()
        return contributions(metric, np.full((n, 1), constant), labels)
    if metric in ("precision", "recall"):
        return None
    shares = np.bincount(labels, minlength=classes) / n
    if metric == "loss":
        return contributions(metric, np.tile(shares, (n, 1)), labels)
    if metric == "auc":
        return np.full(n, 0.5)
    answers = [np.tile(np.eye(classes)[each], (n, 1)) for each in np.flatnonzero(shares)]
    return max((contributions(metric, each, labels) for each in answers), key=lambda values: float(values.mean()))


def _both(metric: str, outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """A metric on all examples, and without each of them (n,)."""
    import numpy as np

    outputs = np.asarray(outputs, "float64")
    if labels.dtype.kind == "f":
        return _AMOUNTS[metric](outputs.reshape(-1), np.asarray(labels, "float64"))
    if metric == "accuracy":
        return _mean((outputs.argmax(axis=1) == labels).astype("float64"))
    if metric == "loss":
        return _mean(-np.log(np.clip(outputs[np.arange(len(labels)), labels], _TINY, 1.0)))
    return _area(outputs, labels) if metric == "auc" else _confused(metric, outputs, labels)


def _mean(values: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    n = len(values)
    return float(values.mean()), (values.sum() - values) / max(n - 1, 1)


# ---- amounts


def _mae(told: NDArray[Any], amounts: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    return _mean(abs(told - amounts))


def _rmse(told: NDArray[Any], amounts: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    square, without = _mean((told - amounts) ** 2)
    return float(square**0.5), without.clip(0) ** 0.5


def _r2(told: NDArray[Any], amounts: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    n, squares = len(amounts), (told - amounts) ** 2
    centred = amounts - amounts.mean()
    spread = float((centred**2).sum())
    left = spread - centred**2 * n / max(n - 1, 1)  # the mean of the others is another
    if spread <= 0 or left.min() <= 0:
        return 0.0, centred * 0
    return float(1 - squares.sum() / spread), 1 - (squares.sum() - squares) / left


_Amount = Callable[["NDArray[Any]", "NDArray[Any]"], "tuple[float, NDArray[Any]]"]
_AMOUNTS: dict[str, _Amount] = {"mae": _mae, "rmse": _rmse, "r2": _r2}


# ---- classes, by how often each was taken for each

_CONFUSED = ("f1", "precision", "recall")


def _confused(metric: str, outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """A metric of the confusion matrix; taking an example out changes one of its cells, so there are few cases."""
    import numpy as np

    classes, answers = outputs.shape[1], outputs.argmax(axis=1)
    cells = labels * classes + answers
    counts = np.bincount(cells, minlength=classes**2).astype("float64").reshape(classes, classes)
    without = np.zeros(classes**2)
    for cell in np.unique(cells):
        counts.flat[cell] -= 1
        without[cell] = _of_counts(metric, counts)
        counts.flat[cell] += 1
    return _of_counts(metric, counts), without[cells]


def _of_counts(metric: str, counts: NDArray[Any]) -> float:
    """As ``hpsearch.training.metrics`` does: of two classes the second, else the mean over those that occur."""
    import numpy as np

    right, told, answered = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    above, below = {
        "precision": (right, answered),
        "recall": (right, told),
        "f1": (2 * right, told + answered),
    }[metric]
    values = np.divide(above, below, out=np.zeros(len(right)), where=below > 0)
    return float(values[1] if len(values) == 2 else values[told + answered > 0].mean())


# ---- the area under the ROC curve


def _area(outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Of two classes the second against the first, else the mean of each against the rest.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 1988: the share of pairs that an example is on the right side of.
    """
    import numpy as np

    classes = [1] if outputs.shape[1] == 2 else range(outputs.shape[1])
    found = [each for k in classes if (each := _one_area(outputs[:, k], labels == k)) is not None]
    if not found:
        return 0.5, np.full(len(labels), 0.5)
    return float(np.mean([whole for whole, _ in found])), np.mean([without for _, without in found], axis=0)


def _one_area(scores: NDArray[Any], positive: NDArray[Any]) -> tuple[float, NDArray[Any]] | None:
    """The area for one class, and without each example; None where a side has fewer than two."""
    import numpy as np

    up, down = np.sort(scores[positive]), np.sort(scores[~positive])
    if min(len(up), len(down)) < 2:
        return None
    shares = np.empty(len(scores))
    shares[positive] = _below(down, scores[positive])
    shares[~positive] = 1 - _below(up, scores[~positive])
    area = float(shares[positive].mean())
    sides = np.where(positive, len(up), len(down))
    return area, (sides * area - shares) / (sides - 1)


def _below(others: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """The share of others that each score is above; of equal ones the half."""
    import numpy as np

    left, right = np.searchsorted(others, scores, "left"), np.searchsorted(others, scores, "right")
    return np.asarray((left + right) / (2 * len(others)))
