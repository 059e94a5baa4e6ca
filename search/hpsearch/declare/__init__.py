"""Declared objects: frozen, keyword-only dataclasses that know what is allowed and whose repr is Python source.

Everything a space file is written in (blocks, optimizers, data) is declared with ``declared`` and ``option``. An
option carries a rule; the rules are checked when a space is loaded, because only then is the address of the option
known. A domain may stand where a value would, so constructing an object checks nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass
from typing import Any, Self, TypeVar, dataclass_transform

from hpsearch.declare.manual import complete_docstring
from hpsearch.declare.rules import (
    Anything,
    Choice,
    Either,
    Flag,
    Instance,
    Many,
    Maybe,
    Number,
    Rule,
    Text,
    Whole,
    problem_with,
)
from hpsearch.declare.source import LINE_LENGTH, brief, is_declared, plain, source
from hpsearch.errors import SpaceError, did_you_mean

__all__ = [
    "LINE_LENGTH",
    "Anything",
    "Choice",
    "Declared",
    "Either",
    "Flag",
    "Instance",
    "Many",
    "Maybe",
    "Number",
    "Rule",
    "Text",
    "Whole",
    "brief",
    "declared",
    "is_declared",
    "option",
    "plain",
    "problem_with",
    "source",
    "transformed",
    "walk_fields",
]

T = TypeVar("T")


def option(rule: Rule, *, default: Any = MISSING, kw_only: bool = True) -> Any:
    """A field of a declared object.

    Args:
        rule: What the option allows.
        default: The value when the option is not given; required when left out.
        kw_only: Whether the option must be given by name.
    """
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"rule": rule})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option, dataclasses.field))
def declared(cls: type[T]) -> type[T]:
    """Make a class a declared object: frozen, keyword-only, equal by value, its repr the source that makes it.

    Lists given for an option become tuples, so that the object stays hashable, and NumPy's numbers become Python's, so
    that it prints as it would be written. ``help()`` shows options that are inherited, too.
    """
    cls = dataclass(frozen=True, kw_only=True, repr=False)(cls)
    cls.__doc__ = complete_docstring(cls)
    init = cls.__init__

    def __init__(self: object, *args: Any, **options: Any) -> None:  # noqa: N807 - becomes the method of that name
        try:
            init(self, *args, **options)
        except TypeError as error:
            raise _wrong_options(cls, args, options) or error from None
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every declared object is a dataclass
            value = getattr(self, field.name)
            plainly = plain(value)
            if plainly is not value:
                object.__setattr__(self, field.name, plainly)

    __init__.__wrapped__ = init  # type: ignore[attr-defined]  # lets help() show the real signature
    cls.__init__ = __init__  # type: ignore[method-assign]  # the one that explains itself
    cls.__repr__ = source  # type: ignore[method-assign]  # the repr is the source
    cls.__hpsearch_declared__ = True  # type: ignore[attr-defined]
    return cls


def _wrong_options(cls: type, args: tuple[Any, ...], options: dict[str, Any]) -> SpaceError | None:
    """The sentence for a call whose options do not fit the class; None when the fault lies elsewhere."""
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields]
    listed = f"Its options are {_and(names)}."
    for name in options:
        if name not in names:
            return SpaceError(f"{cls.__name__} has no option {name!r}.{did_you_mean(name, names)} {listed}")
    positional = [field.name for field in fields if not field.kw_only]
    if len(args) > len(positional):
        few = (
            f"only {_and(positional)} without a name"
            if positional
            else f"its options by name: {cls.__name__}({names[0]}=...)"
        )
        return SpaceError(f"{cls.__name__} takes {few}. {listed}")
    given = {*options, *positional[: len(args)]}
    missing = [field.name for field in fields if field.default is MISSING and field.name not in given]
    if missing:
        return SpaceError(f"{cls.__name__} needs {_and(missing)}; write {cls.__name__}({missing[0]}=...).")
    return None


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def walk_fields(value: object) -> Iterable[tuple[str, Any, Rule]]:
    """Name, value and rule of each option of a declared object; a user's own dataclass allows anything.

    Args:
        value: A declared object or a frozen dataclass.
    """
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # callers check is_declared
        if field.init:
            yield field.name, getattr(value, field.name), field.metadata.get("rule", Anything())


class Declared:
    """Base of hpsearch's own declared objects; each method has a default that suits most of them."""

    def conflict(self) -> tuple[str, str] | None:
        """Options that are allowed each but not together: the option at fault and a sentence; None when all is well.

        Only asked of objects without domains.
        """
        return None

    def canonical(self) -> Self:
        """The one spelling shared by all objects that build the same; its parts are canonical already."""
        return self

    def alike(self, like: Any) -> Any:
        """The same as an object of the class that another has, where it can be said as one.

        Args:
            like: Any declared object, usually one with domains.
        """
        return self

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        """Pairs of ``like`` and this object, said in one way, so that they can be compared option by option.

        The two agree when any pair does; what is said about a disagreement comes from the first.

        Args:
            like: An object of the same class, usually one with domains; how its choices are called must not change.
        """
        return [(like, self)]


def transformed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy in which every declared object is what ``change`` makes of it, the inner ones first.

    Args:
        value: A declared object without domains, or a tuple of such.
        change: Gets a declared object and returns it, or another in its place.
    """
    if isinstance(value, tuple):
        return tuple(transformed(part, change) for part in value)
    if not is_declared(value):
        return value
    parts = {name: transformed(part, change) for name, part, _ in walk_fields(value)}
    changed = {name: part for name, part in parts.items() if part is not getattr(value, name)}
    return change(dataclasses.replace(value, **changed) if changed else value)
