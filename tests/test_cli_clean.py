"""``hpsearch clean``: shows first, deletes only what cannot matter, and nothing while a run holds the study."""

import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.data.cache import cached, discard
from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS
from hpsearch.study.trial import Trial
from studies import begin, info_of


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))  # with nothing in it, whatever ran before
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder = begin(tmp_path / "results")
    for number in range(8):
        folder.trial(number).write(Trial(number, "COMPLETE" if number else "RUNNING", score=number / 10))
        for name in (CHECKPOINT, PREVIOUS):
            (folder.trial(number).path / name).write_bytes(b"x" * 750)
    return folder


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
    study.write_info(info_of(objective="min val_loss"))
    assert clean("--keep", 2, "--yes").code == 0
    assert kept(study) == [0, 1]


def test_where_others_may_go_on_from_any_all_stay(study, clean):
    study.write_info(info_of(strategy="kt-hyperband"))
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


WAITING = """
from hpsearch import ConvNet, Model, Pretrained, Recipe, Space, Stage, Training, one_of

def recipe(body):
    return Recipe(model=Model(body=body), training=Training(epochs=1))

space = Space(
    data="digits",
    search=recipe(ConvNet(stages=[Stage(filters=one_of(2, 4))])),
    baselines={
        "photo_alone": recipe(ConvNet(stages=[Stage(filters=4)])),
        "joined": recipe(Pretrained("photo_alone.keras")),
    },
)
"""


def test_a_checkpoint_that_a_baseline_waits_for_stays_and_it_says_how_to_save_it(study, clean):
    study.space_file.write_text(WAITING)
    trial = study.trial(1).read()
    study.trial(1).write(replace(trial, baseline="photo_alone"))
    said = clean("--keep", 0, "--yes")
    assert said.code == 0, said
    assert kept(study) == [0, 1]
    told = " ".join(said.out.split())
    assert told.startswith("The checkpoint of photo_alone stays, whatever --keep says. Baseline joined is left out: ")
    command = f"hpsearch save photo_alone photo_alone.keras --study digits --results {study.path.parent}"
    assert command in told
    study.trial(2).write(replace(study.trial(2).read(), baseline="joined"))  # it was trained: nobody waits any more
    assert clean("--keep", 0, "--yes").out.startswith("What ")
    assert kept(study) == [0]


def test_answers_that_no_report_shows_any_more_may_go(study, clean):
    best = study.trial(7).read()
    study.trial(7).write(replace(best, hash="abc", best_epoch=4))
    folder = study.path / "report"
    folder.mkdir()
    for name in ("00007-abc-epoch-4.npz", "00007-abc-epoch-3.npz", "00006-def-epoch-1.npz"):
        (folder / name).write_bytes(b"x" * 100)
    said = clean("--keep", 100)
    assert [line.split(maxsplit=3)[0] for line in said.out.splitlines()[1:-1]] == [
        "report/00006-def-epoch-1.npz",
        "report/00007-abc-epoch-3.npz",
    ]
    assert "kept for the report, which shows another network by now" in said.out
    assert clean("--keep", 100, "--yes").out.splitlines()[-1] == "Freed 200 bytes."
    assert [path.name for path in folder.iterdir()] == ["00007-abc-epoch-4.npz"]


