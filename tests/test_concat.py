"""Networks with several inputs: what they read, how they print, how they are built, one hash for one network."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

import hpsearch
from hpsearch import (
    Augment,
    Branch,
    Concat,
    ConvNet,
    Dense,
    MobileNetV2,
    Model,
    Recipe,
    Stage,
    Tiled,
    Training,
    between,
    one_of,
    repeat,
)
from hpsearch.addresses import Parameter
from hpsearch.check import check
from hpsearch.declare import Anything, source, transformed
from hpsearch.errors import ModelError, SpaceError
from hpsearch.recipe import canonical, recipe_hash
from hpsearch.resolve import answers_of, from_answers, has_domains, resolve
from hpsearch.training.augmenting import augmented
from hpsearch.training.build import build_network
from hpsearch.training.inputs import Inputs
from hpsearch.training.inspection import at_random
from hpsearch.training.measure import measure, measure_network
from hpsearch.training.reading import check_reading, check_windows

HOUSE = Inputs({"front": (8, 8, 3), "back": (8, 8, 3), "small": (6, 6, 3), "table": (5,)}, 3, 255.0)
TABLE = Inputs({"table": (5,)}, 3, 1.0)
IMAGE = Inputs({"image": (8, 8, 1)}, 3, 16.0)
CONV = ConvNet(stages=[Stage(filters=4)])
TRAINING = Training(epochs=1)


@pytest.fixture(autouse=True)
def _forgotten_networks() -> Iterator[None]:
    yield
    keras.utils.clear_session()


def recipe(body: Any, **options: Any) -> Recipe:
    return Recipe(model=Model(body=body, **options), training=TRAINING)


def rows(inputs: Inputs, count: int = 4) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    return {name: generator.random((count, *shape), dtype="float32") for name, shape in inputs.features.items()}


def told(network: Any, given_: Any) -> Any:
    """What a network gives, as an array."""
    return keras.ops.convert_to_numpy(network(given_))


class TestAsDeclared:
    CONCAT = Concat(
        table=Branch(dense=[Dense(units=between(4, 8))]),
        front=one_of(Branch(body=ConvNet(stages=repeat(Stage(filters=between(4, 8)), between(1, 2)))), None),
    )

    def test_it_prints_as_it_is_written(self) -> None:
        text = source(Concat(table=Branch(dropout=0.5), front=Branch(input=Tiled("front", "back"))))
        assert text == 'Concat(front=Branch(input=Tiled("front", "back")), table=Branch(dropout=0.5))'

    def test_the_order_in_which_branches_are_written_does_not_matter(self) -> None:
        assert Concat(a=Branch(), b=Branch(dropout=0.5)) == Concat(b=Branch(dropout=0.5), a=Branch())
        assert Concat(a=Branch()) != Concat(b=Branch())

    def test_it_travels_between_processes_and_is_copied(self) -> None:
        for value in (self.CONCAT, Tiled("front", "back")):
            assert pickle.loads(pickle.dumps(value)) == value
            assert copy.deepcopy(value) == value
            assert hash(copy.copy(value)) == hash(value)
        assert isinstance(self.CONCAT, Concat)

    def test_choices_are_called_by_where_they_stand(self) -> None:
        asked: list[str] = []
        draw = at_random(random.Random(4))

        def suggest(parameter: Parameter) -> Any:
            asked.append(parameter.name)
            return "Branch" if parameter.name == "model.body.front" else draw(parameter)

        resolve(recipe(self.CONCAT), suggest)
        assert asked[:3] == [
            "model.body.front",
            "model.body.front.body.stages",
            "model.body.front.body.stages[0].filters",
        ]
        assert asked[-1] == "model.body.table.dense[0].units"

    def test_its_parts_are_checked_at_their_addresses(self) -> None:
        said = recipe(Concat(table=Branch(dense=[Dense(units=0)]), front=one_of(Branch(body=CONV), None)))
        with pytest.raises(SpaceError, match=r"^model\.body\.table\.dense\[0\]\.units: got 0; allowed: a whole number"):
            check(said, Anything())

    def test_its_parts_are_changed_as_those_of_any_object(self) -> None:
        def wider(part: Any) -> Any:
            return Dense(units=9) if isinstance(part, Dense) else part

        changed = transformed(Concat(a=Branch(dense=[Dense(units=1)]), b=None), wider)
        assert changed == Concat(a=Branch(dense=[Dense(units=9)]), b=None)

    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda: Concat(), "Concat needs a branch; write Concat(image=Branch(...), table=Branch(...))."),
            (
                lambda: Concat(**{"front view": Branch()}),
                (
                    'Concat got the branch name "front view"; allowed: a plain word that is not taken; write another '
                    'and say what it reads, Branch(input="front view").'
                ),
            ),
            (
                lambda: Concat(canonical=Branch()),
                (
                    'Concat got the branch name "canonical"; allowed: a plain word that is not taken; write another '
                    'and say what it reads, Branch(input="canonical").'
                ),
            ),
        ],
    )
    def test_names_of_branches(self, make: Any, sentence: str) -> None:
        with pytest.raises(SpaceError) as caught:
            make()
        assert str(caught.value) == sentence

    @pytest.mark.parametrize(
        ("model", "sentence"),
        [
            (Model(body=Concat(a=None, b=None)), "body: got None for every branch; keep at least one."),
            (
                Model(body=Concat(a=CONV)),
                "body.a: got ConvNet(stages=(Stage(filters=4),)); allowed: Branch(...) or None.",
            ),
            (
                Model(body=Concat(a=Branch()), input="a"),
                'input: got "a" beside a Concat, whose branches say what they read; drop it.',
            ),
            (
                Model(body=CONV, input=Tiled("front", "front")),
                "input.inputs: got 'front' more than once; name each input once.",
            ),
            (Model(body=Tiled("front", "back")), 'body: got Tiled("front", "back"); allowed: '),
            (Model(body=CONV, input=3), 'input: got 3; allowed: the name of an input, Tiled("front", "back") or None.'),
        ],
    )
    def test_what_is_not_allowed(self, model: Model, sentence: str) -> None:
        with pytest.raises(SpaceError) as caught:
            check(model, Anything())
        assert str(caught.value).startswith(sentence)


class TestWhatIsRead:
    def failing(self, model: Any, inputs: Inputs = HOUSE) -> str:
        with pytest.raises(SpaceError) as caught:
            check_reading(model, inputs)
        with pytest.raises(ModelError) as later:
            build_network(resolve(model, lambda parameter: parameter.domain.labels[-1]), inputs)  # type: ignore[union-attr]
        assert str(later.value) == str(caught.value)
        return str(caught.value)

    def test_several_inputs_and_none_is_named(self) -> None:
        assert self.failing(Model(body=CONV)) == (
            "model.input: is left out although the data has several inputs: front, back, small, table; name one, "
            'input="front", or join several, body=Concat(front=Branch(...), ...).'
        )

    def test_an_input_that_the_data_does_not_have(self) -> None:
        assert self.failing(Model(body=CONV, input=one_of("front", "bakc"))) == (
            'model.input: got "bakc", which is no input of the data. Did you mean back? '
            "Its inputs are front, back, small, table."
        )

    def test_a_branch_whose_name_is_none(self) -> None:
        assert self.failing(Model(body=Concat(photo=Branch(body=CONV), table=Branch()))) == (
            'model.body.photo.input: is left out, and the branch\'s name "photo" is no input of the data. '
            "Its inputs are front, back, small, table."
        )

    def test_a_body_for_images_before_a_table(self) -> None:
        assert self.failing(Model(body=Concat(table=Branch(body=one_of(None, CONV))))) == (
            'model.body.table.body: got ConvNet for the table "table", which has no height and width; write None.'
        )

    def test_tiles_of_several_sizes(self) -> None:
        assert self.failing(Model(body=CONV, input=Tiled("front", "small"))) == (
            "model.input: 'front' has 8x8x3 and 'small' 6x6x3; Tiled joins images of one size."
        )
        assert self.failing(Model(body=CONV, input=Tiled("front", "table"))) == (
            "model.input: 'table' is a table; Tiled joins images."
        )

    def test_windows_that_do_not_fit_are_found_by_arithmetic_in_the_branch_where_they_stand(self) -> None:
        deep = ConvNet(stages=[Stage(filters=2)] * 4)
        model = Model(body=Concat(front=Branch(body=CONV), small=Branch(body=deep)))
        with pytest.raises(ModelError, match=r"^model\.body\.small\.body\.stages\[2\]\.pool_size: a window of 2x2"):
            check_windows(model, HOUSE)


class TestAsBuilt:
    def test_an_image_and_a_table_are_what_keras_makes_of_them(self) -> None:
        ours = build_network(
            Model(
                body=Concat(
                    front=Branch(body=CONV, pooling="average", dropout=0.2, dense=[Dense(units=6)]),
                    table=Branch(dense=[Dense(units=7, activation="tanh")]),
                ),
                dropout=0.1,
                dense=[Dense(units=8)],
            ),
            HOUSE,
        )
        front, table = keras.Input((8, 8, 3), name="front"), keras.Input((5,), name="table")
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="front_stage1_conv1")(
            layers.Rescaling(1 / 255)(front)
        )
        x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
        x = layers.Dense(6, activation="relu", name="front_dense1")(x)
        y = layers.Dense(7, activation="tanh", name="table_dense1")(table)
        x = layers.Dense(8, activation="relu", name="dense1")(layers.Concatenate()([x, y]))
        theirs = keras.Model({"front": front, "table": table}, layers.Dense(3, activation="softmax", name="head")(x))
        assert ours.count_params() == theirs.count_params() == 112 + 30 + 42 + (13 * 8 + 8) + 27
        for layer in theirs.layers:
            if layer.weights:
                ours.get_layer(layer.name).set_weights(layer.get_weights())
        given_ = {name: value for name, value in rows(HOUSE).items() if name in ("front", "table")}
        np.testing.assert_allclose(told(ours, given_), told(theirs, given_), atol=1e-6)
        names = [layer.name for layer in ours.layers]
        assert {"front_pixels", "front_global_average", "front_dropout", "join", "dropout"} <= set(names)

    def test_only_what_is_read_is_an_input(self) -> None:
        network = build_network(Model(body=Concat(back=Branch(body=CONV), table=Branch(), front=None)), HOUSE)
        assert [tensor.name for tensor in network.inputs] == ["back", "table"]
        assert not [layer.name for layer in network.layers if layer.name.startswith("front")]

    def test_a_single_input_is_a_plain_tensor(self) -> None:
        for model in (Model(body=CONV, input="back"), Model(body=Concat(back=Branch(body=CONV), front=None))):
            network = build_network(model, HOUSE)
            assert [tensor.name for tensor in network.inputs] == ["back"]
            assert network(rows(HOUSE)["back"]).shape == (4, 3)

    def test_one_input_may_be_read_twice(self) -> None:
        two = Concat(
            narrow=Branch(input="front", body=CONV), wide=Branch(input="front", body=ConvNet(stages=[Stage(filters=8)]))
        )
        network = build_network(Model(body=two), HOUSE)
        assert [tensor.name for tensor in network.inputs] == ["front"]
        assert network.count_params() == 4 * 28 + 8 * 28 + (12 * 16 * 3 + 3)

    def test_tiles_are_one_picture_row_by_row(self) -> None:
        four = Inputs(dict.fromkeys("abcd", (2, 3, 1)), 2, 1.0)
        network = build_network(Model(body=None, input=Tiled("a", "b", "c", "d")), four)
        seen = {name: np.full((1, 2, 3, 1), place, "float32") for place, name in enumerate("abcd")}
        picture = told(keras.Model(network.inputs, network.get_layer("tiled").output), seen)
        assert picture.shape == (1, 4, 6, 1)
        assert picture[0, ::2, ::3, 0].tolist() == [[0, 1], [2, 3]]

    @pytest.mark.parametrize(("count", "shape"), [(2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (6, (2, 3)), (9, (3, 3))])
    def test_how_many_tiles_stand_in_a_row(self, count: int, shape: tuple[int, int]) -> None:
        names = [f"input{place}" for place in range(count)]
        sizes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (4, 5, 3))
        assert Tiled(*names).shape(sizes) == (4 * shape[0], 5 * shape[1], 3)

    def test_a_table_alone(self) -> None:
        network = build_network(Model(body=None, dropout=0.2, dense=[Dense(units=4)]), TABLE)
        assert [layer.name for layer in network.layers] == ["table", "dropout", "dense1", "head"]
        assert network.count_params() == 5 * 4 + 4 + 4 * 3 + 3

    def test_bare_pixels_are_flattened(self) -> None:
        network = build_network(Model(body=None, dense=[Dense(units=4)]), IMAGE)
        assert [layer.name for layer in network.layers] == ["image", "pixels", "flatten", "dense1", "head"]

    def test_backbones_and_blocks_of_several_branches_have_names_of_their_own(self) -> None:
        backbone = MobileNetV2(weights=None, frozen=False, alpha=0.35, input_size=32)
        branch = Branch(body=backbone, pooling="average")
        network = build_network(Model(body=Concat(front=branch, back=branch)), HOUSE)
        names = [layer.name for layer in network.layers if "mobilenetv2" in layer.name]
        assert names == ["back_mobilenetv2_0.35_32", "front_mobilenetv2_0.35_32"]

    def test_a_block_of_ones_own_reads_a_table(self) -> None:
        network = build_network(Model(body=Concat(table=Branch(body=Squared()), front=Branch(body=CONV))), HOUSE)
        assert network.get_layer("join").output.shape == (None, 5 + 64)

    def test_its_networks_train_save_and_load(self, tmp_path: Any) -> None:
        network = build_network(Model(body=Concat(table=Branch(), front=Branch(body=CONV))), HOUSE)
        trainer = augmented(network, Augment(flip="horizontal"), HOUSE, 0)
        trainer.compile("adam", "sparse_categorical_crossentropy")
        given_ = {name: value for name, value in rows(HOUSE).items() if name in ("front", "table")}
        before = network.get_weights()
        trainer.fit(given_, np.array([0, 1, 2, 0]), verbose=0)
        assert any((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))
        network.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras", compile=False)
        np.testing.assert_allclose(told(again, given_), told(network, given_), atol=1e-6)


@dataclass(frozen=True)
class Squared:
    """A user's own block."""

    def __call__(self, x: Any) -> Any:
        return x * x


