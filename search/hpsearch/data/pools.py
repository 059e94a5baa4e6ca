"""Every kind of data as one thing: a pool of rows with labels and keys, read only where it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.archives import read_cifar, read_idx_folder
from hpsearch.data.arrays import (
    checked_images,
    checked_labels,
    npz_head,
    npz_keys,
    read_npy,
    read_npz,
    with_channels,
)
from hpsearch.data.batches import Batch, Indices, Pool
from hpsearch.data.declarations import Arrays, Data, ImageFolder, Named
from hpsearch.data.download import download
from hpsearch.data.folders import Photo, list_photos, test_folder, train_folder
from hpsearch.data.locate import find
from hpsearch.data.photos import read_photos
from hpsearch.data.table_pool import bundled_table_pool, table_pool
from hpsearch.data.tables import Table
from hpsearch.errors import DataError

__all__ = ["open_head", "open_pool"]


def open_pool(data: Data, *, data_dir: Path | None, sealed: bool) -> Pool:
    """The pool that holds the images to search with, or the one that holds the test part.

    Where the data has a test part of its own there are two pools, and the one asked for is all that is opened;
    elsewhere there is one, and its `Pool.test` says which share of it is sealed.

    Args:
        data: The declaration, its classes known.
        data_dir: Where to look first.
        sealed: Whether the pool with the test part is wanted.

    Raises:
        DataError: The data is not there or is not as declared.
    """
    if isinstance(data, Named):
        return _named_pool(data, data_dir, sealed)
    path = _path(data, data_dir)
    if isinstance(data, ImageFolder):
        return _photo_pool(data, path, sealed)
    if isinstance(data, Arrays):
        return _file_pool(data, path, sealed)
    if isinstance(data, Table):
        return table_pool(data, path)
    raise TypeError(f"cannot load {type(data).__name__}")


def open_head(data: Arrays, rows: int, *, data_dir: Path | None) -> Pool:
    """The pool to search with, all labels in it, of whose images only the first are read.

    Args:
        data: The declaration.
        rows: How many images can be asked for, from position 0.
        data_dir: Where to look first.

    Raises:
        DataError: The data is not there or is not as declared.
    """
    path = _path(data, data_dir)
    if data.labels is not None:
        return _file_pool(data, path, sealed=False)  # its images are mapped, not read
    x, y, test = _npz_names(path, sealed=False)
    (labels,), (head, shape) = read_npz(path, y), npz_head(path, x, rows)
    # Zeros of the whole shape that take no memory: there is but one.
    pool = _array_pool(
        data, np.broadcast_to(np.zeros((), head.dtype), shape), labels, path, data.test if test else None
    )
    images = with_channels(head, data.input_shape, path)
    return replace(pool, read=partial(_read_rows, images, pool.labels, data.white, path))


def _path(data: Data, data_dir: Path | None) -> Path:
    found = find(data, data_dir=data_dir)
    if found.path is None and isinstance(data, Named):
        download(data, found.hint)
        found = find(data, data_dir=data_dir)
    if found.path is None:
        raise DataError(f"The data is not on this machine. {found.hint}")
    return found.path


def _photo_pool(data: ImageFolder, root: Path, sealed: bool) -> Pool:
    test = test_folder(root, data)
    if test is not None:
        # By their names alone: better now than after a night of training.
        list_photos(test, data.class_names)
    photos = list_photos(test if sealed and test is not None else train_folder(root, data), data.class_names)

    def read(indices: Indices, skip_bad: bool, in_memory: bool) -> Batch:
        paths = [photos[index].path for index in indices]
        images, bad = read_photos(paths, data.input_shape, skip_bad=skip_bad, in_memory=in_memory)
        kept = np.setdiff1d(np.arange(len(indices)), list(bad))
        skipped = tuple(str(paths[position]) for position in sorted(bad))
        return Batch({"image": images[kept] if bad else images}, labels[indices][kept], skipped)

    labels = _labels_of(photos)
    keys = tuple(photo.key for photo in photos)
    return Pool(labels, keys, None if test is not None else data.test, read, photos=1)


def _labels_of(photos: list[Photo]) -> NDArray[np.int64]:
    return np.array([photo.label for photo in photos], dtype=np.int64)


def _file_pool(data: Arrays, path: Path, sealed: bool) -> Pool:
    if data.labels is not None:
        images, labels = read_npy(path, lazily=True), read_npy(path.parent / data.labels)
        return _array_pool(data, images, labels, path, data.test)
    x, y, test = _npz_names(path, sealed)
    images, labels = read_npz(path, x, y)
    return _array_pool(data, images, labels, path, data.test if test else None)


def _npz_names(path: Path, sealed: bool) -> tuple[str, str, bool]:
    """The names of the images and the labels in an ``.npz``, and whether a test part is to be set aside from them."""
    keys = npz_keys(path)
    if not {"x_train", "y_train"} & set(keys):
        if not {"x", "y"} & set(keys):
            raise DataError(f"{path} holds {', '.join(keys) or 'nothing'}; it needs x_train and y_train, or x and y.")
        return "x", "y", True
    if not {"x_test", "y_test"} & set(keys):
        return "x_train", "y_train", True
    return *_part_names(path, keys, sealed), False


def _part_names(path: Path, keys: tuple[str, ...], sealed: bool) -> tuple[str, str]:
    """The names of training or test arrays in an ``.npz``; that the test part is there is checked by these alone."""
    for key in ("x_test", "y_test"):
        if key not in keys:
            raise DataError(f"{path} has no {key}; its test part needs x_test and y_test.")
    return ("x_test", "y_test") if sealed else ("x_train", "y_train")


def _named_pool(data: Named, data_dir: Path | None, sealed: bool) -> Pool:
    if data.facts.columns:
        return bundled_table_pool(data)
    if not data.facts.files:
        images, labels = _bundled(data)
        return _array_pool(data, images, labels, Path(data.name), data.test_share)
    path = _path(data, data_dir)
    if path.suffix == ".npz":
        images, labels = read_npz(path, *_part_names(path, npz_keys(path), sealed))
    elif data.name == "cifar10":
        batches = ("test_batch",) if sealed else tuple(f"data_batch_{number}" for number in range(1, 6))
        images, labels = read_cifar(path, batches)
    elif data.name == "cifar100":
        images, labels = read_cifar(path, ("test" if sealed else "train",))
    else:
        images, labels = read_idx_folder(path, "t10k" if sealed else "train")
    return _array_pool(data, images, labels, path, test=None)


def _bundled(data: Named) -> tuple[NDArray[Any], NDArray[Any]]:
    """scikit-learn's digits; their values are whole numbers from 0 to 16, though kept as floats."""
    try:
        digits = importlib.import_module("sklearn.datasets").load_digits()
    except ImportError as error:
        raise DataError(f"The data is not on this machine. {find(data).hint}") from error
    return digits.images.astype(np.uint8), digits.target


def _array_pool(data: Data, images: NDArray[Any], labels: NDArray[Any], path: Path, test: float | None) -> Pool:
    shaped = with_channels(images, data.input_shape, path)
    numbers = checked_labels(labels, data.class_names, len(shaped), path)
    keys = tuple(map(str, range(len(numbers))))
    return Pool(numbers, keys, test, partial(_read_rows, shaped, numbers, data.white, path))


def _read_rows(
    images: NDArray[Any],
    labels: NDArray[np.int64],
    white: float,
    path: Path,
    indices: Indices,
    skip_bad: bool,  # noqa: ARG001  # every pool is read the same way; rows of an array cannot be bad one by one
    in_memory: bool,  # noqa: ARG001  # they are in memory
) -> Batch:
    return Batch({"image": checked_images(images[indices], white, path)}, labels[indices])
