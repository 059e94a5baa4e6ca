"""Residual stages, stems and separable convolutions, compared with the same in plain Keras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from hpsearch import L2, Adam, ConvNet, MaxNorm, Model, Recipe, Stage, Stem, Training, between, one_of, repeat
from hpsearch.blocks.stage import SETTINGS
from hpsearch.check import check
from hpsearch.declare import Anything, source
from hpsearch.errors import ModelError, SpaceError
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import answers_of, from_answers, resolve
from hpsearch.training.build import build_network
from hpsearch.training.inputs import image_inputs
from hpsearch.training.measure import measure

INPUTS = image_inputs((16, 16, 3), 4, 1.0)


@pytest.fixture(autouse=True)
def _forgotten_networks() -> Iterator[None]:
    yield
    keras.utils.clear_session()


def built(**options: Any) -> Any:
    return build_network(Model(body=ConvNet(**options), pooling="average"), INPUTS)


def conv(x: Any, filters: int, size: int = 3, strides: int = 1, **options: Any) -> Any:
    return layers.Conv2D(filters, size, strides=strides, padding="same", **options)(x)


def normal(x: Any) -> Any:
    return layers.BatchNormalization(momentum=0.9)(x)


def reference(body: Any) -> Any:
    image = keras.Input(INPUTS.shape)
    x = layers.GlobalAveragePooling2D()(body(image))
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def assert_same(ours: Any, theirs: Any) -> None:
    """Layer by layer the same weights, and with the same values the same outputs."""
    assert ours.count_params() == theirs.count_params()

    def in_order(network: Any) -> list[Any]:
        # Keras orders the weights of parallel layers by their depth alone, so they are paired by shape within it.
        return sorted(network.weights, key=lambda weight: (weight.name, tuple(weight.shape)))

    generator = np.random.default_rng(0)
    for one, other in zip(in_order(ours), in_order(theirs), strict=True):
        assert one.shape == other.shape
        value = generator.random(one.shape, dtype=np.float32) / math.sqrt(one.shape[0])
        one.assign(value)
        other.assign(value)
    images = generator.random((2, *INPUTS.shape), dtype=np.float32)
    told = [keras.ops.convert_to_numpy(network(images)) for network in (ours, theirs)]
    np.testing.assert_allclose(*told, atol=1e-5)


def test_a_block_of_he_et_al_with_a_projection() -> None:
    """Convolution, normalisation, activation, convolution, normalisation, sum, activation; then the pool."""

    def body(x: Any) -> Any:
        y = layers.Activation("relu")(normal(conv(x, 8, strides=2)))
        y = normal(conv(y, 8))
        x = layers.Add()([y, normal(conv(x, 8, 1, strides=2))])
        return layers.MaxPooling2D()(layers.Activation("relu")(x))

    ours = built(stages=[Stage(filters=(8, 8), strides=2)], batchnorm="before_activation", residual=True)
    assert_same(ours, reference(body))
    names = [layer.name for layer in ours.layers]
    assert names.index("stage1_add") < names.index("stage1_conv2_relu") < names.index("stage1_pool")


def test_an_input_of_the_same_shape_is_added_as_it_is() -> None:
    def body(x: Any) -> Any:
        y = conv(conv(x, 5, activation="relu"), 3)
        return layers.Activation("relu")(layers.Add()([y, x]))

    ours = built(stages=[Stage(filters=(5, 3), residual=True, pool=None)])
    assert_same(ours, reference(body))
    assert not [layer.name for layer in ours.layers if "shortcut" in layer.name]


@pytest.mark.parametrize("placement", ["after_activation", "once_per_stage"])
def test_normalisation_behind_the_activation_stands_behind_the_sum(placement: str) -> None:
    def body(x: Any) -> Any:
        y = conv(x, 6, activation="elu")
        y = normal(y) if placement == "after_activation" else y
        x = layers.Add()([conv(y, 6), conv(x, 6, 1)])
        return normal(layers.Activation("elu")(x))

    stages = [Stage(filters=6, convs=2)]
    assert_same(built(stages=stages, residual=True, batchnorm=placement, activation="elu", pool=None), reference(body))


def test_a_stem_is_one_wide_convolution_and_a_pool() -> None:
    def body(x: Any) -> Any:
        x = layers.Activation("relu")(normal(conv(x, 8, 7, strides=2)))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        return layers.MaxPooling2D()(layers.Activation("relu")(normal(conv(x, 4))))

    ours = built(stem=Stem(filters=8), stages=[Stage(filters=4)], batchnorm="before_activation", dropout=0.3)
    assert_same(ours, reference(body))
    assert "stem_dropout" not in [layer.name for layer in ours.layers]


def test_separable_convolutions() -> None:
    def body(x: Any) -> Any:
        for filters in (6, 7):
            x = layers.SeparableConv2D(filters, 3, padding="same", activation="relu")(x)
        return layers.MaxPooling2D()(x)

    ours = built(stages=[Stage(filters=(6, 7), separable=True)])
    assert_same(ours, reference(body))
    assert ours.count_params() == (3 * 9 + 3 * 6 + 6) + (6 * 9 + 6 * 7 + 7) + (7 * 4 + 4)


def test_what_bounds_weights_bounds_both_kernels_of_a_separable_convolution() -> None:
    ours = built(stages=[Stage(filters=6, separable=True)], kernel_constraint=MaxNorm(2), kernel_regularizer=L2(1e-3))
    layer = ours.get_layer("stage1_conv1")
    for kernel in ("depthwise", "pointwise"):
        assert getattr(layer, f"{kernel}_constraint").max_value == 2
        assert getattr(layer, f"{kernel}_regularizer").l2 == pytest.approx(1e-3)


def test_a_small_resnet_has_the_parameters_of_the_paper() -> None:
    """He et al., 2016, section 4.2, n = 3: "ResNet-20" with 0.27 million; here with projections where widths change."""
    blocks = [
        Stage(filters=(width, width), strides=2 if block == 0 and width > 16 else 1)
        for width in (16, 32, 64)
        for block in range(3)
    ]
    body = ConvNet(
        stem=Stem(filters=16, kernel_size=3, strides=1, pool=None),
        stages=blocks,
        residual=True,
        pool=None,
        batchnorm="before_activation",
        use_bias=False,
    )
    network = build_network(Model(body=body, pooling="average"), image_inputs((32, 32, 3), 10, 255.0))
    convolutions = 3 * 9 * 16 + 6 * 9 * 16 * 16 + (16 + 5 * 32) * 9 * 32 + (32 + 5 * 64) * 9 * 64
    projections = 16 * 32 + 32 * 64
    normalised = 4 * (16 + 6 * 16 + 6 * 32 + 6 * 64 + 32 + 64)
    assert network.count_params() == convolutions + projections + normalised + 64 * 10 + 10 == 274_042
    assert network.get_layer("stage9_add").output.shape == (None, 8, 8, 64)


def test_a_sum_needs_padding() -> None:
    with pytest.raises(ModelError) as caught:
        built(stages=[Stage(filters=4), Stage(filters=4, residual=True, padding="valid")])
    assert str(caught.value) == (
        "model.body.stages[1].residual: got True with padding 'valid', which makes the sum of two sizes; "
        "write padding='same' or residual=False."
    )
    built(stages=[Stage(filters=4, residual=True, padding="valid", kernel_size=1)])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (ConvNet(stages=[Stage(filters=4, residual="yes")]), 'stages[0].residual: got "yes"; allowed: True or False'),
        (ConvNet(stages=[Stage(filters=4)], separable=1), "separable: got 1; allowed: True or False."),
        (
            ConvNet(stages=[Stage(filters=4)], stem=8),
            "stem: got 8; allowed: Stem(filters=64), Whitening(kernel_size=2) or None.",
        ),
        (ConvNet(stages=[Stage(filters=4)], stem=Stem(filters=0)), "stem.filters: got 0; allowed: a whole number of 1"),
    ],
)
def test_what_is_not_allowed_is_refused_when_loaded(body: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        check(body, Anything())
    assert str(caught.value).startswith(sentence)


def hash_of(body: ConvNet) -> str:
    return recipe_hash(Recipe(model=Model(body=body), training=Training(epochs=1)))


def test_a_stem_is_the_stage_that_does_the_same() -> None:
    first = {"padding": "same", "pool_padding": "same", "dropout": 0.0, "residual": False}
    rest = {"dropout": 0.2, "residual": True, "activation": "elu"}
    stem = ConvNet(stem=Stem(filters=8), stages=[Stage(filters=4)], **rest)
    stage = Stage(filters=8, kernel_size=7, strides=2, pool="max", pool_size=3, pool_stride=2, **first)
    assert hash_of(stem) == hash_of(ConvNet(stages=[stage, Stage(filters=4)], **rest))
    assert hash_of(stem) != hash_of(ConvNet(stages=[Stage(filters=4)], **rest))


def test_a_residual_stage_is_not_cut_in_pieces() -> None:
    whole = ConvNet(stages=[Stage(filters=(4, 4), residual=True)])
    halves = ConvNet(stages=[Stage(filters=4, pool=None, residual=True), Stage(filters=4, residual=True)])
    again = ConvNet(stages=[Stage(filters=4, convs=2)], residual=True)
    assert hash_of(whole) == hash_of(again) != hash_of(halves)


def test_nothing_new_is_printed_where_nothing_new_is_said() -> None:
    said = source(ConvNet(stages=[Stage(filters=4)]))
    assert said == "ConvNet(stages=(Stage(filters=4),))"
    assert {"residual", "separable"} <= set(SETTINGS)


SPACE = ConvNet(
    stem=one_of(None, Stem(filters=between(8, 32, step=8), kernel_size=one_of(3, 7), pool=one_of("max", None))),
    stages=repeat(Stage(filters=between(4, 8), convs=one_of(1, 2), separable=one_of(True, False)), between(1, 3)),
    residual=one_of(True, False),
    activation=one_of("relu", "elu"),
)


def test_every_draw_is_a_point_of_its_space_however_it_is_printed() -> None:
    import random

    from hpsearch.training.inspection import at_random

    draw = at_random(random.Random(3))
    for _ in range(50):
        drawn = resolve(SPACE, draw)
        again = eval(source(drawn), {"ConvNet": ConvNet, "Stage": Stage, "Stem": Stem})
        assert again == drawn
        assert resolve(SPACE, from_answers(answers_of(SPACE, again))) == drawn


def test_settings_said_on_stages_do_not_change_a_stem() -> None:
    """A stem does as the network says, so the network must be what the space has it to be."""
    space = ConvNet(stem=Stem(filters=8), stages=[Stage(filters=between(4, 8))], activation="elu")
    other = ConvNet(stem=Stem(filters=8), stages=[Stage(filters=4, activation="elu")])
    with pytest.raises(SpaceError, match="the space fixes it at"):
        answers_of(space, other)
    plain = ConvNet(stages=[Stage(filters=4, activation="elu")])
    assert answers_of(ConvNet(stages=[Stage(filters=between(4, 8))], activation="elu"), plain)


def test_a_separable_network_costs_what_its_two_convolutions_cost() -> None:
    recipe = Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=6, pool=None)], separable=True), pooling="average"),
        training=Training(epochs=1, optimizer=Adam()),
    )
    measured = measure(recipe, INPUTS)
    assert measured.flops == 2 * 16 * 16 * (9 * 3 + 3 * 6) + 2 * 6 * 4
    assert measured.parameters == 27 + 18 + 6 + 24 + 4
