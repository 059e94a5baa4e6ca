"""What every source of data keeps to, whatever it is: one contract, asked of each on small real files."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data import Arrays, Data, ImageFolder, Named
from hpsearch.data.arrays import npz_head
from hpsearch.data.folders import list_photos
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.sample import sample
from hpsearch.data.split import sealed_part
from hpsearch.errors import DataError

PER_CLASS = 12
"""Images of a class to search with (and to set a test part aside from, where there is no other)."""
PER_CLASS_TEST = 4
"""Images of a class in a test part of its own."""


def make_images(classes, per_class, shape, seed):
    """Noise whose brightness tells the class; every image differs. Interleaved classes, as in real files."""
    random = np.random.Generator(np.random.PCG64(seed))
    step = 200 // classes
    labels = np.tile(np.arange(classes), per_class)
    noise = random.integers(0, step, (len(labels), *shape))
    return (20 + labels[:, None, None, None] * step + noise).astype(np.uint8), labels


def brightness_class(images, classes, white):
    """The class that the brightness of each image tells."""
    means = images.astype(np.float64).mean(axis=(1, 2, 3)) * 255.0 / white
    return np.floor((means - 20) / (200 // classes)).astype(int)


def both(classes, shape, seed):
    return make_images(classes, PER_CLASS, shape, seed), make_images(classes, PER_CLASS_TEST, shape, seed + 1000)


def spoil_npz(path, keys=("x_test.npy", "y_test.npy")):
    """Replace members of an .npz by garbage."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"garbage" if name in keys else content)


# ---- the sources: each writes its files under a folder and returns its declaration


def digits(root, seed):
    return Named("digits")


def npz_of(name, classes, shape, stored):
    def make(root, seed):
        (x, y), (x_test, y_test) = both(classes, shape, seed)
        x, x_test = x.reshape(-1, *stored), x_test.reshape(-1, *stored)
        np.savez(root / f"{name}.npz", x_train=x, y_train=y[:, None].astype(np.uint8), x_test=x_test, y_test=y_test)
        return Named(name)

    return make


def cifar_batch(images, labels, key):
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return pickle.dumps({b"data": rows, key: labels.tolist(), b"batch_label": b"x"}, protocol=2)


def cifar_files(classes, seed):
    (x, y), (x_test, y_test) = both(classes, (32, 32, 3), seed)
    if classes == 100:
        key = b"fine_labels"
        return {"train": cifar_batch(x, y, key), "test": cifar_batch(x_test, y_test, key), "meta": b"not read"}
    parts = np.array_split(np.arange(len(x)), 5)
    files = {f"data_batch_{i}": cifar_batch(x[part], y[part], b"labels") for i, part in enumerate(parts, start=1)}
    return files | {"test_batch": cifar_batch(x_test, y_test, b"labels"), "batches.meta": b"not read"}


def write_tar(path, folder, files):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def cifar10_tar(root, seed):
    write_tar(root / "cifar-10-python.tar.gz", "cifar-10-batches-py", cifar_files(10, seed))
    return Named("cifar10")


def spoil_cifar10_tar(root):
    files = cifar_files(10, 0) | {"test_batch": b"garbage"}
    write_tar(root / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)


def cifar10_folder(root, seed):
    (root / "cifar-10-batches-py").mkdir(exist_ok=True)
    for name, content in cifar_files(10, seed).items():
        (root / "cifar-10-batches-py" / name).write_bytes(content)
    return Named("cifar10")


def cifar100_tar(root, seed):
    write_tar(root / "cifar-100-python.tar.gz", "cifar-100-python", cifar_files(100, seed))
    return Named("cifar100")


def idx(array):
    return gzip.compress(
        b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def fashion_idx(root, seed):
    folder = root / "fashion-mnist"
    folder.mkdir(exist_ok=True)
    for part, (x, y) in zip(("train", "t10k"), both(10, (28, 28, 1), seed), strict=True):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(x[..., 0]))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(y.astype(np.uint8)))
    return Named("fashion_mnist")


def write_photos(folder, images, labels, names):
    """Photos of several formats and shapes, with files among them that are none."""
    suffixes = (".png", ".JPG", ".jpeg", ".bmp", ".webp", ".gif")
    for position, (image, label) in enumerate(zip(images, labels, strict=True)):
        home = folder / names[label]
        home.mkdir(parents=True, exist_ok=True)
        suffix = suffixes[position % len(suffixes)]
        options = {"quality": 95} if suffix in (".JPG", ".jpeg") else {}
        Image.fromarray(image[: 12 + position % 5]).save(home / f"{position:03d}{suffix}", **options)
        (home / ".hidden.png").write_bytes(b"")
        (home / "notes.txt").write_text("no photo")


