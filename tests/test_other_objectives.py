"""Studies of other metrics than accuracy: what their screens, their export and its card say, and how sure it is."""

import json
import math
import re
import shutil

import numpy as np
import pytest

from hpsearch.coordinator.ledger import Ledger
from hpsearch.noise import auc_error, standard_error
from hpsearch.results import tested as told
from hpsearch.results.intervals import interval, wilson
from hpsearch.results.shipped import Networks, every_seed
from hpsearch.space import Objective
from hpsearch.study.trial import Trial

CANCER = """
space = Space(
    data="breast_cancer",
    search=Recipe(
        model=Model(body=None, dense=[Dense(units=one_of(2, 4))], head="sigmoid"),
        training=Training(epochs=2, batch_size=64, optimizer=Adam(learning_rate=0.01)),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(body=None, dense=[Dense(units=2)], head="sigmoid"),
            training=Training(epochs=2, batch_size=64, optimizer=Adam(learning_rate=0.01)),
        ),
    },
    objective="max val_auc",
)
"""

PRICES = """
space = Space(
    data=Table("houses.csv", label="price", amount=True, numeric=("area", "rooms")),
    search=Recipe(
        model=Model(body=None, dense=[Dense(units=one_of(4, 8))], head="linear"),
        training=Training(epochs=3, batch_size=16, optimizer=Adam(learning_rate=0.01)),
    ),
    objective="min val_mae",
)
"""


@pytest.fixture(scope="module")
def search(cli, write_space, tmp_path_factory):
    """Search a space and export the best: ``search(text)`` gives the results folder and what both commands said."""

    def make(text, *options):
        folder = tmp_path_factory.mktemp("study")
        random = np.random.Generator(np.random.PCG64(0))
        area, rooms = random.integers(30, 200, 120), random.integers(1, 7, 120)
        rows = [f"{a},{r},{a * 3000 + r * 20000}" for a, r in zip(area, rooms, strict=True)]
        (folder / "houses.csv").write_text("\n".join(["area,rooms,price", *rows]))
        space = write_space(folder / "mine.py", text)
        results = folder / "results"
        run = cli("run", space, "--data-dir", folder, "--trials", 1, "--results", results, *options)
        assert run.code == 0, run
        export = cli("export-best", "--no-finals", "--results", results)
        assert export.code == 0, export
        return results, run, export

    return make


@pytest.fixture(scope="module")
def areas(search):
    """A study of areas under the ROC curve."""
    return search(CANCER)


@pytest.fixture(scope="module")
def prices(search):
    """A study of mean absolute errors, in dollars."""
    return search(PRICES, "--patience", 1)


def chosen(results):
    return json.loads((results / "mine" / "export" / "metrics.json").read_text())["chosen"]


class TestExport:
    def test_its_own_metric_comes_first_then_accuracy(self, areas):
        results, _, export = areas
        found = chosen(results)
        (line,) = [line for line in export.out.splitlines() if line.startswith("  exported")]
        assert re.search(
            r"  auc \d\.\d{4}.*, accuracy 0\.\d{4} \(0\.\d{4} to [01]\.\d{4}\), validation auc was 0\.\d{4}, ",
            line.replace(found["name"], " ", 1),
        ), line
        assert f"auc {found['value']:.4f}" in line
        assert found["metric"] == "auc"
        assert found["value"] == found["auc"]
        assert found["value_low"] <= found["auc"] <= found["value_high"]
        assert 0 <= found["f1"] <= 1

    def test_the_card_has_a_column_for_each(self, areas):
        results, *_ = areas
        card = (results / "mine" / "export" / "README.md").read_text()
        wanted = "| validation auc | test auc (95 % interval) | test accuracy (95 % interval) | test loss |"
        heading, rule, *rows = [line for line in card.splitlines() if line.startswith("|")]
        assert wanted in heading
        assert {line.count("|") for line in (heading, rule, *rows)} == {8}

    def test_amounts_are_told_in_their_unit(self, prices):
        results, _, export = prices
        found = chosen(results)
        (line,) = [line for line in export.out.splitlines() if line.startswith("  exported")]
        assert f"mae {found['mae']:,.6g} ({found['low']:,.6g} to {found['high']:,.6g}), validation was " in line
        assert found["mae"] > 1000
        assert found["value"] == found["mae"]
        assert "accuracy" not in export.out
        card = (results / "mine" / "export" / "README.md").read_text()
        assert "| validation mae | test mae (95 % interval) | test loss |" in card

    def test_a_second_call_says_the_same(self, areas, prices, cli):
        for results, _, export in (areas, prices):
            again = cli("export-best", "--no-finals", "--results", results)
            assert again.code == 0, again
            assert export.out.splitlines()[-1] == again.out.splitlines()[-1]
            lines = [[x for x in said.out.splitlines() if x.startswith("  ")] for said in (export, again)]
            assert lines[0] == lines[1]


