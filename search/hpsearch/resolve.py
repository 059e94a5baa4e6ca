"""From a space and answers to a concrete recipe, and from a recipe back to the answers that give it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hpsearch.addresses import Parameter, dimensions, inside, leaf, size
from hpsearch.declare import Declared, brief, is_declared, source, walk_fields
from hpsearch.domains import Between, Domain, OneOf, Repeat, Scalar, Tied
from hpsearch.errors import SpaceError, join_address
from hpsearch.recipe import HyperModel

__all__ = [
    "Answers",
    "Suggest",
    "answers_of",
    "differences",
    "dimensions",
    "from_answers",
    "has_domains",
    "resolve",
    "size",
]

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

    Raises:
        SpaceError: A user's own dataclass refuses what was chosen for it.
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
        return self._object(tree, address) if has_domains(tree) else tree

    def _object(self, tree: Any, address: str) -> Any:
        parts = {name: self.value(part, join_address(address, name)) for name, part, _ in walk_fields(tree)}
        try:
            return dataclasses.replace(tree, **parts)
        except Exception as error:
            if isinstance(tree, Declared):
                raise
            problem = f"{type(tree).__name__} refuses its options: {type(error).__name__}: {error}"
            raise SpaceError(problem, address) from error


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
            if not isinstance(answer, int | float) or answer not in domain:
                raise SpaceError(f"got {brief(answer)}; allowed: {domain.allowed}.", parameter.name)
            return domain.written(answer)
        if not any(type(label) is type(answer) and label == answer for label in domain.labels):
            raise SpaceError(f"got {brief(answer)}; allowed: {_listed(domain.labels)}.", parameter.name)
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

    Where options overlap, the first that gives the recipe is answered. What a ``HyperModel`` of the recipe says is
    answered under the names that its ``build`` asks by, which a resolution does not ask for.

    Args:
        tree: The recipe with domains.
        recipe: A recipe without any, in any spelling.
        address: Where the two stand.

    Raises:
        SpaceError: The recipe is not a point of the space; the address and the sentence say where it leaves it.
    """
    matcher = _Matcher()
    for way in matcher.ways(tree, recipe, address, _Way({}, {})):
        return way.answers
    raise matcher.failure or SpaceError("is not a point of the space.", address)


def differences(tree: Any, recipe: Any, most: int) -> list[SpaceError]:
    """Where a recipe leaves a space: each place with its sentence, none of them raised.

    Args:
        tree: The recipe with domains.
        recipe: A recipe without any, in any spelling.
        most: After how many places to stop looking.
    """
    found: dict[str, SpaceError] = {}
    while len(found) < most:
        # A place that was found is passed over, so that the next one shows.
        matcher = _Matcher(found.keys())
        if any(True for _ in matcher.ways(tree, recipe, "", _Way({}, {}))) or matcher.failure is None:
            break
        found[matcher.failure.address] = matcher.failure
    return list(found.values())


@dataclass(frozen=True)
class _Way:
    """Answers that give what was compared so far.

    Args:
        answers: The answers.
        tied: The value of each tied choice met, and the answers that give it.
    """

    answers: Answers
    tied: dict[str, tuple[Any, Answers]]

    def and_answer(self, address: str, answer: Scalar) -> _Way:
        return _Way({**self.answers, address: answer}, self.tied)


