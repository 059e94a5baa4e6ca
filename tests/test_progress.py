"""How long a run will take, as far as one can tell from what it did so far."""

import pytest

from hpsearch.cli.progress import Progress, time_left
from hpsearch.events import Budget
from hpsearch.study import Epoch, Trial


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("budget", "mean", "running", "counting", "left"),
    [
        (Budget(0, None, 0.0, None), 100.0, (), 0, None),
        (Budget(0, 10, 0.0, None), None, (), 0, None),
        (Budget(5, 10, 50.0, None), 10.0, (), 0, 50.0),
        (Budget(5, 10, 50.0, None), 10.0, (4.0,), 1, 44.0),
        (Budget(5, 10, 50.0, 60.0), 10.0, (4.0,), 1, 10.0),
        (Budget(5, 10, 50.0, None, slots=4), 10.0, (4.0, 4.0, 8.0, 4.0), 4, 8.0),
        (Budget(5, 105, 50.0, None, slots=4), 10.0, (4.0, 4.0, 8.0, 4.0), 4, 245.0),
        (Budget(5, 10, 50.0, None, slots=2), 10.0, (30.0,), 0, 40.0),
        (Budget(12, 10, 40.0, None), 50.0, (), 0, 0.0),
        (Budget(5, 10, 70.0, 60.0), 10.0, (), 0, 0.0),
    ],
)
def test_time_left(
    budget: Budget, mean: float | None, running: tuple[float, ...], counting: int, left: float | None
) -> None:
    assert time_left(budget, budget.seconds_done, mean, running, counting) == left


def progress(clock: Clock) -> Progress:
    return Progress("val_accuracy", True, None, clock)


def train(watcher: Progress, clock: Clock, trial: Trial, seconds: float, epochs: int, budget: Budget) -> None:
    """Some epochs of a trial."""
    for number in range(trial.epochs + 1, trial.epochs + epochs + 1):
        clock.now += seconds
        watcher.epoch(trial, Epoch(number, seconds, {"val_accuracy": 0.5}), budget)


def test_before_a_trial_has_ended_the_running_ones_tell_the_pace() -> None:
    clock = Clock()
    run, budget = progress(clock), Budget(0, 10, 0.0, None, slots=2)
    run.started(Trial(number=0, epochs_budget=10), budget)
    assert run.time_left is None
    train(run, clock, run.running[0].trial, 10.0, 5, budget)
    # 50 s are left of this trial and 9 others of 100 s are to come, on two slots.
    assert run.time_left == pytest.approx((50 + 900) / 2)


def test_the_first_epoch_compiles_and_tells_the_pace_only_until_there_is_another() -> None:
    clock = Clock()
    run, budget = progress(clock), Budget(0, None, 0.0, None)
    trial = Trial(number=0, epochs_budget=10)
    run.started(trial, budget)
    run.epoch(trial, Epoch(1, 100.0, {}), budget)
    assert run.running[0].left(clock.now) == pytest.approx(900)
    run.epoch(trial, Epoch(2, 10.0, {}), budget)
    assert run.running[0].left(clock.now) == pytest.approx(80)
    clock.now += 4
    assert run.running[0].left(clock.now) == pytest.approx(76)
    clock.now += 1000
    assert run.running[0].left(clock.now) == pytest.approx(70), "an epoch that takes long brings the next no nearer"


def test_a_trial_that_goes_on_knows_its_pace_and_its_best_from_before() -> None:
    clock = Clock()
    run, budget = progress(clock), Budget(0, None, 0.0, None)
    trial = Trial(number=0, epochs=4, epochs_budget=10, seconds=80.0, score=0.75)
    run.started(trial, budget)
    assert run.running[0].left(clock.now) == pytest.approx(120)
    assert run.running[0].share == pytest.approx(0.4)
    train(run, clock, trial, 30.0, 1, budget)
    assert run.running[0].best == 0.75
    assert run.running[0].left(clock.now) == pytest.approx(100), "the first epoch compiles again"


def test_only_trials_that_count_tell_how_long_the_others_take() -> None:
    clock = Clock()
    run = progress(clock)
    for number, (seconds, done) in enumerate(((1000.0, 0), (10.0, 1), (1.0, 1), (30.0, 2))):
        trial = Trial(number=number, epochs=1, seconds=seconds, baseline="by_hand" if number == 0 else None)
        run.ended(trial, None, Budget(done, 10, 0.0, None))
    assert run.time_left == pytest.approx(8 * 20.0)


def test_the_time_used_does_not_fall_back_when_nothing_runs_any_more() -> None:
    clock = Clock()
    run, budget = progress(clock), Budget(0, None, 5.0, None)
    first, second = Trial(number=0), Trial(number=1)
    run.started(first, budget)
    run.started(second, budget)
    clock.now += 10
    run.left(first)
    clock.now += 10
    assert run.seconds_done == 25.0
    run.stop()
    clock.now += 10
    assert run.seconds_done == 25.0
