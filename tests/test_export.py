"""The best recipe retrained, tested once and exported; nothing of it half done."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hpsearch.results.export import HowChosen, export_best
from hpsearch.results.formats import Converted
from hpsearch.study.folder import StudyFolder, open_study

PLATEAU = """
def recipe(filters, rate):
    return Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=filters)]), pooling="flatten"),
        training=Training(
            epochs=5, batch_size=32, optimizer=SGD(learning_rate=rate, momentum=0.9), schedule=Plateau(patience=1)
        ),
    )

space = Space(
    data="digits",
    search=recipe(one_of(4, 8), one_of(0.05, 1e-9)),
    baselines={"by_hand": recipe(4, 1e-9)},
)
"""


@pytest.fixture(scope="module")
def trained(cli, tmp_path_factory, write_space):
    """A small study: a baseline that learns nothing, and all else there is in its space."""
    folder = tmp_path_factory.mktemp("trained")
    space = write_space(folder / "mine.py", PLATEAU)
    said = cli("run", space, "--subset", 300, "--results", folder / "results")
    assert said.code == 0, said
    return folder / "results" / "mine"


@pytest.fixture
def study(trained, tmp_path):
    """A copy of the study, for a test that changes it."""
    return shutil.copytree(trained, tmp_path / "results" / "mine")


@pytest.fixture(scope="module")
def exported(cli, trained, tmp_path_factory):
    """The study after its export: the folder, what the command said, and the best trial."""
    study = shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "results" / "mine")
    said = cli("export-best", "--no-finals", "--results", study.parent)
    assert said.code == 0, said
    return study, said, best_of(study)


def best_of(study):
    return max(open_study(study.parent).trials(), key=lambda trial: trial.score or 0)


def openings(study):
    return json.loads((study / "study.json").read_text())["test_openings"]


class TestCard:
    def test_of_photos_speaks_of_no_table(self, exported):
        card = (exported[0] / "export" / "README.md").read_text()
        assert "`model.keras` takes raw pixels, as the data holds them" in card
        assert "missing value" not in card
        assert "`hpsearch predict FOLDER photo.jpg`" in card
        assert "predict.py" not in card  # there is none of a named data set
        assert "`train.py` is the network" in " ".join(card.split())

    def test_says_how_long_was_trained_as_all_screens_do(self, exported):
        from hpsearch.wording import duration

        study, *_ = exported
        spent = duration(sum(trial.seconds for trial in open_study(study.parent).trials()))
        assert f" in {spent} of training, " in (study / "export" / "README.md").read_text()


class TestExport:
    def test_everything_is_written(self, exported):
        study, said, _ = exported
        models, said_of_them = {"model.keras", "baseline.keras"}, {"inputs.json", "metrics.json", "classes.json"}
        written = {*models, *said_of_them, "recipe.py", "train.py", "data.json", "README.md", ".hpsearch-export.json"}
        assert {path.name for path in (study / "export").iterdir()} == written
        assert f"Written: {study / 'export' / 'model.keras'}" in said.out

    def test_the_model_stands_alone_and_scores_what_was_recorded(self, exported, tmp_path):
        """It is loaded where there is no hpsearch, and takes the pixels as scikit-learn holds them."""
        from hpsearch.data.declarations import named
        from hpsearch.data.loading import load_test_part

        study, _, _ = exported
        part = load_test_part(named("digits"))
        np.savez(tmp_path / "test.npz", images=part.images, labels=part.labels)
        script = (
            "import sys; sys.modules['hpsearch'] = None\n"
            "import json, keras, numpy as np\n"
            "model = keras.saving.load_model(sys.argv[1])\n"
            "data = np.load(sys.argv[2])\n"
            "right = model.predict(data['images'], verbose=0).argmax(axis=1) == data['labels']\n"
            "print(json.dumps([float(right.mean()), len(right)]))\n"
        )
        arguments = [sys.executable, "-c", script, study / "export" / "model.keras", tmp_path / "test.npz"]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        accuracy, images = json.loads(done.stdout)
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        assert metrics["chosen"]["accuracy"] == pytest.approx(accuracy)
        assert metrics["test_images"] == images
        assert metrics["chosen"]["low"] < accuracy < metrics["chosen"]["high"]

    def test_the_best_was_chosen_and_the_baseline_tested_beside_it(self, exported):
        study, _, best = exported
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        assert metrics["chosen"]["trial"] == best.number
        assert metrics["chosen"]["validation"] == best.score
        assert metrics["chosen"]["epochs"] == best.best_epoch
        assert metrics["seed"] == best.seed
        assert metrics["baseline"]["name"] == "by_hand"
        assert metrics["train_images"] == 300 + 150
        assert (study / "export" / "recipe.py").read_text().rstrip("\n") == best.recipe

    def test_the_opening_is_recorded(self, exported):
        study, _, best = exported
        (opening,) = openings(study)
        assert opening["trials"] == [best.name, "by_hand"]
        assert opening["command"] == "hpsearch export-best"
        assert opening["validation_looks"] == sum(trial.epochs for trial in open_study(study.parent).trials())
        assert opening["when"] > json.loads((study / "choice.json").read_text())["when"]
        assert json.loads((study / "export" / "metrics.json").read_text())["test_openings"] == [opening]

    def test_the_card_says_it(self, exported):
        card = (exported[0] / "export" / "README.md").read_text()
        assert "images that no search saw, opened once." in card
        assert "Recipe(" in card

    def test_a_second_call_opens_nothing_and_trains_nothing(self, exported, cli, tmp_path, monkeypatch):
        study, said, _ = exported
        monkeypatch.setattr("hpsearch.results.retrain.prepared_worker", None)
        monkeypatch.setattr("hpsearch.results.export.answered", None)
        model = (study / "export" / "model.keras").read_bytes()
        again = cli("export-best", "--results", study.parent)
        assert again.code == 0
        assert again.out.startswith("Exported and tested before; nothing was trained or opened again.")
        assert again.out.splitlines()[-5:] == said.out.splitlines()[-5:]
        elsewhere = cli("export-best", "--results", study.parent, "--output", tmp_path / "model")
        assert elsewhere.code == 0, elsewhere
        assert (tmp_path / "model" / "model.keras").read_bytes() == model
        assert len(openings(study)) == 1

    def test_another_best_afterwards_is_refused(self, exported, cli, tmp_path):
        study = shutil.copytree(exported[0], tmp_path / "results" / "mine")
        before = (study / "export" / "model.keras").read_bytes()
        folder = open_study(study.parent)
        other = next(t for t in folder.trials() if t.number != exported[2].number and not t.baseline)
        other.score = 1.0
        folder.trial(other.number).write(other)
        sentence = cli("export-best", "--results", study.parent).sentence
        assert f"the best is now trial {other.name}" in sentence
        assert "--reopen-test" in sentence
        assert len(openings(study)) == 1
        assert (study / "export" / "model.keras").read_bytes() == before

        again = cli("export-best", "--no-finals", "--results", study.parent, "--reopen-test", "--json")
        assert again.code == 0, again
        metrics = json.loads(again.out)
        assert metrics["chosen"]["trial"] == other.number
        assert len(openings(study)) == len(metrics["test_openings"]) == 2
        assert "only the first opening is an honest test" in (study / "export" / "README.md").read_text()

    def test_an_export_that_is_gone_is_not_made_again_in_silence(self, exported, cli, tmp_path):
        study = shutil.copytree(exported[0], tmp_path / "results" / "mine")
        (study / "export" / "model.keras").unlink()
        info = json.loads((study / "study.json").read_text())
        info["test_openings"][0]["folder"] = str(study / "export")
        (study / "study.json").write_text(json.dumps(info))
        sentence = cli("export-best", "--results", study.parent).sentence
        assert f"what was exported to {study / 'export'} is gone" in sentence


class TestWhatIsNotOfIt:
    """Another format is written into an export that is there, whose files are somebody's by now."""

    @pytest.fixture
    def again(self, exported, cli, tmp_path, monkeypatch):
        study = shutil.copytree(exported[0], tmp_path / "results" / "mine")
        info = json.loads((study / "study.json").read_text())
        info["test_openings"][0]["folder"] = str(study / "export")
        (study / "study.json").write_text(json.dumps(info))

        def convert(model, formats, folder, probe):
            (folder / "saved_model").mkdir()
            (folder / "saved_model" / "saved_model.pb").write_bytes(model.read_bytes())
            return [Converted(*formats, "saved_model", 0.0, 64, 1e-3)]

        monkeypatch.setattr("hpsearch.results.formats.convert", convert)
        return study / "export", lambda *more: cli("export-best", "--results", study.parent, *more)

    def test_of_an_earlier_version_known_names_are_taken_over(self, again):
        export, call = again
        (export / ".hpsearch-export.json").unlink()
        (export / "notes.txt").write_text("mine")
        assert call("--format", "tf_saved_model").code == 0
        assert (export / "notes.txt").read_text() == "mine"
        listed = json.loads((export / ".hpsearch-export.json").read_text())["files"]
        assert {*listed} >= {"model.keras", "train.py", "data.json", "saved_model/saved_model.pb", "README.md"}
        assert "notes.txt" not in listed
        assert "saved_model" in (export / "README.md").read_text()

    def test_what_was_changed_stays_and_is_named_or_refused(self, again, tmp_path):
        export, call = again
        (export / "train.py").write_text("mine")
        said = call("--format", "tf_saved_model")
        assert f"{export / 'train.py'} was changed since it was exported; it stays." in " ".join(said.out.split())
        assert (export / "train.py").read_text() == "mine"
        (export / "README.md").write_text("mine")
        assert call("--format", "tf_saved_model").code == 0  # it has that
        shutil.rmtree(export / "saved_model")
        assert "changed since: README.md. Move that away" in call("--format", "tf_saved_model").sentence
        assert (export / "README.md").read_text() == "mine"
        assert not (export / "saved_model").exists()

    def test_new_networks_are_not_even_trained_then(self, again, monkeypatch):
        export, call = again
        monkeypatch.setattr("hpsearch.results.export.retrained", None)
        (export / "recipe.py").write_text("mine")
        assert "changed since: recipe.py." in call("--reopen-test", "--no-finals").sentence

    def test_a_copy_elsewhere_is_an_export_and_takes_nothing_of_others_along(self, again, tmp_path):
        export, call = again
        (export / "notes.txt").write_text("mine")
        assert call("--output", tmp_path / "copy").code == 0
        copied = {path.name for path in (tmp_path / "copy").iterdir()}
        assert copied == {path.name for path in export.iterdir()} - {"notes.txt"}


