"""``hpsearch leaderboard``: what it ranks together, what it leaves out, how it looks, and a run that it watches."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpsearch.cli import board as module
from hpsearch.cli.leaderboard import leaderboard
from hpsearch.cli.standing import Standing
from hpsearch.cli.watching import watch
from hpsearch.errors import InputError
from hpsearch.results.board import disagreement
from hpsearch.results.intervals import apart, interval, wilson
from hpsearch.results.leaderboard import rank
from hpsearch.results.selection import Selection
from hpsearch.study import StudyFolder, Trial
from hpsearch.study.trial import Epoch
from studies import begin

SEARCH = Path(module.__file__).parents[2]


def add(folder: StudyFolder, number: int, score: float | None = None, train: float | None = None, **more: Any) -> Trial:
    """A trial that ended."""
    said: dict[str, Any] = {"state": "COMPLETE", "epochs": 20, "epochs_budget": 20, "seconds": 65.0, **more}
    trial = Trial(number, score=score, train_score=train, **said)
    folder.trial(number).write(trial)
    return trial


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A baseline, a good trial, one that overfits, one that was pruned and one that failed."""
    folder = begin(tmp_path)
    add(folder, 0, 0.9895, 1.0, baseline="by_hand", parameters=45_674, flops=1_234_567, seconds=15.0)
    add(folder, 1, 0.9861, 0.9957, parameters=38_842, flops=987_654)
    add(folder, 2, 0.8118, 0.9991, parameters=3_253_068, flops=12_345_678_901, seconds=4000.0)
    add(folder, 3, 0.7735, 0.7809, state="PRUNED", epochs=3, parameters=15_778, flops=500_000)
    add(folder, 4, state="FAIL", failure="out_of_memory", message="no room", epochs=0, parameters=9_000_000)
    return folder


def call(study: StudyFolder, *args: str) -> Result:
    """Run the command in this process, as a pipe sees it."""
    arguments = ["--results", str(study.path.parent), "--study", study.name, *args]
    return CliRunner().invoke(leaderboard, arguments, catch_exceptions=False)


def shown(text: str) -> list[str]:
    """The rows of a table, as their trials."""
    table = text.split("\n\n")[1].splitlines()
    return [line.split()[1] for line in table[1:]]


# ---- screens

# a screen is as wide as it is

WIDE = """\
digits: max val_accuracy, 5 trials (3 complete)

rank  trial         val     interval   train      gap            parameters  FLOPs  epochs    time  state
   1  by_hand *  0.9895  0.970-0.996  1.0000  +0.0105                45,674  1.23M   20/20     15s  COMPLETE
   2  1          0.9861  0.965-0.995  0.9957  +0.0096                38,842   988k   20/20  1m 05s  COMPLETE
   3  2          0.8118  0.763-0.853  0.9991  +0.1873  overfits   3,253,068  12.3G   20/20  1h 06m  COMPLETE
   4  3          0.7735  0.722-0.818  0.7809  +0.0074                15,778   500k    3/20  1m 05s  PRUNED
   -  4               -            -       -        -             9,000,000      -    0/20  1m 05s  FAIL: out_of_memory

* baseline
overfits, far better on what it was trained on: 2
1 failed: 1 out_of_memory; 1 pruned
"""

NARROW = """\
digits: max val_accuracy, 5 trials (3 complete)

rank trial        val    interval  train     gap parameters epochs state
   1 by_hand * 0.9895 0.970-0.996 1.0000 +0.0105     45,674  20/20 COMPLETE
   2 1         0.9861 0.965-0.995 0.9957 +0.0096     38,842  20/20 COMPLETE
   3 2         0.8118 0.763-0.853 0.9991 +0.1873  3,253,068  20/20 COMPLETE
   4 3         0.7735 0.722-0.818 0.7809 +0.0074     15,778   3/20 PRUNED
   - 4              -           -      -       -  9,000,000   0/20 FAIL:
                                                                   out_of_memory

* baseline
overfits, far better on what it was trained on: 2
1 failed: 1 out_of_memory; 1 pruned
"""

