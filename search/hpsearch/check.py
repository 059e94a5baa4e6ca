"""Checking what is written in a space file: every option of every object against its rule, with its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.addresses import inside
from hpsearch.declare import (
    Anything,
    Declared,
    Either,
    Many,
    Rule,
    brief,
    is_declared,
    problem_with,
    source,
    walk_fields,
)
from hpsearch.domains import Between, Domain, OneOf, Repeat, Tied
from hpsearch.errors import SpaceError, join_address
from hpsearch.resolve import has_domains

__all__ = ["check"]

_MOST_NAMED = 8


def check(value: Any, rule: Rule, address: str = "", *, together: bool = True) -> None:
    """Check a value, which may hold domains, and everything in it.

    Args:
        value: What was written.
        rule: What is allowed there.
        address: Where it stands.
        together: Whether options that contradict each other are an error too.

    Raises:
        SpaceError: The first thing that is not allowed: address, what it got, what is allowed.
    """
    _Checker(together).check(value, rule, address)


class _Checker:
    def __init__(self, together: bool) -> None:
        self.together = together
        self.tied: dict[str, tuple[Any, str]] = {}

    def check(self, value: Any, rule: Rule, address: str) -> None:
        if isinstance(value, Domain):
            self._domain(value, rule, address)
        elif isinstance(value, tuple | list) and (many := _many(rule)) is not None:
            self._list(value, many, rule, address)
        else:
            problem = problem_with(value, rule)
            if problem:
                raise SpaceError(_meant_as_choice(value, rule) or problem, address)
            if isinstance(value, Mapping | set | frozenset):
                _refuse_hidden(value, address)
            elif is_declared(value):
                self._options(value, address)

    def _domain(self, value: Domain, rule: Rule, address: str) -> None:
        if isinstance(value, Tied):
            self._tied(value, address)
            self.check(value.domain, rule, address)
        elif isinstance(value, OneOf):
            for label, option in value.items():
                self.check(option, rule, inside(value, label, address))
        elif isinstance(value, Between):
            _check_bounds(value, rule, address)
        elif isinstance(value, Repeat):
            self._repeat(value, rule, address)

    def _tied(self, value: Tied, address: str) -> None:
        known, where = self.tied.setdefault(value.name, (value.domain, address))
        if source(known) != source(value.domain):
            raise SpaceError(
                f"got {brief(value)}, but {where} ties {brief(known)} under that name; "
                "write the same domain at both places, or another name.",
                address,
            )

    def _repeat(self, value: Repeat, rule: Rule, address: str) -> None:
        many = _many(rule)
        if many is None:
            raise SpaceError(f"got {brief(value)}, a list; allowed: {rule.allowed}.", address)
        if isinstance(value.count, Tied):
            self._tied(value.count, address)
        fewest = _fewest(value.count)
        if fewest < many.at_least:
            few = "an empty list" if fewest == 0 else f"a list of {fewest}"
            raise SpaceError(f"got {brief(value)}, which may be {few}; allowed: {rule.allowed}.", address)
        self.check(value.element, many.element, f"{address}[*]")

    def _list(self, value: Any, many: Many, rule: Rule, address: str) -> None:
        if len(value) < many.at_least:
            raise SpaceError(f"got {brief(tuple(value))}; allowed: {rule.allowed}.", address)
        for index, part in enumerate(value):
            self.check(part, many.element, f"{address}[{index}]")

    def _options(self, value: Any, address: str) -> None:
        for name, part, rule in walk_fields(value):
            self.check(part, rule, join_address(address, name))
        if self.together and isinstance(value, Declared) and not has_domains(value):
            conflict = value.conflict()
            if conflict:
                name, problem = conflict
                raise SpaceError(problem, join_address(address, name))


def _meant_as_choice(value: object, rule: Rule) -> str | None:
    """The sentence about a list where one of its values is allowed; None for anything else."""
    if not isinstance(value, tuple | list) or len(value) < 2 or not all(map(rule.accepts, value)):
        return None
    if any(part in value[:place] for place, part in enumerate(value)):
        return None  # such as kernel_size=(3, 3)
    said = [brief(part) for part in value[:_MOST_NAMED]]
    if any(map(is_declared, value)) and len(set(map(type, value))) < len(value):
        said = [f"{name}={part}" for name, part in zip("abcdefgh", said, strict=False)]
    words = f"one_of({', '.join(said)}{', ...' if len(value) > _MOST_NAMED else ''})"
    if len(value) == 2 and all(isinstance(part, int | float) for part in value) and value[0] < value[1]:
        words += f" or, from one to the other, between({', '.join(said)})"
    return f"got {brief(tuple(value))}; a choice among them is written {words}; allowed: {rule.allowed}."


def _check_bounds(value: Between, rule: Rule, address: str) -> None:
    forbidden = [bound for bound in (value.low, value.high) if not rule.accepts(bound)]
    if len(forbidden) == 1 or (forbidden and value.low == value.high):
        raise SpaceError(f"got {brief(value)}, which reaches {forbidden[0]}; allowed: {rule.allowed}.", address)
    if forbidden:
        raise SpaceError(f"got {brief(value)}; allowed: {rule.allowed}.", address)


def _refuse_hidden(value: Mapping[Any, Any] | set[Any] | frozenset[Any], address: str) -> None:
    """A domain in a dict or set would never be asked for."""
    parts = value.values() if isinstance(value, Mapping) else value
    if any(has_domains(part) for part in parts):
        raise SpaceError(
            f"got {brief(value)}, in which nothing can be chosen; give each choice an option of its own.", address
        )


def _fewest(count: Any) -> int:
    """The shortest that a repeat may be."""
    if isinstance(count, Tied):
        return _fewest(count.domain)
    if isinstance(count, Between):
        return int(count.low)
    if isinstance(count, OneOf):
        return min(int(option) for option in count.options)
    return int(count)


def _many(rule: Rule) -> Many | None:
    """The part of a rule that allows lists."""
    if isinstance(rule, Many):
        return rule
    if isinstance(rule, Anything):
        return Many(rule)
    if isinstance(rule, Either):
        return next((found for inner in rule.rules if (found := _many(inner)) is not None), None)
    return None
