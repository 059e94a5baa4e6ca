"""What networks of speed records are made of: identity kernels, whitening, scaled logits, answers for mirror images."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from hpsearch import (
    SGD,
    Adam,
    Augment,
    Branch,
    Concat,
    ConvNet,
    Dense,
    FineTune,
    Model,
    Pretrained,
    Recipe,
    Space,
    Stage,
    Stem,
    Tiled,
    Training,
    Whitening,
    between,
    one_of,
    tied,
)
from hpsearch.agreement import check_agreement
from hpsearch.check import check
from hpsearch.data.declarations import named
from hpsearch.data.parts import Part, image_part
from hpsearch.declare import Anything, source
from hpsearch.errors import ModelError, SpaceError
from hpsearch.reads import check_reads
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import answers_of, from_answers, resolve
from hpsearch.spacefile import load_space
from hpsearch.training.build import Built, build, build_network
from hpsearch.training.exporting import Source, save_export
from hpsearch.training.features import halves
from hpsearch.training.fit import evaluate, fit, refit
from hpsearch.training.inputs import Inputs, image_inputs
from hpsearch.training.measure import measure
from hpsearch.training.saving import Saving
from hpsearch.training.scoring import changed_by_loading
from hpsearch.training.tuning import Layers
from hpsearch.training.watch import Leaving, Watch
from hpsearch.training.whitening import whiten

INPUTS = image_inputs((8, 8, 3), 4, 255.0)
TWO_PHOTOS = Inputs({"front": (8, 8, 3), "back": (8, 8, 3), "table": (5,)}, 4, 255.0)
ONCE = Training(epochs=1)
NET = ConvNet(stages=[Stage(filters=4)])
WHITE = ConvNet(stages=[Stage(filters=4)], stem=Whitening())
EVERYTHING = Model(
    body=ConvNet(
        stages=[Stage(filters=(4, 4)), Stage(filters=(4, 4), residual=True, pool=None)],
        stem=Whitening(activation="gelu"),
        initializer="dirac",
        batchnorm="before_activation",
        batchnorm_scale=False,
        activation="gelu",
        use_bias=False,
        dropout=0.1,
    ),
    pooling="max",
    logit_scale=1 / 9,
    flip_averaging=True,
)


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session()


def array(tensor: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(tensor))


def photos(count: int, seed: int = 0, channels: int = 3) -> Any:
    """Images whose neighbouring pixels are alike, as those of photos are; one side is brighter."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 200, (count, 4, 4, channels))
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2) + generator.integers(0, 25, (count, 8, 8, channels))
    return np.minimum(fine + np.arange(8)[:, None] * 4, 255).astype("uint8")