class TestOneHash:
    SHAPES = HOUSE.features

    def same(self, *models: Model) -> bool:
        return len({recipe_hash(Recipe(model=model, training=TRAINING), self.SHAPES) for model in models}) == 1

    def test_a_branch_that_is_left_out_is_not_there(self) -> None:
        joined = Concat(front=Branch(body=CONV), table=Branch())
        more = Concat(front=Branch(body=CONV), table=Branch(), back=None)
        assert self.same(Model(body=joined), Model(body=more))
        assert not self.same(Model(body=joined), Model(body=Concat(front=Branch(body=CONV), back=Branch())))

    def test_a_single_branch_is_a_model(self) -> None:
        dense = Dense(units=4), Dense(units=5)
        alone = Model(body=CONV, input="front", pooling="average", dropout=0.2, dense=dense)
        assert self.same(
            alone,
            Model(body=Concat(front=Branch(body=CONV, pooling="average", dropout=0.2, dense=dense), back=None)),
            Model(
                body=Concat(front=Branch(body=CONV, pooling="average", dropout=0.2, dense=dense[:1])), dense=dense[1:]
            ),
            Model(body=Concat(front=Branch(body=CONV, pooling="average")), dropout=0.2, dense=dense),
        )
        twice = Model(body=Concat(front=Branch(body=CONV, pooling="average", dropout=0.2)), dropout=0.2, dense=dense)
        assert not self.same(alone, twice)

    def test_the_name_of_a_branch_is_no_part_of_the_network(self) -> None:
        named = Concat(photo=Branch(body=CONV, input="front"), table=Branch())
        assert self.same(Model(body=named), Model(body=Concat(front=Branch(body=CONV), table=Branch())))
        assert self.same(Model(body=Concat(front=Branch(body=CONV, input="front"), table=Branch())), Model(body=named))
        crossed = Concat(front=Branch(body=CONV, input="back"), back=Branch(body=CONV, input="front"))
        assert canonical(recipe(crossed), self.SHAPES) == canonical(recipe(crossed))

    def test_pooling_a_vector_is_no_choice(self) -> None:
        joined = Concat(front=Branch(body=CONV), table=Branch(pooling="max"))
        plain = Concat(front=Branch(body=CONV), table=Branch())
        assert self.same(Model(body=joined, pooling="average"), Model(body=plain))
        assert self.same(Model(body=None, input="table", pooling="max"), Model(body=None, input="table"))
        assert not self.same(Model(body=None, input="front", pooling="max"), Model(body=None, input="front"))

    def test_the_only_input_need_not_be_named(self) -> None:
        hashes = {
            recipe_hash(recipe(CONV), (8, 8, 1)),
            recipe_hash(recipe(CONV, input="image"), {"image": (8, 8, 1)}),
            recipe_hash(recipe(Concat(image=Branch(body=CONV))), IMAGE.features),
        }
        assert len(hashes) == 1

    def test_each_branch_is_seen_with_the_size_of_what_it_reads(self) -> None:
        def sized(front: int | None, tiled: int | None) -> Model:
            conv = ConvNet(stages=[Stage(filters=2)], input_size=front)
            both = ConvNet(stages=[Stage(filters=2)], input_size=tiled)
            tiles = Branch(body=both, input=Tiled("front", "back", "front2", "back2"))
            return Model(body=Concat(front=Branch(body=conv), tiles=tiles))

        shapes = {**self.SHAPES, "front2": (8, 8, 3), "back2": (8, 8, 3)}
        hashes = [recipe_hash(Recipe(model=m, training=TRAINING), shapes) for m in (sized(8, 16), sized(None, None))]
        assert hashes[0] == hashes[1]
        assert recipe_hash(Recipe(model=sized(16, 8), training=TRAINING), shapes) != hashes[0]

    def test_a_point_of_a_space_may_leave_out_what_may_be_left_out(self) -> None:
        space = Concat(front=Branch(body=CONV), back=one_of(Branch(body=CONV), None))
        assert answers_of(space, Concat(front=Branch(body=CONV))) == {"back": None}
        named = Concat(front=Branch(body=CONV, input="front"), back=Branch(body=CONV, input="back"))
        assert answers_of(space, named) == {"back": "Branch"}
        with pytest.raises(SpaceError, match="the space allows"):
            answers_of(Concat(front=Branch(body=CONV), back=Branch()), Concat(front=Branch(body=CONV)))


