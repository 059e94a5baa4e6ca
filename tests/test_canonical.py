"""One canonical recipe and one hash for all recipes that build and train the same network."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hpsearch import (
    L1L2,
    L2,
    SGD,
    Adam,
    Augment,
    ConvNet,
    Dense,
    HyperModel,
    MaxNorm,
    MobileNetV2,
    Model,
    Recipe,
    RMSprop,
    Stage,
    Stem,
    Training,
    Whitening,
)
from hpsearch.blocks.stage import SETTINGS
from hpsearch.recipe import canonical, recipe_hash

SEARCH = Path(__file__).parents[1] / "search"
TRAINING = Training(epochs=1)
SHAPE = (4, 4, 1)
STEMS = [
    None,
    None,
    None,
    Stem(filters=4, kernel_size=3, strides=1, pool=None),
    Stem(filters=4, pool_size=1),
    Whitening(kernel_size=1),
    Whitening(kernel_size=1, padding="same"),
]


def recipe_of(body: Any, **options: Any) -> Recipe:
    return Recipe(model=Model(body=body, **options), training=TRAINING)


def random_recipe(draw: random.Random) -> Recipe:
    """A network of few possible forms in one of its many spellings."""
    settings = {
        "batchnorm": draw.choice([None, "before_activation", "after_activation", "once_per_stage"]),
        "batchnorm_momentum": draw.choice([0.8, 0.99]),
        "batchnorm_scale": draw.choice([True, False]),
        "activation": draw.choice(["relu", "linear"]),
        "kernel_size": draw.choice([1, 3]),
        "padding": draw.choice(["same", "valid"]),
        "separable": draw.choice([False, False, True]),
        "residual": draw.choice([False, False, True]),
        "pool": draw.choice([None, "max", "average"]),
        "pool_size": draw.choice([1, 2]),
        "pool_stride": draw.choice([None, 1, 2]),
        "pool_padding": draw.choice(["valid", "same"]),
        "dropout": draw.choice([0, 0.0, 0.5]),
    }
    # Few of them differ from the defaults at once, so that many recipes build the same network.
    settings = {name: settings[name] for name in draw.sample(sorted(settings), draw.randint(0, 4))}
    stages = []
    on_network = {name: value for name, value in settings.items() if draw.random() < 0.5}
    for _ in range(draw.choice([1, 1, 2])):
        filters = draw.choice([{"filters": 4}, {"filters": (4,)}, {"filters": (4, 4)}, {"filters": 4, "convs": 2}])
        again = {name: value for name, value in settings.items() if name not in on_network or draw.random() < 0.3}
        stages.append(Stage(**filters, **again))
    dense = [
        Dense(
            units=2,
            activation=draw.choice(["relu", "linear"]),
            batchnorm=draw.choice([None, "before_activation", "after_activation"]),
            batchnorm_momentum=draw.choice([0.8, 0.99]),
            batchnorm_scale=draw.choice([True, True, False]),
        )
    ]
    return recipe_of(
        ConvNet(stages=stages, stem=draw.choice(STEMS), input_size=draw.choice([None, None, 4]), **on_network),
        pooling=draw.choice(["flatten", "flatten", "average", "max"]),
        dense=dense if draw.random() < 0.3 else (),
    )


def network_of(recipe: Recipe) -> tuple[Any, ...]:
    """What Keras builds of a recipe: the layers that do something, by what they do."""
    from hpsearch.training.build import build_network
    from hpsearch.training.inputs import image_inputs

    network = build_network(recipe.model, image_inputs(SHAPE, 3, 255.0))
    return tuple(made for layer in network.layers if (made := effect_of(layer)) is not None)


def effect_of(layer: Any) -> tuple[str, str] | None:
    kind, config = type(layer).__name__, layer.get_config()
    config.pop("name")
    if kind == "Dropout" and not config["rate"]:
        return None
    if kind in ("Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D") and tuple(layer.input.shape[1:3]) == (1, 1):
        return "vector", ""
    if kind in ("Conv2D", "SeparableConv2D") and config["kernel_size"] == (1, 1):
        config["padding"] = "any"
    if kind in ("MaxPooling2D", "AveragePooling2D") and config["pool_size"] == (1, 1):
        return None if config["strides"] == (1, 1) else ("skip", str(config["strides"]))
    if kind == "Flatten":
        return "Flatten", ""
    return kind, repr(sorted(config.items(), key=str))


def test_one_hash_for_one_network() -> None:
    """Recipes that Keras builds alike share a hash, and recipes that share a hash are built alike."""
    from hpsearch.errors import ModelError

    draw = random.Random(20)
    networks: dict[tuple[Any, ...], dict[str, Recipe]] = {}
    hashes: dict[str, dict[tuple[Any, ...], Recipe]] = {}
    for _ in range(400):
        recipe = random_recipe(draw)
        try:
            network = network_of(recipe)
        except ModelError:
            continue
        hash_ = recipe_hash(recipe, SHAPE)
        networks.setdefault(network, {})[hash_] = recipe
        hashes.setdefault(hash_, {})[network] = recipe
    assert len(networks) > 50
    assert not [list(same.values()) for same in networks.values() if len(same) > 1], "one network, several hashes"
    assert not [list(same.values()) for same in hashes.values() if len(same) > 1], "several networks, one hash"


def test_the_canonical_recipe_is_its_own_and_builds_the_same() -> None:
    from hpsearch.errors import ModelError

    draw = random.Random(21)
    for _ in range(60):
        recipe = random_recipe(draw)
        once = canonical(recipe, SHAPE)
        assert canonical(once, SHAPE) == once
        try:
            assert network_of(once) == network_of(recipe)
        except ModelError:
            with pytest.raises(ModelError):
                network_of(once)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_counts_wherever_it_is_said(name: str) -> None:
    others: dict[str, Any] = {
        "kernel_size": 5,
        "strides": 2,
        "padding": "valid",
        "activation": "elu",
        "initializer": "he_normal",
        "use_bias": False,
        "batchnorm": "before_activation",
        "batchnorm_momentum": 0.99,
        "batchnorm_scale": False,
        "separable": True,
        "residual": True,
        "pool": "average",
        "pool_size": 3,
        "pool_stride": 1,
        "pool_padding": "same",
        "dropout": 0.5,
        "kernel_constraint": MaxNorm(3),
        "kernel_regularizer": L2(1e-4),
    }
    base = {"batchnorm": "after_activation"} if name.startswith("batchnorm_") else {}
    said = {**base, name: others[name]}
    stages = [Stage(filters=8), Stage(filters=8)]
    on_network = ConvNet(stages=stages, **said)
    on_stages = ConvNet(stages=[replace(stage, **said) for stage in stages])
    overridden = ConvNet(
        stages=[replace(stage, **said) for stage in stages], **{name: ConvNet(stages=stages, **base).__dict__[name]}
    )
    on_one = ConvNet(stages=[replace(stages[0], **{name: others[name]}), stages[1]], **base)
    plain = ConvNet(stages=stages, **base)
    hashes = [recipe_hash(recipe_of(body)) for body in (on_network, on_stages, overridden, on_one, plain)]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


SAME: list[tuple[Any, Any]] = [
    (Adam(learning_rate=1), Adam(learning_rate=1.0)),
    (SGD(weight_decay=0), SGD()),
    (SGD(momentum=0), SGD(momentum=0.0)),
    (RMSprop(momentum=0), RMSprop()),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_optimizers_that_do_the_same(left: Any, right: Any) -> None:
    body = ConvNet(stages=[Stage(filters=4)])
    recipes = [Recipe(model=Model(body=body), training=Training(epochs=1, optimizer=o)) for o in (left, right)]
    assert recipe_hash(recipes[0]) == recipe_hash(recipes[1])


def test_what_trains_differently_differs() -> None:
    body = ConvNet(stages=[Stage(filters=4)])
    trainings = [
        Training(epochs=1),
        Training(epochs=2),
        Training(epochs=1, batch_size=64),
        Training(epochs=1, optimizer=SGD()),
        Training(epochs=1, optimizer=SGD(weight_decay=1e-4)),
        Training(epochs=1, augment=Augment(flip="horizontal")),
        Training(epochs=1, early_stopping=3),
    ]
    assert len({recipe_hash(Recipe(model=Model(body=body), training=t)) for t in trainings}) == len(trainings)
    inactive = Recipe(model=Model(body=body), training=Training(epochs=1, augment=Augment(rotation=0)))
    assert recipe_hash(inactive) == recipe_hash(Recipe(model=Model(body=body), training=trainings[0]))


def test_whole_and_broken_numbers_are_one_where_both_are_allowed() -> None:
    pairs = [
        (MobileNetV2(alpha=1), MobileNetV2(alpha=1.0)),
        (ConvNet(stages=[Stage(filters=4, dropout=0)]), ConvNet(stages=[Stage(filters=4, dropout=0.0)])),
        (
            ConvNet(stages=[Stage(filters=4, kernel_constraint=MaxNorm(3))]),
            ConvNet(stages=[Stage(filters=4)], kernel_constraint=MaxNorm(3.0)),
        ),
        (
            ConvNet(stages=[Stage(filters=4)], kernel_regularizer=L1L2(l1=1, l2=2)),
            ConvNet(stages=[Stage(filters=4)], kernel_regularizer=L1L2(l1=1.0, l2=2.0)),
        ),
    ]
    for left, right in pairs:
        assert recipe_hash(recipe_of(left)) == recipe_hash(recipe_of(right))


def test_resizing_to_the_size_that_is_there_does_nothing() -> None:
    for body in (ConvNet(stages=[Stage(filters=4)]), MobileNetV2()):
        resized = recipe_of(replace(body, input_size=32))
        assert recipe_hash(resized, (32, 32, 3)) == recipe_hash(recipe_of(body), (32, 32, 3))
        assert recipe_hash(resized, (32, 48, 3)) != recipe_hash(recipe_of(body), (32, 48, 3))
        assert recipe_hash(resized) != recipe_hash(recipe_of(body))


def build(hp: Any) -> Any:
    raise NotImplementedError


def test_the_order_of_values_does_not_count() -> None:
    left, right = (
        Recipe(model=HyperModel(build, values=values), training=TRAINING)
        for values in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert recipe_hash(left) == recipe_hash(right)


@dataclass(frozen=True, slots=True)
class Slim:
    """A user's own block, whose whole numbers must stay whole."""

    width: int
    parts: tuple[Any, ...] = ()

    def __call__(self, x: Any) -> Any:
        return x


