"""The layout of a photo folder: which classes it has and which photos, by their names alone."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from hpsearch.data.declarations import ImageFolder
from hpsearch.data.locate import find
from hpsearch.errors import DataError, did_you_mean

__all__ = ["Photo", "class_folders", "list_photos", "test_folder", "train_folder"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


@dataclass(frozen=True)
class Photo:
    """One photo, not opened.

    Args:
        path: The file.
        label: The position of its class in the declaration.
        key: ``class/name.jpg``, spelled the same on every file system; splits depend on it.
    """

    path: Path
    label: int
    key: str


def class_folders(data: ImageFolder, *, data_dir: Path | None) -> tuple[str, ...]:
    """The class folders that are there, sorted by name.

    Args:
        data: The declaration; its ``classes=`` is not looked at.
        data_dir: Where to look for the folder first.

    Raises:
        DataError: The folder is not found, or holds fewer than two classes.
    """
    found = find(data, data_dir=data_dir)
    if found.path is None:
        raise DataError(
            f"The classes of {data.folder} are not known, as it is not here; declare classes=('one', 'two'). "
            f"{found.hint}"
        )
    root = train_folder(found.path, data)
    names = _visible_folders(root)
    if not names:
        raise DataError(f"{root} holds no class folders; photos belong into one folder a class, {root}/class/name.jpg.")
    if len(names) == 1:
        raise DataError(f"{root} holds one class only, {names[0]!r}; a classifier needs two or more class folders.")
    return tuple(names)


def train_folder(root: Path, data: ImageFolder) -> Path:
    """The folder whose sub-folders are the classes to train on: ``train`` where there is one, or the root itself."""
    train = root / "train"
    # A class may itself be called "train"; saying so in classes= settles it.
    return train if train.is_dir() and "train" not in (data.classes or ()) else root


def test_folder(root: Path, data: ImageFolder) -> Path | None:
    """The folder of the sealed test part; None where it has to be set aside from the photos."""
    test = root / "test"
    return test if train_folder(root, data) != root and test.is_dir() else None


def list_photos(folder: Path, class_names: tuple[str, ...]) -> list[Photo]:
    """The photos of each class in the order of their names; none is opened.

    Args:
        folder: A folder with one folder a class.
        class_names: The classes to take.

    Raises:
        DataError: A class folder is missing or holds no photo.
    """
    return [photo for label, name in enumerate(class_names) for photo in _photos_of(folder, name, label)]


def _photos_of(folder: Path, class_name: str, label: int) -> list[Photo]:
    home = folder / class_name
    if not home.is_dir():
        there = _visible_folders(folder)
        listed = f" It has {_few(there)}." if there else " It has no folders at all."
        raise DataError(f"{folder} has no class folder {class_name!r}.{did_you_mean(class_name, there)}{listed}")
    names = [entry.name for entry in _entries(home) if entry.name.lower().endswith(_SUFFIXES) and entry.is_file()]
    if not names:
        suffixes = ", ".join(suffix[1:] for suffix in _SUFFIXES)
        raise DataError(
            f"The class folder {home} holds no photos ({suffixes}); put some into it, or leave the class out of "
            "classes=."
        )
    photos = [Photo(home / name, label, unicodedata.normalize("NFC", f"{class_name}/{name}")) for name in names]
    return sorted(photos, key=lambda photo: photo.key)


def _visible_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
