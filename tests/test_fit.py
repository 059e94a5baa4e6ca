"""Training one recipe: the best epoch is kept, early ends are ends, and a retraining replays the learning rates."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from hpsearch import SGD, Augment, ConvNet, HyperModel, Model, Plateau, Recipe, Stage, Training
from hpsearch.data.parts import image_part
from hpsearch.resolve import from_answers
from hpsearch.training.build import UserCodeError, build
from hpsearch.training.fit import NotFiniteError, evaluate, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.watch import Watch

INPUTS = image_inputs((4, 4, 1), 2, 255.0)
NET = ConvNet(stages=[Stage(filters=2)])
UNPOOLED = ConvNet(stages=[Stage(filters=2, pool=None, activation="linear")])


def part(count, seed):
    """Dark and bright images, easily told apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = (random.integers(0, 100, (count, 4, 4, 1)) + 150 * labels[:, None, None, None]).astype("uint8")
    return image_part(images, labels.astype("int64"))


TRAIN, VALIDATION = part(64, 0), part(32, 1)


@pytest.fixture(autouse=True)
def _same_start():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def built(model=None, *, rate=0.1, **training):
    recipe = Recipe(
        model=model or Model(body=NET),
        training=Training(**{"epochs": 3, "batch_size": 16, "optimizer": SGD(learning_rate=rate), **training}),
    )
    return build(recipe, INPUTS, from_answers({}))


class Noting(Watch):
    """Notes the epochs, and ends training after some."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.epochs = []

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "halt" if len(self.epochs) == self.stop_after else "go"


def trained(network, *, metric="val_accuracy", stop_after=None, train=TRAIN, validation=VALIDATION):
    """The outcome, and the epochs it went through."""
    watch = Noting(stop_after)
    maximize = metric == "val_accuracy"
    outcome = fit(network, train, validation, INPUTS, metric=metric, maximize=maximize, seed=0, watch=watch)
    return outcome, watch.epochs


@pytest.mark.parametrize(("metric", "best"), [("val_accuracy", max), ("val_loss", min)])
@pytest.mark.parametrize("augment", [None, Augment(flip="horizontal", translation=0.5)], ids=["plain", "augmented"])
def test_the_network_is_left_with_the_weights_of_its_best_epoch(metric, best, augment):
    network = built(rate=2.0, epochs=6, augment=augment)  # a rate so high that scores go up and down
    outcome, epochs = trained(network, metric=metric)
    values = [epoch.metrics[metric] for epoch in epochs]
    assert outcome.score == best(values)
    assert outcome.best_epoch == values.index(best(values)) + 1
    bare = metric.removeprefix("val_")
    assert evaluate(network, VALIDATION, INPUTS)[bare] == pytest.approx(outcome.score, rel=1e-4)
    assert evaluate(network, TRAIN, INPUTS)[bare] == pytest.approx(outcome.train_score, rel=1e-4)


def test_it_learns():
    outcome, epochs = trained(built(epochs=20))
    assert outcome.score > 0.9
    assert [epoch.epoch for epoch in epochs] == list(range(1, 21))
    assert set(epochs[0].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}


def test_one_sigmoid_unit_learns_as_well():
    outcome, _ = trained(built(Model(body=NET, head="sigmoid"), epochs=20))
    assert outcome.score > 0.9


def test_whoever_watches_may_stop_it():
    outcome, epochs = trained(built(), stop_after=2)
    assert len(epochs) == 2
    assert outcome.best_epoch in (1, 2)


def test_early_stopping_and_plateau():
    _, epochs = trained(built(rate=1e-12, epochs=9, early_stopping=4, schedule=Plateau(patience=2, factor=0.1)))
    assert [epoch.metrics["learning_rate"] for epoch in epochs] == pytest.approx([1e-12, 1e-12, 1e-12, 1e-13, 1e-13])


def test_a_retraining_replays_the_learning_rates():
    network = built(epochs=9, early_stopping=1, schedule=Plateau(patience=1))
    watch = Noting()
    rates = (0.1, 0.05, 0.2, 0.2)
    refit(network, TRAIN, INPUTS, learning_rates=rates, seed=0, watch=watch)
    assert [epoch.metrics["learning_rate"] for epoch in watch.epochs] == pytest.approx(rates)
    assert set(watch.epochs[0].metrics) == {"loss", "accuracy", "learning_rate"}


class TestNotFinite:
    def test_the_loss(self):
        with pytest.raises(NotFiniteError, match=r"the loss became (nan|inf) in epoch 1"):
            trained(built(rate=1e38))

    def test_the_score(self):
        images = np.full((4, 4, 4, 1), np.nan, "float32")
        with pytest.raises(NotFiniteError, match="the val_loss was never finite"):
            trained(built(Model(body=UNPOOLED)), metric="val_loss", validation=image_part(images, np.arange(4) % 2))


def compiled(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=("accuracy",)):
    def make(hp):
        net = keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
        )
        if loss:
            net.compile(optimizer, loss, metrics=list(metrics))
        return net

    return make


class TestHyperModel:
    def test_is_trained_as_it_was_compiled(self):
        _, epochs = trained(built(HyperModel(compiled(optimizer=keras.optimizers.SGD(0.025)))))
        assert epochs[0].metrics["learning_rate"] == pytest.approx(0.025)

    def test_gets_optimizer_and_loss_where_it_leaves_them_out(self):
        _, epochs = trained(built(HyperModel(compiled(loss=None)), rate=0.075))
        assert epochs[0].metrics["learning_rate"] == pytest.approx(0.075)

    @pytest.mark.parametrize("labels", ["index", "one_hot"])
    @pytest.mark.parametrize("pixels", ["0..1", "raw"])
    def test_gets_what_it_asks_for(self, labels, pixels):
        loss = {"index": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy"}[labels]
        outcome, _ = trained(built(HyperModel(compiled(loss), labels=labels, pixels=pixels)))
        assert 0 <= outcome.score <= 1

    def test_without_a_metric_for_the_objective_is_told_what_to_do(self):
        with pytest.raises(UserCodeError, match=r"gives no val_accuracy.*compile with metrics=\['accuracy'\]"):
            trained(built(HyperModel(compiled(metrics=()))))

    def test_may_do_without_where_the_objective_is_the_loss(self):
        outcome, _ = trained(built(HyperModel(compiled(metrics=()))), metric="val_loss")
        assert np.isfinite(outcome.score)

    def test_with_a_loss_that_does_not_fit_is_the_users_fault(self):
        with pytest.raises(UserCodeError, match="training what build\\(hp\\) made raised ValueError"):
            trained(built(HyperModel(compiled("categorical_crossentropy"))))

    def test_with_a_schedule_of_its_own_replays_itself(self):
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
        network = built(HyperModel(compiled(optimizer=keras.optimizers.SGD(schedule))))
        watch = Noting()
        refit(network, TRAIN, INPUTS, learning_rates=(0.1, 0.05), seed=0, watch=watch)
        assert [epoch.metrics["learning_rate"] for epoch in watch.epochs] == pytest.approx([0.1, 0.05])


def test_a_recipe_is_not_changed_by_training():
    network = built()
    before = replace(network.recipe)
    trained(network)
    assert network.recipe == before
