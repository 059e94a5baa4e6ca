"""A space and answers give a recipe, and the recipe gives the answers back: properties of random spaces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hpsearch
from hpsearch import (
    SGD,
    Adam,
    Augment,
    ConvNet,
    Dense,
    MobileNetV2,
    Model,
    Recipe,
    Stage,
    Training,
    between,
    one_of,
    repeat,
    tied,
)
from hpsearch.addresses import Choices, Parameter
from hpsearch.declare import LINE_LENGTH, source
from hpsearch.domains import Between, Domain
from hpsearch.errors import SpaceError
from hpsearch.resolve import answers_of, differences, dimensions, from_answers, has_domains, resolve, size


@dataclass(frozen=True)
class Leaf:
    """A user's own block: positional options with defaults."""

    a: Any = 1
    b: Any = "x"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A user's own block that holds others."""

    left: Any
    right: Any = ()


@dataclass(frozen=True, slots=True)
class Slim:
    """A user's own block without a ``__dict__``."""

    a: Any = 0.5


BLOCKS = {"Leaf": Leaf, "Node": Node, "Slim": Slim}
TIED: dict[str, Any] = {
    "width": between(16, 48, step=16),
    "kind": one_of("p", "q", None),
    "block": one_of(Leaf(a=one_of(1, 2)), Node(left=3)),
    "length": one_of(1, 2),
}

plain_values = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([0.0, 0.1, 0.25, 1e-4, 2.0]),
    st.booleans(),
    st.none(),
    st.text("abc\"'\\ ", max_size=4),
)


@st.composite
def ranges(draw: st.DrawFn, finite: bool = False) -> Any:
    low = draw(st.integers(-5, 50))
    steps, step = draw(st.integers(0, 4)), draw(st.sampled_from([1, 3, 16]))
    kind = draw(st.sampled_from(["whole", "step", "broken"] + ([] if finite else ["continuous", "log"])))
    if kind == "whole":
        return between(low, low + steps)
    if kind == "step":
        return between(low, low + steps * step, step=step)
    if kind == "broken":
        size_ = draw(st.sampled_from([0.1, 0.05, 0.3]))
        return between(round(low / 10, 1), round(round(low / 10, 1) + steps * size_, 2), step=size_)
    if kind == "log":
        return between(1e-4, draw(st.sampled_from([1e-3, 1e-1])), log=True)
    return between(0.0, draw(st.sampled_from([0.5, 1.0, 100.0])))


def counts(finite: bool) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.integers(0, 3),
        st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda pair: between(pair[0], sum(pair))),
        st.sampled_from([one_of(1, 2), one_of(few=0, many=2), one_of(2, 1), tied("length", TIED["length"])]),
    )


def distinct(options: list[Any]) -> Any:
    """A one_of of the options, those that cannot stand beside an earlier one left out."""
    kept: list[Any] = []
    for option in options:
        try:
            one_of(*kept, option)
        except SpaceError:
            continue
        kept.append(option)
    return one_of(*kept) if kept else 0


def inner(children: st.SearchStrategy[Any], finite: bool) -> st.SearchStrategy[Any]:
    lists = st.lists(children, max_size=2).map(tuple)
    return st.one_of(
        st.lists(children, min_size=1, max_size=3).map(distinct),
        st.lists(children, min_size=1, max_size=3).map(lambda o: one_of(**{f"option_{i}": v for i, v in enumerate(o)})),
        st.builds(repeat, children, counts(finite)),
        st.sampled_from(sorted(TIED)).map(lambda name: tied(name, TIED[name])),
        st.builds(Leaf, a=children, b=children),
        st.builds(Node, left=children, right=st.one_of(lists, children)),
        st.builds(Slim, a=children),
    )


