"""Choices as Optuna's distributions, and back; all values of a distribution by position.

A parameter carries the name of its choice; one whose values are ascending numbers (64, 128, 256) is proposed by
position, under the name ``<choice>#position``, because Optuna knows no uneven scale.
"""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar

__all__ = ["answer", "count", "distribution_of", "internal_name", "internal_value", "offered", "position", "value_at"]

_POSITION = "#position"


def distribution_of(domain: Choices | Between) -> BaseDistribution:
    """What Optuna draws from.

    Args:
        domain: What may be answered.
    """
    if isinstance(domain, Choices):
        if domain.ordinal:
            return IntDistribution(0, len(domain.labels) - 1)
        return CategoricalDistribution(_told_apart(domain.labels))
    # Where the steps do not end at the upper bound, Optuna wants to be told where they end.
    high = domain.snapped(domain.high)
    if domain.whole:
        return IntDistribution(int(domain.low), int(high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, high, log=domain.log, step=domain.step)


def _told_apart(labels: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """The labels; as text where Optuna would take two of them (1 and True, 1 and 1.0) for one."""
    return labels if len(set(labels)) == len(labels) else tuple(repr(label) for label in labels)


def internal_name(parameter: Parameter) -> str:
    """The name under which Optuna records a choice.

    Args:
        parameter: The choice.
    """
    ordinal = isinstance(parameter.domain, Choices) and parameter.domain.ordinal
    return parameter.name + _POSITION if ordinal else parameter.name


def internal_value(domain: Choices | Between, value: Scalar) -> Scalar:
    """What Optuna records for an answer.

    Args:
        domain: What may be answered.
        value: The answer.
    """
    if isinstance(domain, Between):
        return value
    at = next(i for i, label in enumerate(domain.labels) if type(label) is type(value) and label == value)
    return at if domain.ordinal else _told_apart(domain.labels)[at]


def answer(domain: Choices | Between, value: Any) -> Scalar:
    """The answer that Optuna recorded.

    Args:
        domain: What may be answered.
        value: What Optuna recorded.
    """
    if isinstance(domain, Between):
        return domain.snapped(value)
    return domain.labels[value if domain.ordinal else _told_apart(domain.labels).index(value)]


def offered(distribution: BaseDistribution) -> str:
    """What a distribution offers, in few words.

    Args:
        distribution: One that `distribution_of` made.
    """
    if isinstance(distribution, CategoricalDistribution):
        return f"{list(distribution.choices)}"
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # distribution_of makes no other kind
    return f"[{distribution.low} to {distribution.high}{', log' if distribution.log else ''}]"


def count(distribution: BaseDistribution) -> float:
    """How many values a distribution has; infinite where it is continuous.

    Args:
        distribution: One that `distribution_of` made.
    """
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # distribution_of makes no other kind
    if distribution.step is None:
        return 1 if distribution.single() else math.inf
    return round((distribution.high - distribution.low) / distribution.step) + 1


def position(distribution: BaseDistribution, value: Any) -> int:
    """The position of a value among all values of a distribution, from 0.

    Args:
        distribution: One of finitely many values.
        value: One of its values.
    """
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # distribution_of makes no other kind
    at: int = round((value - distribution.low) / (distribution.step or 1))
    return at


def value_at(distribution: BaseDistribution, at: int) -> Any:
    """The value at a position.

    Args:
        distribution: One of finitely many values.
        at: The position, from 0.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[at]
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # distribution_of makes no other kind
    if isinstance(distribution, IntDistribution):
        return distribution.low + at * distribution.step
    return min(distribution.low + at * (distribution.step or 0.0), distribution.high)
