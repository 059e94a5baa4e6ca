"""Means over seeds and examples: intervals that hold what they say, verdicts that luck does not sway."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as known

from hpsearch.results.jackknife import chance, measurable, measured, pseudovalues
from hpsearch.results.verdict import Estimate, estimate, luck_of_epochs, student, verdict

CLASSES = ("accuracy", "loss", "auc", "f1", "precision", "recall")
AMOUNTS = ("mae", "rmse", "r2")


def random_numbers(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def answers(random, n, classes, right=0.7):
    """Labels, and probabilities whose largest is the label's more often than not."""
    labels = random.integers(0, classes, n)
    raw = random.random((n, classes))
    raw[np.arange(n), labels] += (random.random(n) < right) * 1.0
    return raw / raw.sum(axis=1, keepdims=True), labels


class TestJackknife:
    @pytest.mark.parametrize("metric", CLASSES)
    @pytest.mark.parametrize("classes", [2, 3])
    def test_a_pseudovalue_is_what_leaving_the_example_out_changes(self, metric, classes):
        outputs, labels = answers(random_numbers(), 40, classes)
        self.check(metric, outputs, labels)

    @pytest.mark.parametrize("metric", AMOUNTS)
    def test_so_it_is_for_amounts(self, metric):
        random = random_numbers()
        amounts = random.normal(100, 20, 30)
        self.check(metric, (amounts + random.normal(0, 5, 30))[:, None], amounts)

    @staticmethod
    def check(metric, outputs, labels):
        n = len(labels)
        whole = measured(metric, outputs, labels)
        found = pseudovalues(metric, outputs, labels)
        for place in range(n):
            others = np.arange(n) != place
            without = measured(metric, outputs[others], labels[others])
            assert found[place] == pytest.approx(n * whole - (n - 1) * without, abs=1e-9)

    def test_of_an_accuracy_it_is_whether_the_answer_is_right(self):
        outputs, labels = answers(random_numbers(), 50, 4)
        assert pseudovalues("accuracy", outputs, labels) == pytest.approx((outputs.argmax(axis=1) == labels) * 1.0)

    @pytest.mark.parametrize("classes", [2, 4])
    def test_metrics_are_those_that_everybody_knows(self, classes):
        outputs, labels = answers(random_numbers(), 200, classes)
        told = outputs.argmax(axis=1)
        average = "binary" if classes == 2 else "macro"
        for metric, score in (
            ("f1", known.f1_score),
            ("precision", known.precision_score),
            ("recall", known.recall_score),
        ):
            assert measured(metric, outputs, labels) == pytest.approx(score(labels, told, average=average))
        area = known.roc_auc_score(labels, outputs[:, 1] if classes == 2 else outputs, multi_class="ovr")
        assert measured("auc", outputs, labels) == pytest.approx(area)
        assert measured("loss", outputs, labels) == pytest.approx(known.log_loss(labels, outputs))

    def test_metrics_of_amounts_are_too(self):
        random = random_numbers()
        amounts = random.normal(100, 20, 80)
        told = amounts + random.normal(1, 5, 80)
        assert measured("mae", told[:, None], amounts) == pytest.approx(known.mean_absolute_error(amounts, told))
        assert measured("rmse", told[:, None], amounts) == pytest.approx(known.root_mean_squared_error(amounts, told))
        assert measured("r2", told[:, None], amounts) == pytest.approx(known.r2_score(amounts, told))

    def test_what_cannot_be_had_is_said(self):
        assert all(measurable(metric, amounts=False) == "" for metric in CLASSES)
        assert all(measurable(metric, amounts=True) == "" for metric in AMOUNTS)
        assert "min val_mae" in measurable("loss", amounts=True)


class TestChance:
    LABELS = np.array([0] * 50 + [1] * 30 + [2] * 20)

    def test_of_classes_it_is_the_largest(self):
        assert chance("accuracy", self.LABELS, 3).mean() == pytest.approx(0.5)

    def test_of_a_loss_it_is_what_the_shares_give(self):
        entropy = -sum(p * math.log(p) for p in (0.5, 0.3, 0.2))
        assert chance("loss", self.LABELS, 3).mean() == pytest.approx(entropy)

    def test_of_an_area_it_is_a_half(self):
        assert chance("auc", self.LABELS, 3).mean() == 0.5

    def test_of_amounts_it_is_the_median(self):
        amounts = np.array([1.0, 2.0, 3.0, 100.0])
        assert chance("mae", amounts, 0).mean() == pytest.approx(np.abs(amounts - 2.5).mean())
        assert chance("r2", amounts, 0).mean() == pytest.approx(0)

    @pytest.mark.parametrize("metric", ["precision", "recall"])
    def test_where_one_answer_for_all_is_rewarded_there_is_none(self, metric):
        assert chance(metric, self.LABELS, 3) is None


class TestStudent:
    @pytest.mark.parametrize(("freedom", "reach"), [(1, 12.706), (2, 4.303), (3, 3.182), (10, 2.228), (1e6, 1.960)])
    def test_it_is_that_of_the_tables(self, freedom, reach):
        assert student(freedom) == pytest.approx(reach, abs=5e-4)

    @given(st.floats(1, 5000), st.floats(1.01, 2))
    @settings(max_examples=25, deadline=None)
    def test_the_more_is_known_the_less_it_reaches(self, freedom, times):
        assert student(freedom * times) < student(freedom)


