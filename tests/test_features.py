"""Frozen bodies: features are computed once, heads train on them, and the network is whole again in the end."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from hpsearch import Adam, Augment, ConvNet, Dense, FineTune, HyperModel, Model, Pretrained, Recipe, Stage, Training
from hpsearch.blocks.backbones import Backbone
from hpsearch.check import check
from hpsearch.data.cache import usage
from hpsearch.data.declarations import Arrays
from hpsearch.data.parts import image_part, joined
from hpsearch.declare import Anything, declared, source
from hpsearch.errors import SpaceError
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import from_answers
from hpsearch.training import features
from hpsearch.training import kept as keeping
from hpsearch.training.build import build
from hpsearch.training.checkpoint import read_checkpoints
from hpsearch.training.copies import copied
from hpsearch.training.exporting import Source, save_export
from hpsearch.training.features import features_of, halves
from hpsearch.training.fit import Saving, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.watch import Leaving, Watch

INPUTS = image_inputs((8, 8, 3), 3, 255.0)
SOURCE = Path(__file__).resolve().parents[1] / "search"


@declared
class Tiny(Backbone):
    """A backbone small enough to train in a test, whose weights are always the same."""

    smallest = 4
    pixels = "0..1"  # so that no answer is so sure that what is learned does not show

    def application(self, **options):
        from keras import initializers, layers

        image = keras.Input(options["input_shape"])
        x = layers.Conv2D(4, 3, name="first", kernel_initializer=initializers.GlorotUniform(seed=1))(image)
        x = layers.BatchNormalization(name="normal")(x)
        x = layers.ReLU(name="relu")(x)
        x = layers.Dropout(0.5, name="drop")(x)
        x = layers.Conv2D(6, 3, name="second", kernel_initializer=initializers.GlorotUniform(seed=2))(x)
        return keras.Model(image, x, name="tiny")


def part(count, seed, key):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 100, (count, 8, 8, 3)) + 70 * labels[:, None, None, None]
    return replace(image_part(images.astype("uint8"), labels.astype("int64")), key=key)


TRAIN, VALIDATION = part(48, 0, "made up train"), part(24, 1, "made up validation")
TUNING = FineTune(epochs=2, unfreeze_last=1, learning_rate=0.001)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HPSEARCH_FEATURES", raising=False)


@pytest.fixture
def computed(monkeypatch):
    """How many rows each computation of features had."""
    found, compute = [], features._computed

    def noting(body, rows):
        found.append(len(rows))
        return compute(body, rows)

    monkeypatch.setattr(features, "_computed", noting)
    return found


def recipe(body=None, *, pooling="average", **training):
    options = {"epochs": 3, "batch_size": 20, "optimizer": Adam(learning_rate=0.01)}
    body = body or Tiny(frozen=True, weights="made up")
    model = Model(body=body, pooling=pooling, dropout=0.2, dense=[Dense(units=5, dropout=0.3)])
    return Recipe(model=model, training=Training(**{**options, **training}))


def built(recipe_):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return build(recipe_, INPUTS, from_answers({}))


class Noting(Watch):
    """Notes the epochs; leaves at a step of an epoch, or after an epoch."""

    def __init__(self, at=None, after=None):
        self.at, self.after, self.epochs = at, after, []

    def step(self, epoch, done, steps):
        return (epoch, done, steps) == (*(self.at or (None, None)), 3)

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "leave" if epoch.epoch == self.after else "go"


def trained(recipe_, watch=None, folder=None, parts=(TRAIN, VALIDATION)):
    """Outcome, epochs and network of a training."""
    network, watch = built(recipe_), watch or Noting()
    saving = None if folder is None else Saving(folder, "hash")
    options = {"metric": "val_loss", "maximize": False, "seed": 3, "watch": watch, "saving": saving}
    return fit(network, *parts, INPUTS, **options), watch.epochs, network


def without(monkeypatch, *arguments, **options):
    with monkeypatch.context() as context:
        context.setenv("HPSEARCH_FEATURES", "off")
        return trained(*arguments, **options)


def curve(epochs):
    names = list(epochs[0].metrics)
    return np.array([[epoch.metrics[name] for name in names] for epoch in epochs])


def predicted(network, rows=VALIDATION):
    return network.network.predict(rows.images, verbose=0)


def same_bits(one, other):
    pairs = zip(one.network.get_weights(), other.network.get_weights(), strict=True)
    return all((left == right).all() for left, right in pairs)


KINDS = {
    "average": {},
    "max": {"pooling": "max"},
    "flatten": {"pooling": "flatten"},
    "smooth": {"label_smoothing": 0.2, "class_weight": "balanced", "early_stopping": 1},
    "half": {"precision": "mixed_float16"},
    "phases": {"fine_tune": TUNING},
    "copies": {"augment": Augment(flip="horizontal", brightness=0.2, copies=2)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_on_features_is_the_training_on_images(kind, computed, monkeypatch):
    said = recipe(**KINDS[kind])
    outcome, epochs, network = trained(said)
    first = [96, 24, 48] if kind == "copies" else [48, 24]  # the train score is that of the images as they are
    assert computed == first
    expected, expected_epochs, whole = without(monkeypatch, said)
    assert computed == first
    tolerance = 1e-2 if kind == "half" else 1e-4
    assert [list(epoch.metrics) for epoch in epochs] == [list(epoch.metrics) for epoch in expected_epochs]
    np.testing.assert_allclose(curve(epochs), curve(expected_epochs), atol=tolerance)
    assert outcome.score == pytest.approx(expected.score, abs=tolerance)
    assert outcome.train_score == pytest.approx(expected.train_score, abs=tolerance)
    assert outcome.best_epoch == expected.best_epoch
    np.testing.assert_allclose(predicted(network), predicted(whole), atol=tolerance)
    assert abs(predicted(network) - predicted(built(said))).max() > tolerance  # it did learn


def test_a_second_trial_with_the_same_body_computes_nothing(computed):
    trained(recipe())
    trained(recipe(optimizer=Adam(learning_rate=0.1), batch_size=7))
    trained(Recipe(model=replace(recipe().model, dense=()), training=Training(epochs=1)))
    assert computed == [48, 24]


@pytest.mark.parametrize(
    "other",
    [
        recipe(Tiny(frozen=True, weights="made up", input_size=6)),
        recipe(pooling="max"),
        recipe(precision="mixed_bfloat16"),
    ],
    ids=["input size", "pooling", "precision"],
)
def test_another_body_has_features_of_its_own(other, computed):
    trained(recipe())
    trained(other)
    assert computed == [48, 24, 48, 24]


def test_other_weights_and_other_images_have_features_of_their_own(computed):
    network = built(recipe())
    features_of(halves(network), TRAIN, lambda: None)
    network.network.get_layer("tiny").layers[1].bias.assign([1.0, 2.0, 3.0, 4.0])
    changed = features_of(halves(network), TRAIN, lambda: None)
    features_of(halves(network), replace(TRAIN, key="others"), lambda: None)
    assert computed == [48, 48, 48]
    pooled = halves(network).body.predict(TRAIN.images, verbose=0)
    np.testing.assert_allclose(changed.images, pooled, atol=1e-5)


def test_rows_that_nothing_identifies_are_not_kept(computed):
    trained(recipe(), parts=[replace(each, key="") for each in (TRAIN, VALIDATION)])
    assert computed == []
    assert usage() == 0


PLACES = {
    "within an epoch": Noting(at=(2, 1)),
    "after an epoch": Noting(after=2),
    "at the last epoch of the phase": Noting(after=3),
    "within phase 2": Noting(at=(4, 2)),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_training_that_is_left_ends_with_the_same_bits(place, tmp_path):
    said, leaving, rest = recipe(fine_tune=TUNING), PLACES[place], Noting()
    leaving.epochs = []
    expected, epochs, whole = trained(said, folder=tmp_path)
    folder = tmp_path / "left"
    folder.mkdir()
    with pytest.raises(Leaving):
        trained(said, leaving, folder)
    outcome, _, network = trained(said, rest, folder)
    assert outcome == expected
    assert [e.metrics for e in (*leaving.epochs, *rest.epochs)] == [e.metrics for e in epochs]
    assert same_bits(network, whole)


@pytest.mark.parametrize("first", ["with", "without"])
def test_it_goes_on_with_features_or_without_them_whatever_it_began_with(first, tmp_path, monkeypatch):
    said, leaving, rest = recipe(), Noting(at=(2, 1)), Noting()
    expected, epochs, whole = trained(said)
    ways = [trained, lambda *rest: without(monkeypatch, *rest)]
    begin, end = ways if first == "with" else ways[::-1]
    with pytest.raises(Leaving):
        begin(said, leaving, tmp_path)
    outcome, _, network = end(said, rest, tmp_path)
    assert [e.epoch for e in (*leaving.epochs, *rest.epochs)] == [1, 2, 3]
    np.testing.assert_allclose(curve([*leaving.epochs, *rest.epochs]), curve(epochs), atol=1e-4)
    assert outcome.train_score == pytest.approx(expected.train_score, abs=1e-4)
    np.testing.assert_allclose(predicted(network), predicted(whole), atol=1e-4)


def test_a_checkpoint_holds_the_head_alone(tmp_path):
    trained(recipe(), folder=tmp_path)
    (checkpoint, *_) = read_checkpoints(tmp_path, "hash")
    shapes = [array.shape for name, array in checkpoint.arrays.items() if name.startswith("model/")]
    assert (6, 5) in shapes
    assert (3, 3, 3, 4) not in shapes


def kept(tmp_path):
    return sorted((tmp_path / "cache").glob("*/features-*/rows.bin"))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


DAMAGES = {
    "a bit": flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "empty": lambda path: path.write_bytes(b""),
    "no facts": lambda path: path.with_name("facts.json").write_text("{"),
    "gone": lambda path: path.unlink(),
    "deleted": lambda path: [each.unlink() for each in path.parent.iterdir()],
}


@pytest.mark.parametrize("limit", [keeping.IN_MEMORY, 0], ids=["in memory", "on disk"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_features_are_computed_again(damage, limit, tmp_path, computed, monkeypatch):
    monkeypatch.setattr(keeping, "IN_MEMORY", limit)
    monkeypatch.setattr(keeping, "_sound", set())
    front = halves(built(recipe()))
    expected = np.array(features_of(front, TRAIN, lambda: None).images[:])
    (path,) = kept(tmp_path)
    DAMAGES[damage](path)
    again = features_of(front, TRAIN, lambda: None).images[:]
    assert computed == [48, 48]
    assert (again == expected).all()


def test_features_that_are_large_are_read_from_the_disk_and_train_the_same(monkeypatch, computed):
    expected, epochs, whole = trained(recipe())
    monkeypatch.setattr(keeping, "IN_MEMORY", 100)
    outcome, found, network = trained(recipe())
    assert computed == [48, 24]
    np.testing.assert_allclose(curve(found), curve(epochs), atol=1e-5)
    np.testing.assert_allclose(predicted(network), predicted(whole), atol=1e-5)
    assert outcome.best_epoch == expected.best_epoch


def test_without_room_the_training_goes_on_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "1 kB")
    outcome, epochs, _ = trained(recipe())
    assert "not kept, so it is trained on images: The cache would need 1.2 kB" in capsys.readouterr().out
    assert len(epochs) == 3
    assert outcome == without(monkeypatch, recipe())[0]


class Impatient(Noting):
    """Wants to leave at once."""

    def step(self, epoch, done, steps):
        return steps is None


def test_it_leaves_while_features_are_computed_and_keeps_none_of_them(tmp_path):
    with pytest.raises(Leaving):
        trained(recipe(), Impatient(), tmp_path)
    assert usage() == 0
    assert not kept(tmp_path)


SHARED = """
import sys
sys.path.insert(0, {tests!r})
import test_features as here
from hpsearch.training import features
from hpsearch.training import kept as keeping
compute = features._computed
def noting(body, rows):
    print("computed", len(rows), flush=True)
    return compute(body, rows)
