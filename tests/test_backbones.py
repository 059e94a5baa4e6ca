"""Networks of ``keras.applications`` as bodies: preprocessing, freezing, weights files, exports of stock Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hpsearch import (
    VGG16,
    Dense,
    EfficientNetV2B0,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    Model,
    ResNet50,
)
from hpsearch.errors import ModelError, WeightsError
from hpsearch.training.build import build_network
from hpsearch.training.inputs import image_inputs

PREPROCESSING = {
    VGG16: keras.applications.vgg16.preprocess_input,
    ResNet50: keras.applications.resnet50.preprocess_input,
    MobileNetV2: keras.applications.mobilenet_v2.preprocess_input,
    MobileNetV3Small: keras.applications.mobilenet_v3.preprocess_input,
    MobileNetV3Large: keras.applications.mobilenet_v3.preprocess_input,
    EfficientNetV2B0: keras.applications.efficientnet_v2.preprocess_input,
}
QUICK = (VGG16, MobileNetV2, MobileNetV3Small)
ALL = [
    pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow], id=kind.__name__) for kind in PREPROCESSING
]
INPUTS = image_inputs((32, 32, 3), 3, 255.0)


@pytest.fixture(autouse=True)
def _forget_networks() -> Iterator[None]:
    yield
    keras.utils.clear_session()


def built(body: Any, inputs: Any = INPUTS, **options: Any) -> Any:
    return build_network(Model(body=body, pooling="average", **options), inputs)


def inner(network: Any) -> Any:
    """The network of ``keras.applications`` within."""
    (found,) = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return found


def pixels(channels: int = 3, size: int = 32, white: float = 255.0) -> Any:
    return np.random.default_rng(0).uniform(0, white, (2, size, size, channels)).astype("float32")


@pytest.mark.parametrize("kind", ALL)
def test_the_preprocessing_inside_is_that_of_keras(kind: Any) -> None:
    network = built(kind(weights=None, frozen=False))
    images = pixels()
    features = keras.Model(network.input, network.get_layer("global_average").input)
    expected = inner(network)(PREPROCESSING[kind](images.copy()), training=False)
    assert np.asarray(features(images, training=False)) == pytest.approx(np.asarray(expected), rel=1e-3, abs=1e-4)


def test_other_ranges_of_pixels_are_scaled_to_bytes() -> None:
    body = MobileNetV3Small(weights=None, frozen=False)
    bytes_, unit = built(body), built(body, replace(INPUTS, white=1.0))
    unit.set_weights(bytes_.get_weights())
    images = pixels()
    assert np.asarray(unit(images / 255)) == pytest.approx(np.asarray(bytes_(images)), abs=1e-5)


def test_grey_images_become_three_equal_channels() -> None:
    network = built(VGG16(weights=None, frozen=False), image_inputs((32, 32, 1), INPUTS.classes, INPUTS.white))
    colour = built(VGG16(weights=None, frozen=False))
    colour.set_weights(network.get_weights())
    grey = pixels(channels=1)
    assert np.asarray(network(grey)) == pytest.approx(np.asarray(colour(np.repeat(grey, 3, axis=-1))), abs=1e-5)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            image_inputs((31, 64, 3), INPUTS.classes, INPUTS.white),
            (
                "model.body.input_size: MobileNetV3Small needs images of at least 32x32 pixels and gets 31x64; "
                "set input_size=32 or more."
            ),
        ),
        (
            image_inputs((32, 32, 4), INPUTS.classes, INPUTS.white),
            "model.body: MobileNetV3Small takes grey or colour images and gets 4 channels.",
        ),
    ],
)
def test_images_that_do_not_fit(inputs: Any, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        built(MobileNetV3Small(weights=None, frozen=False), inputs)
    assert str(caught.value) == said


def test_small_images_may_be_resized() -> None:
    network = built(
        MobileNetV3Small(weights=None, frozen=False, input_size=64),
        image_inputs((8, 8, 1), INPUTS.classes, INPUTS.white),
    )
    assert inner(network).input_shape == (None, 64, 64, 3)
    assert network(pixels(channels=1, size=8)).shape == (2, 3)


@pytest.mark.parametrize("kind", ALL)
def test_what_learns(kind: Any) -> None:
    head = 2  # kernel and bias
    everything = built(kind(weights=None, frozen=False))
    assert len(everything.trainable_weights) == len(inner(everything).trainable_weights) + head
    assert len(inner(everything).trainable_weights) > 20
    assert len(built(kind(weights=None)).trainable_weights) == head
    for last in (1, 5, 10_000):
        network = built(kind(weights=None, unfreeze_last=last))
        learning = [
            layer
            for layer in inner(everything).layers[-last:]
            if not isinstance(layer, keras.layers.BatchNormalization)
        ]
        assert len(network.trainable_weights) == sum(len(layer.trainable_weights) for layer in learning) + head
        assert len(network.weights) == len(everything.weights)


@pytest.mark.parametrize("unfreeze_last", [0, 10])
def test_a_frozen_backbone_keeps_its_statistics_while_the_head_learns(unfreeze_last: int) -> None:
    network = built(
        MobileNetV2(weights=None, alpha=0.35, unfreeze_last=unfreeze_last), dense=[Dense(units=4, activation="tanh")]
    )
    backbone = inner(network)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(layer.moving_variance * 0.1)  # untrained features would all but vanish
    images, labels = pixels(), np.array([0, 1])
    features = keras.Model(network.input, network.get_layer("global_average").output)
    same = np.asarray(features(images, training=True))
    assert same == pytest.approx(np.asarray(features(images, training=False)), abs=1e-4)
    before = {weight.path: np.array(weight) for weight in backbone.weights}
    network.compile(optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy")
    head = np.array(network.get_layer("head").kernel)
    network.fit(images, labels, epochs=1, verbose=0)
    changed = {
        weight.path for weight in backbone.weights if not np.array_equal(before[weight.path], np.asarray(weight))
    }
    assert not [path for path in changed if "moving" in path]
    assert bool(changed) == bool(unfreeze_last)
    assert changed <= {weight.path for weight in backbone.trainable_weights}
    assert not np.array_equal(head, np.asarray(network.get_layer("head").kernel))


def test_statistics_follow_where_nothing_is_frozen() -> None:
    network = built(MobileNetV2(weights=None, alpha=0.35, frozen=False))
    network.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    moving = [weight for weight in inner(network).weights if "moving_mean" in weight.path]
    before = [np.array(weight) for weight in moving]
    network.fit(pixels(), np.array([0, 1]), epochs=1, verbose=0)
    assert all(not np.array_equal(old, np.asarray(new)) for old, new in zip(before, moving, strict=True))


def test_weights_are_read_from_a_file(tmp_path: Path) -> None:
    source = keras.applications.MobileNetV2(include_top=False, weights=None, alpha=0.35, input_shape=(32, 32, 3))
    path = tmp_path / "mine.weights.h5"
    source.save_weights(path)
    network = built(MobileNetV2(weights=str(path), alpha=0.35))
    for expected, found in zip(source.get_weights(), inner(network).get_weights(), strict=True):
        assert np.array_equal(expected, found)


def test_weights_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    path = tmp_path / "none.h5"
    with pytest.raises(WeightsError, match=r"none\.h5 do not load into MobileNetV2"):
        built(MobileNetV2(weights=str(path), alpha=0.35))
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"none\.h5 do not load into MobileNetV2"):
        built(MobileNetV2(weights=str(path), alpha=0.35))


@pytest.mark.parametrize(
    ("body", "size", "name"),
    [
        (VGG16(), 64, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        (ResNet50(), 64, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        (MobileNetV2(alpha=0.35), 64, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"),
        (MobileNetV2(alpha=1), 128, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_128_no_top.h5"),
        (MobileNetV3Small(alpha=0.75), 64, "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5"),
        (MobileNetV3Large(), 64, "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"),
        (EfficientNetV2B0(), 64, "efficientnetv2-b0_notop.h5"),
    ],
)
def test_the_file_that_is_asked_for_is_the_one_that_keras_wants(
    body: Any, size: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert body.weights_file(size) == name
    wanted: list[str] = []

    def get_file(fname: str, *args: Any, **options: Any) -> str:
        wanted.append(fname)
        raise OSError("no network here")

    module = sys.modules[getattr(keras.applications, type(body).__name__).__module__]
    monkeypatch.setattr(module.file_utils, "get_file", get_file)
    with pytest.raises(WeightsError, match=f"put {name} into the data directory"):
        built(replace(body, input_size=size))
    assert wanted == [name]


LOAD = """
import json, sys
try:
    import hpsearch
    sys.exit("hpsearch is in reach")
