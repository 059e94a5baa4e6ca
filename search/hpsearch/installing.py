"""The command that installs what is missing, for the interpreter that runs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

__all__ = ["how_to_install", "how_to_install_extra"]

_CLONE = Path(__file__).resolve().parents[2]


def how_to_install(*requirements: str) -> str:
    """A line for the shell that installs packages.

    Args:
        requirements: As pip takes them, such as ``jax[cuda12]``.
    """
    return " ".join([_python(), "-m pip install", *map(shlex.quote, requirements)])


def how_to_install_extra(extra: str) -> str:
    """A line for the shell that installs an extra of hpsearch, as the clone or the wheel that it runs from.

    Args:
        extra: Its name in ``pyproject.toml``.
    """
    constraints = _CLONE / "constraints.txt"
    if not (constraints.is_file() and (_CLONE / "pyproject.toml").is_file()):
        return how_to_install(f"hpsearch[{extra}]")
    here = _shown(_CLONE)
    return f"{_python()} -m pip install -e {shlex.quote(f'{here}[{extra}]')} -c {shlex.quote(_shown(constraints))}"


def _python() -> str:
    return shlex.quote(_shown(Path(sys.executable)))


def _shown(path: Path) -> str:
    """A path from the working folder where it lies below it."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
