"""Where the data is on this machine: a given data directory first, then the usual places. No data is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from hpsearch.data.declarations import Arrays, Data, ImageFolder, Named, check_declaration
from hpsearch.data.facts import Facts
from hpsearch.data.tables import Table
from hpsearch.errors import DataError

__all__ = ["DATA_DIR_VARIABLE", "Found", "find"]

DATA_DIR_VARIABLE = "HPSEARCH_DATA_DIR"

_GIVE = f"--data-dir or {DATA_DIR_VARIABLE}"


@dataclass(frozen=True)
class Found:
    """Whether the data is on this machine.

    Args:
        found: Whether it can be loaded without a download.
        where: Where it is, for people: a path, ``bundled with scikit-learn``, or ``not found``.
        path: The file or folder; None when it is not found, or bundled with a package.
        hint: One sentence that says which file to put where; empty when found.
    """

    found: bool
    where: str
    path: Path | None = None
    hint: str = ""


def find(data: Data, *, data_dir: Path | None = None) -> Found:
    """Look for the data of a declaration without reading any of it.

    Args:
        data: The declaration.
        data_dir: Where to look first; then come ``HPSEARCH_DATA_DIR``, for folders, arrays and tables the current
            directory, and for named sets the Keras cache.

    Raises:
        DataError: A data directory was given that is not there.
        SpaceError: The declaration itself is wrong.
    """
    check_declaration(data)
    if isinstance(data, Named):
        return _find_named(data.facts, data_dir)
    if isinstance(data, ImageFolder):
        return _find_folder(data, data_dir)
    if isinstance(data, Arrays):
        return _find_arrays(data, data_dir)
    if isinstance(data, Table):
        return _find_table(data, data_dir)
    raise TypeError(f"cannot find {type(data).__name__}")


def _given_places(data_dir: Path | None) -> Iterator[Path]:
    """The data directories somebody asked for: the argument, then the environment."""
    asked = ((data_dir, "--data-dir"), (os.environ.get(DATA_DIR_VARIABLE), DATA_DIR_VARIABLE))
    for place, source in asked:
        if not place:
            continue
        path = Path(place).expanduser()
        if not path.is_dir():
            raise DataError(f"There is no folder {path}, which {source} names as the data directory.")
        yield path


def _keras_caches() -> Iterator[Path]:
    home = os.environ.get("KERAS_HOME")
    yield (Path(home) if home else Path("~/.keras")).expanduser() / "datasets"
    # Keras falls back to these when its home cannot be written.
    yield Path("/tmp/.keras/datasets")
    yield Path(tempfile.gettempdir(), ".keras", "datasets")


def _in_place(place: Path, name: str) -> Iterator[Path]:
    """A name inside a place, or the place itself when it bears that very name."""
    yield place / Path(name).expanduser()
    if place.resolve().name == Path(name).name:
        yield place


def _find_named(facts: Facts, data_dir: Path | None) -> Found:
    if not facts.files:
        if find_spec("sklearn") is None:
            return Found(False, "not found", hint=f"scikit-learn brings {facts.title}: pip install scikit-learn.")
        return Found(True, "bundled with scikit-learn")
    for place in chain(_given_places(data_dir), _keras_caches()):
        for name in facts.files:
            for path in _in_place(place, name):
                if path.exists() and path.is_dir() == (not name.endswith((".npz", ".gz"))):
                    return Found(True, str(path), path)
    hint = f"Put {facts.put} into a folder and name that folder with {_GIVE}."
    return Found(False, "not found", hint=hint)


def _find_folder(data: ImageFolder, data_dir: Path | None) -> Found:
    for place in chain(_given_places(data_dir), [Path()]):
        for path in _in_place(place, data.folder):
            if path.is_dir():
                return Found(True, str(path), path)
    hint = f"Put the photo folder {data.folder} into a folder and name that folder with {_GIVE}, or give its full path."
    return Found(False, "not found", hint=hint)


def _find_arrays(data: Arrays, data_dir: Path | None) -> Found:
    for place in chain(_given_places(data_dir), [Path()]):
        path = place / Path(data.file).expanduser()
        if path.is_file():
            if data.labels is not None and not (path.parent / data.labels).is_file():
                return Found(False, "not found", hint=f"Put the labels {data.labels} into {path.parent.resolve()}.")
            return Found(True, str(path), path)
    hint = f"Put {data.file} into a folder and name that folder with {_GIVE}, or give its full path."
    return Found(False, "not found", hint=hint)


def _find_table(data: Table, data_dir: Path | None) -> Found:
    for place in chain(_given_places(data_dir), [Path()]):
        path = place / Path(data.file).expanduser()
        if not path.is_file():
            continue
        if data.folder is not None and not (path.parent / Path(data.folder).expanduser()).is_dir():
            return Found(False, "not found", hint=f"Put the photo folder {data.folder} into {path.parent.resolve()}.")
        return Found(True, str(path), path)
    hint = f"Put {data.file} into a folder and name that folder with {_GIVE}, or give its full path."
    return Found(False, "not found", hint=hint)
