"""The standalone script of an export: what the retraining wrote, brought to its place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

__all__ = ["beside_script", "place_script"]

_NAMES = {"missing.txt": "no_train_py.txt"}
"""Where a network cannot be written as plain Keras code, a sentence says why."""


def place_script(model: Path, folder: Path) -> None:
    """Copy the script of a retrained network, with all that it reads, beside its export.

    Args:
        model: The ``.keras`` file as it was retrained.
        folder: Of the export.
    """
    written = model.with_suffix(".script")
    for path in sorted(written.iterdir()) if written.is_dir() else ():
        shutil.copyfile(path, folder / _NAMES.get(path.name, path.name))


def beside_script(folder: Path) -> list[str]:
    """The trained models that the script of an export reads, by the names of their files.

    Args:
        folder: Of the export.
    """
    script = folder / "train.py"
    text = script.read_text(encoding="utf-8", errors="replace") if script.is_file() else ""
    return re.findall(r'HERE / "(\w+\.keras)"', text)
