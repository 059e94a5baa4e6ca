"""Searches on recorded learning curves: what is counted, and that who knows more wins."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"

SPACE = """
from hpsearch import Adam, ConvNet, Model, Recipe, Space, Stage, Training, between, one_of

space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=between(1, 64))]), pooling=one_of("flatten", "average")),
        training=Training(epochs=9, optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True))),
    ),
    objective="max val_accuracy",
)
"""


@pytest.fixture(scope="module")
def loaded():
    """The modules of the benchmark, which are no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        names = ("_curves", "_replay", "_contestants")
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, loaded):
    """Sixty recipes: the more filters the better, at a second an epoch and one beside them."""
    trials = []
    for at in range(60):
        answers = {
            "model.body.stages[0].filters": at + 1,
            "model.pooling": "flatten" if at % 2 else "average",
            "training.optimizer.learning_rate": 0.001,
        }
        scores = [round((at + 1) / 100 * epoch / 9, 5) for epoch in range(1, 10)]
        trials.append({"answers": answers, "scores": scores, "seconds": [1.0] * 9, "overhead": 1.0})
    path = tmp_path_factory.mktemp("curves") / "made_up.json.gz"
    said = {"name": "made_up", "space": SPACE, "maximize": True, "epochs": 9, "trials": trials}
    loaded["_curves"].write_curves(path, said)
    return path


@pytest.fixture
def replayed(loaded, recorded):
    curves = loaded["_curves"].read_curves(recorded)

    def run(name, budget, workers=1, seed=0, share=1.0):
        strategy = loaded["_contestants"].opened(name, True, seed, curves.epochs)
        replay = loaded["_replay"].Replay(curves, loaded["_curves"].Nearest(curves), strategy, budget, workers, share)
        replay.run()
        return replay

    return run


def test_what_was_recorded_is_read_as_it_was(loaded, recorded):
    curves = loaded["_curves"].read_curves(recorded)
    assert (len(curves.curves), curves.epochs, curves.best) == (60, 9, 0.6)
    assert {parameter.name: value for parameter, value in curves.curves[5].choices} == {
        "model.body.stages[0].filters": 6,
        "model.pooling": "flatten",
        "training.optimizer.learning_rate": 0.001,
    }
    assert curves.curves[5].total == 10


def test_time_is_counted_and_nothing_is_trained_twice(replayed):
    replay = replayed("random", 100)
    assert (replay.recipes, replay.epochs) == (10 + 1, 90)  # the eleventh had no time for an epoch
    assert replay.best[0][0] == 2
    assert replayed("random", 10_000).recipes == 60
    four = replayed("random", 25, workers=4)
    assert four.recipes == 12
    assert four.epochs == 4 * 9 * 2 + 4 * 4


def test_a_trial_that_would_take_too_much_of_the_budget_is_stopped(replayed):
    assert replayed("random", 80, share=0.1).epochs == 2 * 26 + 1
    assert replayed("random", 95, share=0.1).epochs == 9 * 9 + 4


def test_the_strategy_is_told_the_recipe_that_was_trained(replayed):
    replay = replayed("tpe", 200)
    trials = replay.strategy.record.trials()
    assert {trial.params["training.optimizer.learning_rate"] for trial in trials} == {0.001}
    filters = [trial.params["model.body.stages[0].filters"] for trial in trials]
    assert len(set(filters)) == len(filters)
    assert all(trial.value == trial.params["model.body.stages[0].filters"] / 100 for trial in trials if trial.value)


def test_who_goes_on_pays_only_for_what_is_left(replayed):
    replay = replayed("rungs 0.34 x3 keep 0.33", 150, seed=3)
    trials = replay.strategy.record.trials()
    resumed = [trial for trial in trials if "parent" in trial.user_attrs]
    assert resumed
    for trial in resumed:
        parent = trials[trial.user_attrs["parent"]]
        assert trial.params == parent.params
        assert {**trial.intermediate_values, **parent.intermediate_values} == trial.intermediate_values
    assert replay.recipes == len(trials) - len(resumed)
    told = sum(len(trial.intermediate_values) for trial in trials)
    assert replay.epochs == told - sum(len(trials[each.user_attrs["parent"]].intermediate_values) for each in resumed)


def test_stopping_early_finds_the_best_sooner_where_curves_do_not_cross(replayed):
    scores = {
        name: sum(replayed(name, 60, seed=seed).at(60) for seed in range(10))
        for name in ("random", "rungs 0.2 x3 keep 0.33")
    }
    assert scores["rungs 0.2 x3 keep 0.33"] > scores["random"]