PETS = ("cats", "apes", "dogs")


def photos_flat(root, seed):
    write_photos(root / "pets", *make_images(3, PER_CLASS, (16, 20, 3), seed), PETS)
    return ImageFolder("pets", size=(10, 8), classes=PETS)


def spoil_photos_flat(root):
    photos = list_photos(root / "pets", PETS)
    labels = np.array([photo.label for photo in photos])
    for index in sealed_part(labels, [photo.key for photo in photos], 0.2):
        photos[index].path.write_bytes(b"")


def photos_in_parts(root, seed):
    train, test = both(3, (16, 20, 3), seed)
    write_photos(root / "pets" / "train", *train, PETS)
    write_photos(root / "pets" / "test", *test, PETS)
    return ImageFolder("pets", size=9, channels=1)


def spoil_photos_in_parts(root):
    for path in (root / "pets" / "test").glob("*/[0-9]*"):
        path.write_bytes(b"")


def npz_parts(root, seed):
    (x, y), (x_test, y_test) = both(4, (6, 8, 3), seed)
    np.savez_compressed(root / "own.npz", x_train=x, y_train=np.eye(4)[y], x_test=x_test, y_test=np.eye(4)[y_test])
    return Arrays("own.npz", input_shape=(6, 8, 3), classes=4)


def npz_floats(root, seed):
    x, y = make_images(4, PER_CLASS, (6, 8, 1), seed)
    np.savez(root / "own.npz", x=x[..., 0] / 255.0, y=y.astype(np.float64))
    return Arrays("own.npz", input_shape=(6, 8, 1), classes=4, white=1.0)


def npy_pair(root, seed):
    x, y = make_images(3, PER_CLASS, (6, 8, 3), seed)
    np.save(root / "x.npy", x.astype(np.int64))
    np.save(root / "y.npy", np.array(PETS)[y])
    return Arrays("x.npy", labels="y.npy", input_shape=(6, 8, 3), classes=PETS)


@dataclass(frozen=True)
class Case:
    """A source: how its files are made, how its test part is made unreadable, and what to expect of it."""

    name: str
    make: Callable[[Path, int], Data]
    spoil: Callable[[Path], None] | None = None
    dtype: str = "uint8"

    @property
    def own_test(self) -> bool:
        """Whether the source has a test part of its own."""
        return self.name not in ("digits", "photos_flat", "npz_floats", "npy_pair")


