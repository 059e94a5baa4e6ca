"""Conditions, fronts and orders of the leaderboard, against the plainest way to say what they mean."""

import operator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import InputError, did_you_mean
from hpsearch.results.fields import Fields, values
from hpsearch.results.leaderboard import FIELDS, Row, rank
from hpsearch.results.pareto import front
from hpsearch.results.selection import Selection
from hpsearch.results.where import where
from hpsearch.study import Trial

FIELDS_OF_ACCURACY = Fields("val_accuracy", True)
NUMBERS = ("val_accuracy", "train", "parameters", "epochs", "time")
COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
}

trials = st.builds(
    Trial,
    number=st.integers(0, 9),
    state=st.sampled_from(["COMPLETE", "PRUNED", "FAIL", "RUNNING"]),
    baseline=st.sampled_from([None, "by_hand", "two words"]),
    parameters=st.none() | st.integers(0, 3),
    score=st.none() | st.sampled_from([0.0, 0.25, 0.5]),
    train_score=st.none() | st.sampled_from([0.25, 0.5, 1.0]),
    epochs=st.integers(0, 3),
    seconds=st.sampled_from([0.0, 1.0, 60.0]),
    failure=st.sampled_from([None, "crashed", "timed_out"]),
)
boards = st.lists(trials, max_size=8).map(lambda found: rank(found, True, training={0, 1}))


def of(row: Row, name: str) -> Any:
    """The value of a field, read without the code that is tested."""
    trial = row.trial
    return {
        "val_accuracy": trial.score,
        "train": trial.train_score,
        "parameters": trial.parameters,
        "epochs": trial.epochs,
        "time": trial.seconds,
        "state": row.outcome if row.interrupted else trial.state,
        "failure": trial.failure,
        "baseline": trial.baseline,
        "interrupted": row.interrupted,
    }[name]


def compared(a: Any, sign: str, b: Any) -> bool:
    """One comparison: of what is not known only that it is not equal."""
    if a is None or b is None:
        return sign == "!="
    return bool(COMPARE[sign](a, b))


@st.composite
def conditions(draw: Any, depth: int = 3) -> tuple[str, Any]:
    """A condition as text, and as a function of a row."""
    kind = draw(st.sampled_from(["number", "text", "none", "fields", "alone", "not", "and", "or"][: 8 if depth else 5]))
    space = draw(st.sampled_from(["", " "]))
    if kind in ("and", "or"):
        (a, left), (b, right) = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        join = all if kind == "and" else any
        return f"({a}) {kind} ({b})", lambda row: join((left(row), right(row)))
    if kind == "not":
        a, inner = draw(conditions(depth - 1))
        return f"not ({a})", lambda row: not inner(row)
    if kind == "alone":
        name = draw(st.sampled_from(["baseline", "interrupted", "failure"]))
        return name, lambda row: of(row, name) not in (None, False)
    if kind == "text":
        name, word = draw(
            st.sampled_from([("state", "COMPLETE"), ("state", "interrupted"), ("failure", "crashed")])
            | st.sampled_from([("baseline", "'two words'"), ("baseline", "by_hand"), ("baseline", '"by_hand"')])
        )
        sign = draw(st.sampled_from(["==", "!=", "="]))
        return f"{name}{space}{sign}{space}{word}", lambda row: compared(of(row, name), sign, word.strip("'\""))
    name = draw(st.sampled_from(NUMBERS))
    if kind == "none":
        sign = draw(st.sampled_from(["==", "!="]))
        return f"{name}{sign}none", lambda row: (of(row, name) is None) == (sign == "==")
    sign = draw(st.sampled_from(sorted(COMPARE)))
    if kind == "fields":
        other = draw(st.sampled_from(NUMBERS))
        return f"{name}{space}{sign}{other}", lambda row: compared(of(row, name), sign, of(row, other))
    number, written = draw(st.sampled_from([(0, "0"), (0.25, ".25"), (1, "1e0"), (2, "2"), (60, "1m"), (-1, "-1")]))
    if draw(st.booleans()):
        return f"{written}{space}{sign}{space}{name}", lambda row: compared(number, sign, of(row, name))
    return f"{name}{sign}{space}{written}", lambda row: compared(of(row, name), sign, number)


@given(boards, conditions())
def test_a_condition_means_what_it_says(rows: list[Row], condition: tuple[str, Any]) -> None:
    text, expected = condition
    fits = where(text, FIELDS_OF_ACCURACY)
    assert [fits(row) for row in rows] == [expected(row) for row in rows], text


@given(boards)
def test_and_binds_closer_than_or_and_chains_compare_neighbours(rows: list[Row]) -> None:
    for text, same in (
        ("epochs>1 or epochs==0 and baseline", "epochs>1 or (epochs==0 and baseline)"),
        ("0<parameters<=2", "parameters>0 and parameters<=2"),
        ("not baseline and epochs>1", "(not baseline) and epochs>1"),
        ("VAL>0.2 AND State==complete", "val_accuracy>0.2 and state==COMPLETE"),
    ):
        first, second = where(text, FIELDS_OF_ACCURACY), where(same, FIELDS_OF_ACCURACY)
        assert [first(row) for row in rows] == [second(row) for row in rows]


