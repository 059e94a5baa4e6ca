"""Images and labels from NumPy files, checked against their declaration."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError, did_you_mean

__all__ = [
    "checked_images",
    "checked_labels",
    "npz_head",
    "npz_keys",
    "read_npy",
    "read_npz",
    "readable",
    "with_channels",
]

AnyArray = NDArray[Any]

_BRIGHT_ENOUGH = 0.05
"""Images whose brightest pixel is below this share of white are taken for scaled already."""


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn what a reader raises about a bad file into one sentence that names the file.

    Args:
        path: The file that is read inside.
        kind: What it should be, such as ``an .npz file``.

    Raises:
        DataError: The file cannot be read as such.
    """
    try:
        yield
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds Python objects, which are not loaded for safety; save numbers or texts instead."
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as {kind} ({reason}); replace it with a good copy.") from error


def npz_keys(path: Path) -> tuple[str, ...]:
    """The names of the arrays in an ``.npz``; none of them is read.

    Args:
        path: The file.

    Raises:
        DataError: The file is no ``.npz``.
    """
    with readable(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def read_npz(path: Path, *keys: str) -> list[AnyArray]:
    """Some arrays of an ``.npz``; the others are not touched.

    Args:
        path: The file.
        keys: Names of the arrays.

    Raises:
        DataError: The file is no ``.npz``, is corrupt, or lacks a key.
    """
    _check_keys(path, *keys)
    with readable(path, "an .npz file"), np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in keys}
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # what is no array comes back as bytes
            raise DataError(f"{path} holds {key}, but not as a NumPy array; replace it with a good copy.")
    return list(arrays.values())


def _check_keys(path: Path, *keys: str) -> None:
    there = npz_keys(path)
    for key in keys:
        if key not in there:
            raise DataError(
                f"{path} holds {', '.join(there) or 'nothing'}, and no {key}; it needs {' and '.join(keys)}."
            )