def test_a_users_own_block_is_looked_into_and_left_as_it_is() -> None:
    inner = ConvNet(stages=[Stage(filters=(4,))])
    made = canonical(recipe_of(Slim(width=3, parts=(inner,)))).model.body
    assert made == Slim(width=3, parts=(ConvNet(stages=[Stage(filters=(4,))]),))
    assert type(made.width) is int
    left, right = (recipe_of(Slim(width=3, parts=(ConvNet(stages=[Stage(filters=f)]),))) for f in (4, (4,)))
    assert recipe_hash(left) == recipe_hash(right)


def test_the_hash_does_not_depend_on_the_process() -> None:
    code = """
from dataclasses import dataclass
from hpsearch import *
from hpsearch.recipe import recipe_hash
from hpsearch.training.inputs import image_inputs

@dataclass(frozen=True)
class Mine:
    names: frozenset = frozenset({"alpha", "beta", "gamma", "delta", "epsilon"})
    def __call__(self, x):
        return x

class Tuner:
    def __init__(self, depth, shape):
        self.depth, self.size = depth, shape
    def build(self, hp):
        return None

training = Training(epochs=3, optimizer=SGD(momentum=0.9))
print(recipe_hash(Recipe(model=Model(body=Mine(frozenset("abcdefg"))), training=training)))
print(recipe_hash(Recipe(model=HyperModel(Tuner(3, {"x", "y", "z"}), values={"b": 1, "a": "x"}), training=training)))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(SEARCH), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert len(found.pop().split()) == 2


def test_all_placements_of_batchnorm() -> None:
    """One convolution: after it is once a stage; a linear one: before its activation is after it."""
    groups: dict[str, list[tuple[Any, ...]]] = {}
    placements = [None, "before_activation", "after_activation", "once_per_stage"]
    for placement, filters, activation in product(placements, [4, (4, 4)], ["relu", "linear"]):
        body = ConvNet(stages=[Stage(filters=filters)], batchnorm=placement, activation=activation)
        groups.setdefault(recipe_hash(recipe_of(body)), []).append((placement, filters, activation))
    assert sorted((sorted(group, key=str) for group in groups.values() if len(group) > 1), key=str) == [
        [("after_activation", (4, 4), "linear"), ("before_activation", (4, 4), "linear")],
        [
            ("after_activation", 4, "linear"),
            ("before_activation", 4, "linear"),
            ("once_per_stage", 4, "linear"),
        ],
        [("after_activation", 4, "relu"), ("once_per_stage", 4, "relu")],
    ]
