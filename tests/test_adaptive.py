"""The adaptive strategy: where it begins, whom it stops, who goes on, and what lies near."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.addresses import Choices, Parameter
from hpsearch.check import check
from hpsearch.declare import Anything
from hpsearch.domains import Between, between, one_of
from hpsearch.recipe import HyperModel, recipe_hash
from hpsearch.resolve import answers_of, resolve
from hpsearch.spacefile import load_space
from hpsearch.strategies.adaptive import Adaptive, Settings
from hpsearch.strategies.distributions import distribution_of, internal_value
from hpsearch.strategies.neighbours import neighbour
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.starts import STARTS

SPACES = sorted((Path(__file__).resolve().parents[1] / "spaces").glob("*.py"))
X = Parameter("x", Between(0.0, 1.0))
BARE = Settings(starts=0, like=0.0, first_rung=1 / 3, spacing=3, keep=1 / 3)
"""Proposals at random, one rung after three of nine epochs."""


@pytest.fixture
def adaptive():
    def made(settings=BARE, *, maximize=True, epochs=9):
        return Adaptive(Record(None, "study", maximize=maximize), 5, epochs, settings)

    return made


def begun(strategy):
    asked = strategy.ask()
    strategy.suggest(asked.number, X)
    strategy.resolved(asked.number)
    return asked


def trained(strategy, number, scores, first=1):
    """Report scores until the strategy stops the trial, and end it."""
    for epoch, score in enumerate(scores, start=first):
        strategy.report(number, epoch, score)
        if strategy.should_stop(number):
            strategy.stop(number, score)
            return epoch
    strategy.complete(number, max(scores))
    return epoch


# ---- where it begins


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_start_is_a_point_of_every_space(path):
    space = load_space(path)
    if isinstance(space.search.model, HyperModel):
        pytest.skip("its choices are known only when it is built")
    recipes = [resolve(space.search, start.choice) for start in STARTS]
    for recipe in recipes:
        check(recipe, Anything())
        assert answers_of(space.search, recipe)
    assert len({recipe_hash(recipe) for recipe in recipes}) >= 3


def test_a_start_takes_what_comes_nearest():
    usual = next(start for start in STARTS if start.name == "usual")
    domains = {
        "training.optimizer(Adam).learning_rate": (between(1e-2, 1e-1, log=True), 0.01),
        "model.body.stages": (between(1, 2), 2),
        "model.body.stages[2].filters[0]": (one_of(16, 100, 160), 160),
        "model.body.stages[0].filters": (between(1, 3), 2),
        "model.body.stages[1].filters": (between(16, 256, step=16), 64),
        "training.batch_size": (one_of(16, 96, 512), 96),
        "batch_size": (one_of(32, 64, 128), 64),
        "model.body.stages[0].pool_size": (one_of(2, 3, 4), 2),
        "image_size": (one_of(64, 128, 256), 128),
        "size": (one_of(64, 128, 256), 128),
        "model.logit_scale": (between(0.05, 1.0, log=True), 1.0),
    }
    for name, (domain, chosen) in domains.items():
        asked = Choices(domain.labels, domain.ordinal) if hasattr(domain, "labels") else domain
        assert usual.choice(Parameter(name, asked)) == chosen, name
    labels = Choices(("once_per_stage", None, "after_activation"))
    assert usual.choice(Parameter("model.body.batchnorm", labels)) == "after_activation"


def test_the_small_start_differs_from_the_quick_one_in_the_body_and_its_input_alone():
    quick, small = (next(start for start in STARTS if start.name == name) for name in ("quick", "small"))
    sizes = Choices((32, 64, 96, 128), ordinal=True)
    assert quick.choice(Parameter("model.body.input_size", sizes)) == 128
    assert [small.choice(Parameter(name, sizes)) for name in ("model.body.input_size", "img_size", "size")] == [64] * 3
    assert small.choice(Parameter("model.body", Choices(("VGG16", "ConvNet")))) == "ConvNet"
    for path in SPACES:
        space = load_space(path)
        if not isinstance(space.search.model, HyperModel):
            small_, quick_ = (answers_of(space.search, resolve(space.search, each.choice)) for each in (small, quick))
            if small_.get("model.body", "ConvNet") == quick_.get("model.body", "ConvNet"):
                assert {**small_, "model.body.input_size": 0} == {**quick_, "model.body.input_size": 0}, path.stem


def test_what_no_start_knows_is_taken_from_the_middle():
    usual = STARTS[0]
    assert usual.choice(Parameter("model.noise", Between(0.0, 1.0))) == 0.5
    assert usual.choice(Parameter("model.strength", Between(1e-6, 1e-2, log=True))) == pytest.approx(1e-4)
    assert usual.choice(Parameter("model.depth", Choices((2, 4, 8, 16), ordinal=True))) == 4
    assert usual.choice(Parameter("model.kind", Choices(("plain", "deep")))) == "plain"


def test_the_starts_come_first_and_each_once(adaptive):
    strategy = adaptive(Settings(first_rung=1.0))
    asked_for = [Parameter("units", Between(16, 512)), Parameter("dropout", Between(0.0, 0.5))]
    wanted = list(dict.fromkeys(tuple(start.choice(each) for each in asked_for) for start in STARTS))
    assert 1 < len(wanted) < len(STARTS), "some starts mean the same here"
    made = []
    for _ in wanted:
        asked = strategy.ask()
        made.append(tuple(strategy.suggest(asked.number, each) for each in asked_for))
        strategy.resolved(asked.number)
        strategy.complete(asked.number, 0.5)
    assert made == wanted
    asked = strategy.ask()
    assert "start" not in strategy.record.attributes(asked.number)


# ---- who is stopped, who goes on


def test_only_the_best_third_passes_a_rung(adaptive):
    strategy = adaptive()
    ends = [trained(strategy, begun(strategy).number, [score] * 9) for score in (0.5, 0.6, 0.4, 0.7, 0.3, 0.65)]
    # Nobody is stopped before three have come to the rung; of six, two may pass.
    assert ends == [9, 9, 3, 9, 3, 9]


def test_who_ended_before_a_rung_is_compared_there(adaptive):
    strategy = adaptive()
    for score in (0.5, 0.6):
        assert trained(strategy, begun(strategy).number, [score] * 2) == 2, "early stopping ends a trial"
    assert trained(strategy, begun(strategy).number, [0.4] * 9) == 3


@pytest.mark.parametrize("maximize", [True, False])
def test_who_was_stopped_goes_on_once_it_is_among_the_best(adaptive, maximize):
    strategy = adaptive(maximize=maximize)
    sign = 1 if maximize else -1
    for score in (0.5, 0.6, 0.55):
        last = begun(strategy).number
        trained(strategy, last, [sign * score] * 9)
    assert strategy.may_continue(last)
    for score in (0.1, 0.2, 0.3):
        assert begun(strategy).parent is None
        trained(strategy, strategy.last_number, [sign * score] * 9)
    asked = begun(strategy)
    assert asked.parent == last, "of six at the rung two may go on"
    assert strategy.record.trials()[asked.number].params == strategy.record.trials()[last].params
    assert not strategy.may_continue(last), "it has gone on"
    for epoch in (1, 2, 3):
        strategy.report(asked.number, epoch, sign * 0.55)
    assert trained(strategy, asked.number, [sign * 0.9] * 6, first=4) == 9
    assert begun(strategy).parent is None


def test_who_was_stopped_by_others_does_not_go_on(adaptive):
    """By a user, or because it takes too long: in the very epoch in which the strategy might have stopped it."""
    strategy = adaptive()
    for score in (0.5, 0.6):
        trained(strategy, begun(strategy).number, [score] * 9)
    last = begun(strategy).number
    for epoch in (1, 2, 3):
        strategy.report(last, epoch, 0.55)
    strategy.stop(last, 0.55)
    assert not strategy.may_continue(last)
    for score in (0.1, 0.2, 0.3):
        trained(strategy, begun(strategy).number, [score] * 9)
    assert begun(strategy).parent is None


def test_so_many_checkpoints_stay_and_no_more(adaptive):
    strategy = adaptive(Settings(starts=0, like=0.0, first_rung=1 / 3, paused=2, keep=0.1))
    numbers = []
    for score in (0.9, 0.8, 0.3, 0.5, 0.4, 0.6):
        numbers.append(begun(strategy).number)
        trained(strategy, numbers[-1], [score] * 9)
    assert [strategy.may_continue(number) for number in numbers] == [False, False, False, True, False, True]


def test_who_could_not_work_is_no_example(adaptive):
    strategy = adaptive(Settings(starts=0, like=1.0, known=1, first_rung=1.0))
    broken = begun(strategy).number
    strategy.report(broken, 1, 0.99)
    strategy.infeasible(broken)
    good = begun(strategy).number
    trained(strategy, good, [0.5])
    asked = begun(strategy)
    assert strategy.record.attributes(asked.number)["like"] == good


def test_later_proposals_lie_near_the_best(adaptive):
    strategy = adaptive(Settings(starts=0, like=1.0, known=1, best=1, first_rung=1.0))
    names = [Parameter(f"p{at}", Between(0.0, 1.0)) for at in range(10)]
    kept = []
    for trial in range(30):
        number = strategy.ask().number
        made = [strategy.suggest(number, name) for name in names]
        strategy.resolved(number)
        if trial == 0:
            first = made
        kept.append(sum(left == right for left, right in zip(first, made, strict=True)))
        trained(strategy, number, [1.0 if trial == 0 else 0.0])
    assert 6 < sum(kept[1:]) / len(kept[1:]) < 9.5, "two of ten choices change on average"


def test_nobody_is_made_like_the_best_of_a_few(adaptive):
    strategy = adaptive(Settings(starts=0, like=1.0, known=3, first_rung=1.0))
    for trial in range(5):
        number = begun(strategy).number
        assert ("like" in strategy.record.attributes(number)) == (trial >= 3)
        trained(strategy, number, [0.1 * trial])


# ---- what lies near

DOMAINS = st.one_of(
    st.tuples(st.integers(-5, 5), st.integers(1, 40)).map(lambda ends: Between(ends[0], ends[0] + ends[1])),
    st.tuples(st.floats(1e-6, 1.0), st.floats(2.0, 1e4), st.booleans()).map(
        lambda ends: Between(ends[0], ends[0] * ends[1], log=ends[2])
    ),
    st.integers(1, 9).map(lambda count: Choices(tuple(2**at for at in range(count)), ordinal=count > 1)),
    st.integers(1, 5).map(lambda count: Choices((None, "a", True, 1, 0.5)[:count])),
)


@given(domain=DOMAINS, seed=st.integers(0, 2**31), start=st.integers(0, len(STARTS) - 1))
def test_a_neighbour_is_another_value_that_is_allowed(domain, seed, start):
    chosen = STARTS[start].choice(Parameter("model.anything", domain))
    distribution = distribution_of(domain)
    value = internal_value(domain, chosen)
    near = neighbour(distribution, value, Random(seed))
    assert distribution._contains(distribution.to_internal_repr(near))
    if not distribution.single() and not (isinstance(domain, Between) and not domain.whole):
        assert near != value or type(near) is not type(value)
