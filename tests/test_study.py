"""The record of a study: files that are whole, a lock with one holder, names and numbers that are found again."""

import errno
import json
import os

import pytest

from hpsearch.errors import StudyError
from hpsearch.study import Epoch, StudyFolder, Trial, TrialFolder, atomic, open_study, studies_in
from hpsearch.study.atomic import append_text, read_json, write_json, write_text
from hpsearch.study.folder import checked_name
from studies import info_of


def info(name="mine", **more):
    return info_of(name, **{"space_text": "data = one\nsearch = a\nobjective = b\n", **more})


@pytest.fixture
def study(tmp_path):
    folder = StudyFolder(tmp_path / "mine")
    folder.create(info(), "space = 1\n")
    return folder


class TestAtomic:
    def test_a_failed_write_leaves_the_old_content_and_nothing_else(self, tmp_path):
        path = tmp_path / "file.json"
        write_json(path, {"a": 1})
        with pytest.raises(ValueError, match="JSON"):
            write_json(path, {"a": float("nan")})
        with pytest.raises(UnicodeEncodeError):
            write_text(path, "\ud800")
        assert read_json(path) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("sync", [True, False])
    def test_a_file_is_on_the_disk_where_that_is_asked_for(self, tmp_path, monkeypatch, sync):
        synced = []
        monkeypatch.setattr(atomic.os, "fsync", synced.append)
        write_json(tmp_path / "file.json", {"a": 1}, sync=sync)
        assert read_json(tmp_path / "file.json") == {"a": 1}
        assert len(synced) == sync

    def test_lines_are_added(self, tmp_path):
        path = tmp_path / "lines"
        for line in ("one", "zwei für alle", ""):
            append_text(path, line + "\n")
        assert path.read_text() == "one\nzwei für alle\n\n"

    def test_what_a_kill_cut_off_goes_before_a_line_is_added(self, tmp_path):
        path = tmp_path / "lines"
        for torn, left in (("one\ntw", "one\n"), ("tw", ""), ("", ""), ("one\n", "one\n")):
            path.write_text(torn)
            append_text(path, "three\n")
            assert path.read_text() == left + "three\n"

    def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_none_of_it(self, tmp_path, monkeypatch):
        path = tmp_path / "lines"
        append_text(path, "one\n")
        with monkeypatch.context() as full:
            full.setattr(atomic, "open", half_full, raising=False)
            with pytest.raises(OSError, match="No space left"):
                append_text(path, "two,\nwhich is longer\n")
        assert path.read_text() == "one\n"
        append_text(path, "three\n")
        assert path.read_text() == "one\nthree\n"


