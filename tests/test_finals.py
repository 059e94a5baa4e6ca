"""Finals held by real workers: every seed trained and kept, cut off and gone on with, and exported after."""

import json
import shutil

import numpy as np
import pytest

from hpsearch.results.finals import read_finals
from hpsearch.study.folder import open_study, studies_in

RATES = """
def recipe(rate):
    return Recipe(
        model=Model(body=None, dense=[Dense(units=16)], pooling="flatten"),
        training=Training(epochs=3, batch_size=16, early_stopping=2, optimizer=Adam(learning_rate=rate)),
    )

space = Space(data="digits", search=recipe(one_of(0.02, 0.01, 1e-9)), baselines={"by_hand": recipe(0.01)})
"""

GUARDED = """
from pathlib import Path

import keras


def build(hp):
    units = hp.Int("units", 8, 64)
    if Path("FOLDER", "broken").exists() and units > 8:
        raise ValueError("this layer is out of order")
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(10, "softmax")]
    )


space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=1, batch_size=32)))
"""


@pytest.fixture(scope="module")
def searched(cli, tmp_path_factory, write_space):
    """A small study: a network made by hand, one that learns faster, and one that learns nothing."""
    folder = tmp_path_factory.mktemp("searched")
    space = write_space(folder / "mine.py", RATES)
    said = cli("run", space, "--subset", 200, "--results", folder / "results", "--devices", "cpu")
    assert said.code == 0, said
    return folder / "results" / "mine"


@pytest.fixture(scope="module")
def played(cli, searched, tmp_path_factory):
    """The study after its finals, before which a lucky score was planted: its folder, and what was said."""
    study = shutil.copytree(searched, tmp_path_factory.mktemp("played") / "results" / "mine")
    folder = open_study(study.parent)
    lucky = idle(folder)
    lucky.score = 0.999
    folder.trial(lucky.number).write(lucky)
    said = cli("finals", "--results", study.parent, "--seeds", 2, "--top", 2, "--devices", "cpu")
    assert said.code == 0, said
    return study, said


@pytest.fixture
def study(played, tmp_path):
    """A copy, for a test that changes it."""
    return shutil.copytree(played[0], tmp_path / "results" / "mine")


def idle(folder):
    """The trial that learns nothing."""
    return next(trial for trial in folder.trials() if "1e-09" in trial.recipe)


class TestFinals:
    def test_a_planted_lucky_trial_is_unmasked(self, played):
        study, said = played
        found = read_finals(open_study(study.parent))
        lucky = found.finalist(idle(open_study(study.parent)).number)
        assert lucky.search == 0.999
        assert lucky.mean < 0.4
        assert lucky.verdict in ("worse", "tie")
        assert found.chosen != lucky.trial
        told = [line for line in said.out.splitlines() if "in the search it was lucky" in line]
        assert any(line.startswith(f"Trial {lucky.name} scored 0.9990 in the search") for line in told)

    def test_the_record_is_a_study_of_its_own(self, played, trials_of):
        study, _ = played
        folder = open_study(study.parent)
        finals = trials_of(study / "finals")
        found = read_finals(folder)
        assert len(finals) == 3 * 2
        assert {trial["parent"] for trial in finals} == {each.trial for each in found.finalists}
        assert [trial["seed"] for trial in finals] == [found.seeds[0]] * 3 + [found.seeds[1]] * 3
        assert not set(found.seeds) & {trial.seed for trial in folder.trials()}
        recipes = {trial.number: trial.recipe for trial in folder.trials()}
        for number, trial in enumerate(finals):
            record = folder.finals.trial(number).read()
            assert record.recipe == recipes[trial["parent"]]
            assert record.state == "COMPLETE"
        assert [each.name for each in studies_in(study.parent)] == ["mine"]

    def test_what_was_said_of_validation_gives_the_recorded_score_again(self, played):
        from hpsearch.data.declarations import named
        from hpsearch.data.loading import load_search_data

        folder = open_study(played[0].parent).finals
        labels = np.load(folder.path / "validation_labels.npz")["labels"]
        assert np.array_equal(labels, load_search_data(named("digits"), subset=200).validation.labels)
        for trial in folder.trials():
            predictions = np.load(folder.trial(trial.number).path / "validation.npz")["predictions"]
            assert predictions.dtype == np.float32
            assert predictions.shape == (len(labels), 10)
            assert (predictions.argmax(axis=1) == labels).mean() == pytest.approx(trial.score, abs=1e-6)

    def test_the_table_says_it_in_words(self, played):
        study, said = played
        found = read_finals(open_study(study.parent))
        lines = said.out.splitlines()
        head = next(place for place, line in enumerate(lines) if line.startswith("finalist"))
        rows = lines[head + 1 : head + 4]
        assert [row.split()[0] for row in rows] == [each.name for each in found.finalists]
        assert any("the best made by hand" in row for row in rows)
        assert any("with by_hand" in row or "than by_hand" in row for row in rows)
        assert "final by_hand (seed 2) COMPLETE" in said.out

    def test_the_same_command_trains_nothing_more(self, study, cli, monkeypatch):
        monkeypatch.setattr("hpsearch.results.contest.run_repeats", None)
        before = (study / "finals.json").read_text()
        said = cli("finals", "--results", study.parent, "--json")
        assert said.code == 0, said
        assert json.loads(said.out) == json.loads(before)

    def test_more_seeds_are_added(self, study, cli, trials_of):
        before = read_finals(open_study(study.parent))
        said = cli("finals", "--results", study.parent, "--seeds", 3, "--devices", "cpu")
        assert said.code == 0, said
        after = read_finals(open_study(study.parent))
        assert after.seeds[:2] == before.seeds
        assert {each.trial: each.scores[:2] for each in after.finalists} == {
            each.trial: each.scores for each in before.finalists
        }
        assert after.complete
        assert len(trials_of(study / "finals")) == 9

    def test_other_commands_read_them(self, study, cli):
        said = cli("leaderboard", "--study", "mine/finals", "--results", study.parent, "--json")
        assert said.code == 0, said
        assert "by_hand (seed 1)" in said.out
        assert "mine/finals" not in cli("studies", "--results", study.parent).out
        state = cli("status", "--study", "mine/finals", "--results", study.parent).out
        assert f"Go on with: hpsearch finals --study mine --results {study.parent}" in state


