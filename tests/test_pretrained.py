"""Pretrained weights: taken from this machine where they are, never random in silence where they are not."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from hpsearch import Branch, Concat, ConvNet, MobileNetV2, Model, Recipe, Stage, Tiled, Training
from hpsearch.errors import WeightsError
from hpsearch.study import StudyFolder
from hpsearch.training.inputs import Inputs, image_inputs
from hpsearch.training.pretrained import local_files, to_download, with_local_weights

IMAGES = image_inputs((32, 32, 3), 10, 255.0)

NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
"""What Keras calls the file, for sizes it has none of their own for."""


def recipe(**options):
    return Recipe(model=Model(body=MobileNetV2(alpha=0.35, **options)), training=Training(epochs=1))


def found(value, folders, side=32):
    return with_local_weights(value, image_inputs((side, side, 3), 10, 255.0), folders).model.body.weights


@pytest.fixture(autouse=True)
def _keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.chdir(tmp_path)


class TestWhereWeightsAreFound:
    def test_under_the_name_that_keras_gives_them(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / NAME).touch()
        assert found(recipe(), [tmp_path / "data"]) == str(tmp_path / "data" / NAME)

    def test_in_the_cache_of_keras(self, tmp_path):
        (tmp_path / "keras" / "models").mkdir(parents=True)
        (tmp_path / "keras" / "models" / NAME).touch()
        assert found(recipe(), []) == str(tmp_path / "keras" / "models" / NAME)

    def test_for_the_size_that_is_built(self, tmp_path):
        other = tmp_path / NAME.replace("224", "160")
        other.touch()
        assert found(recipe(input_size=160), [tmp_path]) == str(other)
        assert found(recipe(), [tmp_path], side=160) == str(other)
        assert found(recipe(), [tmp_path]) == "imagenet"

    def test_nowhere_and_keras_is_left_to_download_them(self, tmp_path):
        assert found(recipe(), [tmp_path]) == "imagenet"

    def test_by_path_in_the_data_directory(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "mine.h5").touch()
        assert found(recipe(weights="mine.h5"), [tmp_path / "data"]) == str(tmp_path / "data" / "mine.h5")

    def test_by_path_and_missing(self, tmp_path):
        with pytest.raises(WeightsError, match=r"the weights mine\.h5 are in none of .*; give the path"):
            with_local_weights(recipe(weights="mine.h5"), IMAGES, [tmp_path])

    def test_where_none_are_wanted(self, tmp_path):
        (tmp_path / NAME).touch()
        assert found(recipe(weights=None, frozen=False), [tmp_path]) is None
        plain = Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=Training(epochs=1))
        assert with_local_weights(plain, IMAGES, [tmp_path]) == plain

    def test_for_the_size_of_what_each_branch_reads(self, tmp_path):
        """Of two photos of two sizes each backbone has weights of its own; a branch that is left out has none."""
        inputs = Inputs({"table": (5,), "small": (96, 96, 3), "front": (160, 160, 3), "back": (160, 160, 3)}, 2, 255.0)
        for size in (96, 160, 192):
            (tmp_path / NAME.replace("224", str(size))).touch()
        backbone = MobileNetV2(alpha=0.35)
        body = Concat(
            photo=Branch(input="front", body=backbone),
            small=Branch(body=backbone),
            said=Branch(input="small", body=replace(backbone, input_size=192)),
            both=Branch(input=Tiled("front", "back"), body=backbone),
            table=Branch(),
            back=None,
        )
        said = Recipe(model=Model(body=body), training=Training(epochs=1))
        local = with_local_weights(said, inputs, [tmp_path])
        wanted = {"photo": 160, "small": 96, "said": 192, "both": 160}
        for name, size in wanted.items():
            weights = getattr(local.model.body, name).body.weights
            assert weights == str(tmp_path / NAME.replace("224", str(size)))
        assert local.model.body.back is None
        assert to_download(local, inputs) == []
        assert to_download(said, inputs) == [NAME.replace("224", str(wanted[n])) for n in sorted(wanted)]
        assert sorted({Path(file).name for file in local_files(local)}) == sorted(set(to_download(said, inputs)))


SPACE = """
def recipe(body):
    return Recipe(model=Model(body=body, pooling="average"), training=Training(epochs=1, batch_size=64))