def simulated(random, seeds, examples, of_seeds, of_examples, of_both):
    """A matrix whose true mean is 0."""
    rows, columns = random.normal(0, of_seeds, (seeds, 1)), random.normal(0, of_examples, (1, examples))
    return rows + columns + random.normal(0, of_both, (seeds, examples))


class TestCoverage:
    SPREADS = (
        pytest.param(0.0, 1.0, 1.0, id="examples alone"),
        pytest.param(0.05, 1.0, 1.0, id="seeds and examples alike"),
        pytest.param(1.0, 0.1, 1.0, id="mostly seeds"),
        pytest.param(0.03, 0.0, 0.3, id="a difference of two"),
    )

    @pytest.mark.parametrize(("of_seeds", "of_examples", "of_both"), SPREADS)
    @pytest.mark.parametrize("seeds", [3, 5])
    def test_the_interval_holds_the_truth_as_often_as_it_says(self, seeds, of_seeds, of_examples, of_both):
        random, times = random_numbers(seeds), 600
        found = [estimate(simulated(random, seeds, 200, of_seeds, of_examples, of_both)) for _ in range(times)]
        share = sum(each.low <= 0 <= each.high for each in found) / times
        assert 0.91 < share < 0.99  # 0.95 with a standard error of 0.009

    def test_shares_of_right_answers_are_held_too(self):
        """Accuracies: each seed has its own, and some examples are hard for all."""
        random, times, held = random_numbers(1), 400, 0
        for _ in range(times):
            easy = random.beta(8, 1, (1, 300)) * (1 - random.uniform(0, 0.04, (3, 1)))
            found = estimate((random.random((3, 300)) < easy) * 1.0)
            held += found.low <= 8 / 9 * 0.98 <= found.high
        assert 0.91 < held / times < 0.99

    def test_forgetting_that_seeds_differ_would_not_hold(self):
        random, times, held = random_numbers(2), 300, 0
        for _ in range(times):
            values = simulated(random, 3, 200, 0.3, 1, 1)
            reach = 1.96 * values.mean(axis=0).std(ddof=1) / math.sqrt(200)
            held += abs(values.mean()) < reach
        assert held / times < 0.7

    def test_pairs_are_compared_more_exactly_than_strangers(self):
        random = random_numbers()
        shared = simulated(random, 3, 300, 0.1, 1, 0)
        one, other = (shared + random.normal(0, 0.2, (3, 300)) + shift for shift in (0.15, 0.0))
        paired = estimate(one - other)
        assert verdict(paired, maximize=True) == "better"
        apart = [estimate(each) for each in (one, other)]
        assert apart[0].low < apart[1].high

    def test_one_seed_has_a_mean_and_no_interval(self):
        found = estimate(np.array([[1.0, 0.0, 1.0, 1.0]]))
        assert found == Estimate(0.75)
        assert verdict(found, maximize=True) is None


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "maximize", "said"),
        [
            (0.1, 0.3, True, "better"),
            (0.1, 0.3, False, "worse"),
            (-0.3, -0.1, True, "worse"),
            (-0.3, -0.1, False, "better"),
            (-0.1, 0.3, True, "tie"),
            (0.0, 0.0, True, "tie"),
        ],
    )
    def test_only_an_interval_without_zero_tells_two_apart(self, low, high, maximize, said):
        assert verdict(Estimate((low + high) / 2, low, high), maximize=maximize) == said

    @pytest.mark.parametrize("places", [(3, 3), (3, 7)])
    def test_seeds_that_agree_by_accident_make_nobody_sure(self, places):
        """Each of two seeds is wrong on one example more, the same one or another."""
        difference = np.zeros((2, 287))
        for seed, place in enumerate(places):
            difference[seed, place] = -1
        found = estimate(difference)
        assert found.high - found.low > 0.004
        assert verdict(found, maximize=True) == "tie"

    def test_networks_of_one_quality_are_mostly_a_tie(self):
        """The best of three that are in truth no better than the fourth is seldom called better."""
        random, times, wrong = random_numbers(3), 300, 0
        for _ in range(times):
            easy = random.beta(6, 1, (1, 300))
            right = [(random.random((3, 300)) < easy + random.normal(0, 0.01, (3, 1))) * 1.0 for _ in range(4)]
            best = max(right[1:], key=lambda each: each.mean())
            wrong += verdict(estimate(best - right[0]), maximize=True) == "better"
        assert wrong / times < 0.1


class TestLuckOfEpochs:
    def test_it_covers_what_choosing_the_best_epoch_gives_a_guesser(self):
        random = random_numbers()
        best = []
        for _ in range(300):
            epochs = (random.random((20, 400)) < 0.1) * 1.0
            best.append(epochs[epochs.mean(axis=1).argmax()])
        excess = float(np.mean([each.mean() for each in best])) - 0.1
        luck = luck_of_epochs(np.stack(best), [20] * 300)
        assert excess > 0.02  # nothing was learned, and yet
        assert luck == pytest.approx(excess, rel=0.25)

    def test_a_single_epoch_is_not_chosen(self):
        assert luck_of_epochs(np.array([[0.0, 1.0, 1.0]]), [1]) == 0