class TestSeeds:
    def test_are_scored_by_the_metric_of_the_search(self, areas, cli, tmp_path):
        results = shutil.copytree(areas[0], tmp_path / "results")
        said = cli("export-best", "--no-finals", "--seeds", 2, "--reopen-test", "--results", results)
        assert said.code == 0, said
        metrics = json.loads((results / "mine" / "export" / "metrics.json").read_text())
        assert metrics["seeds"]["metric"] == "auc"
        assert metrics["seeds"]["scores"][0] == metrics["chosen"]["auc"]
        assert f"Test auc of each seed of {metrics['chosen']['name']}: {metrics['chosen']['auc']:.4f}, " in said.out
        card = (results / "mine" / "export" / "README.md").read_text()
        assert "Test auc of every seed:" in card
        if metrics["baseline"]:
            assert "Difference in mean auc to by_hand on the test part: " in said.out
        assert "takes columns of a table, as the data holds them" in card
        assert "`hpsearch predict FOLDER rows.csv`" in " ".join(card.split())
        assert "photo" not in card
        assert "images" not in card

    def test_differ_in_the_metric_and_not_in_accuracy(self):
        """One takes half of the second class for the first, the other takes all rows for the second."""
        labels = np.repeat([0, 1], [30, 70])
        careful = np.where((labels == 1) & (np.arange(100) % 2 == 0), 0.9, 0.1)
        careful[:28] = 0.9
        eager = np.full(100, 0.9)
        found = every_seed("val_precision", [1, 2], networks(careful, labels), networks(eager, labels), labels)
        plain = every_seed("val_accuracy", [1, 2], networks(careful, labels), networks(eager, labels), labels)
        assert found.metric == "precision"
        assert found.scores == [pytest.approx(35 / 63)] * 2
        assert found.difference == pytest.approx(35 / 63 - 0.7)
        assert found.difference_low < found.difference < found.difference_high
        assert found.verdict == "worse"
        assert plain.difference == pytest.approx(0.37 - 0.7)

    def test_of_a_mean_absolute_error_less_is_better(self):
        random = np.random.default_rng(0)
        labels = random.random(60) * 100
        near, far = (networks(labels + shift + random.random(60), labels) for shift in (1.0, 20.0))
        found = every_seed("val_loss", [1, 2], near, far, labels)
        assert (found.metric, found.verdict) == ("mae", "better")
        assert found.difference < 0
        assert found.low < found.mean < found.high

    def test_where_no_row_makes_a_difference_there_is_no_interval(self):
        labels = np.repeat([0, 1], [30, 70])
        found = every_seed("val_auc", [1, 2], networks(labels * 0.8, labels), None, labels)
        assert (found.mean, found.low, found.verdict) == (1.0, None, None)
        assert found.without_interval == "no row of the test part makes a difference to the auc"


def networks(answers, labels):
    """Two networks that answer the same: the share of the second class, or amounts (n,)."""
    from hpsearch.training.scoring import scores

    amounts = labels.dtype.kind == "f"
    given = answers[:, None] if amounts else np.stack([1 - answers, answers], axis=1)
    return Networks([scores(given, labels)] * 2, [given] * 2)


