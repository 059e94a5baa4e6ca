"""The grid: every recipe once, whatever is asked below which answer, and however many trials are open."""

import contextlib

import pytest

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between
from hpsearch.errors import InputError
from hpsearch.strategies.grid import Grid
from hpsearch.strategies.optuna import Record

KIND = Parameter("kind", Choices(("plain", None, "deep")))
DEPTH = Parameter("depth", Choices((1, 2, 4), ordinal=True))
DROPOUT = Parameter("dropout", Between(0.0, 0.5, 0.25))
UNITS = Parameter("units", Between(3, 4))
RATE = Parameter("rate", Between(1e-4, 1e-1, log=True))


def walk(suggest):
    """Three kinds; only the deep one has a depth, and units only where that is 4."""
    kind = suggest(KIND)
    if kind == "deep" and suggest(DEPTH) == 4:
        suggest(UNITS)
    suggest(DROPOUT)


EVERY = (
    [(kind, rate) for kind in ("plain", None) for rate in (0.0, 0.25, 0.5)]
    + [("deep", depth, rate) for depth in (1, 2) for rate in (0.0, 0.25, 0.5)]
    + [("deep", 4, units, rate) for units in (3, 4) for rate in (0.0, 0.25, 0.5)]
)


@pytest.fixture
def opened(tmp_path):
    return lambda: Grid(Record(tmp_path / "study.db", "study", maximize=True), None)


def choose(grid, number, ask=walk):
    made = []

    def suggest(parameter):
        made.append(grid.suggest(number, parameter))
        return made[-1]

    ask(suggest)
    return tuple(made)


def finish(grid, number, how="complete"):
    if how == "complete":
        grid.complete(number, 0.5)
    else:
        getattr(grid, how)(number)


def test_every_recipe_once_in_order(opened):
    grid, seen = opened(), []
    while (asked := grid.ask()) is not None:
        seen.append(choose(grid, asked.number))
        finish(grid, asked.number, ["complete", "infeasible", "forget"][asked.number % 3])
    assert seen == EVERY


@pytest.mark.parametrize("slots", [2, 5, 30])
def test_every_recipe_once_with_several_open(opened, slots):
    grid, seen, waiting = opened(), [], []
    while True:
        while len(waiting) < slots and (asked := grid.ask()) is not None:
            waiting.append(asked.number)
            seen.append(choose(grid, asked.number))
        if not waiting:
            break
        finish(grid, waiting.pop(len(waiting) // 2))
    assert sorted(map(str, seen)) == sorted(map(str, EVERY))


def test_trials_that_are_asked_before_any_has_chosen_do_not_meet(opened):
    grid = opened()
    first = grid.ask().number
    assert grid.ask() is None, "nobody knows yet whether there is more than one recipe"
    grid.suggest(first, KIND)
    others = [grid.ask().number for _ in range(2)]
    assert grid.ask() is None
    kinds = [grid.suggest(number, KIND) for number in (first, *reversed(others))]
    assert sorted(map(str, kinds)) == ["None", "deep", "plain"]


def test_a_choice_that_is_asked_for_late_opens_new_places(opened):
    """As in a ``fit(hp)``, long after the other choices were made."""
    grid = opened()
    one = Parameter("one", Choices(("only",)))
    number = grid.ask().number
    grid.suggest(number, one)
    grid.resolved(number)
    assert grid.ask() is None
    assert grid.suggest(number, UNITS) == 3
    second = grid.ask().number
    assert (grid.suggest(second, one), grid.suggest(second, UNITS)) == ("only", 4)
    finish(grid, number)
    finish(grid, second)
    assert grid.ask() is None


def test_what_was_adopted_is_not_proposed_again(opened):
    grid = opened()
    number = grid.adopt([(KIND, None), (DROPOUT, 0.25)], "by_hand")
    seen = [choose(grid, number)]
    finish(grid, number)
    while (asked := grid.ask()) is not None:
        seen.append(choose(grid, asked.number))
        finish(grid, asked.number)
    assert seen[0] == (None, 0.25)
    assert sorted(map(str, seen)) == sorted(map(str, EVERY))


@pytest.mark.parametrize("written", [False, True], ids=["drafts", "written"])
@pytest.mark.parametrize("chosen", [0, 1, 2, 3])
def test_a_later_run_goes_on_where_trials_were_left(opened, chosen, written):
    first = opened()
    for _ in range(8):
        number = first.ask().number
        done = choose(first, number)
        finish(first, number)
    left = [first.ask().number for _ in range(3)]

    class Enough(Exception):
        pass

    for number in left:
        made = []

        def suggest(parameter, number=number, made=made):
            if len(made) == chosen:
                raise Enough
            made.append(first.suggest(number, parameter))
            return made[-1]

        with contextlib.suppress(Enough):
            walk(suggest)
    if written:  # those before it are written with it, as far as they are
        choose(first, left[-1])
        first.resolved(left[-1])
    second = opened()
    again = [each.asked.number for each in second.reopen()]
    assert again == (left if written else [])
    rest = [choose(second, number) for number in again]
    for number in again:
        finish(second, number)
    while (asked := second.ask()) is not None:
        rest.append(choose(second, asked.number))
        finish(second, asked.number)
    assert EVERY.index(done) == 7
    assert sorted(map(str, rest)) == sorted(map(str, EVERY[8:]))


def test_a_build_that_raises_before_its_last_choice_is_not_tried_for_ever(opened):
    grid, tries = opened(), 0
    while (asked := grid.ask()) is not None and tries < 100:
        grid.suggest(asked.number, KIND)
        tries += 1
        grid.infeasible(asked.number)
    assert tries == 3
    assert opened().ask() is None


def test_a_continuous_range_is_refused_when_it_is_met(opened):
    grid = opened()
    number = grid.ask().number
    with pytest.raises(InputError, match="rate has infinitely many; give it a step or a few values"):
        grid.suggest(number, RATE)


def test_labels_that_python_takes_for_equal_are_told_apart(opened):
    grid, seen = opened(), []
    parameter = Parameter("mixed", Choices((1, True, 1.0, "1", None)))
    while (asked := grid.ask()) is not None:
        seen.append(grid.suggest(asked.number, parameter))
        grid.resolved(asked.number)
        assert repr(opened().record.trials()[asked.number].params["mixed"]) == repr(repr(seen[-1]))
        finish(grid, asked.number)
    assert list(map(repr, seen)) == ["1", "True", "1.0", "'1'", "None"]


def test_a_build_that_asks_for_other_choices_in_the_same_place_ends(opened):
    """What a choice depends on may be no choice; then the grid walks what it can and still comes to an end."""
    grid = opened()
    for turn in range(100):
        asked = grid.ask()
        if asked is None:
            break
        grid.suggest(asked.number, KIND if turn % 2 else DEPTH)
        finish(grid, asked.number)
    assert asked is None
    assert turn >= 3
