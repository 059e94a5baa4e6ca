"""A trained network as a body: cut where it is said, frozen or not, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from hpsearch import (
    Augment,
    Branch,
    Concat,
    ConvNet,
    Dense,
    MobileNetV2,
    Model,
    Pretrained,
    Recipe,
    Stage,
    Training,
    between,
    one_of,
)
from hpsearch.blocks.files import content_of, located, look_in
from hpsearch.check import check
from hpsearch.declare import Anything, source
from hpsearch.errors import ModelError, SpaceError, WeightsError
from hpsearch.recipe import recipe_hash
from hpsearch.training.build import build_network
from hpsearch.training.inputs import Inputs, image_inputs
from hpsearch.training.measure import measure, measure_network
from hpsearch.training.reading import check_reading

IMAGES = image_inputs((8, 8, 3), 3, 255.0)
BOTH = Inputs({"image": (8, 8, 3), "table": (5,)}, 3, 255.0)
JOINED = Model(
    body=Concat(
        image=Branch(body=ConvNet(stages=[Stage(filters=4)], batchnorm="after_activation"), dense=[Dense(units=6)]),
        table=Branch(dense=[Dense(units=7, dropout=0.5)]),
    ),
    dense=[Dense(units=8)],
)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
    yield
    keras.utils.clear_session()


def saved(model: Model, inputs: Inputs, name: str = "trained.keras") -> Any:
    """A network with weights of its own, in a file as an export is."""
    network = build_network(model, inputs)
    generator = np.random.default_rng(0)
    network.set_weights([generator.random(w.shape, dtype="float32") / 8 for w in network.get_weights()])
    network.save(name)
    return network


def rows(inputs: Inputs) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    return {name: generator.random((4, *shape), dtype="float32") * 255 for name, shape in inputs.features.items()}


def told(network: Any, seen: Any) -> Any:
    """What a network gives, as an array."""
    return keras.ops.convert_to_numpy(network(seen))


def features(network: Any, layer: str) -> Any:
    return keras.Model(network.input, network.get_layer(layer).output)


class TestWhatIsTaken:
    def test_all_up_to_the_head_of_an_exported_model_which_takes_raw_pixels(self) -> None:
        trained = saved(Model(body=ConvNet(stages=[Stage(filters=4)]), dense=[Dense(units=6)]), IMAGES)
        network = build_network(Model(body=Pretrained("trained.keras")), IMAGES)
        assert [layer.name for layer in network.layers] == ["image", "pretrained", "head"]
        seen = rows(IMAGES)["image"]
        np.testing.assert_allclose(
            told(network.get_layer("pretrained"), seen), told(features(trained, "dense1"), seen), rtol=1e-5
        )

    def test_up_to_a_layer_whose_features_are_pooled_as_those_of_any_body(self) -> None:
        trained = saved(Model(body=ConvNet(stages=[Stage(filters=4)])), IMAGES)
        network = build_network(Model(body=Pretrained("trained.keras", until="stage1_pool"), pooling="average"), IMAGES)
        seen = rows(IMAGES)["image"]
        pooled = told(features(trained, "stage1_pool"), seen).mean(axis=(1, 2))
        np.testing.assert_allclose(told(features(network, "global_average"), seen), pooled, rtol=1e-5)

    def test_each_branch_of_a_joined_model(self) -> None:
        trained = saved(JOINED, BOTH)
        network = build_network(
            Model(
                body=Concat(
                    image=Branch(body=Pretrained("trained.keras", until="image_dense1")),
                    table=Branch(body=Pretrained("trained.keras", until="table_dense1_dropout")),
                )
            ),
            BOTH,
        )
        seen = rows(BOTH)
        expected = told(features(trained, "join"), seen)
        np.testing.assert_allclose(told(features(network, "join"), seen), expected, rtol=1e-5)
        assert sorted(tensor.name for tensor in network.inputs) == ["image", "table"]

    def test_a_table_behind_the_columns_that_an_exported_model_takes(self) -> None:
        """Its preprocessing belongs to the data, which has done it already."""
        inner = saved(Model(body=None, dense=[Dense(units=6)]), Inputs({"table": (3,)}, 2, 1.0))
        columns = {name: keras.Input((1,), name=name) for name in ("area", "rooms", "age")}
        numbers = layers.Concatenate()(list(columns.values()))
        scaled = layers.Normalization(mean=[1.0] * 3, variance=[4.0] * 3)(numbers)
        keras.Model(columns, inner(scaled, training=False)).save("whole.keras")
        network = build_network(Model(body=Pretrained("whole.keras")), Inputs({"table": (3,)}, 2, 1.0))
        seen = rows(Inputs({"table": (3,)}, 2, 1.0))["table"]
        np.testing.assert_allclose(
            told(network.get_layer("pretrained"), seen), told(features(inner, "dense1"), seen), rtol=1e-5
        )

    def test_a_table_of_one_column_is_not_preprocessed_twice(self) -> None:
        one = Inputs({"table": (1,)}, 2, 1.0)
        inner = saved(Model(body=None, dense=[Dense(units=6)]), one)
        column = keras.Input((1,), name="area")
        keras.Model(column, inner(layers.Normalization(mean=1.0, variance=4.0)(column))).save("whole.keras")
        network = build_network(Model(body=Pretrained("whole.keras")), one)
        seen = rows(one)["table"]
        np.testing.assert_allclose(
            told(network.get_layer("pretrained"), seen), told(features(inner, "dense1"), seen), rtol=1e-5
        )

    def test_what_an_outer_model_does_to_its_images_is_taken_along(self) -> None:
        """So is a network of the user's own exported: behind a layer that scales raw pixels."""
        inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6), layers.Dense(2)])
        image = keras.Input((8, 8, 3), name="image")
        keras.Model(image, inner(layers.Rescaling(1 / 255)(image), training=False)).save("whole.keras")
        network = build_network(Model(body=Pretrained("whole.keras")), IMAGES)
        seen = rows(IMAGES)["image"]
        cut = keras.Model(inner.inputs, inner.layers[-1].input)
        np.testing.assert_allclose(told(network.get_layer("pretrained"), seen), told(cut, seen / 255), rtol=1e-4)

    def test_a_sequential_model_trained_on_pixels_from_0_to_1(self) -> None:
        other = keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="c"), layers.Flatten(), layers.Dense(2)]
        )
        other.save("other.keras")
        network = build_network(Model(body=Pretrained("other.keras", pixels="0..1")), IMAGES)
        seen = rows(IMAGES)["image"]
        expected = told(keras.Model(other.inputs, other.layers[-1].input), seen / 255)
        np.testing.assert_allclose(told(network.get_layer("pretrained"), seen / 255), expected, rtol=1e-5)

    def test_a_whole_model_within_a_model_by_its_name(self) -> None:
        trained = saved(Model(body=MobileNetV2(weights=None, frozen=False, alpha=0.35, input_size=32)), IMAGES)
        inner = next(layer for layer in trained.layers if layer.name.startswith("mobilenetv2"))
        name = inner.name
        network = build_network(Model(body=Pretrained("trained.keras", until=name), pooling="average"), IMAGES)
        seen = rows(IMAGES)["image"]
        size = keras.ops.image.resize(seen, (32, 32))
        np.testing.assert_allclose(
            told(network.get_layer("pretrained"), seen), told(inner, size / 127.5 - 1), rtol=1e-3, atol=1e-4
        )
        assert network.get_layer("pretrained").output_shape == (None, 1, 1, 1280)

    def test_images_of_another_size_are_resized_first(self) -> None:
        saved(Model(body=ConvNet(stages=[Stage(filters=4)])), image_inputs((12, 12, 3), 3, 255.0))
        network = build_network(Model(body=Pretrained("trained.keras", input_size=12)), IMAGES)
        assert [layer.name for layer in network.layers] == ["image", "resize", "pretrained", "head"]


