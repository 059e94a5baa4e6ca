"""Networks from papers and from the Keras documentation, said in the vocabulary and compared with plain Keras.

With the same weights the two must compute the same, layer by layer of the same shape.
"""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers

from hpsearch import L2, VGG16, ConvNet, Dense, MaxNorm, MobileNetV2, Model, Stage
from hpsearch.training.build import build_network, without_weights
from hpsearch.training.inputs import image_inputs

COMPARED = (
    layers.Conv2D,
    layers.Dense,
    layers.BatchNormalization,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.Flatten,
    layers.Dropout,
    keras.Model,
)
"""What is compared layer by layer; activations may stand within a layer or behind it."""


@pytest.fixture(autouse=True)
def forgotten_networks():
    yield
    keras.utils.clear_session()


def outline(network):
    """Kind and output shape of every layer that counts."""
    return [
        (next(kind.__name__ for kind in COMPARED if isinstance(layer, kind)), tuple(layer.output.shape[1:]))
        for layer in network.layers
        if isinstance(layer, COMPARED)
    ]


def told(network, images):
    """What a network gives, as an array."""
    return keras.ops.convert_to_numpy(network(images))


def assert_same(model, reference, shape, classes, *, white=1.0):
    """The declared model and the one in plain Keras have one outline, and with one set of weights one output."""
    ours = build_network(model, image_inputs(shape, classes, white))
    assert ours.count_params() == reference.count_params()
    assert outline(ours) == outline(reference)
    assert [weight.shape for weight in ours.trainable_weights] == [w.shape for w in reference.trainable_weights]
    ours.set_weights(reference.get_weights())
    images = np.random.default_rng(0).random((3, *shape), dtype=np.float32) * white
    np.testing.assert_allclose(told(ours, images), told(reference, images), atol=1e-5)
    return ours


