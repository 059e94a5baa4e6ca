"""What a training may say beyond epochs and optimizer: metrics, weights of classes, schedules, precision, amounts."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from hpsearch import (
    SGD,
    Adam,
    AdamW,
    Augment,
    ConvNet,
    Cosine,
    Dense,
    HyperModel,
    Model,
    Muon,
    OneCycle,
    Plateau,
    Recipe,
    RMSprop,
    Space,
    Stage,
    Training,
    Triangular,
    between,
    one_of,
)
from hpsearch.agreement import check_agreement, check_measurable
from hpsearch.check import check
from hpsearch.data.parts import image_part
from hpsearch.declare import Anything, source
from hpsearch.errors import SpaceError
from hpsearch.limits import Target
from hpsearch.metrics import METRICS
from hpsearch.phases import phases_of
from hpsearch.recipe import canonical, recipe_hash
from hpsearch.resolve import answers_of, from_answers, resolve
from hpsearch.space import Objective
from hpsearch.training.build import build
from hpsearch.training.compiling import optimizer_of
from hpsearch.training.fit import evaluate, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.losses import class_weights
from hpsearch.training.measure import measure
from hpsearch.training.metrics import class_metrics
from hpsearch.training.rates import rate_of
from hpsearch.training.watch import Watch

NET = ConvNet(stages=[Stage(filters=2)])
SHAPE = (4, 4, 1)


@pytest.fixture(autouse=True)
def _same_start():
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def part(count, seed, classes=2):
    """Images whose brightness tells their class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, 100, (count, *SHAPE)) + (150 // (classes - 1)) * labels[:, None, None, None]
    return image_part(images.astype("uint8"), labels.astype("int64"))


def priced(count, seed):
    """Images whose brightness tells a price."""
    random = np.random.default_rng(seed)
    shade = random.uniform(0, 250, count)
    images = np.broadcast_to(shade[:, None, None, None], (count, *SHAPE)).astype("uint8")
    return image_part(images, (300_000 + 2_000 * shade).astype("float32"))


class Noting(Watch):
    def __init__(self):
        self.epochs = []

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "go"


def built(inputs, head="softmax", model=None, **training):
    options = {"epochs": 2, "batch_size": 16, "optimizer": SGD(learning_rate=0.1), **training}
    recipe = Recipe(model=model or Model(body=NET, head=head), training=Training(**options))
    return build(recipe, inputs, from_answers({}))


def trained(network, inputs, train, validation, metric="val_accuracy", metrics=()):
    """The outcome, and the epochs it went through."""
    watch = Noting()
    maximize = METRICS[metric.removeprefix("val_")].maximize
    outcome = fit(
        network, train, validation, inputs, metric=metric, maximize=maximize, seed=0, watch=watch, metrics=metrics
    )
    return outcome, watch.epochs


# ---- metrics


def confusion(labels, answers, classes):
    """Precision, recall and F1 of each class, worked out by counting."""
    found = []
    for place in range(classes):
        right = int(((labels == place) & (answers == place)).sum())
        named, there = int((answers == place).sum()), int((labels == place).sum())
        precision, recall = right / max(named, 1), right / max(there, 1)
        found.append((precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)))
    return np.array(found)


