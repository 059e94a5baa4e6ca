"""Which rows of the data are trained on and which are sealed, as a list that other programs can read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpsearch.data.batches import Indices, Pool
from hpsearch.data.classes import with_classes
from hpsearch.data.declarations import Data, ImageFolder
from hpsearch.data.loading import strata
from hpsearch.data.pools import open_pool
from hpsearch.data.split import sealed_part, search_parts

__all__ = ["Listing", "listed"]

Row = int | str


@dataclass(frozen=True)
class Listing:
    """The rows of the parts: positions, or of a photo folder ``class/name.jpg``.

    Args:
        train: Train and validation together; None where it is all that the data has beside a test part of its own.
        test: The sealed part; None where the data has one of its own.
    """

    train: tuple[Row, ...] | None
    test: tuple[Row, ...] | None


def listed(data: Data, *, data_dir: Path | None = None, subset: int | None = None) -> Listing:
    """The rows of the parts; no row of the sealed part is opened.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.
        subset: How many training rows were asked for, or None for all.

    Raises:
        DataError: The data cannot be found or read as declared.
    """
    data = with_classes(data, data_dir=data_dir)
    pool = open_pool(data, data_dir=data_dir, sealed=False)
    layers, names = strata(pool, data.class_names)
    parts = search_parts(
        layers,
        pool.keys,
        names,
        validation=data.validation_share,
        seed=data.split_seed,
        test=pool.test,
        subset=subset,
        groups=pool.groups,
    )
    together = np.sort(np.concatenate(parts))
    everything = pool.test is None and len(together) == len(pool.labels)
    # Photos are opened by their names, so those of a folder are listed in any case.
    by_name = isinstance(data, ImageFolder)
    train = None if everything and not by_name else _rows(data, pool, together)
    if pool.test is not None:
        return Listing(train, _rows(data, pool, sealed_part(layers, pool.keys, pool.test, pool.groups)))
    if not by_name:
        return Listing(train, None)
    sealed = open_pool(data, data_dir=data_dir, sealed=True)
    return Listing(train, _rows(data, sealed, np.arange(len(sealed.labels))))


def _rows(data: Data, pool: Pool, rows: Indices) -> tuple[Row, ...]:
    if isinstance(data, ImageFolder):
        return tuple(pool.keys[row] for row in rows)
    return tuple(rows.tolist())
