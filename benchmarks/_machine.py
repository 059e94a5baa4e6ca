"""The machine that measured, in words; never its name or its folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

__all__ = ["machine", "words"]


def machine() -> dict[str, str | int]:
    """What figures depend on: cores, processor, versions."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in ("tensorflow", "keras", "optuna")},
    }


def words(said: dict[str, str | int]) -> str:
    """The same in a line.

    Args:
        said: What `machine` gave.
    """
    versions = ", ".join(f"{name} {said[name]}" for name in ("python", "tensorflow", "keras", "optuna"))
    return f"{said['cores']} cores of {said['processor']} ({said['system']}); {versions}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