def area(labels, scores):
    """The share of pairs of a positive and a negative in which the positive has the higher score."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    return float((positives[:, None] > negatives[None]).mean())


@pytest.mark.parametrize("form", ["index", "one_hot"])
@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_of_classes_are_what_counting_gives(classes, form):
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, 500)
    outputs = random.dirichlet(np.ones(classes), 500).astype("float32")
    outputs[np.arange(500), labels] += 0.3
    outputs /= outputs.sum(axis=1, keepdims=True)
    told = labels if form == "index" else np.eye(classes, dtype="float32")[labels]
    metrics = {metric.name: metric for metric in class_metrics(["auc", "f1", "precision", "recall"], classes)}
    for metric in metrics.values():
        for batch in (slice(0, 200), slice(200, 500)):
            metric.update_state(told[batch], outputs[batch])
    by_class = confusion(labels, outputs.argmax(axis=1), classes)
    expected = by_class[1] if classes == 2 else by_class.mean(axis=0)
    for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
        assert float(metrics[name].result()) == pytest.approx(value, abs=1e-5)
    areas = [area(labels == place, outputs[:, place]) for place in range(classes)]
    assert float(metrics["auc"].result()) == pytest.approx(areas[1] if classes == 2 else np.mean(areas), abs=0.01)


def test_metrics_of_one_sigmoid_unit_are_those_of_two_softmax_units():
    random = np.random.default_rng(0)
    labels, second = random.integers(0, 2, 200), random.uniform(0, 1, (200, 1)).astype("float32")
    names = ["auc", "f1", "precision", "recall"]
    for one, two in zip(class_metrics(names, 2), class_metrics(names, 2), strict=True):
        one.update_state(labels.astype("float32")[:, None], second)
        two.update_state(labels, np.concatenate([1 - second, second], axis=1))
        assert float(one.result()) == pytest.approx(float(two.result()), abs=1e-6)


def test_a_class_that_is_missing_does_not_count():
    labels, outputs = np.array([0, 0, 1, 1]), np.eye(3, dtype="float32")[[0, 0, 1, 1]] * 0.8 + 0.1
    for metric in class_metrics(["auc", "f1", "precision", "recall"], 3):
        metric.update_state(labels, outputs)
        assert float(metric.result()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("augment", [None, Augment(flip="horizontal")], ids=["plain", "augmented"])
def test_any_metric_may_be_the_objective(head, augment):
    inputs = image_inputs(SHAPE, 2, 255.0)
    network = built(inputs, head, augment=augment)
    validation = part(32, 1)
    outcome, epochs = trained(network, inputs, part(64, 0), validation, metric="val_f1", metrics=["auc"])
    assert list(epochs[0].metrics) == [
        *("loss", "accuracy", "auc", "f1", "val_loss", "val_accuracy", "val_auc", "val_f1", "learning_rate")
    ]
    assert outcome.score == max(epoch.metrics["val_f1"] for epoch in epochs)
    again = evaluate(network, validation, inputs, metrics=["f1"])
    assert again["f1"] == pytest.approx(outcome.score, abs=1e-6)
    assert set(again) == {"loss", "accuracy", "auc", "f1"}  # as it was compiled


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "min val_accuracy",
            'got "min val_accuracy"; val_accuracy is best where it is largest: write "max val_accuracy"',
        ),
        ("max val_f2", r"allowed: .*\"max val_f1\".*Did you mean"),
        ("max accuracy", r"allowed: .*\"max val_accuracy\""),
        ("", "allowed"),
        ("max", "allowed"),
    ],
)
def test_an_objective_that_is_none(text, sentence):
    with pytest.raises(SpaceError, match=sentence) as caught:
        Objective.parse(text)
    assert caught.value.address == "objective"


def test_every_metric_is_an_objective_in_its_own_direction_and_a_target():
    for name, measure_ in METRICS.items():
        assert Objective.parse(f"{'max' if measure_.maximize else 'min'} val_{name}").maximize == measure_.maximize
        assert Target.parse(f"val_{name}>=0.5").metric == f"val_{name}"


def test_metrics_must_fit_the_data():
    with pytest.raises(
        SpaceError, match=r"objective: got val_mae, but the data has 2 classes; .*fit: loss, accuracy, auc"
    ):
        check_measurable(2, "val_mae", ())
    with pytest.raises(SpaceError, match=r"objective: got val_accuracy, but the data has amounts.*loss, mae, rmse, r2"):
        check_measurable(0, "val_accuracy", ())
    with pytest.raises(SpaceError, match=r"metrics\[1\]: got rmse"):
        check_measurable(2, "val_accuracy", ("auc", "rmse"))


SEARCH = Recipe(model=Model(body=NET), training=Training(epochs=1))


@pytest.mark.parametrize(
    ("classes", "text", "fitting"),
    [
        (2, "max val_mea", ["loss", "accuracy", "auc", "f1", "precision", "recall"]),
        (0, "max val_rr", ["loss", "mae", "rmse", "r2"]),
    ],
)
def test_only_objectives_that_fit_the_data_are_suggested(classes, text, fitting):
    with pytest.raises(SpaceError) as caught:
        Objective.parse(text, classes)
    allowed, _, hint = str(caught.value).partition("; allowed: ")[2].partition(". Did you mean ")
    assert re.findall(r"val_(\w+)", allowed) == fitting
    assert set(re.findall(r"val_(\w+)", hint)) <= set(fitting)
    with pytest.raises(SpaceError, match="but the data has"):
        Objective.parse("max val_mae" if classes else "min val_accuracy", classes)


def test_a_space_suggests_only_objectives_that_fit_its_data():
    with pytest.raises(SpaceError) as caught:
        Space(data="digits", search=SEARCH, objective="max accuracy")
    assert "val_mae" not in str(caught.value)
    assert '"max val_accuracy"' in str(caught.value)


def test_recording_more_changes_what_a_study_is_and_nothing_else_does():
    plain = Space(data="digits", search=SEARCH)
    assert "metrics" not in plain.text
    assert plain.fingerprint == Space(data="digits", search=SEARCH, metrics=[]).fingerprint
    assert plain.fingerprint != Space(data="digits", search=SEARCH, metrics=["f1"]).fingerprint
    with pytest.raises(SpaceError, match=r"metrics\[0\]: got 'f2'|metrics\[0\]: got \"f2\""):
        Space(data="digits", search=SEARCH, metrics=["f2"])


# ---- the loss of classes


def test_balanced_classes_count_the_same_in_all():
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4)
    weights = class_weights("balanced", labels, 4)
    sums = [weights[place] * int((labels == place).sum()) for place in (0, 1, 3)]
    assert sums == pytest.approx([4.0] * 3)
    assert class_weights((1, 2.0), labels, 2) == {0: 1.0, 1: 2.0}
    assert class_weights(None, labels, 2) is None


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_class_weights_move_what_is_learned(head):
    inputs = image_inputs(SHAPE, 2, 255.0)
    labels = np.array([0] * 300 + [1] * 100)
    same = image_part(np.zeros((400, *SHAPE), "uint8"), labels)  # nothing but the share to learn
    told = {}
    for weights in (None, "balanced", (1.0, 9.0)):
        keras.utils.set_random_seed(0)
        network = built(inputs, head, epochs=1, optimizer=SGD(learning_rate=0.5), class_weight=weights)
        trained(network, inputs, same, same, metric="val_loss")
        refit(network, same, inputs, learning_rates=(0.5, 0.5, 0.1), seed=0, watch=Noting())
        told[weights] = float(network.network.predict(same.images[:1], verbose=0)[0, -1])
    assert told == pytest.approx({None: 0.25, "balanced": 0.5, (1.0, 9.0): 0.75}, abs=0.12)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("augment", [None, Augment(flip="horizontal")], ids=["plain", "augmented"])
def test_labels_are_smoothed_while_training_only(head, augment):
    inputs, train = image_inputs(SHAPE, 2, 255.0), part(16, 0)
    share = 0.3
    network = built(inputs, head, label_smoothing=share, augment=augment, epochs=1, optimizer=SGD(learning_rate=1e-20))
    _, (epoch,) = trained(network, inputs, train, train, metric="val_loss")
    second = network.network.predict(train.images, verbose=0)[:, -1].astype("float64")
    probabilities = np.stack([1 - second, second], axis=1)
    smooth = np.eye(2)[train.labels] * (1 - share) + share / 2
    assert epoch.metrics["val_loss"] == pytest.approx(
        -np.log(probabilities[np.arange(16), train.labels]).mean(), rel=1e-4
    )
    if augment is None:
        assert epoch.metrics["loss"] == pytest.approx(-(smooth * np.log(probabilities)).sum(axis=1).mean(), rel=1e-4)
    assert type(network.network).__name__ == "Functional"  # what is exported is a plain model


def test_smoothed_answers_are_less_sure():
    inputs, train = image_inputs(SHAPE, 2, 255.0), part(512, 0)
    sure = []
    for share in (0.0, 0.4):
        keras.utils.set_random_seed(0)
        network = built(inputs, label_smoothing=share, epochs=1, optimizer=Adam(learning_rate=0.05))
        trained(network, inputs, train, train)
        refit(network, train, inputs, learning_rates=(0.05,) * 6, seed=0, watch=Noting())
        sure.append(float(network.network.predict(train.images, verbose=0).max(axis=1).mean()))
    assert sure[0] > 0.95
    assert sure[1] == pytest.approx(0.8, abs=0.08)


# ---- optimizers and schedules


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(weight_decay=0.5),
        AdamW(weight_decay=0.5),
        SGD(weight_decay=0.5),
        RMSprop(weight_decay=0.5),
        Muon(weight_decay=0.5),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_weights_decay_with_every_optimizer(optimizer):
    made = replace(optimizer, learning_rate=0.1).build()
    weight = keras.Variable([1.0, -2.0])
    made.build([weight])
    made.apply([keras.ops.zeros(2)])
    assert np.array(weight) == pytest.approx([0.95, -1.9])


def test_adam_with_decay_is_adamw_and_without_adam():
    def hashed(optimizer):
        return recipe_hash(replace(SEARCH, training=Training(epochs=1, optimizer=optimizer)))

    assert hashed(Adam(weight_decay=0.1)) == hashed(AdamW(weight_decay=0.1))
    assert hashed(AdamW(weight_decay=0.0)) == hashed(Adam(weight_decay=0.0)) == hashed(Adam())
    assert hashed(RMSprop(weight_decay=0)) == hashed(RMSprop())
    assert hashed(Adam(weight_decay=0.1)) != hashed(Adam())


def stepped(training, shapes, steps=1, seed=0):
    """By how much variables of these names and shapes change with random gradients."""
    made = optimizer_of(training, phases_of(training, None)[0])
    random = np.random.default_rng(seed)
    variables = [keras.Variable(np.ones(shape, "float32"), name=name.split()[-1]) for name, shape in shapes.items()]
    made.build(variables)
    for _ in range(steps):
        made.apply([keras.ops.convert_to_tensor(random.normal(size=v.shape).astype("float32")) for v in variables])
    return {name: np.array(v) - 1 for name, v in zip(shapes, variables, strict=True)}


def test_muon_turns_kernels_of_hidden_layers_and_leaves_the_rest_to_adam():
    shapes = {
        "convolution kernel": (3, 3, 4, 8),
        "dense kernel": (12, 6),
        "bias": (6,),
        "depthwise_kernel": (3, 3, 4, 1),
        "head kernel": (6, 5),
    }
    muon = Training(epochs=1, optimizer=Muon(learning_rate=0.1, adam_ratio=0.5))
    found, by_adam = stepped(muon, shapes), stepped(Training(epochs=1, optimizer=Adam(learning_rate=0.05)), shapes)
    for name in ("bias", "depthwise_kernel", "head kernel"):
        assert found[name] == pytest.approx(by_adam[name], abs=1e-6)
    for name in ("convolution kernel", "dense kernel"):
        step = found[name].reshape(-1, shapes[name][-1])
        sizes = np.linalg.svd(step, compute_uv=False)
        assert sizes.min() > 0.6 * sizes.max()  # nearly orthogonal; five steps of Newton and Schulz leave that much
        assert np.sqrt((step**2).mean()) == pytest.approx(0.2 * 0.1, rel=0.25)  # the size of a step of Adam
        others = np.linalg.svd(by_adam[name].reshape(step.shape), compute_uv=False)
        assert others.min() < 0.6 * others.max()


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(), SGD(momentum=0.9), RMSprop(), Muon()], ids=repr)
def test_biases_have_a_learning_rate_of_their_own(optimizer):
    shapes = {"one kernel": (3, 4), "one bias": (4,), "gamma": (4,), "beta": (4,), "two kernel": (4, 2)}
    decayed = replace(optimizer, learning_rate=1e-3, weight_decay=0.1)
    plain, faster = (stepped(Training(epochs=1, optimizer=decayed, bias_rate=rate), shapes) for rate in (1.0, 8.0))
    still = stepped(Training(epochs=1, optimizer=SGD(learning_rate=1e-3, weight_decay=0.1), clip_norm=1e-20), shapes)
    for name in ("one kernel", "gamma", "two kernel"):
        assert faster[name] == pytest.approx(plain[name], abs=1e-9)
    for name in ("one bias", "beta"):
        assert faster[name] - still[name] == pytest.approx(8 * (plain[name] - still[name]), rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_larger_rate_for_biases_goes_through_training(precision):
    inputs, train = image_inputs(SHAPE, 2, 255.0), part(64, 0)
    options = {"optimizer": Muon(learning_rate=0.02), "schedule": Triangular(), "bias_rate": 4.0, "clip_norm": 1.0}
    model = Model(body=ConvNet(stages=[Stage(filters=8)], batchnorm="before_activation"))
    network = built(inputs, model=model, epochs=6, precision=precision, **options)
    outcome, epochs = trained(network, inputs, train, train)
    assert outcome.score > 0.8
    assert len({epoch.metrics["learning_rate"] for epoch in epochs}) == 6


def test_gradients_are_clipped_together():
    training = Training(epochs=1, optimizer=SGD(learning_rate=1.0), clip_norm=1.0)
    made = optimizer_of(training, phases_of(training, None)[0])
    one, two = keras.Variable([0.0]), keras.Variable([0.0])
    made.build([one, two])
    made.apply([keras.ops.convert_to_tensor([3.0]), keras.ops.convert_to_tensor([4.0])])
    assert [float(one[0]), float(two[0])] == pytest.approx([-0.6, -0.8])


def test_a_schedule_is_a_matter_of_the_step():
    cosine = rate_of(Cosine(), 2.0, 100)
    assert [float(cosine(step)) for step in (0, 50, 100, 150)] == pytest.approx([2.0, 1.0, 0.0, 0.0])
    warm = rate_of(Cosine(warmup=0.2, final=0.5), 2.0, 100)
    assert [float(warm(step)) for step in (0, 10, 20, 60, 100)] == pytest.approx([0.0, 1.0, 2.0, 1.5, 1.0])
    cycle = rate_of(OneCycle(warmup=0.5, start=0.1), 2.0, 100)
    assert [float(cycle(step)) for step in (0, 25, 50, 75, 100)] == pytest.approx([0.2, 1.1, 2.0, 1.0, 0.0], abs=1e-6)
    triangle = rate_of(Triangular(warmup=0.2, start=0.1, final=0.5), 2.0, 100)
    assert [float(triangle(step)) for step in (0, 10, 20, 60, 100)] == pytest.approx([0.2, 1.1, 2.0, 1.5, 1.0])
    assert rate_of(Plateau(), 2.0, 100) is rate_of(None, 2.0, 100) is None


@pytest.mark.parametrize(
    "schedule", [Cosine(warmup=0.25), OneCycle(), Triangular()], ids=["cosine", "one_cycle", "triangular"]
)
def test_a_retraining_on_more_images_begins_each_epoch_with_the_same_rate(schedule):
    inputs = image_inputs(SHAPE, 2, 255.0)
    network = built(inputs, schedule=schedule, epochs=4)
    _, epochs = trained(network, inputs, part(64, 0), part(32, 1))
    rates = [epoch.metrics["learning_rate"] for epoch in epochs]
    assert len(set(rates)) == 4
    watch = Noting()
    refit(network, part(128, 2), inputs, learning_rates=rates[:3], seed=0, watch=watch)
    assert [epoch.metrics["learning_rate"] for epoch in watch.epochs] == pytest.approx(rates[:3], rel=1e-5, abs=1e-9)


# ---- precision


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("augment", [None, Augment(flip="horizontal")], ids=["plain", "augmented"])
def test_a_network_calculates_with_the_bits_that_are_said(precision, augment):
    inputs, train = image_inputs(SHAPE, 2, 255.0), part(64, 0)
    network = built(inputs, precision=precision, epochs=8, augment=augment)
    convolution = next(layer for layer in network.network.layers if isinstance(layer, keras.layers.Conv2D))
    assert convolution.compute_dtype == precision.removeprefix("mixed_")
    assert convolution.kernel.dtype == "float32"
    assert network.network.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    outcome, _ = trained(network, inputs, train, train)
    assert outcome.score > 0.8
    scaled = isinstance(network.network.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled is (precision == "mixed_float16")


def test_memory_is_less_with_16_bits():
    body = ConvNet(stages=[Stage(filters=64, convs=3)])
    memory = [
        measure(
            Recipe(model=Model(body=body), training=Training(epochs=1, batch_size=256, precision=precision)),
            image_inputs((32, 32, 3), 10, 255.0),
        ).memory
        for precision in ("float32", "mixed_bfloat16")
    ]
    assert memory[1] < 0.7 * memory[0]


# ---- amounts

AMOUNTS = image_inputs(SHAPE, 0, 255.0)


@pytest.mark.parametrize("loss", [None, "mean_absolute_error", "huber"])
def test_amounts_of_any_unit_are_learned(loss):
    train, validation = priced(256, 0), priced(64, 1)
    model = Model(body=NET, dense=[Dense(units=8)], head="linear")
    network = built(AMOUNTS, model=model, epochs=20, loss=loss, optimizer=Adam(learning_rate=0.02))
    outcome, epochs = trained(network, AMOUNTS, train, validation, metric="val_mae")
    metrics = ("loss", "mae", "rmse", "r2")
    assert list(epochs[0].metrics) == [*metrics, *(f"val_{name}" for name in metrics), "learning_rate"]
    assert outcome.score < 30_000  # of a standard deviation of about 145,000
    told = network.network.predict(validation.images, verbose=0)[:, 0].astype("float64")
    errors = told - validation.labels
    found = evaluate(network, validation, AMOUNTS)
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-3)
    assert found["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-3)
    assert found["r2"] == pytest.approx(1 - (errors**2).mean() / validation.labels.astype("float64").var(), abs=1e-3)
    if loss is None:
        assert found["loss"] == pytest.approx((errors**2).mean() / train.labels.astype("float64").var(), rel=1e-3)


def test_the_unit_of_amounts_is_exported_with_the_network(tmp_path):
    train = priced(64, 0)
    network = built(AMOUNTS, "linear", epochs=2)
    trained(network, AMOUNTS, train, train, metric="val_rmse")
    network.network.optimizer = None
    network.network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    expected = network.network.predict(train.images, verbose=0)
    assert (loaded.predict(train.images, verbose=0) == expected).all()
    assert 200_000 < expected.mean() < 900_000


def test_amounts_that_are_all_the_same_train_too():
    same = image_part(priced(32, 0).images, np.full(32, 7.0, "float32"))
    outcome, _ = trained(built(AMOUNTS, "linear", epochs=2), AMOUNTS, same, same, metric="val_mae")
    assert np.isfinite(outcome.score)


# ---- what is written


def with_training(**options):
    return replace(SEARCH, training=Training(epochs=1, **options))


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({}, "Training(epochs=1)"),
        ({"schedule": Cosine(warmup=0.1)}, "Training(epochs=1, schedule=Cosine(warmup=0.1))"),
        ({"schedule": OneCycle()}, "Training(epochs=1, schedule=OneCycle())"),
        ({"schedule": Triangular(final=0)}, "Training(epochs=1, schedule=Triangular(final=0))"),
        ({"optimizer": Muon(), "bias_rate": 64}, "Training(epochs=1, optimizer=Muon(), bias_rate=64)"),
        ({"bias_rate": 1.0, "average": None}, "Training(epochs=1)"),
        ({"average": 0.99}, "Training(epochs=1, average=0.99)"),
        ({"class_weight": [1, 2.5]}, "Training(epochs=1, class_weight=(1, 2.5))"),
        ({"class_weight": "balanced", "clip_norm": 1}, 'Training(epochs=1, class_weight="balanced", clip_norm=1)'),
        ({"label_smoothing": 0.1}, "Training(epochs=1, label_smoothing=0.1)"),
        ({"precision": "mixed_float16"}, 'Training(epochs=1, precision="mixed_float16")'),
        ({"loss": "huber"}, 'Training(epochs=1, loss="huber")'),
    ],
    ids=str,
)
def test_a_training_prints_as_it_is_written(options, printed):
    training = Training(epochs=1, **options)
    assert source(training).replace("'", '"') == printed
    assert eval(source(training)) == training


def test_one_training_has_one_hash():
    assert recipe_hash(with_training(class_weight=(1, 1.0))) == recipe_hash(SEARCH)
    assert recipe_hash(with_training(label_smoothing=0)) == recipe_hash(SEARCH)
    linear = replace(SEARCH, model=Model(body=NET, head="linear"))
    squares = replace(linear, training=Training(epochs=1, loss="mean_squared_error"))
    assert recipe_hash(squares) == recipe_hash(linear)
    assert canonical(squares).training.loss is None
    hashes = {
        recipe_hash(with_training(**options))
        for options in (
            {},
            {"schedule": Cosine()},
            {"schedule": OneCycle()},
            {"schedule": Triangular()},
            {"optimizer": Muon()},
            {"bias_rate": 2},
            {"class_weight": "balanced"},
            {"class_weight": (1, 2)},
            {"label_smoothing": 0.1},
            {"clip_norm": 1.0},
            {"precision": "mixed_bfloat16"},
        )
    }
    assert len(hashes) == 11


def test_every_option_may_be_a_choice():
    training = Training(
        epochs=1,
        optimizer=one_of(
            Adam(weight_decay=one_of(None, 0.1)),
            RMSprop(weight_decay=between(0.0, 0.1)),
            Muon(momentum=one_of(0.6, 0.95)),
        ),
        schedule=one_of(
            *(None, Plateau(), Cosine(warmup=between(0.0, 0.3)), OneCycle(start=one_of(0.01, 0.1))),
            Triangular(final=between(0.0, 0.1)),
        ),
        bias_rate=one_of(1.0, 0.05),
        average=one_of(None, 0.99),
        class_weight=one_of(None, "balanced"),
        label_smoothing=between(0.0, 0.2),
        clip_norm=one_of(None, 1.0),
        precision=one_of("float32", "mixed_bfloat16"),
    )
    search = Space(data="digits", search=replace(SEARCH, training=training)).search
    said = {"training.schedule": "Cosine", "training.class_weight": "balanced", "training.optimizer": "Adam"}
    asked = {}

    def suggest(parameter):
        labels = getattr(parameter.domain, "labels", None)
        asked[parameter.name] = said.get(parameter.name, labels[-1] if labels else 0.05)
        return asked[parameter.name]

    found = resolve(search, suggest)
    assert found.training.schedule == Cosine(warmup=0.05)
    assert found.training.optimizer == Adam(weight_decay=0.1)
    assert answers_of(search, found) == asked


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"schedule": Cosine(warmup=1.0)}, r"training.schedule.warmup: got 1.0; allowed"),
        ({"schedule": Triangular(start=1)}, r"training.schedule.start: got 1; allowed"),
        ({"bias_rate": 0}, r"training.bias_rate: got 0; allowed: a number above 0"),
        ({"optimizer": Muon(adam_ratio=0)}, r"training.optimizer.adam_ratio: got 0; allowed"),
        ({"schedule": OneCycle(warmup=0)}, r"training.schedule.warmup: got 0; allowed"),
        ({"schedule": "cosine"}, r"training.schedule: got .cosine.; allowed: Plateau\(...\), Cosine\(...\), OneCycle"),
        ({"class_weight": "even"}, r"training.class_weight: got .even.; allowed: None or .balanced. or a list of 2"),
        ({"class_weight": (1, 0)}, r"training.class_weight\[1\]: got 0; allowed"),
        ({"class_weight": (1, 2)}, r"training.class_weight: got 2 numbers for 10 classes; write one a class"),
        ({"label_smoothing": 1}, r"training.label_smoothing: got 1; allowed"),
        ({"clip_norm": 0}, r"training.clip_norm: got 0; allowed"),
        ({"precision": "float16"}, r"training.precision: got .float16.; allowed: .float32."),
        ({"loss": "huber"}, r'training.loss: got .huber., but that is for amounts, with head="linear"; drop it'),
        ({"loss": one_of(None, "huber")}, r"training.loss: got .huber., but that is for amounts"),
        ({"optimizer": Adam(weight_decay=-1)}, r"training.optimizer.weight_decay: got -1; allowed"),
    ],
    ids=str,
)
def test_nonsense_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(SpaceError, match=sentence) as caught:
        Space(data="digits", search=with_training(**options))
    assert "\n" not in str(caught.value)


LINEAR = Model(body=NET, head="linear")


@pytest.mark.parametrize(
    ("model", "options", "classes", "objective", "sentence"),
    [
        (LINEAR, {}, 3, "val_accuracy", r'model.head: got "linear", which tells an amount, but the data has 3 classes'),
        (Model(body=NET), {}, 0, "val_mae", r'model.head: got "softmax", which tells classes.*write "linear"'),
        (LINEAR, {"label_smoothing": 0.1}, 0, "val_mae", r"training.label_smoothing: got 0.1, but a linear head"),
        (LINEAR, {"class_weight": "balanced"}, 0, "val_mae", r"training.class_weight: got .balanced., but a linear"),
        (LINEAR, {"loss": one_of(None, "huber")}, 0, "val_loss", r'training.loss: .*write objective="min val_mae"'),
        (HyperModel(len), {"label_smoothing": 0.1}, 3, "val_loss", r"training.label_smoothing: .*build\(hp\)"),
    ],
)
def test_what_does_not_agree_is_said(model, options, classes, objective, sentence):
    recipe = Recipe(model=model, training=Training(epochs=1, **options))
    with pytest.raises(SpaceError, match=sentence):
        check_agreement(recipe, classes, objective)


def test_what_agrees_is_let_be():
    recipe = Recipe(model=LINEAR, training=Training(epochs=1, loss=one_of(None, "huber")))
    check_agreement(recipe, 0, "val_mae")
    check(Recipe(model=LINEAR, training=Training(epochs=1, loss="huber")), Anything())