MARKDOWN = """\
digits: max val_accuracy, 5 trials (3 complete)

| rank | trial | val | interval | train | gap | parameters | FLOPs | epochs | time | state |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| 1 | by_hand \\* | 0.9895 | 0.970-0.996 | 1.0000 | +0.0105 | 45,674 | 1.23M | 20/20 | 15s | COMPLETE |
| 2 | 1 | 0.9861 | 0.965-0.995 | 0.9957 | +0.0096 | 38,842 | 988k | 20/20 | 1m 05s | COMPLETE |

- \\* baseline
- 2 of 5 trials: where val\\>0.9
- 1 failed: 1 out_of_memory; 1 pruned
"""


def test_a_pipe_gets_every_column(study: StudyFolder) -> None:
    assert call(study).stdout == WIDE


def on_terminal(study: StudyFolder, monkeypatch: pytest.MonkeyPatch, width: int, *args: str) -> str:
    """What a terminal of some width shows, without colours and trailing spaces."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("hpsearch.cli.output.on_terminal", lambda: True)
    monkeypatch.setattr("hpsearch.cli.board.on_terminal", lambda: True)
    return "".join(f"{line.rstrip()}\n" for line in call(study, *args).stdout.splitlines())


def test_a_wide_terminal_shows_all_and_one_of_80_columns_what_counts_most(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_terminal(study, monkeypatch, 130) == WIDE
    assert on_terminal(study, monkeypatch, 80) == NARROW


def test_what_a_trial_cost_goes_before_how_good_it_is(study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    everything = WIDE.splitlines()[2].split()
    for width in range(130, 50, -1):
        head = on_terminal(study, monkeypatch, width).splitlines()[2].split()
        gone += [name for name in everything if name not in head and name not in gone]
    assert gone == ["FLOPs", "time", "epochs", "parameters", "interval"]


def test_markdown_is_a_table_that_names_cannot_break(study: StudyFolder) -> None:
    assert call(study, "--markdown", "--where", "val>0.9").stdout == MARKDOWN
    add(study, 7, 0.99, baseline="a|b<i>[x](y)`_z_")
    assert "| a\\|b\\<i\\>\\[x\\](y)\\`\\_z\\_ \\* |" in call(study, "--markdown").stdout


# ---- luck and overfitting


def test_the_interval_is_that_of_the_answers_on_validation(study: StudyFolder) -> None:
    first = json.loads(call(study, "--json").stdout)[0]
    assert (first["validation_low"], first["validation_high"]) == wilson(284, 287)
    assert interval("accuracy", {"correct": 284}, 287) == wilson(284, 287)
    assert interval("r2", {"r2": 0.5}, 287) is None
    assert interval("accuracy", {"correct": 0}, 0) is None


def test_a_metric_without_an_interval_has_no_column_for_it(tmp_path: Path) -> None:
    folder = begin(tmp_path, objective="min val_loss")
    add(folder, 0, 0.5, 0.45)
    add(folder, 1, 0.6, 0.2)
    text = call(folder).stdout
    assert "interval" not in text
    assert "overfits, far better on what it was trained on: 1" in text
    assert json.loads(call(folder, "--json").stdout)[0]["validation_low"] is None


@pytest.mark.parametrize(
    ("metric", "score", "train", "images", "overfits"),
    [
        ("val_accuracy", 0.80, 0.86, 10_000, True),
        ("val_accuracy", 0.80, 0.84, 10_000, False),
        ("val_accuracy", 0.80, 0.86, 50, False),  # so few images cannot tell
        ("val_accuracy", 0.80, 0.60, 10_000, False),
        ("val_auc", 0.80, 0.86, 250, True),
        ("val_auc", 0.80, 0.86, 50, False),  # how much is luck is not known
        ("val_f1", 0.60, 0.668, 22, False),
        ("val_auc", 0.1579, 0.2266, 250, False),  # worse than chance: nothing was learned
        ("", 0.80, 1.0, 10_000, False),
    ],
)
def test_overfitting_is_a_gap_that_is_large_and_no_luck(
    metric: str, score: float, train: float, images: int, overfits: bool
) -> None:
    (row,) = rank([Trial(0, score=score, train_score=train)], True, metric=metric, images=images)
    assert row.overfits is overfits


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56/70 and 48/80.
    low, high = apart(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


# ---- what is ranked together


def test_studies_are_ranked_together_where_data_split_and_objective_agree(study: StudyFolder) -> None:
    other = begin(study.path.parent, "digits-2", epochs=5, seed=7)
    add(other, 0, 0.98, 0.99, epochs=5, epochs_budget=5)
    text = call(study, "--with-study", "digits-2").stdout
    assert text.startswith("digits and digits-2: max val_accuracy, 6 trials (4 complete)\n")
    assert text.splitlines()[5].split()[:4] == ["3", "digits-2", "0", "0.9800"]
    rows = json.loads(call(study, "--with-study", "digits-2", "--where", "study==digits-2", "--json").stdout)
    assert [(row["study"], row["rank"], row["trial"]) for row in rows] == [("digits-2", 3, "0")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"objective": "min val_loss"}, "its objective is min val_loss, not max val_accuracy"),
        (
            {"data_fingerprint": "a part", "subset": 500},
            "it was begun with --subset 500, digits without --subset",
        ),
        ({"data_fingerprint": "others", "data_text": '"mnist"'}, 'its data is "mnist", not "digits"'),
        ({"data_fingerprint": "others"}, "its images, labels or split are others than those of digits"),
    ],
)
def test_what_must_not_be_ranked_together_is_left_out_with_the_reason(
    study: StudyFolder, more: dict[str, Any], why: str
) -> None:
    other = begin(study.path.parent, "other", **more)
    for number in range(3):
        add(other, number, 0.999)
    result = call(study, "--with-study", "other")
    assert result.stdout == WIDE + f"left out: 3 trials of study other: {why}\n"
    as_json = call(study, "--with-study", "other", "--json")
    assert len(json.loads(as_json.stdout)) == 5
    assert as_json.stderr == f"left out: 3 trials of study other: {why}\n"


def test_what_belongs_to_the_recipe_or_to_the_search_does_not_part_studies(study: StudyFolder) -> None:
    info = study.info()
    other = begin(study.path.parent, "other", epochs=3, seed=9, strategy="random", pruner="asha", deterministic=True)
    assert disagreement(info, other.info()) == ""


# ---- selections


def test_where_pareto_sort_and_top_compose_in_every_form(study: StudyFolder) -> None:
    args = ("--where", "state!=FAIL and val>0.7", "--pareto", "val_accuracy,parameters", "--sort", "parameters")
    text = call(study, *args, "--top", "2").stdout
    assert shown(text) == ["3", "1"]
    front = "none surpasses them in val_accuracy (more is better) and parameters (less is better)"
    assert f"3 of 5 trials: where state!=FAIL and val>0.7; {front}" in text
    assert "2 of 3 trials; all of them: --top 3" in text
    assert [row["number"] for row in json.loads(call(study, *args, "--json").stdout)] == [3, 1, 0]
    assert len(call(study, *args, "--csv").stdout.splitlines()) == 4
    assert [line.split()[3] for line in call(study, *args, "--markdown").stdout.splitlines()[4:7]] == [
        "3",
        "1",
        "by_hand",
    ]


def test_ranks_are_those_among_all_trials_whatever_is_shown(study: StudyFolder) -> None:
    rows = json.loads(call(study, "--sort", "-parameters", "--json").stdout)
    assert [(row["rank"], row["number"]) for row in rows] == [(None, 4), (3, 2), (1, 0), (2, 1), (4, 3)]


def test_nothing_that_fits_is_said(study: StudyFolder) -> None:
    text = call(study, "--where", "parameters<0").stdout
    assert "0 of 5 trials: where parameters<0" in text
    assert "rank" not in text


@pytest.fixture
def measured(study: StudyFolder) -> StudyFolder:
    """The study with histories: of AUC and loss, of loss alone, of a trial that goes on; the rest has none."""
    for number, best, curve in (
        (0, 2, [(0.98, 0.9, 0.3), (0.9895, 0.8, 0.2), (0.97, 0.99, 0.1)]),
        (1, 1, [(0.9861, math.nan, 0.05), (0.5, 0.9, 0.4)]),
        (2, None, [(0.8, None, 0.7), (0.8118, None, 0.6), (0.1, None, 0.01)]),
    ):
        folder = study.trial(number)
        folder.write(replace(folder.read(), best_epoch=best))
        for epoch, (accuracy, auc, loss) in enumerate(curve, start=1):
            also = {} if auc is None else {"val_auc": auc}
            folder.append(Epoch(epoch, 1.0, {"val_loss": loss, "val_accuracy": accuracy, **also}))
    return study


def test_a_metric_that_was_recorded_is_a_field_with_its_value_at_the_best_epoch(measured: StudyFolder) -> None:
    text = call(measured, "--sort", "val_loss").stdout
    assert shown(text) == ["1", "by_hand", "2", "3", "4"]
    (line,) = (line for line in text.splitlines() if "by_hand" in line)
    assert line.split()[7] == "0.2000"
    rows = json.loads(call(measured, "--where", "val_auc>0.5 or val_loss>=0.6", "--json").stdout)
    assert [(row["number"], row["val_auc"], row["val_loss"]) for row in rows] == [(0, 0.8, 0.2), (2, None, 0.6)]
    front = call(measured, "--pareto", "val_loss,parameters", "--csv").stdout.splitlines()
    assert front[0].endswith(",recipe_hash,val_loss")
    assert [line.split(",")[3] for line in front[1:]] == ["1"]
    assert "| 0.2000 |" in call(measured, "--sort", "val_loss", "--markdown").stdout
    other = shutil.copytree(measured.path, measured.path.parent / "other")
    (other / "trials" / "00001" / "history.csv").write_text("epoch,seconds,val_loss\n1,1,0.001\n")
    both = call(measured, "--with-study", "other", "--sort", "val_loss", "--top", "1", "--csv").stdout
    assert both.splitlines()[1].startswith("3,other,1,")
    assert both.endswith(",0.001\n")


def test_a_metric_that_nobody_recorded_is_refused_with_what_there_is(measured: StudyFolder) -> None:
    said = CliRunner().invoke(leaderboard, ["--results", str(measured.path.parent), "--sort", "val_f1"]).exception
    assert isinstance(said, InputError)
    assert str(said).startswith("--sort got 'val_f1', which no trial recorded; metrics=[\"f1\"] in a space records it.")
    assert str(said).endswith(", recipe_hash, val_loss, val_auc.")


def test_no_history_is_read_as_long_as_none_of_its_metrics_is_asked_for(
    measured: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr("hpsearch.study.trial.TrialFolder.recorded", lambda each: read.append(each.path.name) or [])
    monkeypatch.setattr("hpsearch.study.trial.TrialFolder.history", lambda each: read.append(each.path.name) or [])
    condition = "val_accuracy>0.5 and parameters<1e9 and state==COMPLETE and baseline!=by_hand"
    call(measured, "--where", condition, "--sort", "accuracy", "--pareto", "val,time,parameters")
    assert read == []
    standing = Standing(measured)
    standing.metrics = ("val_loss",)
    standing.look()
    standing.look()
    assert read == ["00000", "00001", "00002"]


# ---- beside a run


def test_a_look_reads_again_only_what_changed(study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = Standing(study)
    standing.look()
    read: list[int] = []
    original = module.Trial

    def reading(folder: Any) -> Trial:
        read.append(int(folder.path.name))
        return original(int(folder.path.name), state="COMPLETE", score=1.0)

    monkeypatch.setattr("hpsearch.study.trial.TrialFolder.read", reading)
    add(study, 3, 0.99)
    add(study, 9, 0.98)
    assert standing.look().rows[0].trial.number == 3
    assert read == [3, 9]


def test_looking_writes_nothing_and_holds_nothing(study: StudyFolder) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = [study.path, *study.path.rglob("*")]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    with study.writing():
        before = state()
        call(study, "--sort", "time")
        assert state() == before
        assert study.held
    before = state()
    for path in (*study.path.rglob("*"), study.path):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert call(study).stdout == WIDE
    finally:
        for path in (study.path, *study.path.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
    assert state() == before


def test_watch_tells_every_trial_that_ends_and_the_whole_in_the_end(
    study: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a clock: what a wait does here is what happens meanwhile in a run."""
    standing = Standing(study)
    screen = module.Screen("max val_accuracy", "digits", Selection())
    steps = iter(
        [
            lambda: add(study, 5, 0.95, state="RUNNING"),
            lambda: add(study, 5, 0.99),
            lambda: (add(study, 6, state="FAIL", failure="crashed"), holding.__exit__(None, None, None)),
        ]
    )
    holding = study.writing()
    holding.__enter__()
    watch(standing, screen, lambda _: next(steps)())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "digits: max val_accuracy, 5 trials (3 complete)",
        "trial 5: COMPLETE, 0.9900, rank 1 of 6",
        "trial 6: FAIL: crashed, -",
        "No run goes on.",
    ]
    assert "\n".join(lines[4:]) + "\n" == call(study).stdout


