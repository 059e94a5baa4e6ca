"""A Keras Tuner ``build(hp)`` runs unchanged, whoever answers it, and prints as a recipe that gives it again."""

from __future__ import annotations

import functools
import random
from typing import Any

import keras
import keras_tuner
import pytest
from keras_tuner.engine import hyperparameters as kinds

from hpsearch import HyperModel, Recipe, Training
from hpsearch.addresses import Choices, Parameter
from hpsearch.check import check
from hpsearch.declare import Anything, source
from hpsearch.domains import Between
from hpsearch.errors import SpaceError
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import answers_of
from hpsearch.training.build import build
from hpsearch.training.hyperparameters import SuggestedHyperParameters
from hpsearch.training.inputs import image_inputs

INPUTS = image_inputs((8, 8, 1), 3, 16.0)


class Asked:
    """A suggest at random that notes what it was asked."""

    def __init__(self, seed: int = 0, **answers: Any) -> None:
        self.domains: dict[str, Any] = {}
        self.answers = answers
        self.random = random.Random(seed)

    def __call__(self, parameter: Parameter) -> Any:
        assert parameter.name not in self.domains, "asked twice"
        domain = self.domains[parameter.name] = parameter.domain
        if parameter.name in self.answers:
            return self.answers[parameter.name]
        if isinstance(domain, Choices):
            return self.random.choice(domain.labels)
        return domain.snapped(self.random.uniform(domain.low, domain.high))


def hp_of(suggest: Any, values: dict[str, Any] | None = None) -> SuggestedHyperParameters:
    return SuggestedHyperParameters(suggest, "model", values)


def nobody(parameter: Parameter) -> Any:
    raise AssertionError(f"{parameter.name} was asked although it is known")


