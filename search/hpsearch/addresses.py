"""Names of the choices of a space: the path to where a domain stands, such as ``model.body.stages[1].filters[0]``.

Where two options of one choice hold a domain at the same path (the learning rates of two optimizers), or where an option
is a domain itself, the option's label is part of the name: ``training.optimizer(Adam).learning_rate``. Tied choices are
called ``tied.<name>``, wherever they stand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from hpsearch.declare import is_declared, walk_fields
from hpsearch.domains import Between, Domain, OneOf, Repeat, Scalar, Tied
from hpsearch.errors import join_address

__all__ = ["Choices", "Parameter", "inside", "leaf"]


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
