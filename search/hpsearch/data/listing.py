"""Which rows of the data are for what: as a list that other programs can read, or by names that people find."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpsearch.data.batches import Indices, Pool
from hpsearch.data.classes import with_classes
from hpsearch.data.csvs import Sheet, read_csv
from hpsearch.data.declarations import Data, ImageFolder
from hpsearch.data.loading import drawn, strata
from hpsearch.data.locate import find
from hpsearch.data.pools import open_pool
from hpsearch.data.split import sealed_part
from hpsearch.data.tables import Table

__all__ = ["Listing", "listed", "validation_names"]

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
    together = np.sort(np.concatenate(drawn(data, pool, subset)))
    everything = pool.test is None and len(together) == len(pool.labels)
    # Photos are opened by their names, so those of a folder are listed in any case.
    by_name = isinstance(data, ImageFolder)
    train = None if everything and not by_name else _rows(data, pool, together)
    if pool.test is not None:
        return Listing(train, _rows(data, pool, _sealed(data, pool, pool.test)))
    if not by_name:
        return Listing(train, None)
    sealed = open_pool(data, data_dir=data_dir, sealed=True)
    return Listing(train, _rows(data, sealed, np.arange(len(sealed.labels))))


def validation_names(
    data: Data, *, data_dir: Path | None = None, subset: int | None = None, skipped: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a person finds each row of the validation part by; no image is opened.

    Args:
        data: The declaration.
        data_dir: Where to look for local copies first.
        subset: How many training rows were asked for, or None for all.
        skipped: Paths of the images that cannot be decoded, whose rows were left out.

    Returns:
        Of a photo folder ``class/name.jpg``; of a table the line of its file, and the names of its photos; nothing of
        other data, where a position is all there is.

    Raises:
        DataError: The data cannot be found or read as declared.
    """
    if not isinstance(data, ImageFolder | Table):
        return ()
    data = with_classes(data, data_dir=data_dir)
    pool = open_pool(data, data_dir=data_dir, sealed=False)
    _, rows = drawn(data, pool, subset)
    if isinstance(data, ImageFolder):
        left_out = {_key(Path(path)) for path in skipped}
        return tuple(pool.keys[row] for row in rows if pool.keys[row] not in left_out)
    path = find(data, data_dir=data_dir).path
    return _lines(data, read_csv(path, data.columns), rows, set(skipped)) if isinstance(data, Table) and path else ()


def _key(path: Path) -> str:
    """The key of a photo in its class folder."""
    return unicodedata.normalize("NFC", f"{path.parent.name}/{path.name}")


def _lines(data: Table, sheet: Sheet, rows: Indices, skipped: set[str]) -> tuple[str, ...]:
    folder = sheet.path.parent / Path(data.folder or "").expanduser()
    photos = [sheet.column(column) for column in data.image_columns.values()]
    found = []
    for row in rows.tolist():
        files = [cells[row] for cells in photos]
        if not skipped.intersection(str(folder / file) for file in files):
            found.append(", ".join([f"line {sheet.lines[row]} of {sheet.path.name}", *files]))
    return tuple(found)


def _sealed(data: Data, pool: Pool, share: float) -> Indices:
    layers, _ = strata(pool, data.class_names)
    return sealed_part(layers, pool.keys, share, pool.groups)


def _rows(data: Data, pool: Pool, rows: Indices) -> tuple[Row, ...]:
    if isinstance(data, ImageFolder):
        return tuple(pool.keys[row] for row in rows)
    return tuple(rows.tolist())
