"""The space files that come with hpsearch: what they promise a reader holds."""

import random
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import hpsearch
from hpsearch.check import check
from hpsearch.declare import Anything, source
from hpsearch.describe import describe
from hpsearch.domains import Between
from hpsearch.errors import HpsearchError, ModelError, SpaceError
from hpsearch.recipe import HyperModel, Recipe, canonical, recipe_hash
from hpsearch.resolve import answers_of, from_answers, resolve
from hpsearch.spacefile import is_declarative, load_space
from hpsearch.training.inputs import declared_inputs

FOLDER = Path(__file__).resolve().parents[1] / "spaces"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
DRAWS = 6

PARAMETERS = {
    "cifar.py": {
        "by_hand_1": 76_042,
        "by_hand_2": 45_386,
        "by_hand_3": 144_250,
        "by_hand_4": 1_337_770,
        "by_hand_5": 1_154_858,
        "by_hand_6": 2_152_866,
        "by_hand_7": 2_128_874,
        "by_hand_8": 2_128_874,
        "by_hand_9": 968_522,
        "by_hand_10": 2_128_874,
    },
    "signs.py": {"three_convs": 3_253_068, "mobilenet": 538_712},
    "transfer.py": {"vgg16": 20_496_194},
}
"""What the hand-made networks counted in the diaries they come from."""


@cache
def loaded(file):
    return load_space(FOLDER / file)


BASELINES = [(file, name) for file in FILES for name in loaded(file).baselines or {}]


BESIDE = [("houses.py", "joined_trained")]
"""Those that take trained models, and are no points of their spaces."""


def inputs_of(space):
    return declared_inputs(space.declaration)


def built(space, recipe, suggest=lambda parameter: None):
    """The network of a recipe, with random weights."""
    from hpsearch.training.build import build, without_weights

    return build(without_weights(recipe), inputs_of(space), suggest)


def draws(space, count, seed=0):
    from hpsearch.training.inspection import at_random

    draw = at_random(random.Random(seed))
    return [resolve(space.search, draw) for _ in range(count)]


def one_spelling(space, recipe):
    return canonical(recipe, space.declaration.shapes)


def pasted(recipe):
    """What a printed recipe is when it stands in a space file."""
    names = {name: getattr(hpsearch, name) for name in hpsearch.__all__}
    return eval(source(recipe), names)


@pytest.fixture(autouse=True)
def forgotten_networks():
    yield
    import keras

    keras.utils.clear_session()


