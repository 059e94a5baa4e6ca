"""Domains: what may stand where a value would, so that a recipe becomes a space of recipes.

    filters=32                              one value
    filters=one_of(16, 32, 64)              one of a few
    filters=between(16, 256, step=16)       a number from a range
    stages=repeat(Stage(...), between(2, 4))    a list whose length and elements are chosen
    filters=tied("width", between(16, 64))  the same choice wherever that name stands

The functions are typed as the value they stand for, so that an editor accepts ``Stage(filters=between(16, 64))``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeVar, cast, overload

from hpsearch.declare import brief, is_declared, plain, source
from hpsearch.errors import SpaceError

__all__ = ["Between", "Domain", "OneOf", "Repeat", "Scalar", "Tied", "between", "one_of", "possible", "repeat", "tied"]

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

Scalar = bool | int | float | str | None
"""What an answer may be: a value JSON knows."""


class Domain:
    """Base of everything that may stand where a value would."""

    def __repr__(self) -> str:
        return source(self)

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        """The function to call, its positional and its named arguments."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class OneOf(Domain):
    """One of a few options, each known by a label.

    A plain value is its own label, an object goes by the name of its class, or by the name it was given.

    Args:
        labels: What an answer says to choose the option of the same position.
        options: The options: plain values, objects (which may hold domains), or domains.
        named: Whether the labels were given by name.
    """

    labels: tuple[Scalar, ...]
    options: tuple[Any, ...]
    named: bool = False

    @property
    def ordinal(self) -> bool:
        """Whether the options are ascending numbers, so that neighbours are alike and a sampler may use it."""
        numbers = [label for label in self.labels if isinstance(label, int | float) and not isinstance(label, bool)]
        return (
            not self.named
            and len(numbers) == len(self.labels) > 1
            and all(low < high for low, high in pairwise(numbers))
        )

    def chosen(self, label: object) -> Any:
        """The option an answer names.

        Raises:
            KeyError: No option has this label.
        """
        for known, value in zip(self.labels, self.options, strict=True):
            if type(known) is type(label) and known == label:
                return value
        raise KeyError(label)

    def items(self) -> Iterator[tuple[Scalar, Any]]:
        """Labels and options side by side."""
        return zip(self.labels, self.options, strict=True)

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        if self.named:
            return "one_of", [], {str(label): value for label, value in self.items()}
        return "one_of", list(self.options), {}


