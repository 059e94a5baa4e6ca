"""``hpsearch compare``: what differs between two recipes, and whether their scores differ by more than luck."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import hpsearch
from hpsearch.cli.compare import compare
from hpsearch.cli.overlay import BOTH, HEIGHT, WIDTH, overlay
from hpsearch.errors import StudyError
from hpsearch.results.comparison import Apart, Declared, Difference, apart_by, differences
from hpsearch.results.leaderboard import rank
from hpsearch.study import Epoch, StudyFolder, Trial
from studies import begin

ONE = """Recipe(
    model=Model(body=ConvNet(stages=(Stage(filters=(32, 32)), Stage(filters=64))), dense=(Dense(units=128),)),
    training=Training(epochs=4, optimizer=Adam(learning_rate=0.003)),
)"""
TWO = """Recipe(
    model=Model(body=ConvNet(stages=(Stage(filters=(32, 48)),), dropout=0.2)),
    training=Training(epochs=4, batch_size=64, optimizer=SGD(learning_rate=0.003)),
)"""


def add(folder: StudyFolder, number: int, score: float | None, recipe: str, course: list[float], **more: Any) -> None:
    """A trial that ended, with its history."""
    said: dict[str, Any] = {"state": "COMPLETE", "parameters": 38_842, "seconds": 65.0, "seed": 7, **more}
    trial = Trial(number, score=score, recipe=recipe, epochs=len(course), epochs_budget=4, **said)
    folder.trial(number).write(trial)
    metrics = [{"loss": 1.0, "accuracy": value, "val_loss": 1.0, "val_accuracy": value} for value in course]
    folder.trial(number).write_history([Epoch(place, 1.0, each) for place, each in enumerate(metrics, start=1)])


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A baseline and two trials."""
    folder = begin(tmp_path)
    add(folder, 0, 0.98, ONE, [0.5, 0.7, 0.9, 0.98], baseline="by_hand", train_score=0.99, best_epoch=4)
    add(folder, 1, 0.97, ONE.replace("128", "64"), [0.6, 0.7, 0.97], train_score=0.98, best_epoch=3)
    add(folder, 2, 0.6, TWO, [0.1, 0.5, 0.6, 0.6], train_score=0.9)
    add(folder, 3, None, "", [], state="FAIL", failure="invalid_model")
    return folder


def call(study: StudyFolder, *args: str) -> Result:
    """Run the command in this process, as a pipe sees it."""
    arguments = [*args, "--results", str(study.path.parent), "--study", study.name]
    return CliRunner().invoke(compare, arguments, catch_exceptions=False)


SCREEN = """\
max val_accuracy: A is trial by_hand, B is trial 1

                         A            B
rank                     1            2
val_accuracy        0.9800       0.9700
95 % interval  0.955-0.990  0.941-0.983
on training         0.9900       0.9800
gap                +0.0100      +0.0100
parameters          38,842       38,842
best epoch               4            3
epochs                 4/4          3/4
time                1m 05s       1m 05s
seed                     7            7
state             COMPLETE     COMPLETE

A is better by 0.0100, which luck may explain: as far as 287 validation images tell, the difference lies between \
-0.0182 and +0.0403. Each was also trained with one seed only, and another seed moves a score, too.

what differs          A    B
model.dense[0].units  128  64

val_accuracy by epoch (A, B, # both)
0.9800 |     B A
       |     A
       |
       |
       |
       |   #
       |
       | B
       |
0.5000 | A
 epoch   1     4
"""


def test_the_screen_shows_scores_differences_and_curves(study: StudyFolder) -> None:
    assert call(study, "by_hand", "1").stdout == SCREEN


def test_a_difference_beyond_luck_is_still_one_of_one_seed(study: StudyFolder) -> None:
    text = call(study, "2", "00000").stdout
    assert "B is better by 0.3800, more than the luck of 287 validation images explains: the difference lies" in text
    assert "between +0.3203 and +0.4393" in text
    assert "But each was trained with one seed" in text


def test_the_same_trial_has_no_difference(study: StudyFolder) -> None:
    text = call(study, "0", "by_hand").stdout
    assert "Both have the same score." in text
    assert "The recipes are the same." in text


def test_a_trial_without_recipe_and_score_is_no_error(study: StudyFolder) -> None:
    text = call(study, "0", "3").stdout
    assert "not both have a score" in text
    assert "not both have a recipe" in text
    assert "by epoch" not in text
    with pytest.raises(StudyError, match="Trial 3 ended before its recipe was known"):
        call(study, "0", "3", "--diff")
    with pytest.raises(StudyError, match="no trial '17'"):
        call(study, "0", "17")


def test_the_diff_is_one_that_patch_reads(study: StudyFolder) -> None:
    lines = call(study, "by_hand", "1", "--diff").stdout.splitlines()
    assert lines[:2] == ["--- by_hand", "+++ 1"]
    assert [line for line in lines[3:] if line[0] in "+-"] == [
        f"-{ONE.splitlines()[1]}",
        f"+{ONE.splitlines()[1].replace('128', '64')}",
    ]
    assert call(study, "1", "1", "--diff").stdout == ""


def test_a_trial_of_another_study_is_compared_where_the_data_is_the_same(study: StudyFolder) -> None:
    add(begin(study.path.parent, "digits-2", epochs=4), 0, 0.5, TWO, [0.5])
    text = call(study, "0", "0", "--with-study", "digits-2").stdout
    assert "A is trial by_hand of study digits, B is trial 0 of study digits-2" in text
    assert "A is better by 0.4800" in text
    add(begin(study.path.parent, "part", data_fingerprint="x", subset=99), 0, 0.5, TWO, [0.5])
    text = call(study, "0", "0", "--with-study", "part").stdout
    why = "of study part, it was begun with --subset 99, digits without --subset"
    assert f"Their scores cannot be compared: {why}." in text
    assert "on other images" in text
    found = json.loads(call(study, "0", "0", "--with-study", "part", "--json").stdout)
    assert (found["comparable"], found["better_by"], found["verdict"]) == (False, None, None)


