"""CIFAR-10 and wheels in a few megabytes, to be carried to a machine without a network."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["PACKED", "check_size", "prepare", "unpack"]

ROOT = Path(__file__).resolve().parents[1]
PACKED = ROOT / ".gpu"
IMAGES = PACKED / "data" / "cifar10_jpeg.npz"
PARTS = ("train", "test")
QUALITY = 75
"""Of the JPEG files that images become; with it, all 60,000 take 19 MB."""
MOST = 60
"""MiB that the folder may hold."""
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
"""What hpsearch needs and a machine with JAX and torch lacks; the versions of constraints.txt where it says any."""


def prepare(data: Path | None, python: str) -> None:
    """Fill ``.gpu/``: wheels, and the images of CIFAR-10 as JPEG.

    Args:
        data: A file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or with the images as JPEG, as this
            function writes them; None leaves the images that are there.
        python: The version of Python there, such as ``3.12``.
    """
    wheels = PACKED / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    platforms = [f"--platform=manylinux{tag}_x86_64" for tag in ("_2_28", "_2_17", "2014")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    where = ["--python-version", python, "--implementation", "cp", "--dest", str(wheels)]
    subprocess.run([*command, *where, *constraints, *WHEELS], check=True)
    if data is not None:
        IMAGES.parent.mkdir(exist_ok=True)
        with np.load(data) as arrays:
            np.savez(IMAGES, **_packed(arrays))
    check_size(PACKED)


def check_size(folder: Path) -> None:
    """Refuse a folder that is too large to be carried.

    Args:
        folder: It.
    """
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
    if size > MOST:
        raise SystemExit(
            f"{folder.name}/ holds {size:.1f} MiB, and {MOST} MiB are allowed; take out what is not needed."
        )
    print(f"{folder.name}/ holds {size:.1f} MiB of wheels and images.")  # noqa: T201  # for whoever carries it


def unpack(folder: Path, *, tiny: bool) -> None:
    """Write ``cifar10.npz``, decoded from what was packed.

    Args:
        folder: Where.
        tiny: Whether some digits, as large, take the place of the images.
    """
    if not tiny and not IMAGES.exists():
        raise SystemExit("The images are missing; run python benchmarks/gpu.py prepare --data cifar10.npz elsewhere.")
    folder.mkdir(parents=True, exist_ok=True)
    if tiny:
        np.savez(folder / "cifar10.npz", **_digits())
        return
    with np.load(IMAGES) as arrays:
        images = {f"x_{part}": _decoded(_files(arrays, part)) for part in PARTS}
        np.savez(folder / "cifar10.npz", **images, y_train=arrays["y_train"], y_test=arrays["y_test"])


def _digits() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    large = np.kron(digits.images[:400] * 15, np.ones((4, 4))).astype("uint8")
    images, labels = np.stack([large] * 3, axis=-1), digits.target[:400]
    return {"x_train": images[:300], "y_train": labels[:300], "x_test": images[300:], "y_test": labels[300:]}


def _packed(arrays: Any) -> dict[str, np.ndarray]:
    """Images as JPEG files without what all of them begin with: tables and sizes, two thirds of such a small file."""
    found: dict[str, np.ndarray] = {f"y_{part}": arrays[f"y_{part}"] for part in PARTS}
    for part in PARTS:
        encoded = f"{part}_bytes" in arrays
        files = _files(arrays, part) if encoded else [_encoded(image) for image in arrays[f"x_{part}"]]
        header = os.path.commonprefix(files)  # noqa: RUF071  # byte by byte is what is meant
        own = [file[len(header) :] for file in files]
        found[f"{part}_header"] = np.frombuffer(header, "uint8")
        found[f"{part}_bytes"] = np.frombuffer(b"".join(own), "uint8")
        found[f"{part}_offsets"] = np.cumsum([0, *map(len, own)])
    return found


def _encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _files(arrays: Any, part: str) -> list[bytes]:
    header = arrays[f"{part}_header"].tobytes() if f"{part}_header" in arrays else b""
    every = arrays[f"{part}_bytes"].tobytes()
    return [header + every[start:end] for start, end in pairwise(arrays[f"{part}_offsets"])]


def _decoded(files: Sequence[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