class TestRefusals:
    def test_nothing_was_trained(self, cli, searched, tmp_path):
        study = shutil.copytree(searched, tmp_path / "results" / "mine")
        shutil.rmtree(study / "trials")
        assert "has no finished trial with a score yet" in cli("finals", "--results", study.parent).sentence

    def test_other_data(self, cli, searched, tmp_path):
        study = shutil.copytree(searched, tmp_path / "results" / "mine")
        info = json.loads((study / "study.json").read_text())
        (study / "study.json").write_text(json.dumps({**info, "data_fingerprint": "another"}))
        said = cli("finals", "--results", study.parent, "--devices", "cpu")
        assert "The data is not what the study searched on" in said.sentence
        assert not (study / "finals" / "trials").exists()

    def test_a_database_that_was_emptied(self, cli, study):
        (study / "finals" / "study.db").unlink()
        said = cli("finals", "--results", study.parent, "--seeds", 4, "--devices", "cpu")
        assert "lacks finals that are recorded" in said.sentence

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (("--no-finals", "--top", 2), "--top, --baselines and --for are for finals"),
            (("--no-finals", "--ensemble"), "--ensemble is the mean of several seeds"),
            (("--seeds", 1, "--ensemble"), "--ensemble is the mean of several seeds"),
        ],
    )
    def test_options_that_make_no_sense_together(self, cli, searched, options, sentence):
        assert cli("export-best", "--results", searched.parent, *options).sentence.startswith(sentence)


class TestCutOff:
    def test_killed_in_the_middle_they_go_on(
        self, cli, command, tmp_path, write_space, gated_space, wait_for, trials_of, history_of
    ):
        space = write_space(tmp_path / "mine.py", gated_space)
        results, study = tmp_path / "results", tmp_path / "results" / "mine"
        assert cli("run", space, "--trials", 2, "--subset", 200, "--results", results).code == 0

        (tmp_path / "gate").touch()
        killed = command("finals", "--results", results, "--top", 2, "--seeds", 2, "--devices", "cpu")
        wait_for((tmp_path / "reached").exists, "the second epoch of the first final")
        state = json.loads(cli("status", "--results", results, "--json").out)
        assert (state["study"], state["running"]) == ("mine/finals", True)
        assert "is being written by" in cli("finals", "--results", results).sentence
        killed.kill()
        wait_for(killed.gone, "the end of all processes")
        (first,) = trials_of(study / "finals")
        assert first["state"] == "RUNNING"
        assert len(history_of(study / "finals", 0)) == 1

        (tmp_path / "gate").unlink()
        said = cli("finals", "--results", results, "--top", 2, "--seeds", 2, "--devices", "cpu")
        assert said.code == 0, said
        assert "goes on at epoch 2 of 3" in said.out
        found, finals = read_finals(open_study(results)), trials_of(study / "finals")
        assert found.complete
        assert len(finals) == 4
        assert finals[0]["attempts"] == 2
        assert [epoch["epoch"] for epoch in history_of(study / "finals", 0)] == [1, 2, 3]
        assert {trial["state"] for trial in finals} == {"COMPLETE"}
        # Nothing of the search was touched.
        assert [trial["seed"] for trial in trials_of(study)] == [0, 1]

    def test_the_time_ends_them_and_more_goes_on(self, cli, searched, tmp_path):
        study = shutil.copytree(searched, tmp_path / "results" / "mine")
        options = ("--results", study.parent, "--top", 0, "--seeds", 2, "--devices", "cpu")
        said = cli("finals", *options, "--for", "1s")
        assert said.code == 0, said
        assert "is used up; extend it with a longer --for" in said.out
        assert not read_finals(open_study(study.parent)).complete
        again = cli("finals", *options, "--for", "10m")
        assert again.code == 0, again
        assert read_finals(open_study(study.parent)).complete


