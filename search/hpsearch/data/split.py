"""Which images are for training, validation and test: stratified, and the same on every machine.

Every image has a key, its file name or its position. The hash of key and seed puts the images of a class in an order,
and a part takes the first of them. So an image that is added or removed moves hardly any other, and a smaller subset
lies within a larger one. Nothing depends on a random generator, whose stream may change between versions.

Rows of one group go to one side together. A group counts with the class that most of its rows have (the first of them
where several have as many), and the hash of its key puts it in order among the groups of that class. A part takes them
one by one, as long as that brings it nearer to its share of the rows of the class, one group of each class at least;
with large groups a share is only met roughly. A row without a group is a group of its own. A subset takes rows from
one side only, so that it may take a group in part.

Amounts are split as if they were classes: their ten tenths from the smallest to the largest, or fewer where there are
less than a hundred rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

__all__ = ["Source", "bands", "sealed_part", "search_parts"]

Labels = NDArray[np.int64]
Indices = NDArray[np.int64]

_BANDS = 10
_ROWS_A_BAND = 10


class Source(NamedTuple):
    """The table that rows come from, for messages.

    Args:
        file: The file.
        label: Its column of labels.
        group: Its column of groups, or None.
    """

    file: str
    label: str
    group: str | None = None


def bands(amounts: NDArray[np.float32], keys: Sequence[str]) -> Labels:
    """Amounts as classes to split by: as many of each, from the smallest amounts to the largest.

    Args:
        amounts: (n,).
        keys: What identifies each row; it puts equal amounts in an order.

    Returns:
        int64 (n,).
    """
    count = min(max(len(amounts) // _ROWS_A_BAND, 1), _BANDS)
    ranks = np.empty(len(amounts), dtype=np.int64)
    ranks[np.lexsort((_order(keys, "bands"), amounts))] = np.arange(len(amounts))
    return ranks * count // max(len(amounts), 1)


def sealed_part(labels: Labels, keys: Sequence[str], share: float, groups: Sequence[str] | None = None) -> Indices:
    """The images sealed as the test part; whatever the seed of a declaration, they are the same.

    Args:
        labels: int64 (n,), the class of each image.
        keys: What identifies each image.
        share: The share of each class, between 0 and 1.
        groups: The group of each image, empty for those that have none; groups stay whole. None has no groups.

    Returns:
        Ascending positions.
    """
    return _share_of_each_class(np.arange(len(labels)), labels, keys, share, "test", groups)


def search_parts(
    labels: Labels,
    keys: Sequence[str],
    class_names: Sequence[str],
    *,
    validation: float,
    seed: int,
    test: float | None,
    subset: int | None,
    groups: Sequence[str] | None = None,
    source: Source | None = None,
) -> tuple[Indices, Indices]:
    """The images to train on and to validate on.

    Args:
        labels: int64 (n,), the class of each image.
        keys: What identifies each image.
        class_names: Names of the classes, for messages.
        validation: Share of each class, of those not sealed, that is for validation.
        seed: Another one draws other validation images and another subset.
        test: Share of each class that is sealed and left out here; None when the test part is elsewhere.
        subset: How many training images to keep; at most half as many are kept for validation. None keeps all.
        groups: The group of each image, empty for those that have none; groups stay whole. None has no groups.
        source: The table that the classes come from, for messages; None for images that are in folders or arrays.

    Returns:
        Ascending positions of the training and of the validation images.

    Raises:
        DataError: A class has too few images or groups, or the subset is larger than the data or smaller than a class
            each.
    """
    _check_enough(labels, class_names, 2 if test is None else 3, source)
    everything = np.arange(len(labels))
    open_part = everything if test is None else np.setdiff1d(everything, sealed_part(labels, keys, test, groups))
    validated = _share_of_each_class(open_part, labels, keys, validation, f"validation {seed}", groups)
    trained = np.setdiff1d(open_part, validated)
    if groups is not None:
        _check_everywhere(labels, class_names, {"training": trained, "validation": validated}, source)
    if subset is None:
        return trained, validated
    _check_subset(subset, len(trained), len(class_names))
    order = _order(keys, f"subset {seed}")
    few = min(len(validated), max(subset // 2, len(class_names)))
    return _draw(trained, labels, order, subset), _draw(validated, labels, order, few)


def _check_enough(labels: Labels, class_names: Sequence[str], needed: int, source: Source | None) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts.tolist(), strict=True):
        if count < needed:
            parts = "training and validation" if needed == 2 else "training, validation and test"
            said = f"{source.file}, column {source.label!r}: the" if source else "The"
            raise DataError(
                f"{said} class {name!r} has {count} {'row' if source else 'image'}{'' if count == 1 else 's'}, too few "
                f"to split into {parts}; it needs {needed} or more, or leave the class out."
                f"{_spelled_otherwise(name, class_names)}"
            )


def _spelled_otherwise(name: str, class_names: Sequence[str]) -> str:
    """A question about a class that differs in capitals or spaces alone."""
    same = [other for other in class_names if other != name and _plain(other) == _plain(name)]
    return f" Did you mean {' or '.join(map(repr, same))}?" if same else ""


def _plain(name: str) -> str:
    return "".join(name.casefold().split())


def _check_everywhere(
    labels: Labels, class_names: Sequence[str], parts: dict[str, Indices], source: Source | None
) -> None:
    """Where groups stay whole, a class of few groups may be missing from a part."""
    for part, rows in parts.items():
        for label in np.setdiff1d(np.arange(len(class_names)), labels[rows]).tolist():
            said = f"{source.file}, column {source.label!r}: the" if source else "The"
            column = f" of the column {source.group!r}" if source and source.group else ""
            raise DataError(
                f"{said} class {class_names[label]!r} has too few groups{column} to be in every part, and none was "
                f"left for {part}; it needs rows of more groups, or leave the class out."
                f"{_spelled_otherwise(class_names[label], class_names)}"
            )


def _share_of_each_class(
    part: Indices, labels: Labels, keys: Sequence[str], share: float, salt: str, groups: Sequence[str] | None
) -> Indices:
    """A share of each class of a part, as ascending positions; groups stay whole."""
    if groups is None:
        counts = _share_counts(np.bincount(labels[part]), share)
        return _first_of_each_class(part, labels, _order(keys, salt), counts)
    members: dict[str, list[int]] = {}
    for row in part.tolist():
        # A row of no group must not meet a group that is called as its key.
        members.setdefault(f"group {groups[row]}" if groups[row] else f"row {keys[row]}", []).append(row)
    order = dict(zip(members, _order(list(members), salt).tolist(), strict=True))
    ordered = sorted(members, key=lambda name: (order[name], name))
    classes = {name: int(np.bincount(labels[rows]).argmax()) for name, rows in members.items()}
    chosen: list[int] = []
    for label in sorted(set(classes.values())):
        chosen += _first_groups([members[name] for name in ordered if classes[name] == label], share)
    return np.array(sorted(chosen), dtype=np.int64)


def _first_groups(groups: list[list[int]], share: float) -> list[int]:
    """The rows of the first groups, nearest to a share of all rows; one group at least, and one left over."""
    wanted = share * sum(map(len, groups))
    chosen: list[int] = []
    for group in groups[:-1]:
        if chosen and len(chosen) + len(group) / 2 > wanted:
            continue
        chosen += group
    return chosen


def _check_subset(subset: int, available: int, classes: int) -> None:
    if subset > available:
        raise DataError(f"A subset of {subset} is more than the {available} training images there are; take fewer.")
    if subset < classes:
        raise DataError(f"A subset of {subset} cannot hold an image of each of the {classes} classes; take more.")


def _order(keys: Sequence[str], salt: str) -> NDArray[np.uint64]:
    """A number for each key that looks random and depends on nothing but the key and the salt."""
    person = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8, person=person).digest() for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def _share_counts(sizes: NDArray[np.int64], share: float) -> list[int]:
    """How many of each class make up a share: rounded, at least one, and one at least left over."""
    return [min(max(int(size * share + 0.5), 1), size - 1) if size else 0 for size in sizes.tolist()]


def _draw(part: Indices, labels: Labels, order: NDArray[np.uint64], total: int) -> Indices:
    """Exactly ``total`` images of a part, in the proportions of its classes."""
    counts = _proportional_counts(np.bincount(labels[part]).tolist(), total)
    return _first_of_each_class(part, labels, order, counts)


def _proportional_counts(sizes: list[int], total: int) -> list[int]:
    """``total`` dealt out to classes by their sizes, at least one to each: the largest remainders round up."""
    wanted = [size * total / sum(sizes) for size in sizes]
    counts = [max(int(share), 1) if size else 0 for share, size in zip(wanted, sizes, strict=True)]
    # What is missing or too much goes one by one to or from the class that is furthest off; ties go to the first class.
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        open_labels = [i for i, size in enumerate(sizes) if (counts[i] < size if step > 0 else counts[i] > 1)]
        counts[max(open_labels, key=lambda i: step * (wanted[i] - counts[i]))] += step
    return counts


def _first_of_each_class(part: Indices, labels: Labels, order: NDArray[np.uint64], counts: list[int]) -> Indices:
    chosen = []
    for label, count in enumerate(counts):
        members = part[labels[part] == label]
        chosen.append(members[np.argsort(order[members], kind="stable")[:count]])
    return np.sort(np.concatenate(chosen))
