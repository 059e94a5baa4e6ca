"""Whatever is wrong with what a user gives is said in one sentence, with exit code 2, and leaves nothing behind."""

import sqlite3
import sys

import numpy as np
import pytest

NET = "Model(body=ConvNet(stages=[Stage(filters=2)]))"
FIXED = f'space = Space(data="digits", search=Recipe(model={NET}, training=Training(epochs=1)))\n'
PHOTOS = """
space = Space(
    data=ImageFolder("photos", size=8, classes=("bright", "dark")),
    search=Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=Training(epochs=1)),
)
"""
DEEP = """
def net(stages):
    return Recipe(model=Model(body=ConvNet(stages=stages)), training=Training(epochs=1))

space = Space(
    data="digits",
    search=net(repeat(Stage(filters=2), LENGTH)),
    baselines=BASELINES,
)
"""


def deep(length, baselines="None"):
    return DEEP.replace("LENGTH", length).replace("BASELINES", baselines)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def refused(cli, tmp_path, results):
    """What a command says that must be refused; nothing may be written or changed by it."""

    def run(command, *arguments):
        before = contents(tmp_path)
        more = () if command == "check" else ("--results", results)
        sentence = cli(command, *arguments, *more).sentence
        assert contents(tmp_path) == before
        return sentence

    return run


def contents(folder):
    """What is in a folder, but for who held the study last."""
    files = (path for path in folder.rglob("*") if path.name != "lock")
    return {path: path.read_bytes() if path.is_file() else None for path in files}


# ---- space files