def trees(finite: bool = False) -> st.SearchStrategy[Any]:
    """Trees of up to four levels, most of them with choices within choices."""
    leaves = st.one_of(plain_values, ranges(finite), ranges(finite))
    first = inner(leaves, finite)
    second = inner(st.one_of(first, leaves), finite)
    third = inner(st.one_of(second, first), finite)
    return st.one_of(second, third).map(lambda tree: Node(left=tree, right=tied("kind", TIED["kind"])))


def drawing(seed: int, asked: list[Parameter]) -> Any:
    """A suggest at random that notes what it was asked."""
    generator = random.Random(seed)

    def suggest(parameter: Parameter) -> Any:
        asked.append(parameter)
        domain = parameter.domain
        if isinstance(domain, Choices):
            return generator.choice(domain.labels)
        return domain.snapped(generator.uniform(domain.low, domain.high))

    return suggest


relaxed = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(trees(), st.integers(0, 2**32))
def test_a_sampled_recipe_gives_its_answers_back(tree: Any, seed: int) -> None:
    asked: list[Parameter] = []
    recipe = resolve(tree, drawing(seed, asked))
    assert not has_domains(recipe)
    names = [parameter.name for parameter in asked]
    assert len(set(names)) == len(names), "a choice was asked twice"

    answers = answers_of(tree, recipe)
    again: list[Parameter] = []
    look_up = from_answers(answers)

    def noting(parameter: Parameter) -> Any:
        again.append(parameter)
        return look_up(parameter)

    assert resolve(tree, noting) == recipe
    # Nothing is answered that is not asked, and the other way round.
    assert [parameter.name for parameter in again] == list(dict.fromkeys(parameter.name for parameter in again))
    assert {parameter.name for parameter in again} == set(answers)


@relaxed
@given(trees(), st.integers(0, 2**32))
def test_the_answers_that_were_given_resolve_to_the_same_recipe(tree: Any, seed: int) -> None:
    given_: dict[str, Any] = {}
    draw = drawing(seed, [])

    def suggest(parameter: Parameter) -> Any:
        given_[parameter.name] = draw(parameter)
        return given_[parameter.name]

    assert resolve(tree, suggest) == resolve(tree, from_answers(given_))


@relaxed
@given(trees(), st.integers(0, 2**32))
def test_source_makes_the_value_again(tree: Any, seed: int) -> None:
    names = {**vars(hpsearch), **BLOCKS}
    for value in (tree, resolve(tree, drawing(seed, []))):
        text = source(value)
        again = eval(text, dict(names))
        assert again == value
        assert source(again) == text
        for line in text.splitlines():
            assert len(line) <= LINE_LENGTH or "(" not in line.strip().rstrip("(,")


@settings(max_examples=150, deadline=None)
@given(trees(finite=True))
def test_dimensions_and_size_are_those_of_all_resolutions(tree: Any) -> None:
    if size(tree) > 400:
        return
    names, points = set(), 0
    for asked in everything(tree):
        points += 1
        names |= set(asked)
    assert size(tree) == points
    assert dimensions(tree) == len(names) or points == 0


def everything(tree: Any) -> Iterator[dict[str, Any]]:
    """The answers of every resolution, one after the other."""
    open_: list[list[tuple[str, Any]]] = [[]]
    while open_:
        prefix = open_.pop()
        made: list[tuple[str, Any]] = []
        branches: list[list[tuple[str, Any]]] = []

        def suggest(
            parameter: Parameter,
            prefix: list[tuple[str, Any]] = prefix,
            made: list[tuple[str, Any]] = made,
            branches: list[list[tuple[str, Any]]] = branches,
        ) -> Any:
            if len(made) < len(prefix):
                made.append(prefix[len(made)])
            else:
                first, *others = held(parameter.domain)
                branches.extend([*made, (parameter.name, other)] for other in others)
                made.append((parameter.name, first))
            return made[-1][1]

        resolve(tree, suggest)
        open_.extend(branches)
        yield dict(made)


def held(domain: Any) -> list[Any]:
    if isinstance(domain, Choices):
        return list(domain.labels)
    step = domain.step or 1
    return [domain.snapped(domain.low + i * step) for i in range(int(domain.count))]