space = Space(
    data="digits",
    search=recipe(one_of(ConvNet(stages=[Stage(filters=2)]), MobileNetV2(alpha=0.35, input_size=32))),
    baselines={"pretrained": recipe(MobileNetV2(alpha=0.35, input_size=32))},
)
"""


def test_a_baseline_waits_until_its_weights_are_there(cli, tmp_path, write_space, trials_of):
    space = write_space(tmp_path / "mine.py", SPACE)
    (tmp_path / "data").mkdir()
    arguments = ("run", space, "--trials", 1, "--subset", 100, "--data-dir", tmp_path / "data", "--results", tmp_path)
    said = cli(*arguments)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "mine")
    assert (trials[0]["baseline"], trials[0]["state"], trials[0]["failure"]) == ("pretrained", "FAIL", "bad_data")
    assert NAME in trials[0]["message"]
    assert trials[0]["epochs"] == 0
    assert {trial["failure"] for trial in trials[1:]} <= {None, "bad_data"}, "a proposal may want those weights too"
    assert sum(trial["state"] == "COMPLETE" for trial in trials) == 1

    make = (
        "import keras, sys\n"
        "net = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False)\n"
        "net.save(sys.argv[1])\n"
    )
    path = tmp_path / "data" / NAME
    subprocess.run([sys.executable, "-c", make, path], check=True, capture_output=True)
    again = cli(*arguments)
    assert again.code == 0, again
    later = trials_of(tmp_path / "mine")[len(trials) :]
    assert (later[0]["baseline"], later[0]["state"]) == ("pretrained", "COMPLETE")
    written = (tmp_path / "mine" / "trials" / f"{later[0]['number']:05d}" / "recipe.py").read_text()
    assert "body=MobileNetV2(" in written
    assert str(path) not in written, "a recipe does not depend on where the file lies"

    path.write_bytes(b"not weights")
    third = cli(*arguments, "--study", "other")
    assert third.code == 0, third
    broken = trials_of(tmp_path / "other")[0]
    assert (broken["baseline"], broken["failure"]) == ("pretrained", "bad_data")


def test_weights_that_cannot_be_had_are_asked_for_once_and_said_once(cli, tmp_path):
    """A search goes on with what can be trained; one record says what is missing, not one a proposal."""
    space = tmp_path / "either.py"
    space.write_text(
        "from hpsearch import ConvNet, MobileNetV2, Model, Recipe, Space, Stage, Training, between, one_of\n"
        "body = one_of(MobileNetV2(alpha=0.35, input_size=32), ConvNet(stages=[Stage(filters=between(2, 9))]))\n"
        "model = Model(body=body, pooling='average', dropout=between(0.0, 0.5))\n"
        "search = Recipe(model=model, training=Training(epochs=1))\n"
        "space = Space(data='digits', search=search)\n"
    )
    said = cli("run", space, "--subset", 50, "--trials", 4, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    trials = StudyFolder(tmp_path / "results" / "either").trials()
    assert sorted(trial.failure or trial.state for trial in trials) == ["COMPLETE"] * 4 + ["bad_data"]
    begun = re.findall(r"^trial (\d+) started", said.out, re.MULTILINE)
    ended = re.findall(r"^trial (\d+) (?:COMPLETE|FAIL|left out: the ImageNet weights)", said.out, re.MULTILINE)
    assert len(begun) > len(trials)
    assert sorted(begun) == sorted(ended), "whoever reads that a trial begins reads what came of it"


def test_a_baseline_without_its_weights_is_skipped_once_a_run(cli, tmp_path, monkeypatch):
    """Two of them want one file; a second run looks for it again, says so, and ends."""
    monkeypatch.setattr("hpsearch.coordinator.agenda.MOST_WITHOUT_WEIGHTS", 20)
    space = tmp_path / "both.py"
    space.write_text(
        "from hpsearch import MobileNetV2, Model, Recipe, Space, Training, one_of\n"
        "def recipe(epochs):\n"
        "    body = MobileNetV2(alpha=0.35, input_size=32)\n"
        "    return Recipe(model=Model(body=body, pooling='average'), training=Training(epochs=epochs))\n"
        "baselines = {'short': recipe(1), 'long': recipe(2)}\n"
        "space = Space(data='digits', search=recipe(one_of(1, 2)), baselines=baselines)\n"
    )
    for run in range(2):
        said = cli("run", space, "--subset", 50, "--trials", 1, "--results", tmp_path / "results")
        assert said.code == 1, said
        assert "No trial could be trained; the last: the ImageNet weights of MobileNetV2" in said.err
        assert said.out.count("Skipped again, baseline") == 1 + run
    trials = StudyFolder(tmp_path / "results" / "both").trials()
    assert [trial.failure for trial in trials] == ["bad_data"]


JOINED = """
from hpsearch import Pretrained

def recipe(body, units):
    return Recipe(
        model=Model(body=body, dense=[Dense(units=units)]),
        training=Training(epochs=1, batch_size=32, optimizer=Adam(learning_rate=0.01)),
    )