@given(st.text(alphabet="abc <>=!()'\"&;:_.1eand or not val", max_size=40))
def test_whatever_is_written_is_read_or_refused_in_one_sentence(text: str) -> None:
    said = "--where got "
    try:
        where(text, FIELDS_OF_ACCURACY)
    except InputError as error:
        said = str(error)
    assert said.startswith("--where got ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("parmeters<3", r"--where got 'parmeters'; allowed: rank, .*val_accuracy, .*Did you mean parameters"),
        (
            "val_auc>0.9",
            r"got 'val_auc', which no trial recorded; metrics=\[\"auc\"\] in a space records it. Allowed: rank, ",
        ),
        ("1e6>parmeters", r"--where got 'parmeters'; allowed: .*Did you mean parameters"),
        ("state==COMPLET", "state is never 'COMPLET', but one of RUNNING, COMPLETE, PRUNED, FAIL, interrupted"),
        ("parameters<many", "parameters is a number, which 'many' is not"),
        ("state<3", "state is a text, which is compared by == and != alone"),
        ("parameters<<3", "'<' stands where a field, a number or a word should"),
        ("(parameters<3", "a parenthesis is not closed"),
        ("parameters<3 state==FAIL", "'state' stands where and, or or the end should"),
        ("baseline==parameters", "baseline is a text and parameters is a number"),
        ("3<4", "'4' is compared with no field"),
        ("gap<none", "none is compared by == and != alone"),
        ("__import__('os').system('true')", "__import__"),
        ("(" * 5000, "more than 40 parentheses"),
        ("", "it ends where a field"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        where(text, FIELDS_OF_ACCURACY)


def test_every_field_of_the_leaderboard_can_be_asked_for() -> None:
    (row,) = rank([Trial(0, score=0.5, train_score=0.75)], True, metric="val_accuracy", images=100, study="digits")
    assert tuple(values(row)) == FIELDS
    for name in FIELDS_OF_ACCURACY.names:
        field = FIELDS_OF_ACCURACY.find(name, "--sort")
        where(f"{name}==none", FIELDS_OF_ACCURACY)
        assert Selection.read(FIELDS_OF_ACCURACY, sort=name).of([row]) == [row]
        assert field.name in FIELDS


# ---- the front

points = st.lists(st.tuples(*[st.none() | st.integers(0, 4)] * 3), max_size=25)


@given(points, st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_the_front_holds_what_nothing_dominates(found: list[Any], better: tuple[int, ...]) -> None:
    def dominates(one: Any, other: Any) -> bool:
        pairs = [(sign * a, sign * b) for sign, a, b in zip(better, one, other, strict=True)]
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    known = [point for point in found if None not in point]
    expected = [
        place
        for place, point in enumerate(found)
        if None not in point and not any(dominates(other, point) for other in known)
    ]
    assert front(found, better) == expected


@given(boards)
def test_a_front_of_fields_knows_which_way_is_better(rows: list[Row]) -> None:
    kept = Selection.read(FIELDS_OF_ACCURACY, pareto="val_accuracy, parameters").of(rows)
    known = [row for row in rows if row.trial.score is not None and row.trial.parameters is not None]
    costs = [(-row.trial.score, row.trial.parameters) for row in known]  # type: ignore[operator]  # known
    beaten = [any(c[0] <= cost[0] and c[1] <= cost[1] and c != cost for c in costs) for cost in costs]
    assert kept == [row for row, is_beaten in zip(known, beaten, strict=True) if not is_beaten]


def test_of_a_loss_less_is_better() -> None:
    fields = Fields("val_loss", False)
    rows = rank([Trial(0, score=0.5, parameters=1), Trial(1, score=0.3, parameters=1)], False)
    assert [row.trial.number for row in Selection.read(fields, pareto="val_loss,parameters").of(rows)] == [1]
    assert [row.trial.number for row in Selection.read(fields, sort="val_loss").of(rows)] == [1, 0]


@pytest.mark.parametrize(
    ("pareto", "said"),
    [
        ("val_accuracy", "allowed: two fields or more"),
        ("val_accuracy,val", "allowed: two fields or more"),
        ("val_accuracy,state", "of which neither more nor less is better; allowed: rank, val_accuracy"),
        ("val_accuracy,sped", "allowed: rank"),
    ],
)
def test_a_front_that_means_nothing_is_refused(pareto: str, said: str) -> None:
    with pytest.raises(InputError, match=f"--pareto got .*{said}"):
        Selection.read(FIELDS_OF_ACCURACY, pareto=pareto)


# ---- the order


@given(boards, st.sampled_from(NUMBERS), st.sampled_from(["", "+", "-"]))
def test_a_sort_has_the_best_first_and_the_unknown_last(rows: list[Row], name: str, sign: str) -> None:
    found = Selection.read(FIELDS_OF_ACCURACY, sort=sign + name).of(rows)
    known = [of(row, name) for row in found if of(row, name) is not None]
    largest_first = sign == "-" or (not sign and name in ("val_accuracy", "train"))
    assert known == sorted(known, reverse=largest_first)
    assert [of(row, name) for row in found][len(known) :] == [None] * (len(rows) - len(known))
    places = {id(row): place for place, row in enumerate(rows)}
    for one, other in pairwise(found):
        assert of(one, name) != of(other, name) or places[id(one)] < places[id(other)], "equal ones stay as ranked"


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"--sort got 'paramters'; allowed: rank, .*Did you mean parameters"):
        Selection.read(FIELDS_OF_ACCURACY, sort="-paramters")


def test_what_may_have_been_meant_is_asked_once() -> None:
    assert did_you_mean("val_f", ["val_f1", "val_f1", "other"]) == " Did you mean val_f1?"
    with pytest.raises(InputError) as caught:
        Fields("val_f1", True).find("val_f", "--where")
    assert str(caught.value).endswith(" Did you mean val_f1?")