def test_lenet_5():
    """LeCun et al., "Gradient-based learning applied to document recognition", 1998, as commonly rebuilt: 61,706."""
    reference = keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            layers.Conv2D(6, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(120, 5, activation="tanh"),
            layers.Flatten(),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model = Model(
        body=ConvNet(
            stages=[Stage(filters=6), Stage(filters=16), Stage(filters=120, pool=None)],
            kernel_size=5,
            padding="valid",
            activation="tanh",
            pool="average",
        ),
        dense=[Dense(units=84, activation="tanh")],
    )
    assert assert_same(model, reference, (32, 32, 1), 10).count_params() == 61_706


def test_mnist_convnet_of_the_keras_examples():
    """https://keras.io/examples/vision/mnist_convnet: 34,826 parameters."""
    reference = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model = Model(body=ConvNet(stages=[Stage(filters=32), Stage(filters=64)], padding="valid"), dropout=0.5)
    assert assert_same(model, reference, (28, 28, 1), 10).count_params() == 34_826


def test_cifar10_cnn_of_the_keras_examples():
    """Keras 1 and 2, examples/cifar10_cnn.py: 1,250,858 parameters; its padding changes within a block."""
    reference = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    stages = []
    for filters in (32, 64):
        stages += [Stage(filters=filters, pool=None), Stage(filters=filters, padding="valid", dropout=0.25)]
    model = Model(body=ConvNet(stages=stages), dense=[Dense(units=512, dropout=0.5)])
    assert assert_same(model, reference, (32, 32, 3), 10).count_params() == 1_250_858


def test_all_convolutional_net():
    """Springenberg et al., "Striving for simplicity", 2015, All-CNN-C: strides in place of pools.

    The paper's 1x1 convolution to the classes before the global average is a dense head after it: the same numbers.
    """
    image = x = keras.Input((32, 32, 3))
    for filters, size, strides, padding in (
        (96, 3, 1, "same"),
        (96, 3, 1, "same"),
        (96, 3, 2, "same"),
        (192, 3, 1, "same"),
        (192, 3, 1, "same"),
        (192, 3, 2, "same"),
        (192, 3, 1, "valid"),
        (192, 1, 1, "valid"),
    ):
        x = layers.Conv2D(filters, size, strides=strides, padding=padding, activation="relu")(x)
    in_paper = layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(10, 1)(x)))
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    reference, paper = keras.Model(image, x), keras.Model(image, in_paper)

    model = Model(
        body=ConvNet(
            stages=[
                Stage(filters=96, convs=2),
                Stage(filters=96, strides=2),
                Stage(filters=192, convs=2),
                Stage(filters=192, strides=2),
                Stage(filters=192, padding="valid"),
                Stage(filters=192, kernel_size=1),
            ],
            pool=None,
        ),
        pooling="average",
    )
    ours = assert_same(model, reference, (32, 32, 3), 10)
    assert ours.count_params() == paper.count_params() == 1_369_738
    weights = reference.get_weights()
    paper.set_weights([*weights[:-2], weights[-2][None, None], weights[-1]])
    images = np.random.default_rng(1).random((2, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(told(ours, images), told(paper, images), atol=1e-5)


def test_vgg_with_batch_norm_before_the_activation():
    """Blocks as in Ioffe and Szegedy, "Batch normalization", 2015: no bias where the normalisation adds one."""
    image = x = keras.Input((32, 32, 3))
    for filters, convs in ((64, 2), (128, 2), (256, 3)):
        for _ in range(convs):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Dense(512, use_bias=False)(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.ReLU()(layers.BatchNormalization()(x)))
    reference = keras.Model(image, layers.Dense(100, activation="softmax")(x))

    model = Model(
        body=ConvNet(
            stages=[Stage(filters=64, convs=2), Stage(filters=128, convs=2), Stage(filters=256, convs=3)],
            use_bias=False,
            batchnorm="before_activation",
            batchnorm_momentum=0.99,
            pool_size=3,
            pool_stride=2,
            pool_padding="same",
        ),
        dense=[Dense(units=512, use_bias=False, batchnorm="before_activation", batchnorm_momentum=0.99, dropout=0.5)],
    )
    ours = assert_same(model, reference, (32, 32, 3), 100)
    momenta = {layer.momentum for layer in ours.layers if isinstance(layer, layers.BatchNormalization)}
    assert momenta == {0.99}


def test_alexnet():
    """Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, on one GPU."""
    model = Model(
        body=ConvNet(
            stages=[
                Stage(filters=96, kernel_size=11, strides=4),
                Stage(filters=256, kernel_size=5, padding="same"),
                Stage(filters=(384, 384, 256), padding="same"),
            ],
            padding="valid",
            pool_size=3,
            pool_stride=2,
        ),
        dense=[Dense(units=4096, dropout=0.5), Dense(units=4096, dropout=0.5)],
    )
    ours = build_network(model, image_inputs((227, 227, 3), 1000, 255.0))
    assert ours.count_params() == 62_378_344
    pools = [layer.output.shape[1:] for layer in ours.layers if isinstance(layer, layers.MaxPooling2D)]
    assert pools == [(27, 27, 96), (13, 13, 256), (6, 6, 256)]


def test_transfer_learning_tutorial():
    """https://www.tensorflow.org/tutorials/images/transfer_learning: MobileNetV2, average, dropout, one unit."""
    backbone = keras.applications.MobileNetV2(input_shape=(160, 160, 3), include_top=False, weights=None)
    backbone.trainable = False
    image = keras.Input((160, 160, 3))
    x = backbone(keras.applications.mobilenet_v2.preprocess_input(image), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    reference = keras.Model(image, layers.Dense(1, activation="sigmoid")(x))

    model = Model(body=MobileNetV2(frozen=True), pooling="average", dropout=0.2, head="sigmoid")
    ours = assert_same(without_weights(model), reference, (160, 160, 3), 2, white=255.0)
    assert sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights) == 1_281


def test_fine_tuning_the_last_block_of_vgg16():
    """Chollet, "Building powerful image classification models using very little data": VGG16 up to block 4 frozen."""
    backbone = keras.applications.VGG16(input_shape=(150, 150, 3), include_top=False, weights=None)
    for layer in backbone.layers:
        layer.trainable = layer.name.startswith("block5")
    image = keras.Input((150, 150, 3))
    x = layers.Flatten()(backbone(keras.applications.vgg16.preprocess_input(image), training=False))
    x = layers.Dropout(0.5)(layers.Dense(256, activation="relu")(x))
    reference = keras.Model(image, layers.Dense(1, activation="sigmoid")(x))

    model = Model(body=VGG16(unfreeze_last=4), dense=[Dense(units=256, dropout=0.5)], head="sigmoid")
    ours = assert_same(without_weights(model), reference, (150, 150, 3), 2, white=255.0)
    assert len(ours.trainable_weights) == 2 * 3 + 2 * 2


def test_kernels_held_by_penalty_and_norm():
    """Srivastava et al., "Dropout", 2014: max-norm kernels; with an L2 penalty on the convolutions."""
    reference = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", kernel_regularizer=keras.regularizers.L2(5e-4)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu", kernel_constraint=keras.constraints.MaxNorm(3)),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model = Model(
        body=ConvNet(stages=[Stage(filters=16)], kernel_regularizer=L2(5e-4)),
        dropout=0.2,
        dense=[Dense(units=64, dropout=0.5, kernel_constraint=MaxNorm(3))],
    )
    ours = assert_same(model, reference, (28, 28, 1), 10)
    np.testing.assert_allclose(float(sum(ours.losses)), float(sum(reference.losses)), rtol=1e-6)
    bounds = [getattr(layer, "kernel_constraint", None) for layer in ours.layers]
    assert [bound.max_value for bound in bounds if bound is not None] == [3]


@dataclass(frozen=True)
class Pixels:
    """A user's block that leaves the image as it is."""

    def __call__(self, x):
        return x


@dataclass(frozen=True)
class Residual:
    """A user's block: two convolutions beside the way straight on."""

    filters: int

    def __call__(self, x):
        y = layers.Conv2D(self.filters, 3, padding="same", activation="relu")(x)
        y = layers.Conv2D(self.filters, 3, padding="same")(y)
        return layers.ReLU()(layers.add([x, y]))


def test_perceptron_of_the_tensorflow_tutorial_with_a_block_of_ones_own():
    """https://www.tensorflow.org/tutorials/keras/classification: no convolution at all, 101,770 parameters."""
    reference = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model = Model(body=Pixels(), dense=[Dense(units=128)])
    assert assert_same(model, reference, (28, 28, 1), 10).count_params() == 101_770


def test_residual_block_of_ones_own_among_the_stages():
    """He et al., "Deep residual learning", 2016: what the vocabulary does not know yet, a frozen dataclass adds."""
    image = x = keras.Input((32, 32, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(16, 3, padding="same", activation="relu")(x))
    for _ in range(2):
        y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
        y = layers.Conv2D(16, 3, padding="same")(y)
        x = layers.ReLU()(layers.add([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    reference = keras.Model(image, layers.Dense(10, activation="softmax")(x))

    body = ConvNet(stages=[Stage(filters=16), Residual(filters=16), Residual(filters=16)])
    assert_same(Model(body=body, pooling="average"), reference, (32, 32, 3), 10)
