"""What a trained model was trained on, noted within its ``.keras`` file, so that it is known wherever the file goes."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["EXPORTED", "SAVED", "Origin", "origin_of", "sign"]

_NOTE = "hpsearch.json"
_EXPORTS = ("model.keras", "baseline.keras")
"""What an export calls its models; beside them lies what it says of them."""

SAVED = "train"
EXPORTED = "train and validation"


@dataclass(frozen=True)
class Origin:
    """What a model was trained on.

    Args:
        data: The fingerprint of the data and of how it was split.
        parts: `SAVED` or `EXPORTED`: which parts of it.
        study: The name of the study.
        trial: The trial: a number, or the name of a hand-made network.
    """

    data: str
    parts: str
    study: str = ""
    trial: str = ""


def sign(path: Path, origin: Origin) -> None:
    """Note within a ``.keras`` file what the model was trained on; Keras passes over the note.

    Args:
        path: The file, as Keras wrote it.
        origin: What to note.
    """
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(_NOTE, json.dumps(asdict(origin)))


def origin_of(path: Path) -> Origin | None:
    """What a model was trained on; None where nobody noted it.

    An export of an earlier version says it in the ``metrics.json`` beside it.

    Args:
        path: A ``.keras`` file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if _NOTE in archive.namelist():
                return Origin(**json.loads(archive.read(_NOTE)))
    except (OSError, ValueError, TypeError, zipfile.BadZipFile):
        return None
    return _exported(path) if path.name in _EXPORTS else None


def _exported(path: Path) -> Origin | None:
    try:
        said = json.loads(path.with_name("metrics.json").read_text(encoding="utf-8"))
        tested = said["chosen" if path.name == _EXPORTS[0] else "baseline"]
        return Origin(said["data"]["fingerprint"], EXPORTED, said["study"], tested["name"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
