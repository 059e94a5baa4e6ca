"""What is wrong in a recipe is said in one sentence: where, what it got, what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hpsearch import (
    L2,
    SGD,
    VGG16,
    Adam,
    Augment,
    ConvNet,
    Dense,
    HyperModel,
    MaxNorm,
    MobileNetV2,
    MobileNetV3Small,
    Model,
    Recipe,
    ResNet50,
    Stage,
    Training,
    between,
    one_of,
    repeat,
    tied,
)
from hpsearch.check import check
from hpsearch.declare import Anything, Instance
from hpsearch.errors import SpaceError

RECIPE = Instance((Recipe,), "Recipe(...)")
ONE = ConvNet(stages=[Stage(filters=8)])
BODIES = "ConvNet(...), a backbone, Pretrained(...), Concat(...), a block of your own or None."
A_FILTER = "a whole number of 1 or more or a list of 1 or more, each a whole number of 1 or more"


@dataclass(frozen=True)
class Mine:
    """A block of a user's own."""

    parts: Any = ()

    def __call__(self, x: Any) -> Any:
        return x


def recipe(body: Any = ONE, training: Any = None, **options: Any) -> Recipe:
    return Recipe(model=Model(body=body, **options), training=training or Training(epochs=1))


def net(**options: Any) -> ConvNet:
    return ConvNet(stages=[Stage(filters=8)], **options)