@relaxed
@given(ranges(), st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_snapped_value_is_a_member_without_noise(domain: Any, value: float) -> None:
    snapped = domain.snapped(value)
    assert snapped in domain
    assert domain.low <= snapped <= domain.high
    assert domain.snapped(snapped) == snapped == domain.written(snapped)
    assert type(snapped) is (int if domain.whole else float)
    assert len(repr(snapped)) <= 9


@relaxed
@given(trees(), st.integers(0, 2**32), st.integers(0, 10_000), st.data())
def test_an_answer_outside_its_domain_is_refused(tree: Any, seed: int, which: int, data: Any) -> None:
    asked: list[Parameter] = []
    answers: dict[str, Any] = {}
    draw = drawing(seed, asked)

    def suggest(parameter: Parameter) -> Any:
        answers[parameter.name] = draw(parameter)
        return answers[parameter.name]

    resolve(tree, suggest)
    if not asked:
        return
    parameter = asked[which % len(asked)]
    outside = [float("nan"), "nowhere", 10_000, None, True]
    domain = parameter.domain
    wrong = [
        value
        for value in outside
        if (value not in domain if isinstance(domain, Between) else all(value is not label for label in domain.labels))
        and not (isinstance(domain, Choices) and any(type(v) is type(value) and v == value for v in domain.labels))
    ]
    with pytest.raises(SpaceError) as caught:
        resolve(tree, from_answers({**answers, parameter.name: data.draw(st.sampled_from(wrong))}))
    assert caught.value.address == parameter.name
    del answers[parameter.name]
    with pytest.raises(SpaceError, match="belong to another space"):
        resolve(tree, from_answers(answers))


# A space as it is really written.

SEARCH = Recipe(
    model=Model(
        body=one_of(
            ConvNet(
                stages=repeat(Stage(filters=repeat(between(16, 256, step=16), between(1, 3))), between(2, 4)),
                batchnorm=one_of(None, "before_activation", "after_activation", "once_per_stage"),
                kernel_size=one_of(3, 5),
                pool=one_of("max", "average"),
                dropout=between(0.0, 0.5, step=0.1),
                initializer=tied("initializer", one_of("glorot_uniform", "he_uniform")),
            ),
            MobileNetV2(alpha=one_of(0.35, 1.0), unfreeze_last=one_of(0, 20)),
        ),
        pooling=one_of("flatten", "average"),
        dense=repeat(
            Dense(
                units=between(32, 256, step=8),
                dropout=between(0.0, 0.5, step=0.1),
                initializer=tied("initializer", one_of("glorot_uniform", "he_uniform")),
            ),
            between(0, 3),
        ),
    ),
    training=Training(
        epochs=30,
        batch_size=one_of(64, 128, 256, 512),
        optimizer=one_of(
            Adam(learning_rate=between(1e-4, 1e-2, log=True)),
            SGD(learning_rate=between(1e-3, 1e-1, log=True), momentum=0.9),
        ),
        augment=Augment(flip=one_of(None, "horizontal")),
    ),
)


def test_names_are_addresses() -> None:
    asked: list[Parameter] = []
    labels = {"model.body": "ConvNet", "training.optimizer": "SGD"}
    draw = drawing(1, asked)

    def suggest(parameter: Parameter) -> Any:
        answer = draw(parameter)
        if isinstance(parameter.domain, Between) and parameter.domain.whole:
            answer = parameter.domain.low
        return labels.get(parameter.name, answer)

    resolve(SEARCH, suggest)
    assert [parameter.name for parameter in asked] == [
        "model.body",
        "model.body.stages",
        "model.body.stages[0].filters",
        "model.body.stages[0].filters[0]",
        "model.body.stages[1].filters",
        "model.body.stages[1].filters[0]",
        "model.body.kernel_size",
        "tied.initializer",
        "model.body.batchnorm",
        "model.body.pool",
        "model.body.dropout",
        "model.pooling",
        "model.dense",
        "training.batch_size",
        "training.optimizer",
        "training.optimizer(SGD).learning_rate",
        "training.augment.flip",
    ]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_the_realistic_space_goes_both_ways(seed: int) -> None:
    asked: list[Parameter] = []
    recipe = resolve(SEARCH, drawing(seed, asked))
    answers = answers_of(SEARCH, recipe)
    assert set(answers) == {parameter.name for parameter in asked}
    assert resolve(SEARCH, from_answers(answers)) == recipe
    text = source(recipe)
    assert eval(text, dict(vars(hpsearch))) == recipe
    assert max(map(len, text.splitlines())) <= LINE_LENGTH


def test_a_tied_choice_is_matched_by_what_suits_every_place() -> None:
    """The first option fits the first place, but only the second leaves the tie to what it is later."""
    width = tied("width", between(8, 64, step=8))
    tree = Node(left=one_of(shared=Leaf(a=width), free=Leaf(a=between(8, 64, step=8))), right=Leaf(a=width))
    assert answers_of(tree, Node(left=Leaf(a=16), right=Leaf(a=32))) == {
        "left": "free",
        "left.a": 16,
        "tied.width": 32,
    }
    assert answers_of(tree, Node(left=Leaf(a=32), right=Leaf(a=32))) == {"left": "shared", "tied.width": 32}


def test_what_is_tied_must_be_the_same() -> None:
    width = tied("width", between(8, 64, step=8))
    with pytest.raises(SpaceError) as caught:
        answers_of(Node(left=width, right=width), Node(left=16, right=24))
    assert str(caught.value) == 'right: got 24; it is tied to "width", which is 16 elsewhere.'


def test_what_is_tied_may_be_written_in_two_spellings() -> None:
    stage = tied("stage", one_of(small=Stage(filters=(16,)), large=Stage(filters=(32, 32))))
    recipe = Node(left=Stage(filters=(32, 32)), right=Stage(filters=32, convs=2))
    assert answers_of(Node(left=stage, right=stage), recipe) == {"tied.stage": "large"}


def test_numbers_are_answered_as_the_space_writes_them() -> None:
    tree = Node(left=between(0.0, 0.5, step=0.1), right=(between(0.0, 1.0), one_of(0.35, 1.0), between(1, 4)))
    answers = answers_of(tree, Node(left=0.1 + 0.2, right=(1, 1, 3)))
    assert [(name, repr(answer)) for name, answer in answers.items()] == [
        ("left", "0.3"),
        ("right[0]", "1.0"),
        ("right[1]", "1.0"),
        ("right[2]", "3"),
    ]


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (
            Recipe(model=Model(body=ConvNet(stages=[Stage(filters=16)])), training=Training(epochs=30)),
            "model.body.stages: has 1 elements: got 1; the space allows a whole number from 2 to 4.",
        ),
        (
            Recipe(
                model=Model(body=ConvNet(stages=[Stage(filters=16), Stage(filters=17)])), training=Training(epochs=30)
            ),
            "model.body.stages[1].filters[0]: got 17; the space allows a whole number from 16 to 256 in steps of 16.",
        ),
        (
            Recipe(
                model=Model(body=ConvNet(stages=[Stage(filters=16)] * 2, kernel_size=4)), training=Training(epochs=30)
            ),
            "model.body.kernel_size: got 4; the space allows 3 or 5.",
        ),
        (
            Recipe(
                model=Model(body=ConvNet(stages=[Stage(filters=16)] * 2, activation="elu")),
                training=Training(epochs=30),
            ),
            'model.body.activation: got "elu"; the space fixes it at "relu".',
        ),
        (
            Recipe(model=Model(body=Leaf()), training=Training(epochs=30)),
            "model.body: got Leaf; the space allows ConvNet or MobileNetV2.",
        ),
        (
            Recipe(
                model=Model(
                    body=ConvNet(stages=[Stage(filters=16)] * 2), dense=[Dense(units=64, initializer="he_uniform")]
                ),
                training=Training(epochs=30),
            ),
            (
                'model.dense[0].initializer: got "he_uniform"; it is tied to "initializer", '
                'which is "glorot_uniform" elsewhere.'
            ),
        ),
        (
            Recipe(model=Model(body=ConvNet(stages=[Stage(filters=16)] * 2)), training=Training(epochs=12)),
            "training.epochs: got 12; the space fixes it at 30.",
        ),
    ],
)
def test_a_recipe_outside_the_space_is_told_where_it_leaves_it(recipe: Recipe, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        answers_of(SEARCH, recipe)
    assert str(caught.value) == sentence


def test_every_place_at_which_a_recipe_leaves_the_space_is_told() -> None:
    body = ConvNet(stages=[Stage(filters=17), Stage(filters=(16, 300))], kernel_size=4, activation="elu")
    dense = [Dense(units=64, initializer="he_uniform")]
    recipe = Recipe(model=Model(body=body, dense=dense), training=Training(epochs=12, batch_size=64))
    places = [
        "model.body.stages[0].filters[0]",
        "model.body.stages[1].filters[1]",
        "model.body.kernel_size",
        "model.body.activation",
        "model.dense[0].initializer",
        "training.epochs",
    ]
    found = differences(SEARCH, recipe, 10)
    assert [error.address for error in found] == places
    assert str(found[0]).startswith("model.body.stages[0].filters[0]: got 17; the space allows a whole number from 16 ")
    assert [error.address for error in differences(SEARCH, recipe, 2)] == places[:2]


def test_another_kind_of_body_is_one_difference_and_hides_no_other() -> None:
    recipe = Recipe(model=Model(body=Leaf()), training=Training(epochs=12, batch_size=64))
    assert [error.address for error in differences(SEARCH, recipe, 10)] == ["model.body", "training.epochs"]
    few = ConvNet(stages=[Stage(filters=17)])
    recipe = Recipe(model=Model(body=few), training=Training(epochs=30, batch_size=64))
    assert [error.address for error in differences(SEARCH, recipe, 10)] == [
        "model.body.stages",
        "model.body.stages[0].filters[0]",
    ]


def test_a_point_of_the_space_differs_nowhere() -> None:
    recipe = Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=16)] * 2)), training=Training(epochs=30, batch_size=64)
    )
    assert differences(SEARCH, recipe, 10) == []


