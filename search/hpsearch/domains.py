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
from typing import Any, TypeVar, cast, overload

from hpsearch.declare import is_declared, source
from hpsearch.errors import SpaceError

__all__ = ["Between", "Domain", "OneOf", "Repeat", "Tied", "between", "one_of", "repeat", "tied"]

T = TypeVar("T")

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
            and all(low < high for low, high in zip(numbers, numbers[1:], strict=False))
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

        A continuous value keeps four significant digits: more would be noise in a recipe meant to be read.

        Args:
            value: Any number.
        """
        if self.whole:
            step = int(self.step or 1)
            steps = round((value - self.low) / step)
            return int(self.low) + step * min(max(steps, 0), int(self.count) - 1)
        if self.step is not None:
            steps = min(max(round((value - self.low) / self.step), 0), int(self.count) - 1)
            return float(Decimal(str(self.low)) + steps * Decimal(str(self.step)))
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            return False
        if self.step is None:
            return True
        return math.isclose(self.snapped(value), value, rel_tol=1e-9, abs_tol=1e-12)

    @property
    def allowed(self) -> str:
        """The values in words."""
        steps = f" in steps of {self.step:g}" if self.step is not None else ""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}{steps}"

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
        return OneOf(labels=tuple(named), options=tuple(named.values()), named=True)
    if not options:
        raise SpaceError("one_of() needs at least one option.")
    labels = tuple(_label(value) for value in options)
    seen: list[tuple[type, object]] = []
    for label, value in zip(labels, options, strict=True):
        key = (type(label), label)
        if key in seen:
            if _is_plain(value):
                raise SpaceError(f"one_of has the option {label!r} twice; each option may stand once.")
            raise SpaceError(f"one_of has two options called {label}; name them: one_of(small=..., large=...).")
        seen.append(key)
    return OneOf(labels=labels, options=tuple(tuple(v) if isinstance(v, list) else v for v in options))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _label(value: object) -> Scalar:
    if _is_plain(value):
        return cast(Scalar, value)
    if isinstance(value, Domain):
        return value.source_call()[0]
    if is_declared(value):
        return type(value).__name__
    if isinstance(value, tuple | list) and all(_is_plain(part) for part in value):
        return source(tuple(value))
    if isinstance(value, tuple | list):
        raise SpaceError("one_of holds a list of objects; name it: one_of(none=(), one=[...]).")
    raise SpaceError(
        f"one_of got {value!r}; allowed: plain values, objects such as Adam(...), or a user's own frozen dataclass."
    )


@overload
def between(low: int, high: int, *, step: int | None = None, log: bool = False) -> int: ...
@overload
def between(low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...
def between(low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
    """A number from ``low`` to ``high``, both included; whole when both are written as whole numbers.

    Args:
        low: The smallest value.
        high: The largest value.
        step: The distance between neighbouring values, such as 16 for filter counts.
        log: Whether equal ratios are equally likely, as for a learning rate from 1e-4 to 1e-1.

    Raises:
        SpaceError: Bounds that are no numbers or the wrong way round, or a step that misses ``high``.
    """
    said = f"between({low!r}, {high!r}" + (f", step={step!r})" if step is not None else ")")
    for value in (low, high, step if step is not None else 1):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SpaceError(f"{said} got {value!r}; allowed: finite numbers.")
    if low > high:
        raise SpaceError(f"{said} is empty: the smaller number comes first.")
    domain = Between(low=low, high=high, step=step, log=log)
    if log and (step is not None or low <= 0):
        raise SpaceError(f"{said} with log=True needs bounds above 0 and no step.")
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
        raise SpaceError(f"{said} never reaches {domain.high:g}; the last value is {reached}, so write that.")


def repeat(element: T, count: int) -> tuple[T, ...]:
    """A list whose elements are drawn independently, and whose length may be a choice too.

    Args:
        element: What each element is drawn from, such as ``Stage(filters=between(16, 64))``.
        count: How many elements: a whole number, ``between(1, 4)`` or ``one_of(1, 2, 4)``.

    Raises:
        SpaceError: A count that is not a whole number of 0 or more, or a domain of such.
    """
    counts = _possible_counts(count)
    if not counts or any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in counts):
        raise SpaceError(
            f"repeat got the count {source(count)}; allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2)."
        )
    return cast("tuple[T, ...]", Repeat(element=element, count=count))


def _possible_counts(count: object) -> list[object]:
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
        raise SpaceError(f"tied got the name {name!r}; allowed: a plain word, such as tied('width', between(16, 64)).")
    if not isinstance(domain, Domain):
        raise SpaceError(f"tied({name!r}, {source(domain)}) has nothing to choose; write the value itself.")
    return cast(T, Tied(name=name, domain=domain))
