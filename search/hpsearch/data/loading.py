"""The images of a declaration in memory: train and validation for the search, the sealed test part apart from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.declarations import Data, check_declaration
from hpsearch.data.folders import with_classes
from hpsearch.data.locate import Found, find
from hpsearch.data.pools import Batch, open_pool
from hpsearch.data.split import sealed_part, search_parts
from hpsearch.errors import DataError

__all__ = ["Found", "Part", "SearchData", "find", "load_search_data", "load_test_part"]


@dataclass(frozen=True)
class Part:
    """Some images and their labels.

    Args:
        images: (n, height, width, channels); raw pixels, uint8 or float32, 0 to the declaration's ``white``.
        labels: int64 (n,), positions in the class names.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class SearchData:
    """What a search may see.

    Args:
        train: The images to train on.
        validation: The images to judge a trial by.
        class_names: Names of the classes; a label is a position in them.
        fingerprint: A hash of images, labels and class names; equal where trials may be ranked together.
        skipped: Paths of the images that were left out because they cannot be decoded.
    """

    train: Part
    validation: Part
    class_names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()


def load_search_data(
    data: Data, *, data_dir: Path | None = None, subset: int | None = None, skip_bad_images: bool = False
) -> SearchData:
    """The training and the validation images; those of the test part are not opened.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.
        subset: How many training images to take, stratified; validation then has at most half as many (but one of each
            class). None takes all.
        skip_bad_images: Whether to go on without images that cannot be decoded.

    Raises:
        DataError: The data cannot be found, read or split as declared.
        SpaceError: The declaration itself is wrong.
    """
    check_declaration(data)
    if subset is not None and subset < 1:
        raise DataError(f"A subset of {subset} is no subset; take 1 image or more.")
    data = with_classes(data, data_dir=data_dir)
    pool = open_pool(data, data_dir=data_dir, sealed=False)
    trained, validated = search_parts(
        pool.labels,
        pool.keys,
        data.class_names,
        validation=data.validation_share,
        seed=data.split_seed,
        test=pool.test,
        subset=subset,
    )
    train, validation = pool.read(trained, skip_bad_images), pool.read(validated, skip_bad_images)
    for batch, part in ((train, "training"), (validation, "validation")):
        _check_classes_left(batch, part, data.class_names)
    return SearchData(
        train=Part(train.images, train.labels),
        validation=Part(validation.images, validation.labels),
        class_names=data.class_names,
        fingerprint=_fingerprint((train, validation), data.class_names),
        skipped=train.skipped + validation.skipped,
    )


def load_test_part(data: Data, *, data_dir: Path | None = None, skip_bad_images: bool = False) -> Part:
    """The sealed test part, to be opened once the choice is made.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.
        skip_bad_images: Whether to go on without images that cannot be decoded.

    Raises:
        DataError: The data cannot be found or read as declared.
        SpaceError: The declaration itself is wrong.
    """
    check_declaration(data)
    data = with_classes(data, data_dir=data_dir)
    pool = open_pool(data, data_dir=data_dir, sealed=True)
    everything = np.arange(len(pool.labels))
    indices = everything if pool.test is None else sealed_part(pool.labels, pool.keys, pool.test)
    if len(indices) == 0:
        raise DataError("The test part of the data holds no images; nothing can be scored on it.")
    batch = pool.read(indices, skip_bad_images)
    if len(batch.labels) == 0:
        raise DataError(f"No image of the test part can be decoded ({len(batch.skipped)} were skipped); repair them.")
    return Part(batch.images, batch.labels)


def _check_classes_left(batch: Batch, part: str, class_names: Sequence[str]) -> None:
    """After bad images were left out, every class must still be there."""
    for label, count in enumerate(np.bincount(batch.labels, minlength=len(class_names)).tolist()):
        if count == 0:
            raise DataError(
                f"No {part} image of the class {class_names[label]!r} can be decoded "
                f"({len(batch.skipped)} images were skipped); repair them or leave the class out."
            )


def _fingerprint(batches: Sequence[Batch], class_names: Sequence[str]) -> str:
    """A hash of what a network sees; the same bytes on every machine."""
    digest = hashlib.blake2b(repr(tuple(class_names)).encode(), digest_size=16)
    for batch in batches:
        for array in (batch.images, batch.labels):
            # Little-endian everywhere, so that the machine does not matter.
            plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{plain.dtype.str}{plain.shape}".encode())
            digest.update(plain.data.cast("B"))
    return digest.hexdigest()
