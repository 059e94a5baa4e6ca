"""Pretrained weights: taken from this machine where they are, never random in silence where they are not."""

import subprocess
import sys

import pytest

from hpsearch import ConvNet, MobileNetV2, Model, Recipe, Stage, Training
from hpsearch.errors import WeightsError
from hpsearch.study import StudyFolder
from hpsearch.training.pretrained import with_local_weights

NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
"""What Keras calls the file, for sizes it has none of their own for."""


def recipe(**options):
    return Recipe(model=Model(body=MobileNetV2(alpha=0.35, **options)), training=Training(epochs=1))


def found(value, folders, side=32):
    return with_local_weights(value, side, folders).model.body.weights


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
            with_local_weights(recipe(weights="mine.h5"), 32, [tmp_path])

    def test_where_none_are_wanted(self, tmp_path):
        (tmp_path / NAME).touch()
        assert found(recipe(weights=None, frozen=False), [tmp_path]) is None
        plain = Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=Training(epochs=1))
        assert with_local_weights(plain, 32, [tmp_path]) == plain


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
