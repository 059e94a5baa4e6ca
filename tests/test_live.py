"""What a run says of itself: read as it was written, whatever else happens."""

import errno
import json
import os

import pytest

from hpsearch.study import atomic
from hpsearch.study.folder import StudyFolder
from hpsearch.study.live import Live, LiveSlot, read_live, write_live
from hpsearch.study.lock import boot_id


@pytest.fixture
def study(tmp_path):
    return StudyFolder(tmp_path)


def live(**more):
    slots = [
        LiveSlot("gpu 0", 12, 3, "by_hand", 2, 20, 7, 45, 1.76e9, 0.5),
        LiveSlot("gpu 1"),
    ]
    values = {"pid": os.getpid(), "host": "here", "boot": boot_id(), "started": 1.0, "updated": 2.5, "seconds": 99.25}
    return Live(**{**values, "state": "running", "note": "für alle", "slots": slots, **more})


def test_what_is_written_is_read_again(study):
    for said in (live(), live(slots=[], most_seconds=28800.0, most_trials=100, state="ended")):
        write_live(study, said)
        assert read_live(study) == said
    assert [path.name for path in study.path.iterdir()] == ["run.json"]


def test_it_is_on_the_disk_where_that_is_asked_for(study, monkeypatch):
    synced = []
    monkeypatch.setattr(atomic.os, "fsync", synced.append)
    write_live(study, live())
    assert not synced
    write_live(study, live(), sync=True)
    assert len(synced) == 1


def test_a_score_that_is_no_number_is_none(study):
    write_live(study, live(slots=[LiveSlot("cpu", score=float("nan"))]))
    assert read_live(study).slots[0].score is None


def test_what_a_later_version_adds_is_passed_over(study):
    write_live(study, live())
    said = json.loads((study.path / "run.json").read_text())
    said["more"] = 1
    said["slots"][0]["more"] = 1
    (study.path / "run.json").write_text(json.dumps(said))
    assert read_live(study) == live()


def damaged():
    said = {"pid": 1, "host": "", "boot": "", "started": 0, "updated": 0, "seconds": 5.0, "state": "ended"}
    yield "{"
    yield ""
    yield "[]"
    yield "null"
    yield json.dumps(said)  # no slots
    yield json.dumps({**said, "slots": None})
    yield json.dumps({**said, "slots": [1]})
    yield json.dumps({**said, "slots": [{}]})
    yield json.dumps({**said, "slots": [], "seconds": "many"})
    yield json.dumps({**said, "slots": [], "seconds": None})
    yield json.dumps({**said, "slots": [], "seconds": -1})
    yield json.dumps({**said, "slots": [], "note": 3})


@pytest.mark.parametrize("text", list(damaged()))
def test_what_cannot_be_read_is_nothing(study, text):
    (study.path / "run.json").write_text(text)
    assert read_live(study) is None


def test_nothing_was_said(study):
    assert read_live(study) is None


def test_a_full_disk_leaves_what_was_said_before(study, monkeypatch):
    def replace(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_live(study, live())
    monkeypatch.setattr(atomic.os, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        write_live(study, live(seconds=200.0))
    assert read_live(study) == live()
    assert [path.name for path in study.path.iterdir()] == ["run.json"]