features._computed = noting
outcome, epochs, network = here.trained(here.recipe())
print("score", repr(outcome.score))
"""


def test_two_processes_compute_features_once():
    code = SHARED.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    options = {"env": environment, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", code], **options) for _ in range(2)]
    lines = [line for each in both for line in each.communicate(timeout=240)[0].splitlines()]
    assert sorted(line for line in lines if line.startswith("computed")) == ["computed 24", "computed 48"]
    scores = [line for line in lines if line.startswith("score")]
    assert len(scores) == 2
    assert len(set(scores)) == 1


def test_an_export_after_a_training_on_features_is_whole(tmp_path, computed):
    _, _, network = trained(recipe())
    source = Source(Arrays("a.npz", input_shape=(8, 8, 3), classes=3), INPUTS, None, ("a", "b", "c"))
    expected = predicted(network)
    save_export(network, source, tmp_path / "model.keras", VALIDATION)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.input_shape == (None, 8, 8, 3)
    np.testing.assert_allclose(loaded.predict(VALIDATION.images, verbose=0), expected, atol=1e-6)
    assert computed == [48, 24]


def test_retraining_on_everything_is_the_same_on_features(computed, monkeypatch):
    def retrained():
        network, watch = built(recipe()), Noting()
        refit(network, joined([TRAIN, VALIDATION]), INPUTS, learning_rates=(0.01, 0.01), seed=0, watch=watch)
        return network, watch.epochs

    network, epochs = retrained()
    assert computed == [72]
    monkeypatch.setenv("HPSEARCH_FEATURES", "off")
    whole, expected = retrained()
    np.testing.assert_allclose(curve(epochs), curve(expected), atol=1e-4)
    np.testing.assert_allclose(predicted(network), predicted(whole), atol=1e-4)


def test_a_trained_network_of_the_users_own_serves_as_well(tmp_path, computed):
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(5, 3, name="conv")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    keras.Model(image, keras.layers.Dense(2, name="head")(x)).save(tmp_path / "own.keras")
    trained(recipe(Pretrained(str(tmp_path / "own.keras"))))
    assert computed == [48, 24]


@keras.saving.register_keras_serializable()
class Own(keras.layers.Layer):
    """A layer of the user's own, whose code nobody can compare."""

    def call(self, x):
        return x * 2


