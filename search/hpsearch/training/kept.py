"""What is computed of rows and kept in the cache, with a sum that tells whether it is still what was written."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.cache import cache_folder, cached, discard
from hpsearch.data.parts import Rows
from hpsearch.data.stored import Stored, stored
from hpsearch.errors import DataError

__all__ = ["IN_MEMORY", "kept"]

IN_MEMORY = 500_000_000
"""Rows that take more bytes are read from the disk, batch by batch."""

_READ_AT_ONCE = 16_000_000
_ATTEMPTS = 5
_ROWS, _FACTS = "rows.bin", "facts.json"
_sound: set[tuple[Any, ...]] = set()
"""Files that this process has read to their end and found as they were written."""

Batches = Callable[[], Iterator[NDArray[Any]]]


def kept(
    kind: str, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], batches: Batches, tick: Callable[[], None]
) -> Rows:
    """Rows that are computed once, by whichever process comes first.

    Args:
        kind: What they are, such as ``features``.
        key: All that decides on them.
        shape: How many rows, and the shape of each.
        dtype: The type of their numbers.
        batches: Computes them, in their order.
        tick: Called before each batch, and while another process computes the same; what it raises ends this.

    Raises:
        DataError: They cannot be kept.
    """
    size = math.prod(shape) * dtype.itemsize
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    for _ in range(_ATTEMPTS):
        entry = cached(kind, name, size, lambda folder: _compute(folder, batches, tick), tick)
        try:
            found = _opened(entry, stored(entry / _ROWS, shape, dtype), size)
        except FileNotFoundError:  # another process needed the room before it was opened, or somebody deleted it
            found = None
        if found is not None:
            return found
        print(f"{entry} is damaged or gone, and is made again.", flush=True)  # noqa: T201  # into the trial's log
        discard(entry)
    raise DataError(f"the cache in {cache_folder()} loses them again and again; raise its limit, or check the disk.")


def _compute(folder: Path, batches: Batches, tick: Callable[[], None]) -> None:
    sum_ = 0
    with open(folder / _ROWS, "wb") as file:
        for batch in batches():
            tick()
            written = np.ascontiguousarray(batch).tobytes()
            sum_ = zlib.crc32(written, sum_)
            file.write(written)
        file.flush()
        os.fsync(file.fileno())
    (folder / _FACTS).write_text(json.dumps({"crc32": sum_}), encoding="utf-8")


def _opened(entry: Path, rows: Stored, size: int) -> Rows | None:
    """What was kept, in memory where it is small; None where it is not what was written."""
    facts = (entry / _ROWS).stat()
    if facts.st_size != size:
        return None
    try:
        wanted = json.loads((entry / _FACTS).read_text(encoding="utf-8"))["crc32"]
    except (ValueError, KeyError, TypeError):
        return None
    if size <= IN_MEMORY:
        found: NDArray[Any] = rows[:]
        return found if zlib.crc32(found.tobytes()) == wanted else None
    mark = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
    if mark not in _sound:
        if _sum(rows) != wanted:
            return None
        _sound.add(mark)
    return rows


def _sum(rows: Stored) -> int:
    count = max(_READ_AT_ONCE // max(math.prod(rows.shape[1:]) * rows.dtype.itemsize, 1), 1)
    found = 0
    for start in range(0, len(rows), count):
        found = zlib.crc32(rows[start : start + count][:].tobytes(), found)
    return found
