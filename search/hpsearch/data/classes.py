"""The classes of a declaration that leaves them to its files: class folders, or the labels of a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hpsearch.data.csvs import read_csv, required
from hpsearch.data.declarations import Data, ImageFolder
from hpsearch.data.folders import class_folders
from hpsearch.data.locate import find
from hpsearch.data.tables import Table
from hpsearch.errors import DataError, did_you_mean

__all__ = ["number_of", "with_classes"]

MOST_CLASSES = 50
"""More different labels that are all numbers are taken for an amount."""


def with_classes(data: Data, *, data_dir: Path | None = None) -> Data:
    """The same declaration with the classes of its folder or table said, where they were left out.

    Args:
        data: Any declaration; only an `ImageFolder` or a `Table` of classes without ``classes=`` changes.
        data_dir: Where to look for the folder or file first.

    Raises:
        DataError: It is not found, or holds fewer than two classes.
    """
    if isinstance(data, ImageFolder) and data.classes is None:
        return dataclasses.replace(data, classes=class_folders(data, data_dir=data_dir))
    if isinstance(data, Table) and data.classes is None and data.cuts is None and not data.amount:
        return dataclasses.replace(data, classes=_labels(data, data_dir))
    return data


def _labels(data: Table, data_dir: Path | None) -> tuple[str, ...]:
    """The different labels of a table, sorted."""
    found = find(data, data_dir=data_dir)
    if found.path is None:
        _check_photos(data, data_dir)
        raise DataError(
            f"The classes of {data.file} are not known, as it is not here; declare classes=('one', 'two'). {found.hint}"
        )
    labels = set(required(read_csv(found.path, data.columns), data.label, data.missing))
    if len(labels) < 2:
        raise DataError(
            f"The column {data.label!r} of {found.path} holds one class only, {labels.pop()!r}; a classifier needs two "
            "or more."
        )
    numbers = {label: number_of(label) for label in labels}
    if None in numbers.values():
        return tuple(sorted(labels))
    # "0" and "0.0" are one class; the shortest spelling is its name.
    shortest = {numbers[label]: label for label in sorted(labels, key=lambda label: (-len(label), label))}
    if len(shortest) < 2:
        raise DataError(
            f"The column {data.label!r} of {found.path} holds one number only, {min(labels)}; a classifier needs two "
            "or more."
        )
    if len(shortest) > MOST_CLASSES:
        raise DataError(
            f"The column {data.label!r} of {found.path} holds {len(shortest)} different numbers, which look like an "
            "amount; write amount=True, or make classes of it with cuts=(100, 200), or name them all with classes=."
        )
    return tuple(label for _, label in sorted(shortest.items(), key=lambda each: (each[0] or 0.0, each[1])))


def _check_photos(data: Table, data_dir: Path | None) -> None:
    """Where the file is here and its photos alone are missing, the sentence is about those.

    Raises:
        DataError: That is so.
    """
    if data.folder is None:
        return
    file = find(dataclasses.replace(data, folder=None), data_dir=data_dir).path
    if file is None:
        return
    beside = sorted(path.name for path in file.parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    raise DataError(
        f"folder= got {data.folder!r}, but there is no such folder beside {file}; put the photo folder there, or "
        f"write the name that it has.{did_you_mean(data.folder, beside)}"
    )


def number_of(text: str) -> float | None:
    """What a text is as a number; None where it is none.

    Args:
        text: Such as a label.
    """
    try:
        return float(text)
    except ValueError:
        return None
