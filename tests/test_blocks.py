"""Blocks as Keras builds them: layers in their order, counts, shapes, and what does not fit."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest

from hpsearch import (
    L1,
    L1L2,
    L2,
    Adam,
    Augment,
    ConvNet,
    Dense,
    MaxNorm,
    Model,
    Recipe,
    Stage,
    Training,
    between,
    one_of,
    repeat,
)
from hpsearch.addresses import Choices, Parameter
from hpsearch.check import check
from hpsearch.declare import Anything
from hpsearch.errors import ModelError, SpaceError
from hpsearch.resolve import resolve
from hpsearch.training.build import UserCodeError, build, build_network
from hpsearch.training.inputs import image_inputs

INPUTS = image_inputs((8, 8, 1), 3, 16.0)


def built(body: Any, **options: Any) -> Any:
    return build_network(Model(body=body, **options), INPUTS)


def layers_of(network: Any) -> list[str]:
    return [layer.name for layer in network.layers]


def test_a_network_layer_by_layer() -> None:
    network = built(
        ConvNet(stages=[Stage(filters=(4, 8)), Stage(filters=8, pool=None)], batchnorm="after_activation", dropout=0.2),
        pooling="average",
        dropout=0.1,
        dense=[Dense(units=5, dropout=0.3, batchnorm="before_activation")],
    )
    assert layers_of(network) == [
        "image",
        "pixels",
        "stage1_conv1",
        "stage1_conv1_batchnorm",
        "stage1_conv2",
        "stage1_conv2_batchnorm",
        "stage1_pool",
        "stage1_dropout",
        "stage2_conv1",
        "stage2_conv1_batchnorm",
        "stage2_dropout",
        "global_average",
        "dropout",
        "dense1",
        "dense1_batchnorm",
        "dense1_relu",
        "dense1_dropout",
        "head",
    ]
    assert network.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (None, ["conv1", "conv2", "pool"]),
        (
            "before_activation",
            ["conv1", "conv1_batchnorm", "conv1_relu", "conv2", "conv2_batchnorm", "conv2_relu", "pool"],
        ),
        ("after_activation", ["conv1", "conv1_batchnorm", "conv2", "conv2_batchnorm", "pool"]),
        ("once_per_stage", ["conv1", "conv2", "conv2_batchnorm", "pool"]),
    ],
)
def test_where_batchnorm_stands(placement: str | None, expected: list[str]) -> None:
    network = built(ConvNet(stages=[Stage(filters=(4, 4))], batchnorm=placement))
    assert [name.removeprefix("stage1_") for name in layers_of(network) if name.startswith("stage1_")] == expected
    activations = [layer.activation.__name__ for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert activations == (["linear"] * 2 if placement == "before_activation" else ["relu"] * 2)


def test_a_stage_may_say_otherwise_than_the_network() -> None:
    network = built(
        ConvNet(
            stages=[
                Stage(filters=4),
                Stage(filters=4, kernel_size=5, activation="elu", use_bias=False, initializer="he_normal"),
            ],
            kernel_size=3,
            initializer="orthogonal",
            kernel_constraint=MaxNorm(2),
            kernel_regularizer=L2(1e-3),
        )
    )
    first, second = (layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    assert (first.kernel_size, second.kernel_size) == ((3, 3), (5, 5))
    assert (first.activation.__name__, second.activation.__name__) == ("relu", "elu")
    assert (first.use_bias, second.use_bias) == (True, False)
    assert type(first.kernel_initializer).__name__ == "Orthogonal"
    assert type(second.kernel_initializer).__name__ == "HeNormal"
    for layer in (first, second):
        assert layer.kernel_constraint.max_value == 2
        assert layer.kernel_regularizer.l2 == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("penalty", "l1", "l2"), [(L1(0.1), 0.1, 0), (L2(0.2), 0, 0.2), (L1L2(l1=0.1, l2=0.2), 0.1, 0.2)]
)
def test_penalties(penalty: Any, l1: float, l2: float) -> None:
    layer = built(ConvNet(stages=[Stage(filters=2)]), dense=[Dense(units=2, kernel_regularizer=penalty)]).get_layer(
        "dense1"
    )
    found = layer.kernel_regularizer
    assert float(getattr(found, "l1", 0)) == pytest.approx(l1)
    assert float(getattr(found, "l2", 0)) == pytest.approx(l2)


STAGES = {
    "filters": [1, (2,), (2, 3)],
    "kernel_size": [1, 2, 3, 5],
    "strides": [1, 2, 3],
    "padding": ["same", "valid"],
    "pool": [None, "max", "average"],
    "pool_size": [1, 2, 3],
    "pool_stride": [None, 1, 2, 3],
    "pool_padding": ["same", "valid"],
}


def test_the_shape_that_is_reckoned_is_the_shape_that_keras_builds() -> None:
    draw = random.Random(4)
    fitted = refused = 0
    for _ in range(150):
        stages = [Stage(**{name: draw.choice(values) for name, values in STAGES.items()}) for _ in range(2)]
        net = ConvNet(stages=stages, input_size=draw.choice([None, None, 6, 9]))
        image = keras.Input((draw.choice([5, 8]), 8, 1))
        try:
            shape = net.output_shape(tuple(image.shape[1:]))
        except ModelError:
            refused += 1
            with pytest.raises(ModelError, match=r"^stages\["):
                net(image)
            continue
        fitted += 1
        assert tuple(net(image).shape[1:]) == shape
    assert min(fitted, refused) > 20


def test_too_many_pools_are_told_by_stage() -> None:
    with pytest.raises(ModelError) as caught:
        built(ConvNet(stages=[Stage(filters=2)] * 4))
    assert str(caught.value) == (
        "model.body.stages[3].pool_size: a window of 2x2 does not fit into the 1x1 pixels that are left here; "
        "use fewer stages, pool=None, a smaller window, or padding 'same'."
    )


def test_images_are_resized_inside_the_network() -> None:
    net = ConvNet(stages=[Stage(filters=2)], input_size=4)
    assert "resize" in layers_of(built(net))
    assert built(net).get_layer("stage1_pool").output.shape == (None, 2, 2, 2)
    assert "resize" not in layers_of(built(replace(net, input_size=8)))


def test_the_head_for_two_classes() -> None:
    network = built(ConvNet(stages=[Stage(filters=2)]), head="sigmoid")
    assert network.output_shape == (None, 1)
    assert network.get_layer("head").activation.__name__ == "sigmoid"


@dataclass(frozen=True)
class Mine:
    """A user's own block."""

    units: int = 2
    fails: bool = False

    def __call__(self, x: Any) -> Any:
        if self.fails:
            raise ValueError("no luck\ntoday")
        return keras.layers.Dense(self.units)(x)


