"""Two trials side by side: what differs between their recipes, and whether their scores differ by more than luck."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Literal

from hpsearch.errors import join_address
from hpsearch.results.intervals import Bounds, apart
from hpsearch.results.leaderboard import Row

__all__ = ["Apart", "Declared", "Difference", "apart_by", "diff", "differences"]


@dataclass(frozen=True)
class Declared:
    """What is known of a class that recipes are written in.

    Args:
        positional: The options that may be given without a name, in order.
        defaults: Source of the defaults, by option.
    """

    positional: tuple[str, ...] = ()
    defaults: dict[str, str] | None = None


@dataclass(frozen=True)
class Difference:
    """One place in which two recipes differ.

    Args:
        address: Where, such as ``model.body.stages[1].filters``.
        a: What stands there in the first, as source; None where there is nothing.
        b: What stands there in the second.
    """

    address: str
    a: str | None
    b: str | None


Look = Callable[[str], Declared | None]
"""What is known of a class, by its name; None where nothing is."""


def differences(a: str, b: str, declared: Look = lambda _: None) -> list[Difference] | None:
    """Where two recipes differ, from the outside in; what one leaves at its default is compared as if it were said.

    Args:
        a: Source of a recipe.
        b: Source of another.
        declared: What is known of the classes.

    Returns:
        None where one of them is not known.
    """
    try:
        first, second = (ast.parse(text, mode="eval").body for text in (a, b))
    except (SyntaxError, ValueError, RecursionError):
        return None
    return list(_walk("", first, second, declared))


def _walk(address: str, a: ast.expr | None, b: ast.expr | None, declared: Look) -> Iterator[Difference]:
    if a is None or b is None:
        if a is not b:
            yield Difference(address, _source(a), _source(b))
    elif isinstance(a, ast.Call) and isinstance(b, ast.Call) and ast.dump(a.func) == ast.dump(b.func):
        first, second = _options(a, declared), _options(b, declared)
        for name in [*first, *(name for name in second if name not in first)]:
            yield from _walk(join_address(address, name), first.get(name), second.get(name), declared)
    elif isinstance(a, ast.Tuple | ast.List) and isinstance(b, ast.Tuple | ast.List):
        for place in range(max(len(a.elts), len(b.elts))):
            first_part, second_part = (each.elts[place] if place < len(each.elts) else None for each in (a, b))
            yield from _walk(join_address(address, f"[{place}]"), first_part, second_part, declared)
    elif isinstance(a, ast.Dict) and isinstance(b, ast.Dict):
        entries, others = _entries(a), _entries(b)
        for key in [*entries, *(key for key in others if key not in entries)]:
            yield from _walk(join_address(address, f"[{key}]"), entries.get(key), others.get(key), declared)
    elif ast.dump(a) != ast.dump(b):
        yield Difference(address, _source(a), _source(b))


def _source(value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return json.dumps(value.value, ensure_ascii=False)  # in double quotes, as recipes are printed
    return None if value is None else ast.unparse(value)


def _options(call: ast.Call, declared: Look) -> dict[str, ast.expr]:
    """What a call gives, by option, and after it the defaults of what it leaves out."""
    known = declared(ast.unparse(call.func)) or Declared()
    names = [*known.positional, *(f"({place})" for place in range(len(known.positional), len(call.args)))]
    said = dict(zip(names, call.args, strict=False))
    said |= {keyword.arg or "**": keyword.value for keyword in call.keywords}
    for name, default in (known.defaults or {}).items():
        if name not in said:
            said[name] = ast.parse(default, mode="eval").body
    return said


def _entries(values: ast.Dict) -> dict[str, ast.expr]:
    pairs = zip(values.keys, values.values, strict=True)
    return {ast.unparse(key) if key is not None else "**": value for key, value in pairs}


def diff(a: str, b: str, names: tuple[str, str]) -> str:
    """The recipes as a unified diff.

    Args:
        a: Source of a recipe.
        b: Source of another.
        names: What they are called.
    """
    return "\n".join(unified_diff(a.splitlines(), b.splitlines(), *names, lineterm=""))


# ---- scores


@dataclass(frozen=True)
class Apart:
    """By how much the validation scores of two trials differ.

    Args:
        difference: How much better the first is; negative where the second is better. Losses count as scores do: less
            is better.
        bounds: Between what the difference lies, 95 times in 100, as far as the number of validation images tells;
            None where that is not known.
    """

    difference: float
    bounds: Bounds | None

    @property
    def verdict(self) -> Literal["same", "luck", "more than luck", "unknown"]:
        """Whether the luck of the validation images explains the difference."""
        if self.difference == 0:
            return "same"
        if self.bounds is None:
            return "unknown"
        return "luck" if self.bounds[0] <= 0 <= self.bounds[1] else "more than luck"


def apart_by(a: Row, b: Row, maximize: bool) -> Apart | None:
    """By how much two trials differ that were measured on the same images; None where one has no score.

    Args:
        a: One.
        b: The other.
        maximize: Whether a higher score is better.
    """
    if a.validation is None or b.validation is None:
        return None
    sign = 1.0 if maximize else -1.0
    if a.bounds is None or b.bounds is None:
        return Apart(sign * (a.validation - b.validation), None)
    ends = apart(a.validation, a.bounds, b.validation, b.bounds)
    low, high = sorted(sign * end for end in ends)
    return Apart(sign * (a.validation - b.validation), (low, high))
