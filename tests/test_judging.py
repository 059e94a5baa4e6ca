"""From the record of finals to verdicts: records written here by hand, so that what is true is known."""

import numpy as np
import pytest

from hpsearch.coordinator.agenda import Repeat
from hpsearch.results.contest import entrants
from hpsearch.results.finals import read_finals, write_finals
from hpsearch.results.judging import judged
from hpsearch.study.folder import open_study, studies_in
from hpsearch.study.trial import Trial
from studies import begin

SEEDS = (11, 12, 13)
IMAGES = 400


def study_of(folder, objective="max val_accuracy", classes=10):
    classes_ = [str(number) for number in range(classes)]
    study = begin(folder, "mine", objective=objective, class_names=classes_, validation_images=IMAGES)
    info = study.info()
    info.name = "mine/finals"
    study.finals.create(info, "")
    return study


def tried(study, number, score, baseline=None, **more):
    """A trial of the search."""
    trial = Trial(number, "COMPLETE", baseline, score=score, hash=more.pop("hash", f"hash {number}"), **more)
    study.trial(number).write(trial)
    return trial


class Stage:
    """Writes finals as workers and coordinator would.

    Args:
        study: The study.
        labels: Of the validation part.
    """

    def __init__(self, study, labels):
        self.study, self.labels, self.number = study, labels, 0
        np.savez(study.finals.path / "validation_labels.npz", labels=labels)

    def play(self, trial, seed, outputs, score, epochs=1, **more):
        final = Trial(self.number, "COMPLETE", parent=trial.number, seed=seed, score=score, epochs=epochs, **more)
        folder = self.study.finals.trial(self.number)
        folder.write(final)
        np.savez(folder.path / "validation.npz", predictions=outputs.astype("float32"))
        self.number += 1

    def guess(self, trial, seed, right):
        """A final that answers these right and the others wrong."""
        told = np.where(right, self.labels, (self.labels + 1) % 10)
        self.play(trial, seed, np.eye(10)[told], float(right.mean()))


@pytest.fixture
def random():
    return np.random.Generator(np.random.PCG64(0))


@pytest.fixture
def study(tmp_path):
    return study_of(tmp_path)


@pytest.fixture
def stage(study, random):
    return Stage(study, random.integers(0, 10, IMAGES))


def repeats(*trials, seeds=SEEDS):
    return [Repeat(trial, seed, place) for place, seed in enumerate(seeds, 1) for trial in trials]


def play_all(stage, random, quality):
    """All finals of trials whose true accuracy is known; some images are hard for all."""
    easy = random.beta(8, 1, IMAGES)
    for seed in SEEDS:
        for trial, accuracy in quality:
            stage.guess(trial, seed, random.random(IMAGES) < easy * accuracy)


def test_a_lucky_trial_is_unmasked(study, stage, random):
    lucky, solid = tried(study, 0, 0.999), tried(study, 1, 0.95)
    by_hand = tried(study, 2, 0.90, "by_hand")
    play_all(stage, random, [(lucky, 0.6), (solid, 1.0), (by_hand, 0.9)])
    found = judged(study, repeats(lucky, solid, by_hand))
    assert found.chosen == solid.number
    assert found.reference == by_hand.number
    assert [each.trial for each in found.finalists] == [1, 2, 0]
    unmasked = found.finalist(0)
    assert unmasked.mean < unmasked.high < 0.7 < unmasked.search
    assert unmasked.verdict == "worse"
    assert found.finalist(1).verdict == "better"
    assert found.finalist(2).verdict is None
    assert found.complete
    assert found.without_interval == ""


def test_two_of_one_quality_are_a_tie(study, stage, random):
    one, by_hand = tried(study, 0, 0.95), tried(study, 1, 0.9, "by_hand")
    play_all(stage, random, [(one, 0.9), (by_hand, 0.9)])
    found = judged(study, repeats(one, by_hand))
    said = next(each for each in found.finalists if each.trial != found.reference)
    assert said.verdict == "tie"
    assert said.difference_low < said.difference < said.difference_high


@pytest.mark.parametrize("epochs", [20])
def test_networks_that_learned_nothing_are_a_tie_with_chance(study, stage, random, epochs):
    """Each is as good as its luckiest epoch, chosen on the images that it is measured on."""
    trials = [tried(study, number, 0.16) for number in range(3)] + [tried(study, 3, 0.15, "by_hand")]
    for seed in SEEDS:
        for trial in trials:
            told = random.integers(0, 10, (epochs, IMAGES))
            best = told[(told == stage.labels).mean(axis=1).argmax()]
            stage.play(trial, seed, np.eye(10)[best], float((best == stage.labels).mean()), epochs)
    found = judged(study, repeats(*trials))
    assert found.chance == pytest.approx(np.bincount(stage.labels).max() / IMAGES)
    assert all(each.mean > 0.1 for each in found.finalists)
    assert [each.chance for each in found.finalists] == ["tie"] * 4
    assert {each.verdict for each in found.finalists} == {"tie", None}


def test_networks_that_learned_are_better_than_chance(study, stage, random):
    one, by_hand = tried(study, 0, 0.5), tried(study, 1, 0.2, "by_hand")
    play_all(stage, random, [(one, 0.5), (by_hand, 0.25)])
    assert [each.chance for each in judged(study, repeats(one, by_hand)).finalists] == ["better", "better"]


