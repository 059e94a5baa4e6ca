"""The parts of the coordinator that decide: which failure means what, when nothing improves any more, who is silent."""

import pytest

from hpsearch.coordinator import crew as crew_module
from hpsearch.coordinator.crew import Crew, Lapse
from hpsearch.coordinator.ledger import Ledger
from hpsearch.coordinator.policies import ALIKE, POLICIES, failed_alike
from hpsearch.errors import InputError
from hpsearch.executors.base import Health, Slot
from hpsearch.limits import Target
from hpsearch.space import Objective
from hpsearch.study.trial import FailureKind, Trial


def failed(kind, message="", **more):
    return Trial(0, "FAIL", failure=kind, message=message, **more)


class TestFailuresThatAreAlike:
    def test_every_kind_has_a_policy(self):
        assert set(POLICIES) == set(FailureKind.__args__)

    def test_five_of_one_kind_are(self):
        assert failed_alike([failed("user_code", f"no {n}") for n in range(ALIKE)])

    def test_four_are_not_yet(self):
        assert not failed_alike([failed("user_code")] * (ALIKE - 1))

    def test_one_that_trained_among_the_first_says_that_it_can_work(self):
        assert not failed_alike([Trial(0, "COMPLETE"), *[failed("user_code")] * 10])

    def test_two_kinds_are_two_reasons(self):
        assert not failed_alike([failed("user_code")] * 3 + [failed("not_finite")] * 3)

    def test_networks_that_do_not_fit_in_different_ways_are_the_space_s_own_affair(self):
        same = [failed("invalid_model", f"stage {n} is too deep") for n in range(ALIKE)]
        assert failed_alike(same), "only the number differs"
        assert not failed_alike([*same[1:], failed("invalid_model", "the kernel is too large")])


def scored(number, score, **more):
    return Trial(number, "COMPLETE", score=score, finished=float(number), **more)


class TestLedger:
    @pytest.mark.parametrize(
        ("scores", "in_a_row"),
        [
            ([], 0),
            ([0.5], 0),
            ([0.5, 0.5, 0.5], 2),
            ([0.5, 0.502, 0.504], 2),  # the standard error of 0.5 on 1,000 images is 0.016
            ([0.5, 0.51, 0.52], 0),  # not by the one before, but by the last that counted
            ([0.5, 0.6, 0.4, 0.7, 0.2], 1),
        ],
    )
    def test_an_improvement_counts_when_it_is_larger_than_noise(self, scores, in_a_row):
        trials = [scored(number, score) for number, score in enumerate(scores)]
        ledger = Ledger(trials, Objective.parse("max val_accuracy"), validation_classes=[500, 500])
        assert ledger.without_improvement() == in_a_row

    def test_a_smaller_loss_is_an_improvement(self):
        trials = [scored(number, score) for number, score in enumerate([1.0, 0.9, 0.95, 0.89, 0.9])]
        assert Ledger(trials, Objective.parse("min val_loss"), [50, 50]).without_improvement() == 1

    def test_baselines_doubles_and_open_trials_say_nothing_about_the_search(self):
        trials = [
            scored(0, 0.9, baseline="by_hand"),
            scored(1, 0.5),
            Trial(2, "FAIL", failure="invalid_model", finished=2.0),
            Trial(3, "RUNNING"),
        ]
        assert Ledger(trials, Objective.parse("max val_accuracy"), [50, 50]).without_improvement() == 0

    def test_open_trials_are_claimed_but_do_not_count_yet(self):
        trials = [scored(0, 0.9, baseline="by_hand"), scored(1, 0.5), Trial(2), Trial(3, baseline="other")]
        ledger = Ledger(trials, Objective.parse("max val_accuracy"), [50, 50])
        assert (ledger.counted(), ledger.claimed()) == (1, 2)

    def test_the_double_of_a_trial_that_is_still_open_is_known(self):
        ledger = Ledger([Trial(0, hash="a")], Objective.parse("max val_accuracy"), [50, 50])
        assert ledger.trained_before(Trial(1, hash="a"))
        assert not ledger.trained_before(Trial(1, hash="b"))
        assert not ledger.trained_before(ledger.trials[0])


