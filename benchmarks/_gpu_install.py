"""The first part of each script: what is missing is installed, images are decoded, and JAX has to calculate rightly."""

from __future__ import annotations

import importlib.metadata
import math
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from _gpu import Setting
from _gpu_data import PACKED, unpack
from _machine import machine

__all__ = ["install", "smoke"]

NEEDED = ("keras", "keras_tuner", "optuna")
VERSIONS = ("jax", "torch", "numpy")


def install(setting: Setting) -> None:
    """Make ready what the other parts need.

    Args:
        setting: Where, and until when.
    """
    began = time.monotonic()
    if any(find_spec(name) is None for name in NEEDED):
        wheels = sorted((PACKED / "wheels").glob("*.whl"))
        if not wheels:
            raise SystemExit(f"{', '.join(NEEDED)} are missing here; run python benchmarks/gpu.py prepare elsewhere.")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*command, "--target", str(setting.work / "site"), *map(str, wheels)], check=True)
    setting.row("packages", seconds=time.monotonic() - began)
    first = setting.started("smoke", {"operations": setting.script == "stages"})
    began = time.monotonic()
    unpack(setting.data, tiny=setting.tiny)
    setting.row("images", seconds=time.monotonic() - began)
    if first.wait():
        sys.exit(1)  # it said why


def smoke(setting: Setting) -> None:
    """Say what there is, and check some operations against NumPy.

    Args:
        setting: Whether operations are wanted is in its job.
    """
    import jax

    found = jax.devices()[0]
    versions = {name: _version(name) for name in VERSIONS}
    setting.row("machine", **machine(), **versions, device=found.device_kind, platform=found.platform)
    if found.platform not in ("gpu", "cuda") and not setting.tiny:
        raise SystemExit("JAX sees no GPU here; TINY=1 does without one.")
    for name, right in _OPERATIONS.items() if setting.job and setting.job["operations"] else ():
        began = time.monotonic()
        if not right():
            raise SystemExit(f"JAX calculates {name} wrongly on this device.")
        setting.row(f"{name} is right", seconds=time.monotonic() - began)


def _erf() -> bool:
    import jax

    given = np.linspace(-3, 3, 1001, dtype="float32")
    return bool(np.allclose(jax.jit(jax.scipy.special.erf)(given), [math.erf(x) for x in given], atol=1e-5))


def _exp() -> bool:
    import jax

    given = np.linspace(-20, 20, 1001, dtype="float32")
    return bool(np.allclose(jax.jit(jax.numpy.exp)(given), np.exp(given), rtol=1e-4))


def _backwards() -> bool:
    """The gradient of a sum over a convolution: for each place in the kernel, the sum of what it was laid on."""
    import jax

    x = np.random.default_rng(0).random((8, 16, 16, 4), dtype="float32")
    kernel = np.ones((3, 3, 4, 8), dtype="float32")
    names = ("NHWC", "HWIO", "NHWC")

    def total(kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=names).sum()

    found = jax.jit(jax.grad(total))(kernel)
    right = [
        [x[:, row : row + 14, column : column + 14].sum(axis=(0, 1, 2)) for column in range(3)] for row in range(3)
    ]
    return bool(np.allclose(found, np.repeat(np.array(right)[..., None], 8, axis=-1), rtol=1e-2))


_OPERATIONS: dict[str, Callable[[], bool]] = {
    "erf": _erf,
    "exp": _exp,
    "the backward pass of a convolution": _backwards,
}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
