"""What every kind of data is read as: a pool of rows with labels and keys, and the batches that are read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.parts import Rows

__all__ = ["Batch", "Indices", "Pool"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Rows that were read.

    Args:
        inputs: Images by name (n, height, width, channels), uint8 or float32.
        labels: (n,), int64 classes or float32 amounts.
        skipped: Files that were left out.
        columns: The columns of a table by name (n, 1), float32 with NaN, or texts.
    """

    inputs: Mapping[str, Rows]
    labels: NDArray[Any]
    skipped: tuple[str, ...] = ()
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """Rows that can be read by position.

    Args:
        labels: (n,), the class of each row, int64, or its amount, float32.
        keys: What identifies each row; splits depend on it.
        test: Share of the pool that is sealed as the test part; None when the pool is one part only.
        read: The rows at some positions; with True, those whose images cannot be decoded are left out; with another
            True, images are held in memory.
        groups: The group of each row, empty for those that have none; None where there are no groups.
        columns: The columns of a table by name (n, 1).
        photos: How many photos each row has that are decoded when they are read.
    """

    labels: NDArray[Any]
    keys: tuple[str, ...]
    test: float | None
    read: Callable[[Indices, bool, bool], Batch]
    groups: tuple[str, ...] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    photos: int = 0
