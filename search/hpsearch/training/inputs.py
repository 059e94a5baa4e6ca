"""What a network is built for: its inputs by name, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.declarations import Data
from hpsearch.data.loading import SearchData, find, table_width
from hpsearch.data.parts import Part
from hpsearch.data.tables import TABLE, Table
from hpsearch.errors import DataError, did_you_mean

__all__ = ["Inputs", "declared_inputs", "fed", "image_inputs", "loaded_inputs"]

GUESSED_CATEGORIES = 10
"""How many categories a column is taken to have while its file is not there."""


@dataclass(frozen=True)
class Inputs:
    """What a network is built for.

    Args:
        features: The shape of each input by name: height, width and channels of images, the columns of a table.
        classes: How many classes there are; 0 where an amount is to be told.
        white: The pixel value that stands for white.
    """

    features: Mapping[str, tuple[int, ...]]
    classes: int
    white: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first image; of a table alone, one row of its columns."""
        images = [shape for shape in self.features.values() if len(shape) == 3]
        height, width, channels = images[0] if images else (1, 1, *next(iter(self.features.values())))
        return height, width, channels


def image_inputs(shape: tuple[int, int, int], classes: int, white: float) -> Inputs:
    """What a classifier of single images is built for.

    Args:
        shape: Height, width and channels.
        classes: How many classes there are.
        white: The pixel value that stands for white.
    """
    return Inputs({"image": shape}, classes, white)


def loaded_inputs(declaration: Data, data: SearchData) -> Inputs:
    """What networks for data that was loaded are built for.

    Args:
        declaration: The data as declared.
        data: The data as loaded.
    """
    return Inputs(data.features, len(data.class_names), declaration.white)


def declared_inputs(declaration: Data, data_dir: Path | None = None) -> Inputs:
    """What networks for data that is declared will be built for.

    How wide a table becomes is a matter of the categories in its file, which is read for that where it is there (its
    photos are not). Elsewhere every column of categories is taken to have `GUESSED_CATEGORIES`.

    Args:
        declaration: The data as declared.
        data_dir: Where to look for it first.

    Raises:
        DataError: The file of a table is there and not as declared.
    """
    shapes = declaration.shapes
    if isinstance(declaration, Table) and TABLE in shapes:
        width = table_width(declaration, data_dir=data_dir) if find(declaration, data_dir=data_dir).found else None
        guess = len(declaration.numeric) + (2 + GUESSED_CATEGORIES) * len(declaration.categorical)
        shapes[TABLE] = (guess if width is None else width,)
    return Inputs(shapes, len(declaration.class_names), declaration.white)


def fed(network: Any, part: Part) -> Any:
    """What a network is given of a part: one array where it has one input, else a dict by name.

    Args:
        network: A built Keras model, trained or exported; an exported one may take the columns of a table.
        part: The rows.

    Raises:
        DataError: The network has inputs that the data does not have.
    """
    names = [tensor.name for tensor in getattr(network, "inputs", None) or ()]
    known = {**part.columns, **part.inputs}
    if len(names) <= 1:
        if names and names[0] in known:
            return known[names[0]]
        # A network of the user's own need not call its only input as the data does.
        if len(part.inputs) == 1:
            return part.images
    for name in names:
        if name not in known:
            raise DataError(
                f"The network has an input {name!r}, which the data does not have.{did_you_mean(name, part.inputs)} "
                f"Give it the name of one of these: {', '.join(part.inputs)}."
            )
    return {name: known[name] for name in names}
