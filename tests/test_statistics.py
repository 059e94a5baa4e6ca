"""Batch normalisation after an epoch: by what the network sees then, unless the recipe says how slowly it follows."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from hpsearch import SGD, Augment, ConvNet, Dense, MobileNetV2, Model, Pretrained, Recipe, Stage, Training
from hpsearch.blocks.frozen import leaves
from hpsearch.data.parts import image_part
from hpsearch.resolve import from_answers
from hpsearch.training.build import build
from hpsearch.training.fit import fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.statistics import IMAGES, ROWS, Statistics
from hpsearch.training.watch import Watch

INPUTS = image_inputs((8, 8, 1), 10, 16.0)
CONV = ConvNet(stages=[Stage(filters=(4, 6))], batchnorm="before_activation", dropout=0.4)


@pytest.fixture(autouse=True)
def _same_start():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = found.images[..., np.newaxis].astype("uint8"), found.target.astype("int64")
    return SimpleNamespace(
        train=image_part(images[:600], labels[:600]), other=image_part(images[600:700], labels[600:700])
    )


def built(model=None, **training):
    options = {"epochs": 2, "batch_size": 32, "optimizer": SGD(learning_rate=0.05), **training}
    recipe = Recipe(model=model or Model(body=CONV), training=Training(**options))
    return build(recipe, INPUTS, from_answers({}))


def trained(network, digits):
    return fit(network, digits.train, digits.other, INPUTS, metric="val_loss", maximize=False, seed=1, watch=Watch())


def normalising(network):
    return [layer for layer in leaves(network) if isinstance(layer, keras.layers.BatchNormalization)]


def statistics(network):
    return [np.array(value) for layer in normalising(network) for value in layer.get_weights()[-2:]]


def seen(network, rows):
    """By hand: what each batch normalisation is given for these rows when those before it use exactly these rows."""
    x, found = rows.astype("float32"), []
    for layer in network.layers[1:]:
        if isinstance(layer, keras.layers.BatchNormalization):
            x = keras.ops.convert_to_numpy(x)
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
            found += [mean, variance]
            gamma, beta = layer.get_weights()[:2]
            x = (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta
        else:
            x = layer(x, training=False) if isinstance(layer, keras.layers.Dropout) else layer(x)
    return found


def test_they_are_those_of_training_rows_without_dropout(digits):
    network = built(batch_size=128)  # so that all rows go through at once
    network.network.set_weights([w + 0.1 for w in network.network.get_weights()])
    Statistics(network.network, digits.train.images, 128).find()
    chosen = np.sort(np.random.default_rng(0).choice(600, IMAGES, replace=False))
    for mine, by_hand in zip(
        statistics(network.network), seen(network.network, digits.train.images[chosen]), strict=True
    ):
        np.testing.assert_allclose(mine, by_hand, rtol=1e-3, atol=1e-4)


def test_several_batches_give_their_mean(digits):
    network = built(Model(body=ConvNet(stages=[Stage(filters=4)], batchnorm="before_activation")))
    Statistics(network.network, digits.train.images, 8).find()
    chosen = np.sort(np.random.default_rng(0).choice(600, IMAGES, replace=False))
    parts = [seen(network.network, digits.train.images[chosen[start : start + 32]]) for start in range(0, IMAGES, 32)]
    for mine, *by_hand in zip(statistics(network.network), *parts, strict=True):
        np.testing.assert_allclose(mine, np.mean(by_hand, axis=0), rtol=1e-3, atol=1e-4)


def test_a_trained_network_has_them_and_its_score_was_measured_with_them(digits):
    network = built(epochs=3, augment=Augment(translation=0.1))
    outcome = trained(network, digits)
    kept = statistics(network.network)
    Statistics(network.network, digits.train.images, 32).find()
    assert all(np.array_equal(before, after) for before, after in zip(kept, statistics(network.network), strict=True))
    measured = network.network.evaluate(digits.other.images, digits.other.labels, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(outcome.score, rel=1e-4)


def test_nothing_else_of_the_training_changes(digits):
    """Training itself normalises by the batch, so that losses are the same whatever the statistics are."""
    losses = []
    for momentum in (None, 0.5, 0.99):
        keras.utils.set_random_seed(0)
        body = ConvNet(stages=[Stage(filters=4)], batchnorm="after_activation", batchnorm_momentum=momentum)
        watch = Watch()
        told = []
        watch.epoch = lambda epoch, written, told=told: told.append(epoch.metrics["loss"]) or "go"
        network = built(Model(body=body))
        fit(network, digits.train, digits.other, INPUTS, metric="val_loss", maximize=False, seed=1, watch=watch)
        losses.append(told)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-6)


def test_a_momentum_that_is_said_is_followed(digits):
    body = ConvNet(stages=[Stage(filters=4, batchnorm_momentum=0.7), Stage(filters=4)], batchnorm="after_activation")
    network = built(Model(body=body, dense=[Dense(units=4, batchnorm="before_activation")]))
    assert [layer.momentum for layer in normalising(network.network)] == [0.7, 0.99, 0.99]
    before = statistics(network.network)
    Statistics(network.network, digits.train.images, 32).find()
    changed = [not np.array_equal(*pair) for pair in zip(before, statistics(network.network), strict=True)]
    assert changed == [False, False, True, True, True, True]
    assert [layer.momentum for layer in normalising(network.network)] == [0.7, 0.99, 0.99]


@pytest.mark.parametrize(
    ("options", "changes"), [({"frozen": False}, True), ({"unfreeze_last": 10}, False), ({}, False)]
)
def test_those_of_a_backbone_change_where_it_is_not_frozen(options, changes, digits):
    network = built(Model(body=MobileNetV2(weights=None, alpha=0.35, input_size=32, **options)))
    before = statistics(network.network)
    Statistics(network.network, digits.train.images, 32).find()
    after = statistics(network.network)
    assert [np.array_equal(*pair) for pair in zip(before, after, strict=True)] == [not changes] * len(before)


@pytest.mark.parametrize("frozen", [True, False])
def test_those_of_what_was_trained_before_change_where_it_is_not_frozen(frozen, digits, tmp_path):
    built(Model(body=CONV)).network.save(tmp_path / "before.keras")
    network = built(Model(body=Pretrained(str(tmp_path / "before.keras"), frozen=frozen)))
    before = statistics(network.network)
    Statistics(network.network, digits.train.images, 32).find()
    equal = [np.array_equal(*pair) for pair in zip(before, statistics(network.network), strict=True)]
    assert equal == [frozen] * 4


def test_a_network_without_batch_normalisation_is_left_alone(digits):
    network = built(Model(body=ConvNet(stages=[Stage(filters=2)])))
    before = network.network.get_weights()
    Statistics(network.network, digits.train.images, 32).find()
    assert all(np.array_equal(*pair) for pair in zip(before, network.network.get_weights(), strict=True))


def test_rows_of_a_table_are_more(digits):
    table = {"table": np.random.default_rng(0).normal(3, 2, (5000, 4)).astype("float32")}
    given = keras.Input((4,), name="table")
    dense = Dense(units=8, batchnorm="before_activation")
    network = keras.Model(given, dense(given, "dense0"))
    Statistics(network, table["table"], ROWS).find()
    assert all(np.abs(values).max() > 0.1 for values in statistics(network))


def test_a_retraining_without_validation_has_them(digits):
    network = built()
    refit(network, digits.train, INPUTS, learning_rates=[0.05, 0.05], seed=1, watch=Watch())
    kept = statistics(network.network)
    Statistics(network.network, digits.train.images, 32).find()
    assert all(np.array_equal(*pair) for pair in zip(kept, statistics(network.network), strict=True))


def test_several_inputs():
    rng = np.random.default_rng(0)
    x = {
        "image": rng.integers(0, 9, (60, 4, 4, 1)).astype("uint8"),
        "table": rng.normal(3, 2, (60, 4)).astype("float32"),
    }
    given = {name: keras.Input(rows.shape[1:], name=name) for name, rows in x.items()}
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(0.1)(given["image"]))
    joined = keras.layers.Concatenate()([pixels, given["table"]])
    network = keras.Model(given, Dense(units=3, batchnorm="after_activation")(joined))
    Statistics(network, x, 60).find()
    (mean, variance) = statistics(network)
    inner = keras.Model(given, network.get_layer("dense").output)
    rows = inner.predict(x, verbose=0)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-3, atol=1e-5)
