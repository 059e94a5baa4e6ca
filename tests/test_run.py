"""A real search end to end: budgets, resuming, failures, signals; on tiny data with tiny networks."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import optuna
import pytest

optuna.logging.set_verbosity(optuna.logging.ERROR)


FILES = {"trial.json", "recipe.py", "history.csv", "log.txt", "checkpoint.npz"}
"""What lies in the folder of a trial that is among the best."""


def study_of(folder):
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")


@pytest.fixture(scope="module")
def runs(cli, tmp_path_factory, write_space, four_recipes, trials_of):
    """A study of four recipes in four runs: its folder, and what each run said with the records after it."""
    folder = tmp_path_factory.mktemp("four")
    space = write_space(folder / "four.py", four_recipes)
    options = ("--subset", 200, "--results", folder / "results")
    return folder / "results" / "four", [
        (cli("run", space, *options, *more), trials_of(folder / "results" / "four"))
        for more in (("--trials", 1), ("--trials", 1), ("--trials", 2), ())
    ]


class TestFourRecipes:
    """A space of four recipes, one of which is the baseline; run in parts until it is used up."""

    def test_the_baseline_comes_first_and_on_top_of_the_budget(self, runs):
        said, trials = runs[1][0]
        assert said.code == 0, said
        assert [trial["baseline"] for trial in trials] == ["by_hand", None]
        assert [trial["state"] for trial in trials] == ["COMPLETE", "COMPLETE"]

    def test_the_same_command_again_says_that_the_budget_is_used_up(self, runs):
        said, trials = runs[1][1]
        assert said.code == 0
        assert "the budget of 1 trials is used up; extend it with a higher --trials" in said.out
        assert trials == runs[1][0][1]

    def test_a_higher_budget_continues(self, runs):
        said, trials = runs[1][2]
        assert "Resuming study four: 2 trials so far." in said.out
        assert trials[:2] == runs[1][0][1]
        assert len(trials) == 3

    def test_a_finite_space_ends_by_itself_and_trains_nothing_twice(self, runs):
        said, trials = runs[1][3]
        assert "every recipe of the space was tried" in said.out
        assert len({trial["hash"] for trial in trials}) == len(trials) == 4
        assert {trial["state"] for trial in trials} == {"COMPLETE"}

    def test_the_record_is_complete(self, runs, history_of):
        folder, results = runs
        for trial in results[-1][1]:
            own = folder / "trials" / f"{trial['number']:05d}"
            assert {path.name for path in own.iterdir()} == FILES
            assert (own / "recipe.py").read_text().startswith("Recipe(")
            history = history_of(folder, trial["number"])
            assert [epoch["epoch"] for epoch in history] == [1, 2]
            assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} < set(history[0])
            assert trial["score"] == pytest.approx(max(epoch["val_accuracy"] for epoch in history), abs=1e-5)
            assert history[trial["best_epoch"] - 1]["val_accuracy"] == pytest.approx(trial["score"], abs=1e-5)
            assert 0 <= trial["train_score"] <= 1
            assert trial["parameters"] > 0
            assert trial["epochs"] == trial["epochs_budget"] == 2
        assert not list(folder.glob("**/.*.tmp"))

    def test_optuna_opens_the_study_and_knows_the_same(self, runs):
        folder, results = runs
        told = {trial.number: trial for trial in study_of(folder).trials}
        for trial in results[-1][1]:
            known = told.pop(trial["number"])
            assert known.state.name == trial["state"]
            assert known.value == trial["score"]
            assert len(known.intermediate_values) == trial["epochs"]
            assert len(known.params) == 2, "the choices of a baseline are told too"
        assert {trial.state.name for trial in told.values()} <= {"FAIL"}, "what is left over are doubles"

    def test_an_empty_folder_and_the_same_seed_give_the_same_study(
        self, runs, cli, tmp_path, write_space, four_recipes, trials_of, history_of
    ):
        space = write_space(tmp_path / "four.py", four_recipes)
        cli("run", space, "--subset", 200, "--trials", 1, "--results", tmp_path)
        again = trials_of(tmp_path / "four")
        first = runs[1][0][1]
        assert [trial["answers"] for trial in again] == [trial["answers"] for trial in first]
        assert [trial["score"] for trial in again] == [trial["score"] for trial in first]
        for trial in first:
            for left, right in zip(
                history_of(tmp_path / "four", trial["number"]), history_of(runs[0], trial["number"]), strict=True
            ):
                assert left["loss"] == pytest.approx(right["loss"], rel=1e-4)


PHOTOS = """
import dataclasses
import keras