def one_of_everything(hp: Any) -> Any:
    """The builder that the documentation of Keras Tuner could have, but for what it cannot train."""
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    kind = hp.Choice("kind", ["deep", "wide"])
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            for i in range(hp.Int("layers", 1, 3)):
                with hp.name_scope(f"layer_{i}"):
                    model.add(keras.layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu"))
                if hp.Boolean(f"dropout_{i}"):
                    model.add(keras.layers.Dropout(hp.Float(f"rate_{i}", 0.1, 0.5, step=0.1)))
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            units = hp.Int("units", 16, 64, sampling="log")
            model.add(keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    bias = hp.Fixed("bias", True)
    model.add(keras.layers.Dense(3, activation="softmax", use_bias=bias))
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")),
        loss="sparse_categorical_crossentropy",
    )
    return model


@pytest.mark.parametrize(
    ("declare", "domain"),
    [
        (lambda hp: hp.Int("x", 6, 12), Between(6, 12)),
        (lambda hp: hp.Int("x", 6, 13, step=3), Between(6, 12, 3)),
        (lambda hp: hp.Int("x", 5, 5), Between(5, 5)),
        (lambda hp: hp.Int("x", 5, 6, step=10), Between(5, 5)),
        (lambda hp: hp.Int("x", 1, 100, sampling="log"), Between(1, 100, log=True)),
        (lambda hp: hp.Int("x", 2, 40, step=2, sampling="log"), Choices((2, 4, 8, 16, 32), ordinal=True)),
        (lambda hp: hp.Int("x", 2, 32, step=2, sampling="reverse_log"), Choices((2, 18, 26, 30, 32), ordinal=True)),
        (lambda hp: hp.Int("x", 1, 9, sampling="reverse_log"), Between(0.0, 1.0)),
        (lambda hp: hp.Float("x", 0, 1), Between(0.0, 1.0)),
        (lambda hp: hp.Float("x", 0.0, 1.0, step=0.25), Between(0.0, 1.0, 0.25)),
        (lambda hp: hp.Float("x", 0.1, 0.45, step=0.1), Between(0.1, 0.4, 0.1)),
        # Keras Tuner itself never reaches this upper bound.
        (lambda hp: hp.Float("x", 0.0, 0.5, step=0.1), Between(0.0, 0.4, 0.1)),
        (lambda hp: hp.Float("x", 1e-4, 1e-2, sampling="log"), Between(1e-4, 1e-2, log=True)),
        (
            lambda hp: hp.Float("x", 0.001, 10, step=10, sampling="log"),
            Choices((0.001, 0.01, 0.1, 1.0, 10.0), ordinal=True),
        ),
        (lambda hp: hp.Float("x", 1e-4, 1e-2, sampling="reverse_log"), Between(0.0, 1.0)),
        (lambda hp: hp.Boolean("x"), Choices((False, True))),
        (lambda hp: hp.Choice("x", ["b", "a"]), Choices(("b", "a"))),
        (lambda hp: hp.Choice("x", [16, 64, 32]), Choices((16, 32, 64), ordinal=True)),
        (lambda hp: hp.Choice("x", [1e-2, 1e-3, 1e-4]), Choices((1e-4, 1e-3, 1e-2), ordinal=True)),
        (lambda hp: hp.Choice("x", [16, 64, 32], ordered=False), Choices((16, 64, 32))),
        (lambda hp: hp.Choice("x", [16, 16, 32]), Choices((16, 32), ordinal=True)),
        (lambda hp: hp.Choice("x", [7]), Choices((7,))),
    ],
)
def test_each_kind_is_asked_for_what_keras_tuner_allows(declare: Any, domain: Any) -> None:
    for seed in range(20):
        asked = Asked(seed)
        hp = hp_of(asked)
        value = declare(hp)
        assert asked.domains == {"model.x": domain}
        assert declare(hp) == value == hp.get("x") == hp["x"]
        assert "x" in hp
        (kind,) = hp.space
        if not isinstance(kind, kinds.Boolean | kinds.Choice):
            assert kind.min_value <= value <= kind.max_value
        assert type(value) is type(kind.random_sample(seed))
        assert len(repr(value)) < 14
        # Keras Tuner takes the value for one of its own.
        assert 0 <= kind.value_to_prob(value) <= 1
        # What was chosen is taken again without asking.
        assert declare(hp_of(nobody, hp.chosen)) == value


@pytest.mark.parametrize("position", [0.0, 0.5, 1.0])
def test_reverse_log_stays_within_its_bounds(position: float) -> None:
    hp = hp_of(Asked(**{"model.whole": position, "model.broken": position}))
    whole, broken = hp.Int("whole", 1, 9, sampling="reverse_log"), hp.Float("broken", 0.1, 10, sampling="reverse_log")
    assert isinstance(whole, int)
    assert (whole, broken) == {0.0: (1, 0.1), 0.5: (whole, broken), 1.0: (9, 10.0)}[position]
    assert 1 <= whole <= 9
    assert 0.1 <= broken <= 10


def test_fixed_is_never_asked_for() -> None:
    hp = hp_of(nobody)
    assert hp.Fixed("a", 3) == hp.get("a") == 3
    assert hp.chosen == {}


def test_what_is_inactive_is_never_asked_for() -> None:
    asked = Asked(**{"model.kind": "a"})
    hp = hp_of(asked)
    assert hp.Choice("kind", ["a", "b"]) == "a"
    with hp.conditional_scope("kind", ["b"]):
        assert hp.Int("of_b", 1, 5) is None
        assert "of_b" not in hp
        with pytest.raises(ValueError, match="inactive"):
            hp.get("of_b")
    assert hp.Float("also_of_b", 0, 1, parent_name="kind", parent_values=["b"]) is None
    assert isinstance(hp.Int("of_a", 1, 5, parent_name="kind", parent_values="a"), int)
    assert list(asked.domains) == ["model.kind", "model.of_a(kind=a)"]
    assert "of_a" in hp
    with pytest.raises(KeyError):
        hp.get("nowhere")


def test_name_scopes_nest_and_conditions_look_up_the_scoped_name() -> None:
    asked = Asked(**{"model.net/kind": "a"})
    hp = hp_of(asked)
    with hp.name_scope("net"):
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", ["a"]), hp.name_scope("first"):
            units = hp.Int("units", 1, 5)
            assert hp.get("units") == units
    assert hp.get("net/first/units") == units
    assert list(asked.domains) == ["model.net/kind", "model.net/first/units(net/kind=a)"]
    assert set(hp.chosen) == {"net/kind", "net/first/units(net/kind=a)"}


def test_one_name_under_two_conditions_is_two_parameters() -> None:
    """Even where both are active at once, each keeps to its own range."""
    asked = Asked(**{"model.net": "a", "model.opt": "sgd", "model.x(net=a)": 2, "model.x(opt=sgd)": 11, "model.x": 50})
    hp = hp_of(asked)
    hp.Choice("net", ["a", "b"])
    hp.Choice("opt", ["sgd", "adam"])

    def of_net() -> Any:
        return hp.Int("x", 1, 5, parent_name="net", parent_values=["a"])

    def of_opt() -> Any:
        return hp.Int("x", 10, 15, parent_name="opt", parent_values=["sgd"])

    assert (hp.Int("x", 50, 60), of_net(), of_opt()) == (50, 2, 11)
    assert (of_net(), of_opt(), of_net(), hp.Int("x", 50, 60)) == (2, 11, 2, 50)
    assert hp.chosen == {"net": "a", "opt": "sgd", "x": 50, "x(net=a)": 2, "x(opt=sgd)": 11}


def test_a_name_is_asked_for_once() -> None:
    hp = hp_of(Asked(**{"model.x": 3}))
    assert [hp.Int("x", 1, 5) for _ in range(3)] == [3, 3, 3]
    assert hp.Int("x", 100, 200) == 3, "Keras Tuner goes by the name too"


def test_conditional_names_may_be_given_without_their_condition() -> None:
    hp = hp_of(nobody, {"kind": "a", "units": 8})
    hp.Choice("kind", ["a", "b"])
    assert hp.Int("units", 4, 8, step=4, parent_name="kind", parent_values=["a"]) == 8
    assert hp.chosen == {"kind": "a", "units(kind=a)": 8}


@pytest.mark.parametrize(
    ("declare", "value", "sentence"),
    [
        (lambda hp: hp.Int("x", 1, 5), 6, 'model.values["x"]: got 6; build(hp) allows a whole number from 1 to 5.'),
        (lambda hp: hp.Int("x", 1, 5), "3", 'model.values["x"]: got "3"; build(hp) allows a whole number from 1 to 5.'),
        (
            lambda hp: hp.Int("x", 2, 8, step=2, sampling="log"),
            3,
            'model.values["x"]: got 3; build(hp) allows 2, 4, 8.',
        ),
        (
            lambda hp: hp.Float("x", 1e-4, 1e-2, sampling="reverse_log"),
            0.1,
            'model.values["x"]: got 0.1; build(hp) allows a number from 0.0001 to 0.01.',
        ),
        (lambda hp: hp.Choice("x", ["a", "b"]), "c", 'model.values["x"]: got "c"; build(hp) allows "a", "b".'),
        (lambda hp: hp.Boolean("x"), "yes", 'model.values["x"]: got "yes"; build(hp) allows False, True.'),
    ],
)
def test_a_value_that_build_does_not_allow_is_refused(declare: Any, value: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        declare(hp_of(nobody, {"x": value}))
    assert str(caught.value) == sentence


def recipe_for(builder: Any, values: dict[str, Any] | None = None) -> Recipe:
    return Recipe(model=HyperModel(builder, values=values), training=Training(epochs=1))


def shapes(network: Any) -> list[Any]:
    return [
        (type(layer).__name__, layer.get_config().get("activation"), layer.output.shape) for layer in network.layers
    ]


@pytest.mark.parametrize("seed", range(8))
def test_the_completed_recipe_prints_and_gives_the_network_again(seed: int) -> None:
    asked = Asked(seed)
    first = build(recipe_for(one_of_everything), INPUTS, asked)
    values = first.recipe.model.values
    assert {f"model.{name}" for name in values} == set(asked.domains)
    text = source(first.recipe)
    again = eval(text, {"one_of_everything": one_of_everything, **globals()})
    assert again == first.recipe
    second = build(again, INPUTS, nobody)
    assert shapes(second.network) == shapes(first.network)
    assert float(second.network.optimizer.learning_rate) == pytest.approx(values["learning_rate"])
    assert second.recipe == first.recipe
    assert recipe_hash(second.recipe) == recipe_hash(first.recipe)
    # The order in which the values are written does not count.
    turned = recipe_for(one_of_everything, dict(reversed(values.items())))
    assert recipe_hash(turned) == recipe_hash(first.recipe)
    assert answers_of(recipe_for(one_of_everything), again) == {f"model.{name}": v for name, v in values.items()}


class ByAttribute(keras_tuner.HyperModel):  # type: ignore[misc]  # keras_tuner has no types
    """As most are written: each argument is kept under its name."""

    def __init__(self, classes: int, shape: Any = (8, 8, 1), *, width: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.classes = classes
        self._shape = shape
        self.width = width

    def build(self, hp: Any) -> Any:
        units = hp.Int("units", self.width, self.width * 2)
        hidden = keras.layers.Dense(units)
        head = keras.layers.Dense(self.classes, activation="softmax")
        return keras.Sequential([keras.Input(self._shape), keras.layers.Flatten(), hidden, head])


class Forgetful(keras_tuner.HyperModel):  # type: ignore[misc]  # keras_tuner has no types
    def __init__(self, input_shape: Any, classes: int = 3) -> None:
        super().__init__()
        self.dimensions = input_shape
        self.classes = classes

    def build(self, hp: Any) -> Any:
        return ByAttribute(self.classes, self.dimensions).build(hp)


class Plain:
    """Anything with ``build(hp)``."""

    def build(self, hp: Any) -> Any:
        return ByAttribute(3).build(hp)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (ByAttribute(3), "HyperModel(ByAttribute(classes=3))"),
        (ByAttribute(3, (8, 8, 2)), "HyperModel(ByAttribute(classes=3, shape=(8, 8, 2)))"),
        (ByAttribute(3, width=8, name="mine"), 'HyperModel(ByAttribute(classes=3, width=8, name="mine"))'),
        (ByAttribute(3, tunable=False), "HyperModel(ByAttribute(classes=3, tunable=False))"),
        (Forgetful((8, 8, 1)), "HyperModel(Forgetful(input_shape=...))"),
        (Plain(), "HyperModel(Plain())"),
        (one_of_everything, "HyperModel(one_of_everything)"),
    ],
)
def test_a_hypermodel_prints_as_the_call_that_makes_it(made: Any, text: str) -> None:
    check(HyperModel(made), Anything())
    assert source(HyperModel(made)) == text


def test_a_hypermodel_object_builds_and_can_be_pasted() -> None:
    first = build(recipe_for(ByAttribute(3, width=8)), INPUTS, Asked())
    text = source(first.recipe)
    assert "HyperModel(ByAttribute(classes=3, width=8), values=" in text
    again = eval(text, dict(globals()))
    assert shapes(build(again, INPUTS, nobody).network) == shapes(first.network)
    assert recipe_hash(again) == recipe_hash(first.recipe)
    # A baseline may make its own object.
    name = next(iter(first.recipe.model.values))
    assert list(answers_of(recipe_for(ByAttribute(3, width=8)), again)) == [f"model.{name}"]
    with pytest.raises(SpaceError, match="the space builds with"):
        answers_of(recipe_for(ByAttribute(4, width=8)), again)


def test_one_that_is_not_tunable_takes_its_defaults() -> None:
    built = build(recipe_for(ByAttribute(3, tunable=False)), INPUTS, nobody)
    assert built.network.layers[-2].units == 4


def test_how_the_images_come_belongs_to_the_space() -> None:
    space = Recipe(model=HyperModel(one_of_everything, pixels="raw"), training=Training(epochs=1))
    with pytest.raises(SpaceError) as caught:
        answers_of(space, recipe_for(one_of_everything, {"kind": "deep"}))
    assert str(caught.value) == 'model.pixels: got "0..1"; the space fixes it at "raw".'


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda hp: None, "build: got a lambda, which could not be printed; write def build(hp): ... and give build."),
        (
            functools.partial(one_of_everything),
            (
                "build: got a function with arguments filled in, which could not be printed; "
                "write def build(hp): return ... with them filled in, and give build."
            ),
        ),
        (Plain().build, "build: got the method build of an object; give the object itself, or a function."),
        (
            ByAttribute,
            "build: got the class ByAttribute; write an object of it, ByAttribute(...).",
        ),
        (
            7,
            "build: got 7; allowed: a build(hp) function or a keras_tuner.HyperModel.",
        ),
    ],
)
def test_what_cannot_be_printed_is_refused(made: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        check(HyperModel(made), Anything())
    assert str(caught.value) == sentence


@pytest.mark.slow
def test_the_resnet_of_keras_tuner() -> None:
    made = keras_tuner.applications.HyperResNet(input_shape=(32, 32, 3), classes=3)
    first = build(recipe_for(made), image_inputs((32, 32, 3), 3, 255.0), Asked(1))
    text = source(first.recipe)
    assert "HyperResNet(input_shape=(32, 32, 3), classes=3)" in text
    again = eval(text, {**globals(), "HyperResNet": keras_tuner.applications.HyperResNet})
    second = build(again, image_inputs((32, 32, 3), 3, 255.0), nobody)
    assert second.parameters == first.parameters