@pytest.mark.parametrize("command", ["check", "run"])
class TestSpaceFile:
    @pytest.fixture
    def said(self, command, refused, tmp_path, write_space):
        """What a command says of a space file with this text, after its path."""

        def run(text):
            path = write_space(tmp_path / "mine.py", text)
            sentence = refused(command, path)
            assert sentence.startswith(str(path))
            return sentence.removeprefix(str(path))

        return run

    def test_syntax_error(self, said):
        python = "invalid syntax" if sys.version_info < (3, 13) else "expected argument value expression"
        assert said("space = Space(\n    data=,\n)\n") == f", line 3: this is not Python: {python}."
        assert said("space = Space(\n    data=(1 2),\n)\n").endswith("Perhaps you forgot a comma?")

    def test_no_space(self, said):
        assert said("place = 1\n") == ": it defines no 'space'; write space = Space(data=..., search=Recipe(...))."

    def test_a_space_of_another_type(self, said):
        assert said(f"space = {NET}\n").startswith(": its 'space' is a Model; write space = Space(")

    def test_a_file_that_raises(self, said):
        assert said("first = {}\nspace = first['one']\n") == ", line 3: it raised KeyError: 'one'"

    def test_a_file_that_ends_the_program(self, said):
        assert said("raise SystemExit('enough')\n") == ", line 2: it raised SystemExit: enough"

    def test_a_module_that_is_missing(self, said):
        said_ = said("import no_such_module\n")
        assert said_ == ", line 2: No module named 'no_such_module'; install what it needs into this environment."

    def test_a_word_that_hpsearch_does_not_have(self, said):
        assert said("from hpsearch import Densee\n") == ", line 2: hpsearch has no 'Densee'. Did you mean Dense?"

    def test_a_word_that_was_not_imported(self, said):
        assert said("space = Recipe(model=VGG16())\n").endswith("Import it: from hpsearch import VGG16.")

    def test_a_wrong_option_deep_inside(self, said):
        text = FIXED.replace("Stage(filters=2)", "Stage(filters=2), Stage(filters=one_of(4, 0))")
        assert said(text).startswith(", line 2: model.body.stages[1].filters: got 0; allowed: a whole number")

    def test_an_option_that_does_not_exist(self, said):
        assert said(FIXED.replace("epochs=1", "epoch=1")).startswith(
            ", line 2: Training has no option 'epoch'. Did you mean epochs?"
        )

    def test_a_part_of_the_wrong_class(self, said):
        said_ = said(FIXED.replace("training=Training(epochs=1)", "training=Adam()"))
        assert said_ == ", line 2: training: got Adam(); allowed: Training(...)."

    def test_a_class_in_place_of_an_object(self, said):
        said_ = said(FIXED.replace("epochs=1", "epochs=1, optimizer=Adam"))
        assert said_.startswith(", line 2: training.optimizer: got ")
        assert "Adam(...)" in said_

    def test_a_baseline_outside_its_space(self, said):
        said_ = said(deep("between(1, 2)", "{'three': net([Stage(filters=2)] * 3)}"))
        assert said_.startswith(", line 6: baselines['three'].model.body.stages: has 3 elements: got 3; the space ")

    def test_a_baseline_with_too_many_pools(self, said):
        said_ = said(deep("between(1, 4)", "{'four': net([Stage(filters=2)] * 4)}"))
        assert said_.startswith(": baselines['four'].model.body.stages[3].pool_size: a window of 2x2 does not fit")

    def test_a_fixed_network_with_too_many_pools(self, said):
        said_ = said(deep("4"))
        assert said_.startswith(": model.body.stages[3].pool_size: a window of 2x2 does not fit into the 1x1 pixels")

    def test_a_space_without_a_network_that_fits(self, said):
        said_ = said(deep("between(4, 9)"))
        assert said_.startswith(": no network of this space fits the images, of 200 drawn; the last: model.body.stages")

    def test_a_file_that_is_not_there(self, command, refused, tmp_path, write_space):
        write_space(tmp_path / "mine.py", FIXED)
        near = refused(command, tmp_path / "mime.py")
        assert near == f"There is no space file {tmp_path / 'mime.py'}. Did you mean mine.py?"

    def test_a_folder(self, command, refused, tmp_path):
        assert "cannot be read" in refused(command, tmp_path)

    def test_a_data_directory_that_is_not_there(self, command, refused, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", FIXED)
        missing = tmp_path / "data"
        assert refused(command, space, "--data-dir", missing) == f"--data-dir got {missing}, which is not a folder."


def test_nothing_is_said_to_start_where_the_space_file_is_wrong(cli, tmp_path, write_space):
    space = write_space(tmp_path / "mine.py", FIXED.replace("filters", "filter"))
    said = cli("run", space, "--results", tmp_path / "results")
    assert "Stage has no option 'filter'. Did you mean filters?" in said.sentence
    assert said.out == ""
    assert said.err.strip() == f"Error: {said.sentence}"


def test_a_keras_import_that_raises_is_said_as_well(refused, tmp_path, write_space):
    path = write_space(tmp_path / "mine.py", "import keras\nkeras.no_such_thing\n")
    assert refused("run", path).startswith(f"{path}, line 3: it raised AttributeError: module 'keras' has no")


# ---- data


class TestData:
    @pytest.fixture
    def said(self, refused, tmp_path, write_space):
        def run(text=PHOTOS, *options):
            return refused("run", write_space(tmp_path / "mine.py", text), "--data-dir", tmp_path, *options)

        return run

    def test_an_empty_class_folder(self, said, photos, tmp_path):
        folder = photos(tmp_path / "photos", 3)
        for photo in (folder / "dark").iterdir():
            photo.unlink()
        assert said().startswith(f"The class folder {folder / 'dark'} holds no photos")

    def test_one_class_only(self, said, photos, tmp_path):
        folder = photos(tmp_path / "photos", 3)
        (folder / "dark").rename(tmp_path / "dark")
        text = PHOTOS.replace(', classes=("bright", "dark")', "")
        assert f"{folder} holds one class only, 'bright'" in said(text)

    @pytest.mark.parametrize("content", [b"", b"no photo"], ids=["zero bytes", "corrupt"])
    def test_a_bad_image(self, said, photos, tmp_path, content):
        photos(tmp_path / "photos" / "test", 1)
        bad = photos(tmp_path / "photos" / "train", 10) / "dark" / "00.png"
        bad.write_bytes(content)
        sentence = said()
        assert str(bad) in sentence
        assert "--skip-bad-images" in sentence

    def test_labels_that_do_not_match(self, said, tmp_path):
        np.savez(tmp_path / "some.npz", x=np.zeros((9, 8, 8, 1), "uint8"), y=np.zeros(8, int))
        text = FIXED.replace('"digits"', 'Arrays("some.npz", input_shape=(8, 8, 1), classes=2)')
        assert said(text) == f"{tmp_path / 'some.npz'} has 8 labels for 9 images; every image needs one."

    def test_data_that_is_not_here(self, said, tmp_path):
        assert "photos" in said()

    def test_a_subset_that_is_too_small(self, said):
        assert "10" in said(FIXED, "--subset", 3)


# ---- the command line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--for", "soon"),
        ("--for", "0s"),
        ("--for", "10"),
        ("--trials", "many"),
        ("--trials", "-1"),
        ("--subset", "-3"),
        ("--epochs", "1.5"),
        ("--seed", "-1"),
        ("--study", "a/b"),
    ],
)
def test_nonsense_for_an_option(refused, tmp_path, write_space, option, value):
    space = write_space(tmp_path / "mine.py", FIXED)
    sentence = refused("run", space, option, value)
    assert option in sentence
    assert value in sentence