@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    units: int

    def __call__(self, x):
        return keras.layers.Multiply()([keras.layers.Dense(self.units)(x), keras.layers.Dense(self.units)(x)])

space = Space(
    data=ImageFolder("photos", size=8),
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=2)]), dense=[Gate(units=3)], head="sigmoid"),
        training=Training(
            epochs=9, early_stopping=3, batch_size=8, optimizer=SGD(learning_rate=1e-12), schedule=Plateau(patience=1)
        ),
    ),
    objective="min val_loss",
)
"""


class TestPhotos:
    """Photos in two classes, one sigmoid unit, a block of the user's own, a rate so small that nothing is learnt."""

    @pytest.fixture
    def run(self, cli, photos, tmp_path, write_space, trials_of, history_of):
        photos(tmp_path / "photos" / "train", 20)
        for photo in photos(tmp_path / "photos" / "test", 3).rglob("*.png"):
            photo.write_bytes(b"never to be opened by a search")
        (tmp_path / "photos" / "train" / "dark" / "07.png").write_bytes(b"")
        space = write_space(tmp_path / "mine.py", PHOTOS)
        folders = ("--data-dir", tmp_path, "--results", tmp_path / "results")
        said = cli("run", space, "--skip-bad-images", *folders)
        assert said.code == 0, said
        study = tmp_path / "results" / "mine"
        return said, trials_of(study)[0], history_of(study, 0)

    def test_all_of_it(self, run, tmp_path):
        said, trial, history = run
        assert f"Left out, cannot be read: {tmp_path / 'photos' / 'train' / 'dark' / '07.png'}" in said.out
        assert "every recipe of the space was tried" in said.out
        assert trial["state"] == "COMPLETE"
        assert trial["score"] == pytest.approx(min(epoch["val_loss"] for epoch in history), abs=1e-4)
        assert trial["epochs"] == 4 < trial["epochs_budget"], "the validation loss stood still for three epochs"
        rates = [epoch["learning_rate"] for epoch in history]
        assert rates == pytest.approx([1e-12, 1e-12, 5e-13, 2.5e-13], rel=1e-4)


LIMITED = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=between(1, 40))]), pooling="average"),
        training=Training(epochs=1, batch_size=64),
    ),
    constraints=at_most(parameters=400),
)
"""


def test_what_is_too_large_is_turned_down_without_training_and_without_counting(cli, tmp_path, write_space, trials_of):
    space = write_space(tmp_path / "mine.py", LIMITED)
    assert cli("run", space, "--subset", 100, "--trials", 3, "--results", tmp_path).code == 0
    trials = trials_of(tmp_path / "mine")
    assert sum(trial["state"] == "COMPLETE" for trial in trials) == 3
    turned_down = [trial for trial in trials if trial["state"] != "COMPLETE"]
    assert turned_down
    for trial in turned_down:
        assert trial["failure"] == "invalid_model"
        assert trial["message"] == f"has {trial['parameters']} parameters; at most 400 are allowed"
        assert trial["epochs"] == 0
    assert all(trial["parameters"] <= 400 for trial in trials if trial["state"] == "COMPLETE")


def test_what_would_not_fit_into_memory_is_turned_down_before_anything_is_allocated(
    cli, tmp_path, write_space, trials_of
):
    search = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=2)]), dense=[Dense(units=one_of(4, 8, 10**9, 10**10, 10**11))]),
        training=Training(epochs=1),
    ),
    constraints=at_most(memory="1.5GB"),
)
"""
    space = write_space(tmp_path / "mine.py", search)
    said = cli("run", space, "--trials", 4, "--subset", 50, "--results", tmp_path)
    assert said.code == 0, said
    ended = {trial["answers"]["model.dense[0].units"]: trial for trial in trials_of(tmp_path / "mine")}
    assert {units for units, trial in ended.items() if trial["state"] == "COMPLETE"} == {4, 8}
    large = [trial for units, trial in ended.items() if units >= 10**9]
    assert large, "some were proposed"
    for trial in large:
        assert (trial["failure"], trial["epochs"]) == ("invalid_model", 0)
        assert trial["memory"] > 10**9
        assert "bytes of memory in training, by estimate; at most 1,500,000,000 are allowed" in trial["message"]


