"""Workers of a run share the data: it is loaded once, and lies in memory once."""

import resource

import keras
import numpy as np
import pytest

from hpsearch.data.declarations import ImageFolder, Named
from hpsearch.data.loading import load_search_data
from hpsearch.data.shared import SHARED_VARIABLE, shared
from hpsearch.errors import DataError
from hpsearch.training.feeding import in_place


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(SHARED_VARIABLE, str(tmp_path))
    return tmp_path


def digits():
    return load_search_data(Named("digits"), subset=300)


def no_more():
    raise AssertionError("it was loaded before")


def same(one, other):
    assert (one.fingerprint, one.class_names, one.encoding) == (other.fingerprint, other.class_names, other.encoding)
    for mine, its in ((one.train, other.train), (one.validation, other.validation)):
        assert mine.key == its.key
        np.testing.assert_array_equal(mine.labels, its.labels)
        for held, others in ((mine.inputs, its.inputs), (mine.columns, its.columns)):
            assert list(held) == list(others)
            for name, rows in held.items():
                assert rows.dtype == others[name].dtype
                np.testing.assert_array_equal(rows, others[name])


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_what_was_loaded_once_is_the_same_for_the_next(name, folder):
    def load():
        return load_search_data(Named(name), subset=200)

    first, second = shared(name, load), shared(name, no_more)
    same(first, load())
    same(second, load())


def test_who_asks_for_something_else_gets_that(folder):
    shared("digits", digits)
    other = shared("fewer", lambda: load_search_data(Named("digits"), subset=100))
    assert len(other.train) == 100


def test_what_one_writes_no_other_sees(folder):
    first, second = shared("digits", digits), shared("digits", no_more)
    first.train.images[:] = 0
    assert second.train.images.any()
    assert shared("digits", no_more).train.images.any()


def test_without_a_folder_everybody_loads_for_himself(monkeypatch):
    monkeypatch.delenv(SHARED_VARIABLE, raising=False)
    same(shared("digits", digits), digits())


def test_where_there_is_no_room_everybody_loads_for_himself(folder):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        found = shared("digits", digits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    same(found, digits())
    assert [path.suffix for path in folder.iterdir()] == [".lock"]
    same(shared("digits", digits), found)


def test_what_is_raised_is_raised_and_the_next_tries_again(folder):
    def fails():
        raise DataError("no such file")

    with pytest.raises(DataError, match="no such file"):
        shared("digits", fails)
    assert len(shared("digits", digits).train) == 300


def test_photos_that_are_read_from_the_disk_are_left_there(folder, tmp_path, photos, monkeypatch):
    monkeypatch.setenv("HPSEARCH_PHOTO_MEMORY", "1 kB")
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
    photos(tmp_path / "pets", 20)
    data = ImageFolder("pets", size=(6, 8), classes=("bright", "dark"), validation=0.3)
    found = shared(data, lambda: load_search_data(data, data_dir=tmp_path))
    assert not isinstance(found.train.images, np.ndarray)
    assert not list(folder.glob("*.arrays"))


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="this is how TensorFlow is fed")
def test_tensorflow_takes_them_where_they_lie(folder):
    images = shared("digits", digits).train.images
    assert np.shares_memory(np.asarray(memoryview(in_place(images))), images)
    aside = images[1:]  # begins at no multiple that it could be used at
    np.testing.assert_array_equal(np.asarray(memoryview(in_place(aside))), aside)
