"""A table as a pool: its columns read and checked at once, its photos only where they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.batches import Batch, Indices, Pool
from hpsearch.data.classes import number_of
from hpsearch.data.csvs import Sheet, numbers, read_csv, required, texts
from hpsearch.data.declarations import Named
from hpsearch.data.parts import Rows
from hpsearch.data.photos import not_there, read_photos
from hpsearch.data.tables import Table
from hpsearch.errors import DataError, did_you_mean

__all__ = ["bundled_table_pool", "check_photos_there", "table_pool"]


def table_pool(data: Table, path: Path) -> Pool:
    """The rows of a CSV file.

    Args:
        data: The declaration, its classes known.
        path: The file.

    Raises:
        DataError: The file is not as declared; the sentence says where.
    """
    sheet = read_csv(path, data.columns)
    labels = _labels(data, sheet)
    columns: dict[str, NDArray[Any]] = {}
    for name in data.numeric:
        columns[name] = np.array(numbers(sheet, name, data.missing), dtype=np.float32)[:, None]
    for name in data.categorical:
        columns[name] = np.array(texts(sheet, name, data.missing))[:, None]
    photos = _Photos(data, sheet, _photo_paths(data, sheet))

    def read(indices: Indices, skip_bad: bool, in_memory: bool) -> Batch:
        inputs, skipped, good = photos.read(indices, skip_bad=skip_bad, in_memory=in_memory)
        kept = indices[good]
        return Batch(inputs, labels[kept], tuple(skipped), {name: values[kept] for name, values in columns.items()})

    groups = None if data.group is None else tuple(texts(sheet, data.group, data.missing))
    # What a row holds and not where it stands, so that rows may be added anywhere and sorted.
    keys = tuple("\x1f".join(row) for row in sheet.rows)
    return Pool(labels, keys, data.test, read, groups, columns, len(photos.paths))


def _labels(data: Table, sheet: Sheet) -> NDArray[Any]:
    cells = required(sheet, data.label, data.missing)
    if data.amount:
        return np.array(numbers(sheet, data.label, data.missing), dtype=np.float32)
    if data.cuts is not None:
        amounts = numbers(sheet, data.label, data.missing)
        return np.searchsorted(np.array(data.cuts), np.array(amounts), side="right").astype(np.int64)
    places = {name: label for label, name in enumerate(data.class_names)}
    by_number = {number_of(name): label for name, label in places.items()}
    places |= {
        cell: by_number[n] for cell in {*cells} - {*places} if (n := number_of(cell)) is not None and n in by_number
    }
    for row, cell in enumerate(cells):
        if cell not in places:
            declared = ", ".join(data.class_names[:10]) + (", ..." if len(data.class_names) > 10 else "")
            raise DataError(
                f"{sheet.at(row, data.label)}: got {cell!r}, which is no declared class."
                f"{did_you_mean(cell, data.class_names)} The classes are {declared}."
            )
    return np.array([places[cell] for cell in cells], dtype=np.int64)


def _photo_paths(data: Table, sheet: Sheet) -> dict[str, list[Path]]:
    """The photos of each input."""
    folder = sheet.path.parent / Path(data.folder or "").expanduser()
    return {
        name: [folder / cell for cell in required(sheet, column, ())] for name, column in data.image_columns.items()
    }


def check_photos_there(data: Table, path: Path) -> int:
    """Look whether each photo that a table names is there; none is opened.

    Args:
        data: The declaration.
        path: The file.

    Returns:
        How many are named, each as often as it is.

    Raises:
        DataError: One or more are not there; the sentence says how many, and where the first is named.
    """
    sheet = read_csv(path, data.columns)
    named = _photo_paths(data, sheet)
    absent = [
        (row, input_name) for input_name, files in named.items() for row, file in enumerate(files) if not file.is_file()
    ]
    count = sum(map(len, named.values()))
    if absent:
        row, input_name = absent[0]
        few = f"{len(absent):,} of {count:,} photos are not there; the first: " if len(absent) > 1 else ""
        at = sheet.at(row, data.image_columns[input_name])
        raise DataError(f"{few}{at}: {not_there(named[input_name][row])}")
    return count


@dataclass(frozen=True)
class _Photos:
    """The photos of a table.

    Args:
        data: The declaration.
        sheet: Its file.
        paths: The photos of each input.
    """

    data: Table
    sheet: Sheet
    paths: Mapping[str, list[Path]]

    def read(
        self, indices: Indices, *, skip_bad: bool, in_memory: bool
    ) -> tuple[dict[str, Rows], list[str], NDArray[np.bool_]]:
        """The photos of some rows, a row left out where one of its photos is bad.

        Args:
            indices: The rows.
            skip_bad: Whether to leave rows out at all.
            in_memory: Whether photos are to be held in memory.

        Returns:
            Photos by input, those that are bad, and for each row whether it is good.
        """
        good = np.ones(len(indices), dtype=np.bool_)
        inputs: dict[str, Rows] = {}
        skipped: list[str] = []
        for name, paths in self.paths.items():
            chosen = [paths[row] for row in indices]
            column = self.data.image_columns[name]

            def where(position: int, column: str = column) -> str:
                return f"{self.sheet.at(int(indices[position]), column)}: "

            inputs[name], bad = read_photos(
                chosen, self.data.input_shape, skip_bad=skip_bad, in_memory=in_memory, where=where
            )
            skipped += [str(chosen[position]) for position in sorted(bad)]
            good[list(bad)] = False
        kept = np.flatnonzero(good)
        return (inputs if good.all() else {name: rows[kept] for name, rows in inputs.items()}), skipped, good


def bundled_table_pool(data: Named) -> Pool:
    """scikit-learn's breast cancer table.

    Args:
        data: Its declaration.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        table = importlib.import_module("sklearn.datasets").load_breast_cancer()
    except ImportError as error:
        raise DataError(f"The data is not on this machine; scikit-learn brings {data.facts.title}.") from error
    values = table.data.astype(np.float32)
    columns = {name: values[:, [place]] for place, name in enumerate(data.facts.columns)}
    labels = table.target.astype(np.int64)

    def read(indices: Indices, skip_bad: bool, in_memory: bool) -> Batch:  # noqa: ARG001  # there are no images
        return Batch({}, labels[indices], (), {name: values[indices] for name, values in columns.items()})

    return Pool(labels, tuple(map(str, range(len(labels)))), data.test_share, read, None, columns)