def npz_head(path: Path, key: str, rows: int) -> tuple[AnyArray, tuple[int, ...]]:
    """The first rows of an array in an ``.npz``; what lies behind them is not read.

    Args:
        path: The file.
        key: The name of the array, of one axis or more.
        rows: How many rows to read, or fewer where there are no more.

    Returns:
        The rows, and the shape of the whole array.

    Raises:
        DataError: The file is no ``.npz``, is corrupt, lacks the key, or keeps the array by columns.
    """
    _check_keys(path, key)
    with readable(path, "an .npz file"), zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, dtype = read_header(file)
        if by_column or dtype.hasobject or not shape:
            (array,) = read_npz(path, key)
            return array[:rows], array.shape
        count = min(rows, shape[0])
        content = file.read(count * math.prod(shape[1:]) * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(count, *shape[1:]), shape


def read_npy(path: Path, *, lazily: bool = False) -> AnyArray:
    """One ``.npy`` array.

    Args:
        path: The file.
        lazily: Whether to map the file, so that only the rows that are used later are read.

    Raises:
        DataError: The file is no ``.npy``.
    """
    with readable(path, "an .npy file"):
        array = np.load(path, mmap_mode="r" if lazily else None, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an .npz archive in spite of its name; rename it, and declare it without labels=.")
    return array


def checked_labels(labels: AnyArray, class_names: Sequence[str], images: int, path: Path) -> NDArray[np.int64]:
    """Labels as positions in the class names.

    Args:
        labels: (n,) or (n, 1) whole numbers, (n,) names of classes, or (n, classes) one-hot.
        class_names: The declared classes.
        images: How many images there are.
        path: The file, for messages.

    Returns:
        int64 (n,).

    Raises:
        DataError: They are not as many as the images, or are no labels of these classes.
    """
    if labels.ndim == 0 or len(labels) != images:
        count = 1 if labels.ndim == 0 else len(labels)
        raise DataError(f"{path} has {count} labels for {images} images; every image needs one.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        return _from_one_hot(labels, class_names, path)
    if labels.ndim != 1:
        raise DataError(f"The labels of {path} have the shape {labels.shape}; allowed: (n,), (n, 1) or (n, classes).")
    if labels.dtype.kind in "US":
        return _from_names(labels, class_names, path)
    return _from_numbers(labels, class_names, path)


def _from_one_hot(labels: AnyArray, class_names: Sequence[str], path: Path) -> NDArray[np.int64]:
    width = len(class_names)
    if labels.shape[1] != width:
        raise DataError(f"The labels of {path} are {labels.shape[1]} columns wide, but {width} classes are declared.")
    numbers = labels.dtype.kind in "buif"
    if not numbers or not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
        raise DataError(f"The labels of {path} are not one-hot; every row needs a single 1 and otherwise 0.")
    positions: NDArray[np.int64] = labels.argmax(axis=1).astype(np.int64)
    return positions


def _from_names(labels: AnyArray, class_names: Sequence[str], path: Path) -> NDArray[np.int64]:
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    names, inverse = np.unique(labels, return_inverse=True)
    position = {name: label for label, name in enumerate(class_names)}
    for name in names.tolist():
        if name not in position:
            declared = (
                f"The declared classes are {', '.join(class_names[:10])}{', ...' if len(class_names) > 10 else ''}."
            )
            near = did_you_mean(name, class_names)
            raise DataError(f"{path} has a label {name!r}, which is no declared class.{near} {declared}")
    found: NDArray[np.int64] = np.array([position[name] for name in names.tolist()], dtype=np.int64)[inverse]
    return found


def _from_numbers(labels: AnyArray, class_names: Sequence[str], path: Path) -> NDArray[np.int64]:
    if labels.dtype.kind not in "buif" or not np.isfinite(labels).all() or (labels != np.floor(labels)).any():
        raise DataError(
            f"The labels of {path} are {labels.dtype}; allowed: whole numbers, names of classes or one-hot."
        )
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if low < 0 or high >= len(class_names):
        raise DataError(
            f"The labels of {path} go from {low:g} to {high:g}, but {len(class_names)} classes are declared, "
            f"whose labels are 0 to {len(class_names) - 1}."
        )
    return labels.astype(np.int64)


def with_channels(images: AnyArray, shape: tuple[int, int, int], path: Path) -> AnyArray:
    """Images with an axis for the channels, checked against the declared shape; a view, nothing is read.

    Args:
        images: (n, height, width, channels), or (n, height, width) where one channel is declared.
        shape: Declared height, width and channels.
        path: The file, for messages.

    Raises:
        DataError: The images have another shape.
    """
    if images.ndim == 3 and shape[2] == 1:
        images = images[..., np.newaxis]
    if images.ndim == 4 and images.shape[1:] == shape:
        return images
    got = "x".join(map(str, images.shape[1:])) or "nothing"
    advice = "declare the shape that is there, or convert the file"
    if images.ndim == 4 and (*images.shape[2:], images.shape[1]) == shape:
        advice = "move the channels to the last axis"
    raise DataError(f"{path} holds images of {got}, but {'x'.join(map(str, shape))} is declared; {advice}.")


def checked_images(images: AnyArray, white: float, path: Path) -> AnyArray:
    """Images in the type they are kept in.

    Args:
        images: Numbers of any type, (n, height, width, channels).
        white: The declared pixel value of full brightness.
        path: The file, for messages.

    Returns:
        uint8 for whole numbers, float32 for floats.

    Raises:
        DataError: A value is not finite, does not fit, or the declared white is far from the values.
    """
    kind = images.dtype.kind
    if kind not in "buif":
        raise DataError(f"The images of {path} are {images.dtype}; allowed: uint8 or float.")
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"The images of {path} hold values that are not finite (NaN or infinity); clean them first.")
    if kind != "f" and (low < 0 or high > 255):
        raise DataError(
            f"The images of {path} hold whole numbers from {low:g} to {high:g}; allowed: 0 to 255, or floats."
        )
    if (kind != "f" and high > white) or max(-low, high) < white * _BRIGHT_ENOUGH:
        raise DataError(
            f"The images of {path} go from {low:g} to {high:g}, which does not fit white={white:g}; declare white=."
        )
    return np.asarray(images, dtype=np.float32 if kind == "f" else np.uint8)
