"""``hpsearch clean``: shows first, deletes only what cannot matter, and nothing while a run holds the study."""

import pytest

from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial


@pytest.fixture
def study(tmp_path):
    folder = StudyFolder(tmp_path / "results" / "digits")
    folder.create(begun(), "space = 1\n")
    for number in range(8):
        folder.trial(number).write(Trial(number, "COMPLETE" if number else "RUNNING", score=number / 10))
        for name in (CHECKPOINT, PREVIOUS):
            (folder.trial(number).path / name).write_bytes(b"x" * 750)
    return folder


def begun(**more):
    values = ("digits", "max val_accuracy", "spaces/digits.py", "", "", "", "", ["a", "b"], 2, 1, None, 0, None, 1.5)
    return StudyInfo(*values, **more)


@pytest.fixture
def clean(cli, study):
    def run(*arguments):
        return cli("clean", "--results", study.path.parent, *arguments)

    return run


def kept(study):
    """The trials that have checkpoints."""
    return sorted({int(path.parent.name) for path in study.path.glob("trials/*/checkpoint*.npz")})


def test_it_shows_and_asks_for_a_yes_where_nobody_can_be_asked(study, clean):
    said = clean()
    assert said.sentence == "Nothing was deleted; say the same with --yes to delete what is shown."
    lines = said.out.splitlines()
    assert lines[0].split() == ["What", "Size", "Why", "it", "may", "go"]
    assert lines[1].split(maxsplit=3) == [
        "trials/00001/checkpoint.npz",
        "750",
        "bytes",
        "checkpoint of trial 1, which has ended and is not among the 5 best",
    ]
    assert lines[-1] == f"Together 3.00 kB in {study.path}."
    assert len(kept(study)) == 8


def test_it_deletes_and_the_record_stays(study, clean):
    before = study.trials()
    said = clean("--yes")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "Freed 3.00 kB."
    assert kept(study) == [0, 3, 4, 5, 6, 7]
    assert study.trials() == before
    assert clean("--yes").out == "Study digits holds nothing that it does not need.\n"


@pytest.mark.parametrize(("keep", "stay"), [(0, [0]), (1, [0, 7]), (100, [0, 1, 2, 3, 4, 5, 6, 7])])
def test_as_many_of_the_best_stay_as_are_asked_for(study, clean, keep, stay):
    assert clean("--keep", keep, "--yes").code == 0
    assert kept(study) == stay


def test_the_best_of_a_loss_are_the_lowest(study, clean):
    info = begun()
    info.objective = "min val_loss"
    study.write_info(info)
    assert clean("--keep", 2, "--yes").code == 0
    assert kept(study) == [0, 1]


def test_where_others_may_go_on_from_any_all_stay(study, clean):
    study.write_info(begun(strategy="kt-hyperband"))
    assert clean("--keep", 0, "--yes").out == "Study digits holds nothing that it does not need.\n"
    assert len(kept(study)) == 8


def test_a_study_that_a_run_holds_is_left_alone(study, clean):
    with study.writing():
        sentence = clean("--yes").sentence
    assert sentence.startswith("Study digits is being written by process ")
    assert sentence.endswith("stop it first with: hpsearch stop --study digits")
    assert len(kept(study)) == 8


def test_a_run_that_comes_while_the_question_stands_is_left_alone(study, clean, monkeypatch):
    from hpsearch.cli import clean as command

    def run_comes():
        trial = study.trial(1).read()
        trial.state = "RUNNING"
        study.trial(1).write(trial)

    monkeypatch.setattr(command, "_confirm", run_comes)
    assert clean().code == 0
    assert kept(study) == [0, 1, 3, 4, 5, 6, 7]


def test_cleaning_does_not_make_a_study_the_latest(study, clean):
    with study.writing():
        pass
    before = (study.path / "lock").stat().st_mtime_ns
    assert clean("--yes").code == 0
    assert (study.path / "lock").stat().st_mtime_ns == before
