"""Data that several workers of a run share: decoded once, written to a file, and mapped by each of them.

The pages of the file are in memory once, however many processes map it. A worker that takes the place of another finds
the data as it was when the run began, and reads no photo again.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hpsearch.data.loading import SearchData

__all__ = ["SHARED_VARIABLE", "shared"]

SHARED_VARIABLE = "HPSEARCH_SHARED"
"""Names the folder of the run; where it is not set, every process loads its own."""

_ALIGNED = 64
"""Arrays begin at multiples of so many bytes: TensorFlow can use such ones in place."""


def shared(asked: object, load: Callable[[], SearchData]) -> SearchData:
    """What `load` gives, loaded by whichever worker of the run comes first, while the others wait for it.

    Photos that are read from the disk anyway, and data for which the disk has no room, are loaded by each worker.

    Args:
        asked: What is loaded; its ``repr`` says whether two mean the same.
        load: Loads it; what it raises is raised.

    Returns:
        The data. Who writes to an array that is shared gets a copy of that page for itself.
    """
    folder = Path(os.environ.get(SHARED_VARIABLE, os.devnull))
    if not folder.is_dir():
        return load()
    path = folder / hashlib.blake2b(repr(asked).encode(), digest_size=12).hexdigest()
    with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            data = load()
            rows = [*data.train.inputs.values(), *data.validation.inputs.values()]
            if not all(isinstance(each, np.ndarray) for each in rows) or not _written(path, data):
                return data
    return _mapped(path)


def _written(path: Path, data: SearchData) -> bool:
    """Write the arrays to one file, and all that holds them to another; False where there is no room."""
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    arrays, new = path.with_suffix(".arrays"), path.with_suffix(".new")
    places: list[tuple[int, int]] = []
    try:
        with open(arrays, "wb") as file:
            for buffer in buffers:
                file.write(bytes(-file.tell() % _ALIGNED))
                with buffer.raw() as content:
                    places.append((file.tell(), content.nbytes))
                    file.write(content)
            file.write(b"\0")  # nothing cannot be mapped
        new.write_bytes(pickle.dumps((rest, places)))
        new.rename(path)
    except OSError:
        arrays.unlink(missing_ok=True)
        new.unlink(missing_ok=True)
        return False
    return True


def _mapped(path: Path) -> SearchData:
    # The folder is the run's own, and nobody else may write to it: what is unpickled is what a worker pickled.
    rest, places = pickle.loads(path.read_bytes())
    data: SearchData = pickle.loads(rest, buffers=_views(path.with_suffix(".arrays"), places))
    return data


def _views(path: Path, places: Sequence[tuple[int, int]]) -> list[memoryview]:
    with open(path, "rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return [view[start : start + length] for start, length in places]
