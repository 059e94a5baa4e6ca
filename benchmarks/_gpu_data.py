"""CIFAR-10 and wheels in a few megabytes, to be carried to a machine without a network."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["PACKED", "cifar_folder", "prepare"]

ROOT = Path(__file__).resolve().parents[1]
PACKED = ROOT / ".gpu"
QUALITY = 75
"""Of the JPEG files that images become; with it, all 60,000 take 19 MB."""
WHEELS = (
    "keras",
    "keras-tuner",
    "kt-legacy",
    "namex",
    "optree",
    "optuna",
    "alembic",
    "mako",
    "colorlog",
    "sqlalchemy",
    "greenlet",
)
"""What hpsearch needs and JAX's own machine images lack; versions are those of constraints.txt where it says any."""


def prepare(data: Path | None, python: str) -> None:
    """Fill ``.gpu/``: wheels, and the images of CIFAR-10 as JPEG.

    Args:
        data: A file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or one that this function wrote; None
            packs no images.
        python: The version of Python there, such as ``3.12``.
    """
    wheels = PACKED / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    platforms = [f"--platform=manylinux{tag}_x86_64" for tag in ("_2_28", "_2_17", "2014")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    where = ["--python-version", python, "--implementation", "cp", "--dest", str(wheels)]
    subprocess.run([*command, *where, *constraints, *WHEELS], check=True)
    if data is not None:
        target = PACKED / "data" / "cifar10_jpeg.npz"
        target.parent.mkdir(exist_ok=True)
        with np.load(data) as arrays:
            packed = dict(arrays) if "train_bytes" in arrays else _encoded(arrays)
        np.savez(target, **packed)
    size = sum(file.stat().st_size for file in PACKED.rglob("*") if file.is_file() and file.suffix in (".whl", ".npz"))
    print(f"{PACKED.name}/ holds {size / 2**20:.1f} MiB of wheels and data")  # noqa: T201  # for whoever carries it


def cifar_folder() -> Path | None:
    """A folder with ``cifar10.npz``, decoded from what was packed; None where nothing was."""
    packed, decoded = PACKED / "data" / "cifar10_jpeg.npz", PACKED / "decoded"
    if not packed.exists():
        return None
    if not (decoded / "cifar10.npz").exists():
        decoded.mkdir(exist_ok=True)
        with np.load(packed) as arrays:
            images = {f"x_{part}": _decoded(arrays, part) for part in ("train", "test")}
            np.savez(decoded / "cifar10.npz", **images, y_train=arrays["y_train"], y_test=arrays["y_test"])
    return decoded


def _encoded(arrays: Any) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {name: arrays[name] for name in ("y_train", "y_test")}
    for part in ("train", "test"):
        files = []
        for image in arrays[f"x_{part}"]:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
            files.append(file.getvalue())
        # Tables and sizes, two thirds of such a small file; byte by byte is what is meant.
        header = os.path.commonprefix(files)  # noqa: RUF071
        own = [file[len(header) :] for file in files]
        found[f"{part}_header"] = np.frombuffer(header, "uint8")
        found[f"{part}_bytes"] = np.frombuffer(b"".join(own), "uint8")
        found[f"{part}_offsets"] = np.cumsum([0, *map(len, own)])
    return found


def _decoded(arrays: Any, part: str) -> np.ndarray:
    header, every = (arrays[f"{part}_{name}"].tobytes() for name in ("header", "bytes"))
    files = (header + every[start:end] for start, end in pairwise(arrays[f"{part}_offsets"]))
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