CASES = [
    Case("digits", digits),
    Case("cifar10_npz", npz_of("cifar10", 10, (32, 32, 3), (32, 32, 3)), lambda root: spoil_npz(root / "cifar10.npz")),
    Case("cifar10_tar", cifar10_tar, spoil_cifar10_tar),
    Case(
        "cifar10_folder",
        cifar10_folder,
        lambda root: (root / "cifar-10-batches-py" / "test_batch").write_bytes(b"garbage"),
    ),
    Case("cifar100_tar", cifar100_tar),
    Case("mnist_npz", npz_of("mnist", 10, (28, 28, 1), (28, 28)), lambda root: spoil_npz(root / "mnist.npz")),
    Case(
        "fashion_idx",
        fashion_idx,
        lambda root: (root / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(b"garbage"),
    ),
    Case("photos_flat", photos_flat, spoil_photos_flat),
    Case("photos_in_parts", photos_in_parts, spoil_photos_in_parts),
    Case("npz_parts", npz_parts, lambda root: spoil_npz(root / "own.npz")),
    Case("npz_floats", npz_floats, dtype="float32"),
    Case("npy_pair", npy_pair),
]
WRITTEN = [case for case in CASES if case.name != "digits"]


def of(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def rows(part):
    return {image.tobytes() for image in part.images}


@of(CASES)
def test_parts_have_the_declared_shape_and_the_right_labels(case, tmp_path):
    data = case.make(tmp_path, 0)
    loaded = load_search_data(data, data_dir=tmp_path)
    test = load_test_part(data, data_dir=tmp_path)
    for part in (loaded.train, loaded.validation, test):
        assert part.images.shape == (len(part.labels), *data.input_shape)
        assert part.images.dtype == case.dtype
        assert part.labels.dtype == np.int64
        assert part.images.max() <= data.white
        assert set(part.labels) == set(range(len(loaded.class_names)))
    assert loaded.skipped == ()


@of(WRITTEN)
def test_every_image_keeps_its_own_label(case, tmp_path):
    data = case.make(tmp_path, 0)
    loaded = load_search_data(data, data_dir=tmp_path)
    # Without classes= they are sorted by name, the brightness was given in the order of PETS.
    order = [PETS.index(name) if name in PETS else label for label, name in enumerate(loaded.class_names)]
    for part in (loaded.train, loaded.validation, load_test_part(data, data_dir=tmp_path)):
        told = brightness_class(part.images, len(order), data.white)
        assert told.tolist() == [order[label] for label in part.labels]


@of(CASES)
def test_parts_share_no_image_and_cover_the_data(case, tmp_path):
    data = case.make(tmp_path, 0)
    loaded = load_search_data(data, data_dir=tmp_path)
    parts = [rows(loaded.train), rows(loaded.validation), rows(load_test_part(data, data_dir=tmp_path))]
    sizes = [len(part) for part in parts]
    assert len(set.union(*parts)) == sum(sizes)
    if case.name == "digits":
        assert sum(sizes) == 1797
    else:
        assert sum(sizes) == len(loaded.class_names) * (PER_CLASS + PER_CLASS_TEST * case.own_test)


@of(CASES)
def test_validation_holds_its_share_of_every_class(case, tmp_path):
    data = replace(case.make(tmp_path, 0), validation=0.25)
    loaded = load_search_data(data, data_dir=tmp_path)
    train, validation = np.bincount(loaded.train.labels), np.bincount(loaded.validation.labels)
    assert (np.abs(validation - 0.25 * (train + validation)) <= 0.5).all()


@of(CASES)
def test_loading_again_gives_the_same(case, tmp_path):
    data = case.make(tmp_path, 0)
    first = load_search_data(data, data_dir=tmp_path)
    load_test_part(data, data_dir=tmp_path)
    load_search_data(data, data_dir=tmp_path, subset=len(first.class_names))
    again = load_search_data(data, data_dir=tmp_path)
    assert again.fingerprint == first.fingerprint
    for part, same in ((first.train, again.train), (first.validation, again.validation)):
        assert np.array_equal(part.images, same.images)
        assert np.array_equal(part.labels, same.labels)


@of(CASES)
def test_the_seed_changes_validation_and_fingerprint_but_not_the_test_part(case, tmp_path):
    data = case.make(tmp_path, 0)
    other = replace(data, split_seed=1)
    first, second = (load_search_data(each, data_dir=tmp_path) for each in (data, other))
    assert first.fingerprint != second.fingerprint
    assert rows(first.validation) != rows(second.validation)
    assert rows(load_test_part(data, data_dir=tmp_path)) == rows(load_test_part(other, data_dir=tmp_path))


@of(CASES)
def test_a_subset_is_stratified_within_the_whole_and_in_the_fingerprint(case, tmp_path):
    data = case.make(tmp_path, 0)
    whole = load_search_data(data, data_dir=tmp_path)
    classes = len(whole.class_names)
    part = load_search_data(data, data_dir=tmp_path, subset=2 * classes + 1)
    assert sorted(np.bincount(part.train.labels)) == [2] * (classes - 1) + [3]
    assert np.bincount(part.validation.labels).tolist() == [1] * classes
    assert rows(part.train) < rows(whole.train)
    assert rows(part.validation) <= rows(whole.validation)
    assert part.fingerprint != whole.fingerprint


@of(WRITTEN)
def test_the_fingerprint_knows_content(case, tmp_path):
    before = load_search_data(case.make(tmp_path, 0), data_dir=tmp_path).fingerprint
    after = load_search_data(case.make(tmp_path, 1), data_dir=tmp_path).fingerprint
    assert before != after


@of([case for case in CASES if case.name.startswith(("photos", "np"))])
def test_the_fingerprint_knows_the_order_of_the_classes(case, tmp_path):
    data = case.make(tmp_path, 0)
    loaded = load_search_data(data, data_dir=tmp_path)
    turned = replace(data, classes=loaded.class_names[::-1])
    assert load_search_data(turned, data_dir=tmp_path).fingerprint != loaded.fingerprint


@of([case for case in CASES if case.spoil])
def test_a_search_never_opens_the_test_part(case, tmp_path):
    data = case.make(tmp_path, 0)
    before = load_search_data(data, data_dir=tmp_path).fingerprint
    case.spoil(tmp_path)
    assert load_search_data(data, data_dir=tmp_path).fingerprint == before
    with pytest.raises(DataError):
        load_test_part(data, data_dir=tmp_path)


@of([case for case in CASES if case.name.startswith(("photos", "np"))])
def test_a_sample_counts_the_rows_and_opens_a_few_but_none_of_the_test_part(case, tmp_path):
    data = case.make(tmp_path, 0)
    loaded = load_search_data(data, data_dir=tmp_path)
    test = 0 if case.own_test else len(load_test_part(data, data_dir=tmp_path))
    if case.spoil:
        case.spoil(tmp_path)
    seen = sample(data, data_dir=tmp_path)
    assert seen.rows == len(loaded.train) + len(loaded.validation) + test
    assert seen.classes == len(loaded.class_names)
    photos = case.name.startswith("photos")
    assert seen.of == ("photos" if photos else "images")
    assert seen.opened == (8 if photos else min(len(loaded.train), seen.opened))
    assert seen.opened > 0


def test_a_sample_of_an_npz_reads_its_first_images_alone(tmp_path):
    x = np.tile(np.arange(200, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(200) % 2)
    head, shape = npz_head(tmp_path / "own.npz", "x", 5)
    assert shape == x.shape
    assert head.tolist() == x[:5].tolist()
    x[100] = 250  # too bright, where nobody looks
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(200) % 2)
    data = Arrays("own.npz", input_shape=(4, 4, 3), classes=2, white=200.0)
    assert 30 < sample(data, data_dir=tmp_path).opened < 64
    with pytest.raises(DataError, match="does not fit white=200"):
        load_search_data(data, data_dir=tmp_path)


def test_a_sample_of_a_named_set_opens_nothing():
    assert sample(Named("digits")) is None


def test_the_official_files_and_an_npz_of_the_same_images_are_the_same_data(tmp_path):
    prints = []
    for make in (cifar10_tar, cifar10_folder, npz_of("cifar10", 10, (32, 32, 3), (32, 32, 3))):
        root = tmp_path / str(len(prints))
        root.mkdir()
        prints.append(load_search_data(make(root, 0), data_dir=root).fingerprint)
    assert len(set(prints)) == 1


def test_the_same_in_another_process(tmp_path):
    data = photos_in_parts(tmp_path, 0)
    code = (
        "import sys; from pathlib import Path; from hpsearch.data import ImageFolder; "
        "from hpsearch.data.loading import load_search_data; "
        f"print(load_search_data({data!r}, data_dir=Path({str(tmp_path)!r})).fingerprint, 'keras' in sys.modules)"
    )
    root = Path(sys.modules["hpsearch.data"].__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    expected = load_search_data(data, data_dir=tmp_path).fingerprint
    assert done.stdout.split() == [expected, "False"]


def test_the_digits_split_is_this_one_on_every_machine():
    labels = load_search_data(Named("digits")).train.labels
    assert hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()[:16] == "5c84ac6f79854118"
    assert load_search_data(Named("digits")).fingerprint == "fc6955e5316602df6dfb401959dc93d6"


def test_a_photo_is_resized_without_keeping_its_aspect(tmp_path):
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[20:] = 255
    (tmp_path / "p").mkdir()
    Image.fromarray(picture).save(tmp_path / "p" / "x.png")
    from hpsearch.data.photos import read_photo

    image = read_photo(tmp_path / "p" / "x.png", (4, 6, 3))
    assert image.shape == (4, 6, 3)
    assert image[0].max() <= 10
    assert image[-1].min() >= 245


def test_sixteen_bit_grey_and_palette_photos_are_read(tmp_path):
    from hpsearch.data.photos import read_photo

    grey = np.full((8, 8), 40_000, np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).convert("P").save(tmp_path / "palette.png")
    assert abs(int(read_photo(tmp_path / "grey.png", (4, 4, 1)).mean()) - 40_000 // 256) <= 1
    assert read_photo(tmp_path / "palette.png", (4, 4, 3)).shape == (4, 4, 3)


def test_a_train_folder_alone_has_its_test_part_set_aside(tmp_path):
    write_photos(tmp_path / "pets" / "train", *make_images(3, PER_CLASS, (16, 20, 3), 0), PETS)
    data = ImageFolder("pets", size=8, test=0.25)
    assert np.bincount(load_test_part(data, data_dir=tmp_path).labels).tolist() == [3, 3, 3]
    assert len(load_search_data(data, data_dir=tmp_path).train.labels) == 3 * 8


def test_some_of_the_classes_can_be_taken(tmp_path):
    photos_in_parts(tmp_path, 0)
    loaded = load_search_data(ImageFolder("pets", size=8, classes=("dogs", "cats")), data_dir=tmp_path)
    assert loaded.class_names == ("dogs", "cats")
    assert len(loaded.train.labels) + len(loaded.validation.labels) == 2 * PER_CLASS
