"""How sure a score on some rows is: intervals that hold the score on all rows of the same kind 95 times in 100."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["Bounds", "apart", "interval", "wilson"]

Bounds = tuple[float, float]


def wilson(correct: int, total: int, z: float = 1.96) -> Bounds:
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

    Args:
        metric: Without ``val_``.
        scores: What was measured; of an accuracy, ``correct`` is how many answers were right.
        rows: How many rows it was measured on.
    """
    if metric == "accuracy" and "correct" in scores and rows > 0:
        return wilson(int(scores["correct"]), rows)
    return None


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
