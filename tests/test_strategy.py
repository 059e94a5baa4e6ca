"""Optuna as the strategy: how choices are proposed and recorded, and what it learns from failures."""

import optuna
import pytest

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between
from hpsearch.errors import StudyError
from hpsearch.strategies.optuna import OptunaStrategy, check_database
from hpsearch.strategies.turns import Turns

BATCH = Parameter("training.batch_size", Choices((32, 64, 256), ordinal=True))
POOL = Parameter("model.pooling", Choices(("flatten", "average", None)))
DROPOUT = Parameter("model.dropout", Between(0.0, 0.6, 0.1))
RATE = Parameter("rate", Between(1e-4, 1e-1, log=True))
UNITS = Parameter("units", Between(8, 64, 8))
ALL = (BATCH, POOL, DROPOUT, RATE, UNITS)


@pytest.fixture
def opened(tmp_path):
    """Open the study; again, as a later run would."""

    def opened(seed=0, file="study.db", maximize=True):
        return OptunaStrategy(tmp_path / file, "study", maximize=maximize, seed=seed)

    return opened


@pytest.fixture
def recorded(tmp_path):
    """The trials as Optuna itself reads them."""

    def recorded(file="study.db"):
        return optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path / file}").trials

    return recorded


def proposed(strategy, parameters=ALL, **options):
    number = strategy.ask(**options)
    return number, {parameter.name: strategy.suggest(number, parameter) for parameter in parameters}


class TestProposals:
    def test_are_values_of_the_domains(self, opened):
        strategy = opened()
        seen = [proposed(strategy)[1] for _ in range(30)]
        assert {values["training.batch_size"] for values in seen} == {32, 64, 256}
        assert {values["model.pooling"] for values in seen} == {"flatten", "average", None}
        assert {values["model.dropout"] for values in seen} <= {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, "no 0.3000000004"
        assert all(values["units"] % 8 == 0 and type(values["units"]) is int for values in seen)
        assert all(1e-4 <= values["rate"] <= 1e-1 for values in seen)
        assert all(len(f"{values['rate']:.10g}".replace(".", "").lstrip("0").split("e")[0]) <= 4 for values in seen)

    def test_of_a_scale_are_recorded_by_position(self, opened, recorded):
        strategy = opened()
        number, values = proposed(strategy, (BATCH,))
        params = recorded()[number].params
        assert params == {"training.batch_size#position": BATCH.domain.labels.index(values["training.batch_size"])}

    def test_are_the_same_for_the_same_seed_only(self, opened):
        first, same, other = opened(3, "a.db"), opened(3, "b.db"), opened(4, "c.db")
        draws = [[proposed(strategy)[1] for _ in range(5)] for strategy in (first, same, other)]
        assert draws[0] == draws[1] != draws[2]

    def test_of_a_resumed_run_do_not_repeat_the_first_draws(self, opened):
        first = opened()
        before = []
        for _ in range(5):
            number, values = proposed(first)
            first.complete(number, 0.5)
            before.append(values)
        second = opened()
        after = [proposed(second)[1] for _ in range(5)]
        assert not [values for values in after if values in before]

    def test_at_random_need_no_model(self, opened):
        strategy = opened()
        assert len({str(proposed(strategy, at_random=True)[1]) for _ in range(10)}) == 10


class TestChangingChoices:
    """A ``build(hp)`` may offer other values under one name."""

    @pytest.mark.parametrize(
        "other",
        [
            Choices(("a", "b", "c")),
            Choices((1, 2), ordinal=False),
            Between(1, 9),
            Between(0.5, 2.0),
            Between(1, 9, log=True),
        ],
        ids=["more labels", "numbers", "whole range", "range", "log range"],
    )
    def test_are_recorded_under_a_name_of_their_own(self, opened, recorded, other):
        strategy = opened()
        strategy.complete(proposed(strategy, (Parameter("x", Choices(("a", "b"))),))[0], 1.0)
        for again in (strategy, opened()):
            again.complete(proposed(again, (Parameter("x", other),))[0], 1.0)
            again.complete(proposed(again, (Parameter("x", Choices(("a", "b"))),))[0], 1.0)
        names = [tuple(trial.params) for trial in recorded()]
        assert names[0] == names[2] == names[4] == ("x",)
        assert names[1] == names[3] != ("x",)
        assert names[1][0].startswith("x ")

    def test_a_range_may_grow(self, opened, recorded):
        strategy = opened()
        for high in (4, 8):
            strategy.complete(proposed(strategy, (Parameter("x", Between(1, high)),))[0], 1.0)
        assert [tuple(trial.params) for trial in recorded()] == [("x",), ("x",)]


class TestFixedChoices:
    CHOICES = ((BATCH, 64), (POOL, None), (DROPOUT, 0.3), (UNITS, 24))

    def test_of_a_baseline_are_recorded_and_kept(self, opened, recorded):
        strategy = opened()
        number = strategy.ask(self.CHOICES)
        for parameter, value in self.CHOICES:
            assert strategy.suggest(number, parameter) == value
        strategy.complete(number, 0.9)
        assert recorded()[number].params == {
            "training.batch_size#position": 1,
            "model.pooling": None,
            "model.dropout": 0.3,
            "units": 24,
        }

    def test_what_is_not_fixed_is_proposed(self, opened):
        strategy = opened()
        number = strategy.ask(self.CHOICES)
        assert strategy.suggest(number, RATE) in RATE.domain

    def test_of_an_interrupted_trial_are_made_again(self, opened):
        strategy = opened()
        number, values = proposed(strategy)
        strategy.forget(number)
        again = opened()
        assert proposed(again)[1] != values
        number = again.ask_again(number)
        assert {parameter.name: again.suggest(number, parameter) for parameter in ALL} == values


class TestRecord:
    def test_ends_as_optuna_names_them(self, opened, recorded):
        strategy = opened()
        numbers = [proposed(strategy)[0] for _ in range(4)]
        for number in numbers:
            strategy.report(number, 1, 0.25)
        strategy.complete(numbers[0], 0.5)
        strategy.stop(numbers[1])
        strategy.infeasible(numbers[2])
        strategy.forget(numbers[3])
        trials = recorded()
        assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "PRUNED", "FAIL"]
        assert trials[0].value == 0.5
        assert all(trial.intermediate_values == {1: 0.25} for trial in trials)

    def test_what_an_earlier_run_left_open_is_taken_over(self, opened, recorded):
        strategy = opened()
        left = [proposed(strategy)[0] for _ in range(2)]
        strategy._study.enqueue_trial({"units": 64})  # killed before it asked
        again = opened()
        assert again.reopen() == [*left, 2]
        again.complete(left[0], 0.7)
        again.forget(left[1])
        again.forget(2)
        assert [trial.state.name for trial in recorded()] == ["COMPLETE", "FAIL", "FAIL"]
        assert opened().reopen() == []

    def test_the_smaller_loss_is_better_where_that_is_asked(self, opened, tmp_path):
        strategy = opened(maximize=False)
        for loss in (0.3, 0.1, 0.2):
            strategy.complete(proposed(strategy)[0], loss)
        storage = f"sqlite:///{tmp_path / 'study.db'}"
        assert optuna.load_study(study_name="study", storage=storage).best_value == 0.1

    def test_a_file_that_is_no_database(self, opened, tmp_path):
        (tmp_path / "study.db").write_text("none" * 100)
        with pytest.raises(StudyError, match="is not an SQLite database"):
            opened()

    def test_a_missing_or_empty_file_is_no_fault(self, tmp_path):
        check_database(tmp_path / "none.db")
        assert not (tmp_path / "none.db").exists()
        (tmp_path / "empty.db").touch()
        check_database(tmp_path / "empty.db")