def test_the_command_prints_its_tables(recorded, tmp_path):
    command = [sys.executable, BENCHMARKS / "simulate.py", recorded, "--contestants", "random", "adaptive"]
    command += ["--repeats", "3", "--budget", "4", "--output", tmp_path / "out.json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "made_up: 60 recipes of at most 9 epochs, best 0.6000; budget 40 s" in said
    assert "| random | 1.00 | 1.00 |" in said
    regrets = json.loads((tmp_path / "out.json").read_text())["regrets"]["made_up"]
    assert {name: len(each) for name, each in regrets.items()} == {"oracle": 1, "random": 3, "adaptive": 3}
    assert all(each[at] >= each[at + 1] >= 0 for runs in regrets.values() for each in runs for at in range(4))


@pytest.mark.slow
def test_curves_are_recorded_by_real_training_and_a_second_call_goes_on(loaded, tmp_path):
    path = tmp_path / "digits.json.gz"
    command = [sys.executable, BENCHMARKS / "record.py", ROOT / "spaces" / "digits.py", "--epochs", "2"]
    command += ["--subset", "200", "--studies", tmp_path / "studies", "--output", path]
    counts = []
    for wanted in (["--trials", "8"], ["--trials", "8", "--near", "3"]):
        subprocess.run([*command, *wanted], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        counts.append(len(loaded["_curves"].read_curves(path).curves))
    curves = loaded["_curves"].read_curves(path)
    assert counts[1] == counts[0] + 3
    assert {"", "start", "near"} <= {curve.name for curve in curves.curves}
    assert all(len(curve.scores) == len(curve.seconds) == 2 for curve in curves.curves)
    said = subprocess.run(
        [sys.executable, BENCHMARKS / "simulate.py", path, "--contestants", "random", "--repeats", "2"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert f"digits: {counts[1]} recipes of at most 2 epochs" in said


@pytest.mark.slow
def test_a_race_is_run_and_told(tmp_path):
    command = [sys.executable, BENCHMARKS / "race.py", "--data", "digits", "--train", "200", "--validation", "100"]
    command += ["--seconds", "25", "--seeds", "1", "--again", "1", "--keep", tmp_path / "race"]
    command += ["--contestants", "hpsearch", "optuna-median", "--output", tmp_path / "found"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((tmp_path / "found.json").read_text())["contestants"]
    assert list(found) == ["hpsearch", "optuna-median"]
    for (run,) in found.values():
        assert run["epochs"] >= run["trials"] >= 1
        assert [score for _, score in run["curve"]] == sorted(score for _, score in run["curve"])
        assert run["best"] == run["curve"][-1][1]
        assert len(run["unseen"]) == 1
    assert "The best peer at the end is optuna-median" in (tmp_path / "found.md").read_text()


@pytest.mark.slow
def test_a_space_file_is_raced_on_as_it_stands(tmp_path):
    space = tmp_path / "mine.py"
    text = (ROOT / "spaces" / "digits.py").read_text()
    assert "epochs=20" in text
    space.write_text(text.replace("epochs=20", "epochs=3"))
    command = [sys.executable, BENCHMARKS / "race.py", "--space", space, "--subset", "200", "--keep", tmp_path / "race"]
    command += ["--seconds", "30", "--seeds", "1", "--again", "1", "--output", tmp_path / "found"]
    command += ["--contestants", "kt-hyperband", "optuna-asha", "hpsearch-baseline"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["data"], found["train"], found["validation"]) == ("mine", 200, 100)
    for who, (run,) in found["contestants"].items():
        assert run["epochs"] > run["trials"] > 1
        assert len(run["unseen"]) == 1
        name = "learning_rate=" if who == "hpsearch-baseline" else "training.optimizer.learning_rate"
        assert name in run["winner"]
    (ours,) = found["contestants"]["hpsearch-baseline"]
    assert ours["best"] > 0.5
    assert ours["unseen"][0] > 0.5


@pytest.mark.slow
def test_photos_of_a_space_file_are_found_where_the_data_folder_is(tmp_path, photos):
    photos(tmp_path / "data" / "tones", 30)
    space = tmp_path / "mine.py"
    declared = 'ImageFolder("tones", size=12)'
    text = SPACE.replace("import Adam", "import ImageFolder, Adam").replace('"digits"', declared)
    space.write_text(text)
    command = [sys.executable, BENCHMARKS / "race.py", "--space", space, "--data-dir", tmp_path / "data"]
    command += ["--seconds", "25", "--seeds", "1", "--again", "1", "--output", tmp_path / "found"]
    command += ["--contestants", "optuna-asha", "hpsearch"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["train"] + found["validation"] == 48
    for (run,) in found["contestants"].values():
        assert run["best"] > 0.5
        assert len(run["unseen"]) == 1
