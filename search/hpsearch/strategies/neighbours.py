"""A value near another one, for proposals that change little."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hpsearch.strategies.distributions import count, position, value_at

__all__ = ["neighbour"]

NEAR = 0.2
"""How far a number moves, as a share of its range: the deviation of a normal distribution."""


def neighbour(distribution: BaseDistribution, value: Any, rng: Random) -> Any:
    """Another value, where there is one: a near one of numbers, any of options that are in no order.

    Args:
        distribution: One that ``distribution_of`` made.
        value: One of its values.
        rng: Where the random numbers come from.
    """
    values = count(distribution)
    if values == 1:
        return value
    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice is not value and choice != value]
        return others[rng.randrange(len(others))]
    if isinstance(distribution, FloatDistribution) and math.isinf(values):
        return _moved(distribution, float(value), rng)
    at = position(distribution, value)
    steps = max(1, round(abs(rng.gauss(0.0, 1.0)) * NEAR * (values - 1)))
    ways = [at + step for step in (-steps, steps) if 0 <= at + step < values]
    return value_at(distribution, ways[rng.randrange(len(ways))] if ways else (0 if at else int(values) - 1))


def _moved(distribution: FloatDistribution, value: float, rng: Random) -> float:
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    moved = value + rng.gauss(0.0, 1.0) * NEAR * (high - low)
    if not low <= moved <= high:  # a bound is a good guess, and otherwise hard to hit
        moved = min(max(moved, low), high)
    return min(max(math.exp(moved) if distribution.log else moved, distribution.low), distribution.high)