except ImportError:
    pass
import keras, numpy as np
images = np.load("images.npy")
network = keras.models.load_model("network.keras")
json.dump([np.asarray(network(images, training=t)).tolist() for t in (False, True)], open("found.json", "w"))
json.dump(len(network.trainable_weights), open("trainable.json", "w"))
"""


@pytest.mark.parametrize("kind", ALL)
def test_a_saved_network_loads_without_hpsearch(kind: Any, tmp_path: Path) -> None:
    network = built(
        kind(weights=None, unfreeze_last=3, input_size=32), image_inputs((24, 20, 1), INPUTS.classes, INPUTS.white)
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 20, 1)).astype("float32")
    network.save(tmp_path / "network.keras")
    np.save(tmp_path / "images.npy", images)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOAD], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    if "hpsearch is in reach" in done.stderr:
        pytest.skip("hpsearch is installed, so that a process without it cannot be had")
    assert done.returncode == 0, done.stderr[-2000:]
    inference, training = json.loads((tmp_path / "found.json").read_text())
    expected = np.asarray(network(images, training=False))
    assert np.asarray(inference) == pytest.approx(expected, abs=1e-5)
    assert np.asarray(training) == pytest.approx(expected, abs=1e-5), "frozen: in inference mode throughout"
    assert json.loads((tmp_path / "trainable.json").read_text()) == len(network.trainable_weights)