def test_what_killed_coordinators_left_goes_and_nothing_else(study, clean, tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, host = int(ended.stdout), socket.gethostname()
    stale = [
        tmp_path / "temporary" / f"hpsearch-worker-{dead}-abcd_123",
        study.path.parent / f".hpsearch-{host}-{dead}-abcd_123",
        study.path / f".hpsearch-{host}-{dead}-abcd_123",
    ]
    others = [
        tmp_path / "temporary" / f"hpsearch-worker-{os.getpid()}-abcd_123",  # alive
        tmp_path / "temporary" / f"hpsearch-worker-{dead}-of-mine",
        study.path.parent / f".hpsearch-{host}-{dead}-{dead}-abcd_123",  # of a machine with a longer name
        study.path.parent / f".hpsearch-elsewhere-{dead}-abcd_123",
    ]
    for folder in (*stale, *others):
        folder.mkdir()
        (folder / "file").write_bytes(b"x" * 100)
    link = tmp_path / "temporary" / f"hpsearch-worker-{dead}-link_123"
    link.symlink_to(others[0])
    said = clean("--keep", 100)
    assert all(folder.name in said.out for folder in stale)
    assert said.out.splitlines()[-1] == f"Together 300 bytes in {study.path}."
    assert clean("--keep", 100, "--yes").out.splitlines()[-1] == "Freed 300 bytes."
    assert not any(folder.exists() for folder in stale)
    assert all((folder / "file").exists() for folder in (*others, link))


def test_exports_that_were_killed_are_finished_or_taken_back_wherever_they_lie(study, clean, tmp_path):
    from hpsearch.results.placing import placed

    half, whole = study.path / "export", tmp_path / "elsewhere"
    study.write_info(info_of(test_openings=[{"folder": str(whole)}]))
    for folder in (half, whole):
        with placed(folder, print) as building:
            (building / "model.keras").write_text("new")
    (half / ".hpsearch-new").mkdir()
    (half / ".hpsearch-new" / "model.keras").write_text("not yet who")
    (whole / ".hpsearch-old").mkdir()
    for name in ("model.keras", ".hpsearch-export.json"):
        (whole / name).rename(whole / ".hpsearch-old" / name)
    said = clean("--keep", 100)
    assert "export/.hpsearch-new" in said.out
    assert str(whole / ".hpsearch-old") in said.out.replace("\n", "")
    assert clean("--keep", 100, "--yes").code == 0
    for folder in (half, whole):
        assert sorted(path.name for path in folder.iterdir()) == [".hpsearch-export.json", "model.keras"]
        assert (folder / "model.keras").read_text() == "new"
    assert clean("--yes", "--keep", 100).out == "Study digits holds nothing that it does not need.\n"


class TestCache:
    """``hpsearch clean --cache``: what all studies share; processes of their own use it, as those of runs do."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))

    @pytest.fixture
    def filled(self, tmp_path):
        """Photos and features, made by processes that have ended, and what one left that was killed."""
        for kind, key, count in (("photos", "a", 1500), ("photos", "b", 500), ("features", "c", 3_000_000)):
            using(kind, key, count, "").communicate(timeout=60)
        root = tmp_path / "cache" / "hpsearch-cache-2"
        (root / ".features-d.x.new").mkdir()
        (root / ".features-d.x.new" / "rows.bin").write_bytes(b"x" * 1000)
        return root

    def test_it_shows_sizes_and_asks_for_a_yes_where_nobody_can_be_asked(self, filled, cli):
        said = cli("clean", "--cache")
        assert said.sentence == "Nothing was deleted; say the same with --yes to delete what is shown."
        lines = [line.split() for line in said.out.splitlines()]
        assert lines[0] == ["What", "Number", "Size", "Last", "used"]
        assert lines[1][:4] == ["features", "1", "3.00", "MB"]
        assert lines[2][:4] == ["photos", "2", "2.00", "kB"]
        assert said.out.splitlines()[-1] == f"Together 3.00 MB in {filled}."
        assert len(list(filled.glob("*/done"))) == 3

    def test_it_empties_it_and_what_is_needed_again_is_made_again(self, filled, cli):
        said = cli("clean", "--cache", "--yes")
        assert said.code == 0, said
        assert said.out.splitlines()[-1] == "Freed 3.00 MB."
        assert [path.name for path in filled.iterdir()] == [".users.lock"]
        assert cli("clean", "--cache", "--yes").out == f"The cache in {filled} is empty.\n"
        using("photos", "a", 1500, "").communicate(timeout=60)
        assert len(list(filled.glob("*/done"))) == 1

    def test_where_there_is_none_it_says_so(self, tmp_path, cli):
        assert cli("clean", "--cache").out == f"The cache in {tmp_path / 'cache' / 'hpsearch-cache-2'} is empty.\n"
        assert not (tmp_path / "cache").exists()

    def test_it_is_left_alone_while_a_process_uses_it_and_not_when_that_was_killed(self, filled, cli):
        run = using("photos", "a", 1500, "print('ready', flush=True); input()")
        try:
            assert run.stdout.readline() == "ready\n"
            sentence = cli("clean", "--cache", "--yes").sentence
            assert sentence == f"The cache in {filled} is used by a run; empty it when that has ended."
            assert len(list(filled.glob("*/done"))) == 3
        finally:
            run.kill()
            run.communicate(timeout=60)
        assert cli("clean", "--cache", "--yes").code == 0
        assert not list(filled.glob("*/done"))

    def test_a_process_goes_on_where_somebody_deleted_the_whole_cache_by_hand(self, tmp_path):
        def make(folder):
            (folder / "content").write_bytes(b"x")

        for _ in range(2):
            entry = cached("photos", "a", 1, make)
            assert (entry / "content").exists()
            discard(tmp_path / "cache" / "hpsearch-cache-2")

    def test_what_an_earlier_version_left_is_shown_and_goes_and_nothing_else(self, filled, cli, study, clean):
        around, key = filled.parent, "0123456789abcdef" * 2
        theirs = [f"photos-{key[:24]}", f"features-{key}", "programs-jax0.7.1", f".copies-{key}.abcd_123.new"]
        mine = ["thesis", "photos-2019", "my-things", ".mine.new", "programs-jaxon"]
        for name in (*theirs, *mine):
            (around / name).mkdir()
            (around / name / "done").touch()
            (around / name / "file").write_bytes(b"x" * 1_000_000)
        (around / f"photos-{key}").mkdir()
        (around / f"photos-{key}" / "done").mkdir()  # no mark
        (around / f"copies-{key}").symlink_to(around / "thesis")
        for name in (".apt.lock", f".photos-{key}.lock"):
            (around / name).touch()
        assert "What an earlier version left in" in clean("--keep", 100, "--yes").out
        said = cli("clean", "--cache")
        lines = said.out.splitlines()
        assert [line.split("  ")[0] for line in lines if "earlier version  " in line] == [
            "features of an earlier version",
            "photos of an earlier version",
            "programs of an earlier version",
            "rest of an earlier version",
        ]
        assert {f"Of an earlier version: {around / name}" for name in theirs} <= {*lines}
        assert lines[-1] == f"Together 7.00 MB in {around}."
        assert cli("clean", "--cache", "--yes").out.splitlines()[-1] == "Freed 7.00 MB."
        left = {path.name for path in around.iterdir()}
        assert left == {*mine, f"photos-{key}", f"copies-{key}", ".apt.lock", "hpsearch-cache-2"}
        assert all((around / name / "file").exists() for name in mine)

    def test_what_lies_beside_it_counts_and_goes_for_no_room(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "3 kB")
        for name in ("thesis", "photos-0123456789abcdef01234567"):
            (tmp_path / "cache" / name / "done").mkdir(parents=True)
            (tmp_path / "cache" / name / "file").write_bytes(b"x" * 5000)
        for key in "abc":
            cached("photos", key, 2000, lambda folder: (folder / "content").write_bytes(b"x" * 2000) and None)
        root = tmp_path / "cache" / "hpsearch-cache-2"
        assert [path.name for path in root.iterdir() if path.is_dir()] == ["photos-c"]
        assert len(list((tmp_path / "cache").glob("*/file"))) == 2

    def test_a_study_is_not_asked_for_beside_it(self, cli):
        assert "so say one of them" in cli("clean", "--cache", "--study", "digits").sentence

    def test_cleaning_a_study_says_how_much_it_holds(self, filled, study, clean):
        said = clean("--keep", 100, "--yes")
        assert said.out.splitlines() == [
            "Study digits holds nothing that it does not need.",
            f"The cache of photos and features in {filled} takes 3.00 MB; see: hpsearch clean --cache",
        ]
        assert list(filled.glob("*/done"))


def using(kind, key, count, then):
    """A process that takes something from the cache, makes it if need be, and then does something else."""
    code = (
        "import sys\nfrom hpsearch.data.cache import cached\n"
        f"cached({kind!r}, {key!r}, {count}, lambda folder: (folder / 'content').write_bytes(b'x' * {count}))\n{then}"
    )
    source = str(Path(__file__).resolve().parents[1] / "search")
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