def test_json_holds_everything(study: StudyFolder) -> None:
    found = json.loads(call(study, "by_hand", "1", "--json").stdout)
    assert found["differences"] == [{"address": "model.dense[0].units", "a": "128", "b": "64"}]
    assert (found["a"]["trial"], found["b"]["rank"], found["verdict"]) == ("by_hand", 2, "luck")
    assert math.isclose(found["better_by"], 0.01)
    assert found["better_by_low"] < 0 < found["better_by_high"]
    assert [epoch["val_accuracy"] for epoch in found["b"]["history"]] == [0.6, 0.7, 0.97]
    assert json.loads(call(study, "0", "3", "--json").stdout)["differences"] is None


# ---- recipes


def known(name: str) -> Declared | None:
    """What the command knows of the classes of hpsearch."""
    from hpsearch.cli.compare import _declared

    return _declared(name)


def test_what_is_left_at_its_default_is_compared_as_if_it_were_said() -> None:
    found = differences(ONE, TWO, known)
    assert found is not None
    assert [(each.address, each.a, each.b) for each in found] == [
        ("model.body.stages[0].filters[1]", "32", "48"),
        ("model.body.stages[1]", "Stage(filters=64)", None),
        ("model.body.dropout", "0.0", "0.2"),
        ("model.dense[0]", "Dense(units=128)", None),
        ("training.optimizer", "Adam(learning_rate=0.003)", "SGD(learning_rate=0.003)"),
        ("training.batch_size", "32", "64"),
    ]
    said = TWO.replace("epochs=4, batch_size=64", "epochs=4, early_stopping=None, batch_size=64")
    assert differences(TWO, said, known) == []


def test_the_users_own_classes_and_options_without_a_name() -> None:
    a, b = 'Own(3, "x", deep={"a": 1, "b": 2})', 'Own(4, "x", deep={"a": 1, "c": 2}, more=True)'
    assert differences(a, b, known) == [
        Difference("(0)", "3", "4"),
        Difference("deep['b']", "2", None),
        Difference("deep['c']", None, "2"),
        Difference("more", None, "True"),
    ]
    assert differences('Pretrained("a.keras")', 'Pretrained("b.keras")', known) == [
        Difference("path", '"a.keras"', '"b.keras"')
    ]
    assert differences("", ONE, known) is None


widths = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(widths, widths, st.integers(1, 9), st.integers(1, 9))
def test_there_is_a_difference_for_every_place_that_differs(a: list[int], b: list[int], x: int, y: int) -> None:
    def source(filters: list[int], units: int) -> str:
        return repr(
            hpsearch.Model(
                body=hpsearch.ConvNet(stages=[hpsearch.Stage(filters=each) for each in filters]),
                dense=[hpsearch.Dense(units=units)],
            )
        )

    found = differences(source(a, x), source(b, y), known)
    assert found is not None
    both = sum(one != other for one, other in zip(a, b, strict=False))
    assert len(found) == both + abs(len(a) - len(b)) + (x != y)
    back = differences(source(b, y), source(a, x), known)
    assert back is not None
    assert {(each.address, each.b, each.a) for each in back} == {(each.address, each.a, each.b) for each in found}


# ---- scores


def test_of_a_loss_less_is_better_and_nothing_is_said_of_luck() -> None:
    rows = rank([Trial(0, score=0.5), Trial(1, score=0.3)], False, metric="val_loss", images=100)
    apart = apart_by(rows[0], rows[1], maximize=False)
    assert apart is not None
    assert math.isclose(apart.difference, 0.2)
    assert (apart.bounds, apart.verdict) == (None, "unknown")


@given(st.integers(0, 100), st.integers(0, 100))
def test_what_is_better_does_not_depend_on_who_is_asked_first(a: int, b: int) -> None:
    rows = rank([Trial(0, score=a / 100), Trial(1, score=b / 100)], True, metric="val_accuracy", images=100)
    first, second = sorted(rows, key=lambda row: row.trial.number)
    one, other = apart_by(first, second, True), apart_by(second, first, True)
    assert one is not None
    assert other is not None
    assert one.bounds is not None
    assert other.bounds is not None
    assert one.verdict == other.verdict
    assert math.isclose(one.bounds[0], -other.bounds[1], abs_tol=1e-12)
    assert one.bounds[0] <= one.difference <= one.bounds[1]


def test_verdicts() -> None:
    assert Apart(0.0, (-0.1, 0.1)).verdict == "same"
    assert Apart(0.05, (-0.1, 0.2)).verdict == "luck"
    assert Apart(-0.15, (-0.2, -0.1)).verdict == "more than luck"


# ---- curves

courses = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=200)


@given(courses, courses)
def test_a_plot_has_its_size_and_no_sign_is_lost(a: list[float], b: list[float]) -> None:
    lines = overlay(a, b)
    if not any(map(math.isfinite, (*a, *b))):
        assert lines == []
        return
    assert len(lines) == HEIGHT + 1
    drawn = [line.partition("| ")[2] for line in lines[:HEIGHT]]
    assert max(map(len, drawn)) <= WIDTH
    signs = "".join(drawn)
    assert ("A" in signs or BOTH in signs) == any(map(math.isfinite, a))
    assert ("B" in signs or BOTH in signs) == any(map(math.isfinite, b))
