"""Proposals that are made while trials are trained: what they know, and that nobody waits for them."""

import os
import signal
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from hpsearch.addresses import Parameter
from hpsearch.domains import Between
from hpsearch.errors import RunError
from hpsearch.strategies import keras_tuner, sampled
from hpsearch.strategies.ahead import BESIDE, Ahead, known_to
from hpsearch.strategies.keras_tuner import KerasTuner
from hpsearch.strategies.optuna import Record
from hpsearch.strategies.sampled import Sampled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import handover  # beside the tests, not installed

from hpsearch.messages import EpochDone, Go  # likewise

LONG = 60
"""Seconds after which something that should happen soon will not happen any more."""
AXES = [Parameter(axis, Between(0.0, 1.0)) for axis in "xy"]


def trial(number, state=TrialState.COMPLETE, value=0.5, beside=None):
    attributes = {} if beside is None else {BESIDE: beside}
    made = create_trial(state=state, value=value if state == TrialState.COMPLETE else None, user_attrs=attributes)
    made.number = number
    return made


class TestWhatAProposalKnows:
    def test_what_was_open_when_the_trial_before_it_began_is_open_to_it(self):
        trials = [trial(0), trial(1, TrialState.PRUNED), trial(2), trial(3, beside=[1]), trial(4)]
        known = known_to(4, trials)
        assert [each.state.name for each in known] == ["COMPLETE", "RUNNING", "COMPLETE", "RUNNING"]
        assert [each.value for each in known] == [0.5, None, 0.5, None]
        assert known[1].datetime_complete is None
        assert [each.state.name for each in trials] == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE", "COMPLETE"]

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_without_a_memory_of_that_it_knows_all_before_it(self, number):
        trials = [trial(0), trial(1), trial(2)]
        assert known_to(number, trials) == trials[:number]

    def test_a_memory_of_another_trial_says_nothing(self):
        trials = [trial(0, beside=[]), trial(1)]
        assert known_to(2, trials) == trials, "only the trial just before it counts"
        assert known_to(5, trials) == trials, "those between them are not written"


class TestAhead:
    def test_a_proposal_is_made_without_being_asked_for(self):
        ahead, made = Ahead(), threading.Event()
        ahead.begin(7, lambda: made.set() or "it")
        assert made.wait(LONG)
        assert ahead.has(7)
        assert ahead.take() == "it"
        assert not ahead.has(7)
        ahead.close()

    def test_who_cannot_have_it_yet_is_told_once(self):
        ahead, go, told = Ahead(), threading.Event(), threading.Semaphore(0)
        ahead.begin(1, lambda: go.wait(LONG))
        assert not ahead.ready(told.release)
        assert not ahead.ready(told.release)
        go.set()
        assert told.acquire(timeout=LONG)
        assert ahead.ready(told.release)
        assert ahead.take()
        assert not told.acquire(blocking=False)
        ahead.close()

    def test_another_takes_the_place_of_one_that_nobody_wants(self):
        ahead, go = Ahead(), threading.Event()
        ahead.begin(1, lambda: go.wait(LONG))
        ahead.begin(2, lambda: "two")
        go.set()
        assert not ahead.has(1)
        assert ahead.take() == "two"
        ahead.close()

    def test_what_went_wrong_is_raised_to_who_takes_it(self):
        ahead = Ahead()
        ahead.begin(1, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ahead.take()
        ahead.close()


def trained(strategy, number, score):
    """Choose all, and train."""
    for axis in AXES:
        strategy.suggest(number, axis)
    strategy.resolved(number)
    strategy.complete(number, score)


def test_from_a_number_of_trials_on_the_next_one_is_drawn_before_it_is_asked_for(tmp_path, monkeypatch):
    drawn, at = [], threading.Semaphore(0)
    real = sampled._drawn

    def counted(sampler, kinds, seen, draft):
        drawn.append((draft.number, len([each for each in seen.get_trials() if each.state == TrialState.COMPLETE])))
        at.release()
        return real(sampler, kinds, seen, draft)

    monkeypatch.setattr(sampled, "_drawn", counted)
    monkeypatch.setattr(sampled, "AHEAD", {"tpe": 4})
    strategy = Sampled(Record(tmp_path / "study.db", "study", maximize=True), None, "tpe", 1)
    for number in range(6):
        assert strategy.ask().number == number
        trained(strategy, number, number / 10)
        assert at.acquire(timeout=LONG)
    assert at.acquire(timeout=LONG), "one that nobody asked for"
    assert drawn == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5)], "from 4 on without the last one's score"
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [each.user_attrs.get(BESIDE) for each in study.trials] == [None, None, None, [], [], []]
    strategy.close()


def test_a_hand_made_network_in_between_makes_it_be_drawn_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "AHEAD", {"tpe": 1})
    strategy = Sampled(Record(tmp_path / "study.db", "study", maximize=True), None, "tpe", 1)
    trained(strategy, strategy.ask().number, 0.5)
    strategy.complete(strategy.adopt([(axis, 0.25) for axis in AXES], "by_hand"), 0.9)
    asked = strategy.ask()
    assert asked.number == 2
    trained(strategy, 2, 0.7)
    assert [each.state.name for each in strategy.record.trials()] == ["COMPLETE"] * 3
    strategy.close()


def test_keras_tuner_is_not_waited_for_at_the_end(tmp_path, monkeypatch):
    """Its process is stopped in the middle of an answer, which so never comes."""
    monkeypatch.setattr(keras_tuner, "AHEAD", {"bayesian": 1})
    strategy = KerasTuner(Record(tmp_path / "study.db", "study", maximize=True), None, "bayesian", 5, 9)
    number = strategy.ask().number
    os.kill(strategy._oracle.pid, signal.SIGSTOP)
    trained(strategy, number, 0.5)
    told = threading.Event()
    assert not strategy.prepared(told.set)
    ahead = strategy._ahead._begun[1]
    strategy.close()
    assert told.wait(LONG)
    assert strategy._oracle.pid is None
    assert ahead.cancelled() or isinstance(ahead.exception(LONG), RunError)


def test_those_who_train_are_listened_to_while_a_proposal_is_made(tmp_path, monkeypatch):
    """A proposal that only comes once an epoch was answered: who waited for it would wait for ever."""
    wanted, heard = threading.Event(), threading.Event()
    real = sampled._drawn

    def slow(sampler, kinds, seen, draft):
        if draft.number == 6:
            wanted.set()
            assert heard.wait(LONG), "no epoch was answered meanwhile"
        return real(sampler, kinds, seen, draft)

    class Watched(handover.Standing):
        def listen(self, seconds):
            said = super().listen(seconds)
            self.last = said[0].message if said else None
            return said

        def send(self, slot, message):
            if isinstance(message, Go) and isinstance(self.last, EpochDone) and wanted.is_set():
                heard.set()
            super().send(slot, message)

        def _trained(self, slot, task, ask):
            def after(message):
                assert not isinstance(message, EpochDone) or wanted.wait(LONG)
                return ask(message)

            return super()._trained(slot, task, after if task.folder.name.endswith("5") else ask)

    monkeypatch.setattr(sampled, "_drawn", slow)
    monkeypatch.setattr(sampled, "AHEAD", {"tpe": 3})
    monkeypatch.setattr(handover, "Standing", Watched)
    standing = handover.searched(tmp_path, "tpe", 10, 2)
    assert heard.is_set()
    assert len(standing.waits) == 8, "ten trials, the first of each of two slots aside"
    for thread in threading.enumerate():
        if thread.name.startswith("hpsearch-proposal"):
            thread.join(LONG)
            assert not thread.is_alive(), "the run closes its strategy"
