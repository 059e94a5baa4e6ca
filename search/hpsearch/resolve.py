"""From a space and answers to a concrete recipe, and from a recipe back to the answers that give it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hpsearch.addresses import Parameter, inside, leaf
from hpsearch.declare import Declared, is_declared, source, walk_fields
from hpsearch.domains import Between, Domain, OneOf, Repeat, Scalar, Tied
from hpsearch.errors import SpaceError, join_address
from hpsearch.recipe import HyperModel

__all__ = ["Answers", "Suggest", "answers_of", "dimensions", "from_answers", "has_domains", "resolve", "size"]

T = TypeVar("T")
Answers = dict[str, Scalar]
Suggest = Callable[[Parameter], Scalar]
"""Makes one choice: gets the parameter, returns a label of its choices or a number of its range."""


def resolve(tree: T, suggest: Suggest, address: str = "") -> T:
    """Replace every domain by a choice; choices below an option that is not taken are never asked for.

    Args:
        tree: A recipe, or a part of one, with domains.
        suggest: Makes the choices, in the order of the fields.
        address: Where the tree stands.
    """
    return _Resolver(suggest).value(tree, address)  # type: ignore[no-any-return]  # same class, domains filled in


class _Resolver:
    def __init__(self, suggest: Suggest) -> None:
        self.suggest = suggest
        self.tied: dict[str, Any] = {}

    def value(self, tree: Any, address: str) -> Any:
        if isinstance(tree, Tied):
            if tree.name not in self.tied:
                self.tied[tree.name] = self.value(tree.domain, f"tied.{tree.name}")
            return self.tied[tree.name]
        if isinstance(tree, OneOf):
            label = self.suggest(leaf(address, tree))
            return self.value(tree.chosen(label), inside(tree, label, address))
        if isinstance(tree, Between):
            return self.suggest(leaf(address, tree))
        if isinstance(tree, Repeat):
            count = self.value(tree.count, address)
            return tuple(self.value(tree.element, f"{address}[{index}]") for index in range(count))
        if isinstance(tree, tuple | list):
            return tuple(self.value(part, f"{address}[{index}]") for index, part in enumerate(tree))
        if is_declared(tree):
            parts = {name: self.value(part, join_address(address, name)) for name, part, _ in walk_fields(tree)}
            return dataclasses.replace(tree, **parts)
        return tree


def from_answers(answers: Mapping[str, Scalar]) -> Suggest:
    """A suggest that looks every choice up.

    Args:
        answers: A value for each choice, by name.

    Raises:
        SpaceError: (when called) a choice has no answer, or one that its domain does not hold.
    """

    def suggest(parameter: Parameter) -> Scalar:
        if parameter.name not in answers:
            raise SpaceError("has no answer; the answers belong to another space.", parameter.name)
        answer = answers[parameter.name]
        domain = parameter.domain
        if isinstance(domain, Between):
            if answer not in domain:
                raise SpaceError(f"got {source(answer)}; allowed: {domain.allowed}.", parameter.name)
        elif not any(type(label) is type(answer) and label == answer for label in domain.labels):
            raise SpaceError(f"got {source(answer)}; allowed: {_listed(domain.labels)}.", parameter.name)
        return answer

    return suggest


def _listed(labels: tuple[Scalar, ...]) -> str:
    words = [str(label) if isinstance(label, str) else source(label) for label in labels]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def has_domains(tree: Any) -> bool:
    """Whether anything is still to be chosen in a tree."""
    if isinstance(tree, Domain):
        return True
    if isinstance(tree, tuple | list):
        return any(has_domains(part) for part in tree)
    return is_declared(tree) and any(has_domains(part) for _, part, _ in walk_fields(tree))


def answers_of(tree: Any, recipe: Any, address: str = "") -> Answers:
    """The answers with which a space gives a recipe.

    Args:
        tree: The recipe with domains.
        recipe: A recipe without any, in any spelling.
        address: Where the two stand.

    Raises:
        SpaceError: The recipe is not a point of the space; the address and the sentence say where it leaves it.
    """
    answers: Answers = {}
    _Matcher(answers, {}).match(tree, recipe, address)
    return answers


class _Matcher:
    def __init__(self, answers: Answers, tied: dict[str, Any]) -> None:
        self.answers = answers
        self.tied = tied

    def match(self, tree: Any, value: Any, address: str) -> None:
        if isinstance(tree, Tied):
            self._match_tied(tree, value, address)
        elif isinstance(tree, OneOf):
            self._match_one_of(tree, value, address)
        elif isinstance(tree, Between):
            if value not in tree:
                raise SpaceError(f"got {source(value)}; the space allows {tree.allowed}.", address)
            self.answers[address] = value
        elif isinstance(tree, Repeat):
            self._match_repeat(tree, value, address)
        elif isinstance(tree, tuple | list):
            self._match_list(tuple(tree), _as_tuple(value), address)
        elif isinstance(tree, HyperModel):
            self._match_hypermodel(tree, value, address)
        elif is_declared(tree):
            self._match_declared(tree, value, address)
        elif not _same(tree, value):
            raise SpaceError(f"got {source(value)}; the space fixes it at {source(tree)}.", address)

    def _match_tied(self, tree: Tied, value: Any, address: str) -> None:
        if tree.name not in self.tied:
            self.tied[tree.name] = value
            self.match(tree.domain, value, f"tied.{tree.name}")
        elif self.tied[tree.name] != value:
            first = source(self.tied[tree.name])
            raise SpaceError(f"got {source(value)}; it is tied to {tree.name!r}, which is {first} elsewhere.", address)

    def _match_one_of(self, tree: OneOf, value: Any, address: str) -> None:
        failures: list[SpaceError] = []
        for label, option in tree.items():
            trial = _Matcher({address: label}, dict(self.tied))
            try:
                trial.match(option, value, inside(tree, label, address))
            except SpaceError as failure:
                if type(option) is type(value) and is_declared(option):
                    failures.append(failure)
                continue
            self.answers.update(trial.answers)
            self.tied.update(trial.tied)
            return
        if failures:
            raise max(failures, key=lambda failure: len(failure.address))
        raise SpaceError(f"got {_short(value)}; the space allows {_listed(tree.labels)}.", address)

    def _match_repeat(self, tree: Repeat, value: Any, address: str) -> None:
        values = _as_tuple(value)
        if isinstance(tree.count, Domain):
            try:
                self.match(tree.count, len(values), address)
            except SpaceError as failure:
                raise SpaceError(f"has {len(values)} elements: {failure.problem}", address) from None
        elif tree.count != len(values):
            raise SpaceError(f"has {len(values)} elements; the space fixes it at {tree.count}.", address)
        for index, part in enumerate(values):
            self.match(tree.element, part, f"{address}[{index}]")

    def _match_list(self, trees: tuple[Any, ...], values: tuple[Any, ...], address: str) -> None:
        if len(trees) != len(values):
            raise SpaceError(f"has {len(values)} elements; the space fixes it at {len(trees)}.", address)
        for index, (tree, value) in enumerate(zip(trees, values, strict=True)):
            self.match(tree, value, f"{address}[{index}]")

    def _match_hypermodel(self, tree: HyperModel, value: Any, address: str) -> None:
        if not isinstance(value, HyperModel) or value.build != tree.build:
            raise SpaceError(f"got {_short(value)}; the space builds with {_short(tree)}.", address)
        for name, chosen in (value.values or {}).items():
            self.answers[join_address(address, name)] = chosen

    def _match_declared(self, tree: Any, value: Any, address: str) -> None:
        if type(value) is not type(tree):
            raise SpaceError(f"got {_short(value)}; the space allows {type(tree).__name__}.", address)
        if isinstance(value, Declared):
            value = value.respelled(tree)
        for name, part, _ in walk_fields(tree):
            self.match(part, getattr(value, name), join_address(address, name))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float | int) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


def _short(value: Any) -> str:
    """A value in a few words: objects by their class."""
    return type(value).__name__ if is_declared(value) else source(value)


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
        counts = _counts(tree.count)
        return _dimensions(tree.count, tied) + sum(_dimensions(tree.element, tied) for _ in range(max(counts)))
    if isinstance(tree, tuple | list):
        return sum(_dimensions(part, tied) for part in tree)
    if is_declared(tree):
        return sum(_dimensions(part, tied) for _, part, _ in walk_fields(tree))
    return 0


def size(tree: Any) -> float:
    """How many different sets of answers there are; infinite with a continuous range."""
    return _size(tree, set())


def _size(tree: Any, tied: set[str]) -> float:
    if isinstance(tree, Tied):
        if tree.name in tied:
            return 1
        tied.add(tree.name)
        return _size(tree.domain, tied)
    if isinstance(tree, Between):
        return tree.count
    if isinstance(tree, OneOf):
        return sum(_size(option, tied) for option in tree.options)
    if isinstance(tree, Repeat):
        return sum(_size(tree.element, tied) ** count for count in _counts(tree.count))
    if isinstance(tree, tuple | list):
        return math.prod(_size(part, tied) for part in tree)
    if is_declared(tree):
        return math.prod(_size(part, tied) for _, part, _ in walk_fields(tree))
    return 1


def _counts(count: Any) -> list[int]:
    """Every length a repeat may have."""
    if isinstance(count, Tied):
        return _counts(count.domain)
    if isinstance(count, Between):
        return list(range(int(count.low), int(count.high) + 1, int(count.step or 1)))
    if isinstance(count, OneOf):
        return [int(option) for option in count.options]
    return [int(count)]