class TestWhatLearns:
    MODEL = Model(body=ConvNet(stages=[Stage(filters=4)], batchnorm="after_activation"), dense=[Dense(units=5)])

    def learning(self, **options: Any) -> list[str]:
        saved(self.MODEL, IMAGES)
        network = build_network(Model(body=Pretrained("trained.keras", **options)), IMAGES)
        return sorted({weight.path.split("/")[-2] for weight in network.trainable_weights})

    def test_only_the_head_where_it_is_frozen(self) -> None:
        assert self.learning() == ["head"]

    def test_everything_where_it_is_not(self) -> None:
        assert self.learning(frozen=False) == ["dense1", "head", "stage1_conv1", "stage1_conv1_batchnorm"]

    def test_its_last_layers_but_not_their_normalisation(self) -> None:
        assert self.learning(unfreeze_last=1) == ["dense1", "head"]
        assert self.learning(unfreeze_last=5) == ["dense1", "head", "stage1_conv1"]

    def test_what_was_frozen_when_it_was_saved_learns_where_it_is_not(self) -> None:
        network = build_network(self.MODEL, IMAGES)
        network.get_layer("stage1_conv1").trainable = False
        network.save("trained.keras")
        network = build_network(Model(body=Pretrained("trained.keras", frozen=False)), IMAGES)
        assert any("stage1_conv1/" in weight.path for weight in network.trainable_weights)

    def test_statistics_stay_and_dropout_is_off_while_a_frozen_one_is_trained(self) -> None:
        saved(JOINED, BOTH)
        body = Concat(
            image=Branch(body=Pretrained("trained.keras", until="image_dense1")),
            table=Branch(body=Pretrained("trained.keras", until="table_dense1_dropout")),
        )
        network = build_network(Model(body=body), BOTH)
        before = features(network, "join")(rows(BOTH), training=True)
        network.compile("sgd", "sparse_categorical_crossentropy")
        network.fit(rows(BOTH), np.arange(4) % 3, verbose=0)
        np.testing.assert_array_equal(features(network, "join")(rows(BOTH), training=True), before)

    def test_two_branches_of_one_file_have_weights_of_their_own(self) -> None:
        saved(self.MODEL, IMAGES)
        two = Inputs({"front": (8, 8, 3), "back": (8, 8, 3)}, 3, 255.0)
        branch = Branch(body=Pretrained("trained.keras", frozen=False))
        network = build_network(Model(body=Concat(front=branch, back=branch)), two)
        alone = build_network(Model(body=Pretrained("trained.keras")), IMAGES).get_layer("pretrained").count_params()
        assert network.count_params() == 2 * alone + 10 * 3 + 3


