"""Names of choices: the path to where a domain stands, with an option's label only where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hpsearch import SGD, Adam, Dense, RMSprop, Stage, between, one_of, repeat, tied
from hpsearch.addresses import Choices, Parameter, inside, leaf
from hpsearch.domains import Between
from hpsearch.resolve import resolve


@dataclass(frozen=True)
class Pair:
    left: Any = None
    right: Any = None


def names(tree: Any, **answers: Any) -> list[str]:
    """What is asked, with the last option or lowest value taken unless it is said otherwise."""
    asked: list[str] = []

    def suggest(parameter: Parameter) -> Any:
        asked.append(parameter.name)
        domain = parameter.domain
        default = domain.labels[-1] if isinstance(domain, Choices) else domain.low
        return answers.get(parameter.name, default)

    resolve(tree, suggest)
    return asked


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (Pair(between(1, 2), (3, between(4, 5))), ["left", "right[1]"]),
        (Pair(repeat(between(1, 2), 2)), ["left[0]", "left[1]"]),
        (Pair(repeat(repeat(between(1, 2), between(1, 2)), between(1, 2))), ["left", "left[0]", "left[0][0]"]),
        # Two options with a choice at the same path: the label tells them apart.
        (
            Pair(one_of(Adam(learning_rate=between(0.1, 0.2)), SGD(learning_rate=between(0.1, 0.9)))),
            ["left", "left(SGD).learning_rate"],
        ),
        # Choices at different paths need none.
        (
            Pair(one_of(Adam(learning_rate=between(0.1, 0.2)), SGD(momentum=between(0.1, 0.9)))),
            ["left", "left.momentum"],
        ),
        # An option that is a domain itself would be called what the choice is called.
        (Pair(one_of(None, between(1, 2))), ["left", "left(between)"]),
        (Pair(one_of(few=one_of(1, 2), many=one_of(3, 4))), ["left", "left(many)"]),
        (
            Pair(one_of(none=(), some=repeat(Dense(units=between(1, 2)), between(1, 2)))),
            ["left", "left(some)", "left(some)[0].units"],
        ),
        (Pair(one_of(none=(), one=(Dense(units=between(1, 2)),))), ["left", "left[0].units"]),
        # What is tied is called by its name, wherever it stands and however deep.
        (Pair(tied("w", between(1, 2)), tied("w", between(1, 2))), ["tied.w"]),
        (Pair(tied("o", one_of(Adam(), RMSprop(rho=between(0.1, 0.2))))), ["tied.o", "tied.o.rho"]),
        (
            Pair(repeat(Stage(filters=tied("w", between(1, 2)), kernel_size=one_of(5, 3)), 2)),
            ["tied.w", "left[0].kernel_size", "left[1].kernel_size"],
        ),
        (Pair(repeat(1, tied("n", between(1, 2)))), ["tied.n"]),
    ],
)
def test_names(tree: Any, expected: list[str]) -> None:
    assert names(tree) == expected


def test_inside() -> None:
    optimizers: Any = one_of(Adam(learning_rate=between(0.1, 0.2)), SGD(learning_rate=between(0.1, 0.9)))
    assert inside(optimizers, "Adam", "training.optimizer") == "training.optimizer(Adam)"
    plain: Any = one_of(3, 5)
    assert inside(plain, 3, "kernel_size") == "kernel_size"


def test_a_leaf_travels_without_its_options() -> None:
    choice: Any = one_of(small=Stage(filters=3), large=Stage(filters=9))
    assert leaf("a", choice) == Parameter("a", Choices(("small", "large")))
    scale: Any = one_of(16, 32)
    assert leaf("a", scale) == Parameter("a", Choices((16, 32), ordinal=True))
    number: Any = between(1, 3)
    assert leaf("a", number) == Parameter("a", Between(1, 3))