class Silent:
    """An executor whose workers say nothing; what the system says about them is set by the test."""

    def __init__(self, slots=2):
        self.slots = tuple(Slot(number, "cpu") for number in range(slots))
        self.stopped = set()
        self.memory = 100
        self.killed = []
        self.waits = 0.0

    def start(self, slot):
        pass

    def kill(self, slot):
        self.killed.append(slot)

    def health(self, slot):
        return Health(1, True, slot in self.stopped, self.memory)

    def listen(self, seconds):
        self.clock.now += self.waits
        return []


@pytest.fixture
def crew(monkeypatch):
    """A crew on a clock that the test turns, and its executor."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    executor = Silent()
    executor.clock = Clock()
    monkeypatch.setattr(crew_module, "time", executor.clock)
    return Crew(executor, hang_timeout=60.0, ready=(0,)), executor


class TestCrew:
    def test_a_worker_that_says_nothing_for_too_long_hangs(self, crew):
        crew, executor = crew
        crew.took(0)
        for _ in range(60):
            executor.waits = 1.0
            crew.listen(1.0)
            assert crew.lapses() == []
        crew.listen(1.0)
        assert crew.lapses() == [Lapse(0, "it gave no sign of life for 60 s")]

    def test_an_idle_worker_may_be_silent(self, crew):
        crew, executor = crew
        executor.clock.now += 10_000
        assert crew.lapses() == []

    def test_a_worker_that_does_not_get_ready_hangs_too(self, crew):
        crew, executor = crew
        crew.start(1)
        executor.clock.now += 61
        assert [lapse.slot for lapse in crew.lapses()] == [1]

    def test_what_was_suspended_as_a_whole_is_not_blamed_on_the_workers(self, crew):
        crew, executor = crew
        crew.took(0)
        executor.waits = 3600.0  # Ctrl-Z, and an hour later fg
        crew.listen(1.0)
        assert crew.lapses() == []

    def test_a_long_pause_of_the_coordinator_is_not_either(self, crew):
        crew, executor = crew
        crew.took(0)
        crew.listen(1.0)
        executor.clock.now += 3600.0
        crew.listen(1.0)
        assert crew.lapses() == []

    def test_a_worker_that_a_signal_stopped_is_given_up_soon(self, crew):
        crew, executor = crew
        crew.took(0)
        executor.stopped = {0}
        assert crew.lapses() == [], "it may be continued"
        executor.clock.now += crew_module.STOPPED_FOR
        assert crew.lapses() == [Lapse(0, "a signal stopped it and nobody continued it")]

    def test_one_that_was_continued_is_not(self, crew):
        crew, executor = crew
        crew.took(0)
        executor.stopped = {0}
        crew.lapses()
        executor.stopped = set()
        crew.lapses()
        executor.clock.now += crew_module.STOPPED_FOR
        executor.stopped = {0}
        assert crew.lapses() == []

    def test_a_worker_is_let_go_after_many_trials(self, crew):
        crew, executor = crew
        for _ in range(crew_module.TRIALS_A_WORKER):
            assert executor.killed == []
            crew.took(0)
            crew.gave_back(0)
        assert executor.killed == [0]
        assert crew.places[0].state == "off"

    def test_a_worker_is_let_go_when_its_memory_has_grown(self, crew):
        crew, executor = crew
        crew.took(0)
        executor.memory += crew_module.GROWTH + 1
        crew.gave_back(0)
        assert executor.killed == [0]


class TestTarget:
    @pytest.mark.parametrize(
        ("text", "metrics", "reached"),
        [
            ("val_accuracy>=0.95", {"val_accuracy": 0.95}, True),
            ("val_accuracy>0.95", {"val_accuracy": 0.95}, False),
            (" val_loss <= 0.1 ", {"val_loss": 0.1}, True),
            ("val_loss<0.1", {"val_loss": 0.1}, False),
            ("loss<1e-3", {"loss": float("nan")}, False),
            ("accuracy>=1", {"val_accuracy": 1.0}, False),
        ],
    )
    def test_it_is_reached_or_not(self, text, metrics, reached):
        assert Target.parse(text).reached(metrics) is reached

    @pytest.mark.parametrize("text", ["", "0.95", "val_accuracy", "val_accuracy=0.95", "speed>3", "val_loss<low"])
    def test_anything_else_is_refused_with_what_is_allowed(self, text):
        with pytest.raises(InputError, match=r"allowed: one of val_accuracy, val_loss"):
            Target.parse(text)