class TestScreens:
    @pytest.mark.parametrize(("study", "objective"), [("areas", "max val_auc"), ("prices", "min val_mae")])
    def test_all_name_the_metric_and_its_direction(self, study, objective, request, cli):
        results, run, _ = request.getfixturevalue(study)
        assert f"; {objective} " in run.out.splitlines()[-2]
        assert cli("leaderboard", "--results", results).out.startswith(f"mine: {objective}, ")
        assert f"Best so far ({objective}): trial " in cli("status", "--results", results).out
        shown = cli("show", "0", "--results", results).out
        assert f"# objective    {objective}" in shown
        assert f"# {objective.split()[1]} " in shown
        assert objective in cli("studies", "--results", results).out
        assert "%" not in run.out + shown

    def test_amounts_have_no_powers_of_ten(self, prices, cli):
        results, run, _ = prices
        score = json.loads(cli("leaderboard", "--results", results, "--json").out)[0]["validation"]
        assert score > 1000
        for said in (run, cli("leaderboard", "--results", results), cli("show", "0", "--results", results)):
            assert f"{score:,.0f}" in said.out
            assert "e+" not in said.out

    def test_the_end_by_patience_speaks_of_noise_only_where_it_is_known(self):
        from hpsearch.coordinator.agenda import Agenda

        said = {}
        for objective, classes in (("max val_auc", (30, 70)), ("min val_mae", ()), ("max val_f1", (30, 70))):
            trials = [Trial(n, "COMPLETE", score=0.5, finished=float(n)) for n in range(3)]
            ledger = Ledger(trials, Objective.parse(objective), classes)
            said[objective] = _why_it_ended(Agenda, ledger)
        assert said["max val_auc"].startswith("2 trials in a row were no improvement beyond noise; ")
        assert said["min val_mae"].startswith("2 trials in a row were no improvement; ")
        assert said["max val_f1"] == said["min val_mae"]


def _why_it_ended(agenda, ledger):
    """Why the search ended, of nothing but a ledger and a patience."""
    from hpsearch.limits import Limits

    bare = object.__new__(agenda)
    bare.ledger, bare.limits = ledger, Limits(patience=2)
    return bare._search_ended()


class TestNoise:
    def test_of_an_area_is_what_hanley_and_mcneil_found(self):
        """Their example: 51 abnormal and 58 normal images, an area of 0.893, a standard error of 0.032."""
        assert auc_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.001)

    def test_of_an_area_is_that_of_areas_drawn_anew(self):
        """Where scores are exponential, which the formula takes them to be."""
        from hpsearch.training.class_scores import class_scores

        random = np.random.default_rng(0)
        labels = np.repeat([0, 1], [60, 40])
        areas = []
        for _ in range(400):
            scores = random.exponential(np.where(labels == 1, 4.0, 1.0))
            shares = scores / (1 + scores)
            areas.append(class_scores(np.stack([1 - shares, shares], axis=1), labels)["auc"])
        assert auc_error(float(np.mean(areas)), 40, 60) == pytest.approx(float(np.std(areas)), rel=0.15)

    @pytest.mark.parametrize(
        ("metric", "classes", "known"),
        [
            ("val_accuracy", (3, 3, 4), True),
            ("val_auc", (40, 60), True),
            ("val_recall", (40, 60), True),
            ("val_auc", (3, 3, 4), False),
            ("val_recall", (3, 3, 4), False),
            ("val_f1", (40, 60), False),
            ("val_precision", (40, 60), False),
            ("val_loss", (40, 60), False),
            ("val_loss", (), False),
            ("val_mae", (), False),
            ("val_rmse", (), False),
            ("val_r2", (), False),
        ],
    )
    def test_is_known_of_few_metrics(self, metric, classes, known):
        found = standard_error(metric, 0.8, classes)
        assert (found is not None) == known
        if metric == "val_recall" and known:
            assert found == pytest.approx(math.sqrt(0.8 * 0.2 / 60))

    @pytest.mark.parametrize(
        ("objective", "scores", "in_a_row"),
        [
            ("max val_auc", [0.8, 0.82, 0.83], 2),  # the standard error of 0.8 is 0.044
            ("max val_auc", [0.8, 0.86, 0.8], 1),
            ("max val_recall", [0.8, 0.84], 1),  # of 0.8 it is 0.052, of 60 rows
            ("max val_f1", [0.8, 0.801], 0),
            ("min val_rmse", [100.0, 99.9], 0),
        ],
    )
    def test_patience_counts_what_is_larger_than_it(self, objective, scores, in_a_row):
        trials = [Trial(n, "COMPLETE", score=score, finished=float(n)) for n, score in enumerate(scores)]
        classes = () if "rmse" in objective else (40, 60)
        assert Ledger(trials, Objective.parse(objective), classes).without_improvement() == in_a_row


