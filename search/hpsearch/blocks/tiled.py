"""Several images as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.declare import Choice, Declared, Either, Instance, Many, Text, declared, option
from hpsearch.errors import ModelError

__all__ = ["READS", "Shapes", "Tiled", "shape_read"]

Shapes = Mapping[str, tuple[int, ...]]
"""The inputs of the data: (height, width, channels) of images, (columns,) of tables."""


@declared
class Tiled(Declared):
    """Image inputs of one size, side by side and below each other, as one picture.

    Four become two rows of two, six two rows of three; a number that fills no rectangle of several rows stands in one
    row. The first is at the top left.

    Args:
        inputs: The names of the inputs, two or more: ``Tiled("front", "back", "left", "right")``.
    """

    inputs: Sequence[str] = option(Many(Text(), at_least=2), kw_only=False)

    def conflict(self) -> tuple[str, str] | None:
        for name in self.inputs:
            if list(self.inputs).count(name) > 1:
                return "inputs", f"got {name!r} more than once; name each input once."
        return None

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        """It prints as it is written."""
        return "Tiled", list(self.inputs) if isinstance(self.inputs, tuple) else [self.inputs], {}

    @property
    def rows(self) -> int:
        """How many rows the picture has."""
        count = len(self.inputs)
        return max(rows for rows in range(1, count + 1) if rows * rows <= count and count % rows == 0)

    def shape(self, shapes: Shapes) -> tuple[int, int, int]:
        """Height, width and channels of the picture.

        Args:
            shapes: Those of the inputs of the data, which has all that are named.

        Raises:
            ModelError: An input is no image, or they differ in size.
        """
        sizes = {name: shapes[name] for name in self.inputs}
        first = sizes[self.inputs[0]]
        for name, size in sizes.items():
            if len(size) != 3:
                raise ModelError(f"{name!r} is a table; Tiled joins images.", "input")
            if size != first:
                said = f"{self.inputs[0]!r} has {_sides(first)} and {name!r} {_sides(size)}"
                raise ModelError(f"{said}; Tiled joins images of one size.", "input")
        height, width, channels = first
        return height * self.rows, width * (len(self.inputs) // self.rows), channels

    def __call__(self, images: Sequence[Any], prefix: str = "") -> Any:
        """Join images.

        Args:
            images: Symbolic tensors of shape (batch, height, width, channels), one for each input.
            prefix: What the names of layers begin with.

        Returns:
            A symbolic tensor of the same rank.
        """
        from keras import layers

        columns = len(images) // self.rows
        rows = [
            layers.Concatenate(axis=2, name=f"{prefix}tiled_row{row + 1}")(images[row * columns : (row + 1) * columns])
            for row in range(self.rows)
        ]
        return rows[0] if len(rows) == 1 else layers.Concatenate(axis=1, name=f"{prefix}tiled")(rows)


def _with_names(tiled: type[Tiled]) -> None:
    """Let the names be given one by one; a list, which is how domains are filled in, is taken as well."""
    init = tiled.__init__

    def __init__(self: Tiled, *names: Any, **options: Any) -> None:  # noqa: N807  # becomes the method of that name
        given = (names,) if len(names) > 1 or (names and isinstance(names[0], str)) else names
        init(self, *given, **options)

    __init__.__wrapped__ = init  # type: ignore[attr-defined]  # lets help() show what is stored
    tiled.__init__ = __init__  # type: ignore[method-assign]  # see above


_with_names(Tiled)


READS = Either(Text("the name of an input"), Instance((Tiled,), 'Tiled("front", "back")'), Choice(None))
"""What a network may read of the data."""


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def shape_read(read: str | Tiled, shapes: Shapes) -> tuple[int, ...]:
    """The shape of what is read.

    Args:
        read: The name of an input, or several tiled.
        shapes: Those of the inputs of the data, which has all that are named.

    Raises:
        ModelError: What is tiled does not fit together.
    """
    return read.shape(shapes) if isinstance(read, Tiled) else tuple(shapes[read])
