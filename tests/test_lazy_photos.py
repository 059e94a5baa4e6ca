"""Photos that do not fit into memory: decoded once into the cache and read from there, with the same results."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data import ImageFolder, Table
from hpsearch.data.cache import cached, usage
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.parts import joined
from hpsearch.data.photos import fits_into_memory
from hpsearch.data.stored import Stored, stored
from hpsearch.errors import DataError

PETS = ImageFolder("pets", size=(6, 8), classes=("bright", "dark"), validation=0.3)
SOURCE = Path(__file__).resolve().parents[1] / "search"


@pytest.fixture
def pets(photos, tmp_path, monkeypatch):
    """Twenty photos of each of two classes, and a cache of their own."""
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
    return photos(tmp_path / "pets", 20)


def lazily(monkeypatch):
    monkeypatch.setenv("HPSEARCH_PHOTO_MEMORY", "1 kB")


def same(left, right):
    return all(np.array_equal(left.inputs[name][:], right.inputs[name][:]) for name in left.inputs) and np.array_equal(
        left.labels, right.labels
    )


def test_photos_from_the_disk_are_those_in_memory(pets, monkeypatch):
    before = load_search_data(PETS, data_dir=pets.parent)
    test = load_test_part(PETS, data_dir=pets.parent)
    lazily(monkeypatch)
    found = load_search_data(PETS, data_dir=pets.parent)
    assert isinstance(found.train.images, Stored)
    assert isinstance(before.train.images, np.ndarray)
    assert found.fingerprint == before.fingerprint
    assert same(found.train, before.train)
    assert same(found.validation, before.validation)
    assert same(load_test_part(PETS, data_dir=pets.parent), test)


def test_the_limit_is_the_one_that_is_said(monkeypatch):
    monkeypatch.setenv("HPSEARCH_PHOTO_MEMORY", "3MB")
    assert fits_into_memory(10, (100, 1000, 3))
    assert not fits_into_memory(11, (100, 1000, 3))
    monkeypatch.delenv("HPSEARCH_PHOTO_MEMORY")
    assert not fits_into_memory(2_000_000_001, (1, 1, 1))
    monkeypatch.setenv("HPSEARCH_PHOTO_MEMORY", "much")
    with pytest.raises(DataError, match=r"HPSEARCH_PHOTO_MEMORY is 'much'; allowed: a size such as"):
        fits_into_memory(1, (1, 1, 1))


def test_a_second_time_nothing_is_decoded(pets, monkeypatch):
    lazily(monkeypatch)
    first = load_search_data(PETS, data_dir=pets.parent)
    monkeypatch.setattr("hpsearch.data.photos.read_photo", None)
    assert load_search_data(PETS, data_dir=pets.parent).fingerprint == first.fingerprint
    assert usage() >= 40 * 0.8 * 6 * 8 * 3


def test_a_photo_that_changed_is_decoded_again(pets, monkeypatch):
    lazily(monkeypatch)
    first = load_search_data(PETS, data_dir=pets.parent)
    for photo in (pets / "dark").iterdir():
        Image.new("RGB", (10, 12), (9, 9, 9)).save(photo)
    assert load_search_data(PETS, data_dir=pets.parent).fingerprint != first.fingerprint


@pytest.mark.parametrize("lazy", [False, True])
def test_bad_photos_are_refused_or_skipped_alike(pets, monkeypatch, lazy):
    if lazy:
        lazily(monkeypatch)
    for photo in sorted((pets / "dark").iterdir())[::4]:
        photo.write_bytes(b"no photo")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match=r"is corrupt .*--skip-bad-images"):
            load_search_data(PETS, data_dir=pets.parent)
        found = load_search_data(PETS, data_dir=pets.parent, skip_bad_images=True)
        assert found.skipped
        assert len(found.train) == len(found.train.images) == len(found.train.images[:])
        assert found.train.images[:][found.train.labels == 1].max() < 128


@pytest.mark.parametrize("lazy", [False, True])
def test_a_table_says_line_and_column_of_a_bad_photo(pets, monkeypatch, lazy):
    if lazy:
        lazily(monkeypatch)
    lines = ["photo,kind"] + [f"{kind}/{n:02d}.png,{kind}" for kind in ("bright", "dark") for n in range(20)]
    (pets / "t.csv").write_text("\n".join(lines))
    data = Table("t.csv", label="kind", classes=("bright", "dark"), images={"image": "photo"}, size=8)
    found = load_search_data(data, data_dir=pets)
    kept = len(found.train) + len(found.validation)
    lost = [pets / kind / f"{n:02d}.png" for kind in ("bright", "dark") for n in range(0, 20, 4)]
    for photo in lost:
        photo.unlink()
    with pytest.raises(DataError, match=r"t\.csv, line \d+, column 'photo': There is no image .*\.png; put it there"):
        load_search_data(data, data_dir=pets)
    found = load_search_data(data, data_dir=pets, skip_bad_images=True)
    assert len(found.train) + len(found.validation) == kept - len(found.skipped)
    assert 0 < len(found.skipped) <= len(lost)


def test_rows_can_be_taken_joined_and_read_in_any_order(tmp_path):
    everything = np.arange(60, dtype=np.uint8).reshape(10, 2, 3)
    everything.tofile(tmp_path / "rows")
    rows = stored(tmp_path / "rows", everything.shape, everything.dtype)
    (tmp_path / "rows").unlink()  # what is open stays readable
    order = np.array([7, 8, 2, 2, 9, 0])
    assert np.array_equal(rows[order][:], everything[order])
    assert np.array_equal(rows[2:9][1:3][:], everything[3:5])
    together = rows[order].joined([rows[:2], rows[3:4]])
    wanted = np.concatenate([everything[order], everything[:2], everything[3:4]])
    assert together.shape == wanted.shape
    assert np.array_equal(together[:], wanted[:])
    assert np.array_equal(together[np.array([8, 0, 7])][:], wanted[[8, 0, 7]])
    assert rows[np.array([], dtype=np.int64)][:].shape == (0, 2, 3)


def test_a_file_that_ends_early_is_said(tmp_path):
    (tmp_path / "rows").write_bytes(b"12345")
    with pytest.raises(DataError, match="ends early"):
        stored(tmp_path / "rows", (2, 3), np.dtype(np.uint8))[:]


def test_training_from_the_disk_is_training_from_memory(pets, monkeypatch):
    """Two epochs and a retraining; the batches are read from the disk one by one."""
    import keras

    from hpsearch import ConvNet, Model, Recipe, Stage, Training
    from hpsearch.training.build import build
    from hpsearch.training.fit import fit
    from hpsearch.training.inputs import loaded_inputs
    from hpsearch.training.watch import Watch

    def trained():
        data = load_search_data(PETS, data_dir=pets.parent)
        recipe = Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=Training(epochs=2, batch_size=8))
        keras.utils.set_random_seed(3)
        built = build(recipe, loaded_inputs(PETS, data), lambda _: None)
        whole = joined([data.train, data.validation])
        fit(
            built,
            whole,
            data.validation,
            loaded_inputs(PETS, data),
            metric="val_accuracy",
            maximize=True,
            seed=1,
            watch=Watch(),
        )
        return built.network.get_weights()

    lazily(monkeypatch)
    found = trained()
    again = trained()
    assert all(np.isfinite(weights).all() for weights in found)
    assert all(np.array_equal(left, right) for left, right in zip(found, again, strict=True))


PEAK = """
import json, os, sys
from pathlib import Path
import numpy as np
from hpsearch.data import ImageFolder
from hpsearch.data.loading import load_search_data

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if "VmHWM" in line).split()[1]) * 1000

