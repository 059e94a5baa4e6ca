"""The declaration of a table: a CSV file with a label, columns of numbers and categories, and columns of photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from hpsearch.data.declarations import CLASS_NAMES, SHARE, SIDE, Data, Sides, twice
from hpsearch.declare import Choice, Either, Flag, Many, Maybe, Number, Text, Whole, declared, option
from hpsearch.errors import DataError

__all__ = ["TABLE", "Table"]

TABLE = "table"
"""The input that all numbers and categories of a row become: one vector."""


@dataclass(frozen=True)
class _Images:
    """Columns of file names, by the name of the input that they become."""

    allowed: str = 'columns of file names, such as {"front": "front_photo"}, or ("front", "back")'

    def accepts(self, value: object) -> bool:
        if isinstance(value, Mapping):
            value = (*value.keys(), *value.values())
        return isinstance(value, tuple | list) and all(isinstance(name, str) and name for name in value)


_COLUMNS = Many(Text())


@declared
class Table(Data):
    """A CSV file, a row an example: a label, columns of numbers and of categories, columns that name photos.

    All numbers and categories of a row reach a network as one input, ``"table"``: numbers scaled to mean 0 and variance
    1, categories as one unit each. What that takes (means, variances, the categories) is found on the training part
    alone and kept inside the exported model, which takes the columns as they stand in the file. Each column of photos
    is an input of its own. Columns may have any name; an input of the exported model is called like its column, with
    letters, digits and underscores alone.

    A missing number counts as the mean, and a column in which some are missing is joined by one that says so. A missing
    category is a category; so is one that was never seen.

    Args:
        file: A CSV file: a path, or a name inside the data directory. Its first line names the columns.
        label: The column with what is to be told.
        amount: Whether that is an amount, such as a price, and not a class.
        cuts: Turns an amount into classes, ascending: ``(100, 200)`` makes three, "under 100", "100 to under 200" and
            "200 or more".
        classes: The classes in the order of their labels, as the file spells them; with ``cuts``, names for the
            classes that they make. None takes all that are in the file, sorted; but then the declaration cannot be
            checked where the file is not.
        numeric: Columns of numbers.
        categorical: Columns of categories, taken as text.
        images: Columns with the file names of photos, as a list, or as a dict when an input is to have another name
            than its column.
        folder: The folder that file names are relative to, itself relative to the folder of the CSV file.
        size: Height and width that photos are resized to, in pixels; one number for a square.
        channels: 3 for colour, 1 for grey.
        group: A column that says which rows belong together, such as photos of one person: they are never split
            between training, validation and test. A row where it is empty stands for itself.
        missing: Texts that stand for a missing value, beside the empty cell: ``("NA", "?")``.
        rare: Categories of fewer training rows than this are taken together with those that were never seen, so that a
            network learns what to make of them.
        test: Share of the rows that is sealed as the test part.
    """

    file: str = option(Text(), kw_only=False)
    label: str = option(Text())
    amount: bool = option(Flag(), default=False)
    cuts: Sequence[float] | None = option(Maybe(Many(Number(), at_least=1)), default=None)
    classes: Sequence[str] | None = option(Maybe(CLASS_NAMES), default=None)
    numeric: Sequence[str] = option(_COLUMNS, default=())
    categorical: Sequence[str] = option(_COLUMNS, default=())
    images: Mapping[str, str] | Sequence[str] = option(_Images(), default=())
    folder: str | None = option(Maybe(Text()), default=None)
    size: int | tuple[int, int] | None = option(Either(Choice(None), SIDE, Sides("height", "width")), default=None)
    channels: int = option(Choice(1, 3), default=3)
    group: str | None = option(Maybe(Text()), default=None)
    missing: Sequence[str] = option(_COLUMNS, default=())
    rare: int = option(Whole(1), default=2)
    test: float = option(SHARE, default=0.2)

    @property
    def image_columns(self) -> dict[str, str]:
        """The column of each image input."""
        return dict(self.images) if isinstance(self.images, Mapping) else {name: name for name in self.images}

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        group = () if self.group is None else (self.group,)
        return tuple(
            dict.fromkeys((self.label, *self.numeric, *self.categorical, *self.image_columns.values(), *group))
        )

    @cached_property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a photo; without photos, one row of the columns."""
        if self.size is None:
            return 1, 1, len(self.numeric) + len(self.categorical)
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels

    @property
    def inputs(self) -> dict[str, tuple[int | None, ...]]:
        table: dict[str, tuple[int | None, ...]] = {TABLE: (None,)} if self.numeric or self.categorical else {}
        return {**dict.fromkeys(self.image_columns, self.input_shape), **table}

    @cached_property
    def white(self) -> float:
        return 255.0

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, or nothing where an amount is told.

        Raises:
            DataError: They were left out; ``with_classes`` reads them from the file.
        """
        if self.amount:
            return ()
        if self.classes is not None:
            return tuple(self.classes)
        if self.cuts is not None:
            return _named_by(self.cuts)
        raise DataError(f"The classes of {self.file} are not known; declare classes=('one', 'two').")

    @property
    def test_share(self) -> float | None:
        return self.test

    def conflict(self) -> tuple[str, str] | None:
        return self._label_conflict() or self._column_conflict() or self._photo_conflict() or twice(self.classes)

    def _label_conflict(self) -> tuple[str, str] | None:
        if self.amount and (self.cuts is not None or self.classes is not None):
            said = "cuts" if self.cuts is not None else "classes"
            return (
                said,
                f"got {said} for an amount; drop amount=True to tell classes, or drop {said}= to tell the amount.",
            )
        if self.cuts is None:
            return None
        if any(low >= high for low, high in pairwise(self.cuts)):
            return "cuts", f"got {self.cuts}; write them ascending, each once."
        if self.classes is not None and len(self.classes) != len(self.cuts) + 1:
            wanted = f"{len(self.cuts)} cuts make {len(self.cuts) + 1} classes"
            return "classes", f"got {len(self.classes)} names, but {wanted}; name each, or drop classes=."
        return None

    def _column_conflict(self) -> tuple[str, str] | None:
        features = (*self.numeric, *self.categorical)
        if not features and not self.image_columns:
            return "numeric", "got no column to tell the label from; write numeric=, categorical= or images=."
        for name, count in Counter((self.label, *features)).items():
            if count > 1:
                return "label" if name == self.label else "numeric", f"got the column {name!r} twice; give it one part."
        return None

    def _photo_conflict(self) -> tuple[str, str] | None:
        names = list(self.image_columns)
        if names and self.size is None:
            return "size", "got photos without a size; write size=64, which they are resized to."
        if not names and (self.size is not None or self.folder is not None):
            said = "size" if self.size is not None else "folder"
            return said, f"got {said}= without photos; name their columns with images=, or drop it."
        if not isinstance(self.images, Mapping) and len(set(self.images)) < len(self.images):
            return "images", f"got {self.images}; name each column once."
        for name in names:
            if name in (TABLE, *self.numeric, *self.categorical) or "/" in name:
                said = f"got the input name {name!r}, which is taken or holds a /"
                return "images", f'{said}; write another, images={{"photo": "its column"}}.'
        return None


def _named_by(cuts: Sequence[float]) -> tuple[str, ...]:
    said = [f"{cut:,}" if isinstance(cut, int) or not float(cut).is_integer() else f"{int(cut):,}" for cut in cuts]
    return (f"under {said[0]}", *(f"{low} to under {high}" for low, high in pairwise(said)), f"{said[-1]} or more")