def test_an_unknown_command(cli):
    assert cli("rum", "space.py").sentence == "There is no command 'rum'. Did you mean run? See: hpsearch --help"


def test_an_unknown_option(refused, tmp_path):
    assert "--trails" in refused("run", tmp_path / "mine.py", "--trails", "3")


def test_no_space_file_at_all(refused):
    assert refused("run") == "Missing argument 'SPACE'. See: hpsearch run --help"


# ---- studies


def test_a_results_folder_that_cannot_be_written(cli, tmp_path, write_space):
    space = write_space(tmp_path / "mine.py", FIXED)
    (tmp_path / "file").write_text("in the way")
    before = contents(tmp_path)
    sentence = cli("run", space, "--results", tmp_path / "file" / "results").sentence
    assert sentence.startswith(f"The study cannot be written to {tmp_path / 'file' / 'results' / 'mine'}")
    assert "--results" in sentence
    assert contents(tmp_path) == before


def test_a_study_folder_that_is_a_file(refused, results, tmp_path, write_space):
    results.mkdir()
    (results / "mine").write_text("in the way")
    assert "cannot be written" in refused("run", write_space(tmp_path / "mine.py", FIXED))


def _another_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("not a database " * 100), "is not an SQLite database"),
        (_another_database, "is an SQLite database, but not one of Optuna"),
        (lambda path: path.mkdir(), "is not an SQLite database"),
    ],
    ids=["text", "another database", "folder"],
)
def test_a_database_that_is_none(refused, results, tmp_path, write_space, make, said):
    space = write_space(tmp_path / "mine.py", FIXED)
    (results / "mine").mkdir(parents=True)
    make(results / "mine" / "study.db")
    sentence = refused("run", space)
    assert sentence.startswith(f"{results / 'mine' / 'study.db'} {said}")


@pytest.mark.parametrize("command", ["leaderboard", "show", "export-best"])
def test_an_unknown_study(cli, refused, results, tmp_path, study, command):
    trial = ["0"] if command == "show" else []
    assert refused(command, *trial, "--study", "mina") == f"There is no study 'mina' in {results}. Did you mean mine?"


@pytest.fixture
def study(cli, results, tmp_path, write_space):
    """A study with one trained trial."""
    space = write_space(tmp_path / "mine.py", FIXED)
    done = cli("run", space, "--subset", 100, "--results", results)
    assert done.code == 0, done
    return results / "mine"


def test_what_does_not_go_on_with_a_study(cli, refused, study, tmp_path, write_space):
    space = tmp_path / "mine.py"
    subset = ("--subset", 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpsearch.launch.prepared_worker", None)  # the rest is refused before a worker is started
        (study / "study.db").rename(study / "away.db")
        (study / "study.db").write_text("none")
        assert "is not an SQLite database" in refused("run", space, *subset)
        (study / "away.db").replace(study / "study.db")
    assert "was begun with --subset 100" in refused("run", space)
    assert "was begun without --epochs" in refused("run", space, *subset, "--epochs", 3)
    assert "was begun with --seed 0" in refused("run", space, *subset, "--seed", 5)
    (study / "study.db").rename(study / "away.db")
    assert "study.db is gone" in refused("run", space, *subset)
    (study / "away.db").rename(study / "study.db")

    write_space(space, FIXED.replace("filters=2", "filters=one_of(2, 4)"))
    before = contents(study)
    changed = cli("run", space, *subset, "--results", study.parent)
    assert changed.code == 2
    assert "The space has changed since study mine began; give this run a name of its own with" in changed.err
    assert "-search = " in changed.err
    assert "+search = " in changed.err
    assert "filters=one_of(2, 4)" in changed.err
    assert "Traceback" not in changed.err
    assert contents(study) == before

    write_space(space, "# A comment changes nothing.\n" + FIXED)
    again = cli("run", space, *subset, "--results", study.parent)
    assert again.code == 0, again
    assert "every recipe of the space was tried" in again.out
