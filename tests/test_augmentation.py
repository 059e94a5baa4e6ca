"""Images that are flipped in every other epoch, covered in part, or mixed with others while a network is trained."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from hpsearch import (
    SGD,
    Augment,
    Branch,
    Concat,
    ConvNet,
    HyperModel,
    Model,
    Recipe,
    Space,
    Stage,
    Tiled,
    Training,
    between,
    one_of,
)
from hpsearch.agreement import check_agreement
from hpsearch.data.parts import image_part
from hpsearch.errors import ModelError, SpaceError
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import from_answers
from hpsearch.training.alternating import Alternating
from hpsearch.training.augmenting import augmented
from hpsearch.training.build import build
from hpsearch.training.fit import fit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.losses import taught
from hpsearch.training.mixing import Mixing
from hpsearch.training.watch import Watch

NET = ConvNet(stages=[Stage(filters=2)])
INPUTS = image_inputs((8, 8, 3), 2, 255.0)


@pytest.fixture(autouse=True)
def _same_start():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype("float32")


def after(layer, rows):
    return keras.ops.convert_to_numpy(layer(rows, training=True))


@pytest.mark.parametrize("white", [255.0, 1.0])
def test_each_image_is_flipped_in_every_other_epoch_whatever_batch_it_is_in(white):
    rows = (images(40) / np.float32(255 / white)).astype("float32")
    layer = Alternating(40, white)
    random = np.random.default_rng(1)
    flipped = []
    for _ in range(4):
        epoch = np.empty(40, bool)
        for places in np.split(random.permutation(40), [16, 32]):
            found = after(layer, rows[places])
            epoch[places] = (found == rows[places][:, :, ::-1]).all((1, 2, 3))
            assert ((found == rows[places]).all((1, 2, 3)) != epoch[places]).all()
        flipped.append(epoch)
    assert 10 < flipped[0].sum() < 30
    assert all((epoch == ~before).all() for before, epoch in pairwise(flipped))
    assert (keras.ops.convert_to_numpy(layer(rows, training=False)) == rows).all()


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_an_image_is_mixed_with_its_neighbour_by_the_share_that_is_said(mixup, cutmix):
    rows, layer = images(6), Mixing(mixup, cutmix, 3)
    others, shares, boxed = np.roll(rows, 1, axis=0), [], 0
    for _ in range(60):
        found = after(layer, rows)
        share = float(layer.share)
        shares.append(share)
        own, other = np.isclose(found, rows, atol=1e-3), np.isclose(found, others, atol=1e-3)
        if (own | other).all() and not own.all():
            boxed += 1
            assert (~own.all((0, 3))).mean() == pytest.approx(1 - share, abs=1e-6)
        else:
            assert found == pytest.approx(share * rows + (1 - share) * others, abs=1e-3)
    assert min(shares) >= 0.5
    assert len(set(shares)) > 10
    assert (boxed > 0) == (cutmix > 0)
    assert boxed < 60 or not mixup
    assert (keras.ops.convert_to_numpy(layer(rows, training=False)) == rows).all()


def test_shares_are_those_of_the_beta_distribution():
    layer, shares = Mixing(1.0, 0.0, 0), []
    for _ in range(300):
        layer(images(2), training=True)
        shares.append(float(layer.share))
    assert np.mean(shares) == pytest.approx(0.75, abs=0.03)  # of two shares that are drawn alike, the larger


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_each_answer_counts_as_much_as_its_image(head, smoothing):
    """With weights of classes, too: each goes with the answer of its class."""
    augment = Augment(mixup=0.5)
    built = build(
        Recipe(model=Model(body=NET, head=head), training=Training(epochs=1, augment=augment)), INPUTS, from_answers({})
    )
    trainer = taught(augmented(built.network, augment, INPUTS, 0), smoothing)
    trainer.compile(loss="binary_crossentropy" if head == "sigmoid" else "sparse_categorical_crossentropy")
    labels, weights = np.array([0, 1, 1, 0, 1]), np.array([1.0, 2.0, 2.0, 1.0, 2.0], "float32")
    told = labels.astype("float32")[:, None] if head == "sigmoid" else labels
    answers = trainer(images(5), training=True)
    loss = float(trainer.compute_loss(None, told, answers, weights, training=True))
    mixing = next(layer for layer in trainer.layers if isinstance(layer, Mixing))
    share = float(mixing.share)
    second = keras.ops.convert_to_numpy(answers)[:, -1].astype("float64")
    logs = np.log(np.stack([1 - second, second], axis=1))
    soft = np.eye(2)[labels] * (1 - smoothing) + smoothing / 2
    own = weights * -(soft * logs).sum(axis=1)
    other = np.roll(weights, 1) * -(np.roll(soft, 1, axis=0) * logs).sum(axis=1)
    assert 0.5 <= share < 1
    assert loss == pytest.approx((share * own + (1 - share) * other).mean(), rel=1e-4)
    plain = float(trainer.compute_loss(None, told, answers, training=False))
    assert plain == pytest.approx(-logs[np.arange(5), labels].mean(), rel=1e-4)


@pytest.mark.parametrize(
    "augment",
    [Augment(flip="alternating", cutout=0.5), Augment(mixup=0.2, cutmix=1.0), Augment(randaugment=0.2)],
    ids=["alternating", "mixed", "randaugment"],
)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_network_learns_from_changed_images_and_stays_a_plain_one(augment, precision):
    labels = np.arange(64) % 2
    rows = np.random.default_rng(0).integers(0, 100, (64, 8, 8, 3))
    rows[:, :4] += 150 * labels[:, None, None, None]  # bright above or below, which no change takes away
    rows[:, 4:] += 150 * (1 - labels)[:, None, None, None]
    part = image_part(rows.astype("uint8"), labels)
    training = Training(
        epochs=6,
        batch_size=16,
        optimizer=SGD(learning_rate=0.1, momentum=0.5),
        augment=augment,
        precision=precision,
        class_weight="balanced",
    )
    body = ConvNet(stages=[Stage(filters=8)], batchnorm="before_activation")
    built = build(Recipe(model=Model(body=body), training=training), INPUTS, from_answers({}))
    outcome = fit(built, part, part, INPUTS, metric="val_accuracy", maximize=True, seed=0, watch=Watch())
    assert outcome.score > 0.9
    assert type(built.network).__name__ == "Functional"
    assert not any(isinstance(layer, Mixing | Alternating) for layer in built.network.layers)


def test_a_box_of_grey_covers_part_of_each_image():
    (layer,) = Augment(cutout=0.5).build(255.0, 1)
    rows = images(32) // 2  # never as bright as what covers them
    found = after(layer, rows)
    covered = (found == 127.5).all(-1)
    assert (covered.sum((1, 2)) == 16).all()
    assert (found[~covered] == rows[~covered]).all()
    assert len({place.tobytes() for place in covered}) > 5


def test_changes_at_random_are_changes():
    (layer,) = Augment(randaugment=0.3).build(255.0, 1)
    rows = images(8)
    found = [after(layer, rows) for _ in range(3)]
    assert all(np.abs(each - rows).max() > 1 for each in found)
    assert all(each.min() >= -1e-3 and each.max() <= 255.001 for each in found)


def space(augment, model=None):
    model = model or Model(body=NET)
    return Recipe(model=model, training=Training(epochs=1, augment=augment))


JOINED = Model(body=Concat(left=Branch(body=NET), right=Branch(body=NET)))
LINEAR = Model(body=NET, head="linear")


@pytest.mark.parametrize(
    ("augment", "sentence"),
    [
        (
            Augment(flip="alternating", copies=2),
            'training.augment.flip: got "alternating" with copies, which are drawn',
        ),
        (Augment(mixup=0.2, copies=2), r"training.augment.mixup: got 0.2 with copies, which are drawn once; drop one"),
        (Augment(cutmix=1, copies=2), r"training.augment.cutmix: got 1 with copies"),
        (Augment(cutout=1), r"training.augment.cutout: got 1; allowed: a number of at least 0 and below 1"),
        (Augment(mixup=-1), r"training.augment.mixup: got -1; allowed"),
        (Augment(randaugment=2), r"training.augment.randaugment: got 2; allowed"),
    ],
    ids=repr,
)
def test_what_cannot_be_changed_so_is_said(augment, sentence):
    with pytest.raises(SpaceError, match=sentence):
        Space(data="digits", search=space(augment))


@pytest.mark.parametrize(
    ("model", "augment", "classes", "sentence"),
    [
        (JOINED, Augment(mixup=0.2), 3, r"augment.mixup: got 0.2, but images are mixed only where there is one input"),
        (Model(body=NET, input=Tiled("a", "b")), Augment(cutmix=one_of(0, 1.0)), 3, r"augment.cutmix: got 1.0, but"),
        (LINEAR, one_of(None, Augment(cutmix=1.0)), 0, r"augment.cutmix: got 1.0, but .* where there are classes"),
    ],
    ids=["joined", "tiled", "linear"],
)
def test_what_cannot_be_mixed_is_said(model, augment, classes, sentence):
    with pytest.raises(SpaceError, match=sentence):
        check_agreement(space(augment, model), classes, "val_loss")


def test_a_draw_that_cannot_be_is_told_before_it_is_trained():
    for augment, name in ((Augment(mixup=0.2, copies=2), "mixup"), (Augment(flip="alternating", copies=2), "flip")):
        with pytest.raises(ModelError) as caught:
            build(space(augment), INPUTS, from_answers({}))
        assert caught.value.address == f"training.augment.{name}"

    def two(hp):
        first, second = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
        both = keras.layers.Flatten()(keras.layers.Add()([first, second]))
        return keras.Model([first, second], keras.layers.Dense(2, activation="softmax")(both))

    with pytest.raises(ModelError, match=r"training.augment.cutmix: got 1, but the network has 2 inputs"):
        build(space(Augment(cutmix=1), HyperModel(two)), INPUTS, from_answers({}))


def test_one_augmentation_has_one_hash():
    nothing = Augment(cutout=0, mixup=0.0, cutmix=0, randaugment=0)
    assert recipe_hash(space(nothing)) == recipe_hash(space(None))
    changes = [{"cutout": 0.25}, {"mixup": 0.2}, {"cutmix": 0.2}, {"randaugment": 0.2}, {"flip": "alternating"}]
    hashes = {recipe_hash(space(Augment(**change))) for change in changes}
    assert len(hashes | {recipe_hash(space(None))}) == 6
    assert recipe_hash(space(Augment(cutmix=1))) == recipe_hash(space(Augment(cutmix=1.0)))


def test_every_change_may_be_a_choice():
    augment = Augment(
        flip=one_of(None, "horizontal", "alternating"),
        cutout=between(0.0, 0.5, step=0.125),
        randaugment=one_of(0.0, 0.3),
        mixup=one_of(0.0, 0.2),
        cutmix=between(0.0, 1.0),
    )
    assert Space(data="digits", search=space(augment)).search.training.augment == augment
