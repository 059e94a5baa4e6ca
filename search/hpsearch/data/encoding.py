"""How the columns of a table become numbers: what is found on the training rows, and the vector it makes of a row.

Numbers come first, scaled to mean 0 and variance 1 and 0 where they are missing, which is the mean; then one 0 or 1 for
each column of numbers that has gaps on the training rows; then, for each column of categories, one place for what was
never seen or is rare, one for what is missing and one for each category. `hpsearch.training.preprocessing` builds the
Keras layers that do the same in an exported model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

__all__ = ["Encoding", "fit_encoding"]

Columns = Mapping[str, NDArray[Any]]

_LEAST_SPREAD = np.float32(1e-7)
"""What Keras's layer divides by at least."""


@dataclass(frozen=True)
class Encoding:
    """What was found on the training rows.

    Args:
        numeric: The columns of numbers.
        means: Of each, over the rows where it is there.
        variances: Of each; 1 where it is always the same.
        gaps: The columns of numbers in which some are missing.
        categories: The categories of each column of categories, those taken together left out.
    """

    numeric: tuple[str, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]
    gaps: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, those of numbers first."""
        return (*self.numeric, *self.categories)

    @cached_property
    def width(self) -> int:
        """How many numbers stand for a row."""
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each of them is."""
        units = [
            f"{name}={value}" for name, values in self.categories.items() for value in ("other", "missing", *values)
        ]
        return (*self.numeric, *(f"{name} is missing" for name in self.gaps), *units)

    def encoded(self, columns: Columns) -> NDArray[np.float32]:
        """The vectors of some rows.

        Args:
            columns: Columns by name (n, 1), float32 with NaN, or texts, empty where one is missing.

        Returns:
            float32 (n, width).
        """
        parts: list[NDArray[Any]] = []
        if self.numeric:
            values = np.concatenate([columns[name] for name in self.numeric], axis=1).astype(np.float32)
            means, variances = (np.array(each, dtype=np.float32) for each in (self.means, self.variances))
            parts.append(np.nan_to_num((values - means) / np.maximum(np.sqrt(variances), _LEAST_SPREAD), nan=0.0))
        parts += [np.isnan(columns[name]) for name in self.gaps]
        parts += [_one_hot(columns[name][:, 0], known) for name, known in self.categories.items()]
        return np.concatenate(parts, axis=1).astype(np.float32)


def _one_hot(values: NDArray[np.str_], known: Sequence[str]) -> NDArray[np.bool_]:
    places = {value: place for place, value in enumerate(("", *known), start=1)}
    found = np.array([places.get(value, 0) for value in values.tolist()], dtype=np.int64)
    units: NDArray[np.bool_] = found[:, None] == np.arange(len(known) + 2)
    return units


def fit_encoding(columns: Columns, numeric: Sequence[str], categorical: Sequence[str], *, rare: int) -> Encoding:
    """What the training rows say about the columns.

    Args:
        columns: The columns of the training rows by name (n, 1), float32 with NaN, or texts.
        numeric: Those of numbers.
        categorical: Those of categories.
        rare: Categories of fewer rows than this are taken together with those that were never seen.

    Raises:
        DataError: A column of numbers is empty on all training rows.
    """
    found = {name: _statistics(columns[name], name) for name in numeric}
    return Encoding(
        tuple(numeric),
        tuple(mean for mean, _ in found.values()),
        tuple(variance for _, variance in found.values()),
        tuple(name for name in numeric if np.isnan(columns[name]).any()),
        {name: _common(columns[name], rare) for name in categorical},
    )


def _statistics(values: NDArray[np.float32], name: str) -> tuple[float, float]:
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        raise DataError(f"The column {name!r} is empty on every row that is trained on; leave it out of numeric=.")
    # What never varies says nothing; divided by no variance at all, a new value would drown everything else.
    variance = float(known.var()) if (known != known[0]).any() else 1.0
    return float(known.mean()), variance


def _common(values: NDArray[np.str_], rare: int) -> tuple[str, ...]:
    counts = Counter(values[:, 0].tolist())
    return tuple(sorted(value for value, count in counts.items() if value and count >= rare))
