"""Photos decoded to uint8 arrays of one size, by threads."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.folders import Photo
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["read_photo", "read_photos"]

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")


class BadPhotoError(DataError):
    """One photo cannot be decoded."""


def read_photos(
    photos: Sequence[Photo], shape: tuple[int, int, int], *, skip_bad: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Photos as one array.

    Args:
        photos: The files, in the order of the result.
        shape: Height, width and channels to bring them to.
        skip_bad: Whether to leave out photos that cannot be decoded.

    Returns:
        uint8 (n, height, width, channels) of the good photos, and for each photo whether it is good.

    Raises:
        DataError: A photo is corrupt, truncated or empty and is not to be skipped, or a file may not be read.
    """
    images = np.empty((len(photos), *shape), dtype=np.uint8)
    good = np.ones(len(photos), dtype=np.bool_)

    def place(position: int) -> None:
        try:
            images[position] = read_photo(photos[position].path, shape)
        except BadPhotoError:
            if not skip_bad:
                raise
            good[position] = False

    # Pillow decodes without Python's lock, so threads use all cores; map() cancels what is left after an error.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        for _ in threads.map(place, range(len(photos))):
            pass
    return (images, good) if good.all() else (images[good], good)


def read_photo(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One photo as the network sees it.

    Args:
        path: The file; of several frames the first counts.
        shape: Height, width and channels (3 or 1) to bring it to, by bilinear interpolation with antialiasing.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: The photo is corrupt, truncated or empty, or may not be read.
    """
    from PIL import Image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The image {path} cannot be read: {error.strerror}.") from error
    if not content:
        raise BadPhotoError(_bad(path, "it is empty"))
    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            image.load()
            converted = _in_eight_bits(image).convert("RGB" if channels == 3 else "L")
            resized = converted.resize((width, height), Image.Resampling.BILINEAR)
    except Exception as error:  # decoders raise whatever a damaged file leads them into
        if isinstance(error, MemoryError):
            raise
        raise BadPhotoError(_bad(path, _reason(error))) from error
    return np.asarray(resized, dtype=np.uint8).reshape(shape)


def _in_eight_bits(image: Image) -> Image:
    """16-bit grey images scaled down; Pillow's own conversion would clip them to white."""
    if not image.mode.startswith("I"):
        return image
    from PIL import Image as Images

    return Images.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    return "it is no image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())


def _bad(path: Path, reason: str) -> str:
    return f"The image {path} is corrupt ({reason}); repair or remove it, or go on without it by --skip-bad-images."
