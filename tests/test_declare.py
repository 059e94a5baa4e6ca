"""Declared objects: what they take, and that their source makes them again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
import pytest

import hpsearch
from hpsearch import (
    Adam,
    Augment,
    ConvNet,
    Dense,
    HyperModel,
    MaxNorm,
    Model,
    Recipe,
    Stage,
    Training,
    between,
    one_of,
    repeat,
)
from hpsearch.declare import (
    LINE_LENGTH,
    Anything,
    Choice,
    Declared,
    Either,
    Many,
    Maybe,
    Number,
    Text,
    Whole,
    brief,
    declared,
    option,
    plain,
    source,
)
from hpsearch.errors import SpaceError

PUBLIC = [getattr(hpsearch, name) for name in hpsearch.__all__]
CLASSES = [each for each in PUBLIC if is_dataclass(each)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_help_names_every_option_of_a_class_and_those_it_inherits(cls):
    told = inspect.cleandoc(cls.__doc__).partition("\nArgs:\n")[2].partition("\n\n")[0]
    begun = [line.strip().partition(":")[0] for line in told.splitlines() if not line.startswith("     ")]
    named = [name for names in begun for name in names.split(", ")]
    assert sorted(named) == sorted(option.name for option in fields(cls)), "each once"


def test_inherited_options_stand_before_what_a_class_raises():
    @declared
    class Shape(Declared):
        """Any shape.

        Args:
            colour: What it is
                painted in.
        """

        colour: str = option(Text())

    @declared
    class Circle(Shape):
        """A circle.

        Args:
            radius: In metres.

        Raises:
            ValueError: Never.
        """

        radius: float = option(Number(above=0))

    lines = inspect.getdoc(Circle).splitlines()
    assert lines[2:] == [
        "Args:",
        "    radius: In metres.",
        "    colour: What it is",
        "        painted in.",
        "",
        "Raises:",
        "    ValueError: Never.",
    ]


class Mode(Enum):
    FAST = 1


@dataclass(frozen=True)
class Positional:
    """A user's own block whose options may be given without a name."""

    first: Any = 1
    second: Any = 2
    computed: Any = field(default=0, init=False)


@dataclass(frozen=True)
class Listed:
    items: list[Any] = field(default_factory=list)


NAMES = {**vars(hpsearch), "Positional": Positional, "Listed": Listed, "Mode": Mode}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Positional(second=5), "Positional(second=5)"),
        (Positional(first=3, second=5), "Positional(first=3, second=5)"),
        (Positional(), "Positional()"),
        (Positional(first=1.0), "Positional(first=1.0)"),
        (Listed([1, Mode.FAST]), "Listed(items=[1, Mode.FAST])"),
        (Listed(), "Listed()"),
        (MaxNorm(3), "MaxNorm(3)"),
        ((1,), "(1,)"),
        ((), "()"),
        ({"b": (1, 2), "a": "it's"}, '{"b": (1, 2), "a": "it\'s"}'),
        (frozenset({"b", "a"}), 'frozenset({"a", "b"})'),
        ({3, 1}, "{1, 3}"),
        (set(), "set()"),
        (float("inf"), 'float("inf")'),
        ('a "quoted" text', "'a \"quoted\" text'"),
        ("line\nbreak", '"line\\nbreak"'),
        (one_of(small=Dense(units=3), large=Dense(units=9)), "one_of(small=Dense(units=3), large=Dense(units=9))"),
        (repeat(between(0.0, 0.5, step=0.1), between(1, 2)), "repeat(between(0.0, 0.5, step=0.1), between(1, 2))"),
        (between(1e-4, 1e-2, log=True), "between(0.0001, 0.01, log=True)"),
        (Stage(filters=[16, 32], pool=None), "Stage(filters=(16, 32), pool=None)"),
        (Positional(np.float32(0.1), np.int64(3)), "Positional(first=0.1, second=3)"),
    ],
)
def test_source(value: Any, text: str) -> None:
    assert source(value) == text
    assert eval(text, dict(NAMES)) == value


def test_long_source_is_broken_at_the_line_length() -> None:
    """Names before a value and the comma after it count, so that no line is a column too long."""
    for units in range(1, 400):
        network = ConvNet(stages=[Stage(filters=(units,) * 3, initializer="he_normal")] * (units % 5 + 1), dropout=0.25)
        recipe = Recipe(
            model=Model(body=network, dense=[Dense(units=units, dropout=0.5, activation="elu", use_bias=False)]),
            training=Training(epochs=units, batch_size=units, optimizer=Adam(learning_rate=1 / units)),
        )
        text = source(recipe)
        assert max(map(len, text.splitlines())) <= LINE_LENGTH
        again = eval(text, dict(NAMES))
        assert again == recipe
        assert source(again) == text