class TestNoFeaturesAreKept:
    @pytest.mark.parametrize(
        "said",
        [
            recipe(Tiny(frozen=False, weights="made up")),
            recipe(Tiny(frozen=True, unfreeze_last=1, weights="made up")),
            recipe(ConvNet(stages=[Stage(filters=2)])),
            recipe(augment=Augment(flip="horizontal")),
        ],
        ids=["not frozen", "last layer unfrozen", "a network of one's own", "augmented"],
    )
    def test_of_a_body_that_learns_or_sees_other_images_each_time(self, said, computed):
        assert halves(built(said)) is None
        trained(replace(said, training=replace(said.training, epochs=1)))
        assert computed == []

    def test_of_a_hypermodel(self, computed):
        def make(hp):
            body = keras.applications.MobileNetV2(
                alpha=0.35, weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
            )
            body.trainable = False
            image = keras.Input((8, 8, 3))
            x = body(keras.layers.UpSampling2D(4)(image))
            network = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
            network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return network

        said = Recipe(model=HyperModel(make), training=Training(epochs=1, batch_size=20))
        assert halves(built(said)) is None
        trained(said)
        assert computed == []

    def test_of_layers_of_the_users_own(self, tmp_path):
        image = keras.Input((8, 8, 3))
        x = Own()(keras.layers.Conv2D(5, 3)(image))
        keras.Model(image, x).save(tmp_path / "own.keras")
        assert halves(built(recipe(Pretrained(str(tmp_path / "own.keras"))))) is None

    def test_where_that_is_switched_off(self, computed, monkeypatch):
        without(monkeypatch, recipe())
        assert computed == []