def test_a_region_that_cannot_be_trained_is_left(opened):
    """Half of the range fails; told as FAIL, which Optuna overlooks, the share of failures would rise instead."""
    strategy = opened()
    parameters = [Parameter(name, Between(0.0, 1.0)) for name in ("width", "other", "third")]
    failed = []
    for _ in range(80):
        number, values = proposed(strategy, parameters)
        failed.append(values["width"] > 0.5)
        if failed[-1]:
            strategy.infeasible(number)
        else:
            strategy.complete(number, -abs(values["width"] - 0.35))
    assert sum(failed[:20]) >= 5, "the draws at the start are spread over all of the range"
    assert sum(failed[40:]) <= 6, failed


COSTS = {"large": 100.0, "small": 1.0, "medium": 10.0}


class TestTurns:
    def test_without_a_time_budget_the_cheapest_comes_first(self):
        turns = Turns(COSTS, None)
        turns.rate = 1.0
        assert turns.early(COSTS, 0.0) == "small"
        assert turns.early(["large"], 1e9) == "large"
        assert not turns.due(COSTS, float("inf"))

    def test_before_anything_was_timed_the_cheapest_may_go(self):
        assert Turns(COSTS, 8.0).early(COSTS, 0.0) == "small"

    def test_what_does_not_fit_into_its_share_waits_until_the_end(self):
        turns = Turns(COSTS, 80.0)
        turns.rate = 1.0
        assert turns.early(COSTS, 0.0) == "small"
        assert turns.early(["large", "medium"], 1.0) == "medium"
        assert turns.early(["large"], 11.0) is None
        assert turns.late(["large"]) == "large"
        assert turns.late([]) is None

    def test_time_is_kept_for_those_that_wait(self):
        turns = Turns({"a": 5.0, "b": 10.0, "c": 100.0}, 80.0)
        turns.rate = 1.0
        assert not turns.due(["a", "b", "c"], 15.5)
        assert turns.due(["a", "b", "c"], 15.0)
        assert not turns.due(["c"], 1.0), "what never fits is not waited for"
