"""Files that a recipe names, such as trained models: where they are looked for, and what is in them."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from hpsearch.errors import WeightsError

__all__ = ["content_of", "is_there", "located", "look_in"]

_folders: dict[str, Path] = {}
"""Where files are looked for, set when a space file is loaded, as the path of its imports is."""


def look_in(*, data: Path | None = None, space: Path | None = None) -> None:
    """Look for files in these folders from now on; one that is not given stays as it was.

    Args:
        data: The data directory.
        space: The folder of the space file.
    """
    given = {"data": data, "space": space}
    _folders.update({name: folder.resolve() for name, folder in given.items() if folder is not None})


def located(name: str) -> Path:
    """The file of this name.

    A path is taken as it is, then looked for in the data directory and beside the space file.

    Args:
        name: A path.

    Raises:
        WeightsError: There is none.
    """
    variable = os.environ.get("HPSEARCH_DATA_DIR")
    places = [_folders.get("data"), Path(variable) if variable else None, _folders.get("space")]
    folders = [Path(), *dict.fromkeys(place for place in places if place is not None)]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = ", ".join(str(folder.resolve()) for folder in folders)
    raise WeightsError(f"the file {name} is in none of {looked}; give its path, or put it there.")


def is_there(name: str) -> bool:
    """Whether there is a file of this name.

    Args:
        name: As for `located`.
    """
    try:
        located(name)
    except WeightsError:
        return False
    return True


def content_of(name: str) -> str:
    """Sixteen hexadecimal digits of what is in a file; its name where there is none.

    Args:
        name: As for `located`.
    """
    try:
        path = located(name)
    except WeightsError:
        return name
    facts = path.stat()
    return _digest(path.resolve(), facts.st_size, facts.st_mtime_ns)


@lru_cache
def _digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  # a file that was written again is another
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
