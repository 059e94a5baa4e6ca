"""The order of the leaderboard, its gap, and its JSON and CSV."""

import csv
import io
import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpsearch.results.leaderboard import FIELDS, as_csv, as_json, counts, outcome, rank, summary
from hpsearch.study import Trial


def trial(number: int, score: float | None = None, train: float | None = None, **more: Any) -> Trial:
    """A trial that ended."""
    return Trial(number=number, score=score, train_score=train, **{"state": "COMPLETE", **more})


def order(rows: list[Any]) -> list[tuple[int | None, int]]:
    """Ranks and trial numbers."""
    return [(row.rank, row.trial.number) for row in rows]


def test_higher_is_better_for_accuracy_and_lower_for_loss() -> None:
    trials = [trial(0, 0.5), trial(1, 0.9), trial(2, 0.7)]
    assert order(rank(trials, maximize=True)) == [(1, 1), (2, 2), (3, 0)]
    assert order(rank(trials, maximize=False)) == [(1, 0), (2, 2), (3, 1)]


def test_equal_scores_share_a_rank_and_the_earlier_trial_stands_first() -> None:
    trials = [trial(3, 0.9), trial(1, 0.9), trial(2, 0.5), trial(0, 0.95)]
    assert order(rank(trials, maximize=True)) == [(1, 0), (2, 1), (2, 3), (4, 2)]
    assert order(rank(trials, maximize=False)) == [(1, 2), (2, 1), (2, 3), (4, 0)]


def test_a_score_counts_whatever_the_state_and_trials_without_one_come_last() -> None:
    trials = [
        trial(0, None, state="FAIL", failure="out_of_memory"),
        trial(1, 0.5),
        trial(2, 0.8, state="FAIL", failure="timed_out"),
        trial(3, 0.7, state="PRUNED"),
        trial(4, None, state="RUNNING"),
        trial(5, math.nan, state="FAIL", failure="not_finite"),
    ]
    rows = rank(trials, maximize=True)
    assert order(rows) == [(1, 2), (2, 3), (3, 1), (None, 0), (None, 4), (None, 5)]
    assert [outcome(row.trial) for row in rows[:3]] == ["FAIL: timed_out", "PRUNED", "COMPLETE"]


def test_an_open_trial_is_interrupted_unless_it_is_being_trained() -> None:
    trials = [trial(0, 0.5, state="RUNNING"), trial(1, 0.9, state="RUNNING"), trial(2), trial(3, state="RUNNING")]
    rows = rank(trials, maximize=True, training={0})
    assert [(row.rank, row.trial.number, row.outcome) for row in rows] == [
        (1, 1, "interrupted"),
        (2, 0, "RUNNING"),
        (None, 2, "COMPLETE"),
        (None, 3, "interrupted"),
    ]
    assert counts(rows) == {"interrupted": 2, "RUNNING": 1, "COMPLETE": 1}
    assert not any(row.interrupted for row in rank(trials, True, training=range(4)))


def test_counts_in_words() -> None:
    numbers = {"PRUNED": 4, "out_of_memory": 2, "interrupted": 1, "not_finite": 1, "COMPLETE": 1200, "crashed": 0}
    assert [words for _, words in summary(numbers)] == [
        "1,200 complete",
        "3 failed: 2 out_of_memory, 1 not_finite",
        "4 pruned",
        "1 interrupted",
    ]
    assert summary({"crashed": 2, "COMPLETE": 1}) == [
        ("COMPLETE", "1 complete"),
        ("FAIL", "2 failed: 2 crashed"),
    ]
    assert summary({"FAIL": 3}) == [("FAIL", "3 failed")]
    assert summary({"FAIL": 1, "crashed": 2}) == [("FAIL", "3 failed: 2 crashed")], "one of no kind that is known"
    assert summary({}) == []


def test_repeats_are_left_out() -> None:
    assert order(rank([trial(0, 0.5), trial(1, 0.5, state="PRUNED", failure="duplicate")], True)) == [(1, 0)]


def test_a_positive_gap_means_overfitting_for_accuracies_and_losses() -> None:
    (accuracy,) = rank([trial(0, 0.8, 0.9)], maximize=True)
    (loss,) = rank([trial(0, 0.5, 0.3)], maximize=False)
    (unknown,) = rank([trial(0, 0.5)], maximize=True)
    assert accuracy.gap is not None
    assert loss.gap is not None
    assert math.isclose(accuracy.gap, 0.1)
    assert math.isclose(loss.gap, 0.2)
    assert unknown.gap is None


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=30), st.booleans())
def test_every_finite_score_is_ranked_in_order(scores: list[float | None], maximize: bool) -> None:
    rows = rank([trial(number, score) for number, score in enumerate(scores)], maximize)
    ranked = [row.validation for row in rows if row.validation is not None]
    assert sorted(ranked, reverse=maximize) == ranked
    assert len(ranked) == sum(score is not None and math.isfinite(score) for score in scores)
    assert sorted(row.trial.number for row in rows) == list(range(len(scores)))


def test_json_holds_full_numbers_and_null_for_what_is_not_known() -> None:
    rows = rank([trial(7, 0.912345678, 0.95, baseline="by_hand", hash="abc"), trial(8, math.inf)], maximize=True)
    first, second = json.loads(as_json(rows))
    assert tuple(first) == FIELDS
    assert (first["rank"], first["trial"], first["number"], first["baseline"]) == (1, "by_hand", 7, "by_hand")
    assert first["validation"] == 0.912345678
    assert (second["trial"], second["baseline"], second["validation"], second["rank"]) == ("8", None, None, None)


def test_csv_has_a_line_a_trial_even_where_a_message_has_several() -> None:
    text = as_csv(rank([trial(0, 0.5, message='one,\n"two"'), trial(1)], maximize=True))
    assert len(text.splitlines()) == 3
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == FIELDS
    assert rows[0]["message"] == 'one, "two"'
    assert rows[1]["validation"] == ""


@given(st.sampled_from("=+-@\t"), st.text("abc1=", max_size=5))
def test_no_text_of_a_cell_is_taken_for_a_formula(first: str, rest: str) -> None:
    text = as_csv(rank([trial(0, -0.5, baseline=first + rest)], maximize=True))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["trial"] == row["baseline"] == f"'{first}{rest}"
    assert row["validation"] == "-0.5"