BUILD = """
import keras

def build(hp):
    kind = hp.Choice("kind", ["good", "raises", "diverges", "says_nothing"])
    if kind == "raises":
        raise ZeroDivisionError("nobody divides by this")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    rate = 1e38 if kind == "diverges" else hp.Float("rate", 0.01, 0.02)
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[] if kind == "says_nothing" else ["accuracy"],
    )
    return model

space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=2)))
"""


def test_a_build_that_fails_in_every_way_does_not_end_the_search(cli, tmp_path, write_space, trials_of):
    space = write_space(tmp_path / "mine.py", BUILD)
    said = cli("run", space, "--subset", 100, "--trials", 12, "--results", tmp_path)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "mine")
    by_kind = {trial["answers"]["model.kind"]: trial for trial in trials}
    assert set(by_kind) == {"good", "raises", "diverges", "says_nothing"}
    assert by_kind["good"]["state"] == "COMPLETE"
    assert by_kind["raises"]["failure"] == "user_code"
    assert "build(hp) raised ZeroDivisionError: nobody divides by this" in by_kind["raises"]["message"]
    log = (tmp_path / "mine" / "trials" / f"{by_kind['raises']['number']:05d}" / "log.txt").read_text()
    assert "Traceback" in log
    assert "in build" in log
    assert by_kind["diverges"]["failure"] == "not_finite"
    assert by_kind["says_nothing"]["failure"] == "user_code"
    assert "metrics=['accuracy']" in by_kind["says_nothing"]["message"]
    alone = [trial for trial in trials if trial["answers"]["model.kind"] in ("raises", "diverges")]
    assert len(alone) == 2, "choices that were tried in vain are not tried again"


def test_the_time_budget_ends_the_run_and_more_time_goes_on(cli, tmp_path, write_space, four_recipes, trials_of):
    space = write_space(tmp_path / "four.py", four_recipes.replace("epochs=2", "epochs=100_000"))
    options = ("--strategy", "random", "--subset", 100, "--results", tmp_path)  # which begins with the baseline
    said = cli("run", space, "--for", "1s", *options)
    assert said.code == 0, said
    assert "the time of 1 s is used up; extend it with a longer --for" in said.out
    trials = trials_of(tmp_path / "four")
    assert [(trial["state"], trial["failure"]) for trial in trials] == [("RUNNING", "interrupted")]
    assert trials[0]["score"] is not None
    again = cli("run", space, "--for", "1s", *options)
    assert again.code == 0
    assert "is used up" in again.out
    assert trials_of(tmp_path / "four") == trials
    longer = cli("run", space, "--for", "10m", "--until", "val_accuracy>=0", *options)
    assert f"goes on at epoch {trials[0]['epochs'] + 1} of 100,000" in longer.out
    trial = trials_of(tmp_path / "four")[0]
    assert trial["epochs"] == trials[0]["epochs"] + 1
    assert (trial["state"], trial["message"]) == ("COMPLETE", "reached val_accuracy>=0")


def test_a_trial_that_would_take_most_of_the_time_is_stopped_early(cli, tmp_path, write_space, four_recipes, trials_of):
    space = write_space(tmp_path / "four.py", four_recipes.replace("epochs=2", "epochs=1_000_000"))
    said = cli("run", space, "--for", "5m", "--trials", 2, "--no-baselines", "--subset", 100, "--results", tmp_path)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "four")
    assert [trial["state"] for trial in trials] == ["PRUNED", "PRUNED"]
    assert all(trial["message"].startswith("too slow: 1000000 epochs of") for trial in trials)
    assert all(trial["epochs"] <= 2 and trial["score"] is not None for trial in trials)