def test_amounts_are_compared_by_their_error(tmp_path, random):
    study = study_of(tmp_path, "min val_mae", classes=0)
    amounts = random.normal(100, 20, IMAGES)
    stage = Stage(study, amounts)
    good, by_hand = tried(study, 0, 5.0), tried(study, 1, 9.0, "by_hand")
    for seed in SEEDS:
        for trial, spread in ((good, 5), (by_hand, 10)):
            told = amounts + random.normal(0, spread, IMAGES)
            stage.play(trial, seed, told[:, None], float(np.abs(told - amounts).mean()))
    found = judged(study, repeats(good, by_hand))
    assert found.chosen == good.number
    assert found.finalist(0).verdict == "better"
    assert found.finalist(0).difference < 0
    assert found.finalist(0).chance == "better"
    assert 15 < found.chance < 17


def test_a_cut_off_compares_the_seeds_that_all_have(study, stage, random):
    one, by_hand = tried(study, 0, 0.9), tried(study, 1, 0.9, "by_hand")
    right = [random.random(IMAGES) < 0.9 for _ in range(5)]
    for seed, trial, each in zip((11, 11, 12, 12, 13), (one, by_hand, one, by_hand, one), right, strict=True):
        stage.guess(trial, seed, each)
    found = judged(study, repeats(one, by_hand))
    assert found.compared == 2
    assert not found.complete
    assert found.finalist(1).scores[2] is None
    assert found.finalist(0).mean == pytest.approx((right[0].mean() + right[2].mean()) / 2)


def test_one_seed_has_no_interval_and_says_so(study, stage, random):
    one, by_hand = tried(study, 0, 0.9), tried(study, 1, 0.9, "by_hand")
    for trial in (one, by_hand):
        stage.guess(trial, 11, random.random(IMAGES) < 0.9)
    found = judged(study, repeats(one, by_hand, seeds=(11,)))
    assert "--seeds" in found.without_interval
    assert found.complete
    assert found.chosen is not None
    assert all((each.low, each.high, each.verdict, each.chance) == (None,) * 4 for each in found.finalists)


def test_an_objective_without_an_interval_says_so(tmp_path, random):
    study = study_of(tmp_path, "min val_loss", classes=0)
    stage = Stage(study, random.normal(0, 1, IMAGES))
    one = tried(study, 0, 0.5, "by_hand")
    for seed in SEEDS:
        stage.play(one, seed, stage.labels[:, None], 0.5)
    found = judged(study, repeats(one))
    assert "min val_mae" in found.without_interval
    assert found.chosen == 0
    assert found.finalists[0].low is None


def test_a_finalist_that_failed_is_left_out_with_its_reason(study, stage, random):
    broken, one, by_hand = tried(study, 0, 0.99), tried(study, 1, 0.9), tried(study, 2, 0.9, "by_hand")
    play_all(stage, random, [(one, 0.9), (by_hand, 0.9)])
    lost = Trial(90, "FAIL", parent=broken.number, seed=11, failure="not_finite", message="the loss became nan.")
    study.finals.trial(90).write(lost)
    found = judged(study, repeats(broken, one, by_hand))
    assert found.complete
    assert found.compared == 3
    assert found.finalists[-1].trial == broken.number
    assert found.finalists[-1].failure == "not_finite: the loss became nan."
    assert found.finalists[-1].mean is None


def test_what_nobody_gets_wrong_has_an_interval_all_the_same(study, stage):
    one = tried(study, 0, 1.0, "by_hand")
    for seed in SEEDS:
        stage.guess(one, seed, np.ones(IMAGES, bool))
    found = judged(study, repeats(one)).finalists[0]
    assert found.mean == 1.0
    assert 0.98 < found.low < found.high == 1.0


def test_predictions_that_are_lost_are_said(study, stage, random):
    one, by_hand = tried(study, 0, 0.9), tried(study, 1, 0.9, "by_hand")
    play_all(stage, random, [(one, 0.9), (by_hand, 0.9)])
    (study.finals.trial(0).path / "validation.npz").write_bytes(b"PK torn")
    found = judged(study, repeats(one, by_hand))
    assert "cannot be read" in found.without_interval
    assert found.finalist(0).mean is not None
    assert found.finalist(0).low is None


def test_what_finals_say_is_written_and_read(study, stage, random):
    one, by_hand = tried(study, 0, 0.9), tried(study, 1, 0.9, "by_hand")
    play_all(stage, random, [(one, 0.9), (by_hand, 0.9)])
    assert read_finals(study) is None
    found = judged(study, repeats(one, by_hand))
    write_finals(study, found)
    assert read_finals(study) == found


class TestEntrants:
    def test_the_best_found_and_the_best_by_hand_take_part(self, study):
        for number, score in enumerate((0.5, 0.9, 0.7, 0.8)):
            tried(study, number, score)
        tried(study, 4, 0.1, "poor")
        tried(study, 5, 0.2, "by_hand")
        assert [trial.name for trial in entrants(study, study.info(), 2, 1)] == ["1", "3", "by_hand"]

    def test_one_recipe_takes_part_once(self, study):
        tried(study, 0, 0.9, hash="same")
        tried(study, 1, 0.8, hash="same")
        tried(study, 2, 0.95, "by_hand", hash="made")
        tried(study, 3, 0.95, hash="made")
        assert [trial.name for trial in entrants(study, study.info(), 3, 1)] == ["by_hand", "0"]

    def test_who_was_in_earlier_finals_stays_in(self, study):
        tried(study, 0, 0.7)
        tried(study, 1, 0.9)
        study.finals.trial(0).write(Trial(0, "COMPLETE", parent=0, seed=11, score=0.7))
        assert [trial.number for trial in entrants(study, study.info(), 1, 1)] == [1, 0]


def test_finals_are_no_study_of_their_own_in_lists(study):
    results = study.path.parent
    assert [each.name for each in studies_in(results)] == ["mine"]
    assert open_study(results).path == study.path
    assert open_study(results, "mine/finals").path == study.finals.path
    assert study.finals.name == "mine/finals"
    assert study.finals.study_of_finals.path == study.path