class TestWhatDoesNotFit:
    def failing(self, body: Pretrained, inputs: Inputs = IMAGES) -> str:
        with pytest.raises(SpaceError) as caught:
            check_reading(Model(body=body), inputs)
        return str(caught.value)

    def test_no_file(self, tmp_path: Path) -> None:
        said = self.failing(Pretrained("trained.keras"))
        assert said.startswith(f"model.body.path: the file trained.keras is in none of {tmp_path}")
        assert said.endswith("; give its path, or put it there.")

    def test_no_such_layer(self) -> None:
        saved(Model(body=ConvNet(stages=[Stage(filters=4)])), IMAGES)
        assert self.failing(Pretrained("trained.keras", until="stage1_pol")) == (
            'model.body.until: got "stage1_pol", which is no layer of trained.keras. '
            "Did you mean stage1_pool? "
            "Its layers are image, pixels, stage1_conv1, stage1_pool, flatten, head."
        )

    def test_images_of_another_size(self) -> None:
        saved(Model(body=ConvNet(stages=[Stage(filters=4)])), image_inputs((12, 12, 3), 3, 255.0))
        assert self.failing(Pretrained("trained.keras")) == (
            "model.body: trained.keras takes image (12x12x3), and gets 8x8x3; give it what it was trained on, "
            "or set input_size."
        )

    def test_a_layer_behind_the_join(self) -> None:
        saved(JOINED, BOTH)
        assert self.failing(Pretrained("trained.keras")) == (
            "model.body: its head in trained.keras depends on more than 8x8x3: image (8x8x3), table (5); "
            "name a layer of one branch, until=..."
        )

    def test_a_file_of_another_kind(self) -> None:
        Path("trained.keras").write_text("no model")
        said = self.failing(Pretrained("trained.keras"))
        assert said.startswith("model.body.path: Keras ")
        assert said.endswith("cannot load trained.keras: it is no .keras file")

    def test_the_choice_that_does_not_fit_is_found_among_those_that_do(self) -> None:
        saved(Model(body=ConvNet(stages=[Stage(filters=4)])), IMAGES)
        body = one_of(ConvNet(stages=[Stage(filters=2)]), Pretrained("trained.keras", until=one_of("flatten", "flat")))
        branch = one_of(Branch(body=body), None)
        with pytest.raises(SpaceError, match=r'^model\.body\.image\.body\.until: got "flat", which is no layer'):
            check_reading(Model(body=Concat(image=branch)), IMAGES)

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (
                Pretrained("model.h5"),
                'path: got "model.h5"; allowed: a .keras file, as model.save("name.keras") writes it.',
            ),
            (
                Pretrained("a.keras", frozen=False, unfreeze_last=2),
                "unfreeze_last: got layers to unfreeze although frozen=False unfreezes all; drop one of the two.",
            ),
            (Pretrained("a.keras", until=3), "until: got 3; allowed: the name of a layer or None."),
        ],
    )
    def test_options_are_checked(self, body: Pretrained, sentence: str) -> None:
        with pytest.raises(SpaceError) as caught:
            check(body, Anything())
        assert str(caught.value) == sentence

    def test_a_trial_whose_file_is_gone_lacks_its_weights(self) -> None:
        with pytest.raises(WeightsError, match=r"the file gone\.keras is in none of"):
            build_network(Model(body=Pretrained("gone.keras")), IMAGES)

    def test_features_without_height_and_width_cannot_be_averaged(self) -> None:
        sequence = keras.Sequential([keras.Input((8, 8, 3)), layers.Reshape((64, 3), name="row"), layers.Dense(2)])
        sequence.save("row.keras")
        with pytest.raises(ModelError, match=r'^model\.pooling: got "average" for features of 64x3'):
            build_network(Model(body=Pretrained("row.keras"), pooling="average"), IMAGES)


