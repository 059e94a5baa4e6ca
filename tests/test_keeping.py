"""Which checkpoints stay: those that can still matter, and no others."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS, checkpoint_files
from hpsearch.study.folder import StudyFolder
from hpsearch.study.keeping import Reclaimable, reclaim, reclaimable, tidy, wanted
from hpsearch.study.requests import enqueue, queued, request_stop
from hpsearch.study.trial import STATES, Trial

scores = st.none() | st.sampled_from([0.1, 0.5, 0.9, math.nan, math.inf])


def never(number):
    return False


@st.composite
def some_trials(draw):
    count = draw(st.integers(0, 12))
    parents = st.none() | st.integers(0, max(count - 1, 0))
    return [
        Trial(number=n, state=draw(st.sampled_from(STATES)), score=draw(scores), parent=draw(parents))
        for n in range(count)
    ]


def with_checkpoints(study, *trials, size=100):
    for trial in trials:
        study.trial(trial.number).write(trial)
        for name in (CHECKPOINT, PREVIOUS):
            (study.trial(trial.number).path / name).write_bytes(b"x" * size)


def checkpoints(study):
    return {int(path.parent.name) for path in study.path.glob("trials/*/checkpoint*.npz")}


@pytest.fixture
def study(tmp_path):
    return StudyFolder(tmp_path / "mine")


FIVE = [
    Trial(number=0, state="COMPLETE", score=0.5),
    Trial(number=1, state="PRUNED", score=0.9),
    Trial(number=2, state="FAIL", failure="crashed"),
    Trial(number=3, state="RUNNING", score=0.1),
    Trial(number=4, state="COMPLETE", score=0.9),
]


class TestWanted:
    @pytest.mark.parametrize(
        ("keep", "maximize", "stay"),
        [(0, True, {3}), (1, True, {1, 3}), (2, True, {1, 3, 4}), (1, False, {3}), (2, False, {0, 3})],
    )
    def test_open_trials_and_the_best(self, keep, maximize, stay):
        assert wanted(FIVE, keep, maximize, never) == stay

    def test_what_others_may_go_on_from(self):
        assert wanted(FIVE, 0, True, {2, 4}.__contains__) == {2, 3, 4}

    def test_the_parent_of_an_open_trial(self):
        """Killed before its own first checkpoint, it goes on from its parent's."""
        trials = [Trial(number=0, state="COMPLETE"), Trial(number=1, parent=0)]
        assert wanted(trials, 0, True, never) == {0, 1}

    @given(trials=some_trials(), keep=st.integers(0, 6), maximize=st.booleans())
    def test_whatever_the_trials(self, trials, keep, maximize):
        stay = wanted(trials, keep, maximize, never)
        running = {trial.number for trial in trials if trial.state == "RUNNING"}
        parents = {trial.parent for trial in trials if trial.state == "RUNNING"} - {None}
        assert running | parents <= stay
        best = stay - running - parents
        assert len(best) <= keep
        left = [t.score for t in trials if t.number not in stay and t.score is not None and math.isfinite(t.score)]
        sign = 1 if maximize else -1
        for number in best:
            assert all(sign * trials[number].score >= sign * score for score in left)
        assert not left or len({t.number for t in trials if t.number in stay and t.score is not None}) >= keep


class TestTidy:
    def test_the_others_lose_their_checkpoints_and_nothing_else(self, study):
        with_checkpoints(study, *FIVE)
        assert tidy(study, {1, 3}) == 600
        assert checkpoints(study) == {1, 3}
        assert study.trials() == FIVE
        assert tidy(study, {1, 3}) == 0

    def test_of_a_trial_that_ended_the_last_one_is_enough(self, study):
        with_checkpoints(study, *FIVE)
        assert tidy(study, {1, 3}, [1, 3], ended=[1]) == 100
        assert [path.name for path in checkpoint_files(study.trial(1).path)] == ["checkpoint.npz"]
        assert len(checkpoint_files(study.trial(3).path)) == 2

    def test_only_the_trials_that_are_named_are_looked_at(self, study):
        with_checkpoints(study, *FIVE)
        assert tidy(study, {1}, [0, 1]) == 200
        assert checkpoints(study) == {1, 2, 3, 4}

    def test_a_trial_whose_record_is_damaged_keeps_all_it_has(self, study):
        with_checkpoints(study, *FIVE)
        (study.trial(0).path / "trial.json").write_text("{")
        tidy(study, set())
        assert checkpoints(study) == {0}

    def test_half_a_checkpoint_goes_too(self, study):
        with_checkpoints(study, FIVE[0])
        half = study.trial(0).path / ".checkpoint.npz.77.tmp"
        half.write_bytes(b"x" * 50)
        assert tidy(study, set(), [0]) == 250
        assert not half.exists()

    def test_what_is_gone_already_frees_nothing(self, study, monkeypatch):
        """Somebody else deletes between the look and the deed."""
        with_checkpoints(study, FIVE[0])
        files = sorted(study.trial(0).path.glob("checkpoint*"))
        monkeypatch.setattr("hpsearch.study.keeping.checkpoint_files", lambda folder: files)
        files[0].unlink()
        assert tidy(study, set(), [0]) == 100
        assert tidy(study, set(), [0, 99]) == 0


class TestReclaimable:
    def test_all_that_may_go_and_nothing_else(self, study):
        with_checkpoints(study, *FIVE)
        waiting = enqueue(study, "mine", "Recipe()", (), "abc")
        asked = request_stop(study, 3)
        half = study.path / ".study.json.77.tmp"
        half.write_text("{")
        killed = study.trial(5).path
        killed.mkdir()
        (killed / "log.txt").write_text("1234")
        (killed / ".trial.json.77.tmp").write_text("12")
        torn = study.trial(3).path / ".checkpoint.npz.77.tmp"
        torn.write_text("123")
        mine = [study.path / "trials" / "2026-notes" / "notes.txt", study.path / "export" / ".mine.tmp"]
        for path in mine:
            path.parent.mkdir()
            path.write_text("mine")
        found = reclaimable(study, 1, True, never)
        ended = {study.trial(n).path / name for n in (0, 2, 4) for name in (CHECKPOINT, PREVIOUS)}
        assert {one.path for one in found} == ended | {asked, half, killed, torn}
        assert len({one.path for one in found}) == len(found)
        sizes = {one.path: one.bytes for one in found}
        assert (sizes[killed], sizes[half], sizes[torn]) == (6, 1, 3)
        assert reclaim(found) == sum(sizes.values())
        assert study.trials() == FIVE
        assert queued(study) == [waiting]
        assert reclaimable(study, 1, True, never) == []
        assert all(path.exists() for path in mine)

    def test_a_damaged_record_keeps_its_checkpoints(self, study):
        with_checkpoints(study, FIVE[0])
        (study.trial(0).path / "trial.json").write_text("{")
        assert reclaimable(study, 0, True, never) == []

    def test_what_may_be_gone_on_from_stays(self, study):
        with_checkpoints(study, *FIVE)
        assert reclaimable(study, 0, True, lambda number: True) == []

    def test_what_vanishes_is_no_error(self, study, tmp_path):
        assert reclaim([Reclaimable(tmp_path / "gone", 5, "")]) == 0

    def test_a_study_without_anything(self, study):
        assert reclaimable(study, 5, True, never) == []