def bodies(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Bodies for what is read, most of them with choices."""
    if len(shape) == 1:
        return st.sampled_from([None, Squared()])
    stage = st.builds(
        Stage,
        filters=st.sampled_from([2, 3, between(2, 4)]),
        residual=st.sampled_from([True, one_of(True, False)]),
        separable=st.sampled_from([False, one_of(True, False)]),
    )
    convolutional = st.builds(
        ConvNet,
        stages=st.one_of(st.lists(stage, min_size=1, max_size=2), stage.map(lambda s: repeat(s, between(1, 2)))),
        batchnorm=st.sampled_from([None, one_of(None, "before_activation")]),
    )
    return st.one_of(st.none(), convolutional, convolutional.map(lambda conv: one_of(conv, None)))


def branches(name: str) -> st.SearchStrategy[Any]:
    shape = HOUSE.features[name]
    reads: list[Any] = [None, name]
    if name == "front":
        reads += [one_of("front", "back"), one_of("front", Tiled("front", "back")), Tiled("back", "front")]
    dense = st.builds(Dense, units=st.sampled_from([2, between(2, 3)]))
    branch = st.builds(
        Branch,
        body=bodies(shape),
        input=st.sampled_from(reads),
        pooling=st.sampled_from(["flatten", one_of("average", "max")]),
        dropout=st.sampled_from([0.0, between(0.0, 0.5, step=0.25)]),
        dense=st.one_of(st.lists(dense, max_size=2), dense.map(lambda d: repeat(d, between(0, 2)))),
    )
    return st.one_of(
        branch,
        branch.map(lambda b: one_of(b, None)),
        st.tuples(branch, branch).map(lambda pair: one_of(one=pair[0], other=pair[1])),
    )


@st.composite
def spaces(draw: st.DrawFn) -> Recipe:
    names = draw(st.lists(st.sampled_from(sorted(HOUSE.features)), unique=True, min_size=1))
    body = Concat(**{name: draw(branches(name)) for name in names})
    return recipe(
        draw(st.sampled_from([body, one_of(joined=body, alone=Concat(table=Branch()))])),
        dropout=draw(st.sampled_from([0.0, between(0.0, 0.5)])),
        dense=draw(st.sampled_from([(), (Dense(units=between(2, 3)),)])),
    )


relaxed = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(spaces(), st.integers(0, 2**32))
def test_a_draw_from_any_space_gives_its_answers_back_prints_and_has_one_hash(space: Recipe, seed: int) -> None:
    check(space, Anything())
    drawn = resolve(space, at_random(random.Random(seed)))
    assert not has_domains(drawn)
    again = resolve(space, from_answers(answers_of(space, drawn)))
    assert canonical(again) == canonical(drawn)  # where options overlap, the first that gives it is answered
    names = {**vars(hpsearch), "Squared": Squared}
    for value in (space, drawn):
        assert eval(source(value), names) == value
    try:
        check(drawn, Anything())
    except SpaceError as error:
        assert "got None for every branch" in str(error)  # noqa: PT017  # the only thing that a draw may do wrong
        return
    once = canonical(drawn, HOUSE.features)
    assert canonical(once, HOUSE.features) == once
    assert recipe_hash(once, HOUSE.features) == recipe_hash(drawn, HOUSE.features)


@settings(relaxed, max_examples=25)
@given(spaces(), st.integers(0, 2**32))
def test_a_draw_from_any_space_is_built_and_measured_as_its_canonical_recipe_is(space: Recipe, seed: int) -> None:
    check_reading(space.model, HOUSE)
    drawn = resolve(space, at_random(random.Random(seed)))
    if not any(branch is not None for _, branch in drawn.model.body.branches):
        return
    network = build_network(drawn.model, HOUSE)
    once = canonical(drawn, HOUSE.features)
    again = build_network(once.model, HOUSE)
    assert sorted(tuple(w.shape) for w in network.weights) == sorted(tuple(w.shape) for w in again.weights)
    assert sorted(t.name for t in network.inputs) == sorted(t.name for t in again.inputs)
    measured = measure(drawn, HOUSE)
    assert measured == measure_network(network, drawn, HOUSE)
    assert measured.parameters == network.count_params() == measure(once, HOUSE).parameters
    names = [tensor.name for tensor in network.inputs]
    seen = {name: rows(HOUSE)[name] for name in names}
    assert network(seen if len(seen) > 1 else seen[names[0]]).shape == (4, 3)
    keras.utils.clear_session()
