"""Declarations of data: what they say without data, and what is refused with which sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.data import NAMES, Arrays, ImageFolder, Named, check_declaration, find, named, with_classes
from hpsearch.data.facts import FACTS
from hpsearch.errors import DataError, SpaceError


@pytest.mark.parametrize("name", NAMES)
def test_named_sets_know_shape_classes_and_white(name):
    data = named(name)
    height, width, channels = data.input_shape
    assert height == width
    assert channels in (1, 3) or data.inputs == {"table": (channels,)}
    assert len(set(data.class_names)) == len(data.class_names) == {"cifar100": 100, "breast_cancer": 2}.get(name, 10)
    assert data.white == (16.0 if name == "digits" else 255.0)
    check_declaration(data)


def test_cifar100_classes_are_the_official_ones_in_alphabetical_order():
    names = FACTS["cifar100"].class_names
    assert list(names) == sorted(names)
    assert (names[0], names[49], names[99]) == ("apple", "mountain", "worm")


def test_an_unknown_name_lists_the_near_and_the_known():
    with pytest.raises(SpaceError) as caught:
        named("cifr10")
    assert "'cifr10'" in str(caught.value)
    assert "Did you mean cifar10" in str(caught.value)
    assert "digits, cifar10, cifar100, mnist, fashion_mnist" in str(caught.value)


def test_a_declaration_prints_as_the_source_that_makes_it():
    data = ImageFolder("cats_dogs", size=[120, 160], classes=["cats", "dogs"], channels=1, split_seed=3)
    assert eval(repr(data)) == data
    assert hash(data) == hash(eval(repr(data)))
    arrays = Arrays("x.npy", labels="y.npy", input_shape=(8, 8, 1), classes=4)
    assert eval(repr(arrays)) == arrays
    assert repr(Named("digits")) == 'Named("digits")' or repr(Named("digits")) == "Named('digits')"


def test_sizes_are_height_then_width_or_a_square():
    assert ImageFolder("x", size=64).input_shape == (64, 64, 3)
    assert ImageFolder("x", size=(48, 64), channels=1).input_shape == (48, 64, 1)


def test_arrays_carry_shape_white_and_names():
    data = Arrays("x.npz", input_shape=(8, 6, 1), classes=3)
    assert data.input_shape == (8, 6, 1)
    assert data.class_names == ("0", "1", "2")
    assert data.white == 255.0
    assert Arrays("x.npz", input_shape=(8, 6, 1), classes=("a", "b"), white=1.0).white == 1.0


def test_the_usual_validation_share_is_larger_for_the_small_digits():
    assert named("digits").validation_share == 0.2
    assert named("cifar10").validation_share == 0.1
    assert Named("digits", validation=0.3).validation_share == 0.3
    assert ImageFolder("x", size=8).validation_share == 0.1


@pytest.mark.parametrize(
    ("data", "address", "words"),
    [
        (Named("digits", validation=0), "data.validation", "above 0 and below 1"),
        (Named("digits", split_seed=-1), "data.split_seed", "0 or more"),
        (Named("digit"), "data", "Did you mean digits"),
        (ImageFolder("x", size=0), "data.size", "1 or more"),
        (ImageFolder("x", size=(3, 4, 5)), "data.size", "(height, width)"),
        (ImageFolder("x", size=(3, 0)), "data.size", "1 or more"),
        (ImageFolder("x", size=8, channels=2), "data.channels", "3 or 1"),
        (ImageFolder("x", size=8, classes=("cats",)), "data.classes", "2 or more"),
        (ImageFolder("x", size=8, classes="cats"), "data.classes", "2 or more"),
        (ImageFolder("x", size=8, classes=("cats", 3)), "data.classes[1]", "a text"),
        (ImageFolder("x", size=8, classes=("cats", "cats")), "data.classes", "more than once"),
        (ImageFolder("x", size=8, test=1), "data.test", "below 1"),
        (Arrays("x.npz", input_shape=(8, 8), classes=3), "data.input_shape", "(height, width, channels)"),
        (Arrays("x.npz", input_shape=(8, 8, 1), classes=1), "data.classes", "2 or more"),
        (Arrays("x.csv", input_shape=(8, 8, 1), classes=3), "data.file", ".npz or .npy"),
        (Arrays("x.npy", input_shape=(8, 8, 1), classes=3), "data.labels", "labels='y.npy'"),
        (Arrays("x.npz", labels="y.npy", input_shape=(8, 8, 1), classes=3), "data.labels", "leave labels= out"),
        (Arrays("x.npz", input_shape=(8, 8, 1), classes=3, white=0), "data.white", "above 0"),
    ],
)
def test_a_wrong_option_is_named_by_its_address(data, address, words):
    with pytest.raises(SpaceError) as caught:
        check_declaration(data)
    assert caught.value.address == address
    assert words in str(caught.value).replace("1 or 3", "3 or 1")


def test_classes_left_out_are_those_of_the_folder(tmp_path):
    for name in ("dogs", "cats", ".hidden"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
    data = ImageFolder("pets", size=8)
    assert with_classes(data, data_dir=tmp_path).class_names == ("cats", "dogs")


def test_classes_left_out_and_no_folder_asks_for_classes(tmp_path, monkeypatch):
    monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="declare classes="):
        _ = ImageFolder("pets", size=8).class_names


def test_the_declarations_import_no_heavy_library():
    code = (
        "import sys, hpsearch.data as d; d.find(d.named('digits')); d.named('cifar10').input_shape; "
        "print([m for m in ('numpy', 'PIL', 'sklearn', 'keras') if m in sys.modules])"
    )
    root = Path(sys.modules["hpsearch.data"].__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(root)}
    )
    assert done.stdout.strip() == "[]"


class TestFind:
    """Where data is looked for, and the order."""

    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path, monkeypatch):
        """No data of this machine is seen."""
        monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        monkeypatch.setattr("hpsearch.data.locate._keras_caches", lambda: iter([tmp_path / "keras" / "datasets"]))
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")

    def test_digits_come_with_a_package(self):
        found = find(named("digits"))
        assert (found.found, found.path, found.where) == (True, None, "bundled with scikit-learn")

    def test_what_is_missing_says_which_file_to_put_where(self):
        for data, file in (
            (named("cifar10"), "cifar10.npz or the official cifar-10-python.tar.gz"),
            (named("fashion_mnist"), "fashion-mnist"),
            (ImageFolder("cats_dogs", size=8), "cats_dogs"),
            (Arrays("signs.npz", input_shape=(8, 8, 1), classes=3), "signs.npz"),
        ):
            found = find(data)
            assert not found.found
            assert found.path is None
            assert file in found.hint
            assert "--data-dir" in found.hint
            assert "HPSEARCH_DATA_DIR" in found.hint

    def test_argument_then_environment_then_keras_cache(self, tmp_path, monkeypatch):
        places = [tmp_path / name for name in ("argument", "environment", "keras/datasets")]
        for place in places:
            place.mkdir(parents=True)
            (place / "mnist.npz").touch()
        monkeypatch.setenv("HPSEARCH_DATA_DIR", str(places[1]))
        assert find(named("mnist"), data_dir=places[0]).path == places[0] / "mnist.npz"
        assert find(named("mnist")).path == places[1] / "mnist.npz"
        monkeypatch.delenv("HPSEARCH_DATA_DIR")
        assert find(named("mnist")).path == places[2] / "mnist.npz"

    @pytest.mark.parametrize(
        ("name", "local"),
        [
            ("cifar10", "cifar10.npz"),
            ("cifar10", "cifar-10-python.tar.gz"),
            ("cifar10", "cifar-10-batches-py/"),
            ("cifar10", "cifar-10-batches-py-target/cifar-10-batches-py/"),
            ("cifar100", "cifar-100-python.tar.gz"),
            ("fashion_mnist", "fashion-mnist/"),
        ],
    )
    def test_the_official_names_are_known(self, tmp_path, name, local):
        path = tmp_path / local
        (path if local.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not local.endswith("/"):
            path.touch()
        assert find(named(name), data_dir=tmp_path).path == path

    def test_mnist_files_are_not_taken_for_fashion_mnist(self, tmp_path):
        (tmp_path / "train-images-idx3-ubyte.gz").touch()
        assert not find(named("fashion_mnist"), data_dir=tmp_path).found

    def test_a_folder_is_found_by_name_by_path_and_as_the_data_directory_itself(self, tmp_path):
        pets = tmp_path / "pets"
        pets.mkdir()
        assert find(ImageFolder("pets", size=8), data_dir=tmp_path).path == pets
        assert find(ImageFolder(str(pets), size=8)).path == pets
        assert find(ImageFolder("../pets", size=8)).path.resolve() == pets
        assert find(ImageFolder("pets", size=8), data_dir=pets).path == pets

    def test_labels_are_expected_beside_their_images(self, tmp_path):
        (tmp_path / "x.npy").touch()
        data = Arrays("x.npy", labels="y.npy", input_shape=(8, 8, 1), classes=3)
        found = find(data, data_dir=tmp_path)
        assert not found.found
        assert "y.npy" in found.hint
        (tmp_path / "y.npy").touch()
        assert find(data, data_dir=tmp_path).path == tmp_path / "x.npy"

    @pytest.mark.parametrize("how", ["--data-dir", "HPSEARCH_DATA_DIR"])
    def test_a_data_directory_that_is_not_there_is_said(self, tmp_path, monkeypatch, how):
        if how == "HPSEARCH_DATA_DIR":
            monkeypatch.setenv(how, str(tmp_path / "gone"))
        with pytest.raises(DataError, match=f"gone, which {how} names"):
            find(named("mnist"), data_dir=tmp_path / "gone" if how == "--data-dir" else None)
