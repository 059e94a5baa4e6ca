"""The standalone script of an export: plain Keras code that builds, trains and tests the winner without hpsearch."""

import ast
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch import (
    L1L2,
    L2,
    SGD,
    Adam,
    AdamW,
    Augment,
    Branch,
    Concat,
    ConvNet,
    Cosine,
    Dense,
    FineTune,
    HyperModel,
    MaxNorm,
    MobileNetV2,
    MobileNetV3Small,
    Model,
    Muon,
    OneCycle,
    Pretrained,
    Recipe,
    RMSprop,
    Stage,
    Stem,
    Tiled,
    Training,
    Triangular,
    Whitening,
)
from hpsearch.data.declarations import named
from hpsearch.data.listing import listed
from hpsearch.resolve import from_answers, resolve
from hpsearch.spacefile import load_space
from hpsearch.training.script.network import remark

SPACES = sorted(Path(__file__).resolve().parents[1].joinpath("spaces").glob("*.py"))
DIGITS = named("digits")

ALONE = """
import sys
sys.modules["hpsearch"] = None
import runpy
names = runpy.run_path(sys.argv[1], run_name=sys.argv[2])
"""
"""Runs a script where hpsearch cannot be imported."""


def alone(script, *more, name="__main__", folder=None):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-I", "-c", ALONE + "\n".join(more), script, name],
        capture_output=True,
        text=True,
        cwd=folder or script.parent,
        env=environment,
        check=False,
    )