def test_the_readme_names_every_file_once():
    named = re.findall(r"^\| \[(\w+\.py)\]", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == FILES


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_how_to_run_it(file):
    assert f"hpsearch run spaces/{file}" in (FOLDER / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_only_build_hp_needs_keras_to_be_read(file):
    assert is_declarative(FOLDER / file) == (file != "build_hp.py")


@pytest.mark.parametrize(("file", "name"), [each for each in BASELINES if each not in BESIDE])
def test_a_baseline_is_a_point_of_its_space(file, name):
    space = loaded(file)
    recipe = space.baselines[name]
    again = resolve(space.search, from_answers(space.baseline_answers(name)))
    assert one_spelling(space, again) == one_spelling(space, recipe)
    shapes = space.declaration.shapes
    assert recipe_hash(again, shapes) == recipe_hash(recipe, shapes)


@pytest.mark.parametrize(("file", "name"), BASELINES)
def test_a_printed_baseline_is_its_source(file, name):
    recipe = loaded(file).baselines[name]
    assert pasted(recipe) == recipe
    assert pasted(canonical(recipe)) == canonical(recipe)


@pytest.mark.parametrize(("file", "name"), [each for each in BASELINES if each not in BESIDE])
def test_a_baseline_builds_within_the_limit_of_its_space(file, name):
    space = loaded(file)
    parameters = built(space, space.baselines[name]).parameters
    expected = PARAMETERS.get(file, {}).get(name)
    assert expected is None or parameters == expected
    assert space.constraints is None or parameters <= space.constraints.parameters


def test_the_trained_branches_of_houses_are_cut_from_its_networks_of_one_branch(tmp_path, monkeypatch):
    """Joined as the untrained ones are, so that the two differ in what the branches have learned alone."""
    monkeypatch.chdir(tmp_path)
    space = loaded("houses.py")
    assert space.lies_beside("joined_trained")
    (left_out,) = describe(space).left_out
    assert sorted(left_out.files) == ["photo_alone.keras", "table_alone.keras"]
    assert [Path(file).stem for file in left_out.files] == list(left_out.trials)
    for name in left_out.trials:
        built(space, space.baselines[name]).network.save(f"{name}.keras")
    assert not describe(space).left_out
    joined, trained = (built(space, space.baselines[name]).network for name in ("joined", "joined_trained"))
    assert trained.count_params() == joined.count_params()
    assert trained.get_layer("join").output.shape == joined.get_layer("join").output.shape
    assert {w.path.split("/")[0] for w in trained.trainable_weights} == {"dense1", "head"}


def test_every_parameter_total_was_compared():
    known = {(file, name) for file, names in PARAMETERS.items() for name in names}
    assert known <= set(BASELINES)


@pytest.mark.parametrize("file", [file for file in FILES if file != "build_hp.py"])
def test_draws_build_and_lead_back_to_their_answers(file):
    space = loaded(file)
    failed = []
    for recipe in draws(space, DRAWS):
        again = resolve(space.search, from_answers(answers_of(space.search, recipe)))
        assert one_spelling(space, again) == one_spelling(space, recipe)
        assert pasted(recipe) == recipe
        try:
            check(recipe, Anything())
            built(space, recipe)
        except (ModelError, SpaceError) as error:
            failed.append(str(error))
    assert not failed


@pytest.mark.parametrize("file", [file for file in FILES if file != "build_hp.py"])
def test_no_draw_contradicts_itself_or_runs_out_of_pixels(file):
    """Proposals that are thrown away teach a sampler little. Many draws, as nothing is built here."""
    space = loaded(file)
    refused = 0
    for recipe in draws(space, 200, seed=1):
        try:
            check(recipe, Anything())
            if isinstance(recipe.model.body, hpsearch.ConvNet):
                recipe.model.body.output_shape(space.declaration.input_shape)
        except (ModelError, SpaceError):
            refused += 1
    assert refused == 0


@pytest.mark.parametrize("file", FILES)
def test_comments_and_new_baselines_leave_the_fingerprint(file, tmp_path):
    space = loaded(file)
    text = (FOLDER / file).read_text(encoding="utf-8")
    copy = tmp_path / file
    copy.write_text("# a remark\n" + re.sub(r"([,(])$", r"\1  # a remark", text, flags=re.MULTILINE), encoding="utf-8")
    commented = load_space(copy)
    assert (commented.text, commented.fingerprint) == (space.text, space.fingerprint)
    if space.baselines:
        more = replace(space, baselines={**space.baselines, "another": next(iter(space.baselines.values()))})
        assert (more.text, more.fingerprint) == (space.text, space.fingerprint)


@pytest.mark.parametrize("file", FILES)
def test_another_batch_size_is_another_space(file):
    space = loaded(file)
    other = replace(space.search, training=replace(space.search.training, batch_size=hpsearch.one_of(48, 96)))
    assert replace(space, search=other, baselines=None).fingerprint != space.fingerprint


def test_a_diary_network_with_another_width_is_no_point_of_the_space():
    space = loaded("cifar.py")
    recipe = space.baselines["by_hand_7"]
    stages = (hpsearch.Stage(filters=(64, 65)), *recipe.model.body.stages[1:])
    odd = replace(recipe, model=replace(recipe.model, body=replace(recipe.model.body, stages=stages)))
    with pytest.raises(
        SpaceError, match=r"^baselines\['odd'\]\.model\.body\.stages\[0\]\.filters\[1\]: got 65; .*from 16 to 256"
    ):
        replace(space, baselines={"odd": odd})


def test_a_diary_network_with_two_initializers_is_no_point_of_the_space():
    space = loaded("cifar.py")
    recipe = space.baselines["by_hand_7"]
    body = replace(recipe.model.body, initializer="glorot_uniform")
    with pytest.raises(SpaceError, match=r'dense\[0\]\.initializer: got "he_uniform"; .*tied.*"glorot_uniform"'):
        replace(space, baselines={"mixed": replace(recipe, model=replace(recipe.model, body=body))})


def test_a_hand_made_network_may_repeat_its_stages():
    def recipe(stages):
        model = hpsearch.Model(body=hpsearch.ConvNet(stages=stages))
        return hpsearch.Recipe(model=model, training=hpsearch.Training(epochs=1))

    stage = hpsearch.Stage(filters=8)
    space = hpsearch.Space(
        data="digits",
        search=recipe(hpsearch.repeat(hpsearch.Stage(filters=hpsearch.one_of(4, 8)), hpsearch.between(1, 3))),
        baselines={"two": recipe(hpsearch.repeat(stage, 2))},
    )
    assert space.baselines == {"two": recipe((stage, stage))}
    assert space.baseline_answers("two")
    with pytest.raises(SpaceError, match=r"^baselines\['two'\]: holds a domain; a baseline is one network"):
        replace(space, baselines={"two": recipe(hpsearch.repeat(stage, hpsearch.between(1, 2)))})


@pytest.mark.parametrize("file", ["cats_dogs.py", "finetune.py", "signs.py", "transfer.py"])
def test_a_frozen_backbone_keeps_its_weights_but_for_the_layers_said(file):
    import numpy as np

    space = loaded(file)
    for recipe in space.baselines.values():
        if not isinstance(recipe.model.body, hpsearch.ConvNet):
            network = built(space, recipe).network
            trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
            backbone = next(layer for layer in network.layers if hasattr(layer, "layers"))
            assert trainable == network.count_params() - backbone.count_params()


def test_build_hp_asks_for_the_branch_it_takes_only():
    from hpsearch.training.inspection import at_random

    space = loaded("build_hp.py")
    assert isinstance(space.search.model, HyperModel)
    draw, kinds = at_random(random.Random(0)), set()
    for _ in range(8):
        asked = {}

        def suggest(parameter, asked=asked):
            domain = parameter.domain
            assert isinstance(domain, Between) or len(domain.labels) > 1
            asked[parameter.name] = draw(parameter)
            return asked[parameter.name]

        found = built(space, space.search, suggest)
        assert found.network.output_shape == (None, 10)
        assert isinstance(found.recipe, Recipe)
        assert {f"model.{name}" for name in found.recipe.model.values} == set(asked)
        kind = asked["model.kind"]
        assert any("conv_layers" in name for name in asked) == (kind == "conv")
        assert any("dense_layers" in name for name in asked) == (kind == "dense")
        kinds.add(kind)
    assert kinds == {"conv", "dense"}


def test_build_hp_builds_again_from_the_values_it_was_given():
    from hpsearch.training.inspection import at_random

    space = loaded("build_hp.py")
    first = built(space, space.search, at_random(random.Random(1)))

    def refuse(parameter):
        raise HpsearchError(f"asked for {parameter.name} again")

    again = built(space, first.recipe, refuse)
    assert again.parameters == first.parameters
    assert again.recipe == first.recipe