def test_no_augmentation_is_augmentation_of_nothing() -> None:
    recipe = Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=16)] * 2)),
        training=Training(epochs=30, batch_size=64, optimizer=Adam(learning_rate=1e-3)),
    )
    assert answers_of(SEARCH, recipe)["training.augment.flip"] is None
    fixed = Training(epochs=3)
    assert answers_of(fixed, Training(epochs=3, augment=Augment())) == {}


# Settings said on the network or on its stages.

TWO = (Stage(filters=16), Stage(filters=32))


@pytest.mark.parametrize(
    ("space", "network", "answers"),
    [
        (
            ConvNet(stages=TWO, pool=one_of("max", "average")),
            ConvNet(stages=[Stage(filters=16, pool="average"), Stage(filters=(32,), pool="average")]),
            {"pool": "average"},
        ),
        (
            ConvNet(stages=repeat(Stage(filters=between(16, 32, step=16), pool=one_of("max", None)), 2)),
            ConvNet(stages=[Stage(filters=16, pool="max"), Stage(filters=32)], pool=None),
            {"stages[0].filters": 16, "stages[0].pool": "max", "stages[1].filters": 32, "stages[1].pool": None},
        ),
        (  # one stage says it for itself, the other leaves it to a network that fixes it
            ConvNet(stages=(Stage(filters=16, batchnorm=one_of(None, "after_activation")), Stage(filters=32))),
            ConvNet(stages=(Stage(filters=16), Stage(filters=32, batchnorm=None)), batchnorm="after_activation"),
            {"stages[0].batchnorm": "after_activation"},
        ),
        (  # the network leaves it open, and what it is shows only in the stage that says nothing
            ConvNet(
                stages=(Stage(filters=16, kernel_size=one_of(3, 5)), Stage(filters=32)), kernel_size=one_of(3, 5, 7)
            ),
            ConvNet(stages=(Stage(filters=16), Stage(filters=32, kernel_size=7)), kernel_size=5),
            {"stages[0].kernel_size": 5, "kernel_size": 7},
        ),
        (  # options of a one_of that say different settings
            ConvNet(
                stages=one_of(
                    plain=(Stage(filters=16), Stage(filters=32)),
                    strided=(Stage(filters=16, pool=None, strides=2), Stage(filters=32, pool=None, strides=2)),
                ),
                dropout=one_of(0.0, 0.5),
            ),
            ConvNet(stages=TWO, pool=None, strides=2, dropout=0.5),
            {"stages": "strided", "dropout": 0.5},
        ),
        (  # one width and how often
            ConvNet(
                stages=(Stage(filters=one_of(16, 32), convs=between(1, 3)), Stage(filters=repeat(32, between(1, 3))))
            ),
            ConvNet(stages=(Stage(filters=(16, 16)), Stage(filters=32, convs=3))),
            {"stages[0].filters": 16, "stages[0].convs": 2, "stages[1].filters": 3},
        ),
        (
            ConvNet(stages=(Stage(filters=one_of(16, (16, 32)), convs=one_of(None, 2)),)),
            ConvNet(stages=(Stage(filters=(16, 32)),)),
            {"stages[0].filters": "(16, 32)", "stages[0].convs": None},
        ),
        (
            ConvNet(stages=TWO, pool_size=one_of(2, 3), pool_stride=2),
            ConvNet(stages=TWO, pool_size=2),
            {"pool_size": 2},
        ),
        (
            ConvNet(stages=TWO, pool_size=one_of(2, 3)),
            ConvNet(stages=TWO, pool_size=3, pool_stride=3),
            {"pool_size": 3},
        ),
    ],
)
def test_a_setting_may_be_said_elsewhere(space: ConvNet, network: ConvNet, answers: dict[str, Any]) -> None:
    assert answers_of(space, network) == answers
    again = resolve(space, from_answers(answers))
    assert answers_of(space, again) == answers


