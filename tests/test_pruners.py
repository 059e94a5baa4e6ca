"""Who stops trials: on curves as training gives them, the clearly worse are stopped and the best never is."""

import math
import random

import pytest
import sqlalchemy

from hpsearch.addresses import Parameter
from hpsearch.domains import Between
from hpsearch.strategies.names import PRUNERS
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.pruners import Rungs, make_pruner, rungs
from hpsearch.strategies.sampled import Sampled

EPOCHS = 27
RATE = Parameter("rate", Between(0.0, 1.0))


@pytest.fixture
def opened(tmp_path):
    def opened(pruner, maximize=True, epochs=EPOCHS):
        record = Record(tmp_path / f"{pruner}.db", "study", maximize=maximize)
        engine = record.study._storage._backend.engine  # the system may write when it likes: the power stays on
        sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        engine.dispose()
        return Sampled(record, make_pruner(pruner, epochs), "random", 0)

    return opened


def curve(quality, noise):
    """Validation accuracy: at chance for two epochs, then up to its plateau, with noise."""
    draws = random.Random(noise)
    grown = [quality * (1 - math.exp(-epoch / 5)) if epoch > 2 else 0.1 for epoch in range(1, EPOCHS + 1)]
    return [value + draws.uniform(-0.02, 0.02) for value in grown]


def train(strategy, values, number=None):
    """Report until the strategy stops it; after how many epochs that was, or None."""
    number = strategy.ask().number if number is None else number
    strategy.suggest(number, RATE)
    for epoch, value in enumerate(values, 1):
        strategy.report(number, epoch, value)
        if strategy.should_stop(number):
            strategy.stop(number, max(values[:epoch]))
            return epoch
    strategy.complete(number, max(values))
    return None


QUALITIES = [0.5, 0.7, 0.6, 0.8, 0.65, 0.75, 0.55, 0.72, 0.2, 0.68, 0.95, 0.15, 0.3, 0.74, 0.25]
BEST, WORST = QUALITIES.index(0.95), [8, 11, 12, 14]


@pytest.mark.parametrize("pruner", ["median", "asha"])
@pytest.mark.parametrize("maximize", [True, False])
def test_the_clearly_worse_are_stopped_and_the_best_is_not(opened, pruner, maximize):
    strategy = opened(pruner, maximize)
    sign = 1 if maximize else -1
    stopped = [train(strategy, [sign * v for v in curve(q, n)]) for n, q in enumerate(QUALITIES)]
    assert stopped[BEST] is None
    assert all(stopped[worse] for worse in WORST)
    assert max(stopped[worse] for worse in WORST) <= EPOCHS // 2, "early enough to be worth it"
    assert not any(stopped[:2]), "two trials say nothing about each other"


def test_hyperband_compares_within_brackets_and_lets_one_bracket_alone(opened):
    strategy = opened("hyperband")
    pruner = strategy.pruner
    stopped = [train(strategy, curve(0.2 + 0.6 * (n % 10) / 10, n)) for n in range(40)]
    brackets = [pruner._bracket(strategy.record.study, trial) for trial in strategy.record.trials()]
    assert set(brackets) == {0, 1, 2}
    earliest = {
        b: min((s for s, at in zip(stopped, brackets, strict=True) if s and at == b), default=None) for b in (0, 1, 2)
    }
    assert earliest == {0: 3, 1: 9, 2: None}
    assert stopped[9::10] == [None] * 4, "the best of all are never stopped"


def test_none_stops_nobody(opened):
    strategy = opened("none")
    assert [train(strategy, [value] * 5) for value in (1.0, 0.9, 0.9, 0.0)] == [None] * 4


@pytest.mark.parametrize("pruner", PRUNERS)
def test_what_was_adopted_is_never_stopped(opened, pruner):
    strategy = opened(pruner)
    for noise in range(8):
        train(strategy, curve(0.9, noise))
    assert train(strategy, curve(0.2, 99), strategy.adopt([(RATE, 0.5)], "by_hand")) is None


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_a_verdict_that_was_lost_in_a_kill_is_found_again(opened, pruner):
    """Told to the run that was killed before it ended the trial, it is told to the next one."""
    strategy = opened(pruner)
    for noise in range(8):
        train(strategy, curve(0.9, noise))
    number = strategy.ask().number
    strategy.suggest(number, RATE)
    for epoch, value in enumerate(curve(0.2, 99), 1):
        strategy.report(number, epoch, value)
        if strategy.should_stop(number):
            break
    again = opened(pruner)
    assert [each.asked.number for each in again.reopen()] == [number]
    again.report(number, epoch, 1.0)  # trained once more; the first report counts
    assert again.record.trials()[number].intermediate_values[epoch] == value
    assert again.should_stop(number)


def test_rungs_leave_most_of_the_training_above_them():
    assert [rungs(epochs) for epochs in (1, 2, 3, 9, 27, 30, 100)] == [[], [], [1], [1, 3], [3, 9], [3, 9], [11, 33]]


def test_a_rung_is_judged_once(opened):
    strategy = opened("asha", epochs=9)
    for value in (0.9, 0.8, 0.7):
        train(strategy, [value] * 9)
    number = strategy.ask().number
    strategy.suggest(number, RATE)
    verdicts = []
    for epoch in range(1, 10):
        strategy.report(number, epoch, 0.1)
        verdicts.append(strategy.should_stop(number))
    assert verdicts == [True, False, True, False, False, False, False, False, False]
    assert isinstance(strategy.pruner, Rungs)
