"""The rows of a declaration: train and validation for the search, the sealed test part apart from them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.batches import Batch, Indices, Pool
from hpsearch.data.classes import with_classes
from hpsearch.data.declarations import Data, Named, check_declaration
from hpsearch.data.encoding import Encoding, fit_encoding
from hpsearch.data.locate import Found, find
from hpsearch.data.parts import Part, Rows
from hpsearch.data.photos import fits_into_memory
from hpsearch.data.pools import open_pool
from hpsearch.data.split import Source, bands, sealed_part, search_parts
from hpsearch.data.tables import TABLE, Table
from hpsearch.errors import DataError

__all__ = [
    "Found",
    "Part",
    "SearchData",
    "drawn",
    "find",
    "load_search_data",
    "load_test_part",
    "source_of",
    "strata",
    "table_width",
]

_HASHED_AT_ONCE = 8_000_000
"""Bytes."""


@dataclass(frozen=True)
class SearchData:
    """What a search may see.

    Args:
        train: The rows to train on.
        validation: The rows to judge a trial by.
        class_names: Names of the classes; a label is a position in them. There are none where amounts are told.
        fingerprint: A hash of inputs, labels and class names; equal where trials may be ranked together.
        skipped: Paths of the images that were left out because they cannot be decoded.
        encoding: How the columns of a table become its vector, found on the rows to train on; None without a table.
    """

    train: Part
    validation: Part
    class_names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()
    encoding: Encoding | None = None

    @cached_property
    def features(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input by name."""
        return {name: tuple(rows.shape[1:]) for name, rows in self.train.inputs.items()}

    @property
    def validation_classes(self) -> tuple[int, ...]:
        """How many rows of each class a trial is judged by; none where amounts are told."""
        if not self.class_names:
            return ()
        return tuple(np.bincount(self.validation.labels, minlength=len(self.class_names)).tolist())


def load_search_data(
    data: Data, *, data_dir: Path | None = None, subset: int | None = None, skip_bad_images: bool = False
) -> SearchData:
    """The training and the validation rows; the images of the test part are not opened.

    Photos that do not fit into memory, see `hpsearch.data.photos`, are read from the disk when they are needed.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.
        subset: How many training rows to take, stratified; validation then has at most half as many (but one of each
            class). None takes all.
        skip_bad_images: Whether to go on without images that cannot be decoded.

    Raises:
        DataError: The data cannot be found, read or split as declared.
        SpaceError: The declaration itself is wrong.
    """
    data, pool, trained, validated = _opened(data, data_dir, subset)
    in_memory = fits_into_memory(pool.photos * (len(trained) + len(validated)), data.input_shape)
    train, validation = (pool.read(rows, skip_bad_images, in_memory) for rows in (trained, validated))
    for batch, part in ((train, "training"), (validation, "validation")):
        _check_classes_left(batch, part, data.class_names)
    encoding = _fitted(data, train.columns)
    fingerprint = _fingerprint((train, validation), data.class_names)
    return SearchData(
        train=replace(_part(train, encoding), key=f"{fingerprint} train"),
        validation=replace(_part(validation, encoding), key=f"{fingerprint} validation"),
        class_names=data.class_names,
        fingerprint=fingerprint,
        skipped=train.skipped + validation.skipped,
        encoding=encoding,
    )


