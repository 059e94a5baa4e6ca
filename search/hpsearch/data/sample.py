"""A few rows of the data opened, so that what cannot be read is told before a night is spent on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpsearch.data.batches import Indices, Pool
from hpsearch.data.classes import with_classes
from hpsearch.data.declarations import Arrays, Data, ImageFolder, Named
from hpsearch.data.loading import drawn
from hpsearch.data.locate import find
from hpsearch.data.pools import open_head, open_pool
from hpsearch.data.table_pool import check_photos_there
from hpsearch.data.tables import Table

__all__ = ["Sampled", "sample"]

PHOTOS, IMAGES = 8, 64
"""How many rows are opened: photos are decoded one by one, images of arrays are there at once."""


@dataclass(frozen=True)
class Sampled:
    """What was seen of the data.

    Args:
        rows: How many rows there are, without those of a test part that lies elsewhere.
        of: What a row is: ``photos``, ``images`` or ``rows``.
        classes: How many classes they are in; 0 where amounts are told.
        photos: How many files of photos a table names, each of which is there.
        opened: How many photos or images were opened, all of them of the training part.
    """

    rows: int
    of: str
    classes: int
    photos: int
    opened: int


def sample(data: Data, *, data_dir: Path | None = None) -> Sampled | None:
    """Read what stands about every row, such as its class, and open the images of a few.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.

    Returns:
        None for a named set, whose files are known.

    Raises:
        DataError: The data is not found, or cannot be read or split as declared.
    """
    if isinstance(data, Named):
        return None
    data = with_classes(data, data_dir=data_dir)
    pool = _opened(data, data_dir)
    trained, _ = drawn(data, pool, None)
    photos = _photos_named(data, data_dir)
    chosen = trained[trained < IMAGES] if isinstance(data, Arrays) else _spread(trained)
    opened = sum(len(images) for images in pool.read(chosen, False, True).inputs.values()) if len(chosen) else 0
    return Sampled(len(pool.labels), _called(data), len(data.class_names), photos, opened)


def _opened(data: Data, data_dir: Path | None) -> Pool:
    if isinstance(data, Arrays):
        return open_head(data, IMAGES, data_dir=data_dir)
    return open_pool(data, data_dir=data_dir, sealed=False)


def _spread(rows: Indices) -> Indices:
    """A few of some rows, from the first to the last, as those of one class stand together."""
    return np.unique(rows[np.linspace(0, len(rows) - 1, PHOTOS).astype(np.int64)])


def _photos_named(data: Data, data_dir: Path | None) -> int:
    path = find(data, data_dir=data_dir).path
    return check_photos_there(data, path) if isinstance(data, Table) and path is not None else 0


def _called(data: Data) -> str:
    if isinstance(data, ImageFolder):
        return "photos"
    return "images" if isinstance(data, Arrays) else "rows"