def sentence_of(value: Any) -> str:
    with pytest.raises(SpaceError) as caught:
        check(value, RECIPE)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_right_recipe_passes() -> None:
    check(recipe(), RECIPE)
    check(recipe(net(kernel_size=np.int64(3), dropout=np.float32(0.1), use_bias=np.bool_(False))), RECIPE)
    check(recipe(Mine(parts=repeat(Stage(filters=8), between(0, 2)))), RECIPE)
    check(recipe(Mine(parts=[{"a": 1}, one_of(1, 2)])), RECIPE)
    check(recipe(dense=one_of(none=(), one=[Dense(units=tied("u", between(1, 9)))])), RECIPE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel_size": 0}, "kernel_size: got 0; allowed: a whole number of 1 or more."),
        ({"kernel_size": 2.0}, "kernel_size: got 2.0; allowed: a whole number of 1 or more."),
        ({"kernel_size": True}, "kernel_size: got True; allowed: a whole number of 1 or more."),
        ({"kernel_size": (3, 3)}, "kernel_size: got (3, 3); allowed: a whole number of 1 or more."),
        (
            {"kernel_size": "3"},
            'kernel_size: got the text "3"; write 3, without quotes; allowed: a whole number of 1 or more.',
        ),
        (
            {"dropout": "0.3"},
            'dropout: got the text "0.3"; write 0.3, without quotes; allowed: a number of at least 0 and below 1.',
        ),
        ({"dropout": "much"}, 'dropout: got "much"; allowed: a number of at least 0 and below 1.'),
        ({"dropout": 1.0}, "dropout: got 1.0; allowed: a number of at least 0 and below 1."),
        ({"dropout": float("nan")}, 'dropout: got float("nan"); allowed: a number of at least 0 and below 1.'),
        ({"use_bias": 1}, "use_bias: got 1; allowed: True or False."),
        ({"pool": "maximum"}, 'pool: got "maximum"; allowed: None, "max" or "average".'),
        ({"pool": one_of("max", "avg")}, 'pool: got "avg"; allowed: None, "max" or "average".'),
        ({"pool": one_of(a="max", b=one_of("min", None))}, 'pool(b): got "min"; allowed: None, "max" or "average".'),
        (
            {"kernel_size": between(0, 3)},
            "kernel_size: got between(0, 3), which reaches 0; allowed: a whole number of 1 or more.",
        ),
        ({"kernel_size": between(-3, 0)}, "kernel_size: got between(-3, 0); allowed: a whole number of 1 or more."),
        (
            {"kernel_size": between(1.0, 3.0)},
            "kernel_size: got between(1.0, 3.0); allowed: a whole number of 1 or more.",
        ),
        (
            {"dropout": between(0.0, 1.0)},
            "dropout: got between(0.0, 1.0), which reaches 1.0; allowed: a number of at least 0 and below 1.",
        ),
        ({"kernel_size": repeat(3, 2)}, "kernel_size: got repeat(3, 2), a list; allowed: a whole number of 1 or more."),
        ({"kernel_constraint": 3}, "kernel_constraint: got 3; allowed: MaxNorm(3) or None."),
        (
            {"kernel_constraint": MaxNorm("3")},
            'kernel_constraint.max_value: got the text "3"; write 3, without quotes; allowed: a number above 0.',
        ),
        ({"kernel_regularizer": L2(0)}, "kernel_regularizer.factor: got 0; allowed: a number above 0."),
        (
            {"stages": ()},
            "stages: got (); allowed: a list of 1 or more, each Stage(...) or a block of your own.",
        ),
        (
            {"stages": Stage(filters=3)},
            (
                "stages: got Stage(filters=3); write it as a list, [Stage(filters=3)]; "
                "allowed: a list of 1 or more, each Stage(...) or a block of your own."
            ),
        ),
        (
            {"stages": between(1, 3)},
            "stages: got between(1, 3); allowed: a list of 1 or more, each Stage(...) or a block of your own.",
        ),
        (
            {"stages": repeat(Stage(filters=8), between(0, 3))},
            (
                "stages: got repeat(Stage(filters=8), between(0, 3)), which may be an empty list; "
                "allowed: a list of 1 or more, each Stage(...) or a block of your own."
            ),
        ),
        (
            {"stages": repeat(Stage(filters=8), tied("n", one_of(0, 3)))},
            (
                'stages: got repeat(Stage(filters=8), tied("n", one_of(0, 3))), which may be an empty list; '
                "allowed: a list of 1 or more, each Stage(...) or a block of your own."
            ),
        ),
        (
            {"stages": [Stage(filters=8), Stage]},
            (
                "stages[1]: got the class Stage; write an object of it, Stage(...); "
                "allowed: Stage(...) or a block of your own."
            ),
        ),
        (
            {"stages": [Stage(filters=8), Stage(filters="8")]},
            f'stages[1].filters: got the text "8"; write 8, without quotes; allowed: {A_FILTER}.',
        ),
        ({"stages": [Stage(filters=(8, -1))]}, "stages[0].filters[1]: got -1; allowed: a whole number of 1 or more."),
        ({"stages": [Stage(filters=())]}, f"stages[0].filters: got (); allowed: {A_FILTER}."),
        ({"stages": repeat(Stage(filters=0), 2)}, f"stages[*].filters: got 0; allowed: {A_FILTER}."),
        (
            {"stages": repeat(Stage(filters=repeat(between(0, 64, step=16), 2)), between(1, 3))},
            "stages[*].filters[*]: got between(0, 64, step=16), which reaches 0; allowed: a whole number of 1 or more.",
        ),
        (
            {"stages": one_of(a=[Stage(filters=between(0, 3))], b=[Stage(filters=between(1, 3))])},
            f"stages(a)[0].filters: got between(0, 3), which reaches 0; allowed: {A_FILTER}.",
        ),
        (
            {"stages": [Stage(filters=(8, 8), convs=2)]},
            (
                "stages[0].convs: got a number of convolutions beside a list of filters, whose length says it already; "
                "drop one of the two."
            ),
        ),
        (
            {"kernel_size": tied("k", one_of(3, 5)), "pool_size": tied("k", one_of(2, 3))},
            (
                'pool_size: got tied("k", one_of(2, 3)), but model.body.kernel_size ties one_of(3, 5) under that name; '
                "write the same domain at both places, or another name."
            ),
        ),
    ],
)
def test_a_wrong_option_of_a_network(options: dict[str, Any], said: str) -> None:
    assert sentence_of(recipe(ConvNet(**{"stages": [Stage(filters=8)], **options}))) == f"model.body.{said}"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: recipe(Adam()),
            f"model.body: got Adam(); allowed: {BODIES}",
        ),
        (
            lambda: recipe(ConvNet),
            (f"model.body: got the class ConvNet; write an object of it, ConvNet(...); allowed: {BODIES}"),
        ),
        (
            lambda: recipe("VGG16"),
            f'model.body: got "VGG16"; allowed: {BODIES}',
        ),
        (lambda: recipe(dense=[32]), "model.dense[0]: got 32; allowed: Dense(...) or a block of your own."),
        (
            lambda: recipe(dense=Dense(units=3)),
            (
                "model.dense: got Dense(units=3); write it as a list, [Dense(units=3)]; "
                "allowed: a list of any number, each Dense(...) or a block of your own."
            ),
        ),
        (
            lambda: recipe(dense=one_of(none=(), one=[Dense(units="x")])),
            'model.dense[0].units: got "x"; allowed: a whole number of 1 or more.',
        ),
        (
            lambda: recipe(training=Training(epochs=1, optimizer="adam")),
            'training.optimizer: got "adam"; allowed: Adam(...), AdamW(...), SGD(...), RMSprop(...), Muon(...).',
        ),
        (
            lambda: recipe(
                training=Training(
                    epochs=1,
                    optimizer=one_of(
                        Adam(learning_rate=between(0.0, 0.1)), SGD(learning_rate=between(1e-3, 0.1), momentum=0.9)
                    ),
                )
            ),
            (
                "training.optimizer(Adam).learning_rate: got between(0.0, 0.1), which reaches 0.0; "
                "allowed: a number above 0."
            ),
        ),
        (
            lambda: recipe(training=Training(epochs=1, optimizer=one_of(Adam(), SGD(momentum=1)))),
            "training.optimizer.momentum: got 1; allowed: a number of at least 0 and below 1.",
        ),
        (
            lambda: recipe(training=Training(epochs=1, optimizer=SGD(nesterov=True))),
            "training.optimizer.nesterov: got True without momentum; set momentum=0.9 or drop nesterov.",
        ),
        (
            lambda: recipe(training=Training(epochs=1, augment=Augment(flip="both"))),
            (
                'training.augment.flip: got "both"; allowed: None, "horizontal", "vertical", "horizontal_and_vertical" '
                'or "alternating".'
            ),
        ),
        (
            lambda: recipe(MobileNetV2(alpha=0.4)),
            "model.body.alpha: got 0.4; ImageNet weights exist for 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 only.",
        ),
        (
            lambda: recipe(MobileNetV3Small(alpha=0.5)),
            "model.body.alpha: got 0.5; ImageNet weights exist for 0.75 and 1.0 only.",
        ),
        (
            lambda: recipe(ResNet50(weights=None)),
            (
                "model.body.weights: got None for a frozen backbone, which would stay random; "
                'write frozen=False or weights="imagenet".'
            ),
        ),
        (
            lambda: recipe(VGG16(frozen=False, unfreeze_last=3)),
            (
                "model.body.unfreeze_last: got layers to unfreeze although frozen=False unfreezes all; "
                "drop one of the two."
            ),
        ),
        (
            lambda: recipe(Mine(parts=[Stage(filters=0)])),
            f"model.body.parts[0].filters: got 0; allowed: {A_FILTER}.",
        ),
        (
            lambda: recipe(Mine(parts={"a": one_of(1, 2)})),
            (
                'model.body.parts: got {"a": one_of(1, 2)}, in which nothing can be chosen; '
                "give each choice an option of its own."
            ),
        ),
        (
            lambda: Recipe(model=ONE, training=Training(epochs=1)),
            "model: got ConvNet(stages=(Stage(filters=8),)); allowed: Model(...), HyperModel(build).",
        ),
        (
            lambda: Recipe(model=Model, training=Training(epochs=1)),
            "model: got the class Model; write an object of it, Model(...); allowed: Model(...), HyperModel(build).",
        ),
        (lambda: recipe(training=Training(epochs=0)), "training.epochs: got 0; allowed: a whole number of 1 or more."),
        (lambda: 3, "got 3; allowed: Recipe(...)."),
    ],
)
def test_a_wrong_recipe(make: Callable[[], Any], said: str) -> None:
    assert sentence_of(make()) == said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            recipe(dense=[Dense(units=[4, 8, 16])]),
            "model.dense[0].units: got (4, 8, 16); a choice among them is written one_of(4, 8, 16); allowed: a whole n",
        ),
        (
            recipe(net(dropout=[0.1, 0.5])),
            "got (0.1, 0.5); a choice among them is written one_of(0.1, 0.5) or, from one to the other, between(0.1, 0",
        ),
        (recipe(pooling=["flatten", "average"]), 'is written one_of("flatten", "average"); allowed: '),
        (recipe([VGG16(), MobileNetV2()]), "is written one_of(VGG16(), MobileNetV2()); allowed: "),
        (
            recipe([net(), VGG16(), net(pool=None)]),
            "one_of(a=ConvNet(stages=(Stage(filters=8),)), b=VGG16(), c=ConvNet(",
        ),
        (recipe(dense=[Dense(units=list(range(1, 12)))]), "one_of(1, 2, 3, 4, 5, 6, 7, 8, ...); allowed: "),
    ],
)
def test_a_list_where_one_value_is_allowed_is_told_how_a_choice_is_written(wrong: Any, said: str) -> None:
    assert said in sentence_of(wrong)


@pytest.mark.parametrize("wrong", [(), (4,), (4, 0), (4, "a")], ids=str)
def test_a_list_that_is_no_choice_is_told_nothing_of_choices(wrong: Any) -> None:
    assert "one_of" not in sentence_of(recipe(dense=[Dense(units=wrong)]))


def test_an_object_that_is_too_long_for_a_sentence_goes_by_its_class() -> None:
    long = ConvNet(stages=[Stage(filters=(16, 32, 64))] * 9)
    assert sentence_of(Recipe(model=long, training=Training(epochs=1))) == (
        "model: got ConvNet(...); allowed: Model(...), HyperModel(build)."
    )


def test_options_that_contradict_each_other_may_be_left_to_later() -> None:
    check(recipe(VGG16(frozen=False, unfreeze_last=3)), RECIPE, together=False)
    # While one of them is open nothing contradicts anything yet.
    check(recipe(VGG16(frozen=one_of(True, False), unfreeze_last=3)), RECIPE)


def named(hp: Any) -> Any:
    """A builder of nothing."""


def test_everything_is_allowed_where_nothing_is_asked() -> None:
    check(Mine(parts=(1, "a", None, named)), Anything())
    check(HyperModel(named), Anything())