def test_watch_on_a_terminal_draws_the_board_and_leaves_it_there(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("output", "board", "watching"):
        monkeypatch.setattr(f"hpsearch.cli.{place}.on_terminal", lambda: True)
    for name, value in {"COLUMNS": "100", "LINES": "16", "TERM": "xterm", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    for number in range(10, 30):
        add(study, number, 0.5 + number / 1000)
    holding = study.writing()
    holding.__enter__()

    frames: list[str] = []

    def wait(_: float) -> None:
        frames.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out))
        holding.__exit__(None, None, None)

    watch(Standing(study), module.Screen("max val_accuracy", "digits", Selection()), wait)
    (frame,) = frames
    assert "by_hand *" in frame
    assert len(frame.splitlines()) <= 16
    assert "of 25 trials; all of them: --top 25" in frame
    assert "20 of 25 trials" in capsys.readouterr().out, "the screen that stays"


def test_ctrl_c_ends_the_watching_alone(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait(_: float) -> None:
        raise KeyboardInterrupt

    screen = module.Screen("max val_accuracy", "digits", Selection())
    with study.writing():
        watch(Standing(study), screen, wait)
        assert capsys.readouterr().out == WIDE.splitlines(keepends=True)[0]
        for place in ("output", "board", "watching"):
            monkeypatch.setattr(f"hpsearch.cli.{place}.on_terminal", lambda: True)
        monkeypatch.setenv("COLUMNS", "130")
        watch(Standing(study), screen, wait)
        assert "by_hand *  0.9895" in capsys.readouterr().out
        assert study.held


def test_watch_without_a_run_is_the_leaderboard(study: StudyFolder) -> None:
    assert call(study, "--watch").stdout == "No run goes on.\n" + WIDE


def test_watch_and_a_form_for_programs_exclude_each_other(study: StudyFolder) -> None:
    with pytest.raises(InputError, match="--watch shows a screen and --json prints once"):
        call(study, "--watch", "--json")


def test_a_run_is_watched_to_its_end_and_not_disturbed(
    tmp_path: Path, command: Any, write_space: Any, gated_space: str, wait_for: Any
) -> None:
    space, results, gate = write_space(tmp_path / "mine.py", gated_space), tmp_path / "results", tmp_path / "gate"
    gate.touch()
    run = command("run", space, "--trials", "2", "--results", results)
    wait_for(lambda: (tmp_path / "reached").exists(), "training")
    # A run says once a second how far it is, so that it may not have said the score of the first epoch yet.
    told = results / "mine" / "run.json"
    wait_for(lambda: [slot["score"] for slot in json.loads(told.read_text())["slots"]] != [None], "a score")
    seen = command("leaderboard", "--results", results, "--watch")
    assert "mine: max val_accuracy, 1 trial (0 complete)" in seen.line_with("mine")
    code = (
        "import sys\nfrom hpsearch.cli.main import main\nmain(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'keras', 'tensorflow', 'optuna', 'numpy', 'pandas', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "leaderboard", "--results", str(results), "--json"],
        env={**os.environ, "PYTHONPATH": str(SEARCH)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ((state, interrupted, score),) = [
        (row["state"], row["interrupted"], row["validation"]) for row in json.loads(done.stdout)
    ]
    assert (state, interrupted) == ("RUNNING", False)
    assert score is not None, "one epoch has ended"
    gate.unlink()
    assert run.end().code == 0
    said = seen.end()
    assert said.code == 0
    assert not said.err
    for number in (0, 1):
        assert f"trial {number}: COMPLETE, " in said.out
    assert "No run goes on.\nmine: max val_accuracy, 2 trials (2 complete)\n" in said.out
