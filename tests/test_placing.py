"""An export in its folder: nothing of anybody else goes, and a kill at any write leaves one whole export."""

import errno
import json
import os
import shutil
import tempfile

import pytest

from hpsearch.errors import StudyError
from hpsearch.results.placing import LIST, check_place, files_in, placed, settle, unsettled

OLD = {
    "model.keras": "old",
    "classes.json": "same",
    "model.onnx": "old",
    "saved_model/variables/variables.index": "old",
}
NEW = {"model.keras": "new", "classes.json": "same", "saved_model/saved_model.pb": "new", "train.py": "new"}
MINE = {"notes.txt": "mine", "saved_model/mine.txt": "mine"}
WRITES = ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync")


@pytest.fixture(autouse=True)
def swift(monkeypatch):
    """Disks that take a tenth of a second to be sure; a kill of a process does not need them to be."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


def export(folder, files, tell=lambda _: None):
    with placed(folder, tell) as building:
        write(building, files)


def held(folder):
    """All files below a folder, without those of hpsearch itself."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in found.items() if not name.startswith(".hpsearch-")}


def whole(folder):
    """The files of the export that lies whole in a folder; None where none does."""
    if not (folder / LIST).exists():
        return None
    files = json.loads((folder / LIST).read_text())["files"]
    return {name: (folder / name).read_text() for name in files} if all((folder / n).exists() for n in files) else None


class Killed(BaseException):
    """No write comes through any more."""


