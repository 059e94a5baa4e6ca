"""Rows on the disk: read when a batch asks for them, so that only that batch is in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

__all__ = ["Stored", "StoredFile", "stored"]


@dataclass(frozen=True)
class StoredFile:
    """Rows of one shape and type, one after the other in a file. It stays open, so that it may be deleted meanwhile.

    Args:
        path: The file.
        row: The shape of a row.
        dtype: The type of its numbers.
    """

    path: Path
    row: tuple[int, ...]
    dtype: np.dtype[Any]

    @cached_property
    def _descriptor(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def opened(self) -> StoredFile:
        """The same, open from now on."""
        _ = self._descriptor
        return self

    def read(self, positions: NDArray[np.int64], into: NDArray[Any]) -> None:
        """Read rows.

        Args:
            positions: Which (m,).
            into: Takes them (m, ...).
        """
        if not len(positions):
            return
        size = into[0].nbytes
        # Neighbours in the file are read at once.
        starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1).tolist()
        for start, end in zip(starts, [*starts[1:], len(positions)], strict=True):
            self._fill(into[start:end], int(positions[start]) * size)

    def _fill(self, into: NDArray[Any], offset: int) -> None:
        view = into.data.cast("B")
        while view:
            count = os.preadv(self._descriptor, [view], offset)
            if count <= 0:
                raise DataError(f"{self.path} ends early; delete it, and it is made again.")
            view, offset = view[count:], offset + count


@dataclass(frozen=True, eq=False)
class Stored:
    """Some rows of one or several files; see `hpsearch.data.parts.Rows`.

    They are read with the system's own calls and not mapped: what was read before is then no part of the process, and
    leaves memory when something else needs it.

    Args:
        files: Of rows of one shape and type.
        places: The file and the position in it of each row, int64 (n, 2).
    """

    files: tuple[StoredFile, ...]
    places: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows, and the shape of each."""
        return (len(self.places), *self.files[0].row)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self.files[0].dtype

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Any) -> Any:
        """All rows, ``[:]``, as an array; some of them as an object of this class.

        Args:
            rows: A slice or whole numbers (m,).
        """
        if not (isinstance(rows, slice) and rows == slice(None)):
            return Stored(self.files, self.places[rows])
        found = np.empty(self.shape, self.dtype)
        for number, file in enumerate(self.files):
            there = np.flatnonzero(self.places[:, 0] == number)
            if len(there) == len(self):
                file.read(self.places[:, 1], found)
            elif len(there):
                part = np.empty((len(there), *file.row), self.dtype)
                file.read(self.places[there, 1], part)
                found[there] = part
        return found

    def joined(self, others: Sequence[Stored]) -> Stored:
        """These rows and others after them.

        Args:
            others: Of the same shape and type.
        """
        files: list[StoredFile] = []
        places = []
        for each in (self, *others):
            places.append(each.places + np.array([len(files), 0]))
            files += each.files
        return Stored(tuple(files), np.concatenate(places))


def stored(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    """The rows of a file, in their order.

    Args:
        path: The file.
        shape: How many rows, and the shape of each.
        dtype: The type of the numbers.
    """
    positions = np.arange(shape[0])
    file = StoredFile(path, tuple(shape[1:]), dtype).opened()
    return Stored((file,), np.stack([np.zeros_like(positions), positions], axis=1))