class TestFailures:
    def test_a_finalist_that_fails_is_left_out(self, cli, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", GUARDED)
        results = tmp_path / "results"
        assert cli("run", space, "--trials", 2, "--subset", 200, "--results", results).code == 0
        folder = open_study(results)
        # Another run would have found the smallest network, too.
        small = folder.find("1")
        small.answers = dict.fromkeys(small.answers, 8)
        folder.trial(1).write(small)
        (tmp_path / "broken").touch()
        said = cli("finals", "--results", results, "--seeds", 2, "--devices", "cpu")
        assert said.code == 0, said
        found = read_finals(folder)
        assert found.complete
        assert found.chosen == 1
        assert "this layer is out of order" in found.finalist(0).failure
        assert "failed, user_code" in said.out

        small.answers = dict.fromkeys(small.answers, 9)
        folder.trial(1).write(small)
        shutil.rmtree(folder.finals.path)
        none_left = cli("finals", "--results", results, "--seeds", 2, "--devices", "cpu")
        assert none_left.code == 1
        assert "No finalist could be trained" in none_left.err


def files_of(export):
    return {path.name for path in export.iterdir()}


@pytest.fixture(scope="module")
def exported(cli, played, tmp_path_factory):
    """The study after an export that its finals chose."""
    study = shutil.copytree(played[0], tmp_path_factory.mktemp("exported") / "results" / "mine")
    said = cli("export-best", "--results", study.parent)
    assert said.code == 0, said
    return study, said


class TestExport:
    def test_the_best_mean_is_exported_and_not_the_lucky_score(self, exported):
        study, _ = exported
        found = read_finals(open_study(study.parent))
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        choice = json.loads((study / "choice.json").read_text())
        assert metrics["finals"]
        assert metrics["chosen"]["trial"] == choice["trial"] == found.chosen
        assert metrics["chosen"]["validation"] == choice["score"] == found.finalist(found.chosen).mean
        assert metrics["seed"] == choice["seed"] == found.seeds[0]
        (opening,) = metrics["test_openings"]
        assert opening["finished"]
        assert opening["when"] > choice["when"]
        finals = open_study(study.parent).finals.trials()
        assert opening["validation_looks"] == sum(
            trial.epochs for trial in (*open_study(study.parent).trials(), *finals)
        )

    def test_every_seed_is_reported_for_both(self, exported):
        study, said = exported
        found = read_finals(open_study(study.parent))
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        assert metrics["seeds"]["seeds"] == found.seeds
        assert len(metrics["seeds"]["scores"]) == 2
        assert metrics["seeds"]["scores"][0] == pytest.approx(metrics["chosen"]["accuracy"])
        assert metrics["seeds"]["mean"] == pytest.approx(np.mean(metrics["seeds"]["scores"]))
        assert metrics["seeds"]["low"] < metrics["seeds"]["mean"] < metrics["seeds"]["high"]
        if metrics["baseline"]:
            assert metrics["baseline_seeds"]["seeds"] == found.seeds
            assert metrics["seeds"]["verdict"] in ("better", "worse", "tie")
            assert "on the test part" in said.out
        assert "The exported network is that of the first seed" in said.out
        assert not (study / "retrained").exists()

    def test_each_seed_replays_its_own_final(self, exported):
        study, _ = exported
        folder = open_study(study.parent)
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        first = next(
            trial
            for trial in folder.finals.trials()
            if (trial.parent, trial.seed) == (metrics["chosen"]["trial"], metrics["seed"])
        )
        assert metrics["chosen"]["epochs"] == first.best_epoch

    def test_a_second_call_does_nothing(self, exported, cli, monkeypatch):
        study, _ = exported
        monkeypatch.setattr("hpsearch.results.contest.run_repeats", None)
        monkeypatch.setattr("hpsearch.results.retrain.prepared_worker", None)
        monkeypatch.setattr("hpsearch.results.export.answered", None)
        again = cli("export-best", "--results", study.parent)
        assert again.code == 0, again
        assert "nothing was trained or opened again" in again.out

    def test_every_line_of_the_seeds_names_its_metric(self, exported):
        study, said = exported
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        assert metrics["seeds"]["metric"] == "accuracy"
        assert f"Test accuracy of each seed of {metrics['chosen']['name']}: " in said.out
        card = (study / "export" / "README.md").read_text()
        assert "| mean accuracy (95 % interval) |" in card
        assert "- Its mean accuracy there: " in card

    def test_fewer_seeds_than_were_trained_compare_by_all_that_were(self, study, cli, monkeypatch):
        monkeypatch.setattr("hpsearch.results.contest.run_repeats", None)  # nothing is trained again
        before = read_finals(open_study(study.parent))
        counts = "--seeds 1: all were trained with 2 seeds before, and all of these count."
        assert counts in cli("finals", "--results", study.parent, "--seeds", 1).out
        assert "all of these count" not in cli("finals", "--results", study.parent, "--seeds", 2).out
        said = cli("export-best", "--results", study.parent, "--seeds", 1)
        assert said.code == 0, said
        after = read_finals(open_study(study.parent))
        assert (after.seeds, after.compared, after.chosen) == (before.seeds, 2, before.chosen)
        assert [each.mean for each in after.finalists] == [each.mean for each in before.finalists]
        assert counts in said.out
        assert json.loads((study / "export" / "metrics.json").read_text())["seeds"]["seeds"] == before.seeds

    def test_a_better_score_found_later_is_no_longer_tested_in_silence(self, exported, cli, tmp_path):
        study = shutil.copytree(exported[0], tmp_path / "results" / "mine")
        folder = open_study(study.parent)
        found = read_finals(folder)
        new = next(trial for trial in folder.trials() if found.finalist(trial.number) is None or trial.baseline)
        new.number, new.baseline, new.hash, new.score = 77, None, "another", 1.0
        folder.trial(77).write(new)
        assert "the best is now trial 77" in cli("export-best", "--results", study.parent).sentence

    def test_all_seeds_are_exported_as_one(self, study, cli, monkeypatch):
        """Cut off before the test part was opened, it goes on with what was trained."""
        from hpsearch.results import export

        with monkeypatch.context() as broken:
            broken.setattr("hpsearch.results.export._together", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                export.export_best(open_study(study.parent), how=export.HowChosen(ensemble=True))
        assert list((study / "retrained").glob("*.keras"))
        assert not (study / "export").exists()
        assert json.loads((study / "study.json").read_text())["test_openings"] == []
        choice = (study / "choice.json").read_text()

        monkeypatch.setattr("hpsearch.results.retrain.prepared_worker", None)  # nothing is trained again
        said = cli("export-best", "--results", study.parent, "--ensemble")
        assert said.code == 0, said
        metrics = json.loads((study / "export" / "metrics.json").read_text())
        assert metrics["ensemble"]
        assert metrics["reload_difference"] < 1e-4
        assert metrics["chosen"]["parameters"] == 2 * (64 * 16 + 16 + 16 * 10 + 10)
        assert (study / "choice.json").read_text() == choice
        assert "The exported network is the mean of all of them" in said.out
        assert "gives the mean of their answers" in (study / "export" / "README.md").read_text()
        assert files_of(study / "export") >= {"model.keras", "metrics.json", "inputs.json", "recipe.py", "README.md"}

    def test_an_opening_that_was_cut_off_is_gone_on_with(self, study, cli, monkeypatch):
        from hpsearch.results import export

        with monkeypatch.context() as broken:
            broken.setattr("hpsearch.results.export._said", lambda *_: 1 / 0)  # as a kill would: nobody saw a score
            with pytest.raises(ZeroDivisionError):
                export.export_best(open_study(study.parent))
        (opening,) = json.loads((study / "study.json").read_text())["test_openings"]
        assert not opening["finished"]
        said = cli("export-best", "--results", study.parent)
        assert said.code == 0, said
        (opening,) = json.loads((study / "study.json").read_text())["test_openings"]
        assert opening["finished"]
        assert (study / "export" / "model.keras").exists()
