"""Photos decoded to uint8 arrays of one size, by threads: into memory, or where they do not fit, into the cache."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.cache import cache_folder, cached
from hpsearch.data.parts import Rows
from hpsearch.data.sizes import size_of
from hpsearch.data.stored import Stored, stored
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MEMORY_VARIABLE", "fits_into_memory", "not_there", "read_photo", "read_photos"]

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")

MEMORY_VARIABLE = "HPSEARCH_PHOTO_MEMORY"
USUAL_MEMORY = 2_000_000_000
"""Photos of a data set that take more bytes decoded, training and validation together, are read from the disk."""

_PIXELS, _BAD = "pixels.bin", "bad.json"
_ATTEMPTS = 5

Shape = tuple[int, int, int]
Where = Callable[[int], str]


class BadPhotoError(DataError):
    """One photo cannot be decoded, or is not there."""


def fits_into_memory(photos: int, shape: Shape) -> bool:
    """Whether photos are held in memory.

    They are up to `USUAL_MEMORY`, or a quarter of the machine's where that is less, or what the environment says.

    Args:
        photos: How many.
        shape: Height, width and channels of each when it is decoded, a byte each.

    Raises:
        DataError: ``HPSEARCH_PHOTO_MEMORY`` says something else than a size.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return photos * math.prod(shape) <= size_of(MEMORY_VARIABLE, min(USUAL_MEMORY, machine // 4))


def read_photos(
    photos: Sequence[Path], shape: Shape, *, skip_bad: bool, in_memory: bool = True, where: Where = lambda _: ""
) -> tuple[Rows, dict[int, str]]:
    """Photos as one array, or as rows on the disk.

    On the disk they are decoded once, into the cache, by whichever process comes first; a photo that was changed since
    is decoded again, with the others.

    Args:
        photos: The files, in the order of the result.
        shape: Height, width and channels to bring them to.
        skip_bad: Whether to go on without photos that cannot be decoded.
        in_memory: Whether they are to be held in memory.
        where: What a sentence about the photo at a position begins with.

    Returns:
        uint8 (n, height, width, channels), black where a photo is bad, and what is wrong with each bad one by position.

    Raises:
        DataError: A photo is missing, corrupt, truncated or empty and is not to be skipped, or a file may not be read.
    """
    if not in_memory:
        return _from_cache(photos, shape, skip_bad=skip_bad, where=where)
    images = np.zeros((len(photos), *shape), dtype=np.uint8)
    bad = _decoded(photos, shape, images.__setitem__, skip_bad=skip_bad, where=where)
    return images, bad


def _decoded(
    photos: Sequence[Path],
    shape: Shape,
    place: Callable[[int, NDArray[np.uint8]], None],
    *,
    skip_bad: bool,
    where: Where,
) -> dict[int, str]:
    """Decode photos and put each in its place; what is wrong with the bad ones by position."""
    bad: dict[int, str] = {}

    def decode(position: int) -> None:
        try:
            image = read_photo(photos[position], shape)
        except BadPhotoError as error:
            if not skip_bad:
                raise BadPhotoError(f"{where(position)}{error}") from error
            bad[position] = str(error)
        else:
            place(position, image)

    # Pillow decodes without Python's lock, so threads use all cores; map() cancels what is left after an error.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        for _ in threads.map(decode, range(len(photos))):
            pass
    return bad


def _from_cache(photos: Sequence[Path], shape: Shape, *, skip_bad: bool, where: Where) -> tuple[Stored, dict[int, str]]:
    row = math.prod(shape)

    def make(folder: Path) -> None:
        with open(folder / _PIXELS, "wb") as file:
            file.truncate(len(photos) * row)

            def place(position: int, image: NDArray[np.uint8]) -> None:
                os.pwrite(file.fileno(), image.tobytes(), position * row)

            bad = _decoded(photos, shape, place, skip_bad=skip_bad, where=where)
            os.fsync(file.fileno())
        (folder / _BAD).write_text(json.dumps(bad), encoding="utf-8")

    for _ in range(_ATTEMPTS):
        entry = cached("photos", _key(photos, shape), len(photos) * row, make)
        with contextlib.suppress(FileNotFoundError):  # another process needed the room before it was opened
            found = stored(entry / _PIXELS, (len(photos), *shape), np.dtype(np.uint8))
            bad = {int(at): problem for at, problem in json.loads((entry / _BAD).read_text("utf-8")).items()}
            break
    else:
        raise DataError(f"The cache in {cache_folder()} is too small for what several processes need; raise its limit.")
    for position, problem in bad.items():
        if not skip_bad:
            raise BadPhotoError(f"{where(position)}{problem}")
    return found, bad


def _key(photos: Sequence[Path], shape: Shape) -> str:
    """What decides on the pixels: the files with their sizes and times, the shape, and the decoder."""
    from PIL import __version__

    digest = hashlib.blake2b(f"1 {__version__} {shape}".encode(), digest_size=12)
    for path in photos:
        try:
            found = path.stat()
            said = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:
            said = "missing"
        digest.update(f"\0{path.resolve()}\0{said}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_photo(path: Path, shape: Shape) -> NDArray[np.uint8]:
    """One photo as the network sees it.

    Args:
        path: The file; of several frames the first counts.
        shape: Height, width and channels (3 or 1) to bring it to, by bilinear interpolation with antialiasing.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: The photo is missing, corrupt, truncated or empty, or may not be read.
    """
    from PIL import Image

    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadPhotoError(not_there(path)) from error
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


def not_there(path: Path) -> str:
    """The sentence about a photo that is not there.

    Args:
        path: The file.
    """
    return f"There is no image {path}; put it there, or go on without it by --skip-bad-images."


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
