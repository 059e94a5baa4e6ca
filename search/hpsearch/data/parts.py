"""A part of the data as networks are given it: inputs by name, and what they are to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Rows", "image_part", "joined"]


class Rows(Protocol):
    """Rows of one input: an array in memory, or something that reads rows when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows, and the shape of each."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any:
        """Rows by a slice or by an array of positions, as an array; more of the same kind where they are not in memory.

        Args:
            rows: A slice, or whole numbers (m,). All of them, ``[:]``, is always an array.
        """
        ...


@dataclass(frozen=True)
class Part:
    """Some rows of data.

    Args:
        inputs: What networks see, by name: images (n, height, width, channels) as raw pixels, uint8 or float32, 0 to
            the declaration's ``white``; tables (n, width), float32, encoded.
        labels: What they answer (n,): int64 positions in the class names, or float32 amounts.
        columns: The columns of a table as its file holds them, by name, (n, 1): float32 with NaN where a number is
            missing, or texts. An exported model takes these in place of the encoded table.
        key: What identifies the rows, so that what is computed of them can be kept; empty where nothing does.
    """

    inputs: Mapping[str, Rows]
    labels: NDArray[Any]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    key: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Any:
        """The only input.

        Raises:
            ValueError: There are several.
        """
        (rows,) = self.inputs.values()
        return rows

    def take(self, rows: NDArray[np.int64] | slice) -> Part:
        """Some of the rows.

        Args:
            rows: Their positions.
        """
        inputs = {name: each[rows] for name, each in self.inputs.items()}
        return Part(inputs, self.labels[rows], {name: each[rows] for name, each in self.columns.items()})


def image_part(images: Rows, labels: NDArray[Any]) -> Part:
    """A part whose one input is an image.

    Args:
        images: (n, height, width, channels).
        labels: (n,).
    """
    return Part({"image": images}, labels)


def joined(parts: Sequence[Part]) -> Part:
    """Parts one after the other.

    Args:
        parts: One or more, of the same inputs.
    """
    first = parts[0]
    return Part(
        {name: _joined([part.inputs[name] for part in parts]) for name in first.inputs},
        np.concatenate([part.labels for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        " + ".join(part.key for part in parts) if all(part.key for part in parts) else "",
    )


def _joined(rows: Sequence[Rows]) -> Rows:
    first = rows[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(list(rows))
    together: Rows = first.joined(rows[1:])  # type: ignore[attr-defined]  # what reads rows itself knows how
    return together