def test_a_stage_that_differs_from_the_rest_is_named() -> None:
    space = ConvNet(stages=TWO, pool=one_of("max", "average"))
    with pytest.raises(SpaceError) as caught:
        answers_of(space, ConvNet(stages=[Stage(filters=16), Stage(filters=32, pool=None)]))
    assert caught.value.address == "stages[1].pool"


def test_a_users_block_that_refuses_its_options_is_named() -> None:
    @dataclass(frozen=True)
    class Picky:
        width: Any

        def __post_init__(self) -> None:
            if not isinstance(self.width, Domain) and self.width > 1:
                raise ValueError("too wide")

    with pytest.raises(SpaceError) as caught:
        resolve(Node(left=Picky(width=one_of(2, 3))), from_answers({"left.width": 2}))
    assert str(caught.value) == "left: Picky refuses its options: ValueError: too wide"


def test_overlapping_options_without_a_match_do_not_take_long() -> None:
    option = one_of(narrow=Leaf(a=between(0, 60)), wide=Leaf(a=between(0, 90)), widest=Leaf(a=between(0, 99)))
    tree = Node(left=repeat(option, between(1, 40)), right="right")
    with pytest.raises(SpaceError) as caught:
        answers_of(tree, Node(left=(Leaf(a=5),) * 40, right="wrong"))
    assert str(caught.value) == 'right: got "wrong"; the space fixes it at "right".'
