"""The official files of CIFAR-10, CIFAR-100 and Fashion-MNIST, read without Keras."""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.arrays import readable
from hpsearch.data.pickles import array_of, read_pickle
from hpsearch.errors import DataError

__all__ = ["read_cifar", "read_idx_folder"]

LARGEST = 200_000_000
"""Bytes of a batch; the largest of the official ones has 155 million."""

Images = NDArray[np.uint8]
Labels = NDArray[Any]


def read_cifar(path: Path, members: Sequence[str]) -> tuple[Images, Labels]:
    """Images and labels of some batches of a CIFAR archive; the other batches are not unpacked.

    Args:
        path: The official ``.tar.gz``, or the folder it unpacks to.
        members: File names of the batches, such as ``data_batch_1``.

    Returns:
        uint8 (n, 32, 32, 3) and whole numbers (n,).

    Raises:
        DataError: A batch is missing or is not what it should be.
    """
    contents = _from_folder(path, members) if path.is_dir() else _from_tar(path, members)
    batches = [_parse_batch(contents[name], path, name) for name in members]
    images = np.concatenate([images for images, _ in batches])
    return images, np.concatenate([labels for _, labels in batches])


def _from_folder(folder: Path, members: Sequence[str]) -> dict[str, bytes]:
    for name in members:
        if not (folder / name).is_file():
            _missing(folder, name)
    with readable(folder, "the unpacked CIFAR archive"):
        return {name: (folder / name).read_bytes() for name in members}


def _from_tar(path: Path, members: Sequence[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with readable(path, "the official CIFAR archive"):
        try:
            with tarfile.open(path, "r:gz") as archive:
                for member in archive:
                    name = Path(member.name).name
                    wanted = name in members and member.isfile() and member.size <= LARGEST
                    file = archive.extractfile(member) if wanted else None
                    if file is not None:
                        contents[name] = file.read()
        except tarfile.TarError as error:
            raise ValueError(str(error)) from error
    for name in members:
        if name not in contents:
            _missing(path, name)
    return contents


def _missing(path: Path, name: str) -> NoReturn:
    raise DataError(f"{path} has no {name}, so it is not the whole official archive; replace it with a good copy.")


def _parse_batch(content: bytes, path: Path, name: str) -> tuple[Images, Labels]:
    try:
        batch = dict(read_pickle(content))
        labels = array_of(batch["labels"] if "labels" in batch else batch["fine_labels"])
        pixels = array_of(batch["data"])
        images = pixels.astype(np.uint8, casting="safe").reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        if labels.shape != (len(images),):
            raise ValueError(f"{len(images)} images and labels of shape {labels.shape}")
        return np.ascontiguousarray(images), labels
    except Exception as error:  # a damaged pickle may raise anything
        reason = " ".join(str(error).split())
        raise DataError(f"{name} in {path} is not a CIFAR batch ({reason}); replace it with a good copy.") from error


def read_idx_folder(folder: Path, part: str) -> tuple[Images, Labels]:
    """Images and labels of one part from the official gzipped IDX files.

    Args:
        folder: Where the four files are.
        part: ``train`` or ``t10k``.

    Returns:
        uint8 (n, height, width) and uint8 (n,).

    Raises:
        DataError: A file is missing or is not what it should be.
    """
    return _read_idx(folder / f"{part}-images-idx3-ubyte.gz"), _read_idx(folder / f"{part}-labels-idx1-ubyte.gz")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path.parent} has no {path.name}; put all four official files there.")
    with readable(path, "a gzipped IDX file"):
        with gzip.open(path) as file:
            content = file.read()
        if len(content) < 4 or content[:3] != b"\0\0\x08":
            raise ValueError("it does not start as one")
        axes = content[3]
        if len(content) < 4 + 4 * axes:
            raise ValueError("it ends early")
        shape = struct.unpack_from(f">{axes}I", content, 4)
        values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes)
        if len(values) != math.prod(shape):
            raise ValueError(f"it should hold {math.prod(shape)} values and holds {len(values)}")
        return values.reshape(shape)
