"""Checking what is written in a space file: every option of every object against its rule, with its address."""

from __future__ import annotations

from typing import Any

from hpsearch.addresses import inside
from hpsearch.declare import Declared, Either, Many, Rule, is_declared, problem_with, source, walk_fields
from hpsearch.domains import Between, Domain, OneOf, Repeat, Tied
from hpsearch.errors import SpaceError, join_address
from hpsearch.resolve import has_domains

__all__ = ["check"]


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
    if isinstance(value, Domain):
        _check_domain(value, rule, address, together)
    elif isinstance(value, tuple | list) and _many(rule) is not None:
        _check_list(value, rule, address, together)
    else:
        problem = problem_with(value, rule)
        if problem:
            raise SpaceError(problem, address)
        if is_declared(value):
            _check_options(value, address, together)


def _check_domain(value: Domain, rule: Rule, address: str, together: bool) -> None:
    if isinstance(value, Tied):
        check(value.domain, rule, address, together=together)
    elif isinstance(value, OneOf):
        for label, option in value.items():
            check(option, rule, inside(value, label, address), together=together)
    elif isinstance(value, Between):
        for bound in (value.low, value.high):
            if not rule.accepts(bound):
                raise SpaceError(f"got {source(value)}, which reaches {bound}; allowed: {rule.allowed}.", address)
    elif isinstance(value, Repeat):
        many = _many(rule)
        if many is None:
            raise SpaceError(f"got {source(value)}, a list; allowed: {rule.allowed}.", address)
        check(value.element, many.element, f"{address}[*]", together=together)


def _check_list(value: Any, rule: Rule, address: str, together: bool) -> None:
    many = _many(rule)
    if many is None or len(value) < many.at_least:
        raise SpaceError(f"got {source(tuple(value))}; allowed: {rule.allowed}.", address)
    for index, part in enumerate(value):
        check(part, many.element, f"{address}[{index}]", together=together)


def _check_options(value: Any, address: str, together: bool) -> None:
    for name, part, rule in walk_fields(value):
        check(part, rule, join_address(address, name), together=together)
    if together and isinstance(value, Declared) and not has_domains(value):
        conflict = value.conflict()
        if conflict:
            name, problem = conflict
            raise SpaceError(problem, join_address(address, name))


def _many(rule: Rule) -> Many | None:
    """The part of a rule that allows lists."""
    if isinstance(rule, Many):
        return rule
    if isinstance(rule, Either):
        return next((found for inner in rule.rules if (found := _many(inner)) is not None), None)
    return None
