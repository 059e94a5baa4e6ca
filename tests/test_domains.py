"""What may stand where a value would, and what is said of one that cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pytest

from hpsearch import Adam, Dense, Stage, between, one_of, repeat, tied
from hpsearch.declare import source
from hpsearch.domains import Between, OneOf
from hpsearch.errors import SpaceError


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Mine:
    width: int = 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: one_of(), "one_of() needs at least one option; write one_of(32, 64)."),
        (lambda: one_of(1, 1), "one_of has the option 1 twice; each option may stand once."),
        (lambda: one_of(1, 1.0), "one_of has the option 1.0 twice; each option may stand once."),
        (lambda: one_of(0, False), "one_of has 0 and False, which Python takes for one value; name the options."),
        (lambda: one_of([1, 2], (1, 2)), "one_of has the option (1, 2) twice; each option may stand once."),
        (
            lambda: one_of(Adam(), Adam(learning_rate=0.1)),
            "one_of has two options called Adam; name them: one_of(small=..., large=...).",
        ),
        (
            lambda: one_of(between(1, 2), between(3, 4)),
            "one_of has two options called between; name them: one_of(small=..., large=...).",
        ),
        (lambda: one_of(1, a=2), "one_of takes either plain options or named ones (small=..., large=...), not both."),
        (lambda: one_of(Adam), "one_of got the class Adam; write an object of it, Adam(...)."),
        (lambda: one_of(small=Adam), "one_of got the class Adam; write an object of it, Adam(...)."),
        (
            lambda: one_of({"a": 1}),
            'one_of got {"a": 1}; allowed: plain values, objects such as Adam(...), or your own frozen dataclasses.',
        ),
        (
            lambda: one_of(Colour.RED),
            "one_of got Colour.RED; allowed: plain values, objects such as Adam(...), or your own frozen dataclasses.",
        ),
        (lambda: one_of([Dense(units=3)], ()), "one_of holds a list of objects; name it: one_of(none=(), one=[...])."),
        (lambda: one_of(1.0, float("nan")), "one_of got nan; allowed: finite numbers."),
        (
            lambda: one_of(**{"3x3": 1}),
            'one_of got the name "3x3"; allowed: plain words, as in one_of(small=..., large=...).',
        ),
        (lambda: between(3, 1), "between(3, 1) is empty: the smaller number comes first."),
        (
            lambda: between(1, 10, step=4),
            "between(1, 10, step=4) never reaches 10; the last value is 9, so write that.",
        ),
        (
            lambda: between(0.0, 1.0, step=0.3),
            "between(0.0, 1.0, step=0.3) never reaches 1.0; the last value is 0.9, so write that.",
        ),
        (
            lambda: between(1, 8, step=2, log=True),
            (
                "between(1, 8, step=2) with log=True cannot have a step; "
                "drop one of the two, or list the values in one_of."
            ),
        ),
        (lambda: between(0, 10, log=True), "between(0, 10) with log=True needs bounds above 0."),
        (lambda: between(16, 256, 16), "between takes two bounds; a step is given by name, step=16."),
        (lambda: between("a", 2), 'between("a", 2) got "a"; allowed: finite numbers.'),
        (lambda: between(1, None), "between(1, None) got None; allowed: finite numbers."),
        (lambda: between(True, 5), "between(True, 5) got True; allowed: finite numbers."),
        (lambda: between(1, float("inf")), 'between(1, float("inf")) got float("inf"); allowed: finite numbers.'),
        (lambda: between(1, 5, step=0), "between(1, 5, step=0) has step 0; allowed: a number above 0."),
        (
            lambda: between(1, 5, step=0.5),
            "between(1, 5, step=0.5) mixes whole bounds with a broken step; write the bounds as 1.0 as well.",
        ),
        (
            lambda: repeat(3, -1),
            "repeat got the count -1; allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2).",
        ),
        (
            lambda: repeat(3, between(0.5, 2.5)),
            (
                "repeat got the count between(0.5, 2.5); "
                "allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2)."
            ),
        ),
        (
            lambda: repeat(3, one_of(1, "a")),
            'repeat got the count one_of(1, "a"); allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2).',
        ),
        (
            lambda: repeat(between(1, 2), Stage(filters=3)),
            (
                "repeat got the count Stage(filters=3); "
                "allowed: a whole number of 0 or more, between(1, 4) or one_of(1, 2)."
            ),
        ),
        (
            lambda: tied("a b", between(1, 2)),
            'tied got the name "a b"; allowed: a plain word, such as tied("width", between(16, 64)).',
        ),
        (lambda: tied("x", 3), 'tied("x", 3) has nothing to choose; write the value itself.'),
    ],
)
def test_a_domain_that_cannot_be(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("domain", "ordinal"),
    [
        (one_of(16, 32, 64), True),
        (one_of(0.35, 1), True),
        (one_of(64, 32), False),
        (one_of(16), False),
        (one_of(None, 16), False),
        (one_of("a", "b"), False),
        (one_of(False, True), False),
        (one_of(small=16, large=32), False),
    ],
)
def test_ascending_numbers_are_a_scale(domain: Any, ordinal: bool) -> None:
    assert domain.ordinal is ordinal


def test_labels() -> None:
    assert one_of(None, 1, "a", (1, 2), (), Mine(), Adam(), between(1, 2), repeat(3, 2)).labels == (
        None,
        1,
        "a",
        "(1, 2)",
        "()",
        "Mine",
        "Adam",
        "between",
        "repeat",
    )
    assert one_of(none=(), one=[Dense(units=3)]) == OneOf(("none", "one"), ((), (Dense(units=3),)), named=True)


def test_numbers_of_numpy_are_taken_as_pythons() -> None:
    assert source(one_of(*np.array([0.1, 0.2], dtype="float32"))) == "one_of(0.1, 0.2)"
    assert source(one_of(np.int64(3), np.str_("a"), np.bool_(False))) == 'one_of(3, "a", False)'
    assert source(between(np.int64(1), np.int64(5), step=np.int64(2))) == "between(1, 5, step=2)"
    assert source(between(np.float64(0.0), np.float32(0.3), step=np.float32(0.1))) == "between(0.0, 0.3, step=0.1)"
    assert source(repeat(3, np.int64(2))) == "repeat(3, 2)"


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (between(16, 64, step=16), [16, 64, 32, 48.0], [0, 80, 17, 16.5, "16", None, True, float("nan")]),
        (between(0.0, 0.5, step=0.1), [0, 0.1, 0.1 + 0.2, 0.5], [0.05, 0.51, -0.1, 0.6, "0.1"]),
        (between(1, 3), [1, 2, 3], [0, 4, 1.5, False, float("inf")]),
        (between(1e-4, 1e-2, log=True), [1e-4, 1e-2, 0.00033333333], [0.0, 0.011, float("nan")]),
        (between(1e-13, 5e-13, step=1e-13), [1e-13, 3e-13], [1.5e-13]),
        (between(2.0, 2.0), [2, 2.0], [2.1]),
    ],
)
def test_membership(domain: Any, inside: list[Any], outside: list[Any]) -> None:
    assert [value for value in inside if value not in domain] == []
    assert [value for value in outside if value in domain] == []


@pytest.mark.parametrize(
    ("domain", "value", "snapped"),
    [
        (between(0.0, 0.5, step=0.1), 0.30000000000000004, 0.3),
        (between(0.0, 1.0), 0.123456789, 0.1235),
        (between(1e-4, 1e-2, log=True), 0.00123456, 0.001235),
        (between(100.0, 100.5), 100.123456, 100.123),  # four digits would leave six values of this narrow range
        (between(0.12345, 0.12349), 0.1234712, 0.1234712),
        (between(16, 64, step=16), 39.9, 32),
        (between(16, 64, step=16), 1e9, 64),
        (between(3, 3), 7, 3),
        (between(2.0, 2.0), 7, 2.0),
    ],
)
def test_snapping(domain: Any, value: float, snapped: float) -> None:
    assert repr(domain.snapped(value)) == repr(snapped)


def test_how_many_values_a_range_holds() -> None:
    ranges: list[tuple[Any, float]] = [
        (between(1, 4), 4),
        (between(16, 256, step=16), 16),
        (between(0.0, 0.5, step=0.1), 6),
        (between(0.0, 0.3, step=0.1), 4),
        (between(0.0, 0.5), float("inf")),
        (between(0.5, 0.5), 1),
    ]
    assert [domain.count for domain, _ in ranges] == [count for _, count in ranges]


def test_what_a_range_says_of_itself() -> None:
    assert between(16, 3_000_000, step=16).allowed == "a whole number from 16 to 3000000 in steps of 16"
    assert Between(0.0, 0.5).allowed == "a number from 0.0 to 0.5"