class TestWhereItIsFound:
    def test_as_a_path_then_in_the_data_directory_then_beside_the_space(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder in ("space", "data", "named", "here"):
            (tmp_path / folder).mkdir()
        look_in(data=tmp_path / "data", space=tmp_path / "space")
        monkeypatch.setenv("HPSEARCH_DATA_DIR", str(tmp_path / "named"))
        monkeypatch.chdir(tmp_path / "here")
        for folder in ("space", "named", "data", "here"):
            (tmp_path / folder / "model.keras").touch()
            assert located("model.keras").resolve() == tmp_path / folder / "model.keras"

    def test_a_recipe_is_another_when_the_file_is(self) -> None:
        recipe = Recipe(model=Model(body=Pretrained("a.keras")), training=Training(epochs=1))
        missing = recipe_hash(recipe)
        Path("a.keras").write_bytes(b"one")
        one = recipe_hash(recipe)
        Path("a.keras").write_bytes(b"other")
        assert len({missing, one, recipe_hash(recipe)}) == 3
        Path("b.keras").write_bytes(b"other")
        assert content_of("b.keras") == content_of("a.keras")
        renamed = Recipe(model=Model(body=Pretrained("b.keras")), training=Training(epochs=1))
        assert recipe_hash(renamed) == recipe_hash(recipe)
        assert source(renamed).startswith('Recipe(model=Model(body=Pretrained("b.keras")')


@pytest.mark.parametrize("frozen", [True, False])
def test_it_is_measured_without_loading_its_weights(frozen: bool) -> None:
    trained = saved(JOINED, BOTH)
    body = Concat(
        image=Branch(body=Pretrained("trained.keras", until="image_dense1", frozen=frozen)),
        table=Branch(dense=[Dense(units=3)]),
    )
    recipe = Recipe(model=Model(body=body), training=Training(epochs=1))
    measured = measure(recipe, BOTH)
    network = build_network(recipe.model, BOTH)
    assert measured == measure_network(network, recipe, BOTH)
    taken = [trained.get_layer(name).count_params() for name in ("image_stage1_conv1", "image_dense1")]
    assert measured.parameters == sum(taken) + 4 * 4 + (5 * 3 + 3) + ((6 + 3) * 3 + 3)


SPACE = """
from hpsearch import Pretrained

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=one_of(Pretrained("trained.keras", until=one_of(None, "flatten")), ConvNet(stages=[Stage(filters=2)])),
            dense=[Dense(units=between(4, 8))],
        ),
        training=Training(epochs=1, batch_size=64),
    ),
    baselines={
        "again": Recipe(
            model=Model(body=Pretrained("trained.keras"), dense=[Dense(units=4)]),
            training=Training(epochs=1, batch_size=64),
        )
    },
)
"""


def test_a_study_takes_the_file_from_beside_its_space(
    cli: Any, tmp_path: Path, write_space: Any, trials_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spaces").mkdir()
    space = write_space(tmp_path / "spaces" / "mine.py", SPACE)
    arguments = ("--results", tmp_path, "--subset", 100, "--trials", 2)
    said = cli("run", space, *arguments)
    assert said.sentence.startswith(f"{space}: model.body.path: the file trained.keras is in none of ")
    saved(Model(body=ConvNet(stages=[Stage(filters=3)]), dense=[Dense(units=5)]), image_inputs((8, 8, 1), 10, 16.0))
    Path("trained.keras").rename(space.parent / "trained.keras")
    said = cli("check", space)
    assert said.code == 0, said
    said = cli("run", space, *arguments)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "mine")
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    assert len({trial["hash"] for trial in trials}) == len(trials)


def test_augmentation_stands_before_it() -> None:
    from hpsearch.training.augmenting import augmented

    saved(Model(body=ConvNet(stages=[Stage(filters=4)])), IMAGES)
    network = build_network(Model(body=Pretrained("trained.keras")), IMAGES)
    trainer = augmented(network, Augment(flip="horizontal"), IMAGES, 0)
    assert trainer.count_params() == network.count_params()


def test_domains_stand_at_every_option() -> None:
    body = Pretrained(
        one_of("a.keras", "b.keras"), until=one_of("x", None), unfreeze_last=between(0, 3), input_size=one_of(8, 16)
    )
    check(body, Anything())
