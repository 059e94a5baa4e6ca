"""``hpsearch enqueue``: a recipe of the user's, checked as a point of the space, waits for the next run."""

import pytest

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between
from hpsearch.spacefile import load_recipe, load_space
from hpsearch.study.asked import write_asked
from hpsearch.study.folder import StudyFolder
from hpsearch.study.requests import queued
from hpsearch.study.trial import Trial
from studies import info_of

SPACE = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Block:
    units: int = 3
    def __call__(self, x):
        return x

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=one_of(ConvNet(stages=[Stage(filters=between(2, 64, step=2))]), Block(units=one_of(None, 3, 4))),
            pooling=one_of("flatten", "average"),
        ),
        training=Training(epochs=2, optimizer=Adam(learning_rate=between(1e-4, 1e-1, log=True))),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(body=ConvNet(stages=[Stage(filters=4)])), training=Training(epochs=2)
        )
    },
)
"""
NET = """Recipe(
    model=Model(body=ConvNet(stages=(Stage(filters=16),)), pooling="average"),
    training=Training(epochs=2, optimizer=Adam(learning_rate=0.01)),
)
"""


@pytest.fixture
def space(tmp_path, write_space):
    return write_space(tmp_path / "mine.py", SPACE)


@pytest.fixture
def study(tmp_path):
    return StudyFolder(tmp_path / "results" / "mine")


@pytest.fixture
def enqueue(cli, space, study, tmp_path):
    """Write a recipe's text and enqueue it."""

    def run(text, *arguments, file="given.py"):
        (tmp_path / file).write_text(text)
        return cli("enqueue", space, "--recipe", tmp_path / file, "--results", study.path.parent, *arguments)

    return run


def begin(study, space, **more):
    values = {"space_fingerprint": load_space(space).fingerprint, **more}
    study.create(info_of("mine", space_file=str(space), **values), "")


def test_the_command_is_that_of_the_last_run_of_the_study(enqueue, study, space, tmp_path):
    begin(study, space, data_dir=str(tmp_path), epochs=2)
    write_asked(study, {"no-baselines": True, "devices": "cpu"})
    options = f"--epochs 2 --no-baselines --devices cpu --data-dir {tmp_path} --results {study.path.parent}"
    said = enqueue(NET)
    assert said.code == 0, said
    assert said.out.startswith(f"Queued given; trained first by: hpsearch run {space} ")
    assert said.out.endswith(f" {options}\n")


def test_the_first_run_of_a_study_looks_for_the_data_in_the_same_place(enqueue, tmp_path):
    assert f" --trials 20 --data-dir {tmp_path} " in enqueue(NET, "--data-dir", tmp_path).out


def test_what_is_queued_is_all_that_a_run_needs(enqueue, study, space):
    said = enqueue(NET)
    assert said.code == 0
    where = f"--results {study.path.parent}"
    assert said.out == f"Queued given; trained first by: hpsearch run {space} --trials 20 {where}\n"
    (found,) = queued(study)
    assert found.name == "given"
    assert len(found.hash) == 12
    assert load_recipe(found.recipe, space).training.optimizer.learning_rate == 0.01
    assert found.choices == (
        (Parameter("model.body", Choices(("ConvNet", "Block"))), "ConvNet"),
        (Parameter("model.body.stages[0].filters", Between(2, 64, 2)), 16),
        (Parameter("model.pooling", Choices(("flatten", "average"))), "average"),
        (Parameter("training.optimizer.learning_rate", Between(1e-4, 1e-1, None, True)), 0.01),
    )
    assert not study.exists


def test_own_blocks_are_known(enqueue, study):
    text = NET.replace("ConvNet(stages=(Stage(filters=16),))", "Block(units=None)")
    assert enqueue(f"recipe = {text}", "--name", "blocky").code == 0
    (found,) = queued(study)
    assert found.name == "blocky"
    assert ("model.body.units", None) in {(parameter.name, value) for parameter, value in found.choices}


def test_a_running_study_trains_it_next(enqueue, study, space):
    begin(study, space)
    with study.writing():
        assert enqueue(NET).out == "Queued given: the run on study mine trains it next.\n"