def killed(monkeypatch, number, act, *arguments):
    """Do something that is killed before a write of it, by its number; False where it ends before that."""
    left = [number]

    def counted(write):
        def call(*given, **named):
            left[0] -= 1
            if left[0] <= 0:  # nor do those that tidy after an error
                raise Killed
            return write(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            act(*arguments)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("before", [None, OLD], ids=["the first", "a second"])
def test_a_kill_at_any_write_leaves_one_whole_export(tmp_path, monkeypatch, before):
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        if before:
            export(folder, before)
        write(folder, MINE)
        went_on = not killed(monkeypatch, number, export, folder, NEW)
        places = [folder, folder / ".hpsearch-new", folder / ".hpsearch-old"]
        assert any(whole(place) in (before, NEW) for place in places), number
        killed(
            monkeypatch, number % 7 + 1, settle, folder
        )  # nor does a kill of the next call, which tidies, lose anything
        settle(folder)
        assert held(folder) in ({**(before or {}), **MINE}, {**NEW, **MINE}), number
        assert whole(folder) in (before, NEW)
        assert not unsettled(folder)
        export(folder, NEW)
        assert held(folder) == {**NEW, **MINE}
        if went_on:
            break
    assert number > 10


def test_new_files_that_got_lost_are_taken_back(tmp_path, monkeypatch):
    for number in range(1, 100):
        folder = tmp_path / str(number)
        export(folder, OLD)
        if not killed(monkeypatch, number, export, folder, NEW):
            break
        shutil.rmtree(folder / ".hpsearch-new" / "saved_model", ignore_errors=True)
        settle(folder)
        assert whole(folder) in (OLD, NEW)
        assert held(folder) == whole(folder)


def test_where_making_it_fails_all_is_as_it_was(tmp_path):
    export(tmp_path / "old", OLD)
    for folder in (tmp_path / "old", tmp_path / "new"):
        before = held(tmp_path)
        with pytest.raises(AttributeError):
            export(folder, {**NEW, "folder/last": None})
        assert held(tmp_path) == before
    assert not (tmp_path / "new").exists()


class TestWhatWasChangedSince:
    def test_stays_and_is_named_where_the_new_export_does_without_it(self, tmp_path):
        export(tmp_path, OLD)
        write(tmp_path, {"model.onnx": "mine now"})
        told = []
        check_place(tmp_path, NEW)
        export(tmp_path, NEW, told.append)
        assert held(tmp_path) == {**NEW, "model.onnx": "mine now"}
        assert told == [f"{tmp_path / 'model.onnx'} was changed since it was exported; it stays."]

    def test_is_refused_before_and_after_where_it_would_be_written(self, tmp_path):
        export(tmp_path, OLD)
        write(tmp_path, {"model.keras": "mine now"})
        with pytest.raises(StudyError, match=r"or was changed since: model\.keras\. Move that away"):
            check_place(tmp_path, NEW)
        with pytest.raises(StudyError, match=r"model\.keras"):
            export(tmp_path, NEW)
        assert held(tmp_path)["model.keras"] == "mine now"
        (tmp_path / "model.keras").rename(tmp_path / "moved")
        settle(tmp_path)  # goes on with what was made
        assert held(tmp_path) == {**NEW, "moved": "mine now"}

    @pytest.mark.parametrize("name", ["model.onnx", "saved_model"])
    def test_is_also_what_became_a_link_and_nothing_behind_it_goes(self, tmp_path, name):
        folder, elsewhere = tmp_path / "export", tmp_path / "elsewhere"
        export(folder, {**OLD, "other": "old"})
        (folder / name).rename(elsewhere)
        (folder / name).symlink_to(elsewhere)
        behind = held(tmp_path)
        export(folder, {"model.keras": "new"})
        assert (folder / name).is_symlink()
        assert elsewhere.exists()
        assert {key: text for key, text in held(tmp_path).items() if "export" not in key} == {
            key: text for key, text in behind.items() if "export" not in key
        }
        with pytest.raises(StudyError, match=name):
            check_place(folder, OLD)

    def test_is_also_what_became_a_folder(self, tmp_path):
        export(tmp_path, OLD)
        (tmp_path / "model.onnx").unlink()
        write(tmp_path, {"model.onnx/mine.txt": "mine"})
        export(tmp_path, NEW)
        assert held(tmp_path) == {**NEW, "model.onnx/mine.txt": "mine"}
        with pytest.raises(StudyError, match=r"model\.onnx"):
            check_place(tmp_path, OLD)


class TestWhereItMayLie:
    def test_an_empty_folder_a_new_one_and_a_link_to_either(self, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "empty")
        (tmp_path / "dangling").symlink_to(tmp_path / "later")
        for name in ("empty", "new/newer", "link", "dangling"):
            check_place(tmp_path / name, NEW)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "empty", "link"], name
        for name in ("empty", "link", "dangling"):
            export(tmp_path / name, NEW)
            assert held(tmp_path / name) == NEW
        assert (tmp_path / "dangling").is_symlink()

    def test_not_a_folder_with_other_files_whatever_they_are_called(self, tmp_path):
        write(tmp_path, {"metrics.json": '{"study": "x"}', "model.keras": "mine", "a/b": "mine"})
        before = held(tmp_path)
        with pytest.raises(StudyError, match="holds something else than an export"):
            check_place(tmp_path, NEW)
        assert held(tmp_path) == before

    def test_not_a_file_nor_below_one_nor_where_nothing_can_be_made(self, tmp_path):
        write(tmp_path, {"file": "mine"})
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(StudyError, match="is not a folder"):
            check_place(tmp_path / "file", NEW)
        for path in (tmp_path / "file" / "below", tmp_path / "loop"):
            with pytest.raises(StudyError, match=r"cannot be written to .*; choose another with --output"):
                check_place(path, NEW)
        assert held(tmp_path) == {"file": "mine"}

    def test_not_on_a_full_disk(self, tmp_path, monkeypatch):
        def full(**_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        with pytest.raises(StudyError, match="No space left on device"):
            check_place(tmp_path / "new", NEW)
        assert not (tmp_path / "new").exists()

    def test_of_an_earlier_version_only_known_names_go(self, tmp_path):
        write(tmp_path, {**OLD, **MINE})
        check_place(tmp_path, NEW, earlier=["model.*", "classes.json", "saved_model/variables/*"])
        assert sorted(files_in(tmp_path, ())) == sorted(OLD)
        export(tmp_path, NEW)
        assert held(tmp_path) == {**NEW, **MINE}

    def test_not_with_a_damaged_list(self, tmp_path):
        export(tmp_path, OLD)
        for text in ("{", "[]", '{"files": {"../x": {"size": 1, "sha256": ""}}}', '{"files": {"x": 3}}'):
            (tmp_path / LIST).write_text(text)
            with pytest.raises(StudyError, match="is damaged"):
                check_place(tmp_path, NEW, earlier=["*"])
        assert held(tmp_path) == OLD

    def test_not_where_another_process_is_at_it_now(self, tmp_path):
        with placed(tmp_path, print):
            with pytest.raises(StudyError, match="Another process writes an export to"):
                settle(tmp_path)
            assert unsettled(tmp_path)

    def test_hidden_names_that_are_links_are_not_followed(self, tmp_path):
        write(tmp_path, {"elsewhere/thesis.txt": "mine"})
        (tmp_path / "export").mkdir()
        (tmp_path / "export" / ".hpsearch-old").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StudyError, match="move it away"):
            settle(tmp_path / "export")
        assert held(tmp_path) == {"elsewhere/thesis.txt": "mine"}
