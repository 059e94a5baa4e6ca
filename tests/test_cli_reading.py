"""The reading commands on real study folders."""

import csv
import io
import json
import math
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import studies as shared
from hpsearch.cli import output
from hpsearch.cli.leaderboard import leaderboard
from hpsearch.cli.reading import show, studies
from hpsearch.errors import HpsearchError, InputError, StudyError
from hpsearch.study import Epoch, StudyFolder, Trial
from hpsearch.study.asked import lanes_until, read_asked, write_asked
from hpsearch.study.live import Live, LiveSlot, write_live

RECIPE = """Recipe(
    model=Model(body=ConvNet(stages=(Stage(filters=(32, 32)), Stage(filters=64))), dense=(Dense(units=128),)),
    training=Training(epochs=4, optimizer=Adam(learning_rate=0.0034213)),
)"""
SEARCH = Path(output.__file__).parents[2]


begin = partial(shared.begin, train_images=10, validation_images=10)


def add(folder: StudyFolder, number: int, score: float | None = None, **more: Any) -> Trial:
    """A trial that ended."""
    said: dict[str, Any] = {"state": "COMPLETE", "recipe": RECIPE, "parameters": 3_253_068, "epochs": 4, **more}
    trial = Trial(number=number, score=score, epochs_budget=4, seconds=61.0, **said)
    folder.trial(number).write(trial)
    return trial


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Two trials with a score, a baseline, one that failed and one that repeats."""
    folder = begin(tmp_path)
    add(folder, 0, 0.91, baseline="by_hand", train_score=0.95, best_epoch=3)
    add(folder, 1, 0.95, train_score=0.99, best_epoch=4)
    add(folder, 2, 0.7, state="PRUNED", epochs=2)
    add(folder, 3, None, state="FAIL", failure="out_of_memory", message="[red]no[/red] memory\nleft", epochs=0)
    add(folder, 4, None, state="PRUNED", failure="duplicate")
    for number in range(1, 5):
        metrics = {"loss": 1 / number, "accuracy": 0.2 * number, "val_loss": 2 / number, "val_accuracy": 0.19 * number}
        folder.trial(1).append(Epoch(number, 1.5, metrics))
    return folder


def call(command: click.Command, study: StudyFolder | Path, *args: str) -> Result:
    """Run a command in this process, as a pipe sees it."""
    results = study if isinstance(study, Path) else study.path.parent
    return CliRunner().invoke(command, ["--results", str(results), *args], catch_exceptions=False)


# ---- leaderboard


def test_leaderboard_shows_rank_scores_gap_and_failures(study: StudyFolder) -> None:
    lines = call(leaderboard, study).stdout.splitlines()
    assert lines[0] == "digits: max val_accuracy, 4 trials (2 complete)"
    head = "rank trial val interval train gap parameters FLOPs epochs time state"
    assert lines[2].split() == head.split()
    best = "1 1 0.9500 0.722-1.000 0.9900 +0.0400 3,253,068 - 4/4 1m 01s COMPLETE"
    assert lines[3].split() == best.split()
    assert lines[4].split()[:6] == ["2", "by_hand", "*", "0.9100", "0.596-0.982", "0.9500"]
    assert lines[6].endswith("FAIL: out_of_memory")
    assert "* baseline" in lines
    assert "1 failed: 1 out_of_memory; 1 pruned" in lines
    assert "left out: 1 proposal that repeated a trial" in lines


def test_failures_are_counted_by_kind_below_the_table(study: StudyFolder) -> None:
    for number, kind in enumerate(("not_finite", "out_of_memory", "crashed", "out_of_memory"), start=10):
        add(study, number, state="FAIL", failure=kind)
    add(study, 20, 0.5, state="RUNNING")
    lines = call(leaderboard, study).stdout.splitlines()
    assert "5 failed: 3 out_of_memory, 1 crashed, 1 not_finite; 1 pruned; 1 interrupted" in lines


def test_a_trial_that_nobody_trains_is_interrupted_and_ranked_with_its_score_so_far(study: StudyFolder) -> None:
    add(study, 5, 0.93, state="RUNNING", epochs=2)
    lines = call(leaderboard, study).stdout.splitlines()
    assert lines[4].split()[:3] == ["2", "5", "0.9300"]
    assert lines[4].endswith("interrupted")
    assert any(line.startswith("interrupted: goes on from its checkpoint") for line in lines)
    (entry,) = [row for row in json.loads(call(leaderboard, study, "--json").stdout) if row["number"] == 5]
    assert (entry["state"], entry["interrupted"]) == ("RUNNING", True)
    cells = {row["number"]: row for row in csv.DictReader(io.StringIO(call(leaderboard, study, "--csv").stdout))}
    assert [cells[number]["interrupted"] for number in ("5", "1")] == ["true", "false"]


def test_a_trial_in_a_slot_of_the_run_that_holds_the_study_is_running(study: StudyFolder) -> None:
    add(study, 5, 0.93, state="RUNNING", epochs=2)
    add(study, 6, None, state="RUNNING", epochs=0)

    def states() -> list[str]:
        lines = call(leaderboard, study).stdout.splitlines()
        return [line.split()[-1] for line in lines if line.split()[:2] in (["2", "5"], ["-", "6"])]

    with study.writing():
        assert states() == ["interrupted", "interrupted"], "a run that has said nothing trains nothing yet"
        said = Live(os.getpid(), "", "", 0.0, 0.0, 0.0, "running", slots=[LiveSlot("cpu", trial=5), LiveSlot("cpu")])
        write_live(study, said)
        assert states() == ["RUNNING", "interrupted"]
        assert "goes on      at epoch 1, when its turn comes" in call(show, study, "6").stdout
        said.pid += 1
        write_live(study, said)
        assert states() == ["interrupted", "interrupted"], "an earlier run said it"
    assert states() == ["interrupted", "interrupted"]


def test_top_cuts_every_form_and_says_so(study: StudyFolder) -> None:
    assert "2 of 4 trials; all of them: --top 4" in call(leaderboard, study, "--top", "2").stdout
    assert [row["number"] for row in json.loads(call(leaderboard, study, "--top", "2", "--json").stdout)] == [1, 0]
    assert len(call(leaderboard, study, "--top", "2", "--csv").stdout.splitlines()) == 3
    assert len(json.loads(call(leaderboard, study, "--json").stdout)) == 4


@pytest.mark.parametrize("top", ["0", "-3", "many", "1.5"])
def test_nonsense_in_top_is_one_sentence(study: StudyFolder, top: str) -> None:
    with pytest.raises(InputError, match=r"^--top got '.*'; allowed: a whole number, 1 or more\.$"):
        call(leaderboard, study, f"--top={top}")


def test_csv_holds_the_fields_of_json(study: StudyFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(call(leaderboard, study, "--csv").stdout)))
    objects = json.loads(call(leaderboard, study, "--json").stdout)
    assert [list(row) for row in rows] == [list(entry) for entry in objects]
    assert rows[1]["baseline"] == "by_hand"
    assert rows[3]["failure"] == "out_of_memory"


def test_an_empty_study_is_no_error(tmp_path: Path) -> None:
    begin(tmp_path)
    assert call(leaderboard, tmp_path).stdout == "digits: max val_accuracy, no trials yet\n"
    assert json.loads(call(leaderboard, tmp_path, "--json").stdout) == []
    assert json.loads(call(studies, tmp_path, "--json").stdout)[0]["best"] is None
    with pytest.raises(StudyError, match="no trials yet"):
        call(show, tmp_path, "0")


def test_an_unknown_study_names_the_nearest(study: StudyFolder) -> None:
    for command, args in ((leaderboard, ()), (show, ("1",))):
        with pytest.raises(StudyError, match=r"Did you mean digits\?"):
            call(command, study, "--study", "digit", *args)


def test_a_loss_is_ranked_from_the_smallest(tmp_path: Path) -> None:
    folder = begin(tmp_path, objective="min val_loss")
    add(folder, 0, 0.5, train_score=0.4)
    add(folder, 1, 0.3, train_score=0.1)
    rows = json.loads(call(leaderboard, tmp_path, "--json").stdout)
    assert [row["number"] for row in rows] == [1, 0]
    assert math.isclose(rows[0]["gap"], 0.2)


def test_a_damaged_trial_is_passed_over(study: StudyFolder) -> None:
    (study.trial(1).path / "trial.json").write_text('{"number": 1,')
    assert [row["number"] for row in json.loads(call(leaderboard, study, "--json").stdout)] == [0, 2, 3]


def test_the_results_folder_comes_from_the_environment(study: StudyFolder) -> None:
    result = CliRunner().invoke(leaderboard, ["--json"], env={"HPSEARCH_RESULTS": str(study.path.parent)})
    assert len(json.loads(result.stdout)) == 4


# ---- show


def test_show_prints_python_that_gives_the_recipe_again(study: StudyFolder) -> None:
    text = call(show, study, "1").stdout
    assert "from hpsearch import Adam, ConvNet, Dense, Model, Recipe, Stage, Training\n" in text
    names: dict[str, Any] = {}
    exec(text, names)
    assert repr(names["recipe"]) == repr(eval(RECIPE, names))


def test_show_draws_the_curves_and_marks_the_best_epoch(study: StudyFolder) -> None:
    lines = call(show, study, "1").stdout.splitlines()
    curves = [line.split()[1:] for line in lines if " to " in line]
    assert [curve[0] for curve in curves] == ["val_accuracy", "accuracy", "val_loss", "loss"]
    mark = next(line for line in lines if "^ best epoch 4" in line)
    validation = next(line for line in lines if line.startswith("# val_accuracy  "))
    assert mark.index("^") == validation.index(curves[0][1]) + 3


def test_show_finds_a_baseline_by_name_and_a_trial_by_its_folder(study: StudyFolder) -> None:
    assert "Baseline by_hand, trial 0 of study digits: COMPLETE, rank 2" in call(show, study, "by_hand").stdout
    assert "Trial 1 of study digits: COMPLETE, rank 1" in call(show, study, "00001").stdout


def test_show_names_what_the_space_file_must_bring(study: StudyFolder) -> None:
    add(study, 5, 0.5, recipe="Recipe(model=HyperModel(build, values={'a': 1}), training=Training(epochs=2))")
    text = call(show, study, "5").stdout
    assert "from hpsearch import HyperModel, Recipe, Training\n" in text
    assert f"# From your space file ({study.space_file}): build" in text


def test_show_tells_why_a_trial_failed_and_where_its_log_is(study: StudyFolder) -> None:
    study.trial(3).log.write_text("Traceback")
    text = call(show, study, "3").stdout
    assert "FAIL: out_of_memory" in text
    assert "[red]no[/red] memory left" in text
    assert str(study.trial(3).log) in text


def test_show_tells_what_a_trial_costs_and_where_it_comes_from(study: StudyFolder) -> None:
    more = {"flops": 12_345_678, "memory": 1_240_000_000, "device": "gpu 0", "parent": 1, "enqueued": True}
    add(study, 7, 0.9, attempts=3, **more)
    lines = call(show, study, "7").stdout.splitlines()
    for line in (
        "# FLOPs        12.3 million, one image forward",
        "# memory       about 1.24 GB to train",
        "# device       gpu 0",
        "# continues    trial 1",
        "# enqueued     with hpsearch enqueue",
        "# attempts     3: training was taken up again",
    ):
        assert line in lines
    shown = json.loads(call(show, study, "7", "--json").stdout)
    assert {name: shown[name] for name in more} == more
    assert (shown["attempts"], shown["interrupted"]) == (3, False)
    (row,) = [row for row in json.loads(call(leaderboard, study, "--json").stdout) if row["number"] == 7]
    assert all(row[name] == more[name] for name in ("flops", "memory", "device", "parent"))


def test_show_says_nothing_of_what_is_not_known(study: StudyFolder) -> None:
    add(study, 7, 0.9, attempts=1)
    facts = [line.split()[1] for line in call(show, study, "7").stdout.splitlines() if line.startswith("# ")]
    assert not {"FLOPs", "memory", "device", "continues", "enqueued", "attempts", "goes"} & set(facts)


def test_show_tells_how_an_interrupted_trial_goes_on(study: StudyFolder) -> None:
    add(study, 7, 0.9, state="RUNNING", epochs=2)
    lines = call(show, study, "7").stdout.splitlines()
    assert lines[0] == "# Trial 7 of study digits: interrupted, rank 3"
    assert any(line.startswith("# goes on      at epoch 3, with: hpsearch run spaces/digits.py") for line in lines)


def test_show_without_a_recipe_or_history(study: StudyFolder) -> None:
    add(study, 6, None, state="FAIL", failure="invalid_model", recipe="", parameters=None, epochs=0)
    assert "The trial ended before its recipe was known." in call(show, study, "6").stdout


def test_show_reads_on_to_a_torn_line_of_the_history(study: StudyFolder) -> None:
    with open(study.trial(1).path / "history.csv", "a", encoding="utf-8") as file:
        file.write("5,1.5,0.2")
    history = json.loads(call(show, study, "1", "--json").stdout)["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    assert history[3]["val_accuracy"] == 0.76


def test_show_json_says_null_where_training_diverged(study: StudyFolder) -> None:
    study.trial(2).append(Epoch(1, 1.0, {"loss": math.nan, "val_loss": math.inf}))
    shown = json.loads(call(show, study, "2", "--json").stdout)
    assert shown["history"] == [{"epoch": 1, "seconds": 1.0, "loss": None, "val_loss": None}]
    assert shown["recipe"] == RECIPE
    assert shown["imports"].startswith("from hpsearch import Adam,")
    assert call(show, study, "2").exit_code == 0


def test_an_unknown_trial_names_what_there_is(study: StudyFolder) -> None:
    with pytest.raises(StudyError, match=r"no trial 'by_hend'.*Did you mean by_hand\?"):
        call(show, study, "by_hend")


# ---- studies


def test_studies_lists_the_latest_first(study: StudyFolder) -> None:
    other = begin(study.path.parent, "cifar")
    os.utime(study.path / "study.json", (1, 1))
    found = json.loads(call(studies, study, "--json").stdout)
    assert [entry["study"] for entry in found] == ["cifar", "digits"]
    assert (found[1]["trials"], found[1]["best"], found[1]["best_trial"]) == (4, 0.95, "1")
    lines = call(studies, study).stdout.splitlines()
    assert lines[1].split()[0] == other.name
    assert "0.9500" in lines[2]


def test_studies_goes_on_past_a_damaged_one(study: StudyFolder) -> None:
    broken = begin(study.path.parent, "broken")
    (broken.path / "study.json").write_text("{}")
    result = call(studies, study, "--json")
    assert [entry["study"] for entry in json.loads(result.stdout)] == ["digits"]
    assert "is not the record of a study" in result.stderr


def test_no_study_yet(tmp_path: Path) -> None:
    assert "There is no study" in call(studies, tmp_path).stdout
    assert json.loads(call(studies, tmp_path, "--json").stdout) == []
    with pytest.raises(HpsearchError, match="There is no study"):
        call(leaderboard, tmp_path)


@pytest.mark.parametrize("command", [leaderboard, show, studies])
def test_every_command_has_an_example_and_every_option_a_help(command: click.Command) -> None:
    assert "  Example:\n    hpsearch " in CliRunner().invoke(command, ["--help"]).stdout
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("args", [("leaderboard",), ("show", "1"), ("studies",), ("compare", "0", "1")])
def test_reading_needs_no_keras(study: StudyFolder, args: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom hpsearch.cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'optuna', 'numpy', 'pandas', 'sklearn', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SEARCH), "HPSEARCH_RESULTS": str(study.path.parent)}
    done = subprocess.run([sys.executable, "-c", code, *args], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


# ---- on a terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the commands believe that they write to a terminal of 60 columns."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("hpsearch.cli.output.on_terminal", lambda: True)
    monkeypatch.setattr("hpsearch.cli.reading.on_terminal", lambda: True)
    monkeypatch.setattr("hpsearch.cli.board.on_terminal", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_markup_in_names_is_shown_as_it_is(study: StudyFolder) -> None:
    add(study, 7, 0.99, baseline="[bold]x[/] :smile:", message="[/nonsense]", state="FAIL", failure="crashed")
    text = call(leaderboard, study).stdout
    assert "[bold]x[/]" in text
    assert ":smile:" in text
    shown = call(show, study, "7").stdout
    assert "[/nonsense]" in shown
    assert "recipe = Recipe(" in shown
    assert "[bold]x[/]" in call(studies, study).stdout


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_the_best_only_unless_told(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    for number in range(25):
        add(folder, number, 0.5 + number / 100)
    assert "20 of 25 trials" in call(leaderboard, folder).stdout
    assert "of 25 trials" not in call(leaderboard, folder, "--top", "25").stdout


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_keeps_the_columns_that_matter(
    study: StudyFolder, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = call(leaderboard, study).stdout
    assert max(map(len, text.splitlines())) <= width
    header = next(line for line in text.splitlines() if line.startswith("rank")).split()
    assert [name for name in header if name in ("rank", "trial", "val", "train", "gap", "state")] == [
        "rank",
        "trial",
        "val",
        "train",
        "gap",
        "state",
    ]
    assert "out_of_memory" in text
    assert ("epochs" in header) == (width >= 80)
    assert "…" not in text


# ---- trials that an earlier version may have trained with --lanes


class TestLanes:
    """What ``asked.json`` of an earlier version says of lanes marks trials of the device engine."""

    @pytest.fixture
    def study(self, tmp_path: Path) -> StudyFolder:
        """A trial of each engine."""
        folder = begin(tmp_path)
        add(folder, 0, 0.9, engine="device", started=1000.0)
        add(folder, 1, 0.8, engine="fit", started=1000.0)
        return folder

    def doubt(self, folder: StudyFolder, trial: int, results: Path) -> str | None:
        """What show says, as text and as JSON."""
        call_ = partial(call, show, results, str(trial), "--study", folder.name)
        found: str | None = json.loads(call_("--json").stdout)["doubt"]
        lines = [line for line in call_().stdout.splitlines() if line.startswith("# doubtful ")]
        assert len(lines) == (0 if found is None else 1)
        return found

    def test_those_of_the_device_engine_are_doubtful(self, study: StudyFolder, tmp_path: Path) -> None:
        (study.path / "asked.json").write_text('{"lanes": 4}')
        assert self.doubt(study, 0, tmp_path) == (
            "Trained by an earlier version with --lanes, perhaps: its score may be wrong where its network has batch "
            f"normalisation; train it again with: hpsearch finals --study digits --results {tmp_path}"
        )
        assert self.doubt(study, 1, tmp_path) is None

    @pytest.mark.parametrize("said", ["{}", '{"lanes": 1}', '{"lanes": "many"}', '{"per-device": 4}', "["])
    def test_without_that_word_none_is(self, study: StudyFolder, tmp_path: Path, said: str) -> None:
        (study.path / "asked.json").write_text(said)
        assert self.doubt(study, 0, tmp_path) is None

    def test_those_of_a_run_that_went_on_without_lanes_are_not(self, study: StudyFolder, tmp_path: Path) -> None:
        (study.path / "asked.json").write_text('{"lanes": 4, "keep": 2}')
        before = time.time()
        for _ in range(2):
            write_asked(study, {"keep": 3})
        add(study, 2, 0.9, engine="device", started=time.time())
        assert self.doubt(study, 0, tmp_path) is not None
        assert self.doubt(study, 2, tmp_path) is None
        assert before <= (lanes_until(study) or 0) <= time.time()
        assert read_asked(study) == {"keep": 3}

    def test_finals_are_where_the_search_had_lanes(self, study: StudyFolder, tmp_path: Path) -> None:
        finals = begin(study.path, "finals")
        add(finals, 0, 0.9, engine="device", started=1000.0)
        assert self.doubt(finals, 0, tmp_path) is None
        (study.path / "asked.json").write_text('{"lanes": 2}')
        way_out = f"move {finals.path} away, then train all with: hpsearch finals --study digits --results {tmp_path}"
        assert (self.doubt(finals, 0, tmp_path) or "").endswith(f"normalisation; {way_out}")