def test_a_file_that_is_called_by_a_number(enqueue, study):
    assert enqueue(NET, file="00012.py").code == 0
    assert [each.name for each in queued(study)] == ["recipe_00012"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "filters=16",
            "filters=17",
            "model.body.stages[0].filters: got 17; the space allows a whole number from 2 to ",
        ),
        ("filters=16", "filters=between(2, 64)", "holds a domain; a recipe is one network, so write plain values."),
        ("epochs=2", "epochs=3", "training.epochs: got 3; the space fixes it at 2. It must be a point of the space."),
        ('"average"', '"mean"', 'model.pooling: got "mean"; allowed: '),
        ("Stage(filters=16)", "Stage(filter=16)", "{file}, line 2: "),
        ("Recipe", "Receipt", "{file}, line 1: name 'Receipt' is not defined. Did you mean Recipe"),
        ("Recipe(", "Recipe((", "{file}, line 1: this is not Python: "),
        (NET, "3", "it gives a int; write Recipe("),
    ],
)
def test_a_recipe_that_is_no_point_of_the_space(enqueue, study, tmp_path, old, new, sentence):
    said = enqueue(NET.replace(old, new)).sentence
    file = tmp_path / "given.py"
    assert said.startswith(sentence.format(file=file) if "{file}" in sentence else f"{file}: {sentence}"), said
    assert queued(study) == []
    assert not study.path.exists()


@pytest.mark.parametrize("name", ["", " ", "12", "by_hand"])
def test_names_that_mean_something_else(enqueue, study, name):
    assert enqueue(NET, "--name", name).sentence == (
        f"--name got {name!r}; allowed: a text that is neither a number nor the name of a baseline."
    )
    assert queued(study) == []


def test_a_recipe_waits_once(enqueue, study):
    assert enqueue(NET).code == 0
    again = NET.replace("0.01", "1e-2").replace("(Stage(filters=16),)", "[Stage(filters=16, convs=1)]")
    assert enqueue(again, "--name", "other").sentence == ("The same recipe waits in the queue of study mine as given.")
    assert enqueue(NET.replace("16", "32")).sentence == (
        "Another recipe waits in the queue as given; give this one a --name of its own."
    )
    assert enqueue(NET.replace("16", "32"), "--name", "other").code == 0
    assert [each.name for each in queued(study)] == ["given", "other"]


@pytest.mark.parametrize(
    ("trial", "sentence"),
    [
        (
            {"state": "COMPLETE", "score": 0.5},
            "was tried as trial 4 of study mine (score 0.5000); it is not trained twice.",
        ),
        ({"state": "RUNNING"}, "is open as trial 4 of study mine; it is not trained twice."),
        (
            {"state": "FAIL", "failure": "out_of_memory", "message": "no memory"},
            "was tried as trial 4 of study mine (out_of_memory: no memory); it is not trained twice.",
        ),
        ({"state": "FAIL", "failure": "interrupted"}, None),
    ],
)
def test_a_recipe_is_trained_once(enqueue, study, space, trial, sentence):
    assert enqueue(NET).code == 0
    (waiting,) = queued(study)
    waiting.path.unlink()
    begin(study, space)
    study.trial(4).write(Trial(number=4, hash=waiting.hash, **trial))
    said = enqueue(NET)
    if sentence is None:
        assert said.code == 0
    else:
        assert said.sentence == f"The same recipe {sentence}"
    assert len(queued(study)) == (sentence is None)


def test_a_study_of_another_space(enqueue, study, space):
    begin(study, space, space_fingerprint="another")
    assert enqueue(NET).sentence.startswith(
        "The space has changed since study mine began; give the space of that study"
    )
    assert queued(study) == []


def test_files_that_are_not_there(cli, space, tmp_path):
    said = cli("enqueue", space, "--recipe", tmp_path / "nothing.py", "--results", tmp_path)
    assert said.sentence == f"--recipe got {tmp_path / 'nothing.py'}, which does not exist."
    said = cli("enqueue", tmp_path / "nothing.py", "--recipe", space, "--results", tmp_path)
    assert said.sentence.startswith(f"There is no space file {tmp_path / 'nothing.py'}.")


BUILD = """
import keras

def build(hp):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", 2, 64))])

space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=one_of(1, 2))))
"""


def test_a_space_that_imports_keras(command, write_space, tmp_path):
    """It is loaded in the command's own process, whose chatter stays away."""
    space = write_space(tmp_path / "built.py", BUILD)
    file = tmp_path / "given.py"
    text = 'Recipe(model=HyperModel(build, values={"units": 8}), training=Training(epochs=2))'
    for values, code in (("", 2), (', values={"units": 8}', 0)):
        file.write_text(text.replace(', values={"units": 8}', values))
        said = command("enqueue", space, "--recipe", file, "--results", tmp_path).end()
        assert said.code == code, said
        assert said.out.splitlines()[0] == "Starting Keras, which the space file imports ..."
        if code:
            assert said.sentence == f"{file}: model: leaves its choices open; write HyperModel(build, values={{...}})."
        else:
            assert said.err == ""
            assert said.out.splitlines()[1:] == [
                f"Queued given; trained first by: hpsearch run {space} --trials 20 --results {tmp_path}"
            ]
    (found,) = queued(StudyFolder(tmp_path / "built"))
    assert found.choices == ((Parameter("training.epochs", Choices((1, 2), True)), 2),)
    assert 'values={"units": 8}' in found.recipe
