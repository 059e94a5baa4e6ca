"""Optuna's distributions as Keras Tuner's hyperparameters, in plain values that travel to the process of its oracle.

Whatever has finitely many even values goes by position: a Keras Tuner ``Choice`` has one type and no None, and its
floats with a step never reach the upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.strategies.distributions import count, position, value_at
from hpsearch.strategies.oracle_questions import Dimension

__all__ = ["TunerSpace"]


@dataclass
class TunerSpace:
    """The choices that trials were asked for, in the order in which they were met.

    Args:
        distributions: What may be drawn, by the name in the record.
    """

    distributions: dict[str, BaseDistribution]

    def dimensions(self) -> tuple[Dimension, ...]:
        """The choices as Keras Tuner is told of them; not those that have one value only."""
        return tuple(_dimension(name, known) for name, known in self.distributions.items() if not known.single())

    def told(self, params: dict[str, Any]) -> dict[str, float]:
        """The values of a trial as Keras Tuner knows them; those are left out that its space does not hold.

        Args:
            params: The values as Optuna recorded them.
        """
        values = {}
        for name, value in params.items():
            known = self.distributions.get(name)
            if known is not None and not known.single():
                values[name] = position(known, value) if _by_position(known) else value
        return values

    def proposed(self, values: dict[str, float]) -> dict[str, Any]:
        """What Keras Tuner proposes as Optuna records it.

        Args:
            values: By name, as Keras Tuner knows them.
        """
        return {name: _drawn(self.distributions[name], value) for name, value in values.items()}


def _by_position(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return True
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # the record holds no other kind
    return distribution.step is not None and not distribution.log


def _dimension(name: str, distribution: BaseDistribution) -> Dimension:
    if _by_position(distribution):
        return Dimension(
            name, 0, int(count(distribution)) - 1, ordered=not isinstance(distribution, CategoricalDistribution)
        )
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # the others go by position
    return Dimension(name, distribution.low, distribution.high, log=distribution.log)


def _drawn(distribution: BaseDistribution, value: float) -> Any:
    if _by_position(distribution):
        return value_at(distribution, min(max(int(value), 0), int(count(distribution)) - 1))
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # the others go by position
    # Keras Tuner may draw one beyond the largest whole number.
    inside = min(max(value, distribution.low), distribution.high)
    return int(inside) if isinstance(distribution, IntDistribution) else float(inside)
