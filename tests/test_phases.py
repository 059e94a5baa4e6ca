"""Training in phases: the head first, then part of the frozen backbone, as one trial with one curve."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from hpsearch import (
    SGD,
    Adam,
    Augment,
    Branch,
    Concat,
    ConvNet,
    Cosine,
    FineTune,
    MobileNetV2,
    Model,
    Muon,
    Plateau,
    Pretrained,
    Recipe,
    Space,
    Stage,
    Training,
    Triangular,
    between,
    one_of,
)
from hpsearch.blocks.backbones import Backbone
from hpsearch.data.parts import image_part
from hpsearch.declare import declared, source
from hpsearch.describe import describe
from hpsearch.errors import SpaceError
from hpsearch.recipe import canonical, recipe_hash
from hpsearch.resolve import answers_of, from_answers, resolve
from hpsearch.results.replay import replayed
from hpsearch.study.trial import Epoch
from hpsearch.training.build import build
from hpsearch.training.fit import Saving, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.measure import measure
from hpsearch.training.tuning import Layers
from hpsearch.training.watch import Leaving, Watch

INPUTS = image_inputs((8, 8, 3), 3, 255.0)


@declared
class Tiny(Backbone):
    """A backbone small enough to train in a test."""

    smallest = 4

    def application(self, **options):
        from keras import layers

        image = keras.Input(options["input_shape"])
        x = layers.Conv2D(4, 3, name="first")(image)
        x = layers.BatchNormalization(name="normal")(x)
        x = layers.ReLU(name="relu")(x)
        x = layers.Dropout(0.5, name="drop")(x)
        return keras.Model(image, layers.Conv2D(4, 3, name="second")(x), name="tiny")


def part(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 100, (count, 8, 8, 3)) + 70 * labels[:, None, None, None]
    return image_part(images.astype("uint8"), labels.astype("int64"))


TRAIN, VALIDATION = part(48, 0), part(24, 1)


@pytest.fixture(autouse=True)
def _same_start():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def recipe(**training):
    options = {
        "epochs": 2,
        "batch_size": 16,
        "optimizer": Adam(learning_rate=0.01),
        "fine_tune": FineTune(epochs=3, unfreeze_last=1, learning_rate=0.001),
    }
    body = Tiny(frozen=True, weights="made up")
    return Recipe(model=Model(body=body, dropout=0.2), training=Training(**{**options, **training}))


def built(recipe_):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return build(recipe_, INPUTS, from_answers({}))


class Noting(Watch):
    """Notes the epochs; leaves at a step of an epoch, or after an epoch."""

    def __init__(self, at=None, after=None):
        self.at = at
        self.after = after
        self.epochs = []

    def step(self, epoch, done, steps):
        return (epoch, done) == self.at

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "leave" if epoch.epoch == self.after else "go"


def trained(network, watch=None, folder=None, metric="val_accuracy", **options):
    watch = watch or Noting()
    saving = None if folder is None else Saving(folder, "hash")
    maximize = metric != "val_loss"
    outcome = fit(
        network,
        TRAIN,
        VALIDATION,
        INPUTS,
        metric=metric,
        maximize=maximize,
        seed=3,
        watch=watch,
        saving=saving,
        **options,
    )
    return outcome, watch.epochs


def column(epochs, name):
    return [epoch.metrics[name] for epoch in epochs]


def weights(network):
    return {weight.path: np.array(weight) for weight in network.weights}


def test_the_phases_are_one_curve_that_says_which_they_are():
    _, epochs = trained(built(recipe()))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5]
    assert column(epochs, "phase") == [1, 1, 2, 2, 2]
    assert column(epochs, "learning_rate") == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.001])


def test_a_training_of_one_phase_says_nothing_of_phases():
    _, epochs = trained(built(recipe(fine_tune=None)))
    assert "phase" not in epochs[0].metrics


@pytest.mark.parametrize(
    ("last", "learning"),
    [
        (1, {"second"}),
        (4, {"second"}),
        (5, {"first", "second"}),
        (None, {"first", "second"}),
        (99, {"first", "second"}),
    ],
)
def test_the_second_phase_changes_the_last_layers_and_no_normalisation(last, learning):
    network = built(recipe(fine_tune=FineTune(epochs=2, unfreeze_last=last, learning_rate=0.1), epochs=1))
    tiny = network.network.get_layer("tiny")
    before = weights(tiny)
    trained(network, metric="val_loss")
    # what validates worse is put back, so the last weights of the training are looked at layer by layer
    layers = Layers(network.network)
    trainable = {path.split("/")[0] for path in (w.path for w in tiny.trainable_weights)}
    assert trainable == learning
    after = weights(tiny)
    assert all((after[path] == before[path]).all() for path in before if "normal" in path)
    layers.learn(None)


def test_the_first_phase_leaves_the_backbone_as_it_is():
    network = built(recipe(fine_tune=None))
    before = weights(network.network.get_layer("tiny"))
    trained(network)
    after = weights(network.network.get_layer("tiny"))
    assert all((after[path] == before[path]).all() for path in before)


def test_what_was_unfrozen_can_be_frozen_again():
    network = built(recipe()).network
    layers = Layers(network)
    names = [w.path for w in network.trainable_weights]
    layers.learn(FineTune(epochs=1))
    assert len(network.trainable_weights) == len(names) + 4  # both convolutions, and no normalisation
    layers.learn(None)
    assert [w.path for w in network.trainable_weights] == names


def test_a_phase_begins_from_the_best_weights_of_the_one_before():
    options = {"epochs": 3, "optimizer": SGD(learning_rate=1e-30), "fine_tune": FineTune(epochs=1, learning_rate=1e-30)}
    network, weights = built(recipe(**options)), []
    for weight in network.network.trainable_weights:
        weight.assign(weight / 1000)  # so that it is sure of nothing

    class Spoiling(Noting):
        """Spoils the network after its first epoch, which is never beaten then."""

        def epoch(self, epoch, checkpoint):
            weights.append(network.network.get_weights())
            for weight in network.network.trainable_weights if epoch.epoch == 1 else ():
                weight.assign(weight * -1000)
            return super().epoch(epoch, checkpoint)

    outcome, epochs = trained(network, Spoiling(), metric="val_loss")
    losses = column(epochs, "val_loss")
    assert losses[0] < losses[1] == pytest.approx(losses[2])
    assert losses[3] == pytest.approx(losses[0])
    assert not all(map(np.allclose, weights[0], weights[2]))
    assert all(map(np.allclose, weights[0], weights[3]))
    assert outcome.score == min(losses)


def test_early_stopping_ends_a_phase_and_the_next_one_begins():
    options = {"epochs": 9, "optimizer": SGD(learning_rate=1e-30), "early_stopping": 2}
    tuning = FineTune(epochs=9, learning_rate=1e-30)
    _, epochs = trained(built(recipe(**options, fine_tune=tuning)))
    assert column(epochs, "phase") == [1, 1, 1, 2, 2, 2]


def test_a_schedule_begins_anew_in_each_phase():
    _, epochs = trained(built(recipe(schedule=Cosine(), fine_tune=FineTune(epochs=2, learning_rate=0.001))))
    assert column(epochs, "learning_rate") == pytest.approx([0.01, 0.005, 0.001, 0.0005])


@pytest.mark.parametrize(("most", "phases"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 2]), (7, [1, 1, 2, 2, 2, 2, 2])])
def test_a_limit_on_epochs_counts_both_phases(most, phases):
    _, epochs = trained(built(recipe()), epochs=most)
    assert column(epochs, "phase") == phases


RESUMED = {
    "plain": {},
    "schedule": {"schedule": Cosine(warmup=0.2), "clip_norm": 0.5},
    "callbacks": {"schedule": Plateau(patience=1), "early_stopping": 2},
    "augmented": {"augment": Augment(flip="horizontal", translation=0.2)},
    "mixed": {"augment": Augment(flip="alternating", cutout=0.25, mixup=0.2, cutmix=1.0)},
    "fast": {"schedule": Triangular(), "optimizer": Muon(learning_rate=0.01), "bias_rate": 4.0},
    "averaged": {"average": 0.9, "precision": "mixed_float16"},
    "half": {"precision": "mixed_float16"},
    "smooth": {"label_smoothing": 0.2, "class_weight": "balanced"},
}
PLACES = {
    "within phase 1": {"at": (2, 1)},
    "between the phases": {"after": 2},
    "at the first step of phase 2": {"at": (3, 0)},
    "within phase 2": {"at": (4, 2)},
    "at the validation of phase 2": {"at": (4, 3)},
    "after an epoch of phase 2": {"after": 4},
}
"""Where a training is left, in the order in which it comes to them."""


@pytest.mark.parametrize("kind", RESUMED)
def test_a_training_that_is_left_anywhere_ends_with_the_same_bits(kind, tmp_path):
    options, whole = RESUMED[kind], built(recipe(**RESUMED[kind]))
    expected, epochs = trained(whole)
    curve = []
    for place in PLACES if kind in ("plain", "averaged") else ("between the phases", "within phase 2"):
        leaving = Noting(**PLACES[place])
        with pytest.raises(Leaving):
            trained(built(recipe(**options)), leaving, tmp_path)
        curve += leaving.epochs
        assert [e.metrics for e in curve] == [e.metrics for e in epochs[: len(curve)]], place
    network, rest = built(recipe(**options)), Noting()
    outcome, _ = trained(network, rest, tmp_path)
    assert outcome == expected
    assert [e.metrics for e in [*curve, *rest.epochs]] == [e.metrics for e in epochs]
    same = zip(network.network.get_weights(), whole.network.get_weights(), strict=True)
    assert all((one == other).all() for one, other in same)


def test_it_goes_on_from_an_older_checkpoint_where_the_newest_is_of_another_network(tmp_path):
    with pytest.raises(Leaving):
        trained(built(recipe()), Noting(at=(4, 1)), tmp_path)
    other = recipe(fine_tune=FineTune(epochs=3, learning_rate=0.001))  # whose optimizer has more to remember
    outcome, epochs = trained(built(other), folder=tmp_path)
    alone, expected = trained(built(other))
    assert column(epochs, "phase") == [1, 1, 2, 2, 2][-len(epochs) :]
    assert len(epochs) in (3, 5)
    assert (outcome == alone) is (len(epochs) == 5 and epochs[0].metrics == expected[0].metrics)


class TestOnATrainedBody:
    """A model that was trained before as the body: its last layers learn in the second phase, and no others."""

    NET = ConvNet(stages=[Stage(filters=4), Stage(filters=6)], batchnorm="after_activation")
    WEIGHTS = ("stage1_conv1", "stage2_conv1", "head")

    @pytest.fixture(autouse=True)
    def _trained(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
        first = Recipe(model=Model(body=self.NET), training=Training(epochs=1, batch_size=16))
        network = built(first)
        trained(network)
        network.network.save("trained.keras")

    def recipe(self, body, last=5):
        tuning = FineTune(epochs=2, unfreeze_last=last, learning_rate=0.1)
        return replace(recipe(epochs=1, fine_tune=tuning), model=Model(body=body))

    def kernels(self, network):
        """The kernels and statistics of a network by the name of their layer."""
        return {
            path.split("/")[-2]: value
            for path, value in weights(network).items()
            if path.endswith(("kernel", "moving_mean"))
        }

    @pytest.mark.parametrize("joined", [False, True])
    @pytest.mark.parametrize(
        ("last", "learned"), [(4, {"stage2_conv1"}), (None, {"stage1_conv1", "stage2_conv1"}), (1, set())]
    )
    def test_the_head_learns_first_and_then_its_last_layers_too(self, joined, last, learned, monkeypatch):
        # every epoch of the second phase counts as better, so that what it learned stays
        body = Pretrained("trained.keras", until="stage2_pool")
        network = built(self.recipe(Concat(image=Branch(body=body)) if joined else body, last))
        before, seen = self.kernels(network.network), []

        class Looking(Noting):
            def epoch(looking, epoch, checkpoint):  # noqa: N805  # beside the self of the test
                seen.append(self.kernels(network.network))
                return super().epoch(epoch, checkpoint)

        _, epochs = trained(network, Looking())
        assert column(epochs, "phase") == [1, 2, 2]
        assert column(epochs, "learning_rate") == pytest.approx([0.01, 0.1, 0.1])

        def changed(earlier, later):
            return {name for name in earlier if (earlier[name] != later[name]).any()}

        assert changed(before, seen[0]) == {"head"}
        assert changed(seen[0], seen[2]) == {"head", *learned}

    @pytest.mark.parametrize("at", [(2, 0), (2, 2), (3, 1)])
    def test_one_that_is_left_ends_with_the_same_bits(self, at, tmp_path):
        said = self.recipe(Pretrained("trained.keras"), None)
        whole = built(said)
        expected, epochs = trained(whole)
        with pytest.raises(Leaving):
            trained(built(said), Noting(at=at), tmp_path)
        network, rest = built(said), Noting()
        outcome, _ = trained(network, rest, tmp_path)
        assert outcome == expected
        assert [e.metrics for e in rest.epochs] == [e.metrics for e in epochs[-len(rest.epochs) :]]
        same = zip(network.network.get_weights(), whole.network.get_weights(), strict=True)
        assert all((one == other).all() for one, other in same)


class TestRetraining:
    def test_replays_both_phases(self):
        network, watch = built(recipe()), Noting()
        rates = (0.01, 0.01, 0.001)
        refit(network, TRAIN, INPUTS, learning_rates=rates, phases=(1, 1, 2), seed=0, watch=watch)
        assert column(watch.epochs, "phase") == [1, 1, 2]
        assert column(watch.epochs, "learning_rate") == pytest.approx(rates)
        assert any("second" in weight.path for weight in network.network.trainable_weights)

    def test_of_the_first_phase_alone_unfreezes_nothing(self):
        network, watch = built(recipe()), Noting()
        refit(network, TRAIN, INPUTS, learning_rates=(0.01,), phases=(1,), seed=0, watch=watch)
        assert len(watch.epochs) == 1
        assert not network.network.get_layer("tiny").trainable_weights

    def test_repeats_the_validated_run_where_the_images_are_the_same(self):
        tuning = FineTune(epochs=3, learning_rate=1e-6)
        said = recipe(schedule=Cosine(warmup=0.3), optimizer=SGD(learning_rate=1e-5), fine_tune=tuning)
        epochs = trained(built(said), metric="val_loss")[1]
        validated, trace = built(said), replayed(epochs, "min val_loss", None)
        assert trace == epochs  # every epoch was better than the one before
        watch = Noting()
        rates, phases = column(trace, "learning_rate"), [int(n) for n in column(trace, "phase")]
        refit(validated, TRAIN, INPUTS, learning_rates=rates, phases=phases, seed=3, watch=watch)
        assert column(watch.epochs, "learning_rate") == pytest.approx(rates)
        assert column(watch.epochs, "loss") == pytest.approx(column(trace, "loss"), rel=1e-5)

    def test_drops_what_a_phase_trained_beyond_its_best(self):
        scores = [(1, 0.5), (1, 0.7), (1, 0.6), (2, 0.65), (2, 0.8), (2, 0.7)]
        history = [Epoch(n + 1, 1.0, {"val_accuracy": s, "phase": p}) for n, (p, s) in enumerate(scores)]
        assert [e.epoch for e in replayed(history, "max val_accuracy", 5)] == [1, 2, 4, 5]
        assert [e.epoch for e in replayed(history, "max val_accuracy", 2)] == [1, 2]
        plain = [replace(e, metrics={"val_accuracy": 0.5}) for e in history]
        assert [e.epoch for e in replayed(plain, "max val_accuracy", 3)] == [1, 2, 3]


def test_memory_is_that_of_the_phase_that_takes_most():
    def memory(**training):
        body = MobileNetV2(alpha=0.35)
        said = Recipe(model=Model(body=body, pooling="average"), training=Training(epochs=1, **training))
        return measure(said, image_inputs((96, 96, 3), 2, 255.0)).memory

    alone, some, every = (
        memory(fine_tune=tuning) for tuning in (None, FineTune(epochs=1, unfreeze_last=20), FineTune(epochs=1))
    )
    assert alone < some < every


# ---- what a space says of it

TUNING = FineTune(epochs=3)
FROZEN = MobileNetV2(alpha=0.35, input_size=32)
NET = ConvNet(stages=[Stage(filters=2)])


def space(body, fine_tune, **more):
    search = Recipe(model=Model(body=body), training=Training(epochs=2, fine_tune=fine_tune))
    return Space(data="cifar10", search=search, **more)


def test_it_prints_and_is_read_back():
    training = Training(epochs=2, fine_tune=FineTune(epochs=3, unfreeze_last=20))
    assert source(training) == "Training(epochs=2, fine_tune=FineTune(epochs=3, unfreeze_last=20))"
    assert eval(source(training)) == training


def test_every_option_may_be_a_choice():
    tuning = FineTune(
        epochs=between(1, 5), unfreeze_last=one_of(10, 20, None), learning_rate=between(1e-6, 1e-4, log=True)
    )
    search = space(FROZEN, one_of(None, tuning)).search
    answers = {
        "training.fine_tune": "FineTune",
        "training.fine_tune.epochs": 3,
        "training.fine_tune.unfreeze_last": 20,
        "training.fine_tune.learning_rate": 1e-5,
    }
    found = resolve(search, from_answers(answers))
    assert found.training.fine_tune == FineTune(epochs=3, unfreeze_last=20)
    assert answers_of(search, found) == answers
    assert found.epochs == 5
    assert describe(space(FROZEN, one_of(None, tuning))).most_epochs == 7


def test_a_phase_without_effect_is_no_phase():
    with_, without = (
        Recipe(model=Model(body=NET), training=Training(epochs=2, fine_tune=tuning)) for tuning in (TUNING, None)
    )
    assert canonical(with_) == canonical(without)
    assert recipe_hash(with_) == recipe_hash(without)
    assert with_.epochs == 2
    frozen = replace(with_, model=Model(body=FROZEN))
    assert recipe_hash(frozen) != recipe_hash(replace(without, model=Model(body=FROZEN)))


def test_where_only_some_bodies_are_frozen_the_others_have_one_phase():
    baseline = Recipe(model=Model(body=NET), training=Training(epochs=2))
    tuning = FineTune(epochs=between(3, 5))
    mixed = space(one_of(NET, FROZEN), tuning, baselines={"by_hand": baseline})
    assert mixed.baseline_answers("by_hand") == {"model.body": "ConvNet", "training.fine_tune.epochs": 3}


@pytest.mark.parametrize(
    ("body", "tuning", "sentence"),
    [
        (NET, TUNING, r"training.fine_tune: got FineTune\(epochs=3\), but nothing in model.body is frozen"),
        (NET, one_of(None, TUNING), "nothing in model.body is frozen"),
        (MobileNetV2(frozen=False), TUNING, "nothing in model.body is frozen"),
        (FROZEN, FineTune(epochs=0), r"training.fine_tune.epochs: got 0; allowed: a whole number of 1 or more"),
        (FROZEN, FineTune(epochs=1, unfreeze_last=0), r"training.fine_tune.unfreeze_last: got 0; allowed"),
        (FROZEN, FineTune(epochs=1, learning_rate=0), r"training.fine_tune.learning_rate: got 0; allowed"),
        (FROZEN, 5, r"training.fine_tune: got 5; allowed: FineTune\(...\) or None"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(body, tuning, sentence):
    with pytest.raises(SpaceError, match=sentence) as caught:
        space(body, tuning)
    assert "\n" not in str(caught.value)


def test_a_baseline_that_tunes_nothing_is_refused():
    baseline = Recipe(model=Model(body=NET), training=Training(epochs=2, fine_tune=TUNING))
    with pytest.raises(
        SpaceError, match=r"baselines\['by_hand'\].training.fine_tune: got FineTune.*nothing in model.body"
    ):
        space(one_of(NET, FROZEN), TUNING, baselines={"by_hand": baseline})
