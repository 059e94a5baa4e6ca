"""Names of the inputs of an exported model, which are more than a table needs: a SavedModel makes arguments of them."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["input_names"]

_RESERVED = re.compile(
    r"(self|network|numbers|normalise|encoded|(categories|nan_to_num|isnan|cast)(_?\d+)?)", re.IGNORECASE
)
"""Layers of an exported model, as `hpsearch.training.preprocessing` makes them, and what TensorFlow calls the model."""

_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 60


def input_names(names: Iterable[str]) -> dict[str, str]:
    """A name for each input that Keras, SavedModel and Python allow, and that no other has, capitals aside.

    One that is allowed already stays as it is: ``area``. Others lose what is not allowed: ``living area`` becomes
    ``living_area``, and ``living_area_2`` where there is a column of that name, too.

    Args:
        names: As the data calls them, each once.

    Returns:
        The new names by the old ones, in their order.
    """
    names = list(names)
    taken: set[str] = set()
    found: dict[str, str] = {}
    # Those that need no change come first, so that they keep their names whatever others become.
    for name in sorted(names, key=lambda each: not _allowed(each)):
        found[name] = _free(_cleaned(name), taken)
        taken.add(found[name].lower())
    return {name: found[name] for name in names}


def _allowed(name: str) -> bool:
    return _cleaned(name) == name


def _cleaned(name: str) -> str:
    plain = name
    if not _SAFE.fullmatch(name) or len(name) > _LONGEST:
        spelled = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", name).translate(_SPELLED))
        plain = re.sub(r"[^A-Za-z0-9]+", "_", spelled.encode("ascii", "ignore").decode())
        plain = plain.strip("_")[:_LONGEST].rstrip("_")
    if not plain[:1].isalpha():
        plain = f"column_{plain}".rstrip("_")
    return f"{plain}_" if keyword.iskeyword(plain) or _RESERVED.fullmatch(plain) else plain


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    return found
