"""Declared objects: frozen, keyword-only dataclasses whose options know what is allowed and whose repr is Python source.

Everything a space file is written in (blocks, optimizers, data) is declared with [`declared`][] and [`option`][]. An
option carries a rule; the rules are checked when a space is loaded, because only then is the address of the option
known. A domain may stand where a value would, so constructing an object checks nothing.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass
from typing import Any, Protocol, Self, TypeVar, dataclass_transform

from hpsearch.errors import SpaceError, did_you_mean

__all__ = [
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
    "declared",
    "is_declared",
    "option",
    "problem_with",
    "source",
    "walk_fields",
]

T = TypeVar("T")


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
            return f"a whole number, {self.at_least} or more"
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
            (self.at_least, "at least"),
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


def Maybe(rule: Rule) -> Either:
    """None, or what ``rule`` allows."""
    return Either(rule, Choice(None))


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


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

    Lists given for an option become tuples, so that the object stays hashable.
    """
    cls = dataclass(frozen=True, kw_only=True, repr=False)(cls)
    init = cls.__init__

    def __init__(self: object, *args: Any, **options: Any) -> None:
        try:
            init(self, *args, **options)  # type: ignore[misc]  # __init__ of the class itself, bound by hand
        except TypeError as error:
            raise _wrong_options(cls, args, options) or error from None
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every declared object is a dataclass
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))

    __init__.__wrapped__ = init  # type: ignore[attr-defined]  # lets help() show the real signature
    cls.__init__ = __init__  # type: ignore[method-assign,assignment]
    cls.__repr__ = source  # type: ignore[method-assign,assignment]
    cls.__hpsearch_declared__ = True  # type: ignore[attr-defined]
    return cls


def _wrong_options(cls: type, args: tuple[Any, ...], options: dict[str, Any]) -> SpaceError | None:
    """The sentence for a call whose options do not fit the class; None when the fault lies elsewhere."""
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields]
    listed = f"Its options are {', '.join(names)}." if names else "It has no options."
    for name in options:
        if name not in names:
            return SpaceError(f"{cls.__name__} has no option {name!r}.{did_you_mean(name, names)} {listed}")
    positional = [field.name for field in fields if not field.kw_only]
    if len(args) > len(positional):
        return SpaceError(f"{cls.__name__} takes its options by name, such as {names[0] if names else ''}=... {listed}")
    given = {*options, *positional[: len(args)]}
    missing = [field.name for field in fields if field.default is MISSING and field.name not in given]
    if missing:
        return SpaceError(f"{cls.__name__} needs {_and(missing)}; write {cls.__name__}({missing[0]}=...).")
    return None


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def is_declared(value: object) -> bool:
    """Whether a value is a declared object, or a user's own frozen dataclass, which is treated like one."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def walk_fields(value: object) -> Iterable[tuple[str, Any, Rule]]:
    """Name, value and rule of each option of a declared object; a user's own dataclass allows anything.

    Args:
        value: A declared object or a frozen dataclass.
    """
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # callers check is_declared
        yield field.name, getattr(value, field.name), field.metadata.get("rule", Anything())


def problem_with(value: object, rule: Rule) -> str | None:
    """The sentence that says why a concrete value is not allowed, or None when it is.

    Args:
        value: A value without domains.
        rule: What the option allows.
    """
    if rule.accepts(value):
        return None
    return f"got {source(value)}; allowed: {rule.allowed}."


class Declared:
    """Base of hpsearch's own declared objects; each method has a default that suits most of them."""

    def conflict(self) -> tuple[str, str] | None:
        """Options that are allowed each but not together: the option at fault and a sentence; None when all is well.

        Only asked of objects without domains.
        """
        return None

    def canonical(self) -> Self:
        """The one spelling shared by all objects that build the same; parts are canonical already when this is asked."""
        return self

    def respelled(self, like: object) -> Self:
        """The same object, said the way ``like`` says it, so that the two can be compared option by option.

        Args:
            like: An object of the same class, usually one with domains.
        """
        return self


LINE_LENGTH = 100


def source(value: object, indent: int = 0) -> str:
    """Python source that makes the value again, options at their default left out, broken at `LINE_LENGTH` columns.

    Args:
        value: A declared object, a domain, a tuple, list or dict of them, a function, or a plain value.
        indent: The column at which the text starts, in spaces.
    """
    flat = _flat(value)
    if indent + len(flat) <= LINE_LENGTH and "\n" not in flat:
        return flat
    opening, parts, closing = _parts(value)
    if not parts:
        return flat
    deeper = indent + 4
    lines = [f"{' ' * deeper}{name}{source(part, deeper)}," for name, part in parts]
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


def _flat(value: object) -> str:
    opening, parts, closing = _parts(value)
    if not parts:
        return opening + closing
    inside = ", ".join(name + _flat(part) for name, part in parts)
    trailing = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    return f"{opening}{inside}{trailing}{closing}"


def _parts(value: object) -> tuple[str, list[tuple[str, object]], str]:
    """How a value opens, its parts with their names, and how it closes; a plain value has no parts."""
    if hasattr(value, "source_call"):
        name, args, options = value.source_call()
        return f"{name}(", [("", arg) for arg in args] + [(f"{k}=", v) for k, v in options.items()], ")"
    if is_declared(value):
        return f"{type(value).__name__}(", list(_said_options(value)), ")"
    if isinstance(value, tuple):
        return "(", [("", part) for part in value], ")"
    if isinstance(value, list):
        return "[", [("", part) for part in value], "]"
    if isinstance(value, dict):
        return "{", [(f"{key!r}: ", part) for key, part in value.items()], "}"
    if isinstance(value, types.FunctionType | type):
        return value.__name__, [], ""
    if isinstance(value, str):
        return _quoted(value), [], ""
    return repr(value), [], ""


def _quoted(text: str) -> str:
    """A string literal in double quotes, as formatters write it."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in text else plain


def _said_options(value: object) -> Iterable[tuple[str, object]]:
    fields = dataclasses.fields(value)  # type: ignore[arg-type]  # callers check is_declared
    for field in sorted(fields, key=lambda field: field.kw_only):
        current = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and type(current) is type(default) and current == default:
            continue
        yield ("" if not field.kw_only else f"{field.name}="), current