def half_full(path, mode, **options):
    """A file on a disk that takes half of the first write and nothing after it."""
    file = open(path, mode, **options)  # noqa: SIM115  # closed by whoever uses it
    taken = []

    class Half:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            file.close()

        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, data):
            if taken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken.append(file.write(data[: len(data) // 2]))
            return taken[0]

    return Half()


class TestStudy:
    def test_what_is_created_is_read_again(self, study):
        assert study.exists
        assert study.info() == info()
        assert study.space_file.read_text() == "space = 1\n"
        assert study.trials() == []

    def test_a_damaged_record_is_said(self, study):
        for text in ("{", "[]", '{"name": "mine"}'):
            (study.path / "study.json").write_text(text)
            with pytest.raises(StudyError, match="is not the record of a study"):
                study.info()

    def test_a_record_of_an_earlier_version_is_read(self, study):
        said = json.loads((study.path / "study.json").read_text())
        for later in ("strategy", "pruner", "deterministic"):
            del said[later]
        write_json(study.path / "study.json", said)
        assert (study.info().strategy, study.info().pruner, study.info().deterministic) == ("tpe", "none", False)

    def test_the_difference_of_two_spaces(self, study):
        assert study.difference(info().space_text) == ""
        assert study.difference("data = one\nsearch = c\nobjective = b\n").splitlines() == [
            " data = one",
            "-search = a",
            "+search = c",
            " objective = b",
        ]

    def test_a_trial_is_found_by_number_and_by_name(self, study):
        for number, baseline in ((0, "by_hand"), (1, None), (12, None)):
            study.trial(number).write(Trial(number=number, baseline=baseline))
        assert [study.find(name).number for name in ("0", "by_hand", "1", "12")] == [0, 0, 1, 12]
        with pytest.raises(StudyError) as caught:
            study.find("by_hans")
        assert str(caught.value) == (
            "Study mine has no trial 'by_hans'; it has trials 0 to 12 and the baselines by_hand. Did you mean by_hand?"
        )

    def test_a_study_without_trials(self, study):
        with pytest.raises(StudyError, match="has no trials yet"):
            study.find("0")

    @pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a b", ".hidden"])
    def test_names_that_are_no_folders(self, name):
        with pytest.raises(StudyError, match="--study got"):
            checked_name(name)


class TestOpening:
    def test_the_latest_is_taken_where_none_is_named(self, tmp_path):
        for name in ("first", "second"):
            StudyFolder(tmp_path / name).create(info(name), "")
        assert open_study(tmp_path).name in ("first", "second")
        latest = (tmp_path / "second" / "study.json").stat().st_mtime + 100
        os.utime(tmp_path / "first" / "study.json", (latest, latest))
        assert open_study(tmp_path).name == "first"
        assert [study.name for study in studies_in(tmp_path)] == ["second", "first"]

    def test_an_unknown_name(self, study, tmp_path):
        with pytest.raises(StudyError, match=r"There is no study 'mime' in .*\. Did you mean mine\?"):
            open_study(tmp_path, "mime")
        with pytest.raises(StudyError, match=r"There is no study 'xyz' in .*\. There are: mine\."):
            open_study(tmp_path, "xyz")

    def test_no_study_at_all(self, tmp_path):
        with pytest.raises(StudyError, match="begin one with: hpsearch run"):
            open_study(tmp_path / "missing")


class TestTrials:
    def test_what_is_written_is_read_again(self, study):
        trial = Trial(
            number=3,
            state="FAIL",
            answers={"a": 1, "b": None, "c": True},
            recipe="Recipe(\n    a=1,\n)",
            score=0.5,
            failure="crashed",
            message="für alle",
            seconds=1.25,
        )
        study.trial(3).write(trial)
        assert study.trials() == [trial]
        assert (study.path / "trials" / "00003" / "recipe.py").read_text() == "Recipe(\n    a=1,\n)\n"
        assert "recipe" not in json.loads((study.path / "trials" / "00003" / "trial.json").read_text())

    def test_a_folder_without_a_readable_record_is_passed_over(self, study):
        study.trial(1).write(Trial(number=1))
        (study.path / "trials" / "00002").mkdir()
        (study.path / "trials" / "00003").mkdir()
        (study.path / "trials" / "00003" / "trial.json").write_text('{"number": 3, "unheard_of": 1}')
        assert [trial.number for trial in study.trials()] == [1]

    def test_the_history_is_read_up_to_a_line_that_was_cut_off(self, tmp_path):
        folder = TrialFolder(tmp_path)
        assert folder.history() == []
        epochs = [Epoch(n, 0.5, {"loss": 1 / n, "learning_rate": 1e-12}) for n in (1, 2, 3)]
        for epoch in epochs:
            folder.append(epoch)
        assert [epoch.epoch for epoch in folder.history()] == [1, 2, 3]
        assert folder.history()[2].metrics == pytest.approx(epochs[2].metrics, rel=1e-5)
        whole = (tmp_path / "history.csv").read_text()
        for cut in range(1, 12):
            (tmp_path / "history.csv").write_text(whole[:-cut])
            assert [epoch.epoch for epoch in folder.history()][:2] == [1, 2]