def part(count: int, seed: int = 0) -> Part:
    images = photos(count, seed)
    return image_part(images, (images.mean(axis=(1, 2, 3)) // 16 % 4).astype("int64"))


def fresh(model: Model, inputs: Inputs = INPUTS, **training: Any) -> Built:
    keras.utils.set_random_seed(1)
    options = {"epochs": 2, "batch_size": 16, "optimizer": SGD(learning_rate=0.05), **training}
    return build(Recipe(model=model, training=Training(**options)), inputs, from_answers({}))


class Leaves(Watch):
    """Leaves at a step of an epoch, or never."""

    def __init__(self, at: tuple[int, int] | None = None) -> None:
        self.at = at

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        return (epoch, step) == self.at


def trained(built: Built, saving: Saving | None = None, at: tuple[int, int] | None = None, **data: Part) -> Any:
    return fit(
        built,
        data.get("train", TRAIN),
        VALIDATION,
        INPUTS,
        metric="val_loss",
        maximize=False,
        seed=0,
        watch=Leaves(at),
        saving=saving,
    )


TRAIN, VALIDATION = part(64), part(32, seed=1)


class TestDirac:
    @pytest.mark.parametrize(("size", "channels", "filters"), [(3, 3, 5), (3, 5, 3), (1, 3, 3), (2, 3, 4), (5, 3, 4)])
    def test_the_first_filters_hand_on_a_channel_each(self, size: int, channels: int, filters: int) -> None:
        stage = Stage(filters=filters, kernel_size=size, initializer="dirac", activation="linear", pool=None)
        inputs = image_inputs((8, 8, channels), 4, 255.0)
        network = build_network(Model(body=ConvNet(stages=[stage])), inputs)
        convolution = network.get_layer("stage1_conv1")
        seen = np.random.default_rng(0).random((2, 8, 8, channels), dtype=np.float32)
        count = min(channels, filters)
        np.testing.assert_array_equal(array(convolution(seen))[..., :count], seen[..., :count])
        rest = array(convolution.kernel)[..., count:]
        assert rest.shape[-1] == filters - count
        assert (rest != 0).all()

    def test_what_is_saved_names_an_initializer_of_keras(self) -> None:
        body = ConvNet(stages=[Stage(filters=(4, 8), residual=True)], initializer="dirac")
        network = build_network(Model(body=body), INPUTS)
        kinds = {type(each).__name__: each for each in network.layers if isinstance(each, layers.Conv2D)}
        assert kinds
        for layer in network.layers:
            if isinstance(layer, layers.Conv2D):
                assert layer.get_config()["kernel_initializer"]["class_name"] == "GlorotUniform"
                assert layer.get_config()["kernel_initializer"]["module"] == "keras.initializers"
        np.testing.assert_array_equal(array(network.get_layer("stage1_shortcut").kernel)[0, 0, :, :3], np.eye(3))

    def test_the_other_filters_begin_as_they_would_without(self) -> None:
        kernels = []
        for name in ("dirac", "glorot_uniform"):
            keras.utils.set_random_seed(3)
            body = ConvNet(stages=[Stage(filters=(5, 7), initializer=name)])
            network = build_network(Model(body=body), INPUTS)
            kernels.append([array(network.get_layer(f"stage1_conv{n}").kernel) for n in (1, 2)])
        for (mine, plain), count in zip(zip(*kernels, strict=True), (3, 5), strict=True):
            np.testing.assert_array_equal(mine[..., count:], plain[..., count:])

    def test_it_is_for_convolutions_that_are_not_separable(self) -> None:
        with pytest.raises(ModelError) as caught:
            build_network(Model(body=ConvNet(stages=[Stage(filters=4)], separable=True, initializer="dirac")), INPUTS)
        assert str(caught.value).startswith("model.body.stages[0].initializer: got 'dirac' for separable convolutions")
        assert "write another initializer or separable=False." in str(caught.value)
        with pytest.raises(SpaceError, match=r'^initializer: got "dirac"; allowed: "glorot_uniform"'):
            check(Dense(units=4, initializer="dirac"), Anything())


@pytest.mark.parametrize("placement", ["before_activation", "after_activation"])
def test_batch_normalisation_without_factors_has_no_gamma(placement: str) -> None:
    body = ConvNet(stages=[Stage(filters=(4, 4), residual=True)], batchnorm=placement, batchnorm_scale=False)
    dense = [Dense(units=3, batchnorm=placement, batchnorm_scale=False)]
    network = build_network(Model(body=body, dense=dense), INPUTS)
    found = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(found) == (4 if placement == "before_activation" else 3)
    assert not any(layer.scale or (hasattr(layer, "gamma") and layer.gamma is not None) for layer in found)


class TestWhitening:
    @pytest.mark.parametrize("body", [WHITE, ConvNet(stages=[Stage(filters=4)], stem=Whitening(kernel_size=3))])
    def test_what_it_gives_is_uncorrelated_and_of_one_size(self, body: ConvNet) -> None:
        network = build_network(Model(body=body), INPUTS)
        images = photos(400)
        whiten(network, images)
        convolution = network.get_layer("stem")
        size = convolution.kernel_size[0]
        kernel = array(convolution.kernel).reshape(3 * size**2, -1)
        half = kernel.shape[1] // 2
        assert half == 3 * size**2
        np.testing.assert_array_equal(kernel[:, half:], -kernel[:, :half])
        pixels = images.astype("float64") / 255
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (size, size), axis=(1, 2))
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 3 * size**2)
        told = patches @ kernel + array(convolution.bias)
        np.testing.assert_allclose(told.mean(axis=0), 0, atol=1e-4)
        covariance = np.cov(told[:, :half].T)
        np.testing.assert_allclose(covariance - np.diag(covariance.diagonal()), 0, atol=1e-3)
        # Epsilon keeps the directions small in which patches hardly differ.
        assert covariance.diagonal()[0] == pytest.approx(1, abs=1e-3)
        assert (covariance.diagonal() <= 1.001).all()

    def test_images_and_kernels_decide_and_nothing_drawn(self) -> None:
        kernels = []
        for seed in (1, 2):
            keras.utils.set_random_seed(seed)
            network = build_network(Model(body=WHITE), INPUTS)
            before = np.random.get_state()[1].copy()  # what Keras draws from
            whiten(network, TRAIN.images)
            assert (np.random.get_state()[1] == before).all()
            kernels.append(array(network.get_layer("stem").kernel))
        np.testing.assert_array_equal(*kernels)
        assert np.abs(kernels[0]).max() > 1

    def test_of_many_images_a_fixed_few_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hpsearch.training.whitening.IMAGES", 30)
        monkeypatch.setattr("hpsearch.training.whitening.VALUES", 5_000)  # several times, a few images each
        chosen = np.sort(np.random.default_rng(0).choice(64, 30, replace=False))
        found = []
        for images in (TRAIN.images, TRAIN.images[chosen]):
            network = build_network(Model(body=WHITE), INPUTS)
            whiten(network, images)
            found.append(array(network.get_layer("stem").kernel))
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)

    def test_images_of_one_colour_are_no_trouble(self) -> None:
        network = build_network(Model(body=WHITE), INPUTS)
        whiten(network, np.full((5, 8, 8, 3), 7, "uint8"))
        assert all(np.isfinite(each).all() for each in network.get_weights())

    @pytest.mark.parametrize("learns", [True, False])
    def test_its_kernels_stay_and_its_bias_learns_if_it_is_to(self, learns: bool) -> None:
        built = fresh(Model(body=replace(WHITE, stem=Whitening(learn_bias=learns))), augment=Augment(flip="horizontal"))
        wanted = build_network(Model(body=WHITE), INPUTS)
        whiten(wanted, TRAIN.images)
        trained(built)
        (kernel, bias), (kernel_wanted, bias_wanted) = (
            each.get_layer("stem").get_weights() for each in (built.network, wanted)
        )
        np.testing.assert_array_equal(kernel, kernel_wanted)
        assert np.array_equal(bias, bias_wanted) != learns

    def test_a_retraining_finds_them_from_all_that_it_trains_on(self) -> None:
        built = fresh(Model(body=WHITE))
        refit(built, part(96, seed=2), INPUTS, learning_rates=(0.01,), seed=0, watch=Watch())
        wanted = build_network(Model(body=WHITE), INPUTS)
        whiten(wanted, part(96, seed=2).images)
        np.testing.assert_array_equal(*(array(n.get_layer("stem").kernel) for n in (built.network, wanted)))

    def test_it_sees_images_behind_resizing_and_tiling(self) -> None:
        tall = ConvNet(stages=[Stage(filters=4)], stem=Whitening(kernel_size=3, padding="same"), input_size=6)
        model = Model(
            body=Concat(
                both=Branch(body=tall, input=Tiled("front", "back")),
                front=Branch(body=WHITE),
                table=Branch(),
            )
        )
        network = build_network(model, TWO_PHOTOS)
        rows = {"front": photos(20), "back": photos(20, seed=3), "table": np.zeros((20, 5), "float32")}
        whiten(network, rows)
        tiled, alone = network.get_layer("both_stem"), network.get_layer("front_stem")
        assert tiled.output.shape[1:] == (6, 6, 54)
        single = build_network(Model(body=WHITE), INPUTS)
        whiten(single, rows["front"])
        np.testing.assert_array_equal(array(alone.kernel), array(single.get_layer("stem").kernel))
        assert np.abs(array(tiled.kernel)).max() > 1

    def test_fine_tuning_leaves_its_kernels_as_they_are(self, tmp_path: Path) -> None:
        build_network(Model(body=NET), INPUTS).save(tmp_path / "before.keras")
        model = Model(
            body=Concat(
                back=Branch(body=Pretrained(str(tmp_path / "before.keras"))),
                front=Branch(body=WHITE),
            )
        )
        network = build_network(model, TWO_PHOTOS)
        tuned = Layers(network)
        for tuning in (FineTune(epochs=1), FineTune(epochs=1, unfreeze_last=1), None):
            tuned.learn(tuning)
            learning = {id(weight) for weight in network.trainable_weights}
            assert id(network.get_layer("front_stem").kernel) not in learning
            assert id(network.get_layer("front_stem").bias) in learning

    def test_its_settings_are_searched_and_found_again(self) -> None:
        space = ConvNet(
            stages=[Stage(filters=between(4, 8))],
            activation=tied("activation", one_of("relu", "gelu")),
            stem=one_of(
                None,
                Stem(filters=4),
                Whitening(kernel_size=one_of(2, 3), activation=tied("activation", one_of("relu", "gelu"))),
            ),
        )
        check(space, Anything())
        drawn = ConvNet(stages=[Stage(filters=6)], activation="gelu", stem=Whitening(kernel_size=3, activation="gelu"))
        answers = answers_of(space, drawn)
        assert resolve(space, from_answers(answers)) == drawn
        assert eval(source(drawn), {"ConvNet": ConvNet, "Stage": Stage, "Whitening": Whitening}) == drawn

    def test_one_hash_for_one_network(self) -> None:
        def hash_of(stem: Any, **options: Any) -> str:
            return recipe_hash(Recipe(model=Model(body=replace(NET, stem=stem, **options)), training=ONCE), (8, 8, 3))

        on_stage = ConvNet(stages=[Stage(filters=4, activation="elu")], stem=Whitening())
        said = recipe_hash(Recipe(model=Model(body=on_stage), training=ONCE), (8, 8, 3))
        assert said == hash_of(Whitening(), activation="elu")
        assert hash_of(Whitening(kernel_size=1)) == hash_of(Whitening(kernel_size=1, padding="same"))
        stems = [None, Whitening(), Whitening(kernel_size=3), Whitening(learn_bias=False), Whitening(activation="elu")]
        assert len({hash_of(stem) for stem in stems}) == len(stems)

    def test_a_window_larger_than_the_image_is_refused(self) -> None:
        with pytest.raises(ModelError) as caught:
            build_network(Model(body=replace(WHITE, stem=Whitening(kernel_size=9))), INPUTS)
        assert str(caught.value) == (
            "model.body.stem.kernel_size: a window of 9x9 does not fit into images of 8x8; use a smaller one."
        )