def test_source_that_begins_further_right() -> None:
    value = (1,) * 31
    flat = source(value)
    assert "\n" not in flat
    assert "\n" not in source(value, before=LINE_LENGTH - len(flat))
    broken = source(value, before=LINE_LENGTH - len(flat) + 1)
    assert broken.splitlines()[1] == "    1,"
    assert broken.splitlines()[-1] == ")"
    assert "\n" in source(value, before=LINE_LENGTH - len(flat), after=1)


def test_what_stands_in_a_sentence_is_one_short_line() -> None:
    network = ConvNet(stages=[Stage(filters=16)] * 20)
    assert "\n" in source(network)
    assert brief(network) == "ConvNet(...)"
    assert brief((1,) * 100) == f"({'1, ' * 25} ..."
    assert brief("x") == '"x"'


def test_lists_and_numbers_of_numpy_become_plain() -> None:
    assert Stage(filters=[np.int64(16), 32]).filters == (16, 32)
    assert repr(Stage(filters=np.int32(16), dropout=np.float32(0.3))) == "Stage(filters=16, dropout=0.3)"
    assert type(Augment(flip=np.str_("horizontal")).flip) is str
    same = (1, (2, 3))
    assert plain(same) is same
    assert plain([1, [2]]) == (1, (2,))
    assert isinstance(plain(np.zeros(3)), np.ndarray)


def build(hp: Any) -> None:
    """A builder of nothing."""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Dense(unit=3),
            (
                "Dense has no option 'unit'. Did you mean units? Its options are units, activation, dropout, "
                "batchnorm, batchnorm_momentum, batchnorm_scale, initializer, use_bias, kernel_constraint and "
                "kernel_regularizer."
            ),
        ),
        (lambda: Dense(), "Dense needs units; write Dense(units=...)."),
        (lambda: Recipe(), "Recipe needs model and training; write Recipe(model=...)."),
        (
            lambda: ConvNet([Stage(filters=3)]),
            (
                "ConvNet takes its options by name: ConvNet(stages=...). Its options are stages, input_size, stem, "
                "kernel_size, strides, padding, activation, initializer, use_bias, batchnorm, batchnorm_momentum, "
                "batchnorm_scale, separable, residual, pool, pool_size, pool_stride, pool_padding, dropout, "
                "kernel_constraint and kernel_regularizer."
            ),
        ),
        (lambda: MaxNorm(3, 4), "MaxNorm takes only max_value without a name. Its options are max_value."),
        (lambda: MaxNorm(), "MaxNorm needs max_value; write MaxNorm(max_value=...)."),
        (
            lambda: HyperModel(build, {"a": 1}),
            "HyperModel takes only build without a name. Its options are build, values, pixels and labels.",
        ),
    ],
)
def test_options_that_do_not_fit(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("rule", "allowed", "yes", "no"),
    [
        (Whole(1), "a whole number of 1 or more", [1, 7], [0, 1.0, True, "1", None]),
        (Whole(1, 3), "a whole number from 1 to 3", [1, 3], [4]),
        (Number(above=0), "a number above 0", [1, 1e-9], [0, float("inf"), float("nan"), True, "1"]),
        (Number(at_least=0, below=1), "a number of at least 0 and below 1", [0, 0.99], [1, -0.1]),
        (Choice(None, "max"), 'None or "max"', [None, "max"], ["min", 0, False]),
        (Choice(1, 2), "1 or 2", [1], [True, 1.0]),
        (Maybe(Text()), "a text or None", ["a", None], ["", 1]),
        (Many(Whole(1), at_least=1), "a list of 1 or more, each a whole number of 1 or more", [(1,), [2]], [(), 1]),
        (Either(Whole(1), Choice("all")), 'a whole number of 1 or more or "all"', [1, "all"], [0]),
        (Anything(), "anything", [None, object()], []),
    ],
)
def test_rules(rule: Any, allowed: str, yes: list[Any], no: list[Any]) -> None:
    assert rule.allowed == allowed
    assert [value for value in yes if not rule.accepts(value)] == []
    assert [value for value in no if rule.accepts(value)] == []


def test_declared_objects_are_equal_by_value_and_cannot_be_changed() -> None:
    assert Stage(filters=[16]) == Stage(filters=(16,))
    assert len({Stage(filters=[16]), Stage(filters=(16,))}) == 1
    with pytest.raises(AttributeError):
        Stage(filters=16).filters = 3  # type: ignore[misc]