folder = Path(sys.argv[1])
load_search_data(ImageFolder("warm", size=300, classes=("bright", "dark")), data_dir=folder)
before = peak()
data = load_search_data(ImageFolder("pets", size=300, classes=("bright", "dark")), data_dir=folder)
for epoch in range(2):
    for start in range(0, len(data.train), 32):
        batch = data.train.images[np.arange(start, min(start + 32, len(data.train)))][:]
print(json.dumps([peak() - before, len(data.train) * 300 * 300 * 3]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read as Linux tells it")
def test_the_peak_of_memory_stays_far_below_the_photos(photos, tmp_path):
    import json

    photos(tmp_path / "warm", 12)
    photos(tmp_path / "pets", 400)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "HPSEARCH_CACHE": str(tmp_path / "cache")}

    def peak(**more):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path)],
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    held, size = peak(HPSEARCH_PHOTO_MEMORY="100kB")
    assert size > 150_000_000
    assert held < size / 3
    assert peak(HPSEARCH_PHOTO_MEMORY="1GB")[0] > size  # what the measure says where they are in memory


class TestCache:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))

    @staticmethod
    def fill(size, made=None):
        def make(folder):
            if made is not None:
                made.append(folder)
            (folder / "content").write_bytes(b"x" * size)

        return make

    def test_an_entry_is_made_once(self):
        made = []
        first = cached("things", "a", 10, self.fill(10, made))
        assert cached("things", "a", 10, self.fill(10, made)) == first
        assert len(made) == 1
        assert (first / "content").stat().st_size == 10

    def test_several_at_once_make_it_once(self):
        made, found = [], []
        threads = [
            threading.Thread(target=lambda: found.append(cached("things", "a", 10, self.fill(10, made))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        assert len(set(found)) == 1

    def test_what_was_used_longest_ago_goes_first(self, monkeypatch):
        monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "250")
        old, used = (cached("things", key, 100, self.fill(100)) for key in "ab")
        os.utime(old / "done", (1, 1))
        os.utime(used / "done", (2, 2))
        cached("things", "a", 100, self.fill(100))  # used again
        new = cached("things", "c", 100, self.fill(100))
        assert old.exists()
        assert new.exists()
        assert not used.exists()
        assert usage() == 200

    def test_what_failed_leaves_nothing(self, tmp_path):
        def fails(folder):
            (folder / "content").write_bytes(b"x")
            raise DataError("no")

        with pytest.raises(DataError, match="no"):
            cached("things", "a", 10, fails)
        assert usage() == 0
        assert not [path for path in (tmp_path / "cache" / "hpsearch-cache-2").iterdir() if path.is_dir()]

    def test_what_is_too_large_is_said_with_the_way_out(self, monkeypatch):
        monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "5 kB")
        with pytest.raises(DataError, match=r"would need 9\.0 kB, and its limit is 5\.0 kB; raise it with HPSEARCH"):
            cached("things", "a", 9000, self.fill(9000))
        monkeypatch.setenv("HPSEARCH_CACHE_LIMIT", "99999TB")
        with pytest.raises(DataError, match="make room, or name a folder on another disk with HPSEARCH_CACHE"):
            cached("things", "a", 10**16, self.fill(1))

    def test_a_place_that_cannot_be_written_is_said(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "file" / "cache"))
        with pytest.raises(DataError, match="cannot be written: Not a directory; name another folder"):
            cached("things", "a", 10, self.fill(10))