class TestReplay:
    def test_epochs_and_learning_rates_are_those_of_the_validated_run(self, study, history_of):
        seen = {}
        export_best(
            open_study(study.parent),
            how=HowChosen(finals=False),
            on_epoch=lambda name, epoch, epochs: seen.setdefault(name, []).append(
                (epoch.epoch, epochs, epoch.metrics["learning_rate"])
            ),
        )
        best = best_of(study)
        folder = open_study(study.parent)
        assert set(seen) == {best.name, "by_hand"}
        for name, epochs in seen.items():
            trial = folder.find(name)
            validated = [epoch["learning_rate"] for epoch in history_of(study, trial.number)][: trial.best_epoch]
            assert [rate for *_, rate in epochs] == pytest.approx(validated, rel=1e-5)
            assert [number for number, *_ in epochs] == list(range(1, trial.best_epoch + 1))
            assert {total for _, total, _ in epochs} == {trial.best_epoch}


class TestRefusals:
    def test_nothing_was_trained(self, cli, study):
        said = "has no finished trial with a score yet; run it first"
        for trial in StudyFolder(study).trials():
            trial.state = "RUNNING"  # one that was interrupted may yet become better, or worse
            StudyFolder(study).trial(trial.number).write(trial)
        assert said in cli("export-best", "--results", study.parent).sentence
        for folder in (study / "trials").iterdir():
            shutil.rmtree(folder)
        assert said in cli("export-best", "--results", study.parent).sentence

    def test_a_folder_with_other_files_is_left_alone(self, cli, study, tmp_path):
        precious = tmp_path / "thesis" / "chapter.txt"
        precious.parent.mkdir()
        precious.write_text("years of work")
        (precious.parent / "metrics.json").write_text("{}")  # many programs call theirs so
        said = cli("export-best", "--results", study.parent, "--output", precious.parent)
        assert said.sentence.startswith(f"{precious.parent} holds something else than an export")
        assert precious.read_text() == "years of work"
        assert len(list(precious.parent.iterdir())) == 2

    def test_a_folder_of_the_record(self, cli, study):
        for name in ("retrained", "trials/00099"):
            said = cli("export-best", "--results", study.parent, "--output", study / name)
            assert (
                said.sentence == f"{study / name} is for the record of study mine; name another folder with --output."
            )
            assert not (study / name).exists()

    def test_a_folder_that_cannot_be_written(self, cli, study, tmp_path):
        (tmp_path / "file").write_text("in the way")
        said = cli("export-best", "--results", study.parent, "--output", tmp_path / "file" / "export")
        assert said.sentence.startswith(f"The export cannot be written to {tmp_path / 'file' / 'export'}")
        assert openings(study) == []

    def test_a_damaged_copy_of_the_space(self, cli, study):
        (study / "space.py").write_text("space = Space(\n")
        said = cli("export-best", "--results", study.parent)
        assert said.sentence.startswith(f"{study / 'space.py'}, line 1: this is not Python")
        assert not (study / "export").exists()
        assert openings(study) == []

    def test_a_history_that_is_lost(self, cli, study):
        (study / "trials" / f"{best_of(study).number:05d}" / "history.csv").unlink()
        said = cli("export-best", "--no-finals", "--results", study.parent)
        assert "is lost; it cannot be retrained" in said.sentence
        assert not list(study.glob("*export*"))

    def test_other_data(self, cli, study):
        info = json.loads((study / "study.json").read_text())
        (study / "study.json").write_text(json.dumps({**info, "data_fingerprint": "another"}))
        assert "not what the study searched on" in cli("export-best", "--results", study.parent).sentence
        assert openings(study) == []


def test_a_hypermodel_whose_export_is_killed(cli, command, tmp_path, write_space, gated_space, wait_for):
    """Killed while it retrains, the export leaves nothing that could be taken for one, and the test part sealed."""
    space = write_space(tmp_path / "mine.py", gated_space)
    results, study = tmp_path / "results", tmp_path / "results" / "mine"
    assert cli("run", space, "--trials", 1, "--subset", 200, "--epochs", 2, "--results", results).code == 0
    folder = open_study(results)
    trial = folder.find("0")
    trial.best_epoch = 2
    folder.trial(0).write(trial)

    (tmp_path / "gate").touch()
    killed = command("export-best", "--no-finals", "--results", results)
    wait_for((tmp_path / "reached").exists, "retraining")
    killed.kill()
    wait_for(killed.gone, "the end of all processes")
    assert not (study / "export").exists()
    assert openings(study) == []

    (tmp_path / "gate").unlink()
    said = cli("export-best", "--no-finals", "--results", results)
    assert said.code == 0, said
    assert len(openings(study)) == 1
    assert {path.name for path in (study / "export").iterdir()} >= {"model.keras", "metrics.json"}
    assert [path.name for path in (study / "trials").iterdir()] == ["00000"]