def test_workers_are_replaced_before_their_memory_has_grown(cli, tmp_path, write_space, four_recipes, monkeypatch):
    """The new ones read the copy in the record, whatever has become of the file."""
    from hpsearch.executors.local import LocalExecutor

    space = write_space(tmp_path / "four.py", four_recipes)
    start, loaded = LocalExecutor.start, []

    def spied(executor, slot):
        loaded.append(executor.setup.space_file)
        start(executor, slot)

    monkeypatch.setattr(LocalExecutor, "start", spied)
    monkeypatch.setattr("hpsearch.coordinator.crew.TRIALS_A_WORKER", 1)
    said = cli("run", space, "--no-baselines", "--subset", 60, "--epochs", 1, "--trials", 2, "--results", tmp_path)
    assert said.code == 0, said
    assert loaded == [space, tmp_path / "four" / "space.py"]


def test_a_search_in_which_nothing_can_be_trained(cli, tmp_path, write_space, trials_of):
    text = (
        "def build(hp):\n    raise OSError('no such thing')\n"
        "space = Space(data='digits', search=Recipe(model=HyperModel(build), training=Training(epochs=1)))\n"
    )
    space = write_space(tmp_path / "mine.py", text)
    said = cli("run", space, "--trials", 5, "--subset", 60, "--results", tmp_path)
    assert said.code == 1
    assert said.err == "Error: No trial could be trained; the last: build(hp) raised OSError: no such thing.\n"
    assert len(trials_of(tmp_path / "mine")) == 1, "it is not tried again and again"


def _states(trials):
    return [(trial["number"], trial["state"], trial["failure"]) for trial in trials]


def test_kills_and_signals(command, cli, tmp_path, write_space, gated_space, trials_of, history_of, wait_for):
    """A worker is killed, then the coordinator, then Ctrl-C is pressed; the same trial goes on each time."""
    space = write_space(tmp_path / "mine.py", gated_space)
    study, gate, reached = tmp_path / "results" / "mine", tmp_path / "gate", tmp_path / "reached"
    arguments = ("run", space, "--trials", 2, "--subset", 200, "--results", tmp_path / "results")

    def worker():
        """The process that trains, once it waits in the middle of the second epoch."""
        number = int(wait_for(lambda: reached.exists() and reached.read_text(), "training"))
        reached.unlink()
        return number

    gate.touch()
    first = command(*arguments)
    os.kill(worker(), 9)
    assert "trial 0 interrupted after 1/3 epochs: the worker process was ended by signal 9" in first.line_with(
        "signal 9"
    )
    assert "trial 0 goes on at epoch 2 of 3" in first.line_with("goes on at")
    second_worker = worker()

    second = cli(*arguments)
    assert f"Study mine is being written by process {first.process.pid} on " in second.sentence

    first.kill()
    wait_for(first.gone, f"the end of worker {second_worker}, left alone in the middle of an epoch")
    assert _states(trials_of(study)) == [(0, "RUNNING", None)]
    assert len(history_of(study, 0)) == 1

    third = command(*arguments)
    third.line_with("1 trials so far; 1 interrupted, to be taken up again")
    worker()
    third.interrupt()
    third.line_with("Stopping by SIGINT; trials write their checkpoints.")
    gate.unlink()
    said = third.end()
    assert said.code == 0, said
    assert "Stopped by SIGINT; the same command goes on from here." in said.out
    assert said.err == ""
    assert _states(trials_of(study)) == [(0, "RUNNING", "interrupted")]
    assert len(history_of(study, 0)) in (1, 2), "a fit of the user's own stops at the end of an epoch"
    wait_for(third.gone, "the end of all processes")

    assert cli(*arguments).code == 0
    trials = trials_of(study)
    assert _states(trials) == [(0, "COMPLETE", None), (1, "COMPLETE", None)]
    assert trials[0]["attempts"] == 4
    assert [epoch["epoch"] for epoch in history_of(study, 0)] == [1, 2, 3]
    assert [trial.state.name for trial in study_of(study).trials] == ["COMPLETE", "COMPLETE"]


def test_a_run_whose_first_trials_all_fail_alike_is_stopped(cli, tmp_path, write_space, trials_of):
    text = (
        "def build(hp):\n    raise OSError(f'no {hp.Int(chr(97), 0, 10_000)}')\n"
        "space = Space(data='digits', search=Recipe(model=HyperModel(build), training=Training(epochs=1)))\n"
    )
    space = write_space(tmp_path / "mine.py", text)
    said = cli("run", space, "--trials", 50, "--subset", 60, "--results", tmp_path)
    assert said.code == 1
    assert said.err.startswith("Error: The first 5 trials all failed alike (user_code): build(hp) raised OSError: no ")
    assert len(trials_of(tmp_path / "mine")) == 5