def imported(script):
    """The functions of a script."""
    spec = importlib.util.spec_from_file_location("train", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shapes_of(network):
    return [(type(layer).__name__, [tuple(weight.shape) for weight in layer.weights]) for layer in leaves(network)]


def leaves(network):
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def written(built, source, folder, replay=None, seed=3):
    """The script of a network, as functions."""
    from hpsearch.training.script.write import Replay, save_script

    replay = replay or Replay((0.001,) * 2)
    save_script(built, source, replay, seed, folder / "model.keras")
    missing = folder / "model.script" / "missing.txt"
    assert not missing.exists(), missing.read_text()
    return imported(folder / "model.script" / "train.py")


def same(built, module, rows):
    """The network of a script has the layers, parameters and, with the same weights, the answers of the original."""
    network = module.build_model()
    assert network.count_params() == built.network.count_params()
    assert sorted(map(str, shapes_of(network))) == sorted(map(str, shapes_of(built.network)))
    rng = np.random.default_rng(0)
    for weight in built.network.weights:
        weight.assign(np.abs(rng.normal(size=weight.shape)) * 0.1 + 0.05)
    network.set_weights(built.network.get_weights())
    answers = [np.asarray(each.predict(rows, verbose=0)) for each in (built.network, network)]
    np.testing.assert_array_equal(*answers)


def source_of(declaration, inputs, encoding=None, class_names=()):
    from hpsearch.training.exporting import Source

    return Source(declaration, inputs, encoding, class_names)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_script_tells_the_area_that_an_export_is_scored_by(classes, capsys):
    from hpsearch.training.class_scores import class_scores
    from hpsearch.training.inputs import image_inputs
    from hpsearch.training.script.fitting import evaluate_text
    from hpsearch.training.script.write import _HELPERS

    rng = np.random.default_rng(0)
    shares = np.rint(rng.dirichlet(np.ones(classes), 50) * 8) / 8  # with ties
    labels = np.concatenate([np.arange(classes - (classes > 2)), rng.integers(0, 2, 50 - classes + (classes > 2))])
    wanted = class_scores(shares, labels)["auc"]
    for answers in (shares, shares[:, 1:]) if classes == 2 else (shares,):
        names = {"np": np}
        text = evaluate_text(image_inputs((8, 8, 1), classes, 16.0), answers.shape[1] == 1, ("val_auc",))
        exec(f"{_HELPERS['area(']}\n\n{text}", names)
        names["evaluate"](SimpleNamespace(predict=lambda *_, answers=answers, **__: answers), None, labels)
        accuracy, area = capsys.readouterr().out.splitlines()
        assert accuracy.startswith("Accuracy on 50 test images: ")
        assert area == f"AUC: {wanted:.4f}"


def test_a_script_tells_the_metric_of_amounts_that_was_searched(capsys):
    from hpsearch.training.inputs import Inputs
    from hpsearch.training.script.fitting import evaluate_text

    names = {"np": np}
    exec(evaluate_text(Inputs({"table": (3,)}, 0, 255.0), one=True, metrics=("val_r2", "rmse")), names)
    network = SimpleNamespace(predict=lambda *_, **__: np.array([[1.0], [2.0], [6.0]]))
    assert names["evaluate"](network, None, np.array([1.0, 3.0, 5.0])) == pytest.approx(2 / 3)
    assert capsys.readouterr().out.splitlines() == [
        "Mean absolute error on 3 test rows: 0.666667",
        "Root of the mean squared error: 0.816497",
        "R2: 0.7500",
    ]


@pytest.fixture(autouse=True)
def same_beginning():
    """What is learned does not hang on which tests ran before."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def digits():
    from hpsearch.data.loading import load_search_data
    from hpsearch.training.inputs import loaded_inputs

    data = load_search_data(DIGITS, subset=200)
    inputs = loaded_inputs(DIGITS, data)
    return data, inputs, replace(source_of(DIGITS, inputs, class_names=data.class_names), subset=200)


def built_of(recipe, inputs):
    from hpsearch.training.build import build

    return build(recipe, inputs, lambda parameter: None)


VOCABULARY = {
    "plain": Model(body=ConvNet(stages=[Stage(filters=(4, 6)), Stage(filters=8, pool="average")])),
    "residual": Model(
        body=ConvNet(
            stages=[
                Stage(filters=(4, 4), batchnorm="before_activation"),
                Stage(filters=(4, 4), batchnorm="once_per_stage"),
                Stage(filters=(6, 6), strides=2, pool=None),
            ],
            stem=Stem(filters=4, kernel_size=3, strides=1, pool_size=3, pool_stride=1),
            residual=True,
            input_size=12,
            dropout=0.1,
        ),
        pooling="average",
    ),
    "separable": Model(
        body=ConvNet(
            stages=[Stage(filters=4, separable=True, kernel_constraint=MaxNorm(2))],
            kernel_regularizer=L1L2(l1=1e-5, l2=1e-4),
            initializer="he_normal",
            activation="gelu",
            use_bias=False,
            pool_size=3,
            pool_stride=2,
            pool_padding="same",
        ),
        pooling="max",
        dropout=0.2,
        dense=[Dense(units=8, batchnorm="before_activation", activation="tanh", kernel_regularizer=L2(0.01))],
    ),
    "fast": Model(
        body=ConvNet(
            stages=[
                Stage(filters=(4, 6)),
                Stage(filters=(6, 6), residual=True),
                Stage(filters=(2, 3), kernel_size=2, pool=None),
            ],
            stem=Whitening(kernel_size=3),
            initializer="dirac",
            batchnorm="before_activation",
            batchnorm_scale=False,
            use_bias=False,
        ),
        pooling="max",
        logit_scale=1 / 9,
        flip_averaging=True,
    ),
    "bare": Model(body=None, dense=[Dense(units=8, batchnorm="after_activation", batchnorm_momentum=0.5)]),
    "backbone": Model(
        body=MobileNetV2(alpha=0.35, weights=None, frozen=False, input_size=32, batchnorm_momentum=0.7),
        pooling="average",
    ),
    "thawed": Model(
        body=MobileNetV3Small(weights=None, frozen=True, unfreeze_last=5, input_size=32), pooling="average"
    ),
}

TRAININGS = {
    "smoothed": Training(
        epochs=4, label_smoothing=0.1, class_weight="balanced", optimizer=AdamW(learning_rate=0.01), clip_norm=1.0
    ),
    "weights": Training(epochs=4, class_weight=(1,) * 9 + (2,), optimizer=RMSprop(rho=0.8)),
    "cosine": Training(
        epochs=4, schedule=Cosine(warmup=0.2, final=0.1), optimizer=SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    ),
    "cycle": Training(epochs=4, schedule=OneCycle(), optimizer=Adam(learning_rate=0.01)),
    "triangular": Training(epochs=4, schedule=Triangular(warmup=0.3), optimizer=Muon(learning_rate=0.02), clip_norm=9),
    "biases": Training(epochs=4, bias_rate=8, optimizer=SGD(learning_rate=0.02, momentum=0.9)),
    "muon": Training(epochs=4, bias_rate=2.0, optimizer=Muon(weight_decay=0.01, adam_ratio=0.5)),
    "changed": Training(epochs=4, augment=Augment(rotation=0.05, brightness=0.1), batch_size=64),
    "copies": Training(epochs=4, augment=Augment(translation=0.1, zoom=0.1, copies=2)),
    "cutout": Training(epochs=4, augment=Augment(flip="alternating", cutout=0.25)),
    "mixup": Training(epochs=4, augment=Augment(mixup=0.2), class_weight="balanced"),
    "cutmix": Training(epochs=4, augment=Augment(translation=0.1, mixup=0.2, cutmix=0.5), label_smoothing=0.1),
    "averaged": Training(epochs=4, average=0.9, bias_rate=2.0, optimizer=SGD(learning_rate=0.02, momentum=0.9)),
    "mixed": Training(epochs=4, precision="mixed_bfloat16"),
}


def momenta(network):
    """How slowly moving statistics follow, in each batch normalisation."""
    return [layer.momentum for layer in leaves(network) if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.mark.parametrize("name", VOCABULARY)
def test_the_network_of_the_script_is_the_same(name, digits, tmp_path):
    data, inputs, source = digits
    built = built_of(Recipe(model=VOCABULARY[name], training=Training(epochs=4)), inputs)
    module = written(built, source, tmp_path)
    same(built, module, data.validation.images[:16])
    assert momenta(built.network) == momenta(module.build_model())
    text = (tmp_path / "model.script" / "train.py").read_text()
    assert "hpsearch" not in text.replace("that hpsearch found", "").replace("needs no hpsearch", "")
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", ["residual", "bare"])
def test_the_script_finds_the_same_statistics(name, digits, tmp_path):
    """Those of batch normalisation, which are not followed where the recipe does not say how slowly."""
    from hpsearch.training.statistics import Statistics

    _, inputs, source = digits
    model = replace(VOCABULARY[name], dense=[Dense(units=8, batchnorm="after_activation")])
    built = built_of(Recipe(model=model, training=Training(epochs=4, batch_size=16)), inputs)
    module = written(built, source, tmp_path)
    network = module.build_model()
    network.set_weights(built.network.get_weights())
    (x, _), _ = module.load_data()
    module.settle(network, x)
    before = built.network.get_weights()
    Statistics(built.network, x, 16).find()
    pairs = list(zip(network.get_weights(), built.network.get_weights(), strict=True))
    assert all(np.array_equal(*pair) for pair in pairs)
    assert any(not np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))
    assert momenta(network) == momenta(built.network)


@pytest.mark.parametrize("learns", [True, False])
def test_the_script_begins_with_the_same_weights_and_whitens_alike(learns, digits, tmp_path):
    from hpsearch.training.fit import refit
    from hpsearch.training.script.write import Replay
    from hpsearch.training.watch import Watch

    data, inputs, source = digits
    model = VOCABULARY["fast"]
    model = replace(model, body=replace(model.body, stem=Whitening(kernel_size=3, learn_bias=learns)))
    keras.utils.set_random_seed(3)
    built = built_of(Recipe(model=model, training=Training(epochs=1, optimizer=SGD(learning_rate=1e-20))), inputs)
    refit(built, data.train, inputs, learning_rates=(1e-20,), seed=3, watch=Watch())  # nothing but statistics learns
    module = written(built, source, tmp_path, Replay((1e-20,)))
    keras.utils.set_random_seed(3)
    network = module.build_model()
    module.train(network, data.train.images, data.train.labels)
    for mine, theirs in zip(network.get_weights(), built.network.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-12)
    kernels = [each.get_layer("stem").kernel for each in (network, built.network)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, kernels))
    assert len(network.trainable_weights) == len(built.network.trainable_weights)
    images = data.validation.images[:16]
    answers = [np.asarray(each.predict(images, verbose=0)) for each in (module.both_ways(network), built.answering)]
    np.testing.assert_allclose(*answers, atol=1e-6)
    assert "    model = both_ways(model)\n" in (tmp_path / "model.script" / "train.py").read_text()


@pytest.mark.parametrize("name", TRAININGS)
def test_the_script_trains_as_the_recipe_says(name, digits, tmp_path):
    """Each way of training learns; a bad loss or a rate that is lost would not."""
    from hpsearch.training.script.write import Replay

    _, inputs, source = digits
    model = Model(body=ConvNet(stages=[Stage(filters=16)]), dense=[Dense(units=16)])
    built = built_of(Recipe(model=model, training=TRAININGS[name]), inputs)
    try:
        module = written(built, source, tmp_path, Replay((0.01, 0.01, 0.01, 0.005)))
        network = module.build_model()
        (x, y), test = module.load_data()
        assert len(y) == 300
        before = module.evaluate(network, *test)
        module.train(network, x, y)
        assert module.evaluate(network, *test) > before + 0.1
    finally:
        import keras

        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["triangular", "biases", "muon"])
def test_the_optimizer_of_the_script_takes_the_steps_of_the_recipe(name, digits, tmp_path, monkeypatch):
    import keras

    from hpsearch.phases import phases_of
    from hpsearch.training.compiling import optimizer_of
    from hpsearch.training.script.write import Replay

    _, inputs, source = digits
    training = TRAININGS[name]
    model = Model(body=ConvNet(stages=[Stage(filters=4, batchnorm="after_activation")]), dense=[Dense(units=4)])
    built = built_of(Recipe(model=model, training=training), inputs)
    module = written(built, source, tmp_path, Replay((0.01,) * training.epochs))
    network = module.build_model()
    (x, y), _ = module.load_data()
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", lambda *args, **options: None)
        module.train(network, x, y)
    steps = math.ceil(len(y) / training.batch_size) * training.epochs
    ours = optimizer_of(training, phases_of(training, model)[0], steps)
    network.set_weights(built.network.get_weights())
    variables = network.trainable_variables, built.network.trainable_variables
    for optimizer, each in zip((network.optimizer, ours), variables, strict=True):
        rng = np.random.default_rng(0)
        for _ in range(3):
            optimizer.apply(
                [keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype("float32")) for v in each], each
            )
    for theirs, own in zip(*variables, strict=True):
        np.testing.assert_allclose(np.asarray(theirs), np.asarray(own), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["cutout", "mixup", "cutmix"])
def test_the_script_changes_images_as_the_recipe_says(name, digits, tmp_path, monkeypatch):
    """Its own layers give what ours give, and the loss of what is mixed is ours, too."""
    import keras

    from hpsearch.training.augmenting import augmented
    from hpsearch.training.losses import taught
    from hpsearch.training.script.write import Replay

    _, inputs, source = digits
    built = built_of(Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=TRAININGS[name]), inputs)
    module = written(built, source, tmp_path, Replay((0.01,) * 4))
    (x, y), _ = module.load_data()
    trainers = []
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", lambda self, *args, **options: trainers.append((self, args[1])))
        module.train(built.network, x, y)
    ours = augmented(built.network, TRAININGS[name].augment, inputs, 0, len(y))
    trainers.append((taught(ours, TRAININGS[name].label_smoothing), y))
    trainers[1][0].compile(loss="sparse_categorical_crossentropy")
    found = []
    for trainer, told in trainers:
        every = [part for layer in trainer.layers if layer is not built.network for part in layer._flatten_layers()]
        for layer in every:
            for generator in ("generator", "seeds"):
                if hasattr(layer, generator):
                    getattr(layer, generator).state.assign([5, 0])
        losses = []
        for start in (0, 150) * 3:
            rows = x[start : start + 150].astype("float32")
            answers = trainer(rows, training=True)
            losses.append(float(trainer.compute_loss(rows, told[start : start + 150], answers, training=True)))
        found.append([*losses, np.asarray(answers)])
    assert len(set(found[0][:-1])) == 6
    np.testing.assert_allclose(found[0][:-1], found[1][:-1], rtol=1e-4)
    np.testing.assert_allclose(found[0][-1], found[1][-1], rtol=1e-4, atol=1e-6)


def test_a_rate_that_was_cut_is_followed(digits, tmp_path, capsys):
    from hpsearch.training.script.write import Replay

    _, inputs, source = digits
    built = built_of(Recipe(model=VOCABULARY["bare"], training=Training(epochs=9)), inputs)
    module = written(built, source, tmp_path, Replay((0.01, 0.01, 0.0)))
    text = (tmp_path / "model.script" / "train.py").read_text()
    assert "learning_rates = [0.01] * 2 + [0.0]" in text
    network = module.build_model()
    (x, y), _ = module.load_data()
    module.train(network, x, y)
    assert float(network.optimizer.learning_rate) == 0


def test_what_was_frozen_learns_in_the_second_phase(digits, tmp_path):
    import keras

    from hpsearch.training.script.write import Replay

    data, inputs, source = digits
    trained = built_of(Recipe(model=VOCABULARY["residual"], training=Training(epochs=1)), inputs)
    trained.network.save(tmp_path / "before.keras")
    model = Model(body=Pretrained(str(tmp_path / "before.keras")), dense=[Dense(units=8)])
    tuning = FineTune(epochs=3, unfreeze_last=9, learning_rate=0.01)
    built = built_of(Recipe(model=model, training=Training(epochs=2, fine_tune=tuning)), inputs)
    module = written(built, source, tmp_path, Replay((0.01, 0.01, 0.01), (1, 1, 2)))
    assert (tmp_path / "model.script" / "pretrained.keras").is_file()
    (tmp_path / "before.keras").unlink()
    network = module.build_model()
    before = network.get_layer("pretrained").get_weights()
    (x, y), _ = module.load_data()
    module.train(network, x, y)
    after = network.get_layer("pretrained").get_weights()
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert any(changed)
    assert not all(changed)
    learning = [layer for layer in leaves(network.get_layer("pretrained")) if layer.trainable_weights]
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in learning)
    same(built, module, data.validation.images[:16])


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_has_scripts_of_its_recipes(path, tmp_path):
    """Sampled recipes of each space, with random weights in place of pretrained ones."""
    import keras

    from hpsearch.training.build import build, without_weights
    from hpsearch.training.inputs import declared_inputs
    from hpsearch.training.inspection import at_random
    from hpsearch.training.script.helpers import DIRAC
    from hpsearch.training.script.model import model_text

    space = load_space(path)
    if isinstance(space.search.model, HyperModel):
        pytest.skip("its own test has it")
    inputs = declared_inputs(space.declaration)
    generator = random.Random(5)
    recipes = [*(space.baselines or {}).values()][:2]
    recipes += [resolve(space.search, at_random(generator)) for _ in range(2)]
    for number, recipe in enumerate(recipes):
        built = build(without_weights(recipe), inputs, lambda parameter: None)
        text = model_text(built, tmp_path / str(number), "The head").text
        names = {"keras": keras, "layers": keras.layers, "ops": keras.ops, "HERE": tmp_path / str(number)}
        exec(f"{DIRAC}\n\n{text}", names)
        network = names["build_model"]()
        assert network.count_params() == built.network.count_params(), text
        assert sorted(map(str, shapes_of(network))) == sorted(map(str, shapes_of(built.network))), text


def test_several_inputs_are_read_as_they_were(tmp_path):
    """A table with photos: the vector and the photos that the script makes are those that the network saw."""
    import csv

    from PIL import Image

    from hpsearch import Table
    from hpsearch.data.loading import load_search_data, load_test_part
    from hpsearch.training.inputs import loaded_inputs

    rng = np.random.default_rng(0)
    with open(tmp_path / "houses.csv", "w", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["price", "living area", "rooms", "zip", "front", "back"])
        for number in range(60):
            for side in ("f", "b"):
                pixels = rng.integers(0, 255, (9, 12, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"{side}{number}.png")
            rooms, place = "?" if number % 5 == 0 else number % 4, "" if number % 7 == 0 else f"z{number % 3}"
            out.writerow([number * 10 + 100, number + 20, rooms, place, f"f{number}.png", f"b{number}.png"])
    data = Table(
        "houses.csv",
        label="price",
        amount=True,
        numeric=("living area", "rooms"),
        categorical=("zip",),
        images=("front", "back"),
        missing=("?",),
        size=8,
    )
    found = load_search_data(data, data_dir=tmp_path)
    inputs = loaded_inputs(data, found)
    body = Concat(
        both=Branch(body=ConvNet(stages=[Stage(filters=4)]), input=Tiled("front", "back")),
        front=Branch(body=ConvNet(stages=[Stage(filters=3)], batchnorm="after_activation")),
        table=Branch(dense=[Dense(units=4)]),
    )
    model = Model(body=body, dense=[Dense(units=8)], head="linear")
    built = built_of(Recipe(model=model, training=Training(epochs=2, augment=Augment(flip="horizontal"))), inputs)
    source = replace(source_of(data, inputs, found.encoding), data_dir=tmp_path)
    module = written(built, source, tmp_path)
    (x, y), (x_test, y_test) = module.load_data()
    assert sorted(y) == sorted([*found.train.labels, *found.validation.labels])
    assert sorted(y_test) == sorted(load_test_part(data, data_dir=tmp_path).labels)
    order = [list(y).index(label) for label in found.train.labels]
    for name in ("front", "back", "table"):
        np.testing.assert_allclose(x[name][order], found.train.inputs[name][:], rtol=1e-6, atol=1e-6)
    network = module.build_model()
    module.train(network, x, y)
    assert np.isfinite(module.evaluate(network, x_test, y_test))
    same(built, module, x_test)


def test_a_list_of_rows_is_the_split(photos, tmp_path):
    from hpsearch import ImageFolder
    from hpsearch.data.loading import load_search_data

    photos(tmp_path / "set", 12)
    data = ImageFolder("set", size=6)
    found = listed(data, data_dir=tmp_path)
    loaded = load_search_data(data, data_dir=tmp_path)
    assert not set(found.train) & set(found.test)
    assert len(found.train) == len(loaded.train) + len(loaded.validation)
    assert len(found.train) + len(found.test) == 24
    few = listed(data, data_dir=tmp_path, subset=6)
    assert len(few.train) == 6 + 2
    assert set(few.train) < set(found.train)
    assert few.test == found.test


@pytest.mark.parametrize("layout", ["flat", "apart"])
def test_photos_are_read_as_they_were(photos, tmp_path, layout):
    from hpsearch import ImageFolder
    from hpsearch.data.loading import load_search_data
    from hpsearch.training.inputs import loaded_inputs

    for part in ("train", "test") if layout == "apart" else ("",):
        photos(tmp_path / "set" / part, 10)
    data = ImageFolder("set", size=(6, 8), channels=1, validation=0.3)
    found = load_search_data(data, data_dir=tmp_path)
    inputs = loaded_inputs(data, found)
    model = Model(body=ConvNet(stages=[Stage(filters=4)]), head="sigmoid")
    built = built_of(Recipe(model=model, training=Training(epochs=2)), inputs)
    module = written(built, replace(source_of(data, inputs, None, found.class_names), data_dir=tmp_path), tmp_path)
    (x, y), (x_test, y_test) = module.load_data()
    assert module.CLASSES == ["bright", "dark"]
    assert x.shape == (len(found.train) + len(found.validation), 6, 8, 1)
    assert len(x_test) == (20 if layout == "apart" else 4)
    seen = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    for image, label in zip(found.validation.images[:], found.validation.labels, strict=True):
        assert seen[image.tobytes()] == label
    network = module.build_model()
    module.train(network, x, y)
    assert 0 <= module.evaluate(network, x_test, y_test) <= 1


HYPER = """
import keras
from keras import layers as kl

from hpsearch import HyperModel, Recipe, Space, Training

WIDTH = 3


def head(x):
    # this comment stays
    return kl.Dense(10, activation="softmax")(x)


class Mine:
    def __init__(self, extra):
        self.extra = extra

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = kl.Conv2D(hp.Int("filters", 2, 8, step=2), WIDTH)(inputs)
        x = kl.Flatten()(x)
        if hp.Boolean("deep"):
            with hp.conditional_scope("deep", [True]):
                x = kl.Dense(hp.Int("units", 4, 32), activation="relu")(x)
        with hp.name_scope("end"):
            x = kl.Dropout(hp.Float("rate", 0.0, 0.5))(x)
        model = keras.Model(inputs, head(x))
        rate = hp.Float("learning_rate", 1e-3, 1e-2, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


space = Space(data="digits", search=Recipe(model=HyperModel(Mine(extra=2)), training=Training(epochs=3)))
"""


def test_a_build_of_the_users_own_stands_in_the_script_as_it_is(digits, tmp_path):
    _, inputs, source = digits
    (tmp_path / "mine.py").write_text(HYPER)
    space = load_space(tmp_path / "mine.py")
    values = {"filters": 6, "deep": True, "units(deep=True)": 12, "end/rate": 0.25, "learning_rate": 0.004}
    recipe = replace(space.search, model=replace(space.search.model, values=values))
    from hpsearch.training.build import build

    built = build(recipe, inputs, from_answers({}))
    module = written(built, source, tmp_path)
    text = (tmp_path / "model.script" / "train.py").read_text()
    assert "# this comment stays" in text
    assert "space =" not in text
    network = module.build_model()
    assert network.count_params() == built.network.count_params()
    assert [layer.get_config().get("rate") for layer in network.layers if "dropout" in layer.name] == [0.25]
    assert float(network.optimizer.learning_rate) == pytest.approx(0.004)
    (x, y), test = module.load_data()
    for _ in range(5):
        module.train(network, x / 16, y)
    assert module.evaluate(network, test[0] / 16, test[1]) > 0.4  # chance is 0.1


def test_a_network_that_cannot_be_written_says_why(digits, tmp_path, monkeypatch):
    from hpsearch.training.script import write
    from hpsearch.training.script.calls import ScriptError

    _, inputs, source = digits
    built = built_of(Recipe(model=VOCABULARY["bare"], training=Training(epochs=1)), inputs)

    def refuse(*_):
        raise ScriptError("it is too strange")

    monkeypatch.setattr(write, "model_text", refuse)
    write.save_script(built, source, write.Replay((0.01,)), 1, tmp_path / "model.keras")
    assert not (tmp_path / "model.script" / "train.py").exists()
    assert (tmp_path / "model.script" / "missing.txt").read_text() == "There is no train.py: it is too strange\n"


SPACE = """
recipe = Recipe(
    model=Model(body=ConvNet(stages=[Stage(filters=16)], batchnorm="before_activation"), dense=[Dense(units=32)]),
    training=Training(epochs=6, batch_size=32, optimizer=Adam(learning_rate=0.005)),
)
space = Space(data="digits", search=recipe, baselines={"by_hand": recipe})
"""


def test_the_script_of_an_export_runs_without_hpsearch_and_scores_what_was_recorded(cli, write_space, tmp_path):
    space = write_space(tmp_path / "mine.py", SPACE)
    said = cli("run", space, "--subset", 400, "--trials", 1, "--results", tmp_path / "results")
    assert said.code == 0, said
    said = cli("export-best", "--no-finals", "--results", tmp_path / "results")
    assert said.code == 0, said
    export = tmp_path / "results" / "mine" / "export"
    assert "train.py" in said.out
    (tmp_path / "elsewhere").mkdir()
    check = """
import json
model = names["build_model"]()
model.load_weights(sys.argv[1].replace("train.py", "model.keras"))
_, (x, y) = names["load_data"]()
print(json.dumps([model.count_params(), names["evaluate"](model, x, y)]))
"""
    done = alone(export / "train.py", check, name="train", folder=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    parameters, accuracy = json.loads(done.stdout.splitlines()[-1])
    metrics = json.loads((export / "metrics.json").read_text())
    assert parameters == metrics["chosen"]["parameters"]
    assert accuracy == pytest.approx(metrics["chosen"]["accuracy"])

    done = alone(export / "train.py", folder=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.split("test images: ")[1].split()[0])
    assert accuracy == pytest.approx(metrics["chosen"]["accuracy"], abs=0.1)
    assert (tmp_path / "elsewhere" / "trained.keras").is_file()

    said = cli("export-best", "--format", "keras,tf_saved_model", "--results", tmp_path / "results")
    assert said.code == 0, said
    assert said.out.startswith("Exported and tested before")
    assert "saved_model: TensorFlow gives the same answers on 64 rows" in said.out
    assert (export / "saved_model" / "saved_model.pb").is_file()
    card = (export / "README.md").read_text()
    for line in (
        "## What was not tested",
        "## How to load it",
        "- Chosen by its validation score",
        "tf.saved_model.load(",
    ):
        assert line in card


@given(st.text())
def test_a_remark_ends_neither_comment_nor_docstring(text):
    said = remark(text.replace("\0", ""))
    assert ast.literal_eval(f'"""{said}"""') == said
    assert ast.parse(f"# {said}").body == []
