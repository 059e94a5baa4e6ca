"""Rules: what an option allows, and the sentence about a value that it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hpsearch.declare.source import brief, source

__all__ = [
    "Anything",
    "Choice",
    "Either",
    "Flag",
    "Instance",
    "Many",
    "Maybe",
    "Number",
    "Rule",
    "Text",
    "Whole",
    "problem_with",
]


class Rule(Protocol):
    """What an option allows."""

    @property
    def allowed(self) -> str:
        """The allowed values in words, as the end of the sentence "allowed: ..."."""
        ...

    def accepts(self, value: object) -> bool:
        """Whether a concrete value (no domain) is allowed; elements of sequences are asked about one by one."""
        ...


@dataclass(frozen=True)
class Anything:
    """Every value is allowed."""

    allowed: str = "anything"

    def accepts(self, value: object) -> bool:
        return True


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds (both included)."""

    at_least: int
    at_most: int | None = None

    @property
    def allowed(self) -> str:
        if self.at_most is None:
            return f"a whole number of {self.at_least} or more"
        return f"a whole number from {self.at_least} to {self.at_most}"

    def accepts(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return value >= self.at_least and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Number:
    """A finite number within bounds; ``above`` and ``below`` exclude the bound itself."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def allowed(self) -> str:
        bounds = (
            (self.at_least, "of at least"),
            (self.above, "above"),
            (self.at_most, "at most"),
            (self.below, "below"),
        )
        said = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
        return " ".join(["a number", " and ".join(said)]).strip()

    def accepts(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few named values; the type counts, so ``True`` is not ``1``."""

    values: tuple[object, ...]

    def __init__(self, *values: object) -> None:
        object.__setattr__(self, "values", values)

    @property
    def allowed(self) -> str:
        return _or([source(value) for value in self.values])

    def accepts(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)


@dataclass(frozen=True)
class Text:
    """A string that is not empty."""

    allowed: str = "a text"

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and bool(value)


@dataclass(frozen=True)
class Flag:
    """True or False."""

    allowed: str = "True or False"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)


@dataclass(frozen=True)
class Instance:
    """An object of one of some classes, or one that ``test`` recognises."""

    classes: tuple[type, ...]
    allowed: str
    test: Callable[[object], bool] | None = None

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.classes) or (self.test is not None and self.test(value))


@dataclass(frozen=True)
class Many:
    """A tuple or list, each element of which the inner rule allows."""

    element: Rule
    at_least: int = 0

    @property
    def allowed(self) -> str:
        few = f"{self.at_least} or more" if self.at_least else "any number"
        return f"a list of {few}, each {self.element.allowed}"

    def accepts(self, value: object) -> bool:
        return isinstance(value, tuple | list) and len(value) >= self.at_least


@dataclass(frozen=True, init=False)
class Either:
    """What any of several rules allows."""

    rules: tuple[Rule, ...]

    def __init__(self, *rules: Rule) -> None:
        object.__setattr__(self, "rules", rules)

    @property
    def allowed(self) -> str:
        return _or([rule.allowed for rule in self.rules])

    def accepts(self, value: object) -> bool:
        return any(rule.accepts(value) for rule in self.rules)


def Maybe(rule: Rule) -> Either:  # noqa: N802 - stands beside the rules that are classes
    """None, or what ``rule`` allows."""
    return Either(rule, Choice(None))


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def problem_with(value: object, rule: Rule) -> str | None:
    """The sentence that says why a concrete value is not allowed, or None when it is.

    Args:
        value: A value without domains.
        rule: What the option allows.
    """
    if rule.accepts(value):
        return None
    if isinstance(value, type):
        return f"got the class {value.__name__}; write an object of it, {value.__name__}(...); allowed: {rule.allowed}."
    number = _number_in(value)
    if number is not None and rule.accepts(number):
        return f"got the text {brief(value)}; write {number!r}, without quotes; allowed: {rule.allowed}."
    if _wants_many(rule, value):
        return f"got {brief(value)}; write it as a list, [{brief(value)}]; allowed: {rule.allowed}."
    return f"got {brief(value)}; allowed: {rule.allowed}."


def _wants_many(rule: Rule, value: object) -> bool:
    """Whether a value is allowed as the only element of a list."""
    if isinstance(rule, Either):
        return any(_wants_many(each, value) for each in rule.rules)
    return isinstance(rule, Many) and rule.element.accepts(value)


def _number_in(value: object) -> int | float | None:
    """The number that a text spells."""
    if not isinstance(value, str):
        return None
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return None
