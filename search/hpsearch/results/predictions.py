"""Answers of an exported model, given by a process of its own: the one that lies beside the model does the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError, RunError

__all__ = ["predictions"]

_SCRIPT = Path(__file__).resolve().parents[1] / "training" / "predict.py"


def predictions(export: Path, files: Sequence[Path], top: int | None = None) -> Iterator[dict[str, Any]]:
    """Each photo or row with its answer.

    Args:
        export: The folder of an export.
        files: Photos, folders of photos, or CSV files.
        top: How many classes to tell of each; None is all.

    Yields:
        ``of``, and ``answer`` with, for classes, ``probabilities`` by name, the likeliest first; or ``error``, a
        sentence, for what cannot be read, and of a row ``where`` it stands.

    Raises:
        InputError: There is no exported model in the folder.
        RunError: The model cannot be loaded.
    """
    for name in ("inputs.json", "model.keras"):
        if not (export / name).is_file():
            raise InputError(f"{export} has no {name}; name the folder that hpsearch export-best wrote.")
    command = [sys.executable, str(_SCRIPT), "--export", str(export), "--lines"]
    command += [] if top is None else ["--top", str(top)]
    process = subprocess.Popen(
        [*command, "--", *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},  # said, so that the log stays, in which a crash has its reason
    )
    assert process.stdout is not None  # it is a pipe
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)
    _, error = process.communicate()
    if process.returncode not in (0, 1) or (process.returncode == 1 and "Traceback" in error):
        reason = error.strip().splitlines()[-1] if error.strip() else "it ended without a word."
        raise RunError(f"The model in {export} could not answer: {reason}")