def test_patience_ends_a_search_that_gets_no_better(cli, tmp_path, write_space, four_recipes):
    space = write_space(tmp_path / "four.py", four_recipes.replace("one_of(2, 4)", "one_of(2, 3, 4, 5, 6, 7, 8, 9)"))
    options = ("--epochs", 1, "--subset", 60, "--no-baselines", "--results", tmp_path)
    said = cli("run", space, "--patience", 3, *options)
    assert said.code == 0, said
    assert "3 trials in a row were no improvement beyond noise; go on with a higher --patience" in said.out


def test_one_trial_is_bounded(cli, tmp_path, write_space, four_recipes, trials_of):
    space = write_space(tmp_path / "four.py", four_recipes.replace("epochs=2", "epochs=100_000"))
    options = ("--subset", 100, "--no-baselines", "--trials", 1, "--results", tmp_path)
    assert cli("run", space, "--per-trial", "6s", *options).code == 0
    (trial,) = trials_of(tmp_path / "four")
    assert trial["state"] == "PRUNED"
    assert trial["message"].endswith("--per-trial allows 6 s")
    assert trial["score"] is not None


def test_with_a_time_budget_one_cheap_proposal_comes_before_the_baselines(
    cli, tmp_path, write_space, four_recipes, trials_of
):
    space = write_space(tmp_path / "four.py", four_recipes)
    options = ("--subset", 100, "--trials", 2, "--results", tmp_path)
    orders = {}
    for study, more in (
        ("timed", ["--for", "10m"]),
        ("counted", []),
        ("random", ["--for", "10m", "--strategy", "random"]),
    ):
        assert cli("run", space, "--study", study, *more, *options).code == 0
        orders[study] = [trial["baseline"] for trial in trials_of(tmp_path / study)]
    assert orders == {
        "timed": [None, "by_hand", None],
        "counted": ["by_hand", None, None],
        "random": ["by_hand", None, None],
    }


def test_two_workers_share_the_cpu(cli, tmp_path, write_space, four_recipes, trials_of):
    space = write_space(tmp_path / "four.py", four_recipes)
    options = ("--subset", 100, "--per-device", 2, "--results", tmp_path)
    assert cli("run", space, *options).code == 0
    trials = trials_of(tmp_path / "four")
    assert len({trial["hash"] for trial in trials}) == 4
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    times = sorted((trial["started"], trial["finished"]) for trial in trials)
    assert any(later[0] < earlier[1] for earlier, later in pairwise(times)), "two at a time"


def test_the_hand_made_networks_alone_can_be_trained(cli, tmp_path, write_space, four_recipes, trials_of):
    space = write_space(tmp_path / "four.py", four_recipes)
    said = cli("run", space, "--trials", 0, "--subset", 100, "--results", tmp_path)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "four")
    assert trials
    assert all(trial["baseline"] for trial in trials)
    assert "search with a higher --trials" in said.out


@pytest.mark.parametrize("strategy", ["random", "kt-bayesian"])
def test_files_called_like_modules_are_not_taken_for_them(strategy, tmp_path, write_space, four_recipes):
    """What a student keeps beside a space file, and calls ``random.py``, is none of ours."""
    mine, installed = tmp_path / "mine", tmp_path / "bin"
    mine.mkdir()
    installed.mkdir()
    for name in ("random", "string", "keras", "tensorflow", "optuna", "numpy", "queue"):
        (mine / f"{name}.py").write_text("raise RuntimeError('this is the file of the user')\n")
    write_space(mine / "keras_tuner.py", four_recipes)
    # As pip installs a command: Python looks for modules beside it, and in the working folder only where it is told to.
    (installed / "hpsearch").write_text("from hpsearch.cli.main import main\nif __name__ == '__main__':\n    main()\n")
    command = ("run", "keras_tuner.py", "--subset", "200", "--trials", "1", "--strategy", strategy)
    done = subprocess.run(
        [sys.executable, installed / "hpsearch", *command],
        cwd=mine,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "search")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert "2 complete" in done.stdout