def load_test_part(data: Data, *, data_dir: Path | None = None, skip_bad_images: bool = False) -> Part:
    """The sealed test part, to be opened once the choice is made; of a table its columns, which exported models take.

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
    layers, _ = strata(pool, data.class_names)
    indices = everything if pool.test is None else sealed_part(layers, pool.keys, pool.test, pool.groups)
    if len(indices) == 0:
        raise DataError("The test part of the data holds no images; nothing can be scored on it.")
    batch = pool.read(indices, skip_bad_images, fits_into_memory(pool.photos * len(indices), data.input_shape))
    if len(batch.labels) == 0:
        raise DataError(f"No image of the test part can be decoded ({len(batch.skipped)} were skipped); repair them.")
    return _part(batch, None)


def table_width(data: Data, *, data_dir: Path | None = None) -> int | None:
    """How wide the vector of a table is, whose file is read for that, and none of its photos; None without a table.

    Args:
        data: The declaration.
        data_dir: Where to look for the file first.

    Raises:
        DataError: The file cannot be found, read or split as declared.
    """
    if TABLE not in data.inputs:
        return None
    data, pool, trained, _ = _opened(data, data_dir, None)
    encoding = _fitted(data, {name: values[trained] for name, values in pool.columns.items()})
    return None if encoding is None else encoding.width


def _opened(data: Data, data_dir: Path | None, subset: int | None) -> tuple[Data, Pool, Indices, Indices]:
    """The declaration with its classes, its rows, and which of them are for training and for validation."""
    check_declaration(data)
    if subset is not None and subset < 1:
        raise DataError(f"A subset of {subset} is no subset; take 1 image or more.")
    data = with_classes(data, data_dir=data_dir)
    pool = open_pool(data, data_dir=data_dir, sealed=False)
    return data, pool, *drawn(data, pool, subset)


def drawn(data: Data, pool: Pool, subset: int | None) -> tuple[Indices, Indices]:
    """Which rows are for training and which for validation.

    Args:
        data: The declaration, with its classes.
        pool: All rows but those of a test part that lies elsewhere.
        subset: How many training rows to take; None takes all.

    Returns:
        Ascending positions, of each.

    Raises:
        DataError: There are too few of a class, or fewer than the subset wants.
    """
    layers, names = strata(pool, data.class_names)
    return search_parts(
        layers,
        pool.keys,
        names,
        validation=data.validation_share,
        seed=data.split_seed,
        test=pool.test,
        subset=subset,
        groups=pool.groups,
        source=source_of(data),
    )


def source_of(data: Data) -> Source | None:
    """The table that a declaration reads, as messages about its rows name it; None where it is another kind.

    Args:
        data: The declaration.
    """
    return Source(data.file, data.label, data.group) if isinstance(data, Table) else None


def strata(pool: Pool, class_names: Sequence[str]) -> tuple[NDArray[np.int64], Sequence[str]]:
    """What a split keeps the proportions of, and how it is called: the classes, or bands of the amounts.

    Args:
        pool: The rows.
        class_names: Names of the classes; none where amounts are told.
    """
    if class_names:
        return pool.labels, class_names
    layers = bands(pool.labels, pool.keys)
    edges = [pool.labels[layers == band] for band in range(int(layers.max(initial=-1)) + 1)]
    return layers, [f"{values.min():g} to {values.max():g}" for values in edges]


def _fitted(data: Data, columns: Mapping[str, NDArray[Any]]) -> Encoding | None:
    if isinstance(data, Named) and data.facts.columns:
        return fit_encoding(columns, data.facts.columns, (), rare=1)
    if isinstance(data, Table) and TABLE in data.inputs:
        return fit_encoding(columns, data.numeric, data.categorical, rare=data.rare)
    return None


def _part(batch: Batch, encoding: Encoding | None) -> Part:
    table = {} if encoding is None else {TABLE: encoding.encoded(batch.columns)}
    return Part({**batch.inputs, **table}, batch.labels, batch.columns)


def _check_classes_left(batch: Batch, part: str, class_names: Sequence[str]) -> None:
    """After bad images were left out, every class must still be there."""
    if not class_names:
        if len(batch.labels) == 0:
            raise DataError(f"No {part} image can be decoded ({len(batch.skipped)} were skipped); repair them.")
        return
    for label, count in enumerate(np.bincount(batch.labels, minlength=len(class_names)).tolist()):
        if count == 0:
            raise DataError(
                f"No {part} image of the class {class_names[label]!r} can be decoded "
                f"({len(batch.skipped)} images were skipped); repair them or leave the class out."
            )


def _fingerprint(batches: Sequence[Batch], class_names: Sequence[str]) -> str:
    """A hash of what a network sees; the same bytes on every machine, wherever the rows are held."""
    digest = hashlib.blake2b(repr(tuple(class_names)).encode(), digest_size=16)
    for batch in batches:
        named = {**batch.inputs, **batch.columns}
        for name, rows in named.items():
            if len(named) > 1 or name != "image":  # the fingerprints of single images stay what they were
                digest.update(f"{name}\0".encode())
            for part in _hashed(rows):
                digest.update(part)
        for part in _hashed(batch.labels):
            digest.update(part)
    return digest.hexdigest()


def _hashed(rows: Rows) -> Iterator[bytes | memoryview]:
    if rows.dtype.kind == "U":
        yield "\0".join(np.ravel(rows[:]).tolist()).encode()
        return
    # Little-endian everywhere, so that the machine does not matter.
    dtype = rows.dtype.newbyteorder("<")
    yield f"{dtype.str}{tuple(rows.shape)}".encode()
    count = max(_HASHED_AT_ONCE // max(math.prod(rows.shape[1:]) * dtype.itemsize, 1), 1)
    for start in range(0, len(rows), count):
        yield np.ascontiguousarray(rows[start : start + count][:], dtype=dtype).data.cast("B")