TWO = {"accuracy": 0.8, "correct": 80, "loss": 0.5, "loss_error": 0.1, "auc": 0.9, "f1": 0.75, "precision": 0.75}
TWO |= {"recall": 0.75, "told": 40, "answered": 40, "right": 30}
"""What a test part of a hundred rows of two classes may give."""


class TestIntervals:
    def test_are_known_of_two_classes(self):
        assert interval("accuracy", TWO, 100) == wilson(80, 100)
        assert interval("precision", TWO, 100) == interval("recall", TWO, 100) == wilson(30, 40)
        assert interval("loss", TWO, 100) == pytest.approx((0.5 - 0.196, 0.5 + 0.196))
        low, high = interval("auc", TWO, 100)
        assert high - low == pytest.approx(2 * 1.96 * auc_error(0.9, 40, 60))
        assert interval("f1", TWO, 100)[0] < 0.75 < interval("f1", TWO, 100)[1]

    def test_of_f1_hold_it_as_often_as_they_say(self):
        from hpsearch.training.class_scores import class_scores

        random = np.random.default_rng(1)
        truth = 2 * 0.3 * 0.8 / (0.3 + 0.3 * 0.8 + 0.7 * 0.1)  # recall 0.8, one false alarm in ten
        held = 0
        for _ in range(500):
            labels = (random.random(200) < 0.3).astype(int)
            answers = np.where(labels == 1, random.random(200) < 0.8, random.random(200) < 0.1).astype(float)
            found = class_scores(np.stack([1 - answers, answers], axis=1), labels)
            low, high = interval("f1", found, 200)
            held += low <= truth <= high
        assert 0.93 <= held / 500 <= 0.98

    @pytest.mark.parametrize("metric", ["auc", "f1", "precision", "recall"])
    def test_are_not_made_up_for_several_classes_or_where_nothing_varies(self, metric):
        several = {name: value for name, value in TWO.items() if name not in ("told", "answered", "right")}
        assert interval(metric, several, 100) is None
        assert interval("auc", {**TWO, "auc": 1.0}, 100) is None
        assert interval("precision", {**TWO, "answered": 0, "right": 0}, 100) is None

    @pytest.mark.parametrize(
        ("metric", "says"), [("rmse", "rmse 120,000"), ("r2", "r2 0.5000"), ("loss", "mae 90,000")]
    )
    def test_of_amounts_the_mean_absolute_error_has_one(self, metric, says):
        scores = {"mae": 90000.0, "mae_error": 1000.0, "rmse": 120000.0, "r2": 0.5, "loss": 1.44e10}
        found = told.tested(3, "3", 95000.0, 10, 5, scores, 100, f"val_{metric}")
        first, *others = found.told
        assert f"{first.metric} {first}".startswith(says)
        assert (first.bounds is None) == (metric != "loss")
        assert [str(each) for each in [first, *others] if each.metric == "mae"] == ["90,000 (88,040 to 91,960)"]

    def test_what_was_written_before_is_still_read(self):
        old = told.Tested(1, "1", 0.9, 10, 5, 0.8, 0.7, 0.9, 0.5)
        assert [f"{each.metric} {each}" for each in old.told] == ["accuracy 0.8000 (0.7000 to 0.9000)"]


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_on_the_test_part_mean_what_they_meant_in_training(classes):
    from hpsearch.training.class_scores import class_scores
    from hpsearch.training.metrics import class_metrics

    random = np.random.default_rng(0)
    labels = random.integers(0, classes, 300)
    shares = random.random((300, classes)) + np.eye(classes)[labels] * 0.3
    shares /= shares.sum(axis=1, keepdims=True)
    found = class_scores(shares, labels)
    for metric in class_metrics(("auc", "f1", "precision", "recall"), classes):
        metric.update_state(labels, shares[:, 1:] if classes == 2 else shares)
        assert found[metric.name] == pytest.approx(float(metric.result()), abs=2e-3 if metric.name == "auc" else 1e-6)


def test_ties_count_half_in_an_area():
    from hpsearch.training.class_scores import class_scores

    shares = np.array([0.2, 0.5, 0.5, 0.9])
    found = class_scores(np.stack([1 - shares, shares], axis=1), np.array([0, 0, 1, 1]))
    assert found["auc"] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