@dataclass(frozen=True, repr=False)
class Between(Domain):
    """A number from ``low`` to ``high``, both included.

    Whole when both bounds are whole.

    Args:
        low: The smallest value.
        high: The largest value.
        step: The distance between neighbouring values; None allows every number (every whole number).
        log: Whether equal ratios, not equal differences, are equally likely.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> float:
        """How many values there are; infinite for a continuous range."""
        if self.step is not None:
            return int((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self.step))) + 1
        return self.high - self.low + 1 if self.whole else (1 if self.low == self.high else math.inf)

    def snapped(self, value: float) -> float:
        """The nearest value of the domain, free of the noise of binary fractions (0.3, not 0.30000000000000004).

        A continuous value keeps four significant digits, or as many more as a narrow range needs: more would be noise
        in a recipe meant to be read.

        Args:
            value: Any number.
        """
        if self.whole or self.step is not None:
            step = self.step if self.step is not None else 1
            steps = min(max(round((value - self.low) / step), 0), int(self.count) - 1)
            return self._at(steps)
        if self.low == self.high:
            return self.low
        narrow = max(abs(self.low), abs(self.high)) / (self.high - self.low)
        digits = 4 + max(0, math.floor(math.log10(narrow)))
        return min(max(float(f"{value:.{digits}g}"), self.low), self.high)

    def _at(self, steps: int) -> float:
        """The value so many steps above the lowest."""
        if self.whole:
            return int(self.low) + steps * int(self.step or 1)
        return float(Decimal(str(self.low)) + steps * Decimal(str(self.step)))

    def written(self, value: float) -> float:
        """A value of the domain as the domain writes it: 16 for 16.0, 0.0 for 0, 0.3 for 0.30000000000000004.

        Args:
            value: A value that the domain holds.
        """
        return self.snapped(value) if self.whole or self.step is not None else float(value)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        if self.whole or self.step is not None:
            # What is said with the noise of binary fractions is meant without it, at the bounds too.
            return abs(self.snapped(value) - value) <= 1e-9 * max(self.step or 1, abs(value))
        return self.low <= value <= self.high

    @property
    def allowed(self) -> str:
        """The values in words."""
        steps = f" in steps of {self.step}" if self.step is not None else ""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low} to {self.high}{steps}"

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        options: dict[str, object] = {}
        if self.step is not None:
            options["step"] = self.step
        if self.log:
            options["log"] = True
        return "between", [self.low, self.high], options


@dataclass(frozen=True, repr=False)
class Repeat(Domain):
    """A tuple of independent draws of one element.

    Args:
        element: What each element is drawn from.
        count: How many: a whole number, or a domain of whole numbers.
    """

    element: Any
    count: Any

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        return "repeat", [self.element, self.count], {}


@dataclass(frozen=True, repr=False)
class Tied(Domain):
    """One choice, shared by every place that names it.

    Args:
        name: The name of the choice.
        domain: What it is drawn from; the same wherever the name stands.
    """

    name: str
    domain: Any

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        return "tied", [self.name, self.domain], {}


def possible(value: Any) -> list[Any]:
    """Everything that may stand where a value stands: the options of a choice, else the value itself.

    Args:
        value: A value, or a domain.
    """
    if isinstance(value, Tied):
        return possible(value.domain)
    if isinstance(value, OneOf):
        return [option for inner in value.options for option in possible(inner)]
    return [value]


@overload
def one_of(first: T, second: U, /) -> T | U: ...
@overload
def one_of(first: T, second: U, third: V, /) -> T | U | V: ...
@overload
def one_of(*options: T) -> T: ...
@overload
def one_of(**named: T) -> T: ...
def one_of(*options: Any, **named: Any) -> Any:
    """One of the given options.

    Ascending numbers are treated as a scale (16, 32, 64), everything else as a set. An option may be an object that
    holds domains itself, or a domain; its own choices exist only where it is chosen.

    Args:
        options: Plain values, or objects of different classes.
        named: Options with names, needed where two of them are objects of one class.

    Raises:
        SpaceError: No option, both spellings at once, the same option twice, or two objects of one class without names.
    """
    if options and named:
        raise SpaceError("one_of takes either plain options or named ones (small=..., large=...), not both.")
    if named:
        return _one_of_named(named)
    if not options:
        raise SpaceError("one_of() needs at least one option; write one_of(32, 64).")
    given: tuple[Any, ...] = plain(options)
    labels = tuple(_label(value) for value in given)
    for position, (label, value) in enumerate(zip(labels, given, strict=True)):
        if label in labels[:position]:
            same = labels[labels.index(label)]
            if isinstance(same, bool) != isinstance(label, bool):
                raise SpaceError(f"one_of has {same} and {label}, which Python takes for one value; name the options.")
            if _is_plain(value) or isinstance(value, tuple):
                raise SpaceError(f"one_of has the option {brief(value)} twice; each option may stand once.")
            raise SpaceError(f"one_of has two options called {label}; name them: one_of(small=..., large=...).")
    return OneOf(labels=labels, options=given)


def _one_of_named(named: dict[str, Any]) -> OneOf:
    for name, value in named.items():
        if not name.isidentifier():
            raise SpaceError(
                f"one_of got the name {brief(name)}; allowed: plain words, as in one_of(small=..., large=...)."
            )
        if not isinstance(value, tuple | list):
            _label(plain(value))
    return OneOf(labels=tuple(named), options=plain(tuple(named.values())), named=True)


def _is_plain(value: object) -> bool:
    return value is None or type(value) in (bool, int, float, str)


def _label(value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"one_of got {value!r}; allowed: finite numbers.")
    if _is_plain(value):
        return cast(Scalar, value)
    if isinstance(value, Domain):
        return value.source_call()[0]
    if is_declared(value):
        return type(value).__name__
    if isinstance(value, tuple) and all(_is_plain(part) for part in value):
        return source(value)
    if isinstance(value, tuple):
        raise SpaceError("one_of holds a list of objects; name it: one_of(none=(), one=[...]).")
    if isinstance(value, type):
        raise SpaceError(f"one_of got the class {value.__name__}; write an object of it, {value.__name__}(...).")
    raise SpaceError(
        f"one_of got {brief(value)}; allowed: plain values, objects such as Adam(...), or your own frozen dataclasses."
    )


@overload
def between(low: int, high: int, *, step: int | None = None, log: bool = False) -> int: ...
@overload
def between(low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...
def between(low: float, high: float, *more: Any, step: float | None = None, log: bool = False) -> Any:
    """A number from ``low`` to ``high``, both included; whole when both are written as whole numbers.

    Args:
        low: The smallest value.
        high: The largest value.
        more: Nothing: the step is given by name.
        step: The distance between neighbouring values, such as 16 for filter counts.
        log: Whether equal ratios are equally likely, as for a learning rate from 1e-4 to 1e-1.

    Raises:
        SpaceError: Bounds that are no numbers or the wrong way round, or a step that misses ``high``.
    """
    if more:
        raise SpaceError(f"between takes two bounds; a step is given by name, step={brief(more[0])}.")
    low, high, step = plain(low), plain(high), plain(step)
    said = f"between({brief(low)}, {brief(high)}" + (f", step={brief(step)})" if step is not None else ")")
    for value in (low, high, step if step is not None else 1):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SpaceError(f"{said} got {brief(value)}; allowed: finite numbers.")
    if low > high:
        raise SpaceError(f"{said} is empty: the smaller number comes first.")
    domain = Between(low=low, high=high, step=step, log=log)
    if log and step is not None:
        raise SpaceError(f"{said} with log=True cannot have a step; drop one of the two, or list the values in one_of.")
    if log and low <= 0:
        raise SpaceError(f"{said} with log=True needs bounds above 0.")
    if not domain.whole:
        domain = Between(low=float(low), high=float(high), step=step, log=log)
    if step is not None:
        _check_step(domain, said)
    return domain


def _check_step(domain: Between, said: str) -> None:
    step = cast(float, domain.step)
    if step <= 0:
        raise SpaceError(f"{said} has step {step!r}; allowed: a number above 0.")
    if domain.whole and not isinstance(step, int):
        raise SpaceError(f"{said} mixes whole bounds with a broken step; write the bounds as {domain.low}.0 as well.")
    low, high = Decimal(str(domain.low)), Decimal(str(domain.high))
    reached = low + (int(domain.count) - 1) * Decimal(str(step))
    if reached != high:
        raise SpaceError(f"{said} never reaches {domain.high}; the last value is {reached}, so write that.")


def repeat(element: T, count: int) -> tuple[T, ...]:
    """A list whose elements are drawn independently, and whose length may be a choice too.

    Args:
        element: What each element is drawn from, such as ``Stage(filters=between(16, 64))``.
        count: How many elements: a whole number, ``between(1, 4)`` or ``one_of(1, 2, 4)``.

    Raises:
        SpaceError: A count that is not a whole number of 0 or more, or a domain of such.
    """
    count = plain(count)
    counts = _possible_counts(count)
    if not counts or any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in counts):
        raise SpaceError(
            f"repeat got the count {brief(count)}; allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2)."
        )
    return cast("tuple[T, ...]", Repeat(element=plain(element), count=count))


def _possible_counts(count: object) -> list[object]:
    """The lengths that a repeat may have; of a range its ends."""
    if isinstance(count, Tied):
        return _possible_counts(count.domain)
    if isinstance(count, Between):
        return [count.low, count.high] if count.whole else []
    if isinstance(count, OneOf):
        return list(count.options)
    return [count]


def tied(name: str, domain: T) -> T:
    """The same choice wherever this name stands; two uses of an ordinary domain are independent.

    Args:
        name: The name of the choice, such as ``"initializer"``.
        domain: What it is drawn from; write the same at every place, or keep it in a variable.

    Raises:
        SpaceError: A name that is not a plain word, or a value without a domain.
    """
    if not isinstance(name, str) or not name.isidentifier():
        example = 'tied("width", between(16, 64))'
        raise SpaceError(f"tied got the name {brief(name)}; allowed: a plain word, such as {example}.")
    if not isinstance(domain, Domain):
        raise SpaceError(f"tied({brief(name)}, {brief(domain)}) has nothing to choose; write the value itself.")
    return cast(T, Tied(name=name, domain=domain))
