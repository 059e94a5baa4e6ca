"""One trial may not take far more than a time budget."""

import pytest

from hpsearch.limits import Limits
from hpsearch.study import Epoch


def said(number, seconds, budget, epochs=30):
    return Limits(seconds=budget).too_slow(Epoch(number, seconds, {}), epochs)


def test_without_a_time_budget_no_trial_is_too_slow():
    assert said(1, 1e6, None) == ""


@pytest.mark.parametrize(("number", "seconds", "slow"), [(1, 20, False), (1, 25, True), (2, 11, False), (2, 13, True)])
def test_the_first_epoch_is_given_time_to_compile(number, seconds, slow):
    assert bool(said(number, seconds, budget=180)) is slow


def test_a_trial_that_passed_is_left_alone():
    assert said(3, 1000, budget=450) == ""


def test_it_says_what_it_would_have_taken():
    assert said(2, 120, budget=1700) == "too slow: 30 epochs of 120 s are over twice the time budget"