class _Matcher:
    """Compares a tree with a value; every way in which they agree is yielded, so that a later part may prefer another.

    Only what is tied links one part to another: of several ways with the same tied answers the first is enough. The
    first disagreement is kept as what to say when there is no way at all.

    Args:
        passed: Addresses at which a disagreement is passed over.
    """

    def __init__(self, passed: Collection[str] = ()) -> None:
        self.passed = passed
        self.failure: SpaceError | None = None

    def ways(self, tree: Any, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        if isinstance(tree, Tied):
            return self._tied(tree, value, address, way)
        if isinstance(tree, OneOf):
            return self._one_of(tree, value, address, way)
        if isinstance(tree, Between):
            return self._between(tree, value, address, way)
        if isinstance(tree, Repeat):
            return self._repeat(tree, value, address, way)
        if isinstance(tree, tuple | list):
            return self._list(tuple(tree), value, address, way)
        if isinstance(tree, HyperModel):
            return self._hypermodel(tree, value, address, way)
        if is_declared(tree):
            return self._declared(tree, value, address, way)
        return self._fixed(tree, value, address, way)

    def _refuse(self, problem: str, address: str, way: _Way) -> Iterator[_Way]:
        """No way, unless the disagreement is passed over."""
        if address in self.passed:
            yield way
        elif self.failure is None:
            self.failure = SpaceError(problem, address)

    def _set_aside(self) -> SpaceError | None:
        """The failure kept so far, which makes room for another."""
        failure, self.failure = self.failure, None
        return failure

    def _fixed(self, tree: Any, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        if _same(tree, value):
            yield way
        else:
            yield from self._refuse(f"got {brief(value)}; the space fixes it at {brief(tree)}.", address, way)

    def _between(self, tree: Between, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        if value in tree:
            yield way.and_answer(address, tree.written(value))
        else:
            yield from self._refuse(f"got {brief(value)}; the space allows {tree.allowed}.", address, way)

    def _tied(self, tree: Tied, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        known = way.tied.get(tree.name)
        for found in self.ways(tree.domain, value, f"tied.{tree.name}", _Way({}, way.tied)):
            if known is None:
                yield _Way({**way.answers, **found.answers}, {**found.tied, tree.name: (value, found.answers)})
            elif known[1] == found.answers:
                yield way
            else:
                elsewhere = f"it is tied to {brief(tree.name)}, which is {brief(known[0])} elsewhere."
                yield from self._refuse(f"got {brief(value)}; {elsewhere}", address, way)

    def _one_of(self, tree: OneOf, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        before = self._set_aside()
        near: list[SpaceError] = []
        matched: list[dict[str, tuple[Any, Answers]]] = []
        for label, option in tree.items():
            for found in self.ways(option, value, inside(tree, label, address), way.and_answer(address, label)):
                if found.tied in matched:
                    continue
                matched.append(found.tied)
                # What fails while this way is followed fails elsewhere, and is kept.
                self.failure = before
                yield found
                before = self._set_aside()
            failure = self._set_aside()
            if failure is not None and type(option) is type(value) and is_declared(option):
                near.append(failure)
        self.failure = before
        if near and not matched:
            deepest = max(near, key=lambda failure: len(failure.address))
            yield from self._refuse(deepest.problem, deepest.address, way)
        elif not matched:
            yield from self._refuse(f"got {_short(value)}; the space allows {_listed(tree.labels)}.", address, way)

    def _repeat(self, tree: Repeat, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        if not isinstance(value, tuple | list):
            yield from self._refuse(f"got {_short(value)}; the space has a list here.", address, way)
            return
        if not isinstance(tree.count, Domain) and tree.count != len(value):
            yield from self._refuse(f"has {len(value)} elements; the space fixes it at {tree.count}.", address, way)
            return
        before = self._set_aside()
        counted = list(self.ways(tree.count, len(value), address, way))
        reason, self.failure = self.failure, before
        if not counted and reason is not None:
            yield from self._refuse(f"has {len(value)} elements: {reason.problem}", address, way)
        parts = [(tree.element, part, f"{address}[{index}]") for index, part in enumerate(value)]
        for start in counted:
            yield from self._all(parts, start)

    def _list(self, trees: tuple[Any, ...], value: Any, address: str, way: _Way) -> Iterator[_Way]:
        if not isinstance(value, tuple | list):
            yield from self._refuse(f"got {_short(value)}; the space has a list here.", address, way)
            return
        if len(trees) != len(value):
            yield from self._refuse(f"has {len(value)} elements; the space fixes it at {len(trees)}.", address, way)
            return
        pairs = enumerate(zip(trees, value, strict=True))
        yield from self._all([(tree, value, f"{address}[{index}]") for index, (tree, value) in pairs], way)

    def _hypermodel(self, tree: HyperModel, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        # Objects that are made by the same call build the same.
        if not isinstance(value, HyperModel) or source(HyperModel(value.build)) != source(HyperModel(tree.build)):
            yield from self._refuse(f"got {_short(value)}; the space builds with {_short(tree)}.", address, way)
            return
        given = {join_address(address, name): chosen for name, chosen in (value.values or {}).items()}
        fields = [
            (part, getattr(value, name), join_address(address, name))
            for name, part, _ in walk_fields(tree)
            if name not in ("build", "values")
        ]
        yield from self._all(fields, _Way({**way.answers, **given}, way.tied))

    def _declared(self, tree: Any, value: Any, address: str, way: _Way) -> Iterator[_Way]:
        value = value.alike(tree) if isinstance(value, Declared) else value
        if type(value) is not type(tree):
            yield from self._refuse(f"got {_short(value)}; the space allows {type(tree).__name__}.", address, way)
            return
        matched: list[dict[str, tuple[Any, Answers]]] = []
        for like, said in value.respelled(tree) if isinstance(value, Declared) else [(tree, value)]:
            parts = [(part, getattr(said, name), join_address(address, name)) for name, part, _ in walk_fields(like)]
            for found in self._all(parts, way):
                if found.tied not in matched:
                    matched.append(found.tied)
                    yield found

    def _all(self, parts: list[tuple[Any, Any, str]], way: _Way) -> Iterator[_Way]:
        """The ways in which all of some parts agree: tree, value and address of each."""
        if not parts:
            yield way
            return
        tree, value, address = parts[0]
        for found in self.ways(tree, value, address, way):
            yield from self._all(parts[1:], found)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float | int) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


def _short(value: Any) -> str:
    """A value in a few words: objects by their class."""
    return type(value).__name__ if is_declared(value) else brief(value)
