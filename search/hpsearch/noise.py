"""Sampling noise: by how much a score would differ on other rows of the same kind, where the score alone tells."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["auc_error", "share_error", "standard_error"]


def share_error(share: float, rows: int) -> float:
    """The standard error of a share of rows, such as an accuracy: sqrt(p (1 - p) / n), as of any binomial proportion.

    Args:
        share: From 0 to 1.
        rows: How many it is a share of.
    """
    share = min(max(share, 0.0), 1.0)
    return math.sqrt(share * (1 - share) / max(rows, 1))


def auc_error(auc: float, positives: int, negatives: int) -> float:
    """The standard error of an area under the ROC curve.

    Hanley & McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve", Radiology
    1982, equations 1 and 2, with the probabilities Q1 and Q2 as a negative exponential model has them.

    Args:
        auc: The area, from 0 to 1.
        positives: How many rows are of the class that is told.
        negatives: How many are not.
    """
    area = min(max(auc, 0.0), 1.0)
    twice_right, twice_beaten = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (positives - 1) * (twice_right - area**2) + (negatives - 1) * (twice_beaten - area**2)
    ) / max(positives * negatives, 1)
    return math.sqrt(max(variance, 0.0))


def standard_error(metric: str, score: float, classes: Sequence[int]) -> float | None:
    """The standard error of a score; None where the score and the numbers of rows do not tell.

    They tell it of an accuracy, and of two classes of the recall (a share of the rows of the second class) and of the
    area under the ROC curve. What a precision or an F1 is a share of depends on the answers; the mean of several
    classes hides how they differ; a loss and an error of amounts have a spread that no mean says.

    Args:
        metric: With or without ``val_``.
        score: Its value.
        classes: How many rows of each class it was measured on; none where amounts are told.
    """
    name = metric.removeprefix("val_")
    rows = sum(classes, start=0)
    if name == "accuracy" and rows:
        return share_error(score, rows)
    if len(classes) == 2 and all(classes):
        negatives, positives = classes
        if name == "auc":
            return auc_error(score, positives, negatives)
        if name == "recall":
            return share_error(score, positives)
    return None