class TestLogitScale:
    @pytest.mark.parametrize("head", ["softmax", "sigmoid"])
    def test_what_the_last_layer_gives_is_multiplied(self, head: str) -> None:
        inputs = image_inputs((8, 8, 3), 2, 255.0)
        plain = build_network(Model(body=NET, head=head), inputs)
        scaled = build_network(Model(body=NET, head=head, logit_scale=0.25), inputs)
        assert plain.layers[-1].name == "head"
        *others, kernel, bias = plain.get_weights()
        scaled.set_weights([*others, kernel * 4, bias * 4])
        np.testing.assert_allclose(*(array(each(photos(5))) for each in (plain, scaled)), atol=1e-6)

    def test_an_amount_has_none(self) -> None:
        model = Model(body=NET, head="linear", logit_scale=one_of(0.5, 1.0))
        with pytest.raises(SpaceError, match=r"^model.logit_scale: got 0.5, but a linear head answers with an amount"):
            check_agreement(Recipe(model=model, training=ONCE), 0, "val_mae")
        with pytest.raises(SpaceError, match=r"^logit_scale: got 0; allowed: a number above 0"):
            check(Model(body=NET, logit_scale=0), Anything())


class TestFlipAveraging:
    def test_it_changes_what_is_answered_and_not_what_is_learned(self) -> None:
        plain, mirrored = (fresh(Model(body=NET, flip_averaging=flips), label_smoothing=0.1) for flips in (False, True))
        outcomes = [trained(built) for built in (plain, mirrored)]
        for one, other in zip(plain.network.get_weights(), mirrored.network.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        images = VALIDATION.images[:]
        wanted = (array(plain.network(images)) + array(plain.network(images[:, :, ::-1]))) / 2
        np.testing.assert_allclose(array(mirrored.answering(images)), wanted, atol=1e-6)
        assert plain.answering is plain.network
        shares = np.clip(wanted[np.arange(32), VALIDATION.labels], 1e-7, 1)
        assert outcomes[1].score == pytest.approx(-np.log(shares).mean(), rel=1e-4)
        assert outcomes[1].score != outcomes[0].score
        assert evaluate(mirrored, VALIDATION, INPUTS)["loss"] == pytest.approx(outcomes[1].score, rel=1e-5)
        assert evaluate(mirrored, TRAIN, INPUTS)["loss"] == pytest.approx(outcomes[1].train_score, rel=1e-5)

    def test_tables_are_not_mirrored(self) -> None:
        model = Model(body=Concat(front=Branch(body=NET), table=Branch()), flip_averaging=True)
        built = Built(build_network(model, TWO_PHOTOS), Recipe(model=model, training=ONCE))
        rows = {"front": photos(4), "table": np.random.default_rng(0).random((4, 5), dtype=np.float32)}
        other = {**rows, "front": rows["front"][:, :, ::-1]}
        wanted = (array(built.network(rows)) + array(built.network(other))) / 2
        np.testing.assert_allclose(array(built.answering(rows)), wanted, atol=1e-6)

    def test_it_is_refused_where_no_image_is_read_and_means_nothing_where_none_is_drawn(self) -> None:
        shapes = TWO_PHOTOS.features
        with pytest.raises(SpaceError) as caught:
            check_reads(Model(body=None, input="table", flip_averaging=one_of(False, True)), shapes)
        assert str(caught.value) == (
            "model.flip_averaging: got True, but the model reads no images that could be mirrored; drop it."
        )
        open_ = Concat(front=one_of(Branch(body=NET), None), table=Branch())
        check_reads(Model(body=open_, flip_averaging=True), shapes)
        alone = [Model(body=Concat(table=Branch()), flip_averaging=flips) for flips in (False, True)]
        assert len({recipe_hash(Recipe(model=model, training=ONCE), shapes) for model in alone}) == 1
        both = [Model(body=NET, input="front", flip_averaging=flips) for flips in (False, True)]
        assert len({recipe_hash(Recipe(model=model, training=ONCE), shapes) for model in both}) == 2
        built = Built(build_network(alone[1], TWO_PHOTOS), Recipe(model=alone[1], training=ONCE))
        assert built.answering is built.network

    def test_an_answer_costs_twice_as_much(self) -> None:
        plain, mirrored = (
            measure(Recipe(model=Model(body=NET, flip_averaging=flips), training=ONCE), INPUTS)
            for flips in (False, True)
        )
        assert mirrored.flops == 2 * plain.flops
        assert replace(mirrored, flops=plain.flops) == plain

    def test_features_of_a_frozen_body_are_not_kept(self, tmp_path: Path) -> None:
        build_network(Model(body=NET), INPUTS).save(tmp_path / "before.keras")
        body = Pretrained(str(tmp_path / "before.keras"))
        assert halves(fresh(Model(body=body))) is not None
        assert halves(fresh(Model(body=body, flip_averaging=True))) is None

    def test_an_export_with_it_can_be_the_body_of_another(self, tmp_path: Path) -> None:
        built = fresh(Model(body=NET, flip_averaging=True))
        exported(built, tmp_path / "model.keras")
        again = build_network(Model(body=Pretrained(str(tmp_path / "model.keras"))), INPUTS)
        images = VALIDATION.images[:4]
        taken = keras.Model(again.input, again.get_layer("head").input)
        own = keras.Model(built.network.input, built.network.get_layer("flatten").output)
        np.testing.assert_allclose(array(taken(images)), array(own(images)), atol=1e-6)


def exported(built: Built, path: Path) -> None:
    declared = named("digits")  # of which nothing is looked at here
    save_export(built, Source(declared, INPUTS, None, ("a", "b", "c", "d")), path, VALIDATION)


def test_all_of_it_is_exported_as_plain_keras(tmp_path: Path) -> None:
    built = fresh(EVERYTHING)
    trained(built)
    exported(built, tmp_path / "model.keras")
    assert changed_by_loading(tmp_path / "model.keras") < 1e-5
    np.savez(tmp_path / "seen.npz", images=VALIDATION.images)
    script = (
        "import sys; sys.modules['hpsearch'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2])['images'], verbose=0))\n"
    )
    files = [tmp_path / name for name in ("model.keras", "seen.npz", "told.npy")]
    subprocess.run([sys.executable, "-c", script, *map(str, files)], check=True, capture_output=True)
    wanted = array(built.answering(VALIDATION.images[:]))
    np.testing.assert_allclose(np.load(tmp_path / "told.npy"), wanted, atol=1e-5)
    np.testing.assert_allclose(wanted.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("place", [(1, 2), (2, 1)])
def test_all_of_it_goes_on_where_it_was_left(place: tuple[int, int], tmp_path: Path) -> None:
    options = {"optimizer": Adam(learning_rate=0.01), "augment": Augment(flip="horizontal"), "label_smoothing": 0.2}
    whole = fresh(EVERYTHING, **options)
    outcome = trained(whole)
    (tmp_path / "trial").mkdir()
    with pytest.raises(Leaving):
        trained(fresh(EVERYTHING, **options), Saving(tmp_path / "trial", "hash"), place)
    again = fresh(EVERYTHING, **options)
    assert trained(again, Saving(tmp_path / "trial", "hash")) == outcome
    for one, other in zip(whole.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_whole_space_of_it_is_checked_and_found_again() -> None:
    body = replace(
        EVERYTHING.body,
        stem=one_of(None, Whitening(kernel_size=one_of(2, 3))),
        initializer=one_of("he_uniform", "dirac"),
        batchnorm_scale=one_of(True, False),
    )
    model = replace(EVERYTHING, body=body, logit_scale=between(0.05, 1.0, log=True), flip_averaging=one_of(False, True))
    recipe = Recipe(model=replace(EVERYTHING, body=replace(EVERYTHING.body, stem=Whitening())), training=ONCE)
    space = Space(data="cifar10", search=Recipe(model=model, training=ONCE), baselines={"fast": recipe})
    assert resolve(space.search, from_answers(space.baseline_answers("fast"))) == recipe


def test_a_block_of_a_residual_record_can_be_said() -> None:
    """Jordan, 2024, for 96 %: a convolution and a pool, then two convolutions around which a shortcut leads."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(image)
    x = layers.MaxPooling2D()(layers.Activation("gelu")(layers.BatchNormalization(scale=False)(x)))
    y = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    y = layers.Activation("gelu")(layers.BatchNormalization(scale=False)(y))
    y = layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3, padding="same", use_bias=False)(y))
    x = layers.GlobalMaxPooling2D()(layers.Activation("gelu")(layers.Add()([y, x])))
    reference = keras.Model(image, layers.Dense(4, activation="softmax")(x))
    body = ConvNet(
        stages=[Stage(filters=6), Stage(filters=(6, 6), residual=True, pool=None)],
        activation="gelu",
        batchnorm="before_activation",
        batchnorm_scale=False,
        use_bias=False,
    )
    ours = build_network(Model(body=body, pooling="max"), image_inputs((8, 8, 3), 4, 1.0))
    ours.set_weights(reference.get_weights())
    images = np.random.default_rng(0).random((3, 8, 8, 3), dtype=np.float32)
    np.testing.assert_allclose(array(ours(images)), array(reference(images)), atol=1e-5)


def test_the_record_of_the_space_has_the_size_of_the_paper() -> None:
    """Jordan, 2024: 1.97 million parameters, the whitening kernels among them; batch normalisation has no factors."""
    space = load_space(Path(__file__).parents[1] / "spaces" / "cifar_fast.py")
    network = build_network(space.baselines["record"].model, image_inputs((32, 32, 3), 10, 255.0))
    whitening, offsets, head_bias = 24 * 12 + 24, 2 * 64 + 4 * 256, 10
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    assert network.count_params() - 2 * offsets - head_bias == whitening + convolutions + offsets + 2560 == 1_971_640
    assert network.get_layer("stage4_conv1").output.shape[1:] == (3, 3, 256)