space = Space(
    data="digits",
    search=recipe(ConvNet(stages=[Stage(filters=one_of(2, 3, 4))]), one_of(2, 4)),
    baselines={
        "alone": recipe(ConvNet(stages=[Stage(filters=4)]), 4),
        "on_alone": recipe(Pretrained("alone.keras", until="flatten"), 64),
    },
)
"""


class TestABaselineThatTakesATrainedModel:
    """It may lie beside the space, and waits until the model is there."""

    @pytest.fixture
    def space(self, tmp_path, write_space):
        return write_space(tmp_path / "mine.py", JOINED)

    @pytest.mark.parametrize("strategy", ["tpe", "grid"])
    def test_is_left_out_until_the_file_is_there_and_then_trained(self, strategy, space, cli, tmp_path, trials_of):
        (tmp_path / "data").mkdir()
        shared = ("--results", tmp_path / "results")
        budget = ("--subset", 80, "--trials", 1, "--keep", 0, "--strategy", strategy)
        arguments = ("run", space, *budget, "--data-dir", tmp_path / "data", *shared)
        file = tmp_path / "data" / "alone.keras"
        sentence = (
            "Baseline on_alone is left out: alone.keras is not there. Make it with: "
            f"hpsearch save alone {file} --study mine {shared[0]} {shared[1]}"
        )
        said = cli(*arguments)
        assert said.code == 0, said
        assert [line for line in said.out.splitlines() if "left out" in line] == [f"mine: {sentence}"]
        assert [trial["baseline"] for trial in trials_of(tmp_path / "results" / "mine")] == ["alone", None]

        # the sentence is the command; that trial has kept its checkpoint for it, although --keep is 0
        saved = cli(*sentence.partition("with: hpsearch ")[2].split())
        assert saved.code == 0, saved
        again = cli(*arguments)
        assert again.code == 0, again
        assert "left out" not in again.out
        trials = trials_of(tmp_path / "results" / "mine")
        assert [trial["baseline"] for trial in trials] == ["alone", None, "on_alone"]
        assert (trials[2]["state"], trials[2]["answers"]) == ("COMPLETE", {})
        assert trials[2]["score"] is not None

        # the search learns nothing from it, and the study goes on
        known = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'results' / 'mine' / 'study.db'}")
        told = known.trials[trials[2]["number"]]
        assert (told.state.name, told.params, told.value) == ("FAIL", {}, None)
        more = [2 if each == 1 else each for each in arguments]
        third = cli(*more)
        assert third.code == 0, third
        trials = trials_of(tmp_path / "results" / "mine")
        assert [trial["state"] for trial in trials if trial["baseline"] is None] == ["COMPLETE"] * 2

    def test_can_be_exported_where_it_is_the_best(self, space, cli, tmp_path):
        results = ("--results", tmp_path / "results")
        arguments = ("run", space, "--subset", 80, "--trials", 0, *results)
        assert cli(*arguments).code == 0
        assert cli("save", "alone", space.parent / "alone.keras", *results).code == 0
        assert cli(*arguments).code == 0
        folder = StudyFolder(tmp_path / "results" / "mine")
        trial = folder.find("on_alone")
        folder.trial(trial.number).write(replace(trial, score=1.0))
        said = cli("export-best", *results, "--json")
        assert said.code == 0, said
        assert json.loads(said.out)["chosen"]["name"] == "on_alone"

    def test_check_says_the_same(self, space, cli):
        said = cli("check", space, "--samples", 1)
        assert said.code == 0, said
        sentence = "Baseline on_alone is left out: alone.keras is not there. "
        assert f"{sentence}Make it with: hpsearch save alone alone.keras" in said.out.splitlines()
        baselines = json.loads(cli("check", space, "--samples", 1, "--json").out)["baselines"]
        assert [(b["name"], b["left_out"], b["weights"], b["error"]) for b in baselines] == [
            ("alone", False, "random", None),
            ("on_alone", True, "missing: alone.keras", None),
        ]

    def test_a_file_that_is_no_model_is_an_error(self, space, cli, tmp_path):
        (tmp_path / "alone.keras").write_text("no model")
        for command in (("check", space), ("run", space, "--results", tmp_path / "results")):
            sentence = cli(*command).sentence
            assert sentence.startswith(f"{space}: baselines['on_alone'].")
            assert sentence.endswith("it is no .keras file")

    def test_a_recipe_that_is_enqueued_is_a_point_of_the_space(self, space, cli, tmp_path):
        (tmp_path / "added.py").write_text(
            'Recipe(model=Model(body=Pretrained("alone.keras"), dense=[Dense(units=2)]), training=Training(epochs=1))'
        )
        arguments = ("enqueue", space, "--recipe", tmp_path / "added.py", "--results", tmp_path / "results")
        assert cli(*arguments).sentence.endswith("alone.keras, which it takes, cannot be found.")
        (tmp_path / "alone.keras").write_text("anything")
        assert "It must be a point of the space" in cli(*arguments).sentence


def test_where_the_weights_of_a_branch_would_come_from(cli, tmp_path, write_space):
    space = write_space(
        tmp_path / "mine.py",
        """
def recipe(weights):
    body = Concat(image=Branch(body=MobileNetV2(alpha=0.35, input_size=32, weights=weights), pooling="average"))
    return Recipe(model=Model(body=body), training=Training(epochs=1))

paths = ("imagenet", "mine.h5", "missing.h5")
space = Space(data="digits", search=recipe(one_of(*paths)), baselines={path: recipe(path) for path in paths})
""",
    )
    (tmp_path / "mine.h5").write_bytes(b"weights")
    said = cli("check", space, "--samples", 1, "--json")
    assert said.code == 0, said
    found = {each["name"]: each["weights"] for each in json.loads(said.out)["baselines"]}
    assert found["imagenet"] == "to be downloaded"
    assert found["mine.h5"].startswith("found: ")
    assert found["mine.h5"].endswith("mine.h5")
    assert found["missing.h5"].startswith("missing: the weights missing.h5 are in none of")
