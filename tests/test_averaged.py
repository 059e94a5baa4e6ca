"""Averaged weights: what is judged, kept and exported, while training goes on with the weights themselves."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from hpsearch import SGD, ConvNet, MaxNorm, Model, Recipe, Stage, Training
from hpsearch.data.parts import image_part
from hpsearch.errors import SpaceError
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import from_answers
from hpsearch.space import Space
from hpsearch.training.build import build
from hpsearch.training.fit import Saving, evaluate, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.measure import measure
from hpsearch.training.statistics import Statistics
from hpsearch.training.watch import Leaving, Watch

INPUTS = image_inputs((8, 8, 1), 3, 255.0)
NET = ConvNet(stages=[Stage(filters=4)], batchnorm="before_activation", dropout=0.2)
EPOCHS, STEPS = 3, 4


def part(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 100, (count, 8, 8, 1)) + 70 * labels[:, None, None, None]
    return image_part(images.astype("uint8"), labels.astype("int64"))


TRAIN, VALIDATION = part(16 * STEPS, 0), part(24, 1)


class Noting(Watch):
    """Notes the weights before each step and the epochs; leaves at a step of an epoch."""

    def __init__(self, network=None, at=None):
        self.network, self.at = network, at
        self.weights, self.epochs = [], []

    def step(self, epoch, step, steps):
        if self.network is not None and step < STEPS:
            self.weights.append([np.array(variable) for variable in self.network.trainable_variables])
        return (epoch, step) == self.at

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "go"


def recipe(body=NET, **training):
    options = {"epochs": EPOCHS, "batch_size": 16, "optimizer": SGD(learning_rate=0.02, momentum=0.9), "average": 0.8}
    return Recipe(model=Model(body=body), training=Training(**{**options, **training}))


def built(said):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return build(said, INPUTS, from_answers({}))


def trained(network, watch, folder=None):
    saving = None if folder is None else Saving(folder, "hash")
    options = {"metric": "val_loss", "maximize": False, "seed": 0, "watch": watch, "saving": saving}
    return fit(network, TRAIN, VALIDATION, INPUTS, **options)


def test_training_goes_on_with_the_weights_themselves():
    curves = []
    for average in (None, 0.8):
        watch = Noting()
        trained(built(recipe(average=average)), watch)
        curves.append(watch.epochs)
    for plain, averaged in zip(*curves, strict=True):
        assert [plain.metrics[name] for name in ("loss", "accuracy")] == [
            averaged.metrics[name] for name in ("loss", "accuracy")
        ]
        assert plain.metrics["val_loss"] != averaged.metrics["val_loss"]


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_what_is_kept_are_the_averages_and_their_statistics(precision):
    if keras.config.backend() == "jax":
        pytest.skip("JAX keeps the weights outside of the network while an epoch is trained")
    network = built(recipe(epochs=EPOCHS + 1, precision=precision))
    watch = Noting(network.network)
    trained(network, watch)
    pairs = pairwise(watch.weights[: EPOCHS * STEPS + 1])  # the last epoch is there for what the one before it left
    # With 16 bits, a step whose gradients are not finite is left out.
    after = [now for before, now in pairs if any((b != n).any() for b, n in zip(before, now, strict=True))]
    average = after[0]
    for weights in after[1:]:
        average = [0.8 * held + 0.2 * new for held, new in zip(average, weights, strict=True)]

    again = built(recipe(precision=precision))
    refit(again, TRAIN, INPUTS, learning_rates=[0.02] * EPOCHS, seed=0, watch=Watch())
    for mine, by_hand in zip(again.network.trainable_variables, average, strict=True):
        np.testing.assert_allclose(np.array(mine), by_hand, rtol=1e-4, atol=1e-5)
    held = [np.array(weight) for weight in again.network.weights]
    Statistics(again.network, TRAIN.images, 16).find()
    assert all((np.array(weight) == before).all() for weight, before in zip(again.network.weights, held, strict=True))

    best = built(recipe(precision=precision))
    outcome = trained(best, Noting())
    assert evaluate(best, VALIDATION, INPUTS)["loss"] == pytest.approx(outcome.score, rel=1e-3)


@pytest.mark.parametrize("at", [(2, 1), (2, STEPS), (3, 0)], ids=["within", "at its validation", "between"])
def test_a_training_that_is_left_ends_with_the_same_bits(at, tmp_path):
    whole, expected = built(recipe()), Noting()
    outcome = trained(whole, expected)
    leaving = Noting(at=at)
    with pytest.raises(Leaving):
        trained(built(recipe()), leaving, tmp_path)
    again, rest = built(recipe()), Noting()
    assert trained(again, rest, tmp_path) == outcome
    assert [each.metrics for each in [*leaving.epochs, *rest.epochs]] == [each.metrics for each in expected.epochs]
    pairs = zip(again.network.get_weights(), whole.network.get_weights(), strict=True)
    assert all((one == other).all() for one, other in pairs)


def test_averages_stay_within_the_bounds_of_weights():
    network = built(recipe(ConvNet(stages=[Stage(filters=4)], kernel_constraint=MaxNorm(0.3)), average=0.5))
    refit(network, TRAIN, INPUTS, learning_rates=[0.02] * EPOCHS, seed=0, watch=Watch())
    kernel = next(layer for layer in network.network.layers if isinstance(layer, keras.layers.Conv2D)).kernel
    sizes = np.sqrt((np.array(kernel) ** 2).sum(axis=0))
    assert sizes.max() <= 0.3 + 1e-5


def test_averages_take_memory_and_have_a_hash_of_their_own():
    memory = [
        measure(recipe(ConvNet(stages=[Stage(filters=200, convs=3)]), average=said), INPUTS).memory
        for said in (None, 0.9)
    ]
    assert memory[1] > memory[0]
    hashes = [recipe_hash(recipe(average=said)) for said in (None, 0.9, 0.99)]
    assert all(one != other for one, other in pairwise(hashes))
    assert "average" not in repr(recipe(average=None))
    with pytest.raises(SpaceError, match=r"training.average: got 1; allowed: a number above 0 and below 1 or None"):
        Space(data="digits", search=recipe(average=1))
