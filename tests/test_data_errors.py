"""What is wrong with data is said in one sentence that names the place and the way out."""

import pickle
import socket
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data import Arrays, ImageFolder, Named
from hpsearch.data.folders import list_photos
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.sample import sample
from hpsearch.data.split import sealed_part, search_parts
from hpsearch.errors import DataError, SpaceError


@pytest.fixture(autouse=True)
def _no_other_data(tmp_path, monkeypatch):
    """No data directory of this machine is seen."""
    monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


def said(data, root, **options):
    """The sentence that loading ends with."""
    with pytest.raises(DataError) as caught:
        load_search_data(data, data_dir=root, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def pets(tmp_path):
    """Ten photos each of cats and dogs."""
    random = np.random.Generator(np.random.PCG64(0))
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(random.integers(0, 255, (32, 32, 3)).astype(np.uint8))
            picture.save(tmp_path / "pets" / name / f"{number}.jpg")
    return tmp_path / "pets"


PETS = ImageFolder("pets", size=8, classes=("cats", "dogs"))


class TestFolders:
    def test_a_folder_that_is_not_there(self, tmp_path):
        text = said(ImageFolder("pests", size=8, classes=("cats", "dogs")), tmp_path)
        assert "not on this machine" in text
        assert "photo folder pests" in text
        assert "HPSEARCH_DATA_DIR" in text

    def test_an_empty_class_folder(self, pets):
        for photo in (pets / "dogs").iterdir():
            photo.unlink()
        (pets / "dogs" / "notes.txt").write_text("none")
        text = said(PETS, pets.parent)
        assert str(pets / "dogs") in text
        assert "holds no photos (jpg, jpeg, png" in text

    def test_an_empty_class_folder_of_the_test_part_is_said_before_the_search(self, pets):
        for part in ("train", "test"):
            (pets.parent / "split" / part).mkdir(parents=True)
        (pets / "cats").rename(pets.parent / "split" / "train" / "cats")
        (pets / "dogs").rename(pets.parent / "split" / "train" / "dogs")
        (pets.parent / "split" / "test" / "cats").mkdir()
        text = said(ImageFolder("split", size=8, classes=("cats", "dogs")), pets.parent)
        assert str(Path("split", "test", "cats")) in text

    def test_one_class_only(self, pets):
        (pets / "dogs").rename(pets.parent / "dogs")
        text = said(ImageFolder("pets", size=8), pets.parent)
        assert "holds one class only, 'cats'" in text

    def test_no_class_folders(self, tmp_path):
        (tmp_path / "pets").mkdir()
        assert "pets/class/name.jpg" in said(ImageFolder("pets", size=8), tmp_path)

    def test_a_missing_class_folder_names_the_near_ones(self, pets):
        text = said(ImageFolder("pets", size=8, classes=("cat", "dogs")), pets.parent)
        assert "no class folder 'cat'" in text
        assert "Did you mean cats?" in text
        assert "It has cats, dogs." in text

    def test_too_few_images_of_a_class(self, pets):
        for number in range(8):
            (pets / "cats" / f"{number}.jpg").unlink()
        assert "'cats' has 2 images, too few to split" in said(PETS, pets.parent)

    def test_a_subset_larger_than_the_data(self, pets):
        assert "A subset of 15 is more than the 14 training images" in said(PETS, pets.parent, subset=15)
        assert "A subset of 0 is no subset" in said(PETS, pets.parent, subset=0)

    def test_a_wrong_option_is_a_space_error(self, pets):
        with pytest.raises(SpaceError, match=r"data\.size: got 0"):
            load_search_data(ImageFolder("pets", size=0), data_dir=pets.parent)


def empty(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def no_image(path):
    path.write_text("<html>not found</html>")


def torn_png(path):
    picture = path.with_suffix(".png")
    Image.open(path).save(picture)
    path.write_bytes(picture.read_bytes()[:60])
    picture.unlink()


def photos_by_part(pets):
    """The photos for training, for validation and for the test, told by their names."""
    photos = list_photos(pets, PETS.classes)
    marks, keys = np.array([photo.label for photo in photos]), [photo.key for photo in photos]
    train, validation = search_parts(
        marks, keys, PETS.classes, validation=PETS.validation_share, seed=0, test=PETS.test, subset=None
    )
    return [[photos[index].path for index in part] for part in (train, validation, sealed_part(marks, keys, PETS.test))]


class TestBadPhotos:
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [(empty, "it is empty"), (truncated, "image file is truncated"), (no_image, "it is no image"), (torn_png, "")],
    )
    def test_one_bad_photo_is_named_and_can_be_left_out(self, pets, damage, reason):
        loaded = load_search_data(PETS, data_dir=pets.parent)
        photo = photos_by_part(pets)[0][3]
        damage(photo)
        text = said(PETS, pets.parent)
        assert f"The image {photo} is corrupt ({reason}" in text
        assert "--skip-bad-images" in text
        rest = load_search_data(PETS, data_dir=pets.parent, skip_bad_images=True)
        assert rest.skipped == (str(photo),)
        assert len(rest.train.labels) == len(loaded.train.labels) - 1
        assert np.array_equal(rest.validation.images, loaded.validation.images)
        assert rest.fingerprint != loaded.fingerprint

    def test_bad_photos_of_the_test_part_show_only_there(self, pets):
        photo = photos_by_part(pets)[2][0]
        empty(photo)
        assert load_search_data(PETS, data_dir=pets.parent).skipped == ()
        with pytest.raises(DataError, match="--skip-bad-images") as caught:
            load_test_part(PETS, data_dir=pets.parent)
        assert str(photo) in str(caught.value)
        assert len(load_test_part(PETS, data_dir=pets.parent, skip_bad_images=True).labels) == 3

    def test_a_class_with_only_bad_photos_is_said(self, pets):
        for path in (pets / "cats").iterdir():
            empty(path)
        text = said(PETS, pets.parent, skip_bad_images=True)
        assert "No training image of the class 'cats' can be decoded" in text


def images(count=12, shape=(6, 6, 3), high=255):
    return np.random.Generator(np.random.PCG64(0)).integers(0, high, (count, *shape)).astype(np.uint8)


def labels(count=12, classes=3):
    return np.arange(count) % classes


class TestArrays:
    @pytest.mark.parametrize(
        ("x", "y", "words"),
        [
            (images(), labels(11), "has 11 labels for 12 images"),
            (images(), labels() + 1, "go from 1 to 3, but 3 classes are declared, whose labels are 0 to 2"),
            (images(), labels() - 1, "go from -1 to 1"),
            (images(), labels() + 0.5, "whole numbers, names of classes or one-hot"),
            (images(), np.array(["cat", "dogs", "apes"])[labels()], "a label 'cat', which is no declared class"),
            (images(), np.eye(4)[labels()], "4 columns wide, but 3 classes"),
            (images(), np.ones((12, 3)), "not one-hot"),
            (images(), np.array([{}] * 12), "holds Python objects"),
            (images(), np.zeros(12, int), "'apes' has 0 images"),
            (images(3), labels(3), "'cats' has 1 image, too few"),
            (images(shape=(6, 5, 3)), labels(), "holds images of 6x5x3, but 6x6x3 is declared"),
            (images(shape=(6, 6)), labels(), "holds images of 6x6, but 6x6x3"),
            (images(12, (3, 6, 6)), labels(), "move the channels to the last axis"),
            (images() * 300.0 * np.nan, labels(), "not finite (NaN or infinity)"),
            (images().astype(int) * 3, labels(), "allowed: 0 to 255, or floats"),
            (images() / 255.0, labels(), "does not fit white=255; declare white="),
            (images().astype("U3"), labels(), "allowed: uint8 or float"),
        ],
    )
    def test_what_does_not_fit_the_declaration(self, tmp_path, x, y, words):
        np.savez(tmp_path / "own.npz", x=x, y=y)
        data = Arrays("own.npz", input_shape=(6, 6, 3), classes=("cats", "apes", "dogs"))
        text = said(data, tmp_path)
        assert words in text
        assert "own.npz" in text or "class" in text
        with pytest.raises(DataError) as caught:
            sample(data, data_dir=tmp_path)
        assert words in str(caught.value), "a sample shows it, too"

    def test_the_near_class_is_named(self, tmp_path):
        np.savez(tmp_path / "own.npz", x=images(), y=np.array(["cat", "dogs", "apes"])[labels()])
        text = said(Arrays("own.npz", input_shape=(6, 6, 3), classes=("cats", "apes", "dogs")), tmp_path)
        assert "Did you mean cats?" in text

    def test_missing_arrays_are_listed(self, tmp_path):
        data = Arrays("own.npz", input_shape=(6, 6, 3), classes=3)
        np.savez(tmp_path / "own.npz", pictures=images(), y_val=labels())
        assert "holds pictures, y_val; it needs x_train and y_train, or x and y" in said(data, tmp_path)
        np.savez(tmp_path / "own.npz", x_train=images())
        assert "and no y_train" in said(data, tmp_path)
        np.savez(tmp_path / "own.npz", x_train=images(), y_train=labels(), x_test=images())
        assert "has no y_test" in said(data, tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 torn"])
    def test_a_file_that_is_not_what_its_name_says(self, tmp_path, content):
        (tmp_path / "own.npz").write_bytes(content)
        (tmp_path / "x.npy").write_bytes(content)
        np.save(tmp_path / "y.npy", labels())
        for data, kind in (
            (Arrays("own.npz", input_shape=(6, 6, 3), classes=3), "an .npz file"),
            (Arrays("x.npy", labels="y.npy", input_shape=(6, 6, 3), classes=3), "x.npy"),
        ):
            text = said(data, tmp_path)
            assert kind in text
            assert "replace it with a good copy" in text or "Python objects" in text

    def test_a_pickle_in_disguise_is_not_loaded(self, tmp_path):
        (tmp_path / "x.npy").write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
        np.save(tmp_path / "y.npy", labels())
        said(Arrays("x.npy", labels="y.npy", input_shape=(6, 6, 3), classes=3), tmp_path)
        assert not (tmp_path / "trap").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class TestNamedSets:
    def test_a_torn_archive(self, tmp_path):
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b torn")
        text = said(Named("cifar10"), tmp_path)
        assert "cifar-10-python.tar.gz cannot be read as the official CIFAR archive" in text
        assert "good copy" in text

    def test_a_batch_that_is_missing(self, tmp_path):
        (tmp_path / "cifar-10-batches-py").mkdir()
        assert "has no data_batch_1" in said(Named("cifar10"), tmp_path)

    def test_a_batch_that_would_run_code_is_refused(self, tmp_path):
        (tmp_path / "cifar-100-python").mkdir()
        (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(Trap(tmp_path / "trap"), protocol=2))
        text = said(Named("cifar100"), tmp_path)
        assert "train in" in text
        assert "is not a CIFAR batch" in text
        assert not (tmp_path / "trap").exists()

    def test_another_set_under_the_name(self, tmp_path):
        y = labels(30, 10)
        np.savez(tmp_path / "mnist.npz", x_train=images(30), y_train=y, x_test=images(30), y_test=y)
        assert "holds images of 6x6x3, but 28x28x1 is declared" in said(Named("mnist"), tmp_path)
        np.savez(tmp_path / "mnist.npz", x_train=images(30), y_train=y)
        assert "has no x_test" in said(Named("mnist"), tmp_path)

    @pytest.mark.parametrize("content", [b"", b"torn", b"\x1f\x8b\x08\x00"])
    def test_an_idx_file_that_is_none(self, tmp_path, content):
        (tmp_path / "fashion-mnist").mkdir()
        assert "train-images-idx3-ubyte.gz" in said(Named("fashion_mnist"), tmp_path)
        (tmp_path / "fashion-mnist" / "train-images-idx3-ubyte.gz").write_bytes(content)
        assert "cannot be read as a gzipped IDX file" in said(Named("fashion_mnist"), tmp_path)


class TestDownload:
    """What happens where there is no local copy, with a stand-in for Keras: no test asks the network."""

    @pytest.fixture
    def keras(self, tmp_path, monkeypatch):
        cache = tmp_path / "keras" / "datasets"
        cache.mkdir(parents=True)
        monkeypatch.setattr("hpsearch.data.locate._keras_caches", lambda: iter([cache]))
        monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
        module = types.ModuleType("keras")
        module.datasets = types.SimpleNamespace(mnist=types.SimpleNamespace())
        module.cache = cache
        monkeypatch.setitem(sys.modules, "keras", module)
        return module

    def test_no_network_says_which_file_to_put_where(self, keras):
        def load_data():
            assert socket.getdefaulttimeout() == 20
            raise Exception("URL fetch failure on https://...: None -- [Errno -3]")  # as Keras does

        keras.datasets.mnist.load_data = load_data
        text = said(Named("mnist"), None)
        assert "MNIST is not on this machine and could not be downloaded (URL fetch failure" in text
        assert "Put mnist.npz into a folder" in text
        assert "--data-dir or HPSEARCH_DATA_DIR" in text
        assert socket.getdefaulttimeout() is None

    def test_what_was_downloaded_is_read_from_the_cache(self, keras, capsys):
        def load_data():
            sys.stdout.write("Downloading data\n")
            x, y = images(30, (28, 28)), labels(30, 10)
            np.savez(keras.cache / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)

        keras.datasets.mnist.load_data = load_data
        assert load_search_data(Named("mnist")).train.images.shape == (20, 28, 28, 1)
        assert capsys.readouterr().out == ""
