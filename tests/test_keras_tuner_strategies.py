"""Keras Tuner's oracles under our loop: promotions, failures, and the process they live in."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between
from hpsearch.errors import RunError
from hpsearch.strategies import keras_tuner
from hpsearch.strategies.keras_tuner import KerasTuner
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.oracle_process import Oracle
from hpsearch.strategies.oracle_questions import Bracket, Dimension, Past, Question

SOURCE = Path(__file__).resolve().parents[1] / "search"
X = Parameter("x", Between(0.0, 1.0))
KIND = Parameter("kind", Choices(("a", None, 3, True)))
UNITS = Parameter("units", Choices((8, 64, 128), ordinal=True))
SHARE = Parameter("share", Between(0.0, 0.5, 0.1))
WIDTH = Parameter("width", Between(2, 64, log=True))
ALL = (X, KIND, UNITS, SHARE, WIDTH)


@pytest.fixture(scope="module")
def oracle():
    """One process for all tests; what it was told of other trials does not count."""
    oracle = Oracle()
    yield oracle
    oracle.close()


@pytest.fixture
def opened(tmp_path, oracle, monkeypatch):
    monkeypatch.setattr(oracle, "start", oracle.start if oracle.pid is None else lambda: None)
    monkeypatch.setattr(keras_tuner, "Oracle", lambda: oracle)

    def opened(kind, epochs=9, maximize=True):
        return KerasTuner(Record(tmp_path / f"{kind}.db", "study", maximize=maximize), None, kind, 5, epochs)

    return opened


def choose(strategy, number, parameters=ALL):
    return {parameter.name: strategy.suggest(number, parameter) for parameter in parameters}


class TestHyperband:
    def bracket(self, strategy, end):
        """Let the first nine trials run; end them by the function."""
        numbers = []
        for _ in range(9):
            asked = strategy.ask()
            assert (asked.epochs, asked.parent) == (1, None)
            numbers.append(asked.number)
            choose(strategy, asked.number)
        for number in numbers:
            end(number)
        return numbers

    @pytest.mark.parametrize("maximize", [True, False])
    def test_the_best_third_goes_on_from_its_checkpoints(self, opened, maximize):
        strategy = opened("hyperband", maximize=maximize)
        score = {n: (n * 7 % 9) / 9 for n in range(9)}
        self.bracket(strategy, lambda n: strategy.complete(n, score[n]))
        best = sorted(score, key=score.get, reverse=maximize)
        second = [strategy.ask() for _ in range(3)]
        assert [(asked.epochs, asked.parent) for asked in second] == [(3, parent) for parent in best[:3]]
        for asked in second:
            made = choose(strategy, asked.number)
            trials = strategy.record.trials()
            assert trials[asked.number].params == trials[asked.parent].params
            assert made
        for asked in second:
            strategy.complete(asked.number, score[asked.parent])
        third = strategy.ask()
        assert (third.epochs, third.parent) == (9, second[0].number)
        following = strategy.ask()
        assert (following.epochs, following.parent) == (3, None), "the next bracket starts with longer training"

    def test_failures_neither_end_it_nor_hold_up_the_others(self, opened):
        """Seven of nine cannot work; the two that can go on, and no third that has no checkpoint."""
        strategy = opened("hyperband")
        good = (3, 6)
        self.bracket(strategy, lambda n: strategy.complete(n, n / 10) if n in good else strategy.infeasible(n))
        second = [strategy.ask() for _ in range(3)]
        assert [(asked.epochs, asked.parent) for asked in second] == [(3, 6), (3, 3), (3, None)]
        for asked in second:
            choose(strategy, asked.number)
            strategy.complete(asked.number, 0.5 + asked.number / 100)
        assert strategy.ask().parent == second[1].number

    def test_a_double_takes_no_place(self, opened):
        strategy = opened("hyperband")
        for _ in range(4):
            number = strategy.ask().number
            choose(strategy, number)
            strategy.forget(number)
        numbers = self.bracket(strategy, lambda n: strategy.complete(n, n / 100))
        assert strategy.ask().parent == numbers[-1]

    def test_a_promotion_that_is_given_up_is_not_made_again(self, opened):
        strategy = opened("hyperband")
        self.bracket(strategy, lambda n: strategy.complete(n, n / 10))
        first = strategy.ask()
        strategy.forget(first.number)
        assert (first.parent, strategy.ask().parent) == (8, 7)

    def test_checkpoints_are_kept_while_they_may_be_wanted(self, opened):
        strategy = opened("hyperband")
        wanted = lambda: [n for n in range(strategy.last_number + 1) if strategy.may_continue(n)]  # noqa: E731  # a word
        numbers = [strategy.ask().number for _ in range(9)]
        for number in numbers:
            choose(strategy, number)
        for number in numbers[:5]:
            strategy.complete(number, number / 10)
        assert wanted() == [2, 3, 4, 5, 6, 7, 8], "three are better than 0 and 1; those that are open may be the best"
        for number in numbers[5:]:
            strategy.complete(number, number / 10) if number != 7 else strategy.infeasible(number)
        assert wanted() == [5, 6, 8]
        child = strategy.ask()
        assert child.parent == 8
        assert wanted() == [5, 6, 8, child.number], "the child may have to start again"
        choose(strategy, child.number)
        strategy.complete(child.number, 0.9)
        assert wanted() == [5, 6, child.number]

    def test_what_was_adopted_takes_no_place(self, opened):
        strategy = opened("hyperband")
        number = strategy.adopt([(X, 0.5)], "by_hand")
        strategy.complete(number, 1.0)
        numbers = self.bracket(strategy, lambda n: strategy.complete(n, n / 100))
        assert strategy.ask().parent == numbers[-1]
        assert not strategy.may_continue(number)


@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband"])
def test_a_choice_that_is_met_first_is_drawn_at_random(opened, kind):
    strategy = opened(kind)
    first = choose(strategy, strategy.ask().number)
    assert first != {"x": 0.0, "kind": "a", "units": 8, "share": 0.0, "width": 2}, "Keras Tuner's default"
    number = strategy.ask().number
    choose(strategy, number)
    late = {strategy.suggest(number, Parameter(f"late{n}", Between(0.0, 1.0))) for n in range(5)}
    assert len(late) == 5


def test_every_value_is_reached(opened):
    """The upper bound of a float with a step, which Keras Tuner never draws, and labels of several types."""
    strategy = opened("random")
    seen = []
    for _ in range(60):
        number = strategy.ask().number
        seen.append(choose(strategy, number))
        strategy.forget(number)
    assert {each["share"] for each in seen} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert {repr(each["kind"]) for each in seen} == {"'a'", "None", "3", "True"}
    assert {each["units"] for each in seen} == {8, 64, 128}
    assert all(2 <= each["width"] <= 64 and type(each["width"]) is int for each in seen)


def test_a_gaussian_process_avoids_what_could_not_work(opened):
    """The left half fails; told as failures, Keras Tuner would overlook them and come again."""
    strategy, failed = opened("bayesian"), []
    for _ in range(14):
        number = strategy.ask().number
        x = strategy.suggest(number, X)
        failed.append(x < 0.5)
        if failed[-1]:
            strategy.infeasible(number)
        else:
            strategy.complete(number, 1 - abs(x - 0.6))
    assert any(failed[:6])
    assert sum(failed[8:]) <= 1, failed


def test_choices_that_changed_are_drawn_from_what_is_offered_now(opened):
    strategy = opened("random")
    for high in (4, 64, 4, 64, 4):
        number = strategy.ask().number
        domain = Between(1, high)
        assert strategy.suggest(number, Parameter("units", domain)) in domain
        strategy.complete(number, 0.5)


# ---- the process


def question(**changes):
    return Question(
        **{
            "kind": "random",
            "seed": 1,
            "maximize": True,
            "epochs": 9,
            "number": 0,
            "dimensions": (Dimension("x", 0.0, 1.0),),
            "trials": (),
            **changes,
        }
    )


def test_a_process_that_is_killed_is_started_again(oracle):
    before = oracle.propose(question())
    pid = oracle.pid
    os.kill(pid, signal.SIGKILL)
    assert oracle.propose(question()) == before
    assert oracle.pid != pid


class Overheard:
    """A connection that remembers which trials it sent."""

    def __init__(self, connection):
        self.connection = connection
        self.sent = []

    def send(self, message):
        self.sent.append([past.number for past in message[0].trials])
        self.connection.send(message)

    def recv(self):
        return self.connection.recv()

    def close(self):
        self.connection.close()


def test_a_trial_is_told_again_only_when_it_changed(oracle):
    def past(number, x, score):
        return Past(number, {"x": x}, score, True, True, True, {"x": x})

    def pasts():
        return [past(number, number / 5, (number % 3) / 3) for number in range(5)]

    def asked(trials):
        return oracle.propose(question(kind="bayesian", number=len(trials), trials=tuple(trials)))

    first, other = pasts(), past(3, 0.1, 1.0)
    before = asked(first)
    oracle._connection = overheard = Overheard(oracle._connection)
    answers = [asked(first), asked([*first[:3], other, first[4]]), asked(first[:2]), asked(first)]
    assert overheard.sent == [[], [3], [], [3]]
    assert answers[0] == answers[3] == before
    os.kill(oracle.pid, signal.SIGKILL)
    again = pasts()  # none of them was told before
    assert [asked(again), asked([*again[:3], other, again[4]]), asked(again[:2])] == answers[:3]


def test_ctrl_c_and_a_lost_terminal_leave_it_alone(oracle):
    before = oracle.propose(question())
    pid = oracle.pid
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert oracle.propose(question()) == before
    assert oracle.pid == pid


def test_what_keras_tuner_refuses_is_said_in_a_sentence(oracle):
    twice = Past(0, {"x": 0.5}, 0.5, True, True, True, {}, Bracket(7, 9, 0))
    with pytest.raises(RunError, match="Keras Tuner's hyperband oracle failed: IndexError"):
        oracle.propose(question(kind="hyperband", number=1, trials=(twice,)))


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_it_ends_with_the_coordinator(how, tmp_path, wait_for):
    driver = tmp_path / "driver.py"
    driver.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(SOURCE)!r})
            from hpsearch.strategies.oracle_process import Oracle
            if __name__ == "__main__":
                oracle = Oracle()
                oracle.start()
                print(oracle.pid, flush=True)
                if {how!r} == "kill":
                    time.sleep(600)
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(driver)], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    if how == "kill":
        process.kill()
    process.wait(timeout=60)
    process.stdout.close()

    def gone():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"  # ended; whoever inherits it has not looked yet

    wait_for(gone, "the end of the oracle's process")


def test_opening_one_imports_neither_keras_nor_keras_tuner(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import hpsearch.strategies.keras_tuner, hpsearch.strategies.choose, hpsearch.strategies.oracles\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'keras', 'keras_tuner', 'tensorflow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SOURCE)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
