"""Temporary files of workers: they are gone with the worker, however that ended."""

import os
import subprocess
import sys
import tempfile
from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest

from hpsearch.executors.local import LocalWorker
from hpsearch.executors.scratch import clear_stale, scratch_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    get_temp_dir()  # multiprocessing keeps the folder that it makes on first use
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def told_where(connection):
    connection.send(tempfile.mkstemp()[1])
    connection.recv()


@pytest.fixture
def importable(monkeypatch):
    """A module that workers can import too."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import test_scratch

    return test_scratch.told_where


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_worker_leaves_no_files(end, temporary, importable):
    worker = LocalWorker(serve=importable)
    file = Path(worker.receive())
    assert file.parent.parent == temporary
    assert file.exists()
    getattr(worker, end)()
    assert list(temporary.iterdir()) == []


def test_what_killed_processes_left_is_deleted_and_nothing_else(temporary):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    stale = temporary / f"hpsearch-worker-{int(ended.stdout)}-abc"
    stale.mkdir()
    (stale / "file").write_text("x")
    other = temporary / "hpsearch-worker-notes"
    other.mkdir()
    mine = scratch_folder()
    assert mine.name.startswith(f"hpsearch-worker-{os.getpid()}-")
    clear_stale()
    assert set(temporary.iterdir()) == {mine, other}
