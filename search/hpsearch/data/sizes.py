"""Sizes of memory and disk that an environment variable says."""

from __future__ import annotations

import os
import re

from hpsearch.errors import DataError

__all__ = ["said_size", "size_of"]

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def size_of(variable: str, usual: int) -> int:
    """The size that a variable of the environment says, in bytes.

    Args:
        variable: Its name.
        usual: What holds when it is not set.

    Raises:
        DataError: It says something else than a size.
    """
    said = os.environ.get(variable, "").strip()
    if not said:
        return usual
    found = _SIZE.fullmatch(said)
    if found is None:
        raise DataError(f'{variable} is {said!r}; allowed: a size such as "2GB", "500 MB", "1.5GiB", or bytes.')
    number, prefix, binary = found.groups()
    unit: int = (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " ")
    return round(float(number) * unit)


def said_size(count: float) -> str:
    """``812 B``, ``1.5 kB``, ``2.3 GB``.

    Args:
        count: Bytes.
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
