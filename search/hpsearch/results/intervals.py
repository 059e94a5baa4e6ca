"""How sure a score on some rows is: intervals that hold the score on all rows of the same kind 95 times in 100."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpsearch.noise import auc_error

__all__ = ["Bounds", "apart", "interval", "wilson"]

Bounds = tuple[float, float]

_Z = 1.96


def wilson(correct: int, total: int, z: float = _Z) -> Bounds:
    """The score interval of a proportion.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    Args:
        correct: How many answers were right.
        total: How many there were; above 0.
        z: The quantile of the normal distribution; 1.96 gives 95 %.

    Returns:
        Lower and upper bound, from 0 to 1.
    """
    share = correct / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (centre - spread) / scale, (centre + spread) / scale


def interval(metric: str, scores: Mapping[str, float], rows: int) -> Bounds | None:
    """The interval of a metric; None where none is known that holds.

    Of two classes, precision and recall are proportions, of the answers and of the rows that are of the second class.
    F1 follows from one: with F* = TP / (TP + FP + FN), which is a proportion, it is 2 F* / (1 + F*); Lam, Gopal & Qian,
    "Confidence Intervals for the F1 Score: A Comparison of Four Methods", 2023, where this is called Wilson indirect.
    The area under the ROC curve takes the standard error of Hanley & McNeil, see `hpsearch.noise`; an area of 1 has
    none. A mean of losses, or of absolute errors, takes its standard error. The mean of a metric over more than two
    classes, the root of a mean square and r2 have none here.

    Args:
        metric: Without ``val_``.
        scores: What the test part gave, as `hpsearch.training.scoring` says it.
        rows: How many rows that part has.
    """
    if metric == "accuracy" and "correct" in scores and rows > 0:
        return wilson(int(scores["correct"]), rows)
    if metric in ("loss", "mae") and f"{metric}_error" in scores:
        spread = _Z * scores[f"{metric}_error"]
        return max(scores[metric] - spread, 0.0), scores[metric] + spread
    if "told" not in scores:
        return None
    right, told, answered = (int(scores[name]) for name in ("right", "told", "answered"))
    if metric == "auc":
        return _area(scores["auc"], told, rows - told)
    if metric == "f1":
        return _f1(right, told + answered - right)
    total = {"precision": answered, "recall": told}.get(metric, 0)
    return wilson(right, total) if total else None


def _area(auc: float, positives: int, negatives: int) -> Bounds | None:
    spread = _Z * auc_error(auc, positives, negatives) if positives and negatives else 0.0
    return (max(auc - spread, 0.0), min(auc + spread, 1.0)) if spread else None


def _f1(right: int, either: int) -> Bounds | None:
    """Of the rows that are of a class or are taken for it, so many are right."""
    if not either:
        return None
    low, high = (2 * share / (1 + share) for share in wilson(right, either))
    return low, high


def apart(first: float, first_bounds: Bounds, second: float, second_bounds: Bounds) -> Bounds:
    """The interval of the difference ``first - second`` of two scores, from the interval of each.

    Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven methods",
    Statistics in Medicine 1998, method 10. It takes the two for independent; two networks that are measured on the same
    rows mostly err on the same ones, so that the interval is rather too wide than too narrow.

    Args:
        first: One score.
        first_bounds: Its interval.
        second: The other.
        second_bounds: Its interval.
    """
    difference = first - second
    below = math.hypot(first - first_bounds[0], second_bounds[1] - second)
    above = math.hypot(first_bounds[1] - first, second - second_bounds[0])
    return difference - below, difference + above