def test_a_users_own_block_may_stand_anywhere() -> None:
    network = built(ConvNet(stages=[Stage(filters=2), Mine(units=5), Stage(filters=3)]), dense=[Mine(), Dense(units=3)])
    assert network.output_shape == (None, 3)
    assert built(Mine()).output_shape == (None, 3)


def test_a_users_own_block_that_fails_is_named() -> None:
    with pytest.raises(UserCodeError) as caught:
        built(ConvNet(stages=[Stage(filters=2)]), dense=[Mine(), Mine(fails=True)])
    assert str(caught.value) == "model.dense[1]: Mine raised ValueError: no luck today"


# Everything that can be sampled builds, or says why not.

SPACE = Recipe(
    model=Model(
        body=ConvNet(
            stages=repeat(
                Stage(filters=repeat(between(4, 8, step=4), between(1, 2)), pool=one_of("max", "average", None)),
                between(1, 4),
            ),
            batchnorm=one_of(None, "before_activation", "after_activation", "once_per_stage"),
            kernel_size=one_of(1, 3, 5),
            strides=one_of(1, 2),
            padding=one_of("same", "valid"),
            pool_size=one_of(2, 3),
            pool_stride=one_of(None, 1, 2),
            dropout=between(0.0, 0.5, step=0.1),
            activation=one_of("relu", "elu", "linear"),
            kernel_constraint=one_of(None, MaxNorm(3)),
        ),
        pooling=one_of("flatten", "average", "max"),
        dense=repeat(Dense(units=between(4, 16, step=4), dropout=between(0.0, 0.5, step=0.1)), between(0, 2)),
    ),
    training=Training(epochs=1, optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True))),
)


def test_what_is_sampled_builds_or_says_where_it_does_not_fit() -> None:
    generator = random.Random(5)

    def suggest(parameter: Parameter) -> Any:
        domain = parameter.domain
        if isinstance(domain, Choices):
            return generator.choice(domain.labels)
        return domain.snapped(generator.uniform(domain.low, domain.high))

    outcomes, addresses = [], []
    for _ in range(50):
        recipe = resolve(SPACE, suggest)
        try:
            check(recipe, Anything())
            network = build(recipe, INPUTS, suggest).network
        except (ModelError, SpaceError) as error:
            outcomes.append(False)
            addresses.append(error.address)
            continue
        assert network.output_shape == (None, 3)
        outcomes.append(True)
    assert outcomes.count(True) > 15
    assert outcomes.count(False) > 3
    assert not [address for address in addresses if not address.startswith("model.body.stages[")]


def test_the_ten_networks_count_as_their_author_counted() -> None:
    """Three of the networks in spaces/cifar.py; their totals come from their author's own tables."""

    def convs(*widths: Any) -> list[Stage]:
        return [Stage(filters=width) for width in widths]

    def count(stages: list[Stage], dense: list[int], **options: Any) -> int:
        model = Model(body=ConvNet(stages=stages, **options), dense=[Dense(units=units) for units in dense])
        return int(build_network(model, image_inputs((32, 32, 3), 10, 255.0)).count_params())

    assert count(convs(32, 32), [32]) == 76_042
    assert count(convs((32, 32), 32, 32), [32]) == 45_386
    assert count(convs((64, 64), (128, 128), (224, 256)), [256, 128, 64], batchnorm="after_activation") == 2_128_874


def test_augmentation_layers() -> None:
    everything = Augment(flip="horizontal", rotation=0.1, translation=0.1, zoom=0.1, contrast=0.1, brightness=0.1)
    names = [type(layer).__name__ for layer in everything.build(255.0, seed=1)]
    assert names == [
        "RandomFlip",
        "RandomRotation",
        "RandomTranslation",
        "RandomZoom",
        "RandomContrast",
        "RandomBrightness",
    ]
    assert everything.active
    assert not Augment().active
    assert Augment().build(255.0, seed=1) == []
    images = np.random.default_rng(0).uniform(0, 16, (4, 8, 8, 1)).astype("float32")
    changed = images
    for layer in everything.build(16.0, seed=1):
        changed = np.asarray(layer(changed, training=True))
    assert changed.shape == images.shape
    assert changed.min() >= -1e-4
    assert changed.max() <= 16 + 1e-4
