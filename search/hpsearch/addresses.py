"""The choices of a space: how they are called and how many there are.

A choice is called by the path to where its domain stands, such as ``model.body.stages[1].filters[0]``. Where two
options of one choice hold a domain at the same path (the learning rates of two optimizers), or where an option is a
domain itself, the option's label is part of the name: ``training.optimizer(Adam).learning_rate``. Tied choices are
called ``tied.<name>``, wherever they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hpsearch.declare import is_declared, walk_fields
from hpsearch.domains import Between, Domain, OneOf, Repeat, Scalar, Tied
from hpsearch.errors import join_address

__all__ = ["Choices", "Parameter", "dimensions", "inside", "leaf", "size"]


@dataclass(frozen=True)
class Choices:
    """The labels of a ``one_of`` without its options, so that it can travel between processes.

    Args:
        labels: What an answer may be.
        ordinal: Whether the labels are ascending numbers.
    """

    labels: tuple[Scalar, ...]
    ordinal: bool = False


@dataclass(frozen=True)
class Parameter:
    """One choice that a strategy is asked to make.

    Args:
        name: Its name, unique within the space.
        domain: What may be answered.
    """

    name: str
    domain: Choices | Between


def leaf(name: str, domain: OneOf | Between) -> Parameter:
    """The parameter of a domain.

    Args:
        name: The name of the parameter.
        domain: The domain as declared.
    """
    if isinstance(domain, OneOf):
        return Parameter(name, Choices(domain.labels, domain.ordinal))
    return Parameter(name, domain)


def inside(choice: OneOf, label: Scalar, address: str) -> str:
    """The address under which the choices within one option are named.

    Args:
        choice: The choice among options.
        label: The option.
        address: The address of the choice.
    """
    names = Counter(name for option in choice.options for name in _names(option))
    clash = any(isinstance(option, Domain) for option in choice.options) or any(n > 1 for n in names.values())
    return join_address(address, f"({label})") if clash else address


def _names(tree: Any) -> set[str]:
    """The paths of the choices in a tree, relative to it; all elements of a repeat are one."""
    if isinstance(tree, Tied) or not (isinstance(tree, Domain | tuple | list) or is_declared(tree)):
        return set()
    if isinstance(tree, Between):
        return {""}
    if isinstance(tree, OneOf):
        return {""}.union(*(_names(option) for option in tree.options))
    if isinstance(tree, Repeat):
        return _names(tree.count) | {join_address("[*]", name) for name in _names(tree.element)}
    if isinstance(tree, tuple | list):
        return {join_address("[*]", name) for part in tree for name in _names(part)}
    return {join_address(field, name) for field, value, _ in walk_fields(tree) for name in _names(value)}


def dimensions(tree: Any) -> int:
    """How many choices there are at the most, each element of the longest repeat counted."""
    return _dimensions(tree, set())


def _dimensions(tree: Any, tied: set[str]) -> int:
    if isinstance(tree, Tied):
        if tree.name in tied:
            return 0
        tied.add(tree.name)
        return _dimensions(tree.domain, tied)
    if isinstance(tree, Between):
        return 1
    if isinstance(tree, OneOf):
        return 1 + sum(_dimensions(option, tied) for option in tree.options)
    if isinstance(tree, Repeat):
        longest = max(_counts(tree.count))[0]
        return _dimensions(tree.count, tied) + sum(_dimensions(tree.element, tied) for _ in range(longest))
    if isinstance(tree, tuple | list):
        return sum(_dimensions(part, tied) for part in tree)
    if is_declared(tree):
        return sum(_dimensions(part, tied) for _, part, _ in walk_fields(tree))
    return 0


def size(tree: Any) -> float:
    """How many different sets of answers there are; infinite with a continuous range."""
    sizes = _Sizes()
    return sum(number * sizes.of_tied(met) for met, number in sizes.of(tree).items())


_Met = frozenset[tuple[str, Scalar]]
"""The tied choices that a part of the space asks for, each with its answer where that matters, else None."""


class _Sizes:
    """Counts answers. What is tied is asked once wherever it stands, so it is set apart and counted at the end."""

    def __init__(self) -> None:
        self.domains: dict[str, Any] = {}

    def of(self, tree: Any) -> dict[_Met, float]:
        """How many sets of answers there are for each set of tied choices met, those of the tied not counted."""
        if isinstance(tree, Tied):
            self.domains[tree.name] = tree.domain
            return {frozenset({(tree.name, None)}): 1}
        if isinstance(tree, Between):
            return {frozenset(): tree.count}
        if isinstance(tree, OneOf):
            return _sum(self.of(option) for option in tree.options)
        if isinstance(tree, Repeat):
            return self._of_repeat(tree)
        if isinstance(tree, tuple | list):
            return _product(self.of(part) for part in tree)
        if is_declared(tree):
            return _product(self.of(part) for _, part, _ in walk_fields(tree))
        return {frozenset(): 1}

    def _of_repeat(self, tree: Repeat) -> dict[_Met, float]:
        element = self.of(tree.element)
        if isinstance(tree.count, Tied):
            self.domains[tree.count.name] = tree.count.domain
        name = tree.count.name if isinstance(tree.count, Tied) else None
        return _sum(
            _product([{frozenset({(name, label)} if name else ()): 1}, *[element] * count])
            for count, label in _counts(tree.count)
        )

    def of_tied(self, met: _Met, counted: frozenset[str] = frozenset()) -> float:
        """How many sets of answers the tied choices that were met have together."""
        left = sorted((pair for pair in met if pair[0] not in counted), key=str)
        if not left:
            return 1
        name, label = left[0]
        counted |= {name}
        if label is not None:
            return self.of_tied(met, counted)
        ways = ((_both(met, more), number) for more, number in self.of(self.domains[name]).items())
        return sum(number * self.of_tied(both, counted) for both, number in ways if both is not None)


def _both(left: _Met, right: _Met) -> _Met | None:
    """What is met when both are; None where they answer a tied choice differently."""
    answered: dict[str, Scalar] = {}
    for name, label in left | right:
        if label is not None and answered.setdefault(name, label) != label:
            return None
    return frozenset((name, answered.get(name)) for name, _ in left | right)


def _sum(parts: Iterable[dict[_Met, float]]) -> dict[_Met, float]:
    """The answers of options, one of which is taken."""
    total: dict[_Met, float] = {}
    for part in parts:
        for met, number in part.items():
            total[met] = total.get(met, 0) + number
    return total


def _product(parts: Iterable[dict[_Met, float]]) -> dict[_Met, float]:
    """The answers of parts, all of which are there."""
    total: dict[_Met, float] = {frozenset(): 1}
    for part in parts:
        products = ((_both(left, right), m * n) for left, m in total.items() for right, n in part.items())
        total = _sum({met: number} for met, number in products if met is not None)
    return total


def _counts(count: Any) -> list[tuple[int, Scalar]]:
    """Every length a repeat may have, with the answer that gives it."""
    if isinstance(count, Tied):
        return _counts(count.domain)
    if isinstance(count, Between):
        return [(n, n) for n in range(int(count.low), int(count.high) + 1, int(count.step or 1))]
    if isinstance(count, OneOf):
        return [(int(option), label) for label, option in count.items()]
    return [(int(count), None)]