class TestFixedCopies:
    CHANGES = Augment(flip="horizontal", rotation=0.1, contrast=0.3, brightness=0.2, copies=3)

    def test_are_the_same_each_time_and_differ_from_each_other(self, monkeypatch):
        first, again = (copied(TRAIN, self.CHANGES, 255.0, lambda: None) for _ in range(2))
        monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "1 kB")
        drawn = copied(TRAIN, self.CHANGES, 255.0, lambda: None)
        assert first.images.dtype == "uint8"
        assert first.images.shape == (144, 8, 8, 3)
        assert (first.labels == np.tile(TRAIN.labels, 3)).all()
        assert (first.images == again.images).all()
        assert (first.images == drawn.images).all()
        one, two, three = np.split(first.images, 3)
        assert (one != two).any()
        assert (two != three).any()
        assert (one != TRAIN.images).any()

    def test_none_are_made_where_nothing_changes_or_each_epoch_draws_its_own(self):
        for augment in (None, Augment(copies=3), Augment(flip="horizontal")):
            assert copied(TRAIN, augment, 255.0, lambda: None) is TRAIN

    def test_make_an_epoch_longer(self):
        steps = []

        class Counting(Noting):
            def step(self, epoch, done, of):
                steps.append(of)
                return False

        trained(recipe(augment=self.CHANGES, epochs=1), Counting())
        assert max(of for of in steps if of is not None) == 8  # 144 images, 20 at a time

    def test_are_a_recipe_of_their_own_unless_nothing_changes(self):
        def hash_of(**changes):
            return recipe_hash(recipe(augment=Augment(**changes)))

        assert hash_of(flip="horizontal", copies=2) != hash_of(flip="horizontal")
        assert hash_of(copies=2) == recipe_hash(recipe())
        assert source(Augment(flip="horizontal")) == 'Augment(flip="horizontal")'
        assert source(self.CHANGES).endswith("copies=3)")
        with pytest.raises(SpaceError, match=r"copies: got 0; allowed: a whole number of 1 or more"):
            check(recipe(augment=Augment(flip="horizontal", copies=0)), Anything())
